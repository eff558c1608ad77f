//! The output of iptables-save and ip6tables-save: tables, chains with their policies, rules with places.
//!
//! Words are kept as written (iptables-extensions(8) names hundreds of options); what a packet meets is
//! the packet filter model's business. A rule of a chain that its table does not have, a line outside
//! of a table and a table without `COMMIT` are problems, as iptables-restore refuses them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::lines::{Line, numbered};
use super::problems::Problems;
use crate::place::{Place, Placed};

/// Most bytes of one line, as in iptables-restore.
pub const LINE_BYTES_MAX: usize = 10_240;

/// Most rules and chains that are kept.
pub const RULES_MAX: usize = 200_000;

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// `ACCEPT` or `DROP`, of a built-in chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Where.
    pub place: Place,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// Its words, without quotes.
    pub words: Vec<Placed<String>>,
    /// Where it goes on (`-j` or `-g`): a target or a chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Its comment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Where.
    pub place: Place,
}

/// A ruleset.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ruleset {
    /// Tables in order.
    pub tables: Vec<Placed<String>>,
    /// Chains in order.
    pub chains: Vec<Chain>,
    /// Rules in order.
    pub rules: Vec<Rule>,
    /// What iptables-restore would refuse.
    pub problems: Problems,
}

impl Ruleset {
    /// Reads an output.
    pub fn parse(name: &str, bytes: &[u8]) -> Self {
        let file: Arc<str> = name.into();
        let mut read = Self::default();
        let mut table: Option<Table> = None;
        for line in numbered(bytes) {
            let place = line.place(&file, 0);
            if line.bytes.len() >= LINE_BYTES_MAX || line.bytes.contains(&0) {
                read.problems.push(place, "line is too long or holds a NUL byte");
                continue;
            }
            if read.rules.len() + read.chains.len() >= RULES_MAX {
                read.problems.push(place, format!("more than {RULES_MAX} rules; rest not read"));
                return read;
            }
            read.line(&file, &line, &mut table);
        }
        if let Some(table) = table {
            read.problems.push(table.place, "the table has no COMMIT");
        }
        read
    }

    fn line(&mut self, file: &Arc<str>, line: &Line<'_>, table: &mut Option<Table>) {
        let text = line.text();
        let place = line.place(file, 0);
        match (text.bytes().next(), &table) {
            (None | Some(b'#'), _) => {}
            (Some(b'*'), None) => {
                let name = text[1..].trim().to_string();
                let value = name.clone();
                self.tables.push(Placed { value, place: place.clone(), text: String::new() });
                *table = Some(Table { name, place, chains: BTreeSet::new() });
            }
            (_, Some(_)) if text.trim_end() == "COMMIT" => *table = None,
            (Some(b':'), Some(_)) => self.chain(&text, place, table),
            (Some(b'-' | b'['), Some(_)) => self.rule(file, line, &text, table),
            _ => self.problems.push(place, "not a line of this place: a table, COMMIT or a rule"),
        }
    }

    /// `:INPUT DROP [0:0]`
    fn chain(&mut self, text: &str, place: Place, table: &mut Option<Table>) {
        let Some(table) = table else { return };
        let mut words = text[1..].split_ascii_whitespace();
        let (Some(name), Some(policy)) = (words.next(), words.next()) else {
            return self.problems.push(place, "a chain has a name and a policy");
        };
        let is_counted = match words.next() {
            None => true,
            Some(counters) => is_counters(counters),
        };
        if !is_counted || !matches!(policy, "ACCEPT" | "DROP" | "QUEUE" | "RETURN" | "-") {
            return self
                .problems
                .push(place, "the policy is ACCEPT, DROP or `-`, and counters follow");
        }
        table.chains.insert(name.to_string());
        self.chains.push(Chain {
            table: table.name.clone(),
            name: name.to_string(),
            policy: (policy != "-").then(|| policy.to_string()),
            place,
        });
    }

    fn rule(&mut self, file: &Arc<str>, line: &Line<'_>, text: &str, table: &mut Option<Table>) {
        let Some(table) = table else { return };
        let place = line.place(file, 0);
        let Some(found) = words(text) else {
            return self.problems.push(place, "a quote that does not end");
        };
        let mut found = found.into_iter().peekable();
        if found.peek().is_some_and(|(word, _)| word.starts_with('[')) {
            let (word, _) = found.next().unwrap_or_default();
            if !is_counters(&word) {
                return self.problems.push(place, "counters are `[packets:bytes]`");
            }
        }
        let command = found.next().unwrap_or_default().0;
        if !matches!(command.as_str(), "-A" | "--append" | "-I" | "--insert") {
            return self.problems.push(place, "a rule begins with -A");
        }
        let Some((chain, at)) = found.next() else {
            return self.problems.push(place, "the rule names no chain");
        };
        if !table.chains.contains(&chain) {
            self.problems.push(line.place(file, at), "the table has no chain of this name");
        }
        let words: Vec<Placed<String>> = found
            .map(|(value, at)| Placed { value, place: line.place(file, at), text: String::new() })
            .collect();
        let after = |names: [&str; 4]| {
            let at = words.iter().position(|word| names.contains(&word.value.as_str()))?;
            words.get(at + 1).map(|word| word.value.clone())
        };
        self.rules.push(Rule {
            table: table.name.clone(),
            chain,
            target: after(["-j", "--jump", "-g", "--goto"]),
            comment: after(["--comment", "", "", ""]),
            words,
            place,
        });
    }
}

struct Table {
    name: String,
    place: Place,
    chains: BTreeSet<String>,
}

/// `[packets:bytes]`
fn is_counters(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inner.and_then(|inner| inner.split_once(':')).is_some_and(|(packets, bytes)| {
        packets.parse::<u64>().is_ok() && bytes.parse::<u64>().is_ok()
    })
}

/// Words with where they start; double quotes hold them together, inside a backslash quotes the next
/// sign. `None` when a quote does not end.
fn words(text: &str) -> Option<Vec<(String, usize)>> {
    let mut found = Vec::new();
    let mut word: Option<(String, usize)> = None;
    let mut is_quoted = false;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_with(|| (String::new(), at));
            }
            '\\' if is_quoted => {
                let next = characters.next().map(|(_, next)| next);
                word.get_or_insert_with(|| (String::new(), at)).0.extend(next);
            }
            ' ' | '\t' if !is_quoted => found.extend(word.take()),
            other => word.get_or_insert_with(|| (String::new(), at)).0.push(other),
        }
    }
    found.extend(word);
    (!is_quoted).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: &str = "# Generated\n*filter\n:INPUT DROP [3:180]\n:SSH - [0:0]\n\
        [1:60] -A INPUT -p tcp -m tcp --dport 22 -m comment --comment \"say \\\"hi\\\" -j DROP\" -j SSH\n\
        -A SSH -s 192.0.2.0/24 -g OTHER\nCOMMIT\n# Completed\n";

    #[test]
    fn tables_chains_and_rules_know_their_place() {
        let read = Ruleset::parse("/x", SAVED.as_bytes());
        assert!(read.problems.is_empty(), "{:?}", read.problems);
        assert_eq!(read.chains[0].policy.as_deref(), Some("DROP"));
        assert_eq!((read.chains[1].policy.as_deref(), read.chains[1].place.line), (None, 4));
        let first = &read.rules[0];
        assert_eq!(first.comment.as_deref(), Some("say \"hi\" -j DROP"));
        assert_eq!(first.target.as_deref(), Some("SSH"));
        assert_eq!((first.words[5].value.as_str(), first.words[5].place.column), ("22", 39));
        assert_eq!(read.rules[1].target.as_deref(), Some("OTHER"));
    }

    #[test]
    fn what_iptables_restore_refuses_is_told() {
        for (text, line) in [
            ("-A INPUT -j ACCEPT\n", 1),
            ("*filter\n:INPUT ACCEPT [0:0]\n", 1),
            ("*filter\n:INPUT NEVER [0:0]\nCOMMIT\n", 2),
            ("*filter\n:INPUT ACCEPT [x]\nCOMMIT\n", 2),
            ("*filter\n-A GONE -j DROP\nCOMMIT\n", 2),
            ("*filter\n:I ACCEPT\n-A I --comment \"x\nCOMMIT\n", 3),
            ("*filter\nrubbish\nCOMMIT\n", 2),
            ("*filter\n*nat\nCOMMIT\n", 2),
            ("*filter\n:I ACCEPT\n[1] -A I\nCOMMIT\n", 3),
        ] {
            let read = Ruleset::parse("/x", text.as_bytes());
            let lines: Vec<_> = read.problems.kept.iter().map(|p| p.place.line).collect();
            assert_eq!(lines, [line], "{text}: {:?}", read.problems);
        }
        assert_eq!(Ruleset::parse("/x", &vec![b'-'; 10 << 20]).problems.len(), 1);
        for end in 0..SAVED.len() {
            Ruleset::parse("/x", &SAVED.as_bytes()[..end]);
        }
    }
}
