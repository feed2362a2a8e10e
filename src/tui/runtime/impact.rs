//! Answers questions about recorded calls under other policies: reads the journals on a thread of its
//! own, says how far it is, and gives up as soon as a later question comes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;

use crate::journal::follow::Source;
use crate::journal::past::{self, Past};
use crate::journal::{self, read};
use crate::paths::Paths;
use crate::policy::compiled::Compiled;
use crate::policy::document::Document;
use crate::record::line::Line;
use crate::record::mask::{Masker, Mode};
use crate::replay::{Applies, Base, Options, Replay, Report};
use crate::time::Timestamp;
use crate::tui::app::Msg;
use crate::tui::app::impact::{ImpactMsg, Question, Slot, Span};

/// While somebody types on, nothing is read.
const SETTLE: Duration = Duration::from_millis(120);
/// How often it is said how far it is.
const SAY: Duration = Duration::from_millis(100);
/// How many lines are read between looks at the clock and for later questions.
const STEP: u64 = 1024;
/// What recent means, in microseconds.
const RECENT: i64 = 24 * 3600 * 1_000_000;

/// Answers the questions of every slot.
#[derive(Debug)]
pub(super) struct Worker {
    paths: Paths,
    latest: Arc<[AtomicU64; Slot::COUNT]>,
    out: mpsc::Sender<Msg>,
}

impl Worker {
    pub(super) fn new(paths: Paths, out: mpsc::Sender<Msg>) -> Self {
        Self { paths, latest: Arc::default(), out }
    }

    /// Gives up what was asked in a slot.
    pub(super) fn stop(&self, slot: Slot) {
        if let Some(latest) = self.latest.get(slot.index()) {
            latest.store(0, Ordering::Relaxed);
        }
    }

    /// Answers a question.
    pub(super) fn ask(&self, question: Question) {
        if let Some(latest) = self.latest.get(question.slot.index()) {
            latest.store(question.number, Ordering::Relaxed);
        }
        let job = Job { paths: self.paths.clone(), latest: Arc::clone(&self.latest), out: self.out.clone() };
        let (slot, number, out) = (question.slot, question.number, self.out.clone());
        let run = move || {
            if let Some(answer) = job.answer(&question) {
                let _ = job.out.blocking_send(Msg::Impact(ImpactMsg::Done(slot, number, answer)));
            }
        };
        if let Err(error) = std::thread::Builder::new().name("impact".to_owned()).spawn(run) {
            let why = format!("no thread can be started: {error}");
            // A full queue of messages only means that nothing is shown.
            let _ = out.try_send(Msg::Impact(ImpactMsg::Done(slot, number, Err(why))));
        }
    }
}

struct Job {
    paths: Paths,
    latest: Arc<[AtomicU64; Slot::COUNT]>,
    out: mpsc::Sender<Msg>,
}

impl Job {
    /// Whether the answer is still waited for.
    fn wanted(&self, question: &Question) -> bool {
        let latest = self.latest.get(question.slot.index());
        latest.is_some_and(|latest| latest.load(Ordering::Relaxed) == question.number)
    }

    /// The reports; `None` when nobody waits for them any more.
    fn answer(&self, question: &Question) -> Option<Result<Arc<[Report]>, String>> {
        if question.span == Span::Recent {
            std::thread::sleep(SETTLE);
        }
        self.replay(question).transpose().filter(|_| self.wanted(question))
    }

    fn replay(&self, question: &Question) -> Result<Option<Arc<[Report]>>, String> {
        let unreadable = |error: std::io::Error| format!("the journals cannot be read: {error}");
        let folder = self.paths.journal();
        let sources = [Source::Folder(folder.clone())];
        let base = match &question.base {
            None => Base::Recorded,
            Some(text) => Base::Policy(compiled(text)?),
        };
        let candidates = question.candidates.iter().map(|text| compiled(text)).collect::<Result<_, _>>()?;
        let kept = self.paths.policies();
        let options = Options {
            applies: applies(question, &sources).map_err(unreadable)?,
            masker: journal::existing_key(&self.paths.state).map(|key| Masker::new(key, Mode::Masked)),
            examples: question.examples,
            known: Box::new(move |revision| compiled(&past::policy_text(&kept, revision)?).ok()),
        };
        let mut replay = Replay::new(base, candidates, options);
        let since = match question.span {
            Span::All => None,
            Span::Recent => latest(&folder).map(|at| at.plus_micros(-RECENT)),
        };
        let mut past = Past::open(&sources, since, &[]).map_err(unreadable)?;
        let (mut lines, mut said) = (0_u64, Instant::now());
        while let Some(line) = past.next_line().map_err(unreadable)? {
            if let Ok(line) = Line::parse(line) {
                replay.line(&line);
            }
            lines += 1;
            if !lines.is_multiple_of(STEP) {
                continue;
            }
            if !self.wanted(question) {
                return Ok(None);
            }
            if said.elapsed() >= SAY {
                said = Instant::now();
                let (done, total) = past.progress();
                let percent = u8::try_from((done * 100).checked_div(total).unwrap_or(0)).unwrap_or(100);
                let (slot, number) = (question.slot, question.number);
                let progress = ImpactMsg::Progress { slot, number, percent, calls: replay.calls() };
                // Only the latest counts; one that finds no room is not missed.
                let _ = self.out.try_send(Msg::Impact(progress));
            }
        }
        Ok(Some(replay.finish().into()))
    }
}

fn compiled(text: &str) -> Result<Arc<Compiled>, String> {
    let document = Document::parse(text).valid().map_err(|_| "the policy has errors".to_owned())?;
    Compiled::new(&document).map(Arc::new).map_err(|error| error.to_string())
}

/// Whose calls: of those who were under the policy file; else of the servers that are at hand; else of
/// the only one there is.
fn applies(question: &Question, sources: &[Source]) -> std::io::Result<Applies> {
    let found = past::governance(sources)?;
    let under = found.under(&question.path);
    if !under.is_empty() {
        return Ok(Applies::To(under.into_iter().map(|(server, grant)| (server, Some(grant))).collect()));
    }
    let known = question.servers.iter().filter(|name| found.servers.contains_key(*name));
    let mut known: Vec<String> = known.cloned().collect();
    if known.is_empty() && found.servers.len() == 1 {
        known.extend(found.servers.into_keys());
    }
    Ok(Applies::To(known.into_iter().map(|server| (server, None)).collect()))
}

/// When a journal was last written.
fn latest(folder: &Path) -> Option<Timestamp> {
    let files: Vec<(SystemTime, PathBuf)> =
        read::files(folder).ok()?.into_iter().map(|file| (file.modified, file.path)).collect();
    let (modified, _) = files.into_iter().max()?;
    let micros = modified.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_micros();
    i64::try_from(micros).ok().map(Timestamp)
}
