//! Crontabs: crontab(5) of Vixie cron and cronie.
//!
//! `/etc/crontab` and `/etc/cron.d/*` have a user field, users' own crontabs have not. Assignments
//! hold for the jobs below them. An unescaped `%` ends the command, the rest is its standard input.
//! A line that cron would refuse is a problem.

use std::sync::Arc;

use serde::Serialize;

use super::lines::{Line, numbered};
use super::problems::Problems;
use crate::place::Place;

/// Most bytes of one line.
pub const LINE_BYTES_MAX: usize = 16 << 10;

/// Most jobs and assignments of one crontab.
pub const ENTRIES_MAX: usize = 10_000;

/// Whether jobs name their user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/etc/crontab`, `/etc/cron.d`.
    System,
    /// A user's own.
    User(String),
}

/// Which file names in `/etc/cron.d` are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Debian: letters, digits, `_` and `-` only.
    Debian,
    /// cronie: everything but hidden files, backups and what rpm and dpkg leave.
    Cronie,
}

impl Names {
    /// Whether cron reads a file of that name.
    pub fn reads(self, name: &str) -> bool {
        match self {
            Self::Debian => {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                !name.is_empty() && name.chars().all(plain)
            }
            Self::Cronie => {
                let left = [".rpmsave", ".rpmorig", ".rpmnew", ".cfsaved", "~", ","];
                !name.starts_with(['.', '#']) && !left.iter().any(|end| name.ends_with(end))
            }
        }
    }
}

/// A scheduled job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Job {
    /// When: the five fields as written, or `@reboot` and its like.
    pub schedule: String,
    /// Who runs it.
    pub user: String,
    /// What is run, up to the first unescaped `%`; may hold a secret, redact before showing.
    pub command: String,
    /// What it is given on standard input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Where the schedule starts.
    pub place: Place,
    /// Where the command starts.
    pub command_place: Place,
    /// The line; redact before showing.
    #[serde(skip)]
    pub text: String,
}

/// `NAME=value` in a crontab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assignment {
    /// Its name.
    pub name: String,
    /// Its value, without quotes; may hold a secret.
    pub value: String,
    /// Where.
    pub place: Place,
    /// The line; redact before showing.
    #[serde(skip)]
    pub text: String,
}

/// One crontab.
#[derive(Clone, Debug, Serialize)]
pub struct Crontab {
    /// Its path.
    pub file: Arc<str>,
    /// Jobs in file order.
    pub jobs: Vec<Job>,
    /// Assignments in file order.
    pub environment: Vec<Assignment>,
    /// Lines that cron would refuse.
    pub problems: Problems,
}

impl Crontab {
    /// Reads a crontab's bytes.
    ///
    /// ```
    /// use parsers::config::cron::{Crontab, Form};
    /// let tab = Crontab::parse("/etc/crontab", b"*/5 * * * * root /bin/true\n", &Form::System);
    /// assert_eq!((tab.jobs[0].user.as_str(), tab.jobs[0].command.as_str()), ("root", "/bin/true"));
    /// ```
    pub fn parse(file: &str, bytes: &[u8], form: &Form) -> Self {
        let mut tab = Self {
            file: file.into(),
            jobs: Vec::new(),
            environment: Vec::new(),
            problems: Problems::default(),
        };
        for line in numbered(bytes) {
            if tab.jobs.len() + tab.environment.len() == ENTRIES_MAX {
                tab.problems.push(line.place(&tab.file, 0), "more lines than the limit");
                break;
            }
            tab.line(&line, form);
        }
        tab
    }

    fn line(&mut self, line: &Line<'_>, form: &Form) {
        let start = line.bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if start == line.bytes.len() || line.bytes[start] == b'#' {
            return;
        }
        let place = line.place(&self.file, start);
        if line.bytes.len() > LINE_BYTES_MAX || line.bytes.contains(&0) {
            return self.problems.push(place, "line is too long or holds a NUL byte");
        }
        let text = line.text().into_owned();
        let body = text.trim_start();
        if let Some((name, value)) = assignment(body) {
            self.environment.push(Assignment { name, value, place, text });
            return;
        }
        match job(body, form) {
            Ok((schedule, user, at)) => {
                let offset = start + at;
                let (command, input) = split_percent(body[at..].trim_end());
                let command_place = line.place(&self.file, offset);
                if command.is_empty() {
                    return self.problems.push(command_place, "a job without a command");
                }
                self.jobs.push(Job { schedule, user, command, input, place, command_place, text });
            }
            Err((at, message)) => {
                self.problems.push(line.place(&self.file, start + at), message);
            }
        }
    }
}

/// `NAME = value`: a name (or a quoted one) before the first `=`.
fn assignment(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let name = unquoted(name.trim());
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| (name.to_string(), unquoted(value.trim()).to_string()))
}

fn unquoted(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

/// The schedule, the user, and where the command starts.
fn job(line: &str, form: &Form) -> Result<(String, String, usize), (usize, &'static str)> {
    let mut at = 0;
    let mut schedule = Vec::new();
    let count = if line.starts_with('@') { 1 } else { 5 };
    for index in 0..count {
        let (start, field) = word(line, at).ok_or((at, "too few fields for a job"))?;
        let is_good = if count == 1 { nickname(field) } else { time_field(field, index) };
        if !is_good {
            return Err((start, "not a time field"));
        }
        schedule.push(field);
        at = start + field.len();
    }
    let user = match form {
        Form::User(name) => name.clone(),
        Form::System => {
            let (start, name) = word(line, at).ok_or((at, "a job without a user"))?;
            at = start + name.len();
            name.to_string()
        }
    };
    let command = word(line, at).ok_or((at, "a job without a command"))?.0;
    Ok((schedule.join(" "), user, command))
}

/// The next word from a byte on, and where it starts.
fn word(line: &str, from: usize) -> Option<(usize, &str)> {
    let rest = line.get(from..)?;
    let start = from + rest.find(|c| c != ' ' && c != '\t')?;
    let end = line[start..].find([' ', '\t']).map_or(line.len(), |at| start + at);
    Some((start, &line[start..end]))
}

fn nickname(word: &str) -> bool {
    let known = [
        "@reboot",
        "@yearly",
        "@annually",
        "@monthly",
        "@weekly",
        "@daily",
        "@midnight",
        "@hourly",
    ];
    known.iter().any(|name| name.eq_ignore_ascii_case(word))
}

/// The five fields' ranges and names.
const FIELDS: [(u32, u32, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 7, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

fn time_field(field: &str, index: usize) -> bool {
    let (low, high, names) = FIELDS[index];
    let number = |text: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = named.map(|at| at as u32 + low).or_else(|| text.parse().ok());
        value.is_some_and(|value| (low..=high).contains(&value))
    };
    // cronie: a leading `-` before the minute keeps the job out of the log, `~` picks at random.
    let field = if index == 0 { field.strip_prefix('-').unwrap_or(field) } else { field };
    !field.is_empty()
        && field.split(',').all(|part| {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(step)),
                None => (part, None),
            };
            let is_step = |step: &str| step.parse::<u32>().is_ok_and(|n| n > 0);
            let is_range = range == "*"
                || range == "~"
                || match range.split_once(['-', '~']) {
                    Some((from, to)) => number(from) && number(to),
                    None => number(range),
                };
            is_range && step.is_none_or(is_step)
        })
}

/// The command up to the first unescaped `%`, and the input after it with `%` for line ends.
fn split_percent(text: &str) -> (String, Option<String>) {
    let mut command = String::new();
    let mut input: Option<String> = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let target = input.as_mut().unwrap_or(&mut command);
        match character {
            '\\' if characters.peek() == Some(&'%') => {
                target.push('%');
                characters.next();
            }
            '%' => match input.as_mut() {
                Some(input) => input.push('\n'),
                None => input = Some(String::new()),
            },
            other => target.push(other),
        }
    }
    (command, input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(text: &str) -> Crontab {
        Crontab::parse("/etc/cron.d/x", text.as_bytes(), &Form::System)
    }

    #[test]
    fn system_crontabs_name_the_user_and_users_own_do_not() {
        let tab = system("SHELL=/bin/sh\n\n# c\n17 *\t* * *\troot  cd / && run-parts /x\n");
        let job = &tab.jobs[0];
        assert_eq!((job.schedule.as_str(), job.user.as_str()), ("17 * * * *", "root"));
        assert_eq!(job.command, "cd / && run-parts /x");
        assert_eq!(job.command_place.to_string(), "/etc/cron.d/x:4:18");
        assert_eq!((tab.environment[0].name.as_str(), tab.environment[0].place.line), ("SHELL", 1));
        let form = Form::User("bob".into());
        let own = Crontab::parse("/var/spool/cron/crontabs/bob", b"@reboot a=b c\n", &form);
        assert_eq!((own.jobs[0].user.as_str(), own.jobs[0].command.as_str()), ("bob", "a=b c"));
    }

    #[test]
    fn percent_signs_split_off_the_input() {
        let tab = system("0 1 * * 7 root date +\\%F | cat%one%two\\%\n");
        assert_eq!(tab.jobs[0].command, "date +%F | cat");
        assert_eq!(tab.jobs[0].input.as_deref(), Some("one\ntwo%"));
    }

    #[test]
    fn times_are_those_that_cron_knows() {
        for good in ["*/5 0-6,22 1 jan-Mar mon", "-1 * * * *", "1~9 * * * 7", "0 0 31 12 0"] {
            assert!(system(&format!("{good} root x\n")).problems.is_empty(), "{good}");
        }
        for bad in
            ["60 * * * *", "* 24 * * *", "* * 0 * *", "*/0 * * * *", "* * * foo *", ", * * * *"]
        {
            assert_eq!(system(&format!("{bad} root x\n")).problems.len(), 1, "{bad}");
        }
        assert_eq!(system("@never root x\n* * * * *\n@daily root\n").problems.len(), 3);
    }

    #[test]
    fn names_with_dots_are_skipped_where_cron_skips_them() {
        assert!(Names::Debian.reads("e2scrub_all") && !Names::Debian.reads("a.sh"));
        assert!(Names::Cronie.reads("a.sh") && !Names::Cronie.reads(".placeholder"));
        assert!(!Names::Cronie.reads("x.rpmnew") && !Names::Debian.reads(""));
    }

    #[test]
    fn hostile_files_are_bounded() {
        assert_eq!(system(&"a".repeat(LINE_BYTES_MAX + 1)).problems.len(), 1);
        assert_eq!(system("* * * * * root a\0b\n").problems.len(), 1);
        let tab = system(&"@daily root x\n".repeat(ENTRIES_MAX + 1));
        assert_eq!((tab.jobs.len(), tab.problems.len()), (ENTRIES_MAX, 1));
    }
}
