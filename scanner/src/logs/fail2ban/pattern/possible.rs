//! Whether a program can match any line of a shape: all ways through it are followed at once, over a text
//! in which a run of digits is every run of digits of its lengths.
//!
//! Only ever too generous: look-around is taken as holding, both branches of a condition are tried,
//! repeats have no upper bound, and what is not understood (a back reference, too many states) may match.

use super::program::{Operation, Program};
use super::syntax::At;
use crate::logs::shape::Piece;

/// Most states of an automaton; larger programs may match anything.
const STATES_MAX: usize = 8_000;

/// Most states looked at for one answer.
const VISITS_MAX: usize = 200_000;

/// A program as states that follow each other.
#[derive(Debug)]
pub(super) struct Automaton {
    states: Vec<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// One byte; then the state after this one.
    Byte(u8),
    /// One character of a set, then there.
    Class(u16, u32),
    /// Both.
    Fork(u32, u32),
    Goto(u32),
    At(At),
    /// Where it matches, or nobody knows.
    Accept,
}

impl Automaton {
    /// Of a program; `None` for one that is too large.
    pub(super) fn new(program: &Program) -> Option<Self> {
        let size = |operation: &Operation| match operation {
            Operation::Literal { length, .. } => *length as usize,
            Operation::Run { .. } => 3,
            _ => 1,
        };
        let mut starts = Vec::with_capacity(program.operations.len());
        let mut count = 0;
        for operation in &program.operations {
            starts.push(u32::try_from(count).ok()?);
            count += size(operation);
        }
        if count > STATES_MAX {
            return None;
        }
        let to = |operation: u32| starts.get(operation as usize).copied().unwrap_or(0);
        let mut states = Vec::with_capacity(count);
        // The body of an atomic group ends with an `Accept` of its own.
        let mut inner = Vec::new();
        for (index, operation) in program.operations.iter().enumerate() {
            let here = starts[index];
            let after = to(u32::try_from(index).ok()? + 1);
            match operation {
                Operation::Literal { start, length } => {
                    let text = program.pool.get(*start as usize..(start + length) as usize)?;
                    states.extend(text.iter().map(|byte| State::Byte(*byte)));
                }
                Operation::Class(class) => states.push(State::Class(*class, after)),
                // Over none at all, or in; out again after each.
                Operation::Run { class, least, most, .. } => {
                    let enter = if *most == 0 { after } else { here + 1 };
                    states.push(if *least == 0 {
                        State::Fork(after, enter)
                    } else {
                        State::Goto(enter)
                    });
                    states.push(State::Class(*class, if *most == 1 { after } else { here + 2 }));
                    states.push(State::Fork(here + 1, after));
                }
                Operation::Jump(there) => states.push(State::Goto(to(*there))),
                Operation::Split { first, second } => {
                    states.push(State::Fork(to(*first), to(*second)));
                }
                Operation::Save(_) | Operation::Mark(_) | Operation::LookLiteral { .. } => {
                    states.push(State::Goto(after));
                }
                Operation::At(at) => states.push(State::At(*at)),
                Operation::Look { end, .. } => states.push(State::Goto(to(*end))),
                Operation::Atomic { end } => {
                    inner.push(*end);
                    states.push(State::Goto(after));
                }
                Operation::IfSet { otherwise, .. } => {
                    states.push(State::Fork(after, to(*otherwise)));
                }
                Operation::Progress { exit, .. } => states.push(State::Fork(after, to(*exit))),
                Operation::Accept if inner.last() == Some(&(u32::try_from(index).ok()? + 1)) => {
                    inner.pop();
                    states.push(State::Goto(after));
                }
                Operation::Back { .. } | Operation::Accept => states.push(State::Accept),
            }
        }
        Some(Self { states })
    }

    /// Whether it may match in a text of these pieces and a line feed.
    pub(super) fn may_match(&self, program: &Program, text: &[Piece]) -> bool {
        let marks = vec![0; self.states.len()];
        let (now, raw) = (Vec::new(), Vec::new());
        let mut walk =
            Walk { automaton: self, program, marks, round: 0, now, raw, visits: 0, ends: false };
        walk.over(text);
        walk.ends
    }
}

struct Walk<'a> {
    automaton: &'a Automaton,
    program: &'a Program,
    /// In which round a state was met last.
    marks: Vec<u32>,
    round: u32,
    /// States that wait for a character.
    now: Vec<u32>,
    /// States just come to, before what needs no character is followed.
    raw: Vec<u32>,
    visits: usize,
    /// It matches, or too much was looked at.
    ends: bool,
}

/// A digit, whichever.
const DIGIT: u8 = b'0';

impl Walk<'_> {
    fn over(&mut self, text: &[Piece]) {
        let first = |at: usize| match text.get(at) {
            Some(Piece::Byte(byte)) => Some(*byte),
            Some(Piece::Digits { .. }) => Some(DIGIT),
            None if at == text.len() => Some(b'\n'),
            None => None,
        };
        self.raw.push(0);
        self.follow((None, first(0), text.is_empty()));
        for (at, piece) in text.iter().enumerate() {
            let last = at + 1 == text.len();
            match piece {
                Piece::Byte(byte) => {
                    self.step(*byte);
                    self.begin();
                    self.follow((Some(*byte), first(at + 1), last));
                }
                Piece::Digits { least, most } => {
                    self.digits(*least, *most, (Some(DIGIT), first(at + 1), last));
                }
            }
            if self.ends || self.now.is_empty() && self.program.anchored {
                return;
            }
        }
        self.step(b'\n');
        self.begin();
        self.follow((Some(b'\n'), None, true));
    }

    /// Over runs of so many digits; all that is come to after one of them is gone on with.
    fn digits(&mut self, least: usize, most: usize, after: Place) {
        let mut all: Vec<u32> = Vec::new();
        let mut before: Vec<u32> = Vec::new();
        for count in 1..=most {
            self.step(DIGIT);
            self.begin();
            let come = self.raw.clone();
            if count >= least {
                self.follow(after);
                all.extend_from_slice(&self.now);
            }
            self.raw = come;
            self.follow((Some(DIGIT), Some(DIGIT), false));
            self.now.sort_unstable();
            // What follows is as before: so are all longer runs.
            if self.ends || count > least && self.now == before {
                break;
            }
            before.clone_from(&self.now);
        }
        all.sort_unstable();
        all.dedup();
        self.now = all;
    }

    /// A match may also begin here.
    fn begin(&mut self) {
        if !self.program.anchored {
            self.raw.push(0);
        }
    }

    /// Each state that waits takes a character.
    fn step(&mut self, byte: u8) {
        self.raw.clear();
        for index in 0..self.now.len() {
            let state = self.now[index];
            match self.automaton.states[state as usize] {
                State::Byte(wanted) if takes(wanted, byte) => self.raw.push(state + 1),
                State::Class(class, next) => {
                    let class = &self.program.classes[usize::from(class)];
                    let has = match byte {
                        DIGIT => (b'0'..=b'9').any(|digit| class.has_ascii(digit)),
                        other => class.has_ascii(other),
                    };
                    if has {
                        self.raw.push(next);
                    }
                }
                _ => {}
            }
        }
    }

    /// Follows what needs no character; `now` is then what waits for one.
    fn follow(&mut self, place: Place) {
        self.round += 1;
        self.now.clear();
        while let Some(state) = self.raw.pop() {
            let mark = &mut self.marks[state as usize];
            if std::mem::replace(mark, self.round) == self.round {
                continue;
            }
            self.visits += 1;
            match self.automaton.states[state as usize] {
                State::Byte(_) | State::Class(..) => self.now.push(state),
                State::Fork(one, other) => self.raw.extend([one, other]),
                State::Goto(there) => self.raw.push(there),
                State::At(at) if may_be(at, place) => self.raw.push(state + 1),
                State::At(_) => {}
                State::Accept => self.ends = true,
            }
        }
        self.ends |= self.visits > VISITS_MAX;
    }
}

/// What stands before a place and after it, and whether only a line feed follows at most.
type Place = (Option<u8>, Option<u8>, bool);

/// Whether a byte of a program takes one of the text.
fn takes(wanted: u8, byte: u8) -> bool {
    wanted == byte || byte == DIGIT && wanted.is_ascii_digit()
}

fn may_be(at: At, (before, after, last): Place) -> bool {
    match at {
        At::TextStart => before.is_none(),
        At::LineStart => before.is_none_or(|byte| byte == b'\n'),
        At::LastLineEnd => last,
        At::LineEnd => after.is_none_or(|byte| byte == b'\n'),
        At::TextEnd => after.is_none(),
        At::WordBound | At::NotWordBound => {
            let word = |byte: Option<u8>| {
                byte.is_some_and(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
            };
            (word(before) != word(after)) == (at == At::WordBound)
        }
    }
}
