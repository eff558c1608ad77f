//! Four labelled scenarios of alerts: average precision of (host, 5 minutes) windows, ties against us,
//! beside the levels of the tools themselves, plain counts and plain rarity.
//!
//! The constants were looked at on these same scenarios (about 240 configurations in all), so the pooled
//! figures are in-sample; beside them stand figures of constants chosen on three scenarios by a small
//! grid and scored on the fourth. *Acute* leaves out windows whose only label is the slow exfiltration;
//! the other framing counts them as attacks. Scenarios are streams of their own; scores are pooled.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

mod corpora;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;

use consensus::triage::clicks::{Answer, Click, Clicks};
use consensus::triage::{Alert, Model, Triage, Window, row};

const SCENARIOS: [&str; 4] = ["fox", "russellmitchell", "shaw", "wheeler"];
const WINDOW_S: i64 = 300;
const FRAMINGS: [&str; 2] = ["acute", "with exfiltration"];
/// Seeds of simulated reviews; fewer without optimisation, where each costs thirty times more.
const SEEDS: u64 = if cfg!(debug_assertions) { 4 } else { 20 };
const RANKERS: [&str; 5] =
    ["triage", "rarity, top 3", "zeta of levels", "alert count", "max level"];

/// The levels of alerts by name, as the table of levels beside the scenarios has them.
fn level(levels: &serde_json::Value, name: &str) -> f64 {
    if name.starts_with("AMiner") {
        return 0.0;
    }
    if name.starts_with("Wazuh: Multiple web server 400") {
        return 10.0;
    }
    let listed = levels[name].as_array().into_iter().flatten().filter_map(|level| level.as_f64());
    listed
        .fold(None, |most: Option<f64>, level| Some(most.map_or(level, |m| m.max(level))))
        .unwrap_or(3.0)
}

#[derive(Default)]
struct Truth {
    labels: BTreeSet<String>,
    names: BTreeMap<String, u64>,
}

impl Truth {
    fn attack(&self) -> bool {
        !self.labels.is_empty()
    }

    fn acute(&self) -> bool {
        !(self.labels.len() == 1 && self.labels.contains("dnsteal"))
    }
}

/// One window: its score, whether it is an attack, whether it counts as acute.
#[derive(Clone, Copy)]
struct Judged {
    score: f64,
    attack: bool,
    acute: bool,
}

/// One scenario: its table and what is true of its windows, in the order in which they are judged.
struct Scenario {
    name: &'static str,
    text: String,
    truth: BTreeMap<(i64, String), Truth>,
}

impl Scenario {
    fn read(name: &'static str, corpus: &Path) -> Self {
        let file = corpus.join(format!("{name}_alerts.csv.xz"));
        let unpacked = Command::new("xz").arg("-dc").arg(file).output().unwrap();
        assert!(unpacked.status.success());
        let text = String::from_utf8(unpacked.stdout).unwrap();
        let mut truth: BTreeMap<(i64, String), Truth> = BTreeMap::new();
        for line in text.lines().skip(1) {
            let row = row::read(line).unwrap();
            let alert = row.alert();
            let key = (alert.time.div_euclid(WINDOW_S) * WINDOW_S, alert.host.to_string());
            let window = truth.entry(key).or_default();
            *window.names.entry(alert.name.to_string()).or_insert(0) += 1;
            let label = line.rsplit(',').next().unwrap();
            if label != "-" {
                window.labels.insert(label.to_string());
            }
        }
        Self { name, text, truth }
    }

    /// Windows as the rows are ranked.
    fn windows(&self) -> Vec<Window> {
        let mut triage = Triage::new(WINDOW_S).unwrap();
        let mut out = Vec::new();
        for line in self.text.lines().skip(1) {
            triage.push(&row::read(line).unwrap().alert(), &mut out);
        }
        let counts = triage.finish(&mut out);
        assert_eq!((counts.late, counts.beyond, counts.forgotten), (0, 0, 0));
        let keys = out.iter().map(|window| (window.start, &window.host));
        assert!(keys.eq(self.truth.keys().map(|(start, host)| (*start, host))));
        out
    }

    /// Scores of the windows, each name pushed once a window: how often it was raised does not matter,
    /// and this is thirty times less to do.
    fn scores(&self, model: Model, clicks: Clicks) -> Vec<f64> {
        let mut triage = Triage::with_model(WINDOW_S, model).unwrap().with_clicks(clicks);
        let mut out = Vec::new();
        for ((time, host), truth) in &self.truth {
            for name in truth.names.keys() {
                triage.push(&Alert { time: *time, host, name, title: name }, &mut out);
            }
        }
        assert_eq!(triage.finish(&mut out).clicks_left, 0);
        out.iter().map(|window| window.score).collect()
    }

    /// Windows with a score and what is true of them.
    fn judged(&self, scores: impl Iterator<Item = f64>) -> Vec<Judged> {
        let each = scores.zip(self.truth.values());
        each.map(|(score, truth)| Judged { score, attack: truth.attack(), acute: truth.acute() })
            .collect()
    }

    /// How many rare names by plain causal rarity, what levels and counts say.
    fn peers(&self, levels: &serde_json::Value) -> [Vec<Judged>; RANKERS.len() - 1] {
        let mut past: HashMap<&str, f64> = HashMap::new();
        let mut pairs = 0.0;
        let scores: Vec<[f64; RANKERS.len() - 1]> = self
            .truth
            .values()
            .map(|truth| {
                let seen = |name: &str| past.get(name).copied().unwrap_or(0.0);
                let mut surprises: Vec<f64> = truth
                    .names
                    .keys()
                    .map(|name| -((seen(name) + 0.5) / (pairs + 1.0_f64)).ln())
                    .collect();
                surprises.sort_by(|a, b| b.total_cmp(a));
                truth.names.keys().for_each(|name| *past.entry(name).or_insert(0.0) += 1.0);
                pairs += 1.0;
                let mut severities: Vec<(f64, u64)> =
                    truth.names.iter().map(|(name, count)| (level(levels, name), *count)).collect();
                severities.sort_by(|a, b| b.0.total_cmp(&a.0));
                let alerts = truth.names.values().sum::<u64>() as f64;
                [surprises.iter().take(3).sum(), zeta(&severities), alerts, severities[0].0]
            })
            .collect();
        std::array::from_fn(|ranker| self.judged(scores.iter().map(|scores| scores[ranker])))
    }
}

/// Sum of level / rank^1.5 over all alerts, the highest levels first.
fn zeta(severities: &[(f64, u64)]) -> f64 {
    let mut rank = 0_u64;
    let mut sum = 0.0;
    for (level, count) in severities {
        for _ in 0..*count {
            rank += 1;
            sum += level / (rank as f64).powf(1.5);
        }
    }
    sum
}

/// Average precision with ties against us, and windows to review for 90 % of the attacks.
fn precision(windows: &[Judged]) -> (f64, usize) {
    let mut order: Vec<&Judged> = windows.iter().collect();
    order.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.attack.cmp(&b.attack)));
    let attacks = order.iter().filter(|window| window.attack).count();
    let (mut hits, mut sum, mut review) = (0, 0.0, None);
    for (index, _) in order.iter().enumerate().filter(|(_, window)| window.attack) {
        hits += 1;
        sum += f64::from(hits) / (index + 1) as f64;
        if review.is_none() && f64::from(hits) >= 0.9 * attacks as f64 {
            review = Some(index + 1);
        }
    }
    (sum / attacks.max(1) as f64, review.unwrap_or(0))
}

/// The middle 95 % of the average precision of 200 resamples of the windows.
fn interval(windows: &[Judged]) -> (f64, f64) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % windows.len() as u64) as usize
    };
    let mut figures: Vec<f64> = (0..200)
        .map(|_| {
            let sample: Vec<Judged> = (0..windows.len()).map(|_| windows[next()]).collect();
            precision(&sample).0
        })
        .collect();
    figures.sort_by(f64::total_cmp);
    (figures[5], figures[194])
}

/// The two framings: acute, and with exfiltration.
fn framings(windows: &[Judged]) -> [Vec<Judged>; 2] {
    [windows.iter().copied().filter(|window| window.acute).collect(), windows.to_vec()]
}

fn scenarios() -> Option<(Vec<Scenario>, serde_json::Value)> {
    let corpus = corpora::scenarios()?;
    let levels = std::fs::read(corpus.join("levels.json")).unwrap();
    let levels = serde_json::from_slice(&levels).unwrap();
    Some((SCENARIOS.map(|name| Scenario::read(name, &corpus)).into(), levels))
}

fn ours(scenario: &Scenario, model: Model) -> Vec<Judged> {
    scenario.judged(scenario.scores(model, Clicks::default()).into_iter())
}

#[test]
fn windows_are_ranked_better_than_by_levels_counts_and_plain_rarity() {
    let Some((scenarios, levels)) = scenarios() else { return };
    let mut pooled: [Vec<Judged>; RANKERS.len()] = Default::default();
    for scenario in &scenarios {
        let scores: Vec<f64> = scenario.windows().iter().map(|window| window.score).collect();
        assert_eq!(scores, scenario.scores(Model::default(), Clicks::default()));
        let windows = scenario.judged(scores.into_iter());
        println!("{}: acute {:.3}", scenario.name, precision(&framings(&windows)[0]).0);
        pooled[0].extend(windows);
        for (ranker, windows) in scenario.peers(&levels).into_iter().enumerate() {
            pooled[ranker + 1].extend(windows);
        }
    }
    let mut reached = [[(0.0, 0); RANKERS.len()]; 2];
    for (ranker, name) in RANKERS.iter().enumerate() {
        let both = framings(&pooled[ranker]);
        for (framing, windows) in both.iter().enumerate() {
            let (average, review) = precision(windows);
            let (low, high) = interval(windows);
            let called = FRAMINGS[framing];
            println!("{called:<18} {name:<15} {average:.3} [{low:.3}, {high:.3}] {review:>6}");
            reached[framing][ranker] = (average, review);
        }
    }
    // What is reached, less a small margin. With exfiltration 0.75 is aimed at and not reached.
    for (framing, floor) in reached.iter().zip([0.85, 0.63]) {
        assert!(framing[0].0 >= floor, "{framing:?}");
        for peer in &framing[1..] {
            assert!(framing[0].0 > peer.0 && framing[0].1 < peer.1 / 2, "{framing:?}");
        }
    }
}

/// The constants that matter, around what was chosen.
fn grid() -> Vec<Model> {
    let chosen = Model::default();
    let mut grid = Vec::new();
    for rare in [5.0, 6.0, 7.0] {
        for context in [0.5, 1.0, 2.0] {
            for novelty_half_life_s in [28_800.0, 43_200.0, 86_400.0] {
                for suspicious in [15.0, 18.0, 22.0] {
                    grid.push(Model { rare, context, novelty_half_life_s, suspicious, ..chosen });
                }
            }
        }
    }
    grid
}

/// One configuration for both framings: the one with the best sum of the two.
#[test]
#[cfg_attr(debug_assertions, ignore = "slow without optimisation: run with --release")]
fn constants_chosen_on_three_scenarios_hold_on_the_fourth() {
    let Some((scenarios, _)) = scenarios() else { return };
    let grid = grid();
    let judged: Vec<Vec<Vec<Judged>>> = grid
        .iter()
        .map(|model| scenarios.iter().map(|scenario| ours(scenario, *model)).collect())
        .collect();
    let pooled = |model: usize, left_out: Option<usize>| -> [f64; 2] {
        let kept = judged[model].iter().enumerate().filter(|(index, _)| Some(*index) != left_out);
        let windows: Vec<Judged> = kept.flat_map(|(_, windows)| windows).copied().collect();
        framings(&windows).map(|windows| precision(&windows).0)
    };
    let best = |left_out| {
        let sum = |model: usize| pooled(model, left_out).iter().sum::<f64>();
        (0..grid.len()).max_by(|a, b| sum(*a).total_cmp(&sum(*b))).unwrap()
    };
    let mut held_out = Vec::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        let model = best(Some(index));
        let here = framings(&judged[model][index]).map(|windows| precision(&windows).0);
        println!("{} held out: {here:.3?} with {:?}", scenario.name, grid[model]);
        held_out.extend(judged[model][index].iter().copied());
    }
    let held_out = framings(&held_out).map(|windows| precision(&windows).0);
    let mut all: Vec<[f64; 2]> = (0..grid.len()).map(|model| pooled(model, None)).collect();
    println!("held out, pooled: {held_out:.3?}; chosen on all: {:.3?}", pooled(best(None), None));
    all.sort_by(|a, b| a[0].total_cmp(&b[0]));
    println!("all {} of the grid, acute: {:.3?} to {:.3?}", grid.len(), all[0], all[all.len() - 1]);
    assert!(held_out[0] >= 0.80 && held_out[1] >= 0.60, "{held_out:?}");
}

/// How the simulated operator comes by the windows that are clicked.
#[derive(Clone, Copy, Debug)]
enum Review {
    /// Half at random from the 1,000 that rank highest, half at random from all.
    Half,
    /// At random from the 1,000 that rank highest.
    List,
    /// At random from all.
    Random,
}

/// Indices of clicked windows of all scenarios.
fn drawn(review: Review, clicks: usize, ranking: &[usize], seed: u64) -> BTreeSet<usize> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = |most: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % most as u64) as usize
    };
    let from_list = match review {
        Review::Half => clicks / 2,
        Review::List => clicks,
        Review::Random => 0,
    };
    let mut drawn = BTreeSet::new();
    while drawn.len() < from_list {
        drawn.insert(ranking[next(1_000)]);
    }
    while drawn.len() < clicks {
        drawn.insert(next(ranking.len()));
    }
    drawn
}

/// Clicks are drawn from the pooled ranking and answered by the labels (both kinds of attack are
/// confirmed); each stream is ranked again with its clicks, which teach only what comes after them; and
/// clicked windows are left out of both scores, with and without clicks.
#[test]
fn clicks_never_cost_and_pay_by_two_hundred() {
    let Some((scenarios, _)) = scenarios() else { return };
    let plain: Vec<Judged> =
        scenarios.iter().flat_map(|scenario| ours(scenario, Model::default())).collect();
    let keys: Vec<(usize, &(i64, String))> = scenarios
        .iter()
        .enumerate()
        .flat_map(|(index, scenario)| scenario.truth.keys().map(move |key| (index, key)))
        .collect();
    let mut ranking: Vec<usize> = (0..plain.len()).collect();
    ranking.sort_by(|a, b| plain[*b].score.total_cmp(&plain[*a].score));
    for review in [Review::Half, Review::List, Review::Random] {
        for number in [20, 50, 100, 200] {
            let mut gains = [0.0; 2];
            for seed in 1..=SEEDS {
                let clicked = drawn(review, number, &ranking, seed);
                let mut clicks: Vec<Clicks> = vec![Clicks::default(); scenarios.len()];
                for &index in &clicked {
                    let (scenario, (start, host)) = keys[index];
                    let answer =
                        if plain[index].attack { Answer::Confirm } else { Answer::Dismiss };
                    let click = Click { host: host.as_str().into(), start: *start, answer };
                    assert!(clicks[scenario].add(click));
                }
                let again = scenarios.iter().zip(clicks).flat_map(|(scenario, clicks)| {
                    scenario.judged(scenario.scores(Model::default(), clicks).into_iter())
                });
                let left = |(index, judged): (usize, Judged)| {
                    (!clicked.contains(&index)).then_some(judged)
                };
                let with: Vec<Judged> = again.enumerate().filter_map(left).collect();
                let without: Vec<Judged> =
                    plain.iter().copied().enumerate().filter_map(left).collect();
                let (with, without) = (framings(&with), framings(&without));
                for framing in 0..2 {
                    gains[framing] += precision(&with[framing]).0 - precision(&without[framing]).0;
                }
            }
            let gains = gains.map(|gain| gain / SEEDS as f64);
            println!("{review:?} {number:>3} clicks: {gains:+.4?} (acute, with exfiltration)");
            assert!(gains.iter().all(|gain| *gain >= -0.02), "{review:?} {number}: {gains:?}");
            assert!(number < 200 || gains.iter().all(|gain| *gain > 0.0), "{review:?}: {gains:?}");
        }
    }
}
