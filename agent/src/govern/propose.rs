//! What a judged case calls for, as far as the operator opted into it.
//!
//! A block is proposed for something that happened, is bad enough, and names the address that it came
//! from; a command where the case has all that its words need. Nothing is decided here.

use std::collections::BTreeSet;
use std::net::IpAddr;

use consensus::Kind;
use consensus::learn::{Click, Word};
use consensus::networks::Network;
use scanner::ports::addresses::{Reach as How, reach};

use super::actions::command::{Filling, filled};
use super::harm::{Aim, Seen};
use super::policy::Policy;
use super::proof::Testimony;
use super::risk::{Certainty, Factors, Reach, Target, Undo};
use super::{Action, Proposal};
use crate::settings::{CommandSettings, Restores, Span, Unconfirmed};
use crate::store::cases::Case;

/// What has to be known besides the case.
#[derive(Clone, Debug)]
pub struct Known {
    /// Addresses that somebody has logged in from.
    pub logins: Seen<BTreeSet<IpAddr>>,
    /// Fingerprints of what operators dismissed.
    pub dismissed: Seen<BTreeSet<String>>,
}

/// The fingerprints that an operator's last word on was a dismissal.
pub fn dismissed(clicks: &[Click]) -> BTreeSet<String> {
    let mut dismissed = BTreeSet::new();
    for click in clicks {
        match click.word {
            Word::Dismiss => dismissed.insert(click.finding.clone()),
            _ => dismissed.remove(&click.finding),
        };
    }
    dismissed
}

/// What a case calls for; `judged` is when it was.
pub fn proposals(case: &Case, judged: i64, policy: &Policy, known: &Known) -> Vec<Proposal> {
    let settings = &policy.settings;
    if !settings.enabled {
        return Vec::new();
    }
    let mut all = Vec::new();
    let network = case.evidence.subject.ip.as_deref().and_then(|ip| ip.parse::<Network>().ok());
    let block = &settings.block;
    if let Some(network) = network
        && block.enabled
        && case.evidence.kind == Kind::Activity
        && case.verdict.severity >= block.from
    {
        let what = What {
            action: Action::Block { network },
            aim: Aim { network: Some(network), ..Aim::default() },
            reach: Reach::of(&network),
            undo: Undo::ByItself,
            target: class(Some(network), policy, known),
            hold: block.hold,
            confirm: (block.unconfirmed, block.confirm_within),
        };
        all.push(what.proposal(case, judged, block.from, known));
    }
    for command in &settings.commands {
        let named = command.checks.is_empty() || command.checks.contains(&case.evidence.check);
        if named && case.verdict.severity >= command.from {
            let what = what(command, case, network, policy, known);
            all.extend(what.map(|what| what.proposal(case, judged, command.from, known)));
        }
    }
    all
}

/// A command for a case; `None` where the case does not have what its words need.
fn what(
    command: &CommandSettings,
    case: &Case,
    network: Option<Network>,
    policy: &Policy,
    known: &Known,
) -> Option<What> {
    let subject = &case.evidence.subject;
    let filling = Filling {
        ip: network.map(|network| network.to_string()),
        user: subject.user.clone(),
        unit: subject.unit.clone(),
        case: case.fingerprint.clone(),
        seconds: command.hold.seconds(),
    };
    let words = [&command.run, &command.undo].map(|words| filled(words, &filling));
    let [Some(run), Some(undo)] = words else { return None };
    let uses = |name: &str| {
        let place = format!("{{{name}}}");
        command.run.iter().chain(&command.undo).any(|word| word.contains(&place))
    };
    let aim = Aim {
        network: network.filter(|_| uses("ip")),
        user: filling.user.filter(|_| uses("user")),
        unit: filling.unit.filter(|_| uses("unit")),
    };
    let about: Vec<String> = [
        aim.network.map(|network| network.to_string()),
        aim.user.as_ref().map(|user| format!("user {user}")),
        aim.unit.as_ref().map(|unit| format!("unit {unit}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let target = match aim.user.is_some() || aim.unit.is_some() {
        true => Target::Own,
        false => class(aim.network, policy, known),
    };
    let wide = aim.network.as_ref().map_or(Reach::One, Reach::of);
    Some(What {
        action: Action::Command {
            name: command.name.clone(),
            about: if about.is_empty() { "this host".into() } else { about.join(", ") },
            run,
            undo,
            timeout_ms: u64::try_from(command.timeout.0.as_millis()).unwrap_or(u64::MAX),
        },
        aim,
        reach: command.reach.max(wide),
        undo: if command.restores == Restores::All { Undo::Whole } else { Undo::InPart },
        target,
        hold: command.hold,
        confirm: (command.unconfirmed, command.confirm_within),
    })
}

/// Whom it hits. Where it is not known who has logged in from where, it may be one of ours.
fn class(network: Option<Network>, policy: &Policy, known: &Known) -> Target {
    let Some(network) = network else { return Target::Own };
    let ours = match &known.logins {
        Ok(logins) => logins.iter().any(|from| network.contains(*from)),
        Err(_) => true,
    };
    let near = reach(network.address()) != How::Global
        || policy.own.iter().any(|own| own.overlaps(&network));
    match (ours, near) {
        (true, _) => Target::Own,
        (false, true) => Target::Neighbour,
        (false, false) => Target::Stranger,
    }
}

struct What {
    action: Action,
    aim: Aim,
    reach: Reach,
    undo: Undo,
    target: Target,
    hold: Span,
    confirm: (Unconfirmed, Span),
}

impl What {
    fn proposal(
        self,
        case: &Case,
        judged: i64,
        from: consensus::Severity,
        known: &Known,
    ) -> Proposal {
        let dismissed = known.dismissed.as_ref().ok().map(|all| all.contains(&case.fingerprint));
        let mut testimony = Testimony::of(&case.verdict, judged, case.evidence.last, dismissed);
        testimony.refuted = case.course.as_ref().is_some_and(|course| !course.checked.stands());
        let sure = testimony.at_least(from);
        let certainty = Certainty::of(sure, testimony.experts, testimony.sources);
        let Self { action, aim, reach, undo, target, hold, confirm } = self;
        Proposal {
            case: case.fingerprint.clone(),
            title: scanner::redact::line(&case.evidence.title),
            action,
            aim,
            testimony,
            factors: Factors { reach, undo, target, certainty },
            hold_s: hold.seconds(),
            confirm_within_s: (confirm.0 == Unconfirmed::Revert).then(|| confirm.1.seconds()),
        }
    }
}

#[cfg(test)]
#[path = "propose_tests.rs"]
pub mod tests;
