//! `wardmote consensus` beside crowd-kit on ten public sets: accuracy, levels, and eight experts in league.
//!
//! Both get the same tables: one label an (item, expert), the last one of several (crowd-kit itself would
//! count them all); the same code scores both. Of labels that tie each takes the first in its order; the
//! column `majority` gives a tie its share. Without python3, pip or the sets, this says so and measures
//! what it can; with `WARDMOTE_REQUIRE_PEERS=1` that is a failure.

#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../../consensus/tests/crowd/colluders.rs"]
mod colluders;
#[allow(clippy::unwrap_used, reason = "shared with the tests, which end at a broken set")]
#[path = "../../consensus/tests/crowd/dawid_skene.rs"]
mod dawid_skene;
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with the tests, which end at a broken set"
)]
#[path = "../../consensus/tests/crowd/sets.rs"]
mod sets;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use consensus::labels::{Ballots, Decision, Scale, Score, csv, pool};
use sets::SETS;

/// The peer, as pip knows it.
const CROWD_KIT: &str = "crowd-kit==1.4.2";
/// Its methods, as crowd_peers.py knows them.
const METHODS: [&str; 5] = ["MV", "DS", "OneCoin", "GLAD", "MACE"];
/// Longest processor time of one method on one set.
const SECONDS: u32 = 120;
/// The sets with about ten labels an item, and how much of what colluders say is their own.
const LEAGUES: [(&str, [f64; 2]); 3] =
    [("dog", [0.01, 0.02]), ("rte", [0.01, 0.02]), ("web", [0.01, 0.02])];
const COLLUDERS: usize = 8;
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// One table to pool.
struct Table {
    /// Of its files.
    name: String,
    /// Folder of the set it comes from.
    set: PathBuf,
    ballots: Ballots,
}

/// Prints all tables.
pub fn all() -> Result<()> {
    let Some(crowd) = sets::corpus() else { return Ok(()) };
    let work = Path::new(ROOT).join("target/crowd");
    let python =
        python(&work).inspect_err(|error| println!("crowd-kit is skipped: {error:#}")).ok();
    let required = std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_some_and(|value| value == "1");
    ensure!(python.is_some() || !required, "crowd-kit is required and absent");
    let whole: Vec<Table> = SETS.iter().map(|set| table(&crowd, set, None)).collect();
    let leagues: Vec<Table> = LEAGUES
        .iter()
        .flat_map(|(set, noises)| noises.map(|noise| table(&crowd, set, Some(noise))))
        .collect();
    let peers = work.join("peers");
    if peers.is_dir() {
        fs::remove_dir_all(&peers)?;
    }
    fs::create_dir_all(&peers)?;
    if let Some(python) = python {
        run(&python, &work, &peers, &METHODS, &whole)?;
        run(&python, &work, &peers, &["MV", "DS"], &leagues)?;
    }
    accuracies(&whole, &peers)?;
    levels(&whole, &peers)?;
    collusion(&whole, &leagues, &peers)?;
    same_dawid_skene(&whole, &leagues, &peers)
}

fn table(crowd: &Path, set: &str, noise: Option<f64>) -> Table {
    let path = crowd.join(set);
    let mut lines = sets::lines(&path);
    let mut ballots = sets::read(&lines);
    if let Some(noise) = noise {
        let truths = sets::truths(&path, &ballots);
        for said in colluders::colluders(&truths, ballots.labels.len(), COLLUDERS, noise) {
            let (item, label) = (&ballots.items[said.item], &ballots.labels[said.label]);
            lines.push(format!("{item},colluder{},{label}", said.copy));
        }
        ballots = sets::read(&lines);
    }
    let name = noise.map_or(set.to_string(), |noise| format!("{set}-{noise}"));
    Table { name, set: path, ballots }
}

/// A Python that has crowd-kit, in an environment of its own.
fn python(work: &Path) -> Result<PathBuf> {
    let venv = work.join("venv");
    let python = venv.join("bin/python");
    let has = |python: &Path| {
        let ran = Command::new(python).args(["-c", "import crowdkit.aggregation"]).output();
        ran.is_ok_and(|ran| ran.status.success())
    };
    if has(&python) {
        return Ok(python);
    }
    fs::create_dir_all(work)?;
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv).output();
    let made = made.context("python3 is not installed")?;
    ensure!(
        made.status.success(),
        "python3 -m venv: {}",
        String::from_utf8_lossy(&made.stderr).trim()
    );
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", CROWD_KIT];
    let installed = Command::new(&python).args(pip).output()?;
    let said = String::from_utf8_lossy(&installed.stderr);
    ensure!(installed.status.success(), "pip install {CROWD_KIT}: {}", said.trim());
    ensure!(has(&python), "{CROWD_KIT} was installed but cannot be imported");
    Ok(python)
}

/// Writes the tables and has the peers label them; what they cannot do they say themselves.
fn run(python: &Path, work: &Path, out: &Path, methods: &[&str], tables: &[Table]) -> Result<()> {
    let folder = work.join("tables");
    fs::create_dir_all(&folder)?;
    let mut paths = Vec::new();
    for table in tables {
        let path = folder.join(format!("{}.csv", table.name));
        let mut text = String::from("item,expert,label\n");
        for vote in &table.ballots.votes {
            let item = csv::escaped(&table.ballots.items[vote.item as usize]);
            let expert = csv::escaped(&table.ballots.experts[vote.expert as usize]);
            let label = csv::escaped(&table.ballots.labels[vote.label as usize]);
            text.push_str(&format!("{item},{expert},{label}\n"));
        }
        fs::write(&path, text)?;
        paths.push(path);
    }
    let status = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/crowd_peers.py"))
        .arg(SECONDS.to_string())
        .arg(out)
        .arg(methods.join(","))
        .args(paths)
        .status()?;
    ensure!(status.success(), "crowd_peers.py failed");
    Ok(())
}

fn scale(table: &Table) -> Scale {
    if table.set.ends_with("web") { Scale::Ordinal } else { Scale::Nominal }
}

fn ours(table: &Table, scale: Scale) -> Score {
    sets::score(&table.set, &table.ballots, &pool(&table.ballots, scale).decisions)
}

/// A peer's labels; `None` where it gave none.
fn labels(table: &Table, peers: &Path, method: &str) -> Result<Option<Vec<Decision>>> {
    let path = peers.join(format!("{}.{method}.csv", table.name));
    if !path.is_file() {
        return Ok(None);
    }
    let ballots = &table.ballots;
    let text = fs::read_to_string(&path)?;
    let said: HashMap<&str, &str> =
        text.lines().skip(1).filter_map(|line| line.rsplit_once(',')).collect();
    let decided = |item: &String| {
        let label =
            said.get(item.as_str()).and_then(|said| ballots.labels.iter().position(|l| l == said));
        let label = label.with_context(|| format!("{}: no label for {item}", path.display()))?;
        Ok(Decision { label, probabilities: vec![0.0; ballots.labels.len()] })
    };
    ballots.items.iter().map(decided).collect::<Result<_>>().map(Some)
}

/// What a peer's labels are worth; `None` where it gave none.
fn theirs(table: &Table, peers: &Path, method: &str) -> Result<Option<Score>> {
    let decisions = labels(table, peers, method)?;
    Ok(decisions.map(|decisions| sets::score(&table.set, &table.ballots, &decisions)))
}

fn shown(figure: Option<f64>) -> String {
    figure.map_or(format!("{:>9}", "-"), |figure| format!("{figure:>9.4}"))
}

/// Accuracy on every set; `web` is pooled on its scale.
fn accuracies(tables: &[Table], peers: &Path) -> Result<()> {
    println!("\naccuracy, one configuration, no truth used (web: --ordinal)");
    print!("{:<9}{:>9}{:>9}", "", "wardmote", "majority");
    METHODS.iter().for_each(|method| print!("{method:>9}"));
    println!();
    let mut sums = vec![Some(0.0); METHODS.len() + 2];
    for table in tables {
        let mut row = vec![
            Some(ours(table, scale(table)).accuracy),
            Some(sets::majority(&table.set, &table.ballots)),
        ];
        for method in METHODS {
            row.push(theirs(table, peers, method)?.map(|score| score.accuracy));
        }
        print_row(&table.name, &row);
        sums = sums.iter().zip(&row).map(|(sum, one)| Some((*sum)? + (*one)?)).collect();
    }
    let mean = |sum: Option<f64>| sum.map(|sum| sum / tables.len() as f64);
    print_row("mean", &sums.into_iter().map(mean).collect::<Vec<_>>());
    Ok(())
}

fn print_row(name: &str, figures: &[Option<f64>]) {
    println!("{name:<9}{}", figures.iter().map(|figure| shown(*figure)).collect::<String>());
}

/// The set whose labels are levels.
fn levels(tables: &[Table], peers: &Path) -> Result<()> {
    let web = tables.iter().find(|table| table.name == "web").context("the set `web`")?;
    println!("\nweb                accuracy  mean absolute level error");
    let line = |name: &str, score: Option<Score>| {
        let accuracy = shown(score.as_ref().map(|score| score.accuracy));
        println!("{name:<18}{accuracy}{}", shown(score.and_then(|score| score.level_error)));
    };
    line("wardmote --ordinal", Some(ours(web, Scale::Ordinal)));
    line("wardmote", Some(ours(web, Scale::Nominal)));
    for method in METHODS {
        line(method, theirs(web, peers, method)?);
    }
    Ok(())
}

/// With and without a league.
fn collusion(whole: &[Table], leagues: &[Table], peers: &Path) -> Result<()> {
    println!(
        "\naccuracy with {COLLUDERS} colluding copies of one wrong expert, by their private noise"
    );
    println!("{:<9}{:>9}{:>9}{:>9}", "", "wardmote", "DS", "MV");
    for (set, _) in LEAGUES {
        let of_set = |table: &&Table| table.set.ends_with(set);
        for table in whole.iter().chain(leagues).filter(of_set) {
            let mut row = vec![Some(ours(table, scale(table)).accuracy)];
            for method in ["DS", "MV"] {
                row.push(theirs(table, peers, method)?.map(|score| score.accuracy));
            }
            print_row(&table.name, &row);
        }
    }
    Ok(())
}

/// Whether the Dawid and Skene of the tests is crowd-kit's.
fn same_dawid_skene(whole: &[Table], leagues: &[Table], peers: &Path) -> Result<()> {
    println!(
        "\nDawid and Skene of the tests (100 turns) and of crowd-kit (until it gains no more)"
    );
    println!("{:<9}{:>9}{:>9}{:>9}", "", "tests", "DS", "same");
    for table in whole.iter().chain(leagues) {
        let here = dawid_skene::dawid_skene(&table.ballots);
        let there = labels(table, peers, "DS")?;
        let same = there.map(|there| {
            let same = here.iter().zip(&there).filter(|(a, b)| a.label == b.label).count();
            same as f64 / here.len() as f64
        });
        let accuracy = sets::score(&table.set, &table.ballots, &here).accuracy;
        let theirs = theirs(table, peers, "DS")?.map(|score| score.accuracy);
        print_row(&table.name, &[Some(accuracy), theirs, same]);
    }
    Ok(())
}
