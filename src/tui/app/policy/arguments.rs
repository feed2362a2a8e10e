//! A tool's arguments, from its schema.

use unicode_width::UnicodeWidthStr;

use super::inspect::{Line, heading};
use crate::mcp::tool::Tool;
use crate::policy::schema::{Argument, JsonType, ToolShape};
use crate::tui::theme::Role;

/// An argument as the forms need it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Arg {
    /// The path that conditions use.
    pub(super) path: String,
    /// Its types; empty when the schema does not say.
    pub(super) types: Vec<JsonType>,
    /// Calls must have it.
    pub(super) required: bool,
    /// The values it may have; empty when it may have any.
    pub(super) choices: Vec<serde_json::Value>,
    /// What the server says about it.
    pub(super) description: String,
}

impl Arg {
    /// Whether it holds a number and nothing else.
    pub(super) fn is_number(&self) -> bool {
        !self.types.is_empty()
            && self.types.iter().all(|it| matches!(it, JsonType::Number | JsonType::Integer))
    }

    /// Its type in a few characters: `string`, `number?`, `main|dev`.
    pub(super) fn type_words(&self) -> String {
        let types: Vec<&str> = self.types.iter().map(|it| it.name()).collect();
        let mut text = if types.is_empty() { "any".to_owned() } else { types.join("|") };
        if !self.choices.is_empty() {
            let plain =
                |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let shown: Vec<String> = self.choices.iter().take(6).map(plain).collect();
            text = crate::visible::visible(&shown.join("|")).into_owned();
            if self.choices.len() > 6 {
                text.push_str("|...");
            }
        }
        text
    }
}

/// The arguments of a tool.
pub(super) fn of(tool: &Tool) -> Vec<Arg> {
    let shape = ToolShape::from_schema(&tool.name, &tool.input_schema);
    shape.arguments.into_iter().map(arg).collect()
}

fn arg(argument: Argument) -> Arg {
    Arg {
        path: argument.path,
        types: argument.types,
        required: argument.required,
        choices: argument.choices,
        description: argument.description.unwrap_or_default(),
    }
}

/// The arguments of a tool for the inspector.
pub(super) fn lines(tool: &Tool, width: usize, lines: &mut Vec<Line>) {
    let all = of(tool);
    if all.is_empty() {
        return;
    }
    heading("Arguments", "* required", lines);
    let show = crate::visible::visible;
    let short = |arg: &Arg| show(arg.path.strip_prefix("args.").unwrap_or(&arg.path)).into_owned();
    let names = all.iter().map(|arg| short(arg).width() + 1).max().unwrap_or(0).clamp(8, 28);
    let types = all.iter().map(|arg| arg.type_words().width()).max().unwrap_or(0).clamp(6, 12);
    for arg in &all {
        let star = if arg.required { "*" } else { "" };
        let name = format!("{}{star}", short(arg));
        let words = arg.type_words();
        let mut line =
            Line::new(Role::Text, format!("{name:<names$}  ")).and(Role::Key, format!("{words:<types$}"));
        let left = width.saturating_sub(names.max(name.width()) + types.max(words.width()) + 4);
        let text = show(arg.description.lines().next().unwrap_or_default()).into_owned();
        if left >= 8 && !text.is_empty() {
            line = line.and(Role::Muted, format!("  {text}"));
        }
        lines.push(line);
    }
}
