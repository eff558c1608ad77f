//! Who became whom: sudo, su, pkexec, polkit and login.
//!
//! The directory and the command of sudo are chosen by its user: the command goes from the first
//! `COMMAND=` to the end of the line, so that a directory called ` ; COMMAND=/bin/ls` hides nothing.

use super::{Ended, Extracted};

/// `bob : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh`, with a complaint before `TTY`.
pub(super) fn sudo(text: &str) -> Extracted<'_> {
    let Some((user, rest)) = text.split_once(" : ") else { return Extracted::default() };
    if user.contains(' ') {
        return Extracted::default();
    }
    if let Some(command) = rest.strip_prefix("(command continued) ") {
        return Extracted { user: Some(user), command: Some(command), ..Extracted::default() };
    }
    let complaint = !rest.starts_with("TTY=") && !rest.starts_with("PWD=");
    let part = |name: &str| rest.split(" ; ").find_map(|part| part.trim().strip_prefix(name));
    Extracted {
        user: Some(user),
        target: part("USER="),
        command: rest.split_once("COMMAND=").map(|(_, command)| command),
        ended: Some(if complaint { Ended::Failure } else { Ended::Success }),
        ..Extracted::default()
    }
}

/// `bob: Executing command [USER=root] [TTY=/dev/pts/0] [CWD=/home/bob] [COMMAND=/bin/bash]`.
pub(super) fn pkexec(text: &str) -> Extracted<'_> {
    let Some((user, rest)) = text.split_once(": ") else { return Extracted::default() };
    let Some((said, rest)) = rest.split_once(" [USER=") else { return Extracted::default() };
    if user.contains(' ') {
        return Extracted::default();
    }
    let command = rest.split_once("[COMMAND=").map(|(_, command)| command);
    let ended = if said == "Executing command" { Ended::Success } else { Ended::Failure };
    Extracted {
        user: Some(user),
        target: rest.split(']').next(),
        command: command.map(|command| command.strip_suffix(']').unwrap_or(command)),
        ended: Some(ended),
        ..Extracted::default()
    }
}

/// `Operator of unix-session:2 FAILED to authenticate to gain authorization … (owned by unix-user:bob)`.
pub(super) fn polkit(text: &str) -> Extracted<'_> {
    let Some((_, user)) = text.rsplit_once("(owned by unix-user:") else {
        return Extracted::default();
    };
    let ended = text.contains(" FAILED to authenticate ").then_some(Ended::Failure);
    let user = Some(user.split(')').next().unwrap_or(user));
    Extracted { user, ended, ..Extracted::default() }
}

/// su of shadow, of util-linux and of old systems.
pub(super) fn su(text: &str) -> Extracted<'_> {
    let named = |user, target, ended| Extracted {
        user: Some(user),
        target: Some(target),
        ended: Some(ended),
        ..Extracted::default()
    };
    for (prefix, ended) in [("FAILED SU (to ", Ended::Failure), ("(to ", Ended::Success)] {
        if let Some((target, rest)) = text.strip_prefix(prefix).and_then(|r| r.split_once(") ")) {
            return named(rest.split(' ').next().unwrap_or(rest), target, ended);
        }
    }
    for (prefix, ended) in
        [("FAILED su for ", Ended::Failure), ("Successful su for ", Ended::Success)]
    {
        if let Some((target, user)) = text.strip_prefix(prefix).and_then(|r| r.split_once(" by ")) {
            return named(user, target, ended);
        }
    }
    Extracted::default()
}

/// `FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure`, `ROOT LOGIN ON tty1`,
/// `LOGIN ON tty1 BY bob`.
pub(super) fn login(text: &str) -> Extracted<'_> {
    if text.starts_with("FAILED LOGIN ") {
        let typed = text.split_once(" FOR ").map(|(_, rest)| rest);
        let user = typed.and_then(|rest| Some(rest.rsplit_once(", ")?.0.trim_matches('\'')));
        return Extracted {
            user,
            typed: true,
            ended: Some(Ended::Failure),
            ..Extracted::default()
        };
    }
    let ended = Some(Ended::Success);
    if text.starts_with("ROOT LOGIN ") {
        return Extracted { user: Some("root"), ended, ..Extracted::default() };
    }
    match text.strip_prefix("LOGIN ON ").and_then(|rest| rest.split_once(" BY ")) {
        Some((_, rest)) => {
            Extracted { user: rest.split(' ').next(), ended, ..Extracted::default() }
        }
        None => Extracted::default(),
    }
}
