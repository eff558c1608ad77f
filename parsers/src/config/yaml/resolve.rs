//! What a plain scalar means: the core schema of YAML 1.2.2 (section 10.3), as serde_yaml reads it.
//!
//! Beyond the schema, serde_yaml takes `0b1` for a number and digits after a leading zero (`0755`) for
//! text; so does this. `yes`, `no`, `on` and `off` are text: YAML 1.2 has no such booleans.

/// A plain scalar's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// Nothing, `null`, `~`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A number from 0 to `u64::MAX`.
    Unsigned(u64),
    /// A negative number.
    Signed(i64),
    /// A number beyond 64 bits, not negative.
    Wide(u128),
    /// A negative number beyond 64 bits.
    SignedWide(i128),
    /// A number with a fraction or an exponent, `.inf`, `.nan`.
    Float(f64),
    /// Everything else: the text as it stands.
    Text,
}

/// Resolves a plain scalar.
///
/// ```
/// use parsers::config::yaml::resolve::{Scalar, scalar};
/// assert_eq!(scalar("0x1F"), Scalar::Unsigned(31));
/// assert_eq!(scalar("no"), Scalar::Text);
/// ```
pub fn scalar(text: &str) -> Scalar {
    // One look at the first byte keeps words away from the number readers.
    match text.as_bytes().first() {
        None => Scalar::Null,
        Some(b'~' | b'n' | b'N') => {
            if is_null(text) {
                Scalar::Null
            } else {
                Scalar::Text
            }
        }
        Some(b't' | b'T' | b'f' | b'F') => boolean(text).map_or(Scalar::Text, Scalar::Bool),
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => number(text),
        Some(_) => Scalar::Text,
    }
}

/// Whether a plain scalar is null.
pub(super) fn is_null(text: &str) -> bool {
    matches!(text, "" | "null" | "Null" | "NULL" | "~")
}

/// `true` and `false` in the schema's spellings.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

fn number(text: &str) -> Scalar {
    let bytes = text.as_bytes();
    // The common case: a few digits.
    if bytes.len() < 19 && bytes[0] != b'0' && bytes.iter().all(u8::is_ascii_digit) {
        let value = bytes.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        return Scalar::Unsigned(value);
    }
    if let Some(value) = unsigned(text) {
        return u64::try_from(value).map_or(Scalar::Wide(value), Scalar::Unsigned);
    }
    if let Some(value) = negative(text) {
        return match i64::try_from(value) {
            Ok(0) => Scalar::Unsigned(0),
            Ok(value) => Scalar::Signed(value),
            Err(_) => Scalar::SignedWide(value),
        };
    }
    if leading_zero(text) {
        return Scalar::Text;
    }
    float(text).map_or(Scalar::Text, Scalar::Float)
}

/// A number without a minus sign.
pub(super) fn unsigned(text: &str) -> Option<u128> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    for (prefix, radix) in RADIXES {
        if let Some(rest) = digits.strip_prefix(prefix) {
            return rest
                .starts_with(|c: char| c.is_ascii_hexdigit())
                .then(|| u128::from_str_radix(rest, radix).ok())
                .flatten();
        }
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit()) || leading_zero(text) {
        return None;
    }
    digits.parse().ok()
}

/// A number with a minus sign.
pub(super) fn negative(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-')?;
    for (prefix, radix) in RADIXES {
        if let Some(rest) = digits.strip_prefix(prefix) {
            return rest
                .starts_with(|c: char| c.is_ascii_hexdigit())
                .then(|| i128::from_str_radix(&format!("-{rest}"), radix).ok())
                .flatten();
        }
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit()) || leading_zero(text) {
        return None;
    }
    text.parse().ok()
}

const RADIXES: [(&str, u32); 3] = [("0x", 16), ("0o", 8), ("0b", 2)];

/// A number in decimal notation, `.inf` or `.nan`.
pub(super) fn float(text: &str) -> Option<f64> {
    let rest = text.strip_prefix('+').unwrap_or(text);
    match rest {
        ".inf" | ".Inf" | ".INF" => return Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" if rest.len() == text.len() => return Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" if rest.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    if rest.len() < text.len() && rest.starts_with(['+', '-']) {
        return None;
    }
    rest.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Digits after a leading zero: text, not a number.
fn leading_zero(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text).as_bytes();
    digits.len() > 1 && digits[0] == b'0' && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_yaml::Value;

    fn as_peer(text: &str) -> Option<Scalar> {
        // Only what the peer takes for one plain scalar can be compared; these two mark documents.
        if matches!(text, "---" | "...") {
            return None;
        }
        let value: Value = serde_yaml::from_str(text).ok()?;
        Some(match &value {
            Value::Null => Scalar::Null,
            Value::Bool(value) => Scalar::Bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => Scalar::Unsigned(value),
                (_, Some(value)) => Scalar::Signed(value),
                _ => Scalar::Float(number.as_f64()?),
            },
            Value::String(whole) if whole == text => Scalar::Text,
            _ => return None,
        })
    }

    proptest! {
        #[test]
        fn scalars_mean_what_the_peer_says(text in "[-+]?(0x|0o|0b|\\.)?[0-9a-fA-FeE.+-]{0,6}") {
            if let Some(peer) = as_peer(&text) {
                let same = scalar(&text);
                prop_assert_eq!(format!("{same:?}"), format!("{peer:?}"), "{}", text);
            }
        }
    }

    #[test]
    fn words_and_limits_mean_what_the_peer_says() {
        let words = [
            "",
            "~",
            "null",
            "Null",
            "NULL",
            "nUll",
            "true",
            "True",
            "TRUE",
            "tRue",
            "false",
            "False",
            "FALSE",
            "yes",
            "no",
            "on",
            "off",
            "n",
            "N",
            "t",
            ".inf",
            "-.inf",
            "+.inf",
            ".nan",
            ".NAN",
            "-.nan",
            "inf",
            "nan",
            "infinity",
            "0",
            "-0",
            "+0",
            "00",
            "-01",
            "0755",
            "0o755",
            "0x1F",
            "-0x1f",
            "0b101",
            "1_000",
            "18446744073709551615",
            "-9223372036854775808",
            "1e3",
            "1e400",
            "1.",
            ".5",
            "-.5",
            "+.5",
            "+-1",
            "0x",
            "0x+1",
            "0o8",
            "1:30",
            "2024-01-01",
            "0x1_0",
        ];
        for word in words {
            if let Some(peer) = as_peer(word) {
                assert_eq!(format!("{:?}", scalar(word)), format!("{peer:?}"), "{word}");
            }
        }
        assert_eq!(scalar("18446744073709551616"), Scalar::Wide(1 << 64));
    }
}
