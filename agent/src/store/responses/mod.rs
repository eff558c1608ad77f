//! Requests for action and what became of them: in SQLite, or in memory for tests.
//!
//! A request is written down before anything is done, and again after: whoever starts next finds in
//! which state it was left. A change names the state that it starts from, so that of two who change the
//! same request one is told that it came late. At most [`REQUESTS_MAX`] are kept: over that the oldest
//! that is over makes room, and where none is over a new one is refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::govern::harm::Aim;
use crate::govern::risk::{Risk, Target};
use crate::govern::{Action, Decision};

#[cfg(test)]
pub mod memory;
mod sqlite;

pub(super) use sqlite::MIGRATION;

/// Most requests that are kept.
pub const REQUESTS_MAX: usize = 10_000;

/// Where a request is in its life.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for an operator.
    Waiting,
    /// Operators approved it, and the service is to do it.
    Approved,
    /// It is about to be done: a crash leaves it here, done or not.
    Intended,
    /// It is done, and is taken back unless it is confirmed.
    Done,
    /// It is done and holds for its time.
    Confirmed,
    /// It is about to be taken back: a crash leaves it here, taken back or not.
    Reverting,
    /// It was taken back, or its time was over.
    Reverted,
    /// It could not be done, and nothing of it is in effect.
    Failed,
    /// An operator did not want it.
    Denied,
    /// No operator said anything in time.
    Expired,
}

impl State {
    /// States of requests that are not over.
    pub const OPEN: [Self; 6] = [
        Self::Waiting,
        Self::Approved,
        Self::Intended,
        Self::Done,
        Self::Confirmed,
        Self::Reverting,
    ];

    /// The lower-case name used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Intended => "intended",
            Self::Done => "done",
            Self::Confirmed => "confirmed",
            Self::Reverting => "reverting",
            Self::Reverted => "reverted",
            Self::Failed => "failed",
            Self::Denied => "denied",
            Self::Expired => "expired",
        }
    }

    /// Whether nothing more comes of it.
    #[cfg(test)]
    pub fn is_over(self) -> bool {
        !Self::OPEN.contains(&self)
    }
}

/// A request and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    /// Its number; 0 until it is kept.
    pub id: i64,
    /// Where it is in its life.
    pub state: State,
    /// What to do, and how to take it back.
    pub action: Action,
    /// Whom it aims at: Harm is asked again when an operator approves it.
    pub aim: Aim,
    /// The decision that made it.
    pub decision: Decision,
    /// How many different operators it needs.
    pub operators: u8,
    /// Who approved it.
    pub approved_by: Vec<u32>,
    /// For how long it holds, in seconds.
    pub hold_s: i64,
    /// It is taken back after so many seconds unless it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_within_s: Option<i64>,
    /// When it was written down as intended, seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<i64>,
    /// When a block ends in the kernel, whatever becomes of us: the latest that was ever set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// When an operator did not want it, or wanted it taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<i64>,
    /// When it last changed.
    pub changed: i64,
    /// Why it is where it is.
    pub note: String,
}

impl Request {
    /// `block`, or the command's name.
    pub fn action_name(&self) -> &str {
        &self.decision.action
    }

    /// Whom it hits.
    pub fn class(&self) -> Target {
        self.decision.factors.target
    }

    /// Its risk.
    pub fn risk(&self) -> Risk {
        self.decision.risk
    }

    /// When its effect ends; `None` where it has none.
    pub fn ends(&self) -> Option<i64> {
        let after = match (self.state, self.confirm_within_s) {
            (State::Confirmed, _) | (State::Intended | State::Done, None) => self.hold_s,
            (State::Intended | State::Done, Some(within)) => within.min(self.hold_s),
            _ => return None,
        };
        Some(self.began?.saturating_add(after))
    }
}

/// Keeps requests.
pub trait Responses {
    /// Keeps new requests, all or none; their numbers.
    fn add(&mut self, requests: &[Request]) -> Result<Vec<i64>, StoreError>;

    /// Puts a request in place of what is kept of it, if that is still in the state `from`.
    fn change(&mut self, from: State, request: &Request) -> Result<bool, StoreError>;

    /// The request of this number.
    fn request(&self, id: i64) -> Result<Option<Request>, StoreError>;

    /// At most `limit` requests in any of these states, oldest first.
    fn requests(&self, states: &[State], limit: usize) -> Result<Vec<Request>, StoreError>;

    /// At most `limit` requests, the newest first.
    fn newest(&self, limit: usize) -> Result<Vec<Request>, StoreError>;

    /// A request of this action and target that is not over, or that an operator denied at `since` or
    /// later.
    fn standing(&self, action: &str, target: &str, since: i64) -> Result<Option<i64>, StoreError>;

    /// How many actions of this name, and against this class, have begun at this time or later.
    fn begun(&self, action: &str, class: Target, since: i64) -> Result<(u32, u32), StoreError>;
}

#[cfg(test)]
pub mod tests {
    use super::super::sqlite::SqliteStore;
    use super::memory::MemoryResponses;
    use super::*;
    use crate::govern::Outcome;
    use crate::govern::risk::{Certainty, Factors, Reach, Undo};

    pub fn request(target: &str, state: State, began: Option<i64>) -> Request {
        let factors = Factors {
            reach: Reach::One,
            undo: Undo::ByItself,
            target: Target::Stranger,
            certainty: Certainty::Firm,
        };
        let decision = Decision {
            time: 100,
            id: None,
            case: "case".into(),
            title: "a 'title'".into(),
            action: "block".into(),
            target: target.into(),
            factors,
            risk: factors.risk(),
            proof: Vec::new(),
            harm: vec!["no".into()],
            held: Vec::new(),
            outcome: Outcome::Wait { operators: 1 },
            policy: "p".into(),
        };
        Request {
            id: 0,
            state,
            action: Action::Block { network: target.parse().unwrap() },
            aim: Aim::default(),
            decision,
            operators: 1,
            approved_by: Vec::new(),
            hold_s: 3_600,
            confirm_within_s: Some(600),
            began,
            until: None,
            denied: None,
            changed: 100,
            note: String::new(),
        }
    }

    const ALL: [State; 10] = [
        State::Waiting,
        State::Approved,
        State::Intended,
        State::Done,
        State::Confirmed,
        State::Reverting,
        State::Reverted,
        State::Failed,
        State::Denied,
        State::Expired,
    ];

    fn on_both(test: impl Fn(&mut dyn Responses)) {
        test(&mut MemoryResponses::default());
        let dir = tempfile::tempdir().unwrap();
        test(&mut SqliteStore::open(&dir.path().join("wardmote.db"), 9).unwrap());
    }

    #[test]
    fn requests_are_kept_whole_and_numbered() {
        on_both(|store| {
            let one = request("192.0.2.7", State::Waiting, None);
            let ids =
                store.add(&[one.clone(), request("192.0.2.8", State::Done, Some(5))]).unwrap();
            assert_eq!(ids.len(), 2);
            assert!(ids[0] > 0 && ids[0] < ids[1]);
            assert_eq!(store.request(ids[0]).unwrap(), Some(Request { id: ids[0], ..one }));
            assert_eq!(store.request(ids[1] + 1).unwrap(), None);
            assert!(store.add(&[]).unwrap().is_empty());
        });
    }

    #[test]
    fn of_two_changes_one_comes_late() {
        on_both(|store| {
            let id = store.add(&[request("192.0.2.7", State::Waiting, None)]).unwrap()[0];
            let mut mine = store.request(id).unwrap().unwrap();
            mine.state = State::Denied;
            assert!(store.change(State::Waiting, &mine).unwrap());
            assert!(!store.change(State::Waiting, &mine).unwrap());
            assert_eq!(store.request(id).unwrap().unwrap().state, State::Denied);
            assert!(!store.change(State::Denied, &Request { id: id + 9, ..mine }).unwrap());
        });
    }

    #[test]
    fn requests_are_found_by_state_and_by_what_stands() {
        on_both(|store| {
            let all: Vec<Request> = ALL
                .iter()
                .enumerate()
                .map(|(n, state)| request(&format!("192.0.2.{n}"), *state, None))
                .collect();
            let ids = store.add(&all).unwrap();
            for (n, state) in ALL.iter().enumerate() {
                let found = store.requests(&[*state], 9).unwrap();
                assert_eq!(found.len(), 1);
                assert_eq!(found[0].id, ids[n]);
                let standing = store.standing("block", &format!("192.0.2.{n}"), 0).unwrap();
                assert_eq!(standing, (!state.is_over()).then_some(ids[n]), "{state:?}");
            }
            assert_eq!(store.standing("other", "192.0.2.0", 0).unwrap(), None);
            let mut denied = store.request(ids[9]).unwrap().unwrap();
            denied.denied = Some(50);
            assert!(store.change(State::Expired, &denied).unwrap());
            let standing = |since| store.standing("block", "192.0.2.9", since).unwrap();
            assert_eq!((standing(50), standing(51)), (Some(ids[9]), None));
            let open = store.requests(&State::OPEN, 3).unwrap();
            assert_eq!(open.iter().map(|one| one.id).collect::<Vec<_>>(), ids[..3]);
            assert_eq!(store.newest(2).unwrap()[0].id, ids[9]);
            assert_eq!(store.requests(&[], 9).unwrap(), Vec::new());
        });
    }

    #[test]
    fn what_has_begun_is_counted_by_name_and_class() {
        on_both(|store| {
            let mut own = request("192.0.2.3", State::Reverted, Some(100));
            own.decision.factors.target = Target::Own;
            let mut command = request("192.0.2.4", State::Failed, Some(100));
            command.decision.action = "page".into();
            store
                .add(&[
                    request("192.0.2.1", State::Done, Some(99)),
                    request("192.0.2.2", State::Reverted, Some(100)),
                    request("192.0.2.5", State::Waiting, None),
                    own,
                    command,
                ])
                .unwrap();
            assert_eq!(store.begun("block", Target::Stranger, 100).unwrap(), (2, 2));
            assert_eq!(store.begun("block", Target::Own, 99).unwrap(), (3, 1));
            assert_eq!(store.begun("page", Target::Neighbour, 0).unwrap(), (1, 0));
        });
    }

    #[test]
    fn a_full_store_forgets_what_is_over_and_nothing_else() {
        on_both(|store| {
            let over = vec![request("192.0.2.1", State::Reverted, None); 2];
            let open = vec![request("192.0.2.2", State::Waiting, None); REQUESTS_MAX - 2];
            let first = store.add(&over).unwrap()[0];
            store.add(&open).unwrap();
            assert!(store.request(first).unwrap().is_some(), "full is not too full");
            store.add(&open[..1]).unwrap();
            assert_eq!(store.request(first).unwrap(), None);
            assert!(store.request(first + 1).unwrap().is_some());
            assert!(matches!(store.add(&open[..2]), Err(StoreError::Full)));
            assert_eq!(store.requests(&State::OPEN, usize::MAX).unwrap().len(), REQUESTS_MAX - 1);
            assert!(store.request(first + 1).unwrap().is_some(), "all or none");
        });
    }

    #[test]
    fn an_effect_ends_at_its_time() {
        let ends = |state, confirm_within_s, began| {
            let one = request("192.0.2.1", state, began);
            Request { confirm_within_s, ..one }.ends()
        };
        assert_eq!(ends(State::Done, Some(600), Some(100)), Some(700));
        assert_eq!(ends(State::Done, Some(9_999), Some(100)), Some(3_700));
        assert_eq!(ends(State::Done, None, Some(100)), Some(3_700));
        assert_eq!(ends(State::Confirmed, Some(600), Some(100)), Some(3_700));
        assert_eq!(ends(State::Intended, Some(600), Some(100)), Some(700));
        assert_eq!(ends(State::Waiting, None, None), None);
        assert_eq!(ends(State::Reverting, None, Some(100)), None);
    }
}
