//! A record as one line for people.

use std::collections::HashMap;
use std::sync::Arc;

use unicode_width::UnicodeWidthChar;
use unicode_width::UnicodeWidthStr;

use crate::cli::Output;
use crate::cli::output::Tint;
use crate::record::line::Line;
use crate::record::{EventKind, Status, Verdict};
use crate::visible::visible;

/// How many calls are remembered for their outcomes.
const CALLS: usize = 50_000;

/// How wide the columns are; they give way where there is little room.
#[derive(Debug, Clone, Copy)]
struct Columns {
    /// Whether the day is shown, and the time of day to the millisecond.
    long_time: bool,
    server: usize,
    tool: usize,
    rule: usize,
}

impl Columns {
    fn within(width: Option<usize>) -> Self {
        match width.unwrap_or(usize::MAX) {
            ..100 => Self { long_time: false, server: 8, tool: 16, rule: 18 },
            100..140 => Self { long_time: true, server: 10, tool: 20, rule: 20 },
            140.. => Self { long_time: true, server: 12, tool: 24, rule: 28 },
        }
    }

    /// Where the columns end.
    fn end(self) -> usize {
        let time = if self.long_time { 18 } else { 8 };
        time + 1 + WORD + 1 + self.server + 1 + self.tool + 1 + self.rule + 1
    }
}

/// The width of the word that says what it is.
const WORD: usize = 5;
/// The least room that arguments get before a message.
const ARGS: usize = 16;

/// Calls whose outcome may still come, by gateway run and number. Names are kept once: a journal
/// has millions of calls of a few tools.
#[derive(Default)]
struct Calls {
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
    open: HashMap<(u32, u64), (u32, u32)>,
}

impl Calls {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let name: Arc<str> = Arc::from(name);
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        number
    }

    fn add(&mut self, gateway: &str, seq: u64, server: &str, tool: &str) {
        if self.open.len() >= CALLS || self.names.len() >= CALLS {
            *self = Self::default();
        }
        let call = (self.number(gateway), seq);
        let names = (self.number(server), self.number(tool));
        self.open.insert(call, names);
    }

    /// Server and tool of a call, which is forgotten.
    fn take(&mut self, gateway: &str, seq: u64) -> Option<(Arc<str>, Arc<str>)> {
        let gateway = *self.numbers.get(gateway)?;
        let (server, tool) = self.open.remove(&(gateway, seq))?;
        let name = |number: u32| self.names.get(usize::try_from(number).ok()?).cloned();
        Some((name(server)?, name(tool)?))
    }
}

/// Prints lines; remembers which call an outcome belongs to.
pub(super) struct Show {
    color: bool,
    width: Option<usize>,
    columns: Columns,
    tz: jiff::tz::TimeZone,
    calls: Calls,
    row: String,
}

impl Show {
    pub(super) fn new(out: &Output, width: Option<usize>) -> Self {
        Self {
            color: out.color,
            width,
            columns: Columns::within(width),
            tz: jiff::tz::TimeZone::system(),
            calls: Calls::default(),
            row: String::new(),
        }
    }

    /// Remembers an allowed call, whether it is shown or not.
    pub(super) fn learn(&mut self, line: &Line<'_>) {
        if line.decision == Some(Verdict::Allow) {
            self.calls.add(&line.gateway.0, line.seq, Line::text(&line.server), Line::text(&line.tool));
        }
    }

    /// Appends the line with a line feed; nothing for an outcome that went well: it is in the record,
    /// not in the way. `read` is `None` where the bytes are no record.
    pub(super) fn line(&mut self, bytes: &[u8], read: Option<&Line<'_>>, asked: bool, out: &mut Vec<u8>) {
        self.row.clear();
        match read {
            None => {
                column(&mut self.row, "?", 24);
                self.row.push(' ');
                self.row.push_str(&visible(&String::from_utf8_lossy(bytes)));
            }
            Some(line) => match line.kind.0.as_ref() {
                "decision" => self.decision(line),
                "event" => self.event(line),
                _ if self.outcome(line, asked) => {}
                _ => return,
            },
        }
        let whole = self.row.trim_end();
        match self.width {
            Some(width) => out.extend_from_slice(cut(whole, width).as_bytes()),
            None => out.extend_from_slice(whole.as_bytes()),
        }
        out.push(b'\n');
    }

    fn decision(&mut self, line: &Line<'_>) {
        let (word, tint) = match line.decision {
            Some(Verdict::Allow) => ("ALLOW", Tint::Good),
            Some(Verdict::Approve) => ("ASK", Tint::Warn),
            _ => ("DENY", Tint::Bad),
        };
        let tool = match Line::text(&line.tool) {
            "" => Line::text(&line.method),
            tool => tool,
        };
        let rule = Line::text(&line.rule);
        let rule = rule
            .strip_prefix("/tools/")
            .and_then(|rest| rest.split_once('/'))
            .map_or(rule, |(_, short)| short);
        self.time(line);
        self.head(word, tint, Line::text(&line.server), tool, rule);
        if let Some(shadow) = line.shadow.as_ref().filter(|shadow| Some(shadow.decision) != line.decision) {
            self.row.push_str(match shadow.decision {
                Verdict::Allow => "shadow ALLOW",
                Verdict::Deny => "shadow DENY",
                Verdict::Approve => "shadow ASK",
            });
            if !shadow.rule.0.is_empty() {
                self.row.push(' ');
                self.row.push_str(&visible(&shadow.rule.0));
            }
            self.row.push_str("  ");
        }
        let args = visible(line.args.unwrap_or(""));
        let message = visible(Line::text(&line.message));
        // Arguments can be long; why a call was denied is what people came for.
        match self.width {
            Some(width) if !message.is_empty() => {
                let room = width.saturating_sub(self.columns.end());
                let room = room.saturating_sub(message.width() + 3).max(ARGS);
                self.row.push_str(&cut(&args, room));
            }
            _ => self.row.push_str(&args),
        }
        if !message.is_empty() {
            self.row.push_str("  ");
            self.row.push_str(&message);
        }
    }

    fn event(&mut self, line: &Line<'_>) {
        let kind = serde_json::to_value(line.event).ok().and_then(|kind| kind.as_str().map(str::to_owned));
        let tint = match line.event {
            Some(EventKind::Freeze | EventKind::PolicyRejected | EventKind::Store) => Tint::Bad,
            Some(EventKind::Drift | EventKind::Override) => Tint::Warn,
            _ => Tint::Strong,
        };
        let mut rest = kind.unwrap_or_default().replace('_', " ");
        for part in [Line::text(&line.reason), Line::text(&line.by), line.data.unwrap_or("")] {
            if !part.is_empty() && part != "{}" {
                rest.push_str("  ");
                rest.push_str(part);
            }
        }
        self.time(line);
        self.row.push(' ');
        self.tinted(tint, |row| column(row, "event", WORD));
        self.row.push(' ');
        self.row.push_str(&visible(&rest));
    }

    /// `false`: it is not to be shown.
    fn outcome(&mut self, line: &Line<'_>, asked: bool) -> bool {
        let (Some(seq), Some(status)) = (line.call, line.status) else { return false };
        let call = self.calls.take(&line.gateway.0, seq);
        let (word, tint) = match status {
            Status::Ok if !asked => return false,
            Status::Ok => ("ok", Tint::Good),
            Status::ToolError => ("FAIL", Tint::Warn),
            Status::RpcError => ("ERROR", Tint::Bad),
            Status::Cancelled => ("GONE", Tint::Warn),
            Status::Lost => ("LOST", Tint::Bad),
        };
        let (server, tool) = call.unwrap_or_else(|| (Arc::from(""), Arc::from("")));
        let millis = line.upstream_us.unwrap_or(0) / 1000;
        let why = match (status, line.code) {
            (Status::ToolError, _) => "the tool reported an error".to_owned(),
            (Status::RpcError, Some(code)) => format!("the server answered with error {code}"),
            (Status::RpcError, None) => "the server answered with an error".to_owned(),
            (Status::Cancelled, _) => "the client cancelled".to_owned(),
            (Status::Lost, _) => "the server went away".to_owned(),
            (Status::Ok, _) => String::new(),
        };
        self.time(line);
        self.head(word, tint, &server, &tool, &format!("after {millis} ms"));
        self.row.push_str(&why);
        true
    }

    /// The columns between the time and the rest.
    fn head(&mut self, word: &str, tint: Tint, server: &str, tool: &str, rule: &str) {
        self.row.push(' ');
        self.tinted(tint, |row| column(row, word, WORD));
        self.row.push(' ');
        column(&mut self.row, server, self.columns.server);
        self.row.push(' ');
        column(&mut self.row, tool, self.columns.tool);
        self.row.push(' ');
        let wide = self.columns.rule;
        if tint == Tint::Bad {
            self.tinted(tint, |row| column(row, rule, wide));
        } else {
            column(&mut self.row, rule, wide);
        }
        self.row.push(' ');
    }

    /// The local time: month, day, and the time of day to the millisecond; where there is little
    /// room the time of day to the second.
    fn time(&mut self, line: &Line<'_>) {
        let long = self.columns.long_time;
        let Ok(instant) = jiff::Timestamp::from_microsecond(line.ts.0) else {
            return column(&mut self.row, "?", if long { 18 } else { 8 });
        };
        let offset = i64::from(self.tz.to_offset(instant).seconds());
        let local = line.ts.plus_micros(offset.saturating_mul(1_000_000));
        self.tinted(Tint::Dim, |row| {
            // `2026-11-20T21:20:00.000001Z`
            let text = local.utc().unwrap_or(*crate::time::NO_INSTANT);
            let text = std::str::from_utf8(&text).unwrap_or("");
            if long {
                row.push_str(text.get(5..10).unwrap_or(""));
                row.push(' ');
            }
            row.push_str(text.get(11..if long { 23 } else { 19 }).unwrap_or(""));
        });
    }

    fn tinted(&mut self, tint: Tint, write: impl FnOnce(&mut String)) {
        let (on, off) = crate::cli::output::tint(self.color, tint);
        self.row.push_str(on);
        write(&mut self.row);
        self.row.push_str(off);
    }
}

/// Cut to so many columns; escape sequences of our own take no room.
fn cut(text: &str, width: usize) -> String {
    if text.len() <= width {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut used = 0;
    let mut escape = false;
    let mut cut = false;
    for c in text.chars() {
        if c == '\u{1b}' {
            escape = true;
        }
        if escape {
            out.push(c);
            escape = c != 'm';
            continue;
        }
        let wide = c.width().unwrap_or(0);
        if cut || used + wide > width.saturating_sub(1) {
            cut = true;
            continue;
        }
        used += wide;
        out.push(c);
    }
    if cut {
        out.push('…');
    }
    out
}

/// Foreign text, made safe and padded to a width; what is longer is cut only so far that columns
/// after it still line up.
pub(super) fn column(out: &mut String, text: &str, width: usize) {
    const SPACES: &str = "                                                ";
    let text = visible(text);
    // What `visible` leaves of ASCII is one column a character.
    let wide = if text.is_ascii() { text.len() } else { text.width() };
    if wide <= width {
        out.push_str(&text);
        out.push_str(SPACES.get(..width - wide).unwrap_or(""));
        return;
    }
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        out.push(c);
    }
    out.push('…');
    out.push_str(SPACES.get(..width.saturating_sub(used + 1)).unwrap_or(""));
}
