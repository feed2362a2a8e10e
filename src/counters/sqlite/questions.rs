//! Approvals and rounds in the tables.

use rusqlite::{Connection, OptionalExtension, params};

use super::Fault;
use super::rows::{bump, text, unreadable};
use crate::counters::approval::MAX_WAITING;
use crate::counters::round::{MAX_ROUNDS, ROUND_MICROS};
use crate::counters::{Approval, ApprovalVerdict, Asked, Round};
use crate::time::Timestamp;

type Result<T> = std::result::Result<T, Fault>;

fn parsed(json: &str) -> Result<Approval> {
    serde_json::from_str(json).map_err(|error| unreadable("an approval", &error))
}

/// Every approval that stands, in the order in which they were asked.
pub(super) fn standing(connection: &Connection, now: Timestamp) -> Result<Vec<Approval>> {
    let mut statement = connection.prepare_cached("SELECT json FROM approval WHERE ends > ?1")?;
    let mut rows = statement.query([now.0])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let json: String = row.get(0)?;
        entries.push(parsed(&json)?);
    }
    entries.sort_by(|a, b| (a.asked_at, &a.id).cmp(&(b.asked_at, &b.id)));
    Ok(entries)
}

/// One approval, if it stands.
pub(super) fn find(connection: &Connection, now: Timestamp, id: &str) -> Result<Option<Approval>> {
    let json: Option<String> = connection
        .prepare_cached("SELECT json FROM approval WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    let entry = json.map(|json| parsed(&json)).transpose()?;
    Ok(entry.filter(|entry| entry.stands(now)))
}

fn replace(connection: &Connection, entry: &Approval) -> Result<()> {
    let changed = connection
        .prepare_cached("UPDATE approval SET ends = ?2, json = ?3 WHERE id = ?1")?
        .execute(params![entry.id, entry.ends().0, text(entry)?])?;
    if changed == 1 {
        Ok(())
    } else {
        Err(Fault::Wrong(format!("approval `{}` was there and is gone: the file is damaged", entry.id)))
    }
}

/// Takes one away.
pub(super) fn remove(connection: &Connection, id: &str) -> Result<()> {
    connection.prepare_cached("DELETE FROM approval WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// See [`crate::counters::Store::ask_approval`].
pub(super) fn ask(connection: &Connection, now: Timestamp, question: &Approval) -> Result<Asked> {
    // What is over makes room, also for an equal question.
    connection.prepare_cached("DELETE FROM approval WHERE ends <= ?1")?.execute([now.0])?;
    let (server, grant) = (&question.server, &question.grant);
    let json: Option<String> = connection
        .prepare_cached(
            "SELECT json FROM approval
             WHERE server = ?1 AND grant_label = ?2 AND tool = ?3 AND args = ?4 AND policy = ?5",
        )?
        .query_row(params![server, grant, question.tool, question.args_sha256, question.policy], |row| {
            row.get(0)
        })
        .optional()?;
    if let Some(json) = json {
        let mut entry = parsed(&json)?;
        if entry.verdict.is_some() {
            return Ok(Asked::Decided(entry));
        }
        entry.join(question);
        replace(connection, &entry)?;
        bump(connection)?;
        return Ok(Asked::Waiting(entry));
    }
    let mut statement =
        connection.prepare_cached("SELECT json FROM approval WHERE server = ?1 AND grant_label = ?2")?;
    let mut rows = statement.query(params![server, grant])?;
    let mut waiting = 0;
    while let Some(row) = rows.next()? {
        let json: String = row.get(0)?;
        waiting += usize::from(parsed(&json)?.verdict.is_none());
    }
    if waiting >= MAX_WAITING {
        return Ok(Asked::TooMany);
    }
    let added = connection
        .prepare_cached("INSERT OR IGNORE INTO approval VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
        .execute(params![
            question.id,
            server,
            grant,
            question.tool,
            question.args_sha256,
            question.policy,
            question.ends().0,
            text(question)?
        ])?;
    if added != 1 {
        return Err(Fault::Wrong(format!("an approval `{}` is there already", question.id)));
    }
    bump(connection)?;
    Ok(Asked::Waiting(question.clone()))
}

/// See [`crate::counters::Store::leave_approval`].
pub(super) fn leave(connection: &Connection, now: Timestamp, id: &str, cancelled: bool) -> Result<()> {
    let Some(mut entry) = find(connection, now, id)?.filter(|entry| entry.waits(now)) else {
        return Ok(());
    };
    if entry.leave(cancelled) { remove(connection, id) } else { replace(connection, &entry) }
}

/// See [`crate::counters::Store::decide_approval`].
pub(super) fn decide(
    connection: &Connection,
    now: Timestamp,
    id: &str,
    verdict: &ApprovalVerdict,
) -> Result<Option<Approval>> {
    let Some(mut entry) = find(connection, now, id)?.filter(|entry| entry.waits(now)) else {
        return Ok(None);
    };
    entry.verdict = Some(verdict.clone());
    replace(connection, &entry)?;
    Ok(Some(entry))
}

/// See [`crate::counters::Store::remember_round`].
pub(super) fn remember(connection: &Connection, now: Timestamp, round: &Round) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM round WHERE at <= ?1")?
        .execute([now.plus_micros(-ROUND_MICROS).0])?;
    connection
        .prepare_cached(
            "DELETE FROM round WHERE number IN (
               SELECT number FROM round WHERE server = ?1 AND grant_label = ?2
               ORDER BY number DESC LIMIT -1 OFFSET ?3)",
        )?
        .execute(params![
            round.server,
            round.grant,
            i64::try_from(MAX_ROUNDS).unwrap_or(i64::MAX).saturating_sub(1)
        ])?;
    connection
        .prepare_cached(
            "INSERT INTO round(at, server, grant_label, tool, args, state) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            now.0,
            round.server,
            round.grant,
            round.tool,
            round.args_sha256,
            round.state_sha256
        ])?;
    Ok(())
}

/// See [`crate::counters::Store::take_round`].
pub(super) fn take(connection: &Connection, now: Timestamp, round: &Round) -> Result<bool> {
    let taken = connection
        .prepare_cached(
            "DELETE FROM round WHERE number = (
               SELECT min(number) FROM round WHERE at > ?1 AND server = ?2 AND grant_label = ?3
               AND tool = ?4 AND args = ?5 AND state IS ?6)",
        )?
        .execute(params![
            now.plus_micros(-ROUND_MICROS).0,
            round.server,
            round.grant,
            round.tool,
            round.args_sha256,
            round.state_sha256
        ])?;
    Ok(taken == 1)
}
