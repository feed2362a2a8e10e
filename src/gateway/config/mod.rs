//! `gateway.json`: many servers and grants behind one gateway.
//!
//! Read as strictly as a policy: what is misspelt is an error with its place, never passed over,
//! because a misspelt grant is a hole or a locked door. Secrets are not in it: tokens as their
//! digests, and the servers' own credentials as names of environment variables.

mod named;
mod read;
#[doc(hidden)]
pub mod total;

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::named::Named;
use crate::feed::token::FeedToken;
use crate::gateway::grants::{Grant, Grants};
use crate::gateway::policies::watch::{self, Watch};
use crate::policy::diagnostic::{Diagnostic, Severity, Sink};
use crate::policy::document::{Meant, revision, syntax_error};

/// The code of the error that a variable is not set: the only one that is not the text's own.
pub const UNSET: &str = "unset-variable";

/// The environment: the value of a variable by its name.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// What a gateway.json says. Paths are ready to use: relative ones have been joined to the file's
/// folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Where the MCP endpoints are: `http://LISTEN/mcp/SERVER`.
    pub listen: SocketAddr,
    /// The feed; where absent, on a free port of the loopback interface for this user only.
    pub feed: Option<FeedConfig>,
    /// The folder of the journals; where absent, this user's.
    pub journal: Option<PathBuf>,
    /// Where counters are kept, as `--counters` takes it: a file's path, or the address of a
    /// fleet's store. Where absent, this user's.
    pub counters: Option<String>,
    /// The servers by name, in the file's order.
    pub servers: Vec<(String, Upstream)>,
    /// The grants.
    pub grants: Grants,
    /// The first 12 hex digits of the SHA-256 of the text.
    pub revision: String,
}

/// The feed of a configured gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeedConfig {
    /// Where it listens.
    pub listen: Option<SocketAddr>,
    /// Who may connect, besides this user's own monitors on this machine.
    pub tokens: Vec<FeedToken>,
}

/// A server behind the gateway. `Debug` shows no values of variables and headers.
#[derive(Clone, PartialEq, Eq)]
pub enum Upstream {
    /// A stdio server.
    Command {
        /// Its command line; never empty.
        command: Vec<String>,
        /// Variables besides the gateway's own, `${VAR}` filled in.
        env: Vec<(String, String)>,
    },
    /// A streamable HTTP server.
    Url {
        /// Its address: `http` or `https`, without a user.
        url: String,
        /// Headers of every request, `${VAR}` filled in.
        headers: Vec<(String, String)>,
    },
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            |pairs: &[(String, String)]| pairs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        match self {
            Self::Command { command, env } => {
                f.debug_struct("Command").field("command", command).field("env", &names(env)).finish()
            }
            Self::Url { url, headers } => {
                f.debug_struct("Url").field("url", url).field("headers", &names(headers)).finish()
            }
        }
    }
}

/// What came of reading a text.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The configuration, when the text has no errors.
    pub config: Option<GatewayConfig>,
    /// Every remark, in the text's order.
    pub diagnostics: Vec<Diagnostic>,
    /// The policies that the grants name, whatever else is wrong with the text.
    pub named: Vec<Named>,
}

/// Why a version of gateway.json is not put in force.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is gone or cannot be read.
    #[error("cannot read `{}`: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// It is not valid.
    #[error("`{}` is not valid: {first}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The first error.
        first: Box<Diagnostic>,
        /// The revision of this version.
        revision: String,
    },
}

impl ConfigError {
    /// What to do about it.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Unreadable { .. } => None,
            Self::Invalid { first, .. } => first.help.as_deref(),
        }
    }
}

const GATEWAY: Meant = Meant {
    name: "configuration",
    begin: "start with `{ \"listen\": \"127.0.0.1:8808\", \"servers\": {}, \"grants\": {} }`",
    remarks: "JSON has no comments",
};

/// Reads a text. `folder` is the file's, which relative paths begin in.
pub fn parse(text: &[u8], folder: &Path, env: Env<'_>) -> Parsed {
    let lossy = String::from_utf8_lossy(text);
    let mut sink = Sink::new(&lossy);
    let mut named = Vec::new();
    let config = match crate::json::parse_bytes(text) {
        Ok(parsed) => read::config(&lossy, &parsed, folder, env, &mut named, &mut sink),
        Err(error) => {
            syntax_error(&lossy, error.offset, error.kind, &GATEWAY, &mut sink);
            None
        }
    };
    let diagnostics = sink.sorted();
    let sound = !diagnostics.iter().any(|found| found.severity == Severity::Error);
    let config = config.filter(|_| sound).map(|config| GatewayConfig { revision: revision(text), ..config });
    Parsed { config, diagnostics, named }
}

/// Whether a text means to be a gateway.json rather than a policy: it has the keys that only the
/// one has. Rubbish is neither.
pub fn is_meant(text: &[u8]) -> bool {
    crate::json::parse_bytes(text).is_ok_and(|parsed| {
        let has = |key| parsed.root.get(key).is_some();
        (has("servers") || has("grants") || has("listen")) && !has("default") && !has("tools")
    })
}

/// Reads and checks a gateway.json, with variables from the environment.
///
/// # Errors
/// When it cannot be read or is not valid.
pub fn load(path: &Path) -> Result<GatewayConfig, ConfigError> {
    let unreadable = |why| ConfigError::Unreadable { path: path.to_owned(), why };
    check(path, &watch::read(path).map_err(unreadable)?)
}

fn check(path: &Path, text: &[u8]) -> Result<GatewayConfig, ConfigError> {
    let parsed = parse(text, folder(path), &|name| std::env::var(name).ok());
    if let Some(config) = parsed.config {
        return Ok(config);
    }
    let first = parsed.diagnostics.into_iter().find(|found| found.severity == Severity::Error);
    // Unreachable: without a configuration there is an error. Still no configuration.
    let first = first.unwrap_or_else(|| Diagnostic::nowhere("the text is no configuration"));
    let first = Box::new(first);
    Err(ConfigError::Invalid { path: path.to_owned(), first, revision: revision(text) })
}

/// What is wrong with the label of a grant or of a feed's token, if anything, as the rest of a
/// sentence: `is empty`.
pub fn label_error(label: &str) -> Option<&'static str> {
    read::label_error(label)
}

/// The folder that a file's relative paths begin in.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Watches a gateway.json and calls `changed` with each version that differs from the one before
/// (`revision` is that of the version in force), on a thread of its own. Variables are those of the
/// process's environment.
///
/// # Errors
/// When the thread cannot be started.
pub fn watch(
    path: PathBuf,
    revision: String,
    mut changed: impl FnMut(Result<GatewayConfig, ConfigError>) + Send + 'static,
) -> io::Result<Watch> {
    let file = path.clone();
    watch::watch(path, revision, move |version| {
        let unreadable = |why| ConfigError::Unreadable { path: file.clone(), why };
        changed(version.map_err(unreadable).and_then(|text| check(&file, &text)));
    })
}

/// What is different between two versions. What is only written otherwise is no difference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Names of servers that are new.
    pub servers_added: Vec<String>,
    /// Names of servers that are gone: their sessions end.
    pub servers_removed: Vec<String>,
    /// Names of servers that are reached otherwise: their sessions end, new ones use the new way.
    pub servers_changed: Vec<String>,
    /// Grants that are new.
    pub grants_added: Vec<Arc<Grant>>,
    /// Grants, as they were, that allow nothing any more: gone, with another token or for another
    /// server. Their sessions and open streams end. (A grant of another server is in `added` too.)
    pub grants_revoked: Vec<Arc<Grant>>,
    /// Grants, as they are now, whose policy, shadow or end changed: their sessions go on.
    pub grants_changed: Vec<Arc<Grant>>,
    /// Whether the feed's tokens changed.
    pub feed_tokens: bool,
    /// Keys that changed and that only a restart puts in force.
    pub restart: Vec<&'static str>,
}

impl Difference {
    /// From `old` to `new`.
    pub fn between(old: &GatewayConfig, new: &GatewayConfig) -> Self {
        let mut found = Self::default();
        for (name, upstream) in &old.servers {
            match new.server(name) {
                None => found.servers_removed.push(name.clone()),
                Some(now) if now != upstream => found.servers_changed.push(name.clone()),
                Some(_) => {}
            }
        }
        let known: HashSet<&str> = old.servers.iter().map(|(name, _)| name.as_str()).collect();
        let added = new.servers.iter().filter(|(name, _)| !known.contains(name.as_str()));
        found.servers_added = added.map(|(name, _)| name.clone()).collect();
        for grant in old.grants.iter() {
            match new.grants.get(&grant.label) {
                Some(now) if now.server == grant.server && now.digest == grant.digest => {
                    if now != grant {
                        found.grants_changed.push(Arc::clone(now));
                    }
                }
                Some(now) => {
                    found.grants_revoked.push(Arc::clone(grant));
                    found.grants_added.push(Arc::clone(now));
                }
                None => found.grants_revoked.push(Arc::clone(grant)),
            }
        }
        let added = new.grants.iter().filter(|grant| old.grants.get(&grant.label).is_none());
        found.grants_added.extend(added.map(Arc::clone));
        let feed = |config: &GatewayConfig| config.feed.clone().unwrap_or_default();
        let (old_feed, new_feed) = (feed(old), feed(new));
        found.feed_tokens = old_feed.tokens != new_feed.tokens;
        for (key, changed) in [
            ("listen", old.listen != new.listen),
            ("feed.listen", old_feed.listen != new_feed.listen),
            ("journal", old.journal != new.journal),
            ("counters", old.counters != new.counters),
        ] {
            if changed {
                found.restart.push(key);
            }
        }
        found
    }

    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl GatewayConfig {
    /// How a server is reached.
    pub fn server(&self, name: &str) -> Option<&Upstream> {
        self.servers.iter().find(|(other, _)| other == name).map(|(_, upstream)| upstream)
    }
}

#[cfg(test)]
mod tests;
