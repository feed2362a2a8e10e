//! What the system asks of the interface: to end, to stop, to go on.

use std::io;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// To end.
    End,
    /// To stop until the shell continues it.
    Stop,
    /// It goes on.
    Continue,
}

/// The signals that the interface answers.
pub(super) struct Signals {
    #[cfg(unix)]
    streams: [(Signal, tokio::signal::unix::Signal); 5],
}

impl Signals {
    /// From here on they are answered.
    pub(super) fn new() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let tstp = SignalKind::from_raw(signal_hook::consts::SIGTSTP);
            let cont = SignalKind::from_raw(signal_hook::consts::SIGCONT);
            Ok(Self {
                streams: [
                    (Signal::End, signal(SignalKind::terminate())?),
                    (Signal::End, signal(SignalKind::hangup())?),
                    (Signal::End, signal(SignalKind::interrupt())?),
                    (Signal::Stop, signal(tstp)?),
                    (Signal::Continue, signal(cont)?),
                ],
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// The next one; without signals only the end of the program.
    pub(super) async fn next(&mut self) -> Signal {
        #[cfg(unix)]
        {
            std::future::poll_fn(|context| {
                for (meaning, stream) in &mut self.streams {
                    if stream.poll_recv(context).is_ready() {
                        return std::task::Poll::Ready(*meaning);
                    }
                }
                std::task::Poll::Pending
            })
            .await
        }
        #[cfg(not(unix))]
        {
            match tokio::signal::ctrl_c().await {
                Ok(()) => Signal::End,
                Err(_) => std::future::pending().await,
            }
        }
    }
}
