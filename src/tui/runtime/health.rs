//! Looks recorded calls through for the Health screen, on a thread of its own: every rule of the policy
//! with what it decided. Gives up as soon as a later question comes.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::recorded;
use crate::journal::follow::{self, Follower, Source};
use crate::paths::Paths;
use crate::policy::document::Document;
use crate::policy::schema::ToolShape;
use crate::record::line::Line;
use crate::replay::health::Checkup;
use crate::time::Timestamp;
use crate::tui::app::Msg;
use crate::tui::app::health::recorded::{Answer, HealthMsg, Question};

/// How often it is said how far it is.
const SAY: Duration = Duration::from_millis(200);
/// How many calls are looked at between looks at the clock and for later questions.
const STEP: u64 = 512;
/// Journals that may hold what is asked for are read up to this size; of larger ones the newest days
/// or hours, in bytes.
const MOST: u64 = 1 << 30;
/// The spans that are tried then, in seconds, and the last one in any case.
const SPANS: [i64; 5] = [30 * 86_400, 7 * 86_400, 86_400, 6 * 3_600, 3_600];

/// Answers the screen's questions.
#[derive(Debug)]
pub(super) struct Worker {
    paths: Paths,
    latest: Arc<AtomicU64>,
    out: mpsc::Sender<Msg>,
}

impl Worker {
    pub(super) fn new(paths: Paths, out: mpsc::Sender<Msg>) -> Self {
        Self { paths, latest: Arc::default(), out }
    }

    /// Gives up what was asked.
    pub(super) fn stop(&self) {
        self.latest.store(0, Ordering::Relaxed);
    }

    /// Answers a question.
    pub(super) fn ask(&self, question: Question) {
        self.latest.store(question.number, Ordering::Relaxed);
        let (latest, out) = (Arc::clone(&self.latest), self.out.clone());
        let (number, folder) = (question.number, self.paths.journal());
        let run = move || {
            let wanted = || latest.load(Ordering::Relaxed) == number;
            let mut say = |calls: u64| {
                // Only the latest counts; one that finds no room is not missed.
                let _ = out.try_send(Msg::Health(HealthMsg::Progress(number, calls)));
            };
            let answer = match look(&folder, &question, &wanted, &mut say) {
                Ok(None) => return,
                Ok(Some(answer)) => Ok(Arc::new(answer)),
                Err(why) => Err(why),
            };
            if wanted() {
                let _ = out.blocking_send(Msg::Health(HealthMsg::Done(number, answer)));
            }
        };
        // A thread of its own: one that reads much must not hold back the end of the program.
        if let Err(error) = std::thread::Builder::new().name("health".to_owned()).spawn(run) {
            let why = format!("no thread can be started: {error}");
            let _ = self.out.try_send(Msg::Health(HealthMsg::Done(number, Err(why))));
        }
    }
}

/// Decides the recorded calls again; `None` when nobody waits for that any more.
fn look(
    folder: &Path,
    question: &Question,
    wanted: &dyn Fn() -> bool,
    say: &mut dyn FnMut(u64),
) -> Result<Option<Answer>, String> {
    let unreadable = |error: io::Error| format!("the journals cannot be read: {error}");
    let document = Document::parse(&question.text).valid().map_err(|_| "the policy has errors".to_owned())?;
    let listed = question.tools.iter().filter(|row| row.listed);
    let shapes: Vec<ToolShape> =
        listed.map(|row| ToolShape::from_schema(&row.name, &row.tool.input_schema)).collect();
    let shapes = (!shapes.is_empty()).then_some(shapes);
    let mut checkup = Checkup::new(&document, shapes).map_err(|error| error.to_string())?;
    let applies = recorded::under(folder, &question.path, &question.servers).map_err(unreadable)?;
    let (mut follower, cut) = open(folder, MOST).map_err(unreadable)?;
    let (mut calls, mut said) = (0_u64, Instant::now());
    while let Some(line) = follower.next_line().map_err(unreadable)? {
        if !Line::parse(line).is_ok_and(|line| checkup.line(&line, &applies)) {
            continue;
        }
        calls += 1;
        if calls.is_multiple_of(STEP) {
            if !wanted() {
                return Ok(None);
            }
            if said.elapsed() >= SAY {
                said = Instant::now();
                say(calls);
            }
        }
    }
    Ok(Some(Answer { health: checkup.health(), cut }))
}

/// Opens the journals, as far back as there are at most so many bytes; answers with where they begin
/// then.
fn open(folder: &Path, most: u64) -> io::Result<(Follower, Option<Timestamp>)> {
    let needles = follow::decisions();
    let from = |since| Follower::open_all(vec![Source::Folder(folder.to_owned())], since, &needles);
    let mut follower = from(None)?;
    let mut cut = None;
    if follower.size() > most
        && let Some(latest) = recorded::latest(folder)
    {
        for span in SPANS {
            cut = Some(latest.plus_micros(-span * 1_000_000));
            follower = from(cut)?;
            if follower.size() <= most {
                break;
            }
        }
    }
    Ok((follower, cut))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn line(seq: u64, ts: Timestamp, server: &str, branch: &str) -> String {
        format!(
            r#"{{"type":"decision","seq":{seq},"ts":"{ts}","gateway":"g","server":"{server}","grant":"l","request_id":1,"method":"tools/call","tool":"push","decision":"allow","enforced":true,"rule":"","pointer":null,"message":"","policy":null,"args":{{"branch":"{branch}"}},"counters":[],"counted":true,"decide_us":1.0}}"#
        ) + "\n"
    }

    fn question(text: &str) -> Question {
        Question {
            number: 1,
            path: "/nowhere/policy.json".into(),
            servers: vec!["git".to_owned()],
            text: text.into(),
            tools: Arc::default(),
        }
    }

    const POLICY: &str = r#"{"version":"1","default":"deny","tools":{"push":{"deny_if":[
        {"conditions":[{"path":"args.branch","op":"eq","value":"main"}]},
        {"conditions":[{"path":"args.branch","op":"eq","value":"never"}]}]}}}"#;

    #[test]
    fn every_call_of_the_servers_is_decided_again_and_a_later_question_wins() {
        let folder = tempfile::tempdir().unwrap();
        let begin = Timestamp::parse("2026-11-20T21:20:00Z").unwrap();
        let policy = r#"{"type":"event","seq":1,"ts":"2026-11-20T21:19:00.000000Z","gateway":"g","kind":"policy","data":{"path":"/other.json","server":"git","grant":"l"}}"#;
        let other = policy.replace("\"git\"", "\"docker\"");
        let mut text = format!("{policy}\n{other}\n");
        for n in 0..2_000_u64 {
            let at = begin.plus_micros(i64::try_from(n).unwrap() * 1_000_000);
            text += &line(
                n + 2,
                at,
                if n % 2 == 0 { "git" } else { "docker" },
                if n < 1_000 { "main" } else { "dev" },
            );
        }
        std::fs::write(folder.path().join("g.1.jsonl"), text).unwrap();
        let answer = look(folder.path(), &question(POLICY), &|| true, &mut |_| {}).unwrap().unwrap();
        assert_eq!((answer.health.calls, answer.cut), (1_000, None));
        let part = |at: &str| answer.health.parts.iter().find(|part| part.pointer == at).unwrap();
        assert_eq!(part("/tools/push/deny_if/0").hits, 500);
        assert_eq!(part("/tools/push/deny_if/0").last_hit, Some(begin.plus_micros(998_000_000)));
        assert_eq!(part("/tools/push/deny_if/1").hits, 0);
        assert_eq!(look(folder.path(), &question(POLICY), &|| false, &mut |_| {}).unwrap(), None);
        assert!(look(folder.path(), &question("{}"), &|| true, &mut |_| {}).is_err());
    }

    #[test]
    fn of_too_much_the_newest_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp(i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap());
        let month = now.plus_micros(-31 * 86_400 * 1_000_000);
        let text = line(1, month, "git", "a") + &line(2, now, "git", "b");
        std::fs::write(folder.path().join("g.1.jsonl"), text).unwrap();
        let (_, cut) = open(folder.path(), 1 << 20).unwrap();
        assert_eq!(cut, None);
        let (mut follower, cut) = open(folder.path(), 10).unwrap();
        assert!(cut.is_some_and(|cut| cut > month));
        let mut lines = 0;
        while follower.next_line().unwrap().is_some() {
            lines += 1;
        }
        assert_eq!(lines, 1);
    }
}
