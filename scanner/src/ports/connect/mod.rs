//! TCP connect scan: asks ports and keeps five outcomes apart.
//!
//! Open, closed (refused, and nothing else), filtered (with the reason), an error of this host (tried
//! again with fewer at a time), and not probed are never folded into one another, and their counts add
//! up to what was asked. This host's own addresses go through [`own`], others through [`remote`]. A
//! probe from the host itself passes no firewall: "open" then means that something answers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use self::own::Manner;
use super::addresses::{OwnAddresses, unmapped};
use super::report::{Counts, HostReport, OwnerReport, PortReport, Report, ServiceReport};
use super::{Inventory, Listener, targets};

mod ask;
pub mod descriptors;
pub mod kernel;
pub mod order;
pub mod own;
pub mod pace;
pub mod remote;
pub mod resume;
mod source;
mod watch;

pub use watch::Watch;

/// Most (address, port) pairs of one scan.
pub const PROBES_MAX: usize = 8_000_000;

/// How fast and how patiently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wait for one answer.
    pub timeout: Duration,
    /// How often a silent port is asked again.
    pub retries: u32,
    /// Connections a second to other hosts.
    pub rate: u32,
    /// Longest time for one other host, if there is one.
    pub host_timeout: Option<Duration>,
    /// Decides the order in which other hosts' ports are asked.
    pub seed: u32,
}

impl Default for Limits {
    fn default() -> Self {
        let timeout = Duration::from_millis(1_500);
        Self { timeout, retries: 1, rate: 500, host_timeout: None, seed: 0 }
    }
}

/// What came of one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Something accepted, after so many microseconds.
    Open(u32),
    /// Refused.
    Closed,
    /// No answer, or an answer that is neither: the reason.
    Filtered(&'static str),
    /// This host could not ask: the error number.
    LocalError(i32),
    /// Not asked.
    NotProbed,
}

/// The reason of a port that did not answer in time.
pub const TIMEOUT: &str = "no answer";
/// The reason of a port that listens but does not accept.
pub const SATURATED: &str = "listening, accept queue full";

impl State {
    fn open(took: Duration) -> Self {
        Self::Open(u32::try_from(took.as_micros()).unwrap_or(u32::MAX))
    }

    /// The lower-case name used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Closed => "closed",
            Self::Filtered(_) => "filtered",
            Self::LocalError(_) => "local_error",
            Self::NotProbed => "not_probed",
        }
    }
}

/// Errors that speak of this host and not of the other.
fn is_local(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ADDRNOTAVAIL
            | Errno::ADDRINUSE
            | Errno::MFILE
            | Errno::NFILE
            | Errno::NOBUFS
            | Errno::NOMEM
            | Errno::AGAIN
            | Errno::INTR
    )
}

/// Errors that speak of the way to the other host, and the reason that each is.
const REASONS: [(Errno, &str); 10] = [
    (Errno::TIMEDOUT, TIMEOUT),
    (Errno::HOSTUNREACH, "host unreachable"),
    (Errno::NETUNREACH, "network unreachable"),
    (Errno::ACCESS, "forbidden by this host's firewall or policy"),
    (Errno::PERM, "forbidden by this host's firewall or policy"),
    (Errno::NOPROTOOPT, "protocol unreachable"),
    (Errno::CONNRESET, "reset after the answer"),
    (Errno::HOSTDOWN, "host down"),
    (Errno::NETDOWN, "network down"),
    (Errno::INVAL, "not a valid destination"),
];
const OTHER_REASON: &str = "another error";

/// Why a port counts as filtered.
fn reason(errno: Errno) -> &'static str {
    let known = REASONS.iter().find(|(one, _)| *one == errno);
    known.map_or(OTHER_REASON, |(_, reason)| reason)
}

/// A reason that was written down, if it is one of ours.
fn known_reason(text: &str) -> Option<&'static str> {
    let all = REASONS.iter().map(|(_, reason)| *reason);
    all.chain([SATURATED, OTHER_REASON]).find(|reason| *reason == text)
}

/// What is to be scanned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Addresses, with the name that the user gave, if any.
    pub addresses: Vec<(IpAddr, Option<String>)>,
    /// Ports; `None` is all for own addresses and the common ones for others.
    pub ports: Option<Vec<u16>>,
    /// List ports that are not open too.
    pub all: bool,
    /// How.
    pub limits: Limits,
}

/// How many ports will be asked, and of how many hosts; the caller refuses more than [`PROBES_MAX`].
pub fn probes(request: &Request, own: &OwnAddresses) -> usize {
    request
        .addresses
        .iter()
        .map(|(address, _)| match &request.ports {
            Some(ports) => ports.len(),
            None if own.contains(*address) => usize::from(u16::MAX),
            None => targets::common().len(),
        })
        .sum()
}

/// What came of one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Whether it is this host's own.
    pub own: bool,
    /// In the order of [`ports`].
    pub states: Vec<State>,
    /// Why some of its ports were not probed.
    pub gave_up: Option<String>,
}

/// What a scan may be given besides the request.
#[derive(Debug, Default)]
pub struct Beside {
    /// Who looks on, and may stop it.
    pub watch: Arc<Watch>,
    /// Interfaces of link-local addresses (RFC 4007).
    pub zones: BTreeMap<Ipv6Addr, u32>,
    /// What an earlier, interrupted scan of the same request found, by address; where the length is that
    /// of [`ports`], only what is not probed there is asked.
    pub earlier: BTreeMap<IpAddr, Vec<State>>,
}

/// The ports that an address is asked for.
pub fn ports(request: &Request, own: bool) -> Vec<u16> {
    match &request.ports {
        Some(ports) => ports.clone(),
        None if own => (1..=u16::MAX).collect(),
        None => targets::common().into_iter().map(|(port, _)| port).collect(),
    }
}

/// Scans; `inventory` is joined to own addresses. `started` and `elapsed_ms` are the caller's.
pub async fn scan(request: &Request, own: &OwnAddresses, inventory: Option<&Inventory>) -> Report {
    let asked = ask(request, own, &Beside::default()).await;
    report(request, &asked, inventory)
}

/// The first half of a scan: asks, in the order of the request's addresses.
pub async fn ask(request: &Request, own: &OwnAddresses, beside: &Beside) -> Vec<Asked> {
    let (own_ports, other_ports) = (ports(request, true), ports(request, false));
    let begun = |address: IpAddr, ports: &[u16]| match beside.earlier.get(&address) {
        Some(states) if states.len() == ports.len() => states.clone(),
        _ => vec![State::NotProbed; ports.len()],
    };
    let zone = |address: IpAddr| match address {
        IpAddr::V6(six) => beside.zones.get(&six).copied().unwrap_or(0),
        IpAddr::V4(_) => 0,
    };
    let all: Vec<(IpAddr, bool)> = request
        .addresses
        .iter()
        .map(|(address, _)| (*address, own.contains(*address) && zone(*address) == 0))
        .collect();
    let elsewhere = all.iter().filter(|(_, own)| !own).map(|(address, _)| remote::Target {
        address: *address,
        zone: zone(*address),
        states: begun(*address, &other_ports),
    });
    let (limits, watch) = (&request.limits, &*beside.watch);
    let outcomes = remote::run(elsewhere.collect(), &other_ports, limits, watch).await;
    let mut outcomes = outcomes.into_iter();
    let one = |(address, own): (IpAddr, bool)| {
        if own {
            let mut states = begun(address, &own_ports);
            own::scan_rest(address, &own_ports, limits, Manner::default(), watch, &mut states);
            return Asked { own, states, gave_up: None };
        }
        let outcome = outcomes.next().unwrap_or_default();
        Asked { own, states: outcome.states, gave_up: outcome.gave_up }
    };
    all.into_iter().map(one).collect()
}

/// The second half: what was found, with what the inventory knows of own addresses.
pub fn report(request: &Request, asked: &[Asked], inventory: Option<&Inventory>) -> Report {
    let (own_ports, other_ports) = (ports(request, true), ports(request, false));
    let mut hosts = Vec::with_capacity(asked.len());
    let mut incomplete = Vec::new();
    for ((address, name), asked) in request.addresses.iter().zip(asked) {
        let ports = if asked.own { &own_ports } else { &other_ports };
        let inventory = inventory.filter(|_| asked.own);
        let mut host = host(*address, ports, &asked.states, request.all, inventory);
        (host.name, host.own) = (name.clone(), asked.own);
        incomplete.extend(unexamined(&host, asked));
        hosts.push(host);
    }
    Report {
        schema: "wardmote.scan/1".to_string(),
        started: String::new(),
        elapsed_ms: 0.0,
        counts: Counts::sum(&hosts),
        seed: asked.iter().any(|one| !one.own).then_some(request.limits.seed),
        incomplete,
        hosts,
        truth: Vec::new(),
        unseen: Vec::new(),
        drift: None,
    }
}

fn unexamined(host: &HostReport, asked: &Asked) -> Vec<String> {
    let mut lines = Vec::new();
    if host.counts.local_error > 0 {
        let count = host.counts.local_error;
        lines.push(format!("{}: {count} ports could not be asked by this host", host.address));
    }
    if let Some(why) = &asked.gave_up {
        lines.push(format!("{}: {why}", host.address));
    } else if host.counts.not_probed > 0 {
        lines.push(format!("{}: {} ports not probed", host.address, host.counts.not_probed));
    }
    lines
}

/// One host's report from the states of its ports.
fn host(
    address: IpAddr,
    ports: &[u16],
    states: &[State],
    all: bool,
    inventory: Option<&Inventory>,
) -> HostReport {
    let common = targets::common();
    let mut counts = Counts::default();
    let mut listed = Vec::new();
    for (port, state) in ports.iter().zip(states) {
        counts.add(*state);
        if !all && !matches!(state, State::Open(_)) {
            continue;
        }
        let listener = inventory.and_then(|inventory| listener(inventory, address, *port));
        let by_port = common.iter().find(|(common, _)| common == port);
        let service = match (listener, by_port) {
            (Some(listener), _) if !listener.service.starts_with("port-") => {
                let confidence = if listener.owners.is_empty() { 0.3 } else { 0.9 };
                let name = listener.service.clone();
                Some(ServiceReport { name, confidence, ..ServiceReport::default() })
            }
            (_, Some((_, name))) if matches!(state, State::Open(_)) => {
                let name = (*name).to_string();
                Some(ServiceReport { name, confidence: 0.3, ..ServiceReport::default() })
            }
            _ => None,
        };
        listed.push(PortReport {
            port: *port,
            state: state.name().to_string(),
            reason: why(*state),
            rtt_us: if let State::Open(took) = state { Some(*took) } else { None },
            source: "probe".to_string(),
            age_s: 0,
            unidentified: None,
            service,
            tls: None,
            owner: listener.and_then(|one| one.owners.first()).map(OwnerReport::from),
        });
    }
    HostReport { address, name: None, own: false, ports: listed, counts }
}

fn why(state: State) -> Option<String> {
    match state {
        State::Filtered(reason) => Some(reason.to_string()),
        State::LocalError(number) => Some(std::io::Error::from_raw_os_error(number).to_string()),
        _ => None,
    }
}

/// The listener that answers on an own address: bound to it, or to a wildcard that includes it.
pub fn listener(inventory: &Inventory, address: IpAddr, port: u16) -> Option<&Listener> {
    let of_port =
        || inventory.listeners.iter().filter(move |one| one.protocol == "tcp" && one.port == port);
    let exact = of_port().find(|one| unmapped(one.address) == unmapped(address));
    exact.or_else(|| {
        of_port().find(|one| {
            // `::ffff:0.0.0.0` is every address of IPv4.
            let bound = unmapped(one.address);
            let family = bound.is_ipv4() == unmapped(address).is_ipv4();
            bound.is_unspecified() && (family || one.dual_stack)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn state() -> impl Strategy<Value = State> {
        prop_oneof![
            (0_u32..9).prop_map(State::Open),
            Just(State::Closed),
            Just(State::Filtered(TIMEOUT)),
            Just(State::LocalError(24)),
            Just(State::NotProbed),
        ]
    }

    #[test]
    fn the_mapped_wildcard_listens_on_every_address_of_ipv4() {
        let held = std::net::TcpListener::bind("[::ffff:0.0.0.0]:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let tree = crate::RootedTree::open(std::path::Path::new("/")).unwrap();
        let inventory = crate::ports::look(&tree, &crate::facts::Spoken::default());
        let found = |address: &str| listener(&inventory, address.parse().unwrap(), port);
        assert!(found("127.0.0.1").is_some() && found("::ffff:127.0.0.9").is_some());
        assert!(found("::1").is_none());
    }

    proptest! {
        #[test]
        fn counts_add_up_to_what_was_asked_whatever_came_of_it(
            hosts in proptest::collection::vec(
                (proptest::collection::vec(state(), 40), any::<bool>()), 1..5),
            all: bool,
        ) {
            let address = |nth: usize| IpAddr::from([192, 0, 2, nth as u8]);
            let request = Request {
                addresses: (0..hosts.len()).map(|nth| (address(nth), None)).collect(),
                ports: Some((100..140).collect()),
                all,
                limits: Limits::default(),
            };
            let asked: Vec<Asked> = hosts
                .into_iter()
                .map(|(states, own)| Asked { own, states, gave_up: None })
                .collect();
            let report = report(&request, &asked, None);
            let total = |one: &Counts| {
                one.open + one.closed + one.filtered + one.local_error + one.not_probed
            };
            prop_assert_eq!(total(&report.counts), 40 * asked.len() as u64);
            for (host, asked) in report.hosts.iter().zip(&asked) {
                prop_assert_eq!(total(&host.counts), 40);
                let named = |name: &str| asked.states.iter().filter(|one| one.name() == name).count();
                prop_assert_eq!(host.counts.open, named("open") as u64);
                prop_assert_eq!(host.counts.closed, named("closed") as u64);
                prop_assert_eq!(host.ports.len(), if all { 40 } else { named("open") });
                let unseen = named("local_error") + named("not_probed") > 0;
                let prefix = format!("{}: ", host.address);
                let told = report.incomplete.iter().any(|line| line.starts_with(&prefix));
                prop_assert_eq!(unseen, told);
            }
        }
    }
}
