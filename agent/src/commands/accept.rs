//! `wardmote accept`: writes one reviewed line into the accept file.

use std::path::{Path, PathBuf};

use crate::commands::Global;
use crate::exit::{Exit, hinted};
use crate::pipeline::accept::{self, Accepted};
use crate::report::Report;
use crate::settings::{Settings, state_directory};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Fingerprint of the finding, as the report shows it; a unique start is enough after an audit
    fingerprint: String,
    /// Why it is acceptable: somebody will read this
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Last day on which it is accepted (UTC); it is back the day after
    #[arg(long, value_name = "YYYY-MM-DD")]
    until: Option<jiff::civil::Date>,
    /// Accept file [default: the configuration's, /etc/wardmote/accepted.yaml]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Adds the line; the file is replaced atomically and keeps what it held.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let settings = Settings::load(global.config.as_deref())?;
    let file = args.file.unwrap_or(settings.audit.accept);
    if args.reason.trim().is_empty() {
        return Err(hinted("the reason is empty", "say why, so that it can be reviewed"));
    }
    let last = last_report(&state_directory(global.state_dir.as_deref()));
    let (fingerprint, check) = whole_fingerprint(&args.fingerprint, last.as_ref())?;
    let known = accept::read(&file, false)?;
    if known.iter().any(|entry| entry.fingerprint == fingerprint) {
        return Err(hinted(
            format!("{}: {fingerprint} is there already", file.display()),
            "edit its line to change the reason or the date",
        ));
    }
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    if args.until.is_some_and(|until| until < now) {
        return Err(hinted("--until is in the past", "give a day from today on"));
    }
    let entry = Accepted {
        fingerprint,
        reason: args.reason,
        until: args.until.map(|day| day.to_string()),
        check,
        by: std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).ok(),
        on: Some(now.to_string()),
    };
    let mut text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            "# Findings that are accepted, one a line: reason, last day, who.\n".to_string()
        }
        Err(error) => return Err(hinted(format!("{}: {error}", file.display()), "use sudo")),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let line = accept::line(&entry)?;
    text.push_str(&line);
    if let Some(parent) = file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)
            .map_err(|error| hinted(format!("{}: {error}", parent.display()), "use sudo"))?;
    }
    crate::output::replace(&file, text.as_bytes(), 0o644)
        .map_err(|error| hinted(format!("{}: {error}", file.display()), "use sudo, or --file"))?;
    crate::output::write(global.output.as_deref(), line.as_bytes())?;
    if !global.quiet {
        say!("wardmote: written to {}", file.display());
    }
    Ok(Exit::Clean)
}

/// The last audit's report, if it can be read.
fn last_report(state: &Path) -> Option<Report> {
    let bytes = std::fs::read(state.join(super::audit::LAST_REPORT)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The whole fingerprint and its check; a start must be unique among the last audit's findings.
fn whole_fingerprint(
    start: &str,
    last: Option<&Report>,
) -> anyhow::Result<(String, Option<String>)> {
    let hex =
        start.len() <= 64 && !start.is_empty() && start.bytes().all(|b| b.is_ascii_hexdigit());
    if !hex {
        return Err(hinted("a fingerprint is hexadecimal", "copy it from the report"));
    }
    let start = start.to_ascii_lowercase();
    let mut found = last
        .iter()
        .flat_map(|report| &report.findings)
        .filter(|finding| finding.fingerprint.starts_with(&start));
    match (found.next(), found.next()) {
        (Some(only), None) => Ok((only.fingerprint.clone(), Some(only.check.clone()))),
        (Some(_), Some(_)) => {
            Err(hinted(format!("{start} fits several findings"), "give more of it"))
        }
        (None, _) if start.len() == 12 => Ok((start, None)),
        (None, _) => Err(hinted(
            format!("{start} is no finding of the last audit"),
            "copy the whole fingerprint from the report",
        )),
    }
}
