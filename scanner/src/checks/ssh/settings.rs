//! The checks of single settings: what is wrong with a value that some connection may get.

use consensus::Severity;
use parsers::config::sshd::{Sshd, Won};

use super::super::{Observation, Outcome};
use super::fact::{Candidate, SshFact, shown};
use crate::facts::Facts;

/// What is wrong with a value.
pub(super) struct Fault {
    title: String,
    level: Option<Severity>,
    floor: Option<Severity>,
}

impl Fault {
    fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), level: None, floor: None }
    }
    fn level(self, level: Severity) -> Self {
        Self { level: Some(level), ..self }
    }
    fn floor(self, floor: Severity) -> Self {
        Self { floor: Some(floor), ..self }
    }
}

/// A setting that is judged: how it is written, what would be right, and what is wrong with a value.
struct Judge<'a> {
    keyword: &'static str,
    /// Keyword and a safe value, as one would write them.
    wanted: &'static str,
    fault: &'a dyn Fn(&str) -> Option<Fault>,
}

/// Most findings of one check.
const FINDINGS_MAX: usize = 50;

fn judge(facts: &Facts<'_>, judges: &[Judge<'_>]) -> Outcome {
    let fact = facts.get::<SshFact>();
    let sshd = match fact.sshd() {
        Ok(sshd) => sshd,
        Err(outcome) => return outcome,
    };
    let mut observations = Vec::new();
    let mut more = 0_usize;
    let mut seen = Vec::new();
    for judge in judges {
        for candidate in fact.possible(sshd, judge.keyword) {
            seen.push(format!(
                "{}: {} {}",
                origin(&candidate),
                judge.keyword,
                brief(&candidate.value)
            ));
            if let Some(fault) = (judge.fault)(&candidate.value) {
                if observations.len() == FINDINGS_MAX {
                    more += 1;
                    continue;
                }
                let mut found = observe(&fact, judge.keyword, judge.wanted, &candidate, fault);
                if judges.len() > 1 && found.key.is_empty() {
                    found.key = judge.keyword.to_string();
                }
                observations.push(found);
            }
        }
    }
    let more = (more > 0).then(|| format!("{more} more Match blocks with the same fault"));
    seen.truncate(FINDINGS_MAX);
    Outcome::failed_or(observations, seen.join(", "))
        .unseen(fact.unseen.iter().cloned())
        .unseen(more)
}

/// A value for the reason of a pass: long lists are counted.
fn brief(value: &str) -> String {
    const SHOWN_BYTES_MAX: usize = 60;
    if value.len() <= SHOWN_BYTES_MAX {
        return shown(value).to_string();
    }
    format!("({} names)", value.split(',').count())
}

fn origin(candidate: &Candidate) -> String {
    if candidate.is_default { "default".into() } else { candidate.place.to_string() }
}

fn observe(
    fact: &SshFact,
    keyword: &'static str,
    wanted: &str,
    candidate: &Candidate,
    fault: Fault,
) -> Observation {
    let mut seen = Observation::at(&candidate.place, &candidate.text)
        .fact("setting", keyword)
        .fact("value", shown(&candidate.value));
    let title = match &candidate.block {
        None => fault.title,
        Some(block) => {
            seen = seen
                .line(&block.place, &block.text)
                .key(format!("{keyword} {}", criteria(&block.text)))
                .fact("match", block.place.to_string());
            format!("{}, for {}", fault.title, criteria(&block.text))
        }
    };
    seen = seen.title(crate::redact::line(&title));
    if !candidate.overrides.is_empty() {
        let because = match candidate.won {
            Won::First => "the first value wins",
            Won::Last => "the last value wins for this keyword",
            Won::MatchBlock => "a Match block replaces what stands outside",
            Won::CommandLine => "the daemon's command line comes first",
        };
        let losers: Vec<String> =
            candidate.overrides.iter().take(5).map(|lost| lost.place.to_string()).collect();
        seen = seen.fact("wins_over", format!("{} because {because}", losers.join(", ")));
    }
    if let Some(level) = fault.level {
        seen = seen.level(level);
    }
    if let Some(floor) = fault.floor {
        seen = seen.floor(floor);
    }
    seen.snippet = Some(snippet(fact, wanted, candidate));
    seen
}

/// The line of a `Match` block, without the word itself.
fn criteria(text: &str) -> String {
    let text = text.trim();
    let rest = text.get(5..).unwrap_or(text).trim_start_matches([' ', '\t', '=']);
    crate::redact::line(rest)
}

/// What to write, and where it will win. Never "append to sshd_config": a trailing `Match` block
/// would swallow it.
fn snippet(fact: &SshFact, wanted: &str, candidate: &Candidate) -> String {
    const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-wardmote.conf";
    let file = &*candidate.place.file;
    let prove = "# then: sshd -t && systemctl reload ssh";
    if let Some(block) = &candidate.block {
        return format!(
            "# change line {} of {file}, inside the block at {}:\n{wanted}\n{prove}",
            candidate.place.line, block.place
        );
    }
    if candidate.won == Won::CommandLine {
        return format!(
            "# take the option off sshd's command line; then in {}, before any Match:\n{wanted}\n{prove}",
            fact.path
        );
    }
    let included = fact.drop_ins_from.is_some_and(|line| {
        let main = file == fact.path;
        candidate.is_default || !main || candidate.place.line > line
    });
    let earlier = file.contains("/sshd_config.d/") && file < DROP_IN;
    if earlier || !candidate.is_default && !included {
        return format!("# change line {} of {file}:\n{wanted}\n{prove}", candidate.place.line);
    }
    if included {
        return format!("# {DROP_IN}\n{wanted}\n{prove}");
    }
    format!("# as the first line of {}, before any Match:\n{wanted}\n{prove}", fact.path)
}

/// The `AuthenticationMethods` that ask everybody for more than a password, if they do.
fn more_than_a_password(fact: &SshFact, sshd: &Sshd) -> Option<String> {
    let methods = fact.possible(sshd, "authenticationmethods");
    let strong = |list: &str| {
        list.split(',').any(|method| {
            ["publickey", "hostbased", "gssapi-with-mic", "gssapi-keyex"]
                .contains(&method.split(':').next().unwrap_or_default())
        })
    };
    let all = methods.iter().all(|candidate| candidate.value.split(' ').all(strong));
    let first = methods.first().filter(|_| all)?;
    Some(format!("{}: authenticationmethods {}", origin(first), brief(&first.value)))
}

/// Whether some connection may log in with a password alone: `yes` anywhere counts.
fn password_possible(fact: &SshFact, sshd: &Sshd) -> bool {
    let may = |keyword| fact.possible(sshd, keyword).iter().any(|c| c.value == "yes");
    (may("passwordauthentication") || may("kbdinteractiveauthentication"))
        && more_than_a_password(fact, sshd).is_none()
}

/// How a check of passwords ends where a password alone is not enough.
fn settled(facts: &Facts<'_>) -> Option<Outcome> {
    let fact = facts.get::<SshFact>();
    let methods = more_than_a_password(&fact, fact.sshd().ok()?)?;
    Some(Outcome::passed(methods).unseen(fact.unseen.iter().cloned()))
}

pub(super) fn root_login(facts: &Facts<'_>) -> Outcome {
    let fact = facts.get::<SshFact>();
    let passwords = fact.sshd().is_ok_and(|sshd| password_possible(&fact, sshd));
    let fault = |value: &str| match value {
        "yes" if passwords => Some(Fault::new("root may log in over SSH with a password")),
        "yes" => Some(
            Fault::new("root may log in over SSH by any method that is enabled")
                .level(Severity::Low),
        ),
        _ => None,
    };
    judge(
        facts,
        &[Judge {
            keyword: "permitrootlogin",
            wanted: "PermitRootLogin prohibit-password",
            fault: &fault,
        }],
    )
}

fn flag(
    facts: &Facts<'_>,
    keyword: &'static str,
    wanted: &'static str,
    bad: &'static str,
    title: &'static str,
) -> Outcome {
    let fault = |value: &str| (value == bad).then(|| Fault::new(title));
    judge(facts, &[Judge { keyword, wanted, fault: &fault }])
}

pub(super) fn passwords(facts: &Facts<'_>) -> Outcome {
    if let Some(outcome) = settled(facts) {
        return outcome;
    }
    flag(
        facts,
        "passwordauthentication",
        "PasswordAuthentication no",
        "yes",
        "users may log in over SSH with a password",
    )
}

pub(super) fn empty_passwords(facts: &Facts<'_>) -> Outcome {
    let fault = |value: &str| {
        (value == "yes").then(|| {
            Fault::new("accounts without a password may log in over SSH").floor(Severity::High)
        })
    };
    judge(
        facts,
        &[Judge {
            keyword: "permitemptypasswords",
            wanted: "PermitEmptyPasswords no",
            fault: &fault,
        }],
    )
}

pub(super) fn keyboard_interactive(facts: &Facts<'_>) -> Outcome {
    if let Some(outcome) = settled(facts) {
        return outcome;
    }
    let fact = facts.get::<SshFact>();
    let pam = fact.sshd().is_ok_and(|sshd| {
        fact.global(sshd, "usepam").iter().any(|candidate| candidate.value == "yes")
    });
    let fault = |value: &str| match (value, pam) {
        ("yes", true) => Some(Fault::new("PAM may ask for a password over SSH")),
        ("yes", false) => {
            Some(Fault::new("keyboard-interactive login is enabled over SSH").level(Severity::Low))
        }
        _ => None,
    };
    judge(
        facts,
        &[Judge {
            keyword: "kbdinteractiveauthentication",
            wanted: "KbdInteractiveAuthentication no",
            fault: &fault,
        }],
    )
}

pub(super) fn x11(facts: &Facts<'_>) -> Outcome {
    flag(facts, "x11forwarding", "X11Forwarding no", "yes", "X11 is forwarded over SSH")
}

pub(super) fn auth_tries(facts: &Facts<'_>) -> Outcome {
    const USUAL: u64 = 6;
    const MANY: u64 = 20;
    let fault = |value: &str| {
        let tries: u64 = value.parse().ok()?;
        let title = format!("{tries} authentication attempts a connection");
        match tries {
            0..=USUAL => None,
            tries if tries < MANY => Some(Fault::new(title)),
            _ => Some(Fault::new(title).level(Severity::Medium)),
        }
    };
    judge(facts, &[Judge { keyword: "maxauthtries", wanted: "MaxAuthTries 4", fault: &fault }])
}

pub(super) fn grace_time(facts: &Facts<'_>) -> Outcome {
    const USUAL_S: u64 = 120;
    let fault = |value: &str| match value.parse::<u64>().ok()? {
        0 => {
            Some(Fault::new("unauthenticated connections are never closed").level(Severity::Medium))
        }
        seconds if seconds > USUAL_S => {
            Some(Fault::new(format!("unauthenticated connections may stay for {seconds} s")))
        }
        _ => None,
    };
    judge(facts, &[Judge { keyword: "logingracetime", wanted: "LoginGraceTime 60", fault: &fault }])
}

pub(super) fn hostbased(facts: &Facts<'_>) -> Outcome {
    flag(
        facts,
        "hostbasedauthentication",
        "HostbasedAuthentication no",
        "yes",
        "other hosts vouch for their users over SSH",
    )
}

pub(super) fn rhosts(facts: &Facts<'_>) -> Outcome {
    let fact = facts.get::<SshFact>();
    let used = fact.sshd().is_ok_and(|sshd| {
        fact.possible(sshd, "hostbasedauthentication").iter().any(|c| c.value == "yes")
    });
    let fault = |value: &str| {
        let level = if used { Severity::High } else { Severity::Low };
        (value != "yes")
            .then(|| Fault::new("users' .rhosts or .shosts files are honoured").level(level))
    };
    judge(facts, &[Judge { keyword: "ignorerhosts", wanted: "IgnoreRhosts yes", fault: &fault }])
}

pub(super) fn user_environment(facts: &Facts<'_>) -> Outcome {
    let fault = |value: &str| match value {
        "no" => None,
        "yes" => Some(Fault::new("users may set any environment variable before login")),
        _ => Some(
            Fault::new("users may set some environment variables before login")
                .level(Severity::Low),
        ),
    };
    judge(
        facts,
        &[Judge {
            keyword: "permituserenvironment",
            wanted: "PermitUserEnvironment no",
            fault: &fault,
        }],
    )
}

fn weak(value: &str, what: &str, is_weak: fn(&str) -> bool) -> Option<Fault> {
    let names: Vec<&str> = value.split(',').filter(|name| is_weak(name)).collect();
    (!names.is_empty()).then(|| Fault::new(format!("weak {what}: {}", names.join(", "))))
}

pub(super) fn ciphers(facts: &Facts<'_>) -> Outcome {
    let fault = |value: &str| {
        weak(value, "ciphers", |name| {
            name.contains("-cbc") || name.starts_with("arcfour") || name.starts_with("rijndael")
        })
    };
    let wanted = "Ciphers -*-cbc*,arcfour*";
    judge(facts, &[Judge { keyword: "ciphers", wanted, fault: &fault }])
}

pub(super) fn macs(facts: &Facts<'_>) -> Outcome {
    let fault = |value: &str| {
        weak(value, "message authentication", |name| {
            name.contains("md5") || name.contains("sha1-96") || name.contains("ripemd160")
        })
    };
    let wanted = "MACs -*md5*,*sha1-96*,*ripemd160*";
    judge(facts, &[Judge { keyword: "macs", wanted, fault: &fault }])
}

pub(super) fn key_exchange(facts: &Facts<'_>) -> Outcome {
    let fault = |value: &str| {
        weak(value, "key exchange", |name| name.ends_with("-sha1") || name.contains("group1-"))
    };
    let wanted = "KexAlgorithms -*-sha1";
    judge(facts, &[Judge { keyword: "kexalgorithms", wanted, fault: &fault }])
}

pub(super) fn signatures(facts: &Facts<'_>) -> Outcome {
    let is_weak = |name: &str| name.starts_with("ssh-rsa") || name.starts_with("ssh-dss");
    // SHA-1 signatures need a costly forgery, 1024-bit DSA keys are simply too short.
    let fault = move |value: &str| {
        let level = if value.contains("ssh-dss") { Severity::Medium } else { Severity::Low };
        weak(value, "signature algorithms", is_weak).map(|fault| fault.level(level))
    };
    let judged = |keyword, wanted| Judge { keyword, wanted, fault: &fault };
    judge(
        facts,
        &[
            judged("hostkeyalgorithms", "HostKeyAlgorithms -ssh-rsa*,ssh-dss*"),
            judged("pubkeyacceptedalgorithms", "PubkeyAcceptedAlgorithms -ssh-rsa*,ssh-dss*"),
            judged("hostbasedacceptedalgorithms", "HostbasedAcceptedAlgorithms -ssh-rsa*,ssh-dss*"),
            judged("casignaturealgorithms", "CASignatureAlgorithms -ssh-rsa*,ssh-dss*"),
        ],
    )
}

pub(super) fn strict_modes(facts: &Facts<'_>) -> Outcome {
    flag(
        facts,
        "strictmodes",
        "StrictModes yes",
        "no",
        "keys are honoured in files that others may write",
    )
}

pub(super) fn log_level(facts: &Facts<'_>) -> Outcome {
    let fault = |value: &str| match value {
        "SILENT" | "FATAL" | "ERROR" => Some(Fault::new("logins over SSH are not logged")),
        debug if debug.starts_with("DEBUG") => Some(
            Fault::new("sshd logs at a debugging level, which breaks users' privacy")
                .level(Severity::Low),
        ),
        _ => None,
    };
    judge(facts, &[Judge { keyword: "loglevel", wanted: "LogLevel VERBOSE", fault: &fault }])
}

pub(super) fn tcp_forwarding(facts: &Facts<'_>) -> Outcome {
    let fact = facts.get::<SshFact>();
    let all_off = fact.sshd().is_ok_and(|sshd| {
        fact.possible(sshd, "disableforwarding").iter().all(|c| c.value == "yes")
    });
    if all_off {
        return Outcome::passed("disableforwarding yes").unseen(fact.unseen.iter().cloned());
    }
    let fault = |value: &str| {
        (value != "no").then(|| Fault::new("users may tunnel TCP connections through this host"))
    };
    judge(
        facts,
        &[Judge { keyword: "allowtcpforwarding", wanted: "AllowTcpForwarding no", fault: &fault }],
    )
}

pub(super) fn gateway_ports(facts: &Facts<'_>) -> Outcome {
    let fault = |value: &str| match value {
        "yes" => Some(Fault::new("forwarded ports listen on every address")),
        "clientspecified" => Some(
            Fault::new("clients choose on which address forwarded ports listen")
                .level(Severity::Low),
        ),
        _ => None,
    };
    judge(facts, &[Judge { keyword: "gatewayports", wanted: "GatewayPorts no", fault: &fault }])
}

pub(super) fn tunnel(facts: &Facts<'_>) -> Outcome {
    let fault = |value: &str| {
        (value != "no").then(|| Fault::new("clients may join networks through a tun device"))
    };
    judge(facts, &[Judge { keyword: "permittunnel", wanted: "PermitTunnel no", fault: &fault }])
}

pub(super) fn idle(facts: &Facts<'_>) -> Outcome {
    let fault = |value: &str| (value == "0").then(|| Fault::new("dead SSH sessions are kept"));
    judge(
        facts,
        &[
            Judge {
                keyword: "clientaliveinterval",
                wanted: "ClientAliveInterval 300\nClientAliveCountMax 3",
                fault: &fault,
            },
            Judge {
                keyword: "clientalivecountmax",
                wanted: "ClientAliveCountMax 3",
                fault: &fault,
            },
        ],
    )
}

pub(super) fn startups(facts: &Facts<'_>) -> Outcome {
    const USUAL: u64 = 100;
    let fault = |value: &str| {
        let full: u64 = value.rsplit(':').next()?.parse().ok()?;
        (full > USUAL)
            .then(|| Fault::new(format!("up to {full} unauthenticated connections at once")))
    };
    judge(facts, &[Judge { keyword: "maxstartups", wanted: "MaxStartups 10:30:60", fault: &fault }])
}
