//! Where the tests find data that nobody here wrote; the project holds none of it.

use std::path::{Path, PathBuf};

/// A file or directory of `WARDMOTE_CORPORA`. Where it is absent the caller skips, which is said, unless
/// peers are required.
pub fn corpus(name: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpora");
    let root = std::env::var("WARDMOTE_CORPORA").unwrap_or_else(|_| default.into());
    let path = Path::new(&root).join(name);
    if path.exists() {
        return Some(path.canonicalize().unwrap());
    }
    assert_ne!(std::env::var("WARDMOTE_REQUIRE_PEERS").as_deref(), Ok("1"), "no corpora");
    println!("skipped: no corpus at {}", path.display());
    None
}
