//! Requests that are kept open while their calls wait for a person. Where the client asked for
//! progress and takes a stream, one begins at once; otherwise the answer is whatever comes in the end.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::command::{self, Waiter};
use super::headers;
use super::places::Live;
use super::relay::{Bounds, Flight};
use super::routes::Said;
use super::said::{self, Answer, Body, Broken};
use super::sse;
use super::url::Sending;
use super::waits::{Next, Wait};
use crate::mcp::id::IdKey;
use crate::mcp::reply;
use crate::mcp::server::{ServerMessage, peek_server};

/// The most of an error's body that is looked at, in bytes.
const LOOKED_AT: usize = 1024 * 1024;
/// How long each part of it may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How an approved call goes on, with all that came with it.
pub(super) enum Onward {
    /// To a server behind an address.
    Url { sending: Box<Sending>, live: Arc<Live>, modern: bool },
    /// To a server of its own.
    Command(Box<ToChild>),
}

/// A call on its way to a server of its own.
pub(super) struct ToChild {
    /// On one line.
    pub(super) message: Vec<u8>,
    pub(super) answers: mpsc::Receiver<Said>,
    pub(super) waiter: Waiter,
    pub(super) modern: bool,
    /// The client takes an answer without a stream.
    pub(super) json: bool,
    /// How long the server may take to begin its answer.
    pub(super) patience: Duration,
    pub(super) bounds: Bounds,
}

impl Onward {
    /// What the server says on this request although its call waits.
    async fn overheard(&mut self) -> Said {
        if let Self::Command(to) = self
            && let Some(said) = to.answers.recv().await
        {
            return said;
        }
        std::future::pending().await
    }

    /// Sends the call on, and waits for the head of its answer.
    fn go(self, id: IdKey) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        match self {
            Self::Url { sending, live, modern } => {
                let flight = Flight { live, id: Some(id), modern, resumable: false, listens: false };
                Box::pin(async move { sending.send(flight, &[]).await })
            }
            Self::Command(to) => Box::pin(to.go()),
        }
    }
}

impl ToChild {
    async fn go(self: Box<Self>) -> Answer {
        let Self { message, answers, mut waiter, modern, json, patience, bounds } = *self;
        waiter.modern = modern;
        if waiter.send(message).await {
            return command::answered(answers, waiter, json, patience, bounds).await;
        }
        waiter.modern = false;
        let unsent = waiter.never_sent();
        said::error(StatusCode::BAD_GATEWAY, unsent.as_deref(), crate::gateway::GONE)
    }
}

/// Answers the request of a call that waits.
pub(super) async fn held(mut wait: Wait, mut onward: Onward) -> Answer {
    if wait.told {
        return telling(wait, onward, None);
    }
    loop {
        tokio::select! {
            biased;
            next = wait.next() => match next {
                Next::Progress(_) => {}
                Next::Approved => return onward.go(wait.id().clone()).await,
                Next::Answer(answer) => return said::message(StatusCode::OK, answer),
                Next::Cancelled => {
                    let why = "the call was cancelled";
                    let error = reply::error(Some(&wait.raw_id), reply::INTERNAL_ERROR, why);
                    return said::message(StatusCode::OK, error);
                }
                Next::Revoked => return said::unauthorized(),
            },
            said = onward.overheard() => match said {
                Said::Message(message) => return telling(wait, onward, Some(message)),
                // Whatever it is about: the request has its answer, and nothing runs for it.
                Said::Answer(answer) => return said::message(StatusCode::OK, answer),
            },
        }
    }
}

/// A stream that tells how the call goes on.
fn telling(wait: Wait, onward: Onward, first: Option<Vec<u8>>) -> Answer {
    let telling = Telling { first, waiting: Some((wait, onward)), passing: None };
    let frames =
        stream::unfold(
            telling,
            |mut telling| async move { telling.next().await.map(|frame| (frame, telling)) },
        );
    said::events(BodyExt::boxed_unsync(StreamBody::new(frames)))
}

struct Telling {
    first: Option<Vec<u8>>,
    waiting: Option<(Wait, Onward)>,
    /// What the server answers, once the call has gone on.
    passing: Option<Passing>,
}

impl Telling {
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, Broken>> {
        if let Some(first) = self.first.take() {
            return event(&first);
        }
        loop {
            if let Some(passing) = &mut self.passing {
                return passing.next().await;
            }
            let (wait, onward) = self.waiting.as_mut()?;
            let next = tokio::select! {
                biased;
                next = wait.next() => next,
                said = onward.overheard() => match said {
                    Said::Message(message) => return event(&message),
                    Said::Answer(answer) => {
                        self.waiting = None;
                        return event(&answer);
                    }
                },
            };
            match next {
                Next::Progress(message) => return event(&message),
                Next::Answer(answer) => {
                    self.waiting = None;
                    return event(&answer);
                }
                Next::Cancelled | Next::Revoked => {
                    self.waiting = None;
                    return None;
                }
                Next::Approved => {
                    let (wait, onward) = self.waiting.take()?;
                    let answer = onward.go(wait.id().clone()).await;
                    self.passing = Some(Passing::of(answer, wait.id().clone(), wait.raw_id.clone()).await);
                }
            }
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the next part of a stream")]
fn event(message: &[u8]) -> Option<Result<Frame<Bytes>, Broken>> {
    Some(Ok(Frame::data(Bytes::from(sse::event(message)))))
}

/// An answer on a stream that began before it.
struct Passing {
    /// `None`: it is over.
    body: Option<Body>,
    /// It is one document, which becomes one event.
    document: Option<Document>,
    /// A message of the gateway's own.
    own: Option<Vec<u8>>,
    raw_id: String,
}

#[derive(Default)]
struct Document {
    begun: bool,
}

impl Passing {
    async fn of(answer: Answer, id: IdKey, raw_id: String) -> Self {
        let (parts, body) = answer.into_parts();
        let kind = headers::media_type(&parts.headers).unwrap_or_default();
        let json = kind == "application/json" || kind.ends_with("+json") || kind == "text/json";
        if parts.status.is_success() && (json || kind == "text/event-stream") {
            let document = json.then(Document::default);
            return Self { body: Some(body), document, own: None, raw_id };
        }
        let own = match json.then_some(body) {
            Some(body) => error(body, id).await,
            None => None,
        };
        let own = own.unwrap_or_else(|| {
            let why = format!("the server answered with the status {}, and no message", parts.status);
            reply::error(Some(&raw_id), reply::INTERNAL_ERROR, &why)
        });
        Self { body: None, document: None, own: Some(own), raw_id }
    }

    async fn next(&mut self) -> Option<Result<Frame<Bytes>, Broken>> {
        if let Some(own) = self.own.take() {
            return event(&own);
        }
        let body = self.body.as_mut()?;
        loop {
            let data = match body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => data,
                    Err(_) => continue,
                },
                Some(Err(error)) => {
                    self.body = None;
                    return Some(Err(error));
                }
                None => {
                    self.body = None;
                    let Document { begun } = self.document.take()?;
                    if begun {
                        return Some(Ok(Frame::data(Bytes::from_static(b"\n\n"))));
                    }
                    let why = "the server gave no answer";
                    return event(&reply::error(Some(&self.raw_id), reply::INTERNAL_ERROR, why));
                }
            };
            let Some(document) = &mut self.document else { return Some(Ok(Frame::data(data))) };
            // Line ends between its tokens would end the line; within strings JSON has none.
            let begin: &[u8] = if document.begun { b"" } else { b"event: message\ndata: " };
            document.begun = true;
            let mut part = Vec::with_capacity(begin.len() + data.len());
            part.extend_from_slice(begin);
            part.extend(data.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
            return Some(Ok(Frame::data(Bytes::from(part))));
        }
    }
}

/// The message in the body of an error, where it answers this very request.
async fn error(mut body: Body, id: IdKey) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(frame) = tokio::time::timeout(PATIENCE, body.frame()).await.ok()? {
        bytes.extend_from_slice(&frame.ok()?.into_data().unwrap_or_default());
        if bytes.len() > LOOKED_AT {
            return None;
        }
    }
    match peek_server(&bytes) {
        ServerMessage::Response(response) if response.id.as_ref().is_some_and(|own| own.key == id) => {
            let on_one_line = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
            Some(bytes.iter().map(on_one_line).collect())
        }
        _ => None,
    }
}
