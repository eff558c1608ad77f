//! Corroboration: do other checks or rules speak of the same address, account or file.
//!
//! A service that many checks mention is merely a service with many checks, so mentions of services
//! raise nothing. Other rules about the same actor make an activity worse; other checks about the
//! same account or file make a state a little worse.

use std::collections::BTreeSet;

use crate::experts::{RULES, around, listed, opinion, shifted, subjects};
use crate::gate::Needs;
use crate::{Context, Evidence, Expert, Kind, Opinion, Severity};

/// This many other witnesses are as good as certain.
const MANY: usize = 3;

/// The expert.
pub struct Corroborated;

impl Expert for Corroborated {
    fn name(&self) -> &'static str {
        "corroboration"
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING.raised().subject()
    }

    fn judge(&self, evidence: &Evidence, context: &Context) -> Option<Opinion> {
        if evidence.level == Severity::Info {
            return None;
        }
        let subjects = subjects(evidence);
        let mut others: BTreeSet<&str> = BTreeSet::new();
        let mut shared: Vec<&str> = Vec::new();
        for subject in &subjects {
            let Some(speakers) = context.mentions.get(subject) else { continue };
            let before = others.len();
            others.extend(speakers.iter().map(String::as_str).filter(|s| *s != evidence.check));
            if others.len() > before {
                shared.push(subject);
            }
        }
        if others.is_empty() {
            return None;
        }
        let rationale = format!(
            "{} also named by {}",
            listed(shared.iter().copied()),
            listed(others.iter().copied())
        );
        let (distribution, confidence) = match evidence.kind {
            Kind::Activity if evidence.level >= Severity::High || others.len() >= MANY => {
                (around(shifted(evidence.level, 1), 0.0, 0.0), 1.0)
            }
            Kind::Activity => (around(evidence.level, 0.0, 0.4), 0.6),
            _ => (around(evidence.level, 0.0, 0.3), 0.4),
        };
        opinion(self.name(), distribution, confidence, rationale, &[RULES])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subject;
    use crate::experts::tests::posture;

    fn activity(level: Severity) -> Evidence {
        let subject = Subject { ip: Some("192.0.2.7".into()), ..Subject::default() };
        Evidence { kind: Kind::Activity, subject, check: "rule-a".into(), ..posture(level) }
    }

    fn mentions(subject: &str, speakers: &[&str]) -> Context {
        let speakers = speakers.iter().map(ToString::to_string).collect();
        Context { mentions: [(subject.to_string(), speakers)].into(), ..Context::default() }
    }

    #[test]
    fn another_rule_about_the_same_address_raises_a_grave_activity() {
        let context = mentions("ip:192.0.2.7", &["rule-a", "rule-b"]);
        let said = Corroborated.judge(&activity(Severity::High), &context).unwrap();
        assert_eq!(said.level(), Severity::Critical);
        assert_eq!(said.rationale, "ip:192.0.2.7 also named by rule-b");
        let slight = Corroborated.judge(&activity(Severity::Low), &context).unwrap();
        assert_eq!(slight.level(), Severity::Low);
    }

    #[test]
    fn its_own_rule_is_no_witness() {
        let context = mentions("ip:192.0.2.7", &["rule-a"]);
        assert!(Corroborated.judge(&activity(Severity::High), &context).is_none());
    }

    #[test]
    fn a_service_with_many_checks_is_not_worse_for_it() {
        let context = mentions("service:ssh", &["a", "b", "c", "d"]);
        assert!(Corroborated.judge(&posture(Severity::Medium), &context).is_none());
    }
}
