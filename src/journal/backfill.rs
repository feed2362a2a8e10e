//! Records that a feed's client missed, from the journal.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::line::peek_seq;
use super::read::{Reader, files, first_seq};

/// What the journal still has of the numbers that were asked for.
#[derive(Debug, Clone, Default)]
pub struct Backfill {
    /// The records with their numbers, ascending. Numbers may be missing where files were deleted.
    pub records: Vec<(u64, Arc<[u8]>)>,
    /// The first number not looked at, because the limit was reached.
    pub next: Option<u64>,
}

/// Reads the records `from_seq..=to_seq` of a gateway run, at most `limit` of them.
///
/// # Errors
/// What the file system says. Files deleted meanwhile are no error.
pub fn backfill(
    dir: &Path,
    gateway_id: &str,
    from_seq: u64,
    to_seq: u64,
    limit: usize,
) -> io::Result<Backfill> {
    let mut found = Backfill::default();
    let mut parts = Vec::new();
    for file in files(dir)? {
        if file.name.gateway != gateway_id {
            continue;
        }
        match first_seq(&file.path) {
            Ok(Some(first)) => parts.push((first, file.path)),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let ends: Vec<_> = parts.iter().skip(1).map(|(first, _)| *first).chain([u64::MAX]).collect();
    for ((first, path), end) in parts.into_iter().zip(ends) {
        if end <= from_seq || first > to_seq {
            continue;
        }
        let mut reader = match Reader::open(&path) {
            Ok(reader) => reader,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        reader.skip_below(from_seq)?;
        while let Some(line) = reader.next_line()? {
            let Some(seq) = peek_seq(line) else { continue };
            if seq < from_seq {
                continue;
            }
            if seq > to_seq {
                return Ok(found);
            }
            if found.records.len() >= limit {
                found.next = Some(seq);
                return Ok(found);
            }
            found.records.push((seq, Arc::from(line)));
        }
    }
    Ok(found)
}
