//! Where records come from that are in memory no more.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::journal;

/// The durable records of one gateway run.
pub trait History: Send + Sync {
    /// The number of the oldest record that can still be had; `None` when there is none.
    fn oldest(&self) -> Option<u64>;

    /// Gives the records with numbers from `from` to `to`, in order, to `each`, until that answers
    /// `false`. What is not there any more is left out.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read(&self, from: u64, to: u64, each: &mut dyn FnMut(u64, Arc<[u8]>) -> bool) -> io::Result<()>;
}

/// The journal as the history.
#[derive(Debug, Clone)]
pub struct JournalHistory {
    /// The folder of the journals.
    pub folder: PathBuf,
    /// The id of the gateway run.
    pub gateway: String,
}

/// Records read at once: bounded, since one may hold tens of kilobytes of arguments.
const AT_ONCE: usize = 256;

impl History for JournalHistory {
    fn oldest(&self) -> Option<u64> {
        let found = journal::backfill(&self.folder, &self.gateway, 1, u64::MAX, 1).ok()?;
        found.records.first().map(|(seq, _)| *seq)
    }

    fn read(&self, from: u64, to: u64, each: &mut dyn FnMut(u64, Arc<[u8]>) -> bool) -> io::Result<()> {
        let mut from = from;
        loop {
            let found = journal::backfill(&self.folder, &self.gateway, from, to, AT_ONCE)?;
            for (seq, line) in found.records {
                if !each(seq, line) {
                    return Ok(());
                }
            }
            match found.next {
                Some(next) if next > from && next <= to => from = next,
                _ => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Options, Writer};
    use crate::record::{Event, EventKind, Record};
    use crate::time::Timestamp;

    #[test]
    fn reads_the_journal_in_order_and_stops_when_told() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::create(folder.path(), "g1", &Options::default()).unwrap();
        let history = JournalHistory { folder: folder.path().to_owned(), gateway: "g1".to_owned() };
        assert_eq!(history.oldest(), None);
        let mut lines = Vec::new();
        for _ in 0..1000 {
            let mut record = Record::Event(Box::new(Event {
                seq: 0,
                ts: Timestamp(0),
                gateway: "g1".to_owned(),
                kind: EventKind::Store,
                by: None,
                reason: None,
                data: serde_json::json!({}),
            }));
            lines.push(writer.append(&mut record).unwrap().line);
        }
        assert_eq!(history.oldest(), Some(1));
        let mut got = Vec::new();
        history
            .read(3, 900, &mut |seq, line| {
                got.push((seq, line));
                true
            })
            .unwrap();
        assert_eq!(got.len(), 898);
        for (at, (seq, line)) in got.iter().enumerate() {
            assert_eq!((*seq, line), (at as u64 + 3, &lines[at + 2]));
        }
        let mut count = 0;
        history
            .read(1, 1000, &mut |_, _| {
                count += 1;
                count < 300
            })
            .unwrap();
        assert_eq!(count, 300);
        let other = JournalHistory { gateway: "g2".to_owned(), ..history };
        assert_eq!(other.oldest(), None);
    }
}
