//! Kubernetes manifests: objects of a file, and the containers that they would run.
//!
//! Documents of `kind: List` are unwrapped. Pods are found in Pod, Deployment, DaemonSet, StatefulSet,
//! ReplicaSet, ReplicationController, Job and CronJob. What a pod's `securityContext` says holds for its
//! containers unless their own says otherwise (`core/v1` API reference). Nothing is filled in: `None` means
//! that nothing is written. Scalars mean what sigs.k8s.io/yaml says. Values of Secrets are marked.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use crate::config::document::{Documents, Node, Schema};
use crate::config::problems::Problems;
use crate::place::Place;

/// Most objects and most containers of one file that are listed.
pub const LISTED_MAX: usize = 10_000;

/// Deepest nesting of lists of lists.
const LISTS_MAX: usize = 8;

/// An object's head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Object {
    /// `apiVersion`.
    pub api_version: Option<String>,
    /// `kind`.
    pub kind: Option<String>,
    /// `metadata.name`, or `metadata.generateName`.
    pub name: Option<String>,
    /// `metadata.namespace`.
    pub namespace: Option<String>,
    /// Where it starts.
    pub place: Place,
}

/// A container with what matters for security, the pod's part taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Container {
    /// The object's kind and name (`Deployment/web`).
    pub object: String,
    /// The object's namespace.
    pub namespace: Option<String>,
    /// `containers`, `initContainers` or `ephemeralContainers`.
    pub list: &'static str,
    /// Its name.
    pub name: Option<String>,
    /// Its image.
    pub image: Option<String>,
    /// `securityContext.privileged`.
    pub privileged: Option<bool>,
    /// `securityContext.allowPrivilegeEscalation`.
    pub allow_privilege_escalation: Option<bool>,
    /// `securityContext.readOnlyRootFilesystem`.
    pub read_only_root_filesystem: Option<bool>,
    /// `securityContext.runAsNonRoot`, of the container or the pod.
    pub run_as_non_root: Option<bool>,
    /// `securityContext.runAsUser`, of the container or the pod.
    pub run_as_user: Option<i64>,
    /// `securityContext.seccompProfile.type`, of the container or the pod.
    pub seccomp: Option<String>,
    /// `securityContext.capabilities.add`.
    pub capabilities_added: Vec<String>,
    /// `securityContext.capabilities.drop`.
    pub capabilities_dropped: Vec<String>,
    /// `ports[].hostPort`.
    pub host_ports: Vec<i64>,
    /// The pod's `hostNetwork`.
    pub host_network: Option<bool>,
    /// The pod's `hostPID`.
    pub host_pid: Option<bool>,
    /// The pod's `hostIPC`.
    pub host_ipc: Option<bool>,
    /// Paths of the host that it mounts.
    pub host_paths: Vec<String>,
    /// The pod's `automountServiceAccountToken`.
    pub automount_token: Option<bool>,
    /// Where it starts.
    pub place: Place,
}

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// The documents as they stand.
    pub documents: Vec<Node>,
    /// Their objects, lists unwrapped.
    pub objects: Vec<Object>,
    /// The containers of all objects.
    pub containers: Vec<Container>,
    /// What Kubernetes would refuse.
    pub problems: Problems,
    /// Scalars that mean something else in YAML 1.2.
    pub notes: Problems,
}

impl Manifests {
    /// Reads a file.
    ///
    /// ```
    /// use parsers::config::kubernetes::manifests::Manifests;
    /// let text = b"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  hostNetwork: yes\n  containers: [{name: c}]\n";
    /// let read = Manifests::parse("/x", text);
    /// assert_eq!(read.containers[0].host_network, Some(true));
    /// assert_eq!(read.containers[0].object, "Pod/a");
    /// ```
    pub fn parse(file: &str, bytes: &[u8]) -> Self {
        let file: Arc<str> = file.into();
        let mut read = Documents::read(&file, bytes, Schema::GoYaml2);
        let mut all = Self::default();
        all.problems = std::mem::take(&mut read.problems);
        all.notes = std::mem::take(&mut read.notes);
        all.documents = read.all;
        let mut documents = std::mem::take(&mut all.documents);
        for document in &mut documents {
            if document.data != crate::config::document::Data::Null {
                all.object(document, 0);
            }
        }
        all.documents = documents;
        all
    }

    fn object(&mut self, node: &mut Node, depth: usize) {
        let own = |text: Option<&str>| text.map(str::to_string);
        let metadata = node.get("metadata");
        let object = Object {
            api_version: own(node.text_of("apiVersion")),
            kind: own(node.text_of("kind")),
            name: own(metadata.and_then(|m| m.text_of("name").or(m.text_of("generateName")))),
            namespace: own(metadata.and_then(|m| m.text_of("namespace"))),
            place: node.place.clone(),
        };
        if object.kind.is_none() || object.api_version.is_none() {
            self.problems.push(node.place.clone(), "an object names its apiVersion and its kind");
        }
        let kind = object.kind.clone().unwrap_or_default();
        if kind == "Secret" {
            let values = ["data", "stringData"].into_iter();
            values.for_each(|key| node.get_mut(key).into_iter().for_each(Node::mark_secret));
        }
        if kind.ends_with("List") && node.get("items").is_some() {
            if depth == LISTS_MAX {
                return self.problems.push(node.place.clone(), "lists are nested too deeply");
            }
            let Some(items) = node.get_mut("items") else { return };
            return items.items_mut().iter_mut().for_each(|item| self.object(item, depth + 1));
        }
        if self.objects.len() == LISTED_MAX {
            return;
        }
        if let Some(pod) = pod_of(&kind, node) {
            self.pod(&object, pod);
        }
        self.objects.push(object);
        if self.objects.len() == LISTED_MAX {
            let message = format!("only the first {LISTED_MAX} objects are listed");
            self.problems.push(node.place.clone(), message);
        }
    }

    fn pod(&mut self, object: &Object, pod: &Node) {
        for list in ["initContainers", "containers", "ephemeralContainers"] {
            for node in pod.get(list).map(Node::items).unwrap_or_default() {
                if self.containers.len() < LISTED_MAX {
                    self.containers.push(container(object, pod, list, node));
                }
            }
        }
    }

    /// `{"objects","containers","documents","notes"}`.
    pub fn to_json(&self) -> Value {
        json!({
            "objects": self.objects,
            "containers": self.containers,
            "documents": self.documents.iter().map(Node::to_json).collect::<Vec<_>>(),
            "notes": self.notes.kept,
        })
    }
}

/// The specification of the pods that an object makes.
fn pod_of<'a>(kind: &str, node: &'a Node) -> Option<&'a Node> {
    match kind {
        "Pod" => node.get("spec"),
        "PodTemplate" => node.at(&["template", "spec"]),
        "Deployment"
        | "DaemonSet"
        | "StatefulSet"
        | "ReplicaSet"
        | "ReplicationController"
        | "Job" => node.at(&["spec", "template", "spec"]),
        "CronJob" => node.at(&["spec", "jobTemplate", "spec", "template", "spec"]),
        _ => None,
    }
}

fn container(object: &Object, pod: &Node, list: &'static str, node: &Node) -> Container {
    let own = |key: &str| node.at(&["securityContext", key]);
    let either = |key: &str| own(key).or_else(|| pod.at(&["securityContext", key]));
    let switch = |node: Option<&Node>| node.and_then(Node::bool);
    let text = |node: Option<&Node>| node.and_then(Node::text).map(str::to_string);
    let texts = |node: Option<&Node>| -> Vec<String> {
        node.map(Node::items).unwrap_or_default().iter().filter_map(Node::shown).collect()
    };
    let capabilities = own("capabilities");
    let seccomp = either("seccompProfile").and_then(|profile| profile.get("type"));
    Container {
        object: format!(
            "{}/{}",
            object.kind.as_deref().unwrap_or_default(),
            object.name.as_deref().unwrap_or_default()
        ),
        namespace: object.namespace.clone(),
        list,
        name: text(node.get("name")),
        image: text(node.get("image")),
        privileged: switch(own("privileged")),
        allow_privilege_escalation: switch(own("allowPrivilegeEscalation")),
        read_only_root_filesystem: switch(own("readOnlyRootFilesystem")),
        run_as_non_root: switch(either("runAsNonRoot")),
        run_as_user: number(either("runAsUser")),
        seccomp: text(seccomp),
        capabilities_added: texts(capabilities.and_then(|c| c.get("add"))),
        capabilities_dropped: texts(capabilities.and_then(|c| c.get("drop"))),
        host_ports: node
            .get("ports")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .filter_map(|port| number(port.get("hostPort")))
            .collect(),
        host_network: switch(pod.get("hostNetwork")),
        host_pid: switch(pod.get("hostPID")),
        host_ipc: switch(pod.get("hostIPC")),
        host_paths: host_paths(pod, node),
        automount_token: switch(pod.get("automountServiceAccountToken")),
        place: node.place.clone(),
    }
}

fn number(node: Option<&Node>) -> Option<i64> {
    match &node?.data {
        crate::config::document::Data::Number(number) => number.as_i64(),
        _ => None,
    }
}

/// The host's paths behind the volumes that a container mounts.
fn host_paths(pod: &Node, container: &Node) -> Vec<String> {
    let volumes: std::collections::HashMap<&str, &str> = pod
        .get("volumes")
        .map(Node::items)
        .unwrap_or_default()
        .iter()
        .filter_map(|volume| {
            Some((volume.text_of("name")?, volume.at(&["hostPath", "path"])?.text()?))
        })
        .collect();
    let mounts = container.get("volumeMounts").map(Node::items).unwrap_or_default();
    let paths = mounts.iter().filter_map(|mount| volumes.get(mount.text_of("name")?));
    paths.map(|path| (*path).to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_take_over_what_their_pod_says() {
        let text = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
      hostPID: true
      securityContext: {runAsUser: 1000, runAsNonRoot: on}
      volumes:
      - {name: sock, hostPath: {path: /run/docker.sock}}
      - {name: tmp, emptyDir: {}}
      initContainers: [{name: i}]
      containers:
      - name: c
        image: x:1
        securityContext: {privileged: true, runAsUser: 0, capabilities: {add: [SYS_ADMIN], drop: [ALL]}}
        ports: [{containerPort: 80, hostPort: 8080}]
        volumeMounts: [{name: sock, mountPath: /s}, {name: tmp, mountPath: /t}]
";
        let read = Manifests::parse("/x", text.as_bytes());
        let [init, main] = &read.containers[..] else { panic!("{:?}", read.containers) };
        assert_eq!((init.list, init.run_as_user), ("initContainers", Some(1000)));
        assert_eq!((main.object.as_str(), main.place.line), ("Deployment/web", 14));
        assert_eq!((main.run_as_user, main.run_as_non_root), (Some(0), Some(true)));
        assert_eq!((main.privileged, main.host_pid), (Some(true), Some(true)));
        assert_eq!((&main.host_ports[..], main.host_network), (&[8080][..], None));
        assert_eq!(main.host_paths, ["/run/docker.sock"]);
        assert_eq!(main.capabilities_added, ["SYS_ADMIN"]);
        assert_eq!(read.objects[0].namespace.as_deref(), Some("shop"));
        assert!(read.problems.is_empty());
    }

    #[test]
    fn lists_are_unwrapped_and_every_document_has_its_place() {
        let text = "kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: x}]}}\n- apiVersion: batch/v1\n  kind: CronJob\n  metadata: {generateName: b-}\n  spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: y}]}}}}}\n---\n---\napiVersion: v1\nkind: Secret\ndata: {k: CANARY}\n";
        let read = Manifests::parse("/x", text.as_bytes());
        let places: Vec<u32> = read.objects.iter().map(|object| object.place.line).collect();
        assert_eq!(places, [4, 5, 11]);
        assert_eq!(read.containers[1].object, "CronJob/b-");
        assert!(read.documents[2].at(&["data", "k"]).unwrap().is_secret);
        assert!(read.problems.is_empty(), "{:?}", read.problems);
        assert_eq!(Manifests::parse("/x", b"a: 1\n").problems.len(), 1);
    }

    #[test]
    fn hostile_lists_end_bounded() {
        let text = "[".to_string() + &"{kind: List, apiVersion: v1, items: [".repeat(9);
        let closed = text[1..].to_string() + &"]}".repeat(9);
        assert_eq!(Manifests::parse("/x", closed.as_bytes()).problems.len(), 1);
        let many = "{kind: Pod, apiVersion: v1},".repeat(LISTED_MAX + 1);
        let many = format!("{{kind: List, apiVersion: v1, items: [{many}]}}");
        let read = Manifests::parse("/x", many.as_bytes());
        assert_eq!((read.objects.len(), read.problems.len()), (LISTED_MAX, 1));
    }
}
