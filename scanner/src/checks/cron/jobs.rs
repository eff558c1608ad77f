//! What the jobs run.

use std::path::Path;

use consensus::{Privilege, Severity, Subject};
use parsers::config::cron::{Crontab, Form, Job, Names};
use parsers::place::Place;
use parsers::tree::{FileKind, Links, LookError};

use super::modes::changeable;
use crate::checks::accounts::known::Known;
use crate::checks::{CheckResult, Observation, Outcome};
use crate::{Fact, Facts, redact};

/// Most crontabs that are read.
pub(super) const CRONTABS_MAX: usize = 2_000;

/// Most words of one command that are looked at.
pub(super) const WORDS_MAX: usize = 400;

/// Every crontab, read once.
struct Tabs {
    all: Vec<Crontab>,
    /// Files in `/etc/cron.d` whose names cron skips.
    skipped: Vec<String>,
    unseen: Vec<String>,
}

impl Fact for Tabs {
    fn look(facts: &Facts<'_>) -> Self {
        let mut tabs = Self { all: Vec::new(), skipped: Vec::new(), unseen: Vec::new() };
        tabs.read(facts, "/etc/crontab", &Form::System);
        let is_debian = facts.tree.stat(Path::new("/etc/debian_version"), Links::Follow).is_ok();
        let names = if is_debian { Names::Debian } else { Names::Cronie };
        for (path, name) in tabs.list(facts, "/etc/cron.d") {
            if names.reads(&name) {
                tabs.read(facts, &path, &Form::System);
            } else if !is_leftover(&name) {
                tabs.skipped.push(path);
            }
        }
        for spool in ["/var/spool/cron/crontabs", "/var/spool/cron"] {
            for (path, name) in tabs.list(facts, spool) {
                tabs.read(facts, &path, &Form::User(name));
            }
        }
        tabs
    }
}

/// Names that are skipped on purpose.
fn is_leftover(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || name.contains(".dpkg-") || name.contains(".rpm")
}

impl Tabs {
    fn list(&mut self, facts: &Facts<'_>, directory: &str) -> Vec<(String, String)> {
        let entries = match facts.tree.list(Path::new(directory)) {
            Ok(entries) => entries,
            Err(error) => {
                self.note(&error);
                return Vec::new();
            }
        };
        let files = entries.into_iter().filter(|entry| entry.kind != FileKind::Directory);
        files
            .map(|entry| {
                let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
                (entry.path.to_string_lossy().into_owned(), name.into_owned())
            })
            .collect()
    }

    fn read(&mut self, facts: &Facts<'_>, path: &str, form: &Form) {
        if self.all.len() == CRONTABS_MAX {
            self.unseen.push(format!("{path}: more than {CRONTABS_MAX} crontabs"));
            return;
        }
        match facts.read(path) {
            Ok(bytes) => self.all.push(Crontab::parse(path, &bytes, form)),
            Err(error) => self.note(&error),
        }
    }

    fn note(&mut self, error: &LookError) {
        if !error.not_found() {
            self.unseen.push(error.to_string());
        }
    }

    fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.all.iter().flat_map(|tab| &tab.jobs)
    }
}

fn with(facts: &Facts<'_>, fine: &str, judge: impl Fn(&Tabs) -> Vec<Observation>) -> Outcome {
    let tabs = facts.get::<Tabs>();
    if tabs.all.is_empty() && tabs.unseen.is_empty() && tabs.skipped.is_empty() {
        return Outcome::not_applicable("there are no crontabs");
    }
    let outcome = Outcome::failed_or(judge(&tabs), fine);
    match outcome.result {
        CheckResult::Passed if !tabs.unseen.is_empty() => Outcome::not_run(tabs.unseen.join("; ")),
        _ => outcome.unseen(tabs.unseen.iter().cloned()),
    }
}

fn about(job: &Job, key: String, title: String) -> Observation {
    let mut seen = Observation::at(&job.command_place, &job.text).key(key).title(title);
    seen.subject = Subject { user: Some(redact::printable(&job.user)), ..Subject::default() };
    seen
}

pub(super) fn replaceable(facts: &Facts<'_>) -> Outcome {
    let known = facts.get::<Known>();
    // A user whom passwd does not name is held to be root: only root's files are then trusted.
    let uid = |name: &str| known.uid_of(name).unwrap_or(0);
    let denied = std::cell::RefCell::new(Vec::new());
    let outcome = with(facts, "what jobs run belongs to their users or root", |tabs| {
        let mut bad = Vec::new();
        for job in tabs.jobs() {
            let owner = uid(&job.user);
            for path in programs(&job.command) {
                match changeable(facts.tree, &path, owner) {
                    Ok(None) => {}
                    Ok(Some(why)) => {
                        let title =
                            format!("{path}, run by cron as {}, can be replaced: {why}", job.user);
                        let key = format!("{}:{path}", job.place.file);
                        bad.push(with_privilege(about(job, key, title), owner));
                    }
                    Err(error) => denied.borrow_mut().push(error.to_string()),
                }
            }
        }
        for tab in &tabs.all {
            bad.extend(paths_of(facts, tab));
        }
        bad
    });
    outcome.unseen(denied.into_inner())
}

fn with_privilege(mut seen: Observation, owner: u32) -> Observation {
    if owner == 0 {
        return seen.floor(Severity::High);
    }
    seen.privilege = Some(Privilege::User);
    seen
}

/// Directories of a crontab's `PATH` that others may write: names without a directory come from there.
fn paths_of(facts: &Facts<'_>, tab: &Crontab) -> Vec<Observation> {
    let mut bad = Vec::new();
    for set in tab.environment.iter().filter(|set| set.name == "PATH") {
        for directory in set.value.split(':').filter(|path| path.starts_with('/')).take(64) {
            if let Ok(stat) = facts.tree.stat(Path::new(directory), Links::Follow)
                && stat.mode & 0o002 != 0
            {
                let title = format!("cron looks for programs in world-writable {directory}");
                let key = format!("{}:PATH:{directory}", tab.file);
                bad.push(Observation::at(&set.place, &set.text).key(key).title(title));
            }
        }
    }
    bad
}

/// Programs whose first argument without a dash is what they run.
const INTERPRETERS: &[&str] = &[
    "sh",
    "bash",
    "dash",
    "zsh",
    "ksh",
    "perl",
    "python",
    "python2",
    "python3",
    "ruby",
    "php",
    "node",
    "lua",
    "nice",
    "ionice",
    "chronic",
    "env",
    "exec",
    "sudo",
    "setsid",
    "nohup",
    "time",
    "source",
    ".",
    "run-parts",
    "command",
];

/// Words of the shell before which and after which a command stands.
const KEYWORDS: &[&str] = &["if", "then", "else", "elif", "do", "while", "until", "!", "{"];

/// Absolute paths that a command line runs, as far as its words tell.
fn programs(command: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_command = true;
    for word in words(command) {
        let name = word.rsplit('/').next().unwrap_or(&word);
        let is_separator = matches!(word.as_str(), ";" | "&" | "|" | "(" | ")");
        if is_separator || (is_command && KEYWORDS.contains(&word.as_str())) {
            is_command = true;
        } else if is_command {
            // `-x` and `VAR=value` stand before the command or script, they are not it.
            let is_before = word.starts_with('-')
                || word.split_once('=').is_some_and(|(n, _)| !n.contains('/'));
            if is_before || word.chars().all(|c| c.is_ascii_digit()) {
                continue;
            }
            if word.starts_with('/') && !word.contains(['*', '?', '$', '`']) {
                found.push(word.clone());
            }
            is_command = INTERPRETERS.contains(&name);
        }
    }
    found
}

/// Words and separators of a command line; redirections and their files are left out.
fn words(command: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut quote: Option<char> = None;
    let mut is_redirected = false;
    let end = |word: &mut String, is_redirected: &mut bool, words: &mut Vec<String>| {
        if !word.is_empty() {
            if !std::mem::take(is_redirected) {
                words.push(std::mem::take(word));
            }
            word.clear();
        }
    };
    for character in command.chars() {
        if words.len() >= WORDS_MAX {
            break;
        }
        match (quote, character) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.push(c),
            (None, '"' | '\'') => quote = Some(character),
            (None, ' ' | '\t') => end(&mut word, &mut is_redirected, &mut words),
            (None, '>' | '<') => {
                // `2>` names a stream.
                if word.chars().all(|c| c.is_ascii_digit()) {
                    word.clear();
                }
                end(&mut word, &mut is_redirected, &mut words);
                is_redirected = true;
            }
            (None, '&') if is_redirected && word.is_empty() => word.push('&'),
            (None, ';' | '|' | '&' | '(' | ')') => {
                end(&mut word, &mut is_redirected, &mut words);
                is_redirected = false;
                words.push(character.to_string());
            }
            (None, c) => word.push(c),
        }
    }
    end(&mut word, &mut is_redirected, &mut words);
    words
}

pub(super) fn secrets(facts: &Facts<'_>) -> Outcome {
    with(facts, "no secrets in scheduled commands", |tabs| {
        let mut bad = Vec::new();
        for job in tabs.jobs() {
            if redact::secrets(&job.command) != job.command.as_str() {
                let title =
                    format!("a scheduled command of {} holds a password or token", job.user);
                bad.push(about(job, format!("{}:{}", job.place.file, job.user), title));
            }
        }
        for set in tabs.all.iter().flat_map(|tab| &tab.environment) {
            if redact::secrets(&set.text) != set.text.as_str() {
                let title = "a crontab's environment holds a password or token";
                let key = format!("{}:{}", set.place.file, set.name);
                let seen = Observation::at(&set.place, &set.text).key(key);
                bad.push(seen.title(title).level(Severity::Low));
            }
        }
        bad
    })
}

pub(super) fn never_run(facts: &Facts<'_>) -> Outcome {
    with(facts, "every line was understood", |tabs| {
        let mut bad: Vec<Observation> = tabs
            .all
            .iter()
            .flat_map(|tab| &tab.problems.kept)
            .map(|problem| {
                let place = &problem.place;
                let title = format!("{place}: {}", problem.message);
                Observation::at(place, "").key(place.to_string()).title(title)
            })
            .collect();
        for path in &tabs.skipped {
            let title = format!("cron skips {} because of its name", redact::printable(path));
            let seen = Observation::at(&Place::whole(path.as_str()), "(not read by cron)");
            bad.push(seen.key(path).title(title));
        }
        bad
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_from_their_arguments() {
        for (command, wanted) in [
            ("cd / && run-parts --report /etc/cron.hourly", &["/etc/cron.hourly"][..]),
            ("test -x /usr/sbin/anacron || { cd / && /x/y; }", &["/x/y"]),
            ("/bin/sh -e /opt/a.sh /tmp/data > /var/log/x 2>&1", &["/bin/sh", "/opt/a.sh"]),
            ("FOO=1 nice -n 10 '/opt/my job' | tee /tmp/log", &["/opt/my job"]),
            ("if [ -x /a ]; then /b >/dev/null; fi", &["/b"]),
            ("cat /tmp/x", &[]),
        ] {
            assert_eq!(programs(command), wanted, "{command}");
        }
        assert!(words(&"a ".repeat(100_000)).len() <= WORDS_MAX + 1);
    }
}
