//! From a JSON tree to a [`GatewayConfig`], naming every error on the way.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::{Env, FeedConfig, GatewayConfig, Named, Upstream};
use crate::feed::message::Role;
use crate::feed::token::FeedToken;
use crate::gateway::grants::{Grant, Grants};
use crate::json::{self, Member, Node, Span};
use crate::policy::diagnostic::{At, Severity, Sink, a_type, tick};
use crate::policy::strict::Place;
use crate::policy::suggest::closest;
use crate::time::Timestamp;
use crate::token::TokenDigest;
use crate::visible::visible;

/// The longest label and name, in characters.
const LONGEST_NAME: usize = 128;

const ROOT: Place =
    Place("a configuration", &["$schema", "listen", "feed", "journal", "counters", "servers", "grants"]);
const FEED: Place = Place("`feed`", &["listen", "tokens"]);
const FEED_TOKEN: Place = Place("a feed's token", &["role", "token_sha256", "expires"]);
const STDIO: Place = Place("a stdio server", &["command", "env"]);
const HTTP: Place = Place("an HTTP server", &["url", "headers"]);
const SERVER: Place = Place("a server", &["command", "env", "url", "headers"]);
const GRANT: Place = Place("a grant", &["server", "policy", "shadow", "token_sha256", "expires"]);

/// Headers that belong to the connection or to the protocol, which the gateway sets itself.
const OWN_HEADERS: &[&str] = &[
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Words of other places and other programs, and what they are here.
fn other_words(key: &str) -> Option<&'static str> {
    Some(match key {
        "token" => "tokens are kept as `token_sha256` only; `callgate grant add` makes one",
        "args" => "arguments stand in `command`, after the program",
        "mcpServers" => "the servers stand under `servers`",
        "authorization" | "auth" | "bearer" => {
            "an upstream's credentials stand in `headers`: `\"Authorization\": \"Bearer ${TOKEN}\"`"
        }
        "tls" | "tls_cert" | "tls_key" => "TLS is set up by `--tls-cert` and `--tls-key`",
        _ => return None,
    })
}

/// Reads the tree; `None` when something needed is missing, which has then been said.
pub(super) fn config(
    text: &str,
    parsed: &json::Parsed<'_>,
    folder: &Path,
    env: Env<'_>,
    named: &mut Vec<Named>,
    sink: &mut Sink<'_>,
) -> Option<GatewayConfig> {
    let mut reader = Reader { text, folder, env, named, sink };
    let root = &parsed.root;
    let at = At::ROOT;
    reader.sink.whole(parsed);
    reader.object(&at, root, ROOT)?;
    if let Some(node) = root.get("$schema") {
        reader.sink.string(&at.key("$schema"), node, "`$schema`");
    }
    let listen = reader.sink.needed(&at, root, ROOT, "listen", "write where to listen: `\"127.0.0.1:8808\"`");
    let listen = listen.and_then(|node| reader.address(&at.key("listen"), node));
    let feed = root.get("feed").and_then(|node| reader.feed(&at.key("feed"), node));
    let journal = root.get("journal").and_then(|node| reader.path(&at.key("journal"), node, "`journal`"));
    let counters = root.get("counters").and_then(|node| reader.counters(&at.key("counters"), node));
    let servers = reader.sink.needed(&at, root, ROOT, "servers", "name the servers: `\"servers\": {}`");
    let servers = servers.map(|node| reader.servers(&at.key("servers"), node));
    let grants = reader.sink.needed(&at, root, ROOT, "grants", "`callgate grant add` writes them");
    let grants = grants.map(|node| reader.grants(&at.key("grants"), node, root));
    reader.tokens_differ(root);
    Some(GatewayConfig {
        listen: listen?,
        feed,
        journal,
        counters,
        servers: servers?,
        grants: Grants::new(grants?),
        revision: String::new(),
    })
}

struct Reader<'r, 's> {
    text: &'r str,
    folder: &'r Path,
    env: Env<'r>,
    named: &'r mut Vec<Named>,
    sink: &'r mut Sink<'s>,
}

impl Reader<'_, '_> {
    /// The members of an object, after its unknown keys have been named.
    fn object<'n, 'a>(&mut self, at: &At<'_>, node: &'n Node<'a>, place: Place) -> Option<&'n [Member<'a>]> {
        self.sink.object(at, node, place, other_words)
    }

    /// A string that holds something, and nothing that no path, address or name can hold.
    fn filled(&mut self, at: &At<'_>, node: &Node<'_>, what: &str) -> Option<String> {
        let text = self.sink.filled(at, node, what)?;
        if text.contains('\0') {
            self.sink.error("bad-value", at, node.span, format!("{what} holds a zero byte"), "");
            return None;
        }
        Some(text)
    }

    fn path(&mut self, at: &At<'_>, node: &Node<'_>, what: &str) -> Option<PathBuf> {
        Some(self.folder.join(self.filled(at, node, what)?))
    }

    fn address(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<SocketAddr> {
        let text = self.filled(at, node, "`listen`")?;
        let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
        let address = match local {
            Some(port) => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            None => text.parse().ok(),
        };
        if address.is_none() {
            self.sink.error(
                "bad-address",
                at,
                node.span,
                format!("{} is no address to listen on", tick(&text)),
                "write an IP address and a port: `127.0.0.1:8808`, `[::1]:8808`",
            );
        }
        address
    }

    fn counters(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<String> {
        let text = self.filled(at, node, "`counters`")?;
        let scheme = ["redis://", "rediss://", "unix:"].into_iter().find(|scheme| text.starts_with(scheme));
        if let Some(scheme) = scheme {
            let rest = text.strip_prefix(scheme).unwrap_or("");
            let place = rest.split(['/', '?']).next().unwrap_or("");
            if place.contains('@') && scheme != "unix:" {
                self.sink.error(
                    "secret",
                    at,
                    node.span,
                    "the store's address holds a user or password".to_owned(),
                    "give them by `CALLGATE_REDIS_USERNAME` and `CALLGATE_REDIS_PASSWORD`",
                );
                return None;
            }
            return Some(text);
        }
        if text.contains("://") {
            self.sink.error(
                "bad-address",
                at,
                node.span,
                format!("{} is no store that is known", tick(&text)),
                "name a file, or `redis://HOST:PORT`",
            );
            return None;
        }
        let path = self.folder.join(text);
        path.to_str().map(str::to_owned)
    }

    fn feed(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<FeedConfig> {
        self.object(at, node, FEED)?;
        let listen = node.get("listen").and_then(|node| self.address(&at.key("listen"), node));
        let mut tokens = Vec::new();
        if let Some(node) = node.get("tokens") {
            let at = at.key("tokens");
            for member in self.sink.members(&at, node, "`tokens`").unwrap_or_default() {
                let label = member.key.as_str();
                let at = at.key(label);
                self.label(&at, member, "label");
                let token = &member.value;
                if self.object(&at, token, FEED_TOKEN).is_none() {
                    continue;
                }
                let role = self.sink.needed(&at, token, FEED_TOKEN, "role", "it is `viewer` or `operator`");
                let role = role.and_then(|node| self.role(&at.key("role"), node));
                let (digest, expires) = self.secret(&at, token, FEED_TOKEN);
                if let (Some(role), Some(digest)) = (role, digest) {
                    tokens.push(FeedToken { label: label.to_owned(), role, digest, expires });
                }
            }
        }
        Some(FeedConfig { listen, tokens })
    }

    fn role(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<Role> {
        let text = self.sink.string(at, node, "`role`")?;
        match text.as_str() {
            "viewer" => Some(Role::Viewer),
            "operator" => Some(Role::Operator),
            _ => {
                let help = match closest(&text, ["viewer", "operator"]) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "a viewer looks; an operator also approves, freezes and overrides".to_owned(),
                };
                let message = format!("`role` must be `viewer` or `operator`, not {}", tick(&text));
                self.sink.error("bad-value", at, node.span, message, help);
                None
            }
        }
    }

    /// A token's digest and end.
    fn secret(
        &mut self,
        at: &At<'_>,
        node: &Node<'_>,
        place: Place,
    ) -> (Option<TokenDigest>, Option<Timestamp>) {
        let digest = self
            .sink
            .needed(at, node, place, "token_sha256", "`callgate grant add` makes a token")
            .and_then(|node| {
                let at = at.key("token_sha256");
                let text = self.sink.string(&at, node, "`token_sha256`")?;
                let digest = TokenDigest::parse(&text);
                if digest.is_none() {
                    // Perhaps somebody put the token itself here: it is not repeated.
                    self.sink.error(
                        "bad-value",
                        &at,
                        node.span,
                        "`token_sha256` must be 64 hexadecimal digits in lower case".to_owned(),
                        "it is the token's SHA-256, never the token; `callgate grant add` makes both",
                    );
                }
                digest
            });
        let expires = node.get("expires").and_then(|node| {
            let at = at.key("expires");
            let text = self.sink.string(&at, node, "`expires`")?;
            let instant = Timestamp::parse(&text);
            if instant.is_none() {
                let message = format!("{} is no instant", tick(&text));
                self.sink.error(
                    "bad-value",
                    &at,
                    node.span,
                    message,
                    "write for instance `2027-01-31T00:00:00Z`",
                );
            }
            instant
        });
        (digest, expires)
    }

    /// Whether a name can be shown and told from others.
    fn label(&mut self, at: &At<'_>, member: &Member<'_>, what: &str) -> bool {
        let name = member.key.as_str();
        let wrong = label_error(name);
        if let Some(wrong) = wrong {
            self.sink.error("bad-name", at, member.key_span, format!("the {what} {wrong}"), "");
        }
        wrong.is_none()
    }

    fn servers(&mut self, at: &At<'_>, node: &Node<'_>) -> Vec<(String, Upstream)> {
        let mut servers = Vec::new();
        for member in self.sink.members(at, node, "`servers`").unwrap_or_default() {
            let name = member.key.as_str();
            let at = at.key(name);
            if let Some(wrong) = server_name_error(name) {
                let help = "the server is at `/mcp/NAME`: use letters, digits, `-`, `_`, `~` and `.`";
                self.sink.error("bad-name", &at, member.key_span, format!("the server's name {wrong}"), help);
            }
            if let Some(upstream) = self.upstream(&at, &member.value) {
                servers.push((name.to_owned(), upstream));
            }
        }
        servers
    }

    fn upstream(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<Upstream> {
        match (node.get("command"), node.get("url")) {
            (Some(_), Some(url)) => {
                let message = "a server has a `command` or a `url`, not both".to_owned();
                self.sink.error("bad-value", &at.key("url"), url.span, message, "make two servers of it");
                None
            }
            (Some(command), None) => {
                self.object(at, node, STDIO)?;
                let command = self.command(&at.key("command"), command);
                let env = match node.get("env") {
                    Some(node) => self.variables(&at.key("env"), node),
                    None => Vec::new(),
                };
                Some(Upstream::Command { command: command?, env })
            }
            (None, Some(url)) => {
                self.object(at, node, HTTP)?;
                let url = self.url(&at.key("url"), url);
                let headers = match node.get("headers") {
                    Some(node) => self.headers(&at.key("headers"), node),
                    None => Vec::new(),
                };
                Some(Upstream::Url { url: url?, headers })
            }
            (None, None) => {
                self.object(at, node, SERVER)?;
                let help =
                    "`\"command\": [\"npx\", \"-y\", \"PACKAGE\"]`, or `\"url\": \"https://HOST/mcp\"`";
                self.sink.missing(at, node, "a server needs `command` or `url`".to_owned(), help);
                None
            }
        }
    }

    fn command(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<Vec<String>> {
        let Some(items) = node.as_array() else {
            let message = format!("`command` must be an array of strings, not {}", a_type(node));
            let help = match node.as_str() {
                Some(_) => "each word by itself: `[\"npx\", \"-y\", \"PACKAGE\"]`",
                None => "",
            };
            self.sink.error("wrong-type", at, node.span, message, help);
            return None;
        };
        let mut words = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let at = at.index(index);
            let word = self.sink.string(&at, item, "a word of `command`")?;
            if word.contains('\0') || (index == 0 && word.is_empty()) {
                let message = "no program can be started with this word".to_owned();
                self.sink.error("bad-value", &at, item.span, message, "");
                return None;
            }
            if word.contains("${") {
                // Whoever lists the processes of the machine would see it.
                let message = format!("{} is passed as it is written", tick(&word));
                let help = "variables are filled in in `env` only: a command line is seen by everybody";
                self.sink.add(Severity::Warning, "not-expanded", at.to_string(), item.span, message, help);
            }
            words.push(word);
        }
        if words.is_empty() {
            let message = "`command` names no program".to_owned();
            self.sink.error("bad-value", at, node.span, message, "");
            return None;
        }
        Some(words)
    }

    fn variables(&mut self, at: &At<'_>, node: &Node<'_>) -> Vec<(String, String)> {
        let mut variables = Vec::new();
        for member in self.sink.members(at, node, "`env`").unwrap_or_default() {
            let name = member.key.as_str();
            let at = at.key(name);
            if name.is_empty() || name.contains(['=', '\0']) {
                let message = format!("{} is no name of a variable", tick(name));
                self.sink.error("bad-name", &at, member.key_span, message, "");
                continue;
            }
            let Some(value) = self.expanded(&at, &member.value, "a variable's value") else { continue };
            if value.contains('\0') {
                let message = format!("the value of {} holds a zero byte", tick(name));
                self.sink.error("bad-value", &at, member.value.span, message, "");
                continue;
            }
            variables.push((name.to_owned(), value));
        }
        variables
    }

    fn headers(&mut self, at: &At<'_>, node: &Node<'_>) -> Vec<(String, String)> {
        let mut headers: Vec<(String, String)> = Vec::new();
        for member in self.sink.members(at, node, "`headers`").unwrap_or_default() {
            let name = member.key.as_str();
            let at = at.key(name);
            let known = http::HeaderName::from_bytes(name.as_bytes()).ok();
            let wrong = match &known {
                None => Some("is no name of a header"),
                Some(header) if OWN_HEADERS.contains(&header.as_str()) => {
                    Some("is set by the gateway itself")
                }
                Some(_) if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) => {
                    Some("stands here twice, but for case")
                }
                Some(_) => None,
            };
            if let Some(wrong) = wrong {
                self.sink.error("bad-name", &at, member.key_span, format!("{} {wrong}", tick(name)), "");
                continue;
            }
            let Some(value) = self.expanded(&at, &member.value, "a header's value") else { continue };
            if http::HeaderValue::from_str(&value).is_err() {
                let message = format!("the value of {} holds characters that no header may have", tick(name));
                let help = "a line feed at the end of a secret's file is a common cause";
                self.sink.error("bad-value", &at, member.value.span, message, help);
                continue;
            }
            headers.push((name.to_owned(), value));
        }
        headers
    }

    fn url(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<String> {
        let text = self.filled(at, node, "`url`")?;
        let wrong = match reqwest::Url::parse(&text) {
            Err(_) => Some("is no address"),
            Ok(url) if !matches!(url.scheme(), "http" | "https") => Some("is not `http` or `https`"),
            Ok(url) if url.host_str().is_none_or(str::is_empty) => Some("names no host"),
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                // It may hold a password, so it is not repeated.
                let message = "the address holds a user or password".to_owned();
                let help = "write `\"headers\": { \"Authorization\": \"Basic ${CREDENTIALS}\" }`";
                self.sink.error("secret", at, node.span, message, help);
                return None;
            }
            Ok(url) if url.fragment().is_some() => Some("has a fragment, which is never sent"),
            Ok(_) => None,
        };
        if let Some(wrong) = wrong {
            let help = "a server's address looks like `https://example.com/mcp`";
            self.sink.error("bad-address", at, node.span, format!("{} {wrong}", tick(&text)), help);
            return None;
        }
        Some(text)
    }

    /// A string with `${VAR}` filled in from the environment. The value is in no message.
    fn expanded(&mut self, at: &At<'_>, node: &Node<'_>, what: &str) -> Option<String> {
        let text = self.sink.string(at, node, what)?;
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let inner = after.split_once('}').filter(|(name, _)| is_variable(name));
            let Some((name, behind)) = inner else {
                let help = "write `${NAME}`, with letters, digits and `_`";
                self.sink.error("bad-variable", at, node.span, "`${` begins no variable".to_owned(), help);
                return None;
            };
            let Some(value) = (self.env)(name) else {
                let message = format!("the variable `{name}` is not set");
                let help = format!("set `{name}` in the environment of the gateway");
                self.sink.error(super::UNSET, at, node.span, message, help);
                return None;
            };
            out.push_str(&value);
            rest = behind;
        }
        out.push_str(rest);
        Some(out)
    }

    fn grants(&mut self, at: &At<'_>, node: &Node<'_>, root: &Node<'_>) -> Vec<Grant> {
        let servers = root.get("servers").and_then(Node::as_object).unwrap_or_default();
        let servers: Vec<&str> = servers.iter().map(|member| member.key.as_str()).collect();
        let mut grants = Vec::new();
        for member in self.sink.members(at, node, "`grants`").unwrap_or_default() {
            let at = at.key(member.key.as_str());
            self.label(&at, member, "grant's label");
            if let Some(grant) = self.grant(&at, member, &servers) {
                grants.push(grant);
            }
        }
        grants
    }

    fn grant(&mut self, at: &At<'_>, member: &Member<'_>, servers: &[&str]) -> Option<Grant> {
        let node = &member.value;
        self.object(at, node, GRANT)?;
        let server = self.sink.needed(at, node, GRANT, "server", "name one of `servers`");
        let server = server.and_then(|node| {
            let at = at.key("server");
            let name = self.filled(&at, node, "`server`")?;
            if !servers.contains(&name.as_str()) {
                let help = match closest(&name, servers.iter().copied()) {
                    Some(meant) => format!("did you mean {}?", tick(meant)),
                    None => "add it under `servers`".to_owned(),
                };
                let message = format!("there is no server {}", tick(&name));
                self.sink.error("unknown-server", &at, node.span, message, help);
            }
            Some(name)
        });
        let policy =
            self.sink.needed(at, node, GRANT, "policy", "without a policy nothing is allowed: name a file");
        let policy = policy.and_then(|node| {
            let at = at.key("policy");
            let path = self.path(&at, node, "`policy`")?;
            let grant = member.key.as_str().to_owned();
            self.named.push(Named { grant, path: path.clone(), pointer: at.to_string(), span: node.span });
            Some(path)
        });
        let shadow = node.get("shadow").and_then(|node| self.path(&at.key("shadow"), node, "`shadow`"));
        let (digest, expires) = self.secret(at, node, GRANT);
        Some(Grant {
            label: member.key.as_str().to_owned(),
            server: server?,
            policy: policy?,
            shadow,
            digest: digest?,
            expires,
        })
    }

    /// One token may not mean two things: two grants for one server, two labels of the feed, or a
    /// grant and the feed, whose operators could approve the grant's own calls.
    fn tokens_differ(&mut self, root: &Node<'_>) {
        let mut seen: HashMap<(String, Option<String>), Span> = HashMap::new();
        let tokens = |node: Option<&Node<'_>>| -> Vec<(String, Option<String>, String, Span)> {
            let entries = node.and_then(Node::as_object).unwrap_or_default();
            let entry = |member: &Member<'_>| {
                let hash = member.value.get("token_sha256")?;
                let server = member.value.get("server").and_then(Node::as_str).map(str::to_owned);
                Some((member.key.as_str().to_owned(), server, hash.as_str()?.to_owned(), hash.span))
            };
            entries.iter().filter_map(entry).collect()
        };
        let grants = tokens(root.get("grants"));
        let feed = tokens(root.get("feed").and_then(|feed| feed.get("tokens")));
        let granted: HashMap<String, Span> =
            grants.iter().map(|(_, _, hash, span)| (hash.clone(), *span)).collect();
        let root_at = At::ROOT;
        let grants_at = root_at.key("grants");
        let feed_at = root_at.key("feed");
        let feed_at = feed_at.key("tokens");
        for (entries, at, of_feed) in [(grants, grants_at, false), (feed, feed_at, true)] {
            for (label, server, hash, span) in entries {
                let at = at.key(&label);
                let first = match granted.get(&hash) {
                    Some(first) if of_feed => Some(*first),
                    _ => seen.get(&(hash.clone(), server.clone())).copied(),
                };
                if let Some(first) = first {
                    let (line, _) = json::line_column(self.text, first.start);
                    self.sink.error(
                        "shared-token",
                        &at.key("token_sha256"),
                        span,
                        format!("this token stands on line {line} already"),
                        "make another one: `callgate grant add`",
                    );
                } else {
                    seen.insert((hash, server), span);
                }
            }
        }
    }
}

/// Whether `${NAME}` means a variable.
fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// What is wrong with a grant's or token's label, if anything.
pub(super) fn label_error(label: &str) -> Option<&'static str> {
    if label.is_empty() {
        Some("is empty")
    } else if label.chars().count() > LONGEST_NAME {
        Some("is longer than 128 characters")
    } else if label.trim() != label || visible(label) != label {
        Some("holds characters that cannot be seen")
    } else {
        None
    }
}

/// What is wrong with a server's name, if anything: it is a part of an address.
pub(super) fn server_name_error(name: &str) -> Option<&'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > LONGEST_NAME {
        Some("is longer than 128 characters")
    } else if name.starts_with('.') {
        Some("begins with a dot")
    } else if !name.bytes().all(plain) {
        Some("holds characters that cannot stand in an address")
    } else {
        None
    }
}
