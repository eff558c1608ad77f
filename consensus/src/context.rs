//! The surroundings in which evidence is judged: what listens and from where it can be reached, what
//! is being attempted, and what this host has seen before.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// From where a service can be reached. Ordered by how many can reach it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Exposure {
    /// Only from the host itself.
    Loopback,
    /// From private or link-local networks.
    Private,
    /// It could not be told.
    Unknown,
    /// From the whole internet, as far as this host can tell.
    World,
}

/// A service as the kernel and the process table show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// Widest exposure of any of its sockets.
    pub exposure: Exposure,
    /// What decided the exposure: an address, a firewall rule, a redirection.
    pub because: String,
    /// Ports it listens on, sorted.
    pub ports: Vec<u16>,
    /// Owner's uid, where known.
    pub uid: Option<u32>,
}

/// Something that logs show being tried against a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Attack {
    /// Canonical service name, or empty for the host.
    pub service: String,
    /// Rule that saw it.
    pub rule: String,
    /// Technique tags (`attack.t1110`).
    pub tags: Vec<String>,
    /// Number of events.
    pub count: u64,
    /// Number of distinct source addresses or users.
    pub sources: u64,
    /// Last event, seconds since the epoch.
    pub last: i64,
    /// Whether a success followed.
    pub succeeded: bool,
}

/// Everything an expert may know besides the evidence itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Context {
    /// The time of judging, seconds since the epoch.
    pub now: i64,
    /// Whether the listening services were looked at: `false` makes exposure unknown, not absent.
    pub services_known: bool,
    /// What listens, by canonical name.
    pub services: BTreeMap<String, Service>,
    /// Whether logs were looked at: `false` means "attack unknown", not "no attack".
    pub logs_known: bool,
    /// What is being tried.
    pub attacks: Vec<Attack>,
    /// For each subject (`ip:…`, `user:…`, `path:…`, `service:…`) the checks and rules that speak of it.
    pub mentions: BTreeMap<String, BTreeSet<String>>,
    /// Subjects never seen on this host before the period examined; `None` when there is no history.
    pub new_subjects: Option<BTreeSet<String>>,
}
