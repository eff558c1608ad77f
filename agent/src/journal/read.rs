//! Reading a journal, whoever writes it meanwhile: its segments in order, and what could not be read.

use std::io;

use crypto::journal::codec::Decoded;
use crypto::journal::read::{Contents, Lost, segment};

use super::disk::{Disk, How};
use super::segments::{self, Bytes};

/// A segment as it was found.
pub struct Part {
    /// Its number, as its name says.
    pub number: u64,
    /// Its file, or the one of two that it is told by.
    pub name: String,
    /// Bytes on the disk.
    pub file_bytes: u64,
    /// No segment has a higher number.
    pub is_last: bool,
    /// What is in it, or why that is not known.
    pub bytes: io::Result<Bytes>,
}

/// In which order segments are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As their names say.
    Names,
    /// As they say themselves, so that one that was renamed is found in its place.
    Own,
}

/// Gives every segment to `each`, in order of number. What is removed meanwhile is left out: a later segment
/// says so. Fails where the directory cannot be listed, or as `each` does.
pub fn parts<E: From<io::Error>>(
    disk: &dyn Disk,
    order: Order,
    each: impl FnMut(Part) -> Result<(), E>,
) -> Result<(), E> {
    last_parts(disk, order, usize::MAX, each)
}

/// The same for the last segments, at most `most`.
fn last_parts<E: From<io::Error>>(
    disk: &dyn Disk,
    order: Order,
    most: usize,
    mut each: impl FnMut(Part) -> Result<(), E>,
) -> Result<(), E> {
    let mut found: Vec<_> = segments::among(&disk.names()?).into_iter().collect();
    found.drain(..found.len().saturating_sub(most));
    if order == Order::Own {
        found.sort_by_cached_key(|(number, forms)| {
            segments::own_number(disk, *number, *forms).unwrap_or(*number)
        });
    }
    let last = found.last().map(|(number, _)| *number);
    for (number, forms) in found {
        let bytes = segments::read(disk, number, forms);
        if matches!(&bytes, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            continue;
        }
        let (raw, packed) = (segments::name(number), segments::packed_name(number));
        let length = |name: &str| disk.open(name, How::Read).and_then(|file| file.length());
        let lengths = [&raw, &packed].map(|name| length(name).unwrap_or(0));
        let name = if forms.raw { raw } else { packed };
        let file_bytes = lengths.iter().sum();
        each(Part { number, name, file_bytes, is_last: last == Some(number), bytes })?;
    }
    Ok(())
}

/// Everything that a journal says, and what of it could not be read.
#[derive(Debug, Default)]
pub struct Told {
    /// Segments, with their bytes on the disk.
    pub segments: Vec<(Contents, u64)>,
    /// What could not be read.
    pub incomplete: Vec<String>,
}

/// Reads everything; `each` gets every record with its number. Proves nothing: see `journal verify`.
pub fn records<E: From<io::Error>>(
    disk: &dyn Disk,
    each: impl FnMut(u64, Decoded<'_>) -> Result<(), E>,
) -> Result<Told, E> {
    records_of_last(disk, usize::MAX, each)
}

/// The same for the last segments, at most `most`.
pub fn records_of_last<E: From<io::Error>>(
    disk: &dyn Disk,
    most: usize,
    mut each: impl FnMut(u64, Decoded<'_>) -> Result<(), E>,
) -> Result<Told, E> {
    let mut told = Told::default();
    last_parts(disk, Order::Names, most, |part| {
        let bytes = match part.bytes {
            Ok(Bytes::Whole(bytes)) => bytes,
            Ok(Bytes::Twice(bytes, _)) => {
                told.incomplete.push(format!("{}: its packed form says otherwise", part.name));
                bytes
            }
            Err(error) => {
                told.incomplete.push(format!("{}: {error}", part.name));
                return Ok(());
            }
        };
        let mut failed = None;
        let contents = segment(&bytes, |number, record| {
            if failed.is_none() {
                failed = each(number, record).err();
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        for lost in &contents.lost {
            // The end of a segment that is being written.
            if !(part.is_last && matches!(lost, Lost::Torn { .. })) {
                told.incomplete.push(format!("{}: {lost}", part.name));
            }
        }
        if contents.unread > 0 {
            told.incomplete
                .push(format!("{}: {} records behind damage", part.name, contents.unread));
        }
        told.segments.push((contents, part.file_bytes));
        Ok(())
    })?;
    Ok(told)
}
