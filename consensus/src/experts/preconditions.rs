//! Exploit preconditions: is there what the attempt, or whoever would use the weakness, needs.
//!
//! A technique tag says what it needs: an account with a login shell, a service that listens, a
//! program that is installed, or (for a setting) another weak setting. What was done needs nothing
//! any more. Only what was looked at counts: no list of accounts is not "no account". Accounts, files
//! and sockets are as they are now, which need not be as they were: a light voice.

use crate::context::{Account, Password};
use crate::experts::{
    ACCOUNTS, FILES, KERNEL, RULES, around, listed, opinion, shown_by, uses, was_done,
};
use crate::gate::Needs;
use crate::{Context, Evidence, Expert, Kind, Opinion, Severity};

/// Techniques that need an account of the host, at services that ask the host's own accounts.
const ACCOUNT_TECHNIQUES: &[&str] = &["attack.t1110", "attack.t1078", "attack.t1021"];
const ACCOUNT_SERVICES: &[&str] = &["ssh", "telnet", "rsh", "ftp", "imap", "smtp"];
/// Techniques that make or change an account: is it there?
const MADE_TECHNIQUES: &[&str] = &["attack.t1136", "attack.t1098"];
/// Techniques against something that listens.
const LISTENER_TECHNIQUES: &[&str] =
    &["attack.t1110", "attack.t1190", "attack.t1210", "attack.t1595", "attack.t1021"];
/// Techniques that need a program, and the programs of which any will do.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("attack.t1548.003", &["sudo", "doas"]),
    ("attack.t1053.003", &["crontab"]),
    ("attack.t1053.006", &["systemctl"]),
    ("attack.t1547.006", &["insmod", "modprobe"]),
    ("attack.t1059.006", &["python3", "python"]),
    ("attack.t1505.003", &["php", "php-fpm", "python3", "perl", "java", "node"]),
    ("attack.t1040", &["tcpdump", "tshark", "dumpcap"]),
];
/// Programs that whoever makes the context should look for.
pub const LOOKED_FOR: &[&str] = &[
    "sudo",
    "doas",
    "crontab",
    "systemctl",
    "insmod",
    "modprobe",
    "python3",
    "python",
    "php",
    "php-fpm",
    "perl",
    "java",
    "node",
    "tcpdump",
    "tshark",
    "dumpcap",
];
/// Settings of one service that are worse together: check, other check, what the other one adds.
const COMBINED: &[(&str, &str, &str)] = &[
    ("ssh-password-authentication", "ssh-max-auth-tries", "many guesses a connection"),
    ("ssh-permit-root-login", "ssh-password-authentication", "passwords are accepted"),
    ("ssh-empty-passwords", "ssh-password-authentication", "passwords are accepted"),
];

/// The expert.
pub struct Possible;

/// What was found of what is needed.
#[derive(Default)]
struct Found {
    there: Vec<String>,
    missing: Vec<String>,
    sources: Vec<&'static str>,
}

impl Found {
    fn note(&mut self, is_there: bool, what: String, source: &'static str) {
        let list = if is_there { &mut self.there } else { &mut self.missing };
        list.push(what);
        self.sources.push(source);
    }
}

impl Expert for Possible {
    fn name(&self) -> &'static str {
        "preconditions"
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING.raised()
    }

    fn cost(&self) -> u32 {
        3
    }

    fn judge(&self, evidence: &Evidence, context: &Context) -> Option<Opinion> {
        if evidence.level == Severity::Info {
            return None;
        }
        if evidence.kind == Kind::Activity && was_done(evidence) {
            let rationale = match evidence.facts.get("entered_as") {
                Some(names) => format!("done, not only tried: as {names}"),
                None => "done, not only tried: a success followed".to_string(),
            };
            let files = shown_by(evidence);
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            return opinion(self.name(), around(evidence.level, 0.0, 0.2), 0.3, rationale, &files);
        }
        let mut found = Found::default();
        accounts(evidence, context, &mut found);
        listeners(evidence, context, &mut found);
        programs(evidence, context, &mut found);
        settings(evidence, context, &mut found);
        let said = |list: &[String]| listed(list.iter().map(String::as_str));
        if !found.missing.is_empty() {
            let rationale = format!("cannot work as things are: {}", said(&found.missing));
            let distribution = around(evidence.level, 0.5, 0.0);
            return opinion(self.name(), distribution, 0.6, rationale, &found.sources);
        }
        if found.there.is_empty() {
            return None;
        }
        let rationale = format!("what it needs is there: {}", said(&found.there));
        opinion(self.name(), around(evidence.level, 0.0, 0.2), 0.3, rationale, &found.sources)
    }
}

fn accounts(evidence: &Evidence, context: &Context, found: &mut Found) {
    let Some(accounts) = &context.accounts else { return };
    let user = evidence.subject.user.as_deref();
    if let Some(name) = user.filter(|_| uses(evidence, MADE_TECHNIQUES)) {
        let there = accounts.contains_key(name);
        let how = if there { "exists" } else { "does not exist (any more)" };
        found.note(there, format!("the account {name} {how}"), ACCOUNTS);
    }
    let asks_host = evidence.services.is_empty()
        || evidence.services.iter().any(|name| ACCOUNT_SERVICES.contains(&name.as_str()));
    if !asks_host || !uses(evidence, ACCOUNT_TECHNIQUES) {
        return;
    }
    match user {
        Some(name) => match accounts.get(name) {
            None => found.note(false, format!("no account {name} in this host's files"), ACCOUNTS),
            Some(account) => {
                let how =
                    if account.login_shell { "has a login shell" } else { "has no login shell" };
                found.note(account.login_shell, format!("{name} {how}"), ACCOUNTS);
            }
        },
        None => {
            let is_open = |account: &&Account| {
                account.login_shell && account.password != Some(Password::Locked)
            };
            let what = match accounts.values().filter(is_open).count() {
                0 => "no account has a login shell and a password".to_string(),
                1 => "1 account can log in".to_string(),
                more => format!("{more} accounts can log in"),
            };
            found.note(accounts.values().any(|account| is_open(&account)), what, ACCOUNTS);
        }
    }
}

/// What listens now, for attempts; whether a weak state can be reached is exposure's matter.
fn listeners(evidence: &Evidence, context: &Context, found: &mut Found) {
    let asked = evidence.kind == Kind::Activity && uses(evidence, LISTENER_TECHNIQUES);
    if !asked || !context.services_known || evidence.services.is_empty() {
        return;
    }
    let mut names: Vec<&str> = evidence.services.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    match names.iter().find_map(|name| Some((name, context.services.get(*name)?))) {
        Some((name, service)) => {
            let ports: Vec<String> = service.ports.iter().take(4).map(u16::to_string).collect();
            found.note(true, format!("{name} listens on port {}", ports.join(", ")), KERNEL);
        }
        None => found.note(false, format!("nothing listens as {}", names.join(" or ")), KERNEL),
    }
}

fn programs(evidence: &Evidence, context: &Context, found: &mut Found) {
    let Some(installed) = &context.programs else { return };
    for (technique, programs) in PROGRAMS {
        if !uses(evidence, &[technique]) {
            continue;
        }
        match programs.iter().find(|program| installed.contains(**program)) {
            Some(program) => found.note(true, format!("{program} is installed"), FILES),
            None => found.note(false, format!("{} is not installed", programs[0]), FILES),
        }
    }
}

fn settings(evidence: &Evidence, context: &Context, found: &mut Found) {
    if evidence.kind == Kind::Activity {
        return;
    }
    let also = |other: &str| {
        evidence.services.iter().any(|service| {
            let speakers = context.mentions.get(&format!("service:{service}"));
            speakers.is_some_and(|speakers| speakers.contains(other))
        })
    };
    for (check, other, adds) in COMBINED {
        if evidence.check == *check && also(other) {
            found.note(true, format!("{adds} ({other})"), RULES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experts::tests::{activity, listening, mean, posture, with_fact};
    use crate::{Exposure, Subject};

    fn with_accounts(accounts: &[(&str, bool)]) -> Context {
        let account = |(name, login_shell): &(&str, bool)| {
            let login_shell = *login_shell;
            let account = Account { uid: 1000, login_shell, password: None, password_days: None };
            ((*name).to_string(), account)
        };
        Context { accounts: Some(accounts.iter().map(account).collect()), ..Context::default() }
    }

    fn by(user: &str) -> Evidence {
        let subject = Subject { user: Some(user.into()), ..Subject::default() };
        Evidence { subject, ..activity(Severity::Medium) }
    }

    fn said(evidence: &Evidence, context: &Context) -> Option<String> {
        Possible.judge(evidence, context).map(|said| said.rationale)
    }

    #[test]
    fn guessing_needs_an_account_with_a_shell() {
        let context = with_accounts(&[("alice", true), ("daemon", false)]);
        let there = Possible.judge(&by("alice"), &context).unwrap();
        assert_eq!(there.rationale, "what it needs is there: alice has a login shell");
        let shut = Possible.judge(&by("daemon"), &context).unwrap();
        assert_eq!(shut.rationale, "cannot work as things are: daemon has no login shell");
        assert!(mean(&shut) < 2.0 && mean(&there) > 2.0);
        assert!(said(&by("oracle"), &context).unwrap().contains("no account oracle"));
        let anybody = said(&activity(Severity::Medium), &context).unwrap();
        assert!(anybody.ends_with("there: 1 account can log in"), "{anybody}");
        let nobody = said(&activity(Severity::Medium), &with_accounts(&[])).unwrap();
        assert!(nobody.contains("no account has a login shell and a password"), "{nobody}");
        // The accounts of a web application are not the host's.
        let web = Evidence { services: vec!["http".into()], ..by("oracle") };
        assert_eq!(said(&web, &context), None);
    }

    #[test]
    fn an_attempt_needs_a_listener() {
        let evidence = activity(Severity::Medium);
        let there = said(&evidence, &listening(Exposure::World)).unwrap();
        assert_eq!(there, "what it needs is there: ssh listens on port 22");
        let closed = Context { services: Default::default(), ..listening(Exposure::World) };
        assert!(said(&evidence, &closed).unwrap().contains("nothing listens as ssh"));
        assert_eq!(said(&posture(Severity::Medium), &closed), None, "exposure says it of states");
    }

    #[test]
    fn programs_and_made_accounts_are_looked_for() {
        let tagged = |tag: &str| Evidence { tags: vec![tag.into()], services: vec![], ..by("eve") };
        let with = |programs: &[&str]| Context {
            programs: Some(programs.iter().map(ToString::to_string).collect()),
            ..with_accounts(&[("eve", true)])
        };
        let sudo = tagged("attack.t1548.003");
        assert!(said(&sudo, &with(&["sudo"])).unwrap().ends_with("there: sudo is installed"));
        assert!(said(&sudo, &with(&[])).unwrap().ends_with("sudo is not installed"));
        let made = said(&tagged("attack.t1136.001"), &with(&[])).unwrap();
        assert!(made.ends_with("the account eve exists"), "{made}");
        for (_, programs) in PROGRAMS {
            assert!(programs.iter().all(|program| LOOKED_FOR.contains(program)));
        }
    }

    #[test]
    fn settings_are_worse_together() {
        let evidence = posture(Severity::High);
        let speakers = ["ssh-password-authentication".to_string()].into();
        let mut context = listening(Exposure::World);
        context.mentions.insert("service:ssh".into(), speakers);
        let both = said(&evidence, &context).unwrap();
        assert!(both.contains("passwords are accepted (ssh-password-authentication)"), "{both}");
        context.mentions.clear();
        assert_eq!(said(&evidence, &context), None);
    }

    #[test]
    fn what_was_done_needed_nothing_more() {
        let done = with_fact(by("oracle"), "entered_as", "root");
        let context = with_accounts(&[]);
        assert_eq!(said(&done, &context).unwrap(), "done, not only tried: as root");
        let joined = with_fact(by("oracle"), "success", "true");
        assert!(said(&joined, &context).unwrap().ends_with("a success followed"));
    }

    #[test]
    fn what_was_not_looked_at_is_not_missing() {
        assert_eq!(said(&by("alice"), &Context::default()), None);
        assert_eq!(said(&activity(Severity::High), &Context::default()), None);
    }
}
