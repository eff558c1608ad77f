//! What messages name, and what strangers cannot make them name.

use super::*;

mod daemons;

fn of<'a>(program: &str, text: &'a str) -> Extracted<'a> {
    extract(canonical_program(program.as_bytes()), text.as_bytes())
}

#[test]
fn sshd_names_user_address_and_outcome() {
    for (text, user, typed, ip, ended) in [
        (
            "Accepted password for bob from 192.0.2.1 port 4 ssh2",
            Some("bob"),
            false,
            Some("192.0.2.1"),
            Some(Ended::Success),
        ),
        (
            "Failed password for root from 192.0.2.1 port 4 ssh2",
            Some("root"),
            false,
            Some("192.0.2.1"),
            Some(Ended::Failure),
        ),
        (
            "Failed none for invalid user a b from 2001:db8::1 port 4 ssh2",
            Some("a b"),
            true,
            Some("2001:db8::1"),
            Some(Ended::Failure),
        ),
        (
            "Failed password for invalid user x from 10.0.0.1 port 1 ssh2 from 192.0.2.1 port 4 ssh2",
            Some("x from 10.0.0.1 port 1 ssh2"),
            true,
            Some("192.0.2.1"),
            Some(Ended::Failure),
        ),
        ("Invalid user  from 192.0.2.1", Some(""), true, Some("192.0.2.1"), None),
        (
            "error: maximum authentication attempts exceeded for root from 192.0.2.1 port 2 ssh2 [preauth]",
            Some("root"),
            false,
            Some("192.0.2.1"),
            None,
        ),
        (
            "Connection closed by invalid user x 192.0.2.1 port 4 [preauth]",
            Some("x"),
            true,
            Some("192.0.2.1"),
            None,
        ),
        (
            "Disconnected from authenticating user root 192.0.2.1 port 4 [preauth]",
            Some("root"),
            false,
            Some("192.0.2.1"),
            None,
        ),
        (
            "Received disconnect from 192.0.2.1: 11: Bye Bye [preauth]",
            None,
            false,
            Some("192.0.2.1"),
            None,
        ),
        (
            "reverse mapping checking getaddrinfo for x.example [192.0.2.1] failed",
            None,
            false,
            Some("192.0.2.1"),
            None,
        ),
        (
            "User bob from 192.0.2.1 not allowed because not listed in AllowUsers",
            Some("bob"),
            true,
            Some("192.0.2.1"),
            Some(Ended::Failure),
        ),
        (
            "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root",
            Some("root"),
            true,
            Some("192.0.2.1"),
            Some(Ended::Failure),
        ),
        ("Server listening on 0.0.0.0 port 22.", None, false, None, None),
        ("", None, false, None, None),
    ] {
        for program in ["sshd", "sshd-session", "sshd-auth"] {
            let found = of(program, text);
            assert_eq!(
                (found.user, found.typed, found.ip, found.ended),
                (user, typed, ip, ended),
                "{text}"
            );
        }
    }
}

#[test]
fn sudo_su_and_account_tools_name_who_and_what() {
    let found = of("sudo", "bob : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/cat /etc/shadow");
    assert_eq!(
        (found.user, found.target, found.command),
        (Some("bob"), Some("root"), Some("/bin/cat /etc/shadow"))
    );
    assert_eq!(found.ended, Some(Ended::Success));
    let refused =
        of("sudo", "bob : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh");
    assert_eq!((refused.user, refused.ended), (Some("bob"), Some(Ended::Failure)));
    let su = of("su", "FAILED SU (to root) bob on pts/0");
    assert_eq!((su.user, su.target, su.ended), (Some("bob"), Some("root"), Some(Ended::Failure)));
    let session =
        of("su", "pam_unix(su:session): session opened for user root(uid=0) by bob(uid=1000)");
    assert_eq!((session.user, session.target), (Some("bob"), Some("root")));
    let new = of(
        "useradd",
        "new user: name=eve, UID=0, GID=0, home=/home/eve, shell=/bin/bash, from=/dev/pts/0",
    );
    assert_eq!((new.user, new.uid), (Some("eve"), Some("0")));
    let member = of("usermod", "add 'eve' to group 'sudo'");
    assert_eq!((member.user, member.group), (Some("eve"), Some("sudo")));
    let member = of("gpasswd", "user eve added by root to group wheel");
    assert_eq!((member.user, member.group), (Some("eve"), Some("wheel")));
    assert_eq!(
        of("systemd", "ssh.service: Failed with result 'signal'.").unit,
        Some("ssh.service")
    );
    assert_eq!(
        of("CRON", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)").user,
        Some("root")
    );
}

#[test]
fn hostile_messages_name_nobody_or_bounded_words() {
    let many = format!(
        "Failed password for invalid user {} from 192.0.2.1 port 1",
        "a from ".repeat(9000)
    );
    assert_eq!(of("sshd", &many).ip, Some("192.0.2.1"));
    assert_eq!(extract(b"sshd", b"\xff\xff").user, None);
    assert_eq!(of("sudo", " : ; ; ;").user, Some(""));
}
