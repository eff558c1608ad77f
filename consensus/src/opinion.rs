//! What one expert says about one piece of evidence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Severity;

/// A distribution over the five severities, how sure the expert is, and why in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Opinion {
    /// Name of the expert.
    pub expert: String,
    /// Probability per level, lowest first; non-negative, sums to 1.
    pub distribution: [f64; 5],
    /// 0 (a guess) to 1 (certain): the weight it asks for.
    pub confidence: f64,
    /// One line that cites facts of the evidence or the context.
    pub rationale: String,
}

impl Opinion {
    /// The most probable level; the higher one of equals, so that doubt is not hidden.
    pub fn level(&self) -> Severity {
        let mut best = 0;
        for index in 1..5 {
            if self.distribution[index] >= self.distribution[best] {
                best = index;
            }
        }
        Severity::from_index(best)
    }
}
