//! Who copies whom: what strangers share beyond the case's own evidence.
//!
//! The words of a rationale, the facts of its own and the sources that an opinion names are one set,
//! without what the evidence itself shows: experts who judge the same line do not thereby copy each
//! other. Sets are compared by one-permutation min-hash (Li, Owen and Zhang 2012): 64 bins, an estimate
//! of Jaccard's coefficient to within about 0.06. What an opinion says about the level plays no part,
//! so that nobody changes a weight by raising a level.
//!
//! Built-in experts are different by construction, and an opinion without any reason shares nothing.

use crate::words;
use crate::{Evidence, Opinion, likelihood};

const BINS: usize = 64;
const EMPTY: u32 = u32::MAX;
/// From this likeness on two strangers begin to count as one, in parts of [`UNIT`].
const LIKE: i64 = UNIT / 2;
/// One, in the fixed point of likenesses.
pub const UNIT: i64 = 1 << 10;
/// Most words of the evidence that are looked at.
const MAX_EVIDENCE_WORDS: usize = 8_192;

/// How much one opinion counts: `UNIT² / (size * share)` of a whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The place of the first opinion that says the same (its own where none does).
    pub first: usize,
    /// How many say the same, itself among them.
    pub size: i64,
    /// Sum of the squared likenesses to one of each kind of opinion, its own kind among them, in
    /// parts of `UNIT²`; at least `UNIT²`.
    pub likeness: i64,
}

impl Share {
    const WHOLE: i64 = UNIT * UNIT;

    fn alone(place: usize) -> Self {
        Self { first: place, size: 1, likeness: Self::WHOLE }
    }

    /// Its part of an amount that all who say the same bring together.
    pub fn of_all(self, amount: i64) -> i64 {
        if self.size == 1 && self.likeness == Self::WHOLE {
            return amount;
        }
        // Amounts are at most 256 times 8 nats: far below what overflows.
        (i128::from(amount) * i128::from(Self::WHOLE) / i128::from(self.size * self.likeness))
            as i64
    }

    /// Its weight, 0 to 1.
    pub fn weight(self) -> f64 {
        Self::WHOLE as f64 / (self.size * self.likeness) as f64
    }
}

/// The share of each opinion, in the order given.
pub fn shares(evidence: &Evidence, opinions: &[Opinion]) -> Vec<Share> {
    let mut shares: Vec<Share> = (0..opinions.len()).map(Share::alone).collect();
    let speaks = |place: &usize| {
        let opinion = &opinions[*place];
        let gives_reasons = !opinion.rationale.is_empty()
            || !opinion.facts.is_empty()
            || !opinion.sources.is_empty();
        gives_reasons && !likelihood::is_known(&opinion.expert)
    };
    let strangers: Vec<usize> = (0..opinions.len()).filter(speaks).collect();
    if strangers.len() < 2 {
        return shares;
    }
    let known = Known::of(evidence);
    let mut kinds: Vec<(Sketch, Vec<usize>)> = Vec::with_capacity(strangers.len());
    for place in strangers {
        let Some(sketch) = Sketch::of(&opinions[place], &known) else { continue };
        match kinds.iter_mut().find(|(other, _)| other.whole == sketch.whole) {
            Some((_, places)) => places.push(place),
            None => kinds.push((sketch, vec![place])),
        }
    }
    let mut likeness = vec![Share::WHOLE; kinds.len()];
    for (high, (one, _)) in kinds.iter().enumerate() {
        for (low, (two, _)) in kinds[..high].iter().enumerate() {
            let alike = one.likeness(two);
            let square = alike * alike;
            likeness[high] += square;
            likeness[low] += square;
        }
    }
    for ((_, places), likeness) in kinds.iter().zip(likeness) {
        for place in places {
            shares[*place] = Share { first: places[0], size: places.len() as i64, likeness };
        }
    }
    shares
}

/// What one opinion brings of its own.
struct Sketch {
    /// The lowest byte of the smallest hash of each bin.
    bins: [u8; BINS],
    /// 1 for each bin that is not empty.
    filled: u64,
    /// A hash of all bins at full width: equal for equal sets.
    whole: u64,
}

impl Sketch {
    /// `None` where it brings nothing of its own.
    fn of(opinion: &Opinion, known: &Known) -> Option<Self> {
        let mut least = [EMPTY; BINS];
        let mut put = |hash: u64| {
            let bin = (hash >> 58) as usize;
            least[bin] = least[bin].min((hash >> 16) as u32 & (EMPTY - 1));
        };
        words::each(&opinion.rationale, |hash| {
            if !known.has(hash) {
                put(hash);
            }
        });
        for text in opinion.facts.iter().chain(&opinion.sources) {
            let hash = words::name(text);
            if !known.has(hash) {
                put(hash);
            }
        }
        let mut filled = 0;
        let mut whole = 0_u64;
        for (bin, value) in least.iter().enumerate() {
            filled |= u64::from(*value != EMPTY) << bin;
            whole = (whole.rotate_left(5) ^ u64::from(*value)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        (filled != 0).then(|| Self { bins: least.map(byte), filled, whole })
    }

    /// How alike, 0 to [`UNIT`]: nothing up to a Jaccard coefficient of one half, then rising evenly.
    fn likeness(&self, other: &Self) -> i64 {
        let either = i64::from((self.filled | other.filled).count_ones());
        // Counted in bytes (at most 64), so that 16 bins are compared at a time.
        let same: u8 = self.bins.iter().zip(&other.bins).map(|(a, b)| u8::from(a == b)).sum();
        // Bins that are empty on both sides are equal too, and no others with an empty one.
        let shared = i64::from(same) - (BINS as i64 - either);
        let jaccard = shared * UNIT / either.max(1);
        (jaccard - LIKE).max(0) * UNIT / (UNIT - LIKE)
    }
}

/// The lowest byte of a bin; 255 for an empty one alone.
fn byte(value: u32) -> u8 {
    if value == EMPTY { u8::MAX } else { (value as u8).min(u8::MAX - 1) }
}

/// What the evidence itself shows: an open-addressed table of word hashes.
struct Known {
    slots: Vec<u64>,
}

impl Known {
    fn of(evidence: &Evidence) -> Self {
        let mut hashes = Vec::new();
        let mut take = |text: &str| {
            words::each(text, |hash| {
                if hashes.len() < MAX_EVIDENCE_WORDS {
                    hashes.push(hash);
                }
            });
        };
        take(&evidence.check);
        take(&evidence.key);
        take(&evidence.title);
        let subject = &evidence.subject;
        for text in [&subject.ip, &subject.user, &subject.unit, &subject.path] {
            take(text.as_deref().unwrap_or_default());
        }
        for (name, value) in &evidence.facts {
            take(name);
            take(value);
        }
        evidence.services.iter().chain(&evidence.tags).for_each(|text| take(text));
        evidence.sources.iter().for_each(|source| take(&source.text));
        for source in evidence.sources.iter().take(MAX_EVIDENCE_WORDS) {
            hashes.push(words::name(&format!("file:{}", source.file)));
        }
        // Mostly empty, so that a word which the evidence does not have is told by one look.
        let room = if hashes.len() <= 256 { 32 } else { 4 };
        let mut slots = vec![0; (hashes.len() * room).next_power_of_two().max(16)];
        for hash in hashes {
            let mask = slots.len() - 1;
            let mut at = hash as usize & mask;
            while slots[at] != 0 && slots[at] != hash {
                at = (at + 1) & mask;
            }
            slots[at] = hash;
        }
        Self { slots }
    }

    fn has(&self, hash: u64) -> bool {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at] != 0 {
            if self.slots[at] == hash {
                return true;
            }
            at = (at + 1) & mask;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experts::tests::posture;
    use crate::{Severity, SourceLine};

    fn says(expert: &str, rationale: &str) -> Opinion {
        Opinion {
            expert: expert.into(),
            distribution: [0.2; 5],
            confidence: 0.5,
            rationale: rationale.into(),
            sources: Vec::new(),
            facts: Vec::new(),
        }
    }

    fn weights(opinions: &[Opinion]) -> Vec<f64> {
        let evidence = Evidence {
            sources: vec![SourceLine {
                file: "/var/log/auth.log".into(),
                line: 1,
                column: 1,
                text: "Failed password for root from 192.0.2.7 port 4022".into(),
            }],
            ..posture(Severity::High)
        };
        shares(&evidence, opinions).into_iter().map(Share::weight).collect()
    }

    #[test]
    fn the_same_reason_in_other_order_and_case_is_the_same() {
        let text = "Seen in a feed of scanners";
        let turned = "scanners of FEED, a: in in seen";
        assert_eq!(weights(&[says("a", text), says("b", turned)]), [0.5, 0.5]);
    }

    #[test]
    fn who_quotes_the_same_evidence_does_not_copy() {
        let quote = "Failed password for root from 192.0.2.7 port 4022";
        assert_eq!(weights(&[says("a", quote), says("b", quote)]), [1.0, 1.0]);
        let both = [says("a", &format!("{quote}: botnet")), says("b", &format!("{quote}: typing"))];
        assert_eq!(weights(&both), [1.0, 1.0]);
    }

    #[test]
    fn one_source_and_nothing_else_is_one_voice() {
        let mut feed = [says("a", ""), says("b", ""), says("c", "")];
        feed[0].sources = vec!["feed:x".into()];
        feed[1].sources = vec!["feed:x".into()];
        feed[2].sources = vec!["file:/var/log/auth.log".into()];
        assert_eq!(weights(&feed), [0.5, 0.5, 1.0]);
        feed[1].facts = vec!["asn:64496".into(), "age:3d".into(), "port:4022".into()];
        assert_eq!(weights(&feed), [1.0, 1.0, 1.0]);
    }

    #[test]
    fn built_in_experts_and_those_without_a_reason_never_copy() {
        let all = [says("declared", "same"), says("attack", "same"), says("x", ""), says("y", "")];
        assert_eq!(weights(&all), [1.0; 4]);
    }

    #[test]
    fn nearly_the_same_counts_nearly_as_one() {
        let words: Vec<String> = (0..60).map(|n| format!("word{n}")).collect();
        let one = words.join(" ");
        let most = words[..56].join(" ") + " other thing said here";
        let half = words[..30].join(" ") + " and " + &words[..30].join("x ");
        let near = weights(&[says("a", &one), says("b", &most)]);
        assert!(near[0] < 0.75 && near[0] > 0.5, "{near:?}");
        assert_eq!(near[0], near[1]);
        let far = weights(&[says("a", &one), says("b", &half)]);
        assert!(far[0] > 0.9, "{far:?}");
    }
}
