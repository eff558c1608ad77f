//! Daemons of all kinds: whom they name, and that nothing makes them panic.

use super::*;

/// Program, message, user, address, outcome.
type Case = (&'static str, &'static str, Option<&'static str>, Option<&'static str>, Option<Ended>);

fn name_whom(cases: &[Case]) {
    for (program, text, user, ip, ended) in cases {
        let found = of(program, text);
        assert_eq!((found.user, found.ip, found.ended), (*user, *ip, *ended), "{program}: {text}");
    }
}

const YES: Option<Ended> = Some(Ended::Success);
const NO: Option<Ended> = Some(Ended::Failure);
const HERE: Option<&str> = Some("192.0.2.1");

#[test]
fn sshd_of_all_ages_names_the_client() {
    name_whom(&[
        (
            "sshd",
            "error: PAM: Authentication failure for bob from 192.0.2.1",
            Some("bob"),
            HERE,
            NO,
        ),
        (
            "sshd",
            "error: PAM: User not known to the underlying authentication module for illegal user x from 192.0.2.1",
            Some("x"),
            HERE,
            NO,
        ),
        (
            "sshd",
            "ROOT LOGIN REFUSED FROM ::ffff:192.0.2.1 port 4 [preauth]",
            Some("root"),
            HERE,
            NO,
        ),
        (
            "sshd",
            "drop connection #0 from [192.0.2.1]:5 on [198.51.100.1]:22 penalty: failed authentication",
            None,
            HERE,
            None,
        ),
        (
            "sshd",
            "Timeout before authentication for connection from 192.0.2.1 to 198.51.100.1, pid = 3",
            None,
            HERE,
            None,
        ),
        ("sshd", "fatal: Timeout before authentication for 192.0.2.1 port 5", None, HERE, None),
        ("sshd", "Connection from 192.0.2.1 port 5 on 198.51.100.1 port 22", None, HERE, None),
        (
            "sshd",
            "banner exchange: Connection from 192.0.2.1 port 5: invalid format",
            None,
            HERE,
            None,
        ),
        // The old form: the module stands in the tag.
        (
            "sshd",
            "authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost=192.0.2.1  user=root",
            Some("root"),
            HERE,
            NO,
        ),
    ]);
    let named = of("sshd", "authentication failure; logname= uid=0 ruser= rhost=x.example.org ");
    assert_eq!((named.ip, named.host), (None, Some("x.example.org")));
}

#[test]
fn what_strangers_say_is_no_address_of_theirs() {
    let (they_say, server) = ("198.51.100.9", "198.51.100.1");
    for (program, text) in [
        ("sshd", format!("Received disconnect from 192.0.2.1 port 5:11: Bye {they_say}")),
        (
            "sshd",
            format!("Unable to negotiate with 192.0.2.1 port 5: no match. Their offer: {they_say}"),
        ),
        (
            "sshd",
            format!(
                "Bad protocol version identification 'x from {they_say}' from 192.0.2.1 port 9"
            ),
        ),
        (
            "sshd",
            format!("error: PAM: Authentication failure for x from {they_say} from 192.0.2.1"),
        ),
        (
            "sshd",
            format!(
                "Disconnecting invalid user a 192.0.2.1 port 5: Change of username or service not allowed: (a,ssh-connection) -> (b {they_say} ,ssh-connection) [preauth]"
            ),
        ),
        (
            "postfix/smtpd",
            format!(
                "NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 <a@b>: Relay access denied; from=<[{they_say}]> helo=<[{they_say}]>"
            ),
        ),
        (
            "dovecot",
            format!(
                "imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<x, rip={they_say}>, method=PLAIN, rip=192.0.2.1, lip={server}"
            ),
        ),
        (
            "mysqld",
            format!(
                "[Note] Access denied for user 'x'@'{they_say}'@'192.0.2.1' (using password: YES)"
            ),
        ),
        (
            "vsftpd",
            format!("[x] FAIL LOGIN: Client \"{they_say}\"] FAIL LOGIN: Client \"192.0.2.1\""),
        ),
        (
            "proftpd",
            format!(
                "h (x[192.0.2.1]) - USER x [{they_say}]: no such user found from x [192.0.2.1] to {server}:21"
            ),
        ),
        (
            "pure-ftpd",
            format!("(?@192.0.2.1) [WARNING] Authentication failed for user [x@{they_say}) []"),
        ),
        (
            "postgres",
            format!(
                "FATAL:  no pg_hba.conf entry for host \"192.0.2.1\", user \"x\", host \"{they_say}\""
            ),
        ),
        (
            "redis-server",
            format!(
                "REPLICAOF {they_say}:6379 enabled (user request from 'id=3 addr=192.0.2.1:4 fd=7')"
            ),
        ),
    ] {
        let found = extract(canonical_program(program.as_bytes()), text.as_bytes());
        assert_eq!(found.ip, HERE, "{text}");
    }
}

#[test]
fn mail_servers_name_client_and_account() {
    name_whom(&[
        (
            "postfix/smtpd",
            "warning: unknown[192.0.2.1]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
            None,
            HERE,
            NO,
        ),
        (
            "postfix/submission/smtpd",
            "warning: x.example[192.0.2.1]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=bob",
            Some("bob"),
            HERE,
            NO,
        ),
        (
            "postfix-in/smtpd",
            "A1B2C3: client=x.example[192.0.2.1], sasl_method=PLAIN, sasl_username=bob@example.org",
            Some("bob@example.org"),
            HERE,
            YES,
        ),
        ("postfix/smtpd", "A1B2C3: client=x.example[192.0.2.1]", None, HERE, None),
        (
            "dovecot",
            "imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.1, lip=198.51.100.1, mpid=7, TLS",
            Some("bob"),
            HERE,
            YES,
        ),
        (
            "dovecot",
            "pop3-login: Login aborted: Connection closed (auth failed, 1 attempts in 0 secs) (auth_failed): user=<bob>, rip=192.0.2.1, lip=198.51.100.1",
            Some("bob"),
            HERE,
            NO,
        ),
        (
            "dovecot",
            "auth-worker(7): sql(bob,192.0.2.1,<a+b>): unknown user",
            Some("bob"),
            HERE,
            None,
        ),
        (
            "saslauthd",
            "do_auth         : auth failure: [user=bob] [service=smtp] [realm=] [mech=pam] [reason=PAM auth error]",
            Some("bob"),
            None,
            NO,
        ),
    ]);
}

#[test]
fn transfer_and_database_servers_name_client_and_account() {
    name_whom(&[
        ("vsftpd", "[bob] FAIL LOGIN: Client \"::ffff:192.0.2.1\"", Some("bob"), HERE, NO),
        ("vsftpd", "[pid 7] [bob] OK LOGIN: Client \"192.0.2.1\"", Some("bob"), HERE, YES),
        ("vsftpd", "CONNECT: Client \"192.0.2.1\"", None, HERE, None),
        (
            "proftpd",
            "h (x[::ffff:192.0.2.1]) - USER bob (Login failed): Incorrect password",
            Some("bob"),
            HERE,
            NO,
        ),
        (
            "proftpd",
            "h (192.0.2.1[192.0.2.1]) - USER bob: Login successful.",
            Some("bob"),
            HERE,
            YES,
        ),
        (
            "pure-ftpd",
            "(?@192.0.2.1) [WARNING] Authentication failed for user [bob]",
            Some("bob"),
            HERE,
            NO,
        ),
        ("pure-ftpd", "(?@192.0.2.1) [INFO] bob is now logged in", Some("bob"), HERE, YES),
        (
            "mariadbd",
            "2024-05-01 10:00:00 12 [Warning] Access denied for user 'root'@'192.0.2.1' (using password: YES)",
            Some("root"),
            HERE,
            NO,
        ),
        (
            "postgres",
            "user=bob,db=db,app=psql,client=192.0.2.1 FATAL:  password authentication failed for user \"bob\"",
            Some("bob"),
            HERE,
            NO,
        ),
        (
            "postgres",
            "[2-1] bob@db FATAL:  password authentication failed for user \"bob\"",
            Some("bob"),
            None,
            NO,
        ),
        ("postgres", "LOG:  connection received: host=192.0.2.1 port=5", None, HERE, None),
        (
            "postgres",
            "bob@db LOG:  connection authorized: user=bob database=db",
            Some("bob"),
            None,
            YES,
        ),
        ("xinetd", "FAIL: telnet address from=192.0.2.1", None, HERE, NO),
        (
            "ovpn-server",
            "192.0.2.1:64480 TLS Auth Error: Auth Username/Password verification failed for peer",
            None,
            HERE,
            NO,
        ),
        (
            "openvpn",
            "TLS Error: cannot locate HMAC in incoming packet from [AF_INET]192.0.2.1:55340",
            None,
            HERE,
            NO,
        ),
    ]);
}

#[test]
fn the_host_names_who_became_whom_and_what_was_stopped() {
    name_whom(&[
        (
            "pkexec",
            "bob: Executing command [USER=root] [TTY=/dev/pts/0] [CWD=/] [COMMAND=/bin/bash]",
            Some("bob"),
            None,
            YES,
        ),
        (
            "polkitd",
            "Operator of unix-session:2 FAILED to authenticate to gain authorization for action x for system-bus-name::1.5 [y] (owned by unix-user:bob)",
            Some("bob"),
            None,
            NO,
        ),
        (
            "login",
            "FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure",
            Some("root"),
            None,
            NO,
        ),
        (
            "login",
            "FAILED LOGIN 1 FROM tty1 FOR bob, Authentication failure",
            Some("bob"),
            None,
            NO,
        ),
        ("login", "ROOT LOGIN ON tty1", Some("root"), None, YES),
        ("login", "LOGIN ON tty1 BY bob", Some("bob"), None, YES),
        (
            "sshd",
            "pam_faillock(sshd:auth): Consecutive login failures for user bob account temporarily locked",
            Some("bob"),
            None,
            None,
        ),
        (
            "login",
            "pam_tally2(login:auth): user bob (1000) tally 6, deny 5",
            Some("bob"),
            None,
            None,
        ),
        ("systemd-logind", "New session 5 of user bob.", Some("bob"), None, None),
        ("CRON", "(bob) CMD (/opt/job)", Some("bob"), None, None),
        ("userdel", "delete user 'bob'", Some("bob"), None, None),
        ("passwd", "password for 'bob' changed by 'root'", Some("bob"), None, None),
        ("chage", "changed password expiry for bob", Some("bob"), None, None),
        ("useradd", "failed adding user 'bob', exit code: 9", Some("bob"), None, None),
    ]);
    let continued = of("sudo", "bob : (command continued) /etc/shadow");
    assert_eq!((continued.command, continued.ended), (Some("/etc/shadow"), None));
    let hidden =
        "bob : TTY=pts/0 ; PWD=/tmp/ ; COMMAND=/bin/ls ; USER=root ; COMMAND=/bin/cat /etc/shadow";
    assert!(of("sudo", hidden).command.unwrap().ends_with("/bin/cat /etc/shadow"));
    let member = of("groupmems", "add member bob to group sudo by root");
    assert_eq!((member.user, member.group), (Some("bob"), Some("sudo")));
}

#[test]
fn rare_fields_are_named_where_they_are_written() {
    let packet = "[ 12.3] [UFW BLOCK] IN=eth0 OUT= MAC=02:42 SRC=192.0.2.1 DST=198.51.100.1 LEN=40 PROTO=ICMP TYPE=3 [SRC=198.51.100.1 DST=203.0.113.7 PROTO=TCP SPT=9 DPT=22 ]";
    let chrony = "System clock was stepped by -3600.1 seconds";
    for (program, message, field, value) in [
        ("kernel", packet, "dst_ip", Some("198.51.100.1")),
        ("kernel", packet, "proto", Some("ICMP")),
        ("kernel", packet, "in_interface", Some("eth0")),
        ("kernel", packet, "out_interface", None),
        ("kernel", packet, "dst_port", Some("22")),
        ("kernel", "x DPT=22 no packet", "dst_port", None),
        ("kernel", "DROPIN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.1", "in_interface", Some("eth0")),
        ("kernel", "x IN= OUT=eth0 SRC=192.0.2.1 DST=198.51.100.1", "in_interface", None),
        ("kernel", "x IN= OUT=eth0 SRC=192.0.2.1 DST=198.51.100.1", "out_interface", Some("eth0")),
        ("kernel", "[ 12.3] nginx[7]: segfault at 0 ip 0 sp 0", "process", Some("nginx")),
        ("kernel", "traps: a b[7] general protection ip:0", "process", Some("a b")),
        (
            "kernel",
            "Out of memory: Killed process 7 (miner) total-vm:1kB",
            "process",
            Some("miner"),
        ),
        ("dpkg", "remove auditd:amd64 1:3.0.9-1 <none>", "package", Some("auditd")),
        ("dnf", "Erased: audit-3.0.7-1.el9.x86_64", "package", Some("audit-3.0.7-1.el9.x86_64")),
        ("chronyd", chrony, "seconds", Some("-3600.1")),
        ("ntpd", "time reset +3600.1 s", "seconds", Some("3600.1")),
        ("sshd", chrony, "seconds", None),
    ] {
        let found = named(program.as_bytes(), message.as_bytes(), field);
        assert_eq!(found, value, "{field} in {message}");
    }
    assert_eq!(of("kernel", packet).ip, HERE);
}

#[test]
fn no_message_makes_any_daemon_panic() {
    let programs = [
        "sshd",
        "kernel",
        "sudo",
        "su",
        "pkexec",
        "polkitd",
        "login",
        "useradd",
        "usermod",
        "passwd",
        "systemd",
        "systemd-logind",
        "cron",
        "postfix",
        "dovecot",
        "saslauthd",
        "vsftpd",
        "proftpd",
        "pure-ftpd",
        "mysqld",
        "postgres",
        "redis-server",
        "xinetd",
        "openvpn",
        "dpkg",
        "chronyd",
    ];
    let pieces = [
        "",
        " ",
        "'",
        "\"",
        "[",
        "]",
        "(",
        ")",
        ": ",
        ", ",
        " : ",
        "user=<",
        " rip=",
        "USER ",
        "[USER=",
        "COMMAND=",
        " FOR ",
        "): ",
        "Killed process ",
        "]: segfault at ",
        "é",
        "::ffff:",
        " from ",
        "FATAL:",
        "Client \"",
        " SRC=",
        "@",
        "/",
        "Host '",
        "' is blocked ",
        "(auth failed",
        "auth",
        "Access denied for user '",
        "'@'",
        "stepped by ",
        "] [service=",
        "[user=",
        "sasl_username=",
    ];
    for program in programs {
        for one in pieces {
            for two in pieces {
                for three in ["", "]", "x", " 192.0.2.1"] {
                    let text = format!("{one}{two}{three}{one}");
                    let found = extract(program.as_bytes(), text.as_bytes());
                    for field in FIELDS {
                        let value = found.field(field);
                        let value = value.or(named(program.as_bytes(), text.as_bytes(), field));
                        assert!(value.is_none_or(|value| text.contains(value)));
                    }
                }
            }
        }
    }
}
