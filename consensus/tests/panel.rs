//! What the cold panel decides: one table of cases that an administrator can check by reading.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

#[path = "panel/cases.rs"]
mod cases;
#[path = "panel/made.rs"]
mod made;

use Severity::{Critical, High, Low, Medium};
use consensus::{Context, Evidence, Exposure, Kind, Panel, Privilege, Proof, Severity, Subject};

use cases::cases;
use made::*;

#[test]
fn the_table_of_cases_holds() {
    let panel = Panel::cold();
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 160, "{}", cases.len());
    for (name, evidence, context, least, most) in cases {
        let verdict = panel.judge(&evidence, &context);
        if verdict.severity < least || verdict.severity > most {
            let declared = (evidence.level, evidence.privilege);
            wrong.push(format!(
                "{name} {declared:?}: {} is not {least}..{most}\n  {}",
                verdict.severity,
                verdict.reasons.join("\n  ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each expert has cases of the table in which it speaks, and without which the probabilities differ.
#[test]
fn the_table_shows_every_expert_at_work() {
    let cases = cases();
    for expert in EXPERTS {
        let without = Panel::cold().without(expert);
        let moved = cases.iter().filter(|(_, evidence, context, ..)| {
            let (with, without) =
                (Panel::cold().judge(evidence, context), without.judge(evidence, context));
            with.opinions.iter().any(|opinion| opinion.expert == expert)
                && with.probabilities != without.probabilities
        });
        let moved = moved.count();
        assert!(moved >= 2, "{expert} moves {moved} cases");
    }
}

/// What a log shows by itself, without a history and without a look at the host, is heard by three
/// experts from two sources: fewer would cap it at medium.
#[test]
fn a_lone_detection_has_three_voices_from_two_sources() {
    let lone = |evidence: Evidence, subject: Subject| Evidence {
        sources: vec![consensus::SourceLine {
            file: "/var/log/auth.log".into(),
            line: 1,
            column: 1,
            text: String::new(),
        }],
        services: Vec::new(),
        subject,
        ..evidence
    };
    let rule = |tag: &str| Evidence {
        tags: vec![tag.into()],
        ..activity("rule", Critical, Privilege::Root)
    };
    let by = |user: &str| Subject { user: Some(user.into()), ..Subject::default() };
    let from = Subject { ip: Some("198.51.100.7".into()), ..Subject::default() };
    let as_root = Evidence {
        facts: [("entered_as".to_string(), "root".to_string())].into(),
        ..rule("attack.t1548.003")
    };
    for evidence in [
        lone(rule("attack.t1110"), from),
        lone(as_root, by("alice")),
        lone(rule("attack.t1078"), by("root")),
        lone(rule("attack.t1136.001"), by("mallory")),
        lone(rule("attack.t1070.002"), by("alice")),
        lone(rule("attack.t1562.001"), by("alice")),
        lone(rule("attack.t1547.006"), Subject::default()),
    ] {
        let verdict = Panel::cold().judge(&evidence, &nothing_known());
        let sources: std::collections::BTreeSet<_> =
            verdict.opinions.iter().flat_map(|opinion| &opinion.sources).collect();
        assert!(verdict.opinions.len() >= 3, "{:?}: {:?}", evidence.tags, verdict.reasons);
        assert!(sources.len() >= 2, "{sources:?}");
        assert_eq!(verdict.severity, Critical, "{:?}", verdict.reasons);
    }
}

#[test]
fn the_same_setting_is_low_on_loopback_and_critical_when_reachable_and_attacked() {
    let panel = Panel::cold();
    let inside = panel.judge(&root_login(), &quiet(Exposure::Loopback));
    let outside = panel.judge(&root_login(), &brute_forced(Exposure::World));
    assert_eq!((inside.severity, outside.severity), (Low, Critical));
    assert_ne!(inside.trace, outside.trace);
    assert!(inside.dissent.iter().any(|d| d.expert == "declared" && d.label == High));
}

#[test]
fn guessing_passwords_raises_no_setting_that_it_does_not_use() {
    let forwarding = Evidence { tags: Vec::new(), ..ssh(Low, Privilege::Information) };
    let panel = Panel::cold();
    let judged = |context: &Context| panel.judge(&forwarding, context).severity;
    assert_eq!(judged(&brute_forced(Exposure::World)), judged(&quiet(Exposure::World)));
}

#[test]
fn wider_reach_is_never_milder() {
    let panel = Panel::cold();
    for evidence in [passwords(), root_login()] {
        let at = |exposure| panel.judge(&evidence, &quiet(exposure)).severity;
        assert!(at(Exposure::Loopback) < at(Exposure::Private));
        assert!(at(Exposure::Private) <= at(Exposure::World));
    }
}

#[test]
fn an_empty_root_password_is_critical_whoever_is_left() {
    let evidence = empty_root_password();
    for context in [nothing_known(), quiet(Exposure::Loopback), closed()] {
        assert_eq!(Panel::cold().judge(&evidence, &context).severity, Critical);
        for expert in EXPERTS {
            assert_eq!(Panel::only(&[expert]).judge(&evidence, &context).severity, Critical);
        }
        let nobody = Panel::only(&[]).judge(&evidence, &context);
        assert_eq!((nobody.severity, nobody.probabilities[&Critical]), (Critical, 1.0));
        assert!(!nobody.needs_human);
        assert!(nobody.reasons[0].starts_with("known to be bad"), "{:?}", nobody.reasons);
    }
}

#[test]
fn the_anchor_alone_keeps_its_level_for_every_kind_and_proof() {
    for kind in [Kind::Posture, Kind::Service, Kind::Patch, Kind::Activity] {
        for proof in [Proof::Direct, Proof::Inferred] {
            for level in Severity::ALL {
                let evidence = Evidence { kind, proof, ..ssh(level, Privilege::User) };
                let verdict = Panel::only(&["declared"]).judge(&evidence, &nothing_known());
                // One voice alone is not enough for what was only inferred.
                let expected = if proof == Proof::Inferred { level.min(Medium) } else { level };
                assert_eq!(verdict.severity, expected, "{kind:?} {proof:?}");
            }
        }
    }
}

#[test]
fn without_opinions_a_human_is_asked() {
    let verdict = Panel::only(&[]).judge(&passwords(), &nothing_known());
    assert!(verdict.needs_human);
    assert_eq!(verdict.severity, Medium);
    let cold = Panel::cold();
    assert!(!cold.judge(&passwords(), &quiet(Exposure::World)).needs_human);
}

#[test]
fn the_panel_names_its_experts() {
    assert_eq!(Panel::cold().names(), EXPERTS);
}

#[test]
fn reasons_cite_facts_and_end_with_the_sum() {
    let verdict = Panel::cold().judge(&root_login(), &brute_forced(Exposure::World));
    let text = verdict.reasons.join("\n");
    assert!(text.contains("ssh listens on port 22, reachable from the world (bound)"), "{text}");
    assert!(text.contains("4021 events from 37 sources against ssh"), "{text}");
    let last = verdict.reasons.last().unwrap();
    assert!(last.contains("in all for worse than high"), "{last}");
}
