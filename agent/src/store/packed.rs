//! Documents as the database holds them: LZ4 blocks that begin in a fixed [`DICTIONARY`], because each
//! is small and says mostly what the others say. A fifth of the text's size, for a few microseconds.
//!
//! The first byte tells the form: [`PACKED_1`], or the text itself (JSON never begins with that byte), as
//! older forms of the database have it. A changed dictionary is another form with another byte.

use std::borrow::Cow;
use std::sync::mpsc::sync_channel;

use lz4_flex::block;

use super::StoreError;

/// The form of this module: this byte, the text's length (4 bytes, little endian), an LZ4 block.
const PACKED_1: u8 = 1;
/// Longest text that is unpacked.
const TEXT_BYTES_MAX: usize = 16 << 20;
/// More texts than this are packed by another thread, so many at once.
const PORTION: usize = 64;
/// How many portions that thread is ahead at most.
const PORTIONS_AHEAD: usize = 4;
/// What most documents say somewhere. Never to be changed: rows were written with it.
const DICTIONARY: &[u8] = include_bytes!("dictionary-1.json");

/// A text as it is kept.
pub(super) fn pack(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).ok().filter(|_| text.len() <= TEXT_BYTES_MAX);
    let Some(length) = length else { return text.as_bytes().to_vec() };
    let mut packed = vec![PACKED_1];
    packed.extend(length.to_le_bytes());
    packed.extend(block::compress_with_dict(text.as_bytes(), DICTIONARY));
    packed
}

/// Packs many texts, given in parts, while whoever takes them writes those before: packing costs half as much as
/// writing.
pub(super) fn all_ahead<'a, T>(
    count: usize,
    texts: impl Fn(usize) -> [&'a str; 2] + Sync,
    take: impl FnOnce(&mut dyn Iterator<Item = Vec<u8>>) -> T,
) -> T {
    let packed = |at: usize| pack(&texts(at).join("\0"));
    if count <= PORTION {
        return take(&mut (0..count).map(packed));
    }
    std::thread::scope(|scope| {
        let (to, from) = sync_channel(PORTIONS_AHEAD);
        scope.spawn(move || {
            for first in (0..count).step_by(PORTION) {
                let portion: Vec<_> = (first..count).take(PORTION).map(packed).collect();
                // Whoever takes no more has failed.
                if to.send(portion).is_err() {
                    return;
                }
            }
        });
        take(&mut from.into_iter().flatten())
    })
}

/// The text of what is kept.
pub(super) fn unpack(kept: &[u8]) -> Result<Cow<'_, str>, StoreError> {
    let Some(([PACKED_1, length @ ..], body)) = kept.split_first_chunk::<5>() else {
        return Ok(Cow::Borrowed(std::str::from_utf8(kept).map_err(|_| StoreError::Damaged)?));
    };
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| StoreError::Damaged)?;
    // LZ4 makes at most 255 bytes of one: a length that lies reserves no memory.
    if length > TEXT_BYTES_MAX || length / 255 > body.len() {
        return Err(StoreError::Damaged);
    }
    let mut text = vec![0; length];
    match block::decompress_into_with_dict(body, &mut text, DICTIONARY) {
        Ok(written) if written == length => {}
        _ => return Err(StoreError::Damaged),
    }
    Ok(Cow::Owned(String::from_utf8(text).map_err(|_| StoreError::Damaged)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_dictionary_is_the_one_that_rows_were_written_with() {
        let digest = Sha256::digest(DICTIONARY);
        let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "13b9e91eba597a13");
    }

    #[test]
    fn a_text_of_an_older_form_is_given_as_it_is() {
        assert_eq!(unpack(br#"{"a":1}"#).unwrap(), r#"{"a":1}"#);
        assert_eq!(unpack(b"").unwrap(), "");
        assert_eq!(unpack(b"1\0").unwrap(), "1\0");
    }

    #[test]
    fn what_lies_about_its_length_is_damaged() {
        let huge = [&[PACKED_1][..], &u32::MAX.to_le_bytes(), b"x"].concat();
        assert!(matches!(unpack(&huge), Err(StoreError::Damaged)));
        let mut long = pack("a text");
        long[1] += 1;
        assert!(matches!(unpack(&long), Err(StoreError::Damaged)));
        assert!(matches!(unpack(b"{\xff"), Err(StoreError::Damaged)));
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in ".{0,400}", repeat in 1_usize..50) {
            let text = text.repeat(repeat);
            let packed = pack(&text);
            prop_assert_eq!(unpack(&packed).unwrap(), text);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = unpack(&[&[PACKED_1][..], &bytes].concat());
            let _ = unpack(&bytes);
        }
    }
}
