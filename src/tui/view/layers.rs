//! Dialogs.

use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use super::paint::{Paint, middle};
use crate::tui::action::When;
use crate::tui::app::layer::{Ask, Help, HelpRow, Layer, Palette, Picker};
use crate::tui::app::policy::form::{Form, Id, Input};
use crate::tui::app::policy::inspect::wrap;
use crate::tui::app::policy::search;
use crate::tui::app::policy::steps::steps;
use crate::tui::app::{App, Hit};
use crate::tui::key;
use crate::tui::theme::Role;

/// Draws a dialog over what is there.
pub(super) fn draw(app: &App, layer: &Layer, paint: &mut Paint<'_>) {
    let whole = paint.buf.area;
    let (width, height) = super::layout::dialogs(app);
    let inner = Rect { x: 0, y: 1, width, height: height.saturating_sub(2) };
    match layer {
        Layer::Help(help) => draw_help(app, help, inner, paint),
        Layer::Palette(palette) => draw_palette(app, palette, inner, paint),
        Layer::Steps => draw_steps(app, inner, paint),
        Layer::Ask(ask) => draw_ask(app, ask, inner, paint),
        Layer::Picker(picker) => draw_picker(picker, inner, paint),
        Layer::Form(form) => draw_form(form, inner, paint),
        Layer::Review(review) => super::review::draw(app, review, inner, paint),
        Layer::Cases(view) => super::learn::cases(app, view, inner, paint),
        Layer::Console(console) => super::learn::console(app, console, inner, paint),
        Layer::Suggest(view) => super::learn::suggest(app, view, inner, paint),
        Layer::Climb(climb) => super::climb::draw(app, climb, inner, paint),
    }
    super::chrome::footer(app, clear_footer(whole, paint), paint);
}

fn clear_footer(whole: Rect, paint: &mut Paint<'_>) -> Rect {
    let footer = Rect { y: whole.height.saturating_sub(1), height: 1, ..whole };
    paint.clear(footer);
    footer
}

fn draw_help(app: &App, help: &Help, area: Rect, paint: &mut Paint<'_>) {
    let rows = help.rows();
    let height = u16::try_from(rows.len()).unwrap_or(u16::MAX).saturating_add(2);
    let inside = paint.dialog(middle(area, 76, height), "Keys of this place", false);
    let most = usize::from(inside.height);
    let top = help.scroll.min(rows.len().saturating_sub(most));
    let unicode = paint.glyphs().unicode;
    for (y, row) in (inside.y..inside.bottom()).zip(rows.iter().skip(top)) {
        match row {
            HelpRow::Gap => {}
            HelpRow::Heading(text) => {
                paint.text(inside.x, y, inside.right(), Role::Accent, text);
            }
            HelpRow::Entry(entry) => {
                let keys: Vec<String> =
                    app.keymap.keys(entry.action).iter().map(|keys| key::label(keys, unicode)).collect();
                let split = inside.x + 15;
                paint.right(inside.x, y, split - 2, Role::Key, &keys.join(" "));
                match (entry.when)(app) {
                    When::Now => paint.text(split, y, inside.right(), Role::Text, entry.doc),
                    When::Not(why) => {
                        let x = paint.text(split, y, inside.right(), Role::Muted, entry.doc);
                        paint.text(x + 1, y, inside.right(), Role::Muted, &format!("({why})"))
                    }
                };
            }
        }
    }
    let below = rows.len().saturating_sub(top + most);
    if below > 0 {
        let y = inside.bottom();
        paint.right(inside.x, y, inside.right(), Role::Muted, &format!(" {below} more below "));
    }
}

fn window(selected: usize, rows: usize, height: usize) -> usize {
    selected.saturating_sub(height.saturating_sub(1)).min(rows.saturating_sub(height.min(rows)))
}

fn prompt(paint: &mut Paint<'_>, inside: Rect, field: &crate::tui::app::field::Field) {
    let x = paint.text(inside.x, inside.y, inside.right(), Role::Key, "> ");
    paint.field(x, inside.y, inside.right(), field, true);
    let rule = paint.glyphs().line.repeat(usize::from(inside.width));
    paint.text(inside.x, inside.y + 1, inside.right(), Role::Faint, &rule);
}

fn draw_palette(app: &App, palette: &Palette, area: Rect, paint: &mut Paint<'_>) {
    let rows = palette.rows(app);
    let inside = paint.dialog(middle(area, 86, 22), "Commands", false);
    prompt(paint, inside, &palette.field);
    let list = Rect { y: inside.y + 2, height: inside.height.saturating_sub(2), ..inside };
    let height = usize::from(list.height);
    let selected = palette.selected.min(rows.len().saturating_sub(1));
    let top = window(selected, rows.len(), height);
    let unicode = paint.glyphs().unicode;
    for (index, (entry, when)) in rows.iter().enumerate().skip(top).take(height) {
        let y = list.y + u16::try_from(index - top).unwrap_or(0);
        let row = Rect { y, height: 1, ..list };
        let keys = app.keymap.keys(entry.action).first().map(|keys| key::label(keys, unicode));
        paint.right(list.x, y, list.x + 9, Role::Key, &keys.unwrap_or_default());
        let (role, text) = match when {
            When::Now => (Role::Text, entry.doc.to_owned()),
            When::Not(why) => (Role::Muted, format!("{} ({why})", entry.doc)),
        };
        paint.text(list.x + 11, y, list.x + 26, role, entry.title);
        paint.text(
            list.x + 26,
            y,
            list.right(),
            if role == Role::Text { Role::Text } else { Role::Muted },
            &text,
        );
        if index == selected {
            paint.select(Rect { x: row.x.saturating_sub(1), width: row.width + 2, ..row }, true);
        }
        paint.hits.push((row, Hit::Item(index)));
    }
    if rows.is_empty() {
        paint.text(list.x, list.y, list.right(), Role::Muted, "no action is called that");
    }
}

/// The first steps, each with its mark, its key and how it is done.
fn draw_steps(app: &App, area: Rect, paint: &mut Paint<'_>) {
    let steps = steps(app);
    let height = u16::try_from(steps.len() * 3 + 1).unwrap_or(u16::MAX);
    let inside = paint.dialog(middle(area, 92, height), "First steps", false);
    let next = steps.iter().position(|step| !step.done);
    let unicode = paint.glyphs().unicode;
    let mut y = inside.y;
    for (index, step) in steps.iter().enumerate() {
        if y >= inside.bottom() {
            break;
        }
        let (role, mark) =
            if step.done { (Role::Good, paint.glyphs().allow) } else { (Role::Muted, paint.glyphs().dot) };
        paint.text(inside.x, y, inside.right(), role, mark);
        let key = step.action.and_then(|action| app.keymap.keys(action).first());
        let key = key.map(|keys| key::label(keys, unicode)).unwrap_or_default();
        paint.right(inside.x + 2, y, inside.x + 9, Role::Key, &key);
        let role = match next {
            Some(next) if next == index => Role::Strong,
            _ if step.done => Role::Muted,
            _ => Role::Text,
        };
        paint.text(inside.x + 11, y, inside.right(), role, &step.what);
        paint.text(inside.x + 11, y + 1, inside.right(), Role::Muted, &step.how);
        if next == Some(index) {
            let row = Rect { x: inside.x.saturating_sub(1), y, width: inside.width + 2, height: 1 };
            paint.select(row, true);
            paint.hits.push((row, Hit::Item(index)));
        }
        y += 3;
    }
}

fn draw_ask(app: &App, ask: &Ask, area: Rect, paint: &mut Paint<'_>) {
    let (width, lines, seen) = ask.layout(super::layout::dialogs(app));
    let gap = usize::from(!lines.is_empty());
    let size = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    let height = size(seen + gap + ask.answers.len() + 2);
    let inside = paint.dialog(middle(area, size(width), height), &ask.title, ask.danger);
    let mut y = inside.y;
    let top = ask.scroll.min(lines.len().saturating_sub(seen));
    for line in lines.iter().skip(top).take(seen) {
        paint.text(inside.x, y, inside.right(), Role::Text, line);
        paint.strange(inside.x, y, inside.right(), line);
        y += 1;
    }
    let below = lines.len().saturating_sub(top + seen);
    if below > 0 {
        paint.right(inside.x, y, inside.right(), Role::Warn, &format!("{below} more lines, PgDn"));
    } else if top > 0 {
        paint.right(inside.x, y, inside.right(), Role::Muted, "PgUp: from the beginning");
    }
    y += size(gap);
    for (index, (letter, words, _)) in ask.answers.iter().enumerate() {
        if y >= inside.bottom() {
            break;
        }
        paint.text(inside.x, y, inside.right(), Role::Key, &letter.to_string());
        paint.text(inside.x + 3, y, inside.right(), Role::Text, &crate::visible::visible(words));
        let row = Rect { x: inside.x.saturating_sub(1), y, width: inside.width + 2, height: 1 };
        if index == ask.selected {
            paint.select(row, true);
        }
        paint.hits.push((row, Hit::Item(index)));
        y += 1;
    }
}

fn draw_picker(picker: &Picker, area: Rect, paint: &mut Paint<'_>) {
    let rows = picker.rows();
    let height = u16::try_from(picker.items.len()).unwrap_or(u16::MAX).saturating_add(4).min(22);
    let inside = paint.dialog(middle(area, 72, height), &picker.title, false);
    prompt(paint, inside, &picker.field);
    let list = Rect { y: inside.y + 2, height: inside.height.saturating_sub(2), ..inside };
    let height = usize::from(list.height);
    let selected = picker.selected.min(rows.len().saturating_sub(1));
    let top = window(selected, rows.len(), height);
    let names =
        picker.items.iter().map(|item| crate::visible::visible(&item.name).width()).max().unwrap_or(0);
    let split = list.x + u16::try_from(names.clamp(12, 36)).unwrap_or(36) + 2;
    for (index, item) in rows
        .iter()
        .enumerate()
        .skip(top)
        .take(height)
        .filter_map(|(at, row)| Some((at, picker.items.get(*row)?)))
    {
        let y = list.y + u16::try_from(index - top).unwrap_or(0);
        let name = crate::visible::visible(&item.name);
        let marks = search::marks(&name, picker.field.text());
        let marks = if picker.field.is_empty() { Vec::new() } else { marks };
        paint.marked(list.x, y, split - 1, paint.theme.style(Role::Text), &name, &marks);
        paint.text(split, y, list.right(), Role::Muted, &crate::visible::visible(&item.detail));
        let row = Rect { x: list.x.saturating_sub(1), y, width: list.width + 2, height: 1 };
        if index == selected {
            paint.select(row, true);
        }
        paint.hits.push((row, Hit::Item(index)));
    }
    if rows.is_empty() {
        let text = match picker.other {
            Some(_) => "nothing has that name: Enter takes it as written",
            None => "nothing matches",
        };
        paint.text(list.x, list.y, list.right(), Role::Muted, text);
    }
}

fn draw_form(form: &Form, area: Rect, paint: &mut Paint<'_>) {
    let labels = form.fields.iter().map(|field| field.label.width()).max().unwrap_or(0);
    let height = u16::try_from(form.fields.len() * 2 + 2 + if form.problem.is_some() { 2 } else { 0 })
        .unwrap_or(u16::MAX);
    let inside = paint.dialog(middle(area, 76, height), &form.title, false);
    let split = inside.x + u16::try_from(labels).unwrap_or(10) + 3;
    let mut y = inside.y;
    for (index, field) in form.fields.iter().enumerate() {
        if y >= inside.bottom() {
            break;
        }
        let focused = index == form.focus;
        let role = if focused { Role::Accent } else { Role::Muted };
        if focused {
            paint.text(inside.x, y, split, Role::Accent, paint.glyphs().cursor);
        }
        paint.text(inside.x + 2, y, split, role, field.label);
        match &field.input {
            Input::Text(text) => paint.field(split, y, inside.right(), text, focused),
            Input::Choice { options, at } if field.id == Id::Preset => {
                presets(
                    options,
                    *at,
                    focused,
                    Rect { x: split, y, width: inside.right() - split, height: 2 },
                    paint,
                );
            }
            Input::Choice { options, at } => choice(options, *at, focused, split, y, inside.right(), paint),
        }
        let row = Rect { y, height: 1, ..inside };
        paint.hits.push((row, Hit::Item(index)));
        y += 1;
        if y < inside.bottom() {
            let touched = form.insisted || !field.value().is_empty();
            match &field.error {
                Some(error) if touched => {
                    paint.text(split, y, inside.right(), Role::Bad, error);
                }
                Some(error) => {
                    paint.text(split, y, inside.right(), Role::Muted, error);
                }
                None => {
                    paint.text(split, y, inside.right(), Role::Muted, &field.note);
                }
            }
            y += 1;
        }
    }
    if let Some(problem) = &form.problem {
        let room = usize::from(inside.width);
        for (y, line) in (inside.bottom().saturating_sub(2)..inside.bottom()).zip(wrap(problem, room)) {
            paint.text(inside.x, y, inside.right(), Role::Bad, &line);
        }
    }
}

/// Choices with the digit that picks each, over two lines.
fn presets(options: &[String], at: usize, focused: bool, area: Rect, paint: &mut Paint<'_>) {
    let half = options.len().div_ceil(2);
    for (index, option) in options.iter().enumerate() {
        let column = u16::try_from(index % half.max(1)).unwrap_or(0);
        let y = area.y + u16::from(index >= half);
        let x = paint.text(area.x + column * 14, y, area.right(), Role::Key, &(index + 1).to_string());
        let role = if index == at { Role::Strong } else { Role::Muted };
        let end = paint.text(x + 1, y, area.right(), role, option);
        if index == at {
            paint.select(Rect::new(x + 1, y, end.saturating_sub(x + 1), 1), focused);
        }
    }
}

/// A choice in one line: all options where they fit, else the chosen one between arrows.
fn choice(options: &[String], at: usize, focused: bool, x: u16, y: u16, end: u16, paint: &mut Paint<'_>) {
    let all: usize = options.iter().map(|option| option.width() + 2).sum();
    if all <= usize::from(end.saturating_sub(x)) {
        let mut column = x;
        for (index, option) in options.iter().enumerate() {
            let start = column;
            let role = if index == at { Role::Strong } else { Role::Muted };
            column = paint.text(column, y, end, role, option);
            if index == at {
                let area = Rect::new(start, y, column.saturating_sub(start), 1);
                paint.select(area, focused);
            }
            column += 2;
        }
        return;
    }
    let [left, right] = if paint.glyphs().unicode { ["‹ ", " ›"] } else { ["< ", " >"] };
    let mut column = paint.text(x, y, end, Role::Key, left);
    let start = column;
    column =
        paint.text(column, y, end.saturating_sub(8), Role::Strong, options.get(at).map_or("", |text| text));
    paint.select(Rect::new(start, y, column.saturating_sub(start), 1), focused);
    column = paint.text(column, y, end, Role::Key, right);
    paint.text(column + 1, y, end, Role::Muted, &format!("{}/{}", at + 1, options.len()));
}
