//! Figures of the connect scan: the bench `ports` of the scanner, with the release build of wardmote
//! beside it. nmap and rustscan are asked where they are installed (`WARDMOTE_RUSTSCAN` names another
//! place of the latter).

use std::process::Command;

use anyhow::{Result, ensure};

/// Builds both and prints the bench's table.
pub fn measure() -> Result<()> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let cargo = |words: &[&str]| {
        Command::new("cargo")
            .args(words)
            .current_dir(root)
            .env("WARDMOTE_PROGRAM", format!("{root}/target/release/wardmote"))
            .status()
    };
    let built = cargo(&["build", "--release", "--quiet", "-p", "agent"])?;
    ensure!(built.success(), "the release build failed");
    let ran = cargo(&["bench", "--quiet", "-p", "scanner", "--bench", "ports"])?;
    ensure!(ran.success(), "the bench failed");
    Ok(())
}
