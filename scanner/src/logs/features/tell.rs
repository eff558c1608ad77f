//! Observations in words: a [`Detection`] of each, with an honest level.
//!
//! These are hints for the panel, not verdicts: each says what was seen and what else it may be. What a
//! rule's story tells of the same address or account is not told twice.

use consensus::{Severity, Subject};

use crate::logs::conceal::Concealer;
use crate::logs::story::{Detection, Sample};
use crate::logs::templates::known::Seen;

/// A sort of observation.
pub(super) struct Sort {
    pub rule: &'static str,
    pub level: Severity,
    pub meaning: &'static str,
    pub innocent: &'static str,
}

macro_rules! sorts {
    ($($name:ident $rule:literal $level:ident $meaning:literal $innocent:literal)*) => {
        $(pub(super) const $name: Sort = Sort {
            rule: $rule,
            level: Severity::$level,
            meaning: $meaning,
            innocent: $innocent,
        };)*
        /// The names under which observations are told.
        pub const NAMES: &[&str] = &[$($rule),*];
    };
}

sorts! {
    NEW_MESSAGE "log-new-message" Info
        "A program that logs here since long wrote something that it never wrote before."
        "an update, or something that happens rarely"
    NEW_ATTEMPT "log-new-message" Low
        "A program that logs here since long wrote something that it never wrote before, about somebody who was let in or refused."
        "an update, or a login of a kind that is rare here"
    NEW_PROGRAM "log-new-program" Info
        "A program wrote to the logs that never did before."
        "a package that was installed"
    BURST "log-burst" Low
        "Far more lines in one hour than in the same hour of other weeks, or than in the other hours of this log."
        "a batch job, a crash loop, a broken client"
    SILENCE "log-silence" Low
        "A program that wrote in every hour does not write any more, while others still do: it may have been stopped, or its lines may be kept from the log."
        "the program was removed or its logging was made quieter"
    QUIET_SOURCE "log-source-quiet" Low
        "A log that used to grow has no new lines, for far longer than its longest pause so far."
        "logging moved to another file or to the journal"
    GAP "log-gap" Low
        "Nothing was logged for many times as long as in any other pause of this file: lines may have been removed."
        "the host was off or asleep"
    CLOCK_BACK "log-clock-back" Low
        "The time of the lines goes back: the clock was set, or lines were put in."
        "a clock that was corrected at boot, or logs that were joined"
    CLOCK_BACK_SHORT "log-clock-back" Info
        "The time of the lines goes back a little."
        "a clock that was corrected, or lines that were delivered late"
    MIXED_CLOCKS "log-mixed-clocks" Info
        "The time of the lines goes back again and again: lines of hosts whose clocks or zones differ are mixed in this file, and rules that count within a time span may miss something."
        "a central log server"
    SERIALS "log-numbers-missing" Low
        "The numbers of the records jump: events are missing."
        "the kernel could not deliver all of them under load (it says so as `audit: backlog limit exceeded`), or this user may not read all of them"
    ENTERED "login-after-refusals" Medium
        "Somebody was let in after being refused several times within an hour."
        "a user who tried to remember the password"
    MANY_ACCOUNTS "many-accounts-refused" Low
        "Many different accounts were refused to one address."
        "a proxy or a gateway behind which many users are"
    MANY_ADDRESSES "account-from-many-addresses" Info
        "One account was let in from many different addresses."
        "a shared account, a phone that changes networks"
    CLOCKWORK "clockwork" Info
        "The same message comes from one address at even pauses: a program is behind it."
        "monitoring, a health check"
    PARAMETER "odd-parameter" Low
        "A parameter that is plain in nearly all requests held characters that attacks need."
        "free text, typed by a user"
}

/// What distinguishes one observation.
pub(super) struct About {
    pub title: String,
    pub subject: Subject,
    pub count: u64,
    pub first: Option<i64>,
    pub last: Option<i64>,
    pub samples: Vec<(Seen, String)>,
}

/// Makes detections: knows the names of sources and what may be shown.
pub(super) struct Teller<'a> {
    pub sources: Vec<&'a str>,
    pub conceal: &'a Concealer,
}

impl Teller<'_> {
    /// An observation as a detection.
    pub fn tell(&self, sort: &Sort, about: About) -> Detection {
        Detection {
            rule: sort.rule.into(),
            title: crate::redact::line(&about.title),
            description: sort.meaning.into(),
            level: sort.level,
            tags: Vec::new(),
            falsepositives: vec![sort.innocent.into()],
            service: String::new(),
            subject: self.shown(about.subject),
            count: about.count,
            first: about.first,
            last: about.last,
            users: 0,
            addresses: 0,
            entered: Vec::new(),
            succeeded: false,
            requests: None,
            rhythm_s: None,
            samples: about.samples.iter().map(|(seen, text)| self.sample(seen, text)).collect(),
            also: Vec::new(),
        }
    }

    fn sample(&self, seen: &Seen, text: &str) -> Sample {
        Sample {
            path: self.source(seen).into(),
            line: seen.line,
            column: 1,
            offset: seen.offset,
            time: seen.at,
            text: self.conceal.line(text),
        }
    }

    fn source(&self, seen: &Seen) -> &str {
        self.sources.get(seen.source as usize).copied().unwrap_or_default()
    }

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

/// A time for people, in UTC.
pub(in crate::logs) fn at(time: i64) -> String {
    jiff::Timestamp::from_second(time).map_or_else(|_| time.to_string(), |time| time.to_string())
}

/// A span of time for people.
pub(super) fn span(seconds: i64) -> String {
    match seconds.abs() {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
