//! What the daemon complains about after the grammar: names of facilities, priorities, properties and
//! operations, the ends of actions, and references to templates and rulesets.

use std::collections::HashSet;

use super::{Kind, Statement};
use crate::config::problems::Problems;

const FACILITIES: &[&str] = &[
    "auth",
    "authpriv",
    "bsd_security",
    "console",
    "cron",
    "daemon",
    "ftp",
    "audit",
    "alert",
    "clock",
    "kern",
    "lpr",
    "mail",
    "mark",
    "news",
    "ntp",
    "security",
    "syslog",
    "user",
    "uucp",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
    "invld",
];

const PRIORITIES: &[&str] = &[
    "alert", "crit", "debug", "emerg", "err", "error", "info", "none", "notice", "panic", "warn",
    "warning", "*",
];

const OPERATIONS: &[&str] =
    &["contains", "isequal", "startswith", "endswith", "regex", "ereregex", "isempty"];

const PROPERTIES: &[&str] = &[
    "msg",
    "msgid",
    "rawmsg",
    "rawmsg-after-pri",
    "hostname",
    "source",
    "fromhost",
    "fromhost-ip",
    "syslogtag",
    "programname",
    "pri",
    "pri-text",
    "iut",
    "syslogfacility",
    "syslogfacility-text",
    "syslogseverity",
    "syslogseverity-text",
    "syslogpriority",
    "syslogpriority-text",
    "timegenerated",
    "timereported",
    "timestamp",
    "protocol-version",
    "structured-data",
    "app-name",
    "procid",
    "parsesuccess",
    "inputname",
    "jsonmesg",
    "uuid",
    "now",
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "bom",
    "myhostname",
];

/// Complains about the statements of a file and what stands in them.
pub(super) fn statements(all: &[Statement], problems: &mut Problems) {
    for statement in all {
        let message = match statement.kind {
            Kind::PriorityFilter => priority(&statement.text),
            Kind::PropertyFilter => property(&statement.text),
            Kind::Action => action(&statement.text),
            Kind::BsdTag | Kind::BsdHost => Some("blocks in BSD's manner are no longer supported"),
            _ => None,
        };
        if let Some(message) = message {
            problems.push(statement.place.clone(), message);
        }
        for inner in [&statement.block, &statement.otherwise] {
            statements(inner.as_deref().unwrap_or_default(), problems);
        }
    }
}

fn priority(text: &str) -> Option<&'static str> {
    if text.ends_with(';') {
        return Some("a selector is expected after `;`");
    }
    for selector in text.split(';').filter(|selector| !selector.is_empty()) {
        let Some((facilities, priority)) = selector.split_once('.') else {
            return Some("a selector is facility.priority");
        };
        let priority = priority.trim_start_matches(['!', '=']);
        let is = |known: &[&str], name: &str| {
            known.iter().any(|known| known.eq_ignore_ascii_case(name))
                || (!name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()))
        };
        if !is(PRIORITIES, priority) {
            return Some("no such priority");
        }
        let all = facilities.split(',').filter(|name| !name.is_empty());
        if !all.into_iter().all(|name| name == "*" || is(FACILITIES, name)) {
            return Some("no such facility");
        }
    }
    None
}

/// Whether a variable is the message's, a user's or the daemon's own.
pub(super) fn is_property(name: &str) -> bool {
    name.starts_with(['!', '.', '/', '$'])
        || PROPERTIES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn property(text: &str) -> Option<&'static str> {
    let mut parts = text.trim_start_matches(':').splitn(3, ',').map(str::trim);
    let (name, operation) = (parts.next()?.to_ascii_lowercase(), parts.next()?);
    let operation = operation.trim_start_matches('!').to_ascii_lowercase();
    if !name.starts_with('$') && !PROPERTIES.contains(&name.as_str()) {
        return Some("no such property");
    }
    (!OPERATIONS.contains(&operation.as_str())).then_some("no such operation")
}

/// The template's name of an action: `/file;name`.
fn template(text: &str) -> Option<&str> {
    let name = text.split_once(';')?.1.trim();
    let end = name.find([' ', '\t', '#']).unwrap_or(name.len());
    Some(&name[..end]).filter(|name| !name.is_empty())
}

fn action(text: &str) -> Option<&'static str> {
    let first = text.bytes().next()?;
    match first {
        b'*' => Some("`*` is :omusrmsg:*"),
        b'>' => Some("no such action"),
        b'-' if !text.starts_with("-/") => Some("no such action"),
        _ if first.is_ascii_alphanumeric() || first == b'_' => {
            Some("a word is taken for :omusrmsg: and the word")
        }
        b'/' | b'|' | b'-' => {
            // Only a blank ends a name: a tab is a part of it.
            let name = text.find([' ', ';']).unwrap_or(text.len());
            let rest = text[name..].trim_start();
            let fits = rest.is_empty() || rest.starts_with([';', '#']);
            (!fits).then_some("text stands behind the file's name")
        }
        _ => None,
    }
}

/// The templates that are defined, whatever file they are in.
pub(super) fn templates(all: &[Statement]) -> HashSet<String> {
    let mut names = HashSet::new();
    each(all, &mut |statement| {
        let name = match statement.directive() {
            Some((name, value)) if name == "template" => value.split(',').next(),
            _ if statement.kind == Kind::Object && statement.text == "template" => {
                statement.parameter("name")
            }
            _ => None,
        };
        names.extend(name.map(|name| name.trim().to_string()));
    });
    names
}

/// Complains about templates and rulesets that nobody defines.
pub(super) fn references(all: &[Statement], problems: &mut Problems) {
    let templates = templates(all);
    let mut rulesets = HashSet::new();
    each(all, &mut |statement| {
        if statement.kind == Kind::Object && statement.text == "ruleset" {
            rulesets.extend(statement.parameter("name").map(str::to_string));
        }
        if let Some((name, value)) = statement.directive().filter(|(name, _)| name == "ruleset") {
            debug_assert_eq!(name, "ruleset");
            rulesets.insert(value.to_string());
        }
    });
    each(all, &mut |statement| {
        let place = statement.place.clone();
        match statement.kind {
            Kind::Action => {
                let dynamic = statement
                    .text
                    .strip_prefix('?')
                    .map(|text| text.split(';').next().unwrap_or_default().trim());
                let mut names = dynamic.into_iter().chain(template(&statement.text));
                // The daemon's own begin with RSYSLOG_.
                if !names.all(|name| name.starts_with("RSYSLOG_") || templates.contains(name)) {
                    problems.push(place, "no such template");
                }
            }
            Kind::Call if !rulesets.contains(&statement.text) => {
                problems.push(place, "no such ruleset");
            }
            _ => {}
        }
    });
}

fn each(all: &[Statement], visit: &mut dyn FnMut(&Statement)) {
    for statement in all {
        visit(statement);
        for inner in [&statement.block, &statement.otherwise] {
            each(inner.as_deref().unwrap_or_default(), visit);
        }
    }
}
