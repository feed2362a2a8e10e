//! Requests of a client to a server behind an address.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use memchr::memchr2;

use super::headers::{self, SESSION};
use super::holding::{self, Onward};
use super::places::{Behind, Live, NoSession, Place, Seat};
use super::relay::{Bounds, Flight, relay};
use super::said::{self, Answer};
use super::service::Service;
use super::streams::Heard;
use super::upstream::{Failure, Upstream};
use crate::clock;
use crate::gateway::call::decider::Decider;
use crate::gateway::call::judge::Ruling;
use crate::gateway::call::session::Ended;
use crate::mcp::envelope::{self, Limits, Line, Message, Refusal};
use crate::mcp::reply;
use crate::record::Status;

/// A message of the client, and what came with it.
pub(super) struct Posted {
    pub(super) headers: HeaderMap,
    /// As it came.
    pub(super) body: Bytes,
}

/// Why a body could not be read.
#[derive(Debug)]
pub(super) enum NoBody {
    /// It is larger than the limit; what was read of it.
    TooLarge(Bytes),
    /// It did not come in time.
    Late,
    /// The client broke off.
    Broken,
}

/// Reads a body of at most `most` bytes.
pub(super) async fn read(mut body: Incoming, most: usize, patience: Duration) -> Result<Bytes, NoBody> {
    let reading = async {
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return Err(NoBody::Broken) };
            let Ok(data) = frame.into_data() else { continue };
            if bytes.is_empty() && data.len() <= most && hyper::body::Body::is_end_stream(&body) {
                return Ok(data);
            }
            bytes.extend_from_slice(&data);
            if bytes.len() > most {
                bytes.truncate(most);
                return Err(NoBody::TooLarge(bytes.freeze()));
            }
        }
        Ok(bytes.freeze())
    };
    tokio::time::timeout(patience, reading).await.unwrap_or(Err(NoBody::Late))
}

/// The body with the line ends between its tokens as spaces, as it would stand on one line. Within
/// strings they are no JSON, and stay what they are.
pub(super) fn on_one_line(body: &[u8]) -> Cow<'_, [u8]> {
    if memchr2(b'\r', b'\n', body).is_none() {
        return Cow::Borrowed(body);
    }
    let mut line = body.to_vec();
    let (mut string, mut escaped) = (false, false);
    for byte in &mut line {
        match *byte {
            b'\r' | b'\n' if !string => *byte = b' ',
            b'"' if !escaped => string = !string,
            _ => {}
        }
        escaped = string && !escaped && *byte == b'\\';
    }
    Cow::Owned(line)
}

/// Whether a message begins a session.
pub(super) fn initializes(line: &[u8], most: usize) -> bool {
    let limits = Limits { max_message: most };
    matches!(envelope::peek(line, &limits), Ok(Line::Message(message)) if message.method() == Some("initialize"))
}

/// The session's id that a request names.
pub(super) fn session_of(headers: &HeaderMap) -> Result<Option<String>, NoSession> {
    let mut values = headers.get_all(SESSION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        Ok(id) if values.next().is_none() && !id.is_empty() && id.len() <= 1024 => Ok(Some(id.to_owned())),
        _ => Err(NoSession::Unreadable),
    }
}

/// The answer where a session cannot be used.
pub(super) fn no_session(why: &NoSession) -> Answer {
    match why {
        NoSession::TooMany => said::busy(None, "there are too many sessions at the moment"),
        NoSession::Unknown => {
            said::error(StatusCode::NOT_FOUND, None, "there is no such session: initialize a new one")
        }
        NoSession::Missing => said::error(
            StatusCode::BAD_REQUEST,
            None,
            "the header Mcp-Session-Id is missing: a session begins with `initialize`",
        ),
        NoSession::Failed(why) => {
            said::error(StatusCode::BAD_GATEWAY, None, &format!("the server cannot be started: {why}"))
        }
        NoSession::Unreadable => said::error(
            StatusCode::BAD_REQUEST,
            None,
            "the header Mcp-Session-Id must stand once, with visible ASCII characters",
        ),
    }
}

/// A refused message: what the client gets is recorded first.
pub(super) fn refuse(live: &Live, refusal: Refusal, status: StatusCode, began: u64) -> Answer {
    let mut ruling = live.conversation.refuse(refusal, began);
    live.conversation.record(std::iter::once(&mut ruling));
    match ruling {
        Ruling::Answer(answer) => said::message(status, answer.reply),
        _ => said::error(status, None, "the message is refused"),
    }
}

impl Service {
    /// POST: one message of the client.
    pub(super) async fn post(&self, place: &Arc<Place>, seat: &Arc<Seat>, posted: Posted) -> Answer {
        let desk = &seat.decider.desk;
        let message = on_one_line(&posted.body);
        let (session, live) = match self.session(place, seat, &posted.headers) {
            Ok((None, _)) if initializes(&message, desk.max_message) => (None, seat.session()),
            Ok(found) => found,
            Err(why) => return no_session(&why),
        };
        let conversation = &live.conversation;
        let (mut modern, mut listens) = (false, false);
        let began = clock::tick();
        let mut check = |peeked: &Message<'_>| {
            modern = peeked.is_modern();
            listens = peeked.method() == Some("subscriptions/listen");
            headers::agree(&posted.headers, peeked, false)
        };
        let mut ruling = conversation.judge(&message, &mut check, &|| headers::trace(&posted.headers));
        let wait = live.waits_for(&mut ruling, &posted.headers);
        conversation.record(ruling.iter_mut());
        let Some(ruling) = ruling else {
            return refuse(&live, empty(), StatusCode::BAD_REQUEST, began);
        };
        let (place, sessions) = (Arc::clone(place), self.limits.sessions);
        let bounds = self.bounds(seat, None);
        match ruling {
            Ruling::Answer(answer) => return said::message(said::refused(answer.refused), answer.reply),
            Ruling::Forward { .. } | Ruling::Allow(_) => {}
            Ruling::Hold(_) | Ruling::Held => {
                let Some(wait) = wait else { return said::not_held() };
                let sending = Sending { place, sessions, session, posted, heard: None, bounds };
                let onward = Onward::Url { sending: Box::new(sending), live: Arc::clone(&live), modern };
                return holding::held(wait, onward).await;
            }
        }
        let mut ended: Vec<Ended> = Vec::new();
        conversation.sending(std::iter::once(&ruling), &mut ended);
        let id = ruling.request().cloned();
        let heard = listens.then(|| {
            seat.decider.attach(conversation);
            live.streams.open(id.clone())
        });
        let flight = Flight { live: Arc::clone(&live), id, modern, resumable: false, listens };
        Sending { place, sessions, session, posted, heard, bounds }.send(flight, &ended).await
    }

    /// GET: the stream of what a server says by itself, and of what a client missed.
    pub(super) async fn get(
        &self,
        place: &Arc<Place>,
        upstream: &Upstream,
        seat: &Arc<Seat>,
        client: &HeaderMap,
    ) -> Answer {
        let live = match self.session(place, seat, client) {
            Ok((_, live)) => live,
            Err(why) => return no_session(&why),
        };
        let Some(permit) = self.permit() else {
            return said::busy(None, "there are too many open streams at the moment");
        };
        let mut flight =
            Flight { live: Arc::clone(&live), id: None, modern: false, resumable: false, listens: false };
        let answer = upstream.send(Method::GET, client, Bytes::new()).await;
        reached(&seat.decider, &answer);
        let response = match answer {
            Ok(response) => response,
            Err(failure) => return unanswered(&mut flight, &failure),
        };
        let heard = response.status().is_success().then(|| live.streams.open(None));
        relay(response, flight, heard, self.bounds(seat, Some(permit))).await
    }

    /// DELETE: the client ends its session.
    pub(super) async fn delete(
        &self,
        place: &Arc<Place>,
        upstream: &Upstream,
        seat: &Arc<Seat>,
        client: &HeaderMap,
    ) -> Answer {
        let (session, live) = match self.session(place, seat, client) {
            Ok(found) => found,
            Err(why) => return no_session(&why),
        };
        let mut flight = Flight { live, id: None, modern: false, resumable: false, listens: false };
        let answer = upstream.send(Method::DELETE, client, Bytes::new()).await;
        reached(&seat.decider, &answer);
        let response = match answer {
            Ok(response) => response,
            Err(failure) => return unanswered(&mut flight, &failure),
        };
        if let Some(id) = &session
            && (response.status().is_success() || response.status() == StatusCode::NOT_FOUND)
            && let Some(live) = place.forget(id)
        {
            live.conversation.client_gone();
        }
        relay(response, flight, None, self.bounds(seat, None)).await
    }

    /// The session that a request names, or a conversation of its own.
    fn session(
        &self,
        place: &Place,
        seat: &Arc<Seat>,
        headers: &HeaderMap,
    ) -> Result<(Option<String>, Arc<Live>), NoSession> {
        match session_of(headers)? {
            Some(id) => {
                let live = place.named(&id, seat, self.limits.sessions)?;
                Ok((Some(id), live))
            }
            None => Ok((None, seat.stateless())),
        }
    }

    pub(super) fn bounds(&self, seat: &Seat, permit: Option<tokio::sync::OwnedSemaphorePermit>) -> Bounds {
        Bounds {
            idle: self.limits.idle_stream,
            revoked: seat.revoked(),
            draining: self.draining.subscribe(),
            _permit: permit,
        }
    }
}

/// A message that is to be sent on, with what came with it.
pub(super) struct Sending {
    pub(super) place: Arc<Place>,
    /// The most sessions at once.
    pub(super) sessions: usize,
    /// The session that the client named.
    pub(super) session: Option<String>,
    pub(super) posted: Posted,
    pub(super) heard: Option<Heard>,
    pub(super) bounds: Bounds,
}

impl Sending {
    /// Sends it, and relays what is answered. `ended` are the calls that end by it.
    pub(super) async fn send(self, mut flight: Flight, ended: &[Ended]) -> Answer {
        let Self { place, sessions, session, posted, heard, bounds } = self;
        let Behind::Url(upstream) = &place.behind else { return said::not_held() };
        let answer = upstream.send(Method::POST, &posted.headers, posted.body).await;
        let live = Arc::clone(&flight.live);
        reached(&live.conversation.decider, &answer);
        live.conversation.desk.end_calls(ended);
        let response = match answer {
            Ok(response) => response,
            Err(failure) => return unanswered(&mut flight, &failure),
        };
        if let Some(id) = response.headers().get(SESSION).and_then(|id| id.to_str().ok())
            && session.is_none()
            && response.status().is_success()
        {
            live.conversation.named(id);
            let _ = place.keep(id, &live, sessions);
        }
        if let Some(id) = &session
            && response.status() == StatusCode::NOT_FOUND
        {
            place.forget(id);
        }
        relay(response, flight, heard, bounds).await
    }
}

/// What is to be said of a body without a message.
pub(super) fn empty() -> Refusal {
    Refusal {
        code: reply::PARSE_ERROR,
        id: None,
        message: "the body holds no message".to_owned(),
        tool: None,
        method: None,
    }
}

/// Operators are told whether the upstream can be reached. One that takes long, or breaks off, was.
fn reached<T>(decider: &Decider, answer: &Result<T, Failure>) {
    let reached = answer.as_ref().map_or_else(|failure| !failure.unsent, |_| true);
    decider.desk.gauges.upstream(&decider.who.server, reached);
}

/// The upstream could not be asked, or did not answer.
fn unanswered(flight: &mut Flight, failure: &Failure) -> Answer {
    let id = flight.end(Status::Lost, failure.unsent);
    let status = if failure.late { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
    said::error(status, id.as_deref(), &failure.why)
}

/// The message in a request.
pub(super) async fn posted(
    request: Request<Incoming>,
    most: usize,
    patience: Duration,
) -> Result<Posted, (NoBody, HeaderMap)> {
    let (parts, body) = request.into_parts();
    match read(body, most, patience).await {
        Ok(body) => Ok(Posted { headers: parts.headers, body }),
        Err(why) => Err((why, parts.headers)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_between_tokens_become_spaces() {
        for (body, line) in [
            ("{\r\n \"a\":\n1}\n", "{   \"a\": 1} "),
            ("{\"a\":\"x\\\"\",\n\"b\":1}", "{\"a\":\"x\\\"\", \"b\":1}"),
            ("{\"a\":\"x\\\\\",\n\"b\":1}", "{\"a\":\"x\\\\\", \"b\":1}"),
            // No JSON, and so it is left for the refusal.
            ("{\"a\":\"x\ny\"}", "{\"a\":\"x\ny\"}"),
            ("{\"a\":1}", "{\"a\":1}"),
        ] {
            assert_eq!(on_one_line(body.as_bytes()), line.as_bytes());
        }
    }
}
