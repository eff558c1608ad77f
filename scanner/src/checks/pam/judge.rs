//! What is wrong with the stacks.

use std::collections::BTreeSet;
use std::path::Path;

use consensus::Severity;
use parsers::config::pam::{Kind, Rule, Stack};
use parsers::place::Place;
use parsers::tree::{FileKind, LookError};

use crate::checks::{CheckResult, Observation, Outcome};
use crate::{Fact, Facts};

/// Most services that are resolved.
pub(super) const SERVICES_MAX: usize = 300;

/// Most lines of all services together.
pub(super) const RULES_MAX: usize = 20_000;

/// The stacks of all services, read once.
struct Stacks {
    all: Vec<Stack>,
    missing: Option<LookError>,
    unseen: Vec<String>,
}

impl Fact for Stacks {
    fn look(facts: &Facts<'_>) -> Self {
        let mut stacks = Self { all: Vec::new(), missing: None, unseen: Vec::new() };
        let entries = match facts.tree.list(Path::new("/etc/pam.d")) {
            Ok(entries) => entries,
            Err(error) => {
                stacks.missing = Some(error);
                return stacks;
            }
        };
        for entry in &entries {
            let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
            // What packages and editors leave behind is no service.
            let is_left = name.contains('~') || name.contains(".dpkg-") || name.contains(".rpm");
            if entry.kind == FileKind::Directory || is_left || name.starts_with('.') {
                continue;
            }
            let rules: usize = stacks.all.iter().map(|stack| stack.rules.len()).sum();
            if stacks.all.len() == SERVICES_MAX || rules > RULES_MAX {
                let count = stacks.all.len();
                stacks.unseen.push(format!("only the first {count} PAM services were looked at"));
                break;
            }
            match Stack::read(facts.tree, &name) {
                Ok(stack) => stacks.all.push(stack),
                Err(error) => stacks.unseen.push(error.to_string()),
            }
        }
        let unread: BTreeSet<String> = stacks
            .all
            .iter()
            .flat_map(|stack| stack.unread.iter().map(ToString::to_string))
            .collect();
        stacks.unseen.extend(unread);
        stacks
    }
}

impl Stacks {
    fn named(&self, names: &[&str]) -> Option<&Stack> {
        names.iter().find_map(|name| self.all.iter().find(|stack| stack.service == *name))
    }

    /// Lines of a kind over all services, each place once.
    fn rules(&self, kind: Kind) -> Vec<&Rule> {
        let mut seen = BTreeSet::new();
        let all = self.all.iter().flat_map(|stack| stack.of(kind));
        all.filter(|rule| seen.insert(&rule.place)).collect()
    }
}

fn with(facts: &Facts<'_>, judge: impl Fn(&Stacks) -> Outcome) -> Outcome {
    let stacks = facts.get::<Stacks>();
    if let Some(error) = &stacks.missing {
        return Outcome::unreadable(error);
    }
    let outcome = judge(&stacks);
    match outcome.result {
        CheckResult::Passed if !stacks.unseen.is_empty() => {
            Outcome::not_run(stacks.unseen.join("; "))
        }
        CheckResult::NotApplicable => outcome,
        _ => outcome.unseen(stacks.unseen.iter().cloned()),
    }
}

fn about(rule: &Rule, title: impl Into<String>) -> Observation {
    let key = format!("{}:{}", rule.place.file, rule.name());
    Observation::at(&rule.place, &rule.text).key(key).title(title)
}

pub(super) fn nullok(facts: &Facts<'_>) -> Outcome {
    with(facts, |stacks| {
        let rules = stacks.rules(Kind::Auth);
        let accepts = |rule: &&Rule| {
            rule.name() == "pam_unix" && (rule.has("nullok") || rule.has("nullok_secure"))
        };
        let bad = rules.into_iter().filter(accepts);
        Outcome::failed_or(
            bad.map(|rule| about(rule, "pam_unix accepts empty passwords (nullok)")).collect(),
            "no pam_unix line has nullok",
        )
    })
}

pub(super) fn permit(facts: &Facts<'_>) -> Outcome {
    with(facts, |stacks| {
        let lets_in = |rule: &&Rule| rule.name() == "pam_permit" && rule.control.success_ends();
        let bad = stacks.rules(Kind::Auth).into_iter().filter(lets_in).map(|rule| {
            about(rule, "pam_permit ends authentication with success").floor(Severity::High)
        });
        Outcome::failed_or(bad.collect(), "pam_permit never ends authentication")
    })
}

const SCHEMES: [&str; 5] = ["yescrypt", "gost_yescrypt", "sha512", "sha256", "blowfish"];

pub(super) fn hash(facts: &Facts<'_>) -> Outcome {
    let login_defs = facts.read("/etc/login.defs").unwrap_or_default();
    let defs = parsers::config::keyvalue::KeyValues::parse(
        "/etc/login.defs",
        &login_defs,
        parsers::config::keyvalue::Dialect::LoginDefs,
    );
    let has_method = defs.get("ENCRYPT_METHOD").is_some();
    with(facts, |stacks| {
        let mut bad = Vec::new();
        for rule in stacks.rules(Kind::Password) {
            if rule.name() != "pam_unix" {
                continue;
            }
            if rule.has("md5") || rule.has("bigcrypt") {
                bad.push(about(rule, "pam_unix hashes new passwords with MD5 or worse"));
            } else if !has_method && !SCHEMES.iter().any(|scheme| rule.has(scheme)) {
                let title = "neither pam_unix nor login.defs says how passwords are hashed";
                bad.push(about(rule, title).level(Severity::Low));
            }
        }
        Outcome::failed_or(bad, "pam_unix uses a strong scheme")
    })
}

/// The stack that stands for logging in, and the one for changing passwords.
const LOGIN: [&str; 5] = ["common-auth", "system-auth", "password-auth", "login", "sshd"];
const PASSWORD: [&str; 4] = ["common-password", "system-auth", "password-auth", "passwd"];

/// Whether a stack has one of the modules; one observation about its file where not.
fn needs(stack: Option<&Stack>, kind: Kind, modules: &[&str], title: &str) -> Outcome {
    let Some(stack) = stack else {
        return Outcome::not_applicable("there is no such PAM service");
    };
    if let Some(rule) = stack.of(kind).find(|rule| modules.contains(&rule.name())) {
        return Outcome::passed(format!("{} ({})", rule.name(), rule.place));
    }
    let file = stack.files.first().map_or("/etc/pam.d", |file| &**file);
    let mut seen = Observation::default().key(stack.service.clone()).title(title);
    // The line next to which the module belongs shows where to look.
    let neighbour = |rule: &&Rule| match stack.service.as_str() {
        "su" => rule.depth == 0,
        _ => rule.name() == "pam_unix",
    };
    seen = match stack.of(kind).find(neighbour) {
        Some(rule) => seen.line(&rule.place, &rule.text),
        None => seen.line(&Place::whole(file), &format!("(no {} in this stack)", modules[0])),
    };
    Outcome::failed(seen)
}

pub(super) fn lockout(facts: &Facts<'_>) -> Outcome {
    with(facts, |stacks| {
        let modules = ["pam_faillock", "pam_tally2", "pam_tally"];
        needs(stacks.named(&LOGIN), Kind::Auth, &modules, "wrong passwords do not lock an account")
    })
}

pub(super) fn quality(facts: &Facts<'_>) -> Outcome {
    with(facts, |stacks| {
        let modules = ["pam_pwquality", "pam_cracklib", "pam_passwdqc"];
        let title = "new passwords are not checked for quality";
        needs(stacks.named(&PASSWORD), Kind::Password, &modules, title)
    })
}

pub(super) fn su_wheel(facts: &Facts<'_>) -> Outcome {
    with(facts, |stacks| {
        needs(stacks.named(&["su"]), Kind::Auth, &["pam_wheel"], "every user may use su")
    })
}

pub(super) fn problems(facts: &Facts<'_>) -> Outcome {
    with(facts, |stacks| {
        let mut seen = BTreeSet::new();
        let all = stacks.all.iter().flat_map(|stack| &stack.problems.kept);
        let bad = all.filter(|problem| seen.insert(&problem.place)).map(|problem| {
            let place = &problem.place;
            let title = format!("{place}: {}", problem.message);
            Observation::at(place, "").key(place.to_string()).title(title)
        });
        Outcome::failed_or(bad.collect(), format!("{} services read", stacks.all.len()))
    })
}
