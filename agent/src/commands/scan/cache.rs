//! The cache of a scan on disk: what services are, from earlier scans. See [`scanner::ports::cache`] for
//! what is kept and for how long; here it is read, joined to what listens now, and written.
//!
//! In `/var/cache/wardmote/scan.v1`, of a user in `$XDG_CACHE_HOME/wardmote`, and below `--state-dir` where
//! that is given. A cache that cannot be believed is ignored with one notice and written anew; one that
//! cannot be written is no cache.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use scanner::ports::cache::live::{self, Processes};
use scanner::ports::cache::{CACHE_BYTES_MAX, Cache, Holder, Key};
use scanner::ports::connect::listener;
use scanner::ports::report::{PortReport, Report};
use scanner::ports::tls::Start;
use scanner::ports::{Inventory, Listener};
use sha2::{Digest, Sha256};

use crate::proven::{Found, Proven};
use crate::settings::Span;

const FILE: &str = "scan.v1";

/// How old may be what is used.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// Ask a service again after so long (30m, 12h; at most a day, certificates at most 6h)
    #[arg(long, value_name = "DUR", conflicts_with = "no_cache")]
    max_age: Option<Span>,
    /// Use nothing that an earlier scan found
    #[arg(long)]
    no_cache: bool,
}

/// What is known of this host's services.
pub struct Kept {
    cache: Cache,
    file: Proven,
    age_max_s: i64,
    is_used: bool,
    processes: Processes,
    now: jiff::Timestamp,
}

impl Kept {
    /// Opens the cache; with a notice where one is there that cannot be believed. An error says why
    /// there can be none. `fingerprints` stands for whatever services are identified with beside this
    /// program itself.
    pub fn open(
        flags: &Flags,
        state_flag: Option<&Path>,
        state: &Path,
        fingerprints: &[u8],
    ) -> Result<(Self, Option<String>), String> {
        let epoch = live::epoch(identity(fingerprints));
        let epoch = epoch.ok_or("no cache: this host does not tell its boot")?;
        let path = place(state_flag).join(FILE);
        let file = Proven::open(state, path, "scan 1", CACHE_BYTES_MAX);
        let file = file.map_err(|error| format!("no cache: {}: {error}", state.display()))?;
        let mut notice = None;
        let mut cache = match file.read() {
            Found::Nothing => Cache::default(),
            Found::Ignored(why) => {
                notice = Some(format!("cache ignored: {why}"));
                Cache::default()
            }
            Found::Proved(bytes) => Cache::from_bytes(&bytes).unwrap_or_else(|why| {
                notice = Some(format!("cache ignored: {}: {why}", file.path().display()));
                Cache::default()
            }),
        };
        cache.enter(epoch);
        let kept = Self {
            cache,
            file,
            age_max_s: flags.max_age.map_or(i64::MAX, Span::seconds),
            is_used: !flags.no_cache,
            processes: Processes::default(),
            now: jiff::Timestamp::now(),
        };
        Ok((kept, notice))
    }

    /// Says of open ports what is known of their services, where this scan did not find out itself.
    pub fn fill(&mut self, report: &mut Report, inventory: &Inventory) {
        if !self.is_used {
            return;
        }
        for (address, name, port) in own_ports(report) {
            let Some(socket) = self.socket(inventory, address, port.port) else { continue };
            let (key, now) = (socket.key(), self.now);
            let fresh = port.service.as_ref().is_some_and(|service| service.source.is_some());
            if !fresh
                && let Some(known) =
                    self.cache.service_report(&key, now.as_second(), self.age_max_s)
            {
                port.service = Some(known);
            }
            if port.tls.is_none() {
                let of =
                    |start| self.cache.tls(&key, (name.as_deref(), start), now, self.age_max_s);
                port.tls = Start::ALL.into_iter().find_map(of);
            }
        }
    }

    /// Keeps what this scan found out itself.
    pub fn learn(&mut self, report: &mut Report, inventory: &Inventory) {
        let now = self.now.as_second();
        for (address, name, port) in own_ports(report) {
            let asked = port.service.as_ref().filter(|service| {
                service.source.as_deref().is_some_and(|source| source != "cache")
            });
            let tls = port.tls.as_ref().filter(|tls| tls.source == "probe");
            if asked.is_none() && tls.is_none() {
                continue;
            }
            let Some(socket) = self.socket(inventory, address, port.port) else { continue };
            if let Some(service) = asked {
                self.cache.keep_service(&socket.key(), service, now);
            }
            if let Some(tls) = tls {
                let start =
                    Start::ALL.into_iter().find(|start| start.name() == tls.starttls.as_deref());
                let asked = (name.as_deref(), start.unwrap_or_default());
                self.cache.keep_tls(&socket.key(), asked, tls, now);
            }
        }
    }

    /// Takes one conversation with an endpoint from its budget of the day; false where that is used up.
    pub fn spend(&mut self, place: SocketAddr) -> bool {
        self.cache.spend(place, self.now.as_second())
    }

    /// Writes the cache; returns what could not be done, for a notice.
    pub fn save(mut self, inventory: &Inventory) -> Option<String> {
        let listening: HashSet<u64> =
            inventory.listeners.iter().filter_map(|listener| listener.cookie).collect();
        self.cache.tidy(&listening, self.now.as_second());
        let bytes = self.cache.to_bytes()?;
        let written = self.file.write(&bytes);
        written.err().map(|error| format!("no cache: {}: {error}", self.file.path().display()))
    }

    fn socket(
        &mut self,
        inventory: &Inventory,
        address: std::net::IpAddr,
        port: u16,
    ) -> Option<Socket> {
        let listener: &Listener = listener(inventory, address, port)?;
        let holders = self.processes.holders(listener.owners.iter().map(|owner| owner.pid))?;
        let place = SocketAddr::new(listener.address, listener.port);
        Some(Socket { place, cookie: listener.cookie?, holders })
    }
}

/// A listening socket by all that its key is made of.
struct Socket {
    place: SocketAddr,
    cookie: u64,
    holders: Vec<Holder>,
}

impl Socket {
    fn key(&self) -> Key<'_> {
        Key { place: self.place, cookie: self.cookie, holders: &self.holders }
    }
}

/// Open ports of this host's own addresses, with the name that was asked for.
fn own_ports(
    report: &mut Report,
) -> impl Iterator<Item = (std::net::IpAddr, Option<String>, &mut PortReport)> {
    report.hosts.iter_mut().filter(|host| host.own).flat_map(|host| {
        let (address, name) = (host.address, host.name.clone());
        let open = host.ports.iter_mut().filter(|port| port.state == "open");
        open.map(move |port| (address, name.clone(), port))
    })
}

/// What services are identified with: this build, and what it was given.
fn identity(fingerprints: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(env!("CARGO_PKG_VERSION"));
    digest.update(format!("{:?}", live::stamp("/proc/self/exe")));
    digest.update(fingerprints);
    digest.finalize().into()
}

/// The directory of the cache.
fn place(state_flag: Option<&Path>) -> PathBuf {
    if let Some(given) = state_flag {
        return given.join("cache");
    }
    let base = match rustix::process::geteuid().is_root() {
        true => None,
        false => std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"))),
    };
    base.unwrap_or_else(|| "/var/cache".into()).join("wardmote")
}
