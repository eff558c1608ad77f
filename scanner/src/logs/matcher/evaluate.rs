//! Whether a rule's condition holds for an event.

use parsers::rules::sigma::{Condition, Matcher, Rule, Selection, Test};

use crate::logs::event::Event;

/// Whether the rule's condition holds for an event, whatever its log source.
pub fn holds(rule: &Rule, event: &Event<'_>) -> bool {
    condition_holds(&rule.detection.condition, rule, event)
}

/// Which selections of the rule hold for an event, in their order: why it matched, or did not.
pub fn held(rule: &Rule, event: &Event<'_>) -> Vec<bool> {
    let selections = rule.detection.selections.iter();
    selections.map(|(_, selection)| selection_holds(selection, event)).collect()
}

fn condition_holds(condition: &Condition, rule: &Rule, event: &Event<'_>) -> bool {
    let selection = |index: &usize| selection_holds(&rule.detection.selections[*index].1, event);
    match condition {
        Condition::Selection(index) => selection(index),
        Condition::Not(inner) => !condition_holds(inner, rule, event),
        Condition::And(parts) => parts.iter().all(|part| condition_holds(part, rule, event)),
        Condition::Or(parts) => parts.iter().any(|part| condition_holds(part, rule, event)),
        Condition::AtLeast(count, of) => {
            of.iter().filter(|index| selection(index)).take(*count).count() == *count
        }
    }
}

fn selection_holds(selection: &Selection, event: &Event<'_>) -> bool {
    match selection {
        Selection::All(tests) => tests.iter().all(|test| test_holds(test, event)),
        Selection::Any(parts) => parts.iter().any(|part| selection_holds(part, event)),
    }
}

fn test_holds(test: &Test, event: &Event<'_>) -> bool {
    let values = &test.values;
    let holds = match &test.field {
        None if test.all => {
            let each = test.has_expressions();
            values.iter().all(|one| event.any_text(each, |text| one.accepts(text)))
        }
        None => event.any_text(test.has_expressions(), |text| test.any_accepts(text)),
        Some(field) if test.all => values.iter().all(|one| value_holds(one, field, event)),
        Some(field) => {
            event.any_value(field, |value| test.any_accepts(value)).unwrap_or(false)
                || test.relates()
                    && values.iter().any(|one| one.relates() && value_holds(one, field, event))
        }
    };
    holds != test.negated
}

fn value_holds(matcher: &Matcher, field: &str, event: &Event<'_>) -> bool {
    match matcher {
        Matcher::Null => event.any_value(field, <[u8]>::is_empty).unwrap_or(true),
        Matcher::Exists(wanted) => *wanted == event.any_value(field, |_| true).is_some(),
        Matcher::Field(other, around, cased) => event.field(other).is_some_and(|other| {
            event.any_value(field, |value| around.stands(value, &other, *cased)).unwrap_or(false)
        }),
        matcher => event.any_value(field, |value| matcher.accepts(value)).unwrap_or(false),
    }
}
