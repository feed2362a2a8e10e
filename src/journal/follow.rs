//! Reading many journals as one: merged by time, and following what is written, new files and
//! rotation included.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use super::line::peek_ts;
use super::name::FileName;
use super::read::{Reader, files};
use crate::time::Timestamp;

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
    files: VecDeque<PathBuf>,
    reader: Option<Reader>,
    /// The number of the last file that is known.
    last: u64,
    head: Option<(Timestamp, Vec<u8>)>,
}

impl Run {
    /// Puts the next whole line at the head, where there is one.
    fn advance(&mut self, since: Option<Timestamp>) -> io::Result<()> {
        while self.head.is_none() {
            if self.reader.is_none() {
                let Some(path) = self.files.pop_front() else { return Ok(()) };
                let mut reader = match Reader::open(&path) {
                    Ok(reader) => reader,
                    // Kept for so long and no longer: it is gone between listing and opening.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                };
                if let Some(since) = since {
                    reader.skip_before(since)?;
                }
                self.reader = Some(reader);
            }
            let Some(reader) = &mut self.reader else { return Ok(()) };
            match reader.next_line()? {
                Some(line) => {
                    let ts = peek_ts(line).unwrap_or_default();
                    if since.is_none_or(|since| ts >= since) {
                        self.head = Some((ts, line.to_vec()));
                    }
                }
                // A later file exists only when this one was ended.
                None if !self.files.is_empty() => self.reader = None,
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

/// Reads journals merged by time.
#[derive(Debug)]
pub struct Follower {
    source: Source,
    since: Option<Timestamp>,
    runs: BTreeMap<String, Run>,
}

impl Follower {
    /// Begins at an instant, or at the beginning of everything.
    ///
    /// # Errors
    /// What the file system says; a folder that does not exist holds no journals yet.
    pub fn open(source: Source, since: Option<Timestamp>) -> io::Result<Self> {
        let mut follower = Self { source, since, runs: BTreeMap::new() };
        follower.look()?;
        Ok(follower)
    }

    /// Looks for files that came since.
    ///
    /// # Errors
    /// What the file system says.
    pub fn look(&mut self) -> io::Result<()> {
        match self.source.clone() {
            Source::File(path) => {
                if self.runs.is_empty() {
                    let reader = Reader::open(&path)?;
                    drop(reader);
                    self.runs.insert(String::new(), Run::of(path, 0));
                }
            }
            Source::Folder(folder) => {
                for file in files(&folder)? {
                    self.add(file.path, &file.name);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf, name: &FileName) {
        match self.runs.get_mut(&name.gateway) {
            Some(run) if name.number > run.last => {
                run.files.push_back(path);
                run.last = name.number;
            }
            Some(_) => {}
            None => {
                self.runs.insert(name.gateway.clone(), Run::of(path, name.number));
            }
        }
    }

    /// The next line by time among what is written so far, without its line feed; `None` at the
    /// end: ask again after [`Follower::look`]. Lines that two gateways write at the same time may
    /// come in the order in which they are found.
    ///
    /// # Errors
    /// What the file system says.
    pub fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut earliest: Option<(Timestamp, &mut Run)> = None;
        for run in self.runs.values_mut() {
            run.advance(self.since)?;
            let Some((ts, _)) = run.head else { continue };
            if earliest.as_ref().is_none_or(|(first, _)| ts < *first) {
                earliest = Some((ts, run));
            }
        }
        Ok(earliest.and_then(|(_, run)| run.head.take()).map(|(_, line)| line))
    }
}

impl Run {
    fn of(path: PathBuf, number: u64) -> Self {
        Self { files: VecDeque::from([path]), reader: None, last: number, head: None }
    }
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
            seqs.push(super::super::line::peek_seq(&line).expect("seq"));
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
        let rest: Vec<Vec<u8>> = std::iter::from_fn(|| follower.next_line().expect("reads")).collect();
        assert_eq!(rest.len(), 3);
        assert_eq!(rest[0], b"{\"torn\":1}");
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
