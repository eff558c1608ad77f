//! `respond list`: requests, the newest first.

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use crate::control::words::Form;
use crate::exit::hinted;
use crate::settings::is_missing;
use crate::store::ALERTS_MAX;
use crate::store::responses::{Request, Responses, State};
use crate::store::sqlite::SqliteStore;

/// Most requests that are shown.
const SHOWN_MAX: usize = 1_000;

/// What `respond list --format json` prints.
#[derive(Serialize, JsonSchema)]
pub struct Document<'a> {
    /// `wardmote.respond/1`.
    schema: &'static str,
    /// The requests, the newest first.
    requests: Vec<Line<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct Line<'a> {
    /// When its effect ends, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<String>,
    #[serde(flatten)]
    request: &'a Request,
}

/// The list as text or JSON.
pub(crate) fn run(state: &Path, all: bool, form: Form, now: i64) -> anyhow::Result<String> {
    let requests = kept(state, all)?;
    if form == Form::Json {
        let line = |request| Line { ends: Request::ends(request).and_then(stamp), request };
        let requests = requests.iter().map(line).collect();
        let document = Document { schema: "wardmote.respond/1", requests };
        return Ok(serde_json::to_string_pretty(&document)? + "\n");
    }
    if requests.is_empty() {
        return Ok("no requests\n".into());
    }
    let mut text = String::new();
    for request in &requests {
        text += &line(request, now);
        text.push('\n');
        for reason in reasons(request) {
            text += &format!("      {reason}\n");
        }
    }
    Ok(text)
}

/// The requests; none where there is no store yet.
fn kept(state: &Path, all: bool) -> anyhow::Result<Vec<Request>> {
    let path = state.join("wardmote.db");
    if is_missing(&path) {
        return Ok(Vec::new());
    }
    let unusable = |error: &dyn std::fmt::Display| {
        hinted(format!("{}: {error}", path.display()), "use sudo, or --state-dir")
    };
    let store = SqliteStore::open(&path, ALERTS_MAX).map_err(|error| unusable(&error))?;
    let mut requests = match all {
        true => store.newest(SHOWN_MAX),
        false => store.requests(&State::OPEN, SHOWN_MAX),
    }
    .map_err(|error| unusable(&error))?;
    requests.sort_by_key(|request| std::cmp::Reverse(request.id));
    Ok(requests)
}

/// One request in one line.
pub fn line(request: &Request, now: i64) -> String {
    let decision = &request.decision;
    let mut text = format!(
        "{:>4}  {:<9} {:<8} {} {}  {}",
        request.id,
        request.state.name(),
        decision.risk.name(),
        decision.action,
        decision.target,
        decision.title
    );
    if let Some(ends) = request.ends() {
        let left = ends.saturating_sub(now).max(0);
        let confirmable = request.state == State::Done && request.confirm_within_s.is_some();
        let unless = if confirmable { " unless confirmed" } else { "" };
        text += &format!("; ends in {left} s{unless}");
    }
    text
}

/// Why it waits, who approved it, what became of it.
fn reasons(request: &Request) -> Vec<String> {
    let decision = &request.decision;
    let mut reasons: Vec<String> =
        decision.reasons().map(|(who, why)| format!("{who}: {why}")).collect();
    let approved = request.approved_by.len();
    if request.state == State::Waiting && request.operators > 1 {
        reasons.push(format!("approved by {approved} of {} operators", request.operators));
    }
    if !request.note.is_empty() {
        reasons.push(format!("{}: {}", request.state.name(), request.note));
    }
    reasons
}

fn stamp(time: i64) -> Option<String> {
    jiff::Timestamp::from_second(time).ok().map(|time| time.to_string())
}
