//! The asking side.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parsers::tree::{Entry, Identity, Links, LookError, Stat, Tree, Visited, Why};

use super::Channel;
use super::wire::{self, Answer, Question, Table};
use crate::ports::namespaces::Namespace;
use crate::ports::netlink::NetlinkError;

/// A tree behind a channel.
#[derive(Clone, Debug)]
pub struct Asked(Arc<dyn Channel>);

impl Asked {
    /// What can be asked through this channel.
    pub fn new(channel: Arc<dyn Channel>) -> Self {
        Self(channel)
    }

    /// A regular file for reading, with facts of the moment at which it was opened (its birth, too).
    pub fn open_file(&self, path: &Path) -> Result<(File, Stat), LookError> {
        let (bytes, file) = self.ask(path, &Question::Open(bytes(path)))?;
        match (answer(path, &bytes)?, file) {
            (Answer::Facts(facts), Some(file)) => Ok((File::from(file), facts.into())),
            _ => Err(confused(path)),
        }
    }

    /// A table of the kernel's.
    pub fn dump(&self, table: Table) -> Result<Vec<Vec<u8>>, NetlinkError> {
        let nobody = NetlinkError::Malformed("nobody answers");
        let Ok((bytes, _)) = self.0.ask(&Question::Dump(table)) else { return Err(nobody) };
        match Answer::from_bytes(&bytes) {
            Some(Answer::Dumped(dumped)) => dumped.map_err(wire::error),
            _ => Err(nobody),
        }
    }

    /// Other network namespaces, and what could not be looked at.
    pub fn namespaces(&self) -> (Vec<Namespace>, Vec<String>) {
        let asked = self.0.ask(&Question::Namespaces);
        match asked.as_ref().map(|(bytes, _)| Answer::from_bytes(bytes)) {
            Ok(Some(Answer::Namespaces(found, unseen))) => (found, unseen),
            _ => (Vec::new(), vec!["other network namespaces: nobody answers".to_string()]),
        }
    }

    fn ask(
        &self,
        path: &Path,
        question: &Question<'_>,
    ) -> Result<(Vec<u8>, Option<OwnedFd>), LookError> {
        if bytes(path).len() > wire::PATH_BYTES_MAX {
            return Err(LookError::new(path, Why::Io("the path is too long".into())));
        }
        self.0.ask(question).map_err(|error| LookError::new(path, Why::Io(error.to_string())))
    }
}

impl Tree for Asked {
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, LookError> {
        let (file, _) = self.open_file(path)?;
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| LookError::new(path, crate::root::io_why(&error)))?;
        if bytes.len() > limit {
            return Err(LookError::new(path, Why::TooLarge(limit)));
        }
        Ok(bytes)
    }

    fn list(&self, path: &Path) -> Result<Vec<Entry>, LookError> {
        let (answered, _) = self.ask(path, &Question::List(bytes(path)))?;
        match answer(path, &answered)? {
            Answer::Entries(entries) => Ok(entries
                .into_iter()
                .map(|(name, kind)| Entry {
                    path: path.join(OsStr::from_bytes(name)),
                    kind: kind.into(),
                })
                .collect()),
            _ => Err(confused(path)),
        }
    }

    fn stat(&self, path: &Path, links: Links) -> Result<Stat, LookError> {
        let (answered, _) = self.ask(path, &Question::Stat(bytes(path), links == Links::Follow))?;
        match answer(path, &answered)? {
            Answer::Facts(facts) => Ok(facts.into()),
            _ => Err(confused(path)),
        }
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, LookError> {
        let (answered, _) = self.ask(path, &Question::ReadLink(bytes(path)))?;
        match answer(path, &answered)? {
            Answer::Link(to) => Ok(PathBuf::from(OsStr::from_bytes(to))),
            _ => Err(confused(path)),
        }
    }

    fn identity(&self, path: &Path) -> Result<Option<Identity>, LookError> {
        let (answered, _) = self.ask(path, &Question::Identity(bytes(path)))?;
        match answer(path, &answered)? {
            Answer::Identity(state) => Ok(state.map(Identity::from)),
            _ => Err(confused(path)),
        }
    }

    fn visit(&self, directory: &Path, each: &mut dyn FnMut(Visited<'_>)) -> Result<(), LookError> {
        let (answered, _) = self.ask(directory, &Question::Visit(bytes(directory)))?;
        let Answer::Visited(entries) = answer(directory, &answered)? else {
            return Err(confused(directory));
        };
        for (name, kind, facts) in entries {
            let name = OsStr::from_bytes(name);
            let stat = || {
                facts
                    .map(Stat::from)
                    .map_err(|why| LookError::new(&directory.join(name), why.into()))
            };
            each(Visited { name, kind: kind.into(), stat: &stat });
        }
        Ok(())
    }

    fn visit_links(
        &self,
        directory: &Path,
        each: &mut dyn FnMut(&OsStr, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), LookError> {
        let (answered, _) = self.ask(directory, &Question::Links(bytes(directory)))?;
        let Answer::Links(links) = answer(directory, &answered)? else {
            return Err(confused(directory));
        };
        for (name, to) in links {
            if each(OsStr::from_bytes(name), to).is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

fn answer<'a>(path: &Path, bytes: &'a [u8]) -> Result<Answer<'a>, LookError> {
    match Answer::from_bytes(bytes) {
        Some(Answer::Failed(why)) => Err(LookError::new(path, why.into())),
        Some(answer) => Ok(answer),
        None => Err(confused(path)),
    }
}

fn confused(path: &Path) -> LookError {
    LookError::new(path, Why::Io("an answer that makes no sense".into()))
}
