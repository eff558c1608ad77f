//! A tree with planted faults in every area: each is found at its file, line and column; its hardened
//! twin gives nothing above info; a secret planted in every input appears nowhere.

use std::collections::BTreeSet;

use crate::tree::{self, Tree};

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
        .folder("/etc/apparmor.d", 0o755)
        .file("/usr/sbin/apparmor_parser", "\u{7f}ELF", 0o755)
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

/// A planted fault: the check that must find it, and where.
struct Fault {
    check: &'static str,
    file: &'static str,
    line: u64,
    column: u64,
}

const fn fault(check: &'static str, file: &'static str, line: u64, column: u64) -> Fault {
    Fault { check, file, line, column }
}

/// Every planted fault of [`faulty`].
const FAULTS: &[Fault] = &[
    fault("accounts-empty-password", "/etc/shadow", 1, 6),
    fault("accounts-uid-zero", "/etc/passwd", 4, 8),
    fault("accounts-hash-in-passwd", "/etc/passwd", 6, 8),
    fault("accounts-weak-hash", "/etc/shadow", 5, 7),
    fault("accounts-weak-hash", "/etc/shadow", 6, 5),
    fault("accounts-duplicate-uid", "/etc/passwd", 7, 7),
    fault("accounts-no-shadow", "/etc/passwd", 8, 1),
    fault("accounts-gid-zero", "/etc/group", 1, 10),
    fault("accounts-group-password", "/etc/gshadow", 3, 6),
    fault("accounts-encrypt-method", "/etc/login.defs", 3, 1),
    fault("accounts-umask", "/etc/login.defs", 2, 1),
    fault("accounts-home", "/home/alice", 0, 0),
    fault("accounts-authorized-keys", "/home/alice/.ssh/authorized_keys", 0, 0),
    fault("accounts-trust-files", "/root/.rhosts", 0, 0),
    fault("accounts-trust-files", "/home/alice/.netrc", 0, 0),
    fault("ssh-permit-root-login", "/etc/ssh/sshd_config.d/50-cloud.conf", 2, 1),
    fault("ssh-password-authentication", "/etc/ssh/sshd_config", 3, 1),
    fault("ssh-empty-passwords", "/etc/ssh/sshd_config", 4, 1),
    fault("ssh-x11-forwarding", "/etc/ssh/sshd_config", 5, 1),
    fault("ssh-max-auth-tries", "/etc/ssh/sshd_config", 6, 1),
    fault("ssh-strict-modes", "/etc/ssh/sshd_config", 7, 1),
    fault("ssh-permit-user-environment", "/etc/ssh/sshd_config", 8, 1),
    fault("ssh-host-based-authentication", "/etc/ssh/sshd_config", 9, 1),
    fault("ssh-log-level", "/etc/ssh/sshd_config", 10, 1),
    fault("ssh-weak-ciphers", "/etc/ssh/sshd_config", 11, 1),
    fault("ssh-host-key-modes", "/etc/ssh/ssh_host_ed25519_key", 0, 0),
    fault("sudo-environment", "/etc/sudoers", 2, 10),
    fault("sudo-no-authenticate", "/etc/sudoers", 3, 16),
    fault("sudo-shell-escape", "/etc/sudoers", 5, 16),
    fault("sudo-wildcards", "/etc/sudoers", 5, 30),
    fault("sudo-nopasswd-all", "/etc/sudoers.d/deploy", 1, 28),
    fault("sudo-files", "/etc/sudoers.d/deploy", 0, 0),
    fault("pam-nullok", "/etc/pam.d/common-auth", 1, 33),
    fault("pam-permit", "/etc/pam.d/common-auth", 2, 17),
    fault("pam-hash", "/etc/pam.d/common-password", 1, 37),
    fault("kernel-aslr", "/etc/sysctl.d/99-local.conf", 1, 1),
    fault("kernel-syncookies", "/etc/sysctl.d/99-local.conf", 3, 1),
    fault("kernel-suid-dumpable", "/etc/sysctl.d/99-local.conf", 4, 1),
    fault("kernel-kptr-restrict", "/etc/sysctl.d/99-local.conf", 5, 1),
    fault("kernel-protected-links", "/etc/sysctl.d/99-local.conf", 6, 1),
    fault("cron-files", "/etc/crontab", 0, 0),
    fault("cron-writable-job", "/etc/crontab", 2, 16),
    fault("cron-secrets", "/etc/crontab", 3, 16),
    fault("cron-secrets", "/etc/cron.d/site", 1, 16),
    fault("files-account-databases", "/etc/passwd", 0, 0),
    fault("files-account-databases", "/etc/shadow", 0, 0),
    fault("files-set-id", "/usr/local/bin/rootshell", 0, 0),
    fault("files-world-writable", "/usr/bin/helper", 0, 0),
    fault("files-world-writable-directory", "/opt/jobs", 0, 0),
    fault("files-private-key", "/etc/ssl/private/web.key", 0, 0),
    fault("files-preload", "/etc/ld.so.preload", 1, 1),
    fault("mounts-fstab-password", "/etc/fstab", 2, 23),
    fault("system-mac", "/etc/selinux/config", 2, 9),
    fault("patches-end-of-life", "/etc/os-release", 3, 12),
    fault("ssh-success-after-brute-force", "/var/log/auth.log", 4, 56),
    fault("ssh-success-after-brute-force", "/var/log/auth.log", 36, 56),
    fault("web-scanner", "/var/log/nginx/access.log", 2, 1),
];

/// The same host with faults in every area, and the canary in every input that can hold a secret.
pub fn faulty() -> Tree {
    hardened()
        .without("/etc/apparmor.d")
        .without("/usr/sbin/apparmor_parser")
        .file("/etc/selinux/config", "SELINUXTYPE=targeted\nSELINUX=disabled\n", 0o644)
        .folder("/home/alice", 0o777)
        .folder("/opt/jobs", 0o777)
        .file("/etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 9 (stretch)\"\nID=debian\nVERSION_ID=\"9\"\n", 0o644)
        .file("/etc/nsswitch.conf", "passwd: files sss\ngroup: files sss\nshadow: files\n", 0o644)
        .file("/etc/passwd", BAD_PASSWD, 0o666)
        .file("/etc/shadow", BAD_SHADOW, 0o644)
        .file("/etc/group", "root:x:0:mallory\nshadow:x:42:\nsudo:x:27:alice\nsshd:x:101:\nalice:x:1000:\n", 0o644)
        .file("/etc/gshadow", "root:*::\nshadow:*::\nsudo:$6$CANARY7f3a9b$CANARY7f3a9bCANARY7f3a9b::alice\nsshd:!::\nalice:!::\n", 0o640)
        .file("/etc/login.defs", "PASS_MAX_DAYS\t99999\nUMASK\t\t000\nENCRYPT_METHOD\tMD5\n", 0o644)
        .file("/etc/sudoers", BAD_SUDOERS, 0o440)
        .file("/etc/sudoers.d/deploy", "deploy ALL=(ALL) NOPASSWD: ALL\n# password=CANARY7f3a9b\n", 0o666)
        .file("/etc/pam.d/common-auth", "auth [success=1 default=ignore] pam_unix.so nullok\nauth sufficient pam_permit.so\nauth optional pam_mysql.so user=x passwd=CANARY7f3a9b\n", 0o644)
        .file("/etc/pam.d/common-password", "password [success=1 default=ignore] pam_unix.so md5\npassword requisite pam_deny.so\n", 0o644)
        .file("/etc/pam.d/su", "auth sufficient pam_rootok.so\n@include common-auth\n", 0o644)
        .file("/etc/ssh/sshd_config", BAD_SSHD, 0o644)
        .file("/etc/ssh/sshd_config.d/50-cloud.conf", "# token=CANARY7f3a9b\nPermitRootLogin yes\n", 0o644)
        .file("/etc/ssh/ssh_host_ed25519_key", "-----BEGIN OPENSSH PRIVATE KEY-----\nCANARY7f3a9bCANARY7f3a9b\n-----END OPENSSH PRIVATE KEY-----\n", 0o644)
        .file("/etc/ssl/private/web.key", "-----BEGIN PRIVATE KEY-----\nCANARY7f3a9bCANARY7f3a9b\n-----END PRIVATE KEY-----\n", 0o644)
        .file("/etc/sysctl.d/99-local.conf", BAD_SYSCTL, 0o644)
        .file("/etc/crontab", "PATH=/usr/bin\n* * * * * root /opt/jobs/run.sh\n5 * * * * root curl https://backup:CANARY7f3a9b@example.org/\n", 0o666)
        .file("/etc/cron.d/site", "* * * * * root mysqldump --password=CANARY7f3a9b all\n", 0o644)
        .file("/opt/jobs/run.sh", "#!/bin/sh\nTOKEN=CANARY7f3a9b\n", 0o777)
        .file("/etc/fstab", "UUID=1 / ext4 defaults 0 1\n//nas/share /mnt cifs username=x,password=CANARY7f3a9b 0 0\n", 0o644)
        .file("/etc/ld.so.preload", "/tmp/.hidden.so\n", 0o644)
        .file("/usr/local/bin/rootshell", "\u{7f}ELF", 0o4755)
        .file("/usr/bin/helper", "#!/bin/sh\n", 0o777)
        .file("/home/alice/.ssh/authorized_keys", "ssh-ed25519 AAAA alice\n", 0o666)
        .file("/home/alice/.netrc", "machine example.org login alice password CANARY7f3a9b\n", 0o644)
        .file("/root/.rhosts", "+ +\n", 0o600)
        .link("/etc/ssl/outside.key", "/../../../../../../etc/hostname")
        .file("/var/log/auth.log", attack_log(), 0o640)
        .file("/var/log/nginx/access.log", access_log(), 0o640)
}

const BAD_PASSWD: &str = "\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
sshd:x:101:65534::/run/sshd:/usr/sbin/nologin
toor:x:0:0::/root:/bin/sh
alice:x:1000:1000:Alice:/home/alice:/bin/bash
legacy:$1$CANARY7f$CANARY7f3a9bCANARY7f3a:1001:1001::/home/alice:/bin/sh
bob:x:1000:1000:Bob:/home/bob:/bin/bash
mallory:x:1005:1005::/home/alice:/bin/bash
";
const BAD_SHADOW: &str = "\
root::20000:0:99999:7:::
daemon:*:20000:0:99999:7:::
sshd:!:20000::::::
toor:$6$CANARY7f3a9b$CANARY7f3a9bCANARY7f3a9b:20000:0:99999:7:::
alice:$1$CANARY7f$CANARY7f3a9bCANARY7f3a:20000:0:99999:7:::
bob:CANARY7f3a9bx:20000:0:99999:7:::
";
const BAD_SUDOERS: &str = "\
Defaults\t!use_pty
Defaults\tenv_keep += \"LD_PRELOAD\"
Defaults:alice\t!authenticate
root\tALL=(ALL:ALL) ALL
bob\tALL=(root) /usr/bin/vim, /bin/cat /var/log/*
@includedir /etc/sudoers.d
";
const BAD_SSHD: &str = "\
Include /etc/ssh/sshd_config.d/*.conf
PermitRootLogin no
PasswordAuthentication yes
PermitEmptyPasswords yes
X11Forwarding yes
MaxAuthTries 20
StrictModes no
PermitUserEnvironment yes
HostbasedAuthentication yes
LogLevel QUIET
Ciphers +aes128-cbc,3des-cbc
Match User deploy
    AllowTcpForwarding yes
    PasswordAuthentication yes
";
const BAD_SYSCTL: &str = "\
kernel.randomize_va_space = 0
net.ipv4.conf.all.accept_source_route = 1
net.ipv4.tcp_syncookies = 0
fs.suid_dumpable = 1
kernel.kptr_restrict = 0
fs.protected_symlinks = 0
";

/// A brute force, passwords typed as user names, and a success after the failures.
fn attack_log() -> String {
    let mut log = benign_log();
    for try_ in 0..30 {
        let port = 40_000 + try_;
        log += &line(
            120,
            "sshd[4711]",
            &format!("Failed password for root from 198.51.100.7 port {port} ssh2"),
        );
    }
    log += &line(110, "sshd[4712]", "Invalid user CANARY7f3a9b from 198.51.100.7 port 41000");
    log += &line(
        110,
        "sshd[4712]",
        "Failed password for invalid user CANARY7f3a9b from 198.51.100.7 port 41000 ssh2",
    );
    log += &line(100, "sshd[4713]", "Accepted password for root from 198.51.100.7 port 41001 ssh2");
    log
}

fn access_log() -> String {
    let at = now() - jiff::SignedDuration::from_mins(90);
    let at = at.strftime("%d/%b/%Y:%H:%M:%S +0000");
    let requests = [
        "GET /index.php?id=1%27%20UNION%20SELECT%20password%20FROM%20users--&token=CANARY7f3a9b HTTP/1.1",
        "GET /../../../../etc/passwd HTTP/1.1",
        "GET /?q=<script>alert(1)</script> HTTP/1.1",
        "GET /.env HTTP/1.1",
        "GET /wp-login.php HTTP/1.1",
    ];
    let line = |request: &&str| {
        format!("203.0.113.9 - - [{at}] \"{request}\" 404 10 \"-\" \"sqlmap/1.7\"\n")
    };
    requests.iter().map(line).collect()
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

#[test]
fn every_planted_fault_is_found_at_its_place() {
    if !tree::possible() {
        return;
    }
    let report = faulty().make().report();
    let seen: BTreeSet<(String, String, u64, u64)> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["severity"] != "info")
        .flat_map(|finding| {
            // What several checks see of one file is told once, by the gravest: the others are named.
            let also = finding["facts"]["also"].as_str().unwrap_or_default().split(", ");
            let checks: Vec<String> =
                also.chain(finding["check"].as_str()).map(str::to_string).collect();
            finding["evidence"].as_array().unwrap().iter().flat_map(move |source| {
                let number = |name: &str| source[name].as_u64().unwrap();
                let file = source["file"].as_str().unwrap().to_string();
                let place = (file, number("line"), number("column"));
                let seen = checks.clone().into_iter();
                seen.map(move |check| (check, place.0.clone(), place.1, place.2))
            })
        })
        .collect();
    let missing: Vec<_> = FAULTS
        .iter()
        .map(|fault| (fault.check.to_string(), fault.file.to_string(), fault.line, fault.column))
        .filter(|wanted| !seen.contains(wanted))
        .collect();
    assert!(missing.is_empty(), "missing {missing:#?} in {seen:#?}");
    assert!(FAULTS.len() >= 30);
}

#[test]
fn an_empty_root_password_is_critical_and_decides_the_exit_code() {
    if !tree::possible() {
        return;
    }
    let made = hardened().file("/etc/shadow", SHADOW.replace("root:!*:", "root::"), 0o640).make();
    let report = made.report();
    let above: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["severity"] != "info")
        .map(|finding| (finding["check"].as_str().unwrap(), finding["severity"].as_str().unwrap()))
        .collect();
    assert_eq!(above, [("accounts-empty-password", "critical")]);
    assert_eq!(made.audit(&[]).status.code(), Some(1));
}

#[test]
fn every_finding_of_an_audit_is_replayed_bit_for_bit_and_dismissals_lower_no_floor() {
    if !tree::possible() {
        return;
    }
    let made = faulty().make();
    let report = made.report();
    let findings = report["findings"].as_array().unwrap();
    let id = |finding: &serde_json::Value| finding["id"].as_str().unwrap().to_string();
    for finding in findings {
        let replayed = made.run(&["replay", &id(finding)]);
        let said = String::from_utf8_lossy(&replayed.stdout).into_owned();
        assert!(said.starts_with("same: "), "{}: {said}", finding["check"]);
    }
    let explained = findings.iter().map(|finding| made.run(&["explain", &id(finding)]).stdout);
    let falls = |told: Vec<u8>| String::from_utf8_lossy(&told).contains("\n  falls  to ");
    assert!(explained.into_iter().any(falls), "none would be lower without some source");
    for finding in findings.iter().filter(|finding| finding["severity"] == "critical") {
        assert_eq!(made.run(&["feedback", &id(finding), "dismiss"]).status.code(), Some(0));
    }
    let after = made.report();
    let empty = |report: &serde_json::Value| {
        let mut all = report["findings"].as_array().unwrap().iter();
        all.find(|finding| finding["check"] == "accounts-empty-password").unwrap().clone()
    };
    assert_eq!(empty(&after)["severity"], empty(&report)["severity"]);
    assert!(empty(&after)["learnt"].is_null(), "a floor holds for what was learnt too");
    let replayed = made.run(&["replay", &id(&findings[0])]);
    assert_eq!(replayed.status.code(), Some(0), "with what was taught too");
}

#[test]
fn a_secret_planted_in_every_input_appears_nowhere() {
    if !tree::possible() {
        return;
    }
    let made = faulty().make();
    for words in
        [&["-vv"][..], &["--format", "json"], &["--format", "jsonl"], &["-vv", "--color", "always"]]
    {
        let ran = made.audit(words);
        for (stream, bytes) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
            let text = String::from_utf8_lossy(bytes);
            let leak = text.lines().find(|line| line.contains("CANARY7f"));
            assert!(leak.is_none(), "{words:?} {stream}: {leak:?}");
        }
    }
    let file = made.state().with_file_name("report.json");
    made.audit(&["--format", "json", "--output", file.to_str().unwrap()]);
    let mut files = vec![file];
    for folder in [made.state(), made.state().join("kept")] {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        files.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
    }
    assert!(files.iter().any(|file| file.extension().is_some_and(|end| end == "jsonl")), "kept");
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("CANARY7f"), "{}", file.display());
    }
}
