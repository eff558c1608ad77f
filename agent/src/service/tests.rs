//! The loop with a look that does what the test says.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::tell::append;
use super::*;
use crate::settings::Span;
use crate::store::memory::MemoryStore;
use crate::store::{Document, Source};

/// What a test tells its look to see, and what the look was asked.
#[derive(Default)]
struct Script {
    audit: Looked,
    sweeps: Vec<Looked>,
    asked: Vec<&'static str>,
    told: Vec<u64>,
    broken: bool,
    goes_on: bool,
}

struct Scripted(Arc<Mutex<Script>>);

impl Look for Scripted {
    fn audit(&mut self, _: &Settings) -> anyhow::Result<Looked> {
        let mut script = self.0.lock().unwrap();
        script.asked.push("audit");
        anyhow::ensure!(!script.broken, "planted");
        Ok(script.audit.clone())
    }

    fn sweep(&mut self, _: &Settings) -> anyhow::Result<Looked> {
        let mut script = self.0.lock().unwrap();
        script.asked.push("sweep");
        // The place is not kept until the service says so: the same again.
        Ok(script.sweeps.first().cloned().unwrap_or_default())
    }

    fn goes_on(&self) -> bool {
        self.0.lock().unwrap().goes_on
    }

    fn told(&mut self, cases: &[CaseFile]) {
        self.0.lock().unwrap().told.extend(cases.iter().map(|case| case.id));
    }

    fn keep_place(&mut self) -> anyhow::Result<()> {
        let mut script = self.0.lock().unwrap();
        script.asked.push("keep");
        if !script.sweeps.is_empty() {
            script.sweeps.remove(0);
        }
        Ok(())
    }
}

pub(super) fn seen(fingerprint: &str, severity: Severity) -> Sighting {
    Sighting {
        source: Source::Sweep,
        fingerprint: fingerprint.into(),
        check: "rule".into(),
        title: "somebody tries".into(),
        severity,
        accepted: false,
        count: 3,
        verdict: Document::of(&serde_json::json!({})).unwrap(),
        evidence: Document::of(&[0; 0]).unwrap(),
    }
}

fn looked(seen: Vec<Sighting>) -> Looked {
    Looked { seen, ..Looked::default() }
}

pub(super) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.agent.sweep_every = Span(Duration::from_millis(5));
    settings.agent.alert_from = Severity::Medium;
    settings
}

/// A service's parts, with its state in a directory.
pub(super) fn parts(dir: &Path, bus: &Bus) -> Parts {
    Parts {
        store: Box::new(MemoryStore::new(100)),
        settings: settings(),
        reload: Box::new(|| Ok(settings())),
        state_directory: dir.to_path_buf(),
        recorder: SharedRecorder::new(dir),
        bus: bus.clone(),
        shared: Shared::default(),
        notifier: Notifier::from_environment(),
        clock: || 1_000_000,
    }
}

/// Runs the service in a directory until the script's end condition holds.
fn run(
    dir: &Path,
    script: &Arc<Mutex<Script>>,
    reload: Box<dyn FnMut() -> anyhow::Result<Settings>>,
    until: impl AsyncFnOnce(Bus),
) {
    let bus = Bus::default();
    let parts = Parts { reload, ..parts(dir, &bus) };
    let service = Service::new(Box::new(Scripted(Arc::clone(script))), parts);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (ran, ()) = tokio::join!(service.run(), until(bus));
        ran.unwrap();
    });
}

async fn wait_for(script: &Mutex<Script>, what: &'static str, times: usize) {
    for _ in 0..2_000 {
        let count = script.lock().unwrap().asked.iter().filter(|asked| **asked == what).count();
        if count >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("{what} was not asked {times} times: {:?}", script.lock().unwrap().asked);
}

fn lines(dir: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(dir.join("alerts.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn tells_what_is_new_and_risen_once_and_keeps_the_place_after() {
    let dir = tempfile::tempdir().unwrap();
    let script = Arc::new(Mutex::new(Script {
        audit: looked(vec![seen("posture", Severity::High)]),
        sweeps: vec![
            looked(vec![seen("a", Severity::Medium), seen("mild", Severity::Low)]),
            looked(vec![seen("a", Severity::Medium)]),
            looked(vec![seen("a", Severity::Critical)]),
        ],
        ..Script::default()
    }));
    run(dir.path(), &script, Box::new(|| Ok(settings())), async |bus| {
        wait_for(&script, "keep", 4).await;
        assert!(bus.emit(Event::Wish(Wish::Stop)));
    });
    let told: Vec<(String, String)> = lines(dir.path())
        .iter()
        .map(|line| {
            let text = |key: &str| line[key].as_str().unwrap().to_string();
            assert_eq!(line["schema"], "wardmote.alert/1");
            (text("fingerprint"), text("news"))
        })
        .collect();
    let line = |name: &str, news: &str| (name.to_string(), news.to_string());
    assert_eq!(told, [line("posture", "new"), line("a", "new"), line("a", "risen")]);
    assert_eq!(script.lock().unwrap().asked[..3], ["audit", "sweep", "keep"]);
    let meta = std::fs::metadata(dir.path().join("alerts.jsonl")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_service_that_goes_on_sweeps_before_it_audits() {
    let dir = tempfile::tempdir().unwrap();
    let script = Arc::new(Mutex::new(Script { goes_on: true, ..Script::default() }));
    run(dir.path(), &script, Box::new(|| Ok(settings())), async |bus| {
        wait_for(&script, "sweep", 2).await;
        assert!(bus.emit(Event::Wish(Wish::Stop)));
    });
    assert_eq!(script.lock().unwrap().asked[..4], ["sweep", "keep", "audit", "sweep"]);
}

#[test]
fn what_piled_up_is_told_in_one_step() {
    let dir = tempfile::tempdir().unwrap();
    let many = 2 * TOLD_AT_ONCE_MAX + 1;
    let parts = parts(dir.path(), &Bus::default());
    let parts = Parts { store: Box::new(MemoryStore::new(many)), ..parts };
    let script = Arc::new(Mutex::new(Script::default()));
    let look = || Box::new(Scripted(Arc::clone(&script))) as Box<dyn Look>;
    let mut service = Service::new(look(), parts);
    let seen = (0..many).map(|number| seen(&number.to_string(), Severity::High)).collect();
    service.settle((look(), Step::Sweep, Ok(looked(seen))));
    assert_eq!(lines(dir.path()).len(), many);
}

#[test]
fn a_file_that_takes_no_lines_loses_none_and_what_is_stored_is_not_seen_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("alerts.jsonl");
    std::fs::create_dir(&file).unwrap();
    let script = Arc::new(Mutex::new(Script {
        sweeps: vec![looked(vec![seen("a", Severity::High)])],
        ..Script::default()
    }));
    run(dir.path(), &script, Box::new(|| Ok(settings())), async |bus| {
        wait_for(&script, "sweep", 3).await;
        let kept = script.lock().unwrap().sweeps.is_empty();
        assert!(kept, "the place goes with what is stored");
        std::fs::remove_dir(&file).unwrap();
        std::fs::write(&file, "{\"cut\":\n").unwrap();
        let swept = script.lock().unwrap().asked.len();
        wait_for(&script, "sweep", swept + 2).await;
        assert!(bus.emit(Event::Wish(Wish::Stop)));
    });
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn a_failed_audit_comes_again_and_a_reload_audits_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let script = Arc::new(Mutex::new(Script { broken: true, ..Script::default() }));
    let mut wrong_first = vec![Ok(settings()), Err(anyhow::anyhow!("planted"))];
    let reload = Box::new(move || wrong_first.pop().unwrap());
    run(dir.path(), &script, reload, async |bus| {
        wait_for(&script, "sweep", 2).await;
        script.lock().unwrap().broken = false;
        assert!(bus.emit(Event::Wish(Wish::Reload)));
        wait_for(&script, "sweep", 5).await;
        assert_eq!(script.lock().unwrap().asked.iter().filter(|a| **a == "audit").count(), 1);
        assert!(bus.emit(Event::Wish(Wish::Reload)));
        wait_for(&script, "audit", 2).await;
        assert!(bus.emit(Event::Wish(Wish::Stop)));
    });
}

#[test]
fn a_cut_line_is_ended_and_links_and_fifos_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    std::fs::write(&file, "cut").unwrap();
    append(&file, b"{}\n").unwrap();
    append(&file, b"{}\n").unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"cut\n{}\n{}\n");
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert!(append(&link, b"{}\n").is_err());
    let fifo = dir.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    assert!(append(&fifo, b"{}\n").is_err());
}

#[test]
fn what_makes_an_audit_stale_brings_the_next_one_and_not_too_often() {
    let dir = tempfile::tempdir().unwrap();
    let parts = parts(dir.path(), &Bus::default());
    let script = Arc::new(Mutex::new(Script::default()));
    let mut service = Service::new(Box::new(Scripted(Arc::clone(&script))), parts);
    let now = Instant::now();
    let look = || Box::new(Scripted(Arc::clone(&script))) as Box<dyn Look>;
    service.settle((look(), Step::Audit, Ok(Looked::default())));
    assert!(service.next_audit > now + Duration::from_secs(3_600));
    let stale = Looked { stale: Some("/etc/ssh/sshd_config changed".into()), ..Looked::default() };
    service.settle((look(), Step::Sweep, Ok(stale.clone())));
    let due = service.next_audit;
    assert!(due >= now + CHANGE_SPACING && due < now + CHANGE_SPACING * 2, "apart");
    service.settle((look(), Step::Sweep, Ok(stale)));
    assert_eq!(service.next_audit, due, "a file that changes all the time does not put it off");
    let happened: Vec<Event> = std::iter::from_fn(|| service.parts.bus.take()).collect();
    let audited = Event::Audited("0 findings, 0 things could not be looked at".into());
    assert_eq!(happened, [audited, Event::Changed("/etc/ssh/sshd_config changed".into())]);
}

#[test]
fn a_case_of_which_there_is_news_reaches_a_target_that_a_reload_has_named() {
    let dir = tempfile::tempdir().unwrap();
    let script = Arc::new(Mutex::new(Script::default()));
    let step = crate::pipeline::case::case_file::Step {
        at: 999_999,
        fingerprint: "f".into(),
        check: "rule".into(),
        title: "somebody came in".into(),
        severity: Severity::High,
        count: 1,
        ip: None,
        user: None,
        thing: None,
    };
    let mut case = CaseFile::new(7, &step);
    case.add(step, &[]);
    case.untold = Some(crate::pipeline::case::case_file::News::New);
    let reload = || {
        let target = "{name: notes, file: {path: notes.jsonl}}";
        let mut settings = settings();
        settings.notify = vec![serde_yaml::from_str(target).unwrap()];
        Ok(settings)
    };
    let notes = dir.path().join("notes.jsonl");
    run(dir.path(), &script, Box::new(reload), async |bus| {
        wait_for(&script, "sweep", 1).await;
        assert!(bus.emit(Event::Wish(Wish::Reload)));
        wait_for(&script, "audit", 2).await;
        let found = Looked { cases: vec![case.clone()], ..Looked::default() };
        script.lock().unwrap().sweeps.push(found);
        for _ in 0..2_000 {
            if notes.exists() && !script.lock().unwrap().told.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(bus.emit(Event::Wish(Wish::Stop)));
    });
    let text = std::fs::read_to_string(&notes).unwrap();
    let note: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&note["key"], &note["title"]), (&"case-7".into(), &"somebody came in".into()));
    assert_eq!((&note["type"], text.lines().count()), (&"case.new".into(), 1));
    assert_eq!(script.lock().unwrap().told, [7]);
}

#[test]
fn the_days_summary_is_told_after_an_audit_and_not_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let reloaded = |at: &str| {
        let text = format!(
            "{{name: ops, from: critical, summary: {{at: '{at}'}}, file: {{path: notes.jsonl}}}}"
        );
        let mut settings = settings();
        settings.notify = vec![serde_yaml::from_str(&text).unwrap()];
        settings
    };
    // Told yesterday, as far as anybody knows: the clock of these tests stands in January 1970.
    let last = r#"{"ops":{"day":"1970-01-10","time":900000}}"#;
    std::fs::write(dir.path().join("summaries.json"), last).unwrap();
    let script = || {
        Arc::new(Mutex::new(Script {
            audit: looked(vec![seen("posture", Severity::High)]),
            ..Script::default()
        }))
    };
    for _ in 0..2 {
        let script = script();
        run(dir.path(), &script, Box::new(move || Ok(reloaded("00:00"))), async |bus| {
            wait_for(&script, "keep", 1).await;
            bus.emit(Event::Wish(Wish::Reload));
            wait_for(&script, "audit", 2).await;
            wait_for(&script, "keep", 20).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            bus.emit(Event::Wish(Wish::Stop));
        });
    }
    let text = std::fs::read_to_string(dir.path().join("notes.jsonl")).unwrap();
    let notes: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(notes.len(), 1, "{text}");
    assert_eq!(notes[0]["type"], "host.summary");
    let data = &notes[0]["data"];
    assert_eq!((&data["open"]["high"], &data["new_findings"]["high"]), (&1.into(), &1.into()));
    assert_eq!(data["findings"][0]["id"], "posture");
    assert_eq!(data["responses_waiting"], 0);
}

#[test]
fn a_flooded_bus_is_said_in_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let bus = Bus::default();
    let parts = parts(dir.path(), &bus);
    let script = Arc::new(Mutex::new(Script::default()));
    let mut service = Service::new(Box::new(Scripted(script)), parts);
    for _ in 0..crate::events::HELD_MAX + 3 {
        bus.emit(Event::Case("#1 guessing".into()));
    }
    while let Some(event) = bus.take() {
        service.hear(&event);
    }
    service.parts.recorder.lock().stopped("told to");
    let disk = crate::journal::disk::Directory::open(&dir.path().join("journal")).unwrap();
    let mut kinds = Vec::new();
    let told = crate::journal::read::records::<std::io::Error>(&disk, |_, record| {
        kinds.push(record.kind().to_string());
        Ok(())
    });
    assert!(told.unwrap().incomplete.is_empty());
    assert_eq!(kinds, ["lost", "stopped"], "once, with the count");
    service.write_down();
    let status = service.parts.shared.status();
    assert_eq!(status.lately.last().map(|one| one.line.as_str()), Some("#1 guessing"));
}
