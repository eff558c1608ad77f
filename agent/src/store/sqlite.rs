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
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, TransactionBehavior, params};

use super::{Alert, Change, Sighting, Source, State, Store, StoreError, change, state};

/// `ward` in ASCII.
const APPLICATION_ID: i64 = 0x7761_7264;
/// How long a write waits for another process (`wardmote alerts` reads while the service writes).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The steps from each form of the database to the next; `user_version` counts those that were taken.
const MIGRATIONS: &[&str] = &["
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
        evidence    TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX alert_open ON alert (state, severity, last_seen);
"];

/// Keeps alerts in a SQLite file.
pub struct SqliteStore {
    database: Connection,
    most: usize,
    evicted: u64,
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
        Ok(Self { database, most, evicted: 0 })
    }
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

impl Store for SqliteStore {
    fn upsert(&mut self, seen: &Sighting, now: i64) -> Result<Change, StoreError> {
        let step = self.database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known: Option<(String, i64, i64, i64)> = step
            .prepare_cached(
                "SELECT state, worst, first_seen, count FROM alert WHERE fingerprint = ?",
            )?
            .query_row([&seen.fingerprint], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        let known = match known {
            None => None,
            Some((state, worst, first, count)) => {
                Some((read_state(&state)?, level(worst), first, count))
            }
        };
        let change = change(known.map(|(state, worst, ..)| (state, worst)).as_ref(), seen);
        let kept = known.filter(|(state, ..)| *state != State::Fixed && change != Change::New);
        let worst = kept.map_or(seen.severity, |(_, worst, ..)| worst.max(seen.severity));
        let mut evicted = 0;
        if known.is_none() {
            evicted = step
                .prepare_cached(
                    "DELETE FROM alert WHERE fingerprint IN (SELECT fingerprint FROM alert
                     ORDER BY state != 'fixed', severity, last_seen
                     LIMIT max(0, (SELECT count(*) FROM alert) - ?1 + 1))",
                )?
                .execute([sql_count(self.most.max(1))])?;
        }
        let count = i64::try_from(seen.count).unwrap_or(i64::MAX);
        step.prepare_cached(
            "INSERT OR REPLACE INTO alert (fingerprint, source, name, title, severity, worst, state,
                 first_seen, last_seen, count, verdict, evidence)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            seen.fingerprint,
            source_name(seen.source),
            seen.check,
            seen.title,
            sql_count(seen.severity.index()),
            sql_count(worst.index()),
            state_name(state(seen)),
            kept.map_or(now, |(_, _, first, _)| first),
            now,
            count.saturating_add(kept.map_or(0, |(.., count)| count)),
            seen.verdict.to_string(),
            seen.evidence.to_string(),
        ])?;
        step.commit()?;
        self.evicted += evicted as u64;
        Ok(change)
    }

    fn open_alerts(&self, limit: usize) -> Result<Vec<Alert>, StoreError> {
        let mut question = self.database.prepare_cached(
            "SELECT fingerprint, source, name, title, severity, worst, first_seen, last_seen, count,
                 verdict, evidence
             FROM alert WHERE state = 'open' ORDER BY severity DESC, last_seen DESC LIMIT ?",
        )?;
        let mut rows = question.query([sql_count(limit)])?;
        let mut alerts = Vec::new();
        while let Some(row) = rows.next()? {
            alerts.push(read_alert(row)?);
        }
        Ok(alerts)
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
}

fn read_alert(row: &Row<'_>) -> Result<Alert, StoreError> {
    let (source, verdict, evidence): (String, String, String) =
        (row.get(1)?, row.get(9)?, row.get(10)?);
    Ok(Alert {
        seen: Sighting {
            source: serde_json::from_value(source.into())?,
            fingerprint: row.get(0)?,
            check: row.get(2)?,
            title: row.get(3)?,
            severity: level(row.get(4)?),
            accepted: false,
            count: u64::try_from(row.get::<_, i64>(8)?).unwrap_or(0),
            verdict: serde_json::from_str(&verdict)?,
            evidence: serde_json::from_str(&evidence)?,
        },
        state: State::Open,
        worst: level(row.get(5)?),
        first_seen: row.get(6)?,
        last_seen: row.get(7)?,
    })
}

fn level(index: i64) -> Severity {
    Severity::from_index(usize::try_from(index).unwrap_or(0))
}

fn sql_count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn read_state(name: &str) -> Result<State, StoreError> {
    Ok(serde_json::from_value(name.into())?)
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Open => "open",
        State::Accepted => "accepted",
        State::Fixed => "fixed",
    }
}

fn source_name(source: Source) -> &'static str {
    match source {
        Source::Audit => "audit",
        Source::Sweep => "sweep",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
            verdict: serde_json::json!({"a": [1, 2.5, null]}),
            evidence: serde_json::json!([]),
        }
    }

    #[test]
    fn alerts_survive_a_restart_in_private_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wardmote.db");
        let mut store = SqliteStore::open(&path, 9).unwrap();
        store.upsert(&sighting(), 1).unwrap();
        store.upsert(&sighting(), 2).unwrap();
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
