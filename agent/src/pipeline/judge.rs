//! Evidence to findings: the panel's verdict, the fix, and a fingerprint that is stable over runs.
//!
//! The cold model judges, so that twin hosts get identical reports; what operators taught is shown beside
//! it where it would have decided otherwise.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use consensus::learn::{Log, Unread, learn};
use consensus::{Context, Evidence, Panel, SourceLine, trace};
use sha2::{Digest, Sha256};

use crate::outside::{Answers, Experts};
use crate::report::{Finding, Learnt, Remediation};
use crate::settings::Settings;
use crate::store::cases::{Case, Taught};
use crate::store::{cases, feedback};

/// So many alerts of a storm are judged before what was made of them is handed over.
const PORTION: usize = 512;

/// All who judge: the cold panel, the one that has learnt, and experts from outside.
pub struct Judges {
    cold: Panel,
    learnt: Option<(Panel, u64)>,
    /// What had been learnt; `None` where nobody has said anything.
    pub taught: Option<Taught>,
    /// Experts from outside.
    pub outside: Experts,
    /// Why what operators taught is not shown, where it cannot be read.
    pub unread: Option<String>,
}

impl Judges {
    /// The judges as of `now`; what operators taught is read from the state directory.
    pub fn new(settings: &Settings, state: &Path, now: i64) -> Self {
        Self::with(Experts::new(&settings.experts), state, now)
    }

    /// The judges with experts from outside that may run already.
    pub fn with(outside: Experts, state: &Path, now: i64) -> Self {
        Self::taught(outside, feedback::read(state), &feedback::path(state), now)
    }

    /// The judges with what operators taught, read from `path`.
    pub fn taught(
        outside: Experts,
        read: anyhow::Result<(Log, Unread)>,
        path: &Path,
        now: i64,
    ) -> Self {
        let mut judges =
            Self { cold: Panel::cold(), learnt: None, taught: None, outside, unread: None };
        match read {
            Ok((log, unread)) => {
                if log.position() > 0 {
                    let learnt = learn(&log, now);
                    let digest = trace::hex(&learnt.digest);
                    judges.taught = Some(Taught { position: log.position(), now, digest });
                    judges.learnt = Some((Panel::with(learnt.model()), learnt.clicks));
                }
                if unread.count > 0 {
                    let lines = format!("{} lines could not be read", unread.count);
                    judges.unread = Some(format!("{}: {lines}", path.display()));
                }
            }
            Err(error) => judges.unread = Some(format!("{error:#}")),
        }
        judges
    }

    /// Judges one piece of evidence in a context whose digest is given.
    pub fn judge(&mut self, item: &Judged, context: &Context, digest: &trace::Digest) -> Case {
        let answers = self.outside.ask(&item.evidence, digest);
        self.decide(item, context, digest, answers)
    }

    /// The verdict, with what experts from outside said.
    pub fn decide(
        &self,
        item: &Judged,
        context: &Context,
        digest: &trace::Digest,
        answers: Answers,
    ) -> Case {
        let evidence = &item.evidence;
        let verdict = self.cold.judge_in(evidence, context, digest, answers.opinions.clone());
        let learnt = self.learnt.as_ref().map(|(panel, clicks)| {
            let taught = panel.judge_in(evidence, context, digest, answers.opinions.clone());
            Learnt { severity: taught.severity, clicks: *clicks, trace: taught.trace }
        });
        Case {
            fingerprint: String::new(),
            evidence: evidence.clone(),
            outside: answers.opinions,
            unanswered: answers.unanswered,
            shown: cases::shown(verdict.severity, true),
            learnt: learnt.filter(|learnt| learnt.severity != verdict.severity),
            verdict,
            why: item.why.clone(),
            remediation: item.remediation.clone(),
            course: None,
        }
    }
}

/// Evidence with what to do about it.
pub struct Judged {
    /// The evidence.
    pub evidence: Evidence,
    /// Why it matters.
    pub why: String,
    /// What to do.
    pub remediation: Remediation,
    /// Where to read more.
    pub references: Vec<String>,
}

/// Judges everything in one context; worst first, then in the order given. Beside the findings: every
/// case, also those that another finding tells.
pub fn findings(
    judges: &mut Judges,
    context: &Context,
    items: Vec<Judged>,
) -> (Vec<Finding>, Vec<Case>) {
    let digest = trace::context(context);
    findings_by(items, &mut BTreeSet::new(), |item| judges.judge(item, context, &digest))
}

/// Judges a look's evidence a portion at a time, in the order in which it happened: what a storm makes of each
/// portion is handed over before the next is judged.
pub fn in_portions(
    mut items: Vec<Judged>,
    mut judge: impl FnMut(&Judged) -> Case,
    mut take: impl FnMut(Vec<Finding>, Vec<Case>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    items.sort_by_key(|item| item.evidence.last);
    let mut taken = BTreeSet::new();
    let mut items = items.into_iter();
    loop {
        let portion: Vec<Judged> = items.by_ref().take(PORTION).collect();
        if portion.is_empty() {
            return Ok(());
        }
        let (findings, cases) = findings_by(portion, &mut taken, &mut judge);
        take(findings, cases)?;
    }
}

/// Judges everything by a judge of the caller's own; with the fingerprints that are taken.
fn findings_by(
    items: Vec<Judged>,
    taken: &mut BTreeSet<String>,
    mut judge: impl FnMut(&Judged) -> Case,
) -> (Vec<Finding>, Vec<Case>) {
    let mut cases = Vec::with_capacity(items.len());
    let mut findings: Vec<Finding> = items
        .into_iter()
        .map(|item| {
            let mut case = judge(&item);
            case.fingerprint = fingerprint(&item.evidence, taken);
            cases.push(case.clone());
            finding(item, case)
        })
        .collect();
    findings.sort_by(|a, b| {
        let weight = |finding: &Finding| {
            let levels = finding.verdict.probabilities.iter();
            levels.map(|(level, p)| level.index() as f64 * p).sum::<f64>()
        };
        b.severity.cmp(&a.severity).then(weight(b).total_cmp(&weight(a)))
    });
    let findings = told_once(findings);
    let told: BTreeSet<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
    for case in &mut cases {
        let is_told = told.contains(case.fingerprint.as_str());
        case.shown = cases::shown(case.verdict.severity, is_told);
    }
    (findings, cases)
}

fn finding(item: Judged, case: Case) -> Finding {
    Finding {
        id: case.fingerprint.clone(),
        check: item.evidence.check,
        title: item.evidence.title,
        severity: case.verdict.severity,
        verdict: case.verdict,
        learnt: case.learnt,
        why: item.why,
        evidence: item.evidence.sources,
        facts: item.evidence.facts,
        count: item.evidence.count,
        first: item.evidence.first,
        last: item.evidence.last,
        remediation: item.remediation,
        references: item.references,
        fingerprint: case.fingerprint,
        accepted: None,
    }
}

/// Several checks may see the same mode or owner of one file. The gravest finding tells it, of equals
/// the more specific one; the others are named there under `also`, and told by themselves only for what
/// is left of their evidence.
fn told_once(findings: Vec<Finding>) -> Vec<Finding> {
    let mut order: Vec<usize> = (0..findings.len()).collect();
    order.sort_by_key(|&at| (Reverse(findings[at].severity), is_general(&findings[at]), at));
    let mut tellers: HashMap<(String, String), usize> = HashMap::new();
    let mut findings: Vec<Option<Finding>> = findings.into_iter().map(Some).collect();
    for at in order {
        let Some(mut finding) = findings[at].take() else { continue };
        let whole = |source: &SourceLine| source.line == 0 && source.file.starts_with('/');
        let key = |source: &SourceLine| (source.file.clone(), source.text.clone());
        let known: BTreeSet<usize> = finding
            .evidence
            .iter()
            .filter(|s| whole(s))
            .filter_map(|s| tellers.get(&key(s)).copied())
            .collect();
        let only_known = !known.is_empty()
            && finding.evidence.iter().all(|s| whole(s) && tellers.contains_key(&key(s)));
        for teller in known {
            if let Some(teller) = findings[teller].as_mut() {
                name_also(teller, &finding.check);
            }
        }
        if only_known {
            continue;
        }
        finding.evidence.retain(|source| !whole(source) || !tellers.contains_key(&key(source)));
        for source in finding.evidence.iter().filter(|source| whole(source)) {
            tellers.insert(key(source), at);
        }
        findings[at] = Some(finding);
    }
    findings.into_iter().flatten().collect()
}

/// Names a check that saw the same.
fn name_also(teller: &mut Finding, check: &str) {
    if teller.check == check {
        return;
    }
    let also = teller.facts.entry("also".into()).or_default();
    if also.is_empty() {
        also.push_str(check);
    } else if !also.split(", ").any(|known| known == check) {
        also.push_str(&format!(", {check}"));
    }
}

/// Walks of whole trees see what a check of that very file sees too.
fn is_general(finding: &Finding) -> bool {
    finding.check.starts_with("files-world-writable") || finding.check == "files-private-key"
}

/// A fingerprint from what does not change between runs: check, key, and the file; no line numbers. Two
/// findings that would share one are told apart by the text of their first line.
pub fn fingerprint(evidence: &Evidence, taken: &mut BTreeSet<String>) -> String {
    let first = evidence.sources.first();
    let file = first.map_or("", |source| source.file.as_str());
    let text = first.map_or("", |source| source.text.as_str());
    let mut parts = vec![evidence.check.as_str(), evidence.key.as_str()];
    if evidence.key.is_empty() {
        parts.push(file);
    }
    let mut print = hash(&parts);
    let mut round = 0_u32;
    while !taken.insert(print.clone()) {
        round += 1;
        print = hash(&[parts.as_slice(), &[text, &round.to_string()]].concat());
    }
    print
}

/// Twelve hex digits: 48 bits, enough for the findings of one host.
fn hash(parts: &[&str]) -> String {
    let digest = Sha256::digest(parts.join("\0").as_bytes());
    trace::hex(&digest[..6])
}
