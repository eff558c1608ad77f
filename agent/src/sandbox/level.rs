//! What of the sandbox could be reached, and what the operator wants of it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::SandboxSetting;

/// What the process that reads hostile text gave up: what it could not give up says why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Level {
    /// Version of landlock's interface that holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landlock_abi: Option<u32>,
    /// Whether system calls are filtered.
    pub seccomp: bool,
    /// Whether it holds no capability, in no set that counts, and can gain none.
    pub no_capabilities: bool,
    /// Whether memory and descriptors are bounded.
    pub limits: bool,
    /// What could not be reached, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

impl Level {
    /// Whether nothing is missing.
    pub fn is_whole(&self) -> bool {
        let reached = self.landlock_abi.is_some() && self.seccomp;
        reached && self.no_capabilities && self.limits && self.missing.is_empty()
    }

    /// Whether the operator's wish is met; else what is missing.
    pub fn meets(&self, wanted: SandboxSetting) -> Result<(), String> {
        match wanted {
            SandboxSetting::Required if !self.is_whole() => Err(self.missing.join("; ")),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let landlock = self.landlock_abi.map(|abi| format!("landlock ABI {abi}"));
        let named = [(self.seccomp, "seccomp"), (self.no_capabilities, "no capabilities")];
        let named = named.into_iter().filter(|(reached, _)| *reached).map(|(_, name)| name.into());
        let reached: Vec<String> = landlock.into_iter().chain(named).collect();
        match reached.is_empty() {
            true => out.write_str("nothing")?,
            false => out.write_str(&reached.join(", "))?,
        }
        if !self.missing.is_empty() {
            write!(out, "; missing: {}", self.missing.join("; "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_sandbox_is_enough_where_it_is_required() {
        let whole = Level {
            landlock_abi: Some(7),
            seccomp: true,
            no_capabilities: true,
            limits: true,
            missing: Vec::new(),
        };
        assert_eq!(whole.to_string(), "landlock ABI 7, seccomp, no capabilities");
        assert_eq!(whole.meets(SandboxSetting::Required), Ok(()));
        let missing = vec!["landlock (not in this kernel)".to_string()];
        let less = Level { landlock_abi: None, missing, ..whole };
        let told = "seccomp, no capabilities; missing: landlock (not in this kernel)";
        assert_eq!(less.to_string(), told);
        assert!(less.meets(SandboxSetting::Required).is_err());
        assert_eq!(less.meets(SandboxSetting::Auto), Ok(()));
        assert!(!Level::default().is_whole());
    }
}
