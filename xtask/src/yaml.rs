//! YAML figures: our parser beside serde_yaml (in one process, the bench `yaml`) and beside rapidyaml and
//! PyYAML's CSafeLoader (in Python), the three in turn over the same files.
//!
//! `cargo xtask figures yaml FILE…`. Python is `$WARDMOTE_PYTHON` or `python3`, with the packages `rapidyaml`
//! and `pyyaml`; what is not installed is said, never guessed. All times are those of the thread on its
//! processor: what else the machine does favours none. rapidyaml parses in place into a tree that it
//! makes anew, with its allocator's mmap threshold raised, so that it is not charged for fresh pages.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Rounds over all files; the best time of all rounds counts.
const ROUNDS: usize = 3;

const PEERS: &str = r#"
import sys, time
try:
    import ryml
except ImportError:
    ryml = None
try:
    from yaml import CSafeLoader, load_all
except ImportError:
    CSafeLoader = None

def best(run, least):
    fastest, rounds, end = 1e9, 0, time.thread_time() + 1.0
    while rounds < least or time.thread_time() < end:
        fastest = min(fastest, run())
        rounds += 1
        if rounds >= least and fastest > 1.0:
            break
    return fastest

for path in sys.argv[1:]:
    data = open(path, "rb").read()
    if ryml:
        def run():
            buffer = bytearray(data)
            start = time.thread_time()
            tree = ryml.parse_in_place(buffer)
            elapsed = time.thread_time() - start
            del tree
            return elapsed
        try:
            print(path, "rapidyaml", best(run, 3), sep="\t")
        except Exception as error:
            print(path, "rapidyaml refuses:", error, file=sys.stderr)
    if CSafeLoader:
        def run():
            start = time.thread_time()
            list(load_all(data, CSafeLoader))
            return time.thread_time() - start
        try:
            print(path, "CSafeLoader", best(run, 1), sep="\t")
        except Exception as error:
            print(path, "CSafeLoader refuses:", error, file=sys.stderr)
"#;

/// Best seconds by reader.
type Times = BTreeMap<String, f64>;

/// Measures the named files.
pub fn measure(files: &[&str]) -> Result<()> {
    ensure!(!files.is_empty(), "name the YAML files to measure on");
    let files = files
        .iter()
        .map(|file| std::fs::canonicalize(file).with_context(|| (*file).to_string()))
        .collect::<Result<Vec<_>>>()?;
    let files: Vec<&str> = files.iter().filter_map(|file| file.to_str()).collect();
    let built = Command::new("cargo")
        .args(["bench", "--quiet", "-p", "parsers", "--bench", "yaml", "--no-run"])
        .status()?;
    ensure!(built.success(), "the bench does not build");
    let mut all: BTreeMap<&str, Times> = BTreeMap::new();
    for _round in 0..ROUNDS {
        for file in &files {
            let times = all.entry(file).or_default();
            ours(file, times)?;
            peers(file, times)?;
        }
    }
    report(&all)
}

/// Keeps the least time of a reader.
fn keep(times: &mut Times, reader: &str, seconds: f64) {
    let best = times.entry(reader.to_string()).or_insert(f64::INFINITY);
    *best = best.min(seconds);
}

fn ours(file: &str, times: &mut Times) -> Result<()> {
    let ran = Command::new("cargo")
        .args(["bench", "--quiet", "-p", "parsers", "--bench", "yaml", "--", file])
        .output()?;
    ensure!(ran.status.success(), "the bench failed: {}", String::from_utf8_lossy(&ran.stderr));
    for line in String::from_utf8(ran.stdout)?.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [_, _, reader, time, _] = fields.as_slice() else { continue };
        let milliseconds: f64 = time.trim_end_matches(" ms").parse()?;
        keep(times, reader, milliseconds / 1e3);
    }
    Ok(())
}

fn peers(file: &str, times: &mut Times) -> Result<()> {
    let python = std::env::var("WARDMOTE_PYTHON").unwrap_or_else(|_| "python3".into());
    let ran = Command::new(&python)
        .args(["-c", PEERS, file])
        .env("MALLOC_MMAP_THRESHOLD_", "1000000000")
        .env("MALLOC_TRIM_THRESHOLD_", "4000000000")
        .env("MALLOC_TOP_PAD_", "100000000")
        .output()
        .with_context(|| format!("{python} is not installed"))?;
    eprint!("{}", String::from_utf8_lossy(&ran.stderr));
    for line in String::from_utf8(ran.stdout)?.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [_, reader, seconds] = fields.as_slice() else { continue };
        keep(times, reader, seconds.parse()?);
    }
    Ok(())
}

fn report(all: &BTreeMap<&str, Times>) -> Result<()> {
    const PEERS: [&str; 3] = ["rapidyaml", "serde_yaml::Value", "CSafeLoader"];
    let mut ratios: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (file, times) in all {
        let bytes = std::fs::metadata(file)?.len() as f64;
        let name = file.rsplit('/').next().unwrap_or(file);
        let rate = |reader: &str| times.get(reader).map(|seconds| bytes / seconds / 1e6);
        let tree = *times.get("tree").context("the bench gave no figure")?;
        print!("{name}: tree {:.4} ms, {:.0} MB/s", tree * 1e3, bytes / tree / 1e6);
        for peer in PEERS {
            match times.get(peer) {
                Some(seconds) => {
                    ratios.entry(peer).or_default().push(seconds / tree);
                    let rate = rate(peer).unwrap_or(0.0);
                    print!("; {peer} {rate:.1} MB/s, {:.2}x", seconds / tree);
                }
                None => print!("; {peer} not measured"),
            }
        }
        if let (Some(typed), Some(peer)) = (times.get("typed"), times.get("serde_yaml typed")) {
            let rate = bytes / typed / 1e6;
            print!("; typed {rate:.0} MB/s, {:.2}x serde_yaml", peer / typed);
        }
        println!();
    }
    for (peer, ratios) in ratios {
        let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        println!(
            "{peer}: geometric mean {mean:.2}x, least {least:.2}x over {} files",
            ratios.len()
        );
    }
    Ok(())
}
