//! What can be asked over the socket, and what is answered: a line of JSON each. The version stands in every
//! question; a service that does not know it says so instead of guessing.

use std::net::IpAddr;

use consensus::Severity;
use consensus::learn::Word;
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Hinted, failed};

/// The version of questions and answers.
pub const VERSION: u32 = 1;

fn version() -> u32 {
    VERSION
}

/// A question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Its version.
    #[serde(default = "version")]
    pub v: u32,
    /// Who asks, as far as root may say that of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Who>,
    /// What.
    #[serde(flatten)]
    pub ask: Ask,
}

/// Somebody who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// User id.
    pub uid: u32,
    /// The address that the own session comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
}

/// Form of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// For people, without colour.
    Plain,
    /// For people.
    Colored,
    /// JSON.
    Json,
    /// For Graphviz.
    Dot,
}

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "ask")]
pub enum Ask {
    /// How things are.
    Status,
    /// Open alerts and cases.
    Alerts {
        /// The mildest level.
        from: Severity,
        /// Days of cases.
        days: u32,
        /// Form.
        form: Form,
    },
    /// One case or alert.
    Show {
        /// Which.
        id: String,
        /// Form.
        form: Form,
    },
    /// Why a finding was judged so.
    Explain {
        /// Which.
        id: String,
        /// Form.
        form: Form,
    },
    /// What a finding really was.
    Feedback {
        /// Which.
        id: String,
        /// What is said.
        word: Word,
        /// Why.
        note: String,
    },
    /// What was to be done, and was.
    Requests {
        /// Also what is over.
        all: bool,
        /// Form.
        form: Form,
    },
    /// Do it.
    Approve {
        /// The request.
        id: i64,
    },
    /// Do it not, or take it back.
    Deny {
        /// The request.
        id: i64,
    },
    /// Let it hold.
    Confirm {
        /// The request.
        id: i64,
    },
}

/// An answer (but of `status`, which answers with itself).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// It was done: what to print.
    Said {
        /// For stdout.
        text: String,
        /// For stderr.
        notes: Vec<String>,
    },
    /// The service has not the right to do it; root may, by itself.
    Yourself {
        /// What is missing.
        why: String,
    },
    /// It was not done.
    Refused {
        /// Why.
        error: String,
        /// The way out.
        hint: String,
        /// How the command ends.
        exit: u8,
    },
}

impl Reply {
    /// An error as the command itself would show it.
    pub fn of_error(error: &anyhow::Error) -> Self {
        let (hint, exit) = match error.downcast_ref::<Hinted>() {
            Some(hinted) => (hinted.hint().to_string(), hinted.exit()),
            None => (String::new(), Exit::Usage),
        };
        Self::Refused { error: format!("{error:#}"), hint, exit: exit.code() }
    }

    /// The same back from the wire.
    pub fn error(error: &str, hint: &str, exit: u8) -> anyhow::Error {
        let exits = [Exit::Found, Exit::Usage, Exit::Incomplete, Exit::Internal, Exit::Busy];
        let exit = exits.into_iter().find(|known| known.code() == exit).unwrap_or(Exit::Usage);
        failed(scanner::redact::printable(error), scanner::redact::printable(hint), exit)
    }
}

/// What a piece of work gave, whoever asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// For stdout.
    pub text: String,
    /// For stderr.
    pub notes: Vec<String>,
}
