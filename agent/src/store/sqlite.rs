//! Alerts in SQLite (WAL, one file with mode 0600, one writer).
//!
//! The file says whose it is (`application_id`) and in which form (`user_version`): another program's
//! database and one of a newer wardmote are refused, older forms are brought up step by step in one
//! transaction.

use std::collections::BTreeSet;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use consensus::Severity;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, OpenFlags, Params, Row, TransactionBehavior, params};
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::pipeline::case::CaseFile;
use crate::pipeline::case::storm::More;

use super::case_files::{self, in_sqlite as case_rows};
use super::intents::{self, in_sqlite as rows_of_intents};
use super::{
    Alert, Brought, Change, Document, Intent, News, Sighting, State, Store, StoreError, change,
    state, untold,
};
use super::{packed, responses};

/// `ward` in ASCII.
const APPLICATION_ID: i64 = 0x7761_7264;
/// How long a write waits for another process (`wardmote alerts` reads while the service writes).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The steps from each form of the database to the next; `user_version` counts those that were taken.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE alert (
        fingerprint TEXT PRIMARY KEY,
        source      TEXT NOT NULL,
        name        TEXT NOT NULL,
        title       TEXT NOT NULL,
        severity    INTEGER NOT NULL,
        worst       INTEGER NOT NULL,
        state       TEXT NOT NULL,
        first_seen  INTEGER NOT NULL,
        last_seen   INTEGER NOT NULL,
        count       INTEGER NOT NULL,
        verdict     TEXT NOT NULL,
        evidence    TEXT NOT NULL,
        untold      TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX alert_open ON alert (state, severity, last_seen);
",
    case_files::MIGRATION,
    responses::MIGRATION,
    // Verdict and evidence as one packed document; before, each was plain text, and so are old rows now.
    "
    CREATE TABLE alert_4 (
        id          INTEGER PRIMARY KEY,
        fingerprint TEXT NOT NULL UNIQUE,
        source      TEXT NOT NULL,
        name        TEXT NOT NULL,
        title       TEXT NOT NULL,
        severity    INTEGER NOT NULL,
        worst       INTEGER NOT NULL,
        state       TEXT NOT NULL,
        first_seen  INTEGER NOT NULL,
        last_seen   INTEGER NOT NULL,
        count       INTEGER NOT NULL,
        document    BLOB NOT NULL,
        untold      TEXT
    ) STRICT;
    INSERT INTO alert_4 SELECT NULL, fingerprint, source, name, title, severity, worst, state, first_seen,
        last_seen, count, CAST(verdict || char(0) || evidence AS BLOB), untold FROM alert;
    DROP TABLE alert;
    ALTER TABLE alert_4 RENAME TO alert;
    CREATE INDEX alert_open ON alert (state, severity, last_seen);
    CREATE INDEX alert_untold ON alert (severity) WHERE untold IS NOT NULL;
",
    case_files::MIGRATION_PACKED,
    intents::MIGRATION,
];

const COLUMNS: &str = "fingerprint, source, name, title, severity, worst, state, first_seen, \
    last_seen, count, document, untold";

/// Every alert, in the order in which they came.
pub(super) const ALL_ALERTS: &str = "SELECT fingerprint, source, name, title, severity, worst, state, first_seen, \
    last_seen, count, document, untold FROM alert ORDER BY id";

/// Keeps alerts in a SQLite file.
pub struct SqliteStore {
    pub(super) database: Connection,
    most: usize,
    evicted: u64,
    /// Rows of alerts; `None` when they have to be counted.
    rows: Option<usize>,
}

impl SqliteStore {
    /// Opens or makes the file; at most `most` alerts are kept.
    pub fn open(path: &Path, most: usize) -> Result<Self, StoreError> {
        // SQLite would make it with the process's umask; its -wal and -shm follow the file's mode.
        // A FIFO or a link in its place is an error instead of a wait or a write elsewhere.
        let careful = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
        std::fs::File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(careful.bits().cast_signed())
            .open(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut database = Connection::open_with_flags(path, flags)?;
        database.busy_timeout(BUSY_TIMEOUT)?;
        migrate(&mut database)?;
        database.pragma_update(None, "journal_mode", "WAL")?;
        // Few writes, and each is worth keeping through a power cut.
        database.pragma_update(None, "synchronous", "FULL")?;
        Ok(Self { database, most, evicted: 0, rows: None })
    }

    /// For a benchmark: what is committed may be lost in a power cut.
    #[cfg(test)]
    pub(super) fn never_wait(&mut self) {
        self.database.pragma_update(None, "synchronous", "NORMAL").unwrap();
    }

    /// Opens a file that is there, to read what the service has kept; nothing is written, not even a newer
    /// form. `None` where there is no file.
    pub fn read(path: &Path) -> Result<Option<Self>, StoreError> {
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
            Ok(meta) if !meta.is_file() => return Err(StoreError::Foreign),
            Ok(_) => {}
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(path, flags)?;
        database.busy_timeout(BUSY_TIMEOUT)?;
        let number = |name: &str| {
            database.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
        };
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        match (number("application_id")?, number("user_version")?) {
            (APPLICATION_ID, found) if found == known => {
                Ok(Some(Self { database, most: 0, evicted: 0, rows: None }))
            }
            (APPLICATION_ID, found) if found > known => Err(StoreError::Newer { found, known }),
            (APPLICATION_ID, found) => Err(StoreError::Older { found, known }),
            _ => Err(StoreError::Foreign),
        }
    }
}

impl SqliteStore {
    fn alerts(&self, which: &str, values: impl Params) -> Result<Vec<Alert>, StoreError> {
        let question = format!("SELECT {COLUMNS} FROM alert WHERE {which}");
        let mut question = self.database.prepare_cached(&question)?;
        let mut rows = question.query(values)?;
        let mut alerts = Vec::new();
        while let Some(row) = rows.next()? {
            alerts.push(read_alert(row)?);
        }
        Ok(alerts)
    }
}

/// What is known of a fingerprint.
struct Known {
    id: i64,
    state: State,
    worst: Severity,
    first_seen: i64,
    count: i64,
    untold: Option<News>,
}

/// The statements of a batch, looked up once.
struct Rows<'a> {
    known: CachedStatement<'a>,
    insert: CachedStatement<'a>,
    update: CachedStatement<'a>,
}

impl<'a> Rows<'a> {
    fn of(step: &'a Connection) -> Result<Self, StoreError> {
        Ok(Self {
            known: step.prepare_cached(
                "SELECT id, state, worst, first_seen, count, untold FROM alert WHERE fingerprint = ?",
            )?,
            insert: step.prepare_cached(
                "INSERT INTO alert VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?,
            update: step.prepare_cached(
                "UPDATE alert SET fingerprint = ?2, source = ?3, name = ?4, title = ?5, severity = ?6,
                     worst = ?7, state = ?8, first_seen = ?9, last_seen = ?10, count = ?11,
                     document = ?12, untold = ?13
                 WHERE id = ?1",
            )?,
        })
    }

    fn known(&mut self, fingerprint: &str) -> Result<Option<Known>, StoreError> {
        let mut rows = self.known.query([fingerprint])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some(Known {
            id: row.get(0)?,
            state: word(row, 1)?,
            worst: level(row.get(2)?),
            first_seen: row.get(3)?,
            count: row.get(4)?,
            untold: word_or_none(row, 5)?,
        }))
    }

    fn put(
        &mut self,
        seen: &Sighting,
        document: Vec<u8>,
        known: Option<&Known>,
        now: i64,
    ) -> Result<Change, StoreError> {
        let change = change(known.map(|known| (known.state, known.worst)).as_ref(), seen);
        let kept = known.filter(|known| known.state != State::Fixed && change != Change::New);
        let count = i64::try_from(seen.count).unwrap_or(i64::MAX);
        let worst = kept.map_or(seen.severity, |kept| kept.worst.max(seen.severity));
        let values = params![
            known.map(|known| known.id),
            seen.fingerprint,
            seen.source.name(),
            seen.check,
            seen.title,
            sql_count(seen.severity.index()),
            sql_count(worst.index()),
            state(seen).name(),
            kept.map_or(now, |kept| kept.first_seen),
            now,
            count.saturating_add(kept.map_or(0, |kept| kept.count)),
            document,
            untold(kept.and_then(|kept| kept.untold), change).map(News::name),
        ];
        match known {
            None => self.insert.execute(values)?,
            Some(_) => self.update.execute(values)?,
        };
        Ok(change)
    }
}

fn count(step: &Connection) -> Result<usize, StoreError> {
    let count: i64 =
        step.prepare_cached("SELECT count(*) FROM alert")?.query_row([], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

fn make_room(step: &Connection, most: usize) -> Result<usize, StoreError> {
    let mut delete = step.prepare_cached(
        "DELETE FROM alert WHERE id IN (SELECT id FROM alert
         ORDER BY state != 'fixed', severity, last_seen, fingerprint
         LIMIT max(0, (SELECT count(*) FROM alert) - ? + 1))",
    )?;
    Ok(delete.execute([sql_count(most.max(1))])?)
}

fn migrate(database: &mut Connection) -> Result<(), StoreError> {
    let step = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number = |name: &str| step.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0));
    let (owner, found): (i64, i64) = (number("application_id")?, number("user_version")?);
    let tables: i64 = step.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if owner != APPLICATION_ID && (owner != 0 || tables > 0) {
        return Err(StoreError::Foreign);
    }
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let taken = match usize::try_from(found) {
        Ok(taken) if taken <= MIGRATIONS.len() => taken,
        _ => return Err(StoreError::Newer { found, known }),
    };
    for migration in &MIGRATIONS[taken..] {
        step.execute_batch(migration)?;
    }
    step.pragma_update(None, "application_id", APPLICATION_ID)?;
    step.pragma_update(None, "user_version", known)?;
    Ok(step.commit()?)
}

fn upsert(
    step: &Connection,
    seen: &[Sighting],
    now: i64,
    most: usize,
    rows: &mut Option<usize>,
) -> Result<(Vec<Change>, u64), StoreError> {
    let mut count_now = match *rows {
        Some(rows) => rows,
        None => count(step)?,
    };
    let mut evicted = 0;
    let mut changes = Vec::with_capacity(seen.len());
    let mut writes = Rows::of(step)?;
    let texts = |at: usize| [seen[at].verdict.text(), seen[at].evidence.text()];
    packed::all_ahead(seen.len(), texts, |documents| {
        for (seen, document) in seen.iter().zip(documents) {
            let known = writes.known(&seen.fingerprint)?;
            if known.is_none() {
                if count_now >= most.max(1) {
                    evicted += make_room(step, most)? as u64;
                    count_now = count(step)?;
                }
                count_now += 1;
            }
            changes.push(writes.put(seen, document, known.as_ref(), now)?);
        }
        Ok::<(), StoreError>(())
    })?;
    *rows = Some(count_now);
    Ok((changes, evicted))
}

fn add(step: &Connection, more: &[More], now: i64) -> Result<(), StoreError> {
    for more in more {
        let count = i64::try_from(more.count).unwrap_or(i64::MAX);
        step.prepare_cached(
            "UPDATE alert SET count = min(count, 9223372036854775807 - ?2) + ?2,
                 last_seen = max(last_seen, ?3)
             WHERE fingerprint = ?1",
        )?
        .execute(params![more.fingerprint, count, now])?;
    }
    Ok(())
}

impl SqliteStore {
    /// Runs a step as one transaction. What it knew of the number of rows counts only when it is committed.
    fn as_one<T>(
        &mut self,
        run: impl FnOnce(&Connection, usize, &mut Option<usize>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut rows = self.rows.take();
        let step = self.database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = run(&step, self.most, &mut rows)?;
        step.commit()?;
        self.rows = rows;
        Ok(done)
    }
}

impl Store for SqliteStore {
    fn take(&mut self, brought: &Brought<'_>, now: i64) -> Result<Vec<Change>, StoreError> {
        let (changes, evicted) = self.as_one(|step, most, rows| {
            let done = upsert(step, brought.seen, now, most, rows)?;
            add(step, brought.more, now)?;
            case_rows::put(step, brought.cases, brought.merged)?;
            rows_of_intents::put_places(step, brought.places)?;
            if let Some(intent) = brought.judged(now) {
                rows_of_intents::intend(step, &intent)?;
            }
            Ok(done)
        })?;
        self.evicted += evicted;
        Ok(changes)
    }

    fn place(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        rows_of_intents::place(&self.database, name)
    }

    fn intend(&mut self, intent: &Intent) -> Result<(), StoreError> {
        rows_of_intents::intend(&self.database, intent)
    }

    fn intents(&self) -> Result<Vec<Intent>, StoreError> {
        rows_of_intents::all(&self.database)
    }

    fn forget_intent(&mut self, sort: &str) -> Result<(), StoreError> {
        // A power cut may bring it back: it is then found done.
        self.database.pragma_update(None, "synchronous", "OFF")?;
        let forgotten = rows_of_intents::forget(&self.database, sort);
        self.database.pragma_update(None, "synchronous", "FULL")?;
        forgotten
    }

    fn untold(&self, from: Severity, limit: usize) -> Result<Vec<Alert>, StoreError> {
        self.alerts(
            "state = 'open' AND untold IS NOT NULL AND severity >= ?1
             ORDER BY last_seen, fingerprint LIMIT ?2",
            [sql_count(from.index()), sql_count(limit)],
        )
    }

    fn mark_told(&mut self, fingerprints: &[&str]) -> Result<(), StoreError> {
        let names = serde_json::to_string(fingerprints)?;
        self.as_one(|step, _, _| {
            step.prepare_cached(
                "UPDATE alert SET untold = NULL
                 WHERE fingerprint IN (SELECT value FROM json_each(?))",
            )?
            .execute([names])?;
            rows_of_intents::forget(step, intents::ALERTS)
        })
    }

    fn open_alerts(&self, limit: usize) -> Result<Vec<Alert>, StoreError> {
        self.alerts(
            "state = 'open' AND ?1 = 0 ORDER BY severity DESC, last_seen DESC LIMIT ?2",
            [0, sql_count(limit)],
        )
    }

    fn alert(&self, fingerprint: &str) -> Result<Option<Alert>, StoreError> {
        Ok(self.alerts("fingerprint = ?", [fingerprint])?.pop())
    }

    fn open_count(&self, from: Severity) -> Result<usize, StoreError> {
        let count: i64 = self
            .database
            .prepare_cached("SELECT count(*) FROM alert WHERE state = 'open' AND severity >= ?")?
            .query_row([sql_count(from.index())], |row| row.get(0))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    fn mark_fixed(
        &mut self,
        looked: &BTreeSet<String>,
        seen: &BTreeSet<String>,
    ) -> Result<Vec<String>, StoreError> {
        let step = self.database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let json = |names: &BTreeSet<String>| serde_json::to_string(names);
        let fixed = step
            .prepare_cached(
                "UPDATE alert SET state = 'fixed'
                 WHERE state != 'fixed' AND source = 'audit'
                     AND name IN (SELECT value FROM json_each(?1))
                     AND fingerprint NOT IN (SELECT value FROM json_each(?2))
                 RETURNING fingerprint",
            )?
            .query_map([json(looked)?, json(seen)?], |row| row.get(0))?
            .collect::<Result<Vec<String>, _>>()?;
        step.commit()?;
        Ok(fixed)
    }

    fn prune(&mut self, older: i64) -> Result<usize, StoreError> {
        case_rows::prune(&self.database, older)?;
        self.rows = None;
        Ok(self
            .database
            .prepare_cached(
                "DELETE FROM alert WHERE last_seen < ? AND (state = 'fixed' OR source = 'sweep')",
            )?
            .execute([older])?)
    }

    fn evicted(&self) -> u64 {
        self.evicted
    }

    fn cases_told(&mut self, files: &[CaseFile]) -> Result<(), StoreError> {
        self.as_one(|step, _, _| {
            case_rows::put(step, files, &[])?;
            rows_of_intents::forget(step, intents::CASES)
        })
    }

    fn cases(&self, since: i64, limit: usize) -> Result<Vec<CaseFile>, StoreError> {
        case_rows::latest(&self.database, since, limit)
    }

    fn untold_cases(&self, from: Severity, limit: usize) -> Result<Vec<CaseFile>, StoreError> {
        case_rows::untold(&self.database, from, limit)
    }

    fn case(&self, id: u64) -> Result<Option<CaseFile>, StoreError> {
        case_rows::one(&self.database, id)
    }

    fn next_case(&self) -> Result<u64, StoreError> {
        case_rows::next(&self.database)
    }
}

pub(super) fn read_alert(row: &Row<'_>) -> Result<Alert, StoreError> {
    let document = packed::unpack(row.get_ref(10)?.as_blob().map_err(|_| StoreError::Damaged)?)?;
    let (verdict, evidence) = document.split_once('\0').ok_or(StoreError::Damaged)?;
    let state = word(row, 6)?;
    Ok(Alert {
        seen: Sighting {
            source: word(row, 1)?,
            fingerprint: row.get(0)?,
            check: row.get(2)?,
            title: row.get(3)?,
            severity: level(row.get(4)?),
            accepted: state == State::Accepted,
            count: u64::try_from(row.get::<_, i64>(9)?).unwrap_or(0),
            verdict: Document::kept(verdict),
            evidence: Document::kept(evidence),
        },
        state,
        worst: level(row.get(5)?),
        first_seen: row.get(7)?,
        last_seen: row.get(8)?,
        untold: word_or_none(row, 11)?,
    })
}

/// A column that holds the name of one of our enums.
fn word<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, StoreError> {
    let name = row.get_ref(column)?.as_str().map_err(|_| StoreError::Damaged)?;
    let name: StrDeserializer<'_, serde_json::Error> = name.into_deserializer();
    Ok(T::deserialize(name)?)
}

fn word_or_none<T: DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> Result<Option<T>, StoreError> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => word(row, column).map(Some),
    }
}

fn level(index: i64) -> Severity {
    Severity::from_index(usize::try_from(index).unwrap_or(0))
}

pub(super) fn sql_count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::Parts as _;
    use super::super::Source;
    use super::*;

    fn sighting() -> Sighting {
        Sighting {
            source: Source::Sweep,
            fingerprint: "f'; DROP TABLE alert; --".into(),
            check: "c".into(),
            title: "t\0é".into(),
            severity: Severity::High,
            accepted: false,
            count: u64::MAX,
            verdict: Document::of(&serde_json::json!({"a": [1, 2.5, null]})).unwrap(),
            evidence: Document::of(&[0; 0]).unwrap(),
        }
    }

    #[test]
    fn alerts_survive_a_restart_in_private_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wardmote.db");
        let mut store = SqliteStore::open(&path, 9).unwrap();
        store.upsert(&[sighting()], 1).unwrap();
        store.upsert(&[sighting()], 2).unwrap();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        drop(store);
        let store = SqliteStore::open(&path, 9).unwrap();
        let alert = store.open_alerts(9).unwrap().remove(0);
        assert_eq!(alert.seen.title, sighting().title);
        assert_eq!(alert.seen.verdict, sighting().verdict);
        assert_eq!(alert.seen.count, i64::MAX as u64);
    }

    #[test]
    fn a_database_of_the_first_form_is_brought_up_and_keeps_its_alerts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        let row = "INSERT INTO alert VALUES ('f', 'audit', 'c', 't', 3, 3, 'open', 1, 1, 1, '{}', '[]', NULL)";
        old.execute(row, []).unwrap();
        drop(old);
        let store = SqliteStore::open(&path, 9).unwrap();
        assert_eq!(store.open_count(Severity::Info).unwrap(), 1);
        let alert = store.alert("f").unwrap().unwrap();
        assert_eq!((alert.seen.verdict.text(), alert.seen.evidence.text()), ("{}", "[]"));
        let count = |table: &str| -> i64 {
            let question = format!("SELECT count(*) FROM {table}");
            store.database.query_row(&question, [], |row| row.get(0)).unwrap()
        };
        assert_eq!((count("alert"), count("response")), (1, 0));
    }

    #[test]
    fn foreign_newer_and_broken_files_are_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE t (x)").unwrap();
        drop(other);
        assert!(matches!(SqliteStore::open(&path, 9), Err(StoreError::Foreign)));
        std::fs::remove_file(&path).unwrap();
        drop(SqliteStore::open(&path, 9).unwrap());
        let ours = Connection::open(&path).unwrap();
        ours.pragma_update(None, "user_version", sql_count(MIGRATIONS.len() + 1)).unwrap();
        drop(ours);
        assert!(matches!(SqliteStore::open(&path, 9), Err(StoreError::Newer { .. })));
        std::fs::write(&path, b"not a database at all, but long enough to be read as one").unwrap();
        assert!(matches!(SqliteStore::open(&path, 9), Err(StoreError::Sql(_))));
        assert!(SqliteStore::open(dir.path(), 9).is_err());
        assert!(SqliteStore::open(&dir.path().join("none/x"), 9).is_err());
    }
}
