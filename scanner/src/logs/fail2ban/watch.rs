//! Which lines of a block a filter that looks at several has to be shown.
//!
//! A match needs a line with one of the filter's marks, and of the others only those that are looked at
//! together with it: the lines before it, as many as the filter looks at, and those after it until it
//! has certainly been forgotten. A filter forgets the oldest line with each new one once it holds
//! `maxlines`; but a match takes up to `maxlines` lines out, and room for as many new ones is made. Of
//! the lines with marks that it holds (at most `maxlines`) each is part of at most one match. So after
//! `maxlines * (maxlines + 1)` lines without a mark it holds none, and after as many more as it can hold
//! also nothing from before. What other blocks hold is not known here: the first and last lines of a
//! block are always shown.

use super::filter::LINES_MAX;

/// Follows the lines of one block for one filter.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Which jail's filter it is.
    pub jail: u32,
    maxlines: usize,
    /// Lines with a mark: where the first line begins that has to be shown for it, and where the mark is.
    marks: Vec<(usize, usize)>,
    next: usize,
    /// Where the last lines of the block begin.
    tail: usize,
    /// Lines that are still to be shown.
    left: usize,
    shown: bool,
}

impl Watch {
    /// For a jail whose filter looks at so many lines.
    pub fn new(jail: u32, maxlines: usize) -> Self {
        let maxlines = maxlines.clamp(1, LINES_MAX);
        let marks = Vec::new();
        Self { jail, maxlines, marks, next: 0, tail: 0, left: 0, shown: true }
    }

    fn memory(&self) -> usize {
        self.maxlines * (self.maxlines + 2)
    }

    /// Begins a block in which marks stand at these places, in their order.
    pub fn begin(&mut self, block: &[u8], places: impl Iterator<Item = usize>) {
        self.marks.clear();
        for at in places {
            self.marks.push((lines_before(block, at, self.maxlines), at));
        }
        let end = block.len() - usize::from(block.ends_with(b"\n"));
        self.tail = lines_before(block, end, self.maxlines);
        (self.next, self.left, self.shown) = (0, self.memory(), true);
    }

    /// Whether the line from here to there has to be shown, and whether the one before it was.
    pub fn shows(&mut self, start: usize, end: usize) -> (bool, bool) {
        let first = self.next;
        while self.marks.get(self.next).is_some_and(|(_, at)| *at < end) {
            self.next += 1;
        }
        let ahead = self.marks.get(self.next).is_some_and(|(from, _)| *from <= start);
        let marked = self.next > first;
        let shows = marked || ahead || self.left > 0 || self.tail <= start;
        self.left = if marked { self.memory() } else { self.left.saturating_sub(1) };
        (shows, std::mem::replace(&mut self.shown, shows))
    }
}

/// Where the line begins that stands so many lines before the one of this place.
fn lines_before(block: &[u8], at: usize, lines: usize) -> usize {
    let mut start = at.min(block.len());
    for _ in 0..=lines {
        match memchr::memrchr(b'\n', &block[..start]) {
            Some(before) => start = before,
            None => return 0,
        }
    }
    start + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(maxlines: usize, lines: &[&str]) -> String {
        let block = lines.concat();
        let mut watch = Watch::new(0, maxlines);
        watch.begin(block.as_bytes(), memchr::memmem::find_iter(block.as_bytes(), b"mark"));
        let mut start = 0;
        let mut all = String::new();
        for line in lines {
            let (shows, before) = watch.shows(start, start + line.len() - 1);
            all.push(match (shows, before) {
                (true, true) => 's',
                (true, false) => 'a',
                _ => '-',
            });
            start += line.len();
        }
        all
    }

    #[test]
    fn lines_around_marks_and_at_the_ends_are_shown() {
        let mut lines = vec!["x\n"; 60];
        lines[30] = "a mark and a mark\n";
        let told = shown(2, &lines);
        // 8 at the start; 2 before the mark, it and 8 after it; 3 at the end.
        assert_eq!(&told[..8], "ssssssss");
        assert_eq!(&told[8..28], "-".repeat(20));
        assert_eq!(&told[28..39], "asssssssss".to_string() + "s");
        assert_eq!(&told[39..57], "-".repeat(18));
        assert_eq!(&told[57..], "ass");
        assert_eq!(shown(2, &["mark\n"; 40]), "s".repeat(40));
        assert_eq!(shown(100, &lines), "s".repeat(60));
    }
}
