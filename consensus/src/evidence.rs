//! One observed fact worth judging, with where it was seen.
//!
//! The scanner makes evidence; this crate only reads it. Text in `sources` and `facts` has been
//! redacted by whoever made it: nothing here may hold a secret.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Severity;

/// What sort of fact this is; priors and experts differ by it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A setting, mode, owner or account as it stands.
    Posture,
    /// A listening socket and who holds it.
    Service,
    /// Missing updates, stale lists, old code still running.
    Patch,
    /// Something that happened, read from a log.
    Activity,
}

/// How the fact was come by.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// Read from the file or kernel table that decides it: hard proof, neither prior nor gate caps it.
    Direct,
    /// Concluded from traces (log lines, banners, names).
    Inferred,
}

/// What somebody who uses the weakness ends up with.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Privilege {
    /// Nothing by itself.
    None,
    /// Knowledge that helps an attack (versions, names).
    Information,
    /// The rights of one service account.
    Service,
    /// The rights of one login user.
    User,
    /// Root.
    Root,
}

/// Whom or what the evidence is about; absent parts are `None`.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Subject {
    /// Source address of an activity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Account concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// systemd unit concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// File concerned, as seen inside the root that was examined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Port concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// A line of a source that shows the fact. Lines and columns count from 1; 0 means "the whole file"
/// (a mode, an owner, a file that is missing).
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct SourceLine {
    /// Path as seen inside the root, or a name such as `kernel:sock_diag`.
    pub file: String,
    /// Line, from 1; 0 for the file as a whole.
    pub line: u32,
    /// Column in bytes, from 1; 0 for the file as a whole.
    pub column: u32,
    /// The line itself, redacted and made safe to print.
    pub text: String,
}

/// One observed fact worth judging.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Stable id of the check or rule that made it, e.g. `ssh-permit-root-login`.
    pub check: String,
    /// What distinguishes it from others of the same check (a user, a path, an address); may be empty.
    pub key: String,
    /// One line for people.
    pub title: String,
    /// Sort of fact.
    pub kind: Kind,
    /// How it was come by.
    pub proof: Proof,
    /// The level that the check or rule declares, before anybody looked at the context.
    pub level: Severity,
    /// A known-bad fact is never judged below this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Severity>,
    /// What an attacker would gain.
    pub privilege: Privilege,
    /// Canonical names of the services it concerns (`ssh`, `http`, `postgresql` …); empty for the host.
    #[serde(default)]
    pub services: Vec<String>,
    /// Whom or what it is about.
    #[serde(default)]
    pub subject: Subject,
    /// Where it was seen.
    #[serde(default)]
    pub sources: Vec<SourceLine>,
    /// Named facts that experts may cite.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
    /// Techniques and tactics, as in Sigma (`attack.t1110`).
    #[serde(default)]
    pub tags: Vec<String>,
    /// How many events it stands for.
    pub count: u64,
    /// First of them, seconds since the epoch; `None` for a state rather than an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<i64>,
    /// Last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<i64>,
}
