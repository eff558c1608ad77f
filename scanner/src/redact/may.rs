//! For each pattern of a secret: whether a text can match it at all, told by plain comparisons.
//!
//! A wrong yes costs a search, a wrong no would show a secret: each function only asks for what the
//! expression beside which it stands cannot do without, and a test compares. Texts are ASCII.

/// Lower-case words of which a secret's key holds one.
const NAMES: [&[u8]; 17] = [
    b"passw",
    b"passphrase",
    b"passcode",
    b"secret",
    b"token",
    b"api",
    b"access",
    b"private",
    b"auth",
    b"session",
    b"credential",
    b"signature",
    b"pass",
    b"pwd",
    b"pin",
    b"otp",
    b"sig",
];

/// Lower-case words that announce a secret at the start of a line of configuration.
const DIRECTIVES: [&[u8]; 6] =
    [b"requirepass", b"masterauth", b"secret", b"bindpw", b"rootpw", b"token"];

/// `://` and `@`.
pub(super) fn url(text: &[u8]) -> bool {
    has(text, b"://") && memchr::memchr(b'@', text).is_some()
}

pub(super) fn authorization(text: &[u8]) -> bool {
    has_word(text, &[b"authorization"])
}

pub(super) fn scheme(text: &[u8]) -> bool {
    has_word(text, &[b"basic", b"bearer"])
}

/// A name, the rest of its word, perhaps a quote and white space, then `=`, `:` or `%3d`.
pub(super) fn assigned(text: &[u8]) -> bool {
    after_names(text).any(|rest| {
        let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let rest = skip(rest, word);
        let rest = rest.strip_prefix(b"\"").or(rest.strip_prefix(b"'")).unwrap_or(rest);
        let rest = skip(rest, is_space);
        matches!(rest.first(), Some(b'=' | b':')) || rest.starts_with(b"%3")
    })
}

/// A dash at the start or after white space, and a name whose word ends with white space.
pub(super) fn option(text: &[u8]) -> bool {
    let starts = |at: usize| at == 0 || is_space(&text[at - 1]);
    memchr::memchr_iter(b'-', text).any(starts)
        && after_names(text).any(|rest| {
            let letters = |b: &u8| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_');
            skip(rest, letters).first().is_some_and(is_space)
        })
}

/// The first word holds one of a few names.
pub(super) fn directive(text: &[u8]) -> bool {
    let text = skip(text, is_space);
    let word = |b: &u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b'.' | b'-');
    let first = &text[..text.len() - skip(text, word).len()];
    has_word(first, &DIRECTIVES)
}

pub(super) fn crypt(text: &[u8]) -> bool {
    memchr::memchr_iter(b'$', text).nth(1).is_some()
}

pub(super) fn pem(text: &[u8]) -> bool {
    has(text, b"-----BEGIN ")
}

/// `AKIA`, `ASIA`, `gh?_`, `glpat-`, `xox?-`, `eyJ`, `sk-`.
pub(super) fn prefixed(text: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 7] = [b"AKIA", b"ASIA", b"gh", b"glpat-", b"xox", b"eyJ", b"sk-"];
    let first = |b: &u8| matches!(b, b'A' | b'g' | b'x' | b'e' | b's');
    let starts = text.iter().enumerate().filter(|(_, byte)| first(byte));
    starts.map(|(at, _)| &text[at..]).any(|rest| {
        let known = PREFIXES.iter().any(|prefix| rest.starts_with(prefix));
        known && !(rest.starts_with(b"gh") && rest.get(3) != Some(&b'_'))
    })
}

/// What stands behind each name of a secret, and behind each beginning of one.
fn after_names(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let first = |b: &u8| matches!(b.to_ascii_lowercase(), b'p' | b's' | b't' | b'a' | b'c' | b'o');
    let starts = text.iter().enumerate().filter(move |(_, byte)| first(byte));
    starts.filter_map(|(at, _)| {
        let rest = &text[at..];
        let name = NAMES.iter().find(|name| begins(rest, name))?;
        Some(&rest[name.len()..])
    })
}

fn begins(text: &[u8], lower: &[u8]) -> bool {
    text.get(..lower.len()).is_some_and(|there| there.eq_ignore_ascii_case(lower))
}

fn has(text: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(text, needle).is_some()
}

/// Whether one of these lower-case words stands anywhere.
fn has_word(text: &[u8], words: &[&[u8]]) -> bool {
    (0..text.len()).any(|at| words.iter().any(|word| begins(&text[at..], word)))
}

fn skip(text: &[u8], over: impl Fn(&u8) -> bool) -> &[u8] {
    let end = text.iter().position(|byte| !over(byte)).unwrap_or(text.len());
    &text[end..]
}

/// `\s` of ASCII.
fn is_space(byte: &u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

#[cfg(test)]
mod tests {
    use super::super::PATTERNS;

    #[test]
    fn no_text_that_a_pattern_matches_is_skipped() {
        let words = [
            "password",
            "PASSWD",
            "api_key",
            "apikey",
            "access-key",
            "private_key",
            "auth_key",
            "session_id",
            "credential",
            "signature",
            "pass",
            "pwd",
            "pin",
            "otp",
            "sig",
            "_pass_",
            "secret",
            "Token",
            "passphrase",
            "passcode",
            "=",
            ":",
            ": ",
            " = ",
            "%3D",
            "%3d",
            "\"",
            "'",
            " ",
            "\t",
            "\u{b}",
            "--",
            " -",
            "-",
            "_",
            ".",
            "x",
            "CANARY42",
            "://",
            "https://bob:CANARY@",
            "http",
            "@",
            "bob",
            "Authorization",
            "proxy-authorization",
            "Basic ",
            "bearer ",
            "digest",
            "$",
            "$6$",
            "$2b$",
            "$argon2id$",
            "abcdefgh",
            "requirepass ",
            "masterauth ",
            "bindpw ",
            "rootpw\t",
            "-----BEGIN ",
            "RSA PRIVATE KEY-----",
            "AKIAABCDEFGHIJKL",
            "ghp_abcdefghijklmnop",
            "glpat-abcdefghijklmnop",
            "xoxb-abcdefghij",
            "eyJabcdefgh.ijklmnop",
            "sk-proj-",
            "abcdefghijklmnopqrst",
            "&",
            ";",
            "\n",
        ];
        let mut seed = 5_u64;
        let mut next = |below: usize| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        let mut matched = [0_u32; 9];
        for _ in 0..20_000 {
            let text: String = (0..2 + next(6)).map(|_| words[next(words.len())]).collect();
            for (pattern, matched) in PATTERNS.iter().zip(&mut matched) {
                if pattern.regex().is_match(&text) {
                    *matched += 1;
                    assert!((pattern.may_match)(text.as_bytes()), "{} on {text:?}", pattern.source);
                }
            }
        }
        assert!(matched.iter().all(|count| *count > 5), "{matched:?}");
    }

    #[test]
    fn ordinary_lines_need_no_search() {
        for line in [
            "Jun  1 00:00:00 web02 sshd[1508]: Failed password for root from 192.0.2.1 port 4 ssh2",
            "Jun  1 00:00:01 db01 CRON[2012]: pam_unix(cron:session): session opened for user root(uid=0)",
            "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /a?b=c HTTP/1.1\" 200 5",
        ] {
            let asked = PATTERNS.iter().filter(|pattern| (pattern.may_match)(line.as_bytes()));
            assert_eq!(asked.count(), 0, "{line}");
        }
    }
}
