//! What is told: one note, the same in every way out and in every attempt.

use consensus::Severity;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::spool::Gap;
use crate::pipeline::case::{CaseFile, case_file};

/// Longest note in bytes, as JSON: it fits a pipe.
pub const NOTE_BYTES_MAX: usize = 60 << 10;

/// Why somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A case began.
    New,
    /// It is worse than what was told.
    Risen,
    /// Somebody has come a tactic further.
    Further,
    /// Notes had to make room while the target was down.
    Gap,
    /// How the day was.
    Summary,
}

impl Kind {
    /// As in formats.
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Risen => "risen",
            Self::Further => "further",
            Self::Gap => "gap",
            Self::Summary => "summary",
        }
    }

    /// What kind of event it is, as webhooks and OpenTelemetry name such.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::New => "case.new",
            Self::Risen => "case.risen",
            Self::Further => "case.further",
            Self::Gap => "notifications.gap",
            Self::Summary => "host.summary",
        }
    }
}

/// One notification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The same in every attempt, so that receivers know what they have: letters, digits, `-`.
    pub id: String,
    /// Why.
    pub kind: Kind,
    /// When it was made, seconds since the epoch.
    pub time: i64,
    /// How bad.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// The host's name.
    pub host: String,
    /// What it is about: a later note with the same key says more than an earlier one.
    pub key: String,
    /// Everything, as JSON.
    pub body: Value,
}

impl Note {
    /// News of a case.
    pub fn of_case(case: &CaseFile, host: &str, now: i64) -> Self {
        let kind = match case.untold {
            Some(case_file::News::Risen) => Kind::Risen,
            Some(case_file::News::Further) => Kind::Further,
            Some(case_file::News::New) | None => Kind::New,
        };
        let key = format!("case-{}", case.id);
        let mut body = serde_json::to_value(case).unwrap_or_default();
        if body.to_string().len() > NOTE_BYTES_MAX / 2 {
            // `wardmote alerts show` has them all.
            body["left_out"] = (case.left_out + case.steps.len() as u64).into();
            body["steps"] = Value::Array(Vec::new());
        }
        let what = format!("{host}\n{key}\n{}\n{}\n{}", kind.word(), case.severity, case.last);
        let (severity, title) = (case.severity, one_line(&case.title));
        Self { id: id_of(&what), kind, time: now, severity, title, host: host.into(), key, body }
    }

    /// That notes were dropped.
    pub fn of_gap(gap: &Gap, host: &str, now: i64) -> Self {
        let severity = gap.0.keys().max().copied().unwrap_or(Severity::Info);
        let parts: Vec<String> =
            gap.0.iter().map(|(severity, count)| format!("{count} {severity}")).collect();
        let title = format!(
            "{} notifications had no room while this target was down: {}",
            gap.total(),
            parts.join(", ")
        );
        let body = serde_json::json!({ "dropped": gap.0 });
        let (id, key) = (id_of(&format!("{host}\n{now}\n{title}")), "gap".to_string());
        Self { id, kind: Kind::Gap, time: now, severity, title, host: host.into(), key, body }
    }

    /// RFC 3339, in UTC.
    pub fn time_text(&self) -> String {
        jiff::Timestamp::from_second(self.time).unwrap_or_default().to_string()
    }

    /// The whole note with its schema, as webhooks, commands and JSON lines give it.
    pub fn json(&self) -> Value {
        let kind = match self.kind {
            Kind::Summary => self.kind.type_name().to_string(),
            kind => format!("case.{}", kind.word()),
        };
        serde_json::json!({
            "schema": "wardmote.note/1", "type": kind,
            "id": self.id, "timestamp": self.time_text(), "host": self.host,
            "severity": self.severity, "title": self.title, "key": self.key, "data": self.body,
        })
    }
}

pub(super) fn id_of(what: &str) -> String {
    let digest = Sha256::digest(what.as_bytes());
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("wm-{hex}")
}

pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}
