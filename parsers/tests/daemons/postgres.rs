//! A PostgreSQL 15 server on a unix socket in a directory of its own, asked by its views
//! `pg_file_settings`, `pg_hba_file_rules` and `pg_ident_file_mappings`, which read the files anew.
//!
//! Known differences, kept out of the generator: a NUL byte (the server cuts the line there), bytes
//! that are not UTF-8, `include` lines of rules (16), parameters and values that do not exist (not
//! judged), regular expressions that do not compile, names of RADIUS servers that do not resolve.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use parsers::config::postgres::hba::{Connection, Hba};
use parsers::config::postgres::ident::Ident;
use parsers::config::postgres::{Address, read};
use parsers::config::settings::Settings;
use serde_json::Value;

use crate::dice::Dice;
use crate::directory::Directory;
use crate::peer::{self, Verdict};

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// A server that ends with the test.
struct Server {
    scratch: tempfile::TempDir,
    child: Child,
}

/// One psql that is asked many times.
struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// A command as the user who owns the server.
fn as_nobody(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]);
    command.arg(format!("{BIN}/{program}")).current_dir("/");
    command
}

impl Server {
    fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let directory = &scratch.path().to_path_buf();
        let chown = Command::new("chown").args(["nobody:nogroup"]).arg(directory).status().unwrap();
        assert!(chown.success());
        let data = directory.join("data");
        let made = as_nobody("initdb")
            .args(["-N", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let child = as_nobody("postgres")
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c"])
            .arg(format!("unix_socket_directories={}", directory.display()))
            .arg("-D")
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { scratch, child };
        for _ in 0..600 {
            let ready =
                Command::new(format!("{BIN}/pg_isready")).arg("-qh").arg(directory).status();
            if ready.is_ok_and(|status| status.success()) {
                return server;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("the server does not start");
    }

    fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    fn session(&self) -> Session {
        let mut child = Command::new(format!("{BIN}/psql"))
            .args(["-XqAt", "-U", "postgres", "-d", "postgres", "-h"])
            .arg(self.scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Session { child, input, output }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-INT").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

impl Session {
    /// The rows of a view, in its order.
    fn rows(&mut self, view: &str, order: &str) -> Vec<Value> {
        let query = format!(
            "select coalesce(json_agg(row_to_json(x) order by {order}), '[]')::jsonb from {view} x;\n"
        );
        self.input.write_all(query.as_bytes()).unwrap();
        self.input.flush().unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{view}: {line}"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ready() -> bool {
    let uid = Command::new("id").arg("-u").output().unwrap();
    if uid.stdout.trim_ascii() != b"0" {
        peer::missing("the server is started as nobody, which needs root");
        return false;
    }
    peer::has(&format!("{BIN}/postgres")) && peer::has("setpriv")
}

const MEANINGFUL: &[u8] = b"''\\\"=##..--,@  \t\n\r/0aZ_+x";

const LINES: &[&str] = &[
    "work_mem = 4MB",
    "Work_Mem '8MB'",
    "work_mem=0x10kB # comment",
    "ssl off",
    "ssl = on",
    "log_line_prefix = '%m it''s \\'q\\' \\101\\n'",
    "search_path = '\"$user\", public'",
    "my.custom = 'a'",
    "My.Custom = b",
    "my.other = a-b:c/d",
    "random_page_cost = 1.5",
    "random_page_cost = +.5e1",
    "# comment",
    "",
    "   ",
    "port = 5433",
    "PORT 5434",
    "log_filename = 'é.log'",
    "log_directory = pg_log",
    "include 'a.conf'",
    "include b.conf",
    "include = 'sub/c.conf'",
    "include_if_exists = 'none.conf'",
    "include_dir = 'sub'",
    "include_dir 'conf'",
    "INCLUDE 'a.conf'",
];
const ODD: &[&str] = &[
    "work_mem = 4 MB",
    "a.b.c = 1",
    "x = y.z",
    "= 1",
    "work_mem",
    "work_mem =",
    "d = /tmp",
    "work_mem = 'open",
    "a-b = 1",
    "work_mem == 1",
    "include 'none.conf'",
    "include ''",
    "include_dir 'none'",
    "random_page_cost = 1e5",
    "my.x = .",
    "my.x = -",
    "my.y = 'a' 'b'",
    "log_timezone = 'a' # b",
    "'q' = 1",
    "include 'postgresql.conf'",
];

fn settings_text(dice: &mut Dice, lines: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..dice.below(lines) {
        text.extend(if dice.one_in(25) { dice.pick(ODD) } else { dice.pick(LINES) }.bytes());
        text.extend(if dice.one_in(20) { b"\r\n".as_slice() } else { b"\n" });
    }
    if dice.one_in(4) {
        dice.mutate(&mut text, MEANINGFUL);
    }
    if dice.one_in(8) {
        text.pop();
    }
    String::from_utf8_lossy(&text).into_owned().into_bytes()
}

/// Every assignment that was read, in the order of places of the files' reading.
fn written(settings: &Settings) -> Vec<(String, u64, String, String)> {
    let mut all = Vec::new();
    for (key, setting) in &settings.by_key {
        let old = setting.overrides.iter().map(|old| &old.value);
        for value in old.chain(&setting.values) {
            let place = &value.place;
            all.push((
                place.file.to_string(),
                u64::from(place.line),
                key.clone(),
                value.value.clone(),
            ));
        }
    }
    all.sort();
    all
}

fn one_configuration(server: &Server, session: &mut Session, seed: u64) -> Result<Verdict, String> {
    let mut dice = Dice::new(seed);
    let data = Directory("/".into());
    let base = server.data().to_str().unwrap().to_string();
    let mut shown = String::new();
    for (name, lines) in [
        ("postgresql.conf", 12),
        ("a.conf", 4),
        ("b.conf", 4),
        ("sub/c.conf", 3),
        ("conf/10.conf", 3),
        ("conf/20.conf", 3),
        ("conf/.x.conf", 3),
        ("postgresql.auto.conf", 4),
    ] {
        let mut text = settings_text(&mut dice, lines);
        if name != "postgresql.conf" && dice.one_in(2) {
            text.retain(|byte| *byte != b'i'); // no includes: fewer loops
        }
        data.write(&format!("{base}/{name}"), &text);
        shown += &format!("--- {name}\n{}\n", String::from_utf8_lossy(&text));
    }
    let ours = read(&data, &format!("{base}/postgresql.conf")).unwrap();
    let rows = session.rows("pg_file_settings", "seqno");
    let mut rows = rows;
    rows.retain(|row| !row["sourcefile"].is_null()); // others tell what a restart would change
    let is_syntax = |row: &&Value| row["name"].is_null();
    let error = rows.iter().find(is_syntax);
    let difference = match (error, ours.problems.kept.first()) {
        (None, None) => {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
            let mut theirs: Vec<(String, u64, String, String)> = rows
                .iter()
                .map(|row| {
                    let line = row["sourceline"].as_u64().unwrap();
                    let name = text(&row["name"]).to_ascii_lowercase();
                    (text(&row["sourcefile"]), line, name, text(&row["setting"]))
                })
                .collect();
            let in_order = theirs.clone();
            theirs.sort();
            let mine = written(&ours);
            if theirs != mine {
                return Err(format!("theirs {theirs:?}\nours {mine:?}\n{shown}"));
            }
            // The last row of a name is the one that holds.
            in_order.iter().rev().find_map(|(file, line, name, setting)| {
                let last = in_order.iter().rfind(|(.., other, _)| other == name).unwrap();
                let holds = &ours.get(name)?.values[0];
                let is_same = holds.value == last.3
                    && *holds.place.file == *last.0
                    && u64::from(holds.place.line) == last.1;
                (!is_same).then(|| format!("{name}: {file}:{line} {setting}, ours {holds:?}"))
            })
        }
        (Some(theirs), Some(mine)) => {
            let file = theirs["sourcefile"].as_str().unwrap_or_default();
            let mut line = theirs["sourceline"].as_u64().unwrap();
            // The server counts one line too few where the last one has no line end.
            let text = std::fs::read(file).unwrap_or_default();
            let ends = text.iter().filter(|byte| **byte == b'\n').count() as u64;
            let is_last = u64::from(mine.place.line) == ends + 1 && !text.ends_with(b"\n");
            if is_last && line == ends {
                line += 1;
            }
            let is_same = file == &*mine.place.file && line == u64::from(mine.place.line);
            (!is_same).then(|| format!("the first error: {theirs}, ours {mine:?}"))
        }
        (theirs, mine) => Some(format!("theirs {theirs:?}, ours {mine:?}")),
    };
    match difference {
        Some(difference) => Err(format!("{difference}\n{shown}")),
        None if error.is_some() => Ok(Verdict::Refused),
        None => Ok(Verdict::Accepted),
    }
}

const RULES: &[&str] = &[
    "local all all peer",
    "local all postgres trust",
    "local db1,\"db 2\" +grp,bob md5",
    "host all all 127.0.0.1/32 scram-sha-256",
    "host all all ::1/128 md5",
    "local all all ident",
    "host sameuser all 10.0.0.0 255.0.0.0 ident map=m",
    "host all all all reject",
    "host replication \"all\" samenet password",
    "hostnossl all all samehost md5",
    "host all all .example.org md5 # c",
    "hostgssenc all all 0/0 gss include_realm=0 krb_realm=X",
    "host all all 10.1/16 pam pamservice=x pam_use_hostname=1",
    "host @dbs,x @users all md5",
    "host all all 192.168.0.0/16 ldap ldapserver=h ldapprefix=\"cn=\" ldapsuffix=\", dc=x\"",
    "host all all all ldap ldapserver=h ldapbasedn=x ldapsearchattribute=uid",
    "host all all fe80::/10 radius radiusservers=127.0.0.1 radiussecrets=s",
    "local \"a\"\"b\" \"\" md5",
    "local all \\\n  all \\\n md5",
    "hostnogssenc all all 0x7f.1/8 trust",
    "# comment",
    "",
    "   # c",
    "local all,, bob ,x md5",
    "host \"sameuser\" all \"samehost\" md5",
    "host all all 0.0.0.0/0,md5",
    "local \"#a\" all md5\\",
    "host all all 10.0.0.0/ 8 md5",
];
const ODD_RULES: &[&str] = &[
    "hosts all all all md5",
    "local all",
    "local",
    "host all all",
    "host all all 10.0.0.0 md5",
    "host all all 10.0.0.0/33 md5",
    "host all all x/8 md5",
    "host all all all peer",
    "local all all gss",
    "host all all all cert",
    "local all all md5 map=x",
    "local all all md5 x",
    "local all all md5 clientcert=verify-ca",
    "host all all 10.0.0.0 ::1 md5",
    "local all all bad",
    "host all all 10.0.0.0,10.0.0.1 md5",
    "local,host all all md5",
    "local all all md5,trust",
    "local @none all md5",
    "host all all 1.2.3.4.5 0 md5",
    "host all all all radius",
    "host all all all ldap ldapserver=h",
    "host all all all ldap ldapprefix=x ldapbasedn=y",
    "host all all all ldap ldapprefix=x",
    "@dbs all all md5",
    "host all all 10.0.0.0 255.0.0.0/8 md5",
    "host all all all pam map=x",
];

fn hba_text(dice: &mut Dice) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..dice.below(14) {
        text.extend(if dice.one_in(5) { dice.pick(ODD_RULES) } else { dice.pick(RULES) }.bytes());
        text.extend(if dice.one_in(20) { b"\r\n".as_slice() } else { b"\n" });
    }
    if dice.one_in(2) {
        dice.mutate(&mut text, MEANINGFUL);
    }
    text
}

/// A rule in the words of the view.
type Row = (u64, String, Vec<String>, Vec<String>, String, String, String);

fn one_hba(server: &Server, session: &mut Session, seed: u64) -> Result<Verdict, String> {
    let mut dice = Dice::new(seed);
    let data = Directory("/".into());
    let base = server.data().to_str().unwrap().to_string();
    let text = hba_text(&mut dice);
    let shown = String::from_utf8_lossy(&text).into_owned();
    data.write(&format!("{base}/pg_hba.conf"), &text);
    data.write(&format!("{base}/dbs"), "a, b\n@users c\n");
    data.write(&format!("{base}/users"), "# c\n\"x y\" z\n");
    let hba = Hba::read(&data, &format!("{base}/pg_hba.conf")).unwrap();
    let rows = session.rows("pg_hba_file_rules", "line_number");
    // Names of RADIUS servers are looked up by the peer and not by us.
    let is_lookup =
        |row: &Value| row["error"].as_str().is_some_and(|e| e.contains("RADIUS server name"));
    if rows.iter().any(is_lookup) {
        return Ok(Verdict::Refused);
    }
    // The server has no TLS here, and says so of rules that it understands.
    let is_error =
        |row: &&Value| row["error"].as_str().is_some_and(|e| !e.contains("SSL is disabled"));
    let theirs: Vec<Row> = rows.iter().filter(|row| !is_error(row)).map(row_of).collect();
    let ours: Vec<Row> = hba.rules.iter().map(row_of_ours).collect();
    if theirs != ours {
        return Err(format!(
            "rules: theirs {theirs:?}\nours {ours:?}\nproblems {:?}\n{shown}",
            hba.problems
        ));
    }
    // One line has one error; ours may stand in a continued line or another file.
    let errors: Vec<&Value> = rows.iter().filter(is_error).collect();
    if errors.len() != hba.problems.len() {
        return Err(format!("errors: theirs {errors:?}\nours {:?}\n{shown}", hba.problems));
    }
    Ok(if errors.is_empty() { Verdict::Accepted } else { Verdict::Refused })
}

fn row_of(row: &Value) -> Row {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_string();
    let list = |name: &str| {
        let items = row[name].as_array().map_or(&[][..], Vec::as_slice);
        items.iter().map(|item| item.as_str().unwrap_or_default().to_string()).collect()
    };
    let line = row["line_number"].as_u64().unwrap();
    let (address, mask) = (text("address"), text("netmask"));
    (line, text("type"), list("database"), list("user_name"), address, mask, text("auth_method"))
}

fn row_of_ours(rule: &parsers::config::postgres::hba::Rule) -> Row {
    let kind = match rule.connection {
        Connection::Local => "local",
        Connection::Host => "host",
        Connection::HostSsl => "hostssl",
        Connection::HostNoSsl => "hostnossl",
        Connection::HostGssEnc => "hostgssenc",
        Connection::HostNoGssEnc => "hostnogssenc",
    };
    let (address, mask) = match &rule.address {
        None => (String::new(), String::new()),
        Some(Address::All) => ("all".into(), String::new()),
        Some(Address::SameHost) => ("samehost".into(), String::new()),
        Some(Address::SameNet) => ("samenet".into(), String::new()),
        Some(Address::Host(name)) => (name.clone(), String::new()),
        Some(Address::Network { address, mask }) => (address.to_string(), mask.to_string()),
    };
    let names = |words: &[parsers::config::postgres::Word]| {
        words.iter().map(|word| word.text.clone()).collect()
    };
    let line = u64::from(rule.place.line);
    (
        line,
        kind.into(),
        names(&rule.databases),
        names(&rule.users),
        address,
        mask,
        rule.method.clone(),
    )
}

const MAPS: &[&str] = &[
    "m root postgres",
    "m \"a b\" c",
    "m /^(.*)@x$ \\1",
    "m a",
    "m",
    "# c",
    "",
    "m a,b c",
    "m a b c d",
    "m a \\\n b",
    "\"\" \"\" \"\"",
    "m @users x",
    "m @dbs x",
];

fn one_ident(server: &Server, session: &mut Session, seed: u64) -> Result<Verdict, String> {
    let mut dice = Dice::new(seed);
    let data = Directory("/".into());
    let base = server.data().to_str().unwrap().to_string();
    let mut text = Vec::new();
    for _ in 0..dice.below(10) {
        text.extend(dice.pick(MAPS).bytes());
        text.push(b'\n');
    }
    data.write(&format!("{base}/pg_ident.conf"), &text);
    let ident = Ident::read(&data, &format!("{base}/pg_ident.conf")).unwrap();
    let rows = session.rows("pg_ident_file_mappings", "line_number");
    let text_of = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_string();
    let theirs: Vec<(u64, [String; 3])> = rows
        .iter()
        .filter(|row| row["error"].is_null())
        .map(|row| {
            let fields = ["map_name", "sys_name", "pg_username"].map(|name| text_of(row, name));
            (row["line_number"].as_u64().unwrap(), fields)
        })
        .collect();
    let ours: Vec<(u64, [String; 3])> = ident
        .mappings
        .iter()
        .map(|m| {
            let fields = [m.map.clone(), m.system_user.text.clone(), m.database_user.text.clone()];
            (u64::from(m.place.line), fields)
        })
        .collect();
    let errors = rows.iter().filter(|row| !row["error"].is_null()).count();
    if theirs != ours || errors != ident.problems.len() {
        let shown = String::from_utf8_lossy(&text);
        return Err(format!("theirs {rows:?}\nours {ours:?} {:?}\n{shown}", ident.problems));
    }
    Ok(if errors == 0 { Verdict::Accepted } else { Verdict::Refused })
}

type One = fn(&Server, &mut Session, u64) -> Result<Verdict, String>;

#[test]
fn generated_configurations_are_read_as_the_server_reads_them() {
    if !ready() {
        return;
    }
    let server = Server::start();
    assert!(Path::new(&server.data()).is_dir());
    for (what, count, one) in [
        ("configurations", 200, one_configuration as One),
        ("files of rules", 200, one_hba as One),
        ("maps", 100, one_ident as One),
    ] {
        // One server reads one set of files, so cases go one after the other.
        let session = std::sync::Mutex::new(server.session());
        let one = |seed| {
            let mut session = session.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            one(&server, &mut session, seed)
        };
        let (accepted, refused) = peer::agree(peer::seeds(count), one);
        eprintln!("{} {what} agree, {accepted} of them accepted", accepted + refused);
        assert!(accepted * 5 > refused && refused > 0, "{what}: both sorts are needed");
    }
}
