//! Durations: `600`, `10m`, `1d12h`, `1h 30min`, `1year-6mo`, `5*60`.

/// Seconds that a text says: numbers with units, joined by space, `+`, `-`, `*` or `/`. `-1` is for ever.
pub fn seconds(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    let mut total = 0.0;
    let mut term: Option<f64> = None;
    let mut sign = 1.0;
    let mut operator = ' ';
    if let Some(after) = rest.strip_prefix('-') {
        (rest, sign) = (after.trim_start(), -1.0);
    }
    while !rest.is_empty() {
        let (value, after) = quantity(rest)?;
        match (operator, term) {
            ('*', Some(left)) => term = Some(left * value),
            ('/', Some(left)) => term = Some(left / value),
            (_, done) => {
                total += done.unwrap_or(0.0);
                term = Some(sign * value);
            }
        }
        rest = after.trim_start();
        operator = '+';
        sign = 1.0;
        if let Some(sign_at) = rest.chars().next().filter(|c| matches!(c, '+' | '-' | '*' | '/')) {
            operator = sign_at;
            sign = if sign_at == '-' { -1.0 } else { 1.0 };
            rest = rest[1..].trim_start();
            if rest.is_empty() {
                return None;
            }
        }
    }
    Some(total + term?).filter(|seconds| seconds.is_finite())
}

/// A number, its unit if any, and what follows.
fn quantity(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let after = text[end..].trim_start();
    let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
    if letters == 0 {
        return Some((number, &text[end..]));
    }
    Some((number * unit(&after[..letters].to_ascii_lowercase())?, &after[letters..]))
}

fn unit(name: &str) -> Option<f64> {
    const YEAR: f64 = 365.25 * 86_400.0;
    Some(match name {
        "s" | "ss" | "se" | "sec" | "second" | "seconds" => 1.0,
        "m" | "mm" | "mi" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hh" | "ho" | "hou" | "hour" | "hours" => 3600.0,
        "d" | "dd" | "da" | "day" | "days" => 86_400.0,
        "w" | "ww" | "we" | "wee" | "week" | "weeks" => 7.0 * 86_400.0,
        "mo" | "mon" | "month" | "months" => YEAR / 12.0,
        "y" | "yy" | "ye" | "yea" | "year" | "years" => YEAR,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_fail2ban() {
        for (text, said) in [
            ("600", Some(600.0)),
            ("-1", Some(-1.0)),
            ("10m", Some(600.0)),
            ("1d12h", Some(129_600.0)),
            ("1h 30min", Some(5400.0)),
            ("1hour+30min", Some(5400.0)),
            ("1year-6mo", Some(15_778_800.0)),
            ("5*60", Some(300.0)),
            ("2 weeks", Some(1_209_600.0)),
            ("", None),
            ("ten", None),
            ("10 parsecs", None),
            ("5*", None),
        ] {
            assert_eq!(seconds(text), said, "{text}");
        }
    }
}
