//! The parts of one plain file, worked on by several threads and taken in their order; and the
//! simplest such work, counting lines.
//!
//! Thread `t` of `n` works on the parts `t`, `t + n`, …; who takes the results asks the threads in turn.
//! A thread is at most [`AHEAD`] results ahead, so memory stays bounded.

use std::io;
use std::sync::mpsc::sync_channel;

use parsers::map::{Block, Source};

/// Bytes of a part: fits the second-level cache with room for what is done with it.
pub const PART_BYTES: u64 = 512 << 10;

/// Results that wait of each thread.
const AHEAD: usize = 4;

/// Works on every part of a file: `begin` gives a thread its own memory, `work` makes a result of a
/// part, `take` is given the results in the order of the file.
pub fn each_part<S, R: Send>(
    source: &Source,
    jobs: usize,
    begin: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, Block<'_>) -> R + Sync,
    mut take: impl FnMut(R) -> io::Result<()>,
) -> io::Result<()> {
    let parts = source.end().div_ceil(PART_BYTES);
    let threads = u64::try_from(jobs.max(1)).unwrap_or(1).min(parts.max(1));
    let part = |number: u64| number * PART_BYTES..(number + 1) * PART_BYTES;
    let result_of = |own: &mut S, buffer: &mut Vec<u8>, number: u64| {
        let block = source.lines_in(part(number), buffer)?;
        let result = work(own, block);
        // What was found counts only if the file is still what it was.
        source.holds(&block)?;
        Ok::<R, io::Error>(result)
    };
    if threads == 1 {
        let (mut own, mut buffer) = (begin(), Vec::new());
        for number in 0..parts {
            take(result_of(&mut own, &mut buffer, number)?)?;
        }
        return Ok(());
    }
    std::thread::scope(|scope| {
        let mut results = Vec::new();
        for thread in 0..threads {
            let (to, from) = sync_channel(AHEAD);
            results.push(from);
            let (begin, result_of) = (&begin, &result_of);
            scope.spawn(move || {
                let (mut own, mut buffer) = (begin(), Vec::new());
                let mut number = thread;
                while number < parts {
                    let result = result_of(&mut own, &mut buffer, number);
                    // Nobody takes any more: the end, or an error before this.
                    if to.send(result).is_err() {
                        return;
                    }
                    number += threads;
                }
            });
        }
        let mut turn = results.iter().cycle();
        for _part in 0..parts {
            let Some(result) = turn.next().and_then(|from| from.recv().ok()) else {
                return Err(io::Error::other("a part could not be examined"));
            };
            take(result?)?;
        }
        Ok(())
    })
}

/// How many lines a file has, on so many threads; a last line without its end counts.
pub fn count_lines(source: &Source, jobs: usize) -> io::Result<u64> {
    let mut lines = 0;
    each_part(
        source,
        jobs,
        || (),
        |(), block| lines_of(block.bytes),
        |counted| {
            lines += counted;
            Ok(())
        },
    )?;
    Ok(lines)
}

/// How many lines these are.
pub fn lines_of(bytes: &[u8]) -> u64 {
    let open = bytes.last().is_some_and(|last| *last != b'\n');
    memchr::memchr_iter(b'\n', bytes).count() as u64 + u64::from(open)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &[u8]) -> Source {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        Source::new(file, text.len() as u64).unwrap()
    }

    #[test]
    fn lines_are_counted_whatever_the_threads() {
        for (text, lines) in [(&b""[..], 0), (b"\n", 1), (b"a", 1), (b"a\nb", 2), (b"a\n\nb\n", 3)]
        {
            assert_eq!(count_lines(&file(text), 2).unwrap(), lines);
        }
        let text = b"a line of some bytes\n".repeat(200_000);
        for jobs in [0, 1, 2, 3, 64] {
            assert_eq!(count_lines(&file(&text), jobs).unwrap(), 200_000, "{jobs}");
        }
    }

    #[test]
    fn results_come_in_the_order_of_the_file_and_an_error_ends_it() {
        let text = b"a line of some bytes\n".repeat(200_000);
        let shared = file(&text);
        let mut offsets = Vec::new();
        let work = |(): &mut (), block: Block<'_>| block.offset;
        each_part(
            &shared,
            3,
            || (),
            work,
            |offset| {
                offsets.push(offset);
                Ok(())
            },
        )
        .unwrap();
        assert!(offsets.is_sorted() && offsets.len() == 9);
        let stopped = each_part(&shared, 3, || (), work, |_| Err(io::Error::other("enough")));
        assert_eq!(stopped.unwrap_err().to_string(), "enough");
    }
}
