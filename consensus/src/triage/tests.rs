use super::*;

fn run(alerts: &[(i64, &str, &str)]) -> (Vec<Window>, Counts) {
    let mut triage = Triage::new(300).unwrap();
    let mut out = Vec::new();
    for &(time, host, name) in alerts {
        triage.push(&Alert { time, host, name }, &mut out);
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

#[test]
fn rare_names_of_two_detectors_rank_above_what_is_usual() {
    let mut alerts = quiet();
    alerts.extend(["A: one", "A: two", "B: three"].map(|name| (300_000, "web", name)));
    let (out, _) = run(&alerts);
    let last = out.last().unwrap();
    assert!(last.severity >= Severity::High && out[999].severity == Severity::Info);
    assert!(last.reasons.iter().any(|reason| reason.contains("several detectors")));
    assert_eq!(out[999].reasons, ["A: usual (x1): nothing unusual here"]);
    assert!((last.probabilities.values().sum::<f64>() - 1.0).abs() < 1e-9);
}

#[test]
fn an_attack_stays_ranked_while_it_lasts() {
    let mut alerts = quiet();
    // Three days of the same three names.
    for number in 1_000..1_864 {
        alerts.extend(["A: one", "A: two", "B: three"].map(|name| (number * 300, "web", name)));
    }
    let (out, _) = run(&alerts);
    let usual = out[999].score;
    assert!(out.last().unwrap().score > usual + 0.2);
    let warned = out[1_000..1_024].iter().filter(|w| w.severity >= Severity::Medium).count();
    assert_eq!(warned, 24, "the first two hours");
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

#[test]
fn hostile_texts_and_times_are_bounded() {
    let long = "é".repeat(1_000);
    let (out, counts) = run(&[(i64::MIN, &long, &long), (0, "", ""), (i64::MAX, "a", "b")]);
    assert_eq!((out.len(), counts.judged), (3, 3));
    assert!(out[0].host.len() <= MAX_TEXT_BYTES && out.iter().all(|w| w.score.is_finite()));
    assert!(Triage::new(0).is_none() && Triage::new(MAX_WINDOW_S + 1).is_none());
    assert!(Triage::new(MAX_WINDOW_S).is_some());
}

proptest::proptest! {
    #[test]
    fn every_alert_is_accounted_for(
        alerts in proptest::collection::vec((-2_000_i64..2_000, "[abc]", "[a-e]"), 0..200)
    ) {
        let alerts: Vec<_> = alerts.iter().map(|(t, h, n)| (*t, h.as_str(), n.as_str())).collect();
        let (out, counts) = run(&alerts);
        proptest::prop_assert_eq!(counts.received, counts.judged + counts.late + counts.beyond);
        proptest::prop_assert_eq!(out.iter().map(|w| w.alerts).sum::<u64>(), counts.judged);
    }
}
