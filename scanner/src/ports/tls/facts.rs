//! What a handshake showed becomes a report; what is wrong with it becomes faults. Pure: time is given.
//!
//! Nothing is verified against a trust store, so that a certificate of one's own is no fault here.
//! Faults follow from the report alone and can be told again when a kept report is read.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use parsers::config::certificates::{Certificate, Certificates, Key};
use parsers::tls::{CHAIN_MAX, suite_name};
use sha2::{Digest, Sha256};

use super::Start;
use crate::ports::report::TlsReport;
use crate::redact::printable;

/// Smallest RSA and DSA key in bits (NIST SP 800-131A, 2.3).
const MODULUS_BITS_MIN: usize = 2048;
/// Days before the end of validity from which it is told, and from which it is pressing.
const SOON_DAYS: [i64; 2] = [14, 30];
/// Curves below 224 bits by their object identifiers (SEC 2).
const SHORT_CURVES: [&str; 17] = [
    "1.3.132.0.1",
    "1.3.132.0.2",
    "1.3.132.0.4",
    "1.3.132.0.5",
    "1.3.132.0.6",
    "1.3.132.0.7",
    "1.3.132.0.8",
    "1.3.132.0.9",
    "1.3.132.0.15",
    "1.3.132.0.22",
    "1.3.132.0.23",
    "1.3.132.0.24",
    "1.3.132.0.25",
    "1.3.132.0.28",
    "1.3.132.0.29",
    "1.3.132.0.30",
    "1.3.132.0.31",
];
/// Signatures whose digest is broken, as [`parsers::config::certificates`] names them.
const BROKEN_DIGESTS: [(&str, &str); 6] = [
    ("1.2.840.113549.1.1.2", "MD2"),
    ("md5WithRSAEncryption", "MD5"),
    ("sha1WithRSAEncryption", "SHA-1"),
    ("ecdsa-with-SHA1", "SHA-1"),
    ("1.2.840.10040.4.3", "SHA-1"),
    ("1.3.14.3.2.29", "SHA-1"),
];
/// Parts of suite names that stand for what no longer protects.
const BROKEN_SUITES: [(&str, &str); 6] = [
    ("_NULL_", "no encryption"),
    ("_anon_", "no authentication"),
    ("EXPORT", "export-grade encryption"),
    ("_RC4_", "RC4"),
    ("_DES_CBC", "DES"),
    ("_3DES_", "3DES"),
];

/// Something that is wrong with an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SSL 3.0, TLS 1.0 or 1.1 is the best that it speaks.
    OldProtocol(String),
    /// The cipher suite that it chose, and why that is no protection.
    WeakCipher(String, &'static str),
    /// No certificate at all.
    NoCertificate,
    /// The first certificate is no certificate that can be read.
    Unreadable,
    /// Ended so many days ago.
    Expired(i64),
    /// Ends in so many days.
    ExpiresIn(i64),
    /// Begins at that moment.
    NotYetValid(String),
    /// An intermediate certificate ended at that moment.
    ChainExpired(String),
    /// The public key.
    WeakKey(String),
    /// The digest of the signature.
    WeakSignature(&'static str),
    /// No subject alternative name: no client of today takes it for any name.
    NoNames,
    /// It is not for the name that was asked.
    OtherName(String),
}

impl Fault {
    /// Whether it is a warning ahead of time and not yet wrong.
    pub fn is_lower(&self) -> bool {
        matches!(self, Self::ExpiresIn(_))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OldProtocol(version) if version == "ssl3" => {
                out.write_str("speaks SSL 3.0 and nothing newer")
            }
            Self::OldProtocol(version) => write!(out, "speaks TLS {version} and nothing newer"),
            Self::WeakCipher(name, why) => write!(out, "chose {name}: {why}"),
            Self::NoCertificate => out.write_str("presents no certificate"),
            Self::Unreadable => out.write_str("the certificate cannot be read"),
            Self::Expired(days) => write!(out, "expired {days} days ago"),
            Self::ExpiresIn(days) => {
                let within = SOON_DAYS.into_iter().find(|soon| days <= soon).unwrap_or(*days);
                write!(out, "expires in {days} days (within {within})")
            }
            Self::NotYetValid(when) => write!(out, "not valid before {when}"),
            Self::ChainExpired(when) => {
                write!(out, "a further certificate of the chain expired on {when}")
            }
            Self::WeakKey(key) => write!(out, "weak key: {key}"),
            Self::WeakSignature(digest) => write!(out, "signed with {digest}"),
            Self::NoNames => out.write_str("no subject alternative name"),
            Self::OtherName(name) => write!(out, "not for the name {name}"),
        }
    }
}

/// What a handshake showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Protocol on the wire: 0x0300 is SSL 3.0, 0x0304 is TLS 1.3.
    pub version: Option<u16>,
    /// Cipher suite.
    pub suite: Option<u16>,
    /// Certificates in DER, the service's own first.
    pub chain: Vec<Vec<u8>>,
    /// `requested` or `required`.
    pub client_certificate: Option<&'static str>,
}

/// The report of a handshake, with its faults at `now`. `name` is what was asked for, if anything.
pub fn report(shown: &Shown, start: Start, name: Option<&str>, now: Timestamp) -> TlsReport {
    let version = match shown.version {
        Some(0x0300) => "ssl3".to_string(),
        Some(minor @ 0x0301..=0x0304) => format!("1.{}", minor - 0x0301),
        Some(other) => format!("0x{other:04x}"),
        None => "unknown".to_string(),
    };
    let mut report = TlsReport {
        version,
        cipher: shown.suite.map(suite_name),
        starttls: start.name().map(str::to_string),
        chain: u32::try_from(shown.chain.len()).unwrap_or(u32::MAX),
        client_certificate: shown.client_certificate.map(str::to_string),
        source: "probe".to_string(),
        ..TlsReport::default()
    };
    if let Some(first) = shown.chain.first() {
        let digest = Sha256::digest(first);
        report.sha256 = Some(digest.iter().map(|byte| format!("{byte:02x}")).collect());
        if let Some(leaf) = read(first) {
            describe(&mut report, &leaf);
        }
    }
    let others = shown.chain.iter().skip(1).take(CHAIN_MAX).filter_map(|der| read(der));
    let first_end = others.filter(|one| !one.self_signed).min_by_key(|one| one.not_after_unix);
    report.chain_not_after = first_end.map(|one| one.not_after);
    report.faults = faults(&report, name, now).iter().map(Fault::to_string).collect();
    report
}

fn read(der: &[u8]) -> Option<Certificate> {
    // A certificate in DER begins with a SEQUENCE; anything else would be searched for PEM blocks.
    let is_sequence = der.first() == Some(&0x30);
    is_sequence.then(|| Certificates::parse("chain", der).certificates.pop()).flatten()
}

fn describe(report: &mut TlsReport, leaf: &Certificate) {
    report.subject = Some(printable(&leaf.subject));
    report.issuer = Some(printable(&leaf.issuer));
    report.not_before = Some(leaf.not_before.clone());
    report.not_after = Some(leaf.not_after.clone());
    let plain = |name: &String| {
        let name = name.strip_prefix("dns:").or_else(|| name.strip_prefix("ip:"))?;
        Some(printable(name))
    };
    report.names = leaf.names.iter().filter_map(plain).collect();
    report.key = Some(key(&leaf.key));
    report.signature = Some(leaf.signature.clone());
}

/// `rsa 2048`, `ec p-256`, `ed25519`.
fn key(key: &Key) -> String {
    let kind = key.kind.to_ascii_lowercase();
    match (&key.curve, key.bits) {
        (Some(curve), _) => format!("{kind} {}", curve.to_ascii_lowercase()),
        (None, Some(bits)) if matches!(kind.as_str(), "rsa" | "rsa-pss" | "dsa") => {
            format!("{kind} {bits}")
        }
        _ => kind,
    }
}

/// What is wrong at `now`, worst first as far as that can be said.
pub fn faults(report: &TlsReport, name: Option<&str>, now: Timestamp) -> Vec<Fault> {
    let mut faults = Vec::new();
    if matches!(report.version.as_str(), "ssl3" | "1.0" | "1.1") {
        faults.push(Fault::OldProtocol(report.version.clone()));
    }
    if let Some(cipher) = &report.cipher {
        let broken = BROKEN_SUITES.iter().find(|(part, _)| cipher.contains(part));
        faults.extend(broken.map(|(_, why)| Fault::WeakCipher(cipher.clone(), why)));
    }
    match (report.chain, &report.subject) {
        (0, _) => faults.push(Fault::NoCertificate),
        (_, None) => faults.push(Fault::Unreadable),
        _ => of_certificate(&mut faults, report, name, now),
    }
    faults
}

fn of_certificate(faults: &mut Vec<Fault>, report: &TlsReport, name: Option<&str>, now: Timestamp) {
    let moment = |text: &Option<String>| text.as_ref()?.parse::<Timestamp>().ok();
    let days = |seconds: i64| seconds.div_euclid(86_400);
    if let Some(end) = moment(&report.not_after) {
        let left = end.as_second() - now.as_second();
        match days(left) {
            // The last second is still valid (RFC 5280, 4.1.2.5).
            _ if left < 0 => faults.push(Fault::Expired(days(-left))),
            left if left <= SOON_DAYS[1] => faults.push(Fault::ExpiresIn(left)),
            _ => {}
        }
    }
    if let (Some(text), Some(begin)) = (&report.not_before, moment(&report.not_before))
        && now < begin
    {
        faults.push(Fault::NotYetValid(text.clone()));
    }
    if let (Some(text), Some(end)) = (&report.chain_not_after, moment(&report.chain_not_after))
        && end.as_second() < now.as_second()
    {
        faults.push(Fault::ChainExpired(text.clone()));
    }
    faults.extend(
        report.key.as_deref().filter(|key| is_weak(key)).map(|key| Fault::WeakKey(key.to_string())),
    );
    let digest = BROKEN_DIGESTS.iter().find(|(name, _)| report.signature.as_deref() == Some(name));
    faults.extend(digest.map(|(_, digest)| Fault::WeakSignature(digest)));
    if report.names.is_empty() {
        faults.push(Fault::NoNames);
    } else if let Some(name) = name.filter(|name| !is_for(&report.names, name)) {
        faults.push(Fault::OtherName(name.to_string()));
    }
}

fn is_weak(key: &str) -> bool {
    let Some((kind, size)) = key.split_once(' ') else { return false };
    match kind {
        "rsa" | "rsa-pss" | "dsa" => {
            size.parse::<usize>().is_ok_and(|bits| bits < MODULUS_BITS_MIN)
        }
        "ec" => size == "p-192" || SHORT_CURVES.contains(&size),
        _ => false,
    }
}

/// Whether one of the names is the asked one; `*` stands for one whole first label (RFC 6125, 6.4.3).
fn is_for(names: &[String], asked: &str) -> bool {
    let asked = asked.trim_end_matches('.');
    if let Ok(address) = asked.parse::<IpAddr>() {
        return names.iter().any(|name| name.parse() == Ok(address));
    }
    names.iter().any(|name| {
        if name.eq_ignore_ascii_case(asked) {
            return true;
        }
        let Some(parent) = name.strip_prefix("*.") else { return false };
        let below = asked.split_once('.');
        below.is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent))
            && parent.contains('.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> TlsReport {
        TlsReport {
            version: "1.3".into(),
            cipher: Some("TLS_AES_128_GCM_SHA256".into()),
            subject: Some("CN=a".into()),
            not_before: Some("2026-01-01T00:00:00Z".into()),
            not_after: Some("2026-12-31T00:00:00Z".into()),
            names: vec!["a.example.org".into(), "*.b.example.org".into(), "192.0.2.1".into()],
            key: Some("rsa 2048".into()),
            signature: Some("sha256WithRSAEncryption".into()),
            chain: 1,
            ..TlsReport::default()
        }
    }

    fn told(report: &TlsReport, name: Option<&str>, now: &str) -> Vec<String> {
        faults(report, name, now.parse().unwrap()).iter().map(Fault::to_string).collect()
    }

    const MIDSUMMER: &str = "2026-06-21T00:00:00Z";

    #[test]
    fn a_sound_endpoint_has_no_fault() {
        for name in [None, Some("A.example.org."), Some("x.B.example.org"), Some("192.0.2.1")] {
            assert_eq!(told(&good(), name, MIDSUMMER), Vec::<String>::new(), "{name:?}");
        }
    }

    #[test]
    fn the_end_of_validity_is_told_to_the_second() {
        let at = |now: &str| told(&good(), None, now);
        assert_eq!(at("2026-12-01T00:00:00Z"), ["expires in 30 days (within 30)"]);
        assert_eq!(at("2026-11-29T23:59:59Z"), Vec::<String>::new());
        assert_eq!(at("2026-12-17T00:00:00Z"), ["expires in 14 days (within 14)"]);
        assert_eq!(at("2026-12-16T00:00:00Z"), ["expires in 15 days (within 30)"]);
        assert_eq!(at("2026-12-31T00:00:00Z"), ["expires in 0 days (within 14)"]);
        assert_eq!(at("2026-12-31T00:00:01Z"), ["expired 0 days ago"]);
        assert_eq!(at("2027-01-02T00:00:00Z"), ["expired 2 days ago"]);
        assert_eq!(at("2025-12-31T23:59:59Z"), ["not valid before 2026-01-01T00:00:00Z"]);
    }

    #[test]
    fn weak_protocols_ciphers_keys_and_signatures_are_faults() {
        type Change = fn(&mut TlsReport);
        let cases: [(Change, &str); 11] = [
            (|r| r.version = "1.0".into(), "speaks TLS 1.0 and nothing newer"),
            (|r| r.version = "ssl3".into(), "speaks SSL 3.0 and nothing newer"),
            (
                |r| r.cipher = Some("TLS_RSA_WITH_RC4_128_SHA".into()),
                "chose TLS_RSA_WITH_RC4_128_SHA: RC4",
            ),
            (|r| r.key = Some("rsa 2047".into()), "weak key: rsa 2047"),
            (|r| r.key = Some("ec p-192".into()), "weak key: ec p-192"),
            (|r| r.key = Some("ec 1.3.132.0.8".into()), "weak key: ec 1.3.132.0.8"),
            (|r| r.signature = Some("sha1WithRSAEncryption".into()), "signed with SHA-1"),
            (|r| r.signature = Some("md5WithRSAEncryption".into()), "signed with MD5"),
            (|r| r.names.clear(), "no subject alternative name"),
            (|r| r.subject = None, "the certificate cannot be read"),
            (
                |r| r.chain_not_after = Some("2026-02-01T00:00:00Z".into()),
                "a further certificate of the chain expired on 2026-02-01T00:00:00Z",
            ),
        ];
        for (change, expected) in cases {
            let mut report = good();
            change(&mut report);
            assert_eq!(told(&report, None, MIDSUMMER), [expected]);
        }
        for fine in ["ec p-256", "ec p-224", "ed25519", "ec secp256k1", "rsa 4096"] {
            let report = TlsReport { key: Some(fine.into()), ..good() };
            assert!(told(&report, None, MIDSUMMER).is_empty(), "{fine}");
        }
    }

    #[test]
    fn a_name_has_to_fit_as_rfc_6125_says() {
        for other in
            ["example.org", "x.a.example.org", "b.example.org", "x.y.b.example.org", "192.0.2.2"]
        {
            let expected = format!("not for the name {other}");
            assert_eq!(told(&good(), Some(other), MIDSUMMER), [expected]);
        }
        assert!(!is_for(&["*.org".into()], "example.org"), "a wildcard over a whole registry");
        assert!(!is_for(&["192.0.2.*".into()], "192.0.2.1"));
    }

    #[test]
    fn nothing_shown_is_told_as_such() {
        let now = MIDSUMMER.parse().unwrap();
        let shown = Shown { version: Some(0x0301), suite: Some(0x0034), ..Shown::default() };
        let report = report(&shown, Start::Smtp, None, now);
        assert_eq!((report.version.as_str(), report.starttls.as_deref()), ("1.0", Some("smtp")));
        assert_eq!(report.faults.len(), 3, "{:?}", report.faults);
        let shown = Shown { chain: vec![b"-----BEGIN X".to_vec()], ..Shown::default() };
        let report = super::report(&shown, Start::Direct, None, now);
        assert_eq!(report.faults, ["the certificate cannot be read"]);
        assert!(report.sha256.is_some());
    }
}
