//! Values of rules that match too much or cost too much: told from their text.

/// The shortest text by which lines are picked out before a rule is asked.
pub(super) const LITERAL_BYTES_MIN: usize = 3;

/// Whether a text with wildcards matches every value.
pub(super) fn is_wild(text: &str) -> bool {
    text.chars().all(|character| character == '*')
}

/// Whether a text with wildcards holds a text long enough to look for.
pub(super) fn has_literal(text: &str) -> bool {
    text.split(['*', '?']).any(|part| part.len() >= LITERAL_BYTES_MIN)
}

/// Whether a regular expression holds a text long enough to look for, which every match has. Errs on
/// the side of yes: a text in one branch only counts as long as the others have one too.
pub(super) fn regex_has_literal(pattern: &str) -> bool {
    branches(pattern).iter().all(|branch| longest_run(branch) >= LITERAL_BYTES_MIN)
}

/// The alternatives at the outermost level.
fn branches(pattern: &str) -> Vec<&str> {
    let (mut depth, mut in_class, mut escaped, mut start) = (0_usize, false, false, 0);
    let mut found = Vec::new();
    for (at, byte) in pattern.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b']' => in_class = false,
            _ if in_class => {}
            b'[' => in_class = true,
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'|' if depth == 0 => {
                found.push(&pattern[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&pattern[start..]);
    found
}

/// The longest run of characters that stand for themselves.
fn longest_run(pattern: &str) -> usize {
    let (mut best, mut run) = (0_usize, 0_usize);
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                // \d, \w, \b …: no text; \., \/: the character itself
                Some(escaped) if !escaped.is_ascii_alphanumeric() => run += escaped.len_utf8(),
                _ => run = 0,
            },
            '[' => {
                run = 0;
                let mut escaped = false;
                for inside in characters.by_ref() {
                    if inside == ']' && !escaped {
                        break;
                    }
                    escaped = inside == '\\' && !escaped;
                }
            }
            '?' | '*' | '{' => {
                // the character before may be absent
                best = best.max(run.saturating_sub(1));
                run = 0;
                if character == '{' {
                    characters.by_ref().take_while(|inside| *inside != '}').for_each(drop);
                }
            }
            '(' | ')' | '|' | '.' | '+' | '^' | '$' => {
                best = best.max(run);
                run = 0;
            }
            other => run += other.len_utf8(),
        }
        best = best.max(if matches!(characters.peek(), Some('?' | '*' | '{')) { 0 } else { run });
    }
    best
}

/// How many characters have to be changed, put in or left out, at most `most`.
pub(super) fn is_near(one: &str, other: &str, most: usize) -> bool {
    if one == other || one.len().abs_diff(other.len()) > most || one.len() > 64 {
        return false;
    }
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, character) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (index, expected) in other.iter().enumerate() {
            let changed = diagonal + usize::from(character != *expected);
            diagonal = row[index + 1];
            row[index + 1] = changed.min(row[index] + 1).min(diagonal + 1);
        }
    }
    row.last().is_some_and(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_found_where_every_match_has_one() {
        for (pattern, expected) in [
            ("abc", true),
            ("ab", false),
            (r"\d+\.\d+", false),
            (r"a\.b", true),
            ("[abc]+", false),
            ("abc?", false),
            ("abcd?", true),
            ("foo|[0-9]+", false),
            ("foo|bar", true),
            (r"^\S+ /etc/", true),
            ("(foo|b)", true),
            (".*", false),
            ("", false),
            (r"ab{2}c", false),
        ] {
            assert_eq!(regex_has_literal(pattern), expected, "{pattern}");
        }
        assert!(is_wild("*") && is_wild("") && !is_wild("a*"));
        assert!(has_literal("*abc*") && !has_literal("a*b?c"));
    }

    #[test]
    fn near_words_are_told() {
        for (one, other, near) in [
            ("falsepositive", "falsepositives", true),
            ("detections", "detection", true),
            ("title", "title", false),
            ("tilte", "title", true),
            ("author", "title", false),
        ] {
            assert_eq!(is_near(one, other, 2), near, "{one} {other}");
        }
    }
}
