//! The records of the fleet's other gateways, for those who watch this one's feed.
//!
//! One thread reads the stream while somebody follows; the latest lie in memory, and each follower
//! has a place of its own in them.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::streams::{StreamId, StreamRangeReply, StreamReadReply};
use redis::{Cmd, Connection, RedisResult};

use crate::counters::RedisUrl;
use crate::counters::redis::wire;

/// Records in memory for followers that are a little behind.
const COUNT: usize = 16_384;
const BYTES: usize = 16 * 1024 * 1024;
/// Records from before the first follower came.
const EARLIER: usize = 512;
/// Read at once.
const BATCH: usize = 256;
/// How long the server waits for news, in milliseconds; less than an answer may take.
const BLOCK: usize = 200;
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(250);
/// Gateway runs that are told apart at once; a fleet has fewer.
const RUNS: usize = 4096;

/// Something of another gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::feed) struct Entry {
    pub(in crate::feed) gateway: Arc<str>,
    /// The number of the record, or of the first that is missing.
    pub(in crate::feed) seq: u64,
    pub(in crate::feed) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::feed) enum What {
    /// A record, as it is in its journal.
    Record(Arc<[u8]>),
    /// It and those up to this number cannot be had.
    Gap(u64),
}

#[derive(Debug)]
pub(in crate::feed) struct Log {
    kept: Mutex<Kept>,
    followers: AtomicUsize,
    came: Condvar,
    closing: AtomicBool,
}

#[derive(Debug, Default)]
struct Kept {
    /// The place of the first entry.
    base: u64,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Of each gateway, the highest number that was let go.
    gone: HashMap<Arc<str>, u64>,
}

impl Log {
    /// Starts the thread; `found` is told whenever something came. `own` is left out.
    pub(in crate::feed) fn start(
        url: RedisUrl,
        own: String,
        found: impl Fn() + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let log = Arc::new(Self {
            kept: Mutex::default(),
            followers: AtomicUsize::new(0),
            came: Condvar::new(),
            closing: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&log);
        std::thread::Builder::new()
            .name("fleet feed".to_owned())
            .spawn(move || theirs.run(&url, &own, &found))?;
        Ok(log)
    }

    /// Ends the thread, soon.
    pub(in crate::feed) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        drop(self.lock());
        self.came.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, url: &RedisUrl, own: &str, found: &dyn Fn()) {
        let key = wire::feed_key(url);
        let mut connection: Option<Connection> = None;
        // The place in the stream, while somebody follows.
        let mut at: Option<String> = None;
        while !self.closing.load(Ordering::SeqCst) {
            if self.followers.load(Ordering::SeqCst) == 0 {
                at = None;
                connection = None;
                let mut kept = self.lock();
                let base = kept.base.saturating_add(kept.entries.len() as u64);
                *kept = Kept { base, ..Kept::default() };
                if self.followers.load(Ordering::SeqCst) == 0 && !self.closing.load(Ordering::SeqCst) {
                    drop(self.came.wait(kept));
                }
                continue;
            }
            let read = match &mut connection {
                Some(connection) => read(connection, &key, at.as_deref()).map_err(drop),
                None => match wire::connect(url) {
                    Ok(made) => read(connection.insert(made), &key, at.as_deref()).map_err(drop),
                    Err(_) => Err(()),
                },
            };
            let Ok((ids, to)) = read else {
                // The store at the same place tells why. What is missed is seen by the numbers.
                connection = None;
                std::thread::sleep(PAUSE);
                continue;
            };
            at = Some(to);
            let entries: Vec<Entry> =
                ids.iter().filter_map(entry).filter(|entry| &*entry.gateway != own).collect();
            if !entries.is_empty() {
                self.lock().push(entries);
                found();
            }
        }
    }
}

/// What came after a place in the stream, or lately, and the place after it.
fn read(connection: &mut Connection, key: &str, at: Option<&str>) -> RedisResult<(Vec<StreamId>, String)> {
    let Some(at) = at else {
        let mut look = Cmd::new();
        look.arg("XREVRANGE").arg(key).arg("+").arg("-").arg("COUNT").arg(EARLIER);
        let mut ids = look.query::<StreamRangeReply>(connection)?.ids;
        ids.reverse();
        let to = ids.last().map_or_else(|| "0-0".to_owned(), |last| last.id.clone());
        return Ok((ids, to));
    };
    let mut look = Cmd::new();
    look.arg("XREAD").arg("COUNT").arg(BATCH).arg("BLOCK").arg(BLOCK).arg("STREAMS").arg(key).arg(at);
    let reply: Option<StreamReadReply> = look.query(connection)?;
    let ids: Vec<StreamId> = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids).collect();
    let to = ids.last().map_or_else(|| at.to_owned(), |last| last.id.clone());
    Ok((ids, to))
}

/// `None` for what no gateway has written.
fn entry(id: &StreamId) -> Option<Entry> {
    let gateway: String = id.get("g")?;
    let seq: u64 = id.get("s")?;
    let what = match (id.get::<Vec<u8>>("r"), id.get::<u64>("t")) {
        // What is no text could not be said, and a line feed is no part of a record.
        (Some(line), _) if std::str::from_utf8(&line).is_ok() => What::Record(line.into()),
        (None, Some(to)) if to >= seq => What::Gap(to),
        _ => return None,
    };
    (!gateway.is_empty() && seq > 0).then(|| Entry { gateway: gateway.into(), seq, what })
}

impl Entry {
    fn size(&self) -> usize {
        match &self.what {
            What::Record(line) => line.len().saturating_add(64),
            What::Gap(_) => 64,
        }
    }

    /// The last number that it is about.
    fn last(&self) -> u64 {
        match self.what {
            What::Record(_) => self.seq,
            What::Gap(to) => to,
        }
    }
}

impl Kept {
    fn push(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.bytes = self.bytes.saturating_add(entry.size());
            self.entries.push_back(entry);
            while self.entries.len() > COUNT || (self.bytes > BYTES && self.entries.len() > 1) {
                let Some(old) = self.entries.pop_front() else { break };
                self.base = self.base.saturating_add(1);
                self.bytes = self.bytes.saturating_sub(old.size());
                let last = old.last();
                if self.gone.len() >= RUNS {
                    self.gone.clear();
                }
                let gone = self.gone.entry(old.gateway).or_default();
                *gone = last.max(*gone);
            }
        }
    }
}

/// One client's place in the log.
#[derive(Debug)]
pub(in crate::feed) struct Follower {
    log: Arc<Log>,
    place: u64,
    /// Of each gateway, the last number that was given or announced.
    last: HashMap<Arc<str>, u64>,
}

impl Follower {
    /// From the earliest that is known.
    pub(in crate::feed) fn new(log: &Arc<Log>) -> Self {
        log.followers.fetch_add(1, Ordering::SeqCst);
        let place = log.lock().base;
        log.came.notify_all();
        Self { log: Arc::clone(log), place, last: HashMap::new() }
    }

    /// The next entries: each record once, in its gateway's order, and a gap for each that is missing.
    pub(in crate::feed) fn next(&mut self, count: usize) -> Vec<Entry> {
        let log = Arc::clone(&self.log);
        let kept = log.lock();
        let mut out = Vec::new();
        if self.place < kept.base {
            // Too slow for memory.
            for (gateway, gone) in &kept.gone {
                if let Some(last) = self.last.get_mut(gateway).filter(|last| **last < *gone) {
                    let seq = last.saturating_add(1);
                    out.push(Entry { gateway: Arc::clone(gateway), seq, what: What::Gap(*gone) });
                    *last = *gone;
                }
            }
            self.place = kept.base;
        }
        let skip = usize::try_from(self.place.saturating_sub(kept.base)).unwrap_or(usize::MAX);
        let entries: Vec<Entry> = kept.entries.iter().skip(skip).take(count).cloned().collect();
        drop(kept);
        self.place = self.place.saturating_add(entries.len() as u64);
        for mut entry in entries {
            match self.last.get(&entry.gateway) {
                // Sent twice, because its sender did not know that it had arrived.
                Some(last) if entry.last() <= *last => continue,
                Some(last) if entry.seq <= *last => entry.seq = last.saturating_add(1),
                Some(last) if entry.seq > last.saturating_add(1) => out.push(Entry {
                    gateway: Arc::clone(&entry.gateway),
                    seq: last.saturating_add(1),
                    what: What::Gap(entry.seq.saturating_sub(1)),
                }),
                // Runs that ended long ago; what is sent twice the client finds out by itself.
                None if self.last.len() >= RUNS => self.last.clear(),
                _ => {}
            }
            self.last.insert(Arc::clone(&entry.gateway), entry.last());
            out.push(entry);
        }
        out
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.log.followers.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(gateway: &str, seq: u64) -> Entry {
        let line: Arc<[u8]> = format!("{gateway}{seq}").into_bytes().into();
        Entry { gateway: gateway.into(), seq, what: What::Record(line) }
    }

    fn gap(gateway: &str, seq: u64, to: u64) -> Entry {
        Entry { gateway: gateway.into(), seq, what: What::Gap(to) }
    }

    fn log() -> Arc<Log> {
        Arc::new(Log {
            kept: Mutex::default(),
            followers: AtomicUsize::new(0),
            came: Condvar::new(),
            closing: AtomicBool::new(false),
        })
    }

    #[test]
    fn each_record_once_and_each_missing_one_announced() {
        let log = log();
        let mut follower = Follower::new(&log);
        log.lock().push(vec![
            record("a", 7),
            record("b", 1),
            record("a", 8),
            record("a", 7),
            record("a", 8),
            record("b", 4),
            gap("a", 8, 10),
            gap("a", 9, 10),
            record("a", 11),
        ]);
        let got = follower.next(100);
        let expected = [
            record("a", 7),
            record("b", 1),
            record("a", 8),
            gap("b", 2, 3),
            record("b", 4),
            gap("a", 9, 10),
            record("a", 11),
        ];
        assert_eq!(got, expected);
        assert!(follower.next(100).is_empty());
    }

    #[test]
    fn a_slow_follower_hears_what_it_missed() {
        let log = log();
        let mut follower = Follower::new(&log);
        log.lock().push(vec![record("quiet", 1), record("a", 1)]);
        assert_eq!(follower.next(100).len(), 2);
        log.lock().push(vec![record("quiet", 2)]);
        log.lock().push((2..=COUNT as u64 + 10).map(|seq| record("a", seq)).collect());
        let got = follower.next(usize::MAX);
        let gaps: Vec<&Entry> = got.iter().filter(|entry| matches!(entry.what, What::Gap(_))).collect();
        assert_eq!(gaps.len(), 2, "{gaps:?}");
        assert!(gaps.contains(&&gap("quiet", 2, 2)) && gaps.contains(&&gap("a", 2, 10)), "{gaps:?}");
        assert_eq!(got.len(), COUNT + 2);
    }
}
