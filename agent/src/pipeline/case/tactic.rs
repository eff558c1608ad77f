//! The tactics of MITRE ATT&CK (enterprise), in the order of its matrix: how far somebody has come.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What somebody wants at this moment. Ordered: later ones are further in.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Tactic {
    /// TA0043
    Reconnaissance,
    /// TA0042
    ResourceDevelopment,
    /// TA0001
    InitialAccess,
    /// TA0002
    Execution,
    /// TA0003
    Persistence,
    /// TA0004
    PrivilegeEscalation,
    /// TA0005
    DefenseEvasion,
    /// TA0006
    CredentialAccess,
    /// TA0007
    Discovery,
    /// TA0008
    LateralMovement,
    /// TA0009
    Collection,
    /// TA0011
    CommandAndControl,
    /// TA0010
    Exfiltration,
    /// TA0040
    Impact,
}

impl Tactic {
    /// All, in order.
    pub const ALL: [Self; 14] = [
        Self::Reconnaissance,
        Self::ResourceDevelopment,
        Self::InitialAccess,
        Self::Execution,
        Self::Persistence,
        Self::PrivilegeEscalation,
        Self::DefenseEvasion,
        Self::CredentialAccess,
        Self::Discovery,
        Self::LateralMovement,
        Self::Collection,
        Self::CommandAndControl,
        Self::Exfiltration,
        Self::Impact,
    ];

    /// Its name in tags (`attack.credential-access`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Reconnaissance => "reconnaissance",
            Self::ResourceDevelopment => "resource-development",
            Self::InitialAccess => "initial-access",
            Self::Execution => "execution",
            Self::Persistence => "persistence",
            Self::PrivilegeEscalation => "privilege-escalation",
            Self::DefenseEvasion => "defense-evasion",
            Self::CredentialAccess => "credential-access",
            Self::Discovery => "discovery",
            Self::LateralMovement => "lateral-movement",
            Self::Collection => "collection",
            Self::CommandAndControl => "command-and-control",
            Self::Exfiltration => "exfiltration",
            Self::Impact => "impact",
        }
    }

    /// The tactics that tags name, in order; both spellings of Sigma (`_` and `-`).
    pub fn among(tags: &[String]) -> Vec<Self> {
        let named = |tactic: &Self| {
            tags.iter().any(|tag| {
                let name = tag.strip_prefix("attack.").unwrap_or_default();
                name.replace('_', "-") == tactic.name()
            })
        };
        Self::ALL.into_iter().filter(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_both_spellings_are_tactics_in_order() {
        let tags = ["attack.impact", "attack.t1110", "attack.credential_access", "attack.impact"];
        let tags: Vec<String> = tags.map(str::to_string).to_vec();
        assert_eq!(Tactic::among(&tags), [Tactic::CredentialAccess, Tactic::Impact]);
        assert!(Tactic::among(&[]).is_empty());
        assert!(Tactic::ALL.is_sorted());
        for tactic in Tactic::ALL {
            assert_eq!(Tactic::among(&[format!("attack.{}", tactic.name())]), [tactic]);
        }
    }
}
