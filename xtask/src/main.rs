//! What CI does not run: `cargo xtask figures` measures wardmote beside its peers in one run and prints the
//! rows of docs/figures.md; `cargo xtask fuzz SECONDS` runs every fuzz target for that long.

mod figures;

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["figures"] => figures::all(),
        ["figures", name] => figures::one(name),
        ["fuzz", seconds] => fuzz(seconds.parse().context("seconds is a number")?),
        _ => bail!("usage: cargo xtask figures [NAME] | fuzz SECONDS"),
    }
}

/// Runs every fuzz target for some seconds (needs cargo-fuzz and a nightly toolchain).
fn fuzz(seconds: u32) -> Result<()> {
    let listed = Command::new("cargo").args(["+nightly", "fuzz", "list"]).output()?;
    ensure!(listed.status.success(), "cargo +nightly fuzz list: is cargo-fuzz installed?");
    for target in String::from_utf8(listed.stdout)?.split_whitespace() {
        println!("== {target}");
        let status = Command::new("cargo")
            .args(["+nightly", "fuzz", "run", target, "--", "-max_len=65536"])
            .arg(format!("-max_total_time={seconds}"))
            .status()?;
        ensure!(status.success(), "{target} found something: see fuzz/artifacts/{target}");
    }
    Ok(())
}
