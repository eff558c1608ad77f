//! What is declared to listen, compared with what a scan found.
//!
//! Pure. The identity of a listener is its protocol, address, port and who it belongs to: the systemd
//! unit, else the package, else the executable. Never a process id: a restart is no drift. UDP has no
//! answer to a probe and its clients' sockets look like listeners, so that only declared UDP ports are
//! looked for, in this host's inventory.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use parsers::config::yaml::{self, DocumentError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::addresses::unmapped;
use super::report::{HostReport, Report};
use super::{Inventory, KERNEL, Listener, Owner};

/// Most declared listeners.
pub const EXPECTED_MAX: usize = 100_000;
/// Most lines of drift.
pub const DRIFT_MAX: usize = 10_000;

/// The declaration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Every listener that shall be there, and no other.
    #[serde(default)]
    pub listeners: Vec<Expectation>,
}

/// One declared listener.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The address that is scanned.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// `tcp` or `udp`.
    #[serde(default)]
    pub protocol: Protocol,
    /// The address that the service is bound to, on this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<IpAddr>,
    /// Unit that holds it, on this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Package of the executable that holds it, without its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Executable that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
}

/// Transport of a declared listener.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// How a listener differs from its declaration.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is there, and not declared.
    Unexpected,
    /// It is declared, and not there.
    Missing,
    /// Somebody else holds it.
    Owner,
    /// It is bound to another address.
    Bound,
}

impl Change {
    /// The name used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unexpected => "unexpected",
            Self::Missing => "missing",
            Self::Owner => "other owner",
            Self::Bound => "other address",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Drift {
    /// What kind.
    pub change: Change,
    /// Transport.
    pub protocol: Protocol,
    /// Scanned address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// What is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

/// What the comparison told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Differences, sorted.
    pub drift: Vec<Drift>,
    /// Declarations that could not be compared.
    pub incomplete: Vec<String>,
}

/// Reads a declaration.
///
/// # Errors
/// It is not YAML, has other keys, or declares more than [`EXPECTED_MAX`].
pub fn read(bytes: &[u8]) -> Result<Expected, DocumentError> {
    let expected: Expected = yaml::from_slice(bytes)?;
    if expected.listeners.len() > EXPECTED_MAX {
        let message = format!("more than {EXPECTED_MAX} listeners");
        return Err(DocumentError { line: 0, column: 0, message });
    }
    Ok(expected)
}

/// Something that listens, as it was found.
struct Found<'a> {
    protocol: Protocol,
    address: IpAddr,
    port: u16,
    listener: Option<&'a Listener>,
}

/// Where something listens.
type Place = (Protocol, IpAddr, u16);

impl Found<'_> {
    fn place(&self) -> Place {
        (self.protocol, self.address, self.port)
    }
}

/// Compares. `asked` says which ports of a host were asked; a declaration of one that was not is said
/// under `incomplete`.
pub fn compare(
    expected: &Expected,
    report: &Report,
    inventory: Option<&Inventory>,
    asked: impl Fn(&HostReport, u16) -> bool,
) -> Compared {
    let mut compared = Compared::default();
    let found = found(report, inventory, &asked);
    let hosts: HashMap<IpAddr, &HostReport> =
        report.hosts.iter().map(|host| (host.address, host)).collect();
    let declared: HashSet<Place> = expected.listeners.iter().map(Expectation::place).collect();
    let mut by_place: HashMap<Place, Vec<&Found<'_>>> = HashMap::new();
    for one in &found {
        by_place.entry(one.place()).or_default().push(one);
    }
    for one in found.iter().filter(|one| one.protocol == Protocol::Tcp) {
        if !declared.contains(&one.place()) {
            compared.drift.push(Drift {
                change: Change::Unexpected,
                protocol: one.protocol,
                address: one.address,
                port: one.port,
                expected: None,
                found: one.listener.map(holder),
            });
        }
    }
    for entry in &expected.listeners {
        let place = SocketAddr::new(entry.address, entry.port);
        let host = hosts.get(&entry.address).copied();
        match host {
            Some(host) if entry.protocol == Protocol::Udp && !host.own => {
                compared
                    .incomplete
                    .push(format!("expected udp {place}: UDP is seen on this host only"));
            }
            Some(host) if asked(host, entry.port) || entry.protocol == Protocol::Udp => {
                let of_entry = by_place.get(&entry.place()).map_or(&[][..], Vec::as_slice);
                judge(entry, of_entry, &mut compared);
            }
            _ => compared
                .incomplete
                .push(format!("expected {} {place}: was not asked", entry.protocol.name())),
        }
    }
    compared.drift.sort();
    compared.drift.dedup();
    if compared.drift.len() > DRIFT_MAX {
        let more = compared.drift.len() - DRIFT_MAX;
        compared.drift.truncate(DRIFT_MAX);
        compared.incomplete.push(format!("{more} more differences from what is expected"));
    }
    if compared.incomplete.len() > DRIFT_MAX {
        let more = compared.incomplete.len() - DRIFT_MAX;
        compared.incomplete.truncate(DRIFT_MAX);
        compared.incomplete.push(format!("{more} more declarations that could not be compared"));
    }
    compared
}

/// What answered, and on this host what listens although it does not answer.
fn found<'a>(
    report: &Report,
    inventory: Option<&'a Inventory>,
    asked: &impl Fn(&HostReport, u16) -> bool,
) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    for host in &report.hosts {
        let address = host.address;
        let listeners = inventory.filter(|_| host.own).map_or(&[][..], |all| &all.listeners);
        for port in host.ports.iter().filter(|port| port.state == "open") {
            let tcp = |one: &&Listener| one.protocol == "tcp" && answers(one, address, port.port);
            // The nearest binding is the one that answers.
            let listener =
                listeners.iter().filter(tcp).min_by_key(|one| one.address.is_unspecified());
            found.push(Found { protocol: Protocol::Tcp, address, port: port.port, listener });
        }
        for listener in listeners.iter().filter(|one| answers(one, address, one.port)) {
            let (protocol, port) = match listener.protocol.as_str() {
                "udp" => (Protocol::Udp, listener.port),
                _ => (Protocol::Tcp, listener.port),
            };
            // What the firewall alone publishes answers or does not.
            let silent = protocol == Protocol::Udp || asked(host, port) && listener.inode != 0;
            let known = |one: &Found<'_>| {
                (one.protocol, one.address, one.port) == (protocol, address, port)
            };
            if silent && (protocol == Protocol::Udp || !found.iter().any(known)) {
                found.push(Found { protocol, address, port, listener: Some(listener) });
            }
        }
    }
    found
}

/// Whether a listener is there for an address.
fn answers(listener: &Listener, address: IpAddr, port: u16) -> bool {
    let (bound, address) = (unmapped(listener.address), unmapped(address));
    listener.port == port
        && (bound == address
            || bound.is_unspecified()
                && (bound.is_ipv4() == address.is_ipv4() || listener.dual_stack))
}

fn judge(entry: &Expectation, found: &[&Found<'_>], compared: &mut Compared) {
    let drift = |change, expected: String, found: Option<String>| Drift {
        change,
        protocol: entry.protocol,
        address: entry.address,
        port: entry.port,
        expected: Some(expected).filter(|text| !text.is_empty()),
        found,
    };
    if found.is_empty() {
        compared.drift.push(drift(Change::Missing, entry.holder(), None));
        return;
    }
    let listeners: Vec<&Listener> = found.iter().filter_map(|one| one.listener).collect();
    if listeners.is_empty() {
        // Another host, or a port that is handed on: nobody is seen behind it.
        return;
    }
    if let Some(bound) = entry.bound
        && !listeners.iter().any(|one| one.address == bound)
    {
        let now = listeners[0].address.to_string();
        compared.drift.push(drift(Change::Bound, bound.to_string(), Some(now)));
    }
    if entry.holder().is_empty() {
        return;
    }
    let unseen = listeners.iter().find_map(|one| one.owner_unknown.as_ref());
    if listeners.iter().any(|one| one.owners.iter().any(|owner| entry.is_held_by(owner))) {
        return;
    }
    match unseen.filter(|why| !why.starts_with(KERNEL) && *why != super::BEYOND) {
        Some(why) => {
            let place = SocketAddr::new(entry.address, entry.port);
            compared.incomplete.push(format!("expected owner of {place}: {why}"));
        }
        None => {
            compared.drift.push(drift(Change::Owner, entry.holder(), Some(holder(listeners[0]))));
        }
    }
}

impl Expectation {
    /// What a found listener is declared as.
    fn of(protocol: Protocol, address: IpAddr, port: u16, listener: Option<&Listener>) -> Self {
        let mut entry =
            Self { address, port, protocol, bound: None, unit: None, package: None, exe: None };
        let Some(listener) = listener else { return entry };
        entry.bound = Some(listener.address);
        let Some(owner) = listener.owners.first() else { return entry };
        let exe = owner.exe.clone().filter(|exe| exe.starts_with('/'));
        if let Some(unit) = owner.unit.as_deref().filter(|unit| is_lasting(unit)) {
            entry.unit = Some(unit.to_string());
        } else if let Some(package) = owner.package.as_deref().map(package_name) {
            entry.package = Some(package.to_string());
        } else {
            entry.exe = exe;
        }
        entry
    }

    fn place(&self) -> Place {
        (self.protocol, self.address, self.port)
    }

    fn holder(&self) -> String {
        let parts = [&self.unit, &self.package, &self.exe].into_iter().flatten();
        parts.cloned().collect::<Vec<_>>().join(", ")
    }

    fn is_held_by(&self, owner: &Owner) -> bool {
        let package = owner.package.as_deref().map(package_name);
        self.unit.as_ref().is_none_or(|unit| owner.unit.as_ref() == Some(unit))
            && self.package.as_deref().is_none_or(|name| package == Some(name))
            && self.exe.as_ref().is_none_or(|exe| owner.exe.as_ref() == Some(exe))
    }
}

/// Whether a unit has the same name after the next start: not a login session's, or a transient one.
fn is_lasting(unit: &str) -> bool {
    let lasting = unit.ends_with(".service") || unit.ends_with(".socket");
    lasting && !unit.starts_with("user@") && !unit.starts_with("run-")
}

/// `openssh-server` of `openssh-server 1:9.2p1-2`.
fn package_name(package: &str) -> &str {
    package.split(' ').next().unwrap_or(package)
}

/// Who holds a listener, in words.
fn holder(listener: &Listener) -> String {
    let Some(owner) = listener.owners.first() else {
        return listener.owner_unknown.clone().unwrap_or_default();
    };
    let parts = [&owner.unit, &owner.package, &owner.exe].into_iter().flatten();
    parts.cloned().collect::<Vec<_>>().join(", ")
}

/// A scan as the declaration of what it found: what `--format expect` prints.
pub fn write(report: &Report, inventory: Option<&Inventory>) -> String {
    let mut entries: Vec<Expectation> = found(report, inventory, &|_, _| false)
        .iter()
        .filter(|one| one.protocol == Protocol::Tcp)
        .map(|one| Expectation::of(one.protocol, one.address, one.port, one.listener))
        .collect();
    entries.sort();
    let mut out = String::from(
        "# What a scan found, as what the next one shall find: wardmote scan TARGET --expect THIS_FILE\n\
         listeners:",
    );
    if entries.is_empty() {
        out.push_str(" []");
    }
    out.push('\n');
    for entry in &entries {
        // JSON is YAML, and serde_json quotes whatever a unit may be called.
        let line = serde_json::to_string(entry).unwrap_or_default();
        out.push_str(&format!("  - {line}\n"));
    }
    out
}

#[cfg(test)]
#[path = "expect_tests.rs"]
mod tests;
