//! What a scan tells: the shapes of `wardmote.scan/1`.
//!
//! Keys may be added; none is renamed. An optional key is absent, never null. Every fact that is not
//! from the probe itself says its source and age.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Owner;
use super::connect::State;
use super::expect::Drift;
use super::truth::Disagreement;

/// The scan's report, as the contract has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// `wardmote.scan/1`.
    pub schema: String,
    /// When it began (RFC 3339).
    pub started: String,
    /// How long it took, in milliseconds.
    pub elapsed_ms: f64,
    /// One per address.
    pub hosts: Vec<HostReport>,
    /// How many ports had which state.
    pub counts: Counts,
    /// What decided the order in which other hosts' ports were asked (`--seed`); absent where only this
    /// host was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    /// What could not be examined.
    pub incomplete: Vec<String>,
    /// Where the views of what listens on this host disagree, the gravest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truth: Vec<Disagreement>,
    /// Views of this host that could not be compared, or not whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
    /// How it differs from what `--expect` declares; absent where nothing is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Vec<Drift>>,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostReport {
    /// Its address.
    pub address: IpAddr,
    /// The name that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it is this host's own: a probe then passed no firewall.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// Open ports, or all that were asked.
    pub ports: Vec<PortReport>,
    /// How many ports of it had which state.
    pub counts: Counts,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PortReport {
    /// Port.
    pub port: u16,
    /// `open`, `closed`, `filtered`, `local_error` or `not_probed`.
    pub state: String,
    /// Why it is neither open nor closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time to the answer, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u32>,
    /// Where the state is from: `probe` or `kernel`.
    pub source: String,
    /// Age of the state in seconds.
    pub age_s: u64,
    /// What is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceReport>,
    /// Why `--identify` could not tell what is there, or not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unidentified: Option<String>,
    /// What the TLS handshake showed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsReport>,
    /// Who holds it, on this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerReport>,
}

/// What is behind a port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceReport {
    /// Canonical name.
    pub name: String,
    /// Product, as its vendor writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Version of the product, as the service or the owning package says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it sent, printable and bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub banner: Option<String>,
    /// 0.3 for a name that only the port number suggests, 0.9 for one that the executable or unit has,
    /// more where the service itself told.
    pub confidence: f64,
    /// Where product and version are from: `probe`, `package` or `cache`; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Age of product, version and banner in seconds; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_s: Option<u64>,
    /// What does not fit together: a banner that names another version than the installed package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disagreement: Option<String>,
}

impl ServiceReport {
    /// Product and version in one: `OpenSSH 9.2p1`; empty where neither is known.
    pub fn what(&self) -> String {
        let parts = [self.product.as_deref(), self.version.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// What one TLS handshake showed. Nothing in it was verified against a trust store: it is what the
/// service presents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TlsReport {
    /// Negotiated protocol: `1.3`, `1.2`, `1.1`, `1.0` or `ssl3`.
    pub version: String,
    /// Negotiated cipher suite, by its IANA name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher: Option<String>,
    /// How TLS began: absent for at once, else the protocol of STARTTLS (`smtp`, `imap` …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starttls: Option<String>,
    /// Subject of the first certificate (RFC 4514).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Issuer of the first certificate (RFC 4514).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Begin of validity (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// End of validity (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
    /// Names and addresses that it is for (RFC 6125: subject alternative names).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Public key: `rsa 2048`, `ec p-256`, `ed25519`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Signature algorithm of the first certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// SHA-256 of the first certificate, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Certificates presented.
    #[serde(default)]
    pub chain: u32,
    /// First end of validity among the other certificates of the chain, but for self-signed ones (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_not_after: Option<String>,
    /// `requested` where the service asks for a certificate of the client, `required` where it ended the
    /// handshake without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<String>,
    /// What is wrong with it, one line each: expired, a weak key, a name that does not fit …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// `probe` or `cache`.
    pub source: String,
    /// Age in seconds.
    pub age_s: u64,
}

/// Who holds a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnerReport {
    /// Process id.
    pub pid: u32,
    /// Executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// systemd unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Package and version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Effective uid.
    pub uid: u32,
}

/// How many ports had which state; they add up to what was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Accepted.
    pub open: u64,
    /// Refused.
    pub closed: u64,
    /// No answer, or neither.
    pub filtered: u64,
    /// This host could not ask.
    pub local_error: u64,
    /// Not asked.
    pub not_probed: u64,
}

impl Counts {
    pub(super) fn add(&mut self, state: State) {
        *match state {
            State::Open(_) => &mut self.open,
            State::Closed => &mut self.closed,
            State::Filtered(_) => &mut self.filtered,
            State::LocalError(_) => &mut self.local_error,
            State::NotProbed => &mut self.not_probed,
        } += 1;
    }

    pub(super) fn sum(hosts: &[HostReport]) -> Self {
        hosts.iter().fold(Self::default(), |sum, host| Self {
            open: sum.open + host.counts.open,
            closed: sum.closed + host.counts.closed,
            filtered: sum.filtered + host.counts.filtered,
            local_error: sum.local_error + host.counts.local_error,
            not_probed: sum.not_probed + host.counts.not_probed,
        })
    }
}

impl From<&Owner> for OwnerReport {
    fn from(owner: &Owner) -> Self {
        Self {
            pid: owner.pid,
            exe: owner.exe.clone(),
            unit: owner.unit.clone(),
            package: owner.package.clone(),
            uid: owner.uid,
        }
    }
}
