//! Whether anything filters incoming connections: a verdict on presence, not on the rules.
//!
//! On the running host only what the kernel uses counts: the ruleset as `nft` or `iptables-save` told
//! it to the caller. A mounted tree is judged by the configuration that will be loaded.

use std::path::Path;

use consensus::{Exposure, Severity};
use parsers::config::lines;
use parsers::place::Place;
use parsers::tree::Links;
use serde_json::Value;

use super::super::{Observation, Outcome};
use super::enabled::Enabled;
use crate::Facts;

/// Largest answer of a program that is parsed.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Looks for a filter.
pub(super) fn present(facts: &Facts<'_>) -> Outcome {
    if !facts.live {
        return stored(facts);
    }
    let spoken = facts.spoken;
    let nft = spoken.nft_json.as_deref().map(nft_filters);
    let iptables = spoken.iptables_save.as_deref().map(iptables_filters);
    let ip6tables = spoken.ip6tables_save.as_deref().map(iptables_filters);
    if let Some(Ok(true)) = nft {
        return Outcome::passed("nftables filters incoming connections");
    }
    if iptables == Some(true) {
        let note = (ip6tables == Some(false)).then(|| "IPv6 has no filter".to_string());
        let reason = "iptables filters incoming connections";
        return match note {
            Some(note) => Outcome::passed(format!("{reason}; {note}")),
            None => Outcome::passed(reason),
        };
    }
    let unseen: Vec<String> = match nft {
        Some(Err(ref why)) => vec![format!("nft's answer: {why}")],
        _ => Vec::new(),
    };
    // nft shows the rules of iptables-nft too; those of legacy iptables only iptables-save shows.
    if !matches!(nft, Some(Ok(false))) && iptables.is_none() {
        return Outcome::not_run(why_not(facts)).unseen(unseen);
    }
    let open = facts.inventory.is_some_and(|inventory| {
        inventory.listeners.iter().any(|one| one.exposure == Exposure::World)
    });
    let level = if open { Severity::Low } else { Severity::Info };
    let text = "no chain at the input hook with a rule or a policy of drop";
    let seen = Observation::at(&Place::whole("kernel:nf_tables"), text).key("none").level(level);
    Outcome::failed(seen.fact("world_listeners", if open { "yes" } else { "none known" }))
        .unseen(unseen)
}

fn why_not(facts: &Facts<'_>) -> String {
    let asked = ["nft", "iptables"];
    let said: Vec<String> = facts
        .spoken
        .unanswered
        .iter()
        .filter(|(name, _)| asked.iter().any(|asked| name.starts_with(asked)))
        .map(|(name, why)| crate::redact::line(&format!("{name}: {why}")))
        .collect();
    if said.is_empty() {
        "the firewall could not be read".to_string()
    } else {
        format!("the firewall could not be read ({})", said.join("; "))
    }
}

/// Whether the ruleset of `nft -j list ruleset` has a base chain at the input hook (or ingress,
/// prerouting) that drops by policy or holds a rule.
fn nft_filters(answer: &[u8]) -> Result<bool, String> {
    if answer.len() > ANSWER_BYTES_MAX {
        return Err("larger than is read".to_string());
    }
    let value: Value = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    let items = value.get("nftables").and_then(Value::as_array).ok_or("not a ruleset")?;
    let word =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_string);
    let id = |value: &Value, name: &str| {
        (word(value, "family"), word(value, "table"), word(value, name))
    };
    let ruled: std::collections::BTreeSet<_> =
        items.iter().filter_map(|item| item.get("rule")).map(|rule| id(rule, "chain")).collect();
    Ok(items.iter().filter_map(|item| item.get("chain")).any(|chain| {
        let filters = word(chain, "type").as_deref() == Some("filter");
        let hook = word(chain, "hook").unwrap_or_default();
        let drops = word(chain, "policy").as_deref() == Some("drop");
        filters
            && matches!(hook.as_str(), "input" | "ingress" | "prerouting")
            && (drops || ruled.contains(&id(chain, "name")))
    }))
}

/// Whether `iptables-save` shows a rule of INPUT or a policy of DROP.
fn iptables_filters(answer: &[u8]) -> bool {
    lines::numbered(answer)
        .any(|line| line.bytes.starts_with(b"-A INPUT ") || line.bytes.starts_with(b":INPUT DROP"))
}

/// A mounted tree: what will be loaded at boot.
fn stored(facts: &Facts<'_>) -> Outcome {
    let enabled = facts.get::<Enabled>();
    if let Some(what) = enabled.any(&[
        "nftables",
        "firewalld",
        "shorewall",
        "ferm",
        "netfilter-persistent",
        "iptables",
    ]) {
        return Outcome::passed(what);
    }
    const UFW: &str = "/etc/ufw/ufw.conf";
    let mut seen = Observation::at(&Place::whole("/etc/nftables.conf"), "no firewall is enabled");
    match facts.read(UFW) {
        Ok(bytes) => {
            let file = std::sync::Arc::from(UFW);
            for line in lines::numbered(&bytes).take(1_000) {
                let text = line.text().trim().to_ascii_lowercase();
                if text == "enabled=yes" {
                    return Outcome::passed(format!("ufw is enabled ({})", line.place(&file, 0)));
                }
                if text.starts_with("enabled=") {
                    seen = Observation::at(&line.place(&file, 0), &line.text());
                }
            }
        }
        Err(error) if error.not_found() => {}
        Err(error) => return Outcome::unreadable(&error),
    }
    if facts.tree.stat(Path::new("/etc/systemd/system"), Links::Follow).is_err() {
        return Outcome::unknown("no services are configured here that could be asked");
    }
    Outcome::failed(seen.key("none"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::CheckResult;
    use crate::facts::Spoken;
    use crate::vantage::Vantage;
    use parsers::tree::MemoryTree;

    fn live(spoken: Spoken) -> Outcome {
        let (tree, vantage) = (MemoryTree::new(), Vantage::default());
        present(&Facts::new(&tree, true, &vantage, None, &spoken, 0))
    }

    fn nft(text: &str) -> Spoken {
        Spoken { nft_json: Some(text.as_bytes().to_vec()), ..Spoken::default() }
    }

    const CHAIN: &str = r#"{"nftables":[{"metainfo":{}},{"chain":{"family":"inet","table":"t","name":"in","type":"filter","hook":"input","policy":"POLICY"}}RULES]}"#;

    #[test]
    fn a_dropping_chain_or_one_with_rules_is_a_filter() {
        let rule = r#",{"rule":{"family":"inet","table":"t","chain":"in","expr":[]}}"#;
        let chain =
            |policy: &str, rules: &str| CHAIN.replace("POLICY", policy).replace("RULES", rules);
        assert_eq!(live(nft(&chain("drop", ""))).result, CheckResult::Passed);
        assert_eq!(live(nft(&chain("accept", rule))).result, CheckResult::Passed);
        assert_eq!(live(nft(&chain("accept", ""))).result, CheckResult::Failed);
        assert_eq!(live(nft(r#"{"nftables":[]}"#)).observations[0].level, Some(Severity::Info));
        let save = |text: &str| Spoken { iptables_save: Some(text.into()), ..Spoken::default() };
        assert_eq!(live(save("*filter\n:INPUT DROP [0:0]\n")).result, CheckResult::Passed);
        assert_eq!(live(save("*filter\n:INPUT ACCEPT [0:0]\n")).result, CheckResult::Failed);
    }

    #[test]
    fn what_could_not_be_asked_is_not_open() {
        let outcome = live(Spoken {
            unanswered: vec![("nft".into(), "no CAP_NET_ADMIN".into())],
            ..Spoken::default()
        });
        assert_eq!(outcome.result, CheckResult::NotRun);
        assert!(outcome.reason.contains("no CAP_NET_ADMIN"));
        for hostile in ["", "{", "\0", "{\"nftables\":5}"] {
            assert_eq!(live(nft(hostile)).result, CheckResult::NotRun, "{hostile:?}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(live(nft(&deep)).result, CheckResult::NotRun);
    }

    #[test]
    fn a_mounted_tree_is_judged_by_what_will_be_loaded() {
        let (vantage, spoken) = (Vantage::mounted(), Spoken::default());
        let run = |tree: &MemoryTree| present(&Facts::new(tree, false, &vantage, None, &spoken, 0));
        let base = MemoryTree::new().directory("/etc/systemd/system", 0o755, 0, 0);
        assert_eq!(run(&base).result, CheckResult::Failed);
        let off = run(&base.clone().file("/etc/ufw/ufw.conf", "# x\nENABLED=no\n"));
        assert_eq!(
            (off.observations[0].lines[0].file.as_str(), off.observations[0].lines[0].line),
            ("/etc/ufw/ufw.conf", 2)
        );
        assert_eq!(
            run(&base.clone().file("/etc/ufw/ufw.conf", "ENABLED=yes\n")).result,
            CheckResult::Passed
        );
        let unit = "/etc/systemd/system/sysinit.target.wants/nftables.service";
        assert_eq!(
            run(&base.link(unit, "/lib/systemd/system/nftables.service")).result,
            CheckResult::Passed
        );
        assert_eq!(run(&MemoryTree::new()).result, CheckResult::Unknown);
    }
}
