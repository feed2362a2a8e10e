//! A record as one line for people.

use std::collections::HashMap;

use unicode_width::UnicodeWidthChar;
use unicode_width::UnicodeWidthStr;

use crate::cli::Output;
use crate::cli::output::Tint;
use crate::record::line::Line;
use crate::record::{EventKind, Status, Verdict};
use crate::visible::visible;

/// How many calls are remembered for their outcomes.
const CALLS: usize = 50_000;

/// Column widths.
const SERVER: usize = 12;
const TOOL: usize = 24;
const RULE: usize = 28;

/// Prints lines; remembers which call an outcome belongs to.
pub(super) struct Show {
    color: bool,
    width: Option<usize>,
    tz: jiff::tz::TimeZone,
    calls: HashMap<(String, u64), (String, String)>,
}

impl Show {
    pub(super) fn new(out: &Output, width: Option<usize>) -> Self {
        Self { color: out.color, width, tz: jiff::tz::TimeZone::system(), calls: HashMap::new() }
    }

    /// Remembers an allowed call, whether it is shown or not.
    pub(super) fn learn(&mut self, line: &[u8]) {
        let Ok(line) = Line::parse(line) else { return };
        if line.decision == Some(Verdict::Allow) {
            if self.calls.len() >= CALLS {
                self.calls.clear();
            }
            let call = (line.gateway.0.into_owned(), line.seq);
            let server = line.server.map(|text| text.0.into_owned()).unwrap_or_default();
            let tool = line.tool.map(|text| text.0.into_owned()).unwrap_or_default();
            self.calls.insert(call, (server, tool));
        }
    }

    /// The line, or `None` for an outcome that went well: it is in the record, not in the way.
    pub(super) fn line(&mut self, bytes: &[u8], asked: bool) -> Option<String> {
        let Ok(line) = Line::parse(bytes) else {
            return Some(self.plain(&format!(
                "{} {}",
                pad("?", 24),
                visible(&String::from_utf8_lossy(bytes))
            )));
        };
        let time = self.time(&line);
        match line.kind.0.as_ref() {
            "decision" => Some(self.decision(&time, &line)),
            "event" => Some(self.event(&time, &line)),
            _ => self.outcome(&time, &line, asked),
        }
    }

    fn decision(&self, time: &str, line: &Line<'_>) -> String {
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
        let args = line.args.map_or("", |args| args.get());
        let message = Line::text(&line.message);
        let mut rest = if message.is_empty() { args.to_owned() } else { format!("{args}  {message}") };
        if let Some(shadow) = line.shadow.as_ref().filter(|shadow| Some(shadow.decision) != line.decision) {
            let word = match shadow.decision {
                Verdict::Allow => "ALLOW",
                Verdict::Deny => "DENY",
                Verdict::Approve => "ASK",
            };
            let why = if shadow.rule.0.is_empty() { String::new() } else { format!(" {}", shadow.rule.0) };
            rest = format!("shadow {word}{why}  {rest}");
        }
        self.row(time, word, tint, Line::text(&line.server), tool, rule, &rest)
    }

    fn event(&self, time: &str, line: &Line<'_>) -> String {
        let kind = serde_json::to_value(line.event).ok().and_then(|kind| kind.as_str().map(str::to_owned));
        let tint = match line.event {
            Some(EventKind::Freeze | EventKind::PolicyRejected | EventKind::Store) => Tint::Bad,
            Some(EventKind::Drift | EventKind::Override) => Tint::Warn,
            _ => Tint::Strong,
        };
        let mut rest = kind.unwrap_or_default().replace('_', " ");
        for part in [Line::text(&line.reason), Line::text(&line.by), line.data.map_or("", |data| data.get())]
        {
            if !part.is_empty() && part != "{}" {
                rest.push_str("  ");
                rest.push_str(part);
            }
        }
        let text = format!("{time} {} {}", self.tint(tint, &pad("event", 5)), visible(&rest));
        self.plain(&text)
    }

    fn outcome(&mut self, time: &str, line: &Line<'_>, asked: bool) -> Option<String> {
        let call = self.calls.remove(&(line.gateway.0.clone().into_owned(), line.call?));
        let (word, tint) = match line.status? {
            Status::Ok if !asked => return None,
            Status::Ok => ("ok", Tint::Good),
            Status::ToolError => ("FAIL", Tint::Warn),
            Status::RpcError => ("ERROR", Tint::Bad),
            Status::Cancelled => ("GONE", Tint::Warn),
            Status::Lost => ("LOST", Tint::Bad),
        };
        let (server, tool) = call.unwrap_or_default();
        let millis = line.upstream_us.unwrap_or(0) / 1000;
        let why = match (line.status?, line.code) {
            (Status::ToolError, _) => "the tool reported an error".to_owned(),
            (Status::RpcError, Some(code)) => format!("the server answered with error {code}"),
            (Status::RpcError, None) => "the server answered with an error".to_owned(),
            (Status::Cancelled, _) => "the client cancelled".to_owned(),
            (Status::Lost, _) => "the server went away".to_owned(),
            (Status::Ok, _) => String::new(),
        };
        Some(self.row(time, word, tint, &server, &tool, &format!("after {millis} ms"), &why))
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of a row")]
    fn row(
        &self,
        time: &str,
        word: &str,
        tint: Tint,
        server: &str,
        tool: &str,
        rule: &str,
        rest: &str,
    ) -> String {
        let word = self.tint(tint, &pad(word, 5));
        let rule = pad(&visible(rule), RULE);
        let rule = if tint == Tint::Bad { self.tint(Tint::Bad, &rule) } else { rule };
        let head =
            format!("{time} {word} {} {} {rule} ", pad(&visible(server), SERVER), pad(&visible(tool), TOOL));
        self.plain(&format!("{head}{}", visible(rest)))
    }

    fn time(&self, line: &Line<'_>) -> String {
        let Ok(instant) = jiff::Timestamp::from_microsecond(line.ts.0) else { return pad("?", 18) };
        let zoned = instant.to_zoned(self.tz.clone());
        let text = format!("{}.{:03}", zoned.strftime("%m-%d %H:%M:%S"), zoned.millisecond());
        self.tint(Tint::Dim, &text)
    }

    fn tint(&self, tint: Tint, text: &str) -> String {
        crate::cli::output::paint(self.color, tint, text)
    }

    /// Cut to the terminal's width; escape sequences of our own take no room.
    fn plain(&self, text: &str) -> String {
        let Some(width) = self.width else { return text.trim_end().to_owned() };
        let mut out = String::with_capacity(text.len());
        let mut used = 0;
        let mut escape = false;
        let mut cut = false;
        for c in text.trim_end().chars() {
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
}

/// Padded to a width; what is longer is cut only so far that columns after it still line up.
fn pad(text: &str, width: usize) -> String {
    if text.width() <= width {
        return format!("{text}{}", " ".repeat(width - text.width()));
    }
    let mut out = String::new();
    for c in text.chars() {
        if out.width() + c.width().unwrap_or(0) + 1 > width {
            break;
        }
        out.push(c);
    }
    out.push('…');
    let missing = width.saturating_sub(out.width());
    out + &" ".repeat(missing)
}
