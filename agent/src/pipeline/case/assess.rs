//! First stage: is it worth the whole pipeline? Most of what a host says is not.
//!
//! The trivial is still judged by the built-in panel (that costs microseconds) and still stored; it
//! is spared what costs more: experts from outside, a look into memory, a second reading.

use consensus::{Context, Evidence, Privilege, Severity};

/// How much a piece of evidence gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The built-in panel alone.
    Trivial,
    /// Every stage.
    Full,
}

/// Weighs one piece of evidence. Trivial is only what its rule calls information, what gives nobody
/// any right, and whose subject no other rule speaks of: whatever may be part of something is not.
pub fn assess(evidence: &Evidence, context: &Context) -> Weight {
    let harmless = evidence.level == Severity::Info
        && evidence.floor.is_none()
        && evidence.privilege <= Privilege::Information;
    match harmless && !spoken_of(evidence, context) {
        true => Weight::Trivial,
        false => Weight::Full,
    }
}

/// Whether another check or rule speaks of the same subject.
fn spoken_of(evidence: &Evidence, context: &Context) -> bool {
    let others = |key: String| {
        let rules = context.mentions.get(&key);
        rules.is_some_and(|rules| rules.iter().any(|rule| *rule != evidence.check))
    };
    let subject = &evidence.subject;
    let named = [
        ("ip", &subject.ip),
        ("user", &subject.user),
        ("path", &subject.path),
        ("unit", &subject.unit),
    ];
    named
        .into_iter()
        .any(|(kind, value)| value.as_ref().is_some_and(|value| others(format!("{kind}:{value}"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::case::samples::evidence;

    #[test]
    fn only_lonely_information_without_rights_is_trivial() {
        let mut context = Context::default();
        let mut plain = evidence("ssh-accepted", Severity::Info);
        assert_eq!(assess(&plain, &context), Weight::Trivial);
        plain.privilege = Privilege::User;
        assert_eq!(assess(&plain, &context), Weight::Full);
        let mut floored = evidence("ssh-accepted", Severity::Info);
        floored.floor = Some(Severity::Low);
        assert_eq!(assess(&floored, &context), Weight::Full);
        assert_eq!(assess(&evidence("x", Severity::Low), &context), Weight::Full);

        let plain = evidence("ssh-accepted", Severity::Info);
        let name = "ip:192.0.2.7".to_string();
        context.mentions.entry(name.clone()).or_default().insert("ssh-accepted".into());
        assert_eq!(assess(&plain, &context), Weight::Trivial, "its own rule");
        context.mentions.entry(name).or_default().insert("ssh-brute-force".into());
        assert_eq!(assess(&plain, &context), Weight::Full);
    }
}
