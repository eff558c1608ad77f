//! Regular expressions of Ruby in the notation of Rust's `regex`.
//!
//! Where the two differ in what recog's files use: `^` and `$` are always anchors of lines; `m` lets
//! `.` match line ends; `\Z`, `\h` and `\e` exist; `--` and `~~` in a class are plain characters; a
//! backslash may stand before any punctuation. Look-around, back references and possessive repeats
//! stay as they are: they do not compile, and the caller says so.

use super::Fingerprint;

/// The expression of a fingerprint, flags included, for `regex`.
pub fn translated(fingerprint: &Fingerprint) -> String {
    let mut out = String::with_capacity(fingerprint.pattern.len() + 16);
    out.push_str("(?m");
    if fingerprint.ignore_case {
        out.push('i');
    }
    if fingerprint.dot_newline {
        out.push('s');
    }
    out.push(')');
    translate(&fingerprint.pattern, &mut out);
    out
}

fn translate(pattern: &str, out: &mut String) {
    let mut rest = pattern.chars().peekable();
    let mut depth = 0_u32; // of brackets: Ruby nests classes as Rust does
    while let Some(character) = rest.next() {
        match character {
            '\\' => match rest.next() {
                Some(escaped) => escape(escaped, depth > 0, out),
                None => out.push('\\'),
            },
            '[' => {
                depth += 1;
                out.push('[');
                // `[]x]` and `[^]x]`: a bracket that closes nothing yet.
                if rest.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if rest.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            ']' if depth > 0 => {
                depth -= 1;
                out.push(']');
            }
            '-' | '~' if depth > 0 && rest.peek() == Some(&character) => {
                out.push('\\');
                out.push(character);
            }
            '(' if depth == 0 && rest.next_if_eq(&'?').is_some() => {
                out.push_str("(?");
                flags(&mut rest, out);
            }
            other => out.push(other),
        }
    }
}

fn escape(escaped: char, in_class: bool, out: &mut String) {
    match escaped {
        'Z' if !in_class => out.push_str("(?:\\n?\\z)"),
        'h' if in_class => out.push_str("0-9a-fA-F"),
        'h' => out.push_str("[0-9a-fA-F]"),
        'H' => out.push_str("[^0-9a-fA-F]"),
        'e' => out.push_str("\\x1B"),
        // In Rust these would be boundaries of words.
        '<' | '>' => out.push(escaped),
        other => {
            out.push('\\');
            out.push(other);
        }
    }
}

/// The letters of `(?im-x:…)` or `(?i)`; groups of other kinds have none.
fn flags(rest: &mut std::iter::Peekable<std::str::Chars>, out: &mut String) {
    while let Some(letter) = rest.next_if(|letter| matches!(letter, 'i' | 'm' | 'x' | '-')) {
        out.push(if letter == 'm' { 's' } else { letter });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_translated() {
        for (ruby, rust) in [
            (r"^a(\d+)$", r"^a(\d+)$"),
            (r"(?i)x(?m:.y)(?mi-x:z)", r"(?i)x(?s:.y)(?si-x:z)"),
            (r"(?<name>m)(?:m)", r"(?<name>m)(?:m)"),
            (r"a\Z", r"a(?:\n?\z)"),
            (r"\h[\h:]\H\e", r"[0-9a-fA-F][0-9a-fA-F:][^0-9a-fA-F]\x1B"),
            (r"\<a\>\/\-", r"<a>\/\-"),
            (r"[]a-z][^]b][[:alpha:]x]", r"[\]a-z][^\]b][[:alpha:]x]"),
            (r"[a--z~~]m-m", r"[a\--z\~~]m-m"),
            ("a\\", "a\\"),
        ] {
            let mut out = String::new();
            translate(ruby, &mut out);
            assert_eq!(out, rust);
        }
    }

    #[test]
    fn translations_compile_and_mean_the_same() {
        let fingerprint = |pattern: &str, dot_newline: bool| Fingerprint {
            line: 1,
            pattern: pattern.to_string(),
            ignore_case: true,
            dot_newline,
            description: String::new(),
            params: Vec::new(),
            examples: Vec::new(),
        };
        let matches = |pattern: &str, dot: bool, text: &str| {
            regex::Regex::new(&translated(&fingerprint(pattern, dot))).unwrap().is_match(text)
        };
        assert!(matches("^b.c$", true, "a\nB\nC\nd"));
        assert!(!matches("^b.c$", false, "a\nB\nC\nd"));
        assert!(matches(r"\Aa\Z", false, "a\n") && !matches(r"\Aa\Z", false, "a\nb"));
        assert!(matches(r"[a--z~~]", false, "~") && matches("[]x]", false, "]"));
    }
}
