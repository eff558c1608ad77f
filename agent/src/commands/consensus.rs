//! `wardmote consensus`: pools labels or opinions of the user's own experts.
//!
//! Reads a table of item, expert, label line by line (a line and a table have named bounds), pools
//! it without knowing any truth, writes one line an item. With `--truth` it says on stderr how good
//! the result is; the truth is read only after the labels are pooled.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use consensus::labels::table::MAX_LINE;
use consensus::labels::{
    BadLine, Ballots, Copies, Decision, Pooled, Reader, Scale, Truth, csv, model,
};
use serde_json::{Map, Value, json};

use crate::commands::Global;
use crate::exit::{Exit, hinted};
use crate::output;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// JSON lines or CSV with item, expert, label; `-` for stdin
    #[arg(value_name = "INPUT")]
    input: PathBuf,
    /// The labels that may occur, lowest first
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    labels: Option<Vec<String>>,
    /// Labels have an order: decide for the median level, and allow for strict and lenient experts
    #[arg(long)]
    ordinal: bool,
    /// CSV of item,truth: say on stderr how good the result is
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Form of the result
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Form of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: one line an item.
    Text,
    /// One JSON object an item.
    Jsonl,
    /// `item,label`.
    Csv,
}

/// A label no more probable than this is no decision to act on alone.
const SURE_ENOUGH: f64 = 0.5;

/// Runs the command.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let name = named(&args.input);
    if args.input == Path::new("-") && args.truth.as_deref() == Some(Path::new("-")) {
        return Err(hinted("stdin cannot be both labels and truth", "give --truth a file"));
    }
    let mut reader = Reader::new(args.labels).map_err(|bad| misread("--labels", 0, bad))?;
    each_line(&args.input, |line| reader.line(line))?;
    let ballots = reader.finish().map_err(|bad| misread(&name, 0, bad))?;
    if args.ordinal && !ballots.ordered {
        let hint = "name the labels with --labels, lowest first";
        return Err(hinted(format!("{name}: these labels have no order of their own"), hint));
    }
    if ballots.replaced > 0 && !global.quiet {
        say!(
            "wardmote: note: {} labels were replaced by a later one of the same expert and item",
            ballots.replaced
        );
    }
    let scale = if args.ordinal { Scale::Ordinal } else { Scale::Nominal };
    let Pooled { decisions, copies } = model::pool(&ballots, scale);
    if !global.quiet {
        notes(&copies, &ballots).iter().for_each(|note| say!("wardmote: note: {note}"));
    }
    let score = match &args.truth {
        Some(path) => Some(score(path, &ballots, &decisions)?),
        None => None,
    };
    let rendered = match args.format {
        Format::Text => text(&ballots, &decisions),
        Format::Jsonl => jsonl(&ballots, &decisions),
        Format::Csv => as_csv(&ballots, &decisions),
    };
    output::write(global.output.as_deref(), rendered.as_bytes())?;
    if let Some(score) = score {
        say!("{score}");
    }
    Ok(Exit::Clean)
}

/// Most names of one group that are told.
const NAMES_TOLD: usize = 20;

/// Who weighed as one, or that nobody was looked for.
fn notes(copies: &Copies, ballots: &Ballots) -> Vec<String> {
    let Copies::Found(groups) = copies else {
        let note = "too many experts label the same items to look for those who copy each other: \
                    everybody weighed alone";
        return vec![note.to_string()];
    };
    let note = |group: &Vec<u32>| {
        let name = |expert: &u32| printable(&ballots.experts[*expert as usize]);
        let mut names = group.iter().take(NAMES_TOLD).map(name).collect::<Vec<_>>().join(", ");
        if group.len() > NAMES_TOLD {
            let _ = write!(names, " and {} more", group.len() - NAMES_TOLD);
        }
        format!("{} experts copy each other and weighed as one: {names}", group.len())
    };
    groups.iter().map(note).collect()
}

fn score(path: &Path, ballots: &Ballots, decisions: &[Decision]) -> anyhow::Result<String> {
    let mut truth = Truth::default();
    each_line(path, |line| truth.line(line))?;
    let score = truth.score(ballots, decisions).ok_or_else(|| {
        let problem = format!("{}: names none of the items", named(path));
        hinted(problem, "expected CSV with the columns item,truth")
    })?;
    let levels = score
        .level_error
        .map_or("n/a (labels have no order)".to_string(), |error| format!("{error:.4}"));
    let mut line = format!(
        "accuracy {:.4}, mean absolute level error {levels}, Brier score {:.4} over {} items",
        score.accuracy, score.brier, score.items
    );
    if score.unlabelled > 0 {
        let _ = write!(line, " ({} items of the truth were not labelled)", score.unlabelled);
    }
    Ok(line)
}

/// Calls `use_line` for each line, without its line end; problems get the file's name and the line.
fn each_line(
    path: &Path,
    mut use_line: impl FnMut(&[u8]) -> Result<(), BadLine>,
) -> anyhow::Result<()> {
    let name = named(path);
    let mut input = open(path)?;
    let mut line = Vec::new();
    let mut number = 0_u64;
    loop {
        line.clear();
        // One byte more than a line may have, and its line end: enough to see that it is too long.
        let mut bounded = input.by_ref().take(MAX_LINE as u64 + 2);
        let read = bounded.read_until(b'\n', &mut line).map_err(|e| unreadable(&name, &e))?;
        if read == 0 {
            return Ok(());
        }
        number += 1;
        let whole = line.strip_suffix(b"\n").unwrap_or(&line);
        use_line(whole).map_err(|bad| misread(&name, number, bad))?;
    }
}

/// Opens a regular file, or stdin: never waits for a writer that may never come.
fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = crate::secrets::open_regular(path)?;
    Ok(Box::new(BufReader::with_capacity(1 << 16, file)))
}

fn named(path: &Path) -> String {
    if path == Path::new("-") { "stdin".to_string() } else { path.display().to_string() }
}

fn unreadable(name: &str, error: &io::Error) -> anyhow::Error {
    hinted(format!("{name}: {error}"), "give a readable file, or - for stdin")
}

/// A problem with its place: `file:line:column`, as far as it has one.
fn misread(name: &str, line: u64, bad: BadLine) -> anyhow::Error {
    let place = match (line, bad.column) {
        (0, _) => name.to_string(),
        (line, 0) => format!("{name}:{line}"),
        (line, column) => format!("{name}:{line}:{column}"),
    };
    hinted(format!("{place}: {}", bad.problem), bad.hint)
}

/// One item with everything that is said about it.
struct Judged<'a> {
    item: &'a str,
    label: &'a str,
    probability: f64,
    probabilities: &'a [f64],
    agreement: f64,
    dissent: Vec<(&'a str, &'a str)>,
    abstain: bool,
}

/// The items in the order in which the input first named them.
fn judged<'a>(ballots: &'a Ballots, decisions: &'a [Decision]) -> impl Iterator<Item = Judged<'a>> {
    let label = |place: u32| ballots.labels[place as usize].as_str();
    ballots.appearance.iter().map(move |&item| {
        let decision = &decisions[item as usize];
        let start = ballots.votes.partition_point(|vote| vote.item < item);
        let votes = ballots.votes[start..].iter().take_while(move |vote| vote.item == item);
        let (mut all, mut agreeing) = (0.0, 0.0);
        let mut dissent = Vec::new();
        for vote in votes {
            all += vote.confidence;
            if vote.label as usize == decision.label {
                agreeing += vote.confidence;
            } else {
                dissent.push((ballots.experts[vote.expert as usize].as_str(), label(vote.label)));
            }
        }
        let probability = decision.probabilities[decision.label];
        Judged {
            item: &ballots.items[item as usize],
            label: &ballots.labels[decision.label],
            probability,
            probabilities: &decision.probabilities,
            agreement: if all > 0.0 { agreeing / all } else { 0.0 },
            dissent,
            abstain: probability <= SURE_ENOUGH,
        }
    })
}

fn text(ballots: &Ballots, decisions: &[Decision]) -> String {
    let mut out = String::new();
    for one in judged(ballots, decisions) {
        let unsure = if one.abstain { "  undecided" } else { "" };
        let (item, label) = (printable(one.item), printable(one.label));
        let _ = write!(out, "{item}  {label}  p={:.2}", one.probability);
        let _ = write!(out, "  agreement {:.2}{unsure}", one.agreement);
        for (place, (expert, label)) in one.dissent.iter().enumerate() {
            let lead = if place == 0 { "  dissent" } else { "," };
            let _ = write!(out, "{lead} {}={}", printable(expert), printable(label));
        }
        out.push('\n');
    }
    out
}

fn jsonl(ballots: &Ballots, decisions: &[Decision]) -> String {
    let millionths = |p: f64| (p * 1e6).round() / 1e6;
    let mut out = String::new();
    for one in judged(ballots, decisions) {
        let probabilities: Map<String, Value> = ballots
            .labels
            .iter()
            .zip(one.probabilities)
            .map(|(label, p)| (label.clone(), json!(millionths(*p))))
            .collect();
        let dissent: Vec<Value> = one
            .dissent
            .iter()
            .map(|(expert, label)| json!({"expert": expert, "label": label}))
            .collect();
        let line = json!({
            "item": one.item,
            "label": one.label,
            "probabilities": probabilities,
            "agreement": millionths(one.agreement),
            "dissent": dissent,
            "abstain": one.abstain,
        });
        let _ = writeln!(out, "{line}");
    }
    out
}

fn as_csv(ballots: &Ballots, decisions: &[Decision]) -> String {
    let mut out = String::from("item,label\n");
    for one in judged(ballots, decisions) {
        let _ = writeln!(out, "{},{}", csv::escaped(one.item), csv::escaped(one.label));
    }
    out
}

/// Names come from the input: nothing in them may move a terminal's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    const LABELS: &str = "item,expert,label\nb,e1,high\nb,e2,high\nb,e3,info\na,e1,low\na,e2,low\n";

    fn global(output: &Path) -> Global {
        Global {
            config: None,
            state_dir: None,
            output: Some(output.to_path_buf()),
            color: output::Color::Never,
            quiet: true,
            verbose: 0,
        }
    }

    fn args(input: &Path, format: Format) -> Args {
        Args { input: input.to_path_buf(), labels: None, ordinal: false, truth: None, format }
    }

    /// What the command writes for these bytes of input.
    fn ran(input: &[u8], change: impl FnOnce(&mut Args)) -> anyhow::Result<String> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("labels");
        std::fs::write(&path, input)?;
        let out = dir.path().join("out");
        let mut args = args(&path, Format::Csv);
        change(&mut args);
        run(args, &global(&out)).map(|exit| assert_eq!(exit, Exit::Clean)).map_err(|error| {
            let shown = error.to_string().replace(&format!("{}/", dir.path().display()), "");
            anyhow::anyhow!(shown)
        })?;
        std::fs::read_to_string(out).context("the output")
    }

    fn refused(input: &[u8], change: impl FnOnce(&mut Args)) -> String {
        ran(input, change).unwrap_err().to_string()
    }

    #[test]
    fn json_lines_have_the_promised_keys() {
        let out = ran(LABELS.as_bytes(), |args| args.format = Format::Jsonl).unwrap();
        let lines: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let keys: Vec<&String> = lines[0].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["item", "label", "probabilities", "agreement", "dissent", "abstain"]);
        assert_eq!((&lines[0]["item"], &lines[0]["label"]), (&json!("b"), &json!("high")));
        assert_eq!(lines[0]["dissent"], json!([{"expert": "e3", "label": "info"}]));
        assert_eq!(lines[0]["agreement"], json!(0.666667));
        let levels: Vec<&String> = lines[0]["probabilities"].as_object().unwrap().keys().collect();
        assert_eq!(levels, ["info", "low", "high"]);
        assert_eq!(lines[1]["abstain"], json!(false));
    }

    #[test]
    fn csv_and_text_keep_the_order_of_the_input() {
        assert_eq!(ran(LABELS.as_bytes(), |_| ()).unwrap(), "item,label\nb,high\na,low\n");
        let text = ran(LABELS.as_bytes(), |args| args.format = Format::Text).unwrap();
        assert!(text.starts_with("b  high  p="), "{text}");
        assert!(text.contains("dissent e3=info"), "{text}");
    }

    #[test]
    fn opinions_of_external_experts_are_labels_too() {
        let input =
            br#"{"item":"a1","expert":"e7","label":"high","confidence":0.8,"rationale":"x"}"#;
        assert_eq!(ran(input, |args| args.ordinal = true).unwrap(), "item,label\na1,high\n");
    }

    #[test]
    fn who_weighed_as_one_is_told() {
        let mut reader = Reader::new(None).unwrap();
        reader.line(b"item,expert,label").unwrap();
        for expert in 0..=NAMES_TOLD {
            reader.line(format!("a,e{expert:02}\x1b,low").as_bytes()).unwrap();
        }
        let ballots = reader.finish().unwrap();
        let told = |group| notes(&Copies::Found(vec![group]), &ballots).concat();
        let note = "2 experts copy each other and weighed as one: e03\u{fffd}, e05\u{fffd}";
        assert_eq!(told(vec![3, 5]), note);
        let all: Vec<u32> = (0..NAMES_TOLD as u32).collect();
        assert!(told(all.clone()).ends_with("e19\u{fffd}"));
        let more = [all, vec![NAMES_TOLD as u32]].concat();
        assert!(told(more).ends_with("e19\u{fffd} and 1 more"));
        assert!(notes(&Copies::Found(Vec::new()), &ballots).is_empty());
        assert!(notes(&Copies::NotLooked, &ballots).concat().contains("too many experts"));
    }

    #[test]
    fn bad_input_is_placed() {
        assert_eq!(
            refused(b"item,expert,label\na,b", |_| ()),
            "labels:2:4: only 2 fields on this line"
        );
        assert_eq!(refused(b"", |_| ()), "labels: no labels found");
        assert_eq!(refused(b"item,expert,label\n\xff", |_| ()), "labels:2:1: not UTF-8 text");
        let other = |args: &mut Args| args.labels = Some(vec!["low".into(), "high".into()]);
        let error = refused(LABELS.as_bytes(), other);
        assert_eq!(error, "labels:4:6: label `info` is not among --labels");
        let unordered = b"item,expert,label\na,x,cat\na,y,dog\n";
        let error = refused(unordered, |args| args.ordinal = true);
        assert_eq!(error, "labels: these labels have no order of their own");
        let truthless = |args: &mut Args| args.truth = Some(args.input.clone());
        assert!(ran(LABELS.as_bytes(), truthless).is_ok(), "item and label are read as a truth");
    }

    #[test]
    fn a_line_may_be_as_long_as_its_bound_and_no_longer() {
        let mut table = b"item,expert,label,note\na,b,c,".to_vec();
        let line_start = table.len() - b"a,b,c,".len();
        table.resize(line_start + MAX_LINE, b'x');
        assert!(ran(&table, |_| ()).is_ok());
        table.push(b'x');
        assert!(refused(&table, |_| ()).contains("labels:2:1048577: line longer than"));
        table.resize(10 << 20, b'x');
        assert!(refused(&table, |_| ()).contains("line longer than"));
    }

    #[test]
    fn what_is_not_a_file_ends_in_an_error_and_no_wait() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let at = |path: &Path| run(args(path, Format::Csv), &global(&out)).unwrap_err().to_string();
        assert!(at(dir.path()).contains("not a regular file"));
        assert!(at(&dir.path().join("none")).contains("No such file"));
        let fifo = dir.path().join("fifo");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(at(&fifo).contains("not a regular file"));
    }
}
