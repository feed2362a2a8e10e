//! Who may connect.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::serve::Wire;
use super::{Shared, lock, serve};
use crate::clock;
use crate::feed::message::Role;
use crate::feed::token::FeedToken;
use crate::token::{self, TokenDigest};

/// A handshake takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How often the inbox is looked at while somebody is connected.
const LOOK: Duration = Duration::from_millis(20);
/// At the end, how long clients may take nothing of what is left.
const GOOD_BYE: Duration = Duration::from_millis(600);
/// How long they may take it: whoever started a gateway waits two seconds for its end, and then kills.
const LONGEST_GOOD_BYE: Duration = Duration::from_millis(1500);
/// A token's end is looked at so often at least.
const LONGEST_LOOK: Duration = Duration::from_secs(30);
/// What a client says is short.
const MAX_ASK: usize = 64 * 1024;

/// A listener for others, and its certificate.
type Public = (std::net::TcpListener, Option<Arc<rustls::ServerConfig>>);

/// Accepts and serves until the hub is closed.
pub(super) async fn run(shared: Arc<Shared>, listener: std::net::TcpListener, public: Option<Public>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let (others, tls) = match public {
        None => (None, None),
        Some((others, tls)) => match TcpListener::from_std(others) {
            Ok(others) => (Some(others), tls.map(TlsAcceptor::from)),
            Err(_) => return,
        },
    };
    let mut tasks = JoinSet::new();
    let pump = tokio::spawn(pump(Arc::clone(&shared)));
    loop {
        tokio::select! {
            () = shared.closed.notified() => break,
            (accepted, door) = accept(&listener, others.as_ref(), tls.as_ref()) => match accepted {
                // Twice the clients, so that handshakes which never end keep nobody out for long.
                Ok((stream, _)) if tasks.len() < shared.max_clients.saturating_mul(2) => {
                    tasks.spawn(connection(Arc::clone(&shared), stream, door));
                }
                Ok(_) => {}
                // No file descriptors, for instance: wait for some to come free.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
        }
    }
    drop(listener);
    drop(others);
    pump.abort();
    shared.drain();
    shared.found.send_modify(|found| *found = found.wrapping_add(1));
    let all = async { while tasks.join_next().await.is_some() {} };
    tokio::select! {
        () = all => {}
        () = nobody_reads(&shared) => {}
    }
    tasks.shutdown().await;
}

/// Waits until no client takes anything any more, or for as long as there is.
async fn nobody_reads(shared: &Shared) {
    let until = Instant::now() + LONGEST_GOOD_BYE;
    let mut places = shared.places();
    while Instant::now() < until {
        tokio::time::sleep(GOOD_BYE).await;
        let before = std::mem::replace(&mut places, shared.places());
        if places == before {
            return;
        }
    }
}

/// Through which listener a client comes.
enum DoorWay {
    /// That of this user's own monitors.
    Own,
    /// That of others, which may speak TLS.
    Public(Option<TlsAcceptor>),
}

/// The next connection, on either listener.
async fn accept(
    own: &TcpListener,
    others: Option<&TcpListener>,
    tls: Option<&TlsAcceptor>,
) -> (io::Result<(TcpStream, SocketAddr)>, DoorWay) {
    let other = async {
        match others {
            Some(others) => others.accept().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        accepted = own.accept() => (accepted, DoorWay::Own),
        accepted = other => (accepted, DoorWay::Public(tls.cloned())),
    }
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

async fn connection(shared: Arc<Shared>, stream: TcpStream, door: DoorWay) {
    let _ = stream.set_nodelay(true);
    let deadline = Instant::now() + HANDSHAKE;
    let own = matches!(door, DoorWay::Own);
    let wire: Box<dyn Wire> = match door {
        DoorWay::Own | DoorWay::Public(None) => Box::new(stream),
        DoorWay::Public(Some(tls)) => match tokio::time::timeout_at(deadline, tls.accept(stream)).await {
            Ok(Ok(stream)) => Box::new(stream),
            _ => return,
        },
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(64 * 1024)
        .max_message_size(Some(MAX_ASK))
        .max_frame_size(Some(MAX_ASK));
    let mut admitted = None;
    #[expect(clippy::result_large_err, reason = "the shape that tungstenite's callback has")]
    let check = |request: &Request, response: Response| {
        admitted = Some(admit(&shared, request, own)?);
        Ok(response)
    };
    let Ok(Ok(socket)) =
        tokio::time::timeout_at(deadline, accept_hdr_async_with_config(wire, check, Some(config))).await
    else {
        return;
    };
    let Some((role, token)) = admitted else { return };
    shared.enter();
    let _present = Present(Arc::clone(&shared));
    tokio::select! {
        () = serve::serve(&shared, socket, role) => {}
        // However slow it is, it gets nothing more.
        () = revoked(&shared, token) => {}
    }
}

/// Resolves when the token that a client came with allows nothing any more, or something else.
async fn revoked(shared: &Shared, token: Option<FeedToken>) {
    let Some(token) = token else { return std::future::pending().await };
    let mut changed = shared.tokens_changed.subscribe();
    loop {
        let tokens = Arc::clone(&lock(&shared.tokens));
        let now = clock::now();
        let known = tokens.iter().find(|other| other.digest.is(&token.digest) && other.stands(now));
        let Some(known) = known.filter(|known| known.role == token.role) else { return };
        // The clock may be set, so that it is looked at now and then.
        let left = known.expires.map_or(LONGEST_LOOK, |end| Duration::from_millis(now.millis_until(end)));
        let _ = tokio::time::timeout(left.min(LONGEST_LOOK), changed.changed()).await;
    }
}

#[expect(clippy::result_large_err, reason = "the shape that tungstenite's callback has")]
fn admit(shared: &Shared, request: &Request, own: bool) -> Result<(Role, Option<FeedToken>), ErrorResponse> {
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
        (Some(value), None) => {
            let tokens = Arc::clone(&lock(&shared.tokens));
            // The token of the discovery file is for this machine only.
            role_of(own.then_some(&shared.own), &tokens, value.as_bytes())
        }
        _ => None,
    };
    let Some(admitted) = role else {
        let mut response =
            refusal(StatusCode::UNAUTHORIZED, "a token is needed: Authorization: Bearer TOKEN");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return Err(response);
    };
    if shared.clients.load(Ordering::SeqCst) >= shared.max_clients {
        return Err(refusal(StatusCode::SERVICE_UNAVAILABLE, "too many clients"));
    }
    Ok(admitted)
}

/// What a token allows. Every token is compared, each in the same time.
fn role_of(
    own: Option<&TokenDigest>,
    tokens: &[FeedToken],
    header: &[u8],
) -> Option<(Role, Option<FeedToken>)> {
    let given = token::of_header(header)?;
    let configured = token::find(given, tokens, |token| &token.digest);
    if own.is_some_and(|own| own.is(&TokenDigest::of(given))) {
        return Some((Role::Operator, None));
    }
    let now = clock::now();
    configured.filter(|token| token.stands(now)).map(|token| (token.role, Some(token.clone())))
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
    use crate::time::Timestamp;

    #[test]
    fn tokens_are_known_by_their_digest_until_they_end() {
        let entry = |token: &str, role, expires| FeedToken {
            label: token.to_owned(),
            role,
            digest: TokenDigest::of(token),
            expires,
        };
        let tokens = vec![
            entry("abc", Role::Viewer, None),
            entry("abcd", Role::Operator, Some(Timestamp::parse("2999-01-01T00:00:00Z").unwrap())),
            entry("old", Role::Operator, Some(Timestamp::from_secs(1))),
        ];
        let own = TokenDigest::of("own");
        let role = |own, header: &[u8]| role_of(own, &tokens, header).map(|(role, _)| role);
        assert_eq!(role(Some(&own), b"Bearer abc"), Some(Role::Viewer));
        assert_eq!(role(Some(&own), b"bearer  abcd "), Some(Role::Operator));
        assert_eq!(role(Some(&own), b"Bearer own"), Some(Role::Operator));
        assert_eq!(role(None, b"Bearer own"), None, "from elsewhere");
        for wrong in [&b"Bearer ab"[..], b"Bearer abcde", b"Bearer old", b"Bearer ", b"Basic abc", b""] {
            assert_eq!(role(Some(&own), wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
    }
}
