//! The demo's MCP servers: the protocol, around a simulated world that answers the calls.
//!
//! They speak the `initialize` era over stdio, keep what calls change, take a few milliseconds a
//! call, and fail as real servers do.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, BufRead, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::rng::Rng;

/// The protocol versions that the servers agree to.
const VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// What a call answers.
pub(super) struct Answer {
    text: String,
    structured: Option<Value>,
    failed: bool,
    /// How long the call takes.
    millis: u64,
}

impl Answer {
    /// A result as text.
    pub(super) fn text(millis: u64, text: impl Into<String>) -> Self {
        Self { text: text.into(), structured: None, failed: false, millis }
    }

    /// A result as JSON, in both forms that MCP has for it.
    pub(super) fn json(millis: u64, value: Value) -> Self {
        let text = serde_json::to_string_pretty(&value).unwrap_or_default();
        Self { text, structured: Some(value), failed: false, millis }
    }

    /// A tool error.
    pub(super) fn error(text: impl Into<String>) -> Self {
        Self { text: text.into(), structured: None, failed: true, millis: 3 }
    }
}

/// A simulated world behind a server.
pub(super) trait World {
    /// The server's name as it gives it.
    fn name(&self) -> &'static str;
    /// The answer to `tools/list`.
    fn tools(&self) -> &'static str;
    /// Does what a call asks for.
    fn call(&mut self, tool: &str, arguments: &Value, rng: &mut Rng) -> Answer;
}

/// Serves until the end of input.
pub(super) fn serve(world: &mut dyn World) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel::<(Instant, String)>();
    let writer = std::thread::spawn(move || write_when_due(&receiver));
    let list: Value = serde_json::from_str(world.tools())?;
    let mut rng = Rng::new(0xd0c);
    for line in io::stdin().lock().lines() {
        let line = line?;
        let Ok(request) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        // Notifications and answers need no answer.
        let (Some(id), Some(method)) = (request.get("id"), request.get("method").and_then(Value::as_str))
        else {
            continue;
        };
        let params = request.get("params").unwrap_or(&Value::Null);
        let (millis, reply) = answer(world, &list, method, params, &mut rng);
        let mut message = json!({"jsonrpc": "2.0", "id": id});
        let (key, value) = match reply {
            Ok(result) => ("result", result),
            Err((code, text)) => ("error", json!({"code": code, "message": text})),
        };
        if let Some(members) = message.as_object_mut() {
            members.insert(key.to_owned(), value);
        }
        if sender.send((Instant::now() + Duration::from_millis(millis), message.to_string())).is_err() {
            break;
        }
    }
    drop(sender);
    writer.join().map_err(|_| io::Error::other("the writer failed"))?
}

type Reply = Result<Value, (i64, String)>;

fn answer(world: &mut dyn World, list: &Value, method: &str, params: &Value, rng: &mut Rng) -> (u64, Reply) {
    match method {
        "initialize" => {
            let asked = params.get("protocolVersion").and_then(Value::as_str).unwrap_or("");
            let version = VERSIONS.iter().find(|version| **version == asked).unwrap_or(&"2025-11-25");
            let result = json!({
                "protocolVersion": version,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": world.name(), "version": env!("CARGO_PKG_VERSION")},
            });
            (0, Ok(result))
        }
        "ping" => (0, Ok(json!({}))),
        "tools/list" => (0, Ok(list.clone())),
        "tools/call" => {
            let name = params.get("name").and_then(Value::as_str).unwrap_or("");
            let tools = list.get("tools").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let Some(tool) = tools.iter().find(|tool| tool.get("name").and_then(Value::as_str) == Some(name))
            else {
                return (0, Err((-32602, format!("Unknown tool: {name}"))));
            };
            let arguments = params.get("arguments").filter(|value| value.is_object()).cloned();
            let arguments = arguments.unwrap_or_else(|| json!({}));
            let answer = match wrong(tool, &arguments) {
                Some(why) => Answer::error(why),
                None => world.call(name, &arguments, rng),
            };
            let mut result = json!({"content": [{"type": "text", "text": answer.text}]});
            if let Some(members) = result.as_object_mut() {
                if let Some(structured) = answer.structured {
                    members.insert("structuredContent".to_owned(), structured);
                }
                if answer.failed {
                    members.insert("isError".to_owned(), Value::Bool(true));
                }
            }
            (answer.millis, Ok(result))
        }
        other => (0, Err((-32601, format!("Method not found: {other}")))),
    }
}

/// What is wrong with the arguments by the tool's own schema, as far as these schemas go.
fn wrong(tool: &Value, arguments: &Value) -> Option<String> {
    let schema = tool.get("inputSchema")?;
    let required = schema.get("required").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if let Some(missing) =
        required.iter().filter_map(Value::as_str).find(|name| arguments.get(name).is_none())
    {
        return Some(format!("Invalid arguments: `{missing}` is required"));
    }
    let properties = schema.get("properties")?;
    for (name, value) in arguments.as_object()? {
        let Some(about) = properties.get(name) else {
            return Some(format!("Invalid arguments: `{name}` is unknown"));
        };
        let kind = about.get("type").and_then(Value::as_str).unwrap_or("");
        let fits = match kind {
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => true,
        };
        if !fits {
            return Some(format!("Invalid arguments: `{name}` must be of type {kind}"));
        }
        if let Some(choices) = about.get("enum").and_then(Value::as_array)
            && !choices.contains(value)
        {
            return Some(format!(
                "Invalid arguments: `{name}` must be one of {}",
                Value::from(choices.clone())
            ));
        }
    }
    None
}

/// Writes each line when its time has come, so that slow calls do not hold up quick ones.
fn write_when_due(receiver: &mpsc::Receiver<(Instant, String)>) -> io::Result<()> {
    let mut waiting = BinaryHeap::new();
    let mut order = 0_u64;
    let mut open = true;
    while open || !waiting.is_empty() {
        let wait = waiting.peek().map(|Reverse((due, _, _)): &Reverse<(Instant, u64, String)>| {
            due.saturating_duration_since(Instant::now())
        });
        let next = match wait {
            _ if !open => Err(RecvTimeoutError::Timeout),
            Some(wait) => receiver.recv_timeout(wait),
            None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok((due, line)) => {
                order += 1;
                waiting.push(Reverse((due, order, line)));
            }
            Err(RecvTimeoutError::Disconnected) => open = false,
            Err(RecvTimeoutError::Timeout) => {
                let mut out = io::stdout().lock();
                while let Some(Reverse((due, _, line))) = waiting.peek() {
                    // After the end of input nothing is worth waiting for.
                    if open && *due > Instant::now() {
                        break;
                    }
                    writeln!(out, "{line}")?;
                    waiting.pop();
                }
                out.flush()?;
            }
        }
    }
    Ok(())
}

/// A text argument; empty when it is left out.
pub(super) fn text<'a>(arguments: &'a Value, name: &str) -> &'a str {
    arguments.get(name).and_then(Value::as_str).unwrap_or("")
}

/// A flag; `false` when it is left out.
pub(super) fn flag(arguments: &Value, name: &str) -> bool {
    arguments.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// A count, or what holds when it is left out.
pub(super) fn count(arguments: &Value, name: &str, default: u64) -> u64 {
    arguments.get(name).and_then(Value::as_u64).unwrap_or(default)
}
