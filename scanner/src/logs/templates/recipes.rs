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

/// Most recipes of a thread, in about 2 MiB.
const RECIPES_MAX: usize = 8192;
/// Most digits of a run that are compared one by one.
const DIGITS_MAX: usize = 8;
/// A run of at least so many digits.
const MANY: u8 = u8::MAX;
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
    /// Where its bounds end; they begin where those of the recipe before end.
    bounds_end: u32,
    digits_end: u32,
    /// Which of the programs.
    pub(super) program: u16,
    /// How many tokens there are.
    pub(super) tokens: u16,
    /// The sum of its tokens.
    pub(super) sum: u64,
    ip: Option<[Anchor; 2]>,
    user: Option<[Anchor; 2]>,
    /// Where its shape is in the census of a part, and which part that is.
    pub(super) place: u32,
    pub(super) part: u32,
}

/// How many digits a run has to have.
#[derive(Clone, Copy)]
struct Bound {
    run: u8,
    least: u8,
    most: u8,
}

/// Which digits a run has to have.
#[derive(Clone, Copy)]
struct Digits {
    run: u8,
    digits: [u8; DIGITS_MAX],
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
    pub(super) told_by_rules: bool,
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
    bounds: Vec<Bound>,
    digits: Vec<Digits>,
    /// Canonical names, and whether rules tell what their lines say.
    programs: Vec<(Box<[u8]>, bool)>,
    met: Box<[u64]>,
    missed: usize,
}

impl Default for Recipes {
    fn default() -> Self {
        Self {
            skeletons: Skeletons::default(),
            first: HashMap::default(),
            list: Vec::new(),
            bounds: Vec::new(),
            digits: Vec::new(),
            programs: Vec::new(),
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
            if self.fits(at as usize, text) {
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

    /// Whether a text of the same skeleton is read as the one that a recipe is of.
    #[inline]
    fn fits(&self, at: usize, text: &[u8]) -> bool {
        let runs = self.skeletons.runs();
        let (bounds_from, digits_from) = match at.checked_sub(1).map(|before| &self.list[before]) {
            Some(before) => (before.bounds_end as usize, before.digits_end as usize),
            None => (0, 0),
        };
        let recipe = &self.list[at];
        let bounds = &self.bounds[bounds_from..recipe.bounds_end as usize];
        let digits = &self.digits[digits_from..recipe.digits_end as usize];
        bounds.iter().all(|bound| {
            let length = u8::try_from(runs[usize::from(bound.run)].length()).unwrap_or(MANY);
            bound.least <= length && length <= bound.most
        }) && digits.iter().all(|one| {
            let run = runs[usize::from(one.run)];
            one.digits == padded(&text[usize::from(run.from)..usize::from(run.to)])
        })
    }

    /// A recipe.
    pub(super) fn at(&mut self, at: usize) -> &mut Recipe {
        &mut self.list[at]
    }

    /// The canonical name of its program, and whether rules tell what its lines say.
    pub(super) fn program(&self, at: usize) -> (&[u8], bool) {
        let program = self.programs.get(usize::from(self.list[at].program));
        program.map_or((b"", false), |(name, told)| (name, *told))
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
            self.bounds.clear();
            self.digits.clear();
            self.programs.clear();
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
        let kept = (self.bounds.len(), self.digits.len());
        match self.recipe(told, first) {
            Some(recipe) => {
                self.first.insert(key, u32::try_from(self.list.len()).unwrap_or(END));
                self.list.push(recipe);
            }
            None => {
                self.bounds.truncate(kept.0);
                self.digits.truncate(kept.1);
            }
        }
    }

    fn number_of(&mut self, told: &Told<'_>) -> Option<u16> {
        let known = self.programs.iter().position(|(name, _)| **name == *told.program);
        let number = known.unwrap_or_else(|| {
            self.programs.push((told.program.into(), told.told_by_rules));
            self.programs.len() - 1
        });
        u16::try_from(number).ok()
    }

    /// `None` when nothing can be said of other lines of the skeleton.
    fn recipe(&mut self, told: &Told<'_>, next: u32) -> Option<Recipe> {
        let program = self.number_of(told)?;
        let runs = self.skeletons.runs();
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
        for (number, run) in (0_u8..).zip(runs) {
            let from = usize::from(run.from);
            let needs = if from < message {
                if written.contains(&from) { Needs::Digits } else { Needs::Nothing }
            } else {
                needs(told, from - message, usize::from(run.to) - message)?
            };
            let digits = &told.text[from..usize::from(run.to)];
            let length = u8::try_from(digits.len()).unwrap_or(MANY);
            let (least, most) = match needs {
                Needs::Nothing => continue,
                Needs::Between(least, most) => (least, most),
                Needs::Length if length < MANY => (length, length),
                Needs::Digits if digits.len() <= DIGITS_MAX => {
                    self.digits.push(Digits { run: number, digits: padded(digits) });
                    continue;
                }
                Needs::Length | Needs::Digits => return None,
            };
            self.bounds.push(Bound { run: number, least, most });
        }
        let anchor = |place: Option<(u32, u32)>| match place {
            None => Some(None),
            Some((from, to)) => {
                let of = |at: u32| Anchor::of(message + at as usize, runs);
                Some(Some([of(from)?, of(to)?]))
            }
        };
        Some(Recipe {
            next,
            bounds_end: u32::try_from(self.bounds.len()).ok()?,
            digits_end: u32::try_from(self.digits.len()).ok()?,
            program,
            tokens: u16::try_from(told.tokens.len()).ok()?,
            sum: told.tokens.sum,
            ip: anchor(told.tokens.ip)?,
            user: anchor(told.tokens.user)?,
            place: 0,
            part: 0,
        })
    }
}

/// A short run, comparable.
fn padded(digits: &[u8]) -> [u8; DIGITS_MAX] {
    let mut padded = [0; DIGITS_MAX];
    match padded.get_mut(..digits.len()) {
        Some(place) => place.copy_from_slice(digits),
        // longer than any that is compared
        None => padded = [b'x'; DIGITS_MAX],
    }
    padded
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
    Between(u8, u8),
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
                return if at == from { Needs::Between(3, MANY) } else { Needs::Nothing };
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
