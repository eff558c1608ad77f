//! `Match` lines: their criteria, and which connections they meet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Connection;
use super::numbers::{integer, port};
use super::words::{ListMatch, delimited, glob_matches, list_matches};

/// One criterion of a `Match` line; all of a line must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Criterion {
    All,
    User(String),
    Group(String),
    Host(String),
    Address(String),
    LocalAddress(String),
    LocalPort(u16),
    RoutingDomain(String),
    /// The user does not exist (9.9).
    InvalidUser,
    /// The daemon's version (10.0); taken to hold, since it says nothing about the connection.
    Version,
}

/// Most criteria of one line.
const CRITERIA_MAX: usize = 256;

/// Reads what stands behind `Match`. Messages do not quote it.
pub(super) fn criteria(raw: &str) -> Result<Vec<Criterion>, &'static str> {
    let mut rest = Some(raw);
    let mut found = Vec::new();
    while let Some(name) = delimited(&mut rest).filter(|name| !name.is_empty()) {
        if name.starts_with('#') {
            rest = None;
            break;
        }
        if found.len() == CRITERIA_MAX {
            return Err("too many criteria");
        }
        let name = name.to_ascii_lowercase();
        if name == "all" {
            let next = delimited(&mut rest);
            let comment = next.as_ref().is_some_and(|word| word.starts_with('#'));
            if !found.is_empty() || next.is_some_and(|word| !word.is_empty()) && !comment {
                return Err("`all` cannot be combined with other criteria");
            }
            if comment {
                rest = None;
            }
            found.push(Criterion::All);
            break;
        }
        if name == "invalid-user" {
            found.push(Criterion::InvalidUser);
            continue;
        }
        let argument = delimited(&mut rest)
            .filter(|word| !word.is_empty() && !word.starts_with('#'))
            .ok_or("a criterion without its argument")?;
        found.push(criterion(&name, argument)?);
    }
    if found.is_empty() {
        return Err("no criteria");
    }
    // What a strange `=` or quote leaves over counts as extra arguments, unless only a comment is left.
    let left = rest.filter(|rest| !rest.is_empty());
    if left.is_some() && super::words::arguments(raw).is_none_or(|words| !words.is_empty()) {
        return Err("extra arguments at end of line");
    }
    Ok(found)
}

fn criterion(name: &str, argument: String) -> Result<Criterion, &'static str> {
    const BAD_ADDRESS: &str = "invalid address in a criterion";
    Ok(match name {
        "user" => Criterion::User(argument),
        "group" => Criterion::Group(argument),
        "host" => Criterion::Host(argument),
        "rdomain" => Criterion::RoutingDomain(argument),
        "version" => Criterion::Version,
        "address" if addresses_valid(&argument) => Criterion::Address(argument),
        "localaddress" if addresses_valid(&argument) => Criterion::LocalAddress(argument),
        "address" | "localaddress" => return Err(BAD_ADDRESS),
        "localport" => Criterion::LocalPort(port(&argument).ok_or("invalid port in a criterion")?),
        _ => return Err("unsupported criterion"),
    })
}

/// Whether a connection meets all criteria; what is not known of it is not met.
pub(super) fn holds(criteria: &[Criterion], connection: &Connection) -> bool {
    criteria.iter().all(|criterion| match criterion {
        Criterion::All | Criterion::Version => true,
        Criterion::InvalidUser => false,
        Criterion::User(list) => connection
            .user
            .as_deref()
            .is_some_and(|user| list_matches(user, list) == ListMatch::Yes),
        Criterion::Group(list) => group_matches(&connection.groups, list),
        Criterion::Host(list) => connection.host.as_deref().is_some_and(|host| {
            list_matches(&host.to_ascii_lowercase(), &list.to_ascii_lowercase()) == ListMatch::Yes
        }),
        Criterion::Address(list) => {
            connection.addr.as_deref().is_some_and(|address| address_matches(address, list))
        }
        Criterion::LocalAddress(list) => {
            connection.laddr.as_deref().is_some_and(|address| address_matches(address, list))
        }
        Criterion::LocalPort(wanted) => connection.lport == Some(*wanted),
        Criterion::RoutingDomain(list) => connection
            .rdomain
            .as_deref()
            .is_some_and(|domain| list_matches(domain, list) == ListMatch::Yes),
    })
}

fn group_matches(groups: &[String], list: &str) -> bool {
    let mut found = false;
    for group in groups {
        match list_matches(group, list) {
            ListMatch::Negated => return false,
            ListMatch::Yes => found = true,
            ListMatch::No => {}
        }
    }
    found
}

enum Pattern {
    Network(IpAddr, u32),
    Wildcard,
    Invalid,
}

/// Whether every entry of a list is a network with a clean host part, or else a wildcard.
pub(super) fn addresses_valid(list: &str) -> bool {
    list.split(',').all(|entry| {
        let entry = entry.strip_prefix('!').unwrap_or(entry);
        !entry.is_empty() && !matches!(network(entry), Pattern::Invalid)
    })
}

fn address_matches(address: &str, list: &str) -> bool {
    let Some(ip) = numeric(address) else { return false };
    let mut found = false;
    for entry in list.split(',') {
        let (negated, entry) = match entry.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, entry),
        };
        let hit = match network(entry) {
            Pattern::Network(base, length) => inside(ip, base, length),
            Pattern::Wildcard => glob_matches(address.as_bytes(), entry.as_bytes()),
            Pattern::Invalid => return false,
        };
        if hit && negated {
            return false;
        }
        found |= hit;
    }
    found
}

fn network(entry: &str) -> Pattern {
    const ENTRY_BYTES_MAX: usize = 63;
    if entry.len() > ENTRY_BYTES_MAX {
        return Pattern::Wildcard;
    }
    let (base, length) = match entry.split_once('/') {
        None => (entry, None),
        Some((base, length)) => {
            let starts_right = length.starts_with(|c: char| c.is_ascii_digit());
            match integer(length, 128).filter(|_| starts_right) {
                None => return Pattern::Wildcard,
                Some(length) => (base, Some(u32::try_from(length).unwrap_or(128))),
            }
        }
    };
    let Some(ip) = numeric(base) else { return Pattern::Wildcard };
    let full = if ip.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(full);
    if length > full || !inside(ip, ip, length) || bits(ip) & host_mask(full - length) != 0 {
        return Pattern::Invalid;
    }
    Pattern::Network(ip, length)
}

fn host_mask(host_bits: u32) -> u128 {
    if host_bits == 128 { u128::MAX } else { (1 << host_bits) - 1 }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn inside(ip: IpAddr, base: IpAddr, length: u32) -> bool {
    let full = if ip.is_ipv4() { 32 } else { 128 };
    ip.is_ipv4() == base.is_ipv4()
        && length <= full
        && (bits(ip) | host_mask(full - length)) == (bits(base) | host_mask(full - length))
}

/// A numeric address as getaddrinfo(3) takes it: also `127.1`, `0x7f000001`.
pub(super) fn numeric(text: &str) -> Option<IpAddr> {
    if let Ok(ip) = text.parse::<Ipv6Addr>() {
        return Some(IpAddr::V6(ip));
    }
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() > 4 {
        return None;
    }
    let mut address = 0_u64;
    for (index, part) in parts.iter().enumerate() {
        let is_number = part.starts_with(|c: char| c.is_ascii_digit());
        let (value, _) = super::numbers::leading_integer(part, 0)
            .filter(|(_, rest)| is_number && rest.is_empty())?;
        let last = index + 1 == parts.len();
        let width = if last { 8 * (5 - parts.len()) } else { 8 };
        let value = u64::try_from(value).ok().filter(|value| *value < 1 << width)?;
        address = address << width | value;
    }
    Some(IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(address).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meets(line: &str, connection: &Connection) -> bool {
        holds(&criteria(line).unwrap(), connection)
    }

    #[test]
    fn every_criterion_of_a_line_must_hold() {
        let bob = Connection {
            user: Some("bob".into()),
            host: Some("Web1.Example.org".into()),
            addr: Some("192.0.2.7".into()),
            laddr: Some("2001:db8::1".into()),
            lport: Some(2222),
            groups: vec!["staff".into(), "bob".into()],
            rdomain: None,
        };
        for line in [
            "all",
            "User b* Address 192.0.2.0/24",
            "user=bob,eve",
            "host *.EXAMPLE.org",
            "group staff,!root",
            "localport 2222 localaddress 2001:db8::/32",
            "address !10.0.0.0/8,192.0.2.*",
            "user bob # a comment",
        ] {
            assert!(meets(line, &bob), "{line}");
        }
        for line in [
            "user !bob,*",
            "group !staff,*",
            "address 192.0.2.0/24,!192.0.2.7",
            "address 10.0.0.0/8",
            "localport 22",
            "rdomain x",
            "user bob host nowhere",
        ] {
            assert!(!meets(line, &bob), "{line}");
        }
    }

    #[test]
    fn bad_criteria_are_refused() {
        for line in [
            "user",
            "all user bob",
            "user bob all",
            "colour red",
            "address 10.0.0.1/8",
            "address 10.0.0.0/33",
            "address 1.2.3.4,",
            "localport 70000",
            "# nothing",
        ] {
            assert!(criteria(line).is_err(), "{line}");
        }
    }

    #[test]
    fn addresses_are_read_as_the_c_library_does() {
        assert_eq!(numeric("127.1"), numeric("127.0.0.1"));
        assert_eq!(numeric("0x7f000001"), numeric("127.0.0.1"));
        for bad in ["", "1.2.3.4.5", "256.1.1.1", "a", "1.2.3.", "-1"] {
            assert_eq!(numeric(bad), None, "{bad}");
        }
    }
}
