//! sudoers(5): who may run what as whom, with every include, alias, tag and Defaults in its place.
//!
//! Reading never stops at a bad line: it becomes a problem and the next line is read, where sudo itself
//! would refuse the whole policy. [`Sudoers`] keeps every rule in order (the last that matches wins,
//! see `query`), with tags, runas lists and options already inherited along their list. Loops, depth,
//! size and count of includes are bounded; what could not be read is in `unread`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::lines::{Joined, numbered};
use super::problems::Problems;
use crate::place::Place;
use crate::tree::{CONFIG_BYTES_MAX, FileKind, LookError, Tree, Why};

mod cursor;
mod grammar;
mod parameters;
mod query;
mod reader;

pub use parameters::parameters;
pub use query::{Account, Decision, EXPANDED_MAX};
pub use reader::{ReadBy, stricter};

/// The policy's first file.
pub const SUDOERS: &str = "/etc/sudoers";

/// Deepest nesting of includes, as in sudo.
pub const DEPTH_MAX: usize = 128;

/// Most files read.
pub const FILES_MAX: usize = 1_000;

/// Most bytes of all files together.
pub const BYTES_MAX: usize = 2 * CONFIG_BYTES_MAX;

/// Most bytes of one line with its continuations.
pub const LINE_BYTES_MAX: usize = 128 << 10;

/// Most rules, aliases and settings kept.
pub const ENTRIES_MAX: usize = 20_000;

/// Somebody or some machine in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// `!` an odd number of times.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub negated: bool,
    /// Who.
    pub who: Who,
}

/// What a list names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// `ALL`.
    All,
    /// A user, or a host, network or pattern in a host list.
    Name(String),
    /// `#uid`.
    Uid(u32),
    /// `%group`.
    Group(String),
    /// `%#gid`.
    Gid(u32),
    /// `%:group`, known to a plugin only.
    OtherGroup(String),
    /// `+netgroup`.
    Netgroup(String),
    /// A word in capitals: an alias if one is defined, a name otherwise.
    Alias(String),
}

/// As whom a command may be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Runas {
    /// Users; empty means only the caller himself (with one of `groups`).
    pub users: Vec<Member>,
    /// Groups.
    pub groups: Vec<Member>,
}

/// A command of a rule or alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Command {
    /// `!` an odd number of times.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub negated: bool,
    /// `sha256:…` digests, one of which must match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<String>,
    /// What.
    pub what: What,
}

/// What a command names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// `ALL`.
    All,
    /// An alias.
    Alias(String),
    /// `sudoedit` of these files.
    Edit(String),
    /// `list`: `sudo -l` of others.
    List(Option<String>),
    /// A path, a directory (ends with `/`), a pattern or `^regex$`.
    Path {
        /// As written, escapes taken off.
        path: String,
        /// `None` allows any arguments, an empty text none at all.
        arguments: Option<String>,
    },
}

/// Tags, as inherited along the list; `None` where none was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tags {
    /// `PASSWD` or `NOPASSWD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<bool>,
    /// `SETENV` or `NOSETENV`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setenv: Option<bool>,
    /// `EXEC` or `NOEXEC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<bool>,
    /// `FOLLOW` or `NOFOLLOW`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,
    /// `LOG_INPUT` or `NOLOG_INPUT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_input: Option<bool>,
    /// `LOG_OUTPUT` or `NOLOG_OUTPUT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_output: Option<bool>,
    /// `MAIL` or `NOMAIL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<bool>,
    /// `INTERCEPT` or `NOINTERCEPT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intercept: Option<bool>,
}

/// One command that somebody may (or may not) run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// For whom.
    pub users: Arc<Vec<Member>>,
    /// On which hosts.
    pub hosts: Arc<Vec<Member>>,
    /// As whom; `None` means `runas_default`, root.
    pub runas: Option<Arc<Runas>>,
    /// Tags.
    pub tags: Tags,
    /// `CWD=`, `CHROOT=`, `TIMEOUT=`, `ROLE=` …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Arc<Vec<(String, String)>>,
    /// What.
    pub command: Command,
    /// Where the command is written.
    pub place: Place,
    /// That line.
    #[serde(skip)]
    pub text: String,
}

/// The sort of an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AliasKind {
    /// `User_Alias`.
    User,
    /// `Runas_Alias`.
    Runas,
    /// `Host_Alias`.
    Host,
    /// `Cmnd_Alias`.
    Command,
}

/// What an alias stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alias {
    /// Its sort.
    pub kind: AliasKind,
    /// Users or hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// Commands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<Command>,
    /// Where.
    pub place: Place,
}

/// For whom a Defaults line holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everybody.
    Global,
    /// `@`: on these hosts.
    Hosts(Vec<Member>),
    /// `:`: these users.
    Users(Vec<Member>),
    /// `>`: when run as these users.
    Runas(Vec<Member>),
    /// `!`: these commands.
    Commands(Vec<Command>),
}

/// How a Defaults value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// `name`.
    On,
    /// `!name`.
    Off,
    /// `name = value`.
    Set,
    /// `name += value`.
    Add,
    /// `name -= value`.
    Remove,
}

/// One parameter of a Defaults line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// For whom.
    pub scope: Arc<Scope>,
    /// Its name.
    pub name: String,
    /// How.
    pub operator: Operator,
    /// The value, without quotes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Where the name is.
    pub place: Place,
    /// That line.
    #[serde(skip)]
    pub text: String,
}

/// The whole policy.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sudoers {
    /// Files read, in order.
    pub files: Vec<Arc<str>>,
    /// Parameters in order.
    pub defaults: Vec<Setting>,
    /// Aliases by sort and name.
    #[serde(serialize_with = "by_name")]
    pub aliases: BTreeMap<(AliasKind, String), Alias>,
    /// Rules in order.
    pub rules: Vec<Rule>,
    /// Lines that could not be understood; sudo refuses the whole policy for one of them.
    pub problems: Problems,
    /// What sudo warns of and passes over, and `visudo -c` refuses.
    pub notes: Problems,
    /// Which sudo reads the policy.
    pub read_by: ReadBy,
    /// What could not be read.
    #[serde(skip)]
    pub unread: Vec<LookError>,
}

/// JSON wants plain keys: `user:ADMINS`.
fn by_name<S: serde::Serializer>(
    aliases: &BTreeMap<(AliasKind, String), Alias>,
    out: S,
) -> Result<S::Ok, S::Error> {
    out.collect_map(aliases.iter().map(|((_, name), alias)| (name, alias)))
}

impl Sudoers {
    /// Reads a policy with its includes, from `/etc/sudoers` or another file.
    pub fn read(tree: &dyn Tree, path: &str) -> Result<Self, LookError> {
        let bytes = tree.read_config(path)?;
        let policy = Self { read_by: ReadBy::of(tree), ..Self::default() };
        let mut reader = Reader { tree, policy, open: Vec::new(), bytes_read: 0 };
        reader.file(path, &bytes);
        Ok(reader.policy)
    }

    fn is_full(&self) -> bool {
        self.rules.len() + self.defaults.len() + self.aliases.len() >= ENTRIES_MAX
    }
}

struct Reader<'a> {
    tree: &'a dyn Tree,
    policy: Sudoers,
    open: Vec<String>,
    bytes_read: usize,
}

impl Reader<'_> {
    fn file(&mut self, path: &str, bytes: &[u8]) {
        let file: Arc<str> = path.into();
        self.bytes_read += bytes.len();
        self.policy.files.push(Arc::clone(&file));
        self.open.push(path.to_string());
        for line in logical(bytes) {
            let (place, _) = line.place(&file, 0);
            if self.policy.is_full() {
                self.policy.problems.push(place, "more entries than the limit; rest not read");
                break;
            }
            if line.text.len() > LINE_BYTES_MAX || line.text.contains('\0') {
                self.policy.problems.push(place, "line is too long or holds a NUL byte");
                continue;
            }
            match grammar::include(&line.text) {
                Some(include) => self.include(&include, &file, place),
                None => grammar::line(&mut self.policy, &file, &line),
            }
        }
        self.open.pop();
    }

    fn include(&mut self, include: &grammar::Include, file: &str, place: Place) {
        if include.path.is_empty() {
            return self.policy.problems.push(place, "an include without a path");
        }
        if include.has_more {
            return self.policy.problems.push(place, "something stands behind the path");
        }
        if include.path.contains("%h") {
            return self.policy.problems.push(place, "includes with a host name are not resolved");
        }
        let path = if include.path.starts_with('/') {
            include.path.clone()
        } else {
            let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
            format!("{directory}/{}", include.path)
        };
        if include.is_directory {
            self.directory(&path, &place);
        } else {
            self.one(&path, &place);
        }
    }

    /// Files of a directory by name; names with a `.` or a `~` at the end are skipped.
    fn directory(&mut self, path: &str, place: &Place) {
        match self.tree.list(Path::new(path)) {
            Ok(entries) => {
                for entry in entries {
                    let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
                    let is_skipped = name.contains('.') || name.ends_with('~');
                    if !is_skipped && entry.kind != FileKind::Directory {
                        self.one(&entry.path.to_string_lossy(), place);
                    }
                }
            }
            Err(error) if error.not_found() => {}
            Err(error) => self.policy.unread.push(error),
        }
    }

    fn one(&mut self, path: &str, place: &Place) {
        let refused = if self.open.iter().any(|open| open == path) {
            Some("the file includes itself")
        } else if self.open.len() >= DEPTH_MAX {
            Some("includes are nested too deeply")
        } else if self.policy.files.len() >= FILES_MAX || self.bytes_read >= BYTES_MAX {
            Some("more included files than the limit")
        } else {
            None
        };
        if let Some(message) = refused {
            return self.policy.problems.push(place.clone(), message);
        }
        let left = CONFIG_BYTES_MAX.min(BYTES_MAX - self.bytes_read);
        match self.tree.read(Path::new(path), left) {
            Ok(bytes) => self.file(path, &bytes),
            Err(LookError { why: Why::NotFound, .. }) => {
                self.policy.problems.push(place.clone(), "the included file does not exist");
            }
            Err(error) => self.policy.unread.push(error),
        }
    }
}

/// Joins continued lines; blank ones are left out. A comment ends at its line even after a `\`.
fn logical(bytes: &[u8]) -> impl Iterator<Item = Joined> {
    let mut lines = numbered(bytes);
    std::iter::from_fn(move || {
        let mut current: Option<Joined> = None;
        for line in lines.by_ref() {
            let whole = line.text();
            let (code, is_commented) = match grammar::comment(&whole) {
                Some(at) => (&whole[..at], true),
                None => (&*whole, false),
            };
            let trimmed = code.trim_end();
            let slashes = trimmed.bytes().rev().take_while(|byte| *byte == b'\\').count();
            let continues = !is_commented && slashes % 2 == 1;
            let code = if continues { &trimmed[..trimmed.len() - 1] } else { code };
            let joined =
                current.get_or_insert_with(|| Joined { text: String::new(), segments: Vec::new() });
            if joined.text.len() <= LINE_BYTES_MAX {
                joined.segments.push((joined.text.len(), line.number, line.shown()));
                joined.text.push_str(code);
                joined.text.push(' ');
            }
            if !continues {
                let done = current.take().filter(|line| !line.text.trim().is_empty());
                if done.is_some() {
                    return done;
                }
            }
        }
        current.filter(|line| !line.text.trim().is_empty())
    })
}

#[cfg(test)]
mod tests;
