//! The messages of daemons that say no more than that a connection came, and went, and from where.
//!
//! Each form is compared from its first to its last byte. Nothing that a guest chose is part of one: a
//! line with a user, a failed login, a request or a protocol error is none of them, nor is one without a
//! port.

use std::net::IpAddr;

/// Longest message that is looked at.
const MESSAGE_BYTES_MAX: usize = 300;

/// Text before the address, and before the port, and the endings that may follow the port.
type Form = (&'static str, &'static str, &'static [&'static str]);

/// sshd(8), OpenSSH 7 to 10; PostgreSQL's `log_connections`.
const FORMS: [Form; 6] = [
    ("Connection closed by ", " port ", &["", " [preauth]"]),
    ("Connection reset by ", " port ", &["", " [preauth]"]),
    ("Did not receive identification string from ", " port ", &[""]),
    ("error: Did not receive identification string from ", " port ", &[""]),
    ("banner exchange: Connection from ", " port ", &[": could not read protocol version"]),
    ("connection received: host=", " port=", &[""]),
];

/// Postfix with `smtpd_client_port_logging = yes`: `WORDS NAME[ADDRESS]:PORT`. The name is what the
/// resolver says of our own address, and may not hold a blank.
const POSTFIX: [&str; 5] = [
    "connect from ",
    "lost connection after CONNECT from ",
    "lost connection after EHLO from ",
    "lost connection after STARTTLS from ",
    "lost connection after QUIT from ",
];

/// Dovecot with `rport=%b` in `login_log_format_elements`.
const DOVECOT: [&str; 4] =
    ["imap-login: ", "pop3-login: ", "submission-login: ", "managesieve-login: "];

/// The address and port of a connection of which the message says nothing else.
pub fn bare(message: &[u8]) -> Option<(IpAddr, u16)> {
    let text =
        std::str::from_utf8(message.get(..message.len().min(MESSAGE_BYTES_MAX + 1))?).ok()?;
    if text.len() > MESSAGE_BYTES_MAX {
        return None;
    }
    let text = text.trim_end();
    let of_form = FORMS.iter().find_map(|(before, between, endings)| {
        let (address, rest) = text.strip_prefix(before)?.split_once(between)?;
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (port, ending) = rest.split_at(digits);
        endings.contains(&ending).then(|| pair(address, port)).flatten()
    });
    of_form.or_else(|| postfix(text)).or_else(|| dovecot(text))
}

fn pair(address: &str, port: &str) -> Option<(IpAddr, u16)> {
    let plain = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    Some((address.parse().ok()?, port.parse().ok().filter(|_| plain)?))
}

fn postfix(text: &str) -> Option<(IpAddr, u16)> {
    let guest = POSTFIX.iter().find_map(|words| text.strip_prefix(words))?;
    let (name, rest) = guest.split_once('[')?;
    let (address, port) = rest.split_once("]:")?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    pair(address, port).filter(|_| !name.is_empty() && name.bytes().all(is_name))
}

/// How a connection ended that never tried to log in.
const ENDED: [&str; 4] = [
    "Disconnected (no auth attempts in ",
    "Disconnected: Connection closed (no auth attempts in ",
    "Disconnected: Logged out (no auth attempts in ",
    "Aborted login by logging out (no auth attempts in ",
];

/// `imap-login: Disconnected (no auth attempts in 0 secs): user=<>, rip=…, rport=…, …`.
fn dovecot(text: &str) -> Option<(IpAddr, u16)> {
    let said = DOVECOT.iter().find_map(|words| text.strip_prefix(words))?;
    let said = ENDED.iter().find_map(|words| said.strip_prefix(words))?;
    let (seconds, elements) = said.split_once(" secs): user=<>, ")?;
    let known = |element: &str| {
        let plain = ["rip=", "rport=", "lip=", "lport=", "session=<"];
        let word = !element.contains(' ') && plain.iter().any(|key| element.starts_with(key));
        word || ["TLS", "secured", "TLS: Connection closed", "TLS handshaking: Connection closed"]
            .contains(&element)
    };
    if !seconds.bytes().all(|byte| byte.is_ascii_digit()) || !elements.split(", ").all(known) {
        return None;
    }
    let element = |key: &str| {
        let mut of_key = elements.split(", ").filter_map(|one| one.strip_prefix(key));
        of_key.next().filter(|_| of_key.next().is_none())
    };
    pair(element("rip=")?, element("rport=")?)
}
