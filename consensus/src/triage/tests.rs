use super::clicks::{Answer, Click};
use super::*;

fn run(alerts: &[(i64, &str, &str)]) -> (Vec<Window>, Counts) {
    let mut triage = Triage::new(300).unwrap();
    let mut out = Vec::new();
    for &(time, host, name) in alerts {
        triage.push(&Alert { time, host, name, title: name }, &mut out);
    }
    let counts = triage.finish(&mut out);
    (out, counts)
}

/// A quiet past of 1,000 windows.
fn quiet() -> Vec<(i64, &'static str, &'static str)> {
    (0..1_000).map(|number| (number * 300, "web", "A: usual")).collect()
}

#[test]
fn windows_are_aligned_to_the_epoch_and_in_order() {
    let (out, _) = run(&[(-1, "b", "x"), (299, "b", "x"), (0, "a", "x"), (300, "a", "x")]);
    let seen: Vec<_> = out.iter().map(|w| (w.host.as_str(), w.start, w.end, w.alerts)).collect();
    assert_eq!(seen, [("b", -300, 0, 1), ("a", 0, 300, 1), ("b", 0, 300, 1), ("a", 300, 600, 1)]);
}

#[test]
fn late_alerts_join_an_open_window_and_are_counted_after_it() {
    let (out, counts) = run(&[(310, "a", "x"), (305, "a", "x"), (299, "a", "x")]);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].alerts, 2);
    let expected = Counts { received: 3, judged: 2, out_of_order: 1, late: 1, ..Counts::default() };
    assert_eq!(counts, expected);
}

#[test]
fn what_comes_later_changes_no_earlier_window() {
    let mut alerts = quiet();
    alerts.push((300_000, "web", "A: odd"));
    let (before, _) = run(&alerts);
    alerts.extend([(300_300, "web", "B: odder"), (300_600, "db", "A: odd")]);
    let (after, _) = run(&alerts);
    assert_eq!(before[..], after[..before.len()]);
}

const ODD: [&str; 4] = ["A: one", "A: two", "B: three", "B: four"];

#[test]
fn rare_names_rank_above_what_is_usual() {
    let mut alerts = quiet();
    alerts.extend(ODD.map(|name| (300_000, "web", name)));
    let (out, _) = run(&alerts);
    let last = out.last().unwrap();
    assert!(last.severity >= Severity::High && out[999].severity == Severity::Info);
    assert_eq!(last.reasons[0], "A: one (x1): never seen before");
    assert_eq!(out[999].reasons, ["A: usual (x1): nothing unusual here"]);
    assert!((last.probabilities.values().sum::<f64>() - 1.0).abs() < 1e-9);
}

#[test]
fn names_that_always_come_together_count_once() {
    let mut together = quiet();
    let mut apart = quiet();
    for number in 0..3 {
        together.extend([(number * 30_000, "web", "one"), (number * 30_000, "web", "two")]);
        apart.extend([(number * 30_000, "web", "one"), (number * 30_000 + 15_000, "web", "two")]);
    }
    let score = |mut alerts: Vec<_>| {
        alerts.extend([(300_000, "web", "one"), (300_000, "web", "two")]);
        alerts.sort_by_key(|alert| alert.0);
        run(&alerts).0.last().unwrap().score
    };
    assert!(score(apart) > score(together) + 0.05);
}

/// An attack that lasts for days, from its first window to its last.
fn attack(names: &[&'static str]) -> Vec<Window> {
    let mut alerts = quiet();
    for number in 1_000..1_864 {
        alerts.extend(names.iter().map(|name| (number * 300, "web", *name)));
        alerts.push((number * 300, "db", "A: usual"));
    }
    let (out, _) = run(&alerts);
    out.into_iter().filter(|window| window.start >= 300_000 && window.host == "web").collect()
}

#[test]
fn an_attack_stays_ranked_while_it_lasts() {
    for names in [&ODD[..], &ODD[..1]] {
        let days = attack(names);
        assert_eq!(days.len(), 864);
        let first = days[0].score;
        assert!(days.iter().all(|window| window.score >= first), "{names:?}");
        assert!(first > 0.4 && days.last().unwrap().severity >= Severity::Low);
        assert!(days[1].reasons[0].ends_with("goes on, and was rare when it began"));
    }
}

#[test]
fn what_lasts_beyond_the_horizon_is_how_things_are() {
    let week = Model { horizon_s: 86_400, ..Model::default() };
    let mut alerts = quiet();
    alerts.extend((1_000..2_000).map(|number| (number * 300, "web", "A: one")));
    let mut triage = Triage::with_model(300, week).unwrap();
    let mut out = Vec::new();
    for (time, host, name) in alerts {
        triage.push(&Alert { time, host, name, title: name }, &mut out);
    }
    triage.finish(&mut out);
    assert!(out[1_288].score > 0.3 && out[1_289].score < 0.2, "{}", out[1_289].score);
}

#[test]
fn after_an_attack_anything_rare_weighs_more() {
    let mut alerts = quiet();
    alerts.extend(["db", "dns"].map(|host| (300_000, host, "A: usual")));
    let mut attacked = alerts.clone();
    attacked.extend(ODD.map(|name| (300_000, "db", name)));
    attacked.extend(ODD.map(|name| (300_000, "dns", name)));
    let score = |mut alerts: Vec<_>| {
        alerts.push((300_600, "web", "C: other"));
        run(&alerts).0.pop().unwrap()
    };
    let (calm, wary) = (score(alerts), score(attacked));
    assert!(wary.score > calm.score + 0.05);
    assert!(wary.reasons.contains(&"other windows were suspicious shortly before".to_string()));
}

#[test]
fn the_same_rare_name_on_many_hosts_is_worse() {
    let mut alone = quiet();
    alone.push((300_000, "web", "A: odd"));
    let mut many = alone.clone();
    many.extend(["db", "dns", "mail"].map(|host| (300_001, host, "A: odd")));
    let score = |alerts: &[_]| {
        let (out, _) = run(alerts);
        out.iter().find(|w| w.start == 300_000 && w.host == "web").unwrap().score
    };
    assert!(score(&many) > score(&alone));
}

fn clicked(clicks: &[(&str, i64, Answer)], alerts: &[(i64, &str, &str)]) -> (Vec<Window>, Counts) {
    let mut all = Clicks::default();
    for &(host, start, answer) in clicks {
        assert!(all.add(Click { host: host.into(), start, answer }));
    }
    let mut triage = Triage::new(300).unwrap().with_clicks(all);
    let mut out = Vec::new();
    for &(time, host, name) in alerts {
        triage.push(&Alert { time, host, name, title: name }, &mut out);
    }
    let counts = triage.finish(&mut out);
    (out, counts)
}

#[test]
fn clicks_re_rank_what_comes_after_them_and_nothing_before() {
    let mut alerts = quiet();
    // Two days apart, so that the second is an event of its own.
    for time in [300_000, 472_800] {
        alerts.extend(ODD.map(|name| (time, "web", name)));
    }
    let (plain, _) = run(&alerts);
    for (answer, better) in [(Answer::Confirm, false), (Answer::Dismiss, true)] {
        let clicks = [("web", 300_000, answer), ("db", 300_000, answer), ("db", 1, answer)];
        let (out, counts) = clicked(&clicks, &alerts);
        assert_eq!(out[..1_001], plain[..1_001], "not even the clicked one");
        let (now, then) = (&out[1_001], &plain[1_001]);
        assert_eq!(now.score < then.score, better, "{answer:?}");
        assert_eq!(counts.clicks_left, 2, "there are no such windows");
    }
}

#[test]
fn hostile_texts_and_times_are_bounded() {
    let long = "é".repeat(1_000);
    let (out, counts) = run(&[(i64::MIN, &long, &long), (0, "", ""), (i64::MAX, "a", "b")]);
    assert_eq!((out.len(), counts.judged), (3, 3));
    assert!(out[0].host.len() <= MAX_TEXT_BYTES && out.iter().all(|w| w.score.is_finite()));
    assert!(Triage::new(0).is_none() && Triage::new(MAX_WINDOW_S + 1).is_none());
    assert!(Triage::new(MAX_WINDOW_S).is_some());
}

type Made = Vec<(i64, String, String)>;

fn borrowed(alerts: &Made) -> Vec<(i64, &str, &str)> {
    alerts.iter().map(|(time, host, name)| (*time, host.as_str(), name.as_str())).collect()
}

fn made(most: usize) -> impl proptest::strategy::Strategy<Value = Made> {
    proptest::collection::vec((-20_000_i64..20_000, "[abc]", "[a-e]"), 0..most)
}

proptest::proptest! {
    #[test]
    fn every_alert_is_accounted_for(alerts in made(200)) {
        let (out, counts) = run(&borrowed(&alerts));
        proptest::prop_assert_eq!(counts.received, counts.judged + counts.late + counts.beyond);
        proptest::prop_assert_eq!(out.iter().map(|w| w.alerts).sum::<u64>(), counts.judged);
        proptest::prop_assert!(out.iter().all(|w| w.score.is_finite() && w.score >= 0.0));
    }

    #[test]
    fn the_order_within_a_window_does_not_matter(mut alerts in made(200)) {
        alerts.sort_by_key(|alert| alert.0.div_euclid(300));
        let (out, counts) = run(&borrowed(&alerts));
        proptest::prop_assert_eq!(counts.late, 0);
        alerts.sort_by(|a, b| {
            (a.0.div_euclid(300), &b.2, &b.1, b.0).cmp(&(b.0.div_euclid(300), &a.2, &a.1, a.0))
        });
        proptest::prop_assert_eq!(out, run(&borrowed(&alerts)).0);
    }

    #[test]
    fn what_comes_after_changes_nothing_before(
        mut past in made(100), mut rest in made(100), mut other in made(100)
    ) {
        past.iter_mut().for_each(|alert| alert.0 -= 40_200);
        for alerts in [&mut past, &mut rest, &mut other] {
            alerts.sort_by_key(|alert| alert.0);
        }
        let before = run(&borrowed(&past)).0;
        for later in [rest, other] {
            let all: Made = past.iter().cloned().chain(later).collect();
            proptest::prop_assert_eq!(&run(&borrowed(&all)).0[..before.len()], &before[..]);
        }
    }
}

#[test]
fn memory_is_bounded_at_the_limits_of_one_window() {
    let mut triage = Triage::new(300).unwrap();
    let mut out = Vec::new();
    let mut push = |host: usize, name: usize| {
        let (host, name) = (host.to_string(), name.to_string());
        triage.push(&Alert { time: 0, host: &host, name: &name, title: &name }, &mut out);
        triage.counts()
    };
    let full = (0..MAX_HOSTS).map(|host| push(host, 0)).last().unwrap();
    assert_eq!((full.judged, full.beyond), (MAX_HOSTS as u64, 0));
    assert_eq!(push(MAX_HOSTS, 0).beyond, 1, "one host too many");
    for name in 1..MAX_PAIRS / MAX_HOSTS {
        for host in 0..MAX_HOSTS {
            push(host, name);
        }
    }
    assert_eq!(push(0, 0).beyond, 2, "all pairs are taken");
    assert_eq!(triage.pairs, MAX_PAIRS);
    let counts = triage.finish(&mut out);
    assert_eq!(counts.received, counts.judged + counts.late + counts.beyond);
    assert_eq!(out.len(), MAX_HOSTS);
}
