//! Which feeds there are: a task for each, started when its gateway appears.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::delivered::Delivered;
use super::source::{Source, Start};
use super::{FeedAddr, FeedEvent, Feeds, SourceId, WatchOptions};
use crate::feed::discovery;
use crate::feed::message::Ask;

/// The folder is looked at so often even when no event came.
const LOOK: Duration = Duration::from_secs(1);

/// What the supervisor keeps of a running source.
struct Running {
    asks: mpsc::Sender<Ask>,
    /// Whether its gateway still announces itself.
    announced: watch::Sender<bool>,
}

struct Supervisor {
    events: mpsc::Sender<FeedEvent>,
    running: BTreeMap<SourceId, Running>,
    tasks: JoinSet<SourceId>,
    next: u32,
    /// What came already, where whole fleets are watched.
    fleet: Option<Delivered>,
}

/// Runs until the monitor has gone.
pub(super) async fn run(
    feeds: Feeds,
    options: WatchOptions,
    events: mpsc::Sender<FeedEvent>,
    mut asked: mpsc::Receiver<(SourceId, Ask)>,
) {
    let mut supervisor = Supervisor {
        events: events.clone(),
        running: BTreeMap::new(),
        tasks: JoinSet::new(),
        next: 1,
        fleet: (options.fleet && matches!(feeds, Feeds::These(_))).then(Delivered::default),
    };
    match feeds {
        Feeds::These(feeds) => {
            for feed in feeds {
                supervisor.start(feed, Start::Recent(options.history), true);
            }
            loop {
                tokio::select! {
                    () = events.closed() => return,
                    Some((source, ask)) = asked.recv() => supervisor.ask(source, ask).await,
                    Some(ended) = supervisor.tasks.join_next(), if !supervisor.tasks.is_empty() => {
                        supervisor.ended(&ended);
                    }
                }
            }
        }
        Feeds::RunDir(folder) => supervisor.folder(folder, options, asked).await,
    }
}

impl Supervisor {
    fn start(&mut self, feed: FeedAddr, from: Start, forever: bool) -> SourceId {
        let id = SourceId(self.next);
        self.next = self.next.saturating_add(1);
        let (asks, asked) = mpsc::channel(16);
        let (announced, still) = watch::channel(true);
        let announcing = (!forever).then_some(still);
        let events = self.events.clone();
        let source = Source::new(id, feed, from, events, asked, announcing, self.fleet.clone());
        self.tasks.spawn(async move {
            source.run().await;
            id
        });
        self.running.insert(id, Running { asks, announced });
        id
    }

    fn ended(&mut self, ended: &Result<SourceId, tokio::task::JoinError>) {
        if let Ok(id) = ended {
            self.running.remove(id);
        }
    }

    async fn ask(&self, source: SourceId, ask: Ask) {
        let sent = self.running.get(&source).is_some_and(|running| running.asks.try_send(ask).is_ok());
        if !sent {
            let _ = self
                .events
                .send(FeedEvent::Reply {
                    source,
                    ok: false,
                    of: String::new(),
                    message: "that gateway is not there".to_owned(),
                })
                .await;
        }
    }

    async fn trouble(&self, message: String) {
        let _ = self.events.send(FeedEvent::Trouble { source: None, message }).await;
    }

    /// Watches a folder of discovery files.
    async fn folder(
        &mut self,
        folder: PathBuf,
        options: WatchOptions,
        mut asked: mpsc::Receiver<(SourceId, Ask)>,
    ) {
        let (sender, mut changed) = mpsc::channel::<()>(1);
        // Without a watcher the looks each second still find everything.
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Our own looking is an event too; it must not make us look again.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                let _ = sender.try_send(());
            }
        })
        .ok();
        let mut watching = false;
        let mut said = String::new();
        let mut known: BTreeMap<(u32, String), SourceId> = BTreeMap::new();
        let mut from = Start::Recent(options.history);
        loop {
            if !watching
                && let Some(watcher) = &mut watcher
                && crate::paths::private_dir(&folder).is_ok()
            {
                watching = watcher.watch(&folder, RecursiveMode::NonRecursive).is_ok();
            }
            match look(folder.clone()).await {
                Ok(entries) => {
                    let there: BTreeSet<(u32, String)> =
                        entries.iter().map(|entry| (entry.pid, entry.gateway.clone())).collect();
                    known.retain(|key, id| {
                        let stays = there.contains(key);
                        if !stays && let Some(running) = self.running.get(id) {
                            let _ = running.announced.send(false);
                        }
                        stays
                    });
                    for entry in entries {
                        let key = (entry.pid, entry.gateway.clone());
                        known.entry(key).or_insert_with(|| {
                            let feed = FeedAddr { url: entry.url(), token: entry.token };
                            self.start(feed, from, false)
                        });
                    }
                    said.clear();
                    // Whoever appears from now on began after the watching did.
                    from = Start::All;
                }
                Err(message) if message == said => {}
                Err(message) => {
                    said.clone_from(&message);
                    self.trouble(message).await;
                }
            }
            let deadline = tokio::time::Instant::now() + LOOK;
            loop {
                tokio::select! {
                    () = self.events.closed() => return,
                    Some(()) = changed.recv() => break,
                    () = tokio::time::sleep_until(deadline) => break,
                    Some((source, ask)) = asked.recv() => self.ask(source, ask).await,
                    Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => self.ended(&ended),
                }
            }
        }
    }
}

async fn look(folder: PathBuf) -> Result<Vec<discovery::Entry>, String> {
    match tokio::task::spawn_blocking(move || discovery::list(&folder)).await {
        Ok(Ok(entries)) => Ok(entries),
        Ok(Err(error)) => Err(format!("the gateways' folder cannot be read: {error}")),
        Err(error) => Err(error.to_string()),
    }
}
