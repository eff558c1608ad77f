//! What a plain scalar means to each loader.
//!
//! Sources: PyYAML 6.0 `resolver.py` and `constructor.py`; sigs.k8s.io/yaml `goyaml.v2/resolve.go`;
//! go-yaml v3 `resolve.go`. Times stay text.

use serde_json::Number;

use super::{Data, Schema};
use crate::config::yaml::resolve::{self, Scalar};

/// The value, and what it is called where YAML 1.2 reads the text otherwise.
pub(super) fn plain(schema: Schema, text: &str) -> (Data, Option<&'static str>) {
    let data = match schema {
        Schema::Words => return (Data::Text(text.to_string()), None),
        Schema::PyYaml => py_yaml(text),
        Schema::GoYaml2 => go_yaml(text, true),
        Schema::GoYaml3 => go_yaml(text, false),
    };
    let data = data.unwrap_or_else(|| Data::Text(text.to_string()));
    let core = match resolve::scalar(text) {
        Scalar::Null => Data::Null,
        Scalar::Bool(value) => Data::Bool(value),
        Scalar::Unsigned(value) => Data::Number(value.into()),
        Scalar::Signed(value) => Data::Number(value.into()),
        Scalar::Float(value) => float(value).unwrap_or_else(|| Data::Text(text.to_string())),
        Scalar::Wide(_) | Scalar::SignedWide(_) | Scalar::Text => Data::Text(text.to_string()),
    };
    // Never the value itself: it may be a password of digits.
    let meaning = (data != core).then_some(match &data {
        Data::Bool(true) => "true",
        Data::Bool(false) => "false",
        Data::Number(_) => "a number",
        _ => "text",
    });
    (data, meaning)
}

fn float(value: f64) -> Option<Data> {
    Number::from_f64(value).map(Data::Number)
}

fn integer(negative: bool, value: u128) -> Option<Data> {
    match (negative, i128::try_from(value).ok()?) {
        (true, value) => i64::try_from(-value).ok().map(|value| Data::Number(value.into())),
        (false, value) => u64::try_from(value).ok().map(|value| Data::Number(value.into())),
    }
}

/// A sign and the rest.
fn signed(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn py_yaml(text: &str) -> Option<Data> {
    match text {
        _ if null(text) => return Some(Data::Null),
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Some(Data::Bool(true));
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Some(Data::Bool(false));
        }
        _ => {}
    }
    let (negative, digits) = signed(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    py_integer(negative, digits).or_else(|| py_float(negative, digits))
}

fn py_integer(negative: bool, digits: &str) -> Option<Data> {
    let all = |text: &str, radix: u32| {
        !text.is_empty() && text.chars().all(|c| c == '_' || c.is_digit(radix))
    };
    let of = |text: &str, radix: u32| u128::from_str_radix(&text.replace('_', ""), radix).ok();
    let value = if let Some(rest) = digits.strip_prefix("0b") {
        all(rest, 2).then(|| of(rest, 2))??
    } else if let Some(rest) = digits.strip_prefix("0x") {
        all(rest, 16).then(|| of(rest, 16))??
    } else if digits == "0" {
        0
    } else if digits.starts_with('0') {
        all(digits, 8).then(|| of(digits, 8))??
    } else if digits.contains(':') {
        sexagesimal(digits)?
    } else {
        all(digits, 10).then(|| of(digits, 10))??
    };
    integer(negative, value)
}

/// `[1-9][0-9_]*(:[0-5]?[0-9])+`
fn sexagesimal(text: &str) -> Option<u128> {
    let mut value = 0_u128;
    for (index, part) in text.split(':').enumerate() {
        let digits = part.replace('_', "");
        let fits = match index {
            0 => part.chars().all(|c| c == '_' || c.is_ascii_digit()),
            _ => part.len() <= 2 && part.chars().all(|c| c.is_ascii_digit()),
        };
        let part: u128 = digits.parse().ok()?;
        if !fits || (index > 0 && part > 59) {
            return None;
        }
        value = value.checked_mul(60)?.checked_add(part)?;
    }
    Some(value)
}

fn py_float(negative: bool, digits: &str) -> Option<Data> {
    let sign = if negative { -1.0 } else { 1.0 };
    if let Some((before, seconds)) = digits.rsplit_once(':') {
        let minutes = match before.contains(':') {
            true => sexagesimal(before)?,
            false if !before.is_empty() => before.replace('_', "").parse().ok()?,
            false => return None,
        };
        let (whole, fraction) = seconds.split_once('.')?;
        let fits = (1..=2).contains(&whole.len()) && whole.chars().all(|c| c.is_ascii_digit());
        if !fits || !fraction.chars().all(|c| c == '_' || c.is_ascii_digit()) {
            return None;
        }
        let seconds: f64 = seconds.replace('_', "").trim_end_matches('.').parse().ok()?;
        #[allow(clippy::cast_precision_loss)] // as Python's own float arithmetic
        return (seconds < 60.0).then(|| float(sign * (minutes as f64 * 60.0 + seconds)))?;
    }
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, "+0"),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let number = |text: &str| text.chars().all(|c| c == '_' || c.is_ascii_digit());
    let has_digits = !whole.is_empty() || fraction.starts_with(|c: char| c.is_ascii_digit());
    let is_signed = exponent.starts_with(['+', '-']) && exponent.len() > 1;
    if !number(whole) || !number(fraction) || !has_digits || !is_signed {
        return None;
    }
    let value: f64 = digits.replace('_', "").parse().ok()?;
    float(sign * value)
}

fn go_yaml(text: &str, is_v2: bool) -> Option<Data> {
    match text {
        _ if null(text) => return Some(Data::Null),
        "true" | "True" | "TRUE" => return Some(Data::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Data::Bool(false)),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if is_v2 => {
            return Some(Data::Bool(true));
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if is_v2 => {
            return Some(Data::Bool(false));
        }
        _ => {}
    }
    let first = *text.as_bytes().first()?;
    if first == b'.' {
        let is_number = text[1..].starts_with(|c: char| c.is_ascii_digit());
        return is_number.then(|| text.parse().ok().and_then(float))?;
    }
    if !(first.is_ascii_digit() || first == b'+' || first == b'-') {
        return None;
    }
    let plain = text.replace('_', "");
    go_integer(&plain).or_else(|| go_float(&plain))
}

/// Go's `strconv.ParseInt` with base 0, after the underscores are gone.
fn go_integer(text: &str) -> Option<Data> {
    let (negative, digits) = signed(text);
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    integer(negative, u128::from_str_radix(digits, radix).ok()?)
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn go_float(text: &str) -> Option<Data> {
    let (_, digits) = signed(text);
    let fits = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    fits.then(|| text.parse().ok().and_then(float))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn meaning(schema: Schema, text: &str) -> Value {
        match plain(schema, text).0 {
            Data::Null => Value::Null,
            Data::Bool(value) => json!(value),
            Data::Number(number) => Value::Number(number),
            Data::Text(text) => json!(text),
            Data::List(_) | Data::Map(_) => panic!(),
        }
    }

    #[test]
    fn each_loader_has_its_own_meaning() {
        use Schema::{GoYaml2, GoYaml3, PyYaml};
        for (text, py, go2, go3) in [
            ("no", json!(false), json!(false), json!("no")),
            ("On", json!(true), json!(true), json!("On")),
            ("y", json!("y"), json!(true), json!("y")),
            ("oN", json!("oN"), json!("oN"), json!("oN")),
            ("0755", json!(493), json!(493), json!(493)),
            ("0o755", json!("0o755"), json!(493), json!(493)),
            ("0O17", json!("0O17"), json!(15), json!(15)),
            ("08", json!("08"), json!(8.0), json!(8.0)),
            ("1:30", json!(90), json!("1:30"), json!("1:30")),
            ("22:22:22.5", json!(80542.5), json!("22:22:22.5"), json!("22:22:22.5")),
            ("1_000", json!(1000), json!(1000), json!(1000)),
            ("0x1F", json!(31), json!(31), json!(31)),
            ("-0b11", json!(-3), json!(-3), json!(-3)),
            ("1e3", json!("1e3"), json!(1000.0), json!(1000.0)),
            ("1.5e+3", json!(1500.0), json!(1500.0), json!(1500.0)),
            ("1.", json!(1.0), json!(1.0), json!(1.0)),
            (".5", json!(0.5), json!(0.5), json!(0.5)),
            ("~", Value::Null, Value::Null, Value::Null),
            ("+", json!("+"), json!("+"), json!("+")),
            ("-", json!("-"), json!("-"), json!("-")),
            ("0x", json!("0x"), json!("0x"), json!("0x")),
            ("1:60", json!("1:60"), json!("1:60"), json!("1:60")),
            ("2024-01-02", json!("2024-01-02"), json!("2024-01-02"), json!("2024-01-02")),
            ("é", json!("é"), json!("é"), json!("é")),
        ] {
            assert_eq!(meaning(PyYaml, text), py, "{text}");
            assert_eq!(meaning(GoYaml2, text), go2, "{text}");
            assert_eq!(meaning(GoYaml3, text), go3, "{text}");
            assert_eq!(meaning(Schema::Words, text), json!(text));
        }
    }

    #[test]
    fn what_differs_from_yaml_1_2_is_told() {
        assert_eq!(plain(Schema::PyYaml, "no").1, Some("false"));
        assert_eq!(plain(Schema::PyYaml, "0755").1, Some("a number"));
        assert_eq!(plain(Schema::PyYaml, "0o755").1, Some("text"));
        assert_eq!(plain(Schema::GoYaml3, "no").1, None);
        assert_eq!(plain(Schema::PyYaml, "22").1, None);
    }
}
