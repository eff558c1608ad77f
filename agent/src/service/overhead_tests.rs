//! What the service's own features cost a sweep: the same log through a service that only keeps and tells in its
//! file, and through one with every way out on this host, metrics and responses.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

use super::host::Host;
use super::tests::parts;
use super::*;
use crate::govern::worker::Responder;
use crate::pipeline::case::samples;
use crate::store::ALERTS_MAX;
use crate::store::sqlite::SqliteStore;

/// Lines of everyday work, and how many of them come between two attackers.
const LINES: u32 = 500_000;
const APART: u32 = 10_000;
/// Rounds, of which each service's fastest counts.
const ROUNDS: usize = 7;

fn clock() -> i64 {
    samples::NOW
}

fn log(attackers: bool) -> String {
    let mut text = String::new();
    for number in 0..LINES {
        let at = clock() - 3_600 + i64::from(number / (LINES / 3_500));
        let time = jiff::Timestamp::from_second(at).unwrap();
        let (pid, user) = (number % 30_000, number % 5);
        let line = match number % 4 {
            0 => format!(
                "CRON[{pid}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"
            ),
            1 => format!("systemd-logind[812]: New session {number} of user user{user}."),
            2 => format!("systemd[1]: session-{number}.scope: Deactivated successfully."),
            _ => format!("sshd[{pid}]: pam_unix(sshd:session): session closed for user user{user}"),
        };
        writeln!(text, "{time} web1 {line}").unwrap();
        if attackers && number % APART == 0 {
            let address = std::net::Ipv4Addr::from(0x2d00_0000 + number);
            for port in 0..20 {
                writeln!(text, "{time} web1 sshd[{pid}]: Failed password for invalid user admin from {address} port {port} ssh2").unwrap();
            }
        }
    }
    text
}

fn settings(all: bool, dir: &Path) -> Settings {
    let text = match all {
        false => "agent: {alert_from: info}".to_string(),
        true => format!(
            "agent: {{alert_from: info, metrics: metrics.prom, metrics_socket: {dir}/metrics.sock, deliver: here}}
responses: {{enabled: true, block: {{enabled: true, from: low}}}}
notify:
- {{name: lines, from: info, file: {{path: {dir}/notes.jsonl, format: jsonl}}}}
- {{name: ocsf, from: info, summary: {{at: '08:00'}}, file: {{path: {dir}/ocsf.jsonl, format: ocsf}}}}
- {{name: run, from: info, command: {{run: [/bin/true], timeout: 10s}}}}",
            dir = dir.display()
        ),
    };
    serde_yaml::from_str(&text).unwrap()
}

/// One sweep over the log, kept and told; the seconds it took, and the processor's seconds, of whatever thread.
fn sweep(root: &Path, all: bool) -> (f64, f64, usize) {
    let state = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let settings = settings(all, state.path());
    let recorder = SharedRecorder::new(state.path());
    let mut host = Host::new(root.into(), state.path(), clock).unwrap();
    if all {
        let ledger = Box::new(recorder.clone());
        let responder = Responder::start(state.path(), &settings, ledger, clock).unwrap();
        host = host.with_responses(responder);
    }
    let reload = settings.clone();
    let parts = Parts {
        store: Box::new(SqliteStore::open(&state.path().join("wardmote.db"), ALERTS_MAX).unwrap()),
        settings: settings.clone(),
        reload: Box::new(move || Ok(reload.clone())),
        recorder,
        clock,
        ..parts(state.path(), &Bus::default())
    };
    let mut service = Service::new(Box::new(host), parts);
    service.open_desk();
    service.open_doors();
    service.parts.recorder.lock().started();
    let used = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let (began, used_before) = (Instant::now(), used());
    let mut look = service.look.take().unwrap();
    let looked = look.sweep(&settings);
    let cases = looked.as_ref().unwrap().cases.len();
    service.settle((look, Step::Sweep, looked));
    assert_eq!(service.trouble, None);
    let took = began.elapsed().as_secs_f64();
    service.parts.recorder.lock().stopped("the test is over");
    // Whoever delivers and answers has ended with it.
    drop(service);
    (took, used() - used_before, cases)
}

#[test]
#[ignore = "a benchmark: cargo test --release -p agent --bins overhead_tests -- --ignored --nocapture"]
fn all_features_beside_none() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("var/log")).unwrap();
    std::fs::create_dir_all(root.path().join("etc")).unwrap();
    // The doors are opened in a reactor; nobody asks at them here.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    for attackers in [false, true] {
        std::fs::write(root.path().join("var/log/auth.log"), log(attackers)).unwrap();
        compare(root.path(), attackers);
    }
}

fn compare(root: &Path, attackers: bool) {
    let mut least = [(f64::MAX, f64::MAX); 2];
    let mut cases = [0; 2];
    for _ in 0..ROUNDS {
        for all in [false, true] {
            let (took, used, found) = sweep(root, all);
            let least = &mut least[usize::from(all)];
            *least = (least.0.min(took), least.1.min(used));
            cases[usize::from(all)] = found;
        }
    }
    let [(took, used), (took_all, used_all)] = least;
    let percent = |all: f64, none: f64| (all / none - 1.0) * 100.0;
    println!(
        "{LINES} lines, {} cases: {:.2} M lines/s, all features {:+.2} %; processor {:.1} ms, {:+.2} % ({:+.2} ms)",
        cases[1],
        f64::from(LINES) / took / 1e6,
        percent(took_all, took),
        used * 1e3,
        percent(used_all, used),
        (used_all - used) * 1e3,
    );
    assert_eq!(cases[0], cases[1]);
    assert!((cases[0] >= (LINES / APART) as usize) == attackers, "{cases:?}");
}
