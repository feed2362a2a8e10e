//! The gateway over streamable HTTP.
//!
//! | part | is |
//! |---|---|
//! | `listen`, `paced` | connections: bounded, secured, shed when they do not read |
//! | `service` | one request: Host and Origin, the grant's token, which server |
//! | `places`, `streams` | servers, grants, sessions, and what clients have open |
//! | `url`, `upstream` | a server behind an address |
//! | `relay`, `skim` | its answers on their way back |
//! | `headers` | what passes, and what must agree with the body (pure) |
//! | [`sse`] | server-sent events without changing a byte (pure) |
//! | `said` | what the gateway itself answers |
//!
//! The main thread starts children (a guard takes the death of the thread that started it for the
//! gateway's) and waits for signals; requests are served by a runtime of a few threads.

mod headers;
mod listen;
mod paced;
mod places;
mod relay;
mod said;
mod service;
mod skim;
pub mod sse;
mod streams;
mod token;
mod upstream;
mod url;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use http::Uri;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use tokio::net::TcpListener;

use super::decider::{Decider, Who};
use super::desk::{Desk, Setting};
use super::keeper::{self, Keeper};
use super::pins::PinMode;
use super::reload::{self, LoadError};
use super::{lock, policies};
use crate::catalog::pins::PinsError;
use crate::counters::StorePlace;
use crate::feed::server::Hub;
use crate::paths::Paths;
use crate::record::EventKind;
use crate::record::mask::Mode;
use places::{Behind, Place, Seat};
use service::{Directory, Door, Keys, Service};
use upstream::Upstream;

/// How often idle sessions are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// What an HTTP gateway needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The server's name.
    pub name: String,
    /// The grant's label.
    pub grant: String,
    /// The policy's file.
    pub policy: PathBuf,
    /// What is done about tools whose definition differs from its pin.
    pub pins: PinMode,
    /// A candidate policy beside it.
    pub shadow: Option<PathBuf>,
    /// Forward although the decision could not be recorded or counted.
    pub fail_open: bool,
    /// How much of the arguments is recorded.
    pub record_args: Mode,
    /// The largest message of the client, in bytes.
    pub max_message: usize,
    /// Where state lies.
    pub paths: Paths,
    /// Where counters, freezes and overrides are shared.
    pub counters: StorePlace,
    /// Where clients connect to.
    pub listen: SocketAddr,
    /// What the server is reached by.
    pub server: Server,
    /// The certificates and the key of the listener.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Something in front secures the connections.
    pub behind_proxy: bool,
    /// Clients need no token.
    pub no_auth: bool,
    /// Further names under which the gateway is asked.
    pub allow_hosts: Vec<String>,
    /// Web origins whose pages may ask.
    pub allow_origins: Vec<String>,
    /// Bounds.
    pub limits: Limits,
}

/// What a server is reached by.
#[derive(Debug, Clone)]
pub enum Server {
    /// Its address, and the headers of every request.
    Url {
        /// `http://` or `https://`
        url: String,
        /// Name and value.
        headers: Vec<(String, String)>,
    },
    /// The command line of a stdio server, started once for each session.
    Command(Vec<String>),
}

/// Bounds of an HTTP gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most connections at once; further ones are answered with 503.
    pub connections: usize,
    /// The most streams without an end of their own at once.
    pub streams: usize,
    /// The most sessions at once.
    pub sessions: usize,
    /// How long the head of a request may take, and how long a connection may be unused.
    pub header: Duration,
    /// How long the body of a request may take.
    pub body: Duration,
    /// How long a client may leave what it is sent unread.
    pub write: Duration,
    /// How long the upstream may take to begin its answer.
    pub upstream: Duration,
    /// How long a stream may stay without a byte, comments included.
    pub idle_stream: Duration,
    /// How long a session is kept that is not used.
    pub idle_session: Duration,
    /// How long running requests may take once the gateway is to end.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            streams: 2048,
            sessions: 10_000,
            header: Duration::from_mins(1),
            body: Duration::from_mins(1),
            write: Duration::from_secs(30),
            upstream: Duration::from_mins(5),
            idle_stream: Duration::from_hours(1),
            idle_session: Duration::from_mins(30),
            drain: Duration::from_secs(10),
        }
    }
}

/// Why an HTTP gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The policy is missing or not valid.
    #[error(transparent)]
    Policy(#[from] LoadError),
    /// Pins are to be enforced, and cannot be used.
    #[error("{0}")]
    Pins(PinsError),
    /// The options do not go together.
    #[error("{0}")]
    Usage(String),
    /// The address is taken, a file cannot be used.
    #[error("{0}")]
    Outside(String),
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Outside(error.to_string())
    }
}

/// Says which policy is in force, and begins with what lies beside it: its pins, and a candidate.
fn beside(decider: &Arc<Decider>, config: &Config) -> Result<[Option<reload::Watch>; 2], StartError> {
    policies::record_in_force(decider);
    let pins = super::pins::begin(decider, config.pins).map_err(StartError::Pins)?;
    let shadow = config.shadow.as_ref().map(|path| super::shadow::begin(decider, path)).transpose()?;
    Ok([pins, shadow])
}

/// Serves until SIGTERM or SIGINT. Gives the exit code. Must be called from the main thread.
///
/// # Errors
/// When the policy cannot be put in force, the options do not go together, or the address or a file
/// cannot be used.
pub fn run(config: &Config) -> Result<u8, StartError> {
    crate::clock::tick();
    let loaded = reload::load(&config.policy)?;
    let beyond = !config.listen.ip().is_loopback();
    if beyond && config.tls.is_none() && !config.behind_proxy {
        return Err(StartError::Usage(format!(
            "`{}` can be reached from other machines: give `--tls-cert` and `--tls-key`, or `--behind-proxy` where something in front secures the connections",
            config.listen
        )));
    }
    if beyond && config.no_auth && !config.behind_proxy {
        return Err(StartError::Usage(
            "`--no-auth` is for this machine only, or behind a proxy that knows the clients".to_owned(),
        ));
    }
    let signals = signals()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("http").enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind(config.listen)).map_err(|error| {
        StartError::Outside(format!("`{}` cannot be listened at: {error}", config.listen))
    })?;
    let address = listener.local_addr()?;
    let tls = config.tls.as_ref().map(|(certificates, key)| listen::tls(certificates, key)).transpose()?;
    let (behind, upstream) = behind(config)?;
    let token = if config.no_auth { None } else { Some(token::local(&config.paths, &config.name)?) };

    let desk = Arc::new(Desk::open(Setting {
        name: config.name.clone(),
        run: super::fresh_id(),
        paths: config.paths.clone(),
        counters: config.counters.clone(),
        record_args: config.record_args,
        max_message: config.max_message,
        fail_open: config.fail_open,
    }));
    let who = Who {
        server: config.name.clone(),
        grant: config.grant.clone(),
        session: None,
        upstream: upstream.clone(),
        policy: Some(std::path::absolute(&config.policy).unwrap_or_else(|_| config.policy.clone())),
    };
    let decider = Decider::new(Arc::clone(&desk), who, Some(loaded));
    policies::keep_text(&decider);
    keeper::open_feed(&desk);
    desk.recorder.event(
        EventKind::Start,
        None,
        None,
        json!({
            "name": desk.name, "host": super::host(), "pid": std::process::id(),
            "version": env!("CARGO_PKG_VERSION"), "grant": config.grant, "fail_open": config.fail_open,
            "pins": config.pins.name(), "listen": address.to_string(), "upstream": upstream,
        }),
    );
    let beside = beside(&decider, config)?;
    let keeper = Keeper::start(Arc::clone(&desk));
    let commands = desk.recorder.hub().map(Hub::commands);
    std::thread::Builder::new().name("keeper".to_owned()).spawn(move || keeper.run(commands.as_ref()))?;
    let watch = policies::watch(&decider, &config.policy)?;

    let scheme = if tls.is_some() { "https" } else { "http" };
    let seat = Seat::new(decider);
    let keys = match &token {
        None => Keys::Open(seat),
        Some(token) => Keys::Tokens(vec![(token.digest, seat)]),
    };
    let place = Arc::new(Place::new(behind));
    let directory = Directory { places: vec![("/mcp".to_owned(), place, keys)] };
    let door = Door {
        loopback: !beyond && !config.behind_proxy,
        hosts: config.allow_hosts.clone(),
        origins: config.allow_origins.clone(),
    };
    let service = Arc::new(Service::new(Arc::clone(&desk), config.limits.clone(), door, directory));
    let served = runtime.spawn(listen::serve(Arc::clone(&service), listener, tls));
    runtime.spawn(sweep(Arc::clone(&service)));
    let how = token.as_ref().map_or_else(
        || "without a token".to_owned(),
        |token| format!("with the token in `{}`", token.path.display()),
    );
    super::say(&format!("`{}` is served at {scheme}://{address}/mcp, {how}", config.name));

    preside(&signals);
    service.draining.send_replace(true);
    let until = Instant::now() + config.limits.drain + Duration::from_secs(1);
    while !served.is_finished() && Instant::now() < until {
        // A second signal ends at once.
        match signals.recv_timeout(Duration::from_millis(20)) {
            Ok(()) => break,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop((watch, beside));
    desk.close();
    desk.recorder.settle();
    desk.recorder.event(
        EventKind::Stop,
        None,
        None,
        json!({"exit_code": 0, "requests": desk.tally.counts()}),
    );
    desk.recorder.close();
    Ok(0)
}

/// Until the gateway is to end.
fn preside(signals: &mpsc::Receiver<()>) {
    while signals.recv().is_err() {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Forgets sessions that are not used any more.
async fn sweep(service: Arc<Service>) {
    loop {
        tokio::time::sleep(SWEEP.min(service.limits.idle_session)).await;
        let directory = Arc::clone(&lock(&service.directory));
        for (_, place, _) in &directory.places {
            place.forget_idle(service.limits.idle_session);
        }
    }
}

/// What is behind the gateway, and how screens show it.
fn behind(config: &Config) -> Result<(Behind, String), StartError> {
    match &config.server {
        Server::Url { url, headers } => {
            let shown = super::without_user(url);
            let uri: Uri = url.parse().map_err(|error| {
                StartError::Usage(format!("`{shown}` is no address of a server: {error}"))
            })?;
            if !matches!(uri.scheme_str(), Some("http" | "https"))
                || uri.host().is_none()
                || uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
            {
                return Err(StartError::Usage(format!(
                    "`{shown}` is no address of a server: it must be http:// or https://, without a user; credentials go into a header"
                )));
            }
            let mut own = HeaderMap::new();
            for (name, value) in headers {
                let header = HeaderName::from_bytes(name.as_bytes())
                    .map_err(|_| StartError::Usage(format!("`{name}` is no name of a header")))?;
                let mut value = HeaderValue::from_str(value).map_err(|_| {
                    StartError::Usage(format!(
                        "the value of the header `{name}` has characters that no header may have"
                    ))
                })?;
                value.set_sensitive(true);
                own.append(header, value);
            }
            let upstream = Upstream::new(uri, own, config.limits.upstream)?;
            Ok((Behind::Url(Box::new(upstream)), shown))
        }
        Server::Command(_) => Err(StartError::Usage(
            "`--listen` needs `--upstream URL`: a command cannot be served over HTTP".to_owned(),
        )),
    }
}

#[cfg(unix)]
fn signals() -> io::Result<mpsc::Receiver<()>> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let (sender, receiver) = mpsc::channel();
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in signals.forever() {
            if sender.send(()).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

#[cfg(not(unix))]
fn signals() -> io::Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        while runtime.block_on(tokio::signal::ctrl_c()).is_ok() && sender.send(()).is_ok() {}
    })?;
    Ok(receiver)
}
