//! sshd_config(5): what the daemon would do, and who overrode whom.
//!
//! Reads the file and everything it includes through a [`Tree`], and evaluates it as OpenSSH does:
//! keywords in any case, `=` or blanks, quotes, comments, the first value wins (the last for a few
//! keywords), `Include` is spliced in, `Match` blocks replace global values and end with their file.
//! Values are brought into the words that `sshd -T` prints. The model is OpenSSH 9.2, proven against
//! `sshd -T` by `tests/sshd_differential.rs`; keywords of later versions are known.
//!
//! Refuses to guess: a line that sshd would not start with is a [`Problem`], an included file that
//! could not be read is in [`Sshd::unread`]. Not modelled: host names in `ListenAddress` and service
//! names other than `ssh` (nothing is resolved), `~user` in paths.

mod algorithms;
mod command_line;
mod connection;
mod contradictions;
mod defaults;
mod evaluate;
mod keywords;
mod load;
mod matching;
mod numbers;
#[cfg(test)]
mod tests;
mod values;
mod words;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::place::{Place, Placed, Problem};
use crate::tree::{LookError, Tree};

pub use command_line::CommandLine;
pub use connection::{BadConnection, Connection};
pub use defaults::{default_of, defaults, parse_version};
pub use evaluate::{DEPTH_MAX, STEPS_MAX};
pub use load::{BYTES_MAX, FILES_MAX, LINES_MAX};

/// Major and minor version of OpenSSH, e.g. `(9, 2)`.
pub type Version = (u32, u32);

/// Where the daemon looks when nothing else is said.
pub const DEFAULT_PATH: &str = "/etc/ssh/sshd_config";

/// A configuration that was read.
#[derive(Debug)]
pub struct Sshd {
    /// Lines with which sshd refuses to start, in the order in which they were met.
    pub problems: Vec<Problem>,
    /// Lines that sshd accepts and ignores.
    pub notes: Vec<Problem>,
    /// Included files and directories that could not be looked at: the rest may be incomplete.
    pub unread: Vec<LookError>,
    loaded: load::Loaded,
    /// What stands outside of blocks (and in `Match all`) by the first pass.
    outside: Effective,
    version: Option<Version>,
    ports_given: bool,
}

/// A `Match` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchPlace {
    /// Where it stands.
    pub place: Place,
    /// The line as written.
    pub text: String,
    /// It is `Match all`.
    pub everybody: bool,
}

/// Why a setting's lines won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Won {
    /// The first value wins.
    First,
    /// For this keyword the last value wins.
    Last,
    /// A `Match` block replaces what stands outside.
    MatchBlock,
    /// The daemon's command line comes before the file.
    CommandLine,
}

/// A setting that a file or the command line sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What `sshd -T` prints behind the keyword, one value a printed line; never empty.
    pub values: Vec<Placed<String>>,
    /// The `Match` block it comes from.
    pub within: Option<MatchPlace>,
    /// Why it won.
    pub won: Won,
    /// Lines that would have set it otherwise and lost.
    pub overrides: Vec<Placed<String>>,
}

impl Setting {
    /// The value; several are joined with blanks.
    pub fn value(&self) -> String {
        let values: Vec<&str> = self.values.iter().map(|value| value.value.as_str()).collect();
        values.join(" ")
    }

    /// Where the (first) value was written.
    pub fn place(&self) -> &Place {
        &self.values[0].place
    }

    /// The line as written; redact before showing.
    pub fn text(&self) -> &str {
        &self.values[0].text
    }

    fn to_json(&self) -> Value {
        let value = match &self.values[..] {
            [one] => json!(one.value),
            many => many.iter().map(|value| json!(value.value)).collect(),
        };
        let place = self.place();
        let overrides: Vec<Value> = self.overrides.iter().map(placed).collect();
        let mut out = json!({
            "value": value,
            "file": &*place.file,
            "line": place.line,
            "column": place.column,
            "overrides": overrides,
        });
        if let Some(block) = &self.within {
            out["match"] = json!({
                "file": &*block.place.file,
                "line": block.place.line,
                "column": block.place.column,
            });
        }
        out
    }
}

fn problem(problem: &Problem) -> Value {
    let place = &problem.place;
    json!({
        "file": &*place.file,
        "line": place.line,
        "column": place.column,
        "message": problem.message,
    })
}

fn placed(value: &Placed<String>) -> Value {
    let place = &value.place;
    json!({
        "file": &*place.file,
        "line": place.line,
        "column": place.column,
        "value": value.value,
    })
}

/// What is in effect for one connection; keywords in lower case, as `sshd -T` prints them. Only what
/// a file or the command line sets: for the rest see [`defaults`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// By keyword.
    pub settings: BTreeMap<&'static str, Setting>,
    /// Lines with which sshd refuses this connection although it starts.
    pub problems: Vec<Problem>,
}

impl Effective {
    /// One setting; `keyword` in lower case.
    pub fn get(&self, keyword: &str) -> Option<&Setting> {
        self.settings.get(keyword)
    }

    /// `{"settings":{"permitrootlogin":{"value":…,"file":…,"line":…,"column":…,"overrides":[…]}}}`.
    /// A keyword with several printed lines (`Port`, `AcceptEnv`, …) has a list as its value. Values
    /// are not redacted.
    pub fn to_json(&self) -> Value {
        let settings: serde_json::Map<String, Value> = self
            .settings
            .iter()
            .map(|(keyword, setting)| ((*keyword).to_string(), setting.to_json()))
            .collect();
        json!({ "settings": settings })
    }
}

impl Sshd {
    /// Reads a configuration, accepting the keywords of every known version. An error only when the
    /// file itself cannot be read.
    ///
    /// ```
    /// use parsers::config::sshd::{Connection, Sshd};
    /// use parsers::tree::MemoryTree;
    /// let tree = MemoryTree::new()
    ///     .file("/etc/ssh/sshd_config", "PermitRootLogin no\nPermitRootLogin yes\n");
    /// let sshd = Sshd::read(&tree, "/etc/ssh/sshd_config").unwrap();
    /// let effective = sshd.effective(&Connection::default());
    /// let root = effective.get("permitrootlogin").unwrap();
    /// assert_eq!((root.value().as_str(), root.place().line), ("no", 1));
    /// assert_eq!(root.overrides[0].place.line, 2);
    /// ```
    pub fn read(tree: &dyn Tree, path: &str) -> Result<Self, LookError> {
        Self::read_as(tree, path, None, &CommandLine::default())
    }

    /// Reads a configuration as a daemon of a version does that was started with a command line.
    pub fn read_as(
        tree: &dyn Tree,
        path: &str,
        version: Option<Version>,
        command: &CommandLine,
    ) -> Result<Self, LookError> {
        let mut loaded = load::Loader::new(tree, version).load(path, &command.settings)?;
        let pass = evaluate::Pass::new(&loaded, version, None, command.ports_given).run();
        let outside = evaluate::effective(&pass, None);
        let contradictions = contradictions::find(&pass);
        let of_pass = pass.problems;
        let mut problems = std::mem::take(&mut loaded.problems);
        problems.extend(of_pass);
        problems.extend(contradictions);
        Ok(Self {
            problems,
            notes: std::mem::take(&mut loaded.notes),
            unread: std::mem::take(&mut loaded.unread),
            loaded,
            outside,
            version,
            ports_given: command.ports_given,
        })
    }

    /// What is in effect for a connection.
    pub fn effective(&self, connection: &Connection) -> Effective {
        let matched =
            evaluate::Pass::new(&self.loaded, self.version, Some(connection), self.ports_given);
        let first = evaluate::Pass::new(&self.loaded, self.version, None, self.ports_given);
        evaluate::effective(&first.run(), Some(matched.run()))
    }

    /// What is in effect for a connection that meets no `Match` block but `Match all`.
    pub fn global(&self) -> Effective {
        self.effective(&Connection::default())
    }

    /// Every value of a keyword (lower case, as `sshd -T` prints it) that some connection may get:
    /// the global one (without a block), then each `Match` block's. Blocks are taken one by one:
    /// whether two can hold at once is not asked, and that a block can hold at all is assumed.
    pub fn possible(&self, keyword: &str) -> Vec<(Option<MatchPlace>, Setting)> {
        let blocks = evaluate::in_blocks(&self.loaded, keyword, self.version);
        let for_all = blocks.iter().any(|(block, _)| block.everybody);
        let global = self.outside.get(keyword).filter(|_| !for_all);
        let global = global.map(|setting| (None, setting.clone()));
        global.into_iter().chain(blocks.into_iter().map(|(at, value)| (Some(at), value))).collect()
    }

    /// The `Match` lines of all files, in the order in which the files were read.
    pub fn matches(&self) -> impl Iterator<Item = &MatchPlace> {
        self.lines().filter_map(|line| match &line.item {
            load::Item::Match { block, .. } => Some(&**block),
            _ => None,
        })
    }

    /// Paths of all files that were read, the main file first.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.loaded.files.iter().map(|(path, _)| &**path)
    }

    /// Every line that says something, as written: `{"lines":[{"file","line","column","text"}]}`.
    /// Text is not redacted.
    pub fn to_json(&self) -> Value {
        let lines: Vec<Value> = self
            .lines()
            .map(|line| {
                let mut out = json!({
                    "file": &*line.place.file,
                    "line": line.place.line,
                    "column": line.place.column,
                });
                match &line.item {
                    load::Item::Set { keyword, values } => {
                        out["keyword"] = json!(keyword.shown);
                        out["values"] = json!(values);
                    }
                    load::Item::Match { block, .. } => {
                        out["keyword"] = json!("match");
                        out["values"] = json!([block.text]);
                    }
                    load::Item::Include(files) => {
                        let paths = files.iter().map(|&file| &*self.loaded.files[file].0);
                        out["keyword"] = json!("include");
                        out["values"] = json!(paths.collect::<Vec<_>>());
                    }
                }
                out
            })
            .collect();
        json!({
            "lines": lines,
            "problems": self.problems.iter().map(problem).collect::<Vec<_>>(),
            "notes": self.notes.iter().map(problem).collect::<Vec<_>>(),
            "unread": self.unread.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }

    fn lines(&self) -> impl Iterator<Item = &load::Line> {
        let files = self.loaded.files.iter().flat_map(|(_, lines)| lines);
        self.loaded.command_line.iter().chain(files)
    }
}
