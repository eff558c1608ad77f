fn main() {
    let root = std::env::args().nth(1).unwrap_or("/".into());
    let live = root == "/";
    let tree = scanner::RootedTree::open(std::path::Path::new(&root)).unwrap();
    let t = std::time::Instant::now();
    let v = if live { scanner::vantage::look(&tree) } else { scanner::vantage::Vantage::mounted() };
    println!("vantage {:?} {}", t.elapsed(), serde_json::to_string_pretty(&v).unwrap());
    let spoken = Default::default();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
        as i64;
    let facts = scanner::Facts::new(&tree, live, &v, None, &spoken, now);
    let t = std::time::Instant::now();
    let only: Vec<String> =
        ["files", "mounts", "patches", "system"].iter().map(|s| s.to_string()).collect();
    let ran = scanner::checks::run_all(&facts, &only, 2);
    println!("all {:?}", t.elapsed());
    for r in ran {
        println!("{:?} {} — {}", r.result, r.check.id, r.reason);
        for u in r.unseen {
            println!("     unseen {u}");
        }
        for (e, s) in r.evidence {
            println!(
                "   [{}{}] {} {:?}",
                e.level,
                e.floor.map(|f| format!(" floor {f}")).unwrap_or_default(),
                e.title,
                e.facts
            );
            for l in e.sources.iter().take(25) {
                println!("       {}:{}:{}: {}", l.file, l.line, l.column, l.text);
            }
            let _ = s;
        }
    }
}
