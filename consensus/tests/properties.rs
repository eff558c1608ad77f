//! What holds for every evidence, context and set of opinions.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use consensus::context::{Account, Change, Password, Pattern, Role, RulePast, Seen};
use consensus::networks::{Network, Networks};
use consensus::pool::{COST_OF_MISSING, EXACT, MAX_OPINIONS, pool, weigh};
use consensus::{
    Attack, Context, Evidence, Exposure, Kind, Model, Operator, Opinion, Panel, Past, Privilege,
    Proof, Service, Severity, SourceLine, Subject, Verdict,
};
use proptest::prelude::*;

const NO_CONTEXT: [u8; 32] = [0; 32];

fn level() -> impl Strategy<Value = Severity> {
    (0_usize..5).prop_map(Severity::from_index)
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Posture), Just(Kind::Service), Just(Kind::Patch), Just(Kind::Activity)]
}

fn privilege() -> impl Strategy<Value = Privilege> {
    prop_oneof![
        Just(Privilege::None),
        Just(Privilege::Information),
        Just(Privilege::Service),
        Just(Privilege::User),
        Just(Privilege::Root)
    ]
}

prop_compose! {
    fn evidence()(
        kind in kind(), level in level(), privilege in privilege(), direct in any::<bool>(),
        floor in proptest::option::of(level()),
        services in proptest::collection::vec("ssh|http|dns", 0..3),
        tags in proptest::collection::vec("attack\\.t1110|attack\\.t1110\\.001|attack\\.t1190", 0..3),
        lines in proptest::collection::vec((1_u32..50, "[a-z ]{0,12}"), 0..4),
        facts in proptest::collection::btree_map("[a-z]{1,4}", "[a-z]{0,6}", 0..4),
        ip in proptest::option::of("192\\.0\\.2\\.[12]"),
        user in proptest::option::of("alice|root"),
        (first, last) in any::<(Option<i64>, Option<i64>)>(),
    ) -> Evidence {
        let source = |(line, text)| SourceLine { file: "/etc/x".into(), line, column: 1, text };
        Evidence {
            check: "check".into(), key: String::new(), title: "title".into(), kind,
            proof: if direct { Proof::Direct } else { Proof::Inferred },
            level, floor, privilege, services,
            subject: Subject { ip, user, ..Subject::default() },
            sources: lines.into_iter().map(source).collect(),
            facts, tags, count: 1, first, last,
        }
    }
}

prop_compose! {
    fn attack()(
        service in "ssh|http|", rule in "rule-[ab]|check", count in any::<u64>(),
        sources in any::<u64>(), last in any::<i64>(), succeeded in any::<bool>(),
    ) -> Attack {
        Attack {
            service, rule, tags: vec!["attack.t1110".into()], count, sources, last, succeeded,
        }
    }
}

fn exposure() -> impl Strategy<Value = Exposure> {
    prop_oneof![
        Just(Exposure::Loopback),
        Just(Exposure::Private),
        Just(Exposure::Unknown),
        Just(Exposure::World)
    ]
}

/// Counts of the past; the evidence's own check among the rules.
fn past() -> impl Strategy<Value = Past> {
    let seen = || {
        let hours = proptest::array::uniform24(any::<u64>());
        (any::<u64>(), 0_u32..40, hours).prop_map(|(count, days, hours)| Seen {
            count,
            days,
            hours,
        })
    };
    let subject = "ip:192\\.0\\.2\\.[12]";
    let subjects = proptest::collection::btree_map(subject, seen(), 0..3);
    let rule = (seen(), subjects.clone(), any::<u64>())
        .prop_map(|(all, subjects, strangers)| RulePast { all, subjects, strangers });
    let rules = proptest::collection::btree_map("check|rule-a", rule, 0..3);
    let returned = proptest::collection::btree_map("check ", any::<u32>(), 0..2);
    (any::<u32>(), proptest::option::of(rules), proptest::option::of(subjects), returned)
        .prop_map(|(days, rules, logins, returned)| Past { days, rules, logins, returned })
}

prop_compose! {
    fn operator()(
        own in proptest::collection::vec(any::<(u32, u8)>(), 0..3),
        tor in proptest::collection::vec(any::<(u32, u8)>(), 0..3),
        role in proptest::option::of(prop_oneof![Just(Role::Web), Just(Role::Bastion)]),
        accepted in proptest::bool::ANY,
    ) -> Operator {
        let networks = |list: Vec<(u32, u8)>| -> Networks {
            let one = |(address, bits): (u32, u8)| {
                Network::new(std::net::Ipv4Addr::from(address).into(), bits % 33).unwrap()
            };
            list.into_iter().map(one).collect::<Vec<_>>().into()
        };
        let pattern = Pattern { check: "check".into(), user: None, network: None, path: None };
        Operator {
            role,
            own_networks: networks(own.clone()),
            monitoring: networks(own),
            scanners: networks(tor.clone()),
            tor: networks(tor),
            accepted: accepted.then_some(pattern).into_iter().collect(),
        }
    }
}

prop_compose! {
    /// What is known of the host itself.
    fn host()(
        accounts in proptest::option::of(proptest::collection::btree_map(
            "alice|root",
            (any::<u32>(), any::<bool>(), proptest::option::of(any::<i64>()))
                .prop_map(|(uid, login_shell, password_days)| Account {
                    uid, login_shell, password_days, password: Some(Password::Sound),
                }),
            0..3)),
        changes in proptest::option::of(proptest::collection::vec(
            ("path:/etc/x|path:/etc/passwd", any::<i64>(), any::<bool>())
                .prop_map(|(subject, at, by_package)| Change { subject, at, by_package }),
            0..20)),
        programs in proptest::option::of(proptest::collection::btree_set("sudo|php", 0..2)),
        crowd in any::<u64>(),
    ) -> Context {
        Context {
            accounts, changes, programs,
            addresses_named: [("check".to_string(), crowd)].into(),
            ..Context::default()
        }
    }
}

prop_compose! {
    fn context()(
        host in host(), past in proptest::option::of(past()), operator in operator(),
        now in any::<i64>(), services_known in any::<bool>(), logs_known in any::<bool>(),
        reach in proptest::collection::btree_map("ssh|http|dns", exposure(), 0..3),
        attacks in proptest::collection::vec(attack(), 0..5),
        mentions in proptest::collection::btree_map(
            "ip:192\\.0\\.2\\.[12]",
            proptest::collection::btree_set("rule-[a-d]|check", 0..4), 0..3),
        new_subjects in proptest::option::of(
            proptest::collection::btree_set("ip:192\\.0\\.2\\.[12]", 0..2)),
    ) -> Context {
        let service = |exposure| Service {
            exposure, because: "bound".into(), ports: vec![22], uid: None,
        };
        Context {
            now, services_known, logs_known, attacks, mentions, new_subjects,
            services: reach.into_iter().map(|(name, reach)| (name, service(reach))).collect(),
            past, operator, ..host
        }
    }
}

fn opinion(expert: &str, distribution: [f64; 5], confidence: f64, rationale: &str) -> Opinion {
    Opinion {
        expert: expert.into(),
        distribution,
        confidence,
        rationale: rationale.into(),
        sources: Vec::new(),
        facts: Vec::new(),
    }
}

/// Opinions of different experts, each with words of its own; built-in names among them.
fn opinions() -> impl Strategy<Value = Vec<Opinion>> {
    let one = (proptest::array::uniform5(0.01_f64..1.0), 0.0_f64..=1.0);
    proptest::collection::vec(one, 1..9).prop_map(|all| {
        let built_in = ["declared", "exposure", "attack"];
        let named = |(place, (weights, confidence)): (usize, ([f64; 5], f64))| {
            let name = built_in.get(place).map_or(format!("outside{place}"), ToString::to_string);
            let reason = format!("reason{place}");
            opinion(&name, weights, confidence, &reason).checked().expect("positive weights")
        };
        all.into_iter().enumerate().map(named).collect()
    })
}

/// Any bits at all, as a careless program outside might send them.
fn odd_opinion() -> impl Strategy<Value = Opinion> {
    (".{0,4}", proptest::array::uniform5(any::<f64>()), any::<f64>(), ".{0,12}")
        .prop_map(|(expert, weights, confidence, why)| opinion(&expert, weights, confidence, &why))
}

fn is_sound(verdict: &Verdict, evidence: &Evidence) -> Result<(), TestCaseError> {
    let sum: f64 = verdict.probabilities.values().sum();
    prop_assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    prop_assert_eq!(verdict.probabilities.len(), 5);
    prop_assert!(verdict.probabilities.values().all(|p| (0.0..=1.0).contains(p)));
    prop_assert!((0.0..=1.0).contains(&verdict.agreement));
    prop_assert!(verdict.dissent.iter().all(|d| d.weight >= 0.0 && d.weight <= 1.0));
    if let Some(floor) = evidence.floor {
        prop_assert!(verdict.severity >= floor);
        let below: f64 = verdict.probabilities.range(..floor).map(|(_, p)| p).sum();
        prop_assert_eq!(below, 0.0);
    }
    prop_assert_eq!(verdict.trace.len(), 32);
    Ok(())
}

proptest! {
    #[test]
    fn verdicts_are_sound_and_replay_to_the_same_bytes(e in evidence(), c in context()) {
        let first = Panel::cold().judge(&e, &c);
        is_sound(&first, &e)?;
        let again = Panel::cold().judge_all(std::slice::from_ref(&e), &c);
        prop_assert_eq!(
            serde_json::to_vec(&first).unwrap(),
            serde_json::to_vec(&again[0]).unwrap()
        );
        let elsewhere = std::thread::scope(|scope| {
            scope.spawn(|| Panel::cold().judge(&e, &c)).join().unwrap()
        });
        prop_assert_eq!(&first, &elsewhere);
    }

    #[test]
    fn threads_change_nothing(
        all in proptest::collection::vec(evidence(), 0..12), c in context(), threads in 0_usize..6,
    ) {
        let panel = Panel::cold();
        prop_assert_eq!(panel.judge_on(threads, &all, &c), panel.judge_all(&all, &c));
    }

    #[test]
    fn the_order_of_the_parts_does_not_matter(mut e in evidence(), mut c in context()) {
        let first = Panel::cold().judge(&e, &c);
        e.sources.reverse();
        e.services.reverse();
        e.tags.reverse();
        c.attacks.reverse();
        c.changes.iter_mut().for_each(|changes| changes.reverse());
        prop_assert_eq!(first, Panel::cold().judge(&e, &c));
    }

    #[test]
    fn the_order_of_opinions_does_not_matter(
        e in evidence(),
        (all, mixed) in opinions().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        prop_assert_eq!(pool(&e, &NO_CONTEXT, all, &Model::cold()), pool(&e, &NO_CONTEXT, mixed, &Model::cold()));
    }

    #[test]
    fn raising_an_opinion_never_lowers_the_verdict(
        e in evidence(), all in opinions(),
        who in any::<prop::sample::Index>(), from in 0_usize..4, share in 0.0_f64..=1.0,
        copied in any::<bool>(),
    ) {
        let mut all = all;
        if copied {
            all.iter_mut().for_each(|one| one.rationale = "One story told by all".into());
        }
        let mut raised = all.clone();
        let one = &mut raised[who.index(all.len())];
        let moved = one.distribution[from] * share;
        one.distribution[from] -= moved;
        one.distribution[from + 1] += moved;
        let before = pool(&e, &NO_CONTEXT, all, &Model::cold());
        let after = pool(&e, &NO_CONTEXT, raised, &Model::cold());
        prop_assert!(after.severity >= before.severity);
        for level in Severity::ALL {
            let or_worse = |v: &Verdict| v.probabilities.range(level..).map(|(_, p)| p).sum::<f64>();
            prop_assert!(or_worse(&after) >= or_worse(&before) - 2e-6);
        }
    }

    #[test]
    fn copies_weigh_as_one(
        e in evidence(), all in opinions(), n in 2_usize..12,
        weights in proptest::array::uniform5(0.01_f64..1.0), confidence in 0.01_f64..=1.0,
    ) {
        let copy = |place: usize| {
            opinion(&format!("copy{place:02}"), weights, confidence, "The same Story, told again")
        };
        let once = [all.clone(), vec![copy(0)]].concat();
        let often: Vec<_> = all.into_iter().chain((0..n).map(copy)).collect();
        let once = pool(&e, &NO_CONTEXT, once, &Model::cold());
        let often = pool(&e, &NO_CONTEXT, often, &Model::cold());
        prop_assert_eq!(once.severity, often.severity);
        prop_assert_eq!(once.probabilities, often.probabilities);
        prop_assert!((once.agreement - often.agreement).abs() < 1e-9);
    }

    #[test]
    fn the_explanation_adds_up_to_the_decision(e in evidence(), all in opinions()) {
        let mut sorted = all;
        sorted.sort_by(|a, b| a.expert.cmp(&b.expert));
        let weighing = weigh(&e, &sorted, &Model::cold());
        let why = weighing.explain(e.level);
        let sum = why.prior + why.caution + why.parts.iter().sum::<i64>();
        prop_assert_eq!(sum, why.margin);
        prop_assert_eq!(why.margin > 0, weighing.decided > why.worse_than);
    }

    /// Voices that may lower never do so for what was done and is grave; only a pattern of the
    /// operator's may, and a routine of many days.
    #[test]
    fn what_was_done_and_is_grave_is_not_talked_down(
        e in evidence(), mut c in context(), critical in any::<bool>(),
    ) {
        let facts = [("success".to_string(), "true".to_string())].into();
        let level = if critical { Severity::Critical } else { Severity::High };
        let e = Evidence { kind: Kind::Activity, level, facts, ..e };
        c.operator.accepted.clear();
        let careful = ["known-good", "noise", "credentials", "rarity", "preconditions", "hours"];
        for opinion in Panel::only(&careful).judge(&e, &c).opinions {
            let below: f64 = opinion.distribution[..level.index()].iter().sum();
            prop_assert!(below <= 0.5, "{:?}", opinion);
            prop_assert!(opinion.level() >= level, "{:?}", opinion);
        }
    }

    /// The level decided is the one whose expected loss is smallest.
    #[test]
    fn the_decision_costs_least(all in opinions(), e in evidence()) {
        let e = Evidence { floor: None, proof: Proof::Direct, ..e };
        let verdict = pool(&e, &NO_CONTEXT, all, &Model::cold());
        let loss = |said: Severity| -> f64 {
            verdict.probabilities.iter().map(|(truth, p)| {
                let steps = truth.index() as f64 - said.index() as f64;
                p * if steps > 0.0 { COST_OF_MISSING * steps } else { -steps }
            }).sum()
        };
        for other in Severity::ALL {
            prop_assert!(loss(verdict.severity) <= loss(other) + 1e-4);
        }
    }

    /// What the certificate says is what trying every combination of wrong experts finds, and never
    /// more where some copy each other.
    #[test]
    fn so_many_experts_may_be_wrong_as_is_said(
        e in evidence(), all in opinions(), copied in any::<bool>(),
    ) {
        let mut all = all;
        if copied {
            all.iter_mut().take(3).for_each(|one| one.rationale = "One story told by all".into());
        }
        let verdict = pool(&e, &NO_CONTEXT, all.clone(), &Model::cold());
        let groups: Vec<u32> = (0..verdict.opinions.len()).map(|at| 1 << at).collect();
        let tried = survived(&e, &verdict, &groups);
        if copied {
            prop_assert!(verdict.stands_without_experts <= tried);
        } else {
            prop_assert_eq!(verdict.stands_without_experts, tried);
        }
    }

    #[test]
    fn so_many_sources_may_be_forged_as_is_said(
        e in evidence(), all in opinions(),
        named in proptest::collection::vec(proptest::collection::btree_set("[a-d]", 0..3), 9),
    ) {
        let mut all = all;
        for (one, named) in all.iter_mut().zip(named) {
            one.sources = named.into_iter().collect();
        }
        let verdict = pool(&e, &NO_CONTEXT, all, &Model::cold());
        let opinions = &verdict.opinions;
        let mut groups: Vec<u32> = (0..opinions.len())
            .filter(|at| opinions[*at].sources.is_empty())
            .map(|at| 1 << at)
            .collect();
        for source in ["a", "b", "c", "d"] {
            let rests = |at: &usize| opinions[*at].sources.iter().any(|named| named == source);
            let group = (0..opinions.len()).filter(rests).fold(0, |mask, at| mask | 1 << at);
            if group != 0 {
                groups.push(group);
            }
        }
        let tried = survived(&e, &verdict, &groups);
        if groups.len() <= EXACT {
            prop_assert_eq!(verdict.stands_without_sources, tried);
        } else {
            prop_assert!(verdict.stands_without_sources <= tried);
        }
    }

    /// Above the number that is tried out the certificate is a bound: greedy liars never beat it.
    #[test]
    fn with_many_experts_the_certificate_is_never_exceeded(
        e in evidence(), all in proptest::collection::vec(opinions(), 2..5),
    ) {
        let mut all: Vec<Opinion> = all.concat();
        for (place, one) in all.iter_mut().enumerate() {
            one.expert = format!("outside{place:02}");
            one.rationale = format!("reason{place}");
        }
        let verdict = pool(&e, &NO_CONTEXT, all.clone(), &Model::cold());
        for level in [0, 4] {
            let mut order: Vec<usize> = (0..all.len()).collect();
            let said = |at: &usize| verdict.opinions[*at].level().index().abs_diff(level);
            order.sort_by_key(|at| std::cmp::Reverse(said(at)));
            let mut lying = verdict.opinions.clone();
            for at in order.into_iter().take(verdict.stands_without_experts) {
                lie(&mut lying[at], level);
            }
            let after = pool(&e, &NO_CONTEXT, lying, &Model::cold());
            prop_assert_eq!(after.severity, verdict.severity);
        }
    }

    #[test]
    fn the_set_holds_the_verdict_and_most_of_the_probability(e in evidence(), all in opinions()) {
        let verdict = pool(&e, &NO_CONTEXT, all, &Model::cold());
        let [low, high] = verdict.set;
        prop_assert!((low..=high).contains(&verdict.severity));
        let held: f64 = verdict.probabilities.range(low..=high).map(|(_, p)| p).sum();
        prop_assert!(held >= 0.9 - 1e-9, "{held}");
    }

    #[test]
    fn what_is_only_inferred_needs_three_voices_of_two_sources(
        e in evidence(), all in opinions(), one_source in any::<bool>(),
    ) {
        let e = Evidence { proof: Proof::Inferred, floor: None, ..e };
        let mut all = all;
        all.retain(|one| one.confidence > 0.0);
        if one_source {
            all.iter_mut().for_each(|one| one.sources = vec!["a".into()]);
        }
        let few = all.len() < 3 || one_source;
        let verdict = pool(&e, &NO_CONTEXT, all, &Model::cold());
        if few {
            prop_assert!(verdict.severity <= Severity::Medium);
        } else {
            prop_assert_eq!(verdict.capped, None);
        }
        prop_assert!(verdict.capped.is_none_or(|was| was > verdict.severity && verdict.needs_human));
    }

    #[test]
    fn odd_opinions_never_panic_and_are_named(
        e in evidence(), odd in proptest::collection::vec(odd_opinion(), 0..6), all in opinions(),
    ) {
        let bad = odd.iter().filter(|o| (*o).clone().checked().is_err()).count();
        let verdict = pool(&e, &NO_CONTEXT, [odd, all].concat(), &Model::cold());
        is_sound(&verdict, &e)?;
        let named = verdict.reasons.iter().filter(|line| line.starts_with("ignored: opinion")).count();
        prop_assert_eq!(named, bad);
    }
}

/// The opinion with all its weight on one level.
fn lie(opinion: &mut Opinion, level: usize) {
    opinion.distribution = [0.0; 5];
    opinion.distribution[level] = 1.0;
    opinion.confidence = 1.0;
}

/// How many groups, whichever they are, may lie without changing the severity, by trying them all.
fn survived(e: &Evidence, verdict: &Verdict, groups: &[u32]) -> usize {
    let mut most = groups.len();
    for chosen in 1_u32..1 << groups.len() {
        let size = chosen.count_ones() as usize;
        if size > most {
            continue;
        }
        let wrong = groups
            .iter()
            .enumerate()
            .filter(|(at, _)| chosen >> at & 1 == 1)
            .fold(0, |all, (_, group)| all | group);
        for level in 0..5 {
            let mut lying = verdict.opinions.clone();
            for (_, one) in lying.iter_mut().enumerate().filter(|(at, _)| wrong >> at & 1 == 1) {
                lie(one, level);
            }
            if pool(e, &NO_CONTEXT, lying, &Model::cold()).severity != verdict.severity {
                most = most.min(size - 1);
            }
        }
    }
    most
}

#[test]
fn a_verdict_that_one_expert_could_change_says_how() {
    let e = sample();
    let says = |name: &str, level: usize| {
        let mut distribution = [0.0; 5];
        distribution[level] = 1.0;
        opinion(name, distribution, 1.0, name)
    };
    let verdict = pool(&e, &NO_CONTEXT, vec![says("a", 3)], &Model::cold());
    assert_eq!(verdict.stands_without_experts, 0);
    for line in &verdict.would_change {
        let (becomes, rest) = line.split_once(" if a said ").unwrap();
        let level: Severity = rest.split_once(", not high").unwrap().0.parse().unwrap();
        let after = pool(&e, &NO_CONTEXT, vec![says("a", level.index())], &Model::cold());
        assert_eq!(after.severity.name(), becomes);
        assert_ne!(after.severity, verdict.severity);
    }
    assert!(!verdict.would_change.is_empty());
    let many: Vec<Opinion> = ["a", "b", "c", "d", "f", "g"].map(|name| says(name, 4)).into();
    let firm = pool(&e, &NO_CONTEXT, many, &Model::cold());
    assert!(firm.stands_without_experts >= 1 && firm.would_change.is_empty(), "{firm:?}");
}

#[test]
fn a_stranger_brings_one_source_however_many_it_names() {
    let e = Evidence { proof: Proof::Inferred, ..sample() };
    let named = |n: usize, sources: &[&str]| Opinion {
        sources: sources.iter().map(ToString::to_string).collect(),
        ..opinion(&format!("e{n}"), [0.0, 0.0, 0.0, 0.0, 1.0], 1.0, &format!("r{n}"))
    };
    let boasting: Vec<_> = (0..3).map(|n| named(n, &["a", "b", "c"])).collect();
    assert_eq!(pool(&e, &NO_CONTEXT, boasting, &Model::cold()).severity, Severity::Medium);
    let apart = vec![named(0, &["a"]), named(1, &["b"]), named(2, &["a"])];
    assert!(pool(&e, &NO_CONTEXT, apart, &Model::cold()).severity > Severity::Medium);
}

#[test]
fn however_many_say_high_it_is_no_worse_than_high() {
    let high =
        |n: usize| opinion(&format!("e{n}"), [0.0, 0.0, 0.0, 1.0, 0.0], 1.0, &format!("r{n}"));
    let verdict = pool(&sample(), &NO_CONTEXT, (0..200).map(high).collect(), &Model::cold());
    assert_eq!(verdict.severity, Severity::High);
}

#[test]
fn strangers_with_reasons_of_their_own_all_count() {
    let e = Evidence { floor: None, ..sample() };
    let high =
        |n: usize| opinion(&format!("e{n}"), [0.0, 0.0, 0.0, 1.0, 0.0], 1.0, &format!("r{n}"));
    let one = weigh(&e, &[high(0)], &Model::cold());
    let two = weigh(&e, &[high(0), high(1)], &Model::cold());
    assert!(two.sums[2] > one.sums[2]);
}

#[test]
fn contradiction_is_shown_and_given_to_a_human() {
    let e = sample();
    let says = |name: &str, level: usize| {
        let mut distribution = [0.0; 5];
        distribution[level] = 1.0;
        opinion(name, distribution, 1.0, name)
    };
    let torn = pool(&e, &NO_CONTEXT, vec![says("a", 0), says("b", 4)], &Model::cold());
    assert!(torn.needs_human, "{torn:?}");
    assert!(torn.agreement < 0.01, "{}", torn.agreement);
    assert_eq!(torn.dissent.len(), 2);
    assert!((torn.dissent[0].weight - 0.5).abs() < 1e-9);
    let united: Vec<Opinion> = ["a", "b", "c", "d"].map(|name| says(name, 2)).into();
    let united = pool(&e, &NO_CONTEXT, united, &Model::cold());
    assert!(!united.needs_human && united.dissent.is_empty());
    assert_eq!(united.agreement, 1.0);
}

#[test]
fn an_expert_speaks_once_and_the_gravest_word_counts() {
    let e = sample();
    let low = opinion("a", [0.0, 1.0, 0.0, 0.0, 0.0], 1.0, "x");
    let high = opinion("a", [0.0, 0.0, 0.0, 1.0, 0.0], 1.0, "y");
    let both = pool(&e, &NO_CONTEXT, vec![low.clone(), high.clone()], &Model::cold());
    let alone = pool(&e, &NO_CONTEXT, vec![high], &Model::cold());
    assert_eq!(both.probabilities, alone.probabilities);
    assert!(both.reasons.iter().any(|line| line == "ignored: a second opinion of `a`"));
    assert_eq!(pool(&e, &NO_CONTEXT, vec![low.clone(), low], &Model::cold()).opinions.len(), 1);
}

#[test]
fn at_most_so_many_opinions_are_pooled() {
    let e = sample();
    let crowd = |n: usize| -> Vec<Opinion> {
        (0..n).map(|i| opinion(&format!("e{i:04}"), [0.2; 5], 0.5, &format!("r{i}"))).collect()
    };
    let full = pool(&e, &NO_CONTEXT, crowd(MAX_OPINIONS), &Model::cold());
    assert_eq!(full.opinions.len(), MAX_OPINIONS);
    assert!(!full.reasons.iter().any(|line| line.starts_with("ignored")));
    let over = pool(&e, &NO_CONTEXT, crowd(MAX_OPINIONS + 1), &Model::cold());
    assert_eq!(over.opinions.len(), MAX_OPINIONS);
    assert!(over.reasons.iter().any(|line| line.starts_with("ignored: 1 opinions")));
}

fn sample() -> Evidence {
    Evidence {
        check: "check".into(),
        key: String::new(),
        title: "title".into(),
        kind: Kind::Posture,
        proof: Proof::Direct,
        level: Severity::Medium,
        floor: None,
        privilege: Privilege::User,
        services: Vec::new(),
        subject: Subject::default(),
        sources: Vec::new(),
        facts: Default::default(),
        tags: vec!["attack.t1110".into()],
        count: 1,
        first: None,
        last: None,
    }
}
