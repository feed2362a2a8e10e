//! The Live screen around its rows: the line at the bottom, the detail, the pivot, the time axis.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Live;
use super::detail::{self, About, Line};
use super::explained::Kept;
use super::marks::{Mark, Marks};
use super::ring::Bounds;
use super::strip::{Column, WIDTHS};
use super::tally::{By, Group, Key, Order};
use super::tree::Toggled;
use super::typing::Typing;
use crate::time::Timestamp;
use crate::tui::app::counters::Counters;

/// Rows of a screen from which on the time axis is shown by itself.
const TALL: u16 = 30;

/// The Live screen.
#[derive(Debug, Clone)]
pub struct LiveScreen {
    /// The rows.
    pub live: Live,
    /// Whether the selected row's detail is open.
    pub detail: bool,
    /// The first line of the detail in view.
    pub detail_top: usize,
    /// The selected line of the detail, while keys go there.
    pub inside: Option<usize>,
    /// The detail's columns of text and its lines, told by each change of the layout.
    pub pane: (usize, usize),
    /// Which parts of the detail a person folded or opened.
    pub toggled: Toggled,
    /// Policies by revision: asked for, and what came.
    pub(super) policies: HashMap<String, Option<Result<Arc<Kept>, String>>>,
    /// The line that is being typed.
    pub line: Option<Typing>,
    /// Filters by name.
    pub saved: BTreeMap<String, String>,
    /// Filters that were used, the newest last.
    pub history: Vec<String>,
    /// Marks and notes.
    pub marks: Marks,
    /// Rows counted by something instead of one by one.
    pub pivot: Option<Pivot>,
    /// Whether the time axis is shown; `None`: where there is room.
    pub strip: Option<bool>,
    /// How wide a column of it is, by its place in [`WIDTHS`].
    pub zoom: usize,
    /// Times are shown as how long ago they were.
    pub relative: bool,
    /// Where the person is, for the time of day.
    pub tz: jiff::tz::TimeZone,
    /// How many gateways are attached.
    pub gateways: usize,
}

/// A pivot's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pivot {
    /// By what rows are counted.
    pub by: By,
    /// How groups are ordered.
    pub order: Order,
    /// The selected group; `None`: the first.
    pub selected: Option<Key>,
    /// The first group in view.
    pub top: usize,
}

/// The part of time that the axis shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// The second at which the first column begins.
    pub from: i64,
    /// Seconds of a column.
    pub width: i64,
    /// The columns, oldest first.
    pub columns: Vec<Column>,
    /// The column of the selected row.
    pub selected: Option<usize>,
}

impl LiveScreen {
    /// An empty screen.
    pub fn new(bounds: Bounds, tz: jiff::tz::TimeZone) -> Self {
        Self {
            live: Live::new(bounds),
            detail: false,
            detail_top: 0,
            inside: None,
            pane: (40, 10),
            toggled: Toggled::new(),
            policies: HashMap::new(),
            line: None,
            saved: BTreeMap::new(),
            history: Vec::new(),
            marks: Marks::default(),
            pivot: None,
            strip: None,
            zoom: 2,
            relative: false,
            tz,
            gateways: 0,
        }
    }

    /// Opens or closes the detail. An open one holds its row still.
    pub fn show_detail(&mut self, open: bool) {
        if open && self.live.is_following() {
            self.live.pause();
        }
        self.detail = open;
        self.detail_top = 0;
        self.inside = None;
    }

    /// Moves the selection; the detail begins at its top again.
    pub fn move_by(&mut self, rows: isize) {
        self.live.move_by(rows);
        self.detail_top = 0;
        self.inside = None;
    }

    /// What the detail is made from.
    pub fn about<'a>(&'a self, counters: &'a Counters, now: Timestamp) -> About<'a> {
        let row = self.live.selected_row();
        let policy = row.and_then(|row| self.policy(self.live.ring.names.text(row.policy)));
        About {
            ring: &self.live.ring,
            counters,
            marks: &self.marks,
            toggled: &self.toggled,
            policy,
            repeat: self.live.selected().and_then(|id| self.live.repeat(id)),
            now,
        }
    }

    /// The lines of the detail.
    pub fn detail_lines(&self, counters: &Counters, now: Timestamp) -> Vec<Line> {
        let about = self.about(counters, now);
        self.live.selected().map_or_else(Vec::new, |id| detail::wrapped(&about, id, self.pane.0))
    }

    /// Scrolls the detail of so many lines, or moves the selected line within it.
    pub fn scroll_detail(&mut self, lines: isize, total: usize) {
        let height = self.pane.1.max(1);
        let last = total.saturating_sub(height);
        match &mut self.inside {
            Some(at) => {
                *at = at.saturating_add_signed(lines).min(total.saturating_sub(1));
                let at = *at;
                self.detail_top = self.detail_top.clamp((at + 1).saturating_sub(height), at);
            }
            None => self.detail_top = self.detail_top.saturating_add_signed(lines).min(last),
        }
    }

    /// Counts rows by something, or shows them one by one again.
    pub fn show_pivot(&mut self, by: Option<By>) {
        let order = self.pivot.map_or(Order::Calls, |pivot| pivot.order);
        self.pivot = by.map(|by| Pivot { by, order, selected: None, top: 0 });
        self.live.count_by(by);
    }

    /// The groups of the pivot in their order.
    pub fn groups(&self, now: Timestamp) -> Vec<(Key, &Group)> {
        match (self.live.tally(), &self.pivot) {
            (Some(tally), Some(pivot)) => tally.sorted(pivot.order, &self.live.ring.names, now),
            _ => Vec::new(),
        }
    }

    /// The selected group.
    pub fn selected_group(&self, now: Timestamp) -> Option<Key> {
        let tally = self.live.tally()?;
        let selected = self.pivot.and_then(|pivot| pivot.selected);
        let there = selected.filter(|key| tally.get(*key).is_some());
        there.or_else(|| self.groups(now).first().map(|(key, _)| *key))
    }

    /// Moves the selection over the groups.
    pub fn move_group(&mut self, by: isize, now: Timestamp) {
        let Some(selected) = self.selected_group(now) else { return };
        let keys: Vec<Key> = self.groups(now).into_iter().map(|(key, _)| key).collect();
        let at = keys.iter().position(|key| *key == selected).unwrap_or(0);
        let at = at.saturating_add_signed(by).min(keys.len().saturating_sub(1));
        let height = self.live.height();
        if let Some(pivot) = &mut self.pivot {
            pivot.selected = keys.get(at).copied();
            pivot.top = pivot.top.clamp((at + 1).saturating_sub(height), at);
        }
    }

    /// Whether the time axis is shown on a screen of this height.
    pub fn shows_strip(&self, height: u16) -> bool {
        self.strip.unwrap_or(height >= TALL)
    }

    /// Seconds of a column of the time axis.
    pub fn column(&self) -> i64 {
        WIDTHS.get(self.zoom).copied().unwrap_or(15)
    }

    /// The part of time that an axis of so many columns shows: the newest, or what is around the
    /// selected row.
    pub fn axis(&self, now: Timestamp, count: usize) -> Option<Axis> {
        let strip = self.live.strip()?;
        let width = self.column();
        let span = width.saturating_mul(i64::try_from(count).unwrap_or(0));
        let newest = strip.newest().unwrap_or_else(|| now.secs());
        // Where nothing is recent, the end of what there is is worth more than an empty hour.
        let last = if now.secs().saturating_sub(newest) < span / 2 { now.secs() } else { newest };
        let mut from = (last.div_euclid(width) + 1).saturating_mul(width).saturating_sub(span);
        let selected = self.live.selected_row().filter(|_| !self.live.is_following());
        let selected = selected.map(|row| row.ts.secs());
        if let Some(at) = selected.filter(|at| *at < from) {
            from = (at.div_euclid(width)).saturating_mul(width).saturating_sub(span / 2 / width * width);
        }
        let place = |at: i64| usize::try_from(at.saturating_sub(from).div_euclid(width)).ok();
        Some(Axis {
            from,
            width,
            columns: strip.columns(from, width, count),
            selected: selected.and_then(place).filter(|at| *at < count),
        })
    }

    /// Jumps to the column before the selected row's that has calls, or to the one after.
    pub fn jump(&mut self, older: bool) {
        let Some(row) = self.live.selected_row() else { return };
        let width = self.column();
        let begins = row.ts.secs().div_euclid(width) * width;
        let Some(strip) = self.live.strip() else { return };
        let to = if older { strip.before(begins, width) } else { strip.after(begins + width, width) };
        if let Some(second) = to {
            self.to_time(second);
        }
    }

    /// Selects the first row from a second on.
    pub fn to_time(&mut self, second: i64) {
        self.live.to_time(Timestamp::from_secs(second));
        self.detail_top = 0;
        self.inside = None;
    }

    /// The mark of the selected row, with what names it.
    pub fn mark_of_selected(&self) -> Option<(u32, Mark, bool)> {
        let row = self.live.selected_row()?;
        let gateway = self.live.ring.names.text(row.gateway).to_owned();
        if let Some(mark) = self.marks.get(row.source, row.seq) {
            return Some((row.source, mark.clone(), true));
        }
        let mark = Mark { gateway, seq: row.seq, ts: row.ts, note: String::new() };
        Some((row.source, mark, false))
    }

    /// Goes to the nearest marked row that is older, or newer; `false` when there is none in memory.
    pub fn to_mark(&mut self, older: bool) -> bool {
        let Some(at) = self.live.selected() else { return false };
        let ring = &self.live.ring;
        let ids = self.marks.keys().filter_map(|(source, seq)| ring.find(source, seq));
        let found = if older { ids.filter(|id| *id < at).max() } else { ids.filter(|id| *id > at).min() };
        if let Some(id) = found {
            self.live.go_to(id);
            self.detail_top = 0;
            self.inside = None;
        }
        found.is_some()
    }
}
