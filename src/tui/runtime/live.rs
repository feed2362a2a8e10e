//! The Live screen's part of the runtime: older rows from the journals, kept policies, and what is
//! kept between runs. All of it off the interface's thread.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use super::files::write_private;
use crate::filter::{Filter, View};
use crate::journal::{self, Place};
use crate::paths::Paths;
use crate::record::line::Line;
use crate::record::{Outcome, Record};
use crate::time::Timestamp;
use crate::tui::app::Msg;
use crate::tui::app::live::explained::Kept;
use crate::tui::app::live::marks::{Change, Mark};
use crate::tui::app::live::news::{Memory, PAGE, Page, Read};
use crate::tui::app::live::past::Way;
use crate::tui::app::live::{LiveEffect, LiveMsg};
use crate::tui::app::toast::Kind;

/// How much of the journals one page looks at before it says how far it is, in bytes.
const LOOKED: usize = 48 << 20;
/// How much the rows of a page weigh at most, in bytes of their lines.
const WEIGHT: usize = 4 << 20;
/// How many of the newest records are read at the start, and how much they weigh, in bytes.
const RECENT: (usize, usize) = (100_000, 48 << 20);
/// Records that the interface is told at once.
const CHUNK: usize = 5_000;
/// Lines that are stepped over at once on the way to newer rows.
const STRIDE: usize = 4_096;
/// The largest policy that is read.
const POLICY: u64 = 64 << 20;

/// Does what the screen asks.
pub(super) fn perform(paths: &Paths, effect: LiveEffect) -> Option<LiveMsg> {
    match effect {
        LiveEffect::Read(read) => {
            let number = read.number;
            Some(match page(&paths.journal(), &read) {
                Ok(page) => LiveMsg::Page(Box::new(page)),
                Err(error) => LiveMsg::NoPage(number, error.to_string()),
            })
        }
        LiveEffect::Policy(revision) => {
            let kept = policy(&paths.policies(), &revision);
            Some(LiveMsg::Policy(revision, kept.map(Arc::new)))
        }
        LiveEffect::Filter(name, text) => {
            let place = paths.config.join("filters.json");
            let mut saved: BTreeMap<String, String> = load(&place);
            match text {
                Some(text) => saved.insert(name, text),
                None => saved.remove(&name),
            };
            let _ = keep(&place, &saved);
            Some(LiveMsg::Saved(saved))
        }
        LiveEffect::History(history) => {
            let _ = keep(&paths.state.join("filter-history.json"), &history);
            None
        }
        LiveEffect::Mark(change) => {
            let place = paths.state.join("marks.json");
            let mut marks: Vec<Mark> = load(&place);
            Change::apply(&change, &mut marks);
            let _ = keep(&place, &marks);
            None
        }
    }
}

/// What earlier runs kept.
pub(super) fn memory(paths: &Paths) -> Memory {
    Memory {
        saved: load(&paths.config.join("filters.json")),
        history: load(&paths.state.join("filter-history.json")),
        marks: load(&paths.state.join("marks.json")),
    }
}

fn load<T: DeserializeOwned + Default>(path: &Path) -> T {
    std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Writes a whole file or nothing, for the user alone.
fn keep<T: serde::Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    crate::paths::private_dir(folder)?;
    let mut bytes = serde_json::to_vec_pretty(value).map_err(io::Error::other)?;
    bytes.push(b'\n');
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    write_private(&beside, &bytes)?;
    std::fs::rename(&beside, path)
}

/// A policy by its revision: the beginning of its digest, which is its file's name.
fn policy(folder: &Path, revision: &str) -> Result<Kept, String> {
    if revision.len() < 12 || !revision.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("that is no revision".to_owned());
    }
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let path = entries
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(revision))
        .map(|entry| entry.path())
        .ok_or_else(|| "this machine does not have its text".to_owned())?;
    if std::fs::metadata(&path).is_ok_and(|meta| meta.len() > POLICY) {
        return Err("its text is too large".to_owned());
    }
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    if crate::policy::document::revision(text.as_bytes()) != revision {
        return Err("its text was changed since".to_owned());
    }
    Kept::read(&text)
}

/// The newest records of all journals, oldest first.
pub(super) fn recent(folder: &Path) -> io::Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut weight = 0;
    journal::back(folder, &Place::end(folder)?, None, &mut |line| {
        weight += line.len();
        // A line of a kind that this version does not know is passed over.
        records.extend(Record::parse(line).ok());
        flow(records.len() < RECENT.0 && weight < RECENT.1)
    })?;
    records.reverse();
    Ok(records)
}

fn flow(goes_on: bool) -> ControlFlow<()> {
    if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// What lines going backwards come to.
struct Taken<'r> {
    read: &'r Read,
    filter: Option<Filter>,
    /// The newest first.
    records: Vec<(Record, Option<Box<Outcome>>)>,
    outcomes: HashMap<(String, u64), Box<Outcome>>,
    at: Timestamp,
    looked: usize,
    weight: usize,
}

impl<'r> Taken<'r> {
    fn new(read: &'r Read) -> io::Result<Self> {
        let (text, from) = &read.filter;
        let filter = if text.trim().is_empty() {
            None
        } else {
            Some(Filter::parse(text, *from).map_err(io::Error::other)?)
        };
        Ok(Self {
            read,
            filter,
            records: Vec::new(),
            outcomes: HashMap::new(),
            at: Timestamp::default(),
            looked: 0,
            weight: 0,
        })
    }

    fn line(&mut self, bytes: &[u8]) {
        self.looked += bytes.len();
        let Ok(line) = Line::parse(bytes) else { return };
        self.at = line.ts;
        if line.kind.0 == "outcome" {
            if let Ok(Record::Outcome(outcome)) = Record::parse(bytes) {
                self.outcomes.insert((outcome.gateway.clone(), outcome.call), outcome);
            }
            return;
        }
        let key = (line.gateway.0.clone().into_owned(), line.seq);
        let outcome = self.outcomes.remove(&key);
        if self.read.only.as_ref().is_some_and(|only| !only.contains(&key)) {
            return;
        }
        if let Some(filter) = &self.filter {
            let Some(mut view) = View::of_line(&line) else { return };
            view.status = outcome.as_ref().map(|outcome| outcome.status);
            if !filter.matches(&view) {
                return;
            }
        }
        if let Ok(record) = Record::parse(bytes) {
            self.weight += bytes.len();
            self.records.push((record, outcome));
        }
    }
}

/// Reads a page.
fn page(folder: &Path, read: &Read) -> io::Result<Page> {
    let mut taken = Taken::new(read)?;
    let from = match &read.from {
        Some(place) => Arc::clone(place),
        None => Arc::new(Place::before(folder, read.ts, &read.firsts)?),
    };
    let (older, newer, ended) = match read.way {
        Way::Older => {
            let reached = journal::back(folder, &from, None, &mut |line| {
                taken.line(line);
                flow(taken.records.len() < PAGE && taken.looked < LOOKED && taken.weight < WEIGHT)
            })?;
            let ended = reached.is_start();
            (Arc::new(reached), from, ended)
        }
        Way::Newer => {
            let mut reached = Place::clone(&from);
            let mut newer = Vec::new();
            let mut ended = false;
            while !ended && newer.len() < PAGE && taken.looked < LOOKED && taken.weight < WEIGHT {
                let (next, end) = journal::forth(folder, &reached, STRIDE, read.ts, &read.firsts)?;
                journal::back(folder, &next, Some(&reached), &mut |line| {
                    taken.line(line);
                    flow(true)
                })?;
                taken.records.reverse();
                newer.append(&mut taken.records);
                (reached, ended) = (next, end);
            }
            newer.reverse();
            taken.records = newer;
            (from, Arc::new(reached), ended)
        }
    };
    taken.records.reverse();
    Ok(Page {
        number: read.number,
        way: read.way,
        records: taken.records,
        orphans: taken.outcomes.into_values().map(|outcome| *outcome).collect(),
        older,
        newer,
        ended,
        at: taken.at,
    })
}

/// Where journals lie, where they are shown at all.
pub(super) fn journals(paths: &Paths, feeds: Option<&crate::feed::client::Feeds>) -> Option<PathBuf> {
    // Feeds that are named may be of another machine, whose journals are not here.
    matches!(feeds, Some(crate::feed::client::Feeds::RunDir(_))).then(|| paths.journal())
}

/// Does what the screen asks, one after the other, on a thread of its own.
pub(super) struct Worker {
    jobs: SyncSender<LiveEffect>,
    /// Changes that are not on disk yet.
    unkept: Arc<AtomicUsize>,
}

impl Worker {
    /// Tells what earlier runs kept and what the journals hold, says that it is `ready`, and goes on
    /// with what is asked.
    pub(super) fn start(
        paths: Paths,
        journals: Option<PathBuf>,
        out: mpsc::Sender<Msg>,
        ready: oneshot::Sender<()>,
    ) -> io::Result<Self> {
        let (jobs, asked) = std::sync::mpsc::sync_channel::<LiveEffect>(64);
        let unkept = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&unkept);
        std::thread::Builder::new().name("journals".to_owned()).spawn(move || {
            let tell = |msg: LiveMsg| out.blocking_send(Msg::Live(msg)).is_ok();
            tell(LiveMsg::Memory(Box::new(memory(&paths))));
            if let Some(folder) = journals {
                match recent(&folder) {
                    Ok(records) => {
                        for records in records.chunks(CHUNK) {
                            if !tell(LiveMsg::Recent(records.into())) {
                                return;
                            }
                        }
                        tell(LiveMsg::Journals);
                    }
                    Err(error) => {
                        let text = format!("the journals cannot be read: {error}");
                        let _ = out.blocking_send(Msg::Note(Kind::Bad, text));
                    }
                }
            }
            let _ = ready.send(());
            while let Ok(effect) = asked.recv() {
                let keeps = keeps(&effect);
                let msg = perform(&paths, effect);
                if keeps {
                    left.fetch_sub(1, Ordering::AcqRel);
                }
                if msg.is_some_and(|msg| !tell(msg)) {
                    return;
                }
            }
        })?;
        Ok(Self { jobs, unkept })
    }

    /// Asks for something; `false` when too much was asked already.
    pub(super) fn ask(&self, effect: LiveEffect) -> bool {
        let keeps = keeps(&effect);
        if keeps {
            self.unkept.fetch_add(1, Ordering::AcqRel);
        }
        let asked = self.jobs.try_send(effect).is_ok();
        if keeps && !asked {
            self.unkept.fetch_sub(1, Ordering::AcqRel);
        }
        asked
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // What a person marked or saved reaches the disk; nothing else is waited for.
        let until = Instant::now() + Duration::from_secs(1);
        while self.unkept.load(Ordering::Acquire) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Whether something is to be kept on disk.
fn keeps(effect: &LiveEffect) -> bool {
    matches!(effect, LiveEffect::Filter(..) | LiveEffect::History(_) | LiveEffect::Mark(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(seq: u64, second: u64, tool: &str) -> String {
        format!(
            r#"{{"type":"decision","seq":{seq},"ts":"2026-11-20T21:{:02}:{:02}.000000Z","gateway":"g1","server":"s","grant":"local","request_id":1,"method":"tools/call","tool":"{tool}","decision":"allow","enforced":true,"rule":"","pointer":null,"message":"","policy":null,"args":{{}},"counters":[],"counted":true,"decide_us":1.0}}"#,
            second / 60,
            second % 60
        ) + "\n"
    }

    fn outcome(seq: u64, call: u64, second: u64, status: &str) -> String {
        format!(
            r#"{{"type":"outcome","seq":{seq},"ts":"2026-11-20T21:{:02}:{:02}.000000Z","gateway":"g1","call":{call},"status":"{status}","upstream_us":5,"bytes":1,"released":false}}"#,
            second / 60,
            second % 60
        ) + "\n"
    }

    fn read(way: Way, from: Option<Arc<Place>>, filter: &str) -> Read {
        Read {
            number: 1,
            way,
            from,
            firsts: BTreeMap::from([("g1".to_owned(), 5_001)]),
            ts: Timestamp::parse("2026-11-20T22:00:00Z").unwrap(),
            filter: (filter.to_owned(), Timestamp::default()),
            only: None,
        }
    }

    #[test]
    fn pages_join_outcomes_hold_to_the_filter_and_come_back_the_same_forwards() {
        let folder = tempfile::tempdir().unwrap();
        let text: String = (0..2_600)
            .map(|n| {
                let (tool, status) = if n % 7 == 0 { ("push", "tool_error") } else { ("pull", "ok") };
                decision(2 * n + 1, n, tool) + &outcome(2 * n + 2, 2 * n + 1, n, status)
            })
            .collect();
        std::fs::write(folder.path().join("g1.1.jsonl"), text).unwrap();
        let seqs = |page: &Page| page.records.iter().map(|(record, _)| record.seq()).collect::<Vec<_>>();
        let first = page(folder.path(), &read(Way::Older, None, "")).unwrap();
        assert_eq!(seqs(&first), (1_500..2_500).map(|n| 2 * n + 1).collect::<Vec<_>>());
        assert!(!first.ended && first.records.iter().all(|(_, outcome)| outcome.is_some()));
        let second = page(folder.path(), &read(Way::Older, Some(first.older.clone()), "")).unwrap();
        assert_eq!(seqs(&second), (500..1_500).map(|n| 2 * n + 1).collect::<Vec<_>>());
        let back = page(folder.path(), &read(Way::Newer, Some(second.newer.clone()), "")).unwrap();
        assert_eq!(seqs(&back)[..1_000], seqs(&first)[..]);
        assert!(back.ended, "up to the first row in memory");
        let failed = page(folder.path(), &read(Way::Older, None, "status:tool_error tool:push")).unwrap();
        assert_eq!(failed.records.len(), (0..2_500).filter(|n| n % 7 == 0).count());
        assert!(failed.ended);
        let mut marked = read(Way::Older, None, "");
        marked.only = Some(Arc::new([("g1".to_owned(), 41)].into()));
        assert_eq!(seqs(&page(folder.path(), &marked).unwrap()), [41]);
        assert_eq!(recent(folder.path()).unwrap().len(), 5_200);
    }

    #[test]
    fn what_is_kept_is_there_again_and_others_changes_stay() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().to_path_buf();
        let paths = Paths::resolve(&|name| (name == "CALLGATE_HOME").then(|| folder.clone())).unwrap();
        let mark =
            |seq| Mark { gateway: "g1".to_owned(), seq, ts: Timestamp(1), note: format!("note {seq}") };
        for effect in [
            LiveEffect::Filter("denies".to_owned(), Some("decision:deny".to_owned())),
            LiveEffect::Filter("gone".to_owned(), Some("x".to_owned())),
            LiveEffect::Filter("gone".to_owned(), None),
            LiveEffect::History(vec!["tool:pull".to_owned()]),
            LiveEffect::Mark(Change::Set(mark(1))),
            LiveEffect::Mark(Change::Set(mark(2))),
            LiveEffect::Mark(Change::Unset("g1".to_owned(), 1)),
        ] {
            perform(&paths, effect);
        }
        let kept = memory(&paths);
        assert_eq!(kept.saved, BTreeMap::from([("denies".to_owned(), "decision:deny".to_owned())]));
        assert_eq!(kept.history, ["tool:pull"]);
        assert_eq!(kept.marks, [mark(2)]);
        let text = "{\"version\":\"1\",\"default\":\"allow\"}";
        std::fs::create_dir_all(paths.policies()).unwrap();
        let revision = crate::policy::document::revision(text.as_bytes());
        std::fs::write(paths.policies().join(format!("{revision}0000.json")), text).unwrap();
        assert_eq!(policy(&paths.policies(), &revision).unwrap().document.text(), text);
        assert!(policy(&paths.policies(), "000000000000").is_err());
        assert!(policy(&paths.policies(), "../../etc/passwd").is_err());
    }
}
