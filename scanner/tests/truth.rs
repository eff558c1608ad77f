//! The five views in network namespaces of their own: each cause is made, and named.

// The helpers below are tests too.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use scanner::RootedTree;
use scanner::facts::Spoken;
use scanner::ports::connect::{Limits, State, own};
use scanner::ports::inventory;
use scanner::ports::namespaces;
use scanner::ports::truth::{self, Asked, Cause, Disagreement, Request, Truth, View};

mod namespace;

use namespace::inside;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn tree() -> RootedTree {
    RootedTree::open(Path::new("/")).unwrap()
}

/// What the firewall programs say in this namespace.
fn firewall() -> Spoken {
    let ask = |program: &str, words: &[&str]| {
        let told = Command::new(program).args(words).output().unwrap();
        assert!(told.status.success(), "{program}: {}", String::from_utf8_lossy(&told.stderr));
        told.stdout
    };
    Spoken { nft_json: Some(ask("nft", &["-j", "list", "ruleset"])), ..Spoken::default() }
}

fn nft(rules: &str) {
    let told = Command::new("nft").arg(rules).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
}

/// All views, after connecting to these ports.
fn look(ports: &[u16]) -> Truth {
    let limits = Limits { timeout: Duration::from_millis(300), retries: 0, ..Limits::default() };
    let states = own::scan(HERE, ports, &limits);
    let open: BTreeSet<u16> = ports
        .iter()
        .zip(states)
        .filter(|(_, state)| matches!(state, State::Open(_)))
        .map(|(port, _)| *port)
        .collect();
    let asked = BTreeMap::from([(HERE, Asked { ports: ports.iter().copied().collect(), open })]);
    let request = Request { asked, bind: (1..=u16::MAX).collect() };
    truth::look(&tree(), &request, &firewall)
}

/// The only disagreement.
fn only(truth: &Truth) -> &Disagreement {
    assert_eq!(truth.disagreements.len(), 1, "{truth:?}");
    assert!(truth.unseen.is_empty(), "{truth:?}");
    &truth.disagreements[0]
}

#[test]
fn a_host_with_ordinary_listeners_has_no_disagreement() {
    if !inside("a_host_with_ordinary_listeners_has_no_disagreement") {
        return;
    }
    let four = TcpListener::bind((HERE, 0)).unwrap();
    let six = TcpListener::bind("[::]:0").unwrap();
    let udp = std::net::UdpSocket::bind((HERE, 0)).unwrap();
    let target = four.local_addr().unwrap();
    let connected = TcpStream::connect(target).unwrap();
    let ports = [target.port(), six.local_addr().unwrap().port(), 1];
    let truth = look(&ports);
    assert_eq!(truth, Truth::default());
    drop((connected, udp));
}

#[test]
fn listeners_that_come_and_go_are_not_hidden() {
    if !inside("listeners_that_come_and_go_are_not_hidden") {
        return;
    }
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for port in [4001_u16, 4002] {
            let done = &done;
            scope.spawn(move || {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let held = TcpListener::bind((HERE, port));
                    std::thread::sleep(Duration::from_micros(200));
                    drop(held);
                }
            });
        }
        let looks: Vec<Truth> =
            (0..40).map(|_| truth::look(&tree(), &Request::default(), &firewall)).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        let hidden: Vec<_> = looks
            .iter()
            .flat_map(|one| &one.disagreements)
            .filter(|one| one.cause == Cause::Hidden)
            .collect();
        assert!(hidden.is_empty(), "{} of 40: {:?}", hidden.len(), hidden[0]);
    });
}

#[test]
fn a_saturated_listener_is_listening_and_saturated() {
    if !inside("a_saturated_listener_is_listening_and_saturated") {
        return;
    }
    for backlog in [0, 1] {
        let listener = TcpListener::bind((HERE, 0)).unwrap();
        rustix::net::listen(&listener, backlog).unwrap();
        let target = listener.local_addr().unwrap();
        let wait = Duration::from_millis(50);
        let held: Vec<_> =
            (0..4).filter_map(|_| TcpStream::connect_timeout(&target, wait).ok()).collect();
        assert!(held.len() < 4, "the queue is full");
        let sockets = inventory::from_netlink().unwrap();
        let ours = sockets.iter().find(|one| one.port == target.port()).unwrap();
        assert!(ours.is_saturated(), "{ours:?}");
        let truth = look(&[target.port()]);
        let ours = truth.disagreements.iter().find(|one| one.port == target.port()).unwrap();
        assert_eq!(ours.cause, Cause::Saturated, "{truth:?}");
        assert_eq!(
            (&ours.seen[..], &ours.missing[..]),
            (&[View::Netlink][..], &[View::Connect][..])
        );
        assert!(ours.because.contains(&format!("of {backlog}")), "{}", ours.because);
    }
}

#[test]
fn a_redirected_port_is_named_with_its_rule() {
    if !inside("a_redirected_port_is_named_with_its_rule") {
        return;
    }
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    let to = listener.local_addr().unwrap().port();
    nft("add table inet t");
    nft("add chain inet t out { type nat hook output priority -100; }");
    nft(&format!("add rule inet t out tcp dport 8080 redirect to :{to}"));
    let truth = look(&[8080, 8081, to]);
    let one = only(&truth);
    assert_eq!((one.cause, one.port), (Cause::Redirect, 8080));
    assert!(one.because.contains("nft inet t out rule with handle"), "{}", one.because);
    assert!(one.because.contains(&format!("port {to} of this host")), "{}", one.because);
}

#[test]
fn a_listener_hidden_from_proc_net_is_named() {
    if !inside("a_listener_hidden_from_proc_net_is_named") {
        return;
    }
    let hidden = TcpListener::bind((HERE, 0)).unwrap();
    let shown = TcpListener::bind((HERE, 0)).unwrap();
    let port = hidden.local_addr().unwrap().port();
    assert_eq!(look(&[port]), Truth::default());
    // Forged tables: what the kernel shows, without our line.
    let forged = tempfile::tempdir().unwrap();
    for name in ["tcp", "tcp6", "udp", "udp6"] {
        let table = std::fs::read_to_string(format!("/proc/self/net/{name}")).unwrap();
        let kept: Vec<&str> =
            table.lines().filter(|line| !line.contains(&format!(":{port:04X} "))).collect();
        std::fs::write(forged.path().join(name), kept.join("\n") + "\n").unwrap();
    }
    // The kernel drops a mount on a file of /proc/net at the next look, and keeps one on the directory.
    let table = format!("/proc/{}/net", std::process::id());
    let mounted =
        Command::new("mount").arg("--bind").arg(forged.path()).arg(&table).status().unwrap();
    assert!(mounted.success());
    let truth = look(&[port, shown.local_addr().unwrap().port()]);
    let unmounted = Command::new("umount").arg(&table).status().unwrap();
    let one = only(&truth);
    assert_eq!((one.cause, one.port), (Cause::Hidden, port));
    assert_eq!((&one.seen[..], &one.missing[..]), (&[View::Netlink][..], &[View::Tables][..]));
    assert!(unmounted.success());
    assert_eq!(look(&[port]), Truth::default());
}

#[test]
fn a_firewalled_listener_is_named_with_its_rule() {
    if !inside("a_firewalled_listener_is_named_with_its_rule") {
        return;
    }
    let dropped = TcpListener::bind((HERE, 0)).unwrap();
    let refused = TcpListener::bind((HERE, 0)).unwrap();
    let kept = TcpListener::bind((HERE, 0)).unwrap();
    let port = |one: &TcpListener| one.local_addr().unwrap().port();
    nft("add table inet t");
    nft("add chain inet t in { type filter hook input priority 0; }");
    nft("add chain inet t out { type filter hook output priority 0; }");
    nft(&format!("add rule inet t in tcp dport {} drop", port(&dropped)));
    nft(&format!("add rule inet t in tcp dport {} reject with tcp reset", port(&refused)));
    nft(&format!("add rule inet t out tcp dport {} drop", port(&kept)));
    let truth = look(&[port(&dropped), port(&refused), port(&kept)]);
    assert_eq!(truth.disagreements.len(), 3, "{truth:?}");
    for one in &truth.disagreements {
        assert_eq!(one.cause, Cause::Firewalled, "{one:?}");
        let chain = if one.port == port(&kept) { "nft inet t out" } else { "nft inet t in" };
        assert!(one.because.contains(chain) && one.because.contains("handle"), "{one:?}");
    }
}

#[test]
fn ports_without_a_listener_are_told_by_what_keeps_them() {
    if !inside("ports_without_a_listener_are_told_by_what_keeps_them") {
        return;
    }
    let bound = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    rustix::net::bind(&bound, &SocketAddr::new(HERE, 0)).unwrap();
    let name = SocketAddr::try_from(rustix::net::getsockname(&bound).unwrap()).unwrap();
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let ended = client.local_addr().unwrap().port();
    let (server, _) = listener.accept().unwrap();
    // Who closes first keeps the port for a minute.
    drop(client);
    drop(server);
    std::thread::sleep(Duration::from_millis(50));
    let truth = look(&[]);
    let causes: BTreeMap<u16, Cause> =
        truth.disagreements.iter().map(|one| (one.port, one.cause)).collect();
    assert_eq!(causes.get(&ended), Some(&Cause::TimeWait), "{truth:?}");
    let inactive =
        if inventory::shows_inactive() { Cause::BoundInactive } else { Cause::Unexplained };
    assert_eq!(causes.get(&name.port()), Some(&inactive), "{truth:?}");
    assert_eq!(causes.len(), 2, "{truth:?}");
}

#[test]
fn a_listener_of_the_kernel_is_told_from_a_hidden_one() {
    if !inside("a_listener_of_the_kernel_is_told_from_a_hidden_one") {
        return;
    }
    let ip = |words: &str| Command::new("ip").args(words.split(' ')).output().unwrap();
    let made = ip("link add vx0 type vxlan id 7 dstport 4789 dev lo");
    if !made.status.success() {
        eprintln!("SKIPPED: this kernel has no vxlan");
        return;
    }
    assert!(ip("link set vx0 up").status.success());
    let truth = truth::look(&tree(), &Request::default(), &firewall);
    assert!(!truth.disagreements.is_empty());
    for one in &truth.disagreements {
        assert_eq!((one.cause, one.port), (Cause::Kernel, 4789), "{truth:?}");
        assert!(one.because.contains("vxlan vx0"), "{}", one.because);
    }
}

#[test]
fn listeners_of_other_namespaces_are_found_and_this_one_is_not_left() {
    let Some(other) = namespace::Namespace::new("o") else { return };
    let before = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    // A child that listens inside: the shell of the namespace has no such program of its own.
    let listening = std::process::Command::new("ip")
        .args(["netns", "exec", &other.name])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "listens_until_told", "--nocapture", "--include-ignored"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let mut child = listening.unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let port: u16 =
        lines.find_map(|line| line.unwrap().split_once("port ")?.1.trim().parse().ok()).unwrap();
    let (found, incomplete) = namespaces::others(&tree());
    let ours = found.iter().find(|one| one.name.as_deref() == Some(&*other.name));
    drop(child.stdin.take());
    child.wait().unwrap();
    let ours = ours.unwrap_or_else(|| panic!("{incomplete:?}"));
    assert!(ours.sockets.iter().any(|socket| socket.port == port), "{ours:?}");
    assert!(ours.addresses.contains(HERE));
    assert_eq!(std::fs::read_link("/proc/thread-self/ns/net").unwrap(), before);
}

/// Not a test: the child of the one above.
#[test]
#[ignore = "the child of another test"]
fn listens_until_told() {
    let held = TcpListener::bind((HERE, 0)).unwrap();
    println!("port {}", held.local_addr().unwrap().port());
    let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
}

#[test]
fn the_bind_view_asks_every_port() {
    if !inside("the_bind_view_asks_every_port") {
        return;
    }
    let all: Vec<u16> = (1..=u16::MAX).collect();
    let since = std::time::Instant::now();
    let taken = truth::bind::look(&all);
    eprintln!("65,535 ports in {:?}", since.elapsed());
    assert!(taken.ports.is_empty() && taken.unasked.is_none());
    assert_eq!(taken.asked.len(), 65_535);
}
