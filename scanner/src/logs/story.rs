//! Hits gathered into stories: one a rule and subject, with first, last, count and sample lines; and a
//! story as [`Evidence`] and as an [`Attack`].

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use consensus::patterns::{Event, Patterns};
use consensus::{Attack, Evidence, Kind, Privilege, Proof, Severity, SourceLine, Subject};
use parsers::rules::sigma::Level;

use super::conceal::Concealer;
use super::extract::Ended;
use super::groups::Hashed;

/// Lines of a story that are shown besides the first and the last.
pub const SAMPLES_BETWEEN: usize = 3;

/// Most distinct users or addresses of one story that are counted.
pub const DISTINCT_MAX: usize = 1000;

/// Bytes of a line that are kept for showing.
pub const TEXT_BYTES_MAX: usize = 1024;

/// A text and its hash.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    /// As written; may not be UTF-8.
    pub text: &'a [u8],
    /// Keyed hash: equal for equal texts of one sweep, and different for others.
    pub hash: u64,
}

/// One line that a rule matched.
#[derive(Debug)]
pub struct Hit<'a> {
    /// Position of the rule.
    pub rule: usize,
    /// When; `None` for a line without a time.
    pub time: Option<i64>,
    /// When, or the time of the line before it: what windows go by.
    pub at: i64,
    /// How many events it stands for.
    pub weight: u64,
    /// File, as the user knows it.
    pub path: &'a Arc<str>,
    /// Line, from 1.
    pub line: u64,
    /// Column in bytes, from 1: where the message begins.
    pub column: u32,
    /// Offset of the line in the file.
    pub offset: u64,
    /// The line, cut; may hold a secret.
    pub text: &'a [u8],
    /// Source address.
    pub ip: Option<Name<'a>>,
    /// Account.
    pub user: Option<Name<'a>>,
    /// systemd unit.
    pub unit: Option<Name<'a>>,
    /// Whether the account does not exist: the word is whatever somebody typed.
    pub typed: bool,
    /// How it ended.
    pub ended: Option<Ended>,
    /// Whether it was read before and only gives context to what is new.
    pub old: bool,
    /// The line as stories keep it: made once, when the first of them asks.
    pub kept: &'a OnceCell<Rc<Kept>>,
}

impl Hit<'_> {
    fn kept(&self) -> Rc<Kept> {
        Rc::clone(self.kept.get_or_init(|| Kept::of(self)))
    }
}

/// A line that stories keep to show.
#[derive(Debug)]
pub struct Kept {
    time: Option<i64>,
    path: Arc<str>,
    line: u64,
    column: u32,
    offset: u64,
    text: Vec<u8>,
}

thread_local! {
    /// Lines that no story keeps any more: nearly every hit takes the place of the last one of its
    /// stories, so their memory is used again.
    static SPARE: RefCell<Vec<Rc<Kept>>> = const { RefCell::new(Vec::new()) };
}

/// Most lines whose memory is kept.
const SPARE_MAX: usize = 16;

impl Kept {
    fn of(hit: &Hit<'_>) -> Rc<Self> {
        if let Some(mut kept) = SPARE.with_borrow_mut(Vec::pop)
            && let Some(own) = Rc::get_mut(&mut kept)
        {
            own.replace(hit);
            return kept;
        }
        Rc::new(Self {
            time: hit.time,
            path: Arc::clone(hit.path),
            line: hit.line,
            column: hit.column,
            offset: hit.offset,
            text: hit.text.to_vec(),
        })
    }

    /// Keeps another line in the same memory.
    fn replace(&mut self, hit: &Hit<'_>) {
        (self.time, self.line) = (hit.time, hit.line);
        (self.column, self.offset) = (hit.column, hit.offset);
        if !Arc::ptr_eq(&self.path, hit.path) {
            self.path = Arc::clone(hit.path);
        }
        self.text.clear();
        self.text.shrink_to(2 * hit.text.len());
        self.text.extend_from_slice(hit.text);
    }

    /// One story does not keep a line any more.
    fn let_go(mut kept: Rc<Self>) {
        if Rc::get_mut(&mut kept).is_some() {
            SPARE.with_borrow_mut(|spare| {
                if spare.len() < SPARE_MAX {
                    spare.push(kept);
                }
            });
        }
    }
}

/// How a story began: what a correlation above shows first.
#[derive(Clone, Debug)]
pub struct Opening {
    kept: Rc<Kept>,
    first: Option<i64>,
    user: Option<u64>,
    ip: Option<u64>,
}

/// Most times kept of one subject: enough to tell a rhythm.
pub const TIMES_MAX: usize = 64;
/// Fewest events that have a rhythm.
const RHYTHM_EVENTS: usize = 6;
/// The shortest pause that tells something: half a minute.
const RHYTHM_LEAST_MS: f64 = 30_000.0;
/// Standard deviation of the pauses over their mean, at most.
const RHYTHM_VARIATION: f64 = 0.05;

/// What was seen of one subject.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Events.
    pub count: u64,
    /// Of them, new ones; at least whether there are some.
    pub fresh: u64,
    first: Option<i64>,
    last: Option<i64>,
    opening: Option<Opening>,
    between: Vec<Rc<Kept>>,
    last_hit: Option<Rc<Kept>>,
    users: Distinct,
    addresses: Distinct,
    entered: BTreeSet<String>,
    /// Hashes of these accounts.
    entered_hashes: Distinct,
    times: Vec<i64>,
}

impl Tally {
    /// Takes a hit.
    pub fn add(&mut self, hit: &Hit<'_>, at: i64, weight: u64) {
        self.count += weight;
        self.fresh += if hit.old { 0 } else { weight };
        if hit.time.is_some() {
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
            self.last = Some(self.last.map_or(at, |last| last.max(at)));
            if self.times.len() < TIMES_MAX {
                self.times.push(at);
            }
        }
        let (user, ip) = (hit.user.map(|user| user.hash), hit.ip.map(|ip| ip.hash));
        self.users.note(user);
        self.addresses.note(ip);
        if hit.ended == Some(Ended::Success) && self.entered_hashes.note(user) {
            self.enter(hit);
        }
        if self.opening.is_none() {
            let first = hit.time.map(|_| at);
            self.opening = Some(Opening { kept: hit.kept(), first, user, ip });
            return;
        }
        match self.last_hit.replace(hit.kept()) {
            Some(previous) if self.between.len() < SAMPLES_BETWEEN => self.between.push(previous),
            Some(previous) => Kept::let_go(previous),
            None => {}
        }
    }

    /// Notes that somebody got in.
    fn enter(&mut self, hit: &Hit<'_>) {
        if let Some(user) = hit.user {
            self.entered.insert(String::from_utf8_lossy(user.text).into_owned());
        }
    }

    /// Begins with the line that began the story of a correlation below.
    pub fn open(&mut self, opening: &Opening) {
        self.users.note(opening.user);
        self.addresses.note(opening.ip);
        self.first = opening.first;
        self.last = opening.first;
        self.times.extend(opening.first);
        self.opening = Some(opening.clone());
    }

    /// Says how it stands when events before were only counted: how many in all, whether new ones are
    /// among them, and when the first was.
    pub fn count_before(&mut self, count: u32, fresh: bool, first: i64) {
        self.count = self.count.max(u64::from(count));
        self.fresh = self.fresh.max(u64::from(fresh));
        self.first = self.first.map(|known| known.min(first));
    }

    /// How it began.
    pub fn opening(&self) -> Option<Opening> {
        self.opening.clone()
    }

    /// Whether all addresses in it are among those of these hashes; `false` when there may be more than
    /// were kept.
    pub fn is_only_of(&self, known: &HashSet<u64>) -> bool {
        (1..DISTINCT_MAX).contains(&self.addresses.len())
            && self.addresses.all().all(|address| known.contains(address))
    }

    /// Distinct addresses, at most [`DISTINCT_MAX`].
    pub fn addresses(&self) -> u64 {
        self.addresses.len() as u64
    }

    /// The pause between its events in seconds, where they come like clockwork: at least
    /// [`RHYTHM_EVENTS`], with pauses that hardly vary. Faster ones are any program's pace.
    fn rhythm(&self) -> Option<u64> {
        if self.times.len() < RHYTHM_EVENTS {
            return None;
        }
        let event = |at: &i64| Event { at: at.saturating_mul(1_000), name: "" };
        let events: Vec<Event<'_>> = self.times.iter().map(event).collect();
        let pauses = Patterns::of(&events).ok()?.pauses?;
        let clockwork = pauses.mean_ms >= RHYTHM_LEAST_MS && pauses.variation <= RHYTHM_VARIATION;
        clockwork.then(|| (pauses.mean_ms / 1_000.0).round() as u64)
    }

    /// Distinct users, at most [`DISTINCT_MAX`].
    pub fn users(&self) -> u64 {
        self.users.len() as u64
    }

    fn hits(&self) -> impl Iterator<Item = &Kept> {
        let opening = self.opening.iter().map(|opening| &*opening.kept);
        let between = self.between.iter().map(|kept| &**kept);
        opening.chain(between).chain(self.last_hit.as_deref())
    }
}

/// How many different values there were, by their hashes.
#[derive(Clone, Debug, Default)]
pub struct Distinct {
    few: Vec<u64>,
    #[allow(clippy::box_collection)] // most stories have none: it takes 24 bytes less in each
    many: Option<Box<HashSet<u64, Hashed>>>,
}

/// So many are compared one by one.
const FEW: usize = 8;

impl Distinct {
    /// Takes a value; whether it is kept as a new one.
    #[inline]
    pub fn note(&mut self, value: Option<u64>) -> bool {
        let Some(value) = value else { return false };
        if self.few.contains(&value) || self.len() >= DISTINCT_MAX {
            return false;
        }
        if self.few.len() < FEW {
            self.few.push(value);
            return true;
        }
        self.many.get_or_insert_default().insert(value)
    }

    /// How many, at most [`DISTINCT_MAX`].
    pub fn len(&self) -> usize {
        self.few.len() + self.many.as_ref().map_or(0, |many| many.len())
    }

    fn all(&self) -> impl Iterator<Item = &u64> {
        self.few.iter().chain(self.many.iter().flat_map(|many| many.iter()))
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.few.is_empty()
    }
}

/// A sample line of a detection, safe to show.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Sample {
    /// File.
    pub path: String,
    /// Line, from 1.
    pub line: u64,
    /// Column in bytes, from 1.
    pub column: u32,
    /// Offset of the line.
    pub offset: u64,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
    /// The line, redacted.
    pub text: String,
}

/// One story: what a rule saw of one subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Name of the rule, else its id.
    pub rule: String,
    /// Its title.
    pub title: String,
    /// What it means.
    pub description: String,
    /// Its declared level.
    pub level: Severity,
    /// Technique tags.
    pub tags: Vec<String>,
    /// When it is right although nothing is wrong.
    pub falsepositives: Vec<String>,
    /// Canonical service, or empty for the host.
    pub service: String,
    /// Whom it is about.
    pub subject: Subject,
    /// Events.
    pub count: u64,
    /// Of a client of a web server: all requests of its address in the lines that were swept, with
    /// those that no rule named and those before it was recognised.
    pub requests: Option<u64>,
    /// First of them, seconds since the epoch.
    pub first: Option<i64>,
    /// Last of them.
    pub last: Option<i64>,
    /// Distinct users that were tried or took part.
    pub users: u64,
    /// Distinct addresses.
    pub addresses: u64,
    /// Accounts that somebody got into.
    pub entered: Vec<String>,
    /// Whether the rule is about an entry after attempts, and one happened.
    pub succeeded: bool,
    /// The pause between its events in seconds, where they come like clockwork.
    pub rhythm_s: Option<u64>,
    /// First, a few, and last line.
    pub samples: Vec<Sample>,
    /// Other rules that saw the same address at the same service.
    pub also: Vec<String>,
}

/// What a detection needs to know of its rule.
#[derive(Clone)]
pub struct About<'a> {
    /// The rule's words.
    pub header: &'a parsers::rules::sigma::Header,
    /// Its service.
    pub service: &'a str,
    /// Whether it joins attempts and success.
    pub joins_success: bool,
}

impl Detection {
    /// Makes a story of a tally.
    pub fn new(about: &About<'_>, subject: Subject, tally: &Tally, conceal: &Concealer) -> Self {
        let header = about.header;
        let entered: Vec<String> = tally.entered.iter().cloned().collect();
        Self {
            rule: crate::redact::printable(header.key()),
            title: crate::redact::line(&header.title),
            description: crate::redact::line(&header.description),
            level: severity(header.level),
            tags: header.tags.clone(),
            falsepositives: header.falsepositives.clone(),
            service: about.service.to_string(),
            subject,
            count: tally.count,
            requests: None,
            first: tally.first,
            last: tally.last,
            users: tally.users.len() as u64,
            addresses: tally.addresses.len() as u64,
            succeeded: about.joins_success && !entered.is_empty(),
            entered,
            rhythm_s: tally.rhythm(),
            samples: tally.hits().map(|hit| sample(hit, conceal)).collect(),
            also: Vec::new(),
        }
    }

    /// Joins another rule's story of the same address into this one, which stays the headline.
    pub fn absorb(&mut self, other: Self) {
        self.also.push(other.rule);
        self.also.extend(other.also);
        self.tags.extend(other.tags);
        self.tags.sort();
        self.tags.dedup();
        // One line may be counted by several rules: the larger count is a lower bound of the union.
        self.count = self.count.max(other.count);
        self.users = self.users.max(other.users);
        self.addresses = self.addresses.max(other.addresses);
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = [self.last, other.last].into_iter().flatten().max();
        self.succeeded |= other.succeeded;
        self.entered.extend(other.entered);
        self.entered.sort();
        self.entered.dedup();
    }

    /// The story as evidence for the panel.
    pub fn evidence(&self) -> Evidence {
        Evidence {
            check: self.rule.clone(),
            key: self.key(),
            title: self.headline(),
            kind: Kind::Activity,
            proof: Proof::Inferred,
            level: self.level,
            floor: None,
            privilege: self.privilege(),
            services: (!self.service.is_empty())
                .then(|| self.service.clone())
                .into_iter()
                .collect(),
            subject: self.subject.clone(),
            sources: self.samples.iter().map(source_line).collect(),
            facts: self.facts(),
            tags: self.tags.clone(),
            count: self.count,
            first: self.first,
            last: self.last,
        }
    }

    /// The story as an attack in progress; `None` for what is nobody's attempt.
    pub fn attack(&self) -> Option<Attack> {
        let technique = self.tags.iter().any(|tag| tag.starts_with("attack."));
        if !technique || self.level == Severity::Info {
            return None;
        }
        Some(Attack {
            service: self.service.clone(),
            rule: self.rule.clone(),
            tags: self.tags.clone(),
            count: self.count,
            sources: self.addresses.max(u64::from(self.addresses == 0)),
            last: self.last.unwrap_or_default(),
            succeeded: self.succeeded,
        })
    }

    /// What distinguishes it from other stories of its rule.
    pub fn key(&self) -> String {
        let subject = &self.subject;
        let parts = [&subject.ip, &subject.user, &subject.unit, &subject.path];
        parts.into_iter().flatten().cloned().collect::<Vec<_>>().join(" ")
    }

    /// The title with whom it is about and how often.
    pub fn headline(&self) -> String {
        let key = self.key();
        let events = if self.count == 1 { "event" } else { "events" };
        let entered = match self.entered.as_slice() {
            [] => String::new(),
            names => {
                let names: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
                let how = if self.succeeded { "got in as" } else { "as" };
                format!(", {how} {}", names.join(", "))
            }
        };
        let of = if key.is_empty() { String::new() } else { format!(": {key}") };
        let among = match self.requests {
            Some(requests) if requests > self.count => format!(" among {requests} requests"),
            _ => String::new(),
        };
        format!("{}{of} ({} {events}{among}{entered})", self.title, self.count)
    }

    fn privilege(&self) -> Privilege {
        let tagged = |tag: &str| self.tags.iter().any(|known| known == tag);
        if self.succeeded && self.entered.iter().any(|user| user == "root") {
            Privilege::Root
        } else if self.succeeded {
            Privilege::User
        } else if tagged("attack.privilege-escalation") || tagged("attack.persistence") {
            Privilege::Root
        } else {
            Privilege::None
        }
    }

    fn facts(&self) -> BTreeMap<String, String> {
        let mut facts = BTreeMap::from([
            ("events".to_string(), self.count.to_string()),
            ("success".to_string(), self.succeeded.to_string()),
        ]);
        if self.users > 0 {
            facts.insert("users_tried".into(), self.users.to_string());
        }
        if self.addresses > 0 {
            facts.insert("addresses".into(), self.addresses.to_string());
        }
        if let Some(requests) = self.requests {
            facts.insert("requests".into(), requests.to_string());
        }
        if let Some(seconds) = self.rhythm_s {
            facts.insert("rhythm".into(), format!("every {seconds} s"));
        }
        if !self.entered.is_empty() {
            let names: Vec<&str> = self.entered.iter().take(5).map(String::as_str).collect();
            facts.insert("entered_as".into(), names.join(", "));
        }
        if !self.also.is_empty() {
            facts.insert("also_seen".into(), self.also.join(", "));
        }
        facts
    }
}

/// The level of a rule as a severity.
pub fn severity(level: Level) -> Severity {
    match level {
        Level::Informational => Severity::Info,
        Level::Low => Severity::Low,
        Level::Medium => Severity::Medium,
        Level::High => Severity::High,
        Level::Critical => Severity::Critical,
    }
}

/// Joins the stories of one address at one service under the one of the highest level.
pub fn one_story_an_address(detections: Vec<Detection>) -> Vec<Detection> {
    let mut joined: Vec<Detection> = Vec::new();
    let mut place: BTreeMap<(String, String), usize> = BTreeMap::new();
    for mut detection in detections {
        let Some(ip) = detection.subject.ip.clone() else {
            joined.push(detection);
            continue;
        };
        match place.get(&(ip.clone(), detection.service.clone())) {
            None => {
                place.insert((ip, detection.service.clone()), joined.len());
                joined.push(detection);
            }
            Some(at) => {
                let known = &mut joined[*at];
                let heavier = (detection.level, detection.succeeded, detection.count)
                    > (known.level, known.succeeded, known.count);
                if heavier {
                    std::mem::swap(known, &mut detection);
                }
                known.absorb(detection);
            }
        }
    }
    joined
}

fn sample(hit: &Kept, conceal: &Concealer) -> Sample {
    Sample {
        path: hit.path.to_string(),
        line: hit.line,
        column: hit.column,
        offset: hit.offset,
        time: hit.time,
        text: conceal.line(&String::from_utf8_lossy(&hit.text)),
    }
}

fn source_line(sample: &Sample) -> SourceLine {
    SourceLine {
        file: sample.path.clone(),
        line: u32::try_from(sample.line).unwrap_or(u32::MAX),
        column: sample.column,
        text: sample.text.clone(),
    }
}
