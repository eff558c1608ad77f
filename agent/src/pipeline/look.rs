//! Looks at one host or mounted tree: vantage, services, checks and logs, side by side.

use std::path::{Path, PathBuf};

use scanner::checks::{self, Ran};
use scanner::facts::Spoken;
use scanner::ports::{self, Inventory};
use scanner::vantage::{self, Vantage};
use scanner::{Facts, RootedTree};

use crate::exit::hinted;
use crate::pipeline::ask;
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
}

/// What was seen.
pub struct Seen {
    /// From where.
    pub vantage: Vantage,
    /// What listens; `None` for a mounted tree.
    pub inventory: Option<Inventory>,
    /// Every check that was wanted.
    pub ran: Vec<Ran>,
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
    let tree = RootedTree::open(&wanted.root)
        .map_err(|error| hinted(error.to_string(), "--root names a directory"))?;
    let live = wanted.live();
    let spoken = if live { ask::everything() } else { Spoken::default() };
    let vantage = if live { vantage::look(&tree) } else { Vantage::mounted() };
    let inventory = live.then(|| ports::look(&tree, &spoken));
    let facts = Facts::new(&tree, live, &vantage, inventory.as_ref(), &spoken, wanted.now);
    let ran = checks::run_all(&facts, &wanted.only, wanted.threads);
    let mut incomplete = unanswered(&spoken);
    if let Some(inventory) = &inventory {
        incomplete.extend(services(inventory));
    }
    Ok(Seen { vantage, inventory, ran, incomplete })
}

fn services(inventory: &Inventory) -> Vec<Incomplete> {
    let entry = |reason: &String| Incomplete {
        what: "services".into(),
        reason: scanner::redact::line(reason),
        expected: false,
    };
    inventory.incomplete.iter().map(entry).collect()
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
