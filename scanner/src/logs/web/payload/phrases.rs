//! All texts that any judge looks for, looked for in one pass.
//!
//! Each judge keeps its own table; here they become one automaton, and what was found becomes a set of
//! bits. A text counts once, however often it stands there. Texts and values are in lower case.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::{expression, place, script, shell, sql};

/// Texts with their points.
pub type Table = &'static [(&'static [u8], u32)];

/// Which judge asks for a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// SQL.
    Sql,
    /// Script and HTML.
    Script,
    /// Addresses that run, as `javascript:`.
    Scheme,
    /// Commands.
    Shell,
    /// Files that visitors do not ask for.
    File,
    /// Wrappers of PHP.
    Wrapper,
    /// Hosts that only the server reaches, or that tell who called.
    Host,
    /// Template languages.
    Template,
    /// Code.
    Code,
    /// XML.
    Entity,
    /// Serialised objects.
    Object,
}

const TABLES: [(Sort, Table); 11] = [
    (Sort::Sql, sql::PHRASES),
    (Sort::Script, script::CALLS),
    (Sort::Scheme, script::SCHEMES),
    (Sort::Shell, shell::PHRASES),
    (Sort::File, place::FILES),
    (Sort::Wrapper, place::WRAPPERS),
    (Sort::Host, place::HOSTS),
    (Sort::Template, expression::TEMPLATES),
    (Sort::Code, expression::CODE),
    (Sort::Entity, expression::ENTITIES),
    (Sort::Object, expression::OBJECTS),
];

/// Most texts of all tables together.
pub const PHRASES_MAX: usize = 64 * WORDS;

const WORDS: usize = 5;

struct Automaton {
    finder: AhoCorasick,
    worth: Vec<(Sort, u32)>,
}

static AUTOMATON: LazyLock<Automaton> = LazyLock::new(|| {
    let each = || TABLES.iter().flat_map(|(sort, table)| table.iter().map(move |row| (*sort, row)));
    let finder = AhoCorasick::new(each().map(|(_, (text, _))| text))
        .expect("a few hundred short texts fit into an automaton, which a test shows");
    Automaton { finder, worth: each().map(|(sort, (_, points))| (sort, *points)).collect() }
});

/// The texts that stand in a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found([u64; WORDS]);

impl Found {
    /// Looks through a value.
    pub fn within(value: &[u8]) -> Self {
        let mut found = Self::default();
        for text in AUTOMATON.finder.find_overlapping_iter(value) {
            let at = text.pattern().as_usize();
            if let Some(word) = found.0.get_mut(at / 64) {
                *word |= 1 << (at % 64);
            }
        }
        found
    }

    /// What the texts of one sort are worth together.
    pub fn points(&self, sort: Sort) -> u32 {
        self.each().filter(|(of, _)| *of == sort).map(|(_, points)| points).sum()
    }

    /// The same with what stands in another writing of the value.
    pub fn or(&self, other: &Self) -> Self {
        let mut both = *self;
        both.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
        both
    }

    fn each(&self) -> impl Iterator<Item = (Sort, u32)> {
        self.0.iter().enumerate().flat_map(|(index, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                AUTOMATON.worth.get(index * 64 + bit).copied()
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_counts_once_for_its_own_sort() {
        let found = Found::within(b"alert(1) alert(2) /etc/passwd");
        assert_eq!((found.points(Sort::Script), found.points(Sort::File)), (4, 5));
        assert_eq!(found.points(Sort::Sql), 0);
        let both = Found::within(b"phpinfo()").or(&found);
        assert_eq!((both.points(Sort::Script), both.points(Sort::Code)), (4, 5));
        assert_eq!(Found::within(b""), Found::default());
    }

    #[test]
    fn all_texts_have_a_bit_and_are_in_lower_case() {
        let count = TABLES.iter().map(|(_, table)| table.len()).sum::<usize>();
        assert!(count <= PHRASES_MAX, "{count}");
        for (text, points) in TABLES.iter().flat_map(|(_, table)| table.iter()) {
            assert!(*points > 0 && text.to_ascii_lowercase() == *text && text.len() > 1);
            assert_ne!(Found::within(text), Found::default());
        }
    }
}
