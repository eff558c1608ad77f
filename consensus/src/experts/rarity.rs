//! Causal rarity: how surprising an activity is against this host's own past, in nats (-ln p).
//!
//! Two surprises add up. That the rule fires at all: p is the share of past days on which it did
//! (`(days + 0.5) / (all + 1)`), so that one storm does not make a rule usual. And that it names this
//! subject: p is the subject's share of the rule's events, and at least the share that came from
//! strangers (the Good-Turing estimate of what is unseen, from subjects seen once), so that new
//! addresses at a door where everybody knocks surprise nobody. What is rare is raised by up to
//! one level; what is usual is lowered by a part of one, unless it was done or is grave.
//!
//! It uses only the time before the period examined, speaks of activities only (an old weakness is no
//! less weak), and abstains with less than [`DAYS_LEAST`] days.

use crate::context::RulePast;
use crate::experts::{HISTORY, around, opinion, shifted, subjects, was_done};
use crate::gate::Needs;
use crate::{Context, Evidence, Expert, Kind, Opinion, Severity};

/// A shorter past tells nothing.
const DAYS_LEAST: u32 = 3;
/// A past of so many days is as good as any.
const DAYS_GOOD: u32 = 14;
/// From this surprise on an activity is rare (1 in 12), and no rarer than certain at the second.
const RARE_NATS: f64 = 2.5;
const RAREST_NATS: f64 = 4.0;
/// Up to this surprise it is usual (more often than not).
const USUAL_NATS: f64 = 0.7;

/// The expert.
pub struct Rare;

impl Expert for Rare {
    fn name(&self) -> &'static str {
        "rarity"
    }

    fn needs(&self) -> Needs {
        Needs::ACTIVITY.raised().past()
    }

    fn cost(&self) -> u32 {
        2
    }

    fn judge(&self, evidence: &Evidence, context: &Context) -> Option<Opinion> {
        let past = context.past.as_ref()?;
        let rules = past.rules.as_ref()?;
        let judged = evidence.kind == Kind::Activity && evidence.level > Severity::Info;
        if !judged || past.days < DAYS_LEAST {
            return None;
        }
        let never = RulePast::default();
        let rule = rules.get(&evidence.check).unwrap_or(&never);
        let of_rule = -((f64::from(rule.all.days) + 0.5) / (f64::from(past.days) + 1.0)).ln();
        let (of_subject, who) = rarest(evidence, rule);
        let nats = of_rule.max(0.0) + of_subject;
        let level = evidence.level;
        let distribution = if nats >= RARE_NATS {
            let rare = ((nats - RARE_NATS) / (RAREST_NATS - RARE_NATS)).clamp(0.0, 1.0);
            around(shifted(level, 1), 0.5 * (1.0 - rare), 0.0)
        } else if nats > USUAL_NATS {
            around(level, 0.1, 0.1)
        } else if level >= Severity::High || was_done(evidence) {
            // Usual, but what is grave or was done is not made milder by having been done before.
            return None;
        } else {
            around(level, 0.6, 0.0)
        };
        let trust = f64::from(past.days.min(DAYS_GOOD)) / f64::from(DAYS_GOOD);
        let often = match rule.all.days {
            0 => format!("never fired in {} days", past.days),
            days => format!("fired on {days} of {} days", past.days),
        };
        let rationale = format!("{} {often}{who}: {nats:.1} nats of surprise", evidence.check);
        opinion(self.name(), distribution, trust, rationale, &[HISTORY])
    }
}

/// The subject that surprises most, in nats and in words; nothing where the rule never fired.
fn rarest(evidence: &Evidence, rule: &RulePast) -> (f64, String) {
    let events = rule.all.count as f64;
    if rule.all.count == 0 {
        return (0.0, String::new());
    }
    let share = |count: u64| (count as f64 + 0.5) / (events + 1.0);
    let one = |subject: String| {
        let times = rule.subjects.get(&subject).map_or(0, |seen| seen.count);
        // Where everybody is a stranger, one who came once before is no rarer than one who never did.
        let p = share(times).max(share(rule.strangers));
        let words = match times {
            0 => format!(", never for {subject}"),
            1 => format!(", once for {subject}"),
            times => format!(", {times} times for {subject}"),
        };
        let nats = (-p.ln()).max(0.0);
        // One regular among many is no surprise, however many there are.
        (if times > 1 { nats.min(USUAL_NATS / 2.0) } else { nats }, words)
    };
    let all = subjects(evidence).into_iter().map(one);
    all.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{Past, Seen};
    use crate::experts::tests::{activity, mean, with_fact};

    fn seen(count: u64, days: u32) -> Seen {
        Seen { count, days, hours: [0; 24] }
    }

    /// Thirty days in which the rule fired so often, on so many days.
    fn past(count: u64, days: u32, strangers: u64, subject: Option<u64>) -> Context {
        let subjects =
            subject.map(|count| ("ip:192.0.2.7".to_string(), seen(count, 1))).into_iter().collect();
        let rule = RulePast { all: seen(count, days), subjects, strangers };
        let rules = Some([("ssh-brute-force".to_string(), rule)].into());
        Context { past: Some(Past { days: 30, rules, ..Past::default() }), ..Context::default() }
    }

    fn said(context: &Context) -> Opinion {
        Rare.judge(&activity(Severity::Medium), context).unwrap()
    }

    #[test]
    fn the_rarer_the_worse() {
        let never = said(&past(0, 0, 0, None));
        let rule = said(&past(2, 2, 2, None));
        let usual = said(&past(900, 30, 800, None));
        assert_eq!(never.rationale, "ssh-brute-force never fired in 30 days: 4.1 nats of surprise");
        assert_eq!(never.level(), Severity::High);
        assert!(mean(&never) > mean(&rule) && mean(&rule) > mean(&usual));
        assert!(mean(&usual) < 2.0);
    }

    #[test]
    fn strangers_surprise_only_where_there_were_none() {
        let knocked = said(&past(900, 30, 800, None));
        let regular = said(&past(900, 30, 0, None));
        assert!(mean(&regular) > mean(&knocked));
        assert!(regular.rationale.contains("never for ip:192.0.2.7: 7.5 nats"));
        let once = said(&past(900, 30, 800, Some(1)));
        assert_eq!(mean(&once), mean(&knocked));
        let known = said(&past(900, 30, 0, Some(40)));
        assert!(known.rationale.contains("40 times for ip:192.0.2.7"), "{}", known.rationale);
        assert!(mean(&known) < 2.0);
    }

    #[test]
    fn what_is_grave_or_was_done_is_not_made_milder() {
        let usual = past(900, 30, 800, None);
        assert!(Rare.judge(&activity(Severity::High), &usual).is_none());
        let done = with_fact(activity(Severity::Medium), "success", "true");
        assert!(Rare.judge(&done, &usual).is_none());
    }

    #[test]
    fn without_a_past_worth_the_name_it_abstains() {
        let at = |days| {
            let rules = Some(Default::default());
            let past = Past { days, rules, ..Past::default() };
            let context = Context { past: Some(past), ..Context::default() };
            Rare.judge(&activity(Severity::Medium), &context)
        };
        assert!(at(DAYS_LEAST - 1).is_none());
        assert!(at(DAYS_LEAST).unwrap().confidence < at(DAYS_GOOD).unwrap().confidence);
        let uncounted = Past { days: 30, ..Past::default() };
        let context = Context { past: Some(uncounted), ..Context::default() };
        assert!(Rare.judge(&activity(Severity::Medium), &context).is_none());
        let state = crate::experts::tests::posture(Severity::Medium);
        assert!(Rare.judge(&state, &past(0, 0, 0, None)).is_none());
    }
}
