//! What an expert from outside writes: one JSON line an answer, made an [`Opinion`] under its own name.
//!
//! An answer gives `distribution` or `severity` (or `abstain`), and may give `confidence` (0 to 1, half
//! where absent), `rationale`, `sources`, `facts`, `expert` (its own name) and `case` (the one asked
//! about). Refused: longer lines than [`LINE_BYTES_MAX`], what is no such object, another's name, and
//! what [`Opinion::checked`] refuses. Nobody becomes a built-in expert by saying so.

use serde::Deserialize;

use crate::opinion::MAX_NAMED;
use crate::{BadOpinion, Opinion, Severity};

/// Most bytes of an answer.
pub const LINE_BYTES_MAX: usize = 64 << 10;
/// What stands before the name of every expert from outside.
pub const PREFIX: &str = "outside:";
/// How sure an expert is that does not say.
const CONFIDENCE: f64 = 0.5;
/// How much of an answer that names a level lies on its neighbours together.
const DOUBT: f64 = 0.2;

/// One answer that makes sense.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The case that it says it is about.
    pub case: Option<String>,
    /// The opinion; `None` for an abstention.
    pub opinion: Option<Opinion>,
}

/// Why an answer cannot be used; the expert is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// It is too long.
    #[error("an answer longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// It is no such JSON object.
    #[error("an answer that is no opinion as a JSON object")]
    Shape,
    /// It says neither a level nor that it abstains.
    #[error("an answer without `severity`, `distribution` or `abstain`")]
    Empty,
    /// It speaks for somebody else.
    #[error("an answer under the name of `{0}`")]
    Posing(String),
    /// Its numbers make no sense.
    #[error("an answer that makes no sense: {0}")]
    Opinion(#[from] BadOpinion),
}

#[derive(Deserialize)]
struct Given {
    case: Option<String>,
    #[serde(default)]
    abstain: bool,
    expert: Option<String>,
    distribution: Option<[f64; 5]>,
    severity: Option<Severity>,
    confidence: Option<f64>,
    #[serde(default)]
    rationale: String,
    #[serde(default)]
    sources: Vec<String>,
    #[serde(default)]
    facts: Vec<String>,
}

/// Reads one line of the expert that the operator calls `name`.
pub fn answer(name: &str, line: &[u8]) -> Result<Answer, BadAnswer> {
    if line.len() > LINE_BYTES_MAX {
        return Err(BadAnswer::TooLong);
    }
    let given: Given = serde_json::from_slice(line).map_err(|_| BadAnswer::Shape)?;
    let own = format!("{PREFIX}{name}");
    if let Some(said) = given.expert.filter(|said| said != name && *said != own) {
        return Err(BadAnswer::Posing(said.chars().filter(|c| !c.is_control()).take(40).collect()));
    }
    let distribution = match (given.abstain, given.distribution, given.severity) {
        (true, _, _) => return Ok(Answer { case: given.case, opinion: None }),
        (false, Some(distribution), _) => distribution,
        (false, None, Some(level)) => around(level),
        (false, None, None) => return Err(BadAnswer::Empty),
    };
    let mut opinion = Opinion {
        expert: own,
        distribution,
        confidence: given.confidence.unwrap_or(CONFIDENCE),
        rationale: given.rationale,
        sources: given.sources,
        facts: given.facts,
    };
    opinion.sources.truncate(MAX_NAMED);
    opinion.facts.truncate(MAX_NAMED);
    Ok(Answer { case: given.case, opinion: Some(opinion.checked()?) })
}

fn around(level: Severity) -> [f64; 5] {
    let mut distribution = [0.0; 5];
    let at = level.index();
    distribution[at] += 1.0 - DOUBT;
    distribution[at.saturating_sub(1)] += DOUBT / 2.0;
    distribution[(at + 1).min(4)] += DOUBT / 2.0;
    distribution
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_a_distribution_is_an_opinion_under_the_operators_name() {
        let said = answer("tool", br#"{"severity":"high","rationale":"seen\nbefore"}"#).unwrap();
        let opinion = said.opinion.unwrap();
        assert_eq!((opinion.expert.as_str(), opinion.level()), ("outside:tool", Severity::High));
        assert_eq!((opinion.confidence, opinion.rationale.as_str()), (0.5, "seen before"));
        let line = br#"{"case":"c","expert":"tool","distribution":[0,0,0,1,1],"confidence":1}"#;
        let said = answer("tool", line).unwrap();
        assert_eq!(said.case.as_deref(), Some("c"));
        assert_eq!(said.opinion.unwrap().distribution, [0.0, 0.0, 0.0, 0.5, 0.5]);
        for level in Severity::ALL {
            assert!((around(level).iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn an_abstention_is_an_answer_and_nothing_is_not() {
        assert_eq!(answer("t", br#"{"abstain":true}"#).unwrap().opinion, None);
        assert_eq!(answer("t", b"{}"), Err(BadAnswer::Empty));
        for line in ["", "null", "[]", "high", r#"{"severity":"bad"}"#, r#"{"distribution":[1]}"#] {
            assert_eq!(answer("t", line.as_bytes()), Err(BadAnswer::Shape), "{line}");
        }
    }

    #[test]
    fn nobody_poses_as_another() {
        for name in ["declared", "outside:other", ""] {
            let line = format!(r#"{{"expert":"{name}","severity":"info","confidence":1}}"#);
            assert_eq!(answer("t", line.as_bytes()), Err(BadAnswer::Posing(name.into())));
        }
        assert!(answer("t", br#"{"expert":"outside:t","severity":"info"}"#).is_ok());
    }

    #[test]
    fn numbers_and_lengths_are_bounded() {
        let line = br#"{"distribution":[1,0,0,0,-1]}"#;
        assert_eq!(answer("t", line), Err(BadOpinion::Probability.into()));
        let line = br#"{"severity":"low","confidence":1.5}"#;
        assert_eq!(answer("t", line), Err(BadOpinion::Confidence.into()));
        let padded = |to: usize| {
            let line = r#"{"severity":"low"}"#;
            format!("{line}{}", " ".repeat(to - line.len()))
        };
        assert!(answer("t", padded(LINE_BYTES_MAX).as_bytes()).is_ok());
        let long = padded(LINE_BYTES_MAX + 1);
        assert_eq!(answer("t", long.as_bytes()), Err(BadAnswer::TooLong));
    }
}
