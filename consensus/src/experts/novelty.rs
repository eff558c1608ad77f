//! First seen: an address, account, file or service that this host did not know before the period
//! examined. Strangers who merely knock are normal; what a rule calls grave is graver from a
//! stranger. Without a history it abstains: on the first day everything is new.

use crate::experts::{HISTORY, around, listed, opinion, shifted, subjects};
use crate::gate::Needs;
use crate::{Context, Evidence, Expert, Kind, Opinion, Severity};

/// The expert.
pub struct Novel;

impl Expert for Novel {
    fn name(&self) -> &'static str {
        "novelty"
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING.raised().history()
    }

    fn judge(&self, evidence: &Evidence, context: &Context) -> Option<Opinion> {
        let new = context.new_subjects.as_ref()?;
        if evidence.level == Severity::Info {
            return None;
        }
        let mut names = subjects(evidence);
        if evidence.kind == Kind::Service {
            names.extend(evidence.services.iter().map(|name| format!("service:{name}")));
        }
        names.retain(|name| new.contains(name));
        names.sort_unstable();
        if names.is_empty() {
            return None;
        }
        let rationale =
            format!("never seen on this host before: {}", listed(names.iter().map(String::as_str)));
        let (distribution, confidence) = match evidence.kind {
            Kind::Activity if evidence.level >= Severity::High => {
                (around(shifted(evidence.level, 1), 0.0, 0.0), 1.0)
            }
            Kind::Activity => (around(evidence.level, 0.0, 0.1), 0.3),
            _ => (around(evidence.level, 0.0, 0.3), 0.4),
        };
        opinion(self.name(), distribution, confidence, rationale, &[HISTORY])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subject;
    use crate::experts::tests::posture;

    fn from(ip: &str, level: Severity) -> Evidence {
        let subject = Subject { ip: Some(ip.into()), ..Subject::default() };
        Evidence { kind: Kind::Activity, subject, ..posture(level) }
    }

    fn history(new: &[&str]) -> Context {
        let new = new.iter().map(ToString::to_string).collect();
        Context { new_subjects: Some(new), ..Context::default() }
    }

    #[test]
    fn grave_things_are_graver_from_strangers() {
        let context = history(&["ip:192.0.2.7"]);
        let said = Novel.judge(&from("192.0.2.7", Severity::High), &context).unwrap();
        assert_eq!(said.level(), Severity::Critical);
        assert_eq!(said.rationale, "never seen on this host before: ip:192.0.2.7");
        let knock = Novel.judge(&from("192.0.2.7", Severity::Low), &context).unwrap();
        assert_eq!(knock.level(), Severity::Low);
        assert!(Novel.judge(&from("192.0.2.8", Severity::High), &context).is_none());
    }

    #[test]
    fn without_a_history_it_abstains() {
        assert!(Novel.judge(&from("192.0.2.7", Severity::High), &Context::default()).is_none());
    }

    #[test]
    fn a_new_service_counts_for_evidence_about_services() {
        let context = history(&["service:ssh"]);
        let listener = Evidence { kind: Kind::Service, ..posture(Severity::Low) };
        assert!(Novel.judge(&listener, &context).is_some());
        assert!(Novel.judge(&posture(Severity::Low), &context).is_none());
    }
}
