//! Why rules did not match a line: which of their selections held, for `wardmote match -v`.
//!
//! Said of rules whose log source is that of the line and of which a selection held; with `-vv` of every
//! rule whose log source it is. What a selection looked for is not repeated: it stands in the rule.

use scanner::logs::RuleSet;
use scanner::logs::event::Event;
use scanner::logs::matcher::{held, holds};

/// Most rules that are spoken of for one line.
pub const RULES_MAX: usize = 100;

/// One sentence a rule that did not match.
pub fn not(rules: &RuleSet, event: &Event<'_>, verbose: u8) -> Vec<String> {
    let concerned = rules.rules.iter().filter(|compiled| compiled.concerns(event));
    let missed = concerned.filter(|compiled| !holds(&compiled.rule, event));
    let said = missed.filter_map(|compiled| {
        let rule = &compiled.rule;
        let names = rule.detection.selections.iter().map(|(name, _)| name.as_str());
        let (mut yes, mut no) = (Vec::new(), Vec::new());
        for (name, held) in names.zip(held(rule, event)) {
            if held { yes.push(name) } else { no.push(name) }
        }
        if yes.is_empty() && verbose < 2 {
            return None;
        }
        let words = |names: &[&str]| match names {
            [] => "-".to_string(),
            names => scanner::redact::printable(&names.join(", ")),
        };
        let key = scanner::redact::printable(rule.header.key());
        Some(format!("{key} does not match; held: {}; not held: {}", words(&yes), words(&no)))
    });
    said.take(RULES_MAX).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use parsers::rules::sigma::parse;
    use scanner::logs::event::Form;

    fn rules(count: usize) -> RuleSet {
        let one = |number: usize| {
            format!(
                "title: t\nname: r{number}\nlogsource: {{product: linux, service: sshd}}\n\
                 detection:\n  a: {{user: root}}\n  b: {{src_ip: 192.0.2.9}}\n  condition: a and b\n"
            )
        };
        let text = (0..count).map(one).collect::<Vec<_>>().join("---\n");
        RuleSet::new(parse(&std::sync::Arc::from("r.yml"), text.as_bytes()).unwrap()).ok().unwrap()
    }

    fn said(line: &str, count: usize, verbose: u8) -> Vec<String> {
        not(&rules(count), &Event::read(line.as_bytes(), &mut Form::default()), verbose)
    }

    const NEAR: &str =
        "Dec 10 06:55:01 web sshd[7]: Failed password for root from 192.0.2.7 port 4 ssh2";

    #[test]
    fn a_near_miss_says_what_held() {
        assert_eq!(said(NEAR, 1, 1), ["r0 does not match; held: a; not held: b"]);
        let hit = NEAR.replace("192.0.2.7", "192.0.2.9");
        assert_eq!(said(&hit, 1, 2), Vec::<String>::new());
        let far = NEAR.replace("root", "bob");
        assert_eq!(said(&far, 1, 1), Vec::<String>::new());
        assert_eq!(said(&far, 1, 2), ["r0 does not match; held: -; not held: a, b"]);
        assert_eq!(said(&NEAR.replace("sshd", "cron"), 1, 2), Vec::<String>::new());
    }

    #[test]
    fn only_so_many_rules_are_spoken_of() {
        assert_eq!(said(NEAR, RULES_MAX, 1).len(), RULES_MAX);
        assert_eq!(said(NEAR, RULES_MAX + 1, 1).len(), RULES_MAX);
    }
}
