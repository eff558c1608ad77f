//! `cargo xtask deb`: the Debian package of a release build, in `target/debian`. What goes where is listed in
//! `systemd/debian/make.sh` (dpkg-deb); `systemd/package-test.sh` installs it under a real systemd.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Makes the package; prints where it is.
pub fn make() -> Result<()> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    run(Command::new("cargo")
        .args(["build", "--release", "--locked", "-p", "agent"])
        .current_dir(root))?;
    std::fs::create_dir_all(root.join("target/debian"))?;
    run(Command::new(root.join("systemd/debian/make.sh"))
        .arg(root.join("target/release/wardmote"))
        .arg(root.join("target/debian")))
    .context("dpkg-deb and gzip are needed")
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
