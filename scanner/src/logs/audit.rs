//! The records of one audit event joined: what ran, what was created, what was connected to.
//!
//! The kernel writes a system call as several records of one serial number (SYSCALL, EXECVE, CWD, PATH,
//! SOCKADDR, PROCTITLE), those of several calls in between. [`Note`] is what one record adds, taken without
//! knowing the others; [`Joiner`] puts notes together, in the order of the log, into a [`Joined`] event
//! with the fields by which Sigma knows process creations, file events and network connections. Nothing
//! here waits for a clock: a group is complete at its last record, or when the log has gone on for
//! [`WAIT_S`] seconds. Memory is bounded; what that costs is counted in [`Joins`].

use std::collections::{HashMap, VecDeque};

use parsers::log::audit::{AuditRecord, SocketAddress, socket_address};
use parsers::time::Stamp;

use super::syscalls;

/// Most groups that are open at once; the oldest is closed for another.
pub const OPEN_MAX: usize = 256;

/// A group to which nothing was added for so long (by the log's own stamps) is complete.
pub const WAIT_S: i64 = 2;

/// Most paths of one group that are kept.
pub const PATHS_MAX: usize = 32;

/// Most bytes of a command line that are kept.
pub const COMMAND_BYTES_MAX: usize = 32 << 10;

/// Most bytes of one other value that are kept.
pub const VALUE_BYTES_MAX: usize = 4 << 10;

/// Most processes that are remembered as parents; the one noted longest ago is forgotten.
pub const PROCESSES_MAX: usize = 4096;

/// Most bytes of a parent's command line that are kept.
const PARENT_BYTES_MAX: usize = 1 << 10;

/// What happened in a joined event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A program was started.
    Process,
    /// A file was created.
    File,
    /// A connection was made or taken.
    Network,
}

/// What one record adds to its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    serial: u64,
    node: Vec<u8>,
    at: i64,
    adds: Adds,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Adds {
    Call(Box<Call>),
    Arguments(Vec<u8>),
    Directory(Vec<u8>),
    Path { name: Vec<u8>, created: bool },
    Address(SocketAddress),
    Title(Vec<u8>),
    End,
}

/// A SYSCALL record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Call {
    name: Vec<u8>,
    failed: bool,
    pid: Vec<u8>,
    parent: Vec<u8>,
    image: Vec<u8>,
    user: Vec<u8>,
    /// Other fields, by the names that audit gives them.
    plain: Vec<(&'static str, Vec<u8>)>,
}

/// A joined event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// When, seconds since the epoch.
    pub at: i64,
    /// Its serial number.
    pub serial: u64,
    /// Its fields by Sigma's names; one name may have several values.
    pub fields: Vec<(&'static str, Vec<u8>)>,
    /// All fields as a line.
    pub text: Vec<u8>,
    deeds: [bool; 3],
}

/// What joining came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Joins {
    /// Events that were joined.
    pub joined: u64,
    /// Groups without a SYSCALL record: their beginning was not seen.
    pub headless: u64,
    /// Groups closed before their last record for want of room.
    pub crowded: u64,
    /// Values that were cut or left out.
    pub cut: u64,
}

/// Notes to events. `P` is where a record stands; an event gets the place of its last record.
#[derive(Debug)]
pub struct Joiner<P> {
    open: VecDeque<Group<P>>,
    processes: HashMap<Vec<u8>, (Process, u64)>,
    /// Processes in the order in which they were noted, with the number of that note.
    order: VecDeque<(Vec<u8>, u64)>,
    noted: u64,
    counts: Joins,
}

#[derive(Debug)]
struct Group<P> {
    serial: u64,
    node: Vec<u8>,
    at: i64,
    newest: i64,
    place: P,
    call: Option<Box<Call>>,
    arguments: Option<Vec<u8>>,
    directory: Option<Vec<u8>>,
    paths: Vec<(Vec<u8>, bool)>,
    address: Option<SocketAddress>,
    title: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Process {
    image: Vec<u8>,
    command: Vec<u8>,
}

impl Joined {
    /// Whether the event is one of these.
    pub fn is(&self, deed: Deed) -> bool {
        self.deeds[deed as usize]
    }

    /// The values of a field.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |(key, _)| *key == name).map(|(_, value)| value.as_slice())
    }
}

impl Note {
    /// What a record adds; `None` for records that stand alone (logins, services, policy).
    pub fn of(record: &AuditRecord<'_>) -> Option<Self> {
        let Stamp::Exact(at) = record.stamp else { return None };
        let field = |name: &[u8]| record.field(name).unwrap_or_default();
        let adds = match record.kind {
            b"SYSCALL" => Adds::Call(Box::new(call(record))),
            b"EXECVE" => Adds::Arguments(arguments(record)),
            b"CWD" => Adds::Directory(kept(field(b"cwd"), VALUE_BYTES_MAX)),
            b"PATH" => Adds::Path {
                name: kept(field(b"name"), VALUE_BYTES_MAX),
                created: field(b"nametype") == b"CREATE",
            },
            b"SOCKADDR" => Adds::Address(socket_address(field(b"saddr"))?),
            b"PROCTITLE" => Adds::Title(kept(field(b"proctitle"), COMMAND_BYTES_MAX)),
            b"EOE" => Adds::End,
            _ => return None,
        };
        let node = kept(record.node, VALUE_BYTES_MAX);
        Some(Self { serial: record.serial, node, at, adds })
    }
}

fn kept(value: &[u8], most: usize) -> Vec<u8> {
    value[..value.len().min(most)].to_vec()
}

fn call(record: &AuditRecord<'_>) -> Call {
    let field = |name: &[u8]| record.field(name).unwrap_or_default();
    let copy = |name: &[u8]| kept(field(name), VALUE_BYTES_MAX);
    let known = syscalls::name(field(b"arch"), field(b"syscall")).map(str::as_bytes);
    let name = record.field(b"SYSCALL").or(known).unwrap_or_default();
    const PLAIN: [&str; 12] = [
        "auid", "uid", "gid", "euid", "ses", "tty", "comm", "key", "exit", "success", "AUID",
        "EUID",
    ];
    let plain = PLAIN.iter().filter_map(|name| {
        let value = record.field(name.as_bytes())?;
        (value != b"(null)" && value != b"?").then(|| (*name, kept(value, VALUE_BYTES_MAX)))
    });
    let user = match (record.field(b"UID"), field(b"uid")) {
        (Some(name), _) => name,
        (None, b"0") => b"root",
        (None, number) => number,
    };
    Call {
        name: name.to_vec(),
        failed: field(b"success") == b"no",
        pid: copy(b"pid"),
        parent: copy(b"ppid"),
        image: copy(b"exe"),
        user: kept(user, VALUE_BYTES_MAX),
        plain: plain.collect(),
    }
}

/// The arguments of EXECVE as one line.
fn arguments(record: &AuditRecord<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    for (key, value) in &record.fields {
        let argument = key
            .strip_prefix(b"a")
            .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit));
        if argument && line.len() < COMMAND_BYTES_MAX {
            if !line.is_empty() {
                line.push(b' ');
            }
            line.extend_from_slice(value);
        }
    }
    line.truncate(COMMAND_BYTES_MAX);
    line
}

impl<P> Default for Joiner<P> {
    fn default() -> Self {
        Self {
            open: VecDeque::new(),
            processes: HashMap::new(),
            order: VecDeque::new(),
            noted: 0,
            counts: Joins::default(),
        }
    }
}

impl<P> Joiner<P> {
    /// Takes a note; calls `done` with each event that is complete now.
    pub fn push(&mut self, note: Note, place: P, mut done: impl FnMut(Joined, P)) {
        while self.open.front().is_some_and(|oldest| note.at - oldest.newest > WAIT_S) {
            self.close(0, &mut done);
        }
        let same = |group: &Group<P>| group.serial == note.serial && group.node == note.node;
        let found = self.open.iter().rposition(same);
        if note.adds == Adds::End {
            if let Some(index) = found {
                self.touch(index, &note, place);
                self.close(index, &mut done);
            }
            return;
        }
        let ends = matches!(note.adds, Adds::Title(_));
        let index = match found {
            Some(index) => {
                self.touch(index, &note, place);
                index
            }
            None => {
                if self.open.len() == OPEN_MAX {
                    self.counts.crowded += 1;
                    self.close(0, &mut done);
                }
                self.open.push_back(Group::new(&note, place));
                self.open.len() - 1
            }
        };
        if let Some(group) = self.open.get_mut(index) {
            self.counts.cut += group.add(note.adds);
        }
        if ends {
            self.close(index, &mut done);
        }
    }

    /// The log ends here: calls `done` with what is still open, oldest first.
    pub fn finish(&mut self, mut done: impl FnMut(Joined, P)) {
        while !self.open.is_empty() {
            self.close(0, &mut done);
        }
    }

    /// What joining came to so far.
    pub fn counts(&self) -> Joins {
        self.counts
    }

    fn touch(&mut self, index: usize, note: &Note, place: P) {
        if let Some(group) = self.open.get_mut(index) {
            group.newest = group.newest.max(note.at);
            group.place = place;
        }
    }

    fn close(&mut self, index: usize, done: &mut impl FnMut(Joined, P)) {
        let Some(mut group) = self.open.remove(index) else { return };
        let Some(call) = group.call.take() else {
            self.counts.headless += 1;
            return;
        };
        let joined = self.join(*call, &group);
        self.counts.joined += 1;
        done(joined, group.place);
    }

    fn join(&mut self, call: Call, group: &Group<P>) -> Joined {
        let named = |names: &[&[u8]]| names.contains(&call.name.as_slice());
        let command = group.arguments.as_ref().or(group.title.as_ref());
        let started = group.arguments.is_some() || named(&[b"execve", b"execveat"]);
        let created = group.paths.iter().any(|(_, created)| *created);
        let towards = named(&[b"connect", b"sendto", b"sendmsg", b"sendmmsg"]);
        let from = named(&[b"accept", b"accept4", b"recvfrom", b"recvmsg"]);
        let inet = matches!(group.address, Some(SocketAddress::Inet(..)));
        let deeds = [started && !call.failed, created && !call.failed, inet && (towards || from)];
        let mut fields = Fields::default();
        fields.add("Image", &call.image);
        fields.add("CommandLine", command.map_or(&[][..], Vec::as_slice));
        fields.add("CurrentDirectory", group.directory.as_deref().unwrap_or_default());
        fields.add("User", &call.user);
        fields.add("ProcessId", &call.pid);
        fields.add("ParentProcessId", &call.parent);
        if let Some((parent, _)) = self.processes.get(&process_key(group, &call.parent)) {
            fields.add("ParentImage", &parent.image);
            fields.add("ParentCommandLine", &parent.command);
        }
        fields.add("SYSCALL", &call.name);
        for (name, value) in &call.plain {
            fields.add(name, value);
            match *name {
                "uid" => fields.add("LogonId", value),
                "ses" => fields.add("TerminalSessionId", value),
                _ => {}
            }
        }
        for (path, _) in group.paths.iter().filter(|(_, created)| *created) {
            fields.add("TargetFilename", &absolute(path, group.directory.as_deref()));
        }
        if let (Some(SocketAddress::Inet(address, port)), true) = (&group.address, towards || from)
        {
            let (ip, number, initiated) = if towards {
                ("DestinationIp", "DestinationPort", "true")
            } else {
                ("SourceIp", "SourcePort", "false")
            };
            fields.add(ip, address.to_string().as_bytes());
            fields.add(number, port.to_string().as_bytes());
            fields.add("Initiated", initiated.as_bytes());
        }
        if !call.image.is_empty() && !call.pid.is_empty() && !call.failed {
            let command = started.then_some(command).flatten();
            self.remember(process_key(group, &call.pid), &call.image, command);
        }
        let text = fields.text(group.serial);
        Joined { at: group.at, serial: group.serial, fields: fields.0, text, deeds }
    }

    /// Notes a process as a possible parent; its command line stays until it runs another program.
    fn remember(&mut self, pid: Vec<u8>, image: &[u8], command: Option<&Vec<u8>>) {
        if let Some((known, _)) = self.processes.get(&pid)
            && command.is_none()
            && known.image == image
        {
            return;
        }
        let command = command.map(|line| kept(line, PARENT_BYTES_MAX)).unwrap_or_default();
        let process = Process { image: image.to_vec(), command };
        self.noted += 1;
        self.processes.insert(pid.clone(), (process, self.noted));
        self.order.push_back((pid, self.noted));
        while self.processes.len() > PROCESSES_MAX || self.order.len() > 2 * PROCESSES_MAX {
            let Some((oldest, number)) = self.order.pop_front() else { return };
            // noted again since: its later entry counts
            if self.processes.get(&oldest).is_some_and(|(_, last)| *last == number) {
                self.processes.remove(&oldest);
            }
        }
    }
}

impl<P> Group<P> {
    fn new(note: &Note, place: P) -> Self {
        Self {
            serial: note.serial,
            node: note.node.clone(),
            at: note.at,
            newest: note.at,
            place,
            call: None,
            arguments: None,
            directory: None,
            paths: Vec::new(),
            address: None,
            title: None,
        }
    }

    /// How many values were left out.
    fn add(&mut self, adds: Adds) -> u64 {
        match adds {
            Adds::Call(call) => self.call = Some(call),
            Adds::Arguments(line) => match &mut self.arguments {
                // arguments that do not fit one record go on in the next
                Some(known) if known.len() + line.len() < COMMAND_BYTES_MAX => {
                    known.push(b' ');
                    known.extend(line);
                }
                Some(_) => return 1,
                unknown => *unknown = Some(line),
            },
            Adds::Directory(path) => self.directory = Some(path),
            Adds::Path { name, created } if self.paths.len() < PATHS_MAX => {
                self.paths.push((name, created));
            }
            Adds::Path { .. } => return 1,
            Adds::Address(address) => self.address = Some(address),
            Adds::Title(title) => self.title = Some(title),
            Adds::End => {}
        }
        0
    }
}

#[derive(Default)]
struct Fields(Vec<(&'static str, Vec<u8>)>);

impl Fields {
    /// Adds a value that is there.
    fn add(&mut self, name: &'static str, value: &[u8]) {
        if !value.is_empty() {
            self.0.push((name, value.to_vec()));
        }
    }

    fn text(&self, serial: u64) -> Vec<u8> {
        let mut text = format!("audit {serial}:").into_bytes();
        for (name, value) in &self.0 {
            text.push(b' ');
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b"=\"");
            text.extend_from_slice(value);
            text.push(b'"');
        }
        text
    }
}

fn process_key<P>(group: &Group<P>, pid: &[u8]) -> Vec<u8> {
    if group.node.is_empty() { pid.to_vec() } else { [pid, b"@", &group.node].concat() }
}

/// The path below the directory in which the process stood.
fn absolute(path: &[u8], directory: Option<&[u8]>) -> Vec<u8> {
    match directory {
        Some(directory) if !path.starts_with(b"/") => {
            let directory = directory.strip_suffix(b"/").unwrap_or(directory);
            [directory, b"/", path.strip_prefix(b"./").unwrap_or(path)].concat()
        }
        _ => path.to_vec(),
    }
}

#[cfg(test)]
mod tests;
