//! What messages name: `cargo bench -p scanner --bench extract`. One call a line, as for a rule that
//! asks for the user or the address.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use scanner::logs::extract::{canonical_program, extract, named};

fn main() {
    divan::main();
}

/// Program and message, one of each form that is frequent where it is written.
const LINES: [(&str, &str); 12] = [
    ("sshd", "Failed password for invalid user admin from 192.0.2.1 port 40000 ssh2"),
    ("sshd", "Accepted publickey for bob from 192.0.2.1 port 40000 ssh2: ED25519 SHA256:x"),
    ("sshd", "Connection closed by authenticating user root 192.0.2.1 port 40000 [preauth]"),
    (
        "sshd",
        "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root",
    ),
    (
        "sudo",
        "bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/usr/bin/systemctl restart nginx",
    ),
    ("CRON", "(root) CMD (   cd / && run-parts --report /etc/cron.hourly)"),
    ("systemd", "logrotate.service: Deactivated successfully."),
    (
        "kernel",
        "[ 12.3] [UFW BLOCK] IN=eth0 OUT= MAC=02:42:ac:11:00:02 SRC=192.0.2.1 DST=10.0.0.5 LEN=40 TOS=0x00 PREC=0x00 TTL=99 ID=7 PROTO=TCP SPT=40000 DPT=22 WINDOW=1024 RES=0x00 SYN URGP=0",
    ),
    (
        "postfix/smtpd",
        "warning: unknown[192.0.2.1]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
    ),
    (
        "dovecot",
        "imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<bob>, method=PLAIN, rip=192.0.2.1, lip=10.0.0.5",
    ),
    ("mysqld", "[Note] Access denied for user 'root'@'192.0.2.1' (using password: YES)"),
    ("vsftpd", "[bob] FAIL LOGIN: Client \"192.0.2.1\""),
];

#[divan::bench]
fn who_and_from_where(bencher: Bencher<'_, '_>) {
    let bytes: usize = LINES.iter().map(|(_, message)| message.len()).sum();
    bencher.counter(ItemsCount::new(LINES.len())).counter(BytesCount::new(bytes)).bench(|| {
        for (program, message) in black_box(LINES) {
            black_box(extract(canonical_program(program.as_bytes()), message.as_bytes()));
        }
    });
}

#[divan::bench]
fn ports_of_packets(bencher: Bencher<'_, '_>) {
    let (_, packet) = LINES[7];
    bencher
        .counter(BytesCount::new(packet.len()))
        .bench(|| black_box(named(b"kernel", black_box(packet).as_bytes(), "dst_port")));
}
