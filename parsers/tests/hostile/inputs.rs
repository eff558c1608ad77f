//! Hostile files by themselves.

use parsers::tree::MemoryTree;

use crate::grammars::{Grammar, Reader, Silence};
use crate::measure::{LARGE_BYTES, Outcome, measured};

/// Large, and still read by those who ask a tree for at most 8 MiB.
const WITHIN_BYTES: usize = 8_000_000;

/// Most bytes of inputs that cost a step for each byte.
const STEPS_BYTES: usize = if cfg!(debug_assertions) { 1_000_000 } else { LARGE_BYTES };

/// Most bytes of inputs that cost a step for each entry: enough to pass every limit of a list.
const ENTRIES_BYTES: usize = if cfg!(debug_assertions) { 3_000_000 } else { LARGE_BYTES };

/// Brackets in brackets.
const DEPTH: usize = 100_000;

/// What has to come of an input.
enum Expected {
    /// It ends; there is nothing that could be cut.
    Ends,
    /// Something is told.
    Told,
    /// So many values are kept, or something is told.
    WholeOrTold(usize),
}

/// Runs every input of a file by itself.
pub fn files(grammar: &Grammar, failures: &mut Vec<String>) {
    let mut one = |what: &str, bytes: &[u8], expected: &Expected| {
        eprint!("{} {what}: ", grammar.name);
        let outcome = measured(|| read(grammar, bytes));
        let fault = match (&outcome, expected) {
            (Err(fault), _) => Some(fault.clone()),
            (Ok(outcome), Expected::Told) if outcome.told.is_empty() => {
                Some(format!("nothing is told; {} values are kept", outcome.kept))
            }
            (Ok(outcome), Expected::WholeOrTold(count))
                if outcome.told.is_empty() && outcome.kept < *count =>
            {
                Some(format!("{} of {count} values, and nothing is told", outcome.kept))
            }
            _ => None,
        };
        failures.extend(fault.map(|fault| format!("{}: {what}: {fault}", grammar.name)));
    };
    one("empty", b"", &Expected::Ends);
    one("only line ends", &vec![b'\n'; large(grammar).min(STEPS_BYTES)], &Expected::Ends);
    one("only NULs", &vec![0; large(grammar).min(STEPS_BYTES)], &unless(grammar.nuls));
    let mut long = grammar.long.to_vec();
    long.resize(large(grammar), b'a');
    one("a line of megabytes", &long, &unless(grammar.long_line));
    long.truncate(grammar.long.len());
    long.resize(LARGE_BYTES, b'a');
    one("a line of ten megabytes", &long, &unless(grammar.long_line));
    let mut with_nul = grammar.long.to_vec();
    with_nul.extend(b"a\0b\n");
    one("a NUL in a value", &with_nul, &unless(grammar.nul));
    let mut bad = grammar.long.to_vec();
    bad.extend(b"\xff\xfe\x80\n");
    one("no UTF-8", &bad, &Expected::WholeOrTold(1));
    for text in grammar.unfinished {
        one(&format!("unfinished {text:?}"), text.as_bytes(), &Expected::Told);
    }
    for (open, around) in grammar.nests {
        let mut deep = around.as_bytes().to_vec();
        deep.extend(open.repeat(DEPTH));
        one(&format!("nested {open:?}"), &deep, &Expected::Told);
    }
    let many = grammar.entry.repeat(large(grammar).min(ENTRIES_BYTES) / grammar.entry.len());
    one("many entries", &many, &Expected::WholeOrTold(many.len() / grammar.entry.len()));
}

/// What has to come of an input that some grammars may pass over without a word.
fn unless(silence: Silence) -> Expected {
    match silence {
        Silence::Right(reason) => {
            eprintln!("without a word, because {reason}");
            Expected::Ends
        }
        Silence::Wrong => Expected::Told,
    }
}

fn large(grammar: &Grammar) -> usize {
    match grammar.reader {
        Reader::Bytes(_) => LARGE_BYTES,
        Reader::Tree { most_bytes: 0, .. } => WITHIN_BYTES,
        Reader::Tree { most_bytes, .. } => most_bytes,
    }
}

/// Reads a file's bytes, through a tree where the grammar wants one.
fn read(grammar: &Grammar, bytes: &[u8]) -> Outcome {
    match &grammar.reader {
        Reader::Bytes(read) => read(bytes),
        Reader::Tree { path, read, .. } => read(&MemoryTree::new().file(path, bytes)),
    }
}
