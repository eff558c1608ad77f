//! The tokens of a line of postgresql.conf, as `guc-file.l` cuts them (longest match, first rule).

/// A token of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name: letters, digits, `_`.
    Id(&'a [u8]),
    /// `name.name`.
    QualifiedId(&'a [u8]),
    /// `'…'` with its quotes.
    Quoted(&'a [u8]),
    /// A bare word, integer with a unit, or number.
    Plain(&'a [u8]),
    /// `=`.
    Equals,
    /// A byte that no rule accepts.
    Bad,
}

/// The next token and where it starts; `None` at the line's end or a comment.
pub(super) fn next(line: &[u8], at: &mut usize) -> Option<(usize, usize)> {
    while matches!(line.get(*at), Some(b' ' | b'\t' | b'\r')) {
        *at += 1;
    }
    let rest = line.get(*at..).filter(|rest| !rest.is_empty() && rest[0] != b'#')?;
    let start = *at;
    let length = match token(rest) {
        Token::Id(text) | Token::QualifiedId(text) | Token::Quoted(text) | Token::Plain(text) => {
            text.len()
        }
        Token::Equals | Token::Bad => 1,
    };
    *at += length;
    Some((start, start + length))
}

/// The token at the start of a text that is not empty.
pub(super) fn token(rest: &[u8]) -> Token<'_> {
    let Some(first) = rest.first() else { return Token::Bad };
    if *first == b'=' {
        return Token::Equals;
    }
    if *first == b'\'' {
        return quoted(rest).map_or(Token::Bad, |length| Token::Quoted(&rest[..length]));
    }
    if is_letter(*first) {
        return word(rest);
    }
    let length = integer(rest).max(real(rest));
    if length == 0 { Token::Bad } else { Token::Plain(&rest[..length]) }
}

fn word(rest: &[u8]) -> Token<'_> {
    let id = run(rest, is_letter_or_digit);
    let bare = run(rest, |byte| is_letter_or_digit(byte) || b"-._:/".contains(&byte));
    let qualified = match rest.get(id..id + 2) {
        Some([b'.', next]) if is_letter(*next) => id + 1 + run(&rest[id + 1..], is_letter_or_digit),
        _ => 0,
    };
    match () {
        () if bare > id.max(qualified) => Token::Plain(&rest[..bare]),
        () if qualified > id => Token::QualifiedId(&rest[..qualified]),
        () => Token::Id(&rest[..id]),
    }
}

/// Length of a quoted string with its quotes.
fn quoted(rest: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match rest.get(at)? {
            b'\\' => {
                rest.get(at + 1)?;
                at += 2;
            }
            b'\'' if rest.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

fn integer(rest: &[u8]) -> usize {
    let sign = usize::from(matches!(rest[0], b'-' | b'+'));
    let digits = run(&rest[sign..], |byte| byte.is_ascii_digit());
    if digits == 0 {
        return 0;
    }
    let with_unit = |end: usize| end + run(&rest[end..], |byte| byte.is_ascii_alphabetic());
    let decimal = with_unit(sign + digits);
    if rest[sign] == b'0' && rest.get(sign + 1) == Some(&b'x') {
        let hex = run(&rest[sign + 2..], |byte| byte.is_ascii_hexdigit());
        if hex > 0 {
            return decimal.max(with_unit(sign + 2 + hex));
        }
    }
    decimal
}

fn real(rest: &[u8]) -> usize {
    let sign = usize::from(matches!(rest[0], b'-' | b'+'));
    let whole = sign + run(&rest[sign..], |byte| byte.is_ascii_digit());
    if rest.get(whole) != Some(&b'.') {
        return 0;
    }
    let end = whole + 1 + run(&rest[whole + 1..], |byte| byte.is_ascii_digit());
    if !matches!(rest.get(end), Some(b'e' | b'E')) {
        return end;
    }
    let sign = usize::from(matches!(rest.get(end + 1), Some(b'-' | b'+')));
    let power = run(rest.get(end + 1 + sign..).unwrap_or_default(), |byte| byte.is_ascii_digit());
    if power == 0 { end } else { end + 1 + sign + power }
}

fn run(text: &[u8], of: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|byte| of(**byte)).count()
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_letter_or_digit(byte: u8) -> bool {
    is_letter(byte) || byte.is_ascii_digit()
}

/// Takes quotes and escapes off a quoted string; an escaped NUL ends it, as in C.
pub(super) fn unquote(quoted: &[u8]) -> Vec<u8> {
    let inner = &quoted[1..quoted.len() - 1];
    let mut out = Vec::with_capacity(inner.len());
    let mut at = 0;
    while at < inner.len() {
        let byte = inner[at];
        at += 1;
        if byte == b'\'' {
            at += 1; // doubled
        }
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some(escaped) = inner.get(at) else { break };
        at += 1;
        out.push(match escaped {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0'..=b'7' => {
                let digits = run(&inner[at - 1..], |byte| (b'0'..=b'7').contains(&byte)).min(3);
                let octal = &inner[at - 1..at - 1 + digits];
                at += digits - 1;
                octal.iter().fold(0_u8, |sum, digit| (sum << 3) | (digit - b'0'))
            }
            other => *other,
        });
    }
    let end = out.iter().position(|byte| *byte == 0).unwrap_or(out.len());
    out.truncate(end);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_cut_at_the_longest_match() {
        let plain = |text: &'static str| Token::Plain(text.as_bytes());
        for (text, wanted) in [
            ("on #", Token::Id(b"on")),
            ("a.b", Token::QualifiedId(b"a.b")),
            ("a.b.c", plain("a.b.c")),
            ("a-b/c", plain("a-b/c")),
            ("10MB x", plain("10MB")),
            ("-0x1Fz", plain("-0x1Fz")),
            ("1.5e-3", plain("1.5e-3")),
            ("1.5GB", plain("1.5")),
            (".", plain(".")),
            ("1e5", plain("1e")),
            ("'it''s \\' x' y", Token::Quoted(b"'it''s \\' x'")),
            ("'open", Token::Bad),
            ("/x", Token::Bad),
        ] {
            assert_eq!(token(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn quotes_and_escapes_are_undone() {
        assert_eq!(unquote(b"'it''s'"), b"it's");
        assert_eq!(unquote(br"'a\nb\101\1012\q\''"), b"a\nbAA2q'");
        assert_eq!(unquote(br"'a\0b'"), b"a");
        assert_eq!(unquote(b"''"), b"");
    }
}
