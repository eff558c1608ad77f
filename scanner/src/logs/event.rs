//! One line as an event: its kind, its time as written, and its fields by the names that rules use.
//!
//! The names are Sigma's for each log source (`c-uri`, `sc-status`, `a0` …) and, for syslog, `program`,
//! `message`, `host`, `pid` and what [`extract`](super::extract) finds: its `FIELDS`.

use std::borrow::Cow;
use std::cell::OnceCell;

use parsers::log::journal::Entry;
use parsers::log::{AccessRecord, ErrorRecord, SyslogRecord, access, audit, json, syslog};
use parsers::time::Stamp;

use super::audit::Joined;
use super::extract::{Ended, canonical_program};
use super::taxonomy::{self, Origin};
use super::web::request::Request;

mod fields;

use fields::{
    Named, any, audit_field, given, hidden_values, inner, json_stamp, json_text, json_values,
    syslog_field, written_time,
};
pub use fields::{jail_line, journal_line};

/// Sort of record; rules are routed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Syslog, the journal, and lines of no known form.
    Syslog,
    /// Requests and errors of web servers.
    Web,
    /// Linux audit.
    Audit,
    /// Lines with named fields: JSON, the pairs of network devices, Sysmon's XML.
    Json,
    /// Audit records that were joined (see [`audit`](super::audit)).
    Joined,
}

/// A line and what was read from it.
pub struct Event<'a> {
    /// The line as written (for the journal: `program[pid]: message`).
    pub raw: &'a [u8],
    /// When, as written.
    pub stamp: Option<Stamp>,
    /// How many events it stands for.
    pub weight: u64,
    record: Record<'a>,
}

enum Record<'a> {
    /// What it names is read when a rule asks.
    Syslog(SyslogRecord<'a>, Named<'a>),
    Access(AccessRecord<'a>, Request),
    Error(ErrorRecord<'a>),
    /// What is not in the line as it is, is put together when it is asked for.
    Audit(audit::AuditRecord<'a>, OnceCell<Option<Vec<u8>>>),
    Json(Vec<(String, String)>, Origin, OnceCell<Vec<u8>>),
    Joined(&'a Joined),
    Raw,
}

/// Whom an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who<'e> {
    /// Source address.
    pub ip: Option<Cow<'e, str>>,
    /// Account.
    pub user: Option<Cow<'e, str>>,
    /// Whether the account does not exist: the word is whatever somebody typed.
    pub typed: bool,
    /// systemd unit.
    pub unit: Option<Cow<'e, str>>,
    /// How it ended.
    pub ended: Option<Ended>,
}

/// Which grammar the last line of a file was read with; it is tried first for the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Nothing known yet.
    #[default]
    Unknown,
    /// Syslog.
    Syslog,
    /// Access log.
    Access,
    /// Error log.
    Error,
}

impl<'a> Event<'a> {
    /// Reads a line; what no grammar accepts is an event without a stamp.
    pub fn read(raw: &'a [u8], form: &mut Form) -> Self {
        let plain = |stamp, record| Self { raw, stamp, weight: 1, record };
        match raw.first() {
            Some(b'{') => {
                if let Some(fields) = json::parse(raw) {
                    let pairs = fields.iter().map(|(key, value)| (key.as_str(), value.as_str()));
                    let origin = taxonomy::origin(pairs);
                    return plain(
                        json_stamp(&fields),
                        Record::Json(fields, origin, OnceCell::new()),
                    );
                }
            }
            Some(b't' | b'n') => {
                if let Some(record) = audit::parse(raw) {
                    return plain(Some(record.stamp), Record::Audit(record, OnceCell::new()));
                }
            }
            _ => {}
        }
        let order = match form {
            Form::Access => [Form::Access, Form::Syslog, Form::Error],
            Form::Error => [Form::Error, Form::Syslog, Form::Access],
            _ => [Form::Syslog, Form::Error, Form::Access],
        };
        for attempt in order {
            if let Some(event) = Self::read_as(raw, attempt) {
                *form = attempt;
                return event;
            }
        }
        plain(None, Record::Raw)
    }

    fn read_as(raw: &'a [u8], form: Form) -> Option<Self> {
        match form {
            Form::Unknown => None,
            Form::Syslog => {
                // nginx's error log begins like a stamp too, but with slashes
                if raw.get(4) == Some(&b'/') {
                    return None;
                }
                syslog::parse(raw).map(|record| Self::of_syslog(raw, record))
            }
            Form::Access => access::parse(raw).map(|record| Self {
                raw,
                stamp: Some(record.stamp),
                weight: 1,
                record: Record::Access(record, Request::default()),
            }),
            Form::Error => access::parse_error(raw).map(|record| Self {
                raw,
                stamp: Some(record.stamp),
                weight: 1,
                record: Record::Error(record),
            }),
        }
    }

    fn of_syslog(raw: &'a [u8], record: SyslogRecord<'a>) -> Self {
        let (stamp, weight) = (Some(record.stamp), record.weight);
        if let Some(record) = inner(&record) {
            return Self { raw, stamp, weight, record };
        }
        Self { raw, stamp, weight, record: Record::Syslog(record, Named::of(&record)) }
    }

    /// An entry of the journal; `line` is its text form (see [`journal_line`]).
    pub fn of_journal(entry: &'a Entry, line: &'a [u8]) -> Option<Self> {
        let stamp = Stamp::Exact(entry.time()?);
        if entry.field("_AUDIT_ID").is_some()
            && let Some(record) = audit::parse(line)
        {
            return Some(Self {
                raw: line,
                stamp: Some(stamp),
                weight: 1,
                record: Record::Audit(record, OnceCell::new()),
            });
        }
        let host = entry.field("_HOSTNAME").unwrap_or_default();
        let (program, pid) = (entry.program(), entry.pid());
        let message = &line[line.len() - entry.message().len()..];
        let record = SyslogRecord { stamp, host, program, pid, message, weight: 1 };
        Some(Self::of_syslog(line, syslog::opened(record)))
    }

    /// Audit records that were joined.
    pub fn of_joined(joined: &'a Joined) -> Self {
        let stamp = Some(Stamp::Exact(joined.at));
        Self { raw: &joined.text, stamp, weight: 1, record: Record::Joined(joined) }
    }

    /// The audit record that the line is.
    pub fn audit_record(&self) -> Option<&audit::AuditRecord<'a>> {
        match &self.record {
            Record::Audit(record, _) => Some(record),
            _ => None,
        }
    }

    /// The audit records that were joined.
    pub fn joined(&self) -> Option<&'a Joined> {
        match self.record {
            Record::Joined(joined) => Some(joined),
            _ => None,
        }
    }

    /// Where a line with named fields comes from.
    pub fn origin(&self) -> Origin {
        match self.record {
            Record::Json(_, origin, _) => origin,
            _ => Origin::Unknown,
        }
    }

    /// The message of a syslog record.
    pub fn message(&self) -> Option<&'a [u8]> {
        match &self.record {
            Record::Syslog(record, _) => Some(record.message),
            _ => None,
        }
    }

    /// Its sort.
    pub fn class(&self) -> Class {
        match self.record {
            Record::Syslog(..) | Record::Raw => Class::Syslog,
            Record::Access(..) | Record::Error(_) => Class::Web,
            Record::Audit(..) => Class::Audit,
            Record::Json(..) => Class::Json,
            Record::Joined(_) => Class::Joined,
        }
    }

    /// Where its message begins, in bytes from 1.
    pub fn column(&self) -> u32 {
        let Record::Syslog(record, _) = &self.record else { return 1 };
        let start = record.message.as_ptr().addr().wrapping_sub(self.raw.as_ptr().addr());
        let inside = start <= self.raw.len();
        if inside { u32::try_from(start + 1).unwrap_or(u32::MAX) } else { 1 }
    }

    /// Whether a grammar accepted the line.
    pub fn parsed(&self) -> bool {
        !matches!(self.record, Record::Raw)
    }

    /// The canonical program name of a syslog record.
    pub fn program(&self) -> Option<&[u8]> {
        match &self.record {
            Record::Syslog(_, named) => Some(named.program),
            _ => None,
        }
    }

    /// The canonical program, where the shape of the line (see [`shape`](super::shape)) is enough to tell
    /// it: no form of a daemon's own log is in question, and its name holds no digit.
    pub(super) fn steady_program(&self) -> Option<&[u8]> {
        let Record::Syslog(record, _) = &self.record else { return None };
        let host = record.host.as_ptr().addr().checked_sub(self.raw.as_ptr().addr())?;
        let rest = self.raw.get(host..)?;
        let after = rest.get(record.host.len()..)?.trim_ascii_start();
        let plain = match rest.first()? {
            b'a'..=b'z' => !matches!(record.stamp, Stamp::Local(_)),
            b'A'..=b'Z' => !after.starts_with(b"["),
            _ => false,
        };
        let steady =
            plain && !record.host.is_empty() && !record.program.iter().any(u8::is_ascii_digit);
        steady.then(|| canonical_program(record.program))
    }

    /// A text besides `raw` in which what rules look for may stand: the decoded URI, the decoded values
    /// of an audit record, those of a line with named fields.
    pub fn decoded(&self) -> Option<&[u8]> {
        match &self.record {
            Record::Access(record, request) => request.text(record),
            Record::Audit(record, hidden) => {
                hidden.get_or_init(|| hidden_values(record)).as_deref()
            }
            Record::Json(fields, _, text) => Some(text.get_or_init(|| json_text(fields))),
            _ => None,
        }
    }

    /// Whether fields that are derived from the line (see [`web`](super::web)) can exist.
    pub fn is_suspect(&self) -> bool {
        matches!(&self.record, Record::Access(record, _) if Request::is_suspect(record))
    }

    /// The client of a web request, as written.
    pub fn client(&self) -> Option<&[u8]> {
        match &self.record {
            Record::Access(record, _) => Some(record.client),
            _ => None,
        }
    }

    /// A field by the name that rules use; `None` when the event does not have it.
    pub fn field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let value = match &self.record {
            Record::Syslog(..) | Record::Access(..) if name == "timestamp" => {
                Cow::Borrowed(written_time(self.raw)?)
            }
            Record::Syslog(record, named) => syslog_field(record, named, name)
                .or_else(|| taxonomy::syslog_field(record, name).map(Cow::Borrowed))?,
            Record::Access(record, request) => request.field(record, name)?,
            Record::Error(record) => Cow::Borrowed(match name {
                "message" => record.message,
                "level" => record.level,
                "src_ip" | "c-ip" => given(record.client)?,
                _ => return None,
            }),
            Record::Audit(record, _) => Cow::Borrowed(audit_field(record, name)?),
            Record::Json(fields, ..) => Cow::Borrowed(json_values(fields, name).next()?),
            Record::Joined(joined) => Cow::Borrowed(joined.values(name).next()?),
            Record::Raw if name == "message" => Cow::Borrowed(self.raw),
            Record::Raw => return None,
        };
        Some(value)
    }

    /// Whether one of a field's values is accepted (a list in JSON has several); `None` when the event
    /// does not have the field.
    pub fn any_value(&self, name: &str, mut accepts: impl FnMut(&[u8]) -> bool) -> Option<bool> {
        match &self.record {
            Record::Json(fields, ..) => any(json_values(fields, name), accepts),
            Record::Joined(joined) => any(joined.values(name), accepts),
            _ => self.field(name).map(|value| accepts(&value)),
        }
    }

    /// Every text in which a keyword is looked for: the line; the values where the line has a syntax of
    /// its own, whose marks are no words of the message. Of an audit record the values too, where they
    /// are not in the line as they are, or where `each` value by itself is asked for.
    pub fn any_text(&self, each: bool, mut accepts: impl FnMut(&[u8]) -> bool) -> bool {
        match &self.record {
            Record::Json(fields, ..) => fields.iter().any(|(_, value)| accepts(value.as_bytes())),
            Record::Joined(joined) => joined.fields.iter().any(|(_, value)| accepts(value)),
            Record::Audit(record, _) => {
                accepts(self.raw)
                    || (each || record.hidden)
                        && record.fields.iter().any(|(_, value)| accepts(value))
            }
            Record::Access(record, request) => {
                accepts(self.raw) || request.text(record).is_some_and(accepts)
            }
            _ => accepts(self.raw),
        }
    }

    /// Whom it is about.
    pub fn who(&self) -> Who<'_> {
        let text = |name: &str| self.field(name).filter(|value| !value.is_empty()).map(lossy);
        match &self.record {
            Record::Syslog(record, named) => {
                let found = named.found(record);
                Who {
                    ip: found.ip.map(Cow::Borrowed),
                    user: found.user.filter(|user| !user.is_empty()).map(Cow::Borrowed),
                    typed: found.typed,
                    unit: found.unit.map(Cow::Borrowed),
                    ended: found.ended,
                }
            }
            Record::Access(record, _) => Who {
                ip: text("src_ip"),
                user: text("cs-username"),
                typed: record.status == 401,
                ..Who::default()
            },
            Record::Error(_) => Who { ip: text("src_ip"), ..Who::default() },
            Record::Audit(..) => Who { ip: text("addr"), user: text("acct"), ..Who::default() },
            Record::Joined(_) => Who { user: text("User"), ..Who::default() },
            Record::Json(..) => {
                let first = |names: &[&str]| names.iter().find_map(|name| text(name));
                Who {
                    ip: first(&["src_ip", "c-ip", "client_ip", "remote_addr", "request.remote_ip"]),
                    user: first(&["user", "User", "username"]),
                    typed: true,
                    ..Who::default()
                }
            }
            Record::Raw => Who::default(),
        }
    }
}

/// A value as text.
fn lossy(value: Cow<'_, [u8]>) -> Cow<'_, str> {
    match value {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_go_by_the_names_that_rules_use() {
        let line = b"192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /a.PHP?q=%252e%2e+x HTTP/1.1\" 404 5 \"-\" \"curl\"";
        let event = Event::read(line, &mut Form::default());
        assert_eq!(event.class(), Class::Web);
        let field =
            |name: &str| event.field(name).map(|v| String::from_utf8_lossy(&v).into_owned());
        for (name, value) in [
            ("c-ip", Some("192.0.2.1")),
            ("c-uri", Some("/a.PHP?q=%252e%2e+x")),
            ("uri_decoded", Some("/a.PHP?q=.. x")),
            ("c-uri-extension", Some("PHP")),
            ("cs-uri-stem", Some("/a.PHP")),
            ("uri_query", Some("q=.. x")),
            ("uri_path", Some("/a.PHP")),
            ("uri_tricks", Some("layered")),
            ("sc-status", Some("404")),
            ("cs-referer", None),
            ("nonsense", None),
        ] {
            assert_eq!(field(name).as_deref(), value, "{name}");
        }
    }

    #[test]
    fn each_form_of_line_finds_its_class() {
        for (line, class, parsed) in [
            ("Dec 10 06:55:46 h sshd[1]: x", Class::Syslog, true),
            ("2024/05/01 10:00:00 [error] 7#7: x", Class::Web, true),
            ("[Sun Dec 04 04:47:44 2005] [error] x", Class::Web, true),
            ("type=EXECVE msg=audit(1364481363.243:1): a0=\"x\"", Class::Audit, true),
            ("{\"time\":\"2024-05-01T10:00:00Z\",\"a\":1}", Class::Json, true),
            ("no form at all", Class::Syslog, false),
            ("", Class::Syslog, false),
            ("{broken", Class::Syslog, false),
        ] {
            let event = Event::read(line.as_bytes(), &mut Form::default());
            assert_eq!((event.class(), event.parsed()), (class, parsed), "{line}");
            assert_eq!(event.stamp.is_some(), parsed, "{line}");
        }
    }
}
