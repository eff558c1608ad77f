//! Who and from where: the user, address and outcome that a message of sshd, sudo, su, PAM, useradd
//! and systemd names.
//!
//! Texts in these messages come from strangers: a user name may hold ` from 192.0.2.1 port 1 ssh2`.
//! Where the program writes the address after the name, the last one on the line is the true one.

use std::net::IpAddr;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Somebody got in.
    Success,
    /// Somebody was turned away.
    Failure,
}

/// What a message names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extracted<'a> {
    /// The account that acts or is tried.
    pub user: Option<&'a str>,
    /// Whether the account does not exist: the word is whatever somebody typed.
    pub typed: bool,
    /// Where it comes from.
    pub ip: Option<&'a str>,
    /// How it ended.
    pub ended: Option<Ended>,
    /// The account that is taken on (su, sudo) or into which somebody is put.
    pub target: Option<&'a str>,
    /// `password`, `publickey` …
    pub method: Option<&'a str>,
    /// What was run.
    pub command: Option<&'a str>,
    /// Group concerned.
    pub group: Option<&'a str>,
    /// Numeric id of a new account.
    pub uid: Option<&'a str>,
    /// systemd unit concerned.
    pub unit: Option<&'a str>,
}

/// Reads a message. `program` is the canonical name (see [`canonical_program`]).
pub fn extract<'a>(program: &[u8], message: &'a [u8]) -> Extracted<'a> {
    let Some(text) = readable(message) else { return Extracted::default() };
    let found = match program {
        b"sshd" => sshd(text),
        b"sudo" => sudo(text),
        b"su" => su(text),
        b"useradd" | b"adduser" | b"groupadd" | b"newusers" => new_account(text),
        b"usermod" | b"gpasswd" | b"groupmod" => membership(text),
        b"passwd" | b"chpasswd" => password_change(text),
        b"systemd" => Extracted { unit: unit(text), ..Extracted::default() },
        _ => Extracted::default(),
    };
    if found == Extracted::default() { pam(text) } else { found }
}

/// One name for programs that go by several: OpenSSH writes as `sshd`, since 9.8 as `sshd-session`,
/// since 10 as `sshd-auth`; cron as `CRON`, `crond` and `anacron`.
pub fn canonical_program(program: &[u8]) -> &[u8] {
    match program {
        b"sshd-session" | b"sshd-auth" => b"sshd",
        b"CRON" | b"crond" | b"anacron" => b"cron",
        b"systemd-sudo" => b"sudo",
        other => other,
    }
}

/// The part of a message that is UTF-8.
fn readable(message: &[u8]) -> Option<&str> {
    match std::str::from_utf8(message) {
        Ok(text) => Some(text),
        Err(error) => std::str::from_utf8(&message[..error.valid_up_to()]).ok(),
    }
}

fn sshd(text: &str) -> Extracted<'_> {
    let text =
        text.strip_prefix("error: ").or_else(|| text.strip_prefix("fatal: ")).unwrap_or(text);
    if let Some(rest) = text.strip_prefix("Accepted ") {
        return login(rest, Ended::Success, First);
    }
    for prefix in ["Failed ", "Postponed "] {
        if let Some(rest) = text.strip_prefix(prefix) {
            let ended = if prefix == "Failed " { Some(Ended::Failure) } else { None };
            return Extracted { ended, ..login(rest, Ended::Failure, Last) };
        }
    }
    for prefix in ["Invalid user ", "Illegal user "] {
        if let Some(rest) = text.strip_prefix(prefix) {
            let (user, ip) = user_from(rest, Last);
            return Extracted { user, typed: true, ip, ended: None, ..Extracted::default() };
        }
    }
    if let Some(rest) = text.strip_prefix("maximum authentication attempts exceeded for ") {
        let (typed, rest) = without_invalid(rest);
        let (user, ip) = user_from(rest, Last);
        return Extracted { user, typed, ip, ..Extracted::default() };
    }
    if let Some(rest) = text.strip_prefix("User ")
        && rest.contains(" not allowed because ")
    {
        let (user, ip) = user_from(rest, First);
        return Extracted {
            user,
            typed: true,
            ip,
            ended: Some(Ended::Failure),
            ..Extracted::default()
        };
    }
    if let Some(rest) = text.strip_prefix("input_userauth_request: invalid user ") {
        let user = Some(rest.strip_suffix(" [preauth]").unwrap_or(rest));
        return Extracted { user, typed: true, ..Extracted::default() };
    }
    if text.starts_with("pam_") || text.starts_with("PAM ") {
        return pam(text);
    }
    connection(text)
}

/// `METHOD for [invalid user ]USER from IP port N …`.
fn login(rest: &str, ended: Ended, which: Which) -> Extracted<'_> {
    let Some((method, rest)) = rest.split_once(" for ") else { return Extracted::default() };
    let (typed, rest) = without_invalid(rest);
    let (user, ip) = user_from(rest, which);
    Extracted { user, typed, ip, ended: Some(ended), method: Some(method), ..Extracted::default() }
}

/// `Connection closed by invalid user x 192.0.2.1 port 4 [preauth]` and its many relatives: the last
/// address of the line, and the name before it where one is announced.
fn connection(text: &str) -> Extracted<'_> {
    let ip = last_address(text);
    let announced =
        [("invalid user ", true), ("authenticating user ", false), ("from user ", false)];
    for (words, typed) in announced {
        let Some((_, rest)) = text.split_once(words) else { continue };
        let user = ip.and_then(|ip| rest.rfind(ip).map(|at| rest[..at].trim_end()));
        return Extracted { user, typed, ip, ..Extracted::default() };
    }
    Extracted { ip, ..Extracted::default() }
}

enum Which {
    First,
    Last,
}
use Which::{First, Last};

/// `USER from IP…`: splits at the first or last ` from ` that an address follows.
fn user_from(text: &str, which: Which) -> (Option<&str>, Option<&str>) {
    let mut found = None;
    // The number of ` from ` is bounded by the line's length, each is looked at once.
    for (at, words) in text.match_indices(" from ") {
        if let Some(ip) = leading_address(&text[at + words.len()..]) {
            found = Some((at, ip));
            if matches!(which, First) {
                break;
            }
        }
    }
    match found {
        Some((at, ip)) => (Some(&text[..at]), Some(ip)),
        None => (text.split(" from ").next(), None),
    }
}

fn without_invalid(text: &str) -> (bool, &str) {
    for words in ["invalid user ", "illegal user "] {
        if let Some(rest) = text.strip_prefix(words) {
            return (true, rest);
        }
    }
    (false, text)
}

/// `bob : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh`, with a complaint before `TTY`.
fn sudo(text: &str) -> Extracted<'_> {
    let Some((user, rest)) = text.split_once(" : ") else { return Extracted::default() };
    if user.contains(' ') {
        return Extracted::default();
    }
    let complaint = !rest.starts_with("TTY=") && !rest.starts_with("PWD=");
    let part = |name: &str| rest.split(" ; ").find_map(|part| part.trim().strip_prefix(name));
    Extracted {
        user: Some(user),
        target: part("USER="),
        command: rest.split_once("COMMAND=").map(|(_, command)| command),
        ended: Some(if complaint { Ended::Failure } else { Ended::Success }),
        ..Extracted::default()
    }
}

fn su(text: &str) -> Extracted<'_> {
    for (prefix, ended) in [("FAILED SU (to ", Ended::Failure), ("(to ", Ended::Success)] {
        if let Some((target, rest)) = text.strip_prefix(prefix).and_then(|r| r.split_once(") ")) {
            let user = rest.split(' ').next();
            return Extracted {
                user,
                target: Some(target),
                ended: Some(ended),
                ..Extracted::default()
            };
        }
    }
    for (prefix, ended) in
        [("FAILED su for ", Ended::Failure), ("Successful su for ", Ended::Success)]
    {
        if let Some((target, user)) = text.strip_prefix(prefix).and_then(|r| r.split_once(" by ")) {
            let (user, target) = (Some(user), Some(target));
            return Extracted { user, target, ended: Some(ended), ..Extracted::default() };
        }
    }
    Extracted::default()
}

/// `new user: name=x, UID=1001, GID=1001, home=/home/x, …`.
fn new_account(text: &str) -> Extracted<'_> {
    let part = |name: &str| {
        let rest = text.split_once(name)?.1;
        Some(rest.split(',').next().unwrap_or(rest).trim())
    };
    if text.starts_with("new group") || text.starts_with("group added") {
        return Extracted { group: part("name="), ..Extracted::default() };
    }
    if text.starts_with("add '") {
        return membership(text);
    }
    Extracted { user: part("name="), uid: part("UID="), ..Extracted::default() }
}

/// `add 'bob' to group 'sudo'`, `user bob added by root to group sudo`, `change user 'x' UID from …`.
fn membership(text: &str) -> Extracted<'_> {
    if let Some(rest) = text.strip_prefix("user ")
        && let Some((user, rest)) = rest.split_once(" added by ")
    {
        let group = rest.split_once(" to group ").map(|(_, group)| group.trim());
        return Extracted { user: Some(user), group, ..Extracted::default() };
    }
    let mut quoted = text.split('\'').skip(1).step_by(2);
    let user = quoted.next();
    let group = if text.contains("group '") { quoted.next() } else { None };
    let uid = text.split_once("UID from ").and_then(|(_, rest)| {
        Some(rest.split_once(" to ")?.1.trim_matches('\'')).map(|uid| uid.trim())
    });
    Extracted { user, group: if uid.is_some() { None } else { group }, uid, ..Extracted::default() }
}

/// `pam_unix(passwd:chauthtok): password changed for bob`.
fn password_change(text: &str) -> Extracted<'_> {
    let user = text.split_once("password changed for ").map(|(_, user)| user.trim());
    Extracted { user, ..Extracted::default() }
}

/// `authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root`,
/// `session opened for user root(uid=0) by bob(uid=1000)`.
fn pam(text: &str) -> Extracted<'_> {
    let part = |name: &str| {
        text.split(' ').find_map(|word| word.strip_prefix(name)).filter(|value| !value.is_empty())
    };
    if text.contains("authentication failure") || text.contains("more authentication failure") {
        let actor = part("ruser=").or_else(|| part("user="));
        return Extracted {
            user: actor,
            // modules that log unknown names exist: only a success shows that the account does
            typed: true,
            target: part("user="),
            ip: part("rhost=").filter(|host| host.parse::<IpAddr>().is_ok()),
            ended: Some(Ended::Failure),
            ..Extracted::default()
        };
    }
    if let Some((_, rest)) = text.split_once("session opened for user ") {
        let name = |part: &'_ str| part.find(['(', ' ']).unwrap_or(part.len());
        let target = &rest[..name(rest)];
        let by = rest.split_once(" by ").map(|(_, by)| &by[..name(by)]);
        let user = by.filter(|by| !by.is_empty()).or(Some(target));
        return Extracted {
            user,
            target: Some(target),
            ended: Some(Ended::Success),
            ..Extracted::default()
        };
    }
    Extracted::default()
}

fn unit(text: &str) -> Option<&str> {
    const KINDS: [&str; 6] = [".service", ".socket", ".timer", ".mount", ".scope", ".slice"];
    let word = text.split([' ', ':']).find(|word| KINDS.iter().any(|kind| word.ends_with(kind)))?;
    Some(word)
}

fn leading_address(text: &str) -> Option<&str> {
    let end = text.find([' ', ':', ',']).unwrap_or(text.len());
    let short = &text[..end];
    if short.parse::<IpAddr>().is_ok() {
        return Some(short);
    }
    let end = text.find([' ', ',']).unwrap_or(text.len());
    let long = text[..end].trim_end_matches(':');
    long.parse::<IpAddr>().is_ok().then_some(long)
}

/// The last address of a line; at most the last 64 words are looked at.
fn last_address(text: &str) -> Option<&str> {
    text.rsplit(' ').take(64).find_map(|word| {
        let word = word.trim_matches(['[', ']', ',', ';', '(', ')', '"']).trim_end_matches(':');
        (word.len() <= 45 && word.parse::<IpAddr>().is_ok()).then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("Server listening on 0.0.0.0 port 22.", None, false, Some("0.0.0.0"), None),
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
        let found =
            of("sudo", "bob : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/cat /etc/shadow");
        assert_eq!(
            (found.user, found.target, found.command),
            (Some("bob"), Some("root"), Some("/bin/cat /etc/shadow"))
        );
        assert_eq!(found.ended, Some(Ended::Success));
        let refused = of(
            "sudo",
            "bob : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh",
        );
        assert_eq!((refused.user, refused.ended), (Some("bob"), Some(Ended::Failure)));
        let su = of("su", "FAILED SU (to root) bob on pts/0");
        assert_eq!(
            (su.user, su.target, su.ended),
            (Some("bob"), Some("root"), Some(Ended::Failure))
        );
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
            of("CRON", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)")
                .user,
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
}
