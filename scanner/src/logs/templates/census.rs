//! What one part of a file holds: its distinct masked messages with how often, when and where, and
//! what the features need of single lines. Pure: it depends on the bytes alone.
//!
//! Memory is bounded by the part's lines. Times stay as the lines write them (hours with seconds in
//! them); years, zones and repeated hours are resolved where parts come together in order.

use std::net::IpAddr;

use parsers::time::Stamp;

pub use super::counter::Counter;
use super::tokens::mix;
use crate::logs::features::uris::Parameter;

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
    pub(super) run: u32,
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

impl Census {
    /// Counts the lines of a part that begins at this offset of its file.
    pub fn of_part(bytes: &[u8], offset: u64) -> Self {
        let mut counter = Counter::default();
        counter.part(bytes, offset);
        counter.finish()
    }
}
