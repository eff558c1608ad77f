//! What operators say about requests, and what they cannot have.
//!
//! An operator's word overrides Proof, budgets, neighbours and the sessions of others: an intruder's is
//! one of those. It overrides nothing else that Harm says, and never a session of the operator's own.

use std::net::IpAddr;

use super::engine::{Engine, ended};
use super::harm::{self, LiveSystem};
use super::{Action, Answer, Step};
use crate::store::StoreError;
use crate::store::responses::{Request, State};

/// An operator who says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// User id, of the one behind sudo where there is one.
    pub uid: u32,
    /// Its name.
    pub name: String,
    /// Where the operator's own session comes from, as far as known.
    pub from: Option<IpAddr>,
}

/// Whether the service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// It does what is approved.
    Runs,
    /// Nobody does, unless it is done here.
    Down,
}

/// Why an operator's word has no effect.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The operator's: no such number.
    #[error("no request {0}")]
    Unknown(i64),
    /// The operator's: too late, or too early.
    #[error("request {id} is {}", state.name())]
    State {
        /// Which.
        id: i64,
        /// Where it is.
        state: State,
    },
    /// The operator's: it takes somebody else.
    #[error("request {0} was approved by you already; it needs another operator")]
    Twice(i64),
    /// The system's: it would hurt.
    #[error("request {id} is refused: {why}")]
    Harm {
        /// Which.
        id: i64,
        /// All that speaks against it.
        why: String,
    },
    /// The store's word.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// An operator wants a waiting request done; done it is with the last one that it needs. `live` is
    /// the system as it is: what would hurt is refused whoever asks for it. A command is left to the
    /// service where that runs, so that whoever takes it back may do what whoever did it may.
    pub fn approve(
        &mut self,
        id: i64,
        operator: &Operator,
        live: &LiveSystem,
        service: Service,
        now: i64,
    ) -> Result<Request, Refused> {
        let mut request = self.in_state(id, &[State::Waiting])?;
        if request.approved_by.contains(&operator.uid) {
            return Err(Refused::Twice(id));
        }
        self.harmless(&request, operator, live, now)?;
        request.approved_by.push(operator.uid);
        let enough = request.approved_by.len() >= usize::from(request.operators);
        let block = matches!(request.action, Action::Block { .. });
        let here = block || service == Service::Down;
        let state = match (enough, here) {
            (false, _) => State::Waiting,
            (true, true) => State::Intended,
            (true, false) => State::Approved,
        };
        request.began = (enough && here).then_some(now);
        let kept = self.move_to(request, state, "approved", Some(operator.uid), now)?;
        if let (true, Some(request)) = (enough && here, kept) {
            self.perform(vec![request], Some(operator.uid), now)?;
        }
        self.kept(id)
    }

    fn harmless(
        &self,
        request: &Request,
        operator: &Operator,
        live: &LiveSystem,
        now: i64,
    ) -> Result<(), Refused> {
        let limits = self.policy.limits(&request.action, request.class());
        let spent = self.spent(request.action_name(), request.class(), now);
        let mut why: Vec<String> = match harm::harm(&request.aim, live, &limits, &spent, now) {
            Answer::Yes => Vec::new(),
            Answer::No(dangers) => dangers
                .iter()
                .filter(|danger| danger.is_absolute(&operator.name))
                .map(ToString::to_string)
                .collect(),
            Answer::Unheard(why) => vec![why.to_string()],
        };
        let own = operator
            .from
            .filter(|from| request.aim.network.is_some_and(|network| network.contains(*from)));
        why.extend(own.map(|from| format!("{from} is where you come from")));
        let why = why.join("; ");
        if why.is_empty() { Ok(()) } else { Err(Refused::Harm { id: request.id, why }) }
    }

    /// An operator does not want it: a waiting request is not done, one that is done is taken back.
    pub fn deny(&mut self, id: i64, operator: &Operator, now: i64) -> Result<Request, Refused> {
        let deniable = [State::Waiting, State::Approved, State::Done, State::Confirmed];
        let mut request = self.in_state(id, &deniable)?;
        request.denied = Some(now);
        let by = Some(operator.uid);
        if matches!(request.state, State::Waiting | State::Approved) {
            self.move_to(request, State::Denied, "denied", by, now)?;
        } else {
            let half = self.move_to(request, State::Reverting, "denied", by, now)?;
            self.revert(half.into_iter().collect(), now)?;
        }
        self.kept(id)
    }

    /// An operator wants it to hold for its whole time.
    pub fn confirm(&mut self, id: i64, operator: &Operator, now: i64) -> Result<Request, Refused> {
        let request = self.in_state(id, &[State::Done])?;
        if ended(&request, now) {
            // Its time is over; whoever takes it back has not come around to it.
            return Err(Refused::State { id, state: State::Reverting });
        }
        let block = matches!(request.action, Action::Block { .. });
        self.move_to(request, State::Confirmed, "confirmed", Some(operator.uid), now)?;
        if block && let Err(failed) = self.effects.block_only(&self.active(now)?) {
            let note = format!("the longer time is not set yet: {}", failed.why());
            let what = "ensured".into();
            self.ledger.stepped(&Step { time: now, id, what, by: None, note });
        }
        self.kept(id)
    }

    fn in_state(&self, id: i64, states: &[State]) -> Result<Request, Refused> {
        let request = self.kept(id)?;
        match states.contains(&request.state) {
            true => Ok(request),
            false => Err(Refused::State { id, state: request.state }),
        }
    }

    fn kept(&self, id: i64) -> Result<Request, Refused> {
        self.store.request(id)?.ok_or(Refused::Unknown(id))
    }
}
