//! A stdio server that was started for one session, and its two streams.

use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::Errand;
use super::routes::{Routes, Said, Way};
use crate::gateway::call::answer::{Afterwards, Passes};
use crate::gateway::call::conversation::Conversation;
use crate::gateway::child::{GRACE, Handle, Server};
use crate::gateway::stdio::frames::{Frame, Frames};
use crate::gateway::{foreign_output, lock};
use crate::mcp::server::{ServerMessage, peek_server};

/// How many lines wait for a server that does not read.
const LINES: usize = 64;

/// How a stdio server is started.
pub(super) struct Launch {
    pub(super) command: Vec<String>,
    /// Variables besides the gateway's own.
    pub(super) env: Vec<(String, String)>,
    /// The main thread, which starts it.
    pub(super) main: Sender<Errand>,
}

/// A running server. It is ended when this is dropped.
pub(super) struct Child {
    lines: Mutex<Option<mpsc::Sender<Line>>>,
    handle: Handle,
    _permit: OwnedSemaphorePermit,
}

/// How many servers have not ended yet.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Waits until every server has ended, for so long at most.
pub(super) fn wait_for_all(longest: Duration) {
    let until = Instant::now() + longest;
    while RUNNING.load(Ordering::Acquire) > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A line on its way to the server, and how it is told whether it arrived.
struct Line {
    bytes: Vec<u8>,
    written: Option<oneshot::Sender<bool>>,
}

/// What the main thread gives for a start.
pub(super) type Started = std::io::Result<(Server, ChildStdin, ChildStdout)>;

impl Launch {
    /// Starts the server for a conversation.
    ///
    /// # Errors
    /// When its guard cannot be started.
    pub(super) async fn start(
        &self,
        conversation: &Arc<Conversation>,
        routes: &Arc<Routes>,
        permit: OwnedSemaphorePermit,
    ) -> std::io::Result<Child> {
        let (reply, started) = oneshot::channel();
        let desk = Arc::clone(&conversation.desk);
        let errand = Errand::Start { command: self.command.clone(), env: self.env.clone(), reply };
        let ending = || std::io::Error::other("the gateway is ending");
        self.main.send(errand).map_err(|_| ending())?;
        let (server, input, output) = started
            .await
            .map_err(|_| ending())?
            .inspect_err(|_| desk.gauges.upstream(&conversation.decider.who.server, false))?;
        desk.gauges.upstream(&conversation.decider.who.server, true);
        let handle = server.handle();
        RUNNING.fetch_add(1, Ordering::AcqRel);
        desk.gauges.child_started();
        let waiting = std::thread::Builder::new().name("wait".to_owned()).spawn(move || {
            server.wait();
            desk.gauges.child_ended();
            RUNNING.fetch_sub(1, Ordering::AcqRel);
        });
        let streams = waiting.and_then(|_| {
            let input = tokio::process::ChildStdin::from_std(input)?;
            Ok((input, tokio::process::ChildStdout::from_std(output)?))
        });
        let (input, output) = match streams {
            Ok(streams) => streams,
            Err(error) => {
                handle.terminate();
                return Err(error);
            }
        };
        let (sender, receiver) = mpsc::channel(LINES);
        tokio::spawn(write(input, receiver));
        tokio::spawn(read(output, Arc::clone(conversation), Arc::clone(routes), sender.downgrade()));
        Ok(Child { lines: Mutex::new(Some(sender)), handle, _permit: permit })
    }
}

impl Child {
    /// Sends one message on, and waits until it has gone. `false`: it has not gone as a whole.
    pub(super) async fn send(&self, message: &[u8]) -> bool {
        let Some(lines) = lock(&self.lines).clone() else { return false };
        let mut bytes = Vec::with_capacity(message.len() + 1);
        bytes.extend_from_slice(message);
        bytes.push(b'\n');
        let (written, done) = oneshot::channel();
        if lines.send(Line { bytes, written: Some(written) }).await.is_err() {
            return false;
        }
        done.await.unwrap_or(false)
    }

    /// Sends a message of the gateway's own, unless the server does not read.
    pub(super) fn tell(&self, mut message: Vec<u8>) {
        message.push(b'\n');
        if let Some(lines) = lock(&self.lines).as_ref() {
            let _ = lines.try_send(Line { bytes: message, written: None });
        }
    }
}

impl Drop for Child {
    /// The end of its input, then by and by what servers cannot ignore.
    fn drop(&mut self) {
        *lock(&self.lines) = None;
        let handle = self.handle.clone();
        let ladder = std::thread::Builder::new().name("end".to_owned()).spawn(move || {
            std::thread::sleep(GRACE);
            handle.terminate();
        });
        if ladder.is_err() {
            self.handle.terminate();
        }
    }
}

/// Writes what the client says, line by line.
async fn write(mut input: tokio::process::ChildStdin, mut lines: mpsc::Receiver<Line>) {
    let mut broken = false;
    while let Some(line) = lines.recv().await {
        broken = broken || input.write_all(&line.bytes).await.is_err() || input.flush().await.is_err();
        if let Some(written) = line.written {
            let _ = written.send(!broken);
        }
    }
}

/// Hears what the server says, and sends it where it belongs.
async fn read(
    mut output: tokio::process::ChildStdout,
    conversation: Arc<Conversation>,
    routes: Arc<Routes>,
    lines: mpsc::WeakSender<Line>,
) {
    let mut frames = Frames::new(usize::MAX);
    let mut afterwards = Afterwards::default();
    loop {
        let count = output.read(frames.space()).await.unwrap_or(0);
        frames.filled(count);
        let mut ways = Vec::new();
        while let Some(frame) = frames.next_frame() {
            hear(&frames, &frame, &conversation, &routes, &mut afterwards, &mut ways);
        }
        if count == 0
            && let Some(frame) = frames.last_frame()
        {
            hear(&frames, &frame, &conversation, &routes, &mut afterwards, &mut ways);
        }
        for way in ways {
            match way {
                // A client that is gone is no reason to stop.
                Way::To(sender, said) => {
                    let _ = sender.send(said).await;
                }
                Way::Refused(mut answer) => {
                    answer.push(b'\n');
                    if let Some(lines) = lines.upgrade() {
                        let _ = lines.try_send(Line { bytes: answer, written: None });
                    }
                }
                Way::Nowhere => {}
            }
        }
        conversation.after(&mut afterwards);
        if count == 0 {
            break;
        }
    }
    // Those that still wait see their streams end, and say so to their clients.
    let _ = conversation.server_gone();
    routes.end();
    conversation.end_holds();
}

fn hear(
    frames: &Frames,
    frame: &Frame,
    conversation: &Conversation,
    routes: &Routes,
    afterwards: &mut Afterwards,
    ways: &mut Vec<Way>,
) {
    let (Frame::Line(range) | Frame::TooLong(range)) = frame;
    let line = frames.bytes(range.clone());
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut each = |message: &[u8]| ways.push(routes.way(&peek_server(message), message));
    match conversation.hear(line, range.len(), afterwards) {
        Passes::Whole => match peek_server(line) {
            // Over HTTP each message goes its own way.
            ServerMessage::Batch(elements) => {
                for element in elements {
                    each(line.get(element).unwrap_or_default());
                }
            }
            _ => each(line),
        },
        Passes::Instead(instead) => each(&instead),
        Passes::Parts(parts) => parts.iter().for_each(|part| each(part)),
        Passes::Nothing => foreign_output(line),
    }
}

/// Whether anything was said before the answer.
pub(super) fn is_answer(said: &Said) -> bool {
    matches!(said, Said::Answer(_))
}
