//! One record of a gateway run: where it stands, and its line.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::line::peek_seq;
use super::read::{Reader, files, first_seq};

/// A record that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub number: u64,
    /// The record, without its line feed.
    pub line: Vec<u8>,
}

/// Finds a record by its number; `None` where the folder does not have it.
///
/// # Errors
/// What the file system says. Files deleted meanwhile are no error.
pub fn find(dir: &Path, gateway: &str, seq: u64) -> io::Result<Option<Found>> {
    let mut last = None;
    for file in files(dir)? {
        if file.name.gateway != gateway {
            continue;
        }
        match first_seq(&file.path) {
            Ok(Some(first)) if first <= seq => last = Some(file.path),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let Some(path) = last else { return Ok(None) };
    let mut reader = Reader::open(&path)?;
    reader.skip_below(seq)?;
    loop {
        let at = reader.position();
        let Some(line) = reader.next_line()? else { return Ok(None) };
        match peek_seq(line) {
            Some(found) if found == seq => {
                let line = line.to_vec();
                let number = lines_before(&path, at)? + 1;
                return Ok(Some(Found { path, number, line }));
            }
            Some(found) if found > seq => return Ok(None),
            _ => {}
        }
    }
}

/// How many lines end before a byte of a file.
fn lines_before(path: &Path, end: u64) -> io::Result<u64> {
    let mut file = std::fs::File::open(path)?.take(end);
    let mut part = vec![0; 256 * 1024];
    let mut lines = 0;
    loop {
        let count = file.read(&mut part)?;
        if count == 0 {
            return Ok(lines);
        }
        lines += memchr::memchr_iter(b'\n', part.get(..count).unwrap_or_default()).count() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_record_in_its_file_and_line() {
        let folder = tempfile::tempdir().expect("folder");
        let line = |seq: u64| {
            format!("{{\"type\":\"outcome\",\"seq\":{seq},\"ts\":\"2026-11-20T21:20:00.000000Z\"}}\n")
        };
        let write = |name: &str, seqs: std::ops::Range<u64>| {
            let text: String = seqs.filter(|seq| *seq != 7777).map(line).collect();
            std::fs::write(folder.path().join(name), text).expect("written");
        };
        write("a.1.jsonl", 1..9000);
        write("a.2.jsonl", 9000..9100);
        write("b.1.jsonl", 1..3);
        for (gateway, seq, file, number) in [
            ("a", 1, "a.1.jsonl", 1),
            ("a", 7776, "a.1.jsonl", 7776),
            ("a", 7778, "a.1.jsonl", 7777),
            ("a", 9000, "a.2.jsonl", 1),
            ("a", 9099, "a.2.jsonl", 100),
            ("b", 2, "b.1.jsonl", 2),
        ] {
            let found = find(folder.path(), gateway, seq).expect("reads").expect("there");
            assert_eq!((found.path, found.number), (folder.path().join(file), number));
            assert_eq!(found.line, line(seq).trim_end().as_bytes());
        }
        for (gateway, seq) in [("a", 0), ("a", 7777), ("a", 9100), ("b", 3), ("c", 1)] {
            assert_eq!(find(folder.path(), gateway, seq).expect("reads"), None, "{gateway} {seq}");
        }
    }
}
