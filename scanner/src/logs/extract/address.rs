//! Addresses in messages: at the start of a text, in brackets, behind a key, last on the line.
//!
//! An IPv4 address that a program writes in its IPv6 form (`::ffff:192.0.2.1`) is given as IPv4, so that
//! one stranger is one stranger. Only the words asked about are looked at, each once.

use std::net::IpAddr;

/// The longest address in text: IPv6 with an IPv4 tail.
const ADDRESS_BYTES_MAX: usize = 45;

/// Words that are looked at from the end of a line.
const LAST_WORDS_MAX: usize = 64;

/// A word that is an address.
pub(super) fn address(word: &str) -> Option<&str> {
    let first = word.as_bytes().first()?;
    if word.len() > ADDRESS_BYTES_MAX || !(first.is_ascii_hexdigit() || *first == b':') {
        return None;
    }
    if memchr::memchr(b':', word.as_bytes()).is_none() {
        return is_ipv4(word.as_bytes()).then_some(word);
    }
    let mapped = word.strip_prefix("::ffff:").filter(|rest| rest.contains('.'));
    let word = mapped.unwrap_or(word);
    word.parse::<IpAddr>().is_ok().then_some(word)
}

/// Whether a word is what [`std::net::Ipv4Addr`] reads: four numbers up to 255, no needless zeros.
fn is_ipv4(word: &[u8]) -> bool {
    let (mut parts, mut digits, mut number) = (1, 0, 0_u16);
    for byte in word {
        match byte {
            b'0'..=b'9' if digits < 3 && !(digits > 0 && number == 0) => {
                (digits, number) = (digits + 1, number * 10 + u16::from(byte - b'0'));
            }
            b'.' if digits > 0 && number <= 255 => (parts, digits, number) = (parts + 1, 0, 0),
            _ => return false,
        }
    }
    parts == 4 && digits > 0 && number <= 255
}

/// Where the first of these bytes stands in a text, or its end.
fn up_to(text: &str, ends: &[u8]) -> usize {
    text.bytes().position(|byte| ends.contains(&byte)).unwrap_or(text.len())
}

/// The address with which a text begins: `192.0.2.1 port 4`, `192.0.2.1: 11: Bye`, `2001:db8::1, …`.
pub(super) fn leading(text: &str) -> Option<&str> {
    let short = &text[..up_to(text, b" :,")];
    let long = || text[..up_to(text, b" ,")].trim_end_matches(':');
    address(short).or_else(|| address(long()))
}

/// The address of `192.0.2.1:5555 …` or `[2001:db8::1]:5555 …`, with or without a port.
pub(super) fn leading_with_port(text: &str) -> Option<&str> {
    if let Some(inner) = text.strip_prefix('[') {
        return address(&inner[..inner.find(']')?]);
    }
    let word = &text[..up_to(text, b" ,'\";")];
    let word = word.trim_end_matches(['.', ':']);
    address(word).or_else(|| address(word.rsplit_once(':')?.0))
}

/// The first address in brackets: `mail.example.org[192.0.2.1]: …`.
pub(super) fn bracketed(text: &str) -> Option<&str> {
    memchr::memchr_iter(b'[', text.as_bytes()).find_map(|open| {
        let inner = &text[open + 1..];
        let end = memchr::memchr(b']', &inner.as_bytes()[..inner.len().min(ADDRESS_BYTES_MAX + 1)]);
        address(&inner[..end?])
    })
}

/// The last address of a line; at most the last [`LAST_WORDS_MAX`] words are looked at.
pub(super) fn last(text: &str) -> Option<&str> {
    text.rsplit(' ').take(LAST_WORDS_MAX).find_map(|word| {
        let word = word.trim_matches(['[', ']', ',', ';', '(', ')', '"']).trim_end_matches(':');
        address(word)
    })
}

/// What stands behind a key, up to a space or one of the usual ends: `rip=192.0.2.1, lip=…`.
pub(super) fn value(text: &str) -> &str {
    &text[..up_to(text, b" ,;)'\"")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_where_they_are_written() {
        assert_eq!(leading("192.0.2.1: 11: Bye"), Some("192.0.2.1"));
        assert_eq!(leading("2001:db8::1 port 4"), Some("2001:db8::1"));
        assert_eq!(leading("example.org port 4"), None);
        assert_eq!(leading_with_port("192.0.2.1:5555 TLS"), Some("192.0.2.1"));
        assert_eq!(leading_with_port("[2001:db8::1]:22 on"), Some("2001:db8::1"));
        assert_eq!(leading_with_port("::ffff:192.0.2.1"), Some("192.0.2.1"));
        assert_eq!(bracketed("a[x] b[2001:db8::1]: [192.0.2.1]"), Some("2001:db8::1"));
        assert_eq!(bracketed("a[192.0.2.1"), None);
        assert_eq!(last("x 192.0.2.1, 192.0.2.2: [preauth]"), Some("192.0.2.2"));
        for word in [
            "1.2.3.4",
            "01.2.3.4",
            "0.0.0.0",
            "1.2.3",
            "1.2.3.4.5",
            "256.1.1.1",
            "1.2.3.",
            "1..2.3",
            "255.255.255.255",
            "00.1.1.1",
            "1.2.3.0004",
            "a.b.c.d",
        ] {
            assert_eq!(
                is_ipv4(word.as_bytes()),
                word.parse::<std::net::Ipv4Addr>().is_ok(),
                "{word}"
            );
        }
        let far = |words| format!("192.0.2.1{}", " x".repeat(words));
        assert_eq!(last(&far(LAST_WORDS_MAX - 1)), Some("192.0.2.1"));
        assert_eq!(last(&far(LAST_WORDS_MAX)), None);
    }
}
