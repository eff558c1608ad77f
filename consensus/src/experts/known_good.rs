//! Known good: what the operator accepts or owns, and files that are as their package brought them.
//!
//! It may lower, so it is careful. A pattern of the operator must name the check or rule; one that
//! names nothing else counts half. A file of a package counts only where its contents were verified;
//! one that was verified and differs is worse. The operator's own networks make attempts and modest
//! activities milder, never a grave one. The floor of a known-bad fact holds against all of it.

use crate::context::Pattern;
use crate::experts::{OPERATOR, PACKAGES, address, around, opinion, shifted, was_done};
use crate::gate::Needs;
use crate::{Context, Evidence, Expert, Kind, Opinion, Severity};

/// The expert.
pub struct KnownGood;

impl Expert for KnownGood {
    fn name(&self) -> &'static str {
        "known-good"
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING.raised()
    }

    fn judge(&self, evidence: &Evidence, context: &Context) -> Option<Opinion> {
        if evidence.level == Severity::Info {
            return None;
        }
        accepted(evidence, context)
            .or_else(|| packaged(evidence, context))
            .or_else(|| own(evidence, context))
    }
}

/// The most specific pattern that fits.
fn accepted(evidence: &Evidence, context: &Context) -> Option<Opinion> {
    let parts = |pattern: &Pattern| {
        usize::from(pattern.user.is_some())
            + usize::from(pattern.network.is_some())
            + usize::from(pattern.path.is_some())
    };
    let fitting = context.operator.accepted.iter().filter(|pattern| fits(pattern, evidence));
    let best = fitting.max_by(|a, b| parts(a).cmp(&parts(b)).then_with(|| b.cmp(a)))?;
    let mut named = vec![best.check.clone()];
    named.extend(best.user.as_ref().map(|user| format!("by {user}")));
    named.extend(best.network.as_ref().map(|network| format!("from {network}")));
    named.extend(best.path.as_ref().map(|path| format!("at {path}")));
    let rationale = format!("the operator accepts {}", named.join(" "));
    let (distribution, confidence) = match parts(best) {
        0 => (around(shifted(evidence.level, -1), 0.0, 0.3), 0.5),
        _ => (around(shifted(evidence.level, -2), 0.0, 0.2), 1.0),
    };
    opinion("known-good", distribution, confidence, rationale, &[OPERATOR])
}

fn fits(pattern: &Pattern, evidence: &Evidence) -> bool {
    let subject = &evidence.subject;
    let shown = evidence.sources.first().map(|source| source.file.as_str());
    let path = subject.path.as_deref().or(shown);
    pattern.check == evidence.check
        && pattern.user.as_deref().is_none_or(|user| subject.user.as_deref() == Some(user))
        && pattern.path.as_deref().is_none_or(|wanted| path == Some(wanted))
        && pattern.network.is_none_or(|network| {
            address(evidence).is_some_and(|address| network.contains(address))
        })
}

/// A file whose contents were compared with its package's.
fn packaged(evidence: &Evidence, context: &Context) -> Option<Opinion> {
    let path = evidence.subject.path.as_ref().filter(|_| evidence.kind != Kind::Activity)?;
    let owner = context.packages.as_ref()?.get(path)?;
    let package = &owner.package;
    let (distribution, confidence, rationale) = match owner.intact? {
        true => {
            let rationale = format!("{path} is as {package} brought it (verified)");
            (around(evidence.level, 0.5, 0.0), 0.6, rationale)
        }
        false => {
            let rationale = format!("{path} belongs to {package} and is not what it brought");
            (around(shifted(evidence.level, 1), 0.1, 0.0), 0.9, rationale)
        }
    };
    opinion("known-good", distribution, confidence, rationale, &[PACKAGES])
}

/// An activity from the operator's own networks.
fn own(evidence: &Evidence, context: &Context) -> Option<Opinion> {
    if evidence.kind != Kind::Activity || evidence.level >= Severity::High {
        return None;
    }
    let address = address(evidence)?;
    let network = context.operator.own_networks.find(address)?;
    let rationale = format!("{address} is in the operator's own network {network}");
    let confidence = if was_done(evidence) { 0.3 } else { 0.6 };
    opinion("known-good", around(evidence.level, 0.5, 0.0), confidence, rationale, &[OPERATOR])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subject;
    use crate::context::Packaged;
    use crate::experts::tests::{activity, mean, posture, with_fact};

    fn accepting(pattern: Pattern) -> Context {
        let mut context = Context::default();
        context.operator.accepted = vec![pattern];
        context
    }

    fn pattern() -> Pattern {
        let check = "ssh-brute-force".to_string();
        Pattern { check, user: None, network: None, path: None }
    }

    #[test]
    fn every_part_of_a_pattern_must_fit() {
        let evidence = activity(Severity::High);
        let judged = |pattern| KnownGood.judge(&evidence, &accepting(pattern));
        let network = "192.0.2.0/24".parse().ok();
        let said = judged(Pattern { network, ..pattern() }).unwrap();
        assert_eq!(said.rationale, "the operator accepts ssh-brute-force from 192.0.2.0/24");
        assert_eq!(said.level(), Severity::Low);
        let whole = judged(pattern()).unwrap();
        assert!(mean(&whole) > mean(&said) && whole.confidence < said.confidence);
        for other in [
            Pattern { check: "other".into(), ..pattern() },
            Pattern { user: Some("alice".into()), ..pattern() },
            Pattern { path: Some("/etc/x".into()), ..pattern() },
            Pattern { network: "198.51.100.0/24".parse().ok(), ..pattern() },
        ] {
            assert!(judged(other).is_none());
        }
    }

    #[test]
    fn a_package_vouches_only_for_what_was_verified() {
        let path = "/usr/bin/tool".to_string();
        let subject = Subject { path: Some(path.clone()), ..Subject::default() };
        let evidence = Evidence { subject, ..posture(Severity::Medium) };
        let judged = |intact| {
            let owner = Packaged { package: "tool 1.0".into(), intact };
            let packages = Some([(path.clone(), owner)].into());
            KnownGood.judge(&evidence, &Context { packages, ..Context::default() })
        };
        assert!(judged(None).is_none());
        assert!(mean(&judged(Some(true)).unwrap()) < 2.0);
        let differs = judged(Some(false)).unwrap();
        assert!(mean(&differs) > 2.0);
        assert_eq!(
            differs.rationale,
            "/usr/bin/tool belongs to tool 1.0 and is not what it brought"
        );
    }

    #[test]
    fn own_networks_excuse_nothing_grave() {
        let mut context = Context::default();
        context.operator.own_networks = vec!["192.0.2.0/24".parse().unwrap()].into();
        let said = KnownGood.judge(&activity(Severity::Medium), &context).unwrap();
        assert_eq!(said.rationale, "192.0.2.7 is in the operator's own network 192.0.2.0/24");
        assert!(KnownGood.judge(&activity(Severity::High), &context).is_none());
        let done = with_fact(activity(Severity::Medium), "success", "true");
        assert!(KnownGood.judge(&done, &context).unwrap().confidence < said.confidence);
        assert!(KnownGood.judge(&posture(Severity::Medium), &context).is_none());
    }
}
