use std::collections::BTreeMap;

use consensus::{Evidence, Operator, Privilege, Proof, Severity, Subject, Verdict};

use super::*;
use crate::report::Remediation;
use crate::settings::ResponseSettings;

pub fn verdict(severity: Severity) -> Verdict {
    Verdict {
        severity,
        probabilities: BTreeMap::from([(severity, 0.97), (Severity::Info, 0.03)]),
        agreement: 1.0,
        dissent: Vec::new(),
        reasons: Vec::new(),
        trace: "t".into(),
        set: [severity, severity],
        effective_experts: 4.0,
        stands_without_experts: 2,
        stands_without_sources: 1,
        would_change: Vec::new(),
        capped: None,
        needs_human: false,
        opinions: Vec::new(),
    }
}

/// A case of an attack from an address.
pub fn case(ip: &str, severity: Severity) -> Case {
    Case {
        fingerprint: format!("case-{ip}"),
        evidence: Evidence {
            check: "ssh-brute-force".into(),
            key: ip.into(),
            title: format!("Passwords guessed over SSH: {ip}"),
            kind: Kind::Activity,
            proof: Proof::Inferred,
            level: severity,
            floor: None,
            privilege: Privilege::User,
            services: vec!["ssh".into()],
            subject: Subject {
                ip: Some(ip.into()),
                user: Some("bob".into()),
                ..Subject::default()
            },
            sources: Vec::new(),
            facts: BTreeMap::new(),
            tags: Vec::new(),
            count: 20,
            first: Some(900),
            last: Some(990),
        },
        outside: Vec::new(),
        unanswered: Vec::new(),
        verdict: verdict(severity),
        learnt: None,
        why: String::new(),
        remediation: Remediation::default(),
        shown: 1.0,
        course: None,
    }
}

pub fn known() -> Known {
    Known { logins: Ok(BTreeSet::new()), dismissed: Ok(BTreeSet::new()) }
}

pub fn policy(yaml: &str) -> Policy {
    let settings: ResponseSettings = serde_yaml::from_str(yaml).unwrap();
    let own = vec!["198.18.0.0/15".parse().unwrap()];
    Policy::new(settings, &Operator { own_networks: own.into(), ..Operator::default() })
}

const ON: &str = "enabled: true\nblock: {enabled: true}\n";

#[test]
fn nothing_is_proposed_that_is_not_opted_into_or_not_bad_enough() {
    let all = |yaml: &str, case: &Case| proposals(case, 1_000, &policy(yaml), &known());
    let bad = case("192.0.2.7", Severity::High);
    assert_eq!(all("{}", &bad), []);
    assert_eq!(all("enabled: true", &bad), []);
    assert_eq!(all("block: {enabled: true}", &bad), []);
    assert_eq!(all(ON, &bad).len(), 1);
    assert_eq!(all(ON, &case("192.0.2.7", Severity::Medium)), []);
    assert_eq!(all(ON, &case("gate.example.org", Severity::High)), [], "no address");
    let mut state = bad.clone();
    state.evidence.kind = Kind::Posture;
    assert_eq!(all(ON, &state), [], "a setting comes from nowhere");
    let mut nobody = bad;
    nobody.evidence.subject.ip = None;
    assert_eq!(all(ON, &nobody), []);
}

#[test]
fn a_block_carries_the_verdict_its_risk_and_its_times() {
    let one = proposals(&case("::ffff:192.0.2.7", Severity::High), 1_000, &policy(ON), &known());
    let Proposal { action, aim, testimony, factors, hold_s, confirm_within_s, .. } = &one[0];
    assert_eq!(action.target(), "192.0.2.7", "mapped addresses are IPv4");
    assert_eq!(aim.network.unwrap().to_string(), "192.0.2.7");
    assert_eq!((testimony.experts, testimony.judged, testimony.happened), (2, 1_000, Some(990)));
    let (one, firm) = (Reach::One, Certainty::Firm);
    let expected =
        Factors { reach: one, undo: Undo::ByItself, target: Target::Stranger, certainty: firm };
    assert_eq!(*factors, expected);
    assert_eq!((*hold_s, *confirm_within_s), (3_600, Some(600)));
    let held = format!("{ON}allow: []\n").replace("true}", "true, unconfirmed: hold, for: 2h}");
    let one = proposals(&case("192.0.2.7", Severity::High), 1_000, &policy(&held), &known());
    assert_eq!((one[0].hold_s, one[0].confirm_within_s), (7_200, None));
}

#[test]
fn what_did_not_stand_a_second_reading_is_refuted() {
    let mut one = case("192.0.2.7", Severity::High);
    let course = |checked: serde_json::Value| {
        let whole = serde_json::json!({"questions": {}, "checked": checked});
        serde_json::from_value(whole).unwrap()
    };
    let refuted = |one: &Case| proposals(one, 1_000, &policy(ON), &known())[0].testimony.refuted;
    assert!(!refuted(&one));
    one.course = Some(course(serde_json::json!({"sources": 1})));
    assert!(!refuted(&one));
    one.course = Some(course(serde_json::json!({"sources": 1, "refuted": "a relay"})));
    assert!(refuted(&one));
}

#[test]
fn whom_it_hits_is_told_by_logins_and_networks() {
    let class = |ip: &str, known: &Known| {
        let all = proposals(&case(ip, Severity::High), 1_000, &policy(ON), known);
        all[0].factors.target
    };
    assert_eq!(class("192.0.2.7", &known()), Target::Stranger);
    assert_eq!(class("10.1.2.3", &known()), Target::Neighbour);
    assert_eq!(class("198.18.1.1", &known()), Target::Neighbour, "the operator's own");
    let logins = Ok(["192.0.2.7".parse().unwrap()].into());
    let came = Known { logins, ..known() };
    assert_eq!(class("192.0.2.7", &came), Target::Own);
    assert_eq!(class("192.0.2.0/24", &came), Target::Own);
    assert_eq!(class("192.0.3.0/24", &came), Target::Stranger);
    let blind = Known { logins: Err("denied".into()), ..known() };
    assert_eq!(class("192.0.2.7", &blind), Target::Own, "not known is not a stranger");
}

#[test]
fn a_dismissal_holds_until_an_operator_says_otherwise() {
    let click = |word: &str, finding: &str| -> Click {
        serde_json::from_value(serde_json::json!({
            "time": 1, "operator": 0, "trace": "t", "finding": finding, "word": word,
            "kind": "activity", "severity": "high", "shown": 1.0, "opinions": [], "note": ""
        }))
        .unwrap()
    };
    let said = [click("dismiss", "a"), click("dismiss", "b"), click("confirm", "b")];
    let dismissed = dismissed(&said);
    assert_eq!(dismissed, ["a".to_string()].into());
    let case = case("192.0.2.7", Severity::High);
    let told = |dismissed| {
        let known = Known { dismissed, ..known() };
        proposals(&case, 1_000, &policy(ON), &known)[0].testimony.dismissed
    };
    assert_eq!(told(Ok([case.fingerprint.clone()].into())), Some(true));
    assert_eq!(told(Ok(dismissed)), Some(false));
    assert_eq!(told(Err("denied".into())), None);
}

#[test]
fn a_command_is_proposed_where_the_case_has_what_its_words_need() {
    let with = |words: &str, more: &str| {
        format!(
            "enabled: true\ncommands:\n- {{name: x, run: [/x, {words}], undo: [/y, {words}], \
             from: high{more}}}\n"
        )
    };
    let all = |yaml: &str, case: &Case| proposals(case, 1_000, &policy(yaml), &known());
    let bad = case("192.0.2.7", Severity::High);
    let one = all(&with("'{ip}', '{user}'", ""), &bad);
    let Action::Command { about, run, undo, .. } = &one[0].action else { panic!("{one:?}") };
    assert_eq!(about, "192.0.2.7, user bob");
    assert_eq!((run[1..].join(" "), undo[0].as_str()), ("192.0.2.7 bob".into(), "/y"));
    assert_eq!(one[0].aim.user.as_deref(), Some("bob"));
    assert_eq!(one[0].factors.target, Target::Own, "an account is our own");
    assert_eq!(one[0].factors.reach, Reach::Many, "unless the operator says otherwise");
    let told = all(&with("'{ip}'", ", reach: one, restores: all"), &bad);
    assert_eq!((told[0].factors.reach, told[0].factors.undo), (Reach::One, Undo::Whole));
    assert_eq!(told[0].aim.user, None, "it is not about the account");
    assert_eq!(all(&with("'{unit}'", ""), &bad), [], "the case names no unit");
    assert_eq!(all(&with("'{ip}'", ", checks: [other]"), &bad), []);
    assert_eq!(all(&with("'{ip}'", ", checks: [ssh-brute-force]"), &bad).len(), 1);
    assert_eq!(all(&with("'{ip}'", ""), &case("192.0.2.7", Severity::Medium)), []);
    let mut hostile = bad;
    hostile.evidence.subject.user = Some("-rf".into());
    assert_eq!(all(&with("'{user}'", ""), &hostile), []);
    let none = all(&with("plain", ""), &hostile);
    assert_eq!(none[0].action.target(), "this host");
}
