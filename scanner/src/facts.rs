//! What the checks look at: one tree, one vantage, one inventory, and facts parsed once and shared.
//!
//! A [`Fact`] is something several checks need (the effective sshd settings, the accounts, the
//! packages): it is looked at on first use and kept. Adding one touches only the file that defines it.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use parsers::tree::{LookError, Tree};

use crate::ports::Inventory;
use crate::vantage::Vantage;

/// Something looked at once per audit and shared by checks.
pub trait Fact: Any + Send + Sync + Sized {
    /// Looks. Failures are part of the value.
    fn look(facts: &Facts<'_>) -> Self;
}

/// Answers of programs that the caller was allowed to start (never in a mounted tree).
#[derive(Clone, Debug, Default)]
pub struct Spoken {
    /// `getent passwd`, where NSS could be asked.
    pub getent_passwd: Option<Vec<u8>>,
    /// `nft -j list ruleset`.
    pub nft_json: Option<Vec<u8>>,
    /// `iptables-save`.
    pub iptables_save: Option<Vec<u8>>,
    /// `ip6tables-save`.
    pub ip6tables_save: Option<Vec<u8>>,
    /// Age of the firewall's rules in seconds, where they were not asked for just now.
    pub firewall_age_s: Option<u64>,
    /// `sshd -V` (stderr), for the installed version.
    pub sshd_version: Option<Vec<u8>>,
    /// Programs that were asked and could not answer: name and reason.
    pub unanswered: Vec<(String, String)>,
}

/// Everything a check may look at.
pub struct Facts<'a> {
    /// The file system that is audited.
    pub tree: &'a dyn Tree,
    /// `true` on the running host; `false` for a mounted tree, whose kernel and processes are not here.
    pub live: bool,
    /// What this process can and cannot see.
    pub vantage: &'a Vantage,
    /// What listens, where it could be asked.
    pub inventory: Option<&'a Inventory>,
    /// Answers of helper programs.
    pub spoken: &'a Spoken,
    /// Seconds since the epoch.
    pub now: i64,
    known: Mutex<HashMap<TypeId, Slot>>,
}

type Slot = Arc<OnceLock<Arc<dyn Any + Send + Sync>>>;

impl<'a> Facts<'a> {
    /// Facts about one host or tree; nothing is read until a check asks.
    pub fn new(
        tree: &'a dyn Tree,
        live: bool,
        vantage: &'a Vantage,
        inventory: Option<&'a Inventory>,
        spoken: &'a Spoken,
        now: i64,
    ) -> Self {
        Self { tree, live, vantage, inventory, spoken, now, known: Mutex::default() }
    }

    /// A shared fact, looked at on first use. Facts may ask for other facts, not for themselves.
    pub fn get<T: Fact>(&self) -> Arc<T> {
        let slot = {
            let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            Arc::clone(known.entry(TypeId::of::<T>()).or_default())
        };
        let value = slot.get_or_init(|| Arc::new(T::look(self)));
        Arc::clone(value).downcast().expect("the slot of a type holds that type")
    }

    /// Reads a configuration file; see [`Tree::read_config`].
    pub fn read(&self, path: &str) -> Result<Vec<u8>, LookError> {
        self.tree.read_config(path)
    }

    /// Reads a kernel file such as `/proc/sys/…`, only on the running host.
    pub fn read_live(&self, path: &str) -> Option<Result<Vec<u8>, LookError>> {
        self.live.then(|| self.tree.read(Path::new(path), 1 << 20))
    }
}
