//! What an operator does with a database: check it, read all of it, make it small.

use rusqlite::Connection;

use super::sqlite::{ALL_ALERTS, SqliteStore, read_alert, sql_count};
use super::{Alert, CaseFile, StoreError, packed};

/// Most complaints that a check gives.
const COMPLAINTS_MAX: usize = 100;

/// One thing that is kept, or why it cannot be read.
pub enum Kept {
    /// An alert, by its fingerprint.
    Alert(String, Result<Box<Alert>, StoreError>),
    /// A case, by its number.
    Case(i64, Result<Box<CaseFile>, StoreError>),
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Alerts that can be read.
    pub alerts: u64,
    /// Cases that can be read.
    pub cases: u64,
    /// What is wrong, at most [`COMPLAINTS_MAX`] of it.
    pub complaints: Vec<String>,
}

impl Checked {
    fn complain(&mut self, what: String) {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(what);
        }
    }
}

impl SqliteStore {
    /// Reads everything: pages and indices by SQLite's own check, and every document.
    pub fn check(&self) -> anyhow::Result<Checked> {
        let mut checked = Checked::default();
        let question = format!("PRAGMA integrity_check({})", sql_count(COMPLAINTS_MAX));
        let mut question = self.database.prepare(&question)?;
        let mut rows = question.query([])?;
        while let Some(row) = rows.next()? {
            let line: String = row.get(0)?;
            if line != "ok" {
                checked.complain(format!("database: {line}"));
            }
        }
        self.each(&mut |kept| {
            match kept {
                Kept::Alert(_, Ok(_)) => checked.alerts += 1,
                Kept::Case(_, Ok(_)) => checked.cases += 1,
                Kept::Alert(name, Err(error)) => checked.complain(format!("alert {name}: {error}")),
                Kept::Case(id, Err(error)) => checked.complain(format!("case #{id}: {error}")),
            }
            Ok(())
        })?;
        Ok(checked)
    }

    /// Gives every alert, then every case, in the order in which they were made, as of one moment.
    pub fn each(&self, take: &mut dyn FnMut(Kept) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let moment = self.database.unchecked_transaction()?;
        each_alert(&moment, take)?;
        each_case(&moment, take)
    }

    /// Gives the space of what was forgotten back to the file system.
    pub fn compact(&self) -> Result<(), StoreError> {
        Ok(self.database.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")?)
    }
}

fn each_alert(
    database: &Connection,
    take: &mut dyn FnMut(Kept) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut question = database.prepare(ALL_ALERTS)?;
    let mut rows = question.query([])?;
    while let Some(row) = rows.next()? {
        take(Kept::Alert(row.get(0)?, read_alert(row).map(Box::new)))?;
    }
    Ok(())
}

fn each_case(
    database: &Connection,
    take: &mut dyn FnMut(Kept) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut question = database.prepare("SELECT id, document FROM case_file ORDER BY id")?;
    let mut rows = question.query([])?;
    while let Some(row) = rows.next()? {
        let read = || -> Result<Box<CaseFile>, StoreError> {
            let kept = row.get_ref(1)?.as_blob().map_err(|_| StoreError::Damaged)?;
            Ok(serde_json::from_str(&packed::unpack(kept)?)?)
        };
        take(Kept::Case(row.get(0)?, read()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::bench::sightings;
    use super::super::{ALERTS_MAX, Parts as _, Store};
    use super::*;
    use crate::pipeline::case::samples::{NOW, evidence};

    #[test]
    fn what_cannot_be_read_is_named_and_the_rest_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wardmote.db");
        let mut store = SqliteStore::open(&path, ALERTS_MAX).unwrap();
        store.upsert(&sightings(3), NOW).unwrap();
        let level = consensus::Severity::High;
        let step =
            crate::pipeline::case::case_file::Step::of("p", &evidence("r", level), level, NOW);
        store.put_cases(&[CaseFile::new(1, &step)], &[]).unwrap();
        let whole = Checked { alerts: 3, cases: 1, complaints: Vec::new() };
        let reader = SqliteStore::read(&path).unwrap().unwrap();
        assert_eq!(reader.check().unwrap(), whole, "also while it is open for writing");
        store
            .database
            .execute("UPDATE alert SET document = x'01ffffffff00' WHERE id = 2", [])
            .unwrap();
        store.database.execute("UPDATE case_file SET document = x'7b'", []).unwrap();
        let checked = reader.check().unwrap();
        assert_eq!((checked.alerts, checked.cases, checked.complaints.len()), (2, 0, 2));
        assert!(checked.complaints[0].ends_with("a document in it is damaged"), "{checked:?}");
        assert!(checked.complaints[1].starts_with("case #1: "), "{checked:?}");
    }

    #[test]
    fn what_was_forgotten_makes_the_file_smaller() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wardmote.db");
        let mut store = SqliteStore::open(&path, ALERTS_MAX).unwrap();
        store.upsert(&sightings(2_000), 1).unwrap();
        store.compact().unwrap();
        let before = std::fs::metadata(&path).unwrap().len();
        assert_eq!(store.prune(2).unwrap(), 2_000);
        store.compact().unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() < before / 10);
    }
}
