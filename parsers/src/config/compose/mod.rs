//! Compose files (compose-spec; compose-go v2 `loader`, `override/merge.go`, `override/uncity.go`).
//!
//! Scalars mean what go-yaml v3 says; merge keys are applied, `x-` keys kept. `${VAR:-default}` is left as
//! it stands and listed. `extends` and `include` are not followed, and that is told. Ports and volumes, in
//! their short and long forms, become one form. With an override file mappings merge, lists add up
//! (`command`, `entrypoint` and a health check's `test` are replaced), an item for the same port, target or
//! value takes the place of the earlier one; `!reset` takes a key away, `!override` replaces it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::document::dropin::Reader;
use super::document::merge::{self, Choice, Rules};
use super::document::{Data, Documents, Entry, Node, Schema};
use super::problems::Problems;
use super::settings::Settings;
use crate::place::Place;
use crate::tree::{Links, LookError, Tree};

mod forms;
mod variables;

pub use forms::{Port, Volume};
pub use variables::Variable;

/// Names of a project's file, the first that is there being read.
pub const FILES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// Names of the file that is merged into it, the first that is there being read.
pub const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// Keys of a service whose list of names is the short form of a mapping.
const MAPPINGS: [&str; 5] = ["environment", "labels", "annotations", "depends_on", "networks"];

/// What a project's files say.
#[derive(Clone, Debug, Default)]
pub struct Compose {
    /// The document, merged where there are several; `None` when there is nothing.
    pub root: Option<Node>,
    /// Ports that services publish or name.
    pub ports: Vec<Port>,
    /// What services mount.
    pub volumes: Vec<Volume>,
    /// Variables that stand in the values.
    pub variables: Vec<Variable>,
    /// What holds by key, with what it overrode; of one file alone only its problems and names.
    pub settings: Settings,
    /// What is not followed here, and scalars that mean something else in YAML 1.2.
    pub notes: Problems,
}

impl Compose {
    /// Reads one file as it stands.
    ///
    /// ```
    /// use parsers::config::compose::Compose;
    /// let read = Compose::parse("/compose.yaml", b"services: {a: {ports: ['127.0.0.1:80:8080/udp']}}");
    /// let port = &read.ports[0];
    /// assert_eq!((port.host_ip.as_deref(), port.host_port.as_deref()), (Some("127.0.0.1"), Some("80")));
    /// assert_eq!((port.container_port.as_str(), port.protocol.as_str()), ("8080", "udp"));
    /// ```
    pub fn parse(file: &str, bytes: &[u8]) -> Self {
        let mut all = Self::default();
        all.root = all.document(&file.into(), bytes);
        all.finish();
        all
    }

    /// Reads a project: its file and the override file beside it. Given an override file, reads the file
    /// that it belongs to first.
    ///
    /// # Errors
    /// When the file itself cannot be read.
    pub fn read(tree: &dyn Tree, path: &str) -> Result<Self, LookError> {
        let mut reader = Reader::new(tree);
        let mut all = Self::default();
        let (main, over) = project(tree, Path::new(path));
        let bytes = reader.bytes(&main)?;
        let mut root = all.document(&main.to_string_lossy().into(), &bytes);
        let mut lost = Vec::new();
        if let Some(path) = over
            && let Some(bytes) = reader.noted(&path)
            && let Some(mut more) = all.document(&path.to_string_lossy().into(), &bytes)
        {
            normalize(&mut more);
            match &mut root {
                Some(root) => {
                    normalize(root);
                    merge::merge(root, more, &Overrides, &mut lost);
                }
                None => root = Some(more),
            }
        }
        let before = std::mem::take(&mut all.settings);
        if let Some(root) = &mut root {
            normalize(root);
            all.settings = merge::settings(root, lost);
        }
        for problem in before.problems.kept {
            all.settings.problems.push(problem.place, problem.message);
        }
        (all.settings.files, all.settings.unread) = (before.files, reader.unread);
        all.root = root;
        all.finish();
        Ok(all)
    }

    fn document(&mut self, file: &Arc<str>, bytes: &[u8]) -> Option<Node> {
        let mut read = Documents::read(file, bytes, Schema::GoYaml3);
        self.settings.files.push(Arc::clone(file));
        for problem in std::mem::take(&mut read.problems).kept {
            self.settings.problems.push(problem.place, problem.message);
        }
        for note in std::mem::take(&mut read.notes).kept {
            self.notes.push(note.place, note.message);
        }
        let problems = &mut self.settings.problems;
        if let Some(second) = read.all.get(1) {
            problems.push(second.place.clone(), "a second document, which is not merged here");
        }
        let root = read.all.into_iter().next().filter(|node| node.data != Data::Null)?;
        if !matches!(root.data, Data::Map(_)) {
            problems.push(root.place.clone(), "a mapping is expected here");
            return None;
        }
        if let Some(include) = root.get("include") {
            self.notes.push(include.place.clone(), "include: the files are not read here");
        }
        for service in root.get("services").map(Node::entries).unwrap_or_default() {
            if let Some(extends) = service.value.get("extends") {
                self.notes.push(extends.place.clone(), "extends: the service is not merged here");
            }
        }
        Some(root)
    }

    fn finish(&mut self) {
        let Some(root) = &self.root else { return };
        for service in root.get("services").map(Node::entries).unwrap_or_default() {
            let problems = &mut self.settings.problems;
            forms::ports(&service.key, &service.value, &mut self.ports, problems);
            forms::volumes(&service.key, &service.value, &mut self.volumes, problems);
        }
        variables::collect(root, &mut self.variables);
    }

    /// `{"files","document","ports","volumes","variables","notes"}`, and with `settings` what holds by key.
    pub fn to_json(&self) -> Value {
        json!({
            "files": self.settings.files,
            "document": self.root.as_ref().map_or(Value::Null, Node::to_json),
            "ports": self.ports,
            "volumes": self.volumes,
            "variables": self.variables,
            "notes": self.notes.kept,
        })
    }
}

/// The project's file and its override file.
fn project(tree: &dyn Tree, path: &Path) -> (std::path::PathBuf, Option<std::path::PathBuf>) {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let first = |names: &[&str]| {
        let all = names.iter().map(|name| directory.join(name));
        all.into_iter().find(|path| tree.stat(path, Links::Follow).is_ok())
    };
    match () {
        () if OVERRIDES.contains(&name) => match first(&FILES) {
            Some(main) => (main, Some(path.to_path_buf())),
            None => (path.to_path_buf(), None),
        },
        () if FILES.contains(&name) => (path.to_path_buf(), first(&OVERRIDES)),
        () => (path.to_path_buf(), None),
    }
}

/// Turns lists of `NAME=VALUE` or names into the mappings that they are short for.
fn normalize(root: &mut Node) {
    let Some(services) = root.get_mut("services") else { return };
    for service in services.entries_mut() {
        for key in MAPPINGS {
            if let Some(node) = service.value.get_mut(key) {
                as_mapping(node);
            }
        }
        if let Some(arguments) = service.value.get_mut("build").and_then(|b| b.get_mut("args")) {
            as_mapping(arguments);
        }
    }
}

fn as_mapping(node: &mut Node) {
    let Data::List(items) = &node.data else { return };
    let mut entries: Vec<Entry> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for item in items {
        let Some(text) = item.shown() else { return };
        let (key, data) = match text.split_once('=') {
            Some((key, value)) => (key.to_string(), Data::Text(value.to_string())),
            None => (text, Data::Null),
        };
        let value = Node::new(item.place.clone(), data);
        match known.get(&key) {
            Some(at) => entries[*at].value = value,
            None => {
                known.insert(key.clone(), entries.len());
                entries.push(Entry { key, place: item.place.clone(), value });
            }
        }
    }
    node.data = Data::Map(entries);
}

/// compose's rules.
struct Overrides;

impl Rules for Overrides {
    fn choose(&self, path: &[String], old: &Node, new: &Node) -> Choice {
        match new.tag.as_deref() {
            Some("!reset") => return Choice::Remove,
            Some("!override") => return Choice::Replace,
            _ => {}
        }
        let key = path.last().map_or("", String::as_str);
        let is_service = path.len() == 3 && path[0] == "services";
        let is_test = path.len() == 4 && path[2] == "healthcheck" && key == "test";
        let is_replaced = is_service && matches!(key, "command" | "entrypoint");
        if is_replaced || is_test || key.starts_with("x-") {
            return Choice::Replace;
        }
        if is_service && key == "logging" {
            let drivers = (old.text_of("driver"), new.text_of("driver"));
            if matches!(drivers, (Some(old), Some(new)) if old != new) {
                return Choice::Replace;
            }
        }
        match (&old.data, &new.data) {
            (Data::Map(_), Data::Map(_)) => Choice::Deep,
            (Data::List(_), Data::List(_)) => Choice::AppendOver,
            (Data::Map(_) | Data::List(_), Data::Null) => Choice::Keep,
            _ => Choice::Replace,
        }
    }

    fn identity(&self, path: &[String], item: &Node) -> Option<String> {
        match path.last().map_or("", String::as_str) {
            "ports" => forms::port("", item).ok().map(|port| {
                let ip = port.host_ip.as_deref().unwrap_or("0.0.0.0");
                let host = port.host_port.as_deref().unwrap_or_default();
                format!("{ip}:{host}:{}/{}", port.container_port, port.protocol)
            }),
            "volumes" => forms::volume("", item).ok().map(|volume| volume.target),
            "secrets" | "configs" => item
                .shown()
                .or_else(|| item.text_of("target").or(item.text_of("source")).map(str::to_string)),
            "expose" | "cap_add" | "cap_drop" | "devices" | "dns" | "dns_search" | "tmpfs" => {
                item.shown()
            }
            _ => None,
        }
    }
}

/// A fault in a short form.
pub(super) type Fault = (Place, &'static str);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryTree;

    #[test]
    fn an_override_file_merges_as_compose_merges_it() {
        let tree = MemoryTree::new()
            .file(
                "/p/compose.yaml",
                "services:\n  web:\n    image: a\n    command: [x]\n    environment: [A=1, B=2]\n    ports: ['80:80', '81:81']\n    volumes: ['./a:/data', 'v:/other']\n    dns: [1.1.1.1]\n    privileged: true\n    labels: {l: m}\n",
            )
            .file(
                "/p/compose.override.yml",
                "services:\n  web:\n    command: [y, z]\n    environment: {B: 3, C: null}\n    ports: ['80:80', '82:82']\n    volumes: ['./b:/data:ro']\n    dns: [8.8.8.8]\n    privileged: !reset null\n    labels: !override {n: o}\n",
            );
        for path in ["/p/compose.yaml", "/p/compose.override.yml"] {
            let read = Compose::read(&tree, path).unwrap();
            let web = read.root.as_ref().unwrap().at(&["services", "web"]).unwrap().to_json();
            assert_eq!(web["command"], json!(["y", "z"]));
            assert_eq!(web["environment"], json!({"A": "1", "B": 3, "C": null}));
            assert_eq!(web["ports"], json!(["80:80", "81:81", "82:82"]));
            assert_eq!(web["volumes"], json!(["./b:/data:ro", "v:/other"]));
            assert_eq!(web["dns"], json!(["1.1.1.1", "8.8.8.8"]));
            assert_eq!((web.get("privileged"), &web["labels"]), (None, &json!({"n": "o"})));
            let shown = read.settings.to_json();
            let reset = &shown["settings"]["services.web.privileged"]["overrides"][0];
            assert_eq!((&reset["value"], &reset["rule"]), (&json!("true"), &json!("empty_resets")));
            assert_eq!(read.volumes[0].read_only, Some(true));
            assert!(read.settings.problems.is_empty());
        }
    }

    #[test]
    fn what_is_not_followed_is_told_and_extensions_stay() {
        let text = "x-base: &base {restart: always}\nservices:\n  a:\n    <<: *base\n    extends: {service: b}\n    image: ${REG:-hub}/x:${TAG?no tag}\n    build: no\ninclude: [y.yaml]\n";
        let read = Compose::parse("/x", text.as_bytes());
        let root = read.root.as_ref().unwrap().to_json();
        assert_eq!(root["services"]["a"]["restart"], "always");
        assert_eq!(root["services"]["a"]["build"], "no");
        assert_eq!(root["x-base"]["restart"], "always");
        assert_eq!(read.notes.len(), 2);
        let names: Vec<&str> = read.variables.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["REG", "TAG"]);
        assert_eq!(read.variables[0].default.as_deref(), Some("hub"));
    }

    #[test]
    fn no_document_is_a_problem() {
        for text in ["- a\n", "a: [", "services: {}\n---\na: 1\n"] {
            assert_eq!(Compose::parse("/x", text.as_bytes()).settings.problems.len(), 1, "{text}");
        }
        assert!(Compose::read(&MemoryTree::new(), "/compose.yaml").is_err());
    }
}
