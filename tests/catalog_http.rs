//! Tool lists over streamable HTTP: the official SDK's server in both eras, and servers that fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use callgate::catalog::{CatalogError, Failure, Loaded, Source, load};
use rmcp::model::{
    ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};

const PATIENCE: Duration = Duration::from_mins(1);

/// Five tools in pages of two.
#[derive(Clone)]
struct Paged {
    versions: &'static [ProtocolVersion],
}

impl ServerHandler for Paged {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(self.versions)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let from: usize =
            request.and_then(|request| request.cursor).map_or(0, |cursor| cursor.parse().unwrap());
        let tools = (from..5.min(from + 2))
            .map(|n| Tool::new(format!("tool_{n}"), "one of five", Arc::new(serde_json::Map::new())));
        let mut page = ListToolsResult::with_all_items(tools.collect());
        page.next_cursor = (from + 2 < 5).then(|| (from + 2).to_string());
        Ok(page)
    }
}

/// Serves a router on a thread of its own and gives its address; it ends with the test's process.
fn serve(router: impl FnOnce() -> Router + Send + 'static) -> SocketAddr {
    let (address, inbox) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            address.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, router()).await.unwrap();
        });
    });
    inbox.recv().unwrap()
}

fn ask(address: SocketAddr, headers: &[(&str, &str)]) -> Result<Loaded, CatalogError> {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    load(&Source::Url { url: format!("http://{address}/mcp"), headers }, PATIENCE)
}

/// A server that answers every request by a function of its method, its path and its body.
fn answering(
    answer: impl Fn(&Request<()>, &str) -> Response<Body> + Clone + Send + Sync + 'static,
) -> SocketAddr {
    serve(move || {
        Router::new().fallback(move |request: Request| {
            let answer = answer.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.unwrap();
                answer(&Request::from_parts(parts, ()), &String::from_utf8_lossy(&body))
            }
        })
    })
}

fn status(code: u16, body: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_owned()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

fn json(body: &str) -> Response<Body> {
    let mut response = status(200, body);
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

#[test]
fn the_sdks_server_is_listed_in_both_eras_page_by_page() {
    const MODERN: &[ProtocolVersion] = &[ProtocolVersion::V_2026_07_28];
    const LEGACY: &[ProtocolVersion] = &[ProtocolVersion::V_2025_06_18, ProtocolVersion::V_2025_11_25];
    for versions in [MODERN, LEGACY] {
        for (sessions, as_json) in [(true, false), (false, false), (false, true)] {
            let address = serve(move || {
                let config = StreamableHttpServerConfig::default()
                    .with_legacy_session_mode(sessions)
                    .with_json_response(as_json);
                let service: StreamableHttpService<Paged, LocalSessionManager> =
                    StreamableHttpService::new(move || Ok(Paged { versions }), Arc::default(), config);
                Router::new().nest_service("/mcp", service)
            });
            let loaded = ask(address, &[])
                .unwrap_or_else(|error| panic!("{versions:?} {sessions} {as_json}: {error}"));
            let names: Vec<&str> = loaded.servers[0].tools.iter().map(|tool| tool.name.as_str()).collect();
            assert_eq!(names, ["tool_0", "tool_1", "tool_2", "tool_3", "tool_4"]);
            assert_eq!(loaded.servers[0].name, "127.0.0.1");
        }
    }
}

#[test]
fn headers_go_to_the_server_and_nowhere_else() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let elsewhere = answering(move |request, _| {
        log.lock().unwrap().push(format!("{:?}", request.headers()));
        status(500, "")
    });
    let address = answering(move |request, body| {
        assert_eq!(request.headers()["authorization"], "Bearer t0ken");
        if request.uri().path() == "/mcp" {
            let mut response = status(307, "");
            response.headers_mut().insert("location", "/mcp/".parse().unwrap());
            return response;
        }
        if body.contains("server/discover") {
            return json(r#"{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"]}}"#);
        }
        assert_eq!(request.headers()["mcp-method"], "tools/list");
        let mut response = status(307, "");
        let place = format!("http://{elsewhere}/mcp?secret=1");
        response.headers_mut().insert("location", place.parse().unwrap());
        response
    });
    let error = ask(address, &[("Authorization", "Bearer t0ken")]).unwrap_err();
    assert!(error.message.contains("sends elsewhere") && !error.to_string().contains("secret"), "{error}");
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn a_session_is_kept_and_ended() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let address = answering(move |request, body| {
        let session = request.headers().get("mcp-session-id").map_or("-", |id| id.to_str().unwrap());
        let version = request.headers().get("mcp-protocol-version").map_or("-", |id| id.to_str().unwrap());
        log.lock().unwrap().push(format!("{} {session} {version}", request.method()));
        if body.contains("\"initialize\"") {
            let mut response = json(r#"{"jsonrpc":"2.0","id":2,"result":{"protocolVersion":"2025-03-26"}}"#);
            response.headers_mut().insert("mcp-session-id", "s1".parse().unwrap());
            return response;
        }
        match () {
            () if body.contains("notifications/initialized") => status(202, ""),
            () if body.contains("tools/list") => {
                json(r#"{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"a"}]}}"#)
            }
            () => status(400, "Bad Request: Server not initialized"),
        }
    });
    assert_eq!(ask(address, &[]).unwrap().servers[0].tools.len(), 1);
    let seen = seen.lock().unwrap();
    assert_eq!(
        *seen,
        ["POST - 2026-07-28", "POST - -", "POST s1 2025-03-26", "POST s1 2025-03-26", "DELETE s1 -"]
    );
}

#[test]
fn failures_say_what_and_what_to_do() {
    let unauthorized = answering(|_, _| {
        let mut response = status(401, "");
        response.headers_mut().insert("www-authenticate", "Bearer realm=\"x\"".parse().unwrap());
        response
    });
    let error = ask(unauthorized, &[]).unwrap_err();
    assert_eq!(error.failure, Failure::Credentials);
    assert!(error.message.contains("401") && error.message.contains("Bearer realm"), "{error}");
    assert!(error.help.unwrap().contains("--header"));

    let error = ask(answering(|_, _| status(404, "no such page")), &[]).unwrap_err();
    assert!(error.message.contains("404") && error.message.contains("`initialize`"), "{error}");
    assert!(error.help.unwrap().contains("/mcp"));

    let error = ask(answering(|_, _| status(200, "<html>\u{1b}[2Jhello</html>")), &[]).unwrap_err();
    assert!(error.message.contains("no JSON-RPC") && !error.to_string().contains('\u{1b}'), "{error}");

    let error = ask(answering(|_, _| status(502, "bad gateway")), &[]).unwrap_err();
    assert!(error.message.contains("502") && error.said == ["bad gateway"], "{error:?}");

    // Nothing listens: the port was just given back.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    let error = ask(free, &[]).unwrap_err();
    assert!(error.help.unwrap().contains("nothing listens"));

    // Plain HTTP where TLS is spoken to.
    let plain = answering(|_, _| status(200, ""));
    let url = format!("https://{plain}/mcp");
    let error = load(&Source::Url { url, headers: Vec::new() }, PATIENCE).unwrap_err();
    assert!(error.help.unwrap().contains("TLS"), "{}", error.message);

    for url in ["ftp://x/mcp", "not an address", "http://"] {
        let error = load(&Source::Url { url: url.to_owned(), headers: Vec::new() }, PATIENCE).unwrap_err();
        assert_eq!(error.failure, Failure::Usage, "{url}");
    }
    let missing = vec![("Authorization".to_owned(), "Bearer ${CALLGATE_TEST_NO_SUCH_VARIABLE}".to_owned())];
    let error =
        load(&Source::Url { url: "http://127.0.0.1:9/".to_owned(), headers: missing }, PATIENCE).unwrap_err();
    assert!(error.message.contains("CALLGATE_TEST_NO_SUCH_VARIABLE"), "{error}");
}

#[test]
fn a_server_that_never_answers_is_left_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let source = Source::Url { url, headers: Vec::new() };
    let error = load(&source, Duration::from_secs(1)).unwrap_err();
    assert!(error.message.contains("within 1 s"), "{error}");
}

#[test]
fn it_may_be_called_inside_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = answering(|_, _| status(404, ""));
    runtime.block_on(async { assert!(ask(address, &[]).is_err()) });
}
