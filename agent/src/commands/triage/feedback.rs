//! The click file of `wardmote triage --feedback`: read whole before the first alert, because a click may
//! be on any window. Bad lines are named and counted, never silently left out; the others still count.

use std::io::Read;
use std::path::Path;

use consensus::triage::clicks::{self, Clicks, MAX_CLICKS};
use parsers::map::Lines;

use super::NAMED_MAX;

/// Reads all clicks; gives them and how many lines could not be read.
pub fn read(name: &Path, reader: impl Read, quiet: bool) -> std::io::Result<(Clicks, u64)> {
    let mut all = Clicks::default();
    let mut bad = 0;
    let mut lines = Lines::new(reader);
    while let Some(line) = lines.next_line()? {
        let read = match (line.truncated, std::str::from_utf8(line.bytes)) {
            (true, _) => Err("an over-long line"),
            (_, Err(_)) => Err("not UTF-8"),
            (_, Ok(text)) => clicks::read(text),
        };
        let problem = match read {
            Ok(None) => continue,
            Ok(Some(click)) => {
                if all.add(click) {
                    continue;
                }
                format!("more than {MAX_CLICKS} clicks")
            }
            Err(problem) => problem.to_string(),
        };
        bad += 1;
        if bad <= NAMED_MAX && !quiet {
            eprintln!("wardmote: {}:{}: {problem}", name.display(), line.number);
        }
    }
    Ok((all, bad))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_lines_are_counted_and_the_others_count() {
        let text =
            b"host,start,answer\nweb,300,confirm\nweb,x,confirm\n\xff\ndb,300,dismiss\n".as_slice();
        let (clicks, bad) = read(Path::new("clicks.csv"), text, true).unwrap();
        assert_eq!((clicks.left(), bad), (2, 2));
    }

    #[test]
    fn what_is_beyond_the_limit_is_counted() {
        let text: String = (0..=MAX_CLICKS).map(|start| format!("web,{start},confirm\n")).collect();
        let (clicks, bad) = read(Path::new("clicks.csv"), text.as_bytes(), true).unwrap();
        assert_eq!((clicks.left(), bad), (MAX_CLICKS, 1));
    }
}
