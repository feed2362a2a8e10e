//! Reading many journals as one: merged by time, and following what is written, new files and
//! rotation included.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use regex::bytes::Regex;

use super::line::peek_ts;
use super::name::FileName;
use super::read::{Reader, files, first_line};
use crate::time::Timestamp;

/// How far the file system's clock may be from the records', in microseconds.
const CLOCKS_APART: i64 = 60_000_000;

/// What is read: every journal of a folder, or one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Every journal in this folder, now and later.
    Folder(PathBuf),
    /// One file.
    File(PathBuf),
}

impl Source {
    /// A folder where there is one at the path, else a file.
    pub fn at(path: &Path) -> Self {
        if path.is_dir() { Self::Folder(path.to_owned()) } else { Self::File(path.to_owned()) }
    }
}

/// The files of one gateway run, read one after the other.
#[derive(Debug)]
struct Run {
    /// Files not opened yet.
    files: VecDeque<PathBuf>,
    /// The file being read, or read to its end so far.
    current: Option<Current>,
    /// The number of the last file that is known.
    last: u64,
    /// The time of the line at hand, or of the first line when nothing was read yet.
    ts: Timestamp,
    /// The line at hand.
    line: Vec<u8>,
    /// Whether there is one.
    ready: bool,
}

/// A file with how far it was read. The ended runs of a month are many: a file that has no more
/// lines is closed until it grows.
#[derive(Debug)]
struct Current {
    path: PathBuf,
    reader: Option<Reader>,
    position: u64,
}

/// What is looked for while reading.
#[derive(Debug, Default)]
struct Wanted {
    since: Option<Timestamp>,
    /// Lines in which one of them is not found are passed over before anything else is done with
    /// them.
    patterns: Vec<Regex>,
}

impl Run {
    fn new(path: PathBuf, number: u64) -> Self {
        Self {
            files: VecDeque::from([path]),
            current: None,
            last: number,
            ts: Timestamp::default(),
            line: Vec::new(),
            ready: false,
        }
    }

    /// Puts the next line at hand; `false` at the end of what is written so far.
    fn advance(&mut self, wanted: &Wanted) -> io::Result<bool> {
        self.ready = false;
        loop {
            if self.current.is_none() && !self.open_next(wanted)? {
                return Ok(false);
            }
            let Some(current) = &mut self.current else { return Ok(false) };
            let reader = match &mut current.reader {
                Some(reader) => reader,
                empty => {
                    let mut reader = match Reader::open(&current.path) {
                        Ok(reader) => reader,
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {
                            self.current = None;
                            continue;
                        }
                        Err(error) => return Err(error),
                    };
                    reader.seek(current.position)?;
                    empty.insert(reader)
                }
            };
            let (first, others) = match wanted.patterns.split_first() {
                None => (None, wanted.patterns.as_slice()),
                Some((first, others)) => (Some(first), others),
            };
            let line = match first {
                None => reader.next_line()?,
                Some(pattern) => reader.next_match(pattern)?,
            };
            match line {
                Some(line) => {
                    if !others.iter().all(|pattern| pattern.is_match(line)) {
                        continue;
                    }
                    // A line without a time stands where it was written.
                    if let Some(ts) = peek_ts(line) {
                        self.ts = ts;
                    }
                    if wanted.since.is_none_or(|since| self.ts >= since) {
                        self.line.clear();
                        self.line.extend_from_slice(line);
                        self.ready = true;
                        return Ok(true);
                    }
                }
                // A later file exists only when this one was ended.
                None if !self.files.is_empty() => self.current = None,
                None => {
                    current.position = reader.position();
                    current.reader = None;
                    return Ok(false);
                }
            }
        }
    }

    /// Opens the next file; `false` when there is none.
    fn open_next(&mut self, wanted: &Wanted) -> io::Result<bool> {
        while let Some(path) = self.files.pop_front() {
            let mut reader = match Reader::open(&path) {
                Ok(reader) => reader,
                // Kept for so long and no longer: it is gone between listing and opening.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if let Some(since) = wanted.since {
                reader.skip_before(since)?;
            }
            self.current = Some(Current { path, reader: Some(reader), position: 0 });
            return Ok(true);
        }
        Ok(false)
    }
}

/// Reads journals merged by time. Files are opened when their time comes.
#[derive(Debug)]
pub struct Follower {
    sources: Vec<Source>,
    wanted: Wanted,
    /// By the source's place and the gateway run.
    names: HashMap<(usize, String), usize>,
    size: u64,
    runs: Vec<Run>,
    /// Runs that have a line, or are to be opened, by the time of it.
    queue: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// The run whose line was given out last.
    given: Option<usize>,
}

impl Follower {
    /// Begins at an instant, or at the beginning of everything.
    ///
    /// # Errors
    /// What the file system says; a folder that does not exist holds no journals yet.
    pub fn open(source: Source, since: Option<Timestamp>) -> io::Result<Self> {
        Self::open_for(source, since, &[])
    }

    /// As [`Follower::open`], for those who only want lines in which each of some expressions is
    /// found: other lines are passed over without being looked at. No expressions: every line. They
    /// must not match across a line feed.
    ///
    /// # Errors
    /// As [`Follower::open`].
    pub fn open_for(source: Source, since: Option<Timestamp>, needles: &[Regex]) -> io::Result<Self> {
        Self::open_all(vec![source], since, needles)
    }

    /// As [`Follower::open_for`], of several sources. A file that is named twice, or that lies in a
    /// folder that is named too, is read once.
    ///
    /// # Errors
    /// As [`Follower::open`].
    pub fn open_all(
        mut sources: Vec<Source>,
        since: Option<Timestamp>,
        needles: &[Regex],
    ) -> io::Result<Self> {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let folders: Vec<PathBuf> = sources
            .iter()
            .filter_map(|source| match source {
                Source::Folder(path) => Some(real(path)),
                Source::File(_) => None,
            })
            .collect();
        let mut seen = std::collections::HashSet::new();
        sources.retain(|source| match source {
            Source::Folder(path) => seen.insert(real(path)),
            Source::File(path) => {
                let path = real(path);
                let within =
                    path.parent().is_some_and(|parent| folders.iter().any(|folder| folder == parent));
                !(within && FileName::of(&path).is_some()) && seen.insert(path)
            }
        });
        let mut follower = Self {
            sources,
            wanted: Wanted { since, patterns: needles.to_vec() },
            names: HashMap::new(),
            size: 0,
            runs: Vec::new(),
            queue: BinaryHeap::new(),
            given: None,
        };
        follower.look()?;
        Ok(follower)
    }

    /// Looks for files that came, and lines that were written, since.
    ///
    /// # Errors
    /// What the file system says.
    pub fn look(&mut self) -> io::Result<()> {
        self.size = 0;
        for at in 0..self.sources.len() {
            let Some(source) = self.sources.get(at).cloned() else { break };
            self.look_at(at, source)?;
        }
        Ok(())
    }

    /// How many bytes there are, in files that may hold what is asked for, as of the last look.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn look_at(&mut self, at: usize, source: Source) -> io::Result<()> {
        match source {
            Source::File(path) => {
                let known = self.names.contains_key(&(at, String::new()));
                let len = match std::fs::metadata(&path) {
                    Ok(meta) => meta.len(),
                    // It was there and was taken away: there is only nothing more to come.
                    Err(error) if error.kind() == io::ErrorKind::NotFound && known => return Ok(()),
                    Err(error) => return Err(error),
                };
                // What cannot be opened is said at once.
                if !known {
                    drop(Reader::open(&path)?);
                }
                self.size += len;
                self.found(at, "", 0, path, len, None);
            }
            Source::Folder(folder) => {
                for file in files(&folder)? {
                    let old = self.wanted.since.and_then(|since| {
                        let modified = file.modified.duration_since(SystemTime::UNIX_EPOCH).ok()?;
                        let micros = i64::try_from(modified.as_micros()).ok()?;
                        Some(micros.saturating_add(CLOCKS_APART) < since.0)
                    });
                    if old != Some(true) {
                        self.size += file.len;
                    }
                    self.found(at, &file.name.gateway, file.name.number, file.path, file.len, old);
                }
            }
        }
        Ok(())
    }

    /// A file that is there. `old`: everything in it is earlier than what is asked for.
    fn found(
        &mut self,
        source: usize,
        gateway: &str,
        number: u64,
        path: PathBuf,
        len: u64,
        old: Option<bool>,
    ) {
        let name = (source, gateway.to_owned());
        let Some(at) = self.names.get(&name).copied() else {
            let mut run = Run::new(path, number);
            if old == Some(true) {
                // It may still grow.
                let path = run.files.pop_front().unwrap_or_default();
                run.current = Some(Current { path, reader: None, position: len });
            } else {
                run.ts = run.files.front().and_then(|path| first_ts(path)).unwrap_or_default();
                self.queue.push(Reverse((run.ts, self.runs.len())));
            }
            self.names.insert(name, self.runs.len());
            self.runs.push(run);
            return;
        };
        let Some(run) = self.runs.get_mut(at) else { return };
        // Asleep: at its end, and in nobody's hands.
        let asleep = !run.ready && run.current.as_ref().is_none_or(|current| current.reader.is_none());
        let mut wake = false;
        if number > run.last {
            run.files.push_back(path);
            run.last = number;
            wake = asleep;
        } else if number == run.last && asleep {
            wake = run.current.as_ref().is_some_and(|current| current.position < len);
        }
        if wake && !self.queue.iter().any(|Reverse((_, queued))| *queued == at) {
            self.queue.push(Reverse((run.ts, at)));
        }
    }

    /// The gateway runs whose last line is torn, or not written whole yet, among those that were
    /// read to their ends.
    pub fn torn(&self) -> Vec<String> {
        let is_torn = |run: &Run| {
            let current = run.current.as_ref()?;
            let len = std::fs::metadata(&current.path).ok()?.len();
            (current.reader.is_none() && current.position < len).then_some(())
        };
        let mut torn: Vec<String> = self
            .names
            .iter()
            .filter(|(_, at)| self.runs.get(**at).is_some_and(|run| is_torn(run).is_some()))
            .map(|((_, name), _)| name.clone())
            .collect();
        torn.sort_unstable();
        torn
    }

    /// The next line by time among what is written so far, without its line feed; `None` at the
    /// end: ask again after [`Follower::look`]. Lines that two gateways write at the same time may
    /// come in the order in which they are found.
    ///
    /// # Errors
    /// What the file system says.
    pub fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        let mut next = self.given.take();
        loop {
            let at = match next.take() {
                Some(at) => at,
                None => match self.queue.pop() {
                    Some(Reverse((_, at))) => at,
                    None => return Ok(None),
                },
            };
            let Some(run) = self.runs.get_mut(at) else { continue };
            // One that waited in the queue with its line at hand was advanced before.
            if !run.ready && !run.advance(&self.wanted)? {
                continue;
            }
            if self.queue.peek().is_some_and(|Reverse((ts, _))| *ts < run.ts) {
                self.queue.push(Reverse((run.ts, at)));
                continue;
            }
            run.ready = false;
            self.given = Some(at);
            break;
        }
        Ok(self.given.and_then(|at| self.runs.get(at)).map(|run| run.line.as_slice()))
    }
}

/// For [`Follower::open_for`]: what is found in every decision, as the gateway prints it.
pub fn decisions() -> Vec<Regex> {
    Regex::new(r#""type":"decision""#).into_iter().collect()
}

fn first_ts(path: &Path) -> Option<Timestamp> {
    first_line(path).ok().flatten().and_then(|line| peek_ts(&line))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    fn line(seq: u64, second: u64) -> String {
        format!("{{\"type\":\"outcome\",\"seq\":{seq},\"ts\":\"2026-11-20T21:20:{second:02}.000000Z\"}}\n")
    }

    fn all(follower: &mut Follower) -> Vec<u64> {
        let mut seqs = Vec::new();
        while let Some(line) = follower.next_line().expect("reads") {
            seqs.push(super::super::line::peek_seq(line).expect("seq"));
        }
        seqs
    }

    #[test]
    fn merges_by_time_and_follows_lines_files_and_rotation() {
        let folder = tempfile::tempdir().expect("folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.1.jsonl"), line(1, 1) + &line(2, 5)).expect("written");
        fs::write(path("b.1.jsonl"), line(10, 2) + &line(11, 3) + "{\"torn").expect("written");
        let mut follower = Follower::open(Source::at(folder.path()), None).expect("opens");
        assert_eq!(all(&mut follower), [1, 10, 11, 2]);
        assert_eq!(all(&mut follower), Vec::<u64>::new());
        let mut b = fs::OpenOptions::new().append(true).open(path("b.1.jsonl")).expect("opens");
        b.write_all(b"\":1}\n").expect("written");
        fs::write(path("a.2.jsonl"), line(3, 8)).expect("written");
        fs::write(path("c.1.jsonl"), line(20, 9)).expect("written");
        follower.look().expect("looks");
        let rest: Vec<Vec<u8>> =
            std::iter::from_fn(|| follower.next_line().expect("reads").map(<[u8]>::to_vec)).collect();
        assert_eq!(rest.len(), 3);
        assert_eq!(rest[0], b"{\"torn\":1}");
    }

    #[test]
    fn passes_over_lines_without_what_is_wanted() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.1.jsonl");
        let text: String = (0..20_000)
            .map(
                |n| if n % 1000 == 7 { line(n, n % 60).replace("outcome", "event") } else { line(n, n % 60) },
            )
            .collect();
        fs::write(&path, &text).expect("written");
        let needles =
            [r#""type":"(?:event|none)""#, r#""seq":"#].map(|text| Regex::new(text).expect("valid"));
        let mut follower = Follower::open_for(Source::at(folder.path()), None, &needles).expect("opens");
        assert_eq!(all(&mut follower), (0..20).map(|n| n * 1000 + 7).collect::<Vec<_>>());
        let mut file = fs::OpenOptions::new().append(true).open(&path).expect("opens");
        file.write_all(b"{\"type\":\"event\",\"se").expect("written");
        follower.look().expect("looks");
        assert_eq!(all(&mut follower), Vec::<u64>::new());
        file.write_all(b"q\":5}\n").expect("written");
        follower.look().expect("looks");
        assert_eq!(all(&mut follower), [5]);
    }

    #[test]
    fn many_ended_runs_need_few_open_files() {
        let folder = tempfile::tempdir().expect("folder");
        for run in 0..3000 {
            let text = line(run, run % 60);
            fs::write(folder.path().join(format!("r{run}.1.jsonl")), text).expect("written");
        }
        let mut follower = Follower::open(Source::at(folder.path()), None).expect("opens");
        assert_eq!(all(&mut follower).len(), 3000);
        follower.look().expect("looks");
        assert_eq!(all(&mut follower), Vec::<u64>::new());
    }

    #[test]
    fn begins_at_an_instant() {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("a.1.jsonl"), (1..50).map(|n| line(n, n)).collect::<String>())
            .expect("written");
        let since = Timestamp::parse("2026-11-20T21:20:40Z");
        let mut follower = Follower::open(Source::at(folder.path()), since).expect("opens");
        assert_eq!(all(&mut follower), (40..50).collect::<Vec<_>>());
        let missing = Follower::open(Source::File(folder.path().join("none.jsonl")), None);
        assert!(missing.is_err());
        let later = Follower::open(Source::Folder(folder.path().join("later")), None);
        assert_eq!(all(&mut later.expect("no journals yet")), Vec::<u64>::new());
    }
}
