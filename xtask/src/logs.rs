//! Whole-process figures of log work: wardmote beside ripgrep, fail2ban-regex, goaccess and Drain3, in turn.
//!
//! The inputs are named by the caller, so that the same logs serve every machine: an authentication log, an
//! access log, pattern files (one regular expression a line), a directory of Sigma rules and one of fail2ban
//! filters. Each run of ours is followed by one of the peer; the figure is the median of the ratios' parts.
//! A peer that is not installed is said, never guessed, and counts that should agree are compared.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

const WARDMOTE: &str = "target/release/wardmote";

/// Runs of each side.
const RUNS: usize = 7;

/// Drain3 as its documentation shows it: a miner fed line by line, the syslog header cut off.
const DRAIN3: &str = r#"
import sys
from drain3 import TemplateMiner
miner = TemplateMiner()
for line in open(sys.argv[1]):
    miner.add_log_message(line.rstrip("\n")[16:])
"#;

/// What to measure on.
#[derive(Default)]
struct Inputs {
    auth: Option<PathBuf>,
    access: Option<PathBuf>,
    patterns: Vec<PathBuf>,
    sigma: Option<PathBuf>,
    filters: Option<PathBuf>,
}

/// Measures everything that the named inputs allow.
pub fn measure(words: &[&str]) -> Result<()> {
    let inputs = Inputs::read(words)?;
    let built = Command::new("cargo").args(["build", "--release", "--quiet"]).status()?;
    ensure!(built.success(), "the release build failed");
    let scratch = std::env::temp_dir().join(format!("wardmote-figures-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let done = inputs.all(&scratch);
    std::fs::remove_dir_all(&scratch)?;
    done
}

impl Inputs {
    fn read(words: &[&str]) -> Result<Self> {
        let mut inputs = Self::default();
        let mut words = words.iter();
        while let Some(option) = words.next() {
            let path = PathBuf::from(words.next().context("an option lacks its path")?);
            ensure!(path.exists(), "{} does not exist", path.display());
            match *option {
                "--auth" => inputs.auth = Some(path),
                "--access" => inputs.access = Some(path),
                "--patterns" => inputs.patterns.push(path),
                "--sigma" => inputs.sigma = Some(path),
                "--filters" => inputs.filters = Some(path),
                other => bail!("no option `{other}`"),
            }
        }
        Ok(inputs)
    }

    fn all(&self, scratch: &Path) -> Result<()> {
        if let Some(auth) = &self.auth {
            for patterns in &self.patterns {
                let (auth, patterns) = (text(auth), text(patterns));
                pair(
                    &format!("match {patterns}"),
                    &words(&[WARDMOTE, "match", "--patterns", patterns, "--count", auth]),
                    &words(&["rg", "-c", "-f", patterns, auth]),
                    Agree::Output,
                )?;
            }
            self.every_rule(auth, scratch)?;
            self.one_filter(auth, scratch)?;
            self.templates(auth, scratch)?;
        }
        if let Some(access) = &self.access {
            let report = scratch.join("report.json");
            pair(
                "access log",
                &words(&[WARDMOTE, "sweep", "--no-state", "--format", "jsonl", text(access)]),
                &words(&[
                    "goaccess",
                    text(access),
                    "--log-format=COMBINED",
                    "--no-progress",
                    "-o",
                    text(&report),
                ]),
                Agree::No,
            )?;
        }
        Ok(())
    }

    /// Own rules, all Sigma rules and all filters that were named.
    fn with_every_rule(&self, log: &Path) -> Result<Vec<String>> {
        let mut ours = words(&[WARDMOTE, "sweep", "--no-state", "--format", "jsonl", text(log)]);
        if let Some(sigma) = &self.sigma {
            ours.extend(words(&["--rules", text(sigma)]));
        }
        ours.extend(self.filter_options()?);
        Ok(ours)
    }

    /// No peer reads all these rules. Beside them: ripgrep that only looks for the texts of which a line
    /// has to hold one for them, in one alternation.
    fn every_rule(&self, auth: &Path, scratch: &Path) -> Result<()> {
        let literals = scratch.join("literals.txt");
        std::fs::write(&literals, self.literals()?)?;
        let rg = words(&["rg", "--ignore-case", "--count", "--file", text(&literals), text(auth)]);
        pair("every rule, beside their texts", &self.with_every_rule(auth)?, &rg, Agree::No)?;
        let small = scratch.join("small.log");
        std::fs::write(&small, head(auth, 1_000_000)?)?;
        alone("every rule, 1 MB", &self.with_every_rule(&small)?)
    }

    /// The required texts of own rules, all Sigma rules and all filters that were named, one a line.
    fn literals(&self) -> Result<Vec<u8>> {
        let list = words(&[WARDMOTE, "rules", "list", "--literals"]);
        let mut all = run(&list)?.output;
        let mut beside = list;
        beside.extend(self.sigma.iter().map(|sigma| text(sigma).to_string()));
        beside.extend(self.filter_options()?);
        all.extend(run(&beside)?.output);
        let lines: std::collections::BTreeSet<&[u8]> =
            all.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        Ok(lines.into_iter().flat_map(|line| [line, b"\n"]).flatten().copied().collect())
    }

    /// An option for each filter that is one by itself.
    fn filter_options(&self) -> Result<Vec<String>> {
        let Some(filters) = &self.filters else { return Ok(Vec::new()) };
        let mut names: Vec<PathBuf> = std::fs::read_dir(filters)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<_>>()?;
        names.retain(|name| {
            name.extension().is_some_and(|e| e == "conf")
                && !name.to_string_lossy().contains("-common")
                && !name.ends_with("common.conf")
        });
        names.sort();
        Ok(names.iter().flat_map(|name| words(&["--filter", text(name)])).collect())
    }

    fn one_filter(&self, auth: &Path, scratch: &Path) -> Result<()> {
        let part = scratch.join("part.log");
        std::fs::write(&part, head(auth, 10_000_000)?)?;
        pair(
            "filter sshd, 10 MB",
            &words(&[WARDMOTE, "match", "--filter", "sshd", "--count", text(&part)]),
            &words(&["fail2ban-regex", text(&part), "sshd"]),
            Agree::No,
        )
    }

    fn templates(&self, auth: &Path, scratch: &Path) -> Result<()> {
        let part = scratch.join("part.log");
        std::fs::write(&part, head(auth, 10_000_000)?)?;
        pair(
            "sweep with templates, 10 MB",
            &words(&[WARDMOTE, "sweep", "--no-state", "--format", "jsonl", text(&part)]),
            &words(&["python3", "-c", DRAIN3, text(&part)]),
            Agree::No,
        )
    }
}

enum Agree {
    /// Both print the same.
    Output,
    No,
}

/// Measures both in turn and prints medians, peak memory and the ratio.
fn pair(name: &str, ours: &[String], peer: &[String], agree: Agree) -> Result<()> {
    let first = run(ours).with_context(|| name.to_string())?;
    let other = match run(peer) {
        Ok(other) => other,
        Err(error) => {
            println!("{name}: {:.1} ms; peer not measured: {error:#}", first.seconds * 1e3);
            return Ok(());
        }
    };
    if matches!(agree, Agree::Output) {
        ensure!(first.output == other.output, "{name}: the outputs differ");
    }
    let runs = if other.seconds > 2.0 { 1 } else { RUNS };
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _run in 0..runs {
        mine.push(run(ours)?);
        theirs.push(run(peer)?);
    }
    let (mine, theirs) = (median(mine), median(theirs));
    let (my_peak, their_peak) = (peak(ours)?, peak(peer)?);
    println!(
        "{name}: {:.1} ms, {} KiB; {}: {:.1} ms, {} KiB; {:.2}x",
        mine.seconds * 1e3,
        my_peak,
        peer[0],
        theirs.seconds * 1e3,
        their_peak,
        theirs.seconds / mine.seconds
    );
    Ok(())
}

/// Measures one command that has no peer.
fn alone(name: &str, ours: &[String]) -> Result<()> {
    let runs: Result<Vec<Run>> = (0..RUNS).map(|_| run(ours)).collect();
    let seconds = median(runs?).seconds;
    println!("{name}: {:.1} ms, {} KiB", seconds * 1e3, peak(ours)?);
    Ok(())
}

struct Run {
    seconds: f64,
    output: Vec<u8>,
}

fn median(mut runs: Vec<Run>) -> Run {
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let middle = runs.len() / 2;
    runs.swap_remove(middle)
}

/// One run, timed from start to end; exit codes up to 3 say what was found, not that it failed.
fn run(words: &[String]) -> Result<Run> {
    let started = Instant::now();
    let child = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{} is not installed", words[0]))?;
    let ran = child.wait_with_output()?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(
        ran.status.code().is_some_and(|code| code <= 3 && code != 2),
        "{}: {}",
        words[0],
        ran.status
    );
    Ok(Run { seconds, output: ran.stdout })
}

/// Peak resident memory, from GNU time in a run of its own, so that it costs the timed one nothing.
fn peak(words: &[String]) -> Result<u64> {
    let ran = Command::new("/usr/bin/time")
        .args(["-f", "PEAK %M"])
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .context("/usr/bin/time (Debian's package `time`)")?;
    let said = String::from_utf8_lossy(&ran.stderr);
    let peak = said.lines().rev().find_map(|line| line.strip_prefix("PEAK "));
    Ok(peak.context("no memory figure")?.trim().parse()?)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or("a path that is not UTF-8")
}

/// The first whole lines of a file, about `bytes` of them.
fn head(path: &Path, bytes: usize) -> Result<Vec<u8>> {
    use std::io::Read;
    let mut head = Vec::new();
    std::fs::File::open(path)?.take(bytes as u64).read_to_end(&mut head)?;
    let end = head.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    head.truncate(end);
    Ok(head)
}
