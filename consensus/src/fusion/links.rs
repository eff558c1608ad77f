//! What is remembered of entities, indicators and episodes: in which open case each was seen, and when.
//!
//! A case that is over leaves its links behind; they mean nothing any more (a [`NodeRef`] never means
//! another case) and are swept out when they have become many.

use std::collections::HashMap;
use std::sync::Arc;

use super::case::Sort;
use super::forest::{Forest, NodeRef};
use super::{Alert, MAX_INDICATORS, MAX_TEXT_BYTES, MOST_KEYS_OF_ALERT};

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
pub(super) enum Known {
    /// Never seen, or only in cases that are over.
    No,
    /// Seen in this open case, but longer ago than the gap.
    Stale(NodeRef),
    /// Seen in this case within the gap.
    Fresh(NodeRef),
}

/// What is known of an alert's parts: host, address, account, indicators; and of its episode.
pub(super) struct Seen {
    known: [Known; MOST_KEYS_OF_ALERT],
    count: usize,
    episode: Known,
    /// How many alerts the episode has, this one counted.
    pub(super) alerts: u64,
}

/// All that is remembered.
#[derive(Debug, Default)]
pub(super) struct Links {
    hosts: HashMap<Arc<str>, Host>,
    /// Addresses, accounts, indicators.
    entities: [HashMap<Arc<str>, Link>; 3],
    /// How many entries the maps have, episodes included.
    links: usize,
    /// How many of them there were after the last sweep.
    swept: usize,
}

impl Seen {
    /// What is known of the parts that the alert has, the host's first.
    pub(super) fn parts(&self) -> &[Known] {
        &self.known[..self.count]
    }

    /// Whether the alert is the first of an episode.
    pub(super) fn begins_episode(&self) -> bool {
        self.episode.fresh().is_none()
    }

    /// How many keys the case would list in addition.
    pub(super) fn unknown_in(&self, case: NodeRef, forest: &Forest) -> u32 {
        let known = self.parts().iter().chain(std::iter::once(&self.episode));
        let unknown = |known: &&Known| known.fresh().is_none() && !known.is_listed_in(case, forest);
        known.filter(unknown).count() as u32
    }
}

impl Links {
    /// What is known of the alert's parts; those that are fresh are seen once more.
    pub(super) fn look_up(
        &mut self,
        keys: &Keys<'_>,
        time: i64,
        gap_s: i64,
        forest: &Forest,
    ) -> Seen {
        let (known, count) = ([Known::No; MOST_KEYS_OF_ALERT], keys.parts);
        let mut seen = Seen { known, count, episode: Known::No, alerts: 1 };
        if let Some(host) = self.hosts.get_mut(keys.host) {
            seen.known[0] = host.link.meet(forest, time, gap_s);
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
                seen.known[part] = link.meet(forest, time, gap_s);
            }
        }
        seen
    }

    /// Remembers what was not known, or not lately, as this case's; whether it lists anything more.
    pub(super) fn bind(
        &mut self,
        keys: &Keys<'_>,
        seen: &Seen,
        case: NodeRef,
        time: i64,
        forest: &mut Forest,
    ) -> bool {
        let link = Link { case, last: time };
        let mut news = false;
        let parts = seen.known[1..].iter().zip(keys.others());
        for (known, (sort, text)) in parts.filter(|(known, _)| known.fresh().is_none()) {
            let listed = known.is_listed_in(case, forest);
            news |= !listed;
            self.remember(sort, text, link, (!listed).then_some(&mut *forest));
        }
        let host = seen.known[0];
        if host.fresh().is_none() {
            let listed = host.is_listed_in(case, forest);
            news |= !listed;
            self.remember_host(keys.host, link, (!listed).then_some(&mut *forest));
        }
        if seen.begins_episode() {
            let listed = seen.episode.is_listed_in(case, forest);
            self.remember_episode(keys, link, (!listed).then_some(&mut *forest));
        }
        news
    }

    /// Everything about the alert becomes this new case's.
    pub(super) fn move_all(
        &mut self,
        keys: &Keys<'_>,
        case: NodeRef,
        time: i64,
        forest: &mut Forest,
    ) {
        let link = Link { case, last: time };
        for (sort, text) in keys.others() {
            self.remember(sort, text, link, Some(forest));
        }
        self.remember_host(keys.host, link, Some(forest));
        self.remember_episode(keys, link, Some(forest));
    }

    /// `list`: where the case lists it, unless it does already.
    fn remember(&mut self, sort: Sort, text: &str, link: Link, list: Option<&mut Forest>) {
        let text: Arc<str> = text.into();
        match self.entities[map_of(sort)].insert(Arc::clone(&text), link) {
            // The same text twice in one alert: it is listed once.
            Some(before) if before.case == link.case => return,
            Some(_) => {}
            None => self.links += 1,
        }
        if let Some(forest) = list {
            forest.list(link.case, sort, text);
        }
    }

    fn remember_host(&mut self, host: &str, link: Link, list: Option<&mut Forest>) {
        match self.hosts.get_mut(host) {
            Some(known) => known.link = link,
            None => {
                self.links += 1;
                self.hosts.insert(host.into(), Host { link, episodes: HashMap::new() });
            }
        }
        if let Some(forest) = list {
            forest.list(link.case, Sort::Host, host.into());
        }
    }

    fn remember_episode(&mut self, keys: &Keys<'_>, link: Link, list: Option<&mut Forest>) {
        let Some(host) = self.hosts.get_mut(keys.host) else { return };
        let name: Arc<str> = keys.name.into();
        let before = host.episodes.insert(Arc::clone(&name), Episode { link, alerts: 1 });
        self.links += usize::from(before.is_none());
        if let Some(forest) = list {
            forest.list(link.case, Sort::Name, name);
        }
    }

    /// How many links there are.
    pub(super) fn len(&self) -> usize {
        self.links
    }

    /// Sweeps where that may free more than half of what there is.
    pub(super) fn sweep_if_grown(&mut self, forest: &Forest) {
        if self.links > 1024 + 2 * self.swept {
            self.sweep(forest);
        }
    }

    /// Forgets what belongs to cases that are over.
    pub(super) fn sweep(&mut self, forest: &Forest) {
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
    /// Whether it was seen in this case, but longer ago than the gap.
    fn is_listed_in(self, case: NodeRef, forest: &Forest) -> bool {
        matches!(self, Self::Stale(other) if forest.same(case, other))
    }

    pub(super) fn fresh(self) -> Option<NodeRef> {
        match self {
            Self::Fresh(case) => Some(case),
            Self::No | Self::Stale(_) => None,
        }
    }
}

/// The parts of an alert that are looked at, each cut to [`MAX_TEXT_BYTES`].
pub(super) struct Keys<'a> {
    host: &'a str,
    name: &'a str,
    alert: Alert<'a>,
    /// How many there are without the name.
    parts: usize,
}

impl<'a> Keys<'a> {
    pub(super) fn of(alert: &Alert<'a>) -> Self {
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
