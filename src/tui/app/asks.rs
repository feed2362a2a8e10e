//! What gateways were asked, until it is known which of them took it.
//!
//! Freezes and overrides lie in stores. Gateways of one user share one, others have their own, and
//! no monitor can tell which do: all that are concerned are asked, under one id, and what each of
//! them then says to be in force is the answer. A gateway that refuses because another one of its
//! store was faster has it all the same.

use super::approvals::Given;
use super::feeds::{Gateway, Source};
use super::{App, Kind};

/// How long after the last answer the states of the gateways may take, in milliseconds.
const SETTLE: u64 = 1_500;

/// What shows in a gateway's state that it took what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A freeze with this id is in force, or no more.
    Freeze(String, bool),
    /// An override with this id is in force, or no more.
    Override(String, bool),
    /// Its answer alone: the approval with this id, and how this person decided.
    Approval(String, Given),
}

impl Proof {
    fn holds(&self, gateway: &Gateway) -> bool {
        match self {
            Self::Freeze(id, there) => gateway.freezes.iter().any(|freeze| freeze.id == *id) == *there,
            Self::Override(id, there) => {
                // One for each run has the run's mark after a dot.
                let is = |other: &str| {
                    other
                        .strip_prefix(id.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                };
                gateway.overrides.iter().any(|entry| is(&entry.id)) == *there
            }
            Self::Approval(..) => false,
        }
    }
}

/// Something that was asked of gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The `type` of what was asked.
    of: &'static str,
    /// What has been done then: `frozen`.
    done: &'static str,
    /// With what: `server git`.
    what: String,
    proof: Proof,
    waiting: Vec<Source>,
    took: Vec<Source>,
    refused: Vec<(Source, String)>,
    /// When it is settled at the latest, once all have answered.
    settles_at: Option<u64>,
}

impl Asked {
    /// Asked of these.
    pub fn new(
        of: &'static str,
        done: &'static str,
        what: impl Into<String>,
        proof: Proof,
        of_whom: &[Source],
    ) -> Self {
        Self {
            of,
            done,
            what: what.into(),
            proof,
            waiting: of_whom.to_vec(),
            took: Vec::new(),
            refused: Vec::new(),
            settles_at: None,
        }
    }
}

/// Everything that is not settled yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asks(Vec<Asked>);

impl Asks {
    /// Remembers what was asked.
    pub fn push(&mut self, asked: Asked) {
        self.0.push(asked);
    }

    /// Whether a decision on this approval is on its way.
    pub fn decides(&self, id: &str) -> bool {
        self.0.iter().any(|asked| matches!(&asked.proof, Proof::Approval(other, _) if other == id))
    }

    /// When something here is settled by time alone, in milliseconds of `Now::ms`.
    pub fn next_end(&self) -> Option<u64> {
        self.0.iter().filter_map(|asked| asked.settles_at).min()
    }

    /// Takes an answer; `false` when nothing like that was asked.
    fn answer(&mut self, source: Source, ok: bool, of: &str, message: &str) -> bool {
        let asked = self.0.iter_mut().find(|asked| asked.of == of && asked.waiting.contains(&source));
        let Some(asked) = asked else { return false };
        asked.waiting.retain(|other| *other != source);
        if ok {
            asked.took.push(source);
        } else {
            asked.refused.push((source, message.to_owned()));
        }
        true
    }
}

/// Takes an answer of a gateway; `false` when nothing like that was asked.
pub(super) fn answer(app: &mut App, source: Source, ok: bool, of: &str, message: &str) -> bool {
    let known = app.asks.answer(source, ok, of, message);
    settle(app);
    known
}

/// A gateway is gone: it answers nothing more.
pub(super) fn lost(app: &mut App, source: Source) {
    for asked in &mut app.asks.0 {
        if asked.waiting.contains(&source) {
            asked.waiting.retain(|other| *other != source);
            asked.refused.push((source, "it was lost before it answered".to_owned()));
        }
    }
    settle(app);
}

/// Says what came of that which is settled.
pub(super) fn settle(app: &mut App) {
    let now = app.now.ms;
    let mut open = Vec::new();
    for mut asked in std::mem::take(&mut app.asks.0) {
        let proves = |source: Source| app.feeds.gateway(source).is_some_and(|it| asked.proof.holds(it));
        let (late, refused): (Vec<_>, Vec<_>) =
            std::mem::take(&mut asked.refused).into_iter().partition(|(source, _)| proves(*source));
        asked.refused = refused;
        asked.took.extend(late.into_iter().map(|(source, _)| source));
        let waits = if asked.waiting.is_empty() {
            let settles_at = *asked.settles_at.get_or_insert(now.saturating_add(SETTLE));
            // States say who has it after all, or who was faster.
            let known = match &asked.proof {
                Proof::Approval(id, _) => faster(app, id).is_some(),
                _ => asked.took.is_empty(),
            };
            !asked.refused.is_empty() && !known && now < settles_at
        } else {
            true
        };
        if waits {
            open.push(asked);
        } else {
            conclude(app, &asked);
        }
    }
    // Nothing is asked while this runs.
    app.asks.0 = open;
}

/// Who decided an approval before this person did, or how it ended.
fn faster(app: &App, id: &str) -> Option<String> {
    let entry = app.approvals.get(id)?;
    let by = entry.given.as_ref().map(|given| given.by.as_str()).filter(|by| !by.is_empty());
    match (entry.word()?, by) {
        (word, Some(by)) => Some(format!("{} was faster: it was {word}", crate::visible::visible(by))),
        ("expired", None) => Some("its time was over".to_owned()),
        ("cancelled", None) => Some("the caller left".to_owned()),
        _ => None,
    }
}

fn conclude(app: &mut App, asked: &Asked) {
    let Asked { done, what, .. } = asked;
    let whys: Vec<String> = asked
        .refused
        .iter()
        .map(|(source, why)| format!("{}: {}", app.feeds.names(&[*source]), crate::visible::visible(why)))
        .collect();
    if let Proof::Approval(id, given) = &asked.proof {
        if let Some((_, why)) = asked.refused.first() {
            let why = faster(app, id).unwrap_or_else(|| crate::visible::visible(why).into_owned());
            return app.toast(Kind::Bad, format!("not {done}: {what}: {why}"));
        }
        app.toast(Kind::Good, format!("{done}: {what}"));
        return app.approvals.decided(id, given);
    }
    match (asked.took.is_empty(), whys.is_empty()) {
        (false, true) => {
            // What can be taken back says by which key.
            let undo = match &asked.proof {
                Proof::Freeze(_, true) => " (U lifts it)",
                Proof::Override(_, true) => " (O ends it)",
                _ => "",
            };
            app.toast(Kind::Good, format!("{done}: {what}; taken by {}{undo}", app.feeds.names(&asked.took)));
        }
        (false, false) => {
            let by = app.feeds.names(&asked.took);
            app.toast(Kind::Bad, format!("{done}: {what}; taken by {by}, but not by {}", whys.join("; ")));
        }
        (true, _) => app.toast(Kind::Bad, format!("not {done}: {what}: {}", whys.join("; "))),
    }
}
