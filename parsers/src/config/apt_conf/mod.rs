//! apt.conf and its drop-ins (apt 2.6, `apt-pkg/contrib/configuration.cc`, `strutl.cc`; apt.conf(5)).
//!
//! Files of `apt.conf.d` in the order of their names, then `apt.conf`: the last value of a name holds, in
//! any case of letters; names that end in `::` add to a list; `#clear` empties a name and all below it;
//! `#include` reads a file or directory. A fault ends its file, what was set before stays. A drop-in's name
//! has no extension or `.conf`, and only letters, digits, `_`, `-`, `:` and `.`. The settings of one program
//! (`Binary::…`), the command line and `APT_CONFIG` are not looked at.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::document::dropin::{self, FILES_MAX, Reader};
use super::problems::note_unread;
use super::settings::{Overridden, Rule, Settings};
use crate::place::Placed;
use crate::tree::{FileKind, Links, LookError, Tree, Why};

mod read;
mod words;

/// The directory of drop-ins.
pub const PARTS: &str = "/etc/apt/apt.conf.d";

/// The main file, which is read last.
pub const MAIN: &str = "/etc/apt/apt.conf";

/// Most items of one configuration.
pub const ITEMS_MAX: usize = 50_000;

/// Longest full name, in bytes.
pub const NAME_BYTES_MAX: usize = 1_024;

/// Deepest nesting of blocks.
pub const DEPTH_MAX: usize = 64;

/// Deepest nesting of `#include`, as apt's own.
pub const INCLUDES_MAX: usize = 10;

/// What apt would read.
///
/// ```
/// use parsers::config::apt_conf::AptConf;
/// let read = AptConf::parse("/etc/apt/apt.conf", b"APT { Get { Assume-Yes \"true\"; }; L { \"a\"; \"b\"; }; };");
/// let settings = read.settings();
/// assert_eq!(settings.value("APT::Get::Assume-Yes"), Some("true"));
/// assert_eq!(settings.get("APT::L").map(|setting| setting.values.len()), Some(2));
/// ```
#[derive(Debug)]
pub struct AptConf {
    items: Vec<Item>,
    /// Children by parent and name in small letters.
    known: HashMap<(usize, String), usize>,
    /// Files, problems and what could not be read; without settings.
    outcome: Settings,
}

/// A node of apt's tree. The root is the first.
#[derive(Debug)]
struct Item {
    /// Empty for what a list holds.
    tag: String,
    parent: usize,
    children: Vec<usize>,
    value: Option<Placed<String>>,
    overrides: Vec<Overridden>,
}

impl AptConf {
    fn new() -> Self {
        let root = Item {
            tag: String::new(),
            parent: 0,
            children: Vec::new(),
            value: None,
            overrides: Vec::new(),
        };
        Self { items: vec![root], known: HashMap::new(), outcome: Settings::default() }
    }

    /// Reads one file alone; what it includes is not read.
    pub fn parse(file: &str, bytes: &[u8]) -> Self {
        let mut all = Self::new();
        let file: Arc<str> = file.into();
        all.outcome.files.push(Arc::clone(&file));
        read::text(&mut all, None, &file, bytes, 0);
        all
    }

    /// Reads [`PARTS`] and [`MAIN`] of a tree.
    pub fn read(tree: &dyn Tree) -> Self {
        Self::read_from(tree, PARTS, MAIN)
    }

    /// Reads a directory of drop-ins and a main file.
    pub fn read_from(tree: &dyn Tree, parts: &str, main: &str) -> Self {
        let mut all = Self::new();
        let mut reader = Reader::new(tree);
        all.directory(&mut reader, parts, 0);
        match tree.stat(Path::new(main), Links::Follow) {
            Err(error) if error.not_found() => {}
            _ => all.file(&mut reader, main, 0),
        }
        all.outcome.unread.extend(reader.unread);
        all
    }

    fn directory(&mut self, reader: &mut Reader<'_>, path: &str, depth: usize) {
        let tree = reader.tree();
        let (files, _) = dropin::list(tree, &[path], &is_taken, &mut self.outcome.unread);
        for file in files {
            let stat = tree.stat(&file, Links::Follow);
            if stat.is_ok_and(|stat| stat.kind != FileKind::Directory) {
                self.file(reader, &file.to_string_lossy(), depth);
            }
        }
    }

    fn file(&mut self, reader: &mut Reader<'_>, path: &str, depth: usize) {
        if self.outcome.files.len() == FILES_MAX {
            let error = LookError::new(Path::new(path), Why::TooMany(FILES_MAX));
            return note_unread(&mut self.outcome.unread, error);
        }
        let Some(bytes) = reader.noted(Path::new(path)) else { return };
        let file: Arc<str> = path.into();
        self.outcome.files.push(Arc::clone(&file));
        read::text(self, Some(reader), &file, &bytes, depth);
    }

    /// The item of a name, made where it is not there; `None` past the limits.
    fn item(&mut self, name: &str) -> Option<usize> {
        let mut at = 0;
        for part in parts(name) {
            at = self.child(at, part)?;
        }
        Some(at)
    }

    fn child(&mut self, parent: usize, tag: &str) -> Option<usize> {
        let key = (parent, tag.to_ascii_lowercase());
        if !tag.is_empty()
            && let Some(known) = self.known.get(&key)
        {
            return Some(*known);
        }
        if self.items.len() > ITEMS_MAX {
            return None;
        }
        let index = self.items.len();
        self.items.push(Item {
            tag: tag.to_string(),
            parent,
            children: Vec::new(),
            value: None,
            overrides: Vec::new(),
        });
        self.items[parent].children.push(index);
        if !tag.is_empty() {
            self.known.insert(key, index);
        }
        Some(index)
    }

    fn set(&mut self, name: &str, value: Placed<String>) {
        let place = value.place.clone();
        if name.len() > NAME_BYTES_MAX {
            return self.outcome.problems.push(place, "the name is too long");
        }
        match self.item(name) {
            Some(index) => {
                let item = &mut self.items[index];
                let old = item.value.replace(value);
                let old = old.map(|value| Overridden { value, rule: Rule::LastWins });
                item.overrides.extend(old);
            }
            None => {
                let message = format!("more than {ITEMS_MAX} items; this one is not kept");
                self.outcome.problems.push(place, message);
            }
        }
    }

    /// Empties a name and all below it; nothing happens where it is not there.
    fn clear(&mut self, name: &str) {
        let mut at = 0;
        for part in parts(name) {
            match self.known.get(&(at, part.to_ascii_lowercase())) {
                Some(child) if !part.is_empty() => at = *child,
                _ => return,
            }
        }
        let mut lost = Vec::new();
        let mut pending = vec![at];
        while let Some(index) = pending.pop() {
            let children = std::mem::take(&mut self.items[index].children);
            for child in &children {
                self.known.remove(&(index, self.items[*child].tag.to_ascii_lowercase()));
            }
            pending.extend(children);
            let item = &mut self.items[index];
            lost.append(&mut item.overrides);
            let old = item.value.take();
            lost.extend(old.map(|value| Overridden { value, rule: Rule::EmptyResets }));
        }
        self.items[at].overrides = lost;
    }

    fn full_tag(&self, mut index: usize) -> String {
        let mut tags = Vec::new();
        while index != 0 {
            tags.push(self.items[index].tag.as_str());
            index = self.items[index].parent;
        }
        tags.reverse();
        tags.join("::")
    }

    /// Every item in apt's order, as `apt-config dump` shows it: full name and value.
    pub fn dump(&self) -> Vec<(String, String)> {
        let mut out = Vec::new();
        self.walk(&mut |name, item| {
            let value = item.value.as_ref().map_or(String::new(), |value| value.value.clone());
            out.push((name, value));
        });
        out
    }

    fn walk(&self, each: &mut dyn FnMut(String, &Item)) {
        let mut pending: Vec<usize> = self.items[0].children.iter().rev().copied().collect();
        while let Some(index) = pending.pop() {
            each(self.full_tag(index), &self.items[index]);
            pending.extend(self.items[index].children.iter().rev());
        }
    }

    /// What holds by full name; a list is the value of its name.
    pub fn settings(&self) -> Settings {
        let mut settings = self.outcome.clone();
        self.walk(&mut |name, item| {
            let key = name.strip_suffix("::").unwrap_or(&name);
            for old in &item.overrides {
                settings.entry(key).lose(old.clone());
            }
            if let Some(value) = &item.value {
                settings.add(key, value.clone());
            }
        });
        settings
    }
}

/// The parts of a name. A sign after `::` belongs to the next part, whatever it is: `a::::b` has the parts
/// `a` and `::b`.
fn parts(name: &str) -> Vec<&str> {
    let bytes = name.as_bytes();
    let (mut parts, mut start, mut at) = (Vec::new(), 0, 0);
    while at + 2 <= bytes.len() {
        if &bytes[at..at + 2] == b"::" {
            parts.push(&name[start..at]);
            start = at + 2;
            at = start;
        }
        at += 1;
    }
    parts.push(&name[start..]);
    parts
}

/// Names of drop-ins (`GetListOfFilesInDir`): others are left out without a word of an error.
fn is_taken(name: &str) -> bool {
    let is_sign = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '.');
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    !name.starts_with('.') && name.chars().all(is_sign) && matches!(extension, None | Some("conf"))
}

#[cfg(test)]
mod tests;
