//! Kinds and sizes of keys, from their DER (RFC 5280, RFC 5958, RFC 8017, RFC 5915, RFC 8410).

use serde::Serialize;

/// A key's kind and size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// `RSA`, `RSA-PSS`, `DSA`, `EC`, `Ed25519`, `Ed448`, `X25519`, `X448`, or the object identifier.
    pub kind: String,
    /// Size in bits; absent where the kind is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<usize>,
    /// The curve of an EC key: `P-256`, or its object identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curve: Option<String>,
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT: u8 = 0x06;

/// One DER value: tag, contents, and what follows.
fn value(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (inner, rest) = rest.split_at_checked(length)?;
    Some((tag, inner, rest))
}

/// The contents of the next value, if it has the tag.
fn expect<'a>(der: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, inner, rest) = value(der)?;
    *der = rest;
    (found == tag).then_some(inner)
}

/// Bits of an unsigned integer.
fn bits(integer: &[u8]) -> usize {
    let start = integer.iter().position(|byte| *byte != 0).unwrap_or(integer.len());
    match integer.get(start) {
        None => 0,
        Some(first) => (integer.len() - start) * 8 - first.leading_zeros() as usize,
    }
}

/// An object identifier in dots.
fn object(bytes: &[u8]) -> String {
    let mut parts: Vec<u64> = Vec::new();
    let mut number = 0_u64;
    for byte in bytes.iter().take(64) {
        number = number.wrapping_shl(7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if parts.is_empty() {
                let first = (number / 40).min(2);
                parts.extend([first, number - first * 40]);
            } else {
                parts.push(number);
            }
            number = 0;
        }
    }
    parts.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

impl Key {
    /// The key of a SubjectPublicKeyInfo.
    pub(super) fn of_public(der: &[u8]) -> Option<Self> {
        let mut rest = der;
        let mut info = expect(&mut rest, SEQUENCE)?;
        let algorithm = expect(&mut info, SEQUENCE)?;
        let key = expect(&mut info, BIT_STRING)?;
        Self::of_algorithm(algorithm, key.get(1..)?)
    }

    /// The key of a PEM block.
    pub(super) fn of_block(label: &str, der: &[u8]) -> Option<Self> {
        let mut rest = der;
        match label {
            "PUBLIC KEY" => Self::of_public(der),
            "RSA PUBLIC KEY" => Some(Self::sized("RSA", bits(modulus(der)?))),
            "RSA PRIVATE KEY" => {
                let mut inner = expect(&mut rest, SEQUENCE)?;
                expect(&mut inner, INTEGER)?;
                Some(Self::sized("RSA", bits(expect(&mut inner, INTEGER)?)))
            }
            "EC PRIVATE KEY" => {
                let mut inner = expect(&mut rest, SEQUENCE)?;
                expect(&mut inner, INTEGER)?;
                let secret = expect(&mut inner, OCTET_STRING)?;
                // `[0]` holds the curve.
                let curve = value(inner).filter(|(tag, ..)| *tag == 0xa0);
                let curve = curve.and_then(|(_, mut inner, _)| expect(&mut inner, OBJECT));
                Some(Self::on_curve(curve, secret.len() * 8))
            }
            "PRIVATE KEY" => {
                let mut inner = expect(&mut rest, SEQUENCE)?;
                expect(&mut inner, INTEGER)?;
                let algorithm = expect(&mut inner, SEQUENCE)?;
                let mut secret = expect(&mut inner, OCTET_STRING)?;
                let name = expect(&mut &*algorithm, OBJECT).map(object)?;
                if name == RSA || name == RSA_PSS {
                    let mut inner = expect(&mut secret, SEQUENCE)?;
                    expect(&mut inner, INTEGER)?;
                    let kind = if name == RSA { "RSA" } else { "RSA-PSS" };
                    return Some(Self::sized(kind, bits(expect(&mut inner, INTEGER)?)));
                }
                Self::of_algorithm(algorithm, &[])
            }
            _ => None,
        }
    }

    /// The key of an AlgorithmIdentifier, with the public key where its size is needed.
    fn of_algorithm(mut algorithm: &[u8], public: &[u8]) -> Option<Self> {
        let name = object(expect(&mut algorithm, OBJECT)?);
        Some(match name.as_str() {
            RSA => Self::sized("RSA", bits(modulus(public)?)),
            RSA_PSS => Self::sized("RSA-PSS", bits(modulus(public)?)),
            "1.2.840.10045.2.1" => Self::on_curve(expect(&mut algorithm, OBJECT), 0),
            "1.2.840.10040.4.1" => {
                let mut parameters = expect(&mut algorithm, SEQUENCE)?;
                Self::sized("DSA", bits(expect(&mut parameters, INTEGER)?))
            }
            "1.3.101.110" => Self::sized("X25519", 253),
            "1.3.101.111" => Self::sized("X448", 448),
            "1.3.101.112" => Self::sized("Ed25519", 253),
            "1.3.101.113" => Self::sized("Ed448", 456),
            _ => Self { kind: name, bits: None, curve: None },
        })
    }

    fn sized(kind: &str, bits: usize) -> Self {
        Self { kind: kind.into(), bits: Some(bits), curve: None }
    }

    /// A key on a named curve; otherwise the size of the secret is the best guess.
    fn on_curve(name: Option<&[u8]>, otherwise: usize) -> Self {
        let name = name.map(object);
        let known = CURVES.iter().find(|(object, ..)| Some(*object) == name.as_deref());
        let (curve, bits) = match known {
            Some((_, curve, bits)) => (Some((*curve).to_string()), Some(*bits)),
            None => (name, (otherwise > 0).then_some(otherwise)),
        };
        Self { kind: "EC".into(), bits, curve }
    }
}

const RSA: &str = "1.2.840.113549.1.1.1";
const RSA_PSS: &str = "1.2.840.113549.1.1.10";

const CURVES: [(&str, &str, usize); 6] = [
    ("1.2.840.10045.3.1.1", "P-192", 192),
    ("1.3.132.0.33", "P-224", 224),
    ("1.2.840.10045.3.1.7", "P-256", 256),
    ("1.3.132.0.34", "P-384", 384),
    ("1.3.132.0.35", "P-521", 521),
    ("1.3.132.0.10", "secp256k1", 256),
];

/// The modulus of an RSAPublicKey.
fn modulus(der: &[u8]) -> Option<&[u8]> {
    let mut rest = der;
    let mut inner = expect(&mut rest, SEQUENCE)?;
    expect(&mut inner, INTEGER)
}

/// Whether an OpenSSH private key names a cipher (PROTOCOL.key of OpenSSH).
pub(super) fn is_encrypted_openssh(label: &str, bytes: &[u8]) -> bool {
    let cipher = bytes.strip_prefix(b"openssh-key-v1\0");
    label == "OPENSSH PRIVATE KEY"
        && cipher.is_some_and(|cipher| !cipher.starts_with(b"\0\0\0\x04none"))
}

/// The name of a signature algorithm, as OpenSSL writes it; an unknown one by its object identifier.
pub(super) fn signature(object: &str) -> String {
    let known = match object {
        "1.2.840.113549.1.1.4" => "md5WithRSAEncryption",
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "rsassaPss",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.2.840.113549.1.1.14" => "sha224WithRSAEncryption",
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1",
        "1.2.840.10045.4.3.1" => "ecdsa-with-SHA224",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.3.101.112" => "ED25519",
        "1.3.101.113" => "ED448",
        other => other,
    };
    known.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_object_identifiers_are_read() {
        assert_eq!(bits(&[0, 0x80, 0]), 16);
        assert_eq!((bits(&[1, 0]), bits(&[0]), bits(&[])), (9, 0, 0));
        assert_eq!(object(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]), RSA);
        assert_eq!(object(&[0x2b, 0x65, 0x70]), "1.3.101.112");
        assert_eq!(value(&[0x30, 0x82, 0, 1, 7, 9]), Some((0x30, &[7][..], &[9][..])));
        for broken in
            [&[][..], &[0x30], &[0x30, 5, 1], &[0x30, 0x80], &[0x30, 0x84, 255, 255, 255, 255]]
        {
            assert_eq!(value(broken), None);
        }
    }
}
