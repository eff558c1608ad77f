//! From what an observer holds to what it tells.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use consensus::Subject;
use consensus::carryover::{CarryOver, Line, MAX_KEPT, Rules};

use super::hours::{Burst, HABIT_HOURS, Hours};
use super::people::FAN_MIN;
use super::tell::{self, About, Sort, Teller, at, span};
use super::{Observer, TOLD_MAX};
use crate::logs::conceal::Concealer;
use crate::logs::story::Detection;
use crate::logs::templates::known::{Seen, Template};
use crate::logs::templates::{Outcome, known};

const HOUR: i64 = 3600;
const WEEK_HOURS: i64 = 168;
/// A source is quiet when it was so for this many times its longest silence.
const QUIET_FACTOR: i64 = 4;
/// But not before it was for so long.
const QUIET_SECONDS: i64 = 86_400;

/// Everything that is worth telling, and how much of it was left out.
pub(super) fn judge(
    observer: &Observer,
    told: &[Detection],
    conceal: &Concealer,
) -> (Vec<Detection>, u64) {
    let sources = observer.sources.iter().map(|source| &*source.name).collect();
    let mut judge = Judge {
        observer,
        teller: Teller { sources, conceal },
        spoken: told.iter().flat_map(spoken_for).collect(),
        detections: Vec::new(),
        not_told: 0,
    };
    judge.new_messages();
    judge.rates();
    judge.sources();
    judge.quiet_sources();
    judge.people();
    if !told.iter().any(|detection| detection.service == "http") {
        judge.parameters();
    }
    (judge.detections, judge.not_told)
}

/// Observations that may be told.
type Found<'s> = Vec<(&'s Sort, About)>;

struct Judge<'a> {
    observer: &'a Observer,
    teller: Teller<'a>,
    spoken: BTreeSet<String>,
    detections: Vec<Detection>,
    not_told: u64,
}

/// Whom a rule's story is about already.
fn spoken_for(detection: &Detection) -> impl Iterator<Item = String> {
    let subject = &detection.subject;
    let ip = subject.ip.iter().map(|ip| format!("ip:{ip}"));
    let user = subject.user.iter().map(|user| format!("user:{user}"));
    ip.chain(user).collect::<Vec<_>>().into_iter()
}

impl Judge<'_> {
    /// Tells the first of these.
    fn tell(&mut self, found: Found<'_>) {
        self.not_told += found.len().saturating_sub(TOLD_MAX) as u64;
        for (sort, about) in found.into_iter().take(TOLD_MAX) {
            self.detections.push(self.teller.tell(sort, about));
        }
    }

    /// The latest time of each family of files.
    fn ends(&self) -> BTreeMap<&str, i64> {
        let mut ends = BTreeMap::new();
        for source in &self.observer.sources {
            if let Some((_, last)) = source.times {
                let end = ends.entry(&*source.family).or_insert(last);
                *end = last.max(*end);
            }
        }
        ends
    }

    /// The end of the sources in which a line stands, in hours.
    fn end_of(&self, ends: &BTreeMap<&str, i64>, seen: Option<Seen>) -> Option<i64> {
        let source = self.observer.sources.get(seen?.source as usize)?;
        ends.get(&*source.family).map(|end| end.div_euclid(HOUR))
    }

    fn new_messages(&mut self) {
        if self.observer.baseline.sweeps == 0 {
            return;
        }
        let known = &self.observer.known;
        let mut programs = BTreeMap::new();
        let mut chosen = CarryOver::new(Rules { kept: MAX_KEPT, horizon: 86_400 });
        for (at, template) in known.templates().filter(|(_, template)| template.is_new()) {
            let Some(first) = template.first else { continue };
            if known.programs()[template.program as usize].known_before {
                let line = Line {
                    offset: u64::from(at),
                    at: first.at.unwrap_or_default(),
                    template: at,
                    relevance: relevance(template),
                };
                if self.has_habits(template.program) {
                    chosen.add(&[line]);
                }
            } else {
                let entry = programs.entry(template.program).or_insert((0, first, template));
                entry.0 += template.count;
                if first < entry.1 {
                    (entry.1, entry.2) = (first, template);
                }
            }
        }
        let mut found = Vec::new();
        for line in chosen.kept() {
            let Some(template) = known.template(line.template) else { continue };
            let sort = match template.outcome {
                Outcome::Open => &tell::NEW_MESSAGE,
                _ => &tell::NEW_ATTEMPT,
            };
            let program = known.program_name(template);
            let text = self.teller.conceal.line(&template.text);
            found.push((
                sort,
                of_template(template, format!("{program} wrote a new message: {text}")),
            ));
        }
        self.not_told += chosen.lines() - found.len() as u64;
        self.tell(found);
        let program = |(count, first, template): (u64, Seen, &Template)| {
            let name = known.program_name(template);
            let title = format!("{name} logged for the first time");
            let subject = Subject { unit: Some(name.into()), ..Subject::default() };
            let samples = vec![(first, template.sample.to_string())];
            let last = template.last.and_then(|last| last.at);
            (&tell::NEW_PROGRAM, About { title, subject, count, first: first.at, last, samples })
        };
        self.tell(
            programs
                .into_values()
                .filter(|(_, _, t)| !known.program_name(t).is_empty())
                .map(program)
                .collect(),
        );
    }

    /// Whether earlier sweeps know a program for a day at least.
    fn has_habits(&self, program: u32) -> bool {
        let name = &self.observer.known.programs()[program as usize].name;
        let habit = self.observer.baseline.programs.iter().find(|habit| *habit.name == **name);
        let span = habit.and_then(|habit| Some(habit.hours.last()?.0 - habit.hours.first()?.0));
        span.is_some_and(|span| span >= HABIT_HOURS)
    }

    /// Bursts and silences of programs, and of templates whose program has none.
    fn rates(&mut self) {
        let known = &self.observer.known;
        let ends = self.ends();
        let mut latest: BTreeMap<u32, &Template> = BTreeMap::new();
        for (_, template) in known.templates().filter(|(_, template)| template.last.is_some()) {
            let entry = latest.entry(template.program).or_insert(template);
            if template.last > entry.last {
                *entry = template;
            }
        }
        let (mut bursts, mut silences, mut loud) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (program, template) in &latest {
            let Some(hours) = self.observer.programs.get(*program as usize) else { continue };
            let name = known.program_name(template);
            let name = if name.is_empty() { "lines without a program" } else { name };
            if let Some(burst) = hours.burst(|hour| weekly(hours, hour)) {
                loud.insert(*program);
                bursts.push((burst, of_burst(template, name, &burst)));
            }
            let end = self.end_of(&ends, template.last);
            if let Some(last) = end.and_then(|end| hours.silent_since(end)) {
                loud.insert(*program);
                silences.push(of_silence(template, name, last, end.unwrap_or(last)));
            }
        }
        for (at, template) in known.templates().filter(|(_, t)| !loud.contains(&t.program)) {
            let Some(hours) = self.observer.templates.get(&at) else { continue };
            let name = format!(
                "{}: {}",
                known.program_name(template),
                self.teller.conceal.line(&template.text)
            );
            let before = template.before.filter(|before| i64::from(before.hours) >= HABIT_HOURS);
            let usual = |_: i64| before.map(|before| f64::from(before.hour_max));
            if let Some(burst) = hours.burst(usual) {
                bursts.push((burst, of_burst(template, &name, &burst)));
            }
            let end = self.end_of(&ends, template.last);
            if let Some(last) = end.and_then(|end| hours.silent_since(end)) {
                silences.push(of_silence(template, &name, last, end.unwrap_or(last)));
            }
        }
        bursts.sort_by(|(a, _), (b, _)| {
            let factor = |burst: &Burst| f64::from(burst.count) / (burst.usual + 1.0);
            factor(b).total_cmp(&factor(a))
        });
        self.tell(bursts.into_iter().map(|(_, about)| (&tell::BURST, about)).collect());
        self.tell(silences.into_iter().map(|about| (&tell::SILENCE, about)).collect());
    }

    /// Gaps, clocks that went back, missing numbers.
    fn sources(&mut self) {
        let (mut gaps, mut backs, mut holes) = (Vec::new(), Vec::new(), Vec::new());
        for source in &self.observer.sources {
            let about = |title: String, count: u64, from: i64, to: i64, line: Seen| About {
                title,
                subject: Subject { path: Some(source.name.to_string()), ..Subject::default() },
                count,
                first: Some(from),
                last: Some(to),
                samples: vec![(line, String::new())],
            };
            for gap in source.gaps() {
                let (from, to) = (gap.from, gap.from + gap.seconds);
                let title = format!(
                    "nothing logged for {}, from {} to {}",
                    span(gap.seconds),
                    at(from),
                    at(to)
                );
                gaps.push((&tell::GAP, about(title, 1, from, to, gap.line)));
            }
            if !source.is_in_order() {
                // nothing to tell of its clock
            } else if source.is_mixed() {
                if let (Some(back), Some((first, last))) = (source.backs.first(), source.times) {
                    let title =
                        format!("the time of the lines goes back {} times", source.back_count);
                    backs.push((
                        &tell::MIXED_CLOCKS,
                        about(title, source.back_count, first, last, back.line),
                    ));
                }
            } else {
                for back in &source.backs {
                    let by = back.from - back.to;
                    let sort = if by < 600 { &tell::CLOCK_BACK_SHORT } else { &tell::CLOCK_BACK };
                    let title = format!(
                        "the clock went back by {}, from {} to {}",
                        span(by),
                        at(back.from),
                        at(back.to)
                    );
                    backs.push((sort, about(title, 1, back.to, back.from, back.line)));
                }
            }
            if let Some(hole) = source.holes.first() {
                let title = format!("{} numbered records are missing", source.missing);
                let (first, last) = source.times.unwrap_or_default();
                let time = hole.line.at.unwrap_or(first);
                holes.push((&tell::SERIALS, about(title, source.missing, time, last, hole.line)));
            }
        }
        self.tell(gaps);
        self.tell(backs);
        self.tell(holes);
    }

    /// Sources of earlier sweeps that do not speak any more.
    fn quiet_sources(&mut self) {
        let ends = self.ends();
        let Some(now) = ends.values().max().copied() else { return };
        let mut found = Vec::new();
        for spoke in &self.observer.baseline.sources {
            let last = ends.get(spoke.name.as_str()).copied().unwrap_or(spoke.last).max(spoke.last);
            let quiet = now - last;
            if quiet < QUIET_SECONDS.max(QUIET_FACTOR * spoke.longest) {
                continue;
            }
            let title = format!("{} has had no new lines for {}", spoke.name, span(quiet));
            let subject = Subject { path: Some(spoke.name.clone()), ..Subject::default() };
            let about = About {
                title,
                subject,
                count: 1,
                first: Some(last),
                last: Some(now),
                samples: vec![],
            };
            found.push((&tell::QUIET_SOURCE, about));
        }
        self.tell(found);
    }

    fn people(&mut self) {
        let people = &self.observer.people;
        let mut entered = Vec::new();
        for ((program, ip, user), tried) in &people.tried.entries {
            let Some((refused, seen, since)) = tried.entered else { continue };
            let subject = of_person(ip.as_ref().map(ToString::to_string), Some(user));
            let title = format!("{program}: let in after {refused} refusals");
            let samples = vec![(seen, String::new())];
            let about = About {
                title,
                subject,
                count: refused + 1,
                first: Some(since),
                last: seen.at,
                samples,
            };
            entered.push((&tell::ENTERED, about));
        }
        let mut fans = Vec::new();
        for ((program, ip), fan) in &people.accounts.entries {
            let subject = of_person(Some(ip.to_string()), None);
            let title =
                format!("{program}: {} accounts refused to one address", fan.distinct.count());
            fans.push((&tell::MANY_ACCOUNTS, fan, title, subject));
        }
        for ((program, user), fan) in &people.addresses.entries {
            let subject = of_person(None, Some(user));
            let title =
                format!("{program}: an account used from {} addresses", fan.distinct.count());
            fans.push((&tell::MANY_ADDRESSES, fan, title, subject));
        }
        fans.retain(|(_, fan, ..)| fan.distinct.count() >= FAN_MIN);
        fans.sort_by_key(|(_, fan, ..)| Reverse(fan.distinct.count()));
        let of_fan = |(sort, fan, title, subject)| {
            let fan: &super::people::Fan = fan;
            let samples = vec![(fan.first, String::new()), (fan.last, String::new())];
            let (first, last) = (fan.first.at, fan.last.at);
            (sort, About { title, subject, count: fan.count, first, last, samples })
        };
        let fans = fans.into_iter().map(of_fan).collect();
        let mut beats = Vec::new();
        for ((program, ip, _), rhythm) in &people.rhythms.entries {
            let Some(pause) = rhythm.pause() else { continue };
            let title = format!("{program}: a message every {}", span(pause.cast_signed()));
            let subject = of_person(Some(ip.to_string()), None);
            let samples = vec![(rhythm.first, String::new()), (rhythm.last, String::new())];
            let (first, last) = (rhythm.first.at, rhythm.last.at);
            let about = About { title, subject, count: rhythm.count, first, last, samples };
            beats.push((&tell::CLOCKWORK, about));
        }
        beats.sort_by_key(|(_, about)| Reverse(about.count));
        for found in [entered, fans, beats] {
            let found = self.unspoken(found);
            self.tell(found);
        }
    }

    /// Without those of whom a rule has told.
    fn unspoken<'s>(&self, mut found: Found<'s>) -> Found<'s> {
        found.retain(|(_, about)| {
            let (ip, user) = (&about.subject.ip, &about.subject.user);
            let told = |name: String| self.spoken.contains(&name);
            match (ip, user) {
                (Some(ip), _) => !told(format!("ip:{ip}")),
                (None, Some(user)) => !told(format!("user:{user}")),
                (None, None) => true,
            }
        });
        found
    }

    fn parameters(&mut self) {
        let mut found = Vec::new();
        for odd in self.observer.uris.odd() {
            let title = format!("parameter {} of {} held {}", odd.name, odd.endpoint, odd.class);
            let subject = Subject { path: Some(odd.endpoint.into()), ..Subject::default() };
            let samples = vec![(odd.first, String::new())];
            let (first, last) = (odd.first.at, odd.first.at);
            let about = About { title, subject, count: odd.odd, first, last, samples };
            found.push((&tell::PARAMETER, about));
        }
        self.tell(found);
    }
}

/// The lines of the same hour of other weeks, where some are known.
fn weekly(hours: &Hours, hour: i64) -> Option<f64> {
    let first = hours.iter().next()?.0;
    let of = |wanted: i64| {
        let found = hours.iter().find(|(hour, _)| *hour == wanted);
        (first <= wanted).then(|| found.map_or(0, |(_, lines)| lines))
    };
    let weeks = [of(hour - WEEK_HOURS), of(hour - 2 * WEEK_HOURS)];
    weeks.into_iter().flatten().max().map(f64::from)
}

/// How much a new message matters: those about who was let in or refused, that name an address, that
/// are rare.
fn relevance(template: &Template) -> u16 {
    let told = |yes: bool, weight: u16| if yes { weight } else { 0 };
    200 + told(template.outcome != Outcome::Open, 400)
        + told(template.names_ip, 200)
        + told(template.count <= 3, 200)
}

fn of_template(template: &Template, title: String) -> About {
    let time = |seen: Option<Seen>| seen.and_then(|seen: known::Seen| seen.at);
    About {
        title,
        subject: Subject::default(),
        count: template.count,
        first: time(template.first),
        last: time(template.last),
        samples: template
            .first
            .map(|first| (first, template.sample.to_string()))
            .into_iter()
            .collect(),
    }
}

fn of_burst(template: &Template, name: &str, burst: &Burst) -> About {
    let from = burst.hour * HOUR;
    let title = format!(
        "{name}: {} lines in the hour from {}, where {:.0} are usual",
        burst.count,
        at(from),
        burst.usual
    );
    About {
        count: u64::from(burst.count),
        first: Some(from),
        last: Some(from + HOUR - 1),
        ..of_template(template, title)
    }
}

fn of_silence(template: &Template, name: &str, last: i64, end: i64) -> About {
    let (from, to) = ((last + 1) * HOUR, (end + 1) * HOUR);
    let title = format!("{name}: wrote in every hour, and nothing for {} since", span(to - from));
    About { count: 1, first: Some(from), last: Some(to), ..of_template(template, title) }
}

fn of_person(ip: Option<String>, user: Option<&str>) -> Subject {
    Subject { ip, user: user.map(Into::into), ..Subject::default() }
}
