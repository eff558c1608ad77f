//! The daily summary: what is new, what is open, what could not be looked at, what waits for an operator. For
//! targets that ask for one, once a local day, whatever the clock does: a time that a change of clocks leaves
//! out comes right after, one that comes twice counts the first time, a service that was down tells it when it
//! is back, and a restart does not tell it again (the day is kept in [`FILE`]).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use consensus::Severity;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::note::{Kind, Note, id_of, one_line};
use crate::control::status::{Line, Status, Tally};
use crate::settings::{NotifySettings, SummarySettings, bounded};

/// Where it is kept which day was told, in the state directory.
const FILE: &str = "summaries.json";
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Most new cases and findings that are named.
pub const NAMED_MAX: usize = 10;
/// What is new is new since the last summary, or since so long ago.
const DAY_S: i64 = 86_400;

/// When a target was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    /// The local day.
    #[serde(with = "iso")]
    day: Date,
    /// Seconds since the epoch.
    time: i64,
}

/// A day as `2026-05-01`.
mod iso {
    use jiff::civil::Date;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(day: &Date, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(day)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Date, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A summary that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The target's name.
    pub target: String,
    /// The local day that it is for.
    pub day: Date,
    /// What is new since then, seconds since the epoch.
    pub since: i64,
    /// Whether nothing is said when there is nothing to say.
    pub quiet: bool,
}

/// Remembers who was told when.
#[derive(Debug, Default)]
pub struct Summaries {
    path: PathBuf,
    last: BTreeMap<String, Last>,
    /// What became of events when a summary was made last.
    pub tally: Tally,
}

impl Summaries {
    /// As a state directory has it. What cannot be read is as if nothing had been told before.
    pub fn open(state: &Path) -> Self {
        let path = state.join(FILE);
        let read = bounded(&path, FILE_BYTES_MAX, "").ok();
        let last = read.and_then(|(bytes, _)| serde_json::from_slice(&bytes).ok());
        Self { path, last: last.unwrap_or_default(), tally: Tally::default() }
    }

    /// Who is to be told now.
    pub fn due(&mut self, targets: &[NotifySettings], now: i64, zone: &TimeZone) -> Vec<Due> {
        let mut all = Vec::new();
        for target in targets {
            let Some(summary) = &target.summary else { continue };
            let known = self.last.get(&target.name).copied();
            match step(known, *summary, now, zone) {
                Step::Nothing => {}
                Step::Begin(day) => self.note(&target.name, day, now),
                Step::Tell(day) => all.push(Due {
                    target: target.name.clone(),
                    day,
                    since: known.map_or(now - DAY_S, |last| last.time),
                    quiet: summary.quiet,
                }),
            }
        }
        all
    }

    /// Somebody was told, or had nothing to be told. In memory whatever the disk says.
    pub fn note(&mut self, target: &str, day: Date, now: i64) {
        self.last.insert(target.to_string(), Last { day, time: now });
        let bytes = serde_json::to_vec(&self.last).unwrap_or_default();
        if let Err(error) = crate::output::replace(&self.path, &bytes, 0o600) {
            say!("wardmote: {}: {error}", self.path.display());
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    /// For the first time: from the next time on.
    Begin(Date),
    Tell(Date),
}

fn step(last: Option<Last>, summary: SummarySettings, now: i64, zone: &TimeZone) -> Step {
    let Ok(now) = Timestamp::from_second(now) else { return Step::Nothing };
    let now = now.to_zoned(zone.clone());
    let today = now.date();
    let moment = today.to_datetime(summary.at.0).to_zoned(zone.clone());
    let is_time = moment.is_ok_and(|moment| now >= moment);
    // The last day whose time has come, also where nobody looked then.
    let day = if is_time { today } else { today.yesterday().unwrap_or(today) };
    // A day far ahead was written while the clock was wrong.
    let last = last.filter(|last| last.day <= today.tomorrow().unwrap_or(today));
    match last {
        None => Step::Begin(day),
        Some(last) if last.day < day => Step::Tell(day),
        Some(_) => Step::Nothing,
    }
}

/// What a summary is made of.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// How things are.
    pub status: Status,
    /// New cases by level, and the gravest of them.
    pub new_cases: BTreeMap<Severity, u64>,
    /// The gravest of them.
    pub cases: Vec<Line>,
    /// New findings by level, among the gravest that are open.
    pub new_alerts: BTreeMap<Severity, u64>,
    /// The gravest of them.
    pub alerts: Vec<Line>,
    /// Events since the last summary, or since the service started.
    pub events: Tally,
    /// Responses that wait for an operator, where that could be seen.
    pub responses: Option<u64>,
}

impl Facts {
    /// Whether anything happened, waits or goes wrong.
    fn says_anything(&self) -> bool {
        let trouble = self.status.trouble.is_some()
            || self.status.notify.values().any(|one| one.trouble.is_some());
        !self.new_cases.is_empty()
            || !self.new_alerts.is_empty()
            || self.responses.is_none_or(|waiting| waiting > 0)
            || trouble
    }

    /// The note; `None` where there is nothing to say and that is wanted so.
    pub fn note(&self, due: &Due, host: &str, now: i64) -> Option<Note> {
        if due.quiet && !self.says_anything() {
            return None;
        }
        let sum = |counts: &BTreeMap<Severity, u64>| counts.values().sum::<u64>();
        let grave: u64 = self.status.alerts.range(Severity::High..).map(|(_, count)| count).sum();
        let waiting = self.responses.unwrap_or(0);
        let mut title = format!(
            "Daily summary: {}, {}; {grave} open high or critical",
            many(sum(&self.new_cases), "new case"),
            many(sum(&self.new_alerts), "new finding"),
        );
        if waiting > 0 {
            let _ = write!(title, "; {} for an operator", many(waiting, "response waits"));
        }
        let events = self.events;
        let body = json!({
            "schema": "wardmote.summary/1",
            "day": due.day.to_string(),
            "since": Timestamp::from_second(due.since).unwrap_or_default().to_string(),
            "new_cases": self.new_cases, "cases": self.cases,
            "new_findings": self.new_alerts, "findings": self.alerts,
            "open": self.status.alerts,
            "events": {
                "received": events.received, "notified": events.notified,
                "merged": events.merged, "suppressed": events.suppressed,
            },
            "incomplete": self.status.incomplete,
            "responses_waiting": self.responses,
            "trouble": self.status.trouble,
            "notify": self.status.notify,
            "text": self.text(due),
        });
        let id = id_of(&format!("{host}\nsummary\n{}\n{}", due.target, due.day));
        Some(Note {
            id,
            kind: Kind::Summary,
            time: now,
            severity: Severity::Info,
            title: one_line(&title),
            host: host.into(),
            key: "summary".into(),
            body,
        })
    }

    /// For people, a line a fact.
    fn text(&self, due: &Due) -> String {
        let mut out = String::new();
        let since = Timestamp::from_second(due.since).unwrap_or_default();
        let counts = |counts: &BTreeMap<Severity, u64>| {
            let grave_first = counts.iter().rev().filter(|(_, count)| **count > 0);
            let parts: Vec<String> =
                grave_first.map(|(level, count)| format!("{count} {level}")).collect();
            if parts.is_empty() { "none".to_string() } else { parts.join(", ") }
        };
        let _ = writeln!(out, "since {since}");
        let _ = writeln!(out, "new cases       {}", counts(&self.new_cases));
        for case in &self.cases {
            let _ = writeln!(out, "  #{} {} {}", case.id, case.severity, case.title);
        }
        let _ = writeln!(out, "new findings    {}", counts(&self.new_alerts));
        for alert in &self.alerts {
            let _ = writeln!(out, "  {} {} {}", alert.id, alert.severity, alert.title);
        }
        let _ = writeln!(out, "open            {}", counts(&self.status.alerts));
        let Tally { received, notified, merged, suppressed } = self.events;
        let _ = writeln!(
            out,
            "events          {received} = {notified} notified + {merged} merged + {suppressed} suppressed"
        );
        let _ = writeln!(out, "not looked at   {}", self.status.incomplete);
        let waiting = self.responses.map_or("unknown".to_string(), |count| count.to_string());
        let _ = writeln!(out, "responses wait  {waiting}");
        for (name, one) in &self.status.notify {
            if let Some(why) = &one.trouble {
                let _ = writeln!(out, "notify          {name}: {} waiting; {why}", one.waiting);
            }
        }
        if let Some(trouble) = &self.status.trouble {
            let _ = writeln!(out, "TROUBLE         {trouble}");
        }
        out
    }
}

fn many(count: u64, what: &str) -> String {
    let words: Vec<&str> = what.split(' ').collect();
    match (count, &words[..]) {
        (1, _) => format!("1 {what}"),
        (_, [thing, "waits"]) => format!("{count} {thing}s wait"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{JournaldSettings, TimeOfDay, Way};

    /// Central Europe, without asking this host for its time zones.
    fn zone() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn at(text: &str) -> i64 {
        text.parse::<jiff::civil::DateTime>()
            .unwrap()
            .to_zoned(zone())
            .unwrap()
            .timestamp()
            .as_second()
    }

    fn target(at: &str, quiet: bool) -> NotifySettings {
        let summary = Some(SummarySettings { at: at.parse::<TimeOfDay>().unwrap(), quiet });
        let way = Way::Journald(JournaldSettings::default());
        NotifySettings { name: "t".into(), from: Severity::High, spool_bytes: 1, summary, way }
    }

    /// Goes through time and tells at once; the local days and times that were told.
    fn lived(
        times: impl Iterator<Item = i64>,
        target: &NotifySettings,
        restart_every: usize,
    ) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let mut summaries = Summaries::open(dir.path());
        let mut told = Vec::new();
        for (number, now) in times.enumerate() {
            if number % restart_every == 0 {
                summaries = Summaries::open(dir.path());
            }
            for due in summaries.due(std::slice::from_ref(target), now, &zone()) {
                let local = Timestamp::from_second(now).unwrap().to_zoned(zone());
                told.push(local.strftime("%F %H:%M").to_string());
                summaries.note(&due.target, due.day, now);
            }
        }
        told
    }

    #[test]
    fn once_a_day_through_two_years_of_changed_clocks_and_restarts() {
        for time in ["08:00", "02:30", "00:00", "23:59"] {
            let begin = at("2026-01-01 12:00");
            let times = (0..730 * 48).map(|half| begin + half * 1_800 + 7);
            let told = lived(times, &target(time, false), 97);
            let mut days: Vec<&str> = told.iter().map(|told| &told[..10]).collect();
            days.dedup();
            assert_eq!((days.len(), told.len()), (730, 730), "{time}");
        }
    }

    #[test]
    fn a_time_that_is_left_out_comes_right_after_and_one_that_comes_twice_counts_once() {
        let minutes = |from: &str, count: i64| {
            let from = at(from);
            (0..count).map(move |minute| from + minute * 60)
        };
        let spring = lived(minutes("2026-03-28 12:00", 30 * 60), &target("02:30", false), 10);
        assert_eq!(spring, ["2026-03-29 03:30"]);
        let autumn = lived(minutes("2026-10-24 12:00", 30 * 60), &target("02:30", false), 10);
        assert_eq!(autumn, ["2026-10-25 02:30"]);
    }

    #[test]
    fn the_first_comes_at_its_time_a_late_one_when_the_service_is_back_and_wrong_clocks_heal() {
        let told =
            |times: &[&str]| lived(times.iter().map(|time| at(time)), &target("08:00", false), 1);
        assert_eq!(told(&["2026-05-01 07:00", "2026-05-01 08:00"]), ["2026-05-01 08:00"]);
        assert_eq!(told(&["2026-05-01 09:00", "2026-05-01 23:00"]), [""; 0]);
        let night = ["2026-05-01 07:00", "2026-05-02 07:00", "2026-05-02 08:00"];
        assert_eq!(told(&night), ["2026-05-02 07:00", "2026-05-02 08:00"], "yesterday's, late");
        let down = ["2026-05-01 09:00", "2026-05-04 15:00", "2026-05-05 07:00", "2026-05-05 08:00"];
        assert_eq!(told(&down), ["2026-05-04 15:00", "2026-05-05 08:00"]);
        let back = ["2026-05-01 09:00", "2026-05-02 08:00", "2026-05-01 10:00", "2026-05-02 09:00"];
        assert_eq!(told(&back), ["2026-05-02 08:00"], "the clock went back: not again");
        let far = ["2026-05-01 09:00", "2031-01-01 09:00", "2026-05-02 07:00", "2026-05-02 08:00"];
        assert_eq!(told(&far), ["2031-01-01 09:00", "2026-05-02 08:00"]);
    }

    fn facts() -> Facts {
        let status = Status {
            alerts: [(Severity::High, 2), (Severity::Low, 3), (Severity::Info, 0)].into(),
            incomplete: 4,
            ..Status::default()
        };
        let case =
            Line { id: "7".into(), severity: Severity::High, title: "guessing".into(), last: 5 };
        Facts {
            status,
            new_cases: [(Severity::High, 1)].into(),
            cases: vec![case],
            events: Tally { received: 9, notified: 1, merged: 3, suppressed: 5 },
            responses: Some(2),
            ..Facts::default()
        }
    }

    fn due(quiet: bool) -> Due {
        Due { target: "t".into(), day: "2026-05-01".parse().unwrap(), since: 0, quiet }
    }

    #[test]
    fn it_says_what_is_new_open_held_back_unseen_and_waiting() {
        let note = facts().note(&due(false), "h", 10).unwrap();
        assert_eq!(
            note.title,
            "Daily summary: 1 new case, 0 new findings; 2 open high or critical; 2 responses wait for an operator"
        );
        let text = note.body["text"].as_str().unwrap();
        let wanted = [
            "since 1970-01-01T00:00:00Z",
            "new cases       1 high",
            "  #7 high guessing",
            "new findings    none",
            "open            2 high, 3 low",
            "events          9 = 1 notified + 3 merged + 5 suppressed",
            "not looked at   4",
            "responses wait  2",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), wanted);
        assert_eq!(note.body["incomplete"], 4);
        let again = facts().note(&due(false), "h", 99).unwrap();
        assert_eq!(again.id, note.id, "a day has one summary, however often it is told");
    }

    #[test]
    fn nothing_to_say_is_said_unless_that_is_not_wanted() {
        let nothing = Facts { responses: Some(0), ..Facts::default() };
        assert!(nothing.note(&due(false), "h", 10).is_some());
        assert!(nothing.note(&due(true), "h", 10).is_none());
        assert!(facts().note(&due(true), "h", 10).is_some());
        let unseen = Facts { responses: None, ..nothing.clone() };
        assert!(unseen.note(&due(true), "h", 10).is_some(), "could not look is never nothing");
        let mut troubled = nothing;
        troubled.status.trouble = Some("disk full".into());
        assert!(troubled.note(&due(true), "h", 10).is_some());
    }
}
