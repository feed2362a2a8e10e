//! What the journals say of the open policy's rules: asked while the Health screen is shown, answered by
//! the runtime off this thread. The latest question wins.

use std::sync::Arc;

use crate::replay::health::Health;
use crate::time::Timestamp;
use crate::tui::app::policy::table::ToolRow;
use crate::tui::app::{App, Effect, Screen};

/// Calls that came since are looked at after so long at the earliest, in milliseconds.
const AGAIN: u64 = 30_000;
/// Reading anew takes at most one part in so many of the time.
const SHARE: u64 = 20;

/// A question: what recorded calls say of each rule of a text.
#[derive(Debug, Clone)]
pub struct Question {
    /// Names the question; later ones have larger numbers.
    pub number: u64,
    /// The policy file: the calls of those who were under it are looked at, else those of `servers`.
    pub path: std::path::PathBuf,
    /// Servers whose calls are looked at where no journal names the file.
    pub servers: Vec<String>,
    /// The policy's text, which is valid.
    pub text: Arc<str>,
    /// The tools that are known.
    pub tools: Arc<Vec<ToolRow>>,
}

impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

/// What the runtime is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum HealthEffect {
    /// Answer a question; what was asked before is given up.
    Ask(Box<Question>),
    /// Give up what was asked.
    Stop,
}

/// What is heard of a question.
#[derive(Debug, Clone)]
pub enum HealthMsg {
    /// So many calls were looked at so far.
    Progress(u64, u64),
    /// It is answered, or why it cannot be.
    Done(u64, Result<Arc<Answer>, String>),
}

/// What came of the recorded calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Each rule with what it decided.
    pub health: Health,
    /// Calls before this were left out: there are too many.
    pub cut: Option<Timestamp>,
}

/// How a question stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum State {
    /// Nothing is known, and nothing asked.
    #[default]
    Idle,
    /// So many calls were looked at.
    Reading(u64),
    /// It is answered.
    Known(Arc<Answer>),
    /// It cannot be answered.
    Failed(String),
}

/// The question and how it stands.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// How it stands.
    pub state: State,
    numbers: u64,
    /// What the newest question is about.
    about: Option<(Arc<str>, Arc<Vec<ToolRow>>)>,
    /// It is not answered yet.
    waits: bool,
    /// When it was asked, and how long the answer took.
    asked: u64,
    took: u64,
    /// How many decisions had come then.
    decisions: u64,
}

impl PartialEq for Recorded {
    fn eq(&self, other: &Self) -> bool {
        self.state == other.state
    }
}

impl Eq for Recorded {}

impl Recorded {
    /// What is known of the text.
    pub fn answer(&self) -> Option<&Arc<Answer>> {
        match &self.state {
            State::Known(answer) => Some(answer),
            _ => None,
        }
    }

    fn is_about(&self, text: &Arc<str>, tools: &Arc<Vec<ToolRow>>) -> bool {
        self.about
            .as_ref()
            .is_some_and(|(known, listed)| Arc::ptr_eq(known, text) && Arc::ptr_eq(listed, tools))
    }
}

/// Asks where the text, the tools or the calls are others than at the last question.
pub(crate) fn ask(app: &mut App, effects: &mut Vec<Effect>) {
    if app.screen != Screen::Health {
        return;
    }
    let decisions = app.live.live.ring.totals().decisions;
    let now = app.now.ms;
    let recorded = &mut app.health.recorded;
    let Some(editor) = app.policy.editor.as_ref().filter(|editor| editor.is_valid()) else {
        if recorded.waits {
            effects.push(Effect::Health(HealthEffect::Stop));
        }
        *recorded = Recorded { numbers: recorded.numbers + 1, ..Recorded::default() };
        return;
    };
    let (text, tools) = (editor.text(), app.policy.table.shared());
    if recorded.is_about(text, &tools) {
        let due = recorded.asked.saturating_add(AGAIN.max(recorded.took.saturating_mul(SHARE)));
        if recorded.waits || decisions == recorded.decisions || now < due {
            return;
        }
    } else {
        recorded.state = State::Reading(0);
    }
    recorded.numbers += 1;
    recorded.about = Some((Arc::clone(text), Arc::clone(&tools)));
    (recorded.waits, recorded.asked, recorded.decisions) = (true, now, decisions);
    let mut servers = app.policy.enforced_by.clone();
    servers.extend(app.policy.current().map(|server| server.name.clone()));
    effects.push(Effect::Health(HealthEffect::Ask(Box::new(Question {
        number: recorded.numbers,
        path: app.policy.path.clone(),
        servers,
        text: Arc::clone(text),
        tools,
    }))));
}

/// Something was heard of a question.
pub(crate) fn update(app: &mut App, msg: HealthMsg) {
    let now = app.now.ms;
    let recorded = &mut app.health.recorded;
    let (HealthMsg::Progress(number, _) | HealthMsg::Done(number, _)) = &msg;
    if *number != recorded.numbers || !recorded.waits {
        return;
    }
    match msg {
        HealthMsg::Progress(_, calls) => {
            // What is known stays in view while it is read anew.
            if matches!(recorded.state, State::Idle | State::Reading(_)) {
                recorded.state = State::Reading(calls);
            }
        }
        HealthMsg::Done(_, answer) => {
            recorded.waits = false;
            recorded.took = now.saturating_sub(recorded.asked);
            recorded.state = match answer {
                Ok(answer) => State::Known(answer),
                Err(why) => State::Failed(why),
            };
        }
    }
}
