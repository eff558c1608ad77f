//! Who is asked: what an expert needs before it can have anything to say, and which of those who
//! could speak are worth what asking them costs.
//!
//! A [`Gate`] ranks experts once by expected information per cost. For a case it asks, best first,
//! those whose needs are met and whose cost fits the budget; at least three from two sources where
//! there are so many, whatever the budget. Those left out are asked in exactly one case of 64, so
//! that they stay measured. Costs and information are constants of the model: nothing here depends
//! on time, on the order of the experts or on their number of threads. It refuses more than
//! [`MAX_EXPERTS`]. [`cap`] says how high a verdict may be that rests on too few.

use crate::likelihood::{NAT, THRESHOLDS, Table};
use crate::trace::Digest;
use crate::{Context, Evidence, Expert, Kind, Model, Proof, Severity, pool};

/// Most experts of one gate: one bit each in a [`Choice`].
pub const MAX_EXPERTS: usize = 64;
/// So many experts are asked whatever the budget, where so many could speak.
pub const LEAST_EXPERTS: u32 = 3;
/// From so many sources, where there are so many.
pub const LEAST_SOURCES: u32 = 2;
/// An expert that the budget leaves out is asked in one case of so many all the same.
pub const EXPLORED_ONE_IN: u64 = 64;

/// What must be there for an expert to have anything to say: one of these kinds of evidence, and all
/// of these things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    kinds: u8,
    things: u16,
}

impl Needs {
    /// Nothing: it may be asked about everything.
    pub const NOTHING: Self = Self { kinds: 0b1111, things: 0 };
    /// States only: no activities.
    pub const STATE: Self = Self { kinds: 0b0111, things: 0 };
    /// Activities only.
    pub const ACTIVITY: Self = Self { kinds: 1 << Kind::Activity as u8, things: 0 };

    /// And a level above `info`.
    pub const fn raised(self) -> Self {
        self.and(Self::RAISED)
    }
    /// And a service that is concerned.
    pub const fn service(self) -> Self {
        self.and(Self::SERVICE)
    }
    /// And an address, account or file that is concerned.
    pub const fn subject(self) -> Self {
        self.and(Self::SUBJECT)
    }
    /// And listening sockets that were looked at.
    pub const fn listeners(self) -> Self {
        self.and(Self::LISTENERS)
    }
    /// And logs that were looked at.
    pub const fn logs(self) -> Self {
        self.and(Self::LOGS)
    }
    /// And a past of this host.
    pub const fn history(self) -> Self {
        self.and(Self::HISTORY)
    }

    /// And an address that is concerned.
    pub const fn address(self) -> Self {
        self.and(Self::ADDRESS)
    }
    /// And an account that is concerned.
    pub const fn user(self) -> Self {
        self.and(Self::USER)
    }
    /// And counts of this host's past.
    pub const fn past(self) -> Self {
        self.and(Self::PAST)
    }
    /// And changes that were looked for.
    pub const fn changes(self) -> Self {
        self.and(Self::CHANGES)
    }

    const RAISED: u16 = 1;
    const SERVICE: u16 = 1 << 1;
    const SUBJECT: u16 = 1 << 2;
    const LISTENERS: u16 = 1 << 3;
    const LOGS: u16 = 1 << 4;
    const HISTORY: u16 = 1 << 5;
    const ADDRESS: u16 = 1 << 6;
    const USER: u16 = 1 << 7;
    const PAST: u16 = 1 << 8;
    const CHANGES: u16 = 1 << 9;

    const fn and(self, thing: u16) -> Self {
        Self { things: self.things | thing, ..self }
    }

    /// What a case has to offer.
    pub fn offered(evidence: &Evidence, context: &Context) -> Self {
        let subject = &evidence.subject;
        let named = subject.ip.is_some() || subject.user.is_some() || subject.path.is_some();
        let things = [
            (Self::RAISED, evidence.level > Severity::Info),
            (Self::SERVICE, !evidence.services.is_empty()),
            (Self::SUBJECT, named),
            (Self::LISTENERS, context.services_known),
            (Self::LOGS, context.logs_known),
            (Self::HISTORY, context.new_subjects.is_some()),
            (Self::ADDRESS, subject.ip.is_some()),
            (Self::USER, subject.user.is_some()),
            (Self::PAST, context.past.is_some()),
            (Self::CHANGES, context.changes.is_some()),
        ];
        let things = things.into_iter().filter(|(_, there)| *there).map(|(thing, _)| thing).sum();
        Self { kinds: 1 << evidence.kind as u8, things }
    }

    /// Whether what is offered is enough.
    pub const fn met_by(self, offered: Self) -> bool {
        self.kinds & offered.kinds != 0 && self.things & !offered.things == 0
    }

    /// The things that come from the surroundings rather than from the evidence: experts that need the
    /// same of these would be wrong together.
    const fn sources(self) -> u16 {
        let of_evidence = Self::RAISED | Self::SERVICE | Self::SUBJECT | Self::ADDRESS | Self::USER;
        self.things & !of_evidence
    }
}

/// What may be spent on one case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Everybody who could speak is asked: audits.
    All,
    /// So many units of [`Expert::cost`].
    Units(u32),
}

/// Who is asked about one case: bit `i` stands for the expert at place `i` of the slice that the
/// gate was made of. The three sets have nothing in common; together they are all who could speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Asked, within the budget or because of the least number.
    pub chosen: u64,
    /// Asked although the budget leaves them out, so that they stay measured.
    pub explored: u64,
    /// Not asked.
    pub left_out: u64,
}

impl Choice {
    /// Whether the expert at this place is asked.
    pub const fn asks(self, place: usize) -> bool {
        place < MAX_EXPERTS && (self.chosen | self.explored) >> place & 1 == 1
    }
}

/// The caller gave a gate more than [`MAX_EXPERTS`] experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} experts are more than the {MAX_EXPERTS} that a gate chooses from")]
pub struct TooManyExperts(pub usize);

/// One expert as the gate sees it.
#[derive(Clone, Copy, Debug)]
struct Seat {
    needs: Needs,
    cost: u32,
    /// Its bit in a [`Choice`].
    bit: u64,
}

/// Chooses experts for cases.
#[derive(Clone, Debug)]
pub struct Gate {
    /// By kind of evidence: who may speak of it, the most information per cost first.
    seats: [Vec<Seat>; KINDS.len()],
}

const KINDS: [Kind; 4] = [Kind::Posture, Kind::Service, Kind::Patch, Kind::Activity];

impl Gate {
    /// Ranks the experts by what the model expects of them; done once.
    pub fn new(experts: &[Box<dyn Expert>], model: &Model) -> Result<Self, TooManyExperts> {
        if experts.len() > MAX_EXPERTS {
            return Err(TooManyExperts(experts.len()));
        }
        let mut seats = Vec::with_capacity(experts.len());
        for (place, expert) in experts.iter().enumerate() {
            let seat = Seat {
                needs: expert.needs(),
                // Who costs nothing costs a little: otherwise nobody could be compared with it.
                cost: expert.cost().max(1),
                bit: 1 << place,
            };
            seats.push((expert.name(), channels(expert.name(), model), seat));
        }
        Ok(Self { seats: KINDS.map(|kind| ranked(kind, &seats, model)) })
    }

    /// Who is asked about a case that offers this. `case_hash` ([`case_hash`]) decides who is explored.
    /// The chosen cost no more than the budget, or than the least number of experts where that is more.
    /// Takes time linear in the number of experts, and allocates nothing.
    pub fn choose(&self, offered: Needs, case_hash: u64, budget: Budget) -> Choice {
        let Some(seats) = self.seats.get(offered.kinds.trailing_zeros() as usize) else {
            return Choice::default();
        };
        let mut able = 0_u64;
        for (rank, seat) in seats.iter().enumerate() {
            able |= u64::from(seat.needs.met_by(offered)) << rank;
        }
        let mut asked = match budget {
            Budget::All => able,
            Budget::Units(_) => least(seats, able),
        };
        let mut explored = 0;
        if let Budget::Units(units) = budget {
            let spent: u64 = ranks(asked).map(|rank| u64::from(seats[rank].cost)).sum();
            let mut left = u64::from(units).saturating_sub(spent);
            for rank in ranks(able & !asked) {
                let cost = u64::from(seats[rank].cost);
                if cost <= left {
                    left -= cost;
                    asked |= 1 << rank;
                }
            }
            for rank in ranks(able & !asked) {
                // By rank, which the order of the experts does not change: they take turns.
                let turn = case_hash.wrapping_add(rank as u64).is_multiple_of(EXPLORED_ONE_IN);
                explored |= u64::from(turn) << rank;
            }
        }
        let bits = |set| ranks(set).fold(0, |bits, rank| bits | seats[rank].bit);
        Choice {
            chosen: bits(asked),
            explored: bits(explored),
            left_out: bits(able & !asked & !explored),
        }
    }
}

/// Those who may speak of a kind of evidence, the most information per cost first, ties by name.
fn ranked(kind: Kind, seats: &[(&str, Channels, Seat)], model: &Model) -> Vec<Seat> {
    let prior = pool::prior(kind, model);
    let mut ranked: Vec<(u64, &str, Seat)> = seats
        .iter()
        .filter(|(_, _, seat)| seat.needs.kinds >> kind as u8 & 1 == 1)
        .map(|(name, channels, seat)| (information(channels, &prior), *name, *seat))
        .collect();
    ranked.sort_by(|(a, a_name, a_seat), (b, b_name, b_seat)| {
        let (a, b) = (a * u64::from(b_seat.cost), b * u64::from(a_seat.cost));
        b.cmp(&a).then_with(|| a_name.cmp(b_name))
    });
    ranked.into_iter().map(|(_, _, seat)| seat).collect()
}

/// The first of the able ones, by rank, that are enough: [`LEAST_EXPERTS`] from [`LEAST_SOURCES`].
fn least(seats: &[Seat], able: u64) -> u64 {
    let mut first = 0;
    for rank in ranks(able).take(LEAST_EXPERTS as usize) {
        first |= 1 << rank;
    }
    let Some(best) = ranks(first).next() else { return 0 };
    let elsewhere = |rank: &usize| seats[*rank].needs.sources() != seats[best].needs.sources();
    if ranks(first).any(|rank| elsewhere(&rank)) {
        return first;
    }
    // All from one source: the last of them makes way for the best from another.
    match ranks(able & !first).find(elsewhere) {
        Some(other) => first & !(1 << (63 - first.leading_zeros())) | 1 << other,
        None => first,
    }
}

/// The places of the bits that are set, lowest first.
fn ranks(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let rank = set.trailing_zeros() as usize;
        (set != 0).then(|| {
            set &= set - 1;
            rank
        })
    })
}

/// What an expert's answer is expected to tell about evidence of this kind, in micro-nats: the mutual
/// information (Cover & Thomas, ch. 2) between "worse than level k" and the level said, over the
/// expert's likelihood ratios and the kind's prior, summed over the four thresholds that a verdict
/// is decided by.
pub fn expected_information(expert: &str, kind: Kind, model: &Model) -> u64 {
    information(&channels(expert, model), &pool::prior(kind, model))
}

fn information(channels: &Channels, prior: &[i64; THRESHOLDS]) -> u64 {
    let parts = channels.iter().zip(prior);
    let nats: f64 = parts.map(|(channel, odds)| channel.mutual_information(*odds)).sum();
    (nats * NAT as f64).round() as u64
}

/// One for each threshold.
type Channels = [Channel; THRESHOLDS];

fn channels(expert: &str, model: &Model) -> Channels {
    let table: &Table = model.of(expert).0;
    table.each_ref().map(Channel::with)
}

/// How often each answer is given to a question whose answer is no, and to one whose answer is yes.
#[derive(Clone, Copy, Debug)]
struct Channel {
    no_ln: [f64; 5],
    yes_ln: [f64; 5],
}

impl Channel {
    /// The channel with these log-likelihood ratios (micro-nats). They alone do not say how often each
    /// answer is given: of all that have them, the one of the exponential family over uniform answers.
    fn with(ratios: &[i64; 5]) -> Self {
        let ratios = ratios.map(|ratio| ratio as f64 / NAT as f64);
        let (mut low, mut high) = (-64.0, 64.0);
        // ln Σ exp(θ r) is convex in θ, so its rise from θ to θ + 1 grows with θ and is zero once.
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            if log_sum(&ratios, middle + 1.0) < log_sum(&ratios, middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        let answers = |tilt: f64| {
            let all = log_sum(&ratios, tilt);
            ratios.map(|ratio| tilt * ratio - all)
        };
        Self { no_ln: answers(low), yes_ln: answers(low + 1.0) }
    }

    /// Nats between the answer and a question with these log-odds (micro-nats) of yes.
    fn mutual_information(&self, log_odds: i64) -> f64 {
        let yes = 1.0 / (1.0 + (-(log_odds as f64) / NAT as f64).exp());
        let part = |(no_ln, yes_ln): (f64, f64)| {
            let (no_joint, yes_joint) = ((1.0 - yes) * no_ln.exp(), yes * yes_ln.exp());
            let mixed = (no_joint + yes_joint).max(f64::MIN_POSITIVE).ln();
            no_joint * (no_ln - mixed) + yes_joint * (yes_ln - mixed)
        };
        self.no_ln.into_iter().zip(self.yes_ln).map(part).sum::<f64>().max(0.0)
    }
}

/// ln Σ exp(tilt × ratio), without overflow.
fn log_sum(ratios: &[f64; 5], tilt: f64) -> f64 {
    let most = ratios.iter().fold(f64::MIN, |most, ratio| most.max(tilt * ratio));
    most + ratios.iter().map(|ratio| (tilt * ratio - most).exp()).sum::<f64>().ln()
}

/// A hash of what a case is about and of what the experts know ([`crate::trace::context`]): decides who
/// is explored. FNV-1a with the finalizer of SplitMix64; nobody's safety rests on it.
pub fn case_hash(evidence: &Evidence, context: &Digest) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let parts = [evidence.check.as_bytes(), &[0xff], evidence.key.as_bytes(), &[0xff], context];
    for byte in parts.into_iter().flatten() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

/// How high a verdict may be: medium on a fact that was only inferred, unless opinions of at least
/// three experts rest on at least two sources. A fact read directly is never capped.
pub fn cap(proof: Proof, experts: usize, sources: usize) -> Option<Severity> {
    let enough = experts >= LEAST_EXPERTS as usize && sources >= LEAST_SOURCES as usize;
    (proof == Proof::Inferred && !enough).then_some(Severity::Medium)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Exposure;
    use crate::experts::tests::{listening, posture};

    #[test]
    fn needs_are_met_by_the_kind_and_every_thing() {
        let offered = Needs::offered(&posture(Severity::Low), &listening(Exposure::World));
        assert!(Needs::NOTHING.met_by(offered));
        assert!(Needs::STATE.raised().service().listeners().logs().met_by(offered));
        assert!(!Needs::STATE.history().met_by(offered));
        assert!(!Needs::STATE.subject().met_by(offered));
        assert!(!Needs::ACTIVITY.met_by(offered));
        let calm = Needs::offered(&posture(Severity::Info), &Context::default());
        assert!(!Needs::STATE.raised().met_by(calm));
        assert!(!Needs::STATE.listeners().met_by(calm));
    }

    #[test]
    fn only_inferred_facts_with_too_few_behind_them_are_capped() {
        assert_eq!(cap(Proof::Inferred, 3, 2), None);
        assert_eq!(cap(Proof::Inferred, 2, 2), Some(Severity::Medium));
        assert_eq!(cap(Proof::Inferred, 3, 1), Some(Severity::Medium));
        assert_eq!(cap(Proof::Direct, 0, 0), None);
    }

    #[test]
    fn information_is_that_of_the_channel() {
        // A symmetric channel with the ratios ±ln 9: an answer that is right nine times of ten. The
        // five answers are two sorts, so they tell what two would: ln 2 - H(0.1).
        let ln_9 = 2_197_225;
        let noise = -(0.1_f64 * 0.1_f64.ln() + 0.9 * 0.9_f64.ln());
        let told = |ratios: [i64; 5], odds| Channel::with(&ratios).mutual_information(odds);
        let all = told([-ln_9, -ln_9, 0, ln_9, ln_9], 0);
        let sorts = told([-ln_9, -ln_9, -ln_9, ln_9, ln_9], 0);
        assert!((sorts - (2.0_f64.ln() - noise)).abs() < 1e-3, "{sorts}");
        assert!(all < sorts, "an answer that tells nothing takes its share");
        assert_eq!(told([0; 5], 300_000), 0.0);
        // Ratios that no channel has: still a number, not below zero.
        assert!(told([1; 5], 0).is_finite());
        assert!(told([8_000_000; 5], -9_000_000) >= 0.0);
        // Whoever is less often wrong tells more; nobody tells more than there is to know.
        let cold = Model::cold();
        let told = |expert| expected_information(expert, Kind::Posture, &cold);
        assert!(told("exposure") > told("declared"));
        assert!(told("declared") > told("privilege"));
        assert!(told("privilege") > 0 && told("exposure") < 4 * 693_148);
    }

    #[test]
    fn hashes_of_cases_differ_and_spread() {
        let mut evidence = posture(Severity::Low);
        let mut met = [0_u32; EXPLORED_ONE_IN as usize];
        for key in 0..6_400 {
            evidence.key = key.to_string();
            met[(case_hash(&evidence, &[7; 32]) % EXPLORED_ONE_IN) as usize] += 1;
        }
        assert!(met.iter().all(|cases| (50..=150).contains(cases)), "{met:?}");
        let here = case_hash(&evidence, &[7; 32]);
        assert_ne!(here, case_hash(&evidence, &[8; 32]));
        let moved = Evidence {
            check: evidence.check.clone() + &evidence.key,
            key: String::new(),
            ..evidence
        };
        assert_ne!(here, case_hash(&moved, &[7; 32]));
    }
}
