//! Searches within a line: sixteen bytes at a time, and byte by byte near the end of the text. Both give
//! the same answers (tested against each other).

use crate::sys::vector::{Vector, WIDTH};

/// A byte that may follow `:` in a block, or precede `#`: white space or the end.
#[inline(always)]
pub(super) fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0)
}

#[inline(always)]
pub(super) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

#[inline(always)]
pub(super) fn is_break(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}

#[inline(always)]
pub(super) fn is_flow(byte: u8) -> bool {
    matches!(byte, b',' | b'[' | b']' | b'{' | b'}')
}

/// The byte at an offset; 0 behind the end (the text itself holds no 0).
#[inline(always)]
pub(super) fn byte(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

/// Where a plain scalar in a block ends on its line: at `:` before white space, at white space before
/// `#`, at a line break, or at the end of the text. `from` is not looked at for `#`.
#[inline(always)]
pub(super) fn plain_block(text: &[u8], from: usize) -> usize {
    let at = wide::find_pair(text, from, wide::block_stops);
    at.unwrap_or_else(|at| plain_block_slow(text, at))
}

pub(super) fn plain_block_slow(text: &[u8], mut at: usize) -> usize {
    while at < text.len() {
        match text[at] {
            b'\n' | b'\r' => return at,
            b':' if is_white(byte(text, at + 1)) => return at,
            b' ' | b'\t' if byte(text, at + 1) == b'#' => return at,
            _ => at += 1,
        }
    }
    at
}

/// The same inside of flow collections, where a flow indicator ends a plain scalar too.
#[inline(always)]
pub(super) fn plain_flow(text: &[u8], mut from: usize) -> usize {
    loop {
        let at = match wide::find_pair(text, from, wide::flow_stops) {
            Ok(at) => at,
            Err(at) => return plain_flow_slow(text, at),
        };
        let after = byte(text, at + 1);
        if text[at] != b':' || is_white(after) || is_flow(after) {
            return at;
        }
        from = at + 1;
    }
}

pub(super) fn plain_flow_slow(text: &[u8], mut at: usize) -> usize {
    while at < text.len() {
        let after = byte(text, at + 1);
        match text[at] {
            b'\n' | b'\r' | b',' | b'[' | b']' | b'{' | b'}' => return at,
            b':' if is_white(after) || is_flow(after) => return at,
            b' ' | b'\t' if after == b'#' => return at,
            _ => at += 1,
        }
    }
    at
}

/// The next line break, or the end.
#[inline(always)]
pub(super) fn line_end(text: &[u8], from: usize) -> usize {
    let at = wide::find(text, from, wide::breaks);
    at.unwrap_or_else(|at| slow(text, at, is_break))
}

/// The next `"`, `\` or line break, or the end.
#[inline(always)]
pub(super) fn double(text: &[u8], from: usize) -> usize {
    let at = wide::find(text, from, wide::double_stops);
    at.unwrap_or_else(|at| slow(text, at, |b| b == b'"' || b == b'\\' || is_break(b)))
}

/// The next `'` or line break, or the end.
#[inline(always)]
pub(super) fn single(text: &[u8], from: usize) -> usize {
    let at = wide::find(text, from, wide::single_stops);
    at.unwrap_or_else(|at| slow(text, at, |b| b == b'\'' || is_break(b)))
}

/// The first byte that is no space.
#[inline(always)]
pub(super) fn spaces(text: &[u8], from: usize) -> usize {
    let at = wide::find(text, from, wide::not_space);
    at.unwrap_or_else(|at| slow(text, at, |b| b != b' '))
}

fn slow(text: &[u8], mut at: usize, stop: impl Fn(u8) -> bool) -> usize {
    while at < text.len() && !stop(text[at]) {
        at += 1;
    }
    at
}

/// The offset of the first C0 control character other than tab, line feed and carriage return. (YAML
/// allows DEL and C1 inside of quotes only; they are harmless, and are let through everywhere.)
pub(super) fn control(text: &[u8]) -> Option<usize> {
    let bad = |byte: u8| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
    // Blocks without early exit are what the compiler turns into wide instructions.
    for (index, block) in text.chunks(4096).enumerate() {
        let mut any = 0_u8;
        for &byte in block {
            any |= u8::from(byte < 0x20)
                & u8::from(byte != b'\t')
                & u8::from(byte != b'\n')
                & u8::from(byte != b'\r');
        }
        if any != 0 {
            return block.iter().position(|&byte| bad(byte)).map(|at| index * 4096 + at);
        }
    }
    None
}

mod wide {
    use super::{Vector, WIDTH};

    #[inline(always)]
    pub(super) fn breaks(here: Vector) -> Vector {
        here.is(b'\n').or(here.is(b'\r'))
    }

    #[inline(always)]
    pub(super) fn double_stops(here: Vector) -> Vector {
        breaks(here).or(here.is(b'"').or(here.is(b'\\')))
    }

    #[inline(always)]
    pub(super) fn single_stops(here: Vector) -> Vector {
        breaks(here).or(here.is(b'\''))
    }

    #[inline(always)]
    pub(super) fn not_space(here: Vector) -> Vector {
        here.is(b' ').is(0)
    }

    /// Space or a control character, of which only tab and line breaks occur.
    #[inline(always)]
    fn white(here: Vector) -> Vector {
        here.at_most(b' ')
    }

    #[inline(always)]
    pub(super) fn block_stops(here: Vector, after: Vector) -> Vector {
        let key = here.is(b':').and(white(after));
        let comment = white(here).and(after.is(b'#'));
        key.or(comment).or(breaks(here))
    }

    /// Every colon, for the caller to judge.
    #[inline(always)]
    pub(super) fn flow_stops(here: Vector, after: Vector) -> Vector {
        let comment = white(here).and(after.is(b'#'));
        let folded = here.with(0x20);
        let brackets = folded.is(b'{').or(folded.is(b'}'));
        let marks = here.is(b':').or(here.is(b','));
        comment.or(brackets).or(marks.or(breaks(here)))
    }

    /// The first marked byte, or where fewer than a vector's width is left.
    #[inline(always)]
    pub(super) fn find(
        text: &[u8],
        from: usize,
        stops: impl Fn(Vector) -> Vector,
    ) -> Result<usize, usize> {
        let mut at = from;
        while let Some(here) = text.get(at..).and_then(<[u8]>::first_chunk::<WIDTH>) {
            let mask = stops(Vector::load(here)).mask();
            if mask != 0 {
                return Ok(at + mask.trailing_zeros() as usize);
            }
            at += WIDTH;
        }
        Err(at)
    }

    /// The same with each byte's successor in view.
    #[inline(always)]
    pub(super) fn find_pair(
        text: &[u8],
        from: usize,
        stops: impl Fn(Vector, Vector) -> Vector,
    ) -> Result<usize, usize> {
        let mut at = from;
        while let Some(both) = text.get(at..).and_then(<[u8]>::first_chunk::<{ WIDTH + 1 }>) {
            let (Some(here), Some(after)) = (both.first_chunk(), both.last_chunk()) else { break };
            let mask = stops(Vector::load(here), Vector::load(after)).mask();
            if mask != 0 {
                return Ok(at + mask.trailing_zeros() as usize);
            }
            at += WIDTH;
        }
        Err(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn wide_and_narrow_searches_agree(text in "[a:# \t\n\r,{}\\[\\]\"'\\\\é]{0,80}", from in 0_usize..40) {
            let text = text.as_bytes();
            let from = from.min(text.len());
            prop_assert_eq!(plain_block(text, from), plain_block_slow(text, from));
            prop_assert_eq!(plain_flow(text, from), plain_flow_slow(text, from));
            prop_assert_eq!(line_end(text, from), slow(text, from, is_break));
            prop_assert_eq!(spaces(text, from), slow(text, from, |b| b != b' '));
            prop_assert_eq!(single(text, from), slow(text, from, |b| b == b'\'' || is_break(b)));
            let stops = |b| b == b'"' || b == b'\\' || is_break(b);
            prop_assert_eq!(double(text, from), slow(text, from, stops));
        }
    }

    #[test]
    fn control_characters_are_found_where_they_stand() {
        let mut text = vec![b'a'; 10_000];
        assert_eq!(control(&text), None);
        text[3] = b'\t';
        assert_eq!(control(&text), None);
        text[9_001] = 0;
        assert_eq!(control(&text), Some(9_001));
        text[5_000] = 0x1b;
        assert_eq!(control(&text), Some(5_000));
    }
}
