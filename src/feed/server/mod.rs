//! The half in a gateway: who may connect, what they get, and how slow ones catch up.
//!
//! One background thread with a runtime of its own serves all clients. A call's thread only puts
//! its record into an inbox, and without a client not even that. What a client missed it gets from
//! the journal; what is gone from there too is announced as a gap.

mod accept;
mod history;
mod ring;
mod serve;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;

use tokio::sync::{Notify, oneshot, watch};
use tokio_tungstenite::tungstenite::Utf8Bytes;

pub use self::history::{History, JournalHistory};
use self::ring::{Line, Ring};
use super::discovery::{Announced, Entry};
use super::fleet::{Log, Publisher};
use super::message::{Ask, Hello, PROTOCOL, Role, Say, ServerInfo, State};
use super::token::FeedToken;
use crate::counters::RedisUrl;
use crate::token::TokenDigest;

/// Records kept in memory for clients that are a little behind.
const RING_COUNT: usize = 16_384;
const RING_BYTES: usize = 16 * 1024 * 1024;
/// Records between two looks of the background thread.
const INBOX_COUNT: usize = 32_768;
const INBOX_BYTES: usize = 16 * 1024 * 1024;
/// How far the feed's thread stands behind (nice(2)): a third of the weight of those that calls wait for,
/// so that on a busy machine it is still served.
#[cfg(target_os = "linux")]
const BEHIND: i32 = 5;
/// Asks that wait for the gateway.
const COMMANDS: usize = 64;

/// What a hub needs to know.
#[derive(Clone)]
pub struct HubConfig {
    /// The folder of the discovery files.
    pub run_dir: PathBuf,
    /// The folder of the journals.
    pub journal_dir: PathBuf,
    /// The id of the gateway run.
    pub gateway: String,
    /// The gateway's name.
    pub name: String,
    /// The servers behind it.
    pub servers: Vec<ServerInfo>,
    /// Where this user's own monitors come: an address of the loopback interface.
    pub listen: SocketAddr,
    /// Where others come, with tokens of their own.
    pub public: Option<Public>,
    /// Tokens besides the one in the discovery file.
    pub tokens: Vec<FeedToken>,
    /// Values of `Origin` that are not refused.
    pub origins: Vec<String>,
    /// How many clients may be connected at once.
    pub max_clients: usize,
    /// Where the fleet shares its records, where there is one.
    pub fleet: Option<RedisUrl>,
}

/// A listener for others than this user's own monitors.
#[derive(Clone)]
pub struct Public {
    /// Where to listen.
    pub listen: SocketAddr,
    /// With which certificate.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// A proxy in front of it speaks TLS.
    pub behind_proxy: bool,
}

/// How the feed does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Clients that are connected.
    pub clients: usize,
    /// How many records the slowest of them is behind.
    pub lag: u64,
    /// Records that were gone before a client took them, all clients together.
    pub missed: u64,
}

impl HubConfig {
    /// On a free port of the loopback interface, for this user's own monitors only.
    pub fn new(run_dir: PathBuf, journal_dir: PathBuf, gateway: String, name: String) -> Self {
        Self {
            run_dir,
            journal_dir,
            gateway,
            name,
            servers: Vec::new(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            public: None,
            tokens: Vec::new(),
            origins: Vec::new(),
            max_clients: 32,
            fleet: None,
        }
    }
}

/// What an operator asks of the gateway.
#[derive(Debug)]
pub struct Command {
    /// What is asked.
    pub ask: Ask,
    /// What the asking client may do; only operators' asks arrive here.
    pub role: Role,
    /// How to answer.
    pub reply: Reply,
}

/// The answer to a [`Command`]; one that is dropped counts as a refusal.
#[derive(Debug)]
pub struct Reply(oneshot::Sender<(bool, String)>);

impl Reply {
    /// It was done.
    pub fn done(self, message: impl Into<String>) {
        let _ = self.0.send((true, message.into()));
    }

    /// It was not done, and why.
    pub fn refused(self, message: impl Into<String>) {
        let _ = self.0.send((false, message.into()));
    }
}

/// The feed of one gateway.
pub struct Hub {
    shared: Arc<Shared>,
    commands: Mutex<Option<Receiver<Command>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    announced: Mutex<Option<Announced>>,
    publisher: Option<Publisher>,
    address: SocketAddr,
    public: Option<SocketAddr>,
    token: String,
}

/// Which state a snapshot replaces.
type StateKey = (&'static str, String);

#[derive(Debug)]
struct Snapshot {
    version: u64,
    state: State,
    /// As text, once some client needed it.
    text: Option<Utf8Bytes>,
    /// As text for viewers, where they do not get the same.
    for_viewers: Option<Utf8Bytes>,
}

#[derive(Debug, Default)]
struct Inbox {
    lines: Vec<(u64, Line)>,
    bytes: usize,
    /// The highest number that found no room; the journal has it.
    passed_over: u64,
}

struct Shared {
    hello: Mutex<Hello>,
    /// The highest number published so far.
    last: AtomicU64,
    /// Clients past the handshake.
    clients: AtomicUsize,
    inbox: Mutex<Inbox>,
    ring: Mutex<Ring>,
    states: Mutex<BTreeMap<StateKey, Snapshot>>,
    /// Counts every change of `states`.
    state_version: AtomicU64,
    commands: SyncSender<Command>,
    history: Arc<dyn History>,
    /// Of the discovery file's token.
    own: TokenDigest,
    tokens: Mutex<Arc<Vec<FeedToken>>>,
    /// Counts the changes of `tokens`.
    tokens_changed: watch::Sender<u64>,
    /// By client: the number of its next record.
    places: Mutex<Vec<Weak<AtomicU64>>>,
    missed: AtomicU64,
    origins: Vec<String>,
    max_clients: usize,
    /// The records of the fleet's other gateways.
    fleet: OnceLock<Arc<Log>>,
    /// Counts the background thread's looks that found something.
    found: watch::Sender<u64>,
    arrived: Notify,
    closing: AtomicBool,
    closed: Notify,
}

// Tokens stay out of logs.
impl fmt::Debug for HubConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubConfig")
            .field("gateway", &self.gateway)
            .field("name", &self.name)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("address", &self.address)
            .field("clients", &self.shared.clients)
            .finish_non_exhaustive()
    }
}

/// No lock is held while something can panic in a way that leaves half a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on this thread stands behind those that calls wait for, where the system has a priority for
/// each thread: however many clients read the feed, it is only told late.
fn give_way() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, BEHIND);
}

impl Hub {
    /// Listens, announces itself in the run folder, and serves from a thread of its own; missed
    /// records come from the journal.
    ///
    /// # Errors
    /// When it cannot listen, or the discovery file cannot be written.
    pub fn start(config: HubConfig) -> io::Result<Self> {
        let history = JournalHistory { folder: config.journal_dir.clone(), gateway: config.gateway.clone() };
        Self::start_with(config, Arc::new(history))
    }

    /// As [`Hub::start`], with another source of missed records.
    ///
    /// # Errors
    /// As [`Hub::start`].
    pub fn start_with(config: HubConfig, history: Arc<dyn History>) -> io::Result<Self> {
        let (listener, address) = listen(config.listen)?;
        let public = config.public.map(open_public).transpose()?;
        let public_address = public.as_ref().map(|(_, address, _)| *address);
        let token = new_token()?;
        let pid = std::process::id();
        let (commands, receiver) = sync_channel(COMMANDS);
        let hello = Hello {
            protocol: PROTOCOL.to_owned(),
            gateway: config.gateway.clone(),
            name: config.name.clone(),
            host: host(),
            pid,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: Role::Viewer,
            next_seq: 1,
            oldest_seq: 1,
            servers: config.servers,
        };
        let shared = Arc::new(Shared {
            hello: Mutex::new(hello),
            last: AtomicU64::new(0),
            clients: AtomicUsize::new(0),
            inbox: Mutex::default(),
            ring: Mutex::new(Ring::new(RING_COUNT, RING_BYTES)),
            states: Mutex::default(),
            state_version: AtomicU64::new(0),
            commands,
            history,
            own: TokenDigest::of(&token),
            tokens: Mutex::new(Arc::new(config.tokens)),
            tokens_changed: watch::Sender::new(0),
            places: Mutex::default(),
            missed: AtomicU64::new(0),
            origins: config.origins,
            max_clients: config.max_clients,
            fleet: OnceLock::new(),
            found: watch::Sender::new(0),
            arrived: Notify::new(),
            closing: AtomicBool::new(false),
            closed: Notify::new(),
        });
        let publisher = match config.fleet {
            Some(url) => {
                let theirs = Arc::downgrade(&shared);
                let log = Log::start(url.clone(), config.gateway.clone(), move || {
                    if let Some(shared) = theirs.upgrade() {
                        shared.found.send_modify(|found| *found = found.wrapping_add(1));
                    }
                })?;
                let _ = shared.fleet.set(log);
                Some(Publisher::start(url, config.gateway.clone())?)
            }
            None => None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("feed".to_owned()).spawn(move || {
            give_way();
            let public = public.map(|(listener, _, tls)| (listener, tls));
            runtime.block_on(accept::run(theirs, listener, public));
            // A reader of the journal that still waits for its client is not waited for.
            runtime.shutdown_background();
        })?;
        let hub = Self {
            shared,
            commands: Mutex::new(Some(receiver)),
            thread: Mutex::new(Some(thread)),
            announced: Mutex::new(None),
            publisher,
            address,
            public: public_address,
            token: token.clone(),
        };
        let entry = Entry {
            pid,
            name: config.name,
            address: address.to_string(),
            token,
            gateway: config.gateway,
            started: super::discovery::process_start(pid),
            since: Some(crate::clock::now()),
        };
        // A failure drops the hub, which ends the thread.
        *lock(&hub.announced) = Some(Announced::write(&config.run_dir, &entry)?);
        Ok(hub)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where others than this user's own monitors come.
    pub fn public_address(&self) -> Option<SocketAddr> {
        self.public
    }

    /// From now on these tokens count besides the discovery file's. Who came with one that is not
    /// among them any more, or allows something else now, is sent away at once.
    pub fn set_tokens(&self, tokens: Vec<FeedToken>) {
        *lock(&self.shared.tokens) = Arc::new(tokens);
        self.shared.tokens_changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// How the feed does.
    pub fn stats(&self) -> Stats {
        let next = self.shared.last.load(Ordering::SeqCst).saturating_add(1);
        let mut places = lock(&self.shared.places);
        places.retain(|place| place.strong_count() > 0);
        let behind = places.iter().filter_map(Weak::upgrade);
        Stats {
            clients: self.shared.clients.load(Ordering::SeqCst),
            lag: behind.map(|at| next.saturating_sub(at.load(Ordering::Relaxed))).max().unwrap_or(0),
            missed: self.shared.missed.load(Ordering::Relaxed),
        }
    }

    /// The operator's token, as the discovery file has it.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whether anybody is connected. State that is costly to build need not be built otherwise;
    /// it must be said again once somebody is.
    pub fn has_clients(&self) -> bool {
        self.shared.clients.load(Ordering::Relaxed) > 0
    }

    /// Gives a record, which the journal has already, to whoever is connected. Numbers may come a
    /// little out of order. Never waits for a client; without one it costs two atomic operations.
    pub fn publish(&self, seq: u64, line: Arc<[u8]>) {
        self.publish_line(seq, move || Arc::clone(&line));
    }

    /// As [`Hub::publish`] for a line that is copied only where somebody gets it.
    pub fn publish_bytes(&self, seq: u64, line: &[u8]) {
        self.publish_line(seq, || Arc::from(line));
    }

    fn publish_line(&self, seq: u64, line: impl Fn() -> Arc<[u8]>) {
        if let Some(publisher) = &self.publisher {
            publisher.publish(seq, line());
        }
        // The order matters: a client that arrives meanwhile either sees this number as published,
        // and reads it from the journal, or is seen here.
        self.shared.last.fetch_max(seq, Ordering::SeqCst);
        if self.shared.clients.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut inbox = lock(&self.shared.inbox);
        if inbox.lines.len() >= INBOX_COUNT || inbox.bytes >= INBOX_BYTES {
            inbox.passed_over = inbox.passed_over.max(seq);
            return;
        }
        let line = line();
        inbox.bytes = inbox.bytes.saturating_add(line.len());
        inbox.lines.push((seq, line));
    }

    /// Says a state, whole; it replaces what was said of it before. Clients get the latest, at
    /// most ten times a second.
    pub fn set_state(&self, state: State) {
        if let State::Servers { servers } = &state {
            lock(&self.shared.hello).servers.clone_from(servers);
        }
        let key = key_of(&state);
        let mut states = lock(&self.shared.states);
        if states.get(&key).is_some_and(|snapshot| snapshot.state == state) {
            return;
        }
        let version = self.shared.state_version.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        states.insert(key, Snapshot { version, state, text: None, for_viewers: None });
    }

    /// What operators ask. The first call gets the asks; later ones a receiver that is at its end.
    pub fn commands(&self) -> Receiver<Command> {
        lock(&self.commands).take().unwrap_or_else(|| sync_channel(1).1)
    }

    /// Removes the discovery file, sends what was published, says good-bye and ends the thread,
    /// within half a second.
    pub fn close(&self) {
        drop(lock(&self.announced).take());
        self.shared.closing.store(true, Ordering::SeqCst);
        self.shared.closed.notify_one();
        self.shared.arrived.notify_one();
        if let Some(log) = self.shared.fleet.get() {
            log.close();
        }
        if let Some(publisher) = &self.publisher {
            publisher.close();
        }
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Where in the stream each client is.
    fn places(&self) -> Vec<u64> {
        let places = lock(&self.places);
        places.iter().filter_map(Weak::upgrade).map(|place| place.load(Ordering::Relaxed)).collect()
    }

    /// A client came: from here on records are kept in memory.
    fn enter(&self) {
        if self.clients.fetch_add(1, Ordering::SeqCst) == 0 {
            // What lies in the inbox is from before, or is in the journal already.
            *lock(&self.inbox) = Inbox::default();
            let next = self.last.load(Ordering::SeqCst).saturating_add(1);
            lock(&self.ring).restart(next);
            self.arrived.notify_one();
        }
    }

    /// A client went.
    fn leave(&self) {
        lock(&self.places).retain(|place| place.strong_count() > 0);
        if self.clients.fetch_sub(1, Ordering::SeqCst) == 1 {
            *lock(&self.inbox) = Inbox::default();
            lock(&self.ring).restart(self.last.load(Ordering::SeqCst).saturating_add(1));
        }
    }

    /// Moves the inbox to the ring; whether there was anything.
    fn drain(&self) -> bool {
        // The publishers wait for no more than this exchange.
        let inbox = std::mem::take(&mut *lock(&self.inbox));
        let mut ring = lock(&self.ring);
        let any = !inbox.lines.is_empty() || inbox.passed_over > 0;
        for (seq, line) in inbox.lines {
            ring.push(seq, line);
        }
        if inbox.passed_over > 0 {
            ring.reach(inbox.passed_over);
        }
        any
    }

    /// The first words to a client, and the number its records begin with.
    fn hello(&self, role: Role) -> (Say, u64) {
        let mut hello = lock(&self.hello).clone();
        let next = self.last.load(Ordering::SeqCst).saturating_add(1);
        hello.role = role;
        hello.next_seq = next;
        hello.oldest_seq = self.history.oldest().unwrap_or(next).min(next);
        (Say::Hello(Box::new(hello)), next)
    }

    /// The states that a client of this role has not seen, as text.
    fn news(&self, role: Role, seen: &mut BTreeMap<StateKey, u64>) -> Vec<Utf8Bytes> {
        let mut news = Vec::new();
        for (key, snapshot) in lock(&self.states).iter_mut() {
            if seen.get(key) == Some(&snapshot.version) {
                continue;
            }
            let Some(text) = snapshot.text(role) else { continue };
            seen.insert(key.clone(), snapshot.version);
            news.push(text);
        }
        news
    }
}

impl Snapshot {
    /// As a client of this role gets it.
    fn text(&mut self, role: Role) -> Option<Utf8Bytes> {
        let said =
            |state: State| serde_json::to_string(&Say::State(Box::new(state))).ok().map(Utf8Bytes::from);
        if role != Role::Operator {
            if self.for_viewers.is_none()
                && let Some(state) = self.state.for_viewers()
            {
                self.for_viewers = Some(said(state)?);
            }
            if self.for_viewers.is_some() {
                return self.for_viewers.clone();
            }
        }
        if self.text.is_none() {
            self.text = Some(said(self.state.clone())?);
        }
        self.text.clone()
    }
}

fn listen(address: SocketAddr) -> io::Result<(std::net::TcpListener, SocketAddr)> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// A listener, where it is, and its certificate.
type Opened = (std::net::TcpListener, SocketAddr, Option<Arc<rustls::ServerConfig>>);

fn open_public(public: Public) -> io::Result<Opened> {
    if !public.listen.ip().is_loopback() && public.tls.is_none() && !public.behind_proxy {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "`{}` can be reached from elsewhere: the feed needs TLS there, or a proxy",
                public.listen
            ),
        ));
    }
    let (listener, address) = listen(public.listen)?;
    Ok((listener, address, public.tls))
}

fn key_of(state: &State) -> StateKey {
    match state {
        State::Tools { server, .. } => ("tools", server.clone()),
        State::Drift { server, .. } => ("drift", server.clone()),
        State::Counters { .. } => ("counters", String::new()),
        State::Freezes { .. } => ("freezes", String::new()),
        State::Approvals { .. } => ("approvals", String::new()),
        State::Overrides { .. } => ("overrides", String::new()),
        State::Rules { .. } => ("rules", String::new()),
        State::Servers { .. } => ("servers", String::new()),
        State::Health(_) => ("health", String::new()),
    }
}

fn new_token() -> io::Result<String> {
    use std::fmt::Write as _;
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// The machine's name, for people.
fn host() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
