//! sha256crypt (`$5$`) and sha512crypt (`$6$`), as Ulrich Drepper described them in 2007: the rounds are
//! the library's, the texts around them are read here, because salts of any characters occur.

use sha_crypt::{Params, sha256_crypt, sha512_crypt};
use subtle::ConstantTimeEq;

use super::{Scheme, radix64};
use crate::Error;

const SALT_CHARS_MAX: usize = 16;

pub(super) struct Sha {
    pub(super) scheme: Scheme,
    pub(super) rounds: u32,
    params: Params,
    salt: String,
    hash: String,
}

impl Sha {
    /// `[rounds=N$]SALT$HASH`; 5,000 rounds where none are written.
    pub(super) fn parse(scheme: Scheme, rest: &str) -> Result<Self, Error> {
        let bad = || Error::Crypt("not a hash of sha256crypt or sha512crypt");
        let (rounds, rest) = match rest.strip_prefix("rounds=") {
            None => (Params::RECOMMENDED_ROUNDS, rest),
            Some(after) => {
                let (number, rest) = after.split_once('$').ok_or_else(bad)?;
                (number.parse().map_err(|_| bad())?, rest)
            }
        };
        let (salt, hash) = rest.split_once('$').ok_or_else(bad)?;
        let chars = if scheme == Scheme::Sha256 { 43 } else { 86 };
        if salt.len() > SALT_CHARS_MAX || hash.len() != chars || !radix64::is_text(hash) {
            return Err(bad());
        }
        let params = Params::new(rounds).map_err(|_| bad())?;
        Ok(Self { scheme, rounds, params, salt: salt.to_string(), hash: hash.to_string() })
    }

    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let salt = self.salt.as_bytes();
        let made = match self.scheme {
            Scheme::Sha256 => encoded(&sha256_crypt(password, salt, self.params), 10),
            _ => encoded(&sha512_crypt(password, salt, self.params), 21),
        };
        made.as_bytes().ct_eq(self.hash.as_bytes()).into()
    }
}

/// The digest's bytes as they are written: three of them `step` apart, each time starting one further,
/// and turned by one place (to the right for SHA-256, to the left for SHA-512).
fn encoded(sum: &[u8], step: usize) -> String {
    let mut out = String::with_capacity(86);
    let mut places = [0, step, 2 * step];
    for _ in 0..step {
        let [high, middle, low] = places.map(|place| u32::from(sum[place]));
        radix64::push(&mut out, high << 16 | middle << 8 | low, 4);
        let [a, b, c] = places;
        places = if sum.len() == 32 { [c + 1, a + 1, b + 1] } else { [b + 1, c + 1, a + 1] };
    }
    match sum.len() {
        32 => radix64::push(&mut out, u32::from(sum[31]) << 8 | u32::from(sum[30]), 3),
        _ => radix64::push(&mut out, sum[63].into(), 2),
    }
    out
}
