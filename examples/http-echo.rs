//! The least MCP server over streamable HTTP that can be called: what stands behind the gateway in
//! `benches/http.rs`, so that its own time hides nothing.
//!
//! `http-echo ADDR [--stream]` prints its URL. It answers each POST at once: `initialize` with a
//! session id of its own, a notification with 202, any other with a text, as one JSON body or
//! (`--stream`) as a stream with one event.

#![allow(missing_docs, clippy::print_stdout)]

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// The id as it is spelt: the benchmark's are numbers.
fn id(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let rest = text.split_once("\"id\":")?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()
}

async fn answer(request: Request<Incoming>, stream: bool) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let method = request.method().clone();
    let body = request.into_body().collect().await?.to_bytes();
    let mut response = Response::new(Full::default());
    if method != Method::POST {
        *response.status_mut() =
            if method == Method::DELETE { StatusCode::OK } else { StatusCode::METHOD_NOT_ALLOWED };
        return Ok(response);
    }
    let Some(id) = id(&body) else {
        *response.status_mut() = StatusCode::ACCEPTED;
        return Ok(response);
    };
    let result = if memchr::memmem::find(&body, b"\"initialize\"").is_some() {
        let session = format!("session-{}", SESSIONS.fetch_add(1, Ordering::Relaxed));
        if let Ok(session) = HeaderValue::from_str(&session) {
            response.headers_mut().insert("mcp-session-id", session);
        }
        r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"http-echo","version":"1"}}"#
    } else {
        r#"{"content":[{"type":"text","text":"hello, this is a message of some sixty-four bytes or so!"}]}"#
    };
    let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    let (kind, message) = if stream {
        ("text/event-stream", format!("event: message\ndata: {message}\n\n"))
    } else {
        ("application/json", message)
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    *response.body_mut() = Full::from(message);
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().ok_or(std::io::ErrorKind::InvalidInput)?;
    let stream = arguments.next().is_some_and(|flag| flag == "--stream");
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("http://{}/mcp", listener.local_addr()?);
    loop {
        let (connection, _) = listener.accept().await?;
        connection.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = service_fn(move |request| async move {
                match answer(request, stream).await {
                    Ok(response) => Ok::<_, Infallible>(response),
                    Err(_) => Ok(Response::new(Full::default())),
                }
            });
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(connection), service)
                .await
        });
    }
}
