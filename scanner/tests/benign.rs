//! Weeks of an ordinary host, made line by line: the built-in rules raise nothing above low.
//!
//! The lines are what packages, people and the internet write on every host: logins with a mistyped
//! password now and then, jobs, upgrades, mail, packets that a firewall refuses.
#![allow(clippy::unwrap_used)] // helpers of tests too

use consensus::Severity;
use scanner::RootedTree;
use scanner::logs::{SweepOptions, SweepOutcome, content, source, sweep};

/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600;
/// 2025-12-01T00:00:00Z
const START: i64 = 1_764_547_200;

/// A generator of numbers that are the same on every run (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

const USERS: [&str; 6] = ["alice", "bob", "carol", "deploy", "ansible", "git"];

/// What one tick of an ordinary host writes, without stamps.
fn ordinary(dice: &mut Dice) -> String {
    let user = dice.one(&USERS);
    let (pid, port) = (500 + dice.below(30_000), 32_768 + dice.below(28_000));
    let home = format!("10.0.0.{}", 1 + dice.below(40));
    let stranger = format!("{}.{}.{}.9", 1 + dice.below(220), dice.below(256), dice.below(256));
    let unit = dice.one(&["logrotate", "apt-daily", "man-db", "fstrim", "certbot", "nginx"]);
    match dice.below(34) {
        0 | 1 => format!(
            "sshd-session[{pid}]: Accepted publickey for {user} from {home} port {port} ssh2: ED25519 SHA256:x"
        ),
        2 => format!(
            "sshd-session[{pid}]: pam_unix(sshd:session): session opened for user {user}(uid=1000) by {user}(uid=0)"
        ),
        3 => {
            format!("sshd-session[{pid}]: Failed password for {user} from {home} port {port} ssh2")
        }
        4 => format!(
            "sshd-session[{pid}]: Received disconnect from {home} port {port}:11: disconnected by user"
        ),
        5 => format!(
            "sshd[{pid}]: Failed password for invalid user admin from {stranger} port {port} ssh2"
        ),
        6 => format!(
            "sshd[{pid}]: Connection closed by authenticating user root {stranger} port {port} [preauth]"
        ),
        7 | 8 => {
            format!("CRON[{pid}]: (root) CMD (   cd / && run-parts --report /etc/cron.hourly)")
        }
        9 => format!(
            "CRON[{pid}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"
        ),
        10 => {
            let command = dice.one(&[
                "/usr/bin/systemctl restart nginx",
                "/usr/bin/apt-get update",
                "/usr/bin/docker ps",
                "/usr/bin/journalctl -u app",
                "/usr/bin/tail -n 100 /var/log/nginx/error.log",
                "/usr/bin/rsync -a /srv/ /backup/",
                "/usr/bin/cat /etc/hosts",
                "/usr/sbin/ufw status",
                "/usr/bin/systemctl status fail2ban",
                "/usr/bin/rm -r /var/log/app/old",
                "/usr/bin/find /var/www -name x.php",
                "/usr/bin/touch /etc/motd",
                "/bin/chown -R www-data /var/www",
                "/usr/bin/vim /etc/nginx/nginx.conf",
                "/usr/bin/curl -s https://example.org/health",
            ]);
            format!("sudo:   {user} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND={command}")
        }
        11 => format!(
            "sudo: pam_unix(sudo:session): session opened for user root(uid=0) by {user}(uid=1000)"
        ),
        12 => format!("systemd[1]: Starting {unit}.service - A job of every day..."),
        13 => format!("systemd[1]: {unit}.service: Deactivated successfully."),
        14 => format!("systemd-logind[612]: New session {port} of user {user}."),
        15..=18 => format!(
            "kernel: [{pid}.123456] [UFW BLOCK] IN=eth0 OUT= MAC=02:42 SRC={stranger} DST=10.0.0.5 LEN=40 PROTO=TCP SPT={port} DPT={} WINDOW=1024 RES=0x00 SYN URGP=0",
            dice.one(&["22", "23", "80", "443", "445", "3389", "5900", "6379", "8080", "3306"])
        ),
        19 => format!("kernel: [{pid}.123456] device veth{pid:x} entered promiscuous mode"),
        20 => format!(
            "kernel: [{pid}.123456] audit: type=1400 audit(1764547200.1:{pid}): apparmor=\"STATUS\" operation=\"profile_replace\" name=\"nginx\""
        ),
        21 => format!("postfix/smtpd[{pid}]: connect from mail.example.org[{stranger}]"),
        22 => format!(
            "postfix/smtpd[{pid}]: disconnect from mail.example.org[{stranger}] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5"
        ),
        23 => format!(
            "postfix/submission/smtpd[{pid}]: A1B2C3: client=pc.example.org[{home}], sasl_method=PLAIN, sasl_username={user}"
        ),
        24 => format!(
            "dovecot: imap-login: Login: user=<{user}>, method=PLAIN, rip={home}, lip=10.0.0.5, mpid={pid}, TLS"
        ),
        25 => format!(
            "dovecot: imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<{user}>, method=PLAIN, rip={home}, lip=10.0.0.5"
        ),
        26 => format!(
            "postgres[{pid}]: [2-1] {pid} app@app LOG:  connection authorized: user=app database=app"
        ),
        27 => format!(
            "dockerd[{pid}]: time=\"2025-12-01T00:00:00Z\" level=info msg=\"API listen on /run/docker.sock\""
        ),
        28 => "chronyd[700]: System clock was stepped by 0.412227 seconds".to_string(),
        29 => format!(
            "systemd-journald[300]: Vacuuming done, freed {pid}.0M of archived journals from /var/log/journal."
        ),
        30 => format!(
            "useradd[{pid}]: new user: name=_pkg{pid}, UID=110, GID=115, home=/nonexistent, shell=/usr/sbin/nologin, from=none"
        ),
        31 => "rsyslogd: [origin software=\"rsyslogd\" x-pid=\"7\"] rsyslogd was HUPed".to_string(),
        32 => format!(
            "named[{pid}]: client @0x7f {home}#{port} (example.org): query: example.org IN A +E (10.0.0.5)"
        ),
        _ => format!("vsftpd[{pid}]: [{user}] OK LOGIN: Client \"{home}\""),
    }
}

/// Records of the audit daemon and of databases, which have logs of their own.
fn beside(dice: &mut Dice, at: i64) -> String {
    let pid = dice.below(30_000);
    let stamp = jiff::Timestamp::from_second(at).unwrap().strftime("%Y-%m-%d %H:%M:%S").to_string();
    match dice.below(8) {
        0 => format!(
            "type=USER_START msg=audit({at}.1:{pid}): pid={pid} uid=0 auid=1000 ses=3 msg='op=PAM:session_open acct=\"root\" exe=\"/usr/bin/sudo\" hostname=? addr=? terminal=/dev/pts/0 res=success'"
        ),
        1 => format!(
            "type=SYSCALL msg=audit({at}.1:{pid}): arch=c000003e syscall=59 success=yes exit=0 a0=55 a1=56 ppid=1 pid={pid} auid=1000 uid=0 comm=\"ls\" exe=\"/usr/bin/ls\" key=\"exec\""
        ),
        2 => format!(
            "type=CONFIG_CHANGE msg=audit({at}.1:{pid}): op=set audit_enabled=0 old=1 auid=4294967295 ses=4294967295 res=1"
        ),
        3 => format!(
            "type=SYSCALL msg=audit({at}.1:{pid}): arch=c000003e syscall=268 success=yes a0=ffffff9c a1=5581 a2=1ed auid=1000 comm=\"chmod\" exe=\"/usr/bin/chmod\" key=\"perm_mod\""
        ),
        4 => format!("{stamp} {pid} [Note] ready for connections"),
        5 => format!("{stamp} UTC [{pid}] LOG:  checkpoint complete: wrote 42 buffers (0.3%)"),
        6 => format!("{stamp} upgrade rsyslog:amd64 8.2302.0-1 8.2302.0-1+deb12u1"),
        _ => format!("{stamp} status installed openssl:amd64 3.0.17-1~deb12u2"),
    }
}

fn run(text: &str) -> SweepOutcome {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("log"), text).unwrap();
    let tree = RootedTree::open(dir.path()).unwrap();
    let found = source::named(&tree, &["/log".into()]);
    sweep(&tree, found, None, &content::rules(), &SweepOptions::new(NOW), None)
}

#[test]
fn ordinary_weeks_raise_nothing_above_low() {
    let mut dice = Dice(42);
    let (mut at, mut text) = (START, String::new());
    let mut lines = 0;
    while at < NOW {
        at += 1 + i64::try_from(dice.below(400)).unwrap();
        let stamp = jiff::Timestamp::from_second(at).unwrap();
        if dice.below(10) == 0 {
            text += &beside(&mut dice, at);
        } else {
            text += &format!("{stamp} web {}", ordinary(&mut dice));
        }
        text.push('\n');
        lines += 1;
    }
    assert!(lines > 12_000);
    let outcome = run(&text);
    assert_eq!((outcome.summary.lines, outcome.summary.unparsed), (lines, 0));
    let loud: Vec<_> = outcome.detections.iter().filter(|d| d.level > Severity::Low).collect();
    assert!(loud.is_empty(), "{loud:#?}");
    // What is low on such a host is counted on one hand, and it is the noise of the internet.
    let low: Vec<_> = outcome.detections.iter().filter(|d| d.level == Severity::Low).collect();
    assert!(low.len() <= 3, "{low:#?}");
    // The rules did look: failures were counted, and none of them shown by itself.
    let refused = outcome.activity.iter().find(|a| a.rule == "ssh-login-failed").unwrap();
    assert!(
        refused.events > 100 && outcome.detections.iter().all(|d| d.rule != "ssh-login-failed")
    );
}
