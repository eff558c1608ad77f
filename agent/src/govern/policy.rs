//! What the operator wants, ready for deciding: made once from the settings, with a digest that names it.

use consensus::networks::Networks;
use consensus::{Operator, Severity};
use sha2::{Digest, Sha256};

use super::Action;
use super::harm::Limits;
use super::proof::Bar;
use super::risk::{Risk, Target};
use crate::settings::ResponseSettings;

/// What a verdict has to be worth for anything to be done by itself.
const PROBABILITY: f64 = 0.8;

/// What the operator wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// As configured.
    pub settings: ResponseSettings,
    /// Never to be touched.
    pub allow: Networks,
    /// Networks of the operator's own: their addresses are neighbours.
    pub own: Networks,
    /// Names all of it: the same policy has the same digest.
    pub digest: String,
}

impl Policy {
    /// The policy of the settings and of what the operator told about the site.
    pub fn new(settings: ResponseSettings, operator: &Operator) -> Self {
        let allow = Networks::from(settings.allow.clone()).and(operator.monitoring.clone());
        let own = operator.own_networks.clone();
        let mut hash = Sha256::new();
        for part in [serde_json::to_vec(&settings), serde_json::to_vec(&(&allow, &own))] {
            // Values of these types always have a JSON form.
            hash.update(part.unwrap_or_default());
            hash.update([0]);
        }
        let digest: String = hash.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect();
        Self { settings, allow, own, digest }
    }

    /// What the verdict of a case has to be worth. A graver risk asks for more.
    pub fn bar(&self, action: &Action, risk: Risk) -> Bar {
        let level = match action {
            Action::Block { .. } => self.settings.block.from,
            Action::Command { name, .. } => {
                let command = self.settings.commands.iter().find(|one| one.name == *name);
                command.map_or(Severity::Critical, |command| command.from)
            }
        };
        let experts = if risk == Risk::Critical { 2 } else { 1 };
        let fresh_s = self.settings.fresh.seconds();
        Bar { level, probability: PROBABILITY, experts, sources: 1, fresh_s }
    }

    /// What Harm has to hold an action to.
    pub fn limits(&self, action: &Action, target: Target) -> Limits {
        let block = &self.settings.block;
        let per_hour = match action {
            Action::Block { .. } => block.per_hour,
            Action::Command { name, .. } => {
                let command = self.settings.commands.iter().find(|one| one.name == *name);
                command.map_or(0, |command| command.per_hour)
            }
        };
        let classes = &self.settings.per_hour;
        Limits {
            allow: self.allow.clone(),
            neighbours: self.settings.neighbours,
            widest: [block.widest_v4, block.widest_v6],
            critical_units: self.settings.critical_units.clone(),
            per_hour,
            per_hour_of_class: match target {
                Target::Stranger => classes.stranger,
                Target::Neighbour => classes.neighbour,
                Target::Own => classes.own,
            },
        }
    }

    /// How many different operators an action of this risk needs when it waits.
    pub fn operators(&self, risk: Risk) -> u8 {
        if risk == Risk::Critical { self.settings.critical_operators } else { 1 }
    }

    /// Whether an action is opted into.
    pub fn allows(&self, action: &Action) -> bool {
        self.settings.enabled
            && match action {
                Action::Block { .. } => self.settings.block.enabled,
                Action::Command { name, .. } => {
                    self.settings.commands.iter().any(|one| one.name == *name)
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_changes_with_every_part_of_the_policy() {
        let plain = Policy::new(ResponseSettings::default(), &Operator::default());
        let again = Policy::new(ResponseSettings::default(), &Operator::default());
        assert_eq!(plain.digest, again.digest);
        let dry = ResponseSettings { dry_run: false, ..ResponseSettings::default() };
        let monitored = Operator {
            monitoring: vec!["192.0.2.9".parse().unwrap()].into(),
            ..Operator::default()
        };
        let others = [
            Policy::new(dry, &Operator::default()),
            Policy::new(ResponseSettings::default(), &monitored),
        ];
        assert!(others[1].allow.contains("192.0.2.9".parse().unwrap()));
        assert!(others.iter().all(|other| other.digest != plain.digest));
    }

    #[test]
    fn nothing_is_allowed_that_is_not_opted_into() {
        let block = Action::Block { network: "192.0.2.7".parse().unwrap() };
        let mut settings = ResponseSettings::default();
        let allows = |settings: &ResponseSettings| {
            Policy::new(settings.clone(), &Operator::default()).allows(&block)
        };
        assert!(!allows(&settings));
        settings.enabled = true;
        assert!(!allows(&settings), "each kind by itself");
        settings.block.enabled = true;
        assert!(allows(&settings));
        settings.enabled = false;
        assert!(!allows(&settings));
    }
}
