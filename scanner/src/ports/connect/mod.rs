//! TCP connect scan: asks ports and keeps five outcomes apart.
//!
//! Open, closed (refused, and nothing else), filtered (with the reason), an error of this host (tried
//! again with fewer at a time), and not probed are never folded into one another, and their counts add
//! up to what was asked. This host's own addresses go through [`own`], others through [`remote`]. A
//! probe from the host itself passes no firewall: "open" then means that something answers.

use std::net::IpAddr;
use std::time::Duration;

use rustix::io::Errno;

use super::addresses::{OwnAddresses, unmapped};
use super::report::{Counts, HostReport, OwnerReport, PortReport, Report, ServiceReport};
use super::{Inventory, Listener, targets};

pub mod own;
pub mod remote;

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
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: Duration::from_millis(1_500), retries: 1, rate: 500 }
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

/// Why a port counts as filtered.
fn reason(errno: Errno) -> &'static str {
    match errno {
        Errno::TIMEDOUT => TIMEOUT,
        Errno::HOSTUNREACH => "host unreachable",
        Errno::NETUNREACH => "network unreachable",
        Errno::ACCESS | Errno::PERM => "forbidden by this host's firewall or policy",
        Errno::NOPROTOOPT => "protocol unreachable",
        Errno::CONNRESET => "reset after the answer",
        Errno::HOSTDOWN => "host down",
        Errno::NETDOWN => "network down",
        Errno::INVAL => "not a valid destination",
        _ => "another error",
    }
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

/// Scans; `inventory` is joined to own addresses. `started` and `elapsed_ms` are the caller's.
pub async fn scan(request: &Request, own: &OwnAddresses, inventory: Option<&Inventory>) -> Report {
    let everything: Vec<u16>;
    let common: Vec<u16>;
    let (own_ports, other_ports): (&[u16], &[u16]) = match &request.ports {
        Some(ports) => (ports, ports),
        None => {
            everything = (1..=u16::MAX).collect();
            common = targets::common().into_iter().map(|(port, _)| port).collect();
            (&everything, &common)
        }
    };
    let is_own: Vec<bool> =
        request.addresses.iter().map(|(address, _)| own.contains(*address)).collect();
    let others: Vec<IpAddr> = request
        .addresses
        .iter()
        .zip(&is_own)
        .filter(|(_, own)| !**own)
        .map(|((address, _), _)| *address)
        .collect();
    let mut elsewhere = remote::scan(&others, other_ports, &request.limits).await.into_iter();
    let mut hosts = Vec::with_capacity(request.addresses.len());
    for ((address, name), own) in request.addresses.iter().zip(is_own) {
        let (ports, states) = if own {
            (own_ports, own::scan(*address, own_ports, &request.limits))
        } else {
            (other_ports, elsewhere.next().unwrap_or_default())
        };
        let inventory = inventory.filter(|_| own);
        let mut host = host(*address, ports, &states, request.all, inventory);
        (host.name, host.own) = (name.clone(), own);
        hosts.push(host);
    }
    Report {
        schema: "wardmote.scan/1".to_string(),
        started: String::new(),
        elapsed_ms: 0.0,
        counts: Counts::sum(&hosts),
        incomplete: hosts.iter().flat_map(incomplete).collect(),
        hosts,
        truth: Vec::new(),
        unseen: Vec::new(),
        drift: None,
    }
}

fn incomplete(host: &HostReport) -> Vec<String> {
    let mut lines = Vec::new();
    if host.counts.local_error > 0 {
        let count = host.counts.local_error;
        lines.push(format!("{}: {count} ports could not be asked by this host", host.address));
    }
    if host.counts.not_probed > 0 {
        let count = host.counts.not_probed;
        lines.push(format!("{}: {count} ports not probed, the host never answered", host.address));
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
            reason: why(*state, listener),
            rtt_us: if let State::Open(took) = state { Some(*took) } else { None },
            source: "probe".to_string(),
            age_s: 0,
            service,
            tls: None,
            owner: listener.and_then(|one| one.owners.first()).map(OwnerReport::from),
        });
    }
    HostReport { address, name: None, own: false, ports: listed, counts }
}

fn why(state: State, listener: Option<&Listener>) -> Option<String> {
    let full = |one: &Listener| super::inventory::saturated(one.queue);
    match state {
        State::Filtered(TIMEOUT) if listener.is_some_and(full) => Some(SATURATED.to_string()),
        State::Filtered(reason) => Some(reason.to_string()),
        State::LocalError(number) => Some(std::io::Error::from_raw_os_error(number).to_string()),
        _ => None,
    }
}

/// The listener that answers on an own address: bound to it, or to a wildcard that includes it.
fn listener(inventory: &Inventory, address: IpAddr, port: u16) -> Option<&Listener> {
    let of_port =
        || inventory.listeners.iter().filter(move |one| one.protocol == "tcp" && one.port == port);
    let exact = of_port().find(|one| unmapped(one.address) == unmapped(address));
    exact.or_else(|| {
        of_port().find(|one| {
            let wild = one.address.is_unspecified();
            wild && (one.address.is_ipv4() == address.is_ipv4() || one.dual_stack)
        })
    })
}
