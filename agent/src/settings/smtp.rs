//! A mail server, as the operator configures it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::credential::Secret;

/// A mail server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmtpSettings {
    /// Its name or address.
    pub host: String,
    /// Its port.
    #[serde(default = "submission")]
    pub port: u16,
    /// How the connection is protected.
    #[serde(default)]
    pub security: SmtpSecurity,
    /// Account, if it wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its password: a file of mode 0600, or `credential:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<Secret>,
    /// Certificates to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

impl SmtpSettings {
    /// Whether it makes sense; what does not.
    pub(super) fn check(&self) -> Result<(), String> {
        let host = &self.host;
        let loopback = host == "localhost"
            || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        let plain = |c: u8| c.is_ascii_alphanumeric() || b".-:_".contains(&c);
        if host.is_empty() || host.len() > 253 || !host.bytes().all(plain) {
            return Err("smtp: host is a name or an address".into());
        }
        if self.security == SmtpSecurity::None && !loopback {
            return Err("smtp: security is none only to a loopback address".into());
        }
        let bad =
            |user: &String| user.is_empty() || user.len() > 254 || user.contains(char::is_control);
        match (&self.user, &self.password_file) {
            (None, None) => Ok(()),
            (Some(user), Some(_)) if !bad(user) => Ok(()),
            _ => Err("smtp: user and password_file come together".into()),
        }
    }
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SmtpSecurity {
    /// TLS from the answer to STARTTLS on; never without.
    #[default]
    Starttls,
    /// TLS from the first byte on (port 465).
    Tls,
    /// Only to a loopback address.
    None,
}

fn submission() -> u16 {
    587
}
