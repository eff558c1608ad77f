//! Evidence to findings: the panel's verdict, the fix, and a fingerprint that is stable over runs.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use consensus::{Context, Evidence, Panel, SourceLine, trace};
use sha2::{Digest, Sha256};

use crate::report::{Finding, Remediation};

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

/// Judges everything in one context; worst first, then in the order given.
pub fn findings(panel: &Panel, context: &Context, items: Vec<Judged>) -> Vec<Finding> {
    let mut taken = BTreeSet::new();
    let digest = trace::context(context);
    let mut findings: Vec<Finding> = items
        .into_iter()
        .map(|item| {
            let verdict = panel.judge_in(&item.evidence, context, &digest, Vec::new());
            let fingerprint = unique(&item.evidence, &mut taken);
            Finding {
                id: fingerprint.clone(),
                check: item.evidence.check,
                title: item.evidence.title,
                severity: verdict.severity,
                verdict,
                why: item.why,
                evidence: item.evidence.sources,
                facts: item.evidence.facts,
                count: item.evidence.count,
                first: item.evidence.first,
                last: item.evidence.last,
                remediation: item.remediation,
                references: item.references,
                fingerprint,
                accepted: None,
            }
        })
        .collect();
    findings.sort_by(|a, b| {
        let weight = |finding: &Finding| {
            let levels = finding.verdict.probabilities.iter();
            levels.map(|(level, p)| level.index() as f64 * p).sum::<f64>()
        };
        b.severity.cmp(&a.severity).then(weight(b).total_cmp(&weight(a)))
    });
    told_once(findings)
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
fn unique(evidence: &Evidence, taken: &mut BTreeSet<String>) -> String {
    let first = evidence.sources.first();
    let file = first.map_or("", |source| source.file.as_str());
    let text = first.map_or("", |source| source.text.as_str());
    let mut parts = vec![evidence.check.as_str(), evidence.key.as_str()];
    if evidence.key.is_empty() {
        parts.push(file);
    }
    let mut fingerprint = hash(&parts);
    let mut round = 0_u32;
    while !taken.insert(fingerprint.clone()) {
        round += 1;
        fingerprint = hash(&[parts.as_slice(), &[text, &round.to_string()]].concat());
    }
    fingerprint
}

/// Twelve hex digits: 48 bits, enough for the findings of one host.
fn hash(parts: &[&str]) -> String {
    let digest = Sha256::digest(parts.join("\0").as_bytes());
    digest[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}
