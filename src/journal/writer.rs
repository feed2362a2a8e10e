//! Appending records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::keep::Keep;
use super::line::peek_seq;
use super::name::{FileName, is_gateway_id};
use super::read::{last_line, whole_lines};
use super::sync::Syncer;
use crate::paths::private_dir;
use crate::record::Record;

/// How a journal is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A file that reached this many bytes is followed by another.
    pub file_bytes: u64,
    /// Files last written longer ago than this are deleted.
    pub keep_for: Duration,
    /// The oldest files are deleted until all journals together have no more bytes than this.
    pub keep_bytes: u64,
    /// A written line is on the disk at most this much later.
    pub sync_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            keep_for: Duration::from_hours(30 * 24),
            keep_bytes: 4 << 30,
            sync_within: Duration::from_millis(200),
        }
    }
}

/// A record that is in the journal.
#[derive(Debug, Clone)]
pub struct Appended {
    /// Its number.
    pub seq: u64,
    /// Its line, without the line feed.
    pub line: Arc<[u8]>,
}

/// The journal of one gateway run. May be used from several threads.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    gateway: String,
    file_bytes: u64,
    syncer: Syncer,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: Arc<File>,
    /// Bytes of whole lines in the file.
    len: u64,
    /// Something after them may have to be cut off.
    torn: bool,
    next_seq: u64,
    /// This run's files, oldest first, with the number of their first record.
    files: Vec<(FileName, u64)>,
    buffer: Vec<u8>,
    /// Where its lines end.
    ends: Vec<usize>,
}

impl Writer {
    /// Opens the journal of a gateway run in `dir`, which is created if need be. A run that was
    /// begun before goes on where its last whole line ends.
    ///
    /// # Errors
    /// What the file system says, `InvalidInput` for an id that cannot be part of a file's name, and
    /// `WouldBlock` when another process writes this run's journal.
    pub fn create(dir: &Path, gateway_id: &str, options: &Options) -> io::Result<Self> {
        if !is_gateway_id(gateway_id) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{gateway_id}` cannot be a gateway's id"),
            ));
        }
        private_dir(dir)?;
        let mut files = Vec::new();
        for entry in super::read::files(dir)? {
            if entry.name.gateway == gateway_id {
                files.push((entry.name.clone(), super::read::first_seq(&entry.path)?.unwrap_or(0)));
            }
        }
        let mut state = match files.last() {
            None => {
                let name = FileName { gateway: gateway_id.to_owned(), number: 1 };
                let file = create_file(&dir.join(name.to_string()))?;
                State {
                    file: Arc::new(file),
                    len: 0,
                    torn: false,
                    next_seq: 1,
                    files: vec![(name, 1)],
                    buffer: Vec::with_capacity(2048),
                    ends: Vec::new(),
                }
            }
            Some((name, _)) => {
                let path = dir.join(name.to_string());
                let file = OpenOptions::new().read(true).append(true).open(&path)?;
                lock(&file, &path)?;
                let len = whole_lines(&file)?;
                if file.metadata()?.len() > len {
                    file.set_len(len)?;
                }
                let last = last_line(&file, len)?.and_then(|line| peek_seq(&line));
                let before = files.iter().rev().map(|(_, first)| *first).find(|first| *first > 0);
                let next_seq = match (last, before) {
                    (Some(last), _) => last + 1,
                    (None, Some(first)) if len == 0 => first,
                    (None, None) if len == 0 => 1,
                    _ => {
                        return Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            format!("`{}` does not end in a record: move it away", path.display()),
                        ));
                    }
                };
                State {
                    file: Arc::new(file),
                    len,
                    torn: false,
                    next_seq,
                    files: Vec::new(),
                    buffer: Vec::with_capacity(2048),
                    ends: Vec::new(),
                }
            }
        };
        if state.files.is_empty() {
            let next = state.next_seq;
            state.files = files
                .into_iter()
                .map(|(name, first)| (name, if first == 0 { next } else { first }))
                .collect();
        }
        let keep = Keep { dir: dir.to_owned(), age: options.keep_for, bytes: options.keep_bytes };
        let syncer = Syncer::start(state.file.clone(), keep, options.sync_within)?;
        Ok(Self {
            dir: dir.to_owned(),
            gateway: gateway_id.to_owned(),
            file_bytes: options.file_bytes.max(1),
            syncer,
            state: Mutex::new(state),
        })
    }

    /// Gives the record the next number and writes its line. When this returns, write(2) of the
    /// whole line has returned: the record outlives the process.
    ///
    /// # Errors
    /// When the line could not be written whole (a full disk). Nothing of it is left then, and the
    /// number is given to the next record.
    pub fn append(&self, record: &mut Record) -> io::Result<Appended> {
        let mut appended = None;
        self.append_all(&mut [record], |seq, line| appended = Some(Appended { seq, line: Arc::from(line) }))?;
        appended.ok_or_else(|| io::Error::other("nothing was appended"))
    }

    /// As [`Writer::append`] for records that came together, by one write(2): all of them are in the
    /// journal, or none. Once they are, `written` gets the number of each and its line without the
    /// line feed; no other record is appended until it returns.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn append_all(
        &self,
        records: &mut [&mut Record],
        mut written: impl FnMut(u64, &[u8]),
    ) -> io::Result<()> {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.buffer.clear();
        state.ends.clear();
        let first = state.next_seq;
        let mut seq = first;
        for record in records {
            record.set_seq(seq);
            let start = state.buffer.len();
            record.write_line(&mut state.buffer)?;
            let bytes = state.buffer.get_mut(start..).unwrap_or_default();
            if memchr::memchr2(b'\n', b'\r', bytes).is_some() {
                // Only white space between the tokens of a raw value can be one: strings escape theirs.
                bytes.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
            }
            state.ends.push(state.buffer.len());
            state.buffer.push(b'\n');
            seq += 1;
        }
        if state.torn {
            state.file.set_len(state.len)?;
            state.torn = false;
        }
        let size = state.buffer.len() as u64;
        if state.len > 0 && state.len.saturating_add(size) > self.file_bytes || self.syncer.is_file_gone() {
            self.rotate(state);
        }
        if let Err(error) = write_whole(&state.file, &state.buffer) {
            state.torn = state.file.set_len(state.len).is_err();
            // Who makes room may delete this very file, which is looked for after writing only.
            self.syncer.written();
            return Err(error);
        }
        state.len += size;
        state.next_seq = seq;
        let mut start = 0;
        for (seq, end) in (first..).zip(&state.ends) {
            written(seq, state.buffer.get(start..*end).unwrap_or_default());
            start = end + 1;
        }
        // What was kept for one huge record is not kept for ever.
        if state.buffer.capacity() > 1 << 20 {
            state.buffer = Vec::with_capacity(2048);
        }
        drop(guard);
        self.syncer.written();
        Ok(())
    }

    /// The number that the next record will have.
    pub fn next_seq(&self) -> u64 {
        self.lock().next_seq
    }

    /// The number of this run's oldest record that is still on disk; [`Writer::next_seq`] when there
    /// is none.
    pub fn oldest_seq(&self) -> u64 {
        let mut state = self.lock();
        let gone = state
            .files
            .iter()
            .take_while(|(name, _)| !self.dir.join(name.to_string()).exists())
            .count()
            .min(state.files.len().saturating_sub(1));
        state.files.drain(..gone);
        state.files.first().map_or(state.next_seq, |(_, first)| *first)
    }

    /// Why the last attempt to bring written lines to the disk failed, if it did. They are in the
    /// system's cache: only a loss of power can lose them.
    pub fn sync_trouble(&self) -> Option<String> {
        self.syncer.trouble()
    }

    /// Waits until everything appended so far is on the disk.
    ///
    /// # Errors
    /// What the file system says.
    pub fn sync(&self) -> io::Result<()> {
        let file = self.lock().file.clone();
        file.sync_data()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the state as it was before or after an append; both are sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on in a new file. Where none can be made, the present one simply grows: a record is
    /// worth more than a file's size.
    fn rotate(&self, state: &mut State) {
        let number = state.files.last().map_or(1, |(name, _)| name.number + 1);
        let name = FileName { gateway: self.gateway.clone(), number };
        if private_dir(&self.dir).is_err() {
            return;
        }
        let Ok(file) = create_file(&self.dir.join(name.to_string())) else { return };
        let file = Arc::new(file);
        self.syncer.rotated(file.clone());
        state.file = file;
        state.len = 0;
        state.files.push((name, state.next_seq));
    }
}

fn create_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    if let Err(error) = lock(&file, path) {
        let _ = fs::remove_file(path);
        return Err(error);
    }
    Ok(file)
}

/// Held for as long as the file is open: a file that is locked belongs to a live gateway and is
/// never deleted.
fn lock(file: &File, path: &Path) -> io::Result<()> {
    for _ in 0..50 {
        match file.try_lock() {
            // Or no locks here (some network file systems): age and size still protect a fresh file.
            Ok(()) | Err(fs::TryLockError::Error(_)) => return Ok(()),
            // Who tidies up looks at the lock for a moment; a writer holds it.
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, format!("another process writes `{}`", path.display())))
}

/// One write(2), and more only where the system took less than was given.
fn write_whole(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
