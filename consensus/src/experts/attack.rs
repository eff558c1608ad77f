//! Attack in progress: do the logs show it being tried, and did it succeed.
//!
//! An attempt concerns a state when it is against one of its services (or both are about the host)
//! and uses a technique that the state names: guessing passwords raises no X11 forwarding. A success
//! concerns every weakness of its service. An activity is concerned when the attack's rule names the
//! same actor: that somebody got in makes not every knock at the door worse. What made the evidence
//! is not also its witness: the rule's own detection is left out. It abstains when nothing matches;
//! "no attack" is no reason to call a weak setting better than it is.

use crate::experts::{LOGS, around, kin, opinion, shifted, subjects};
use crate::gate::Needs;
use crate::{Attack, Context, Evidence, Expert, Exposure, Kind, Opinion, Privilege, Severity};

/// Attempts older than this count half.
const FRESH_S: i64 = 7 * 86_400;
/// Attempts older than this do not count.
const STALE_S: i64 = 30 * 86_400;

/// The expert.
pub struct UnderAttack;

impl Expert for UnderAttack {
    fn name(&self) -> &'static str {
        "attack"
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING.logs()
    }

    fn judge(&self, evidence: &Evidence, context: &Context) -> Option<Opinion> {
        if !context.logs_known {
            return None;
        }
        let worst = context
            .attacks
            .iter()
            .filter(|attack| concerns(attack, evidence, context) && age(attack, context) <= STALE_S)
            .max_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| b.cmp(a)))?;
        let aged = if age(worst, context) > FRESH_S { 0.5 } else { 1.0 };
        let what = format!(
            "{}: {} {} from {} {} against {}",
            worst.rule,
            worst.count,
            if worst.count == 1 { "event" } else { "events" },
            worst.sources,
            if worst.sources == 1 { "source" } else { "sources" },
            if worst.service.is_empty() { "the host" } else { &worst.service },
        );
        if worst.succeeded {
            let level = shifted(evidence.level, 2);
            let rationale = format!("{what}, and a success followed");
            return opinion(self.name(), around(level, 0.0, 0.0), aged, rationale, &[LOGS]);
        }
        // An attempt raises a state that can be reached; an attempt recorded is not worse by
        // another one, and nothing wrong stays nothing wrong.
        if evidence.kind == Kind::Activity
            || evidence.level == Severity::Info
            || out_of_reach(evidence, context)
        {
            return None;
        }
        let useful = match evidence.privilege {
            Privilege::None | Privilege::Information => 0.3,
            Privilege::Service => 0.8,
            Privilege::User | Privilege::Root => 1.0,
        };
        let rationale = format!("{what}, no success seen");
        opinion(
            self.name(),
            around(shifted(evidence.level, 1), 0.0, 0.1),
            useful * aged,
            rationale,
            &[LOGS],
        )
    }
}

fn concerns(attack: &Attack, evidence: &Evidence, context: &Context) -> bool {
    let same_target = if attack.service.is_empty() {
        evidence.services.is_empty() && !evidence.tags.is_empty()
    } else {
        evidence.services.contains(&attack.service)
    };
    // A weakness that no technique is known to use is raised only by a success against its service.
    let any_technique = match evidence.kind {
        Kind::Activity => evidence.tags.is_empty() || attack.tags.is_empty(),
        _ => attack.succeeded || (attack.tags.is_empty() && !evidence.tags.is_empty()),
    };
    let same_technique = any_technique
        || evidence.tags.iter().any(|tag| attack.tags.iter().any(|seen| kin(tag, seen)));
    same_target
        && same_technique
        && attack.rule != evidence.check
        && (evidence.kind != Kind::Activity || same_actor(attack, evidence, context))
}

fn same_actor(attack: &Attack, evidence: &Evidence, context: &Context) -> bool {
    subjects(evidence)
        .iter()
        .filter_map(|subject| context.mentions.get(subject))
        .any(|speakers| speakers.contains(&attack.rule))
}

/// Success before failure, then many sources, then many events.
fn rank(attack: &Attack) -> (bool, u64, u64) {
    (attack.succeeded, attack.sources, attack.count)
}

fn age(attack: &Attack, context: &Context) -> i64 {
    context.now.saturating_sub(attack.last)
}

/// Whether every service concerned is known to be closed to others.
fn out_of_reach(evidence: &Evidence, context: &Context) -> bool {
    context.services_known
        && !evidence.services.is_empty()
        && evidence
            .services
            .iter()
            .all(|name| context.services.get(name).is_none_or(|s| s.exposure == Exposure::Loopback))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::experts::tests::{listening, posture};

    /// A brute force against ssh.
    pub(crate) fn brute_force(succeeded: bool) -> Attack {
        Attack {
            service: "ssh".into(),
            rule: "ssh-brute-force".into(),
            tags: vec!["attack.t1110.001".into()],
            count: 4021,
            sources: 37,
            last: 1_000_000_000 - 60,
            succeeded,
        }
    }

    fn attacked(exposure: Exposure, attack: Attack) -> Context {
        Context { attacks: vec![attack], ..listening(exposure) }
    }

    #[test]
    fn an_attempt_raises_by_one_and_a_success_by_two() {
        let tried = attacked(Exposure::World, brute_force(false));
        let said = UnderAttack.judge(&posture(Severity::Medium), &tried).unwrap();
        assert_eq!(said.level(), Severity::High);
        assert_eq!(
            said.rationale,
            "ssh-brute-force: 4021 events from 37 sources against ssh, no success seen"
        );
        let done = attacked(Exposure::World, brute_force(true));
        let said = UnderAttack.judge(&posture(Severity::Medium), &done).unwrap();
        assert_eq!(said.level(), Severity::Critical);
    }

    #[test]
    fn it_abstains_when_nothing_matches() {
        let evidence = posture(Severity::High);
        let context = attacked(Exposure::World, brute_force(false));
        let deaf = Context { logs_known: false, ..context.clone() };
        assert!(UnderAttack.judge(&evidence, &deaf).is_none());
        assert!(UnderAttack.judge(&evidence, &listening(Exposure::World)).is_none());
        let other = Evidence { services: vec!["http".into()], ..evidence.clone() };
        assert!(UnderAttack.judge(&other, &context).is_none());
        let technique = Evidence { tags: vec!["attack.t1190".into()], ..evidence.clone() };
        assert!(UnderAttack.judge(&technique, &context).is_none());
        let own = Evidence { check: "ssh-brute-force".into(), ..evidence };
        assert!(UnderAttack.judge(&own, &context).is_none());
    }

    #[test]
    fn a_technique_covers_its_variants_only() {
        assert!(kin("attack.t1110", "attack.t1110.001"));
        assert!(kin("attack.t1110.001", "attack.t1110"));
        assert!(!kin("attack.t111", "attack.t1110"));
        assert!(!kin("attack.t1110.001", "attack.t1110.003"));
    }

    #[test]
    fn attempts_on_what_cannot_be_reached_do_not_raise_it() {
        let evidence = posture(Severity::High);
        assert!(
            UnderAttack
                .judge(&evidence, &attacked(Exposure::Loopback, brute_force(false)))
                .is_none()
        );
        assert!(
            UnderAttack
                .judge(&evidence, &attacked(Exposure::Loopback, brute_force(true)))
                .is_some()
        );
    }

    #[test]
    fn a_success_makes_only_the_same_actors_deeds_worse() {
        let subject = crate::Subject { ip: Some("192.0.2.7".into()), ..Default::default() };
        let knock = Evidence { kind: Kind::Activity, subject, ..posture(Severity::Low) };
        let mut context = attacked(Exposure::World, brute_force(true));
        assert!(UnderAttack.judge(&knock, &context).is_none());
        let speakers = ["ssh-brute-force".to_string()].into();
        context.mentions.insert("ip:192.0.2.7".into(), speakers);
        assert!(UnderAttack.judge(&knock, &context).is_some());
    }

    #[test]
    fn attempts_count_less_against_what_they_do_not_use() {
        let context = attacked(Exposure::World, brute_force(false));
        let confidence = |evidence| UnderAttack.judge(evidence, &context).unwrap().confidence;
        let setting = posture(Severity::Medium);
        let banner = Evidence { privilege: Privilege::Information, ..setting.clone() };
        assert!(confidence(&banner) < confidence(&setting));
        // Guessing passwords is no use against forwarded displays, nor against a missing update.
        let display = Evidence { tags: Vec::new(), ..setting.clone() };
        let update = Evidence { tags: vec!["attack.t1190".into()], kind: Kind::Patch, ..setting };
        assert!(UnderAttack.judge(&display, &context).is_none());
        assert!(UnderAttack.judge(&update, &context).is_none());
    }

    #[test]
    fn old_attempts_fade() {
        let at = |days: i64| {
            let mut attack = brute_force(false);
            attack.last = 1_000_000_000 - days * 86_400;
            UnderAttack
                .judge(&posture(Severity::High), &attacked(Exposure::World, attack))
                .map(|said| said.confidence)
        };
        assert_eq!(at(1), Some(1.0));
        assert_eq!(at(8), Some(0.5));
        assert_eq!(at(31), None);
        assert_eq!(at(-1), Some(1.0));
    }

    #[test]
    fn info_is_raised_by_success_alone() {
        let evidence = posture(Severity::Info);
        assert!(
            UnderAttack.judge(&evidence, &attacked(Exposure::World, brute_force(false))).is_none()
        );
        assert!(
            UnderAttack.judge(&evidence, &attacked(Exposure::World, brute_force(true))).is_some()
        );
    }
}
