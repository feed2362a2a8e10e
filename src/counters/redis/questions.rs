//! Questions to people, and rounds, in Redis.
//!
//! What becomes of a question is reckoned here, with the same code as in every store: all are read
//! with the number of their last change, and written only if that is still the number. People are
//! slow, so hardly anyone ever has to try again.

use std::time::Duration;

use super::keys::{escape, optional};
use super::{RedisStore, Result};
use crate::counters::approval::MAX_WAITING;
use crate::counters::round::{MAX_ROUNDS, ROUND_MICROS};
use crate::counters::{Approval, ApprovalVerdict, Asked, Round};
use crate::time::Timestamp;

/// How often a change is tried that others come before.
const TRIES: u32 = 100;
/// Questions are kept so long after the last one has ended, in milliseconds.
const KEPT_AFTER: i64 = 86_400_000;

/// What is to be written, and what is answered then.
struct Change<T> {
    set: Vec<Approval>,
    remove: Vec<String>,
    answer: T,
}

impl RedisStore {
    fn question(&self, now: Timestamp, arguments: &[String]) -> Result<Vec<String>> {
        // A script is told of every key; that of the rounds is not touched.
        let keys = [self.keys.one("approvals"), self.keys.one("approvals")];
        self.run(&self.scripts.questions, now, &keys, arguments)
    }

    /// Every question, and the number of their last change.
    fn questions(&self, now: Timestamp) -> Result<(String, Vec<Approval>)> {
        let answer = self.question(now, &["read".to_owned()])?;
        let number = answer.get(2).cloned().unwrap_or_default();
        let entries =
            answer.get(3..).unwrap_or_default().iter().map(|kept| self.read(kept)).collect::<Result<_>>()?;
        Ok((number, entries))
    }

    /// Changes questions as if nobody else did meanwhile. `None` from `judge`: nothing is changed.
    fn change_questions<T>(
        &self,
        now: Timestamp,
        mut judge: impl FnMut(Vec<Approval>) -> Result<std::result::Result<Change<T>, T>>,
    ) -> Result<T> {
        for tried in 0..TRIES {
            let (number, entries) = self.questions(now)?;
            let latest = entries.iter().map(|entry| entry.ends().0).max().unwrap_or(now.0);
            let change = match judge(entries)? {
                Ok(change) => change,
                Err(answer) => return Ok(answer),
            };
            let latest = change.set.iter().map(|entry| entry.ends().0).max().unwrap_or(now.0).max(latest);
            let kept = latest.saturating_sub(now.0).max(0) / 1000;
            let mut arguments =
                vec!["change".to_owned(), number, kept.saturating_add(KEPT_AFTER).to_string()];
            for id in change.remove {
                arguments.extend([id, String::new()]);
            }
            for entry in &change.set {
                arguments.extend([entry.id.clone(), self.kept(entry)?]);
            }
            let answer = self.question(now, &arguments)?;
            if answer.first().is_some_and(|verdict| verdict == "done") {
                return Ok(change.answer);
            }
            // Not all at once again.
            let mut byte = [0_u8; 1];
            let _ = getrandom::fill(&mut byte);
            std::thread::sleep(Duration::from_micros(
                u64::from(byte[0]).saturating_mul(u64::from(tried.min(20))),
            ));
        }
        Err(self.fail("too many others change its questions at the same time; try again"))
    }

    fn kept(&self, entry: &Approval) -> Result<String> {
        let state = match &entry.verdict {
            None => "waiting",
            Some(verdict) if verdict.approved => "given",
            Some(_) => "refused",
        };
        Ok(format!("{state}|{}|{}", entry.ends().0, self.text(entry)?))
    }

    pub(super) fn ask_question(&self, now: Timestamp, question: &Approval) -> Result<Asked> {
        self.change_questions(now, |entries| {
            // What is over makes room, also for an equal question.
            let (entries, over): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.stands(now));
            let mut change = Change {
                set: Vec::new(),
                remove: over.into_iter().map(|entry| entry.id).collect(),
                answer: Asked::TooMany,
            };
            if let Some(entry) = entries.iter().find(|entry| entry.same_call(question)) {
                let mut entry = entry.clone();
                if entry.verdict.is_some() {
                    return Ok(Err(Asked::Decided(entry)));
                }
                entry.join(question);
                change.set.push(entry.clone());
                change.answer = Asked::Waiting(entry);
                return Ok(Ok(change));
            }
            let ours = |entry: &&Approval| entry.server == question.server && entry.grant == question.grant;
            let waiting = entries.iter().filter(ours).filter(|entry| entry.verdict.is_none()).count();
            if waiting >= MAX_WAITING {
                return Ok(Err(Asked::TooMany));
            }
            if entries.iter().any(|entry| entry.id == question.id) {
                return Err(self.fail(format!("an approval `{}` is there already", question.id)));
            }
            change.set.push(question.clone());
            change.answer = Asked::Waiting(question.clone());
            Ok(Ok(change))
        })
    }

    pub(super) fn leave_question(&self, now: Timestamp, id: &str, cancelled: bool) -> Result<()> {
        self.change_questions(now, |entries| {
            let Some(mut entry) = entries.into_iter().find(|entry| entry.id == id && entry.waits(now)) else {
                return Ok(Err(()));
            };
            let mut change = Change { set: Vec::new(), remove: Vec::new(), answer: () };
            if entry.leave(cancelled) {
                change.remove.push(entry.id);
            } else {
                change.set.push(entry);
            }
            Ok(Ok(change))
        })
    }

    pub(super) fn decide_question(
        &self,
        now: Timestamp,
        id: &str,
        verdict: &ApprovalVerdict,
    ) -> Result<Option<Approval>> {
        self.change_questions(now, |entries| {
            let Some(mut entry) = entries.into_iter().find(|entry| entry.id == id && entry.waits(now)) else {
                return Ok(Err(None));
            };
            entry.verdict = Some(verdict.clone());
            Ok(Ok(Change { set: vec![entry.clone()], remove: Vec::new(), answer: Some(entry) }))
        })
    }

    fn round(&self, now: Timestamp, round: &Round, what: &str) -> Result<Vec<String>> {
        let name = format!("rounds:{}:{}", escape(&round.server), escape(&round.grant));
        let which = format!(
            "{} {} {}",
            escape(&round.tool),
            escape(&round.args_sha256),
            optional(round.state_sha256.as_deref())
        );
        let arguments = [what.to_owned(), ROUND_MICROS.to_string(), which, MAX_ROUNDS.to_string()];
        let keys = [self.keys.one("approvals"), self.keys.one(&name)];
        self.run(&self.scripts.questions, now, &keys, &arguments)
    }

    pub(super) fn keep_round(&self, now: Timestamp, round: &Round) -> Result<()> {
        self.round(now, round, "remember").map(drop)
    }

    pub(super) fn use_round(&self, now: Timestamp, round: &Round) -> Result<bool> {
        let answer = self.round(now, round, "take")?;
        Ok(answer.get(2).is_some_and(|found| found == "taken"))
    }
}
