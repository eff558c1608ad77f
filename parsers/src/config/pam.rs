//! The stack that PAM runs for a service: pam.d(5), with every include resolved.
//!
//! `include` and `substack` take in the lines of the same kind, `@include` (Debian) all lines. Lines
//! keep the file and column they were written at. Loops and depth end in a problem, a file that could
//! not be read is listed in `unread`; the stack is then incomplete and says so.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::lines::{Joined, numbered};
use super::problems::Problems;
use crate::place::Place;
use crate::tree::{LookError, Tree, Why};

mod evaluate;

pub use evaluate::{RETURNS, Return};

/// Where service files are looked for, first found wins.
pub const DIRECTORIES: [&str; 3] = ["/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d"];

/// Deepest nesting of includes, as in libpam.
pub const DEPTH_MAX: usize = 32;

/// Most lines of one resolved stack.
pub const RULES_MAX: usize = 1_000;

/// Most files read for one stack.
pub const FILES_MAX: usize = 256;

/// Most bytes of one file.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Most bytes of one line with its continuations.
pub const LINE_BYTES_MAX: usize = 8 << 10;

/// The four management groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Who are you.
    Auth,
    /// May you come in now.
    Account,
    /// Changing the password.
    Password,
    /// Before and after.
    Session,
}

/// What a module's answer does to the stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Control {
    /// Must succeed; the rest is still asked.
    Required,
    /// Must succeed; failure ends the stack.
    Requisite,
    /// Success ends the stack, failure is ignored.
    Sufficient,
    /// Only counts when alone.
    Optional,
    /// `[value=action …]`.
    Actions(Vec<(String, String)>),
}

impl Control {
    /// Whether a success of the module ends the stack with success (`sufficient`, `success=done`).
    pub fn success_ends(&self) -> bool {
        match self {
            Self::Sufficient => true,
            Self::Actions(pairs) => pairs.iter().any(|(v, a)| v == "success" && a == "done"),
            _ => false,
        }
    }
}

/// One line of a resolved stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// The management group.
    pub kind: Kind,
    /// A missing module is not logged (`-auth`).
    pub silent: bool,
    /// What its answer does.
    pub control: Control,
    /// The module as written, a name or a path.
    pub module: String,
    /// Its arguments, brackets taken off.
    pub arguments: Vec<String>,
    /// Where the module is written.
    pub place: Place,
    /// The line; may hold a secret (`passwd=`), redact before showing.
    #[serde(skip)]
    pub text: String,
    /// How many includes lead here.
    pub depth: usize,
}

impl Rule {
    /// The module's name without directory and `.so`.
    pub fn name(&self) -> &str {
        let name = self.module.rsplit('/').next().unwrap_or(&self.module);
        name.strip_suffix(".so").unwrap_or(name)
    }

    /// Whether an argument is given, alone (`nullok`) or with a value (`nullok=…`).
    pub fn has(&self, argument: &str) -> bool {
        self.arguments
            .iter()
            .any(|given| given.split_once('=').map_or(given.as_str(), |(key, _)| key) == argument)
    }
}

/// The resolved stack of one service.
#[derive(Clone, Debug, Serialize)]
pub struct Stack {
    /// The service, or the path it was read from.
    pub service: String,
    /// Lines in the order in which they are asked, all four kinds.
    pub rules: Vec<Rule>,
    /// Files read, in order of first reading.
    pub files: Vec<Arc<str>>,
    /// Lines that could not be understood.
    pub problems: Problems,
    /// What could not be read.
    #[serde(skip)]
    pub unread: Vec<LookError>,
    /// Rules and the places of substacks, in order.
    #[serde(skip)]
    steps: Vec<Step>,
}

/// A rule of a stack, or the line at which a substack begins.
#[derive(Clone, Debug)]
struct Step {
    kind: Kind,
    /// Its place in `rules`; `None` for the line of a substack.
    rule: Option<usize>,
    /// How many substacks are around it.
    level: usize,
}

impl Stack {
    /// Reads the stack of a service (`sshd`, `login`, `common-auth` …) or of an absolute path.
    pub fn read(tree: &dyn Tree, service: &str) -> Result<Self, LookError> {
        let mut stack = Self {
            service: service.to_string(),
            rules: Vec::new(),
            files: Vec::new(),
            problems: Problems::default(),
            unread: Vec::new(),
            steps: Vec::new(),
        };
        let (path, bytes) = find(tree, service)?;
        let mut reader = Reader { tree, stack: &mut stack, open: Vec::new(), reads: 0, level: 0 };
        reader.file(&path, &bytes, None);
        Ok(stack)
    }

    /// The lines of one kind, in order.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.kind == kind)
    }
}

/// The file of a service and its bytes.
fn find(tree: &dyn Tree, service: &str) -> Result<(String, Vec<u8>), LookError> {
    if service.starts_with('/') {
        let bytes = tree.read(Path::new(service), FILE_BYTES_MAX)?;
        return Ok((service.to_string(), bytes));
    }
    let mut missing = LookError::new(Path::new(service), Why::NotFound);
    for (index, directory) in DIRECTORIES.iter().enumerate() {
        let path = format!("{directory}/{service}");
        match tree.read(Path::new(&path), FILE_BYTES_MAX) {
            Ok(bytes) => return Ok((path, bytes)),
            Err(error) if error.not_found() => {
                if index == 0 {
                    missing = error;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Err(missing)
}

struct Reader<'a> {
    tree: &'a dyn Tree,
    stack: &'a mut Stack,
    open: Vec<String>,
    reads: usize,
    /// How many substacks are being read.
    level: usize,
}

impl Reader<'_> {
    fn file(&mut self, path: &str, bytes: &[u8], only: Option<Kind>) {
        let file: Arc<str> = path.into();
        if !self.stack.files.contains(&file) {
            self.stack.files.push(Arc::clone(&file));
        }
        self.open.push(path.to_string());
        for (logical, is_whole) in logical(bytes) {
            if self.stack.rules.len() == RULES_MAX {
                let (place, _) = logical.place(&file, 0);
                self.stack.problems.push(place, "more lines than the limit; rest not read");
                break;
            }
            if !is_whole {
                let (place, _) = logical.place(&file, 0);
                let message = "the file ends within a continued line; libpam refuses it";
                self.stack.problems.push(place, message);
                break;
            }
            self.line(&file, &logical, only);
        }
        self.open.pop();
    }

    fn line(&mut self, file: &Arc<str>, logical: &Joined, only: Option<Kind>) {
        let (place, _) = logical.place(file, 0);
        if logical.text.len() > LINE_BYTES_MAX || logical.text.contains('\0') {
            let message = "line is too long or holds a NUL byte";
            return self.stack.problems.push(place, message);
        }
        let words = words(&logical.text);
        let Some((at, first)) = words.first() else { return };
        let place = logical.place(file, *at).0;
        if first == "@include" {
            match words.get(1) {
                Some((_, name)) => self.include(name, only, &place),
                None => self.stack.problems.push(place, "@include without a file"),
            }
            return;
        }
        let (silent, name) = match first.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, first.as_str()),
        };
        let Some(kind) = kind(name) else {
            return self.stack.problems.push(place, "unknown module type");
        };
        if only.is_some_and(|only| only != kind) {
            return;
        }
        let [_, (_, control), (at, module), arguments @ ..] = words.as_slice() else {
            return self.stack.problems.push(place, "module type, control and module expected");
        };
        let control = match control.to_ascii_lowercase().as_str() {
            "include" => {
                let place = logical.place(file, *at).0;
                return self.include(module, Some(kind), &place);
            }
            "substack" => {
                let place = logical.place(file, *at).0;
                self.stack.steps.push(Step { kind, rule: None, level: self.level });
                self.level += 1;
                self.include(module, Some(kind), &place);
                self.level -= 1;
                return;
            }
            "required" => Control::Required,
            "requisite" => Control::Requisite,
            "sufficient" => Control::Sufficient,
            "optional" => Control::Optional,
            other if other.starts_with('[') => Control::Actions(actions(other)),
            _ => return self.stack.problems.push(place, "unknown control"),
        };
        let (place, text) = logical.place(file, *at);
        let rule = Some(self.stack.rules.len());
        self.stack.steps.push(Step { kind, rule, level: self.level });
        self.stack.rules.push(Rule {
            kind,
            silent,
            control,
            module: module.clone(),
            arguments: arguments.iter().map(|(_, word)| unbracketed(word)).collect(),
            place,
            text,
            depth: self.open.len() - 1,
        });
    }

    fn include(&mut self, name: &str, only: Option<Kind>, place: &Place) {
        if self.open.len() == DEPTH_MAX {
            return self.stack.problems.push(place.clone(), "includes are nested too deeply");
        }
        if self.reads == FILES_MAX {
            return self.stack.problems.push(place.clone(), "more includes than the limit");
        }
        self.reads += 1;
        match find(self.tree, name) {
            Ok((path, _)) if self.open.contains(&path) => {
                self.stack.problems.push(place.clone(), "the file includes itself");
            }
            Ok((path, bytes)) => self.file(&path, &bytes, only),
            Err(error) => {
                if error.not_found() {
                    self.stack.problems.push(place.clone(), "the included file does not exist");
                } else {
                    self.stack.unread.push(error);
                }
            }
        }
    }
}

/// Joins continued lines and takes comments off, as libpam does: blank lines and lines of comment alone
/// are passed over, also within a continued line, and a `\` before a comment continues nothing. With each
/// line: whether it has its end, or the file ended before.
fn logical(bytes: &[u8]) -> impl Iterator<Item = (Joined, bool)> {
    let mut lines = numbered(bytes);
    std::iter::from_fn(move || {
        let mut current: Option<Joined> = None;
        for line in lines.by_ref() {
            let whole = line.text();
            let (code, is_commented) = match whole.split_once('#') {
                Some((code, _)) => (code, true),
                None => (&*whole, false),
            };
            if code.trim().is_empty() {
                continue;
            }
            let (code, continues) = match code.trim_end().strip_suffix('\\') {
                Some(rest) if !is_commented => (rest, true),
                _ => (code, false),
            };
            let joined =
                current.get_or_insert_with(|| Joined { text: String::new(), segments: Vec::new() });
            if joined.text.len() <= LINE_BYTES_MAX {
                joined.segments.push((joined.text.len(), line.number, line.shown()));
                joined.text.push_str(code);
                joined.text.push(' ');
            }
            if !continues {
                return current.map(|joined| (joined, true));
            }
        }
        current.map(|joined| (joined, false))
    })
}

/// Splits at blanks; a word that starts with `[` runs to its `]` (`\]` does not end it).
fn words(text: &str) -> Vec<(usize, String)> {
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at].is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let start = at;
        let in_brackets = bytes[at] == b'[';
        while at < bytes.len() {
            match bytes[at] {
                b'\\' if in_brackets && bytes.get(at + 1) == Some(&b']') => at += 1,
                b']' if in_brackets => {
                    at += 1;
                    break;
                }
                byte if !in_brackets && byte.is_ascii_whitespace() => break,
                _ => {}
            }
            at += 1;
        }
        words.push((start, text[start..at].to_string()));
    }
    words
}

fn kind(name: &str) -> Option<Kind> {
    match name.to_ascii_lowercase().as_str() {
        "auth" => Some(Kind::Auth),
        "account" => Some(Kind::Account),
        "password" => Some(Kind::Password),
        "session" => Some(Kind::Session),
        _ => None,
    }
}

fn actions(control: &str) -> Vec<(String, String)> {
    control
        .trim_matches(['[', ']'])
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='))
        .map(|(value, action)| (value.to_string(), action.to_string()))
        .collect()
}

fn unbracketed(word: &str) -> String {
    match word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.replace("\\]", "]"),
        None => word.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{FileKind, MemoryTree};

    #[test]
    fn a_debian_stack_is_resolved_in_order() {
        let tree = MemoryTree::new()
            .file("/etc/pam.d/login", "# c\nauth requisite pam_nologin.so\n@include common-auth\n")
            .file(
                "/etc/pam.d/common-auth",
                "auth\t[success=1 default=ignore]\tpam_unix.so nullok \\\n  [user file=/a b]\n\
                 -auth requisite pam_deny.so # no\naccount required pam_unix.so\n",
            );
        let stack = Stack::read(&tree, "login").unwrap();
        let names: Vec<_> = stack.rules.iter().map(Rule::name).collect();
        assert_eq!(names, ["pam_nologin", "pam_unix", "pam_deny", "pam_unix"]);
        let unix = &stack.rules[1];
        assert!(unix.has("nullok") && unix.depth == 1);
        assert_eq!(unix.arguments[1], "user file=/a b");
        assert_eq!(unix.place.to_string(), "/etc/pam.d/common-auth:1:33");
        assert!(stack.rules[2].silent && stack.problems.is_empty());
        let pair = ("success".to_string(), "1".to_string());
        assert!(matches!(&unix.control, Control::Actions(all) if all[0] == pair));
    }

    #[test]
    fn include_and_substack_take_their_own_kind_only() {
        let tree = MemoryTree::new()
            .file("/etc/pam.d/sshd", "auth substack password-auth\naccount include password-auth\n")
            .file(
                "/usr/lib/pam.d/password-auth",
                "auth sufficient pam_unix.so\naccount required pam_unix.so\nsession x\n",
            );
        let stack = Stack::read(&tree, "sshd").unwrap();
        let kinds: Vec<_> = stack.rules.iter().map(|rule| rule.kind).collect();
        assert_eq!(kinds, [Kind::Auth, Kind::Account]);
        assert_eq!(stack.of(Kind::Auth).count(), 1);
        assert!(stack.rules[0].control.success_ends());
    }

    #[test]
    fn loops_missing_files_and_bad_lines_are_told() {
        let tree = MemoryTree::new()
            .file("/etc/pam.d/a", "@include b\n@include none\n@include fifo\nauth\nwhat x y\n")
            .file("/etc/pam.d/b", "@include a\nauth required pam_unix.so\nauth maybe x.so\n")
            .special("/etc/pam.d/fifo", FileKind::Fifo);
        let stack = Stack::read(&tree, "a").unwrap();
        assert_eq!(stack.rules.len(), 1);
        let places: Vec<_> = stack.problems.kept.iter().map(|p| p.place.to_string()).collect();
        assert_eq!(
            places,
            [
                "/etc/pam.d/b:1:1",
                "/etc/pam.d/b:3:1",
                "/etc/pam.d/a:2:1",
                "/etc/pam.d/a:4:1",
                "/etc/pam.d/a:5:1"
            ]
        );
        assert_eq!(stack.unread.len(), 1);
        assert!(Stack::read(&tree, "nobody").unwrap_err().not_found());
    }

    #[test]
    fn a_bush_of_includes_and_long_lines_are_bounded() {
        let mut tree = MemoryTree::new();
        for level in 0..40 {
            let text = format!("@include l{0}\n@include l{0}\n", level + 1);
            tree = tree.file(&format!("/etc/pam.d/l{level}"), text);
        }
        let stack = Stack::read(&tree, "l0").unwrap();
        assert!(!stack.problems.is_empty());
        let long = vec![b'a'; FILE_BYTES_MAX];
        let stack = Stack::read(&MemoryTree::new().file("/etc/pam.d/x", long), "x").unwrap();
        assert_eq!(stack.problems.len(), 1);
        let endless = b"auth \\\n".repeat(100_000);
        let stack = Stack::read(&MemoryTree::new().file("/etc/pam.d/x", endless), "x").unwrap();
        assert_eq!(stack.problems.len(), 1);
    }

    #[test]
    fn continued_lines_pass_over_blank_ones_and_need_an_end() {
        let text = "auth required \\\n\n# c\n  a.so x \\ # c\nauth required b.so \\\n";
        let stack = Stack::read(&MemoryTree::new().file("/etc/pam.d/a", text), "a").unwrap();
        assert_eq!(stack.rules.len(), 1);
        assert_eq!(stack.rules[0].arguments, ["x", "\\"]);
        assert_eq!(stack.rules[0].place.to_string(), "/etc/pam.d/a:4:3");
        assert_eq!(stack.problems.kept[0].place.line, 5);
    }
}
