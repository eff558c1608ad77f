//! Requests in SQLite: the request as JSON, beside it what is asked for.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{REQUESTS_MAX, Request, Responses, State};
use crate::govern::risk::Target;
use crate::store::StoreError;
use crate::store::sqlite::{SqliteStore, sql_count};

/// The table of this module; a number is never given to another request.
pub const MIGRATION: &str = "
    CREATE TABLE response (
        id      INTEGER PRIMARY KEY AUTOINCREMENT,
        action  TEXT NOT NULL,
        target  TEXT NOT NULL,
        class   TEXT NOT NULL,
        state   TEXT NOT NULL,
        began   INTEGER,
        request TEXT NOT NULL
    ) STRICT;
    CREATE INDEX response_state ON response (state);
    CREATE INDEX response_target ON response (action, target);
    CREATE INDEX response_began ON response (began);
";

impl Responses for SqliteStore {
    fn add(&mut self, requests: &[Request]) -> Result<Vec<i64>, StoreError> {
        let step = self.database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        make_room(&step, requests.len())?;
        let mut ids = Vec::with_capacity(requests.len());
        for request in requests {
            step.prepare_cached(
                "INSERT INTO response (action, target, class, state, began, request)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                request.action_name(),
                request.decision.target,
                request.class().name(),
                request.state.name(),
                request.began,
                serde_json::to_string(request)?,
            ])?;
            ids.push(step.last_insert_rowid());
        }
        step.commit()?;
        Ok(ids)
    }

    fn change(&mut self, from: State, request: &Request) -> Result<bool, StoreError> {
        let changed = self
            .database
            .prepare_cached(
                "UPDATE response SET state = ?1, began = ?2, request = ?3
                 WHERE id = ?4 AND state = ?5",
            )?
            .execute(params![
                request.state.name(),
                request.began,
                serde_json::to_string(request)?,
                request.id,
                from.name(),
            ])?;
        Ok(changed > 0)
    }

    fn request(&self, id: i64) -> Result<Option<Request>, StoreError> {
        Ok(found(&self.database, "WHERE id = ?1 LIMIT ?2", params![id, 1])?.pop())
    }

    fn requests(&self, states: &[State], limit: usize) -> Result<Vec<Request>, StoreError> {
        let names: Vec<&str> = states.iter().map(|state| state.name()).collect();
        let which = "WHERE state IN (SELECT value FROM json_each(?1)) ORDER BY id LIMIT ?2";
        found(&self.database, which, params![serde_json::to_string(&names)?, sql_count(limit)])
    }

    fn newest(&self, limit: usize) -> Result<Vec<Request>, StoreError> {
        found(&self.database, "ORDER BY id DESC LIMIT ?1", params![sql_count(limit)])
    }

    fn standing(&self, action: &str, target: &str, since: i64) -> Result<Option<i64>, StoreError> {
        let names: Vec<&str> = State::OPEN.iter().map(|state| state.name()).collect();
        Ok(self
            .database
            .prepare_cached(
                "SELECT id FROM response WHERE action = ?1 AND target = ?2
                     AND (state IN (SELECT value FROM json_each(?3))
                         OR json_extract(request, '$.denied') >= ?4)
                 ORDER BY id LIMIT 1",
            )?
            .query_row(params![action, target, serde_json::to_string(&names)?, since], |row| {
                row.get(0)
            })
            .optional()?)
    }

    fn begun(&self, action: &str, class: Target, since: i64) -> Result<(u32, u32), StoreError> {
        Ok(self
            .database
            .prepare_cached(
                "SELECT count(*) FILTER (WHERE action = ?1), count(*) FILTER (WHERE class = ?2)
                 FROM response WHERE began >= ?3",
            )?
            .query_row(params![action, class.name(), since], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?)
    }
}

/// Forgets the oldest that are over, so that `more` find room.
fn make_room(step: &Connection, more: usize) -> Result<(), StoreError> {
    let held: i64 = step.query_row("SELECT count(*) FROM response", [], |row| row.get(0))?;
    let excess = held.saturating_add(sql_count(more)) - sql_count(REQUESTS_MAX);
    if excess <= 0 {
        return Ok(());
    }
    let names: Vec<&str> = State::OPEN.iter().map(|state| state.name()).collect();
    let forgotten = step
        .prepare_cached(
            "DELETE FROM response WHERE id IN (SELECT id FROM response
             WHERE state NOT IN (SELECT value FROM json_each(?1)) ORDER BY id LIMIT ?2)",
        )?
        .execute(params![serde_json::to_string(&names)?, excess])?;
    // The transaction is rolled back by whoever sees the error.
    if sql_count(forgotten) < excess { Err(StoreError::Full) } else { Ok(()) }
}

fn found(
    database: &Connection,
    which: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Vec<Request>, StoreError> {
    let mut question =
        database.prepare_cached(&format!("SELECT id, request FROM response {which}"))?;
    let mut rows = question.query(values)?;
    let mut requests = Vec::new();
    while let Some(row) = rows.next()? {
        let text: String = row.get(1)?;
        requests.push(Request { id: row.get(0)?, ..serde_json::from_str(&text)? });
    }
    Ok(requests)
}
