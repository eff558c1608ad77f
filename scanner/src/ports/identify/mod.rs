//! What is behind an open port: product and version, from what the service itself says.
//!
//! [`identify`] goes through the files of this folder in this order: [`plan`] (what a port is asked, if
//! anything), `encounter` (its connections, TLS included), [`talk`] (one conversation: listen first, then
//! at most one question), [`protocols`] (the bytes), [`fingerprints`] (texts become products). [`truth`] then holds what was said against the
//! package that is installed; [`verify`] runs the examples of fingerprints.
//!
//! Nothing is sent to a port of which nothing is known, ports 9100–9107 are not connected to, and every
//! wait and read has a bound. Banners are redacted and cut before they leave this room.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::report::TlsReport;
use crate::redact;

use self::fingerprints::{Facts, Fingerprints};
use self::protocols::Answer;

mod encounter;
pub mod fingerprints;
pub mod plan;
pub mod protocols;
pub mod talk;
pub mod truth;
pub mod verify;

/// Most characters of a banner that are shown.
pub const BANNER_CHARS_MAX: usize = 256;
/// Most conversations at once.
const AT_ONCE: usize = 32;

/// One open port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address and port.
    pub address: SocketAddr,
    /// The name that the user gave the host, for HTTP.
    pub host: Option<String>,
    /// The service that the holder's executable or unit says it is; absent where not known.
    pub holder: Option<String>,
    /// How long its answer to the connect scan took.
    pub rtt: Duration,
}

/// What a service said it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Canonical service name.
    pub service: String,
    /// Product, as its vendor writes it.
    pub product: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// What it sent: printable, bounded, without secrets.
    pub banner: Option<String>,
    /// How sure the name is: 1 where a fingerprint knew the text, 0.8 where only the protocol is known.
    pub confidence: f64,
}

/// What came of one port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Who it is, if it said so.
    pub identity: Option<Identity>,
    /// What its TLS handshake showed, at once or behind STARTTLS.
    pub tls: Option<TlsReport>,
    /// Our end of the connection in the clear, if there was one.
    pub from: Option<SocketAddr>,
    /// Why nothing is known, or not all.
    pub why: Option<String>,
    /// It could not be asked, or not to the end: another time it may say more.
    pub failed: bool,
}

/// Identifies ports, in the order given. `within` bounds each of them.
pub async fn identify(
    endpoints: &[Endpoint],
    fingerprints: &Fingerprints,
    within: Duration,
) -> Vec<Outcome> {
    identify_hosts(endpoints, fingerprints, within, None).await
}

/// The same where the conversations with one host may take no longer than `host_within` in all: a host may
/// accept on every port.
pub async fn identify_hosts(
    endpoints: &[Endpoint],
    fingerprints: &Fingerprints,
    within: Duration,
    host_within: Option<Duration>,
) -> Vec<Outcome> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let hosts = Arc::new(Begun::default());
    let mut running = JoinSet::new();
    for (index, endpoint) in endpoints.iter().cloned().enumerate() {
        let (room, hosts) = (Arc::clone(&room), Arc::clone(&hosts));
        running.spawn(async move {
            // The semaphore is never closed: a permit always comes.
            let _permit = room.acquire().await;
            let left = match host_within {
                Some(most) => most.saturating_sub(hosts.since(endpoint.address.ip())),
                None => within,
            };
            if left.is_zero() {
                return (index, encounter::late(host_within.unwrap_or_default()));
            }
            (index, encounter::meet(&endpoint, within.min(left)).await)
        });
    }
    let lost = || Outcome {
        why: Some("asking it failed".to_string()),
        failed: true,
        ..Outcome::default()
    };
    let mut outcomes: Vec<Outcome> = endpoints.iter().map(|_| lost()).collect();
    while let Some(done) = running.join_next().await {
        let Ok((index, met)) = done else { continue };
        outcomes[index] = Outcome {
            identity: met.answer.map(|answer| name(&answer, fingerprints)),
            tls: met.tls,
            from: met.from,
            why: met.why,
            failed: met.failed,
        };
    }
    outcomes
}

/// When the first conversation with each host began.
#[derive(Default)]
struct Begun(Mutex<HashMap<IpAddr, Instant>>);

impl Begun {
    /// How long ago that was; the first to ask begins it.
    fn since(&self, host: IpAddr) -> Duration {
        let mut begun = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        begun.entry(host).or_insert_with(Instant::now).elapsed()
    }
}

/// The first text that a fingerprint knows names the service.
pub fn name(answer: &Answer, fingerprints: &Fingerprints) -> Identity {
    let facts: Option<Facts> =
        answer.texts.iter().find_map(|(kind, text)| fingerprints.name(kind, text));
    let fact = |name: &str| {
        let fact = facts.as_ref().and_then(|facts| facts.get(name));
        fact.filter(|fact| !fact.is_empty()).map(|fact| redact::printable(fact))
    };
    let service = match (answer.service, fact("service.protocol")) {
        ("greeting", Some(protocol)) => protocol,
        (service, _) => service.to_string(),
    };
    let banner = shown(&answer.banner);
    Identity {
        service,
        product: fact("service.product"),
        version: fact("service.version"),
        banner: (!banner.is_empty()).then_some(banner),
        confidence: if fact("service.product").is_some() { 1.0 } else { 0.8 },
    }
}

/// A banner without secrets and control characters, and bounded.
fn shown(banner: &str) -> String {
    let line = redact::line(banner.trim());
    match line.char_indices().nth(BANNER_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
