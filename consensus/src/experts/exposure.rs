//! Who can reach the weakness: is the affected service listening, and from where.
//!
//! It speaks of states only: an activity took place whatever is bound today. It abstains where no
//! service is concerned, where sockets could not be looked at, and where reach is unknown.

use crate::experts::{KERNEL, around, opinion};
use crate::gate::Needs;
use crate::{Context, Evidence, Expert, Exposure, Kind, Opinion, Severity};

/// The expert.
pub struct Exposed;

impl Expert for Exposed {
    fn name(&self) -> &'static str {
        "exposure"
    }

    fn needs(&self) -> Needs {
        Needs::STATE.raised().service().listeners()
    }

    fn judge(&self, evidence: &Evidence, context: &Context) -> Option<Opinion> {
        let judged = evidence.kind != Kind::Activity && evidence.level > Severity::Info;
        if !judged || evidence.services.is_empty() || !context.services_known {
            return None;
        }
        // The widest reach of any service concerned; the first in name order of equals.
        let mut names: Vec<&str> = evidence.services.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let widest = names
            .iter()
            .filter_map(|name| Some((*name, context.services.get(*name)?)))
            .reduce(|best, next| if next.1.exposure > best.1.exposure { next } else { best });
        let Some((name, service)) = widest else {
            let rationale = format!("out of reach: nothing listens as {}", names.join(" or "));
            return opinion(
                self.name(),
                unreachable(evidence.level, 0.4),
                1.0,
                rationale,
                &[KERNEL],
            );
        };
        let ports: Vec<String> = service.ports.iter().take(4).map(ToString::to_string).collect();
        let bound = format!("{name} listens on port {}", ports.join(", "));
        match service.exposure {
            Exposure::Unknown => None,
            Exposure::Loopback => {
                let rationale =
                    format!("{bound}, reachable only from the host itself ({})", service.because);
                opinion(self.name(), unreachable(evidence.level, 0.3), 1.0, rationale, &[KERNEL])
            }
            Exposure::Private => {
                let rationale =
                    format!("{bound}, reachable from private networks ({})", service.because);
                opinion(self.name(), around(evidence.level, 0.2, 0.2), 0.25, rationale, &[KERNEL])
            }
            Exposure::World => {
                let rationale = format!("{bound}, reachable from the world ({})", service.because);
                opinion(self.name(), around(evidence.level, 0.0, 0.45), 0.3, rationale, &[KERNEL])
            }
        }
    }
}

/// Nobody from outside gets there: low, or one above where the declared level is the highest.
fn unreachable(level: Severity, info: f64) -> [f64; 5] {
    match level {
        Severity::Critical => around(Severity::Medium, 0.2, 0.0),
        _ => around(Severity::Low, info, 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experts::tests::{listening, posture};

    fn judged(exposure: Exposure) -> Option<Opinion> {
        Exposed.judge(&posture(Severity::High), &listening(exposure))
    }

    #[test]
    fn the_wider_the_reach_the_worse() {
        let mean = |exposure| -> f64 {
            let said = judged(exposure).unwrap();
            said.distribution.iter().enumerate().map(|(level, p)| level as f64 * p).sum()
        };
        assert!(mean(Exposure::Loopback) < mean(Exposure::Private));
        assert!(mean(Exposure::Private) < mean(Exposure::World));
        assert_eq!(judged(Exposure::Loopback).unwrap().level(), Severity::Low);
    }

    #[test]
    fn the_rationale_cites_the_socket_and_what_decided() {
        let said = judged(Exposure::World).unwrap();
        assert_eq!(said.rationale, "ssh listens on port 22, reachable from the world (0.0.0.0)");
    }

    #[test]
    fn a_service_that_does_not_listen_is_as_good_as_unreachable() {
        let context = Context { services: Default::default(), ..listening(Exposure::World) };
        let said = Exposed.judge(&posture(Severity::Medium), &context).unwrap();
        assert!(said.level() <= Severity::Low);
        assert_eq!(said.rationale, "out of reach: nothing listens as ssh");
    }

    #[test]
    fn it_abstains_where_it_cannot_know() {
        assert!(judged(Exposure::Unknown).is_none());
        let blind = Context { services_known: false, ..listening(Exposure::World) };
        assert!(Exposed.judge(&posture(Severity::High), &blind).is_none());
        let of_host = Evidence { services: Vec::new(), ..posture(Severity::High) };
        assert!(Exposed.judge(&of_host, &listening(Exposure::World)).is_none());
        let past = Evidence { kind: Kind::Activity, ..posture(Severity::High) };
        assert!(Exposed.judge(&past, &listening(Exposure::World)).is_none());
        assert!(Exposed.judge(&posture(Severity::Info), &listening(Exposure::World)).is_none());
    }

    #[test]
    fn the_widest_of_several_services_counts() {
        let mut context = listening(Exposure::World);
        let inside = crate::Service {
            exposure: Exposure::Loopback,
            because: "127.0.0.1".into(),
            ports: vec![80],
            uid: None,
        };
        context.services.insert("http".into(), inside);
        let mut evidence = posture(Severity::High);
        evidence.services = vec!["http".into(), "ssh".into()];
        let one = Exposed.judge(&evidence, &context).unwrap();
        evidence.services.reverse();
        assert_eq!(Exposed.judge(&evidence, &context).unwrap(), one);
        assert!(one.rationale.starts_with("ssh "));
    }
}
