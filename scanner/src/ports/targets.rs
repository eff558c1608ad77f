//! What is to be scanned: addresses, networks, ranges and names; ports.
//!
//! Words become typed values once, here; counts are bounded before anything is sent.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;

use super::addresses::unmapped;
use super::firewall::Span;

/// Most addresses of one scan.
pub const HOSTS_MAX: usize = 65_536;
/// Most words that name targets.
pub const WORDS_MAX: usize = 100_000;
/// Longest name of a zone: an interface's (IFNAMSIZ).
const ZONE_CHARS_MAX: usize = 15;
/// Longest host name (RFC 1035).
const NAME_CHARS_MAX: usize = 253;

/// What one word names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Addresses.
    Span(Span),
    /// A name to be resolved.
    Name(String),
}

/// A word that names nothing to scan. The user is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Neither an address, network, range nor name.
    #[error("`{0}` is no address, network, range or name")]
    Word(String),
    /// More addresses than [`HOSTS_MAX`].
    #[error("more than {HOSTS_MAX} addresses")]
    TooMany,
    /// No such port or range of ports.
    #[error("`{0}` is no port or range of ports (1 to 65535)")]
    Port(String),
}

/// Reads `fe80::1%eth0` (RFC 4007, 11): a link-local address and the interface that it is on. `None` for
/// a word without a zone.
pub fn zoned(word: &str) -> Option<Result<(Ipv6Addr, &str), TargetError>> {
    let bare = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(word);
    let (address, zone) = bare.split_once('%')?;
    let fine = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '%');
    let parsed = address.parse().ok().filter(Ipv6Addr::is_unicast_link_local);
    let known = !zone.is_empty() && zone.len() <= ZONE_CHARS_MAX && zone.chars().all(fine);
    Some(match parsed {
        Some(address) if known => Ok((address, zone)),
        _ => Err(TargetError::Word(crate::redact::line(word))),
    })
}

/// Reads `192.0.2.1`, `192.0.2.0/24`, `192.0.2.1-20`, `192.0.2.1-192.0.2.20`, `2001:db8::/120` or a
/// name. An IPv4-mapped address is the IPv4 address it stands for.
pub fn target(word: &str) -> Result<Target, TargetError> {
    let bare = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(word);
    if let Some(span) = mapped(bare) {
        return Ok(Target::Span(span));
    }
    if let Ok(span) = bare.parse::<Span>() {
        return Ok(Target::Span(span));
    }
    if let Some(span) = last_octets(bare) {
        return Ok(Target::Span(span));
    }
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let numeric = bare.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '/' | ':'));
    if numeric
        || bare.len() > NAME_CHARS_MAX
        || bare.starts_with(['-', '.'])
        || !bare.chars().all(fine)
    {
        return Err(TargetError::Word(crate::redact::line(word)));
    }
    Ok(Target::Name(bare.to_string()))
}

/// `::ffff:192.0.2.1`, alone, with the length of a prefix or up to another.
fn mapped(word: &str) -> Option<Span> {
    let four = |text: &str| {
        let address: IpAddr = text.trim().parse().ok()?;
        Some(unmapped(address)).filter(|one| address.is_ipv6() && one.is_ipv4())
    };
    if let Some((first, last)) = word.split_once('-') {
        return Span::between(four(first)?, four(last)?);
    }
    let (address, length) = word.split_once('/').unwrap_or((word, "128"));
    Span::network(four(address)?, length.parse::<u8>().ok()?.checked_sub(96)?)
}

/// `192.0.2.1-20`.
fn last_octets(word: &str) -> Option<Span> {
    let (first, last) = word.split_once('-')?;
    let first: std::net::Ipv4Addr = first.parse().ok()?;
    let mut octets = first.octets();
    octets[3] = last.parse().ok()?;
    Span::between(first.into(), IpAddr::from(octets))
}

/// The addresses of some spans without the excluded ones, each once, in the order given.
pub fn addresses(spans: &[Span], excluded: &[Span]) -> Result<Vec<IpAddr>, TargetError> {
    let total: u128 = spans.iter().fold(0, |sum, span| span.count().saturating_add(sum));
    if total > HOSTS_MAX as u128 {
        return Err(TargetError::TooMany);
    }
    let mut seen = std::collections::HashSet::new();
    Ok(spans
        .iter()
        .flat_map(|span| span.addresses())
        .filter(|address| !excluded.iter().any(|span| span.contains(*address)))
        .filter(|address| seen.insert(*address))
        .collect())
}

/// Reads `22,80,8000-8010`, `-1024`, `60000-` and `-` (all); sorted, each once.
pub fn ports(text: &str) -> Result<Vec<u16>, TargetError> {
    let mut wanted = vec![false; 65_536];
    for part in text.split(',') {
        let wrong = || TargetError::Port(crate::redact::line(part));
        let number = |text: &str, absent: u16| match text.trim() {
            "" => Ok(absent),
            text => text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong),
        };
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first, 1)?, number(last, u16::MAX)?),
            None if part.trim().is_empty() => return Err(wrong()),
            None => (number(part, 0)?, number(part, 0)?),
        };
        if first > last {
            return Err(wrong());
        }
        wanted[usize::from(first)..=usize::from(last)].fill(true);
    }
    Ok((1..=u16::MAX).filter(|port| wanted[usize::from(*port)]).collect())
}

/// The ports that are worth asking a stranger about, with the names of what usually answers.
pub fn common() -> Vec<(u16, &'static str)> {
    static COMMON: LazyLock<Vec<(u16, &str)>> = LazyLock::new(|| {
        include_str!("../../../content/ports/common.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(port, name)| Some((port.parse().ok()?, name)))
            .collect()
    });
    COMMON.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str], excluded: &[&str]) -> Vec<String> {
        let spans = |words: &[&str]| -> Vec<Span> {
            words
                .iter()
                .map(|word| match target(word).unwrap() {
                    Target::Span(span) => span,
                    Target::Name(name) => panic!("{name}"),
                })
                .collect()
        };
        addresses(&spans(words), &spans(excluded)).unwrap().iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn targets_are_read_in_every_notation() {
        assert_eq!(list(&["192.0.2.9"], &[]), ["192.0.2.9"]);
        assert_eq!(
            list(&["192.0.2.8/30"], &["192.0.2.9"]),
            ["192.0.2.8", "192.0.2.10", "192.0.2.11"]
        );
        assert_eq!(list(&["192.0.2.1-3", "192.0.2.2"], &[]).len(), 3);
        assert_eq!(list(&["192.0.2.255-192.0.3.0"], &[]), ["192.0.2.255", "192.0.3.0"]);
        assert_eq!(list(&["2001:db8::/127"], &[]), ["2001:db8::", "2001:db8::1"]);
        assert_eq!(list(&["[::1]"], &[]), ["::1"]);
        assert_eq!(target("www.example.org"), Ok(Target::Name("www.example.org".into())));
        assert_eq!(target("localhost"), Ok(Target::Name("localhost".into())));
        for bad in [
            "",
            "1.2.3",
            "1.2.3.4/33",
            "1.2.3.400",
            "a b",
            "-x",
            "x;y",
            "http://x/",
            "9-1",
            &"a".repeat(254),
        ] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_and_networks_of_ipv6_are_read_and_mapped_addresses_are_what_they_stand_for() {
        assert_eq!(list(&["2001:db8::fffe-2001:db8::1:1"], &[]).len(), 4);
        assert_eq!(list(&["2001:db8::/126"], &["2001:db8::1-2001:db8::2"]).len(), 2);
        assert_eq!(list(&["::ffff:192.0.2.1", "192.0.2.1"], &[]), ["192.0.2.1"]);
        assert_eq!(list(&["::ffff:192.0.2.0/127"], &[]), ["192.0.2.0", "192.0.2.1"]);
        assert_eq!(list(&["::ffff:192.0.2.1-::ffff:192.0.2.2"], &[]), ["192.0.2.1", "192.0.2.2"]);
        for bad in ["2001:db8::/129", "2001:db8::2-2001:db8::1", "192.0.2.1-2001:db8::1", "::/-1"] {
            assert!(target(bad).is_err(), "{bad}");
        }
        let span = target("2001:db8::/112").unwrap();
        let Target::Span(span) = span else { panic!("{span:?}") };
        assert_eq!(addresses(&[span], &[]).unwrap().len(), HOSTS_MAX);
        let Ok(Target::Span(wide)) = target("2001:db8::/111") else { panic!() };
        assert_eq!(addresses(&[wide], &[]), Err(TargetError::TooMany));
    }

    #[test]
    fn a_zone_belongs_to_a_link_local_address() {
        let address: Ipv6Addr = "fe80::1".parse().unwrap();
        assert_eq!(zoned("fe80::1%eth0"), Some(Ok((address, "eth0"))));
        assert_eq!(zoned("[fe80::1%2]"), Some(Ok((address, "2"))));
        assert_eq!(zoned("fe80::1"), None);
        for bad in ["2001:db8::1%eth0", "fe80::1%", "fe80::1%a/b", "fe80::1%0123456789abcdef", "%"]
        {
            assert!(matches!(zoned(bad), Some(Err(_))), "{bad}");
        }
    }

    #[test]
    fn too_many_addresses_are_refused_before_any_is_made() {
        let span = |text: &str| vec![text.parse::<Span>().unwrap()];
        assert_eq!(addresses(&span("10.0.0.0/16"), &[]).unwrap().len(), HOSTS_MAX);
        assert_eq!(addresses(&span("10.0.0.0/15"), &[]), Err(TargetError::TooMany));
        assert_eq!(addresses(&span("::/0"), &[]), Err(TargetError::TooMany));
    }

    #[test]
    fn ports_are_read_and_bounded() {
        assert_eq!(ports("80,22,80-82").unwrap(), [22, 80, 81, 82]);
        assert_eq!(ports("-").unwrap().len(), 65_535);
        assert_eq!(ports("-3").unwrap(), [1, 2, 3]);
        assert_eq!(ports("65534-").unwrap(), [65534, 65535]);
        for bad in ["", "0", "65536", "x", "5-1", "1,,2", "1-2-3", "-0"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_common_ports_are_sorted_and_spare_printers() {
        let common = common();
        assert!(common.len() >= 100);
        assert!(common.is_sorted_by(|a, b| a.0 < b.0));
        assert!(
            common.iter().all(|(port, name)| !(9100..=9107).contains(port) && !name.is_empty())
        );
    }
}
