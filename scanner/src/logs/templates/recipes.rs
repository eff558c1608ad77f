//! What was read of a line, for all lines that differ from it only in digits which do not matter.
//!
//! Nearly all lines of a log repeat a few hundred skeletons. Which kinds the tokens of a message have
//! depends on its digits in few ways: on how long some runs are (an address has one to three digits a
//! part, a date four and two), and on a few texts (`0x`, `SHA256:`). A recipe holds what was read of one
//! line together with what the digits of another have to be like for the same to be read of that;
//! where nothing looser is proved, each run has to be of the same length. Lines without a recipe
//! are read. Bounded: [`RECIPES_MAX`], admitted when a skeleton is met again.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::kinds::{self, Mask, flag};
use super::skeleton::{Key, Run, Skeletons};
use super::tokens::{Token, Tokens};

/// Most recipes of a thread.
const RECIPES_MAX: usize = 2048;
/// Most recipes of one skeleton.
const VARIANTS_MAX: usize = 24;
/// Skeletons that are remembered as met once.
const MET_SLOTS: usize = 4096;
/// Lines without a recipe after which full room is cleared.
const MISSED_BEFORE_CLEARING: usize = 8 * RECIPES_MAX;
/// Bytes within which the kernel's own stamp stands, with its brackets.
const STAMP_BYTES: usize = 26;
/// No further recipe.
const END: u32 = u32::MAX;

/// What was read of a line.
pub(super) struct Recipe {
    /// Of the same skeleton.
    next: u32,
    bounds: Box<[Bound]>,
    /// By its canonical name.
    pub(super) program: Box<[u8]>,
    /// The sum of its tokens.
    pub(super) sum: u64,
    /// How many there are.
    pub(super) tokens: usize,
    ip: Option<[Anchor; 2]>,
    user: Option<[Anchor; 2]>,
    /// Where its shape is in the census of a part, and which part that is.
    pub(super) place: u32,
    pub(super) part: u64,
}

/// What a run of digits has to be like.
struct Bound {
    run: u8,
    least: u16,
    most: u16,
    /// Exactly these, unless empty.
    digits: Box<[u8]>,
}

/// A place in a text: behind so many of its runs, so many bytes after the last of them.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    runs: u8,
    after: u16,
}

/// The line of which a recipe is made, from its tag on.
pub(super) struct Told<'l> {
    pub(super) text: &'l [u8],
    /// The program as it is written.
    pub(super) written: &'l [u8],
    pub(super) program: &'l [u8],
    pub(super) message: &'l [u8],
    pub(super) tokens: &'l Tokens,
}

/// What is known of a text.
pub(super) enum Found {
    /// The position of its recipe.
    Recipe(usize),
    /// Nothing, and the skeleton was met before.
    Again(Key),
    Nothing,
}

/// The recipes of a thread.
pub(super) struct Recipes {
    skeletons: Skeletons,
    first: HashMap<Key, u32, BuildHasherDefault<Keyed>>,
    list: Vec<Recipe>,
    met: Box<[u64]>,
    missed: usize,
}

impl Default for Recipes {
    fn default() -> Self {
        Self {
            skeletons: Skeletons::default(),
            first: HashMap::default(),
            list: Vec::new(),
            met: Box::new([]),
            missed: 0,
        }
    }
}

impl Recipes {
    /// The recipe of a text, from its tag on.
    pub(super) fn find(&mut self, text: &[u8]) -> Found {
        let Some(key) = self.skeletons.read(text) else { return Found::Nothing };
        let mut at = self.first.get(&key).copied().unwrap_or(END);
        while let Some(recipe) = self.list.get(at as usize) {
            if recipe.fits(text, self.skeletons.runs()) {
                return Found::Recipe(at as usize);
            }
            at = recipe.next;
        }
        self.missed += 1;
        if self.met.is_empty() {
            self.met = vec![0; MET_SLOTS].into();
        }
        let slot = &mut self.met[key.0 as usize % MET_SLOTS];
        if std::mem::replace(slot, key.0) == key.0 { Found::Again(key) } else { Found::Nothing }
    }

    /// A recipe.
    pub(super) fn at(&mut self, at: usize) -> &mut Recipe {
        &mut self.list[at]
    }

    /// Address and account of the text that was found last, by its recipe.
    pub(super) fn named<'t>(&self, at: usize, text: &'t [u8]) -> [Option<&'t [u8]>; 2] {
        let runs = self.skeletons.runs();
        [self.list[at].ip, self.list[at].user].map(|place| {
            let [from, to] = place?;
            text.get(from.place(runs)..to.place(runs))
        })
    }

    /// Keeps what was read of the text that was looked for last.
    pub(super) fn learn(&mut self, key: Key, told: &Told<'_>) {
        if self.list.len() >= RECIPES_MAX {
            if self.missed < MISSED_BEFORE_CLEARING {
                return;
            }
            self.first.clear();
            self.list.clear();
            self.missed = 0;
        }
        let first = self.first.get(&key).copied().unwrap_or(END);
        let (mut variants, mut at) = (0, first);
        while let Some(recipe) = self.list.get(at as usize) {
            (variants, at) = (variants + 1, recipe.next);
        }
        if variants >= VARIANTS_MAX {
            return;
        }
        let Some(recipe) = Recipe::of(told, self.skeletons.runs(), first) else { return };
        self.first.insert(key, u32::try_from(self.list.len()).unwrap_or(END));
        self.list.push(recipe);
    }
}

impl Recipe {
    /// `None` when nothing can be said of other lines of the skeleton.
    fn of(told: &Told<'_>, runs: &[Run], next: u32) -> Option<Self> {
        let within = |part: &[u8]| {
            let from = part.as_ptr().addr().checked_sub(told.text.as_ptr().addr())?;
            (from + part.len() <= told.text.len()).then_some(from)
        };
        let message = within(told.message)?;
        let written = if told.written.is_empty() {
            0..0
        } else {
            let from = within(told.written)?;
            from..from + told.written.len()
        };
        let mut bounds = Vec::new();
        for (number, run) in (0_u8..).zip(runs) {
            let from = usize::from(run.from);
            let needs = if from < message {
                if written.contains(&from) { Needs::Digits } else { Needs::Nothing }
            } else {
                needs(told, from - message, usize::from(run.to) - message)?
            };
            let digits = &told.text[from..usize::from(run.to)];
            bounds.extend(Bound::of(number, digits, needs));
        }
        let anchor = |place: Option<(u32, u32)>| match place {
            None => Some(None),
            Some((from, to)) => {
                let of = |at: u32| Anchor::of(message + at as usize, runs);
                Some(Some([of(from)?, of(to)?]))
            }
        };
        Some(Self {
            next,
            bounds: bounds.into(),
            program: told.program.into(),
            sum: told.tokens.sum,
            tokens: told.tokens.len(),
            ip: anchor(told.tokens.ip)?,
            user: anchor(told.tokens.user)?,
            place: 0,
            part: 0,
        })
    }

    #[inline]
    fn fits(&self, text: &[u8], runs: &[Run]) -> bool {
        self.bounds.iter().all(|bound| {
            let run = runs[usize::from(bound.run)];
            let length = run.length();
            (bound.least..=bound.most).contains(&length)
                && (bound.digits.is_empty()
                    || text[usize::from(run.from)..usize::from(run.to)] == *bound.digits)
        })
    }
}

impl Bound {
    fn of(run: u8, digits: &[u8], needs: Needs) -> Option<Self> {
        let length = u16::try_from(digits.len()).unwrap_or(u16::MAX);
        let bound = |least, most| Self { run, least, most, digits: Box::default() };
        match needs {
            Needs::Nothing => None,
            Needs::Between(least, most) => Some(bound(least, most)),
            Needs::Length => Some(bound(length, length)),
            Needs::Digits => Some(Self { digits: digits.into(), ..bound(length, length) }),
        }
    }
}

impl Anchor {
    /// `None` for a place within a run.
    fn of(at: usize, runs: &[Run]) -> Option<Self> {
        let before = runs.partition_point(|run| usize::from(run.to) <= at);
        if runs.get(before).is_some_and(|run| usize::from(run.from) < at) {
            return None;
        }
        let start = before.checked_sub(1).map_or(0, |last| usize::from(runs[last].to));
        Some(Self { runs: u8::try_from(before).ok()?, after: u16::try_from(at - start).ok()? })
    }

    fn place(self, runs: &[Run]) -> usize {
        let last = usize::from(self.runs).checked_sub(1).and_then(|last| runs.get(last));
        last.map_or(0, |run| usize::from(run.to)) + usize::from(self.after)
    }
}

/// What a run of digits has to be like for the message to be read alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// As long or as short as it may be.
    Nothing,
    /// So many digits.
    Between(u16, u16),
    /// As many as it has.
    Length,
    /// These very digits.
    Digits,
}

/// Of a run of the message; `None` where no other line is read alike for sure.
fn needs(told: &Told<'_>, from: usize, to: usize) -> Option<Needs> {
    let text = told.message;
    let lead = text.iter().take_while(|byte| **byte == b' ').count();
    let in_stamp = text.get(lead) == Some(&b'[') && from < lead + STAMP_BYTES;
    let items = &told.tokens.items;
    let token =
        items.iter().find(|token| (token.start as usize..token.end as usize).contains(&from));
    let Some(token) = token else {
        // the numbers of an account that follow its name are hashed with it
        let in_front = items.first().is_none_or(|first| from < first.start as usize);
        return Some(if in_front { Needs::Length } else { Needs::Digits });
    };
    if (token.core as usize) > from && (token.core as usize) < to
        || (token.core_end as usize) > from && (token.core_end as usize) < to
    {
        return None;
    }
    let found = of_token(text, token, from, to);
    Some(match found {
        Needs::Nothing | Needs::Between(..) if in_stamp => Needs::Length,
        found => found,
    })
}

fn of_token(text: &[u8], token: &Token, from: usize, to: usize) -> Needs {
    let (core, core_end) = (token.core as usize, token.core_end as usize);
    let key = &text[token.start as usize..core];
    if from < core || from >= core_end && !token.mask.swallows_numbers() {
        // it is hashed as it is written
        return Needs::Digits;
    }
    if matches!(token.mask, Mask::Command | Mask::Quoted | Mask::User | Mask::Rest) {
        return Needs::Nothing;
    }
    if token.mask == Mask::Ip && kinds::is_key_of_host(key) {
        return Needs::Nothing;
    }
    // `0x1f` and `SHA256:` are what they are by these digits
    let before = &text[..from];
    if to - from == 1 && text.get(to) == Some(&b'x')
        || before.ends_with(b"SHA")
        || before.ends_with(b"MD")
    {
        return Needs::Digits;
    }
    let value = &text[core..token.end as usize];
    let value = &value[..kinds::trimmed_end(value)];
    let in_core = from < core_end;
    match token.mask {
        Mask::Number => number(value, from - core),
        Mask::Ip => address(value, core_end - core, in_core),
        Mask::Time if flag::of(value) == flag::DIGIT | flag::COLON => Needs::Between(1, 2),
        Mask::Path if is_plain_path(value) => Needs::Nothing,
        _ => Needs::Length,
    }
}

/// A run of a number, which begins at this byte of the value.
fn number(value: &[u8], from: usize) -> Needs {
    use flag::{COLON, COMMA, DIGIT, DOT, HEX, LETTER, LOWER, OTHER, PLUS, UPPER};
    let flags = flag::of(value);
    let only = |allowed: u32| flags & !allowed == 0;
    if flags == DIGIT {
        return Needs::Nothing;
    }
    if only(DIGIT | DOT | COMMA | PLUS | OTHER) {
        // four parts with dots could be an address
        let dots = value.iter().filter(|byte| **byte == b'.').count();
        return if flags == DIGIT | DOT && dots == 3 { Needs::Length } else { Needs::Nothing };
    }
    if only(DIGIT | COLON) {
        // no time of day: a part is empty, or has three digits
        if value.split(|byte| *byte == b':').any(<[u8]>::is_empty) {
            return Needs::Nothing;
        }
        let mut at = 0;
        for part in value.split(|byte| *byte == b':') {
            if part.len() >= 3 {
                return if at == from { Needs::Between(3, u16::MAX) } else { Needs::Nothing };
            }
            at += part.len() + 1;
        }
        return Needs::Length;
    }
    // with a unit that is no hexadecimal digit
    let digits = value.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'.' | b',')).count();
    let unit = &value[digits..];
    if flags & LETTER != 0
        && only(DIGIT | DOT | COMMA | LETTER | HEX | LOWER | UPPER)
        && value[0].is_ascii_digit()
        && (1..=3).contains(&unit.len())
        && unit.iter().all(|byte| byte.is_ascii_alphabetic() && *byte != b'x')
    {
        return Needs::Nothing;
    }
    Needs::Length
}

/// A run of an address of which so many bytes are the address itself.
fn address(value: &[u8], length: usize, in_core: bool) -> Needs {
    let own = &value[..length.min(value.len())];
    if flag::of(own) != flag::DIGIT | flag::DOT {
        return Needs::Length;
    }
    let (rest, whole) = (value.get(length..).unwrap_or_default(), length >= value.len());
    let plain = flag::DIGIT | flag::DOT | flag::COMMA | flag::DASH | flag::PLUS | flag::OTHER;
    let followed = matches!(rest.first(), Some(b':' | b'/'))
        && flag::of(rest) & !(plain | flag::COLON | flag::SLASH) == 0;
    match (in_core, whole, followed) {
        (true, true, _) | (true, _, true) => Needs::Between(1, 3),
        (false, _, true) => Needs::Nothing,
        _ => Needs::Length,
    }
}

/// A path that is one whatever its numbers are.
fn is_plain_path(value: &[u8]) -> bool {
    let flags = flag::of(value);
    let letters = flags & (flag::LOWER | flag::UPPER) != 0;
    let like_a_date = flags & flag::DASH != 0 && value.iter().any(|b| matches!(b, b'T' | b'_'));
    value.first() == Some(&b'/') && letters && !like_a_date
}

/// For keys that are hashes already.
#[derive(Default)]
struct Keyed(u64);

impl Hasher for Keyed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = self.0.rotate_left(32) ^ value;
    }
}
