//! Records of several journals as one stream, for commands that learn from them.

use std::io;
use std::path::PathBuf;

use regex::bytes::Regex;

use super::bar::Bar;
use super::{CliError, Output};
use crate::journal::follow::{self, Source};
use crate::journal::past::Past;
use crate::journal::read;
use crate::paths::Paths;
use crate::time::Timestamp;

/// How many lines are read before the clock is looked at.
const STEP: u64 = 4096;

/// Journals, by what was named on the command line; all of the user's when nothing was.
#[derive(Debug)]
pub(super) struct Journals {
    sources: Vec<Source>,
    since: Option<Timestamp>,
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
        for source in &sources {
            let there = match source {
                Source::Folder(folder) => read::files(folder).map(|_| ()),
                Source::File(file) => std::fs::metadata(file).map(|_| ()),
            };
            there.map_err(|error| {
                let (Source::Folder(path) | Source::File(path)) = source;
                unread(&format!("journal `{}`", path.display()), &error)
            })?;
        }
        Ok(Self { sources, since })
    }

    /// Where they lie.
    pub(super) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Hands over every decision, in the order of time, telling how far it is on a terminal.
    pub(super) fn each(
        &self,
        doing: &str,
        out: &Output,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<(), CliError> {
        self.read(doing, &follow::decisions(), out, each)
    }

    /// Hands over every record, in the order of time, telling how far it is on a terminal.
    pub(super) fn all(&self, doing: &str, out: &Output, each: &mut dyn FnMut(&[u8])) -> Result<(), CliError> {
        self.read(doing, &[], out, each)
    }

    fn read(
        &self,
        doing: &str,
        needles: &[Regex],
        out: &Output,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<(), CliError> {
        let failed = |error: io::Error| unread("journals", &error);
        let mut past = Past::open(&self.sources, self.since, needles).map_err(failed)?;
        let (mut bar, mut lines) = (Bar::new(out), 0_u64);
        while let Some(line) = past.next_line().map_err(failed)? {
            each(line);
            lines += 1;
            if lines.is_multiple_of(STEP) {
                bar.show(doing, past.progress(), &format!("{lines} records"));
            }
        }
        Ok(())
    }
}

/// That journals cannot be read.
pub(super) fn unread(what: &str, error: &io::Error) -> CliError {
    let own = Paths::from_env()
        .map(|paths| format!("; gateways of yours keep theirs in `{}`", paths.journal().display()));
    CliError::outside(
        format!("the {what} cannot be read: {error}"),
        format!("check the path and its permissions{}", own.unwrap_or_default()),
    )
}
