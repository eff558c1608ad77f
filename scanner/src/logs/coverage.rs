//! What a sweep has looked at, and what it could not see: an honest account for each file, the rules
//! whose logs are not here, and what used to speak and does not any more.
//!
//! Only numbers and names; whoever reads fills them in. Bounded: [`FILES_MAX`], [`LISTED_MAX`]; what is
//! beyond is summed up, never dropped in silence.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::event::Class;
use super::matcher::RuleSet;

/// Most files that are listed one by one.
pub const FILES_MAX: usize = 1_000;
/// Most rules and quiet sources that are listed.
pub const LISTED_MAX: usize = 1_000;

/// What became of one file's lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCoverage {
    /// File, or `journal`.
    pub path: String,
    /// Lines read; each of them is parsed or unparsed, but for empty ones.
    pub lines: u64,
    /// Lines that a grammar accepted.
    pub parsed: u64,
    /// Lines that none did.
    pub unparsed: u64,
    /// Lines without a time.
    pub undated: u64,
    /// Lines that came too late for the windows of their time.
    pub late: u64,
    /// Groups and stories that were dropped for want of room.
    pub evicted: u64,
    /// Lines of which only a part was judged, or on which a pattern gave up.
    pub undecided: u64,
    /// Places where lines may be missing.
    pub gaps: u64,
}

/// A rule or jail that nothing here can make fire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unfed {
    /// Its name.
    pub rule: String,
    /// What it would need.
    pub needs: String,
}

/// Something that used to speak.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Quiet {
    /// A source or a rule.
    pub name: String,
    /// When it spoke last, seconds since the epoch.
    pub last: i64,
}

/// The account of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// File by file, at most [`FILES_MAX`].
    pub files: Vec<FileCoverage>,
    /// The sum of the files that are not listed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub others: Option<FileCoverage>,
    /// Rules that cannot fire.
    pub unfed: Vec<Unfed>,
    /// Sources and rules that went quiet.
    pub quiet: Vec<Quiet>,
    /// Entries of the two lists that found no room.
    pub more: u64,
}

/// What the logs of a host hold: which programs, and which sorts of logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fed {
    /// Canonical names of programs that wrote to syslog or the journal.
    pub programs: BTreeSet<String>,
    /// Access or error logs of a web server.
    pub web: bool,
    /// Audit records.
    pub audit: bool,
    /// JSON lines, which may be of any source.
    pub json: bool,
}

impl FileCoverage {
    fn add(&mut self, other: &Self) {
        let sums = [
            (&mut self.lines, other.lines),
            (&mut self.parsed, other.parsed),
            (&mut self.unparsed, other.unparsed),
            (&mut self.undated, other.undated),
            (&mut self.late, other.late),
            (&mut self.evicted, other.evicted),
            (&mut self.undecided, other.undecided),
            (&mut self.gaps, other.gaps),
        ];
        for (sum, more) in sums {
            *sum = sum.saturating_add(more);
        }
    }

    /// Whether every line was read in full and understood.
    pub fn is_whole(&self) -> bool {
        let Self { unparsed, undated, late, evicted, undecided, gaps, .. } = self;
        [unparsed, undated, late, evicted, undecided, gaps].into_iter().all(|count| *count == 0)
    }

    fn text(&self) -> String {
        let mut text = format!("{}: {} lines", self.path, self.lines);
        if self.is_whole() {
            text.push_str(", all understood");
            return text;
        }
        for (count, what) in [
            (self.unparsed, "of no known form"),
            (self.undated, "without a time"),
            (self.late, "too late for their window"),
            (self.undecided, "not judged in full"),
            (self.evicted, "groups dropped for want of room"),
            (self.gaps, "places where lines may be missing"),
        ] {
            if count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
        }
        text
    }
}

impl Coverage {
    /// Adds a file.
    pub fn file(&mut self, file: FileCoverage) {
        if self.files.len() < FILES_MAX {
            self.files.push(file);
            return;
        }
        let others = self.others.get_or_insert_default();
        others.path = "other files".into();
        others.add(&file);
    }

    /// Adds the rules that nothing here feeds.
    pub fn rules(&mut self, rules: &RuleSet, fed: &Fed) {
        let (has, writes) = (|class: Class| fed.has(class), |program: &str| fed.writes(program));
        let unfed: Vec<Unfed> = rules
            .unfed(&has, &writes)
            .map(|compiled| {
                let service = compiled.rule.logsource.service.as_deref();
                let source = compiled.source();
                let needs = match (source, service) {
                    ("syslog of a program", Some(service)) => format!("lines of {service}"),
                    _ => source.to_string(),
                };
                Unfed { rule: compiled.rule.header.key().into(), needs }
            })
            .collect();
        unfed.into_iter().for_each(|unfed| self.unfed(unfed));
    }

    /// Adds a rule that cannot fire.
    pub fn unfed(&mut self, unfed: Unfed) {
        if self.unfed.len() < LISTED_MAX { self.unfed.push(unfed) } else { self.more += 1 }
    }

    /// Adds something that went quiet.
    pub fn quiet(&mut self, quiet: Quiet) {
        if self.quiet.len() < LISTED_MAX { self.quiet.push(quiet) } else { self.more += 1 }
    }

    /// For people, a line each.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for file in self.files.iter().chain(&self.others) {
            let _ = writeln!(text, "{}", file.text());
        }
        for quiet in &self.quiet {
            let last = super::features::tell::at(quiet.last);
            let _ = writeln!(text, "quiet: {}, last seen {last}", quiet.name);
        }
        let mut needs: Vec<&str> = self.unfed.iter().map(|unfed| unfed.needs.as_str()).collect();
        needs.sort_unstable();
        needs.dedup();
        for need in needs {
            let rules: Vec<&str> = self
                .unfed
                .iter()
                .filter(|unfed| unfed.needs == need)
                .map(|unfed| &*unfed.rule)
                .collect();
            let (shown, more) = rules.split_at(rules.len().min(8));
            let _ = write!(text, "cannot fire here, no {need}: {}", shown.join(", "));
            let _ = match more.len() {
                0 => writeln!(text),
                more => writeln!(text, " and {more} more"),
            };
        }
        if self.more > 0 {
            let _ = writeln!(text, "and {} more that cannot fire or went quiet", self.more);
        }
        text
    }
}

impl Fed {
    /// Whether there are events of a class.
    pub fn has(&self, class: Class) -> bool {
        match class {
            Class::Syslog => !self.programs.is_empty(),
            Class::Web => self.web,
            Class::Audit | Class::Joined => self.audit,
            Class::Json => self.json,
        }
    }

    /// Whether a program writes to syslog, by its canonical name.
    pub fn writes(&self, program: &str) -> bool {
        self.programs.contains(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> FileCoverage {
        FileCoverage {
            path: path.into(),
            lines: 10,
            parsed: 9,
            unparsed: 1,
            ..FileCoverage::default()
        }
    }

    #[test]
    fn the_account_is_told_in_words() {
        let mut coverage = Coverage::default();
        coverage.file(file("/var/log/a"));
        coverage.file(FileCoverage {
            path: "b".into(),
            lines: 5,
            parsed: 5,
            ..FileCoverage::default()
        });
        for rule in ["x", "y"] {
            coverage.unfed(Unfed { rule: rule.into(), needs: "audit log".into() });
        }
        coverage.quiet(Quiet { name: "/var/log/c".into(), last: 0 });
        assert_eq!(
            coverage.text(),
            "/var/log/a: 10 lines, 1 of no known form\n\
             b: 5 lines, all understood\n\
             quiet: /var/log/c, last seen 1970-01-01T00:00:00Z\n\
             cannot fire here, no audit log: x, y\n"
        );
        let json = serde_json::to_string(&coverage).unwrap();
        assert_eq!(serde_json::from_str::<Coverage>(&json).unwrap(), coverage);
    }

    #[test]
    fn files_and_rules_beyond_the_limit_are_summed_up() {
        let mut coverage = Coverage::default();
        for _ in 0..FILES_MAX + 2 {
            coverage.file(file("f"));
        }
        let others = coverage.others.clone().unwrap();
        assert_eq!((coverage.files.len(), others.lines, others.unparsed), (FILES_MAX, 20, 2));
        for _ in 0..LISTED_MAX + 3 {
            coverage.unfed(Unfed { rule: "r".into(), needs: "n".into() });
        }
        assert_eq!((coverage.unfed.len(), coverage.more), (LISTED_MAX, 3));
        assert!(coverage.text().contains("r and 992 more\n"));
    }

    #[test]
    fn rules_without_their_logs_are_named_with_what_they_lack() {
        let rules = crate::logs::content::rules();
        let unfed = |fed: &Fed| {
            let mut coverage = Coverage::default();
            coverage.rules(&rules, fed);
            coverage.unfed.into_iter().map(|unfed| unfed.rule).collect::<Vec<_>>()
        };
        let all = unfed(&Fed::default());
        assert_eq!(all.len(), rules.rules.len());
        let with_ssh = Fed { programs: ["sshd".to_string()].into(), ..Fed::default() };
        let left = unfed(&with_ssh);
        let has = |names: &[String], name: &str| names.iter().any(|known| known == name);
        assert!(has(&all, "ssh-login-failed") && !has(&left, "ssh-login-failed"));
        assert!(has(&left, "sudo-shell") && has(&left, "web-sql-injection"));
        assert!(!has(&unfed(&Fed { web: true, ..with_ssh }), "web-sql-injection"));
        assert_eq!(unfed(&Fed { json: true, ..Fed::default() }), [""; 0]);
    }
}
