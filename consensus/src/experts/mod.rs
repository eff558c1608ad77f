//! The experts, one file each. A new expert: add its file and its line in [`all`], and its line in
//! [`crate::likelihood`], which says how far it is trusted.
//!
//! An expert gives the level that the evidence has in its view, as a distribution. Experts of the
//! surroundings therefore start from the declared level and move it; they say nothing about
//! evidence declared `info`, because surroundings make nothing of nothing.

use std::net::IpAddr;

use crate::{Evidence, Expert, Opinion, Severity};

/// Source of what the author of a check or rule wrote into it: level, tags, what is to be gained.
pub const RULES: &str = "rules";
/// Source of what the kernel's own tables say.
pub const KERNEL: &str = "kernel";
/// Source of what the logs say about others than the subject of the evidence.
pub const LOGS: &str = "logs";
/// Source of what this host remembers.
pub const HISTORY: &str = "history";
/// Source of what the operator told.
pub const OPERATOR: &str = "operator";
/// Source of times: who can set the clock, or the stamps of a log, can make them wrong.
pub const CLOCK: &str = "clock";
/// Source of what sort of address is which: the registries of IANA.
pub const ADDRESSES: &str = "addresses";
/// Source of what package brought which file, and with what contents.
pub const PACKAGES: &str = "packages";
/// Source of who has an account: the databases of accounts and passwords.
pub const ACCOUNTS: &str = "accounts";
/// Source of what is on disk, and since when.
pub const FILES: &str = "files";

/// Seconds of a day.
const DAY: i64 = 86_400;

pub mod attack;
pub mod change;
pub mod corroboration;
pub mod credentials;
pub mod declared;
pub mod exposure;
pub mod hours;
pub mod known_good;
pub mod noise;
pub mod novelty;
pub mod preconditions;
pub mod privilege;
pub mod rarity;
pub mod recurrence;
pub mod role;
pub mod threat;

/// Every built-in expert, in the order in which they are asked and shown.
pub fn all() -> Vec<Box<dyn Expert>> {
    vec![
        Box::new(declared::Declared),
        Box::new(exposure::Exposed),
        Box::new(attack::UnderAttack),
        Box::new(preconditions::Possible),
        Box::new(privilege::Gained),
        Box::new(credentials::Guarded),
        Box::new(role::Touched),
        Box::new(corroboration::Corroborated),
        Box::new(rarity::Rare),
        Box::new(novelty::Novel),
        Box::new(change::Changed),
        Box::new(recurrence::Recurrent),
        Box::new(known_good::KnownGood),
        Box::new(noise::Noise),
        Box::new(threat::Origin),
        Box::new(hours::OddHour),
    ]
}

/// The level some steps above (or below) another, within the scale.
fn shifted(level: Severity, steps: isize) -> Severity {
    Severity::from_index(level.index().saturating_add_signed(steps))
}

/// Mostly this level; `below` and `above` of the mass on its neighbours, where it has them.
fn around(level: Severity, below: f64, above: f64) -> [f64; 5] {
    let mut distribution = [0.0; 5];
    distribution[level.index()] += 1.0 - below - above;
    distribution[shifted(level, -1).index()] += below;
    distribution[shifted(level, 1).index()] += above;
    distribution
}

/// An opinion of a built-in expert, resting on these sources.
fn opinion(
    expert: &'static str,
    distribution: [f64; 5],
    confidence: f64,
    rationale: String,
    sources: &[&str],
) -> Option<Opinion> {
    let mut sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
    sources.sort_unstable();
    sources.dedup();
    let expert = expert.to_string();
    Some(Opinion { expert, distribution, confidence, rationale, sources, facts: Vec::new() })
}

/// The files that show the evidence, as sources of an opinion; at most a few.
fn shown_by(evidence: &Evidence) -> Vec<String> {
    let mut files: Vec<String> =
        evidence.sources.iter().map(|source| format!("file:{}", source.file)).collect();
    files.sort_unstable();
    files.dedup();
    files.truncate(crate::opinion::MAX_NAMED);
    files
}

/// The names under which others may speak of whom or what the evidence is about; not its services.
fn subjects(evidence: &Evidence) -> Vec<String> {
    let subject = &evidence.subject;
    [("ip", &subject.ip), ("user", &subject.user), ("path", &subject.path)]
        .into_iter()
        .filter_map(|(sort, name)| Some(format!("{sort}:{}", name.as_ref()?)))
        .collect()
}

/// The address that an activity comes from.
fn address(evidence: &Evidence) -> Option<IpAddr> {
    Some(evidence.subject.ip.as_ref()?.parse::<IpAddr>().ok()?.to_canonical())
}

/// Whether the log says that it was done, not merely tried: somebody got in, or acted as somebody.
fn was_done(evidence: &Evidence) -> bool {
    evidence.facts.get("success").is_some_and(|value| value == "true")
        || evidence.facts.get("entered_as").is_some_and(|names| !names.is_empty())
}

/// Whether two tags name the same technique: `attack.t1110` covers `attack.t1110.001`.
fn kin(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether the evidence is about one of these techniques.
fn uses(evidence: &Evidence, techniques: &[&str]) -> bool {
    evidence.tags.iter().any(|tag| techniques.iter().any(|technique| kin(tag, technique)))
}

/// A span of time for people: seconds up to two minutes, minutes up to two hours, and so on.
fn span(seconds: i64) -> String {
    match seconds.max(0) {
        short @ 0..=119 => format!("{short} s"),
        minutes @ 120..=7_199 => format!("{} min", minutes / 60),
        hours @ 7_200..=172_799 => format!("{} h", hours / 3_600),
        days => format!("{} days", days / DAY),
    }
}

/// A list for people: at most three names, then how many more.
fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 3;
    let all = names.len();
    let shown: Vec<&str> = names.take(SHOWN).collect();
    match all.saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Context, Evidence, Exposure, Kind, Privilege, Proof, Service, Subject};

    /// A weak sshd setting, read from its file.
    pub(crate) fn posture(level: Severity) -> Evidence {
        Evidence {
            check: "ssh-permit-root-login".into(),
            key: String::new(),
            title: "Root may log in over SSH".into(),
            kind: Kind::Posture,
            proof: Proof::Direct,
            level,
            floor: None,
            privilege: Privilege::Root,
            services: vec!["ssh".into()],
            subject: Subject::default(),
            sources: Vec::new(),
            facts: Default::default(),
            tags: vec!["attack.t1110".into()],
            count: 1,
            first: None,
            last: None,
        }
    }

    /// A context in which `ssh` listens with this exposure.
    pub(crate) fn listening(exposure: Exposure) -> Context {
        let service =
            Service { exposure, because: "0.0.0.0".into(), ports: vec![22], uid: Some(0) };
        Context {
            now: 1_000_000_000,
            services_known: true,
            services: [("ssh".to_string(), service)].into(),
            logs_known: true,
            ..Context::default()
        }
    }

    /// Something that a rule saw from an address.
    pub(crate) fn activity(level: Severity) -> Evidence {
        let subject = Subject { ip: Some("192.0.2.7".into()), ..Subject::default() };
        Evidence {
            check: "ssh-brute-force".into(),
            kind: Kind::Activity,
            proof: Proof::Inferred,
            privilege: Privilege::None,
            subject,
            first: Some(1_000_000_000 - 600),
            last: Some(1_000_000_000 - 60),
            ..posture(level)
        }
    }

    /// The same with a fact.
    pub(crate) fn with_fact(mut evidence: Evidence, name: &str, value: &str) -> Evidence {
        evidence.facts.insert(name.into(), value.into());
        evidence
    }

    /// The level that an opinion has on the average.
    pub(crate) fn mean(opinion: &Opinion) -> f64 {
        opinion.distribution.iter().enumerate().map(|(level, p)| level as f64 * p).sum()
    }

    #[test]
    fn nothing_wrong_is_no_matter_for_the_surroundings() {
        use crate::context::{Change, Past};
        let past = Past { days: 30, rules: Some(Default::default()), ..Past::default() };
        let change = Change { subject: "ip:192.0.2.7".into(), at: 999_999_999, by_package: false };
        let context = Context {
            past: Some(past),
            changes: Some(vec![change]),
            accounts: Some(Default::default()),
            ..listening(Exposure::World)
        };
        for evidence in [posture(Severity::Info), activity(Severity::Info)] {
            for expert in all() {
                let said = expert.judge(&evidence, &context);
                assert!(expert.name() == "declared" || said.is_none(), "{said:?}");
            }
        }
    }

    #[test]
    fn spans_are_for_people() {
        for (seconds, text) in [(-5, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h")] {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(span(3 * DAY), "3 days");
        assert_eq!(span(i64::MAX), "106751991167300 days");
    }

    #[test]
    fn names_are_unique_and_every_expert_has_its_own_model() {
        let names: std::collections::BTreeSet<_> = all().iter().map(|e| e.name()).collect();
        assert_eq!(names.len(), all().len());
        assert!(names.len() <= crate::gate::MAX_EXPERTS);
        for name in names {
            assert!(crate::likelihood::is_known(name), "{name} has no line in likelihood");
        }
    }

    #[test]
    fn distributions_keep_their_mass_at_the_ends_of_the_scale() {
        for level in Severity::ALL {
            let sum: f64 = around(level, 0.2, 0.3).iter().sum();
            assert!((sum - 1.0).abs() < 1e-12);
        }
        assert_eq!(shifted(Severity::Info, -2), Severity::Info);
        assert_eq!(shifted(Severity::High, 2), Severity::Critical);
        assert_eq!(listed(["a", "b"].into_iter()), "a, b");
        assert_eq!(listed(["a", "b", "c", "d", "e"].into_iter()), "a, b, c and 2 more");
    }
}
