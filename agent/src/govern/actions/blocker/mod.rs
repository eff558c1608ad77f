//! The way to somebody who may block: `wardmote-block.service`, which holds CAP_NET_ADMIN and nothing else,
//! while the service that reads every file may change no rule.
//!
//! A unix stream socket that systemd listens on. One question and one answer a connection, each a line of
//! JSON, bounded in bytes, entries and time. The questions are those of [`super::Effects`]: the whole list of
//! what is to be blocked is said each time, so that one transaction makes it so; adding and taking back are
//! both a new list. [`serve`] does not trust who asks: what must never be blocked it refuses itself.

use consensus::networks::Network;
use serde::{Deserialize, Serialize};

use super::Blocked;

pub mod client;
pub mod serve;

/// Where systemd listens.
pub const SOCKET: &str = "/run/wardmote/block.sock";
/// Most bytes of a question or an answer: [`super::BLOCKS_MAX`] entries of at most 80.
const LINE_BYTES_MAX: usize = 512 << 10;
/// Longest time for which something is blocked, in seconds: thirty days.
const SECONDS_MAX: u64 = 30 * 86_400;
/// The widest networks, IPv4 and IPv6, whatever the configuration of whoever asks says.
const WIDEST: [u8; 2] = [16, 32];

/// One network, and for how many seconds from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    network: Network,
    seconds: u64,
}

impl From<Blocked> for Entry {
    fn from(Blocked { network, seconds }: Blocked) -> Self {
        Self { network, seconds }
    }
}

impl From<Entry> for Blocked {
    fn from(Entry { network, seconds }: Entry) -> Self {
        Self { network, seconds }
    }
}

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "ask", deny_unknown_fields)]
enum Question {
    /// Make exactly these the blocked ones.
    Only {
        /// All of them.
        blocks: Vec<Entry>,
    },
    /// Whether exactly these are blocked.
    Stand {
        /// All of them.
        blocks: Vec<Entry>,
    },
    /// What is blocked.
    List,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    /// It is done, wholly.
    Done,
    /// Whether they stand.
    Stand(bool),
    /// What is blocked.
    Blocks(Vec<Entry>),
    /// It is never done; nothing was changed.
    Refused(String),
    /// It did not work; nothing was changed.
    Failed(String),
    /// It is not known whether it was done.
    Unknown(String),
}
