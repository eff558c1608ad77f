//! A spool on a real disk that is full.

use std::process::{Command, Stdio};

use super::super::*;
use super::note;

const PLACE: &str = "WARDMOTE_TEST_FULL_SPOOL";
const TEST: &str = "notify::tests::full::fills_a_disk";

/// Takes all notes, when it is told so.
struct Gate(Arc<std::sync::atomic::AtomicBool>, Arc<Mutex<Vec<Note>>>);

impl Notifier for Gate {
    fn send(&mut self, note: &Note) -> Result<(), Failure> {
        match self.0.load(std::sync::atomic::Ordering::Relaxed) {
            true => self.1.lock().unwrap().push(note.clone()),
            false => return Err(Failure::Later("down".into())),
        }
        Ok(())
    }
}

#[test]
#[ignore = "started by the test below, on a disk of its own"]
fn fills_a_disk() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let place = Path::new(&place);
    let (up, taken) = (Arc::default(), Arc::default());
    let mut desk = Desk::empty(|| 1_700_000_000);
    let way = Way::Journald(crate::settings::JournaldSettings::default());
    let spool_bytes = 64 << 20;
    let target =
        NotifySettings { name: "t".into(), from: Severity::Low, spool_bytes, summary: None, way };
    desk.add(&target, Box::new(Gate(Arc::clone(&up), Arc::clone(&taken))), place).unwrap();
    let big = |number: usize, severity| Note {
        body: "x".repeat(30_000).into(),
        ..note(&format!("n{number:03}"), severity)
    };
    // Five medium notes and then as many high ones as there is no room for.
    (0..5).for_each(|number| desk.accept(&big(number, Severity::Medium)));
    (5..50).for_each(|number| desk.accept(&big(number, Severity::High)));
    let (_, tally, trouble) = desk.tallies().remove(0);
    assert!(trouble.unwrap().contains("its spool takes no note: No space left"));
    assert_eq!((tally.received, tally.suppressed + tally.waiting), (50, 50));
    assert!((20..35).contains(&tally.waiting), "{tally:?}");
    assert!(desk.line().unwrap().contains("No space left"));
    // Space returns, and so does the target.
    up.store(true, std::sync::atomic::Ordering::Relaxed);
    let until = Instant::now() + Duration::from_secs(30);
    while desk.tallies()[0].1.waiting > 0 {
        assert!(Instant::now() < until, "{:?}", desk.tallies());
        std::thread::sleep(Duration::from_millis(20));
    }
    desk.accept(&big(50, Severity::High));
    while desk.line().is_some() || desk.tallies()[0].1.waiting > 0 {
        assert!(Instant::now() < until, "{:?}", desk.tallies());
        std::thread::sleep(Duration::from_millis(20));
    }
    let all = desk.tallies()[0].1;
    assert_eq!((all.received, all.suppressed), (51, tally.suppressed));
    let taken = taken.lock().unwrap();
    let gaps: Vec<&Note> = taken.iter().filter(|note| note.kind == Kind::Gap).collect();
    assert_eq!(gaps.len(), 1);
    let dropped: u64 =
        gaps[0].body["dropped"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(dropped, tally.suppressed, "all that had no room was told");
    assert_eq!(gaps[0].body["dropped"]["medium"], 5, "the mildest made room");
    assert!(taken.iter().all(|note| note.kind == Kind::Gap || note.severity == Severity::High));
    println!("filled, {} told", taken.len());
}

#[test]
fn a_full_disk_is_said_and_the_gravest_stay_and_what_had_no_room_is_told_as_a_gap() {
    let required = std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_some();
    let has_unshare = Command::new("unshare").arg("--version").output().is_ok();
    if !rustix::process::geteuid().is_root() || !has_unshare {
        assert!(!required, "root and unshare are required");
        println!("SKIPPED: not root, or no unshare");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=1m,mode=700 spool-test "$1" && shift && exec "$@""#;
    let out = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", script, "sh"])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--ignored", "--nocapture"])
        .env(PLACE, dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[&out.stdout[..], &out.stderr[..]].concat()).into_owned();
    assert!(out.status.success() && said.contains("filled, "), "{said}");
}
