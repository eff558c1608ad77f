//! Identification over real sockets: what is sent, to whom, and what is made of the answers.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use scanner::ports::identify::fingerprints::Fingerprints;
use scanner::ports::identify::plan::Protocol;
use scanner::ports::identify::protocols;
use scanner::ports::identify::{BANNER_CHARS_MAX, Endpoint, Outcome, identify, identify_hosts};

/// A loopback address of this process and test, where every port is free.
fn own(last: u8) -> IpAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 176 + (high & 15), low, last))
}

/// A listener that says `greeting`, then `reply` to the first bytes it gets, and tells every byte that
/// every connection brought.
fn service(at: SocketAddr, greeting: &[u8], reply: &[u8]) -> mpsc::Receiver<Vec<u8>> {
    let listener = TcpListener::bind(at).unwrap();
    let (tell, told) = mpsc::channel();
    let (greeting, reply) = (greeting.to_vec(), reply.to_vec());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            _ = stream.write_all(&greeting);
            let (mut received, mut buffer) = (Vec::new(), [0; 1024]);
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                if received.is_empty() {
                    _ = stream.write_all(&reply);
                }
                received.extend_from_slice(&buffer[..count]);
            }
            if tell.send(received).is_err() {
                break;
            }
        }
    });
    told
}

fn endpoint(address: SocketAddr, holder: Option<&str>) -> Endpoint {
    Endpoint { address, host: None, holder: holder.map(str::to_string), rtt: Duration::ZERO }
}

fn run(endpoints: &[Endpoint], within: Duration) -> Vec<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(identify(endpoints, Fingerprints::built_in(), within))
}

const WITHIN: Duration = Duration::from_secs(2);

#[test]
fn ports_get_exactly_their_question_and_unknown_ones_get_nothing() {
    let address = own(1);
    let asked: [(u16, Option<Protocol>); 16] = [
        (8080, Some(Protocol::Http)),
        (6379, Some(Protocol::Redis)),
        (11211, Some(Protocol::Memcached)),
        (27017, Some(Protocol::Mongodb)),
        (5672, Some(Protocol::Amqp)),
        (1883, Some(Protocol::Mqtt)),
        (9092, Some(Protocol::Kafka)),
        (3389, Some(Protocol::Rdp)),
        (2375, Some(Protocol::Docker)),
        (2379, Some(Protocol::Etcd)),
        (9200, Some(Protocol::Elasticsearch)),
        (5432, Some(Protocol::Postgresql)),
        (3306, None),
        (2222, None),
        (4711, None),
        (9300, None),
    ];
    let services: Vec<_> =
        asked.iter().map(|(port, _)| service(SocketAddr::new(address, *port), b"", b"")).collect();
    let endpoints: Vec<Endpoint> =
        asked.iter().map(|(port, _)| endpoint(SocketAddr::new(address, *port), None)).collect();
    let outcomes = run(&endpoints, Duration::from_millis(800));
    for (((port, protocol), told), outcome) in asked.iter().zip(&services).zip(outcomes) {
        let received = told.recv_timeout(Duration::from_secs(5)).unwrap();
        let host = address.to_string();
        let question = protocol.and_then(|one| protocols::question(one, &host)).unwrap_or_default();
        assert_eq!(received, question, "port {port}");
        assert!(told.try_recv().is_err(), "port {port}: one connection only");
        assert!(outcome.identity.is_none() && outcome.why.is_some(), "port {port}: {outcome:?}");
    }
}

#[test]
fn a_host_that_takes_too_long_is_left_and_another_one_is_not() {
    let (slow, quick) = (own(21), own(22));
    let silent: Vec<Endpoint> = (0..80)
        .map(|nth| SocketAddr::new(slow, 4711 + nth))
        .map(|at| (service(at, b"", b""), endpoint(at, None)).1)
        .collect();
    let last = SocketAddr::new(quick, 4711);
    let _told = service(last, b"SSH-2.0-OpenSSH_9.2p1\r\n", b"");
    let all = [silent, vec![endpoint(last, None)]].concat();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let most = Some(Duration::from_millis(450));
    let known = Fingerprints::built_in();
    let since = Instant::now();
    let outcomes = runtime.block_on(identify_hosts(&all, known, WITHIN, most));
    assert!(since.elapsed() < Duration::from_secs(5));
    let (silent, quick) = outcomes.split_at(80);
    let late =
        |one: &&Outcome| one.failed && one.why.as_deref().unwrap().starts_with("not asked: ");
    let left = silent.iter().filter(late).count();
    assert!((1..=48).contains(&left), "{left}");
    assert_eq!(quick[0].identity.as_ref().unwrap().service, "ssh");
}

#[test]
fn printers_are_not_even_connected_to() {
    let address = own(2);
    let ports: Vec<u16> = (9100..=9107).collect();
    let services: Vec<_> =
        ports.iter().map(|port| service(SocketAddr::new(address, *port), b"", b"")).collect();
    let holders = [None, Some("http"), Some("prometheus")];
    for holder in holders {
        let endpoints: Vec<Endpoint> =
            ports.iter().map(|port| endpoint(SocketAddr::new(address, *port), holder)).collect();
        for outcome in run(&endpoints, WITHIN) {
            assert!(outcome.from.is_none() && outcome.why.unwrap().contains("printers"));
        }
    }
    for told in services {
        assert!(told.recv_timeout(Duration::from_millis(20)).is_err(), "nobody came");
    }
}

/// A frame or packet with its length, as the protocols below have them.
fn amqp_start() -> Vec<u8> {
    let text = |name: &str, value: &str| {
        let length = u32::try_from(value.len()).unwrap().to_be_bytes();
        let name_length = [u8::try_from(name.len()).unwrap()];
        [&name_length[..], name.as_bytes(), b"S", &length, value.as_bytes()].concat()
    };
    let table = [text("product", "RabbitMQ"), text("version", "3.10.8")].concat();
    let length = u32::try_from(table.len()).unwrap().to_be_bytes();
    let body = [&[0, 10, 0, 10, 0, 9][..], &length, &table, &[0; 8]].concat();
    let size = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1, 0, 0][..], &size, &body, &[0xce]].concat()
}

fn mongodb_build() -> Vec<u8> {
    let version = b"\x02version\0\x06\0\0\x007.0.5\0\x04modules\0\x05\0\0\0\0";
    let length = u32::try_from(version.len() + 5).unwrap().to_le_bytes();
    let document = [&length[..], version, b"\0"].concat();
    let question = protocols::mongodb::question();
    let size = u32::try_from(21 + document.len()).unwrap().to_le_bytes();
    [&size[..], &[1, 0, 0, 0], &question[4..8], &2013_u32.to_le_bytes(), &[0; 5], &document]
        .concat()
}

fn kafka_versions() -> Vec<u8> {
    let question = protocols::kafka::question();
    [&[0, 0, 0, 16][..], &question[8..12], &[0, 0, 0, 0, 0, 1], &[0; 6]].concat()
}

fn mqtt_published() -> Vec<u8> {
    let text = b"$SYS/broker/versionmosquitto version 2.0.11";
    let length = u8::try_from(text.len() + 2).unwrap();
    [&[0x20, 2, 0, 0, 0x90, 4, 0, 1, 0, 0, 0x31, length, 0, 19][..], text].concat()
}

fn dns_answer() -> Vec<u8> {
    let question = protocols::dns::question();
    let record = b"\xc0\x0c\0\x10\0\x03\0\0\0\0\0\x0d\x0cdnsmasq-2.89";
    let length = u16::try_from(question.len() - 2 + record.len()).unwrap().to_be_bytes();
    let head = [&question[2..4], &[0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0]].concat();
    [&length[..], &head, &question[14..], record].concat()
}

fn json(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Port, holder, greeting, reply, and the service, product and version that must come of them.
type Said = (
    u16,
    Option<&'static str>,
    &'static [u8],
    Vec<u8>,
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
);

/// Services that wait for a question.
fn asked() -> Vec<Said> {
    vec![
        (5672, None, b"", amqp_start(), "amqp", Some("RabbitMQ"), Some("3.10.8")),
        (27017, None, b"", mongodb_build(), "mongodb", Some("MongoDB"), Some("7.0.5")),
        (9092, None, b"", kafka_versions(), "kafka", Some("Apache Kafka"), None),
        (1883, None, b"", mqtt_published(), "mqtt", Some("Mosquitto"), Some("2.0.11")),
        (5353, Some("dns"), b"", dns_answer(), "dns", Some("dnsmasq"), Some("2.89")),
        (
            2379,
            None,
            b"",
            json(r#"{"etcdserver":"3.5.11","etcdcluster":"3.5.0"}"#),
            "etcd",
            Some("etcd"),
            Some("3.5.11"),
        ),
        (
            2375,
            None,
            b"",
            json(r#"{"Platform":{"Name":"x"},"Version":"24.0.7","ApiVersion":"1.43"}"#),
            "docker",
            Some("Docker Engine"),
            Some("24.0.7"),
        ),
        (
            9200,
            None,
            b"",
            json(r#"{"version":{"distribution":"opensearch","number":"2.11.1"}}"#),
            "elasticsearch",
            Some("OpenSearch"),
            Some("2.11.1"),
        ),
        (
            8080,
            None,
            b"",
            b"HTTP/1.1 403 Forbidden\r\nX-Jenkins: 2.426.3\r\nServer: Jetty(10.0.18)\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "http",
            Some("Jenkins"),
            Some("2.426.3"),
        ),
    ]
}

/// Services that speak first, and some that do not say what they are expected to.
fn greeted() -> Vec<Said> {
    vec![        (
            4222,
            None,
            b"INFO {\"server_id\":\"N\",\"version\":\"2.10.7\",\"nonce\":\"x\"} \r\n",
            vec![],
            "nats",
            Some("NATS Server"),
            Some("2.10.7"),
        ),
        (
            3389,
            None,
            b"",
            vec![3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0x1f, 8, 0, 2, 0, 0, 0],
            "rdp",
            Some("Remote Desktop"),
            None,
        ),
        (4712, None, b"SSH-2.0-dropbear_2022.83\r\n", vec![], "ssh", Some("Dropbear"), Some("2022.83")),
        (8081, None, b"RFB 003.008\n", vec![], "vnc", Some("VNC"), None),
        (5900, None, b"", vec![], "", None, None),
        (
            3306,
            None,
            b"\x38\0\0\0\x0a5.5.5-10.11.6-MariaDB-0+deb12u1\0\x07\0\0\0abcdefgh\0\xfe\xf7\x2d\x02\0\0\0\0\0\0",
            vec![],
            "mysql",
            Some("MariaDB"),
            Some("10.11.6"),
        ),
        ]
}

#[test]
fn services_are_named_by_what_they_say() {
    let address = own(3);
    let cases = [asked(), greeted()].concat();
    let mut held = Vec::new();
    let mut endpoints = Vec::new();
    for (port, holder, greeting, reply, ..) in &cases {
        let at = SocketAddr::new(address, *port);
        held.push(service(at, greeting, reply));
        endpoints.push(endpoint(at, *holder));
    }
    for (outcome, (port, _, _, _, name, product, version)) in
        run(&endpoints, WITHIN).iter().zip(&cases)
    {
        let Some(identity) = &outcome.identity else {
            assert!(name.is_empty(), "port {port}: {outcome:?}");
            continue;
        };
        assert_eq!(
            (identity.service.as_str(), identity.product.as_deref()),
            (*name, *product),
            "port {port}"
        );
        assert_eq!(identity.version.as_deref(), *version, "port {port}");
    }
}

#[test]
fn banners_are_redacted_bounded_and_printable() {
    let address = own(4);
    let long = format!("220 mx ESMTP x password=hunter2 \x1b[31m {}\r\n", "y".repeat(5_000));
    let at = SocketAddr::new(address, 2525);
    let _held = service(at, long.as_bytes(), b"");
    let outcome = run(&[endpoint(at, Some("smtp"))], WITHIN).remove(0);
    let banner = outcome.identity.unwrap().banner.unwrap();
    assert!(!banner.contains("hunter2") && !banner.contains('\x1b'), "{banner}");
    assert!(banner.chars().count() <= BANNER_CHARS_MAX + 1, "{}", banner.len());
}

#[test]
fn a_service_that_never_ends_or_never_answers_costs_its_deadline_only() {
    let address = own(5);
    let (silent, endless) = (SocketAddr::new(address, 6379), SocketAddr::new(address, 8080));
    let _silent = service(silent, b"", b"");
    let listener = TcpListener::bind(endless).unwrap();
    std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        // A byte at a time, for ever: every wait for one would start anew.
        while stream.write_all(b"H").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let since = Instant::now();
    let within = Duration::from_millis(700);
    run(&[endpoint(silent, None), endpoint(endless, None)], within);
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}
