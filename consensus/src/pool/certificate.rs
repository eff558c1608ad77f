//! How fragile a verdict is: how many experts could be wrong, and how many sources forged, without
//! changing the severity; and which single expert could change it.
//!
//! An expert that is wrong may say any level with any confidence; the panel stays as it is, and so do
//! the shares among copies. Every opinion only ever adds between its least and its most, so the worst
//! that r of them can do to a threshold is the sum of their r largest moves: for the decision up or down
//! at one threshold that is exact. Two cases are bounded instead, never overstated: a level above a floor
//! that the opinions do not reach takes several thresholds at once, and sources on which several experts
//! rest, or experts that rest on several sources, cover each other. Those are enumerated up to
//! [`EXACT`], and bounded from below beyond it.

use super::{CAUTION, PPM, Weighing, decided, ppm};
use crate::likelihood::{Model, THRESHOLDS};
use crate::{Opinion, Severity};

/// Up to so many experts or sources all combinations are tried where sums alone do not decide.
pub const EXACT: usize = 8;

/// Most lines of what would change a verdict.
const MAX_LINES: usize = 4;

/// What holds a verdict whatever the opinions say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Never below this.
    pub floor: Option<Severity>,
    /// Never above this, unless the floor says so.
    pub cap: Option<Severity>,
}

impl Bounds {
    /// The severity for what the opinions decide.
    pub fn hold(&self, decided: Severity) -> Severity {
        let capped = self.cap.map_or(decided, |cap| cap.min(decided));
        self.floor.map_or(capped, |floor| floor.max(capped))
    }
}

/// How fragile a verdict is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// So many experts could be wrong without changing the severity.
    pub experts: usize,
    /// So many sources could be forged without changing the severity.
    pub sources: usize,
    /// One line for each single expert that could change it, the easiest first.
    pub would_change: Vec<String>,
}

/// How far a liar, or all who rest on a forged source, can move each threshold.
#[derive(Clone, Copy, Debug, Default)]
struct Reach {
    up: [i64; THRESHOLDS],
    down: [i64; THRESHOLDS],
}

impl Certificate {
    /// The certificate of a verdict; the opinions are those that were weighed.
    pub fn of(weighing: &Weighing, opinions: &[Opinion], bounds: &Bounds, model: &Model) -> Self {
        let experts: Vec<Reach> = weighing
            .contributions
            .iter()
            .map(|part| Reach {
                up: std::array::from_fn(|k| (part.most[k] - part.towards[k]).max(0)),
                down: std::array::from_fn(|k| (part.towards[k] - part.least[k]).max(0)),
            })
            .collect();
        let survivable = Survivable::new(weighing, bounds);
        let each: Vec<u64> = (0..experts.len()).map(|at| 1 << (at % 64)).collect();
        let alone = survivable.of(&experts, &each, &experts);
        let stands = match by_source(opinions) {
            // Each has one of its own: forging a source makes one expert wrong.
            None => alone,
            Some(sources) => {
                let sums: Vec<Reach> = sources.iter().map(|of| total(of, &experts)).collect();
                let mask = |of: &Vec<usize>| of.iter().fold(0, |mask, at| mask | 1 << (at % 64));
                let masks: Vec<u64> = sources.iter().map(mask).collect();
                survivable.of(&sums, &masks, &experts)
            }
        };
        let would_change = match alone {
            0 => would_change(weighing, opinions, bounds, model),
            _ => Vec::new(),
        };
        Self { experts: alone, sources: stands, would_change }
    }
}

/// The opinions that rest on each source; one that names none is a source of its own. `None` where every
/// opinion has one source and shares it with nobody.
fn by_source(opinions: &[Opinion]) -> Option<Vec<Vec<usize>>> {
    let mut named: Vec<(&str, usize)> = opinions
        .iter()
        .enumerate()
        .flat_map(|(place, one)| one.sources.iter().map(move |source| (source.as_str(), place)))
        .collect();
    named.sort_unstable();
    let shared = named.windows(2).any(|pair| pair[0].0 == pair[1].0);
    if !shared && opinions.iter().all(|one| one.sources.len() <= 1) {
        return None;
    }
    let alone = opinions.iter().enumerate().filter(|(_, one)| one.sources.is_empty());
    let mut all: Vec<Vec<usize>> = alone.map(|(place, _)| vec![place]).collect();
    let same = |a: &(&str, usize), b: &(&str, usize)| a.0 == b.0;
    all.extend(named.chunk_by(same).map(|group| group.iter().map(|(_, place)| *place).collect()));
    Some(all)
}

fn total(members: &[usize], experts: &[Reach]) -> Reach {
    let mut total = Reach::default();
    for member in members {
        for k in 0..THRESHOLDS {
            total.up[k] += experts[*member].up[k];
            total.down[k] += experts[*member].down[k];
        }
    }
    total
}

/// The question that is asked of experts and of sources alike.
struct Survivable<'a> {
    weighing: &'a Weighing,
    bounds: &'a Bounds,
    severity: usize,
}

impl<'a> Survivable<'a> {
    fn new(weighing: &'a Weighing, bounds: &'a Bounds) -> Self {
        Self { weighing, bounds, severity: bounds.hold(weighing.decided).index() }
    }

    /// The largest number of groups, any of which may be wrong together, that changes nothing. `masks`
    /// says which experts each group holds, `groups` what they can do together where none is in two.
    fn of(&self, groups: &[Reach], masks: &[u64], experts: &[Reach]) -> usize {
        let bound = self.raised(groups).min(self.lowered(groups));
        let disjoint = {
            let mut seen = 0_u64;
            experts.len() <= 64
                && masks.iter().all(|mask| {
                    let free = seen & mask == 0;
                    seen |= mask;
                    free
                })
        };
        let joint = self.raises_jointly();
        if (disjoint && !joint)
            || groups.len() > EXACT
            || experts.len() > 64
            || bound == groups.len()
        {
            return bound;
        }
        (bound..groups.len())
            .find(|size| self.some_change(size + 1, masks, experts))
            .unwrap_or(groups.len())
    }

    /// Whether some groups, so many together, change the severity.
    fn some_change(&self, size: usize, masks: &[u64], experts: &[Reach]) -> bool {
        (0_u32..1 << masks.len()).filter(|chosen| chosen.count_ones() as usize == size).any(
            |chosen| {
                let wrong = masks
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| chosen >> at & 1 == 1)
                    .fold(0, |all, (_, mask)| all | mask);
                let moved = |sign: i64| {
                    let mut sums = self.weighing.sums;
                    for (_, reach) in
                        experts.iter().enumerate().filter(|(at, _)| wrong >> at & 1 == 1)
                    {
                        let by = if sign > 0 { reach.up } else { reach.down };
                        sums.iter_mut().zip(by).for_each(|(sum, by)| *sum += sign * by);
                    }
                    self.bounds.hold(decided(&sums)).index()
                };
                moved(1) != self.severity || moved(-1) != self.severity
            },
        )
    }

    /// Whether going up takes several thresholds at once: a floor above what the opinions decide.
    fn raises_jointly(&self) -> bool {
        self.severity < THRESHOLDS && self.weighing.decided.index() < self.severity
    }

    /// How many cannot raise the severity.
    fn raised(&self, groups: &[Reach]) -> usize {
        let held = self.bounds.cap.is_some_and(|cap| cap.index() <= self.severity);
        if self.severity >= THRESHOLDS || held {
            return groups.len();
        }
        // All of these must be passed; the hardest one alone already takes so many.
        (0..=self.severity)
            .map(|k| {
                let missing = -CAUTION - self.weighing.sums[k] - self.weighing.rounding;
                if missing < 0 { 0 } else { most_without(groups.iter().map(|g| g.up[k]), missing) }
            })
            .max()
            .unwrap_or(groups.len())
    }

    /// How many cannot lower the severity.
    fn lowered(&self, groups: &[Reach]) -> usize {
        if self.bounds.floor.is_some_and(|floor| floor.index() >= self.severity) {
            return groups.len();
        }
        // Any one of these that fails is enough.
        (0..self.severity)
            .map(|k| {
                let spare = self.weighing.sums[k] + CAUTION - 1 - self.weighing.rounding;
                most_without(groups.iter().map(|g| g.down[k]), spare)
            })
            .min()
            .unwrap_or(groups.len())
    }
}

/// The largest number of moves, the largest first, whose sum is at most `spare`.
fn most_without(moves: impl Iterator<Item = i64> + Clone, spare: i64) -> usize {
    // Often the first one is too much already.
    if moves.clone().max().is_some_and(|most| most > spare) {
        return 0;
    }
    let mut moves: Vec<i64> = moves.collect();
    moves.sort_unstable_by_key(|by| std::cmp::Reverse(*by));
    let mut sum = 0;
    moves
        .iter()
        .take_while(|by| {
            sum += **by;
            sum <= spare
        })
        .count()
}

/// For each expert that could change the severity alone: the nearest thing that it would have to say.
fn would_change(
    weighing: &Weighing,
    opinions: &[Opinion],
    bounds: &Bounds,
    model: &Model,
) -> Vec<String> {
    let mut changes: Vec<Change> = Vec::new();
    for (place, opinion) in opinions.iter().enumerate() {
        let change = |sign| Change::nearest(weighing, place, opinion, bounds, model, sign);
        changes.extend([1, -1].into_iter().filter_map(change));
    }
    changes.sort_by_key(|change| (change.effort, change.place, change.says));
    changes.truncate(MAX_LINES);
    changes.into_iter().map(|change| change.line(opinions)).collect()
}

/// What one expert would have to say to change the severity.
struct Change {
    /// Levels from what it says; more when it would also have to be surer than it is.
    effort: usize,
    place: usize,
    says: usize,
    surely: bool,
    becomes: Severity,
}

impl Change {
    /// The nearest one upwards (`sign` 1) or downwards (-1).
    fn nearest(
        weighing: &Weighing,
        place: usize,
        opinion: &Opinion,
        bounds: &Bounds,
        model: &Model,
        sign: isize,
    ) -> Option<Self> {
        let severity = bounds.hold(weighing.decided);
        let part = &weighing.contributions[place];
        let extreme = if sign > 0 { &part.most } else { &part.least };
        let with = |amounts: [i64; THRESHOLDS]| {
            bounds.hold(decided(&std::array::from_fn(|k| {
                weighing.sums[k] - part.towards[k] + amounts[k]
            })))
        };
        if with(*extreme) == severity {
            return None;
        }
        let table = model.of(&opinion.expert).0;
        // All its weight on one level: the value of the table itself.
        let becomes = |level: usize, confidence: i64| {
            with(std::array::from_fn(|k| part.share.of_all(table[k][level] * confidence / PPM)))
        };
        let said = opinion.level().index();
        let confidence = ppm(opinion.confidence);
        let mut level = said;
        while let Some(next) = level.checked_add_signed(sign).filter(|next| *next < 5) {
            level = next;
            let becomes = becomes(level, confidence);
            if becomes != severity {
                let effort = level.abs_diff(said);
                return Some(Self { effort, place, says: level, surely: false, becomes });
            }
        }
        let (says, becomes) = (level, becomes(level, PPM));
        let effort = 8 + level.abs_diff(said);
        (becomes != severity).then_some(Self { effort, place, says, surely: true, becomes })
    }

    fn line(self, opinions: &[Opinion]) -> String {
        let opinion = &opinions[self.place];
        format!(
            "{} if {} said {}{}, not {}",
            self.becomes.name(),
            opinion.expert,
            Severity::from_index(self.says).name(),
            if self.surely { " for certain" } else { "" },
            opinion.level().name()
        )
    }
}
