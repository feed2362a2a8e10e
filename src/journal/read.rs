//! Reading journal files: whole lines, as they are.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memchr::{memchr, memrchr};
use regex::bytes::Regex;

use super::line::{peek_seq, peek_ts};
use super::name::FileName;
use crate::time::Timestamp;

/// How much is read at once.
const CHUNK: usize = 256 * 1024;
/// Records of one file are in the order of their numbers; their times may be this much out of
/// order (several threads, a clock stepped back a little).
const DISORDER_MICROS: i64 = 10_000_000;

/// A journal file.
#[derive(Debug, Clone)]
pub struct JournalFile {
    /// Where it lies.
    pub path: PathBuf,
    /// The gateway run and the file's number in it.
    pub name: FileName,
    /// Its size in bytes.
    pub len: u64,
    /// When it was last written.
    pub modified: SystemTime,
}

/// The journal files of a folder, by gateway run and number. A folder that does not exist holds
/// none.
///
/// # Errors
/// What the file system says of the folder.
pub fn files(dir: &Path) -> io::Result<Vec<JournalFile>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let Some(name) = FileName::of(&path) else { continue };
        // A file can vanish between listing and looking.
        let Ok(meta) = fs::metadata(&path) else { continue };
        if meta.is_file() {
            let modified = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            found.push(JournalFile { path, name, len: meta.len(), modified });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Reads one file, line by line.
#[derive(Debug)]
pub struct Reader {
    file: File,
    /// Where in the file the buffer ends.
    offset: u64,
    buffer: Vec<u8>,
    /// The part of the buffer not given out yet.
    start: usize,
    end: usize,
    /// Bytes of `start..end` known to hold no line feed.
    searched: usize,
}

impl Reader {
    /// Opens a file at its beginning.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, offset: 0, buffer: Vec::new(), start: 0, end: 0, searched: 0 })
    }

    /// The next whole line without its line feed; `None` at the end of what is written so far. May
    /// be asked again later: a line that was not whole then may be whole now.
    ///
    /// # Errors
    /// What the file system says.
    pub fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let from = self.start + self.searched;
            if let Some(at) = self.buffer.get(from..self.end).and_then(|part| memchr(b'\n', part)) {
                let line = self.start..from + at;
                self.start = from + at + 1;
                self.searched = 0;
                return Ok(self.buffer.get(line));
            }
            self.searched = self.end - self.start;
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Whole lines, as many as are at hand, with their line feeds; `None` at the end of what is
    /// written so far. For those who search before they look at single lines.
    ///
    /// # Errors
    /// What the file system says.
    pub fn next_lines(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let from = self.start + self.searched;
            if let Some(at) = self.buffer.get(from..self.end).and_then(|part| memrchr(b'\n', part)) {
                let lines = self.start..from + at + 1;
                self.start = from + at + 1;
                self.searched = self.end - self.start;
                return Ok(self.buffer.get(lines));
            }
            self.searched = self.end - self.start;
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// The next whole line in which a pattern is found, without its line feed; lines before it are
    /// passed over. The pattern must not match across a line feed.
    ///
    /// # Errors
    /// What the file system says.
    pub fn next_match(&mut self, pattern: &Regex) -> io::Result<Option<&[u8]>> {
        loop {
            let whole = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let Some(end) = memrchr(b'\n', whole) {
                let lines = whole.get(..end).unwrap_or_default();
                let Some(found) = pattern.find(lines) else {
                    self.start += end + 1;
                    continue;
                };
                let before = lines.get(..found.start()).unwrap_or_default();
                let after = lines.get(found.end()..).unwrap_or_default();
                let from = self.start + memrchr(b'\n', before).map_or(0, |at| at + 1);
                let to = self.start + memchr(b'\n', after).map_or(end, |at| found.end() + at);
                self.start = to + 1;
                self.searched = 0;
                return Ok(self.buffer.get(from..to));
            }
            self.searched = self.end - self.start;
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// What follows the last whole line: empty, or torn, or not yet written whole.
    pub fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Where in the file the next line begins.
    pub fn position(&self) -> u64 {
        self.offset - (self.end - self.start) as u64
    }

    /// Goes to a byte of the file; the next line given out begins there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn seek(&mut self, to: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(to))?;
        self.offset = to;
        self.start = 0;
        self.end = 0;
        self.searched = 0;
        Ok(())
    }

    /// Skips lines that are surely earlier than an instant.
    ///
    /// # Errors
    /// What the file system says.
    pub fn skip_before(&mut self, since: Timestamp) -> io::Result<()> {
        let since = since.plus_micros(-DISORDER_MICROS);
        self.bisect(|line| peek_ts(line).is_some_and(|ts| ts < since))
    }

    /// Skips records numbered below `seq`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn skip_below(&mut self, seq: u64) -> io::Result<()> {
        self.bisect(|line| peek_seq(line).is_some_and(|found| found < seq))
    }

    /// Goes to a line at or before the first one that is not `before`, not much earlier.
    fn bisect(&mut self, before: impl Fn(&[u8]) -> bool) -> io::Result<()> {
        let (mut low, mut high) = (0, self.file.metadata()?.len());
        while high.saturating_sub(low) > CHUNK as u64 {
            let middle = low + (high - low) / 2;
            self.seek(middle)?;
            // The first line here is the rest of one that began earlier.
            self.next_line()?;
            let at = self.position();
            match self.next_line()? {
                Some(line) if before(line) => low = at,
                _ => high = middle,
            }
        }
        self.seek(low)
    }

    fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < CHUNK / 2 {
            // At a line longer than the buffer it doubles, so that long lines stay linear.
            let len = (self.buffer.len() * 2).max(CHUNK);
            self.buffer.resize(len, 0);
        }
        loop {
            let Some(space) = self.buffer.get_mut(self.end..) else { return Ok(0) };
            match self.file.read(space) {
                Ok(count) => {
                    self.end += count;
                    self.offset += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The first line of a file that has a whole one.
pub(super) fn first_line(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut start = vec![0; 512];
    let mut file = File::open(path)?;
    let count = file.read(&mut start)?;
    start.truncate(count);
    match memchr(b'\n', &start) {
        Some(at) => {
            start.truncate(at);
            Ok(Some(start))
        }
        // Long, or torn.
        None => Ok(Reader::open(path)?.next_line()?.map(<[u8]>::to_vec)),
    }
}

/// The number of a file's first record.
pub(super) fn first_seq(path: &Path) -> io::Result<Option<u64>> {
    Ok(first_line(path)?.and_then(|line| peek_seq(&line)))
}

/// How many bytes of a file are whole lines.
pub(super) fn whole_lines(mut file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut part = vec![0; 64 * 1024];
    while end > 0 {
        let start = end.saturating_sub(part.len() as u64);
        let len = usize::try_from(end - start).unwrap_or(0);
        file.seek(SeekFrom::Start(start))?;
        let Some(space) = part.get_mut(..len) else { break };
        file.read_exact(space)?;
        if let Some(at) = memrchr(b'\n', space) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The last whole line, when whole lines end at `len`.
pub(super) fn last_line(mut file: &File, len: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(mut start) = len.checked_sub(1) else { return Ok(None) };
    let mut line = Vec::new();
    let mut part = vec![0; 8 * 1024];
    while start > 0 {
        let from = start.saturating_sub(part.len() as u64);
        let size = usize::try_from(start - from).unwrap_or(0);
        file.seek(SeekFrom::Start(from))?;
        let Some(space) = part.get_mut(..size) else { break };
        file.read_exact(space)?;
        let at = memrchr(b'\n', space);
        let mut longer = space.get(at.map_or(0, |at| at + 1)..).unwrap_or_default().to_vec();
        longer.extend_from_slice(&line);
        line = longer;
        if at.is_some() {
            break;
        }
        start = from;
    }
    Ok(Some(line))
}
