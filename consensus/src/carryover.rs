//! What is carried from one chunk of a stream to the next, so that a verdict does not depend on where
//! the stream was cut: how many lines there were, from when to when, how many of each template, and
//! the few that matter most.
//!
//! A state is a value that is added to or merged. Every part of it is a sum, a minimum, a maximum or
//! the top of one fixed order, so that any way of cutting the stream, and any order of merging, gives
//! the same state. For that, recency is linear in time: with a fading that is not, which of two lines
//! matters more would change with the moment they are compared, hence with the cut.
//!
//! Memory is bounded: at most [`MAX_KEPT`] lines, and the counts of at most [`MAX_TEMPLATES`]
//! templates. Beyond those the counted ones are a sample, chosen by a hash of their number (a bottom-k
//! sketch, Cohen and Kaplan 2007): their counts stay exact, and [`CarryOver::uncounted`] says how many
//! lines are of others.

use std::cmp::Reverse;

/// Most lines that are carried.
pub const MAX_KEPT: usize = 64;
/// Most templates that are counted.
pub const MAX_TEMPLATES: usize = 1024;
/// Highest relevance of a line.
pub const MAX_RELEVANCE: u16 = 1000;

/// A line of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// Where it starts in the stream (not in the chunk), in bytes.
    pub offset: u64,
    /// When, in seconds since the epoch.
    pub at: i64,
    /// Which kind of line it is.
    pub template: u32,
    /// How much it matters by itself, 0 to [`MAX_RELEVANCE`]; more counts as that.
    pub relevance: u16,
}

/// What a stream's states have in common; states of different rules do not merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How many lines are carried; more than [`MAX_KEPT`] counts as that.
    pub kept: usize,
    /// Seconds by which a line must be newer to weigh as much more as a quarter of the highest
    /// relevance; 0 counts as 1.
    pub horizon: u32,
}

/// The state carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarryOver {
    rules: Rules,
    lines: u64,
    /// The earliest and the latest time.
    times: Option<(i64, i64)>,
    /// The weightiest lines, the weightiest first.
    kept: Vec<(Reverse<i128>, Line)>,
    /// The templates with the lowest hashes, by hash.
    templates: Vec<(u32, Template)>,
}

/// A template's lines in the stream so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// Its number.
    pub template: u32,
    /// How many lines it has.
    pub lines: u64,
    /// The time of the earliest, in seconds since the epoch.
    pub first: i64,
    /// The time of the latest.
    pub last: i64,
}

/// The states follow different [`Rules`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("states of different rules do not merge")]
pub struct OtherRules;

impl CarryOver {
    /// The state before the first line.
    pub fn new(rules: Rules) -> Self {
        let rules = Rules { kept: rules.kept.min(MAX_KEPT), horizon: rules.horizon.max(1) };
        let kept = Vec::with_capacity(rules.kept);
        Self { rules, lines: 0, times: None, kept, templates: Vec::new() }
    }

    /// Adds a chunk's lines.
    pub fn add(&mut self, chunk: &[Line]) {
        self.lines = self.lines.saturating_add(chunk.len() as u64);
        for &line in chunk {
            self.span(line.at, line.at);
            self.keep((Reverse(self.weight(&line)), line));
            let Line { template, at, .. } = line;
            self.count(Template { template, lines: 1, first: at, last: at });
        }
    }

    /// Adds what another state has seen, whether before or after. Fails if it has other rules.
    pub fn merge(&mut self, other: &Self) -> Result<(), OtherRules> {
        if self.rules != other.rules {
            return Err(OtherRules);
        }
        self.lines = self.lines.saturating_add(other.lines);
        if let Some((first, last)) = other.times {
            self.span(first, last);
        }
        for &kept in &other.kept {
            // The rest weighs less still.
            if !self.keep(kept) {
                break;
            }
        }
        other.templates.iter().for_each(|&(_, template)| self.count(template));
        Ok(())
    }

    /// How many lines there were.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The earliest and the latest time, in seconds since the epoch.
    pub fn times(&self) -> Option<(i64, i64)> {
        self.times
    }

    /// The lines that matter most (0.8 relevance and 0.2 recency), the weightiest first; of equal
    /// ones the one that stands first in the stream.
    pub fn kept(&self) -> impl ExactSizeIterator<Item = &Line> {
        self.kept.iter().map(|(_, line)| line)
    }

    /// The counted templates with the most lines; of equal ones the lowest number first.
    pub fn top_templates(&self, most: usize) -> Vec<Template> {
        let mut all: Vec<_> = self.templates.iter().map(|&(_, template)| template).collect();
        all.sort_unstable_by_key(|template| (Reverse(template.lines), template.template));
        all.truncate(most);
        all
    }

    /// Lines whose templates are not counted, because there are more than [`MAX_TEMPLATES`].
    pub fn uncounted(&self) -> u64 {
        let counted =
            self.templates.iter().fold(0_u64, |sum, each| sum.saturating_add(each.1.lines));
        self.lines.saturating_sub(counted)
    }

    /// 0.8 × relevance ÷ 1,000 + 0.2 × time ÷ horizon, times 5,000 × horizon so that it is whole.
    fn weight(&self, line: &Line) -> i128 {
        let relevance = i128::from(line.relevance.min(MAX_RELEVANCE));
        4 * relevance * i128::from(self.rules.horizon) + 1000 * i128::from(line.at)
    }

    fn span(&mut self, first: i64, last: i64) {
        let (earliest, latest) = self.times.unwrap_or((first, last));
        self.times = Some((earliest.min(first), latest.max(last)));
    }

    /// Whether the line is among the weightiest so far.
    fn keep(&mut self, line: (Reverse<i128>, Line)) -> bool {
        let full = self.kept.len() == self.rules.kept;
        if full && self.kept.last().is_none_or(|lightest| *lightest <= line) {
            return false;
        }
        if full {
            self.kept.pop();
        }
        let place = self.kept.partition_point(|other| *other <= line);
        self.kept.insert(place, line);
        true
    }

    fn count(&mut self, more: Template) {
        let hash = scatter(more.template);
        match self.templates.binary_search_by_key(&hash, |&(hash, _)| hash) {
            Ok(place) => {
                let own = &mut self.templates[place].1;
                own.lines = own.lines.saturating_add(more.lines);
                own.first = own.first.min(more.first);
                own.last = own.last.max(more.last);
            }
            Err(place) if place < MAX_TEMPLATES => {
                // The one that falls out never comes back: later hashes must be lower than the last.
                self.templates.truncate(MAX_TEMPLATES - 1);
                self.templates.insert(place, (hash, more));
            }
            Err(_) => {}
        }
    }
}

/// A template's place in the sample: each number has its own (every step can be undone).
fn scatter(template: u32) -> u32 {
    let mut hash = template ^ 0x9e37_79b9;
    hash = (hash ^ hash >> 16).wrapping_mul(0x7feb_352d); // "lowbias32", Wellons 2018
    hash = (hash ^ hash >> 15).wrapping_mul(0x846c_a68b);
    hash ^ hash >> 16
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { kept: 3, horizon: 100 };

    fn line(offset: u64, at: i64, template: u32, relevance: u16) -> Line {
        Line { offset, at, template, relevance }
    }

    fn carried(rules: Rules, lines: &[Line]) -> CarryOver {
        let mut state = CarryOver::new(rules);
        state.add(lines);
        state
    }

    #[test]
    fn keeps_what_is_relevant_and_recent() {
        let lines = [
            line(0, 0, 1, 1000),
            line(10, 100, 1, 700), // a horizon newer, but 300 less relevant
            line(20, 100, 2, 760), // a horizon newer, and only 240 less
            line(30, 0, 2, 0),
        ];
        let state = carried(RULES, &lines);
        assert!(state.kept().map(|line| line.offset).eq([20, 0, 10]));
        assert_eq!((state.lines(), state.times(), state.uncounted()), (4, Some((0, 100)), 0));
        let one = Template { template: 1, lines: 2, first: 0, last: 100 };
        assert_eq!(state.top_templates(1), [one]);
        assert_eq!(state.top_templates(9).len(), 2);
    }

    #[test]
    fn of_equal_lines_the_first_in_the_stream_stays() {
        let lines: Vec<Line> = (0..9).map(|n| line(90 - n * 10, 5, 1, 5)).collect();
        assert!(carried(RULES, &lines).kept().map(|line| line.offset).eq([10, 20, 30]));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let rules = Rules { kept: 2, horizon: u32::MAX };
        let lines = [line(0, i64::MIN, 1, u16::MAX), line(1, i64::MAX, 1, 0)];
        let mut state = carried(rules, &lines);
        state.lines = u64::MAX;
        state.add(&lines);
        assert_eq!((state.lines(), state.times()), (u64::MAX, Some((i64::MIN, i64::MAX))));
        let none = carried(Rules { kept: 0, horizon: 0 }, &lines);
        assert_eq!((none.kept().len(), none.lines()), (0, 2));
    }

    #[test]
    fn at_most_so_many_lines_and_templates_are_held() {
        let rules = Rules { kept: MAX_KEPT + 1, horizon: 1 };
        let lines: Vec<Line> =
            (0..=MAX_TEMPLATES as u32).map(|n| line(u64::from(n), i64::from(n), n, 0)).collect();
        let most = carried(rules, &lines[..MAX_TEMPLATES]);
        assert_eq!((most.kept().len(), most.uncounted()), (MAX_KEPT, 0));
        assert_eq!(most.top_templates(usize::MAX).len(), MAX_TEMPLATES);
        let more = carried(rules, &lines);
        assert_eq!((more.top_templates(usize::MAX).len(), more.uncounted()), (MAX_TEMPLATES, 1));
    }

    #[test]
    fn states_of_other_rules_do_not_merge() {
        let mut state = CarryOver::new(RULES);
        assert_eq!(state.merge(&CarryOver::new(Rules { kept: 4, ..RULES })), Err(OtherRules));
        assert_eq!(state.merge(&CarryOver::new(RULES)), Ok(()));
    }

    #[test]
    fn no_two_templates_share_a_place() {
        let mut places: Vec<u32> =
            (0..1 << 16).chain((1 << 16) * 65_535..=u32::MAX).map(scatter).collect();
        places.sort_unstable();
        assert!(places.is_sorted_by(|a, b| a < b));
    }
}
