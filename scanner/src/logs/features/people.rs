//! Who did what, from lines that name an address or an account: success after refusals, many accounts
//! of one address and many addresses of one account, and events that come like clockwork.
//!
//! Fed in the order of lines. Bounded: when a table is full, what has been quiet for an hour makes
//! room; what then finds none is counted.

use std::collections::BTreeMap;
use std::net::IpAddr;

use consensus::patterns::{Event, Patterns};

use super::sketch::Distinct;
use crate::logs::templates::Outcome;
use crate::logs::templates::known::Seen;
use crate::logs::templates::tokens::hash;

/// Most pairs of address and account, most addresses and most accounts that are followed at a time.
pub const FOLLOWED_MAX: usize = 10_000;
/// Most subjects whose rhythm is followed, and most times of each.
pub const RHYTHMS_MAX: usize = 4_000;
/// Most times kept of one subject.
pub const TIMES_MAX: usize = 64;
/// Refusals before a success that make it worth telling.
pub const REFUSALS_MIN: u64 = 5;
/// Seconds within which they must lie.
pub const TOGETHER_SECONDS: i64 = 3600;
/// Accounts refused to one address, and addresses let into one account, that are many.
pub const FAN_MIN: u64 = 10;
/// Fewest events that have a rhythm.
const RHYTHM_EVENTS: usize = 12;
/// The shortest pause of a rhythm: faster is any program's pace.
const RHYTHM_LEAST_MS: f64 = 30_000.0;
/// Standard deviation of the pauses over their mean, at most.
const RHYTHM_VARIATION: f64 = 0.05;
/// Tries that a full table refuses before it is cleared again.
const REFUSED_BEFORE_CLEARING: u64 = 1_000;

/// One line's deed, with its program and what kind of message it is.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// Program.
    pub program: &'a str,
    /// A hash of the masked message.
    pub shape: u64,
    /// Address.
    pub ip: Option<IpAddr>,
    /// Account.
    pub user: Option<&'a str>,
    /// How it ended.
    pub outcome: Outcome,
    /// Where and when.
    pub seen: Seen,
    /// Which log the source is a part of. The same event often stands in several (a file and the
    /// journal): of each subject only the log that named it first is followed.
    pub log: u32,
}

/// Refusals and what came after them.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    log: u32,
    refused: u64,
    since: i64,
    last: i64,
    /// Refusals before the success, its line, and when the refusals began.
    pub entered: Option<(u64, Seen, i64)>,
}

/// Different ones of somebody, from when to when.
#[derive(Clone, Debug)]
pub struct Fan {
    log: u32,
    /// The others.
    pub distinct: Distinct,
    /// Lines.
    pub count: u64,
    /// The first line.
    pub first: Seen,
    /// The last line.
    pub last: Seen,
}

/// Times of one kind of message of one address.
#[derive(Clone, Debug)]
pub struct Rhythm {
    log: u32,
    times: Vec<i64>,
    /// Lines.
    pub count: u64,
    /// The first line.
    pub first: Seen,
    /// The last line.
    pub last: Seen,
}

/// A table that makes room for itself.
#[derive(Clone, Debug)]
pub struct Table<K, V> {
    /// What is followed.
    pub entries: BTreeMap<K, V>,
    most: usize,
    refused: u64,
    /// Tries that found no room.
    pub evicted: u64,
}

/// A program and an address.
pub type Peer = (Box<str>, IpAddr);
/// A program, an address if there is one, and an account.
pub type Attempt = (Box<str>, Option<IpAddr>, Box<str>);

/// All that is followed.
#[derive(Clone, Debug)]
pub struct People {
    /// By program, address and account.
    pub tried: Table<Attempt, Tried>,
    /// Accounts that were refused to an address.
    pub accounts: Table<Peer, Fan>,
    /// Addresses that were let into an account.
    pub addresses: Table<(Box<str>, Box<str>), Fan>,
    /// By program, address and kind of message.
    pub rhythms: Table<(Box<str>, IpAddr, u64), Rhythm>,
}

impl Default for People {
    fn default() -> Self {
        Self {
            tried: Table::of(FOLLOWED_MAX),
            accounts: Table::of(FOLLOWED_MAX),
            addresses: Table::of(FOLLOWED_MAX),
            rhythms: Table::of(RHYTHMS_MAX),
        }
    }
}

impl<K: Ord, V> Table<K, V> {
    fn of(most: usize) -> Self {
        Self { entries: BTreeMap::new(), most, refused: 0, evicted: 0 }
    }

    /// The entry of a key, made when there is room or `is_quiet` ones can be dropped.
    fn entry(
        &mut self,
        key: K,
        new: impl FnOnce() -> V,
        is_quiet: impl Fn(&V) -> bool,
    ) -> Option<&mut V> {
        if self.entries.len() >= self.most && !self.entries.contains_key(&key) {
            if self.refused.is_multiple_of(REFUSED_BEFORE_CLEARING) {
                self.entries.retain(|_, value| !is_quiet(value));
            }
            if self.entries.len() >= self.most {
                self.refused += 1;
                self.evicted += 1;
                return None;
            }
            self.refused = 0;
        }
        Some(self.entries.entry(key).or_insert_with(new))
    }
}

impl People {
    /// Takes the next line's deed.
    pub fn take(&mut self, act: &Act<'_>) {
        let Some(at) = act.seen.at else { return };
        if let Some(ip) = act.ip {
            self.beat(act, ip, at);
        }
        let Some(user) = act.user else { return };
        if act.outcome == Outcome::Open {
            return;
        }
        self.try_one(act, user, at);
        let quiet = |fan: &Fan| {
            fan.distinct.count() < FAN_MIN
                && fan.last.at.is_none_or(|last| last < at - TOGETHER_SECONDS)
        };
        let new = || Fan {
            log: act.log,
            distinct: Distinct::default(),
            count: 0,
            first: act.seen,
            last: act.seen,
        };
        let (fan, hashed) = match (act.outcome, act.ip) {
            (Outcome::Failure, Some(ip)) => {
                (self.accounts.entry((act.program.into(), ip), new, quiet), hash(user.as_bytes()))
            }
            (Outcome::Success, Some(ip)) => {
                let key = (act.program.into(), user.into());
                (self.addresses.entry(key, new, quiet), hash(ip.to_string().as_bytes()))
            }
            _ => return,
        };
        if let Some(fan) = fan.filter(|fan| fan.log == act.log) {
            fan.distinct.add(hashed);
            fan.count += 1;
            fan.last = act.seen;
        }
    }

    fn try_one(&mut self, act: &Act<'_>, user: &str, at: i64) {
        let quiet = |tried: &Tried| tried.entered.is_none() && tried.last < at - TOGETHER_SECONDS;
        let key = (act.program.into(), act.ip, user.into());
        // A success of somebody who was never refused is nothing to follow.
        if act.outcome == Outcome::Success && !self.tried.entries.contains_key(&key) {
            return;
        }
        let new = || Tried { log: act.log, ..Tried::default() };
        let Some(tried) = self.tried.entry(key, new, quiet) else { return };
        if tried.log != act.log {
            return;
        }
        if tried.refused > 0 && at - tried.last > TOGETHER_SECONDS {
            tried.refused = 0;
        }
        match act.outcome {
            Outcome::Failure => {
                if tried.refused == 0 {
                    tried.since = at;
                }
                tried.refused += 1;
                tried.last = at;
            }
            _ => {
                let more = tried.entered.is_none_or(|(refused, ..)| tried.refused > refused);
                if tried.refused >= REFUSALS_MIN && more {
                    tried.entered = Some((tried.refused, act.seen, tried.since));
                }
                tried.refused = 0;
            }
        }
    }

    fn beat(&mut self, act: &Act<'_>, ip: IpAddr, at: i64) {
        let quiet = |rhythm: &Rhythm| {
            rhythm.times.len() < RHYTHM_EVENTS
                && rhythm.last.at.is_none_or(|last| last < at - TOGETHER_SECONDS)
        };
        let new = || Rhythm {
            log: act.log,
            times: Vec::new(),
            count: 0,
            first: act.seen,
            last: act.seen,
        };
        let rhythm = self.rhythms.entry((act.program.into(), ip, act.shape), new, quiet);
        if let Some(rhythm) = rhythm.filter(|rhythm| rhythm.log == act.log) {
            rhythm.count += 1;
            rhythm.last = act.seen;
            if rhythm.times.len() < TIMES_MAX {
                rhythm.times.push(at);
            }
        }
    }

    /// Lines that found no room.
    pub fn evicted(&self) -> u64 {
        self.tried.evicted + self.accounts.evicted + self.addresses.evicted + self.rhythms.evicted
    }
}

impl Rhythm {
    /// The pause in seconds, where its events come like clockwork.
    pub fn pause(&self) -> Option<u64> {
        if self.times.len() < RHYTHM_EVENTS {
            return None;
        }
        let event = |at: &i64| Event { at: at.saturating_mul(1_000), name: "" };
        let events: Vec<Event<'_>> = self.times.iter().map(event).collect();
        let pauses = Patterns::of(&events).ok()?.pauses?;
        let clockwork = pauses.mean_ms >= RHYTHM_LEAST_MS && pauses.variation <= RHYTHM_VARIATION;
        clockwork.then(|| (pauses.mean_ms / 1_000.0).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act<'a>(ip: u32, user: &'a str, outcome: Outcome, at: i64) -> Act<'a> {
        let ip = Some(std::net::Ipv4Addr::from(ip).into());
        let seen = Seen { at: Some(at), ..Seen::default() };
        Act { program: "dovecot", shape: 7, ip, user: Some(user), outcome, seen, log: 0 }
    }

    #[test]
    fn a_success_after_refusals_is_kept_with_their_number() {
        let mut people = People::default();
        for at in 0..4 {
            people.take(&act(1, "eve", Outcome::Failure, at));
        }
        people.take(&act(1, "eve", Outcome::Success, 10));
        let entered = |people: &People| {
            people
                .tried
                .entries
                .values()
                .find_map(|tried| tried.entered)
                .map(|(refused, ..)| refused)
        };
        assert_eq!(entered(&people), None, "four are a forgetful user");
        for at in 20..25 {
            people.take(&act(1, "eve", Outcome::Failure, at));
        }
        people.take(&act(1, "eve", Outcome::Success, 24 + TOGETHER_SECONDS + 1));
        assert_eq!(entered(&people), None, "too long ago");
        for at in 9_000..9_005 {
            people.take(&act(1, "eve", Outcome::Failure, at));
        }
        people.take(&act(2, "eve", Outcome::Success, 9_010));
        assert_eq!(entered(&people), None, "somebody else");
        people.take(&act(1, "eve", Outcome::Success, 9_010));
        assert_eq!(entered(&people), Some(5));
    }

    #[test]
    fn fans_and_rhythms_are_seen_and_tables_stay_bounded() {
        let mut people = People::default();
        for user in 0..FAN_MIN {
            people.take(&act(9, &format!("u{user}"), Outcome::Failure, user as i64 * 60));
        }
        let fan = people.accounts.entries.values().next().unwrap();
        assert_eq!((fan.distinct.count(), fan.count), (FAN_MIN, FAN_MIN));
        let rhythm = people.rhythms.entries.values().next().unwrap();
        assert_eq!(rhythm.pause(), None, "ten times are too few");
        for at in FAN_MIN..FAN_MIN + 2 {
            people.take(&act(9, "x", Outcome::Open, at as i64 * 60));
        }
        assert_eq!(people.rhythms.entries.values().next().unwrap().pause(), Some(60));
        for ip in 0..FOLLOWED_MAX as u32 + 10 {
            people.take(&act(1 << 16 | ip, "x", Outcome::Failure, 700));
        }
        assert_eq!(people.tried.entries.len(), FOLLOWED_MAX);
        assert_eq!(people.rhythms.entries.len(), RHYTHMS_MAX);
        assert!(people.tried.evicted > 0 && people.evicted() > people.tried.evicted);
        // an hour later the quiet ones make room
        let refused = people.tried.evicted;
        for ip in 0..2 * REFUSED_BEFORE_CLEARING as u32 {
            people.take(&act(1 << 20 | ip, "x", Outcome::Failure, 700 + TOGETHER_SECONDS + 1));
        }
        assert!(people.tried.evicted < refused + REFUSED_BEFORE_CLEARING);
        assert!(people.tried.entries.len() <= FOLLOWED_MAX);
    }
}
