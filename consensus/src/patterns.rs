//! What a sequence of named events looks like: how often each name comes, how even the pauses are,
//! and where in the time span the events lie. Experts on rarity, noise and recurrence read this.
//!
//! Times are whole milliseconds. Sums are exact integers, and what is divided from them uses only
//! operations that IEEE 754 rounds exactly (`/`, `sqrt`), so that a replay gives the same bits
//! everywhere. The order of the events given does not matter. More than [`MAX_EVENTS`] events or a
//! span of more than [`MAX_SPAN_MS`] are refused, never cut.

use crate::similarity::words::Vocabulary;

/// Most events of one sequence.
pub const MAX_EVENTS: usize = 1 << 16;
/// Longest time from the first event to the last, in milliseconds (about 2,200 years); with
/// [`MAX_EVENTS`] it keeps every sum within its integer.
pub const MAX_SPAN_MS: u64 = 1 << 46;
/// Equal parts of the time span in which events are counted for growth and period.
const BINS: usize = 64;

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// When, in milliseconds since the epoch.
    pub at: i64,
    /// What: a rule, a template, a program.
    pub name: &'a str,
}

/// Why a sequence is not looked at; the caller gave more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// There are more than [`MAX_EVENTS`] events.
    #[error("more than {MAX_EVENTS} events")]
    Events,
    /// From the first to the last it takes more than [`MAX_SPAN_MS`].
    #[error("events more than {MAX_SPAN_MS} ms apart")]
    Span,
}

/// The features of a sequence. What is not defined (no pause without a second event) is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Patterns<'a> {
    /// How many events.
    pub events: usize,
    /// Each different name, in the order in which they first come (by name at the same time).
    pub names: Vec<Name<'a>>,
    /// Shannon's entropy of the names in bits (1948); 0 when all are the same.
    pub entropy_bits: f64,
    /// The entropy divided by the highest for as many names (Pielou 1966); 1 for a single name.
    pub evenness: f64,
    /// Runs of equal names one after another (Wald and Wolfowitz 1940).
    pub runs: usize,
    /// The longest of them, in events.
    pub longest_run: usize,
    /// From the first event to the last, in milliseconds.
    pub span_ms: u64,
    /// The pauses between one event and the next, whatever their names.
    pub pauses: Option<Pauses>,
    /// Where the events lie in the span; `None` when all have the same time.
    pub shape: Option<Shape>,
}

/// One name and its events.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Name<'a> {
    /// The name.
    pub name: &'a str,
    /// How many events have it.
    pub count: usize,
    /// When it first came, in milliseconds since the epoch.
    pub first: i64,
    /// When it last came.
    pub last: i64,
    /// The pauses between its own events; a beacon has a `variation` near 0.
    pub pauses: Option<Pauses>,
}

/// Pauses between events that follow each other: at least one, and not all of them 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pauses {
    /// Their mean, in milliseconds.
    pub mean_ms: f64,
    /// Standard deviation (of the population) ÷ mean: 0 for a clock, 1 for a Poisson process.
    pub variation: f64,
    /// (σ − μ) ÷ (σ + μ): −1 for a clock, 0 for a Poisson process, towards 1 for bursts (Goh and
    /// Barabási 2008).
    pub burstiness: f64,
    /// Correlation of each pause with the next (the same paper's memory): above 0 if long follows
    /// long. `None` with fewer than three pauses or when they do not vary.
    pub memory: Option<f64>,
}

/// Where events lie between the first and the last of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// The mean of the times as a share of the span: above ½ if most come late.
    pub centre: f64,
    /// The largest distance between the curve of the events so far and a straight line (Kolmogorov
    /// and Smirnov's D against the uniform distribution): towards 1 if nearly all come at once.
    pub unevenness: f64,
    /// The slope of the least-squares line through the counts of 64 equal parts of the span, as the
    /// change over the whole span ÷ the mean count: 0 for a steady rate, 2 for one that grows
    /// evenly from nothing.
    pub growth: f64,
    /// The strongest period, if there is one.
    pub period: Option<Period>,
}

/// The highest peak of the autocorrelation of the counts of 64 equal parts of the span, at lags of 2
/// to 32 parts (Box and Jenkins' estimator). Shorter periods show in [`Pauses::variation`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Period {
    /// Its length in milliseconds, to the nearest 64th of the span.
    pub length_ms: f64,
    /// The correlation: above 0, at most 1.
    pub strength: f64,
}

impl<'a> Patterns<'a> {
    /// The features of some events in any order. Fails if there is more than the limits allow.
    pub fn of(events: &[Event<'a>]) -> Result<Self, TooMuch> {
        if events.len() > MAX_EVENTS {
            return Err(TooMuch::Events);
        }
        let sorted;
        let events = if events.is_sorted_by_key(|event| (event.at, event.name)) {
            events
        } else {
            let mut copy = events.to_vec();
            copy.sort_unstable_by_key(|event| (event.at, event.name));
            sorted = copy;
            &sorted[..]
        };
        let span_ms = match events {
            [first, .., last] => last.at.abs_diff(first.at),
            _ => 0,
        };
        if span_ms > MAX_SPAN_MS {
            return Err(TooMuch::Span);
        }
        Ok(Self::of_sorted(events, span_ms))
    }

    fn of_sorted(events: &[Event<'a>], span_ms: u64) -> Self {
        let mut vocabulary = Vocabulary::with_room(events.len().min(1024));
        let mut names: Vec<(Name<'a>, Sums)> = Vec::new();
        let mut sums = Sums::default();
        let (mut runs, mut run, mut longest_run, mut previous) = (0, 0, 0, u32::MAX);
        for (place, event) in events.iter().enumerate() {
            // There are fewer events than a vocabulary takes words: none is refused.
            let text = event.name.as_bytes();
            let number = vocabulary.number(text, 0, text.len()).unwrap_or(u32::MAX);
            if number as usize == names.len() {
                names.push((Name::new(event), Sums::default()));
            }
            if let Some((name, sums)) = names.get_mut(number as usize) {
                if name.count > 0 {
                    sums.add(event.at.abs_diff(name.last));
                }
                name.count += 1;
                name.last = event.at;
            }
            if place > 0 {
                sums.add(event.at.abs_diff(events[place - 1].at));
            }
            run = if number == previous { run + 1 } else { 1 };
            runs += usize::from(run == 1);
            longest_run = longest_run.max(run);
            previous = number;
        }
        let finish = |(name, sums): (Name<'a>, Sums)| Name { pauses: sums.pauses(), ..name };
        let names: Vec<_> = names.into_iter().map(finish).collect();
        let (entropy_bits, evenness) = entropy(&names, events.len());
        let pauses = sums.pauses();
        let shape = (span_ms > 0).then(|| Shape::of(events, span_ms));
        let events = events.len();
        Self { events, names, entropy_bits, evenness, runs, longest_run, span_ms, pauses, shape }
    }
}

impl<'a> Name<'a> {
    fn new(event: &Event<'a>) -> Self {
        Self { name: event.name, count: 0, first: event.at, last: event.at, pauses: None }
    }
}

/// Exact sums over pauses: with the limits, squares need at most 108 bits.
#[derive(Default)]
struct Sums {
    count: u64,
    sum: u64,
    squares: u128,
    products: u128,
    first: u64,
    last: u64,
}

impl Sums {
    #[inline]
    fn add(&mut self, pause: u64) {
        if self.count == 0 {
            self.first = pause;
        } else {
            self.products += u128::from(self.last) * u128::from(pause);
        }
        self.count += 1;
        self.sum += pause;
        self.squares += u128::from(pause) * u128::from(pause);
        self.last = pause;
    }

    fn pauses(&self) -> Option<Pauses> {
        if self.sum == 0 {
            return None;
        }
        let count = u128::from(self.count);
        let variance = count * self.squares - u128::from(self.sum) * u128::from(self.sum);
        let variation = (variance as f64).sqrt() / self.sum as f64;
        Some(Pauses {
            mean_ms: self.sum as f64 / self.count as f64,
            variation,
            burstiness: (variation - 1.0) / (variation + 1.0),
            memory: self.memory(),
        })
    }

    /// Pearson's correlation of all pauses but the last with all but the first.
    fn memory(&self) -> Option<f64> {
        if self.count < 3 {
            return None;
        }
        let pairs = u128::from(self.count - 1);
        let square = |n: u64| u128::from(n) * u128::from(n);
        let (early, late) = (self.sum - self.last, self.sum - self.first);
        let spread = |sum: u64, without: u64| {
            (pairs * (self.squares - square(without)) - square(sum)) as f64
        };
        let spreads = spread(early, self.last).sqrt() * spread(late, self.first).sqrt();
        let (joint, apart) = (pairs * self.products, u128::from(early) * u128::from(late));
        let shared = joint.abs_diff(apart) as f64;
        let shared = if joint < apart { -shared } else { shared };
        (spreads > 0.0).then(|| (shared / spreads).clamp(-1.0, 1.0))
    }
}

impl Shape {
    /// Of events in order, the first and last `span` > 0 apart.
    fn of(events: &[Event<'_>], span: u64) -> Self {
        let count = events.len() as u64;
        let start = events[0].at;
        let (mut bins, mut sum, mut farthest) = ([0_i64; BINS], 0, 0);
        for (before, event) in (0_u64..).zip(events) {
            let time = event.at.abs_diff(start);
            sum += time;
            bins[((time * BINS as u64 / span) as usize).min(BINS - 1)] += 1;
            // Below 2^62 each: the curve just before and just after this event, and the line.
            let line = time * count;
            farthest = farthest.max(line.abs_diff(before * span));
            farthest = farthest.max(line.abs_diff((before + 1) * span));
        }
        let whole = (count * span) as f64;
        Self {
            centre: sum as f64 / whole,
            unevenness: farthest as f64 / whole,
            growth: growth(&bins, count),
            period: period(&bins, count, span),
        }
    }
}

/// Slope of the line through the bins, times the bins, divided by their mean.
fn growth(bins: &[i64; BINS], count: u64) -> f64 {
    // Twice the distance from the middle, so that it is whole; its squares sum to 4 n (n² − 1) / 12.
    let moment: i64 = (0..).zip(bins).map(|(at, bin)| (2 * at - (BINS as i64 - 1)) * bin).sum();
    let squares = (BINS * (BINS * BINS - 1) / 3) as i64;
    (2 * moment * (BINS * BINS) as i64) as f64 / (squares * count as i64) as f64
}

fn period(bins: &[i64; BINS], count: u64, span: u64) -> Option<Period> {
    // Distances from the mean, times the number of bins; at most 2^22, their products' sum 2^50.
    let apart = bins.map(|bin| bin * BINS as i64 - count as i64);
    let together =
        |lag: usize| -> i64 { apart.iter().zip(&apart[lag..]).map(|(a, b)| a * b).sum() };
    let all: [i64; BINS / 2 + 2] = std::array::from_fn(together);
    let peak = |&lag: &usize| all[lag] > 0 && all[lag] > all[lag - 1] && all[lag] >= all[lag + 1];
    // The shorter of equals: its multiples are periods too.
    let lag = (2..=BINS / 2).filter(peak).max_by_key(|&lag| (all[lag], BINS - lag))?;
    Some(Period {
        length_ms: (lag as u64 * span) as f64 / BINS as f64,
        strength: all[lag] as f64 / all[0] as f64,
    })
}

/// The entropy of the names in bits and as a share of the highest.
fn entropy(names: &[Name<'_>], events: usize) -> (f64, f64) {
    if names.len() < 2 {
        return (0.0, 1.0);
    }
    let ones = (events as u64) * log2(events as u32); // at most MAX_EVENTS
    let parts: u64 = names.iter().map(|name| name.count as u64 * log2(name.count as u32)).sum();
    let scale = (1_u64 << LOG_BITS) as f64;
    let bits = ones.saturating_sub(parts) as f64 / events as f64 / scale;
    (bits, (bits * scale / log2(names.len() as u32) as f64).min(1.0))
}

/// Binary digits after the point of [`log2`].
pub(crate) const LOG_BITS: u32 = 32;

/// The logarithm to base 2 of a number above 0, rounded down to 32 binary digits after the point, by
/// repeated squaring; the standard library's differs from system to system in its last bits.
pub(crate) const fn log2(n: u32) -> u64 {
    if (n as usize) < SMALL_LOGS.len() { SMALL_LOGS[n as usize] } else { log2_of(n) }
}

const SMALL_LOGS: [u64; 256] = {
    let (mut logs, mut n) = ([0; 256], 1);
    while n < 256 {
        logs[n as usize] = log2_of(n);
        n += 1;
    }
    logs
};

const fn log2_of(n: u32) -> u64 {
    let whole = n.ilog2();
    let mut fraction = (n as u64) << (63 - whole); // 1 to below 2, one digit before the point
    let (mut log, mut digit) = (whole as u64, 0);
    while digit < LOG_BITS {
        let square = (fraction as u128 * fraction as u128) >> 63;
        let carry = (square >> 64) as u32; // the square is 2 or more
        fraction = (square >> carry) as u64;
        log = log << 1 | carry as u64;
        digit += 1;
    }
    log
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(times: impl IntoIterator<Item = i64>) -> Vec<Event<'static>> {
        times.into_iter().map(|at| Event { at, name: "beacon" }).collect()
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn logarithm_is_that_of_the_standard_library_but_for_rounding() {
        for n in (1..5000).chain([65_535, 65_536, u32::MAX]) {
            let log = log2(n) as f64 / (1_u64 << LOG_BITS) as f64;
            assert!((f64::from(n).log2() - log).abs() < 1e-9, "{n}: {log}");
        }
        assert_eq!((log2(1), log2(1 << 20)), (0, 20 << LOG_BITS));
    }

    #[test]
    fn a_clock_has_no_variation() {
        let of = Patterns::of(&events((0..100).map(|n| 60_000 * n))).unwrap();
        let pauses = of.pauses.unwrap();
        assert_eq!((pauses.mean_ms, pauses.variation, pauses.burstiness), (60_000.0, 0.0, -1.0));
        assert_eq!((pauses.memory, of.names[0].pauses), (None, Some(pauses)));
        assert_eq!((of.entropy_bits, of.evenness, of.runs, of.longest_run), (0.0, 1.0, 1, 100));
        let shape = of.shape.unwrap();
        assert!(near(shape.centre, 0.5) && shape.growth.abs() < 0.1, "{shape:?}");
        assert!(near(shape.unevenness, 0.01), "{shape:?}");
    }

    #[test]
    fn counts_entropy_and_runs_of_names() {
        let sequence: Vec<_> =
            (0..).zip("aabbbbcd".split("").filter(|name| !name.is_empty())).collect();
        let sequence: Vec<_> = sequence.iter().map(|&(at, name)| Event { at, name }).collect();
        let of = Patterns::of(&sequence).unwrap();
        let counts: Vec<_> = of.names.iter().map(|name| (name.name, name.count)).collect();
        assert_eq!(counts, [("a", 2), ("b", 4), ("c", 1), ("d", 1)]);
        assert_eq!((of.entropy_bits, of.evenness), (1.75, 0.875));
        assert_eq!((of.runs, of.longest_run, of.span_ms), (4, 4, 7));
        assert_eq!((of.names[1].first, of.names[1].last), (2, 5));
    }

    #[test]
    fn pauses_are_those_of_the_definitions() {
        // Pauses 1, 3, 1, 3: mean 2, deviation 1; each long one follows a short one.
        let pauses = Patterns::of(&events([0, 1, 4, 5, 8])).unwrap().pauses.unwrap();
        assert_eq!((pauses.mean_ms, pauses.variation), (2.0, 0.5));
        assert!(near(pauses.burstiness, -1.0 / 3.0) && near(pauses.memory.unwrap(), -1.0));
    }

    #[test]
    fn finds_the_period_of_bursts() {
        // Ten bursts, five minutes apart, of twenty events within ten seconds.
        let times = (0..10).flat_map(|burst| (0..20).map(move |n| burst * 300_000 + n * 500));
        let of = Patterns::of(&events(times)).unwrap();
        let period = of.shape.unwrap().period.unwrap();
        let part = of.span_ms as f64 / 64.0;
        assert!((period.length_ms - 300_000.0).abs() <= part, "{period:?}");
        assert!(period.strength > 0.5 && of.pauses.unwrap().burstiness > 0.3, "{of:?}");
    }

    #[test]
    fn growth_and_shape_tell_late_from_early() {
        // The time of the nth event is as the root of n: the rate grows evenly from nothing.
        let late = events((0..4000_u32).map(|n| ((f64::from(n) / 4000.0).sqrt() * 1e6) as i64));
        let shape = Patterns::of(&late).unwrap().shape.unwrap();
        assert!((shape.growth - 2.0).abs() < 0.05, "{shape:?}");
        assert!((shape.centre - 2.0 / 3.0).abs() < 0.01, "{shape:?}");
        assert!((shape.unevenness - 0.25).abs() < 0.01, "{shape:?}");
    }

    #[test]
    fn few_events_have_few_features() {
        let none = Patterns::of(&[]).unwrap();
        assert_eq!((none.events, none.pauses, none.shape, none.runs), (0, None, None, 0));
        let one = Patterns::of(&events([7])).unwrap();
        assert_eq!((one.pauses, one.shape, one.names[0].count), (None, None, 1));
        let at_once = Patterns::of(&events([7, 7, 7])).unwrap();
        assert_eq!((at_once.pauses, at_once.shape, at_once.span_ms), (None, None, 0));
    }

    #[test]
    fn most_and_farthest_events_are_taken_and_one_more_refused() {
        let most = events((0..MAX_EVENTS as i64).map(|n| n % 2 * MAX_SPAN_MS as i64));
        let of = Patterns::of(&most).unwrap();
        assert_eq!((of.span_ms, of.events), (MAX_SPAN_MS, MAX_EVENTS));
        assert_eq!(Patterns::of(&events(0..=MAX_EVENTS as i64)), Err(TooMuch::Events));
        assert_eq!(Patterns::of(&events([0, MAX_SPAN_MS as i64 + 1])), Err(TooMuch::Span));
        assert_eq!(Patterns::of(&events([i64::MIN, i64::MAX])), Err(TooMuch::Span));
        // Equal pauses over nearly the whole span: the sums are exact, so that nothing is left.
        let halves = events((0..MAX_EVENTS as i64).map(|n| n * (MAX_SPAN_MS as i64 >> 16)));
        assert_eq!(Patterns::of(&halves).unwrap().pauses.unwrap().variation, 0.0);
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_features_stay_in_bounds(
            sequence in prop::collection::vec((-50_i64..50, "[a-d]{1,2}"), 0..80),
            turn in 0_usize..80,
        ) {
            let events: Vec<_> =
                sequence.iter().map(|(at, name)| Event { at: *at, name }).collect();
            let mut other = events.clone();
            other.rotate_left(turn.min(events.len()));
            other.reverse();
            let of = Patterns::of(&events).unwrap();
            prop_assert_eq!(&Patterns::of(&other).unwrap(), &of);
            prop_assert_eq!(of.names.iter().map(|name| name.count).sum::<usize>(), events.len());
            prop_assert!((0.0..=1.0).contains(&of.evenness));
            for pauses in of.names.iter().filter_map(|name| name.pauses).chain(of.pauses) {
                prop_assert!((-1.0..1.0).contains(&pauses.burstiness), "{:?}", pauses);
            }
            if let Some(shape) = of.shape {
                prop_assert!((0.0..=1.0).contains(&shape.centre));
                prop_assert!((0.0..=1.0).contains(&shape.unevenness));
                prop_assert!(shape.period.is_none_or(|p| p.strength > 0.0 && p.strength <= 1.0));
            }
        }
    }
}
