//! The child's powers: everything is asked of the broker.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow};
use consensus::learn::{Log, Unread};
use parsers::tree::LookError;
use scanner::RootedTree;
use scanner::facts::Spoken;
use scanner::gate::{Asked, Channel, Question};
use scanner::ports::ledger::{Ledger, Probe};
use serde::Deserialize;

use super::message::{self, Ask, Done, Order, Programs, TO_CHILD_BYTES_MAX, Told};
use super::wire::{Message, Socket};
use crate::outside::process::{End, Process, Started};
use crate::pipeline::accept::Accepted;
use crate::pipeline::ask::Ended;
use crate::powers::{JournalStream, Powers, Said, StateFile};
use crate::settings::ExpertSettings;
use crate::store::cases::{self, Case, RUN_BYTES_MAX, Run};

/// The child's only way out. Whoever asks waits for the answer; others wait for their turn.
#[derive(Debug)]
pub struct Lane(Mutex<Socket>);

impl Lane {
    /// The lane over this socket.
    pub fn new(socket: Socket) -> Arc<Self> {
        Arc::new(Self(Mutex::new(socket)))
    }

    /// The next order; `None` where the broker has gone.
    pub fn order(&self) -> io::Result<Option<Order>> {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(message) = socket.receive(TO_CHILD_BYTES_MAX, None)? else { return Ok(None) };
        Ok(Some(serde_json::from_slice(&message.bytes)?))
    }

    /// Says what came of an order.
    pub fn done(&self, done: &Done) -> io::Result<()> {
        let bytes = done.to_bytes()?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).send(&bytes, &[])
    }

    fn ask(&self, ask: Ask<'_>) -> io::Result<Message> {
        let bytes = ask.to_bytes().ok_or(io::ErrorKind::InvalidInput)?;
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        socket.send(&bytes, &[])?;
        let answer = socket.receive(TO_CHILD_BYTES_MAX, None)?;
        answer.ok_or_else(|| io::Error::other("the broker has gone"))
    }

    /// Asks for a value.
    fn told<T: for<'a> Deserialize<'a>>(&self, ask: Ask<'_>) -> Result<(T, Vec<OwnedFd>), String> {
        let message = self.ask(ask).map_err(|error| error.to_string())?;
        let told: Told<T> =
            postcard::from_bytes(&message.bytes).map_err(|_| "an answer that makes no sense")?;
        Ok((told?, message.descriptors))
    }
}

impl Channel for Lane {
    fn ask(&self, question: &Question<'_>) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
        let Message { bytes, descriptors } = self.ask(Ask::Tree(*question))?;
        Ok((bytes, descriptors.into_iter().next()))
    }
}

/// What a look may do in the child: ask.
#[derive(Clone, Debug)]
pub struct Asking {
    lane: Arc<Lane>,
    /// What the operator has accepted, as the order says.
    accepted: Arc<Mutex<Vec<Accepted>>>,
}

impl Asking {
    /// The powers that this lane gives.
    pub fn new(lane: Arc<Lane>) -> Self {
        Self { lane, accepted: Arc::default() }
    }

    /// What can be asked of the tree and the kernel.
    pub fn asked(&self) -> Asked {
        Asked::new(Arc::clone(&self.lane) as Arc<dyn Channel>)
    }

    /// This is what the operator has accepted.
    pub fn accept(&self, accepted: Vec<Accepted>) {
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = accepted;
    }

    fn file(&self, ask: Ask<'_>, most: u64) -> Result<Option<Vec<u8>>, String> {
        let (there, descriptors): (bool, _) = self.lane.told(ask)?;
        let Some(file) = descriptors.into_iter().next().filter(|_| there) else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = File::from(file).take(most).read_to_end(&mut bytes);
        read.map_err(|error| error.to_string())?;
        Ok(Some(bytes))
    }
}

impl Powers for Asking {
    fn tree(&self, _root: &Path) -> Result<RootedTree, LookError> {
        Ok(RootedTree::asking(self.asked()))
    }

    fn programs(&self) -> Spoken {
        match self.lane.told::<Programs>(Ask::Programs) {
            Ok((programs, _)) => programs.into(),
            Err(why) => {
                let unanswered = vec![("the host's programs".into(), why)];
                Spoken { unanswered, ..Spoken::default() }
            }
        }
    }

    fn journal(&self, since: i64) -> JournalStream {
        match self.lane.told::<bool>(Ask::Journal(since)) {
            Ok((false, _)) => None,
            Ok((true, descriptors)) => match descriptors.into_iter().next() {
                Some(stream) => {
                    let (lane, file) = (Arc::clone(&self.lane), File::from(stream));
                    Some(Ok(Box::new(Journal { lane, file, over: false })))
                }
                None => Some(Err("its stream did not come".into())),
            },
            Err(why) => Some(Err(why)),
        }
    }

    fn expert(&self, place: usize, _settings: &ExpertSettings) -> Result<Process, String> {
        let place = u32::try_from(place).map_err(|_| "no such expert")?;
        let (_, descriptors) = self.lane.told::<()>(Ask::Expert(place))?;
        let Ok([stdin, stdout, stderr]) = <[OwnedFd; 3]>::try_from(descriptors) else {
            return Err("its pipes did not come".into());
        };
        let hold = Box::new(Expert { lane: Arc::clone(&self.lane), place });
        Ok(Process::talking(Started { hold, stdin, stdout, stderr }))
    }

    fn own_probes(&self, now: i64) -> Ledger {
        match self.lane.told::<Vec<Probe>>(Ask::OwnProbes(now)) {
            Ok((probes, _)) => Ledger::new(probes, now),
            Err(_) => Ledger::default(),
        }
    }

    fn accepted(&self, _file: &Path) -> anyhow::Result<Vec<Accepted>> {
        Ok(self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn feedback(&self) -> anyhow::Result<(Log, Unread)> {
        let read = self.lane.told::<Option<Vec<u8>>>(Ask::Feedback);
        match read.map_err(|why| anyhow!(why))?.0 {
            None => Ok(Default::default()),
            Some(bytes) => Log::read(&bytes).context("feedback.jsonl"),
        }
    }

    fn judged(&self) -> Vec<(Run, Vec<Case>)> {
        let mut runs = Vec::new();
        for place in 0..cases::WATCH_RUNS_MAX as u32 {
            // What cannot be read is no reason not to look.
            let Ok(Some(bytes)) = self.file(Ask::Judged(place), 2 * RUN_BYTES_MAX as u64) else {
                break;
            };
            let text = String::from_utf8(bytes).unwrap_or_default();
            let Ok(run) = cases::run_of(&text) else { return Vec::new() };
            runs.push(run);
        }
        runs
    }

    fn keep(&self, run: Run, cases: Vec<Case>) -> anyhow::Result<usize> {
        let by = run.by;
        let (bytes, left_out) = cases::written(run, cases)?;
        self.lane.told::<()>(Ask::Keep(by, &bytes)).map_err(|why| anyhow!(why))?;
        Ok(left_out)
    }

    fn read(&self, file: StateFile) -> anyhow::Result<Option<Vec<u8>>> {
        let read = self.file(Ask::Read(file), file.bytes_max());
        read.map_err(|why| anyhow!("{}: {why}", file.name()))
    }

    fn replace(&self, file: StateFile, bytes: &[u8]) -> anyhow::Result<()> {
        // The broker keeps the places itself when what was seen is stored: they went along with it.
        if matches!(file, StateFile::Place | StateFile::JournalPlace) {
            return Ok(());
        }
        let replaced = self.lane.told::<()>(Ask::Replace(file, bytes));
        replaced.map(drop).map_err(|why| anyhow!("{}: {why}", file.name()))
    }
}

/// The journal's stream; its program is the broker's.
struct Journal {
    lane: Arc<Lane>,
    file: File,
    over: bool,
}

impl Read for Journal {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Said for Journal {
    fn finish(&mut self, kill: bool) -> Ended {
        self.over = true;
        match self.lane.told::<u8>(Ask::JournalEnd(kill)) {
            Ok((number, _)) => message::ended_of_number(number),
            Err(_) => Ended::With(false),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.over {
            self.finish(true);
        }
    }
}

/// An expert from outside; its process is the broker's.
struct Expert {
    lane: Arc<Lane>,
    place: u32,
}

impl End for Expert {}

impl Drop for Expert {
    fn drop(&mut self) {
        let _ = self.lane.told::<()>(Ask::ExpertEnd(self.place));
    }
}
