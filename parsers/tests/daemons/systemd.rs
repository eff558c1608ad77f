//! `systemd-analyze verify --root` loads generated trees of units as the manager would; its dump and
//! its warnings are compared with ours. systemd 252.
//!
//! Known differences, kept out of the generator: among several aliases of one unit systemd takes the
//! drop-in directories in the order of a hash table; values are not judged by us.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use parsers::config::systemd_unit::{Kind, Load, Unit, UnitFiles, current, kind};

use crate::dice::Dice;
use crate::directory::Directory;
use crate::peer::{self, Verdict};

const NAMES: [&str; 8] = [
    "a-b-c.service",
    "a-b.service",
    "t@.service",
    "t@x-y.service",
    "t@z.service",
    "al.service",
    "w.timer",
    "a-b.slice",
];
const DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/etc/systemd/system.control",
];
const DROPINS: [&str; 12] = [
    "a-b-c.service",
    "a-b-.service",
    "a-.service",
    "service",
    "t@.service",
    "t@x-y.service",
    "t@z.service",
    "al.service",
    "a-b.service",
    "w.timer",
    "timer",
    "a-b.slice",
];
const FILES: [&str; 6] = ["10.conf", "20.conf", "a.conf", "z.conf", "README", ".h.conf"];

const UNIT: &[&str] = &[
    "Description=one two",
    "Description=",
    "Documentation=man:a(1)",
    "Documentation=",
    "Documentation=https://example.org/",
    "ConditionPathExists=/x",
    "ConditionHost=!h",
    "ConditionUser=",
    "AssertPathExists=|/y",
    "AssertPathExists=",
    "SourcePath=/s",
    "SourcePath=",
];
const SERVICE: &[&str] = &[
    "User=u",
    "User=",
    "User=v",
    "Group=g",
    "SupplementaryGroups=k l",
    "SupplementaryGroups=m",
    "SupplementaryGroups=",
    "ReadWritePaths=/a /b",
    "ReadWriteDirectories=/c",
    "ReadWritePaths=",
    "ExecStart=/bin/true a",
    "ExecStart=",
    "ExecStart=/bin/true b",
    "PrivateTmp=yes",
    "PrivateTmp=",
    "PrivateTmp=no",
    "Restart=on-failure",
    "Restart=no",
    "Restart=",
    "Environment=A=1",
    "Environment=B=2",
    "Environment=",
    "Environment=A=3",
    "UMask=077",
    "UMask=027",
];
const ODD: &[&str] = &[
    "# comment",
    "; comment",
    "nothing",
    "=x",
    "[Bad]\nx=1",
    "[X-Own]\nx=1",
    "[broken",
    "[b\"c]",
    "X-Key=1",
    "",
    "User=u\\\n# c\nb",
    "User = w",
    "  Group=h  ",
    "DynamicUser=",
    "User=u\rGroup=r",
    "User=u\0Group=n",
    "User=é",
    "\u{feff}User=b",
    "X=h\\",
];

/// One file's text.
fn text(dice: &mut Dice, of_type: &str, is_fragment: bool) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    if dice.one_in(12) {
        out.extend("\u{feff}".as_bytes());
    }
    if is_fragment && of_type == "Service" {
        out.extend(b"[Service]\nType=oneshot\nExecStart=/bin/true first\n");
    }
    if is_fragment && of_type == "Timer" {
        out.extend(b"[Timer]\nOnBootSec=3\nUnit=a-b.service\n");
    }
    for _ in 0..=dice.below(2) {
        let (section, lines) = match dice.below(3) {
            0 => ("Unit", UNIT),
            _ if of_type != "Service" => ("Unit", UNIT),
            _ => ("Service", SERVICE),
        };
        if !dice.one_in(25) {
            out.extend(format!("[{section}]\n").bytes());
        }
        for _ in 0..dice.below(6) {
            let line = if dice.one_in(6) { dice.pick(ODD) } else { dice.pick(lines) };
            out.extend(line.bytes());
            if dice.one_in(150) {
                out.push(0xff);
            }
            out.push(b'\n');
        }
    }
    if dice.one_in(6) {
        out.pop();
    }
    out
}

fn generate(dice: &mut Dice, root: &Directory) {
    for name in NAMES.into_iter().filter(|name| *name != "al.service") {
        let of_type = match name.rsplit_once('.').unwrap().1 {
            "service" => "Service",
            "timer" => "Timer",
            _ => "Slice",
        };
        for _ in 0..=dice.below(2) {
            let path = format!("{}/{name}", dice.pick(&DIRECTORIES));
            match dice.below(14) {
                0 => root.link(&path, "/dev/null"),
                1 if !root.0.join(&path[1..]).is_symlink() => root.write(&path, ""),
                _ if root.0.join(&path[1..]).is_symlink() => {}
                _ => root.write(&path, text(dice, of_type, true)),
            }
        }
    }
    if dice.one_in(2) {
        let to = dice.pick(&["a-b.service", "../../../usr/lib/systemd/system/a-b.service"]);
        root.link("/etc/systemd/system/al.service", to);
    }
    for _ in 0..dice.below(12) {
        let name = dice.pick(&DROPINS);
        let of_type = if name.ends_with("service") { "Service" } else { "Unit" };
        let path = format!("{}/{name}.d/{}", dice.pick(&DIRECTORIES), dice.pick(&FILES));
        match dice.below(12) {
            0 => root.link(&path, "/dev/null"),
            _ if root.0.join(&path[1..]).is_symlink() => {}
            _ => root.write(&path, text(dice, of_type, false)),
        }
    }
}

/// The dump of each unit that was loaded, by name; and the log.
fn ask(root: &Path, names: &[&str]) -> (BTreeMap<String, Vec<String>>, String) {
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(format!("--root={}", root.display()))
        .args(names)
        .env("SYSTEMD_LOG_LEVEL", "debug")
        .output()
        .unwrap();
    let mut units: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some(name) = line.strip_prefix("\t-> Unit ") {
            current = name.trim_end_matches(':').to_string();
            if units.contains_key(&current) {
                current = String::new(); // asked for by two names: dumped twice
            }
        }
        units.entry(current.clone()).or_default().push(line.trim().to_string());
    }
    (units, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn dumped(lines: &[String], field: &str) -> Vec<String> {
    let head = format!("{field}: ");
    lines.iter().filter_map(|line| line.strip_prefix(&head)).map(str::to_string).collect()
}

/// Command lines below `-> ExecStart:`.
fn commands(lines: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_within = false;
    for line in lines {
        match line.strip_prefix("Command Line: ") {
            Some(command) if is_within => found.push(command.to_string()),
            Some(_) => {}
            None => is_within = line == "-> ExecStart:",
        }
    }
    found
}

fn values(unit: &Unit, key: &str) -> Vec<String> {
    let set = unit.settings.get(key);
    set.map_or(vec![], |set| set.values.iter().map(|value| value.value.clone()).collect())
}

/// What is in effect, in the shape of the dump: ours.
fn ours(unit: &Unit, root: &str) -> BTreeMap<&'static str, Vec<String>> {
    let rooted = |file: &std::sync::Arc<str>| format!("{}{file}", root.trim_end_matches('/'));
    let last = |key: &str| {
        let value = unit.settings.value(key).filter(|value| !value.is_empty());
        value.map(str::to_string)
    };
    let words = |key: &str| {
        let all = values(unit, key).join(" ");
        if all.is_empty() { vec![] } else { vec![all] }
    };
    let mut conditions = Vec::new();
    for key in unit.settings.by_key.keys() {
        let Some(short) = key.strip_prefix("Unit.") else { continue };
        if short.starts_with("Condition") || short.starts_with("Assert") {
            conditions.extend(values(unit, key).iter().map(|v| format!("{short}: {v} untested")));
        }
    }
    conditions.sort();
    let mut environment = BTreeMap::new();
    for pair in values(unit, "Service.Environment") {
        let (name, _) = pair.split_once('=').unwrap();
        environment.insert(name.to_string(), pair.clone());
    }
    let documentation = values(unit, "Unit.Documentation").join(" ");
    let documentation = documentation.split_whitespace().map(str::to_string).collect();
    BTreeMap::from([
        ("Fragment Path", unit.fragment.iter().map(rooted).collect()),
        ("DropIn Path", unit.dropins.iter().map(rooted).collect()),
        ("Description", vec![last("Unit.Description").unwrap_or(unit.name.clone())]),
        ("Documentation", documentation),
        ("Source Path", last("Unit.SourcePath").into_iter().collect()),
        ("User", last("Service.User").into_iter().collect()),
        ("Group", last("Service.Group").into_iter().collect()),
        ("SupplementaryGroups", words("Service.SupplementaryGroups")),
        ("ReadWritePaths", words("Service.ReadWritePaths")),
        ("ExecStart", values(unit, "Service.ExecStart")),
        ("PrivateTmp", vec![last("Service.PrivateTmp").unwrap_or("no".into())]),
        ("Restart", vec![last("Service.Restart").unwrap_or("no".into())]),
        ("UMask", vec![last("Service.UMask").map_or("0022".into(), |mask| format!("0{mask}"))]),
        ("Environment", environment.into_values().collect()),
        ("Conditions", conditions),
    ])
}

/// The same of the dump.
fn theirs(lines: &[String], is_service: bool) -> BTreeMap<&'static str, Vec<String>> {
    let mut out: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for field in [
        "Fragment Path",
        "DropIn Path",
        "Description",
        "Documentation",
        "Source Path",
        "User",
        "Group",
        "SupplementaryGroups",
        "ReadWritePaths",
        "PrivateTmp",
        "Restart",
        "UMask",
    ] {
        out.insert(field, dumped(lines, field));
    }
    if !is_service {
        out.insert("PrivateTmp", vec!["no".into()]);
        out.insert("Restart", vec!["no".into()]);
        out.insert("UMask", vec!["0022".into()]);
    }
    out.insert("ExecStart", commands(lines));
    let environment: BTreeSet<String> = dumped(lines, "Environment").into_iter().collect();
    out.insert("Environment", environment.into_iter().collect());
    let is_condition = |line: &&String| {
        (line.starts_with("Condition") || line.starts_with("Assert")) && line.ends_with(" untested")
    };
    let mut conditions: Vec<String> = lines.iter().filter(is_condition).cloned().collect();
    conditions.sort();
    out.insert("Conditions", conditions);
    out
}

/// Syntax faults of each file in systemd's log.
fn faults(log: &str, root: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let kinds = ["Missing '='", "Unknown section", "Assignment outside of section"];
    for line in log.lines() {
        let Some((file, rest)) = line.strip_prefix(root).and_then(|rest| rest.split_once(':'))
        else {
            continue;
        };
        let Some((number, message)) = rest.split_once(": ") else { continue };
        if kinds.iter().any(|kind| message.starts_with(kind)) {
            found.entry(file.to_string()).or_default().insert(number.to_string());
        }
    }
    found
}

/// Lines of those faults in one file: ours.
fn syntax_faults(unit: &Unit, file: &str) -> Vec<String> {
    let kinds = ["no `=`", "a section that", "an assignment outside"];
    let of_file = unit.settings.problems.kept.iter().filter(|problem| {
        &*problem.place.file == file && kinds.iter().any(|kind| problem.message.starts_with(kind))
    });
    of_file.map(|problem| problem.place.line.to_string()).collect()
}

fn compare(unit: &Unit, root: &str, lines: &[String]) -> Result<(), String> {
    let mine = ours(unit, root);
    let is_service = unit.name.ends_with(".service");
    let other = theirs(lines, is_service);
    for (field, value) in &mine {
        // A slice has a description of its own where none is written.
        let is_default = *field == "Description" && value[0] == unit.name;
        if other[field] != *value && (!is_default || is_service) {
            return Err(format!(
                "{}: {field}: theirs {:?}, ours {value:?}",
                unit.name, other[field]
            ));
        }
    }
    Ok(())
}

fn one(scratch: &Path, seed: u64) -> Result<Verdict, String> {
    let root = Directory(scratch.join(format!("seed{seed}")));
    generate(&mut Dice::new(seed), &root);
    let (units, log) =
        ask(&root.0, &NAMES.map(|name| if name == "t@.service" { "w.timer" } else { name }));
    let files = UnitFiles::list(&root);
    let shown = root.0.to_str().unwrap();
    let mut verdict = Verdict::Refused;
    let mut problems: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in NAMES {
        let unit = Unit::load(&root, &files, name);
        for file in &unit.settings.files {
            let of_file: Vec<String> = syntax_faults(&unit, file);
            let known = problems.entry(file.to_string()).or_default();
            if of_file.len() > known.len() {
                *known = of_file;
            }
        }
        if name == "t@.service" {
            continue; // a template alone is never loaded
        }
        let is_startable =
            !name.ends_with("service") || !values(&unit, "Service.ExecStart").is_empty();
        match (unit.load == Load::Loaded && is_startable, units.get(&unit.name)) {
            (true, Some(lines)) => {
                compare(&unit, shown, lines)?;
                verdict = Verdict::Accepted;
            }
            (true, None) => return Err(format!("only systemd refuses {name}\n{log}")),
            (false, Some(_)) if unit.name == name => {
                return Err(format!(
                    "only we refuse {name}: {:?}, {:?}",
                    unit.load, unit.settings.problems
                ));
            }
            (false, _) => {}
        }
    }
    // Lines are compared by number where nothing but `\n` ends one, else by count.
    for (file, theirs) in faults(&log, shown) {
        // Drop-ins of masked units are read by systemd, without effect; we leave them.
        let Some(mine) = problems.remove(&file) else { continue };
        let text = std::fs::read(format!("{shown}{file}")).unwrap();
        let is_plain = !text.iter().any(|byte| matches!(byte, b'\r' | 0 | b'\\'));
        if mine.len() != theirs.len()
            || (is_plain && !mine.iter().all(|line| theirs.contains(line)))
        {
            let text = String::from_utf8_lossy(&text);
            return Err(format!("{file}: faults in {theirs:?}, ours {mine:?}\n{text:?}\n{log}"));
        }
    }
    let _ = std::fs::remove_dir_all(&root.0);
    Ok(verdict)
}

#[test]
fn generated_units_are_loaded_as_systemd_loads_them() {
    if !peer::has("systemd-analyze") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (accepted, refused) = peer::agree(peer::seeds(120), |seed| one(scratch.path(), seed));
    eprintln!("{} trees of units agree, {accepted} with loaded ones", accepted + refused);
    assert!(accepted > refused, "most trees should have units that load");
}

#[test]
fn the_distributions_units_are_loaded_as_systemd_loads_them() {
    if !peer::has("systemd-analyze") {
        return;
    }
    let root = Directory("/".into());
    let files = UnitFiles::list(&root);
    let names: Vec<&str> = files.names().filter(|name| !name.contains('@')).collect();
    let mut compared = 0;
    for names in names.chunks(64) {
        let (units, _) = ask(Path::new("/"), names);
        for name in names {
            let unit = Unit::load(&root, &files, name);
            assert!(unit.settings.problems.is_empty(), "{name}: {:?}", unit.settings.problems);
            let Some(lines) = units.get(*name) else { continue };
            for field in
                ["Fragment Path", "DropIn Path", "Documentation", "Conditions", "ReadWritePaths"]
            {
                let mine = &ours(&unit, "")[field];
                if mine.iter().any(|value| value.contains('%')) {
                    continue; // we leave specifiers as written
                }
                let theirs = theirs(lines, true).remove(field).unwrap();
                // Debian 12 names its merged directory by the link.
                let theirs: Vec<String> = theirs
                    .into_iter()
                    .map(|value| match value.strip_prefix("/lib/") {
                        Some(rest) => format!("/usr/lib/{rest}"),
                        None => value,
                    })
                    .collect();
                // systemd takes the slash off a directory's end.
                let tidy = |value: &String| {
                    let words = value.split(' ').map(|word| word.trim_end_matches('/'));
                    words.collect::<Vec<_>>().join(" ")
                };
                let mine: Vec<String> = mine.iter().map(tidy).collect();
                let theirs: Vec<String> = theirs.iter().map(tidy).collect();
                assert_eq!(theirs, mine, "{name}: {field}");
            }
            compared += 1;
        }
    }
    eprintln!("{compared} of the distribution's {} units agree", names.len());
    assert!(compared > 50, "only {compared} units were loaded");
}

/// What an empty assignment does, asked of systemd for every setting that it knows.
#[test]
fn settings_take_an_empty_value_as_systemd_does() {
    let manager = "/lib/systemd/systemd";
    if !peer::has("systemd-analyze") || !peer::has(manager) {
        return;
    }
    let items = Command::new(manager).arg("--dump-configuration-items").output().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let root = Directory(scratch.path().to_path_buf());
    let mut known: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut section = String::new();
    for line in String::from_utf8_lossy(&items.stdout).lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_string();
        } else if let Some((key, _)) = line.split_once('=') {
            // A scope has no file; [Install] is not read by the manager.
            if !matches!(section.as_str(), "Scope" | "Install") {
                let own = if section == "Unit" { "target" } else { &section.to_lowercase() };
                let name = format!("{section}{key}.{own}");
                root.write(
                    &format!("/etc/systemd/system/{name}"),
                    format!("[{section}]\n{key}=\n"),
                );
                known.insert(name, (section.clone(), key.to_string()));
            }
        }
    }
    assert!(known.len() > 800, "only {} settings", known.len());
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    let mut log = String::new();
    for names in names.chunks(300) {
        log += &ask(&root.0, names).1;
    }
    let mut wrong = Vec::new();
    for (name, (section, key)) in &known {
        let head = format!("{}/etc/systemd/system/{name}:2: ", scratch.path().display());
        let told = log.lines().find_map(|line| line.strip_prefix(&head));
        let is_refused = told.is_some_and(|told| told.contains("ignoring:"));
        let (section, key) = current(section, key);
        let is_ours = kind(section, key) == Kind::LastNotEmpty;
        if is_refused != is_ours {
            wrong.push(format!("{section}.{key}: {told:?}, ours {is_ours}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
