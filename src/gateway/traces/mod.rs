//! Traces: each call as a span, told to a collector by OTLP over HTTP where the environment says
//! so (`OTEL_EXPORTER_OTLP_ENDPOINT` and its kin).
//!
//! A call only puts its span into a bounded queue: one that finds no room is dropped and counted.
//! A thread of its own sends what waits, over the client that the gateway reaches its servers with.
//! The SDK of OpenTelemetry would bring a second such client, protobuf's code and a queue that does
//! not tell what it drops, for one document of JSON.

mod otlp;
mod setting;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use http::header::HeaderMap;

use self::setting::Setting;
use crate::clock;
use crate::gateway::http::upstream::Upstream;
use crate::gateway::lock;
use crate::gateway::span::{Parent, Span};

/// So long the last spans may still be sent once the gateway ends.
const LAST: Duration = Duration::from_secs(2);
/// How often spans are sent again that a collector could not take at the moment.
const TRIES: u32 = 3;

/// Tells spans, from a thread of its own; ends it when dropped.
#[derive(Debug)]
pub(super) struct Tracer {
    shared: Arc<Shared>,
    /// At its end once the thread is.
    running: Mutex<Option<Receiver<()>>>,
}

#[derive(Debug)]
struct Shared {
    setting: Setting,
    queue: Mutex<Queue>,
    stirred: Condvar,
    sent: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    spans: VecDeque<Span>,
    /// The gateway ends, and until then the last may be sent.
    closed: Option<Instant>,
}

impl Tracer {
    /// As the environment says; says so where it cannot be followed.
    pub(super) fn from_environment() -> Option<Self> {
        let get = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let read = Setting::read(&get, &mut |remark| crate::gateway::say(&format!("traces: {remark}")));
        let started = match read {
            Ok(None) => return None,
            Ok(Some(setting)) => Self::start(setting).map_err(|error| error.to_string()),
            Err(why) => Err(why),
        };
        started.map_err(|why| crate::gateway::say(&format!("there are no traces: {why}"))).ok()
    }

    fn start(setting: Setting) -> io::Result<Self> {
        let upstream = Upstream::new(setting.endpoint.clone(), setting.headers.clone(), setting.timeout)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::new(Shared {
            setting,
            queue: Mutex::default(),
            stirred: Condvar::new(),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        let theirs = Arc::clone(&shared);
        let (ending, running) = channel::<()>();
        std::thread::Builder::new().name("traces".to_owned()).spawn(move || {
            run(&theirs, |body| runtime.block_on(send(&upstream, body)));
            runtime.shutdown_background();
            drop(ending);
        })?;
        Ok(Self { shared, running: Mutex::new(Some(running)) })
    }

    /// A call that came now, at `began` as [`clock::tick`]. `None`: it is not told.
    pub(super) fn begin(&self, parent: Option<Parent>, tool: &str, began: u64) -> Option<Box<Span>> {
        let mut random = [0_u8; 24];
        // Ids without randomness would join calls that have nothing to do with each other.
        getrandom::fill(&mut random).ok()?;
        let (trace, span) = random.split_at(16);
        let trace = u128::from_be_bytes(trace.try_into().ok()?);
        let span = u64::from_be_bytes(span.try_into().ok()?);
        if !self.shared.setting.samples(parent.as_ref(), trace) {
            return None;
        }
        let ago = i64::try_from(clock::tick().saturating_sub(began) / 1000).unwrap_or(0);
        let start = clock::now().plus_micros(-ago);
        Some(Box::new(Span::begin(parent, (trace, span), tool, start, began / 1000)))
    }

    /// The call is over. Never waits for the collector.
    pub(super) fn end(&self, mut span: Span) {
        span.close(clock::tick() / 1000);
        let mut queue = lock(&self.shared.queue);
        if queue.spans.len() >= self.shared.setting.queue {
            drop(queue);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.spans.push_back(span);
        let waiting = queue.spans.len();
        drop(queue);
        if waiting == 1 || waiting == self.shared.setting.batch {
            self.shared.stirred.notify_all();
        }
    }

    /// How many spans the collector took, and how many were dropped.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.shared.sent.load(Ordering::Relaxed), self.shared.dropped.load(Ordering::Relaxed))
    }

    /// Sends what still waits, for [`LAST`] at most.
    pub(super) fn close(&self) {
        lock(&self.shared.queue).closed.get_or_insert(Instant::now() + LAST);
        self.shared.stirred.notify_all();
        if let Some(running) = lock(&self.running).take() {
            // A collector that takes its time is not waited for.
            let _: Result<(), _> = running.recv_timeout(LAST);
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.close();
    }
}

/// What became of a request.
enum Sent {
    Done,
    /// It could not be taken at the moment.
    Later(String),
    /// It will never be taken.
    Never(String),
}

async fn send(upstream: &Upstream, body: Vec<u8>) -> Sent {
    match upstream.send(Method::POST, &HeaderMap::new(), Bytes::from(body)).await {
        Err(failure) => Sent::Later(failure.why),
        Ok(answer) => match answer.status().as_u16() {
            200..=299 => Sent::Done,
            // As the protocol says; everything else is for good.
            status @ (429 | 502..=504) => Sent::Later(format!("it answers {status}")),
            status => Sent::Never(format!("it answers {status}")),
        },
    }
}

/// Sends spans until the gateway ends.
fn run(shared: &Shared, mut send: impl FnMut(Vec<u8>) -> Sent) {
    let mut failing = false;
    let mut tries = 0;
    while let Some(spans) = next_batch(shared) {
        let why = match send(otlp::request(&shared.setting.resource, &spans)) {
            Sent::Done => None,
            Sent::Later(why) => {
                tries += 1;
                if tries < TRIES && put_back(shared, &spans) {
                    pause(shared, tries);
                    continue;
                }
                Some(why)
            }
            Sent::Never(why) => Some(why),
        };
        tries = 0;
        let count = spans.len() as u64;
        match why {
            None => {
                shared.sent.fetch_add(count, Ordering::Relaxed);
                if std::mem::take(&mut failing) {
                    crate::gateway::say("traces can be delivered again");
                }
            }
            Some(why) => {
                shared.dropped.fetch_add(count, Ordering::Relaxed);
                if !std::mem::replace(&mut failing, true) {
                    crate::gateway::say(&format!("traces cannot be delivered, and are dropped: {why}"));
                }
            }
        }
    }
}

/// Spans that go together: as many as may, or those that came within the delay. `None`: it is over.
fn next_batch(shared: &Shared) -> Option<Vec<Span>> {
    let mut queue = lock(&shared.queue);
    let mut first: Option<Instant> = None;
    loop {
        let over = queue.closed;
        let waiting = queue.spans.len();
        if over.is_some_and(|end| waiting == 0 || Instant::now() >= end) {
            shared.dropped.fetch_add(waiting as u64, Ordering::Relaxed);
            return None;
        }
        let due = first.map(|first| first + shared.setting.delay);
        let late = due.is_some_and(|due| Instant::now() >= due);
        if waiting > 0 && (over.is_some() || waiting >= shared.setting.batch || late) {
            let count = waiting.min(shared.setting.batch);
            return Some(queue.spans.drain(..count).collect());
        }
        if waiting > 0 && first.is_none() {
            first = Some(Instant::now());
            continue;
        }
        queue = match due {
            None => shared.stirred.wait(queue).unwrap_or_else(PoisonError::into_inner),
            Some(due) => {
                let rest = due.saturating_duration_since(Instant::now());
                shared.stirred.wait_timeout(queue, rest).unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}

/// Keeps spans for another try. `false`: the gateway ends.
fn put_back(shared: &Shared, spans: &[Span]) -> bool {
    let mut queue = lock(&shared.queue);
    if queue.closed.is_some() {
        return false;
    }
    for span in spans.iter().rev() {
        queue.spans.push_front(span.clone());
    }
    // The newest give way: what has waited longest is whole.
    let over = queue.spans.len().saturating_sub(shared.setting.queue);
    let keep = queue.spans.len() - over;
    queue.spans.truncate(keep);
    shared.dropped.fetch_add(over as u64, Ordering::Relaxed);
    true
}

/// Longer after each try, but not through the end.
fn pause(shared: &Shared, tries: u32) {
    let until = Instant::now() + Duration::from_secs(1 << tries.min(4));
    let mut queue = lock(&shared.queue);
    while queue.closed.is_none() {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return;
        }
        queue = shared.stirred.wait_timeout(queue, rest).unwrap_or_else(PoisonError::into_inner).0;
    }
}
