//! The scan of own addresses, held against exactly what listens: in network namespaces of the test's
//! own, where nobody else opens or closes anything.

// The helpers below are tests too.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener};

use scanner::ports::connect::kernel::Way;
use scanner::ports::connect::own::{self, Manner};
use scanner::ports::connect::{Limits, State, Watch};

mod namespace;

use namespace::Namespace;

const LOOPBACKS: [&str; 2] = ["127.0.0.1", "::1"];

#[test]
fn serves_for_other_tests() {
    namespace::serve();
}

fn all() -> Vec<u16> {
    (1..=u16::MAX).collect()
}

/// Listeners at random ports, so many of them in the ephemeral range.
fn listeners(address: IpAddr, count: usize, ephemeral: usize) -> Vec<TcpListener> {
    let mut state = 0x9e37_79b9_u32 ^ std::process::id();
    let mut made = Vec::new();
    while made.len() < count {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let port =
            if made.len() < ephemeral { 32_768 + state % 28_232 } else { 1 + state % 32_767 };
        made.extend(TcpListener::bind((address, u16::try_from(port).unwrap())));
    }
    made
}

fn ports_of(listeners: &[TcpListener]) -> BTreeSet<u16> {
    listeners.iter().map(|one| one.local_addr().unwrap().port()).collect()
}

/// The open ports; all others must be closed.
fn found(address: IpAddr, manner: Manner) -> BTreeSet<u16> {
    let ports = all();
    let mut states = vec![State::NotProbed; ports.len()];
    let limits = Limits::default();
    own::scan_rest(address, &ports, &limits, manner, &Watch::default(), &mut states);
    let mut open = BTreeSet::new();
    for (port, state) in ports.iter().zip(&states) {
        match state {
            State::Open(_) => drop(open.insert(*port)),
            State::Closed => {}
            other => panic!("{address} port {port}: {other:?}"),
        }
    }
    open
}

fn nmap(address: IpAddr) -> BTreeSet<u16> {
    let mut nmap = std::process::Command::new("nmap");
    nmap.args(["-sT", "-n", "-Pn", "-p-", "-T5", "-oG", "-", &address.to_string()]);
    if address.is_ipv6() {
        nmap.arg("-6");
    }
    let told = nmap.output().expect("nmap is installed where peers are required");
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let ports = text.split_once("Ports: ").map_or("", |(_, ports)| ports);
    let is_open = |port: &&str| port.contains("/open/");
    let number = |port: &str| port.split('/').next()?.trim().parse().ok();
    ports.split(", ").filter(is_open).filter_map(number).collect()
}

#[test]
fn ten_runs_find_exactly_what_listens_and_what_nmap_finds() {
    if !namespace::is_inside() {
        let Some(here) = Namespace::new("x") else { return };
        return here.run_test("ten_runs_find_exactly_what_listens_and_what_nmap_finds");
    }
    for address in LOOPBACKS {
        let address: IpAddr = address.parse().unwrap();
        let made = listeners(address, 200, 60);
        for round in 0..10 {
            assert_eq!(found(address, Manner::default()), ports_of(&made), "{address} {round}");
        }
        assert_eq!(nmap(address), ports_of(&made), "{address}");
    }
}

#[test]
fn where_the_kernel_would_not_reuse_sockets_the_result_is_the_same() {
    if !namespace::is_inside() {
        let Some(here) = Namespace::new("w") else { return };
        return here.run_test("where_the_kernel_would_not_reuse_sockets_the_result_is_the_same");
    }
    for address in LOOPBACKS {
        let address: IpAddr = address.parse().unwrap();
        let made = listeners(address, 200, 60);
        let manner = Manner { way: Some(Way::Fresh), threads: None };
        assert_eq!(found(address, manner), ports_of(&made), "{address}");
    }
}

#[test]
fn own_addresses_that_are_not_loopback_are_told_exactly() {
    if !namespace::is_inside() {
        let Some(here) = Namespace::new("o") else { return };
        for words in [
            &["address", "add", "192.0.2.7/32", "dev", "lo"][..],
            &["address", "add", "2001:db8::7/128", "dev", "lo", "nodad"],
        ] {
            let words: Vec<&str> = ["ip", "-n", &here.name].iter().chain(words).copied().collect();
            assert!(namespace::run(&words), "{words:?}");
        }
        return here.run_test("own_addresses_that_are_not_loopback_are_told_exactly");
    }
    for address in ["192.0.2.7", "2001:db8::7", "127.77.1.1"] {
        let address: IpAddr = address.parse().unwrap();
        let made = listeners(address, 100, 30);
        assert_eq!(found(address, Manner::default()), ports_of(&made), "{address}");
    }
}

#[test]
fn eleven_ephemeral_ports_are_enough_even_when_somebody_listens_on_all_of_them() {
    if !namespace::is_inside() {
        let Some(here) = Namespace::new("p") else { return };
        return here.run_test(
            "eleven_ephemeral_ports_are_enough_even_when_somebody_listens_on_all_of_them",
        );
    }
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40010").unwrap();
    for address in LOOPBACKS {
        let address: IpAddr = address.parse().unwrap();
        let mut made = listeners(address, 100, 30);
        assert_eq!(found(address, Manner::default()), ports_of(&made), "{address}");
        made.extend((40_000..=40_010).filter_map(|port| TcpListener::bind((address, port)).ok()));
        assert!(ports_of(&made).is_superset(&(40_000..=40_010).collect()));
        assert_eq!(found(address, Manner::default()), ports_of(&made), "{address}, none left");
    }
}

#[test]
fn eleven_ephemeral_ports_are_enough_for_the_way_to_other_hosts_too() {
    if !namespace::is_inside() {
        let Some(here) = Namespace::new("r") else { return };
        return here.run_test("eleven_ephemeral_ports_are_enough_for_the_way_to_other_hosts_too");
    }
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40010").unwrap();
    let address: IpAddr = "127.0.0.1".parse().unwrap();
    let made = listeners(address, 50, 10);
    let wanted = ports_of(&made);
    let ports: Vec<u16> =
        wanted.iter().copied().chain(2..2000).collect::<BTreeSet<_>>().into_iter().collect();
    let limits = Limits { rate: 1_000_000, ..Limits::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let states =
        runtime.block_on(scanner::ports::connect::remote::scan(&[address], &ports, &limits));
    for (port, state) in ports.iter().zip(&states[0]) {
        let expected = if wanted.contains(port) { "open" } else { "closed" };
        assert_eq!(state.name(), expected, "{port}: {state:?}");
    }
}

#[test]
fn a_full_queue_is_told_at_once_and_a_local_firewall_is_not_taken_for_one() {
    if !namespace::is_inside() {
        let Some(here) = Namespace::new("q") else { return };
        here.nft(
            "table ip t { chain in { type filter hook input priority 0; tcp dport 7 drop; }; }",
        );
        return here
            .run_test("a_full_queue_is_told_at_once_and_a_local_firewall_is_not_taken_for_one");
    }
    let listener = TcpListener::bind("127.0.0.1:5000").unwrap();
    rustix::net::listen(&listener, 3).unwrap();
    let target = listener.local_addr().unwrap();
    let wait = std::time::Duration::from_millis(100);
    let held: Vec<_> =
        (0..8).map_while(|_| std::net::TcpStream::connect_timeout(&target, wait).ok()).collect();
    assert!(held.len() < 8);
    let limits = Limits { timeout: std::time::Duration::from_secs(20), ..Limits::default() };
    let began = std::time::Instant::now();
    let address = target.ip();
    let states = own::scan(address, &[4999, 5000, 5001], &limits);
    assert_eq!(
        states,
        [State::Closed, State::Filtered("listening, accept queue full"), State::Closed]
    );
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    let limits = Limits { timeout: wait, ..Limits::default() };
    assert_eq!(own::scan(address, &[7], &limits), [State::Filtered("no answer")]);
}
