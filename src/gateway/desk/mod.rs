//! What all sessions of one gateway process share: where is recorded, the store, the copy of what
//! stands above every policy, and whose calls are decided here.

pub(super) mod keeper;
pub(super) mod notify;
pub(super) mod operators;
pub(super) mod recorder;
pub(super) mod tally;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tokio::runtime::{Handle, RuntimeFlavor};

use self::notify::Notifier;
use self::recorder::Recorder;
use self::tally::Tally;
use crate::counters::{Store, StoreError, StorePlace};
use crate::gateway::call::conversation::Conversation;
use crate::gateway::call::decider::Decider;
use crate::gateway::call::standing;
use crate::gateway::lock;
use crate::gateway::ops::Gauges;
use crate::gateway::traces::Tracer;
use crate::journal;
use crate::paths::Paths;
use crate::policy::counter::Taken;
use crate::record::mask::{Masker, Mode};

/// Does what may have to wait. Where this thread serves others' requests too, another one does so
/// meanwhile: handing them over costs as much as the store does, and so only what asks the store is done
/// like this.
fn patiently<T>(work: impl FnOnce() -> T) -> T {
    let shared =
        Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if shared { tokio::task::block_in_place(work) } else { work() }
}

/// How many lists wait for the screens at most; what is older is of no use to them.
const LISTS: usize = 64;

/// What every session of a gateway process shares. Its locks are held for moments, never while
/// waiting for a peer.
pub(super) struct Desk {
    /// The gateway's name.
    pub(super) name: String,
    pub(super) paths: Paths,
    /// Where counters, freezes and overrides are shared.
    pub(super) counters: StorePlace,
    pub(super) recorder: Recorder,
    pub(super) standing: standing::Copy,
    pub(super) tally: Tally,
    /// What transports tell operators.
    pub(super) gauges: Gauges,
    pub(super) masker: Masker,
    /// The largest message of a client, in bytes.
    pub(super) max_message: usize,
    /// Calls pass although they could not be recorded or counted.
    pub(super) fail_open: bool,
    store: Mutex<Option<Arc<dyn Store>>>,
    deciders: Mutex<Vec<Weak<Decider>>>,
    /// The store failed a call since this was last asked.
    trouble: Mutex<Option<String>>,
    troubled: AtomicBool,
    /// Lists that were relayed, for the screens.
    lists: Mutex<Vec<ShownList>>,
    conversations: AtomicU64,
    /// Those in which calls wait for a person.
    holding: Mutex<Vec<Arc<Conversation>>>,
    /// How much those calls hold, in bytes.
    pub(super) held_bytes: AtomicUsize,
    /// Who is served differs from what the screens were told.
    changed: AtomicBool,
    closed: AtomicBool,
}

/// A page of a list that was relayed.
pub(super) struct ShownList {
    /// The server's name.
    pub(super) server: String,
    /// Whose page it is: pages of two conversations make no list.
    pub(super) conversation: u64,
    /// Who decides its calls.
    pub(super) decider: Weak<Decider>,
    /// Whether it is the first page.
    pub(super) first: bool,
    /// The message that holds it.
    pub(super) message: Vec<u8>,
}

/// What a desk needs to know.
pub(super) struct Setting {
    /// The gateway's name.
    pub(super) name: String,
    /// The id of this run.
    pub(super) run: String,
    /// Where state lies.
    pub(super) paths: Paths,
    /// Where counters, freezes and overrides are shared.
    pub(super) counters: StorePlace,
    /// How much of the arguments is recorded.
    pub(super) record_args: Mode,
    /// The largest message of a client, in bytes.
    pub(super) max_message: usize,
    /// Calls pass although they could not be recorded or counted.
    pub(super) fail_open: bool,
    /// The command that tells people of denies, approvals and freezes.
    pub(super) notify: Option<String>,
}

impl Desk {
    /// Opens the journal and the key for masking; where that fails, says so. The store and the feed
    /// come later, from the background.
    pub(super) fn open(setting: Setting) -> Self {
        let Setting { name, run, paths, counters, record_args, max_message, fail_open, notify } = setting;
        let key = journal::key(&paths.state).unwrap_or_else(|error| {
            crate::gateway::say(&format!(
                "the key for masking cannot be kept, so masks of this run are its own: {error}"
            ));
            let mut key = [0_u8; 32];
            // Without randomness either, nothing of the arguments' values is recorded but their masks.
            let _ = getrandom::fill(&mut key);
            key
        });
        let (recorder, trouble) = Recorder::open(paths.journal(), run);
        if let Some(error) = trouble {
            let then = if fail_open { "calls pass unrecorded (--fail-open)" } else { "every call is denied" };
            crate::gateway::say(&format!("the journal cannot be written, so {then}: {error}"));
        }
        if let Some(command) = notify {
            match Notifier::start(command) {
                Ok(notifier) => recorder.notify(notifier),
                Err(error) => crate::gateway::say(&format!("nobody is told by --notify: {error}")),
            }
        }
        if let Some(tracer) = Tracer::from_environment() {
            recorder.trace(tracer);
        }
        Self {
            name,
            paths,
            counters,
            recorder,
            masker: Masker::new(key, record_args),
            max_message,
            fail_open,
            standing: standing::Copy::default(),
            tally: Tally::default(),
            gauges: Gauges::default(),
            store: Mutex::new(None),
            deciders: Mutex::new(Vec::new()),
            trouble: Mutex::new(None),
            troubled: AtomicBool::new(false),
            lists: Mutex::new(Vec::new()),
            conversations: AtomicU64::new(0),
            holding: Mutex::new(Vec::new()),
            held_bytes: AtomicUsize::new(0),
            changed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// Everyone whose calls are decided here.
    pub(super) fn deciders(&self) -> Vec<Arc<Decider>> {
        lock(&self.deciders).iter().filter_map(Weak::upgrade).collect()
    }

    /// Another grant is served from now on, for as long as the decider lives.
    pub(super) fn serve(&self, decider: &Arc<Decider>) {
        let mut deciders = lock(&self.deciders);
        deciders.retain(|known| known.strong_count() > 0);
        deciders.push(Arc::downgrade(decider));
        drop(deciders);
        self.served_differently();
    }

    /// A policy or a grant changed: the screens are to be told.
    pub(super) fn served_differently(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Whether that was said since this was last asked.
    pub(super) fn take_served_differently(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    /// The store is at hand.
    pub(super) fn connect(&self, store: Arc<dyn Store>) {
        *lock(&self.store) = Some(store);
    }

    pub(super) fn store(&self) -> Option<Arc<dyn Store>> {
        lock(&self.store).clone()
    }

    /// Asks the store for something that a call needs. A failure is also told to the people.
    ///
    /// # Errors
    /// When there is no store, or it fails.
    pub(super) fn with_store<T>(
        &self,
        ask: impl FnOnce(&dyn Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let done = match self.store() {
            Some(store) => patiently(|| ask(store.as_ref())),
            None => Err(StoreError { place: "(none)".to_owned(), why: "it could not be opened".to_owned() }),
        };
        if let Err(error) = &done {
            *lock(&self.trouble) = Some(error.to_string());
            self.troubled.store(true, Ordering::Relaxed);
        }
        done
    }

    /// What the store said when it last failed a call; told once.
    pub(super) fn trouble(&self) -> Option<String> {
        if self.troubled.swap(false, Ordering::Relaxed) { lock(&self.trouble).take() } else { None }
    }

    /// Gives back what was counted. `true` when something was.
    pub(super) fn release(&self, taken: &[Taken]) -> bool {
        !taken.is_empty() && self.with_store(|store| store.release(taken)).is_ok()
    }

    /// Gives back what an ended call has to, and records its outcome.
    pub(super) fn end_call(&self, ended: &crate::gateway::call::session::Ended) {
        let released = self.release(&ended.release);
        self.recorder.outcomes(std::iter::once((ended.clone(), released)), crate::clock::now());
    }

    /// A number that no other conversation of this process has.
    pub(super) fn number_conversation(&self) -> u64 {
        self.conversations.fetch_add(1, Ordering::Relaxed)
    }

    /// A call waits in this conversation, which is kept until none does, whatever becomes of its
    /// client.
    pub(super) fn hold(&self, conversation: Arc<Conversation>) {
        let mut holding = lock(&self.holding);
        if !holding.iter().any(|known| Arc::ptr_eq(known, &conversation)) {
            holding.push(conversation);
        }
    }

    /// The conversations in which calls wait.
    pub(super) fn holding(&self) -> Vec<Arc<Conversation>> {
        let mut holding = lock(&self.holding);
        holding.retain(|conversation| !conversation.holds_none());
        holding.clone()
    }

    /// Keeps a list for the screens.
    pub(super) fn show_list(&self, list: ShownList) {
        let mut lists = lock(&self.lists);
        if list.first {
            lists.retain(|known| known.server != list.server || known.conversation != list.conversation);
        }
        if lists.len() < LISTS {
            lists.push(list);
        }
    }

    /// The lists since this was last asked.
    pub(super) fn take_lists(&self) -> Vec<ShownList> {
        std::mem::take(&mut *lock(&self.lists))
    }

    /// Everything is over.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        // The background may have had no turn since the store last failed a call.
        if let Some(why) = self.trouble() {
            crate::gateway::say(&why);
            let data = serde_json::json!({"state": "failed", "why": why});
            self.recorder.event(crate::record::EventKind::Store, None, None, data);
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}
