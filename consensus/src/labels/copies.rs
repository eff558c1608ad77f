//! Experts who copy each other: found without any truth, and weighed as one.
//!
//! Good experts agree because they are right; copies agree on their mistakes too. So a pair is judged
//! not by how often it agrees, but by how often it should if both were honest. Beyond chance, two
//! honest experts agree as often as the product of their competences (the one-factor model of Parisi
//! and others 2014), and an expert's competence shows in its agreement with everybody else. None is
//! below zero: nobody's agreement is explained by being *wrong* (with two labels, a league of liars
//! would otherwise look like good experts turned round). Everybody else is those who are in no
//! suspect pair, so that copies who outvote the honest do not vouch for each other; looks are repeated
//! until nobody more is cleared.
//!
//! Doubt is for the suspects: where the others agree on nothing, they may be the only ones who know.
//! Copies with more private noise than about one label in thirty, or that share too few items, pass
//! for honest; honest experts who err alike on nearly every item that any of them gets wrong pass for
//! copies. Limits are said, never passed over: see [`Copies::NotLooked`]. No fit, no randomness. Cost:
//! looks times meetings; memory: votes, and labels times experts.

use super::table::{Ballots, Vote};

/// Fewest items that two experts must both have labelled.
const MIN_SHARED: u32 = 30;
/// Least agreement of copies.
const NEAR: f64 = 0.9;
/// Share of the disagreements expected of honest experts that must be missing.
const MISSING: f64 = 0.8;
/// Natural logarithm of the odds against chance, for the whole table: a million to one.
const SURE: f64 = 13.8;
/// Standard deviations by which an agreement may be other than it was seen to be.
const DEVIATIONS: f64 = 3.0;
/// Most looks; whoever the last one suspects is taken for a copy.
const MAX_LOOKS: usize = 8;
/// Most meetings that are counted: two experts who label the same item, over all items.
pub const MAX_MEETINGS: usize = 1 << 25;
/// Most pairs that are suspected.
pub const MAX_PAIRS: usize = 1 << 16;

/// What was found out about copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copies {
    /// Groups of two and more that weigh as one: places in [`Ballots::experts`], sorted.
    Found(Vec<Vec<u32>>),
    /// More than [`MAX_MEETINGS`], or more than [`MAX_PAIRS`] that agree on nearly everything: nobody
    /// was looked for, everybody weighs alone.
    NotLooked,
}

/// Looks for copies.
pub(super) fn find(ballots: &Ballots) -> Copies {
    find_within(ballots, MAX_MEETINGS, MAX_PAIRS)
}

fn find_within(ballots: &Ballots, meetings: usize, pairs: usize) -> Copies {
    let Some(company) = Company::of(ballots, meetings) else { return Copies::NotLooked };
    let Some((mut suspects, met)) = company.near(pairs) else { return Copies::NotLooked };
    let sure = SURE + (met.max(1) as f64).ln();
    let unexplained = |pair: &Pair, competences: &[f64]| {
        let expected = company.disagreements(pair, competences);
        let seen = f64::from(pair.shared - pair.agreed);
        seen <= (1.0 - MISSING) * expected && surprise(expected, seen) >= sure
    };
    // Whom habits alone clear, competence would clear too: the fewer suspects, the more is known.
    let ignorance = vec![0.0; ballots.experts.len()];
    suspects.retain(|pair| unexplained(pair, &ignorance));
    for _ in 0..MAX_LOOKS {
        let competences = company.competences(&suspects);
        let before = suspects.len();
        suspects.retain(|pair| unexplained(pair, &competences));
        if suspects.len() == before {
            break;
        }
    }
    Copies::Found(groups(ballots.experts.len(), &suspects))
}

/// The table with each group as one expert, whose label of an item is shared by what its members
/// said; `None` where there is nothing to merge.
pub(super) fn merged(ballots: &Ballots, copies: &Copies) -> Option<Ballots> {
    let Copies::Found(groups) = copies else { return None };
    if groups.is_empty() {
        return None;
    }
    let mut speaker: Vec<u32> = (0..ballots.experts.len() as u32).collect();
    for group in groups {
        group.iter().for_each(|member| speaker[*member as usize] = group[0]);
    }
    let mut votes = Vec::with_capacity(ballots.votes.len());
    for item in ballots.votes.chunk_by(|a, b| a.item == b.item) {
        let mut item: Vec<Vote> = item
            .iter()
            .map(|vote| Vote { expert: speaker[vote.expert as usize], ..*vote })
            .collect();
        item.sort_by_key(|vote| (vote.expert, vote.label));
        for said in item.chunk_by(|a, b| a.expert == b.expert) {
            for same in said.chunk_by(|a, b| a.label == b.label) {
                let sum: f64 = same.iter().map(|vote| vote.confidence).sum();
                votes.push(Vote { confidence: sum / said.len() as f64, ..same[0] });
            }
        }
    }
    Some(Ballots { votes, ..ballots.clone() })
}

/// Two experts who label the same items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    first: u32,
    second: u32,
    /// Items that both have labelled.
    shared: u32,
    /// Items that both have labelled alike.
    agreed: u32,
}

/// Who meets whom, and what each usually says.
struct Company<'a> {
    ballots: &'a Ballots,
    /// Places of each expert's votes.
    own: Vec<Vec<usize>>,
    /// Share of each label in what each expert says, flat.
    habits: Vec<f64>,
}

impl<'a> Company<'a> {
    /// `None` where there are more meetings than these.
    fn of(ballots: &'a Ballots, meetings: usize) -> Option<Self> {
        let mut left = meetings;
        for item in ballots.votes.chunk_by(|a, b| a.item == b.item) {
            left = left.checked_sub(item.len() * (item.len() - 1) / 2)?;
        }
        let labels = ballots.labels.len();
        let mut own: Vec<Vec<usize>> = vec![Vec::new(); ballots.experts.len()];
        let mut habits = vec![0.0; ballots.experts.len() * labels];
        for (place, vote) in ballots.votes.iter().enumerate() {
            own[vote.expert as usize].push(place);
            habits[vote.expert as usize * labels + vote.label as usize] += 1.0;
        }
        for (row, own) in habits.chunks_exact_mut(labels).zip(&own) {
            row.iter_mut().for_each(|n| *n /= own.len().max(1) as f64);
        }
        Some(Self { ballots, own, habits })
    }

    /// Calls for each pair that meets, in order.
    fn each_pair(&self, mut call: impl FnMut(Pair)) {
        let votes = &self.ballots.votes;
        let mut met = vec![(0_u32, 0_u32); self.own.len()];
        for (first, own) in self.own.iter().enumerate() {
            let mut others = Vec::new();
            for &place in own {
                let vote = votes[place];
                for other in votes[place + 1..].iter().take_while(|v| v.item == vote.item) {
                    let (shared, agreed) = &mut met[other.expert as usize];
                    if *shared == 0 {
                        others.push(other.expert);
                    }
                    *shared += 1;
                    *agreed += u32::from(other.label == vote.label);
                }
            }
            others.sort_unstable();
            for second in others {
                let (shared, agreed) = std::mem::take(&mut met[second as usize]);
                call(Pair { first: first as u32, second, shared, agreed });
            }
        }
    }

    /// The pairs that agree on nearly everything, and how many share enough items to tell; `None`
    /// where there are more than so many.
    fn near(&self, pairs: usize) -> Option<(Vec<Pair>, usize)> {
        let mut near = Vec::new();
        let mut met = 0;
        self.each_pair(|pair| {
            if pair.shared >= MIN_SHARED {
                met += 1;
                let is = f64::from(pair.agreed) >= NEAR * f64::from(pair.shared);
                if is && near.len() <= pairs {
                    near.push(pair);
                }
            }
        });
        (near.len() <= pairs).then_some((near, met))
    }

    /// The probability that two say the same, were neither to look at the item.
    fn chance(&self, pair: &Pair) -> f64 {
        let labels = self.ballots.labels.len();
        let habits = |expert: u32| &self.habits[expert as usize * labels..][..labels];
        habits(pair.first).iter().zip(habits(pair.second)).map(|(a, b)| a * b).sum()
    }

    /// How far each expert can be competent, from 0 to 1, going by those whom nobody suspects.
    fn competences(&self, suspects: &[Pair]) -> Vec<f64> {
        let mut suspected = vec![false; self.own.len()];
        for pair in suspects {
            suspected[pair.first as usize] = true;
            suspected[pair.second as usize] = true;
        }
        let mut with_others = vec![Agreement::default(); self.own.len()];
        let mut of_others = Agreement::default();
        self.each_pair(|pair| {
            let (first, second) = (pair.first as usize, pair.second as usize);
            let (first_trusted, second_trusted) = (!suspected[first], !suspected[second]);
            if !first_trusted && !second_trusted {
                return;
            }
            let chance = self.chance(&pair);
            if second_trusted {
                with_others[first].add(&pair, chance);
            }
            if first_trusted {
                with_others[second].add(&pair, chance);
            }
            if first_trusted && second_trusted {
                of_others.add(&pair, chance);
            }
        });
        let others = of_others.beyond_chance(-DEVIATIONS).unwrap_or(0.0);
        let competence = |own: Agreement| match own.beyond_chance(DEVIATIONS) {
            Some(own) if others > 0.0 => (own / others.sqrt()).clamp(0.0, 1.0),
            _ => 1.0,
        };
        with_others.into_iter().map(competence).collect()
    }

    /// How often two honest experts of these competences would disagree.
    fn disagreements(&self, pair: &Pair, competences: &[f64]) -> f64 {
        let both = competences[pair.first as usize] * competences[pair.second as usize];
        f64::from(pair.shared) * (1.0 - self.chance(pair)) * (1.0 - both)
    }
}

/// How often experts agree, beyond what their habits alone explain.
#[derive(Clone, Copy, Debug, Default)]
struct Agreement {
    /// How often they would disagree by chance.
    possible: f64,
    /// How many of these times they agree.
    reached: f64,
    /// Of `reached`, were it chance.
    variance: f64,
}

impl Agreement {
    fn add(&mut self, pair: &Pair, chance: f64) {
        let shared = f64::from(pair.shared);
        self.possible += shared * (1.0 - chance);
        self.reached += f64::from(pair.agreed) - shared * chance;
        self.variance += shared * chance * (1.0 - chance);
    }

    /// At most 1; so many standard deviations off. `None` where there was nothing to disagree about.
    fn beyond_chance(&self, deviations: f64) -> Option<f64> {
        let reached = self.reached + deviations * self.variance.max(0.0).sqrt();
        (self.possible > 0.0).then_some(reached / self.possible)
    }
}

/// How surprising so few disagreements are, in nats: Chernoff's bound for a sum of independent
/// events (Hoeffding 1963 shows that unequal probabilities only help).
fn surprise(expected: f64, seen: f64) -> f64 {
    if seen >= expected {
        return 0.0;
    }
    let far = if seen > 0.0 { seen * (seen / expected).ln() } else { 0.0 };
    expected - seen + far
}

/// Joins pairs to groups of two and more.
fn groups(experts: usize, pairs: &[Pair]) -> Vec<Vec<u32>> {
    let mut towards: Vec<u32> = (0..experts as u32).collect();
    for pair in pairs {
        let (a, b) = (root(&mut towards, pair.first), root(&mut towards, pair.second));
        towards[a.max(b) as usize] = a.min(b);
    }
    let mut groups: Vec<Vec<u32>> = vec![Vec::new(); experts];
    for expert in 0..experts as u32 {
        groups[root(&mut towards, expert) as usize].push(expert);
    }
    groups.retain(|group| group.len() > 1);
    groups
}

/// The first of a group; halves the way there.
fn root(towards: &mut [u32], mut of: u32) -> u32 {
    while towards[of as usize] != of {
        let next = towards[towards[of as usize] as usize];
        towards[of as usize] = next;
        of = next;
    }
    of
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::{Pooled, Reader, Scale, pool};

    /// A generator good enough to make tables with.
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 33) % end
        }
    }

    /// Independent experts who are right on so many of a hundred items, else say any other label.
    fn honest(items: u64, labels: u64, accuracies: &[u64]) -> Vec<String> {
        let mut random = Random(7);
        let mut lines = vec!["item,expert,label".to_string()];
        for item in 0..items {
            let truth = random.below(labels);
            for (expert, accuracy) in accuracies.iter().enumerate() {
                let wrong = (truth + 1 + random.below(labels - 1)) % labels;
                let said = if random.below(100) < *accuracy { truth } else { wrong };
                lines.push(format!("i{item:04},e{expert:02},{said}"));
            }
        }
        lines
    }

    /// One wrong answer an item, said by so many.
    fn league(items: u64, labels: u64, members: u64) -> Vec<String> {
        let mut random = Random(99);
        let answer = |item| (item, random.below(labels));
        let answers: Vec<(u64, u64)> = (0..items).map(answer).collect();
        let lines = |member: u64| {
            answers
                .iter()
                .map(move |(item, said)| format!("i{item:04},z{member},{said}"))
                .collect::<Vec<_>>()
        };
        (0..members).flat_map(lines).collect()
    }

    fn table<'a>(lines: impl IntoIterator<Item = &'a String>) -> Ballots {
        let mut reader = Reader::new(None).unwrap();
        lines.into_iter().for_each(|line| reader.line(line.as_bytes()).unwrap());
        reader.finish().unwrap()
    }

    fn found(lines: &[String]) -> Vec<Vec<u32>> {
        match pool(&table(lines), Scale::Nominal).copies {
            Copies::Found(groups) => groups,
            Copies::NotLooked => panic!("not looked"),
        }
    }

    #[test]
    fn copies_weigh_as_one_to_the_bit() {
        for labels in [2, 4] {
            for scale in [Scale::Nominal, Scale::Ordinal] {
                let lines = honest(200, labels, &[85, 80, 75, 70, 65, 60]);
                let with = |members| {
                    pool(&table(lines.iter().chain(&league(200, labels, members))), scale)
                };
                let Pooled { decisions, copies } = with(7);
                assert_eq!(copies, Copies::Found(vec![(6..13).collect()]));
                assert_eq!(decisions, with(1).decisions);
            }
        }
    }

    #[test]
    fn the_good_are_not_taken_for_copies() {
        let none: Vec<Vec<u32>> = Vec::new();
        assert_eq!(found(&honest(400, 2, &[97, 97, 97, 97, 70, 70, 65, 65, 60, 60])), none);
        assert_eq!(found(&honest(400, 2, &[95, 95, 95, 60, 60, 60, 60, 60, 60, 60, 60])), none);
        assert_eq!(found(&honest(400, 2, &[99; 12])), none);
        assert_eq!(found(&honest(400, 5, &[99, 99, 99, 98, 60, 50, 40])), none);
    }

    /// They agree on everything, as whoever always says the same does.
    #[test]
    fn the_lazy_are_not_taken_for_copies() {
        let mut lines = honest(300, 2, &[80, 80, 80, 75, 75, 70]);
        lines.extend(
            (0..300)
                .flat_map(|item| (0..3).map(move |expert| format!("i{item:04},lazy{expert},1"))),
        );
        assert!(found(&lines).is_empty());
    }

    /// Nobody can tell a league from the only two who know when the others know nothing.
    #[test]
    fn without_knowledge_nobody_is_accused() {
        let guessers = honest(200, 4, &[25; 5]);
        assert!(found(&[guessers, league(200, 4, 3)].concat()).is_empty());
    }

    #[test]
    fn too_few_shared_items_prove_nothing() {
        let (few, enough) = (u64::from(MIN_SHARED) - 1, 3 * u64::from(MIN_SHARED));
        let with = |items| [honest(400, 4, &[90; 6]), league(items, 4, 2)].concat();
        assert!(found(&with(few)).is_empty());
        assert_eq!(found(&with(enough)), [[6, 7]]);
    }

    #[test]
    fn beyond_the_limits_nobody_is_looked_for() {
        let ballots = table(&[honest(50, 4, &[80; 3]), league(50, 4, 3)].concat());
        let meetings = 50 * 6 * 5 / 2;
        let pair = |first, second| Pair { first, second, shared: 50, agreed: 50 };
        let near = Company::of(&ballots, meetings).unwrap().near(3);
        assert_eq!(near, Some((vec![pair(3, 4), pair(3, 5), pair(4, 5)], 15)));
        let league = Copies::Found(vec![vec![3, 4, 5]]);
        assert_eq!(find_within(&ballots, meetings, 3), league);
        assert_eq!(find_within(&ballots, meetings - 1, 3), Copies::NotLooked);
        assert_eq!(find_within(&ballots, meetings, 2), Copies::NotLooked);
    }

    #[test]
    fn pairs_join_to_groups() {
        let pair = |first, second| Pair { first, second, shared: 0, agreed: 0 };
        let pairs = [pair(0, 4), pair(2, 3), pair(3, 4), pair(5, 6)];
        assert_eq!(groups(8, &pairs), vec![vec![0, 2, 3, 4], vec![5, 6]]);
        assert!(groups(3, &[]).is_empty());
    }

    #[test]
    fn surprise_is_chernoffs_bound() {
        assert_eq!(surprise(5.0, 0.0), 5.0);
        assert_eq!(surprise(5.0, 5.0), 0.0);
        assert_eq!(surprise(5.0, 9.0), 0.0);
        assert!((surprise(10.0, 2.0) - (8.0 - 2.0 * 5.0_f64.ln())).abs() < 1e-12);
    }

    #[test]
    fn a_member_who_says_otherwise_keeps_its_share() {
        let lines = ["item,expert,label", "a,x,0", "a,y,0", "a,z,1", "b,x,1"].map(String::from);
        let ballots = table(&lines);
        let merged = merged(&ballots, &Copies::Found(vec![vec![0, 1, 2]])).unwrap();
        let shares: Vec<(u32, u32, f64)> =
            merged.votes.iter().map(|vote| (vote.expert, vote.label, vote.confidence)).collect();
        assert_eq!(shares, [(0, 0, 2.0 / 3.0), (0, 1, 1.0 / 3.0), (0, 1, 1.0)]);
        assert_eq!(super::merged(&ballots, &Copies::NotLooked), None);
        assert_eq!(super::merged(&ballots, &Copies::Found(Vec::new())), None);
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(12))]
        #[test]
        fn the_order_of_lines_changes_nothing(
            seed in proptest::num::u64::ANY,
            labels in 2_u64..5,
            ordinal in proptest::bool::ANY,
            copied in proptest::bool::ANY,
        ) {
            let scale = if ordinal { Scale::Ordinal } else { Scale::Nominal };
            let mut lines = honest(80, labels, &[90, 80, 80, 70, 70]);
            let head = lines.remove(0);
            lines.extend(league(80, labels, if copied { 4 } else { 1 }));
            let written = pool(&table([&head].into_iter().chain(&lines)), scale);
            let mut random = Random(seed);
            for last in (1..lines.len()).rev() {
                lines.swap(last, random.below(last as u64 + 1) as usize);
            }
            let shuffled = pool(&table([&head].into_iter().chain(&lines)), scale);
            proptest::prop_assert_eq!(written, shuffled);
        }
    }
}
