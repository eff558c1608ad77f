//! Keeps what a run judged under the state directory, so that `explain`, `feedback`, `replay` and `panel`
//! work afterwards. It never makes a run fail: what is not kept is told in one line with `-v`.

use std::path::Path;

use consensus::{Context, trace};

use crate::pipeline::judge::Judges;
use crate::store::cases::{self, By, Case, Run};

/// Most cases that are held to be kept: few more would fit into what is kept of a run.
const HELD_MAX: usize = 4_096;

/// What a run is kept under.
pub struct Of<'a> {
    /// Who judged.
    pub by: By,
    /// The host's name.
    pub host: &'a str,
    /// When, seconds since the epoch.
    pub started: i64,
}

/// Keeps a run; what was not kept and why, where not all could be.
pub fn keep(
    state: &Path,
    of: &Of<'_>,
    judges: &Judges,
    context: Context,
    cases: Vec<Case>,
) -> Result<(), String> {
    let whither = state.display().to_string();
    keep_with(|run, cases| cases::keep(state, run, cases), &whither, of, judges, context, cases)
}

/// The same by whoever may write there.
pub fn keep_with(
    keep: impl FnOnce(Run, Vec<Case>) -> anyhow::Result<usize>,
    whither: &str,
    of: &Of<'_>,
    judges: &Judges,
    context: Context,
    cases: Vec<Case>,
) -> Result<(), String> {
    let run = Run {
        schema: "wardmote.kept/1".into(),
        model: trace::MODEL.into(),
        by: of.by,
        host: of.host.into(),
        started: of.started,
        context,
        taught: judges.taught.clone(),
        left_out: 0,
    };
    match keep(run, cases) {
        Ok(0) => Ok(()),
        Ok(more) => Err(format!("{more} findings are not kept in {whither}: too many")),
        Err(error) => Err(format!("the findings are not kept in {whither}: {error:#}")),
    }
}

/// Drops the mildest of more than are held; gives how many.
pub fn gravest(cases: &mut Vec<Case>) -> usize {
    let dropped = cases.len().saturating_sub(HELD_MAX);
    if dropped > 0 {
        cases.sort_by_key(|case| std::cmp::Reverse(case.verdict.severity));
        cases.truncate(HELD_MAX);
    }
    dropped
}
