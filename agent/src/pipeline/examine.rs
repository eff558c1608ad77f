//! One whole examination: looks, judges, and makes the report; where the report goes is the caller's.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use consensus::{Context, Severity};
use scanner::checks::{CheckResult, Ran};
use scanner::logs::{Detection, SweepOutcome, history};

use crate::pipeline::accept::Accepted;
use crate::pipeline::judge::{self, Judged, Judges};
use crate::pipeline::look::{self, Wanted};
use crate::pipeline::{advise, known, surround};
use crate::report::{CheckLine, Finding, Host, Incomplete, Remediation, Report};
use crate::settings::Settings;
use crate::store::cases::Case;

/// What an examination gave: the report, and what its verdicts were made from.
pub struct Examined {
    /// For people and machines.
    pub report: Report,
    /// What the experts knew besides the evidence.
    pub context: Context,
    /// Every case.
    pub cases: Vec<Case>,
}

/// Looks, judges and reports: everything but where the result goes.
pub fn examine(
    wanted: &Wanted,
    accepted: &[Accepted],
    settings: &Settings,
    judges: &mut Judges,
) -> anyhow::Result<Examined> {
    let started = Instant::now();
    let told = settings.site.operator()?;
    let mut seen = look::look(wanted)?;
    let checks: Vec<CheckLine> = seen.ran.iter().map(check_line).collect();
    let mut incomplete = std::mem::take(&mut seen.incomplete);
    incomplete.extend(not_seen(&seen.ran));
    let mut items = judged(seen.ran);
    items.extend(seen.logs.iter().flat_map(|logs| &logs.detections).map(advise::judged));
    let evidence: Vec<_> = items.iter().map(|item| &item.evidence).collect();
    let attacks = seen.logs.as_ref().and_then(attacks);
    let live = wanted.root == Path::new("/");
    let known = known::look(&seen.tree, live, (wanted.since, wanted.now), &evidence, told);
    let mut context =
        surround::context(wanted.now, seen.inventory.as_ref(), attacks, &evidence, known);
    context.new_subjects = seen.known.map(|known| history::new_subjects(&known, &evidence));
    let (mut findings, cases) = judge::findings(judges, &context, items);
    incomplete.extend(judges.outside.complaints().into_iter().map(|reason| Incomplete {
        what: "experts".into(),
        reason,
        expected: false,
    }));
    for entry in &mut incomplete {
        entry.expected = is_expected(entry, settings);
    }
    for finding in &mut findings {
        finding.accepted = accepted
            .iter()
            .find(|entry| entry.fingerprint == finding.fingerprint && entry.holds(wanted.now))
            .cloned();
    }
    let report = Report {
        schema: "wardmote.audit/1".into(),
        tool: concat!("wardmote ", env!("CARGO_PKG_VERSION")).into(),
        started: jiff::Timestamp::from_second(wanted.now)?.to_string(),
        host: host(&seen.tree, &wanted.root),
        vantage: seen.vantage,
        counts: counts(&findings),
        accepted: findings.iter().filter(|finding| finding.accepted.is_some()).count(),
        findings,
        checks,
        services: seen.inventory.map(|inventory| inventory.listeners),
        logs: seen.logs.as_ref().map(read_logs),
        incomplete,
        elapsed_ms: started.elapsed().as_secs_f64() * 1_000.0,
    };
    Ok(Examined { report, context, cases })
}

/// Whether the operator expects this not to be looked at.
fn is_expected(entry: &Incomplete, settings: &Settings) -> bool {
    let whole = format!("{}: {}", entry.what, entry.reason);
    let mut starts = settings.audit.expected_incomplete.iter();
    starts.any(|start| !start.trim().is_empty() && whole.starts_with(start))
}

/// Threads for the checks: all cores, at most eight.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).min(8)
}

fn check_line(ran: &Ran) -> CheckLine {
    CheckLine { id: ran.check.id.into(), result: ran.result, reason: ran.reason.clone() }
}

/// What the checks could not see: whole checks that could not run, and the parts that checks name. A
/// part that several checks of an area miss is said once, for the area.
fn not_seen(ran: &[Ran]) -> Vec<Incomplete> {
    let mut entries: Vec<Incomplete> = Vec::new();
    let mut parts: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for ran in ran {
        let entry = |reason| Incomplete { what: ran.check.id.into(), reason, expected: false };
        if matches!(ran.result, CheckResult::NotRun | CheckResult::Unknown) {
            entries.push(entry(ran.reason.clone()));
        }
        for part in &ran.unseen {
            // The area is named before the reason already.
            let part = part
                .strip_prefix(ran.area)
                .and_then(|rest| rest.strip_prefix(": "))
                .unwrap_or(part);
            let part = scanner::redact::line(part);
            match parts.get(&(ran.area, part.clone())) {
                Some(&known) => entries[known].what = ran.area.into(),
                None => {
                    parts.insert((ran.area, part.clone()), entries.len());
                    entries.push(entry(part));
                }
            }
        }
    }
    entries
}

fn judged(ran: Vec<Ran>) -> Vec<Judged> {
    ran.into_iter()
        .flat_map(|ran| {
            let check = ran.check;
            ran.evidence.into_iter().map(move |(evidence, snippet)| Judged {
                evidence,
                why: check.why.into(),
                remediation: Remediation { text: check.remediation.into(), snippet },
                references: check.references.iter().map(ToString::to_string).collect(),
            })
        })
        .collect()
}

fn counts(findings: &[Finding]) -> BTreeMap<Severity, usize> {
    let mut counts: BTreeMap<Severity, usize> = Severity::ALL.map(|level| (level, 0)).into();
    for finding in findings.iter().filter(|finding| finding.accepted.is_none()) {
        *counts.entry(finding.severity).or_default() += 1;
    }
    counts
}

fn host(tree: &scanner::RootedTree, root: &Path) -> Host {
    use parsers::tree::Tree;
    let live = root == Path::new("/");
    let read = |path: &str| tree.read_config(path).ok();
    let text = |bytes: Vec<u8>| scanner::redact::line(String::from_utf8_lossy(&bytes).trim());
    let system = rustix::system::uname();
    let name = if live {
        Some(scanner::redact::line(&system.nodename().to_string_lossy()))
    } else {
        read("/etc/hostname").map(text)
    };
    let release = read("/etc/os-release").or_else(|| read("/usr/lib/os-release"));
    let os = release.and_then(|bytes| {
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(scanner::redact::line(line.trim_matches(['"', '\''])))
    });
    Host {
        name: name.filter(|name| !name.is_empty()).unwrap_or_else(|| "unnamed host".into()),
        os: os.unwrap_or_else(|| "unknown distribution".into()),
        kernel: live.then(|| scanner::redact::line(&system.release().to_string_lossy())),
        root: (!live).then(|| scanner::redact::printable(&root.to_string_lossy())),
    }
}

/// What is being tried, as the logs tell it; `None` where there was no log to ask.
fn attacks(logs: &SweepOutcome) -> Option<Vec<consensus::Attack>> {
    let heard = !logs.sources.is_empty();
    heard.then(|| logs.detections.iter().filter_map(Detection::attack).collect())
}

/// What the log sweep read, for the report.
fn read_logs(logs: &SweepOutcome) -> serde_json::Value {
    serde_json::json!({
        "sources": logs.sources, "summary": logs.summary, "activity": logs.activity,
    })
}
