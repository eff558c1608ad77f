//! What the cold panel decides: one table of cases that an administrator can check by reading.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use Severity::{Critical, High, Info, Low, Medium};
use consensus::{
    Attack, Context, Evidence, Exposure, Kind, Panel, Privilege, Proof, Service, Severity, Subject,
};

const NOW: i64 = 1_700_000_000;
const EXPERTS: [&str; 6] =
    ["declared", "exposure", "attack", "privilege", "corroboration", "novelty"];

/// A setting of sshd, read from its file.
fn ssh(level: Severity, privilege: Privilege) -> Evidence {
    Evidence {
        check: "ssh-setting".into(),
        key: String::new(),
        title: "A weak setting".into(),
        kind: Kind::Posture,
        proof: Proof::Direct,
        level,
        floor: None,
        privilege,
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

/// `PermitRootLogin yes`.
fn root_login() -> Evidence {
    ssh(High, Privilege::Root)
}

/// `PasswordAuthentication yes`.
fn passwords() -> Evidence {
    ssh(Medium, Privilege::User)
}

/// A kernel setting or a file mode: no service is concerned.
fn host(level: Severity, privilege: Privilege) -> Evidence {
    Evidence { services: Vec::new(), check: "kernel-setting".into(), ..ssh(level, privilege) }
}

/// `root::0:…` in `/etc/shadow`.
fn empty_root_password() -> Evidence {
    let subject = Subject { user: Some("root".into()), ..Subject::default() };
    Evidence { floor: Some(Critical), subject, ..host(Critical, Privilege::Root) }
}

/// Something that a rule saw in a log.
fn activity(rule: &str, level: Severity, privilege: Privilege) -> Evidence {
    Evidence {
        check: rule.into(),
        kind: Kind::Activity,
        proof: Proof::Inferred,
        subject: Subject {
            ip: Some("192.0.2.7".into()),
            user: Some("alice".into()),
            ..Subject::default()
        },
        tags: vec!["attack.t1110".into()],
        count: 31,
        first: Some(NOW - 600),
        last: Some(NOW - 60),
        ..ssh(level, privilege)
    }
}

/// An update that is missing.
fn patch(level: Severity) -> Evidence {
    Evidence { kind: Kind::Patch, check: "patch".into(), ..ssh(level, Privilege::User) }
}

/// A listening socket that a check does not like.
fn listener(level: Severity) -> Evidence {
    Evidence { kind: Kind::Service, check: "listener".into(), ..ssh(level, Privilege::Service) }
}

/// Nothing listens, no logs were read, there is no history.
fn nothing_known() -> Context {
    Context { now: NOW, ..Context::default() }
}

fn quiet(exposure: Exposure) -> Context {
    let service = Service { exposure, because: "bound".into(), ports: vec![22], uid: Some(0) };
    Context {
        now: NOW,
        services_known: true,
        services: [("ssh".to_string(), service)].into(),
        logs_known: true,
        new_subjects: Some(Default::default()),
        ..Context::default()
    }
}

fn closed() -> Context {
    Context { services: Default::default(), ..quiet(Exposure::World) }
}

fn attack(rule: &str, succeeded: bool) -> Attack {
    Attack {
        service: "ssh".into(),
        rule: rule.into(),
        tags: vec!["attack.t1110".into()],
        count: 4021,
        sources: 37,
        last: NOW - 60,
        succeeded,
    }
}

fn brute_forced(exposure: Exposure) -> Context {
    Context { attacks: vec![attack("ssh-brute-force", false)], ..quiet(exposure) }
}

fn broken_into(exposure: Exposure) -> Context {
    Context { attacks: vec![attack("ssh-success-after-failures", true)], ..quiet(exposure) }
}

fn new(subject: &str, context: Context) -> Context {
    Context { new_subjects: Some([subject.to_string()].into()), ..context }
}

fn named_by(subject: &str, speakers: &[&str], context: Context) -> Context {
    let speakers = speakers.iter().map(ToString::to_string).collect();
    Context { mentions: [(subject.to_string(), speakers)].into(), ..context }
}

/// What is judged, where, and the lowest and highest level that an administrator would accept.
type Case = (&'static str, Evidence, Context, Severity, Severity);

/// Weak settings of a service, by how far it can be reached.
fn reach() -> Vec<Case> {
    use Exposure::{Loopback, Private, Unknown, World};
    let weak = |level| ssh(level, Privilege::User);
    vec![
        ("passwords, loopback", passwords(), quiet(Loopback), Low, Low),
        ("passwords, not listening", passwords(), closed(), Info, Low),
        ("passwords, unknown reach", passwords(), quiet(Unknown), Medium, Medium),
        ("passwords, sockets not looked at", passwords(), nothing_known(), Medium, Medium),
        ("passwords, private", passwords(), quiet(Private), Medium, Medium),
        ("passwords, world", passwords(), quiet(World), Medium, High),
        ("passwords, world, attacked", passwords(), brute_forced(World), High, Critical),
        ("passwords, private, attacked", passwords(), brute_forced(Private), High, Critical),
        ("passwords, loopback, attacked", passwords(), brute_forced(Loopback), Low, Low),
        ("passwords, world, broken into", passwords(), broken_into(World), Critical, Critical),
        ("root login, loopback", root_login(), quiet(Loopback), Low, Low),
        ("root login, not listening", root_login(), closed(), Info, Low),
        ("root login, unknown reach", root_login(), nothing_known(), High, High),
        ("root login, private", root_login(), quiet(Private), High, High),
        ("root login, world", root_login(), quiet(World), High, High),
        ("root login, world, attacked", root_login(), brute_forced(World), Critical, Critical),
        ("root login, private, attacked", root_login(), brute_forced(Private), High, Critical),
        ("root login, loopback, attacked", root_login(), brute_forced(Loopback), Low, Low),
        ("root login, world, broken into", root_login(), broken_into(World), Critical, Critical),
        ("low, loopback", weak(Low), quiet(Loopback), Info, Low),
        ("low, private", weak(Low), quiet(Private), Low, Low),
        ("low, world", weak(Low), quiet(World), Low, Medium),
        ("low root, world", ssh(Low, Privilege::Root), quiet(World), Low, Medium),
        ("low, world, attacked", weak(Low), brute_forced(World), Low, Medium),
        ("critical, unknown reach", weak(Critical), nothing_known(), Critical, Critical),
        ("critical, world", weak(Critical), quiet(World), Critical, Critical),
        ("critical, loopback", weak(Critical), quiet(Loopback), Low, Medium),
        ("info, world", ssh(Info, Privilege::Root), quiet(World), Info, Info),
        ("info, world, attacked", ssh(Info, Privilege::Root), brute_forced(World), Info, Info),
        ("info, broken into", ssh(Info, Privilege::Root), broken_into(World), Low, Critical),
        (
            "a banner, world, attacked",
            ssh(Low, Privilege::Information),
            brute_forced(World),
            Low,
            Low,
        ),
        (
            "low, world, new, named by many",
            ssh(Low, Privilege::Root),
            new("service:ssh", named_by("service:ssh", &["a", "b", "c", "d"], quiet(World))),
            Low,
            Medium,
        ),
        (
            "info, world, new, named by many",
            ssh(Info, Privilege::Root),
            new("service:ssh", named_by("service:ssh", &["a", "b", "c", "d"], quiet(World))),
            Info,
            Info,
        ),
    ]
}

/// Kernel settings, file modes and accounts: the declared level holds.
fn hosts() -> Vec<Case> {
    let gains = [
        Privilege::None,
        Privilege::Information,
        Privilege::Service,
        Privilege::User,
        Privilege::Root,
    ];
    let mut cases = Vec::new();
    for level in Severity::ALL {
        for gain in gains {
            let context = quiet(Exposure::World);
            cases.push(("host-wide, neutral context", host(level, gain), context, level, level));
            let context = brute_forced(Exposure::World);
            cases.push(("host-wide, ssh attacked", host(level, gain), context, level, level));
        }
    }
    cases.push(("empty root password", empty_root_password(), nothing_known(), Critical, Critical));
    let looked = quiet(Exposure::Loopback);
    cases.push((
        "empty root password, loopback",
        empty_root_password(),
        looked,
        Critical,
        Critical,
    ));
    cases
}

/// Things that happened.
fn activities() -> Vec<Case> {
    let world = || quiet(Exposure::World);
    let knock = |level| activity("ssh-brute-force", level, Privilege::None);
    let done = || activity("ssh-success-after-failures", High, Privilege::User);
    let stranger = "ip:192.0.2.7";
    let also = |context| named_by(stranger, &["ssh-success-after-failures", "web-probe"], context);
    vec![
        ("brute force, low", knock(Low), world(), Low, Low),
        ("brute force, low, own record", knock(Low), brute_forced(Exposure::World), Low, Low),
        ("brute force, low, new address", knock(Low), new(stranger, world()), Low, Low),
        ("brute force, low, another got in", knock(Low), broken_into(Exposure::World), Low, Low),
        (
            "brute force, low, and got in",
            knock(Low),
            also(broken_into(Exposure::World)),
            Medium,
            High,
        ),
        ("brute force, medium", knock(Medium), world(), Medium, Medium),
        ("brute force, medium, new", knock(Medium), new(stranger, world()), Medium, Medium),
        ("brute force, low, also probes", knock(Low), also(world()), Low, Medium),
        ("brute force, medium, also probes", knock(Medium), also(world()), Medium, High),
        ("success, nothing known", done(), nothing_known(), Medium, High),
        ("success", done(), world(), Medium, High),
        ("success, own record", done(), broken_into(Exposure::World), Medium, High),
        ("success from a stranger", done(), new(stranger, world()), Critical, Critical),
        ("success, also probes", done(), also(world()), Critical, Critical),
        ("success, both", done(), new(stranger, also(world())), Critical, Critical),
        ("success on a loopback service", done(), quiet(Exposure::Loopback), Medium, High),
        ("a missing update", patch(Medium), nothing_known(), Medium, Medium),
        (
            "a missing update, guessed at",
            patch(Medium),
            brute_forced(Exposure::World),
            Medium,
            High,
        ),
        ("a missing update, loopback", patch(High), quiet(Exposure::Loopback), Low, Low),
        ("an exposed service", listener(High), world(), High, High),
        ("a new service", listener(Medium), new("service:ssh", world()), Medium, High),
        ("noted", activity("login", Info, Privilege::None), new(stranger, world()), Info, Info),
        (
            "a new privileged user, corroborated",
            activity("new-admin", High, Privilege::Root),
            named_by("user:alice", &["sudo-abuse"], world()),
            Critical,
            Critical,
        ),
    ]
}

fn cases() -> Vec<Case> {
    [reach(), hosts(), activities()].concat()
}

#[test]
fn the_table_of_cases_holds() {
    let panel = Panel::cold();
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 100);
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
