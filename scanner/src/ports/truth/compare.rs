//! Views in, disagreements out. Pure: nothing is asked here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::ports::addresses::{Reach, unmapped};
use crate::ports::connect::State;
use crate::ports::exposure::Firewall;
use crate::ports::firewall::{Outcome, Probe};
use crate::ports::inventory::{Socket, Transport};
use crate::ports::kernel::KernelServices;

use super::bind::{Family, Taken};
use super::{Cause, Disagreement, View};

/// What was asked by connecting, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// One of this host's addresses.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// What came of it.
    pub state: State,
}

/// TCP sockets that do not listen and yet keep a port, as netlink shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeper {
    /// Bound, and neither listening nor connected.
    BoundInactive,
    /// The last moments of a connection (RFC 9293, 3.6.1).
    TimeWait,
    /// A connection.
    Connection,
}

/// The views of one moment.
#[derive(Clone, Debug, Default)]
pub struct Views {
    /// Listening sockets by netlink; `None` where it could not be asked.
    pub netlink: Option<Vec<Socket>>,
    /// Listening sockets of `/proc/net`; `None` where it could not be read whole.
    pub tables: Option<Vec<Socket>>,
    /// Taken ports by binding; `None` where it was not tried.
    pub taken: Option<Taken>,
    /// What connecting told.
    pub answers: Vec<Answer>,
    /// Inodes of listening sockets that processes hold; `None` where some processes could not be seen.
    pub held: Option<BTreeSet<u32>>,
    /// Who keeps a TCP port without listening; `None` where it was not asked.
    pub keepers: Option<BTreeMap<(Family, u16), Keeper>>,
    /// Whether this kernel shows bound, inactive sockets (Linux 6.8).
    pub shows_inactive: bool,
    /// The packet filter.
    pub firewall: Option<Firewall>,
    /// Inodes of listening sockets of other network namespaces, with the namespace.
    pub beyond: BTreeMap<u32, String>,
    /// What the kernel itself listens on.
    pub kernel: KernelServices,
}

/// Every disagreement of the views, sorted.
pub fn compare(views: &Views) -> Vec<Disagreement> {
    let mut found = Vec::new();
    if let (Some(netlink), Some(tables)) = (&views.netlink, &views.tables) {
        tables_differ(views, netlink, tables, &mut found);
    }
    if let Some(netlink) = &views.netlink {
        if let Some(taken) = &views.taken {
            binding_differs(views, netlink, taken, &mut found);
        }
        answers_differ(views, netlink, &mut found);
        holders_differ(views, netlink, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

/// A socket by its place and inode.
pub(super) type Key = (Transport, IpAddr, u16, u32);

fn key(socket: &Socket) -> Key {
    (socket.transport, socket.address, socket.port, socket.inode)
}

/// The sockets that only one of netlink and `/proc/net` shows.
pub(super) fn one_sided(views: &Views) -> BTreeSet<Key> {
    let (Some(netlink), Some(tables)) = (&views.netlink, &views.tables) else {
        return BTreeSet::new();
    };
    let by_netlink: BTreeSet<Key> = netlink.iter().map(key).collect();
    let by_tables: BTreeSet<Key> = tables.iter().map(key).collect();
    by_netlink.symmetric_difference(&by_tables).copied().collect()
}

/// Netlink and `/proc/net` read the same tables of the kernel by different code: whoever hides a
/// listener from one has to hide it from the other too.
fn tables_differ(
    views: &Views,
    netlink: &[Socket],
    tables: &[Socket],
    found: &mut Vec<Disagreement>,
) {
    let by_netlink: BTreeSet<Key> = netlink.iter().map(key).collect();
    let by_tables: BTreeSet<Key> = tables.iter().map(key).collect();
    for &(transport, address, port, _) in by_netlink.difference(&by_tables) {
        found.push(Disagreement::new(
            (transport, address, port),
            (&[View::Netlink], &[View::Tables]),
            Cause::Hidden,
            "listens, and is missing in /proc/net: that file is forged, or the kernel's code behind it \
             is changed",
        ));
    }
    for &(transport, address, port, inode) in by_tables.difference(&by_netlink) {
        let (cause, because) = match views.beyond.get(&inode) {
            Some(namespace) => (
                Cause::Namespace,
                format!("listens in another network namespace: {namespace}; /proc/net is not ours"),
            ),
            None => (
                Cause::Hidden,
                "stands in /proc/net, and is missing in the kernel's own dump: the dump is filtered, or \
                 /proc/net is another namespace's or forged"
                    .to_string(),
            ),
        };
        let place = (transport, address, port);
        found.push(Disagreement::new(place, (&[View::Tables], &[View::Netlink]), cause, &because));
    }
}

/// Whether a listener takes a port of a family.
fn takes(socket: &Socket, family: Family) -> bool {
    socket.transport == Transport::Tcp
        && (Family::of(socket.address) == family || (socket.dual_stack && family == Family::Four))
}

fn binding_differs(
    views: &Views,
    netlink: &[Socket],
    taken: &Taken,
    found: &mut Vec<Disagreement>,
) {
    let mut listening = BTreeSet::new();
    for socket in netlink {
        for family in [Family::Four, Family::Six] {
            if takes(socket, family) {
                listening.insert((family, socket.port));
            }
        }
    }
    for &(family, port) in taken.ports.difference(&listening) {
        let keeper = views.keepers.as_ref().and_then(|keepers| keepers.get(&(family, port)));
        let (cause, because) = match keeper {
            // Netlink shows it, and it is no listener: the views agree.
            Some(Keeper::Connection) => continue,
            Some(Keeper::TimeWait) => (Cause::TimeWait, "kept by a connection that has ended"),
            Some(Keeper::BoundInactive) => {
                (Cause::BoundInactive, "a process has bound it and does not listen")
            }
            None if views.keepers.is_none() || !views.shows_inactive => (
                Cause::Unexplained,
                "taken, and no listener is shown: bound without listening (which this kernel does not \
                 show), or hidden",
            ),
            None => {
                (Cause::Hidden, "taken, and neither netlink nor /proc/net shows any socket on it")
            }
        };
        let place = (Transport::Tcp, family.any(), port);
        let views = (&[View::Bind][..], &[View::Netlink, View::Tables][..]);
        found.push(Disagreement::new(place, views, cause, because));
    }
    for &(family, port) in listening.difference(&taken.ports) {
        if taken.asked.contains(&port) {
            let place = (Transport::Tcp, family.any(), port);
            let because = "shown as listening, and yet the port is free";
            let views = (&[View::Netlink][..], &[View::Bind][..]);
            found.push(Disagreement::new(place, views, Cause::Unexplained, because));
        }
    }
}

/// The listener that should answer on an address.
fn answers_on(socket: &Socket, address: IpAddr, port: u16) -> bool {
    let (bound, address) = (unmapped(socket.address), unmapped(address));
    socket.transport == Transport::Tcp
        && socket.port == port
        && (bound == address || bound.is_unspecified() && takes(socket, Family::of(address)))
}

fn answers_differ(views: &Views, netlink: &[Socket], found: &mut Vec<Disagreement>) {
    for answer in &views.answers {
        let place = (Transport::Tcp, answer.address, answer.port);
        let listener = netlink.iter().find(|one| answers_on(one, answer.address, answer.port));
        match (answer.state, listener) {
            (State::Open(_), None) => {
                let (cause, because) = answered(views, answer);
                let seen = (&[View::Connect][..], &[View::Netlink][..]);
                found.push(Disagreement::new(place, seen, cause, &because));
            }
            (State::Closed | State::Filtered(_), Some(listener)) => {
                let (cause, because) = unanswered(views, answer, listener);
                let seen = (&[View::Netlink][..], &[View::Connect][..]);
                found.push(Disagreement::new(place, seen, cause, &because));
            }
            _ => {}
        }
    }
}

fn local(answer: &Answer) -> Probe {
    Probe {
        from: Reach::Loopback,
        to: unmapped(answer.address),
        interface: Some("lo".to_string()),
        transport: Transport::Tcp,
        port: answer.port,
    }
}

/// Something answers although nothing listens.
fn answered(views: &Views, answer: &Answer) -> (Cause, String) {
    match &views.firewall {
        Some(Firewall::Known(rules)) => match rules.redirects_from_here(&local(answer)) {
            Some(redirect) => {
                let to = match (redirect.address, redirect.port) {
                    (Some(address), Some(port)) => format!("{address} port {port}"),
                    (Some(address), None) => address.to_string(),
                    (None, Some(port)) => format!("port {port} of this host"),
                    (None, None) => "this host".to_string(),
                };
                (Cause::Redirect, format!("{} hands it to {to}", redirect.label))
            }
            None => (
                Cause::Hidden,
                "answers, and neither a listener nor a redirection is shown (a program of BPF's \
                 sk_lookup or a proxy of TPROXY would look like this too)"
                    .to_string(),
            ),
        },
        Some(Firewall::Unread(why)) => (
            Cause::Unexplained,
            format!(
                "answers, and no listener is shown: redirected by the firewall, which could not be \
                 read ({why}), or hidden"
            ),
        ),
        None => (Cause::Unexplained, "answers, and no listener is shown".to_string()),
    }
}

/// A listener does not answer.
fn unanswered(views: &Views, answer: &Answer, listener: &Socket) -> (Cause, String) {
    if listener.is_saturated() {
        let (waiting, most) = listener.queue;
        let because = format!("listens, and its accept queue is full ({waiting} of {most})");
        return (Cause::Saturated, because);
    }
    let how = match answer.state {
        State::Filtered(reason) => reason,
        _ => "refused",
    };
    match &views.firewall {
        Some(Firewall::Known(rules)) => {
            let probe = local(answer);
            if let Some(redirect) = rules.redirects_from_here(&probe) {
                let because = format!("{how}: {} hands it on", redirect.label);
                return (Cause::Redirect, because);
            }
            let chains = [rules.admits(&probe), rules.sends(&probe)];
            let rule = chains.into_iter().find_map(|outcome| match outcome {
                Outcome::Blocked(rule) | Outcome::Limited(rule) | Outcome::Unknown(rule) => {
                    Some(rule)
                }
                Outcome::Open(_) => None,
            });
            match rule {
                Some(rule) => (Cause::Firewalled, format!("{how}: {rule}")),
                None => (Cause::Unexplained, format!("{how}, and no rule of the firewall says so")),
            }
        }
        _ if matches!(answer.state, State::Filtered(_)) => {
            (Cause::Firewalled, format!("{how}: kept out by a firewall, which could not be read"))
        }
        _ => (Cause::Unexplained, format!("{how}, although it is shown as listening")),
    }
}

fn holders_differ(views: &Views, netlink: &[Socket], found: &mut Vec<Disagreement>) {
    let Some(held) = &views.held else { return };
    for socket in netlink.iter().filter(|socket| !held.contains(&socket.inode)) {
        let (cause, because) = match views.kernel.holder(socket.transport, socket.port) {
            Some(name) => (Cause::Kernel, format!("the kernel itself listens ({name})")),
            None => (
                Cause::Unexplained,
                "no process that can be seen holds it: the kernel's, a process of another namespace, \
                 or a hidden one"
                    .to_string(),
            ),
        };
        let place = (socket.transport, socket.address, socket.port);
        found.push(Disagreement::new(place, (&[View::Netlink], &[View::Holders]), cause, &because));
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
