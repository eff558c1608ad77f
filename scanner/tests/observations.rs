//! What is told of logs over time: each thing once, with its place, and nothing of a log in which nothing
//! happens.
#![allow(clippy::unwrap_used)] // helpers of tests too

use std::fmt::Write;

use consensus::Severity;
use jiff::tz::TimeZone;
use parsers::time::Clock;
use scanner::RootedTree;
use scanner::logs::checkpoint::Checkpoint;
use scanner::logs::conceal::Concealer;
use scanner::logs::features::{Baseline, Observed, Observer, SOURCES_MAX, TOLD_MAX};
use scanner::logs::templates::known::OTHER_PROGRAMS;
use scanner::logs::templates::{
    BUCKET_TEMPLATES_MAX, Census, PROGRAM_TEMPLATES_MAX, PROGRAMS_MAX, TEMPLATES_MAX,
};
use scanner::logs::{Detection, SweepOptions, SweepOutcome, content, source, sweep};

/// 2024-05-01T00:00:00Z
const MAY: i64 = 1_714_521_600;
const HOUR: i64 = 3_600;

fn stamp(at: i64) -> String {
    jiff::Timestamp::from_second(at).unwrap().to_string()
}

/// A quiet log: cron every ten minutes, a mail server in between.
fn quiet(from: i64, hours: i64) -> String {
    let mut text = String::new();
    for at in (from..from + hours * HOUR).step_by(600) {
        let _ = writeln!(text, "{} h CRON[7]: (root) CMD (true)", stamp(at));
        let _ = writeln!(
            text,
            "{} h postfix/qmgr[8]: {:X}: removed",
            stamp(at + 77 + at % 91),
            0xABCD_1234_i64 + at
        );
    }
    text
}

fn told(text: &str, baseline: Option<Baseline>, rules: &[Detection]) -> Observed {
    let mut observer = Observer::new(baseline);
    let clock = Clock::new(TimeZone::UTC, 2024);
    let source = observer.source("/var/log/syslog", clock, 0);
    observer.merge(source, &Census::of_part(text.as_bytes(), 0));
    observer.finish(rules, &Concealer::default())
}

fn titles(observed: &Observed) -> Vec<&str> {
    observed.detections.iter().map(|detection| detection.title.as_str()).collect()
}

#[test]
fn a_quiet_log_tells_nothing() {
    assert_eq!(titles(&told(&quiet(MAY, 72), None, &[])), [""; 0]);
}

#[test]
fn a_new_message_is_told_from_the_second_sweep_on() {
    let first = told(&quiet(MAY, 48), None, &[]);
    let mut text = quiet(MAY + 48 * HOUR, 3);
    let lines = text.lines().count() as u64;
    let _ = writeln!(
        text,
        "{} h CRON[9]: (root) RELOAD of crontabs from 192.0.2.7",
        stamp(MAY + 51 * HOUR)
    );
    let _ = writeln!(text, "{} h implant[9]: hello", stamp(MAY + 51 * HOUR));
    let known = Baseline::from_text(&first.baseline.to_text());
    assert_eq!(known.as_ref(), Some(&first.baseline));
    let second = told(&text, known.clone(), &[]);
    assert_eq!(
        titles(&second),
        [
            "cron wrote a new message: (root) RELOAD of crontabs from <ip>",
            "implant logged for the first time"
        ]
    );
    let sample = &second.detections[0].samples[0];
    assert_eq!((sample.path.as_str(), sample.line), ("/var/log/syslog", lines + 1));
    assert_eq!(sample.time, Some(MAY + 51 * HOUR));
    assert_eq!(second.detections[0].level, Severity::Info);
    // the same again is nothing new
    let third = told(&text, Baseline::from_text(&second.baseline.to_text()), &[]);
    assert_eq!(titles(&third), [""; 0]);
    // what another version wrote is as if there were nothing
    assert_eq!(Baseline::from_text("0203"), None);
    assert_eq!(Baseline::from_text("xx"), None);
}

#[test]
fn bursts_and_silences_are_told() {
    let mut text = quiet(MAY, 48);
    for at in 0..400 {
        let _ = writeln!(text, "{} h CRON[7]: (root) CMD (true)", stamp(MAY + 48 * HOUR + at * 9));
    }
    let burst = told(&text, None, &[]);
    assert_eq!(
        titles(&burst),
        ["cron: 400 lines in the hour from 2024-05-03T00:00:00Z, where 6 are usual"]
    );
    let stopped: String = quiet(MAY, 72)
        .split_inclusive('\n')
        .filter(|line| !(line.contains("postfix") && **line > *stamp(MAY + 50 * HOUR)))
        .collect();
    let silent = told(&stopped, None, &[]);
    assert_eq!(titles(&silent), ["postfix: wrote in every hour, and nothing for 22 h since"]);
}

#[test]
fn gaps_steps_and_missing_numbers_are_told_with_their_place() {
    let cut: String = quiet(MAY, 72)
        .split_inclusive('\n')
        .filter(|line| !(**line > *stamp(MAY + 30 * HOUR) && **line < *stamp(MAY + 39 * HOUR)))
        .collect();
    let observed = told(&cut, None, &[]);
    assert_eq!(observed.detections.len(), 1);
    let gap = &observed.detections[0];
    assert!(gap.title.starts_with("nothing logged for 9 h, from 2024-05-02T05:"), "{}", gap.title);
    assert_eq!((gap.rule.as_str(), gap.samples[0].line), ("log-gap", 361));

    let back = quiet(MAY, 48) + &quiet(MAY + 46 * HOUR, 3);
    let observed = told(&back, None, &[]);
    assert_eq!(observed.detections.len(), 1);
    let step = &observed.detections[0];
    assert!(
        step.title.starts_with("the clock went back by 111 min, from 2024-05-02T23:5"),
        "{}",
        step.title
    );
    assert_eq!((step.level, step.samples[0].line), (Severity::Low, 577));

    let (one, other) = (quiet(MAY, 24), quiet(MAY - 2 * HOUR, 24));
    let mixed: String =
        one.lines().zip(other.lines()).flat_map(|(a, b)| [a, "\n", b, "\n"]).collect();
    let observed = told(&mixed, None, &[]);
    assert_eq!(titles(&observed), ["the time of the lines goes back 288 times"]);

    let record =
        |serial: i64| format!("type=LOGIN msg=audit({}.0:{serial}): res=1\n", MAY + serial * 7);
    let serials =
        |numbers: &[i64]| -> String { numbers.iter().map(|number| record(*number)).collect() };
    let whole: Vec<i64> = (1..50).chain(45..60).chain([58, 61, 60, 62, 70]).collect();
    assert_eq!(titles(&told(&serials(&whole), None, &[])), [""; 0], "written side by side");
    let holes: Vec<i64> = (1..50).chain(100..120).chain(1..9).collect();
    let observed = told(&serials(&holes), None, &[]);
    assert!(
        titles(&observed).contains(&"50 numbered records are missing"),
        "{:?}",
        titles(&observed)
    );
}

#[test]
fn logins_of_programs_without_rules_are_watched() {
    let mut text = quiet(MAY, 2);
    let at = |n: i64| stamp(MAY + 2 * HOUR + n * n * 3);
    for n in 0..6 {
        let _ = writeln!(text, "{} h imapd[5]: login failed for user eve from 192.0.2.9", at(n));
    }
    let _ = writeln!(text, "{} h imapd[5]: user eve logged in from 192.0.2.9", at(7));
    for n in 0..12 {
        let _ = writeln!(
            text,
            "{} h ftpd[5]: login failed for user u{n} from 192.0.2.{}",
            at(n + 8),
            33
        );
    }
    let observed = told(&text, None, &[]);
    assert_eq!(
        titles(&observed),
        ["imapd: let in after 6 refusals", "ftpd: 12 accounts refused to one address"]
    );
    assert_eq!(observed.detections[0].subject.ip.as_deref(), Some("192.0.2.9"));
    assert_eq!(observed.detections[0].level, Severity::Medium);
    // what a rule tells is not told twice
    let rules = &observed.detections[..1];
    assert_eq!(titles(&told(&text, None, rules)), ["ftpd: 12 accounts refused to one address"]);
}

#[test]
fn clockwork_and_odd_parameters_are_told() {
    let mut text = String::new();
    for n in 0..200 {
        let when = jiff::Timestamp::from_second(MAY + n * 300).unwrap();
        let when = when.strftime("%d/%b/%Y:%H:%M:%S +0000");
        let value = if n == 150 { "a%27--" } else { "plain" };
        let _ = writeln!(text, "192.0.2.4 - - [{when}] \"GET /find?q={value} HTTP/1.1\" 200 5");
    }
    let observed = told(&text, None, &[]);
    assert_eq!(
        titles(&observed),
        ["http: a message every 5 min", "parameter q of /find held quotes"]
    );
    assert_eq!(observed.detections[1].samples[0].line, 151);
    assert_eq!(observed.detections[0].subject.ip.as_deref(), Some("192.0.2.4"));
}

#[test]
fn an_event_that_stands_in_two_logs_counts_once() {
    let refused = |n: i64| {
        format!("{} h imapd[5]: login failed for user eve from 192.0.2.9\n", stamp(MAY + n * n))
    };
    let text: String = (0..4).map(refused).collect();
    let text =
        text + &format!("{} h imapd[5]: user eve logged in from 192.0.2.9\n", stamp(MAY + 60));
    let entered = |names: &[&str]| {
        let mut observer = Observer::default();
        for name in names {
            let source = observer.source(name, Clock::new(TimeZone::UTC, 2024), 0);
            observer.merge(source, &Census::of_part(text.as_bytes(), 0));
        }
        observer.finish(&[], &Concealer::default()).detections.len()
    };
    assert_eq!(entered(&["/var/log/mail.log", "journal"]), 0, "four refusals, not eight");
}

#[test]
fn programs_and_sources_beyond_the_limits_share_a_name_or_are_counted() {
    let mut observer = Observer::default();
    let text: String = (0..PROGRAMS_MAX + 5)
        .map(|number| format!("{} h p{number}: hello\n", stamp(MAY)))
        .collect();
    for number in 0..SOURCES_MAX + 2 {
        let source = observer.source(&number.to_string(), Clock::new(TimeZone::UTC, 2024), 0);
        if number == 0 || number >= SOURCES_MAX {
            observer.merge(source, &Census::of_part(text.as_bytes(), 0));
        }
    }
    let names = observer.known().programs();
    assert_eq!((names.len(), &*names[PROGRAMS_MAX - 1].name), (PROGRAMS_MAX, OTHER_PROGRAMS));
    let shared = observer.known().templates().find(|(_, template)| template.count > 1);
    assert_eq!(shared.map(|(_, template)| template.count), Some(6));
    assert_eq!(observer.finish(&[], &Concealer::default()).counts.unobserved, 2);
}

/// A message that no other is like: its first word is its own.
fn unlike(program: &str, number: usize) -> String {
    let letters: String =
        (0..6).map(|at| char::from(b'a' + (number >> (2 * at)) as u8 % 4)).collect();
    let words = "x ".repeat(number % 24);
    format!("2024-05-01T00:00:00Z h {program}: {letters} {words}\n")
}

#[test]
fn a_hostile_program_takes_its_own_room_only() {
    let hostile: String = (0..4_000).map(|number| unlike("evil", number)).collect();
    let honest = quiet(MAY, 1);
    let observed = told(&(hostile.clone() + &honest), None, &[]);
    let own = told(&honest, None, &[]).counts.templates;
    assert_eq!(observed.counts.templates, PROGRAM_TEMPLATES_MAX as u64 + own);
    assert_eq!(observed.counts.uncounted, (4_000 - PROGRAM_TEMPLATES_MAX) as u64);
    // of one length, even fewer
    let equal: String = (0..2_000).map(|number| unlike("evil", number * 24)).collect();
    assert!(told(&equal, None, &[]).counts.templates <= BUCKET_TEMPLATES_MAX as u64);
    let many: String = (0..12)
        .flat_map(|p| (0..1_300).map(move |number| unlike(&format!("evil{p}"), number)))
        .collect();
    let observed = told(&many, None, &[]);
    assert_eq!(observed.counts.templates, TEMPLATES_MAX as u64);
    assert_eq!(observed.counts.uncounted, 12 * 1_300 - TEMPLATES_MAX as u64);
    let text = observed.baseline.to_text();
    assert!(text.len() <= 2 * scanner::logs::features::baseline::BYTES_MAX);
    assert_eq!(observed.baseline.forgotten, 2_000);
    assert!(Baseline::from_text(&text).is_some());
}

#[test]
fn of_one_sort_only_so_many_are_told_and_the_others_counted() {
    let first = told(&quiet(MAY, 48), None, &[]);
    let mut text = quiet(MAY + 48 * HOUR, 1);
    for number in 0..20_u8 {
        let letter = char::from(b'a' + number);
        let _ = writeln!(text, "{} h CRON[9]: {letter}{letter} happened", stamp(MAY + 49 * HOUR));
    }
    let second = told(&text, Some(first.baseline), &[]);
    assert_eq!((second.detections.len(), second.counts.not_told), (TOLD_MAX, 20 - TOLD_MAX as u64));
}

fn swept(path: &std::path::Path, checkpoint: &mut Checkpoint) -> SweepOutcome {
    let tree = RootedTree::open(std::path::Path::new("/")).unwrap();
    let found = source::named(&tree, &[path.to_path_buf()]);
    let options = SweepOptions { observe: true, ..SweepOptions::new(MAY + 60 * HOUR) };
    sweep(&tree, found, None, &content::rules(), &options, Some(checkpoint))
}

#[test]
fn sweeps_carry_what_is_usual_in_their_state() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("syslog");
    std::fs::write(&path, quiet(MAY, 48)).unwrap();
    let mut checkpoint = Checkpoint::new();
    let first = swept(&path, &mut checkpoint);
    assert_eq!((first.detections.len(), first.observed.new), (0, 2));
    let file = &first.coverage.files[0];
    assert_eq!((file.lines, file.parsed, file.unparsed, file.gaps), (576, 576, 0, 0));
    assert!(first.coverage.unfed.iter().any(|unfed| unfed.needs == "lines of sudo"));
    assert!(!first.coverage.unfed.iter().any(|unfed| unfed.needs == "lines of cron"));

    let mut checkpoint = Checkpoint::from_json(&checkpoint.to_json()).unwrap();
    let mut text = std::fs::read_to_string(&path).unwrap();
    let _ = writeln!(text, "{} h CRON[9]: something else", stamp(MAY + 48 * HOUR));
    std::fs::write(&path, text).unwrap();
    let second = swept(&path, &mut checkpoint);
    let told: Vec<_> =
        second.detections.iter().map(|d| (d.title.as_str(), d.samples[0].line)).collect();
    assert_eq!(told, [("cron wrote a new message: something else", 577)]);
    assert_eq!((second.observed.templates, second.observed.new), (3, 1));
}
