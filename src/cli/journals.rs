//! Recorded decisions of several journals as one stream, for commands that learn from them.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{CliError, Output};
use crate::journal::follow::{self, Follower, Source};
use crate::journal::{peek_ts, read};
use crate::paths::Paths;
use crate::time::Timestamp;

/// How often progress is told.
const TELL: Duration = Duration::from_millis(200);

/// Journals, by what was named on the command line; all of the user's when nothing was.
#[derive(Debug)]
pub(super) struct Journals {
    sources: Vec<Source>,
    since: Option<Timestamp>,
    /// Bytes of all files.
    total: u64,
}

impl Journals {
    /// Finds the files.
    pub(super) fn find(paths: &[PathBuf], since: Option<Timestamp>) -> Result<Self, CliError> {
        let sources = if paths.is_empty() {
            let paths = Paths::from_env().map_err(|error| CliError::outside(error.to_string(), ""))?;
            vec![Source::Folder(paths.journal())]
        } else {
            paths.iter().map(|path| Source::at(path)).collect()
        };
        let mut total = 0;
        for source in &sources {
            total += match source {
                Source::Folder(folder) => {
                    let files = read::files(folder).map_err(|error| unread(source, &error))?;
                    files.iter().map(|file| file.len).sum()
                }
                Source::File(file) => std::fs::metadata(file).map_err(|error| unread(source, &error))?.len(),
            };
        }
        Ok(Self { sources, since, total })
    }

    /// Hands over every decision, in the order of time, telling how far it is on a terminal.
    pub(super) fn each(
        &self,
        doing: &str,
        out: &Output,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<(), CliError> {
        let mut told = Progress::new(doing, self.total);
        let mut streams = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            let opened = Follower::open_for(source.clone(), self.since, &follow::decisions());
            let follower = opened.map_err(|error| unread(source, &error))?;
            streams.push(Stream { source, follower, line: Vec::new(), ts: Timestamp::default() });
        }
        if let [only] = streams.as_mut_slice() {
            while let Some(line) = only.follower.next_line().map_err(|error| unread(only.source, &error))? {
                each(line);
                told.read(line.len(), out);
            }
            told.end(out);
            return Ok(());
        }
        let mut open = Vec::with_capacity(streams.len());
        for mut stream in streams {
            if stream.advance()? {
                open.push(stream);
            }
        }
        while let Some(index) = (0..open.len()).min_by_key(|index| open.get(*index).map(|stream| stream.ts)) {
            let Some(stream) = open.get_mut(index) else { break };
            each(&stream.line);
            told.read(stream.line.len(), out);
            if !stream.advance()? {
                open.swap_remove(index);
            }
        }
        told.end(out);
        Ok(())
    }
}

fn unread(source: &Source, error: &io::Error) -> CliError {
    let (Source::Folder(path) | Source::File(path)) = source;
    CliError::outside(
        format!("the journal `{}` cannot be read: {error}", path.display()),
        "check the path and its permissions",
    )
}

/// One source with its next line.
struct Stream<'s> {
    source: &'s Source,
    follower: Follower,
    line: Vec<u8>,
    ts: Timestamp,
}

impl Stream<'_> {
    fn advance(&mut self) -> Result<bool, CliError> {
        let source = self.source;
        let Some(line) = self.follower.next_line().map_err(|error| unread(source, &error))? else {
            return Ok(false);
        };
        self.line.clear();
        self.line.extend_from_slice(line);
        self.ts = peek_ts(line).unwrap_or(self.ts);
        Ok(true)
    }
}

/// A line on standard error that says how far it is.
struct Progress<'d> {
    doing: &'d str,
    total: u64,
    read: u64,
    lines: u64,
    last: Instant,
    shown: bool,
    on: bool,
}

impl<'d> Progress<'d> {
    fn new(doing: &'d str, total: u64) -> Self {
        let on = io::stderr().is_terminal();
        Self { doing, total, read: 0, lines: 0, last: Instant::now(), shown: false, on }
    }

    fn read(&mut self, bytes: usize, out: &Output) {
        self.read += bytes as u64 + 1;
        self.lines += 1;
        // The clock is looked at now and then only.
        if !self.on || !self.lines.is_multiple_of(4096) || self.last.elapsed() < TELL {
            return;
        }
        self.last = Instant::now();
        self.shown = true;
        // Only decisions are counted, so it is never quite all.
        let percent = (self.read * 100).checked_div(self.total).unwrap_or(100).min(100);
        out.progress(&format!(
            "{}: {} calls, {percent} % of {} MB",
            self.doing,
            self.lines,
            self.total / 1_000_000
        ));
    }

    fn end(&self, out: &Output) {
        if self.shown {
            out.progress("");
        }
    }
}
