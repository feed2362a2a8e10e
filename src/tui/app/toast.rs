//! Short messages about what happened; each goes away by itself.

/// What kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Done.
    Good,
    /// For information.
    Info,
    /// It could not be done, or look here.
    Warn,
    /// It failed.
    Bad,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    /// Its kind.
    pub kind: Kind,
    /// Its text.
    pub text: String,
    /// When it goes away, in milliseconds of `Now::ms`.
    pub until: u64,
}

/// The messages that are shown, the newest last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Toasts(Vec<Toast>);

/// How many are shown at once.
const MOST: usize = 3;

impl Toasts {
    /// Adds one; the same text again only stays longer.
    pub fn push(&mut self, kind: Kind, text: String, now: u64) {
        let time = match kind {
            Kind::Good | Kind::Info => 4_000,
            Kind::Warn => 6_000,
            Kind::Bad => 10_000,
        };
        self.0.retain(|toast| toast.text != text);
        self.0.push(Toast { kind, text, until: now.saturating_add(time) });
        if self.0.len() > MOST {
            self.0.remove(0);
        }
    }

    /// Drops what has had its time.
    pub fn expire(&mut self, now: u64) {
        self.0.retain(|toast| toast.until > now);
    }

    /// When the next one goes.
    pub fn next_end(&self) -> Option<u64> {
        self.0.iter().map(|toast| toast.until).min()
    }

    /// What is shown.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Toast> {
        self.0.iter()
    }
}
