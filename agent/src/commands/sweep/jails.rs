//! fail2ban's jails and filters as rules of a sweep: who would be banned, without anybody being banned.
//!
//! A filter alone gets the thresholds that fail2ban has where nobody sets them. A jail that cannot be
//! read is said under `incomplete`; one that can never fire on this host is told with `-v`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use parsers::tree::Tree;
use scanner::RootedTree;
use scanner::logs::coverage::Unfed;
use scanner::logs::fail2ban::{Filter, Jail, Jails};
use scanner::logs::source::{self, Found};

use crate::commands::filters;
use crate::exit;
use crate::rule_cache::RuleCache;

/// Failures that fail2ban takes unless a jail says otherwise (its jail.conf).
const MAXRETRY: u32 = 5;
/// Seconds within which they have to come.
const FINDTIME_S: f64 = 600.0;
/// Seconds of a ban.
const BANTIME_S: f64 = 600.0;

/// What jails bring along beside their rules.
#[derive(Default)]
pub(super) struct Beside {
    /// Logs that they name.
    logs: Vec<PathBuf>,
    /// Those that can never fire on this host.
    pub(super) unfed: Vec<Unfed>,
    /// Those that cannot be used, one line each.
    pub(super) problems: Vec<String>,
}

/// The jails of the filters that the user names, and those below a directory.
pub(super) fn load(
    tree: &RootedTree,
    named: &[String],
    directory: Option<&Path>,
    now: i64,
    cache: &RuleCache,
) -> anyhow::Result<(Vec<Jail>, Beside)> {
    let (mut jails, mut beside) = (Vec::new(), Beside::default());
    if let Some(directory) = directory {
        let found = below(tree, directory, now, cache)?;
        beside.problems = found
            .problems
            .into_iter()
            .map(|(name, problem)| scanner::redact::line(&format!("jail {name}: {problem}")))
            .collect();
        for jail in found.jails {
            if let Some(needs) = jail.never(tree) {
                beside.unfed.push(Unfed { rule: format!("jail {}", jail.name), needs });
            }
            beside.logs.extend(jail.logs(tree));
            jails.push(jail);
        }
    }
    if !named.is_empty() {
        let mut words = named.to_vec();
        // What a relative path means depends on where it is asked.
        words.push(std::env::current_dir()?.to_string_lossy().into_owned());
        let asked = ("filters", words.as_slice());
        let found = cache.jails(tree, asked, filters::last_year(now), |tree| {
            let each = named.iter().map(|text| Ok(alone(filters::load(tree, text, now)?)));
            let jails = each.collect::<anyhow::Result<Vec<Jail>>>()?;
            Ok::<_, anyhow::Error>(Jails { jails, problems: Vec::new() })
        })?;
        jails.extend(found.jails);
    }
    tell_apart(&mut jails);
    Ok((jails, beside))
}

/// The jails below a directory.
fn below(
    tree: &RootedTree,
    directory: &Path,
    now: i64,
    cache: &RuleCache,
) -> anyhow::Result<Jails> {
    let base = std::path::absolute(directory)?;
    let last_year = filters::last_year(now);
    let read = |tree: &dyn Tree| {
        Jails::load(tree, &base, last_year).map_err(|problem| {
            exit::hinted(problem.to_string(), "name the directory that holds jail.conf")
        })
    };
    match base.to_str() {
        Some(text) => cache.jails(tree, ("jails", &[text.to_string()]), last_year, read),
        None => read(tree),
    }
}

/// A filter as the jail that fail2ban makes of it where nobody sets anything.
fn alone(filter: Filter) -> Jail {
    Jail {
        name: filter.name().to_string(),
        filter,
        logpath: Vec::new(),
        reads_journal: false,
        maxretry: MAXRETRY,
        findtime_s: FINDTIME_S,
        bantime_s: BANTIME_S,
        ignored: Vec::new(),
        ignored_names: Vec::new(),
        zone: None,
    }
}

/// Gives each jail a name of its own: `sshd`, `sshd-2`.
fn tell_apart(jails: &mut [Jail]) {
    let mut taken = BTreeSet::new();
    for jail in jails {
        let stem = jail.name.rsplit('/').next().unwrap_or_default().to_string();
        let stem = stem.strip_suffix(".conf").unwrap_or(&stem).to_string();
        let mut name = stem.clone();
        let mut number = 1;
        while !taken.insert(name.clone()) {
            number += 1;
            name = format!("{stem}-{number}");
        }
        jail.name = name;
    }
}

impl Beside {
    /// Adds the logs that jails name and that are not among the usual ones.
    pub(super) fn logs_into(&self, tree: &RootedTree, found: &mut Found) {
        if self.logs.is_empty() {
            return;
        }
        let more = source::named(tree, &self.logs);
        let known: BTreeSet<String> = found.families.iter().map(|f| f.name.clone()).collect();
        found.families.extend(more.families.into_iter().filter(|f| !known.contains(&f.name)));
        found.incomplete.extend(more.incomplete);
    }
}
