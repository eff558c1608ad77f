//! A shape as a set of lines, and what can be said of all of them.

use super::hash::{BUCKETS, bucket};

/// Longest line whose shape is looked at.
pub const LINE_BYTES_MAX: usize = 1024;

/// One symbol of a shape: an ASCII byte in its lower case, or one of these.
const DIGITS: u8 = 0x80;

/// A part of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This byte.
    Byte(u8),
    /// So many digits, whatever they are.
    Digits {
        /// At least.
        least: usize,
        /// At most.
        most: usize,
    },
}

/// The shape of a line of ASCII text.
#[derive(Clone, Debug)]
pub struct Masked {
    pieces: Vec<Piece>,
    folded: Vec<u8>,
    /// For each piece, where in the line it was made of it begins.
    starts: Vec<usize>,
}

impl Masked {
    /// Of a line; `None` for lines that are too long, hold a line end, or are no ASCII text.
    pub fn of(line: &[u8]) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii() && !matches!(byte, b'\r' | b'\n');
        if line.len() > LINE_BYTES_MAX || !line.iter().all(plain) {
            return None;
        }
        let (mut pieces, mut folded, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = 0;
        while let Some(byte) = line.get(at) {
            starts.push(at);
            let run = line[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            if run == 0 {
                pieces.push(Piece::Byte(*byte));
                folded.push(byte.to_ascii_lowercase());
                at += 1;
                continue;
            }
            let [first, second] = BUCKETS;
            let (least, most) = match bucket(run) {
                0 => (1, first),
                1 => (first + 1, second),
                _ => (second + 1, LINE_BYTES_MAX),
            };
            pieces.push(Piece::Digits { least, most });
            folded.push(DIGITS + u8::try_from(bucket(run)).unwrap_or(0));
            at += run;
        }
        Some(Self { pieces, folded, starts })
    }

    /// Its parts.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Which piece begins where this byte of the line is, if one does.
    pub fn piece_at(&self, byte: usize) -> Option<usize> {
        self.starts.binary_search(&byte).ok()
    }

    /// Whether a line of the shape may contain a text in lower case, compared without case.
    pub fn may_contain(&self, text: &[u8]) -> bool {
        let Some(first) = text.first() else { return true };
        if first.is_ascii_digit() {
            return (0..self.pieces.len()).any(|at| self.may_stand(at, text));
        }
        memchr::memchr_iter(*first, &self.folded).any(|at| self.may_stand(at, text))
    }

    /// Whether a text may begin in this piece.
    fn may_stand(&self, at: usize, text: &[u8]) -> bool {
        let (mut at, mut done) = (at, 0);
        while let Some(byte) = text.get(done) {
            let Some(here) = self.folded.get(at) else { return false };
            if !byte.is_ascii_digit() {
                if here != byte {
                    return false;
                }
                done += 1;
            } else {
                let Some(Piece::Digits { least, most }) = self.pieces.get(at) else { return false };
                let run = text[done..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                let inner = done > 0 && done + run < text.len();
                if run > *most || inner && run < *least {
                    return false;
                }
                done += run;
            }
            at += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_may_be_there_if_digits_can_make_it_so() {
        let shape = Masked::of(b"Jun  1 sshd[1508]: uid=0 port 46820 AT 1234567 end").unwrap();
        for (text, may) in [
            ("sshd", true),
            ("jun  29 s", true),
            ("jun  2999 s", false),
            ("sshd[22", true),
            ("sshd[22]", false),
            ("sshd[2222]", true),
            ("sshd[123456", false),
            ("uid=0 ", true),
            ("uid=1000 ", false),
            ("uid=1000", false),
            ("7890123 end", true),
            ("90123456789 end", true),
            ("port 22 ", false),
            ("at 1234567890 e", true),
            ("at 12345 e", false),
            ("at 1", true),
            ("999999999999", true),
            ("end ", false),
            ("", true),
        ] {
            assert_eq!(shape.may_contain(text.as_bytes()), may, "{text}");
        }
        assert!(Masked::of("\u{e9}".as_bytes()).is_none() && Masked::of(b"a\rb").is_none());
        let most = [b'x'; LINE_BYTES_MAX];
        assert!(Masked::of(&most).is_some() && Masked::of(&[&most[..], b"x"].concat()).is_none());
    }

    #[test]
    fn what_a_line_contains_its_shape_may_contain() {
        let mut seed = 11_u64;
        let mut next = |most: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(seed >> 33).unwrap() % most
        };
        let mut never = 0;
        for _ in 0..20_000 {
            let mut text =
                |length: usize| -> Vec<u8> { (0..length).map(|_| b"ab0123 A"[next(8)]).collect() };
            let (line, part) = (text(24), text(4).to_ascii_lowercase());
            let shape = Masked::of(&line).unwrap();
            let is = line.to_ascii_lowercase().windows(4).any(|window| window == part);
            assert!(!is || shape.may_contain(&part), "{line:?} {part:?}");
            never += u32::from(!shape.may_contain(&part));
        }
        assert!(never > 10_000);
    }
}
