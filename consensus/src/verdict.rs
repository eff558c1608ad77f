//! The pooled decision of the experts that were asked, with its explanation.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Opinion, Severity};

/// An expert whose most probable level differs from the verdict's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dissent {
    /// Who.
    pub expert: String,
    /// What it would have said.
    pub label: Severity,
    /// Its share of the weight, 0 to 1.
    pub weight: f64,
}

/// One decision about one piece of evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The decision.
    pub severity: Severity,
    /// Probability per level.
    pub probabilities: BTreeMap<Severity, f64>,
    /// 0 (the experts contradict each other) to 1 (all say the same).
    pub agreement: f64,
    /// Who would have decided otherwise, heaviest first.
    pub dissent: Vec<Dissent>,
    /// Why, most important first: one line per expert that moved the decision.
    pub reasons: Vec<String>,
    /// Id under which evidence, context and opinions hash; equal ids are equal inputs.
    pub trace: String,
    /// The narrowest range of levels around the verdict that holds at least 90 % of the probability.
    #[serde(default = "everything")]
    pub set: [Severity; 2],
    /// What the opinions are worth when copies count once.
    #[serde(default)]
    pub effective_experts: f64,
    /// How many experts could be wrong, whatever they then said, without changing the severity.
    #[serde(default)]
    pub stands_without_experts: usize,
    /// How many sources could be forged, whatever the experts that rest on them then said, without
    /// changing the severity.
    #[serde(default)]
    pub stands_without_sources: usize,
    /// What would change the severity: one line for each single expert that could.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would_change: Vec<String>,
    /// What held the severity down: too few experts or sources for a fact that was only inferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capped: Option<Severity>,
    /// Whether the experts are too uncertain for the level to stand alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_human: bool,
    /// What each expert said, in the order of the experts' names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opinions: Vec<Opinion>,
}

fn everything() -> [Severity; 2] {
    [Severity::Info, Severity::Critical]
}
