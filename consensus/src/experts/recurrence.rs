//! Recurrence: fixed and back again, or the same every day at the same hour.
//!
//! A state that was fixed and is back has a cause that nobody removed: a little worse. An activity of
//! the same subject on nearly every day, always within the same hours, is a routine (cron, a backup):
//! a little milder, unless it is grave. It abstains on everything else.

use crate::context::Seen;
use crate::experts::{HISTORY, around, opinion, subjects};
use crate::gate::Needs;
use crate::{Context, Evidence, Expert, Kind, Opinion, Severity};

/// A routine takes at least so many days, ...
const ROUTINE_DAYS: u32 = 7;
/// ... on this share of the past's, ...
const ROUTINE_SHARE: f64 = 0.8;
/// ... with this share of its events within an hour of the same hour.
const SAME_HOUR_SHARE: f64 = 0.9;

/// The expert.
pub struct Recurrent;

impl Expert for Recurrent {
    fn name(&self) -> &'static str {
        "recurrence"
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING.raised().past()
    }

    fn judge(&self, evidence: &Evidence, context: &Context) -> Option<Opinion> {
        let past = context.past.as_ref()?;
        if evidence.level == Severity::Info {
            return None;
        }
        if evidence.kind != Kind::Activity {
            let name = format!("{} {}", evidence.check, evidence.key);
            let times = *past.returned.get(&name).filter(|times| **times > 0)?;
            let often = if times == 1 { "once".to_string() } else { format!("{times} times") };
            let rationale = format!("fixed {often} before, and back: its cause is still there");
            return opinion(
                self.name(),
                around(evidence.level, 0.0, 0.4),
                0.6,
                rationale,
                &[HISTORY],
            );
        }
        let rule = past.rules.as_ref()?.get(&evidence.check)?;
        let hour = hour(evidence)?;
        let (subject, seen) = subjects(evidence)
            .into_iter()
            .filter_map(|subject| Some((rule.subjects.get(&subject)?, subject)))
            .map(|(seen, subject)| (subject, seen))
            .find(|(_, seen)| is_routine(seen, past.days, hour))?;
        let rationale = format!(
            "routine: {} for {subject} on {} of {} days, always about {hour:02}:00 UTC",
            evidence.check, seen.days, past.days
        );
        // Attackers are patient too: what is grave stays as it is declared.
        if evidence.level >= Severity::Critical {
            return None;
        }
        opinion(self.name(), around(evidence.level, 0.6, 0.0), 0.7, rationale, &[HISTORY])
    }
}

/// The hour of the day (UTC) in which all of it happened; `None` where it took longer.
pub(crate) fn hour(evidence: &Evidence) -> Option<usize> {
    let first = evidence.first?;
    let last = evidence.last.unwrap_or(first);
    if last.saturating_sub(first) > 3_600 {
        return None;
    }
    usize::try_from(first.rem_euclid(86_400) / 3_600).ok()
}

/// Events within an hour of this one.
pub(crate) fn near(hours: &[u64; 24], hour: usize) -> u64 {
    [23, 0, 1].iter().fold(0, |sum, shift| hours[(hour + shift) % 24].saturating_add(sum))
}

fn is_routine(seen: &Seen, days: u32, hour: usize) -> bool {
    let events: f64 = seen.hours.iter().map(|count| *count as f64).sum();
    seen.days >= ROUTINE_DAYS
        && f64::from(seen.days) >= ROUTINE_SHARE * f64::from(days)
        && events > 0.0
        && near(&seen.hours, hour) as f64 >= SAME_HOUR_SHARE * events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{Past, RulePast};
    use crate::experts::tests::{activity, mean, posture};

    /// A nightly job seen on so many of thirty days, so often at 3 and at 15 o'clock.
    fn nightly(days: u32, night: u64, noon: u64) -> Context {
        let mut hours = [0; 24];
        (hours[3], hours[15]) = (night, noon);
        let seen = Seen { count: night + noon, days, hours };
        let subjects = [("ip:192.0.2.7".to_string(), seen)].into();
        let rules = [("ssh-brute-force".to_string(), RulePast { subjects, ..RulePast::default() })];
        let past = Past { days: 30, rules: Some(rules.into()), ..Past::default() };
        Context { past: Some(past), ..Context::default() }
    }

    fn at(hour: i64, level: Severity) -> Evidence {
        let first = 11_000 * 86_400 + hour * 3_600 + 60;
        Evidence { first: Some(first), last: Some(first + 60), ..activity(level) }
    }

    #[test]
    fn the_same_every_night_is_a_routine() {
        let said = Recurrent.judge(&at(3, Severity::Medium), &nightly(28, 28, 0)).unwrap();
        assert!(mean(&said) < 2.0);
        assert_eq!(
            said.rationale,
            "routine: ssh-brute-force for ip:192.0.2.7 on 28 of 30 days, always about 03:00 UTC"
        );
        assert!(Recurrent.judge(&at(2, Severity::Medium), &nightly(28, 28, 0)).is_some());
    }

    #[test]
    fn what_is_not_quite_a_routine_is_none() {
        let judged = |evidence: &Evidence, context: &Context| Recurrent.judge(evidence, context);
        assert!(judged(&at(9, Severity::Medium), &nightly(28, 28, 0)).is_none(), "another hour");
        assert!(judged(&at(3, Severity::Medium), &nightly(12, 12, 0)).is_none(), "few days");
        assert!(judged(&at(3, Severity::Medium), &nightly(28, 20, 8)).is_none(), "any hour");
        assert!(judged(&at(3, Severity::Critical), &nightly(28, 28, 0)).is_none(), "grave");
        let long = Evidence { last: Some(i64::MAX), ..at(3, Severity::Medium) };
        assert!(judged(&long, &nightly(28, 28, 0)).is_none());
        let undated = Evidence { first: None, ..at(3, Severity::Medium) };
        assert!(judged(&undated, &nightly(28, 28, 0)).is_none());
    }

    #[test]
    fn what_came_back_is_a_little_worse() {
        let returned = [("ssh-permit-root-login ".to_string(), 2)].into();
        let past = Past { days: 30, returned, ..Past::default() };
        let context = Context { past: Some(past), ..Context::default() };
        let said = Recurrent.judge(&posture(Severity::Medium), &context).unwrap();
        assert_eq!(said.rationale, "fixed 2 times before, and back: its cause is still there");
        assert!(mean(&said) > 2.0);
        let other = Evidence { key: "other".into(), ..posture(Severity::Medium) };
        assert!(Recurrent.judge(&other, &context).is_none());
        assert!(Recurrent.judge(&posture(Severity::Medium), &Context::default()).is_none());
    }
}
