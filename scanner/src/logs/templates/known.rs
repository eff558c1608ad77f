//! The templates known so far: found by hash, learnt from shapes that no template covers.
//!
//! Within one program and number of words no two templates cover the same message: a message has at
//! most one, and stays with it when templates are joined. So counts are exact however the log was cut.
//! Once a program may not learn any more (a limit of [`super`]) it does not for the rest of the sweep;
//! lines that no template covers are then counted as such.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use super::census::{Outcome, Shape};
use super::learn;
use super::tokens::{at_place, mix};
use super::{BUCKET_TEMPLATES_MAX, PROGRAM_TEMPLATES_MAX, PROGRAMS_MAX, TEMPLATES_MAX};

/// Name of the programs beyond [`PROGRAMS_MAX`].
pub const OTHER_PROGRAMS: &str = "(others)";

/// Most templates ever learnt in a sweep, those counted that were joined into others.
const ENTRIES_MAX: usize = 4 * TEMPLATES_MAX;

/// Where and when a line was seen; in the order of sources and lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Position of its source.
    pub source: u32,
    /// Line, from 1.
    pub line: u64,
    /// Offset in the file.
    pub offset: u64,
    /// Seconds since the epoch.
    pub at: Option<i64>,
}

/// What earlier sweeps saw of a template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// Lines.
    pub count: u64,
    /// First and last time.
    pub first: i64,
    /// The last.
    pub last: i64,
    /// Hours in which it was seen.
    pub hours: u32,
    /// Most lines of one hour.
    pub hour_max: u32,
}

/// A template.
#[derive(Clone, Debug)]
pub struct Template {
    /// Position of its program.
    pub program: u32,
    pub(super) tokens: Box<[u64]>,
    /// Positions at which any token fits.
    pub(super) wild: u64,
    /// What it looks like; words that somebody typed may stand in it until it is known that they vary.
    pub text: Box<str>,
    /// A line of it; may hold a secret. Empty for one that only earlier sweeps saw.
    pub sample: Box<str>,
    /// How its lines say that something ended.
    pub outcome: Outcome,
    /// Whether its lines name an address.
    pub names_ip: bool,
    /// Lines of this sweep.
    pub count: u64,
    /// First line of this sweep.
    pub first: Option<Seen>,
    /// Last line of this sweep.
    pub last: Option<Seen>,
    /// What earlier sweeps saw.
    pub before: Option<Before>,
}

#[derive(Clone, Debug)]
enum Entry {
    Live(Box<Template>),
    /// Joined into another.
    Joined(u32),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Bucket {
    /// For each set of positions that do not count: templates by the sum of the others.
    by_sum: Vec<(u64, HashMap<u64, u32>)>,
    pub(super) members: Vec<u32>,
    full: bool,
}

/// A program and its templates.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Its name.
    pub name: Box<str>,
    /// Whether earlier sweeps knew it.
    pub known_before: bool,
    buckets: BTreeMap<usize, Bucket>,
    live: usize,
    full: bool,
}

/// All templates known.
#[derive(Clone, Debug, Default)]
pub struct Known {
    programs: Vec<Program>,
    by_name: HashMap<Box<str>, u32>,
    entries: Vec<Entry>,
    live: usize,
    /// Lines that no template covers because their program may not learn any more.
    pub uncounted: u64,
}

impl Known {
    /// The position of a program; of the common one when there are too many.
    pub fn program(&mut self, name: &str) -> u32 {
        if let Some(place) = self.by_name.get(name) {
            return *place;
        }
        let name = if self.programs.len() + 1 >= PROGRAMS_MAX { OTHER_PROGRAMS } else { name };
        if let Some(place) = self.by_name.get(name) {
            return *place;
        }
        let place = u32::try_from(self.programs.len()).unwrap_or(u32::MAX);
        self.programs.push(Program { name: name.into(), ..Program::default() });
        self.by_name.insert(name.into(), place);
        place
    }

    /// The programs.
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// Marks every program there is as known to earlier sweeps.
    pub(crate) fn known_before(&mut self) {
        self.programs.iter_mut().for_each(|program| program.known_before = true);
    }

    /// The name of a template's program.
    pub fn program_name(&self, template: &Template) -> &str {
        self.programs.get(template.program as usize).map_or("", |program| &program.name)
    }

    /// The template that covers a shape; learnt when there is none. `None` when it may not be learnt.
    pub fn place(&mut self, program: u32, shape: &Shape) -> Option<u32> {
        if let Some(known) = self.find(program, &shape.tokens) {
            return Some(known);
        }
        let room = self.live < TEMPLATES_MAX && self.entries.len() < ENTRIES_MAX;
        let owner = self.programs.get_mut(program as usize)?;
        owner.full |= !room || owner.live >= PROGRAM_TEMPLATES_MAX;
        if owner.full {
            return None;
        }
        let bucket = owner.buckets.entry(shape.tokens.len()).or_default();
        if bucket.full {
            return None;
        }
        let members: Vec<(u32, &Template)> = bucket
            .members
            .iter()
            .filter_map(|at| match self.entries.get(*at as usize) {
                Some(Entry::Live(template)) => Some((*at, &**template)),
                _ => None,
            })
            .collect();
        let joined = learn::join(&members, &shape.tokens);
        match joined {
            Some(joined) => Some(self.generalise(program, shape, &joined)),
            None if members.len() >= BUCKET_TEMPLATES_MAX => {
                bucket.full = true;
                None
            }
            None => Some(self.add(Template::of(program, shape))),
        }
    }

    /// The template that covers these tokens.
    pub fn find(&self, program: u32, tokens: &[u64]) -> Option<u32> {
        let bucket = self.programs.get(program as usize)?.buckets.get(&tokens.len())?;
        bucket.by_sum.iter().find_map(|(wild, by_sum)| by_sum.get(&sum(tokens, *wild)).copied())
    }

    /// Follows a position to the template that it was joined into.
    pub fn root(&self, mut at: u32) -> u32 {
        while let Some(Entry::Joined(into)) = self.entries.get(at as usize) {
            at = *into;
        }
        at
    }

    /// A template by a position that was given out at any time.
    pub fn template(&self, at: u32) -> Option<&Template> {
        match self.entries.get(self.root(at) as usize) {
            Some(Entry::Live(template)) => Some(template),
            _ => None,
        }
    }

    pub(crate) fn template_mut(&mut self, at: u32) -> Option<&mut Template> {
        let root = self.root(at);
        match self.entries.get_mut(root as usize) {
            Some(Entry::Live(template)) => Some(template),
            _ => None,
        }
    }

    /// All templates with their positions, in the order in which they were learnt.
    pub fn templates(&self) -> impl Iterator<Item = (u32, &Template)> {
        (0_u32..).zip(&self.entries).filter_map(|(at, entry)| match entry {
            Entry::Live(template) => Some((at, &**template)),
            Entry::Joined(_) => None,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// A name that is the same in every sweep, made of the program and the words that do not vary.
    pub fn id(&self, template: &Template) -> String {
        let mut digest = Sha256::new();
        digest.update(self.program_name(template));
        digest.update([0]);
        for (place, token) in template.tokens.iter().enumerate() {
            let token = if template.wild >> place & 1 == 1 { 0 } else { *token };
            digest.update(token.to_le_bytes());
        }
        digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Adds one that an earlier sweep knew, unless another one covers it.
    pub(crate) fn remember(
        &mut self,
        program: u32,
        tokens: &[u64],
        wild: u64,
        (text, outcome, names_ip): (&str, Outcome, bool),
        before: Before,
    ) {
        if self.live >= TEMPLATES_MAX || self.find(program, tokens).is_some() {
            return;
        }
        self.add(Template {
            program,
            tokens: tokens.into(),
            wild,
            text: text.into(),
            sample: "".into(),
            outcome,
            names_ip,
            count: 0,
            first: None,
            last: None,
            before: Some(before),
        });
    }

    /// Adds one that no other covers.
    fn add(&mut self, template: Template) -> u32 {
        let at = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.enter(at, &template);
        self.entries.push(Entry::Live(Box::new(template)));
        at
    }

    fn enter(&mut self, at: u32, template: &Template) {
        let Some(owner) = self.programs.get_mut(template.program as usize) else { return };
        let bucket = owner.buckets.entry(template.tokens.len()).or_default();
        let sum = sum(&template.tokens, template.wild);
        match bucket.by_sum.iter_mut().find(|(wild, _)| *wild == template.wild) {
            Some((_, by_sum)) => drop(by_sum.insert(sum, at)),
            None => bucket.by_sum.push((template.wild, HashMap::from([(sum, at)]))),
        }
        bucket.members.push(at);
        owner.live += 1;
        self.live += 1;
    }

    fn leave(&mut self, at: u32, template: &Template) {
        let Some(owner) = self.programs.get_mut(template.program as usize) else { return };
        let Some(bucket) = owner.buckets.get_mut(&template.tokens.len()) else { return };
        for (wild, by_sum) in &mut bucket.by_sum {
            if *wild == template.wild {
                by_sum.remove(&sum(&template.tokens, template.wild));
            }
        }
        bucket.by_sum.retain(|(_, by_sum)| !by_sum.is_empty());
        bucket.members.retain(|member| *member != at);
        owner.live -= 1;
        self.live -= 1;
    }

    /// Joins templates and a shape into one, which keeps the place of the oldest.
    fn generalise(&mut self, program: u32, shape: &Shape, joined: &learn::Joined) -> u32 {
        let mut template = Template::of(program, shape);
        template.wild = joined.wild;
        let into = joined.members.iter().copied().min().unwrap_or(u32::MAX);
        let mut members = joined.members.clone();
        members.sort_unstable();
        for at in members {
            let entry = std::mem::replace(&mut self.entries[at as usize], Entry::Joined(into));
            if let Entry::Live(old) = entry {
                self.leave(at, &old);
                template.absorb(&old);
            }
        }
        self.enter(into, &template);
        self.entries[into as usize] = Entry::Live(Box::new(template));
        into
    }
}

impl Template {
    /// Of one shape; nothing counted yet.
    fn of(program: u32, shape: &Shape) -> Self {
        Self {
            program,
            tokens: shape.tokens.clone(),
            wild: 0,
            text: shape.text.clone(),
            sample: shape.sample.clone(),
            outcome: shape.outcome,
            names_ip: shape.names_ip,
            count: 0,
            first: None,
            last: None,
            before: None,
        }
    }

    /// Takes what another one, now part of this, has seen, and how it looks.
    fn absorb(&mut self, old: &Self) {
        self.text = learn::joined_text(&old.text, &self.text, self.wild);
        if old.first.is_some() && (self.first.is_none() || old.first < self.first) {
            self.first = old.first;
            self.sample.clone_from(&old.sample);
        }
        self.last = self.last.max(old.last);
        self.count += old.count;
        self.names_ip |= old.names_ip;
        self.before = match (self.before, old.before) {
            (Some(a), Some(b)) => Some(a.and(b)),
            (a, b) => a.or(b),
        };
    }

    /// Counts lines of this sweep; `sample` is the first of them.
    pub(crate) fn count(&mut self, lines: u64, first: Seen, last: Seen, sample: &str) {
        self.count += lines;
        if self.first.is_none_or(|known| first < known) {
            self.first = Some(first);
            self.sample = sample.into();
        }
        self.last = self.last.max(Some(last));
    }

    /// The hashes of its words.
    pub fn tokens(&self) -> &[u64] {
        &self.tokens
    }

    /// Places at which any word fits, as bits.
    pub fn wild(&self) -> u64 {
        self.wild
    }

    /// Whether this sweep is the first that sees it.
    pub fn is_new(&self) -> bool {
        self.before.is_none()
    }
}

impl Before {
    fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            hours: self.hours.max(other.hours),
            hour_max: self.hour_max.saturating_add(other.hour_max),
        }
    }
}

/// The sum of what the tokens contribute, but for those that do not count.
fn sum(tokens: &[u64], wild: u64) -> u64 {
    let counted = tokens.iter().enumerate().filter(|(place, _)| wild >> place & 1 == 0);
    let sum = counted.fold(0_u64, |sum, (place, hash)| sum.wrapping_add(at_place(*hash, place)));
    mix(sum, tokens.len() as u64)
}
