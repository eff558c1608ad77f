//! How sshd cuts a line into words: the keyword with one rule, its arguments with another.
//!
//! Both rules are OpenSSH's own. The keyword (and every word of a `Match` line) ends at a blank, a
//! double quote or one `=`; arguments know both quotes, a few escapes, and end at a `#` that starts
//! a word.

/// Takes the next word off `rest` by the keyword's rule. `None` when nothing is left or a quote is
/// never closed; an empty word is possible and is not the end.
pub(super) fn delimited(rest: &mut Option<&str>) -> Option<String> {
    let text = (*rest)?;
    let Some(end) = text.find([' ', '\t', '\r', '\n', '"', '=']) else {
        *rest = None;
        return Some(text.to_string());
    };
    let after = &text[end + 1..];
    match text.as_bytes()[end] {
        b'"' => {
            let Some(close) = after.find('"') else {
                *rest = None;
                return None;
            };
            *rest = Some(skip_blanks(&after[close + 1..]));
            Some(format!("{}{}", &text[..end], &after[..close]))
        }
        b'=' => {
            *rest = Some(skip_blanks(after));
            Some(text[..end].to_string())
        }
        _ => {
            let after = skip_blanks(after);
            *rest = Some(after.strip_prefix('=').map_or(after, skip_blanks));
            Some(text[..end].to_string())
        }
    }
}

/// Most arguments of one line.
pub(super) const WORDS_MAX: usize = 10_000;

/// Splits arguments: blanks separate, quotes of both kinds keep, a backslash escapes quotes,
/// backslashes and (outside quotes) a space. `None` when a quote is never closed. Stops behind
/// [`WORDS_MAX`] words, so that one more tells of too many.
pub(super) fn arguments(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(&first) = characters.peek()
        && words.len() <= WORDS_MAX
    {
        if first == ' ' || first == '\t' {
            characters.next();
            continue;
        }
        if first == '#' {
            break;
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(character) = characters.next() {
            match (character, quote) {
                ('\\', _) => match characters.peek() {
                    Some(&next)
                        if matches!(next, '\'' | '"' | '\\')
                            || (quote.is_none() && next == ' ') =>
                    {
                        word.push(next);
                        characters.next();
                    }
                    _ => word.push('\\'),
                },
                (' ' | '\t', None) => break,
                ('"' | '\'', None) => quote = Some(character),
                (_, Some(open)) if character == open => quote = None,
                _ => word.push(character),
            }
        }
        if quote.is_some() {
            return None;
        }
        words.push(word);
    }
    Some(words)
}

pub(super) fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\r', '\n'])
}

/// Whether a name matches a pattern of `*` and `?`, in time of name × pattern at worst.
pub(super) fn glob_matches(name: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut with) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match pattern.get(with) {
            Some(b'*') => {
                star = Some((with, at));
                with += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[at] => {
                at += 1;
                with += 1;
            }
            _ => {
                let Some((star_with, star_at)) = star else { return false };
                star = Some((star_with, star_at + 1));
                with = star_with + 1;
                at = star_at + 1;
            }
        }
    }
    pattern[with..].iter().all(|&byte| byte == b'*')
}

/// How a comma-separated list of patterns judges a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListMatch {
    /// A pattern behind `!` matches: this wins.
    Negated,
    /// No pattern matches.
    No,
    /// A pattern matches.
    Yes,
}

/// Longest pattern of a list; a longer one makes the list match nothing, as in OpenSSH.
const PATTERN_BYTES_MAX: usize = 1023;

/// Matches a name against a comma-separated list of patterns.
pub(super) fn list_matches(name: &str, list: &str) -> ListMatch {
    let mut found = ListMatch::No;
    if list.is_empty() {
        return found;
    }
    // A comma at the end adds no empty pattern.
    for pattern in list.strip_suffix(',').unwrap_or(list).split(',') {
        let (negated, pattern) = match pattern.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        if pattern.len() >= PATTERN_BYTES_MAX {
            return ListMatch::No;
        }
        if glob_matches(name.as_bytes(), pattern.as_bytes()) {
            if negated {
                return ListMatch::Negated;
            }
            found = ListMatch::Yes;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyword(line: &str) -> (Option<String>, Option<String>) {
        let mut rest = Some(line);
        let word = delimited(&mut rest);
        (word, rest.map(str::to_string))
    }

    #[test]
    fn keywords_end_at_blanks_quotes_and_one_equals_sign() {
        let pair = |a: &str, b: &str| (Some(a.to_string()), Some(b.to_string()));
        assert_eq!(keyword("Port 22"), pair("Port", "22"));
        assert_eq!(keyword("Port=22"), pair("Port", "22"));
        assert_eq!(keyword("Port \t= 22"), pair("Port", "22"));
        assert_eq!(keyword("Port==22"), pair("Port", "=22"));
        assert_eq!(keyword("\"Port\" 22"), pair("Port", "22"));
        assert_eq!(keyword("\"Port 22"), (None, None));
        assert_eq!(keyword("Port"), (Some("Port".into()), None));
    }

    #[test]
    fn arguments_know_quotes_escapes_and_comments() {
        let split = |text: &str| arguments(text).unwrap();
        assert_eq!(split("a 'b c' \"d\"e # f"), ["a", "b c", "de"]);
        assert_eq!(split(r#"a\ b "\"" c\d"#), ["a b", "\"", "c\\d"]);
        assert_eq!(split(r"'a\ b'"), [r"a\ b"]);
        assert_eq!(split("a#b #c"), ["a#b"]);
        assert_eq!(split("''"), [""]);
        assert_eq!(arguments("\"open"), None);
    }

    #[test]
    fn patterns_are_matched_without_blowing_up() {
        assert!(
            glob_matches(b"abc", b"a*c") && glob_matches(b"", b"**") && glob_matches(b"a", b"?")
        );
        assert!(!glob_matches(b"abc", b"a*d") && !glob_matches(b"", b"?"));
        assert!(!glob_matches(&[b'a'; 4000], ("a*".repeat(500) + "b").as_bytes()));
        assert_eq!(list_matches("bob", "!b*,bob"), ListMatch::Negated);
        assert_eq!(list_matches("bob", "a*,bob"), ListMatch::Yes);
        assert_eq!(list_matches("bob", ""), ListMatch::No);
    }
}
