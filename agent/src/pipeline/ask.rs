//! Asks the host's own programs what only they can say: NSS, the firewall, the journal, sshd's version.
//!
//! Only on the running host, never in a mounted tree. Every program is started from a fixed path with
//! a clean environment, no input, a time limit and an output limit, in its own process group, which is
//! killed at the limit. Nothing that would change the host is started: the firewall programs are asked
//! only when the kernel already holds their tables, since asking would load the modules.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{WaitId, WaitIdOptions};
use scanner::facts::Spoken;

use crate::pipeline::dumped;
use crate::pipeline::tables::{self, Tables};

/// Where programs are looked for, in this order.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// How long a program may take; a directory service that hangs must not hang the audit.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);
/// How long the journal may take.
const JOURNAL_TIME_MAX: Duration = Duration::from_secs(60);

/// What a program said.
pub struct Answer {
    /// Its stdout.
    pub stdout: Vec<u8>,
    /// Its stderr.
    pub stderr: Vec<u8>,
    /// Whether it ended with 0.
    pub success: bool,
}

/// Asks everything the checks want to know.
pub fn everything() -> Spoken {
    let mut spoken = Spoken::default();
    std::thread::scope(|scope| {
        let passwd = scope.spawn(|| ask("getent", &["passwd"]));
        let version = scope.spawn(|| ask("sshd", &["-V"]));
        let firewall = scope.spawn(firewall);
        match passwd.join().unwrap_or_else(|_| Err("failed".into())) {
            Ok(answer) if answer.success => spoken.getent_passwd = Some(answer.stdout),
            Ok(_) => spoken.unanswered.push(("getent".into(), "ended with an error".into())),
            Err(reason) => spoken.unanswered.push(("getent".into(), reason)),
        }
        if let Ok(Ok(answer)) = version.join() {
            spoken.sshd_version = Some(answer.stderr);
        }
        if let Ok(firewall) = firewall.join() {
            spoken.nft_json = firewall.nft_json;
            spoken.iptables_save = firewall.iptables_save;
            spoken.ip6tables_save = firewall.ip6tables_save;
            spoken.firewall_age_s = firewall.firewall_age_s;
            spoken.unanswered.extend(firewall.unanswered);
        }
    });
    spoken
}

/// The firewall's rules, asked for, and where that is not allowed as the helper wrote them down.
pub fn firewall() -> Spoken {
    let mut spoken = firewall_itself();
    let folder = Path::new(dumped::FOLDER);
    dumped::fill(&mut spoken, folder, 0, std::time::SystemTime::now());
    spoken
}

/// The firewall's rules, asked for. Where the kernel holds no tables the answer is known to be "no rules".
pub fn firewall_itself() -> Spoken {
    let mut spoken = Spoken::default();
    match tables::nftables() {
        Tables::Held => {
            spoken.nft_json = rules("nft", &["-j", "list", "ruleset"], &mut spoken.unanswered);
        }
        Tables::None => spoken.nft_json = Some(dumped::NO_RULES.to_vec()),
        Tables::Unseen(why) => spoken.unanswered.push(("nft".into(), why)),
    }
    spoken.iptables_save =
        legacy("ip_tables_names", "iptables-legacy-save", &mut spoken.unanswered);
    spoken.ip6tables_save =
        legacy("ip6_tables_names", "ip6tables-legacy-save", &mut spoken.unanswered);
    if spoken.nft_json.as_deref().is_some_and(has_extensions) {
        // nft prints extensions of iptables (as in Docker's DNAT) by name only; iptables knows them.
        for (kept, program) in [
            (&mut spoken.iptables_save, "iptables-nft-save"),
            (&mut spoken.ip6tables_save, "ip6tables-nft-save"),
        ] {
            // Rules in the old tables as well would be mixed up with these.
            if kept.as_ref().is_none_or(Vec::is_empty) {
                let told = rules(program, &[], &mut spoken.unanswered);
                *kept = told.or(kept.take());
            }
        }
    }
    spoken
}

/// Whether nft's JSON names an extension of iptables.
fn has_extensions(json: &[u8]) -> bool {
    let mark = b"{\"xt\":";
    json.windows(mark.len()).any(|window| window == mark)
}

/// The rules of the old tables, which the kernel names when it holds any.
fn legacy(names: &str, program: &str, unanswered: &mut Vec<(String, String)>) -> Option<Vec<u8>> {
    match std::fs::read(Path::new("/proc/net").join(names)) {
        Ok(held) if held.is_empty() => Some(Vec::new()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(Vec::new()),
        Ok(_) => {
            let plain = program.replace("-legacy", "");
            let program = if find(program).is_some() { program } else { &plain };
            rules(program, &[], unanswered)
        }
        Err(error) => {
            unanswered.push((program.into(), format!("/proc/net/{names}: {error}")));
            None
        }
    }
}

fn rules(program: &str, words: &[&str], unanswered: &mut Vec<(String, String)>) -> Option<Vec<u8>> {
    match ask(program, words) {
        Ok(answer) if answer.success => Some(answer.stdout),
        Ok(answer) => {
            let said = String::from_utf8_lossy(&answer.stderr);
            let line = scanner::redact::line(said.lines().next().unwrap_or("ended with an error"));
            unanswered.push((program.into(), line));
            None
        }
        Err(reason) => {
            unanswered.push((program.into(), reason));
            None
        }
    }
}

/// Starts a program and takes its whole answer, or says why there is none.
pub fn ask(program: &str, words: &[&str]) -> Result<Answer, String> {
    let mut running = Running::start(program, words, ANSWER_TIME_MAX)?;
    let mut stderr = running.child.stderr.take().ok_or("no stderr")?;
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.by_ref().take(1 << 16).read_to_end(&mut text);
        let _ = std::io::copy(&mut stderr, &mut std::io::sink());
        text
    });
    let mut stdout = Vec::new();
    let read = running.by_ref().take(ANSWER_BYTES_MAX + 1).read_to_end(&mut stdout);
    let too_long = stdout.len() as u64 > ANSWER_BYTES_MAX;
    let ended = running.finish(too_long);
    let stderr = errors.join().unwrap_or_default();
    read.map_err(|error| error.to_string())?;
    match ended {
        _ if too_long => Err(format!("answered more than {ANSWER_BYTES_MAX} bytes")),
        Ended::Late => Err(format!("no answer within {} s", ANSWER_TIME_MAX.as_secs())),
        Ended::With(success) => Ok(Answer { stdout, stderr, success }),
    }
}

/// The systemd journal, as a stream in the export format, after a cursor or else since a time; `None`
/// where the host keeps no journal.
pub fn journal(since: Option<i64>, after: Option<&str>) -> Option<Result<Running, String>> {
    let kept = ["/var/log/journal", "/run/log/journal"].iter().any(|path| Path::new(path).is_dir());
    if !kept {
        return None;
    }
    let mut words = vec!["-o".to_string(), "export".into(), "--no-pager".into(), "--quiet".into()];
    match (after, since) {
        (Some(cursor), _) => words.push(format!("--after-cursor={cursor}")),
        (None, Some(since)) => words.push(format!("--since=@{since}")),
        (None, None) => {}
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Some(Running::start_with("journalctl", &words, JOURNAL_TIME_MAX, Stdio::null()))
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself; whether with 0.
    With(bool),
    /// It was killed at its time limit: what it said may be cut.
    Late,
}

impl Ended {
    /// What to list under `incomplete`, where it did not end well.
    pub fn complaint(self, what: &str) -> Option<String> {
        match self {
            Self::With(true) => None,
            Self::With(false) => {
                Some(format!("{what}: the program that reads it ended with an error"))
            }
            Self::Late => Some(format!("{what}: cut off at its time limit")),
        }
    }
}

/// A program that runs and whose stdout is read; killed at its time limit.
pub struct Running {
    child: Child,
    stdout: ChildStdout,
    watch: Option<(Sender<()>, JoinHandle<bool>)>,
}

impl Running {
    fn start(program: &str, words: &[&str], limit: Duration) -> Result<Self, String> {
        Self::start_with(program, words, limit, Stdio::piped())
    }

    fn start_with(
        program: &str,
        words: &[&str],
        limit: Duration,
        stderr: Stdio,
    ) -> Result<Self, String> {
        let path = find(program).ok_or_else(|| format!("{program} is not installed"))?;
        let mut child = Command::new(path)
            .args(words)
            .env_clear()
            .env("PATH", FOLDERS.join(":"))
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .map_err(|error| error.to_string())?;
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let group = rustix::process::Pid::from_child(&child);
        let (ended, wait) = channel::<()>();
        let watch = std::thread::spawn(move || {
            let late = wait.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
            if late {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            late
        });
        Ok(Self { child, stdout, watch: Some((ended, watch)) })
    }

    /// What it says.
    pub fn stdout(&self) -> &ChildStdout {
        &self.stdout
    }

    /// Waits for the end; kills first where the rest is not wanted.
    pub fn finish(&mut self, kill: bool) -> Ended {
        let group = rustix::process::Pid::from_child(&self.child);
        let kill_all = || {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        };
        if kill {
            kill_all();
        }
        // Until it is reaped the group's number is its own: nobody else's processes can be hit, and what
        // it left running ends with it.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let _ = rustix::process::waitid(WaitId::Pid(group), ended);
        let late = self.watch.take().is_some_and(|(sender, watch)| {
            drop(sender);
            watch.join().unwrap_or(false)
        });
        kill_all();
        let status = self.child.wait();
        if late { Ended::Late } else { Ended::With(status.is_ok_and(|status| status.success())) }
    }
}

impl Read for Running {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stdout.read(buffer)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.watch.is_some() {
            self.finish(true);
        }
    }
}

/// The program's path, from the fixed folders only.
fn find(program: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn answers_are_whole_and_failures_are_told() {
        assert_eq!(ask("printf", &["a\\nb"]).unwrap().stdout, b"a\nb");
        assert!(!ask("false", &[]).unwrap().success);
        assert!(ask("no-such-program", &[]).is_err_and(|reason| reason.contains("not installed")));
    }

    #[test]
    fn extensions_of_iptables_are_noticed_in_what_nft_says() {
        assert!(has_extensions(
            br#"{"nftables":[{"rule":{"expr":[{"xt": {"type": "target"}}]}}]}"#
        ));
        assert!(!has_extensions(br#"{"nftables":[{"table":{"name":"xt"}}]}"#));
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_its_children() {
        let started = Instant::now();
        let mut running =
            Running::start("sh", &["-c", "sleep 60 | sleep 60"], Duration::from_millis(200))
                .unwrap();
        let mut rest = Vec::new();
        running.read_to_end(&mut rest).unwrap();
        assert_eq!(running.finish(false), Ended::Late);
        assert!(started.elapsed() < Duration::from_secs(20));
    }
}
