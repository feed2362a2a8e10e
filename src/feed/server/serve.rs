//! One client: hello, the state, then records from its own place in the stream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::ring::{Line, Next};
use super::{Command, Reply, Shared, StateKey, lock};
use crate::feed::fleet::{Follower, What};
use crate::feed::message::{Ask, Role, Say};

/// The pause between two looks at the state for one client.
const STATE: Duration = Duration::from_millis(100);
/// A client is asked so often whether it is there.
const PING: Duration = Duration::from_secs(15);
/// One that said nothing for so long, not even to a ping, is gone.
const SILENCE: Duration = Duration::from_mins(1);
/// How long the gateway may think about an ask.
const ANSWER: Duration = Duration::from_secs(10);
/// Records between two looks at everything else.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 256 * 1024;
/// Records on their way from the journal.
const ON_THE_WAY: usize = 256;

/// What a client is connected by: with or without TLS.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

type Socket = WebSocketStream<Box<dyn Wire>>;

/// What the reading half tells the writing half.
enum Out {
    /// Say this.
    Say(Say),
    /// Say this, and go on with the record of that number.
    GoTo(Say, u64),
    /// The same, and follow the fleet's other gateways.
    Follow(Say, u64, Box<Follower>),
}

/// Serves one client to its end.
pub(super) async fn serve(shared: &Arc<Shared>, socket: Socket, role: Role) {
    let (sink, stream) = socket.split();
    let (out, inbox) = mpsc::channel(16);
    let place = Arc::new(AtomicU64::new(u64::MAX));
    lock(&shared.places).push(Arc::downgrade(&place));
    let writer = Writer {
        shared,
        sink,
        role,
        seen: BTreeMap::new(),
        looked: None,
        next: 0,
        place,
        batch: Vec::new(),
        others: None,
        inbox,
    };
    // Whoever ends first ends the other: a client that reads nothing is found by the silence.
    tokio::select! {
        _ = writer.run() => {}
        () = read(shared, stream, role, out) => {}
    }
}

async fn read(shared: &Arc<Shared>, mut stream: SplitStream<Socket>, role: Role, out: mpsc::Sender<Out>) {
    while let Ok(Some(Ok(message))) = tokio::time::timeout(SILENCE, stream.next()).await {
        let text = match message {
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) => continue,
            // Nothing in the protocol is binary.
            Message::Binary(_) | Message::Close(_) | Message::Frame(_) => return,
        };
        let answer = match serde_json::from_str::<Ask>(&text) {
            Ok(ask) => answer(shared, ask, role).await,
            Err(error) => Out::Say(reply(false, "", format!("not understood: {error}"))),
        };
        if !matches!(tokio::time::timeout(SILENCE, out.send(answer)).await, Ok(Ok(()))) {
            return;
        }
    }
}

fn reply(ok: bool, of: &str, message: String) -> Say {
    Say::Reply { ok, of: of.to_owned(), message }
}

async fn answer(shared: &Arc<Shared>, ask: Ask, role: Role) -> Out {
    let of = ask.name();
    if let Ask::Subscribe { gateway, since_seq, fleet } = &ask {
        let next = shared.last.load(Ordering::SeqCst).saturating_add(1);
        if lock(&shared.hello).gateway != *gateway {
            return Out::Say(reply(false, of, "this is another gateway run".to_owned()));
        }
        let from = since_seq.saturating_add(1);
        let said = if from <= next {
            reply(true, of, String::new())
        } else {
            reply(true, of, format!("there is no record {since_seq} yet"))
        };
        return match shared.fleet.get().filter(|_| *fleet) {
            Some(log) => Out::Follow(said, from.min(next), Box::new(Follower::new(log))),
            None => Out::GoTo(said, from.min(next)),
        };
    }
    if role != Role::Operator {
        return Out::Say(reply(false, of, "an operator's token is needed".to_owned()));
    }
    let (sender, receiver) = oneshot::channel();
    if shared.commands.try_send(Command { ask, role, reply: Reply(sender) }).is_err() {
        return Out::Say(reply(false, of, "the gateway takes no orders at the moment".to_owned()));
    }
    match tokio::time::timeout(ANSWER, receiver).await {
        Ok(Ok((ok, message))) => Out::Say(reply(ok, of, message)),
        _ => Out::Say(reply(false, of, "the gateway did not answer".to_owned())),
    }
}

struct Writer<'a> {
    shared: &'a Arc<Shared>,
    sink: SplitSink<Socket, Message>,
    role: Role,
    /// The versions of the states that the client has.
    seen: BTreeMap<StateKey, u64>,
    /// When the states were last looked at.
    looked: Option<Instant>,
    /// The number of the next record.
    next: u64,
    /// The same, for others to see.
    place: Arc<AtomicU64>,
    batch: Vec<Line>,
    /// The place among the records of the fleet's other gateways.
    others: Option<Box<Follower>>,
    inbox: mpsc::Receiver<Out>,
}

impl Writer<'_> {
    async fn run(mut self) -> Result<(), Error> {
        let mut found = self.shared.found.subscribe();
        let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (hello, next) = self.shared.hello(self.role);
        self.next = next;
        self.say(&hello).await?;
        let mut pinging = false;
        loop {
            // Marked before looking, so that what comes while looking is looked at again.
            found.mark_unchanged();
            self.place.store(self.next, Ordering::Relaxed);
            let closing = self.shared.closing.load(Ordering::SeqCst);
            self.answers().await?;
            if std::mem::take(&mut pinging) {
                self.sink.feed(Message::Ping(Bytes::new())).await?;
            }
            let stale = self.states().await?;
            let moved = self.records().await? | self.others().await?;
            self.sink.flush().await?;
            if moved {
                continue;
            }
            if closing {
                return self.sink.close().await;
            }
            tokio::select! {
                changed = found.changed() => if changed.is_err() { return Ok(()) },
                Some(out) = self.inbox.recv() => self.out(out).await?,
                _ = ping.tick() => pinging = true,
                () = tokio::time::sleep(STATE), if stale => {}
            }
        }
    }

    async fn say(&mut self, say: &Say) -> Result<(), Error> {
        match serde_json::to_string(say) {
            Ok(text) => self.sink.feed(Message::Text(text.into())).await,
            Err(_) => Ok(()),
        }
    }

    async fn out(&mut self, out: Out) -> Result<(), Error> {
        match out {
            Out::Say(say) => self.say(&say).await,
            Out::GoTo(say, next) => {
                self.next = next;
                self.others = None;
                self.say(&say).await
            }
            Out::Follow(say, next, others) => {
                self.next = next;
                self.others = Some(others);
                self.say(&say).await
            }
        }
    }

    /// Says what the reading half wants said; whether the place in the stream moved.
    async fn answers(&mut self) -> Result<bool, Error> {
        let mut moved = false;
        while let Ok(out) = self.inbox.try_recv() {
            moved |= matches!(out, Out::GoTo(..) | Out::Follow(..));
            self.out(out).await?;
        }
        Ok(moved)
    }

    /// Says the states that changed, if the last time is long enough ago; whether that time is
    /// still to come.
    async fn states(&mut self) -> Result<bool, Error> {
        if self.looked.is_some_and(|looked| looked.elapsed() < STATE) {
            return Ok(true);
        }
        let news = self.shared.news(self.role, &mut self.seen);
        if !news.is_empty() {
            self.looked = Some(Instant::now());
        }
        for text in news {
            self.sink.feed(Message::Text(text)).await?;
        }
        Ok(false)
    }

    /// Sends the next records there are; whether there were any.
    async fn records(&mut self) -> Result<bool, Error> {
        let next = lock(&self.shared.ring).collect(self.next, BATCH, BATCH_BYTES, &mut self.batch);
        match next {
            Next::Ahead => Ok(false),
            Next::Lines(next) => {
                for line in std::mem::take(&mut self.batch) {
                    self.record(line).await?;
                }
                self.next = next;
                Ok(true)
            }
            Next::Missing(from, to) => {
                self.catch_up(from, to).await?;
                Ok(true)
            }
        }
    }

    async fn record(&mut self, line: Line) -> Result<(), Error> {
        // A record is JSON, so it is UTF-8; one that were not could not be said at all.
        match Utf8Bytes::try_from(Bytes::from_owner(line)) {
            Ok(text) => self.sink.feed(Message::Text(text)).await,
            Err(_) => Ok(()),
        }
    }

    async fn gap(&mut self, from_seq: u64, to_seq: u64) -> Result<(), Error> {
        let missed = to_seq.saturating_sub(from_seq).saturating_add(1);
        self.shared.missed.fetch_add(missed, Ordering::Relaxed);
        self.say(&Say::Gap { gateway: None, from_seq, to_seq }).await
    }

    /// Sends the next records of the fleet's other gateways; whether there were any.
    async fn others(&mut self) -> Result<bool, Error> {
        let Some(others) = &mut self.others else { return Ok(false) };
        let entries = others.next(BATCH);
        let any = !entries.is_empty();
        for entry in entries {
            match entry.what {
                What::Record(line) => self.record(line).await?,
                What::Gap(to_seq) => {
                    let gateway = Some(entry.gateway.to_string());
                    self.say(&Say::Gap { gateway, from_seq: entry.seq, to_seq }).await?;
                }
            }
        }
        Ok(any)
    }

    /// Sends records from the journal, and announces those that it does not have any more.
    async fn catch_up(&mut self, from: u64, to: u64) -> Result<(), Error> {
        let (sender, mut lines) = mpsc::channel::<(u64, Line)>(ON_THE_WAY);
        let history = Arc::clone(&self.shared.history);
        // One pass over the files however slow the client is; when the client goes, the channel
        // closes and the reading stops.
        let reading = tokio::task::spawn_blocking(move || {
            history.read(from, to, &mut |seq, line| sender.blocking_send((seq, line)).is_ok())
        });
        self.next = from;
        let mut count = 0_usize;
        while let Some((seq, line)) = lines.recv().await {
            count = count.saturating_add(1);
            if count.is_multiple_of(BATCH) {
                self.place.store(self.next, Ordering::Relaxed);
                // A long way to catch up is no reason for old state or unheard asks.
                if self.answers().await? {
                    return Ok(());
                }
                self.states().await?;
            }
            if seq < self.next || seq > to {
                continue;
            }
            if seq > self.next {
                self.gap(self.next, seq.saturating_sub(1)).await?;
            }
            self.record(line).await?;
            self.next = seq.saturating_add(1);
        }
        let _ = reading.await;
        if self.next <= to {
            self.gap(self.next, to).await?;
            self.next = to.saturating_add(1);
        }
        Ok(())
    }
}
