//! The words of a text as 64-bit hashes, for telling who copies whom.
//!
//! [`crate::similarity`] numbers words as they stand between white space, so that its scores are exact;
//! here punctuation and case must not hide a copy, and a hash is enough.
//!
//! A word is a run of ASCII letters and digits and of bytes from 0x80 on, so that any script has words.
//! Case does not count: bit 5 of every byte is set, which lowers ASCII and Latin-1 letters alike. Two
//! words share a hash with probability 2^-64; nothing here is keyed, so a sender can make collisions on
//! purpose: use it to compare, never to authenticate.

/// Bytes that are looked at together: one bit each.
const BLOCK: usize = 64;
/// Bit 5 of every byte: the case of letters.
const CASE: u64 = 0x2020_2020_2020_2020;
/// Brings the lowest bits of eight bytes together in the highest byte, the first byte lowest.
const GATHER: u64 = 0x0102_0408_1020_4080;
/// Odd constants with well mixed bits.
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
const MIX_2: u64 = 0xD6E8_FEB8_6659_FD93;

/// Gives the hash of each word in order.
pub fn each(text: &str, mut take: impl FnMut(u64)) {
    let bytes = text.as_bytes();
    let mut start = 0;
    let mut inside = false;
    for (block, part) in bytes.chunks(BLOCK).enumerate() {
        let letters = marked(part);
        // A change is where a byte is of a word and the one before it is not, or the other way round.
        let mut changes = letters ^ (letters << 1 | u64::from(inside));
        while changes != 0 {
            let at = block * BLOCK + changes.trailing_zeros() as usize;
            changes &= changes - 1;
            if inside {
                take(word(bytes, start, at));
            }
            start = at;
            inside = !inside;
        }
    }
    if inside {
        take(word(bytes, start, bytes.len()));
    }
}

/// One bit for each byte of a block, set where it belongs to a word.
fn marked(block: &[u8]) -> u64 {
    match block.first_chunk::<BLOCK>() {
        Some(whole) => marks(whole),
        None => {
            let mut last = [0; BLOCK];
            last[..block.len()].copy_from_slice(block);
            marks(&last)
        }
    }
}

fn marks(block: &[u8; BLOCK]) -> u64 {
    // Whole bytes first, which the compiler does 16 at a time, then one bit of each eight bytes.
    let flags: [u8; BLOCK] = std::array::from_fn(|at| {
        let byte = block[at];
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let digit = byte.wrapping_sub(b'0') < 10;
        u8::from(letter | digit | (byte >= 0x80))
    });
    let (eights, _) = flags.as_chunks::<8>();
    let gathered = |eight: &[u8; 8]| u64::from_le_bytes(*eight).wrapping_mul(GATHER) >> 56;
    eights.iter().enumerate().fold(0, |marks, (at, eight)| marks | gathered(eight) << (8 * at))
}

/// The hash of the word from `start` to `end`.
fn word(bytes: &[u8], start: usize, end: usize) -> u64 {
    let length = end - start;
    let mut hash = length as u64;
    let mut at = start;
    while end - at > 8 {
        hash = mixed(hash ^ (eight(bytes, at) | CASE));
        at += 8;
    }
    let last = (eight(bytes, at) | CASE) & (u64::MAX >> (8 * (8 - (end - at))));
    mixed(hash ^ last)
}

/// Eight bytes from `at` on; zeros beyond the end.
fn eight(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..at + 8).and_then(|part| part.first_chunk()) {
        Some(part) => u64::from_le_bytes(*part),
        None => {
            let mut last = [0; 8];
            last[..bytes.len() - at].copy_from_slice(&bytes[at..]);
            u64::from_le_bytes(last)
        }
    }
}

/// The hash of a whole name, as one word of another sort than the words of texts.
pub fn name(text: &str) -> u64 {
    let mut hash = MIX_2 ^ text.len() as u64;
    let (chunks, rest) = text.as_bytes().as_chunks::<8>();
    for chunk in chunks {
        hash = mixed(hash ^ u64::from_le_bytes(*chunk));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mixed(hash ^ u64::from_le_bytes(last))
}

/// Spreads every bit of a value over the upper half, then back over the lower one.
fn mixed(value: u64) -> u64 {
    let spread = value.wrapping_mul(MIX);
    (spread ^ spread >> 32).wrapping_mul(MIX_2)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn hashes(text: &str) -> Vec<u64> {
        let mut all = Vec::new();
        each(text, |hash| all.push(hash));
        all
    }

    /// The words by the definition, byte by byte.
    fn words(text: &str) -> Vec<Vec<u8>> {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80;
        text.as_bytes()
            .split(|byte| !is_word(byte))
            .filter(|word| !word.is_empty())
            .map(|word| word.iter().map(|byte| byte | 0x20).collect())
            .collect()
    }

    proptest! {
        #[test]
        fn every_word_is_found_and_equal_words_alone_share_a_hash(text in "[a-cA-C0-9é \\-_@`{/:\\[\u{7f}\u{0}]{0,60}") {
            let (words, hashes) = (words(&text), hashes(&text));
            prop_assert_eq!(words.len(), hashes.len());
            let mut by_word = BTreeMap::new();
            let mut by_hash = BTreeMap::new();
            for (word, hash) in words.iter().zip(&hashes) {
                prop_assert_eq!(*by_word.entry(word).or_insert(hash), hash);
                prop_assert_eq!(*by_hash.entry(hash).or_insert(word), word);
            }
        }

        #[test]
        fn where_a_word_stands_does_not_change_its_hash(before in " {0,17}", word in "[a-z]{1,40}") {
            let moved = hashes(&format!("{before}{word} x"));
            prop_assert_eq!(&hashes(&word)[..], &moved[..1]);
        }
    }

    #[test]
    fn case_does_not_count_and_length_does() {
        assert_eq!(hashes("Root LOGIN"), hashes("root login"));
        assert_eq!(hashes("École"), hashes("école"));
        let zeros = hashes("0 00 00000000 000000000");
        assert_eq!(zeros.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
        assert_ne!(name("a"), hashes("a")[0]);
        assert!(hashes("").is_empty() && hashes(" -- ").is_empty());
    }
}
