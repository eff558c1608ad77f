//! The segments' files: their names, and their bytes whether packed or not.

use std::collections::BTreeMap;
use std::io;

use crypto::journal::frame::Begin;
use crypto::journal::packed::{self, SEGMENT_BYTES_MAX};

use super::disk::{Disk, How};

/// The name of a segment that is being written, or waits to be packed.
pub fn name(number: u64) -> String {
    format!("{number:010}.journal")
}

/// The name of a segment that was closed and packed.
pub fn packed_name(number: u64) -> String {
    format!("{number:010}.journal.zst")
}

/// Most bytes that are read of one file: the longest segment, or what packing may add to one.
pub const FILE_BYTES_MAX: u64 = SEGMENT_BYTES_MAX as u64 + (1 << 20);

/// Enough for a first frame.
const START_BYTES: usize = 1 << 10;

/// Under which names a segment is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forms {
    /// As it was written.
    pub raw: bool,
    /// Packed.
    pub packed: bool,
}

/// The segments among some names, by number.
pub fn among(names: &[String]) -> BTreeMap<u64, Forms> {
    let mut all: BTreeMap<u64, Forms> = BTreeMap::new();
    for name in names {
        let Some((digits, rest)) = name.split_at_checked(10) else { continue };
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let Some(number) = digits.parse().ok().filter(|_| is_number) else { continue };
        match rest {
            ".journal" => all.entry(number).or_default().raw = true,
            ".journal.zst" => all.entry(number).or_default().packed = true,
            _ => {}
        }
    }
    all
}

/// What a segment's file holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Bytes {
    /// Its bytes, as they were written.
    Whole(Vec<u8>),
    /// It is there in both forms, and they differ: the bytes of each.
    Twice(Vec<u8>, Vec<u8>),
}

/// Reads a segment. It may be packed meanwhile: what is gone under one name is looked for under the other.
pub fn read(disk: &dyn Disk, number: u64, forms: Forms) -> io::Result<Bytes> {
    if forms.raw && forms.packed {
        // A crash came between packing and removing: both say the same.
        return match (bytes(disk, &name(number)), unpacked(disk, number)) {
            (Ok(raw), Ok(packed)) if raw == packed => Ok(Bytes::Whole(raw)),
            (Ok(raw), Ok(packed)) => Ok(Bytes::Twice(raw, packed)),
            (Err(error), other) | (other, Err(error)) => match other {
                Ok(one) if error.kind() == io::ErrorKind::NotFound => Ok(Bytes::Whole(one)),
                _ => Err(error),
            },
        };
    }
    let first = if forms.packed { unpacked(disk, number) } else { bytes(disk, &name(number)) };
    let read = match first {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !forms.packed => {
            unpacked(disk, number)
        }
        first => first,
    };
    read.map(Bytes::Whole)
}

fn unpacked(disk: &dyn Disk, number: u64) -> io::Result<Vec<u8>> {
    packed::unpack(&bytes(disk, &packed_name(number))?).map_err(io::Error::other)
}

/// The number that a segment gives itself in its first frame, if it is one. Nothing is proven.
pub fn own_number(disk: &dyn Disk, number: u64, forms: Forms) -> Option<u64> {
    let name = if forms.raw { name(number) } else { packed_name(number) };
    let bytes = disk.open(&name, How::Read).ok()?.read(0, packed::START_BYTES as u64).ok()?;
    let start = if forms.raw { bytes } else { packed::start(&bytes, START_BYTES) };
    Begin::of(&start).map(|begin| begin.segment)
}

/// Whether the system could not read, rather than that there is nothing to be read.
pub fn is_trouble(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let nothing = [Errno::NOENT, Errno::LOOP, Errno::NXIO, Errno::ISDIR];
    Errno::from_io_error(error).is_some_and(|code| !nothing.contains(&code))
}

/// A file of bounded length.
pub fn bytes(disk: &dyn Disk, name: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(name, How::Read)?;
    let bytes = file.read(0, FILE_BYTES_MAX + 1)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(io::Error::other("longer than any segment")),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ten_digits_are_a_segment() {
        let names = ["0000000007.journal", "0000000007.journal.zst", "0000000008.journal.zst"];
        let others = ["key", "next", "7.journal", "+000000009.journal", "0000000009.journal.tmp"];
        let all = among(&names.into_iter().chain(others).map(str::to_string).collect::<Vec<_>>());
        let expected =
            [(7, Forms { raw: true, packed: true }), (8, Forms { raw: false, packed: true })];
        assert!(all.into_iter().eq(expected));
        assert_eq!((name(7), packed_name(8)), (names[0].to_string(), names[2].to_string()));
    }
}
