//! Ports and services: what listens, who holds it, from where it can be reached.
//!
//! [`look`] goes through the files of this folder in this order: [`inventory`] (the kernel's sockets),
//! [`addresses`], [`firewall`], [`owner`], [`service`] (one name per daemon), [`exposure`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use consensus::Exposure;
use parsers::tree::Tree;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::Spoken;
use crate::packages::Packages;

use self::addresses::OwnAddresses;
use self::exposure::{Firewall, Listening};
use self::firewall::{Ruleset, iptables, nft};
use self::inventory::{Socket, Transport};
use self::kernel::KernelServices;
use self::namespaces::Namespace;
use self::owner::Holders;
use self::truth::Disagreement;

pub mod addresses;
pub mod cache;
pub mod cgroup;
pub mod connect;
pub mod dial;
pub mod expect;
pub mod exposure;
pub mod firewall;
pub mod identify;
pub mod inventory;
pub mod kernel;
pub mod ledger;
pub mod namespaces;
pub mod netlink;
pub mod owner;
pub mod report;
pub mod service;
pub mod targets;
pub mod tls;
pub mod truth;

/// One listening socket, as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listener {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Bound address.
    pub address: std::net::IpAddr,
    /// Bound port.
    pub port: u16,
    /// Whether an IPv6 wildcard also accepts IPv4.
    pub dual_stack: bool,
    /// Owner uid of the socket.
    pub uid: u32,
    /// Socket inode.
    pub inode: u32,
    /// The kernel's name for the socket, never used twice until the next boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<u64>,
    /// Firewall mark of the socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
    /// Connections waiting to be accepted, and the most that may wait (TCP).
    pub queue: (u32, u32),
    /// Every process that holds the socket; empty where that could not be seen (see `owner_unknown`).
    pub owners: Vec<Owner>,
    /// Why the owners are unknown, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_unknown: Option<String>,
    /// Canonical service name (`ssh`, `http`, `postgresql` …), or the executable's name, or `port-N`.
    pub service: String,
    /// From where it can be reached.
    pub exposure: Exposure,
    /// What decided that.
    pub because: String,
    /// Network namespace, where it is not this process's own: `net:[4026532281] (web)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A process that holds a listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// Executable, as `/proc/PID/exe` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// The executable on disk was replaced or removed since the process started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// systemd unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Container, as its control group names it: `docker 0123456789ab`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Package and version that owns the executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Effective uid of the process.
    pub uid: u32,
}

/// Everything that listens, and what could not be told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Inventory {
    /// Sorted by protocol, port, address.
    pub listeners: Vec<Listener>,
    /// What listens in other network namespaces: containers and sandboxes. Their own firewalls are not
    /// read: the address alone says from where they can be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<Listener>,
    /// Where the views of what listens disagree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disagreements: Vec<Disagreement>,
    /// What could not be looked at, with the reason.
    pub incomplete: Vec<String>,
}

/// Most ports of one redirection that get an entry of their own.
const PUBLISHED_MAX: u16 = 64;

/// Looks at everything that listens on this host. `tree` is the live host's `/`; `spoken` holds what
/// `nft` and `iptables-save` said.
pub fn look(tree: &dyn Tree, spoken: &Spoken) -> Inventory {
    look_at(tree, spoken, Dump::take(tree))
}

/// The same of sockets that were dumped before: who holds them and what they are takes most of the time,
/// and may be found out while somebody connects to them; the dump may not, or it would show the queues
/// that the connections filled.
pub fn look_at(tree: &dyn Tree, spoken: &Spoken, dump: Dump) -> Inventory {
    look_with(tree, spoken, &[], dump)
}

/// The kernel's listening sockets at one moment.
#[derive(Clone, Debug)]
pub struct Dump {
    sockets: Vec<Socket>,
    incomplete: Vec<String>,
}

impl Dump {
    /// Takes it now. `tree` is the live host's `/`.
    pub fn take(tree: &dyn Tree) -> Self {
        let (sockets, incomplete) = inventory::sockets(tree);
        Self { sockets, incomplete }
    }
}

/// The same with other network namespaces and a comparison of the views that make no noise: netlink,
/// `/proc/net` and the holders. Ports are neither bound nor connected to: an audit runs by itself, and
/// shall neither take a port for a moment nor leave lines in the daemons' logs (`wardmote scan` of an
/// own address does both).
pub fn look_closely(tree: &dyn Tree, spoken: &Spoken) -> Inventory {
    let (namespaces, unseen) = namespaces::others(tree);
    let mut found = look_with(tree, spoken, &namespaces, Dump::take(tree));
    found.incomplete.extend(unseen);
    let truth = truth::look(tree, &truth::Request::default(), &|| spoken.clone());
    found.disagreements = truth.disagreements;
    // The inventory has said already whose descriptors could not be seen, and that netlink refused.
    let views = truth.unseen.into_iter().filter(|why| why.starts_with("/proc/net"));
    found.incomplete.extend(views);
    found
}

fn look_with(
    tree: &dyn Tree,
    spoken: &Spoken,
    namespaces: &[Namespace],
    Dump { sockets, mut incomplete }: Dump,
) -> Inventory {
    let (own, unread) = addresses::own(tree);
    incomplete.extend(unread);
    let (firewall, unread) = read_firewall(tree, spoken);
    incomplete.extend(unread);
    let beyond = namespaces.iter().flat_map(|one| one.sockets.iter().cloned());
    let all: Vec<Socket> = sockets.iter().cloned().chain(beyond).collect();
    let holders = owner::holders(tree, &all);
    let listening = Listening { here: Some(&sockets), elsewhere: namespaces };
    let mut listeners = listeners_among(tree, listening, &own, &firewall, &holders);
    let mut elsewhere = elsewhere(tree, namespaces, &holders);
    if let Some(blind) = &holders.blind {
        let hidden = listeners.iter().filter(|listener| listener.owners.is_empty()).count();
        if hidden > 0 {
            let sockets = if hidden == 1 { "socket" } else { "sockets" };
            incomplete.push(format!("owners of {hidden} listening {sockets}: {blind}"));
        }
    }
    if let Firewall::Unread(why) = &firewall
        && listeners.iter().any(|listener| listener.exposure != Exposure::Loopback)
    {
        incomplete.push(format!("firewall rules: not read ({why})"));
    }
    add_packages(tree, &mut listeners, &holders.contained);
    add_packages(tree, &mut elsewhere, &holders.contained);
    Inventory { listeners, elsewhere, disagreements: Vec::new(), incomplete }
}

/// What listens in other namespaces.
fn elsewhere(tree: &dyn Tree, namespaces: &[Namespace], holders: &Holders) -> Vec<Listener> {
    let firewall = Firewall::Unread("of another network namespace".to_string());
    let mut found = Vec::new();
    for one in namespaces {
        let inside = listeners(tree, &one.sockets, &one.addresses, &firewall, holders);
        let label = one.label();
        let named =
            inside.into_iter().map(|found| Listener { namespace: Some(label.clone()), ..found });
        found.extend(named);
    }
    found
}

fn listeners(
    tree: &dyn Tree,
    sockets: &[Socket],
    own: &OwnAddresses,
    firewall: &Firewall,
    holders: &Holders,
) -> Vec<Listener> {
    let listening = Listening { here: Some(sockets), elsewhere: &[] };
    listeners_among(tree, listening, own, firewall, holders)
}

fn listeners_among(
    tree: &dyn Tree,
    listening: Listening<'_>,
    own: &OwnAddresses,
    firewall: &Firewall,
    holders: &Holders,
) -> Vec<Listener> {
    let sockets = listening.here.unwrap_or_default();
    let activated = sockets.iter().any(|socket| {
        holders.by_inode.get(&socket.inode).is_some_and(|all| all.iter().any(|one| one.pid == 1))
    });
    let units = if activated { owner::socket_units(tree) } else { Vec::new() };
    let groups = match &holders.blind {
        Some(_) => cgroup::units(tree),
        None => Default::default(),
    };
    let orphans = sockets.iter().any(|socket| !holders.by_inode.contains_key(&socket.inode));
    let kernel = match orphans {
        true => KernelServices::read(tree),
        false => KernelServices::default(),
    };
    let mut listeners = Vec::with_capacity(sockets.len());
    for socket in sockets {
        let mut owners = holders.by_inode.get(&socket.inode).cloned().unwrap_or_default();
        for owner in owners.iter_mut().filter(|owner| owner.pid == 1) {
            if let Some(unit) = owner::socket_unit(&units, socket) {
                owner.unit = Some(unit.to_string());
            }
        }
        let unit = socket.cgroup.and_then(|id| groups.get(&id)).filter(|_| owners.is_empty());
        let owner_unknown = owners.is_empty().then(|| match (&holders.blind, unit) {
            (Some(blind), Some(unit)) => format!("{blind}; made in {unit}"),
            (Some(blind), None) => blind.clone(),
            (None, _) => match kernel.holder(socket.transport, socket.port) {
                Some(name) => format!("{KERNEL} ({name})"),
                None => BEYOND.to_string(),
            },
        });
        let (exposure, because) = exposure::judge_among(socket, own, firewall, listening);
        let unit = unit.map(String::as_str);
        listeners.push(Listener {
            protocol: socket.transport.name().to_string(),
            address: socket.address,
            port: socket.port,
            dual_stack: socket.dual_stack,
            uid: socket.uid,
            inode: socket.inode,
            cookie: socket.cookie,
            mark: socket.mark,
            queue: socket.queue,
            service: service::name(&owners, unit, socket.transport, socket.port),
            owners,
            owner_unknown,
            exposure,
            because,
            namespace: None,
        });
    }
    listeners.extend(published(listening, own, firewall));
    listeners
        .sort_by(|a, b| (&a.protocol, a.port, a.address).cmp(&(&b.protocol, b.port, b.address)));
    listeners
}

/// Why a socket has no owner although every process could be looked into.
pub const BEYOND: &str = "held by the kernel or in another namespace";
/// Why a socket of the kernel's own services has no owner; the service follows.
pub const KERNEL: &str = "the kernel itself listens";
/// Why a published port has no owner.
pub const FORWARDED: &str = "no socket: the firewall hands the port on";

/// Ports that a redirection takes although nothing listens on them: what Docker publishes without its
/// proxy, and forwards to other machines.
fn published(listening: Listening<'_>, own: &OwnAddresses, firewall: &Firewall) -> Vec<Listener> {
    let sockets = listening.here.unwrap_or_default();
    let Firewall::Known(rules) = firewall else { return Vec::new() };
    let mut taken: BTreeSet<(Transport, u16)> =
        sockets.iter().map(|socket| (socket.transport, socket.port)).collect();
    let mut found = Vec::new();
    for (transport, first, last) in rules.redirects.iter().flat_map(firewall::Redirect::ports) {
        for port in first..=last.min(first.saturating_add(PUBLISHED_MAX - 1)) {
            let address = std::net::Ipv6Addr::UNSPECIFIED.into();
            let (uid, inode, queue) = (0, 0, (0, 0));
            let socket = nowhere(transport, port);
            if exposure::redirection(&socket, own, firewall).is_none()
                || !taken.insert((transport, port))
            {
                continue;
            }
            let (exposure, because) = exposure::judge_among(&socket, own, firewall, listening);
            found.push(Listener {
                protocol: transport.name().to_string(),
                address,
                port,
                dual_stack: true,
                uid,
                inode,
                cookie: None,
                mark: None,
                queue,
                owners: Vec::new(),
                owner_unknown: Some(FORWARDED.to_string()),
                service: service::name(&[], None, transport, port),
                exposure,
                because,
                namespace: None,
            });
        }
    }
    found
}

/// What a port without a socket is judged as: open on every address.
fn nowhere(transport: Transport, port: u16) -> Socket {
    Socket {
        transport,
        port,
        address: std::net::Ipv6Addr::UNSPECIFIED.into(),
        dual_stack: true,
        uid: 0,
        inode: 0,
        queue: (0, 0),
        cgroup: None,
        cookie: None,
        mark: None,
    }
}

/// The host's packet filter from what its tools said, and what could not be read of it.
fn read_firewall(tree: &dyn Tree, spoken: &Spoken) -> (Firewall, Vec<String>) {
    let mut rules = Ruleset::default();
    let (mut known, mut unread) = (false, Vec::new());
    let texts = [
        (iptables::Program::Four, spoken.iptables_save.as_deref(), "iptables-save"),
        (iptables::Program::Six, spoken.ip6tables_save.as_deref(), "ip6tables-save"),
    ];
    let mut elsewhere: Vec<(&str, String)> = Vec::new();
    for (program, text, name) in texts {
        let Some(text) = text else { continue };
        match iptables::read(program, text) {
            Ok((more, malformed)) => {
                known = true;
                rules.merge(more);
                let family = if program == iptables::Program::Four { "ip" } else { "ip6" };
                elsewhere.extend(iptables::tables(text).into_iter().map(|table| (family, table)));
                if malformed > 0 {
                    unread.push(format!("{name}: {malformed} lines were not understood"));
                }
            }
            Err(why) => unread.push(format!("{name}: {why}")),
        }
    }
    if let Some(text) = &spoken.nft_json {
        let skip = |family: &str, table: &str| {
            elsewhere.iter().any(|(known, name)| *known == family && name == table)
        };
        match nft::read(text, skip) {
            Ok(more) => {
                known = true;
                rules.merge(more);
            }
            Err(why) => unread.push(format!("nft ruleset: {why}")),
        }
    }
    for (path, family) in
        [("/proc/net/ip_tables_names", "ip"), ("/proc/net/ip6_tables_names", "ip6")]
    {
        let names = tree.read(Path::new(path), 4096).unwrap_or_default();
        for name in String::from_utf8_lossy(&names).lines() {
            if known && !elsewhere.iter().any(|(of, table)| *of == family && table == name) {
                unread.push(format!("firewall: table {name} of {path} was not read"));
            }
        }
    }
    if known {
        rules.age_s = spoken.firewall_age_s;
        (Firewall::Known(rules), unread)
    } else {
        (Firewall::Unread(silent(spoken)), unread)
    }
}

/// Why no firewall tool said anything.
fn silent(spoken: &Spoken) -> String {
    let told: Vec<String> = spoken
        .unanswered
        .iter()
        .filter(|(name, _)| name.contains("nft") || name.contains("tables"))
        .map(|(name, why)| crate::redact::line(&format!("{name}: {why}")))
        .collect();
    if told.is_empty() { "needs CAP_NET_ADMIN".to_string() } else { told.join("; ") }
}

fn add_packages(tree: &dyn Tree, listeners: &mut [Listener], contained: &BTreeSet<u32>) {
    let here = |owner: &&mut Owner| !contained.contains(&owner.pid);
    let wanted: BTreeSet<PathBuf> = listeners
        .iter_mut()
        .flat_map(|listener| listener.owners.iter_mut().filter(here))
        .filter_map(|owner| owner.exe.as_ref().map(PathBuf::from))
        .collect();
    let wanted: Vec<PathBuf> = wanted.into_iter().collect();
    let packages = Packages::load(tree, &wanted);
    for owner in listeners.iter_mut().flat_map(|listener| listener.owners.iter_mut().filter(here)) {
        let exe = owner.exe.as_ref().map(PathBuf::from);
        owner.package = exe.and_then(|exe| packages.get(&exe).cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RootedTree;
    use parsers::tree::MemoryTree;

    #[test]
    fn a_listener_of_this_test_is_found_with_this_process_as_owner() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let tree = RootedTree::open(Path::new("/")).unwrap();
        let found = look(&tree, &Spoken::default());
        let ours = found.listeners.iter().find(|one| one.port == port).unwrap();
        assert_eq!((ours.protocol.as_str(), ours.exposure), ("tcp", Exposure::Loopback));
        let owner = ours.owners.iter().find(|owner| owner.pid == std::process::id()).unwrap();
        let exe = std::env::current_exe().unwrap();
        assert_eq!(owner.exe.as_deref(), exe.to_str());
        assert!(found.listeners.is_sorted_by_key(|one| (
            one.protocol.clone(),
            one.port,
            one.address
        )));
    }

    #[test]
    fn a_listener_of_multipath_tcp_is_shown_with_its_holder() {
        use rustix::net::{AddressFamily, SocketType, ipproto};
        let made =
            rustix::net::socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::MPTCP));
        let Ok(socket) = made else {
            eprintln!("SKIPPED: this kernel has no MPTCP");
            return;
        };
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        rustix::net::bind(&socket, &any).unwrap();
        rustix::net::listen(&socket, 5).unwrap();
        let at =
            std::net::SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap();
        let tree = RootedTree::open(Path::new("/")).unwrap();
        let found = look(&tree, &Spoken::default());
        // Its first subflow is a TCP socket of the same inode.
        let ours: Vec<&Listener> =
            found.listeners.iter().filter(|one| one.port == at.port()).collect();
        assert_eq!((ours.len(), ours[0].protocol.as_str()), (1, "tcp"), "{ours:?}");
        assert!(ours[0].owners.iter().any(|owner| owner.pid == std::process::id()), "{ours:?}");
    }

    #[test]
    fn ports_that_docker_publishes_without_a_listener_are_listed() {
        let spoken = Spoken {
            iptables_save: Some(include_bytes!("../../testdata/ports/iptables.txt").to_vec()),
            ..Spoken::default()
        };
        let (firewall, unread) = read_firewall(&MemoryTree::new(), &spoken);
        assert!(unread.is_empty());
        let own = OwnAddresses::known(&[("203.0.113.5", "eth0"), ("2001:db8::5", "eth0")]);
        let found = listeners(&MemoryTree::new(), &[], &own, &firewall, &Holders::default());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].port, found[0].exposure), (8080, Exposure::World));
        assert!(found[0].because.contains("172.17.0.2:80"), "{}", found[0].because);
        assert_eq!(found[0].owner_unknown.as_deref(), Some(FORWARDED));
    }

    #[test]
    fn what_could_not_be_read_of_the_firewall_is_told() {
        let tree = MemoryTree::new();
        let (firewall, _) = read_firewall(&tree, &Spoken::default());
        assert_eq!(firewall, Firewall::Unread("needs CAP_NET_ADMIN".into()));
        let asked = Spoken {
            unanswered: vec![("nft".into(), "not installed".into()), ("getent".into(), "x".into())],
            ..Spoken::default()
        };
        assert_eq!(read_firewall(&tree, &asked).0, Firewall::Unread("nft: not installed".into()));
        let broken = Spoken { nft_json: Some(b"{".to_vec()), ..Spoken::default() };
        let (firewall, unread) = read_firewall(&tree, &broken);
        assert!(matches!(firewall, Firewall::Unread(_)) && unread.len() == 1);
        let legacy = MemoryTree::new().file("/proc/net/ip_tables_names", "filter\n");
        let empty = Spoken { nft_json: Some(b"{\"nftables\":[]}".to_vec()), ..Spoken::default() };
        let (firewall, unread) = read_firewall(&legacy, &empty);
        assert!(matches!(firewall, Firewall::Known(_)));
        assert!(unread[0].contains("table filter"), "{unread:?}");
    }

    #[test]
    fn tables_of_iptables_over_nftables_are_read_once() {
        let text = br#"{"nftables":[
            {"chain":{"family":"ip","table":"filter","name":"INPUT","type":"filter","hook":"input","policy":"accept"}},
            {"rule":{"family":"ip","table":"filter","chain":"INPUT","handle":1,"expr":[{"xt":{"type":"target","name":"X"}}]}}]}"#;
        let iptables =
            b"*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n";
        let spoken = Spoken {
            nft_json: Some(text.to_vec()),
            iptables_save: Some(iptables.to_vec()),
            ..Spoken::default()
        };
        let (Firewall::Known(rules), _) = read_firewall(&MemoryTree::new(), &spoken) else {
            panic!("read");
        };
        assert_eq!(rules.bases.len(), 1);
    }
}
