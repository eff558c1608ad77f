//! Alerts into cases, one at a time.
//!
//! An *episode* is a run of alerts of one name on one host without a pause longer than the gap. A
//! *case* is what belongs together: alerts that share an entity (host, address, account) or an
//! indicator with an earlier one, again without such a pause. The first alert of a case is
//! *notified*, and so is one that raises its level; what adds something to a case is *merged*, and so
//! are the 2nd, 4th, 8th … alert of an episode that adds nothing, as its exemplars; the rest is
//! *suppressed*, for one of the [`Reason`]s.
//!
//! Invariants: received = notified + merged + suppressed by reason, for the stream and for each case.
//! The same alerts in the same order give the same cases and ids. Joining two cases can be taken
//! back ([`Fusion::undo`]): every count is then as if they had never been joined. `high` and
//! `critical` are never suppressed as a storm. It refuses to grow: everything is bounded, and what
//! the bounds cost is in [`Counts`].

mod case;
mod forest;
mod links;

use crate::Severity;
pub use case::{Case, CaseId, Counts, Fate, Joining, JoiningId, Outcome, Reason, Sort, Tally};
use forest::{Forest, NodeRef};
use links::{Keys, Links};

/// Longest pause within an episode or case unless said otherwise, seconds.
pub const GAP_S: i64 = 300;
/// The longest gap that may be set, seconds.
pub const MAX_GAP_S: i64 = 7 * 86_400;
/// Most cases that are open at once, those counted that were joined with others; the longest quiet
/// are evicted beyond.
pub const MAX_CASES: usize = 65_536;
/// Most entities, indicators and episodes that are remembered at once.
pub const MAX_LINKS: usize = 1 << 18;
/// Most entities, indicators and names that one case lists; a full case gets a successor.
pub const MAX_KEYS: u32 = 256;
/// Most indicators of one alert that are looked at; the others are counted as cut.
pub const MAX_INDICATORS: usize = 16;
/// Most bytes of a text that are looked at.
pub const MAX_TEXT_BYTES: usize = 256;
/// Most pairs of cases that an operator has told apart.
pub const MAX_APART: usize = 1024;
/// So many alerts of one case are merged at once, and then so many more a gap.
pub const CASE_BURST: i64 = 64;
/// So many new cases are notified at once, and then so many more a gap.
pub const NOTICE_BURST: i64 = 256;

/// Times are cut to so many seconds around the epoch: arithmetic on them cannot overflow.
const MOST_TIME: i64 = 1 << 50;
/// Host, name, address and account of one alert, and its indicators.
const MOST_KEYS_OF_ALERT: usize = 4 + MAX_INDICATORS;

/// One alert. Whoever makes it leaves out what everybody shares (an account `root`, the address of a
/// proxy): it would join what does not belong together.
#[derive(Clone, Copy, Debug)]
pub struct Alert<'a> {
    /// Seconds since the epoch.
    pub time: i64,
    /// The host that it concerns.
    pub host: &'a str,
    /// The name of the rule that raised it.
    pub name: &'a str,
    /// The address concerned.
    pub ip: Option<&'a str>,
    /// The account concerned.
    pub user: Option<&'a str>,
    /// Whatever else tells that two alerts have one cause: hashes, paths, domains.
    pub indicators: &'a [&'a str],
    /// How bad; `info` where it is not known.
    pub level: Severity,
}

impl<'a> Alert<'a> {
    /// An alert of which no more is known.
    pub const fn new(time: i64, host: &'a str, name: &'a str) -> Self {
        Self { time, host, name, ip: None, user: None, indicators: &[], level: Severity::Info }
    }
}

/// A stream of alerts being fused.
///
/// ```
/// use consensus::fusion::{Alert, Fate, Fusion, GAP_S};
///
/// let mut fusion = Fusion::new(GAP_S, 1).expect("a valid gap");
/// let scan = Alert { ip: Some("192.0.2.1"), ..Alert::new(1000, "web", "port scan") };
/// assert_eq!(fusion.push(&scan).fate, Fate::Notified);
/// let login = Alert { host: "mail", name: "login", ..scan };
/// assert_eq!(fusion.push(&login).fate, Fate::Merged); // the same address
/// let over = fusion.close_until(1301);
/// assert_eq!((over.len(), over[0].tally.received), (1, 2));
/// ```
#[derive(Debug)]
pub struct Fusion {
    gap_s: i64,
    forest: Forest,
    links: Links,
    newest: i64,
    now: Option<i64>,
    notices: Limiter,
    counts: Counts,
}

/// The generic cell rate algorithm (ITU-T I.371, annex A) in milliseconds of the stream's own time.
#[derive(Clone, Copy, Debug)]
struct Limiter {
    /// When what was let through will have been paid for.
    paid: i64,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { paid: i64::MIN }
    }
}

impl Limiter {
    fn stricter(self, other: Self) -> Self {
        Self { paid: self.paid.max(other.paid) }
    }

    /// Whether one more is let through: `burst` at once, then `burst` a gap.
    fn admits(&mut self, time: i64, gap_s: i64, burst: i64) -> bool {
        let (now, each) = (time * 1000, (gap_s * 1000 / burst).max(1));
        let paid = self.paid.max(now);
        let admitted = paid - now <= each * (burst - 1);
        if admitted {
            self.paid = paid + each;
        }
        admitted
    }
}

impl Fusion {
    /// A stream whose cases are numbered from `first_id` on (a service goes on where it stopped);
    /// `None` where the gap is not from 1 to [`MAX_GAP_S`] seconds.
    pub fn new(gap_s: i64, first_id: u64) -> Option<Self> {
        (1..=MAX_GAP_S).contains(&gap_s).then(|| Self {
            gap_s,
            forest: Forest::numbered_from(first_id),
            links: Links::default(),
            newest: -MOST_TIME,
            now: None,
            notices: Limiter::default(),
            counts: Counts::default(),
        })
    }

    /// Takes one alert. Alerts may be out of order by up to the gap.
    pub fn push(&mut self, alert: &Alert<'_>) -> Outcome {
        let time = alert.time.clamp(-MOST_TIME, MOST_TIME);
        let outcome = match self.untimely(time) {
            Some(reason) => Outcome { case: None, fate: Fate::Suppressed(reason) },
            None => self.fuse(alert, time),
        };
        self.counts.tally.add(outcome.fate);
        outcome
    }

    /// Tells what time it is (seconds since the epoch): from now on, alerts from further ahead than the
    /// gap are suppressed, so that no forged date makes punctual alerts late. Without it, as for a
    /// file of old alerts, every date is believed.
    pub fn tell_time(&mut self, now: i64) {
        self.now = Some(now.clamp(-MOST_TIME, MOST_TIME));
    }

    /// Ends the cases that were quiet for longer than the gap at this time, and gives them in order of
    /// their ids. Takes time linear in what is open: call it once a gap or so.
    pub fn close_until(&mut self, now: i64) -> Vec<Case> {
        let before = now.clamp(-MOST_TIME, MOST_TIME).saturating_sub(self.gap_s);
        let closed = self.forest.close(|case| case.last < before);
        self.counts.closed += closed.len() as u64;
        self.links.sweep_if_grown(&self.forest);
        closed
    }

    /// The open cases, in order of their ids.
    pub fn cases(&self) -> Vec<Case> {
        self.forest.cases(|_| true)
    }

    /// The open case that this one is, or was joined with.
    pub fn case(&self, id: CaseId) -> Option<Case> {
        let kept = self.forest.kept(id)?;
        self.forest.cases(|case| case.oldest == kept).pop()
    }

    /// What became of the alerts and cases so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Joins two open cases, whatever was said before about telling them apart; `None` where one is not
    /// open, they are one already, or they would list more than [`MAX_KEYS`].
    pub fn join(&mut self, one: CaseId, other: CaseId) -> Option<JoiningId> {
        let joined = self.forest.join_by_operator(one, other)?;
        self.counts.joined += 1;
        Some(joined)
    }

    /// The joinings of open cases that can be taken back, oldest first.
    pub fn joinings(&self) -> Vec<Joining> {
        self.forest.joinings()
    }

    /// Takes a joining back, not only the last: gives the ids of the two cases. What came in since is
    /// counted where its entities were known. No alert joins the two again. `None` where there is no
    /// such joining of open cases, or [`MAX_APART`] pairs are already told apart.
    pub fn undo(&mut self, joining: JoiningId) -> Option<(CaseId, CaseId)> {
        let parted = self.forest.undo(joining)?;
        self.counts.joined -= 1;
        Some(parted)
    }

    fn untimely(&mut self, time: i64) -> Option<Reason> {
        if self.now.is_some_and(|now| time > now + self.gap_s) {
            return Some(Reason::Ahead);
        }
        if time < self.newest - self.gap_s {
            return Some(Reason::Late);
        }
        self.newest = self.newest.max(time);
        None
    }

    fn fuse(&mut self, alert: &Alert<'_>, time: i64) -> Outcome {
        self.make_room();
        let keys = Keys::of(alert);
        self.counts.cut += alert.indicators.len().saturating_sub(MAX_INDICATORS) as u64;
        let seen = self.links.look_up(&keys, time, self.gap_s, &self.forest);
        let met = seen.parts().iter().find_map(|known| known.fresh());
        let opened = met.is_none();
        let mut case = met.unwrap_or_else(|| self.open(time));
        let mut news = opened;
        for known in seen.parts() {
            news |= known.fresh().is_some_and(|other| self.join_by_alert(case, other));
        }
        if self.forest.is_full_for(case, || seen.unknown_in(case, &self.forest)) {
            case = self.open(time);
            news = true;
            self.links.move_all(&keys, case, time, &mut self.forest);
            self.counts.episodes += 1;
        } else {
            let begins = seen.begins_episode();
            self.counts.episodes += u64::from(begins);
            // A name that comes back after a pause is an episode of its own, and news.
            news |= self.links.bind(&keys, &seen, case, time, &mut self.forest) || begins;
        }
        let exemplar = seen.alerts.is_power_of_two();
        let fate = self.fate(case, alert.level, time, news, exemplar);
        self.forest.account(case, time, alert.level, fate);
        Outcome { case: Some(self.forest.id(case)), fate }
    }

    fn open(&mut self, time: i64) -> NodeRef {
        self.counts.opened += 1;
        self.forest.open(time)
    }

    /// Whether they were two cases and are one now.
    fn join_by_alert(&mut self, case: NodeRef, other: NodeRef) -> bool {
        if self.forest.same(case, other) {
            return false;
        }
        let joined = self.forest.join_by_alert(case, other).is_some();
        *(if joined { &mut self.counts.joined } else { &mut self.counts.unjoined }) += 1;
        joined
    }

    fn fate(
        &mut self,
        case: NodeRef,
        level: Severity,
        time: i64,
        news: bool,
        exemplar: bool,
    ) -> Fate {
        let gap_s = self.gap_s;
        let grave = level >= Severity::High;
        let root = self.forest.root_mut(case);
        let unheard = root.all.tally.notified == 0;
        if unheard {
            let heard = grave || self.notices.admits(time, gap_s, NOTICE_BURST);
            return if heard { Fate::Notified } else { Fate::Suppressed(Reason::Limit) };
        }
        if level > root.all.level {
            return Fate::Notified;
        }
        if !news && !exemplar {
            return Fate::Suppressed(Reason::Duplicate);
        }
        match grave || root.merged.admits(time, gap_s, CASE_BURST) {
            true => Fate::Merged,
            false => Fate::Suppressed(Reason::Storm),
        }
    }

    /// Makes sure that an alert finds room: an eighth of the cases, the longest quiet, is evicted where
    /// there is none. Only then, so that the cost is shared by many alerts.
    fn make_room(&mut self) {
        if !self.forest.is_full() && self.links.len() + MOST_KEYS_OF_ALERT <= MAX_LINKS {
            return;
        }
        self.links.sweep(&self.forest);
        // Each round closes at least one case, and no case has no links: it ends.
        while self.forest.is_full() || self.links.len() > MAX_LINKS / 8 * 7 {
            let (cases, alerts) = self.forest.evict();
            self.counts.evicted += cases;
            self.counts.evicted_alerts += alerts;
            self.links.sweep(&self.forest);
            if cases == 0 {
                break;
            }
        }
    }
}
