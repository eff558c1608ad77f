//! Whether a program can match any line of a shape: all ways through it are followed at once, over a text
//! in which a run of digits is every run of digits of its lengths.
//!
//! Only ever too generous: look-around is taken as holding, both branches of a condition are tried,
//! long repeats have no upper bound, and what is not understood (a back reference, too many states) may match.

use super::program::{Operation, Program};
use super::syntax::At;
use crate::logs::shape::Piece;

/// Most states of an automaton; larger programs may match anything.
const STATES_MAX: usize = 8_000;

/// Most states looked at for one answer.
const VISITS_MAX: usize = 200_000;

/// Longest run of which each character is a state.
const RUN_MAX: u32 = 8;

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

/// How many characters of a run are states of their own; then the last of them repeats.
fn written_out(least: u32, most: u32) -> usize {
    let count = if most <= RUN_MAX { most } else { least.clamp(1, RUN_MAX) };
    count as usize
}

impl Automaton {
    /// Of a program; `None` for one that is too large.
    pub(super) fn new(program: &Program) -> Option<Self> {
        let size = |operation: &Operation| match operation {
            Operation::Literal { length, .. } => *length as usize,
            Operation::Run { least, most, .. } => 2 * written_out(*least, *most) + 1,
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
                Operation::Run { class, least, most, .. } => {
                    let count = u32::try_from(written_out(*least, *most)).ok()?;
                    for done in 0..count {
                        let enter = here + 2 * done + 1;
                        states.push(if done < *least {
                            State::Goto(enter)
                        } else {
                            State::Fork(enter, after)
                        });
                        states.push(State::Class(*class, enter + 1));
                    }
                    let again = here + (2 * count).saturating_sub(1);
                    states.push(if *most == count {
                        State::Goto(after)
                    } else {
                        State::Fork(again, after)
                    });
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

#[cfg(test)]
mod tests {
    use super::super::{Lines, Machine, Pattern};

    struct Dice(u64);

    impl Dice {
        fn below(&mut self, most: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % most
        }
    }

    /// A pattern of anything that filters are written with.
    fn pattern(dice: &mut Dice, depth: usize) -> String {
        const ATOMS: [&str; 28] = [
            "a",
            "b",
            " ",
            "1",
            "23",
            ":",
            "a 1",
            r"\d",
            r"\w",
            r"\S",
            r"\s",
            "[a1]",
            "[^ 1]",
            ".",
            r"\b",
            r"\B",
            "^",
            "$",
            r"\d{1,3}",
            r"\d+",
            "0*",
            "(?i:B)",
            r"(?!a)",
            r"(?=\d)",
            r"(?<=1)",
            r"(?<!:)",
            r"\d{2}",
            r"[0-4]{3,5}",
        ];
        let parts = 1 + dice.below(4);
        let mut text = String::new();
        for _ in 0..parts {
            let inner = dice.below(8);
            let atom = match inner {
                0 if depth > 0 => format!("(?:{})", pattern(dice, depth - 1)),
                1 if depth > 0 => {
                    format!("(?:{}|{})", pattern(dice, depth - 1), pattern(dice, depth - 1))
                }
                2 if depth > 0 => format!("(?>{})", pattern(dice, depth - 1)),
                3 if depth > 0 => format!("({})?(?(1)a|:)", pattern(dice, 0)),
                _ => ATOMS[dice.below(ATOMS.len())].to_string(),
            };
            let repeat = ["", "", "", "*", "+", "?", "*?", "{2}", "{0,2}"][dice.below(9)];
            text += &atom;
            if !atom.starts_with(r"\b") && !matches!(atom.as_str(), r"\B" | "^" | "$") {
                let single = atom.ends_with(['+', '*', '}']) || inner == 3;
                text += if single { "" } else { repeat };
            }
        }
        text
    }

    #[test]
    fn what_matches_a_line_may_match_its_shape() {
        let mut dice = Dice(5);
        let mut machine = Machine::default();
        let (mut tried, mut matched, mut never) = (0, 0, 0);
        while tried < 3_000 {
            let text = pattern(&mut dice, 2);
            let Ok(pattern) = Pattern::new(&text, Lines::One) else { continue };
            tried += 1;
            for _ in 0..12 {
                let length = dice.below(14);
                let line: String =
                    (0..length).map(|_| char::from(b"ab 01234:aB 99"[dice.below(14)])).collect();
                let may = pattern.may_match_like(line.as_bytes());
                never += u32::from(!may);
                // The same with other digits, as many or within the bucket.
                let other: String = line
                    .chars()
                    .map(|c| {
                        if c.is_ascii_digit() { char::from(b'0' + dice.below(10) as u8) } else { c }
                    })
                    .collect();
                for line in [line, other] {
                    let found = pattern.search(&format!("{line}\n"), &mut machine);
                    if found == Ok(true) {
                        matched += 1;
                        assert!(may, "{text:?} {line:?}");
                    }
                }
            }
        }
        assert!(matched > 10_000 && never > 5_000, "{matched} {never}");
    }

    #[test]
    fn lengths_of_digits_are_those_of_the_bucket() {
        let pattern = |text| Pattern::new(text, Lines::One).unwrap();
        for (text, line, may) in [
            (r"^a\d{4,5}$", "a123", false),
            (r"^a\d\d\d$", "a1", true),
            (r"^a\d\d\d\d", "a1", false),
            (r"^a\d{7,9}b", "a123456b", true),
            (r"^a7{5}b", "a1234b", true),
            (r"^a7{6}b", "a1234b", false),
            (r"port 22\b", "port 4", true),
            (r"port 22\b", "port 4096", false),
            (r"port \D", "port 4096", false),
            (r"(a)\1 2", "xa 1", true),
        ] {
            assert_eq!(pattern(text).may_match_like(line.as_bytes()), may, "{text} {line}");
        }
    }
}
