//! Tool lists from a server, a file or a client's configuration; pins and drift.
//!
//! The official SDK's types lose members that they do not know (`execution`, unknown annotations),
//! so lists are asked for by a small client of our own ([`talk`](self)) and kept as the server
//! spelt them.

pub mod clients;
mod error;
mod file;
mod http;
mod name;
mod package;
pub mod pins;
mod stdio;
mod talk;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use serde_json::value::RawValue;

pub use clients::Launch;
pub use error::{CatalogError, Failure};
pub use http::HttpServer;
pub use name::server_name;
pub use stdio::StdioServer;

use crate::mcp::tool::Tool;
use crate::policy::pins::Definition;

/// Where tools come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A stdio server's command line.
    Command(Vec<String>),
    /// A streamable HTTP server, with the headers of every request.
    Url {
        /// Its address.
        url: String,
        /// Name and value; `${VAR}` in a value is filled in from the environment.
        headers: Vec<(String, String)>,
    },
    /// A saved list.
    File(PathBuf),
    /// An MCP client's own configuration.
    Client {
        /// The client, as people type it.
        client: String,
        /// One of its servers; all when `None`.
        server: Option<String>,
    },
}

/// What was loaded.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The servers with their tools, in the order of the source.
    pub servers: Vec<ServerTools>,
    /// The servers that gave no list; only when another did.
    pub failed: Vec<(String, CatalogError)>,
}

/// One server's tools.
#[derive(Debug, Clone)]
pub struct ServerTools {
    /// Its name.
    pub name: String,
    /// Where it is, for people: the command line, the address without secrets, the file.
    pub label: String,
    /// Its tools.
    pub tools: Vec<Tool>,
    /// The same tools as the server spelt them.
    pub raw: Vec<Box<RawValue>>,
    /// How it is started or reached, with variables as written; `None` for a saved list.
    pub launch: Option<Launch>,
    /// What a person must know about how this list came to be, if anything.
    pub note: Option<String>,
}

impl ServerTools {
    /// The definitions as pins cover them, from the very text of the server. Of two tools with one
    /// name the last counts.
    pub fn definitions(&self) -> Vec<Definition> {
        self.raw.iter().filter_map(|raw| Definition::read(raw.get())).collect()
    }
}

/// Loads the tools of a source. Blocks for at most about `timeout` (a few seconds more to end a
/// stubborn child); may be called from any thread, also one of an asynchronous runtime.
///
/// # Errors
/// When no server of the source gives a list: what happened, where, and what to do.
pub fn load(source: &Source, timeout: Duration) -> Result<Loaded, CatalogError> {
    load_until(source, timeout, &Arc::new(AtomicBool::new(false)))
}

/// As [`load`], and given up (children ended) as soon as `stop` becomes true.
///
/// # Errors
/// As [`load`]; [`Failure::Interrupted`] when stopped.
pub fn load_until(
    source: &Source,
    timeout: Duration,
    stop: &Arc<AtomicBool>,
) -> Result<Loaded, CatalogError> {
    match source {
        Source::File(path) => {
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let label = path.display().to_string();
            Ok(Loaded { servers: vec![server(name, label, file::list(path)?, None)?], failed: Vec::new() })
        }
        Source::Command(command) => {
            let launch = Launch::Stdio(StdioServer { command: command.clone(), ..StdioServer::default() });
            let server = from_launch(server_name(command), &launch, &launch, timeout, stop)?;
            Ok(Loaded { servers: vec![server], failed: Vec::new() })
        }
        Source::Url { url, headers } => {
            let launch = Launch::Http(HttpServer { url: url.clone(), headers: filled(headers)? });
            let written = Launch::Http(HttpServer { url: url.clone(), headers: headers.clone() });
            let server = from_launch(url_name(url), &launch, &written, timeout, stop)?;
            Ok(Loaded { servers: vec![server], failed: Vec::new() })
        }
        Source::Client { client, server } => from_client(client, server.as_deref(), timeout, stop),
    }
}

fn from_client(
    client: &str,
    wanted: Option<&str>,
    timeout: Duration,
    stop: &Arc<AtomicBool>,
) -> Result<Loaded, CatalogError> {
    let Some(env) = clients::Env::from_process() else {
        return Err(CatalogError::new(
            Failure::Usage,
            "HOME is not set, so no client's configuration can be found",
        ));
    };
    let found = match wanted {
        Some(name) => clients::server(client, name, &env).map(|server| vec![server]),
        None => clients::servers(client, &env)
            .map(|all| all.into_iter().filter(|server| !server.disabled).collect::<Vec<_>>()),
    };
    let configured = found.map_err(|error| match error.help {
        Some(_) => error,
        None => error.help("name the server directly: `-- CMD ARG...` or `--url URL`"),
    })?;
    // Side by side: a client's servers are often slow to start.
    let handles: Vec<_> = configured
        .into_iter()
        .map(|configured| {
            let stop = Arc::clone(stop);
            let (launch, written) = (configured.upstream(&env), configured.as_written());
            let name = configured.server;
            let thread_name = name.clone();
            let handle = thread::spawn(move || from_launch(thread_name, &launch?, &written, timeout, &stop));
            (name, handle)
        })
        .collect();
    let mut loaded = Loaded::default();
    for (name, handle) in handles {
        match handle.join() {
            Ok(Ok(server)) => loaded.servers.push(server),
            Ok(Err(error)) => loaded.failed.push((name, error)),
            Err(_) => {
                let error = CatalogError::new(Failure::Server, "loading its list failed inside callgate");
                loaded.failed.push((name, error));
            }
        }
    }
    if loaded.servers.is_empty() {
        let Some((name, mut error)) = loaded.failed.into_iter().next() else {
            return Err(CatalogError::new(
                Failure::File,
                format!("every server of {client} is switched off in its configuration"),
            ));
        };
        if wanted.is_none() {
            error.message = format!("server `{}`: {}", error::shown(&name), error.message);
        }
        return Err(error);
    }
    Ok(loaded)
}

fn from_launch(
    name: String,
    launch: &Launch,
    written: &Launch,
    timeout: Duration,
    stop: &Arc<AtomicBool>,
) -> Result<ServerTools, CatalogError> {
    // People are shown what is written: filled-in variables may be secrets.
    let label = match written {
        Launch::Stdio(stdio) => stdio::label(&stdio.command),
        Launch::Http(http) => http::without_secrets(&http.url),
    };
    match (launch, written) {
        (Launch::Stdio(stdio), written) => match stdio::list(stdio, &label, timeout, stop) {
            Err(error) if error.no_server => {
                let Launch::Stdio(written) = written else { return Err(error) };
                main_instead(name, stdio, written, timeout, stop).unwrap_or(Err(error))
            }
            listed => server(name, label, listed?, Some(written.clone())),
        },
        (Launch::Http(http), written) => {
            // On a thread of its own: the caller may itself be inside a runtime.
            let (http, stop) = (http.clone(), Arc::clone(stop));
            let listed =
                thread::spawn(move || http::list(&http, timeout, &stop)).join().unwrap_or_else(|_| {
                    Err(CatalogError::new(Failure::Server, "loading the list failed inside callgate"))
                });
            server(name, label, listed?, Some(written.clone()))
        }
    }
}

/// The list of the server that lies beside a package's own command, which is none. `None` where there
/// is none either: then what was asked for is what is reported.
fn main_instead(
    name: String,
    stdio: &StdioServer,
    written: &StdioServer,
    timeout: Duration,
    stop: &Arc<AtomicBool>,
) -> Option<Result<ServerTools, CatalogError>> {
    // As npx is started with it.
    let var = |name: &str| {
        let set = stdio.env.iter().rfind(|(set, _)| set == name).map(|(_, value)| value.clone());
        set.or_else(|| std::env::var(name).ok())
    };
    let main = |of: &StdioServer| {
        let command = package::main_of(&of.command, &var)?;
        Some(StdioServer { command, ..of.clone() })
    };
    let (run, shown) = (main(stdio)?, main(written)?);
    let label = stdio::label(&shown.command);
    let raw = match stdio::list(&run, &label, timeout, stop) {
        Ok(raw) => raw,
        Err(error) if error.failure == Failure::Interrupted => return Some(Err(error)),
        Err(_) => return None,
    };
    let note = format!(
        "`{}` is the command of a program that is no MCP server; the same package's main file is one, and was asked instead. Use its command line in your client and for the gateway, too",
        stdio::label(&written.command)
    );
    let server = server(name, label, raw, Some(Launch::Stdio(shown)));
    Some(server.map(|server| ServerTools { note: Some(note), ..server }))
}

fn server(
    name: String,
    label: String,
    raw: Vec<Box<RawValue>>,
    launch: Option<Launch>,
) -> Result<ServerTools, CatalogError> {
    let mut tools = Vec::with_capacity(raw.len());
    for (index, text) in raw.iter().enumerate() {
        let tool = Tool::read(text.get()).map_err(|error| {
            CatalogError::new(
                Failure::Server,
                format!(
                    "the tool at index {index} of `{label}` is no tool definition: {}",
                    error::shown(&error.to_string())
                ),
            )
            .help("every tool is an object with at least a `name`")
        })?;
        tools.push(tool);
    }
    Ok(ServerTools { name, label, tools, raw, launch, note: None })
}

fn filled(headers: &[(String, String)]) -> Result<Vec<(String, String)>, CatalogError> {
    let env = clients::Env::from_process();
    headers
        .iter()
        .map(|(name, value)| {
            let value = match &env {
                Some(env) => clients::fill(value, env).map_err(|why| {
                    CatalogError::new(Failure::Usage, format!("header `{}`: {why}", error::shown(name)))
                        .help("set it in the environment of this command")
                })?,
                None => value.clone(),
            };
            Ok((name.clone(), value))
        })
        .collect()
}

/// The host of an address, without `www.` and port: what a server reached by it is called.
fn url_name(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = host.rsplit('@').next().unwrap_or(host);
    let name = host.strip_prefix("www.").unwrap_or(host);
    let name = match name.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|letter| letter.is_ascii_digit()) => name,
        _ => name,
    };
    if name.is_empty() { "server".to_owned() } else { name.to_owned() }
}

/// A server's address for people: without user, password, query and fragment, where secrets may
/// stand.
pub fn address(url: &str) -> String {
    http::without_secrets(url)
}

/// A list as a file holds it: every tool as the server spelt it, one a line.
pub fn saved_text(raw: &[Box<RawValue>]) -> String {
    let mut text = String::from("{\"tools\":[");
    for (index, tool) in raw.iter().enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        // Line breaks between tokens may go; strings have none.
        text.extend(
            tool.get().chars().map(|letter| if matches!(letter, '\n' | '\r') { ' ' } else { letter }),
        );
    }
    text.push_str("\n]}\n");
    text
}
