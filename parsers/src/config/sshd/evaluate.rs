//! Which line wins: sshd's two passes over the lines.
//!
//! The first pass takes what stands outside of `Match` blocks (and in `Match all`); the second, for
//! one connection, takes what stands in the blocks that hold, and its values replace the first's.
//! An included file's `Match` ends with the file; a file included inside a block that does not hold
//! is only checked for syntax.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::keywords::{Form, Keyword, Rule};
use super::load::{Item, Line, Loaded};
use super::matching::{holds, numeric};
use super::{Connection, Effective, MatchPlace, Setting, Version, Won, algorithms};
use crate::place::{Place, Placed, Problem};

/// Deepest nesting of includes, as in sshd.
pub const DEPTH_MAX: usize = 16;
/// Most lines that one evaluation goes through: included files count each time.
pub const STEPS_MAX: usize = 1_000_000;
/// Most ports, as in sshd.
const PORTS_MAX: usize = 256;
/// Most subsystems, as in sshd.
const SUBSYSTEMS_MAX: usize = 256;

/// A value that a line gave.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub keyword: &'static Keyword,
    pub value: Placed<String>,
    within: Option<Arc<MatchPlace>>,
    won: Won,
}

/// What is known of one setting so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    pub winners: Vec<Given>,
    losers: Vec<Given>,
}

pub(super) type Slots = BTreeMap<&'static str, Slot>;

/// One pass over the lines.
pub(super) struct Pass<'a> {
    loaded: &'a Loaded,
    pub version: Option<Version>,
    /// `None` in the first pass.
    connection: Option<&'a Connection>,
    ports_given: bool,
    pub slots: Slots,
    pub problems: Vec<Problem>,
    steps: usize,
    too_deep: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Plain,
    /// Second pass, no `Match` seen yet: nothing applies, but blocks are looked at.
    BeforeMatch,
    /// Inside a block that does not hold: no block in here can hold.
    Never,
}

struct State {
    active: bool,
    within: Option<Arc<MatchPlace>>,
}

impl<'a> Pass<'a> {
    pub fn new(
        loaded: &'a Loaded,
        version: Option<Version>,
        connection: Option<&'a Connection>,
        ports_given: bool,
    ) -> Self {
        Self {
            loaded,
            version,
            connection,
            ports_given,
            slots: Slots::new(),
            problems: Vec::new(),
            steps: 0,
            too_deep: false,
        }
    }

    pub fn run(mut self) -> Self {
        let first = self.connection.is_none();
        let mut state = State { active: first, within: None };
        if first {
            for line in &self.loaded.command_line {
                if let Item::Set { keyword, values } = &line.item {
                    self.set(keyword, values, line, &state, Won::CommandLine);
                }
            }
        }
        let mode = if first { Mode::Plain } else { Mode::BeforeMatch };
        self.file(0, mode, &mut state, 0);
        self
    }

    fn file(&mut self, number: usize, mut mode: Mode, state: &mut State, depth: usize) {
        let loaded = self.loaded;
        let Some((_, lines)) = loaded.files.get(number) else { return };
        for line in lines {
            self.steps += 1;
            if self.too_deep || self.steps > STEPS_MAX {
                self.stop(line, "more lines than can be evaluated");
                return;
            }
            match &line.item {
                Item::Set { keyword, values } => self.directive(keyword, values, line, state),
                Item::Match { criteria, block } => {
                    state.active = mode != Mode::Never
                        && match self.connection {
                            None => block.everybody,
                            Some(connection) => holds(criteria, connection),
                        };
                    state.within = Some(Arc::clone(block));
                    if mode == Mode::BeforeMatch {
                        mode = Mode::Plain;
                    }
                }
                Item::Include(files) => {
                    let inner = match mode {
                        Mode::BeforeMatch => Mode::BeforeMatch,
                        _ if state.active => Mode::Plain,
                        _ => Mode::Never,
                    };
                    for &file in files {
                        if depth + 1 > DEPTH_MAX {
                            self.stop(line, "includes are nested too deep");
                            return;
                        }
                        let (active, within) = (state.active, state.within.clone());
                        self.file(file, inner, state, depth + 1);
                        *state = State { active, within };
                    }
                }
            }
        }
    }

    fn stop(&mut self, line: &Line, message: &str) {
        if !self.too_deep {
            self.too_deep = true;
            self.wrong(line, message);
        }
    }

    fn wrong(&mut self, line: &Line, message: &str) {
        let problem = Problem { place: line.place.clone(), message: message.to_string() };
        self.problems.push(problem);
    }

    fn directive(
        &mut self,
        keyword: &'static Keyword,
        values: &[String],
        line: &Line,
        state: &State,
    ) {
        if !state.active && !keyword.in_match(self.version) {
            if self.connection.is_none() {
                let message = format!("{}: not allowed within a Match block", keyword.name);
                self.wrong(line, &message);
            }
            return;
        }
        if keyword.form == Form::AuthenticationMethods
            && values.first().is_some_and(|value| value == "any")
            && self.slots.get(keyword.shown).is_some_and(|slot| !slot.winners.is_empty())
        {
            return self.wrong(line, "authenticationmethods: `any` must stand alone");
        }
        if state.active {
            let won = if state.within.is_some() { Won::MatchBlock } else { Won::First };
            self.set(keyword, values, line, state, won);
        }
    }

    fn set(
        &mut self,
        keyword: &'static Keyword,
        values: &[String],
        line: &Line,
        state: &State,
        won: Won,
    ) {
        if let Err(message) = self.is_consistent(keyword, values) {
            return self.wrong(line, message);
        }
        let given = |value: &String, won: Won| Given {
            keyword,
            value: Placed {
                value: value.clone(),
                place: line.place.clone(),
                text: line.text.to_string(),
            },
            within: state.within.clone(),
            won,
        };
        if keyword.form == Form::RekeyLimit {
            for (name, value) in ["rekeylimit", "rekeylimit interval"].into_iter().zip(values) {
                self.slots.entry(name).or_default().first(vec![given(value, won)]);
            }
            return;
        }
        let new: Vec<Given> = values.iter().map(|value| given(value, won)).collect();
        if new.is_empty() {
            return;
        }
        let keys_command =
            self.slots.get("authorizedkeyscommand").is_some_and(|slot| !slot.winners.is_empty());
        let slot = self.slots.entry(keyword.shown).or_default();
        let old_principals = self.version.is_some_and(|version| version < (9, 6));
        let from_file = won != Won::CommandLine;
        match keyword.rule {
            Rule::Append if keyword.form == Form::Port && self.ports_given && from_file => {
                slot.losers.extend(new);
            }
            Rule::Append => slot.winners.extend(new),
            Rule::Last => slot.last(new),
            Rule::First if keyword.form == Form::UnusedTimeout && values == ["none"] => {
                slot.last(new);
            }
            // Up to 9.5 sshd looked at the wrong variable here.
            Rule::First if keyword.name == "authorizedprincipalscommand" && old_principals => {
                if keys_command {
                    slot.losers.extend(new)
                } else {
                    slot.last(new)
                }
            }
            Rule::First => slot.first(new),
        }
    }

    fn is_consistent(&self, keyword: &Keyword, values: &[String]) -> Result<(), &'static str> {
        let winners = self.slots.get(keyword.shown).map_or(&[][..], |slot| &slot.winners);
        match keyword.form {
            Form::Port if !self.ports_given && winners.len() >= PORTS_MAX => Err("too many ports"),
            Form::Subsystem if winners.len() >= SUBSYSTEMS_MAX => Err("too many subsystems"),
            Form::Subsystem => {
                let Some((name, _)) = values.first().and_then(|value| value.split_once(' ')) else {
                    return Err("subsystem: missing command");
                };
                let same = |given: &&Given| given.value.value.split(' ').next() == Some(name);
                match winners.iter().find(same) {
                    Some(_) => Err("subsystem: already defined"),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

impl Slot {
    fn first(&mut self, new: Vec<Given>) {
        if self.winners.is_empty() { self.winners = new } else { self.losers.extend(new) }
    }

    fn last(&mut self, mut new: Vec<Given>) {
        for given in &mut new {
            if given.won == Won::First {
                given.won = Won::Last;
            }
            // `MaxStartups 10` leaves the rate as it was.
            if given.keyword.form == Form::MaxStartups {
                let rate = self.winners.first().and_then(|old| old.value.value.split(':').nth(1));
                given.value.value =
                    given.value.value.replace("::", &format!(":{}:", rate.unwrap_or("30")));
            }
        }
        self.losers.append(&mut self.winners);
        self.winners = new;
    }
}

/// Joins the passes and prints every setting as `sshd -T` does.
pub(super) fn effective(global: &Pass<'_>, matched: Option<Pass<'_>>) -> Effective {
    let mut slots = global.slots.clone();
    let (of_match, problems) =
        matched.map_or_else(Default::default, |pass| (pass.slots, pass.problems));
    for (name, mut slot) in of_match {
        let Some(winner) = slot.winners.first() else { continue };
        if !is_taken_from_match(winner) {
            continue;
        }
        if let Some(mut old) = slots.remove(name) {
            let own: HashSet<Place> = slot.places().cloned().collect();
            old.winners.retain(|given| !own.contains(&given.value.place));
            old.losers.retain(|given| !own.contains(&given.value.place));
            slot.losers.append(&mut old.winners);
            slot.losers.append(&mut old.losers);
        }
        slots.insert(name, slot);
    }
    let interval = slots.remove("rekeylimit interval");
    let mut settings: BTreeMap<&'static str, Setting> = BTreeMap::new();
    for (name, slot) in slots {
        if let Some(setting) = setting(&slot, global.version) {
            settings.insert(name, setting);
        }
    }
    join_rekey(&mut settings, interval, global.version);
    join_listen(&mut settings);
    Effective { settings, problems }
}

impl Slot {
    fn places(&self) -> impl Iterator<Item = &Place> {
        self.winners.iter().chain(&self.losers).map(|given| &given.value.place)
    }
}

/// Settings that sshd copies from the second pass; of the global ones only a list of environment
/// names.
fn is_taken_from_match(given: &Given) -> bool {
    match given.keyword.form {
        Form::UserEnvironment => !["yes", "no"].contains(&given.value.value.as_str()),
        Form::Subsystem => true,
        _ => given.keyword.in_match(None),
    }
}

fn setting(slot: &Slot, version: Option<Version>) -> Option<Setting> {
    let winner = slot.winners.first()?;
    let mut seen = BTreeSet::new();
    let own: BTreeSet<_> = slot.winners.iter().map(|given| &given.value.place).collect();
    let overrides = slot
        .losers
        .iter()
        .filter(|given| !own.contains(&given.value.place) && seen.insert(&given.value.place))
        .map(|given| printed(given, version))
        .collect();
    Some(Setting {
        values: slot.winners.iter().map(|given| printed(given, version)).collect(),
        within: winner.within.as_deref().cloned(),
        won: winner.won,
        overrides,
    })
}

/// A value as `sshd -T` prints it once the configuration is complete.
fn printed(given: &Given, version: Option<Version>) -> Placed<String> {
    let mut value = given.value.clone();
    let matched = given.won == Won::MatchBlock;
    let none = value.value.eq_ignore_ascii_case("none");
    match given.keyword.form {
        Form::Algorithms(family) => {
            if let Some(list) = algorithms::assemble(family, &value.value, version) {
                value.value = list;
            }
        }
        Form::RawCommand | Form::TokenPath if none && !matched => value.value = "none".into(),
        Form::RawCommand | Form::Word
            if none && ["forcecommand", "chrootdirectory"].contains(&given.keyword.name) =>
        {
            value.value = "none".into();
        }
        Form::UnusedTimeout if value.value == "0" => value.value = "none".into(),
        _ => {}
    }
    value
}

fn join_rekey(
    settings: &mut BTreeMap<&'static str, Setting>,
    interval: Option<Slot>,
    version: Option<Version>,
) {
    let Some(limit) = settings.get_mut("rekeylimit") else { return };
    let interval = interval.and_then(|slot| setting(&slot, version));
    let seconds = interval.as_ref().map_or("0", |setting| setting.values[0].value.as_str());
    limit.values[0].value = format!("{} {seconds}", limit.values[0].value);
}

/// Joins `ListenAddress` with the ports, in the order in which sshd binds.
fn join_listen(settings: &mut BTreeMap<&'static str, Setting>) {
    let ports: Vec<String> = settings.get("port").map_or_else(
        || vec!["22".to_string()],
        |setting| setting.values.iter().map(|port| port.value.clone()).collect(),
    );
    let Some(listen) = settings.get_mut("listenaddress") else { return };
    let mut joined = Vec::new();
    for address in &listen.values {
        let Some((host, port)) = address.value.rsplit_once(' ') else { continue };
        let host = match numeric(host) {
            Some(std::net::IpAddr::V6(v6)) => format!("[{v6}]"),
            Some(v4) => v4.to_string(),
            None => host.to_string(),
        };
        let own = [port.to_string()];
        for port in if port == "0" { &ports[..] } else { &own[..] } {
            joined.push(Placed { value: format!("{host}:{port}"), ..address.clone() });
        }
    }
    listen.values = joined;
}

/// Every `Match` block's first value of a keyword, with the chain of blocks ignored: what some
/// connection may get. Blocks behind a `Match all`, or behind one with the same criteria, that
/// already decides the keyword are left out.
pub(super) fn in_blocks(
    loaded: &Loaded,
    shown: &str,
    version: Option<Version>,
) -> Vec<(MatchPlace, Setting)> {
    let mut search = Search {
        loaded,
        shown,
        version,
        found: Vec::new(),
        decided: HashSet::new(),
        steps: 0,
        everybody: false,
    };
    search.file(0, None, 0);
    search.found
}

struct Search<'a> {
    loaded: &'a Loaded,
    shown: &'a str,
    version: Option<Version>,
    found: Vec<(MatchPlace, Setting)>,
    /// Lower-case lines of the blocks that have decided the keyword.
    decided: HashSet<String>,
    steps: usize,
    /// A `Match all` has decided it.
    everybody: bool,
}

impl Search<'_> {
    fn file(&mut self, number: usize, outer: Option<Arc<MatchPlace>>, depth: usize) {
        let loaded = self.loaded;
        let Some((_, lines)) = loaded.files.get(number) else { return };
        let mut within = outer;
        for line in lines {
            self.steps += 1;
            if self.steps > STEPS_MAX || depth > DEPTH_MAX {
                return;
            }
            match &line.item {
                Item::Match { block, .. } => within = Some(Arc::clone(block)),
                Item::Include(files) => {
                    files.iter().for_each(|&file| self.file(file, within.clone(), depth + 1));
                }
                Item::Set { keyword, values } if keyword.shown == self.shown => {
                    if let Some(block) = &within {
                        self.add(block, keyword, values, line);
                    }
                }
                Item::Set { .. } => {}
            }
        }
    }

    fn add(
        &mut self,
        block: &Arc<MatchPlace>,
        keyword: &'static Keyword,
        values: &[String],
        line: &Line,
    ) {
        if values.is_empty() || self.everybody {
            return;
        }
        if !self.decided.insert(block.text.to_ascii_lowercase()) {
            return;
        }
        self.everybody = block.everybody;
        let winners = values.iter().map(|value| Given {
            keyword,
            value: Placed {
                value: value.clone(),
                place: line.place.clone(),
                text: line.text.to_string(),
            },
            within: Some(Arc::clone(block)),
            won: Won::MatchBlock,
        });
        let slot = Slot { winners: winners.collect(), losers: Vec::new() };
        if let Some(setting) = setting(&slot, self.version) {
            self.found.push((block.as_ref().clone(), setting));
        }
    }
}
