//! The text report: at most five things to do first, each finding with its evidence and fix, what could
//! not be looked at, and a last line that counts.

use std::fmt::Write;

use consensus::Severity;
use scanner::checks::CheckResult;

use crate::report::{Finding, Report};

/// How many things the first screen names.
const FIRST_MAX: usize = 5;
/// How many evidence lines of a finding are shown.
const LINES_MAX: usize = 6;
/// How many experts' reasons are shown unless more detail is asked for.
const REASONS_MAX: usize = 3;
/// How many names stand before a reason for not looking, unless more detail is asked for.
const NAMES_MAX: usize = 2;
/// How many reasons for not looking are shown unless more detail is asked for.
const INCOMPLETE_MAX: usize = 12;

/// How the text is written.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// With colour.
    pub color: bool,
    /// 0: as an admin wants it; 1: also notes at info and every expert; 2: also what passed.
    pub detail: u8,
}

/// The whole report as text.
pub fn text(report: &Report, style: Style) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, report, style);
    out
}

fn write_all(out: &mut String, report: &Report, style: Style) -> std::fmt::Result {
    let shown: Vec<&Finding> = report
        .open()
        .filter(|finding| finding.severity > Severity::Info || style.detail > 0)
        .collect();
    first(out, report, &shown, style)?;
    heading(out, report)?;
    for finding in &shown {
        writeln!(out)?;
        whole(out, finding, style)?;
    }
    incomplete(out, report, style)?;
    if style.detail > 1 {
        every_check(out, report)?;
    }
    last(out, report, style)
}

/// The first screen: what to do, in order.
fn first(out: &mut String, report: &Report, shown: &[&Finding], style: Style) -> std::fmt::Result {
    let urgent: Vec<&&Finding> =
        shown.iter().filter(|f| f.severity > Severity::Info).take(FIRST_MAX).collect();
    if urgent.is_empty() {
        return match report.incomplete.iter().any(|entry| !entry.expected) {
            false => writeln!(out, "Nothing to do: no finding above info."),
            true => writeln!(
                out,
                "No finding above info in what could be looked at; see `Not looked at` below."
            ),
        };
    }
    writeln!(out, "Do first:")?;
    for (number, finding) in urgent.iter().enumerate() {
        let level = paint(finding.severity, style.color);
        writeln!(out, " {}. {level} {}", number + 1, finding.title)?;
        let place = finding.evidence.first().map(place).unwrap_or_default();
        let fix = match finding.remediation.snippet.lines().next() {
            Some(line) if !line.trim_start().starts_with('#') => line.trim(),
            _ => finding.remediation.text.as_str(),
        };
        match place.is_empty() {
            true => writeln!(out, "      {fix}")?,
            false => writeln!(out, "      {place}  ->  {fix}")?,
        }
    }
    writeln!(out)
}

fn heading(out: &mut String, report: &Report) -> std::fmt::Result {
    let host = &report.host;
    write!(out, "{} · {}", host.name, host.os)?;
    match (&host.kernel, &host.root) {
        (_, Some(root)) => write!(out, " · tree mounted at {root}")?,
        (Some(kernel), None) => write!(out, " · Linux {kernel}")?,
        (None, None) => {}
    }
    writeln!(out, " · {} · {:.2} s", report.started, report.elapsed_ms / 1_000.0)?;
    if let Some(container) = &report.vantage.container {
        writeln!(out, "seen from inside a container ({container})")?;
    }
    for line in &report.vantage.blind {
        writeln!(out, "cannot see from here: {line}")?;
    }
    Ok(())
}

/// One finding with evidence, reasons and fix.
fn whole(out: &mut String, finding: &Finding, style: Style) -> std::fmt::Result {
    let level = paint(finding.severity, style.color);
    writeln!(out, "{level} {}  [{} {}]", finding.title, finding.check, finding.fingerprint)?;
    if let (Some(first), Some(last)) = (finding.first, finding.last) {
        let events = if finding.count == 1 { "event" } else { "events" };
        writeln!(
            out,
            "  when   {} to {}, {} {events}",
            moment(first),
            moment(last),
            finding.count
        )?;
    }
    for source in finding.evidence.iter().take(LINES_MAX) {
        match source.text.is_empty() {
            true => writeln!(out, "  at     {}", place(source))?,
            false => writeln!(out, "  at     {}  {}", place(source), source.text)?,
        }
    }
    // A check that found very many keeps some lines and says how many more there are (`and 61 more`).
    let unkept = finding.facts.get("more").and_then(|more| more.split(' ').nth(1)?.parse().ok());
    let more = finding.evidence.len().saturating_sub(LINES_MAX) + unkept.unwrap_or(0_usize);
    if more > 0 {
        writeln!(out, "         and {more} more")?;
    }
    if let Some(also) = finding.facts.get("also") {
        writeln!(out, "         seen by {also} too")?;
    }
    writeln!(out, "  why    {}", finding.why)?;
    // The sum of a verdict (a line without an expert) and what moved nothing are detail; an admin asks
    // who moved it.
    let moved = |line: &&String| line.contains(": ") && !line.starts_with("+0.0 ");
    let reasons = finding.verdict.reasons.iter().filter(|line| style.detail > 0 || moved(line));
    let most = if style.detail > 0 { usize::MAX } else { REASONS_MAX };
    for (index, reason) in reasons.take(most).enumerate() {
        writeln!(out, "  {:<6} {reason}", if index == 0 { "panel" } else { "" })?;
    }
    let probability = finding.verdict.probabilities.get(&finding.severity).copied().unwrap_or(0.0);
    if style.detail > 0 {
        let agreement = finding.verdict.agreement;
        writeln!(
            out,
            "         p={probability:.2}, agreement {agreement:.2}, trace {}",
            finding.verdict.trace
        )?;
    }
    for dissent in finding.verdict.dissent.iter().take(if style.detail > 0 { 99 } else { 1 }) {
        writeln!(
            out,
            "         {} would say {} (weight {:.2})",
            dissent.expert, dissent.label, dissent.weight
        )?;
    }
    if let Some(learnt) = &finding.learnt {
        writeln!(out, "  learnt {} ({} clicks)", learnt.severity, learnt.clicks)?;
    }
    if finding.verdict.needs_human {
        writeln!(out, "         the experts are unsure: a human should look")?;
    }
    writeln!(out, "  fix    {}", finding.remediation.text)?;
    for line in finding.remediation.snippet.lines() {
        writeln!(out, "           {line}")?;
    }
    if style.detail > 0 && !finding.references.is_empty() {
        writeln!(out, "  see    {}", finding.references.join("; "))?;
    }
    Ok(())
}

/// What could not be looked at, one line a reason.
fn incomplete(out: &mut String, report: &Report, style: Style) -> std::fmt::Result {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for entry in report.incomplete.iter().filter(|entry| !entry.expected) {
        match reasons.iter_mut().find(|(reason, _)| *reason == entry.reason) {
            Some((_, who)) => who.push(&entry.what),
            None => reasons.push((&entry.reason, vec![&entry.what])),
        }
    }
    if reasons.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nNot looked at:")?;
    let most = if style.detail > 0 { usize::MAX } else { INCOMPLETE_MAX };
    for (reason, who) in reasons.iter().take(most) {
        let named = if style.detail > 0 { who.len() } else { who.len().min(NAMES_MAX) };
        write!(out, "  {}", who[..named].join(", "))?;
        if who.len() > named {
            write!(out, " and {} more", who.len() - named)?;
        }
        writeln!(out, ": {reason}")?;
    }
    if reasons.len() > most {
        writeln!(out, "  and {} other reasons (-v shows all)", reasons.len() - most)?;
    }
    Ok(())
}

fn every_check(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "\nChecks:")?;
    for check in &report.checks {
        let result = serde_json::to_value(check.result).unwrap_or_default();
        let result = result.as_str().unwrap_or_default().replace('_', " ");
        writeln!(out, "  {result:<14} {}  {}", check.id, check.reason)?;
    }
    Ok(())
}

/// The lines that count; the very last one is always the same shape.
fn last(out: &mut String, report: &Report, style: Style) -> std::fmt::Result {
    writeln!(out)?;
    let notes = report.open().filter(|finding| finding.severity == Severity::Info).count();
    if notes > 0 && style.detail == 0 {
        writeln!(out, "{notes} notes at info: -v shows them.")?;
    }
    let not_run = report.ended(CheckResult::NotRun) + report.ended(CheckResult::Unknown);
    let all = report.checks.len();
    if not_run > 0 {
        let way = if report.vantage.uid == 0 { "the reasons are above" } else { "use sudo" };
        writeln!(out, "{not_run} of {all} checks not run; {way}.")?;
    }
    let levels: Vec<String> = report
        .counts
        .iter()
        .rev()
        .filter(|(level, count)| **count > 0 && **level > Severity::Info)
        .map(|(level, count)| format!("{count} {level}"))
        .collect();
    let findings = if levels.is_empty() { "no findings".into() } else { levels.join(", ") };
    write!(
        out,
        "{findings} · {all} checks: {} passed, {} failed, {} not applicable, {not_run} not run",
        report.ended(CheckResult::Passed),
        report.ended(CheckResult::Failed),
        report.ended(CheckResult::NotApplicable),
    )?;
    if report.accepted > 0 {
        write!(out, " · {} accepted", report.accepted)?;
    }
    writeln!(out)
}

/// `file:line:column`, as far as it is known.
pub(super) fn place(source: &consensus::SourceLine) -> String {
    match (source.line, source.column) {
        (0, _) => source.file.clone(),
        (line, 0) => format!("{}:{line}", source.file),
        (line, column) => format!("{}:{line}:{column}", source.file),
    }
}

/// Seconds since the epoch as a date and time in UTC.
pub fn moment(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| seconds.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// A level, padded; coloured where wanted.
pub fn paint(level: Severity, color: bool) -> String {
    let name = format!("{:<8}", level.name().to_ascii_uppercase());
    if color { crate::output::painted(&name, level) } else { name }
}
