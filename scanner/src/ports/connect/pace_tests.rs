use super::*;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);
const CAP: Duration = Duration::from_millis(1500);

#[test]
fn the_wait_is_that_of_rfc_6298_between_its_bounds() {
    let mut rtt = Rtt::default();
    assert_eq!(rtt.timeout(0, CAP), RTO_FIRST);
    rtt.sample(80 * MS);
    // 2.2: SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR.
    assert_eq!(rtt.timeout(0, CAP), 240 * MS);
    rtt.sample(120 * MS);
    // 2.3: RTTVAR = 3/4 · 40 + 1/4 · 40, SRTT = 7/8 · 80 + 1/8 · 120.
    assert_eq!(rtt.timeout(0, CAP), 85 * MS + 4 * (40 * MS));
    assert_eq!(rtt.timeout(1, CAP), 490 * MS, "doubled for each silence");
    assert_eq!(rtt.timeout(20, CAP), CAP);
    assert_eq!(rtt.timeout(0, 10 * MS), 10 * MS, "what the user wants holds");
    let mut near = Rtt::default();
    near.sample(Duration::from_micros(50));
    assert_eq!(near.timeout(0, CAP), RTO_MIN);
    let before = near.timeout(0, CAP);
    near.sample(SYN_REPEATED);
    assert_eq!(near.timeout(0, CAP), before, "Karn: it may be the answer to the repeated SYN");
}

#[test]
fn silence_alone_does_not_shrink_the_window_and_a_proven_loss_halves_it_once() {
    let mut pace = Pace::default();
    for _ in 0..30 {
        pace.sent();
        pace.answered(MS, MS, 0);
    }
    let grown = pace.window().size();
    assert_eq!(grown, WINDOW.0 + 30);
    for _ in 0..100 {
        pace.sent();
        pace.silent(true);
    }
    assert_eq!(pace.window().size(), grown);
    assert_eq!(pace.retries(1), 1);
    for _ in 0..5 {
        pace.sent();
        pace.answered(50 * MS, MS, 1);
    }
    assert_eq!(pace.window().size(), grown / 2, "five losses of one round trip are one");
    pace.sent();
    pace.answered(500 * MS, MS, 1);
    assert_eq!(pace.window().size(), grown / 4);
    assert_eq!((pace.retries(1), pace.retries(0)), (3, 0));
}

#[test]
fn a_host_that_never_answers_is_given_up_after_the_common_ports() {
    let mut pace = Pace::default();
    for _ in 0..500 {
        pace.sent();
        pace.silent(false);
        assert_eq!(pace.next(), Next::Port);
    }
    pace.sent();
    pace.silent(true);
    for left in (1..=TRIALS).rev() {
        assert_eq!(pace.breaker(), Breaker::Open(left));
        assert_eq!(pace.next(), Next::Port);
        pace.sent();
        assert_eq!(pace.next(), Next::Wait, "one at a time");
        pace.silent(true);
    }
    assert_eq!((pace.breaker(), pace.next()), (Breaker::GivenUp, Next::Nothing));
}

#[test]
fn an_answer_closes_the_breaker_and_the_window_starts_small() {
    let mut pace = Pace::default();
    for _ in 0..DEAD_AFTER {
        pace.sent();
        pace.silent(true);
    }
    assert_eq!(pace.breaker(), Breaker::Open(TRIALS));
    pace.sent();
    pace.answered(MS, MS, 0);
    assert_eq!((pace.breaker(), pace.window().size()), (Breaker::Closed, WINDOW_HALF_OPEN));
    pace.sent();
    pace.answered(MS, MS, 0);
    assert_eq!(pace.window().size(), WINDOW_HALF_OPEN + 1);
}

#[test]
fn a_host_that_drops_most_is_scanned_to_the_end_as_long_as_a_known_port_answers() {
    let mut pace = Pace::default();
    pace.sent();
    pace.answered(MS, MS, 0);
    let mut checks = 0;
    for _ in 0..65_000 {
        match pace.next() {
            Next::Port => {
                pace.sent();
                pace.silent(true);
            }
            Next::Known => {
                checks += 1;
                pace.sent();
                pace.answered(MS, MS, 0);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((300..=330).contains(&checks), "one in 200: {checks}");
    assert!(pace.window().size() >= WINDOW_UNSEEN);
    // It dies.
    let mut more = 0;
    while pace.next() != Next::Nothing {
        pace.sent();
        pace.silent(true);
        more += 1;
        assert!(more < 2 * BLOCK, "given up soon");
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_window_stays_in_bounds_and_silence_ends(
        events in proptest::collection::vec((0_u8..4, 0_u64..3000, 0_u32..3), 0..2000)
    ) {
        let mut pace = Pace::default();
        let mut now = Duration::ZERO;
        for (kind, took, silences) in events {
            now += MS;
            if kind == 0 && matches!(pace.next(), Next::Port | Next::Known) {
                pace.sent();
            } else if pace.window().in_flight() > 0 {
                match kind {
                    1 => pace.answered(now, Duration::from_millis(took), silences),
                    2 => pace.silent(took % 2 == 0),
                    _ => pace.unsent(),
                }
            }
            prop_assert!((1..=WINDOW.1).contains(&pace.window().size()));
            prop_assert!(pace.window().in_flight() <= WINDOW.1);
            let wait = pace.timeout(silences, CAP);
            prop_assert!((RTO_MIN..=CAP).contains(&wait));
        }
        let mut more = 0;
        loop {
            match pace.next() {
                Next::Nothing => break,
                Next::Wait => pace.silent(true),
                Next::Port | Next::Known => {
                    pace.sent();
                    pace.silent(true);
                }
            }
            more += 1;
            prop_assert!(more < 3 * BLOCK as usize + WINDOW.1);
        }
    }
}
