//! `wardmote replay`: derives a kept verdict again, from the same evidence, context and opinions from
//! outside, with the same model, and compares the two byte for byte.

use std::path::Path;

use consensus::learn::learn;
use consensus::{Panel, Verdict, trace};

use crate::commands::Global;
use crate::exit::Exit;
use crate::output;
use crate::settings::state_directory;
use crate::store::cases::{self, Found, Taught};
use crate::store::feedback;

/// How much is shown before and after the first difference, in characters.
const AROUND: usize = 40;

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The finding's id, or the verdict's trace; eight digits of it are enough where they fit only one
    id: String,
}

/// Replays; exit code 1 where the verdict is another one.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let state = state_directory(global.state_dir.as_deref());
    let found = cases::find(&state, &args.id)?;
    let differences = differences(&state, &found)?;
    let (title, trace) = (&found.case.evidence.title, &found.case.verdict.trace);
    let (word, exit) = match differences.is_empty() {
        true => ("same", Exit::Clean),
        false => ("different", Exit::Found),
    };
    let mut text = format!(
        "{word}: {title}, {}, trace {trace}, model {}\n",
        found.case.verdict.severity, found.run.model
    );
    for line in differences {
        text += &format!("  {line}\n");
    }
    output::write(global.output.as_deref(), text.as_bytes())?;
    Ok(exit)
}

/// What differs; nothing where all is the same.
fn differences(state: &Path, found: &Found) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    if found.run.model != trace::MODEL {
        lines.push(format!("judged by {}, this wardmote has {}", found.run.model, trace::MODEL));
    }
    let again = judge(&Panel::cold(), found);
    lines.extend(first_difference(&found.verdict, &serde_json::to_string(&again)?));
    if let Some(taught) = &found.run.taught {
        lines.extend(with_what_was_taught(state, found, taught)?);
    }
    Ok(lines)
}

fn judge(panel: &Panel, found: &Found) -> Verdict {
    let (case, context) = (&found.case, &found.run.context);
    panel.judge_in(&case.evidence, context, &trace::context(context), case.outside.clone())
}

/// Learns again up to where the log was then, and compares what stood beside the verdict.
fn with_what_was_taught(
    state: &Path,
    found: &Found,
    taught: &Taught,
) -> anyhow::Result<Option<String>> {
    let (log, _) = feedback::read(state)?;
    let Some(log) = log.cut(taught.position) else {
        return Ok(Some("the feedback of then was folded or moved away".into()));
    };
    let learnt = learn(&log, taught.now);
    if trace::hex(&learnt.digest) != taught.digest {
        return Ok(Some("the feedback log is not the one of then".into()));
    }
    let again = judge(&Panel::with(learnt.model()), found);
    let kept = found.case.learnt.as_ref();
    let severity = kept.map_or(found.case.verdict.severity, |kept| kept.severity);
    let same = again.severity == severity && kept.is_none_or(|kept| kept.trace == again.trace);
    Ok((!same).then(|| format!("learnt: {severity} then, {} now", again.severity)))
}

/// Where two texts part, with what stands there in each.
fn first_difference(then: &str, now: &str) -> Option<String> {
    if then == now {
        return None;
    }
    let same = then.chars().zip(now.chars()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| -> String {
        text.chars().skip(same.saturating_sub(AROUND)).take(2 * AROUND).collect()
    };
    Some(format!("at character {same}: then …{}… now …{}…", around(then), around(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_shown_with_its_surroundings() {
        assert_eq!(first_difference("abc", "abc"), None);
        let said = first_difference("abc", "abd").unwrap();
        assert_eq!(said, "at character 2: then …abc… now …abd…");
        let longer = first_difference("é", "éx").unwrap();
        assert_eq!(longer, "at character 1: then …é… now …éx…");
    }
}
