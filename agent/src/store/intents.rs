//! What is about to be told or recorded. It is kept before, and forgotten after: whoever starts after a crash
//! can then see whether it happened, instead of telling it twice or not at all.

use serde::{Deserialize, Serialize};

/// The tables of this module: intents by their sort, and the places of readers.
pub(super) const MIGRATION: &str = "
    CREATE TABLE intent (sort TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
    CREATE TABLE place (name TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
";

/// Something that is about to be told or recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// What.
    pub told: Told,
    /// Since when, seconds since the epoch.
    pub at: i64,
    /// The lines that are about to be appended to a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Appended>,
}

/// What is told or recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Told {
    /// Alerts as lines, by their fingerprints.
    Alerts(Vec<String>),
    /// Cases as lines, by their numbers.
    Cases(Vec<u64>),
    /// Judged findings in the journal, by their fingerprints.
    Judged(Vec<String>),
}

/// Lines at the end of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// The file's inode: one that was rotated away is another.
    pub inode: u64,
    /// Where they begin.
    pub offset: u64,
    /// How long they are.
    pub bytes: u64,
    /// SHA-256 of them, in hexadecimal digits.
    pub digest: String,
}

impl Intent {
    /// The sort of which there is one at a time.
    pub fn sort(&self) -> &'static str {
        match self.told {
            Told::Alerts(_) => ALERTS,
            Told::Cases(_) => CASES,
            Told::Judged(_) => JUDGED,
        }
    }
}

/// The sort of [`Told::Alerts`].
pub const ALERTS: &str = "alerts";
/// The sort of [`Told::Cases`].
pub const CASES: &str = "cases";
/// The sort of [`Told::Judged`].
pub const JUDGED: &str = "judged";

/// Intents and places in a SQLite file.
pub(super) mod in_sqlite {
    use rusqlite::{Connection, OptionalExtension as _, params};

    use super::super::{Place, StoreError};
    use super::Intent;

    pub(in super::super) fn intend(step: &Connection, intent: &Intent) -> Result<(), StoreError> {
        step.prepare_cached("INSERT OR REPLACE INTO intent VALUES (?1, ?2)")?
            .execute(params![intent.sort(), serde_json::to_string(intent)?])?;
        Ok(())
    }

    pub(in super::super) fn forget(step: &Connection, sort: &str) -> Result<(), StoreError> {
        step.prepare_cached("DELETE FROM intent WHERE sort = ?")?.execute([sort])?;
        Ok(())
    }

    pub(in super::super) fn all(database: &Connection) -> Result<Vec<Intent>, StoreError> {
        let mut question = database.prepare_cached("SELECT document FROM intent ORDER BY sort")?;
        let mut rows = question.query([])?;
        let mut intents = Vec::new();
        while let Some(row) = rows.next()? {
            intents.push(serde_json::from_str(&row.get::<_, String>(0)?)?);
        }
        Ok(intents)
    }

    pub(in super::super) fn put_places(
        step: &Connection,
        places: &[Place],
    ) -> Result<(), StoreError> {
        for place in places {
            step.prepare_cached("INSERT OR REPLACE INTO place VALUES (?1, ?2)")?
                .execute(params![place.name, place.bytes])?;
        }
        Ok(())
    }

    pub(in super::super) fn place(
        database: &Connection,
        name: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let mut question = database.prepare_cached("SELECT bytes FROM place WHERE name = ?")?;
        Ok(question.query_row([name], |row| row.get(0)).optional()?)
    }
}
