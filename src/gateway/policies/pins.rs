//! Pins at work: each list that is relayed is compared with what a person accepted.
//!
//! Under `enforce` the comparison is made before the list goes on, so that no call that follows it
//! can be faster; under `warn` the background makes it. What was seen is kept in the store, so that
//! another gateway, or this one started again, knows a drift before its first list. A tool that was
//! never seen, or that stands on no list any more, has not drifted.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::watch::{self, Watch};
use crate::catalog::pins::{PinsError, check, place};
use crate::clock;
use crate::counters::SeenTool;
use crate::gateway::call::decider::Decider;
use crate::gateway::lock;
use crate::json::canonical::sha256;
use crate::mcp::list::Cut;
use crate::policy::document::revision;
use crate::policy::pins::{Definition, Pins};
use crate::record::EventKind;
use crate::time::Timestamp;

/// What is done about tools that have drifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PinMode {
    /// Nothing is compared.
    Off,
    /// They are reported.
    #[default]
    Warn,
    /// They are reported, and their calls are denied.
    Enforce,
}

impl PinMode {
    /// As it stands on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }
}

/// A tool whose definition differs from its pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gateway) struct Drifted {
    pub(in crate::gateway) pinned: String,
    pub(in crate::gateway) seen: String,
    pub(in crate::gateway) at: Timestamp,
}

/// By tool.
pub(in crate::gateway) type Drift = BTreeMap<String, Drifted>;

/// The pins of one grant's policy, and what was seen of its server.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Pinned {
    state: Mutex<State>,
    /// Whether drift denies, and there is any: most calls ask nothing more.
    denying: AtomicBool,
    drift: Mutex<Arc<Drift>>,
}

#[derive(Debug)]
struct State {
    mode: PinMode,
    path: Option<PathBuf>,
    pins: Arc<Pins>,
    /// What this grant's lists showed last.
    own: HashMap<String, Own>,
    /// The pages of a list that is not complete yet.
    pages: Option<HashMap<String, Own>>,
    /// What the store says that anyone's lists showed last.
    others: HashMap<String, (String, Timestamp)>,
    /// A complete list that the store does not know yet.
    unsaved: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            mode: PinMode::Off,
            path: None,
            pins: Arc::default(),
            own: HashMap::new(),
            pages: None,
            others: HashMap::new(),
            unsaved: false,
        }
    }
}

/// A definition as it was listed.
#[derive(Debug, Clone)]
struct Own {
    /// The SHA-256 of its bytes: one that is spelt as before need not be read again.
    raw: [u8; 32],
    digest: String,
    at: Timestamp,
}

impl Pinned {
    /// Whether a call of the tool is to be denied.
    pub(in crate::gateway) fn denies(&self, tool: &str) -> bool {
        self.denying.load(Ordering::Acquire) && lock(&self.drift).contains_key(tool)
    }

    /// What has drifted.
    pub(in crate::gateway) fn drift(&self) -> Arc<Drift> {
        Arc::clone(&lock(&self.drift))
    }

    pub(in crate::gateway) fn mode(&self) -> PinMode {
        lock(&self.state).mode
    }

    /// The pins, and where they lie; `None` where nothing is compared.
    pub(in crate::gateway) fn pins(&self) -> Option<(Arc<Pins>, PathBuf)> {
        let state = lock(&self.state);
        state.path.clone().filter(|_| state.mode != PinMode::Off).map(|path| (Arc::clone(&state.pins), path))
    }

    fn replace(&self, pins: Pins) {
        let mut state = lock(&self.state);
        state.pins = Arc::new(pins);
        self.compare(&state);
    }

    /// A list was relayed: `first` says whether it is the first page of one that was asked for, and
    /// `more` whether another page follows.
    pub(in crate::gateway) fn see<'d>(
        &self,
        first: Option<bool>,
        more: bool,
        tools: impl Iterator<Item = (&'d str, &'d [u8])>,
        now: Timestamp,
    ) {
        let mut state = lock(&self.state);
        if state.mode == PinMode::Off {
            return;
        }
        let mut page: HashMap<String, Own> = HashMap::new();
        for (name, bytes) in tools {
            let raw: [u8; 32] = Sha256::digest(bytes).into();
            let known = state.own.get(name).filter(|own| own.raw == raw).map(|own| own.digest.clone());
            let digest = known.unwrap_or_else(|| Definition::digest(bytes));
            let seen =
                page.entry(name.to_owned()).or_insert_with(|| Own { raw, digest: digest.clone(), at: now });
            if seen.digest != digest {
                // Readers differ on which of two definitions counts: together they are no accepted one.
                seen.digest = sha256(format!("{},{digest}", seen.digest).as_bytes());
                seen.raw = [0; 32];
            }
        }
        match first {
            Some(true) => state.pages = Some(page.clone()),
            Some(false) => {
                if let Some(pages) = &mut state.pages {
                    pages.extend(page.clone());
                }
            }
            None => {}
        }
        state.own.extend(page);
        // Only a complete list tells what is absent.
        if first.is_some()
            && !more
            && let Some(whole) = state.pages.take()
        {
            state.unsaved = whole.len() != state.others.len()
                || whole.iter().any(|(name, own)| {
                    state.others.get(name).is_none_or(|(digest, _)| *digest != own.digest)
                });
            state.own = whole;
        }
        self.compare(&state);
    }

    /// What the store says was seen.
    pub(in crate::gateway) fn heard(&self, seen: &[SeenTool]) {
        let mut state = lock(&self.state);
        state.others = seen.iter().map(|tool| (tool.tool.clone(), (tool.digest.clone(), tool.at))).collect();
        self.compare(&state);
    }

    /// A complete list that the store is to keep; told once.
    pub(in crate::gateway) fn take_unsaved(&self) -> Option<Vec<(String, String)>> {
        let mut state = lock(&self.state);
        if !std::mem::take(&mut state.unsaved) {
            return None;
        }
        Some(state.own.iter().map(|(name, own)| (name.clone(), own.digest.clone())).collect())
    }

    /// It could not be kept.
    pub(in crate::gateway) fn still_unsaved(&self) {
        lock(&self.state).unsaved = true;
    }

    fn compare(&self, state: &State) {
        let drift: Drift = state
            .pins
            .iter()
            .filter_map(|(tool, pin)| {
                let own = state.own.get(tool).map(|own| (&own.digest, own.at));
                let other = state.others.get(tool).map(|(digest, at)| (digest, *at));
                // Whoever saw it last is right, but no older sight of another gateway ends a drift here.
                let newer = other.filter(|(_, at)| own.is_none_or(|(_, own)| *at > own));
                let differs = |seen: &(&String, Timestamp)| *seen.0 != pin.sha256;
                let (seen, at) = own.filter(differs).or(newer.filter(differs))?;
                let drifted = Drifted { pinned: pin.sha256.clone(), seen: seen.clone(), at };
                Some((tool.to_owned(), drifted))
            })
            .collect();
        let denies = state.mode == PinMode::Enforce && !drift.is_empty();
        *lock(&self.drift) = Arc::new(drift);
        self.denying.store(denies, Ordering::Release);
    }
}

impl Decider {
    /// A list is about to be relayed: under `enforce` it is compared now, before any call can follow
    /// it.
    pub(in crate::gateway) fn see_before(&self, first: Option<bool>, list: &Cut<'_>) {
        if self.pins.mode() == PinMode::Enforce {
            self.see(first, list);
        }
    }

    /// A list was relayed: under `warn` there is time to compare it now.
    pub(in crate::gateway) fn see_after(&self, first: Option<bool>, list: &Cut<'_>) {
        if self.pins.mode() == PinMode::Warn {
            self.see(first, list);
        }
    }

    fn see(&self, first: Option<bool>, list: &Cut<'_>) {
        let tools = list.names.iter().map(String::as_str).zip(list.definitions());
        self.pins.see(first, list.next_cursor, tools, clock::now());
    }
}

/// Compares from now on, with the pins beside the decider's policy, for as long as the decider lives
/// and the watch is kept. `None` where nothing is to be compared.
///
/// # Errors
/// Under `enforce`, when the pins cannot be read or are not valid: nothing could be held against
/// them. Also when the file cannot be watched at all.
pub(in crate::gateway) fn begin(decider: &Arc<Decider>, mode: PinMode) -> Result<Option<Watch>, PinsError> {
    let Some(policy) = decider.who.policy.clone().filter(|_| mode != PinMode::Off) else { return Ok(None) };
    let path = place(&policy);
    let mut version = String::new();
    let pins = match watch::read(&path) {
        Ok(bytes) => {
            version = revision(&bytes);
            check(&path, &bytes)
        }
        Err(why) => Err(PinsError::Unreadable(path.clone(), why)),
    };
    let pins = match pins {
        Ok(pins) => pins,
        Err(error) if mode == PinMode::Enforce => return Err(error),
        // Nobody has accepted anything yet.
        Err(error) if error.is_missing() => Pins::default(),
        Err(error) => {
            reject(decider, &path, &error);
            Pins::default()
        }
    };
    {
        let mut state = lock(&decider.pins.state);
        state.mode = mode;
        state.path = Some(path.clone());
    }
    decider.pins.replace(pins);
    let weak = Arc::downgrade(decider);
    let at = path.clone();
    let watch = watch::watch(path.clone(), version, move |version| {
        let Some(decider) = weak.upgrade() else { return };
        match version {
            Ok(bytes) => match check(&at, &bytes) {
                Ok(pins) => decider.pins.replace(pins),
                Err(error) => reject(&decider, &at, &error),
            },
            // Without a file nobody has accepted anything; but pins that are enforced do not go away
            // by taking their file away.
            Err(why) if why.kind() == std::io::ErrorKind::NotFound && mode == PinMode::Warn => {
                decider.pins.replace(Pins::default());
            }
            Err(why) => reject(&decider, &at, &PinsError::Unreadable(at.clone(), why)),
        }
    });
    watch.map(Some).map_err(|why| PinsError::Unreadable(path, why))
}

/// A version that is not used.
fn reject(decider: &Decider, path: &std::path::Path, error: &PinsError) {
    crate::gateway::say(&format!("{error}; the pins before stay"));
    let data = json!({
        "state": "rejected", "path": path, "why": error.to_string(),
        "server": decider.who.server, "grant": decider.who.grant,
    });
    decider.desk.recorder.event(EventKind::Drift, None, None, data);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(name: &str, text: &str) -> Vec<u8> {
        json!({"name": name, "description": text}).to_string().into_bytes()
    }

    fn digest(name: &str, text: &str) -> String {
        Definition::digest(&definition(name, text))
    }

    fn pinned(mode: PinMode) -> Pinned {
        let mut pins = Pins::default();
        for name in ["a", "b"] {
            let text = String::from_utf8(definition(name, "one")).unwrap();
            pins.accept(Definition::read(&text).unwrap(), "ada", Timestamp(0));
        }
        let pinned = Pinned::default();
        lock(&pinned.state).mode = mode;
        pinned.replace(pins);
        pinned
    }

    fn see(pinned: &Pinned, first: Option<bool>, more: bool, tools: &[(&str, &str)], at: i64) {
        let tools: Vec<(&str, Vec<u8>)> =
            tools.iter().map(|(name, text)| (*name, definition(name, text))).collect();
        pinned.see(first, more, tools.iter().map(|(name, bytes)| (*name, bytes.as_slice())), Timestamp(at));
    }

    fn drifted(pinned: &Pinned) -> Vec<String> {
        pinned.drift().keys().cloned().collect()
    }

    fn heard(pinned: &Pinned, tool: &str, text: &str, at: i64) {
        let seen = SeenTool { tool: tool.to_owned(), digest: digest(tool, text), at: Timestamp(at) };
        pinned.heard(&[seen]);
    }

    #[test]
    fn a_list_tells_what_has_drifted_and_what_is_back() {
        let pinned = pinned(PinMode::Enforce);
        assert_eq!(drifted(&pinned), [""; 0], "what was never seen has not drifted");
        see(&pinned, Some(true), false, &[("a", "one"), ("b", "two"), ("c", "x")], 1);
        assert_eq!(drifted(&pinned), ["b"], "what has no pin has not drifted");
        assert!(pinned.denies("b") && !pinned.denies("a") && !pinned.denies("c"));
        see(&pinned, Some(true), false, &[("a", "one"), ("b", "one")], 2);
        assert!(drifted(&pinned).is_empty() && !pinned.denies("b"));
        see(&pinned, Some(true), false, &[("a", "two")], 3);
        assert_eq!(drifted(&pinned), ["a"]);
        see(&pinned, Some(true), false, &[("b", "one")], 4);
        assert_eq!(drifted(&pinned), [""; 0], "what stands on no list any more has not drifted");
        // Of two definitions with one name neither is the accepted one, whichever comes last.
        see(&pinned, Some(true), false, &[("a", "two"), ("a", "one"), ("b", "one"), ("b", "one")], 5);
        assert_eq!(drifted(&pinned), ["a"]);
    }

    #[test]
    fn a_page_tells_at_once_and_only_a_complete_list_what_is_absent() {
        let pinned = pinned(PinMode::Enforce);
        see(&pinned, Some(true), false, &[("a", "two"), ("b", "one")], 1);
        assert!(pinned.take_unsaved().is_some_and(|list| list.len() == 2) && pinned.take_unsaved().is_none());
        see(&pinned, Some(true), true, &[("b", "two")], 2);
        assert_eq!(drifted(&pinned), ["a", "b"], "the next page may still have `a`");
        assert_eq!(pinned.take_unsaved(), None);
        see(&pinned, Some(false), false, &[("c", "x")], 3);
        assert_eq!(drifted(&pinned), ["b"]);
        assert!(pinned.take_unsaved().is_some_and(|list| list.len() == 2));
        // A list that nobody asked for, and a last page alone, say nothing of what is absent.
        see(&pinned, None, false, &[("a", "two")], 4);
        see(&pinned, Some(false), false, &[("c", "x")], 5);
        assert_eq!(drifted(&pinned), ["a", "b"]);
    }

    #[test]
    fn what_others_saw_counts_unless_it_is_older() {
        let pinned = pinned(PinMode::Enforce);
        heard(&pinned, "a", "two", 10);
        assert_eq!(drifted(&pinned), ["a"], "known before the first list");
        see(&pinned, Some(true), false, &[("a", "one")], 20);
        assert_eq!(drifted(&pinned), [""; 0], "the list is newer");
        heard(&pinned, "a", "two", 30);
        assert_eq!(drifted(&pinned), ["a"]);
        see(&pinned, Some(true), false, &[("a", "two")], 40);
        heard(&pinned, "a", "one", 50);
        assert_eq!(drifted(&pinned), ["a"], "what this gateway itself saw stays until its next list");
        pinned.heard(&[]);
        assert_eq!(drifted(&pinned), ["a"]);
    }

    #[test]
    fn only_enforce_denies_and_off_compares_nothing() {
        let warn = pinned(PinMode::Warn);
        see(&warn, Some(true), false, &[("a", "two")], 1);
        assert_eq!(drifted(&warn), ["a"]);
        assert!(!warn.denies("a"));
        let off = pinned(PinMode::Off);
        see(&off, Some(true), false, &[("a", "two")], 1);
        assert_eq!(drifted(&off), [""; 0]);
    }

    #[test]
    fn accepting_ends_a_drift_without_another_list() {
        let pinned = pinned(PinMode::Enforce);
        see(&pinned, Some(true), false, &[("a", "two")], 1);
        let mut pins = Pins::clone(&lock(&pinned.state).pins);
        let text = String::from_utf8(definition("a", "two")).unwrap();
        pins.accept(Definition::read(&text).unwrap(), "eve", Timestamp(2));
        pinned.replace(pins);
        assert!(drifted(&pinned).is_empty() && !pinned.denies("a"));
    }
}
