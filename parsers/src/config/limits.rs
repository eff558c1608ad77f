//! limits.conf(5) and `limits.d`: what resources a session may use (pam_limits 1.5).
//!
//! The main file comes first, then the directory by name. A line for the user comes before one for a
//! group, that before `*`; of two of the same rank the later holds. Groups and `*` do not apply to root.
//! Ranges of ids rank with the user or the group that they stand for.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::lines::{Line, numbered};
use super::problems::{Problems, note_unread};
use super::settings::{Overridden, Rule, Settings};
use crate::place::{Place, Placed};
use crate::tree::{FileKind, LookError, Tree, Why};

/// The main file.
pub const LIMITS_CONF: &str = "/etc/security/limits.conf";

/// The directory of further files.
pub const LIMITS_DIRECTORY: &str = "/etc/security/limits.d";

/// Most lines that are kept.
pub const ENTRIES_MAX: usize = 50_000;

/// Most files of one configuration.
pub const FILES_MAX: usize = 1_000;

/// Most bytes of one line.
pub const LINE_BYTES_MAX: usize = 16 << 10;

/// One line: `domain type item value`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// For whom: a name, `@group`, `%group`, `*`, or a range of ids.
    pub domain: String,
    /// `soft`, `hard` or `-` for both.
    pub kind: String,
    /// Its item in lower case; empty in `domain -`, which lifts every limit.
    pub item: String,
    /// Its value in lower case, and where the domain is.
    #[serde(flatten)]
    pub value: Placed<String>,
}

/// Whose session it is.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The user's id; 0 is root.
    pub uid: u32,
    /// Names and ids of the user's groups.
    pub groups: &'a [(&'a str, u32)],
}

/// The limits of one configuration.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Limits {
    /// In the order of reading.
    pub entries: Vec<Entry>,
    /// Files in the order of reading.
    pub files: Vec<Arc<str>>,
    /// Lines that pam_limits passes over.
    pub problems: Problems,
    /// What could not be read.
    #[serde(skip)]
    pub unread: Vec<LookError>,
}

const ITEMS: [&str; 20] = [
    "as",
    "chroot",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "maxlogins",
    "maxsyslogins",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nonewprivs",
    "nproc",
    "priority",
    "rss",
    "rtprio",
    "sigpending",
    "stack",
];

impl Limits {
    /// Reads the main file and the directory.
    pub fn read(tree: &dyn Tree) -> Self {
        let mut all = Self::default();
        all.file(tree, LIMITS_CONF);
        let entries = match tree.list(Path::new(LIMITS_DIRECTORY)) {
            Ok(entries) => entries,
            Err(error) if error.not_found() => return all,
            Err(error) => {
                note_unread(&mut all.unread, error);
                return all;
            }
        };
        for entry in entries {
            let name = entry.path.file_name().map_or(&[][..], |name| name.as_encoded_bytes());
            if !name.ends_with(b".conf") || name[0] == b'.' || entry.kind == FileKind::Directory {
                continue;
            }
            if all.files.len() == FILES_MAX {
                let why = Why::TooMany(FILES_MAX);
                note_unread(&mut all.unread, LookError::new(Path::new(LIMITS_DIRECTORY), why));
                break;
            }
            all.file(tree, &entry.path.to_string_lossy());
        }
        all
    }

    /// Reads the text of one file.
    pub fn parse(file: &str, bytes: &[u8]) -> Self {
        let mut all = Self::default();
        all.text(file, bytes);
        all
    }

    /// What holds for a session, by `soft ITEM` and `hard ITEM`.
    ///
    /// As pam_limits 1.5 decides (`process_limit`): a line of a closer domain stays, of equally close ones
    /// the later holds, and a line of both kinds (`-`) whose soft half loses is dropped whole. A line
    /// `DOMAIN -` of the user or a group of theirs lifts everything.
    ///
    /// ```
    /// use parsers::config::limits::{Limits, Session};
    /// let all = Limits::parse("/etc/security/limits.conf", b"bob hard core 0\n* - core 10\n");
    /// let bob = all.of(&Session { user: "bob", uid: 1000, groups: &[] });
    /// assert_eq!((bob.value("hard core"), bob.value("soft core")), (Some("0"), Some("10")));
    /// ```
    pub fn of(&self, session: &Session<'_>) -> Settings {
        let mut settings = Settings::default();
        settings.files.clone_from(&self.files);
        let lifts = |entry: &Entry| {
            entry.item.is_empty() && entry.domain != "*" && rank(&entry.domain, session).is_some()
        };
        if self.entries.iter().any(lifts) {
            return settings;
        }
        let mut ranks = std::collections::BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| !entry.item.is_empty()) {
            let Some(rank) = rank(&entry.domain, session) else { continue };
            let mut is_dropped = false;
            let kinds: &[&str] = match entry.kind.as_str() {
                "soft" => &["soft"],
                "hard" => &["hard"],
                _ => &["soft", "hard"],
            };
            for kind in kinds {
                let key = format!("{kind} {}", entry.item);
                if !settings.has_room(&entry.value) {
                    continue;
                }
                let held = *ranks.get(&key).unwrap_or(&rank);
                let setting = settings.entry(&key);
                if rank > held || is_dropped {
                    is_dropped = true;
                    let lost = Overridden { value: entry.value.clone(), rule: Rule::MoreSpecific };
                    setting.lose(lost);
                    continue;
                }
                let rule = if rank < held { Rule::MoreSpecific } else { Rule::LastWins };
                setting.replace(entry.value.clone(), rule);
                ranks.insert(key, rank);
            }
        }
        settings
    }

    /// Which line holds for each domain, by `DOMAIN soft ITEM` and `DOMAIN hard ITEM` (`DOMAIN -` lifts
    /// every limit): of the same domain, type and item the line that is read later. Between domains a
    /// session decides, see [`Limits::of`] (limits.conf(5); `process_limit` in pam_limits.c keeps a value
    /// only from a closer domain).
    ///
    /// ```
    /// use parsers::config::limits::Limits;
    /// let all = Limits::parse("/etc/security/limits.conf", b"* - core 0\n* soft core 10\n");
    /// let by_domain = all.by_domain();
    /// assert_eq!(by_domain.value("* soft core"), Some("10"));
    /// assert_eq!(by_domain.value("* hard core"), Some("0"));
    /// ```
    pub fn by_domain(&self) -> Settings {
        let mut settings = Settings::default();
        settings.files.clone_from(&self.files);
        for entry in &self.entries {
            let domain = &entry.domain;
            if entry.item.is_empty() {
                settings.set(&format!("{domain} -"), entry.value.clone());
                continue;
            }
            for kind in ["soft", "hard"] {
                if entry.kind == kind || entry.kind == "-" {
                    settings.set(&format!("{domain} {kind} {}", entry.item), entry.value.clone());
                }
            }
        }
        settings
    }

    fn file(&mut self, tree: &dyn Tree, path: &str) {
        match tree.read_config(path) {
            Ok(bytes) => self.text(path, &bytes),
            Err(error) if error.not_found() => {}
            Err(error) => note_unread(&mut self.unread, error),
        }
    }

    fn text(&mut self, file: &str, bytes: &[u8]) {
        let file: Arc<str> = file.into();
        self.files.push(Arc::clone(&file));
        for line in numbered(bytes) {
            if let Err((place, message)) = self.line(&file, &line) {
                self.problems.push(place, message);
            }
        }
    }

    fn line(&mut self, file: &Arc<str>, line: &Line<'_>) -> Result<(), (Place, &'static str)> {
        let end = memchr::memchr(b'#', line.bytes).unwrap_or(line.bytes.len());
        let start = line.bytes[..end].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if start == end {
            return Ok(());
        }
        let place = line.place(file, start);
        let refuse = |message| Err((place.clone(), message));
        if line.bytes.len() > LINE_BYTES_MAX || line.bytes.contains(&0) {
            return refuse("the line is too long or holds a NUL byte");
        }
        let text = String::from_utf8_lossy(&line.bytes[start..end]).into_owned();
        let words: Vec<&str> = text.split_ascii_whitespace().take(4).collect();
        let (kind, item, value) = match words[..] {
            [_, "-"] => ("-", String::new(), String::new()),
            [_, kind, item, value] => (kind, item.to_ascii_lowercase(), value.to_ascii_lowercase()),
            _ => return refuse("not `domain type item value`"),
        };
        let kind = kind.to_ascii_lowercase();
        if !matches!(kind.as_str(), "soft" | "hard" | "-") {
            return refuse("unknown type");
        }
        if !item.is_empty() && !ITEMS.contains(&item.as_str()) {
            return refuse("unknown item");
        }
        let is_word = matches!(value.as_str(), "" | "-" | "-1" | "unlimited" | "infinity");
        let is_value = is_word || item == "chroot" || starts_with_number(&value);
        if !is_value {
            return refuse("not a number");
        }
        if self.entries.len() == ENTRIES_MAX {
            return refuse("more lines than the limit");
        }
        let value = Placed { value, place, text: line.shown() };
        self.entries.push(Entry { domain: words[0].to_string(), kind, item, value });
        Ok(())
    }
}

/// pam_limits takes the number that a value starts with: `10k` is 10 (asked of 1.5.2).
fn starts_with_number(value: &str) -> bool {
    value.strip_prefix(['+', '-']).unwrap_or(value).starts_with(|c: char| c.is_ascii_digit())
}

/// How close a domain is to a session: 0 the user, 1 a group, 2 `%`, 3 everybody; `None` if it is not for it.
fn rank(domain: &str, session: &Session<'_>) -> Option<u8> {
    if domain == session.user {
        return Some(0);
    }
    if let Some(range) = domain.strip_prefix(['@', '%']) {
        let rank = if domain.starts_with('@') { 1 } else { 2 };
        let is_of = session.groups.iter().any(|(name, gid)| *name == range || within(range, *gid));
        let is_all = domain == "%";
        return (session.uid != 0 && (is_of || is_all)).then_some(rank);
    }
    match domain {
        "*" => (session.uid != 0).then_some(3),
        range => within(range, session.uid).then_some(0),
    }
}

/// Whether an id lies in `from:to`, `from:`, or is `:id`.
fn within(range: &str, id: u32) -> bool {
    let Some((from, to)) = range.split_once(':') else { return false };
    match (from.parse::<u32>(), to.parse::<u32>()) {
        (Ok(from), Ok(to)) => (from..=to).contains(&id),
        (Ok(from), Err(_)) if to.is_empty() => from <= id,
        (Err(_), Ok(one)) if from.is_empty() => one == id,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryTree;

    #[test]
    fn closer_domains_win_and_then_the_later_line() {
        let tree = MemoryTree::new()
            .file(
                LIMITS_CONF,
                "bob soft core 1 # c\n@wheel - core 2\n* hard core 3\n* - nofile 5\n",
            )
            .file("/etc/security/limits.d/20.conf", "* - nofile 7\n@100:200 soft nproc 9\n")
            .file("/etc/security/limits.d/10.conf", "* - nofile 6\n1000: hard stack unlimited\n")
            .file("/etc/security/limits.d/x", "bob - core 99\n")
            .special("/etc/security/limits.d/f.conf", FileKind::Fifo);
        let all = Limits::read(&tree);
        assert_eq!((all.files.len(), all.unread.len()), (3, 1));
        let bob = Session { user: "bob", uid: 1000, groups: &[("wheel", 150)] };
        let holds = all.of(&bob);
        assert_eq!((holds.value("soft core"), holds.value("hard core")), (Some("1"), Some("3")));
        // The soft half of the group's line loses to bob's, so pam_limits does not look at its hard half.
        assert_eq!(holds.get("hard core").unwrap().overrides[0].value.value, "2");
        assert_eq!(holds.get("hard core").unwrap().overrides[0].rule, Rule::MoreSpecific);
        assert_eq!(holds.get("hard nofile").unwrap().overrides[1].rule, Rule::LastWins);
        assert_eq!((holds.value("hard nofile"), holds.value("soft nproc")), (Some("7"), Some("9")));
        assert_eq!(holds.value("hard stack"), Some("unlimited"));
        let root = all.of(&Session { user: "root", uid: 0, groups: &[("wheel", 150)] });
        assert!(root.by_key.is_empty());
        for (lifting, expected) in [("bob -", 0), ("@wheel -", 0), ("eve -", 2)] {
            let text = format!("* - core 1\n{lifting}\n");
            let holds = Limits::parse("/etc/security/limits.conf", text.as_bytes()).of(&bob);
            assert_eq!(holds.by_key.len(), expected, "{lifting}");
        }
    }

    #[test]
    fn of_each_domain_the_later_line_holds_by_type_and_item() {
        let tree = MemoryTree::new()
            .file("/etc/security/limits.d/b.conf", "* soft nofile 3\n@wheel - nofile 9\n")
            .file("/etc/security/limits.d/B.conf", "* soft nofile 2\nbob -\n")
            .file(LIMITS_CONF, "* - nofile 1\n");
        let all = Limits::read(&tree).by_domain();
        let names: Vec<&str> = all.files.iter().map(|file| &**file).collect();
        // The C locale's order: capitals first.
        assert_eq!(names[1..], ["/etc/security/limits.d/B.conf", "/etc/security/limits.d/b.conf"]);
        let soft = all.get("* soft nofile").unwrap();
        assert_eq!((soft.value(), soft.overrides.len()), (Some("3"), 2));
        assert_eq!(&*soft.overrides[0].value.place.file, LIMITS_CONF);
        assert_eq!(soft.overrides[1].rule, Rule::LastWins);
        assert_eq!(
            (all.value("* hard nofile"), all.value("@wheel hard nofile")),
            (Some("1"), Some("9"))
        );
        assert_eq!((all.value("bob -"), all.by_key.len()), (Some(""), 5));
    }

    #[test]
    fn lines_that_pam_limits_passes_over_are_told() {
        let text =
            b"a b\n* mid core 1\n* soft colour 1\n* soft core x\n  bob -\n# c\n\n* SOFT Core 1\n";
        let all = Limits::parse("/x", text);
        let lines: Vec<_> = all.problems.kept.iter().map(|p| p.place.line).collect();
        assert_eq!((lines, all.entries.len()), (vec![1, 2, 3, 4], 2));
        let taken = Limits::parse("/x", b"* - core 10k\n* - core -\n* - core -k\n");
        assert_eq!((taken.entries.len(), taken.problems.len()), (2, 1));
        assert_eq!((all.entries[0].value.place.column, all.entries[1].item.as_str()), (3, "core"));
    }

    #[test]
    fn hostile_files_end_bounded() {
        assert_eq!(Limits::parse("/x", &vec![b'a'; 8 << 20]).problems.len(), 1);
        let many = "* - core 1\n".repeat(ENTRIES_MAX + 1);
        let all = Limits::parse("/x", many.as_bytes());
        assert_eq!((all.entries.len(), all.problems.len()), (ENTRIES_MAX, 1));
        assert_eq!(Limits::parse("/x", b"a\0 - core 1\n\xff - core 1\n").entries.len(), 1);
    }
}
