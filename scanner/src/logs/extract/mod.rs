//! Who and from where: the user, address and outcome that a message names, one file a family of daemons.
//!
//! Texts in these messages come from strangers: a user name may hold ` from 192.0.2.1 port 1 ssh2`.
//! Where the program writes the address after the name, the last one on the line is the true one; where
//! the stranger's words come after it, the first. Everything borrows from the message, is read when a
//! rule asks for it, and takes time linear in the message.

mod accounts;
mod address;
mod database;
mod kernel;
mod mail;
mod pam;
mod privilege;
mod sought;
mod sshd;
mod system;
mod transfer;

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
    /// Where it comes from as the program writes it: an address, or a name.
    pub host: Option<&'a str>,
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
    /// Numeric id of a new account or group.
    pub uid: Option<&'a str>,
    /// systemd unit concerned.
    pub unit: Option<&'a str>,
}

/// Every field that a message may name, by the names that rules use.
pub const FIELDS: [&str; 18] = [
    "user",
    "src_ip",
    "src_host",
    "target_user",
    "auth_method",
    "command",
    "group",
    "uid",
    "unit",
    "dst_ip",
    "dst_port",
    "src_port",
    "proto",
    "in_interface",
    "out_interface",
    "process",
    "package",
    "seconds",
];

impl<'a> Extracted<'a> {
    /// A field by the name that rules use, of those that every message is read for.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        match name {
            "user" => self.user,
            "src_ip" => self.ip,
            "src_host" => self.host.or(self.ip),
            "target_user" => self.target,
            "auth_method" => self.method,
            "command" => self.command,
            "group" => self.group,
            "uid" => self.uid,
            "unit" => self.unit,
            _ => None,
        }
    }
}

/// Reads a message. `program` is the canonical name (see [`canonical_program`]).
pub fn extract<'a>(program: &[u8], message: &'a [u8]) -> Extracted<'a> {
    let Some(text) = readable(message) else { return Extracted::default() };
    let found = match program {
        b"sshd" => return sshd::sshd(text),
        b"kernel" => return kernel::kernel(text),
        b"sudo" => privilege::sudo(text),
        b"su" => privilege::su(text),
        b"pkexec" => privilege::pkexec(text),
        b"polkitd" => privilege::polkit(text),
        b"login" => privilege::login(text),
        b"useradd" | b"adduser" | b"groupadd" | b"newusers" => accounts::created(text),
        b"usermod" | b"gpasswd" | b"groupmod" | b"groupmems" | b"userdel" | b"deluser"
        | b"groupdel" | b"chsh" => accounts::changed(text),
        b"passwd" | b"chpasswd" | b"chage" => accounts::password(text),
        b"systemd" => Extracted { unit: system::unit(text), ..Extracted::default() },
        b"systemd-logind" => system::logind(text),
        b"cron" | b"crontab" => system::cron(text),
        b"postfix" => mail::postfix(text),
        b"dovecot" => mail::dovecot(text),
        b"saslauthd" => mail::saslauthd(text),
        b"vsftpd" => transfer::vsftpd(text),
        b"proftpd" => transfer::proftpd(text),
        b"pure-ftpd" => transfer::pure_ftpd(text),
        b"mysqld" => database::mysqld(text),
        b"postgres" => database::postgres(text),
        b"redis-server" => database::redis(text),
        b"xinetd" => system::xinetd(text),
        b"openvpn" => system::openvpn(text),
        _ => Extracted::default(),
    };
    if pam::is_pam(text) && found == Extracted::default() { pam::pam(text) } else { found }
}

/// A field that few messages name and few rules ask for: read anew each time.
pub fn named<'a>(program: &[u8], message: &'a [u8], name: &str) -> Option<&'a str> {
    match (program, name) {
        (b"kernel", _) => kernel::named(readable(message)?, name),
        (b"dpkg" | b"dnf" | b"yum", "package") => system::package(readable(message)?),
        (b"chronyd" | b"ntpd" | b"ntpdate", "seconds") => system::seconds(readable(message)?),
        _ => None,
    }
}

/// One name for programs that go by several: OpenSSH writes as `sshd`, since 9.8 as `sshd-session`,
/// since 10 as `sshd-auth`; cron as `CRON`, `crond` and `anacron`; postfix as `postfix/smtpd`,
/// `postfix/submission/smtpd` or with the name of an instance, `postfix-in/smtpd`.
pub fn canonical_program(program: &[u8]) -> &[u8] {
    match program {
        b"sshd-session" | b"sshd-auth" => b"sshd",
        b"CRON" | b"crond" | b"anacron" => b"cron",
        b"systemd-sudo" => b"sudo",
        b"su-l" => b"su",
        b"mariadbd" | b"mysql" | b"mariadb" | b"mysqld_safe" => b"mysqld",
        b"postgresql" => b"postgres",
        b"redis" | b"valkey-server" => b"redis-server",
        b"dockerd" | b"docker" => b"dockerd",
        other if other.starts_with(b"postfix") && other.contains(&b'/') => b"postfix",
        other if other.starts_with(b"openvpn") || other.starts_with(b"ovpn-") => b"openvpn",
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

#[cfg(test)]
mod tests;
