//! pg_ident.conf: which system user may be which database user. A name that starts with `/` is a
//! regular expression; it is kept as written and not compiled.

use std::sync::Arc;

use serde::Serialize;

use super::fields::{Lines, Word};
use crate::config::problems::Problems;
use crate::place::Place;
use crate::tree::{LookError, Tree};

/// One line of a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mapping {
    /// The map's name, which `map=` in pg_hba.conf refers to.
    pub map: String,
    /// The system user.
    pub system_user: Word,
    /// The database user.
    pub database_user: Word,
    /// Where the line is.
    pub place: Place,
    /// Its first line.
    #[serde(skip)]
    pub text: String,
}

impl Mapping {
    /// Whether the system user is a regular expression.
    pub fn is_regex(&self) -> bool {
        self.system_user.text.starts_with('/')
    }
}

/// The mappings of one configuration.
#[derive(Clone, Debug, Serialize)]
pub struct Ident {
    /// In the order in which they are tried.
    pub mappings: Vec<Mapping>,
    /// Files in the order of reading.
    pub files: Vec<Arc<str>>,
    /// Lines with a fault.
    pub problems: Problems,
    /// What could not be read.
    #[serde(skip)]
    pub unread: Vec<LookError>,
}

impl Ident {
    /// Reads a pg_ident.conf with what it includes.
    ///
    /// # Errors
    /// When the file itself cannot be read.
    pub fn read(tree: &dyn Tree, path: &str) -> Result<Self, LookError> {
        Lines::read(tree, path).map(Self::of)
    }

    /// Reads the text of one file alone.
    pub fn parse(file: &str, bytes: &[u8]) -> Self {
        Self::of(Lines::parse(file, bytes))
    }

    fn of(read: Lines) -> Self {
        let Lines { files, mut problems, unread, lines } = read;
        let mut mappings = Vec::with_capacity(lines.len());
        for line in lines {
            // What stands after the third field is passed over, as the server does.
            let mut fields = line.fields.into_iter();
            let (Some(map), Some(system), Some(database)) =
                (fields.next(), fields.next(), fields.next())
            else {
                problems.push(line.place, "a map, a system user and a database user are expected");
                continue;
            };
            let one = |mut words: Vec<Word>| match words.len() {
                1 => Ok(words.remove(0)),
                _ => Err(words.remove(1).place),
            };
            match (one(map), one(system), one(database)) {
                (Ok(map), Ok(system_user), Ok(database_user)) => mappings.push(Mapping {
                    map: map.text,
                    system_user,
                    database_user,
                    place: line.place,
                    text: line.text,
                }),
                (Err(place), ..) | (_, Err(place), _) | (.., Err(place)) => {
                    problems.push(place, "one value is expected here");
                }
            }
        }
        Self { mappings, files, problems, unread }
    }
}
