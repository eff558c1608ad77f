//! Where the fields of each sort of record are found, and what a line carries in another.

use std::borrow::Cow;
use std::cell::OnceCell;

use parsers::log::journal::Entry;
use parsers::log::{SyslogRecord, audit, syslog};
use parsers::time::Stamp;

use super::Record;
use crate::logs::extract::{Extracted, canonical_program, extract, named};
use crate::logs::syscalls;
use crate::logs::taxonomy::{self, Origin};

/// An entry of the journal as a line, for keywords and for showing. What the journal had from audit has
/// the form that auditd gives it.
pub fn journal_line(entry: &Entry) -> Vec<u8> {
    if let Some(line) = journal_audit_line(entry) {
        return line;
    }
    let mut line = entry.program().to_vec();
    if let Some(pid) = entry.pid() {
        line.extend_from_slice(format!("[{pid}]").as_bytes());
    }
    line.extend_from_slice(b": ");
    line.extend_from_slice(entry.message());
    line
}

/// An entry as fail2ban gives it to its filters: host, program, process and message, without a time.
pub fn jail_line(entry: &Entry) -> Vec<u8> {
    let mut line = Vec::new();
    if let Some(host) = entry.field("_HOSTNAME") {
        line.extend_from_slice(host);
        line.push(b' ');
    }
    let program = entry.program();
    if !program.is_empty() {
        line.extend_from_slice(program);
        if let Some(pid) = entry.field("SYSLOG_PID").or_else(|| entry.field("_PID")) {
            line.extend_from_slice(&[b"[", pid, b"]"].concat());
        }
        line.extend_from_slice(b": ");
    }
    let micros = entry.field("_SOURCE_MONOTONIC_TIMESTAMP");
    let micros = micros.and_then(|text| std::str::from_utf8(text).ok()?.parse::<u64>().ok());
    if let (b"kernel", Some(micros)) = (program, micros) {
        let since = format!("[{:>5}.{:06}] ", micros / 1_000_000, micros % 1_000_000);
        line.extend_from_slice(since.as_bytes());
    }
    line.extend_from_slice(entry.message());
    line
}

/// `SYSCALL arch=… syscall=…` with its serial number in a field of its own, as auditd would write it.
fn journal_audit_line(entry: &Entry) -> Option<Vec<u8>> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let serial: u64 = text(entry.field("_AUDIT_ID")?).parse().ok()?;
    let message = entry.message();
    let end = memchr::memchr(b' ', message)?;
    let name = entry.field("_AUDIT_TYPE_NAME").unwrap_or(&message[..end]);
    let head = format!("type={} msg=audit({}.000:{serial}): ", text(name), entry.time()?);
    Some([head.as_bytes(), &message[end + 1..]].concat())
}

/// What a syslog line carries: an audit record, a FortiGate's pairs, an event of Sysmon.
pub(super) fn inner<'a>(record: &SyslogRecord<'a>) -> Option<Record<'a>> {
    match record.message.first()? {
        // what auditd's own dispatcher sends on; the kernel's few lines stay the kernel's
        b't' | b'n' => {
            let found = audit::parse(record.message)?;
            Some(Record::Audit(found, OnceCell::new()))
        }
        b'd' => {
            let pairs = taxonomy::fortigate(record.message)?;
            let own = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
            Some(Record::Json(pairs.iter().map(own).collect(), Origin::Fortigate, OnceCell::new()))
        }
        b'<' if record.program == b"sysmon" => {
            let fields = taxonomy::sysmon(record.message)?;
            let pairs = fields.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            let origin = taxonomy::origin(pairs);
            Some(Record::Json(fields, origin, OnceCell::new()))
        }
        _ => None,
    }
}

/// The values of an audit record of which one does not stand in the line as it is.
pub(super) fn hidden_values(record: &audit::AuditRecord<'_>) -> Option<Vec<u8>> {
    let call = match record.field(b"SYSCALL") {
        None => audit_field(record, "SYSCALL"),
        Some(_) => None,
    };
    if !record.hidden && call.is_none() {
        return None;
    }
    let values = record.fields.iter().map(|(_, value)| value.as_ref());
    Some(values.chain([record.kind]).chain(call).collect::<Vec<_>>().join(&b'\n'))
}

/// A field of an audit record; the name of the call where only its number is written.
pub(super) fn audit_field<'r>(record: &'r audit::AuditRecord<'_>, name: &str) -> Option<&'r [u8]> {
    record.field(name.as_bytes()).or_else(|| {
        let call = name == "SYSCALL" && record.kind == b"SYSCALL";
        let (arch, number) =
            call.then(|| record.field(b"arch").zip(record.field(b"syscall")))??;
        syscalls::name(arch, number).map(str::as_bytes)
    })
}

/// The values of a field: of that name, else below an envelope, else by another maker's name.
pub(super) fn json_values<'f, 'n>(
    fields: &'f [(String, String)],
    name: &'n str,
) -> impl Iterator<Item = &'f [u8]> + use<'f, 'n> {
    let known = |wanted: &str| fields.iter().any(|(key, _)| key == wanted);
    let below = |key: &str| taxonomy::is_below(key, name);
    let (name, inside) = if known(name) {
        (name, false)
    } else if fields.iter().any(|(key, _)| below(key)) {
        (name, true)
    } else {
        let other = taxonomy::names(name).iter().find(|other| known(other));
        (other.copied().unwrap_or(name), false)
    };
    let wanted = move |key: &str| if inside { taxonomy::is_below(key, name) } else { key == name };
    fields.iter().filter(move |(key, _)| wanted(key)).map(|(_, value)| value.as_bytes())
}

/// All values, a line each.
pub(super) fn json_text(fields: &[(String, String)]) -> Vec<u8> {
    fields.iter().map(|(_, value)| value.as_bytes()).collect::<Vec<_>>().join(&b'\n')
}

/// Whether one of the values is accepted; `None` when there is none.
pub(super) fn any<'f>(
    values: impl Iterator<Item = &'f [u8]>,
    mut accepts: impl FnMut(&[u8]) -> bool,
) -> Option<bool> {
    let mut found = None;
    for value in values {
        if accepts(value) {
            return Some(true);
        }
        found = Some(false);
    }
    found
}

/// The program of a message, and what the message names: read once, when a rule asks.
pub(super) struct Named<'a> {
    /// By its canonical name.
    pub(super) program: &'a [u8],
    found: OnceCell<Extracted<'a>>,
}

impl<'a> Named<'a> {
    pub(super) fn of(record: &SyslogRecord<'a>) -> Self {
        Self { program: canonical_program(record.program), found: OnceCell::new() }
    }

    /// What the message names.
    pub(super) fn found(&self, record: &SyslogRecord<'a>) -> &Extracted<'a> {
        self.found.get_or_init(|| extract(self.program, record.message))
    }
}

pub(super) fn given(value: &[u8]) -> Option<&[u8]> {
    (!value.is_empty()).then_some(value)
}

pub(super) fn syslog_field<'a>(
    record: &SyslogRecord<'a>,
    about: &Named<'a>,
    name: &str,
) -> Option<Cow<'a, [u8]>> {
    match name {
        "message" => Some(Cow::Borrowed(record.message)),
        "program" => Some(Cow::Borrowed(about.program)),
        "host" | "hostname" => given(record.host).map(Cow::Borrowed),
        "pid" => record.pid.map(|pid| Cow::Owned(pid.to_string().into_bytes())),
        _ => {
            let found = about.found(record).field(name);
            let value = found.or_else(|| named(about.program, record.message, name));
            value.map(|value| Cow::Borrowed(value.as_bytes()))
        }
    }
}

/// The first field that sounds like a time and reads as one.
pub(super) fn json_stamp(fields: &[(String, String)]) -> Option<Stamp> {
    const NAMES: [&str; 7] =
        ["time", "timestamp", "@timestamp", "ts", "date", "datetime", "time_iso8601"];
    fields.iter().filter(|(name, _)| NAMES.contains(&name.as_str())).find_map(|(_, value)| {
        let text = value.as_bytes();
        let stamp = parsers::time::iso(text).or_else(|| parsers::time::epoch(text));
        stamp.or_else(|| parsers::time::access(text)).map(|(stamp, _)| stamp)
    })
}

/// The stamp of a line as it is written, for rules that ask for its hour or day.
pub(super) fn written_time(line: &[u8]) -> Option<&[u8]> {
    if let Some((_, used)) = syslog::stamp(line) {
        return line.get(..used);
    }
    let open = memchr::memchr(b'[', line)?;
    let (_, used) = parsers::time::access(&line[open + 1..])?;
    line.get(open + 1..open + 1 + used)
}
