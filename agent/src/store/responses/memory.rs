//! Requests in memory: gone with the process.

use std::collections::BTreeMap;

use super::{REQUESTS_MAX, Request, Responses, State};
use crate::govern::risk::Target;
use crate::store::StoreError;

/// Keeps requests in memory.
#[derive(Default)]
pub struct MemoryResponses {
    requests: BTreeMap<i64, Request>,
    last: i64,
}

impl Responses for MemoryResponses {
    fn add(&mut self, requests: &[Request]) -> Result<Vec<i64>, StoreError> {
        let excess = (self.requests.len() + requests.len()).saturating_sub(REQUESTS_MAX);
        let over = self.requests.values().filter(|one| one.state.is_over()).map(|one| one.id);
        let over: Vec<i64> = over.take(excess).collect();
        if over.len() < excess {
            return Err(StoreError::Full);
        }
        for id in over {
            self.requests.remove(&id);
        }
        let mut ids = Vec::with_capacity(requests.len());
        for request in requests {
            self.last += 1;
            self.requests.insert(self.last, Request { id: self.last, ..request.clone() });
            ids.push(self.last);
        }
        Ok(ids)
    }

    fn change(&mut self, from: State, request: &Request) -> Result<bool, StoreError> {
        let kept = self.requests.get_mut(&request.id).filter(|kept| kept.state == from);
        Ok(kept.map(|kept| *kept = request.clone()).is_some())
    }

    fn request(&self, id: i64) -> Result<Option<Request>, StoreError> {
        Ok(self.requests.get(&id).cloned())
    }

    fn requests(&self, states: &[State], limit: usize) -> Result<Vec<Request>, StoreError> {
        let wanted = self.requests.values().filter(|one| states.contains(&one.state));
        Ok(wanted.take(limit).cloned().collect())
    }

    fn newest(&self, limit: usize) -> Result<Vec<Request>, StoreError> {
        Ok(self.requests.values().rev().take(limit).cloned().collect())
    }

    fn standing(&self, action: &str, target: &str, since: i64) -> Result<Option<i64>, StoreError> {
        let stands = |one: &&Request| {
            let same = one.action_name() == action && one.decision.target == target;
            same && (!one.state.is_over() || one.denied.is_some_and(|at| at >= since))
        };
        Ok(self.requests.values().find(stands).map(|one| one.id))
    }

    fn begun(&self, action: &str, class: Target, since: i64) -> Result<(u32, u32), StoreError> {
        let begun = self.requests.values().filter(|one| one.began.is_some_and(|at| at >= since));
        Ok(begun.fold((0, 0), |(of_kind, of_class), one| {
            let kind = u32::from(one.action_name() == action);
            (of_kind + kind, of_class + u32::from(one.class() == class))
        }))
    }
}
