//! The terminal interface: what is opened when no command is named.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::args::OpenArgs;
use super::{Answer, CliError, Output, Verdict, source};
use crate::catalog::{self, Loaded, Source};
use crate::feed::client::{FeedAddr, Feeds};
use crate::paths::Paths;
use crate::tui::app::policy::Server;
use crate::tui::{self, Options, Tools, TuiError};

/// How long a server may take to list its tools; `npx` may have to fetch it first.
const PATIENCE: Duration = Duration::from_mins(2);

/// Runs the interface.
pub(super) fn run(args: OpenArgs, out: &Output) -> Answer {
    if let Some(error) = super::misspelt(&args.policy) {
        return Err(error);
    }
    let paths = Paths::from_env().map_err(|error| CliError::outside(error.to_string(), ""))?;
    let feeds = feeds(&args, &paths)?;
    let tools = match source::source(&args.source)? {
        None => Tools::Attached,
        Some(source) => Tools::Loader(loader(source, paths.clone())),
    };
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let color = match (out.color, plain) {
        (false, _) => Some(false),
        (true, true) => Some(true),
        (true, false) => None,
    };
    let options = Options {
        policy: args.policy,
        tools,
        feeds: Some(feeds),
        paths,
        title: None,
        select: None,
        read_only: args.read_only,
        color,
    };
    match tui::run(options) {
        Ok(()) => Ok(Verdict::Yes),
        Err(error @ TuiError::NoTerminal(_)) => Err(CliError::usage(
            error.to_string(),
            "`callgate --help` lists the commands that work in pipes and scripts",
        )),
        Err(error) => Err(CliError::outside(error.to_string(), "")),
    }
}

/// Whom to watch: the named feeds, else every gateway of this user.
fn feeds(args: &OpenArgs, paths: &Paths) -> Result<Feeds, CliError> {
    if args.feeds.is_empty() {
        return Ok(Feeds::RunDir(paths.run.clone()));
    }
    let token = match &args.feed_token_file {
        Some(path) => token(path)?,
        None => std::env::var("CALLGATE_FEED_TOKEN").unwrap_or_default(),
    };
    let address = |url: &String| FeedAddr { url: url.clone(), token: token.clone() };
    Ok(Feeds::These(args.feeds.iter().map(address).collect()))
}

fn token(path: &Path) -> Result<String, CliError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => {
            Err(CliError::outside(format!("the token file `{}` cannot be read: {error}", path.display()), ""))
        }
    }
}

fn loader(source: Source, paths: Paths) -> tui::Loader {
    Box::new(move |say| {
        say(match &source {
            Source::Command(command) => format!("starting {}", command.join(" ")),
            Source::Url { url, .. } => format!("asking {url}"),
            Source::File(path) => format!("reading {}", path.display()),
            Source::Client { client, .. } => format!("asking the servers of {client}"),
        });
        let loaded = catalog::load(&source, PATIENCE).map_err(|error| error.to_string())?;
        Ok(servers(loaded, &source, &paths))
    })
}

fn servers(loaded: Loaded, source: &Source, paths: &Paths) -> Vec<Server> {
    // A client without a named server opens all of its servers, each with its own policy.
    let own = matches!(source, Source::Client { server: None, .. });
    let policy = |name: &str| own.then(|| paths.policy_of(name));
    loaded
        .servers
        .into_iter()
        .map(|server| Server {
            policy: policy(&server.name),
            name: server.name,
            label: server.label,
            tools: Arc::new(server.tools),
        })
        .collect()
}
