//! What the gateway itself answers, as HTTP.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

use super::headers::HEADER_MISMATCH;
use crate::mcp::reply;

/// Why a stream breaks off.
pub(super) type Broken = Box<dyn std::error::Error + Send + Sync>;
/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Broken>;
/// An answer.
pub(super) type Answer = Response<Body>;

/// A body that is there as a whole.
pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// An answer with these headers.
pub(super) fn with(status: StatusCode, headers: HeaderMap, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

/// One JSON-RPC message.
pub(super) fn message(status: StatusCode, message: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(full(message));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// A stream of events.
pub(super) fn events(body: Body) -> Answer {
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}

/// A JSON-RPC error; `id` is the request's as spelt.
pub(super) fn error(status: StatusCode, id: Option<&str>, why: &str) -> Answer {
    let code = if status.is_client_error() { reply::INVALID_REQUEST } else { reply::INTERNAL_ERROR };
    message(status, reply::error(id, code, why))
}

/// The status that belongs to a refusal with this code.
pub(super) fn refused(code: Option<i64>) -> StatusCode {
    match code {
        Some(reply::PARSE_ERROR | reply::INVALID_REQUEST | HEADER_MISMATCH) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

/// The client has no token that is known here.
pub(super) fn unauthorized() -> Answer {
    let mut answer = error(
        StatusCode::UNAUTHORIZED,
        None,
        "a token is needed: send `Authorization: Bearer TOKEN` with the token of a grant",
    );
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

/// A call that was to wait cannot.
pub(super) fn not_held() -> Answer {
    error(StatusCode::INTERNAL_SERVER_ERROR, None, "the call cannot be held")
}

/// The endpoint has no such method.
pub(super) fn not_allowed() -> Answer {
    let mut answer =
        error(StatusCode::METHOD_NOT_ALLOWED, None, "an MCP endpoint takes GET, POST and DELETE");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST, DELETE"));
    answer
}

/// There is no room at the moment.
pub(super) fn busy(id: Option<&str>, why: &str) -> Answer {
    let mut answer = error(StatusCode::SERVICE_UNAVAILABLE, id, why);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}
