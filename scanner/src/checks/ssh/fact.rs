//! What is known of sshd: its configuration, its version, the daemon that runs, its socket unit.
//!
//! Looked at once. Failures are part of the value; nothing here decides what is wrong.

use std::path::Path;

use parsers::config::sshd::{
    CommandLine, DEFAULT_PATH, MatchPlace, Setting, Sshd, Version, Won, default_of, parse_version,
};
use parsers::place::{Place, Placed};
use parsers::tree::{LookError, Tree};

use super::super::Outcome;
use super::socket;
use crate::facts::{Fact, Facts};

/// Largest package database that is searched for the version.
const STATUS_BYTES_MAX: usize = 64 << 20;
/// Largest command line that is read.
const CMDLINE_BYTES_MAX: usize = 128 << 10;
/// Assumed where the version is not known: the newest whose defaults are known.
const NEWEST: Version = (10, 0);

/// The daemon that listens.
pub(super) struct Daemon {
    pub pid: u32,
    pub command: CommandLine,
    /// When it started, seconds since the epoch.
    pub started: Option<i64>,
}

/// Everything the checks of this area look at.
pub struct SshFact {
    pub(super) config: Result<Sshd, LookError>,
    pub(super) path: String,
    pub(super) version: Option<Version>,
    pub(super) daemon: Option<Daemon>,
    /// Why nothing can be said of the daemon although one may run.
    pub(super) daemon_hidden: Option<String>,
    pub(super) socket: socket::Socket,
    /// Line of the main file that includes the drop-in directory outside of a block.
    pub(super) drop_ins_from: Option<u32>,
    /// What could not be looked at although the configuration was read.
    pub(super) unseen: Vec<String>,
}

/// A value that some connection may get, and where it comes from.
pub(super) struct Candidate {
    pub value: String,
    pub place: Place,
    pub text: String,
    pub block: Option<MatchPlace>,
    pub won: Won,
    pub overrides: Vec<Placed<String>>,
    pub is_default: bool,
}

impl Fact for SshFact {
    fn look(facts: &Facts<'_>) -> Self {
        let mut unseen = Vec::new();
        let version = version(facts);
        let daemon = daemon(facts, &mut unseen);
        let command = daemon.as_ref().map(|daemon| daemon.command.clone()).unwrap_or_default();
        let path = match &command.config {
            Some(path) if path.starts_with('/') => path.clone(),
            Some(path) => format!("/{path}"),
            None => DEFAULT_PATH.to_string(),
        };
        let config = Sshd::read_as(facts.tree, &path, version, &command);
        if let Ok(sshd) = &config {
            unseen.extend(sshd.unread.iter().map(ToString::to_string));
        }
        let drop_ins_from = facts.read(&path).ok().and_then(|bytes| drop_ins_line(&bytes));
        let socket = socket::look(facts.tree, &mut unseen);
        let daemon_hidden = hidden(facts, daemon.as_ref());
        Self { config, path, version, daemon, daemon_hidden, socket, drop_ins_from, unseen }
    }
}

impl SshFact {
    /// The configuration, or how a check ends without it.
    pub(super) fn sshd(&self) -> Result<&Sshd, Outcome> {
        match &self.config {
            Ok(sshd) => Ok(sshd),
            Err(error) if error.not_found() && self.daemon.is_some() => {
                Err(Outcome::unknown(format!("sshd runs, but {error}")))
            }
            Err(error) if error.not_found() => {
                Err(Outcome::not_applicable(format!("no sshd here: {error}")))
            }
            Err(error) => Err(Outcome::unreadable(error)),
        }
    }

    /// Every value of a keyword that some connection may get; the default where no line sets it.
    pub(super) fn possible(&self, sshd: &Sshd, keyword: &str) -> Vec<Candidate> {
        let found = sshd.possible(keyword);
        let for_all = found.iter().any(|(block, _)| block.as_ref().is_none_or(|b| b.everybody));
        let mut candidates: Vec<Candidate> =
            found.into_iter().map(|(block, setting)| Candidate::of(block, &setting)).collect();
        if !for_all && let Some(value) = default_of(keyword, self.version.unwrap_or(NEWEST)) {
            candidates.insert(0, self.default_candidate(keyword, value));
        }
        candidates
    }

    /// The values of a keyword for everybody who meets no block.
    pub(super) fn global(&self, sshd: &Sshd, keyword: &str) -> Vec<Candidate> {
        match sshd.global().settings.remove(keyword) {
            Some(setting) => vec![Candidate::of(setting.within.clone(), &setting)],
            None => default_of(keyword, self.version.unwrap_or(NEWEST))
                .map(|value| self.default_candidate(keyword, value))
                .into_iter()
                .collect(),
        }
    }

    fn default_candidate(&self, keyword: &str, value: String) -> Candidate {
        let version = match self.version {
            Some((major, minor)) => format!("OpenSSH {major}.{minor}"),
            None => "OpenSSH, version unknown".to_string(),
        };
        Candidate {
            text: format!("(default of {version}) {keyword} {}", shown(&value)),
            value,
            place: Place::whole(self.path.as_str()),
            block: None,
            won: Won::First,
            overrides: Vec::new(),
            is_default: true,
        }
    }
}

impl Candidate {
    fn of(block: Option<MatchPlace>, setting: &Setting) -> Self {
        Self {
            value: setting.value(),
            place: setting.place().clone(),
            text: showable(setting.text()),
            block,
            won: setting.won,
            overrides: setting.overrides.clone(),
            is_default: false,
        }
    }
}

/// A line whose value is one of a few known words: `PasswordAuthentication=yes` would be taken for a
/// secret, `PasswordAuthentication yes` is not.
fn showable(text: &str) -> String {
    if crate::redact::line(text).contains(crate::redact::HIDDEN) {
        return text.replacen('=', " ", 1);
    }
    text.to_string()
}

/// A value in the words of today's manual: `sshd -T` still prints an old name.
pub(super) fn shown(value: &str) -> &str {
    if value == "without-password" { "prohibit-password" } else { value }
}

fn version(facts: &Facts<'_>) -> Option<Version> {
    let said = facts.spoken.sshd_version.as_deref().filter(|_| facts.live);
    said.and_then(|bytes| parse_version(&String::from_utf8_lossy(bytes)))
        .or_else(|| installed_version(facts.tree))
}

/// The version that dpkg's database names.
fn installed_version(tree: &dyn Tree) -> Option<Version> {
    let bytes = tree.read(Path::new("/var/lib/dpkg/status"), STATUS_BYTES_MAX).ok()?;
    let start = memchr::memmem::find(&bytes, b"Package: openssh-server\n")?;
    let record = String::from_utf8_lossy(&bytes[start..bytes.len().min(start + 4096)]).into_owned();
    let record = record.split("\n\n").next()?;
    if !record.contains("Status: install ok installed") {
        return None;
    }
    record.lines().find_map(|line| line.strip_prefix("Version: ")).and_then(parse_version)
}

fn hidden(facts: &Facts<'_>, daemon: Option<&Daemon>) -> Option<String> {
    if !facts.live || daemon.is_some() {
        return None;
    }
    let Some(inventory) = facts.inventory else {
        return Some("listening sockets were not looked at".into());
    };
    let ours = inventory.listeners.iter().filter(|listener| listener.service == "ssh");
    let why = ours.filter_map(|listener| listener.owner_unknown.as_deref()).next()?;
    Some(format!("the process that listens is not known: {why}"))
}

fn daemon(facts: &Facts<'_>, unseen: &mut Vec<String>) -> Option<Daemon> {
    let listeners = &facts.inventory.filter(|_| facts.live)?.listeners;
    let ours = listeners.iter().filter(|listener| listener.service == "ssh");
    let is_sshd = |exe: &str| exe.trim_end_matches(" (deleted)").ends_with("/sshd");
    let pid = ours
        .flat_map(|listener| &listener.owners)
        .find(|owner| owner.exe.as_deref().is_some_and(is_sshd))?
        .pid;
    let path = format!("/proc/{pid}/cmdline");
    let command = match facts.tree.read(Path::new(&path), CMDLINE_BYTES_MAX) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let words: Vec<&str> = text.trim_end_matches('\0').split('\0').collect();
            CommandLine::read(&words, &Place::whole(path.as_str()))
        }
        Err(error) => {
            unseen.push(format!("the command line of the running sshd: {error}"));
            CommandLine::default()
        }
    };
    Some(Daemon { pid, command, started: started(facts, pid) })
}

/// Start of a process, from its ticks since boot and the time of boot (proc(5)).
fn started(facts: &Facts<'_>, pid: u32) -> Option<i64> {
    // The kernel's USER_HZ, which is 100 on every architecture that Linux servers run on.
    const TICKS_PER_SECOND: i64 = 100;
    let text = |path: &str| {
        let bytes = facts.read_live(path)?.ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let stat = text(&format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; field 22 counts from behind it.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: i64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let boot = text("/proc/stat")?;
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?;
    boot.trim().parse::<i64>().ok()?.checked_add(ticks / TICKS_PER_SECOND)
}

/// The line that includes `sshd_config.d` before any `Match`.
fn drop_ins_line(bytes: &[u8]) -> Option<u32> {
    for line in parsers::config::lines::numbered(bytes) {
        let text = line.text().trim_start().to_ascii_lowercase();
        if text.starts_with("match") {
            return None;
        }
        if text.starts_with("include") && text.contains("sshd_config.d/") {
            return Some(line.number);
        }
    }
    None
}
