//! What is journaled: each kind of entry, its fields, and back.
//!
//! A kind's fields are a promise to whoever reads old journals: fields may be added, none is renamed. Texts
//! are bounded; what was cut is counted in the field `cut`. Everything here has been redacted before it comes.

use consensus::Severity;
use crypto::journal::codec::{Decoded, NAME_BYTES_MAX, Record, Value};

/// Longest text of a field.
const TEXT_BYTES_MAX: usize = 8 << 10;
/// Most bytes that an entry takes in the journal, names of fields and all.
pub const ENTRY_BYTES_MAX: usize = 128 << 10;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// How bad.
    pub level: Severity,
    /// What happened.
    pub what: What<'a>,
}

/// What happened. Each variant is a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// The service began.
    Started {
        /// Its version.
        version: &'a str,
    },
    /// The service ended.
    Stopped {
        /// Why.
        why: &'a str,
    },
    /// A finding was judged.
    Judged {
        /// Check or rule.
        check: &'a str,
        /// What makes it the same thing next time.
        fingerprint: &'a str,
        /// One line.
        title: &'a str,
        /// Identifier of its trace.
        trace: &'a str,
    },
    /// An alert was raised, or has risen.
    Alert {
        /// Check or rule.
        check: &'a str,
        /// `new` or `risen`.
        news: &'a str,
        /// What makes it the same thing next time.
        fingerprint: &'a str,
        /// One line.
        title: &'a str,
        /// Events it stands for.
        count: u64,
    },
    /// A response was decided.
    Decided {
        /// What would be done.
        action: &'a str,
        /// What came of it: `done`, `refused`, `waiting`, `confirmed`, `reverted` …
        outcome: &'a str,
        /// To what.
        target: &'a str,
        /// How risky.
        risk: &'a str,
        /// The request's identifier.
        request: &'a str,
        /// What each guardian said.
        proof: &'a str,
        /// See `proof`.
        harm: &'a str,
        /// Which person, if any.
        operator: &'a str,
    },
    /// The configuration was read again.
    Reloaded {
        /// Whether the new one holds.
        holds: bool,
        /// What is wrong with it.
        why: &'a str,
    },
    /// Something was not seen: a source ended, lines were skipped, a part of the journal is gone.
    Lost {
        /// What was to be seen.
        source: &'a str,
        /// Why it was not.
        why: &'a str,
        /// How much, where that is known.
        count: u64,
    },
}

/// Fields on their way into a record.
struct Fields<'a> {
    all: Vec<(&'static str, Value<'a>)>,
    cut: usize,
}

impl<'a> Fields<'a> {
    /// A text that many entries share.
    fn name(mut self, name: &'static str, text: &'a str) -> Self {
        let text = self.bounded(text, NAME_BYTES_MAX);
        self.all.push((name, Value::Name(text)));
        self
    }

    /// A text of its own.
    fn text(mut self, name: &'static str, text: &'a str) -> Self {
        let text = self.bounded(text, TEXT_BYTES_MAX);
        self.all.push((name, Value::Text(text)));
        self
    }

    fn number(mut self, name: &'static str, number: u64) -> Self {
        self.all.push((name, Value::Number(number.cast_signed())));
        self
    }

    fn bounded(&mut self, text: &'a str, most: usize) -> &'a str {
        let kept = &text[..text.floor_char_boundary(most)];
        self.cut += text.len() - kept.len();
        kept
    }
}

impl<'a> Entry<'a> {
    /// An entry.
    pub fn new(level: Severity, what: What<'a>) -> Self {
        Self { level, what }
    }

    /// Gives the entry as a record of this moment to `take`.
    pub fn with_record<T>(&self, wall_us: i64, take: impl FnOnce(&Record<'_>) -> T) -> T {
        let (kind, mut fields) = self.what.fields();
        if fields.cut > 0 {
            let cut = fields.cut as u64;
            fields = fields.number("cut", cut);
        }
        let level = self.level.index() as u8;
        take(&Record { time_us: wall_us, level, kind, fields: &fields.all })
    }

    /// The entry that a record is; `None` for a kind or fields that are not known here.
    pub fn of(record: &Decoded<'a>) -> Option<Self> {
        let text = |wanted: &str| {
            record.fields().find_map(|(name, value)| match value {
                Value::Name(text) | Value::Text(text) if name == wanted => Some(text),
                _ => None,
            })
        };
        let number = |wanted: &str| {
            record.fields().find_map(|(name, value)| match value {
                Value::Number(number) if name == wanted => Some(number.cast_unsigned()),
                _ => None,
            })
        };
        let what = What::of(record.kind(), text, number)?;
        Some(Self { level: Severity::from_index(record.level().into()), what })
    }
}

impl<'a> What<'a> {
    fn fields(&self) -> (&'static str, Fields<'a>) {
        let none = Fields { all: Vec::with_capacity(10), cut: 0 };
        match *self {
            Self::Started { version } => ("started", none.name("version", version)),
            Self::Stopped { why } => ("stopped", none.name("why", why)),
            Self::Judged { check, fingerprint, title, trace } => {
                let named = none.name("check", check).name("fingerprint", fingerprint);
                ("judged", named.name("title", title).text("trace", trace))
            }
            Self::Alert { check, news, fingerprint, title, count } => {
                let named = none.name("check", check).name("news", news);
                let named = named.name("fingerprint", fingerprint).name("title", title);
                ("alert", named.number("count", count))
            }
            Self::Decided { action, outcome, target, risk, request, proof, harm, operator } => {
                let named = none.name("action", action).name("outcome", outcome);
                let named = named.name("target", target).name("risk", risk);
                let told = named.text("request", request).name("proof", proof).name("harm", harm);
                ("decided", told.name("operator", operator))
            }
            Self::Reloaded { holds, why } => {
                ("reloaded", none.number("holds", holds.into()).text("why", why))
            }
            Self::Lost { source, why, count } => {
                ("lost", none.name("source", source).name("why", why).number("count", count))
            }
        }
    }

    fn of(
        kind: &str,
        text: impl Fn(&str) -> Option<&'a str>,
        number: impl Fn(&str) -> Option<u64>,
    ) -> Option<Self> {
        Some(match kind {
            "started" => Self::Started { version: text("version")? },
            "stopped" => Self::Stopped { why: text("why")? },
            "judged" => Self::Judged {
                check: text("check")?,
                fingerprint: text("fingerprint")?,
                title: text("title")?,
                trace: text("trace")?,
            },
            "alert" => Self::Alert {
                check: text("check")?,
                news: text("news")?,
                fingerprint: text("fingerprint")?,
                title: text("title")?,
                count: number("count")?,
            },
            "decided" => Self::Decided {
                action: text("action")?,
                outcome: text("outcome")?,
                target: text("target")?,
                risk: text("risk")?,
                request: text("request")?,
                proof: text("proof")?,
                harm: text("harm")?,
                operator: text("operator")?,
            },
            "reloaded" => Self::Reloaded { holds: number("holds")? != 0, why: text("why")? },
            "lost" => {
                Self::Lost { source: text("source")?, why: text("why")?, count: number("count")? }
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use crypto::journal::codec::{Decoder, Encoder};

    use super::*;

    fn all() -> Vec<Entry<'static>> {
        let whats = [
            What::Started { version: "0.1.0" },
            What::Stopped { why: "SIGTERM" },
            What::Judged { check: "ssh.root", fingerprint: "f1", title: "root", trace: "t1" },
            What::Alert { check: "ssh.root", news: "new", fingerprint: "f1", title: "r", count: 3 },
            What::Decided {
                action: "block",
                outcome: "refused",
                target: "192.0.2.7",
                risk: "high",
                request: "r1",
                proof: "yes",
                harm: "no: an administrator's session",
                operator: "",
            },
            What::Reloaded { holds: false, why: "line 3" },
            What::Lost { source: "/var/log/auth.log", why: "permission denied", count: u64::MAX },
        ];
        let levels = [0, 1, 2, 3, 4, 0, 1].map(Severity::from_index);
        whats.into_iter().zip(levels).map(|(what, level)| Entry { level, what }).collect()
    }

    #[test]
    fn every_kind_comes_back() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        for entry in all() {
            let mut bytes = Vec::new();
            assert!(entry.with_record(5, |record| encoder.encode(record, &mut bytes)));
            let read = decoder
                .decode(&bytes, |record| assert_eq!(Entry::of(&record), Some(entry.clone())));
            assert_eq!(read, Ok(1));
        }
    }

    #[test]
    fn long_texts_are_cut_at_a_character_and_the_entry_stays_within_its_bound() {
        let long = "ä".repeat(100_000);
        let mut entries = all();
        entries.push(Entry::new(
            Severity::Low,
            What::Decided {
                action: &long,
                outcome: &long,
                target: &long,
                risk: &long,
                request: &long,
                proof: &long,
                harm: &long,
                operator: &long,
            },
        ));
        entries.push(Entry::new(Severity::Low, What::Reloaded { holds: true, why: &long }));
        for entry in &entries[7..] {
            let mut bytes = Vec::new();
            assert!(entry.with_record(5, |record| Encoder::new().encode(record, &mut bytes)));
            assert!(bytes.len() <= ENTRY_BYTES_MAX, "{}", bytes.len());
            let mut cut = 0;
            let read = Decoder::new().decode(&bytes, |record| {
                if let Some(("cut", Value::Number(number))) = record.fields().last() {
                    cut = number;
                }
                assert!(Entry::of(&record).is_some());
            });
            assert_eq!(read, Ok(1));
            assert!(cut > 100_000, "{cut}");
        }
    }
}
