use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_795_000_000;

fn probe() -> Probe {
    Probe { address: [127, 77, 1, 1].into(), port: 40_001, target: 22, from_s: NOW, to_s: NOW + 1 }
}

fn ledger() -> Ledger {
    Ledger::new([probe()], NOW)
}

/// Every form, of our probe.
const OURS: [&str; 13] = [
    "Connection closed by 127.77.1.1 port 40001",
    "Connection closed by 127.77.1.1 port 40001 [preauth]",
    "Connection closed by ::ffff:127.77.1.1 port 40001",
    "Connection reset by 127.77.1.1 port 40001",
    "Did not receive identification string from 127.77.1.1 port 40001",
    "error: Did not receive identification string from 127.77.1.1 port 40001",
    "banner exchange: Connection from 127.77.1.1 port 40001: could not read protocol version",
    "connection received: host=127.77.1.1 port=40001",
    "connect from unknown[127.77.1.1]:40001",
    "lost connection after CONNECT from localhost.example.org[127.77.1.1]:40001",
    "lost connection after STARTTLS from unknown[127.77.1.1]:40001",
    "imap-login: Disconnected (no auth attempts in 0 secs): user=<>, rip=127.77.1.1, rport=40001, lip=127.0.0.1",
    "pop3-login: Disconnected: Connection closed (no auth attempts in 0 secs): user=<>, rip=127.77.1.1, rport=40001, TLS",
];

#[test]
fn an_exact_match_of_address_port_and_time_is_ours() {
    for message in OURS {
        for at in [NOW - 2, NOW, NOW + 3] {
            assert!(ledger().caused(message.as_bytes(), at), "{message} {at}");
        }
        for at in [NOW - 3, NOW + 4, 0, i64::MAX - SLACK_S] {
            assert!(!ledger().caused(message.as_bytes(), at), "{message} {at}");
        }
        let other = message.replace("40001", "40002");
        assert!(!ledger().caused(other.as_bytes(), NOW), "{other}");
        let other = message.replace("127.77.1.1", "127.77.1.2");
        assert!(!ledger().caused(other.as_bytes(), NOW), "{other}");
        assert!(!Ledger::default().caused(message.as_bytes(), NOW));
    }
}

#[test]
fn lines_with_a_user_a_failure_or_more_text_are_never_ours() {
    for message in [
        "Failed password for root from 127.77.1.1 port 40001 ssh2",
        "Invalid user a from 127.77.1.1 port 40001",
        "Connection closed by invalid user a 127.77.1.1 port 40001 [preauth]",
        "Connection closed by authenticating user root 127.77.1.1 port 40001 [preauth]",
        "Connection closed by invalid user 127.77.1.1 port 40001 127.77.1.1 port 40001 [preauth]",
        "Connection closed by 127.77.1.1 port 40001 192.0.2.1",
        "Connection closed by 127.77.1.1 port 400010",
        "Connection closed by 127.77.1.1 port +40001",
        "Connection closed by 127.77.1.1 port ",
        "Connection closed by 127.77.1.1",
        "x Connection closed by 127.77.1.1 port 40001",
        "banner exchange: Connection from 127.77.1.1 port 40001: invalid format",
        "Unable to negotiate with 127.77.1.1 port 40001: no matching cipher",
        "lost connection after AUTH from unknown[127.77.1.1]:40001",
        "lost connection after CONNECT from a b[127.77.1.1]:40001",
        "warning: unknown[127.77.1.1]:40001: SASL LOGIN authentication failed",
        "imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<a>, rip=127.77.1.1, rport=40001",
        "imap-login: Disconnected (no auth attempts in 0 secs): user=<a>, rip=127.77.1.1, rport=40001",
        "imap-login: Disconnected (no auth attempts in 0 secs): user=<>, rip=127.77.1.1, lip=127.0.0.1",
        "imap-login: Disconnected (no auth attempts in 0 secs): user=<>, rip=127.77.1.1, rport=1, rport=40001",
        "imap-login: Disconnected: Too many invalid commands (no auth attempts in 0 secs): user=<>, rip=127.77.1.1, rport=40001",
        "imap-login: Disconnected (no auth attempts in 0 secs): user=<>, method=PLAIN, rip=127.77.1.1, rport=40001",
        "connection authorized: user=a host=127.77.1.1 port=40001",
        "connection received: host=127.77.1.1 port=40001 user=x",
    ] {
        assert!(!ledger().caused(message.as_bytes(), NOW), "{message}");
    }
    let padded = format!("Connection closed by 127.77.1.1 port 40001{}", " ".repeat(300));
    assert!(!ledger().caused(padded.as_bytes(), NOW));
}

#[test]
fn a_ledger_is_bounded_in_size_age_and_length() {
    let at =
        |from_s: i64, length: i64| Probe { from_s, to_s: from_s.saturating_add(length), ..probe() };
    let old =
        [at(NOW - AGE_MAX_S - 1, 0), at(NOW + SLACK_S + 1, 0), at(i64::MIN, 0), at(i64::MAX, 0)];
    assert!(Ledger::new(old, NOW).is_empty());
    let endless = Ledger::new([at(NOW - 1000, 1000)], NOW);
    assert_eq!(endless.probes()[0].to_s, NOW - 1000 + LENGTH_MAX_S);
    let backwards = Ledger::new([at(NOW, -1000)], NOW);
    assert_eq!(backwards.probes()[0].to_s, NOW);
    let many = (0..=PROBES_MAX as i64).map(|n| at(NOW - 100_000 + n, 0));
    let many = Ledger::new(many, NOW);
    assert_eq!((many.probes().len(), many.probes()[0].from_s), (PROBES_MAX, NOW - 99_999));
    let bytes = many.to_bytes().unwrap();
    assert_eq!(Ledger::from_bytes(&bytes, NOW), Some(many));
    for end in [0, 1, 5, bytes.len() - 1] {
        assert_eq!(Ledger::from_bytes(&bytes[..end], NOW), None);
    }
    assert_eq!(Ledger::from_bytes(&[2, 0], NOW), None, "another version");
    assert_eq!(Ledger::from_bytes(&[1, 0], NOW), Some(Ledger::default()));
}

#[test]
fn only_connections_to_this_host_are_noted() {
    let began = Instant::now();
    let target = |text: &str| text.parse::<SocketAddr>().unwrap();
    note(target("192.0.2.9:4"), target("198.51.100.1:80"), began);
    note(target("192.0.2.9:5"), target("192.0.2.9:80"), began);
    note(target("[::1]:6"), target("[::1]:80"), began);
    let of = |port: u16| noted().iter().any(|one| one.source.port() == port);
    assert!(!of(4) && of(5) && of(6));
}

/// What is noted; left there, because tests of one process share it.
pub(in crate::ports) fn noted() -> Vec<Noted> {
    NOTED.lock().unwrap().clone()
}

proptest! {
    #[test]
    fn no_message_and_no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), form in 0..OURS.len(), cut in 0..200_usize) {
        let _ = bare(&bytes);
        let mut message = OURS[form].as_bytes().to_vec();
        message.truncate(cut);
        message.extend(&bytes);
        let _ = ledger().caused(&message, NOW);
        let _ = Ledger::from_bytes(&bytes, NOW);
    }
}

#[test]
fn a_probe_of_any_address_of_this_host_is_noted_and_one_of_another_host_is_not() {
    let began = Instant::now();
    let noted = |source: &str, target: &str| {
        let (source, target) = (source.parse().unwrap(), target.parse().unwrap());
        note(source, target, began);
        self::noted().iter().any(|one| (one.source, one.target) == (source, target))
    };
    assert!(noted("127.77.1.1:1", "127.0.0.1:22"));
    assert!(noted("127.77.1.1:1", "192.0.2.7:22"), "loopback reaches this host alone");
    assert!(noted("[::1]:1", "[2001:db8::7]:22"));
    assert!(noted("192.0.2.7:1", "192.0.2.7:22"));
    assert!(!noted("192.0.2.7:1", "192.0.2.8:22"));
}
