//! Puts this gateway's records into the fleet's stream, from a thread of its own.
//!
//! No call waits for it: a record is put where the thread finds it, and where there is no room it is
//! let go and announced. Records are put in by number, without holes but those announced.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::Connection;

use super::{FORGOTTEN, KEPT, LARGEST};
use crate::counters::RedisUrl;
use crate::counters::redis::wire;

/// A record's line.
type Line = Arc<[u8]>;

/// What waits for the server at most.
const WAITING: usize = 16_384;
const WAITING_BYTES: usize = 8 * 1024 * 1024;
/// What is sent at once.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1024 * 1024;
/// Numbers come a little out of order; one that is missing for so long does not come any more.
const LATE: Duration = Duration::from_secs(1);
/// Pauses after a failure.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long the end may take.
const GOOD_BYE: Duration = Duration::from_millis(300);

/// Shares the records of one gateway run.
#[derive(Debug)]
pub(in crate::feed) struct Publisher(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug)]
struct Queue {
    waiting: BTreeMap<u64, Line>,
    bytes: usize,
    /// The number that is to be sent next.
    next: u64,
    /// The highest number that was ever given.
    highest: u64,
    closing: bool,
    done: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), bytes: 0, next: 1, highest: 0, closing: false, done: false }
    }
}

/// What is sent.
#[derive(Debug, PartialEq, Eq)]
enum Item {
    Record(u64, Line),
    Gap(u64, u64),
}

impl Publisher {
    /// Begins with record 1.
    pub(in crate::feed) fn start(url: RedisUrl, gateway: String) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new().name("fleet".to_owned()).spawn(move || {
            theirs.run(&url, &gateway);
            theirs.lock().done = true;
            theirs.changed.notify_all();
        })?;
        Ok(Self(shared))
    }

    /// Gives a record, for as soon as may be. Never waits.
    pub(in crate::feed) fn publish(&self, seq: u64, line: Line) {
        let mut queue = self.0.lock();
        let wakes = queue.waiting.is_empty();
        queue.put(seq, line);
        drop(queue);
        if wakes {
            self.0.changed.notify_all();
        }
    }

    /// Sends what waits, for a moment, and ends.
    pub(in crate::feed) fn close(&self) {
        let mut queue = self.0.lock();
        queue.closing = true;
        self.0.changed.notify_all();
        let until = Instant::now() + GOOD_BYE;
        while !queue.done {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self.0.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Queue {
    fn put(&mut self, seq: u64, line: Line) {
        self.highest = self.highest.max(seq);
        let full = self.waiting.len() >= WAITING || self.bytes.saturating_add(line.len()) > WAITING_BYTES;
        if seq >= self.next && !full {
            self.bytes = self.bytes.saturating_add(line.len());
            self.waiting.insert(seq, line);
        }
    }

    /// What is to be sent now. `late`: what is missing in front does not come any more.
    fn batch(&self, late: bool) -> Vec<Item> {
        let mut items = Vec::new();
        let mut next = self.next;
        let mut bytes = 0_usize;
        for (seq, line) in &self.waiting {
            if *seq > next {
                if !late || !items.is_empty() {
                    return items;
                }
                items.push(Item::Gap(next, seq.saturating_sub(1)));
            }
            bytes = bytes.saturating_add(line.len());
            if items.len() >= BATCH || (bytes > BATCH_BYTES && !items.is_empty()) {
                return items;
            }
            items.push(if line.len() > LARGEST {
                Item::Gap(*seq, *seq)
            } else {
                Item::Record(*seq, Arc::clone(line))
            });
            next = seq.saturating_add(1);
        }
        if late && items.is_empty() && next <= self.highest {
            items.push(Item::Gap(next, self.highest));
        }
        items
    }

    /// That was sent.
    fn sent(&mut self, items: &[Item]) {
        for item in items {
            let (Item::Record(last, _) | Item::Gap(_, last)) = item;
            self.next = self.next.max(last.saturating_add(1));
        }
        let rest = self.waiting.split_off(&self.next);
        let gone = std::mem::replace(&mut self.waiting, rest);
        self.bytes = gone.values().fold(self.bytes, |bytes, line| bytes.saturating_sub(line.len()));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, url: &RedisUrl, gateway: &str) {
        let mut connection = None;
        let mut pause = PAUSE;
        // Since when the next number has been missing.
        let mut missing: Option<(u64, Instant)> = None;
        loop {
            let (items, closing) = {
                let mut queue = self.lock();
                if queue.waiting.is_empty() && queue.next > queue.highest && !queue.closing {
                    queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                let late = missing.is_some_and(|(next, since)| next == queue.next && since.elapsed() > LATE);
                let items = queue.batch(late || queue.closing);
                if items.is_empty() && queue.next <= queue.highest {
                    if missing.is_none_or(|(next, _)| next != queue.next) {
                        missing = Some((queue.next, Instant::now()));
                    }
                } else {
                    missing = None;
                }
                (items, queue.closing)
            };
            if items.is_empty() {
                if closing {
                    return;
                }
                if missing.is_some() {
                    std::thread::sleep(Duration::from_millis(10));
                }
                continue;
            }
            match send(&mut connection, url, gateway, &items) {
                Ok(()) => {
                    self.lock().sent(&items);
                    pause = PAUSE;
                }
                // What did arrive arrives twice, and readers go by its number.
                Err(()) if closing => return,
                Err(()) => {
                    connection = None;
                    let queue = self.lock();
                    drop(self.changed.wait_timeout_while(queue, pause, |queue| !queue.closing));
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

/// Why it fails is told by the store, which lies at the same place.
fn send(
    connection: &mut Option<Connection>,
    url: &RedisUrl,
    gateway: &str,
    items: &[Item],
) -> Result<(), ()> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(wire::connect(url).map_err(drop)?),
    };
    let key = wire::feed_key(url);
    let mut pipe = redis::pipe();
    for item in items {
        let add = pipe.cmd("XADD").arg(&key).arg("MAXLEN").arg("~").arg(KEPT).arg("*").arg("g").arg(gateway);
        match item {
            Item::Record(seq, line) => add.arg("s").arg(*seq).arg("r").arg(&line[..]).ignore(),
            Item::Gap(from, to) => add.arg("s").arg(*from).arg("t").arg(*to).ignore(),
        };
    }
    pipe.cmd("PEXPIRE").arg(&key).arg(FORGOTTEN).ignore();
    pipe.exec(connection).map_err(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(size: usize) -> Line {
        vec![b'x'; size].into()
    }

    fn numbers(items: &[Item]) -> Vec<(u64, u64)> {
        items
            .iter()
            .map(|item| match item {
                Item::Record(seq, _) => (*seq, *seq),
                Item::Gap(from, to) => (*from, *to),
            })
            .collect()
    }

    #[test]
    fn records_go_in_order_and_holes_are_waited_for_and_then_announced() {
        let mut queue = Queue::default();
        queue.put(2, line(1));
        queue.put(1, line(1));
        queue.put(5, line(1));
        let first = queue.batch(false);
        assert_eq!(numbers(&first), [(1, 1), (2, 2)]);
        queue.sent(&first);
        assert!(queue.batch(false).is_empty(), "3 may still come");
        let rest = queue.batch(true);
        assert_eq!(rest, [Item::Gap(3, 4), Item::Record(5, line(1))]);
        queue.sent(&rest);
        queue.put(3, line(1));
        assert!(queue.batch(true).is_empty(), "it was announced as lost");
        assert_eq!((queue.bytes, queue.waiting.len()), (0, 0));
    }

    #[test]
    fn what_finds_no_room_is_announced_and_large_ones_too() {
        let mut queue = Queue::default();
        for seq in 1..=WAITING as u64 + 10 {
            queue.put(seq, line(1));
        }
        let mut got = Vec::new();
        loop {
            let items = queue.batch(true);
            if items.is_empty() {
                break;
            }
            queue.sent(&items);
            got.extend(numbers(&items));
        }
        assert_eq!(got.len(), WAITING + 1);
        assert_eq!(got.last(), Some(&(WAITING as u64 + 1, WAITING as u64 + 10)));
        let next = queue.next;
        queue.put(next, line(LARGEST + 1));
        assert_eq!(queue.batch(false), [Item::Gap(next, next)]);
    }
}
