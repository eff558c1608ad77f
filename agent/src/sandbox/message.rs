//! What broker and child say to each other. Orders and what they gave are JSON, for the sake of settings and
//! verdicts; questions, of which there are many, are postcard.

use serde::{Deserialize, Serialize};

use super::Level;
use crate::pipeline::accept::Accepted;
use crate::pipeline::ask::Ended;
use crate::pipeline::case::CaseFile;
use crate::powers::StateFile;
use crate::service::Looked;
use crate::settings::Settings;
use crate::store::cases::{By, Case};

/// Most bytes of a message from the child: a storm of tens of thousands of addresses at the first look, each with
/// its verdict and its case. Memory is taken only as it comes.
pub const FROM_CHILD_BYTES_MAX: usize = 256 << 20;
/// Most bytes of a message to the child: answers of three programs at most.
pub const TO_CHILD_BYTES_MAX: usize = 512 << 20;

/// What the child is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Be ready; comes first.
    Begin(Box<Begin>),
    /// Examine the host.
    Audit {
        /// Seconds since the epoch; the child has no clock of its own.
        now: i64,
        /// What of the configuration concerns a look.
        settings: Box<Settings>,
        /// What the operator has accepted.
        accepted: Vec<Accepted>,
    },
    /// Look through the logs.
    Sweep {
        /// Seconds since the epoch.
        now: i64,
        /// What of the configuration concerns a look.
        settings: Box<Settings>,
    },
    /// Somebody was told of these cases.
    Told(Vec<CaseFile>),
    /// What the last sweep gave is stored, and its place is kept.
    Kept {
        /// Seconds since the epoch.
        now: i64,
    },
    /// The end: leave what the next child needs.
    Rest {
        /// Seconds since the epoch.
        now: i64,
    },
}

/// What the child begins with.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Begin {
    /// The root to look at.
    pub root: std::path::PathBuf,
    /// Open cases.
    pub cases: Vec<CaseFile>,
    /// The number of the next new case.
    pub next: u64,
    /// What the child before left.
    pub carried: Option<String>,
}

/// What came of an order.
#[derive(Debug, Serialize, Deserialize)]
pub enum Done {
    /// The child's rights are closed. Comes first, without an order.
    Closed(Level),
    /// It is done.
    Yes,
    /// What was seen.
    Gave(Box<Gave>),
    /// The end: what the next child needs.
    Left(String),
    /// It failed.
    Failed(String),
}

/// What a look gave.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Gave {
    /// For the service.
    pub looked: Looked,
    /// For the responder.
    pub judged: Vec<Case>,
    /// The place in the logs, where it is another one than before.
    pub place: Option<String>,
    /// The place in the journal, where it was read.
    pub journal_place: Option<i64>,
    /// What the next child needs once this is stored, where it is something else than before.
    pub carried: Option<String>,
}

/// What the child asks while it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask<'a> {
    /// About the tree or the kernel.
    #[serde(borrow)]
    Tree(scanner::gate::Question<'a>),
    /// What the host's programs say.
    Programs,
    /// The journal since a time; its stream comes as a descriptor.
    Journal(i64),
    /// How the journal's program ended; it is killed first where this is true.
    JournalEnd(bool),
    /// The expert at this place in the configuration is started; its pipes come as descriptors.
    Expert(u32),
    /// And ended.
    ExpertEnd(u32),
    /// What wardmote asked of this host.
    OwnProbes(i64),
    /// What operators taught.
    Feedback,
    /// What an earlier look at the logs judged, the newest being the first; comes as a descriptor.
    Judged(u32),
    /// Keeps what was judged.
    Keep(By, &'a [u8]),
    /// A file of the own state; comes as a descriptor.
    Read(StateFile),
    /// Replaces it.
    Replace(StateFile, &'a [u8]),
}

/// First byte of a question.
const QUESTION: u8 = b'?';
/// First byte of what came of an order.
const DONE: u8 = b'!';

/// What the child says.
#[derive(Debug)]
pub enum FromChild<'a> {
    /// A question.
    Ask(Ask<'a>),
    /// The order is done.
    Done(Box<Done>),
}

impl<'a> FromChild<'a> {
    /// What the bytes say; `None` where that is nothing.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        match bytes.split_first()? {
            (&QUESTION, rest) => {
                let (ask, more) = postcard::take_from_bytes(rest).ok()?;
                if let Ask::Tree(question) = ask
                    && !question.is_sound()
                {
                    return None;
                }
                more.is_empty().then_some(Self::Ask(ask))
            }
            (&DONE, rest) => {
                serde_json::from_slice(rest).ok().map(|done| Self::Done(Box::new(done)))
            }
            _ => None,
        }
    }
}

impl Ask<'_> {
    /// As bytes.
    pub fn to_bytes(self) -> Option<Vec<u8>> {
        postcard::to_extend(&self, vec![QUESTION]).ok()
    }
}

impl Done {
    /// As bytes.
    pub fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = vec![DONE];
        serde_json::to_writer(&mut bytes, self)?;
        Ok(bytes)
    }
}

/// Answers that are neither a tree's nor only a descriptor: the value, or why there is none.
pub type Told<T> = Result<T, String>;

/// [`scanner::facts::Spoken`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Programs {
    /// `getent passwd`.
    pub getent_passwd: Option<Vec<u8>>,
    /// `nft -j list ruleset`.
    pub nft_json: Option<Vec<u8>>,
    /// `iptables-save`.
    pub iptables_save: Option<Vec<u8>>,
    /// `ip6tables-save`.
    pub ip6tables_save: Option<Vec<u8>>,
    /// Age of the firewall's rules.
    pub firewall_age_s: Option<u64>,
    /// `sshd -V`.
    pub sshd_version: Option<Vec<u8>>,
    /// Who could not answer.
    pub unanswered: Vec<(String, String)>,
}

impl From<scanner::facts::Spoken> for Programs {
    fn from(spoken: scanner::facts::Spoken) -> Self {
        Self {
            getent_passwd: spoken.getent_passwd,
            nft_json: spoken.nft_json,
            iptables_save: spoken.iptables_save,
            ip6tables_save: spoken.ip6tables_save,
            firewall_age_s: spoken.firewall_age_s,
            sshd_version: spoken.sshd_version,
            unanswered: spoken.unanswered,
        }
    }
}

impl From<Programs> for scanner::facts::Spoken {
    fn from(programs: Programs) -> Self {
        Self {
            getent_passwd: programs.getent_passwd,
            nft_json: programs.nft_json,
            iptables_save: programs.iptables_save,
            ip6tables_save: programs.ip6tables_save,
            firewall_age_s: programs.firewall_age_s,
            sshd_version: programs.sshd_version,
            unanswered: programs.unanswered,
        }
    }
}

/// How a program ended: 0 badly, 1 well, 2 late.
pub fn ended_as_number(ended: Ended) -> u8 {
    match ended {
        Ended::With(well) => u8::from(well),
        Ended::Late => 2,
    }
}

/// And back.
pub fn ended_of_number(number: u8) -> Ended {
    match number {
        2 => Ended::Late,
        number => Ended::With(number == 1),
    }
}
