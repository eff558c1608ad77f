//! What is behind an open port: product and version, from what the service itself says.
//!
//! [`identify`] goes through the files of this folder in this order: [`plan`] (what a port is asked, if
//! anything), [`talk`] (one conversation: listen first, then at most one question), [`protocols`] (the
//! bytes), [`fingerprints`] (texts become products). [`truth`] then holds what was said against the
//! package that is installed; [`verify`] runs the examples of fingerprints.
//!
//! Nothing is sent to a port of which nothing is known, ports 9100–9107 are not connected to, and every
//! wait and read has a bound. Banners are redacted and cut before they leave this room.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::redact;

use self::fingerprints::{Facts, Fingerprints};
use self::plan::Plan;
use self::protocols::Answer;
use self::talk::Waits;

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
/// Wait for a greeting on this host, and the least elsewhere.
const GREETING_WITHIN: Duration = Duration::from_millis(300);
/// Most that a slow path adds to it.
const GREETING_WITHIN_MAX: Duration = Duration::from_millis(1_500);

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
    /// Our end of the connection that was made, for a ledger of our own probes.
    pub from: Option<SocketAddr>,
    /// Why nothing is known.
    pub why: Option<String>,
}

/// Identifies ports, in the order given. `within` bounds each of them.
pub async fn identify(
    endpoints: &[Endpoint],
    fingerprints: &Fingerprints,
    within: Duration,
) -> Vec<Outcome> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (index, endpoint) in endpoints.iter().cloned().enumerate() {
        let room = Arc::clone(&room);
        running.spawn(async move {
            // The semaphore is never closed: a permit always comes.
            let _permit = room.acquire().await;
            (index, converse(&endpoint, within).await)
        });
    }
    let mut outcomes = vec![Outcome::default(); endpoints.len()];
    while let Some(done) = running.join_next().await {
        // A task that was lost leaves its port unknown.
        let Ok((index, heard)) = done else { continue };
        outcomes[index] = Outcome {
            identity: heard.answer.map(|answer| name(&answer, fingerprints)),
            from: heard.from,
            why: heard.why,
        };
    }
    outcomes
}

#[derive(Default)]
struct Heard {
    answer: Option<Answer>,
    from: Option<SocketAddr>,
    why: Option<String>,
}

async fn converse(endpoint: &Endpoint, within: Duration) -> Heard {
    let plan = plan::plan(endpoint.address.port(), endpoint.holder.as_deref());
    let nothing = |why: &str| Heard { why: Some(why.to_string()), ..Heard::default() };
    match plan {
        Plan::Never(why) => return nothing(why),
        Plan::Ask(ask) if ask.tls => return nothing("speaks TLS"),
        _ => {}
    }
    let connect = tokio::net::TcpStream::connect(endpoint.address);
    let mut stream = match tokio::time::timeout(within, connect).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return nothing(&error.to_string()),
        Err(_) => return nothing("no connection in time"),
    };
    let from = stream.local_addr().ok();
    if from == Some(endpoint.address) {
        return nothing("nothing listens any more");
    }
    let greeting = (GREETING_WITHIN + endpoint.rtt * 4).min(GREETING_WITHIN_MAX);
    let waits = Waits { greeting: greeting.min(within), whole: within };
    let host = match &endpoint.host {
        Some(name) => name.clone(),
        None if endpoint.address.is_ipv6() => format!("[{}]", endpoint.address.ip()),
        None => endpoint.address.ip().to_string(),
    };
    let answer = talk::talk(&mut stream, plan, waits, &host).await;
    let why = match (&answer, plan) {
        (Some(_), _) => None,
        (None, Plan::Listen) => {
            Some("says nothing first, and nothing is known that could be asked".to_string())
        }
        (None, _) => Some("gave no answer in the protocol that was expected".to_string()),
    };
    Heard { answer, from, why }
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
