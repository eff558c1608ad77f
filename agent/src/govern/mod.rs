//! What wardmote does about a case, and who has to agree to it.
//!
//! In the order of the flow: [`propose`] makes proposals of judged cases, [`risk`] looks each up in a
//! printed table, two guardians answer side by side and share no input ([`proof`] reads the verdict,
//! [`harm`] the live system), [`decide`] puts the answers together, [`engine`] writes down what is
//! intended before [`actions`] does it, and takes it back at its time; [`operators`] have their say. [`cache`] keeps a case that comes
//! again from being decided again.
//!
//! Off unless the operator turned it on, a rehearsal (`dry_run`) unless they said otherwise, each kind
//! opted into by itself. There are two kinds: blocking an address or a network for a while, and running
//! the operator's own command. A guardian that is late, fails or could not look says no.

use consensus::networks::Network;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod actions;
mod announce;
pub mod cache;
pub mod decide;
pub mod engine;
pub mod guardians;
pub mod harm;
pub mod live;
pub mod operators;
pub mod outbox;
pub mod policy;
pub mod proof;
pub mod propose;
pub mod risk;
pub mod worker;

#[cfg(test)]
mod bench;
#[cfg(test)]
mod situations;

use harm::Aim;
use proof::Testimony;
use risk::{Factors, Risk};

/// What a guardian says.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<No> {
    /// Nothing speaks against it.
    Yes,
    /// All that speaks against it.
    No(Vec<No>),
    /// It was late or failed: no.
    Unheard(&'static str),
}

impl<No: std::fmt::Display> Answer<No> {
    /// Yes, where there is no reason against it.
    pub fn of(reasons: Vec<No>) -> Self {
        if reasons.is_empty() { Self::Yes } else { Self::No(reasons) }
    }

    /// Whether it is a yes.
    pub fn is_yes(&self) -> bool {
        matches!(self, Self::Yes)
    }

    /// One line a reason; none for a yes.
    pub fn reasons(&self) -> Vec<String> {
        match self {
            Self::Yes => Vec::new(),
            Self::No(reasons) => reasons.iter().map(ToString::to_string).collect(),
            Self::Unheard(why) => vec![(*why).to_string()],
        }
    }
}

/// Something that can be done, with all that is needed to do it and to take it back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Drop what comes from there.
    Block {
        /// Whom.
        network: Network,
    },
    /// Run a command.
    Command {
        /// Its name in the configuration.
        name: String,
        /// Whom it is about: `192.0.2.7`, `user bob`.
        about: String,
        /// The words, placeholders filled in.
        run: Vec<String>,
        /// The words that take it back.
        undo: Vec<String>,
        /// How long either may take, in milliseconds.
        timeout_ms: u64,
    },
}

impl Action {
    /// `block`, or the command's name: what budgets and the opt-in count by.
    pub fn name(&self) -> &str {
        match self {
            Self::Block { .. } => "block",
            Self::Command { name, .. } => name,
        }
    }

    /// Whom it is about: two actions of one name and target are the same.
    pub fn target(&self) -> String {
        match self {
            Self::Block { network } => network.to_string(),
            Self::Command { about, .. } => about.clone(),
        }
    }
}

/// An action that somebody's case calls for.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Fingerprint of the finding.
    pub case: String,
    /// The finding, one line that is safe to print.
    pub title: String,
    /// What to do.
    pub action: Action,
    /// What the action aims at, for Harm.
    pub aim: Aim,
    /// The verdict, for Proof.
    pub testimony: Testimony,
    /// What its risk is looked up by.
    pub factors: Factors,
    /// For how long, in seconds.
    pub hold_s: i64,
    /// It is taken back after so many seconds unless it is confirmed; `None`: it holds for `hold_s`.
    pub confirm_within_s: Option<i64>,
}

/// What comes of a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is done.
    Act,
    /// It waits for so many operators.
    Wait {
        /// How many different ones.
        operators: u8,
    },
}

/// One decision, as it is journaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// Seconds since the epoch.
    pub time: i64,
    /// Number of the request, once it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// Fingerprint of the finding.
    pub case: String,
    /// The finding, one line.
    pub title: String,
    /// `block`, or the command's name.
    pub action: String,
    /// Whom it is about.
    pub target: String,
    /// What its risk was looked up by.
    pub factors: Factors,
    /// Its risk.
    pub risk: Risk,
    /// Why Proof said no; empty for a yes.
    pub proof: Vec<String>,
    /// Why Harm said no; empty for a yes.
    pub harm: Vec<String>,
    /// Why nothing happens by itself, beside the guardians.
    pub held: Vec<String>,
    /// What comes of it.
    pub outcome: Outcome,
    /// The policy that it was decided by, as a digest.
    pub policy: String,
}

impl Decision {
    /// All that speaks against it, and who says so.
    pub fn reasons(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [("proof", &self.proof), ("harm", &self.harm), ("held", &self.held)];
        all.into_iter().flat_map(|(who, all)| all.iter().map(move |why| (who, why.as_str())))
    }
}

/// Something that was done about a request after it was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Seconds since the epoch.
    pub time: i64,
    /// Number of the request.
    pub id: i64,
    /// What: `approved`, `done`, `confirmed`, `reverted` …
    pub what: String,
    /// User id of the operator; none where wardmote did it by itself.
    pub by: Option<u32>,
    /// More about it: why it failed, what a command said.
    pub note: String,
}

/// Where decisions and what came of them are written for good.
pub trait Ledger {
    /// A decision was made.
    fn decided(&self, decision: &Decision);

    /// Something was done about a request.
    fn stepped(&self, step: &Step);
}

/// Writes nothing.
#[cfg(test)]
pub struct NoLedger;

#[cfg(test)]
impl Ledger for NoLedger {
    fn decided(&self, _: &Decision) {}

    fn stepped(&self, _: &Step) {}
}
