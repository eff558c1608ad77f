//! Evidence and contexts to judge, made for the table of cases.

use Severity::{Critical, High, Medium};
use consensus::{
    Attack, Context, Evidence, Exposure, Kind, Privilege, Proof, Service, Severity, Subject,
};

pub const NOW: i64 = 1_700_000_000;
pub const EXPERTS: [&str; 16] = [
    "declared",
    "exposure",
    "attack",
    "preconditions",
    "privilege",
    "credentials",
    "role",
    "corroboration",
    "rarity",
    "novelty",
    "change",
    "recurrence",
    "known-good",
    "noise",
    "threat",
    "hours",
];

/// A setting of sshd, read from its file.
pub fn ssh(level: Severity, privilege: Privilege) -> Evidence {
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
pub fn root_login() -> Evidence {
    ssh(High, Privilege::Root)
}

/// `PasswordAuthentication yes`.
pub fn passwords() -> Evidence {
    ssh(Medium, Privilege::User)
}

/// A kernel setting or a file mode: no service is concerned.
pub fn host(level: Severity, privilege: Privilege) -> Evidence {
    Evidence { services: Vec::new(), check: "kernel-setting".into(), ..ssh(level, privilege) }
}

/// `root::0:…` in `/etc/shadow`.
pub fn empty_root_password() -> Evidence {
    let subject = Subject { user: Some("root".into()), ..Subject::default() };
    Evidence { floor: Some(Critical), subject, ..host(Critical, Privilege::Root) }
}

/// Something that a rule saw in a log.
pub fn activity(rule: &str, level: Severity, privilege: Privilege) -> Evidence {
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
pub fn patch(level: Severity) -> Evidence {
    Evidence { kind: Kind::Patch, check: "patch".into(), ..ssh(level, Privilege::User) }
}

/// A listening socket that a check does not like.
pub fn listener(level: Severity) -> Evidence {
    Evidence { kind: Kind::Service, check: "listener".into(), ..ssh(level, Privilege::Service) }
}

/// The same, every five minutes and on one account.
pub fn clockwork(mut evidence: Evidence) -> Evidence {
    let facts = [("rhythm", "every 300 s"), ("users_tried", "1")];
    evidence.facts.extend(facts.map(|(name, value)| (name.to_string(), value.to_string())));
    evidence
}

/// Nothing listens, no logs were read, there is no history.
pub fn nothing_known() -> Context {
    Context { now: NOW, ..Context::default() }
}

pub fn quiet(exposure: Exposure) -> Context {
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

pub fn closed() -> Context {
    Context { services: Default::default(), ..quiet(Exposure::World) }
}

pub fn attack(rule: &str, succeeded: bool) -> Attack {
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

pub fn brute_forced(exposure: Exposure) -> Context {
    Context { attacks: vec![attack("ssh-brute-force", false)], ..quiet(exposure) }
}

pub fn broken_into(exposure: Exposure) -> Context {
    Context { attacks: vec![attack("ssh-success-after-failures", true)], ..quiet(exposure) }
}

pub fn new(subject: &str, context: Context) -> Context {
    Context { new_subjects: Some([subject.to_string()].into()), ..context }
}

pub fn named_by(subject: &str, speakers: &[&str], context: Context) -> Context {
    let speakers = speakers.iter().map(ToString::to_string).collect();
    Context { mentions: [(subject.to_string(), speakers)].into(), ..context }
}
