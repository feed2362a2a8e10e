//! The servers that MCP clients have in their own configuration files.
//!
//! Which servers there are, how each is started or reached, and whether callgate already stands in
//! front of it; [`edit`] puts it there and takes it out again. Where the files lie is resolved from values that are passed in,
//! so that it can be tested without anybody's home.

pub mod edit;
mod expand;
mod guard;
pub mod kept;
mod places;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::{CatalogError, Failure};
use super::{HttpServer, StdioServer};

pub use places::{CLIENTS, Client};

/// How a server is started or reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launch {
    /// A child process.
    Stdio(StdioServer),
    /// Streamable HTTP.
    Http(HttpServer),
}

/// The operating system whose conventions hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Linux and everything like it.
    Linux,
    /// macOS.
    Mac,
    /// Windows.
    Windows,
}

/// Where to look.
#[derive(Debug, Clone)]
pub struct Env {
    /// The person's home.
    pub home: PathBuf,
    /// The working folder: project files are looked for there and above.
    pub cwd: PathBuf,
    /// The environment.
    pub vars: BTreeMap<String, String>,
    /// The system.
    pub system: System,
}

impl Env {
    /// From this process; `None` where there is no home.
    pub fn from_process() -> Option<Self> {
        let vars: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let home = ["HOME", "USERPROFILE"]
            .into_iter()
            .find_map(|name| vars.get(name).filter(|home| !home.is_empty()))
            .map(PathBuf::from)?;
        let system = if cfg!(target_os = "macos") {
            System::Mac
        } else if cfg!(windows) {
            System::Windows
        } else {
            System::Linux
        };
        Some(Self { home, cwd: std::env::current_dir().unwrap_or_default(), vars, system })
    }

    fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// A server of a client's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// The client, as people type it.
    pub client: &'static str,
    /// The file that names it.
    pub file: PathBuf,
    /// Its name there.
    pub server: String,
    /// The names, and in lists the numbers, that lead to its entry.
    pub at: Vec<String>,
    /// How the client starts or reaches it, as written: variables are not filled in yet.
    pub launch: Launch,
    /// Whether callgate stands in front of it.
    pub guarded: bool,
    /// Whether the client has it switched off.
    pub disabled: bool,
}

impl Configured {
    /// Its client, as the client's maker writes it.
    pub fn client_title(&self) -> &'static str {
        CLIENTS.into_iter().find(|client| client.name() == self.client).map_or(self.client, Client::title)
    }

    /// The server itself, behind callgate where callgate stands in front of it, with variables as
    /// written: what may be shown to people.
    pub fn as_written(&self) -> Launch {
        guard::behind(&self.launch).unwrap_or_else(|| self.launch.clone())
    }

    /// The server itself: behind callgate, where callgate stands in front of it, and with
    /// variables filled in from the environment.
    ///
    /// # Errors
    /// When a variable is not set, or a value is one that only the client itself can ask for.
    pub fn upstream(&self, env: &Env) -> Result<Launch, CatalogError> {
        expand::launch(&self.as_written(), env, self.client == "gemini").map_err(|why| {
            CatalogError::new(
                Failure::Usage,
                format!("server `{}` in `{}`: {why}", self.server, self.file.display()),
            )
            .help("set it in the environment of this command")
        })
    }
}

/// Every server of every client, in the order of [`CLIENTS`], and why files of theirs were not read.
pub fn all(env: &Env) -> (Vec<Configured>, Vec<CatalogError>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for client in CLIENTS {
        let (servers, unread) = in_files(client, env);
        found.extend(servers);
        problems.extend(unread);
    }
    (found, problems)
}

/// The servers of one client.
///
/// # Errors
/// When the client is unknown, has no configuration file, or none of its files can be read: the
/// message names the files and what was looked for. What to do instead is for the caller to say.
pub fn servers(client: &str, env: &Env) -> Result<Vec<Configured>, CatalogError> {
    let client = places::client(client)?;
    let (found, problems) = in_files(client, env);
    if !found.is_empty() {
        return Ok(found);
    }
    if let Some(problem) = problems.into_iter().next() {
        return Err(problem.help("mend that file or its permissions first"));
    }
    let looked: Vec<String> =
        places::files(client, env).into_iter().map(|path| format!("`{}`", path.display())).collect();
    let there = places::files(client, env).into_iter().any(|path| path.is_file());
    let what = if there { "names no MCP server" } else { "has no configuration file here" };
    Err(CatalogError::new(
        Failure::File,
        format!("{} {what}: looked for {} in {}", client.title(), client.keys(), looked.join(", ")),
    ))
}

/// One server of a client.
///
/// # Errors
/// As [`servers`], and when there is no such server.
pub fn server(client: &str, name: &str, env: &Env) -> Result<Configured, CatalogError> {
    let all = servers(client, env)?;
    let names: Vec<String> = all.iter().map(|found| format!("`{}`", found.server)).collect();
    let file = all.first().map(|found| found.file.display().to_string()).unwrap_or_default();
    all.into_iter().find(|found| found.server == name).ok_or_else(|| {
        CatalogError::new(
            Failure::Usage,
            format!("{client} has no server `{}` in `{file}`", super::error::shown(name)),
        )
        .help(format!("it has {}", names.join(", ")))
    })
}

/// A text with its variables filled in from the environment.
pub(super) fn fill(text: &str, env: &Env) -> Result<String, String> {
    expand::text_with(text, env, false)
}

fn in_files(client: Client, env: &Env) -> (Vec<Configured>, Vec<CatalogError>) {
    let mut found: Vec<Configured> = Vec::new();
    let mut problems = Vec::new();
    for file in places::files(client, env) {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                problems.push(CatalogError::new(
                    Failure::File,
                    format!("`{}` cannot be read: {error}", file.display()),
                ));
                continue;
            }
        };
        match read::entries(client, &file, &text, env) {
            Ok(entries) => {
                for entry in entries {
                    // A client takes the nearest definition of a name.
                    if found.iter().any(|known| known.server == entry.name) {
                        continue;
                    }
                    let guarded = guard::is_callgate(&entry.launch);
                    found.push(Configured {
                        client: client.name(),
                        file: file.clone(),
                        server: entry.name,
                        at: entry.at,
                        launch: entry.launch,
                        guarded,
                        disabled: entry.disabled,
                    });
                }
            }
            Err(why) => {
                problems.push(CatalogError::new(Failure::File, format!("`{}` {why}", file.display())));
            }
        }
    }
    (found, problems)
}
