//! The five ordinal levels that everything in wardmote is judged on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How bad something is. Ordinal: `Info` (also "nothing wrong") is below `Low`, and so on.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing to do.
    Info,
    /// Tidy up when you are there anyway.
    Low,
    /// Plan to fix it.
    Medium,
    /// Fix it today.
    High,
    /// Stop what you are doing.
    Critical,
}

impl Severity {
    /// All levels, lowest first: index `i` of a probability array belongs to `ALL[i]`.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Position in [`Self::ALL`], 0 to 4.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The level at a position; positions above 4 are `Critical`.
    pub fn from_index(index: usize) -> Self {
        Self::ALL[index.min(4)]
    }

    /// The lower-case name used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.pad(self.name())
    }
}

impl std::str::FromStr for Severity {
    type Err = UnknownSeverity;

    /// Reads a level's name in any case; `informational` is Sigma's word for `info`.
    fn from_str(text: &str) -> Result<Self, UnknownSeverity> {
        match text.to_ascii_lowercase().as_str() {
            "info" | "informational" => Ok(Self::Info),
            "low" => Ok(Self::Low),
            "medium" => Ok(Self::Medium),
            "high" => Ok(Self::High),
            "critical" => Ok(Self::Critical),
            _ => Err(UnknownSeverity(text.chars().take(32).collect())),
        }
    }
}

/// The caller's text names none of the five levels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown severity `{0}`: use info, low, medium, high or critical")]
pub struct UnknownSeverity(pub String);
