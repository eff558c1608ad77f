//! From where a socket can be reached, and what decides it.
//!
//! Pure: the bound address, the host's addresses and the firewall come in, an [`Exposure`] and one
//! line of reason come out. A wildcard stands for every address of the host. Where the firewall could
//! not be read, the address decides and the reason says so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use consensus::Exposure;

use super::addresses::{OwnAddress, OwnAddresses, Reach, reach, unmapped};
use super::firewall::{NO_CHAIN, Outcome, Probe, Redirect, Ruleset};
use super::inventory::Socket;
use super::namespaces::Namespace;

/// Of an address that a port is handed on from at others.
const NOTHING: &str = "nothing listens there";
/// Most addresses of the host that one wildcard socket is judged for.
const ADDRESSES_MAX: usize = 256;

/// The host's packet filter, or why it could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Firewall {
    /// Its rules.
    Known(Ruleset),
    /// Why not.
    Unread(String),
}

/// What listens, here and in other network namespaces of this host, as far as it is known: a port that
/// is handed to where nothing listens is open to nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listening<'s> {
    /// Sockets of this namespace; `None` where they are not known.
    pub here: Option<&'s [Socket]>,
    /// Other namespaces.
    pub elsewhere: &'s [Namespace],
}

impl Listening<'_> {
    /// Whether something listens there; `None` where that cannot be told.
    fn at(&self, own: &OwnAddresses, to: &Probe) -> Option<bool> {
        let covers = |socket: &Socket| {
            let bound = unmapped(socket.address);
            let wild =
                bound.is_unspecified() && (bound.is_ipv4() == to.to.is_ipv4() || socket.dual_stack);
            (socket.transport, socket.port) == (to.transport, to.port) && (bound == to.to || wild)
        };
        if own.contains(to.to) {
            return self.here.map(|sockets| sockets.iter().any(covers));
        }
        let mut of_address = self
            .elsewhere
            .iter()
            .filter(|one| one.addresses.0.iter().flatten().any(|a| a.address == to.to));
        let first = of_address.next()?;
        // Two namespaces may have the same address; which is meant, routing decides.
        Some(std::iter::once(first).chain(of_address).any(|one| one.sockets.iter().any(covers)))
    }
}

/// The redirection that takes a port from its listener, or that publishes one without a listener.
pub fn redirection<'f>(
    socket: &Socket,
    own: &OwnAddresses,
    firewall: &'f Firewall,
) -> Option<&'f Redirect> {
    let Firewall::Known(rules) = firewall else { return None };
    targets(socket, own)?
        .iter()
        .flat_map(|target| probes(socket, target))
        .find_map(|probe| rules.redirects(&probe))
}

/// From where a socket can be reached, and why.
pub fn judge(socket: &Socket, own: &OwnAddresses, firewall: &Firewall) -> (Exposure, String) {
    judge_among(socket, own, firewall, Listening::default())
}

/// The same where it is known what listens behind redirections.
pub fn judge_among(
    socket: &Socket,
    own: &OwnAddresses,
    firewall: &Firewall,
    listening: Listening<'_>,
) -> (Exposure, String) {
    let bound = bound(socket);
    let Some(targets) = targets(socket, own) else {
        return (Exposure::Unknown, format!("{bound}; the host's addresses could not be read"));
    };
    let mut widest = (Exposure::Loopback, format!("{bound}: only this host can reach it"));
    for target in &targets {
        let judged = judge_one(socket, target, firewall, &bound, (own, listening));
        // Of equally wide ones a reason that names a rule says more than the default.
        let closed = judged.0 == Exposure::Loopback && !judged.1.ends_with(NOTHING);
        if judged.0 > widest.0 || (judged.0 == widest.0 && closed) {
            widest = judged;
        }
    }
    widest
}

/// The host's addresses other than loopback that a socket answers on; `None` where they are unknown.
fn targets(socket: &Socket, own: &OwnAddresses) -> Option<Vec<OwnAddress>> {
    let address = unmapped(socket.address);
    if reach(address) == Reach::Loopback {
        return Some(Vec::new());
    }
    if !address.is_unspecified() {
        let interface = own
            .0
            .iter()
            .flatten()
            .find(|one| one.address == address)
            .and_then(|one| one.interface.clone());
        return Some(vec![OwnAddress { address, interface }]);
    }
    let family = |one: &&OwnAddress| match socket.address {
        IpAddr::V4(_) => one.address.is_ipv4(),
        IpAddr::V6(six) if six.to_ipv4_mapped().is_some() => one.address.is_ipv4(),
        IpAddr::V6(_) => one.address.is_ipv6() || socket.dual_stack,
    };
    let known = own.0.as_ref()?;
    let away = known.iter().filter(|one| reach(one.address) != Reach::Loopback);
    Some(away.filter(family).take(ADDRESSES_MAX).cloned().collect())
}

/// What is tried against one address: from the internet if it is a global one, and from next door.
fn probes(socket: &Socket, target: &OwnAddress) -> Vec<Probe> {
    let from = |from| Probe {
        from,
        to: target.address,
        interface: target.interface.clone(),
        transport: socket.transport,
        port: socket.port,
    };
    match reach(target.address) {
        Reach::Global => vec![from(Reach::Global), from(Reach::Private)],
        _ => vec![from(Reach::Private)],
    }
}

fn judge_one(
    socket: &Socket,
    target: &OwnAddress,
    firewall: &Firewall,
    bound: &str,
    behind: Behind<'_>,
) -> (Exposure, String) {
    let at = place(socket, target, bound);
    let by_address = match reach(target.address) {
        Reach::Global => Exposure::World,
        Reach::Private => Exposure::Private,
        Reach::Loopback => Exposure::Loopback,
    };
    let rules = match firewall {
        Firewall::Known(rules) => rules,
        Firewall::Unread(why) => {
            return (by_address, format!("{at}; firewall could not be read ({why})"));
        }
    };
    let mut widest = (Exposure::Loopback, String::new());
    for probe in probes(socket, target) {
        let judged = through(rules, &probe, &at, behind);
        if judged.0 > widest.0 || widest.1.is_empty() {
            widest = judged;
        }
    }
    widest
}

/// The host's addresses, and what listens.
type Behind<'a> = (&'a OwnAddresses, Listening<'a>);

fn through(
    rules: &Ruleset,
    probe: &Probe,
    at: &str,
    (own, listening): Behind<'_>,
) -> (Exposure, String) {
    let internet = probe.from == Reach::Global;
    let open = if internet { Exposure::World } else { Exposure::Private };
    if let Some(redirect) = rules.redirects(probe) {
        let port = redirect.port.unwrap_or(probe.port);
        let to = redirect.address.unwrap_or(probe.to);
        let there = Probe { to, port, ..probe.clone() };
        let words = match redirect.address {
            Some(address) => elsewhere(address, redirect.port),
            None => format!("port {port} of this host"),
        };
        let mut because = format!("{at}; {} hands it to {words}", label(rules, &redirect.label));
        let there_is = listening.at(own, &there);
        if there_is == Some(false) {
            because.push_str(", where nothing listens");
            return (Exposure::Loopback, because);
        }
        // Handed on before the input chains, which therefore do not decide. The chains for forwarded
        // packets are believed to close it only for a target that is known.
        let outcome = match (own.contains(to), there_is) {
            (true, _) => rules.admits(&there),
            (false, Some(_)) => match rules.forwards(&there) {
                Outcome::Blocked(rule) => Outcome::Blocked(rule),
                _ => Outcome::Open(String::new()),
            },
            (false, None) => Outcome::Open(String::new()),
        };
        let exposure = match outcome {
            Outcome::Open(_) => open,
            Outcome::Limited(_) => Exposure::Private,
            Outcome::Unknown(_) => Exposure::Unknown,
            Outcome::Blocked(rule) => {
                because.push_str(&format!("; kept out by {}", label(rules, &rule)));
                Exposure::Loopback
            }
        };
        return (exposure, because);
    }
    if listening.at(own, probe) == Some(false) {
        return (Exposure::Loopback, format!("{at}; {NOTHING}"));
    }
    match rules.admits(probe) {
        Outcome::Open(rule) if rule == NO_CHAIN => (open, format!("{at}; {NO_CHAIN}")),
        Outcome::Open(rule) => (open, format!("{at}; let in by {}", label(rules, &rule))),
        Outcome::Limited(rule) => (
            Exposure::Private,
            format!("{at}; let in from a few sources only by {}", label(rules, &rule)),
        ),
        Outcome::Unknown(rule) => (
            Exposure::Unknown,
            format!("{at}; it depends on a rule not understood: {}", label(rules, &rule)),
        ),
        Outcome::Blocked(rule) => {
            (Exposure::Loopback, format!("{at}; kept out by {}", label(rules, &rule)))
        }
    }
}

/// A rule's label with the program that manages it, where table or chains show one: the operator has to
/// change it there.
fn label(rules: &Ruleset, label: &str) -> String {
    let of_ufw = || {
        label.contains("tables filter INPUT policy")
            && rules.chains.keys().any(|chain| chain.contains(" ufw"))
    };
    let manager = if label.contains(" firewalld ") {
        " (firewalld)"
    } else if label.contains("ufw-") || label.contains("ufw6-") || of_ufw() {
        " (ufw)"
    } else {
        ""
    };
    format!("{label}{manager}")
}

fn elsewhere(address: IpAddr, port: Option<u16>) -> String {
    match (address.is_unspecified(), port) {
        (true, _) => "another address".to_string(),
        (false, Some(port)) => std::net::SocketAddr::new(address, port).to_string(),
        (false, None) => address.to_string(),
    }
}

/// `bound to 0.0.0.0, and the host has 203.0.113.5`.
fn place(socket: &Socket, target: &OwnAddress, bound: &str) -> String {
    if !unmapped(socket.address).is_unspecified() {
        return match reach(target.address) {
            Reach::Private => format!("{bound}, a private address"),
            _ => bound.to_string(),
        };
    }
    let behind = match (reach(target.address), target.address) {
        (Reach::Private, IpAddr::V4(_)) => {
            ", a private address (a forward on a router may still reach it)"
        }
        (Reach::Private, _) => ", a private address",
        _ => "",
    };
    format!("{bound}, and the host has {}{behind}", target.address)
}

fn bound(socket: &Socket) -> String {
    let address = socket.address;
    if address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && socket.dual_stack {
        "bound to [::] (IPv4 too)".to_string()
    } else if address == IpAddr::V4(Ipv4Addr::UNSPECIFIED) {
        "bound to 0.0.0.0".to_string()
    } else if address.is_ipv6() {
        format!("bound to [{address}]")
    } else {
        format!("bound to {address}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::firewall::{iptables, nft};
    use super::super::inventory::Transport;
    use super::*;

    fn socket(address: &str, port: u16) -> Socket {
        Socket {
            transport: Transport::Tcp,
            port,
            address: address.parse().unwrap(),
            dual_stack: address == "::",
            uid: 0,
            inode: 1,
            queue: (0, 128),
            cgroup: None,
            cookie: None,
            mark: None,
        }
    }

    fn public() -> OwnAddresses {
        OwnAddresses::known(&[("127.0.0.1", "lo"), ("203.0.113.5", "eth0"), ("10.0.0.5", "eth1")])
    }

    fn natted() -> OwnAddresses {
        OwnAddresses::known(&[
            ("127.0.0.1", "lo"),
            ("::1", "lo"),
            ("192.168.1.5", "eth0"),
            ("fe80::5", "eth0"),
        ])
    }

    fn six() -> OwnAddresses {
        OwnAddresses::known(&[("::1", "lo"), ("192.168.1.5", "eth0"), ("2001:db8::5", "eth0")])
    }

    fn alone() -> OwnAddresses {
        OwnAddresses::known(&[("127.0.0.1", "lo"), ("::1", "lo")])
    }

    #[test]
    fn without_a_firewall_the_address_decides() {
        use Exposure::{Loopback, Private, Unknown, World};
        let firewall = Firewall::Unread("needs CAP_NET_ADMIN".into());
        let unknown = OwnAddresses(None);
        for (address, own, expected) in [
            ("127.0.0.1", public(), Loopback),
            ("127.0.0.53", public(), Loopback),
            ("::1", six(), Loopback),
            ("::ffff:127.0.0.1", public(), Loopback),
            ("127.0.0.1", unknown.clone(), Loopback),
            ("0.0.0.0", public(), World),
            ("0.0.0.0", natted(), Private),
            ("0.0.0.0", six(), Private),
            ("0.0.0.0", alone(), Loopback),
            ("0.0.0.0", unknown.clone(), Unknown),
            ("::", six(), World),
            ("::", public(), World),
            ("::", natted(), Private),
            ("203.0.113.5", public(), World),
            ("203.0.113.5", unknown.clone(), World),
            ("10.0.0.5", public(), Private),
            ("192.168.1.5", unknown, Private),
            ("fe80::5", natted(), Private),
            ("fd00::1", six(), Private),
            ("2001:db8::5", six(), World),
            ("100.64.1.1", public(), Private),
            ("224.0.0.251", public(), Private),
        ] {
            let (exposure, because) = judge(&socket(address, 80), &own, &firewall);
            assert_eq!(exposure, expected, "{address} {own:?}: {because}");
            let away = !matches!(exposure, Loopback | Unknown);
            assert_eq!(because.contains("needs CAP_NET_ADMIN"), away, "{because}");
        }
        let mut only_six = socket("::", 80);
        only_six.dual_stack = false;
        assert_eq!(judge(&only_six, &public(), &firewall).0, Loopback);
        let (_, because) = judge(&socket("0.0.0.0", 80), &natted(), &firewall);
        assert!(because.contains("forward"), "{because}");
    }

    #[test]
    fn the_firewall_narrows_what_the_address_allows() {
        use Exposure::{Loopback, Private, Unknown, World};
        let rules = nft::read(include_bytes!("../../testdata/ports/nft.json"), |_, _| false);
        let firewall = Firewall::Known(rules.unwrap());
        for (address, port, own, expected, names) in [
            ("0.0.0.0", 443, public(), World, "handle 14 \"web\""),
            ("0.0.0.0", 1, public(), Loopback, "policy drop"),
            ("0.0.0.0", 6379, public(), Private, "handle 16"),
            ("203.0.113.5", 6379, public(), Private, "handle 16"),
            ("0.0.0.0", 5432, public(), Private, "a few sources only"),
            ("0.0.0.0", 7777, public(), Unknown, "handle 22"),
            ("0.0.0.0", 443, natted(), Private, "handle 14"),
            ("0.0.0.0", 1, natted(), Loopback, "policy drop"),
            ("127.0.0.1", 443, public(), Loopback, "only this host"),
            ("::", 443, six(), World, "2001:db8::5"),
            ("::", 5432, six(), Loopback, "policy drop"),
            ("0.0.0.0", 8080, public(), World, "hands it to 172.17.0.2:80"),
            ("0.0.0.0", 81, public(), World, "port 80 of this host"),
        ] {
            let (exposure, because) = judge(&socket(address, port), &own, &firewall);
            assert_eq!(exposure, expected, "{address}:{port} {own:?}: {because}");
            assert!(because.contains(names), "{address}:{port}: {because}");
        }
    }

    #[test]
    fn rules_for_one_family_leave_the_other_open() {
        let text = include_bytes!("../../testdata/ports/iptables.txt");
        let (rules, _) = iptables::read(iptables::Program::Four, text).unwrap();
        let firewall = Firewall::Known(rules);
        assert_eq!(judge(&socket("0.0.0.0", 9999), &public(), &firewall).0, Exposure::Loopback);
        let (exposure, because) = judge(&socket("::", 9999), &six(), &firewall);
        assert_eq!(exposure, Exposure::World, "{because}");
        assert!(because.contains("no firewall chain"), "{because}");
    }

    #[test]
    fn no_rules_at_all_mean_open() {
        let firewall = Firewall::Known(Ruleset::default());
        assert_eq!(judge(&socket("0.0.0.0", 22), &public(), &firewall).0, Exposure::World);
        assert_eq!(judge(&socket("0.0.0.0", 22), &natted(), &firewall).0, Exposure::Private);
        assert!(redirection(&socket("0.0.0.0", 22), &public(), &firewall).is_none());
    }
}
