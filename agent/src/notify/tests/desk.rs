//! The desk, with a target that answers what the test says.

use super::super::*;
use super::note;
use crate::pipeline::case::case_file;
use crate::settings::JournaldSettings;

/// A target that is told what to answer.
struct Scripted {
    answers: Arc<Mutex<Result<(), Failure>>>,
    taken: Arc<Mutex<Vec<Note>>>,
}

impl Notifier for Scripted {
    fn send(&mut self, note: &Note) -> Result<(), Failure> {
        let answer = self.answers.lock().unwrap().clone();
        if answer.is_ok() {
            self.taken.lock().unwrap().push(note.clone());
        }
        answer
    }
}

struct Stage {
    desk: Desk,
    answers: Arc<Mutex<Result<(), Failure>>>,
    taken: Arc<Mutex<Vec<Note>>>,
}

impl Stage {
    fn new(dir: &Path, spool_bytes: u64, answer: Result<(), Failure>) -> Self {
        let (answers, taken) = (Arc::new(Mutex::new(answer)), Arc::default());
        let mut desk = Desk::empty(|| 1_700_000_000);
        let way = Way::Journald(JournaldSettings::default());
        let target = NotifySettings {
            name: "t".into(),
            from: Severity::Low,
            spool_bytes,
            summary: None,
            way,
        };
        let scripted = Scripted { answers: Arc::clone(&answers), taken: Arc::clone(&taken) };
        desk.add(&target, Box::new(scripted), dir).unwrap();
        Self { desk, answers, taken }
    }

    fn tally(&self) -> Tally {
        let tally = self.desk.tallies()[0].1;
        let known = tally.notified + tally.merged + tally.suppressed + tally.waiting;
        assert_eq!(tally.received, known, "{tally:?}");
        tally
    }

    fn until(&self, holds: impl Fn(Tally) -> bool) {
        for _ in 0..2_000 {
            if holds(self.tally()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{:?}", self.tally());
    }
}

fn down() -> Result<(), Failure> {
    Err(Failure::Later("down".into()))
}

#[test]
fn notes_reach_a_target_that_is_up_and_only_those_that_it_wants() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(dir.path(), 1 << 20, Ok(()));
    for (key, severity) in [("a", Severity::High), ("b", Severity::Info), ("c", Severity::Low)] {
        stage.desk.accept(&note(key, severity));
    }
    stage.until(|tally| tally.notified == 2);
    assert_eq!(stage.tally().received, 2);
    assert_eq!(stage.desk.line(), None);
}

#[test]
fn what_a_target_missed_while_it_was_down_comes_after_a_restart_with_the_gap_first() {
    let dir = tempfile::tempdir().unwrap();
    let one = serde_json::to_vec(&note("00", Severity::High)).unwrap().len() as u64;
    let mut stage = Stage::new(dir.path(), 3 * one + one / 2, down());
    for (key, severity) in [("00", Severity::High), ("01", Severity::Low), ("02", Severity::Low)] {
        stage.desk.accept(&note(key, severity));
    }
    stage.desk.accept(&note("03", Severity::High));
    stage.until(|tally| tally.suppressed == 1 && tally.waiting == 3);
    for _ in 0..1_000 {
        if stage.desk.line().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(stage.desk.line().unwrap().contains("3 notifications wait; t: down"));
    drop(stage);
    let stage = Stage::new(dir.path(), 3 * one + one / 2, Ok(()));
    stage.until(|tally| tally.notified == 3 && tally.waiting == 0);
    let taken: Vec<(Kind, String)> =
        stage.taken.lock().unwrap().iter().map(|note| (note.kind, note.key.clone())).collect();
    let keys: Vec<&str> = taken.iter().map(|(_, key)| key.as_str()).collect();
    assert_eq!(keys, ["gap", "00", "03", "02"]);
    assert_eq!(taken[0].0, Kind::Gap);
}

#[test]
fn a_spool_that_cannot_be_written_to_is_said_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(dir.path(), 1 << 20, Ok(()));
    std::fs::remove_dir_all(dir.path().join("notify")).unwrap();
    stage.desk.accept(&note("a", Severity::High));
    assert_eq!((stage.tally().received, stage.tally().suppressed), (1, 1));
    assert!(stage.desk.line().unwrap().contains("t: its spool takes no note"));
}

#[test]
fn storms_about_one_case_are_limited_below_high_and_what_waits_is_merged() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(dir.path(), 1 << 20, down());
    for _ in 0..20 {
        stage.desk.accept(&note("low", Severity::Low));
        stage.desk.accept(&note("high", Severity::High));
    }
    let tally = stage.tally();
    assert_eq!((tally.received, tally.suppressed, tally.waiting), (40, 15, 2));
    *stage.answers.lock().unwrap() = Ok(());
    // The breaker may have opened: what is checked is the count, without waiting for it.
    assert_eq!(stage.tally().merged, 40 - 15 - 2);
}

#[test]
fn what_a_target_will_never_take_does_not_hold_up_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(dir.path(), 1 << 20, Err(Failure::Never("no".into())));
    stage.desk.accept(&note("a", Severity::High));
    stage.until(|tally| tally.suppressed == 1 && tally.waiting == 0);
    *stage.answers.lock().unwrap() = Ok(());
    stage.desk.accept(&note("b", Severity::High));
    stage.until(|tally| tally.notified == 1);
}

#[test]
fn an_event_has_one_identifier_however_often_it_is_told() {
    let step = crate::pipeline::case::case_file::Step {
        at: 5,
        fingerprint: "f".into(),
        check: "c".into(),
        title: "a\nb".into(),
        severity: Severity::High,
        count: 1,
        ip: None,
        user: None,
        thing: None,
    };
    let mut case = CaseFile::new(7, &step);
    case.add(step, &[]);
    case.untold = Some(case_file::News::New);
    let (one, other) = (Note::of_case(&case, "h", 10), Note::of_case(&case, "h", 99));
    assert_eq!((one.id.as_str(), one.title.as_str()), (other.id.as_str(), "a b"));
    assert_eq!(one.key, "case-7");
    assert_ne!(one.id, Note::of_case(&case, "other host", 10).id);
    case.untold = Some(case_file::News::Risen);
    assert_ne!(one.id, Note::of_case(&case, "h", 10).id);
}
