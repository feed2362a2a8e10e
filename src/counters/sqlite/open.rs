//! Making, opening and checking the file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::Fault;
use crate::paths::private_dir;

/// `callg` cut to four letters: marks the file as ours.
const APPLICATION: i32 = i32::from_be_bytes(*b"calg");
/// What was added to [`SCHEMA`] since it was released, in order: the layout's version is one more
/// than how many of these a file has had.
const ADDED: [&str; 1] = ["
CREATE TABLE approval(
  id TEXT PRIMARY KEY, server TEXT NOT NULL, grant_label TEXT NOT NULL, tool TEXT NOT NULL, args TEXT NOT NULL,
  policy TEXT NOT NULL, ends INTEGER NOT NULL, json TEXT NOT NULL, UNIQUE(server, grant_label, tool, args, policy)
) STRICT, WITHOUT ROWID;
CREATE TABLE round(
  number INTEGER PRIMARY KEY, at INTEGER NOT NULL, server TEXT NOT NULL, grant_label TEXT NOT NULL,
  tool TEXT NOT NULL, args TEXT NOT NULL, state TEXT
) STRICT;
CREATE INDEX round_grant ON round(server, grant_label, number);
"];
/// Every commit writes whole pages to the log, and checks their sums: small ones, since a call
/// changes a few dozen bytes.
const PAGE: u32 = 1024;
/// A file up to this size is checked as a whole when it is opened.
const CHECKED_SIZE: u64 = 4 * 1024 * 1024;

const SCHEMA: &str = "
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('standing', 0);
-- Times in microseconds since 1970; amounts are millionths as 16 bytes, big-endian two's complement.
CREATE TABLE counter(
  server TEXT NOT NULL, scope TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, window INTEGER NOT NULL,
  start INTEGER NOT NULL, ends INTEGER NOT NULL,
  used BLOB NOT NULL CHECK(length(used) = 16), max BLOB NOT NULL CHECK(length(max) = 16),
  PRIMARY KEY(server, name, key, scope, window)
) STRICT, WITHOUT ROWID;
CREATE INDEX counter_ends ON counter(ends);
CREATE TABLE freeze(id TEXT PRIMARY KEY, server TEXT, grant_label TEXT, tool TEXT, until INTEGER, json TEXT NOT NULL)
  STRICT, WITHOUT ROWID;
CREATE TABLE lifted(id TEXT PRIMARY KEY, at INTEGER NOT NULL, json TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE override(id TEXT PRIMARY KEY, until INTEGER, json TEXT NOT NULL) STRICT, WITHOUT ROWID;
";

/// Which file it is, so that one removed or replaced under us is noticed.
#[cfg(unix)]
pub(super) type FileId = (u64, u64);
/// Elsewhere only its presence is known.
#[cfg(not(unix))]
pub(super) type FileId = ();

/// The file's identity.
pub(super) fn file_id(path: &Path) -> Result<FileId, Fault> {
    let meta = fs::metadata(path).map_err(|error| io_fault(&error))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Ok((meta.dev(), meta.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = meta;
        Ok(())
    }
}

/// The path with something after the name, as SQLite names its own files.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

fn io_fault(error: &io::Error) -> Fault {
    Fault::Wrong(error.to_string())
}

/// Sees to it that a whole store lies at `path`: a new one is built aside and put there in one
/// step, so that an empty or half-made file is always damage.
pub(super) fn prepare(path: &Path) -> Result<(), Fault> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    private_dir(folder).map_err(|error| io_fault(&error))?;
    if !exists(path)? {
        let log = beside(path, "-wal");
        // Asked again: another process may just have made the store and its log.
        if exists(&log)? && !exists(path)? {
            return Err(Fault::Wrong(format!(
                "it is missing although its log `{}` is there; put it back, or remove the log too, and counters \
                 begin at zero",
                log.display()
            )));
        }
        create(path)?;
    }
    let meta = fs::metadata(path).map_err(|error| io_fault(&error))?;
    if !meta.is_file() {
        return Err(Fault::Wrong("it is no file".to_owned()));
    }
    if meta.len() == 0 {
        return Err(Fault::Wrong(
            "it is empty, so what it held is lost; remove it together with its -wal and -shm files, and counters \
             begin at zero"
                .to_owned(),
        ));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if meta.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(|error| io_fault(&error))?;
        }
    }
    Ok(())
}

fn exists(path: &Path) -> Result<bool, Fault> {
    path.try_exists().map_err(|error| io_fault(&error))
}

fn create(path: &Path) -> Result<(), Fault> {
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).map_err(|error| Fault::Wrong(error.to_string()))?;
    let draft = beside(path, &format!(".new-{:016x}", u64::from_be_bytes(random)));
    let made = build(&draft).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_fault(&error)),
        _ => Ok(()),
    });
    for end in ["", "-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(beside(&draft, end));
    }
    made
}

fn build(draft: &Path) -> Result<(), Fault> {
    build_with(draft, latest(), &ADDED.concat())
}

/// A store as the first release made it.
#[cfg(test)]
pub(super) fn build_released(draft: &Path) -> Result<(), Fault> {
    build_with(draft, 1, "")
}

fn build_with(draft: &Path, version: i32, added: &str) -> Result<(), Fault> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let file = options.open(draft).map_err(|error| io_fault(&error))?;
    drop(file);
    let connection = Connection::open_with_flags(draft, flags())?;
    connection.pragma_update(None, "page_size", PAGE)?;
    write_ahead(&connection)?;
    connection.execute_batch(&format!(
        "BEGIN; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {version}; {SCHEMA} {added} COMMIT;"
    ))?;
    connection.close().map_err(|(_, error)| Fault::Sqlite(error))
}

fn flags() -> OpenFlags {
    // Each connection has its own lock already.
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn write_ahead(connection: &Connection) -> Result<(), Fault> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode.eq_ignore_ascii_case("wal") {
        Ok(())
    } else {
        Err(Fault::Wrong(format!(
            "its file system cannot share a log between processes (journal mode `{mode}`); put the state folder on \
             a local disk"
        )))
    }
}

/// The version of the layout that this callgate makes.
fn latest() -> i32 {
    i32::try_from(ADDED.len()).unwrap_or(0).saturating_add(1)
}

/// The version of the layout that a file has, where this callgate knows it.
fn layout(connection: &Connection) -> Result<i32, Fault> {
    let version: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if (1..=latest()).contains(&version) {
        return Ok(version);
    }
    Err(Fault::Wrong(format!(
        "it has the layout {version}, this callgate knows 1 to {}; use the newer callgate everywhere",
        latest()
    )))
}

/// Adds what an older callgate's file lacks, all or nothing: another process may be at it too.
fn extend(connection: &Connection) -> Result<(), Fault> {
    super::begin(connection)?;
    let extended = layout(connection).and_then(|version| {
        let had = usize::try_from(version.saturating_sub(1)).unwrap_or(0);
        for sql in ADDED.iter().skip(had) {
            connection.execute_batch(sql)?;
        }
        connection.execute_batch(&format!("PRAGMA user_version = {}", latest()))?;
        Ok(())
    });
    let keep = extended.is_ok();
    super::end(connection, extended, keep)
}

/// A connection with everything set that matters.
pub(super) fn connect(path: &Path) -> Result<Connection, Fault> {
    let mut connection = Connection::open_with_flags(path, flags())?;
    connection.busy_handler(Some(wait))?;
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if application != APPLICATION {
        return Err(Fault::Wrong(
            "it belongs to another program; move it away, and counters begin at zero".to_owned(),
        ));
    }
    let version = layout(&connection)?;
    write_ahead(&connection)?;
    if version < latest() {
        extend(&connection)?;
    }
    connection.execute_batch(
        "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -1024; PRAGMA wal_autocheckpoint = 16000; \
         PRAGMA journal_size_limit = 4194304; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;",
    )?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Moves the log into the main file as far as nobody still reads it.
pub(super) fn checkpoint(path: &Path) -> Result<(), Fault> {
    let connection = connect(path)?;
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(())
}

/// Checks what can be checked in little time.
pub(super) fn verify(connection: &Connection, path: &Path) -> Result<(), Fault> {
    super::rows::version(connection)?;
    if fs::metadata(path).is_ok_and(|meta| meta.len() <= CHECKED_SIZE) {
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Err(Fault::Wrong(format!(
                "it is damaged ({verdict}); move it away together with its -wal and -shm files, and counters begin \
                 at zero"
            )));
        }
    }
    Ok(())
}

/// Waits for another process's transaction. Those take microseconds, so the first waits are short;
/// it gives up after about two seconds.
fn wait(tried: i32) -> bool {
    match tried {
        0..20 => std::thread::yield_now(),
        20..60 => std::thread::sleep(Duration::from_micros(50)),
        60..1900 => std::thread::sleep(Duration::from_millis(1)),
        _ => return false,
    }
    true
}
