//! Runs a program to its end: bounded in time and output, killed with all that it started.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group};

use super::Failed;

/// Where programs are looked for, in this order; the only path in an environment that we make.
pub const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Most bytes of stdout that are kept.
const STDOUT_BYTES_MAX: u64 = 4 << 20;
/// Most bytes of stderr that are kept.
const STDERR_BYTES_MAX: u64 = 16 << 10;
/// Longest line that is shown of what a program said.
const LINE_CHARS_MAX: usize = 200;

/// What a program said until it ended.
pub struct Said {
    pub stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// It ended with 0.
    pub success: bool,
}

impl Said {
    /// The first line that it said, on stderr if it said something there; redacted, safe to print.
    pub fn line(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let both = [text(&self.stderr), text(&self.stdout)];
        let mut lines = both.iter().flat_map(|text| text.lines());
        let line = lines.find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        scanner::redact::line(line.trim()).chars().take(LINE_CHARS_MAX).collect()
    }
}

/// A program's path, from the fixed folders only.
pub fn find(program: &str) -> Option<OsString> {
    let mut paths = PATH.split(':').map(|folder| Path::new(folder).join(program));
    paths.find(|path| path.is_file()).map(Into::into)
}

/// A command with an environment of our own making.
pub fn plain(words: &[OsString]) -> Command {
    let mut command = Command::new(words.first().map_or(OsStr::new("/nonexistent"), |word| word));
    command.args(words.get(1..).unwrap_or_default());
    command.env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8").current_dir("/");
    command
}

/// Runs it to its end, or kills it at its time.
pub fn run(command: &mut Command, stdin: &[u8], within: Duration) -> Result<Said, Failed> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let name = command.get_program().display().to_string();
    let mut child = command.spawn().map_err(|error| Failed::Nothing(format!("{name}: {error}")))?;
    let group = Pid::from_child(&child);
    let kill = move || {
        let _ = kill_process_group(group, Signal::KILL);
    };
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut input), Some(out), Some(err)) = pipes else {
        kill();
        let _ = child.wait();
        return Err(Failed::Halfway(format!("{name}: no pipes")));
    };
    let (ended, wait) = channel::<()>();
    let (stdout, stderr, late) = std::thread::scope(|scope| {
        let stderr = scope.spawn(|| take(err, STDERR_BYTES_MAX));
        let stdout = scope.spawn(|| take(out, STDOUT_BYTES_MAX));
        // One that reads nothing ends the pipe at its end, at the latest when it is killed.
        scope.spawn(move || {
            let _ = input.write_all(stdin);
        });
        let watch = scope.spawn(move || {
            let late = wait
                .recv_timeout(within)
                .is_err_and(|why| matches!(why, std::sync::mpsc::RecvTimeoutError::Timeout));
            if late {
                kill();
            }
            late
        });
        // Until it is reaped the group's number is its own: nobody else's processes can be hit.
        let exited = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let _ = rustix::process::waitid(WaitId::Pid(group), exited);
        drop(ended);
        let late = watch.join().unwrap_or(true);
        kill();
        (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default(), late)
    });
    let status = child.wait();
    if late {
        return Err(Failed::Halfway(format!("{name}: not done within {} ms", within.as_millis())));
    }
    Ok(Said { stdout, stderr, success: status.is_ok_and(|status| status.success()) })
}

/// The first bytes of a stream; the rest is taken and forgotten.
fn take(mut from: impl Read, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = from.by_ref().take(most).read_to_end(&mut bytes);
    let _ = std::io::copy(&mut from, &mut std::io::sink());
    bytes
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn sh(script: &str, stdin: &[u8], millis: u64) -> Result<Said, Failed> {
        let words = ["/bin/sh", "-c", script].map(OsString::from);
        run(&mut plain(&words), stdin, Duration::from_millis(millis))
    }

    #[test]
    fn what_a_program_says_is_whole_bounded_and_safe() {
        let said = sh("cat; echo oops >&2", b"in", 5_000).unwrap();
        assert_eq!((said.stdout.as_slice(), said.line().as_str()), (&b"in"[..], "oops"));
        assert!(said.success && !sh("exit 3", b"", 5_000).unwrap().success);
        let flood = sh("head -c 9000000 /dev/zero", b"", 20_000).unwrap();
        assert_eq!(flood.stdout.len() as u64, STDOUT_BYTES_MAX);
        let escape = sh(r"printf '\033[31mred\n'", b"", 5_000).unwrap().line();
        assert!(!escape.contains('\x1b'), "{escape:?}");
        // One that reads nothing of a long input.
        assert!(sh("exit 0", &vec![b'x'; 1 << 20], 5_000).unwrap().success);
        let env = sh("env", b"", 5_000).unwrap().stdout;
        let env = String::from_utf8(env).unwrap();
        let ours = |line: &str| {
            ["PATH=", "LC_ALL=", "PWD=", "SHLVL=", "_=", "OLDPWD="]
                .iter()
                .any(|start| line.starts_with(start))
        };
        assert!(env.lines().all(ours), "{env}");
    }

    #[test]
    fn one_that_hangs_is_killed_with_its_children() {
        let begun = Instant::now();
        let late = sh("sleep 60 | sleep 60", b"", 100).err().unwrap();
        assert!(matches!(late, Failed::Halfway(_)), "{late:?}");
        // What it leaves behind in its group ends with it.
        assert!(sh("sleep 60 & exit 0", b"", 5_000).unwrap().success);
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn one_that_is_not_there_did_nothing() {
        let none = run(&mut plain(&["/nonexistent/x".into()]), b"", Duration::from_secs(1));
        assert!(matches!(none.err().unwrap(), Failed::Nothing(_)));
        assert!(matches!(
            run(&mut plain(&[]), b"", Duration::from_secs(1)),
            Err(Failed::Nothing(_))
        ));
        assert_eq!(find("no-such-program"), None);
    }
}
