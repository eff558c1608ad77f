//! Noise: storms, jobs, and probes of the operator's own.
//!
//! Addresses that monitor the host on the operator's behalf, this host's own addresses, and what a
//! crowd of addresses does at the same time (the background of the internet) say little about an
//! attack; nor do attempts on one account that come like clockwork: a job with an outdated password. It speaks of attempts only: what was done is never noise, nor is anything grave. An address
//! of this host may be a proxy's, and loopback nearly always is one's: that counts little, or nothing.

use crate::experts::{KERNEL, LOGS, OPERATOR, address, around, opinion, shifted, uses, was_done};
use crate::gate::Needs;
use crate::{Context, Evidence, Expert, Kind, Opinion, Severity};

/// From so many addresses under one rule it is the background of the internet.
const CROWD: u64 = 50;

/// The expert.
pub struct Noise;

impl Expert for Noise {
    fn name(&self) -> &'static str {
        "noise"
    }

    fn needs(&self) -> Needs {
        Needs::ACTIVITY.raised().address()
    }

    fn judge(&self, evidence: &Evidence, context: &Context) -> Option<Opinion> {
        let attempt = evidence.kind == Kind::Activity && !was_done(evidence);
        let level = evidence.level;
        if !attempt || level == Severity::Info || level >= Severity::High {
            return None;
        }
        let address = address(evidence)?;
        if let Some(network) = context.operator.monitoring.find(address) {
            let rationale = format!("{address} probes on the operator's behalf ({network})");
            let distribution = around(shifted(level, -2), 0.0, 0.1);
            return opinion(self.name(), distribution, 1.0, rationale, &[OPERATOR]);
        }
        let own = context.own_addresses.as_ref().filter(|_| !address.is_loopback());
        if own.is_some_and(|own| own.contains(address)) {
            let rationale = format!("{address} is this host's own: its own probe, or a proxy");
            return opinion(self.name(), around(level, 0.4, 0.0), 0.4, rationale, &[KERNEL]);
        }
        let clockwork = evidence.facts.get("rhythm").filter(|_| is_guessing(evidence));
        if let Some(rhythm) = clockwork {
            let rationale =
                format!("{rhythm} like clockwork, on one account: rather a job than a person");
            return opinion(self.name(), around(level, 0.4, 0.0), 0.4, rationale, &[LOGS]);
        }
        let crowd = *context.addresses_named.get(&evidence.check).filter(|n| **n >= CROWD)?;
        let rationale =
            format!("one of {crowd} addresses that {} names: background", evidence.check);
        opinion(self.name(), around(level, 0.5, 0.0), 0.5, rationale, &[LOGS])
    }
}

/// Whether passwords of a single account are tried.
fn is_guessing(evidence: &Evidence) -> bool {
    let one = evidence.facts.get("users_tried").is_some_and(|users| users == "1");
    one && uses(evidence, &["attack.t1110"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experts::tests::{activity, mean, with_fact};

    fn monitored() -> Context {
        let mut context = Context::default();
        context.operator.monitoring = vec!["192.0.2.7".parse().unwrap()].into();
        context
    }

    #[test]
    fn own_probes_are_noise() {
        let said = Noise.judge(&activity(Severity::Medium), &monitored()).unwrap();
        assert_eq!(said.rationale, "192.0.2.7 probes on the operator's behalf (192.0.2.7)");
        assert_eq!(said.level(), Severity::Info);
        let own = Some(vec!["192.0.2.0/24".parse().unwrap()].into());
        let context = Context { own_addresses: own, ..Context::default() };
        let said = Noise.judge(&activity(Severity::Medium), &context).unwrap();
        assert!(mean(&said) < 2.0 && said.confidence < 0.5);
        assert!(Noise.judge(&activity(Severity::Medium), &Context::default()).is_none());
    }

    #[test]
    fn clockwork_on_one_account_is_a_job() {
        let tags = vec!["attack.t1110.001".into()];
        let guesses = Evidence { tags, ..activity(Severity::Medium) };
        let clock = with_fact(guesses, "rhythm", "every 300 s");
        let one = with_fact(clock.clone(), "users_tried", "1");
        let said = Noise.judge(&one, &Context::default()).unwrap();
        assert!(mean(&said) < 2.0 && said.rationale.starts_with("every 300 s like clockwork"));
        // Many accounts are somebody's list, however evenly it is worked off.
        let many = with_fact(clock, "users_tried", "9");
        assert!(Noise.judge(&many, &Context::default()).is_none());
        let done = with_fact(one, "success", "true");
        assert!(Noise.judge(&done, &Context::default()).is_none());
    }

    #[test]
    fn what_was_done_or_is_grave_is_no_noise() {
        assert!(Noise.judge(&activity(Severity::High), &monitored()).is_none());
        let done = with_fact(activity(Severity::Medium), "entered_as", "root");
        assert!(Noise.judge(&done, &monitored()).is_none());
    }

    #[test]
    fn a_proxy_on_the_host_hides_who_it_is() {
        let mut evidence = activity(Severity::Medium);
        evidence.subject.ip = Some("127.0.0.1".into());
        let own = Some(vec!["127.0.0.0/8".parse().unwrap()].into());
        let context = Context { own_addresses: own, ..Context::default() };
        assert!(Noise.judge(&evidence, &context).is_none());
    }

    #[test]
    fn a_crowd_is_background() {
        let among = |count| {
            let addresses_named = [("ssh-brute-force".to_string(), count)].into();
            let context = Context { addresses_named, ..Context::default() };
            Noise.judge(&activity(Severity::Medium), &context)
        };
        assert!(among(CROWD - 1).is_none());
        assert!(mean(&among(CROWD).unwrap()) < 2.0);
    }
}
