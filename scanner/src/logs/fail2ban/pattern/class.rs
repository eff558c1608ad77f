//! Sets of characters as Python's `re` has them: `\d`, `\w`, `\s` of Unicode strings, ranges, negation.
//!
//! A set answers for one character. ASCII is a bitmap, so that the common case is one look-up; the
//! rest is asked item by item. Classes of the whole of Unicode follow Python's: `\w` is letters,
//! numbers and the underscore, `\s` has the separators 0x1c to 0x1f, which Rust's has not.

/// Part of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Item {
    /// From one character to another, both within.
    Range(char, char),
    /// `\d`, or `\D` where `true`.
    Digit(bool),
    /// `\w`, or `\W` where `true`.
    Word(bool),
    /// `\s`, or `\S` where `true`.
    Space(bool),
}

/// A set of characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Class {
    ascii: [u64; 2],
    items: Vec<Item>,
    negated: bool,
    fold: bool,
}

impl Class {
    /// The set of these items, or all others; `fold` disregards case.
    pub(super) fn new(items: Vec<Item>, negated: bool, fold: bool) -> Self {
        let mut ascii = items.iter().fold(0_u128, |bits, item| bits | item.ascii());
        if fold {
            // Letters differ in case by one bit, 32 places apart.
            let letters = run(b'a', b'z');
            ascii |= (ascii >> 32 & run(b'A', b'Z')) | (ascii << 32 & letters);
        }
        if negated {
            ascii = !ascii;
        }
        #[allow(clippy::cast_possible_truncation)] // the two halves
        Self { ascii: [ascii as u64, (ascii >> 64) as u64], items, negated, fold }
    }

    /// Its characters below 128, a bit each.
    pub(super) fn ascii(&self) -> [u64; 2] {
        self.ascii
    }

    /// Whether the set has a byte below 128.
    #[inline]
    pub(super) fn has_ascii(&self, byte: u8) -> bool {
        self.ascii[usize::from((byte >> 6) & 1)] >> (byte & 63) & 1 == 1
    }

    /// Whether the set has a character.
    pub(super) fn has(&self, one: char) -> bool {
        match u8::try_from(one) {
            Ok(byte) if byte < 128 => self.has_ascii(byte),
            _ => self.asks(one),
        }
    }

    /// Whether it may hold anything beyond ASCII (never a wrong no).
    pub(super) fn beyond_ascii(&self) -> bool {
        let plain = |item: &Item| matches!(item, Item::Range(_, to) if to.is_ascii());
        self.negated || self.fold || !self.items.iter().all(plain)
    }

    /// Whether it is one ASCII letter in either case, to which nothing beyond ASCII folds.
    pub(super) fn is_case_of_one(&self) -> bool {
        let one = |item: &Item| match item {
            Item::Range(a, b) => a == b && a.is_ascii() && !"kKsS".contains(*a),
            _ => false,
        };
        self.fold && !self.negated && self.items.len() == 1 && self.items.iter().all(one)
    }

    fn asks(&self, one: char) -> bool {
        let within = |c: char| self.items.iter().any(|item| item.has(c));
        let mut found = within(one);
        if self.fold && !found {
            found = single(one.to_lowercase()).is_some_and(within)
                || single(one.to_uppercase()).is_some_and(within);
        }
        found != self.negated
    }
}

/// A bit for each byte from one to another.
fn run(from: u8, to: u8) -> u128 {
    (u128::MAX >> (127 - (to - from))) << from
}

impl Item {
    /// Its characters below 128, a bit each.
    fn ascii(self) -> u128 {
        let (bits, not) = match self {
            Self::Range(from, to) => {
                let byte = |one: char| u8::try_from(one).unwrap_or(127).min(127);
                (if from.is_ascii() { run(byte(from), byte(to)) } else { 0 }, false)
            }
            Self::Digit(not) => (run(b'0', b'9'), not),
            Self::Word(not) => {
                let letters = run(b'a', b'z') | run(b'A', b'Z');
                (letters | run(b'0', b'9') | 1 << b'_', not)
            }
            Self::Space(not) => (run(9, 13) | run(0x1c, 0x20), not),
        };
        if not { !bits } else { bits }
    }

    fn has(self, one: char) -> bool {
        match self {
            Self::Range(from, to) => (from..=to).contains(&one),
            Self::Digit(not) => is_digit(one) != not,
            Self::Word(not) => is_word(one) != not,
            Self::Space(not) => is_space(one) != not,
        }
    }
}

/// The only character of a mapping that gives one.
pub(super) fn single(mut mapped: impl Iterator<Item = char>) -> Option<char> {
    mapped.next().filter(|_| mapped.next().is_none())
}

/// `\w` of Python's strings: letters, numbers and the underscore.
pub(super) fn is_word(one: char) -> bool {
    one == '_' || one.is_alphanumeric()
}

fn is_space(one: char) -> bool {
    one.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&one)
}

/// Decimal digits beyond ASCII are those of the number class `Nd`, of which each block of ten begins
/// at a character listed here.
fn is_digit(one: char) -> bool {
    const ZEROS: [u32; 24] = [
        0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6,
        0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0xff10,
    ];
    let code = u32::from(one);
    one.is_ascii_digit() || ZEROS.iter().any(|zero| (*zero..*zero + 10).contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_python() {
        let class = |item| Class::new(vec![item], false, false);
        let word = class(Item::Word(false));
        for (one, is) in
            [('a', true), ('_', true), ('é', true), ('٣', true), ('-', false), (' ', false)]
        {
            assert_eq!(word.has(one), is, "{one}");
        }
        let space = class(Item::Space(false));
        for (one, is) in [(' ', true), ('\u{1f}', true), ('\u{a0}', true), ('\u{200b}', false)] {
            assert_eq!(space.has(one), is, "{one:?}");
        }
        let digit = class(Item::Digit(false));
        assert!(digit.has('7') && digit.has('٣') && !digit.has('²'));
    }

    #[test]
    fn the_bitmap_says_what_the_items_say() {
        let items = [
            Item::Range('a', 'c'),
            Item::Range('X', 'x'),
            Item::Range('0', '\u{300}'),
            Item::Range('é', 'ü'),
            Item::Range('\u{212a}', '\u{212a}'),
            Item::Digit(false),
            Item::Digit(true),
            Item::Word(false),
            Item::Word(true),
            Item::Space(false),
            Item::Space(true),
            Item::Range('\0', '\u{7f}'),
        ];
        for item in items {
            for (negated, fold) in [(false, false), (true, false), (false, true), (true, true)] {
                let class = Class::new(vec![item], negated, fold);
                for byte in 0..128_u8 {
                    let says = class.asks(char::from(byte));
                    assert_eq!(class.has_ascii(byte), says, "{byte} {item:?} {negated} {fold}");
                }
            }
        }
    }

    #[test]
    fn negation_and_case_go_together() {
        let not = Class::new(vec![Item::Range('a', 'c')], true, true);
        assert!(!not.has('B') && !not.has('b') && not.has('d') && not.has('é'));
        assert!(Class::new(vec![Item::Range('É', 'É')], false, true).has('é'));
    }
}
