//! A list from a streamable HTTP server.

use std::error::Error as _;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::{CatalogError, Failure, shown};
use super::talk::{Heard, MODERN, Step, Talk};

/// The most that one answer may hold.
const MAX_ANSWER: usize = 128 * 1024 * 1024;
/// How long the farewell to a session may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// A streamable HTTP server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpServer {
    /// Its address.
    pub url: String,
    /// Headers of every request, as name and value.
    pub headers: Vec<(String, String)>,
}

/// Asks the server for its list.
pub(super) fn list(
    server: &HttpServer,
    timeout: Duration,
    stop: &AtomicBool,
) -> Result<Vec<Box<RawValue>>, CatalogError> {
    install_provider();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CatalogError::new(Failure::Server, format!("no runtime can be started: {error}")))?;
    let label = without_secrets(&server.url);
    runtime.block_on(async {
        let mut session = Session::new(server)?;
        let talk = tokio::time::timeout(timeout, session.run());
        let stopped = async {
            while !stop.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let result = tokio::select! {
            done = talk => done.unwrap_or_else(|_| Err(CatalogError::new(
                Failure::Server,
                format!("`{label}` did not answer within {} s", timeout.as_secs()),
            ).help("is it the address of a streamable HTTP endpoint? Give it more time with `--timeout SECONDS`"))),
            () = stopped => Err(CatalogError::new(Failure::Interrupted, "interrupted")),
        };
        session.farewell().await;
        result
    })
}

/// The address for people: without user, password and query, where secrets may stand.
pub(super) fn without_secrets(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return shown(url) };
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    shown(url.as_str())
}

/// One crypto provider for the process; a second installation is no error.
fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

struct Session {
    client: Client,
    url: Url,
    label: String,
    id: Option<HeaderValue>,
}

impl Session {
    fn new(server: &HttpServer) -> Result<Self, CatalogError> {
        let label = without_secrets(&server.url);
        let wrong = |why: String| {
            CatalogError::new(Failure::Usage, why)
                .help("a streamable HTTP server's address looks like `https://example.com/mcp`")
        };
        let url =
            Url::parse(&server.url).map_err(|error| wrong(format!("`{label}` is no address: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong(format!("`{label}` is no address of an HTTP server")));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &server.headers {
            let header = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| wrong(format!("`{}` is no name of a header", shown(name))))?;
            let mut value = HeaderValue::from_str(value).map_err(|_| {
                wrong(format!(
                    "the value of the header `{}` has characters that no header may have",
                    shown(name)
                ))
            })?;
            value.set_sensitive(true);
            headers.append(header, value);
        }
        // Headers may hold credentials: a redirect to another place does not get them.
        let redirect = reqwest::redirect::Policy::custom(|attempt| {
            let same =
                attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
            if same && attempt.previous().len() < 5 { attempt.follow() } else { attempt.stop() }
        });
        let client = Client::builder()
            .default_headers(headers)
            .redirect(redirect)
            .user_agent(concat!("callgate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                CatalogError::new(Failure::Server, format!("no HTTP client can be made: {}", causes(&error)))
            })?;
        Ok(Self { client, url, label, id: None })
    }

    async fn run(&mut self) -> Result<Vec<Box<RawValue>>, CatalogError> {
        let (mut talk, first) = Talk::start();
        let mut outbox = std::collections::VecDeque::from(first);
        while let Some(message) = outbox.pop_front() {
            match self.post(&mut talk, &message).await? {
                Answer::Next(more) => outbox.extend(more),
                Answer::NotModern => outbox.extend(talk.fall_back()),
            }
            if talk.step() == Step::Done {
                return Ok(talk.into_tools());
            }
        }
        Err(CatalogError::new(
            Failure::Server,
            format!("`{}` ended its answer without answering {}", self.label, talk.step().name()),
        ))
    }

    /// Sends one message and hears everything of its answer.
    async fn post(&mut self, talk: &mut Talk, message: &str) -> Result<Answer, CatalogError> {
        let method = serde_json::from_str::<Value>(message)
            .ok()
            .and_then(|value| Some(value.get("method")?.as_str()?.to_owned()));
        let mut request = self
            .client
            .post(self.url.clone())
            .header(ACCEPT, "application/json, text/event-stream")
            .header(CONTENT_TYPE, "application/json")
            .body(message.to_owned());
        if talk.is_modern() || talk.step() == Step::Discover {
            request = request.header("mcp-protocol-version", MODERN);
            if let Some(method) = &method {
                request = request.header("mcp-method", method);
            }
        } else if let Some(version) = &talk.version {
            request = request.header("mcp-protocol-version", version);
        }
        if let Some(id) = &self.id {
            request = request.header("mcp-session-id", id.clone());
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if let Some(id) = response.headers().get("mcp-session-id") {
            self.id = Some(id.clone());
        }
        self.hear(talk, method.is_some(), response).await
    }

    async fn hear(
        &self,
        talk: &mut Talk,
        asked: bool,
        mut response: Response,
    ) -> Result<Answer, CatalogError> {
        let status = response.status();
        let discovering = talk.step() == Step::Discover;
        let events = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/event-stream"));
        let wants = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let challenge =
            response.headers().get("www-authenticate").and_then(|value| value.to_str().ok()).map(shown);
        let place =
            response.headers().get("location").and_then(|value| value.to_str().ok()).map(without_secrets);
        let mut more = Vec::new();
        let mut body = Vec::new();
        let mut reader = Events::default();
        loop {
            let chunk = response.chunk().await.map_err(|error| self.unreachable(&error))?;
            let Some(chunk) = chunk else { break };
            if events && status.is_success() {
                for message in reader.feed(&chunk) {
                    more.extend(self.take(talk, &message)?);
                    // The stream may stay open after the answer; the next request is waiting.
                    if !more.is_empty() || talk.step() == Step::Done {
                        return Ok(Answer::Next(more));
                    }
                }
                body.clear();
            } else {
                body.extend_from_slice(&chunk);
            }
            if body.len() > MAX_ANSWER || reader.size() > MAX_ANSWER {
                return Err(CatalogError::new(
                    Failure::Server,
                    format!("`{}` answers without end", self.label),
                ));
            }
        }
        let text = String::from_utf8_lossy(&body);
        if status.is_success() {
            if !text.trim().is_empty() && asked {
                more.extend(self.take(talk, text.trim())?);
            }
            return Ok(Answer::Next(more));
        }
        if discovering && !wants && !status.is_redirection() && !status.is_server_error() {
            return Ok(Answer::NotModern);
        }
        Err(self.refused(status, &text, challenge, place, talk.step()))
    }

    fn take(&self, talk: &mut Talk, message: &str) -> Result<Vec<String>, CatalogError> {
        match talk.hear(message) {
            Heard::Send(more) => Ok(more),
            Heard::Rubbish => Err(CatalogError::new(
                Failure::Server,
                format!("`{}` answers with what is no JSON-RPC", self.label),
            )
            .help("is it the address of a streamable HTTP endpoint? It often ends in `/mcp`")
            .said(message.lines().map(str::to_owned).take(5))),
            Heard::Refused(why) => {
                Err(CatalogError::new(Failure::Server, format!("`{}` {}", self.label, shown(&why))).said([]))
            }
        }
    }

    fn refused(
        &self,
        status: StatusCode,
        body: &str,
        challenge: Option<String>,
        place: Option<String>,
        step: Step,
    ) -> CatalogError {
        let label = &self.label;
        let message = format!("`{label}` answered {} with HTTP status {status}", step.name());
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let asks = challenge.map(|asks| format!(" (it asks for `{asks}`)")).unwrap_or_default();
            return CatalogError::new(Failure::Credentials, format!("{message}{asks}")).help(
                "it wants credentials: pass `--header 'Authorization: Bearer ${TOKEN}'`, which reads TOKEN from the environment",
            );
        }
        if let Some(place) = place.filter(|_| status.is_redirection()) {
            return CatalogError::new(Failure::Server, format!("`{label}` sends elsewhere, to `{place}`"))
                .help("name that address if you trust it; no header is sent there by itself");
        }
        let help = match status {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                "name the streamable HTTP endpoint, which often ends in `/mcp`; the older HTTP+SSE transport is not spoken"
            }
            _ if status.is_server_error() => "the fault is the server's; its own log may tell more",
            _ => "is it the address of a streamable HTTP endpoint? It often ends in `/mcp`",
        };
        let said: Vec<String> = body.lines().take(5).map(str::to_owned).collect();
        let mut error = CatalogError::new(Failure::Server, message).help(help);
        error.said = said.iter().filter(|line| !line.trim().is_empty()).map(|line| shown(line)).collect();
        error
    }

    fn unreachable(&self, error: &reqwest::Error) -> CatalogError {
        let label = &self.label;
        let why = causes(error);
        let plain = why.to_lowercase();
        let tls = ["certificate", "tls", "ssl", "corrupt message", "handshake", "alert"];
        let help = if self.url.scheme() == "https" && tls.iter().any(|word| plain.contains(word)) {
            "the TLS connection failed: is the certificate valid for this name and known to this system, and is it `https` there at all?"
        } else if plain.contains("refused") {
            "nothing listens there: is the server running, and on this port?"
        } else if plain.contains("dns") || plain.contains("resolve") || plain.contains("lookup") {
            "the host's name is not known: check its spelling and the network"
        } else {
            "check the address and the network"
        };
        CatalogError::new(Failure::Server, format!("`{label}` cannot be reached: {why}")).help(help)
    }

    /// Ends a session of the older era, as the protocol asks; nobody waits long for it.
    async fn farewell(&mut self) {
        if let Some(id) = self.id.take() {
            let request = self.client.delete(self.url.clone()).header("mcp-session-id", id);
            let _ = tokio::time::timeout(FAREWELL, request.send()).await;
        }
    }
}

enum Answer {
    /// Heard; these are to be sent next.
    Next(Vec<String>),
    /// The transport itself refused `server/discover`.
    NotModern,
}

/// An error with everything that caused it, without the address (which may hold secrets).
fn causes(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = shown(&error.to_string());
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        cause = error.source();
    }
    if parts.is_empty() { "the connection failed".to_owned() } else { parts.join(": ") }
}

/// Server-sent events taken apart.
#[derive(Debug, Default)]
struct Events {
    rest: Vec<u8>,
    data: String,
}

impl Events {
    fn size(&self) -> usize {
        self.rest.len() + self.data.len()
    }

    /// The data of the events that these bytes complete.
    fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(bytes);
        let mut whole = Vec::new();
        let mut from = 0;
        while let Some(end) = self.rest.get(from..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let line = self.rest.get(from..from + end).unwrap_or_default();
            from += end + 1;
            let line = String::from_utf8_lossy(line);
            let line = line.trim_end_matches('\r');
            if line.is_empty() {
                let data = std::mem::take(&mut self.data);
                if !data.trim().is_empty() {
                    whole.push(data);
                }
            } else if let Some(data) = line.strip_prefix("data:") {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            }
        }
        self.rest.drain(..from);
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_however_they_are_cut() {
        let stream = b": hello\r\nevent: message\r\nid: 1\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\ndata:\n\nretry: 5\ndata: x\n\n";
        for cut in 0..stream.len() {
            let mut events = Events::default();
            let mut whole = events.feed(&stream[..cut]);
            whole.extend(events.feed(&stream[cut..]));
            assert_eq!(whole, ["{\"a\":\n1}", "x"], "cut at {cut}");
        }
    }

    #[test]
    fn addresses_are_shown_without_secrets() {
        assert_eq!(without_secrets("https://u:p@h.example/mcp?key=s#f"), "https://h.example/mcp");
    }
}
