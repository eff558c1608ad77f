//! What the host's packet filter lets in, decided by reading its rules.
//!
//! [`nft`] and [`iptables`] turn what those programs print into one [`Ruleset`]; [`Ruleset::admits`]
//! follows a [`Probe`] (a new connection from the internet, or from a private network, to one port)
//! through every base chain on its way in. Conditions hold for all, most, many, few or none of such
//! packets; a condition that is not understood and that could change the answer makes the answer
//! [`Outcome::Unknown`] with the rule named. Nothing is guessed in the host's favour.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::addresses::Reach;
use super::inventory::Transport;

pub mod iptables;
pub mod nft;
pub mod span;

pub use span::Span;

/// Most bytes of a ruleset that are read.
pub const RULESET_BYTES_MAX: usize = 32 << 20;
/// Most rules that are kept.
pub const RULES_MAX: usize = 200_000;
/// Most rules visited for one probe: jumps can visit a chain exponentially often.
const VISITS_MAX: usize = 500_000;
/// What [`Outcome::Open`] says where no chain sees a packet.
pub const NO_CHAIN: &str = "no firewall chain looks at it";
/// Jumps inside jumps, as in the kernel (NFT_JUMP_STACK_SIZE).
const DEPTH_MAX: usize = 16;

/// For how many packets of a probe a condition holds. Ordered; "and" is the least of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// None.
    None,
    /// It could not be told.
    Unknown,
    /// A few: some sources, or some moments.
    Few,
    /// A good part of the internet, but not all.
    Many,
    /// All but a few.
    Most,
    /// All.
    All,
}

impl Share {
    /// For how many the opposite holds.
    fn rest(self) -> Self {
        match self {
            Self::None => Self::All,
            Self::Unknown => Self::Unknown,
            Self::Few => Self::Most,
            Self::Many => Self::Many,
            Self::Most => Self::Few,
            Self::All => Self::None,
        }
    }
}

/// A new connection (or a first datagram) from elsewhere to this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Where it comes from: the internet or a private network.
    pub from: Reach,
    /// Where it goes to: one of the host's addresses.
    pub to: IpAddr,
    /// The interface it comes in by, where known.
    pub interface: Option<String>,
    /// Transport.
    pub transport: Transport,
    /// Destination port.
    pub port: u16,
}

/// One condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The opposite is meant.
    pub negated: bool,
    /// What is asked.
    pub test: Test,
}

/// What a condition asks of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// IPv6 (or, if `false`, IPv4).
    Six(bool),
    /// IP protocol numbers.
    Protocols(Vec<u8>),
    /// Destination ports, inclusive ranges.
    Ports(Vec<(u16, u16)>),
    /// Source addresses.
    Sources(Vec<Span>),
    /// Destination addresses.
    Destinations(Vec<Span>),
    /// Interface it came in by; a trailing `*` matches any rest.
    Interfaces(Vec<String>),
    /// A fact about every new connection that either holds or not.
    Always(bool),
    /// Holds for packets that a redirection has changed: none that comes to this host's own port.
    Redirected,
    /// Holds at times: rate limits.
    AtTimes,
    /// Holds for sources on a list that could not be read: few of them for a rule that drops.
    Listed(String),
    /// Not understood; what it says.
    Other(String),
}

impl Condition {
    /// A plain condition.
    pub fn is(test: Test) -> Self {
        Self { negated: false, test }
    }

    fn share(&self, probe: &Probe) -> Share {
        let share = self.test.share(probe);
        if self.negated { share.rest() } else { share }
    }
}

impl Test {
    fn share(&self, probe: &Probe) -> Share {
        let all = |holds: bool| if holds { Share::All } else { Share::None };
        match self {
            Self::Six(six) => all(probe.to.is_ipv6() == *six),
            Self::Protocols(numbers) => all(numbers.contains(&match probe.transport {
                Transport::Tcp => 6,
                Transport::Udp => 17,
            })),
            Self::Ports(ranges) => {
                all(ranges.iter().any(|(low, high)| (*low..=*high).contains(&probe.port)))
            }
            Self::Sources(spans) => span::share(spans, probe.from, probe.to.is_ipv6()),
            Self::Destinations(spans) => all(spans.iter().any(|span| span.contains(probe.to))),
            Self::Interfaces(patterns) => interfaces(patterns, probe.interface.as_deref()),
            Self::Always(holds) => all(*holds),
            Self::Redirected => Share::None,
            Self::AtTimes => Share::Many,
            Self::Listed(_) => Share::Few,
            Self::Other(_) => Share::Unknown,
        }
    }
}

fn interfaces(patterns: &[String], interface: Option<&str>) -> Share {
    let Some(name) = interface else {
        // A packet from elsewhere never comes in by the loopback interface.
        let only_loopback = patterns.iter().all(|pattern| pattern == "lo");
        return if only_loopback { Share::None } else { Share::Unknown };
    };
    let holds = patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    });
    if holds { Share::All } else { Share::None }
}

/// What a rule does with a packet that meets its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Lets it in, as far as this base chain goes.
    Accept,
    /// Drops or rejects it.
    Drop,
    /// Leaves the chain.
    Return,
    /// Looks in another chain, then goes on.
    Jump(String),
    /// Looks in another chain and does not come back.
    Goto(String),
    /// Hands it to a program that decides.
    Queue,
    /// Counts, logs, marks: goes on.
    Next,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How the operator finds it: table, chain and text or handle.
    pub label: String,
    /// All of them must hold.
    pub conditions: Vec<Condition>,
    /// What then.
    pub action: Action,
}

/// A chain that the kernel calls for incoming packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Its key in [`Ruleset::chains`].
    pub chain: String,
    /// Whether it sees IPv4 and IPv6.
    pub sees: (bool, bool),
    /// Whether a packet that no rule decides is let in.
    pub accepts: bool,
}

/// A port that is handed to another address or port before the filter sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The rule.
    pub label: String,
    /// Its conditions.
    pub conditions: Vec<Condition>,
    /// To which address; `None` is this host itself.
    pub address: Option<IpAddr>,
    /// To which port; `None` keeps it.
    pub port: Option<u16>,
}

/// What could be read of the packet filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Every chain's rules, by a key that is unique over families and tables.
    pub chains: BTreeMap<String, Vec<Rule>>,
    /// Where the kernel enters.
    pub bases: Vec<Base>,
    /// Redirections before the filter.
    pub redirects: Vec<Redirect>,
    /// Where the kernel enters with what is handed on to others.
    pub forwarding: Vec<Base>,
    /// Where the kernel enters with what this host itself sends.
    pub sending: Vec<Base>,
    /// Redirections of what this host itself sends.
    pub sent: Vec<Redirect>,
}

/// What becomes of a probe, with what decided it. Ordered: a packet must pass every base chain, so the
/// least of their outcomes holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It does not come in.
    Blocked(String),
    /// It comes in from a few sources only.
    Limited(String),
    /// It could not be told.
    Unknown(String),
    /// It comes in.
    Open(String),
}

impl Ruleset {
    /// What becomes of a probe.
    pub fn admits(&self, probe: &Probe) -> Outcome {
        self.through(&self.bases, probe)
    }

    /// What becomes of a probe that is handed on to another address. Interfaces that it leaves by are not
    /// followed: rules that ask for them are not understood. Where rules ask whether a packet has been
    /// redirected, as firewalld's do, it is taken as let in.
    pub fn forwards(&self, probe: &Probe) -> Outcome {
        let asks = |rule: &Rule| rule.conditions.iter().any(|one| one.test == Test::Redirected);
        if self.chains.values().flatten().any(asks) {
            return Outcome::Open(NO_CHAIN.to_string());
        }
        self.through(&self.forwarding, probe)
    }

    /// What becomes of a probe of this host's own on its way out.
    pub fn sends(&self, probe: &Probe) -> Outcome {
        self.through(&self.sending, probe)
    }

    fn through(&self, bases: &[Base], probe: &Probe) -> Outcome {
        let six = probe.to.is_ipv6();
        bases
            .iter()
            .filter(|base| if six { base.sees.1 } else { base.sees.0 })
            .map(|base| self.enter(base, probe))
            .reduce(stricter)
            .unwrap_or_else(|| Outcome::Open(NO_CHAIN.to_string()))
    }

    /// The redirection that such a packet meets, if one surely or perhaps does.
    pub fn redirects(&self, probe: &Probe) -> Option<&Redirect> {
        self.redirects.iter().find(|redirect| redirect.meets(probe))
    }

    /// The same for a packet of this host's own. Chains that several hooks jump to count as incoming.
    pub fn redirects_from_here(&self, probe: &Probe) -> Option<&Redirect> {
        self.sent.iter().find(|redirect| redirect.meets(probe)).or_else(|| self.redirects(probe))
    }

    /// Adds what another program said.
    pub fn merge(&mut self, other: Self) {
        for (name, rules) in other.chains {
            self.chains.entry(name).or_default().extend(rules);
        }
        self.bases.extend(other.bases);
        self.redirects.extend(other.redirects);
        self.forwarding.extend(other.forwarding);
        self.sending.extend(other.sending);
        self.sent.extend(other.sent);
    }

    fn enter(&self, base: &Base, probe: &Probe) -> Outcome {
        let mut walk = Walk { ruleset: self, probe, visits: 0, seen: Seen::default() };
        let left = walk.chain(&base.chain, Share::All, 0);
        let policy = if base.accepts { "policy accept" } else { "policy drop" };
        let label = format!("{} {policy}", base.chain);
        walk.seen.note(if base.accepts { &Action::Accept } else { &Action::Drop }, left, &label);
        walk.seen.outcome()
    }
}

/// Of two chains that both must be passed, the one that lets less in; of equals the later, which for
/// two open chains is the one with a rule to name.
fn stricter(one: Outcome, other: Outcome) -> Outcome {
    let rank = |outcome: &Outcome| match outcome {
        Outcome::Blocked(_) => 0,
        Outcome::Limited(_) => 1,
        Outcome::Unknown(_) => 2,
        Outcome::Open(_) => 3,
    };
    if rank(&other) <= rank(&one) { other } else { one }
}

impl Redirect {
    /// Whether such a packet surely or perhaps meets it.
    fn meets(&self, probe: &Probe) -> bool {
        let share = hit(&self.conditions, probe);
        share >= Share::Few || (share == Share::Unknown && names_port(&self.conditions))
    }

    /// The ports that it takes, as (transport, first, last); empty where it takes them all.
    pub fn ports(&self) -> Vec<(Transport, u16, u16)> {
        let udp = self.conditions.iter().any(|condition| {
            matches!(&condition.test, Test::Protocols(numbers) if numbers.contains(&17))
        });
        let transport = if udp { Transport::Udp } else { Transport::Tcp };
        self.conditions
            .iter()
            .filter(|condition| !condition.negated)
            .filter_map(|condition| match &condition.test {
                Test::Ports(ranges) => Some(ranges),
                _ => None,
            })
            .flatten()
            .map(|(first, last)| (transport, *first, *last))
            .collect()
    }
}

fn hit(conditions: &[Condition], probe: &Probe) -> Share {
    conditions.iter().map(|condition| condition.share(probe)).min().unwrap_or(Share::All)
}

fn names_port(conditions: &[Condition]) -> bool {
    conditions.iter().any(|condition| matches!(condition.test, Test::Ports(_)))
}

/// What was met on the way.
#[derive(Default)]
struct Seen {
    open: Option<String>,
    limited: Option<String>,
    unknown: Option<String>,
    /// The first rule that may drop it: to be named if the rest would let it in.
    doubt: Option<String>,
    blocked: Option<String>,
}

impl Seen {
    fn note(&mut self, action: &Action, share: Share, label: &str) {
        let (place, label) = match (action, share) {
            (_, Share::None) => return,
            (Action::Queue, _) => (&mut self.unknown, label),
            (Action::Accept, Share::Unknown) => {
                (&mut self.unknown, self.doubt.as_deref().unwrap_or(label))
            }
            (Action::Accept, Share::Few) => (&mut self.limited, label),
            (Action::Accept, _) => (&mut self.open, label),
            (_, Share::Few) => return,
            (_, Share::Unknown) => (&mut self.doubt, label),
            // The last one that closed the door names it.
            _ => {
                self.blocked = Some(label.to_string());
                return;
            }
        };
        if place.is_none() {
            *place = Some(label.to_string());
        }
    }

    fn doubted(&mut self, holds: Share, label: &str) {
        if holds == Share::Unknown && self.doubt.is_none() {
            self.doubt = Some(label.to_string());
        }
    }

    fn outcome(self) -> Outcome {
        match self {
            Self { open: Some(rule), .. } => Outcome::Open(rule),
            Self { unknown: Some(rule), .. } => Outcome::Unknown(rule),
            Self { limited: Some(rule), .. } => Outcome::Limited(rule),
            Self { blocked, .. } => Outcome::Blocked(blocked.unwrap_or_default()),
        }
    }
}

struct Walk<'a> {
    ruleset: &'a Ruleset,
    probe: &'a Probe,
    visits: usize,
    seen: Seen,
}

impl Walk<'_> {
    /// Follows the packets that come into a chain (a `share` of all); the share that leaves it
    /// undecided.
    fn chain(&mut self, name: &str, mut share: Share, depth: usize) -> Share {
        let ruleset = self.ruleset;
        let Some(rules) = ruleset.chains.get(name).filter(|_| depth <= DEPTH_MAX) else {
            let label = format!("chain {name} (absent, or too many jumps)");
            self.seen.note(&Action::Queue, Share::Unknown, &label);
            return Share::Unknown;
        };
        let mut returned = Share::None;
        for rule in rules {
            self.visits += 1;
            if self.visits > VISITS_MAX {
                self.seen.note(&Action::Queue, Share::Unknown, "too many rules to follow");
                return Share::None;
            }
            let holds = hit(&rule.conditions, self.probe);
            let met = holds.min(share);
            if met == Share::None || rule.action == Action::Next {
                continue;
            }
            let mut left = holds.rest();
            match &rule.action {
                Action::Jump(target) => {
                    self.seen.doubted(holds, &rule.label);
                    let back = self.chain(target, met, depth + 1);
                    // Nothing was decided in there: as if the rule were not.
                    left = if back == met { Share::All } else { left.max(back) };
                }
                Action::Goto(target) => {
                    self.seen.doubted(holds, &rule.label);
                    returned = returned.max(self.chain(target, met, depth + 1));
                }
                Action::Return => {
                    self.seen.doubted(holds, &rule.label);
                    returned = returned.max(met);
                }
                decided => {
                    self.seen.note(decided, met, &rule.label);
                    if *decided == Action::Accept && holds == Share::Unknown {
                        left = Share::All;
                    }
                }
            }
            share = share.min(left);
            if share == Share::None {
                break;
            }
        }
        share.max(returned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(port: u16) -> Probe {
        Probe {
            from: Reach::Global,
            to: "203.0.113.5".parse().unwrap(),
            interface: Some("eth0".into()),
            transport: Transport::Tcp,
            port,
        }
    }

    fn rule(conditions: Vec<Test>, action: Action) -> Rule {
        let conditions: Vec<_> = conditions.into_iter().map(Condition::is).collect();
        Rule { label: format!("{conditions:?} {action:?}"), conditions, action }
    }

    fn ruleset(chains: Vec<(&str, Vec<Rule>)>, accepts: bool) -> Ruleset {
        Ruleset {
            chains: chains.into_iter().map(|(name, rules)| (name.to_string(), rules)).collect(),
            bases: vec![Base { chain: "input".into(), sees: (true, true), accepts }],
            ..Ruleset::default()
        }
    }

    fn kind(outcome: &Outcome) -> &'static str {
        match outcome {
            Outcome::Blocked(_) => "blocked",
            Outcome::Limited(_) => "limited",
            Outcome::Unknown(_) => "unknown",
            Outcome::Open(_) => "open",
        }
    }

    #[test]
    fn packets_are_followed_through_rules_returns_and_jumps() {
        use Action::{Accept, Drop, Goto, Jump, Queue, Return};
        let ssh = || Test::Ports(vec![(22, 22)]);
        let few = || Test::Sources(vec!["198.51.100.0/24".parse().unwrap()]);
        let not_few = || Rule {
            label: "not few".into(),
            conditions: vec![Condition { negated: true, test: few() }],
            action: Drop,
        };
        let odd = || Test::Other("odd".into());
        let jump = || Jump("sub".into());
        for (expected, input, sub) in [
            ("blocked", vec![], vec![]),
            ("open", vec![rule(vec![ssh()], Accept)], vec![]),
            ("blocked", vec![rule(vec![ssh()], Drop), rule(vec![ssh()], Accept)], vec![]),
            ("limited", vec![rule(vec![ssh(), few()], Accept)], vec![]),
            ("limited", vec![not_few(), rule(vec![], Accept)], vec![]),
            ("open", vec![rule(vec![few()], Drop), rule(vec![], Accept)], vec![]),
            ("open", vec![rule(vec![Test::AtTimes], Drop), rule(vec![], Accept)], vec![]),
            ("open", vec![rule(vec![Test::AtTimes], Accept)], vec![]),
            (
                "open",
                vec![rule(vec![Test::Listed("x".into())], Drop), rule(vec![], Accept)],
                vec![],
            ),
            ("unknown", vec![rule(vec![odd()], Accept)], vec![]),
            ("unknown", vec![rule(vec![odd()], Drop), rule(vec![], Accept)], vec![]),
            ("open", vec![rule(vec![], Accept), rule(vec![odd()], Drop)], vec![]),
            ("blocked", vec![rule(vec![odd()], Drop)], vec![]),
            ("blocked", vec![rule(vec![odd()], Action::Next)], vec![]),
            ("unknown", vec![rule(vec![], Queue)], vec![]),
            ("open", vec![rule(vec![], jump())], vec![rule(vec![ssh()], Accept)]),
            ("open", vec![rule(vec![], jump()), rule(vec![], Accept)], vec![rule(vec![], Return)]),
            ("blocked", vec![rule(vec![], jump()), rule(vec![], Accept)], vec![rule(vec![], Drop)]),
            (
                "limited",
                vec![rule(vec![], jump()), rule(vec![], Accept)],
                vec![rule(vec![few()], Return), rule(vec![], Drop)],
            ),
            (
                "open",
                vec![rule(vec![few()], jump()), rule(vec![], Accept)],
                vec![rule(vec![], Drop)],
            ),
            ("blocked", vec![rule(vec![], Goto("sub".into())), rule(vec![], Accept)], vec![]),
            ("unknown", vec![rule(vec![], Jump("none".into()))], vec![]),
            ("unknown", vec![rule(vec![], jump())], vec![rule(vec![], jump())]),
        ] {
            let shown = format!("{input:?} {sub:?}");
            let set = ruleset(vec![("input", input), ("sub", sub)], false);
            assert_eq!(kind(&set.admits(&probe(22))), expected, "{shown}");
        }
    }

    #[test]
    fn a_ruleset_that_would_be_visited_exponentially_ends_unknown() {
        let mut chains = vec![("input".to_string(), vec![])];
        for level in 0..16 {
            let target = format!("c{level}");
            let jumps: Vec<Rule> =
                (0..8).map(|_| rule(vec![], Action::Jump(target.clone()))).collect();
            chains.last_mut().unwrap().1 = jumps;
            chains.push((target, vec![]));
        }
        let set = ruleset(chains.iter().map(|(n, r)| (n.as_str(), r.clone())).collect(), false);
        assert_eq!(kind(&set.admits(&probe(22))), "unknown");
    }

    #[test]
    fn every_base_chain_must_be_passed_and_only_those_of_the_family_count() {
        let mut set = ruleset(vec![("input", vec![]), ("raw", vec![])], true);
        assert_eq!(kind(&set.admits(&probe(1))), "open");
        set.bases.push(Base { chain: "raw".into(), sees: (false, true), accepts: false });
        assert_eq!(kind(&set.admits(&probe(1))), "open");
        set.bases[1].sees = (true, false);
        assert_eq!(set.admits(&probe(1)), Outcome::Blocked("raw policy drop".into()));
        let six = Probe { to: "2001:db8::5".parse().unwrap(), ..probe(1) };
        assert_eq!(kind(&set.admits(&six)), "open");
        assert_eq!(kind(&Ruleset::default().admits(&six)), "open");
    }
}
