//! Drawing: `&App` onto cells, purely, and what stands where for the mouse.

pub mod approvals;
mod cells;
mod chrome;
mod climb;
pub mod counters;
pub mod health;
mod inspector;
mod layers;
pub mod layout;
pub mod learn;
pub mod live;
pub mod paint;
mod pane;
mod policy;
mod review;
pub mod text;

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use self::paint::Paint;
use super::app::{App, Hit, MIN_SIZE, Screen};
use super::theme::Role;

pub(crate) use self::chrome::has_banner;

/// What came of drawing.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// What stands where, the later on top.
    pub hits: Arc<[(Rect, Hit)]>,
    /// Where the cursor blinks.
    pub cursor: Option<Position>,
}

/// Draws the whole state onto a buffer of the terminal's size.
pub fn draw(app: &App, buf: &mut Buffer) -> Drawn {
    let mut paint = Paint::new(buf, &app.theme);
    if app.too_small() {
        small(app, &mut paint);
    } else {
        let frame = layout::frame(app);
        chrome::header(app, frame.header, &mut paint);
        chrome::banner(app, frame.banner, &mut paint);
        match app.screen {
            Screen::Policy => policy::draw(app, &mut paint),
            Screen::Live => live::draw(app, frame.body, &mut paint),
            Screen::Counters => counters::draw(app, frame.body, &mut paint),
            Screen::Approvals => approvals::draw(app, frame.body, &mut paint),
            Screen::Health => health::draw(app, frame.body, &mut paint),
        }
        chrome::footer(app, frame.footer, &mut paint);
        for layer in &app.layers {
            paint.cursor = None;
            layers::draw(app, layer, &mut paint);
        }
        chrome::toasts(app, frame.toasts, &mut paint);
    }
    if !app.theme.glyphs.unicode {
        ascii(paint.buf);
    }
    Drawn { hits: paint.hits.into(), cursor: paint.cursor }
}

/// Where the terminal shows only ASCII nothing else is written to it: signs of our own become those that
/// look like them, whatever else a question mark.
fn ascii(buf: &mut Buffer) {
    for cell in &mut buf.content {
        if cell.symbol().is_ascii() {
            continue;
        }
        let sign = match cell.symbol() {
            "\u{b5}" | "\u{3bc}" => "u",
            "\u{2026}" => "~",
            "\u{b7}" | "\u{2013}" | "\u{2014}" => "-",
            "\u{2018}" | "\u{2019}" => "'",
            "\u{201c}" | "\u{201d}" => "\"",
            "\u{2192}" => ">",
            _ => "?",
        };
        cell.set_symbol(sign);
    }
}

fn small(app: &App, paint: &mut Paint<'_>) {
    let (width, height) = app.size;
    let (columns, rows) = MIN_SIZE;
    let text = [format!("{width}x{height} is too small"), format!("callgate needs {columns}x{rows}")];
    let top = (height / 2).saturating_sub(1);
    for (y, line) in (top..height).zip(&text) {
        let x = width.saturating_sub(u16::try_from(line.len()).unwrap_or(0)) / 2;
        paint.text(x, y, width, Role::Strong, line);
    }
}
