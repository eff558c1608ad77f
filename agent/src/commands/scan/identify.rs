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

/// What stands for the fingerprints in a cache's key: nothing where they are our own, which are a part
/// of this program as the key has it; hashing them would cost every scan a millisecond.
pub(super) fn given(fingerprints: Option<&Fingerprints>) -> Vec<u8> {
    let given = fingerprints
        .filter(|one| one.databases().count() > Fingerprints::built_in().databases().count());
    given.map(|given| given.digest().to_vec()).unwrap_or_default()
}

/// Holds what the cache remembers of what runs against what is installed by now: an upgrade changes
/// nothing about the process that goes on.
pub(super) fn settle_known(report: &mut Report) {
    for port in report.hosts.iter_mut().flat_map(|host| host.ports.iter_mut()) {
        let package = port.owner.as_ref().and_then(|owner| owner.package.as_deref());
        let is_known = |service: &&mut ServiceReport| service.source.as_deref() == Some("cache");
        if let Some(service) = port.service.as_mut().filter(is_known) {
            let (source, age) = (service.source.clone(), service.age_s);
            truth::settle(service, package);
            (service.source, service.age_s) = (source, age);
        }
    }
}

/// Adds what the open ports say of themselves, and what their packages say. What the cache knows is not
/// asked again; `may_ask` is asked once for each endpoint of this host that would be.
pub(super) async fn add(
    report: &mut Report,
    fingerprints: &Fingerprints,
    host_timeout: Option<Duration>,
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
    let is_own = |(host, _): &(usize, usize)| report.hosts[*host].own;
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for (place, endpoint) in places.iter().zip(endpoints) {
        if is_own(place) { own.push(endpoint) } else { other.push(endpoint) }
    }
    let own = identify::identify(&own, fingerprints, WITHIN).await;
    let other = identify::identify_hosts(&other, fingerprints, WITHIN, host_timeout).await;
    let (mut own, mut other) = (own.into_iter(), other.into_iter());
    for (host, port) in places {
        let host = &mut report.hosts[host];
        let Some(outcome) = (if host.own { own.next() } else { other.next() }) else { continue };
        let port = &mut host.ports[port];
        if let Some(why) = outcome.why.as_ref().filter(|_| outcome.failed) {
            let place = SocketAddr::new(host.address, port.port);
            report.incomplete.push(format!("{place}: not identified: {why}"));
        }
        apply(port, outcome);
    }
}

fn apply(port: &mut PortReport, outcome: Outcome) {
    port.tls = outcome.tls.or(port.tls.take());
    let (why, failed) = (outcome.why, outcome.failed);
    let package = port.owner.as_ref().and_then(|owner| owner.package.clone());
    port.unidentified = why.clone();
    if outcome.identity.is_none() && package.is_none() {
        return;
    }
    let mut service = port.service.take().unwrap_or_default();
    if let Some(identity) = outcome.identity {
        take(&mut service, identity);
    }
    truth::settle(&mut service, package.as_deref());
    // Its package told what it did not say itself.
    port.unidentified = why.filter(|_| failed || service.product.is_none());
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_says_nothing_and_has_a_package_is_identified_unless_it_could_not_be_asked() {
        let port = |package: Option<&str>| -> PortReport {
            let owner = package.map(|package| json!({"pid": 1, "uid": 0, "package": package}));
            let mut port = json!({"port": 5432, "state": "open", "source": "probe", "age_s": 0,
                "service": {"name": "postgresql", "confidence": 0.9}});
            if let Some(owner) = owner {
                port["owner"] = owner;
            }
            serde_json::from_value(port).unwrap()
        };
        for (package, failed, told) in [
            (Some("postgresql-15 15.14-0"), false, None),
            (Some("postgresql-15 15.14-0"), true, Some("w")),
            (Some("python3.11-minimal 3.11.2-6"), false, Some("w")),
            (None, false, Some("w")),
        ] {
            let mut port = port(package);
            apply(&mut port, Outcome { why: Some("w".into()), failed, ..Outcome::default() });
            assert_eq!(port.unidentified.as_deref(), told, "{package:?} {failed}");
        }
    }

    #[test]
    fn what_is_remembered_is_held_against_what_is_installed_now() {
        let port = |port: u16, version: &str| {
            json!({"port": port, "state": "open", "source": "probe", "age_s": 0,
                "service": {"name": "ssh", "product": "OpenSSH", "version": version, "confidence": 1.0,
                    "source": "cache", "age_s": 77},
                "owner": {"pid": 1, "uid": 0, "package": "openssh-server 1:9.4p1-1"}})
        };
        let counts =
            json!({"open": 2, "closed": 0, "filtered": 0, "local_error": 0, "not_probed": 0});
        let report = json!({"schema": "wardmote.scan/1", "started": "", "elapsed_ms": 0.0,
            "hosts": [{"address": "127.0.0.1", "counts": counts,
                "ports": [port(22, "9.2p1"), port(23, "9.4p1")]}],
            "counts": counts, "incomplete": []});
        let mut report: Report = serde_json::from_value(report).unwrap();
        settle_known(&mut report);
        let told = |index: usize| report.hosts[0].ports[index].service.clone().unwrap();
        assert!(told(0).disagreement.unwrap().starts_with("runs 9.2p1, installed is 9.4p1"));
        assert_eq!((told(0).source.as_deref(), told(0).age_s), (Some("cache"), Some(77)));
        assert_eq!((told(1).disagreement, told(1).age_s), (None, Some(77)));
    }
}
