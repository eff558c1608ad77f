//! sudo: who may run what as root, with or without a password, and which Defaults hold.
//!
//! An include that could not be read turns a pass into "not run": the rule that matters may be there.

use consensus::{Kind, Privilege, Severity};

use super::Check;

mod judge;

const SUDO: Check = Check {
    techniques: &["attack.t1548"],
    id: "",
    title: "",
    why: "",
    kind: Kind::Posture,
    level: Severity::Medium,
    privilege: Privilege::Root,
    services: &[],
    remediation: "Edit the file with visudo(8), which refuses mistakes.",
    snippet: "visudo",
    references: &["sudoers(5)", "visudo(8)", "CIS Benchmark: Configure privilege escalation"],
    run: judge::problems,
};

/// The checks of this area.
pub const CHECKS: &[Check] = &[
    Check {
        id: "sudo-nopasswd-all",
        title: "Everything may be run as root without a password",
        why: "Whoever gets into the account, by a key or a stolen session, is root at once.",
        remediation: "Ask for a password, or name the few commands that need none.",
        run: judge::nopasswd_all,
        ..SUDO
    },
    Check {
        id: "sudo-everybody",
        title: "Every account may run everything as root",
        why: "Any compromised service account is then root.",
        level: Severity::Critical,
        remediation: "Name the users or the group that need it.",
        run: judge::everybody,
        ..SUDO
    },
    Check {
        id: "sudo-no-authenticate",
        title: "sudo does not ask for a password",
        why: "`!authenticate` switches the password off for every rule that it covers.",
        level: Severity::High,
        remediation: "Remove `!authenticate`.",
        run: judge::no_authenticate,
        ..SUDO
    },
    Check {
        id: "sudo-shell-escape",
        title: "A granted command gives a root shell",
        why: "Shells, editors, pagers and interpreters run whatever their user likes, as root.",
        remediation: "Use `sudoedit` for files, and small scripts of root's for tasks.",
        references: &["sudoers(5) PREVENTING SHELL ESCAPES", "sudo(8)"],
        run: judge::escapes,
        ..SUDO
    },
    Check {
        id: "sudo-wildcards",
        title: "A granted command has wildcards",
        why: "`*` in arguments also matches blanks, options and `../`, so more is allowed than it looks.",
        level: Severity::Low,
        remediation: "Write the arguments out, or use a regular expression (`^…$`).",
        references: &["sudoers(5) Wildcards"],
        run: judge::wildcards,
        ..SUDO
    },
    Check {
        id: "sudo-negated-commands",
        title: "Commands are forbidden by name while all others are allowed",
        why: "A copy of the program under another name gets around `ALL, !command`.",
        level: Severity::Low,
        remediation: "List what is allowed instead of what is not.",
        references: &["sudoers(5) SECURITY NOTES"],
        run: judge::negated,
        ..SUDO
    },
    Check {
        id: "sudo-writable-command",
        title: "A command that sudo runs as root can be replaced by others",
        why: "Who can write the program, or a directory on the way to it, can become root.",
        level: Severity::High,
        remediation: "Give the program and its directories to root, writable by root alone.",
        snippet: "chown root: FILE && chmod go-w FILE",
        run: judge::writable,
        ..SUDO
    },
    Check {
        id: "sudo-files",
        title: "sudo's configuration can be changed by others",
        why: "Who can write it can become root (sudo refuses some of these files, and is then of no use).",
        level: Severity::High,
        remediation: "Give the file to root with mode 0440.",
        snippet: "chown root:root FILE && chmod 0440 FILE",
        run: judge::modes,
        ..SUDO
    },
    Check {
        id: "sudo-environment",
        title: "sudo keeps variables that let the caller run code",
        why: "LD_PRELOAD and its like make root load the caller's code.",
        level: Severity::High,
        remediation: "Keep env_reset on and take the variable out of env_keep.",
        references: &["sudoers(5) env_keep", "ld.so(8)"],
        run: judge::environment,
        ..SUDO
    },
    Check {
        id: "sudo-timestamp",
        title: "A password once given counts for ever",
        why: "With a negative timestamp_timeout an open session is root until the next boot.",
        level: Severity::Medium,
        remediation: "Remove timestamp_timeout, or set minutes.",
        run: judge::timestamp,
        ..SUDO
    },
    Check {
        id: "sudo-use-pty",
        title: "Commands run in the caller's own terminal",
        why: "A program run through sudo can then type into the caller's shell later on.",
        level: Severity::Info,
        remediation: "Add `Defaults use_pty` (on by default since sudo 1.9.14).",
        references: &["sudoers(5) use_pty", "CIS Benchmark: Ensure sudo commands use pty"],
        run: judge::use_pty,
        ..SUDO
    },
    Check {
        id: "sudo-syntax",
        title: "Line of sudoers that sudo does not accept",
        why: "Depending on its version, sudo ignores the line or refuses to run at all.",
        level: Severity::Medium,
        privilege: Privilege::None,
        snippet: "visudo -c",
        run: judge::problems,
        ..SUDO
    },
];

#[cfg(test)]
mod tests;
