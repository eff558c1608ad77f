//! Lines in, [`Ballots`] out: JSON lines or CSV, told apart by the first line.
//!
//! Invariants: one vote per expert and item (a later line replaces an earlier one, and is counted);
//! votes are sorted, so that the order of the lines changes no result. Every bound has a name.

use std::collections::HashMap;
use std::str::FromStr;

use serde::Deserialize;

use super::csv;
use super::names::{Names, in_order, sorted};

/// Longest line, in bytes.
pub const MAX_LINE: usize = 1 << 20;
/// Most votes of one table.
pub const MAX_VOTES: usize = 5_000_000;
/// Most different labels.
pub const MAX_LABELS: usize = 64;
/// Longest name of an item, expert or label, in bytes.
pub const MAX_NAME: usize = 1024;
/// Most cells of all confusion matrices together: experts times labels squared.
pub const MAX_CELLS: usize = 1 << 24;

/// What is wrong with a line, where, and what to do about it. The input is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct BadLine {
    /// Bytes from 1.
    pub column: usize,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub hint: String,
}

impl BadLine {
    /// A problem at a column.
    pub fn new(column: usize, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { column, problem: problem.into(), hint: hint.into() }
    }
}

/// One expert's label of one item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vote {
    /// Place in [`Ballots::items`].
    pub item: u32,
    /// Place in [`Ballots::experts`].
    pub expert: u32,
    /// Place in [`Ballots::labels`].
    pub label: u32,
    /// 0 to 1: how far the vote counts.
    pub confidence: f64,
}

/// A whole table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ballots {
    /// Names of the items, sorted.
    pub items: Vec<String>,
    /// The items in the order in which they first appeared.
    pub appearance: Vec<u32>,
    /// Names of the experts, sorted.
    pub experts: Vec<String>,
    /// The labels: as given, or levels and numbers in their order, or sorted by name.
    pub labels: Vec<String>,
    /// Whether the order of the labels means something.
    pub ordered: bool,
    /// Sorted by item, then expert.
    pub votes: Vec<Vote>,
    /// Votes that a later line of the same expert and item replaced.
    pub replaced: usize,
}

/// Reads a table line by line.
#[derive(Debug, Default)]
pub struct Reader {
    form: Option<Form>,
    given: Option<Vec<String>>,
    items: Names,
    experts: Names,
    labels: Names,
    votes: HashMap<(u32, u32), (u32, f64)>,
    replaced: usize,
}

#[derive(Debug)]
enum Form {
    Json,
    Csv(Columns),
}

#[derive(Debug)]
struct Columns {
    item: usize,
    expert: usize,
    label: usize,
    confidence: Option<usize>,
}

/// A value and the column it came from.
struct Cell {
    text: String,
    column: usize,
}

impl Reader {
    /// A reader that accepts any label, or only the given ones (then in their order).
    pub fn new(labels: Option<Vec<String>>) -> Result<Self, BadLine> {
        let mut reader = Self::default();
        let labels: Option<Vec<String>> =
            labels.map(|all| all.iter().map(|label| label.trim().to_string()).collect());
        for label in labels.iter().flatten() {
            if label.is_empty() || label.len() > MAX_NAME {
                let problem = format!("a label is empty or longer than {MAX_NAME} bytes");
                return Err(BadLine::new(0, problem, "separate labels by single commas"));
            }
            let before = reader.labels.order.len();
            if reader.labels.place(label) as usize != before {
                return Err(BadLine::new(0, "a label is given twice", "name each label once"));
            }
        }
        if reader.labels.order.len() > MAX_LABELS {
            return Err(too_many_labels(0));
        }
        reader.given = labels;
        Ok(reader)
    }

    /// Reads one line, without its line end. Empty lines are skipped.
    pub fn line(&mut self, bytes: &[u8]) -> Result<(), BadLine> {
        let line = text(bytes)?;
        let line = if self.form.is_none() { line.trim_start_matches('\u{feff}') } else { line };
        if line.trim().is_empty() {
            return Ok(());
        }
        match &self.form {
            None if line.trim_start().starts_with('{') => {
                self.form = Some(Form::Json);
                self.json(line)
            }
            None => {
                self.form = Some(Form::Csv(header(line)?));
                Ok(())
            }
            Some(Form::Json) => self.json(line),
            Some(Form::Csv(columns)) => {
                let (item, expert, label, confidence) = row(line, columns)?;
                self.vote(item, expert, label, confidence)
            }
        }
    }

    /// The whole table; an error when it holds no vote or is too large to calibrate.
    pub fn finish(self) -> Result<Ballots, BadLine> {
        if self.votes.is_empty() {
            let hint = "expected JSON lines or CSV with the columns item,expert,label";
            return Err(BadLine::new(0, "no labels found", hint));
        }
        let (labels, label_places, ordered) = match self.given {
            Some(given) => {
                let same = (0..given.len() as u32).collect();
                (given, same, true)
            }
            None => in_order(self.labels.order),
        };
        let (experts, expert_places) = sorted(self.experts.order);
        let (items, item_places) = sorted(self.items.order);
        if experts.len().saturating_mul(labels.len() * labels.len()) > MAX_CELLS {
            let problem = format!("{} experts with {} labels", experts.len(), labels.len());
            return Err(BadLine::new(0, problem, "too many to calibrate at once: split the table"));
        }
        let mut votes: Vec<Vote> = self
            .votes
            .into_iter()
            .map(|((item, expert), (label, confidence))| Vote {
                item: item_places[item as usize],
                expert: expert_places[expert as usize],
                label: label_places[label as usize],
                confidence,
            })
            .collect();
        votes.sort_unstable_by_key(|vote| (vote.item, vote.expert));
        let appearance = item_places;
        Ok(Ballots { items, appearance, experts, labels, ordered, votes, replaced: self.replaced })
    }

    fn json(&mut self, line: &str) -> Result<(), BadLine> {
        let spoken: Spoken = serde_json::from_str(line).map_err(|error| {
            let problem = match error.classify() {
                serde_json::error::Category::Data => without_place(&error.to_string()),
                _ => "not a JSON object on one line".to_string(),
            };
            let hint = r#"expected {"item":"a1","expert":"e7","label":"high"}"#;
            BadLine::new(error.column(), problem, hint)
        })?;
        let cell = |name: Name| Cell { text: name.0, column: 1 };
        let confidence = spoken.confidence.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&confidence) {
            return Err(bad_confidence(1));
        }
        self.vote(cell(spoken.item), cell(spoken.expert), cell(spoken.label), confidence)
    }

    fn vote(
        &mut self,
        item: Cell,
        expert: Cell,
        label: Cell,
        confidence: f64,
    ) -> Result<(), BadLine> {
        for (cell, what) in [(&item, "item"), (&expert, "expert"), (&label, "label")] {
            if cell.text.is_empty() || cell.text.len() > MAX_NAME {
                let problem = format!("the {what} is empty or longer than {MAX_NAME} bytes");
                return Err(BadLine::new(
                    cell.column,
                    problem,
                    "name every item, expert and label",
                ));
            }
        }
        if self.given.is_some() && !self.labels.places.contains_key(&label.text) {
            let problem = format!("label {} is not among --labels", quoted(&label.text));
            return Err(BadLine::new(label.column, problem, "add it there, or mend the line"));
        }
        let label_place = self.labels.place(&label.text);
        if self.labels.order.len() > MAX_LABELS {
            return Err(too_many_labels(label.column));
        }
        let place = (self.items.place(&item.text), self.experts.place(&expert.text));
        if self.votes.insert(place, (label_place, confidence)).is_some() {
            self.replaced += 1;
        }
        if self.votes.len() > MAX_VOTES {
            let problem = format!("more than {MAX_VOTES} labels");
            return Err(BadLine::new(1, problem, "split the table by items"));
        }
        Ok(())
    }
}

/// A JSON line; unknown keys are ignored, `rationale` is for people.
#[derive(Deserialize)]
struct Spoken {
    #[serde(alias = "task")]
    item: Name,
    #[serde(alias = "worker", alias = "annotator")]
    expert: Name,
    label: Name,
    confidence: Option<f64>,
}

/// A name: text, or a whole number.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Name;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a name or a whole number")
            }
            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                Ok(Name(text.trim().to_string()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Name, E> {
                Ok(Name(number.to_string()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Name, E> {
                Ok(Name(number.to_string()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, BadLine> {
    if bytes.len() > MAX_LINE {
        let problem = format!("line longer than {MAX_LINE} bytes");
        return Err(BadLine::new(MAX_LINE + 1, problem, "one item, expert and label a line"));
    }
    std::str::from_utf8(bytes.strip_suffix(b"\r").unwrap_or(bytes)).map_err(|error| {
        let hint = "save the table as UTF-8";
        BadLine::new(error.valid_up_to() + 1, "not UTF-8 text", hint)
    })
}

fn header(line: &str) -> Result<Columns, BadLine> {
    let fields = csv::fields(line)?;
    let place = |names: &[&str]| {
        fields.iter().position(|field| names.iter().any(|n| field.text.eq_ignore_ascii_case(n)))
    };
    let need = |names: &[&str]| {
        place(names).ok_or_else(|| {
            let hint = "the first line names the columns: item,expert,label (task, worker and \
                        annotator are accepted)";
            BadLine::new(1, format!("no column `{}`", names[0]), hint)
        })
    };
    Ok(Columns {
        item: need(&["item", "task"])?,
        expert: need(&["expert", "worker", "annotator"])?,
        label: need(&["label"])?,
        confidence: place(&["confidence"]),
    })
}

fn row(line: &str, columns: &Columns) -> Result<(Cell, Cell, Cell, f64), BadLine> {
    let fields = csv::fields(line)?;
    let cell = |place: usize| match fields.get(place) {
        Some(field) => Ok(Cell { text: field.text.clone(), column: field.column }),
        None => {
            let problem = format!("only {} fields on this line", fields.len());
            Err(BadLine::new(line.len() + 1, problem, "every line needs item, expert and label"))
        }
    };
    let confidence = match columns.confidence.and_then(|place| fields.get(place)) {
        Some(field) if !field.text.is_empty() => f64::from_str(&field.text)
            .ok()
            .filter(|number| (0.0..=1.0).contains(number))
            .ok_or_else(|| bad_confidence(field.column))?,
        _ => 1.0,
    };
    Ok((cell(columns.item)?, cell(columns.expert)?, cell(columns.label)?, confidence))
}

fn bad_confidence(column: usize) -> BadLine {
    BadLine::new(column, "the confidence is not a number from 0 to 1", "leave it out for 1")
}

fn too_many_labels(column: usize) -> BadLine {
    let problem = format!("more than {MAX_LABELS} different labels");
    BadLine::new(column, problem, "is the label column the right one?")
}

/// A user's word, made safe to print and short.
fn quoted(text: &str) -> String {
    let short: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
    format!("`{short}`")
}

/// `serde_json` adds "at line 1 column 7"; the place is told elsewhere.
fn without_place(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Ballots, BadLine> {
        let mut reader = Reader::new(None)?;
        for line in lines {
            reader.line(line.as_bytes())?;
        }
        reader.finish()
    }

    #[test]
    fn csv_and_json_say_the_same() {
        let csv = read(&["\u{feff}Task,Worker,note,Label\r", "b,e1,x,high", "", "a,e2,y,low"]);
        let json = read(&[
            r#"{"item":"b","expert":"e1","label":"high","rationale":"why"}"#,
            r#"{"task":"a","annotator":"e2","label":"low","confidence":1}"#,
        ]);
        let ballots = csv.unwrap();
        assert_eq!(json.unwrap(), ballots);
        assert_eq!(ballots.labels, ["low", "high"]);
        assert!(ballots.ordered);
        assert_eq!(ballots.items, ["a", "b"]);
        assert_eq!(ballots.appearance, [1, 0]);
    }

    #[test]
    fn numbers_are_ordered_as_numbers_and_names_by_name() {
        let table = ["item,expert,label", "a,x,10", "b,x,9"];
        assert_eq!(read(&table).unwrap().labels, ["9", "10"]);
        let named = read(&["item,expert,label", "a,x,dog", "b,x,cat"]).unwrap();
        assert_eq!((named.labels, named.ordered), (vec!["cat".into(), "dog".into()], false));
        let json = read(&[r#"{"item":1,"expert":2,"label":-3}"#]).unwrap();
        assert_eq!(json.labels, ["-3"]);
    }

    #[test]
    fn a_later_vote_replaces_and_is_counted() {
        let ballots = read(&["item,expert,label", "a,x,low", "a,x,high", "b,x,low"]).unwrap();
        assert_eq!((ballots.votes.len(), ballots.replaced), (2, 1));
        assert_eq!(ballots.labels[ballots.votes[0].label as usize], "high");
    }

    #[test]
    fn mistakes_are_placed_and_explained() {
        let at = |lines: &[&str]| {
            let error = read(lines).unwrap_err();
            assert!(!error.hint.is_empty());
            (error.column, error.problem)
        };
        let head = "item,expert,label,confidence";
        assert_eq!(at(&["item,label"]), (1, "no column `expert`".into()));
        assert_eq!(at(&[head, "a,b"]), (4, "only 2 fields on this line".into()));
        assert_eq!(at(&[head, "a,,c"]).0, 3);
        assert_eq!(at(&[head, "a,b,c,2"]).0, 7);
        assert_eq!(at(&[head, "a,b,c,NaN"]).0, 7);
        assert_eq!(at(&[head]), (0, "no labels found".into()));
        assert_eq!(at(&[]), (0, "no labels found".into()));
        assert_eq!(at(&["{"]).1, "not a JSON object on one line");
        assert_eq!(at(&[r#"{"item":"a","label":"b"}"#]).1, "missing field `expert`");
        let many = r#"{"item":"a","expert":"b","label":"c","confidence":-1}"#;
        assert_eq!(at(&[many]).1, "the confidence is not a number from 0 to 1");
        let mut reader = Reader::new(None).unwrap();
        assert_eq!(reader.line(b"ab\xff").unwrap_err().column, 3);
        assert!(reader.line(&vec![b'a'; MAX_LINE + 1]).is_err());
    }

    #[test]
    fn given_labels_are_the_only_ones() {
        let given = |labels: &[&str]| Some(labels.iter().map(ToString::to_string).collect());
        let mut reader = Reader::new(given(&["bad", "good"])).unwrap();
        reader.line(b"item,expert,label").unwrap();
        reader.line(b"a,x,good").unwrap();
        let error = reader.line(b"a,y,ugly\x1b[31m").unwrap_err();
        assert_eq!((error.column, error.problem.contains('\u{1b}')), (5, false));
        assert_eq!(reader.finish().unwrap().labels, ["bad", "good"]);
        for bad in [["a", "a"], ["a", " "]] {
            assert!(Reader::new(given(&bad)).is_err());
        }
    }

    #[test]
    fn there_are_at_most_so_many_labels() {
        let mut reader = Reader::new(None).unwrap();
        reader.line(b"item,expert,label").unwrap();
        for label in 0..MAX_LABELS {
            reader.line(format!("a{label},x,l{label}").as_bytes()).unwrap();
        }
        assert!(reader.line(b"b,x,one-more").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_it_panic(lines in proptest::collection::vec(".{0,40}", 0..6)) {
            let mut reader = Reader::new(None).unwrap();
            for line in lines {
                let _ = reader.line(line.as_bytes());
            }
            let _ = reader.finish();
        }
    }
}
