//! Kernel settings: what holds now (`/proc/sys`) and what the files will set at the next boot.
//!
//! A check is a table of keys. Both values are looked at: weak now but fine in the files is "until
//! reboot", fine now but weak in the files is "after reboot". A key that this kernel does not have is
//! not applicable. In a mounted tree only the files count; a key that no file sets has the kernel's
//! default where that is well known, and is unknown otherwise.

use consensus::{Kind, Privilege, Severity};

use super::Check;

mod judge;
mod network;

use judge::{Fine, Key, files, keys};
use network::{Join, interfaces};

const KERNEL: Check = Check {
    techniques: &[],
    id: "",
    title: "",
    why: "",
    kind: Kind::Posture,
    level: Severity::Low,
    privilege: Privilege::Information,
    services: &[],
    remediation: "Write the value to a file below /etc/sysctl.d and load it with `sysctl --system`.",
    snippet: "",
    references: &["sysctl.d(5)", "Documentation/admin-guide/sysctl/kernel.rst"],
    run: files,
};

const NET: &[&str] = &[
    "sysctl.d(5)",
    "Documentation/networking/ip-sysctl.rst",
    "CIS Benchmark: Network Kernel Parameters",
];

/// The checks of this area.
pub const CHECKS: &[Check] = &[
    Check {
        id: "kernel-sysctl-files",
        title: "sysctl configuration that does not do what it says",
        why: "A line that cannot be understood, or a file that nobody reads at boot, leaves the \
              kernel with another value than the administrator believes.",
        remediation: "Correct the line, or move it to a file below /etc/sysctl.d.",
        ..KERNEL
    },
    Check {
        id: "kernel-kptr-restrict",
        techniques: &["attack.t1068"],
        title: "Kernel addresses are shown to unprivileged users",
        why: "Addresses in /proc/kallsyms and elsewhere spare an exploit the work of finding them.",
        snippet: "echo 'kernel.kptr_restrict = 1' > /etc/sysctl.d/99-zz-wardmote-kptr.conf && sysctl --system",
        run: |facts| keys(facts, &[Key::new("kernel.kptr_restrict", Fine::AtLeast(1), Some(0))]),
        ..KERNEL
    },
    Check {
        id: "kernel-dmesg-restrict",
        techniques: &["attack.t1068"],
        title: "The kernel log is readable by every user",
        why: "Kernel messages hold addresses and details that help a local exploit.",
        snippet: "echo 'kernel.dmesg_restrict = 1' > /etc/sysctl.d/99-zz-wardmote-dmesg.conf && sysctl --system",
        run: |facts| keys(facts, &[Key::new("kernel.dmesg_restrict", Fine::AtLeast(1), None)]),
        ..KERNEL
    },
    Check {
        id: "kernel-aslr",
        techniques: &["attack.t1068"],
        title: "Address space randomisation is weakened",
        why: "Without it, memory corruption in any program is far easier to exploit.",
        level: Severity::Medium,
        privilege: Privilege::User,
        snippet: "echo 'kernel.randomize_va_space = 2' > /etc/sysctl.d/99-zz-wardmote-aslr.conf && sysctl --system",
        run: |facts| {
            keys(facts, &[Key::new("kernel.randomize_va_space", Fine::AtLeast(2), Some(2))])
        },
        references: &[
            "proc_sys_kernel(5)",
            "CIS Benchmark: Ensure address space layout randomization is enabled",
        ],
        ..KERNEL
    },
    Check {
        id: "kernel-ptrace-scope",
        title: "Any process may trace other processes of the same user",
        why: "One compromised program can read passwords and keys out of the user's other programs.",
        privilege: Privilege::User,
        snippet: "echo 'kernel.yama.ptrace_scope = 1' > /etc/sysctl.d/99-zz-wardmote-ptrace.conf && sysctl --system",
        run: |facts| keys(facts, &[Key::new("kernel.yama.ptrace_scope", Fine::AtLeast(1), None)]),
        references: &[
            "ptrace(2)",
            "Documentation/admin-guide/LSM/Yama.rst",
            "CIS Benchmark: Ensure ptrace_scope is restricted",
        ],
        ..KERNEL
    },
    Check {
        id: "kernel-suid-dumpable",
        title: "Set-id programs may dump core for their caller",
        why: "The dump of a privileged program holds what it read: password hashes, keys.",
        level: Severity::Medium,
        privilege: Privilege::Root,
        snippet: "echo 'fs.suid_dumpable = 0' > /etc/sysctl.d/99-zz-wardmote-dump.conf && sysctl --system",
        run: |facts| keys(facts, &[Key::new("fs.suid_dumpable", Fine::OneOf(&[0, 2]), Some(0))]),
        references: &["proc_sys_fs(5)", "CIS Benchmark: Ensure core dumps are restricted"],
        ..KERNEL
    },
    Check {
        id: "kernel-protected-links",
        techniques: &["attack.t1068"],
        title: "Links in world-writable directories are followed without protection",
        why: "Classic races in /tmp let a local user make privileged programs write elsewhere.",
        level: Severity::Medium,
        privilege: Privilege::Root,
        snippet: "printf 'fs.protected_hardlinks = 1\\nfs.protected_symlinks = 1\\n' > /etc/sysctl.d/99-zz-wardmote-links.conf && sysctl --system",
        run: |facts| {
            keys(
                facts,
                &[
                    Key::new("fs.protected_hardlinks", Fine::AtLeast(1), None),
                    Key::new("fs.protected_symlinks", Fine::AtLeast(1), None),
                ],
            )
        },
        references: &["proc_sys_fs(5)"],
        ..KERNEL
    },
    Check {
        id: "kernel-protected-files",
        techniques: &["attack.t1068"],
        title: "FIFOs and files of others in sticky directories are opened for writing",
        why: "A local user can lay out files that privileged programs then write their data into.",
        privilege: Privilege::User,
        snippet: "printf 'fs.protected_fifos = 1\\nfs.protected_regular = 2\\n' > /etc/sysctl.d/99-zz-wardmote-files.conf && sysctl --system",
        run: |facts| {
            keys(
                facts,
                &[
                    Key::new("fs.protected_fifos", Fine::AtLeast(1), None),
                    Key::new("fs.protected_regular", Fine::AtLeast(1), None),
                ],
            )
        },
        references: &["proc_sys_fs(5)"],
        ..KERNEL
    },
    Check {
        id: "kernel-unprivileged-bpf",
        techniques: &["attack.t1068"],
        title: "Every user may load BPF programs",
        why: "The BPF verifier has a long history of local root exploits.",
        level: Severity::Medium,
        privilege: Privilege::Root,
        snippet: "echo 'kernel.unprivileged_bpf_disabled = 2' > /etc/sysctl.d/99-zz-wardmote-bpf.conf && sysctl --system",
        run: |facts| {
            keys(facts, &[Key::new("kernel.unprivileged_bpf_disabled", Fine::AtLeast(1), None)])
        },
        ..KERNEL
    },
    Check {
        id: "kernel-perf-events",
        techniques: &["attack.t1068"],
        title: "Every user may use kernel performance events",
        why: "They leak kernel memory layout and have been a path to root more than once.",
        snippet: "echo 'kernel.perf_event_paranoid = 2' > /etc/sysctl.d/99-zz-wardmote-perf.conf && sysctl --system",
        run: |facts| {
            keys(facts, &[Key::new("kernel.perf_event_paranoid", Fine::AtLeast(2), Some(2))])
        },
        ..KERNEL
    },
    Check {
        id: "kernel-sysrq",
        title: "All magic SysRq functions are enabled",
        why: "Whoever reaches the keyboard or a serial console can kill or dump at will.",
        level: Severity::Info,
        snippet: "echo 'kernel.sysrq = 176' > /etc/sysctl.d/99-zz-wardmote-sysrq.conf && sysctl --system",
        run: |facts| keys(facts, &[Key::new("kernel.sysrq", Fine::NoneOf(&[1]), None)]),
        ..KERNEL
    },
    Check {
        id: "kernel-kexec",
        title: "Root may replace the running kernel",
        why: "Where root is not fully trusted, kexec gets around module signing and lockdown.",
        level: Severity::Info,
        snippet: "echo 'kernel.kexec_load_disabled = 1' > /etc/sysctl.d/99-zz-wardmote-kexec.conf",
        run: |facts| {
            keys(facts, &[Key::new("kernel.kexec_load_disabled", Fine::AtLeast(1), Some(0))])
        },
        remediation: "Set it unless the host uses kdump: it cannot be taken back before a reboot.",
        ..KERNEL
    },
    Check {
        id: "kernel-syncookies",
        title: "TCP SYN cookies are off",
        why: "A flood of half-open connections keeps real clients out.",
        level: Severity::Medium,
        privilege: Privilege::None,
        snippet: "echo 'net.ipv4.tcp_syncookies = 1' > /etc/sysctl.d/99-zz-wardmote-syncookies.conf && sysctl --system",
        run: |facts| keys(facts, &[Key::new("net.ipv4.tcp_syncookies", Fine::AtLeast(1), Some(1))]),
        references: NET,
        ..KERNEL
    },
    Check {
        id: "kernel-icmp-broadcasts",
        title: "The host answers broadcast pings and believes bogus errors",
        why: "Broadcast pings amplify attacks on others.",
        privilege: Privilege::None,
        snippet: "echo 'net.ipv4.icmp_echo_ignore_broadcasts = 1' > /etc/sysctl.d/99-zz-wardmote-icmp.conf && sysctl --system",
        run: |facts| {
            keys(
                facts,
                &[
                    Key::new("net.ipv4.icmp_echo_ignore_broadcasts", Fine::AtLeast(1), Some(1)),
                    Key::new(
                        "net.ipv4.icmp_ignore_bogus_error_responses",
                        Fine::AtLeast(1),
                        Some(1),
                    ),
                ],
            )
        },
        references: NET,
        ..KERNEL
    },
    Check {
        id: "kernel-ip-forward",
        title: "The host forwards packets",
        why: "Right for routers, VPN and container hosts; on others it opens a way between networks.",
        level: Severity::Info,
        privilege: Privilege::None,
        remediation: "Switch it off unless this host routes, runs a VPN, containers or virtual machines.",
        snippet: "echo 'net.ipv4.ip_forward = 0' > /etc/sysctl.d/99-zz-wardmote-forward.conf && sysctl --system",
        run: |facts| keys(facts, &[Key::new("net.ipv4.ip_forward", Fine::OneOf(&[0]), Some(0))]),
        references: NET,
        ..KERNEL
    },
    Check {
        id: "kernel-rp-filter",
        title: "Packets with forged source addresses are accepted",
        why: "Without reverse path filtering a host answers packets that cannot have come that way.",
        privilege: Privilege::None,
        snippet: "printf 'net.ipv4.conf.all.rp_filter = 2\\nnet.ipv4.conf.default.rp_filter = 2\\n' > /etc/sysctl.d/99-zz-wardmote-rpfilter.conf && sysctl --system",
        run: |facts| {
            interfaces(facts, "net.ipv4.conf", "rp_filter", Join::Largest, Fine::AtLeast(1), 0)
        },
        references: NET,
        ..KERNEL
    },
    Check {
        id: "kernel-accept-redirects",
        title: "ICMP redirects of others change this host's routes",
        why: "A neighbour on the network can put itself between this host and its peers.",
        privilege: Privilege::None,
        snippet: "printf 'net.ipv4.conf.all.accept_redirects = 0\\nnet.ipv4.conf.default.accept_redirects = 0\\nnet.ipv6.conf.all.accept_redirects = 0\\nnet.ipv6.conf.default.accept_redirects = 0\\n' > /etc/sysctl.d/99-zz-wardmote-redirects.conf && sysctl --system",
        run: |facts| {
            let fine = Fine::OneOf(&[0]);
            let four =
                interfaces(facts, "net.ipv4.conf", "accept_redirects", Join::Either, fine, 1);
            let six = interfaces(facts, "net.ipv6.conf", "accept_redirects", Join::Own, fine, 1);
            judge::both(four, six)
        },
        references: NET,
        ..KERNEL
    },
    Check {
        id: "kernel-send-redirects",
        title: "The host sends ICMP redirects",
        why: "Only a router needs them; a compromised host can steer its neighbours with them.",
        level: Severity::Info,
        privilege: Privilege::None,
        snippet: "printf 'net.ipv4.conf.all.send_redirects = 0\\nnet.ipv4.conf.default.send_redirects = 0\\n' > /etc/sysctl.d/99-zz-wardmote-sendredirects.conf && sysctl --system",
        run: |facts| {
            interfaces(facts, "net.ipv4.conf", "send_redirects", Join::Either, Fine::OneOf(&[0]), 1)
        },
        references: NET,
        ..KERNEL
    },
    Check {
        id: "kernel-source-route",
        title: "Source-routed packets are accepted",
        why: "The sender then chooses the way through the network, past filters.",
        level: Severity::Medium,
        privilege: Privilege::None,
        snippet: "printf 'net.ipv4.conf.all.accept_source_route = 0\\nnet.ipv4.conf.default.accept_source_route = 0\\nnet.ipv6.conf.all.accept_source_route = 0\\n' > /etc/sysctl.d/99-zz-wardmote-sourceroute.conf && sysctl --system",
        run: |facts| {
            let four = interfaces(
                facts,
                "net.ipv4.conf",
                "accept_source_route",
                Join::Both,
                Fine::AtMost(0),
                0,
            );
            let six = interfaces(
                facts,
                "net.ipv6.conf",
                "accept_source_route",
                Join::Own,
                Fine::AtMost(0),
                0,
            );
            judge::both(four, six)
        },
        references: NET,
        ..KERNEL
    },
    Check {
        id: "kernel-log-martians",
        title: "Packets with impossible addresses are not logged",
        why: "The log would show spoofing and misrouting; on busy networks it is noise.",
        level: Severity::Info,
        privilege: Privilege::None,
        snippet: "echo 'net.ipv4.conf.all.log_martians = 1' > /etc/sysctl.d/99-zz-wardmote-martians.conf && sysctl --system",
        run: |facts| {
            interfaces(facts, "net.ipv4.conf", "log_martians", Join::Either, Fine::AtLeast(1), 0)
        },
        references: NET,
        ..KERNEL
    },
];

#[cfg(test)]
mod tests;
