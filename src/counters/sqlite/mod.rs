//! The store that all gateways of a user share on a machine: SQLite in WAL mode.
//!
//! Every change is one `BEGIN IMMEDIATE` transaction, so what two processes count at once is
//! counted one after the other. A transaction that returned survives the death of any process; a
//! loss of power may cost the last moments (`synchronous=NORMAL`). A file that is damaged, foreign,
//! emptied, or replaced while in use is an error, never a fresh start: a fresh start would refill
//! every counter.

mod open;
mod questions;
mod rows;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rusqlite::Connection;

use self::open::FileId;
use super::{
    Approval, ApprovalVerdict, Asked, Freeze, Lift, Override, Round, SeenTool, Standing, Store, StoreError,
};
use crate::policy::counter::{Amount, Reserved, Taken, Usage, Want, admit};
use crate::time::Timestamp;

/// Rows whose windows are over are removed once in so many reservations of this process.
const PRUNE_EVERY: u32 = 256;
/// At most so many at once, so that no call waits long for it.
const PRUNE_ROWS: u32 = 512;
/// Rows are kept so long after their window, in microseconds: a clock that leapt ahead and came
/// back finds them again.
const PRUNE_AFTER: i64 = 86_400 * 1_000_000;

/// From this size on the log is moved into the main file, in bytes.
const LONG_LOG: u64 = 1024 * 1024;

/// The embedded store.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    place: String,
    file: FileId,
    /// Reservations: the calls' way.
    main: Mutex<Main>,
    /// Freezes, overrides and looks at them, so that they never wait for calls of this process.
    watch: Mutex<Watch>,
    /// The file was removed or replaced while in use.
    lost: AtomicBool,
    /// The log is being moved into the main file.
    moving: Arc<AtomicBool>,
    /// When the log that was moved last had been written to.
    moved: Mutex<Option<SystemTime>>,
}

#[derive(Debug)]
struct Main {
    connection: Connection,
    reservations: u32,
}

#[derive(Debug)]
struct Watch {
    connection: Connection,
    /// `PRAGMA data_version` when `version` was read.
    data_version: Option<i64>,
    version: u64,
}

type Result<T> = std::result::Result<T, StoreError>;

/// Inside a transaction: what SQLite says, or what is wrong with what it holds.
#[derive(Debug)]
enum Fault {
    Sqlite(rusqlite::Error),
    Wrong(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl SqliteStore {
    /// Opens the store, and creates it where there is none. Its folder is made private (0700), the
    /// file is 0600.
    ///
    /// # Errors
    /// When the folder or the file cannot be used, when the file is damaged, no store of callgate's,
    /// or one of a newer version.
    pub fn open(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        let fail = |fault| describe(&place, fault);
        open::prepare(path).map_err(fail)?;
        let connection = open::connect(path).map_err(fail)?;
        open::verify(&connection, path).map_err(fail)?;
        let watch = open::connect(path).map_err(fail)?;
        let file = open::file_id(path).map_err(fail)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            main: Mutex::new(Main { connection, reservations: 0 }),
            watch: Mutex::new(Watch { connection: watch, data_version: None, version: 0 }),
            lost: AtomicBool::new(false),
            moving: Arc::default(),
            moved: Mutex::default(),
            place,
        })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn fail(&self, fault: Fault) -> StoreError {
        describe(&self.place, fault)
    }

    fn main(&self) -> Result<MutexGuard<'_, Main>> {
        self.check_lost()?;
        Ok(lock(&self.main))
    }

    fn watch(&self) -> Result<MutexGuard<'_, Watch>> {
        self.check_lost()?;
        Ok(lock(&self.watch))
    }

    fn check_lost(&self) -> Result<()> {
        if self.lost.load(Ordering::Relaxed) {
            return Err(self.fail(Fault::Wrong(
                "the file was removed or replaced while in use; restart the gateways that use it".to_owned(),
            )));
        }
        Ok(())
    }

    /// Counts what fits; the transaction is the caller's.
    fn count(
        connection: &Connection,
        now: Timestamp,
        wants: &[Want],
    ) -> std::result::Result<Reserved, Fault> {
        let mut usages: Vec<Usage> = Vec::with_capacity(wants.len());
        let mut fresh: Vec<bool> = Vec::with_capacity(wants.len());
        // What each counter holds when nothing of this call is counted.
        let mut before: Vec<Amount> = Vec::with_capacity(wants.len());
        for want in wants {
            // Two limits of a call may share a counter: the second finds what the first counted.
            let twin =
                wants.iter().zip(&usages).zip(&before).rev().find(|((other, _), _)| other.key == want.key);
            let (stored, untouched) = match twin {
                Some(((other, usage), before)) => {
                    (Some((usage.window_start, usage.used.plus(other.increment))), Some(*before))
                }
                None => (rows::read(connection, &want.key)?, None),
            };
            let usage = admit(stored, now, want);
            fresh.push(twin.is_none() && stored.is_none_or(|(start, _)| start != usage.window_start));
            before.push(untouched.unwrap_or(usage.used));
            usages.push(usage);
        }
        if !usages.iter().all(|usage| usage.room) {
            for (usage, before) in usages.iter_mut().zip(before) {
                usage.used = before;
            }
            return Ok(Reserved::Full { usages });
        }
        let mut taken = Vec::with_capacity(wants.len());
        for ((want, usage), fresh) in wants.iter().zip(&mut usages).zip(fresh) {
            usage.used = usage.used.plus(want.increment);
            rows::write(connection, usage, fresh)?;
            taken.push(Taken {
                key: want.key.clone(),
                window_start: usage.window_start,
                amount: want.increment,
            });
        }
        Ok(Reserved::Done { usages, taken })
    }

    fn prune(main: &mut Main, now: Timestamp) -> std::result::Result<(), Fault> {
        main.reservations = main.reservations.wrapping_add(1);
        if main.reservations % PRUNE_EVERY == 1 {
            rows::prune(&main.connection, now.plus_micros(-PRUNE_AFTER), PRUNE_ROWS)?;
        }
        Ok(())
    }
}

impl Store for SqliteStore {
    fn reserve(&self, now: Timestamp, wants: &[Want]) -> Result<Reserved> {
        let mut main = self.main()?;
        if wants.is_empty() {
            return Ok(Reserved::Done { usages: Vec::new(), taken: Vec::new() });
        }
        let main = &mut *main;
        begin(&main.connection).map_err(|fault| self.fail(fault))?;
        let counted = Self::count(&main.connection, now, wants).and_then(|reserved| {
            if matches!(reserved, Reserved::Done { .. }) {
                Self::prune(main, now)?;
            }
            Ok(reserved)
        });
        let keep = matches!(counted, Ok(Reserved::Done { .. }));
        end(&main.connection, counted, keep).map_err(|fault| self.fail(fault))
    }

    fn reserve_with_override(&self, now: Timestamp, wants: &[Want], id: &str) -> Result<Option<Reserved>> {
        let mut main = self.main()?;
        let main = &mut *main;
        begin(&main.connection).map_err(|fault| self.fail(fault))?;
        let connection = &main.connection;
        let counted = (|| {
            let Some(mut entry) = rows::read_override(connection, id)?.filter(|entry| entry.stands(now))
            else {
                return Ok(None);
            };
            let reserved = Self::count(connection, now, wants)?;
            if let (Some(uses), Reserved::Done { .. }) = (entry.uses, &reserved) {
                entry.uses = Some(uses.saturating_sub(1));
                rows::replace_override(connection, &entry)?;
                rows::bump(connection)?;
            }
            Ok(Some(reserved))
        })();
        let keep = matches!(counted, Ok(Some(Reserved::Done { .. })));
        end(&main.connection, counted, keep).map_err(|fault| self.fail(fault))
    }

    fn peek(&self, now: Timestamp, wants: &[Want]) -> Result<Vec<Usage>> {
        let main = self.main()?;
        let connection = &main.connection;
        let look = || {
            // One view of all of them.
            run(connection, "BEGIN")?;
            let usages = wants
                .iter()
                .map(|want| Ok(admit(rows::read(connection, &want.key)?, now, want)))
                .collect::<std::result::Result<Vec<_>, Fault>>();
            end(connection, usages, false)
        };
        look().map_err(|fault| self.fail(fault))
    }

    fn release(&self, taken: &[Taken]) -> Result<()> {
        let main = self.main()?;
        if taken.is_empty() {
            return Ok(());
        }
        let connection = &main.connection;
        begin(connection).map_err(|fault| self.fail(fault))?;
        let given = taken.iter().try_for_each(|taken| rows::give_back(connection, taken));
        let keep = given.is_ok();
        end(connection, given, keep).map_err(|fault| self.fail(fault))
    }

    fn standing(&self, now: Timestamp) -> Result<Standing> {
        let watch = self.watch()?;
        rows::standing(&watch.connection, now).map_err(|fault| self.fail(fault))
    }

    fn standing_version(&self) -> Result<u64> {
        let same = open::file_id(&self.path).is_ok_and(|id| id == self.file);
        self.lost.store(!same, Ordering::Relaxed);
        let mut watch = self.watch()?;
        let mut look = || {
            let data_version: i64 =
                watch.connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
            if watch.data_version != Some(data_version) {
                watch.version = rows::version(&watch.connection)?;
                watch.data_version = Some(data_version);
            }
            Ok(watch.version)
        };
        look().map_err(|fault| self.fail(fault))
    }

    fn freeze(&self, freeze: &Freeze) -> Result<()> {
        self.change(|connection| rows::insert_freeze(connection, freeze))
    }

    fn unfreeze_by(
        &self,
        server: Option<&str>,
        grant: Option<&str>,
        tool: Option<&str>,
        lift: Option<&Lift>,
    ) -> Result<Vec<Freeze>> {
        self.change(|connection| {
            let ended = rows::take_freezes(connection, server, grant, tool)?;
            if let Some(lift) = lift {
                for freeze in &ended {
                    rows::note_lift(connection, &freeze.id, lift)?;
                }
            }
            Ok(ended)
        })
    }

    fn lifted(&self, id: &str) -> Result<Option<Lift>> {
        let watch = self.watch()?;
        rows::lifted(&watch.connection, id).map_err(|fault| self.fail(fault))
    }

    fn set_override(&self, entry: &Override) -> Result<()> {
        self.change(|connection| rows::insert_override(connection, entry))
    }

    fn end_override_by(&self, id: &str, lift: Option<&Lift>) -> Result<Option<Override>> {
        self.change(|connection| {
            let entry = rows::read_override(connection, id)?;
            connection.prepare_cached("DELETE FROM override WHERE id = ?1")?.execute([id])?;
            if let Some(lift) = lift.filter(|_| entry.is_some()) {
                rows::note_lift(connection, id, lift)?;
            }
            Ok(entry)
        })
    }

    fn ask_approval(&self, now: Timestamp, question: &Approval) -> Result<Asked> {
        self.transact(|connection| questions::ask(connection, now, question))
    }

    fn leave_approval(&self, now: Timestamp, id: &str, cancelled: bool) -> Result<()> {
        self.change(|connection| questions::leave(connection, now, id, cancelled))
    }

    fn decide_approval(
        &self,
        now: Timestamp,
        id: &str,
        verdict: &ApprovalVerdict,
    ) -> Result<Option<Approval>> {
        self.change(|connection| questions::decide(connection, now, id, verdict))
    }

    fn approvals(&self, now: Timestamp) -> Result<Vec<Approval>> {
        let watch = self.watch()?;
        questions::standing(&watch.connection, now).map_err(|fault| self.fail(fault))
    }

    fn reserve_with_approval(&self, now: Timestamp, wants: &[Want], id: &str) -> Result<Option<Reserved>> {
        let mut main = self.main()?;
        let main = &mut *main;
        begin(&main.connection).map_err(|fault| self.fail(fault))?;
        let connection = &main.connection;
        let counted = (|| {
            if !questions::find(connection, now, id)?.is_some_and(|entry| entry.usable(now)) {
                return Ok(None);
            }
            let reserved = Self::count(connection, now, wants)?;
            if matches!(reserved, Reserved::Done { .. }) {
                questions::remove(connection, id)?;
                rows::bump(connection)?;
            }
            Ok(Some(reserved))
        })();
        let keep = matches!(counted, Ok(Some(Reserved::Done { .. })));
        end(&main.connection, counted, keep).map_err(|fault| self.fail(fault))
    }

    fn remember_round(&self, now: Timestamp, round: &Round) -> Result<()> {
        self.transact(|connection| questions::remember(connection, now, round))
    }

    fn take_round(&self, now: Timestamp, round: &Round) -> Result<bool> {
        self.transact(|connection| questions::take(connection, now, round))
    }

    /// Moves what was written lately from the log into the main file, so that no call has to. A
    /// thread and a connection of its own do it: they wait for the disk.
    fn maintain(&self) -> Result<()> {
        let Ok(log) = std::fs::metadata(open::beside(&self.path, "-wal")) else { return Ok(()) };
        let mut moved = lock(&self.moved);
        let same = moved.is_some() && *moved == log.modified().ok();
        if log.len() < LONG_LOG || same || self.moving.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        *moved = log.modified().ok();
        let (path, moving) = (self.path.clone(), Arc::clone(&self.moving));
        let thread = std::thread::Builder::new().name("checkpoint".to_owned()).spawn(move || {
            // What fails here is tried again, at the latest by a call that finds the log too long.
            let _ = open::checkpoint(&path);
            moving.store(false, Ordering::Release);
        });
        if thread.is_err() {
            self.moving.store(false, Ordering::Release);
        }
        Ok(())
    }

    fn see_tools(&self, now: Timestamp, server: &str, tools: &[(String, String)]) -> Result<()> {
        self.change(|connection| rows::see_tools(connection, now, server, tools))
    }

    fn seen_tools(&self, server: &str) -> Result<Vec<SeenTool>> {
        let watch = self.watch()?;
        rows::seen_tools(&watch.connection, server).map_err(|fault| self.fail(fault))
    }

    fn counters(&self, now: Timestamp) -> Result<Vec<Usage>> {
        let watch = self.watch()?;
        rows::all(&watch.connection, now).map_err(|fault| self.fail(fault))
    }
}

impl SqliteStore {
    /// One change of what stands, seen by everyone.
    fn change<T>(&self, change: impl FnOnce(&Connection) -> std::result::Result<T, Fault>) -> Result<T> {
        self.transact(|connection| {
            let value = change(connection)?;
            rows::bump(connection)?;
            Ok(value)
        })
    }

    /// All of it, or nothing.
    fn transact<T>(&self, change: impl FnOnce(&Connection) -> std::result::Result<T, Fault>) -> Result<T> {
        let mut watch = self.watch()?;
        let watch = &mut *watch;
        // A connection does not see its own changes in its data version.
        watch.data_version = None;
        let connection = &watch.connection;
        let changed = begin(connection).and_then(|()| {
            let changed = change(connection);
            let keep = changed.is_ok();
            end(connection, changed, keep)
        });
        changed.map_err(|fault| self.fail(fault))
    }
}

/// A thread that panicked while it held the lock left no half transaction: the next one's `BEGIN`
/// would say so.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(connection: &Connection, sql: &'static str) -> std::result::Result<(), Fault> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Takes the write lock at once, so that nothing read before is stale when it is written.
fn begin(connection: &Connection) -> std::result::Result<(), Fault> {
    if !connection.is_autocommit() {
        run(connection, "ROLLBACK")?;
    }
    run(connection, "BEGIN IMMEDIATE")
}

/// Ends the transaction: kept as a whole, or as if it had never been.
fn end<T>(
    connection: &Connection,
    result: std::result::Result<T, Fault>,
    keep: bool,
) -> std::result::Result<T, Fault> {
    if keep {
        match run(connection, "COMMIT") {
            Ok(()) => return result,
            Err(fault) => {
                roll_back(connection);
                return Err(fault);
            }
        }
    }
    roll_back(connection);
    result
}

fn roll_back(connection: &Connection) {
    // SQLite may have rolled back by itself; what cannot be rolled back now is when the next
    // transaction begins.
    if !connection.is_autocommit() {
        let _ = run(connection, "ROLLBACK");
    }
}

fn describe(place: &str, fault: Fault) -> StoreError {
    use rusqlite::ErrorCode as Code;
    let why = match fault {
        Fault::Wrong(why) => why,
        Fault::Sqlite(error) => match error.sqlite_error_code() {
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
                "another process keeps it locked; end that process or try again".to_owned()
            }
            Some(Code::NotADatabase) => {
                "it is no store of callgate's, or damaged; move it away, and counters begin at zero"
                    .to_owned()
            }
            Some(Code::DatabaseCorrupt) => format!(
                "it is damaged ({error}); move it away together with its -wal and -shm files, and counters begin at zero"
            ),
            Some(Code::DiskFull) => "the disk is full".to_owned(),
            Some(Code::ReadOnly | Code::PermissionDenied) => {
                "it cannot be written; check who owns it".to_owned()
            }
            _ => error.to_string(),
        },
    };
    StoreError { place: place.to_owned(), why }
}

#[cfg(test)]
mod tests;
