//! Events to stories: asks the rules, drops what another log told already, feeds the correlations.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use consensus::Subject;

use super::conceal::Concealer;
use super::event::Event;
use super::features::Observer;
use super::matcher::{Reference, RuleSet, Scratch};
use super::networks::Grouping;
use super::story::{About, Detection, Hit, TEXT_BYTES_MAX, Tally, one_story_an_address};
use super::sweep::{Activity, SweepOptions, SweepOutcome};
use super::web::census::Census;
use super::window::{Feed, Window};

/// Hits kept to recognise the same event in a second log.
const RECENT_MAX: usize = 4096;

/// Most lines said about files that could not be read to their end.
pub const INCOMPLETE_MAX: usize = 1000;

/// Most stories of single rules that are held.
pub const STORIES_MAX: usize = 20_000;

/// Where a line stands.
pub(super) struct At<'a> {
    pub(super) path: &'a Arc<str>,
    pub(super) line: u64,
    pub(super) offset: u64,
    pub(super) old: bool,
}

/// The rules' side of a sweep: hits in, stories out.
pub(super) struct Sweeper<'a> {
    rules: &'a RuleSet,
    pub(super) options: &'a SweepOptions,
    scratch: Scratch,
    windows: Vec<Window>,
    /// Correlations that read each rule or correlation.
    readers: HashMap<Reference, Vec<usize>>,
    singles: BTreeMap<(usize, Subject), Tally>,
    totals: BTreeMap<usize, Tally>,
    recent: HashMap<(usize, Arc<str>), (usize, i64)>,
    conceal: Concealer,
    /// What watches the lines over time, where that is wanted.
    pub(super) observer: Option<Observer>,
    /// New requests of each client, also those that no rule named.
    census: Census,
    pub(super) outcome: SweepOutcome,
}

impl<'a> Sweeper<'a> {
    /// Nothing seen yet.
    pub(super) fn new(rules: &'a RuleSet, options: &'a SweepOptions) -> Self {
        let mut readers: HashMap<Reference, Vec<usize>> = HashMap::new();
        for (index, correlated) in rules.correlations.iter().enumerate() {
            for reference in &correlated.reads {
                let known = readers.entry(*reference).or_default();
                if !known.contains(&index) {
                    known.push(index);
                }
            }
        }
        Self {
            rules,
            options,
            scratch: Scratch::default(),
            windows: rules.correlations.iter().map(|_| Window::new()).collect(),
            readers,
            singles: BTreeMap::new(),
            totals: BTreeMap::new(),
            recent: HashMap::new(),
            conceal: Concealer::new(options.known_users.iter().cloned()),
            observer: None,
            census: Census::default(),
            outcome: SweepOutcome::default(),
        }
    }

    /// Says what could not be looked at.
    pub(super) fn incomplete(&mut self, line: String) {
        if self.outcome.incomplete.len() < INCOMPLETE_MAX {
            self.outcome.incomplete.push(crate::redact::line(&line));
        }
    }

    /// Asks the rules about an event and queues its hits.
    pub(super) fn judge(
        &mut self,
        event: &Event<'_>,
        time: Option<i64>,
        last_at: i64,
        place: &At<'_>,
        pending: &mut VecDeque<Hit>,
    ) {
        let at = time.unwrap_or(last_at);
        if self.options.since.is_some_and(|since| at < since && time.is_some()) {
            return;
        }
        if let Some(client) = event.client()
            && !place.old
        {
            self.census.take(client, event.weight);
        }
        let rules = self.rules;
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut text: Option<Arc<str>> = None;
        rules.each_match(event, &mut scratch, |rule| {
            let text = text.get_or_insert_with(|| {
                let kept = &event.raw[..event.raw.len().min(TEXT_BYTES_MAX)];
                String::from_utf8_lossy(kept).into()
            });
            let value = |field: &String| {
                event.field(field).map(|value| String::from_utf8_lossy(&value).into_owned())
            };
            pending.push_back(Hit {
                rule,
                time,
                at,
                weight: event.weight,
                path: Arc::clone(place.path),
                line: place.line,
                column: event.column(),
                offset: place.offset,
                text: Arc::clone(text),
                who: event.who(),
                values: rules.rules[rule].wanted.iter().map(value).collect(),
                old: place.old,
            });
        });
        self.scratch = scratch;
    }

    /// Takes a hit into stories and windows, unless another log told the same event already.
    pub(super) fn take(&mut self, hit: &Hit, stream: usize) {
        if self.told_already(hit, stream) {
            return;
        }
        if !hit.old {
            self.outcome.summary.hits += 1;
            self.outcome.summary.undated += u64::from(hit.time.is_none());
        }
        self.conceal.learn(&hit.who);
        if !hit.old {
            self.totals.entry(hit.rule).or_default().add(hit, hit.at, hit.weight);
        }
        let compiled = &self.rules.rules[hit.rule];
        if compiled.shown {
            let key = (hit.rule, subject_of(hit));
            if self.singles.len() < STORIES_MAX || self.singles.contains_key(&key) {
                self.singles.entry(key).or_default().add(hit, hit.at, hit.weight);
            } else {
                self.outcome.summary.evicted += 1;
            }
        }
        let wanted = &compiled.wanted;
        let value = |field: &str| {
            let at = wanted.iter().position(|known| known == field)?;
            hit.values[at].clone().filter(|value| !value.is_empty())
        };
        let rule = Reference::Rule(hit.rule);
        let feed = Feed {
            from: rule,
            at: hit.at,
            weight: hit.weight,
            hit,
            opened_by: None,
            value: &value,
        };
        self.correlate(&feed);
    }

    /// Feeds the correlations that read `from`; those that fire feed the ones above them. Ends because
    /// a correlation only reads what stands before it.
    fn correlate(&mut self, feed: &Feed<'_>) {
        let Some(readers) = self.readers.get(&feed.from).cloned() else { return };
        let header = match feed.from {
            Reference::Rule(rule) => &self.rules.rules[rule].rule.header,
            Reference::Correlation(below) => &self.rules.correlations[below].correlation.header,
        };
        for index in readers {
            let correlated = &self.rules.correlations[index];
            if let Some(fired) = self.windows[index].feed(correlated, header, feed) {
                let fields = &correlated.correlation.group_by;
                let value = |field: &str| {
                    let at = fields.iter().position(|known| known == field)?;
                    Some(fired.values[at].clone())
                };
                self.correlate(&Feed {
                    from: Reference::Correlation(index),
                    at: feed.at,
                    weight: fired.weight,
                    hit: feed.hit,
                    opened_by: fired.opened_by.as_ref(),
                    value: &value,
                });
            }
        }
    }

    /// Whether another stream gave the same message within a second.
    fn told_already(&mut self, hit: &Hit, stream: usize) -> bool {
        let start = hit.column.saturating_sub(1) as usize;
        let message: Arc<str> = hit.text.get(start..).unwrap_or(&hit.text).into();
        let key = (hit.rule, message);
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
        for ((rule, subject), tally) in &self.singles {
            if tally.fresh > 0 {
                let compiled = &self.rules.rules[*rule];
                let header = &compiled.rule.header;
                let about = About { header, service: compiled.service, joins_success: false };
                let subject = self.shown(subject.clone());
                detections.push(Detection::new(&about, subject, tally, &self.conceal));
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
            for (values, group) in window.fired() {
                if group.tally.fresh > 0 && values.is_empty() {
                    everybody.push((about.clone(), group.tally));
                } else if group.tally.fresh > 0 {
                    let fields = &correlated.correlation.group_by;
                    let subject = self.shown(subject_by(fields, &values));
                    detections.push(Detection::new(&about, subject, &group.tally, &self.conceal));
                }
            }
        }
        let mut detections = one_story_an_address(detections);
        // A story about everybody says nothing new when each address in it has a story of its own.
        let told: BTreeSet<&str> =
            detections.iter().filter_map(|detection| detection.subject.ip.as_deref()).collect();
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
        let hit = self.totals.keys().map(|rule| rules[*rule].rule.header.key());
        observed.baseline.keep_rules(hit, self.options.now);
        let now = self.options.now;
        observed.baseline.quiet(now).into_iter().for_each(|quiet| coverage.quiet(quiet));
        self.outcome.coverage = coverage;
        self.outcome.observed = observed.counts;
        self.outcome.baseline = Some(observed.baseline);
        detections.extend(observed.detections);
    }

    fn activity(&self) -> Vec<Activity> {
        self.totals
            .iter()
            .map(|(rule, tally)| {
                let header = &self.rules.rules[*rule].rule.header;
                Activity {
                    rule: header.key().to_string(),
                    title: header.title.clone(),
                    events: tally.count,
                    addresses: tally.addresses(),
                    users: tally.users(),
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

/// Whom a single hit is about: its address, else its user, else its unit.
fn subject_of(hit: &Hit) -> Subject {
    let who = &hit.who;
    let mut subject = Subject::default();
    if who.ip.is_some() {
        subject.ip.clone_from(&who.ip);
    } else if who.user.is_some() {
        subject.user.clone_from(&who.user);
    } else {
        subject.unit.clone_from(&who.unit);
    }
    subject
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
