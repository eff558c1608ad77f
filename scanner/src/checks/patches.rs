//! Updates, reboots, old code still running, end of life: without a network.
//!
//! Pending updates are read from apt's own lists (see [`pending`]), so they are as fresh as the last
//! `apt-get update`: their age is a check of its own. Other package managers are said to be unseen.

use consensus::{Kind, Privilege, Severity};

use super::Check;

mod lifetime;
mod pending;
mod running;

/// The checks of this area.
pub const CHECKS: &[Check] = &[
    Check {
        id: "patches-security-updates",
        title: "security updates are not installed",
        why: "The holes that they close are public; tools to use them follow within days.",
        kind: Kind::Patch,
        level: Severity::Medium,
        privilege: Privilege::Root,
        services: &[],
        techniques: &["attack.t1190", "attack.t1068"],
        remediation: "Install the pending security updates, then restart what uses them.",
        snippet: "apt-get update && apt-get upgrade",
        references: &[
            "apt-get(8)",
            "CIS Debian Linux Benchmark: Ensure updates and patches are installed",
        ],
        run: pending::security_updates,
    },
    Check {
        id: "patches-lists-age",
        title: "the package lists are old",
        why: "Without fresh lists nobody here knows which security updates exist.",
        kind: Kind::Patch,
        level: Severity::Low,
        privilege: Privilege::None,
        services: &[],
        techniques: &[],
        remediation: "Refresh the lists, and let a timer do it daily.",
        snippet: "apt-get update && systemctl enable --now apt-daily.timer",
        references: &["apt-get(8)"],
        run: pending::lists_age,
    },
    Check {
        id: "patches-automatic",
        title: "security updates are not installed by themselves",
        why: "Most hosts that are broken into through an old hole had the update waiting.",
        kind: Kind::Patch,
        level: Severity::Info,
        privilege: Privilege::None,
        services: &[],
        techniques: &[],
        remediation: "Install unattended-upgrades (or dnf-automatic) unless something else updates this host.",
        snippet: "apt-get install unattended-upgrades && dpkg-reconfigure -plow unattended-upgrades",
        references: &["unattended-upgrade(8)"],
        run: pending::automatic,
    },
    Check {
        id: "patches-unfinished",
        title: "packages are half installed",
        why: "A package whose installation broke off may lack its fixes and blocks further updates.",
        kind: Kind::Patch,
        level: Severity::Low,
        privilege: Privilege::None,
        services: &[],
        techniques: &[],
        remediation: "Let dpkg finish its work.",
        snippet: "dpkg --configure -a && apt-get install -f",
        references: &["dpkg(1)"],
        run: pending::unfinished,
    },
    Check {
        id: "patches-reboot",
        title: "the host must be rebooted to use its updates",
        why: "An update of the kernel protects only after the host runs it.",
        kind: Kind::Patch,
        level: Severity::Medium,
        privilege: Privilege::Root,
        services: &[],
        techniques: &[],
        remediation: "Reboot at the next occasion.",
        snippet: "systemctl reboot",
        references: &["needrestart(1)", "reboot-required in the Debian Policy Manual"],
        run: running::reboot,
    },
    Check {
        id: "patches-old-code",
        title: "processes still run code that was replaced",
        why: "A library that was updated on disk is not updated in the processes that loaded it before.",
        kind: Kind::Patch,
        level: Severity::Medium,
        privilege: Privilege::Service,
        services: &[],
        techniques: &[],
        remediation: "Restart the services named.",
        snippet: "systemctl restart SERVICE",
        references: &["proc(5)", "needrestart(1)"],
        run: running::old_code,
    },
    Check {
        id: "patches-end-of-life",
        title: "the distribution gets no security updates any more",
        why: "New holes stay open on it for ever.",
        kind: Kind::Patch,
        level: Severity::High,
        privilege: Privilege::Root,
        services: &[],
        techniques: &["attack.t1190", "attack.t1068"],
        remediation: "Upgrade to a supported release, or buy extended support.",
        snippet: "",
        references: &["os-release(5)", "the release schedule of the distribution"],
        run: lifetime::end_of_life,
    },
];
