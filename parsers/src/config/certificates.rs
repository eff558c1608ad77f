//! Certificates and keys in PEM or DER (RFC 5280, RFC 7468): whose, by whom, for which names, until when,
//! with what key. Nothing secret is kept: of a private key its kind and size.
//!
//! No signature is checked and no chain is built. DER is read by `x509-cert`; the number and size of the
//! blocks are bounded.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};

use super::lines::numbered;
use super::problems::Problems;
use crate::place::Place;

mod key;

pub use key::Key;

/// Most blocks of one file; a bundle of every public authority has some 150.
pub const BLOCKS_MAX: usize = 5_000;

/// Most bytes of one block as text.
pub const BLOCK_BYTES_MAX: usize = 1 << 20;

/// Most names of one certificate that are kept.
pub const NAMES_MAX: usize = 1_000;

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// For whom, as RFC 4514 writes it.
    pub subject: String,
    /// By whom.
    pub issuer: String,
    /// Serial number in hexadecimal digits.
    pub serial: String,
    /// Names of the subject: `dns:…`, `ip:…`, `email:…`, `uri:…`.
    pub names: Vec<String>,
    /// First moment, RFC 3339.
    pub not_before: String,
    /// Last moment, RFC 3339.
    pub not_after: String,
    /// First moment, seconds since the epoch.
    pub not_before_unix: u64,
    /// Last moment, seconds since the epoch.
    pub not_after_unix: u64,
    /// The subject's key.
    pub key: Key,
    /// How it is signed: `sha256WithRSAEncryption`, or the object identifier.
    pub signature: String,
    /// Whether it may sign others.
    pub is_authority: bool,
    /// Whether subject and issuer are the same; the signature is not checked.
    pub self_signed: bool,
    /// Where it begins.
    pub place: Place,
}

/// A private or public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyBlock {
    /// The label of the block: `PRIVATE KEY`, `RSA PRIVATE KEY` …
    pub label: String,
    /// Whether it is protected by a pass phrase.
    pub is_encrypted: bool,
    /// Its kind and size, where they can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// Where it begins.
    pub place: Place,
}

/// What a file holds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Certificates {
    /// Certificates in order.
    pub certificates: Vec<Certificate>,
    /// Keys in order.
    pub keys: Vec<KeyBlock>,
    /// Labels of other blocks (`DH PARAMETERS`, `X509 CRL` …).
    pub others: Vec<String>,
    /// Blocks that cannot be read.
    pub problems: Problems,
}

impl Certificates {
    /// Reads PEM blocks, or one certificate in DER.
    pub fn parse(name: &str, bytes: &[u8]) -> Self {
        let file: Arc<str> = name.into();
        let mut read = Self::default();
        if bytes.first() == Some(&0x30) {
            read.certificate(bytes, Place::whole(name));
            return read;
        }
        let mut open: Option<Open> = None;
        let mut blocks = 0;
        for line in numbered(bytes) {
            let place = line.place(&file, 0);
            let text = line.text();
            let text = text.trim();
            if let Some(label) = label(text, "-----BEGIN ") {
                if let Some(unclosed) = open.take() {
                    read.problems.push(unclosed.place, "the block has no END line");
                }
                blocks += 1;
                if blocks > BLOCKS_MAX {
                    read.problems.push(place, format!("more than {BLOCKS_MAX} blocks"));
                    return read;
                }
                open = Some(Open { label: label.into(), place, body: String::new(), dek: false });
            } else if let Some(label) = label(text, "-----END ") {
                match open.take() {
                    Some(block) if block.label == label => read.block(block),
                    Some(block) => read.problems.push(place, format!("the END of {}", block.label)),
                    None => read.problems.push(place, "an END line without a BEGIN line"),
                }
            } else if let Some(block) = &mut open {
                block.line(text);
            }
        }
        match open {
            Some(block) => read.problems.push(block.place, "the block has no END line"),
            None if blocks == 0 => {
                read.problems.push(Place::whole(name), "no PEM block and no certificate in DER");
            }
            None => {}
        }
        read
    }

    fn block(&mut self, block: Open) {
        let Open { label, place, body, dek } = block;
        let decoded = match body.len() {
            0..=BLOCK_BYTES_MAX => STANDARD.decode(&body).ok(),
            _ => None,
        };
        let is_key = label.ends_with("PRIVATE KEY") || label.ends_with("PUBLIC KEY");
        let is_encrypted = dek || label.starts_with("ENCRYPTED");
        match (decoded, label.as_str()) {
            (None, _) => self.problems.push(place, "the block is not Base64 or too large"),
            (Some(der), "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE") => {
                self.certificate(&der, place);
            }
            (Some(der), _) if is_key => {
                let key = if is_encrypted { None } else { Key::of_block(&label, &der) };
                let is_encrypted = is_encrypted || key::is_encrypted_openssh(&label, &der);
                if key.is_none() && !is_encrypted && label != "OPENSSH PRIVATE KEY" {
                    self.problems.push(place.clone(), "the key cannot be read");
                }
                self.keys.push(KeyBlock { label, is_encrypted, key, place });
            }
            (Some(_), _) => self.others.push(label),
        }
    }

    fn certificate(&mut self, der: &[u8], place: Place) {
        match certificate(der, place.clone()) {
            Some(certificate) => self.certificates.push(certificate),
            None => self.problems.push(place, "the certificate cannot be read"),
        }
    }
}

/// A block whose END line has not come yet.
struct Open {
    label: String,
    place: Place,
    body: String,
    /// A header of RFC 1421 said that it is encrypted.
    dek: bool,
}

impl Open {
    fn line(&mut self, text: &str) {
        if text.contains(':') {
            self.dek |= text.starts_with("Proc-Type") && text.ends_with("ENCRYPTED");
        } else if self.body.len() <= BLOCK_BYTES_MAX {
            self.body.push_str(text);
        }
    }
}

fn label<'a>(text: &'a str, sign: &str) -> Option<&'a str> {
    text.strip_prefix(sign)?.strip_suffix("-----")
}

fn certificate(der: &[u8], place: Place) -> Option<Certificate> {
    let read = x509_cert::Certificate::from_der(der).ok()?;
    let body = read.tbs_certificate();
    let names = body.get_extension::<SubjectAltName>().ok().flatten();
    let names = names.map_or(Vec::new(), |(_, names)| names.0);
    let constraints = body.get_extension::<BasicConstraints>().ok().flatten();
    let validity = body.validity();
    let public = body.subject_public_key_info().to_der().ok()?;
    // A leading zero only says that the number is positive.
    let digits = body.serial_number().as_bytes();
    let digits = digits.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(digits);
    let serial: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Certificate {
        subject: body.subject().to_string(),
        issuer: body.issuer().to_string(),
        serial,
        names: names.iter().filter_map(general).take(NAMES_MAX).collect(),
        not_before: validity.not_before.to_date_time().to_string(),
        not_after: validity.not_after.to_date_time().to_string(),
        not_before_unix: validity.not_before.to_unix_duration().as_secs(),
        not_after_unix: validity.not_after.to_unix_duration().as_secs(),
        key: Key::of_public(&public)?,
        signature: key::signature(&read.signature_algorithm().oid.to_string()),
        is_authority: constraints.is_some_and(|(_, constraints)| constraints.ca),
        self_signed: body.subject() == body.issuer(),
        place,
    })
}

fn general(name: &GeneralName) -> Option<String> {
    Some(match name {
        GeneralName::DnsName(name) => format!("dns:{}", name.as_str()),
        GeneralName::Rfc822Name(name) => format!("email:{}", name.as_str()),
        GeneralName::UniformResourceIdentifier(name) => format!("uri:{}", name.as_str()),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let four = <[u8; 4]>::try_from(bytes).map(|b| Ipv4Addr::from(b).to_string());
            let six = <[u8; 16]>::try_from(bytes).map(|b| Ipv6Addr::from(b).to_string());
            format!("ip:{}", four.or(six).ok()?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_are_none_are_problems() {
        for (text, count) in [
            ("", 1),
            ("hello\n", 1),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", 1),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 1),
            ("-----BEGIN CERTIFICATE-----\n***\n-----END CERTIFICATE-----\n", 1),
            ("-----BEGIN A-----\nAAAA\n-----END B-----\n", 1),
            ("-----END A-----\n-----BEGIN A-----\nAAAA\n-----END A-----\n", 1),
            ("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", 1),
            ("-----BEGIN DH PARAMETERS-----\nMAA=\n-----END DH PARAMETERS-----\n", 0),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
                0,
            ),
        ] {
            assert_eq!(Certificates::parse("/x", text.as_bytes()).problems.len(), count, "{text}");
        }
        assert_eq!(Certificates::parse("/x", &vec![0x30; 8 << 20]).problems.len(), 1);
        let long =
            format!("-----BEGIN A-----\n{}\n-----END A-----\n", "A".repeat(BLOCK_BYTES_MAX + 4));
        assert_eq!(Certificates::parse("/x", long.as_bytes()).problems.len(), 1);
        let many = "-----BEGIN A-----\nAAAA\n-----END A-----\n".repeat(BLOCKS_MAX + 1);
        let read = Certificates::parse("/x", many.as_bytes());
        assert_eq!((read.others.len(), read.problems.len()), (BLOCKS_MAX, 1));
    }
}
