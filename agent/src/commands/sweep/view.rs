//! What a sweep found as text, JSON or JSON lines.

use consensus::Severity;
use scanner::logs::sweep::Summary;
use scanner::logs::{Detection, SweepOutcome};
use serde_json::{Value, json};

use super::{Args, Format, time};
use crate::commands::Global;
use crate::output;
use crate::report::Learnt;
use crate::store::cases::Case;

/// Networks that the text shows.
const NETWORKS_SHOWN: usize = 10;

/// What a sweep found, and how it is to be shown.
pub(super) struct View<'a> {
    pub(super) args: &'a Args,
    pub(super) global: &'a Global,
    pub(super) outcome: &'a SweepOutcome,
    pub(super) judged: &'a [(Detection, Case)],
    pub(super) elapsed_ms: f64,
}

impl View<'_> {
    /// Whether there is a detection that the chosen format shows.
    pub(super) fn has_something(&self) -> bool {
        self.shown().next().is_some()
    }

    /// Text leaves out what is only worth knowing, unless asked for more.
    pub(super) fn shown(&self) -> impl Iterator<Item = &(Detection, Case)> {
        let all = self.args.format != Format::Text || self.global.verbose > 0;
        self.judged.iter().filter(move |(_, case)| all || case.verdict.severity > Severity::Info)
    }

    pub(super) fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        let mut out = Vec::new();
        match self.args.format {
            Format::Text => out.extend_from_slice(self.text().as_bytes()),
            Format::Jsonl => {
                self.lines(&mut out)?;
                serde_json::to_writer(&mut out, &json!({ "summary": self.summary()? }))?;
                out.push(b'\n');
            }
            Format::Json => {
                let detections: anyhow::Result<Vec<Value>> =
                    self.shown().map(|(detection, case)| object(detection, case)).collect();
                let whole = json!({
                    "schema": "wardmote.sweep/1",
                    "detections": detections?,
                    "activity": self.outcome.activity,
                    "sources": self.outcome.sources,
                    "networks": self.outcome.networks,
                    "coverage": self.outcome.coverage,
                    "observed": self.outcome.observed,
                    "summary": self.summary()?,
                    "incomplete": self.outcome.incomplete,
                });
                serde_json::to_writer_pretty(&mut out, &whole)?;
                out.push(b'\n');
            }
        }
        Ok(out)
    }

    fn summary(&self) -> anyhow::Result<Value> {
        let mut summary = serde_json::to_value(self.outcome.summary)?;
        summary["elapsed_ms"] = json!((self.elapsed_ms * 10.0).round() / 10.0);
        if self.args.format == Format::Jsonl {
            summary["incomplete"] = json!(self.outcome.incomplete);
        }
        Ok(summary)
    }

    fn text(&self) -> String {
        let mut out = self.stories();
        for group in self.outcome.networks.iter().take(NETWORKS_SHOWN) {
            out.push_str(&format!("network: {group}\n"));
        }
        if self.global.verbose > 0 {
            out.push_str(&self.outcome.coverage.text());
        }
        for line in &self.outcome.incomplete {
            out.push_str(&format!("incomplete: {line}\n"));
        }
        self.count(&mut out);
        out
    }

    /// The detections alone, as they are shown while logs are followed.
    pub(super) fn news(&self) -> anyhow::Result<Vec<u8>> {
        let mut out = Vec::new();
        match self.args.format {
            Format::Text => out.extend_from_slice(self.stories().as_bytes()),
            Format::Json | Format::Jsonl => self.lines(&mut out)?,
        }
        Ok(out)
    }

    fn lines(&self, out: &mut Vec<u8>) -> anyhow::Result<()> {
        for (detection, case) in self.shown() {
            serde_json::to_writer(&mut *out, &object(detection, case)?)?;
            out.push(b'\n');
        }
        Ok(())
    }

    fn stories(&self) -> String {
        let colour = self.global.color.on_stdout(self.global.output.is_some());
        let mut out = String::new();
        for (detection, case) in self.shown() {
            let severity = case.verdict.severity;
            let level = format!("{severity:<8}");
            let level = if colour { output::painted(&level, severity) } else { level };
            out.push_str(&format!("{level} {}  [{}]\n", detection.headline(), case.fingerprint));
            if let Some(learnt) = &case.learnt {
                let Learnt { severity, clicks, .. } = learnt;
                out.push_str(&format!("         learnt: {severity} ({clicks} clicks)\n"));
            }
            if let (Some(first), Some(last)) = (detection.first, detection.last) {
                out.push_str(&format!(
                    "         {} to {}, rule {}",
                    time(first),
                    time(last),
                    detection.rule
                ));
                if !detection.also.is_empty() {
                    out.push_str(&format!(", also {}", detection.also.join(", ")));
                }
                out.push('\n');
            }
            for sample in &detection.samples {
                let at = format!("{}:{}:{}", sample.path, sample.line, sample.column);
                out.push_str(&format!("         {at}: {}\n", sample.text));
            }
        }
        out
    }

    fn count(&self, out: &mut String) {
        let Summary { lines, files, undecided, gaps, own_probes, .. } = self.outcome.summary;
        let quiet = self.judged.len() - self.shown().count();
        let words =
            |count: u64, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        out.push_str(&format!(
            "{} in {} and {} read, {} detections",
            words(lines, "line"),
            words(files, "file"),
            if self.outcome.sources.iter().any(|s| s == "journal") {
                "the journal"
            } else {
                "no journal"
            },
            self.shown().count(),
        ));
        for (count, what) in [
            (quiet as u64, "only worth knowing (-v)"),
            (undecided, "over-long"),
            (gaps, "cut since last time"),
            (own_probes, "caused by wardmote's own probes"),
        ] {
            if count > 0 {
                out.push_str(&format!(", {count} {what}"));
            }
        }
        out.push('\n');
    }
}

/// One detection as the contract writes it.
fn object(detection: &Detection, case: &Case) -> anyhow::Result<Value> {
    let verdict = &case.verdict;
    let mut object = json!({
        "id": case.fingerprint,
        "rule": detection.rule,
        "title": detection.title,
        "severity": verdict.severity,
        "subject": detection.subject,
        "count": detection.count,
        "also": detection.also,
        "entered": detection.entered,
        "succeeded": detection.succeeded,
        "tags": detection.tags,
        "samples": detection.samples,
        "verdict": verdict,
    });
    if let Some(requests) = detection.requests {
        object["requests"] = json!(requests);
    }
    if let Some(learnt) = &case.learnt {
        object["learnt"] = json!(learnt);
    }
    if let Some(sample) = detection.samples.first() {
        object["path"] = json!(sample.path);
        object["line"] = json!(sample.line);
        object["offset"] = json!(sample.offset);
        if let Some(at) = sample.time {
            object["time"] = json!(time(at));
        }
    }
    for (key, value) in [("first", detection.first), ("last", detection.last)] {
        if let Some(value) = value {
            object[key] = json!(time(value));
        }
    }
    Ok(object)
}
