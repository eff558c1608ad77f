//! Sweeps over made and recorded logs, from the outside.

use std::path::{Path, PathBuf};

use scanner::RootedTree;
use scanner::logs::{RuleSet, SweepOptions, SweepOutcome, content, source, sweep};

/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600;

fn corpus(name: &str) -> Option<PathBuf> {
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

fn run(path: &Path, rules: &RuleSet) -> SweepOutcome {
    let tree = RootedTree::open(Path::new("/")).unwrap();
    let found = source::named(&tree, &[path.to_path_buf()]);
    let options = SweepOptions { year: Some(2015), ..SweepOptions::new(NOW) };
    sweep(&tree, found, None, rules, &options, None)
}

#[test]
fn every_failed_login_of_the_openssh_corpus_is_counted() {
    let Some(path) = corpus("loghub/OpenSSH_2k.log") else { return };
    let outcome = run(&path, &content::rules());
    assert_eq!((outcome.summary.lines, outcome.summary.unparsed), (2000, 0));
    let failed = outcome.activity.iter().find(|a| a.rule == "ssh-login-failed").unwrap();
    assert_eq!((failed.events, failed.addresses), (532, 24));
    let login = outcome.detections.iter().find(|d| d.rule == "ssh-login").unwrap();
    assert_eq!((login.count, login.entered.as_slice()), (1, &["fztu".to_string()][..]));
    assert_eq!(login.subject.ip.as_deref(), Some("119.137.62.142"));
    let worst = outcome.detections.iter().find(|d| d.subject.ip.as_deref() == Some("183.62.140.253"));
    assert_eq!(worst.unwrap().count, 286);
    for d in &outcome.detections { println!("{} {} {:?}", d.level, d.headline(), d.also); for s in &d.samples { println!("    {}:{} {}", s.line, s.column, s.text) } }
    println!("{:?}", outcome.summary);
}
