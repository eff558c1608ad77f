//! From where a port can be reached: our verdict beside what another network namespace can connect to.
//!
//! Three namespaces: the host, the outside (one address of the internet, one of a private network) and
//! a container behind the host. Every rule set is loaded into the host's namespace; each verdict must
//! be what connecting from outside shows, or `unknown`; nmap is asked as well.

// The helpers below are tests too.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use consensus::Exposure;
use scanner::RootedTree;
use scanner::facts::Spoken;
use scanner::ports::{self, Inventory};

mod namespace;

use namespace::Namespace;

const ROLE: &str = "WARDMOTE_TEST_ROLE";
/// The host's addresses that are tried from outside.
const TARGETS: [&str; 2] = ["203.0.113.5", "2001:db8:77::5"];
/// Where the outside comes from: the internet, and a private network, over both families.
const INTERNET: [&str; 2] = ["203.0.113.9", "2001:db8:77::9"];
const PRIVATE: [&str; 2] = ["10.77.0.2", "fd77::2"];
/// What listens on the host.
const LISTENERS: [(&str, bool); 9] = [
    ("0.0.0.0:8001", false),
    ("127.0.0.1:8002", false),
    ("203.0.113.5:8003", false),
    ("[::]:8004", false),
    ("[::]:8005", true),
    ("[::1]:8006", false),
    ("[2001:db8:77::5]:8007", false),
    ("0.0.0.0:8008", false),
    ("0.0.0.0:8009", false),
];
/// Ports without a listener that rules hand on.
const PUBLISHED: [u16; 5] = [8080, 8081, 8082, 8083, 8084];

/// The host with its neighbours.
struct Stage {
    host: Namespace,
    outside: Namespace,
    container: Namespace,
    children: Vec<Child>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

impl Stage {
    fn set(salt: &str) -> Option<Self> {
        let host = Namespace::new(&format!("h{salt}"))?;
        let outside = Namespace::new(&format!("o{salt}"))?;
        let container = Namespace::new(&format!("c{salt}"))?;
        host.ip(&format!("link add eth0 type veth peer name eth0 netns {}", outside.name));
        host.ip(&format!("link add docker0 type veth peer name eth0 netns {}", container.name));
        for (of, words) in [
            (&host, "addr add 203.0.113.5/24 dev eth0"),
            (&host, "addr add 2001:db8:77::5/64 dev eth0 nodad"),
            (&host, "addr add 172.30.0.1/24 dev docker0"),
            (&outside, "addr add 203.0.113.9/24 dev eth0"),
            (&outside, "addr add 2001:db8:77::9/64 dev eth0 nodad"),
            (&outside, "addr add 10.77.0.2/24 dev eth0"),
            (&outside, "addr add fd77::2/64 dev eth0 nodad"),
            (&container, "addr add 172.30.0.2/24 dev eth0"),
            (&host, "link set eth0 up"),
            (&host, "link set docker0 up"),
            (&outside, "link set eth0 up"),
            (&container, "link set eth0 up"),
            (&host, "route add 10.77.0.0/24 dev eth0"),
            (&host, "-6 route add fd77::/64 dev eth0"),
            (&container, "route add default via 172.30.0.1"),
        ] {
            of.ip(words);
        }
        let forward = host.output("sh", &["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
        assert!(forward.status.success(), "{forward:?}");
        let mut stage = Self { host, outside, container, children: Vec::new() };
        let inside: Vec<String> =
            LISTENERS.iter().map(|(address, only)| format!("{address}={only}")).collect();
        let first = stage.start(&stage.host.name.clone(), &inside.join(","));
        let second = stage.start(&stage.container.name.clone(), "172.30.0.2:80=false");
        stage.children.extend([first, second]);
        Some(stage)
    }

    /// A child that listens until it is told to end.
    fn start(&self, namespace: &str, addresses: &str) -> Child {
        let mut child = Command::new("ip")
            .args(["netns", "exec", namespace])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "serves", "--nocapture", "--include-ignored"])
            .env(ROLE, addresses)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.as_mut().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stdout));
        let ready = lines.any(|line| line.is_ok_and(|line| line.contains("ready")));
        assert!(ready, "{addresses}");
        child
    }

    /// Runs a role of this program and takes what it printed after the mark.
    fn role(&self, of: &Namespace, role: &str, argument: &str) -> String {
        let told = Command::new("ip")
            .args(["netns", "exec", &of.name])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", role, "--nocapture", "--include-ignored"])
            .env(ROLE, argument)
            .output()
            .unwrap();
        let text = String::from_utf8(told.stdout).unwrap();
        let found = text.lines().find_map(|line| Some(line.split_once("TOLD ")?.1.to_string()));
        found.unwrap_or_else(|| panic!("{role}: {text}\n{}", String::from_utf8_lossy(&told.stderr)))
    }

    fn load(&self, program: &str, words: &[&str], rules: &str) {
        let mut child = Command::new("ip")
            .args(["netns", "exec", &self.host.name, program])
            .args(words)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
        let told = child.wait_with_output().unwrap();
        assert!(told.status.success(), "{program}: {}", String::from_utf8_lossy(&told.stderr));
    }

    /// Ports that answer, by where they were asked from.
    fn reached(&self, from: &[&str]) -> BTreeSet<u16> {
        let told = self.role(&self.outside, "connects", &from.join(","));
        told.split(',').filter_map(|port| port.parse().ok()).collect()
    }

    /// What nmap sees of the first address, from the internet.
    fn nmap(&self) -> BTreeSet<u16> {
        let ports = "8001-8009,8080-8084";
        let words = ["-sT", "-n", "-Pn", "-T5", "--max-retries", "1", "-oG", "-", "-p", ports];
        let words: Vec<&str> = words.into_iter().chain([TARGETS[0]]).collect();
        let told = self.outside.output("nmap", &words);
        assert!(told.status.success(), "{told:?}");
        let text = String::from_utf8(told.stdout).unwrap();
        let ports = text.split_once("Ports: ").map_or("", |(_, ports)| ports);
        let open = ports.split(", ").filter(|port| port.contains("/open/"));
        open.filter_map(|port| port.split('/').next()?.trim().parse().ok()).collect()
    }

    /// Compares verdicts with what answers; gives what each port's verdict was and why.
    fn compare(&self) -> BTreeMap<u16, (Exposure, String)> {
        let seen: Inventory = serde_json::from_str(&self.role(&self.host, "looks", "")).unwrap();
        let (internet, private) = (self.reached(&INTERNET), self.reached(&PRIVATE));
        let of_first = self.reached(&INTERNET[..1]);
        let nmap = self.nmap();
        assert_eq!(nmap, of_first, "nmap and we connect alike");
        let mut verdicts = BTreeMap::new();
        for one in seen.listeners.iter().filter(|one| one.protocol == "tcp") {
            let (verdict, because) = (one.exposure, one.because.clone());
            let truth = match (internet.contains(&one.port), private.contains(&one.port)) {
                (true, _) => Exposure::World,
                (false, true) => Exposure::Private,
                (false, false) => Exposure::Loopback,
            };
            assert!(
                verdict == truth || verdict == Exposure::Unknown,
                "port {}: {verdict:?}, and in truth {truth:?}: {because}",
                one.port
            );
            verdicts.insert(one.port, (verdict, because));
        }
        for port in internet.union(&private) {
            assert!(verdicts.contains_key(port), "{port} answers, and is not listed");
        }
        verdicts
    }
}

/// A child that listens.
#[test]
#[ignore = "the child of other tests"]
fn serves() {
    let held: Vec<rustix::fd::OwnedFd> = std::env::var(ROLE)
        .unwrap()
        .split(',')
        .map(|entry| {
            let (address, only) = entry.split_once('=').unwrap();
            let address: SocketAddr = address.parse().unwrap();
            listen(address, only == "true")
        })
        .collect();
    println!("ready");
    let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
    drop(held);
}

fn listen(address: SocketAddr, only: bool) -> rustix::fd::OwnedFd {
    use rustix::net::{AddressFamily, SocketType, sockopt};
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket(family, SocketType::STREAM, None).unwrap();
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, only).unwrap();
    }
    rustix::net::bind(&socket, &address).unwrap();
    rustix::net::listen(&socket, 128).unwrap();
    socket
}

/// A child that judges.
#[test]
#[ignore = "the child of other tests"]
fn looks() {
    let ask = |program: &str, words: &[&str]| {
        let told = Command::new(program).args(words).output().unwrap();
        assert!(told.status.success(), "{program}: {}", String::from_utf8_lossy(&told.stderr));
        told.stdout
    };
    let nft = ask("nft", &["-j", "list", "ruleset"]);
    let mut spoken = Spoken { nft_json: Some(nft), ..Spoken::default() };
    let four = ask("iptables-nft-save", &[]);
    let six = ask("ip6tables-nft-save", &[]);
    let has = |text: &[u8]| text.contains(&b'*');
    spoken.iptables_save = has(&four).then_some(four);
    spoken.ip6tables_save = has(&six).then_some(six);
    let tree = RootedTree::open(Path::new("/")).unwrap();
    let found = ports::look_closely(&tree, &spoken);
    println!("TOLD {}", serde_json::to_string(&found).unwrap());
}

/// A child that connects.
#[test]
#[ignore = "the child of other tests"]
fn connects() {
    let sources = std::env::var(ROLE).unwrap();
    let ports: Vec<u16> = (8001..=8009).chain(PUBLISHED).collect();
    let mut asked = Vec::new();
    for source in sources.split(',') {
        let source: IpAddr = source.parse().unwrap();
        let target: IpAddr = TARGETS[usize::from(source.is_ipv6())].parse().unwrap();
        for &port in &ports {
            asked.push(std::thread::spawn(move || reaches(source, target, port).then_some(port)));
        }
    }
    let open: BTreeSet<u16> = asked.into_iter().filter_map(|one| one.join().unwrap()).collect();
    let open: Vec<String> = open.iter().map(u16::to_string).collect();
    println!("TOLD {}", open.join(","));
}

fn reaches(source: IpAddr, target: IpAddr, port: u16) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
    let family = if source.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket =
        rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::new(source, 0)).unwrap();
    if rustix::net::connect(&socket, &SocketAddr::new(target, port)).is_ok() {
        return true;
    }
    // Longer than the first retransmission, for a loaded machine.
    let wait = Timespec { tv_sec: 1, tv_nsec: 500_000_000 };
    let mut polled = [PollFd::new(&socket, PollFlags::OUT)];
    let answered = rustix::event::poll(&mut polled, Some(&wait)).unwrap() > 0;
    answered && matches!(sockopt::socket_error(&socket), Ok(Ok(())))
}

fn verdict(of: &BTreeMap<u16, (Exposure, String)>, port: u16) -> (Exposure, &str) {
    let (exposure, because) = &of[&port];
    (*exposure, because)
}

#[test]
fn without_rules_the_bound_address_decides() {
    let Some(stage) = Stage::set("a") else { return };
    let told = stage.compare();
    assert!(told.values().all(|(exposure, _)| *exposure != Exposure::Unknown), "{told:?}");
    for (port, expected) in [
        (8001, Exposure::World),
        (8002, Exposure::Loopback),
        (8003, Exposure::World),
        (8004, Exposure::World),
        (8005, Exposure::World),
        (8006, Exposure::Loopback),
        (8007, Exposure::World),
    ] {
        assert_eq!(verdict(&told, port).0, expected, "{port}");
    }
}

#[test]
fn an_accept_list_and_drops_of_nftables() {
    let Some(stage) = Stage::set("b") else { return };
    stage.load(
        "nft",
        &["-f", "-"],
        "table inet filter {
           set web { type inet_service; elements = { 8001, 8004 } }
           chain input { type filter hook input priority 0; policy drop;
             ct state vmap { established : accept, related : accept, invalid : drop }
             iif lo accept
             meta l4proto ipv6-icmp accept
             tcp dport @web accept comment \"web\"
             ip saddr 10.77.0.0/24 tcp dport 8008 accept
             ip6 saddr 2000::/3 tcp dport 8007 accept
             tcp dport 8009 jump late
           }
           chain late {
             ip daddr 203.0.113.5 reject with tcp reset
           }
         }",
    );
    let told = stage.compare();
    assert!(told.values().all(|(exposure, _)| *exposure != Exposure::Unknown), "{told:?}");
    for (port, expected, rule) in [
        (8001, Exposure::World, "\"web\""),
        (8003, Exposure::Loopback, "policy drop"),
        (8007, Exposure::World, "nft inet filter input"),
        (8008, Exposure::Private, "nft inet filter input rule with handle"),
        (8009, Exposure::Loopback, "nft inet filter"),
    ] {
        let (exposure, because) = verdict(&told, port);
        assert!(exposure == expected && because.contains(rule), "{port}: {exposure:?} {because}");
    }
}

#[test]
fn redirections_of_nftables_with_and_without_a_listener_behind() {
    let Some(stage) = Stage::set("c") else { return };
    stage.load(
        "nft",
        &["-f", "-"],
        "table ip nat {
           chain pre { type nat hook prerouting priority dstnat;
             tcp dport 8080 dnat to 172.30.0.2:80
             tcp dport 8081 dnat to 172.30.0.2:81
             tcp dport 8082 redirect to :8001
             tcp dport 8083 redirect to :9999
             tcp dport 8084 dnat to 203.0.113.5:8003
             tcp dport 8008 dnat to 172.30.0.2:80
             tcp dport 8009 dnat to 172.30.0.2:82
           }
         }",
    );
    let told = stage.compare();
    for (port, expected, words) in [
        (8080, Exposure::World, "hands it to 172.30.0.2:80"),
        (8081, Exposure::Loopback, "where nothing listens"),
        (8082, Exposure::World, "port 8001 of this host"),
        (8083, Exposure::Loopback, "where nothing listens"),
        (8084, Exposure::World, "203.0.113.5:8003"),
        (8008, Exposure::World, "hands it to 172.30.0.2:80"),
        (8009, Exposure::Loopback, "where nothing listens"),
    ] {
        let (exposure, because) = verdict(&told, port);
        assert!(exposure == expected && because.contains(words), "{port}: {exposure:?} {because}");
    }
}

#[test]
fn chains_as_docker_makes_them_with_iptables_over_nftables() {
    let Some(stage) = Stage::set("d") else { return };
    stage.load(
        "iptables-nft-restore",
        &[],
        "*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.30.0.0/24 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.30.0.2:80
-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 172.30.0.2:80
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER -d 172.30.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
",
    );
    let told = stage.compare();
    let (exposure, because) = verdict(&told, 8080);
    assert!(exposure == Exposure::World && because.contains("DOCKER"), "{exposure:?} {because}");
    assert!(!told.contains_key(&8081), "published on loopback only");
    assert_eq!(verdict(&told, 8001).0, Exposure::World);
}

#[test]
fn chains_as_ufw_makes_them() {
    let Some(stage) = Stage::set("e") else { return };
    let rules = |six: &str, user: &str| {
        format!(
            "*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:ufw{six}-before-input - [0:0]
:ufw{six}-after-input - [0:0]
:ufw{six}-not-local - [0:0]
:ufw{six}-user-input - [0:0]
:ufw{six}-skip-to-policy-input - [0:0]
-A INPUT -j ufw{six}-before-input
-A INPUT -j ufw{six}-after-input
-A ufw{six}-before-input -i lo -j ACCEPT
-A ufw{six}-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw{six}-before-input -m conntrack --ctstate INVALID -j DROP
{user}
-A ufw{six}-before-input -j ufw{six}-user-input
-A ufw{six}-after-input -p udp -m udp --dport 137 -j ufw{six}-skip-to-policy-input
-A ufw{six}-skip-to-policy-input -j DROP
COMMIT
"
        )
    };
    let four = "-A ufw-before-input -j ufw-not-local
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -j DROP
-A ufw-user-input -p tcp -m tcp --dport 8001 -j ACCEPT
-A ufw-user-input -s 10.77.0.0/24 -p tcp -m tcp --dport 8008 -j ACCEPT
-A ufw-user-input -p tcp -m tcp --dport 8009 -j REJECT --reject-with tcp-reset";
    let six = "-A ufw6-before-input -p ipv6-icmp -j ACCEPT
-A ufw6-user-input -p tcp -m tcp --dport 8004 -j ACCEPT";
    stage.load("iptables-nft-restore", &[], &rules("", four));
    stage.load("ip6tables-nft-restore", &[], &rules("6", six));
    let told = stage.compare();
    assert!(told.values().all(|(exposure, _)| *exposure != Exposure::Unknown), "{told:?}");
    for (port, expected) in [
        (8001, Exposure::World),
        (8003, Exposure::Loopback),
        (8004, Exposure::World),
        (8008, Exposure::Private),
        (8009, Exposure::Loopback),
    ] {
        let (exposure, because) = verdict(&told, port);
        assert!(
            exposure == expected && because.contains("(ufw)"),
            "{port}: {exposure:?} {because}"
        );
    }
}

#[test]
fn a_table_as_firewalld_makes_it() {
    let Some(stage) = Stage::set("f") else { return };
    stage.load(
        "nft",
        &["-f", "-"],
        "table inet firewalld {
           chain filter_INPUT { type filter hook input priority filter + 10; policy accept;
             ct state { established, related } accept
             ct status dnat accept
             iifname \"lo\" accept
             ct state invalid drop
             jump filter_INPUT_ZONES
             reject with icmpx admin-prohibited
           }
           chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
             ct state { established, related } accept
             ct status dnat accept
             reject with icmpx admin-prohibited
           }
           chain filter_INPUT_ZONES {
             iifname \"eth0\" goto filter_IN_public
             goto filter_IN_public
           }
           chain filter_IN_public {
             jump filter_IN_public_deny
             jump filter_IN_public_allow
             meta l4proto { icmp, ipv6-icmp } accept
             reject with icmpx admin-prohibited
           }
           chain filter_IN_public_deny {
             ip saddr 10.77.0.2 tcp dport 8009 drop
           }
           chain filter_IN_public_allow {
             tcp dport 8001 ct state { new, untracked } accept
             tcp dport 8009 ct state { new, untracked } accept
             ip saddr 10.77.0.0/24 tcp dport 8008 accept
           }
           chain nat_PREROUTING { type nat hook prerouting priority dstnat + 10; policy accept;
             meta nfproto ipv4 tcp dport 8080 dnat ip to 172.30.0.2:80
           }
         }",
    );
    let told = stage.compare();
    for (port, expected) in [
        (8001, Exposure::World),
        (8003, Exposure::Loopback),
        (8005, Exposure::Loopback),
        (8008, Exposure::Private),
        (8009, Exposure::World),
        (8080, Exposure::World),
    ] {
        let (exposure, because) = verdict(&told, port);
        let named = because.contains("(firewalld)");
        assert!(exposure == expected && named, "{port}: {exposure:?} {because}");
    }
}

#[test]
fn rules_that_are_not_understood_make_it_unknown_and_never_safe() {
    let Some(stage) = Stage::set("g") else { return };
    // Random, so that no single look tells what becomes of a packet.
    stage.load(
        "nft",
        &["-f", "-"],
        "table inet filter {
           chain input { type filter hook input priority 0; policy accept;
             tcp dport 8001 numgen random mod 2 0 drop
           }
         }",
    );
    let seen: Inventory = serde_json::from_str(&stage.role(&stage.host, "looks", "")).unwrap();
    let one = seen.listeners.iter().find(|one| one.port == 8001).unwrap();
    assert_eq!(one.exposure, Exposure::Unknown, "{}", one.because);
    assert!(one.because.contains("handle"), "{}", one.because);
}
