//! Blocks as one table of nftables that is ours alone: `table inet wardmote`.
//!
//! Each change replaces the whole table in one transaction, so that it is either the old one or the new
//! one; where nothing is blocked there is no table. Its chain looks at packets before all others do, also
//! at those that are forwarded to containers, and drops by source address. Every element carries its
//! timeout: the kernel takes a block back at its time even if wardmote is gone. The cost: counters
//! start again with each change.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use consensus::networks::Network;
use serde_json::Value;

use super::{BLOCKS_MAX, Blocked};

/// The table, in the family `inet`.
pub const TABLE: &str = "wardmote";
/// Before conntrack and the raw tables of others (-300), after fragments are put together (-400).
const PRIORITY: i32 = -310;
const SETS: [(&str, &str, &str); 2] =
    [("blocked4", "ipv4_addr", "ip"), ("blocked6", "ipv6_addr", "ip6")];

/// What is to be in the sets: no network twice or within another one that lasts, in order. A narrower one
/// that would last longer than the wider one around it is left out until that one ends. At most
/// [`BLOCKS_MAX`], those that last longest.
pub fn reduced(blocks: &[Blocked]) -> Vec<Blocked> {
    let mut blocks = blocks.to_vec();
    if blocks.len() > BLOCKS_MAX {
        blocks.sort_by_key(|block| std::cmp::Reverse(block.seconds));
        blocks.truncate(BLOCKS_MAX);
    }
    // A network sorts before all that lie within it, and of twins the longer one is first.
    blocks.sort_by_key(|block| (block.network, std::cmp::Reverse(block.seconds)));
    let mut kept: Vec<Blocked> = Vec::with_capacity(blocks.len());
    for block in blocks {
        if !kept.last().is_some_and(|last| last.network.holds(&block.network)) {
            kept.push(block);
        }
    }
    kept
}

/// The transaction that makes exactly these networks the blocked ones.
pub fn rules(blocks: &[Blocked]) -> String {
    // To delete a table that may not be there, it is made first.
    let mut text = format!("add table inet {TABLE}\ndelete table inet {TABLE}\n");
    let blocks = reduced(blocks);
    if blocks.is_empty() {
        return text;
    }
    let _ = writeln!(text, "table inet {TABLE} {{");
    for (six, (set, kind, _)) in SETS.iter().enumerate() {
        let _ = writeln!(text, "  set {set} {{\n    type {kind}; flags interval, timeout;");
        let ours = blocks.iter().filter(|block| block.network.address().is_ipv6() == (six == 1));
        let elements: Vec<String> = ours
            .map(|block| format!("{} timeout {}s", block.network, block.seconds.max(1)))
            .collect();
        if !elements.is_empty() {
            let _ = writeln!(text, "    elements = {{ {} }}", elements.join(", "));
        }
        text.push_str("  }\n");
    }
    let _ = writeln!(text, "  chain input {{");
    let _ = writeln!(text, "    type filter hook prerouting priority {PRIORITY}; policy accept;");
    text.push_str("    iifname \"lo\" accept\n");
    for (set, _, family) in SETS {
        let _ = writeln!(text, "    {family} saddr @{set} counter drop");
    }
    text.push_str("  }\n}\n");
    text
}

/// Whether nft's JSON of the table holds both sets with exactly these networks, and the rules that drop.
pub fn stands(json: &[u8], blocks: &[Blocked]) -> bool {
    let Ok(told) = serde_json::from_slice::<Value>(json) else { return false };
    let empty = Vec::new();
    let objects = told["nftables"].as_array().unwrap_or(&empty);
    let wanted: BTreeSet<Network> = reduced(blocks).iter().map(|block| block.network).collect();
    let mut found = BTreeSet::new();
    for (set, ..) in SETS {
        let ours = objects.iter().map(|one| &one["set"]).find(|one| one["name"] == set);
        let Some(ours) = ours else { return false };
        for element in ours["elem"].as_array().unwrap_or(&empty) {
            match network(&element["elem"]["val"]) {
                Some(network) => found.insert(network),
                None => return false,
            };
        }
    }
    let hooked = objects.iter().map(|one| &one["chain"]).any(|chain| {
        chain["hook"] == "prerouting" && chain["prio"] == PRIORITY && chain["policy"] == "accept"
    });
    let drops = |set: &str| {
        let set = format!("@{set}");
        objects.iter().map(|one| &one["rule"]["expr"]).any(|rule| {
            let parts = rule.as_array().unwrap_or(&empty);
            parts.iter().any(|part| part["match"]["right"] == set.as_str())
                && parts.iter().any(|part| part.get("drop").is_some())
        })
    };
    hooked && SETS.iter().all(|(set, ..)| drops(set)) && found == wanted
}

/// The blocks of nft's JSON of the table, and for how long each is still there; `None` where it is none.
pub fn listed(json: &[u8]) -> Option<Vec<Blocked>> {
    let told = serde_json::from_slice::<Value>(json).ok()?;
    let mut blocks = Vec::new();
    for (set, ..) in SETS {
        let mut sets = told["nftables"].as_array()?.iter().map(|one| &one["set"]);
        let ours = sets.find(|one| one["name"] == set)?;
        for element in ours["elem"].as_array().into_iter().flatten() {
            let network = network(&element["elem"]["val"])?;
            let seconds = element["elem"]["expires"].as_u64()?;
            blocks.push(Blocked { network, seconds });
        }
    }
    Some(blocks)
}

/// An element of a set: an address, or a prefix.
fn network(value: &Value) -> Option<Network> {
    match value.as_str() {
        Some(address) => address.parse().ok(),
        None => {
            let prefix = &value["prefix"];
            let address: IpAddr = prefix["addr"].as_str()?.parse().ok()?;
            Network::new(address, u8::try_from(prefix["len"].as_u64()?).ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(network: &str, seconds: u64) -> Blocked {
        Blocked { network: network.parse().unwrap(), seconds }
    }

    #[test]
    fn the_table_is_replaced_in_one_transaction_and_gone_when_nothing_is_blocked() {
        assert_eq!(rules(&[]), "add table inet wardmote\ndelete table inet wardmote\n");
        let text = rules(&[block("2001:db8::/64", 9), block("192.0.2.7", 600)]);
        assert_eq!(
            text,
            "add table inet wardmote\ndelete table inet wardmote\ntable inet wardmote {\n  \
             set blocked4 {\n    type ipv4_addr; flags interval, timeout;\n    \
             elements = { 192.0.2.7 timeout 600s }\n  }\n  \
             set blocked6 {\n    type ipv6_addr; flags interval, timeout;\n    \
             elements = { 2001:db8::/64 timeout 9s }\n  }\n  \
             chain input {\n    type filter hook prerouting priority -310; policy accept;\n    \
             iifname \"lo\" accept\n    ip saddr @blocked4 counter drop\n    \
             ip6 saddr @blocked6 counter drop\n  }\n}\n"
        );
    }

    #[test]
    fn networks_within_others_and_twins_are_one() {
        let kept = reduced(&[
            block("192.0.2.7", 900),
            block("192.0.2.0/24", 60),
            block("192.0.2.0/25", 60),
            block("198.51.100.7", 10),
            block("198.51.100.7", 20),
            block("192.0.3.0", 5),
        ]);
        assert_eq!(
            kept,
            [block("192.0.2.0/24", 60), block("192.0.3.0", 5), block("198.51.100.7", 20)]
        );
    }

    #[test]
    fn sets_are_bounded_and_the_longest_stay() {
        let many = |count: u32| -> Vec<Blocked> {
            let address = |n: u32| std::net::Ipv4Addr::from(0x0a00_0000 + n).into();
            (0..count)
                .map(|n| Blocked {
                    network: Network::new(address(n), 32).unwrap(),
                    seconds: u64::from(n) + 1,
                })
                .collect()
        };
        let most = u32::try_from(BLOCKS_MAX).unwrap();
        assert_eq!(reduced(&many(most)).len(), BLOCKS_MAX);
        let kept = reduced(&many(most + 1));
        assert_eq!((kept.len(), kept[0].seconds), (BLOCKS_MAX, 2), "the shortest made room");
    }

    #[test]
    fn what_nft_says_is_compared_with_what_is_wanted() {
        let told = |elements: &str, prio: i32, verdict: &str| {
            format!(
                r#"{{"nftables":[{{"metainfo":{{}}}},{{"table":{{"name":"wardmote"}}}},
                {{"set":{{"name":"blocked4","elem":[{elements}]}}}},{{"set":{{"name":"blocked6"}}}},
                {{"chain":{{"name":"input","hook":"prerouting","prio":{prio},"policy":"accept"}}}},
                {{"rule":{{"expr":[{{"match":{{"right":"@blocked4"}}}},{{"{verdict}":null}}]}}}},
                {{"rule":{{"expr":[{{"match":{{"right":"@blocked6"}}}},{{"drop":null}}]}}}}]}}"#
            )
        };
        let one = r#"{"elem":{"val":"192.0.2.7","timeout":600}}"#;
        let two = r#"{"elem":{"val":{"prefix":{"addr":"198.51.100.0","len":24}},"timeout":6}}"#;
        let blocks = [block("192.0.2.7", 600), block("198.51.100.0/24", 6)];
        let both = format!("{one},{two}");
        assert!(stands(told(&both, PRIORITY, "drop").as_bytes(), &blocks));
        assert!(!stands(told(one, PRIORITY, "drop").as_bytes(), &blocks), "one is missing");
        assert!(!stands(told(&both, PRIORITY, "drop").as_bytes(), &blocks[..1]), "one is too much");
        assert!(!stands(told(&both, 0, "drop").as_bytes(), &blocks), "too late");
        assert!(!stands(told(&both, PRIORITY, "accept").as_bytes(), &blocks), "nothing drops");
        for broken in ["", "{}", "[]", r#"{"nftables":7}"#] {
            assert!(!stands(broken.as_bytes(), &blocks), "{broken}");
        }
    }
}
