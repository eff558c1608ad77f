//! The words of a text as 64-bit hashes, eight bytes at a time.
//!
//! A word is a run of ASCII letters and digits and of bytes from 0x80 on, so that any script has words.
//! Case does not count: bit 5 of every byte is set, which lowers ASCII and Latin-1 letters alike. Two
//! words share a hash with probability 2^-64; nothing here is keyed, so a sender can make collisions on
//! purpose: use it to compare, never to authenticate.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
/// An odd constant with well mixed bits (the golden ratio's).
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
const MIX_2: u64 = 0xD6E8_FEB8_6659_FD93;

/// Gives the hash of each word in order.
pub fn each(text: &str, mut take: impl FnMut(u64)) {
    let bytes = text.as_bytes();
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut word = Word::default();
    for chunk in chunks {
        word.chunk(u64::from_le_bytes(*chunk), 8, &mut take);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        word.chunk(u64::from_le_bytes(last), rest.len() as u32, &mut take);
    }
    if word.bytes > 0 {
        take(word.end());
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

/// A word being read: whole blocks of eight bytes are mixed in, what is left waits in `block`.
#[derive(Default)]
struct Word {
    hash: u64,
    block: u64,
    bytes: u32,
}

impl Word {
    /// Reads `length` bytes of a chunk, the lowest first.
    fn chunk(&mut self, chunk: u64, length: u32, take: &mut impl FnMut(u64)) {
        let letters = gathered(letters(chunk)) & (0xFF_u32 >> (8 - length));
        let folded = chunk | (ONES << 5);
        let mut at = 0;
        while at < length {
            let run = (!(letters >> at)).trailing_zeros().min(length - at);
            if run > 0 {
                self.add(part(folded, at, run), run);
                at += run;
            }
            if at < length {
                if self.bytes > 0 {
                    take(self.end());
                }
                at += (letters >> at).trailing_zeros().min(length - at);
            }
        }
    }

    fn add(&mut self, part: u64, bytes: u32) {
        let filled = self.bytes % 8;
        self.block |= part << (8 * filled);
        self.bytes += bytes;
        if filled + bytes >= 8 {
            self.hash = mixed(self.hash ^ self.block);
            let used = 8 - filled;
            self.block = if used < 8 { part >> (8 * used) } else { 0 };
        }
    }

    fn end(&mut self) -> u64 {
        let hash = mixed(self.hash ^ self.block ^ u64::from(self.bytes) << 56);
        *self = Self::default();
        hash
    }
}

/// `run` bytes of a chunk from `at` on.
fn part(chunk: u64, at: u32, run: u32) -> u64 {
    let shifted = chunk >> (8 * at);
    if run == 8 { shifted } else { shifted & ((1 << (8 * run)) - 1) }
}

fn mixed(value: u64) -> u64 {
    let wide = u128::from(value ^ MIX) * u128::from(MIX_2);
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// The high bit of every byte that belongs to a word.
fn letters(chunk: u64) -> u64 {
    let within = |bytes: u64, first: u8, last: u8| {
        let from = bytes + ONES * u64::from(0x80 - first);
        let past = bytes + ONES * u64::from(0x80 - (last + 1));
        from & !past
    };
    let digit = within(chunk & LOW, b'0', b'9');
    let letter = within((chunk | (ONES << 5)) & LOW, b'a', b'z');
    (digit | letter | chunk) & HIGH
}

/// The high bits of eight bytes as eight bits, the lowest byte first.
fn gathered(high: u64) -> u32 {
    ((high >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
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
