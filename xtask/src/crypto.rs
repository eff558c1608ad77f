//! Figures of hashing, encryption and MACs: the bench `peers` of the crate `crypto`, which runs ours beside
//! OpenSSL, argon2-cffi, ring, age and rage, and the program's own peak memory while it seals 256 MiB.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use anyhow::{Result, ensure};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Runs the bench and prints its table, then a line of memory.
pub fn measure() -> Result<()> {
    let cargo = |words: &[&str]| Command::new("cargo").args(words).current_dir(ROOT).status();
    let ran = cargo(&["bench", "--quiet", "-p", "crypto", "--bench", "peers"])?;
    ensure!(ran.success(), "the bench failed");
    let built = cargo(&["build", "--release", "--quiet", "-p", "agent"])?;
    ensure!(built.success(), "the release build failed");
    let at = |name: &str| format!("{ROOT}/target/figures-{name}");
    let (plain, key, sealed, opened) = (at("plain"), at("key"), at("sealed"), at("opened"));
    File::create(&plain)?.set_len(256 << 20)?;
    let new_key = File::options().write(true).create(true).truncate(true).mode(0o600).open(&key)?;
    std::io::Write::write_all(&mut &new_key, &[1; 32])?;
    let program = format!("{ROOT}/target/release/wardmote");
    for (verb, from, to) in [("seal", &plain, &sealed), ("open", &sealed, &opened)] {
        let words = [program.as_str(), verb, from, "-o", to, "--key-file", &key];
        let (seconds, kib) = crate::figures::run(&words)?;
        println!(
            "wardmote {verb}, 256 MiB, on the disk at its end: {seconds:.3} s, {kib} KiB at most"
        );
    }
    [plain, key, sealed, opened].iter().try_for_each(std::fs::remove_file)?;
    Ok(())
}
