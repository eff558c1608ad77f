//! Who became whom: sudo, su, pkexec, polkit and login.
//!
//! The directory and the command of sudo are chosen by its user: the command goes from the first
//! `COMMAND=` to the end of the line, so that a directory called ` ; COMMAND=/bin/ls` hides nothing.

use super::sought::sought;
use super::{Ended, Extracted};

/// `bob : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh`, with a complaint before `TTY`.
pub(super) fn sudo(text: &str) -> Extracted<'_> {
    let Some((user, rest)) = sought!(" : ").split(text) else { return Extracted::default() };
    if user.contains(' ') {
        return Extracted::default();
    }
    if let Some(command) = rest.strip_prefix("(command continued) ") {
        return Extracted { user: Some(user), command: Some(command), ..Extracted::default() };
    }
    let complaint = !rest.starts_with("TTY=") && !rest.starts_with("PWD=");
    Extracted {
        user: Some(user),
        target: target(rest),
        command: sought!("COMMAND=").split(rest).map(|(_, command)| command),
        ended: Some(if complaint { Ended::Failure } else { Ended::Success }),
        ..Extracted::default()
    }
}

/// Who is become: the first part of the record that says so, from mark to mark.
fn target(record: &str) -> Option<&str> {
    let mut rest = record;
    loop {
        let (part, after) = match sought!(" ; ").split(rest) {
            Some((part, after)) => (part, Some(after)),
            None => (rest, None),
        };
        if let Some(target) = part.trim().strip_prefix("USER=") {
            return Some(target);
        }
        rest = after?;
    }
}

/// `bob: Executing command [USER=root] [TTY=/dev/pts/0] [CWD=/home/bob] [COMMAND=/bin/bash]`.
pub(super) fn pkexec(text: &str) -> Extracted<'_> {
    let Some((user, rest)) = sought!(": ").split(text) else { return Extracted::default() };
    let Some((said, rest)) = sought!(" [USER=").split(rest) else { return Extracted::default() };
    if user.contains(' ') {
        return Extracted::default();
    }
    let command = sought!("[COMMAND=").split(rest).map(|(_, command)| command);
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
    let Some((_, user)) = sought!("(owned by unix-user:").rsplit(text) else {
        return Extracted::default();
    };
    let ended = sought!(" FAILED to authenticate ").is_in(text).then_some(Ended::Failure);
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
        if let Some((target, rest)) = text.strip_prefix(prefix).and_then(|r| sought!(") ").split(r))
        {
            return named(rest.split(' ').next().unwrap_or(rest), target, ended);
        }
    }
    for (prefix, ended) in
        [("FAILED su for ", Ended::Failure), ("Successful su for ", Ended::Success)]
    {
        if let Some((target, user)) =
            text.strip_prefix(prefix).and_then(|r| sought!(" by ").split(r))
        {
            return named(user, target, ended);
        }
    }
    Extracted::default()
}

/// `FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure`, `ROOT LOGIN ON tty1`,
/// `LOGIN ON tty1 BY bob`.
pub(super) fn login(text: &str) -> Extracted<'_> {
    if text.starts_with("FAILED LOGIN ") {
        let typed = sought!(" FOR ").split(text).map(|(_, rest)| rest);
        let user = typed.and_then(|rest| Some(sought!(", ").rsplit(rest)?.0.trim_matches('\'')));
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
    match text.strip_prefix("LOGIN ON ").and_then(|rest| sought!(" BY ").split(rest)) {
        Some((_, rest)) => {
            Extracted { user: rest.split(' ').next(), ended, ..Extracted::default() }
        }
        None => Extracted::default(),
    }
}
