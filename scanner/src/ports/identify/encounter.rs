//! One port: connections to it, in the clear or inside TLS, and what came of them.
//!
//! A port gets one connection for its identity, and a second one only for the certificate behind
//! STARTTLS, or where what should have been TLS answered in the clear.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::dial::{dial, near};
use crate::ports::report::TlsReport;
use crate::ports::tls::{self, Start, TalkError, TlsError};

use super::plan::{Ask, Plan, Protocol};
use super::protocols::{Answer, Step, postgresql};
use super::talk::{Silence, Waits, hear};
use super::{Endpoint, plan};

/// Wait for a greeting on this host, and the least elsewhere.
const GREETING_WITHIN: Duration = Duration::from_millis(300);
/// Most that a slow path makes of it.
const GREETING_WITHIN_MAX: Duration = Duration::from_millis(1_500);

/// What came of one port.
#[derive(Debug, Default)]
pub(super) struct Met {
    pub answer: Option<Answer>,
    pub tls: Option<TlsReport>,
    /// Our end of the first connection.
    pub from: Option<SocketAddr>,
    pub why: Option<String>,
    /// It could not be asked.
    pub failed: bool,
}

impl Met {
    fn nothing(why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..Self::default() }
    }

    fn failed(why: impl Into<String>) -> Self {
        Self { failed: true, ..Self::nothing(why) }
    }

    /// What a conversation came to.
    fn heard(mut self, plan: Plan, heard: Result<Answer, Silence>) -> Self {
        match heard {
            Ok(answer) => self.answer = Some(answer),
            Err(Silence::Unknown) => self.why = Some(silence(plan)),
            Err(Silence::Closed) => {
                self.why = Some("closed the connection without a word".to_string());
            }
            Err(Silence::Broken(why)) => {
                (self.why, self.failed) = (Some(format!("the connection broke: {why}")), true);
            }
        }
        self
    }
}

/// Meets a service. `within` bounds the identity, and once more the certificate behind STARTTLS.
pub(super) async fn meet(endpoint: &Endpoint, within: Duration) -> Met {
    let plan = plan::plan(endpoint.address.port(), endpoint.holder.as_deref());
    let mut met = match plan {
        Plan::Never(why) => Met::nothing(why),
        Plan::Ask(ask) if ask.protocol == Protocol::Postgresql && !ask.tls => {
            return postgresql(endpoint, within).await;
        }
        Plan::Ask(ask) if ask.tls => inside(endpoint, ask, within).await,
        Plan::Listen | Plan::Ask(_) => plainly(endpoint, plan, within).await,
    };
    if met.tls.is_none()
        && let Some(start) = start(endpoint, plan, met.answer.as_ref())
    {
        // No certificate here is nothing amiss: most servers of these protocols offer none.
        met.tls = tls::look(endpoint.address, start, endpoint.host.as_deref(), within).await.ok();
    }
    met
}

/// A service that was not met, because its host has taken longer than it may.
pub(super) fn late(most: Duration) -> Met {
    Met::failed(format!("not asked: its host took longer than {most:?}"))
}

/// How TLS begins with what was met, if it is behind STARTTLS. A port that was not to be touched stays
/// so, but for one whose package told all the rest. Another host's MySQL would count a handshake that
/// nobody finishes against our address.
fn start(endpoint: &Endpoint, plan: Plan, answer: Option<&Answer>) -> Option<Start> {
    let start = match (plan, answer) {
        (Plan::Never(_), _) if plan::is_printer(endpoint.address.port()) => return None,
        (Plan::Never(_), _) => Start::of_service(endpoint.holder.as_deref()?),
        (_, Some(answer)) if answer.without_tls => None,
        (_, Some(answer)) => Start::of_service(answer.service),
        (_, None) => None,
    }?;
    (start != Start::Mysql || endpoint.address.ip().is_loopback()).then_some(start)
}

async fn plainly(endpoint: &Endpoint, plan: Plan, within: Duration) -> Met {
    let connected = match plan {
        Plan::Ask(ask) if ask.protocol == Protocol::Redis => near(endpoint.address, within).await,
        _ => dial(endpoint.address, within).await,
    };
    let mut stream = match connected {
        Ok(stream) => stream,
        Err(error) => return Met::failed(format!("not connected: {}", told(&error))),
    };
    let from = stream.local_addr().ok();
    if from == Some(endpoint.address) {
        return Met::failed("nothing listens any more");
    }
    let heard = hear(&mut stream, plan, waits(endpoint, within), &host(endpoint)).await;
    Met { from, ..Met::default() }.heard(plan, heard)
}

/// An error without its number.
fn told(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words).to_lowercase()
}

/// Speaks inside TLS; in the clear, where the service turned out to speak so.
async fn inside(endpoint: &Endpoint, ask: Ask, within: Duration) -> Met {
    let end = Instant::now() + within;
    let name = endpoint.host.as_deref();
    let (report, stream) = match tls::connect(endpoint.address, Start::Direct, name, within).await {
        Ok(found) => found,
        Err(TlsError::NotTls(_)) => {
            let rest = end.saturating_duration_since(Instant::now());
            return plainly(endpoint, Plan::Ask(Ask { tls: false, ..ask }), rest).await;
        }
        Err(error) => return Met::failed(error.to_string()),
    };
    let mut met = Met { tls: Some(report), ..Met::default() };
    let Some(mut stream) = stream else {
        met.why = Some("only the certificate could be seen".to_string());
        return met;
    };
    let rest = end.saturating_duration_since(Instant::now());
    let plan = Plan::Ask(ask);
    let heard = hear(&mut stream, plan, waits(endpoint, rest), &host(endpoint)).await;
    met.heard(plan, heard)
}

/// PostgreSQL's one byte. Where it offers TLS the handshake is done: a client that leaves before is
/// logged as an error.
async fn postgresql(endpoint: &Endpoint, within: Duration) -> Met {
    let name = endpoint.host.as_deref();
    let (byte, tls) = match tls::look(endpoint.address, Start::Postgresql, name, within).await {
        Ok(report) => (b"S", Some(report)),
        Err(TlsError::Talk(TalkError::NotOffered)) => (b"N", None),
        Err(error) => return Met::failed(error.to_string()),
    };
    let answer = match postgresql::answer(byte) {
        Step::Done(answer) => Some(answer),
        _ => None,
    };
    Met { answer, tls, ..Met::default() }
}

fn waits(endpoint: &Endpoint, whole: Duration) -> Waits {
    let greeting = (GREETING_WITHIN + endpoint.rtt * 4).min(GREETING_WITHIN_MAX).min(whole);
    Waits { greeting, whole }
}

/// What HTTP names as the host.
fn host(endpoint: &Endpoint) -> String {
    match &endpoint.host {
        Some(name) => name.clone(),
        None if endpoint.address.is_ipv6() => format!("[{}]", endpoint.address.ip()),
        None => endpoint.address.ip().to_string(),
    }
}

fn silence(plan: Plan) -> String {
    match plan {
        Plan::Listen => "says nothing first, and nothing is known that could be asked",
        _ => "gave no answer in the protocol that was expected",
    }
    .to_string()
}
