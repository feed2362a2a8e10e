//! The Live screen around its rows: the filter line, the detail, and what keys do.

use super::Live;
use super::ring::Bounds;
use crate::time::Timestamp;
use crate::tui::app::field::Field;
use crate::tui::key::{Code, Key};

/// The Live screen.
#[derive(Debug, Clone)]
pub struct LiveScreen {
    /// The rows.
    pub live: Live,
    /// Whether the selected row's detail is open.
    pub detail: bool,
    /// The first line of the detail in view.
    pub detail_top: usize,
    /// The detail's columns of text and its lines, told by each change of the layout.
    pub pane: (usize, usize),
    /// The filter being typed, with what is wrong with it.
    pub filter: Option<Typing>,
    /// Where the person is, for the time of day.
    pub tz: jiff::tz::TimeZone,
    /// How many gateways are attached.
    pub gateways: usize,
}

/// A filter that is being typed; each valid stage of it is in force at once.
#[derive(Debug, Clone)]
pub struct Typing {
    /// The text.
    pub field: Field,
    /// What is wrong with it.
    pub error: Option<String>,
    /// The text that was in force before.
    before: String,
}

impl LiveScreen {
    /// An empty screen.
    pub fn new(bounds: Bounds, tz: jiff::tz::TimeZone) -> Self {
        Self {
            live: Live::new(bounds),
            detail: false,
            detail_top: 0,
            pane: (40, 10),
            filter: None,
            tz,
            gateways: 0,
        }
    }

    /// Whether keys go to the filter line.
    pub fn typing(&self) -> bool {
        self.filter.is_some()
    }

    /// Opens the filter line with the filter in force.
    pub fn open_filter(&mut self) {
        let before = self.live.filter_text.clone();
        let text =
            if before.is_empty() || before.ends_with(' ') { before.clone() } else { format!("{before} ") };
        self.filter = Some(Typing { field: Field::with(text), error: None, before });
    }

    /// A key while the filter line is open.
    pub fn filter_key(&mut self, key: Key, now: Timestamp) {
        let Some(typing) = &mut self.filter else { return };
        match key.code {
            Code::Enter => {
                // A text that is no filter stays open with its error: nothing typed is lost.
                if typing.error.is_none() {
                    self.filter = None;
                }
                return;
            }
            Code::Esc => {
                let before = std::mem::take(&mut typing.before);
                self.filter = None;
                // It was in force before, so it parses.
                let _ = self.live.set_filter(&before, now);
                return;
            }
            _ => {
                typing.field.key(key);
            }
        }
        self.apply(now);
    }

    /// Text pasted into the filter line.
    pub fn filter_paste(&mut self, text: &str, now: Timestamp) {
        if let Some(typing) = &mut self.filter {
            typing.field.paste(text);
            self.apply(now);
        }
    }

    fn apply(&mut self, now: Timestamp) {
        let Some(typing) = &mut self.filter else { return };
        typing.error = self.live.set_filter(typing.field.text(), now).err().map(|error| error.to_string());
    }

    /// Takes the filter away; `false` when there was none.
    pub fn clear_filter(&mut self) -> bool {
        let was = self.live.is_filtered();
        if was {
            let _ = self.live.set_filter("", Timestamp::default());
        }
        was
    }

    /// Opens or closes the detail. An open one holds its row still.
    pub fn show_detail(&mut self, open: bool) {
        if open && self.live.is_following() {
            self.live.pause();
        }
        self.detail = open;
        self.detail_top = 0;
    }

    /// Moves the selection; the detail begins at its top again.
    pub fn move_by(&mut self, rows: isize) {
        self.live.move_by(rows);
        self.detail_top = 0;
    }

    /// Scrolls the detail by so many lines.
    pub fn scroll_detail(&mut self, lines: isize) {
        let (width, height) = self.pane;
        let total = self
            .live
            .selected()
            .map_or(0, |id| super::detail::wrapped(&self.live.ring, id, Timestamp::default(), width).len());
        let last = total.saturating_sub(height.max(1));
        self.detail_top = self.detail_top.saturating_add_signed(lines).min(last);
    }
}
