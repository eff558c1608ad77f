//! `scan --identify`: what is behind the open ports of a report.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use scanner::ports::identify::fingerprints::Fingerprints;
use scanner::ports::identify::{self, Endpoint, Outcome, truth};
use scanner::ports::report::{PortReport, Report, ServiceReport};
use scanner::ports::service;

use crate::commands::fingerprints;

/// For one service, from the connection to its goodbye.
const WITHIN: Duration = Duration::from_secs(5);

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Ask open ports what they are: product and version
    #[arg(long)]
    pub identify: bool,
    /// More fingerprints for --identify: a directory in the recog form (*.xml)
    #[arg(long, value_name = "DIR", requires = "identify")]
    recog: Option<PathBuf>,
}

/// Our own fingerprints, and those of `--recog`; none without `--identify`.
pub(super) fn known(args: &Options) -> anyhow::Result<Option<Fingerprints>> {
    if !args.identify {
        return Ok(None);
    }
    let built_in = Fingerprints::built_in().clone();
    Ok(Some(match &args.recog {
        Some(directory) => built_in.with(fingerprints::load(directory)?),
        None => built_in,
    }))
}

/// Adds what the open ports say of themselves, and what their packages say. What the cache knows is not
/// asked again; `may_ask` is asked once for each endpoint of this host that would be.
pub(super) async fn add(
    report: &mut Report,
    fingerprints: &Fingerprints,
    mut may_ask: impl FnMut(SocketAddr) -> bool,
) {
    let mut endpoints = Vec::new();
    let mut places = Vec::new();
    for (host_index, host) in report.hosts.iter().enumerate() {
        for (index, port) in host.ports.iter().enumerate().filter(|(_, port)| port.state == "open")
        {
            let address = SocketAddr::new(host.address, port.port);
            let is_known = |service: &ServiceReport| service.source.as_deref() == Some("cache");
            if port.service.as_ref().is_some_and(is_known) || host.own && !may_ask(address) {
                continue;
            }
            places.push((host_index, index));
            let owner = port.owner.as_ref();
            endpoints.push(Endpoint {
                address,
                host: host.name.clone(),
                holder: owner
                    .and_then(|one| service::by_holder(one.exe.as_deref(), one.unit.as_deref())),
                rtt: Duration::from_micros(port.rtt_us.unwrap_or(0).into()),
            });
        }
    }
    let outcomes = identify::identify(&endpoints, fingerprints, WITHIN).await;
    for ((host, port), outcome) in places.into_iter().zip(outcomes) {
        apply(&mut report.hosts[host].ports[port], outcome);
    }
}

fn apply(port: &mut PortReport, outcome: Outcome) {
    port.tls = outcome.tls.or(port.tls.take());
    let package = port.owner.as_ref().and_then(|owner| owner.package.clone());
    if outcome.identity.is_none() && package.is_none() {
        return;
    }
    let mut service = port.service.take().unwrap_or_default();
    if let Some(identity) = outcome.identity {
        take(&mut service, identity);
    }
    truth::settle(&mut service, package.as_deref());
    if !service.name.is_empty() {
        port.service = Some(service);
    }
}

/// What the service said. Its name stays where the executable already told a better one than the
/// protocol: `rabbitmq`, not `amqp`.
fn take(service: &mut ServiceReport, identity: identify::Identity) {
    let is_better = service.confidence < 0.5
        || service.name.is_empty()
        || (service.name.as_str(), identity.service.as_str()) == ("imap", "pop3");
    if is_better && identity.service != "greeting" {
        service.name = identity.service;
    }
    service.confidence = service.confidence.max(identity.confidence);
    if identity.product.is_some() || identity.banner.is_some() {
        (service.source, service.age_s) = (Some("probe".to_string()), Some(0));
    }
    (service.product, service.version) = (identity.product, identity.version);
    service.banner = identity.banner;
}
