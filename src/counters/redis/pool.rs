//! Connections: taken, given back, made anew, and let be for a while when the server does not answer.
//!
//! Whoever finds the server gone tells all others, so that a call is refused at once instead of
//! waiting for the same silence; one thread at a time tries again, after a pause that grows.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{Client, Cmd, Connection, ConnectionAddr, ErrorKind, RedisError, RedisResult, ServerErrorKind};

use crate::counters::place::{PASSWORD, RedisUrl, USERNAME, Way};

/// Connecting, with TLS and the password, takes no longer.
pub(crate) const CONNECT: Duration = Duration::from_millis(500);
/// An answer takes no longer. A reservation takes a fraction of a millisecond; a Redis that forks
/// for a snapshot or waits for its disk is silent for some hundred. It is a quarter of the two
/// seconds after which a copy of the freezes is no ground to decide on, so there is time for more
/// than one try.
pub(crate) const ANSWER: Duration = Duration::from_millis(500);
/// The first pause after a failure, and the longest.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Connections of one process at once. Each answers within a fraction of a millisecond.
const CONNECTIONS: usize = 16;

/// A PEM file with the authorities to trust instead of the system's.
const CA: &str = "CALLGATE_REDIS_CA";
/// PEM files with this client's certificate and key, for servers that ask for one.
const CERT: &str = "CALLGATE_REDIS_CERT";
const KEY: &str = "CALLGATE_REDIS_KEY";

#[derive(Debug)]
pub(super) struct Pool {
    client: Client,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    /// Idle and in use.
    open: usize,
    down: Option<Down>,
    /// What people should know of the server, told once.
    news: Vec<String>,
    /// Names the server's process; another one after a loss is a restart.
    run_id: Option<String>,
    evicts: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("open", &self.open).field("down", &self.down).finish_non_exhaustive()
    }
}

/// The server did not answer.
#[derive(Debug, Clone)]
struct Down {
    why: String,
    pause: Duration,
    /// Until then nobody asks again.
    until: Instant,
    /// Somebody does.
    trying: bool,
}

/// What is asked while a connection is held.
pub(super) type Ask<'a, T> = &'a mut dyn FnMut(&mut Connection) -> RedisResult<T>;

impl Pool {
    pub(super) fn new(url: &RedisUrl) -> Result<Self, String> {
        Ok(Self { client: client(url)?, state: Mutex::default(), freed: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What people should know of the server since this was last asked.
    pub(super) fn news(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().news)
    }

    /// Asks over some connection. A question may be asked twice when the first connection turns out
    /// to have been dead: a reservation is then counted twice at worst, never forgotten.
    pub(super) fn with<T>(&self, ask: Ask<'_, T>) -> Result<T, String> {
        let (mut connection, mut old) = self.take()?;
        loop {
            match ask(&mut connection) {
                Ok(value) => {
                    self.give_back(connection);
                    return Ok(value);
                }
                Err(error) if error.is_timeout() || error.is_io_error() || !connection_survives(&error) => {
                    drop(connection);
                    // A connection that lay idle may be dead while the server is well.
                    if old && !error.is_timeout() {
                        let mut state = self.lock();
                        let dead = std::mem::take(&mut state.idle);
                        state.open = state.open.saturating_sub(dead.len());
                        drop(state);
                        connection = self.connect()?;
                        old = false;
                        continue;
                    }
                    return Err(self.failed(&error));
                }
                Err(error) if says_later(&error) => {
                    drop(connection);
                    return Err(self.failed(&error));
                }
                Err(error) => {
                    self.give_back(connection);
                    return Err(explain(&error));
                }
            }
        }
    }

    /// A connection, and whether it lay idle.
    fn take(&self) -> Result<(Connection, bool), String> {
        let deadline = Instant::now() + ANSWER;
        let mut state = self.lock();
        loop {
            if let Some(down) = &mut state.down {
                if down.trying || Instant::now() < down.until {
                    return Err(down.why.clone());
                }
                down.trying = true;
            }
            if let Some(connection) = state.idle.pop() {
                return Ok((connection, true));
            }
            if state.open < CONNECTIONS {
                state.open = state.open.saturating_add(1);
                drop(state);
                return self.connect().map(|connection| (connection, false));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("all connections to it are busy".to_owned());
            }
            // Whoever tries again waits here, too; nobody else may take its turn for a failure.
            if let Some(down) = &mut state.down {
                down.trying = false;
            }
            state = self.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn give_back(&self, connection: Connection) {
        let mut state = self.lock();
        state.down = None;
        state.idle.push(connection);
        drop(state);
        self.freed.notify_one();
    }

    /// Makes a connection; it is counted as open already.
    fn connect(&self) -> Result<Connection, String> {
        let made = connect(&self.client).and_then(|mut connection| {
            // Told so that a restart is seen; one who may not ask goes without.
            let mut info = Cmd::new();
            info.arg("INFO");
            match info.query::<String>(&mut connection) {
                Ok(info) => Ok((connection, Some(info))),
                Err(error) if connection_survives(&error) && !says_later(&error) => Ok((connection, None)),
                Err(error) => Err(error),
            }
        });
        match made {
            Ok((connection, info)) => {
                if let Some(info) = info {
                    self.lock().note(&info);
                }
                Ok(connection)
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// A connection is gone, and nobody need ask for a while.
    fn failed(&self, error: &RedisError) -> String {
        let why = explain(error);
        let mut state = self.lock();
        let pause = state.down.as_ref().map_or(PAUSE, |down| down.pause.saturating_mul(2).min(LONGEST_PAUSE));
        state.open = state.open.saturating_sub(1);
        state.down = Some(Down {
            why: why.clone(),
            pause,
            until: Instant::now() + pause.mul_f64(jitter()),
            trying: false,
        });
        drop(state);
        self.freed.notify_one();
        why
    }
}

impl State {
    /// Looks for what people should know.
    fn note(&mut self, info: &str) {
        let field = |name: &str| {
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        if let Some(run_id) = field("run_id") {
            let before = self.run_id.replace(run_id.to_owned());
            if before.is_some_and(|before| before != run_id) {
                self.news.push("the server was restarted, or another one took its place".to_owned());
            }
        }
        let evicts = field("maxmemory").is_some_and(|bytes| bytes != "0")
            && field("maxmemory_policy").is_some_and(|policy| policy != "noeviction");
        if evicts && !std::mem::replace(&mut self.evicts, evicts) {
            self.news.push(
                "the server forgets keys when its memory is full, and with them counters; set its \
                 maxmemory-policy to noeviction"
                    .to_owned(),
            );
        }
    }
}

/// Between three quarters and one and a quarter, so that a fleet does not come back at one instant.
fn jitter() -> f64 {
    let mut byte = [0_u8; 1];
    let _ = getrandom::fill(&mut byte);
    0.75 + f64::from(byte[0]) / 510.0
}

/// Whether the server answered, if only with an error, and the next answer is to the next question.
fn connection_survives(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
        || (error.kind() == ErrorKind::UnexpectedReturnType)
}

/// Whether the server says that it cannot answer anyone now.
fn says_later(error: &RedisError) -> bool {
    use ServerErrorKind as Kind;
    matches!(
        error.kind(),
        ErrorKind::Server(
            Kind::BusyLoading | Kind::TryAgain | Kind::ClusterDown | Kind::MasterDown | Kind::ReadOnly
        )
    ) || matches!(error.code(), Some("BUSY" | "MISCONF" | "OOM" | "NOREPLICAS" | "NOAUTH" | "WRONGPASS"))
}

/// What happened and what to do, without secrets.
pub(super) fn explain(error: &RedisError) -> String {
    use ServerErrorKind as Kind;
    if error.is_timeout() {
        return format!("it gave no answer within {} ms", ANSWER.as_millis());
    }
    if error.is_connection_refusal() {
        return "nobody listens there".to_owned();
    }
    if error.is_connection_dropped() {
        return "the connection broke".to_owned();
    }
    let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    let detail = crate::visible::visible(&detail).into_owned();
    match (error.kind(), error.code()) {
        (ErrorKind::Server(Kind::BusyLoading), _) => "it is still reading its data from the disk".to_owned(),
        (ErrorKind::Server(Kind::ReadOnly), _) => "it is a replica; name the primary".to_owned(),
        (ErrorKind::Server(Kind::Moved | Kind::Ask), _) => {
            format!("it is a cluster's node, and another one has callgate's keys ({detail}); name that one")
        }
        (ErrorKind::Server(Kind::NoPerm), _) => format!(
            "its user may not do what is needed ({detail}); allow it ~callgate:* with +@read +@write +@scripting \
             +@connection +time +info"
        ),
        (_, Some("NOAUTH" | "WRONGPASS")) | (ErrorKind::AuthenticationFailed, _) => {
            format!("it wants another user or password; set {USERNAME} and {PASSWORD}")
        }
        (_, Some("OOM")) => "its memory is full".to_owned(),
        (_, Some("MISCONF")) => "it cannot write to its disk".to_owned(),
        _ => detail,
    }
}

/// A connection with its timeouts.
pub(crate) fn connect(client: &Client) -> RedisResult<Connection> {
    let connection = client.get_connection_with_timeout(CONNECT)?;
    connection.set_read_timeout(Some(ANSWER))?;
    connection.set_write_timeout(Some(ANSWER))?;
    Ok(connection)
}

/// Who to connect to, with the secrets of the environment.
pub(crate) fn client(url: &RedisUrl) -> Result<Client, String> {
    let variable = |name: &str| match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("{name} is no text in UTF-8")),
    };
    let file = |name: &str| -> Result<Option<Vec<u8>>, String> {
        let Some(path) = variable(name)? else { return Ok(None) };
        std::fs::read(&path).map(Some).map_err(|error| format!("{name} names `{path}`: {error}"))
    };
    let mut settings = redis::RedisConnectionInfo::default()
        .set_db(url.db)
        .set_lib_name("callgate", env!("CARGO_PKG_VERSION"));
    if let Some(username) = variable(USERNAME)? {
        settings = settings.set_username(username);
    }
    if let Some(password) = variable(PASSWORD)? {
        settings = settings.set_password(password);
    }
    let (address, tls) = match &url.by {
        Way::Net { host, port, tls: false } => (ConnectionAddr::Tcp(host.clone(), *port), false),
        Way::Net { host, port, tls: true } => {
            let host = host.clone();
            (ConnectionAddr::TcpTls { host, port: *port, insecure: false, tls_params: None }, true)
        }
        Way::Unix(path) => (ConnectionAddr::Unix(path.clone()), false),
    };
    let info = redis::IntoConnectionInfo::into_connection_info(address)
        .map_err(|error| explain(&error))?
        .set_redis_settings(settings)
        .set_tcp_settings(redis::io::tcp::TcpSettings::default().set_nodelay(true));
    if !tls {
        return Client::open(info).map_err(|error| explain(&error));
    }
    // Whoever was first has set the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let own = match (file(CERT)?, file(KEY)?) {
        (Some(client_cert), Some(client_key)) => Some(redis::ClientTlsConfig { client_cert, client_key }),
        (None, None) => None,
        _ => return Err(format!("{CERT} and {KEY} are needed together")),
    };
    match (file(CA)?, own) {
        (None, None) => Client::open(info),
        (root_cert, client_tls) => {
            Client::build_with_tls(info, redis::TlsCertificates { client_tls, root_cert })
        }
    }
    .map_err(|error| explain(&error))
}
