//! Texts eight bytes at a time: their words, their runs of ASCII digits, and a keyed hash of both.
//!
//! Key and secrets are the caller's: who writes log lines must neither be able to compute hashes nor see
//! any. Without `unsafe`; a word behind the end of a text is filled with zeros.

/// Bytes of a word.
const WORD: usize = 8;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// A hash of 128 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) u64, pub(super) u64);

impl Key {
    /// Takes in a word, by two odd secrets.
    #[inline(always)]
    pub(super) fn mix(self, word: u64, one: u64, other: u64) -> Self {
        Self(folded(self.0 ^ word, one), folded(self.1.rotate_left(29) ^ word, other))
    }

    /// Takes in the text from `at` to its next digit or its end, and says where that is. The last word is
    /// cut to what belongs to it and marked with its length; whole words have no such mark, and are
    /// hashed by the secrets the other way round.
    #[inline(always)]
    pub(super) fn mix_to_digit(&mut self, text: &[u8], mut at: usize, secrets: [u64; 2]) -> usize {
        let [one, other] = secrets;
        loop {
            let word = word_at(text, at);
            let digits = digits_of(word);
            let left = text.len() - at;
            if digits == 0 && left >= WORD {
                *self = self.mix(word, one, other);
                at += WORD;
                continue;
            }
            let length = (digits.trailing_zeros() as usize / 8).min(left);
            let kept = if length == WORD { word } else { word & ((1 << (length * 8)) - 1) };
            *self = self.mix(kept ^ (length as u64 + 1) << 56, other, one);
            return at + length;
        }
    }
}

/// Both halves of a product.
#[inline(always)]
fn folded(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    #[allow(clippy::cast_possible_truncation)] // the two halves
    {
        (product as u64) ^ (product >> 64) as u64
    }
}

/// The next eight bytes; zeros behind the end.
#[inline(always)]
fn word_at(text: &[u8], at: usize) -> u64 {
    if let Some(bytes) = text.get(at..).and_then(|rest| rest.first_chunk::<WORD>()) {
        return u64::from_le_bytes(*bytes);
    }
    let left = text.len().saturating_sub(at);
    match text.last_chunk::<WORD>() {
        Some(_) if left == 0 => 0,
        Some(bytes) => u64::from_le_bytes(*bytes) >> ((WORD - left) * 8),
        None => text
            .get(at..)
            .unwrap_or_default()
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// The high bit of each byte that is an ASCII digit.
#[inline(always)]
fn digits_of(word: u64) -> u64 {
    let low = word ^ (ONES * 0x30);
    let over = (low & !HIGHS) + ONES * (0x7f - 9);
    !(over | low) & HIGHS
}

/// Where the run of digits that begins here ends.
#[inline(always)]
pub(super) fn run_end(text: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        let others = !digits_of(word_at(text, at)) & HIGHS;
        if others != 0 {
            return (at + others.trailing_zeros() as usize / 8).min(text.len());
        }
        at += WORD;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_a_digit_or_is_none_at_every_place() {
        for byte in 0..=255_u8 {
            for place in 0..WORD {
                let mut bytes = *b"x\x2f\x3a~\xb0\xff\0y";
                bytes[place] = byte;
                let found = digits_of(u64::from_le_bytes(bytes));
                let wanted = if byte.is_ascii_digit() { 0x80_u64 << (place * 8) } else { 0 };
                assert_eq!(found, wanted, "{byte} at {place}");
            }
        }
    }
}
