//! The kubelet's configuration with its drop-ins (`--config-dir`; kubernetes.io "Kubelet Configuration
//! Directory Merging", `cmd/kubelet/app/server.go`).
//!
//! Files `*.conf` of the directory are merged in the order of their names into the main file: mappings
//! merge, scalars and whole lists are replaced, null changes nothing. Each file names its `apiVersion` and
//! `kind`, else the kubelet does not start. Scalars mean what sigs.k8s.io/yaml says. Defaults are not filled
//! in. Which directory it is, only the kubelet's command line knows.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::document::dropin::{self, Reader};
use crate::config::document::merge::{self, Choice, Rules};
use crate::config::document::{Data, Documents, Node, Schema};
use crate::config::problems::Problems;
use crate::config::settings::Settings;
use crate::tree::{LookError, Tree};

/// Where kubeadm writes the main file.
pub const MAIN: &str = "/var/lib/kubelet/config.yaml";

/// The directory of the documentation's examples.
pub const CONFIG_DIR: &str = "/etc/kubernetes/kubelet.conf.d";

/// What the kubelet would read.
#[derive(Clone, Debug, Default)]
pub struct Kubelet {
    /// The merged document; `None` when there is nothing.
    pub root: Option<Node>,
    /// What holds by key, with what it overrode.
    pub settings: Settings,
    /// Scalars that mean something else in YAML 1.2.
    pub notes: Problems,
}

/// Reads one file: no document when it is none.
pub fn parse(file: &Arc<str>, bytes: &[u8]) -> Documents {
    let mut read = Documents::read(file, bytes, Schema::GoYaml2);
    if let Some(second) = read.all.get(1) {
        read.problems.push(second.place.clone(), "only the first document is read");
        read.all.truncate(1);
    }
    let Some(root) = read.all.first() else { return read };
    let is_kubelets = root.text_of("kind") == Some("KubeletConfiguration")
        && root.text_of("apiVersion").is_some_and(|v| v.starts_with("kubelet.config.k8s.io/"));
    if !is_kubelets {
        let message =
            "apiVersion kubelet.config.k8s.io/… and kind KubeletConfiguration are expected";
        read.problems.push(root.place.clone(), message);
    }
    read
}

impl Kubelet {
    /// Reads a main file and the drop-ins of a directory.
    ///
    /// # Errors
    /// When the main file cannot be read.
    ///
    /// ```
    /// use parsers::config::kubernetes::kubelet::{CONFIG_DIR, Kubelet};
    /// use parsers::tree::MemoryTree;
    /// let head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
    /// let tree = MemoryTree::new()
    ///     .file("/config.yaml", format!("{head}readOnlyPort: 0\nclusterDNS: [10.0.0.1, 10.0.0.2]\n"))
    ///     .file("/etc/kubernetes/kubelet.conf.d/9.conf", format!("{head}clusterDNS: [10.0.0.9]\n"));
    /// let read = Kubelet::read(&tree, "/config.yaml", CONFIG_DIR).unwrap();
    /// assert_eq!(read.settings.value("clusterDNS"), Some("10.0.0.9"));
    /// assert_eq!(read.settings.value("readOnlyPort"), Some("0"));
    /// ```
    pub fn read(tree: &dyn Tree, main: &str, config_dir: &str) -> Result<Self, LookError> {
        let mut reader = Reader::new(tree);
        let mut all = Self::default();
        let bytes = reader.bytes(Path::new(main))?;
        let mut root = all.document(&main.into(), &bytes);
        let mut lost = Vec::new();
        let takes = |name: &str| name.ends_with(".conf");
        let (files, _) = dropin::list(tree, &[config_dir], &takes, &mut reader.unread);
        for path in files {
            let Some(bytes) = reader.noted(&path) else { continue };
            let Some(node) = all.document(&path.to_string_lossy().into(), &bytes) else { continue };
            match &mut root {
                Some(root) => merge::merge(root, node, &DropIns, &mut lost),
                None => root = Some(node),
            }
        }
        let before = std::mem::take(&mut all.settings);
        if let Some(root) = &root {
            all.settings = merge::settings(root, lost);
        }
        for problem in before.problems.kept {
            all.settings.problems.push(problem.place, problem.message);
        }
        (all.settings.files, all.settings.unread) = (before.files, reader.unread);
        all.root = root;
        Ok(all)
    }

    fn document(&mut self, file: &Arc<str>, bytes: &[u8]) -> Option<Node> {
        let read = parse(file, bytes);
        self.settings.files.push(Arc::clone(file));
        for problem in read.problems.kept {
            self.settings.problems.push(problem.place, problem.message);
        }
        for note in read.notes.kept {
            self.notes.push(note.place, note.message);
        }
        read.all.into_iter().next().filter(|node| matches!(node.data, Data::Map(_)))
    }

    /// `{"settings","files","document","notes"}`.
    pub fn to_json(&self) -> Value {
        let mut value = self.settings.to_json();
        value["document"] = self.root.as_ref().map_or(Value::Null, Node::to_json);
        value["notes"] = json!(self.notes.kept);
        value
    }
}

/// The kubelet's rules.
struct DropIns;

impl Rules for DropIns {
    fn choose(&self, _: &[String], old: &Node, new: &Node) -> Choice {
        match (&old.data, &new.data) {
            (Data::Map(_), Data::Map(_)) => Choice::Deep,
            (_, Data::Null) => Choice::Keep,
            _ => Choice::Replace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{FileKind, MemoryTree};

    const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

    #[test]
    fn drop_ins_hold_in_the_order_of_their_names() {
        let tree = MemoryTree::new()
            .file("/m", format!("{HEAD}authentication: {{anonymous: {{enabled: no}}}}\nport: 1\n"))
            .file("/d/20.conf", format!("{HEAD}port: 3\nauthentication: null\n"))
            .file("/d/10.conf", format!("{HEAD}port: 2\n"))
            .file("/d/x.yaml", "[")
            .special("/d/30.conf", FileKind::Fifo);
        let read = Kubelet::read(&tree, "/m", "/d").unwrap();
        let shown = read.to_json();
        assert_eq!(shown["settings"]["port"]["value"], "3");
        assert_eq!(shown["settings"]["port"]["overrides"][1]["file"], "/d/10.conf");
        assert_eq!(shown["document"]["authentication"]["anonymous"]["enabled"], false);
        assert_eq!((read.notes.len(), read.settings.unread.len()), (1, 1));
        assert!(read.settings.problems.is_empty() && shown["settings"].get("kind").is_some());
        assert!(Kubelet::read(&tree, "/none", "/d").is_err());
    }

    #[test]
    fn a_file_of_another_kind_is_a_problem() {
        assert_eq!(parse(&"/x".into(), b"kind: Pod\n").problems.len(), 1);
        assert_eq!(parse(&"/x".into(), b"a: [\n").problems.len(), 1);
    }
}
