//! From where this process looks, and what it therefore cannot see.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the process could and could not see from where it ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Vantage {
    /// Effective user id.
    pub uid: u32,
    /// Effective capabilities by name (`CAP_DAC_READ_SEARCH` …); all of them for an unconfined root.
    pub capabilities: Vec<String>,
    /// Namespaces that differ from PID 1's (`mnt`, `net`, `pid`, `user` …).
    pub other_namespaces: Vec<String>,
    /// Namespaces that could not be compared.
    pub unknown_namespaces: Vec<String>,
    /// What contains us (`docker`, `lxc`, `systemd-nspawn` …), if anything does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Signs of a sandbox (no_new_privs, seccomp, read-only root …).
    pub sandbox: Vec<String>,
    /// What therefore cannot be seen, one line each.
    pub blind: Vec<String>,
    /// `true` when a mounted tree was audited rather than this host.
    pub mounted_tree: bool,
}
