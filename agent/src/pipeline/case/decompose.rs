//! Third stage: the questions that whoever is on call asks first, answered from the evidence and its
//! context. Nothing is guessed: what is not known is left out.

use std::net::IpAddr;

use consensus::{Context, Evidence, Operator, Privilege};
use serde::{Deserialize, Serialize};

use super::tactic::Tactic;

/// The answers, one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Questions {
    /// Who acts: account and address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// What was done: the tactics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub what: Vec<Tactic>,
    /// From where: whose network that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// With which right, if it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
    /// What usually comes next, and where it would show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Answers the questions.
pub fn decompose(evidence: &Evidence, context: &Context) -> Questions {
    let what = Tactic::among(&evidence.tags);
    Questions {
        who: who(evidence, context),
        from: evidence.subject.ip.as_deref().map(|ip| from(ip, context)),
        right: right(evidence.privilege),
        next: what.last().and_then(|tactic| next(*tactic)).map(str::to_string),
        what,
    }
}

fn who(evidence: &Evidence, context: &Context) -> Option<String> {
    let subject = &evidence.subject;
    let user = subject.user.as_ref().map(|name| {
        let known = context.accounts.as_ref().map(|accounts| accounts.get(name));
        match known {
            Some(Some(account)) => format!("account {name} (uid {})", account.uid),
            Some(None) => format!("account {name}, which is not of this host"),
            None => format!("account {name}"),
        }
    });
    let address = subject.ip.as_ref().map(|ip| format!("somebody at {ip}"));
    let unit = subject.unit.as_ref().map(|unit| format!("unit {unit}"));
    let parts: Vec<String> = [user, address, unit].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn from(ip: &str, context: &Context) -> String {
    let Ok(address) = ip.parse::<IpAddr>() else { return ip.to_string() };
    let address = address.to_canonical();
    let Operator { own_networks, monitoring, scanners, tor, .. } = &context.operator;
    let scope = match () {
        () if address.is_loopback() => "this host",
        () if context.own_addresses.as_ref().is_some_and(|own| own.contains(address)) => {
            "this host"
        }
        () if monitoring.contains(address) => "the operator's monitoring",
        () if own_networks.contains(address) => "a network of the operator's own",
        () if tor.contains(address) => "a relay of the Tor network",
        () if scanners.contains(address) => "a scanner that probes everybody",
        () if is_private(address) => "a private network",
        () => "the internet",
    };
    format!("{ip}: {scope}")
}

/// RFC 1918, RFC 3927, RFC 4193, RFC 4291 2.5.6.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.is_private() || four.is_link_local(),
        IpAddr::V6(six) => six.is_unique_local() || six.is_unicast_link_local(),
    }
}

fn right(privilege: Privilege) -> Option<String> {
    let text = match privilege {
        Privilege::None => return None,
        Privilege::Information => "learns something that helps an attack",
        Privilege::Service => "the rights of a service's account",
        Privilege::User => "the rights of a login account",
        Privilege::Root => "root",
    };
    Some(text.to_string())
}

/// What follows a tactic in most intrusions, and where a host shows it.
fn next(tactic: Tactic) -> Option<&'static str> {
    Some(match tactic {
        Tactic::Reconnaissance => {
            "tries passwords or exploits against what answered: failed logins, 4xx and 5xx"
        }
        Tactic::ResourceDevelopment => return None,
        Tactic::CredentialAccess => {
            "logs in with what it found: an accepted login from the same address"
        }
        Tactic::InitialAccess => {
            "runs commands and looks around: new processes of the service's account, sudo"
        }
        Tactic::Execution => "stays: new cron entries, units, authorized_keys",
        Tactic::Persistence => {
            "comes back later by what it left: the same entry used from another address"
        }
        Tactic::PrivilegeEscalation => {
            "acts as root: new accounts, changed sudoers, loaded modules"
        }
        Tactic::DefenseEvasion => "goes on unseen: logs that are silent or were cut",
        Tactic::Discovery => "moves on to other hosts: outgoing ssh, scans of the network",
        Tactic::LateralMovement => "does the same on the next host: its logs",
        Tactic::Collection => "carries it out: large transfers, archives in /tmp",
        Tactic::CommandAndControl => "gets orders: regular outgoing connections",
        Tactic::Exfiltration => "asks for money or is gone: encrypted or deleted files",
        Tactic::Impact => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::case::samples::{evidence, networks};
    use consensus::Severity;

    #[test]
    fn the_questions_are_answered_from_what_is_known() {
        let mut seen = evidence("ssh-brute-force", Severity::High);
        seen.subject.user = Some("root".into());
        seen.privilege = Privilege::Root;
        seen.tags = vec!["attack.t1110".into(), "attack.credential-access".into()];
        let mut context = Context::default();
        let asked = decompose(&seen, &context);
        assert_eq!(asked.who.as_deref(), Some("account root, somebody at 192.0.2.7"));
        assert_eq!(asked.what, [Tactic::CredentialAccess]);
        assert_eq!(asked.from.as_deref(), Some("192.0.2.7: the internet"));
        assert_eq!(asked.right.as_deref(), Some("root"));
        assert!(asked.next.is_some_and(|next| next.contains("accepted login")));

        context.accounts = Some(Default::default());
        context.operator.monitoring = networks("192.0.2.0/24");
        let asked = decompose(&seen, &context);
        assert!(asked.who.is_some_and(|who| who.contains("not of this host")));
        assert_eq!(asked.from.as_deref(), Some("192.0.2.7: the operator's monitoring"));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut seen = evidence("x", Severity::Low);
        seen.subject = Default::default();
        seen.tags.clear();
        assert_eq!(decompose(&seen, &Context::default()), Questions::default());
    }
}
