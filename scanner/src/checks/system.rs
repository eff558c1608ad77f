//! Mandatory access control, time synchronisation, logging, firewall.
//!
//! Questions about the host as a whole. In a container most belong to the host around it and do not
//! apply. What runs is asked of `/proc`, what will run after a boot of the enabled units.

use consensus::{Kind, Privilege, Severity};

use super::Check;

mod enabled;
mod firewall;
mod state;

/// The checks of this area.
pub const CHECKS: &[Check] = &[
    Check {
        id: "system-mac",
        title: "no mandatory access control is in force",
        why: "AppArmor or SELinux keep a service that was broken into from reaching the rest of the host.",
        kind: Kind::Posture,
        level: Severity::Low,
        privilege: Privilege::None,
        services: &[],
        techniques: &[],
        remediation: "Enable what the distribution ships: AppArmor on Debian, Ubuntu and SUSE, SELinux on the RHEL family.",
        snippet: "aa-status    # or: getenforce; setenforce 1",
        references: &[
            "apparmor(7)",
            "selinux(8)",
            "CIS Debian Linux Benchmark: Mandatory Access Control",
        ],
        run: state::mandatory_access_control,
    },
    Check {
        id: "system-time",
        title: "nothing keeps the clock right",
        why: "Logs of hosts whose clocks differ cannot be put in order, and certificates and tickets fail.",
        kind: Kind::Posture,
        level: Severity::Low,
        privilege: Privilege::None,
        services: &[],
        techniques: &[],
        remediation: "Enable one client: systemd-timesyncd or chrony.",
        snippet: "systemctl enable --now systemd-timesyncd",
        references: &[
            "systemd-timesyncd.service(8)",
            "chronyd(8)",
            "CIS Debian Linux Benchmark: Configure Time Synchronization",
        ],
        run: state::time,
    },
    Check {
        id: "system-logging",
        title: "logs do not survive a reboot",
        why: "After a break-in the logs are all there is to tell what happened.",
        kind: Kind::Posture,
        level: Severity::Low,
        privilege: Privilege::None,
        services: &[],
        techniques: &[],
        remediation: "Keep the journal on disk, or install rsyslog.",
        snippet: "mkdir -p /var/log/journal && systemctl restart systemd-journald",
        references: &[
            "journald.conf(5)",
            "rsyslogd(8)",
            "CIS Debian Linux Benchmark: Configure Logging",
        ],
        run: state::logging,
    },
    Check {
        id: "system-audit",
        title: "the kernel's audit log is not kept",
        why: "auditd records who ran what with which rights, which no other log does.",
        kind: Kind::Posture,
        level: Severity::Info,
        privilege: Privilege::None,
        services: &[],
        techniques: &[],
        remediation: "Install auditd where such records are required.",
        snippet: "apt-get install auditd",
        references: &["auditd(8)", "CIS Debian Linux Benchmark: Configure System Accounting"],
        run: state::audit,
    },
    Check {
        id: "system-core-dumps",
        title: "programs leave core dumps behind",
        why: "A core dump holds the memory of the program, with its keys and passwords, wherever it ran.",
        kind: Kind::Posture,
        level: Severity::Info,
        privilege: Privilege::Information,
        services: &[],
        techniques: &[],
        remediation: "Limit core dumps to 0, or hand them to systemd-coredump, which keeps them to their owner.",
        snippet: "echo '* hard core 0' > /etc/security/limits.d/10-core.conf",
        references: &["core(5)", "limits.conf(5)"],
        run: state::core_dumps,
    },
    Check {
        id: "system-taint",
        title: "the kernel runs modules that are forced or unsigned",
        why: "A module may do everything. One that was forced in, or that nobody signed, deserves a look.",
        kind: Kind::Posture,
        level: Severity::Info,
        privilege: Privilege::Root,
        services: &[],
        techniques: &[],
        remediation: "Find the module: its line in /proc/modules ends with a letter in brackets.",
        snippet: "grep '(' /proc/modules",
        references: &["Linux kernel documentation: Tainted kernels"],
        run: state::taint,
    },
    Check {
        id: "system-firewall",
        title: "nothing filters incoming connections",
        why: "Without a filter every service that starts listening is reachable at once.",
        kind: Kind::Posture,
        level: Severity::Low,
        privilege: Privilege::None,
        services: &[],
        techniques: &[],
        remediation: "Let in what is meant to be reached and drop the rest, unless a firewall before the host does so. Keep a \
                      session open while you try: ufw (Debian, Ubuntu) and firewalld (RHEL) ask before they cut it off.",
        snippet: "",
        references: &["nft(8)", "CIS Debian Linux Benchmark: Host Based Firewall"],
        run: firewall::present,
    },
];
