//! Rules that were read before and kept: how deep they may be nested, and whether they hang together.
//!
//! The formats that keep them know neither: a damaged or foreign text could nest without end, or name a
//! selection that is not there. What this lets through is as safe to ask as what [`super::parse`] gives.

use std::cell::Cell;

use serde::{Deserialize, Deserializer, de::Error};

use super::condition::{Condition, DEPTH_MAX};
use super::correlation::{CorrelationKind, RULES_MAX, THRESHOLD_MAX, TIMESPAN_SECONDS_MAX};
use super::detection::{Detection, SELECTIONS_MAX, Selection};
use super::{Document, Matcher};

/// Deepest nesting of what is read: that of a condition and of a selection, and some room for the lists
/// between.
const NESTING_MAX: usize = 4 * DEPTH_MAX;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Leaves a level again, whatever comes of it.
struct Level;

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}

/// Reads a part that may hold others of its kind, unless it is nested deeper than [`NESTING_MAX`].
pub(super) fn nested<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let depth = DEPTH.with(|depth| {
        depth.set(depth.get() + 1);
        depth.get()
    });
    let _level = Level;
    if depth > NESTING_MAX {
        return Err(D::Error::custom("nested too deeply"));
    }
    T::deserialize(deserializer)
}

impl Document {
    /// Whether everything in it is within the bounds of what is read from a rule file.
    pub fn is_sound(&self) -> bool {
        match self {
            Self::Rule(rule) => is_sound(&rule.detection),
            Self::Filter(filter) => is_sound(&filter.detection),
            Self::Correlation(correlation) => {
                let least = match &correlation.kind {
                    CorrelationKind::EventCount(threshold)
                    | CorrelationKind::ValueCount(_, threshold) => threshold.at_least,
                    CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => 1,
                };
                (1..=THRESHOLD_MAX).contains(&least)
                    && (1..=RULES_MAX).contains(&correlation.rules.len())
                    && (1..=TIMESPAN_SECONDS_MAX).contains(&correlation.timespan_s)
            }
        }
    }
}

fn is_sound(detection: &Detection) -> bool {
    fn names(condition: &Condition, count: usize) -> bool {
        match condition {
            Condition::Selection(index) => *index < count,
            Condition::Not(inner) => names(inner, count),
            Condition::And(parts) | Condition::Or(parts) => {
                parts.iter().all(|part| names(part, count))
            }
            Condition::AtLeast(least, of) => {
                (1..=of.len()).contains(least) && of.iter().all(|index| *index < count)
            }
        }
    }
    fn values(selection: &Selection) -> bool {
        match selection {
            Selection::All(tests) => {
                tests.iter().flat_map(|test| &test.values).all(Matcher::is_sound)
            }
            Selection::Any(parts) => parts.iter().all(values),
        }
    }
    let count = detection.selections.len();
    count <= SELECTIONS_MAX
        && names(&detection.condition, count)
        && detection.selections.iter().all(|(_, selection)| values(selection))
}

#[cfg(test)]
mod tests {
    use super::super::{Rule, parse};
    use super::*;

    fn rule() -> Rule {
        let text = b"title: t\nlogsource: {product: linux}\ndetection: {a: {f: [x, y]}, b: {g|cidr: 10.0.0.0/8}, condition: a and not b}\n";
        match parse(&"r".into(), text).unwrap().remove(0) {
            Document::Rule(rule) => *rule,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_hangs_together_is_sound_and_nothing_else() {
        let sound = |change: fn(&mut Rule)| {
            let mut rule = rule();
            change(&mut rule);
            Document::Rule(Box::new(rule)).is_sound()
        };
        assert!(sound(|_| {}));
        assert!(!sound(|rule| rule.detection.condition = Condition::Selection(2)));
        assert!(!sound(|rule| rule.detection.condition = Condition::AtLeast(3, vec![0, 1])));
        assert!(!sound(|rule| rule.detection.condition = Condition::AtLeast(0, vec![0, 1])));
        assert!(!sound(|rule| rule.detection.condition = Condition::AtLeast(1, vec![7])));
        assert!(!sound(|rule| {
            let network = Matcher::Network("10.0.0.0".parse().unwrap(), 33);
            if let Selection::All(tests) = &mut rule.detection.selections[1].1 {
                tests[0].values = vec![network];
            }
        }));
        assert!(!sound(|rule| {
            let one = rule.detection.selections[0].clone();
            rule.detection.selections = vec![one; SELECTIONS_MAX + 1];
        }));
    }

    #[test]
    fn what_is_nested_too_deeply_is_refused_before_it_is_built() {
        let deep = |levels: usize| {
            let innermost = serde_json::json!({"Selection": 0});
            let value = (0..levels).fold(innermost, |inner, _| serde_json::json!({ "Not": inner }));
            Condition::deserialize(value)
        };
        assert!(deep(DEPTH_MAX).is_ok());
        assert!(deep(NESTING_MAX).is_ok());
        assert!(deep(NESTING_MAX + 1).unwrap_err().to_string().starts_with("nested too deeply"));
        assert!(deep(NESTING_MAX).is_ok());
    }
}
