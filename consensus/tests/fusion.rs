//! Alerts into cases: the accounting, taking joinings back, the limits, and four real scenarios.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

mod corpora;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::process::Command;

use consensus::Severity;
use consensus::fusion::{
    Alert, CASE_BURST, Case, CaseId, Counts, Fate, Fusion, GAP_S, MAX_APART, MAX_CASES, MAX_GAP_S,
    MAX_INDICATORS, MAX_KEYS, MAX_LINKS, MAX_TEXT_BYTES, NOTICE_BURST, Outcome, Reason, Sort,
};
use consensus::triage::row;
use proptest::prelude::*;

fn fusion() -> Fusion {
    Fusion::new(GAP_S, 1).unwrap()
}

fn alert<'a>(time: i64, host: &'a str, name: &'a str) -> Alert<'a> {
    Alert::new(time, host, name)
}

fn in_case(case: u64, fate: Fate) -> Outcome {
    Outcome { case: Some(CaseId(case)), fate }
}

const DUPLICATE: Fate = Fate::Suppressed(Reason::Duplicate);

/// Everything adds up: the stream, each case, and the cases to the stream. `closed`: those given out.
fn accounted(fusion: &Fusion, closed: &[Case]) {
    let counts = fusion.counts();
    assert!(counts.tally.holds(), "{counts:?}");
    let open = fusion.cases();
    assert!(open.iter().chain(closed).all(|case| case.tally.holds()));
    let inside: u64 = open.iter().chain(closed).map(|case| case.tally.received).sum();
    let outside: u64 =
        [Reason::Late, Reason::Ahead].map(|at| counts.tally.suppressed[at as usize]).iter().sum();
    assert_eq!(counts.tally.received, inside + outside + counts.evicted_alerts);
    let gone = counts.joined + counts.closed + counts.evicted;
    assert_eq!(open.len() as u64, counts.opened - gone);
    assert_eq!(closed.len() as u64, counts.closed);
}

#[test]
fn a_case_is_notified_once_and_repetitions_leave_exponentially_spaced_exemplars() {
    let mut fusion = fusion();
    let fates: Vec<Fate> =
        (0..17).map(|at| fusion.push(&alert(1000 + at, "web", "scan")).fate).collect();
    let kept: Vec<usize> = (1..=17).filter(|at| fates[at - 1] != DUPLICATE).collect();
    assert_eq!(kept, [1, 2, 4, 8, 16]);
    assert_eq!(fates[0], Fate::Notified);
    assert_eq!(fates[1], Fate::Merged);
    assert_eq!(fusion.push(&alert(1017, "web", "login")), in_case(1, Fate::Merged));
    assert_eq!(fusion.push(&alert(1017, "mail", "scan")), in_case(2, Fate::Notified));
    let cases = fusion.cases();
    let names = |case: &Case| -> Vec<String> {
        case.keys.iter().map(|(sort, text)| format!("{sort:?} {text}")).collect()
    };
    assert_eq!(names(&cases[0]), ["Host web", "Name login", "Name scan"]);
    assert_eq!((cases[0].first, cases[0].last, cases[0].tally.received), (1000, 1017, 18));
    assert_eq!(fusion.counts().episodes, 3);
    accounted(&fusion, &[]);
}

#[test]
fn entities_and_indicators_join_hosts_within_the_gap_and_not_beyond() {
    let with = |time, host, ip, user, indicators| Alert {
        ip,
        user,
        indicators,
        ..alert(time, host, "scan")
    };
    let mut fusion = fusion();
    fusion.push(&with(0, "a", Some("192.0.2.1"), None, &[]));
    assert_eq!(
        fusion.push(&with(300, "b", Some("192.0.2.1"), None, &[])),
        in_case(1, Fate::Merged)
    );
    // The same text as an account is something else.
    let other = with(300, "c", None, Some("192.0.2.1"), &["hash"]);
    assert_eq!(fusion.push(&other), in_case(2, Fate::Notified));
    assert_eq!(fusion.push(&with(301, "b", None, None, &["hash"])), in_case(1, Fate::Merged));
    assert_eq!(fusion.cases()[0].joined, [CaseId(2)]);
    assert_eq!(fusion.case(CaseId(2)).unwrap().id, CaseId(1));
    assert_eq!(fusion.push(&with(602, "d", Some("192.0.2.1"), None, &[])).case, Some(CaseId(3)));
    // One host is known, another address is stale in the same case: nothing new but the address's time.
    accounted(&fusion, &[]);
    let closed = fusion.close_until(602);
    assert_eq!(closed.iter().map(|case| case.id).collect::<Vec<_>>(), [CaseId(1)]);
    assert_eq!(fusion.case(CaseId(2)), None);
    accounted(&fusion, &closed);
    assert_eq!(fusion.push(&alert(602, "a", "scan")), in_case(4, Fate::Notified));
}

#[test]
fn a_case_that_is_over_is_never_taken_for_the_one_in_its_place() {
    let mut fusion = fusion();
    fusion.push(&alert(0, "a", "x"));
    assert_eq!(fusion.close_until(1000).len(), 1);
    assert_eq!(fusion.push(&alert(1, "b", "x")), in_case(2, Fate::Notified));
    // In time for the first case, had that not been closed.
    assert_eq!(fusion.push(&alert(2, "a", "x")), in_case(3, Fate::Notified));
    assert_eq!(fusion.cases().len(), 2);
}

#[test]
fn what_comes_back_to_a_long_case_is_not_listed_twice() {
    let mut fusion = fusion();
    for minute in 0..1000 {
        fusion.push(&alert(minute * 60, "web", "noise"));
        if minute % 10 == 0 {
            let back = Alert { ip: Some("192.0.2.1"), ..alert(minute * 60, "web", "scan") };
            let fate = fusion.push(&back).fate;
            assert_eq!(fate, Fate::Merged, "an episode of its own");
        }
    }
    let cases = fusion.cases();
    assert_eq!((cases.len(), cases[0].keys.len()), (1, 4));
    assert_eq!(fusion.counts().episodes, 101);
}

#[test]
fn a_higher_level_is_notified_and_grave_alerts_are_never_a_storm() {
    let mut fusion = fusion();
    let at = |level, name| Alert { level, ..alert(0, "web", name) };
    fusion.push(&at(Severity::Low, "scan"));
    assert_eq!(fusion.push(&at(Severity::Low, "scan")).fate, Fate::Merged);
    assert_eq!(fusion.push(&at(Severity::Medium, "scan")).fate, Fate::Notified);
    assert_eq!(fusion.push(&at(Severity::Medium, "scan")).fate, Fate::Merged);
    assert_eq!(fusion.push(&at(Severity::High, "scan")).fate, Fate::Notified);
    assert_eq!(fusion.cases()[0].level, Severity::High);
    let names: Vec<String> = (0..CASE_BURST + 10).map(|name| name.to_string()).collect();
    let fates: Vec<Fate> =
        names.iter().map(|name| fusion.push(&at(Severity::Low, name)).fate).collect();
    // Two exemplars were merged before.
    let merged = fates.iter().take_while(|fate| **fate == Fate::Merged).count();
    assert_eq!(merged as i64, CASE_BURST - 2);
    assert!(fates[merged..].iter().all(|fate| *fate == Fate::Suppressed(Reason::Storm)));
    assert_eq!(fusion.push(&at(Severity::High, "grave")).fate, Fate::Merged);
    // A gap later as many again.
    let later = |name| Alert { level: Severity::Low, ..alert(GAP_S, "web", name) };
    assert_eq!(fusion.push(&later("then")).fate, Fate::Merged);
    accounted(&fusion, &[]);
}

#[test]
fn a_flood_of_new_cases_is_limited_and_those_that_go_on_are_notified_later() {
    let mut fusion = fusion();
    let hosts: Vec<String> = (0..=NOTICE_BURST).map(|host| host.to_string()).collect();
    let fates: Vec<Fate> =
        hosts.iter().map(|host| fusion.push(&alert(0, host, "x")).fate).collect();
    assert!(fates[..NOTICE_BURST as usize].iter().all(|fate| *fate == Fate::Notified));
    assert_eq!(fates[NOTICE_BURST as usize], Fate::Suppressed(Reason::Limit));
    let grave = Alert { level: Severity::High, ..alert(0, "new", "x") };
    assert_eq!(fusion.push(&grave).fate, Fate::Notified);
    let last = hosts.last().unwrap();
    assert_eq!(fusion.push(&alert(0, last, "x")).fate, Fate::Suppressed(Reason::Limit));
    assert_eq!(fusion.push(&alert(200, last, "x")).fate, Fate::Notified);
    accounted(&fusion, &[]);
}

#[test]
fn late_alerts_and_those_from_ahead_are_suppressed_and_counted() {
    let mut fusion = fusion();
    fusion.push(&alert(1000, "web", "x"));
    let outside = |reason| Outcome { case: None, fate: Fate::Suppressed(reason) };
    assert_eq!(fusion.push(&alert(700, "web", "x")), in_case(1, Fate::Merged));
    assert_eq!(fusion.push(&alert(699, "web", "x")), outside(Reason::Late));
    fusion.tell_time(2000);
    assert_eq!(fusion.push(&alert(2301, "web", "x")), outside(Reason::Ahead));
    assert_eq!(fusion.push(&alert(i64::MAX, "web", "x")), outside(Reason::Ahead));
    // What is as far ahead as may be does not make punctual alerts late.
    assert_eq!(fusion.push(&alert(2300, "web", "x")).case, Some(CaseId(2)));
    assert!(fusion.push(&alert(2000, "web", "x")).case.is_some());
    assert_eq!(fusion.push(&alert(i64::MIN, "web", "x")), outside(Reason::Late));
    accounted(&fusion, &[]);
}

#[test]
fn a_wrong_joining_is_taken_back_and_stays_taken_back() {
    let mut fusion = fusion();
    let shared = Alert { ip: Some("192.0.2.1"), ..alert(10, "a", "x") };
    fusion.push(&shared);
    fusion.push(&alert(10, "b", "x"));
    fusion.push(&alert(10, "c", "x"));
    let before = fusion.cases();
    let first = fusion.join(CaseId(1), CaseId(2)).unwrap();
    let joined = fusion.cases();
    let second = fusion.join(CaseId(3), CaseId(2)).unwrap();
    assert_eq!(fusion.join(CaseId(3), CaseId(1)), None);
    assert_eq!(fusion.join(CaseId(3), CaseId(9)), None);
    assert_eq!(fusion.cases().len(), 1);
    let listed: Vec<_> = fusion.joinings().iter().map(|one| (one.id, one.by_operator)).collect();
    assert_eq!(listed, [(first, true), (second, true)]);
    assert_eq!(fusion.undo(second), Some((CaseId(1), CaseId(3))));
    assert_eq!(fusion.cases(), joined);
    assert_eq!(fusion.undo(second), None);
    assert_eq!(fusion.undo(first), Some((CaseId(1), CaseId(2))));
    assert_eq!(fusion.cases(), before);
    accounted(&fusion, &[]);
    // An alert that belongs to both does not join them again: it counts where its host was known.
    let both = Alert { ip: Some("192.0.2.1"), ..alert(20, "b", "x") };
    assert_eq!(fusion.push(&both).case, Some(CaseId(2)));
    assert_eq!(fusion.counts().unjoined, 1);
    assert_eq!(fusion.cases().len(), 3);
    // But an operator may.
    fusion.join(CaseId(1), CaseId(2)).unwrap();
    assert_eq!(fusion.push(&both).case, Some(CaseId(1)));
    accounted(&fusion, &[]);
}

#[test]
fn a_joining_in_the_middle_is_taken_back_without_those_after_it() {
    let mut fusion = fusion();
    for host in ["a", "b", "c", "d"] {
        fusion.push(&alert(0, host, "x"));
    }
    let middle = fusion.join(CaseId(1), CaseId(2)).unwrap();
    fusion.join(CaseId(3), CaseId(4)).unwrap();
    fusion.join(CaseId(2), CaseId(4)).unwrap();
    fusion.push(&alert(5, "b", "new"));
    fusion.push(&alert(5, "d", "new"));
    assert_eq!(fusion.cases().len(), 1);
    fusion.undo(middle).unwrap();
    let cases = fusion.cases();
    // The second case again, with what came in for it since; the other three stay one.
    let shape: Vec<_> = cases.iter().map(|case| (case.id.0, case.tally.received)).collect();
    assert_eq!(shape, [(1, 4), (2, 2)]);
    assert_eq!(cases[0].joined, [CaseId(3), CaseId(4)]);
    accounted(&fusion, &[]);
}

#[test]
fn what_is_told_apart_is_bounded() {
    let mut fusion = fusion();
    let hosts: Vec<String> = (0..=MAX_APART + 1).map(|host| host.to_string()).collect();
    hosts.iter().for_each(|host| {
        fusion.push(&alert(0, host, "x"));
    });
    for other in 2..2 + MAX_APART as u64 {
        let joining = fusion.join(CaseId(1), CaseId(other)).unwrap();
        assert!(fusion.undo(joining).is_some());
    }
    let more = fusion.join(CaseId(1), CaseId(2 + MAX_APART as u64)).unwrap();
    assert_eq!(fusion.undo(more), None);
    // The joining that could not be taken back still stands.
    assert_eq!(fusion.joinings().len(), 1);
    let again = fusion.join(CaseId(1), CaseId(2)).unwrap();
    assert!(fusion.undo(again).is_some(), "a pair that was told apart before");
    accounted(&fusion, &[]);
}

#[test]
fn a_full_case_gets_a_successor() {
    let mut fusion = fusion();
    // Grave: none is a storm. The host is one key, each name another.
    let names: Vec<String> = (0..MAX_KEYS).map(|name| name.to_string()).collect();
    let of = |fusion: &mut Fusion, name| {
        fusion.push(&Alert { level: Severity::High, ..alert(0, "web", name) })
    };
    for name in &names[..MAX_KEYS as usize - 1] {
        assert_eq!(of(&mut fusion, name).case, Some(CaseId(1)));
    }
    assert_eq!(of(&mut fusion, &names[MAX_KEYS as usize - 1]), in_case(2, Fate::Notified));
    assert_eq!(of(&mut fusion, "then").case, Some(CaseId(2)));
    let cases = fusion.cases();
    assert_eq!(cases.iter().map(|case| case.keys.len()).collect::<Vec<_>>(), [256, 3]);
    assert_eq!(fusion.join(CaseId(1), CaseId(2)), None, "they would list too much");
    accounted(&fusion, &[]);
}

#[test]
fn indicators_and_texts_are_cut_at_their_limits() {
    let mut fusion = fusion();
    let many: Vec<String> = (0..=MAX_INDICATORS).map(|at| at.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let of = |indicators| Alert { indicators, ..alert(0, "a", "x") };
    fusion.push(&of(&many[..MAX_INDICATORS]));
    assert_eq!(fusion.counts().cut, 0);
    fusion.push(&of(&many));
    assert_eq!(fusion.counts().cut, 1);
    let other = |host, at| Alert { indicators: &many[at..=at], ..alert(0, host, "x") };
    assert_eq!(fusion.push(&other("b", MAX_INDICATORS - 1)).case, Some(CaseId(1)));
    assert_eq!(fusion.push(&other("c", MAX_INDICATORS)).case, Some(CaseId(2)));
    // Twice the same indicator is one.
    fusion.push(&Alert { indicators: &["twice", "twice"], ..alert(0, "e", "x") });
    assert_eq!(fusion.cases()[2].keys.len(), 3);
    for text in 0..130 {
        let text = format!("twice {text}");
        let indicators = &[text.as_str(), &text];
        let twice = Alert { indicators, level: Severity::High, ..alert(0, "e", "x") };
        assert_eq!(fusion.push(&twice).case, Some(CaseId(3)), "it would be full");
    }
    let long = "é".repeat(MAX_TEXT_BYTES);
    fusion.push(&alert(0, &long, "x"));
    fusion.push(&alert(0, &long[..MAX_TEXT_BYTES], "x"));
    let last = fusion.cases().pop().unwrap();
    assert_eq!(last.tally.received, 2);
    assert_eq!(last.keys[0].1.len(), MAX_TEXT_BYTES);
}

#[test]
fn gaps_outside_of_the_limits_are_refused() {
    assert!(Fusion::new(0, 1).is_none());
    assert!(Fusion::new(1, 1).is_some());
    assert!(Fusion::new(MAX_GAP_S, 1).is_some());
    assert!(Fusion::new(MAX_GAP_S + 1, 1).is_none());
}

#[test]
fn cases_are_bounded_and_the_longest_quiet_are_evicted() {
    let mut fusion = Fusion::new(MAX_GAP_S, 1).unwrap();
    let room = MAX_CASES as i64 - 1;
    for host in 0..room {
        fusion.push(&alert(host, &host.to_string(), "x"));
    }
    assert_eq!((fusion.cases().len() as i64, fusion.counts().evicted), (room, 0));
    fusion.push(&alert(room, "one more", "x"));
    let counts = fusion.counts();
    assert_eq!(
        (counts.evicted, counts.evicted_alerts),
        (MAX_CASES as u64 / 8, MAX_CASES as u64 / 8)
    );
    let cases = fusion.cases();
    assert_eq!(cases[0].id, CaseId(1 + MAX_CASES as u64 / 8));
    accounted(&fusion, &[]);
    // Who was evicted is met as somebody new.
    let new = fusion.push(&alert(room, "0", "x")).case;
    assert_eq!(new, Some(CaseId(MAX_CASES as u64 + 1)));
}

#[test]
fn links_are_bounded() {
    let mut fusion = fusion();
    let mut texts = Vec::new();
    // Each alert brings a host, a name and sixteen indicators that nobody has seen.
    let alerts = MAX_LINKS / 18 + 2;
    for at in 0..alerts {
        texts.clear();
        texts.extend((0..MAX_INDICATORS).map(|indicator| format!("{at} {indicator}")));
        let indicators: Vec<&str> = texts.iter().map(String::as_str).collect();
        let host = at.to_string();
        fusion.push(&Alert { indicators: &indicators, ..alert(0, &host, "x") });
        if fusion.counts().evicted > 0 {
            assert!(at > MAX_LINKS / 18 - 3, "evicted at {at}");
            break;
        }
    }
    let counts = fusion.counts();
    assert_eq!(counts.evicted, counts.opened.div_ceil(8));
    accounted(&fusion, &[]);
}

/// What a test does to a stream.
#[derive(Clone, Debug)]
enum Step {
    Alert {
        pause: i64,
        host: u8,
        name: u8,
        ip: Option<u8>,
        user: Option<u8>,
        hash: Vec<u8>,
        level: usize,
    },
    Join(u64, u64),
    Undo(usize),
    Close,
}

fn steps(operator: bool) -> impl Strategy<Value = Vec<Step>> {
    let alert = (
        prop_oneof![Just(0_i64), 0_i64..20, -15_i64..30],
        (0_u8..6, 0_u8..3),
        (proptest::option::weighted(0.3, 0_u8..4), proptest::option::weighted(0.2, 0_u8..4)),
        proptest::collection::vec(0_u8..12, 0..2),
        0_usize..5,
    );
    let alert = alert.prop_map(|(pause, (host, name), (ip, user), hash, level)| Step::Alert {
        pause,
        host,
        name,
        ip,
        user,
        hash,
        level,
    });
    let weight = u32::from(operator);
    let step = prop_oneof![
        12 => alert,
        weight => (1_u64..30, 1_u64..30).prop_map(|(one, other)| Step::Join(one, other)),
        weight => (0_usize..8).prop_map(Step::Undo),
        weight => Just(Step::Close),
    ];
    proptest::collection::vec(step, 0..120)
}

/// Does the steps with a gap of 10 s; `each` sees the stream, what the step was and what it gave.
fn run(steps: &[Step], mut each: impl FnMut(&mut Fusion, Option<(&Alert<'_>, Outcome)>, &[Case])) {
    let mut fusion = Fusion::new(10, 1).unwrap();
    let mut closed = Vec::new();
    let mut time = 0;
    for step in steps {
        match step {
            Step::Alert { pause, host, name, ip, user, hash, level } => {
                time += pause;
                let [host, name] = [host, name].map(u8::to_string);
                let [ip, user] = [ip, user].map(|text| text.map(|text| text.to_string()));
                let hash: Vec<String> = hash.iter().map(u8::to_string).collect();
                let indicators: Vec<&str> = hash.iter().map(String::as_str).collect();
                let alert = Alert {
                    ip: ip.as_deref(),
                    user: user.as_deref(),
                    indicators: &indicators,
                    level: Severity::from_index(*level),
                    ..Alert::new(time, &host, &name)
                };
                let outcome = fusion.push(&alert);
                each(&mut fusion, Some((&alert, outcome)), &closed);
                continue;
            }
            Step::Join(one, other) => {
                let before = fusion.cases();
                if let Some(joining) = fusion.join(CaseId(*one), CaseId(*other)) {
                    assert_eq!(fusion.cases().len() + 1, before.len());
                    // Taken back at once, everything is as it was; then it is joined again.
                    fusion.undo(joining).unwrap();
                    assert_eq!(fusion.cases(), before);
                    fusion.join(CaseId(*one), CaseId(*other)).unwrap();
                }
            }
            Step::Undo(which) => {
                if let Some(joining) = fusion.joinings().get(*which) {
                    let cases = fusion.cases().len();
                    fusion.undo(joining.id).unwrap();
                    assert_eq!(fusion.cases().len(), cases + 1);
                }
            }
            Step::Close => closed.extend(fusion.close_until(time)),
        }
        each(&mut fusion, None, &closed);
    }
}

proptest! {
    #[test]
    fn the_accounting_holds_whatever_happens(steps in steps(true)) {
        run(&steps, |fusion, _, closed| accounted(fusion, closed));
    }

    /// The cases are the connected components: two alerts in a row that share something, with no longer
    /// pause than the gap, belong together.
    #[test]
    fn cases_are_the_connected_components(steps in steps(false)) {
        let mut last: HashMap<(Sort, String), (i64, usize)> = HashMap::new();
        let mut component: Vec<usize> = Vec::new();
        let mut cases: Vec<CaseId> = Vec::new();
        let mut end = None;
        run(&steps, |fusion, pushed, _| {
            let Some((alert, Outcome { case: Some(case), .. })) = pushed else { return };
            let this = component.len();
            component.push(this);
            cases.push(case);
            let mut keys = vec![(Sort::Host, alert.host)];
            keys.extend(alert.ip.map(|ip| (Sort::Ip, ip)));
            keys.extend(alert.user.map(|user| (Sort::User, user)));
            keys.extend(alert.indicators.iter().map(|hash| (Sort::Indicator, *hash)));
            for (sort, text) in keys {
                let seen = last.entry((sort, text.to_string())).or_insert((alert.time, this));
                if alert.time - seen.0 <= 10 {
                    let (from, to) = (component[seen.1], component[this]);
                    component.iter_mut().filter(|at| **at == from).for_each(|at| *at = to);
                    seen.0 = seen.0.max(alert.time);
                } else {
                    *seen = (alert.time, this);
                }
                seen.1 = this;
            }
            end = Some(cases.iter().map(|id| fusion.case(*id).unwrap().id).collect::<Vec<_>>());
        });
        let pairs: BTreeSet<(usize, CaseId)> =
            component.iter().copied().zip(end.into_iter().flatten()).collect();
        let components: BTreeSet<usize> = component.iter().copied().collect();
        let met: BTreeSet<CaseId> = pairs.iter().map(|pair| pair.1).collect();
        prop_assert_eq!(pairs.len(), components.len());
        prop_assert_eq!(pairs.len(), met.len());
    }

    #[test]
    fn the_same_alerts_give_the_same_outcomes(steps in steps(true)) {
        let told = |steps: &[Step]| {
            let mut told = Vec::new();
            run(steps, |fusion, pushed, _| {
                told.push((pushed.map(|(_, outcome)| outcome), fusion.cases(), fusion.counts()));
            });
            told
        };
        prop_assert_eq!(told(&steps), told(&steps));
    }

    /// Causal: what comes later does not change what was said.
    #[test]
    fn outcomes_do_not_look_ahead(steps in steps(true), keep in 0_usize..120) {
        let told = |steps: &[Step]| {
            let mut told = Vec::new();
            run(steps, |_, pushed, _| told.extend(pushed.map(|(_, outcome)| outcome)));
            told
        };
        let all = told(&steps);
        let some = told(&steps[..keep.min(steps.len())]);
        prop_assert_eq!(&all[..some.len()], &some[..]);
    }
}

/// How many runs there are of each key without a pause longer than the gap.
fn runs<K: Ord>(keys: impl Iterator<Item = (K, i64)>) -> u64 {
    let mut last: BTreeMap<K, i64> = BTreeMap::new();
    let mut runs = 0;
    for (key, time) in keys {
        match last.entry(key) {
            std::collections::btree_map::Entry::Vacant(new) => {
                runs += 1;
                new.insert(time);
            }
            std::collections::btree_map::Entry::Occupied(mut known) => {
                runs += u64::from(time - known.get() > GAP_S);
                known.insert(time);
            }
        }
    }
    runs
}

/// Fuses the alerts by host alone (in this corpus an address is the host's own), closing as it goes:
/// episodes and cases are as many as runs counted one by one.
fn fuse(name: &str, alerts: &[Alert<'_>]) -> (u64, u64) {
    let mut fusion = fusion();
    let started = std::time::Instant::now();
    let mut closed = Vec::new();
    let mut next = i64::MIN;
    for alert in alerts {
        if alert.time > next {
            closed.extend(fusion.close_until(alert.time));
            next = alert.time + GAP_S;
        }
        fusion.push(alert);
    }
    closed.extend(fusion.close_until(i64::MAX));
    let seconds = started.elapsed().as_secs_f64();
    accounted(&fusion, &closed);
    let Counts { episodes, opened, joined, unjoined, tally, .. } = fusion.counts();
    let cases = opened - joined;
    println!(
        "{name}: {} alerts, {episodes} episodes, {cases} cases ({unjoined} successors kept apart): \
         notified {}, merged {}, suppressed {:?}; {:.2} M alerts/s in this build",
        tally.received,
        tally.notified,
        tally.merged,
        Reason::ALL.iter().zip(tally.suppressed).collect::<Vec<_>>(),
        tally.received as f64 / seconds / 1e6,
    );
    assert_eq!(tally.received, alerts.len() as u64);
    assert_eq!(episodes, runs(alerts.iter().map(|alert| ((alert.host, alert.name), alert.time))));
    assert_eq!(cases, runs(alerts.iter().map(|alert| (alert.host, alert.time))));
    (episodes, cases)
}

#[test]
fn real_alerts_become_cases_and_every_one_is_accounted_for() {
    let Some(folder) = corpora::scenarios() else { return };
    let mut all = (0, 0, 0);
    for scenario in ["fox", "russellmitchell", "shaw", "wheeler"] {
        let path = folder.join(format!("{scenario}_alerts.csv.xz"));
        let output = Command::new("xz").arg("-dc").arg(path).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let rows: Vec<_> = text.lines().skip(1).map(|line| row::read(line).unwrap()).collect();
        let alerts: Vec<Alert<'_>> = rows
            .iter()
            .map(|row| {
                let alert = row.alert();
                Alert::new(alert.time, alert.host, alert.name)
            })
            .collect();
        let (episodes, cases) = fuse(scenario, &alerts);
        all = (all.0 + alerts.len(), all.1 + episodes, all.2 + cases);
    }
    println!("all: {} alerts, {} episodes, {} cases", all.0, all.1, all.2);
}
