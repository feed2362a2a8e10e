//! A server behind an address: connections that are kept and shared, and what can go wrong.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::headers;

/// How long a connection to the upstream may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an unused connection is kept.
const KEEP: Duration = Duration::from_mins(1);
/// How many unused connections are kept.
const KEPT: usize = 64;

/// A streamable HTTP server.
pub(in crate::gateway) struct Upstream {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    own: HeaderMap,
    /// How long the head of an answer may take.
    patience: Duration,
}

/// What went wrong with a request to the upstream.
#[derive(Debug)]
pub(in crate::gateway) struct Failure {
    /// No connection came about, so nothing was sent.
    pub(in crate::gateway) unsent: bool,
    /// The answer did not come in time.
    pub(in crate::gateway) late: bool,
    /// What is wrong, for people and agents.
    pub(in crate::gateway) why: String,
}

impl Upstream {
    /// A server at `uri`. `own` are its own headers.
    ///
    /// # Errors
    /// When the system's certificates cannot be read although TLS is needed.
    pub(in crate::gateway) fn new(uri: Uri, own: HeaderMap, patience: Duration) -> std::io::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_keepalive(Some(KEEP));
        let provider = rustls::crypto::ring::default_provider();
        let connector = if uri.scheme_str() == Some("https") {
            HttpsConnectorBuilder::new().with_provider_and_native_roots(provider)?
        } else {
            let plain = rustls::ClientConfig::builder_with_provider(provider.into())
                .with_safe_default_protocol_versions()
                .map_err(std::io::Error::other)?
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth();
            HttpsConnectorBuilder::new().with_tls_config(plain)
        }
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(KEEP)
            .pool_max_idle_per_host(KEPT)
            .build(connector);
        Ok(Self { client, uri, own, patience })
    }

    /// Sends a request with what of the client's headers goes on, and waits for the answer's head.
    ///
    /// # Errors
    /// A [`Failure`].
    pub(in crate::gateway) async fn send(
        &self,
        method: Method,
        client: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers::for_upstream(client, &self.own);
        match tokio::time::timeout(self.patience, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Failure::of(&error)),
            Err(_) => Err(Failure {
                unsent: false,
                late: true,
                why: format!("the server did not answer within {} s", self.patience.as_secs()),
            }),
        }
    }
}

impl Failure {
    fn of(error: &Error) -> Self {
        let cause = deepest(error);
        if error.is_connect() {
            return Self { unsent: true, late: false, why: format!("the server cannot be reached: {cause}") };
        }
        let parse = error
            .source()
            .and_then(|source| source.downcast_ref::<hyper::Error>())
            .is_some_and(hyper::Error::is_parse);
        let why = if parse {
            format!("the server's answer is no HTTP: {cause}")
        } else {
            format!("the server ended the connection without an answer: {cause}")
        };
        Self { unsent: false, late: false, why }
    }
}

/// What lies beneath an error.
pub(in crate::gateway) fn deepest(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
