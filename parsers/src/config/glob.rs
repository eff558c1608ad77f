//! glob(7) patterns: `*`, `?`, `[…]`. Never slower than the product of both lengths.

/// Matches part by part: a `*` never crosses the separator.
pub fn parts(pattern: &str, text: &str, separator: char) -> bool {
    let mut patterns = pattern.split(separator);
    let mut parts = text.split(separator);
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if matches(pattern.as_bytes(), part.as_bytes()) => {}
            _ => return false,
        }
    }
}

/// Matches a whole text; `*` matches any bytes. One point of return, so at most `pattern × text` steps.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if t == text.len() {
            return pattern[p..].iter().all(|byte| *byte == b'*');
        }
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => set(&pattern[p..], text[t]),
            Some(byte) if *byte == text[t] => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(width), _) => {
                p += width;
                t += 1;
            }
            (None, Some((after, from))) => {
                star = Some((after, from + 1));
                p = after;
                t = from + 1;
            }
            (None, None) => return false,
        }
    }
}

/// Whether a `[…]` set matches a byte: the width of the set, or `None`.
fn set(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if negated { 2 } else { 1 };
    let length = pattern.get(first + 1..)?.iter().position(|byte| *byte == b']')?;
    let inner = &pattern[first..=first + length];
    let mut at = 0;
    let mut hit = false;
    while at < inner.len() {
        if at + 2 < inner.len() && inner[at + 1] == b'-' {
            hit |= (inner[at]..=inner[at + 2]).contains(&byte);
            at += 3;
        } else {
            hit |= inner[at] == byte;
            at += 1;
        }
    }
    (hit != negated).then_some(first + length + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_glob_7() {
        assert!(matches(b"eth[0-9]", b"eth3") && !matches(b"eth[!0-9]", b"eth3"));
        assert!(matches(b"*a*b", b"xxaxxb") && !matches(b"*a*b", b"xxaxxc"));
        assert!(matches(b"?", b"x") && !matches(b"?", b""));
        assert!(!matches(b"[", b"x") && !matches(b"[]", b"x"));
        assert!(!matches(&b"*a".repeat(2_000), &b"a".repeat(1_999)));
    }

    #[test]
    fn a_star_stays_within_its_part() {
        assert!(parts("/usr/*/x", "/usr/bin/x", '/') && !parts("/usr/*", "/usr/bin/x", '/'));
    }
}
