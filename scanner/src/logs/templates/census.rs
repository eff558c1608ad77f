//! What one part of a file holds: its distinct masked messages with how often, when and where, and
//! what the features need of single lines. Pure: it depends on the bytes alone.
//!
//! Memory is bounded by the part's lines. Times stay as the lines write them (hours with seconds in
//! them); years, zones and repeated hours are resolved where parts come together in order.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use parsers::time::Stamp;

use super::head::{self, Form, Head, Memo};
use super::tokens::{Tokens, hash, mix};
use super::{SAMPLE_BYTES_MAX, TEXT_BYTES_MAX};
use crate::logs::features::uris::{self, Parameter};

/// Longest name of a program that is kept.
pub const PROGRAM_BYTES_MAX: usize = 48;
/// Longest name of an account that is kept.
pub const USER_BYTES_MAX: usize = 64;
/// A second that is this much earlier than the one before, in the same hour, is a step back.
pub const STEP_SECONDS: u16 = 60;
/// Classes of pauses between lines: below 1, 2, 4 … seconds.
pub const PAUSE_CLASSES: usize = 13;

/// The program under which requests of access logs are counted.
pub const REQUESTS: &str = "http";

/// How a message says that something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It does not say.
    Open,
    /// Somebody was let in.
    Success,
    /// Somebody was refused.
    Failure,
}

/// A line of the part: its number from 0, its offset in the file, its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// Lines of the part before it.
    pub line: u32,
    /// Offset in the file.
    pub offset: u64,
    /// Which of the part's hours; [`Spot::UNDATED`] for none.
    pub hour: u32,
    /// Second of the hour.
    pub second: u16,
}

impl Spot {
    /// Of a line without a time.
    pub const UNDATED: u32 = u32::MAX;
}

/// One distinct masked message.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Position of its program.
    pub program: u32,
    /// Hashes of its tokens.
    pub tokens: Box<[u64]>,
    /// The masked message, cut.
    pub text: Box<str>,
    /// The line that showed it first, cut; may hold a secret.
    pub sample: Box<str>,
    /// How it says that something ended.
    pub outcome: Outcome,
    /// Whether it names an address.
    pub names_ip: bool,
    /// Lines.
    pub count: u64,
    /// The first of them.
    pub first: Spot,
    /// The last.
    pub last: Spot,
    run: u32,
}

impl Shape {
    /// A hash of the masked message.
    pub fn hash(&self) -> u64 {
        self.tokens.iter().fold(0, |state, token| mix(state, *token))
    }
}

/// An hour as lines write it, with the lines that follow each other in it.
#[derive(Clone, Copy, Debug)]
pub struct Hour {
    /// Its stamp at minute 0.
    pub stamp: Stamp,
    /// Second of the first line.
    pub first: u16,
    /// Second of the last line.
    pub last: u16,
    /// The first line.
    pub from: Spot,
    /// The last line.
    pub to: Spot,
}

/// Lines of one shape in one hour.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Position of the shape.
    pub shape: u32,
    /// Position of the hour.
    pub hour: u32,
    /// Lines.
    pub count: u32,
}

/// A line that says who did what.
#[derive(Clone, Copy, Debug)]
pub struct Deed {
    /// Position of the shape.
    pub shape: u32,
    /// Where and when.
    pub spot: Spot,
    /// Address.
    pub ip: Option<IpAddr>,
    /// Position of the account's name.
    pub user: Option<u32>,
    /// How it ended.
    pub outcome: Outcome,
}

/// What one part holds.
#[derive(Debug, Default)]
pub struct Census {
    /// Lines.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
    /// Lines that no grammar accepted.
    pub unparsed: u64,
    /// Lines without a time.
    pub undated: u64,
    /// Names of programs.
    pub programs: Vec<Box<str>>,
    /// Distinct messages in the order in which they first appear.
    pub shapes: Vec<Shape>,
    /// Hours in the order of the lines.
    pub hours: Vec<Hour>,
    /// In the order in which they begin.
    pub runs: Vec<Run>,
    /// In the order of the lines.
    pub deeds: Vec<Deed>,
    /// Names of accounts.
    pub users: Vec<Box<str>>,
    /// Pauses between lines of one hour, by class.
    pub pauses: [u64; PAUSE_CLASSES],
    /// Parameters of requests.
    pub parameters: Vec<Parameter>,
    /// Serial numbers of audit events and of the journal, where they change.
    pub serials: Vec<(u64, Spot)>,
}

/// The class of a pause.
pub fn pause_class(seconds: u64) -> usize {
    (64 - seconds.leading_zeros() as usize).min(PAUSE_CLASSES - 1)
}

/// Programs whose logins rules judge already: single lines of theirs are not kept.
const TOLD_BY_RULES: [&[u8]; 3] = [b"sshd", b"sudo", b"su"];

/// Reads parts; its room is reused from part to part.
pub struct Counter {
    memo: Memo,
    tokens: Tokens,
    text: Vec<u8>,
    census: Census,
    programs: HashMap<Box<[u8]>, u32>,
    shapes: HashMap<u64, u32, Seeded>,
    users: HashMap<Box<[u8]>, u32>,
    parameters: HashMap<u64, u32, Seeded>,
    last_program: u32,
}

impl Census {
    /// Counts the lines of a part that begins at this offset of its file.
    pub fn of_part(bytes: &[u8], offset: u64) -> Self {
        let mut counter = Counter::default();
        counter.part(bytes, offset);
        counter.finish()
    }
}

impl Default for Counter {
    fn default() -> Self {
        let seed = RandomState::new().hash_one(0_u8);
        Self {
            memo: Memo::default(),
            tokens: Tokens::default(),
            text: Vec::new(),
            census: Census::default(),
            programs: HashMap::new(),
            shapes: HashMap::with_hasher(Seeded(seed)),
            users: HashMap::new(),
            parameters: HashMap::with_hasher(Seeded(seed)),
            last_program: 0,
        }
    }
}

impl Counter {
    /// Counts whole lines.
    pub fn part(&mut self, bytes: &[u8], offset: u64) {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]) {
            if end == start && end == bytes.len() {
                break;
            }
            let line = &bytes[start..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.line(line, offset + start as u64);
            start = end + 1;
        }
        self.census.bytes += bytes.len() as u64;
    }

    /// Counts one line that stands at this offset.
    pub fn line(&mut self, line: &[u8], offset: u64) {
        let mut memo = std::mem::take(&mut self.memo);
        let head = head::read(line, &mut memo);
        self.memo = memo;
        self.count(line, &head, offset);
    }

    /// Counts a message whose program and time are known (an entry of the journal, with its number).
    pub fn message(&mut self, program: &[u8], message: &[u8], at: i64, number: Option<u64>) {
        let second = at.rem_euclid(3600);
        let hour = Stamp::Exact(at - second);
        let when = head::When { hour, second: u16::try_from(second).unwrap_or(0) };
        let program = crate::logs::extract::canonical_program(program);
        if let Some(number) = number {
            let line = u32::try_from(self.census.lines).unwrap_or(u32::MAX);
            self.serial(number, Spot { line, hour: Spot::UNDATED, ..Spot::default() });
        }
        let head = Head { when: Some(when), program, message: message.into(), form: Form::Syslog };
        self.count(message, &head, 0);
    }

    /// What was counted since the last time.
    pub fn finish(&mut self) -> Census {
        self.programs.clear();
        self.shapes.clear();
        self.users.clear();
        self.parameters.clear();
        std::mem::take(&mut self.census)
    }

    fn count(&mut self, line: &[u8], head: &Head<'_>, offset: u64) {
        let number = u32::try_from(self.census.lines).unwrap_or(u32::MAX);
        let mut spot = Spot { line: number, offset, hour: Spot::UNDATED, second: 0 };
        self.census.lines += 1;
        if line.is_empty() {
            return;
        }
        match head.when {
            Some(when) => {
                spot.second = when.second;
                spot.hour = self.hour(when, spot);
            }
            None => self.census.undated += 1,
        }
        self.census.unparsed += u64::from(matches!(head.form, Form::Unknown));
        let mut tokens = std::mem::take(&mut self.tokens);
        tokens.read(&head.message);
        let program = self.program(head.program);
        let key = mix(tokens.sum, u64::from(program) << 8 | tokens.len() as u64);
        let shape = match self.shapes.get(&key) {
            Some(shape) => *shape,
            None => self.shape(key, program, &tokens, head, line, spot),
        };
        let known = &mut self.census.shapes[shape as usize];
        known.count += 1;
        known.last = spot;
        if spot.hour != Spot::UNDATED {
            match self.census.runs.get_mut(known.run as usize) {
                Some(run) if run.shape == shape && run.hour == spot.hour => run.count += 1,
                _ => {
                    known.run = u32::try_from(self.census.runs.len()).unwrap_or(u32::MAX);
                    self.census.runs.push(Run { shape, hour: spot.hour, count: 1 });
                }
            }
        }
        self.deed(shape, &tokens, head, spot);
        self.tokens = tokens;
    }

    /// The hour of a line: the last one, or a new one where another begins or the clock goes back.
    fn hour(&mut self, when: head::When, spot: Spot) -> u32 {
        let index = self.census.hours.len().wrapping_sub(1) as u32;
        if let Some(last) = self.census.hours.last_mut()
            && last.stamp == when.hour
            && when.second + STEP_SECONDS >= last.last
        {
            let pause = u64::from(when.second.saturating_sub(last.last));
            self.census.pauses[pause_class(pause)] += 1;
            (last.last, last.to) = (when.second, Spot { hour: index, ..spot });
            return index;
        }
        let index = u32::try_from(self.census.hours.len()).unwrap_or(u32::MAX - 1);
        let spot = Spot { hour: index, ..spot };
        let (first, stamp) = (when.second, when.hour);
        self.census.hours.push(Hour { stamp, first, last: first, from: spot, to: spot });
        index
    }

    fn program(&mut self, name: &[u8]) -> u32 {
        let name = &name[..name.len().min(PROGRAM_BYTES_MAX)];
        if let Some(last) = self.census.programs.get(self.last_program as usize)
            && last.as_bytes() == name
        {
            return self.last_program;
        }
        let place = match self.programs.get(name) {
            Some(place) => *place,
            None => {
                let place = u32::try_from(self.programs.len()).unwrap_or(u32::MAX);
                self.programs.insert(name.into(), place);
                self.census.programs.push(String::from_utf8_lossy(name).into());
                place
            }
        };
        self.last_program = place;
        place
    }

    fn shape(
        &mut self,
        key: u64,
        program: u32,
        tokens: &Tokens,
        head: &Head<'_>,
        line: &[u8],
        spot: Spot,
    ) -> u32 {
        self.text.clear();
        tokens.render(&head.message, &mut self.text);
        let outcome = match head.form {
            Form::Request { refused: true, .. } => Outcome::Failure,
            Form::Request { .. } | Form::Audit { .. } | Form::Json => Outcome::Open,
            _ => outcome(&self.text),
        };
        let place = u32::try_from(self.census.shapes.len()).unwrap_or(u32::MAX);
        self.census.shapes.push(Shape {
            program,
            tokens: tokens.items.iter().map(|token| token.hash).collect(),
            text: cut(&self.text, TEXT_BYTES_MAX),
            sample: cut(line, SAMPLE_BYTES_MAX),
            outcome,
            names_ip: tokens.ip.is_some(),
            count: 0,
            first: spot,
            last: spot,
            run: u32::MAX,
        });
        self.shapes.insert(key, place);
        place
    }

    /// Keeps who did what, where the line says it.
    fn deed(&mut self, shape: u32, tokens: &Tokens, head: &Head<'_>, spot: Spot) {
        let part = |place: Option<(u32, u32)>| {
            place.and_then(|(from, to)| head.message.get(from as usize..to as usize))
        };
        let outcome = self.census.shapes[shape as usize].outcome;
        let (ip, user) = match head.form {
            Form::Request { client, user, uri, .. } => {
                self.parameters(uri, spot);
                (Some(client), (!user.is_empty()).then_some(user))
            }
            Form::Audit { serial } => {
                self.serial(serial, spot);
                return;
            }
            _ if TOLD_BY_RULES.contains(&head.program) => return,
            _ => (part(tokens.ip), part(tokens.user)),
        };
        let ip = ip.and_then(|ip| std::str::from_utf8(ip).ok()?.parse().ok());
        if ip.is_none() && (user.is_none() || outcome == Outcome::Open) {
            return;
        }
        let user = user.map(|user| self.user(user));
        self.census.deeds.push(Deed { shape, spot, ip, user, outcome });
    }

    fn serial(&mut self, serial: u64, spot: Spot) {
        if self.census.serials.last().is_none_or(|(last, _)| *last != serial) {
            self.census.serials.push((serial, spot));
        }
    }

    fn user(&mut self, name: &[u8]) -> u32 {
        let name = &name[..name.len().min(USER_BYTES_MAX)];
        if let Some(place) = self.users.get(name) {
            return *place;
        }
        let place = u32::try_from(self.users.len()).unwrap_or(u32::MAX);
        self.users.insert(name.into(), place);
        self.census.users.push(String::from_utf8_lossy(name).into());
        place
    }

    fn parameters(&mut self, uri: &[u8], spot: Spot) {
        uris::each_parameter(uri, |endpoint, name, classes| {
            let key = mix(hash(endpoint), hash(name));
            let known = self.parameters.get(&key).copied();
            let place = known.unwrap_or_else(|| {
                let place = u32::try_from(self.census.parameters.len()).unwrap_or(u32::MAX);
                self.parameters.insert(key, place);
                self.census.parameters.push(Parameter::new(endpoint, name, spot));
                place
            });
            self.census.parameters[place as usize].add(classes, spot);
        });
    }
}

fn cut(bytes: &[u8], most: usize) -> Box<str> {
    String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into()
}

/// What the words of a message say about how it ended.
fn outcome(text: &[u8]) -> Outcome {
    const REFUSED: [&[u8]; 11] = [
        b"fail",
        b"invalid",
        b"denied",
        b"refused",
        b"not allowed",
        b"incorrect",
        b"unknown user",
        b"rejected",
        b"bad password",
        b"auth error",
        b"mismatch",
    ];
    const LET_IN: [&[u8]; 8] = [
        b"accepted",
        b"session opened",
        b"logged in",
        b"login:",
        b"ok login",
        b"authenticated",
        b"succeeded",
        b"access granted",
    ];
    let text = text.to_ascii_lowercase();
    let says =
        |words: &[&[u8]]| words.iter().any(|word| memchr::memmem::find(&text, word).is_some());
    match (says(&REFUSED), says(&LET_IN)) {
        (true, _) => Outcome::Failure,
        (_, true) => Outcome::Success,
        _ => Outcome::Open,
    }
}

/// Hashes what is a hash already, so that nobody can choose lines that collide in a table.
#[derive(Clone)]
struct Seeded(u64);

impl BuildHasher for Seeded {
    type Hasher = SeededHasher;

    fn build_hasher(&self) -> SeededHasher {
        SeededHasher(self.0)
    }
}

struct SeededHasher(u64);

impl Hasher for SeededHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0, hash(bytes));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = mix(self.0, value);
    }
}
