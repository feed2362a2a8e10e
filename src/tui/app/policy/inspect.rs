//! The inspector: what there is to say about the selected row, as lines of styled parts.

use super::{App, table::Item};
use crate::tui::app::layer::Step;
use crate::tui::theme::Role;

/// A line of the inspector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Its parts, left to right.
    pub parts: Vec<(Role, String)>,
    /// What can be done with it; `None`: it is only read.
    pub target: Option<Target>,
}

/// What a line stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The tool's state.
    State,
}

impl Line {
    fn new(role: Role, text: impl Into<String>) -> Self {
        Self { parts: vec![(role, text.into())], target: None }
    }

    fn and(mut self, role: Role, text: impl Into<String>) -> Self {
        self.parts.push((role, text.into()));
        self
    }
}

/// The lines about the selected row, wrapped to a width.
pub fn lines(app: &App, width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    match app.policy.table.item() {
        None => {}
        Some(Item::Default) => {
            lines.push(Line::new(Role::Text, "What happens to tools that the policy does not list."))
        }
        Some(Item::AllTools) => {
            lines.push(Line::new(Role::Text, "Limits that count every call of every tool."))
        }
        Some(Item::Tool(index)) => {
            let Some(row) = app.policy.table.row(index) else { return lines };
            let risk = &row.risk;
            lines.push(
                Line::new(super::inspect::severity_role(risk.severity), risk.severity.name())
                    .and(Role::Text, format!(" {}", risk.category.name()))
                    .and(Role::Muted, format!("  {}", risk.evidence.join("; "))),
            );
            if let Some(text) = &row.tool.description {
                lines.push(Line::default());
                let text = crate::visible::visible(text);
                lines.extend(wrap(&text, width).into_iter().map(|line| Line::new(Role::Text, line)));
            }
        }
    }
    lines
}

/// The role that a severity is shown in.
pub fn severity_role(severity: crate::risk::Severity) -> Role {
    match severity {
        crate::risk::Severity::Low => Role::Low,
        crate::risk::Severity::Medium => Role::Medium,
        crate::risk::Severity::High => Role::High,
        crate::risk::Severity::Critical => Role::Critical,
    }
}

/// Breaks a text into lines of at most so many columns, at spaces where there are any.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    use unicode_segmentation::UnicodeSegmentation;
    use unicode_width::UnicodeWidthStr;
    let width = width.max(8);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_word_bounds() {
        let columns = word.width();
        if used + columns > width && !word.trim().is_empty() {
            if used > 0 {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                used = 0;
            }
            if columns > width {
                for part in word.graphemes(true) {
                    if used + part.width() > width {
                        lines.push(std::mem::take(&mut line));
                        used = 0;
                    }
                    line.push_str(part);
                    used += part.width();
                }
                continue;
            }
        }
        if used == 0 && word.trim().is_empty() {
            continue;
        }
        line.push_str(word);
        used += columns;
    }
    if !line.trim().is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// Moves the inspector's cursor.
pub(super) fn step(app: &mut App, step: Step) {
    scroll(app, step);
}

/// Puts the inspector's cursor on a line.
pub(super) fn select(app: &mut App, line: usize) {
    app.policy.part = line;
}

/// Scrolls the inspector.
pub(super) fn scroll(app: &mut App, step: Step) {
    let area = crate::tui::view::layout::policy(app).inspector;
    let all = lines(app, usize::from(area.width.saturating_sub(3))).len();
    let height = usize::from(area.height.saturating_sub(1));
    app.policy.part_top = step.from(app.policy.part_top, all.saturating_sub(height));
}
