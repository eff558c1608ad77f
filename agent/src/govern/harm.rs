//! Guardian Harm: would this hurt us?
//!
//! It reads the live system and nothing else: who is logged in and from where, gateways, resolvers, own
//! addresses and networks, the operator's allow list and limits, what was done within the last hour. Why
//! somebody wants the action, and how sure they are, it is never told; that is [`super::proof`]'s.
//! What could not be looked at is a danger: not known to be harmless is not harmless.
//!
//! IPv4-mapped IPv6 is IPv4 here. A network is refused when any address of ours lies in it, whatever its
//! length, and addresses that are nobody's alone (loopback, link-local, multicast …) always.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use consensus::networks::{Network, Networks};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answer;

/// Most dangers of one kind that are listed.
const LISTED_MAX: usize = 8;
/// A look at the system is believed for so long, in seconds.
pub const LOOK_FRESH_S: i64 = 5;

/// Something that was looked at, or why it could not be.
pub type Seen<T> = Result<T, String>;

/// A session of one of our people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// Who; a name that is safe to print.
    pub who: String,
    /// From where; `None` at the machine itself.
    pub from: Option<IpAddr>,
}

/// The system as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveSystem {
    /// When it was looked at, seconds since the epoch.
    pub taken: i64,
    /// Who is logged in.
    pub sessions: Seen<Vec<Session>>,
    /// Next hops of all routes.
    pub gateways: Seen<Vec<IpAddr>>,
    /// Name servers, also those behind a local stub.
    pub resolvers: Seen<Vec<IpAddr>>,
    /// The host's own addresses.
    pub addresses: Seen<Vec<IpAddr>>,
    /// Networks that are reached without a gateway.
    pub links: Seen<Vec<Network>>,
    /// Accounts that may become root.
    pub administrators: Seen<BTreeSet<String>>,
}

/// Actions of the last hour, those that wait for their undo among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Of the same kind (and the same command).
    pub of_kind: u32,
    /// Against the same class of target.
    pub of_class: u32,
}

/// [`Session::who`] of a connection whose account is not known.
pub const NOBODY_KNOWN: &str = "somebody";

/// What an action aims at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Aim {
    /// An address or a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// An account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A systemd unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// What the operator allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Never to be touched.
    pub allow: Networks,
    /// Whether hosts of directly connected networks may be blocked.
    pub neighbours: bool,
    /// Fewest first bits of a network, IPv4 and IPv6.
    pub widest: [u8; 2],
    /// Units never to be touched, beside [`CRITICAL_UNITS`].
    pub critical_units: Vec<String>,
    /// Most actions of the kind within an hour.
    pub per_hour: u32,
    /// Most actions against the class of target within an hour.
    pub per_hour_of_class: u32,
}

/// Units without which the host, or the way to it, is lost; compared without `.service`, also with
/// instances (`getty@tty1`).
pub const CRITICAL_UNITS: [&str; 16] = [
    "ssh",
    "sshd",
    "wardmote",
    "dbus",
    "dbus-broker",
    "networking",
    "NetworkManager",
    "network",
    "wpa_supplicant",
    "dhcpcd",
    "getty",
    "serial-getty",
    "nftables",
    "cloud-init",
    "init.scope",
    "polkit",
];

/// Why Harm says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Danger {
    /// Somebody of ours is there now.
    Session {
        /// From where.
        from: IpAddr,
        /// Who.
        who: String,
    },
    /// The host itself.
    OwnAddress(IpAddr),
    /// A next hop.
    Gateway(IpAddr),
    /// A name server.
    Resolver(IpAddr),
    /// The operator never wants it touched.
    Allowed(Network),
    /// It overlaps addresses that are nobody's alone.
    Special(&'static str),
    /// Too large a network.
    Wide {
        /// Its first bits.
        bits: u8,
        /// Fewest that are taken.
        least: u8,
    },
    /// An account that must not be touched.
    Account {
        /// Which.
        user: String,
        /// Why.
        why: &'static str,
    },
    /// A unit that must not be touched.
    Unit(String),
    /// A network that is reached without a gateway.
    Neighbour(Network),
    /// Too many actions within the hour.
    Budget {
        /// So many were.
        spent: u32,
        /// So many may be.
        most: u32,
        /// Of what.
        of: &'static str,
    },
    /// Something could not be looked at.
    Blind {
        /// What.
        what: &'static str,
        /// Why.
        why: String,
    },
}

impl Danger {
    /// Whether it holds against the word of an operator too, who goes by this name. Sessions of others
    /// do not: an intruder's is one of them.
    pub fn is_absolute(&self, operator: &str) -> bool {
        match self {
            Self::Session { who, .. } => who == operator || who == NOBODY_KNOWN,
            Self::Neighbour(_) | Self::Budget { .. } => false,
            _ => true,
        }
    }
}

impl fmt::Display for Danger {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session { from, who } => write!(out, "{who} is logged in from {from}"),
            Self::OwnAddress(address) => write!(out, "{address} is this host's own"),
            Self::Gateway(address) => write!(out, "{address} is a gateway"),
            Self::Resolver(address) => write!(out, "{address} is a name server"),
            Self::Allowed(network) => write!(out, "{network} is on the allow list"),
            Self::Special(what) => write!(out, "it holds {what} addresses"),
            Self::Wide { bits, least } => write!(out, "/{bits} is wider than /{least}"),
            Self::Account { user, why } => write!(out, "account {user}: {why}"),
            Self::Unit(unit) => write!(out, "unit {unit} must not be touched"),
            Self::Neighbour(network) => write!(out, "{network} is directly connected"),
            Self::Budget { spent, most, of } => {
                write!(out, "{spent} {of} within an hour, at most {most}")
            }
            Self::Blind { what, why } => write!(out, "{what} could not be looked at: {why}"),
        }
    }
}

/// Whether an action is harmless, or everything that speaks against it.
pub fn harm(
    aim: &Aim,
    live: &LiveSystem,
    limits: &Limits,
    spent: &Seen<Spent>,
    now: i64,
) -> Answer<Danger> {
    let mut dangers = Vec::new();
    let age = now.saturating_sub(live.taken);
    if !(-LOOK_FRESH_S..=LOOK_FRESH_S).contains(&age) {
        let why = format!("the last look is {age} s old");
        dangers.push(Danger::Blind { what: "the system as it is", why });
    }
    if let Some(network) = &aim.network {
        extent(network, limits, &mut dangers);
        hosts(network, live, limits, &mut dangers);
    }
    if let Some(user) = &aim.user {
        account(user, live, &mut dangers);
    }
    if let Some(unit) = &aim.unit {
        let plain = unit.strip_suffix(".service").unwrap_or(unit);
        let plain = plain.split('@').next().unwrap_or(plain);
        let named = |given: &String| given.strip_suffix(".service").unwrap_or(given) == plain;
        let critical = CRITICAL_UNITS.contains(&plain)
            || plain.starts_with("systemd-")
            || limits.critical_units.iter().any(named);
        if critical {
            dangers.push(Danger::Unit(unit.clone()));
        }
    }
    budget(spent, limits, &mut dangers);
    Answer::of(dangers)
}

/// What a network must not be, whoever is there.
fn extent(network: &Network, limits: &Limits, dangers: &mut Vec<Danger>) {
    let least = limits.widest[usize::from(network.address().is_ipv6())];
    if network.bits() < least {
        dangers.push(Danger::Wide { bits: network.bits(), least });
    }
    let special = SPECIAL.iter().find(|(text, _)| {
        // The list is tested to parse.
        text.parse::<Network>().is_ok_and(|special| special.overlaps(network))
    });
    if let Some((_, what)) = special {
        dangers.push(Danger::Special(what));
    }
    let allowed = limits.allow.iter().filter(|allowed| allowed.overlaps(network));
    dangers.extend(allowed.take(LISTED_MAX).map(|allowed| Danger::Allowed(*allowed)));
}

/// Addresses that are nobody's alone (RFC 6890).
const SPECIAL: [(&str, &str); 7] = [
    ("0.0.0.0/8", "unspecified"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("224.0.0.0/3", "multicast, reserved or broadcast"),
    ("::/127", "unspecified or loopback"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
];

/// Why a network is never blocked, whatever else is allowed and whoever asks: the last look before the
/// kernel, of whoever does it. What could not be looked at is a reason.
pub fn never(
    network: &Network,
    widest: [u8; 2],
    own: &Seen<Vec<IpAddr>>,
    gateways: &Seen<Vec<IpAddr>>,
) -> Vec<Danger> {
    let mut dangers = Vec::new();
    let limits = Limits {
        allow: Networks::default(),
        neighbours: true,
        widest,
        critical_units: Vec::new(),
        per_hour: 0,
        per_hour_of_class: 0,
    };
    extent(network, &limits, &mut dangers);
    addresses("own addresses", own, network, Danger::OwnAddress, &mut dangers);
    addresses("gateways", gateways, network, Danger::Gateway, &mut dangers);
    dangers
}

fn hosts(network: &Network, live: &LiveSystem, limits: &Limits, dangers: &mut Vec<Danger>) {
    match &live.sessions {
        Err(why) => dangers.push(blind("sessions", why)),
        Ok(sessions) => {
            let there = sessions.iter().filter_map(|one| Some((one, one.from?)));
            let there = there.filter(|(_, from)| network.contains(*from));
            let danger = |(one, from): (&Session, IpAddr)| Danger::Session {
                from: from.to_canonical(),
                who: one.who.clone(),
            };
            dangers.extend(there.take(LISTED_MAX).map(danger));
        }
    }
    addresses("own addresses", &live.addresses, network, Danger::OwnAddress, dangers);
    addresses("gateways", &live.gateways, network, Danger::Gateway, dangers);
    addresses("name servers", &live.resolvers, network, Danger::Resolver, dangers);
    match &live.links {
        Err(why) => dangers.push(blind("own networks", why)),
        Ok(links) => {
            let near = links.iter().filter(|link| link.overlaps(network));
            // To block all of a network that we are on is never meant.
            let near = near.filter(|link| !limits.neighbours || network.holds(link));
            dangers.extend(near.take(LISTED_MAX).map(|link| Danger::Neighbour(*link)));
        }
    }
}

/// Those of a list that lie in the network.
fn addresses(
    what: &'static str,
    seen: &Seen<Vec<IpAddr>>,
    network: &Network,
    danger: fn(IpAddr) -> Danger,
    dangers: &mut Vec<Danger>,
) {
    match seen {
        Err(why) => dangers.push(blind(what, why)),
        Ok(all) => {
            let there = all.iter().filter(|address| network.contains(**address));
            dangers.extend(there.take(LISTED_MAX).map(|one| danger(one.to_canonical())));
        }
    }
}

fn account(user: &str, live: &LiveSystem, dangers: &mut Vec<Danger>) {
    let refused = |why| Danger::Account { user: user.to_string(), why };
    if user == "root" {
        dangers.push(refused("it is root"));
    }
    match &live.sessions {
        Err(why) => dangers.push(blind("sessions", why)),
        Ok(sessions) if sessions.iter().any(|one| one.who == user) => {
            dangers.push(refused("it is logged in"));
        }
        Ok(_) => {}
    }
    match &live.administrators {
        Err(why) => dangers.push(blind("administrators", why)),
        Ok(all) if all.contains(user) && all.len() == 1 => {
            dangers.push(refused("it is the last one that may become root"));
        }
        Ok(_) => {}
    }
}

fn budget(spent: &Seen<Spent>, limits: &Limits, dangers: &mut Vec<Danger>) {
    let spent = match spent {
        Ok(spent) => spent,
        Err(why) => return dangers.push(blind("what was done within the last hour", why)),
    };
    if spent.of_kind >= limits.per_hour {
        let (spent, most) = (spent.of_kind, limits.per_hour);
        dangers.push(Danger::Budget { spent, most, of: "actions of this kind" });
    }
    if spent.of_class >= limits.per_hour_of_class {
        let (spent, most) = (spent.of_class, limits.per_hour_of_class);
        dangers.push(Danger::Budget { spent, most, of: "actions against such targets" });
    }
}

fn blind(what: &'static str, why: &str) -> Danger {
    Danger::Blind { what, why: why.to_string() }
}

#[cfg(test)]
#[path = "harm_tests.rs"]
pub mod tests;
