//! What the kernel's tables tell of services: full and short queues, views that disagree, other
//! network namespaces, and executables that no package owns.

use std::collections::BTreeMap;

use consensus::{Exposure, Severity, SourceLine};
use parsers::tree::Links;

use super::{SUMMARY_LINES_MAX, is_transient, line, observation, shown, unseen_owners, with};
use crate::Facts;
use crate::checks::{Observation, Outcome};
use crate::packages::{Installed, STATUS};
use crate::ports::Listener;
use crate::ports::inventory::saturated;
use crate::ports::truth::Cause;

/// Backlogs below this one are too small for a service that others can reach: a browser opens six
/// connections at once (RFC 9112, 9.4 leaves the number to it), so that one visitor and one more client
/// between two accepts fill the queue; everybody else then waits a second for the next SYN. The daemons
/// of a distribution ask for 32 to 511.
const BACKLOG_MIN: u32 = 8;
/// Where programs are installed that no package owns, on purpose.
const UNPACKAGED: [&str; 5] = ["/opt/", "/usr/local/", "/snap/", "/var/lib/snapd/", "/nix/"];

pub(super) fn full_queues(facts: &Facts<'_>) -> Outcome {
    with(facts, |inventory| {
        let found: Vec<Observation> = inventory
            .listeners
            .iter()
            .filter(|one| is_saturated(one))
            .map(|one| {
                let (waiting, most) = one.queue;
                let title = format!("{} on {}: accept queue full", one.service, shown(one));
                observation(one).title(title).fact("queue", format!("{waiting} of {most}"))
            })
            .collect();
        Outcome::failed_or(found, "no accept queue is full")
    })
}

/// The tables of `/proc/net` do not show the limit: a limit of 0 is one only from the kernel's dump.
fn is_saturated(listener: &Listener) -> bool {
    saturated(listener.queue) && (listener.queue.1 > 0 || listener.cookie.is_some())
}

pub(super) fn short_queues(facts: &Facts<'_>) -> Outcome {
    with(facts, |inventory| {
        let told = |one: &&Listener| one.protocol == "tcp" && one.cookie.is_some();
        let reachable: Vec<&Listener> = inventory
            .listeners
            .iter()
            .filter(told)
            .filter(|one| matches!(one.exposure, Exposure::World | Exposure::Private))
            .collect();
        if reachable.is_empty() {
            return Outcome::not_applicable("no TCP service with a known backlog can be reached");
        }
        let found: Vec<Observation> = reachable
            .into_iter()
            .filter(|one| one.queue.1 < BACKLOG_MIN)
            .map(|one| {
                let most = one.queue.1;
                let title = format!(
                    "{} on {}: at most {most} connections may wait to be accepted",
                    one.service,
                    shown(one)
                );
                let level = match one.exposure {
                    Exposure::World => Severity::Low,
                    _ => Severity::Info,
                };
                observation(one).title(title).level(level).fact("backlog", most.to_string())
            })
            .collect();
        Outcome::failed_or(found, format!("every backlog is {BACKLOG_MIN} or more"))
    })
}

pub(super) fn hidden_listeners(facts: &Facts<'_>) -> Outcome {
    with(facts, |inventory| {
        let found: Vec<Observation> = inventory
            .disagreements
            .iter()
            .filter(|one| matches!(one.cause, Cause::Hidden | Cause::Namespace))
            .map(|one| {
                let place = std::net::SocketAddr::new(one.address, one.port);
                let seen = Observation {
                    key: format!("{} {place}", one.protocol),
                    lines: vec![SourceLine {
                        file: "kernel:sock_diag".to_string(),
                        line: 0,
                        column: 0,
                        text: format!("{} {place}: {}", one.protocol, one.because),
                    }],
                    facts: [("cause".to_string(), one.cause.name().to_string())].into(),
                    ..Observation::default()
                };
                let title = format!("{} {place} is not shown everywhere", one.protocol);
                match one.cause {
                    Cause::Hidden => seen.title(title).floor(Severity::High),
                    _ => seen.title(title).level(Severity::Low),
                }
            })
            .collect();
        let blind = inventory.incomplete.iter().find(|why| why.starts_with("/proc/net"));
        if let (true, Some(why)) = (found.is_empty(), blind) {
            return Outcome::not_run(why.clone());
        }
        Outcome::failed_or(found, "netlink and /proc/net show the same listeners")
    })
}

/// One summary: what no package owns is usual below `/opt` and `/usr/local`.
pub(super) fn unpackaged(facts: &Facts<'_>) -> Outcome {
    with(facts, |inventory| {
        let installed = facts.get::<Installed>();
        if let Some(why) = &installed.unavailable {
            // A host of another package manager, or of none, has nothing that could be asked.
            let none = facts.tree.stat(std::path::Path::new(STATUS), Links::Follow);
            return match none {
                Err(error) if error.not_found() => Outcome::not_applicable(why.clone()),
                _ => Outcome::not_run(why.clone()),
            };
        }
        let mut found: BTreeMap<&str, &Listener> = BTreeMap::new();
        for listener in &inventory.listeners {
            for owner in &listener.owners {
                let exe = owner.exe.as_deref().filter(|exe| exe.starts_with('/'));
                let ours = owner.package.is_none() && owner.container.is_none() && !owner.deleted;
                if let (Some(exe), true) = (exe, ours)
                    && !is_transient(exe)
                    && facts.tree.stat(std::path::Path::new(exe), Links::Follow).is_ok()
                {
                    found.entry(exe).or_insert(listener);
                }
            }
        }
        let hidden = unseen_owners(inventory);
        if found.is_empty() {
            return match hidden {
                Some(hidden) => Outcome::not_run(hidden),
                None => Outcome::passed("a package owns every listening executable"),
            };
        }
        let usual = |exe: &&&str| UNPACKAGED.iter().any(|place| exe.starts_with(place));
        let count = found.len();
        let elsewhere = count - found.keys().filter(usual).count();
        let files = if count == 1 { "executable belongs" } else { "executables belong" };
        Outcome::failed(Observation {
            title: Some(format!("{count} listening {files} to no package")),
            lines: found.values().take(SUMMARY_LINES_MAX).map(|one| line(one)).collect(),
            facts: [
                ("executables".to_string(), found.keys().copied().collect::<Vec<_>>().join(" ")),
                ("outside of /opt, /usr/local and the like".to_string(), elsewhere.to_string()),
            ]
            .into(),
            ..Observation::default()
        })
        .unseen(hidden)
    })
}

pub(super) fn other_namespaces(facts: &Facts<'_>) -> Outcome {
    with(facts, |inventory| {
        let blind = inventory.incomplete.iter().find(|why| why.contains("other network namespace"));
        let open: Vec<&Listener> =
            inventory.elsewhere.iter().filter(|one| one.exposure != Exposure::Loopback).collect();
        if open.is_empty() {
            return match blind {
                Some(why) => Outcome::not_run(why.clone()),
                None => Outcome::passed("nothing in another network namespace can be reached"),
            };
        }
        let mut namespaces: Vec<&str> =
            open.iter().filter_map(|one| one.namespace.as_deref()).collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        let count = open.len();
        Outcome::failed(Observation {
            title: Some(format!("{count} ports listen in other network namespaces")),
            lines: open.iter().take(SUMMARY_LINES_MAX).map(|one| line(one)).collect(),
            facts: [("namespaces".to_string(), namespaces.join(", "))].into(),
            ..Observation::default()
        })
        .unseen(blind.cloned())
    })
}
