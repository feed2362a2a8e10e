//! What the background does about pins: it keeps what lists showed, and tells people what drifts
//! and what is back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::pins::{Drift, PinMode};
use crate::clock;
use crate::feed::message::{DriftedTool, State};
use crate::gateway::desk::Desk;
use crate::policy::pins::Pins;
use crate::record::EventKind;
use crate::visible::visible;

/// Pins of one server and where they lie.
type Place = (String, PathBuf);

/// What was told so far.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Told {
    drift: HashMap<Place, Drift>,
    pins: HashMap<Place, Arc<Pins>>,
    /// The store could not keep a list; it is tried again after a while.
    failing: bool,
}

impl Told {
    /// The pins that hold for a server, as screens show them.
    pub(in crate::gateway) fn pins_of(&self, server: &str) -> BTreeMap<String, String> {
        let ours = self.pins.iter().filter(|((name, _), _)| name == server);
        ours.flat_map(|(_, pins)| pins.iter())
            .map(|(tool, pin)| (tool.to_owned(), pin.sha256.clone()))
            .collect()
    }

    /// Looks at every grant's pins. Gives the servers whose pins are others than before.
    pub(in crate::gateway) fn turn(&mut self, desk: &Desk, again: bool) -> BTreeSet<String> {
        let mut drift: HashMap<Place, Drift> = HashMap::new();
        let mut pins: HashMap<Place, Arc<Pins>> = HashMap::new();
        let mut enforced = BTreeSet::new();
        self.failing &= !again;
        for decider in desk.deciders() {
            let Some((own, path)) = decider.pins.pins() else { continue };
            let server = decider.who.server.clone();
            if decider.pins.mode() == PinMode::Enforce {
                enforced.insert(server.clone());
            }
            if !self.failing
                && let Some(list) = decider.pins.take_unsaved()
            {
                let kept =
                    desk.store().is_some_and(|store| store.see_tools(clock::now(), &server, &list).is_ok());
                if !kept {
                    decider.pins.still_unsaved();
                    self.failing = true;
                }
            }
            let place = (server, path);
            let now = decider.pins.drift();
            drift
                .entry(place.clone())
                .or_default()
                .extend(now.iter().map(|(tool, one)| (tool.clone(), one.clone())));
            pins.insert(place, own);
        }
        let mut changed = BTreeSet::new();
        for (place, now) in &drift {
            let before = self.drift.get(place);
            if before.map_or(now.is_empty(), |before| before == now) {
                continue;
            }
            let nothing = Drift::new();
            tell(desk, place, before.unwrap_or(&nothing), now, pins.get(place), enforced.contains(&place.0));
            changed.insert(place.0.clone());
        }
        let others: BTreeSet<String> = pins
            .iter()
            .filter(|(place, now)| self.pins.get(*place).is_none_or(|before| !Arc::ptr_eq(before, now)))
            .map(|((server, _), _)| server.clone())
            .collect();
        self.drift = drift;
        self.pins = pins;
        for server in changed {
            self.show(desk, server);
        }
        others
    }

    fn show(&self, desk: &Desk, server: String) {
        let Some(hub) = desk.recorder.hub() else { return };
        let mut drifted: BTreeMap<&String, DriftedTool> = BTreeMap::new();
        for (_, drift) in self.drift.iter().filter(|((name, _), _)| *name == server) {
            for (tool, one) in drift {
                let shown = DriftedTool {
                    tool: tool.clone(),
                    pinned: one.pinned.clone(),
                    seen: one.seen.clone(),
                    at: one.at,
                };
                drifted.insert(tool, shown);
            }
        }
        let drifted = drifted.into_values().collect();
        hub.set_state(State::Drift { server, drifted });
    }
}

/// Records what drifted and what is back.
fn tell(
    desk: &Desk,
    (server, path): &Place,
    before: &Drift,
    now: &Drift,
    pins: Option<&Arc<Pins>>,
    enforced: bool,
) {
    for (tool, one) in now {
        if before.get(tool).is_some_and(|known| known.seen == one.seen && known.pinned == one.pinned) {
            continue;
        }
        let then = if enforced { "; its calls are denied" } else { "" };
        crate::gateway::say(&format!(
            "the definition of tool `{}` of server `{}` is not the one that was accepted{then}",
            visible(tool),
            visible(server)
        ));
        let data = json!({
            "state": "drifted", "server": server, "tool": tool, "pinned": one.pinned, "seen": one.seen,
            "path": path,
        });
        desk.recorder.event(EventKind::Drift, None, None, data);
    }
    for (tool, one) in before.iter().filter(|(tool, _)| !now.contains_key(*tool)) {
        let accepted = pins.and_then(|pins| pins.get(tool)).filter(|pin| pin.sha256 == one.seen);
        let reason = accepted.map(|_| "accepted".to_owned());
        let data =
            json!({"state": "back", "server": server, "tool": tool, "pinned": one.pinned, "path": path});
        desk.recorder.event(EventKind::Drift, accepted.map(|pin| pin.by.clone()), reason, data);
    }
}
