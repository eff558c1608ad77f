//! Several documents as one, by rules that the daemon's grammar gives; what lost is kept with its rule.

use std::collections::HashMap;

use super::{Data, Entry, Node};
use crate::config::settings::{Overridden, Rule, Settings};
use crate::place::Placed;

/// What becomes of two values of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Two mappings become one, key by key.
    Deep,
    /// The later value holds as a whole.
    Replace,
    /// The earlier value holds as a whole.
    Keep,
    /// The later list follows the earlier one; an item that is already there ([`Rules::identity`]) is left out.
    AppendNew,
    /// The later list follows the earlier one; an item takes the place of the one that it is a later form of.
    AppendOver,
    /// Neither holds: the key goes.
    Remove,
}

/// How a daemon merges.
pub trait Rules {
    /// What becomes of a value when the same key comes again.
    fn choose(&self, path: &[String], old: &Node, new: &Node) -> Choice;

    /// By which rule the later one loses where the earlier one is kept.
    fn kept_by(&self) -> Rule {
        Rule::FirstWins
    }

    /// What makes two items of a list the same; `None` when nothing does.
    fn identity(&self, _path: &[String], _item: &Node) -> Option<String> {
        None
    }
}

/// A value that does not hold, with its key as in [`settings`].
#[derive(Clone, Debug)]
pub struct Lost {
    key: String,
    value: Placed<String>,
    rule: Rule,
}

/// Takes a later document into an earlier one. Depth is bounded by that of the documents.
pub fn merge(old: &mut Node, new: Node, rules: &dyn Rules, lost: &mut Vec<Lost>) {
    let mut merger = Merger { rules, lost, path: Vec::new() };
    let choice = rules.choose(&[], old, &new);
    merger.apply(choice, old, new);
}

/// What holds by key, with what was overridden. Parts of a key are joined by dots (a dot inside of one is
/// written `\.`, as netplan does); items of a list of scalars are values of one key, of other lists keys
/// with an index (`ports[0].target`).
pub fn settings(root: &Node, lost: Vec<Lost>) -> Settings {
    let mut settings = Settings::default();
    flatten(root, &mut String::new(), &mut |key, value| settings.add(key, value));
    for lost in lost {
        if settings.has_room(&lost.value) {
            let value = Overridden { value: lost.value, rule: lost.rule };
            settings.entry(&lost.key).lose(value);
        }
    }
    settings
}

struct Merger<'a> {
    rules: &'a dyn Rules,
    lost: &'a mut Vec<Lost>,
    path: Vec<String>,
}

impl Merger<'_> {
    fn apply(&mut self, choice: Choice, old: &mut Node, new: Node) {
        match choice {
            Choice::Deep => match (&mut old.data, new.data) {
                (Data::Map(entries), Data::Map(more)) => self.mappings(entries, more),
                (_, data) => {
                    let new =
                        Node { place: new.place, data, ..Node::new(old.place.clone(), Data::Null) };
                    self.replace(old, new);
                }
            },
            Choice::Replace => self.replace(old, new),
            Choice::Keep => self.lose(&new, self.rules.kept_by()),
            Choice::AppendNew => self.append(old, new, false),
            Choice::AppendOver => self.append(old, new, true),
            // Only a key of a mapping can go; there is one.
            Choice::Remove => {}
        }
    }

    fn replace(&mut self, old: &mut Node, new: Node) {
        let old = std::mem::replace(old, new);
        self.lose(&old, Rule::LastWins);
    }

    fn mappings(&mut self, entries: &mut Vec<Entry>, more: Vec<Entry>) {
        let mut known: HashMap<String, usize> =
            entries.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
        let mut removed = Vec::new();
        for entry in more {
            match known.get(&entry.key) {
                Some(index) => {
                    self.path.push(entry.key);
                    let old = &mut entries[*index].value;
                    match self.rules.choose(&self.path, old, &entry.value) {
                        Choice::Remove => {
                            self.lose(old, Rule::EmptyResets);
                            removed.push(*index);
                        }
                        choice => self.apply(choice, old, entry.value),
                    }
                    self.path.pop();
                }
                None => {
                    known.insert(entry.key.clone(), entries.len());
                    entries.push(entry);
                }
            }
        }
        removed.sort_unstable();
        removed.dedup();
        for index in removed.into_iter().rev() {
            entries.remove(index);
        }
    }

    fn append(&mut self, old: &mut Node, new: Node, over: bool) {
        let (Data::List(items), Data::List(more)) = (&mut old.data, new.data) else { return };
        let mut known: HashMap<String, usize> = HashMap::new();
        for (at, item) in items.iter().enumerate() {
            if let Some(identity) = self.rules.identity(&self.path, item) {
                known.insert(identity, at);
            }
        }
        for item in more {
            let identity = self.rules.identity(&self.path, &item);
            match identity.as_ref().and_then(|identity| known.get(identity)) {
                Some(at) if over => {
                    let old = std::mem::replace(&mut items[*at], item);
                    self.lose(&old, Rule::LastWins);
                }
                Some(_) => self.lose(&item, Rule::FirstWins),
                None => {
                    if let Some(identity) = identity {
                        known.insert(identity, items.len());
                    }
                    items.push(item);
                }
            }
        }
    }

    fn lose(&mut self, node: &Node, rule: Rule) {
        let mut key = String::new();
        for part in &self.path {
            push(&mut key, part);
        }
        let lost = &mut *self.lost;
        flatten(node, &mut key, &mut |key, value| {
            lost.push(Lost { key: key.to_string(), value, rule });
        });
    }
}

fn push(key: &mut String, part: &str) {
    if !key.is_empty() {
        key.push('.');
    }
    key.push_str(&part.replace('.', "\\."));
}

fn flatten(node: &Node, key: &mut String, each: &mut dyn FnMut(&str, Placed<String>)) {
    let length = key.len();
    let placed = |node: &Node, value: String| Placed {
        value: if node.is_secret { SECRET.to_string() } else { value },
        place: node.place.clone(),
        text: String::new(),
    };
    match &node.data {
        Data::Map(entries) if !entries.is_empty() => {
            for entry in entries {
                push(key, &entry.key);
                flatten(&entry.value, key, each);
                key.truncate(length);
            }
        }
        Data::List(items) if !items.is_empty() => {
            let is_flat = items.iter().all(|item| item.shown().is_some());
            for (index, item) in items.iter().enumerate() {
                match item.shown().filter(|_| is_flat) {
                    Some(value) => each(key, placed(item, value)),
                    None => {
                        key.push_str(&format!("[{index}]"));
                        flatten(item, key, each);
                        key.truncate(length);
                    }
                }
            }
        }
        data => {
            let empty = if matches!(data, Data::Map(_)) { "{}" } else { "[]" };
            each(key, placed(node, node.shown().unwrap_or_else(|| empty.to_string())));
        }
    }
}

/// What stands for a value that a grammar knows to be secret.
pub const SECRET: &str = "[redacted]";

#[cfg(test)]
mod tests {
    use super::super::{Documents, Schema};
    use super::*;
    use serde_json::json;

    struct Append;

    impl Rules for Append {
        fn choose(&self, _: &[String], old: &Node, new: &Node) -> Choice {
            match (&old.data, &new.data) {
                (Data::List(_), Data::List(_)) => Choice::AppendNew,
                _ => Choice::Deep,
            }
        }

        fn identity(&self, _: &[String], item: &Node) -> Option<String> {
            item.shown()
        }
    }

    fn node(file: &str, text: &str) -> Node {
        Documents::read(&file.into(), text.as_bytes(), Schema::GoYaml2).all.remove(0)
    }

    #[test]
    fn what_lost_is_told_by_its_key() {
        let mut base = node("/a", "m: {x: 1, l: [a, b]}\ne.f: {}\n");
        let mut lost = Vec::new();
        merge(&mut base, node("/b", "m: {x: 2, l: [b, c]}\n"), &Append, &mut lost);
        assert_eq!(base.to_json(), json!({"m": {"x": 2, "l": ["a", "b", "c"]}, "e.f": {}}));
        let settings = settings(&base, lost);
        let shown = settings.to_json();
        assert_eq!(shown["settings"]["m.x"]["file"], "/b");
        assert_eq!(shown["settings"]["m.x"]["overrides"][0]["rule"], "last_wins");
        assert_eq!(shown["settings"]["m.l"]["value"], json!(["a", "b", "c"]));
        assert_eq!(shown["settings"]["m.l"]["overrides"][0]["rule"], "first_wins");
        assert_eq!(settings.value("e\\.f"), Some("{}"));
    }

    #[test]
    fn a_secret_is_nowhere_among_the_settings() {
        let mut base = node("/a", "p: CANARY\n");
        base.get_mut("p").unwrap().mark_secret();
        let mut lost = Vec::new();
        merge(&mut base, node("/b", "p: x\n"), &Append, &mut lost);
        assert!(!format!("{:?}", settings(&base, lost).by_key).contains("CANARY"));
    }
}
