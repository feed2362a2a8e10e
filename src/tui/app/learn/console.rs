//! The console: a call is typed, and the decision about it is drawn condition by condition, as the
//! arguments, the policy and the counters change.

pub mod counted;
mod typing;

use self::counted::Who;
use self::typing::Offer;
use crate::json;
use crate::policy::compiled::Compiled;
use crate::policy::counter::Amount;
use crate::policy::decide::{Call, Charge, Circumstances};
use crate::policy::explain::Explanation;
use crate::policy::schema::ToolShape;
use crate::tui::action::When;
use crate::tui::app::field::Field;
use crate::tui::app::layer::Layer;
use crate::tui::app::{App, Screen};
use crate::tui::key::{Code, Key};

/// The console, a dialog.
#[derive(Debug, Clone, PartialEq)]
pub struct Console {
    /// The tool that is called.
    pub tool: String,
    /// The arguments as they are typed: JSON.
    pub field: Field,
    /// The first line of the trace that is drawn.
    pub top: usize,
    /// The decision, as far as the arguments can be read.
    pub answer: Option<Box<Explanation>>,
    /// What is wrong with the arguments, or strange by the schema.
    pub remarks: Vec<String>,
    /// What Tab would put in, and what is to stand at the cursor.
    pub offer: Offer,
    /// Whose counters are reckoned with; `None`: nobody is known to be under this policy.
    pub who: Option<Who>,
    /// Counters are taken to be empty, whatever gateways say.
    pub empty: bool,
    shape: ToolShape,
    /// The policy's generation, the text and whether with empty counters: what was explained last.
    seen: Option<(u64, String, bool)>,
    /// What the counters held then, in the order of the limits.
    used: Vec<Option<Amount>>,
}

impl Console {
    fn new(tool: &str, shape: ToolShape, arguments: &str, who: Option<Who>) -> Self {
        Self {
            tool: tool.to_owned(),
            field: Field::with(arguments),
            top: 0,
            answer: None,
            remarks: Vec::new(),
            offer: Offer::default(),
            who,
            empty: false,
            shape,
            seen: None,
            used: Vec::new(),
        }
    }

    /// Whose counters are reckoned with, in words, and how to change that.
    pub fn counters_words(&self) -> String {
        match &self.who {
            None => "counters taken to be empty: no gateway tells of any".to_owned(),
            Some(who) if self.empty => format!("counters taken to be empty; F2: as {} has them", who.words()),
            Some(who) => format!("counters as reported for {}; F2: empty ones", who.words()),
        }
    }
}

impl App {
    pub(crate) fn can_explain(&self) -> When {
        if self.policy.editor.is_none() {
            return When::Not("the policy is not read yet".to_owned());
        }
        match self.screen {
            Screen::Live => {
                let names = &self.live.live.ring.names;
                let call = self.live.live.selected_row();
                let call =
                    call.is_some_and(|row| row.verdict().is_some() && !names.text(row.tool).is_empty());
                When::if_so(call, "no call of a tool is selected")
            }
            _ => When::if_so(self.policy.table.selected_tool().is_some(), "no tool is selected"),
        }
    }

    /// What is known of a tool's arguments.
    fn shape(&self, tool: &str) -> ToolShape {
        let row = self.policy.table.tools().iter().find(|row| &*row.name == tool);
        match row {
            Some(row) => ToolShape::from_schema(tool, &row.tool.input_schema),
            None => ToolShape { name: tool.to_owned(), arguments: Vec::new(), open: true },
        }
    }

    /// The arguments of the latest call of a tool among those at hand.
    fn latest_arguments(&self, tool: &str) -> Option<String> {
        let ring = &self.live.live.ring;
        let name = ring.names.find(tool)?;
        let mut ids = (ring.first()..ring.next()).rev().take(LOOKED_THROUGH);
        let row = ids.find_map(|id| ring.get(id).filter(|row| row.tool == name && row.args.len() > 2))?;
        Some(row.args.to_string())
    }
}

/// How many of the latest rows are looked through for an example.
const LOOKED_THROUGH: usize = 20_000;

/// Opens the console on the selected tool, or on the selected call.
pub(in crate::tui::app) fn open(app: &mut App) {
    let chosen = match app.screen {
        Screen::Live => app.live.live.selected_row().map(|row| {
            let arguments = if row.args.is_empty() { "{}".to_owned() } else { row.args.to_string() };
            let tool = app.live.live.ring.names.text(row.tool).to_owned();
            (tool, arguments, Some(Who::of(app, row)))
        }),
        _ => app.policy.table.selected_tool().map(|row| {
            let tool = row.name.to_string();
            let who = Who::likely(app, &tool);
            (tool, String::new(), who)
        }),
    };
    let Some((tool, mut arguments, who)) = chosen else { return };
    let shape = app.shape(&tool);
    if arguments.is_empty() {
        // What was really called is the best example.
        arguments = app.latest_arguments(&tool).unwrap_or_else(|| typing::skeleton(&shape, "args"));
    }
    app.layers.push(Layer::Console(Box::new(Console::new(&tool, shape, &arguments, who))));
}

/// Takes a key; `false`: it closes.
pub(in crate::tui::app) fn key(console: &mut Console, key: Key) -> bool {
    match key.code {
        Code::Esc => return false,
        Code::Char('c') if key.ctrl => return false,
        Code::Up => console.top = console.top.saturating_sub(1),
        Code::Down => console.top = console.top.saturating_add(1),
        Code::PageUp => console.top = console.top.saturating_sub(10),
        Code::PageDown => console.top = console.top.saturating_add(10),
        Code::Tab => {
            let offer = std::mem::take(&mut console.offer);
            console.field.paste(&offer.text);
            for _ in 0..offer.back {
                console.field.key(Key::plain(Code::Left));
            }
        }
        Code::F(2) => console.empty = !console.empty,
        _ => {
            console.field.key(key);
        }
    }
    true
}

/// Explains again what has changed: the arguments, the policy or the counters.
pub(super) fn keep(app: &mut App) {
    let Some(Layer::Console(console)) = app.layers.last_mut() else { return };
    let Some(editor) = &app.policy.editor else { return };
    let now = (editor.generation(), console.field.text().to_owned(), console.empty);
    // The offer also follows the cursor.
    console.offer = typing::offer(&console.shape, console.field.text(), console.field.cursor());
    let who = console.who.clone().filter(|_| !console.empty);
    let held = |counter: &str, window, scope| {
        who.as_ref()?.used(&app.counters, (counter, window, scope), app.now.ts)
    };
    let used = |answer: &Explanation| -> Vec<Option<Amount>> {
        answer.limits.iter().map(|limit| held(&limit.counter, limit.window, limit.scope)).collect()
    };
    if console.seen.as_ref() == Some(&now)
        && console.answer.as_deref().is_none_or(|answer| used(answer) == console.used)
    {
        return;
    }
    let text = if now.1.trim().is_empty() { "{}" } else { &now.1 };
    console.remarks.clear();
    console.answer = None;
    match json::parse(text) {
        Err(error) => console.remarks.push(format!("not JSON yet: {error}")),
        Ok(parsed) => {
            if !parsed.duplicates.is_empty() {
                console.remarks.push("a name stands twice: the gateway refuses such a call".to_owned());
            }
            typing::remarks(&console.shape, &parsed.root, &mut console.remarks);
            let compiled = editor.document().map(Compiled::new);
            match compiled {
                Some(Ok(compiled)) => {
                    let call = Call { tool: &console.tool, arguments: Some(&parsed.root) };
                    let mut standing = |charge: &Charge| {
                        let limit = &charge.limit;
                        let used = held(&limit.counter, limit.window, limit.scope)?;
                        Some((used, counted::resets_at(limit.window, app.now.ts)))
                    };
                    let circumstances = Circumstances::default();
                    let answer = compiled.explain_counted(&call, &circumstances, &mut standing);
                    console.used = used(&answer);
                    console.answer = Some(Box::new(answer));
                }
                Some(Err(error)) => console.remarks.push(error.to_string()),
                None => console.remarks.push("the policy has errors".to_owned()),
            }
        }
    }
    console.seen = Some(now);
}
