//! One connection: what is said on it, checked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::source::{Place, Source, Start};
use super::{FeedAddr, FeedEvent};
use crate::feed::message::{Ask, Hello, PROTOCOL, Say};
use crate::time::Timestamp;
use crate::visible::visible;

/// Connecting and the first words take no longer.
const GREETING: Duration = Duration::from_secs(10);
/// A gateway pings every 15 s; one that is silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(50);
/// How often it is looked whether it is.
const LOOK: Duration = Duration::from_secs(5);
/// Definitions of tens of thousands of tools are the largest thing said.
const MAX_MESSAGE: usize = 128 * 1024 * 1024;
/// The first words are short.
const MAX_HELLO: usize = 1024 * 1024;
/// Names in the first words are shorter.
const MAX_NAME: usize = 512;
/// One batch of records.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 256 * 1024;
/// After so much nonsense the connection is given up.
const PATIENCE: u32 = 16;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The monitor has gone.
    Monitor,
    /// The connection broke.
    Lost(String),
    /// What came made no sense.
    Nonsense(String),
}

/// A connection past the handshake and the first words.
pub(super) struct Link {
    sink: SplitSink<Socket, Message>,
    stream: SplitStream<Socket>,
    hello: Hello,
    /// How often nonsense came.
    nonsense: u32,
    batch: Vec<Arc<[u8]>>,
    batch_bytes: usize,
}

/// As much of a record as is checked here; the rest of its JSON is only read over.
#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    seq: Option<u64>,
    #[serde(default, borrow)]
    gateway: Option<std::borrow::Cow<'a, str>>,
}

/// When the gateway was last heard: by a clock that stands still while the machine sleeps, and by one
/// that does not.
struct Heard {
    at: Instant,
    ts: Timestamp,
}

impl Heard {
    fn now() -> Self {
        Self { at: Instant::now(), ts: crate::clock::now() }
    }
}

/// Why the gateway counts as gone when nothing was heard of it for so long. After a sleep the connection
/// may be dead without a word; another one goes on where this one was.
fn silent(waited: Duration, passed_ms: u64) -> Option<&'static str> {
    if waited >= SILENCE {
        return Some("the gateway went silent");
    }
    let asleep = u128::from(passed_ms) >= SILENCE.as_millis();
    asleep.then_some("nothing was heard since this machine slept, or its clock was set")
}

impl Link {
    /// Connects and hears the first words.
    pub(super) async fn connect(feed: &FeedAddr) -> Result<Self, String> {
        match tokio::time::timeout(GREETING, greet(feed)).await {
            Ok(result) => result,
            Err(_) => Err("no answer within 10 s".to_owned()),
        }
    }

    /// The id of the gateway's run.
    pub(super) fn gateway(&self) -> &str {
        &self.hello.gateway
    }

    /// Passes on what comes, from our place in the stream on, until something ends.
    pub(super) async fn run(mut self, source: &mut Source) -> Ended {
        let hello = self.hello.clone();
        let last = match (&source.place, source.start) {
            // The same run: go on where we were.
            (Some(place), _) if place.gateway == hello.gateway => place.last,
            // Another run at the same address began after we came.
            (Some(_), _) | (None, Start::All) => 0,
            (None, Start::Recent(count)) => {
                // What is gone and what is not wanted is no gap at the first meeting.
                let oldest = hello.oldest_seq.saturating_sub(1);
                hello.next_seq.saturating_sub(1).saturating_sub(count).max(oldest)
            }
        };
        source.place = Some(Place { gateway: hello.gateway.clone(), last });
        let connected = FeedEvent::Connected { source: source.id, hello: Box::new(hello.clone()) };
        if source.events.send(connected).await.is_err() {
            return Ended::Monitor;
        }
        let fleet = source.fleet.is_some();
        let subscribe = Ask::Subscribe { gateway: hello.gateway, since_seq: last, fleet };
        if let Err(error) = self.ask(&subscribe).await {
            return lost(error);
        }
        // What comes before the answer is from another place in the stream.
        let mut subscribed = false;
        let mut heard = Heard::now();
        loop {
            let message = tokio::select! {
                () = source.events.closed() => return Ended::Monitor,
                ask = source.asks.recv() => {
                    let Some(ask) = ask else { return Ended::Monitor };
                    if let Err(error) = self.ask(&ask).await {
                        return lost(error);
                    }
                    continue;
                }
                message = tokio::time::timeout(LOOK, self.stream.next()) => message,
            };
            let Ok(mut message) = message else {
                match silent(heard.at.elapsed(), heard.ts.millis_until(crate::clock::now())) {
                    Some(why) => return Ended::Lost(why.to_owned()),
                    None => continue,
                }
            };
            heard = Heard::now();
            // Everything that is here already goes in one batch.
            loop {
                let ended = match message {
                    Some(Ok(message)) => self.hear(source, &message, &mut subscribed).await,
                    Some(Err(error)) => Err(lost(error)),
                    None => Err(Ended::Lost("the connection was closed".to_owned())),
                };
                if let Err(ended) = ended {
                    // What came before the end is not lost with it.
                    return if self.flush(source).await.is_ok() { ended } else { Ended::Monitor };
                }
                if self.batch.len() >= BATCH || self.batch_bytes >= BATCH_BYTES {
                    break;
                }
                match self.stream.next().now_or_never() {
                    Some(next) => message = next,
                    None => break,
                }
            }
            if let Err(ended) = self.flush(source).await {
                return ended;
            }
        }
    }

    async fn ask(&mut self, ask: &Ask) -> Result<(), Error> {
        match serde_json::to_string(ask) {
            Ok(text) => self.sink.send(Message::Text(text.into())).await,
            Err(_) => Ok(()),
        }
    }

    async fn flush(&mut self, source: &Source) -> Result<(), Ended> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.batch_bytes = 0;
        let lines = std::mem::take(&mut self.batch);
        send(source, FeedEvent::Records { source: source.id, lines }).await
    }

    /// Something is wrong with what came: said, and borne for a while.
    async fn trouble(&mut self, source: &Source, message: String) -> Result<(), Ended> {
        self.nonsense = self.nonsense.saturating_add(1);
        if self.nonsense > PATIENCE {
            return Err(Ended::Nonsense(format!("too much that is not understood; the last: {message}")));
        }
        send(source, FeedEvent::Trouble { source: Some(source.id), message }).await
    }

    async fn hear(
        &mut self,
        source: &mut Source,
        message: &Message,
        subscribed: &mut bool,
    ) -> Result<(), Ended> {
        let text = match message {
            Message::Text(text) => text.as_str(),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(()),
            Message::Close(_) => return Err(Ended::Lost("the gateway closed the feed".to_owned())),
            Message::Binary(_) => return self.trouble(source, "a binary message".to_owned()).await,
        };
        let peek = match serde_json::from_str::<Peek<'_>>(text) {
            Ok(peek) => peek,
            Err(error) => return self.trouble(source, format!("not understood: {}", short(&error))).await,
        };
        if matches!(peek.kind.as_ref(), "decision" | "outcome" | "event") {
            if !*subscribed {
                return Ok(());
            }
            let gateway = peek.gateway.as_deref().unwrap_or("");
            return match peek.seq {
                Some(seq) if gateway == self.hello.gateway && seq > 0 => self.record(source, seq, text).await,
                Some(seq) if seq > 0 && is_other(source, gateway) => {
                    self.other(source, gateway, seq, text).await
                }
                _ => self.trouble(source, "a record that is not of this gateway run".to_owned()).await,
            };
        }
        let say = match serde_json::from_str::<Say>(text) {
            Ok(say) => say,
            Err(error) => return self.trouble(source, format!("not understood: {}", short(&error))).await,
        };
        match say {
            Say::Hello(_) => self.trouble(source, "a second hello".to_owned()).await,
            Say::State(state) => {
                self.flush(source).await?;
                send(source, FeedEvent::State { source: source.id, state }).await
            }
            Say::Reply { ok, of, message } => {
                if !*subscribed && of == "subscribe" {
                    *subscribed = true;
                    return if ok {
                        Ok(())
                    } else {
                        Err(Ended::Nonsense(format!("refuses its records: {}", cut(&message))))
                    };
                }
                self.flush(source).await?;
                send(source, FeedEvent::Reply { source: source.id, ok, of, message }).await
            }
            Say::Gap { gateway: Some(gateway), from_seq, to_seq } if gateway != self.hello.gateway => {
                if !*subscribed {
                    return Ok(());
                }
                if from_seq > to_seq || from_seq == 0 || !is_other(source, &gateway) {
                    return self.trouble(source, "a gap that makes no sense".to_owned()).await;
                }
                let lost = source.fleet.as_ref().map(|fleet| fleet.lost(&gateway, from_seq, to_seq, false));
                self.gaps(source, Some(&gateway), &lost.unwrap_or_default()).await
            }
            Say::Gap { from_seq, to_seq, .. } => {
                let last = source.place.as_ref().map_or(0, |place| place.last);
                if !*subscribed || to_seq <= last {
                    return Ok(());
                }
                if from_seq > to_seq {
                    return self.trouble(source, "a gap that ends before it begins".to_owned()).await;
                }
                self.gap(source, to_seq).await
            }
        }
    }

    /// Everything after the last record, up to a number, is missing.
    async fn gap(&mut self, source: &mut Source, to: u64) -> Result<(), Ended> {
        let Some(place) = &mut source.place else { return Ok(()) };
        let from = place.last.saturating_add(1);
        place.last = to;
        let lost = match &source.fleet {
            // Some of it may have come over another feed.
            Some(fleet) => fleet.lost(&self.hello.gateway, from, to, true),
            None => vec![(from, to)],
        };
        self.gaps(source, None, &lost).await
    }

    async fn gaps(
        &mut self,
        source: &Source,
        gateway: Option<&str>,
        lost: &[(u64, u64)],
    ) -> Result<(), Ended> {
        if lost.is_empty() {
            return Ok(());
        }
        self.flush(source).await?;
        for &(from, to) in lost {
            let gateway = gateway.map(str::to_owned);
            send(source, FeedEvent::Gap { source: source.id, gateway, from, to }).await?;
        }
        Ok(())
    }

    /// A record of another gateway of the fleet.
    async fn other(&mut self, source: &Source, gateway: &str, seq: u64, text: &str) -> Result<(), Ended> {
        let Some(fleet) = &source.fleet else { return Ok(()) };
        let (new, lost) = fleet.other(gateway, seq);
        self.gaps(source, Some(gateway), &lost).await?;
        if new {
            self.keep(text);
        }
        Ok(())
    }

    fn keep(&mut self, text: &str) {
        self.batch_bytes = self.batch_bytes.saturating_add(text.len());
        self.batch.push(Arc::from(text.as_bytes()));
    }

    async fn record(&mut self, source: &mut Source, seq: u64, text: &str) -> Result<(), Ended> {
        let last = source.place.as_ref().map_or(0, |place| place.last);
        if seq <= last {
            return Ok(());
        }
        if seq > last.saturating_add(1) {
            // Nobody announced it, and still nothing is missing silently.
            self.gap(source, seq.saturating_sub(1)).await?;
        }
        if let Some(place) = &mut source.place {
            place.last = seq;
        }
        if source.fleet.as_ref().is_none_or(|fleet| fleet.record(&self.hello.gateway, seq)) {
            self.keep(text);
        }
        Ok(())
    }
}

/// Whether records of that gateway are wanted over this feed though they are not its own.
fn is_other(source: &Source, gateway: &str) -> bool {
    source.fleet.is_some() && !gateway.is_empty() && gateway.len() <= MAX_NAME
}

async fn send(source: &Source, event: FeedEvent) -> Result<(), Ended> {
    source.events.send(event).await.map_err(|_| Ended::Monitor)
}

fn lost(error: Error) -> Ended {
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            Ended::Lost("the connection broke".to_owned())
        }
        Error::Capacity(_) | Error::Protocol(_) | Error::Utf8(_) => Ended::Nonsense(explain(&error)),
        other => Ended::Lost(explain(&other)),
    }
}

/// Text from the other side, safe and short enough to show.
fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(200).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    visible(&short).into_owned()
}

fn short(error: &serde_json::Error) -> String {
    cut(&error.to_string())
}

fn explain(error: &Error) -> String {
    match error {
        Error::Http(response) => match response.status().as_u16() {
            401 => "the token was not accepted (401)".to_owned(),
            403 => "this connection is not allowed (403)".to_owned(),
            404 => "there is no feed at this address (404): it has one of its own, `feed.listen` in the \
                    gateway's configuration, and not that of the calls"
                .to_owned(),
            503 => "the gateway has too many clients (503)".to_owned(),
            status => format!("the gateway answered with HTTP {status}"),
        },
        Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            "nobody listens there".to_owned()
        }
        other => cut(&other.to_string()),
    }
}

async fn greet(feed: &FeedAddr) -> Result<Link, String> {
    let mut request = feed.url.as_str().into_client_request().map_err(|error| explain(&error))?;
    if request.uri().scheme_str() == Some("wss") {
        // Whoever was first has set the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    if !feed.token.is_empty() {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", feed.token))
            .map_err(|_| "the token holds characters that no token has".to_owned())?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(64 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let (socket, _) =
        connect_async_with_config(request, Some(config), true).await.map_err(|error| explain(&error))?;
    let (sink, mut stream) = socket.split();
    let hello = loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) if text.len() <= MAX_HELLO => break check_hello(&text)?,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(_)) => return Err("it does not begin with a hello".to_owned()),
            Some(Err(error)) => return Err(explain(&error)),
            None => return Err("the connection was closed".to_owned()),
        }
    };
    Ok(Link { sink, stream, hello, nonsense: 0, batch: Vec::new(), batch_bytes: 0 })
}

fn check_hello(text: &str) -> Result<Hello, String> {
    let Ok(Say::Hello(hello)) = serde_json::from_str::<Say>(text) else {
        return Err("it does not begin with a hello".to_owned());
    };
    if hello.protocol != PROTOCOL {
        return Err(format!("it speaks `{}`, not `{PROTOCOL}`", cut(&hello.protocol)));
    }
    let names = [&hello.gateway, &hello.name, &hello.host, &hello.version];
    if hello.gateway.is_empty() || names.iter().any(|name| name.len() > MAX_NAME) {
        return Err("its hello holds no names that can be shown".to_owned());
    }
    if hello.next_seq == 0 || hello.oldest_seq > hello.next_seq {
        return Err("its hello counts records impossibly".to_owned());
    }
    Ok(*hello)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_sleep_end_a_connection_and_nothing_else_does() {
        let seconds = Duration::from_secs;
        assert_eq!(silent(seconds(5), 5_000), None);
        assert_eq!(silent(seconds(49), 49_000), None);
        assert_eq!(silent(seconds(50), 50_000), Some("the gateway went silent"));
        // Eight hours asleep: one clock stood still.
        assert!(silent(seconds(5), 8 * 3_600_000).is_some_and(|why| why.contains("slept")));
        // A clock that is set back says nothing.
        assert_eq!(silent(seconds(5), 0), None);
    }
}
