//! `callgate tail`: records as lines, for pipes and incidents.

mod counts;
mod show;

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;

use regex::bytes::Regex;

use super::args::TailArgs;
use super::output::Format;
use super::{Answer, CliError, Output, Verdict};
use crate::clock;
use crate::export;
use crate::export::report::{Frame, Report};
use crate::export::stats::Stats;
use crate::feed::client::{self, FeedAddr, FeedEvent, Feeds, WatchOptions};
use crate::filter::{Filter, FilterError, View};
use crate::journal::follow::{Follower, Source};
use crate::paths::Paths;
use crate::record;
use crate::record::line::Line;
use crate::time::{Timestamp, parse_duration};
use show::Show;

/// How often journals are looked at for more.
const LOOK: Duration = Duration::from_millis(100);

/// How many earlier lines are shown when following without `--since`.
const EARLIER: usize = 20;

/// Output is handed over in pieces of about this size while there is more to read.
const PIECE: usize = 64 * 1024;

/// Lines are merged by time; one may come so much later than one with a later time.
const DISORDER: i64 = 10_000_000;

/// Runs the command.
pub(super) fn run(args: &TailArgs, records: Option<export::Format>, out: &Output) -> Answer {
    let now = clock::now();
    let when =
        |name: &str, text: &Option<String>| text.as_deref().map(|text| instant(name, text, now)).transpose();
    let narrowed = args.deny || args.filter.is_some();
    if (args.stats || args.report) && records.is_some() {
        return Err(CliError::usage(
            "`--stats` and `--report` are no lines of records",
            "write `--format text` or `--format json`",
        ));
    }
    let sink = match (args.stats, args.report, records, out.format) {
        (true, _, _, _) => Sink::Stats(Box::new(Stats::new(narrowed))),
        (_, true, _, _) => Sink::Report(Box::new(Report::new(narrowed))),
        (_, _, Some(format), _) => Sink::Records(format),
        (_, _, None, Format::Json) => Sink::Json,
        (_, _, None, Format::Text) => Sink::Text(Box::new(Show::new(out, width()))),
    };
    let mut tail = Tail {
        deny: args.deny,
        filter: args.filter.as_deref().map(|text| filter(text, now)).transpose()?,
        since: when("--since", &args.since)?,
        until: when("--until", &args.until)?,
        follow: !(args.no_follow || args.until.is_some() || args.exit_code || args.stats || args.report),
        sink,
        found: false,
        pending: Vec::new(),
        out,
    };
    if let Sink::Records(format) = &tail.sink {
        format.begin(&mut tail.pending);
    }
    match &args.feed {
        Some(url) => tail.feed(url, args)?,
        None => tail.journals(args)?,
    }
    tail.flush()?;
    match &tail.sink {
        Sink::Stats(stats) => counts::print(&stats.summary(), out)?,
        Sink::Report(report) => {
            let by = std::env::var("USER").unwrap_or_default();
            let filter = match (args.deny, args.filter.as_deref()) {
                (true, None) => "decision:deny".to_owned(),
                (true, Some(filter)) => format!("decision:deny {filter}"),
                (false, filter) => filter.unwrap_or_default().to_owned(),
            };
            out.print(&report.markdown(&Frame { filter: &filter, made: now, by: &by }))?;
        }
        Sink::Json | Sink::Text(_) | Sink::Records(_) => {}
    }
    Ok(if args.exit_code && !tail.found { Verdict::No } else { Verdict::Yes })
}

/// Reads an option that names an instant: how long ago, or itself.
pub(super) fn instant(name: &str, text: &str, now: Timestamp) -> Result<Timestamp, CliError> {
    let ago = || {
        let seconds = i64::try_from(parse_duration(text)?).ok()?;
        Some(now.plus_micros(seconds.checked_mul(-1_000_000)?))
    };
    Timestamp::parse(text).or_else(ago).ok_or_else(|| {
        let text = crate::visible::visible(text);
        CliError::usage(
            format!("`{name} {text}` is not a time"),
            "write how long ago (`15m`, `2h`, `3d`) or an instant (`2026-11-20T21:00:00Z`)",
        )
    })
}

fn filter(text: &str, now: Timestamp) -> Result<Filter, CliError> {
    Filter::parse(text, now).map_err(|FilterError { span, message, help }| {
        let part = crate::visible::visible(span.of(text)).into_owned();
        let place = if part.is_empty() { String::new() } else { format!(" at `{part}`") };
        CliError::usage(format!("the filter cannot be read{place}: {message}"), help.unwrap_or_default())
    })
}

/// The columns of the terminal; without one, lines are as long as they are.
fn width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdout())
        && size.ws_col > 0
    {
        return Some(usize::from(size.ws_col));
    }
    std::env::var("COLUMNS").ok()?.parse().ok()
}

/// Where records go.
enum Sink {
    /// Their own bytes.
    Json,
    /// Lines for people.
    Text(Box<Show>),
    /// Lines of another format.
    Records(export::Format),
    /// Only what they come to.
    Stats(Box<Stats>),
    /// The report of an incident.
    Report(Box<Report>),
}

struct Tail<'o> {
    deny: bool,
    filter: Option<Filter>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    /// Whether to wait for more at the end.
    follow: bool,
    sink: Sink,
    /// Whether anything that is asked for was there.
    found: bool,
    pending: Vec<u8>,
    out: &'o Output,
}

impl Tail<'_> {
    fn journals(&mut self, args: &TailArgs) -> Result<(), CliError> {
        let source = if let Some(path) = &args.journal {
            Source::at(path)
        } else {
            let paths = Paths::from_env().map_err(|error| CliError::outside(error.to_string(), ""))?;
            Source::Folder(paths.journal())
        };
        let place = match &source {
            Source::Folder(path) | Source::File(path) => path.display().to_string(),
        };
        let failed = |error: std::io::Error| {
            CliError::outside(
                format!("the journal `{place}` cannot be read: {error}"),
                "check the path and its permissions",
            )
        };
        let mut follower = Follower::open_for(source, self.since, &self.needles()).map_err(failed)?;
        let mut earlier = VecDeque::new();
        let mut following = false;
        let last_only = self.follow && self.since.is_none();
        loop {
            while let Some(line) = follower.next_line().map_err(failed)? {
                if last_only && !following {
                    if self.wanted(line, None) {
                        earlier.push_back(line.to_vec());
                        if earlier.len() > EARLIER {
                            earlier.pop_front();
                        }
                    }
                    continue;
                }
                if self.is_past(line) {
                    return Ok(());
                }
                self.line(line)?;
            }
            for line in earlier.drain(..) {
                self.line(&line)?;
            }
            self.flush()?;
            if !self.follow {
                for gateway in follower.torn() {
                    self.torn(&gateway);
                }
                return Ok(());
            }
            following = true;
            std::thread::sleep(LOOK);
            follower.look().map_err(failed)?;
        }
    }

    fn feed(&mut self, url: &str, args: &TailArgs) -> Result<(), CliError> {
        let token = match &args.feed_token_file {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| {
                    CliError::outside(
                        format!("the token file `{}` cannot be read: {error}", path.display()),
                        "",
                    )
                })?
                .trim()
                .to_owned(),
            None => std::env::var("CALLGATE_FEED_TOKEN").unwrap_or_default(),
        };
        let history = if self.since.is_some() || !self.follow { u64::MAX } else { EARLIER as u64 };
        let feeds = Feeds::These(vec![FeedAddr { url: url.to_owned(), token }]);
        let (mut events, _handle) = client::watch(feeds, WatchOptions { history, fleet: self.follow })
            .map_err(|error| CliError::outside(format!("the feed cannot be watched: {error}"), ""))?;
        let mut end = None;
        while let Some(event) = events.blocking_recv() {
            match event {
                FeedEvent::Connected { hello, .. } => end = Some(hello.next_seq),
                FeedEvent::Records { lines, .. } => {
                    for line in &lines {
                        self.line(line)?;
                    }
                    self.flush()?;
                    let last = lines.last().and_then(|line| crate::journal::peek_seq(line));
                    if !self.follow && end.zip(last).is_some_and(|(next, last)| last + 1 >= next) {
                        return Ok(());
                    }
                }
                FeedEvent::Gap { gateway, from, to, .. } => {
                    let of = gateway.map_or_else(String::new, |gateway| {
                        format!(" of gateway {}", crate::visible::visible(&gateway))
                    });
                    self.out.note(&format!("records {from} to {to}{of} are lost"));
                }
                FeedEvent::Lost { why, ended, .. } => {
                    let why = crate::visible::visible(&why).into_owned();
                    if !self.follow || ended {
                        return Err(CliError::outside(
                            format!("the feed `{url}` ended: {why}"),
                            "check the address and the token",
                        ));
                    }
                    self.out.note(&format!("the feed is lost and tried again: {why}"));
                }
                FeedEvent::Trouble { message, .. } => self.out.note(&crate::visible::visible(&message)),
                FeedEvent::State { .. } | FeedEvent::Reply { .. } => {}
            }
        }
        Ok(())
    }

    /// What is found in every line that can be shown: the journals are searched for it before their
    /// lines are looked at. For people an outcome is shown with its call, so where one can be shown
    /// every line counts; and what is lost shows only between all lines.
    fn needles(&self) -> Vec<Regex> {
        let outcomes = !self.deny && self.filter.as_ref().is_none_or(Filter::may_be_outcome);
        match &self.sink {
            Sink::Stats(_) | Sink::Report(_) => Vec::new(),
            Sink::Text(_) if outcomes => Vec::new(),
            _ => {
                let denied = self.deny.then(Filter::denied);
                denied.iter().chain(&self.filter).flat_map(Filter::needles).collect()
            }
        }
    }

    /// Whether this and every later line is later than what is asked for.
    fn is_past(&self, bytes: &[u8]) -> bool {
        self.until.is_some_and(|until| {
            crate::journal::peek_ts(bytes).is_some_and(|ts| ts > until.plus_micros(DISORDER))
        })
    }

    fn in_time(&self, ts: Timestamp) -> bool {
        self.since.is_none_or(|since| ts >= since) && self.until.is_none_or(|until| ts < until)
    }

    /// Whether a line is asked for. `read` is the line where it was read already.
    fn wanted<'l>(&self, bytes: &'l [u8], read: Option<&Line<'l>>) -> bool {
        if !self.deny && self.filter.is_none() {
            // A feed gives its whole history.
            return (self.since.is_none() && self.until.is_none())
                || crate::journal::peek_ts(bytes).is_none_or(|ts| self.in_time(ts));
        }
        let parsed;
        let line = match read {
            Some(read) => read,
            None => match Line::parse(bytes) {
                Ok(line) => {
                    parsed = line;
                    &parsed
                }
                Err(_) => return false,
            },
        };
        if !self.in_time(line.ts) {
            return false;
        }
        if self.deny && line.decision != Some(record::Verdict::Deny) {
            return false;
        }
        self.filter
            .as_ref()
            .is_none_or(|filter| View::of_line(line).is_some_and(|view| filter.matches(&view)))
    }

    fn line(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        if matches!(self.sink, Sink::Json) {
            if self.wanted(bytes, None) {
                self.found = true;
                self.pending.extend_from_slice(bytes);
                self.pending.push(b'\n');
            }
        } else {
            let read = Line::parse(bytes).ok();
            let wanted = self.wanted(bytes, read.as_ref());
            let asked = self.filter.is_some();
            self.found |= wanted;
            match (&mut self.sink, &read) {
                (Sink::Text(show), read) => {
                    if let Some(read) = read {
                        show.learn(read);
                    }
                    if wanted {
                        show.line(bytes, read.as_ref(), asked, &mut self.pending);
                    }
                }
                (Sink::Records(format), Some(read)) if wanted => format.line(read, &mut self.pending),
                (Sink::Json | Sink::Records(_), _) => {}
                (Sink::Stats(stats), Some(read)) => {
                    stats.see(read, wanted);
                }
                (Sink::Report(report), Some(read)) => report.see(read, wanted),
                (Sink::Stats(_) | Sink::Report(_), None) => self.torn(""),
            }
        }
        if self.pending.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    /// A line of a gateway run that is no record.
    fn torn(&mut self, gateway: &str) {
        match &mut self.sink {
            Sink::Stats(stats) => stats.torn(gateway),
            Sink::Report(report) => report.torn(gateway),
            Sink::Json | Sink::Text(_) | Sink::Records(_) => {}
        }
    }

    fn flush(&mut self) -> Result<(), CliError> {
        if !self.pending.is_empty() {
            self.out.print_bytes(&self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
