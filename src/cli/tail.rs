//! `callgate tail`: records as lines, for pipes and incidents.

mod show;

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;

use super::args::TailArgs;
use super::output::Format;
use super::{Answer, CliError, Output, Verdict};
use crate::clock;
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

/// What every denied decision holds, as the gateway prints it.
const DENIED: &[u8] = br#""decision":"deny""#;

/// Output is handed over in pieces of about this size while there is more to read.
const PIECE: usize = 64 * 1024;

/// Runs the command.
pub(super) fn run(args: &TailArgs, out: &Output) -> Answer {
    let now = clock::now();
    let since = args.since.as_deref().map(|text| since(text, now)).transpose()?;
    let mut tail = Tail {
        deny: args.deny,
        filter: args.filter.as_deref().map(|text| filter(text, now)).transpose()?,
        since,
        show: (out.format == Format::Text).then(|| Show::new(out, width())),
        pending: Vec::new(),
        out,
    };
    match &args.feed {
        Some(url) => tail.feed(url, args)?,
        None => tail.journals(args)?,
    }
    tail.flush()?;
    Ok(Verdict::Yes)
}

/// Reads `--since`: how long ago, or an instant.
pub(super) fn since(text: &str, now: Timestamp) -> Result<Timestamp, CliError> {
    let ago = || {
        let seconds = i64::try_from(parse_duration(text)?).ok()?;
        Some(now.plus_micros(seconds.checked_mul(-1_000_000)?))
    };
    Timestamp::parse(text).or_else(ago).ok_or_else(|| {
        let text = crate::visible::visible(text);
        CliError::usage(
            format!("`--since {text}` is not a time"),
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

struct Tail<'o> {
    deny: bool,
    filter: Option<Filter>,
    since: Option<Timestamp>,
    show: Option<Show>,
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
        let last_only = !args.no_follow && self.since.is_none();
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
                self.line(line)?;
            }
            for line in earlier.drain(..) {
                self.line(&line)?;
            }
            self.flush()?;
            if args.no_follow {
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
        let history = if self.since.is_some() || args.no_follow { u64::MAX } else { EARLIER as u64 };
        let feeds = Feeds::These(vec![FeedAddr { url: url.to_owned(), token }]);
        let (mut events, _handle) = client::watch(feeds, WatchOptions { history, fleet: !args.no_follow })
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
                    if args.no_follow && end.zip(last).is_some_and(|(next, last)| last + 1 >= next) {
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
                    if args.no_follow || ended {
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

    /// What every line that can be shown holds: the journals are searched for it before their lines
    /// are looked at. As text every line counts: an outcome is shown with its call.
    fn needles(&self) -> Vec<Vec<u8>> {
        match &self.filter {
            _ if self.show.is_some() && !self.deny => Vec::new(),
            _ if self.deny => vec![DENIED.to_vec()],
            Some(filter) => filter.needles(),
            None => Vec::new(),
        }
    }

    /// Whether a line is asked for. `read` is the line where it was read already.
    fn wanted<'l>(&self, bytes: &'l [u8], read: Option<&Line<'l>>) -> bool {
        if self.deny && memchr::memmem::find(bytes, DENIED).is_none() {
            return false;
        }
        if !self.deny && self.filter.is_none() {
            // A feed gives its whole history.
            return self
                .since
                .is_none_or(|since| crate::journal::peek_ts(bytes).is_none_or(|ts| ts >= since));
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
        if self.since.is_some_and(|since| line.ts < since) {
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
        if self.show.is_none() {
            if self.wanted(bytes, None) {
                self.pending.extend_from_slice(bytes);
                self.pending.push(b'\n');
            }
        } else {
            let read = Line::parse(bytes).ok();
            let wanted = self.wanted(bytes, read.as_ref());
            let asked = self.filter.is_some();
            if let Some(show) = &mut self.show {
                if let Some(read) = &read {
                    show.learn(read);
                }
                if wanted {
                    show.line(bytes, read.as_ref(), asked, &mut self.pending);
                }
            }
        }
        if self.pending.len() >= PIECE { self.flush() } else { Ok(()) }
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
