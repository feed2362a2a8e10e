//! The inspector: what there is to say about the selected row, as lines of styled parts.

use super::App;
use super::editor::Editor;
use super::edits::rules;
use super::table::{Item, ToolRow};
use crate::policy::model::{self, RuleList};
use crate::policy::state::{self, ToolState};
use crate::record::Verdict;
use crate::tui::app::layer::Step;
use crate::tui::app::overrides;
use crate::tui::theme::Role;

/// A line of the inspector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Its parts, left to right.
    pub parts: Vec<(Role, String)>,
    /// What can be done with it; `None`: it is only read.
    pub target: Option<Target>,
}

/// What a line stands for. Indices are those of the document's arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The tool's state.
    State,
    /// The document's default.
    Default,
    /// The document's other members.
    Document,
    /// The shorthand `action`.
    Action,
    /// A rule.
    Rule(RuleList, usize),
    /// A rule's condition.
    Condition(RuleList, usize, usize),
    /// A limit.
    Limit(usize),
    /// The shorthand `rate_limit`.
    RateLimit,
    /// The tool's whole entry.
    Entry,
}

impl Line {
    pub(super) fn new(role: Role, text: impl Into<String>) -> Self {
        Self { parts: vec![(role, text.into())], target: None }
    }

    pub(super) fn and(mut self, role: Role, text: impl Into<String>) -> Self {
        self.parts.push((role, text.into()));
        self
    }

    fn to(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }
}

/// How wide the words at the left of a part are.
const LABEL: usize = 12;
/// How many lines of JSON are shown.
const MOST_JSON: usize = 400;

/// The role and the words of a state.
pub fn state_words(state: ToolState) -> (Role, &'static str) {
    match state {
        ToolState::Allow => (Role::Allow, "calls pass, within its rules"),
        ToolState::Deny => (Role::Deny, "every call is denied, visibly"),
        ToolState::Hide => (Role::Hide, "agents do not see it"),
        ToolState::Approve => (Role::Approve, "every call waits for a person"),
    }
}

/// The lines about the selected row, wrapped to a width.
pub fn lines(app: &App, width: usize) -> Vec<Line> {
    let Some(editor) = &app.policy.editor else { return Vec::new() };
    let mut lines = Vec::new();
    match app.policy.table.item() {
        None => {}
        Some(Item::Default) => default_lines(editor, width, &mut lines),
        Some(Item::AllTools) => all_tools_lines(editor, width, &mut lines),
        Some(Item::Tool(index)) => {
            if let Some(row) = app.policy.table.row(index) {
                tool_lines(app, editor, row, width, &mut lines);
            }
        }
    }
    lines
}

fn label(text: &str) -> String {
    format!("{text:<LABEL$}")
}

/// A word at the left, and a text that is wrapped beside it.
pub(super) fn labelled(role: Role, word: &str, text: &str, width: usize, lines: &mut Vec<Line>) {
    for (index, part) in wrap(text, width.saturating_sub(LABEL)).into_iter().enumerate() {
        lines.push(Line::new(role, label(if index == 0 { word } else { "" })).and(Role::Text, part));
    }
}

fn paragraph(role: Role, text: &str, width: usize, lines: &mut Vec<Line>) {
    lines.extend(wrap(text, width).into_iter().map(|line| Line::new(role, line)));
}

pub(super) fn heading(text: &str, note: &str, lines: &mut Vec<Line>) {
    if lines.last().is_some_and(|line| !line.parts.is_empty()) {
        lines.push(Line::default());
    }
    let line = Line::new(Role::Strong, text);
    lines.push(if note.is_empty() { line } else { line.and(Role::Muted, format!("  {note}")) });
}

fn default_lines(editor: &Editor, width: usize, lines: &mut Vec<Line>) {
    let Some(document) = editor.document() else { return };
    let policy = document.policy();
    let (role, word, means) = match policy.default {
        model::Default::Allow => (Role::Allow, "allow", "tools that are not listed may be called"),
        model::Default::Deny => (Role::Deny, "deny", "tools that are not listed are denied"),
    };
    lines.push(Line::new(role, label(word)).and(Role::Text, means).to(Target::Default));
    lines.push(Line::default());
    let text = match policy.default {
        model::Default::Allow => {
            "A server's update can bring new tools. Under this default agents may call them at once."
        }
        model::Default::Deny => "New tools stay closed until you allow them. Space changes the default.",
    };
    paragraph(Role::Muted, text, width, lines);
    lines.push(Line::default());
    let hide = match (policy.hide.all, policy.hide.names.len()) {
        (true, _) => "every tool is hidden".to_owned(),
        (_, 0) => "nothing is hidden by name".to_owned(),
        (_, 1) => "1 tool is hidden by name".to_owned(),
        (_, many) => format!("{many} tools are hidden by name"),
    };
    let denied = if policy.hide_denied {
        "what can never be allowed is hidden, too"
    } else {
        "denied tools are shown"
    };
    for (word, text) in [("hide", hide.as_str()), ("hide_denied", denied)] {
        lines.push(Line::new(Role::Key, label(word)).and(Role::Text, text).to(Target::Document));
    }
    let text = policy.description.as_deref().map(crate::visible::visible).unwrap_or_default();
    let parts =
        if text.is_empty() { vec!["none".to_owned()] } else { wrap(&text, width.saturating_sub(LABEL)) };
    for (at, part) in parts.into_iter().enumerate() {
        let role = if text.is_empty() { Role::Muted } else { Role::Text };
        let line = Line::new(Role::Key, label(if at == 0 { "description" } else { "" })).and(role, part);
        lines.push(if at == 0 { line.to(Target::Document) } else { line });
    }
    heading("Document", &format!("revision {}", document.revision()), lines);
}

fn all_tools_lines(editor: &Editor, width: usize, lines: &mut Vec<Line>) {
    let Some(document) = editor.document() else { return };
    let limits = &document.policy().all_tools_limits;
    heading("Limits", "each call of any tool counts", lines);
    limit_lines(limits, lines);
    if limits.is_empty() {
        paragraph(
            Role::Muted,
            "None. `l` adds one: a budget for everything that an agent does.",
            width,
            lines,
        );
    }
}

fn limit_lines(limits: &[model::Limit], lines: &mut Vec<Line>) {
    for (index, limit) in limits.iter().enumerate() {
        let show = crate::visible::visible;
        let scope = limit.scope.map_or("grant", model::Scope::name);
        let mut line = Line::new(Role::Key, label("limit"))
            .and(Role::Text, state::limit_text(limit))
            .and(Role::Muted, format!("  {} per {scope}", show(&limit.counter)));
        if let Some(message) = &limit.on_deny {
            line = line.and(Role::Muted, format!("  \"{}\"", show(message)));
        }
        lines.push(line.to(Target::Limit(index)));
    }
}

fn tool_lines(app: &App, editor: &Editor, row: &ToolRow, width: usize, lines: &mut Vec<Line>) {
    let show = crate::visible::visible;
    let state = editor.state(&row.name);
    let entry = editor.tool(&row.name);
    let (role, means) = state_words(state);
    let means =
        if entry.is_none() && state != ToolState::Hide { "by default: it is not listed" } else { means };
    lines.push(Line::new(role, label(state.name())).and(Role::Text, means).to(Target::State));
    let now = app.now.ts;
    if let Some(entry) = app.feeds.override_of(&app.policy.enforced_by, &row.name, now) {
        let words = format!("override: {}, by {}", overrides::sentence(entry, now), show(&entry.by));
        for (index, part) in wrap(&words, width.saturating_sub(LABEL)).into_iter().enumerate() {
            lines.push(
                Line::new(Role::Warn, label(if index == 0 { "overridden" } else { "" }))
                    .and(Role::Text, part),
            );
        }
        lines.push(
            Line::new(Role::Muted, label(""))
                .and(Role::Muted, format!("\"{}\"  O ends it", show(&entry.reason))),
        );
    }
    let risk = &row.risk;
    lines.push(
        Line::new(severity_role(risk.severity), label(risk.severity.name()))
            .and(Role::Text, risk.category.name())
            .and(Role::Muted, format!("  {}", show(&risk.evidence.join("; ")))),
    );
    if let Some((role, words)) = super::recommend::words(app, row) {
        lines.push(Line::new(Role::Muted, label("recommended")).and(role, words));
    }
    if row.suspicious {
        lines.push(
            Line::new(Role::Mark, " suspicious ")
                .and(Role::Warn, " it holds characters that people cannot see"),
        );
    }
    if !row.listed {
        lines.push(Line::new(Role::Muted, "Only the policy names it: no server lists it."));
    }
    super::pins::lines(app, row, width, lines);
    if let Some(entry) = entry {
        rule_lines(entry, lines);
    }
    if let Some(text) = row.tool.description.as_deref().filter(|text| !text.trim().is_empty()) {
        heading("Description", "", lines);
        for part in text.lines() {
            paragraph(Role::Text, &show(part), width, lines);
        }
    }
    super::arguments::lines(&row.tool, width, lines);
    recent_lines(app, row, lines);
    if let Some(entry) = entry {
        heading("JSON", "", lines);
        if let Some(line) = lines.last_mut() {
            line.target = Some(Target::Entry);
        }
        let text = editor.text().get(entry.name_span.start..entry.span.end).unwrap_or_default();
        for line in outdent(text).into_iter().take(MOST_JSON) {
            lines.push(Line::new(Role::Muted, show(&line).into_owned()));
        }
    }
}

fn rule_lines(entry: &model::Tool, lines: &mut Vec<Line>) {
    let show = crate::visible::visible;
    let many = entry.limits.len() + entry.require.len() + entry.deny_if.len() + entry.approve_if.len();
    if many == 0 && entry.rate_limit.is_none() && entry.action.is_none() {
        return;
    }
    heading("Rules", "", lines);
    if let Some(action) = entry.action {
        let word = match action {
            model::Action::Allow => "allow",
            model::Action::Deny => "deny",
            model::Action::Hide => "hide",
            model::Action::Approve => "approve",
        };
        let reason = entry.reason.as_deref().map(|text| format!("  \"{}\"", show(text))).unwrap_or_default();
        let line = Line::new(Role::Key, label("action")).and(Role::Text, word).and(Role::Muted, reason);
        lines.push(line.to(Target::Action));
    }
    if let Some(limit) = &entry.rate_limit {
        let text = format!("{} / {} s", show(&limit.max), limit.window.seconds());
        lines.push(Line::new(Role::Key, label("rate_limit")).and(Role::Text, text).to(Target::RateLimit));
    }
    limit_lines(&entry.limits, lines);
    for list in [RuleList::Require, RuleList::DenyIf, RuleList::ApproveIf] {
        for (index, rule) in rules(entry, list).iter().enumerate() {
            let (role, word) = match list {
                RuleList::Require => (Role::Key, "require"),
                RuleList::DenyIf => (Role::Deny, "deny if"),
                RuleList::ApproveIf => (Role::Approve, "approve if"),
            };
            let mut parts = rule.conditions.iter().enumerate();
            let first = parts.next();
            let text = first.map_or_else(
                || "always".to_owned(),
                |(_, it)| state::condition_text(&it.path, it.op, &it.value),
            );
            let mut line = Line::new(role, label(word)).and(Role::Text, text);
            if let Some(message) = &rule.message {
                line = line.and(Role::Muted, format!("  \"{}\"", show(message)));
            }
            lines.push(line.to(Target::Rule(list, index)));
            for (at, it) in parts {
                let text = state::condition_text(&it.path, it.op, &it.value);
                let line = Line::new(Role::Muted, label("  and")).and(Role::Text, text);
                lines.push(line.to(Target::Condition(list, index, at)));
            }
        }
    }
}

fn recent_lines(app: &App, row: &ToolRow, lines: &mut Vec<Line>) {
    let servers = &app.policy.enforced_by;
    let calls: Vec<_> = servers.iter().filter_map(|server| app.feeds.calls(server, &row.name)).collect();
    if calls.is_empty() {
        return;
    }
    let (all, denied) = calls.iter().fold((0, 0), |(all, denied), it| (all + it.calls, denied + it.denies));
    heading("Recent calls", &format!("{all} seen, {denied} denied"), lines);
    for call in calls.iter().flat_map(|it| &it.recent).take(8) {
        let time = call.ts.to_string();
        let (role, verdict) = match call.decision {
            Verdict::Allow => (Role::Allow, "allow  "),
            Verdict::Deny => (Role::Deny, "deny   "),
            Verdict::Approve => (Role::Approve, "approve"),
        };
        let code = if call.rule.is_empty() { String::new() } else { format!("  {}", call.rule) };
        lines.push(
            Line::new(Role::Muted, time.get(11..19).unwrap_or_default())
                .and(role, format!("  {verdict}"))
                .and(Role::Warn, crate::visible::visible(&code).into_owned())
                .and(Role::Muted, format!("  {}", crate::visible::visible(&call.args))),
        );
    }
}

/// A stretch of a document with its own indentation taken away.
fn outdent(text: &str) -> Vec<String> {
    let spaces = |line: &str| line.len() - line.trim_start().len();
    let rest = text.lines().skip(1).filter(|line| !line.trim().is_empty());
    let cut = rest.map(spaces).min().unwrap_or(0);
    let own = |(index, line): (usize, &str)| {
        if index == 0 { line.to_owned() } else { line.get(cut..).unwrap_or_default().replace('\t', "  ") }
    };
    text.lines().enumerate().map(own).collect()
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
    let mut words = text.split_inclusive(' ');
    let mut next = words.next();
    while let Some(word) = next {
        let columns = word.trim_end().width();
        if used > 0 && used + columns > width {
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
        } else {
            line.push_str(word);
            used += word.width();
        }
        next = words.next();
    }
    if !line.trim().is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

fn current(app: &App) -> Vec<Line> {
    let area = crate::tui::view::layout::policy(app).inspector;
    lines(app, usize::from(area.width.saturating_sub(3)))
}

/// How many lines there are.
pub(super) fn count(app: &App) -> usize {
    current(app).len()
}

/// What the inspector's selected line stands for.
pub(super) fn target(app: &App) -> Option<Target> {
    current(app).get(app.policy.part)?.target
}

/// Puts the cursor on what a line stands for.
pub(super) fn go_to(app: &mut App, target: &Target) {
    if let Some(line) = current(app).iter().position(|line| line.target.as_ref() == Some(target)) {
        app.policy.part = line;
        show(app);
    }
}

/// Puts the cursor on the part of the selected tool that a pointer names; `false` when the document
/// has none.
pub(crate) fn show_pointer(app: &mut App, pointer: &str) -> bool {
    let mut parts = pointer.rsplit('/');
    let (end, holder) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let index = end.parse::<usize>().ok();
    let list = [RuleList::Require, RuleList::DenyIf, RuleList::ApproveIf]
        .into_iter()
        .find(|list| list.key() == holder);
    let target = match (index, list, end) {
        (Some(index), Some(list), _) => Target::Rule(list, index),
        (Some(index), None, _) if holder == "limits" => Target::Limit(index),
        (_, _, "rate_limit") => Target::RateLimit,
        _ => Target::State,
    };
    enter(app);
    go_to(app, &target);
    self::target(app) == Some(target)
}

fn height(app: &App) -> usize {
    usize::from(crate::tui::view::layout::policy(app).inspector.height.saturating_sub(1)).max(1)
}

fn show(app: &mut App) {
    let height = height(app);
    if app.policy.part < app.policy.part_top {
        app.policy.part_top = app.policy.part;
    } else if app.policy.part >= app.policy.part_top + height {
        app.policy.part_top = app.policy.part + 1 - height;
    }
    // The first line that can be chosen brings what stands above it into view.
    if app.policy.part <= 1 {
        app.policy.part_top = 0;
    }
}

/// Moves the inspector's cursor over the lines that can be chosen; beyond them it scrolls.
pub(super) fn step(app: &mut App, step: Step) {
    let lines = current(app);
    let chosen: Vec<usize> =
        lines.iter().enumerate().filter(|(_, line)| line.target.is_some()).map(|(at, _)| at).collect();
    let next = match step {
        Step::Up(1) => chosen.iter().rev().find(|at| **at < app.policy.part).copied(),
        Step::Down(1) => chosen.iter().find(|at| **at > app.policy.part).copied(),
        Step::First => chosen.first().copied(),
        Step::Last | Step::Up(_) | Step::Down(_) => None,
    };
    let page = height(app);
    match next {
        // A far row is scrolled towards, not jumped to: what lies between wants to be read.
        Some(at) if at.abs_diff(app.policy.part) <= page => {
            app.policy.part = at;
            show(app);
        }
        _ => scroll(app, step),
    }
}

/// The inspector gets the keys: the cursor stands on something.
pub(super) fn enter(app: &mut App) {
    if target(app).is_none() {
        let first = current(app).iter().position(|line| line.target.is_some());
        app.policy.part = first.unwrap_or(0);
        app.policy.part_top = 0;
    }
}

/// Puts the inspector's cursor on a line.
pub(super) fn select(app: &mut App, line: usize) {
    app.policy.part = line;
}

/// Scrolls the inspector.
pub(super) fn scroll(app: &mut App, step: Step) {
    let all = count(app);
    app.policy.part_top = step.from(app.policy.part_top, all.saturating_sub(height(app)));
}
