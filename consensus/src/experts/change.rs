//! Change: what changed just before, or just after.
//!
//! A weak state that appeared lately is more likely to be somebody's doing than one that stood for
//! years; an activity after which accounts, keys or rights changed has probably led somewhere. What
//! packages change is nobody's doing and does not count, nor does a host on which everything has just
//! changed (an installation, a restore).

use crate::context::Change;
use crate::experts::{DAY, FILES, around, listed, opinion, span, subjects};
use crate::gate::Needs;
use crate::{Context, Evidence, Expert, Kind, Opinion, Severity};

/// A state that changed within this time before judging is new.
const LATELY_S: i64 = DAY;
/// A change within this time after an activity may be its consequence; clocks differ a little.
const AFTER_S: i64 = 3_600;
const CLOCKS_DIFFER_S: i64 = 60;
/// More changes than this within [`LATELY_S`] are an installation.
const CHANGES_MOST: usize = 16;

/// What gives a foothold that lasts, by the beginning of its path.
const FOOTHOLDS: &[&str] = &[
    "path:/etc/passwd",
    "path:/etc/shadow",
    "path:/etc/group",
    "path:/etc/sudoers",
    "path:/etc/cron",
    "path:/etc/ssh/",
    "path:/etc/pam.d/",
    "path:/etc/ld.so.preload",
    "path:/root/.ssh/",
    "path:/var/spool/cron/",
];

/// The expert.
pub struct Changed;

impl Expert for Changed {
    fn name(&self) -> &'static str {
        "change"
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING.raised().changes()
    }

    fn cost(&self) -> u32 {
        2
    }

    fn judge(&self, evidence: &Evidence, context: &Context) -> Option<Opinion> {
        if evidence.level == Severity::Info {
            return None;
        }
        let changes: Vec<&Change> = context.changes.iter().flatten().collect();
        let lately = |change: &&&Change| {
            !change.by_package && (0..=LATELY_S).contains(&context.now.saturating_sub(change.at))
        };
        if changes.iter().filter(lately).count() > CHANGES_MOST {
            return None;
        }
        let own = changes.into_iter().filter(|change| !change.by_package);
        match evidence.kind {
            Kind::Activity => after(evidence, own),
            _ => before(evidence, context, own.filter(|change| lately(&change))),
        }
    }
}

/// A state that changed lately.
fn before<'a>(
    evidence: &Evidence,
    context: &Context,
    lately: impl Iterator<Item = &'a Change>,
) -> Option<Opinion> {
    let mut names = subjects(evidence);
    names.extend(evidence.sources.iter().map(|source| format!("path:{}", source.file)));
    if evidence.kind == Kind::Service {
        names.extend(evidence.services.iter().map(|name| format!("service:{name}")));
    }
    let newest = lately
        .filter(|change| names.contains(&change.subject))
        .max_by(|a, b| a.at.cmp(&b.at).then_with(|| b.subject.cmp(&a.subject)))?;
    let ago = span(context.now.saturating_sub(newest.at));
    let rationale = format!("{} changed {ago} ago", name(&newest.subject));
    opinion("change", around(evidence.level, 0.0, 0.35), 0.6, rationale, &[FILES])
}

/// An activity that something followed.
fn after<'a>(evidence: &Evidence, own: impl Iterator<Item = &'a Change>) -> Option<Opinion> {
    let first = evidence.first?;
    let last = evidence.last.unwrap_or(first);
    let from = first.saturating_sub(CLOCKS_DIFFER_S);
    let following = from..=last.saturating_add(AFTER_S);
    let user = evidence.subject.user.as_ref().map(|user| format!("user:{user}"));
    let mut found: Vec<&str> = own
        .filter(|change| following.contains(&change.at))
        .map(|change| change.subject.as_str())
        .filter(|subject| {
            FOOTHOLDS.iter().any(|start| subject.starts_with(start))
                || user.as_deref() == Some(*subject)
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    if found.is_empty() {
        return None;
    }
    let rationale =
        format!("{} changed during it or within the hour", listed(found.iter().map(|s| name(s))));
    opinion("change", around(evidence.level, 0.0, 0.5), 0.7, rationale, &[FILES])
}

/// A subject for people: files and services speak for themselves.
fn name(subject: &str) -> &str {
    subject.strip_prefix("path:").unwrap_or(subject)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SourceLine;
    use crate::experts::tests::{activity, mean, posture};

    const NOW: i64 = 1_000_000_000;

    fn changed(subject: &str, at: i64) -> Change {
        Change { subject: subject.into(), at, by_package: false }
    }

    fn with(changes: Vec<Change>) -> Context {
        Context { now: NOW, changes: Some(changes), ..Context::default() }
    }

    fn setting() -> Evidence {
        let file = "/etc/ssh/sshd_config".to_string();
        let source = SourceLine { file, line: 1, column: 1, text: String::new() };
        Evidence { sources: vec![source], ..posture(Severity::Medium) }
    }

    #[test]
    fn a_state_that_is_new_is_a_little_worse() {
        let at = |at| {
            let context = with(vec![changed("path:/etc/ssh/sshd_config", at)]);
            Changed.judge(&setting(), &context)
        };
        let said = at(NOW - 3 * 3_600).unwrap();
        assert_eq!(said.rationale, "/etc/ssh/sshd_config changed 3 h ago");
        assert!(mean(&said) > 2.0);
        assert!(at(NOW - LATELY_S).is_some());
        assert!(at(NOW - LATELY_S - 1).is_none());
        assert!(at(NOW + 1).is_none(), "a clock that is wrong");
        let other = with(vec![changed("path:/etc/motd", NOW - 60)]);
        assert!(Changed.judge(&setting(), &other).is_none());
    }

    #[test]
    fn packages_and_installations_are_no_change() {
        let upgraded =
            Change { by_package: true, ..changed("path:/etc/ssh/sshd_config", NOW - 60) };
        assert!(Changed.judge(&setting(), &with(vec![upgraded])).is_none());
        let many = |n: usize| {
            let mut all: Vec<Change> =
                (1..n).map(|i| changed(&format!("path:/etc/{i}"), NOW - 60)).collect();
            all.push(changed("path:/etc/ssh/sshd_config", NOW - 60));
            Changed.judge(&setting(), &with(all))
        };
        assert!(many(CHANGES_MOST).is_some());
        assert!(many(CHANGES_MOST + 1).is_none());
    }

    #[test]
    fn what_an_activity_left_behind_counts() {
        let evidence = activity(Severity::High);
        let last = evidence.last.unwrap();
        let followed = |subject: &str, at| {
            Changed.judge(&evidence, &with(vec![changed(subject, at)])).map(|said| said.rationale)
        };
        let key = "path:/root/.ssh/authorized_keys";
        let words = "/root/.ssh/authorized_keys changed during it or within the hour";
        assert_eq!(followed(key, last + AFTER_S).as_deref(), Some(words));
        assert_eq!(followed(key, last + AFTER_S + 1), None);
        assert_eq!(followed(key, last - 86_400), None, "before it");
        assert_eq!(followed("path:/var/log/auth.log", last), None);
        assert!(Changed.judge(&evidence, &Context::default()).is_none());
    }
}
