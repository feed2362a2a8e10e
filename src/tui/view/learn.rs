//! The dialogs of learning, testing and explaining.

use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use super::paint::{Paint, middle};
use crate::policy::explain::Decision;
use crate::replay::suggest::{Proposal, ProposalKind, Suggestion};
use crate::tui::app::learn::cases::{CasesView, Tested};
use crate::tui::app::learn::console::{Console, counted};
use crate::tui::app::learn::suggest::{Standing, SuggestState, SuggestView, standing};
use crate::tui::app::learn::trace::{self, Line};
use crate::tui::app::{App, Hit};
use crate::tui::theme::Role;
use crate::visible::visible;

/// The part of a list that is shown around its selected row.
fn window(selected: usize, rows: usize, height: usize) -> usize {
    selected.saturating_sub(height.saturating_sub(1)).min(rows.saturating_sub(height.min(rows)))
}

/// The list of tests with what is below it, in the terminal without its first and last line.
fn list(area: Rect) -> Rect {
    middle(area, 110, area.height.min(30))
}

/// How many rows of the list are drawn above why the selected one fails.
fn listed(rows: usize, height: u16, inside: bool) -> u16 {
    let most = if inside { 1 } else { height / 3 };
    u16::try_from(rows).unwrap_or(u16::MAX).min(most).max(1)
}

/// The columns and the lines that there are for why the selected test fails.
pub fn sizes((width, height): (u16, u16), rows: usize, inside: bool) -> (u16, u16) {
    let dialog = list(Rect::new(0, 1, width, height.saturating_sub(2)));
    let height = dialog.height.saturating_sub(2);
    (dialog.width.saturating_sub(4), height.saturating_sub(listed(rows, height, inside) + 1))
}

/// Draws the list of tests, and the selected failure below it.
pub(super) fn cases(app: &App, view: &CasesView, area: Rect, paint: &mut Paint<'_>) {
    let state = &app.learn.cases;
    let title = state.mark().map_or_else(|| "Tests".to_owned(), |(_, mark)| capital(&mark));
    let failed = matches!(state.last(), Some(Tested::Ran(report)) if report.failed > 0);
    let inside = paint.dialog(list(area), &title, failed);
    if let Some(why) = state.trouble() {
        paint.text(inside.x, inside.y, inside.right(), Role::Bad, why);
        return;
    }
    if let Some(Tested::Broken(found)) = state.last() {
        let mut lines: Vec<Line> = Vec::new();
        for one in found {
            lines.push((Role::Bad, 0, format!("line {}, column {}: {}", one.line, one.column, one.message)));
            lines.extend(one.help.iter().map(|help| (Role::Muted, 2, help.clone())));
        }
        text(&lines, 0, inside, "", paint);
        return;
    }
    let rows = state.rows();
    if rows.is_empty() {
        let words = if state.is_running() { "The tests are running." } else { "The file has no tests." };
        paint.text(inside.x, inside.y, inside.right(), Role::Muted, words);
        return;
    }
    let selected = view.selected.min(rows.len() - 1);
    let failure = rows.get(selected).and_then(|row| row.failure.as_ref());
    let height =
        if failure.is_some() { listed(rows.len(), inside.height, view.inside) } else { inside.height };
    let top = window(selected, rows.len(), usize::from(height));
    for (y, (index, row)) in (inside.y..inside.y + height).zip(rows.iter().enumerate().skip(top)) {
        let (role, word) = if row.failure.is_some() { (Role::Bad, "FAIL") } else { (Role::Good, "pass") };
        paint.text(inside.x, y, inside.right(), role, word);
        let place = format!("line {}", row.line);
        let end = paint.right(inside.x + 8, y, inside.right(), Role::Muted, &place);
        paint.text(inside.x + 6, y, end.saturating_sub(1), Role::Text, &visible(&row.name));
        let line = Rect { x: inside.x.saturating_sub(1), y, width: inside.width + 2, height: 1 };
        if index == selected {
            paint.select(line, !view.inside);
        }
        paint.hits.push((line, Hit::Item(index)));
    }
    if let Some(failure) = failure {
        let below = Rect { y: inside.y + height, height: inside.height.saturating_sub(height), ..inside };
        let rule = paint.glyphs().line.repeat(usize::from(below.width));
        paint.text(below.x, below.y, below.right(), Role::Faint, &rule);
        let below = Rect { y: below.y + 1, height: below.height.saturating_sub(1), ..below };
        let how = if view.inside { "" } else { ": Enter goes in" };
        text(&trace::failure(failure), view.top, below, how, paint);
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Draws lines from one of them on, wrapped, with a word where more follow, and how they are reached.
fn text(lines: &[Line], top: usize, area: Rect, how: &str, paint: &mut Paint<'_>) {
    let wrapped = trace::wrapped(lines, area.width);
    let height = usize::from(area.height);
    let top = top.min(wrapped.len().saturating_sub(height));
    for (y, (role, indent, text)) in (area.y..area.bottom()).zip(wrapped.iter().skip(top)) {
        let x = area.x.saturating_add(u16::try_from(*indent).unwrap_or(0));
        paint.text(x, y, area.right(), *role, text);
    }
    let below = wrapped.len().saturating_sub(top + height);
    if below > 0 {
        let lines = if below == 1 { "line" } else { "lines" };
        let more = format!(" {below} more {lines}{how} ");
        paint.right(area.x, area.bottom(), area.right(), Role::Muted, &more);
    }
}

/// Draws the console.
pub(super) fn console(app: &App, console: &Console, area: Rect, paint: &mut Paint<'_>) {
    let title = format!("Why: {}", visible(&console.tool));
    let inside = paint.dialog(middle(area, 110, area.height.min(30)), &title, false);
    let mut y = inside.y;
    let x = paint.text(inside.x, y, inside.right(), Role::Key, "> ");
    paint.field(x, y, inside.right(), &console.field, app.layers.last().is_some());
    y += 1;
    let mut x = inside.x;
    if !console.offer.text.is_empty() {
        x = paint.text(x, y, inside.right(), Role::Key, "Tab") + 1;
        x = paint.text(x, y, inside.right(), Role::Text, &visible(console.offer.text.trim())) + 2;
    }
    paint.text(x, y, inside.right(), Role::Muted, &console.offer.about);
    y += 1;
    for remark in console.remarks.iter().take(3) {
        paint.text(inside.x, y, inside.right(), Role::Warn, remark);
        y += 1;
    }
    let rule = paint.glyphs().line.repeat(usize::from(inside.width));
    paint.text(inside.x, y, inside.right(), Role::Faint, &rule);
    y += 1;
    let Some(answer) = &console.answer else { return };
    if !answer.limits.is_empty() {
        let words = format!(" {} ", console.counters_words());
        paint.right(inside.x, y - 1, inside.right(), Role::Muted, &words);
    }
    let glyphs = paint.glyphs();
    let (tone, glyph) = match answer.decision {
        Decision::Allow => (Role::Allow, glyphs.allow),
        Decision::Deny => (Role::Deny, glyphs.deny),
        Decision::Approve => (Role::Approve, glyphs.approve),
    };
    let x = paint.text(inside.x, y, inside.right(), tone, glyph);
    let x = paint.text(x + 1, y, inside.right(), tone, answer.decision.name());
    paint.bold(Rect { x: inside.x, y, width: x.saturating_sub(inside.x), height: 1 });
    let hidden = if answer.visible { "" } else { "hidden: the agent is told that there is no such tool" };
    let says = if answer.message.is_empty() { hidden } else { &answer.message };
    paint.text(x + 2, y, inside.right(), Role::Text, &visible(says));
    y += 1;
    let mut lines: Vec<Line> = Vec::new();
    trace::steps(answer, &mut lines);
    let now = app.now.ts;
    lines.extend(answer.limits.iter().map(|limit| (Role::Muted, 0, counted::words(limit, now))));
    let below = Rect { y: y + 1, height: inside.bottom().saturating_sub(y + 1), ..inside };
    text(&lines, console.top, below, "", paint);
}

/// Draws the proposals, and what the selected one rests on.
pub(super) fn suggest(app: &App, view: &SuggestView, area: Rect, paint: &mut Paint<'_>) {
    let inside = paint.dialog(middle(area, 130, area.height), "What recorded calls need", false);
    let suggestion = match &view.state {
        SuggestState::Reading => {
            paint.text(inside.x, inside.y, inside.right(), Role::Muted, "reading the journals ...");
            return;
        }
        SuggestState::Failed(why) => {
            let lines = [
                (Role::Text, 0, format!("{why}.")),
                (
                    Role::Muted,
                    0,
                    "Let a gateway enforce this policy for a while, or name journals: `callgate suggest`."
                        .to_owned(),
                ),
            ];
            text(&lines, 0, inside, "", paint);
            return;
        }
        SuggestState::Ready(suggestion) => suggestion,
    };
    head(app, suggestion, inside, paint);
    let foot = 5_u16.min(inside.height / 3);
    let list = Rect { y: inside.y + 2, height: inside.height.saturating_sub(2 + foot), ..inside };
    let selected = view.selected.min(suggestion.proposals.len().saturating_sub(1));
    let top = window(selected, suggestion.proposals.len(), usize::from(list.height));
    let longest = suggestion.proposals.iter().map(|it| visible(&it.tool).width()).max().unwrap_or(0);
    let split = list.x + 2 + u16::try_from(longest.clamp(8, 28)).unwrap_or(28);
    let mut before = None;
    for (y, (index, proposal)) in
        (list.y..list.bottom()).zip(suggestion.proposals.iter().enumerate().skip(top))
    {
        let first = before != Some(&proposal.tool);
        before = Some(&proposal.tool);
        row(app, proposal, first, split, Rect { y, height: 1, ..list }, paint);
        let line = Rect { x: list.x.saturating_sub(1), y, width: list.width + 2, height: 1 };
        if index == selected {
            paint.select(line, true);
        }
        paint.hits.push((line, Hit::Item(index)));
    }
    let below = Rect { y: list.bottom(), height: foot, ..inside };
    if let Some(proposal) = suggestion.proposals.get(selected) {
        evidence(proposal, below, paint);
    }
}

fn head(app: &App, suggestion: &Suggestion, inside: Rect, paint: &mut Paint<'_>) {
    let policy = app.policy.editor.as_ref().and_then(|editor| Some(editor.document()?.policy()));
    let count = |wanted: Standing| {
        let stands = |proposal: &&Proposal| policy.is_some_and(|policy| standing(policy, proposal) == wanted);
        suggestion.proposals.iter().filter(stands).count()
    };
    let (open, accepted, dropped) =
        (count(Standing::Open), count(Standing::Accepted), count(Standing::Dropped));
    let seen = &suggestion.seen;
    let x = paint.text(inside.x, inside.y, inside.right(), Role::Strong, &format!("{open} open"));
    let x = paint.text(x + 2, inside.y, inside.right(), Role::Good, &format!("{accepted} in the draft"));
    let x = paint.text(x + 2, inside.y, inside.right(), Role::Muted, &format!("{dropped} dropped"));
    let rest = format!("from {} allowed calls, margin {} %", seen.calls, suggestion.margin);
    paint.text(x + 2, inside.y, inside.right(), Role::Muted, &rest);
    let rule = paint.glyphs().line.repeat(usize::from(inside.width));
    paint.text(inside.x, inside.y + 1, inside.right(), Role::Faint, &rule);
}

fn row(app: &App, proposal: &Proposal, first: bool, split: u16, area: Rect, paint: &mut Paint<'_>) {
    let policy = app.policy.editor.as_ref().and_then(|editor| Some(editor.document()?.policy()));
    let stands = policy.map_or(Standing::Open, |policy| standing(policy, proposal));
    let (mark, role) = match stands {
        Standing::Open => (" ", Role::Text),
        Standing::Accepted => ("+", Role::Good),
        Standing::Dropped => ("-", Role::Faint),
    };
    let y = area.y;
    paint.text(area.x, y, area.right(), role, mark);
    if first {
        let name = visible(&proposal.tool);
        paint.text(
            area.x + 2,
            y,
            split,
            if stands == Standing::Dropped { Role::Faint } else { Role::Strong },
            &name,
        );
    }
    let kind = match proposal.kind {
        ProposalKind::Allow => Role::Allow,
        ProposalKind::Hide => Role::Hide,
        ProposalKind::Bound | ProposalKind::Limit => Role::Accent,
    };
    let kind = if stands == Standing::Dropped { Role::Faint } else { kind };
    let x = paint.text(split + 1, y, area.right(), kind, &format!("{:<6}", proposal.kind.name()));
    if let Some(choice) = proposal.choice() {
        paint.text(x, y, area.right(), role, &choice.text);
    }
}

/// What a proposal rests on, and how it could be wider.
fn evidence(proposal: &Proposal, area: Rect, paint: &mut Paint<'_>) {
    let rule = paint.glyphs().line.repeat(usize::from(area.width));
    paint.text(area.x, area.y, area.right(), Role::Faint, &rule);
    let mut lines: Vec<Line> = Vec::new();
    // The row may have cut it.
    lines.extend(proposal.choice().map(|choice| (Role::Strong, 0, choice.text.clone())));
    if proposal.evidence.calls > 0 {
        lines.push((Role::Text, 0, format!("seen: {}", proposal.evidence.text())));
    }
    if let Some(why) = &proposal.dropped {
        lines.push((Role::Muted, 0, format!("dropped: {why}")));
    }
    match proposal.choices.get(proposal.chosen + 1) {
        Some(wider) => lines.push((Role::Muted, 0, format!("wider: {}", wider.text))),
        None if proposal.chosen > 0 => lines.push((Role::Muted, 0, "this is the widest".to_owned())),
        None => {}
    }
    let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    text(&lines, 0, below, "", paint);
}
