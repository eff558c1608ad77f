//! Protocols: for each the exact bytes of one question, and a bounded reader of the answer.
//!
//! A question is correct in its protocol, changes nothing, names no user and asks for nothing that
//! costs. A reader is pure: it is shown everything that has come so far and says whether that is
//! enough. What the service says is given as texts of known kinds, which fingerprints then name.

use super::plan::Protocol;

pub mod amqp;
pub mod dns;
pub mod greeting;
pub mod http;
pub mod kafka;
pub mod ldap;
pub mod memcached;
pub mod mongodb;
pub mod mqtt;
pub mod mysql;
pub mod nats;
pub mod postgresql;
pub mod rdp;
pub mod redis;

/// Most bytes that are read of one service.
pub const ANSWER_BYTES_MAX: usize = 16 << 10;

/// What the bytes so far amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Not enough yet.
    More,
    /// Enough.
    Done(Answer),
    /// Not this protocol.
    Foreign,
}

/// What a service said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Canonical service name.
    pub service: &'static str,
    /// Kinds and texts for fingerprints; the first that is known names the service.
    pub texts: Vec<(&'static str, Vec<u8>)>,
    /// What people are shown, not yet redacted.
    pub banner: String,
    /// What ends the conversation politely, so that no error is logged.
    pub goodbye: &'static [u8],
    /// The service listed what it can do, and TLS is not among it: nobody need ask again.
    pub without_tls: bool,
}

impl Answer {
    fn new(service: &'static str, kind: &'static str, text: impl Into<Vec<u8>>) -> Self {
        let text = text.into();
        let banner = String::from_utf8_lossy(&text).into_owned();
        Self { service, texts: vec![(kind, text)], banner, ..Self::default() }
    }

    fn with_goodbye(mut self, goodbye: &'static [u8]) -> Self {
        self.goodbye = goodbye;
        self
    }
}

/// Whether more may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The service may still be speaking.
    Open,
    /// It closed, fell silent, or has said all that is read.
    Over,
}

/// The question of a protocol whose client speaks first.
pub fn question(protocol: Protocol, host: &str) -> Option<Vec<u8>> {
    Some(match protocol {
        Protocol::Http | Protocol::Elasticsearch => http::question(host, "/"),
        Protocol::Docker | Protocol::Kubernetes | Protocol::Etcd => {
            http::question(host, "/version")
        }
        Protocol::Postgresql => postgresql::QUESTION.to_vec(),
        Protocol::Redis => redis::QUESTION.to_vec(),
        Protocol::Mongodb => mongodb::question(),
        Protocol::Memcached => memcached::QUESTION.to_vec(),
        Protocol::Dns => dns::question(),
        Protocol::Ldap => ldap::question(),
        Protocol::Rdp => rdp::QUESTION.to_vec(),
        Protocol::Amqp => amqp::QUESTION.to_vec(),
        Protocol::Mqtt => mqtt::question(),
        Protocol::Kafka => kafka::question(),
        Protocol::Ssh
        | Protocol::Smtp
        | Protocol::Ftp
        | Protocol::Imap
        | Protocol::Pop3
        | Protocol::Mysql
        | Protocol::Nats
        | Protocol::Greeting => return None,
    })
}

/// Reads the answer to [`question`].
pub fn answer(protocol: Protocol, bytes: &[u8], flow: Flow) -> Step {
    match protocol {
        Protocol::Http => http::answer(bytes, flow, "http", &["elasticsearch.root"]),
        Protocol::Elasticsearch => {
            http::answer(bytes, flow, "elasticsearch", &["elasticsearch.root"])
        }
        Protocol::Docker => http::answer(bytes, flow, "docker", &["docker.version"]),
        Protocol::Kubernetes => http::answer(bytes, flow, "kubernetes", &["kubernetes.version"]),
        Protocol::Etcd => http::answer(bytes, flow, "etcd", &["etcd.version"]),
        Protocol::Postgresql => postgresql::answer(bytes),
        Protocol::Redis => redis::answer(bytes, flow),
        Protocol::Mongodb => mongodb::answer(bytes),
        Protocol::Memcached => memcached::answer(bytes),
        Protocol::Dns => dns::answer(bytes),
        Protocol::Ldap => ldap::answer(bytes, flow),
        Protocol::Rdp => rdp::answer(bytes),
        Protocol::Amqp => amqp::answer(bytes),
        Protocol::Mqtt => mqtt::answer(bytes, flow),
        Protocol::Kafka => kafka::answer(bytes),
        Protocol::Ssh
        | Protocol::Smtp
        | Protocol::Ftp
        | Protocol::Imap
        | Protocol::Pop3
        | Protocol::Mysql
        | Protocol::Nats
        | Protocol::Greeting => greeting::answer(bytes, flow, protocol),
    }
}

/// A reader of binary answers that never goes past their end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'b>(pub &'b [u8]);

impl<'b> Bytes<'b> {
    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    /// The next two bytes, the high one first.
    pub fn u16_be(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// The next four bytes, the high one first.
    pub fn u32_be(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// The next four bytes, the low one first.
    pub fn u32_le(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    /// What stands before the next NUL, which is taken too.
    pub fn until_nul(&mut self) -> Option<&'b [u8]> {
        let end = memchr::memchr(0, self.0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }
}
