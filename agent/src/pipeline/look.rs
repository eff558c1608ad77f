//! Looks at one host or mounted tree: vantage, services, checks and logs, side by side.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use jiff::tz::TimeZone;
use parsers::tree::Tree;
use scanner::checks::{self, Ran};
use scanner::facts::Spoken;
use scanner::logs::{SweepOptions, SweepOutcome, audit_sweep, conceal, content, history};
use scanner::ports::ledger::Ledger;
use scanner::ports::{self, Inventory};
use scanner::remembered::Memory;
use scanner::vantage::{self, Vantage};
use scanner::{Facts, RootedTree};

use crate::exit::hinted;
use crate::powers::{Powers, Said};
use crate::report::Incomplete;

/// What is to be looked at.
pub struct Wanted {
    /// `/` for the host itself.
    pub root: PathBuf,
    /// Areas; all where empty.
    pub only: Vec<String>,
    /// Logs from this time on, seconds since the epoch.
    pub since: i64,
    /// Seconds since the epoch.
    pub now: i64,
    /// Threads for the checks.
    pub threads: usize,
    /// Files that an earlier look of this process read and that did not change since.
    pub files: Arc<Memory>,
    /// What wardmote asked of this host itself: its log lines are nobody's.
    pub own_probes: Arc<Ledger>,
    /// Who opens files and starts programs.
    pub powers: Arc<dyn Powers>,
}

/// What was seen.
pub struct Seen {
    /// What was looked at.
    pub tree: RootedTree,
    /// From where.
    pub vantage: Vantage,
    /// What listens; `None` for a mounted tree.
    pub inventory: Option<Inventory>,
    /// Every check that was wanted.
    pub ran: Vec<Ran>,
    /// What the logs tell; `None` where they were not wanted.
    pub logs: Option<SweepOutcome>,
    /// Who logged in here before the period examined; `None` without a history.
    pub known: Option<BTreeSet<String>>,
    /// What could not be looked at besides the checks' own entries.
    pub incomplete: Vec<Incomplete>,
}

impl Wanted {
    fn live(&self) -> bool {
        self.root == Path::new("/")
    }

    fn wants(&self, area: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == area)
    }
}

/// Looks at everything that is wanted.
pub fn look(wanted: &Wanted) -> anyhow::Result<Seen> {
    let tree = wanted
        .powers
        .tree(&wanted.root)
        .map_err(|error| hinted(error.to_string(), "--root names a directory"))?;
    let live = wanted.live();
    let spoken = if live { wanted.powers.programs() } else { Spoken::default() };
    let vantage = if live { vantage::look(&tree) } else { Vantage::mounted() };
    let inventory = live.then(|| ports::look_closely(&tree, &spoken));
    let files = wanted.files.look(&tree, wanted.now);
    let facts = Facts::new(&files, live, &vantage, inventory.as_ref(), &spoken, wanted.now);
    let areas_wanted = wanted.only.is_empty() || wanted.only.iter().any(|name| name != "logs");
    let (ran, logs) = std::thread::scope(|scope| {
        let sweep = wanted.wants("logs").then(|| scope.spawn(|| logs(&tree, wanted)));
        let ran = match areas_wanted {
            true => checks::run_all(&facts, &wanted.only, wanted.threads),
            false => Vec::new(),
        };
        let logs = sweep.map(|sweep| sweep.join().unwrap_or_else(|_| failed_sweep()));
        (ran, logs)
    });
    let mut incomplete = unanswered(&spoken);
    incomplete.extend(inventory.iter().flat_map(|seen| entries("services", &seen.incomplete)));
    incomplete.extend(logs.iter().flat_map(|seen| entries("logs", &seen.incomplete)));
    let known = history::before(&tree, wanted.since);
    Ok(Seen { tree, vantage, inventory, ran, logs, known, incomplete })
}

/// Sweeps the tree's log files and, on the running host, the journal.
fn logs(tree: &RootedTree, wanted: &Wanted) -> SweepOutcome {
    let options = SweepOptions {
        since: Some(wanted.since),
        zone: zone(tree, wanted.live()),
        known_users: known_users(tree),
        own_probes: if wanted.live() { Arc::clone(&wanted.own_probes) } else { Arc::default() },
        ..SweepOptions::new(wanted.now)
    };
    let rules = content::rules();
    if !wanted.live() {
        return audit_sweep(tree, None, &rules, &options);
    }
    let journal = wanted.powers.journal(wanted.since);
    with_journal(journal, |journal| audit_sweep(tree, journal, &rules, &options))
}

/// A sweep with the journal where there is one; a journal that could not be read whole is said.
pub fn with_journal(
    journal: Option<Result<impl Said, String>>,
    sweep: impl FnOnce(Option<&mut dyn Read>) -> SweepOutcome,
) -> SweepOutcome {
    match journal {
        None => sweep(None),
        Some(Err(reason)) => {
            let mut outcome = sweep(None);
            outcome.incomplete.push(format!("journal: {reason}"));
            outcome
        }
        Some(Ok(mut running)) => {
            let mut outcome = sweep(Some(&mut running));
            outcome.incomplete.extend(running.finish(false).complaint("journal"));
            outcome
        }
    }
}

/// A sweep that ended in an internal error: said, and the rest of the audit stands.
fn failed_sweep() -> SweepOutcome {
    SweepOutcome {
        incomplete: vec!["internal error in the sweep".into()],
        ..SweepOutcome::default()
    }
}

/// Accounts of the tree: their names are shown, other words in their place are not.
pub fn known_users(tree: &RootedTree) -> Vec<String> {
    let passwd = tree.read_config("/etc/passwd");
    passwd.map(|bytes| conceal::names_of_passwd(&bytes)).unwrap_or_default()
}

/// The zone of stamps that name none: the system's, or the one that a mounted tree is set to.
fn zone(tree: &RootedTree, live: bool) -> TimeZone {
    if live {
        return system_zone();
    }
    let named = tree
        .read_config("/etc/timezone")
        .ok()
        .map(|bytes| String::from_utf8_lossy(&bytes).trim().to_string());
    let linked = || {
        let to = tree.read_link(Path::new("/etc/localtime")).ok()?;
        Some(to.to_string_lossy().rsplit_once("zoneinfo/")?.1.to_string())
    };
    named.or_else(linked).and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC)
}

static SYSTEM_ZONE: OnceLock<TimeZone> = OnceLock::new();

/// The zone that this host is set to.
pub fn system_zone() -> TimeZone {
    SYSTEM_ZONE.get().cloned().unwrap_or_else(TimeZone::system)
}

/// Asks for the zone once and for all, for a process that will be able to open nothing later on.
pub fn remember_system_zone() {
    let _ = SYSTEM_ZONE.set(TimeZone::system());
}

fn entries<'a>(what: &'a str, reasons: &'a [String]) -> impl Iterator<Item = Incomplete> + 'a {
    reasons.iter().map(move |reason| Incomplete {
        what: what.into(),
        reason: scanner::redact::line(reason),
        expected: false,
    })
}

/// Helper programs that could not answer.
fn unanswered(spoken: &Spoken) -> Vec<Incomplete> {
    let what = |program: &str| match program {
        "getent" => "accounts",
        _ => "firewall",
    };
    spoken
        .unanswered
        .iter()
        .map(|(program, reason)| Incomplete {
            what: what(program).into(),
            reason: format!("{program}: {}", scanner::redact::line(reason)),
            expected: false,
        })
        .collect()
}
