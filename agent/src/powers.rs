//! What a look at the host needs besides its own thoughts: files, programs, its own state.
//!
//! [`Direct`] does it all in this process, as the one-shot commands do. In the service a look runs in a child
//! without any right ([`crate::sandbox`]) and asks for the same things over a socket. A power names what is
//! wanted and nothing of how: no path of the state directory, no program, no word of a command line.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use consensus::learn::{Log, Unread};
use scanner::RootedTree;
use scanner::facts::Spoken;
use scanner::ports::ledger::Ledger;
use serde::{Deserialize, Serialize};

use crate::commands::audit::LAST_REPORT;
use crate::commands::scan::ledger;
use crate::output;
use crate::outside::process::Process;
use crate::pipeline::accept::{self, Accepted};
use crate::pipeline::ask::{self, Ended, Running};
use crate::settings::ExpertSettings;
use crate::store::cases::{self, By, Case, Run};
use crate::store::feedback;

/// A file of the service's own state that a look reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateFile {
    /// The place in the log files.
    Place,
    /// The place in the journal, a time.
    JournalPlace,
    /// What each rule saw on which day.
    Past,
    /// The last audit's report, for `wardmote accept`.
    LastReport,
}

impl StateFile {
    /// Its name in the state directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Place => "agent-logs.json",
            Self::JournalPlace => "agent-journal",
            Self::Past => "agent-past.json",
            Self::LastReport => LAST_REPORT,
        }
    }

    /// The file of a place that the store keeps ([`crate::store::Place`]).
    pub fn of_place(name: &str) -> Option<Self> {
        [Self::Place, Self::JournalPlace].into_iter().find(|file| file.name() == name)
    }

    /// Most bytes that are read of it.
    pub fn bytes_max(self) -> u64 {
        match self {
            Self::Place | Self::LastReport => 64 << 20,
            Self::JournalPlace => 32,
            Self::Past => 256 << 20,
        }
    }
}

/// A program's output as it comes.
pub trait Said: Read + Send {
    /// Waits for the end; kills first where the rest is not wanted.
    fn finish(&mut self, kill: bool) -> Ended;
}

impl Said for Running {
    fn finish(&mut self, kill: bool) -> Ended {
        Self::finish(self, kill)
    }
}

impl Said for Box<dyn Said> {
    fn finish(&mut self, kill: bool) -> Ended {
        (**self).finish(kill)
    }
}

/// The journal's export, where the host keeps one, or why it cannot be read.
pub type JournalStream = Option<Result<Box<dyn Said>, String>>;

/// What a look may ask for.
pub trait Powers: Send + Sync {
    /// The file system to look at.
    fn tree(&self, root: &Path) -> Result<RootedTree, parsers::tree::LookError>;
    /// What the host's own programs say.
    fn programs(&self) -> Spoken;
    /// The journal since a time.
    fn journal(&self, since: i64) -> JournalStream;
    /// Starts the expert from outside that has this place in the configuration.
    fn expert(&self, place: usize, settings: &ExpertSettings) -> Result<Process, String>;
    /// What wardmote asked of this host itself; where that is not to be believed, nothing.
    fn own_probes(&self, now: i64) -> Ledger;
    /// What the operator has accepted.
    fn accepted(&self, file: &Path) -> anyhow::Result<Vec<Accepted>>;
    /// What operators taught.
    fn feedback(&self) -> anyhow::Result<(Log, Unread)>;
    /// What the service judged at its earlier looks at the logs, the newest first.
    fn judged(&self) -> Vec<(Run, Vec<Case>)>;
    /// Keeps what was judged; how many cases were left out.
    fn keep(&self, run: Run, cases: Vec<Case>) -> anyhow::Result<usize>;
    /// Reads a file of the own state; `None` where there is none.
    fn read(&self, file: StateFile) -> anyhow::Result<Option<Vec<u8>>>;
    /// Replaces a file of the own state.
    fn replace(&self, file: StateFile, bytes: &[u8]) -> anyhow::Result<()>;
}

/// Everything is done in this process.
#[derive(Clone, Debug)]
pub struct Direct {
    state: PathBuf,
}

impl Direct {
    /// The powers of this process, with its state in this directory.
    pub fn new(state: &Path) -> Self {
        Self { state: state.to_path_buf() }
    }

    /// Where a file of the own state is.
    pub fn path(&self, file: StateFile) -> PathBuf {
        self.state.join(file.name())
    }

    /// Opens a file of the own state; `None` where there is none.
    pub fn open(&self, file: StateFile) -> io::Result<Option<File>> {
        match File::open(self.path(file)) {
            Ok(open) => Ok(Some(open)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Powers for Direct {
    fn tree(&self, root: &Path) -> Result<RootedTree, parsers::tree::LookError> {
        RootedTree::open(root)
    }

    fn programs(&self) -> Spoken {
        ask::everything()
    }

    fn journal(&self, since: i64) -> JournalStream {
        let journal = ask::journal(Some(since), None)?;
        Some(journal.map(|running| Box::new(running) as Box<dyn Said>))
    }

    fn expert(&self, _place: usize, settings: &ExpertSettings) -> Result<Process, String> {
        Process::start(&settings.command)
    }

    fn own_probes(&self, now: i64) -> Ledger {
        ledger::known(&self.state, now).0
    }

    fn accepted(&self, file: &Path) -> anyhow::Result<Vec<Accepted>> {
        accept::read(file, false)
    }

    fn feedback(&self) -> anyhow::Result<(Log, Unread)> {
        feedback::read(&self.state)
    }

    fn judged(&self) -> Vec<(Run, Vec<Case>)> {
        // What cannot be read is no reason not to look.
        let mut runs = cases::runs(&self.state).unwrap_or_default();
        runs.retain(|(run, _)| run.by == By::Watch);
        runs
    }

    fn keep(&self, run: Run, judged: Vec<Case>) -> anyhow::Result<usize> {
        cases::keep(&self.state, run, judged)
    }

    fn read(&self, file: StateFile) -> anyhow::Result<Option<Vec<u8>>> {
        let at = |error: io::Error| crate::pending::at(&self.path(file), &error);
        let Some(open) = self.open(file).map_err(at)? else { return Ok(None) };
        let mut bytes = Vec::new();
        open.take(file.bytes_max()).read_to_end(&mut bytes).map_err(at)?;
        Ok(Some(bytes))
    }

    fn replace(&self, file: StateFile, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.path(file);
        output::replace(&path, bytes, 0o600).with_context(|| path.display().to_string())
    }
}
