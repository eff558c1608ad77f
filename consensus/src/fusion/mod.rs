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

use std::collections::HashMap;
use std::sync::Arc;

use crate::Severity;
pub use case::{Case, CaseId, Counts, Fate, Joining, JoiningId, Outcome, Reason, Sort, Tally};
use forest::{Forest, NodeRef};

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
#[derive(Debug)]
pub struct Fusion {
    gap_s: i64,
    forest: Forest,
    hosts: HashMap<Arc<str>, Host>,
    /// Addresses, accounts, indicators.
    entities: [HashMap<Arc<str>, Link>; 3],
    /// How many entries the maps have, episodes included.
    links: usize,
    /// How many of them there were after the last sweep.
    swept: usize,
    newest: i64,
    now: Option<i64>,
    notices: Limiter,
    counts: Counts,
}

/// Where something was last seen.
#[derive(Clone, Copy, Debug)]
struct Link {
    case: NodeRef,
    last: i64,
}

#[derive(Debug)]
struct Host {
    link: Link,
    episodes: HashMap<Arc<str>, Episode>,
}

#[derive(Clone, Copy, Debug)]
struct Episode {
    link: Link,
    alerts: u64,
}

/// What is known of one part of an alert.
#[derive(Clone, Copy, Debug)]
enum Known {
    /// Never seen, or only in cases that are over.
    No,
    /// Seen in this open case, but longer ago than the gap.
    Stale(NodeRef),
    /// Seen in this case within the gap.
    Fresh(NodeRef),
}

/// What is known of an alert's parts: host, address, account, indicators; and of its episode.
struct Seen {
    parts: [Known; MOST_KEYS_OF_ALERT],
    episode: Known,
    /// How many alerts the episode has, this one counted.
    alerts: u64,
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
            hosts: HashMap::new(),
            entities: Default::default(),
            links: 0,
            swept: 0,
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
        if self.links > 1024 + 2 * self.swept {
            self.sweep();
        }
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
        let seen = self.look_up(&keys, time);
        let met = seen.parts[..keys.parts].iter().find_map(|known| known.fresh());
        let opened = met.is_none();
        let mut case = met.unwrap_or_else(|| self.open(time));
        let mut news = opened;
        for known in &seen.parts[..keys.parts] {
            news |= known.fresh().is_some_and(|other| self.join_by_alert(case, other));
        }
        if self.forest.is_full_for(case, || self.unknown_in(case, &seen, keys.parts)) {
            case = self.open(time);
            news = true;
            self.move_all(&keys, case, time);
        } else {
            news |= self.bind(&keys, &seen, case, time);
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

    /// What is known of the alert's parts; those that are fresh are seen once more.
    fn look_up(&mut self, keys: &Keys<'_>, time: i64) -> Seen {
        let (forest, gap_s) = (&self.forest, self.gap_s);
        let mut seen =
            Seen { parts: [Known::No; MOST_KEYS_OF_ALERT], episode: Known::No, alerts: 1 };
        if let Some(host) = self.hosts.get_mut(keys.host) {
            seen.parts[0] = host.link.meet(forest, time, gap_s);
            if let Some(episode) = host.episodes.get_mut(keys.name) {
                seen.episode = episode.link.meet(forest, time, gap_s);
                if let Known::Fresh(_) = seen.episode {
                    episode.alerts += 1;
                    seen.alerts = episode.alerts;
                }
            }
        }
        for (part, (sort, text)) in (1..).zip(keys.others()) {
            if let Some(link) = self.entities[map_of(sort)].get_mut(text) {
                seen.parts[part] = link.meet(forest, time, gap_s);
            }
        }
        seen
    }

    /// How many keys the case would list in addition.
    fn unknown_in(&self, case: NodeRef, seen: &Seen, parts: usize) -> u32 {
        let unknown = |known: &&Known| match known {
            Known::No => true,
            Known::Stale(other) => !self.forest.same(case, *other),
            Known::Fresh(_) => false,
        };
        let episode = std::iter::once(&seen.episode);
        seen.parts[..parts].iter().chain(episode).filter(unknown).count() as u32
    }

    /// Remembers what was not known, or not lately, as this case's; whether there was anything.
    fn bind(&mut self, keys: &Keys<'_>, seen: &Seen, case: NodeRef, time: i64) -> bool {
        let mut news = false;
        let link = Link { case, last: time };
        let listed = |forest: &Forest, known: Known| matches!(known, Known::Stale(other) if forest.same(case, other));
        for (part, (sort, text)) in (1..).zip(keys.others()) {
            let known = seen.parts[part];
            if known.fresh().is_none() {
                let listed = listed(&self.forest, known);
                news |= !listed;
                self.remember(sort, text, link, listed);
            }
        }
        let host = seen.parts[0];
        if host.fresh().is_none() {
            let listed = listed(&self.forest, host);
            news |= !listed;
            self.remember_host(keys.host, link, listed);
        }
        if seen.episode.fresh().is_none() {
            // A name that comes back after a pause is an episode of its own, and news.
            news = true;
            let listed = listed(&self.forest, seen.episode);
            self.remember_episode(keys, link, listed);
        }
        news
    }

    /// Everything about the alert becomes this new case's.
    fn move_all(&mut self, keys: &Keys<'_>, case: NodeRef, time: i64) {
        let link = Link { case, last: time };
        for (sort, text) in keys.others() {
            self.remember(sort, text, link, false);
        }
        self.remember_host(keys.host, link, false);
        self.remember_episode(keys, link, false);
    }

    fn remember(&mut self, sort: Sort, text: &str, link: Link, listed: bool) {
        let map = &mut self.entities[map_of(sort)];
        let key = match map.get_mut(text) {
            // The same text twice in one alert: the second is not news.
            Some(known) if known.case == link.case => return known.last = link.last,
            Some(known) => {
                *known = link;
                (!listed).then(|| Arc::from(text))
            }
            None => {
                self.links += 1;
                let key: Arc<str> = text.into();
                map.insert(Arc::clone(&key), link);
                Some(key)
            }
        };
        if let Some(key) = key {
            self.forest.list(link.case, sort, key);
        }
    }

    fn remember_host(&mut self, host: &str, link: Link, listed: bool) {
        match self.hosts.get_mut(host) {
            Some(known) => known.link = link,
            None => {
                self.links += 1;
                self.hosts.insert(host.into(), Host { link, episodes: HashMap::new() });
            }
        }
        if !listed {
            self.forest.list(link.case, Sort::Host, host.into());
        }
    }

    fn remember_episode(&mut self, keys: &Keys<'_>, link: Link, listed: bool) {
        self.counts.episodes += 1;
        let Some(host) = self.hosts.get_mut(keys.host) else { return };
        let name: Arc<str> = keys.name.into();
        let before = host.episodes.insert(Arc::clone(&name), Episode { link, alerts: 1 });
        self.links += usize::from(before.is_none());
        if !listed {
            self.forest.list(link.case, Sort::Name, name);
        }
    }

    /// Makes sure that an alert finds room: an eighth of the cases, the longest quiet, is evicted where
    /// there is none. Only then, so that the cost is shared by many alerts.
    fn make_room(&mut self) {
        if !self.forest.is_full() && self.links + MOST_KEYS_OF_ALERT <= MAX_LINKS {
            return;
        }
        self.sweep();
        // Each round closes at least one case, and no case has no links: it ends.
        while self.forest.is_full() || self.links > MAX_LINKS / 8 * 7 {
            let (cases, alerts) = self.forest.evict(MAX_CASES / 8);
            self.counts.evicted += cases;
            self.counts.evicted_alerts += alerts;
            self.sweep();
            if cases == 0 {
                break;
            }
        }
    }

    /// Forgets what belongs to cases that are over.
    fn sweep(&mut self) {
        let forest = &self.forest;
        for map in &mut self.entities {
            map.retain(|_, link| forest.is_open(link.case));
        }
        self.hosts.retain(|_, host| {
            host.episodes.retain(|_, episode| forest.is_open(episode.link.case));
            forest.is_open(host.link.case) || !host.episodes.is_empty()
        });
        let episodes: usize = self.hosts.values().map(|host| host.episodes.len()).sum();
        let entities: usize = self.entities.iter().map(HashMap::len).sum();
        self.links = self.hosts.len() + episodes + entities;
        self.swept = self.links;
    }
}

impl Link {
    /// What it tells at this time; a fresh one is seen once more.
    fn meet(&mut self, forest: &Forest, time: i64, gap_s: i64) -> Known {
        if !forest.is_open(self.case) {
            return Known::No;
        }
        if time - self.last > gap_s {
            return Known::Stale(self.case);
        }
        self.last = self.last.max(time);
        Known::Fresh(self.case)
    }
}

impl Known {
    fn fresh(self) -> Option<NodeRef> {
        match self {
            Self::Fresh(case) => Some(case),
            Self::No | Self::Stale(_) => None,
        }
    }
}

/// The parts of an alert that are looked at, each cut to [`MAX_TEXT_BYTES`].
struct Keys<'a> {
    host: &'a str,
    name: &'a str,
    alert: Alert<'a>,
    /// How many there are without the name.
    parts: usize,
}

impl<'a> Keys<'a> {
    fn of(alert: &Alert<'a>) -> Self {
        let indicators = &alert.indicators[..alert.indicators.len().min(MAX_INDICATORS)];
        let alert = Alert { indicators, ..*alert };
        let parts = 1
            + usize::from(alert.ip.is_some())
            + usize::from(alert.user.is_some())
            + indicators.len();
        Self { host: head(alert.host), name: head(alert.name), alert, parts }
    }

    /// Everything but host and name.
    fn others(&self) -> impl Iterator<Item = (Sort, &'a str)> + use<'a> {
        let ip = self.alert.ip.map(|ip| (Sort::Ip, head(ip)));
        let user = self.alert.user.map(|user| (Sort::User, head(user)));
        let indicators = self.alert.indicators.iter();
        let indicators = indicators.map(|indicator| (Sort::Indicator, head(indicator)));
        ip.into_iter().chain(user).chain(indicators)
    }
}

/// The place of a sort of entity in [`Fusion::entities`].
fn map_of(sort: Sort) -> usize {
    match sort {
        Sort::Ip => 0,
        Sort::User => 1,
        Sort::Indicator | Sort::Host | Sort::Name => 2,
    }
}

/// The beginning of a text, at most [`MAX_TEXT_BYTES`].
fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}
