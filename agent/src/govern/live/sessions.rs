//! Who is logged in, and from where: utmp(5), the sessions of systemd-logind, and connections to sshd.
//!
//! A terminal's session is in utmp, one without a terminal (scp, a remote command) only with logind, and
//! one of a host without either only as a connection. A connection to sshd counts as a session unless it
//! is known that nobody has logged in on it yet: its process runs as the account of privilege
//! separation, or sshd calls it `sshd-auth`. Otherwise whoever guesses passwords would be protected by
//! guessing. A session from a place whose address is not known makes the whole look fail.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use parsers::config::accounts;
use parsers::config::sshd::Sshd;
use parsers::log::utmp::{Login, RECORD_BYTES, logins};
use parsers::tree::{Links, Tree};
use rustix::net::netlink;
use scanner::ports::netlink::{dump, u32_at};

use crate::govern::harm::{NOBODY_KNOWN, Seen, Session};

const UTMP: &str = "/run/utmp";
const LOGIND: &str = "/run/systemd/sessions";
/// Logins that are over, the newest file and the one before.
const WTMP: [&str; 2] = ["/var/log/wtmp", "/var/log/wtmp.1"];
const UTMP_BYTES_MAX: usize = 8 << 20;
const SESSION_BYTES_MAX: usize = 16 << 10;
const SESSIONS_MAX: usize = 20_000;
/// Most processes, and descriptors of one of sshd's, that are looked at.
const PROCESSES_MAX: usize = 100_000;
const DESCRIPTORS_MAX: usize = 4_096;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const TCP_ESTABLISHED: u8 = 1;
const INET_DIAG_MSG_BYTES: usize = 72;
/// The account of sshd's privilege separation.
const SEPARATED: &str = "sshd";
const SSH_PORT: u16 = 22;

/// All sessions.
pub fn look(tree: &dyn Tree) -> Seen<Vec<Session>> {
    let mut sessions: BTreeSet<Session> = terminals(tree)?.into_iter().collect();
    sessions.extend(seats(tree)?);
    let connections = connections()?;
    if !connections.is_empty() {
        let shown: BTreeSet<IpAddr> = sessions.iter().filter_map(|one| one.from).collect();
        let more = to_sshd(tree, &connections)?.into_iter();
        let more = more.filter(|from| !shown.contains(from));
        sessions.extend(more.map(|from| Session { who: NOBODY_KNOWN.into(), from: Some(from) }));
    }
    Ok(sessions.into_iter().collect())
}

/// Logins that are kept, those that are over among them (wtmp(5)).
pub fn past_logins(tree: &dyn Tree) -> Seen<Vec<Login>> {
    let mut found = Vec::new();
    for file in WTMP {
        match tree.read(Path::new(file), UTMP_BYTES_MAX) {
            Ok(bytes) => found.extend(logins(&bytes)),
            Err(error) if error.not_found() => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(found)
}

/// The sessions of utmp whose process is there.
fn terminals(tree: &dyn Tree) -> Seen<Vec<Session>> {
    let bytes = match tree.read(Path::new(UTMP), UTMP_BYTES_MAX) {
        Ok(bytes) => bytes,
        // Newer systems have none.
        Err(error) if error.not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let mut sessions = Vec::new();
    for record in bytes.chunks_exact(RECORD_BYTES) {
        let Some(login) = logins(record).next() else { continue };
        let pid = u32_at(record, 4).unwrap_or(0);
        let process = tree.stat(Path::new(&format!("/proc/{pid}")), Links::Follow);
        if process.is_err_and(|error| error.not_found()) {
            continue;
        }
        let who = scanner::redact::printable(&login.user);
        let place = &record[76..332];
        let place = &place[..place.iter().position(|byte| *byte == 0).unwrap_or(place.len())];
        let from = match login.address {
            Some(address) => Some(address.to_canonical()),
            None => {
                placed(place).map_err(|()| format!("{who} is logged in from nobody knows where"))?
            }
        };
        sessions.push(Session { who, from });
    }
    Ok(sessions)
}

/// Where a session's place that is no address is: `None` for the machine itself.
fn placed(place: &[u8]) -> Result<Option<IpAddr>, ()> {
    let text = std::str::from_utf8(place).map_err(|_| ())?;
    // An X display, a terminal of tmux; a window of screen has the address before it.
    if text.is_empty() || text.starts_with(':') || text.starts_with("tmux(") || text == "localhost"
    {
        return Ok(None);
    }
    let address = text.rsplit_once(":S.").map_or(text, |(address, _)| address);
    let address = address.split('%').next().unwrap_or_default();
    address.parse::<IpAddr>().map(|one| Some(one.to_canonical())).map_err(|_| ())
}

/// The sessions that logind keeps (`/run/systemd/sessions`, one file each).
fn seats(tree: &dyn Tree) -> Seen<Vec<Session>> {
    let entries = match tree.list(Path::new(LOGIND)) {
        Ok(entries) => entries,
        Err(error) if error.not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    if entries.len() > SESSIONS_MAX {
        return Err(format!("{LOGIND}: more than {SESSIONS_MAX} sessions"));
    }
    let mut sessions = Vec::new();
    for entry in entries {
        if entry.kind != parsers::tree::FileKind::Regular {
            continue;
        }
        let bytes = match tree.read(&entry.path, SESSION_BYTES_MAX) {
            Ok(bytes) => bytes,
            // It has just ended.
            Err(error) if error.not_found() => continue,
            Err(error) => return Err(error.to_string()),
        };
        let text = String::from_utf8_lossy(&bytes);
        let value = |key: &str| {
            text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or("")
        };
        if value("STATE") == "closing" {
            continue;
        }
        let who = scanner::redact::printable(value("USER"));
        let place = if value("REMOTE") == "1" { value("REMOTE_HOST") } else { "" };
        let from = placed(place.as_bytes())
            .map_err(|()| format!("{who} is logged in from nobody knows where"))?;
        sessions.push(Session { who, from });
    }
    Ok(sessions)
}

/// An established connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Connection {
    port: u16,
    peer: IpAddr,
    inode: u32,
}

fn connections() -> Seen<Vec<Connection>> {
    let mut found = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let mut request = [0_u8; 56];
        request[0] = family;
        request[1] = IPPROTO_TCP;
        request[4..8].copy_from_slice(&(1_u32 << TCP_ESTABLISHED).to_ne_bytes());
        let asked = Some(netlink::SOCK_DIAG);
        let answers = dump(asked, SOCK_DIAG_BY_FAMILY, &request, SOCK_DIAG_BY_FAMILY)
            .map_err(|error| format!("connections: {error}"))?;
        for answer in answers {
            found.push(decode(&answer).ok_or("a connection shorter than its fixed part")?);
        }
    }
    Ok(found)
}

/// Decodes `struct inet_diag_msg`; `None` when it is cut short.
fn decode(message: &[u8]) -> Option<Connection> {
    let fixed = message.get(..INET_DIAG_MSG_BYTES)?;
    let peer = match fixed[0] {
        AF_INET => IpAddr::from(<[u8; 4]>::try_from(&fixed[24..28]).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(&fixed[24..40]).ok()?),
    };
    Some(Connection {
        port: u16::from_be_bytes([fixed[4], fixed[5]]),
        peer: peer.to_canonical(),
        inode: u32_at(fixed, 68)?,
    })
}

/// Peers of connections to sshd on which somebody is, or may be, logged in.
fn to_sshd(tree: &dyn Tree, connections: &[Connection]) -> Seen<BTreeSet<IpAddr>> {
    let (held, blind) = held_by_sshd(tree)?;
    let ports = if blind { ssh_ports(tree) } else { BTreeSet::new() };
    let logged_in = |one: &&Connection| match held.get(&one.inode) {
        Some(separated) => !separated,
        None => ports.contains(&one.port),
    };
    Ok(connections.iter().filter(logged_in).map(|one| one.peer).collect())
}

/// The sockets that processes of sshd hold, and whether one of them is still unprivileged: nobody has
/// logged in on it. The second part says whether some of sshd's descriptors could not be seen.
fn held_by_sshd(tree: &dyn Tree) -> Seen<(BTreeMap<u32, bool>, bool)> {
    let separated = tree.read_config("/etc/passwd").ok().and_then(|bytes| {
        let users = accounts::passwd("/etc/passwd", &bytes).entries;
        users.iter().find(|user| user.name == SEPARATED).map(|user| user.uid)
    });
    let mut pids = Vec::new();
    let listed = tree.visit(Path::new("/proc"), &mut |entry| {
        pids.extend(entry.name.to_str().and_then(|name| name.parse::<u32>().ok()));
    });
    listed.map_err(|error| error.to_string())?;
    if pids.len() > PROCESSES_MAX {
        return Err(format!("more than {PROCESSES_MAX} processes"));
    }
    let (mut held, mut blind) = (BTreeMap::new(), false);
    for pid in pids {
        let folder = format!("/proc/{pid}");
        let Ok(name) = tree.read(Path::new(&format!("{folder}/comm")), 64) else { continue };
        let name = String::from_utf8_lossy(&name).trim().to_string();
        if !name.starts_with("sshd") && name != "dropbear" {
            continue;
        }
        let uid = uid(tree, &folder);
        let early = name == "sshd-auth" || (uid.is_some() && uid == separated);
        let Ok(entries) = tree.list(Path::new(&format!("{folder}/fd"))) else {
            blind = true;
            continue;
        };
        for entry in entries.iter().take(DESCRIPTORS_MAX) {
            match tree.read_link(&entry.path) {
                Ok(to) => {
                    if let Some(inode) = socket(&to.to_string_lossy()) {
                        *held.entry(inode).or_insert(false) |= early;
                    }
                }
                Err(error) if error.not_found() => {}
                Err(_) => blind = true,
            }
        }
    }
    Ok((held, blind))
}

fn uid(tree: &dyn Tree, folder: &str) -> Option<u32> {
    let bytes = tree.read(Path::new(&format!("{folder}/status")), 64 << 10).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The inode in `socket:[123]`.
fn socket(link: &str) -> Option<u32> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Where sshd listens, by its configuration; 22 in any case.
fn ssh_ports(tree: &dyn Tree) -> BTreeSet<u16> {
    let mut ports = BTreeSet::from([SSH_PORT]);
    if let Ok(sshd) = Sshd::read(tree, "/etc/ssh/sshd_config") {
        let effective = sshd.global();
        for keyword in ["port", "listenaddress"] {
            for value in effective.get(keyword).map(|setting| setting.value()).iter() {
                let words = value.split([' ', ',', '\n']);
                let numbers = words.filter_map(|word| word.rsplit(':').next()?.parse::<u16>().ok());
                ports.extend(numbers);
            }
        }
    }
    ports
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
