//! cloud-init's configuration and `#cloud-config` user data (cloud-init 22.4: `util.read_conf_with_confd`,
//! `mergers/m_dict.py`, `m_list.py`, `m_str.py`).
//!
//! `cloud.cfg` and the files `*.cfg` of `cloud.cfg.d` (or of what `conf_d` names) in the order of their
//! names: a later file holds, mappings merge, lists are replaced as a whole. Where a later file has a text
//! or list and an earlier one a mapping, the mapping holds: the default mergers do that. A file of its own
//! rules (`merge_how`, `merge_type`) is merged by the default ones here, and that is told. A file that is
//! no mapping is ignored, as cloud-init ignores it. Scalars mean what PyYAML says. Values that hold
//! passwords, keys and tokens are marked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::document::dropin::{self, Reader};
use super::document::merge::{self, Choice, Rules};
use super::document::{Data, Documents, Node, Schema};
use super::problems::{Problems, note_unread};
use super::settings::{Rule, Settings};
use crate::tree::{FileKind, Links, LookError, Tree};

/// The main file.
pub const CLOUD_CFG: &str = "/etc/cloud/cloud.cfg";

/// The first line of user data that is configuration.
pub const HEADER: &str = "#cloud-config";

/// Keys whose values are secrets, wherever they stand.
const SECRETS: &[&str] = &[
    "passwd",
    "hashed_passwd",
    "plain_text_passwd",
    "password",
    "hashed-password",
    "token",
    "activation-key",
    "activation_key",
    "registration_key",
    "private_key",
    "private-key",
    "private-cert",
    "shared_key",
    "secret",
    "secret_key",
    "consumer_key",
    "consumer_secret",
    "token_key",
    "token_secret",
    "validation_key",
];

/// What cloud-init would read.
#[derive(Clone, Debug, Default)]
pub struct CloudInit {
    /// The merged document; `None` when there is nothing.
    pub root: Option<Node>,
    /// What holds by key, with what it overrode.
    pub settings: Settings,
    /// Scalars that mean something else in YAML 1.2.
    pub notes: Problems,
}

/// Reads one file: no document when it is empty or ignored.
///
/// ```
/// use parsers::config::cloud_init::parse;
/// let read = parse(&"/x".into(), b"#cloud-config\nssh_pwauth: yes\npassword: secret\n");
/// assert_eq!(read.all[0].get("ssh_pwauth").and_then(|node| node.bool()), Some(true));
/// assert!(read.all[0].get("password").is_some_and(|node| node.is_secret));
/// ```
pub fn parse(file: &Arc<str>, bytes: &[u8]) -> Documents {
    let mut read = Documents::read(file, bytes, Schema::PyYaml);
    if bytes.starts_with(b"## template:jinja") || bytes.starts_with(b"## template: jinja") {
        read.problems.at(file, 1, 1, "a template: its variables are not filled in here");
    }
    if let Some(second) = read.all.get(1) {
        read.problems.push(second.place.clone(), "a second document; the file is ignored");
        read.all.clear();
    }
    read.all.retain(|node| node.data != Data::Null);
    let Some(root) = read.all.first_mut() else { return read };
    if !matches!(root.data, Data::Map(_)) {
        read.problems.push(root.place.clone(), "a mapping is expected; the file is ignored");
        read.all.clear();
        return read;
    }
    mark(root);
    for key in ["merge_how", "merge_type"] {
        if let Some(node) = root.get(key) {
            let message = format!("{key}: rules of its own, by which it is not merged here");
            read.problems.push(node.place.clone(), message);
        }
    }
    read
}

/// Marks secrets. Depth is bounded by that of the document.
fn mark(node: &mut Node) {
    let is_encoded = node.get("encoding").is_some();
    for entry in node.entries_mut() {
        let key = entry.key.as_str();
        // What is encoded nobody can look through for secrets.
        let is_content = matches!(key, "content" | "data") && is_encoded;
        match key {
            "chpasswd" => mark_list(&mut entry.value),
            _ if SECRETS.contains(&key) || is_content || key.ends_with("_private") => {
                entry.value.mark_secret();
            }
            _ => {}
        }
        mark(&mut entry.value);
    }
    node.items_mut().iter_mut().for_each(mark);
}

/// `chpasswd.list` is `name:password` lines.
fn mark_list(chpasswd: &mut Node) {
    if let Some(list) = chpasswd.get_mut("list") {
        list.mark_secret();
    }
}

impl CloudInit {
    /// Reads a main file (usually [`CLOUD_CFG`]) with its drop-ins.
    pub fn read(tree: &dyn Tree, main: &str) -> Self {
        let mut reader = Reader::new(tree);
        let mut all = Self::default();
        let mut documents = Vec::new();
        let mut base = all.file(&mut reader, Path::new(main));
        let directory = match base.as_ref().and_then(|node| node.get("conf_d")) {
            Some(node) => node.text().unwrap_or_default().trim().to_string(),
            None => format!("{main}.d"),
        };
        for path in drop_ins(tree, &directory, &mut reader.unread) {
            documents.extend(all.file(&mut reader, &path));
        }
        // Read upwards, merged downwards: what is already there holds.
        let mut lost = Vec::new();
        let mut root: Option<Node> = None;
        for node in documents.into_iter().rev().chain(base.take()) {
            match &mut root {
                Some(root) => merge::merge(root, node, &Mergers, &mut lost),
                None => root = Some(node),
            }
        }
        let (problems, files) =
            (std::mem::take(&mut all.settings.problems), std::mem::take(&mut all.settings.files));
        if let Some(root) = &root {
            all.settings = merge::settings(root, lost);
        }
        for problem in problems.kept {
            all.settings.problems.push(problem.place, problem.message);
        }
        (all.settings.files, all.settings.unread) = (files, reader.unread);
        all.root = root;
        all
    }

    fn file(&mut self, reader: &mut Reader<'_>, path: &Path) -> Option<Node> {
        let bytes = reader.noted(path)?;
        let file: Arc<str> = path.to_string_lossy().into();
        let mut read = parse(&file, &bytes);
        self.settings.files.push(file);
        for problem in std::mem::take(&mut read.problems).kept {
            self.settings.problems.push(problem.place, problem.message);
        }
        for note in std::mem::take(&mut read.notes).kept {
            self.notes.push(note.place, note.message);
        }
        read.all.pop()
    }

    /// `{"settings","files","document","notes"}`.
    pub fn to_json(&self) -> Value {
        let mut value = self.settings.to_json();
        value["document"] = self.root.as_ref().map_or(Value::Null, Node::to_json);
        value["notes"] = json!(self.notes.kept);
        value
    }
}

/// Regular files, links to them followed, whose names end in `.cfg`.
fn drop_ins(tree: &dyn Tree, directory: &str, unread: &mut Vec<LookError>) -> Vec<PathBuf> {
    if directory.is_empty() {
        return Vec::new();
    }
    let takes = |name: &str| name.ends_with(".cfg");
    let (mut files, _) = dropin::list(tree, &[directory], &takes, unread);
    files.retain(|path| match tree.stat(path, Links::Follow) {
        Ok(stat) => stat.kind == FileKind::Regular,
        Err(error) => {
            note_unread(unread, error);
            false
        }
    });
    files
}

/// `list()+dict()+str()`, the default.
struct Mergers;

impl Rules for Mergers {
    fn choose(&self, _: &[String], old: &Node, new: &Node) -> Choice {
        match (&old.data, &new.data) {
            (Data::Map(_), Data::Map(_)) => Choice::Deep,
            (Data::List(_) | Data::Text(_), Data::Map(_)) => Choice::Replace,
            _ => Choice::Keep,
        }
    }

    /// What is kept was read later.
    fn kept_by(&self) -> Rule {
        Rule::LastWins
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryTree;

    #[test]
    fn later_files_hold_mappings_merge_and_lists_are_replaced() {
        let tree = MemoryTree::new()
            .file(CLOUD_CFG, "ssh_pwauth: yes\nusers: [default, bob]\nsystem_info: {a: 1, b: 1}\n")
            .file("/etc/cloud/cloud.cfg.d/05_a.cfg", "system_info: {b: 2}\nssh_pwauth: off\n")
            .file("/etc/cloud/cloud.cfg.d/90_b.cfg", "users: [ann]\n")
            .file("/etc/cloud/cloud.cfg.d/README", "a: [\n");
        let read = CloudInit::read(&tree, CLOUD_CFG);
        let shown = read.to_json();
        assert_eq!(shown["document"]["system_info"], json!({"b": 2, "a": 1}));
        assert_eq!(shown["settings"]["users"]["value"], "ann");
        assert_eq!(shown["settings"]["users"]["overrides"][1]["value"], "bob");
        let setting = &shown["settings"]["ssh_pwauth"];
        assert_eq!((&setting["value"], &setting["line"]), (&json!("false"), &json!(2)));
        assert_eq!(setting["overrides"][0]["rule"], "last_wins");
        assert_eq!(shown["notes"].as_array().unwrap().len(), 2);
        assert!(read.settings.problems.is_empty());
    }

    #[test]
    fn an_earlier_mapping_holds_over_a_later_text_or_list() {
        let tree = MemoryTree::new()
            .file(CLOUD_CFG, "a: {k: 1}\nb: {k: 1}\nc: {k: 1}\nconf_d: /d\n")
            .file("/d/1.cfg", "a: text\nb: [1]\nc: 5\n")
            .file("/etc/cloud/cloud.cfg.d/1.cfg", "a: unread\n");
        let root = CloudInit::read(&tree, CLOUD_CFG).root.unwrap().to_json();
        assert_eq!((&root["a"], &root["b"]), (&json!({"k": 1}), &json!({"k": 1})));
        assert_eq!(root["c"], 5);
    }

    #[test]
    fn passwords_are_marked_wherever_they_stand() {
        let text = "users:\n- {name: a, passwd: C1, plain_text_passwd: C2}\nchpasswd:\n  expire: no\n  list: |\n    a:C3\n  users: [{name: b, password: C4}]\nssh_keys: {rsa_private: C5, rsa_public: P}\nwrite_files: [{encoding: b64, content: C6}]\npassword: C7\n";
        let tree = MemoryTree::new().file(CLOUD_CFG, text);
        let read = CloudInit::read(&tree, CLOUD_CFG);
        let shown = format!("{:?}", read.settings.by_key);
        for number in 1..=7 {
            assert!(!shown.contains(&format!("C{number}")), "{number}: {shown}");
        }
        assert_eq!(read.settings.value("chpasswd.expire"), Some("false"));
        assert_eq!(read.settings.value("ssh_keys.rsa_public"), Some("P"));
    }

    #[test]
    fn what_is_ignored_or_not_resolved_is_told() {
        for text in ["- a\n", "a: 1\n---\nb: 1\n", "a: [", "merge_how: list(append)\n"] {
            assert_eq!(parse(&"/x".into(), text.as_bytes()).problems.len(), 1, "{text}");
        }
        assert!(parse(&"/x".into(), b"# nothing\n").problems.is_empty());
        let tree = MemoryTree::new()
            .special("/etc/cloud/cloud.cfg.d/1.cfg", FileKind::Fifo)
            .denied(CLOUD_CFG);
        let read = CloudInit::read(&tree, CLOUD_CFG);
        assert_eq!((read.settings.unread.len(), read.root), (1, None));
    }
}
