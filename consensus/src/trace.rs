//! The id of a verdict: a hash of everything that it was made from.
//!
//! The bytes hashed are canonical: every text with its length before it, every list whose order
//! means nothing sorted, numbers in fixed width, probabilities in bits. Equal ids are equal inputs
//! to the same model; [`MODEL`] changes whenever a constant of the model does.

use sha2::{Digest as _, Sha256};

use crate::context::{Context, Operator, Past, Seen};
use crate::networks::Networks;
use crate::{Evidence, Model, Opinion};

/// Names the constants of experts, likelihoods and pool.
pub const MODEL: &str = "wardmote.panel/3";

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// The id: hex of the first 16 bytes over model, evidence, context and opinions (sorted by expert).
pub fn id(evidence: &Evidence, context: &Digest, opinions: &[Opinion], model: &Model) -> String {
    let text: usize = opinions.iter().map(|opinion| opinion.rationale.len() + 128).sum();
    let mut canon = Canon(Vec::with_capacity(4_096 + text));
    canon.text(MODEL);
    canon.flags(&[model.digest().is_some()]);
    canon.0.extend(model.digest().unwrap_or(&[0; 32]));
    canon.evidence(evidence);
    canon.0.extend(context);
    canon.number(opinions.len() as u64);
    for opinion in opinions {
        canon.text(&opinion.expert);
        for p in opinion.distribution {
            canon.number(p.to_bits());
        }
        canon.number(opinion.confidence.to_bits());
        canon.text(&opinion.rationale);
        canon.texts(opinion.sources.iter().map(String::as_str));
        canon.texts(opinion.facts.iter().map(String::as_str));
    }
    hex(&canon.digest()[..16])
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(*byte));
    }
    text
}

/// The digest of a context: taken once for all evidence judged in it.
pub fn context(context: &Context) -> Digest {
    let mut canon = Canon(Vec::with_capacity(4_096));
    canon.number(context.now.cast_unsigned());
    canon.flags(&[context.services_known, context.logs_known]);
    canon.number(context.services.len() as u64);
    for (name, service) in &context.services {
        canon.text(name);
        canon.number(service.exposure as u64);
        canon.text(&service.because);
        let mut ports = service.ports.clone();
        ports.sort_unstable();
        canon.number(ports.len() as u64);
        ports.into_iter().for_each(|port| canon.number(port.into()));
        canon.optional(service.uid.map(u64::from));
    }
    let mut attacks: Vec<_> = context.attacks.iter().collect();
    attacks.sort_unstable();
    canon.number(attacks.len() as u64);
    for attack in attacks {
        canon.text(&attack.service);
        canon.text(&attack.rule);
        canon.texts(attack.tags.iter().map(String::as_str));
        canon.number(attack.count);
        canon.number(attack.sources);
        canon.number(attack.last.cast_unsigned());
        canon.flags(&[attack.succeeded]);
    }
    canon.number(context.mentions.len() as u64);
    for (subject, speakers) in &context.mentions {
        canon.text(subject);
        canon.texts(speakers.iter().map(String::as_str));
    }
    canon.flags(&[context.new_subjects.is_some()]);
    canon.texts(context.new_subjects.iter().flatten().map(String::as_str));
    canon.number(context.addresses_named.len() as u64);
    for (rule, addresses) in &context.addresses_named {
        canon.text(rule);
        canon.number(*addresses);
    }
    canon.host(context);
    canon.flags(&[context.past.is_some()]);
    context.past.iter().for_each(|past| canon.past(past));
    canon.operator(&context.operator);
    canon.digest()
}

/// The bytes to hash, gathered first: hashing many small pieces costs more than copying them.
struct Canon(Vec<u8>);

impl Canon {
    fn digest(self) -> Digest {
        Sha256::digest(self.0).into()
    }

    fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn optional(&mut self, number: Option<u64>) {
        self.flags(&[number.is_some()]);
        self.number(number.unwrap_or_default());
    }

    fn flags(&mut self, flags: &[bool]) {
        flags.iter().for_each(|flag| self.0.push(u8::from(*flag)));
    }

    /// A length in groups of seven bits, the lowest first; the last one alone has no high bit.
    fn length(&mut self, mut length: usize) {
        while length >= 0x80 {
            self.0.push(0x80 | (length & 0x7F) as u8);
            length >>= 7;
        }
        self.0.push(length as u8);
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend(text.as_bytes());
    }

    /// A list whose order means nothing.
    fn texts<'a>(&mut self, texts: impl Iterator<Item = &'a str>) {
        let mut texts: Vec<&str> = texts.collect();
        texts.sort_unstable();
        self.length(texts.len());
        texts.into_iter().for_each(|text| self.text(text));
    }

    fn optional_text(&mut self, text: Option<&str>) {
        self.flags(&[text.is_some()]);
        self.text(text.unwrap_or_default());
    }

    /// Accounts, programs, addresses, packages and changes of the host.
    fn host(&mut self, context: &Context) {
        self.flags(&[context.accounts.is_some()]);
        let accounts = context.accounts.iter().flatten();
        self.number(accounts.clone().count() as u64);
        for (name, account) in accounts {
            self.text(name);
            self.number(account.uid.into());
            self.flags(&[account.login_shell]);
            self.optional(account.password.map(|password| password as u64));
            self.optional(account.password_days.map(i64::cast_unsigned));
        }
        self.flags(&[context.programs.is_some(), context.own_addresses.is_some()]);
        self.texts(context.programs.iter().flatten().map(String::as_str));
        self.networks(context.own_addresses.as_ref().unwrap_or(&Networks::default()));
        self.flags(&[context.packages.is_some(), context.changes.is_some()]);
        let packages = context.packages.iter().flatten();
        self.number(packages.clone().count() as u64);
        for (path, owner) in packages {
            self.text(path);
            self.text(&owner.package);
            self.optional(owner.intact.map(u64::from));
        }
        let mut changes: Vec<_> = context.changes.iter().flatten().collect();
        changes.sort_unstable();
        self.number(changes.len() as u64);
        for change in changes {
            self.text(&change.subject);
            self.number(change.at.cast_unsigned());
            self.flags(&[change.by_package]);
        }
    }

    fn past(&mut self, past: &Past) {
        self.number(past.days.into());
        self.flags(&[past.rules.is_some(), past.logins.is_some()]);
        let rules = past.rules.iter().flatten();
        self.number(rules.clone().count() as u64);
        for (rule, past) in rules {
            self.text(rule);
            self.seen(&past.all);
            self.number(past.strangers);
            self.all_seen(past.subjects.iter());
        }
        self.all_seen(past.logins.iter().flatten());
        self.number(past.returned.len() as u64);
        for (what, times) in &past.returned {
            self.text(what);
            self.number((*times).into());
        }
    }

    fn all_seen<'a>(&mut self, all: impl Iterator<Item = (&'a String, &'a Seen)> + Clone) {
        self.number(all.clone().count() as u64);
        for (name, seen) in all {
            self.text(name);
            self.seen(seen);
        }
    }

    fn seen(&mut self, seen: &Seen) {
        self.number(seen.count);
        self.number(seen.days.into());
        seen.hours.iter().for_each(|count| self.number(*count));
    }

    fn operator(&mut self, operator: &Operator) {
        self.optional(operator.role.map(|role| role as u64));
        let Operator { own_networks, monitoring, scanners, tor, .. } = operator;
        for list in [own_networks, monitoring, scanners, tor] {
            self.networks(list);
        }
        let mut accepted: Vec<_> = operator.accepted.iter().collect();
        accepted.sort_unstable();
        self.number(accepted.len() as u64);
        for pattern in accepted {
            self.text(&pattern.check);
            self.optional_text(pattern.user.as_deref());
            self.optional_text(pattern.network.map(|network| network.to_string()).as_deref());
            self.optional_text(pattern.path.as_deref());
        }
    }

    fn networks(&mut self, networks: &Networks) {
        self.number(networks.iter().len() as u64);
        for network in networks.iter() {
            self.text(&network.to_string());
        }
    }

    fn evidence(&mut self, evidence: &Evidence) {
        for text in [&evidence.check, &evidence.key, &evidence.title] {
            self.text(text);
        }
        self.number(evidence.kind as u64);
        self.number(evidence.proof as u64);
        self.number(evidence.level as u64);
        self.optional(evidence.floor.map(|floor| floor as u64));
        self.number(evidence.privilege as u64);
        self.texts(evidence.services.iter().map(String::as_str));
        let subject = &evidence.subject;
        for text in [&subject.ip, &subject.user, &subject.unit, &subject.path] {
            self.optional_text(text.as_deref());
        }
        self.optional(subject.port.map(u64::from));
        let mut sources: Vec<_> = evidence.sources.iter().collect();
        sources.sort_unstable();
        self.number(sources.len() as u64);
        for source in sources {
            self.text(&source.file);
            self.number(source.line.into());
            self.number(source.column.into());
            self.text(&source.text);
        }
        self.number(evidence.facts.len() as u64);
        for (name, value) in &evidence.facts {
            self.text(name);
            self.text(value);
        }
        self.texts(evidence.tags.iter().map(String::as_str));
        self.number(evidence.count);
        self.optional(evidence.first.map(i64::cast_unsigned));
        self.optional(evidence.last.map(i64::cast_unsigned));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Severity;
    use crate::experts::tests::posture;

    #[test]
    fn every_part_of_the_input_changes_the_id() {
        let evidence = posture(Severity::High);
        let empty = context(&Context::default());
        let opinion = Opinion {
            expert: "a".into(),
            distribution: [0.2; 5],
            confidence: 0.5,
            rationale: "b".into(),
            sources: Vec::new(),
            facts: Vec::new(),
        };
        let cold = Model::cold();
        let mut ids = std::collections::BTreeSet::new();
        ids.insert(id(&evidence, &empty, &[], &cold));
        ids.insert(id(&posture(Severity::Low), &empty, &[], &cold));
        ids.insert(id(&evidence, &context(&Context { now: 1, ..Context::default() }), &[], &cold));
        let historic = Context { new_subjects: Some(Default::default()), ..Context::default() };
        ids.insert(id(&evidence, &context(&historic), &[], &cold));
        ids.insert(id(&evidence, &empty, std::slice::from_ref(&opinion), &cold));
        // Text that moves from one field to the next is not the same text.
        let moved = Opinion { expert: "ab".into(), rationale: String::new(), ..opinion };
        ids.insert(id(&evidence, &empty, &[moved], &cold));
        let learnt = Model::learnt(&Default::default(), &[], [1; 32]);
        ids.insert(id(&evidence, &empty, &[], &learnt));
        assert_eq!(ids.len(), 7);
        assert!(ids.iter().all(|id| id.len() == 32));
    }

    #[test]
    fn every_part_of_the_context_changes_its_digest() {
        use crate::context::{Account, Change, Packaged, Pattern, Role, RulePast};
        let network = || vec!["192.0.2.0/24".parse().unwrap()];
        let account = Account { uid: 1, login_shell: true, password: None, password_days: Some(1) };
        let seen = || [("user:a".to_string(), Seen { count: 1, ..Seen::default() })].into();
        let rule = |strangers| RulePast { strangers, subjects: seen(), ..RulePast::default() };
        let past = |rules, logins| {
            let returned = [("a b".to_string(), 2)].into();
            Some(Past { days: 3, rules, logins, returned })
        };
        let owner = |intact| Packaged { package: "tool 1".into(), intact };
        let change = |by_package| Change { subject: "path:/x".into(), at: 7, by_package };
        let pattern = |user| Pattern { check: "a".into(), user, network: None, path: None };
        let empty = Context::default;
        let told = |operator| Context { operator, ..empty() };
        let contexts = [
            empty(),
            Context { addresses_named: [("rule".to_string(), 1)].into(), ..empty() },
            Context { accounts: Some(Default::default()), ..empty() },
            Context { accounts: Some([("a".to_string(), account)].into()), ..empty() },
            Context { programs: Some(Default::default()), ..empty() },
            Context { programs: Some(["sudo".to_string()].into()), ..empty() },
            Context { own_addresses: Some(Networks::default()), ..empty() },
            Context { own_addresses: Some(network().into()), ..empty() },
            Context { packages: Some([("/x".to_string(), owner(None))].into()), ..empty() },
            Context { packages: Some([("/x".to_string(), owner(Some(true)))].into()), ..empty() },
            Context { changes: Some(Vec::new()), ..empty() },
            Context { changes: Some(vec![change(true)]), ..empty() },
            Context { changes: Some(vec![change(false)]), ..empty() },
            Context { past: Some(Past::default()), ..empty() },
            Context { past: past(None, None), ..empty() },
            Context { past: past(Some([("r".to_string(), rule(1))].into()), None), ..empty() },
            Context { past: past(Some([("r".to_string(), rule(2))].into()), None), ..empty() },
            Context { past: past(None, Some(seen())), ..empty() },
            told(Operator { role: Some(Role::Web), ..Operator::default() }),
            told(Operator { own_networks: network().into(), ..Operator::default() }),
            told(Operator { monitoring: network().into(), ..Operator::default() }),
            told(Operator { scanners: network().into(), ..Operator::default() }),
            told(Operator { tor: network().into(), ..Operator::default() }),
            told(Operator { accepted: vec![pattern(None)], ..Operator::default() }),
            told(Operator { accepted: vec![pattern(Some("a".into()))], ..Operator::default() }),
        ];
        let digests: std::collections::BTreeSet<Digest> = contexts.iter().map(context).collect();
        assert_eq!(digests.len(), contexts.len());
    }
}
