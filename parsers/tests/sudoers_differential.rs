//! Asks the real `visudo -c` and `cvtsudoers -f json` about generated policies: what is accepted, and
//! every alias, Defaults entry and rule of it.
//!
//! More by hand: `WARDMOTE_SUDOERS_SEEDS=0..20000 cargo test -p parsers --test sudoers_differential`.

#![allow(clippy::unwrap_used)] // a test's helpers, too, should stop at the first surprise

mod differential;

use std::path::Path;
use std::process::Command as Process;

use differential::{Agreement, Dice, all_agree, run, seeds, skip};
use parsers::config::sudoers::{
    AliasKind, Command, Member, Operator, Scope, Sudoers, What, Who, parameters,
};
use parsers::tree::MemoryTree;
use serde_json::Value;

#[test]
fn five_hundred_policies_agree_with_sudo() {
    if let Err(missing) = peer() {
        return skip(&missing);
    }
    let scratch = tempfile::tempdir().unwrap();
    // Which locales there are is the host's.
    let mut names: Vec<_> = parameters().filter(|(name, _)| *name != "sudoers_locale").collect();
    names.sort_unstable();
    all_agree(seeds("WARDMOTE_SUDOERS_SEEDS", 500), scratch.path(), |seed, place| {
        let mut generator =
            Generator { dice: Dice::new(seed), parameters: &names, aliases: Vec::new() };
        let files = generator.case(place);
        agree(place, &files)
    });
}

fn peer() -> Result<(), String> {
    let said =
        Process::new("visudo").arg("-V").output().map_err(|_| "no visudo here".to_string())?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    if !said.contains("visudo version 1.9.13") {
        return Err(format!("visudo is not 1.9.13: {said}"));
    }
    Process::new("cvtsudoers").arg("-V").output().map_err(|_| "no cvtsudoers here".to_string())?;
    Ok(())
}

/// A policy as lines of a common form, in order: aliases, Defaults, rules.
type Flat = Vec<String>;

fn agree(place: &Path, files: &[(String, String)]) -> Result<Agreement, String> {
    let mut tree = MemoryTree::new();
    for (name, text) in files {
        let path = place.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        tree = tree.file(path.to_str().unwrap(), text);
    }
    let main = place.join("sudoers");
    let said = run(Process::new("visudo").arg("-c").arg("-f").arg(&main).current_dir(place));
    let refused = String::from_utf8_lossy(&said.stderr).into_owned();
    let ours = Sudoers::read(&tree, main.to_str().unwrap()).unwrap();
    let accepts = ours.problems.is_empty() && ours.notes.is_empty() && ours.unread.is_empty();
    let shown = || {
        let all = ours.problems.kept.iter().chain(&ours.notes.kept);
        let problems: Vec<String> = all.map(ToString::to_string).collect();
        let texts = files.iter().map(|(name, text)| format!("--- {name}\n{text}\n"));
        format!("ours {problems:?}\n{}", texts.collect::<String>())
    };
    match (said.status.success(), accepts) {
        (false, false) => return Ok(Agreement::Refused),
        (true, false) if shown().contains("a quote that does not end") => {
            return Ok(Agreement::Known("a quote inside of a word"));
        }
        (true, false) => return Err(format!("only we refuse: {}", shown())),
        (false, true) => {
            return match KNOWN.iter().find(|(sign, _)| refused.contains(sign)) {
                Some((_, reason)) => Ok(Agreement::Known(reason)),
                None => Err(format!("only visudo refuses: {refused}{}", shown())),
            };
        }
        (true, true) => {}
    }
    let output = run(Process::new("cvtsudoers").args(["-f", "json"]).arg(&main));
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("cvtsudoers refuses: {why}{}", shown()));
    }
    let mut text = repaired(&String::from_utf8_lossy(&output.stdout));
    if text.is_empty() {
        text.push_str("{}"); // of a policy without entries nothing is printed
    }
    let theirs: Flat = theirs(&serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?);
    // ALL brings SETENV along, which cvtsudoers tells only where a list of commands begins.
    let plain = |lines: Flat| -> Flat {
        let has_all = lines.iter().any(|line| line.ends_with("=ALL"));
        // What is a network is no business of the grammar.
        let lines = lines.into_iter().map(|line| line.replace("networkaddr=", "hostname="));
        let without = |line: String| match has_all {
            true => line.replace("\"setenv=true\", ", "").replace(", \"setenv=true\"", ""),
            false => line,
        };
        lines.map(without).map(|line| line.replace("[\"setenv=true\"]", "[]")).collect()
    };
    let (theirs, ours) = (plain(theirs), plain(flat(&ours)));
    match theirs.iter().zip(&ours).find(|(theirs, ours)| theirs != ours) {
        Some((theirs, ours)) => Err(format!("sudo {theirs}\nours {ours}\n{}", shown())),
        None if theirs.len() != ours.len() => {
            Err(format!("sudo {theirs:#?}, ours {ours:#?}\n{}", shown()))
        }
        None => Ok(Agreement::Accepted),
    }
}

/// cvtsudoers 1.9.13 forgets the braces around some options.
fn repaired(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let bare = ["\"runcwd\"", "\"runchroot\""].iter().any(|n| line.trim_start().starts_with(n));
        if !bare {
            return format!("{line}\n");
        }
        let (inner, comma) = match line.strip_suffix(',') {
            Some(inner) => (inner, ","),
            None => (line, ""),
        };
        format!("{{ {} }}{comma}\n", inner.trim())
    });
    lines.collect()
}

/// What visudo refuses and we do not, by its words, and why.
const KNOWN: &[(&str, &str)] = &[
    ("regular expression", "regular expressions are not compiled here"),
    (
        "syntax error",
        "corners of sudo's lexer: a `!` apart from its Defaults entry, a `\\` before an empty line",
    ),
    ("cycle in", "cycles of aliases are told where they are followed"),
];

/// `{"username": "bob", "negated": true}` as `!username=bob`.
fn member(value: &Value) -> String {
    let fields = value.as_object().unwrap();
    let sign = if fields.get("negated") == Some(&Value::Bool(true)) { "!" } else { "" };
    let (name, value) = fields.iter().find(|(name, _)| *name != "negated").unwrap();
    format!("{sign}{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_string))
}

fn command_value(value: &Value) -> String {
    let fields = value.as_object().unwrap();
    let sign = if fields.get("negated") == Some(&Value::Bool(true)) { "!" } else { "" };
    let name =
        ["command", "cmndalias"].into_iter().find(|name| fields.contains_key(*name)).unwrap();
    let digests = fields.iter().filter(|(name, _)| name.starts_with("sha"));
    let digests: String = digests.map(|(name, value)| format!("{name}:{value} ")).collect();
    format!("{sign}{digests}{name}={}", fields[name].as_str().unwrap())
}

fn list(value: &Value, one: fn(&Value) -> String) -> String {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn theirs(value: &Value) -> Flat {
    let mut out = Flat::new();
    for (key, kind) in [
        ("User_Aliases", "user"),
        ("Runas_Aliases", "runas"),
        ("Host_Aliases", "host"),
        ("Command_Aliases", "command"),
    ] {
        let Some(all) = value[key].as_object() else { continue };
        let one = if kind == "command" { command_value } else { member };
        let mut lines: Flat = all
            .iter()
            .map(|(name, items)| format!("{kind} {name} = {}", list(items, one)))
            .collect();
        lines.sort();
        out.extend(lines);
    }
    for defaults in value["Defaults"].as_array().unwrap_or(&Vec::new()) {
        let binding = defaults["Binding"].as_array().map_or(&[][..], Vec::as_slice);
        let binding: Vec<String> = binding
            .iter()
            .map(|one| match one.get("command").or(one.get("cmndalias")) {
                Some(_) => command_value(one),
                None => member(one),
            })
            .collect();
        for option in defaults["Options"].as_array().unwrap() {
            let fields = option.as_object().unwrap();
            let operation = fields.get("operation").and_then(Value::as_str).unwrap_or_default();
            let (name, value) = fields.iter().find(|(name, _)| *name != "operation").unwrap();
            let value = match value {
                Value::Array(items) => {
                    items.iter().map(|i| i.as_str().unwrap()).collect::<Vec<_>>().join(" ")
                }
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            out.push(format!("Defaults [{}] {operation} {name} = {value}", binding.join(", ")));
        }
    }
    for spec in value["User_Specs"].as_array().unwrap_or(&Vec::new()) {
        let who =
            format!("{} on {}", list(&spec["User_List"], member), list(&spec["Host_List"], member));
        for commands in spec["Cmnd_Specs"].as_array().unwrap() {
            let runas = match (commands.get("runasusers"), commands.get("runasgroups")) {
                (None, None) => "default".to_string(),
                // `()` and `(:)`: the caller himself.
                (users, None) if users.is_some_and(|u| u[0]["username"] == "") => "( : )".into(),
                (users, groups) => {
                    let null = Value::Null;
                    let of = |list_of: Option<&Value>| list(list_of.unwrap_or(&null), member);
                    format!("({} : {})", of(users), of(groups))
                }
            };
            let mut options: Flat = commands["Options"]
                .as_array()
                .map_or(&[][..], Vec::as_slice)
                .iter()
                // Commands that differ in nothing but this are put together.
                .filter(|option| option.get("command_timeout").is_none())
                .map(|option| {
                    let (name, value) = option.as_object().unwrap().iter().next().unwrap();
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
                    format!("{name}={value}")
                })
                .collect();
            options.sort();
            for command in commands["Commands"].as_array().unwrap() {
                let command = command_value(command);
                out.push(format!("{who} as {runas} {options:?} {command}"));
            }
        }
    }
    out
}

#[derive(Clone, Copy)]
enum List {
    Users,
    Hosts,
    Groups,
}

/// Our members in the words of cvtsudoers.
fn members(all: &[Member], of: List, runas: bool) -> String {
    let alias = match (of, runas) {
        (List::Hosts, _) => "hostalias",
        (_, true) => "runasalias",
        _ => "useralias",
    };
    let one = |member: &Member| {
        let sign = if member.negated { "!" } else { "" };
        let text = match (&member.who, of) {
            (Who::All, List::Hosts) => "hostname=ALL".into(),
            (Who::All, List::Groups) => "usergroup=ALL".into(),
            (Who::All, List::Users) => "username=ALL".into(),
            (Who::Name(name), List::Hosts) => format!("hostname={name}"),
            (Who::Name(name), List::Groups) => format!("usergroup={name}"),
            (Who::Name(name), List::Users) => format!("username={name}"),
            (Who::Uid(id), List::Groups) => format!("usergroup=#{id}"),
            (Who::Uid(id), _) => format!("userid={id}"),
            (Who::Group(name), _) => format!("usergroup={name}"),
            (Who::Gid(id), _) => format!("usergid={id}"),
            (Who::OtherGroup(name), _) => format!("nonunixgroup={name}"),
            (Who::Netgroup(name), _) => format!("netgroup={name}"),
            (Who::Alias(name), _) => format!("{alias}={name}"),
        };
        format!("{sign}{text}")
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn command(command: &Command) -> String {
    let sign = if command.negated { "!" } else { "" };
    let digests: String = command
        .digests
        .iter()
        .map(|digest| {
            let (name, value) = digest.split_once(':').unwrap();
            format!("{name}:\"{value}\" ")
        })
        .collect();
    let text = match &command.what {
        What::All => "command=ALL".to_string(),
        What::Alias(name) => format!("cmndalias={name}"),
        What::Edit(files) if files.is_empty() => "command=sudoedit".into(),
        What::Edit(files) => format!("command=sudoedit {files}"),
        What::List(None) => "command=list".into(),
        What::List(Some(arguments)) => format!("command=list {arguments}"),
        What::Path { path, arguments } => match arguments.as_deref() {
            None => format!("command={path}"),
            Some("") => format!("command={path} \"\""),
            Some(arguments) => format!("command={path} {arguments}"),
        },
    };
    format!("{sign}{digests}{text}")
}

fn flat(policy: &Sudoers) -> Flat {
    let mut out = Flat::new();
    for (kind, word) in [
        (AliasKind::User, "user"),
        (AliasKind::Runas, "runas"),
        (AliasKind::Host, "host"),
        (AliasKind::Command, "command"),
    ] {
        let mut lines: Flat = policy
            .aliases
            .iter()
            .filter(|((of, _), _)| *of == kind)
            .map(|((_, name), alias)| {
                let list = match kind {
                    AliasKind::Host => members(&alias.members, List::Hosts, false),
                    AliasKind::Command => {
                        alias.commands.iter().map(command).collect::<Vec<_>>().join(", ")
                    }
                    _ => members(&alias.members, List::Users, kind == AliasKind::Runas),
                };
                format!("{word} {name} = {list}")
            })
            .collect();
        lines.sort();
        out.extend(lines);
    }
    for setting in &policy.defaults {
        let binding = match &*setting.scope {
            Scope::Global => String::new(),
            Scope::Hosts(list) => members(list, List::Hosts, false),
            Scope::Users(list) => members(list, List::Users, false),
            Scope::Runas(list) => members(list, List::Users, true),
            Scope::Commands(list) => list.iter().map(command).collect::<Vec<_>>().join(", "),
        };
        let is_list = LISTS.contains(&setting.name.as_str());
        let (operation, value) = match setting.operator {
            Operator::On => ("", "true".to_string()),
            Operator::Off => ("", "false".to_string()),
            Operator::Set if is_list => ("list_assign", setting.value.clone()),
            Operator::Set => ("", setting.value.clone()),
            Operator::Add => ("list_add", setting.value.clone()),
            Operator::Remove => ("list_remove", setting.value.clone()),
        };
        let value =
            if is_list { value.split_whitespace().collect::<Vec<_>>().join(" ") } else { value };
        out.push(format!("Defaults [{binding}] {operation} {} = {value}", setting.name));
    }
    for rule in &policy.rules {
        let users = members(&rule.users, List::Users, false);
        let hosts = members(&rule.hosts, List::Hosts, false);
        let runas = rule.runas.as_ref().map_or("default".to_string(), |runas| {
            let groups = members(&runas.groups, List::Groups, true);
            format!("({} : {groups})", members(&runas.users, List::Users, true))
        });
        let tags = [
            ("authenticate", rule.tags.password),
            ("setenv", rule.tags.setenv),
            ("noexec", rule.tags.exec.map(|may| !may)),
            ("sudoedit_follow", rule.tags.follow),
            ("log_input", rule.tags.log_input),
            ("log_output", rule.tags.log_output),
            ("send_mail", rule.tags.mail),
            ("intercept", rule.tags.intercept),
        ];
        let mut options: Flat = tags
            .iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", (*value)?)))
            .chain(rule.options.iter().filter_map(|(name, value)| match name.as_str() {
                "CWD" => Some(format!("runcwd={value}")),
                "CHROOT" => Some(format!("runchroot={value}")),
                "TIMEOUT" => None,
                other => Some(format!("{}={value}", other.to_lowercase())),
            }))
            .collect();
        options.sort();
        out.push(format!("{users} on {hosts} as {runas} {options:?} {}", command(&rule.command)));
    }
    out
}

const LISTS: &[&str] = &["env_check", "env_delete", "env_keep", "log_servers", "passprompt_regex"];

/// Makes one policy.
struct Generator<'a> {
    dice: Dice,
    parameters: &'a [(&'static str, &'static str)],
    aliases: Vec<String>,
}

impl Generator<'_> {
    fn case(&mut self, place: &Path) -> Vec<(String, String)> {
        let mut files = Vec::new();
        let mut text = String::new();
        for _ in 0..2 + self.dice.below(8) {
            match self.dice.below(10) {
                0 | 1 => text.push_str(&self.defaults()),
                2 | 3 => text.push_str(&self.alias()),
                4 if self.dice.one_in(3) => {
                    let name = format!("d/{}", self.dice.pick(&["a", "b", "10-c", "x.y", "z~"]));
                    let mut inner = self.rule();
                    inner.push('\n');
                    files.retain(|(known, _)| *known != name);
                    files.push((name.clone(), inner));
                    let sign = self.dice.pick(&["@", "#"]);
                    let line = match self.dice.below(3) {
                        0 => format!("{sign}include {name}"),
                        1 => format!("{sign}include \"{}/{name}\"", place.display()),
                        _ => format!("{sign}includedir {}/d", place.display()),
                    };
                    text.push_str(&line);
                }
                5 => text.push_str(self.dice.pick(&["# comment", "#", "  ", "", "# a \\"])),
                _ => text.push_str(&self.rule()),
            }
            text.push_str(self.dice.pick(&["\n", "\n", " \n", " # c\n", "\n\n"]));
        }
        if self.dice.one_in(4) {
            text = self.mutated(text);
        }
        files.push(("sudoers".into(), text));
        files
    }

    fn blank(&mut self) -> &'static str {
        self.dice.pick(&[" ", " ", "\t", "  ", " \\\n  ", ""])
    }

    fn defaults(&mut self) -> String {
        let scope = match self.dice.below(9) {
            0 => ":bob".to_string(),
            1 => ":%wheel,!eve".to_string(),
            2 => "@db, !web".to_string(),
            3 => ">root".to_string(),
            4 => "!/bin/ls, /bin/cat".to_string(),
            _ => String::new(),
        };
        let mut text = format!("Defaults{scope} ");
        for number in 0..=self.dice.below(3) {
            if number > 0 {
                text.push_str(self.dice.pick(&[",", ", ", " , "]));
            }
            let (name, kind) = self.parameters[self.dice.below(self.parameters.len())];
            text.push_str(&self.parameter(name, kind));
        }
        text
    }

    fn parameter(&mut self, name: &str, kind: &str) -> String {
        if self.dice.one_in(40) {
            return self
                .dice
                .pick(&["nonsense", "use_pty=3", "passwd_tries", "umask=9"])
                .to_string();
        }
        let equals = self.dice.pick(&["=", " = ", "= "]);
        let (head, list) = kind.split_once(':').unwrap_or((kind, ""));
        let value = match head {
            "flag" => return format!("{}{name}", self.dice.pick(&["", "!", "!!", "! "])),
            "int" | "uint" => self.dice.pick(&["3", "80", "0"]).to_string(),
            "mode" => self.dice.pick(&["0022", "077", "0777"]).to_string(),
            "tuple" => {
                let values: Vec<&str> = list.split('|').collect();
                self.dice.pick(&values).to_string()
            }
            "timespec" => self.dice.pick(&["5", "-1", "0.5", "15"]).to_string(),
            "timeout" => self.dice.pick(&["30", "1h30m", "2d", "5M"]).to_string(),
            "rlimit" => {
                self.dice.pick(&["infinity", "user", "default", "1024", "\"1,2\""]).to_string()
            }
            "logfac" => self.dice.pick(&["auth", "authpriv", "local3"]).to_string(),
            "logpri" => self.dice.pick(&["notice", "err", "none"]).to_string(),
            "list" => {
                let sign = self.dice.pick(&["=", "+=", " += ", "-=", " = "]);
                let value = self.dice.pick(&["A", "\"A B\"", "\"A  B C_*\"", "LC_*", "\"X=(*)\""]);
                return format!("{name}{sign}{value}");
            }
            _ => {
                let values =
                    ["/a/b", "\"/a b\"", "/x\\ y", "/p:q", "/c\\,d", "\"/e,f\"", "\"/q\\\"r\""];
                self.dice.pick(&values).to_string()
            }
        };
        format!("{name}{equals}{value}")
    }

    fn alias(&mut self) -> String {
        let number = self.aliases.len();
        let (word, list) = match self.dice.below(4) {
            0 => ("User_Alias", self.users()),
            1 => ("Runas_Alias", self.users()),
            2 => ("Host_Alias", self.hosts()),
            _ => {
                let word = self.dice.pick(&["Cmnd_Alias", "Cmd_Alias"]);
                (word, self.commands())
            }
        };
        let name = match self.dice.below(20) {
            0 => "lower".to_string(),
            1 => "ALL".to_string(),
            2 if number > 0 => self.aliases[0].clone(),
            _ => format!("A{number}_X"),
        };
        let gap = self.dice.pick(&["=", " = ", "= "]);
        let mut text = format!("{word} {name}{gap}{list}");
        self.aliases.push(name);
        if self.dice.one_in(5) && matches!(word, "User_Alias" | "Host_Alias") {
            text.push_str(&format!(" : B{number} = x, y"));
        }
        text
    }

    fn listed(&mut self, from: &[&str]) -> String {
        let mut text = String::new();
        for number in 0..=self.dice.below(3) {
            if number > 0 {
                text.push_str(self.dice.pick(&[",", ", ", " ,", ",\\\n "]));
            }
            text.push_str(self.dice.pick(&["", "", "", "!", "!!"]));
            text.push_str(self.dice.pick(from));
        }
        text
    }

    fn users(&mut self) -> String {
        self.listed(&[
            "bob",
            "eve",
            "ALL",
            "#1000",
            "%wheel",
            "%#27",
            "+net",
            "\"odd name\"",
            "OPS",
            "%:ad",
            "\"%domain users\"",
            "a\\ b",
            "user.name",
            "us-er_1",
            "bob@x",
        ])
    }

    fn hosts(&mut self) -> String {
        self.listed(&[
            "ALL",
            "db",
            "web*",
            "192.0.2.1",
            "192.0.2.0/24",
            "192.0.2.0/255.255.255.0",
            "2001:db8::1",
            "fe80::/10",
            "LAN",
            "+hosts",
            "h-1.example",
        ])
    }

    fn rule(&mut self) -> String {
        let mut text = format!("{} {}", self.users(), self.hosts());
        text.push_str(self.blank());
        text.push('=');
        text.push_str(self.blank());
        text.push_str(&self.commands_of_rule());
        if self.dice.one_in(6) {
            text.push_str(&format!(" : {} = {}", self.hosts(), self.commands_of_rule()));
        }
        text
    }

    fn commands_of_rule(&mut self) -> String {
        let mut text = String::new();
        for number in 0..=self.dice.below(3) {
            if number > 0 {
                text.push_str(self.dice.pick(&[", ", ","]));
            }
            if self.dice.one_in(3) {
                text.push_str(self.dice.pick(&[
                    "(root)",
                    "(ALL)",
                    "(ALL : ALL)",
                    "(bob, eve)",
                    "(:adm)",
                    "(root:adm,www)",
                    "()",
                    "(:)",
                    "(%wheel)",
                    "(!root)",
                    "( #0 : #5 )",
                    "(root:%adm)",
                ]));
                text.push_str(self.dice.pick(&[" ", ""]));
            }
            if self.dice.one_in(6) {
                text.push_str(self.dice.pick(&[
                    "CWD=/tmp ",
                    "TIMEOUT=5m ",
                    "CHROOT=/srv ",
                    "CWD=* ",
                ]));
            }
            for _ in 0..self.dice.below(3) {
                text.push_str(self.dice.pick(&[
                    "NOPASSWD:",
                    "NOPASSWD: ",
                    "PASSWD : ",
                    "SETENV: ",
                    "NOEXEC: ",
                    "LOG_INPUT: ",
                    "NOFOLLOW: ",
                    "FOLLOW:",
                    "MAIL: ",
                    "INTERCEPT: ",
                ]));
            }
            if self.dice.one_in(30) {
                text.push_str("CWD=/late ");
            }
            text.push_str(&self.command());
        }
        text
    }

    fn commands(&mut self) -> String {
        let mut text = self.command();
        for _ in 0..self.dice.below(3) {
            text.push_str(", ");
            text.push_str(&self.command());
        }
        text
    }

    fn command(&mut self) -> String {
        let digest = "sha224:d06ad617b0d2e3e0f8ed4e5d0c8c6a7ea0b5e1e4d9ebdf5a9fd3e4d5 ";
        let mut text = if self.dice.one_in(25) { digest.to_string() } else { String::new() };
        text.push_str(self.dice.pick(&["", "", "", "!", "! "]));
        text.push_str(self.dice.pick(&[
            "ALL",
            "/bin/ls",
            "/bin/ls -l",
            "/bin/ls \"\"",
            "/usr/bin/",
            "/bin/a -x\\=1 b\\,c",
            "/bin/b  x   y",
            "/bin/c \"q r\" s",
            "/bin/*",
            "/bin/d [a-z]* ?",
            "/bin/e\\ f g",
            "sudoedit /etc/hosts",
            "sudoedit /etc/*/x",
            "sudoedit",
            "list",
            "SHELLS",
            "^/bin/[a-z]+$",
            "/bin/f ^-v( -w)?$",
            "^/bin/g$ ^x$",
            "/bin/h a\\:b",
            "/bin/i \\*",
            "ls",
            "/bin/j # c",
        ]));
        text
    }

    /// One byte more or less where it matters.
    fn mutated(&mut self, text: String) -> String {
        let mut bytes = text.into_bytes();
        let signs: Vec<usize> =
            (0..bytes.len()).filter(|at| b",=:!()\"\\# \n%+".contains(&bytes[*at])).collect();
        if signs.is_empty() {
            return String::from_utf8(bytes).unwrap();
        }
        let at = signs[self.dice.below(signs.len())];
        let new = self.dice.pick(&[",", "=", ":", "!", "(", ")", "\"", "\\", "#", " ", "\n", "x"]);
        let new = new.as_bytes()[0];
        match self.dice.below(3) {
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, new),
            _ => bytes[at] = new,
        }
        String::from_utf8(bytes).unwrap()
    }
}
