//! Whole-process figures beside a peer in the same run: a few runs each in turn, medians, and the ratio.
//!
//! The machine may be shared and noisy: the ratio is worth more than either figure. A peer that is not
//! installed is said, never guessed.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

/// A measured command beside its peer.
struct Figure {
    name: &'static str,
    ours: &'static [&'static str],
    peer: &'static [&'static str],
    /// Runs of ours and of the peer; slow peers run once.
    runs: (usize, usize),
}

const WARDMOTE: &str = "target/release/wardmote";

const FIGURES: &[Figure] = &[
    Figure {
        name: "audit",
        ours: &[WARDMOTE, "audit", "--state-dir", "target/figures-state"],
        peer: &["lynis", "audit", "system", "--quick", "--quiet"],
        runs: (5, 1),
    },
    Figure {
        name: "scan",
        ours: &[WARDMOTE, "scan", "127.0.0.1", "-p", "1-65535"],
        peer: &[
            "nmap",
            "-sT",
            "-n",
            "-Pn",
            "-p-",
            "-T5",
            "--min-parallelism",
            "500",
            "--max-retries",
            "0",
            "127.0.0.1",
        ],
        runs: (5, 5),
    },
];

/// Every figure.
pub fn all() -> Result<()> {
    FIGURES.iter().try_for_each(measure)
}

/// One figure by name.
pub fn one(name: &str) -> Result<()> {
    let known = FIGURES.iter().find(|figure| figure.name == name);
    measure(known.with_context(|| format!("no figure `{name}`"))?)
}

fn measure(figure: &Figure) -> Result<()> {
    let built = Command::new("cargo").args(["build", "--release", "--quiet"]).status()?;
    ensure!(built.success(), "the release build failed");
    run(figure.ours)?;
    let ours = median(figure.ours, figure.runs.0)?;
    println!("{:<6} {:>9.3} s {:>7} KiB  {}", figure.name, ours.0, ours.1, figure.ours.join(" "));
    match median(figure.peer, figure.runs.1) {
        Ok(peer) => {
            println!(
                "{:<6} {:>9.3} s {:>7} KiB  {}",
                "peer",
                peer.0,
                peer.1,
                figure.peer.join(" ")
            );
            println!("{:<6} {:>9.1} x faster", "ratio", peer.0 / ours.0);
        }
        Err(error) => println!("{:<6} not measured: {error:#}", "peer"),
    }
    Ok(())
}

/// Median wall time in seconds and largest peak memory in KiB.
fn median(words: &[&str], runs: usize) -> Result<(f64, u64)> {
    let mut seen = (0..runs).map(|_| run(words)).collect::<Result<Vec<_>>>()?;
    seen.sort_by(|a, b| a.0.total_cmp(&b.0));
    let peak = seen.iter().map(|(_, peak)| *peak).max().unwrap_or(0);
    Ok((seen[seen.len() / 2].0, peak))
}

/// One run through GNU time, for the operating system's own accounting of memory.
pub fn run(words: &[&str]) -> Result<(f64, u64)> {
    let started = Instant::now();
    let ran = Command::new("/usr/bin/time")
        .args(["-f", "PEAK %M"])
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .context("/usr/bin/time (Debian's package `time`)")?;
    let elapsed = started.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&ran.stderr);
    if ran.status.code() == Some(127) {
        bail!("{} is not installed", words[0]);
    }
    let peak = said.lines().rev().find_map(|line| line.strip_prefix("PEAK "));
    Ok((elapsed, peak.context("no memory figure")?.trim().parse()?))
}
