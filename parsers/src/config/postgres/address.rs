//! Addresses of pg_hba.conf: keywords, host names, networks by prefix or mask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

/// Whom a rule is for, by where they come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// `all`.
    All,
    /// `samehost`: the server's own addresses.
    SameHost,
    /// `samenet`: the server's own networks.
    SameNet,
    /// A host name, or with a dot in front every host below a domain.
    Host(String),
    /// Every address that is equal where the mask has ones.
    Network {
        /// The address.
        address: IpAddr,
        /// The mask, of the same family.
        mask: IpAddr,
    },
}

/// An address as `getaddrinfo` takes numbers: also `127.1` and octal and hexadecimal parts.
pub fn numeric(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(address.into());
    }
    let mut parts = [0_u64; 4];
    let mut count = 0;
    for part in text.split('.') {
        *parts.get_mut(count)? = number(part)?;
        count += 1;
    }
    let last = parts[count - 1];
    // The last part fills all bytes that are left.
    if last >= 1 << (8 * (5 - count)) || parts[..count - 1].iter().any(|part| *part > 255) {
        return None;
    }
    let head = parts[..count - 1].iter().enumerate();
    let bits = head.fold(last, |sum, (index, part)| sum | part << (24 - 8 * index));
    Some(Ipv4Addr::from(u32::try_from(bits).ok()?).into())
}

fn number(part: &str) -> Option<u64> {
    let (digits, base) = match part.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&part[2..], 16),
        [b'0', _, ..] => (&part[1..], 8),
        _ => (part, 10),
    };
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_plain { u64::from_str_radix(digits, base).ok() } else { None }
}

/// The mask of a prefix length, read as `strtol` does.
pub(super) fn prefix_mask(bits: &str, of: IpAddr) -> Option<IpAddr> {
    let bits = bits.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let length: i64 = bits.parse().ok()?;
    Some(match of {
        IpAddr::V4(_) => {
            let length = u32::try_from(length).ok().filter(|length| *length <= 32)?;
            IpAddr::V4(Ipv4Addr::from(u32::MAX.checked_shl(32 - length).unwrap_or(0)))
        }
        IpAddr::V6(_) => {
            let length = u32::try_from(length).ok().filter(|length| *length <= 128)?;
            IpAddr::V6(Ipv6Addr::from(u128::MAX.checked_shl(128 - length).unwrap_or(0)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_c_library_does() {
        let v4 = |text: &str| numeric(text).map(|address| address.to_string());
        assert_eq!(v4("127.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(v4("0x7f.0.0.010").as_deref(), Some("127.0.0.8"));
        assert_eq!(v4("10").as_deref(), Some("0.0.0.10"));
        assert_eq!(v4("1.2.65535").as_deref(), Some("1.2.255.255"));
        assert_eq!(v4("::1").as_deref(), Some("::1"));
        for bad in ["256.0.0.1", "1.2.3.4.5", "1.2.3.", "", "host", "1.2.3.08", "1.2.3.+4", "0x"] {
            assert_eq!(v4(bad), None, "{bad}");
        }
    }

    #[test]
    fn prefixes_become_masks() {
        let mask = |bits| prefix_mask(bits, IpAddr::V4(Ipv4Addr::LOCALHOST)).map(|m| m.to_string());
        assert_eq!(mask("0").as_deref(), Some("0.0.0.0"));
        assert_eq!(mask("25").as_deref(), Some("255.255.255.128"));
        assert_eq!((mask("33"), mask(""), mask("8x"), mask("-1")), (None, None, None, None));
    }
}
