//! What is known of the host besides its evidence: accounts, installed programs, own addresses, what
//! changed lately, earlier logins, and what the operator told.
//!
//! It reads names, times and the state of passwords, never a hash. What could not be read is `None`,
//! which is "not known": experts then abstain. Whether files are as their package brought them is not
//! verified, so that no package vouches for anything. Everything is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use consensus::context::{Account, Change, Password};
use consensus::experts::preconditions::LOOKED_FOR;
use consensus::networks::{Network, Networks};
use consensus::{Evidence, Kind, Operator, Past};
use parsers::config::accounts::{self, Password as Field, Shadow};
use parsers::tree::{Links, Tree};
use scanner::RootedTree;
use scanner::checks::accounts::is_login_shell;
use scanner::logs::history;
use scanner::packages::INFO;
use scanner::ports::addresses;

/// Most accounts; of a longer list nothing is known, because half a list would call the rest missing.
const ACCOUNTS_MAX: usize = 10_000;
/// Most files whose last change is looked at.
const FILES_MAX: usize = 4_096;
/// A change so near to the unpacking of a package belongs to it.
const PACKAGE_SECONDS: i64 = 600;
/// Changes of the last day are looked at in any case.
const DAY_SECONDS: i64 = 86_400;

/// Where programs are.
const FOLDERS: [&str; 6] =
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/usr/local/sbin"];
/// Files whose change gives somebody a foothold.
const FOOTHOLDS: [&str; 8] = [
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/sudoers",
    "/etc/crontab",
    "/etc/ssh/sshd_config",
    "/etc/ld.so.preload",
    "/root/.ssh/authorized_keys",
];
/// Folders of such files.
const FOOTHOLD_FOLDERS: [&str; 5] = [
    "/etc/sudoers.d",
    "/etc/cron.d",
    "/etc/pam.d",
    "/etc/ssh/sshd_config.d",
    "/var/spool/cron/crontabs",
];
/// Trees of which a time of change tells nothing.
const RESTLESS: [&str; 5] = ["/proc/", "/sys/", "/dev/", "/run/", "/var/log/"];

/// What is known of the host.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Accounts by name.
    pub accounts: Option<BTreeMap<String, Account>>,
    /// Installed programs that attacks use.
    pub programs: Option<BTreeSet<String>>,
    /// The host's own addresses.
    pub own_addresses: Option<Networks>,
    /// What changed lately.
    pub changes: Option<Vec<Change>>,
    /// Earlier logins.
    pub past: Option<Past>,
    /// What the operator told.
    pub operator: Operator,
}

/// What the operator told, and nothing of the host: for logs that may be another host's.
pub fn of_no_host(operator: Operator) -> Known {
    Known { operator, ..Known::default() }
}

/// Looks at a tree; `live` is the running host. Logs are examined from `since` on.
pub fn look(
    tree: &RootedTree,
    live: bool,
    (since, now): (i64, i64),
    evidence: &[&Evidence],
    operator: Operator,
) -> Known {
    Known {
        accounts: read_accounts(tree, now),
        programs: Some(programs(tree)),
        own_addresses: live.then(|| own_addresses(tree)).flatten(),
        changes: Some(changes(tree, since.min(now.saturating_sub(DAY_SECONDS)), evidence)),
        past: history::past(tree, since),
        operator,
    }
}

/// The accounts of the files; `None` where passwd cannot be read, or a directory has further ones.
fn read_accounts(tree: &dyn Tree, now: i64) -> Option<BTreeMap<String, Account>> {
    if has_directory(tree) {
        return None;
    }
    let passwd = accounts::passwd("/etc/passwd", &tree.read_config("/etc/passwd").ok()?);
    if passwd.entries.len() > ACCOUNTS_MAX {
        return None;
    }
    let shadow = tree.read_config("/etc/shadow").ok();
    let shadow = shadow.map(|bytes| accounts::shadow("/etc/shadow", &bytes).entries);
    let by_name: Option<BTreeMap<&str, &Shadow>> = shadow
        .as_ref()
        .map(|entries| entries.iter().rev().map(|entry| (entry.name.as_str(), entry)).collect());
    let today = now.div_euclid(DAY_SECONDS);
    // The first line of a name wins, as in getpwnam(3).
    let users = passwd.entries.iter().rev();
    let one = |user: &accounts::User| {
        let entry = by_name.as_ref().and_then(|names| names.get(user.name.as_str()));
        let password = match (user.password, &by_name, entry) {
            (Field::Shadowed, None, _) => None,
            (Field::Shadowed, _, None) => Some(Password::Locked),
            (Field::Shadowed, _, Some(entry)) => Some(state(entry.password)),
            (field, ..) => Some(state(field)),
        };
        let changed = entry.and_then(|entry| entry.changed).filter(|day| *day > 0);
        let account = Account {
            uid: user.uid,
            login_shell: is_login_shell(&user.shell),
            password,
            password_days: changed.map(|day| today.saturating_sub(day)),
        };
        (scanner::redact::printable(&user.name), account)
    };
    Some(users.map(one).collect())
}

fn state(field: Field) -> Password {
    match field {
        Field::Empty => Password::Empty,
        Field::Hash(scheme) if scheme.is_weak() => Password::Weak,
        Field::Hash(_) => Password::Sound,
        Field::Shadowed | Field::Locked | Field::LockedHash(_) => Password::Locked,
    }
}

/// Whether nsswitch.conf(5) names sources of accounts besides the files.
fn has_directory(tree: &dyn Tree) -> bool {
    let Ok(bytes) = tree.read_config("/etc/nsswitch.conf") else { return false };
    let text = String::from_utf8_lossy(&bytes);
    let sources = text.lines().find_map(|line| line.trim_start().strip_prefix("passwd:"));
    sources.is_some_and(|sources| {
        let sources = sources.split('#').next().unwrap_or_default();
        let mut names = sources.split_whitespace().filter(|name| !name.starts_with('['));
        !names.all(|name| matches!(name, "files" | "systemd" | "compat" | "altfiles"))
    })
}

fn programs(tree: &dyn Tree) -> BTreeSet<String> {
    let is_there = |name: &&str| {
        FOLDERS.iter().any(|folder| tree.stat(&Path::new(folder).join(name), Links::Follow).is_ok())
    };
    LOOKED_FOR.iter().copied().filter(is_there).map(str::to_string).collect()
}

fn own_addresses(tree: &dyn Tree) -> Option<Networks> {
    let (own, _) = addresses::own(tree);
    let networks = own
        .0?
        .into_iter()
        .filter_map(|own| Network::new(own.address, if own.address.is_ipv4() { 32 } else { 128 }));
    Some(networks.collect::<Vec<_>>().into())
}

/// Files that the evidence is about, and footholds, with a change since then; accounts that logs say
/// were made.
fn changes(tree: &dyn Tree, since: i64, evidence: &[&Evidence]) -> Vec<Change> {
    let mut paths: BTreeSet<String> = FOOTHOLDS.iter().map(ToString::to_string).collect();
    for folder in FOOTHOLD_FOLDERS {
        let entries = tree.list(Path::new(folder)).unwrap_or_default().into_iter();
        let named = entries.take(FILES_MAX).map(|entry| entry.path.to_string_lossy().into_owned());
        paths.extend(named);
    }
    let mut changes = Vec::new();
    for item in evidence {
        if item.kind == Kind::Activity {
            let made = item.tags.iter().any(|tag| tag.starts_with("attack.t1136"));
            if let (true, Some(user), Some(at)) = (made, &item.subject.user, item.last) {
                let subject = format!("user:{user}");
                changes.push(Change { subject, at, by_package: false });
            }
            continue;
        }
        let shown = item.sources.iter().map(|source| &source.file);
        paths.extend(item.subject.path.iter().chain(shown).cloned());
    }
    let restless = |path: &String| RESTLESS.iter().any(|start| path.starts_with(start));
    paths.retain(|path| path.starts_with('/') && !restless(path));
    for path in paths.into_iter().take(FILES_MAX) {
        let Ok(stat) = tree.stat(Path::new(&path), Links::Follow) else { continue };
        if stat.modified >= since {
            let subject = format!("path:{path}");
            changes.push(Change { subject, at: stat.modified, by_package: false });
        }
    }
    if !changes.is_empty() {
        let unpacked = unpacked(tree, since);
        for change in &mut changes {
            let near = |at: &i64| at.abs_diff(change.at) <= PACKAGE_SECONDS.unsigned_abs();
            change.by_package = unpacked.iter().any(near);
        }
    }
    changes
}

/// When packages were unpacked: dpkg writes a package's list of files each time.
fn unpacked(tree: &dyn Tree, since: i64) -> BTreeSet<i64> {
    let mut times = BTreeSet::new();
    let each = &mut |entry: parsers::tree::Visited<'_>| {
        if Path::new(entry.name).extension().is_some_and(|end| end == "list")
            && let Ok(stat) = (entry.stat)()
            && stat.modified >= since.saturating_sub(PACKAGE_SECONDS)
        {
            times.insert(stat.modified);
        }
    };
    // Without dpkg there is nothing to read, and a change is somebody's.
    let _ = tree.visit(Path::new(INFO), each);
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use parsers::tree::MemoryTree;

    fn host() -> MemoryTree {
        MemoryTree::new()
            .file(
                "/etc/passwd",
                "root:x:0:0::/root:/bin/bash\nopen::1:1::/:/bin/sh\nold:x:2:2::/:/bin/sh\n\
                 svc:x:3:3::/:/usr/sbin/nologin\nlost:x:4:4::/:/bin/sh\n",
            )
            .file(
                "/etc/shadow",
                "root:$y$j9T$a$b:19000::::::\nold:$1$a$CANARY:0::::::\nsvc:!*:19000::::::\n",
            )
    }

    #[test]
    fn accounts_are_known_by_shell_and_state_of_password() {
        let accounts = read_accounts(&host(), 20_000 * DAY_SECONDS).unwrap();
        let state = |name: &str| (accounts[name].password, accounts[name].login_shell);
        assert_eq!(state("root"), (Some(Password::Sound), true));
        assert_eq!(state("open"), (Some(Password::Empty), true));
        assert_eq!(state("old"), (Some(Password::Weak), true));
        assert_eq!(state("svc"), (Some(Password::Locked), false));
        assert_eq!(state("lost"), (Some(Password::Locked), true));
        assert_eq!(accounts["root"].password_days, Some(1_000));
        assert_eq!(accounts["old"].password_days, None, "0 is \"change at the next login\"");
        assert!(!format!("{accounts:?}").contains("CANARY"));
    }

    #[test]
    fn what_cannot_be_read_is_not_known() {
        let blind = host().denied("/etc/shadow");
        let accounts = read_accounts(&blind, 0).unwrap();
        assert_eq!(accounts["root"].password, None);
        assert_eq!(accounts["open"].password, Some(Password::Empty));
        assert_eq!(read_accounts(&MemoryTree::new(), 0), None);
        let directory =
            host().file("/etc/nsswitch.conf", "group: files\npasswd: files sss # ldap\n");
        assert_eq!(read_accounts(&directory, 0), None);
        let files = host().file("/etc/nsswitch.conf", "passwd: files systemd [!NOTFOUND=return]\n");
        assert!(read_accounts(&files, 0).is_some());
    }

    #[test]
    fn a_list_that_is_too_long_is_not_known() {
        let users =
            |n: usize| -> String { (0..n).map(|i| format!("u{i}:x:{i}:0::/:/bin/sh\n")).collect() };
        let known = |n| read_accounts(&MemoryTree::new().file("/etc/passwd", users(n)), 0);
        assert_eq!(known(ACCOUNTS_MAX).unwrap().len(), ACCOUNTS_MAX);
        assert_eq!(known(ACCOUNTS_MAX + 1), None);
    }

    #[test]
    fn programs_are_looked_for_where_they_are() {
        let tree = MemoryTree::new().file("/usr/bin/sudo", "").file("/opt/php", "");
        assert_eq!(programs(&tree), ["sudo".to_string()].into());
    }

    #[test]
    fn recent_changes_are_told_apart_from_upgrades() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, at: u64| {
            let file = root.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            let file = std::fs::File::create(file).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(at)).unwrap();
        };
        write("etc/passwd", 5_000);
        write("etc/sudoers.d/new", 50_000);
        write("etc/pam.d/sshd", 90_000);
        write("var/lib/dpkg/info/libpam.list", 90_300);
        let tree = RootedTree::open(root.path()).unwrap();
        let found = changes(&tree, 10_000, &[]);
        let told: Vec<_> = found.iter().map(|c| (c.subject.as_str(), c.at, c.by_package)).collect();
        assert_eq!(
            told,
            [("path:/etc/pam.d/sshd", 90_000, true), ("path:/etc/sudoers.d/new", 50_000, false)]
        );
    }
}
