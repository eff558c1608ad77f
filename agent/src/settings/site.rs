//! What the operator tells about the host and its surroundings: its role, networks, lists, and what is
//! accepted. The panel's experts use it; none of it is needed.
//!
//! Lists of addresses are files of their own: one address or network a line, `#` begins a comment.
//! A line that is neither is an error with file, line and column, not a line that is passed over.

use std::path::{Path, PathBuf};

use consensus::Operator;
use consensus::context::{Pattern, Role};
use consensus::networks::{Network, Networks};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounded;
use crate::exit::hinted;

/// Most bytes of a list of addresses.
const LIST_BYTES_MAX: u64 = 8 << 20;
/// Most networks that are written in the configuration itself.
const NETWORKS_MAX: usize = 1_000;
/// Most accepted patterns.
const ACCEPTED_MAX: usize = 1_000;

/// The site's settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SiteSettings {
    /// What the host is there for: web, database, mail, dns, files or bastion. Inferred where absent.
    pub role: Option<Role>,
    /// Networks of the operator's own: what comes from there is milder, unless it is grave.
    pub own_networks: Vec<Network>,
    /// Addresses that probe the host on the operator's behalf: their attempts are noise.
    pub monitoring: Vec<Network>,
    /// File of addresses known to scan everybody.
    pub scanners: Option<PathBuf>,
    /// File of the relays of the Tor network.
    pub tor: Option<PathBuf>,
    /// What is accepted: `{check: …, user: …, network: …, path: …}`; every part given must fit.
    pub accepted: Vec<Pattern>,
}

impl SiteSettings {
    /// All of it for the panel, with the lists read.
    pub fn operator(&self) -> anyhow::Result<Operator> {
        let counts = [
            ("site.own_networks", self.own_networks.len(), NETWORKS_MAX),
            ("site.monitoring", self.monitoring.len(), NETWORKS_MAX),
            ("site.accepted", self.accepted.len(), ACCEPTED_MAX),
        ];
        if let Some((key, count, most)) = counts.into_iter().find(|(_, n, most)| n > most) {
            let message =
                format!("configuration: {key}: {count} entries, at most {most} are taken");
            return Err(hinted(message, "larger networks, or patterns that name less"));
        }
        let read =
            |file: &Option<PathBuf>| file.as_deref().map_or_else(|| Ok(Networks::default()), list);
        Ok(Operator {
            role: self.role,
            own_networks: self.own_networks.clone().into(),
            monitoring: self.monitoring.clone().into(),
            scanners: read(&self.scanners)?,
            tor: read(&self.tor)?,
            accepted: self.accepted.clone(),
        })
    }
}

/// Reads a list of addresses.
fn list(file: &Path) -> anyhow::Result<Networks> {
    let (bytes, _) =
        bounded(file, LIST_BYTES_MAX, "site.scanners and site.tor name lists of addresses")?;
    let text = String::from_utf8_lossy(&bytes);
    let mut networks: Vec<Network> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default();
        let column = entry.len() - entry.trim_start().len() + 1;
        let entry = entry.trim();
        if entry.is_empty() {
            continue;
        }
        let at = format!("{}:{}:{column}", file.display(), index + 1);
        networks.push(entry.parse().map_err(|error| {
            hinted(format!("{at}: {error}"), "one address or network a line, # begins a comment")
        })?);
        if networks.len() > Networks::MOST {
            let message = format!("{at}: more than {} networks", Networks::MOST);
            return Err(hinted(message, "join neighbours into larger networks"));
        }
    }
    Ok(networks.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &str) -> anyhow::Result<Networks> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tor.txt");
        std::fs::write(&file, text).unwrap();
        list(&file)
    }

    #[test]
    fn a_list_has_one_network_a_line_and_a_wrong_line_is_named() {
        let read = listed("# relays\n\n192.0.2.7\n 2001:db8::/32 # all of it\n").unwrap();
        assert_eq!(read.iter().len(), 2);
        let error = listed("192.0.2.7\n  example.org\n").unwrap_err().to_string();
        assert!(error.contains("tor.txt:2:3: not an address or a network"), "{error}");
        assert!(list(Path::new("/nonexistent/tor.txt")).is_err());
    }

    #[test]
    fn lists_are_bounded() {
        let many = |n: usize| -> String {
            (0..n).map(|i| format!("10.{}.{}.{}\n", i >> 16, i >> 8 & 255, i & 255)).collect()
        };
        assert_eq!(listed(&many(Networks::MOST)).unwrap().iter().len(), Networks::MOST);
        assert!(listed(&many(Networks::MOST + 1)).is_err());
        let with = |n: usize| SiteSettings {
            own_networks: vec!["10.0.0.0/8".parse().unwrap(); n],
            ..SiteSettings::default()
        };
        assert!(with(NETWORKS_MAX).operator().is_ok());
        assert!(with(NETWORKS_MAX + 1).operator().is_err());
    }
}
