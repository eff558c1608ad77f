//! The cases, by what they are about.

use Severity::{Critical, High, Info, Low, Medium};
use consensus::context::{Account, Change, Packaged, Password, Pattern, Role, RulePast, Seen};
use consensus::networks::Networks;
use consensus::{Context, Evidence, Exposure, Operator, Past, Privilege, Severity, Subject};

use super::made::*;

/// What is judged, where, and the lowest and highest level that an administrator would accept.
pub type Case = (&'static str, Evidence, Context, Severity, Severity);

/// Weak settings of a service, by how far it can be reached.
pub fn reach() -> Vec<Case> {
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
pub fn hosts() -> Vec<Case> {
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
pub fn activities() -> Vec<Case> {
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
        ("success, nothing known", done(), nothing_known(), High, High),
        ("success", done(), world(), High, High),
        ("success, own record", done(), broken_into(Exposure::World), High, High),
        ("success from a stranger", done(), new(stranger, world()), Critical, Critical),
        ("success, also probes", done(), also(world()), Critical, Critical),
        ("success, both", done(), new(stranger, also(world())), Critical, Critical),
        ("success on a loopback service", done(), quiet(Exposure::Loopback), High, High),
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

/// A context with an account of this shell and password.
pub fn guarded(name: &str, login_shell: bool, password: Password) -> Context {
    let account = Account { uid: 1000, login_shell, password: Some(password), password_days: None };
    Context { accounts: Some([(name.to_string(), account)].into()), ..quiet(Exposure::World) }
}

/// Guessing and account evidence, by what there is to be guessed.
pub fn accounts() -> Vec<Case> {
    use Password::{Empty, Locked, Sound, Weak};
    let guess = |level| activity("su-guessing", level, Privilege::User);
    let hash = |level| Evidence {
        check: "accounts-weak-hash".into(),
        subject: Subject { user: Some("alice".into()), ..Subject::default() },
        ..host(level, Privilege::User)
    };
    let got_in = || Evidence {
        facts: [("entered_as".to_string(), "alice".to_string())].into(),
        ..activity("ssh-success-after-failures", High, Privilege::User)
    };
    let alice = |shell, password| guarded("alice", shell, password);
    let others = guarded("bob", true, Sound);
    let programs = |names: &[&str]| Context {
        programs: Some(names.iter().map(ToString::to_string).collect()),
        ..quiet(Exposure::World)
    };
    let by_sudo = || Evidence {
        tags: vec!["attack.t1548.003".into()],
        services: Vec::new(),
        ..activity("sudo-not-allowed", Medium, Privilege::Root)
    };
    vec![
        ("guessing, account open", guess(Medium), alice(true, Sound), Medium, Medium),
        ("guessing, no password at all", guess(Medium), alice(true, Empty), Medium, High),
        ("guessing, weak hash", guess(Medium), alice(true, Weak), Medium, Medium),
        ("guessing, locked", guess(Medium), alice(true, Locked), Low, Medium),
        ("guessing, locked and no shell", guess(Medium), alice(false, Locked), Low, Medium),
        ("guessing, no such account", guess(Medium), others.clone(), Low, Medium),
        ("guessing, low, no such account", guess(Low), others, Info, Low),
        ("got in, account open", got_in(), alice(true, Sound), High, High),
        ("got in, account locked", got_in(), alice(true, Locked), High, High),
        ("weak hash, account open", hash(High), alice(true, Weak), High, High),
        ("weak hash, account locked", hash(High), alice(false, Locked), Medium, High),
        ("weak hash of a locked account", hash(Low), alice(false, Locked), Info, Low),
        ("sudo refused, sudo there", by_sudo(), programs(&["sudo"]), Medium, Medium),
        ("sudo refused, no sudo", by_sudo(), programs(&[]), Low, Medium),
        ("guessing, ssh closed", guess(Medium), closed(), Low, Medium),
    ]
}

/// A past of thirty days in which one rule fired so often, on so many days, from so many strangers.
pub fn remembering(rule: &str, count: u64, days: u32, strangers: u64) -> Context {
    let mut hours = [0; 24];
    hours[9] = count;
    let all = Seen { count, days, hours };
    let rule = (rule.to_string(), RulePast { all, subjects: Default::default(), strangers });
    let past = Past { days: 30, rules: Some([rule].into()), ..Past::default() };
    Context { past: Some(past), ..quiet(Exposure::World) }
}

/// The same with everything from alice, at one hour of the day.
pub fn routine(rule: &str, days: u32, hour: usize) -> Context {
    let mut context = remembering(rule, u64::from(days), days, 0);
    let rules = context.past.as_mut().and_then(|past| past.rules.as_mut()).unwrap();
    let mut hours = [0; 24];
    hours[hour] = u64::from(days);
    let seen = Seen { count: u64::from(days), days, hours };
    rules.get_mut(rule).unwrap().subjects.insert("user:alice".into(), seen);
    context
}

/// Activities against what this host is used to. [`NOW`] is 22:13 UTC.
pub fn pasts() -> Vec<Case> {
    let probe = |level| activity("web-probe", level, Privilege::None);
    let by_sudo = |level| {
        let subject = Subject { user: Some("alice".into()), ..Subject::default() };
        Evidence { subject, ..activity("sudo-shell", level, Privilege::Root) }
    };
    let never = || remembering("other", 100, 30, 50);
    let daily = || remembering("web-probe", 9_000, 30, 8_000);
    let regulars = || remembering("web-probe", 9_000, 30, 0);
    let back = |times| {
        let returned = [("ssh-setting ".to_string(), times)].into();
        let past = Past { days: 30, returned, ..Past::default() };
        Context { past: Some(past), ..quiet(Exposure::World) }
    };
    let logins = |hour: usize| {
        let mut hours = [0; 24];
        hours[hour] = 60;
        let seen = Seen { count: 60, days: 25, hours };
        let logins = Some([("user:alice".to_string(), seen)].into());
        let past = Past { days: 30, logins, ..Past::default() };
        Context { past: Some(past), ..quiet(Exposure::World) }
    };
    vec![
        ("probe, never seen here", probe(Medium), never(), High, High),
        ("probe, low, never seen here", probe(Low), never(), Low, Medium),
        ("probe, high, never seen here", probe(High), never(), High, Critical),
        ("probe, every day from strangers", probe(Medium), daily(), Low, Medium),
        ("probe, low, every day from strangers", probe(Low), daily(), Info, Low),
        ("probe, high, every day", probe(High), daily(), High, High),
        ("probe, from a stranger among regulars", probe(Medium), regulars(), High, High),
        ("sudo, never seen here", by_sudo(Medium), never(), High, High),
        (
            "sudo, every night at this hour",
            by_sudo(Medium),
            routine("sudo-shell", 29, 22),
            Low,
            Medium,
        ),
        (
            "sudo, high, every night at this hour",
            by_sudo(High),
            routine("sudo-shell", 29, 22),
            Medium,
            High,
        ),
        (
            "sudo, every day at another hour",
            by_sudo(Medium),
            routine("sudo-shell", 29, 3),
            Medium,
            Medium,
        ),
        ("login at a usual hour", by_sudo(Medium), logins(22), Medium, Medium),
        ("login at an odd hour", by_sudo(Medium), logins(9), Medium, High),
        ("noted, never seen here", probe(Info), never(), Info, Info),
        ("a setting that is back", passwords(), back(2), Medium, High),
        ("a setting with a past but not back", passwords(), never(), Medium, Medium),
    ]
}

/// What changed, whose address it is, and what the operator told.
pub fn surroundings() -> Vec<Case> {
    let world = || quiet(Exposure::World);
    let changed = |subject: &str, ago: i64, by_package| {
        let change = Change { subject: subject.into(), at: NOW - ago, by_package };
        Context { changes: Some(vec![change]), ..world() }
    };
    let told = |tell: fn(&mut Operator)| {
        let mut context = world();
        tell(&mut context.operator);
        context
    };
    let knock = |level| activity("ssh-brute-force", level, Privilege::None);
    let done = |level| Evidence {
        facts: [("success".to_string(), "true".to_string())].into(),
        ..activity("ssh-success-after-failures", level, Privilege::User)
    };
    let from = |ip: &str, evidence: Evidence| Evidence {
        subject: Subject { ip: Some(ip.into()), ..Subject::default() },
        ..evidence
    };
    let set_id = |level| Evidence {
        subject: Subject { path: Some("/usr/bin/tool".into()), ..Subject::default() },
        ..host(level, Privilege::Root)
    };
    let brought = |intact| {
        let owner = Packaged { package: "tool 1.0".into(), intact };
        Context { packages: Some([("/usr/bin/tool".to_string(), owner)].into()), ..world() }
    };
    let crowd = |count| Context {
        addresses_named: [("ssh-brute-force".to_string(), count)].into(),
        ..world()
    };
    let key = "path:/root/.ssh/authorized_keys";
    vec![
        (
            "a file that changed",
            set_id(Medium),
            changed("path:/usr/bin/tool", 600, false),
            Medium,
            High,
        ),
        (
            "a file that was upgraded",
            set_id(Medium),
            changed("path:/usr/bin/tool", 600, true),
            Medium,
            Medium,
        ),
        ("success, then a new key for root", done(High), changed(key, 30, false), High, Critical),
        ("attempts, then a new key for root", knock(Medium), changed(key, 30, false), Medium, High),
        ("a verified file", set_id(Medium), brought(Some(true)), Low, Medium),
        ("a file of a package, not verified", set_id(Medium), brought(None), Medium, Medium),
        ("a file that is not its package's", set_id(Medium), brought(Some(false)), High, High),
        (
            "success from a Tor relay",
            done(High),
            told(|o| o.tor = net("192.0.2.0/24")),
            High,
            Critical,
        ),
        (
            "attempts from a Tor relay",
            knock(Medium),
            told(|o| o.tor = net("192.0.2.0/24")),
            Medium,
            Medium,
        ),
        (
            "attempts of a scanner",
            knock(Medium),
            told(|o| o.scanners = net("192.0.2.7")),
            Medium,
            Medium,
        ),
        (
            "success of a scanner",
            done(High),
            told(|o| o.scanners = net("192.0.2.7")),
            High,
            Critical,
        ),
        ("success from inside", from("10.0.0.9", done(High)), world(), High, High),
        ("success from anywhere", from("8.8.8.8", done(High)), world(), High, High),
        (
            "critical success from anywhere",
            from("8.8.8.8", done(Critical)),
            world(),
            Critical,
            Critical,
        ),
        ("attempts from anywhere", from("8.8.8.8", knock(Medium)), world(), Medium, Medium),
        ("attempts from this host", from("::1", knock(Medium)), world(), Medium, Medium),
        (
            "attempts, own network",
            knock(Medium),
            told(|o| o.own_networks = net("192.0.2.0/24")),
            Low,
            Medium,
        ),
        (
            "success, own network",
            done(High),
            told(|o| o.own_networks = net("192.0.2.0/24")),
            High,
            High,
        ),
        (
            "attempts, monitoring",
            knock(Medium),
            told(|o| o.monitoring = net("192.0.2.7")),
            Info,
            Low,
        ),
        (
            "low attempts, monitoring",
            knock(Low),
            told(|o| o.monitoring = net("192.0.2.7")),
            Info,
            Info,
        ),
        ("success, monitoring", done(High), told(|o| o.monitoring = net("192.0.2.7")), High, High),
        ("attempts in a crowd", knock(Medium), crowd(900), Low, Medium),
        ("attempts like clockwork", clockwork(knock(Medium)), world(), Low, Medium),
        ("success like clockwork", clockwork(done(High)), world(), High, High),
        ("success in a crowd", done(High), crowd(900), High, High),
        (
            "accepted by the operator",
            knock(High),
            told(|o| o.accepted = accepted("ssh-brute-force")),
            Low,
            Medium,
        ),
        ("another is accepted", knock(High), told(|o| o.accepted = accepted("other")), High, High),
        (
            "accepted, but known to be bad",
            empty_root_password(),
            told(|o| o.accepted = accepted("kernel-setting")),
            Critical,
            Critical,
        ),
        ("SSH of a bastion", passwords(), told(|o| o.role = Some(Role::Bastion)), Medium, High),
        ("SSH of a web server", passwords(), told(|o| o.role = Some(Role::Web)), Medium, Medium),
        (
            "somebody new is in the passwords",
            Evidence {
                tags: vec!["attack.t1098".into()],
                ..activity("account-into-privileged-group", Medium, Privilege::Root)
            },
            world(),
            Medium,
            High,
        ),
    ]
}

pub fn net(prefix: &str) -> Networks {
    vec![prefix.parse().unwrap()].into()
}

/// From where [`activity`] comes.
pub fn accepted(check: &str) -> Vec<Pattern> {
    let network = "192.0.2.0/24".parse().ok();
    vec![Pattern { check: check.into(), user: None, network, path: None }]
}

pub fn cases() -> Vec<Case> {
    [reach(), hosts(), activities(), accounts(), pasts(), surroundings()].concat()
}
