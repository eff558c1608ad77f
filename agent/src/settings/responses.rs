//! What wardmote may do about a case. Nothing, unless `enabled`; a rehearsal, unless `dry_run` is off;
//! and then only the kinds that are opted into: `block.enabled`, and the commands that are listed.

use std::collections::BTreeSet;
use std::time::Duration;

use consensus::Severity;
use consensus::networks::Network;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::Span;
use super::expert::Patience;
use crate::exit::hinted;
use crate::govern::risk::{Reach, Risk};

/// Most commands.
pub const COMMANDS_MAX: usize = 16;
/// Most networks of the allow list.
pub const ALLOW_MAX: usize = 10_000;
/// Most critical units, and checks of a command.
const NAMES_MAX: usize = 1_000;
/// Longest name of a command.
const NAME_MAX: usize = 32;
/// Most words of a command.
const WORDS_MAX: usize = 64;
/// Most actions of a kind within an hour.
const PER_HOUR_MAX: u32 = 1_000;
/// Shortest and longest time for which an action holds.
const HOLD: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(30 * 86_400)];
/// What may stand in braces in a command.
pub const PLACEHOLDERS: [&str; 5] = ["ip", "user", "unit", "case", "seconds"];

/// The settings of responses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResponseSettings {
    /// Whether anything is proposed at all.
    pub enabled: bool,
    /// Whether nothing is done by itself: what would have been done waits for an operator.
    pub dry_run: bool,
    /// Actions of a higher risk wait for an operator: low, medium, high, critical.
    pub automatic_up_to: Risk,
    /// How many different operators an action of critical risk needs: 1 or 2.
    #[serde(deserialize_with = "operators")]
    pub critical_operators: u8,
    /// Verdicts, and what they are about, are at most so old.
    pub fresh: Span,
    /// How long a request waits for an operator.
    #[serde(deserialize_with = "hold")]
    pub wait: Span,
    /// Blocking addresses.
    pub block: BlockSettings,
    /// Running commands.
    #[serde(deserialize_with = "commands")]
    pub commands: Vec<CommandSettings>,
    /// Addresses and networks that are never touched; `site.monitoring` is among them.
    #[serde(deserialize_with = "allow")]
    pub allow: Vec<Network>,
    /// Whether hosts of directly connected networks may be blocked.
    pub neighbours: bool,
    /// Units that no command is about, beside those that every host needs.
    #[serde(deserialize_with = "names")]
    pub critical_units: Vec<String>,
    /// Most actions within an hour, by whom they hit.
    pub per_hour: ClassBudgets,
}

/// The settings of blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BlockSettings {
    /// Whether addresses may be blocked.
    pub enabled: bool,
    /// From this level up.
    pub from: Severity,
    /// For how long.
    #[serde(rename = "for", deserialize_with = "hold")]
    pub hold: Span,
    /// An unconfirmed block is taken back after this time.
    #[serde(deserialize_with = "hold")]
    pub confirm_within: Span,
    /// What becomes of an unconfirmed block.
    pub unconfirmed: Unconfirmed,
    /// The widest network: fewest first bits, IPv4.
    #[serde(deserialize_with = "widest_v4")]
    pub widest_v4: u8,
    /// The widest network: fewest first bits, IPv6.
    #[serde(deserialize_with = "widest_v6")]
    pub widest_v6: u8,
    /// Most blocks within an hour.
    #[serde(deserialize_with = "per_hour")]
    pub per_hour: u32,
}

/// What becomes of an action that nobody confirms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unconfirmed {
    /// It is taken back after `confirm_within`.
    #[default]
    Revert,
    /// It holds for its time.
    Hold,
}

/// What a command's undo brings back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Restores {
    /// Everything is as it was.
    All,
    /// What broke in between stays broken.
    #[default]
    Some,
}

/// A command of the operator's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandSettings {
    /// Its name: letters, digits, `-` and `_`.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// The program's absolute path and its arguments, with `{ip}`, `{user}`, `{unit}`, `{case}` and
    /// `{seconds}` filled in; no shell is involved.
    #[serde(deserialize_with = "words")]
    pub run: Vec<String>,
    /// The command that takes it back; it has to work also where the first one did not.
    #[serde(deserialize_with = "words")]
    pub undo: Vec<String>,
    /// From this level up.
    #[serde(default = "critical")]
    pub from: Severity,
    /// Only for findings of these checks and rules; all, where none is named.
    #[serde(default, deserialize_with = "names")]
    pub checks: Vec<String>,
    /// How long either command may take.
    #[serde(default = "ten_seconds")]
    pub timeout: Patience,
    /// For how long it holds.
    #[serde(default = "one_hour", rename = "for", deserialize_with = "hold")]
    pub hold: Span,
    /// Unconfirmed, it is taken back after this time.
    #[serde(default = "ten_minutes", deserialize_with = "hold")]
    pub confirm_within: Span,
    /// What becomes of it when nobody confirms it.
    #[serde(default)]
    pub unconfirmed: Unconfirmed,
    /// How many it hits: one, few, many.
    #[serde(default)]
    pub reach: Reach,
    /// What its undo brings back: all, some.
    #[serde(default)]
    pub restores: Restores,
    /// Most runs within an hour.
    #[serde(default = "five", deserialize_with = "per_hour")]
    pub per_hour: u32,
}

/// Most actions within an hour, by whom they hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClassBudgets {
    /// Strangers.
    #[serde(deserialize_with = "per_hour")]
    pub stranger: u32,
    /// Private and own networks.
    #[serde(deserialize_with = "per_hour")]
    pub neighbour: u32,
    /// Accounts and units of this host, and addresses that somebody has logged in from.
    #[serde(deserialize_with = "per_hour")]
    pub own: u32,
}

impl Default for ResponseSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            dry_run: true,
            automatic_up_to: Risk::Medium,
            critical_operators: 1,
            fresh: Span(Duration::from_secs(900)),
            wait: Span::days(1),
            block: BlockSettings::default(),
            commands: Vec::new(),
            allow: Vec::new(),
            neighbours: false,
            critical_units: Vec::new(),
            per_hour: ClassBudgets::default(),
        }
    }
}

impl Default for BlockSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            from: Severity::High,
            hold: one_hour(),
            confirm_within: ten_minutes(),
            unconfirmed: Unconfirmed::Revert,
            widest_v4: 16,
            widest_v6: 32,
            per_hour: 20,
        }
    }
}

impl Default for ClassBudgets {
    fn default() -> Self {
        Self { stranger: 60, neighbour: 5, own: 2 }
    }
}

impl ResponseSettings {
    /// Whether nothing was configured.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Refuses two commands of one name.
pub fn distinct(commands: &[CommandSettings]) -> anyhow::Result<()> {
    let names: BTreeSet<&str> = commands.iter().map(|command| command.name.as_str()).collect();
    match names.len() == commands.len() && !names.contains("block") {
        true => Ok(()),
        false => Err(hinted(
            "configuration: responses.commands: two commands have one name, or one is called block",
            "rename one of them",
        )),
    }
}

fn critical() -> Severity {
    Severity::Critical
}

fn ten_seconds() -> Patience {
    Patience(Duration::from_secs(10))
}

fn one_hour() -> Span {
    Span(Duration::from_secs(3_600))
}

fn ten_minutes() -> Span {
    Span(Duration::from_secs(600))
}

fn five() -> u32 {
    5
}

/// Takes a value that holds, or says what would.
fn checked<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
    holds: impl Fn(&T) -> bool,
    wanted: &str,
) -> Result<T, D::Error> {
    let value = T::deserialize(from)?;
    if holds(&value) { Ok(value) } else { Err(serde::de::Error::custom(wanted)) }
}

fn operators<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    checked(from, |n| (1..=2).contains(n), "critical actions need 1 or 2 operators")
}

fn hold<'de, D: Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
    checked(from, |span: &Span| span.0 >= HOLD[0] && span.0 <= HOLD[1], "a time from 60s to 30d")
}

fn widest_v4<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    checked(from, |bits| (8..=32).contains(bits), "the widest IPv4 network has 8 to 32 bits")
}

fn widest_v6<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    checked(from, |bits| (16..=128).contains(bits), "the widest IPv6 network has 16 to 128 bits")
}

fn per_hour<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    checked(from, |most| *most <= PER_HOUR_MAX, "at most 1000 actions within an hour")
}

fn allow<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Network>, D::Error> {
    let wanted = format!("at most {ALLOW_MAX} networks are never touched");
    checked(from, |all: &Vec<Network>| all.len() <= ALLOW_MAX, &wanted)
}

fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    checked(from, |all: &Vec<String>| all.len() <= NAMES_MAX, "at most 1000 names")
}

fn commands<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<CommandSettings>, D::Error> {
    checked(from, |all: &Vec<CommandSettings>| all.len() <= COMMANDS_MAX, "at most 16 commands")
}

fn name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    let holds = |name: &String| (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(plain);
    checked(from, holds, "a command's name is 1 to 32 letters, digits, hyphens and underscores")
}

fn words<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let words = Vec::<String>::deserialize(from)?;
    let fail = |why: &str| Err(serde::de::Error::custom(why));
    if !words.first().is_some_and(|program| program.starts_with('/') && !program.contains('{')) {
        return fail("a command begins with an absolute path, without placeholders");
    }
    if words.len() > WORDS_MAX || words.iter().any(|word| word.contains('\0')) {
        return fail("a command has at most 64 words, none with a NUL");
    }
    let known = |name: &str| PLACEHOLDERS.contains(&name);
    match words.iter().all(|word| placeholders(word).is_some_and(|all| all.into_iter().all(known)))
    {
        true => Ok(words),
        false => fail("placeholders are {ip}, {user}, {unit}, {case} and {seconds}"),
    }
}

/// The names in braces; `None` where braces do not pair.
pub fn placeholders(word: &str) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let mut rest = word;
    while let Some(open) = rest.find(['{', '}']) {
        let inside = rest[open..].strip_prefix('{')?;
        let close = inside.find(['{', '}']).filter(|at| inside[*at..].starts_with('}'))?;
        names.push(&inside[..close]);
        rest = &inside[close + 1..];
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<ResponseSettings, String> {
        serde_yaml::from_str(yaml).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_done_unless_it_is_asked_for() {
        let settings = ResponseSettings::default();
        assert!(!settings.enabled && settings.dry_run && !settings.block.enabled);
        assert!(settings.commands.is_empty());
        assert_eq!(read("{}").unwrap(), settings);
        assert_eq!(settings.automatic_up_to, Risk::Medium);
        assert_eq!((settings.block.widest_v4, settings.block.widest_v6), (16, 32));
        assert_eq!(settings.block.confirm_within.seconds(), 600);
    }

    #[test]
    fn settings_are_read_and_bounds_hold() {
        let yaml = "enabled: true\nblock: {enabled: true, for: 2h, unconfirmed: hold}\n\
                    commands:\n- {name: x, run: [/bin/true, '{ip}'], undo: [/bin/false, 'a{user}b']}\n";
        let settings = read(yaml).unwrap();
        assert_eq!(settings.block.hold.seconds(), 7_200);
        assert_eq!(settings.commands[0].undo[1], "a{user}b");
        for (wrong, why) in [
            ("critical_operators: 0", "1 or 2"),
            ("critical_operators: 3", "1 or 2"),
            ("block: {for: 59s}", "60s to 30d"),
            ("block: {for: 31d}", "60s to 30d"),
            ("block: {widest_v4: 7}", "8 to 32"),
            ("block: {widest_v4: 33}", "8 to 32"),
            ("block: {widest_v6: 15}", "16 to 128"),
            ("block: {per_hour: 1001}", "1000"),
            ("automatic_up_to: never", "never"),
            ("allow: [10.0.0.0/8, gate]", "not an address"),
            ("commands: [{name: a b, run: [/x], undo: [/x]}]", "letters"),
            ("commands: [{name: a, run: [/x]}]", "undo"),
            ("commands: [{name: a, run: [x], undo: [/x]}]", "absolute"),
            ("commands: [{name: a, run: ['/{ip}'], undo: [/x]}]", "without placeholders"),
            ("commands: [{name: a, run: [/x, '{host}'], undo: [/x]}]", "placeholders are"),
            ("commands: [{name: a, run: [/x, 'a}'], undo: [/x]}]", "placeholders are"),
            ("commands: [{name: a, run: [/x, '{a{ip}'], undo: [/x]}]", "placeholders are"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
        for right in
            ["block: {for: 60s}", "block: {for: 30d}", "block: {widest_v4: 8, per_hour: 1000}"]
        {
            assert!(read(right).is_ok(), "{right}");
        }
    }

    #[test]
    fn lists_are_bounded_and_names_are_distinct() {
        let networks = |n: usize| format!("allow: [{}]", vec!["10.0.0.1"; n].join(", "));
        assert!(read(&networks(ALLOW_MAX)).is_ok());
        assert!(read(&networks(ALLOW_MAX + 1)).is_err());
        let commands = |n: usize| {
            let one = |i| format!("- {{name: c{i}, run: [/x], undo: [/x]}}\n");
            format!("commands:\n{}", (0..n).map(one).collect::<String>())
        };
        assert!(read(&commands(COMMANDS_MAX)).is_ok_and(|s| distinct(&s.commands).is_ok()));
        assert!(read(&commands(COMMANDS_MAX + 1)).is_err());
        let mut twice = read(&commands(2)).unwrap().commands;
        twice[1].name = "c0".into();
        assert!(distinct(&twice).is_err());
        twice[1].name = "block".into();
        assert!(distinct(&twice).is_err());
    }
}
