//! Counts by the hour, and what is unusual in them: a burst, or a silence.
//!
//! The latest [`HOURS_MAX`] hours are kept, whatever the order in which they come: what is kept is
//! exact. Judging is robust (median and median deviation, Hampel 1974) and only speaks when chance is
//! out of the question (Chernoff's bound of the Poisson tail).

/// Most hours that are kept of a program: three weeks.
pub const HOURS_MAX: usize = 504;
/// Fewest hours that make a habit.
pub const HABIT_HOURS: i64 = 24;
/// Fewest lines of a burst.
const BURST_LINES: u32 = 50;
/// How many times the usual a burst is.
const BURST_FACTOR: f64 = 5.0;
/// The logarithm of how unlikely a burst is by chance.
const BURST_LOG: f64 = 25.0;
/// Hours without a line that are a silence.
pub const SILENT_HOURS: i64 = 12;
/// Share of its hours in which a program that always logs does so, in percent.
const ALWAYS_PERCENT: i64 = 95;

/// Counts by the hour (hours since the epoch), sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hours {
    counts: Vec<(i64, u32)>,
    most: usize,
}

/// An hour that stands out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// Hours since the epoch.
    pub hour: i64,
    /// Lines in it.
    pub count: u32,
    /// Lines of a usual hour.
    pub usual: f64,
}

impl Hours {
    /// Keeps at most so many hours.
    pub fn keeping(most: usize) -> Self {
        Self { counts: Vec::new(), most }
    }

    /// Adds lines of an hour.
    pub fn add(&mut self, hour: i64, lines: u32) {
        match self.counts.binary_search_by_key(&hour, |(hour, _)| *hour) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(lines),
            Err(at) => {
                if self.counts.len() >= self.most {
                    if at == 0 {
                        return;
                    }
                    self.counts.remove(0);
                    self.counts.insert(at - 1, (hour, lines));
                } else {
                    self.counts.insert(at, (hour, lines));
                }
            }
        }
    }

    /// Takes another one's.
    pub fn merge(&mut self, other: &Self) {
        other.counts.iter().for_each(|(hour, lines)| self.add(*hour, *lines));
    }

    /// The hours that are kept, with their lines.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (i64, u32)> {
        self.counts.iter().copied()
    }

    /// Most lines of one hour.
    pub fn max(&self) -> u32 {
        self.counts.iter().map(|(_, lines)| *lines).max().unwrap_or(0)
    }

    /// The hour that stands out most, if one does. `usual` says what earlier sweeps know of an hour;
    /// else the others of this sweep tell, if they span a day.
    pub fn burst(&self, usual: impl Fn(i64) -> Option<f64>) -> Option<Burst> {
        let (first, last) = (self.counts.first()?.0, self.counts.last()?.0);
        let robust = (last - first >= HABIT_HOURS).then(|| self.robust(last - first + 1));
        let judged = self.counts.iter().filter_map(|(hour, count)| {
            let usual = usual(*hour).or(robust)?;
            let stands_out = *count >= BURST_LINES
                && f64::from(*count) >= BURST_FACTOR * (usual + 1.0)
                && improbable(f64::from(*count), usual.max(0.5));
            stands_out.then_some(Burst { hour: *hour, count: *count, usual })
        });
        judged.max_by(|a, b| {
            let factor = |burst: &Burst| f64::from(burst.count) / (burst.usual + 1.0);
            factor(a).total_cmp(&factor(b)).then(b.hour.cmp(&a.hour))
        })
    }

    /// The median hour and six median deviations, empty hours included.
    fn robust(&self, span: i64) -> f64 {
        let empty = usize::try_from(span).unwrap_or(0).saturating_sub(self.counts.len());
        let mut counts: Vec<u32> = vec![0; empty.min(self.counts.len() * 2 + 1)];
        counts.extend(self.counts.iter().map(|(_, lines)| *lines));
        let median = middle(&mut counts);
        let mut apart: Vec<u32> = counts.iter().map(|count| count.abs_diff(median)).collect();
        f64::from(median) + 6.0 * f64::from(middle(&mut apart))
    }

    /// The last hour of a habit that then ended, if `now` (an hour) is [`SILENT_HOURS`] later.
    pub fn silent_since(&self, now: i64) -> Option<i64> {
        let (first, last) = (self.counts.first()?.0, self.counts.last()?.0);
        let span = last - first + 1;
        let active = self.counts.len() as i64;
        let always = span >= HABIT_HOURS && active * 100 >= span * ALWAYS_PERCENT;
        (always && now - last >= SILENT_HOURS).then_some(last)
    }
}

fn middle(counts: &mut [u32]) -> u32 {
    let at = counts.len() / 2;
    if counts.is_empty() { 0 } else { *counts.select_nth_unstable(at).1 }
}

/// Whether so many events are out of the question where `usual` are expected.
fn improbable(count: f64, usual: f64) -> bool {
    count > usual && count * (count / usual).ln() - (count - usual) >= BURST_LOG
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: impl IntoIterator<Item = (i64, u32)>) -> Hours {
        let mut hours = Hours::keeping(HOURS_MAX);
        counts.into_iter().for_each(|(hour, lines)| hours.add(hour, lines));
        hours
    }

    #[test]
    fn the_latest_hours_are_kept_in_any_order() {
        let mut orders = [Hours::keeping(4), Hours::keeping(4), Hours::keeping(4)];
        let hours: Vec<i64> = vec![5, 1, 9, 3, 7, 2, 8, 9, 1];
        for hour in &hours {
            orders[0].add(*hour, 1);
        }
        for hour in hours.iter().rev() {
            orders[1].add(*hour, 1);
        }
        let mut part = Hours::keeping(4);
        hours[4..].iter().for_each(|hour| part.add(*hour, 1));
        hours[..4].iter().for_each(|hour| orders[2].add(*hour, 1));
        orders[2].merge(&part);
        assert_eq!(orders[0].counts, [(5, 1), (7, 1), (8, 1), (9, 2)]);
        assert_eq!(orders[0], orders[1]);
        assert_eq!(orders[0], orders[2]);
    }

    #[test]
    fn a_burst_stands_out_of_a_steady_day_and_chance_does_not() {
        let steady = |hour: i64| 40 + (hour * 7 % 11) as u32;
        let day = of((0..48).map(|hour| (hour, steady(hour))));
        assert_eq!(day.burst(|_| None), None);
        let attacked = of((0..48).map(|hour| (hour, if hour == 30 { 900 } else { steady(hour) })));
        let burst = attacked.burst(|_| None).unwrap();
        assert_eq!((burst.hour, burst.count), (30, 900));
        // nothing is unusual in the first hours of a log, unless an earlier sweep knows better
        let short = of([(0, 3), (1, 900)]);
        assert_eq!(short.burst(|_| None), None);
        assert_eq!(short.burst(|_| Some(3.0)).unwrap().hour, 1);
        assert_eq!(of([(0, 49)]).burst(|_| Some(1.0)), None, "too few to speak of");
        assert_eq!(of([(0, 50)]).burst(|_| Some(1.0)).unwrap().count, 50);
    }

    #[test]
    fn who_always_logs_and_stops_is_silent() {
        let hourly = of((0..HABIT_HOURS - 1).map(|hour| (hour, 1)));
        assert_eq!(hourly.silent_since(100), None, "the habit is an hour short");
        let hourly = of((0..HABIT_HOURS).map(|hour| (hour, 1)));
        assert_eq!(hourly.silent_since(HABIT_HOURS - 1 + SILENT_HOURS - 1), None);
        assert_eq!(hourly.silent_since(HABIT_HOURS - 1 + SILENT_HOURS), Some(HABIT_HOURS - 1));
        let daily = of((0..30).map(|day| (day * 24, 1)));
        assert_eq!(daily.silent_since(30 * 24), None);
    }
}
