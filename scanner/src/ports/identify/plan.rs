//! What, if anything, a port is asked.
//!
//! The holder's executable decides where it is known, then the port's usual protocol, then whether the
//! port is one where web servers usually are. A port of which nothing is known is listened to and sent
//! nothing. Ports 9100–9107 are not even connected to: printers print what they get.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::ports::{service, targets};

/// Ports of printers.
const PRINTERS: std::ops::RangeInclusive<u16> = 9100..=9107;

/// Protocols that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// RFC 4253.
    Ssh,
    /// RFC 5321.
    Smtp,
    /// RFC 959.
    Ftp,
    /// RFC 9051.
    Imap,
    /// RFC 1939.
    Pop3,
    /// MySQL's client/server protocol.
    Mysql,
    /// NATS client protocol.
    Nats,
    /// Some other protocol in which the server speaks first.
    Greeting,
    /// RFC 9112.
    Http,
    /// PostgreSQL's protocol 3.
    Postgresql,
    /// RESP.
    Redis,
    /// OP_MSG.
    Mongodb,
    /// memcached's text protocol.
    Memcached,
    /// RFC 7766.
    Dns,
    /// RFC 4511.
    Ldap,
    /// [MS-RDPBCGR].
    Rdp,
    /// AMQP 0-9-1.
    Amqp,
    /// MQTT 3.1.1.
    Mqtt,
    /// Kafka's protocol.
    Kafka,
    /// Docker Engine API.
    Docker,
    /// Kubernetes API.
    Kubernetes,
    /// etcd's gateway.
    Etcd,
    /// Elasticsearch and OpenSearch.
    Elasticsearch,
}

impl Protocol {
    /// Whether the server speaks first.
    pub fn greets(self) -> bool {
        matches!(
            self,
            Self::Ssh
                | Self::Smtp
                | Self::Ftp
                | Self::Imap
                | Self::Pop3
                | Self::Mysql
                | Self::Nats
                | Self::Greeting
        )
    }
}

impl Protocol {
    /// Whether its daemon takes a TLS hello for junk on every port: an sshd on 443 logs it as an attack.
    fn is_never_inside_tls(self) -> bool {
        matches!(self, Self::Ssh | Self::Mysql | Self::Postgresql | Self::Rdp | Self::Nats)
    }
}

/// What will be done with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// No connection at all, and why.
    Never(&'static str),
    /// Read what the service says first; send nothing.
    Listen,
    /// Wait for a greeting, and ask this if none comes.
    Ask(Ask),
}

/// A question to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// In which protocol.
    pub protocol: Protocol,
    /// How it is known.
    pub known: Known,
    /// Whether the port's usual protocol runs inside TLS from the first byte.
    pub tls: bool,
}

/// How a protocol is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// By the executable or unit that holds the port.
    Holder,
    /// By the number of the port.
    Port,
}

/// Ports on which TLS begins at once.
const TLS: &[u16] = &[
    443, 465, 563, 636, 853, 989, 990, 992, 993, 994, 995, 2376, 3269, 4443, 5061, 5671, 5986,
    6443, 6514, 8443, 8883, 9443, 10250, 50443,
];

/// Protocols by the names that services have here, and the port where that decides. A service that
/// listens on ports of several kinds is asked only where the port says which.
const SERVICES: &[(&str, &[u16], Protocol)] = &[
    ("ssh", &[], Protocol::Ssh),
    ("smtp", &[], Protocol::Smtp),
    ("ftp", &[], Protocol::Ftp),
    ("imap", &[110, 995], Protocol::Pop3),
    ("imap", &[], Protocol::Imap),
    ("pop3", &[], Protocol::Pop3),
    ("mysql", &[], Protocol::Mysql),
    ("nats", &[4222], Protocol::Nats),
    ("vnc", &[], Protocol::Greeting),
    ("rsync", &[], Protocol::Greeting),
    ("telnet", &[], Protocol::Greeting),
    ("http", &[], Protocol::Http),
    ("ipp", &[], Protocol::Http),
    ("grafana", &[], Protocol::Http),
    ("prometheus", &[], Protocol::Http),
    ("webmin", &[], Protocol::Http),
    ("kibana", &[], Protocol::Http),
    ("consul", &[8500], Protocol::Http),
    ("weblogic", &[7001], Protocol::Http),
    ("activemq", &[8161], Protocol::Http),
    ("winrm", &[5985], Protocol::Http),
    ("proxy", &[3128, 8080], Protocol::Http),
    ("postgresql", &[], Protocol::Postgresql),
    ("redis", &[], Protocol::Redis),
    ("mongodb", &[], Protocol::Mongodb),
    ("memcached", &[], Protocol::Memcached),
    ("dns", &[53, 853], Protocol::Dns),
    ("ldap", &[], Protocol::Ldap),
    ("rdp", &[], Protocol::Rdp),
    ("rabbitmq", &[5671, 5672], Protocol::Amqp),
    ("rabbitmq", &[15672], Protocol::Http),
    ("mqtt", &[1883, 8883], Protocol::Mqtt),
    ("kafka", &[9092], Protocol::Kafka),
    ("docker", &[2375, 2376], Protocol::Docker),
    ("kubernetes", &[6443, 10250], Protocol::Kubernetes),
    ("etcd", &[2379, 2380], Protocol::Etcd),
    ("elasticsearch", &[9200], Protocol::Elasticsearch),
];

/// Services whose executable says which protocol, on whatever port it is. The port numbers in
/// [`SERVICES`] do not bind these.
const ANYWHERE: &[&str] = &["dns", "mqtt", "nats", "kafka"];

/// Daemons whose package tells product and version, and whose answer never tells either: they are not
/// asked where the holder is known.
const NOTHING_TO_LEARN: &[&str] = &["postgresql"];

/// Ports that usually have a protocol and are not in the list of common ports.
const MORE_PORTS: &[(u16, Protocol)] = &[
    (4222, Protocol::Nats),
    (5671, Protocol::Amqp),
    (8883, Protocol::Mqtt),
    (15672, Protocol::Http),
];

/// What a port is asked. `holder` is the canonical name of the service that its holder's executable or
/// unit says it is (see [`service::name`]), and absent where that is not known.
pub fn plan(port: u16, holder: Option<&str>) -> Plan {
    if is_printer(port) {
        return Plan::Never("ports 9100-9107 are never asked: printers print what they get");
    }
    let tls = TLS.contains(&port);
    if let Some(name) = holder {
        if NOTHING_TO_LEARN.contains(&name) {
            return Plan::Never("its package says all that could be learnt");
        }
        if let Some(protocol) = of_service(name, port) {
            let tls = tls && !protocol.is_never_inside_tls();
            return Plan::Ask(Ask { protocol, known: Known::Holder, tls });
        }
        // A known daemon on a port that says nothing about which of its protocols it is.
        if SERVICES.iter().any(|(known, _, _)| *known == name) || service::is_known(name) {
            return Plan::Listen;
        }
    }
    match usual(port) {
        Some(protocol) => Plan::Ask(Ask { protocol, known: Known::Port, tls }),
        None => Plan::Listen,
    }
}

/// Whether printers listen there.
pub fn is_printer(port: u16) -> bool {
    PRINTERS.contains(&port)
}

fn of_service(name: &str, port: u16) -> Option<Protocol> {
    let anywhere = ANYWHERE.contains(&name);
    SERVICES
        .iter()
        .find(|(known, ports, _)| {
            *known == name && (ports.is_empty() || ports.contains(&port) || anywhere)
        })
        .map(|(_, _, protocol)| *protocol)
}

/// The protocol that a port usually has, if it is one that is known here.
fn usual(port: u16) -> Option<Protocol> {
    let more = MORE_PORTS.iter().find(|(known, _)| *known == port).map(|(_, protocol)| *protocol);
    more.or_else(|| {
        static COMMON: LazyLock<BTreeMap<u16, &str>> =
            LazyLock::new(|| targets::common().into_iter().collect());
        of_service(COMMON.get(&port)?, port)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocol(port: u16, holder: Option<&str>) -> Option<(Protocol, Known, bool)> {
        match plan(port, holder) {
            Plan::Ask(ask) => Some((ask.protocol, ask.known, ask.tls)),
            _ => None,
        }
    }

    #[test]
    fn the_holder_decides_before_the_port() {
        for (port, holder, expected) in [
            (2222, Some("ssh"), Some((Protocol::Ssh, Known::Holder, false))),
            (80, Some("redis"), Some((Protocol::Redis, Known::Holder, false))),
            (443, Some("http"), Some((Protocol::Http, Known::Holder, true))),
            (5353, Some("dns"), Some((Protocol::Dns, Known::Holder, false))),
            (110, Some("imap"), Some((Protocol::Pop3, Known::Holder, false))),
            (143, Some("imap"), Some((Protocol::Imap, Known::Holder, false))),
            (8080, Some("acmed"), Some((Protocol::Http, Known::Port, false))),
            (6379, None, Some((Protocol::Redis, Known::Port, false))),
            (9200, None, Some((Protocol::Elasticsearch, Known::Port, false))),
            (995, None, Some((Protocol::Pop3, Known::Port, true))),
            (15672, Some("rabbitmq"), Some((Protocol::Http, Known::Holder, false))),
            (4222, None, Some((Protocol::Nats, Known::Port, false))),
        ] {
            assert_eq!(protocol(port, holder), expected, "{port} {holder:?}");
        }
    }

    #[test]
    fn a_daemon_that_never_speaks_inside_tls_is_not_sent_a_hello_on_a_port_of_tls() {
        for port in [443, 993, 8443] {
            for (holder, expected) in [("ssh", Protocol::Ssh), ("mysql", Protocol::Mysql)] {
                let found = protocol(port, Some(holder));
                assert_eq!(found, Some((expected, Known::Holder, false)), "{port}");
            }
        }
        assert_eq!(protocol(443, None), Some((Protocol::Http, Known::Port, true)));
    }

    #[test]
    fn what_is_not_known_is_only_listened_to() {
        for (port, holder) in [
            (4711, None),
            (4711, Some("acmed")),
            (9300, None),
            (9300, Some("elasticsearch")),
            (25672, Some("rabbitmq")),
            (515, None),
            (631, Some("smb")),
            (8080, Some("vpn")),
            (1, None),
            (65535, None),
        ] {
            assert_eq!(plan(port, holder), Plan::Listen, "{port} {holder:?}");
        }
    }

    #[test]
    fn printers_are_never_connected_to_whoever_holds_the_port() {
        for port in PRINTERS {
            for holder in [None, Some("http"), Some("prometheus"), Some("ssh")] {
                assert!(matches!(plan(port, holder), Plan::Never(_)), "{port}");
            }
        }
        assert!(
            !matches!(plan(9099, None), Plan::Never(_))
                && !matches!(plan(9108, None), Plan::Never(_))
        );
        assert!(matches!(plan(5433, Some("postgresql")), Plan::Never(_)));
    }

    #[test]
    fn every_port_has_a_plan_and_few_are_asked() {
        let asked = (1..=u16::MAX).filter(|port| protocol(*port, None).is_some()).count();
        assert!((30..100).contains(&asked), "{asked}");
    }
}
