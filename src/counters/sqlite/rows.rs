//! What lies in the tables, read and written.

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::Fault;
use crate::counters::{Freeze, Lift, Override, SeenTool, Standing};
use crate::policy::counter::{Amount, CounterKey, Taken, Usage};
use crate::policy::model::Scope;
use crate::time::Timestamp;

type Result<T> = std::result::Result<T, Fault>;

/// Where a counter stands: the start of its window and what it holds.
type Stored = (Timestamp, Amount);

fn amount(bytes: [u8; 16]) -> Amount {
    Amount(i128::from_be_bytes(bytes))
}

fn bytes(amount: Amount) -> [u8; 16] {
    amount.0.to_be_bytes()
}

fn window(key: &CounterKey) -> Result<i64> {
    i64::try_from(key.window)
        .map_err(|_| Fault::Wrong(format!("the window of counter `{}` is too long", key.counter)))
}

/// A counter as it is stored.
pub(super) fn read(connection: &Connection, key: &CounterKey) -> Result<Option<Stored>> {
    let mut statement = connection.prepare_cached(
        "SELECT start, used FROM counter
         WHERE server = ?1 AND name = ?2 AND key = ?3 AND scope = ?4 AND window = ?5",
    )?;
    let of = params![key.server, key.counter, key.scope_value, key.scope.name(), window(key)?];
    let row = statement.query_row(of, |row| Ok((Timestamp(row.get(0)?), amount(row.get(1)?)))).optional()?;
    Ok(row)
}

/// Stores a counter; `fresh` says that its window or its row is new.
pub(super) fn write(connection: &Connection, usage: &Usage, fresh: bool) -> Result<()> {
    let key = &usage.key;
    let (used, max) = (bytes(usage.used), bytes(usage.max));
    if fresh {
        connection
            .prepare_cached("INSERT OR REPLACE INTO counter VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
            .execute(params![
                key.server,
                key.scope.name(),
                key.scope_value,
                key.counter,
                window(key)?,
                usage.window_start.0,
                usage.resets_at.0,
                used,
                max
            ])?;
        return Ok(());
    }
    // Apart from the insertion, because the index of the windows' ends is left alone then.
    let changed = connection
        .prepare_cached(
            "UPDATE counter SET used = ?6, max = ?7
             WHERE server = ?1 AND name = ?2 AND key = ?3 AND scope = ?4 AND window = ?5",
        )?
        .execute(params![
            key.server,
            key.counter,
            key.scope_value,
            key.scope.name(),
            window(key)?,
            used,
            max
        ])?;
    if changed == 1 {
        Ok(())
    } else {
        Err(Fault::Wrong(format!("counter `{}` was there and is gone: the file is damaged", key.counter)))
    }
}

/// Gives an amount back to its window; a later window has nothing of it.
pub(super) fn give_back(connection: &Connection, taken: &Taken) -> Result<()> {
    let Some((start, used)) = read(connection, &taken.key)? else { return Ok(()) };
    if start != taken.window_start {
        return Ok(());
    }
    let left = Amount(used.0.saturating_sub(taken.amount.0.max(0)).max(0).min(used.0));
    let key = &taken.key;
    connection
        .prepare_cached(
            "UPDATE counter SET used = ?6
             WHERE server = ?1 AND name = ?2 AND key = ?3 AND scope = ?4 AND window = ?5",
        )?
        .execute(params![
            key.server,
            key.counter,
            key.scope_value,
            key.scope.name(),
            window(key)?,
            bytes(left)
        ])?;
    Ok(())
}

/// Removes some rows whose windows ended before an instant.
pub(super) fn prune(connection: &Connection, before: Timestamp, at_most: u32) -> Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM counter WHERE (server, name, key, scope, window) IN (
               SELECT server, name, key, scope, window FROM counter WHERE ends < ?1 ORDER BY ends LIMIT ?2)",
        )?
        .execute(params![before.0, at_most])?;
    connection.prepare_cached("DELETE FROM freeze WHERE until < ?1")?.execute([before.0])?;
    connection.prepare_cached("DELETE FROM override WHERE until < ?1")?.execute([before.0])?;
    connection.prepare_cached("DELETE FROM lifted WHERE at < ?1")?.execute([before.0])?;
    connection.prepare_cached("DELETE FROM approval WHERE ends < ?1")?.execute([before.0])?;
    connection.prepare_cached("DELETE FROM round WHERE at < ?1")?.execute([before.0])?;
    Ok(())
}

/// Every counter that holds something in a window that has not ended.
pub(super) fn all(connection: &Connection, now: Timestamp) -> Result<Vec<Usage>> {
    let mut statement = connection.prepare_cached(
        "SELECT server, scope, key, name, window, start, ends, used, max FROM counter WHERE ends > ?1
         ORDER BY server, name, key, scope, window",
    )?;
    let mut rows = statement.query([now.0])?;
    let mut usages = Vec::new();
    while let Some(row) = rows.next()? {
        let usage = usage(row)?;
        if usage.used > Amount::ZERO {
            usages.push(usage);
        }
    }
    Ok(usages)
}

fn usage(row: &Row<'_>) -> Result<Usage> {
    let scope: String = row.get(1)?;
    let scope = Scope::parse(&scope)
        .ok_or_else(|| Fault::Wrong(format!("it holds a counter of the unknown scope `{scope}`")))?;
    let window: i64 = row.get(4)?;
    let (used, max) = (amount(row.get(7)?), amount(row.get(8)?));
    Ok(Usage {
        key: CounterKey {
            server: row.get(0)?,
            scope,
            scope_value: row.get(2)?,
            counter: row.get(3)?,
            window: u64::try_from(window).unwrap_or(0),
        },
        used,
        max,
        window_start: Timestamp(row.get(5)?),
        resets_at: Timestamp(row.get(6)?),
        room: used < max,
    })
}

/// The number of changes of freezes and overrides so far.
pub(super) fn version(connection: &Connection) -> Result<u64> {
    let version: i64 = connection
        .prepare_cached("SELECT value FROM meta WHERE name = 'standing'")?
        .query_row([], |row| row.get(0))?;
    Ok(u64::try_from(version).unwrap_or(0))
}

/// Tells everyone that a freeze or an override changed.
pub(super) fn bump(connection: &Connection) -> Result<()> {
    connection.prepare_cached("UPDATE meta SET value = value + 1 WHERE name = 'standing'")?.execute([])?;
    Ok(())
}

pub(super) fn unreadable(what: &str, error: &serde_json::Error) -> Fault {
    Fault::Wrong(format!("it holds {what} that cannot be read ({error}): it is damaged"))
}

pub(super) fn text(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Fault::Wrong(error.to_string()))
}

/// Freezes and overrides that have not ended, and approvals that stand.
pub(super) fn standing(connection: &Connection, now: Timestamp) -> Result<Standing> {
    let mut standing = Standing::default();
    let mut statement = connection.prepare_cached("SELECT json FROM freeze ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let json: String = row.get(0)?;
        let freeze: Freeze = serde_json::from_str(&json).map_err(|error| unreadable("a freeze", &error))?;
        if freeze.until.is_none_or(|until| now < until) {
            standing.freezes.push(freeze);
        }
    }
    let mut statement = connection.prepare_cached("SELECT json FROM override ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let json: String = row.get(0)?;
        let entry: Override =
            serde_json::from_str(&json).map_err(|error| unreadable("an override", &error))?;
        if entry.stands(now) {
            standing.overrides.push(entry);
        }
    }
    standing.approvals = super::questions::standing(connection, now)?;
    standing.freezes.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    standing.overrides.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    Ok(standing)
}

/// Adds a freeze; an id that is there already is an error, for it would lift the earlier one.
pub(super) fn insert_freeze(connection: &Connection, freeze: &Freeze) -> Result<()> {
    let added = connection
        .prepare_cached("INSERT OR IGNORE INTO freeze VALUES(:id, :server, :grant, :tool, :until, :json)")?
        .execute(named_params! {
            ":id": freeze.id, ":server": freeze.server, ":grant": freeze.grant, ":tool": freeze.tool,
            ":until": freeze.until.map(|until| until.0), ":json": text(freeze)?,
        })?;
    if added == 1 { Ok(()) } else { Err(Fault::Wrong(format!("a freeze `{}` is there already", freeze.id))) }
}

/// Removes the freezes of exactly this scope.
pub(super) fn take_freezes(
    connection: &Connection,
    server: Option<&str>,
    grant: Option<&str>,
    tool: Option<&str>,
) -> Result<Vec<Freeze>> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM freeze WHERE server IS ?1 AND grant_label IS ?2 AND tool IS ?3 RETURNING json",
    )?;
    let mut rows = statement.query(params![server, grant, tool])?;
    let mut ended = Vec::new();
    while let Some(row) = rows.next()? {
        let json: String = row.get(0)?;
        ended.push(serde_json::from_str(&json).map_err(|error| unreadable("a freeze", &error))?);
    }
    ended.sort_by(|a: &Freeze, b: &Freeze| (a.at, &a.id).cmp(&(b.at, &b.id)));
    Ok(ended)
}

/// Remembers who lifted a freeze.
pub(super) fn note_lift(connection: &Connection, id: &str, lift: &Lift) -> Result<()> {
    connection.prepare_cached("INSERT OR REPLACE INTO lifted VALUES(?1, ?2, ?3)")?.execute(params![
        id,
        lift.at.0,
        text(lift)?
    ])?;
    Ok(())
}

/// Who lifted a freeze.
pub(super) fn lifted(connection: &Connection, id: &str) -> Result<Option<Lift>> {
    let json: Option<String> = connection
        .prepare_cached("SELECT json FROM lifted WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    json.map(|json| serde_json::from_str(&json).map_err(|error| unreadable("a note of a lift", &error)))
        .transpose()
}

/// One override, whether or not it still has effect.
pub(super) fn read_override(connection: &Connection, id: &str) -> Result<Option<Override>> {
    let json: Option<String> = connection
        .prepare_cached("SELECT json FROM override WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    json.map(|json| serde_json::from_str(&json).map_err(|error| unreadable("an override", &error)))
        .transpose()
}

/// Adds an override.
pub(super) fn insert_override(connection: &Connection, entry: &Override) -> Result<()> {
    let added = connection
        .prepare_cached("INSERT OR IGNORE INTO override VALUES(?1, ?2, ?3)")?
        .execute(params![entry.id, entry.until.map(|until| until.0), text(entry)?])?;
    if added == 1 {
        Ok(())
    } else {
        Err(Fault::Wrong(format!("an override `{}` is there already", entry.id)))
    }
}

/// Writes an override anew.
pub(super) fn replace_override(connection: &Connection, entry: &Override) -> Result<()> {
    connection
        .prepare_cached("UPDATE override SET json = ?2 WHERE id = ?1")?
        .execute(params![entry.id, text(entry)?])?;
    Ok(())
}

/// Replaces what was seen of a server's tools.
pub(super) fn see_tools(
    connection: &Connection,
    now: Timestamp,
    server: &str,
    tools: &[(String, String)],
) -> Result<()> {
    // Made when it is first needed: a store from before it has none.
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS seen_tool(
           server TEXT NOT NULL, tool TEXT NOT NULL, digest TEXT NOT NULL, at INTEGER NOT NULL,
           PRIMARY KEY(server, tool)
         ) STRICT, WITHOUT ROWID;",
    )?;
    let before: std::collections::HashMap<String, SeenTool> =
        seen_tools(connection, server)?.into_iter().map(|seen| (seen.tool.clone(), seen)).collect();
    connection.prepare_cached("DELETE FROM seen_tool WHERE server = ?1")?.execute([server])?;
    let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO seen_tool VALUES(?1, ?2, ?3, ?4)")?;
    for (tool, digest) in tools {
        let known = before.get(tool).filter(|known| known.digest == *digest);
        insert.execute(params![server, tool, digest, known.map_or(now, |known| known.at).0])?;
    }
    Ok(())
}

/// What was seen of a server's tools.
pub(super) fn seen_tools(connection: &Connection, server: &str) -> Result<Vec<SeenTool>> {
    let there: bool = connection
        .prepare_cached("SELECT EXISTS(SELECT 1 FROM sqlite_master WHERE name = 'seen_tool')")?
        .query_row([], |row| row.get(0))?;
    if !there {
        return Ok(Vec::new());
    }
    let mut statement = connection
        .prepare_cached("SELECT tool, digest, at FROM seen_tool WHERE server = ?1 ORDER BY tool")?;
    let rows = statement.query_map([server], |row| {
        Ok(SeenTool { tool: row.get(0)?, digest: row.get(1)?, at: Timestamp(row.get(2)?) })
    })?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}
