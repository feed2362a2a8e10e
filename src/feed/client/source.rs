//! One feed: connecting, again and again, and what is asked of it.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::delivered::Delivered;
use super::link::{Ended, Link};
use super::{FeedAddr, FeedEvent, SourceId};
use crate::feed::message::Ask;

/// The first pause after a loss, and the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Where a feed's records begin for us.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// With its first.
    All,
    /// With at most so many from before we came.
    Recent(u64),
}

/// How far we are in one gateway run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The run.
    pub(super) gateway: String,
    /// The last number that was passed on, or that is not wanted.
    pub(super) last: u64,
}

/// One feed that is watched.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) id: SourceId,
    pub(super) feed: FeedAddr,
    pub(super) start: Start,
    pub(super) events: mpsc::Sender<FeedEvent>,
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) place: Option<Place>,
    /// What came already, where the fleet's other gateways are wanted, too.
    pub(super) fleet: Option<Delivered>,
    announced: Option<watch::Receiver<bool>>,
}

impl Source {
    pub(super) fn new(
        id: SourceId,
        feed: FeedAddr,
        start: Start,
        events: mpsc::Sender<FeedEvent>,
        asks: mpsc::Receiver<Ask>,
        announced: Option<watch::Receiver<bool>>,
        fleet: Option<Delivered>,
    ) -> Self {
        Self { id, feed, start, events, asks, place: None, fleet, announced }
    }

    /// Runs until the gateway or the monitor is gone.
    pub(super) async fn run(mut self) {
        let mut pause = PAUSE;
        let mut said = String::new();
        loop {
            let began = self.place.clone();
            let (why, connected) = match Link::connect(&self.feed).await {
                Ok(link) => match self.link(link).await {
                    Ended::Monitor => return,
                    Ended::Lost(why) => (why, true),
                    // One that speaks nonsense is not asked again at once.
                    Ended::Nonsense(why) => {
                        pause = LONGEST_PAUSE;
                        (why, false)
                    }
                },
                Err(why) => (why, false),
            };
            // One that only greets is not worth a quick return each time.
            if connected && self.place != began {
                pause = PAUSE;
            }
            let ended = self.gone();
            if ended || connected || why != said {
                said.clone_from(&why);
                let lost = FeedEvent::Lost { source: self.id, why, ended };
                if self.events.send(lost).await.is_err() {
                    return;
                }
            }
            if ended || !self.wait(pause).await {
                return;
            }
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    async fn link(&mut self, link: Link) -> Ended {
        let fleet = self.fleet.clone();
        if let Some(delivered) = &fleet {
            delivered.direct(link.gateway(), true);
        }
        let gateway = link.gateway().to_owned();
        let ended = link.run(self).await;
        if let Some(delivered) = fleet {
            delivered.direct(&gateway, false);
        }
        ended
    }

    /// Whether the gateway announces itself no more.
    fn gone(&self) -> bool {
        self.announced.as_ref().is_some_and(|announced| !*announced.borrow())
    }

    /// Waits before the next attempt; `false` when the monitor has gone.
    async fn wait(&mut self, pause: Duration) -> bool {
        let deadline = tokio::time::Instant::now() + pause.mul_f64(jitter());
        loop {
            tokio::select! {
                () = self.events.closed() => return false,
                () = tokio::time::sleep_until(deadline) => return true,
                ask = self.asks.recv() => match ask {
                    None => return false,
                    Some(ask) => self.refuse(&ask).await,
                },
                () = ended(&mut self.announced) => {
                    let why = "the gateway ended".to_owned();
                    let _ = self.events.send(FeedEvent::Lost { source: self.id, why, ended: true }).await;
                    return false;
                }
            }
        }
    }

    async fn refuse(&self, ask: &Ask) {
        let message = "the gateway is not connected".to_owned();
        let of = ask.name().to_owned();
        let _ = self.events.send(FeedEvent::Reply { source: self.id, ok: false, of, message }).await;
    }
}

/// Resolves when the gateway announces itself no more; never for a feed that was named.
async fn ended(announced: &mut Option<watch::Receiver<bool>>) {
    match announced {
        Some(announced) => {
            if announced.wait_for(|announced| !announced).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

/// Between a half and one and a half, so that many monitors do not come back all at once.
fn jitter() -> f64 {
    let mut byte = [0_u8; 1];
    let _ = getrandom::fill(&mut byte);
    0.5 + f64::from(byte[0]) / 255.0
}
