//! The stdio gateway: a drop-in for a server's command.

pub mod frames;
mod inbound;
pub(super) mod link;
mod outbound;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::json;

use self::link::{ClientStream, Happening, Link};
use crate::catalog::pins::PinsError;
use crate::clock;
use crate::counters::StorePlace;
use crate::feed::server::Hub;
use crate::gateway::call::conversation::Conversation;
use crate::gateway::call::decider::{Decider, Who};
use crate::gateway::call::held;
use crate::gateway::child::{GRACE, Handle, Server};
use crate::gateway::desk::keeper::{self, Keeper};
use crate::gateway::desk::{Desk, Setting};
use crate::gateway::ops;
use crate::gateway::policies;
use crate::gateway::policies::pins::PinMode;
use crate::gateway::policies::reload::{self, LoadError, Loaded};
use crate::paths::Paths;
use crate::record::EventKind;
use crate::record::mask::Mode;

/// How long the last words of an ended server are waited for.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a stdio gateway needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The server's name.
    pub name: String,
    /// The grant's label.
    pub grant: String,
    /// The policy's file.
    pub policy: PathBuf,
    /// Where counters, freezes and overrides are shared.
    pub counters: StorePlace,
    /// What is done about tools whose definition differs from its pin.
    pub pins: PinMode,
    /// A candidate policy beside it.
    pub shadow: Option<PathBuf>,
    /// Forward although the decision could not be recorded or counted.
    pub fail_open: bool,
    /// How much of the arguments is recorded.
    pub record_args: Mode,
    /// The command that tells people of denies, approvals and freezes; run by the shell.
    pub notify: Option<String>,
    /// The largest message of the client, in bytes.
    pub max_message: usize,
    /// A loopback address for `/metrics`, `/healthz` and `/readyz`.
    pub metrics: Option<SocketAddr>,
    /// Where state lies.
    pub paths: Paths,
    /// The server's command line.
    pub command: Vec<String>,
}

/// Why a gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The policy is missing or not valid.
    #[error(transparent)]
    Policy(#[from] LoadError),
    /// Pins are to be enforced, and cannot be used.
    #[error("{0}")]
    Pins(PinsError),
    /// The server's guard could not be started, or this process's streams cannot be used.
    #[error("the server cannot be started: {0}")]
    Start(#[from] io::Error),
}

/// Runs until the client or the server has ended. Gives the exit code: the server's own, or 0 when
/// the server had to be ended after the end of input. Must be called from the main thread.
///
/// # Errors
/// When the policy cannot be put in force, or the server's guard cannot be started.
pub fn run(config: &Config) -> Result<u8, StartError> {
    clock::tick();
    let loaded = reload::load(&config.policy)?;
    let (sender, happenings) = mpsc::channel();
    watch_signals(sender.clone())?;
    let input = own(&io::stdin())?;
    let output = own(&io::stdout())?;
    let link = Arc::new(open(config, loaded, output, sender));
    link.conversation.may_hold(Box::new(Arc::downgrade(&link)));
    let desk = Arc::clone(&link.conversation.desk);
    let decider = &link.conversation.decider;
    let pins = crate::gateway::policies::pins::begin(decider, config.pins).map_err(StartError::Pins)?;
    ops::serve(&desk, config.metrics)?;
    announce(&link, config);
    let shadow = config
        .shadow
        .as_ref()
        .map(|path| crate::gateway::policies::shadow::begin(decider, path))
        .transpose()?;
    let keeper = Keeper::start(Arc::clone(&desk));
    let commands = desk.recorder.hub().map(Hub::commands);
    let (server, to_server, from_server) = Server::start(&config.command, &[])?;
    link.connect(to_server);
    desk.gauges.child_started();
    desk.gauges.upstream(&config.name, true);
    let handle = server.handle();
    spawn("keeper", move || keeper.run(commands.as_ref()))?;
    let watch = policies::watch(&link.conversation.decider, &config.policy)?;
    spawn("server", {
        let link = Arc::clone(&link);
        move || outbound::run(&link, from_server)
    })?;
    spawn("client", {
        let link = Arc::clone(&link);
        move || {
            // A stream that fails has ended.
            let _ = inbound::run(&link, input);
            link.conversation.client_gone();
            link.happened(Happening::ClientEnded);
        }
    })?;
    spawn("holds", {
        let desk = Arc::clone(&desk);
        move || held::run(&desk)
    })?;
    spawn("wait", {
        let link = Arc::clone(&link);
        move || link.happened(Happening::Exited(server.wait()))
    })?;
    let code = preside(&link, &happenings, &handle);
    drop((watch, pins, shadow));
    end_holds(&link);
    desk.close();
    crate::gateway::desk::operators::end_run(&desk);
    desk.recorder.settle();
    desk.recorder.event(
        EventKind::Stop,
        None,
        None,
        json!({"exit_code": code, "requests": desk.tally.counts()}),
    );
    desk.recorder.close();
    Ok(code)
}

/// Held calls are answered before the end; a client that reads nothing is not waited for.
fn end_holds(link: &Link) {
    let until = Instant::now() + Duration::from_secs(1);
    link.conversation.end_holds();
    while !link.conversation.holds_none() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
        link.conversation.tend();
    }
}

/// Everything that calls are decided and recorded with.
fn open(config: &Config, loaded: Loaded, output: File, sender: mpsc::Sender<Happening>) -> Link {
    let run = crate::gateway::fresh_id();
    let desk = Arc::new(Desk::open(Setting {
        name: config.name.clone(),
        run: run.clone(),
        paths: config.paths.clone(),
        counters: config.counters.clone(),
        record_args: config.record_args,
        max_message: config.max_message,
        fail_open: config.fail_open,
        notify: config.notify.clone(),
    }));
    let who = Who {
        server: config.name.clone(),
        grant: config.grant.clone(),
        session: Some(run.clone()),
        upstream: crate::gateway::shown_command(&config.command).join(" "),
        policy: Some(std::path::absolute(&config.policy).unwrap_or_else(|_| config.policy.clone())),
    };
    let decider = Decider::new(Arc::clone(&desk), who, Some(loaded));
    policies::keep_text(&decider);
    let client = Arc::new(ClientStream::new(output, sender.clone()));
    let conversation =
        Conversation::new(desk, Arc::clone(&decider), Arc::default(), Box::new(Arc::clone(&client)));
    conversation.named(run);
    decider.attach(&conversation);
    Link::new(conversation, client, sender)
}

/// The first record, and the feed.
fn announce(link: &Link, config: &Config) {
    let desk = link.desk();
    keeper::open_feed(desk);
    desk.recorder.event(
        EventKind::Start,
        None,
        None,
        json!({
            "name": desk.name, "host": crate::gateway::host(), "pid": std::process::id(),
            "version": env!("CARGO_PKG_VERSION"), "grant": config.grant, "fail_open": config.fail_open,
            "pins": config.pins.name(),
            "command": crate::gateway::shown_command(&config.command),
        }),
    );
    policies::record_in_force(&link.conversation.decider);
}

/// The main thread: ends the server in good time, and gives the exit code.
fn preside(link: &Link, happenings: &Receiver<Happening>, handle: &Handle) -> u8 {
    let mut deadline: Option<Instant> = None;
    let mut input_ended = false;
    let mut forced = false;
    let mut spoken = false;
    let code = loop {
        let happening = match deadline {
            Some(at) => happenings.recv_timeout(at.saturating_duration_since(Instant::now())),
            None => happenings.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match happening {
            Ok(Happening::ClientEnded | Happening::ClientGone) => {
                input_ended = true;
                link.close_server_input();
                deadline = deadline.or(Some(Instant::now() + GRACE));
            }
            Ok(Happening::ServerEnded) => {
                spoken = true;
                link.close_server_input();
                deadline = deadline.or(Some(Instant::now() + GRACE));
            }
            Ok(Happening::Exited(code)) => break code,
            Ok(Happening::Signal(signal)) => {
                if is_interrupt(signal) {
                    handle.interrupt();
                } else {
                    handle.terminate();
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                forced = input_ended;
                handle.terminate();
                // The guard climbs the rest of the ladder by itself.
                deadline = Some(Instant::now() + Duration::from_hours(1));
            }
            Err(RecvTimeoutError::Disconnected) => break 3,
        }
    };
    // What the server said last is still on its way.
    let until = Instant::now() + LAST_WORDS;
    while !spoken {
        match happenings.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Happening::ServerEnded) => spoken = true,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    // And a call that is just being decided is answered.
    let until = Instant::now() + Duration::from_secs(1);
    while !link.is_idle() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    if forced { 0 } else { code }
}

/// A stream of this process without the standard library's buffer in front of it.
#[cfg(unix)]
fn own(stream: &impl std::os::fd::AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}

#[cfg(not(unix))]
fn own(stream: &impl std::os::windows::io::AsHandle) -> io::Result<File> {
    Ok(File::from(stream.as_handle().try_clone_to_owned()?))
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
}

#[cfg(unix)]
fn watch_signals(sender: mpsc::Sender<Happening>) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    spawn("signals", move || {
        for signal in signals.forever() {
            if sender.send(Happening::Signal(signal)).is_err() {
                return;
            }
        }
    })
}

#[cfg(not(unix))]
fn watch_signals(_sender: mpsc::Sender<Happening>) -> io::Result<()> {
    Ok(())
}

fn is_interrupt(signal: i32) -> bool {
    signal == signal_hook::consts::SIGINT
}
