//! The feeds: what gateways say, read off the interface's thread and handed on in one order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::feed::client::{FeedEvent, Feeds, Handle, SourceId, WatchOptions, watch};
use crate::feed::merge::Merge;
use crate::feed::message::State;
use crate::feed::offset::Offset;
use crate::record::Record;
use crate::tui::app::{FeedMsg, Row};

/// Messages that wait for the interface: each holds at most a few hundred records, so that what
/// waits is bounded, and a key never waits behind much.
const WAITING: usize = 8;
/// Events taken at once.
const AT_ONCE: usize = 4;
/// Records in one message.
const BATCH: usize = 512;
/// How long a gateway that falls silent while it tells its past is waited for, so that the rows of
/// several stand in the order of their times.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked whether what waits for another gateway need wait no longer.
const LOOK: Duration = Duration::from_millis(50);

/// Records from before the watching that a gateway of this machine gives: those that were made while
/// its journal was read are among them.
const HISTORY: u64 = 50_000;

/// Watches feeds and hands on what they say. A slow interface makes the gateways' journals wait,
/// never the gateways. `patience`: how long one that falls silent while it tells its past holds up
/// the others.
///
/// # Errors
/// When the watching cannot be started.
pub fn start(feeds: Feeds, patience: Duration) -> std::io::Result<(mpsc::Receiver<FeedMsg>, Handle)> {
    handed_on(feeds, WatchOptions::default(), patience, None)
}

/// As [`start`], once the journals have been read, as `ready` tells: of gateways of this machine they
/// know everything before.
pub(super) fn start_after(
    feeds: Feeds,
    ready: oneshot::Receiver<()>,
) -> std::io::Result<(mpsc::Receiver<FeedMsg>, Handle)> {
    let mut options = WatchOptions::default();
    if matches!(feeds, Feeds::RunDir(_)) {
        options.history = HISTORY;
    }
    handed_on(feeds, options, PATIENCE, Some(ready))
}

fn handed_on(
    feeds: Feeds,
    options: WatchOptions,
    patience: Duration,
    ready: Option<oneshot::Receiver<()>>,
) -> std::io::Result<(mpsc::Receiver<FeedMsg>, Handle)> {
    let expected = match &feeds {
        Feeds::These(feeds) => feeds.len(),
        Feeds::RunDir(_) => 0,
    };
    let (mut events, handle) = watch(feeds, options)?;
    let (out, messages) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        if let Some(ready) = ready {
            // Where the journals cannot be read their feeds are still watched.
            let _ = ready.await;
        }
        let mut order = Order::new(expected, patience);
        let mut came = Vec::with_capacity(AT_ONCE);
        loop {
            let count = if order.merge.held() == 0 {
                events.recv_many(&mut came, AT_ONCE).await
            } else {
                match tokio::time::timeout(LOOK, events.recv_many(&mut came, AT_ONCE)).await {
                    Ok(count) => count,
                    Err(_) => usize::MAX,
                }
            };
            if count == 0 {
                return;
            }
            let mut messages = Vec::new();
            for event in came.drain(..) {
                order.take(event, &mut messages);
            }
            order.ready(&mut messages);
            for message in messages {
                if out.send(message).await.is_err() {
                    return;
                }
            }
        }
    });
    Ok((messages, handle))
}

/// One gateway's part in the order.
#[derive(Default)]
struct Place {
    run: String,
    last: u64,
    offset: Offset,
}

/// Puts what several gateways say into one order.
struct Order {
    merge: Merge<(u32, Row)>,
    places: HashMap<u32, Place>,
    began: Instant,
}

impl Order {
    fn new(expected: usize, patience: Duration) -> Self {
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        Self { merge: Merge::new(expected, patience), places: HashMap::new(), began: Instant::now() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn take(&mut self, event: FeedEvent, out: &mut Vec<FeedMsg>) {
        let now = self.now();
        match event {
            FeedEvent::Connected { source, hello } => {
                let place = self.places.entry(source.0).or_default();
                if place.run != hello.gateway {
                    place.run.clone_from(&hello.gateway);
                    place.last = 0;
                }
                let until = hello.next_seq.saturating_sub(1);
                let until = if until > place.last { until } else { 0 };
                self.merge.connected(source.0, until, now);
                out.push(FeedMsg::Connected(source.0, Arc::from(hello)));
            }
            FeedEvent::State { source, state } => {
                if let State::Health(health) = state.as_ref() {
                    let place = self.places.entry(source.0).or_default();
                    place.offset.heard(health.ts, crate::clock::now());
                }
                out.push(FeedMsg::State(source.0, Arc::from(state)));
            }
            FeedEvent::Records { source, lines } => self.records(source, lines, now, out),
            FeedEvent::Gap { source, from, to, .. } => out.push(FeedMsg::Gap(source.0, from, to)),
            FeedEvent::Reply { source, ok, of, message } => {
                out.push(FeedMsg::Reply(source.0, ok, of, message));
            }
            FeedEvent::Lost { source, why, ended } => {
                self.merge.gone(source.0);
                if ended {
                    self.places.remove(&source.0);
                }
                out.push(FeedMsg::Lost(source.0, why, ended));
            }
            FeedEvent::Trouble { source, message } => {
                out.push(FeedMsg::Trouble(source.map(|source| source.0), message));
            }
        }
    }

    fn records(&mut self, source: SourceId, lines: Vec<Arc<[u8]>>, now: u64, out: &mut Vec<FeedMsg>) {
        let place = self.places.entry(source.0).or_default();
        let mut unreadable = 0;
        for line in lines {
            // One that this version cannot read is said to be lost here; the journal has it.
            let Ok(record) = Record::parse(&line) else {
                unreadable += 1;
                continue;
            };
            let (seq, ts) = (record.seq(), place.offset.here(record.ts()));
            if record.gateway() == place.run {
                place.last = place.last.max(seq);
            }
            self.merge.push(source.0, seq, ts, (source.0, Row { line, record }), now);
        }
        if unreadable > 0 {
            out.push(FeedMsg::Unreadable(source.0, unreadable));
        }
    }

    /// What has its place now.
    fn ready(&mut self, out: &mut Vec<FeedMsg>) {
        let mut ready = self.merge.take(self.now()).into_iter();
        while let Some((first, row)) = ready.next() {
            let mut one = true;
            let mut rows = vec![row];
            while rows.len() < BATCH
                && let Some((source, row)) = ready.next()
            {
                one &= source == first;
                rows.push(row);
            }
            let rows = rows.into();
            out.push(if one { FeedMsg::Records(first, rows) } else { FeedMsg::Merged(rows) });
        }
    }
}
