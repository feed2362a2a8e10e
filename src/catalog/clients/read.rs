//! From a client's file to its servers. JSON with comments, TOML and YAML become one kind of
//! value; the shapes differ only in the names of their members.

use std::path::Path;

use serde_json::{Map, Value};

use super::super::{HttpServer, StdioServer};
use super::{Client, Env, Launch};

/// A server in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// The names, and in lists the numbers, that lead to it.
    pub(super) at: Vec<String>,
    pub(super) launch: Launch,
    pub(super) disabled: bool,
}

/// The servers that a file names. What has neither a command nor an address (built-in extensions)
/// is left out.
pub(super) fn entries(client: Client, file: &Path, text: &str, env: &Env) -> Result<Vec<Entry>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let root = value(file, text)?;
    let mut found = Vec::new();
    for (path, holder) in holders(client, &root, env) {
        let at = |step: String| path.iter().cloned().chain([step]).collect();
        match holder {
            Value::Object(members) => found
                .extend(members.iter().filter_map(|(name, server)| entry(name, server, at(name.clone())))),
            Value::Array(list) => found.extend(list.iter().enumerate().filter_map(|(index, server)| {
                entry(server.get("name")?.as_str()?, server, at(index.to_string()))
            })),
            _ => return Err(format!("has {} that is no object", client.keys())),
        }
    }
    Ok(found)
}

/// The values that hold servers, and what leads to each.
fn holders<'v>(client: Client, root: &'v Value, env: &Env) -> Vec<(Vec<String>, &'v Value)> {
    let mut found = Vec::new();
    let mut take = |path: &[&str]| {
        let value = path.iter().try_fold(root, |value, step| value.get(step));
        let path = path.iter().map(|step| (*step).to_owned()).collect();
        found.extend(value.filter(|value| !value.is_null()).map(|value| (path, value)));
    };
    match client {
        Client::ClaudeCode => {
            // Local servers of the project (or of a folder above) come before the person's own.
            for folder in env.cwd.ancestors() {
                take(&["projects", &folder.to_string_lossy(), "mcpServers"]);
            }
            take(&["mcpServers"]);
        }
        Client::VsCode => {
            take(&["servers"]);
            take(&["mcpServers"]);
            // The older place, in settings.json.
            take(&["mcp", "servers"]);
        }
        Client::Zed => take(&["context_servers"]),
        Client::Codex => take(&["mcp_servers"]),
        Client::Goose => take(&["extensions"]),
        _ => take(&["mcpServers"]),
    }
    found
}

/// The value at a path of names and, in lists, numbers.
fn at<'v>(root: &'v mut Value, path: &[String]) -> Option<&'v mut Value> {
    path.iter().try_fold(root, |value, step| match value {
        Value::Array(list) => list.get_mut(step.parse::<usize>().ok()?),
        other => other.get_mut(step),
    })
}

/// What holds the command of the entry at `path`, and under which name.
fn holder<'v>(root: &'v mut Value, path: &[String]) -> Option<(&'v mut Map<String, Value>, &'static str)> {
    let entry = at(root, path)?.as_object_mut()?;
    if entry.get("command").is_some_and(Value::is_object) {
        return Some((entry.get_mut("command")?.as_object_mut()?, "path"));
    }
    let named = entry.get("command").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    Some((entry, if named { "command" } else { "cmd" }))
}

/// The command and the arguments of the entry at `path`.
pub(super) fn command_line(root: &Value, path: &[String]) -> Option<(String, Vec<Value>)> {
    let mut root = root.clone();
    let (holder, key) = holder(&mut root, path)?;
    let command = holder.get(key)?.as_str()?.to_owned();
    let args = match holder.get("args") {
        None => Vec::new(),
        Some(args) => args.as_array()?.clone(),
    };
    Some((command, args))
}

/// The name of the member that holds the command of the entry at `path`.
pub(super) fn command_key(root: &Value, path: &[String]) -> Option<&'static str> {
    Some(holder(&mut root.clone(), path)?.1)
}

/// The same document with another command and other arguments in the entry at `path`.
pub(super) fn with_command_line(
    mut root: Value,
    path: &[String],
    command: &str,
    args: Vec<Value>,
) -> Option<Value> {
    let (holder, key) = holder(&mut root, path)?;
    holder.insert(key.to_owned(), Value::from(command));
    holder.insert("args".to_owned(), Value::Array(args));
    Some(root)
}

fn entry(name: &str, server: &Value, at: Vec<String>) -> Option<Entry> {
    let text = |key: &str| server.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let flag = |key: &str| server.get(key).and_then(Value::as_bool);
    let disabled = flag("disabled") == Some(true) || flag("enabled") == Some(false);
    // Older Zed: `"command": {"path", "args", "env"}`.
    let inner = server.get("command").filter(|command| command.is_object());
    let program = text("command").or_else(|| text("cmd")).or_else(|| inner?.get("path")?.as_str());
    let launch = if let Some(program) = program {
        let args = inner.unwrap_or(server).get("args");
        let mut command = vec![program.to_owned()];
        command.extend(args.and_then(Value::as_array).into_iter().flatten().map(plain));
        let variables = inner
            .and_then(|inner| inner.get("env"))
            .or_else(|| server.get("env"))
            .or_else(|| server.get("envs"));
        Launch::Stdio(StdioServer { command, env: pairs(variables), cwd: text("cwd").map(Into::into) })
    } else {
        let url = ["url", "serverUrl", "httpUrl", "uri"].iter().find_map(|key| text(key))?;
        let mut headers = Vec::new();
        let nested = server.get("requestOptions").and_then(|options| options.get("headers"));
        for holder in [server.get("headers"), server.get("http_headers"), nested] {
            headers.extend(pairs(holder));
        }
        // Codex names the variables that hold values.
        for (header, variable) in pairs(server.get("env_http_headers")) {
            headers.push((header, format!("${{{variable}}}")));
        }
        if let Some(variable) = text("bearer_token_env_var") {
            headers.push(("Authorization".to_owned(), format!("Bearer ${{{variable}}}")));
        }
        Launch::Http(HttpServer { url: url.to_owned(), headers })
    };
    Some(Entry { name: name.to_owned(), at, launch, disabled })
}

fn pairs(value: Option<&Value>) -> Vec<(String, String)> {
    let members = value.and_then(Value::as_object);
    members
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.clone(), plain(value)))
        .collect()
}

/// Numbers and booleans in arguments and variables are their text.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A whole file as one kind of value.
pub(super) fn value(file: &Path, text: &str) -> Result<Value, String> {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("toml") => toml(text),
        Some("yaml" | "yml") => {
            serde_yaml_ng::from_str(text).map_err(|error| format!("is not YAML: {error}"))
        }
        _ => json(text),
    }
}

fn json(text: &str) -> Result<Value, String> {
    let options = jsonc_parser::ParseOptions::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value: Option<Value> = jsonc_parser::parse_to_serde_value(text, &options)
        .map_err(|error| format!("is not JSON: {error}"))?;
    Ok(value.unwrap_or(Value::Object(Map::new())))
}

fn toml(text: &str) -> Result<Value, String> {
    let document: toml_edit::DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        let message = error.to_string();
        format!("is not TOML: {}", message.lines().next().unwrap_or_default())
    })?;
    Ok(table(document.as_table()))
}

fn table(table: &dyn toml_edit::TableLike) -> Value {
    Value::Object(table.iter().map(|(key, item)| (key.to_owned(), toml_item(item))).collect())
}

fn toml_item(item: &toml_edit::Item) -> Value {
    if let Some(inner) = item.as_table_like() {
        return table(inner);
    }
    if let Some(tables) = item.as_array_of_tables() {
        return Value::Array(tables.iter().map(|inner| table(inner)).collect());
    }
    item.as_value().map_or(Value::Null, toml_value)
}

fn toml_value(value: &toml_edit::Value) -> Value {
    use toml_edit::Value as Toml;
    match value {
        Toml::String(text) => Value::String(text.value().clone()),
        Toml::Integer(number) => Value::from(*number.value()),
        Toml::Float(number) => Value::from(*number.value()),
        Toml::Boolean(flag) => Value::Bool(*flag.value()),
        Toml::Datetime(instant) => Value::String(instant.value().to_string()),
        Toml::Array(list) => Value::Array(list.iter().map(toml_value).collect()),
        Toml::InlineTable(inner) => table(inner),
    }
}
