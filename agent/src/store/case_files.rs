//! Where cases are kept, in SQLite and in memory. A case is written whole, as one JSON document beside
//! the columns that are asked for; its number is never given to another.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use consensus::Severity;

use super::CASES_MAX;
use crate::pipeline::case::CaseFile;

/// The tables of this module. `case_number` outlives the cases, so that a number is never used again;
/// `case_joined` leads from the numbers that became part of others.
pub(super) const MIGRATION: &str = "
    CREATE TABLE case_file (
        id       INTEGER PRIMARY KEY,
        last     INTEGER NOT NULL,
        severity INTEGER NOT NULL,
        untold   INTEGER NOT NULL,
        document TEXT NOT NULL
    ) STRICT;
    CREATE INDEX case_last ON case_file (last);
    CREATE INDEX case_untold ON case_file (untold, severity);
    CREATE TABLE case_joined (id INTEGER PRIMARY KEY, part_of INTEGER NOT NULL) STRICT;
    CREATE INDEX case_joined_of ON case_joined (part_of);
    CREATE TABLE case_number (next INTEGER NOT NULL) STRICT;
    INSERT INTO case_number VALUES (1);
";

/// Documents are packed; old rows keep their text.
pub(super) const MIGRATION_PACKED: &str = "
    CREATE TABLE case_file_5 (
        id       INTEGER PRIMARY KEY,
        last     INTEGER NOT NULL,
        severity INTEGER NOT NULL,
        untold   INTEGER NOT NULL,
        document BLOB NOT NULL
    ) STRICT;
    INSERT INTO case_file_5 SELECT id, last, severity, untold, CAST(document AS BLOB) FROM case_file;
    DROP TABLE case_file;
    ALTER TABLE case_file_5 RENAME TO case_file;
    CREATE INDEX case_last ON case_file (last);
    CREATE INDEX case_untold ON case_file (untold, severity);
";

/// Cases in a SQLite file.
pub(super) mod in_sqlite {
    use rusqlite::{Connection, OptionalExtension, Params, params};

    use super::super::sqlite::sql_count;
    use super::super::{StoreError, packed};
    use super::{CASES_MAX, CaseFile, Severity};

    pub(in super::super) fn put(
        step: &Connection,
        files: &[CaseFile],
        merged: &[u64],
    ) -> Result<(), StoreError> {
        for id in merged {
            step.prepare_cached("DELETE FROM case_file WHERE id = ?")?.execute([number(*id)])?;
        }
        for file in files {
            step.prepare_cached("INSERT OR REPLACE INTO case_file VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![
                    number(file.id),
                    file.last,
                    sql_count(file.severity.index()),
                    file.untold.is_some(),
                    packed::pack(&serde_json::to_string(file)?),
                ])?;
            for id in &file.joined {
                step.prepare_cached("INSERT OR REPLACE INTO case_joined VALUES (?1, ?2)")?
                    .execute([number(*id), number(file.id)])?;
            }
        }
        if let Some(next) = files.iter().map(|file| number(file.id) + 1).max() {
            step.prepare_cached("UPDATE case_number SET next = max(next, ?)")?.execute([next])?;
        }
        if files.is_empty() { Ok(()) } else { make_room(step) }
    }

    fn make_room(step: &Connection) -> Result<(), StoreError> {
        let gone = step
            .prepare_cached(
                "DELETE FROM case_file WHERE id IN (SELECT id FROM case_file ORDER BY last, id
                 LIMIT max(0, (SELECT count(*) FROM case_file) - ?))",
            )?
            .execute([sql_count(CASES_MAX)])?;
        if gone > 0 {
            forget_joined(step)?;
        }
        Ok(())
    }

    fn forget_joined(database: &Connection) -> Result<(), StoreError> {
        let lost = "DELETE FROM case_joined WHERE part_of NOT IN (SELECT id FROM case_file)";
        database.prepare_cached(lost)?.execute([])?;
        Ok(())
    }

    pub(in super::super) fn latest(
        database: &Connection,
        since: i64,
        limit: usize,
    ) -> Result<Vec<CaseFile>, StoreError> {
        let which = "last >= ?1 ORDER BY last DESC, id DESC LIMIT ?2";
        files(database, which, [since, sql_count(limit)])
    }

    pub(in super::super) fn untold(
        database: &Connection,
        from: Severity,
        limit: usize,
    ) -> Result<Vec<CaseFile>, StoreError> {
        let which = "untold = 1 AND severity >= ?1 ORDER BY last, id LIMIT ?2";
        files(database, which, [sql_count(from.index()), sql_count(limit)])
    }

    pub(in super::super) fn one(
        database: &Connection,
        id: u64,
    ) -> Result<Option<CaseFile>, StoreError> {
        let which = "id = ?1 OR id = (SELECT part_of FROM case_joined WHERE id = ?1)";
        Ok(files(database, which, [number(id)])?.pop())
    }

    pub(in super::super) fn next(database: &Connection) -> Result<u64, StoreError> {
        let next: Option<i64> =
            database.query_row("SELECT next FROM case_number", [], |row| row.get(0)).optional()?;
        Ok(next.and_then(|next| u64::try_from(next).ok()).unwrap_or(1).max(1))
    }

    pub(in super::super) fn prune(database: &Connection, older: i64) -> Result<(), StoreError> {
        let old = "DELETE FROM case_file WHERE last < ? AND untold = 0";
        if database.prepare_cached(old)?.execute([older])? > 0 {
            forget_joined(database)?;
        }
        Ok(())
    }

    fn files(
        database: &Connection,
        which: &str,
        numbers: impl Params,
    ) -> Result<Vec<CaseFile>, StoreError> {
        let question = format!("SELECT document FROM case_file WHERE {which}");
        let mut question = database.prepare_cached(&question)?;
        let mut rows = question.query(numbers)?;
        let mut files = Vec::new();
        while let Some(row) = rows.next()? {
            let kept = row.get_ref(0)?.as_blob().map_err(|_| StoreError::Damaged)?;
            files.push(serde_json::from_str(&packed::unpack(kept)?)?);
        }
        Ok(files)
    }

    fn number(id: u64) -> i64 {
        i64::try_from(id).unwrap_or(i64::MAX)
    }
}

/// Cases in memory.
#[derive(Default)]
pub(super) struct InMemory {
    files: BTreeMap<u64, CaseFile>,
    joined: BTreeMap<u64, u64>,
    given: u64,
}

#[cfg_attr(not(test), expect(dead_code, reason = "one-shot runs keep no cases yet"))]
impl InMemory {
    pub(super) fn put(&mut self, files: &[CaseFile], merged: &[u64]) {
        merged.iter().for_each(|id| drop(self.files.remove(id)));
        for file in files {
            self.files.insert(file.id, file.clone());
            self.joined.extend(file.joined.iter().map(|id| (*id, file.id)));
            self.given = self.given.max(file.id);
        }
        while self.files.len() > CASES_MAX {
            let quiet = self.files.values().min_by_key(|file| (file.last, file.id));
            let Some(id) = quiet.map(|file| file.id) else { return };
            self.files.remove(&id);
        }
        self.forget_joined();
    }

    fn forget_joined(&mut self) {
        self.joined.retain(|_, part_of| self.files.contains_key(part_of));
    }

    pub(super) fn latest(&self, since: i64, limit: usize) -> Vec<CaseFile> {
        let mut files: Vec<&CaseFile> =
            self.files.values().filter(|file| file.last >= since).collect();
        files.sort_by_key(|file| Reverse((file.last, file.id)));
        files.into_iter().take(limit).cloned().collect()
    }

    pub(super) fn untold(&self, from: Severity, limit: usize) -> Vec<CaseFile> {
        let wanted = |file: &&CaseFile| file.untold.is_some() && file.severity >= from;
        let mut files: Vec<&CaseFile> = self.files.values().filter(wanted).collect();
        files.sort_by_key(|file| (file.last, file.id));
        files.into_iter().take(limit).cloned().collect()
    }

    pub(super) fn one(&self, id: u64) -> Option<CaseFile> {
        let id = self.joined.get(&id).copied().unwrap_or(id);
        self.files.get(&id).cloned()
    }

    pub(super) fn next(&self) -> u64 {
        self.given + 1
    }

    pub(super) fn prune(&mut self, older: i64) {
        self.files.retain(|_, file| file.last >= older || file.untold.is_some());
        self.forget_joined();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::case::case_file::{News, Step};
    use crate::pipeline::case::samples::evidence;
    use crate::store::memory::MemoryStore;
    use crate::store::sqlite::SqliteStore;
    use crate::store::{Parts as _, Store};

    fn file(id: u64, last: i64, severity: Severity) -> CaseFile {
        let step = Step::of("print", &evidence("rule", severity), severity, last);
        let mut file = CaseFile::new(id, &step);
        file.add(Step { at: last, ..step }, &[]);
        file.untold = Some(News::New);
        CaseFile { last, ..file }
    }

    fn on_both(test: impl Fn(&mut dyn Store)) {
        test(&mut MemoryStore::new(10));
        let dir = tempfile::tempdir().unwrap();
        test(&mut SqliteStore::open(&dir.path().join("wardmote.db"), 10).unwrap());
    }

    fn ids(files: &[CaseFile]) -> Vec<u64> {
        files.iter().map(|file| file.id).collect()
    }

    #[test]
    fn cases_are_kept_told_and_forgotten() {
        on_both(|store| {
            assert_eq!(store.next_case().unwrap(), 1);
            let mut files = [
                file(1, 100, Severity::Low),
                file(2, 200, Severity::High),
                file(3, 150, Severity::High),
            ];
            store.put_cases(&files, &[]).unwrap();
            assert_eq!(
                store.cases(0, 9).unwrap(),
                [&files[1], &files[2], &files[0]].map(Clone::clone)
            );
            assert_eq!(ids(&store.cases(150, 9).unwrap()), [2, 3]);
            assert_eq!(ids(&store.cases(0, 1).unwrap()), [2]);
            assert_eq!(ids(&store.untold_cases(Severity::High, 9).unwrap()), [3, 2]);
            files[1].untold = None;
            store.put_cases(&files[1..2], &[]).unwrap();
            assert_eq!(ids(&store.untold_cases(Severity::Info, 9).unwrap()), [1, 3]);
            store.prune(180).unwrap();
            assert_eq!(ids(&store.cases(0, 9).unwrap()), [2, 3, 1], "what is untold stays");
            files[0].untold = None;
            store.put_cases(&files[..1], &[]).unwrap();
            store.prune(180).unwrap();
            assert_eq!(ids(&store.cases(0, 9).unwrap()), [2, 3]);
            assert_eq!(store.next_case().unwrap(), 4);
        });
    }

    #[test]
    fn a_number_leads_to_the_case_that_it_became_part_of_and_is_not_used_again() {
        on_both(|store| {
            store
                .put_cases(&[file(1, 10, Severity::Low), file(2, 20, Severity::Low)], &[])
                .unwrap();
            let joined = CaseFile { joined: vec![2], ..file(1, 20, Severity::Low) };
            store.put_cases(std::slice::from_ref(&joined), &[2]).unwrap();
            assert_eq!(store.case(2).unwrap().as_ref(), Some(&joined));
            assert_eq!(store.case(1).unwrap().as_ref(), Some(&joined));
            assert_eq!(store.case(3).unwrap(), None);
            store.put_cases(&[CaseFile { untold: None, ..joined }], &[]).unwrap();
            store.prune(1_000).unwrap();
            assert_eq!(store.case(2).unwrap(), None);
            assert_eq!(store.next_case().unwrap(), 3);
        });
    }

    #[test]
    fn a_full_store_forgets_what_was_quiet_longest() {
        on_both(|store| {
            let files: Vec<CaseFile> = (1..=CASES_MAX as u64 + 5)
                .map(|id| file(id, i64::try_from(id).unwrap(), Severity::Low))
                .collect();
            store.put_cases(&files, &[]).unwrap();
            let kept = store.cases(0, usize::MAX >> 1).unwrap();
            assert_eq!((kept.len(), kept.last().unwrap().id), (CASES_MAX, 6));
        });
    }
}
