//! From proposals to what is done, and back: the life of a request.
//!
//! What is intended is kept before it is done, and what was done after; so whoever starts next
//! ([`Engine::recover`]) takes back what was left halfway. An action is taken back at its time unless an
//! operator confirmed it, and always at its end. Time is given, never asked for; a clock that was set
//! back ends an action rather than prolonging it. Only one engine works on a store at a time: whoever
//! makes one holds the lock of [`super::worker`].

use std::collections::BTreeSet;
use std::sync::Arc;

use super::actions::{Blocked, Effects, Failed, Way};
use super::cache::{Cache, Key};
use super::decide::decide;
use super::guardians::Guardians;
use super::harm::{self, Danger, Spent};
use super::policy::Policy;
use super::{Action, Decision, Ledger, Outcome, Proposal, Step};
use crate::store::StoreError;
use crate::store::responses::{Request, Responses, State};

/// Budgets count what began within so many seconds.
pub const HOUR_S: i64 = 3_600;
/// Most requests that wait for an operator; over that the oldest one expires.
pub const WAITING_MAX: usize = 1_000;
/// How often it is looked whether blocks still stand, what could not be taken back is tried again, and
/// requests that wait too long expire.
pub const AGAIN_S: i64 = 5;
/// A clock may be set back so far before it ends actions.
const CLOCK_SLACK_S: i64 = 60;

/// Says why nothing may be done by itself, where that is so: the kill switch.
pub type Stop = Box<dyn Fn() -> Option<String> + Send>;

/// Works on requests.
pub struct Engine {
    /// Keeps requests.
    pub store: Box<dyn Responses + Send>,
    /// Does things.
    pub effects: Box<dyn Effects + Send>,
    /// Where decisions are written for good.
    pub ledger: Box<dyn Ledger + Send>,
    /// What the operator wants.
    pub policy: Policy,
    /// The kill switch.
    pub stop: Stop,
    pub(super) cache: Cache,
    looked: i64,
}

impl Engine {
    /// An engine; call [`Engine::recover`] before anything else.
    pub fn new(
        store: Box<dyn Responses + Send>,
        effects: Box<dyn Effects + Send>,
        ledger: Box<dyn Ledger + Send>,
        policy: Policy,
        stop: Stop,
    ) -> Self {
        Self { store, effects, ledger, policy, stop, cache: Cache::default(), looked: i64::MIN }
    }

    /// An operator said something about a case: what was decided on it is decided again.
    pub fn heard_feedback(&mut self, case: &str) {
        self.cache.drop_case(case);
    }

    /// Decides on proposals, writes the decisions down, and does what both guardians agree to.
    pub fn propose(
        &mut self,
        proposals: Vec<Proposal>,
        guardians: &Guardians,
        now: i64,
    ) -> Result<Vec<Decision>, StoreError> {
        let proposals = self.new_ones(proposals, now)?;
        if proposals.is_empty() {
            return Ok(Vec::new());
        }
        let (proofs, harms) = self.questions(&proposals, now);
        let answers = guardians.ask(proofs, harms, now);
        let stopped = (self.stop)();
        let mut requests = Vec::with_capacity(proposals.len());
        for (proposal, (proof, harm)) in proposals.iter().zip(&answers) {
            let decision = decide(proposal, proof, harm, &self.policy, stopped.as_deref(), now);
            requests.push(self.request(proposal, decision, now));
        }
        self.within_budget(&mut requests, now)?;
        self.make_room(&requests, now)?;
        let ids = self.store.add(&requests)?;
        for (request, id) in requests.iter_mut().zip(ids) {
            request.id = id;
            request.decision.id = Some(id);
            self.ledger.decided(&request.decision);
            let fresh = self.policy.settings.fresh.seconds();
            let (risk, digest) = (request.risk(), &self.policy.digest);
            self.cache.put(key(&request.decision), id, risk, fresh, digest, now);
        }
        let decisions = requests.iter().map(|request| request.decision.clone()).collect();
        requests.retain(|request| request.state == State::Intended);
        self.perform(requests, None, now)?;
        Ok(decisions)
    }

    /// Those that are opted into and were not decided a moment ago, nor are in effect or waiting.
    fn new_ones(
        &mut self,
        proposals: Vec<Proposal>,
        now: i64,
    ) -> Result<Vec<Proposal>, StoreError> {
        let mut seen = BTreeSet::new();
        let mut new = Vec::new();
        // What an operator did not want is not asked for again for a while.
        let denied_since = now.saturating_sub(self.policy.settings.wait.seconds());
        for proposal in proposals {
            let action = &proposal.action;
            if !self.policy.allows(action) {
                continue;
            }
            let (name, target) = (action.name().to_string(), action.target());
            let key =
                Key { action: name.clone(), target: target.clone(), case: proposal.case.clone() };
            let known = self.cache.find(&key, &self.policy.digest, now).is_some()
                || !seen.insert((name.clone(), target.clone()))
                || self.store.standing(&name, &target, denied_since)?.is_some();
            if !known {
                new.push(proposal);
            }
        }
        new.truncate(super::guardians::BATCH_MAX);
        Ok(new)
    }

    #[allow(clippy::type_complexity)] // the two halves are what the guardians take
    fn questions(
        &self,
        proposals: &[Proposal],
        now: i64,
    ) -> (Vec<super::guardians::ProofQuestion>, Vec<super::guardians::HarmQuestion>) {
        let mut limits: Vec<(String, super::risk::Target, Arc<harm::Limits>)> = Vec::new();
        let ask = |proposal: &Proposal| {
            let (action, class) = (&proposal.action, proposal.factors.target);
            let bar = self.policy.bar(action, proposal.factors.risk());
            let known = limits.iter().find(|(name, of, _)| name == action.name() && *of == class);
            let limits = match known {
                Some((_, _, limits)) => Arc::clone(limits),
                None => {
                    let made = Arc::new(self.policy.limits(action, class));
                    limits.push((action.name().to_string(), class, Arc::clone(&made)));
                    made
                }
            };
            let spent = self.spent(action.name(), class, now);
            ((proposal.testimony.clone(), bar), (proposal.aim.clone(), limits, spent))
        };
        proposals.iter().map(ask).unzip()
    }

    pub(super) fn spent(
        &self,
        name: &str,
        class: super::risk::Target,
        now: i64,
    ) -> harm::Seen<Spent> {
        let begun = self.store.begun(name, class, now.saturating_sub(HOUR_S));
        let begun = begun.map_err(|error| error.to_string());
        begun.map(|(of_kind, of_class)| Spent { of_kind, of_class })
    }

    fn request(&self, proposal: &Proposal, decision: Decision, now: i64) -> Request {
        let acts = decision.outcome == Outcome::Act;
        Request {
            id: 0,
            state: if acts { State::Intended } else { State::Waiting },
            action: proposal.action.clone(),
            aim: proposal.aim.clone(),
            operators: self.policy.operators(decision.risk),
            decision,
            approved_by: Vec::new(),
            hold_s: proposal.hold_s,
            confirm_within_s: proposal.confirm_within_s,
            began: acts.then_some(now),
            until: None,
            denied: None,
            changed: now,
            note: String::new(),
        }
    }

    /// Harm counted each by itself; together they may be too many.
    fn within_budget(&self, requests: &mut [Request], now: i64) -> Result<(), StoreError> {
        let mut done: Vec<(String, super::risk::Target)> = Vec::new();
        for request in requests.iter_mut().filter(|one| one.state == State::Intended) {
            let (name, class) = (request.action_name().to_string(), request.class());
            let limits = self.policy.limits(&request.action, class);
            let (of_kind, of_class) = self.store.begun(&name, class, now.saturating_sub(HOUR_S))?;
            let together = |same: &dyn Fn(&(String, super::risk::Target)) -> bool| {
                u32::try_from(done.iter().filter(|one| same(one)).count()).unwrap_or(u32::MAX)
            };
            let of_kind = of_kind.saturating_add(together(&|one| one.0 == name));
            let of_class = of_class.saturating_add(together(&|one| one.1 == class));
            if of_kind < limits.per_hour && of_class < limits.per_hour_of_class {
                done.push((name, class));
                continue;
            }
            request.state = State::Waiting;
            request.began = None;
            request.decision.outcome = Outcome::Wait { operators: request.operators };
            let (spent, most) = match of_kind >= limits.per_hour {
                true => (of_kind, limits.per_hour),
                false => (of_class, limits.per_hour_of_class),
            };
            let danger = Danger::Budget { spent, most, of: "actions" };
            request.decision.harm.push(danger.to_string());
        }
        Ok(())
    }

    /// Expires the oldest waiting requests so that the new ones find room.
    fn make_room(&mut self, new: &[Request], now: i64) -> Result<(), StoreError> {
        let coming = new.iter().filter(|one| one.state == State::Waiting).count();
        if coming == 0 {
            return Ok(());
        }
        let waiting = self.store.requests(&[State::Waiting], usize::MAX)?;
        let excess = (waiting.len() + coming).saturating_sub(WAITING_MAX);
        for request in waiting.into_iter().take(excess) {
            self.move_to(request, State::Expired, "it made room for newer ones", None, now)?;
        }
        Ok(())
    }

    /// Does what is intended.
    pub(super) fn perform(
        &mut self,
        mut requests: Vec<Request>,
        by: Option<u32>,
        now: i64,
    ) -> Result<(), StoreError> {
        // The switch may have been thrown since: an operator's own word holds, nothing else does.
        if by.is_none()
            && let Some(why) = (self.stop)()
        {
            for request in requests.drain(..) {
                self.move_to(request, State::Failed, &why, None, now)?;
            }
        }
        let (blocks, commands): (Vec<Request>, Vec<Request>) = requests
            .into_iter()
            .partition(|request| matches!(request.action, Action::Block { .. }));
        if !blocks.is_empty() {
            let done = self.effects.block_only(&self.active(now)?).map(|()| String::new());
            for request in blocks {
                self.performed(request, done.clone(), by, now)?;
            }
        }
        for request in commands {
            let case = request.decision.case.clone();
            let done = self.effects.command(&request.action, &case, Way::Do);
            self.performed(request, done, by, now)?;
        }
        Ok(())
    }

    fn performed(
        &mut self,
        request: Request,
        done: Result<String, Failed>,
        by: Option<u32>,
        now: i64,
    ) -> Result<(), StoreError> {
        match done {
            Ok(said) => self.move_to(request, State::Done, &said, by, now).map(drop),
            Err(Failed::Nothing(why)) => {
                self.move_to(request, State::Failed, &why, by, now).map(drop)
            }
            Err(Failed::Halfway(why)) => {
                let half = self.move_to(request, State::Reverting, &why, by, now)?;
                self.revert(half.into_iter().collect(), now)
            }
        }
    }

    /// What is to be blocked now, and for how long.
    pub(super) fn active(&self, now: i64) -> Result<Vec<Blocked>, StoreError> {
        let open = self.store.requests(&State::OPEN, usize::MAX)?;
        let one = |request: &Request| match &request.action {
            Action::Block { network } => {
                let left = request.ends()?.saturating_sub(now);
                let seconds = u64::try_from(left).ok().filter(|left| *left > 0)?;
                Some(Blocked { network: *network, seconds })
            }
            Action::Command { .. } => None,
        };
        Ok(open.iter().filter_map(one).collect())
    }

    /// Takes back what stands as [`State::Reverting`].
    pub(super) fn revert(&mut self, requests: Vec<Request>, now: i64) -> Result<(), StoreError> {
        let (blocks, commands): (Vec<Request>, Vec<Request>) = requests
            .into_iter()
            .partition(|request| matches!(request.action, Action::Block { .. }));
        if !blocks.is_empty() {
            let done = self.effects.block_only(&self.active(now)?).map(|()| String::new());
            for request in blocks {
                self.reverted(request, done.clone(), now)?;
            }
        }
        for request in commands {
            let case = request.decision.case.clone();
            let done = self.effects.command(&request.action, &case, Way::Undo);
            self.reverted(request, done, now)?;
        }
        Ok(())
    }

    fn reverted(
        &mut self,
        request: Request,
        done: Result<String, Failed>,
        now: i64,
    ) -> Result<(), StoreError> {
        let block = matches!(request.action, Action::Block { .. });
        let (state, note) = match done {
            Ok(said) => (State::Reverted, said),
            // Without the right to change rules: the kernel has taken it back at its time.
            Err(failed) if block && request.until.is_some_and(|until| until <= now) => {
                (State::Reverted, format!("its timeout ended it ({})", failed.why()))
            }
            Err(failed) => (State::Reverting, failed.why().to_string()),
        };
        self.move_to(request, state, &note, None, now).map(drop)
    }

    /// Keeps a request in its next state and writes that down; `None` where somebody else was faster.
    pub(super) fn move_to(
        &mut self,
        mut request: Request,
        state: State,
        note: &str,
        by: Option<u32>,
        now: i64,
    ) -> Result<Option<Request>, StoreError> {
        let from = request.state;
        if from == state && request.note == note {
            // Nothing new: it is tried again every few seconds.
            return Ok(Some(request));
        }
        request.state = state;
        request.until = request.until.max(request.ends());
        request.changed = now;
        if !note.is_empty() {
            request.note = note.to_string();
        }
        if !self.store.change(from, &request)? {
            return Ok(None);
        }
        let what = state.name().to_string();
        self.ledger.stepped(&Step { time: now, id: request.id, what, by, note: note.to_string() });
        Ok(Some(request))
    }

    /// After a start: takes back what was left halfway, and makes the blocks stand that hold.
    pub fn recover(&mut self, now: i64) -> Result<(), StoreError> {
        for request in self.store.requests(&[State::Intended], usize::MAX)? {
            self.move_to(request, State::Reverting, "it was interrupted", None, now)?;
        }
        let half = self.store.requests(&[State::Reverting], usize::MAX)?;
        self.revert(half, now)?;
        self.looked = i64::MIN;
        self.tick(now)
    }

    /// What time asks for: takes back what is over or unconfirmed, tries again what could not be, lets
    /// requests expire, and makes blocks stand that somebody flushed.
    pub fn tick(&mut self, now: i64) -> Result<(), StoreError> {
        let mut over = Vec::new();
        for request in self.store.requests(&[State::Done, State::Confirmed], usize::MAX)? {
            let note = match (request.state, ended(&request, now)) {
                (_, false) => continue,
                (State::Done, true) if request.confirm_within_s.is_some() => "nobody confirmed it",
                _ => "its time is over",
            };
            over.extend(self.move_to(request, State::Reverting, note, None, now)?);
        }
        // Most of it is not pressing, and costs more.
        let due = now.saturating_sub(self.looked) >= AGAIN_S || now < self.looked;
        if due {
            self.expire(now)?;
            let known: BTreeSet<i64> = over.iter().map(|request| request.id).collect();
            let again = self.store.requests(&[State::Reverting], usize::MAX)?;
            over.extend(again.into_iter().filter(|request| !known.contains(&request.id)));
        }
        self.revert(over, now)?;
        for request in self.store.requests(&[State::Approved], usize::MAX)? {
            let by = request.approved_by.last().copied();
            let request = Request { began: Some(now), ..request };
            let intended = self.move_to(request, State::Intended, "", by, now)?;
            self.perform(intended.into_iter().collect(), by, now)?;
        }
        if due {
            self.looked = now;
            self.ensure(now)?;
        }
        Ok(())
    }

    fn expire(&mut self, now: i64) -> Result<(), StoreError> {
        let waits = self.policy.settings.wait.seconds();
        for request in self.store.requests(&[State::Waiting], usize::MAX)? {
            if now.saturating_sub(request.changed) >= waits {
                self.move_to(request, State::Expired, "no operator said anything", None, now)?;
            }
        }
        Ok(())
    }

    /// Somebody may have flushed the rule set, or the host was started anew.
    fn ensure(&mut self, now: i64) -> Result<(), StoreError> {
        let active = self.active(now)?;
        // Who cannot look cannot mend either: the kernel's timeouts hold.
        if active.is_empty() || self.effects.blocks_stand(&active) != Ok(false) {
            return Ok(());
        }
        let note = match self.effects.block_only(&active) {
            Ok(()) => "blocks were gone and stand again".to_string(),
            Err(failed) => format!("blocks are gone: {}", failed.why()),
        };
        self.ledger.stepped(&Step { time: now, id: 0, what: "ensured".into(), by: None, note });
        Ok(())
    }
}

fn key(decision: &Decision) -> Key {
    Key {
        action: decision.action.clone(),
        target: decision.target.clone(),
        case: decision.case.clone(),
    }
}

/// Whether the effect is over, or the clock was set back behind its beginning.
pub(super) fn ended(request: &Request, now: i64) -> bool {
    let back = request.began.is_some_and(|began| now < began.saturating_sub(CLOCK_SLACK_S));
    back || request.ends().is_none_or(|ends| ends <= now)
}

#[cfg(test)]
#[path = "engine_tests.rs"]
pub mod tests;
