//! What is known of services from earlier looks. **Identity is kept, liveness never**: whether a port
//! listens is asked of the kernel each time, and what is kept is only joined to sockets that are there.
//! A wrong or forged cache can mislabel a listener; it can never hide one or make one up.
//!
//! Layers, each with its key; any part that changed is a miss:
//! - owners: boot, network namespace, socket cookie and inode, each holder's start time; 10 minutes
//! - binaries: device, inode, size, mtime and ctime of the executable, and the package database's stamp
//! - services: bound address and port, cookie, holders (process, start, executable), fingerprints; a day
//! - TLS: as services, with the name asked for and how TLS began; 6 hours or until the certificate ends
//!
//! Never kept: that a port is closed, filtered or silent, and errors. Pure: time and stamps are given.
//! [`codec`] turns it into bytes; who reads and writes them proves them with a MAC.

use std::collections::HashMap;
use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Owner;
use super::report::{ServiceReport, TlsReport};
use super::tls::{Start, facts};

mod codec;
pub mod live;

pub use codec::{CACHE_BYTES_MAX, CacheError, SCHEMA};

/// Most entries of one layer.
pub const ENTRIES_MAX: usize = 16_384;
/// Most holders of one socket whose set is kept.
pub const HOLDERS_MAX: usize = 256;
/// Age in seconds at which owners are looked for again, so that a new holder is seen.
pub const OWNERS_AGE_MAX_S: i64 = 600;
/// Age in seconds at which a service is asked again.
pub const SERVICE_AGE_MAX_S: i64 = 86_400;
/// Age in seconds at which a certificate is looked at again.
pub const TLS_AGE_MAX_S: i64 = 6 * 3600;
/// How often one endpoint may be probed in a day (UTC).
pub const PROBES_A_DAY: u32 = 24;
/// How far in the future an entry may be before it is not believed, in seconds.
const AHEAD_MAX_S: i64 = 2;

/// What all entries of a cache depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// `/proc/sys/kernel/random/boot_id`: cookies and process ids begin anew with it.
    pub boot: String,
    /// Inode of the network namespace.
    pub namespace: u64,
    /// SHA-256 of the fingerprints that services were identified with.
    pub fingerprints: [u8; 32],
}

/// A file by its stamp.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Stamp {
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Modification in nanoseconds since the epoch.
    pub modified_ns: i64,
    /// Change of the inode in nanoseconds since the epoch; it cannot be set back.
    pub changed_ns: i64,
}

/// A process that holds a socket.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Its start in clock ticks after boot (`/proc/PID/stat`, field 22).
    pub started: u64,
    /// Its executable.
    pub binary: Stamp,
}

/// Which socket of which processes is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// Bound address and port.
    pub place: SocketAddr,
    /// The kernel's name for the socket.
    pub cookie: u64,
    /// Who holds it, in the order of process ids.
    pub holders: &'a [Holder],
}

/// The owners of one socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owners {
    /// Inode of the socket.
    pub inode: u32,
    /// Who they were; the same processes hold it while each start time is the same.
    pub holders: Vec<Holder>,
    /// What is told of them.
    #[serde(with = "codec::text")]
    pub owners: Vec<Owner>,
    at: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Service {
    cookie: u64,
    holders: Vec<Holder>,
    at: i64,
    #[serde(with = "codec::text")]
    report: ServiceReport,
    tls: Vec<Tls>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tls {
    name: Option<String>,
    start: Option<String>,
    at: i64,
    #[serde(with = "codec::text")]
    report: TlsReport,
}

/// Most TLS reports of one endpoint: names times ways to begin.
const TLS_MAX: usize = 8;

/// What is known. See the module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cache {
    epoch: Epoch,
    owners: HashMap<u64, Owners>,
    binaries: HashMap<Stamp, Option<String>>,
    /// The package database that `binaries` was read from.
    database: Stamp,
    services: HashMap<SocketAddr, Service>,
    /// Day since the epoch, and probes of each endpoint on it.
    spent: (i64, HashMap<SocketAddr, u32>),
}

/// Age in seconds, if what was kept `at` may still be used.
fn age(at: i64, now: i64, most: i64) -> Option<u64> {
    let age = now.checked_sub(at)?;
    (-AHEAD_MAX_S..=most).contains(&age).then(|| u64::try_from(age).unwrap_or(0))
}

impl Cache {
    /// Nothing known.
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, ..Self::default() }
    }

    /// Makes it one for this epoch: what depends on another is forgotten.
    pub fn enter(&mut self, epoch: Epoch) {
        let same_host = self.epoch.boot == epoch.boot && self.epoch.namespace == epoch.namespace;
        if !same_host {
            self.owners.clear();
        }
        if self.epoch != epoch {
            self.services.clear();
        }
        self.epoch = epoch;
    }

    /// The owners of a socket, if each of them is still the same process with the same executable, as
    /// `same` tells.
    pub fn owners(
        &self,
        (cookie, inode): (u64, u32),
        now: i64,
        same: impl FnMut(&Holder) -> bool,
    ) -> Option<(&Owners, u64)> {
        let kept = self.owners.get(&cookie).filter(|kept| kept.inode == inode)?;
        let age = age(kept.at, now, OWNERS_AGE_MAX_S)?;
        kept.holders.iter().all(same).then_some((kept, age))
    }

    /// Keeps the owners of a socket; one without any is asked each time.
    pub fn keep_owners(
        &mut self,
        (cookie, inode): (u64, u32),
        holders: &[Holder],
        owners: &[Owner],
        now: i64,
    ) {
        let fits = !holders.is_empty() && holders.len() <= HOLDERS_MAX;
        if fits && has_room(&self.owners, &cookie) {
            let (holders, owners) = (holders.to_vec(), owners.to_vec());
            self.owners.insert(cookie, Owners { inode, holders, owners, at: now });
        }
    }

    /// The package of an executable: `None` where it has to be asked, `Some(None)` where nobody owns it.
    pub fn package(&self, binary: &Stamp, database: &Stamp) -> Option<Option<&str>> {
        let known = self.binaries.get(binary).filter(|_| self.database == *database)?;
        Some(known.as_deref())
    }

    /// Keeps the package of an executable. Another database begins anew.
    pub fn keep_package(&mut self, binary: Stamp, database: Stamp, package: Option<String>) {
        if self.database != database {
            self.binaries.clear();
            self.database = database;
        }
        if has_room(&self.binaries, &binary) {
            self.binaries.insert(binary, package);
        }
    }

    /// What a service is, and how many seconds ago that was found.
    pub fn service(
        &self,
        key: &Key<'_>,
        now: i64,
        age_max_s: i64,
    ) -> Option<(&ServiceReport, u64)> {
        let kept = self.kept(key)?;
        let age = age(kept.at, now, age_max_s.min(SERVICE_AGE_MAX_S))?;
        Some((&kept.report, age))
    }

    /// The same as it goes into a report: with its source and age.
    pub fn service_report(&self, key: &Key<'_>, now: i64, age_max_s: i64) -> Option<ServiceReport> {
        let (report, age) = self.service(key, now, age_max_s)?;
        let source = Some("cache".to_string());
        Some(ServiceReport { source, age_s: Some(age), ..report.clone() })
    }

    /// Keeps what a service is. What was known of its TLS goes with the old key.
    pub fn keep_service(&mut self, key: &Key<'_>, report: &ServiceReport, now: i64) {
        let fits = !key.holders.is_empty() && key.holders.len() <= HOLDERS_MAX;
        if !fits || !has_room(&self.services, &key.place) {
            return;
        }
        let tls = self.kept(key).map(|kept| kept.tls.clone()).unwrap_or_default();
        let (cookie, holders) = (key.cookie, key.holders.to_vec());
        let kept = Service { cookie, holders, at: now, report: report.clone(), tls };
        self.services.insert(key.place, kept);
    }

    /// What the TLS of a known service showed; faults are as of `now`.
    pub fn tls(
        &self,
        key: &Key<'_>,
        (name, start): (Option<&str>, Start),
        now: Timestamp,
        age_max_s: i64,
    ) -> Option<TlsReport> {
        let same =
            |kept: &&Tls| kept.name.as_deref() == name && kept.start.as_deref() == start.name();
        let kept = self.kept(key)?.tls.iter().find(same)?;
        let age = age(kept.at, now.as_second(), age_max_s.min(TLS_AGE_MAX_S))?;
        let end = kept.report.not_after.as_ref()?.parse::<Timestamp>().ok()?;
        if end <= now {
            // Renewed, one hopes: look again.
            return None;
        }
        let faults = facts::faults(&kept.report, name, now);
        let faults = faults.iter().map(facts::Fault::to_string).collect();
        let source = "cache".to_string();
        Some(TlsReport { faults, source, age_s: age, ..kept.report.clone() })
    }

    /// Keeps what the TLS of a service showed; the service has to be known.
    pub fn keep_tls(
        &mut self,
        key: &Key<'_>,
        (name, start): (Option<&str>, Start),
        report: &TlsReport,
        now: i64,
    ) {
        let Some(kept) = self.services.get_mut(&key.place).filter(|kept| kept.is(key)) else {
            return;
        };
        let (name, start) = (name.map(str::to_string), start.name().map(str::to_string));
        kept.tls.retain(|one| one.name != name || one.start != start);
        if kept.tls.len() < TLS_MAX {
            kept.tls.push(Tls { name, start, at: now, report: report.clone() });
        }
    }

    fn kept(&self, key: &Key<'_>) -> Option<&Service> {
        self.services.get(&key.place).filter(|kept| kept.is(key))
    }

    /// Takes one probe of an endpoint from its budget; false where today's is used up.
    pub fn spend(&mut self, place: SocketAddr, now: i64) -> bool {
        let today = now.div_euclid(86_400);
        if self.spent.0 != today {
            self.spent = (today, HashMap::new());
        }
        if !has_room(&self.spent.1, &place) {
            return false;
        }
        let spent = self.spent.1.entry(place).or_default();
        let left = *spent < PROBES_A_DAY;
        *spent = (*spent + 1).min(PROBES_A_DAY);
        left
    }

    /// Forgets what is not of the sockets that listen now, and what is too old: what is kept is bounded
    /// by what listens.
    pub fn tidy(&mut self, listening: &std::collections::HashSet<u64>, now: i64) {
        self.owners.retain(|cookie, kept| {
            listening.contains(cookie) && age(kept.at, now, OWNERS_AGE_MAX_S).is_some()
        });
        self.services.retain(|_, kept| {
            listening.contains(&kept.cookie) && age(kept.at, now, SERVICE_AGE_MAX_S).is_some()
        });
    }
}

impl Service {
    fn is(&self, key: &Key<'_>) -> bool {
        self.cookie == key.cookie && self.holders == key.holders
    }
}

/// Whether an entry may be added or replaced.
fn has_room<K: std::hash::Hash + Eq, V>(layer: &HashMap<K, V>, key: &K) -> bool {
    layer.len() < ENTRIES_MAX || layer.contains_key(key)
}

#[cfg(test)]
mod tests;
