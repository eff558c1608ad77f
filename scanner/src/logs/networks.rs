//! Networks from which attacks come: addresses that attack, grouped into the widest prefix that their
//! number justifies, with what else that prefix is used for.
//!
//! A prefix is taken when enough of its addresses attack, from enough of its parts, and, beyond the
//! usual assignment to one customer (/24, /64), when nobody logged in from it. The counts are exact.
//! Bounded: [`ADDRESSES_MAX`]; addresses beyond it are counted, not grouped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use consensus::networks::Network;
use serde::Serialize;

use super::story::Detection;

/// Most attacking addresses, and most addresses with logins, that are told apart.
pub const ADDRESSES_MAX: usize = 100_000;
/// Most groups that are given out.
pub const GROUPS_MAX: usize = 1_000;

/// When a prefix is taken: so many of its addresses attack, in so many of the next narrower prefixes.
struct Step {
    bits: u8,
    addresses: usize,
    parts: usize,
    /// Taken although somebody logged in from it.
    shared: bool,
}

const fn step(bits: u8, addresses: usize, parts: usize) -> Step {
    Step { bits, addresses, parts, shared: bits == 24 || bits == 64 }
}

/// The widest first.
const FOUR: [Step; 4] = [step(16, 64, 8), step(20, 24, 4), step(22, 10, 3), step(24, 3, 1)];
const SIX: [Step; 4] = [step(32, 64, 8), step(48, 16, 4), step(56, 6, 3), step(64, 2, 1)];

/// A network with what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The prefix.
    pub network: Network,
    /// Addresses of it that attacked.
    pub attackers: u64,
    /// What they did.
    pub events: u64,
    /// Addresses of it from which somebody logged in and that did not attack.
    pub logins: u64,
    /// How many usable addresses it has, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<u64>,
}

/// Addresses that attacked and addresses that were used.
#[derive(Clone, Debug, Default)]
pub struct Grouping {
    attackers: BTreeMap<IpAddr, u64>,
    logins: BTreeSet<IpAddr>,
    /// Addresses that found no room: the counts are lower bounds.
    pub evicted: u64,
}

impl Grouping {
    /// Of what a sweep told: whose stories are attacks, and who just logged in.
    pub fn of(detections: &[Detection]) -> Self {
        let mut grouping = Self::default();
        for detection in detections {
            let Some(ip) = detection.subject.ip.as_ref().and_then(|ip| ip.parse().ok()) else {
                continue;
            };
            if !detection.entered.is_empty() && !detection.succeeded {
                grouping.login(ip);
            } else if detection.attack().is_some() {
                grouping.attacker(ip, detection.count);
            }
        }
        grouping
    }

    /// An address attacked so many times.
    pub fn attacker(&mut self, address: IpAddr, events: u64) {
        let address = address.to_canonical();
        let room = self.attackers.len() < ADDRESSES_MAX;
        match self.attackers.get_mut(&address) {
            Some(known) => *known = known.saturating_add(events),
            None if room => drop(self.attackers.insert(address, events)),
            None => self.evicted += 1,
        }
    }

    /// Somebody logged in from an address.
    pub fn login(&mut self, address: IpAddr) {
        let address = address.to_canonical();
        if self.logins.len() < ADDRESSES_MAX || self.logins.contains(&address) {
            self.logins.insert(address);
        } else {
            self.evicted += 1;
        }
    }

    /// The groups, those with the most attackers first; single addresses are none.
    pub fn groups(&self) -> Vec<Group> {
        let mut left: Vec<IpAddr> = self.attackers.keys().copied().collect();
        let mut groups = Vec::new();
        for steps in [&FOUR, &SIX] {
            for (at, step) in steps.iter().enumerate() {
                let narrower = steps.get(at + 1).map(|step| step.bits);
                left = self.take(left, step, narrower, &mut groups);
            }
        }
        groups.sort_by(|a, b| {
            (b.attackers, b.events, a.network).cmp(&(a.attackers, a.events, b.network))
        });
        groups.truncate(GROUPS_MAX);
        groups
    }

    /// Takes the prefixes of one width; gives back the addresses that are in none.
    fn take(
        &self,
        addresses: Vec<IpAddr>,
        step: &Step,
        narrower: Option<u8>,
        groups: &mut Vec<Group>,
    ) -> Vec<IpAddr> {
        let four = step.bits <= 32 && step.shared || narrower.is_some_and(|bits| bits <= 24);
        let mut by_prefix: BTreeMap<Network, Vec<IpAddr>> = BTreeMap::new();
        let mut left = Vec::new();
        for address in addresses {
            match Network::new(address, step.bits) {
                Some(network) if address.is_ipv4() == four => {
                    by_prefix.entry(network).or_default().push(address);
                }
                _ => left.push(address),
            }
        }
        for (network, members) in by_prefix {
            let parts: BTreeSet<Network> = members
                .iter()
                .filter_map(|address| Network::new(*address, narrower.unwrap_or(step.bits)))
                .collect();
            let group = self.group(network, &members, step.bits);
            let justified = members.len() >= step.addresses && parts.len() >= step.parts;
            if justified && (step.shared || group.logins == 0) {
                groups.push(group);
            } else {
                left.extend(members);
            }
        }
        left
    }

    fn group(&self, network: Network, members: &[IpAddr], bits: u8) -> Group {
        let events = members.iter().filter_map(|address| self.attackers.get(address));
        let from = members.first().and_then(|address| first_of(*address, bits));
        let inside = from.into_iter().flat_map(|from| self.logins.range(from..));
        let inside = inside.take_while(|address| network.contains(**address));
        let logins = inside.filter(|address| !self.attackers.contains_key(*address)).count();
        let usable = || 1_u64.checked_shl(32 - u32::from(bits)).map(|all| all.saturating_sub(2));
        Group {
            network,
            attackers: members.len() as u64,
            events: events.fold(0, |sum, events| sum.saturating_add(*events)),
            logins: logins as u64,
            addresses: members.first().filter(|address| address.is_ipv4()).and_then(|_| usable()),
        }
    }
}

/// The lowest address of a prefix.
fn first_of(address: IpAddr, bits: u8) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(four) => {
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(bits.into())?).unwrap_or(0);
            IpAddr::V4((u32::from(four) & mask).into())
        }
        IpAddr::V6(six) => {
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(bits.into())?).unwrap_or(0);
            IpAddr::V6((u128::from(six) & mask).into())
        }
    })
}

impl fmt::Display for Group {
    /// `31 of 254 addresses of 198.51.100.0/24 attacked; no login came from there in this log`
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.addresses {
            Some(all) => {
                write!(out, "{} of {all} addresses of {} attacked", self.attackers, self.network)?
            }
            None => write!(out, "{} addresses of {} attacked", self.attackers, self.network)?,
        }
        match self.logins {
            0 => write!(out, "; no login came from there in this log"),
            1 => write!(out, "; logins came from 1 other address of it"),
            more => write!(out, "; logins came from {more} other addresses of it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouping(attackers: &[&str], logins: &[&str]) -> Grouping {
        let mut grouping = Grouping::default();
        attackers.iter().for_each(|ip| grouping.attacker(ip.parse().unwrap(), 2));
        logins.iter().for_each(|ip| grouping.login(ip.parse().unwrap()));
        grouping
    }

    fn texts(grouping: &Grouping) -> Vec<String> {
        grouping.groups().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn neighbours_are_told_together_with_what_it_costs_to_block_them() {
        let attackers: Vec<String> = (1..=31).map(|host| format!("198.51.100.{host}")).collect();
        let mut all: Vec<&str> = attackers.iter().map(String::as_str).collect();
        all.extend(["192.0.2.7", "192.0.2.8", "2001:db8::1", "2001:db8::ffff", "2001:db8:1::1"]);
        assert_eq!(
            texts(&grouping(&all, &["198.51.101.1"])),
            [
                "31 of 254 addresses of 198.51.100.0/24 attacked; no login came from there in this log",
                "2 addresses of 2001:db8::/64 attacked; no login came from there in this log",
            ]
        );
        let used = grouping(&all, &["198.51.100.200", "198.51.100.1", "::ffff:198.51.100.255"]);
        let groups = used.groups();
        assert_eq!((groups[0].attackers, groups[0].events, groups[0].logins), (31, 62, 2));
        assert!(texts(&used)[0].ends_with("logins came from 2 other addresses of it"));
    }

    #[test]
    fn a_wider_network_is_taken_when_it_attacks_as_a_whole_and_nobody_uses_it() {
        let attackers: Vec<String> = (0..16)
            .flat_map(|part| (1..=4).map(move |host| format!("203.0.{part}.{host}")))
            .collect();
        let attackers: Vec<&str> = attackers.iter().map(String::as_str).collect();
        let group = |logins: &[&str]| grouping(&attackers, logins).groups();
        let whole = group(&[]);
        assert_eq!(whole.len(), 1);
        assert_eq!(
            (whole[0].network.to_string().as_str(), whole[0].attackers),
            ("203.0.0.0/20", 64)
        );
        // one login in it: the /22 with it falls to its /24s, the others stay wide
        let split = group(&["203.0.5.99"]);
        let names: Vec<String> = split.iter().map(|group| group.network.to_string()).collect();
        assert_eq!(
            names,
            [
                "203.0.0.0/22",
                "203.0.8.0/22",
                "203.0.12.0/22",
                "203.0.4.0/24",
                "203.0.5.0/24",
                "203.0.6.0/24",
                "203.0.7.0/24",
            ]
        );
        assert_eq!(split.iter().map(|group| group.attackers).sum::<u64>(), 64);
        assert_eq!(split.iter().map(|group| group.logins).sum::<u64>(), 1);
    }

    #[test]
    fn addresses_beyond_the_limit_are_counted() {
        let mut grouping = Grouping::default();
        for address in 0..ADDRESSES_MAX as u32 + 2 {
            grouping.attacker(std::net::Ipv4Addr::from(address * 300).into(), 1);
        }
        assert_eq!((grouping.attackers.len(), grouping.evicted), (ADDRESSES_MAX, 2));
        grouping.attacker(std::net::Ipv4Addr::from(300).into(), 1);
        assert_eq!(grouping.evicted, 2, "a known one is counted");
        assert!(grouping.groups().len() <= GROUPS_MAX);
    }
}
