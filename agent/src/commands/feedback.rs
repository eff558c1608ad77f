//! `wardmote feedback`: an operator's word on a finding, written to the feedback log for good.

use consensus::Severity;
use consensus::learn::{Click, DAY_CLICKS, Said, Word, learn};
use consensus::opinion::MAX_RATIONALE;

use crate::commands::Global;
use crate::exit::{Exit, hinted};
use crate::output;
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
    let state = state_directory(global.state_dir.as_deref());
    let note = scanner::redact::line(&args.note.unwrap_or_default());
    if note.chars().count() > MAX_RATIONALE {
        return Err(hinted(
            format!("the note is longer than {MAX_RATIONALE} characters"),
            "name a ticket",
        ));
    }
    let cases::Found { case, .. } = cases::find(&state, &args.id)?;
    let now = jiff::Timestamp::now().as_second();
    let click = Click {
        time: now,
        operator: operator(),
        trace: case.verdict.trace.clone(),
        finding: case.fingerprint.clone(),
        word: args.word,
        kind: case.evidence.kind,
        severity: case.verdict.severity,
        shown: case.shown,
        opinions: case.verdict.opinions.iter().map(Said::from).collect(),
        note,
    };
    let folded = feedback::append(&state, &click, now)?;
    let noted = format!(
        "noted: {} is {} (it was judged {})\n",
        case.evidence.title,
        click.truth(),
        case.verdict.severity
    );
    output::write(global.output.as_deref(), noted.as_bytes())?;
    let (log, _) = feedback::read(&state)?;
    let beyond = learn(&log, now).beyond;
    if beyond > 0 && !global.quiet {
        say!(
            "wardmote: {beyond} clicks so far teach nothing: of one operator the first {DAY_CLICKS} of a \
             day count"
        );
    }
    if folded > 0 && !global.quiet {
        say!("wardmote: {folded} older clicks were folded into counts");
    }
    Ok(Exit::Clean)
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
