//! Keys that only move forward, and the chain of MACs that they make.
//!
//! An epoch's key is derived from the one before and the old one is zeroized, so that whoever takes the
//! machine today can forge from today on and nothing earlier (forward integrity: Bellare and Yee, 1997;
//! the construction is HKDF-Expand, RFC 5869, over HMAC-SHA-256). Epochs are numbered by counting, never
//! by a clock. The first key is the verification key: it belongs off the host.
//!
//! What this proves: nothing that was chained before the machine was taken has been changed, moved or
//! left out, as far as the last head that somebody else has seen. What it cannot prove: that what was
//! written afterwards is true, or that the end was not cut off after that head.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a key and of a head.
pub const BYTES: usize = 32;
/// The last epoch: half a minute of work to get there, and 190 years of epochs of a minute.
pub const EPOCHS_MAX: u64 = 100_000_000;

const NEXT: &[u8] = b"wardmote journal: next epoch\x01";
const MAC: &[u8] = b"wardmote journal: frames\x01";

/// The end of a chain: it stands for everything before it.
pub type Head = [u8; BYTES];

/// The key of an epoch, zeroized when dropped.
pub struct EpochKey {
    epoch: u64,
    secret: Zeroizing<[u8; BYTES]>,
    mac: Hmac<Sha256>,
}

impl EpochKey {
    /// The first key, of 32 random bytes: whoever has it can verify everything.
    pub fn first(secret: Zeroizing<[u8; BYTES]>) -> Self {
        Self::at(0, secret)
    }

    /// A key as it was kept between two runs.
    pub fn at(epoch: u64, secret: Zeroizing<[u8; BYTES]>) -> Self {
        let mac =
            Hmac::new_from_slice(&*expand(&secret, MAC)).expect("HMAC takes keys of any length");
        Self { epoch, secret, mac }
    }

    /// Which epoch it is for.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The secret, to be kept between two runs.
    pub fn secret(&self) -> &[u8; BYTES] {
        &self.secret
    }

    /// Moves to the next epoch; the key of this one is gone.
    pub fn advance(&mut self) {
        let mut next = expand(&self.secret, NEXT);
        self.secret.zeroize();
        *self = Self::at(self.epoch + 1, Zeroizing::new(*next));
        next.zeroize();
    }

    /// Moves forward to an epoch; `false`, and nothing moved, where it lies behind or after the last one.
    pub fn advance_to(&mut self, epoch: u64) -> bool {
        if epoch < self.epoch || epoch > EPOCHS_MAX {
            return false;
        }
        let mut secret = Zeroizing::new(*self.secret);
        for _ in self.epoch..epoch {
            secret = expand(&secret, NEXT);
        }
        *self = Self::at(epoch, secret);
        true
    }

    /// The head after these bytes, which follow `before`.
    pub fn link(&self, before: &Head, parts: &[&[u8]]) -> Head {
        let mut mac = self.mac.clone();
        mac.update(before);
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// One block of HKDF-Expand; `info` ends with its number.
fn expand(secret: &[u8; BYTES], info: &[u8]) -> Zeroizing<[u8; BYTES]> {
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(info);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> EpochKey {
        EpochKey::first(Zeroizing::new([7; BYTES]))
    }

    #[test]
    fn steps_and_leaps_come_to_the_same_key() {
        let (mut steps, mut leap) = (key(), key());
        for _ in 0..5 {
            steps.advance();
        }
        assert!(leap.advance_to(5));
        assert_eq!((steps.epoch(), steps.secret()), (leap.epoch(), leap.secret()));
        assert!(!leap.advance_to(4) && !leap.advance_to(1 + EPOCHS_MAX));
        assert_eq!(leap.epoch(), 5);
    }

    #[test]
    fn a_step_is_hkdf_expand() {
        let info = b"wardmote journal: next epoch";
        let mut theirs = [0; BYTES];
        hkdf::Hkdf::<Sha256>::from_prk(&[7; BYTES]).unwrap().expand(info, &mut theirs).unwrap();
        let mut ours = key();
        ours.advance();
        assert_eq!(*ours.secret(), theirs);
    }

    #[test]
    fn heads_depend_on_key_order_and_every_byte() {
        let one = key();
        let mut other = key();
        other.advance();
        let zero = [0; BYTES];
        let heads = [
            one.link(&zero, &[b"a", b"b"]),
            one.link(&zero, &[b"b", b"a"]),
            other.link(&zero, &[b"a", b"b"]),
            one.link(&one.link(&zero, &[b"a"]), &[b"b"]),
        ];
        for (at, head) in heads.iter().enumerate() {
            assert!(!heads[..at].contains(head));
        }
        assert_eq!(one.link(&zero, &[b"ab"]), heads[0]);
    }
}
