//! `callgate gateway`

use std::net::SocketAddr;
use std::time::Duration;

use super::args::{GatewayArgs, GuardArgs, PinsArg, RecordArgs};
use super::source::shell_words;
use super::{Answer, CliError, Output, Verdict, counters};
use crate::catalog::server_name;
use crate::gateway::config::{self, ConfigError, Upstream};
use crate::gateway::http::{self, Server, Serves};
use crate::gateway::policies::pins::PinMode;
use crate::gateway::policies::reload::LoadError;
use crate::gateway::stdio::{self, Config, StartError};
use crate::paths::Paths;
use crate::record::mask::Mode;

/// Runs the command.
pub(super) fn run(args: GatewayArgs, _out: &Output) -> Answer {
    if let Some(first) = args.command.first().filter(|first| first.starts_with('-')) {
        return Err(CliError::usage(
            format!("`{first}` is no option of `callgate gateway`"),
            "options of the server follow its command: callgate gateway --policy FILE -- CMD ARG...",
        ));
    }
    let paths = Paths::from_env().map_err(|error| CliError::outside(error.to_string(), ""))?;
    let record_args = match args.record_args {
        RecordArgs::Full => Mode::Full,
        RecordArgs::Masked => Mode::Masked,
        RecordArgs::Keys => Mode::Keys,
    };
    let pins = match args.pins {
        PinsArg::Off => PinMode::Off,
        PinsArg::Warn => PinMode::Warn,
        PinsArg::Enforce => PinMode::Enforce,
    };
    let metrics = args.metrics.as_deref().map(|text| {
        address(text).ok_or_else(|| {
            CliError::usage(
                format!("`{text}` is no address to listen at"),
                "an address is an IP address and a port, for instance `--metrics 127.0.0.1:9100`",
            )
        })
    });
    let metrics = metrics.transpose()?;
    if args.http.listen.is_some() || args.http.config.is_some() {
        return serve(args, paths, record_args, pins, metrics);
    }
    if let Some(option) = of_http_alone(&args.http) {
        return Err(CliError::usage(
            format!(
                "`{option}` is for a gateway over HTTP, and this one would speak over standard input and output"
            ),
            "say where to listen: `--listen 127.0.0.1:4711`, or `--config gateway.json`",
        ));
    }
    let config = Config {
        name: args.name.unwrap_or_else(|| server_name(&args.command)),
        grant: args.grant,
        policy: args.policy.unwrap_or_default(),
        counters: counters::place(&args.counters, &paths)?,
        pins,
        shadow: args.shadow,
        fail_open: args.fail_open,
        record_args,
        notify: args.notify,
        metrics,
        max_message: args.max_message,
        paths,
        command: args.command,
    };
    match stdio::run(&config) {
        Ok(code) => Ok(Verdict::Code(code)),
        Err(StartError::Policy(error)) => Err(policy_error(&error)),
        Err(StartError::Pins(error)) => Err(super::pin::failed(&error)),
        Err(StartError::Start(error)) => Err(CliError::outside(error.to_string(), "")),
    }
}

/// An option that was given and means nothing on stdio. Silence would let somebody think that it holds.
fn of_http_alone(http: &super::args::HttpArgs) -> Option<&'static str> {
    [
        ("--upstream", http.upstream.is_some()),
        ("--header", !http.headers.is_empty()),
        ("--tls-cert", http.tls_cert.is_some()),
        ("--tls-key", http.tls_key.is_some()),
        ("--behind-proxy", http.behind_proxy),
        ("--no-auth", http.no_auth),
        ("--allow-host", !http.allow_hosts.is_empty()),
        ("--allow-origin", !http.allow_origins.is_empty()),
        ("--max-sessions", http.max_sessions.is_some()),
    ]
    .into_iter()
    .find_map(|(option, given)| given.then_some(option))
}

fn policy_error(error: &LoadError) -> CliError {
    match error {
        LoadError::Invalid { .. } => {
            CliError::no(error.to_string(), "`callgate check FILE` names every error with its place")
        }
        LoadError::Unreadable { .. } => CliError::outside(
            error.to_string(),
            "`callgate init -o FILE -- CMD ARG...` writes a starting policy for a server",
        ),
    }
}

/// Of a gateway.json's grants, one whose policy cannot be put in force.
fn grant_error(error: &http::StartError) -> CliError {
    let http::StartError::Grant { grant, config, why } = error else {
        return CliError::outside(error.to_string(), "");
    };
    match why {
        LoadError::Invalid { path, .. } => {
            let path = shell_words(&[path.display().to_string()]);
            let help = format!("`callgate check {path}` names every error with its place");
            CliError::no(error.to_string(), help)
        }
        LoadError::Unreadable { .. } => {
            let [label, file] =
                [grant.clone(), config.display().to_string()].map(|word| shell_words(&[word]));
            CliError::outside(
                error.to_string(),
                format!(
                    "put a policy there, name another one for the grant, or take the grant away: \
                     `callgate grant revoke {label} --config {file}`; `callgate check {file}` names every such grant"
                ),
            )
        }
    }
}

/// The gateway over HTTP.
fn serve(
    mut args: GatewayArgs,
    mut paths: Paths,
    record_args: Mode,
    pins: PinMode,
    metrics: Option<SocketAddr>,
) -> Answer {
    let over = args.http;
    let (serves, listen, name) = if let Some(path) = over.config {
        let config = config::load(&path).map_err(|error| {
            let help = error.help().unwrap_or_default().to_owned();
            match error {
                ConfigError::Invalid { .. } => CliError::no(error.to_string(), help),
                ConfigError::Unreadable { .. } => CliError::outside(error.to_string(), help),
            }
        })?;
        args.counters.counters = args.counters.counters.or_else(|| config.counters.clone());
        paths.journals.clone_from(&config.journal);
        let listen = config.listen;
        (Serves::Configured { path, config: Box::new(config) }, listen, "gateway".to_owned())
    } else {
        let listen = over.listen.as_deref().unwrap_or_default();
        let listen = address(listen).ok_or_else(|| {
            CliError::usage(
                format!("`{listen}` is no address to listen at"),
                "an address is an IP address and a port, for instance `--listen 127.0.0.1:4711`",
            )
        })?;
        let (server, name) = if let Some(url) = over.upstream {
            let headers = headers(&over.headers)?;
            let name = host_name(&url);
            (Server::Url { url, headers }, name)
        } else {
            let name = server_name(&args.command);
            (Server::Command { command: args.command, env: Vec::new() }, name)
        };
        let policy = args.policy.unwrap_or_default();
        (
            Serves::One { server, grant: args.grant, policy, shadow: args.shadow, no_auth: over.no_auth },
            listen,
            name,
        )
    };
    let seconds = Duration::from_secs;
    let commands = match &serves {
        Serves::One { server, .. } => matches!(server, Server::Command { .. }),
        Serves::Configured { config, .. } => {
            config.servers.iter().any(|(_, server)| matches!(server, Upstream::Command { .. }))
        }
    };
    let config = http::Config {
        name: args.name.unwrap_or(name),
        serves,
        pins,
        fail_open: args.fail_open,
        record_args,
        notify: args.notify,
        metrics,
        max_message: args.max_message,
        counters: counters::place(&args.counters, &paths)?,
        paths,
        listen,
        tls: over.tls_cert.zip(over.tls_key),
        behind_proxy: over.behind_proxy,
        allow_hosts: over.allow_hosts,
        allow_origins: over.allow_origins,
        limits: http::Limits {
            connections: over.max_connections,
            streams: over.max_streams,
            sessions: over.max_sessions.unwrap_or(if commands { 32 } else { 10_000 }),
            header: seconds(over.read_timeout),
            body: seconds(over.read_timeout),
            write: seconds(over.write_timeout),
            upstream: seconds(over.upstream_timeout),
            idle_stream: seconds(over.stream_idle),
            idle_session: seconds(over.session_idle),
            drain: seconds(over.drain),
        },
    };
    match http::run(&config) {
        Ok(code) => Ok(Verdict::Code(code)),
        Err(http::StartError::Policy(error)) => Err(policy_error(&error)),
        Err(error @ http::StartError::Grant { .. }) => Err(grant_error(&error)),
        Err(http::StartError::Pins(error)) => Err(super::pin::failed(&error)),
        Err(http::StartError::Usage(why)) => Err(CliError::usage(why, "")),
        Err(http::StartError::Outside(why)) => Err(CliError::outside(why, "")),
    }
}

/// An IP address and a port; `localhost` is this machine.
fn address(text: &str) -> Option<SocketAddr> {
    let plain = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    plain.as_deref().unwrap_or(text).parse().ok()
}

/// What a server at an address is called when nobody names it: its host.
fn host_name(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = rest.split(['/', '?', '#']).next().unwrap_or("");
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let host = match place.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => place.split(':').next().unwrap_or(""),
    };
    if host.is_empty() { "server".to_owned() } else { host.to_owned() }
}

/// Headers with their values from the environment.
fn headers(given: &[String]) -> Result<Vec<(String, String)>, CliError> {
    given
        .iter()
        .map(|header| {
            let (name, value) = header.split_once(':').ok_or_else(|| {
                CliError::usage("a `--header` has no colon", "write `--header 'Authorization: Bearer ${TOKEN}'`")
            })?;
            let value = expand(value.trim(), &|name| std::env::var(name).ok()).map_err(|name| {
                CliError::usage(
                    format!("the environment has no `{name}`, which a `--header` needs"),
                    "set it where the gateway is started; a value on the command line would be seen by others",
                )
            })?;
            Ok((name.trim().to_owned(), value))
        })
        .collect()
}

/// Puts the values of `${NAME}` in; `Err` is a name without a value.
fn expand(text: &str, value: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, more)) = after.split_once('}') else { break };
        out.push_str(before);
        out.push_str(&value(name).ok_or_else(|| name.to_owned())?);
        rest = more;
    }
    out.push_str(rest);
    Ok(out)
}

/// Runs the guard of a stdio gateway's server.
#[cfg(unix)]
pub(super) fn guard(args: &GuardArgs) -> Answer {
    use crate::gateway::child::guard::{self, GuardError};
    guard::run(args.parent, &args.command).map(Verdict::Code).map_err(|error| {
        let help = match &error {
            GuardError::Start { missing: true, .. } => {
                "is it installed, and in this process's PATH? An absolute path always works"
            }
            _ => "",
        };
        CliError::outside(error.to_string(), help)
    })
}

/// There is no guard where there are no process groups.
#[cfg(not(unix))]
pub(super) fn guard(_args: &GuardArgs) -> Answer {
    Err(CliError::usage("there is no guard on this system", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_from_the_environment() {
        let value = |name: &str| (name == "A").then(|| "x${A}".to_owned());
        assert_eq!(expand("Bearer ${A}-${A}", &value), Ok("Bearer x${A}-x${A}".to_owned()));
        assert_eq!(expand("${B}", &value), Err("B".to_owned()));
        assert_eq!(expand("$A ${", &value), Ok("$A ${".to_owned()));
    }

    #[test]
    fn servers_are_called_by_their_host() {
        for (url, name) in [
            ("https://u:p@mcp.example.com:8443/mcp?x", "mcp.example.com"),
            ("http://[::1]:80/", "::1"),
            ("nonsense", "nonsense"),
            ("http://", "server"),
        ] {
            assert_eq!(host_name(url), name);
        }
    }

    #[test]
    fn addresses_to_listen_at() {
        assert_eq!(address("localhost:80"), address("127.0.0.1:80"));
        assert!(address("[::1]:0").is_some());
        assert_eq!(address("example.com:80"), None);
        assert_eq!(address("80"), None);
    }
}
