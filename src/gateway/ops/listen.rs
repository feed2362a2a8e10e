//! The endpoints on an address of their own, for a gateway that listens nowhere else.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Weak};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

use super::respond;
use crate::gateway::desk::Desk;

/// Who asks has so long to do it.
const HEADERS: Duration = Duration::from_secs(5);
/// A connection is served no longer.
const CONNECTION: Duration = Duration::from_secs(30);
/// Connections at once.
const CONNECTIONS: usize = 16;

/// Serves the endpoints at an address, if there is one, and says where.
///
/// # Errors
/// As [`serve_at`].
pub(in crate::gateway) fn serve(desk: &Arc<Desk>, address: Option<SocketAddr>) -> io::Result<()> {
    if let Some(address) = address {
        let bound = serve_at(desk, address)?;
        crate::gateway::say(&format!("metrics are at http://{bound}/metrics"));
    }
    Ok(())
}

/// Serves `/metrics`, `/healthz` and `/readyz` at a loopback address, from a thread of its own, for
/// as long as the desk lives. Gives the address.
///
/// # Errors
/// When the address is not of the loopback interface (who asks is not asked for a token), or cannot
/// be listened on.
fn serve_at(desk: &Arc<Desk>, address: SocketAddr) -> io::Result<SocketAddr> {
    if !address.ip().is_loopback() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "`{address}` can be reached from elsewhere, and metrics ask for no token: use 127.0.0.1 or [::1]"
            ),
        ));
    }
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let desk = Arc::downgrade(desk);
    std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        runtime.block_on(accept(desk, listener));
    })?;
    Ok(bound)
}

async fn accept(desk: Weak<Desk>, listener: TcpListener) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    while desk.strong_count() > 0 {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // No file descriptors, for instance: wait for some to come free.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let desk = Weak::clone(&desk);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&desk, &request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(16 * 1024);
            let serving = http.serve_connection(TokioIo::new(stream), service);
            let _ = tokio::time::timeout(CONNECTION, serving).await;
            drop(permit);
        });
    }
}

fn answer(desk: &Weak<Desk>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let known = |path| desk.upgrade().and_then(|desk| respond(&desk, path));
    let (status, kind, body) = if !is_local(request.headers().get(HOST)) {
        // A page in a browser that had its own name point here.
        (421, "text/plain", "this is not that host\n".to_owned())
    } else if !matches!(*request.method(), Method::GET | Method::HEAD) {
        (405, "text/plain", "GET it\n".to_owned())
    } else {
        let none = || (404, "text/plain", "/metrics, /healthz or /readyz\n".to_owned());
        known(request.uri().path()).unwrap_or_else(none)
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether a `Host` names this machine by an address or as `localhost`.
fn is_local(host: Option<&HeaderValue>) -> bool {
    let Some(host) = host.and_then(|host| host.to_str().ok()) else { return false };
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let bare = |host: &str| host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if let Ok(address) = bare(host).parse::<IpAddr>() {
        return address.is_loopback();
    }
    let name = host.split(':').next().unwrap_or("");
    name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_names_are_answered() {
        let local = |host: &'static str| is_local(Some(&HeaderValue::from_static(host)));
        for host in ["127.0.0.1:9100", "127.0.0.1", "[::1]:9100", "[::1]", "localhost:9100", "LOCALHOST"] {
            assert!(local(host), "{host}");
        }
        for host in ["evil.example", "evil.example:9100", "10.0.0.1", "localhost.evil.example", ""] {
            assert!(!local(host), "{host}");
        }
        assert!(!is_local(None));
    }
}
