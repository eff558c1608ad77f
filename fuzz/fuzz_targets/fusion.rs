//! Alerts into cases, with an operator who joins and takes back: everything adds up whatever comes.
#![no_main]

use consensus::Severity;
use consensus::fusion::{Alert, CaseId, Fusion, Reason};
use libfuzzer_sys::fuzz_target;
use wardmote_fuzz::timed;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let text = String::from_utf8_lossy(data);
        let mut fusion = Fusion::new(10, 1).expect("a valid gap");
        let mut closed = 0;
        for line in text.lines() {
            closed += step(&mut fusion, line);
            let counts = fusion.counts();
            assert!(counts.tally.holds());
        }
        let cases = fusion.cases();
        assert!(cases.iter().all(|case| case.tally.holds()));
        let counts = fusion.counts();
        let outside: u64 = [Reason::Late, Reason::Ahead]
            .map(|at| counts.tally.suppressed[at as usize])
            .iter()
            .sum();
        let inside: u64 = cases.iter().map(|case| case.tally.received).sum();
        assert_eq!(counts.tally.received, inside + closed + outside + counts.evicted_alerts);
        assert_eq!(
            cases.len() as u64,
            counts.opened - counts.joined - counts.closed - counts.evicted
        );
    });
});

/// One line: `time,host,name,ip,user,indicator…` is an alert, and some first words are an operator's.
/// Gives the number of alerts of the cases that it closed.
fn step(fusion: &mut Fusion, line: &str) -> u64 {
    let fields: Vec<&str> = line.split(',').collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<i64>().ok());
    match fields[0] {
        "join" => {
            let case = |at| CaseId(number(at).unwrap_or_default().cast_unsigned());
            fusion.join(case(1), case(2));
        }
        "undo" => {
            let at = number(1).unwrap_or_default().cast_unsigned() as usize;
            if let Some(joining) = fusion.joinings().get(at) {
                assert!(fusion.undo(joining.id).is_some());
            }
        }
        "now" => fusion.tell_time(number(1).unwrap_or_default()),
        "close" => {
            let closed = fusion.close_until(number(1).unwrap_or_default());
            return closed.iter().map(|case| case.tally.received).sum();
        }
        _ => {
            let field = |at: usize| fields.get(at).copied().filter(|field| !field.is_empty());
            fusion.push(&Alert {
                time: number(0).unwrap_or_default(),
                host: field(1).unwrap_or_default(),
                name: field(2).unwrap_or_default(),
                ip: field(3),
                user: field(4),
                indicators: fields.get(5..).unwrap_or_default(),
                level: Severity::from_index(line.len() % 5),
            });
        }
    }
    0
}
