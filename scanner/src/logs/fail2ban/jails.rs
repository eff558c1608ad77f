//! The host's own jails, ready to be asked.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use parsers::config::glob;
use parsers::place::Problem;
use parsers::rules::fail2ban::jail;
use parsers::tree::{FileKind, Links, Tree};
use serde::{Deserialize, Serialize};

use super::{Filter, Stored};

/// Most logs of a jail.
pub const LOGS_MAX: usize = 1_000;

/// An enabled jail. Written down, it is what [`StoredJail`] reads.
#[derive(Debug, Serialize)]
pub struct Jail {
    /// Name.
    pub name: String,
    /// Its filter.
    pub filter: Filter,
    /// Globs of its logs; empty where it reads the journal.
    pub logpath: Vec<String>,
    /// Whether it reads the journal; which entries is [`Filter::journalmatch`].
    pub reads_journal: bool,
    /// Failures that it takes.
    pub maxretry: u32,
    /// Seconds within which they have to come.
    pub findtime_s: f64,
    /// Seconds of the ban; negative is for ever.
    pub bantime_s: f64,
    /// Networks that never count.
    pub ignored: Vec<(IpAddr, u8)>,
    /// Names that never count.
    pub ignored_names: Vec<String>,
    /// Zone of stamps that name none, as it is written.
    pub zone: Option<String>,
}

/// A jail as it is kept between runs: the fields of [`Jail`], in their order.
#[derive(Debug, Deserialize)]
pub struct StoredJail {
    name: String,
    filter: Stored,
    logpath: Vec<String>,
    reads_journal: bool,
    maxretry: u32,
    findtime_s: f64,
    bantime_s: f64,
    ignored: Vec<(IpAddr, u8)>,
    ignored_names: Vec<String>,
    zone: Option<String>,
}

/// All jails that are enabled.
#[derive(Debug, Default)]
pub struct Jails {
    /// Those that can be used.
    pub jails: Vec<Jail>,
    /// Those that cannot, and why.
    pub problems: Vec<(String, Problem)>,
}

impl Jails {
    /// Reads and compiles the jails below a directory such as `/etc/fail2ban`. An error means that there
    /// are none to be read; what is wrong with one of them is among its problems.
    pub fn load(tree: &dyn Tree, base: &Path, last_year: i16) -> Result<Self, Problem> {
        let found = jail::load(tree, base)?;
        let mut jails = Self { jails: Vec::new(), problems: found.problems };
        for jail in found.jails {
            match Jail::new(&jail, last_year) {
                Ok(ready) => jails.jails.push(ready),
                Err(problem) => jails.problems.push((jail.name, problem)),
            }
        }
        Ok(jails)
    }
}

impl Jail {
    fn new(jail: &jail::Jail, last_year: i16) -> Result<Self, Problem> {
        let (mut ignored, mut ignored_names) = (Vec::new(), Vec::new());
        for text in &jail.ignoreip {
            match network(text) {
                Some(network) => ignored.push(network),
                None => ignored_names.push(text.clone()),
            }
        }
        Ok(Self {
            name: jail.name.clone(),
            filter: Filter::compile(&jail.filter, last_year)?,
            logpath: jail.logpath.clone(),
            reads_journal: jail.reads_journal(),
            maxretry: jail.maxretry,
            findtime_s: jail.findtime_s,
            bantime_s: jail.bantime_s,
            ignored,
            ignored_names,
            zone: jail.logtimezone.clone(),
        })
    }

    /// The jail of what was kept, as [`Filter::from_stored`].
    pub fn from_stored(stored: StoredJail, last_year: i16) -> Option<Self> {
        Some(Self {
            name: stored.name,
            filter: Filter::from_stored(stored.filter, last_year)?,
            logpath: stored.logpath,
            reads_journal: stored.reads_journal,
            maxretry: stored.maxretry,
            findtime_s: stored.findtime_s,
            bantime_s: stored.bantime_s,
            ignored: stored.ignored,
            ignored_names: stored.ignored_names,
            zone: stored.zone,
        })
    }

    /// The files that its globs name now, sorted; no more than [`LOGS_MAX`].
    pub fn logs(&self, tree: &dyn Tree) -> Vec<PathBuf> {
        let mut logs: Vec<PathBuf> =
            self.logpath.iter().flat_map(|pattern| globbed(tree, pattern)).collect();
        logs.sort();
        logs.dedup();
        logs.truncate(LOGS_MAX);
        logs
    }

    /// Why the jail can never fire here, if that is so.
    pub fn never(&self, tree: &dyn Tree) -> Option<String> {
        if self.filter.expressions().len() == 0 {
            return Some("its filter has no failregex".into());
        }
        if self.maxretry == 0 || self.findtime_s <= 0.0 {
            return Some("maxretry or findtime is zero".into());
        }
        if self.reads_journal {
            return None;
        }
        match self.logpath.as_slice() {
            [] => Some("it has no logpath".into()),
            paths if self.logs(tree).is_empty() => Some(format!("no log at {}", paths.join(", "))),
            _ => None,
        }
    }

    /// Whether the jail never counts this address or name.
    pub fn ignores(&self, id: &str, ip: Option<IpAddr>) -> bool {
        let within = |(network, bits): &(IpAddr, u8)| match (network, ip) {
            (IpAddr::V4(network), Some(IpAddr::V4(ip))) => {
                let shift = 32 - u32::from((*bits).min(32));
                let left = |ip: u32| ip.checked_shr(shift).unwrap_or(0);
                left(u32::from(*network)) == left(u32::from(ip))
            }
            (IpAddr::V6(network), Some(IpAddr::V6(ip))) => {
                let shift = 128 - u32::from((*bits).min(128));
                let left = |ip: u128| ip.checked_shr(shift).unwrap_or(0);
                left(u128::from(*network)) == left(u128::from(ip))
            }
            _ => false,
        };
        self.ignored.iter().any(within) || self.ignored_names.iter().any(|name| name == id)
    }
}

/// Files of a glob, component by component; links are followed, hidden files only where the glob says so.
fn globbed(tree: &dyn Tree, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for directory in found {
            if !part.contains(['*', '?', '[']) {
                next.push(directory.join(part));
                continue;
            }
            for entry in tree.list(&directory).unwrap_or_default() {
                let name = entry.path.file_name().unwrap_or_default().as_encoded_bytes();
                let hidden = name.starts_with(b".") && !part.starts_with('.');
                if !hidden && next.len() < LOGS_MAX && glob::matches(part.as_bytes(), name) {
                    next.push(entry.path);
                }
            }
        }
        found = next;
    }
    let is_file = |path: &PathBuf| {
        tree.stat(path, Links::Follow).is_ok_and(|stat| stat.kind == FileKind::Regular)
    };
    found.into_iter().filter(is_file).collect()
}

/// `192.0.2.7`, `192.0.2.0/24`, `192.0.2.0/255.255.255.0`, `::1`.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, mask) = text.split_once('/').unwrap_or((text, ""));
    let address: IpAddr = address.parse().ok()?;
    let full = if address.is_ipv4() { 32 } else { 128 };
    let bits = match mask {
        "" => full,
        _ => match (mask.parse::<u8>(), mask.parse::<IpAddr>()) {
            (Ok(bits), _) => bits,
            (_, Ok(IpAddr::V4(mask))) => u8::try_from(u32::from(mask).leading_ones()).ok()?,
            (_, Ok(IpAddr::V6(mask))) => u8::try_from(u128::from(mask).leading_ones()).ok()?,
            _ => return None,
        },
    };
    (bits <= full).then_some((address, bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use parsers::tree::MemoryTree;

    #[test]
    fn jails_are_ready_or_say_why_not() {
        let tree = MemoryTree::new()
            .file(
                "/f/jail.local",
                "[DEFAULT]\nenabled = true\nfilter = %(__name__)s\nlogpath = /l\n  /v/*/x-?.log\n\
                 ignoreip = 127.0.0.1/8 10.0.0.0/255.0.0.0 ::1 trusted.example\n\
                 [good]\n[bad]\nbackend = systemd\n",
            )
            .file("/f/filter.d/good.conf", "[Definition]\nfailregex = ^x <HOST>\n")
            .file("/f/filter.d/bad.conf", "[Definition]\nfailregex = ^x (<HOST>\n");
        let jails = Jails::load(&tree, Path::new("/f"), 2029).unwrap();
        let problems: Vec<String> = jails.problems.iter().map(|(_, p)| p.to_string()).collect();
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0].starts_with("/f/filter.d/bad.conf:2:1: `^x (<HOST>`: missing )"),
            "{problems:?}"
        );
        let good = &jails.jails[0];
        assert_eq!(good.never(&tree).as_deref(), Some("no log at /l, /v/*/x-?.log"));
        let tree =
            tree.file("/v/a/x-1.log", "").file("/v/.b/x-1.log", "").directory("/l", 0o755, 0, 0);
        assert_eq!(good.logs(&tree), [Path::new("/v/a/x-1.log")]);
        assert_eq!(good.never(&tree), None);
        let ignores = |text: &str| good.ignores(text, text.parse().ok());
        assert!(ignores("127.1.2.3") && ignores("10.9.8.7") && ignores("::1"));
        assert!(ignores("trusted.example") && !ignores("11.0.0.1") && !ignores("::2"));
    }
}
