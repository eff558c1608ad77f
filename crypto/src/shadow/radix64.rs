//! The alphabet of crypt(5), `./0-9A-Za-z`, in groups of six bits with the lowest first.

/// The value of a character.
pub(super) fn value(byte: u8) -> Option<u32> {
    Some(match byte {
        b'.' => 0,
        b'/' => 1,
        b'0'..=b'9' => u32::from(byte - b'0') + 2,
        b'A'..=b'Z' => u32::from(byte - b'A') + 12,
        b'a'..=b'z' => u32::from(byte - b'a') + 38,
        _ => return None,
    })
}

/// Whether all characters belong to the alphabet.
pub(super) fn is_text(text: &str) -> bool {
    text.bytes().all(|byte| value(byte).is_some())
}

/// Three bytes for each four characters, as yescrypt decodes them: what is left of a last group must be
/// zero, and one character alone is not a group.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4 + 1);
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0;
        for (place, byte) in group.iter().enumerate() {
            bits |= value(*byte)? << (6 * place);
        }
        let whole = group.len() * 6 / 8;
        if whole == 0 || bits >> (8 * whole) != 0 {
            return None;
        }
        out.extend_from_slice(&bits.to_le_bytes()[..whole]);
    }
    Some(out)
}

/// Writes the lowest `chars` groups of a number, lowest first.
pub(super) fn push(out: &mut String, mut bits: u32, chars: usize) {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for _ in 0..chars {
        out.push(char::from(ALPHABET[(bits & 63) as usize]));
        bits >>= 6;
    }
}

/// A number of `chars` characters, lowest first.
pub(super) fn number(text: &str, chars: usize) -> Option<u32> {
    let bytes = text.as_bytes().get(..chars)?;
    bytes
        .iter()
        .enumerate()
        .try_fold(0, |sum, (place, byte)| Some(sum | value(*byte)? << (6 * place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_lowest_first_and_rests_must_be_zero() {
        assert_eq!(decode("").unwrap(), b"");
        assert_eq!(decode("/...").unwrap(), [1, 0, 0]);
        assert_eq!(decode("zzzz").unwrap(), [255, 255, 255]);
        assert_eq!(decode("z1").unwrap(), [255]);
        assert_eq!(decode("zzD").unwrap(), [255, 255]);
        for bad in ["z", "zz", "zzz", "....z", "a b.", "$..."] {
            assert!(decode(bad).is_none(), "{bad}");
        }
        assert_eq!(number("/....x", 5), Some(1));
        assert_eq!(number("./", 2), Some(64));
        assert_eq!(number("./", 3), None);
    }
}
