//! How far a token reaches: the patterns of `grammar/lexer.l`.

pub(super) fn word_length(text: &str) -> usize {
    let first = text.bytes().next().filter(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let inside =
        |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+' | b',' | b';');
    first.map_or(0, |_| text.bytes().take_while(inside).count())
}

/// `$IncludeConfig` ends behind its first word; what follows is read on.
pub(super) fn include_end(line: &str) -> Option<usize> {
    const NAME: &str = "$includeconfig ";
    line.get(..NAME.len()).filter(|name| name.eq_ignore_ascii_case(NAME))?;
    let rest = line[NAME.len()..].trim_start_matches([' ', '\t']);
    let word = rest.find([' ', '\t']).unwrap_or(rest.len());
    Some(line.len() - rest.len() + word)
}

pub(super) fn name_length(text: &str) -> usize {
    text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()
}

/// `[*a-z][*a-z]*[0-7]*[.,][,!=;.*a-z0-7]+`
pub(super) fn priority_filter(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    let count = |from: usize, fits: &dyn Fn(u8) -> bool| {
        bytes[from..].iter().take_while(|byte| fits(**byte)).count()
    };
    let names = count(0, &|b| b == b'*' || b.is_ascii_alphabetic());
    let digits = count(names, &|b| (b'0'..=b'7').contains(&b));
    let at = names + digits;
    if names == 0 || !matches!(bytes.get(at), Some(b'.' | b',')) {
        return None;
    }
    let inside =
        |b: u8| b.is_ascii_alphabetic() || (b'0'..=b'7').contains(&b) || b",!=;.*".contains(&b);
    let rest = count(at + 1, &inside);
    (rest > 0).then_some(at + 1 + rest)
}

/// `:[$]name, [!]operation, "value"`
pub(super) fn property_filter(line: &str) -> Option<usize> {
    let mut at = line.strip_prefix(':').map(|_| 1)?;
    at += usize::from(line[at..].starts_with('$'));
    let name = line[at..].bytes().take_while(|b| b.is_ascii_alphabetic() || *b == b'-').count();
    at += name;
    at += comma(&line[at..])?;
    at += usize::from(line[at..].starts_with('!'));
    let operation = line[at..].bytes().take_while(u8::is_ascii_alphabetic).count();
    at += operation;
    at += comma(&line[at..])?;
    if name == 0 || operation == 0 || !line[at..].starts_with('"') {
        return None;
    }
    let value = &line.as_bytes()[at + 1..];
    let mut end = 0;
    loop {
        match value.get(end)? {
            b'\\' if value.get(end + 1) == Some(&b'"') => end += 2,
            b'"' => return Some(at + 1 + end + 1),
            _ => end += 1,
        }
    }
}

/// `[ ]*,[ ]*`
pub(super) fn comma(text: &str) -> Option<usize> {
    let rest = text.trim_start_matches(' ').strip_prefix(',')?;
    Some(text.len() - rest.trim_start_matches(' ').len())
}

/// `$[$!./]?[@a-z_]*[!@a-z0-9\-_.[\]]*`
pub(super) fn variable_length(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('$')?;
    let root = usize::from(rest.starts_with(['$', '!', '.', '/']));
    let inside = |b: &u8| b.is_ascii_alphanumeric() || b"!@-_.[]".contains(b);
    Some(1 + root + rest[root..].bytes().take_while(inside).count())
}

/// Words and signs between two values.
pub(super) fn operator_length(text: &str) -> Option<usize> {
    const WORDS: [&str; 6] = ["or", "and", "contains", "contains_i", "startswith", "startswith_i"];
    let name = name_length(text);
    if name > 0 {
        let word = &text[..name];
        return WORDS.iter().any(|known| known.eq_ignore_ascii_case(word)).then_some(name);
    }
    let signs = ["==", "<=", ">=", "!=", "<>", "<", ">", "*", "/", "%", "+", "&", "-"];
    signs.iter().find(|sign| text.starts_with(**sign)).map(|sign| sign.len())
}

/// The length of a quoted text with its quotes. `$` may not stand in double quotes of expressions.
pub(super) fn quoted(text: &[u8], quote: u8, escapes: &[u8], no_dollar: bool) -> Option<usize> {
    let mut at = 1;
    loop {
        match *text.get(at)? {
            byte if byte == quote => return Some(at + 1),
            b'$' if no_dollar => return None,
            b'\\' => {
                let next = text.get(at + 1)?.to_ascii_lowercase();
                let digits = |from: usize, count: usize, radix: u32| {
                    let all = text.get(from..from + count).unwrap_or_default();
                    all.len() == count && all.iter().all(|b| char::from(*b).is_digit(radix))
                };
                at += match next {
                    _ if escapes.contains(&next) => 2,
                    b'x' if digits(at + 2, 2, 16) => 4,
                    b'0'..=b'7' => 2,
                    _ => return None,
                };
            }
            _ => at += 1,
        }
    }
}

pub(super) fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut characters = raw.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}
