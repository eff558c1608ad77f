//! What depends on the lines before: connections that several lines tell of, and lines that are only
//! understood together.
//!
//! A line with `<F-MLFID>` belongs to a connection. Lines that are no failure for themselves
//! (`<F-NOFAIL>`) tell its address or user; a failure without an address waits until one is told; a login
//! that succeeds (`<F-MLFGAINED>`) forgives, unless several users were tried; `<F-MLFFORGET>` ends it.
//! Bounded: connections by number, the oldest goes first and is counted.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::date::Moment;
use super::expression::{Groups, set, value};
use super::filter::{Filter, Scratch, Seen, Sight};

/// Connections that are remembered; as many as fail2ban's.
pub const CONNECTIONS_MAX: usize = 100;

/// Seconds after which fail2ban forgets a connection.
pub const CONNECTION_S: f64 = 300.0;

/// Most users of one connection.
pub const USERS_MAX: usize = 100;

/// A failure.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Index among the filter's `failregex`.
    pub regex: usize,
    /// Who failed: an address in its usual form, a name, or whatever the filter takes for an identity.
    pub id: String,
    /// The address, if it is one.
    pub ip: Option<IpAddr>,
    /// What the line and its connection name (`user`, …), by fail2ban's names.
    pub fields: Vec<(String, String)>,
    /// Users that the connection tried.
    pub users: BTreeSet<String>,
    /// Lines that make this failure.
    pub lines: usize,
}

/// What taking a line came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// The failure, if it is one.
    pub failure: Option<Failure>,
    /// Whether a line matched and is no failure: forgiven, ignored, or only told of a connection.
    pub passed: bool,
    /// Whether a search ran into its bound.
    pub undecided: bool,
    /// The date of the line, or that of the last one that had a date.
    pub moment: Option<Moment>,
}

/// What one filter knows of the lines so far of one log.
#[derive(Default)]
pub struct State {
    connections: HashMap<String, Connection>,
    order: VecDeque<(String, u64)>,
    born: u64,
    most: usize,
    expiry_s: Option<f64>,
    /// Connections that were forgotten because there were too many.
    pub evicted: u64,
    lines: Vec<String>,
    moment: Option<Moment>,
    scratch: Scratch,
}

#[derive(Clone, Debug, Default)]
struct Connection {
    groups: Groups,
    users: BTreeSet<String>,
    pending: bool,
    matches: usize,
    passed: usize,
    born: u64,
    since: Option<f64>,
}

impl State {
    /// A state that remembers so many connections, each for so many seconds of the log's own time.
    pub fn new(connections: usize, expiry_s: Option<f64>) -> Self {
        Self { most: connections.max(1), expiry_s, ..Self::default() }
    }

    /// Takes what the filter saw in the next line; `time` is that of the line, in seconds.
    pub fn take(&mut self, filter: &Filter, seen: &Seen, time: Option<f64>) -> Taken {
        self.moment = seen.moment.or(self.moment);
        let taken = match &seen.sight {
            Sight::Undecided => Taken { undecided: true, ..Taken::default() },
            Sight::Ignored(_) => Taken { passed: true, ..Taken::default() },
            Sight::Match { regex, groups } => self.failure(*regex, groups.clone(), 1, time),
            Sight::Line(line) => self.line(filter, line, time),
            Sight::Apart => {
                self.lines.clear();
                Taken::default()
            }
        };
        Taken { moment: self.moment, ..taken }
    }

    /// A line of a filter that looks at several.
    fn line(&mut self, filter: &Filter, line: &str, time: Option<f64>) -> Taken {
        let mut text = line.to_string();
        text.retain(|one| one != '\n');
        self.lines.push(text);
        let surplus = self.lines.len().saturating_sub(filter.maxlines());
        self.lines.drain(..surplus);
        // Without such a line there is no match.
        if !self.lines.iter().any(|line| filter.is_marked(line)) {
            return Taken::default();
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let taken = self.together(filter, &mut scratch, time);
        self.scratch = scratch;
        taken.unwrap_or(Taken { undecided: true, ..Taken::default() })
    }

    fn together(
        &mut self,
        filter: &Filter,
        scratch: &mut Scratch,
        time: Option<f64>,
    ) -> Result<Taken, super::pattern::Undecided> {
        let machine = &mut scratch.machine;
        let text = self.lines.join("\n") + "\n";
        let mut groups = Groups::new();
        let mut own = String::new();
        let Some(text) = filter.content(&text, &mut own, &mut groups, machine)? else {
            return Ok(Taken::default());
        };
        for (regex, expression) in filter.failures.iter().enumerate() {
            if !expression.search(text, machine)? {
                continue;
            }
            expression.groups(text, machine, &mut groups);
            let whole = expression.pattern().and_then(|pattern| pattern.group(machine, 0));
            let (start, end) = whole.unwrap_or_default();
            let skipped = (0..).map_while(|n| expression.span(&format!("skiplines{n}"), machine));
            let skipped: Vec<String> = skipped
                .filter_map(|(start, end)| text.get(start..end))
                .flat_map(|text| text.lines().map(str::to_string))
                .collect();
            let (matched, left) = split(&self.lines, text, (start, end), skipped);
            self.lines = left;
            let joined = matched.join("\n") + "\n";
            if filter.is_ignored(&joined, machine)?.is_some() {
                return Ok(Taken { passed: true, ..Taken::default() });
            }
            return Ok(self.failure(regex, groups, matched.len(), time));
        }
        Ok(Taken::default())
    }

    /// What a match comes to, with what its connection knows.
    fn failure(&mut self, regex: usize, groups: Groups, lines: usize, time: Option<f64>) -> Taken {
        let passed = Taken { passed: true, ..Taken::default() };
        let Some(key) = value(&groups, "mlfid").map(str::to_string) else {
            let connection = Connection { groups, matches: lines, ..Connection::default() };
            return match identity(&connection.groups) {
                Some((id, ip)) => {
                    Taken { failure: Some(report(regex, id, ip, connection)), ..Taken::default() }
                }
                None => Taken::default(),
            };
        };
        let (mut connection, keep) = self.merge(&key, groups, lines, time);
        let fails = !told(&connection.groups, "nofail");
        let who = identity(&connection.groups);
        if fails && who.is_none() {
            connection.pending = true;
        }
        let taken = match who {
            Some((id, ip)) if fails => Taken {
                failure: Some(report(regex, id, ip, connection.clone())),
                ..Taken::default()
            },
            _ => passed,
        };
        if keep {
            self.remember(key, connection, time);
        }
        taken
    }

    /// The connection as this line leaves it, and whether it goes on.
    fn merge(
        &mut self,
        key: &str,
        mut groups: Groups,
        lines: usize,
        time: Option<f64>,
    ) -> (Connection, bool) {
        let gained = told(&groups, "mlfgained");
        if gained && !told(&groups, "nofail") {
            let said = value(&groups, "mlfgained").map(str::to_string);
            set(&mut groups, &Arc::from("nofail"), said);
        }
        let mut passes = gained || told(&groups, "nofail");
        let mut forgives = gained;
        let ends = told(&groups, "mlfforget");
        groups.retain(|(name, _)| name.as_ref() != "mlfforget");
        let user = value(&groups, "user").filter(|user| !user.is_empty()).map(str::to_string);
        let mut connection = match self.known(key, time) {
            Some(mut known) => {
                let passed_before =
                    told(&known.groups, "nofail") || told(&known.groups, "mlfgained");
                clear(&mut known.groups, &["nofail", "mlfgained"]);
                if forgives {
                    known.pending = false;
                }
                if !passed_before && !known.pending {
                    known.matches = 0;
                }
                for (name, value) in groups {
                    if value.is_some() {
                        set(&mut known.groups, &name, value);
                    }
                }
                known
            }
            None => Connection { groups, ..Connection::default() },
        };
        if connection.users.len() < USERS_MAX {
            connection.users.extend(user);
        }
        // A failure that waited, or several users: nothing is forgiven.
        if std::mem::take(&mut connection.pending) || connection.users.len() > 1 {
            clear(&mut connection.groups, &["nofail", "mlfgained"]);
            (passes, forgives) = (false, false);
        }
        if !passes {
            connection.matches += std::mem::take(&mut connection.passed);
            connection.matches += if forgives { 0 } else { lines };
        } else if !ends {
            connection.passed += lines;
        }
        (connection, !ends)
    }

    /// Takes a connection out, unless it is too old.
    fn known(&mut self, key: &str, time: Option<f64>) -> Option<Connection> {
        let connection = self.connections.remove(key)?;
        let old = match (self.expiry_s, connection.since, time) {
            (Some(expiry), Some(since), Some(now)) => now - since > expiry,
            _ => false,
        };
        (!old).then_some(connection)
    }

    fn remember(&mut self, key: String, mut connection: Connection, time: Option<f64>) {
        if connection.born == 0 {
            self.born += 1;
            connection.born = self.born;
            connection.since = time;
            while self.connections.len() >= self.most {
                let Some((oldest, born)) = self.order.pop_front() else { break };
                if self.connections.get(&oldest).is_some_and(|known| known.born == born) {
                    self.connections.remove(&oldest);
                    self.evicted += 1;
                }
            }
            // Places of connections that ended are taken out before they outnumber the living.
            if self.order.len() > self.most * 4 {
                let living = &self.connections;
                self.order.retain(|(key, born)| living.get(key).is_some_and(|c| c.born == *born));
            }
            self.order.push_back((key.clone(), connection.born));
        }
        self.connections.insert(key, connection);
    }
}

fn told(groups: &Groups, name: &str) -> bool {
    value(groups, name).is_some_and(|value| !value.is_empty())
}

fn clear(groups: &mut Groups, names: &[&str]) {
    groups.retain(|(name, _)| !names.contains(&name.as_ref()));
}

/// Lines that a match spans, without those it skips, and all others.
fn split(
    lines: &[String],
    text: &str,
    (start, end): (usize, usize),
    skipped: Vec<String>,
) -> (Vec<String>, Vec<String>) {
    let breaks = |text: Option<&str>| text.map_or(0, |text| text.matches('\n').count());
    let first = breaks(text.get(..start + usize::from(text[start..].starts_with('\n'))));
    let last = breaks(text.get(..end.saturating_sub(1).max(start))) + 1;
    let (first, last) = (first.min(lines.len()), last.clamp(first, lines.len()));
    let mut matched = lines[first..last].to_vec();
    let mut left = lines[..first].to_vec();
    for line in skipped {
        if let Some(at) = matched.iter().position(|known| *known == line) {
            left.push(matched.remove(at));
        }
    }
    left.extend_from_slice(&lines[last..]);
    (matched, left)
}

/// Who the groups say it was.
fn identity(groups: &Groups) -> Option<(String, Option<IpAddr>)> {
    let cidr = value(groups, "cidr").and_then(|bits| bits.parse::<u8>().ok());
    let address = value(groups, "ip4").or_else(|| value(groups, "ip6"));
    let host = match address {
        Some(text) => Some(usual(text, cidr)),
        None => value(groups, "dns").map(|name| (name.to_string(), None)),
    };
    match (value(groups, "fid"), host) {
        (Some(fid), Some((_, ip))) => Some((fid.to_string(), ip)),
        (Some(fid), None) => Some((fid.to_string(), fid.parse().ok())),
        (None, host) => host,
    }
}

/// An address in its usual form, masked if a prefix length is told.
fn usual(text: &str, cidr: Option<u8>) -> (String, Option<IpAddr>) {
    let Ok(address) = text.parse::<IpAddr>() else { return (text.to_string(), None) };
    let address = match (address, cidr) {
        (IpAddr::V6(six), None) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
        _ => address,
    };
    let full: u8 = if address.is_ipv4() { 32 } else { 128 };
    let Some(bits) = cidr.filter(|bits| *bits < full) else {
        return (address.to_string(), Some(address));
    };
    let network = match address {
        IpAddr::V4(four) => {
            let mask = u32::MAX.checked_shl(u32::from(32 - bits)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(four) & mask))
        }
        IpAddr::V6(six) => {
            let mask = u128::MAX.checked_shl(u32::from(128 - bits)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(six) & mask))
        }
    };
    (format!("{network}/{bits}"), Some(network))
}

/// Groups that only steer, and those that are the identity itself.
const INNER: [&str; 10] =
    ["mlfid", "nofail", "mlfforget", "mlfgained", "ip4", "ip6", "dns", "fid", "cidr", "content"];

fn report(regex: usize, id: String, ip: Option<IpAddr>, connection: Connection) -> Failure {
    let plain = |name: &str| {
        !INNER.contains(&name) && !name.starts_with("alt_") && !name.starts_with("tuple_")
    };
    let fields = connection.groups.into_iter().filter(|(name, _)| plain(name));
    let fields = fields.filter_map(|(name, value)| Some((name.to_string(), value?))).collect();
    Failure { regex, id, ip, fields, users: connection.users, lines: connection.matches }
}
