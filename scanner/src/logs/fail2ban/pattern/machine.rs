//! Runs a program over a text as Python's `re` does: by trying, in order of preference.
//!
//! Bounded: after [`STEPS_PLAIN`] steps without an answer it begins again and remembers every state
//! that failed, so that none is tried twice; after [`STEPS_MAX`] it gives up and says so. Texts are
//! UTF-8. Nothing is allocated once the stack has grown.

use super::class::is_word;
use super::program::{Operation, Program, same_but_case};
use super::syntax::{At, Look};

/// Steps before states are remembered.
pub const STEPS_PLAIN: u32 = 20_000;

/// Steps (instructions and characters looked at) after which a search is given up.
pub const STEPS_MAX: u32 = 4_000_000;

/// Most bits that remember states (4 MiB).
const MEMORY_BITS_MAX: usize = 32 << 20;

/// Most choices that are open at once (24 MiB); one more and the search is given up.
const FRAMES_MAX: usize = 1 << 20;

/// Deepest look-around in look-around.
const LOOKS_MAX: u32 = 20;

const UNSET: usize = usize::MAX;

/// What a search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A match that ends here.
    Found(usize),
    /// There is none.
    None,
    /// Given up.
    Undecided,
}

#[derive(Clone, Copy)]
enum Frame {
    /// Go on here.
    Branch { at: u32, position: u32 },
    /// Put a slot back.
    Slot { slot: u32, value: usize },
    /// A greedy run may give one character back, down to `least`.
    Shorter { at: u32, least: u32, position: u32 },
    /// A lazy run may take one character more.
    Longer { at: u32, position: u32, left: u32 },
}

/// How a place in the program was come to.
#[derive(Clone, Copy)]
enum State {
    /// In order.
    Entered,
    /// By a run that gave characters back or took more.
    Resumed,
}

/// What a search needs; kept by the caller for the next one.
#[derive(Default)]
pub struct Machine {
    stack: Vec<Frame>,
    pub(super) slots: Vec<usize>,
    seen: Vec<u64>,
    steps: u32,
    limit: u32,
    remember: bool,
    looks: u32,
}

impl Machine {
    /// Whether and where the program first matches; slots are then those of its groups.
    pub(super) fn search(&mut self, program: &Program, text: &str) -> Outcome {
        self.steps = 0;
        self.remember = false;
        self.limit = STEPS_PLAIN;
        let outcome = self.starts(program, text);
        if outcome != Outcome::Undecided {
            return outcome;
        }
        self.limit = STEPS_MAX;
        self.remember = program.memorable && self.memory(program, text.len());
        self.starts(program, text)
    }

    /// Room to remember states, if it is not too much.
    fn memory(&mut self, program: &Program, length: usize) -> bool {
        let bits = (length + 1)
            .checked_mul(program.operations.len())
            .and_then(|bits| bits.checked_mul(2 << program.conditions.len()));
        let Some(bits) = bits.filter(|bits| *bits <= MEMORY_BITS_MAX) else { return false };
        self.seen.clear();
        self.seen.resize(bits.div_ceil(64), 0);
        true
    }

    fn starts(&mut self, program: &Program, text: &str) -> Outcome {
        let bytes = text.as_bytes();
        if program.anchored {
            return self.attempt(program, text, 0);
        }
        let mut start = 0;
        while start <= bytes.len() {
            let may = match bytes.get(start) {
                Some(byte) => program.first.has(*byte) && text.is_char_boundary(start),
                None => program.first.has(0) && program.first.has(255),
            };
            if may {
                let outcome = self.attempt(program, text, start);
                if outcome != Outcome::None {
                    return outcome;
                }
            } else {
                self.steps += 1;
            }
            start += 1;
        }
        Outcome::None
    }

    fn attempt(&mut self, program: &Program, text: &str, start: usize) -> Outcome {
        self.slots.clear();
        self.slots.resize(program.slots.max(2), UNSET);
        self.stack.clear();
        self.looks = 0;
        let outcome = self.run(program, text, 0, start);
        if let Outcome::Found(end) = outcome {
            self.slots[0] = start;
            self.slots[1] = end;
        }
        outcome
    }

    /// Runs from an instruction; frames below those of this call stay untouched.
    fn run(&mut self, program: &Program, text: &str, at: usize, position: usize) -> Outcome {
        let base = self.stack.len();
        let bytes = text.as_bytes();
        let (mut at, mut position) = (at, position);
        loop {
            self.steps += 1;
            if self.steps > self.limit {
                return Outcome::Undecided;
            }
            let next = match &program.operations[at] {
                Operation::Accept => return Outcome::Found(position),
                Operation::Literal { start, length } => {
                    let here = stands(program, (*start, *length), bytes, position);
                    here.then_some((at + 1, position + *length as usize))
                }
                Operation::Class(class) => {
                    one(program, *class, text, position).map(|width| (at + 1, position + width))
                }
                Operation::Run { .. } | Operation::Split { .. }
                    if self.remember && self.seen_before(program, at, position, State::Entered) =>
                {
                    None
                }
                Operation::Run { class, least, most, lazy, barrier, .. } => {
                    let of = Run { program, class: *class, barrier: *barrier, text };
                    self.repeat(of, (at, position), (*least, *most), *lazy)
                }
                Operation::Jump(to) => Some((*to as usize, position)),
                Operation::Split { first, second } => {
                    self.push(Frame::Branch { at: *second, position: narrow(position) });
                    Some((*first as usize, position))
                }
                Operation::Save(slot) | Operation::Mark(slot) => {
                    self.save(usize::from(*slot), position);
                    Some((at + 1, position))
                }
                Operation::At(place) => is_at(*place, text, position).then_some((at + 1, position)),
                Operation::Progress { slot, exit } => {
                    let still = self.slots[usize::from(*slot)] == position;
                    Some((if still { *exit as usize } else { at + 1 }, position))
                }
                Operation::IfSet { group, otherwise } => {
                    let set = self.is_set(usize::from(*group));
                    Some((if set { at + 1 } else { *otherwise as usize }, position))
                }
                Operation::Back { group, fold } => self
                    .back(text, usize::from(*group), position, *fold)
                    .map(|position| (at + 1, position)),
                Operation::Look { look, width, end, low, high } => {
                    match self.look(program, text, at + 1, position, (*look, *width, *low, *high)) {
                        Err(()) => return Outcome::Undecided,
                        Ok(holds) => holds.then_some((*end as usize, position)),
                    }
                }
                Operation::LookLiteral { start, length, negated } => {
                    let here = stands(program, (*start, *length), bytes, position);
                    (here != *negated).then_some((at + 1, position))
                }
                Operation::Atomic { end } => match self.inner(program, text, at + 1, position) {
                    Outcome::Undecided => return Outcome::Undecided,
                    Outcome::None => None,
                    Outcome::Found(after) => Some((*end as usize, after)),
                },
            };
            match next.or_else(|| self.back_track(program, text, base)) {
                Some(next) => (at, position) = next,
                None => return Outcome::None,
            }
        }
    }

    #[inline]
    fn push(&mut self, frame: Frame) {
        if self.stack.len() >= FRAMES_MAX {
            self.steps = STEPS_MAX + 1;
            return;
        }
        self.stack.push(frame);
    }

    fn is_set(&self, group: usize) -> bool {
        self.slots[group * 2 + 1] != UNSET
    }

    fn save(&mut self, slot: usize, position: usize) {
        let value = std::mem::replace(&mut self.slots[slot], position);
        self.push(Frame::Slot { slot: narrow(slot), value });
    }

    /// The next thing to try, if frames of this run are left.
    fn back_track(&mut self, program: &Program, text: &str, base: usize) -> Option<(usize, usize)> {
        while self.stack.len() > base {
            let (at, position) = match self.stack.pop()? {
                Frame::Slot { slot, value } => {
                    self.slots[slot as usize] = value;
                    continue;
                }
                Frame::Branch { at, position } => return Some((at as usize, position as usize)),
                Frame::Shorter { at, least, position } => {
                    let Operation::Run { next, .. } = program.operations[at as usize] else {
                        continue;
                    };
                    let Some(shorter) = shorter(text, position as usize, least as usize, next)
                    else {
                        self.steps = self.steps.saturating_add((position - least) / 8);
                        continue;
                    };
                    self.steps = self.steps.saturating_add((position - narrow(shorter)) / 8);
                    if shorter > least as usize {
                        self.push(Frame::Shorter { at, least, position: narrow(shorter) });
                    }
                    (at + 1, narrow(shorter))
                }
                Frame::Longer { at, position, left } => {
                    let Operation::Run { class, next, barrier, .. } =
                        program.operations[at as usize]
                    else {
                        continue;
                    };
                    let start = position as usize;
                    let found = Run { program, class, barrier, text }.longer(start, left, next);
                    let Some((longer, left)) = found else { continue };
                    self.steps = self.steps.saturating_add(narrow(longer - start) / 8);
                    if left > 0 {
                        self.push(Frame::Longer { at, position: narrow(longer), left });
                    }
                    (at + 1, narrow(longer))
                }
            };
            let (at, position) = (at as usize, position as usize);
            if !self.remember || !self.seen_before(program, at, position, State::Resumed) {
                return Some((at, position));
            }
            self.steps += 1;
        }
        None
    }

    /// Whether this state was tried, that is, failed, where states are remembered; it is from now on.
    fn seen_before(&mut self, program: &Program, at: usize, position: usize, state: State) -> bool {
        if self.looks > 0 {
            return false;
        }
        let conditions = program
            .conditions
            .iter()
            .fold(0, |bits, group| bits << 1 | usize::from(self.slots[group * 2 + 1] != UNSET));
        let place = (position * program.operations.len() + at) * 2 + state as usize;
        let bit = (place << program.conditions.len()) + conditions;
        let Some(word) = self.seen.get_mut(bit / 64) else { return false };
        let known = *word >> (bit % 64) & 1 == 1;
        *word |= 1 << (bit % 64);
        known
    }

    fn repeat(
        &mut self,
        run: Run<'_>,
        (at, start): (usize, usize),
        (least, most): (u32, u32),
        lazy: bool,
    ) -> Option<(usize, usize)> {
        let wanted = if lazy { least } else { most };
        let (mut position, mut count, mut least_end) = (start, 0, start);
        while count < wanted {
            let Some(width) = run.one(position) else { break };
            position += width;
            count += 1;
            if count == least {
                least_end = position;
            }
        }
        self.steps = self.steps.saturating_add(count / 8);
        if count < least {
            return None;
        }
        if lazy && most > least {
            self.push(Frame::Longer {
                at: narrow(at),
                position: narrow(position),
                left: most - least,
            });
        } else if !lazy && position > least_end {
            let (at, least) = (narrow(at), narrow(least_end));
            self.push(Frame::Shorter { at, least, position: narrow(position) });
        }
        Some((at + 1, position))
    }

    fn back(&self, text: &str, group: usize, position: usize, fold: bool) -> Option<usize> {
        let said = text.get(*self.slots.get(group * 2)?..*self.slots.get(group * 2 + 1)?)?;
        let rest = text.get(position..)?;
        if !fold {
            return rest.starts_with(said).then_some(position + said.len());
        }
        let mut after = rest.chars();
        for one in said.chars() {
            after.next().filter(|other| same_but_case(one, *other))?;
        }
        Some(text.len() - after.as_str().len())
    }

    /// Runs a body for itself: what it could still try is forgotten once it matched.
    fn inner(&mut self, program: &Program, text: &str, at: usize, position: usize) -> Outcome {
        if self.looks == LOOKS_MAX {
            return Outcome::Undecided;
        }
        self.looks += 1;
        let base = self.stack.len();
        let outcome = self.run(program, text, at, position);
        self.looks -= 1;
        if let Outcome::Found(_) = outcome {
            // Slots are put back when what comes after fails, choices are gone.
            let mut kept = base;
            for index in base..self.stack.len() {
                if let Frame::Slot { .. } = self.stack[index] {
                    self.stack[kept] = self.stack[index];
                    kept += 1;
                }
            }
            self.stack.truncate(kept);
        }
        outcome
    }

    fn look(
        &mut self,
        program: &Program,
        text: &str,
        at: usize,
        position: usize,
        (look, width, low, high): (Look, u32, u16, u16),
    ) -> Result<bool, ()> {
        let mut start = position;
        for _ in 0..width {
            if start == 0 {
                return Ok(look.negated);
            }
            start = before(text, start);
        }
        let base = self.stack.len();
        match self.inner(program, text, at, start) {
            Outcome::Undecided => Err(()),
            Outcome::None => Ok(look.negated),
            Outcome::Found(_) if !look.negated => Ok(true),
            Outcome::Found(_) => {
                debug_assert!(low <= high);
                while self.stack.len() > base {
                    if let Some(Frame::Slot { slot, value }) = self.stack.pop() {
                        self.slots[slot as usize] = value;
                    }
                }
                Ok(false)
            }
        }
    }
}

/// The width of the character here, if the set has it.
#[inline]
fn one(program: &Program, class: u16, text: &str, position: usize) -> Option<usize> {
    let byte = *text.as_bytes().get(position)?;
    let class = &program.classes[usize::from(class)];
    if byte < 128 {
        return class.has_ascii(byte).then_some(1);
    }
    let one = text.get(position..)?.chars().next()?;
    class.has(one).then_some(one.len_utf8())
}

/// The next shorter end of a run after which the byte follows that has to.
fn shorter(text: &str, position: usize, least: usize, next: Option<u8>) -> Option<usize> {
    let mut at = position;
    while at > least {
        at = before(text, at);
        if next.is_none() || text.as_bytes().get(at) == next.as_ref() {
            return Some(at);
        }
    }
    None
}

/// Characters of a set, up to a text that they stop before.
#[derive(Clone, Copy)]
struct Run<'a> {
    program: &'a Program,
    class: u16,
    barrier: (u32, u32),
    text: &'a str,
}

impl Run<'_> {
    /// The width of the character here, if the run goes on with it.
    #[inline]
    fn one(self, position: usize) -> Option<usize> {
        let stopped = self.barrier.1 > 0
            && stands(self.program, self.barrier, self.text.as_bytes(), position);
        if stopped { None } else { one(self.program, self.class, self.text, position) }
    }

    /// The next longer end after which the byte follows that has to, and how many characters more it may
    /// take then.
    fn longer(self, position: usize, left: u32, next: Option<u8>) -> Option<(usize, u32)> {
        let mut at = position;
        for left in (0..left).rev() {
            at += self.one(at)?;
            if next.is_none() || self.text.as_bytes().get(at) == next.as_ref() {
                return Some((at, left));
            }
        }
        None
    }
}

/// Whether a text of the pool stands here.
#[inline]
fn stands(program: &Program, (start, length): (u32, u32), bytes: &[u8], position: usize) -> bool {
    let text = program.pool.get(start as usize..(start + length) as usize).unwrap_or_default();
    let rest = bytes.get(position..).unwrap_or_default();
    // The first byte mostly decides, and needs no call.
    text.first().is_none_or(|first| rest.first() == Some(first)) && rest.starts_with(text)
}

/// Where the character before this place begins.
fn before(text: &str, position: usize) -> usize {
    let mut at = position.saturating_sub(1);
    while at > 0 && !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Texts are lines of at most 64 KiB or a few of them, so that places fit.
fn narrow(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

fn is_at(place: At, text: &str, position: usize) -> bool {
    let bytes = text.as_bytes();
    match place {
        At::TextStart => position == 0,
        At::TextEnd => position == bytes.len(),
        At::LineStart => position == 0 || bytes.get(position - 1) == Some(&b'\n'),
        At::LineEnd => bytes.get(position).is_none_or(|byte| *byte == b'\n'),
        At::LastLineEnd => bytes.get(position..).is_some_and(|rest| matches!(rest, [] | [b'\n'])),
        At::WordBound | At::NotWordBound => {
            let word = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
            let left = match position.checked_sub(1).and_then(|at| bytes.get(at)) {
                None => false,
                Some(byte) if *byte < 128 => word(*byte),
                Some(_) => text[..position].chars().next_back().is_some_and(is_word),
            };
            let right = match bytes.get(position) {
                None => false,
                Some(byte) if *byte < 128 => word(*byte),
                Some(_) => text[position..].chars().next().is_some_and(is_word),
            };
            (left != right) == (place == At::WordBound)
        }
    }
}
