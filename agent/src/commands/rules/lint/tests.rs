//! Rules that do not hold, and where that is said.
#![allow(clippy::unwrap_used)]

use super::*;

/// A rule that holds, but for what replaces a part of it.
fn rule(with: &[(&str, &str)]) -> String {
    let mut text = "\
title: t
id: 0b9d3c52-7a1e-4f0e-9a55-2f1d6c6f0001
name: mine
description: d
tags:
    - attack.t1110
logsource:
    product: linux
    service: sshd
detection:
    one:
        message|contains: 'text'
    two:
        user: 'root'
    condition: one and not two
falsepositives:
    - none
level: low
"
    .to_string();
    for (from, to) in with {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    text
}

fn count(with: &[(&str, &str)]) -> String {
    let mut text = "\
title: c
id: 0b9d3c52-7a1e-4f0e-9a55-2f1d6c6f0002
name: counting
description: d
correlation:
    type: value_count
    rules:
        - mine
    group-by:
        - src_ip
    timespan: 10m
    condition:
        field: user
        gte: 3
falsepositives:
    - none
level: low
"
    .to_string();
    for (from, to) in with {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    text
}

fn found(text: &str) -> Vec<String> {
    let (name, text) = (std::sync::Arc::from("r.yml"), text.to_string());
    let files = [RuleFile { name, text, samples: None }];
    let findings = all(&files, false).unwrap();
    findings.iter().map(|finding| format!("{}: {}", finding.place, finding.message)).collect()
}

#[test]
fn each_thing_that_does_not_hold_is_said_in_its_place() {
    for (with, said) in [
        (&[("level: low\n", "")][..], "r.yml:1:1: a rule without `level`"),
        (&[("id: 0b9d3c52-7a1e-4f0e-9a55-2f1d6c6f0001", "id: mine")], "r.yml:2:1: `id` is no UUID"),
        (&[("t1110", "t11")], "r.yml:5:1: tag `attack.t11` is not of Sigma's taxonomy"),
        (
            &[("falsepositives:\n    - none\n", "falsepositive: none\nfalsepositives: [a]\n")],
            "r.yml:16:1: unknown key `falsepositive`: did you mean `falsepositives`?",
        ),
        (&[("one and not two", "one")], "r.yml:13:5: no condition reads the selection `two`"),
        (
            &[("one and not two", "one or three or not two")],
            "selection that the rule does not have",
        ),
        (
            &[("one and not two", "one and two and not one")],
            "r.yml:15:5: the condition can never hold",
        ),
        (&[("one and not two", "one or two or not one")], "r.yml:15:5: the condition always holds"),
        (
            &[("one and not two", "one or not two")],
            "r.yml:15:5: the condition holds when no selection",
        ),
        (&[("user:", "usr:")], "r.yml:14:9: no log of this source has a field `usr`"),
        (&[("'text'", "'*'")], "r.yml:12:9: `message|contains` matches everything"),
        (
            &[("message|contains: 'text'", "message|re: '.*'")],
            "matches everything, the empty text too",
        ),
        (
            &[("message|contains: 'text'", "message|re: '\\d+'")],
            "r.yml:12:9: `message|re` holds no text",
        ),
        (
            &[("'text'", "[text, TEXT]")],
            "r.yml:12:9: `message|contains` has the value `TEXT` twice",
        ),
        (&[("|contains:", "|contains|all:")], "asks for all of a single value"),
        (&[("|contains:", "|contain:")], "unknown modifier `contain`"),
        (&[("detection:", "wardmote_samples: [x]\ndetection:")], "`wardmote_samples` is a map"),
    ] {
        let seen = found(&rule(with));
        assert!(seen.iter().any(|one| one.contains(said)), "{said}: {seen:?}");
    }
    assert_eq!(found(&rule(&[])), Vec::<String>::new());
    // A regular expression beside a text that picks its lines costs nothing.
    let beside =
        ("message|contains: 'text'", "message|contains: 'text'\n        command|re: '\\d+'");
    assert_eq!(found(&rule(&[beside])), Vec::<String>::new());
}

#[test]
fn correlations_that_contradict_themselves_are_said() {
    let both = |with: &[(&str, &str)]| format!("{}---\n{}", rule(&[]), count(with));
    for (with, said) in [
        (&[("- mine", "- nobody")][..], "r.yml:26:5: refers to `nobody`"),
        (&[("- mine", "- counting")], "refers to itself: `counting`"),
        (&[("- src_ip", "- user")], "r.yml:31:5: counts the values of `user` and groups by it"),
        (&[("- src_ip", "- src_ip\n        - src_ip")], "r.yml:28:5: groups by `src_ip` twice"),
        (&[("- src_ip", "- scr_ip")], "r.yml:28:5: no log of `mine` has a field `scr_ip`"),
        (&[("gte: 3", "gte: 1")], "r.yml:31:5: the count is reached by a single event"),
        (
            &[("    timespan", "    aliases:\n        who:\n            mine: user\n    timespan")],
            "the alias `who` is not used",
        ),
        (&[("name: counting", "name: mine")], "has the same name or id"),
    ] {
        let seen = found(&both(with));
        assert!(seen.iter().any(|one| one.contains(said)), "{said}: {seen:?}");
    }
    assert_eq!(found(&both(&[])), Vec::<String>::new());
    // A rule of one's own may count what a built-in one sees.
    assert_eq!(found(&count(&[("- mine", "- ssh-login-failed")])), Vec::<String>::new());
}

#[test]
fn the_built_in_rules_hold() {
    let findings = all(&crate::commands::rules::files(&[]).unwrap(), true).unwrap();
    assert!(findings.is_empty(), "{findings:#?}");
}
