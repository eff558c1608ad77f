//! The connect scan of another host: two network namespaces with a wire in between, and firewalls that
//! drop, reject, lose and limit. nmap is asked the same from the same place.

// The helpers below are tests too.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use scanner::ports::connect::{Limits, State, Watch, remote};

mod namespace;

use namespace::two_hosts;

const OTHER: &str = "10.99.0.2";

#[test]
fn serves_for_other_tests() {
    namespace::serve();
}

fn scan(ports: &[u16], limits: &Limits) -> remote::Outcome {
    let address: IpAddr = OTHER.parse().unwrap();
    let states = vec![State::NotProbed; ports.len()];
    let target = remote::Target { address, zone: 0, states };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let watch = Watch::default();
    let mut outcomes = runtime.block_on(remote::run(vec![target], ports, limits, &watch));
    outcomes.pop().unwrap()
}

fn quick() -> Limits {
    Limits { rate: 100_000, ..Limits::default() }
}

fn named(ports: &[u16], states: &[State]) -> BTreeMap<u16, &'static str> {
    ports.iter().copied().zip(states.iter().map(|state| state.name())).collect()
}

/// nmap's states; those it does not list have the one that it ignores.
fn nmap(range: &str, ports: &[u16]) -> BTreeMap<u16, &'static str> {
    let told = std::process::Command::new("nmap")
        .args(["-sT", "-n", "-Pn", "-T4", "-dd", "-oG", "-", "-p", range, OTHER])
        .output()
        .expect("nmap is installed where peers are required");
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let listed = text.split_once("Ports: ").map_or("", |(_, ports)| ports);
    let listed = listed.split('\t').next().unwrap();
    let mut states = BTreeMap::new();
    for entry in listed.split(", ") {
        let mut fields = entry.split('/');
        let (Some(port), Some(state)) = (fields.next(), fields.next()) else { continue };
        let state = ["open", "closed", "filtered"].into_iter().find(|one| *one == state);
        states.insert(port.trim().parse().unwrap(), state.unwrap());
    }
    if let Some((_, rest)) = text.split_once("Ignored State: ") {
        let ignored = if rest.starts_with("closed") { "closed" } else { "filtered" };
        for port in ports {
            states.entry(*port).or_insert(ignored);
        }
    }
    states
}

#[test]
fn dropped_rejected_closed_and_open_ports_are_told_apart_as_nmap_does() {
    if !namespace::is_inside() {
        let Some((ours, theirs)) = two_hosts("f") else { return };
        theirs.nft(
            "table ip t { chain in { type filter hook input priority 0; \
             tcp dport 1000-1029 drop; \
             tcp dport 1100-1149 reject with tcp reset; \
             tcp dport 1150-1159 reject with icmp admin-prohibited; \
             tcp dport 1160-1169 reject with icmp port-unreachable; }; }",
        );
        // Linux answers each peer with an ICMP error a second only, and is silent then.
        let mut sysctl = theirs.command("sysctl");
        assert!(sysctl.args(["-q", "net.ipv4.icmp_ratelimit=0"]).status().unwrap().success());
        let _server = theirs.serve(OTHER, &[22, 80, 1005, 1101, 1155, 1180]);
        return ours.run_test("dropped_rejected_closed_and_open_ports_are_told_apart_as_nmap_does");
    }
    let ports: Vec<u16> = [22, 80].into_iter().chain(990..1200).collect();
    let outcome = scan(&ports, &quick());
    let found = named(&ports, &outcome.states);
    let expected = |port: u16| match port {
        22 | 80 | 1180 => "open",
        1000..=1029 | 1150..=1159 => "filtered",
        _ => "closed",
    };
    for (port, state) in &found {
        assert_eq!(*state, expected(*port), "{port}");
    }
    let reason = |port: u16| outcome.states[ports.iter().position(|one| *one == port).unwrap()];
    assert_eq!(reason(1005), State::Filtered("no answer"));
    assert_eq!(reason(1155), State::Filtered("host unreachable"));
    assert_eq!(outcome.gave_up, None);
    assert_eq!(found, nmap("22,80,990-1199", &ports));
}

#[test]
fn a_dead_host_is_given_up_soon_after_the_common_ports_and_says_so() {
    if !namespace::is_inside() {
        let Some((ours, theirs)) = two_hosts("d") else { return };
        theirs.nft("table ip t { chain in { type filter hook input priority 0; policy drop; }; }");
        return ours.run_test("a_dead_host_is_given_up_soon_after_the_common_ports_and_says_so");
    }
    let ports: Vec<u16> = (1..=10_000).collect();
    let began = Instant::now();
    let outcome = scan(&ports, &quick());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    let left = outcome.states.iter().filter(|state| **state == State::NotProbed).count();
    assert!(left > 9_000, "{left}");
    let why = outcome.gave_up.clone().unwrap();
    assert_eq!(why, format!("{left} ports not probed, the host never answered"));
    for (port, _) in scanner::ports::targets::common().into_iter().filter(|one| one.0 <= 10_000) {
        assert_eq!(outcome.states[usize::from(port) - 1], State::Filtered("no answer"), "{port}");
    }
}

#[test]
fn one_open_port_behind_a_firewall_that_drops_the_rest_is_no_dead_host() {
    if !namespace::is_inside() {
        let Some((ours, theirs)) = two_hosts("s") else { return };
        theirs.nft(
            "table ip t { chain in { type filter hook input priority 0; policy drop; \
             tcp dport { 22, 2999 } accept; }; }",
        );
        let _server = theirs.serve(OTHER, &[22]);
        return ours
            .run_test("one_open_port_behind_a_firewall_that_drops_the_rest_is_no_dead_host");
    }
    let ports: Vec<u16> = (1..=3_000).collect();
    let outcome = scan(&ports, &Limits { retries: 0, ..quick() });
    let count = |wanted: &str| outcome.states.iter().filter(|state| state.name() == wanted).count();
    assert_eq!((count("open"), count("closed"), count("filtered")), (1, 1, 2_998));
    assert_eq!(outcome.gave_up, None);
}

#[test]
fn a_lossy_wire_hides_no_open_port() {
    if !namespace::is_inside() {
        let Some((ours, theirs)) = two_hosts("l") else { return };
        theirs.nft(
            "table ip t { chain in { type filter hook input priority 0; \
             tcp flags syn numgen random mod 100 < 10 drop; }; }",
        );
        let open: Vec<u16> = (2000..2030).collect();
        let _server = theirs.serve(OTHER, &open);
        return ours.run_test("a_lossy_wire_hides_no_open_port");
    }
    let ports: Vec<u16> = (1900..2200).collect();
    let outcome = scan(&ports, &Limits { retries: 4, ..quick() });
    for (port, state) in ports.iter().zip(&outcome.states) {
        let wanted = if (2000..2030).contains(port) { "open" } else { "closed" };
        assert_eq!(state.name(), wanted, "{port}");
    }
}

#[test]
fn a_host_that_limits_its_refusals_is_not_said_to_filter() {
    if !namespace::is_inside() {
        let Some((ours, theirs)) = two_hosts("r") else { return };
        theirs.nft(
            "table ip t { chain out { type filter hook output priority 0; \
             tcp flags & rst == rst limit rate over 200/second burst 50 packets drop; }; }",
        );
        return ours.run_test("a_host_that_limits_its_refusals_is_not_said_to_filter");
    }
    let ports: Vec<u16> = (3000..4000).collect();
    let outcome = scan(&ports, &Limits { retries: 2, ..quick() });
    let closed = outcome.states.iter().filter(|state| **state == State::Closed).count();
    let silent = outcome.states.iter().filter(|state| state.name() == "filtered").count();
    assert_eq!(closed + silent, 1000);
    assert!(silent <= 20, "{silent} of 1000 refusals were lost for good");
}

#[test]
fn a_deadline_for_the_host_holds_and_is_told() {
    if !namespace::is_inside() {
        let Some((ours, theirs)) = two_hosts("t") else { return };
        theirs.nft(
            "table ip t { chain in { type filter hook input priority 0; policy drop; \
             tcp dport 22 accept; }; }",
        );
        return ours.run_test("a_deadline_for_the_host_holds_and_is_told");
    }
    let ports: Vec<u16> = (1..=60_000).collect();
    let host_timeout = Some(Duration::from_millis(1500));
    let began = Instant::now();
    let outcome = scan(&ports, &Limits { host_timeout, ..quick() });
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    let left = outcome.states.iter().filter(|state| **state == State::NotProbed).count();
    assert_eq!(
        outcome.gave_up,
        Some(format!("{left} ports not probed, the host took longer than 1.5s"))
    );
    assert!(left > 10_000);
}

#[test]
fn a_hundred_thousand_probes_of_a_closed_ephemeral_port_find_nothing() {
    if !namespace::is_inside() {
        let Some(ours) = namespace::Namespace::new("e") else { return };
        return ours.run_test("a_hundred_thousand_probes_of_a_closed_ephemeral_port_find_nothing");
    }
    // The namespace is empty: whatever is open is a socket of our own.
    let ports = vec![44_444; 100_000];
    for address in ["127.0.0.1", "::1"] {
        let address: IpAddr = address.parse().unwrap();
        let states = scanner::ports::connect::own::scan(address, &ports, &quick());
        assert!(states.iter().all(|state| *state == State::Closed), "own, {address}");
    }
    let address: IpAddr = "127.0.0.1".parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limits = Limits { rate: 1_000_000, ..Limits::default() };
    let states = runtime.block_on(remote::scan(&[address], &ports, &limits)).remove(0);
    let other = states.iter().filter(|state| **state != State::Closed).count();
    assert_eq!(other, 0, "remote");
}
