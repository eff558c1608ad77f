//! Kinds of tokens: addresses, numbers, paths and what else varies from line to line.
//!
//! Decided by the bytes alone, cheapest test first. What is not sure to vary stays a word: learning
//! sees later whether it does.

/// What a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mask {
    /// A constant word; runs of digits in it do not count.
    Word,
    /// An IPv4 or IPv6 address.
    Ip,
    /// A number, with its unit.
    Number,
    /// Hexadecimal digits.
    Hex,
    /// A path of a file system.
    Path,
    /// A UUID (RFC 9562).
    Uuid,
    /// A time or date.
    Time,
    /// Text in quotes.
    Quoted,
    /// An account.
    User,
    /// An email address, or a user at a host.
    Email,
    /// A domain name, a file name, a dotted name.
    Host,
    /// A unit of systemd.
    Unit,
    /// A hardware address.
    Mac,
    /// A URL.
    Url,
    /// A key's fingerprint, a token, base64.
    Digest,
    /// A command line.
    Command,
    /// A long word.
    Blob,
    /// All that lies beyond the limits.
    Rest,
}

impl Mask {
    /// As templates show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Word => "<word>",
            Self::Ip => "<ip>",
            Self::Number => "<num>",
            Self::Hex => "<hex>",
            Self::Path => "<path>",
            Self::Uuid => "<uuid>",
            Self::Time => "<time>",
            Self::Quoted => "<quoted>",
            Self::User => "<user>",
            Self::Email => "<email>",
            Self::Host => "<host>",
            Self::Unit => "<unit>",
            Self::Mac => "<mac>",
            Self::Url => "<url>",
            Self::Digest => "<digest>",
            Self::Command => "<command>",
            Self::Blob => "<blob>",
            Self::Rest => "<rest>",
        }
    }

    /// What tells two kinds apart: a number is one in decimal and in hexadecimal digits, and a random
    /// hexadecimal one may lack letters.
    pub(super) fn class(self) -> u64 {
        match self {
            Self::Hex => Self::Number as u64,
            other => other as u64,
        }
    }

    /// Whether digits attached to it vary too: the port of `192.0.2.1:80`.
    pub(super) fn swallows_numbers(self) -> bool {
        matches!(self, Self::Ip | Self::Host)
    }
}

/// What a word announces for the one that follows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Announces {
    Nothing,
    /// `invalid user`: words up to where the program wrote on.
    Typed,
    /// `user`: one word, unless it only goes on in prose.
    User,
    /// `for`, `User`: one word, if `from` follows it.
    Perhaps,
    /// `from`: an address or the name of a host.
    Peer,
    /// `CMD`: a command in parentheses.
    Command,
}

impl Announces {
    /// Whether the next word may be an account.
    pub(super) fn may_be_name(self) -> bool {
        matches!(self, Self::User | Self::Perhaps)
    }
}

/// Classes of bytes, as bits.
pub(super) mod flag {
    pub const DIGIT: u32 = 1;
    pub const HEX: u32 = 2;
    pub const LETTER: u32 = 4;
    pub const DOT: u32 = 8;
    pub const COLON: u32 = 16;
    pub const DASH: u32 = 32;
    pub const SLASH: u32 = 64;
    pub const AT: u32 = 128;
    pub const EQUALS: u32 = 256;
    pub const QUOTE: u32 = 512;
    pub const UNDER: u32 = 1024;
    pub const OTHER: u32 = 2048;
    pub const PLUS: u32 = 4096;
    pub const COMMA: u32 = 8192;
    pub const UPPER: u32 = 16384;
    pub const LOWER: u32 = 32768;

    /// With none of these a token is a constant word.
    pub const TELLING: u32 = DIGIT | DOT | SLASH | AT | EQUALS | QUOTE;

    pub static OF: [u32; 256] = table();

    /// The classes of all bytes of a text.
    pub fn of(text: &[u8]) -> u32 {
        text.iter().fold(0, |flags, byte| flags | OF[usize::from(*byte)])
    }

    const fn table() -> [u32; 256] {
        let mut table = [OTHER; 256];
        let mut byte = 0_usize;
        while byte < 256 {
            table[byte] = match byte as u8 {
                b'0'..=b'9' => DIGIT,
                b'a'..=b'f' => HEX | LOWER,
                b'A'..=b'F' => HEX | UPPER,
                b'g'..=b'z' => LETTER | LOWER,
                b'G'..=b'Z' => LETTER | UPPER,
                b'.' => DOT,
                b':' => COLON,
                b'-' => DASH,
                b'/' => SLASH,
                b'@' => AT,
                b'=' => EQUALS,
                b'"' | b'\'' => QUOTE,
                b'_' => UNDER,
                b'+' => PLUS,
                b',' => COMMA,
                _ => OTHER,
            };
            byte += 1;
        }
        table
    }
}

use flag::{
    AT, COLON, COMMA, DASH, DIGIT, DOT, EQUALS, HEX, LETTER, LOWER, OTHER, PLUS, SLASH, UNDER,
    UPPER,
};

/// The kind of a value (of these classes of bytes) and how many of its bytes it covers; `None` for a word.
pub(super) fn of(value: &[u8], flags: u32, first: bool) -> Option<(Mask, usize)> {
    let whole = value.len();
    let only = |allowed: u32| flags & !allowed == 0;
    if flags & DIGIT != 0 {
        if only(DIGIT | DOT | COMMA | DASH | PLUS | COLON | SLASH | OTHER)
            && let Some(found) = numeric(value, flags)
        {
            return Some(found);
        }
        if only(DIGIT | HEX | UPPER | LOWER | COLON | DOT | DASH)
            && let Some(found) = hexadecimal(value, flags)
        {
            return Some(found);
        }
        if let Some(found) = number_with_unit(value) {
            return Some(found);
        }
    }
    if flags & (SLASH | COLON) == SLASH | COLON && memchr::memmem::find(value, b"://").is_some() {
        return Some((Mask::Url, whole));
    }
    if value.first() == Some(&b'/') && (whole > 1) {
        return Some((Mask::Path, whole));
    }
    if flags & AT != 0
        && let Some(at) = memchr::memchr(b'@', value)
        && at > 0
        && at + 1 < whole
    {
        let unit = is_unit(value);
        return Some((if unit { Mask::Unit } else { Mask::Email }, whole));
    }
    if is_digest(value, flags) {
        return Some((Mask::Digest, whole));
    }
    if flags & DOT != 0 && only(DIGIT | HEX | LETTER | UPPER | LOWER | DOT | DASH | UNDER | COLON) {
        return dotted(value, flags, first);
    }
    if flags & SLASH != 0
        && only(DIGIT | HEX | LETTER | UPPER | LOWER | DOT | DASH | UNDER | SLASH | PLUS)
    {
        let slashes = value.iter().filter(|byte| **byte == b'/').count();
        return (slashes > 1 && flags & (LOWER | UPPER) != 0).then_some((Mask::Path, whole));
    }
    None
}

/// Digits and what stands between them.
fn numeric(value: &[u8], flags: u32) -> Option<(Mask, usize)> {
    let whole = value.len();
    if flags & !(DIGIT | DOT | COMMA | DASH | PLUS | OTHER) == 0 {
        if flags == DIGIT {
            return Some((Mask::Number, whole));
        }
        if flags == DIGIT | DOT && is_ipv4(value) {
            return Some((Mask::Ip, whole));
        }
        if flags & DASH != 0 && is_date(value) {
            return Some((Mask::Time, whole));
        }
        let bytes = value.strip_suffix(b"%").unwrap_or(value);
        let plain = bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'.' | b',' | b'-' | b'+'));
        return plain.then_some((Mask::Number, whole));
    }
    // An address with a port or a prefix length keeps what follows it.
    let end = memchr::memchr2(b':', b'/', value)?;
    if is_ipv4(&value[..end]) {
        return Some((Mask::Ip, end));
    }
    let clock = value.split(|byte| *byte == b':').all(|part| matches!(part.len(), 1 | 2));
    if flags & !(DIGIT | COLON) == 0 && clock {
        return Some((Mask::Time, whole));
    }
    let several = flags & !(DIGIT | SLASH | COLON | DOT | COMMA) == 0 && value[0] != b'/';
    several.then_some((Mask::Number, whole))
}

fn hexadecimal(value: &[u8], flags: u32) -> Option<(Mask, usize)> {
    let whole = value.len();
    if flags & COLON != 0 {
        let colons = value.iter().filter(|byte| **byte == b':').count();
        let pairs = value.iter().skip(2).step_by(3).all(|byte| *byte == b':');
        if whole >= 17 && whole % 3 == 2 && pairs && colons * 3 == whole - 2 {
            return Some((Mask::Mac, whole));
        }
        return (colons >= 2 && flags & DASH == 0).then_some((Mask::Ip, whole));
    }
    let dash = |at: usize| value.get(at) == Some(&b'-');
    if whole == 36 && dash(8) && dash(13) && dash(18) && dash(23) {
        return Some((Mask::Uuid, whole));
    }
    (whole >= 8 && flags & (DOT | DASH) == 0).then_some((Mask::Hex, whole))
}

/// `0x1f`, `15ms`, `3.5GiB`, `2024-05-01T10:00:00Z`.
fn number_with_unit(value: &[u8]) -> Option<(Mask, usize)> {
    let whole = value.len();
    if let Some(digits) = value.strip_prefix(b"0x") {
        return (digits.iter().all(u8::is_ascii_hexdigit)).then_some((Mask::Hex, whole));
    }
    if value.len() >= 19 && matches!(value[10], b'T' | b'_') && is_date(&value[..10]) {
        return Some((Mask::Time, whole));
    }
    let digits = value.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'.' | b',')).count();
    let unit = &value[digits..];
    let is_unit = digits > 0 && value[0].is_ascii_digit() && unit.len() <= 3;
    (is_unit && unit.iter().all(u8::is_ascii_alphabetic)).then_some((Mask::Number, digits))
}

/// Names with dots: hosts, files, classes, units.
fn dotted(value: &[u8], flags: u32, first: bool) -> Option<(Mask, usize)> {
    let end = memchr::memchr(b':', value).unwrap_or(value.len());
    let name = &value[..end];
    if is_unit(name) {
        return Some((Mask::Unit, end));
    }
    let last = name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    let dots = name.iter().filter(|byte| **byte == b'.').count();
    let named = last.len() >= 2 && dots > 0 && !name.starts_with(b".");
    // `foo.bar` at the beginning of a message is rather the name of what speaks.
    let rather_a_name = !first || dots > 1 || flags & DIGIT != 0;
    (named && rather_a_name).then_some((Mask::Host, end))
}

fn is_unit(name: &[u8]) -> bool {
    const KINDS: [&[u8]; 10] = [
        b".service",
        b".socket",
        b".timer",
        b".mount",
        b".scope",
        b".slice",
        b".target",
        b".path",
        b".device",
        b".swap",
    ];
    KINDS.iter().any(|kind| name.ends_with(kind) && name.len() > kind.len())
}

/// `SHA256:…`, base64: long, of mixed case with digits.
fn is_digest(value: &[u8], flags: u32) -> bool {
    let text = flags & (DOT | AT | OTHER) == 0;
    let mixed = flags & (UPPER | LOWER | DIGIT) == UPPER | LOWER | DIGIT;
    let hashed = value.starts_with(b"SHA256:") || value.starts_with(b"MD5:");
    hashed
        || value.len() >= 20 && text && mixed && flags & (DASH | UNDER) == 0
        || value.len() >= 20 && text && mixed && flags & (EQUALS | SLASH | PLUS) != 0
}

fn is_ipv4(value: &[u8]) -> bool {
    let (mut parts, mut digits) = (1, 0);
    for byte in value {
        match byte {
            b'0'..=b'9' if digits < 3 => digits += 1,
            b'.' if digits > 0 => (parts, digits) = (parts + 1, 0),
            _ => return false,
        }
    }
    parts == 4 && digits > 0
}

/// `2024-05-01`.
fn is_date(value: &[u8]) -> bool {
    value.len() == 10 && value[4] == b'-' && value[7] == b'-'
}

/// How much of a token is left when the punctuation at its end is taken off.
pub(super) fn trimmed_end(token: &[u8]) -> usize {
    let tail = token.iter().rev().take_while(|byte| {
        matches!(
            byte,
            b',' | b':' | b';' | b'.' | b')' | b']' | b'}' | b'>' | b'!' | b'?' | b'"' | b'\''
        )
    });
    token.len() - tail.count()
}

/// The length of the key of `key=value`.
pub(super) fn key_length(token: &[u8]) -> Option<usize> {
    let equals = memchr::memchr(b'=', token)?;
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    ((1..=32).contains(&equals) && token[..equals].iter().all(name)).then_some(equals)
}

/// Whether the value of this key is an account.
pub(super) fn names_account(key: &[u8]) -> bool {
    matches!(
        key,
        b"user"
            | b"ruser"
            | b"acct"
            | b"logname"
            | b"USER"
            | b"username"
            | b"login"
            | b"account"
            | b"User"
            | b"Username"
            | b"sasl_username"
    )
}

/// Whether the value of this key is an address or the name of a host.
pub(super) fn names_host(key: &[u8]) -> bool {
    matches!(key, b"rhost" | b"addr" | b"hostname" | b"SRC" | b"DST" | b"client" | b"rip" | b"lip")
}

/// Whether what stands before a value, with the `=`, is such a key.
pub(super) fn is_key_of_host(before: &[u8]) -> bool {
    let lead =
        before.iter().take_while(|byte| matches!(byte, b'(' | b'[' | b'{' | b'<' | b',')).count();
    before[lead..].strip_suffix(b"=").is_some_and(names_host)
}

/// Whether a word is an account: after `user` unless prose goes on, after `for` if `from` follows.
pub(super) fn is_name(announced: Announces, token: &[u8], goes_on: &[u8]) -> bool {
    if token.last() == Some(&b')') && memchr::memmem::find(token, b"(uid=").is_some_and(|at| at > 0)
    {
        return true;
    }
    if announced == Announces::Perhaps {
        return goes_on.starts_with(b"from ");
    }
    const PROSE: [&[u8]; 17] = [
        b"unknown",
        b"request",
        b"name",
        b"not",
        b"is",
        b"has",
        b"was",
        b"list",
        b"id",
        b"account",
        b"and",
        b"or",
        b"session",
        b"slice",
        b"mode",
        b"manager",
        b"authentication",
    ];
    announced == Announces::User && !PROSE.contains(&&token[..trimmed_end(token)])
}

/// Bytes of a typed name at the start of a text: up to ` from ADDRESS`, ` ADDRESS port`, ` [preauth]`.
pub(super) fn typed_length(text: &[u8]) -> usize {
    let find = |what: &[u8]| memchr::memmem::rfind(text, what);
    if let Some(from) = find(b" from ") {
        return from;
    }
    if let Some(port) = find(b" port ") {
        return memchr::memrchr(b' ', &text[..port]).unwrap_or(0);
    }
    find(b" [preauth]").unwrap_or(text.len())
}
