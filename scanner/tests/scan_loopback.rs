//! The connect scan of own addresses against listeners that these tests made, and against nmap.

// The helpers below are tests too.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::time::Duration;

use parsers::tree::MemoryTree;
use scanner::ports::addresses::OwnAddresses;
use scanner::ports::connect::{Limits, Request, State, own, remote, scan};
use scanner::ports::inventory::{self, Transport};

/// A loopback address that only this test process uses.
fn private_address(salt: u8) -> IpAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 100 + salt, high, low.max(2)))
}

/// Listeners on ports spread over the whole range, every other one in the ephemeral part.
fn listeners(address: IpAddr, count: usize) -> Vec<TcpListener> {
    let mut state = 0x2545_f491_u32 ^ std::process::id();
    let mut made = Vec::new();
    while made.len() < count {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let low = if made.len() % 2 == 0 { 1024 } else { 32_768 };
        let port = u16::try_from(low + state % 28_000).unwrap();
        made.extend(TcpListener::bind((address, port)));
    }
    made
}

fn ports_of(listeners: &[TcpListener]) -> BTreeSet<u16> {
    listeners.iter().map(|one| one.local_addr().unwrap().port()).collect()
}

/// What the kernel says listens there, by whomever.
fn kernel(address: IpAddr) -> BTreeSet<u16> {
    let (sockets, incomplete) = inventory::sockets(&MemoryTree::new());
    assert!(incomplete.is_empty(), "{incomplete:?}");
    sockets
        .into_iter()
        .filter(|one| one.transport == Transport::Tcp)
        .filter(|one| one.address == address || one.address.is_unspecified())
        .map(|one| one.port)
        .collect()
}

fn open(ports: &[u16], states: &[State]) -> BTreeSet<u16> {
    let is_open = |state: &State| matches!(state, State::Open(_));
    ports.iter().zip(states).filter(|(_, state)| is_open(state)).map(|(port, _)| *port).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn exactly_ours(address: IpAddr) {
    let made = listeners(address, 200);
    let ours = ports_of(&made);
    let all: Vec<u16> = (1..=u16::MAX).collect();
    for round in 0..2 {
        let before = kernel(address);
        let states = own::scan(address, &all, &Limits::default());
        let after = kernel(address);
        let found = open(&all, &states);
        let missed: Vec<_> = ours.difference(&found).collect();
        assert!(missed.is_empty(), "round {round}: missed {missed:?}");
        // Others on this machine may listen as well; the kernel knows them.
        let phantoms: Vec<_> =
            found.iter().filter(|port| !before.contains(port) && !after.contains(port)).collect();
        assert!(phantoms.is_empty(), "round {round}: nobody listens on {phantoms:?}");
        let rest = states.iter().filter(|state| !matches!(state, State::Open(_) | State::Closed));
        assert_eq!(rest.count(), 0, "round {round}");
    }
}

#[test]
fn all_ports_of_an_ipv4_loopback_address_are_told_exactly_and_twice_the_same() {
    exactly_ours(private_address(0));
}

#[test]
fn all_ports_of_ipv6_loopback_are_told_exactly_although_there_is_no_other_source() {
    exactly_ours(IpAddr::V6(Ipv6Addr::LOCALHOST));
}

#[test]
fn a_socket_never_connects_to_itself() {
    // The classic phantom: asking the same closed ephemeral port again and again (tokio#3405).
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let port = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
        let ports = vec![port; 20_000];
        let states = own::scan(address, &ports, &Limits::default());
        let phantoms = states.iter().filter(|state| **state != State::Closed).count();
        assert!(phantoms == 0 || kernel(address).contains(&port), "{phantoms} phantoms on {port}");
    }
}

#[test]
fn counts_add_up_and_only_open_ports_are_listed_unless_all_are_wanted() {
    let address = private_address(1);
    let made = listeners(address, 3);
    let mut ports: Vec<u16> = ports_of(&made).into_iter().collect();
    ports.push((1024..).find(|port| !kernel(address).contains(port)).unwrap());
    for all in [true, false] {
        let request = Request {
            addresses: vec![(address, None)],
            ports: Some(ports.clone()),
            all,
            limits: Limits::default(),
        };
        let report = runtime().block_on(scan(&request, &OwnAddresses::known(&[]), None));
        let counts = report.counts;
        assert_eq!((counts.open, counts.closed), (3, 1), "{report:?}");
        assert_eq!(counts.filtered + counts.local_error + counts.not_probed, 0);
        let listed = &report.hosts[0].ports;
        assert_eq!(listed.len(), if all { 4 } else { 3 });
        assert!(report.incomplete.is_empty());
        assert!(listed.iter().all(|one| one.rtt_us.is_some() == (one.state == "open")));
    }
}

#[test]
fn the_way_for_other_hosts_tells_the_same() {
    let address = private_address(2);
    let made = listeners(address, 20);
    let ours = ports_of(&made);
    let mut ports: Vec<u16> = ours.iter().copied().collect();
    ports.extend((1024..1100).filter(|port| !ours.contains(port)));
    let limits = Limits { rate: 100_000, ..Limits::default() };
    let states = runtime().block_on(remote::scan(&[address], &ports, &limits));
    let found = open(&ports, &states[0]);
    assert!(ours.is_subset(&found));
    assert!(found.iter().all(|port| ours.contains(port) || kernel(address).contains(port)));
    assert!(states[0].iter().all(|state| matches!(state, State::Open(_) | State::Closed)));
}

#[test]
fn a_listener_that_does_not_accept_is_filtered_and_not_closed() {
    let address = private_address(3);
    let listener = TcpListener::bind((address, 0)).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let target = listener.local_addr().unwrap();
    let wait = Duration::from_millis(50);
    let held: Vec<_> =
        (0..4).filter_map(|_| std::net::TcpStream::connect_timeout(&target, wait).ok()).collect();
    assert!(held.len() < 4, "the queue is full");
    let timeout = Duration::from_millis(100);
    let limits = Limits { timeout, retries: 1, ..Limits::default() };
    let ports = [target.port(), 1];
    let states = own::scan(address, &ports, &limits);
    assert!(matches!(states[0], State::Filtered(_)), "{states:?}");
    assert_eq!(states[1], State::Closed);
    let states = runtime().block_on(remote::scan(&[address], &ports, &limits));
    assert!(matches!(states[0][0], State::Filtered(_)), "{states:?}");
}

/// Ports that nmap finds open; `None` when it is not installed.
fn nmap(address: IpAddr, range: &str) -> Option<BTreeSet<u16>> {
    let told = std::process::Command::new("nmap")
        .args(["-sT", "-n", "-Pn", "-T5", "-oG", "-", "-p", range, &address.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let ports = text.split_once("Ports: ").map_or("", |(_, ports)| ports);
    Some(
        ports
            .split(", ")
            .filter(|port| port.contains("/open/"))
            .filter_map(|port| port.split('/').next()?.trim().parse().ok())
            .collect(),
    )
}

#[test]
fn nmap_finds_the_same() {
    let address = private_address(4);
    let made = listeners(address, 60);
    let Some(theirs) = nmap(address, "1024-20000") else {
        assert!(std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_none(), "nmap is not installed");
        eprintln!("SKIPPED: nmap is not installed");
        return;
    };
    let ports: Vec<u16> = (1024..=20_000).collect();
    let states = own::scan(address, &ports, &Limits::default());
    let known = kernel(address);
    let ours: BTreeSet<u16> = ports_of(&made).into_iter().filter(|port| *port <= 20_000).collect();
    let found = open(&ports, &states);
    assert!(ours.is_subset(&found) && ours.is_subset(&theirs), "{ours:?} {found:?} {theirs:?}");
    let difference: Vec<_> = found
        .symmetric_difference(&theirs)
        .filter(|port| ours.contains(port) || !known.contains(port))
        .collect();
    assert!(difference.is_empty(), "{difference:?}");
}
