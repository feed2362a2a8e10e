//! Who may connect.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::{Shared, serve};
use crate::feed::message::Role;

/// A handshake takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How often the inbox is looked at while somebody is connected.
const LOOK: Duration = Duration::from_millis(20);
/// How long clients have at the end to take what is left.
const GOOD_BYE: Duration = Duration::from_millis(400);
/// What a client says is short.
const MAX_ASK: usize = 64 * 1024;

/// Accepts and serves until the hub is closed.
pub(super) async fn run(shared: Arc<Shared>, listener: std::net::TcpListener) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let mut tasks = JoinSet::new();
    let pump = tokio::spawn(pump(Arc::clone(&shared)));
    loop {
        tokio::select! {
            () = shared.closed.notified() => break,
            accepted = listener.accept() => match accepted {
                // Twice the clients, so that handshakes which never end keep nobody out for long.
                Ok((stream, _)) if tasks.len() < shared.max_clients.saturating_mul(2) => {
                    tasks.spawn(connection(Arc::clone(&shared), stream));
                }
                Ok(_) => {}
                // No file descriptors, for instance: wait for some to come free.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
        }
    }
    drop(listener);
    pump.abort();
    shared.drain();
    shared.found.send_modify(|found| *found = found.wrapping_add(1));
    let all = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GOOD_BYE, all).await;
    tasks.shutdown().await;
}

/// Looks into the inbox while somebody is connected, and sleeps otherwise.
async fn pump(shared: Arc<Shared>) {
    let mut seen = 0;
    loop {
        if shared.clients.load(Ordering::SeqCst) == 0 {
            shared.arrived.notified().await;
            continue;
        }
        let states = shared.state_version.load(Ordering::SeqCst);
        if shared.drain() || states != seen {
            seen = states;
            shared.found.send_modify(|found| *found = found.wrapping_add(1));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Counts a client for as long as it lives.
struct Present(Arc<Shared>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.leave();
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(64 * 1024)
        .max_message_size(Some(MAX_ASK))
        .max_frame_size(Some(MAX_ASK));
    let mut role = None;
    #[expect(clippy::result_large_err, reason = "the shape that tungstenite's callback has")]
    let check = |request: &Request, response: Response| {
        role = Some(admit(&shared, request)?);
        Ok(response)
    };
    let Ok(Ok(socket)) =
        tokio::time::timeout(HANDSHAKE, accept_hdr_async_with_config(stream, check, Some(config))).await
    else {
        return;
    };
    let Some(role) = role else { return };
    shared.enter();
    let _present = Present(Arc::clone(&shared));
    serve::serve(&shared, socket, role).await;
}

#[expect(clippy::result_large_err, reason = "the shape that tungstenite's callback has")]
fn admit(shared: &Shared, request: &Request) -> Result<Role, ErrorResponse> {
    if request.uri().path() != "/feed" {
        return Err(refusal(StatusCode::NOT_FOUND, "the feed is at /feed"));
    }
    // A browser says where a page comes from; no page has business here unless it was named.
    for origin in request.headers().get_all(header::ORIGIN) {
        if !shared.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()) {
            return Err(refusal(StatusCode::FORBIDDEN, "this origin is not allowed"));
        }
    }
    let mut given = request.headers().get_all(header::AUTHORIZATION).iter();
    let role = match (given.next(), given.next()) {
        (Some(value), None) => role_of(&shared.tokens, value.as_bytes()),
        _ => None,
    };
    let Some(role) = role else {
        let mut response =
            refusal(StatusCode::UNAUTHORIZED, "a token is needed: Authorization: Bearer TOKEN");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return Err(response);
    };
    if shared.clients.load(Ordering::SeqCst) >= shared.max_clients {
        return Err(refusal(StatusCode::SERVICE_UNAVAILABLE, "too many clients"));
    }
    Ok(role)
}

/// What a token allows. Every token is compared, each in a time that depends on lengths only.
fn role_of(tokens: &[(String, Role)], header: &[u8]) -> Option<Role> {
    let scheme = header.get(..7)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    let given = header.get(7..)?.trim_ascii();
    let mut found = None;
    for (token, role) in tokens {
        if !token.is_empty() && same(token.as_bytes(), given) {
            found = Some(*role);
        }
    }
    found
}

fn same(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0_u8, |sum, (a, b)| sum | std::hint::black_box(a ^ b));
    a.len() == b.len() && std::hint::black_box(differing) == 0
}

fn refusal(status: StatusCode, why: &str) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(format!("{why}\n")));
    *response.status_mut() = status;
    if let Ok(length) = HeaderValue::from_str(&(why.len().saturating_add(1)).to_string()) {
        response.headers_mut().insert(header::CONTENT_LENGTH, length);
    }
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_compared_whole() {
        let tokens = vec![
            ("abc".to_owned(), Role::Viewer),
            ("abcd".to_owned(), Role::Operator),
            (String::new(), Role::Operator),
        ];
        assert_eq!(role_of(&tokens, b"Bearer abc"), Some(Role::Viewer));
        assert_eq!(role_of(&tokens, b"bearer  abcd "), Some(Role::Operator));
        for wrong in [&b"Bearer ab"[..], b"Bearer abcde", b"Bearer ", b"Bearer", b"abc", b"Basic abc", b""] {
            assert_eq!(role_of(&tokens, wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
    }
}
