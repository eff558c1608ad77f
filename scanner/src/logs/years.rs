//! The year of a file's first line, where stamps name none: walked back from the file's last change.
//!
//! Only how often the month falls matters. A small file is looked at line by line; of a large one, a
//! line every [`STEP`] bytes: a year that leaves no trace between two of them is not seen. Archives
//! are expanded once more for it, unless their first lines name a year.

use std::io::Read;

use parsers::map::{Lines, Source};
use parsers::time::{Stamp, Wall, first_year};

use super::sweep::SweepOptions;

/// Bytes between two lines that are looked at, in a file of more than [`WHOLE_BYTES_MAX`].
pub const STEP: u64 = 64 << 10;

/// A file up to this size is looked at line by line.
pub const WHOLE_BYTES_MAX: u64 = 1 << 20;

/// Lines without a stamp that lacks a year after which there is none in a file.
const LINES_WITHOUT: usize = 64;

/// Bytes read at one place of a large file.
const LOOK_BYTES: u64 = 4096;

/// The year of the first yearless line from `from` on; 0 where the stamps name theirs.
pub(super) fn of_file(
    source: &Source,
    from: u64,
    modified: i64,
    options: &SweepOptions,
) -> std::io::Result<i16> {
    let mut walls = Walls::default();
    let mut buffer = Vec::new();
    let mut look = |range: std::ops::Range<u64>, walls: &mut Walls| {
        let block = source.lines_in(range, &mut buffer)?;
        Ok::<bool, std::io::Error>(
            block.bytes.split(|byte| *byte == b'\n').all(|line| walls.see(line)),
        )
    };
    let whole = source.end().saturating_sub(from) <= WHOLE_BYTES_MAX;
    let first = if whole { source.end() } else { from + STEP };
    // A range from the middle of a line on begins with the next line, as a part of a file does.
    if !look(from..first, &mut walls)? {
        return Ok(0);
    }
    let mut at = first;
    while at < source.end() {
        let stays = look(at..at + LOOK_BYTES, &mut walls)?;
        if !stays {
            break;
        }
        at += STEP;
    }
    if !whole {
        look(source.end().saturating_sub(STEP).max(first)..source.end(), &mut walls)?;
    }
    Ok(walls.first_year(modified, options))
}

/// The same of an archive.
pub(super) fn of_archive(reader: impl Read, modified: i64, options: &SweepOptions) -> i16 {
    let mut lines = Lines::new(reader);
    let mut walls = Walls::default();
    // A damaged archive says so when it is read for real.
    while let Ok(Some(line)) = lines.next_line() {
        if !walls.see(line.bytes) {
            return 0;
        }
    }
    walls.first_year(modified, options)
}

/// The stamps without a year: the first, those at each change of the month, and the last.
#[derive(Default)]
struct Walls {
    walls: Vec<Wall>,
    looked: usize,
}

impl Walls {
    /// Takes a line; `false` once it is clear that stamps name their year.
    fn see(&mut self, line: &[u8]) -> bool {
        self.looked += 1;
        let Some((Stamp::Yearless(wall), _)) = parsers::log::syslog::stamp(line) else {
            return !self.walls.is_empty() || self.looked < LINES_WITHOUT;
        };
        if let [.., before, last] = self.walls.as_mut_slice()
            && (before.month, last.month) == (wall.month, wall.month)
        {
            *last = wall;
        } else {
            self.walls.push(wall);
        }
        true
    }

    fn first_year(self, modified: i64, options: &SweepOptions) -> i16 {
        let last = match options.year {
            // noon of 30 December: every day of that year is at most a day ahead
            Some(year) => {
                Wall { year, month: 12, day: 30, second: 43_200 }.as_utc().unwrap_or(options.now)
            }
            None => modified.min(options.now),
        };
        first_year(self.walls.into_iter(), last, &options.zone)
    }
}
