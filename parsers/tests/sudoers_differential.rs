//! Asks the real `visudo -c` and `cvtsudoers -f json` about generated policies: what is accepted, and
//! every alias, Defaults entry and rule of it.
//!
//! More by hand: `WARDMOTE_SUDOERS_SEEDS=0..20000 cargo test -p parsers --test sudoers_differential`.

#![allow(clippy::unwrap_used)] // a test's helpers, too, should stop at the first surprise

mod differential;
mod sudoers_generator;

use std::path::Path;
use std::process::Command as Process;

use differential::{Agreement, all_agree, run, seeds, skip};
use parsers::config::sudoers::{
    AliasKind, Command, Member, Operator, Scope, Sudoers, What, Who, parameters,
};
use parsers::tree::MemoryTree;
use serde_json::Value;
use sudoers_generator::Generator;

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
        let files = Generator::new(seed, &names).case(place);
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

fn their_defaults(value: &Value, out: &mut Flat) {
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
    their_defaults(value, &mut out);
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

fn our_defaults(policy: &Sudoers, out: &mut Flat) {
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
    our_defaults(policy, &mut out);
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
