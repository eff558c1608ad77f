//! Fourth stage: may it be believed? Whether the evidence is whole, on how many sources it rests, and
//! whether its clocks are sane; and for what is high or critical a second reading by somebody who wants
//! to refute it.
//!
//! Nothing here changes a severity: that is the panel's. Doubts are shown beside the verdict, ask for a
//! human, and keep automatic responses from acting.

use std::collections::BTreeSet;

use consensus::context::Seen;
use consensus::{Context, Evidence, Kind, Severity};
use serde::{Deserialize, Serialize};

/// How far clocks may differ, seconds.
const CLOCK_SLACK_S: i64 = 300;
/// Days on which something happened before it is routine.
const ROUTINE_DAYS: u32 = 5;
/// Events before this are of a clock that was never set: 2000-01-01.
const EARLIEST: i64 = 946_684_800;
/// How long before an event a change of packages explains it, seconds.
const CHANGE_EXPLAINS_S: i64 = 3_600;

/// What verifying found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// What is wrong with the evidence itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// Files, tables and journals that it was seen in.
    pub sources: usize,
    /// The harmless reading, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuted: Option<String>,
}

impl Checked {
    /// Whether nothing speaks against acting on it.
    pub fn stands(&self) -> bool {
        self.faults.is_empty() && self.refuted.is_none()
    }
}

/// Verifies one piece of evidence.
pub fn verify(evidence: &Evidence, context: &Context) -> Checked {
    let sources: BTreeSet<&str> = evidence.sources.iter().map(|one| one.file.as_str()).collect();
    let refuted = (evidence.level >= Severity::High).then(|| refute(evidence, context)).flatten();
    Checked { faults: faults(evidence, context.now), sources: sources.len(), refuted }
}

fn faults(evidence: &Evidence, now: i64) -> Vec<String> {
    let mut faults = Vec::new();
    if evidence.sources.is_empty() {
        faults.push("no source shows it".to_string());
    }
    if evidence.sources.iter().any(|source| source.line > 0 && source.text.is_empty()) {
        faults.push("a source line is empty".to_string());
    }
    if evidence.count == 0 {
        faults.push("it stands for no event".to_string());
    }
    if evidence.kind == Kind::Activity {
        faults.extend(clock(evidence.first, evidence.last, now));
    }
    faults
}

fn clock(first: Option<i64>, last: Option<i64>, now: i64) -> Option<String> {
    match (first, last) {
        (_, Some(last)) if last > now.saturating_add(CLOCK_SLACK_S) => {
            Some(format!("its last event is {} s in the future: a clock is wrong", last - now))
        }
        (Some(first), Some(last)) if first > last => {
            Some("its first event is after its last: a clock was set back".to_string())
        }
        (Some(first), _) if first < EARLIEST => {
            Some("its first event is before 2000: a clock was never set".to_string())
        }
        _ => None,
    }
}

/// The strongest harmless reading. What is known bad and what succeeded has none: only its author could
/// say that it was meant.
fn refute(evidence: &Evidence, context: &Context) -> Option<String> {
    let succeeded = evidence.facts.get("success").is_some_and(|told| told == "true");
    if evidence.floor.is_some() || succeeded {
        return None;
    }
    own_address(evidence, context)
        .or_else(|| routine(evidence, context))
        .or_else(|| upgrade(evidence, context))
}

fn own_address(evidence: &Evidence, context: &Context) -> Option<String> {
    let address = evidence.subject.ip.as_deref()?.parse::<std::net::IpAddr>().ok()?.to_canonical();
    let operator = &context.operator;
    if operator.monitoring.contains(address) {
        return Some(format!("{address} probes this host on the operator's behalf"));
    }
    let own = context.own_addresses.as_ref().is_some_and(|own| own.contains(address));
    (own || address.is_loopback()).then(|| format!("{address} is this host itself"))
}

fn routine(evidence: &Evidence, context: &Context) -> Option<String> {
    let rule = context.past.as_ref()?.rules.as_ref()?.get(&evidence.check)?;
    let subject = &evidence.subject;
    let named = [("ip", &subject.ip), ("user", &subject.user), ("path", &subject.path)];
    // All that it is about has to be routine: a known account from a new address is not.
    let mut days: Option<u32> = None;
    for (kind, value) in named {
        let Some(value) = value else { continue };
        let Seen { days: seen, .. } = rule.subjects.get(&format!("{kind}:{value}"))?;
        days = Some(days.map_or(*seen, |least| least.min(*seen)));
    }
    let days = days.filter(|days| *days >= ROUTINE_DAYS)?;
    Some(format!("the same was seen here on {days} days before"))
}

fn upgrade(evidence: &Evidence, context: &Context) -> Option<String> {
    let path = format!("path:{}", evidence.subject.path.as_deref()?);
    let at = evidence.last?;
    let explains = |when: i64| when <= at && at - when <= CHANGE_EXPLAINS_S;
    let changes = context.changes.as_ref()?;
    changes
        .iter()
        .any(|change| change.by_package && change.subject == path && explains(change.at))
        .then(|| "packages were upgraded at that time".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::case::samples::{NOW, evidence, networks};
    use consensus::Past;
    use consensus::context::{Change, RulePast};

    fn context() -> Context {
        Context { now: NOW, ..Context::default() }
    }

    #[test]
    fn whole_evidence_stands() {
        let checked = verify(&evidence("ssh", Severity::Critical), &context());
        assert_eq!(checked, Checked { sources: 1, ..Checked::default() });
        assert!(checked.stands());
    }

    #[test]
    fn faults_of_evidence_and_of_clocks_are_named() {
        let faulty = |change: fn(&mut Evidence)| {
            let mut seen = evidence("ssh", Severity::Low);
            change(&mut seen);
            let checked = verify(&seen, &context());
            assert!(!checked.stands());
            checked.faults.join(";")
        };
        assert!(faulty(|seen| seen.sources.clear()).contains("no source"));
        assert!(faulty(|seen| seen.sources[0].text.clear()).contains("empty"));
        assert!(faulty(|seen| seen.count = 0).contains("no event"));
        assert!(faulty(|seen| seen.last = Some(NOW + 301)).contains("301 s in the future"));
        assert!(faulty(|seen| seen.first = seen.last.map(|last| last + 1)).contains("set back"));
        assert!(faulty(|seen| seen.first = Some(0)).contains("never set"));
        let mut slack = evidence("ssh", Severity::Low);
        slack.last = Some(NOW + 300);
        assert!(verify(&slack, &context()).stands());
    }

    #[test]
    fn a_second_reading_refutes_what_is_monitoring_routine_or_an_upgrade() {
        let mut seen = evidence("ssh", Severity::High);
        let mut monitored = context();
        monitored.operator.monitoring = networks("192.0.2.0/24");
        assert!(verify(&seen, &monitored).refuted.unwrap().contains("operator's behalf"));

        let mut routine = context();
        let rule = RulePast {
            subjects: [("ip:192.0.2.7".to_string(), Seen { days: 5, ..Seen::default() })].into(),
            ..RulePast::default()
        };
        let rules = Some([("ssh".to_string(), rule)].into());
        routine.past = Some(Past { rules, ..Past::default() });
        assert!(verify(&seen, &routine).refuted.unwrap().contains("5 days"));
        seen.subject.user = Some("root".into());
        assert_eq!(verify(&seen, &routine).refuted, None, "the account is new to it");

        let mut changed = evidence("integrity", Severity::High);
        changed.subject =
            consensus::Subject { path: Some("/usr/bin/x".into()), ..Default::default() };
        let mut upgraded = context();
        let change = Change { subject: "path:/usr/bin/x".into(), at: NOW - 60, by_package: true };
        upgraded.changes = Some(vec![change]);
        assert!(verify(&changed, &upgraded).refuted.unwrap().contains("upgraded"));
    }

    #[test]
    fn success_and_floors_are_not_refuted_and_the_mild_is_not_read_twice() {
        let mut monitored = context();
        monitored.operator.monitoring = networks("192.0.2.0/24");
        let mut seen = evidence("ssh", Severity::High);
        seen.facts.insert("success".into(), "true".into());
        assert_eq!(verify(&seen, &monitored).refuted, None);
        let mut seen = evidence("ssh", Severity::High);
        seen.floor = Some(Severity::High);
        assert_eq!(verify(&seen, &monitored).refuted, None);
        assert_eq!(verify(&evidence("ssh", Severity::Medium), &monitored).refuted, None);
    }
}
