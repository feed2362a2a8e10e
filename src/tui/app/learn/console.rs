//! The console: a call is typed, and the decision about it is drawn condition by condition, as the
//! arguments and the policy change.

use crate::json::{self, Node, Value};
use crate::policy::compiled::Compiled;
use crate::policy::decide::{Call, Circumstances};
use crate::policy::explain::Explanation;
use crate::policy::schema::{Argument, JsonType, ToolShape};
use crate::tui::action::When;
use crate::tui::app::field::Field;
use crate::tui::app::layer::Layer;
use crate::tui::app::{App, Screen};
use crate::tui::key::{Code, Key};
use crate::visible::visible;

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
    /// What Tab would put in; empty when nothing fits.
    pub offer: String,
    shape: ToolShape,
    /// The policy's generation and the text that were explained last.
    seen: Option<(u64, String)>,
}

impl Console {
    fn new(tool: &str, shape: ToolShape, arguments: &str) -> Self {
        Self {
            tool: tool.to_owned(),
            field: Field::with(arguments),
            top: 0,
            answer: None,
            remarks: Vec::new(),
            offer: String::new(),
            shape,
            seen: None,
        }
    }

    /// The arguments of the schema with their types, in one line.
    pub fn signature(&self) -> String {
        let top = self.shape.arguments.iter().filter(|argument| name(argument).is_some());
        let words: Vec<String> = top
            .map(|argument| {
                let mark = if argument.required { "" } else { "?" };
                format!("{}{mark}: {}", visible(name(argument).unwrap_or_default()), types(argument))
            })
            .collect();
        if words.is_empty() { "the schema names no arguments".to_owned() } else { words.join(", ") }
    }
}

/// The name of an argument that is no part of another.
fn name(argument: &Argument) -> Option<&str> {
    argument.path.strip_prefix("args.").filter(|rest| !rest.contains(['.', '[', '\\']))
}

fn types(argument: &Argument) -> String {
    if !argument.choices.is_empty() {
        let choices: Vec<String> = argument.choices.iter().take(6).map(ToString::to_string).collect();
        return visible(&choices.join("|")).into_owned();
    }
    let names: Vec<&str> = argument.types.iter().map(|kind| kind.name()).collect();
    if names.is_empty() { "any".to_owned() } else { names.join("|") }
}

/// The value that an argument begins with.
fn blank(argument: &Argument) -> String {
    if let Some(choice) = argument.choices.first() {
        return choice.to_string();
    }
    match argument.types.first() {
        Some(JsonType::Number | JsonType::Integer) => "0",
        Some(JsonType::Boolean) => "false",
        Some(JsonType::Array) => "[]",
        Some(JsonType::Object) => "{}",
        Some(JsonType::Null) => "null",
        Some(JsonType::String) | None => "\"\"",
    }
    .to_owned()
}

/// The arguments that every call needs, with values to begin from.
fn skeleton(shape: &ToolShape) -> String {
    let mut text = String::from("{");
    for argument in shape.arguments.iter().filter(|argument| argument.required) {
        let Some(name) = name(argument) else { continue };
        if text.len() > 1 {
            text.push_str(", ");
        }
        json::canonical::quote(name, &mut text);
        text.push_str(": ");
        text.push_str(&blank(argument));
    }
    text.push('}');
    text
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
            (app.live.live.ring.names.text(row.tool).to_owned(), arguments)
        }),
        _ => app.policy.table.selected_tool().map(|row| (row.name.to_string(), String::new())),
    };
    let Some((tool, mut arguments)) = chosen else { return };
    let shape = app.shape(&tool);
    if arguments.is_empty() {
        // What was really called is the best example.
        arguments = app.latest_arguments(&tool).unwrap_or_else(|| skeleton(&shape));
    }
    app.layers.push(Layer::Console(Box::new(Console::new(&tool, shape, &arguments))));
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
            console.field.paste(&offer);
        }
        _ => {
            console.field.key(key);
        }
    }
    true
}

/// Explains again what has changed: the arguments or the policy.
pub(super) fn keep(app: &mut App) {
    let Some(Layer::Console(console)) = app.layers.last_mut() else { return };
    let Some(editor) = &app.policy.editor else { return };
    let now = (editor.generation(), console.field.text().to_owned());
    // The offer also follows the cursor.
    console.offer = offer(&console.shape, console.field.text(), console.field.cursor());
    if console.seen.as_ref() == Some(&now) {
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
            remarks(&console.shape, &parsed.root, &mut console.remarks);
            let compiled = editor.document().map(Compiled::new);
            match compiled {
                Some(Ok(compiled)) => {
                    let call = Call { tool: &console.tool, arguments: Some(&parsed.root) };
                    console.answer = Some(Box::new(compiled.explain(&call, &Circumstances::default())));
                }
                Some(Err(error)) => console.remarks.push(error.to_string()),
                None => console.remarks.push("the policy has errors".to_owned()),
            }
        }
    }
    console.seen = Some(now);
}

/// What the schema has against the arguments; the policy may decide all the same.
fn remarks(shape: &ToolShape, root: &Node<'_>, out: &mut Vec<String>) {
    let Some(members) = root.as_object() else { return };
    for member in members {
        let given = member.key.as_str();
        let known = shape.arguments.iter().find(|argument| name(argument) == Some(given));
        match known {
            None if shape.open => {}
            None => out.push(format!("the tool has no argument `{}`", visible(given))),
            Some(argument) => {
                let fits = argument.types.is_empty()
                    || argument.types.iter().any(|kind| is_of(*kind, &member.value))
                    || member.value.is_null();
                if !fits {
                    out.push(format!("`{}` is {} by the schema", visible(given), types(argument)));
                } else if !argument.choices.is_empty() && !member.value.is_null() {
                    let spelt = json::canonical::canonical(&member.value);
                    let chosen = argument.choices.iter().any(|choice| {
                        let text = choice.to_string();
                        json::parse(&text)
                            .is_ok_and(|parsed| json::canonical::canonical(&parsed.root) == spelt)
                    });
                    if !chosen {
                        out.push(format!("`{}` is one of {}", visible(given), types(argument)));
                    }
                }
            }
        }
    }
    for argument in shape.arguments.iter().filter(|argument| argument.required) {
        if let Some(name) = name(argument).filter(|name| root.get(name).is_none()) {
            out.push(format!("`{}` is missing, and every call needs it", visible(name)));
        }
    }
}

fn is_of(kind: JsonType, node: &Node<'_>) -> bool {
    match kind {
        JsonType::Integer => match &node.value {
            Value::Number(spelt) => {
                crate::json::number::Decimal::parse(spelt).is_some_and(|it| it.is_integer())
            }
            _ => false,
        },
        kind => kind.name() == node.type_name(),
    }
}

/// What Tab puts in at the cursor: the rest of an argument's name with a value to begin from, the
/// value of an argument whose name was just typed, or an object's brackets.
fn offer(shape: &ToolShape, text: &str, cursor: usize) -> String {
    let Some((before, after)) = text.split_at_checked(cursor) else { return String::new() };
    let start = before.trim_end();
    if start.is_empty() {
        return if after.trim().is_empty() { skeleton(shape) } else { String::new() };
    }
    let given = |name: &str| {
        let mut quoted = String::new();
        json::canonical::quote(name, &mut quoted);
        text.contains(&format!("{quoted}:")) || text.contains(&format!("{quoted} :"))
    };
    let named = |argument: &&Argument| name(argument).is_some_and(|name| !given(name));
    let fresh = |argument: &Argument, typed: &str| {
        let mut quoted = String::new();
        json::canonical::quote(name(argument).unwrap_or_default(), &mut quoted);
        let rest = quoted.get(typed.len()..).unwrap_or_default();
        format!("{rest}: {}", blank(argument))
    };
    // A name that is being typed: after `{` or a comma, with its opening quote.
    if let Some(quote) = before.rfind('"') {
        let (head, typed) = before.split_at(quote);
        let partial = typed.get(1..).unwrap_or_default();
        let opens = head.matches('"').count() % 2 == 0;
        if opens && head.trim_end().ends_with(['{', ',']) {
            let fits = shape
                .arguments
                .iter()
                .filter(named)
                .find(|argument| name(argument).is_some_and(|name| name.starts_with(partial)));
            return fits.map_or_else(String::new, |argument| fresh(argument, typed));
        }
    }
    if before.matches('"').count() % 2 == 1 {
        // Within a text anything may stand.
        return String::new();
    }
    if start.ends_with(['{', ',']) {
        let space = if before.ends_with(',') { " " } else { "" };
        let next = shape.arguments.iter().find(named);
        return next.map_or_else(String::new, |argument| format!("{space}{}", fresh(argument, "")));
    }
    if let Some(key) = start.strip_suffix(':').and_then(|head| head.trim_end().strip_suffix('"')) {
        let known = key.rsplit('"').next().unwrap_or_default();
        let argument = shape.arguments.iter().find(|argument| name(argument) == Some(known));
        let space = if before.ends_with(':') { " " } else { "" };
        return argument.map_or_else(String::new, |argument| format!("{space}{}", blank(argument)));
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> ToolShape {
        let schema = serde_json::json!({"type":"object","required":["to","amount"],"additionalProperties":false,
            "properties":{"to":{"type":"string","enum":["eu","us"]},"amount":{"type":"integer"},"note":{"type":"string"}}});
        ToolShape::from_schema("pay", &schema)
    }

    #[test]
    fn what_every_call_needs_is_begun() {
        assert_eq!(skeleton(&shape()), r#"{"amount": 0, "to": "eu"}"#);
        assert_eq!(skeleton(&ToolShape::default()), "{}");
    }

    #[test]
    fn tab_completes_names_and_values() {
        for (text, offered) in [
            ("", r#"{"amount": 0, "to": "eu"}"#),
            ("{", r#""amount": 0"#),
            (r#"{"am"#, r#"ount": 0"#),
            (r#"{"n"#, r#"ote": """#),
            (r#"{"amount": 5,"#, r#" "note": """#),
            (r#"{"amount": 5, "t"#, r#"o": "eu""#),
            (r#"{"to":"#, r#" "eu""#),
            (r#"{"zzz"#, ""),
            (r#"{"amount": 5"#, ""),
            (r#"{"note": "a, "#, ""),
        ] {
            assert_eq!(offer(&shape(), text, text.len()), offered, "{text}");
        }
    }

    #[test]
    fn the_schema_has_its_say() {
        let said = |text: &str| {
            let mut out = Vec::new();
            remarks(&shape(), &json::parse(text).unwrap().root, &mut out);
            out.join("; ")
        };
        assert_eq!(said(r#"{"to":"eu","amount":3}"#), "");
        assert_eq!(
            said(r#"{"to":"moon","amount":1.5}"#),
            "`to` is one of \"eu\"|\"us\"; `amount` is integer by the schema"
        );
        assert_eq!(
            said(r#"{"to":"eu","cost":3}"#),
            "the tool has no argument `cost`; `amount` is missing, and every call needs it"
        );
    }
}
