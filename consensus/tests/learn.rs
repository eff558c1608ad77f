//! What clicks teach, and what no number of them may do.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use Severity::{Critical, High, Low, Medium};
use consensus::learn::{
    CLICKS_MAX, Click, DAY_CLICKS, EXPERTS_MAX, LINE_BYTES_MAX, LOG_BYTES_MAX, Log, OPINIONS_MAX,
    STEP_NATS, Said, Word, learn,
};
use consensus::likelihood::NAT;
use consensus::{
    Attack, Context, Evidence, Exposure, Kind, Model, Panel, Privilege, Proof, Service, Severity,
    Subject, experts,
};
use proptest::prelude::*;

const NOW: i64 = 1_700_000_000;
const DAY: i64 = 86_400;
const KINDS: [Kind; 4] = [Kind::Posture, Kind::Service, Kind::Patch, Kind::Activity];

fn said(expert: &str, level: Severity) -> Said {
    let mut distribution = [0.0; 5];
    distribution[level.index()] = 1.0;
    Said { expert: expert.into(), distribution, confidence: 1.0 }
}

fn click(trace: u32, word: Word, opinions: Vec<Said>) -> Click {
    Click {
        time: NOW - 60,
        operator: 1000,
        trace: format!("{trace:032x}"),
        finding: String::new(),
        word,
        kind: Kind::Activity,
        severity: High,
        shown: 1.0,
        opinions,
        note: String::new(),
    }
}

fn log(clicks: Vec<Click>) -> Log {
    Log { folded: None, clicks }
}

/// Largest move of any log-likelihood ratio or prior between two models, in nats.
fn distance(a: &Model, b: &Model, names: &[String]) -> f64 {
    let tables = names.iter().flat_map(|name| {
        let (left, right) = (a.of(name).0.as_flattened(), b.of(name).0.as_flattened());
        left.iter().zip(right).map(|(a, b)| a.abs_diff(*b)).collect::<Vec<_>>()
    });
    let shifts = KINDS.into_iter().flat_map(|kind| {
        let (left, right) = (a.shift(kind), b.shift(kind));
        left.into_iter().zip(right).map(|(a, b)| a.abs_diff(b)).collect::<Vec<_>>()
    });
    tables.chain(shifts).max().unwrap_or(0) as f64 / NAT as f64
}

fn names() -> Vec<String> {
    let built_in = experts::all();
    let mut names: Vec<String> = built_in.iter().map(|expert| expert.name().to_string()).collect();
    names.extend(["outside:a".to_string(), "outside:b".to_string()]);
    names
}

fn any_level() -> impl Strategy<Value = Severity> {
    (0_usize..5).prop_map(Severity::from_index)
}

fn any_word() -> impl Strategy<Value = Word> {
    prop_oneof![Just(Word::Dismiss), Just(Word::Confirm), any_level().prop_map(Word::Severity)]
}

fn any_said() -> impl Strategy<Value = Said> {
    let distribution = prop_oneof![
        any_level().prop_map(|level| said("", level).distribution),
        proptest::array::uniform5(0.01_f64..1.0),
    ];
    (proptest::sample::select(names()), distribution, 0.0_f64..=1.0)
        .prop_map(|(expert, distribution, confidence)| Said { expert, distribution, confidence })
}

fn any_click() -> impl Strategy<Value = Click> {
    let case = (any_word(), any_level(), proptest::sample::select(KINDS.to_vec()), 0.0_f64..=1.0);
    (case, 0_u32..40, 1000_u32..1003, -200 * DAY..DAY, proptest::collection::vec(any_said(), 0..6))
        .prop_map(|((word, severity, kind, shown), trace, operator, ago, opinions)| Click {
            time: NOW + ago,
            operator,
            severity,
            kind,
            shown,
            ..click(trace, word, opinions)
        })
}

fn any_log() -> impl Strategy<Value = Vec<Click>> {
    proptest::collection::vec(any_click(), 0..60)
}

#[test]
fn an_expert_that_stands_in_a_click_many_times_counts_once() {
    let many = vec![said("known-good", Low); OPINIONS_MAX];
    let (once, often) =
        (click(1, Word::Dismiss, vec![many[0].clone()]), click(1, Word::Dismiss, many));
    let model = |click| learn(&log(vec![click]), NOW).model();
    assert_eq!(distance(&model(once), &model(often.clone()), &names()), 0.0);
    assert!(distance(&Model::cold(), &model(often), &names()) <= STEP_NATS + 1e-5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn one_more_click_moves_nothing_further_than_the_step(before in any_log(), mut one in any_click()) {
        one.time = NOW + 2 * DAY; // as of now, and behind all others
        one.trace = "ffff".into();
        let mut after = before.clone();
        after.push(one);
        let (old, new) = (learn(&log(before), NOW), learn(&log(after), NOW));
        let moved = distance(&old.model(), &new.model(), &names());
        prop_assert!(moved <= STEP_NATS + 1e-5, "{moved}");
    }

    #[test]
    fn a_click_alone_moves_the_cold_model_no_further_than_the_step(one in any_click()) {
        let moved = distance(&Model::cold(), &learn(&log(vec![one]), NOW).model(), &names());
        prop_assert!(moved <= STEP_NATS + 1e-5, "{moved}");
    }

    #[test]
    fn replay_is_identical_and_order_means_nothing(clicks in any_log(), seed in any::<prop::sample::Index>()) {
        let whole = learn(&log(clicks.clone()), NOW);
        prop_assert_eq!(&whole, &learn(&log(clicks.clone()), NOW));
        let mut turned = clicks.clone();
        if !turned.is_empty() {
            let by = seed.index(turned.len());
            turned.rotate_left(by);
        }
        prop_assert_eq!(&whole, &learn(&log(turned), NOW));
        let (read, unread) = Log::read(log(clicks).text().as_bytes()).unwrap();
        prop_assert_eq!(unread.count, 0);
        prop_assert_eq!(&whole, &learn(&read, NOW), "bit for bit through the file");
    }

    #[test]
    fn hostile_logs_give_finite_models(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (read, _) = Log::read(&bytes).unwrap();
        learn(&read, NOW).model();
    }

    #[test]
    fn a_strangers_cap_rises_with_hits_only(clicks in any_log()) {
        let wrong: Vec<Click> = clicks
            .into_iter()
            .map(|mut click| {
                // One clear level, and never the truth.
                let truth = click.truth();
                click.opinions = vec![said("outside:a", if truth == Critical { Low } else { Critical })];
                click
            })
            .collect();
        let cold = Model::cold().of("outside:a").1;
        prop_assert_eq!(learn(&log(wrong), NOW).model().of("outside:a").1, cold);
    }
}

#[test]
fn hits_raise_a_strangers_cap() {
    let confirm = |n| click(n, Word::Confirm, vec![said("outside:a", High)]);
    let cap = |clicks: u32| {
        learn(&log((0..clicks).map(confirm).collect()), NOW).model().of("outside:a").1
    };
    assert!(cap(0) < cap(1) && cap(1) < cap(10), "{} {} {}", cap(0), cap(1), cap(10));
}

#[test]
fn the_log_decides_the_digest() {
    let one = vec![click(1, Word::Dismiss, vec![said("declared", High)])];
    let mut other = one.clone();
    other[0].opinions[0].confidence = 0.5;
    let digests = [
        learn(&log(one.clone()), NOW).digest,
        learn(&log(one), NOW + 1).digest,
        learn(&log(other), NOW).digest,
        learn(&Log::default(), NOW).digest,
    ];
    for (at, digest) in digests.iter().enumerate() {
        assert!(!digests[..at].contains(digest), "{at}");
    }
}

#[test]
fn a_later_word_of_the_same_operator_replaces_the_earlier_and_two_operators_both_count() {
    let dismissed = click(1, Word::Dismiss, vec![said("declared", High)]);
    let confirmed = Click { time: NOW - 30, word: Word::Confirm, ..dismissed.clone() };
    let both = learn(&log(vec![dismissed.clone(), confirmed.clone()]), NOW);
    let only = learn(&log(vec![confirmed.clone()]), NOW);
    assert_eq!((both.clicks, both.replaced), (1, 1));
    assert_eq!(both.counts, only.counts);
    let two = learn(&log(vec![dismissed, Click { operator: 0, ..confirmed }]), NOW);
    assert_eq!((two.clicks, two.replaced), (2, 0));
    let record = two.records["declared"];
    assert_eq!((record.recent.hits, record.recent.misses), (1, 1));
}

#[test]
fn clicks_fade_and_the_future_counts_as_of_now() {
    let at = |time| {
        let one = Click { time, ..click(1, Word::Confirm, vec![said("declared", High)]) };
        learn(&log(vec![one]), NOW).counts["declared"][3][3]
    };
    assert_eq!(at(NOW + 1_000 * DAY), at(NOW));
    assert!((at(NOW - 180 * DAY) - at(NOW) / 2.0).abs() < 1e-12);
    assert!(at(i64::MIN) == 0.0);
}

#[test]
fn seldom_shown_cases_weigh_more_up_to_tenfold() {
    let low = |shown| {
        let one = Click { shown, ..click(1, Word::Confirm, vec![said("outside:a", High)]) };
        let learnt = learn(&log(vec![one]), NOW);
        (learnt.counts["outside:a"][3][3], learnt.shifts)
    };
    assert!(low(0.5).0 >= low(1.0).0);
    assert_eq!(low(0.0), low(0.1));
    assert_eq!(low(f64::NAN), low(1.0));
}

#[test]
fn of_one_operator_a_bounded_number_counts_each_day() {
    let confirm = |n: usize| {
        let n = u32::try_from(n).unwrap();
        Click {
            time: NOW - 600 + i64::from(n),
            ..click(n, Word::Confirm, vec![said("declared", High)])
        }
    };
    let learnt = |clicks: usize| learn(&log((0..clicks).map(confirm).collect()), NOW);
    let (most, more) = (learnt(DAY_CLICKS), learnt(DAY_CLICKS + 1));
    assert_eq!((most.clicks, most.beyond), (DAY_CLICKS as u64, 0));
    assert_eq!((more.clicks, more.beyond), (DAY_CLICKS as u64, 1));
    assert_eq!(most.counts, more.counts);
}

#[test]
fn experts_beyond_the_bound_are_left_out() {
    let named = |count: usize| {
        let clicks = (0..count)
            .map(|n| {
                let operator = u32::try_from(n).unwrap();
                let opinions = vec![said(&format!("outside:{n:04}"), High)];
                Click { operator, ..click(operator, Word::Confirm, opinions) }
            })
            .collect();
        learn(&log(clicks), NOW).counts.len()
    };
    assert_eq!(named(EXPERTS_MAX), EXPERTS_MAX);
    assert_eq!(named(EXPERTS_MAX + 1), EXPERTS_MAX);
}

#[test]
fn the_trend_is_recent_hits_against_those_before() {
    let at = |n: u32, days: i64, word| Click {
        time: NOW - days * DAY,
        ..click(n, word, vec![said("declared", High)])
    };
    let mut clicks = vec![at(1, 60, Word::Confirm), at(2, 60, Word::Confirm)];
    assert_eq!(learn(&log(clicks.clone()), NOW).records["declared"].trend(), None);
    clicks.extend([at(3, 1, Word::Dismiss), at(4, 1, Word::Confirm)]);
    assert_eq!(learn(&log(clicks), NOW).records["declared"].trend(), Some(-0.5));
}

/// Grave cases of every kind, each in its context.
fn grave() -> Vec<(Evidence, Context)> {
    let base = Evidence {
        check: "ssh-permit-root-login".into(),
        key: String::new(),
        title: "Root may log in over SSH".into(),
        kind: Kind::Posture,
        proof: Proof::Direct,
        level: High,
        floor: None,
        privilege: Privilege::Root,
        services: vec!["ssh".into()],
        subject: Subject { ip: Some("192.0.2.7".into()), ..Subject::default() },
        sources: Vec::new(),
        facts: Default::default(),
        tags: vec!["attack.t1110".into()],
        count: 1,
        first: None,
        last: None,
    };
    let service = Service {
        exposure: Exposure::World,
        because: "0.0.0.0".into(),
        ports: vec![22],
        uid: Some(0),
    };
    let attack = Attack {
        service: "ssh".into(),
        rule: "ssh-brute-force".into(),
        tags: vec!["attack.t1110".into()],
        count: 300,
        sources: 20,
        last: NOW - 60,
        succeeded: true,
    };
    let mentions = [("ip:192.0.2.7".to_string(), ["a", "b", "c"].map(String::from).into())].into();
    let context = Context {
        now: NOW,
        services_known: true,
        services: [("ssh".to_string(), service)].into(),
        logs_known: true,
        attacks: vec![attack],
        mentions,
        ..Context::default()
    };
    let context = Context { new_subjects: Some(["ip:192.0.2.7".to_string()].into()), ..context };
    let floor =
        Evidence { check: "empty".into(), level: Critical, floor: Some(Critical), ..base.clone() };
    let break_in = Evidence {
        check: "ssh-success-after-failures".into(),
        kind: Kind::Activity,
        proof: Proof::Inferred,
        level: Critical,
        count: 31,
        first: Some(NOW - 600),
        last: Some(NOW - 60),
        ..base.clone()
    };
    let patch =
        Evidence { check: "patch".into(), kind: Kind::Patch, level: Critical, ..base.clone() };
    let listener =
        Evidence { check: "socket".into(), kind: Kind::Service, level: Critical, ..base.clone() };
    [base, floor, break_in, patch, listener].map(|one| (one, context.clone())).to_vec()
}

/// One operator dismisses, a thousand times in a day, exactly the cases that matter most.
fn flood(word: Word) -> Vec<Click> {
    let cold = Panel::cold();
    let mut clicks = Vec::new();
    for round in 0..200_u32 {
        for (evidence, context) in grave() {
            let verdict = cold.judge(&evidence, &context);
            let number = u32::try_from(clicks.len()).unwrap();
            clicks.push(Click {
                time: NOW - 86_000 + i64::from(round),
                kind: evidence.kind,
                severity: verdict.severity,
                shown: 0.0,
                opinions: verdict.opinions.iter().map(Said::from).collect(),
                ..click(number, word, Vec::new())
            });
        }
    }
    clicks
}

#[test]
fn one_operator_cannot_turn_the_panel_blind_in_a_day() {
    let all = flood(Word::Dismiss);
    // All at once, and all of the budget on the one kind of case that is to be hidden.
    let floods = KINDS.map(|kind| all.iter().filter(|c| c.kind == kind).cloned().collect());
    for clicks in floods.into_iter().chain([all]) {
        let panel = Panel::with(learn(&log(clicks), NOW).model());
        for (evidence, context) in grave() {
            let before = Panel::cold().judge(&evidence, &context).severity;
            assert!(before >= High, "{}: {before}", evidence.check);
            let after = panel.judge(&evidence, &context).severity;
            assert!(after >= High, "{}: {before} became {after}", evidence.check);
            assert!(evidence.floor.is_none_or(|floor| after >= floor));
        }
    }
}

#[test]
fn a_floor_holds_after_a_year_of_dismissals() {
    let a_day: Vec<Click> = flood(Word::Dismiss).into_iter().take(DAY_CLICKS).collect();
    let mut clicks = Vec::new();
    for day in 0..365 {
        for (n, one) in a_day.iter().enumerate() {
            let trace = format!("{day}-{n}");
            clicks.push(Click { time: NOW - day * DAY, trace, ..one.clone() });
        }
    }
    let learnt = learn(&log(clicks), NOW);
    assert_eq!(learnt.clicks, 365 * DAY_CLICKS as u64);
    let panel = Panel::with(learnt.model());
    for (evidence, context) in grave() {
        let verdict = panel.judge(&evidence, &context);
        assert!(evidence.floor.is_none_or(|floor| verdict.severity >= floor), "{}", evidence.check);
    }
}

#[test]
fn many_operators_over_weeks_do_teach() {
    // What is dismissed by several people day after day becomes milder: else feedback would be for show.
    let evidence = Evidence {
        kind: Kind::Activity,
        proof: Proof::Inferred,
        level: Medium,
        services: Vec::new(),
        ..grave().remove(0).0
    };
    let verdict = Panel::cold().judge(&evidence, &Context::default());
    let opinions: Vec<Said> = verdict.opinions.iter().map(Said::from).collect();
    let mut clicks = Vec::new();
    for (day, operator, n) in
        (0..30).flat_map(|day| (1..4).flat_map(move |who| (0..8).map(move |n| (day, who, n))))
    {
        clicks.push(Click {
            time: NOW - day * DAY,
            operator,
            trace: format!("{day}-{operator}-{n}"),
            kind: evidence.kind,
            severity: verdict.severity,
            ..click(0, Word::Dismiss, opinions.clone())
        });
    }
    let learnt =
        Panel::with(learn(&log(clicks), NOW).model()).judge(&evidence, &Context::default());
    assert!(learnt.severity < verdict.severity, "{} {}", learnt.severity, verdict.severity);
}

#[test]
fn what_cannot_be_read_is_counted_and_the_rest_is_used() {
    let good = Log::line(&click(1, Word::Severity(Low), vec![said("declared", High)]));
    let text = format!("{good}{{\"click\":\n\n{good}nonsense\n{}", &good[..40]);
    let (read, unread) = Log::read(text.as_bytes()).unwrap();
    assert_eq!(read.clicks.len(), 2);
    assert_eq!((unread.count, unread.lines), (3, vec![2, 5, 6]));
}

#[test]
fn lines_logs_and_opinions_are_bounded() {
    let with = |opinions: usize| {
        let opinions = (0..opinions).map(|_| said("declared", High)).collect();
        Log::read(Log::line(&click(1, Word::Confirm, opinions)).as_bytes()).unwrap().0.clicks.len()
    };
    assert_eq!((with(OPINIONS_MAX), with(OPINIONS_MAX + 1)), (1, 0));
    let padded = |to: usize| {
        let line = Log::line(&click(1, Word::Confirm, Vec::new()));
        let line = line.trim_end();
        let padded = format!("{line}{}", " ".repeat(to - line.len() - 1));
        Log::read(format!("{padded}\t").as_bytes()).unwrap().0.clicks.len()
    };
    assert_eq!((padded(LINE_BYTES_MAX), padded(LINE_BYTES_MAX + 1)), (1, 0));
    assert!(Log::read(&vec![b'\n'; LOG_BYTES_MAX]).is_ok());
    assert!(Log::read(&vec![b'\n'; LOG_BYTES_MAX + 1]).is_err());
}

#[test]
fn a_log_goes_back_to_where_it_was() {
    let clicks: Vec<Click> = (0..5).map(|n| click(n, Word::Confirm, Vec::new())).collect();
    let whole = log(clicks.clone());
    assert_eq!(whole.position(), 5);
    assert_eq!(whole.cut(3), Some(log(clicks[..3].to_vec())));
    assert_eq!(whole.cut(6), None);
}

#[test]
fn a_full_log_folds_its_older_days_and_teaches_the_same() {
    let clicks = |count: usize| -> Vec<Click> {
        (0..count)
            .map(|n| {
                let n = i64::try_from(n).unwrap();
                let word = if n % 3 == 0 { Word::Dismiss } else { Word::Confirm };
                let trace = format!("{n}");
                let opinions = vec![said("declared", High), said("outside:a", Medium)];
                Click { time: NOW - 200 * DAY + n * 1_700, trace, ..click(0, word, opinions) }
            })
            .collect()
    };
    let mut full = log(clicks(CLICKS_MAX));
    assert_eq!(full.fold(NOW), 0);
    let mut over = log(clicks(CLICKS_MAX + 1));
    let before = learn(&over, NOW);
    assert!(over.fold(NOW) > 0);
    let after = learn(&over, NOW);
    assert_eq!(over.position(), CLICKS_MAX as u64 + 1);
    assert_eq!((before.clicks, before.beyond), (after.clicks, after.beyond));
    assert_ne!(before.digest, after.digest, "it is told that something was folded");
    assert!(distance(&before.model(), &after.model(), &names()) < 1e-5);
    let (read, unread) = Log::read(over.text().as_bytes()).unwrap();
    assert_eq!((&read, unread.count), (&over, 0));
    assert_eq!(over.cut(1), None, "what was folded cannot be taken apart");
    assert_eq!(after.records, before.records);
}

#[test]
fn a_flood_of_one_day_is_dropped_down_to_what_counts() {
    let mut flooded = log((0..u32::try_from(CLICKS_MAX).unwrap() + 1)
        .map(|n| click(n, Word::Dismiss, vec![said("declared", High)]))
        .collect());
    let before = learn(&flooded, NOW);
    flooded.fold(NOW);
    let after = learn(&flooded, NOW);
    assert_eq!(flooded.clicks.len(), DAY_CLICKS);
    assert_eq!((before.beyond, before.counts), (after.beyond, after.counts));
    assert_eq!(flooded.position(), CLICKS_MAX as u64 + 1);
}
