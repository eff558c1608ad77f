//! A sweep of one log, timed.
#![allow(clippy::unwrap_used)]
use scanner::RootedTree;
use scanner::logs::{SweepOptions, content, source, sweep};
use std::time::Instant;
fn status(key: &str) -> String {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    text.lines().find(|l| l.starts_with(key)).unwrap_or("").to_string()
}
fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap();
    let jobs: usize = args.next().map_or(1, |a| a.parse().unwrap());
    let observe = args.next().map_or(true, |a| a == "1");
    let rounds: usize = args.next().map_or(1, |a| a.parse().unwrap());
    let begun = Instant::now();
    let rules = content::rules();
    eprintln!("rules {:?}", begun.elapsed());
    for _ in 0..rounds {
        let options = SweepOptions { jobs, observe, ..SweepOptions::new(1_793_000_000) };
        let tree = RootedTree::open(std::path::Path::new("/")).unwrap();
        let found = source::named(&tree, &[path.clone().into()]);
        let begun = Instant::now();
        let outcome = sweep(&tree, found, None, &rules, &options, None);
        let s = &outcome.summary;
        eprintln!(
            "{:?} lines {} hits {} det {} | {} {} {}",
            begun.elapsed(),
            s.lines,
            s.hits,
            s.detections,
            status("VmHWM"),
            status("RssAnon"),
            status("RssFile")
        );
        if std::env::var_os("DUMP").is_some() {
            println!("{outcome:#?}");
        }
    }
}
