//! What Kubernetes reads from files: manifests and the kubelet's configuration.

pub mod kubelet;
pub mod manifests;
