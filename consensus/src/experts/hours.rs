//! Time of day: outside of the habit of this host.
//!
//! The habit is the hours (UTC) of the subject's own past logins where they are many, else of the
//! rule's past events. An hour in which hardly anything ever happened makes an activity a little
//! worse; the usual hour says nothing (attackers work in office hours too). Without enough of a past,
//! and for what took longer than an hour, it abstains.

use crate::context::Seen;
use crate::experts::recurrence::{hour, near};
use crate::experts::{CLOCK, HISTORY, around, opinion, subjects};
use crate::gate::Needs;
use crate::{Context, Evidence, Expert, Kind, Opinion, Severity};

/// A habit takes at least so many events ...
const EVENTS_LEAST: u64 = 20;
/// ... on so many days.
const DAYS_LEAST: u32 = 7;
/// An hour (with its neighbours) that has less than this share of the events is odd; even shares would
/// be an eighth.
const ODD_SHARE: f64 = 0.02;

/// The expert.
pub struct OddHour;

impl Expert for OddHour {
    fn name(&self) -> &'static str {
        "hours"
    }

    fn needs(&self) -> Needs {
        Needs::ACTIVITY.raised().past()
    }

    fn judge(&self, evidence: &Evidence, context: &Context) -> Option<Opinion> {
        if evidence.kind != Kind::Activity || evidence.level == Severity::Info {
            return None;
        }
        let past = context.past.as_ref()?;
        let hour = hour(evidence)?;
        let logins = past.logins.iter().flat_map(|logins| {
            let names = subjects(evidence).into_iter();
            names.filter_map(|name| Some((format!("logins of {name}"), logins.get(&name)?)))
        });
        let rule = past.rules.as_ref().and_then(|rules| rules.get(&evidence.check));
        let of_rule = rule.map(|rule| (format!("events of {}", evidence.check), &rule.all));
        let (whose, habit) = logins.chain(of_rule).find(|(_, seen)| is_habit(seen))?;
        let (near, all) = (near(&habit.hours, hour), events(habit));
        if near as f64 >= ODD_SHARE * all as f64 {
            return None;
        }
        let rationale =
            format!("about {hour:02}:00 UTC, when only {near} of {all} past {whose} were");
        opinion(self.name(), around(evidence.level, 0.0, 0.4), 0.7, rationale, &[CLOCK, HISTORY])
    }
}

fn events(seen: &Seen) -> u64 {
    seen.hours.iter().fold(0, |sum, count| count.saturating_add(sum))
}

fn is_habit(seen: &Seen) -> bool {
    seen.days >= DAYS_LEAST && events(seen) >= EVENTS_LEAST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subject;
    use crate::context::{Past, RulePast};
    use crate::experts::tests::{activity, mean};

    fn by_alice(hour: i64) -> Evidence {
        let first = 11_000 * 86_400 + hour * 3_600;
        let subject = Subject { user: Some("alice".into()), ..Subject::default() };
        Evidence { subject, first: Some(first), last: Some(first), ..activity(Severity::Medium) }
    }

    /// Somebody who comes at nine.
    fn at_nine(count: u64, days: u32) -> Seen {
        let mut hours = [0; 24];
        hours[9] = count;
        Seen { count, days, hours }
    }

    fn logins(seen: Seen) -> Context {
        let logins = Some([("user:alice".to_string(), seen)].into());
        Context { past: Some(Past { days: 30, logins, ..Past::default() }), ..Context::default() }
    }

    #[test]
    fn an_odd_hour_is_a_little_worse_and_the_usual_one_nothing() {
        let context = logins(at_nine(40, 20));
        let said = OddHour.judge(&by_alice(3), &context).unwrap();
        assert_eq!(
            said.rationale,
            "about 03:00 UTC, when only 0 of 40 past logins of user:alice were"
        );
        assert!(mean(&said) > 2.0 && said.level() == Severity::Medium);
        for usual in [8, 9, 10] {
            assert!(OddHour.judge(&by_alice(usual), &context).is_none());
        }
    }

    #[test]
    fn a_few_events_are_no_habit() {
        assert!(OddHour.judge(&by_alice(3), &logins(at_nine(EVENTS_LEAST, DAYS_LEAST))).is_some());
        let few = [at_nine(EVENTS_LEAST - 1, 9), at_nine(EVENTS_LEAST, DAYS_LEAST - 1)];
        for seen in few {
            assert!(OddHour.judge(&by_alice(3), &logins(seen)).is_none());
        }
        assert!(OddHour.judge(&by_alice(3), &Context::default()).is_none());
    }

    #[test]
    fn the_rules_own_habit_counts_where_no_logins_are_known() {
        let rule = RulePast { all: at_nine(90, 30), ..RulePast::default() };
        let rules = Some([("ssh-brute-force".to_string(), rule)].into());
        let past = Past { days: 30, rules, ..Past::default() };
        let context = Context { past: Some(past), ..Context::default() };
        let said = OddHour.judge(&by_alice(22), &context).unwrap();
        assert!(said.rationale.ends_with("of 90 past events of ssh-brute-force were"));
    }
}
