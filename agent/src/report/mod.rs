//! Reports, one file a format. The types here are the JSON form: a promise (see the manual).

use std::collections::BTreeMap;

use consensus::{Severity, SourceLine, Verdict};
use scanner::checks::CheckResult;
use scanner::vantage::Vantage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pipeline::accept::Accepted;

pub mod explain;
pub mod graph;
pub mod json;
pub mod metrics;
pub mod text;

/// Everything one audit says.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// `wardmote.audit/1`.
    pub schema: String,
    /// Program and version.
    pub tool: String,
    /// When it started, RFC 3339.
    pub started: String,
    /// The host.
    pub host: Host,
    /// From where it looked.
    pub vantage: Vantage,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
    /// How every check ended.
    pub checks: Vec<CheckLine>,
    /// What listens, and from where it can be reached; absent for a mounted tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<scanner::ports::Listener>>,
    /// What the log sweep read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<serde_json::Value>,
    /// What could not be looked at: never counted as passed.
    pub incomplete: Vec<Incomplete>,
    /// Findings per level, without the accepted ones.
    pub counts: BTreeMap<Severity, usize>,
    /// Findings that are accepted.
    pub accepted: usize,
    /// Wall time.
    pub elapsed_ms: f64,
}

/// The host that was examined.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its distribution.
    pub os: String,
    /// Its running kernel; absent for a mounted tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The mounted tree, where one was examined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
}

/// Evidence, verdict and fix.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Same as the fingerprint.
    pub id: String,
    /// Check or rule.
    pub check: String,
    /// What is wrong, one line.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// How it was decided.
    pub verdict: Verdict,
    /// What would have been decided with what operators taught, where that differs; it changes neither
    /// the severity nor the exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learnt: Option<Learnt>,
    /// Why it matters.
    pub why: String,
    /// The lines that show it.
    pub evidence: Vec<SourceLine>,
    /// Named facts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// Events it stands for.
    pub count: u64,
    /// First event, seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<i64>,
    /// Last event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<i64>,
    /// What to do.
    pub remediation: Remediation,
    /// Where to read more.
    pub references: Vec<String>,
    /// Stable over runs: for `accept` and for comparing reports.
    pub fingerprint: String,
    /// Set when the operator has accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Accepted>,
}

/// What a model that has learnt from feedback would have decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Learnt {
    /// The level.
    pub severity: Severity,
    /// How many clicks it has learnt from.
    pub clicks: u64,
    /// The trace of that verdict.
    pub trace: String,
}

/// What to do about a finding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Remediation {
    /// In words.
    pub text: String,
    /// What to type or write; may be empty.
    pub snippet: String,
}

/// How one check ended.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckLine {
    /// The check.
    pub id: String,
    /// How it ended.
    pub result: CheckResult,
    /// Why.
    pub reason: String,
}

/// Something that could not be looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Incomplete {
    /// A check's id, or `services`, `logs`, `firewall`, `accounts`.
    pub what: String,
    /// Why.
    pub reason: String,
    /// The operator expects it: it does not count for the exit code.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expected: bool,
}

impl Report {
    /// Findings that count: not accepted.
    pub fn open(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.accepted.is_none())
    }

    /// How many checks ended in this way.
    pub fn ended(&self, result: CheckResult) -> usize {
        self.checks.iter().filter(|check| check.result == result).count()
    }
}
