//! What the targets share: trees made of one input, places that must lie inside of their files, and a
//! bound on time.
//!
//! Inputs of formats with includes hold several files, separated by the byte 0x1e. Time is what this
//! thread spent on a processor, so that a busy machine gives no false alarm.

use std::collections::BTreeMap;

use parsers::config::problems::Problems;
use parsers::place::Place;
use parsers::tree::MemoryTree;
use rustix::time::{ClockId, clock_gettime};
use scanner::ports::addresses::Reach;
use scanner::ports::firewall::{Probe, Ruleset};
use scanner::ports::inventory::Transport;

/// Longest that one input of 64 KiB may take, although the sanitizer makes everything slower.
pub const CPU_SECONDS_MAX: f64 = 1.0;

/// Separates the files of a tree in one input.
pub const FILE_SEPARATOR: u8 = 0x1e;

/// Runs a parser and fails when it takes longer than [`CPU_SECONDS_MAX`].
pub fn timed<T>(run: impl FnOnce() -> T) -> T {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let start = now();
    let done = run();
    let seconds = now() - start;
    assert!(seconds <= CPU_SECONDS_MAX, "took {seconds:.2} s");
    done
}

/// Lengths of a file's lines, to hold places against.
pub struct Shape {
    lines: Vec<usize>,
    text: bool,
}

impl Shape {
    /// The shape of a file.
    pub fn of(bytes: &[u8]) -> Self {
        let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::len).collect();
        Self { lines, text: std::str::from_utf8(bytes).is_ok() }
    }

    /// The shape of a file by YAML's line ends: CR, NEL, LS and PS end a line too.
    pub fn of_yaml(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        Self::of(text.replace(['\r', '\u{85}', '\u{2028}', '\u{2029}'], "\n").as_bytes())
    }

    /// Fails when a line or column lies outside; the end of a line and the line after the last are
    /// inside. Columns of files that are not UTF-8 may count the replacement characters.
    pub fn holds(&self, line: u32, column: u32) {
        if line == 0 {
            assert_eq!(column, 0, "a column of no line");
            return;
        }
        assert!(line as usize <= self.lines.len() + 1, "line {line} of {}", self.lines.len());
        let length = self.lines.get(line as usize - 1).copied().unwrap_or(0);
        let most = if self.text { length + 1 } else { 3 * length + 1 };
        assert!(column as usize <= most, "{line}:{column} of {length}");
    }

    /// Fails when a problem's place lies outside.
    pub fn hold_problems(&self, problems: &Problems) {
        for problem in &problems.kept {
            self.holds(problem.place.line, problem.place.column);
        }
    }
}

/// The files of one input under given paths.
pub struct Files {
    shapes: BTreeMap<String, Shape>,
    tree: MemoryTree,
}

impl Files {
    /// One file for each path, in the order in which they stand in the input; missing ones are absent.
    pub fn new(data: &[u8], paths: &[&str]) -> Self {
        let mut shapes = BTreeMap::new();
        let mut tree = MemoryTree::new();
        let parts = data.splitn(paths.len(), |byte| *byte == FILE_SEPARATOR);
        for (path, bytes) in paths.iter().zip(parts) {
            shapes.insert((*path).to_string(), Shape::of(bytes));
            tree = tree.file(path, bytes);
        }
        Self { shapes, tree }
    }

    /// The tree that holds them.
    pub fn tree(&self) -> &MemoryTree {
        &self.tree
    }

    /// Fails when a place lies outside of its file, or in a file that there is not.
    pub fn holds(&self, place: &Place) {
        match self.shapes.get(&*place.file) {
            Some(shape) => shape.holds(place.line, place.column),
            None => assert_eq!(place.line, 0, "a line of a file that is not there: {place}"),
        }
    }

    /// Fails when a problem's place lies outside of its file.
    pub fn hold_problems(&self, problems: &Problems) {
        problems.kept.iter().for_each(|problem| self.holds(&problem.place));
    }
}

/// Asks a packet filter about a few probes: the answer is the same each time, and merging a ruleset
/// with nothing changes nothing.
pub fn ask(ruleset: &Ruleset) {
    for to in ["198.51.100.1", "2001:db8::1"] {
        for (transport, port) in [(Transport::Tcp, 22), (Transport::Udp, 53)] {
            let probe = Probe {
                from: Reach::Global,
                to: to.parse().expect("a constant address"),
                interface: Some("eth0".into()),
                transport,
                port,
            };
            assert_eq!(ruleset.admits(&probe), ruleset.admits(&probe));
            if let Some(redirect) = ruleset.redirects(&probe) {
                redirect.ports();
            }
        }
    }
    let mut merged = ruleset.clone();
    merged.merge(Ruleset::default());
    assert_eq!(&merged, ruleset);
}
