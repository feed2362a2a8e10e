//! Requests of a client to a stdio server behind the gateway.
//!
//! In the eras with `initialize`, each session has a server of its own. In the stateless era no
//! request belongs to another, but ids go on as they are spelt and may be alike: each request in
//! flight has a server of its own while there is room for one, and then shares one that has no
//! request with its id or its progress token.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http::header::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::child::is_answer;
use super::headers::{self, SESSION, VERSION};
use super::holding::{self, Onward, ToChild};
use super::places::{Found, Live, NoSession, Place, Pool, Seat};
use super::relay::Bounds;
use super::routes::{Asks, Said};
use super::said::{self, Answer, Broken};
use super::service::Service;
use super::sse;
use super::url::{Posted, empty, no_session, on_one_line, refuse, session_of};
use crate::clock;
use crate::gateway::call::judge::Ruling;
use crate::mcp::envelope::{self, Kind, Limits, Line, Message};
use crate::mcp::id::{Id, IdKey};
use crate::mcp::reply;
use crate::mcp::server::{ServerMessage, peek_server};

/// The first version without sessions.
const MODERN: &str = "2026-07-28";

/// What a message says before it is judged: enough to find the server that it goes to.
struct Glance {
    initializes: bool,
    modern: bool,
    asks: Option<Asks>,
}

impl Glance {
    fn at(message: &Message<'_>, headers: &HeaderMap) -> Self {
        let progress = message.meta("progressToken").and_then(|token| message.raw(token));
        let asks = match &message.kind {
            Kind::Request { id, .. } => Some(Asks {
                id: id.key.clone(),
                progress: progress.and_then(|token| Id::from_json(token.as_bytes())).map(|token| token.key),
                events: headers::accepts(headers, "text/event-stream"),
            }),
            _ => None,
        };
        Self { initializes: message.method() == Some("initialize"), modern: message.is_modern(), asks }
    }
}

/// A request that a server is answering. However it is let go, the server and the records know.
pub(super) struct Waiter {
    live: Arc<Live>,
    id: IdKey,
    /// As spelt.
    raw: String,
    /// In the 2026-07-28 era, a client that goes away has cancelled what was sent.
    pub(super) modern: bool,
    done: bool,
}

impl Waiter {
    /// Sends the request on. `false`: it has not gone as a whole.
    pub(super) fn send(&self, message: Vec<u8>) -> impl Future<Output = bool> + Send + use<> {
        let live = Arc::clone(&self.live);
        async move {
            match live.own.get() {
                Some(own) => own.child.send(&message).await,
                None => false,
            }
        }
    }

    /// It has not. Gives its id as spelt, unless it was answered.
    pub(super) fn never_sent(&self) -> Option<String> {
        self.live.conversation.never_sent(&self.id)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let Some(own) = self.live.own.get() else { return };
        own.routes.close(&self.id);
        if !self.modern {
            // In the eras with sessions a client that goes away has not cancelled.
            return;
        }
        let conversation = &self.live.conversation;
        let ended = conversation.session().cancel(&self.id, clock::tick() / 1000);
        if let Some(ended) = ended {
            conversation.desk.end_call(&ended);
        }
        own.child.tell(
            format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{},"reason":"the client has gone"}}}}"#,
                self.raw
            )
            .into_bytes(),
        );
    }
}

impl Service {
    /// POST: one message of the client.
    pub(super) async fn post_command(
        &self,
        place: &Arc<Place>,
        pool: &Pool,
        seat: &Arc<Seat>,
        posted: Posted,
    ) -> Answer {
        let message = on_one_line(&posted.body);
        let began = clock::tick();
        let limits = Limits { max_message: self.desk.max_message };
        let glance = match envelope::peek(&message, &limits) {
            Ok(Line::Message(peeked)) => Glance::at(&peeked, &posted.headers),
            Ok(Line::Blank) => return refuse(&seat.stateless(), empty(), StatusCode::BAD_REQUEST, began),
            Err(refusal) => return refuse(&seat.stateless(), refusal, StatusCode::BAD_REQUEST, began),
        };
        let session = match session_of(&posted.headers) {
            Ok(session) => session,
            Err(why) => return no_session(&why),
        };
        let raw = raw_id(&message);
        let found = match (&session, &glance) {
            (Some(id), _) => place.known(id, seat).map(|live| (live, None)),
            (None, Glance { initializes: true, .. }) => {
                self.own_server(place, pool, seat).await.map(|live| (live, None))
            }
            (None, Glance { modern: true, asks, .. }) => {
                self.any_server(place, pool, seat, asks.as_ref()).await
            }
            (None, _) => Err(NoSession::Missing),
        };
        let (live, opened) = match found {
            Ok(found) => found,
            Err(why) => return no_server(&why, raw.as_deref()),
        };
        let Some(own) = live.own.get() else { return no_session(&NoSession::Unknown) };
        // A way back is open before the message is judged, so that two with one id cannot both pass.
        let answers = match (opened, &glance.asks) {
            (Some(answers), _) => Some(answers),
            (None, Some(asks)) => own.routes.open(asks),
            (None, None) => None,
        };
        let mut waiter = answers.is_some().then(|| Waiter {
            live: Arc::clone(&live),
            id: glance.asks.as_ref().map_or(IdKey::Integer(0), |asks| asks.id.clone()),
            raw: raw.clone().unwrap_or_default(),
            modern: false,
            done: false,
        });
        let conversation = &live.conversation;
        let mut check = |peeked: &Message<'_>| headers::agree(&posted.headers, peeked, true);
        let mut ruling = conversation.judge(&message, &mut check, &|| headers::trace(&posted.headers));
        let wait = live.waits_for(&mut ruling, &posted.headers);
        conversation.record(ruling.iter_mut());
        let Some(ruling) = ruling else {
            return refuse(&live, empty(), StatusCode::BAD_REQUEST, began);
        };
        let json = headers::accepts(&posted.headers, "application/json");
        let (patience, bounds) = (self.limits.upstream, self.bounds(seat, None));
        match ruling {
            Ruling::Answer(answer) => return said::message(said::refused(answer.refused), answer.reply),
            Ruling::Forward { .. } | Ruling::Allow(_) => {}
            Ruling::Hold(_) | Ruling::Held => {
                let (Some(wait), Some(answers), Some(waiter)) = (wait, answers, waiter) else {
                    return said::not_held();
                };
                let (message, modern) = (message.into_owned(), glance.modern);
                let to = ToChild { message, answers, waiter, modern, json, patience, bounds };
                return holding::held(wait, Onward::Command(Box::new(to))).await;
            }
        }
        let mut ended = Vec::new();
        let there = conversation.sending(std::iter::once(&ruling), &mut ended);
        if let Some(waiter) = &mut waiter {
            waiter.modern = glance.modern;
        }
        let gone = there && own.child.send(&message).await;
        self.desk.end_calls(&ended);
        if !gone {
            let unsent = ruling.request().and_then(|id| conversation.never_sent(id));
            if let Some(waiter) = &mut waiter {
                waiter.modern = false;
            }
            return said::error(StatusCode::BAD_GATEWAY, unsent.as_deref(), crate::gateway::GONE);
        }
        let (Some(answers), Some(waiter)) = (answers, waiter) else {
            if ruling.request().is_some() {
                return said::error(StatusCode::BAD_GATEWAY, raw.as_deref(), crate::gateway::GONE);
            }
            return said::with(StatusCode::ACCEPTED, HeaderMap::new(), said::full(Bytes::new()));
        };
        let mut answer = answered(answers, waiter, json, patience, bounds).await;
        if glance.initializes && session.is_none() {
            Self::begun(place, &live, &mut answer);
        }
        answer
    }

    /// The session that an `initialize` began, unless it failed.
    fn begun(place: &Place, live: &Arc<Live>, answer: &mut Answer) {
        if answer.status() != StatusCode::OK {
            return;
        }
        let id = new_id();
        let Ok(value) = HeaderValue::from_str(&id) else { return };
        if id.is_empty() {
            return;
        }
        live.conversation.named(id.clone());
        if place.keep(&id, live, usize::MAX).is_ok() {
            answer.headers_mut().insert(SESSION, value);
        }
    }

    /// A server for a session that begins.
    async fn own_server(&self, place: &Place, pool: &Pool, seat: &Arc<Seat>) -> Result<Arc<Live>, NoSession> {
        let permit = pool.permit(place).ok_or(NoSession::TooMany)?;
        let (live, routes) = seat.with_server(true);
        let started = pool.launch.start(&live.conversation, &routes, permit).await;
        let child = started.map_err(|error| NoSession::Failed(error.to_string()))?;
        live.give(routes, child);
        Ok(live)
    }

    /// A server for a request that stands for itself, and the way for its answer.
    async fn any_server(
        &self,
        place: &Place,
        pool: &Pool,
        seat: &Arc<Seat>,
        asks: Option<&Asks>,
    ) -> Result<Found, NoSession> {
        if let Some(found) = pool.free(seat, asks) {
            return Ok(found);
        }
        match pool.permit(place) {
            Some(permit) => {
                let (live, routes) = seat.with_server(false);
                let opened = asks.and_then(|asks| routes.open(asks));
                let started = pool.launch.start(&live.conversation, &routes, permit).await;
                let child = started.map_err(|error| NoSession::Failed(error.to_string()))?;
                live.give(routes, child);
                pool.add(&live);
                Ok((live, opened))
            }
            None => pool.shared(seat, asks).ok_or(NoSession::TooMany),
        }
    }

    /// GET: the session's own stream.
    pub(super) fn get_command(&self, place: &Arc<Place>, seat: &Arc<Seat>, client: &HeaderMap) -> Answer {
        let modern = client
            .get(VERSION)
            .and_then(|version| version.to_str().ok())
            .is_some_and(|version| version.trim() >= MODERN);
        let live = match session_of(client) {
            Ok(Some(id)) => place.known(&id, seat),
            Ok(None) if modern => return said::not_allowed(),
            Ok(None) => Err(NoSession::Missing),
            Err(why) => Err(why),
        };
        let live = match live {
            Ok(live) => live,
            Err(why) => return no_session(&why),
        };
        let Some(own) = live.own.get() else { return no_session(&NoSession::Unknown) };
        let Some(permit) = self.permit() else {
            return said::busy(None, "there are too many open streams at the moment");
        };
        stream(None, own.routes.listen(), None, self.bounds(seat, Some(permit)))
    }

    /// DELETE: the client ends its session, and with it its server.
    pub(super) fn delete_command(place: &Place, seat: &Arc<Seat>, client: &HeaderMap) -> Answer {
        let session = match session_of(client) {
            Ok(Some(id)) => place.known(&id, seat).map(|_| id),
            Ok(None) => Err(NoSession::Missing),
            Err(why) => Err(why),
        };
        match session {
            Ok(id) => {
                if let Some(live) = place.forget(&id) {
                    live.conversation.client_gone();
                    if let Some(own) = live.own.get() {
                        own.routes.end();
                    }
                }
                said::with(StatusCode::NO_CONTENT, HeaderMap::new(), said::full(Bytes::new()))
            }
            Err(why) => no_session(&why),
        }
    }
}

/// The answer where there is no server for a request; `raw` is its id as spelt.
fn no_server(why: &NoSession, raw: Option<&str>) -> Answer {
    match why {
        NoSession::TooMany => said::busy(raw, "there are too many sessions at the moment"),
        NoSession::Failed(why) => {
            said::error(StatusCode::BAD_GATEWAY, raw, &format!("the server cannot be started: {why}"))
        }
        why => no_session(why),
    }
}

/// Waits for what the server says, and answers: with the answer alone where the client takes `json`,
/// or with a stream where something comes before it. `patience` is how long it may take to begin.
pub(super) async fn answered(
    mut answers: mpsc::Receiver<Said>,
    mut waiter: Waiter,
    json: bool,
    patience: Duration,
    mut bounds: Bounds,
) -> Answer {
    let first = tokio::select! {
        first = tokio::time::timeout(patience, answers.recv()) => first,
        _ = bounds.revoked.wait_for(|revoked| *revoked) => Ok(None),
    };
    match first {
        Ok(Some(Said::Answer(answer))) if json => {
            waiter.done = true;
            let status = if waiter.modern { status_of(&answer) } else { StatusCode::OK };
            said::message(status, answer)
        }
        Ok(Some(first)) => stream(Some(first), answers, Some(waiter), bounds),
        Ok(None) => said::error(StatusCode::BAD_GATEWAY, Some(&waiter.raw), crate::gateway::GONE),
        Err(_) => said::error(
            StatusCode::GATEWAY_TIMEOUT,
            Some(&waiter.raw),
            &format!("the server did not answer within {} s", patience.as_secs()),
        ),
    }
}

/// A stream of events out of what a server says.
fn stream(
    first: Option<Said>,
    messages: mpsc::Receiver<Said>,
    waiter: Option<Waiter>,
    bounds: Bounds,
) -> Answer {
    struct Telling {
        first: Option<Said>,
        messages: mpsc::Receiver<Said>,
        waiter: Option<Waiter>,
        bounds: Bounds,
        over: bool,
    }
    impl Telling {
        async fn next(&mut self) -> Option<Result<Frame<Bytes>, Broken>> {
            if self.over {
                return None;
            }
            let said = if self.first.is_some() {
                self.first.take()
            } else {
                tokio::select! {
                    biased;
                    _ = self.bounds.revoked.wait_for(|revoked| *revoked) => None,
                    said = tokio::time::timeout(self.bounds.idle, self.messages.recv()) => said.unwrap_or(None),
                    _ = self.bounds.draining.wait_for(|draining| *draining), if self.waiter.is_none() => None,
                }
            };
            let Some(said) = said else {
                self.over = true;
                let waiter = self.waiter.as_mut()?;
                if !waiter.live.own.get().is_some_and(|own| own.routes.is_gone()) {
                    return None;
                }
                // The server ended in the middle: its client is told.
                waiter.done = true;
                let error = reply::error(Some(&waiter.raw), reply::INTERNAL_ERROR, crate::gateway::GONE);
                return Some(Ok(Frame::data(Bytes::from(sse::event(&error)))));
            };
            if is_answer(&said) {
                self.over = true;
                if let Some(waiter) = &mut self.waiter {
                    waiter.done = true;
                }
            }
            let (Said::Message(message) | Said::Answer(message)) = said;
            Some(Ok(Frame::data(Bytes::from(sse::event(&message)))))
        }
    }
    let telling = Telling { first, messages, waiter, bounds, over: false };
    let frames =
        stream::unfold(
            telling,
            |mut telling| async move { telling.next().await.map(|frame| (frame, telling)) },
        );
    said::events(BodyExt::boxed_unsync(StreamBody::new(frames)))
}

/// The status of a message of the 2026-07-28 era.
fn status_of(answer: &[u8]) -> StatusCode {
    let ServerMessage::Response(response) = peek_server(answer) else { return StatusCode::OK };
    match response.error {
        Some(-32601) => StatusCode::NOT_FOUND,
        Some(-32022..=-32020 | reply::INVALID_REQUEST | reply::PARSE_ERROR) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

/// The id of a request, as spelt.
fn raw_id(message: &[u8]) -> Option<String> {
    let limits = Limits { max_message: usize::MAX };
    match envelope::peek(message, &limits) {
        Ok(Line::Message(message)) => match message.kind {
            Kind::Request { id, .. } => Some(id.raw),
            _ => None,
        },
        _ => None,
    }
}

/// The id of a new session, which nobody can guess.
fn new_id() -> String {
    use base64::Engine as _;
    let mut random = [0_u8; 24];
    if getrandom::fill(&mut random).is_err() {
        return String::new();
    }
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random)
}
