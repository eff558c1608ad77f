//! Makes text safe to show: secrets are replaced, control bytes are escaped, length is bounded.
//!
//! Errs on the side of hiding. What is hidden: values of keys that sound like a secret
//! (`password=…`, `"token": "…"`, `secretkey …`), credentials in URLs, `Authorization` values, crypt
//! and PHC hashes, PEM bodies, well-known key prefixes, and any word of a shadow-like field that
//! [`crypt_field`] is given. Names, addresses and paths stay.

use std::borrow::Cow;
use std::sync::{LazyLock, OnceLock};

use regex::Regex;

mod may;

/// What stands in place of a secret.
pub const HIDDEN: &str = "[redacted]";

/// Most characters of a line that are shown.
pub const LINE_CHARS_MAX: usize = 400;

/// A line with its secrets hidden, its control characters escaped and its length bounded.
pub fn line(text: &str) -> String {
    printable(&secrets(bounded(text)))
}

/// Control characters (line ends, escapes, NULs, bidirectional overrides) escaped; bounded.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (count, character) in text.chars().enumerate() {
        if count == LINE_CHARS_MAX {
            out.push('…');
            break;
        }
        match character {
            '\t' => out.push(' '),
            c if c.is_control() || is_bidirectional(c) => {
                out.extend(c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    out
}

/// Replaces what looks like a secret.
pub fn secrets(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for pattern in PATTERNS.iter() {
        // Letters beyond ASCII may be the other case of an ASCII one: such a text is simply searched.
        if text.is_ascii() && !(pattern.may_match)(text.as_bytes()) {
            continue;
        }
        if let Cow::Owned(hidden) = without(pattern.regex(), &pattern.keep, &text) {
            text = Cow::Owned(hidden);
        }
    }
    text
}

/// The text with what a pattern finds hidden. Behind a key whose value is no secret the search goes on
/// within the value: `PASSWD: password=…` holds one.
fn without<'t>(pattern: &Regex, keep: &Keep, text: &'t str) -> Cow<'t, str> {
    let mut out = String::new();
    let (mut copied, mut from) = (0, 0);
    while let Some(found) = pattern.captures_at(text, from) {
        let Some(whole) = found.get(0) else { break };
        from = whole.end();
        match (keep, found.get(1)) {
            (Keep::First, Some(key)) if is_no_secret(whole.as_str(), key.as_str()) => {
                from = key.end();
            }
            (Keep::First, Some(key)) => {
                let end = if whole.as_str().ends_with('@') { "@" } else { "" };
                out.extend([&text[copied..key.end()], HIDDEN, end]);
                copied = whole.end();
            }
            _ => {
                out.extend([&text[copied..whole.start()], HIDDEN]);
                copied = whole.end();
            }
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// What a secret looks like.
struct Pattern {
    source: String,
    keep: Keep,
    /// Whether a text of ASCII characters can match at all: told without the expression, which most
    /// runs then never compile.
    may_match: fn(&[u8]) -> bool,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    fn regex(&self) -> &Regex {
        let compile = || Regex::new(&self.source).expect("a constant pattern, compiled by a test");
        self.compiled.get_or_init(compile)
    }
}

enum Keep {
    First,
    Nothing,
}

/// Words that announce a secret wherever they stand in a key; the short ones only as a whole part.
const SECRET_NAMES: &str = "passw|passphrase|passcode|secret|token|api_?key|access_?key|private_?key|auth_?key|session_?id|credential|signature|(?:\\b|_)(?:pass|pwd|pin|otp|sig)(?:\\b|_)";

/// What looks like a secret but is not: sudo's tags, its log's working directory, and switches such as
/// `PasswordAuthentication=yes`.
fn is_no_secret(found: &str, key: &str) -> bool {
    const SWITCHES: [&str; 6] = ["yes", "no", "true", "false", "on", "off"];
    let value = found[key.len()..].to_ascii_lowercase();
    ["NOPASSWD:", "PASSWD:", "PWD=/"].iter().any(|known| found.starts_with(known))
        || SWITCHES.contains(&value.as_str())
}

static PATTERNS: LazyLock<[Pattern; 9]> = LazyLock::new(|| {
    let names = SECRET_NAMES;
    [
        // scheme://user:password@host, and also user-only credentials that look like tokens
        (r"([A-Za-z][A-Za-z0-9+.-]*://[^\s/@:]*:)[^\s@]+(?:@)".to_string(), Keep::First, may::url as fn(&[u8]) -> bool),
        // Authorization: Basic …, Bearer …
        (r"(?i)(\b(?:authorization|proxy-authorization)\s*[:=]\s*(?:basic|bearer|digest)?\s*)\S+".to_string(), Keep::First, may::authorization),
        (r"(?i)(\b(?:basic|bearer)\s+)[A-Za-z0-9+/=._~-]{8,}".to_string(), Keep::First, may::scheme),
        // key=value, key: value, "key": "value", --password value, PASSWORD value
        (format!(r#"(?i)([A-Za-z0-9_.-]*(?:{names})[A-Za-z0-9_.-]*["']?\s*(?:=|:|%3d)\s*)(?:"[^"]*"?|'[^']*'?|[^\s&;,]+)"#), Keep::First, may::assigned),
        (format!(r#"(?i)((?:^|\s)--?[a-z-]*(?:{names})[a-z-]*\s+)(?:"[^"]*"?|'[^']*'?|\S+)"#), Keep::First, may::option),
        (r"(?i)^(\s*[a-z_.-]*(?:requirepass|masterauth|secret|bindpw|rootpw|token)[a-z_.-]*\s+)\S+".to_string(), Keep::First, may::directive),
        // crypt(3) and PHC strings
        (r"\$(?:[0-9][a-z]?|y|gy|7|2[abxy]|md5|sha1|argon2(?:id|i|d)|scrypt|pbkdf2[a-z0-9-]*)\$[./A-Za-z0-9$=,+-]{6,}".to_string(), Keep::Nothing, may::crypt),
        // PEM bodies and well-known prefixes
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*".to_string(), Keep::Nothing, may::pem),
        (r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\bgh[pousr]_[A-Za-z0-9]{16,}|\bglpat-[A-Za-z0-9_-]{16,}|\bxox[abprs]-[A-Za-z0-9-]{10,}|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?|\bsk-(?:proj-|live-|ant-)?[A-Za-z0-9_]{20,}".to_string(), Keep::Nothing, may::prefixed),
    ]
    .map(|(source, keep, may_match)| Pattern { source, keep, may_match, compiled: OnceLock::new() })
});

/// A `:`-separated line of shadow or gshadow with its second field hidden.
pub fn crypt_field(text: &str) -> String {
    let mut parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 1 && !matches!(parts[1], "" | "*" | "!" | "!!" | "!*" | "x") {
        parts[1] = HIDDEN;
    }
    line(&parts.join(":"))
}

fn bounded(text: &str) -> &str {
    // Four times the shown length: a secret that starts inside the shown part is still seen whole
    // enough to be recognised.
    match text.char_indices().nth(LINE_CHARS_MAX * 4) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

fn is_bidirectional(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_the_rest_stays() {
        for (shown, hidden) in [
            ("MYSQL_PASSWORD=CANARY42 run", "CANARY42"),
            ("*/5 * * * * root curl https://bob:CANARY42@example.org/x", "CANARY42"),
            ("auth required pam_mysql.so user=m passwd=CANARY42 db=x", "CANARY42"),
            ("root:$6$abcdefgh$CANARY42CANARY42:19000:0:::::", "CANARY42"),
            ("GET /x?token=CANARY42&a=b HTTP/1.1", "CANARY42"),
            ("{\"api_key\": \"CANARY42\"}", "CANARY42"),
            ("Authorization: Bearer CANARY42CANARY", "CANARY42"),
            ("mysql --password CANARY42 db", "CANARY42"),
            ("requirepass CANARY42", "CANARY42"),
            // Found by fuzzing: a key that is no secret took the next one for its value.
            ("PASSWD: password=CANARY42", "CANARY42"),
            ("NOPASSWD:token=CANARY42", "CANARY42"),
        ] {
            let safe = line(shown);
            assert!(!safe.contains(hidden), "{safe}");
            assert!(safe.contains(HIDDEN), "{safe}");
        }
        for kept in [
            "PermitRootLogin yes",
            "PasswordAuthentication yes",
            "PermitEmptyPasswords no",
            "bob ALL=(ALL) NOPASSWD: ALL",
            "PASS_MAX_DAYS 99999",
            "PasswordAuthentication=yes",
            "PermitRootLogin prohibit-password # a comment",
            "HostKeyAlgorithms sk-ssh-ed25519@openssh.com",
            "sudo: bob : TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/bin/sh",
            "Failed password for root from 192.0.2.1 port 4 ssh2",
            "mapping = x, signal=15, design: y",
            "kernel.kptr_restrict = 0",
        ] {
            assert_eq!(line(kept), kept);
        }
    }

    #[test]
    fn control_bytes_are_escaped_and_length_is_bounded() {
        assert_eq!(line("a\x1b[31mb\nc"), "a\\u{1b}[31mb\\u{a}c");
        assert_eq!(line(&"x".repeat(LINE_CHARS_MAX)).chars().count(), LINE_CHARS_MAX);
        assert_eq!(line(&"x".repeat(LINE_CHARS_MAX + 1)).chars().count(), LINE_CHARS_MAX + 1);
        assert_eq!(crypt_field("bob:CANARY:1::"), "bob:[redacted]:1::");
        assert_eq!(crypt_field("bob::1::"), "bob::1::");
    }
}
