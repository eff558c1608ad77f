//! Signatures of notifications by webhook: Standard Webhooks 1.0.0, symmetric scheme
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
//!
//! HMAC-SHA-256 over `id.timestamp.body`, sent as `v1,BASE64`; several signatures, apart by a blank, while
//! a secret is being replaced. Time is a value. Refused: identifiers with a full stop, which could move the
//! border between identifier and timestamp, and secrets outside of the specification's 192 to 512 bits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::Error;
use crate::mac::{self, Key, MAC_BYTES};

/// Header of the message's identifier: the same in every attempt, so that receivers see what they have.
pub const ID_HEADER: &str = "webhook-id";
/// Header of the time of the attempt, in seconds since the epoch.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Header of the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";
/// How far a timestamp may be from now, in seconds, both ways.
pub const TOLERANCE_S: u64 = 300;
/// Longest identifier in bytes.
pub const ID_BYTES_MAX: usize = 256;
/// Longest list of signatures in bytes.
pub const SIGNATURES_BYTES_MAX: usize = 4096;
/// Shortest secret in bytes.
pub const SECRET_BYTES_MIN: usize = 24;
/// Longest secret in bytes.
pub const SECRET_BYTES_MAX: usize = 64;

const PREFIX: &str = "whsec_";
const VERSION: &str = "v1,";

/// A secret that both ends know; zeroized when dropped.
#[derive(Clone)]
pub struct Secret(Key);

impl Secret {
    /// Reads `whsec_BASE64` (the prefix may be missing) of 24 to 64 bytes.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.strip_prefix(PREFIX).unwrap_or(text);
        if text.len() > SECRET_BYTES_MAX.div_ceil(3) * 4 {
            return Err(Error::Webhook("a secret of more than 64 bytes"));
        }
        // The whole room at once: growing would leave copies behind.
        let mut room = Zeroizing::new([0; SECRET_BYTES_MAX.div_ceil(3) * 3]);
        let count = STANDARD
            .decode_slice(text, room.as_mut_slice())
            .map_err(|_| Error::Webhook("a secret that is not base64"))?;
        match count {
            0..SECRET_BYTES_MIN => Err(Error::Webhook("a secret of less than 24 bytes")),
            SECRET_BYTES_MIN..=SECRET_BYTES_MAX => Ok(Self(Key::new(&room[..count]))),
            _ => Err(Error::Webhook("a secret of more than 64 bytes")),
        }
    }
}

/// The value of the signature header for a message: one signature a secret, the newest secret first.
///
/// ```
/// use crypto::webhook::{Secret, sign};
/// let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
/// let body = br#"{"test": 2432232314}"#;
/// let signed = sign(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body).unwrap();
/// assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
/// ```
pub fn sign(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> Result<String, Error> {
    plain(id)?;
    if secrets.is_empty() {
        return Err(Error::Webhook("no secret to sign with"));
    }
    let timestamp = timestamp.to_string();
    let one =
        |secret| format!("{VERSION}{}", STANDARD.encode(mac_of(secret, id, &timestamp, body)));
    Ok(secrets.iter().map(one).collect::<Vec<_>>().join(" "))
}

/// The three headers of a message, as they came.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`.
    pub timestamp: &'a str,
    /// `webhook-signature`.
    pub signatures: &'a str,
}

/// Whether any of the signatures is of any of the secrets, and the timestamp within [`TOLERANCE_S`] of
/// `now` (seconds since the epoch). Signatures of other versions are passed over.
///
/// Every signature is compared with every secret's, each in constant time.
pub fn verify(
    secrets: &[Secret],
    headers: Headers<'_>,
    body: &[u8],
    now: i64,
) -> Result<(), Error> {
    plain(headers.id)?;
    let digits = headers.timestamp;
    let written = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let timestamp: i64 = digits
        .parse()
        .ok()
        .filter(|_| written)
        .ok_or(Error::Webhook("a timestamp that is no number of seconds"))?;
    if timestamp.abs_diff(now) > TOLERANCE_S {
        return Err(Error::Webhook("a timestamp more than five minutes from now"));
    }
    if headers.signatures.len() > SIGNATURES_BYTES_MAX {
        return Err(Error::Webhook("too many signatures"));
    }
    let mut holds = false;
    for secret in secrets {
        let expected = mac_of(secret, headers.id, digits, body);
        for signature in headers.signatures.split(' ') {
            let given = signature.strip_prefix(VERSION).and_then(decoded);
            holds |= given.is_some_and(|given| mac::equal(&given, &expected));
        }
    }
    if holds { Ok(()) } else { Err(Error::Webhook("no signature of ours")) }
}

fn mac_of(secret: &Secret, id: &str, timestamp: &str, body: &[u8]) -> [u8; MAC_BYTES] {
    secret.0.of_parts(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body])
}

fn decoded(text: &str) -> Option<[u8; MAC_BYTES]> {
    let mut room = [0; MAC_BYTES + 2];
    let count = STANDARD.decode_slice(text, &mut room).ok()?;
    room[..count].try_into().ok()
}

fn plain(id: &str) -> Result<(), Error> {
    let fits = (1..=ID_BYTES_MAX).contains(&id.len());
    if fits && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.') {
        return Ok(());
    }
    Err(Error::Webhook("an identifier that is empty, too long, or has a full stop or a blank"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const NOW: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    /// What the specification's own libraries print for the above and the first secret below.
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn secret() -> Secret {
        Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
    }

    fn other() -> Secret {
        Secret::parse(&STANDARD.encode([7; 64])).unwrap()
    }

    fn holds(signatures: &str, now: i64) -> bool {
        let timestamp = NOW.to_string();
        let headers = Headers { id: ID, timestamp: &timestamp, signatures };
        verify(&[secret()], headers, BODY, now).is_ok()
    }

    #[test]
    fn the_published_example_is_signed_and_verified() {
        assert_eq!(sign(&[secret()], ID, NOW, BODY).unwrap(), SIGNED);
        assert!(holds(SIGNED, NOW));
        let bare = Secret::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(sign(&[bare], ID, NOW, BODY).unwrap(), SIGNED);
    }

    #[test]
    fn one_good_signature_of_a_list_is_enough_while_secrets_change() {
        let rotating = sign(&[other(), secret()], ID, NOW, BODY).unwrap();
        assert!(rotating.ends_with(SIGNED) && rotating.split(' ').count() == 2);
        assert!(holds(&rotating, NOW));
        let timestamp = NOW.to_string();
        let headers = Headers { id: ID, timestamp: &timestamp, signatures: SIGNED };
        assert!(verify(&[other(), secret()], headers, BODY, NOW).is_ok());
        assert!(verify(&[other()], headers, BODY, NOW).is_err());
        assert!(verify(&[], headers, BODY, NOW).is_err());
    }

    #[test]
    fn times_at_the_tolerance_hold_and_one_second_more_does_not() {
        let most = TOLERANCE_S.cast_signed();
        assert!(holds(SIGNED, NOW - most) && holds(SIGNED, NOW + most));
        assert!(!holds(SIGNED, NOW - most - 1) && !holds(SIGNED, NOW + most + 1));
        assert!(!holds(SIGNED, i64::MIN) && !holds(SIGNED, i64::MAX));
    }

    #[test]
    fn what_is_cut_changed_or_of_another_version_does_not_hold() {
        for signatures in [
            "",
            "v1,",
            "v1,g0hM9SsE",
            "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            "v1,h0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE",
        ] {
            assert!(!holds(signatures, NOW), "{signatures}");
        }
        let long = format!("{SIGNED} {}", "x".repeat(SIGNATURES_BYTES_MAX));
        assert!(!holds(&long, NOW));
        let check = |id: &str, timestamp: &str, body: &[u8]| {
            verify(&[secret()], Headers { id, timestamp, signatures: SIGNED }, body, NOW).is_ok()
        };
        assert!(check(ID, "1614265330", BODY));
        assert!(!check("msg_p5jXN8AQM9LWM0D4loKWxJel", "1614265330", BODY));
        assert!(!check(ID, "1614265331", BODY));
        assert!(!check(ID, "1614265330", b"{\"test\":2432232314}"));
        for timestamp in ["", "+1614265330", "01614265330", " 1614265330", "9999999999999999999999"]
        {
            assert!(!check(ID, timestamp, BODY), "{timestamp}");
        }
        for id in ["", "a.b", "a b", "é", &"x".repeat(ID_BYTES_MAX + 1)] {
            assert!(sign(&[secret()], id, NOW, BODY).is_err() && !check(id, "1614265330", BODY));
        }
        assert!(sign(&[secret()], &"x".repeat(ID_BYTES_MAX), NOW, BODY).is_ok());
        assert!(sign(&[], ID, NOW, BODY).is_err());
    }

    #[test]
    fn secrets_are_of_192_to_512_bits() {
        let of =
            |bytes: usize| Secret::parse(&format!("whsec_{}", STANDARD.encode(vec![1; bytes])));
        assert!(of(23).is_err() && of(24).is_ok() && of(64).is_ok() && of(65).is_err());
        assert!(of(66).is_err() && of(1000).is_err());
        assert!(Secret::parse("").is_err() && Secret::parse("whsec_!").is_err());
    }
}
