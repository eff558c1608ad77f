//! The surroundings in which evidence is judged: what listens and from where it can be reached, what
//! is being attempted, who has an account, what changed lately, what this host has seen before, and
//! what its operator told.
//!
//! Plain values, bounded by whoever makes them. `None` is "not known", never "none": an expert that
//! needs it abstains. Every field is part of a verdict's id ([`crate::trace`]).

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::networks::{Network, Networks};

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

/// Whether a password lets somebody in.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Password {
    /// None is asked for.
    Empty,
    /// Hashed with a scheme that no good password survives.
    Weak,
    /// Hashed with a sound scheme.
    Sound,
    /// Locked, or no password fits.
    Locked,
}

/// An account of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    /// Its user id.
    pub uid: u32,
    /// Whether its shell lets it work.
    pub login_shell: bool,
    /// Its password; `None` where that could not be read.
    pub password: Option<Password>,
    /// Days since the password was changed.
    pub password_days: Option<i64>,
}

/// Something that changed lately.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// What: `path:…`, `user:…`, `service:…`.
    pub subject: String,
    /// When, seconds since the epoch.
    pub at: i64,
    /// Whether packages were installed or upgraded at that time: then it is no change of somebody's.
    pub by_package: bool,
}

/// How often something was seen in the past.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// Events, or days of one subject: whoever counts counts one of these throughout.
    pub count: u64,
    /// Days on which there were any.
    pub days: u32,
    /// Events by hour of the day (UTC).
    pub hours: [u64; 24],
}

/// How often a rule saw something in the past, and of whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RulePast {
    /// All its events.
    pub all: Seen,
    /// Its events by subject (`ip:…`, `user:…`, `path:…`); whoever counts may leave rare ones out.
    pub subjects: BTreeMap<String, Seen>,
    /// Subjects that it saw only once: how often the next one will be a new one.
    pub strangers: u64,
}

/// What this host remembers of the time before the period that is examined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Past {
    /// Days that `rules` covers.
    pub days: u32,
    /// What each rule saw; `None` where nobody counted.
    pub rules: Option<BTreeMap<String, RulePast>>,
    /// Logins by subject (`ip:…`, `user:…`); `None` where no record is kept.
    pub logins: Option<BTreeMap<String, Seen>>,
    /// How often something (`check`, a space, `key`) was fixed and came back.
    pub returned: BTreeMap<String, u32>,
}

/// A file that a package brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Packaged {
    /// Name and version.
    pub package: String,
    /// Whether its contents are those of the package; `None` where that was not verified.
    pub intact: Option<bool>,
}

/// What a host is there for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Web server.
    Web,
    /// Database.
    Database,
    /// Mail server.
    Mail,
    /// Name server.
    Dns,
    /// File server.
    Files,
    /// The way in to other hosts.
    Bastion,
}

/// Something that the operator knows and accepts: every part that is given must fit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// Check or rule.
    pub check: String,
    /// Account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// File.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// What the operator told about the host and its surroundings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Operator {
    /// What the host is there for.
    pub role: Option<Role>,
    /// Networks of the operator's own.
    pub own_networks: Networks,
    /// Addresses that probe the host on the operator's behalf.
    pub monitoring: Networks,
    /// Addresses known to scan everybody.
    pub scanners: Networks,
    /// Relays of the Tor network.
    pub tor: Networks,
    /// What the operator accepts.
    pub accepted: Vec<Pattern>,
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
    /// For each rule, of how many addresses it speaks.
    #[serde(default)]
    pub addresses_named: BTreeMap<String, u64>,
    /// Accounts by name; `None` where they were not read, or the evidence is of another host.
    #[serde(default)]
    pub accounts: Option<BTreeMap<String, Account>>,
    /// Which of the programs that attacks use are installed; `None` where nobody looked.
    #[serde(default)]
    pub programs: Option<BTreeSet<String>>,
    /// The host's own addresses; `None` where they are not known.
    #[serde(default)]
    pub own_addresses: Option<Networks>,
    /// Which package brought a file (by path); `None` where nobody looked.
    #[serde(default)]
    pub packages: Option<BTreeMap<String, Packaged>>,
    /// What changed lately; `None` where nobody looked.
    #[serde(default)]
    pub changes: Option<Vec<Change>>,
    /// What this host remembers; `None` without a memory.
    #[serde(default)]
    pub past: Option<Past>,
    /// What the operator told.
    #[serde(default)]
    pub operator: Operator,
}
