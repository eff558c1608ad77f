//! Says in the system journal what waits for an operator, and what was done and taken back, also what
//! operators did on the command line. Everything goes on to the ledger behind.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{Decision, Ledger, Outcome, Step};
use crate::notices::{Notice, tell};
use crate::store::responses::State;

/// Requests whose words are remembered; of the others only the number is said.
const KNOWN_MAX: usize = 1_000;

/// A ledger that speaks.
pub struct Announced {
    behind: Box<dyn Ledger + Send>,
    /// What each request is about.
    known: Mutex<BTreeMap<i64, String>>,
}

impl Announced {
    /// Speaks, and hands on to `behind`.
    pub fn new(behind: Box<dyn Ledger + Send>) -> Self {
        Self { behind, known: Mutex::default() }
    }
}

impl Ledger for Announced {
    fn decided(&self, decision: &Decision) {
        if let Some(id) = decision.id {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(id, format!("{} {}", decision.action, decision.target));
            if known.len() > KNOWN_MAX {
                known.pop_first();
            }
        }
        self.behind.decided(decision);
    }

    fn stepped(&self, step: &Step) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((event, line)) = said(step, known.get(&step.id).map(String::as_str)) {
            let id = step.id.to_string();
            tell(event, None, &[("WARDMOTE_RESPONSE", &id)], &line);
        }
        drop(known);
        self.behind.stepped(step);
    }
}

/// Says what was decided; what is done by itself is said when it is.
pub fn decided(decision: &Decision) {
    if let Outcome::Wait { .. } = decision.outcome {
        let id = decision.id.unwrap_or_default().to_string();
        let fields = [
            ("WARDMOTE_RESPONSE", id.as_str()),
            ("WARDMOTE_FINDING", &decision.case),
            ("WARDMOTE_TARGET", &decision.target),
        ];
        tell(Notice::ResponseWaiting, None, &fields, &waiting(decision, &id));
    }
}

fn waiting(decision: &Decision, id: &str) -> String {
    let Decision { action, target, risk, title, .. } = decision;
    format!(
        "response {id} waits for an operator: {action} {target} ({risk} risk) for `{title}`; wardmote respond list"
    )
}

/// The event and the line of a step that is worth saying.
fn said(step: &Step, about: Option<&str>) -> Option<(Notice, String)> {
    let (event, what) = match step.what.as_str() {
        done if done == State::Done.name() => (Notice::ResponseDone, "is in effect"),
        back if back == State::Reverted.name() => (Notice::ResponseReverted, "was taken back"),
        failed if failed == State::Failed.name() => (Notice::ResponseFailed, "did not work"),
        _ => return None,
    };
    let about = about.map(|about| format!(" ({about})")).unwrap_or_default();
    let by = step.by.map(|uid| format!(", by uid {uid}")).unwrap_or_default();
    let note = if step.note.is_empty() { String::new() } else { format!(": {}", step.note) };
    Some((event, format!("response {}{about} {what}{by}{note}", step.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_fails_and_is_taken_back_is_said_with_what_it_is_about() {
        let step = |what: &str, by| {
            let note = "nobody confirmed it".to_string();
            Step { time: 1, id: 3, what: what.into(), by, note }
        };
        let (event, line) = said(&step("reverted", None), Some("block 192.0.2.7")).unwrap();
        assert_eq!(event, Notice::ResponseReverted);
        assert_eq!(line, "response 3 (block 192.0.2.7) was taken back: nobody confirmed it");
        let (event, line) = said(&step("done", Some(1000)), None).unwrap();
        assert_eq!(event, Notice::ResponseDone);
        assert!(line.starts_with("response 3 is in effect, by uid 1000"), "{line}");
        assert_eq!(said(&step("failed", None), None).unwrap().0, Notice::ResponseFailed);
        for quiet in ["waiting", "intended", "ensured", "reverting", "expired"] {
            assert_eq!(said(&step(quiet, None), None), None);
        }
    }
}
