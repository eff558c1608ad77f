//! Whether a rule's condition holds for an event.

use parsers::rules::sigma::{Condition, Matcher, Rule, Selection, Test};

use crate::logs::event::Event;

/// Whether the rule's condition holds for an event, whatever its log source.
pub fn holds(rule: &Rule, event: &Event<'_>) -> bool {
    condition_holds(&rule.detection.condition, rule, event)
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
    let holds = match &test.field {
        None => {
            let mut each = test.values.iter();
            let found = |value: &Matcher| event.any_text(|text| value.accepts(text));
            if test.all { each.all(found) } else { each.any(found) }
        }
        Some(field) => {
            let value = event.field(field);
            let mut each = test.values.iter();
            let accepts = |matcher: &Matcher| value_holds(matcher, value.as_deref(), event);
            if test.all { each.all(accepts) } else { each.any(accepts) }
        }
    };
    holds != test.negated
}

fn value_holds(matcher: &Matcher, value: Option<&[u8]>, event: &Event<'_>) -> bool {
    match (matcher, value) {
        (Matcher::Null, None) => true,
        (Matcher::Exists(wanted), value) => *wanted == value.is_some(),
        (Matcher::Field(other, around), Some(value)) => {
            event.field(other).is_some_and(|other| around.stands(value, &other))
        }
        (_, None) => false,
        (matcher, Some(value)) => matcher.accepts(value),
    }
}
