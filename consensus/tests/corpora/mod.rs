//! Where real test data lies that nobody here wrote.

use std::path::PathBuf;
use std::process::Command;

/// Where the scenarios are; `None`, with a line said, where they are not.
pub fn scenarios() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpora");
    let root = std::env::var_os("WARDMOTE_CORPORA").map_or(default.into(), PathBuf::from);
    let alerts = root.join("alerts");
    let xz = Command::new("xz").arg("--version").output().is_ok();
    if alerts.is_dir() && xz {
        return Some(alerts);
    }
    let required = std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(!required, "{} and xz are required and absent", alerts.display());
    eprintln!("skipped: no scenarios in {}, or no xz (set WARDMOTE_CORPORA)", alerts.display());
    None
}
