//! What the upstream answers, on its way to the client: looked at message by message, changed only
//! where a list loses what is hidden.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use tokio::sync::watch;

use super::places::Live;
use super::said::{self, Answer, Broken};
use super::skim::Skim;
use super::sse::{self, Events, Piece};
use super::streams::Heard;
use super::{headers, upstream};
use crate::clock;
use crate::gateway::call::answer::{Afterwards, Passes};
use crate::mcp::id::IdKey;
use crate::mcp::reply;
use crate::record::Status;

/// How much of a message is held to be looked at as a whole, where it is no list. Larger ones are
/// looked at as they pass.
const HELD: usize = 1024 * 1024;

/// A request that was sent to the upstream. However it is let go, the call ends in the records.
pub(super) struct Flight {
    pub(super) live: Arc<Live>,
    /// The request; `None` for what is not answered.
    pub(super) id: Option<IdKey>,
    /// In the 2026-07-28 era, a client that goes away has cancelled.
    pub(super) modern: bool,
    /// The answer can still come on another stream.
    pub(super) resumable: bool,
    /// It waits for changes, and has no answer of its own.
    pub(super) listens: bool,
}

impl Flight {
    /// The request ends. Gives its id as spelt, unless it was answered.
    pub(super) fn end(&mut self, status: Status, give_back: bool) -> Option<String> {
        let id = self.id.take()?;
        let conversation = &self.live.conversation;
        let closed = conversation.session().close(&id, status, give_back, clock::tick() / 1000);
        let (raw, ended) = closed?;
        if let Some(ended) = ended {
            conversation.desk.end_call(&ended);
        }
        Some(raw)
    }

    /// Whether it still waits for its answer.
    fn is_open(&self) -> bool {
        self.id.as_ref().is_some_and(|id| self.live.conversation.session().in_flight(id))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.resumable {
            let status = if self.modern { Status::Cancelled } else { Status::Lost };
            let _ = self.end(status, false);
        }
    }
}

/// What a stream is bound by.
pub(super) struct Bounds {
    /// How long nothing may come, not even a comment.
    pub(super) idle: Duration,
    /// Becomes true when the grant is revoked.
    pub(super) revoked: watch::Receiver<bool>,
    /// Becomes true when the gateway ends: streams without an end of their own end then.
    pub(super) draining: watch::Receiver<bool>,
    /// A place among the streams that may be open.
    pub(super) _permit: Option<tokio::sync::OwnedSemaphorePermit>,
}

/// Statuses that say that the message was not taken, so that nothing ran.
pub(super) fn gives_back(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401 | 403 | 404 | 405 | 413 | 415 | 429)
}

/// Relays an answer.
pub(super) async fn relay(
    response: Response<Incoming>,
    mut flight: Flight,
    heard: Option<Heard>,
    bounds: Bounds,
) -> Answer {
    let (parts, body) = response.into_parts();
    let headers = headers::for_client(&parts.headers);
    let kind = headers::media_type(&headers).unwrap_or_default();
    if parts.status.is_redirection() {
        let to = parts.headers.get(http::header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("");
        let to = crate::gateway::without_user(to);
        crate::gateway::say(&format!(
            "the server at `{}` answers with a redirect to `{to}`, which is not followed",
            flight.live.conversation.decider.who.upstream
        ));
        return failed(
            &mut flight,
            StatusCode::BAD_GATEWAY,
            "the server answers with a redirect, which is not followed",
        );
    }
    if !headers::is_identity(&headers) {
        return failed(
            &mut flight,
            StatusCode::BAD_GATEWAY,
            "the server's answer is compressed although that was not asked for",
        );
    }
    if kind == "text/event-stream" {
        return events(parts.status, headers, body, flight, heard, bounds);
    }
    if kind == "application/json" || kind.ends_with("+json") || kind == "text/json" {
        return json(parts.status, headers, body, flight, bounds).await;
    }
    if flight.id.is_some() && parts.status.is_success() && !body.is_end_stream() {
        return failed(
            &mut flight,
            StatusCode::BAD_GATEWAY,
            "the server's answer is neither JSON nor a stream of events",
        );
    }
    settle(&mut flight, parts.status);
    let body = body.map_err(|error| Broken::from(upstream::deepest(&error))).boxed_unsync();
    said::with(parts.status, headers, body)
}

/// An error of the gateway's own instead of the upstream's answer.
fn failed(flight: &mut Flight, status: StatusCode, why: &str) -> Answer {
    let id = flight.end(Status::Lost, false);
    said::error(status, id.as_deref(), why)
}

/// Ends a request that the body of its answer did not end.
fn settle(flight: &mut Flight, status: StatusCode) {
    if gives_back(status) {
        let _ = flight.end(Status::RpcError, true);
    } else {
        let _ = flight.end(Status::Lost, false);
    }
}

fn hides(live: &Live) -> bool {
    live.conversation.decider.in_force().is_none_or(|in_force| in_force.compiled.hides_anything())
}

/// How much is held of one message.
fn held(live: &Live) -> usize {
    if hides(live) { HELD.max(live.conversation.desk.max_message) } else { HELD }
}

/// One JSON document: looked at as a whole, unless it is too large for that.
async fn json(
    status: StatusCode,
    mut headers: HeaderMap,
    mut body: Incoming,
    mut flight: Flight,
    bounds: Bounds,
) -> Answer {
    let most = held(&flight.live);
    let mut bytes = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(bounds.idle, body.frame()).await;
        match frame {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    if bytes.is_empty() && body.is_end_stream() {
                        bytes = BytesMut::from(data);
                        break;
                    }
                    bytes.extend_from_slice(&data);
                }
            }
            Ok(Some(Err(error))) => {
                let why = format!("the server's answer broke off: {}", upstream::deepest(&error));
                return failed(&mut flight, StatusCode::BAD_GATEWAY, &why);
            }
            Err(_) => {
                return failed(
                    &mut flight,
                    StatusCode::GATEWAY_TIMEOUT,
                    "the server stopped in the middle of its answer",
                );
            }
        }
        if bytes.len() > most {
            return large(status, headers, bytes.freeze(), body, flight, bounds);
        }
    }
    let bytes = bytes.freeze();
    let mut afterwards = Afterwards::default();
    let conversation = &flight.live.conversation;
    let passes = conversation.hear(&bytes, bytes.len(), &mut afterwards);
    conversation.after(&mut afterwards);
    let changed = match passes {
        Passes::Whole => None,
        Passes::Instead(instead) => Some(instead),
        Passes::Parts(parts) => Some([b"[", parts.join(&b","[..]).as_slice(), b"]"].concat()),
        Passes::Nothing => {
            let blank = bytes.iter().all(u8::is_ascii_whitespace);
            if status.is_success() && flight.is_open() && !blank {
                return failed(
                    &mut flight,
                    StatusCode::BAD_GATEWAY,
                    "the server's answer is no JSON-RPC message",
                );
            }
            None
        }
    };
    settle(&mut flight, status);
    let body = match changed {
        None => bytes,
        Some(changed) => Bytes::from(changed),
    };
    if headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    said::with(status, headers, said::full(body))
}

/// A document that is too large to be held: it passes as it comes.
fn large(
    status: StatusCode,
    headers: HeaderMap,
    begin: Bytes,
    body: Incoming,
    flight: Flight,
    bounds: Bounds,
) -> Answer {
    struct Passing {
        begin: Option<Bytes>,
        body: Incoming,
        flight: Flight,
        bounds: Bounds,
        skim: Skim,
        over: bool,
    }
    impl Passing {
        async fn next(&mut self) -> Option<Result<Frame<Bytes>, Broken>> {
            if self.over {
                return None;
            }
            let data = match self.begin.take() {
                Some(begin) => begin,
                None => loop {
                    match tokio::time::timeout(self.bounds.idle, self.body.frame()).await {
                        Ok(Some(Ok(frame))) => {
                            if let Ok(data) = frame.into_data() {
                                break data;
                            }
                        }
                        Ok(None) => {
                            self.over = true;
                            self.skim.end(&self.flight.live.conversation);
                            return None;
                        }
                        Ok(Some(Err(error))) => return Some(self.broken(&upstream::deepest(&error))),
                        Err(_) => return Some(self.broken("nothing came for too long")),
                    }
                },
            };
            if self.skim.push(&data).is_err() {
                return Some(self.broken("a tool list is too large to be looked at"));
            }
            // Where the length was told, nobody asks for more than that.
            if self.body.is_end_stream() {
                self.over = true;
                self.skim.end(&self.flight.live.conversation);
            }
            Some(Ok(Frame::data(data)))
        }

        fn broken(&mut self, why: &str) -> Result<Frame<Bytes>, Broken> {
            self.over = true;
            let _ = self.flight.end(Status::Lost, false);
            Err(Broken::from(why))
        }
    }
    let skim = Skim::new(hides(&flight.live));
    let passing = Passing { begin: Some(begin), body, flight, bounds, skim, over: false };
    let frames =
        stream::unfold(
            passing,
            |mut passing| async move { passing.next().await.map(|frame| (frame, passing)) },
        );
    said::with(status, headers, BodyExt::boxed_unsync(StreamBody::new(frames)))
}

/// A stream of events: relayed one by one as they come.
fn events(
    status: StatusCode,
    mut headers: HeaderMap,
    body: Incoming,
    flight: Flight,
    heard: Option<Heard>,
    bounds: Bounds,
) -> Answer {
    headers.remove(CONTENT_LENGTH);
    let events = Events::new(held(&flight.live));
    let relay = Relay { body, events, flight, heard, bounds, skim: None, over: false };
    let frames =
        stream::unfold(relay, |mut relay| async move { relay.next().await.map(|frame| (frame, relay)) });
    said::with(status, headers, BodyExt::boxed_unsync(StreamBody::new(frames)))
}

struct Relay {
    body: Incoming,
    events: Events,
    flight: Flight,
    heard: Option<Heard>,
    bounds: Bounds,
    /// Of an event that is too large to be held.
    skim: Option<Skim>,
    over: bool,
}

impl Relay {
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, Broken>> {
        while !self.over {
            // A stream without an end of its own.
            let endless = self.flight.id.is_none() || self.flight.listens;
            let between = self.events.is_between();
            let frame = tokio::select! {
                biased;
                _ = self.bounds.revoked.wait_for(|revoked| *revoked) => {
                    self.over = true;
                    return None;
                }
                _ = self.bounds.draining.wait_for(|draining| *draining), if endless => {
                    self.over = true;
                    return None;
                }
                said = said(self.heard.as_mut()), if between => {
                    return Some(Ok(Frame::data(Bytes::from(sse::event(&said)))));
                }
                frame = tokio::time::timeout(self.bounds.idle, self.body.frame()) => frame,
            };
            let out = match frame {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        let pieces = self.events.push(&data);
                        self.pass(pieces)
                    }
                    Err(_) => Ok(Vec::new()),
                },
                Ok(None) => {
                    self.over = true;
                    let events = std::mem::replace(&mut self.events, Events::new(0));
                    let resumable = events.is_resumable();
                    let out = self.pass(events.finish());
                    self.flight.resumable = resumable && !self.flight.modern;
                    if !self.flight.resumable {
                        let _ = self.flight.end(Status::Lost, false);
                    }
                    out
                }
                Ok(Some(Err(error))) => return Some(self.broken(&upstream::deepest(&error))),
                Err(_) => return Some(self.broken("nothing came for too long")),
            };
            // What was seen of ids so far: should the client go away, it could resume.
            self.flight.resumable |= self.events.is_resumable() && !self.flight.modern;
            match out {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Some(Ok(Frame::data(Bytes::from(bytes)))),
                Err(why) => {
                    self.flight.resumable = false;
                    return Some(self.broken(why));
                }
            }
        }
        None
    }

    /// Looks at what came, and gives what goes on.
    fn pass(&mut self, pieces: Vec<Piece>) -> Result<Vec<u8>, &'static str> {
        let mut out = Vec::new();
        let mut afterwards = Afterwards::default();
        let conversation = &self.flight.live.conversation;
        for piece in pieces {
            match piece {
                Piece::Pass(mut raw) => out.append(&mut raw),
                Piece::Event(mut event) => {
                    let data = event.data();
                    match conversation.hear(&data, data.len(), &mut afterwards) {
                        Passes::Whole | Passes::Nothing => out.append(&mut event.raw),
                        Passes::Instead(instead) => out.extend(event.with_data(&instead)),
                        Passes::Parts(parts) => {
                            let batch = [b"[", parts.join(&b","[..]).as_slice(), b"]"].concat();
                            out.extend(event.with_data(&batch));
                        }
                    }
                }
                Piece::Large { mut raw, data, last } => {
                    let skim = self.skim.get_or_insert_with(|| Skim::new(hides(&self.flight.live)));
                    skim.push(&data).map_err(|_| "a tool list is too large to be looked at")?;
                    if last && let Some(skim) = self.skim.take() {
                        skim.end(conversation);
                    }
                    out.append(&mut raw);
                }
            }
        }
        conversation.after(&mut afterwards);
        Ok(out)
    }

    /// The upstream broke off. A client that cannot resume is told by an answer; one that can sees
    /// what the upstream's client would see.
    fn broken(&mut self, why: &str) -> Result<Frame<Bytes>, Broken> {
        self.over = true;
        if self.flight.resumable {
            return Err(Broken::from(why));
        }
        let whole = !self.events.is_between();
        let Some(id) = self.flight.end(Status::Lost, false) else {
            return Err(Broken::from(why));
        };
        if self.skim.is_some() {
            // In the middle of a message there is no room for another.
            return Err(Broken::from(why));
        }
        let why = format!("the server's answer broke off: {why}");
        let error = reply::error(Some(&id), reply::INTERNAL_ERROR, &why);
        let mut out = if whole { b"\n\n".to_vec() } else { Vec::new() };
        out.extend(sse::event(&error));
        Ok(Frame::data(Bytes::from(out)))
    }
}

/// The next message of the gateway's own; never, where there can be none.
async fn said(heard: Option<&mut Heard>) -> Vec<u8> {
    match heard {
        Some(heard) => match heard.next().await {
            Some(message) => message,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
