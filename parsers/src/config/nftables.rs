//! The ruleset of `nft -j list ruleset` (libnftables-json(5)): tables, chains, rules and sets with places.
//!
//! Expressions of rules are kept as JSON; what a packet meets is the packet filter model's business.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::json::{Data, Node};
use super::problems::Problems;
use crate::place::Place;

/// Whose object it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Home {
    /// `ip`, `ip6`, `inet`, `arp`, `bridge` or `netdev`.
    pub family: String,
    /// The table.
    pub table: String,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// Its family and name.
    #[serde(flatten)]
    pub home: Home,
    /// Where.
    pub place: Place,
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chain {
    /// Its family and table.
    #[serde(flatten)]
    pub home: Home,
    /// Its name.
    pub name: String,
    /// `filter`, `nat` or `route`, of a base chain.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Where packets come in, of a base chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// Order among the chains of a hook.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub priority: Value,
    /// `accept` or `drop`, of a base chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Where.
    pub place: Place,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// Its family and table.
    #[serde(flatten)]
    pub home: Home,
    /// Its chain.
    pub chain: String,
    /// Its handle.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub handle: Value,
    /// Its comment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Statements, in order.
    pub expr: Value,
    /// Where.
    pub place: Place,
}

/// A set or map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Set {
    /// Its family and table.
    #[serde(flatten)]
    pub home: Home,
    /// `set` or `map`.
    pub object: String,
    /// Its name.
    pub name: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: Value,
    /// How many elements are listed.
    pub elements: usize,
    /// Where.
    pub place: Place,
}

/// A ruleset.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ruleset {
    /// Tables.
    pub tables: Vec<Table>,
    /// Chains.
    pub chains: Vec<Chain>,
    /// Rules.
    pub rules: Vec<Rule>,
    /// Sets and maps.
    pub sets: Vec<Set>,
    /// What is no ruleset.
    pub problems: Problems,
}

impl Ruleset {
    /// Reads an answer of `nft -j`.
    pub fn parse(name: &str, bytes: &[u8]) -> Self {
        let file: Arc<str> = name.into();
        let mut read = Self::default();
        let node = match Node::parse(&file, bytes, &mut read.problems) {
            Ok(node) => node,
            Err(problem) => {
                read.problems.push(problem.place, problem.message);
                return read;
            }
        };
        match node.get("nftables") {
            Some(list) if matches!(list.data, Data::Array(_)) => {
                list.items().iter().for_each(|item| read.item(&file, item));
            }
            _ => read.problems.push(node.place(&file), "not a ruleset: `nftables` is expected"),
        }
        read.check();
        read
    }

    fn item(&mut self, file: &Arc<str>, item: &Node) {
        let place = item.place(file);
        let Data::Object(fields) = &item.data else {
            return self.problems.push(place, "an object is expected here");
        };
        let [(name, node)] = &fields[..] else {
            return self.problems.push(place, "one object with one name is expected here");
        };
        let text = |name: &str| node.text(name).map(str::to_string);
        let json = |name: &str| node.get(name).map_or(Value::Null, Node::to_json);
        let home = |table: &str| Home {
            family: text("family").unwrap_or_default(),
            table: text(table).unwrap_or_default(),
        };
        let place = node.place(file);
        match name.text.as_str() {
            "table" => self.tables.push(Table { home: home("name"), place }),
            "chain" => self.chains.push(Chain {
                home: home("table"),
                name: text("name").unwrap_or_default(),
                kind: text("type"),
                hook: text("hook"),
                priority: json("prio"),
                policy: text("policy"),
                place,
            }),
            "rule" => self.rules.push(Rule {
                home: home("table"),
                chain: text("chain").unwrap_or_default(),
                handle: json("handle"),
                comment: text("comment"),
                expr: json("expr"),
                place,
            }),
            "set" | "map" => self.sets.push(Set {
                home: home("table"),
                object: name.text.clone(),
                name: text("name").unwrap_or_default(),
                kind: json("type"),
                elements: node.get("elem").map_or(0, |list| list.items().len()),
                place,
            }),
            // Counters, quotas, limits, helpers, flow tables: no rules of their own.
            "metainfo" | "counter" | "quota" | "limit" | "ct helper" | "ct timeout"
            | "ct expectation" | "flowtable" | "secmark" | "synproxy" | "element" => {}
            _ => self.problems.push(place, "an object that is not known"),
        }
    }

    /// A rule belongs to a chain, a chain to a table.
    fn check(&mut self) {
        let tables: std::collections::HashSet<&Home> =
            self.tables.iter().map(|table| &table.home).collect();
        let chains: std::collections::HashSet<(&Home, &str)> =
            self.chains.iter().map(|chain| (&chain.home, chain.name.as_str())).collect();
        let mut wrong = Vec::new();
        for chain in self.chains.iter().filter(|chain| !tables.contains(&chain.home)) {
            wrong.push((chain.place.clone(), "the chain's table is not listed"));
        }
        for rule in &self.rules {
            if !chains.contains(&(&rule.home, rule.chain.as_str())) {
                wrong.push((rule.place.clone(), "the rule's chain is not listed"));
            }
        }
        for (place, message) in wrong {
            self.problems.push(place, message);
        }
    }
}

impl std::hash::Hash for Home {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.family, &self.table).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_rules_and_sets_know_their_place() {
        let text = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}},
{"table": {"family": "inet", "name": "t", "handle": 1}},
{"chain": {"family": "inet", "table": "t", "name": "in", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
{"set": {"family": "inet", "table": "t", "name": "s", "type": "ipv4_addr", "elem": ["192.0.2.1"]}},
{"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 4, "comment": "ssh", "expr": [{"accept": null}]}},
{"rule": {"family": "inet", "table": "t", "chain": "gone", "expr": []}}, {"new": {}}]}"#;
        let read = Ruleset::parse("/x", text.as_bytes());
        assert_eq!(read.chains[0].policy.as_deref(), Some("drop"));
        assert_eq!((read.chains[0].place.line, read.chains[0].place.column), (3, 11));
        assert_eq!((read.rules[0].comment.as_deref(), read.sets[0].elements), (Some("ssh"), 1));
        let said: Vec<_> = read.problems.kept.iter().map(|p| p.place.line).collect();
        assert_eq!(said, [6, 6]);
    }

    #[test]
    fn what_is_no_ruleset_is_a_problem() {
        for text in ["", "[]", "{\"nftables\": {}}", "{\"nftables\": [1, {}]}", "{"] {
            assert!(!Ruleset::parse("/x", text.as_bytes()).problems.is_empty(), "{text}");
        }
    }
}
