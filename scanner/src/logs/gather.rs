//! Hits to stories: drops what another log told already, feeds the correlations.
//!
//! Takes the hits of all logs one after another, in the order of time; so its results depend on the
//! logs alone and not on who read them. Nothing is allocated for a hit whose subject is known.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;

use consensus::Subject;
use parsers::rules::sigma::CorrelationKind;

use super::conceal::Concealer;
use super::event::Who;
use super::extract::Ended;
use super::fail2ban::{Seen, State};
use super::features::Observer;
use super::groups::Hashed;
use super::matcher::{Reference, RuleSet};
use super::networks::Grouping;
use super::part::{LineHit, Part, RuleHit};
use super::story::{
    About, Detection, Distinct, Hit, Kept, Name, Opening, TEXT_BYTES_MAX, Tally,
    one_story_an_address,
};
use super::sweep::{Activity, SweepOptions, SweepOutcome};
use super::web::census::Census;
use super::window::{Feed, GROUPS_BYTES_MAX, Window, field_for};

/// Hits kept to recognise the same event in a second log.
const RECENT_MAX: usize = 4096;

/// Most lines said about files that could not be read to their end.
pub const INCOMPLETE_MAX: usize = 1000;

/// Most stories of single rules that are held.
pub const STORIES_MAX: usize = 20_000;

/// Feeds between two looks at how much memory the windows take.
const LOOK_EVERY: u32 = 1024;

/// The rules' side of a sweep: hits in, stories out.
pub(super) struct Sweeper<'a> {
    pub(super) rules: &'a RuleSet,
    pub(super) options: &'a SweepOptions,
    pub(super) hasher: RandomState,
    windows: Vec<Window>,
    readers: Rc<Readers>,
    /// What the line fed so far: correlation, group and value that was counted.
    fed: Vec<(usize, u64, Option<u64>)>,
    singles: HashMap<(u32, u8, u64), (Subject, Tally), Hashed>,
    totals: Vec<Total>,
    /// More than one stream may tell the same event.
    pub(super) several: bool,
    recent: HashMap<(u32, u64), (usize, i64), Hashed>,
    conceal: Concealer,
    learnt: HashSet<u64, Hashed>,
    feeds: u32,
    /// Groups and subjects that gave way since this was last asked.
    gave_way: u64,
    /// What watches the lines over time, where that is wanted.
    pub(super) observer: Option<Observer>,
    /// New requests of each client, also those that no rule named.
    pub(super) census: Census,
    pub(super) outcome: SweepOutcome,
}

/// Correlations that read each rule, and each correlation.
struct Readers {
    of_rules: Vec<Vec<Reader>>,
    of_correlations: Vec<Vec<Reader>>,
}

/// A correlation that reads a rule or another correlation: where it finds what it wants among the values
/// of that.
struct Reader {
    correlation: usize,
    /// `None` where something that it groups by is not there at all.
    group: Option<Vec<usize>>,
    counted: Option<usize>,
    /// It counts lines of several rules, of which one line may match more than one.
    counts_lines: bool,
}

/// What a rule saw in all.
#[derive(Default)]
struct Total {
    events: u64,
    addresses: Distinct,
    users: Distinct,
}

impl<'a> Sweeper<'a> {
    /// Nothing seen yet.
    pub(super) fn new(rules: &'a RuleSet, options: &'a SweepOptions) -> Self {
        let mut of_rules: Vec<Vec<Reader>> = rules.rules.iter().map(|_| Vec::new()).collect();
        let mut of_correlations: Vec<Vec<Reader>> =
            rules.correlations.iter().map(|_| Vec::new()).collect();
        for (index, correlated) in rules.correlations.iter().enumerate() {
            let mut known = Vec::new();
            for reference in &correlated.reads {
                if known.contains(reference) {
                    continue;
                }
                known.push(*reference);
                let reader = Reader::new(rules, index, *reference);
                match reference {
                    Reference::Rule(rule) => of_rules[*rule].push(reader),
                    Reference::Correlation(below) => of_correlations[*below].push(reader),
                }
            }
        }
        Self {
            rules,
            options,
            hasher: RandomState::new(),
            windows: rules.correlations.iter().map(|_| Window::new()).collect(),
            readers: Rc::new(Readers { of_rules, of_correlations }),
            fed: Vec::new(),
            singles: HashMap::default(),
            totals: rules.rules.iter().map(|_| Total::default()).collect(),
            several: false,
            recent: HashMap::default(),
            conceal: Concealer::new(options.known_users.iter().cloned()),
            learnt: HashSet::default(),
            feeds: 0,
            gave_way: 0,
            observer: None,
            census: Census::default(),
            outcome: SweepOutcome::default(),
        }
    }

    /// Whether windows look back at a line that these rules matched.
    pub(super) fn looks_back(&self, rules: &[RuleHit]) -> bool {
        rules.iter().any(|hit| !self.readers.of_rules[hit.rule as usize].is_empty())
    }

    /// Says what could not be looked at.
    pub(super) fn incomplete(&mut self, line: String) {
        if self.outcome.incomplete.len() < INCOMPLETE_MAX {
            self.outcome.incomplete.push(crate::redact::line(&line));
        }
    }

    /// Whether a line only says that one of wardmote's own probes came and went; then it is counted as
    /// such, and nobody is to judge it.
    pub(super) fn is_own_probe(&mut self, told: &Told<'_>) -> bool {
        let ledger = &self.options.own_probes;
        let text = told.part.bytes_of(told.hit.text);
        let start = told.hit.column.saturating_sub(1) as usize;
        let (Some(at), Some(message)) = (told.time, text.get(start..)) else { return false };
        // A text that was cut may have said more.
        let whole = text.len() < TEXT_BYTES_MAX;
        let own = !ledger.is_empty() && whole && ledger.caused(message, at);
        self.outcome.summary.own_probes += u64::from(own && !told.part.old);
        own
    }

    /// Takes the hits of one line, all rules of it.
    pub(super) fn take(&mut self, told: &Told<'_>, stream: usize) {
        let kept = OnceCell::new();
        let mut hit = told.hit(&kept);
        self.fed.clear();
        for one in told.rules {
            hit.rule = one.rule as usize;
            self.take_one(&hit, one, told.part, stream);
        }
    }

    /// Takes what a filter of fail2ban saw in a line; a failure is a hit of the jail's rule.
    pub(super) fn take_sight(
        &mut self,
        told: &Told<'_>,
        jail: usize,
        seen: &Seen,
        state: &mut State,
        stream: usize,
    ) {
        let rules = self.rules;
        let Some((jail, rule)) = rules.jails.get(jail) else { return };
        let taken = state.take(&jail.filter, seen, Some(told.at as f64));
        self.outcome.summary.undecided += u64::from(taken.undecided && !told.part.old);
        let Some(failure) = taken.failure else { return };
        if jail.ignores(&failure.id, failure.ip) {
            return;
        }
        let hash = |text: &str| self.hasher.hash_one(text.as_bytes());
        let id = Name { text: failure.id.as_bytes(), hash: hash(&failure.id) };
        let user = failure.fields.iter().find(|(name, _)| name == "user");
        let user = user.map(|(_, user)| Name { text: user.as_bytes(), hash: hash(user) });
        let kept = OnceCell::new();
        let hit = Hit {
            rule: *rule,
            weight: 1,
            ip: Some(id),
            user,
            unit: None,
            typed: true,
            ended: Some(Ended::Failure),
            ..told.hit(&kept)
        };
        self.take_hit(&hit, stream, &|_| Some(id));
    }

    fn take_one(&mut self, hit: &Hit<'_>, one: &RuleHit, part: &Part, stream: usize) {
        let wanted = self.rules.rules[hit.rule].wanted.len();
        let from = one.values as usize;
        let values = part.values.get(from..from + wanted).unwrap_or_default();
        self.take_hit(hit, stream, &|at| {
            let word = values.get(at).copied().flatten()?;
            Some(Name { text: part.word(word), hash: word.hash })
        });
    }

    /// Takes a hit whose wanted values are known by their positions.
    fn take_hit<'h>(
        &mut self,
        hit: &Hit<'h>,
        stream: usize,
        value: &dyn Fn(usize) -> Option<Name<'h>>,
    ) {
        if self.several && self.told_already(hit, stream) {
            return;
        }
        self.learn(hit);
        if !hit.old {
            self.outcome.summary.hits += 1;
            self.outcome.summary.undated += u64::from(hit.time.is_none());
            let total = &mut self.totals[hit.rule];
            total.events += hit.weight;
            total.addresses.note(hit.ip.map(|ip| ip.hash));
            total.users.note(hit.user.map(|user| user.hash));
        }
        if self.rules.rules[hit.rule].shown {
            self.tell_single(hit);
        }
        let readers = Rc::clone(&self.readers);
        for reader in &readers.of_rules[hit.rule] {
            let fed = Fed { from: Reference::Rule(hit.rule), weight: hit.weight, opened_by: None };
            self.correlate(&readers, reader, hit, &fed, value);
        }
    }

    /// The story of a single rule and whom it is about: its address, else its user, else its unit.
    fn tell_single(&mut self, hit: &Hit<'_>) {
        let (kind, name) = match (hit.ip, hit.user, hit.unit) {
            (Some(ip), ..) => (1, Some(ip)),
            (None, Some(user), _) => (2, Some(user)),
            (None, None, unit) => (3, unit),
        };
        let rule = u32::try_from(hit.rule).unwrap_or(u32::MAX);
        let key = (rule, kind, name.map_or(0, |name| name.hash));
        if let Some((_, tally)) = self.singles.get_mut(&key) {
            tally.add(hit, hit.at, hit.weight);
        } else if self.singles.len() < STORIES_MAX {
            let text = name.map(|name| String::from_utf8_lossy(name.text).into_owned());
            let mut subject = Subject::default();
            match kind {
                1 => subject.ip = text,
                2 => subject.user = text,
                _ => subject.unit = text,
            }
            let mut tally = Tally::default();
            tally.add(hit, hit.at, hit.weight);
            self.singles.insert(key, (subject, tally));
        } else {
            self.outcome.summary.evicted += 1;
            self.gave_way += 1;
        }
    }

    /// Learns which accounts exist.
    fn learn(&mut self, hit: &Hit<'_>) {
        let Some(user) = hit.user else { return };
        if !hit.typed
            && hit.ended.is_some()
            && self.learnt.len() < LEARNT_MAX
            && self.learnt.insert(user.hash)
        {
            self.conceal.learn(&Who {
                user: Some(String::from_utf8_lossy(user.text)),
                ended: hit.ended,
                ..Who::default()
            });
        }
    }

    /// Feeds a correlation; if it fires, it feeds those that read it. Ends because a correlation only
    /// reads what stands before it.
    fn correlate<'h>(
        &mut self,
        readers: &Readers,
        reader: &Reader,
        hit: &Hit<'h>,
        fed: &Fed<'_>,
        value: &dyn Fn(usize) -> Option<Name<'h>>,
    ) {
        let Some(fields) = &reader.group else { return };
        let mut group = [Name { text: b"", hash: 0 }; GROUP_FIELDS_MAX];
        let Some(group) = group.get_mut(..fields.len()) else { return };
        for (place, field) in group.iter_mut().zip(fields) {
            // An event that lacks a field to group by is not correlated (Sigma's rule).
            let Some(name) = value(*field) else { return };
            *place = name;
        }
        let index = reader.correlation;
        let feed = Feed {
            from: fed.from,
            at: hit.at,
            weight: fed.weight,
            hit,
            opened_by: fed.opened_by,
            group,
            counted: reader.counted.and_then(value),
        };
        if reader.counts_lines && self.fed_already(index, &feed) {
            return;
        }
        let fired = self.windows[index].feed(&self.rules.correlations[index], &feed);
        self.feeds += 1;
        if self.feeds.is_multiple_of(LOOK_EVERY) {
            self.make_room();
        }
        let Some(fired) = fired else { return };
        for above in &readers.of_correlations[index] {
            let fed = Fed {
                from: Reference::Correlation(index),
                weight: fired.weight,
                opened_by: fired.opened_by.as_ref(),
            };
            self.correlate(readers, above, hit, &fed, &|at| group.get(at).copied());
        }
    }

    /// Whether the same line fed a correlation already, by another rule: one event counts once.
    fn fed_already(&mut self, index: usize, feed: &Feed<'_>) -> bool {
        let fed = (index, feed.key(), feed.counted.map(|counted| counted.hash));
        let known = self.fed.contains(&fed);
        if !known {
            self.fed.push(fed);
        }
        known
    }

    /// When the windows take more than their room, the largest gives way.
    fn make_room(&mut self) {
        let all: usize = self.windows.iter().map(Window::bytes).sum();
        if all > GROUPS_BYTES_MAX
            && let Some(largest) = self.windows.iter_mut().max_by_key(|window| window.bytes())
        {
            let before = largest.evicted;
            largest.make_room();
            self.gave_way += largest.evicted - before;
        }
    }

    /// How much gave way since this was last asked.
    pub(super) fn gave_way(&mut self) -> u64 {
        std::mem::take(&mut self.gave_way)
    }

    /// Whether another stream gave the same message within a second.
    fn told_already(&mut self, hit: &Hit<'_>, stream: usize) -> bool {
        let start = hit.column.saturating_sub(1) as usize;
        let message = hit.text.get(start..).unwrap_or(hit.text);
        let rule = u32::try_from(hit.rule).unwrap_or(u32::MAX);
        let key = (rule, self.hasher.hash_one(message));
        if let Some((other, at)) = self.recent.get(&key)
            && *other != stream
            && hit.time.is_some()
            && (hit.at - at).abs() <= 1
        {
            return true;
        }
        if self.recent.len() >= RECENT_MAX {
            self.recent.retain(|_, (_, at)| (hit.at - *at).abs() <= 2);
            if self.recent.len() >= RECENT_MAX {
                self.recent.clear();
            }
        }
        self.recent.insert(key, (stream, hit.at));
        false
    }

    /// The stories, worst first, and the counts.
    pub(super) fn finish(mut self) -> SweepOutcome {
        let mut detections = Vec::new();
        let mut everybody = Vec::new();
        let singles = std::mem::take(&mut self.singles).into_iter();
        let mut singles: Vec<_> =
            singles.map(|((rule, ..), (subject, tally))| (rule, subject, tally)).collect();
        singles.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        for (rule, subject, tally) in singles {
            if tally.fresh > 0 {
                let compiled = &self.rules.rules[rule as usize];
                let header = &compiled.rule.header;
                let about = About { header, service: compiled.service, joins_success: false };
                let subject = self.shown(subject);
                detections.push(Detection::new(&about, subject, &tally, &self.conceal));
            }
        }
        for (index, window) in std::mem::take(&mut self.windows).into_iter().enumerate() {
            self.outcome.summary.evicted += window.evicted;
            let correlated = &self.rules.correlations[index];
            if !correlated.shown {
                continue;
            }
            let header = &correlated.correlation.header;
            let joins_success = correlated.reads.len() > 1;
            let about = About { header, service: correlated.service, joins_success };
            for story in window.fired() {
                if story.tally.fresh > 0 && story.values.is_empty() {
                    everybody.push((about.clone(), story.tally));
                } else if story.tally.fresh > 0 {
                    let fields = &correlated.correlation.group_by;
                    let subject = self.shown(subject_by(fields, &story.values));
                    detections.push(Detection::new(&about, subject, &story.tally, &self.conceal));
                }
            }
        }
        let mut detections = one_story_an_address(detections);
        // A story about everybody says nothing new when each address in it has a story of its own.
        let told = detections.iter().filter_map(|detection| detection.subject.ip.as_deref());
        let told: HashSet<u64> = told.map(|ip| self.hasher.hash_one(ip.as_bytes())).collect();
        everybody.retain(|(_, tally)| !tally.is_only_of(&told));
        for (about, tally) in &everybody {
            let subject = Subject::default();
            detections.push(Detection::new(about, subject, tally, &self.conceal));
        }
        for detection in detections.iter_mut().filter(|detection| detection.service == "http") {
            let requests = detection.subject.ip.as_deref().map(|ip| self.census.count(ip));
            detection.requests = requests.filter(|requests| *requests > 0);
        }
        self.outcome.summary.evicted += self.census.evicted;
        self.outcome.networks = Grouping::of(&detections).groups();
        self.observed(&mut detections);
        detections.sort_by(|a, b| {
            (b.level, b.succeeded, b.count, &a.rule, a.key()).cmp(&(
                a.level,
                a.succeeded,
                a.count,
                &b.rule,
                b.key(),
            ))
        });
        self.outcome.summary.detections = detections.len() as u64;
        self.outcome.detections = detections;
        self.outcome.activity = self.activity();
        self.outcome.sources.sort();
        self.outcome
    }

    /// Adds what was observed over time, and keeps what the next sweep should know.
    fn observed(&mut self, detections: &mut Vec<Detection>) {
        let Some(observer) = self.observer.take() else { return };
        let rules = &self.rules.rules;
        let (fed, mut coverage) = (observer.fed(), std::mem::take(&mut self.outcome.coverage));
        coverage.rules(self.rules, &fed);
        let mut observed = observer.finish(detections, &self.conceal);
        let hit = self.totals.iter().enumerate().filter(|(_, total)| total.events > 0);
        let hit = hit.map(|(rule, _)| rules[rule].rule.header.key());
        observed.baseline.keep_rules(hit, self.options.now);
        let now = self.options.now;
        observed.baseline.quiet(now).into_iter().for_each(|quiet| coverage.quiet(quiet));
        self.outcome.coverage = coverage;
        self.outcome.observed = observed.counts;
        self.outcome.baseline = Some(observed.baseline);
        detections.extend(observed.detections);
    }

    fn activity(&self) -> Vec<Activity> {
        let seen = self.totals.iter().enumerate().filter(|(_, total)| total.events > 0);
        seen.map(|(rule, total)| {
            let header = &self.rules.rules[rule].rule.header;
            Activity {
                rule: header.key().to_string(),
                title: header.title.clone(),
                events: total.events,
                addresses: total.addresses.len() as u64,
                users: total.users.len() as u64,
            }
        })
        .collect()
    }

    /// A subject as it may be shown.
    fn shown(&self, subject: Subject) -> Subject {
        let safe = |text: Option<String>| text.map(|text| crate::redact::line(&text));
        Subject {
            ip: safe(subject.ip),
            user: subject.user.map(|user| self.conceal.user(&user)),
            unit: safe(subject.unit),
            path: safe(subject.path),
            port: subject.port,
        }
    }
}

/// Most accounts that are looked at twice.
const LEARNT_MAX: usize = 100_000;

/// Most fields that a correlation groups by.
pub const GROUP_FIELDS_MAX: usize = 16;

/// A line with hits, its time known.
pub(super) struct Told<'p> {
    pub(super) part: &'p Part,
    pub(super) hit: &'p LineHit,
    pub(super) rules: &'p [RuleHit],
    pub(super) path: &'p Arc<str>,
    /// From 1.
    pub(super) line: u64,
    pub(super) time: Option<i64>,
    pub(super) at: i64,
}

impl<'p> Told<'p> {
    /// As a hit of rule 0.
    fn hit(&self, kept: &'p OnceCell<Rc<Kept>>) -> Hit<'p> {
        let (part, line) = (self.part, self.hit);
        let name = |word| Name { text: part.word(word), hash: word.hash };
        Hit {
            rule: 0,
            time: self.time,
            at: self.at,
            weight: line.weight,
            path: self.path,
            line: self.line,
            column: line.column,
            offset: part.offset + line.offset,
            text: part.bytes_of(line.text),
            ip: line.ip.map(name),
            user: line.user.map(name),
            unit: line.unit.map(name),
            typed: line.typed,
            ended: line.ended,
            old: part.old,
            kept,
        }
    }
}

/// What feeds a correlation.
struct Fed<'a> {
    from: Reference,
    weight: u64,
    opened_by: Option<&'a Opening>,
}

impl Reader {
    fn new(rules: &RuleSet, correlation: usize, from: Reference) -> Self {
        let reads = &rules.correlations[correlation].correlation;
        let (header, fields): (_, &[String]) = match from {
            Reference::Rule(rule) => {
                let compiled = &rules.rules[rule];
                (&compiled.rule.header, &compiled.wanted)
            }
            Reference::Correlation(below) => {
                let below = &rules.correlations[below].correlation;
                (&below.header, &below.group_by)
            }
        };
        let find = |field: &String| {
            let own = field_for(reads, header, field);
            fields.iter().position(|known| known == own)
        };
        let counted = match &reads.kind {
            CorrelationKind::ValueCount(field, _) => find(field),
            _ => None,
        };
        let counts =
            matches!(reads.kind, CorrelationKind::EventCount(_) | CorrelationKind::ValueCount(..));
        let lines = matches!(from, Reference::Rule(_)) && reads.rules.len() > 1;
        let group = reads.group_by.iter().map(find).collect();
        Self { correlation, group, counted, counts_lines: counts && lines }
    }
}

fn subject_by(fields: &[String], values: &[String]) -> Subject {
    let mut subject = Subject::default();
    for (field, value) in fields.iter().zip(values) {
        let part = match field.as_str() {
            "src_ip" | "c-ip" | "ip" | "client_ip" | "source_ip" => &mut subject.ip,
            "user" | "target_user" | "cs-username" => &mut subject.user,
            "unit" => &mut subject.unit,
            _ => &mut subject.path,
        };
        *part = Some(value.clone());
    }
    subject
}
