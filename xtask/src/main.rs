//! What CI does not run: `cargo xtask figures` measures wardmote beside its peers in one run and prints the
//! rows of docs/figures.md; `cargo xtask crowd` pools public label sets beside crowd-kit; `cargo xtask fuzz
//! SECONDS` runs every fuzz target for that long; `cargo xtask journal-torture` kills the journal's writer 1,000
//! times, and `cargo xtask service-torture` the whole service; `cargo xtask deb` makes the Debian package.

mod crowd;
mod crypto;
mod deb;
mod figures;
mod logs;
mod ports;
mod yaml;

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["figures"] => figures::all(),
        ["figures", "logs", inputs @ ..] => logs::measure(inputs),
        ["figures", "yaml", files @ ..] => yaml::measure(files),
        ["figures", "crypto"] => crypto::measure(),
        ["figures", "ports"] => ports::measure(),
        ["figures", name] => figures::one(name),
        ["crowd"] => crowd::all(),
        ["journal-torture"] => journal_torture(),
        ["service-torture"] => service_torture(),
        ["deb"] => deb::make(),
        ["fuzz", seconds] => fuzz(seconds.parse().context("seconds is a number")?),
        _ => bail!(
            "usage: cargo xtask figures [NAME | crypto | ports | logs --auth FILE --patterns FILE … | yaml FILE…] | crowd | deb | journal-torture | service-torture | fuzz SECONDS"
        ),
    }
}

/// Kills the whole service a thousand times, lets each of its writing calls fail in two ways, and sends it a
/// storm of a million alerts and through two days of a log; in a release build, as root, and it takes half an hour.
fn service_torture() -> Result<()> {
    let cargo = |words: &[&str]| -> Result<()> {
        let status = Command::new("cargo")
            .args(["test", "--release", "-p", "agent"])
            .args(words)
            .args(["--nocapture", "--test-threads", "1"])
            .env("WARDMOTE_TEST_KILLS", KILLS)
            .env("WARDMOTE_TEST_FAULTS", "all")
            .env("WARDMOTE_REQUIRE_PEERS", "1")
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .status()?;
        ensure!(status.success(), "the service did not hold");
        Ok(())
    };
    cargo(&["--bin", "wardmote", "--", "storm_tests", "--ignored"])?;
    cargo(&["--bin", "wardmote", "--", "long_tests", "--ignored"])?;
    cargo(&["--test", "service", "--"])
}

/// Kills of a journal's writer, or of the service.
const KILLS: &str = "1000";

/// Kills the journal's writer a thousand times, and fails each of its calls in two ways; takes minutes.
fn journal_torture() -> Result<()> {
    let status = Command::new("cargo")
        .args([
            "test",
            "-p",
            "agent",
            "--bin",
            "wardmote",
            "--",
            "journal::tests::torture",
            "--nocapture",
        ])
        .env("WARDMOTE_TEST_KILLS", KILLS)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()?;
    ensure!(status.success(), "the journal did not hold");
    Ok(())
}

/// Longest input, in bytes.
const FUZZ_BYTES_MAX: u32 = 64 << 10;
/// Longest time of one input; the targets themselves bound the processor time of a parser to a second.
const FUZZ_INPUT_SECONDS_MAX: u32 = 20;

/// Runs every fuzz target for some seconds, from its seeds (needs cargo-fuzz and a nightly toolchain);
/// goes on after a target that found something, and fails at the end.
fn fuzz(seconds: u32) -> Result<()> {
    let cargo = || {
        // The toolchain that runs xtask must not win over `+nightly`.
        let mut cargo = Command::new("cargo");
        cargo.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").args(["+nightly", "fuzz"]);
        cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        cargo
    };
    let listed = cargo().arg("list").output()?;
    ensure!(listed.status.success(), "cargo +nightly fuzz list: is cargo-fuzz installed?");
    let mut found = Vec::new();
    for target in String::from_utf8(listed.stdout)?.split_whitespace() {
        println!("== {target}");
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        std::fs::create_dir_all(format!("{root}/fuzz/corpus/{target}"))?;
        let status = cargo()
            .args(["run", target])
            .args([format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}")])
            .arg("--")
            .arg(format!("-max_len={FUZZ_BYTES_MAX}"))
            .arg(format!("-timeout={FUZZ_INPUT_SECONDS_MAX}"))
            .arg(format!("-max_total_time={seconds}"))
            .status()?;
        if !status.success() {
            found.push(target.to_string());
        }
    }
    ensure!(found.is_empty(), "found something, see fuzz/artifacts: {}", found.join(", "));
    Ok(())
}
