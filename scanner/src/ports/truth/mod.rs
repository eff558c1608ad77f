//! Five views of what listens on this host, compared: whatever hides from one has to hide from all.
//!
//! The kernel's dump (netlink), the tables of `/proc/net`, taken ports ([`bind`]), what answers
//! (connecting), and the sockets that processes hold. Each disagreement gets a cause ([`compare`]); one
//! is told only if it stands twice, since services start and end while one looks. Nothing listens,
//! nothing is sent but the connections that the caller asks for.
//!
//! The bind view is TCP's: a UDP port taken by others is not asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use parsers::tree::Tree;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::Spoken;

use super::connect::{Limits, State, own};
use super::inventory::{self, Socket, Transport};
use super::kernel::KernelServices;
use super::{namespaces, owner};

use self::bind::Family;
use self::compare::{Answer, Keeper, Views};

pub mod bind;
pub mod compare;

/// Most disagreements that are told.
pub const DISAGREEMENTS_MAX: usize = 1_000;
/// Wait for an answer of this host's own listeners.
const ANSWER_WITHIN: Duration = Duration::from_millis(300);
/// How often more what seems to be hidden is looked at.
const DOUBTS: usize = 6;
/// Pause before a disagreement is looked at again.
const PAUSE: Duration = Duration::from_millis(10);

/// Where something was seen, or not.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// The kernel's dump of sockets (sock_diag(7)).
    Netlink,
    /// `/proc/net/{tcp,tcp6,udp,udp6}`.
    Tables,
    /// Binding.
    Bind,
    /// Connecting.
    Connect,
    /// Descriptors of processes.
    Holders,
}

/// What a disagreement comes from; the gravest first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Somebody hides it: what one view shows is missing in another that reads the same thing.
    Hidden,
    /// None of the causes that are known, as far as could be looked at.
    Unexplained,
    /// Another network namespace.
    Namespace,
    /// A rule of the firewall hands the port on.
    Redirect,
    /// A rule of the firewall keeps connections out.
    Firewalled,
    /// It listens, and does not accept: its queue is full.
    Saturated,
    /// The kernel itself listens.
    Kernel,
    /// Bound by a process that does not listen.
    BoundInactive,
    /// Kept by a connection that has ended.
    TimeWait,
}

impl Cause {
    /// The name used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Unexplained => "unexplained",
            Self::Namespace => "namespace",
            Self::Redirect => "redirect",
            Self::Firewalled => "firewalled",
            Self::Saturated => "saturated",
            Self::Kernel => "kernel",
            Self::BoundInactive => "bound-inactive",
            Self::TimeWait => "time-wait",
        }
    }
}

/// One port about which the views disagree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Disagreement {
    /// Why.
    pub cause: Cause,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Port.
    pub port: u16,
    /// Address; the wildcard of its family where binding told.
    pub address: IpAddr,
    /// Where it was seen.
    pub seen: Vec<View>,
    /// Where it should have been seen, and was not.
    pub missing: Vec<View>,
    /// What says so, in one line.
    pub because: String,
}

impl Disagreement {
    fn new(
        (transport, address, port): (Transport, IpAddr, u16),
        (seen, missing): (&[View], &[View]),
        cause: Cause,
        because: &str,
    ) -> Self {
        Self {
            cause,
            protocol: transport.name().to_string(),
            port,
            address,
            seen: seen.to_vec(),
            missing: missing.to_vec(),
            because: crate::redact::line(because),
        }
    }

    /// Whether both are about the same port and the same views, whatever the cause.
    fn is_again(&self, other: &Self) -> bool {
        (&self.protocol, self.port, self.address, &self.seen)
            == (&other.protocol, other.port, other.address, &other.seen)
    }

    /// Whether it is about one of these sockets, where it is about a socket that one view alone shows. A
    /// service that opens its socket again and again is another one in each view, and none is hidden.
    fn is_of(&self, sockets: &BTreeSet<compare::Key>) -> bool {
        let one_sided = [View::Netlink, View::Tables];
        if self.seen.len() != 1 || self.missing.len() != 1 {
            return true;
        }
        if !one_sided.contains(&self.seen[0]) || !one_sided.contains(&self.missing[0]) {
            return true;
        }
        sockets.iter().any(|(transport, address, port, _)| {
            (transport.name(), *address, *port) == (&*self.protocol, self.address, self.port)
        })
    }
}

/// Ports of one own address that were connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Which were asked.
    pub ports: BTreeSet<u16>,
    /// Which of them answered.
    pub open: BTreeSet<u16>,
}

/// What is to be compared besides netlink, `/proc/net` and the holders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// What connecting told already, by own address.
    pub asked: BTreeMap<IpAddr, Asked>,
    /// Ports to bind to; none for none.
    pub bind: Vec<u16>,
}

/// What the comparison told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Disagreements, the gravest first.
    pub disagreements: Vec<Disagreement>,
    /// Views that could not be taken whole.
    pub unseen: Vec<String>,
}

/// Compares the views of this host. `firewall` is called only where something needs its rules.
pub fn look(tree: &dyn Tree, request: &Request, firewall: &dyn Fn() -> Spoken) -> Truth {
    let mut truth = Truth::default();
    let first = views(tree, request, Pass::First, &mut truth.unseen);
    let found = compare::compare(&first);
    if !found.is_empty() {
        std::thread::sleep(PAUSE);
        let suspects = suspects(&found);
        let mut again = views(tree, &suspects, Pass::Again, &mut Vec::new());
        if found.iter().any(|one| one.seen == [View::Connect] || one.missing == [View::Connect]) {
            let (rules, unread) = super::read_firewall(tree, &firewall());
            again.firewall = Some(rules);
            truth.unseen.extend(unread);
        }
        if found.iter().any(|one| one.seen == [View::Tables]) {
            again.beyond = beyond(tree);
        }
        let mut same = compare::one_sided(&again);
        let before = compare::one_sided(&first);
        same.retain(|socket| before.contains(socket));
        let stands = |one: &Disagreement| found.iter().any(|before| before.is_again(one));
        truth.disagreements = compare::compare(&again).into_iter().filter(stands).collect();
        truth.disagreements.retain(|one| one.is_of(&same));
        doubt(tree, again, same, &mut truth.disagreements);
    }
    if truth.disagreements.len() > DISAGREEMENTS_MAX {
        let more = truth.disagreements.len() - DISAGREEMENTS_MAX;
        truth.disagreements.truncate(DISAGREEMENTS_MAX);
        truth.unseen.push(format!("{more} more disagreements of the views"));
    }
    truth
}

/// Looks again at what seems to be hidden: a table of `/proc/net` is read in parts, and a row may slip
/// through while others come and go. `same` are the sockets that each look so far showed in one view only.
fn doubt(
    tree: &dyn Tree,
    known: Views,
    mut same: BTreeSet<compare::Key>,
    found: &mut Vec<Disagreement>,
) {
    for _ in 0..DOUBTS {
        let hidden: Vec<Disagreement> =
            found.iter().filter(|one| one.cause == Cause::Hidden).cloned().collect();
        if hidden.is_empty() {
            return;
        }
        std::thread::sleep(PAUSE);
        let mut again = views(tree, &suspects(&hidden), Pass::Again, &mut Vec::new());
        again.firewall = known.firewall.clone();
        again.beyond = known.beyond.clone();
        let (stands, one_sided) = (compare::compare(&again), compare::one_sided(&again));
        same.retain(|socket| one_sided.contains(socket));
        found.retain(|one| {
            one.cause != Cause::Hidden || one.is_of(&same) && stands.iter().any(|now| now == one)
        });
    }
}

/// What has to be asked again.
fn suspects(found: &[Disagreement]) -> Request {
    let mut request = Request::default();
    for one in found {
        if one.seen == [View::Bind] || one.missing == [View::Bind] {
            request.bind.push(one.port);
        }
        if one.seen == [View::Connect] || one.missing == [View::Connect] {
            // Asked afresh: nothing is known to be open.
            request.asked.entry(one.address).or_default().ports.insert(one.port);
        }
    }
    request.bind.sort_unstable();
    request.bind.dedup();
    request
}

/// Takes all views once.
fn views(tree: &dyn Tree, request: &Request, pass: Pass, unseen: &mut Vec<String>) -> Views {
    let mut views = Views::default();
    match inventory::from_netlink() {
        Ok(sockets) => views.netlink = Some(sockets),
        Err(error) => unseen.push(format!("netlink view: {error}")),
    }
    match inventory::from_tables(tree) {
        Ok(sockets) => views.tables = Some(sockets),
        Err(why) => unseen.push(format!("/proc/net view: {why}")),
    }
    let Some(netlink) = views.netlink.as_deref() else { return views };
    let holders = owner::holders(tree, netlink);
    match holders.blind {
        None => views.held = Some(holders.by_inode.into_keys().collect()),
        Some(why) => unseen.push(format!("holders view: {why}")),
    }
    views.answers = answers(netlink, request, pass);
    if !request.bind.is_empty() {
        let taken = bind::look(&request.bind);
        unseen.extend(taken.unasked.clone());
        let listening: BTreeSet<u16> = netlink.iter().map(|socket| socket.port).collect();
        if taken.ports.iter().any(|(_, port)| !listening.contains(port)) {
            views.keepers = keepers();
            views.shows_inactive = inventory::shows_inactive();
        }
        views.taken = Some(taken);
    }
    views.kernel = KernelServices::read(tree);
    views
}

/// Answers of ports that are known to be open and of those that are to be asked.
fn answers(netlink: &[Socket], request: &Request, pass: Pass) -> Vec<Answer> {
    let limits = Limits { timeout: ANSWER_WITHIN, retries: 0, ..Limits::default() };
    let listening: BTreeSet<u16> = netlink.iter().map(|socket| socket.port).collect();
    let mut answers = Vec::new();
    for (&address, asked) in &request.asked {
        let known = |&port: &u16| Answer { address, port, state: State::Open(0) };
        answers.extend(asked.open.iter().map(known));
        let wanted = to_ask(asked, &listening, pass);
        let states = own::scan(address, &wanted, &limits);
        let told = wanted.iter().zip(states);
        answers.extend(told.map(|(&port, state)| Answer { address, port, state }));
    }
    answers
}

/// Which look it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// What connecting told is taken as it is, but where somebody listens and did not answer.
    First,
    /// What seemed to disagree is asked afresh.
    Again,
}

/// The ports of an address that are to be asked.
fn to_ask(asked: &Asked, listening: &BTreeSet<u16>, pass: Pass) -> Vec<u16> {
    let silent = asked.ports.difference(&asked.open).copied();
    let all = pass == Pass::Again && asked.ports.len() <= LISTENERS_ASKED_MAX;
    silent.filter(|port| all || listening.contains(port)).collect()
}

/// Most silent ports that are asked again although netlink shows no listener there.
const LISTENERS_ASKED_MAX: usize = DISAGREEMENTS_MAX;

/// Who keeps TCP ports without listening; the strongest of each port.
fn keepers() -> Option<BTreeMap<(Family, u16), Keeper>> {
    let mut kept = BTreeMap::new();
    for (address, port, state) in inventory::not_listening().ok()? {
        let keeper = match state {
            inventory::TCP_TIME_WAIT => Keeper::TimeWait,
            inventory::TCP_CLOSE | inventory::TCP_BOUND_INACTIVE => Keeper::BoundInactive,
            _ => Keeper::Connection,
        };
        let mut keep = |family| {
            let entry = kept.entry((family, port)).or_insert(keeper);
            // What lasts longest explains most.
            *entry = (*entry).max(keeper);
        };
        keep(Family::of(address));
        if address == IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED) {
            keep(Family::Four);
        }
    }
    Some(kept)
}

/// Listening sockets of other namespaces, by inode.
fn beyond(tree: &dyn Tree) -> BTreeMap<u32, String> {
    let (found, _) = namespaces::others(tree);
    found
        .iter()
        .flat_map(|one| one.sockets.iter().map(|socket| (socket.inode, one.label())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refused_is_asked_again_only_where_somebody_listens_or_views_disagreed() {
        let set = |ports: &[u16]| ports.iter().copied().collect::<BTreeSet<u16>>();
        let asked = |open: &[u16]| Asked { ports: set(&[1, 2, 3]), open: set(open) };
        let listening = set(&[2, 3, 9]);
        assert_eq!(to_ask(&asked(&[]), &listening, Pass::First), [2, 3]);
        assert_eq!(to_ask(&asked(&[3]), &listening, Pass::First), [2]);
        assert_eq!(to_ask(&asked(&[]), &set(&[]), Pass::First), [] as [u16; 0]);
        assert_eq!(to_ask(&asked(&[]), &set(&[]), Pass::Again), [1, 2, 3]);
    }
}
