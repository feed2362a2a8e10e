//! Connections: taken, bounded, secured, and ended in good order.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::paced::Paced;
use super::service::Service;

/// The largest head of a request, in bytes.
const HEAD: usize = 64 * 1024;
/// The most headers of a request.
const HEADERS: usize = 128;

/// What secures connections.
///
/// # Errors
/// When the certificates or the key cannot be read, or do not belong together.
pub(super) fn tls(certificates: &Path, key: &Path) -> io::Result<TlsAcceptor> {
    let bad = |path: &Path, why: String| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` cannot be used: {why}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(certificates, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(certificates, "there is no certificate in it".to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, error.to_string()))?;
    let mut config =
        rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|error| bad(key, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves connections until the gateway ends, then lets what runs come to its end.
pub(super) async fn serve(service: Arc<Service>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    let room = Arc::new(Semaphore::new(service.limits.connections));
    let mut draining = service.draining.subscribe();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = draining.wait_for(|draining| *draining) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, for instance: some will come back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            connections.spawn(async move { turn_away(stream).await });
            continue;
        };
        let service = Arc::clone(&service);
        let tls = tls.clone();
        connections.spawn(async move {
            let _permit = permit;
            let _ = stream.set_nodelay(true);
            let stream = Paced::new(stream, service.limits.write);
            match tls {
                None => connection(service, stream).await,
                Some(tls) => {
                    let shaken = tokio::time::timeout(service.limits.header, tls.accept(stream)).await;
                    if let Ok(Ok(stream)) = shaken {
                        connection(service, stream).await;
                    }
                }
            }
        });
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(service.limits.drain, all).await;
}

/// One connection too many.
async fn turn_away(mut stream: TcpStream) {
    const FULL: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let _ = tokio::time::timeout(Duration::from_secs(1), async {
        let _ = stream.write_all(FULL).await;
        let _ = stream.shutdown().await;
    })
    .await;
}

async fn connection(service: Arc<Service>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let mut draining = service.draining.subscribe();
    let limits = service.limits.clone();
    let answers = service_fn(move |request| Arc::clone(&service).answer(request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_header_size(HEAD)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), answers);
    let mut served = pin!(served);
    tokio::select! {
        _ = served.as_mut() => return,
        _ = draining.wait_for(|draining| *draining) => served.as_mut().graceful_shutdown(),
    }
    let _ = served.await;
}
