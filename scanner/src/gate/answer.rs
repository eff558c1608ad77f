//! The answering side. It holds the rights that the asking side has not, and trusts nothing it is asked.

use std::ffi::OsStr;
use std::fs::File;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use parsers::tree::{LookError, Tree, Visited, Why};
use rustix::fs::{AtFlags, StatxFlags};

use super::wire::{Answer, Failure, Question, links, number};
use crate::RootedTree;
use crate::ports::{namespaces, netlink};

/// Files below `/proc/PID` through which the contents of a process show: its memory, its environment. No
/// look needs them.
const BARE: [&str; 8] =
    ["mem", "environ", "auxv", "pagemap", "syscall", "stack", "clear_refs", "kcore"];
/// Most bytes of all names of one answer.
const NAMES_BYTES_MAX: usize = 32 << 20;

/// What is never opened, whoever asks: the state and the credentials of the answering process.
#[derive(Clone, Debug, Default)]
pub struct Closed(pub Vec<PathBuf>);

/// An answer's bytes, and the descriptor that goes with them.
pub type Reply = (Vec<u8>, Option<OwnedFd>);

/// Answers one question about a tree or the kernel.
pub fn answer(tree: &RootedTree, closed: &Closed, question: Question<'_>) -> Reply {
    let mut file = None;
    let answered = match question {
        Question::Open(path) => open(tree, closed, Path::new(OsStr::from_bytes(path)), &mut file),
        Question::Dump(table) => {
            encoded(&Answer::Dumped(netlink::ask(table).map_err(|error| number(&error))))
        }
        Question::Namespaces => {
            let (found, unseen) = namespaces::others(tree);
            encoded(&Answer::Namespaces(found, unseen))
        }
        about => look(tree, about),
    };
    let bytes = answered.unwrap_or_else(|error| {
        encoded(&Answer::Failed(Failure::from(&error.why))).unwrap_or_default()
    });
    (bytes, file)
}

type Encoded = Result<Vec<u8>, LookError>;

fn encoded(answer: &Answer<'_>) -> Encoded {
    let failed = || LookError::new(Path::new("/"), Why::Io("the answer is no answer".into()));
    answer.to_bytes().ok_or_else(failed)
}

fn open(tree: &RootedTree, closed: &Closed, path: &Path, file: &mut Option<OwnedFd>) -> Encoded {
    let opened = tree.open_file(path)?;
    if closed.holds(&opened) {
        return Err(LookError::new(path, Why::Denied));
    }
    let stat = crate::root::facts_of(path, &opened)?;
    *file = Some(opened.into());
    encoded(&Answer::Facts((&stat).into()))
}

fn look(tree: &RootedTree, question: Question<'_>) -> Encoded {
    let path = |bytes| Path::new(OsStr::from_bytes(bytes));
    match question {
        Question::Stat(at, follow) => {
            encoded(&Answer::Facts((&tree.stat(path(at), links(follow))?).into()))
        }
        Question::Identity(at) => {
            encoded(&Answer::Identity(tree.identity(path(at))?.as_ref().map(Into::into)))
        }
        Question::ReadLink(at) => {
            encoded(&Answer::Link(tree.read_link(path(at))?.as_os_str().as_bytes()))
        }
        Question::List(at) => {
            let entries = tree.list(path(at))?;
            let name = |entry: &Path| entry.file_name().unwrap_or_default().as_bytes().to_vec();
            let names: Vec<_> =
                entries.iter().map(|entry| (name(&entry.path), entry.kind.into())).collect();
            encoded(&Answer::Entries(
                names.iter().map(|(name, kind)| (name.as_slice(), *kind)).collect(),
            ))
        }
        Question::Visit(at) => visit(tree, path(at)),
        Question::Links(at) => visit_links(tree, path(at)),
        Question::Open(_) | Question::Dump(_) | Question::Namespaces => {
            encoded(&Answer::Failed(Failure::Denied))
        }
    }
}

fn visit(tree: &RootedTree, at: &Path) -> Encoded {
    let mut seen = Vec::new();
    tree.visit(at, &mut |Visited { name, kind, stat }| {
        seen.push((name.as_bytes().to_vec(), kind.into(), stat().map_err(|error| error.why)));
    })?;
    encoded(&Answer::Visited(
        seen.iter()
            .map(|(name, kind, stat)| {
                let facts = stat.as_ref().map(Into::into).map_err(Failure::from);
                (name.as_slice(), *kind, facts)
            })
            .collect(),
    ))
}

fn visit_links(tree: &RootedTree, at: &Path) -> Encoded {
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut left = NAMES_BYTES_MAX;
    tree.visit_links(at, &mut |name, to| {
        let bytes = name.len() + to.len();
        if bytes > left {
            left = 0;
            return ControlFlow::Break(());
        }
        left -= bytes;
        found.push((name.as_bytes().to_vec(), to.to_vec()));
        ControlFlow::Continue(())
    })?;
    if left == 0 {
        return Err(LookError::new(at, Why::TooMany(found.len())));
    }
    encoded(&Answer::Links(found.iter().map(|(name, to)| (&name[..], &to[..])).collect()))
}

impl Closed {
    /// Whether an open file is one of these: by where it really is, whatever name led to it.
    fn holds(&self, file: &File) -> bool {
        let number = file.as_raw_fd().to_string();
        let own = Path::new("/proc/self/fd").join(number);
        let Ok(path) = std::fs::read_link(own) else { return true };
        self.0.iter().any(|closed| path.starts_with(closed)) || is_bare(&path)
    }
}

/// Whether a path shows what a process holds.
fn is_bare(path: &Path) -> bool {
    let Ok(inside) = path.strip_prefix("/proc") else { return false };
    let name = inside.file_name().and_then(OsStr::to_str).unwrap_or_default();
    BARE.contains(&name)
}

/// Birth of an open file, nanoseconds since the epoch, where the file system keeps it.
pub(crate) fn born(file: impl AsFd) -> Option<i64> {
    let facts = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BTIME).ok()?;
    if facts.stx_mask & StatxFlags::BTIME.bits() == 0 {
        return None;
    }
    let at = i128::from(facts.stx_btime.tv_sec) * 1_000_000_000;
    i64::try_from(at + i128::from(facts.stx_btime.tv_nsec)).ok().filter(|at| *at >= 0)
}
