//! The gateway over streamable HTTP.
//!
//! | part | is |
//! |---|---|
//! | `listen`, `paced` | connections: bounded, secured, shed when they do not read |
//! | `service` | one request: Host and Origin, the grant's token, which server |
//! | `serves` | which servers and grants there are, by the command line or gateway.json |
//! | `places`, `streams` | servers, grants, sessions, and what clients have open |
//! | `url`, `upstream` | a server behind an address |
//! | `relay`, `skim` | its answers on their way back |
//! | `command`, `child`, `routes` | a stdio server behind the gateway, one for each session |
//! | `headers` | what passes, and what must agree with the body (pure) |
//! | [`sse`] | server-sent events without changing a byte (pure) |
//! | `waits`, `holding` | calls that wait for a person, and the requests that are kept open for them |
//! | `said` | what the gateway itself answers |
//!
//! The main thread starts children (a guard takes the death of the thread that started it for the
//! gateway's) and waits for signals; requests are served by a runtime of a few threads.

mod child;
mod command;
mod headers;
mod holding;
mod listen;
mod paced;
mod places;
mod relay;
mod routes;
mod said;
mod serves;
mod service;
mod skim;
pub mod sse;
mod streams;
mod token;
pub(super) mod upstream;
mod url;
mod waits;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::catalog::pins::PinsError;
use crate::counters::StorePlace;
use crate::feed::server::{Hub, Public};
use crate::gateway::call::decider::Who;
use crate::gateway::call::held;
use crate::gateway::child::{self as process, GRACE};
use crate::gateway::config::GatewayConfig;
use crate::gateway::desk::keeper::{self, Keeper};
use crate::gateway::desk::operators;
use crate::gateway::desk::{Desk, Setting};
use crate::gateway::ops;
use crate::gateway::policies;
use crate::gateway::policies::pins::PinMode;
use crate::gateway::policies::reload::LoadError;
use crate::gateway::policies::watch::Watch;
use crate::paths::Paths;
use crate::record::EventKind;
use crate::record::mask::Mode;
use places::{Place, Seat};
use serves::{Configured, Means};
use service::{Directory, Door, Key, Keys, Service};

/// How often idle sessions are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// What an HTTP gateway needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The gateway's name; with one server, the server's.
    pub name: String,
    /// Who is served.
    pub serves: Serves,
    /// What is done about tools whose definition differs from its pin.
    pub pins: PinMode,
    /// Forward although the decision could not be recorded or counted.
    pub fail_open: bool,
    /// How much of the arguments is recorded.
    pub record_args: Mode,
    /// A loopback address for `/metrics`, `/healthz` and `/readyz`, besides the listener's own.
    pub metrics: Option<SocketAddr>,
    /// The command that tells people of denies, approvals and freezes; run by the shell.
    pub notify: Option<String>,
    /// The largest message of the client, in bytes.
    pub max_message: usize,
    /// Where state lies.
    pub paths: Paths,
    /// Where counters, freezes and overrides are shared.
    pub counters: StorePlace,
    /// Where clients connect to.
    pub listen: SocketAddr,
    /// The certificates and the key of the listener.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Something in front secures the connections.
    pub behind_proxy: bool,
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
    /// A stdio server, started once for each session.
    Command {
        /// Its command line.
        command: Vec<String>,
        /// Variables besides the gateway's own.
        env: Vec<(String, String)>,
    },
}

/// Who is served.
#[derive(Debug, Clone)]
pub enum Serves {
    /// One server, to one grant.
    One {
        /// What it is reached by.
        server: Server,
        /// The grant's label.
        grant: String,
        /// The policy's file.
        policy: PathBuf,
        /// A candidate policy beside it.
        shadow: Option<PathBuf>,
        /// Clients need no token.
        no_auth: bool,
    },
    /// What a gateway.json says.
    Configured {
        /// The file.
        path: PathBuf,
        /// What it says.
        config: Box<GatewayConfig>,
    },
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
    /// The policy of a grant is missing or not valid.
    #[error("the grant `{grant}` in `{}` cannot be served: {why}", config.display())]
    Grant {
        /// The grant's label.
        grant: String,
        /// The gateway.json that names it.
        config: PathBuf,
        /// What is wrong with the policy.
        why: LoadError,
    },
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

/// Serves until SIGTERM or SIGINT. Gives the exit code. Must be called from the main thread.
///
/// # Errors
/// When the policy cannot be put in force, the options do not go together, or the address or a file
/// cannot be used.
pub fn run(config: &Config) -> Result<u8, StartError> {
    crate::clock::tick();
    check(config)?;
    let (main, errands) = mpsc::channel();
    signals(main.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("http").enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind(config.listen)).map_err(|error| {
        StartError::Outside(format!("`{}` cannot be listened at: {error}", config.listen))
    })?;
    let address = listener.local_addr()?;
    let tls = config.tls.as_ref().map(|(certificates, key)| listen::tls(certificates, key)).transpose()?;
    let token = match &config.serves {
        Serves::One { no_auth: false, .. } => Some(token::local(&config.paths, &config.name)?),
        _ => None,
    };
    let desk = Arc::new(Desk::open(Setting {
        name: config.name.clone(),
        run: crate::gateway::fresh_id(),
        paths: config.paths.clone(),
        counters: config.counters.clone(),
        record_args: config.record_args,
        max_message: config.max_message,
        fail_open: config.fail_open,
        notify: config.notify.clone(),
    }));
    let means = Means { desk: Arc::clone(&desk), main, limits: config.limits.clone(), pins: config.pins };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let place = format!("{scheme}://{address}/mcp");
    let Opened { directory, mut watches, configured, seat, told, facts } =
        open(config, means, token.as_ref(), &place)?;
    let started = json!({
        "name": desk.name, "host": crate::gateway::host(), "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"), "fail_open": config.fail_open, "listen": address.to_string(),
        "pins": config.pins.name(), "serves": facts,
    });
    let door = Door {
        loopback: config.listen.ip().is_loopback() && !config.behind_proxy,
        hosts: config.allow_hosts.clone(),
        origins: config.allow_origins.clone(),
    };
    open_feed(&desk, config, tls.as_ref())?;
    desk.recorder.event(EventKind::Start, None, None, started);
    if let Some(seat) = &seat {
        policies::record_in_force(&seat.decider);
    }
    ops::serve(&desk, config.metrics)?;
    let keeper = Keeper::start(Arc::clone(&desk));
    let commands = desk.recorder.hub().map(Hub::commands);
    std::thread::Builder::new().name("keeper".to_owned()).spawn(move || keeper.run(commands.as_ref()))?;
    let holds = Arc::clone(&desk);
    std::thread::Builder::new().name("holds".to_owned()).spawn(move || held::run(&holds))?;
    let service = Arc::new(Service::new(Arc::clone(&desk), config.limits.clone(), door, directory));
    if let (Serves::Configured { path, .. }, Some(configured)) = (&config.serves, &configured) {
        watches.push(serves::watch(path, configured, &service)?);
    }
    let served = runtime.spawn(listen::serve(Arc::clone(&service), listener, tls));
    runtime.spawn(serves::sweep(Arc::downgrade(&service), configured.clone()));
    for line in told {
        crate::gateway::say(&line);
    }

    preside(&errands, Duration::from_hours(1), || true);
    service.draining.send_replace(true);
    // A second signal ends at once.
    let until = Instant::now() + config.limits.drain + Duration::from_secs(1);
    preside(&errands, Duration::from_millis(20), || {
        // Nobody is waited for any more; what was asked stays open.
        desk.holding().iter().for_each(|conversation| conversation.end_holds());
        !served.is_finished() && Instant::now() < until
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop((service, configured, seat));
    child::wait_for_all(GRACE * 2 + Duration::from_secs(1));
    drop(watches);
    desk.close();
    operators::end_run(&desk);
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

/// Who is served, and what keeps that as it is written.
struct Opened {
    directory: Directory,
    watches: Vec<Watch>,
    configured: Option<Arc<Mutex<Configured>>>,
    /// Of the one server.
    seat: Option<Arc<Seat>>,
    /// What a person is told.
    told: Vec<String>,
    /// What is recorded.
    facts: serde_json::Value,
}

fn open(
    config: &Config,
    means: Means,
    token: Option<&token::Local>,
    place: &str,
) -> Result<Opened, StartError> {
    match &config.serves {
        Serves::One { server, grant, policy, shadow, .. } => {
            let (behind, upstream) = means.behind(server)?;
            let facts = json!({"grant": grant, "upstream": upstream});
            let who = Who {
                server: config.name.clone(),
                grant: grant.clone(),
                session: None,
                upstream,
                policy: Some(std::path::absolute(policy).unwrap_or_else(|_| policy.clone())),
            };
            let (seat, watches) = means.seat(who, policy, shadow.as_deref(), true)?;
            let (keys, how) = match token {
                None => (Keys::Open(Arc::clone(&seat)), "without a token".to_owned()),
                Some(token) => {
                    let key = Key { digest: token.digest, expires: None, seat: Arc::clone(&seat) };
                    (Keys::Tokens(vec![key]), format!("with the token in `{}`", token.path.display()))
                }
            };
            Ok(Opened {
                directory: Directory {
                    places: vec![("/mcp".to_owned(), Arc::new(Place::new(behind)), keys)],
                },
                watches,
                configured: None,
                seat: Some(seat),
                told: vec![format!("`{}` is served at {place}, {how}", config.name)],
                facts,
            })
        }
        Serves::Configured { path, config } => {
            let all = Configured::open(means, path, (**config).clone())?;
            let told = all.servers().into_iter().map(|server| {
                format!("`{server}` is served at {place}/{server}, to the grants of gateway.json")
            });
            Ok(Opened {
                told: told.collect(),
                directory: all.directory(),
                watches: Vec::new(),
                configured: Some(Arc::new(Mutex::new(all))),
                seat: None,
                facts: json!({"config": path}),
            })
        }
    }
}

/// Whether the options go together.
fn check(config: &Config) -> Result<(), StartError> {
    if let Serves::Configured { config: said, .. } = &config.serves
        && let Some(feed) = said.feed.as_ref().and_then(|feed| feed.listen)
        && !feed.ip().is_loopback()
        && config.tls.is_none()
        && !config.behind_proxy
    {
        return Err(StartError::Usage(format!(
            "the feed at `{feed}` can be reached from other machines: give `--tls-cert` and `--tls-key`, or `--behind-proxy` where something in front secures the connections"
        )));
    }
    let beyond = !config.listen.ip().is_loopback();
    if beyond && config.tls.is_none() && !config.behind_proxy {
        return Err(StartError::Usage(format!(
            "`{}` can be reached from other machines: give `--tls-cert` and `--tls-key`, or `--behind-proxy` where something in front secures the connections",
            config.listen
        )));
    }
    if beyond && matches!(config.serves, Serves::One { no_auth: true, .. }) && !config.behind_proxy {
        return Err(StartError::Usage(
            "`--no-auth` is for this machine only, or behind a proxy that knows the clients".to_owned(),
        ));
    }
    Ok(())
}

/// The feed, for those whom gateway.json names, too. Where it cannot be opened as it is written there,
/// the gateway does not start.
fn open_feed(desk: &Desk, config: &Config, tls: Option<&TlsAcceptor>) -> Result<(), StartError> {
    let feed = match &config.serves {
        Serves::Configured { config, .. } => config.feed.clone(),
        Serves::One { .. } => None,
    };
    let Some(feed) = feed else {
        keeper::open_feed(desk);
        return Ok(());
    };
    let public = feed.listen.map(|listen| Public {
        listen,
        tls: tls.map(|tls| Arc::clone(tls.config())),
        behind_proxy: config.behind_proxy,
    });
    keeper::open_feed_for(desk, feed.tokens, public)
        .map_err(|error| StartError::Outside(format!("the feed cannot be opened: {error}")))
}

/// What the main thread is asked for.
enum Errand {
    /// The gateway is to end.
    End,
    /// A server is to be started.
    Start {
        command: Vec<String>,
        env: Vec<(String, String)>,
        reply: tokio::sync::oneshot::Sender<child::Started>,
    },
}

/// The main thread: starts servers until the gateway is to end, or for as long as `goes_on`, which
/// it asks each `look`.
fn preside(errands: &mpsc::Receiver<Errand>, look: Duration, goes_on: impl Fn() -> bool) {
    while goes_on() {
        match errands.recv_timeout(look) {
            Ok(Errand::End) => return,
            Ok(Errand::Start { command, env, reply }) => {
                let started = process::Server::start(&command, &env);
                if let Err(Ok((server, input, output))) = reply.send(started) {
                    // Its client has gone meanwhile.
                    drop((input, output));
                    server.handle().terminate();
                    let _ = std::thread::Builder::new().name("wait".to_owned()).spawn(move || server.wait());
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[cfg(unix)]
fn signals(main: mpsc::Sender<Errand>) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in signals.forever() {
            if main.send(Errand::End).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

#[cfg(not(unix))]
fn signals(main: mpsc::Sender<Errand>) -> io::Result<()> {
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        while runtime.block_on(tokio::signal::ctrl_c()).is_ok() && main.send(Errand::End).is_ok() {}
    })?;
    Ok(())
}
