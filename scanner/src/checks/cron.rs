//! Scheduled jobs and who may change what they run.
//!
//! Read are `/etc/crontab`, `/etc/cron.d` (by the name rules of the cron that is installed) and users'
//! own crontabs. What a job runs is taken from its command line as far as words tell: programs, scripts
//! given to interpreters, directories given to run-parts.

use consensus::{Kind, Privilege, Severity};

use super::Check;

mod jobs;
mod modes;

pub(in crate::checks) use modes::changeable;

const CRON: Check = Check {
    techniques: &["attack.t1053"],
    id: "",
    title: "",
    why: "",
    kind: Kind::Posture,
    level: Severity::High,
    privilege: Privilege::Root,
    services: &[],
    remediation: "",
    snippet: "",
    references: &["cron(8)", "crontab(5)", "CIS Benchmark: Configure time-based job schedulers"],
    run: modes::files,
};

/// The checks of this area.
pub const CHECKS: &[Check] = &[
    Check {
        id: "cron-files",
        title: "Scheduled jobs can be changed by others",
        why: "Who can write a crontab or a cron directory runs commands as root.",
        remediation: "Give it to root, writable by root alone.",
        snippet: "chown root:root PATH && chmod go-w PATH",
        run: modes::files,
        ..CRON
    },
    Check {
        id: "cron-writable-job",
        title: "What a scheduled job runs can be replaced by others",
        why: "Who can write the script, or a directory on the way to it, runs commands as the job's user.",
        remediation: "Give the script and its directories to the job's user or root.",
        snippet: "chown root:root SCRIPT && chmod go-w SCRIPT",
        run: jobs::replaceable,
        ..CRON
    },
    Check {
        id: "cron-secrets",
        techniques: &["attack.t1552"],
        title: "A password stands in a scheduled command",
        why: "Every user can read it in the process list while the job runs, and often in the file.",
        level: Severity::Medium,
        privilege: Privilege::Service,
        remediation: "Move the secret to a file that only the job's user can read, and change it.",
        references: &["proc_pid_cmdline(5)", "crontab(5)"],
        run: jobs::secrets,
        ..CRON
    },
    Check {
        id: "cron-syntax",
        title: "Scheduled job that never runs",
        why: "cron skips lines and file names that it does not accept, often a backup or an update.",
        level: Severity::Low,
        privilege: Privilege::None,
        remediation: "Correct the line, or rename the file (letters, digits, `-` and `_` only).",
        run: jobs::never_run,
        ..CRON
    },
    Check {
        id: "cron-allow",
        title: "Every user may schedule jobs",
        why: "With cron.allow and at.allow only the users named there may.",
        level: Severity::Info,
        privilege: Privilege::None,
        remediation: "Create the files and name the users who need it.",
        snippet: "touch /etc/cron.allow && chmod 640 /etc/cron.allow",
        references: &["crontab(1)", "at.allow(5)", "CIS Benchmark: Ensure crontab is restricted"],
        run: modes::allow,
        ..CRON
    },
];

#[cfg(test)]
mod tests;
