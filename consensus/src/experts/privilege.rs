//! What somebody who uses the weakness ends up with. A light voice: the declared level already
//! knows the usual gain, so this only tips what lies between two levels.

use crate::experts::{RULES, around, opinion};
use crate::gate::Needs;
use crate::{Context, Evidence, Expert, Opinion, Privilege, Severity};

/// The expert.
pub struct Gained;

impl Expert for Gained {
    fn name(&self) -> &'static str {
        "privilege"
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING.raised()
    }

    fn judge(&self, evidence: &Evidence, _context: &Context) -> Option<Opinion> {
        if evidence.level == Severity::Info {
            return None;
        }
        let (below, above, gain) = match evidence.privilege {
            Privilege::None => (0.45, 0.0, "nothing by itself"),
            Privilege::Information => (0.3, 0.0, "knowledge"),
            Privilege::Service => (0.0, 0.0, "the rights of one service"),
            Privilege::User => (0.0, 0.2, "the rights of a login user"),
            Privilege::Root => (0.0, 0.45, "root"),
        };
        let rationale = format!("whoever uses it gains {gain}");
        opinion(self.name(), around(evidence.level, below, above), 0.6, rationale, &[RULES])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experts::tests::posture;

    #[test]
    fn the_greater_the_gain_the_worse() {
        let mean = |privilege| -> f64 {
            let evidence = Evidence { privilege, ..posture(Severity::Medium) };
            let said = Gained.judge(&evidence, &Context::default()).unwrap();
            said.distribution.iter().enumerate().map(|(level, p)| level as f64 * p).sum()
        };
        let gains = [
            Privilege::None,
            Privilege::Information,
            Privilege::Service,
            Privilege::User,
            Privilege::Root,
        ];
        let means: Vec<f64> = gains.into_iter().map(mean).collect();
        assert!(means.is_sorted_by(|a, b| a < b), "{means:?}");
    }

    #[test]
    fn nothing_wrong_gains_nothing() {
        assert!(Gained.judge(&posture(Severity::Info), &Context::default()).is_none());
    }
}
