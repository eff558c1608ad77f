//! The anchor: the level that the check or rule declares, before anybody looked at the context.
//!
//! A fact read from the file that decides it makes the anchor heavier than one concluded from
//! traces. This expert never abstains.

use crate::experts::{around, opinion, shown_by};
use crate::gate::Needs;
use crate::{Context, Evidence, Expert, Opinion, Proof};

/// The expert.
pub struct Declared;

impl Expert for Declared {
    fn name(&self) -> &'static str {
        "declared"
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn judge(&self, evidence: &Evidence, _context: &Context) -> Option<Opinion> {
        let (confidence, how) = match evidence.proof {
            Proof::Direct => (1.0, "read directly"),
            Proof::Inferred => (0.9, "concluded from traces"),
        };
        let rationale = format!("{} declares {}, {how}", evidence.check, evidence.level);
        let files = shown_by(evidence);
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        opinion(self.name(), around(evidence.level, 0.0, 0.0), confidence, rationale, &files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Severity;
    use crate::experts::tests::posture;

    #[test]
    fn it_repeats_the_declared_level() {
        for level in Severity::ALL {
            let said = Declared.judge(&posture(level), &Context::default()).unwrap();
            assert_eq!(said.level(), level);
            assert!(said.rationale.contains("ssh-permit-root-login declares"));
        }
    }

    #[test]
    fn traces_weigh_less_than_facts() {
        let direct = posture(Severity::High);
        let inferred = Evidence { proof: Proof::Inferred, ..direct.clone() };
        let context = Context::default();
        let confidence = |evidence| Declared.judge(evidence, &context).unwrap().confidence;
        assert!(confidence(&inferred) < confidence(&direct));
    }
}
