//! Questions and answers as bytes: postcard, which is compact and never reads past its input.

use parsers::tree::{FileKind, Identity, Links, Stat, Why};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::ports::namespaces::Namespace;
use crate::ports::netlink::NetlinkError;

/// Longest path of a question: PATH_MAX (limits.h).
pub const PATH_BYTES_MAX: usize = 4_096;

/// What is asked. Paths are absolute inside the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question<'a> {
    /// A regular file for reading; its descriptor comes with the answer.
    Open(&'a [u8]),
    /// Facts about an entry, itself followed or not.
    Stat(&'a [u8], bool),
    /// What tells the state of a regular file apart.
    Identity(&'a [u8]),
    /// The entries of a directory, sorted.
    List(&'a [u8]),
    /// The entries of a directory that is no link, each with its facts.
    Visit(&'a [u8]),
    /// The links of a directory with their texts.
    Links(&'a [u8]),
    /// A link's text.
    ReadLink(&'a [u8]),
    /// A table of the kernel's.
    Dump(Table),
    /// What listens in other network namespaces.
    Namespaces,
}

/// Tables of the kernel that are asked for over netlink; nothing else ever is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Table {
    /// Sockets of a family and protocol in a set of states (`struct inet_diag_req_v2`).
    Sockets {
        /// `AF_INET` or `AF_INET6`.
        family: u8,
        /// `IPPROTO_TCP` or `IPPROTO_UDP`.
        protocol: u8,
        /// A bit a state.
        states: u32,
    },
    /// Addresses of this host's interfaces (`RTM_GETADDR`).
    Addresses,
}

/// What is answered: the same, or why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer<'a> {
    /// Not looked at.
    Failed(Failure<'a>),
    /// Facts about an entry, or about a file whose descriptor comes along.
    Facts(Facts),
    /// What tells the state of a file apart.
    Identity(Option<State>),
    /// Names and kinds.
    #[serde(borrow)]
    Entries(Vec<(&'a [u8], Kind)>),
    /// Names, kinds and facts.
    #[serde(borrow)]
    Visited(Vec<(&'a [u8], Kind, Result<Facts, Failure<'a>>)>),
    /// Names and texts of links.
    #[serde(borrow)]
    Links(Vec<(&'a [u8], &'a [u8])>),
    /// A link's text.
    Link(&'a [u8]),
    /// The payloads of a table, or the number of an error.
    Dumped(Result<Vec<Vec<u8>>, i32>),
    /// Namespaces, and what could not be looked at.
    Namespaces(Vec<Namespace>, Vec<String>),
}

/// [`FileKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A device.
    Device,
}

/// [`Stat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    kind: Kind,
    mode: u32,
    uid: u32,
    gid: u32,
    size_bytes: u64,
    modified: i64,
    device: u64,
    inode: u64,
    born: Option<i64>,
}

/// [`Identity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

/// [`Why`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure<'a> {
    /// Nothing has that name.
    NotFound,
    /// The answering process has not the right.
    Denied,
    /// Not a regular file.
    NotRegular(Kind),
    /// Not a directory.
    NotDirectory,
    /// Too large.
    TooLarge(u64),
    /// Too many entries.
    TooMany(u64),
    /// The system's word.
    Io(&'a str),
}

impl<'a> Question<'a> {
    /// The question as bytes.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        postcard::to_stdvec(self).ok()
    }

    /// A question from bytes that anybody may have sent; `None` where they are none, have more behind
    /// them, or name a path that is too long.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let (question, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        (rest.is_empty() && question.is_sound()).then_some(question)
    }

    /// Whether its path is no longer than any path may be; whoever decodes questions in another way asks.
    pub fn is_sound(&self) -> bool {
        self.path().is_none_or(|path| path.len() <= PATH_BYTES_MAX)
    }

    /// The path that it is about.
    pub fn path(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Open(path)
            | Self::Stat(path, _)
            | Self::Identity(path)
            | Self::List(path)
            | Self::Visit(path)
            | Self::Links(path)
            | Self::ReadLink(path) => Some(path),
            Self::Dump(_) | Self::Namespaces => None,
        }
    }
}

impl<'a> Answer<'a> {
    /// The answer as bytes.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        postcard::to_stdvec(self).ok()
    }

    /// An answer from bytes; `None` where they are none.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let (answer, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        rest.is_empty().then_some(answer)
    }
}

impl From<FileKind> for Kind {
    fn from(kind: FileKind) -> Self {
        match kind {
            FileKind::Regular => Self::Regular,
            FileKind::Directory => Self::Directory,
            FileKind::Link => Self::Link,
            FileKind::Fifo => Self::Fifo,
            FileKind::Socket => Self::Socket,
            FileKind::Device => Self::Device,
        }
    }
}

impl From<Kind> for FileKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Regular => Self::Regular,
            Kind::Directory => Self::Directory,
            Kind::Link => Self::Link,
            Kind::Fifo => Self::Fifo,
            Kind::Socket => Self::Socket,
            Kind::Device => Self::Device,
        }
    }
}

impl From<&Stat> for Facts {
    fn from(stat: &Stat) -> Self {
        let Stat { kind, mode, uid, gid, size_bytes, modified, device, inode, born } = *stat;
        let kind = kind.into();
        Self { kind, mode, uid, gid, size_bytes, modified, device, inode, born }
    }
}

impl From<Facts> for Stat {
    fn from(facts: Facts) -> Self {
        let Facts { kind, mode, uid, gid, size_bytes, modified, device, inode, born } = facts;
        let kind = kind.into();
        Self { kind, mode, uid, gid, size_bytes, modified, device, inode, born }
    }
}

impl From<&Identity> for State {
    fn from(identity: &Identity) -> Self {
        let Identity { device, inode, size_bytes, modified_ns, changed_ns } = *identity;
        Self { device, inode, size_bytes, modified_ns, changed_ns }
    }
}

impl From<State> for Identity {
    fn from(state: State) -> Self {
        let State { device, inode, size_bytes, modified_ns, changed_ns } = state;
        Self { device, inode, size_bytes, modified_ns, changed_ns }
    }
}

impl<'a> From<&'a Why> for Failure<'a> {
    fn from(why: &'a Why) -> Self {
        match why {
            Why::NotFound => Self::NotFound,
            Why::Denied => Self::Denied,
            Why::NotRegular(kind) => Self::NotRegular((*kind).into()),
            Why::NotDirectory => Self::NotDirectory,
            Why::TooLarge(limit) => Self::TooLarge(*limit as u64),
            Why::TooMany(limit) => Self::TooMany(*limit as u64),
            Why::Io(word) => Self::Io(word),
        }
    }
}

impl From<Failure<'_>> for Why {
    fn from(failure: Failure<'_>) -> Self {
        let size = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        match failure {
            Failure::NotFound => Self::NotFound,
            Failure::Denied => Self::Denied,
            Failure::NotRegular(kind) => Self::NotRegular(kind.into()),
            Failure::NotDirectory => Self::NotDirectory,
            Failure::TooLarge(limit) => Self::TooLarge(size(limit)),
            Failure::TooMany(limit) => Self::TooMany(size(limit)),
            Failure::Io(word) => Self::Io(word.to_string()),
        }
    }
}

/// Numbers of errors of a dump that are none of the kernel's.
const MALFORMED: i32 = -1;
const TOO_MANY: i32 = -2;
const UNSTEADY: i32 = -3;

/// A dump's error as a number.
pub(super) fn number(error: &NetlinkError) -> i32 {
    match error {
        NetlinkError::Refused(errno) => errno.raw_os_error(),
        NetlinkError::Malformed(_) => MALFORMED,
        NetlinkError::TooMany => TOO_MANY,
        NetlinkError::Unsteady => UNSTEADY,
    }
}

/// And back.
pub(super) fn error(number: i32) -> NetlinkError {
    match number {
        TOO_MANY => NetlinkError::TooMany,
        UNSTEADY => NetlinkError::Unsteady,
        errno if errno > 0 => NetlinkError::Refused(Errno::from_raw_os_error(errno)),
        _ => NetlinkError::Malformed("the broker could not read it"),
    }
}

/// How the last component of a path is taken.
pub(super) fn links(follow: bool) -> Links {
    if follow { Links::Follow } else { Links::Keep }
}
