//! The review before saving: the tests that begin to fail, the decisions that change, then the texts'
//! difference.

use std::collections::BTreeMap;

use ratatui::layout::Rect;

use super::paint::{Paint, fit};
use crate::policy::diff::{DiffKind, DiffLine};
use crate::record::Verdict;
use crate::replay::cases::{Compared, Turn, Turned};
use crate::replay::report::Direction;
use crate::replay::{Changed, Example, Group, Report, Side};
use crate::tui::app::impact::pinned::Tests;
use crate::tui::app::impact::{Heard, State};
use crate::tui::app::learn::trace;
use crate::tui::app::policy::decisions::{Row, compared, report};
use crate::tui::app::policy::inspect::wrap;
use crate::tui::app::policy::review::Review;
use crate::tui::app::{App, Hit};
use crate::tui::theme::Role;
use crate::visible::visible;

/// So many lines of an example's arguments are shown.
const ARGS_LINES: usize = 4;
/// Where the lines of why a test fails begin.
const WHY_AT: u16 = 4;

/// Draws it.
pub(super) fn draw(app: &App, review: &Review, area: Rect, paint: &mut Paint<'_>) {
    let inside = paint.dialog(area, &review.title, false);
    head(review, inside, paint);
    let body = Rect { y: inside.y + 2, height: inside.height.saturating_sub(2), ..inside };
    let heard = app.impact.heard();
    let rows = review.rows(heard);
    if rows.is_empty() {
        paint.text(body.x, body.y, body.right(), Role::Muted, "The texts are equal.");
        return;
    }
    let page = Page { app, review, heard, digits: digits(review), why: why(review, heard.tests) };
    let at = review.shown.at.min(rows.len() - 1);
    let top = page.top(&rows, at, body);
    let (mut y, mut shown) = (body.y, 0);
    for (index, row) in rows.iter().enumerate().skip(top) {
        if y >= body.bottom() {
            break;
        }
        shown += 1;
        let lines = page.lines(*row, body.width);
        let height = u16::try_from(lines).unwrap_or(u16::MAX).min(body.bottom() - y);
        let place = Rect { y, height, ..body };
        page.row(*row, place, paint);
        if index == at && matches!(row, Row::Test(_) | Row::Group(_) | Row::Example(..)) {
            paint.select(place, true);
        }
        paint.hits.push((place, Hit::Item(index)));
        y += height;
    }
    let below = rows.len().saturating_sub(top + shown);
    if below > 0 {
        paint.right(inside.x, inside.bottom(), inside.right(), Role::Muted, &format!(" {below} more lines "));
    }
}

/// How many lines are added and removed, and by which edits.
fn head(review: &Review, inside: Rect, paint: &mut Paint<'_>) {
    let y = inside.y;
    let mut x = paint.text(inside.x, y, inside.right(), Role::Added, &format!("+{}", review.added));
    x = paint.text(x + 1, y, inside.right(), Role::Removed, &format!("-{}", review.removed));
    x = paint.text(x + 1, y, inside.right(), Role::Muted, "lines");
    let count = review.edits.len();
    let latest: Vec<&str> = review.edits.iter().rev().take(3).map(String::as_str).collect();
    if count > 0 {
        let more = if count > 3 { format!(" and {} more", count - 3) } else { String::new() };
        let text = format!("{}{more}", visible(&latest.join(", ")));
        paint.text(x + 2, y, inside.right(), Role::Text, &text);
    }
    let across = paint.glyphs().line.repeat(usize::from(inside.width));
    paint.text(inside.x, y + 1, inside.right(), Role::Faint, &across);
}

fn digits(review: &Review) -> u16 {
    let most = review.lines.iter().filter_map(|line| line.new.max(line.old)).max().unwrap_or(1);
    u16::try_from(most.to_string().len().max(3)).unwrap_or(3)
}

/// What a page is drawn from.
struct Page<'a> {
    app: &'a App,
    review: &'a Review,
    heard: Heard<'a>,
    /// How wide a line's number is.
    digits: u16,
    /// Why the tests that are open fail.
    why: BTreeMap<usize, Vec<trace::Line>>,
}

/// The lines of the tests that are open.
fn why(review: &Review, tests: &Tests) -> BTreeMap<usize, Vec<trace::Line>> {
    let Some(compared) = compared(tests) else { return BTreeMap::new() };
    let open = review.shown.tests.iter().filter_map(|index| Some((*index, compared.turned.get(*index)?)));
    open.map(|(index, turned)| (index, trace::failure(&turned.failure))).collect()
}

impl Page<'_> {
    /// The first row shown: the cursor stands in the middle where there is more above and below.
    fn top(&self, rows: &[Row], at: usize, body: Rect) -> usize {
        let heights = |row: &Row| self.lines(*row, body.width);
        let below: usize = rows.iter().skip(at).map(heights).take(usize::from(body.height)).sum();
        let room = usize::from(body.height);
        let above = room.saturating_sub(below.min(room / 2).max(1));
        let (mut top, mut used) = (at, 0);
        for (index, row) in rows.iter().enumerate().take(at).rev() {
            used += heights(row);
            if used > above {
                break;
            }
            top = index;
        }
        top
    }

    /// How many lines a row takes.
    fn lines(&self, row: Row, width: u16) -> usize {
        match row {
            Row::Line(at) => {
                let columns = self.columns(width);
                self.review.lines.get(at).map_or(1, |line| parts(&shown(line), columns).len())
            }
            Row::Example(..) => match Review::found(self.heard.replay, row) {
                Some((_, Some(example))) => 1 + arguments(example, width).len(),
                _ => 1,
            },
            Row::Why(test, at) => {
                self.why_lines(test, at, width).map_or(1, |(_, _, lines)| lines.len().max(1))
            }
            _ => 1,
        }
    }

    /// A line of why a test fails, wrapped.
    fn why_lines(&self, index: usize, at: usize, width: u16) -> Option<(Role, u16, Vec<String>)> {
        let (role, indent, text) = self.why.get(&index)?.get(at)?;
        let indent = u16::try_from(*indent).unwrap_or(0) + WHY_AT;
        Some((*role, indent, wrap(text, usize::from(width.saturating_sub(indent)).max(8))))
    }

    /// The columns of a line of the difference.
    fn columns(&self, width: u16) -> usize {
        usize::from(width.saturating_sub(self.digits + 3)).max(1)
    }

    fn row(&self, row: Row, area: Rect, paint: &mut Paint<'_>) {
        match row {
            Row::Gap => {}
            Row::Tests => tests(self.heard.tests, area, paint),
            Row::Test(index) => {
                if let Some(turned) = Review::test(self.heard.tests, row) {
                    test(turned, self.review.shown.tests.contains(&index), area, paint);
                }
            }
            Row::Why(test, at) => {
                if let Some((role, indent, lines)) = self.why_lines(test, at, area.width) {
                    for (y, line) in (area.y..area.bottom()).zip(lines) {
                        paint.text(area.x + indent, y, area.right(), role, &line);
                    }
                }
            }
            Row::Decisions => self.decisions(area, paint),
            Row::Group(index) => {
                if let Some((group, _)) = Review::found(self.heard.replay, row) {
                    Self::group(group, self.review.shown.open.contains(&index), area, paint);
                }
            }
            Row::Example(..) => {
                if let Some((_, Some(example))) = Review::found(self.heard.replay, row) {
                    self.example(example, area, paint);
                }
            }
            Row::NotReplayable(at) => {
                let reasons =
                    report(self.heard.replay).and_then(|report| report.not_replayable.iter().nth(at));
                if let Some((reason, count)) = reasons {
                    let text = format!("{count} not replayable: {}", reason.words());
                    paint.text(area.x, area.y, area.right(), Role::Muted, &text);
                }
            }
            Row::Difference => {
                let text = if self.review.lines.is_empty() { "The texts are equal." } else { "Text" };
                paint.text(area.x, area.y, area.right(), Role::Accent, text);
            }
            Row::Line(at) => {
                if let Some(line) = self.review.lines.get(at) {
                    self.line(line, area, paint);
                }
            }
        }
    }

    /// What the changed decisions amount to, or how far their replay is.
    fn decisions(&self, area: Rect, paint: &mut Paint<'_>) {
        let (y, end) = (area.y, area.right());
        let x = paint.text(area.x, y, end, Role::Accent, "Decisions") + 2;
        match self.heard.replay {
            State::Idle => {
                paint.text(x, y, end, Role::Muted, "not replayed");
            }
            State::Running { percent, calls, .. } => {
                let text =
                    format!("replaying recorded calls, {percent} %, {calls} so far; Enter need not wait");
                paint.text(x, y, end, Role::Muted, &text);
            }
            State::Failed(why) => {
                paint.text(x, y, end, Role::Bad, &format!("not replayed: {}", visible(why)));
            }
            State::Done(_) => {
                if let Some(report) = report(self.heard.replay) {
                    total(report, x, area, paint);
                }
            }
        }
    }

    fn group(group: &Group, open: bool, area: Rect, paint: &mut Paint<'_>) {
        let (y, end) = (area.y, area.right());
        let (sign, role) = direction(group.direction());
        let unicode = paint.glyphs().unicode;
        paint.text(area.x, y, end, Role::Muted, fold(open, unicode));
        paint.right(area.x + 1, y, area.x + 9, role, &format!("{sign}{}", group.count));
        let x = paint.text(area.x + 10, y, end, Role::Strong, &visible(&group.tool));
        let arrow = if unicode { " → " } else { " -> " };
        let x = side(&group.from, x + 2, y, end, paint);
        let x = paint.text(x, y, end, Role::Muted, arrow);
        side(&group.to, x, y, end, paint);
    }

    fn example(&self, example: &Example, area: Rect, paint: &mut Paint<'_>) {
        let end = area.right();
        let when = super::live::clock(example.ts, &self.app.live.tz, false);
        let who = format!(
            "{when}  {}/{}  {} #{}",
            visible(&example.server),
            visible(&example.grant),
            visible(&example.gateway),
            example.seq
        );
        paint.text(area.x + 10, area.y, end, Role::Muted, &who);
        for (y, line) in (area.y + 1..area.bottom()).zip(arguments(example, area.width)) {
            paint.text(area.x + 12, y, end, Role::Text, &line);
        }
    }

    fn line(&self, line: &DiffLine, area: Rect, paint: &mut Paint<'_>) {
        let (role, mark) = match line.kind {
            DiffKind::Same => (Role::Muted, " "),
            DiffKind::Added => (Role::Added, "+"),
            DiffKind::Removed => (Role::Removed, "-"),
            DiffKind::Skip => (Role::Faint, " "),
        };
        let gutter = area.x + self.digits + 1;
        if let Some(number) = line.new.or(line.old) {
            paint.right(area.x, area.y, gutter.saturating_sub(1), Role::Faint, &number.to_string());
        }
        paint.text(gutter, area.y, area.right(), role, mark);
        // Nothing of what is written may lie beyond the edge.
        let text = shown(line);
        for (y, part) in (area.y..area.bottom()).zip(parts(&text, self.columns(area.width))) {
            paint.text(gutter + 2, y, area.right(), role, part);
        }
    }
}

/// The mark of what can be opened.
fn fold(open: bool, unicode: bool) -> &'static str {
    match (open, unicode) {
        (true, true) => "▾",
        (false, true) => "▸",
        (true, false) => "v",
        (false, false) => ">",
    }
}

/// What the tests amount to.
fn tests(tests: &Tests, area: Rect, paint: &mut Paint<'_>) {
    let (y, end) = (area.y, area.right());
    let x = paint.text(area.x, y, end, Role::Accent, "Tests") + 2;
    match tests {
        Tests::None => {}
        Tests::Running => {
            paint.text(x, y, end, Role::Muted, "being run; Enter need not wait");
        }
        Tests::Broken(why) => {
            paint.text(x, y, end, Role::Bad, &format!("not run: {}", visible(why)));
        }
        Tests::Done(compared) => turns(compared, x, area, paint),
    }
}

/// How many tests turned, and how many pass.
fn turns(compared: &Compared, x: u16, area: Rect, paint: &mut Paint<'_>) {
    let (y, end) = (area.y, area.right());
    let mut x = x;
    for (turn, many) in [(Turn::Breaks, "now fail"), (Turn::Mends, "now pass"), (Turn::Fails, "still fail")] {
        let (one, role) = turn_words(turn);
        let text = match compared.count(turn) {
            0 => continue,
            1 => format!("1 {one}"),
            count => format!("{count} {many}"),
        };
        x = paint.text(x, y, end, role, &text) + 2;
    }
    let passed = format!("{}/{} pass", compared.passed, compared.tests);
    let role = if compared.turned.is_empty() { Role::Good } else { Role::Muted };
    paint.text(x, y, end, role, &passed);
}

fn turn_words(turn: Turn) -> (&'static str, Role) {
    match turn {
        Turn::Breaks => ("now fails", Role::Bad),
        Turn::Mends => ("now passes", Role::Good),
        Turn::Fails => ("still fails", Role::Warn),
    }
}

fn test(turned: &Turned, open: bool, area: Rect, paint: &mut Paint<'_>) {
    let (y, end) = (area.y, area.right());
    let (word, role) = turn_words(turned.turn);
    let unicode = paint.glyphs().unicode;
    paint.text(area.x, y, end, Role::Muted, fold(open, unicode));
    paint.text(area.x + 2, y, end, role, word);
    let place = format!("line {}", turned.line);
    let end = paint.right(area.x + 14, y, end, Role::Muted, &place);
    paint.text(area.x + 14, y, end.saturating_sub(1), Role::Strong, &visible(&turned.name));
}

/// What is newly allowed, what is newly denied, and of how many calls.
fn total(report: &Report, x: u16, area: Rect, paint: &mut Paint<'_>) {
    let (y, end) = (area.y, area.right());
    if report.calls == 0 {
        paint.text(x, y, end, Role::Muted, "no recorded calls");
        return;
    }
    let replayed = format!("of {} replayed calls", report.replayable);
    let Changed { deny_to_allow, allow_to_deny, limit, approval } = report.changed;
    if report.changed.total() == 0 {
        paint.text(x, y, end, Role::Good, &format!("none changes, {replayed}"));
        return;
    }
    let counts = [
        (deny_to_allow, Role::Warn),
        (allow_to_deny, Role::Deny),
        (limit, Role::Strong),
        (approval, Role::Approve),
    ];
    let room = usize::from(end.saturating_sub(x));
    let (words, calls) = said(&counts.map(|(count, _)| count), report.replayable, room);
    let mut x = x;
    for ((count, role), words) in counts.into_iter().zip(words) {
        if count > 0 {
            x = paint.text(x, y, end, role, &format!("{count} {words}")) + 2;
        }
    }
    paint.text(x, y, end, Role::Muted, &calls);
}

/// The words for each count and for how many calls there are, as long as there is room for: the number
/// of calls is never cut.
fn said(counts: &[u64; 4], replayable: u64, room: usize) -> ([&'static str; 4], String) {
    let whole = ["newly allowed", "newly denied", "by limits", "by approval"];
    let short = ["allowed", "denied", "limits", "approval"];
    let width = |words: &[&str; 4], calls: &str| {
        let parts = counts.iter().zip(words).filter(|(count, _)| **count > 0);
        parts.map(|(count, words)| count.to_string().len() + words.len() + 3).sum::<usize>() + calls.len()
    };
    for (words, calls) in [
        (whole, format!("of {replayable} replayed calls")),
        (whole, format!("of {replayable} calls")),
        (short, format!("of {replayable} calls")),
    ] {
        if width(&words, &calls) <= room {
            return (words, calls);
        }
    }
    (short, format!("of {replayable}"))
}

fn direction(direction: Direction) -> (&'static str, Role) {
    match direction {
        Direction::Looser => ("+", Role::Warn),
        Direction::Asks => ("?", Role::Approve),
        Direction::Tighter => ("-", Role::Deny),
    }
}

/// A decision with its rule, without the tool's name, which stands before it.
fn side(side: &Side, x: u16, y: u16, end: u16, paint: &mut Paint<'_>) -> u16 {
    let (word, role) = match side.decision {
        Verdict::Allow => ("allow", Role::Allow),
        Verdict::Deny => ("deny", Role::Deny),
        Verdict::Approve => ("approve", Role::Approve),
    };
    let x = paint.text(x, y, end, role, word);
    let within = side.rule.strip_prefix("/tools/").and_then(|rest| rest.split_once('/'));
    let code = within.map_or(side.rule.as_str(), |(_, rest)| rest);
    if code.is_empty() { x } else { paint.text(x + 1, y, end, Role::Muted, &visible(code)) }
}

fn arguments(example: &Example, width: u16) -> Vec<String> {
    let text = if example.args.is_empty() { "(no arguments kept)" } else { &example.args };
    // With room for the dots after what is cut.
    let columns = usize::from(width.saturating_sub(17)).max(8);
    // Long ones are cut before they are made visible: only a few lines are shown.
    let text: String = text.chars().take(columns * ARGS_LINES * 2).collect();
    let mut lines = wrap(&visible(&text), columns);
    if lines.len() > ARGS_LINES {
        lines.truncate(ARGS_LINES);
        if let Some(last) = lines.last_mut() {
            last.push_str(" ...");
        }
    }
    lines
}

fn shown(line: &DiffLine) -> String {
    visible(&line.text.replace('\t', "    ")).into_owned()
}

/// A text in parts of at most so many columns; at least one.
fn parts(text: &str, columns: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let part = fit(rest, columns);
        parts.push(part);
        rest = rest.get(part.len()..).unwrap_or_default();
        if rest.is_empty() || part.is_empty() {
            return parts;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn the_number_of_calls_is_said_whatever_the_width() {
        let counts = [3, 12, 4, 0];
        let (words, calls) = said(&counts, 12_345, 80);
        assert_eq!((words[0], calls.as_str()), ("newly allowed", "of 12345 replayed calls"));
        assert_eq!(said(&counts, 12_345, 64).1, "of 12345 calls");
        let (words, calls) = said(&counts, 12_345, 50);
        assert_eq!((words[1], calls.as_str()), ("denied", "of 12345 calls"));
        assert_eq!(said(&counts, 12_345, 10).1, "of 12345");
    }
}
