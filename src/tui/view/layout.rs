//! Where things are: from the terminal's size and the state alone, so that moving and drawing agree.

use ratatui::layout::Rect;

use crate::tui::app::App;
use crate::tui::app::policy::Focus;

/// The parts of every screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The bar at the top with the tabs.
    pub header: Rect,
    /// A freeze's banner, or a notice about the file; no rows when there is none.
    pub banner: Rect,
    /// The screen itself.
    pub body: Rect,
    /// Messages about what happened, in lines of their own: they cover nothing.
    pub toasts: Rect,
    /// The keys.
    pub footer: Rect,
}

/// The parts of every screen.
pub fn frame(app: &App) -> Frame {
    let (width, height) = app.size;
    let banner = u16::from(super::has_banner(app));
    let room = height.saturating_sub(2 + banner);
    let toasts = u16::try_from(super::chrome::toast_lines(app).len()).unwrap_or(0).min(room);
    Frame {
        header: Rect::new(0, 0, width, 1),
        banner: Rect::new(0, 1, width, banner),
        body: Rect::new(0, 1 + banner, width, room - toasts),
        toasts: Rect::new(0, height.saturating_sub(1 + toasts), width, toasts),
        footer: Rect::new(0, height.saturating_sub(1), width, 1),
    }
}

/// The columns and rows that dialogs have: the terminal without the lines of the toasts.
pub fn dialogs(app: &App) -> (u16, u16) {
    (app.size.0, app.size.1.saturating_sub(frame(app).toasts.height))
}

/// The parts of the Policy screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The table with its title and column heads.
    pub table: Rect,
    /// The inspector with its title.
    pub inspector: Rect,
    /// They stand side by side, with a line between.
    pub beside: bool,
}

impl Policy {
    /// How many rows of the table are drawn.
    pub fn rows(&self) -> usize {
        usize::from(self.table.height.saturating_sub(2))
    }
}

/// From this width on the inspector stands beside the table.
const BESIDE: u16 = 110;

/// The parts of the Policy screen.
pub fn policy(app: &App) -> Policy {
    let body = frame(app).body;
    if body.width >= BESIDE {
        let left = body.width * 58 / 100;
        return Policy {
            table: Rect { width: left, ..body },
            inspector: Rect { x: body.x + left + 1, width: body.width - left - 1, ..body },
            beside: true,
        };
    }
    let share = if app.policy.focus == Focus::Inspector { 38 } else { 58 };
    let top = (body.height * share / 100).max(4).min(body.height);
    Policy {
        table: Rect { height: top, ..body },
        inspector: Rect { y: body.y + top, height: body.height - top, ..body },
        beside: false,
    }
}
