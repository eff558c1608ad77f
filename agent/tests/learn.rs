//! Keeping, explaining, feedback, replay, the panel's record and experts from outside, as a user meets
//! them: a log is swept, and what came of it is asked about.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A directory with a log of a brute force, a state of its own, and maybe a configuration.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let line = |second: usize| {
            format!(
                "Dec 10 06:55:{second:02} web sshd[7]: Failed password for root from 192.0.2.7 port 4 \
                 ssh2\n"
            )
        };
        let log: String = (10..22).map(line).collect();
        std::fs::write(dir.path().join("auth.log"), log).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wardmote"));
        command.current_dir(self.dir.path()).args(words).args(["--state-dir", "state"]);
        command.env_remove("SUDO_UID").env_remove("SUDO_GID");
        if self.path("w.yaml").exists() {
            command.args(["--config", "w.yaml"]);
        }
        command.output().unwrap()
    }

    fn says(&self, words: &[&str]) -> String {
        let out = self.run(words);
        assert!(out.status.success(), "{words:?}: {}", text(&out.stderr));
        text(&out.stdout)
    }

    /// Sweeps the log; the detections and the summary.
    fn sweep(&self, words: &[&str]) -> (Vec<Value>, Value) {
        let sweep = ["sweep", "auth.log", "--year", "2024", "--tz", "UTC", "--format", "jsonl"];
        let out = self.run(&[&sweep[..], words].concat());
        let text = text(&out.stdout);
        let mut lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let summary = lines.pop().expect("a summary")["summary"].clone();
        (lines, summary)
    }

    /// Sweeps, and gives the one detection's id and trace.
    fn swept(&self) -> (String, String) {
        let (lines, _) = self.sweep(&[]);
        let text = |value: &Value| value.as_str().unwrap().to_string();
        (text(&lines[0]["id"]), text(&lines[0]["verdict"]["trace"]))
    }

    fn kept(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("state/kept")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// Configures experts from outside, each a shell script with a time limit.
    fn experts(&self, scripts: &[(&str, &str, &str)]) {
        let mut yaml = String::from("experts:\n");
        for (name, script, timeout) in scripts {
            let file = self.path(name);
            std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
            yaml +=
                &format!("- {{name: {name}, command: [{}], timeout: {timeout}}}\n", file.display());
        }
        std::fs::write(self.path("w.yaml"), yaml).unwrap();
        std::fs::set_permissions(self.path("w.yaml"), PermissionsExt::from_mode(0o644)).unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_finding_is_explained_after_the_run_by_id_trace_or_start() {
    let place = Place::new();
    let (id, trace) = place.swept();
    assert!(place.kept().iter().all(|file| mode(file) == 0o600));
    for name in [id.as_str(), &trace, &id[..8], &trace[..8]] {
        let told = place.says(&["explain", name]);
        let first = told.lines().next().unwrap();
        assert!(first.contains("192.0.2.7") && first.contains(&id), "{first}");
        for part in ["judged", "why", "panel", "sure", "turns", "at", "fix", "next"] {
            assert!(told.contains(&format!("\n  {part:<6} ")), "{part}: {told}");
        }
        assert!(told.contains("auth.log:1:"), "{told}");
    }
    let whole: Value =
        serde_json::from_str(&place.says(&["explain", &id, "--format", "json"])).unwrap();
    assert_eq!(whole["schema"], "wardmote.explain/1");
    assert_eq!((&whole["id"], &whole["trace"]), (&id.clone().into(), &trace.clone().into()));
    assert_eq!(whole["verdict"]["severity"], whole["severity"]);
    let graph = place.says(&["explain", &id, "--format", "dot"]);
    assert!(graph.starts_with("digraph ") && graph.trim_end().ends_with('}'));
    assert!(graph.contains(" -> ") && graph.contains("declared says"), "{graph}");
    assert!(whole["graph"]["events"].as_array().unwrap().len() > 3, "{}", whole["graph"]);
}

#[test]
fn nothing_is_kept_where_it_is_not_wanted_or_not_possible() {
    let place = Place::new();
    place.sweep(&["--no-state"]);
    assert!(!place.path("state").exists());
    std::fs::write(place.path("state"), "a file in the way").unwrap();
    let args = ["sweep", "auth.log", "--year", "2024", "--fail-on", "critical"];
    let quiet = place.run(&args);
    assert_eq!((quiet.status.code(), text(&quiet.stderr).as_str()), (Some(0), ""));
    let loud = text(&place.run(&[&args[..], &["-v"]].concat()).stderr);
    assert!(loud.contains("the findings are not kept in state"), "{loud}");
    assert_eq!(place.run(&["explain", "0123456789ab"]).status.code(), Some(2));
}

#[test]
fn a_replay_is_the_same_byte_for_byte_until_the_file_is_changed() {
    let place = Place::new();
    let (id, trace) = place.swept();
    let same = place.says(&["replay", &id]);
    assert!(same.starts_with("same: ") && same.contains(&trace), "{same}");
    let file = place.kept().remove(0);
    let kept = std::fs::read_to_string(&file).unwrap();
    // A verdict that was made up.
    std::fs::write(&file, kept.replace("concluded from traces", "made up by somebody")).unwrap();
    let other = place.run(&["replay", &id]);
    assert_eq!(other.status.code(), Some(1), "{}", text(&other.stderr));
    let said = text(&other.stdout);
    assert!(said.starts_with("different: ") && said.contains("made up by"), "{said}");
    // Evidence that was changed afterwards.
    std::fs::write(&file, kept.replace("\"count\":12", "\"count\":1")).unwrap();
    assert_eq!(place.run(&["replay", &id]).status.code(), Some(1));
    // Another model's verdict is named as such.
    std::fs::write(&file, kept.replace("\"model\":\"wardmote.", "\"model\":\"older.")).unwrap();
    let older = place.run(&["replay", &id]);
    assert_eq!(older.status.code(), Some(1));
    assert!(text(&older.stdout).contains("judged by older.panel"), "{}", text(&older.stdout));
}

#[test]
fn feedback_is_written_for_good_and_counted_in_the_panels_record() {
    let place = Place::new();
    let (id, _) = place.swept();
    let noted =
        place.says(&["feedback", &id, "dismiss", "--note", "our own test, password=hunter2"]);
    assert!(noted.starts_with("noted: ") && noted.contains(" is info "), "{noted}");
    let log = place.path("state/feedback.jsonl");
    assert_eq!(mode(&log), 0o600);
    let line = std::fs::read_to_string(&log).unwrap();
    let click: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(click["click"]["word"], "dismiss");
    assert_eq!(click["click"]["finding"], id.as_str());
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(click["click"]["operator"], uid);
    assert!(!line.contains("hunter2"), "{line}");
    let told = place.says(&["explain", &id]);
    assert!(told.contains(&format!("  said   dismissed by uid {uid} ")), "{told}");
    let record: Value = serde_json::from_str(&place.says(&["panel", "--format", "json"])).unwrap();
    assert_eq!(record["clicks"], 1);
    let declared = &record["experts"][0];
    assert_eq!((&declared["expert"], &declared["misses"]), (&"declared".into(), &1.into()));
    assert_eq!(declared["said"], 1);
    // The other word replaces it.
    place.says(&["feedback", &id, "severity=critical"]);
    let table = place.says(&["panel"]);
    assert!(table.contains("\nkept findings: 1, clicks: 1"), "{table}");
    // What stood beside the verdict can be derived again after more was said.
    let (taught, _) = place.swept();
    place.says(&["feedback", &taught, "confirm"]);
    assert!(place.says(&["replay", &taught]).starts_with("same: "));
}

#[test]
fn a_word_that_is_none_is_a_usage_error() {
    let place = Place::new();
    let (id, _) = place.swept();
    for words in [["feedback", &id, "maybe"], ["feedback", &id, "severity=bad"]] {
        assert_eq!(place.run(&words).status.code(), Some(2));
    }
    assert!(!place.path("state/feedback.jsonl").exists());
}

/// Clicks of several people over weeks about the swept detection's opinions.
fn many_dismissals(place: &Place, id: &str) {
    place.says(&["feedback", id, "dismiss"]);
    let log = place.path("state/feedback.jsonl");
    let line = std::fs::read_to_string(&log).unwrap();
    let click: Value = serde_json::from_str(&line).unwrap();
    let now = click["click"]["time"].as_i64().unwrap();
    let mut lines = String::new();
    for day in 0..40_i64 {
        for operator in 1..9 {
            let mut one = click.clone();
            one["click"]["time"] = (now - day * 86_400).into();
            one["click"]["operator"] = operator.into();
            one["click"]["trace"] = format!("{day}-{operator}").into();
            lines += &format!("{one}\n");
        }
    }
    std::fs::write(&log, lines).unwrap();
}

#[test]
fn what_was_learnt_stands_beside_the_verdict_and_decides_no_exit_code() {
    let place = Place::new();
    let (id, _) = place.swept();
    let (before, _) = place.sweep(&[]);
    many_dismissals(&place, &id);
    let (after, _) = place.sweep(&[]);
    assert_eq!(after[0]["severity"], before[0]["severity"], "the cold model judges");
    let learnt = &after[0]["learnt"];
    assert_eq!((&learnt["severity"], &learnt["clicks"]), (&"low".into(), &320.into()), "{learnt}");
    let level = before[0]["severity"].as_str().unwrap();
    let strict = place.run(&["sweep", "auth.log", "--year", "2024", "--fail-on", level]);
    assert_eq!(strict.status.code(), Some(1), "what was learnt hides nothing from scripts");
    assert!(text(&strict.stdout).contains("learnt: low (320 clicks)"), "{}", text(&strict.stdout));
    let told = place.says(&["explain", &id]);
    assert!(told.contains("  learnt low (320 clicks)"), "{told}");
    assert!(place.says(&["replay", &id]).starts_with("same: "));
    // A log that is not the one of then is told.
    std::fs::remove_file(place.path("state/feedback.jsonl")).unwrap();
    let gone = place.run(&["replay", &id]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone.stdout).contains("folded or moved away"), "{}", text(&gone.stdout));
}

#[test]
fn dropping_an_expert_shows_what_would_change() {
    let place = Place::new();
    let raises = r#"while read -r q; do echo '{"severity":"critical","confidence":1,"rationale":"in a list of mine"}'; done"#;
    place.experts(&[("list", raises, "30s"), ("second", raises, "30s")]);
    let (id, _) = place.swept();
    let whole: Value = serde_json::from_str(&place.says(&[
        "panel",
        "--what-if",
        "drop=declared",
        "--format",
        "json",
    ]))
    .unwrap();
    assert_eq!((&whole["schema"], &whole["cases"]), (&"wardmote.whatif/1".into(), &1.into()));
    assert_eq!(
        whole["changed"].as_u64().unwrap(),
        whole["findings"].as_array().unwrap().len() as u64
    );
    let both = ["panel", "--what-if", "drop=outside:list", "--what-if", "drop=declared"];
    let said = place.says(&both);
    assert!(said.starts_with("without outside:list, declared: "), "{said}");
    let nobody = place.run(&["panel", "--what-if", "drop=nobody"]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(text(&nobody.stderr).contains("outside:list"), "{}", text(&nobody.stderr));
    assert!(place.says(&["replay", &id]).starts_with("same: "));
}

#[test]
fn an_expert_from_outside_is_heard_under_its_own_name_and_replayed_from_what_was_kept() {
    let place = Place::new();
    let good = r#"while read -r q; do
        case "$q" in *'"case":"'*'"evidence":{'*) echo '{"severity":"critical","confidence":1,"rationale":"seen elsewhere"}';; esac
    done"#;
    place.experts(&[("list", good, "30s")]);
    let (lines, summary) = place.sweep(&[]);
    assert_eq!(summary["incomplete"], serde_json::json!([]));
    let opinions = lines[0]["verdict"]["opinions"].as_array().unwrap();
    let own = opinions.iter().find(|opinion| opinion["expert"] == "outside:list").unwrap();
    assert_eq!(own["rationale"], "seen elsewhere");
    let id = lines[0]["id"].as_str().unwrap();
    // Gone, and still the same: the opinion was kept.
    std::fs::remove_file(place.path("list")).unwrap();
    assert!(place.says(&["replay", id]).starts_with("same: "));
    assert!(place.says(&["panel"]).contains("outside:list"));
}

#[test]
fn experts_that_hang_flood_babble_or_pose_are_left_out_and_listed() {
    let place = Place::new();
    place.experts(&[
        ("hangs", "sleep 600", "50ms"),
        ("floods", "while :; do echo '{\"severity\":\"info\",\"confidence\":1}'; done", "5s"),
        ("babbles", "while read -r q; do echo hello; done", "30s"),
        ("poses", r#"while read -r q; do echo '{"expert":"declared","severity":"info","confidence":1}'; done"#, "30s"),
        ("ends", "echo 'no licence' >&2; exit 1", "30s"),
    ]);
    let out = place.run(&[
        "sweep",
        "auth.log",
        "--year",
        "2024",
        "--fail-on",
        "critical",
        "--format",
        "jsonl",
    ]);
    assert_eq!(out.status.code(), Some(3), "a part could not be asked: {}", text(&out.stderr));
    let lines: Vec<Value> =
        text(&out.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<&str> = lines[1]["summary"]["incomplete"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect();
    for part in [
        "outside:hangs gave no answer 1 times: no answer within 50ms",
        "outside:babbles gave no answer 1 times: an answer that is no opinion as a JSON object",
        "outside:poses gave no answer 1 times: an answer under the name of `declared`",
        "outside:ends stopped answering: it ended",
    ] {
        assert!(said.iter().any(|line| line.starts_with(part)), "{part}: {said:?}");
    }
    let id = lines[0]["id"].as_str().unwrap();
    let told = place.says(&["explain", id]);
    assert!(told.contains("  silent outside:hangs: no answer within 50ms"), "{told}");
    assert!(place.says(&["replay", id]).starts_with("same: "), "a time-out is an input");
    // What was asked of none of them is as it would be without them.
    let alone = Place::new();
    let (without, _) = alone.sweep(&[]);
    let declared = |line: &Value| line["verdict"]["opinions"][0].clone();
    assert_eq!(declared(&lines[0])["expert"], "declared");
    assert_eq!(declared(&lines[0])["distribution"], declared(&without[0])["distribution"]);
}

#[test]
fn root_takes_experts_only_from_what_root_alone_can_write() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root is refused");
        return;
    }
    let place = Place::new();
    place.experts(&[("list", "while read -r q; do echo '{\"severity\":\"info\"}'; done", "30s")]);
    std::fs::set_permissions(place.path("list"), PermissionsExt::from_mode(0o777)).unwrap();
    let (_, summary) = place.sweep(&[]);
    let said = summary["incomplete"][0].as_str().unwrap();
    assert!(said.contains("others than root may write it, so root does not run it"), "{said}");
    std::fs::set_permissions(place.path("w.yaml"), PermissionsExt::from_mode(0o666)).unwrap();
    let out = place.run(&["sweep", "auth.log", "--year", "2024"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("it names experts, and others"), "{}", text(&out.stderr));
}

#[test]
fn a_wrong_expert_in_the_configuration_is_an_error_with_its_place() {
    let place = Place::new();
    for (yaml, what) in [
        ("experts:\n- {name: a b, command: [/bin/true]}\n", "an expert's name is"),
        ("experts:\n- {name: a, command: [true-ish]}\n", "begins with an absolute path"),
        ("experts:\n- {name: a, command: [/bin/true], timeout: 1h}\n", "a time limit is"),
        ("experts:\n- {name: a, command: [/bin/true], shell: true}\n", "unknown field `shell`"),
        (
            "experts:\n- {name: a, command: [/bin/true]}\n- {name: a, command: [/bin/true]}\n",
            "two experts have one name",
        ),
    ] {
        std::fs::write(place.path("w.yaml"), yaml).unwrap();
        let out = place.run(&["config", "check"]);
        assert_eq!(out.status.code(), Some(1), "{yaml}");
        assert!(text(&out.stderr).contains(what), "{yaml}: {}", text(&out.stderr));
    }
}
