//! Answers questions about recorded calls and about the tests beside the policy: on a thread of their
//! own each, telling how far it is, and given up as soon as a later question comes in the same slot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use regex::bytes::Regex;
use tokio::sync::mpsc;

use super::recorded;
use crate::journal;
use crate::journal::follow::{self, Source};
use crate::journal::past::{self, Past};
use crate::paths::Paths;
use crate::policy::compiled::Compiled;
use crate::policy::document::Document;
use crate::record::line::Line;
use crate::record::mask::{Masker, Mode};
use crate::replay::cases;
use crate::replay::newest::Newest;
use crate::replay::peak::{Peak, Peaks};
use crate::replay::{Applies, Base, Options, Replay, Report};
use crate::time::Timestamp;
use crate::tui::app::Msg;
use crate::tui::app::impact::pinned::{self, Tests};
use crate::tui::app::impact::{ImpactEffect, ImpactMsg, Question, Slot, Span, Whose, peak, seen};

/// While somebody types on, nothing is read.
const SETTLE: Duration = Duration::from_millis(120);
/// How often it is said how far it is.
const SAY: Duration = Duration::from_millis(100);
/// How many lines are read between looks at the clock and for later questions.
const STEP: u64 = 1024;
/// What recent means, in microseconds.
const RECENT: i64 = 24 * 3600 * 1_000_000;
/// Of more tools than these every call is read.
const NEEDLES: usize = 32;

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

    /// Answers a question, or gives one up.
    pub(super) fn perform(&self, effect: ImpactEffect) {
        match effect {
            ImpactEffect::Stop(slot) => self.latest(slot, 0),
            ImpactEffect::Ask(question) => {
                let (slot, number) = (question.slot, question.number);
                let done = move |answer| ImpactMsg::Done(slot, number, answer);
                self.answer(slot, number, done, move |job| job.replay(&question));
            }
            ImpactEffect::Test(question) => {
                let number = question.number;
                let done = move |answer: Result<Tests, String>| {
                    ImpactMsg::Tested(number, answer.unwrap_or_else(Tests::Broken))
                };
                self.answer(Slot::Tests, number, done, move |job| Ok(tested(&question, &|| job.wanted())));
            }
            ImpactEffect::Peak(question) => {
                let number = question.number;
                let done = move |answer: Result<Counted, String>| {
                    ImpactMsg::Peak(number, answer.map(|Counted(found)| found))
                };
                self.answer(Slot::Limit, number, done, move |job| job.peak(&question));
            }
            ImpactEffect::Seen(question) => {
                let number = question.number;
                let done = move |answer| ImpactMsg::Seen(number, answer);
                self.answer(Slot::Seen, number, done, move |job| job.seen(&question));
            }
        }
    }

    fn latest(&self, slot: Slot, number: u64) {
        if let Some(latest) = self.latest.get(slot.index()) {
            latest.store(number, Ordering::Relaxed);
        }
    }

    /// Looks for an answer on a thread of its own; `Ok(None)`: nobody waits for it any more.
    fn answer<T: 'static>(
        &self,
        slot: Slot,
        number: u64,
        done: impl Fn(Result<T, String>) -> ImpactMsg + Clone + Send + 'static,
        look: impl FnOnce(&Job) -> Result<Option<T>, String> + Send + 'static,
    ) {
        self.latest(slot, number);
        let (latest, out) = (Arc::clone(&self.latest), self.out.clone());
        let job = Job { paths: self.paths.clone(), latest, slot, number, out };
        let (failed, out) = (done.clone(), self.out.clone());
        // A thread: one that reads much must not hold back the end of the program.
        let run = move || {
            if matches!(slot, Slot::Margin | Slot::Limit) {
                std::thread::sleep(SETTLE);
            }
            if !job.wanted() {
                return;
            }
            if let Some(answer) = look(&job).transpose().filter(|_| job.wanted()) {
                let _ = job.out.blocking_send(Msg::Impact(done(answer)));
            }
        };
        if let Err(error) = std::thread::Builder::new().name("impact".to_owned()).spawn(run) {
            let why = format!("no thread can be started: {error}");
            // A full queue of messages only means that nothing is shown.
            let _ = out.try_send(Msg::Impact(failed(Err(why))));
        }
    }
}

/// What the fullest window held, where there were calls.
struct Counted(Option<Peak>);

/// A question that is being answered.
struct Job {
    paths: Paths,
    latest: Arc<[AtomicU64; Slot::COUNT]>,
    slot: Slot,
    number: u64,
    out: mpsc::Sender<Msg>,
}

impl Job {
    /// Whether the answer is still waited for.
    fn wanted(&self) -> bool {
        let latest = self.latest.get(self.slot.index());
        latest.is_some_and(|latest| latest.load(Ordering::Relaxed) == self.number)
    }

    /// What candidates change of recorded calls.
    fn replay(&self, question: &Question) -> Result<Option<Arc<[Report]>>, String> {
        let base = match &question.base {
            None => Base::Recorded,
            Some(text) => Base::Policy(compiled(text)?),
        };
        let candidates = question.candidates.iter().map(|text| compiled(text)).collect::<Result<_, _>>()?;
        let kept = self.paths.policies();
        let options = Options {
            applies: self.applies(&question.whose)?,
            masker: journal::existing_key(&self.paths.state).map(|key| Masker::new(key, Mode::Masked)),
            examples: question.examples,
            known: Box::new(move |revision| compiled(&past::policy_text(&kept, revision)?).ok()),
        };
        let mut replay = Replay::new(base, candidates, options);
        let since = match question.span {
            Span::All => None,
            Span::Recent => recorded::latest(&self.paths.journal()).map(|at| at.plus_micros(-RECENT)),
            Span::Since(at) => Some(at),
        };
        let told = |replay: &Replay| (replay.calls(), question.tells.then(|| Arc::from(replay.reports())));
        let take = |replay: &mut Replay, line: &Line<'_>| replay.line(line);
        let whole = self.read(since, &[], &mut replay, take, told)?;
        Ok(whole.then(|| replay.finish().into()))
    }

    /// How close recorded calls would have come to a limit.
    fn peak(&self, question: &peak::Question) -> Result<Option<Counted>, String> {
        let applies = self.applies(&question.whose)?;
        let tools = &question.bound.tools;
        let named = (1..=NEEDLES).contains(&tools.len());
        let needle = named.then(|| past::of_tools(tools.iter().map(|tool| &**tool))).flatten();
        let needles = needle.map_or_else(follow::decisions, |needle| vec![needle]);
        let mut peaks = Peaks::new(&question.bound);
        let take = |peaks: &mut Peaks, line: &Line<'_>| peaks.line(line, &applies);
        let told = |peaks: &Peaks| (peaks.peak().map_or(0, |peak| peak.calls), None);
        let whole = self.read(None, &needles, &mut peaks, take, told)?;
        Ok(whole.then(|| Counted(peaks.peak())))
    }

    /// What the newest recorded calls of a tool were called with.
    fn seen(&self, question: &seen::Question) -> Result<Option<Vec<Box<str>>>, String> {
        let applies = self.applies(&question.whose)?;
        let needle = past::of_tools(std::iter::once(&*question.tool));
        let needles = needle.map_or_else(follow::decisions, |needle| vec![needle]);
        let mut newest = Newest::new(&question.tool);
        let take = |newest: &mut Newest, line: &Line<'_>| newest.line(line, &applies);
        let whole = self.read(None, &needles, &mut newest, take, |newest| (newest.calls(), None))?;
        Ok(whole.then(|| newest.arguments()))
    }

    fn sources(&self) -> [Source; 1] {
        [Source::Folder(self.paths.journal())]
    }

    /// Reads this user's journals, telling how far it is; `false`: nobody waits for it any more.
    fn read<T>(
        &self,
        since: Option<Timestamp>,
        needles: &[Regex],
        into: &mut T,
        take: impl Fn(&mut T, &Line<'_>),
        told: impl Fn(&T) -> (u64, Option<Arc<[Report]>>),
    ) -> Result<bool, String> {
        let mut past = Past::open(&self.sources(), since, needles).map_err(unreadable)?;
        let (mut lines, mut said) = (0_u64, Instant::now());
        while let Some(line) = past.next_line().map_err(unreadable)? {
            if let Ok(line) = Line::parse(line) {
                take(into, &line);
            }
            lines += 1;
            if !lines.is_multiple_of(STEP) {
                continue;
            }
            if !self.wanted() {
                return Ok(false);
            }
            if said.elapsed() >= SAY {
                said = Instant::now();
                let (done, total) = past.progress();
                let percent = u8::try_from((done * 100).checked_div(total).unwrap_or(0)).unwrap_or(100);
                let (slot, number) = (self.slot, self.number);
                let (calls, so_far) = told(into);
                let progress = ImpactMsg::Progress { slot, number, percent, calls, so_far };
                // Only the latest counts; one that finds no room is not missed.
                let _ = self.out.try_send(Msg::Impact(progress));
            }
        }
        Ok(true)
    }

    /// Whose calls.
    fn applies(&self, whose: &Whose) -> Result<Applies, String> {
        let (path, servers) = match whose {
            Whose::Server(server) => return Ok(Applies::To(vec![(server.clone(), None)])),
            Whose::Policy { path, servers } => (path, servers),
        };
        recorded::under(&self.paths.journal(), path, servers).map_err(unreadable)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "how errors are mapped")]
fn unreadable(error: std::io::Error) -> String {
    format!("the journals cannot be read: {error}")
}

/// What the tests say; `None` once nobody waits for it any more.
fn tested(question: &pinned::Question, wanted: &dyn Fn() -> bool) -> Option<Tests> {
    let parsed = cases::read(&question.cases);
    let Some(cases) = parsed.cases else {
        let more = match parsed.diagnostics.len() {
            0 | 1 => String::new(),
            count => format!(", and {} more: `T` lists them", count - 1),
        };
        let why = parsed.diagnostics.first().map_or_else(String::new, |first| {
            format!("line {}, column {}: {}{more}", first.line, first.column, first.message)
        });
        return Some(Tests::Broken(why));
    };
    // A text that cannot decide is none to compare with.
    let old = question.base.as_deref().and_then(|text| compiled(text).ok());
    match compiled(&question.candidate) {
        Ok(new) => {
            cases::compare(old.as_deref(), &new, &cases, wanted).map(|found| Tests::Done(Arc::new(found)))
        }
        Err(why) => Some(Tests::Broken(why)),
    }
}

fn compiled(text: &str) -> Result<Arc<Compiled>, String> {
    let document = Document::parse(text).valid().map_err(|_| "the policy has errors".to_owned())?;
    Compiled::new(&document).map(Arc::new).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::counter::Amount;
    use crate::policy::model::Scope;
    use crate::replay::peak::Bound;

    const DENY: &str = r#"{"type":"decision","seq":1,"ts":"2026-11-20T21:20:00.000001Z","gateway":"a","server":"git","grant":"local","request_id":1,"method":"tools/call","tool":"push","decision":"deny","enforced":true,"rule":"/tools/push/action","pointer":null,"message":"no","policy":null,"args":{},"counters":[],"counted":false,"decide_us":1.5}"#;

    /// A worker on a journal of two calls.
    fn worker(home: &Path) -> (Worker, mpsc::Receiver<Msg>) {
        let paths = Paths::resolve(&|name| (name == "CALLGATE_HOME").then(|| home.to_owned())).unwrap();
        std::fs::create_dir_all(paths.journal()).unwrap();
        let allow = DENY.replace("\"deny\"", "\"allow\"").replace("\"seq\":1,", "\"seq\":2,");
        std::fs::write(paths.journal().join("a.1.jsonl"), format!("{DENY}\n{allow}\n")).unwrap();
        let (out, heard) = mpsc::channel(16);
        (Worker::new(paths, out), heard)
    }

    fn policy(tools: &str) -> Arc<str> {
        Arc::from(format!(r#"{{"version":"1","default":"allow","tools":{tools}}}"#))
    }

    #[test]
    fn rules_are_tried_on_the_calls_of_a_server() {
        let folder = tempfile::tempdir().unwrap();
        let (worker, mut heard) = worker(folder.path());
        let ask = |number, server: &str, since| {
            ImpactEffect::Ask(Box::new(Question {
                slot: Slot::Ladder,
                number,
                whose: Whose::Server(server.to_owned()),
                base: Some(policy("{}")),
                candidates: ["push", "pull"]
                    .map(|tool| policy(&format!(r#"{{"{tool}":{{"action":"deny"}}}}"#)))
                    .to_vec(),
                span: Span::Since(since),
                examples: 0,
                tells: true,
            }))
        };
        let mut answer = |effect| {
            worker.perform(effect);
            match heard.blocking_recv() {
                Some(Msg::Impact(ImpactMsg::Done(Slot::Ladder, _, Ok(reports)))) => {
                    let denied = |report: &Report| (report.calls, report.changed.allow_to_deny);
                    reports.iter().map(denied).collect::<Vec<_>>()
                }
                other => panic!("an answer, not {other:?}"),
            }
        };
        assert_eq!(answer(ask(1, "git", Timestamp(0))), [(2, 2), (2, 0)]);
        assert_eq!(answer(ask(2, "other", Timestamp(0))), [(0, 0), (0, 0)]);
        let later = Timestamp::parse("2026-11-20T21:20:01Z").unwrap();
        assert_eq!(answer(ask(3, "git", later)), [(0, 0), (0, 0)]);
    }

    #[test]
    fn a_limit_is_held_against_the_journals_and_given_up_for_a_later_one() {
        let folder = tempfile::tempdir().unwrap();
        let (worker, mut heard) = worker(folder.path());
        let ask = |number, tool: &str, servers: &[&str]| {
            ImpactEffect::Peak(Box::new(peak::Question {
                number,
                whose: Whose::Policy {
                    path: folder.path().join("policy.json"),
                    servers: servers.iter().map(|name| (*name).to_owned()).collect(),
                },
                bound: Bound {
                    tools: vec![tool.to_owned()],
                    apart: false,
                    window: 60,
                    scope: Scope::Grant,
                    from: None,
                    max: Some(Amount::ONE),
                },
            }))
        };
        // No journal says who was under which policy: nobody's calls are meant.
        worker.perform(ask(1, "push", &["git"]));
        assert!(matches!(heard.blocking_recv(), Some(Msg::Impact(ImpactMsg::Peak(1, Ok(None))))));
        let event = format!(
            r#"{{"type":"event","seq":3,"ts":"2026-11-20T21:20:02.000000Z","gateway":"a","kind":"policy","data":{{"path":{:?},"revision":"r","server":"git","grant":"local"}}}}"#,
            folder.path().join("policy.json")
        );
        let path = worker.paths.journal().join("a.1.jsonl");
        let text = std::fs::read_to_string(&path).unwrap() + &event + "\n";
        std::fs::write(&path, text).unwrap();
        worker.perform(ask(2, "pull", &[]));
        worker.perform(ask(3, "push", &[]));
        let mut next = || match heard.blocking_recv() {
            Some(Msg::Impact(ImpactMsg::Peak(number, Ok(found)))) => (number, found),
            other => panic!("an answer, not {other:?}"),
        };
        // The earlier one is given up, unless this thread was held up meanwhile.
        let mut answer = next();
        while answer.0 == 2 {
            answer = next();
        }
        let peak = answer.1.unwrap();
        assert_eq!((peak.calls, peak.over, peak.most.to_string().as_str()), (2, 1, "2"));
        worker.perform(ask(4, "pull", &[]));
        assert_eq!(next(), (4, None));
    }
}
