//! An MCP server on the official Rust SDK with the tools, resources and prompts that the official
//! conformance suite asks for, over streamable HTTP or stdio. Tests put a gateway in front of it.
//!
//! `conformance-server [--listen ADDR] [--stateless] [--json] [--stdio]`
//!
//! | flag | does |
//! |---|---|
//! | `--listen ADDR` | where it listens, `127.0.0.1:0` without; its URL is the first line it prints |
//! | `--stateless` | no sessions for clients before 2026-07-28 either |
//! | `--json` | answers with one JSON body where no stream is needed (with `--stateless`) |
//! | `--stdio` | speaks over standard input and output instead |
//!
//! `echo`, `get-sum` and `danger` are there for clients that are no suite. What it says never changes, so that two runs of the suite can be compared word for word.

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
// The SDK marks what 2026-07-28 takes away; the older clients that a gateway serves still use it.
// Nearly all of its model is used here, by names that are the protocol's own.
#![allow(deprecated, clippy::wildcard_imports)]

mod rounds;
mod tasks;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use rmcp::model::*;
use rmcp::service::{RequestContext, SubscriptionContext, SubscriptionSink};
use rmcp::task_manager::TaskManager;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// All that does not depend on the request.
static SHELF: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(include_str!("shelf.json")).unwrap());

/// How long it waits for the client's answer. One without sessions cannot answer at all.
const ANSWER: Duration = Duration::from_secs(3);

/// How long clients may keep its lists.
const TTL_MS: u64 = 60_000;

pub(crate) fn read<T: DeserializeOwned>(value: &Value) -> T {
    T::deserialize(value).unwrap()
}

pub(crate) fn say(text: &str) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

#[derive(Clone)]
struct Server {
    sessions: Arc<LocalSessionManager>,
    listeners: Arc<Mutex<HashMap<u64, SubscriptionSink>>>,
    next: Arc<AtomicU64>,
    seal: RequestStateCodec,
    tasks: TaskManager,
}

impl Server {
    fn new(sessions: Arc<LocalSessionManager>) -> Self {
        Self {
            sessions,
            listeners: Arc::default(),
            next: Arc::default(),
            seal: RequestStateCodec::new(b"a key of a test fixture, which keeps no secrets".to_vec()),
            tasks: TaskManager::new(),
        }
    }

    fn listening(&self) -> Vec<SubscriptionSink> {
        self.listeners.lock().unwrap().values().cloned().collect()
    }

    /// Ends the streams of this call's session as a server does that wants to be polled; the
    /// answer waits for the client's return.
    async fn hang_up(&self, context: &RequestContext<RoleServer>) {
        let parts = context.extensions.get::<axum::http::request::Parts>();
        let Some(id) = parts.and_then(|parts| parts.headers.get("mcp-session-id")) else { return };
        let handle = self.sessions.sessions.read().await.get(id.to_str().unwrap()).cloned();
        let Some(handle) = handle else { return };
        // Streams are numbered from 0 in their session; those that are gone answer an error.
        for stream in 0..64 {
            let _gone = handle.close_sse_stream(stream, None).await;
        }
    }

    async fn speak(&self, name: &str, context: &RequestContext<RoleServer>) -> CallToolResult {
        match name {
            "test_tool_with_logging" => {
                for text in ["started", "works", "ends"] {
                    let note = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(text));
                    let _gone = context.peer.notify_logging_message(note).await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            "test_tool_with_progress" => {
                for (done, text) in [(0.0, "started"), (50.0, "half"), (100.0, "done")] {
                    let Some(token) = context.meta.get_progress_token() else { break };
                    let note =
                        ProgressNotificationParam::new(token, done).with_total(100.0).with_message(text);
                    let _gone = context.peer.notify_progress(note).await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            "test_logging_tool" => {
                if let Some(level) = context.meta.log_level() {
                    let note = LoggingMessageNotificationParam::new(level, json!("a level was given"));
                    let _gone = context.peer.notify_logging_message(note).await;
                }
            }
            "test_reconnection" => {
                self.hang_up(context).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            "test_trigger_tool_change" => {
                for listener in self.listening() {
                    let _gone = listener.notify_tool_list_changed().await;
                }
            }
            _ => {
                for listener in self.listening() {
                    let _gone = listener.notify_prompt_list_changed().await;
                }
            }
        }
        say(&format!("{name} is done"))
    }

    /// A form to the person on the other end, as sessions do it.
    async fn elicit(
        &self,
        name: &str,
        message: &str,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResult {
        let form = ElicitRequestParams::FormElicitationParams {
            meta: None,
            message: message.to_owned(),
            requested_schema: read(&SHELF["forms"][name]),
        };
        match tokio::time::timeout(ANSWER, context.peer.create_elicitation(form)).await {
            Err(_) => CallToolResult::error(vec![ContentBlock::text("no answer came")]),
            Ok(Ok(answer)) => {
                say(&format!("{}", json!({"action": answer.action, "content": answer.content})))
            }
            Ok(Err(error)) => CallToolResult::error(vec![ContentBlock::text(error.to_string())]),
        }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerInfo {
        ServerInfo::new(
            ServerCapabilities::builder()
                .enable_prompts()
                .enable_prompts_list_changed()
                .enable_resources()
                .enable_resources_subscribe()
                .enable_resources_list_changed()
                .enable_tools()
                .enable_tool_list_changed()
                .enable_logging()
                .enable_completions()
                .enable_tasks()
                .build(),
        )
        .with_server_info(Implementation::new("callgate-conformance-server", "1.0.0"))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        SHELF["tools"].as_array()?.iter().find(|tool| tool["name"] == name).map(read)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let result = ListToolsResult { tools: read(&SHELF["tools"]), ..Default::default() };
        Ok(result.with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.as_ref();
        let argument = |key: &str| {
            let value = request.arguments.as_ref().and_then(|arguments| arguments.get(key));
            value.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        if let Some(result) = SHELF["results"].get(name) {
            let mut result = result.clone();
            result["resultType"] = json!("complete");
            return Ok(read::<CallToolResult>(&result).into());
        }
        match name {
            "echo" => Ok(say(&format!("Echo: {}", argument("message"))).into()),
            "get-sum" => {
                let arguments = request.arguments.clone().unwrap_or_default();
                let (a, b) = (arguments["a"].as_i64().unwrap_or(0), arguments["b"].as_i64().unwrap_or(0));
                Ok(say(&format!("The sum of {a} and {b} is {}.", a + b)).into())
            }
            "test_tool_with_logging"
            | "test_tool_with_progress"
            | "test_logging_tool"
            | "test_reconnection"
            | "test_trigger_tool_change"
            | "test_trigger_prompt_change" => Ok(self.speak(name, &context).await.into()),
            "test_sampling" => {
                let ask = CreateMessageRequestParams::new(
                    vec![SamplingMessage::user_text(argument("prompt"))],
                    100,
                );
                let result = match tokio::time::timeout(ANSWER, context.peer.create_message(ask)).await {
                    Err(_) => CallToolResult::error(vec![ContentBlock::text("no answer came")]),
                    Ok(Ok(answer)) => say(&json!(answer.message.content).to_string()),
                    Ok(Err(error)) => CallToolResult::error(vec![ContentBlock::text(error.to_string())]),
                };
                Ok(result.into())
            }
            "test_elicitation" | "test_elicitation_sep1034_defaults" | "test_elicitation_sep1330_enums" => {
                Ok(self.elicit(name, &argument("message"), &context).await.into())
            }
            "test_missing_capability" => {
                if context.meta.client_capabilities().is_some_and(|client| client.sampling.is_some()) {
                    return Ok(say("The client can sample").into());
                }
                let needed = ClientCapabilities::builder().enable_sampling().build();
                Err(ErrorData::missing_required_client_capability(needed))
            }
            _ if tasks::has(name) => tasks::call(&self.tasks, &request, &context).await,
            _ => rounds::call(&self.seal, &request, &context.meta),
        }
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let result = ListResourcesResult { resources: read(&SHELF["resources"]), ..Default::default() };
        Ok(result.with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let result = ListResourceTemplatesResult {
            resource_templates: read(&SHELF["templates"]),
            ..Default::default()
        };
        Ok(result.with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri.as_str();
        let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
        let contents = if let Some(id) = id {
            let text = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            read(&json!({"uri": uri, "mimeType": "application/json", "text": text.to_string()}))
        } else if let Some(contents) = SHELF["contents"].get(uri) {
            read(contents)
        } else {
            let data = json!({"uri": uri});
            return Err(ErrorData::resource_not_found(format!("no resource {uri}"), Some(data)));
        };
        let result = ReadResourceResult::new(vec![contents]);
        Ok(result.with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public).into())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let result = ListPromptsResult { prompts: read(&SHELF["prompts"]), ..Default::default() };
        Ok(result.with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let arguments = request.arguments.clone().unwrap_or_default();
        let argument = |key: &str| arguments.get(key).and_then(Value::as_str).unwrap_or_default();
        let text = |text: String| json!({"role": "user", "content": {"type": "text", "text": text}});
        let messages = match request.name.as_str() {
            "test_prompt_with_arguments" => {
                json!([text(format!(
                    "Prompt with arguments: arg1='{}', arg2='{}'",
                    argument("arg1"),
                    argument("arg2")
                ))])
            }
            "test_prompt_with_embedded_resource" => {
                let inside = json!({"uri": argument("resourceUri"), "mimeType": "text/plain", "text": "Embedded resource content for testing."});
                json!([
                    {"role": "user", "content": {"type": "resource", "resource": inside}},
                    text("Please process the embedded resource above.".to_owned())
                ])
            }
            "test_input_required_result_prompt" => {
                let Some(answer) = rounds::answer(request.input_responses.as_ref(), "user_context") else {
                    return Ok(rounds::ask(&[rounds::form("user_context", "context")]).into());
                };
                json!([text(format!("The context is: {}", answer["content"]["context"]))])
            }
            name => match SHELF["messages"].get(name) {
                Some(messages) => messages.clone(),
                None => return Err(ErrorData::invalid_params(format!("no prompt {name}"), None)),
            },
        };
        Ok(read::<GetPromptResult>(&json!({"messages": messages, "resultType": "complete"})).into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let known = ["paris", "park", "party"].map(str::to_owned);
        let values = known.into_iter().filter(|word| word.starts_with(&request.argument.value)).collect();
        let values = CompletionInfo::new(values).map_err(|error| ErrorData::internal_error(error, None))?;
        Ok(CompleteResult::new(values))
    }

    async fn subscribe(
        &self,
        _request: SubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(
        &self,
        _request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn set_level(
        &self,
        _request: SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.listeners.lock().unwrap().insert(key, context.sink().clone());
        context.cancelled().await;
        self.listeners.lock().unwrap().remove(&key);
        Ok(())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        Ok(GetTaskResult::new(self.tasks.get_task(&request.task_id)?))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&request.task_id)
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut listen, mut config) = ("127.0.0.1:0".to_owned(), StreamableHttpServerConfig::default());
    config = config.enforce_origin_validation().with_allowed_origins([
        "http://localhost:*",
        "http://127.0.0.1:*",
        "http://[::1]:*",
    ]);
    let mut stdio = false;
    while let Some(flag) = arguments.next() {
        match flag.as_str() {
            "--listen" => listen = arguments.next().expect("an address"),
            "--stateless" => config = config.with_legacy_session_mode(false),
            "--json" => config = config.with_json_response(true),
            "--stdio" => stdio = true,
            other => panic!("what is {other}?"),
        }
    }
    // Sessions outlive the quiet minutes of a test.
    let sessions = Arc::new(LocalSessionManager::default());
    let server = Server::new(Arc::clone(&sessions));
    if stdio {
        let running = server.serve(rmcp::transport::stdio()).await.unwrap();
        running.waiting().await.unwrap();
        return;
    }
    let service = StreamableHttpService::new(move || Ok(server.clone()), sessions, config);
    let listener = tokio::net::TcpListener::bind(&listen).await.unwrap();
    println!("http://{}/mcp", listener.local_addr().unwrap());
    axum::serve(listener, axum::Router::new().nest_service("/mcp", service)).await.unwrap();
}
