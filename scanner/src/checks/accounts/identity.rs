//! Names and ids, groups, and lines that are not what they look like.

use std::collections::BTreeMap;

use consensus::Severity;
use parsers::config::accounts::{Row, Table};
use parsers::place::Place;
use parsers::tree::LookError;

use super::known::{Known, about, is_login_shell, no_passwd};
use crate::checks::{Observation, Outcome};
use crate::{Facts, redact};

pub(super) fn uid_zero(facts: &Facts<'_>) -> Outcome {
    let known = facts.get::<Known>();
    if let Err(error) = &known.passwd {
        return no_passwd(error);
    }
    let bad = known.users().filter(|user| user.uid == 0 && user.name != "root").map(|user| {
        let is_open = known.has_password(user) != Some(false) && is_login_shell(&user.shell);
        let floor = if is_open { Severity::Critical } else { Severity::High };
        let title = format!("{} has user id 0 and is root under another name", user.name);
        about(&user.name, &user.row, 2).title(title).floor(floor)
    });
    Outcome::failed_or(bad.collect(), "only root has user id 0")
}

pub(super) fn duplicate_uid(facts: &Facts<'_>) -> Outcome {
    let known = facts.get::<Known>();
    if let Err(error) = &known.passwd {
        return no_passwd(error);
    }
    let mut first: BTreeMap<u32, (&str, &Row)> = BTreeMap::new();
    let mut bad = Vec::new();
    for user in known.users() {
        match first.get(&user.uid) {
            // A second root is `accounts-uid-zero`, a second line of a name `accounts-duplicate-name`.
            Some((name, row)) if user.uid != 0 && *name != user.name => {
                let title = format!("{} and {name} share user id {}", user.name, user.uid);
                let seen = about(&user.name, &user.row, 2).title(title);
                bad.push(seen.line(&row.at(2), &redact::crypt_field(&row.text)));
            }
            Some(_) => {}
            None => {
                first.insert(user.uid, (&user.name, &user.row));
            }
        }
    }
    Outcome::failed_or(bad, "user ids are unique")
}

pub(super) fn duplicate_name(facts: &Facts<'_>) -> Outcome {
    let known = facts.get::<Known>();
    if let Err(error) = &known.passwd {
        return no_passwd(error);
    }
    let mut bad = Vec::new();
    let mut unseen = Vec::new();
    names(&known.passwd, |e| (&e.name, &e.row), &mut bad, &mut unseen);
    names(&known.shadow, |e| (&e.name, &e.row), &mut bad, &mut unseen);
    names(&known.group, |e| (&e.name, &e.row), &mut bad, &mut unseen);
    Outcome::failed_or(bad, "names are unique").unseen(unseen)
}

fn names<'a, T>(
    table: &'a Result<Table<T>, LookError>,
    of: impl Fn(&'a T) -> (&'a String, &'a Row),
    bad: &mut Vec<Observation>,
    unseen: &mut Vec<String>,
) {
    let table = match table {
        Ok(table) => table,
        Err(error) if error.not_found() => return,
        Err(error) => return unseen.push(error.to_string()),
    };
    let mut first: BTreeMap<&str, &Row> = BTreeMap::new();
    for entry in &table.entries {
        let (name, row) = of(entry);
        match first.get(name.as_str()) {
            Some(other) => {
                let title = format!("{name} stands twice in {}", table.file);
                let seen = about(name, row, 0).key(format!("{}:{name}", table.file)).title(title);
                bad.push(seen.line(&other.at(0), &redact::crypt_field(&other.text)));
            }
            None => {
                first.insert(name, row);
            }
        }
    }
}

/// Accounts that distributions put into group 0.
const ROOT_GROUP: [&str; 5] = ["root", "sync", "shutdown", "halt", "operator"];

pub(super) fn gid_zero(facts: &Facts<'_>) -> Outcome {
    let known = facts.get::<Known>();
    if let Err(error) = &known.passwd {
        return no_passwd(error);
    }
    let is_usual = |name: &str| ROOT_GROUP.contains(&name);
    let mut bad: Vec<Observation> = known
        .users()
        .filter(|user| user.gid == 0 && user.uid != 0 && !is_usual(&user.name))
        .map(|user| {
            let title = format!("the primary group of {} is root's", user.name);
            about(&user.name, &user.row, 3).title(title)
        })
        .collect();
    for group in known.group.iter().flat_map(|table| &table.entries) {
        if group.gid != 0 {
            continue;
        }
        if group.name != "root" {
            let title = format!("group {} has root's group id", group.name);
            bad.push(
                about(&group.name, &group.row, 2).key(format!("group:{}", group.name)).title(title),
            );
        }
        for member in group.members.iter().filter(|name| !is_usual(name)) {
            let title = format!("{member} is a member of root's group");
            bad.push(about(member, &group.row, 3).title(title));
        }
    }
    let unseen = known.group.as_ref().err().filter(|error| !error.not_found());
    Outcome::failed_or(bad, "nobody else is in root's group")
        .unseen(unseen.map(ToString::to_string))
}

pub(super) fn malformed(facts: &Facts<'_>) -> Outcome {
    let known = facts.get::<Known>();
    if let Err(error) = &known.passwd {
        return no_passwd(error);
    }
    let mut bad = Vec::new();
    let mut unseen = Vec::new();
    lines(&known.passwd, &mut bad, &mut unseen);
    lines(&known.shadow, &mut bad, &mut unseen);
    lines(&known.group, &mut bad, &mut unseen);
    lines(&known.gshadow, &mut bad, &mut unseen);
    Outcome::failed_or(bad, "the account files are well formed").unseen(unseen)
}

fn lines<T>(
    table: &Result<Table<T>, LookError>,
    bad: &mut Vec<Observation>,
    unseen: &mut Vec<String>,
) {
    let table = match table {
        Ok(table) => table,
        Err(error) if error.not_found() => return,
        Err(error) => return unseen.push(error.to_string()),
    };
    for problem in &table.problems.kept {
        let place = &problem.place;
        // The line itself may hold a hash in any field: only its place is shown.
        let title = format!("{place}: {}", problem.message);
        bad.push(Observation::at(place, "").key(place.to_string()).title(title));
    }
    if table.problems.more > 0 {
        unseen.push(format!("{}: {} more problems", table.file, table.problems.more));
    }
    for row in &table.compat {
        let title = format!("{} lets NIS add or change accounts", table.file);
        let level = if row.text.contains(":0:") { Severity::High } else { Severity::Medium };
        let seen = Observation::at(&row.at(0), &redact::crypt_field(&row.text)).title(title);
        bad.push(
            seen.key(format!("{}:{}", table.file, row.text.split(':').next().unwrap_or("")))
                .level(level),
        );
    }
}

/// Sources of accounts that are not files of this host.
const DIRECTORIES: [&str; 6] = ["sss", "ldap", "nis", "nisplus", "winbind", "hesiod"];

pub(super) fn directory(facts: &Facts<'_>) -> Outcome {
    let bytes = match facts.read("/etc/nsswitch.conf") {
        Ok(bytes) => bytes,
        Err(error) => return Outcome::unreadable(&error),
    };
    let mut sources = Vec::new();
    for line in parsers::config::lines::numbered(&bytes) {
        let text = line.text();
        let code = text.split('#').next().unwrap_or_default().trim_start();
        let Some(list) = code.strip_prefix("passwd:") else { continue };
        sources.extend(list.split_whitespace().filter(|s| DIRECTORIES.contains(s)).map(Into::into));
    }
    sources.dedup();
    let sources: Vec<String> = sources;
    if sources.is_empty() {
        return Outcome::passed("accounts come from files only (/etc/nsswitch.conf)");
    }
    let known = facts.get::<Known>();
    let list = sources.join(", ");
    match (&facts.spoken.getent_passwd, known.others.len()) {
        (Some(_), listed) if listed > 0 => {
            Outcome::passed(format!("{listed} accounts of {list} were looked at"))
        }
        _ => {
            let place = Place::whole("/etc/nsswitch.conf");
            Outcome::not_run(format!("accounts from {list} could not be listed ({place})"))
                .unseen([format!("accounts from {list} could not be listed")])
        }
    }
}
