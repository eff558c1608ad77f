//! The context in which evidence is judged: what listens, what is being tried, who is spoken of.

use std::collections::{BTreeMap, BTreeSet};

use consensus::{Attack, Context, Evidence, Service};
use scanner::ports::Inventory;

use crate::pipeline::known::Known;

/// Makes the context of one examination.
pub fn context(
    now: i64,
    inventory: Option<&Inventory>,
    attacks: Option<Vec<Attack>>,
    evidence: &[&Evidence],
    known: Known,
) -> Context {
    let mentions = mentions(evidence);
    Context {
        now,
        services_known: inventory.is_some(),
        services: inventory.map(services).unwrap_or_default(),
        logs_known: attacks.is_some(),
        attacks: attacks.unwrap_or_default(),
        addresses_named: addresses_named(&mentions),
        mentions,
        new_subjects: None,
        accounts: known.accounts,
        programs: known.programs,
        own_addresses: known.own_addresses,
        packages: None,
        changes: known.changes,
        past: known.past,
        operator: known.operator,
    }
}

/// Listeners by service: the widest exposure of any socket speaks for the service.
fn services(inventory: &Inventory) -> BTreeMap<String, Service> {
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    for listener in &inventory.listeners {
        let uid = listener.owners.first().map(|owner| owner.uid);
        let known = services.entry(listener.service.clone()).or_insert_with(|| Service {
            exposure: listener.exposure,
            because: listener.because.clone(),
            ports: Vec::new(),
            uid,
        });
        if listener.exposure > known.exposure {
            known.exposure = listener.exposure;
            known.because.clone_from(&listener.because);
        }
        if let Err(place) = known.ports.binary_search(&listener.port) {
            known.ports.insert(place, listener.port);
        }
    }
    services
}

/// For each rule, of how many addresses it speaks.
fn addresses_named(mentions: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, u64> {
    let mut named: BTreeMap<String, u64> = BTreeMap::new();
    for (_, speakers) in mentions.range("ip:".to_string().."ip;".to_string()) {
        for speaker in speakers {
            *named.entry(speaker.clone()).or_default() += 1;
        }
    }
    named
}

/// Which checks and rules speak of each subject.
fn mentions(evidence: &[&Evidence]) -> BTreeMap<String, BTreeSet<String>> {
    let mut mentions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for item in evidence {
        let subject = &item.subject;
        let named = [("ip", &subject.ip), ("user", &subject.user), ("path", &subject.path)];
        let mut names: Vec<String> = named
            .iter()
            .filter_map(|(kind, name)| Some(format!("{kind}:{}", name.as_ref()?)))
            .collect();
        names.extend(item.services.iter().map(|service| format!("service:{service}")));
        for name in names {
            mentions.entry(name).or_default().insert(item.check.clone());
        }
    }
    mentions
}
