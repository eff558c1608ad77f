//! Answers what the child asks. Nothing that it says becomes a path of the state, a program or a word of a
//! command line: it names a place in a list, and gets what stands there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use parsers::tree::LookError;
use scanner::RootedTree;
use scanner::gate::{self, Closed, Question};
use serde::Serialize;

use super::changes::Changes;
use super::message::{self, Ask, Programs, Told};
use crate::commands::scan::ledger;
use crate::outside::process::{Hold, Started};
use crate::pipeline::ask::{self, Ended, Running};
use crate::powers::{Direct, Powers as _, StateFile};
use crate::settings::ExpertSettings;
use crate::store::cases::{self, By, RUN_BYTES_MAX};
use crate::store::feedback;

/// Most questions of one order: a look at a large host asks some hundred thousand.
pub const QUESTIONS_MAX: u64 = 20_000_000;
/// Most starts of programs, runs that are kept and files that are replaced by one order.
const DEEDS_MAX: u32 = 64;
/// Where systemd puts credentials; no look needs them.
const CREDENTIALS: &str = "/run/credentials";

/// Everything that answering takes.
pub struct Broker {
    tree: RootedTree,
    state: PathBuf,
    closed: Closed,
    powers: Direct,
    /// What this order may still ask and do.
    questions: u64,
    deeds: u32,
    /// The programs of experts from outside that run for the child.
    experts: BTreeMap<u32, Hold>,
    journal: Option<Running>,
    judged: Option<Vec<PathBuf>>,
    /// What this order looked at, where it is a look at the logs.
    pub changes: Changes,
    watches: bool,
}

/// An answer's bytes and descriptors.
pub type Reply = (Vec<u8>, Vec<OwnedFd>);

impl Broker {
    /// Answers about the tree under `root`, with its state in this directory.
    pub fn new(root: &Path, state: &Path) -> Result<Self, LookError> {
        let mut closed = vec![PathBuf::from(CREDENTIALS)];
        closed.extend(std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from));
        // The real path is what an open file is told by.
        closed.push(state.canonicalize().unwrap_or_else(|_| state.to_path_buf()));
        Ok(Self {
            tree: RootedTree::open(root)?,
            state: state.to_path_buf(),
            closed: Closed(closed),
            powers: Direct::new(state),
            questions: 0,
            deeds: 0,
            experts: BTreeMap::new(),
            journal: None,
            judged: None,
            changes: Changes::default(),
            watches: false,
        })
    }

    /// A new order begins; what it looks at is noted where the next look may be spared.
    pub fn begin(&mut self, watches: bool) {
        self.watches = watches;
        (self.questions, self.deeds) = (QUESTIONS_MAX, DEEDS_MAX);
        self.changes = Changes::default();
        self.judged = None;
    }

    /// The child has ended, and so do the programs that ran for it.
    pub fn end(&mut self) {
        self.experts.clear();
        self.journal = None;
    }

    /// The tree that is looked at.
    pub fn tree(&self) -> &RootedTree {
        &self.tree
    }

    /// Answers one question; an error is a child that asks too much.
    pub fn answer(&mut self, ask: Ask<'_>, experts: &[ExpertSettings]) -> Result<Reply, String> {
        self.questions = self.questions.checked_sub(1).ok_or("it asks without end")?;
        let costly = !matches!(
            ask,
            Ask::Tree(_) | Ask::JournalEnd(_) | Ask::ExpertEnd(_) | Ask::Judged(_) | Ask::Read(_)
        );
        if costly {
            self.deeds = self.deeds.checked_sub(1).ok_or("it wants too much done")?;
        }
        Ok(match ask {
            Ask::Tree(question) => self.about_tree(question),
            Ask::Programs => told(Ok(Programs::from(ask::everything()))),
            Ask::Journal(since) => self.journal(since),
            Ask::JournalEnd(kill) => told(Ok(message::ended_as_number(self.end_journal(kill)))),
            Ask::Expert(place) => self.expert(place, experts),
            Ask::ExpertEnd(place) => {
                self.experts.remove(&place);
                told(Ok(()))
            }
            Ask::OwnProbes(now) => told(Ok(ledger::known(&self.state, now).0.probes())),
            Ask::Feedback => {
                told(feedback::bytes(&self.state).map_err(|error| format!("{error:#}")))
            }
            Ask::Judged(place) => self.judged(place),
            Ask::Keep(by, bytes) => told(self.keep(by, bytes)),
            Ask::Read(file) => opened(self.powers.open(file)),
            Ask::Replace(file, bytes) => told(self.replace(file, bytes)),
        })
    }

    fn about_tree(&mut self, question: Question<'_>) -> Reply {
        if self.watches {
            self.changes.note(&self.tree, question);
        }
        let (bytes, file) = gate::answer(&self.tree, &self.closed, question);
        (bytes, file.into_iter().collect())
    }

    fn journal(&mut self, since: i64) -> Reply {
        self.end_journal(true);
        let running = match ask::journal(Some(since), None) {
            None => return told(Ok(false)),
            Some(Err(why)) => return told::<bool>(Err(why)),
            Some(Ok(running)) => running,
        };
        match running.stream() {
            Ok(stream) => {
                self.journal = Some(running);
                with(told(Ok(true)), vec![stream])
            }
            Err(error) => told::<bool>(Err(error.to_string())),
        }
    }

    fn end_journal(&mut self, kill: bool) -> Ended {
        self.journal.take().map_or(Ended::With(false), |mut running| running.finish(kill))
    }

    fn expert(&mut self, place: u32, experts: &[ExpertSettings]) -> Reply {
        let Some(expert) = experts.get(place as usize) else {
            return told::<()>(Err("no such expert".into()));
        };
        self.experts.remove(&place);
        match Started::start(&expert.command) {
            Ok(Started { hold, stdin, stdout, stderr }) => {
                self.experts.insert(place, hold);
                with(told(Ok(())), vec![stdin, stdout, stderr])
            }
            Err(why) => told::<()>(Err(why)),
        }
    }

    fn judged(&mut self, place: u32) -> Reply {
        let state = &self.state;
        let files = self.judged.get_or_insert_with(|| cases::files(state, By::Watch));
        match files.get(place as usize) {
            None => told(Ok(false)),
            Some(path) => {
                let nofollow = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
                let flags = nofollow.bits().cast_signed();
                opened(File::options().read(true).custom_flags(flags).open(path).map(Some))
            }
        }
    }

    fn keep(&self, by: By, bytes: &[u8]) -> Told<()> {
        if !matches!(by, By::Agent | By::Watch) || bytes.len() > RUN_BYTES_MAX + 64 {
            return Err("that is not kept".into());
        }
        cases::keep_written(&self.state, by, bytes).map_err(|error| format!("{error:#}"))
    }

    fn replace(&self, file: StateFile, bytes: &[u8]) -> Told<()> {
        match file {
            StateFile::Past | StateFile::LastReport => {
                self.powers.replace(file, bytes).map_err(|error| format!("{error:#}"))
            }
            // They are kept when what was seen is stored, by nobody but the broker.
            StateFile::Place | StateFile::JournalPlace => Err("that is not replaced".into()),
        }
    }
}

fn told<T: Serialize>(told: Told<T>) -> Reply {
    (postcard::to_stdvec(&told).unwrap_or_default(), Vec::new())
}

fn with((bytes, _): Reply, descriptors: Vec<OwnedFd>) -> Reply {
    (bytes, descriptors)
}

/// A file as an answer.
fn opened(file: io::Result<Option<File>>) -> Reply {
    match file {
        Ok(Some(file)) => with(told(Ok(true)), vec![file.into()]),
        Ok(None) => told(Ok(false)),
        Err(error) => told::<bool>(Err(error.to_string())),
    }
}

impl Running {
    /// Another descriptor of what it says.
    fn stream(&self) -> io::Result<OwnedFd> {
        self.stdout().as_fd().try_clone_to_owned()
    }
}
