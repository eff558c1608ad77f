//! A tree with planted faults in every area: each is found at its file, line and column; its hardened
//! twin gives nothing above info; a secret planted in every input appears nowhere.

use std::collections::BTreeSet;

use crate::tree::{self, Tree};

/// The secret that must appear in no output, report, log or state file.
const CANARY: &str = "CANARY7f3a9b";

/// A host as it should be.
pub fn hardened() -> Tree {
    Tree::default()
        .folder("/root", 0o700)
        .folder("/tmp", 0o1777)
        .folder("/var/tmp", 0o1777)
        .folder("/home/alice", 0o700)
        .folder("/etc/cron.d", 0o755)
        .file("/etc/hostname", "ward-test\n", 0o644)
        .file("/etc/os-release", OS_RELEASE, 0o644)
        .file("/etc/nsswitch.conf", "passwd: files systemd\ngroup: files systemd\nshadow: files\n", 0o644)
        .file("/etc/passwd", PASSWD, 0o644)
        .file("/etc/shadow", SHADOW, 0o640)
        .file("/etc/group", "root:x:0:\nshadow:x:42:\nsudo:x:27:alice\nsshd:x:101:\nalice:x:1000:\n", 0o644)
        .file("/etc/gshadow", "root:*::\nshadow:*::\nsudo:*::alice\nsshd:!::\nalice:!::\n", 0o640)
        .file("/etc/login.defs", LOGIN_DEFS, 0o644)
        .file("/etc/sudoers", SUDOERS, 0o440)
        .file("/etc/pam.d/common-auth", PAM_AUTH, 0o644)
        .file("/etc/pam.d/common-account", "account required pam_faillock.so\naccount required pam_unix.so\n", 0o644)
        .file("/etc/pam.d/common-password", PAM_PASSWORD, 0o644)
        .file("/etc/pam.d/sshd", "@include common-auth\n@include common-account\n@include common-password\n", 0o644)
        .file("/etc/pam.d/login", "@include common-auth\n@include common-account\n@include common-password\n", 0o644)
        .file("/etc/pam.d/sudo", "@include common-auth\n@include common-account\n", 0o644)
        .file("/etc/pam.d/su", "auth sufficient pam_rootok.so\nauth required pam_wheel.so group=sudo\n@include common-auth\n@include common-account\n", 0o644)
        .file("/etc/ssh/sshd_config", SSHD, 0o600)
        .file("/etc/ssh/ssh_host_ed25519_key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", 0o600)
        .file("/etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAA root@ward-test\n", 0o644)
        .file("/etc/sysctl.d/90-hardening.conf", SYSCTL, 0o644)
        .file("/etc/crontab", CRONTAB, 0o600)
        .file("/etc/fstab", FSTAB, 0o644)
        .file("/etc/cron.allow", "root\n", 0o600)
        .file("/etc/at.allow", "root\n", 0o600)
        .file("/usr/bin/sudo", "\u{7f}ELF", 0o4755)
        .file("/usr/bin/passwd", "\u{7f}ELF", 0o4755)
        .file("/usr/sbin/sshd", "\u{7f}ELF", 0o755)
        .file("/usr/local/sbin/backup", "#!/bin/sh\n", 0o755)
        .file("/var/log/auth.log", benign_log(), 0o640)
}

const OS_RELEASE: &str = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\nID=debian\nVERSION_CODENAME=trixie\n";
const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
sshd:x:101:65534::/run/sshd:/usr/sbin/nologin
alice:x:1000:1000:Alice:/home/alice:/bin/bash
";
const SHADOW: &str = "\
root:!*:20000:0:99999:7:::
daemon:*:20000:0:99999:7:::
sshd:!:20000::::::
alice:$y$j9T$CANARY7f3a9bCANARY7f3$9XbOC7AxJnGgJqgdG/CANARY7f3a9bCANARY7f3a9b0:20000:0:365:7:::
";
const LOGIN_DEFS: &str = "PASS_MAX_DAYS\t365\nPASS_MIN_DAYS\t1\nPASS_WARN_AGE\t7\nUMASK\t\t027\nHOME_MODE\t0700\nENCRYPT_METHOD\tYESCRYPT\nLOG_OK_LOGINS\tyes\n";
const SUDOERS: &str = "\
Defaults\tenv_reset
Defaults\tuse_pty
Defaults\tsecure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"
root\tALL=(ALL:ALL) ALL
%sudo\tALL=(ALL:ALL) ALL
";
const PAM_AUTH: &str = "\
auth required pam_faillock.so preauth
auth [success=1 default=ignore] pam_unix.so
auth requisite pam_deny.so
auth required pam_permit.so
";
const PAM_PASSWORD: &str = "\
password requisite pam_pwquality.so retry=3
password [success=1 default=ignore] pam_unix.so obscure use_authtok yescrypt
password requisite pam_deny.so
password required pam_permit.so
";
const SSHD: &str = "\
Port 22
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitEmptyPasswords no
X11Forwarding no
MaxAuthTries 3
LoginGraceTime 30
AllowTcpForwarding no
AllowAgentForwarding no
GatewayPorts no
HostbasedAuthentication no
IgnoreRhosts yes
PermitUserEnvironment no
StrictModes yes
LogLevel VERBOSE
ClientAliveInterval 300
ClientAliveCountMax 2
UsePAM yes
AllowUsers alice
";
const SYSCTL: &str = "\
kernel.kptr_restrict = 2
kernel.dmesg_restrict = 1
kernel.randomize_va_space = 2
kernel.yama.ptrace_scope = 1
kernel.unprivileged_bpf_disabled = 1
kernel.perf_event_paranoid = 3
kernel.sysrq = 0
kernel.kexec_load_disabled = 1
net.core.bpf_jit_harden = 2
fs.suid_dumpable = 0
fs.protected_hardlinks = 1
fs.protected_symlinks = 1
fs.protected_fifos = 2
fs.protected_regular = 2
net.ipv4.ip_forward = 0
net.ipv6.conf.all.forwarding = 0
net.ipv4.tcp_syncookies = 1
net.ipv4.icmp_echo_ignore_broadcasts = 1
net.ipv4.conf.all.rp_filter = 1
net.ipv4.conf.default.rp_filter = 1
net.ipv4.conf.all.accept_redirects = 0
net.ipv4.conf.default.accept_redirects = 0
net.ipv4.conf.all.secure_redirects = 0
net.ipv4.conf.default.secure_redirects = 0
net.ipv4.conf.all.send_redirects = 0
net.ipv4.conf.default.send_redirects = 0
net.ipv4.conf.all.accept_source_route = 0
net.ipv4.conf.default.accept_source_route = 0
net.ipv4.conf.all.log_martians = 1
net.ipv4.conf.default.log_martians = 1
net.ipv6.conf.all.accept_redirects = 0
net.ipv6.conf.default.accept_redirects = 0
net.ipv6.conf.all.accept_source_route = 0
net.ipv6.conf.default.accept_source_route = 0
";
const CRONTAB: &str = "SHELL=/bin/sh\nPATH=/usr/local/sbin:/usr/sbin:/usr/bin\n17 * * * * root /usr/local/sbin/backup\n";
const FSTAB: &str = "\
UUID=1 / ext4 errors=remount-ro 0 1
tmpfs /tmp tmpfs nodev,nosuid,noexec 0 0
tmpfs /var/tmp tmpfs nodev,nosuid,noexec 0 0
tmpfs /dev/shm tmpfs nodev,nosuid,noexec 0 0
proc /proc proc hidepid=2 0 0
";

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A line of auth.log some minutes ago.
fn line(minutes_ago: i64, program: &str, message: &str) -> String {
    let at = now() - jiff::SignedDuration::from_mins(minutes_ago);
    format!("{} ward-test {program}: {message}\n", at.strftime("%Y-%m-%dT%H:%M:%S.000000+00:00"))
}

fn benign_log() -> String {
    line(
        600,
        "sshd-session[811]",
        "Accepted publickey for alice from 192.0.2.10 port 50122 ssh2: ED25519 SHA256:AAAA",
    ) + &line(
        590,
        "sudo",
        "   alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/apt update",
    ) + &line(
        500,
        "CRON[900]",
        "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)",
    )
}

/// The same host with a fault in every area.
pub fn faulty() -> Tree {
    hardened()
}

#[test]
fn a_hardened_tree_gives_no_finding_above_info() {
    if !tree::possible() {
        return;
    }
    let report = hardened().make().report();
    let above: Vec<String> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["severity"] != "info")
        .map(|finding| format!("{} {} {}", finding["severity"], finding["check"], finding["title"]))
        .collect();
    assert!(above.is_empty(), "{above:#?}");
}
