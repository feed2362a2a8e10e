//! One held call, as data: it waits for a person, and its client is kept from giving up on it.
//!
//! Free of I/O: what is known comes in as values, and what has to be done goes out as a value. The
//! transport writes, the decider decides again.

use crate::counters::Approval;
use crate::time::Timestamp;

/// A client that did not ask for progress gives up after a minute or so: the call is denied before,
/// and its question stays open. In microseconds.
pub const PATIENCE_US: u64 = 45_000_000;
/// The pause between two notifications of progress, in microseconds.
pub const PROGRESS_US: u64 = 5_000_000;
/// A question that was asked, and that the store's copy does not show after so long, is gone. In
/// microseconds.
const UNSEEN_US: u64 = 3_000_000;

/// A call that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The id of the question.
    pub question: String,
    /// The client's token for progress, as JSON, where it gave one.
    pub token: Option<String>,
    /// Whether the question was seen in the copy of what stands.
    seen: bool,
    /// When the call was held.
    started_us: u64,
    /// When the question was asked.
    asked_us: u64,
    /// When it waits no longer, whatever the token.
    deadline_us: u64,
    next_progress_us: u64,
    progress: u64,
}

/// What is known about a held call at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The question, as it stands.
    pub question: Option<&'a Approval>,
    /// The copy that it is read from can be relied on.
    pub fresh: bool,
    /// The call lies in the scope of a freeze.
    pub frozen: bool,
    /// The client cancelled it, or is gone.
    pub cancelled: bool,
}

/// What is to be done about a held call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Nothing yet.
    Wait,
    /// The client is told that it goes on. The number is larger each time.
    Progress(u64),
    /// It ends, and nothing runs.
    Cancel,
    /// It is decided again: it was approved, it is frozen, or another call used the approval.
    Again,
    /// It is denied: a person said no, with a note for the agent.
    Rejected(String),
    /// It is denied, and the question stays open.
    Later,
    /// It is denied: nobody answered in time.
    TimedOut,
}

impl Hold {
    /// A call is held from `now_us` on, for `timeout_s`.
    pub fn new(question: String, token: Option<String>, timeout_s: u64, now_us: u64) -> Self {
        let deadline_us = now_us.saturating_add(timeout_s.saturating_mul(1_000_000));
        Self {
            question,
            token,
            seen: false,
            started_us: now_us,
            asked_us: now_us,
            deadline_us,
            next_progress_us: now_us,
            progress: 0,
        }
    }

    /// The call waits for another question from now on: what was given for the first was used by
    /// another call.
    pub fn goes_on(&mut self, question: String, now_us: u64) {
        self.question = question;
        self.seen = false;
        self.asked_us = now_us;
    }

    /// What is to be done at `now_us` (a clock that never steps back), which is `now`.
    pub fn turn(&mut self, seen: Seen<'_>, now_us: u64, now: Timestamp) -> Turn {
        if seen.cancelled {
            return Turn::Cancel;
        }
        if seen.frozen {
            return Turn::Again;
        }
        self.seen |= seen.question.is_some();
        let verdict = seen.question.and_then(|question| question.verdict.as_ref());
        match verdict {
            Some(verdict) if !verdict.approved => return Turn::Rejected(verdict.note.clone()),
            Some(_) if seen.question.is_some_and(|question| question.usable(now)) => return Turn::Again,
            _ => {}
        }
        if now_us >= self.deadline_us {
            return Turn::TimedOut;
        }
        if self.token.is_none() && now_us >= self.started_us.saturating_add(PATIENCE_US) {
            return Turn::Later;
        }
        let missing = seen.fresh && seen.question.is_none();
        if missing && (self.seen || now_us >= self.asked_us.saturating_add(UNSEEN_US)) {
            return Turn::Again;
        }
        if self.token.is_some() && now_us >= self.next_progress_us {
            self.next_progress_us = now_us.saturating_add(PROGRESS_US);
            self.progress = self.progress.saturating_add(1);
            return Turn::Progress(self.progress);
        }
        Turn::Wait
    }
}

/// A notification of progress. Its number grows each time and stays below 0, so that whatever the
/// server says afterwards goes on growing.
pub fn progress(token: &str, number: u64) -> Vec<u8> {
    let number = -1.0 / f64::from(u32::try_from(number.max(1)).unwrap_or(u32::MAX));
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{number},"message":"waiting for a person's approval"}}}}"#
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::{ApprovalVerdict, CallArgs};

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn question(verdict: Option<bool>) -> Approval {
        let until = NOW.plus_micros(1);
        Approval {
            id: "q".to_owned(),
            server: "s".to_owned(),
            grant: "g".to_owned(),
            tool: "t".to_owned(),
            args_sha256: String::new(),
            policy: String::new(),
            args: CallArgs::new("{}").expect("JSON"),
            rule: String::new(),
            pointer: String::new(),
            message: String::new(),
            client: None,
            asked_at: NOW,
            until,
            timeout_s: 300,
            holders: 1,
            kept: false,
            verdict: verdict.map(|approved| ApprovalVerdict {
                approved,
                by: "me".to_owned(),
                at: NOW,
                note: "because".to_owned(),
                until,
                for_s: None,
            }),
        }
    }

    fn seen(question: Option<&Approval>) -> Seen<'_> {
        Seen { question, fresh: true, frozen: false, cancelled: false }
    }

    #[test]
    fn with_a_token_progress_is_told_until_the_deadline() {
        let open = question(None);
        let mut hold = Hold::new("q".to_owned(), Some("7".to_owned()), 300, 0);
        let mut told = Vec::new();
        for second in 0..300_u64 {
            match hold.turn(seen(Some(&open)), second * 1_000_000, NOW) {
                Turn::Wait => {}
                Turn::Progress(number) => told.push(number),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(told, (1..=60).collect::<Vec<_>>());
        assert_eq!(hold.turn(seen(Some(&open)), 300_000_000, NOW), Turn::TimedOut);
        let numbers: Vec<f64> = told
            .iter()
            .map(|number| {
                let line = progress("\"t\"", *number);
                let value: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
                assert_eq!(value["params"]["progressToken"], "t");
                value["params"]["progress"].as_f64().expect("a number")
            })
            .collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]) && numbers.iter().all(|one| *one < 0.0));
    }

    #[test]
    fn without_a_token_it_is_denied_before_the_client_gives_up() {
        let open = question(None);
        let mut hold = Hold::new("q".to_owned(), None, 300, 5);
        assert_eq!(hold.turn(seen(Some(&open)), PATIENCE_US + 4, NOW), Turn::Wait);
        assert_eq!(hold.turn(seen(Some(&open)), PATIENCE_US + 5, NOW), Turn::Later);
        let mut short = Hold::new("q".to_owned(), None, 2, 0);
        assert_eq!(short.turn(seen(Some(&open)), 2_000_000, NOW), Turn::TimedOut);
    }

    #[test]
    fn answers_freezes_and_cancellations_end_it() {
        let mut hold = Hold::new("q".to_owned(), None, 300, 0);
        assert_eq!(hold.turn(seen(Some(&question(Some(true)))), 1, NOW), Turn::Again);
        let rejected = Turn::Rejected("because".to_owned());
        assert_eq!(hold.turn(seen(Some(&question(Some(false)))), 1, NOW), rejected);
        // An approval that is over is none; the hold has its own end.
        let over = NOW.plus_micros(1);
        assert_eq!(hold.turn(seen(Some(&question(Some(true)))), 1, over), Turn::Wait);
        let open = question(None);
        assert_eq!(hold.turn(Seen { frozen: true, ..seen(Some(&open)) }, 1, NOW), Turn::Again);
        let approved = question(Some(true));
        let all = Seen { frozen: true, cancelled: true, ..seen(Some(&approved)) };
        assert_eq!(hold.turn(all, 1, NOW), Turn::Cancel, "nothing runs");
    }

    #[test]
    fn a_question_that_is_gone_is_asked_again() {
        let open = question(None);
        let mut hold = Hold::new("q".to_owned(), None, 300, 0);
        assert_eq!(hold.turn(seen(None), 1, NOW), Turn::Wait, "the copy may be from before");
        assert_eq!(hold.turn(seen(Some(&open)), 2, NOW), Turn::Wait);
        assert_eq!(hold.turn(Seen { fresh: false, ..seen(None) }, 3, NOW), Turn::Wait);
        assert_eq!(hold.turn(seen(None), 4, NOW), Turn::Again, "another call used it");
        hold.goes_on("r".to_owned(), 5);
        assert_eq!(hold.turn(seen(None), 6, NOW), Turn::Wait);
        assert_eq!(hold.turn(seen(None), 5 + UNSEEN_US, NOW), Turn::Again);
    }
}
