//! Numbers as sshd reads them: C's `strtol`, times, sizes, ports.

/// C's `strtol`: blanks, a sign, digits; returns the value (saturated) and what follows, or `None`
/// when there is no digit. Base 0 reads `0x` as hexadecimal and a leading `0` as octal.
pub(super) fn leading_integer(text: &str, base: u32) -> Option<(i64, &str)> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (base, digits) = match base {
        0 => match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_hexdigit()) => (16, rest),
            _ if digits.starts_with('0') => (8, digits),
            _ => (10, digits),
        },
        other => (other, digits),
    };
    let end = digits.find(|c: char| !c.is_digit(base)).unwrap_or(digits.len());
    if end == 0 {
        return None;
    }
    let magnitude = digits[..end].chars().fold(0_i64, |sum, digit| {
        sum.saturating_mul(i64::from(base))
            .saturating_add(i64::from(digit.to_digit(base).unwrap_or(0)))
    });
    Some((if negative { -magnitude } else { magnitude }, &digits[end..]))
}

/// A whole decimal number within bounds.
pub(super) fn integer(text: &str, max: i64) -> Option<i64> {
    let (value, rest) = leading_integer(text, 10)?;
    (rest.is_empty() && (0..=max).contains(&value)).then_some(value)
}

/// A port; of the service names only `ssh` is known here.
pub(super) fn port(text: &str) -> Option<u16> {
    match integer(text, 65535) {
        Some(number) => u16::try_from(number).ok(),
        None if text == "ssh" => Some(22),
        None => None,
    }
}

/// A time such as `90`, `2m` or `1h30m`, in seconds (sshd_config(5), TIME FORMATS).
pub(super) fn seconds(text: &str) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut total = 0_i64;
    while !rest.is_empty() {
        let (value, after) = leading_integer(rest, 10)?;
        let unit = after.bytes().next().map(|byte| byte.to_ascii_lowercase());
        let factor = match unit {
            None | Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3600,
            Some(b'd') => 86400,
            Some(b'w') => 604_800,
            Some(_) => return None,
        };
        let limit = i64::from(i32::MAX);
        if value < 0 || value > limit / factor || total > limit - value * factor {
            return None;
        }
        total += value * factor;
        rest = if unit.is_some() { &after[1..] } else { after };
    }
    Some(total)
}

/// A size such as `512M` or `1.5G`, in bytes.
pub(super) fn size(text: &str) -> Option<i64> {
    const DIGITS_MAX: usize = 20;
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    let (whole, fraction) = digits[..end].split_once('.').unwrap_or((&digits[..end], ""));
    if fraction.contains('.') || whole.len() > DIGITS_MAX || fraction.len() > DIGITS_MAX - 2 {
        return None;
    }
    let number = |part: &str| if part.is_empty() { Some(0) } else { part.parse::<i64>().ok() };
    let (whole, part) = (number(whole)? * sign, number(fraction)?);
    let mut unit = digits[end..].chars();
    let power = match unit.next().map(|c| c.to_ascii_uppercase()) {
        None => return Some(whole),
        Some('B') => 0,
        Some('K') => 1,
        Some('M') => 2,
        Some('G') => 3,
        Some('T') => 4,
        Some('P') => 5,
        Some('E') => 6,
        Some(_) => return None,
    };
    if unit.next().is_some_and(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let factor = 1024_i64.pow(power);
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let extra = i64::try_from(i128::from(part) * i128::from(factor) / scale).ok()?;
    whole.checked_mul(factor)?.checked_add(if whole >= 0 { extra } else { -extra })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sizes_and_ports_are_read_as_openssh_does() {
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds("2W"), Some(1_209_600));
        assert_eq!(seconds("0"), Some(0));
        for bad in ["", "m", "1y", "-1", "99999999999", "3551w"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
        assert_eq!(size("1G"), Some(1 << 30));
        assert_eq!(size("1.5k"), Some(1536));
        assert_eq!(size("16"), Some(16));
        assert_eq!(size("1GB"), None);
        assert_eq!(size("1.2.3"), None);
        assert_eq!(port("0"), Some(0));
        assert_eq!(port("65536"), None);
        assert_eq!(leading_integer("0x1fz", 0), Some((31, "z")));
        assert_eq!(leading_integer("017", 0), Some((15, "")));
        assert_eq!(leading_integer("99999999999999999999", 10), Some((i64::MAX, "")));
    }
}
