//! The host's own addresses, and what sort of address is which.
//!
//! Asked with RTM_GETADDR (rtnetlink(7)); where that is refused, read from `/proc/net/fib_trie` and
//! `/proc/net/if_inet6`, which is said.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use parsers::config::lines;
use parsers::tree::Tree;

use serde::{Deserialize, Serialize};

use super::netlink::{ask, attributes, u32_at};
use crate::gate::Table;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFADDRMSG_BYTES: usize = 8;
/// Most bytes of a `/proc/net` table of addresses or routes.
const TABLE_BYTES_MAX: usize = 8 << 20;
/// Most network interfaces whose names are read.
const INTERFACES_MAX: usize = 10_000;

/// How far an address reaches. Ordered by reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// The host itself.
    Loopback,
    /// The link, the site, or behind a translator: RFC 1918, RFC 3927, RFC 4193, RFC 4291, RFC 6598,
    /// and multicast.
    Private,
    /// Routed on the internet, as far as the address alone tells.
    Global,
}

/// An address of this host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OwnAddress {
    /// The address.
    pub address: IpAddr,
    /// Its interface, where the name could be read.
    pub interface: Option<String>,
}

/// The host's addresses; `None` where they could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAddresses(pub Option<Vec<OwnAddress>>);

impl OwnAddresses {
    /// For tests and callers that know the addresses: (address, interface).
    pub fn known(addresses: &[(&str, &str)]) -> Self {
        let one = |(address, interface): &(&str, &str)| {
            Some(OwnAddress {
                address: address.parse().ok()?,
                interface: Some((*interface).to_string()),
            })
        };
        Self(Some(addresses.iter().filter_map(one).collect()))
    }

    /// Whether an address is this host's own.
    pub fn contains(&self, address: IpAddr) -> bool {
        reach(address) == Reach::Loopback
            || self.0.iter().flatten().any(|own| own.address == unmapped(address))
    }
}

/// How far an address reaches; the unspecified address counts as global (ask for what it stands for).
pub fn reach(address: IpAddr) -> Reach {
    match unmapped(address) {
        IpAddr::V4(four) => reach_v4(four),
        IpAddr::V6(six) => reach_v6(six),
    }
}

/// An IPv4-mapped IPv6 address as the IPv4 address it is.
pub fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let [first, second, ..] = address.octets();
    let shared = first == 100 && (second & 0xc0) == 64;
    if address.is_loopback() {
        Reach::Loopback
    } else if address.is_private()
        || address.is_link_local()
        || shared
        || address.is_multicast()
        || address.is_broadcast()
    {
        Reach::Private
    } else {
        Reach::Global
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let first = address.segments()[0];
    // Site-local addresses (fec0::/10) are withdrawn by RFC 3879, but hosts still have them.
    let site_local = (first & 0xffc0) == 0xfec0;
    if address.is_loopback() {
        Reach::Loopback
    } else if address.is_unicast_link_local()
        || address.is_unique_local()
        || site_local
        || address.is_multicast()
    {
        Reach::Private
    } else {
        Reach::Global
    }
}

/// The host's addresses, and what could not be looked at.
pub fn own(tree: &dyn Tree) -> (OwnAddresses, Vec<String>) {
    let answers = match ask(Table::Addresses) {
        Ok(answers) => answers,
        Err(error) => return from_tables(tree, &error.to_string()),
    };
    let names = interface_names(tree);
    let mut addresses: Vec<OwnAddress> = answers
        .iter()
        .filter_map(|answer| decode(answer))
        .map(|(address, index)| OwnAddress { address, interface: names.get(&index).cloned() })
        .collect();
    addresses.sort();
    addresses.dedup();
    (OwnAddresses(Some(addresses)), Vec::new())
}

/// Decodes `struct ifaddrmsg`: the address and its interface's index. On point-to-point links
/// `IFA_ADDRESS` is the peer, so `IFA_LOCAL` goes first.
pub fn decode(message: &[u8]) -> Option<(IpAddr, u32)> {
    let index = u32_at(message, 4)?;
    let mut found: [Option<IpAddr>; 2] = [None, None];
    for (kind, value) in attributes(message.get(IFADDRMSG_BYTES..)?) {
        let address = match value.len() {
            4 => IpAddr::from(<[u8; 4]>::try_from(value).ok()?),
            16 => IpAddr::from(<[u8; 16]>::try_from(value).ok()?),
            _ => continue,
        };
        match kind {
            IFA_LOCAL => found[0] = Some(address),
            IFA_ADDRESS => found[1] = Some(address),
            _ => {}
        }
    }
    Some((found[0].or(found[1])?, index))
}

fn interface_names(tree: &dyn Tree) -> BTreeMap<u32, String> {
    let entries = tree.list(Path::new("/sys/class/net")).unwrap_or_default();
    entries
        .iter()
        .take(INTERFACES_MAX)
        .filter_map(|entry| {
            let bytes = tree.read(&entry.path.join("ifindex"), 64).ok()?;
            let index = std::str::from_utf8(&bytes).ok()?.trim().parse().ok()?;
            Some((index, entry.path.file_name()?.to_str()?.to_string()))
        })
        .collect()
}

fn from_tables(tree: &dyn Tree, error: &str) -> (OwnAddresses, Vec<String>) {
    let four = tree.read(Path::new("/proc/net/fib_trie"), TABLE_BYTES_MAX);
    let six = tree.read(Path::new("/proc/net/if_inet6"), TABLE_BYTES_MAX);
    let Ok(four) = four else {
        return (OwnAddresses(None), vec![format!("addresses of this host: not read: {error}")]);
    };
    let mut addresses = fib_trie(&four);
    addresses.extend(six.iter().flat_map(|bytes| if_inet6(bytes)));
    addresses.sort();
    addresses.dedup();
    let told = format!("addresses of this host: netlink refused ({error}); read from /proc/net");
    (OwnAddresses(Some(addresses)), vec![told])
}

/// Local addresses of `/proc/net/fib_trie`: a leaf's address, then `/32 host LOCAL`.
fn fib_trie(bytes: &[u8]) -> Vec<OwnAddress> {
    let mut last: Option<Ipv4Addr> = None;
    let mut found = Vec::new();
    for line in lines::numbered(bytes) {
        let text = line.text();
        let text = text.trim();
        if let Some(leaf) = text.strip_prefix("|-- ") {
            last = leaf.parse().ok();
        } else if text == "/32 host LOCAL" {
            let address = last.take().map(IpAddr::V4);
            found.extend(address.map(|address| OwnAddress { address, interface: None }));
        }
    }
    found
}

/// Addresses of `/proc/net/if_inet6`: 32 hex digits, index, prefix, scope, flags, interface.
fn if_inet6(bytes: &[u8]) -> Vec<OwnAddress> {
    lines::numbered(bytes)
        .filter_map(|line| {
            let text = line.text();
            let mut fields = text.split_ascii_whitespace();
            let digits = fields.next().filter(|digits| digits.len() == 32)?;
            let address = Ipv6Addr::from(u128::from_str_radix(digits, 16).ok()?);
            let interface = fields.nth(4).map(str::to_string);
            Some(OwnAddress { address: IpAddr::V6(address), interface })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parsers::tree::MemoryTree;

    #[test]
    fn every_sort_of_address_has_its_reach() {
        for (address, expected) in [
            ("127.0.0.1", Reach::Loopback),
            ("127.77.1.1", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("::ffff:127.0.0.1", Reach::Loopback),
            ("10.1.2.3", Reach::Private),
            ("172.16.0.1", Reach::Private),
            ("172.31.255.255", Reach::Private),
            ("172.32.0.1", Reach::Global),
            ("192.168.0.1", Reach::Private),
            ("169.254.1.1", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("100.127.255.255", Reach::Private),
            ("100.128.0.1", Reach::Global),
            ("224.0.0.251", Reach::Private),
            ("255.255.255.255", Reach::Private),
            ("8.8.8.8", Reach::Global),
            ("::ffff:10.0.0.1", Reach::Private),
            ("::ffff:8.8.8.8", Reach::Global),
            ("fe80::1", Reach::Private),
            ("fd00::2", Reach::Private),
            ("fec0::1", Reach::Private),
            ("ff02::fb", Reach::Private),
            ("2001:db8::1", Reach::Global),
            ("2a01:4f8::1", Reach::Global),
        ] {
            assert_eq!(reach(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn the_local_side_of_a_point_to_point_link_counts() {
        let mut message = vec![2, 32, 0, 0];
        message.extend(7_u32.to_ne_bytes());
        for (kind, octets) in [(IFA_ADDRESS, [10, 0, 0, 1]), (IFA_LOCAL, [10, 0, 0, 2])] {
            message.extend(8_u16.to_ne_bytes());
            message.extend(kind.to_ne_bytes());
            message.extend(octets);
        }
        assert_eq!(decode(&message), Some((IpAddr::from([10, 0, 0, 2]), 7)));
        for end in 0..message.len() {
            let _ = decode(&message[..end]);
        }
        assert_eq!(decode(&message[..8]), None);
    }

    #[test]
    fn the_kernel_knows_loopback_and_the_tables_stand_in() {
        let (own, incomplete) = own(&MemoryTree::new());
        assert!(incomplete.is_empty(), "{incomplete:?}");
        assert!(own.0.unwrap().iter().any(|one| one.address == IpAddr::from([127, 0, 0, 1])));
        let tree = MemoryTree::new()
            .file("/proc/net/fib_trie", "Main:\n  +-- 0.0.0.0/0 3\n     |-- 10.0.0.7\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n")
            .file("/proc/net/if_inet6", "fd000000000000000000000000000002 02 40 00 80     eth0\nrubbish\n");
        let (own, told) = from_tables(&tree, "EPERM");
        let found: Vec<String> = own.0.unwrap().iter().map(|one| one.address.to_string()).collect();
        assert_eq!(found, ["10.0.0.7", "fd00::2"]);
        assert_eq!(told.len(), 1);
        assert_eq!(from_tables(&MemoryTree::new(), "EPERM").0, OwnAddresses(None));
    }
}
