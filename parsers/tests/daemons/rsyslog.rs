//! `rsyslogd -N1` checks a configuration and starts nothing. rsyslog 8.2302.
//!
//! It ends with 1 for whatever it tells, also where it would start all the same (an unknown facility, a
//! template that is not there). Known differences, counted and bounded: see [`KNOWN`]. Beyond the seeds of
//! every run, about one mutation in a thousand differs without being listed there: a comma behind a priority,
//! a slash alone at the end of a file, signs inside of a quoted value that a module judges. Kept out of the
//! generator: names of modules, parameters, functions and users, which only the daemon knows, and a call of an unknown
//! function, on which this version crashes.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use parsers::config::rsyslog::Rsyslog;

use crate::dice::Dice;
use crate::directory::Directory;
use crate::peer::{self, Verdict};

const STATEMENTS: &[&str] = &[
    "auth,authpriv.*\t\t\t/var/log/auth.log",
    "*.*;auth,authpriv.none\t\t-/var/log/syslog",
    "kern.*\t\t\t\t-/var/log/kern.log # c",
    "*.=info;*.=notice;*.=warn;\\\n\tauth,authpriv.none;\\\n\tcron,daemon.none\t-/var/log/messages",
    "*.emerg\t\t\t\t:omusrmsg:*",
    "mail.err :omusrmsg:root,bob",
    "*.* @192.0.2.1",
    "*.* @@192.0.2.1:514",
    "local7.!=debug |/run/pipe",
    "$FileCreateMode 0640",
    "$Umask 0022",
    "$template fmt,\"%msg%\\n\"",
    "# a comment",
    "/* a long\n comment */",
    "",
    ":msg, contains, \"a \\\"b\\\" c\" /var/log/a",
    ":programname, !isequal, \"cron\" /var/log/b\n& stop",
    ":hostname,startswith,\"h\" ~",
    "if $msg contains 'x' then /var/log/x",
    "if $syslogseverity <= 4 and not ($programname == ['a', 'b']) then {\n  /var/log/y\n  stop\n}",
    "if ($.a + 1) * 2 > -3 or $!b startswith \"c\" then stop else /var/log/z",
    "if prifilt(\"mail.*\") then {\n  action(type=\"omfile\" file=\"/var/log/m\")\n} else if strlen($msg) > 5 then {\n  set $.a = 1;\n} else {\n  stop\n}",
    "set $.x = $msg & \"y\";\nunset $.x;\nreset $.y = 0x1f;",
    "action(type=\"omfile\" file=\"/var/log/q\" # c\n  dirCreateMode=\"0755\")",
    "foreach ($.i in $.list) do {\n  /var/log/each\n}",
    "mail.* {\n  /var/log/one\n  action(type=\"omfile\" file=\"/two\")\n}",
    "include(file=\"/nowhere/at/all\" mode=\"optional\")",
    "$IncludeConfig /nowhere/*.conf",
    "*.* /var/log/f;RSYSLOG_FileFormat",
    "call_indirect $.name;",
    "continue",
];
const ODD: &[&str] = &[
    "foo.* /x",
    "mail.loud /x",
    ":nothing, contains, \"x\" /x",
    ":msg, holds, \"x\" /x",
    "*.* root",
    "!prog",
    "+host",
    "*.* /x y",
    "*.* /x;nosuch",
    "call nobody",
    "if $msg contains \"x\" then { }",
    "if $msg contains \"$x\" then stop",
    "set $.a = 1",
    "} stop",
    "include(file=\"/nowhere/at/all\")",
    "*.* *",
    "*.* >x",
    "mail.*",
    "if $nothing == 1 then stop",
    "action(type=\"omfile\" file=/x)",
];
/// Named once a file: a second definition is an error of its own.
const ONCE: &[&str] = &[
    "module(load=\"imuxsock\" SysSock.Use=\"off\")",
    "template(name=\"t1\" type=\"string\" string=\"%msg%\")\n*.* /var/log/t;t1",
    "template(name=\"t2\" type=\"list\") {\n  constant(value=\"a\")\n  property(name=\"msg\" dateFormat=\"rfc3339\")\n}",
    "ruleset(name=\"r1\") {\n  /var/log/r\n  mail.* /var/log/rm\n}\nif $.a == 1 then call r1",
    "ruleset(name=\"r2\") { }",
    "module(load=\"imtcp\")\ninput(type=\"imtcp\" port=\"514\")",
    "$ModLoad imudp\n$UDPServerRun 514",
];

/// Takes out, doubles or replaces a sign: names stay as they are.
fn mutate(dice: &mut Dice, text: &mut String) {
    const SIGNS: &[u8] = b"(){}[]\"';=,.*&|#/:@$ \n";
    let places: Vec<usize> = text
        .bytes()
        .enumerate()
        .filter(|(_, byte)| SIGNS.contains(byte))
        .map(|(at, _)| at)
        .collect();
    if places.is_empty() {
        return;
    }
    let at = places[dice.below(places.len())];
    let sign = char::from(SIGNS[dice.below(SIGNS.len())]);
    match dice.below(3) {
        0 => drop(text.remove(at)),
        1 => text.insert(at, sign),
        _ => text.replace_range(at..=at, &sign.to_string()),
    }
}

fn text(seed: u64) -> String {
    let mut dice = Dice::new(seed);
    let mut text = String::from("*.* /var/log/all\n");
    for _ in 0..dice.below(8) + 1 {
        let usual = dice.pick(STATEMENTS);
        text += if dice.one_in(40) { dice.pick(ODD) } else { usual };
        text.push('\n');
    }
    for once in ONCE {
        if dice.one_in(6) {
            text += &format!("{once}\n");
        }
    }
    if dice.one_in(3) {
        mutate(&mut dice, &mut text);
    }
    text
}

/// Differences that are known: the daemon's words, or ours where it accepts, and the reason.
const KNOWN: &[(&str, &str)] = &[
    ("parameter", "parameters of an object, and what they may be, are its module's"),
    ("config file command", "names of directives are their module's"),
    ("could not load module", "which modules there are is not looked up"),
    ("could not find", "names of objects that modules define"),
    ("error during parsing file", "what a directive or action makes of its text"),
    ("extra characters in config line", "values of directives are the modules' own grammar"),
    ("unknown priority name", "the argument of prifilt() is not looked into"),
    ("error accessing config file", "a pattern that names a directory in part"),
    ("a selector is facility.priority", "the daemon takes `=` and `,` for the dot as well"),
];

fn one(scratch: &Path, seed: u64, known: &Mutex<Vec<String>>) -> Result<Verdict, String> {
    let text = text(seed);
    let path = scratch.join(format!("{seed}.conf"));
    std::fs::write(&path, &text).unwrap();
    let path = path.to_str().unwrap();
    let output = Command::new("/usr/sbin/rsyslogd")
        .args(["-N1", "-f", path])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let read = Rsyslog::read(&Directory("/".into()), path).unwrap();
    let told = peer::told(&output);
    match (output.status.success(), read.problems.is_empty() && read.unread.is_empty()) {
        (true, true) => Ok(Verdict::Accepted),
        (false, false) => Ok(Verdict::Refused),
        (accepts, _) => {
            let difference =
                format!("rsyslogd accepts: {accepts}, ours {:?}\n{text}{told}", read.problems);
            let said = if accepts { format!("{:?}", read.problems) } else { told };
            let reason = KNOWN
                .iter()
                .find(|(word, _)| said.contains(word) && !said.contains("syntax error"));
            if reason.is_none() {
                return Err(difference);
            }
            known.lock().unwrap().push(difference);
            Ok(Verdict::Refused)
        }
    }
}

#[test]
fn generated_configurations_are_accepted_as_rsyslog_accepts_them() {
    if !peer::has("rsyslogd") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let known = Mutex::new(Vec::new());
    let seeds = peer::seeds(300);
    let (accepted, refused) = peer::agree(seeds, |seed| one(scratch.path(), seed, &known));
    let known = known.into_inner().unwrap();
    let total = accepted + refused;
    eprintln!(
        "{total} configurations, {accepted} accepted by both, {} known differences",
        known.len()
    );
    assert!(accepted > refused && refused > 20, "both sorts are needed");
    assert!(known.len() as u64 * 100 <= total, "{} differ\n{}", known.len(), known.join("\n"));
}
