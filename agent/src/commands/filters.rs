//! fail2ban filters that the user names: loaded, asked line by line, and told of as fail2ban-regex does.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::tz::TimeZone;
use parsers::place::Problem;
use parsers::rules::fail2ban::{Backend, Call, call, filter};
use parsers::tree::Tree;
use scanner::RootedTree;
use scanner::logs::conceal::Concealer;
use scanner::logs::fail2ban::{CONNECTIONS_MAX, Failure, Filter, Scratch, Seen, Sight, State};

use crate::exit;

/// Where filters and jails stand unless a path is given.
pub const FAIL2BAN: &str = "/etc/fail2ban";

/// Most filters of one run.
const FILTERS_MAX: usize = 1_000;

/// Years ahead that a date may lie: a filter may be compiled once and asked for years.
const YEARS_AHEAD: i16 = 3;

/// Filters and what they came to so far.
#[derive(Default)]
pub struct Filters {
    loaded: Vec<Loaded>,
    scratch: Scratch,
}

struct Loaded {
    filter: Filter,
    state: State,
    tally: Tally,
}

/// What a filter came to.
#[derive(Default)]
struct Tally {
    lines: u64,
    matched: u64,
    passed: u64,
    undecided: u64,
    undated: u64,
    expressions: Vec<u64>,
    dates: BTreeMap<usize, u64>,
}

/// A line that a filter takes for a failure.
pub struct Hit {
    /// The filter's name.
    pub rule: String,
    /// Seconds since the epoch, if the line or one before it has a date.
    pub time: Option<i64>,
    /// What it names, by fail2ban's names.
    pub fields: BTreeMap<String, String>,
}

/// Loads a filter: `NAME` of `/etc/fail2ban/filter.d` or a path, with `[option=value]` or without.
pub fn load(tree: &dyn Tree, text: &str, now: i64) -> anyhow::Result<Filter> {
    const HINT: &str =
        "name a filter of /etc/fail2ban/filter.d or a path, as `sshd[mode=aggressive]`";
    let Call { mut name, options } = call::parse(text)
        .map_err(|message| exit::hinted(format!("--filter {text}: {message}"), HINT))?;
    if name.contains('/') {
        name = std::path::absolute(&name)?.to_string_lossy().into_owned();
    }
    let call = Call { name, options };
    let compiled = filter::load(tree, Path::new(FAIL2BAN), &call, Backend::File)
        .and_then(|definition| Filter::compile(&definition, last_year(now)));
    compiled.map_err(|problem: Problem| exit::hinted(problem.to_string(), HINT))
}

/// The last year that a date may sensibly have.
pub fn last_year(now: i64) -> i16 {
    let now = jiff::Timestamp::from_second(now).unwrap_or_default();
    now.to_zoned(TimeZone::UTC).year().saturating_add(YEARS_AHEAD)
}

impl Filters {
    /// Loads filters; the first thing wrong ends it.
    pub fn load(tree: &RootedTree, texts: &[String], now: i64) -> anyhow::Result<Self> {
        if texts.len() > FILTERS_MAX {
            let message = format!("more than {FILTERS_MAX} filters");
            return Err(exit::hinted(message, "name fewer at a time"));
        }
        let mut filters = Self::default();
        for text in texts {
            let filter = load(tree, text, now)?;
            let tally =
                Tally { expressions: vec![0; filter.expressions().len()], ..Tally::default() };
            // As fail2ban-regex: a connection is remembered however long ago it began.
            let state = State::new(CONNECTIONS_MAX, None);
            filters.loaded.push(Loaded { filter, state, tally });
        }
        Ok(filters)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.loaded.is_empty()
    }

    /// Asks every filter of the next line.
    pub fn take(
        &mut self,
        line: &[u8],
        now: i64,
        zone: &TimeZone,
        conceal: &Concealer,
    ) -> Vec<Hit> {
        let scratch = &mut self.scratch;
        self.loaded
            .iter_mut()
            .filter_map(|one| one.take(line, now, zone, scratch, conceal))
            .collect()
    }

    /// Tells on stderr what each filter came to.
    pub fn tell(&self) {
        for Loaded { filter, tally, state } in &self.loaded {
            let missed = tally.lines - tally.matched - tally.passed - tally.undecided;
            let name = scanner::redact::printable(filter.name());
            say!(
                "wardmote: filter {name}: {} lines, {} matched, {} ignored, {missed} missed",
                tally.lines,
                tally.matched,
                tally.passed,
            );
            for (count, text) in tally.expressions.iter().zip(filter.expressions()) {
                if *count > 0 {
                    say!("  [{count}] {}", scanner::redact::printable(text));
                }
            }
            for (template, text) in filter.date_patterns().enumerate() {
                if let Some(count) = tally.dates.get(&template) {
                    say!("  [{count}] date {}", scanner::redact::printable(text));
                }
            }
            if tally.undated > 0 {
                say!("  {} of the matched without a date", tally.undated);
            }
            if state.evicted > 0 {
                say!(
                    "  {} connections forgotten, more than {CONNECTIONS_MAX} at once",
                    state.evicted
                );
            }
        }
    }

    /// Lines that a filter could not decide, with the filter's name.
    pub fn undecided(&self) -> impl Iterator<Item = (&str, u64)> {
        let all = self.loaded.iter().map(|one| (one.filter.name(), one.tally.undecided));
        all.filter(|(_, count)| *count > 0)
    }
}

impl Loaded {
    fn take(
        &mut self,
        line: &[u8],
        now: i64,
        zone: &TimeZone,
        scratch: &mut Scratch,
        conceal: &Concealer,
    ) -> Option<Hit> {
        self.tally.lines += 1;
        let seen = self.filter.examine(line, scratch)?;
        if let Seen { template: Some(template), .. } = seen {
            *self.tally.dates.entry(template).or_insert(0) += 1;
        }
        let taken = self.state.take(&self.filter, &seen, None);
        if let Sight::Match { regex, .. } = seen.sight {
            self.tally.expressions[regex] += 1;
        }
        self.tally.undecided += u64::from(taken.undecided);
        self.tally.passed += u64::from(taken.passed);
        let failure = taken.failure?;
        if self.filter.maxlines() > 1 {
            self.tally.expressions[failure.regex] += 1;
        }
        self.tally.matched += 1;
        let time = taken.moment.and_then(|moment| moment.resolve(now, zone));
        self.tally.undated += u64::from(time.is_none());
        #[allow(clippy::cast_possible_truncation)] // the fraction is not shown
        let time = time.map(|time| time.floor() as i64);
        Some(Hit { rule: self.filter.name().to_string(), time, fields: fields(failure, conceal) })
    }
}

/// What may be shown: a word that somebody typed as a user name is hidden.
fn fields(failure: Failure, conceal: &Concealer) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for (name, value) in failure.fields {
        // Groups of the filter's own, which say nothing of who it was, stay inside.
        let shown = match name.as_str() {
            "user" => conceal.user(&value),
            name if name.starts_with("cond_") || name.starts_with('_') => continue,
            _ => conceal.line(&value),
        };
        fields.insert(name, shown);
    }
    fields.entry("host".into()).or_insert_with(|| scanner::redact::line(&failure.id));
    fields
}
