//! What is wrong with a policy.

use std::collections::HashSet;
use std::path::Path;

use consensus::{Severity, Subject};
use parsers::config::sudoers::{
    AliasKind, Command, EXPANDED_MAX, Member, Operator, Rule, SUDOERS, Sudoers, What, Who,
};
use parsers::place::Place;
use parsers::tree::{Links, LookError};

use crate::checks::{CheckResult, Observation, Outcome};
use crate::{Fact, Facts};

/// The policy, read once.
struct Policy(Result<Sudoers, LookError>);

impl Fact for Policy {
    fn look(facts: &Facts<'_>) -> Self {
        Self(Sudoers::read(facts.tree, SUDOERS))
    }
}

/// Judges the policy; what could not be read is said.
fn with(facts: &Facts<'_>, fine: &str, judge: impl Fn(&Sudoers) -> Vec<Observation>) -> Outcome {
    let policy = facts.get::<Policy>();
    let policy = match &policy.0 {
        Ok(policy) => policy,
        Err(error) => return Outcome::unreadable(error),
    };
    let unread: Vec<String> = policy.unread.iter().map(ToString::to_string).collect();
    let outcome = Outcome::failed_or(judge(policy), fine);
    match outcome.result {
        CheckResult::Passed if !unread.is_empty() => Outcome::not_run(unread.join("; ")),
        _ => outcome.unseen(unread),
    }
}

/// An observation about a rule, shown by its line.
fn about(policy: &Sudoers, rule: &Rule, title: String) -> Observation {
    let users = users(policy, rule);
    let mut seen = Observation::at(&rule.place, &rule.text)
        .key(format!("{}:{users}:{}", rule.place.file, command_name(&rule.command)))
        .title(title)
        .fact("users", users.clone());
    if !users.contains([',', '%', '+']) {
        seen.subject =
            Subject { user: Some(crate::redact::printable(&users)), ..Subject::default() };
    }
    seen
}

fn users(policy: &Sudoers, rule: &Rule) -> String {
    const SHOWN: usize = 5;
    let members = policy.members(AliasKind::User, &rule.users, SHOWN + 1);
    let mut names: Vec<String> = members.iter().take(SHOWN).map(member_name).collect();
    if members.len() > SHOWN {
        names.push("and more".into());
    }
    names.join(", ")
}

fn member_name(member: &Member) -> String {
    let name = match &member.who {
        Who::All => "ALL".into(),
        Who::Name(name) | Who::Alias(name) => name.clone(),
        Who::Uid(uid) => format!("#{uid}"),
        Who::Group(name) => format!("%{name}"),
        Who::Gid(gid) => format!("%#{gid}"),
        Who::OtherGroup(name) => format!("%:{name}"),
        Who::Netgroup(name) => format!("+{name}"),
    };
    if member.negated { format!("!{name}") } else { name }
}

/// The program of a command, without arguments (they may hold anything).
fn command_name(command: &Command) -> String {
    match &command.what {
        What::All => "ALL".into(),
        What::Alias(name) => name.clone(),
        What::Edit(_) => "sudoedit".into(),
        What::List(_) => "list".into(),
        What::Path { path, .. } => path.clone(),
    }
}

/// Whether a rule lets its users become root.
fn is_as_root(policy: &Sudoers, rule: &Rule) -> bool {
    let Some(runas) = &rule.runas else {
        return policy.global("runas_default").is_none_or(|set| set.value == "root");
    };
    let root =
        parsers::config::sudoers::Account { name: "root".into(), uid: 0, groups: Vec::new() };
    policy.names(AliasKind::Runas, &runas.users, &root)
}

/// Whether a rule is only about root himself.
fn is_roots_own(policy: &Sudoers, rule: &Rule) -> bool {
    let is_other = |who: &Who| !matches!(who, Who::Name(n) if n == "root") && *who != Who::Uid(0);
    // A list too long to be looked through is not taken for root's alone.
    policy.last_that(AliasKind::User, &rule.users, &is_other).is_none()
        && policy.members(AliasKind::User, &rule.users, EXPANDED_MAX).len() < EXPANDED_MAX
}

/// Rules that give others than root something as root.
fn grants(policy: &Sudoers) -> impl Iterator<Item = &Rule> {
    policy.rules.iter().filter(|rule| is_as_root(policy, rule) && !is_roots_own(policy, rule))
}

/// The positive commands of a rule, aliases replaced.
fn allowed(policy: &Sudoers, rule: &Rule) -> Vec<Command> {
    policy.commands(&rule.command).into_iter().filter(|command| !command.negated).collect()
}

fn gives_all(policy: &Sudoers, rule: &Rule) -> bool {
    allowed(policy, rule).iter().any(|command| command.what == What::All)
}

pub(super) fn nopasswd_all(facts: &Facts<'_>) -> Outcome {
    with(facts, "every ALL rule asks for a password", |policy| {
        grants(policy)
            .filter(|rule| rule.tags.password == Some(false) && gives_all(policy, rule))
            .map(|rule| {
                let who = users(policy, rule);
                about(policy, rule, format!("{who} may run everything as root without a password"))
            })
            .collect()
    })
}

pub(super) fn everybody(facts: &Facts<'_>) -> Outcome {
    with(facts, "no rule gives everybody everything", |policy| {
        // With targetpw or rootpw the password asked for is root's own.
        let asks_roots = ["targetpw", "rootpw"]
            .iter()
            .any(|name| policy.global(name).is_some_and(|set| set.operator == Operator::On));
        let is_all = |who: &Who| *who == Who::All;
        grants(policy)
            .filter(|rule| policy.last_that(AliasKind::User, &rule.users, &is_all) == Some(false))
            .filter(|rule| gives_all(policy, rule))
            .filter(|rule| !asks_roots || rule.tags.password == Some(false))
            .map(|rule| {
                let title = "every account may run everything as root".to_string();
                about(policy, rule, title).floor(Severity::High)
            })
            .collect()
    })
}

pub(super) fn no_authenticate(facts: &Facts<'_>) -> Outcome {
    use parsers::config::sudoers::Scope;
    with(facts, "passwords are asked for", |policy| {
        let last = policy.global("authenticate");
        policy
            .named("authenticate")
            .filter(|set| set.operator == Operator::Off)
            .filter(|set| *set.scope != Scope::Global || last == Some(set))
            .map(|set| {
                let seen = Observation::at(&set.place, &set.text).key(set.place.file.to_string());
                let level = match *set.scope {
                    Scope::Global => Severity::High,
                    _ => Severity::Medium,
                };
                seen.title("`!authenticate` switches the password off").level(level)
            })
            .collect()
    })
}

/// Programs that run what their user likes, by name.
const ESCAPES: &[&str] = &[
    "sh", "bash", "dash", "zsh", "ksh", "fish", "csh", "tcsh", "busybox", "vi", "vim", "nvim",
    "view", "vimdiff", "nano", "pico", "emacs", "ed", "ex", "joe", "mcedit", "less", "more",
    "most", "man", "perl", "python", "python2", "python3", "ruby", "lua", "node", "php", "awk",
    "gawk", "mawk", "find", "xargs", "env", "su", "sudo", "nsenter", "chroot", "unshare", "gdb",
    "strace", "script", "screen", "tmux", "expect", "git", "ftp", "rsync", "tar", "zip", "docker",
    "podman", "mount", "dd", "tee", "cp", "mv", "chmod", "chown", "visudo", "crontab",
];

pub(super) fn escapes(facts: &Facts<'_>) -> Outcome {
    with(facts, "no granted command is a shell, editor or interpreter", |policy| {
        let mut bad = Vec::new();
        for rule in grants(policy).filter(|rule| !gives_all(policy, rule)) {
            let found = allowed(policy, rule).into_iter().find_map(|command| match command.what {
                // Fixed arguments leave no choice, an editor's file does: only "none at all" is safe.
                What::Path { path, arguments } => {
                    let name = path.rsplit('/').next().unwrap_or_default();
                    let is_free = arguments.as_deref().is_none_or(|given| given.contains('*'));
                    let is_editor =
                        matches!(name, "vi" | "vim" | "nano" | "emacs" | "less" | "more" | "view");
                    let is_directory = path.ends_with('/');
                    let escapes = ESCAPES.contains(&name) && (is_free || is_editor);
                    (is_directory || escapes).then_some(path)
                }
                _ => None,
            });
            if let Some(path) = found {
                let who = users(policy, rule);
                let noexec = rule.tags.exec == Some(false);
                let level = if noexec { Severity::Low } else { Severity::Medium };
                let title = format!("{who} may run {path} as root, which gives a root shell");
                bad.push(about(policy, rule, title).level(level));
            }
        }
        bad
    })
}

pub(super) fn wildcards(facts: &Facts<'_>) -> Outcome {
    with(facts, "no wildcards in granted commands", |policy| {
        let mut bad = Vec::new();
        for rule in grants(policy) {
            let has_wildcard = allowed(policy, rule).iter().any(|command| match &command.what {
                What::Path { path, arguments } => {
                    let is_loose = |text: &str| text.contains('*') && !text.starts_with('^');
                    is_loose(path) || arguments.as_deref().is_some_and(is_loose)
                }
                What::Edit(files) => files.contains('*'),
                _ => false,
            });
            if has_wildcard {
                let who = users(policy, rule);
                let name = command_name(&rule.command);
                bad.push(about(policy, rule, format!("{who} may run {name} with wildcards")));
            }
        }
        bad
    })
}

/// Two rules with the same word are for the same users and hosts; long lists are only compared within
/// their own line.
fn for_whom(rule: &Rule) -> String {
    const COMPARED_MAX: usize = 4;
    if rule.users.len() + rule.hosts.len() <= COMPARED_MAX {
        return format!("{:?} {:?}", rule.users, rule.hosts);
    }
    format!("{:p} {:p}", std::sync::Arc::as_ptr(&rule.users), std::sync::Arc::as_ptr(&rule.hosts))
}

pub(super) fn negated(facts: &Facts<'_>) -> Outcome {
    with(facts, "nothing is forbidden by name", |policy| {
        let all: HashSet<String> =
            grants(policy).filter(|rule| gives_all(policy, rule)).map(for_whom).collect();
        let mut bad: Vec<Observation> = Vec::new();
        for rule in grants(policy) {
            let forbids = policy.commands(&rule.command).iter().any(|command| command.negated);
            if forbids && all.contains(&for_whom(rule)) {
                let who = users(policy, rule);
                let name = command_name(&rule.command);
                bad.push(about(policy, rule, format!("{who} may run everything but {name}")));
            }
        }
        bad
    })
}

pub(super) fn writable(facts: &Facts<'_>) -> Outcome {
    let mut denied = Vec::new();
    let looked = std::cell::RefCell::new(&mut denied);
    let outcome = with(facts, "granted commands belong to root", |policy| {
        let mut bad = Vec::new();
        for rule in grants(policy) {
            for command in allowed(policy, rule) {
                let What::Path { path, .. } = command.what else { continue };
                if path.contains(['*', '?', '[', '^']) {
                    continue;
                }
                match crate::checks::cron::changeable(facts.tree, &path, 0) {
                    Ok(None) => {}
                    Ok(Some(why)) => {
                        let title = format!("{path}, run as root, can be replaced: {why}");
                        bad.push(about(policy, rule, title));
                    }
                    Err(error) => looked.borrow_mut().push(error.to_string()),
                }
            }
        }
        bad
    });
    outcome.unseen(denied)
}

pub(super) fn modes(facts: &Facts<'_>) -> Outcome {
    with(facts, "sudo's files belong to root", |policy| {
        let mut paths: Vec<&str> = policy.files.iter().map(|file| &**file).collect();
        paths.push("/etc/sudoers.d");
        let mut bad = Vec::new();
        for path in paths {
            let Ok(stat) = facts.tree.stat(Path::new(path), Links::Follow) else { continue };
            let fault = if stat.uid != 0 {
                format!("belongs to user id {}", stat.uid)
            } else if stat.mode & 0o002 != 0 {
                "is world-writable".into()
            } else if stat.mode & 0o020 != 0 && stat.gid != 0 {
                format!("is writable by group {}", stat.gid)
            } else {
                continue;
            };
            let shown = format!("mode {:04o}, owner {}, group {}", stat.mode, stat.uid, stat.gid);
            let mut seen = Observation::at(&Place::whole(path), &shown).key(path);
            seen.subject = Subject { path: Some(path.to_string()), ..Subject::default() };
            bad.push(seen.title(format!("{path} {fault}")).floor(Severity::High));
        }
        bad
    })
}

/// Variables that make programs load or run what the caller likes.
fn is_dangerous(name: &str) -> bool {
    name.starts_with("LD_")
        || matches!(
            name,
            "PYTHONPATH"
                | "PYTHONSTARTUP"
                | "PYTHONHOME"
                | "PERL5LIB"
                | "PERLLIB"
                | "PERL5OPT"
                | "RUBYLIB"
                | "RUBYOPT"
                | "NODE_OPTIONS"
                | "BASH_ENV"
                | "ENV"
                | "SHELLOPTS"
                | "PS4"
                | "IFS"
                | "PATH"
                | "GLIBC_TUNABLES"
                | "*"
        )
}

pub(super) fn environment(facts: &Facts<'_>) -> Outcome {
    with(facts, "the environment is reset", |policy| {
        let mut bad = Vec::new();
        for set in policy.defaults.iter() {
            let title = match (set.name.as_str(), set.operator) {
                ("env_reset", Operator::Off) => {
                    "the caller's environment is kept (!env_reset)".into()
                }
                ("env_keep" | "env_check", Operator::Set | Operator::Add) => {
                    let found = set.value.split_whitespace().find(|name| {
                        is_dangerous(name.split_once('=').map_or(*name, |(name, _)| name))
                    });
                    match found {
                        Some(name) => format!("{name} is kept for root"),
                        None => continue,
                    }
                }
                _ => continue,
            };
            let seen = Observation::at(&set.place, &set.text);
            bad.push(seen.key(format!("{}:{}", set.place.file, set.name)).title(title));
        }
        bad
    })
}

pub(super) fn timestamp(facts: &Facts<'_>) -> Outcome {
    with(facts, "passwords are asked for again", |policy| {
        policy
            .named("timestamp_timeout")
            .filter(|set| set.value.trim().starts_with('-'))
            .map(|set| Observation::at(&set.place, &set.text).key(set.place.file.to_string()))
            .collect()
    })
}

pub(super) fn use_pty(facts: &Facts<'_>) -> Outcome {
    with(facts, "use_pty is on", |policy| match policy.global("use_pty") {
        Some(set) if set.operator == Operator::On => Vec::new(),
        Some(set) => {
            vec![Observation::at(&set.place, &set.text).title("`use_pty` is switched off")]
        }
        None => {
            let title = "`use_pty` is not set (off before sudo 1.9.14)";
            vec![Observation::at(&Place::whole(SUDOERS), "(not set)").title(title)]
        }
    })
}

pub(super) fn problems(facts: &Facts<'_>) -> Outcome {
    with(facts, "every line was understood", |policy| {
        policy
            .problems
            .kept
            .iter()
            .map(|problem| {
                let place = &problem.place;
                let title = format!("{place}: {}", problem.message);
                Observation::at(place, "").key(place.to_string()).title(title)
            })
            .collect()
    })
}
