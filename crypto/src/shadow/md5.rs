//! md5crypt (`$1$`), as FreeBSD made it and crypt(5) describes it. Broken: it is here because files of
//! old systems have it, and whoever still does should know how fast it falls.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use super::radix64;
use crate::Error;

const SALT_CHARS_MAX: usize = 8;
const HASH_CHARS: usize = 22;

/// `SALT$HASH`.
pub(super) fn check(rest: &str) -> Result<(), Error> {
    match rest.split_once('$') {
        Some((salt, hash))
            if salt.len() <= SALT_CHARS_MAX
                && hash.len() == HASH_CHARS
                && radix64::is_text(hash) =>
        {
            Ok(())
        }
        _ => Err(Error::Crypt("not a hash of md5crypt")),
    }
}

/// Whether the password is the one of a hash that was checked.
pub(super) fn matches(text: &str, password: &[u8]) -> bool {
    let mut parts = text.splitn(4, '$').skip(2);
    let (Some(salt), Some(hash)) = (parts.next(), parts.next()) else { return false };
    hashed(password, salt.as_bytes()).as_bytes().ct_eq(hash.as_bytes()).into()
}

fn hashed(password: &[u8], salt: &[u8]) -> String {
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password);
    let inner = inner.finalize();
    let mut outer = Md5::new().chain_update(password).chain_update("$1$").chain_update(salt);
    for start in (0..password.len()).step_by(16) {
        outer.update(&inner[..16.min(password.len() - start)]);
    }
    let mut bits = password.len();
    while bits > 0 {
        // The reference code meant a byte of the digest here, and took a zero.
        outer.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    let mut sum = outer.finalize();
    for round in 0..1000 {
        let mut next = Md5::new();
        let odd = round & 1 == 1;
        next.update(if odd { password } else { &sum[..] });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if odd { &sum[..] } else { password });
        sum = next.finalize();
    }
    encoded(&sum)
}

/// The digest's bytes in the order of md5crypt.
fn encoded(sum: &[u8]) -> String {
    const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    let mut out = String::with_capacity(HASH_CHARS);
    for places in ORDER {
        let [high, middle, low] = places.map(|place| u32::from(sum[place]));
        radix64::push(&mut out, high << 16 | middle << 8 | low, 4);
    }
    radix64::push(&mut out, sum[11].into(), 2);
    out
}
