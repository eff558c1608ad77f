//! The experts, one file each. A new expert: add its file and its line in [`all`], and its line in
//! [`crate::likelihood`], which says how far it is trusted.
//!
//! An expert gives the level that the evidence has in its view, as a distribution. Experts of the
//! surroundings therefore start from the declared level and move it; they say nothing about
//! evidence declared `info`, because surroundings make nothing of nothing.

use crate::{Evidence, Expert, Opinion, Severity};

/// Source of what the author of a check or rule wrote into it: level, tags, what is to be gained.
pub const RULES: &str = "rules";
/// Source of what the kernel's own tables say.
pub const KERNEL: &str = "kernel";
/// Source of what the logs say about others than the subject of the evidence.
pub const LOGS: &str = "logs";
/// Source of what this host remembers.
pub const HISTORY: &str = "history";

pub mod attack;
pub mod corroboration;
pub mod declared;
pub mod exposure;
pub mod novelty;
pub mod privilege;

/// Every built-in expert, in the order in which they are asked and shown.
pub fn all() -> Vec<Box<dyn Expert>> {
    vec![
        Box::new(declared::Declared),
        Box::new(exposure::Exposed),
        Box::new(attack::UnderAttack),
        Box::new(privilege::Gained),
        Box::new(corroboration::Corroborated),
        Box::new(novelty::Novel),
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

    #[test]
    fn names_are_unique_and_every_expert_has_its_own_model() {
        let names: std::collections::BTreeSet<_> = all().iter().map(|e| e.name()).collect();
        assert_eq!(names.len(), all().len());
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
