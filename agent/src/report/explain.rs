//! One verdict explained: as text for somebody who was woken by it, and as JSON. The graph behind it is
//! [`super::graph`]'s.

use std::fmt::Write;

use consensus::Verdict;
use consensus::learn::{Click, Word};
use serde_json::{Value, json};

use crate::pipeline::case::Course;
use crate::pipeline::case::retrieve::Similar;
use crate::report::graph::Causes;
use crate::report::text::{moment, paint, place};
use crate::store::cases::Found;

/// How many lines of evidence are shown.
const LINES_MAX: usize = 12;
/// How many words of operators are shown, the last ones.
const WORDS_MAX: usize = 8;

/// The whole explanation as text.
pub fn text(found: &Found, clicks: &[&Click], color: bool) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, found, clicks, color);
    out
}

fn write_all(out: &mut String, found: &Found, clicks: &[&Click], color: bool) -> std::fmt::Result {
    let (case, run) = (&found.case, &found.run);
    let (verdict, evidence) = (&case.verdict, &case.evidence);
    let level = paint(verdict.severity, color);
    writeln!(out, "{level} {}  [{} {}]", evidence.title, evidence.check, case.fingerprint)?;
    writeln!(
        out,
        "  judged {} on {} by wardmote {}, trace {}",
        moment(run.started),
        run.host,
        run.by.command(),
        verdict.trace
    )?;
    writeln!(out, "  why    {}", case.why)?;
    rows(out, "panel", verdict.reasons.iter().map(String::as_str))?;
    let against = verdict
        .dissent
        .iter()
        .map(|one| format!("{} would say {} (weight {:.2})", one.expert, one.label, one.weight));
    rows(out, "but", against)?;
    rows(out, "sure", sure(verdict))?;
    rows(out, "turns", verdict.would_change.iter().map(String::as_str))?;
    rows(out, "falls", Causes::of(found).ok().and_then(|causes| causes.falls()))?;
    if let Some(course) = &case.course {
        rows(out, "asked", questions(course))?;
        rows(out, "doubts", doubts(course))?;
        rows(out, "before", course.similar.iter().map(similar))?;
    }
    rows(out, "silent", case.unanswered.iter().map(String::as_str))?;
    if let Some(learnt) = &case.learnt {
        let then = "with what operators taught; the severity above is the cold model's";
        writeln!(out, "  learnt {} ({} clicks) {then}", learnt.severity, learnt.clicks)?;
    }
    if let (Some(first), Some(last)) = (evidence.first, evidence.last) {
        let (first, last) = (moment(first), moment(last));
        writeln!(out, "  when   {first} to {last}, {} times", evidence.count)?;
    }
    let shown = evidence.sources.iter().take(LINES_MAX);
    rows(out, "at", shown.map(|source| format!("{}  {}", place(source), source.text)))?;
    if evidence.sources.len() > LINES_MAX {
        writeln!(out, "         and {} more", evidence.sources.len() - LINES_MAX)?;
    }
    rows(out, "facts", evidence.facts.iter().map(|(name, value)| format!("{name}: {value}")))?;
    writeln!(out, "  fix    {}", case.remediation.text)?;
    for line in case.remediation.snippet.lines() {
        writeln!(out, "           {line}")?;
    }
    rows(out, "said", clicks.iter().rev().take(WORDS_MAX).map(|click| said(click)))?;
    let ways = "confirm|dismiss|severity=LEVEL";
    writeln!(out, "  next   wardmote feedback {} {ways}", case.fingerprint)
}

/// Lines under one heading; nothing where there are none.
fn rows(
    out: &mut String,
    name: &str,
    lines: impl IntoIterator<Item = impl AsRef<str>>,
) -> std::fmt::Result {
    for (number, line) in lines.into_iter().enumerate() {
        let head = if number == 0 { name } else { "" };
        writeln!(out, "  {head:<6} {}", line.as_ref().trim_end())?;
    }
    Ok(())
}

/// How far the verdict can be trusted.
fn sure(verdict: &Verdict) -> Vec<String> {
    let probability = verdict.probabilities.get(&verdict.severity).copied().unwrap_or(0.0);
    let [low, high] = verdict.set;
    let range = if low == high { low.to_string() } else { format!("{low} to {high}") };
    let mut lines = vec![
        format!(
            "p={probability:.2}; {range} with at least 90 %; agreement {:.2}",
            verdict.agreement
        ),
        format!(
            "{} opinions worth {:.1}; {}; {}",
            verdict.opinions.len(),
            verdict.effective_experts,
            stands(verdict.stands_without_experts, "expert"),
            stands(verdict.stands_without_sources, "source"),
        ),
    ];
    if verdict.needs_human {
        lines.push("the experts are unsure: a human should look".into());
    }
    lines
}

/// The first questions of whoever is on call.
fn questions(course: &Course) -> Vec<String> {
    let asked = &course.questions;
    let what: Vec<&str> = asked.what.iter().map(|tactic| tactic.name()).collect();
    let what = (!what.is_empty()).then(|| what.join(", "));
    let answers = [
        ("who", &asked.who),
        ("what", &what),
        ("from", &asked.from),
        ("gains", &asked.right),
        ("next", &asked.next),
    ];
    let line = |(question, answer): (&str, &Option<String>)| {
        answer.as_ref().map(|answer| format!("{question}: {answer}"))
    };
    answers.into_iter().filter_map(line).collect()
}

/// Why nothing should be done automatically.
fn doubts(course: &Course) -> Vec<String> {
    if course.checked.stands() {
        return Vec::new();
    }
    let refuted = course.checked.refuted.as_ref().map(|why| format!("harmless if {why}"));
    course.checked.faults.iter().cloned().chain(refuted).collect()
}

fn similar(one: &Similar) -> String {
    let times = if one.count == 1 { "once".to_string() } else { format!("{} times", one.count) };
    let (print, severity, last) = (&one.fingerprint, one.severity, moment(one.last));
    format!("{print} {severity}, {times}, last {last} ({:.0} % alike)", one.similarity * 100.0)
}

fn stands(without: usize, what: &str) -> String {
    match without {
        0 => format!("one wrong {what} could change it"),
        1 => format!("no single {what} could change it"),
        many => format!("no {many} {what}s together could change it"),
    }
}

fn said(click: &Click) -> String {
    let word = match click.word {
        Word::Confirm => format!("confirmed as {}", click.severity),
        Word::Dismiss => "dismissed".into(),
        Word::Severity(level) => format!("called {level}"),
    };
    let note = if click.note.is_empty() { String::new() } else { format!(": {}", click.note) };
    format!("{word} by uid {} at {}{note}", click.operator, moment(click.time))
}

/// The whole explanation as one JSON document.
pub fn json(found: &Found, clicks: &[&Click]) -> anyhow::Result<Value> {
    let (case, run) = (&found.case, &found.run);
    let mut whole = json!({
        "schema": "wardmote.explain/1",
        "id": case.fingerprint,
        "trace": case.verdict.trace,
        "severity": case.verdict.severity,
        "title": case.evidence.title,
        "judged": {
            "by": run.by.command(), "host": run.host, "at": moment(run.started), "model": run.model,
        },
        "why": case.why,
        "verdict": case.verdict,
        "evidence": case.evidence,
        "remediation": case.remediation,
        "feedback": clicks,
    });
    if let Some(learnt) = &case.learnt {
        whole["learnt"] = json!(learnt);
    }
    if !case.unanswered.is_empty() {
        whole["unanswered"] = json!(case.unanswered);
    }
    if let Some(course) = &case.course {
        whole["course"] = json!(course);
    }
    let causes = Causes::of(found)?;
    whole["graph"] = causes.json()?;
    if let Some(falls) = causes.falls() {
        whole["falls"] = json!(falls);
    }
    Ok(whole)
}
