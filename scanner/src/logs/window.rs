//! Correlations on event time: what was counted for each group, and when a threshold was met.
//!
//! A group is one combination of the `group-by` values. Memory is bounded: when [`GROUPS_MAX`] groups
//! are held, those that have not fired and are longest quiet are dropped and counted, so that results
//! are then a lower bound and say so. An event older than a group's window (another file's history)
//! starts the window anew; the tally of the group goes on.

use std::collections::{BTreeSet, HashMap, VecDeque};

use parsers::rules::sigma::{Correlation, CorrelationKind, Header};

use super::matcher::{Correlated, Reference};
use super::story::{Hit, Tally};

/// Most groups that one correlation holds.
pub const GROUPS_MAX: usize = 50_000;

/// Most distinct values of one group that are told apart.
pub const VALUES_MAX: usize = 1024;

/// One correlation's groups.
pub struct Window {
    groups: HashMap<Vec<String>, Group>,
    /// Groups dropped for want of room.
    pub evicted: u64,
}

/// One group.
#[derive(Default)]
pub struct Group {
    state: State,
    newest: i64,
    /// What was seen of it, within the windows and between them.
    pub tally: Tally,
    /// How often the threshold was met.
    pub fired: u64,
}

#[derive(Default)]
struct State {
    /// Times of the last events, oldest first, at most the threshold's count.
    times: VecDeque<i64>,
    /// Distinct values with the time of the last event of each, oldest first.
    values: Vec<(String, i64)>,
    /// For each rule: the last event (temporal), or the latest start of an ordered run that ends
    /// with it (temporal_ordered).
    runs: Vec<Option<i64>>,
}

/// A correlation that fired.
pub struct Fired {
    /// The group's values.
    pub values: Vec<String>,
    /// Events that are new in it.
    pub weight: u64,
    /// The group's first line, when it fired for the first time.
    pub opened_by: Option<Hit>,
}

/// What a correlation is fed: a hit of a rule, or of a correlation below it.
pub struct Feed<'a> {
    /// What hit.
    pub from: Reference,
    /// When, seconds since the epoch.
    pub at: i64,
    /// How many events it stands for.
    pub weight: u64,
    /// The line behind it.
    pub hit: &'a Hit,
    /// The first line behind a correlation that fired for the first time.
    pub opened_by: Option<&'a Hit>,
    /// The values by which the fields of `from` are known.
    pub value: &'a dyn Fn(&str) -> Option<String>,
}

/// The fields of a rule that a correlation groups or counts by.
pub fn fields_of(correlation: &Correlation, header: &Header) -> Vec<String> {
    let mut fields: Vec<String> = correlation
        .group_by
        .iter()
        .map(|field| field_for(correlation, header, field).to_string())
        .collect();
    if let CorrelationKind::ValueCount(field, _) = &correlation.kind {
        fields.push(field_for(correlation, header, field).to_string());
    }
    fields
}

/// The rule's own name of a field: an alias may give one a rule.
fn field_for<'a>(correlation: &'a Correlation, header: &Header, field: &'a str) -> &'a str {
    let alias = correlation.aliases.iter().find(|(alias, _)| alias == field);
    let pair = alias.and_then(|(_, pairs)| pairs.iter().find(|(rule, _)| header.is_called(rule)));
    pair.map_or(field, |(_, own)| own)
}

impl Window {
    /// No groups yet.
    pub fn new() -> Self {
        Self { groups: HashMap::new(), evicted: 0 }
    }

    /// Takes one event; `Some` when the correlation fires with it. An event that lacks a `group-by` field is not
    /// correlated (Sigma's rule).
    pub fn feed(
        &mut self,
        correlated: &Correlated,
        header: &Header,
        feed: &Feed<'_>,
    ) -> Option<Fired> {
        let correlation = &correlated.correlation;
        let key: Vec<String> = correlation
            .group_by
            .iter()
            .map(|field| (feed.value)(field_for(correlation, header, field)))
            .collect::<Option<_>>()?;
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&key) {
            self.make_room();
        }
        let group = self.groups.entry(key.clone()).or_default();
        if let Some(first) = feed.opened_by
            && group.tally.count == 0
        {
            group.tally.add(first, first.at, 0);
        }
        group.tally.add(feed.hit, feed.at, feed.weight);
        if feed.at < group.newest.saturating_sub(correlation.timespan_s) {
            group.state = State::default();
            group.newest = feed.at;
        }
        group.newest = group.newest.max(feed.at);
        let value = |field: &str| (feed.value)(field_for(correlation, header, field));
        if !group.state.advance(correlated, feed, &value) {
            return None;
        }
        group.fired += 1;
        let first_time = group.fired == 1;
        Some(Fired {
            values: key,
            weight: if first_time { group.tally.count } else { feed.weight },
            opened_by: if first_time { group.tally.first_hit().cloned() } else { None },
        })
    }

    /// Groups that fired, by their values.
    pub fn fired(self) -> Vec<(Vec<String>, Group)> {
        let mut fired: Vec<_> = self.groups.into_iter().filter(|(_, g)| g.fired > 0).collect();
        fired.sort_by(|a, b| a.0.cmp(&b.0));
        fired
    }

    /// Drops half of the groups: first those that have not fired, then by how long they are quiet.
    fn make_room(&mut self) {
        let mut order: Vec<(bool, i64, &Vec<String>)> =
            self.groups.iter().map(|(key, g)| (g.fired > 0, g.newest, key)).collect();
        order.sort_unstable();
        let drop: BTreeSet<Vec<String>> =
            order.into_iter().take(GROUPS_MAX / 2).map(|(_, _, key)| key.clone()).collect();
        self.evicted += drop.len() as u64;
        self.groups.retain(|key, _| !drop.contains(key));
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// Takes an event into the window; whether the condition holds now.
    fn advance(
        &mut self,
        correlated: &Correlated,
        feed: &Feed<'_>,
        value: &dyn Fn(&str) -> Option<String>,
    ) -> bool {
        let correlation = &correlated.correlation;
        let oldest = feed.at.saturating_sub(correlation.timespan_s);
        match &correlation.kind {
            CorrelationKind::EventCount(threshold) => {
                let most = usize::try_from(threshold.at_least).unwrap_or(usize::MAX);
                let at = self.times.partition_point(|time| *time <= feed.at);
                let weight = usize::try_from(feed.weight).unwrap_or(most).min(most);
                for _event in 0..weight {
                    self.times.insert(at, feed.at);
                }
                while self.times.len() > most {
                    self.times.pop_front();
                }
                self.times.len() == most
                    && self
                        .times
                        .front()
                        .zip(self.times.back())
                        .is_some_and(|(first, last)| last - first <= correlation.timespan_s)
            }
            CorrelationKind::ValueCount(field, threshold) => {
                let Some(value) = value(field) else { return false };
                self.values.retain(|(known, time)| *known != value && *time >= oldest);
                if self.values.len() < VALUES_MAX {
                    self.values.push((value, feed.at));
                }
                self.values.len() as u64 >= threshold.at_least.min(VALUES_MAX as u64)
            }
            CorrelationKind::Temporal => {
                self.runs.resize(correlated.reads.len(), None);
                self.note(correlated, feed, |_, at| Some(at));
                self.runs.iter().all(|time| time.is_some_and(|time| time >= oldest))
            }
            CorrelationKind::TemporalOrdered => {
                self.runs.resize(correlated.reads.len(), None);
                self.note(correlated, feed, |before, at| match before {
                    None => Some(at),
                    Some(start) => start.filter(|start| *start >= oldest),
                })
            }
        }
    }

    /// Sets the run of each position that this event may stand for, last position first, so that one
    /// event never counts for two; whether the last position was reached now.
    fn note(
        &mut self,
        correlated: &Correlated,
        feed: &Feed<'_>,
        run: impl Fn(Option<Option<i64>>, i64) -> Option<i64>,
    ) -> bool {
        let mut reached = false;
        for position in (0..correlated.reads.len()).rev() {
            if correlated.reads[position] != feed.from {
                continue;
            }
            let before = position.checked_sub(1).map(|before| self.runs[before]);
            let start = run(before, feed.at);
            if start.is_some() {
                self.runs[position] = start;
                reached |= position + 1 == correlated.reads.len();
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::logs::event::Who;
    use crate::logs::matcher::RuleSet;

    fn hit() -> Hit {
        Hit {
            rule: 0,
            time: Some(0),
            at: 0,
            weight: 1,
            path: Arc::from("/log"),
            line: 1,
            column: 1,
            offset: 0,
            text: Arc::from("x"),
            who: Who::default(),
            values: Vec::new(),
            old: false,
        }
    }

    fn rules(correlation: &str) -> RuleSet {
        let rule = |name: &str| {
            format!(
                "title: {name}\nname: {name}\nlogsource: {{product: linux}}\ndetection: {{s: [x], condition: s}}\n---\n"
            )
        };
        let text = format!("{}{}title: c\ncorrelation: {{{correlation}}}\n", rule("a"), rule("b"));
        let documents = parsers::rules::sigma::parse(&Arc::from("r.yml"), text.as_bytes()).unwrap();
        RuleSet::new(documents).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    /// Which of the events (rule, time, weight, group, value) made the correlation fire.
    fn fires(correlation: &str, events: &[(usize, i64, u64, &str, &str)]) -> Vec<bool> {
        let rules = rules(correlation);
        let mut window = Window::new();
        let hit = hit();
        let each = events.iter().map(|(rule, at, weight, group, counted)| {
            let value = |field: &str| match field {
                "g" => Some(group.to_string()),
                "v" => Some(counted.to_string()),
                _ => None,
            };
            let from = Reference::Rule(*rule);
            let feed =
                Feed { from, at: *at, weight: *weight, hit: &hit, opened_by: None, value: &value };
            let header = &rules.rules[*rule].rule.header;
            window.feed(&rules.correlations[0], header, &feed).is_some()
        });
        each.collect()
    }

    #[test]
    fn events_are_counted_within_the_timespan_and_apart_by_group() {
        let count =
            "type: event_count, rules: [a], group-by: [g], timespan: 10s, condition: {gte: 3}";
        let at = |times: &[i64]| {
            fires(count, &times.iter().map(|t| (0, *t, 1, "x", "")).collect::<Vec<_>>())
        };
        assert_eq!(at(&[0, 5, 10]), [false, false, true]);
        assert_eq!(at(&[0, 5, 11]), [false, false, false]);
        assert_eq!(at(&[0, 5, 11, 12]), [false, false, false, true]);
        assert_eq!(at(&[5, 0, 10]), [false, false, true]);
        assert_eq!(at(&[100, 101, 0, 1, 2]), [false, false, false, false, true]);
        assert_eq!(fires(count, &[(0, 0, 3, "x", "")]), [true]);
        assert_eq!(fires(count, &[(0, 0, 2, "x", ""), (0, 0, 1, "y", "")]), [false, false]);
        let none =
            "type: event_count, rules: [a], group-by: [none], timespan: 10s, condition: {gte: 1}";
        assert_eq!(fires(none, &[(0, 0, 1, "x", "")]), [false]);
        let all = "type: event_count, rules: [a], timespan: 10s, condition: {gt: 1}";
        assert_eq!(fires(all, &[(0, 0, 1, "x", ""), (0, 0, 1, "y", "")]), [false, true]);
    }

    #[test]
    fn distinct_values_are_counted_once() {
        let count = "type: value_count, rules: [a], group-by: [g], timespan: 10s, condition: {gte: 2, field: v}";
        assert_eq!(
            fires(count, &[(0, 0, 9, "x", "1"), (0, 1, 1, "x", "1"), (0, 2, 1, "x", "2")]),
            [false, false, true]
        );
        assert_eq!(fires(count, &[(0, 0, 1, "x", "1"), (0, 11, 1, "x", "2")]), [false, false]);
    }

    #[test]
    fn temporal_wants_all_rules_and_ordered_their_order() {
        let any = "type: temporal, rules: [a, b], group-by: [g], timespan: 10s";
        let ordered = "type: temporal_ordered, rules: [a, b], group-by: [g], timespan: 10s";
        let events = |first: usize, second: usize, gap: i64| {
            [(first, 0, 1, "x", ""), (second, gap, 1, "x", "")]
        };
        assert_eq!(fires(any, &events(0, 1, 10)), [false, true]);
        assert_eq!(fires(any, &events(1, 0, 10)), [false, true]);
        assert_eq!(fires(any, &events(0, 1, 11)), [false, false]);
        assert_eq!(fires(any, &events(0, 0, 1)), [false, false]);
        assert_eq!(fires(ordered, &events(0, 1, 10)), [false, true]);
        assert_eq!(fires(ordered, &events(1, 0, 10)), [false, false]);
        assert_eq!(fires(ordered, &events(0, 1, 11)), [false, false]);
        let twice = "type: temporal_ordered, rules: [a, a], group-by: [g], timespan: 10s";
        assert_eq!(fires(twice, &events(0, 0, 5)), [false, true]);
    }

    #[test]
    fn groups_are_bounded_and_what_is_dropped_is_counted() {
        let rules = rules(
            "type: event_count, rules: [a], group-by: [g], timespan: 10s, condition: {gte: 2}",
        );
        let mut window = Window::new();
        let hit = hit();
        for number in 0..=GROUPS_MAX {
            let value = |_: &str| Some(number.to_string());
            let at = i64::try_from(number).unwrap();
            let from = Reference::Rule(0);
            let feed = Feed { from, at, weight: 1, hit: &hit, opened_by: None, value: &value };
            window.feed(&rules.correlations[0], &rules.rules[0].rule.header, &feed);
            let expected = if number < GROUPS_MAX { 0 } else { GROUPS_MAX as u64 / 2 };
            assert_eq!(window.evicted, expected);
        }
    }
}
