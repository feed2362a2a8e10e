//! Reading journals from the newest line backwards, merged by time, and going on from where one was:
//! for those who scroll through more than they can hold.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memchr::memrchr;

use super::line::{peek_seq, peek_ts};
use super::read::{JournalFile, Reader, files, first_seq, whole_lines};
use crate::time::Timestamp;

/// How much is read at once.
const CHUNK: u64 = 64 * 1024;
/// How far the file system's clock may be from the records', in microseconds.
const CLOCKS_APART: i64 = 60_000_000;

/// A place in all journals of a folder: of each gateway run the file and the byte up to which its
/// lines lie before it. Gateway runs that are not named lie wholly after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    runs: BTreeMap<String, (u64, u64)>,
}

fn runs(dir: &Path) -> io::Result<BTreeMap<String, Vec<JournalFile>>> {
    let mut runs: BTreeMap<String, Vec<JournalFile>> = BTreeMap::new();
    for file in files(dir)? {
        runs.entry(file.name.gateway.clone()).or_default().push(file);
    }
    Ok(runs)
}

/// What the file system says, except of files that were deleted meanwhile: those have no lines.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Place {
    /// The end of what is written.
    ///
    /// # Errors
    /// What the file system says.
    pub fn end(dir: &Path) -> io::Result<Self> {
        let mut place = Self::default();
        for (run, files) in runs(dir)? {
            if let Some(file) = files.last()
                && let Some(end) = unless_gone(File::open(&file.path).and_then(|file| whole_lines(&file)))?
            {
                place.runs.insert(run, (file.name.number, end));
            }
        }
        Ok(place)
    }

    /// Before an instant, and of the gateway runs that are named before a number.
    ///
    /// # Errors
    /// What the file system says.
    pub fn before(dir: &Path, ts: Timestamp, seqs: &BTreeMap<String, u64>) -> io::Result<Self> {
        let mut place = Self::default();
        for (run, files) in runs(dir)? {
            let seq = seqs.get(&run).copied();
            let after = |line: &[u8]| match seq {
                Some(seq) => peek_seq(line).is_some_and(|found| found >= seq),
                None => peek_ts(line).is_some_and(|found| found >= ts),
            };
            // The last file that begins before.
            for file in files.iter().rev() {
                let Some(mut reader) = unless_gone(Reader::open(&file.path))? else { continue };
                if let Some(seq) = seq {
                    if unless_gone(first_seq(&file.path))?.flatten().is_none_or(|first| first >= seq) {
                        continue;
                    }
                    reader.skip_below(seq)?;
                } else {
                    if reader.next_line()?.is_none_or(after) {
                        continue;
                    }
                    reader.skip_before(ts)?;
                }
                // From there on the lines are few.
                let mut end = reader.position();
                while let Some(line) = reader.next_line()? {
                    if after(line) {
                        break;
                    }
                    end = reader.position();
                }
                place.runs.insert(run, (file.name.number, end));
                break;
            }
        }
        Ok(place)
    }

    /// Whether nothing lies before it.
    pub fn is_start(&self) -> bool {
        self.runs.is_empty()
    }
}

/// The lines of one gateway run, backwards.
struct Back {
    run: String,
    /// Its files before the one being read, oldest first.
    files: Vec<(u64, PathBuf)>,
    number: u64,
    file: Option<File>,
    path: PathBuf,
    /// Where in the file the buffer begins.
    start: u64,
    buffer: Vec<u8>,
    /// What lies before the line at hand, in the buffer.
    end: usize,
    /// The line at hand.
    line: (usize, usize),
    ts: Timestamp,
}

impl Back {
    /// The byte of the file before which everything lies that was not given out, the line at hand
    /// included.
    fn here(&self) -> u64 {
        self.start + self.line.1 as u64
    }

    /// Puts the line before at hand; `false` at the beginning of everything.
    fn retreat(&mut self) -> io::Result<bool> {
        loop {
            if self.file.is_none() {
                match unless_gone(File::open(&self.path))? {
                    Some(file) => self.file = Some(file),
                    None => self.start = 0,
                }
            }
            // The line feed at the end of the line itself is not looked for.
            let searched = self.buffer.get(..self.end.saturating_sub(1)).unwrap_or_default();
            let found = memrchr(b'\n', searched).map(|at| at + 1);
            if self.end > 0 && (found.is_some() || self.start == 0) {
                let from = found.unwrap_or(0);
                self.line = (from, self.end);
                self.end = from;
                let text = self.buffer.get(self.line.0..self.line.1).unwrap_or_default();
                // A line without a time stands where it was written.
                if let Some(ts) = peek_ts(text) {
                    self.ts = ts;
                }
                return Ok(true);
            }
            if self.start > 0 && self.file.is_some() {
                self.fill()?;
                continue;
            }
            let Some((number, path)) = self.files.pop() else { return Ok(false) };
            self.number = number;
            self.path = path;
            self.file = unless_gone(File::open(&self.path))?;
            self.start = match &self.file {
                Some(file) => whole_lines(file)?,
                None => 0,
            };
            self.buffer.clear();
            self.end = 0;
        }
    }

    /// Reads what lies before the buffer, as much as a line may need.
    fn fill(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let size = CHUNK.max(self.end as u64).min(self.start);
        let from = self.start - size;
        let mut buffer = vec![0; usize::try_from(size).unwrap_or(0)];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut buffer)?;
        buffer.extend_from_slice(self.buffer.get(..self.end).unwrap_or_default());
        self.start = from;
        self.end = buffer.len();
        self.buffer = buffer;
        Ok(())
    }
}

/// Gives the lines before a place, the newest first, to `each` until that breaks, and answers with
/// the place before the last line given. `floor`: lines before that place are not given.
///
/// # Errors
/// What the file system says. Files deleted meanwhile are no error.
pub fn back(
    dir: &Path,
    from: &Place,
    floor: Option<&Place>,
    each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<Place> {
    let there = runs(dir)?;
    let mut reached = from.clone();
    reached.runs.retain(|run, _| there.contains_key(run));
    let mut readers: Vec<Back> = Vec::new();
    // The time of the line at hand, or at least that where no file was opened yet.
    let mut queue: BinaryHeap<(Timestamp, Reverse<usize>, bool)> = BinaryHeap::new();
    for (run, files) in there {
        let Some((number, byte)) = from.runs.get(&run).copied() else { continue };
        let low = floor.and_then(|floor| floor.runs.get(&run)).copied().unwrap_or((0, 0));
        if floor.is_some() && (number, byte) <= low {
            continue;
        }
        let Some(last) = files.iter().find(|file| file.name.number == number) else {
            reached.runs.remove(&run);
            continue;
        };
        let modified = last.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(modified.as_micros()).unwrap_or(i64::MAX);
        let before = files.iter().filter(|file| file.name.number < number && file.name.number >= low.0);
        queue.push((Timestamp(micros.saturating_add(CLOCKS_APART)), Reverse(readers.len()), false));
        readers.push(Back {
            files: before.map(|file| (file.name.number, file.path.clone())).collect(),
            run,
            number,
            file: None,
            path: last.path.clone(),
            start: byte,
            buffer: Vec::new(),
            end: 0,
            line: (0, 0),
            ts: Timestamp(i64::MAX),
        });
    }
    while let Some((_, Reverse(at), ready)) = queue.pop() {
        let Some(reader) = readers.get_mut(at) else { continue };
        if ready {
            let line = reader.buffer.get(reader.line.0..reader.line.1).unwrap_or_default();
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let flow = each(line);
            let left = (reader.number, reader.start + reader.line.0 as u64);
            reached.runs.insert(reader.run.clone(), left);
            if flow.is_break() {
                return Ok(reached);
            }
        }
        let low = floor.and_then(|floor| floor.runs.get(&reader.run)).copied();
        let more = reader.retreat()? && low.is_none_or(|low| (reader.number, reader.here()) > low);
        if more {
            queue.push((reader.ts, Reverse(at), true));
        } else {
            match low {
                Some(low) => reached.runs.insert(reader.run.clone(), low),
                None => reached.runs.remove(&reader.run),
            };
        }
    }
    Ok(reached)
}

/// The place at most `lines` lines after another, by time, and whether there is nothing more. Of the
/// gateway runs that are named it goes no further than before a number, of others no further than
/// before an instant.
///
/// # Errors
/// What the file system says.
pub fn forth(
    dir: &Path,
    from: &Place,
    lines: usize,
    ts: Timestamp,
    seqs: &BTreeMap<String, u64>,
) -> io::Result<(Place, bool)> {
    struct Forth {
        run: String,
        files: Vec<(u64, PathBuf)>,
        number: u64,
        reader: Option<Reader>,
        end: u64,
        ts: Timestamp,
    }
    impl Forth {
        /// Steps over the next line; `false` when there is none.
        fn advance(&mut self, after: &dyn Fn(&str, &[u8]) -> bool) -> io::Result<bool> {
            loop {
                if let Some(reader) = &mut self.reader {
                    if let Some(line) = reader.next_line()? {
                        if after(&self.run, line) {
                            return Ok(false);
                        }
                        if let Some(ts) = peek_ts(line) {
                            self.ts = ts;
                        }
                        return Ok(true);
                    }
                    self.reader = None;
                }
                let Some((number, path)) = self.files.pop() else { return Ok(false) };
                self.reader = unless_gone(Reader::open(&path))?;
                (self.number, self.end) = (number, 0);
            }
        }
    }
    let after = |run: &str, line: &[u8]| match seqs.get(run) {
        Some(seq) => peek_seq(line).is_some_and(|found| found >= *seq),
        None => peek_ts(line).is_some_and(|found| found >= ts),
    };
    let mut reached = from.clone();
    let mut readers: Vec<Forth> = Vec::new();
    let mut queue: BinaryHeap<Reverse<(Timestamp, usize)>> = BinaryHeap::new();
    for (run, files) in runs(dir)? {
        let (number, byte) = from.runs.get(&run).copied().unwrap_or((0, 0));
        let mut later: Vec<(u64, PathBuf)> = files
            .iter()
            .filter(|file| file.name.number > number)
            .map(|file| (file.name.number, file.path.clone()))
            .collect();
        later.reverse();
        let reader = match files.iter().find(|file| file.name.number == number) {
            Some(file) if byte < file.len => unless_gone(Reader::open(&file.path))?,
            _ => None,
        };
        let mut forth = Forth { run, files: later, number, reader, end: byte, ts: Timestamp::default() };
        if let Some(reader) = &mut forth.reader {
            reader.seek(byte)?;
        }
        if forth.advance(&after)? {
            queue.push(Reverse((forth.ts, readers.len())));
            readers.push(forth);
        }
    }
    for _ in 0..lines {
        let Some(Reverse((_, at))) = queue.pop() else { return Ok((reached, true)) };
        let Some(forth) = readers.get_mut(at) else { continue };
        if let Some(reader) = &forth.reader {
            forth.end = reader.position();
        }
        reached.runs.insert(forth.run.clone(), (forth.number, forth.end));
        if forth.advance(&after)? {
            queue.push(Reverse((forth.ts, at)));
        }
    }
    Ok((reached, queue.is_empty()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn line(seq: u64, second: u64) -> String {
        format!("{{\"type\":\"outcome\",\"seq\":{seq},\"ts\":\"2026-11-20T21:20:{second:02}.000000Z\"}}\n")
    }

    fn seqs_back(dir: &Path, from: &Place, floor: Option<&Place>, most: usize) -> (Vec<u64>, Place) {
        let mut seqs = Vec::new();
        let place = back(dir, from, floor, &mut |line| {
            seqs.push(peek_seq(line).expect("a number"));
            if seqs.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .expect("reads");
        (seqs, place)
    }

    #[test]
    fn reads_backwards_by_time_over_files_and_runs_and_goes_on_where_it_was() {
        let folder = tempfile::tempdir().expect("folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.1.jsonl"), line(1, 1) + &line(2, 5)).expect("written");
        fs::write(path("a.2.jsonl"), line(3, 8)).expect("written");
        fs::write(path("b.1.jsonl"), line(10, 2) + &line(11, 6) + "{\"torn").expect("written");
        let end = Place::end(folder.path()).expect("end");
        let (all, start) = seqs_back(folder.path(), &end, None, 100);
        assert_eq!(all, [3, 11, 2, 10, 1]);
        assert!(start.is_start());
        let (first, place) = seqs_back(folder.path(), &end, None, 2);
        let (rest, _) = seqs_back(folder.path(), &place, None, 100);
        assert_eq!((first, rest), (vec![3, 11], vec![2, 10, 1]));
        let (between, again) = seqs_back(folder.path(), &end, Some(&place), 100);
        assert_eq!(between, [3, 11]);
        assert_eq!(again, place, "down to the floor and no further");
        // Forwards again: the same lines lie between.
        let none = BTreeMap::new();
        let late = Timestamp(i64::MAX);
        let (further, ended) = forth(folder.path(), &place, 1, late, &none).expect("reads");
        assert!(!ended);
        assert_eq!(seqs_back(folder.path(), &further, Some(&place), 100).0, [11]);
        let (further, ended) = forth(folder.path(), &further, 100, late, &none).expect("reads");
        assert!(ended);
        assert_eq!(further, end);
    }

    #[test]
    fn begins_before_an_instant_and_before_numbers() {
        let folder = tempfile::tempdir().expect("folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.1.jsonl"), (1..30).map(|n| line(n, n)).collect::<String>()).expect("written");
        fs::write(path("a.2.jsonl"), (30..50).map(|n| line(n, n)).collect::<String>()).expect("written");
        fs::write(path("b.1.jsonl"), (1..50).map(|n| line(100 + n, n)).collect::<String>()).expect("written");
        let ts = Timestamp::parse("2026-11-20T21:20:20Z").expect("a time");
        let seqs = BTreeMap::from([("a".to_owned(), 31)]);
        let place = Place::before(folder.path(), ts, &seqs).expect("a place");
        let (found, _) = seqs_back(folder.path(), &place, None, 1000);
        let of_a: Vec<u64> = found.iter().copied().filter(|seq| *seq < 100).collect();
        let of_b: Vec<u64> = found.iter().copied().filter(|seq| *seq > 100).collect();
        assert_eq!(of_a, (1..31).rev().collect::<Vec<_>>());
        assert_eq!(of_b, (101..120).rev().collect::<Vec<_>>());
        let (up_to, ended) = forth(folder.path(), &Place::default(), 1000, ts, &seqs).expect("reads");
        assert!(ended);
        assert_eq!(up_to, place, "forwards it stops there");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn pages_of_any_size_give_every_line_once(
            lines in prop::collection::vec((0usize..3, 0u64..60, 0usize..40_000), 1..60),
            page in 1usize..9,
        ) {
            let folder = tempfile::tempdir().expect("folder");
            let mut texts = [String::new(), String::new(), String::new()];
            let mut last = [0; 3];
            for (seq, (run, second, pad)) in (1u64..).zip(&lines) {
                // Each run's own lines are in the order of time.
                last[*run] = last[*run].max(*second);
                let pad = "x".repeat(*pad);
                texts[*run] += &format!(
                    "{{\"type\":\"event\",\"seq\":{seq},\"ts\":\"2026-11-20T21:20:{:02}.000000Z\",\"data\":\"{pad}\"}}\n",
                    last[*run]
                );
            }
            for (run, text) in texts.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
                // Some over two files.
                let half = text[..text.len() / 2].rfind('\n').map_or(0, |at| at + 1);
                fs::write(folder.path().join(format!("r{run}.1.jsonl")), &text[..half]).expect("written");
                fs::write(folder.path().join(format!("r{run}.2.jsonl")), &text[half..]).expect("written");
            }
            let end = Place::end(folder.path()).expect("end");
            let (whole, _) = seqs_back(folder.path(), &end, None, usize::MAX);
            prop_assert_eq!(whole.len(), lines.len());
            let mut pages = Vec::new();
            let mut place = end;
            while !place.is_start() {
                let (seqs, older) = seqs_back(folder.path(), &place, None, page);
                let (again, _) = seqs_back(folder.path(), &place, Some(&older), usize::MAX);
                if !older.is_start() {
                    prop_assert_eq!(&again, &seqs, "what lies between two places is what was given");
                }
                pages.extend(seqs);
                place = older;
            }
            prop_assert_eq!(pages, whole);
        }
    }
}
