//! Correlations over hits: windows on event time, one a group, in bounded memory.
//!
//! An event is taken at its own time, in whatever order events come within the timespan; one from
//! before that starts the window anew (a clock was set back), so that a forged time blinds nobody. When
//! all groups together would need more than their room, the quietest are dropped and counted. What is
//! shown of a group (its first lines, its accounts) is kept for those that fired, and for so many others
//! as [`EARLY_MAX`] says; the others are counted only, until they fire.

use std::collections::HashMap;

use parsers::rules::sigma::{Correlation, CorrelationKind, Header};

use super::groups::{Group, Groups, Hashed, Pair, mixed};
use super::matcher::{Correlated, Reference};
use super::story::{Hit, Name, Opening, Tally};

/// Most bytes that the groups of all correlations of a sweep take together.
pub const GROUPS_BYTES_MAX: usize = 32 << 20;

/// Most distinct values of one group that are told apart.
pub const VALUES_MAX: usize = 1024;

/// Groups that have not fired of which one correlation keeps lines to show.
pub const EARLY_MAX: usize = 1024;

/// One correlation's groups.
#[derive(Default)]
pub struct Window {
    groups: Groups,
    stories: HashMap<u64, Story, Hashed>,
    /// Stories of groups that have not fired.
    early: usize,
    /// Further early stories are not begun before so many new groups came.
    pause: usize,
    /// Times are counted from here.
    base: Option<i64>,
    newest: i64,
    pairs: Vec<Pair>,
    /// Groups dropped for want of room.
    pub evicted: u64,
}

/// What is shown of a group.
pub struct Story {
    /// The group's values.
    pub values: Vec<String>,
    /// What was seen of it, within the windows and between them.
    pub tally: Tally,
    fired: bool,
    newest: i64,
}

/// A correlation that fired.
pub struct Fired {
    /// Events that are new in it.
    pub weight: u64,
    /// The group's first line, when it fired for the first time.
    pub opened_by: Option<Opening>,
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
    pub hit: &'a Hit<'a>,
    /// The first line behind a correlation that fired for the first time.
    pub opened_by: Option<&'a Opening>,
    /// The values of the group that it belongs to.
    pub group: &'a [Name<'a>],
    /// The value that is counted, for `value_count`.
    pub counted: Option<Name<'a>>,
}

impl Feed<'_> {
    /// What tells its group from others.
    pub fn key(&self) -> u64 {
        self.group.iter().fold(1, |key, name| mixed(key, name.hash))
    }
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
pub(super) fn field_for<'a>(
    correlation: &'a Correlation,
    header: &Header,
    field: &'a str,
) -> &'a str {
    let alias = correlation.aliases.iter().find(|(alias, _)| alias == field);
    let pair = alias.and_then(|(_, pairs)| pairs.iter().find(|(rule, _)| header.is_called(rule)));
    pair.map_or(field, |(_, own)| own)
}

impl Window {
    /// No groups yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of its groups.
    pub fn bytes(&self) -> usize {
        self.groups.bytes()
    }

    /// Takes one event; `Some` when the correlation fires with it.
    pub fn feed(&mut self, correlated: &Correlated, feed: &Feed<'_>) -> Option<Fired> {
        let correlation = &correlated.correlation;
        let key = feed.key();
        let base = *self.base.get_or_insert_with(|| feed.at.saturating_sub(1 << 31));
        let at = u32::try_from(feed.at.saturating_sub(base).max(0)).unwrap_or(u32::MAX);
        self.newest = self.newest.max(feed.at);
        let (place, new, group) = self.groups.entry(key);
        if new {
            group.first = at;
        }
        let timespan = u32::try_from(correlation.timespan_s).unwrap_or(u32::MAX);
        let anew = at < group.newest.saturating_sub(timespan);
        if anew {
            group.newest = at;
        }
        group.newest = group.newest.max(at);
        group.count = group.count.saturating_add(u32::try_from(feed.weight).unwrap_or(u32::MAX));
        if !feed.hit.old {
            group.freshen();
        }
        let group = *group;
        self.pairs.clear();
        if !anew {
            self.groups.pairs(&group, &mut self.pairs);
        }
        let now = Now { at, oldest: at.saturating_sub(timespan), timespan };
        let fires = advance(&mut self.pairs, correlated, feed, &now);
        self.groups.keep(place, &self.pairs);
        self.tell(key, &group, new, base, feed);
        fires.then(|| self.fire(key, &group, base, feed))
    }

    /// Adds the event to what is shown of its group.
    fn tell(&mut self, key: u64, group: &Group, new: bool, base: i64, feed: &Feed<'_>) {
        if let Some(story) = self.stories.get_mut(&key) {
            story.tally.add(feed.hit, feed.at, feed.weight);
            story.newest = feed.at;
        } else if group.has_fired() || (new && self.has_early_room()) {
            self.early += usize::from(!group.has_fired());
            let story = Story::new(group, base, feed);
            self.stories.insert(key, story);
        }
    }

    fn fire(&mut self, key: u64, group: &Group, base: i64, feed: &Feed<'_>) -> Fired {
        if group.has_fired() {
            return Fired { weight: feed.weight, opened_by: None };
        }
        self.groups.entry(key).2.fire();
        let early = &mut self.early;
        let story = match self.stories.entry(key) {
            std::collections::hash_map::Entry::Occupied(known) => {
                *early -= 1;
                known.into_mut()
            }
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(Story::new(group, base, feed))
            }
        };
        story.fired = true;
        Fired { weight: story.tally.count, opened_by: story.tally.opening() }
    }

    /// Whether a group that has not fired may keep lines; those quiet for long give way.
    fn has_early_room(&mut self) -> bool {
        if self.early < EARLY_MAX {
            return true;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return false;
        }
        self.pause = EARLY_MAX / 2;
        let mut times: Vec<i64> =
            self.stories.values().filter(|story| !story.fired).map(|story| story.newest).collect();
        let middle = times.len() / 2;
        let cutoff = *times.select_nth_unstable(middle).1;
        self.stories.retain(|_, story| story.fired || story.newest >= cutoff);
        self.early = self.stories.values().filter(|story| !story.fired).count();
        self.early < EARLY_MAX
    }

    /// Groups that fired, by their values.
    pub fn fired(self) -> Vec<Story> {
        let mut fired: Vec<_> = self.stories.into_values().filter(|story| story.fired).collect();
        fired.sort_by(|a, b| a.values.cmp(&b.values));
        fired
    }

    /// Drops half of the groups.
    pub fn make_room(&mut self) {
        let Self { groups, stories, early, .. } = self;
        self.evicted += groups.make_room(|key| {
            if let Some(story) = stories.remove(&key) {
                *early -= usize::from(!story.fired);
            }
        });
    }
}

impl Story {
    /// Of a group whose events before this one, if any, were only counted.
    fn new(group: &Group, base: i64, feed: &Feed<'_>) -> Self {
        let mut tally = Tally::default();
        if let Some(first) = feed.opened_by {
            tally.open(first);
        }
        tally.add(feed.hit, feed.at, feed.weight);
        tally.count_before(group.count, group.is_fresh(), base + i64::from(group.first));
        let text = |name: &Name<'_>| String::from_utf8_lossy(name.text).into_owned();
        let values = feed.group.iter().map(text).collect();
        Self { values, tally, fired: false, newest: feed.at }
    }
}

/// A moment and the window before it.
struct Now {
    at: u32,
    oldest: u32,
    timespan: u32,
}

/// Takes an event into the window; whether the condition holds now.
fn advance(pairs: &mut Vec<Pair>, correlated: &Correlated, feed: &Feed<'_>, now: &Now) -> bool {
    match &correlated.correlation.kind {
        CorrelationKind::EventCount(threshold) => {
            count_events(pairs, threshold.at_least, feed.weight, now)
        }
        CorrelationKind::ValueCount(_, threshold) => {
            let Some(value) = feed.counted else { return false };
            count_values(pairs, threshold.at_least, value.hash, now)
        }
        CorrelationKind::Temporal => {
            note(pairs, correlated, feed, |_| Some(now.at));
            let recent = pairs.iter().filter(|(_, at)| *at >= now.oldest).count();
            recent == correlated.reads.len()
        }
        CorrelationKind::TemporalOrdered => note(pairs, correlated, feed, |before| match before {
            None => Some(now.at),
            Some(start) => start.filter(|start| *start >= now.oldest),
        }),
    }
}

/// Pairs are (how many, when), oldest first: the last events, as many as the threshold asks for.
fn count_events(pairs: &mut Vec<Pair>, at_least: u64, weight: u64, now: &Now) -> bool {
    let most = u32::try_from(at_least).unwrap_or(u32::MAX);
    let weight = u32::try_from(weight).unwrap_or(most).min(most);
    let place = pairs.partition_point(|(_, at)| *at <= now.at);
    match place.checked_sub(1).map(|before| &mut pairs[before]) {
        Some((events, at)) if *at == now.at => *events = events.saturating_add(weight),
        _ => pairs.insert(place, (weight, now.at)),
    }
    let all: u64 = pairs.iter().map(|(events, _)| u64::from(*events)).sum();
    let mut spare = all.saturating_sub(u64::from(most));
    let mut whole = 0;
    for (events, _) in pairs.iter_mut() {
        let gone = spare.min(u64::from(*events));
        spare -= gone;
        *events -= u32::try_from(gone).unwrap_or(*events);
        if *events > 0 {
            break;
        }
        whole += 1;
    }
    pairs.drain(..whole);
    let ends = pairs.first().zip(pairs.last());
    all >= u64::from(most) && ends.is_none_or(|(first, last)| last.1 - first.1 <= now.timespan)
}

/// Pairs are (hash of the value, when), oldest first: of the last distinct values, as many as the
/// threshold asks for.
fn count_values(pairs: &mut Vec<Pair>, at_least: u64, value: u64, now: &Now) -> bool {
    let most = usize::try_from(at_least).unwrap_or(VALUES_MAX).clamp(1, VALUES_MAX);
    let value = (value >> 32) as u32;
    let newest = pairs.iter().filter(|(known, _)| *known == value).map(|(_, at)| *at).max();
    let at = newest.map_or(now.at, |newest| newest.max(now.at));
    pairs.retain(|(known, time)| *known != value && *time >= now.oldest);
    let place = pairs.partition_point(|(_, time)| *time <= at);
    pairs.insert(place, (value, at));
    let spare = pairs.len().saturating_sub(most);
    pairs.drain(..spare);
    pairs.len() >= most
}

/// Sets the run of each position that this event may stand for, last position first, so that one event
/// never counts for two; whether the last position was reached now. Pairs are (position, when).
fn note(
    pairs: &mut Vec<Pair>,
    correlated: &Correlated,
    feed: &Feed<'_>,
    run: impl Fn(Option<Option<u32>>) -> Option<u32>,
) -> bool {
    let mut reached = false;
    for position in (0..correlated.reads.len()).rev() {
        if correlated.reads[position] != feed.from {
            continue;
        }
        let number = u32::try_from(position).unwrap_or(u32::MAX);
        let run_of = |number: u32| pairs.iter().find(|pair| pair.0 == number).map(|pair| pair.1);
        let before = number.checked_sub(1).map(run_of);
        if let Some(start) = run(before) {
            match pairs.iter_mut().find(|pair| pair.0 == number) {
                Some(pair) => pair.1 = start,
                None => pairs.push((number, start)),
            }
            reached |= position + 1 == correlated.reads.len();
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use std::cell::OnceCell;
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    use std::sync::Arc;

    use super::*;
    use crate::logs::matcher::RuleSet;

    fn hit<'a>(
        path: &'a Arc<str>,
        kept: &'a OnceCell<std::rc::Rc<crate::logs::story::Kept>>,
    ) -> Hit<'a> {
        Hit {
            rule: 0,
            time: Some(0),
            at: 0,
            weight: 1,
            path,
            line: 1,
            column: 1,
            offset: 0,
            text: b"x",
            ip: None,
            user: None,
            unit: None,
            typed: false,
            ended: None,
            old: false,
            kept,
        }
    }

    fn name(text: &str) -> Name<'_> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(text);
        Name { text: text.as_bytes(), hash }
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
        let (path, kept) = (Arc::from("/log"), OnceCell::new());
        let hit = hit(&path, &kept);
        let grouped = !rules.correlations[0].correlation.group_by.is_empty();
        let each = events.iter().map(|(rule, at, weight, group, counted)| {
            let group = [name(group)];
            let feed = Feed {
                from: Reference::Rule(*rule),
                at: *at,
                weight: *weight,
                hit: &hit,
                opened_by: None,
                group: if grouped { &group } else { &[] },
                counted: Some(name(counted)),
            };
            window.feed(&rules.correlations[0], &feed).is_some()
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
    fn a_count_beyond_the_threshold_and_events_out_of_order_stay_exact() {
        let count = "type: event_count, rules: [a], timespan: 10s, condition: {gte: 3}";
        let one = |at: i64, weight: u64| (0, at, weight, "", "");
        assert_eq!(fires(count, &[one(0, 100), one(11, 1), one(12, 1)]), [true, false, false]);
        assert_eq!(fires(count, &[one(0, 100), one(5, 1), one(10, 1)]), [true, true, true]);
        assert_eq!(fires(count, &[one(9, 1), one(3, 1), one(6, 1)]), [false, false, true]);
        let values = "type: value_count, rules: [a], group-by: [g], timespan: 10s, condition: {gte: 3, field: v}";
        let at = |at: i64, value: &'static str| (0, at, 1, "x", value);
        assert_eq!(
            fires(values, &[at(0, "1"), at(4, "2"), at(8, "1"), at(12, "3"), at(15, "4")]),
            [false, false, false, true, true]
        );
    }

    /// A window in which so many groups had one event each, a second apart.
    fn crowd(groups: usize) -> Window {
        let rules = rules(
            "type: event_count, rules: [a], group-by: [g], timespan: 10s, condition: {gte: 2}",
        );
        let mut window = Window::new();
        let (path, kept) = (Arc::from("/log"), OnceCell::new());
        let hit = hit(&path, &kept);
        for number in 0..groups {
            let text = number.to_string();
            let feed = Feed {
                from: Reference::Rule(0),
                at: i64::try_from(number).unwrap(),
                weight: 1,
                hit: &hit,
                opened_by: None,
                group: &[name(&text)],
                counted: None,
            };
            assert!(window.feed(&rules.correlations[0], &feed).is_none());
        }
        window
    }

    #[test]
    fn lines_are_kept_of_so_many_groups_and_the_others_are_counted() {
        for groups in [EARLY_MAX, EARLY_MAX + 1, 5 * EARLY_MAX] {
            let window = crowd(groups);
            assert_eq!((window.groups.len(), window.evicted), (groups, 0));
            assert!(window.stories.len() <= EARLY_MAX && window.early == window.stories.len());
        }
    }

    #[test]
    fn groups_that_give_way_are_counted() {
        let mut window = crowd(10_000);
        let before = window.bytes();
        window.make_room();
        assert_eq!(window.evicted as usize + window.groups.len(), 10_000);
        assert!((4_000..6_000).contains(&window.evicted) && window.bytes() <= before);
        assert_eq!(window.early, window.stories.len());
    }
}
