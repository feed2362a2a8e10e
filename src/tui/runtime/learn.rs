//! Tests and suggestions, on threads of their own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::journal::follow::{self, Source};
use crate::journal::past::Past;
use crate::paths::{Paths, scratch};
use crate::policy::compiled::Compiled;
use crate::policy::document::Document;
use crate::replay::cases;
use crate::replay::suggest::{EachLine, Learnt, NotLearnt, learn};
use crate::tui::app::Msg;
use crate::tui::app::learn::cases::{CasesFile, Tested};
use crate::tui::app::learn::{LearnEffect, LearnMsg};
use crate::tui::app::policy::PolicyMsg;

/// The file of tests beside a policy.
pub(super) fn beside(policy: &Path) -> PathBuf {
    policy.with_extension("test.json")
}

/// Reads the file of tests.
pub(super) fn read_tests(path: &Path) -> PolicyMsg {
    PolicyMsg::Tests(match std::fs::read_to_string(path) {
        Ok(text) => CasesFile::Text(Arc::from(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => CasesFile::Missing,
        Err(error) => CasesFile::Unreadable(error.to_string()),
    })
}

/// Does what was asked, and says what came of it.
pub(super) fn perform(effect: LearnEffect, paths: &Paths, out: mpsc::Sender<Msg>) {
    let (journal, state) = (paths.journal(), paths.state.clone());
    tokio::task::spawn_blocking(move || {
        let msg = match effect {
            LearnEffect::Test { number, policy, cases } => {
                test(&policy, &cases).map(|tested| LearnMsg::Tested(number, Arc::new(tested)))
            }
            LearnEffect::Learn { number, asked } => {
                let mut store = scratch(Some(&state));
                let mut lines = |each: &mut EachLine<'_>| read(&journal, each);
                let learnt: Result<Learnt, NotLearnt<io::Error>> = learn(&asked, &mut store, &mut lines);
                Some(LearnMsg::Learnt(number, learnt.map(Arc::new).map_err(|why| why.to_string())))
            }
        };
        if let Some(msg) = msg {
            let _ = out.blocking_send(Msg::Learn(msg));
        }
    });
}

/// Runs tests; `None` when the policy decides nothing, which is shown elsewhere.
fn test(policy: &str, tests: &str) -> Option<Tested> {
    let compiled = Compiled::new(&Document::parse(policy).document?).ok()?;
    let parsed = cases::read(tests);
    Some(match parsed.cases {
        Some(cases) => Tested::Ran(cases::run(&compiled, &cases)),
        None => Tested::Broken(parsed.diagnostics),
    })
}

fn read(journal: &Path, each: &mut EachLine<'_>) -> io::Result<()> {
    let source = Source::Folder(journal.to_owned());
    let mut past = Past::open(&[source], None, &follow::decisions())?;
    while let Some(line) = past.next_line()? {
        each(line);
    }
    Ok(())
}
