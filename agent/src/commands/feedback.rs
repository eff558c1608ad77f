//! `wardmote feedback`: an operator's word on a finding, written to the feedback log for good.

use std::path::Path;

use consensus::Severity;
use consensus::learn::{Click, DAY_CLICKS, Said, Word, learn};
use consensus::opinion::MAX_RATIONALE;

use crate::commands::Global;
use crate::control::client;
use crate::control::words::{Ask, Done, Who};
use crate::exit::{Exit, hinted};
use crate::settings::state_directory;
use crate::store::{cases, feedback};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The finding's id, or the verdict's trace; eight digits of it are enough where they fit only one
    id: String,
    /// confirm (as bad as judged), dismiss (nothing wrong) or severity=LEVEL
    #[arg(value_name = "confirm|dismiss|severity=LEVEL", value_parser = word)]
    word: Word,
    /// Why, for whoever reads it later
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

fn word(text: &str) -> Result<Word, String> {
    match text {
        "confirm" => Ok(Word::Confirm),
        "dismiss" => Ok(Word::Dismiss),
        _ => match text.strip_prefix("severity=").map(str::parse::<Severity>) {
            Some(Ok(level)) => Ok(Word::Severity(level)),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("say confirm, dismiss or severity=LEVEL".into()),
        },
    }
}

/// Writes it down.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let note = args.note.unwrap_or_default();
    let uid = operator();
    let ask = Ask::Feedback { id: args.id.clone(), word: args.word, note: note.clone() };
    if let Some(reply) = client::ask(global, &ask, Some(Who { uid, from: None }))? {
        return super::replied(reply, global);
    }
    let state = state_directory(global.state_dir.as_deref());
    let now = jiff::Timestamp::now().as_second();
    let done = match said(&state, &args.id, args.word, &note, uid, now) {
        Ok(done) => done,
        Err(error) => match client::ask_system(global, &ask)? {
            Some(reply) => return super::replied(reply, global),
            None => return Err(error),
        },
    };
    super::print(&done, global)
}

/// Writes down what somebody says about a finding that is kept in a state directory.
pub(crate) fn said(
    state: &Path,
    id: &str,
    word: Word,
    note: &str,
    operator: u32,
    now: i64,
) -> anyhow::Result<Done> {
    let note = scanner::redact::line(note);
    if note.chars().count() > MAX_RATIONALE {
        return Err(hinted(
            format!("the note is longer than {MAX_RATIONALE} characters"),
            "name a ticket",
        ));
    }
    let cases::Found { case, .. } = cases::find(state, id)?;
    let click = Click {
        time: now,
        operator,
        trace: case.verdict.trace.clone(),
        finding: case.fingerprint.clone(),
        word,
        kind: case.evidence.kind,
        severity: case.verdict.severity,
        shown: case.shown,
        opinions: case.verdict.opinions.iter().map(Said::from).collect(),
        note,
    };
    let folded = feedback::append(state, &click, now)?;
    let text = format!(
        "noted: {} is {} (it was judged {})\n",
        case.evidence.title,
        click.truth(),
        case.verdict.severity
    );
    let mut notes = Vec::new();
    let (log, _) = feedback::read(state)?;
    let beyond = learn(&log, now).beyond;
    if beyond > 0 {
        notes.push(format!(
            "{beyond} clicks so far teach nothing: of one operator the first {DAY_CLICKS} of a day count"
        ));
    }
    if folded > 0 {
        notes.push(format!("{folded} older clicks were folded into counts"));
    }
    Ok(Done { text, notes })
}

/// Who says it: the user behind sudo, or the one who runs this.
fn operator() -> u32 {
    let real = rustix::process::getuid();
    let behind = std::env::var("SUDO_UID").ok().filter(|_| real.is_root());
    behind.and_then(|uid| uid.parse().ok()).unwrap_or(real.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_of_three() {
        assert_eq!(word("confirm"), Ok(Word::Confirm));
        assert_eq!(word("dismiss"), Ok(Word::Dismiss));
        assert_eq!(word("severity=low"), Ok(Word::Severity(Severity::Low)));
        for wrong in ["", "Confirm", "low", "severity=", "severity=bad", "severity"] {
            assert!(word(wrong).is_err(), "{wrong}");
        }
    }
}
