//! What the newest calls of a tool were called with.

use std::collections::VecDeque;

use super::engine::Applies;
use super::recorded::Entry;
use crate::record::line::Line;

/// So many are kept, and so many bytes of them.
const MOST: usize = 500;
const MOST_BYTES: usize = 1024 * 1024;
/// Larger ones are not kept.
const LARGEST: usize = MOST_BYTES / 8;

/// The arguments of the newest calls of a tool, the oldest first.
#[derive(Debug)]
pub struct Newest {
    tool: String,
    kept: VecDeque<Box<str>>,
    bytes: usize,
    calls: u64,
}

impl Newest {
    /// Nothing came yet.
    pub fn new(tool: &str) -> Self {
        Self { tool: tool.to_owned(), kept: VecDeque::new(), bytes: 0, calls: 0 }
    }

    /// Takes a journal's line, in the order of their times; one that is no call of theirs, or a call's
    /// second decision, is none.
    pub fn line(&mut self, line: &Line<'_>, applies: &Applies) {
        let Entry::Call(call) = Entry::of(line) else { return };
        if call.tool != self.tool || call.held_by.is_some() || !applies.to(call.server, call.grant) {
            return;
        }
        self.calls += 1;
        // One that is very large is no example for people, and would drive out all others.
        let Some(args) = call.args.filter(|args| args.len() <= LARGEST) else { return };
        self.bytes += args.len();
        self.kept.push_back(args.into());
        while self.kept.len() > MOST || self.bytes > MOST_BYTES {
            self.bytes -= self.kept.pop_front().map_or(self.bytes, |oldest| oldest.len());
        }
    }

    /// How many calls came.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// The arguments as JSON, the newest first.
    pub fn arguments(self) -> Vec<Box<str>> {
        self.kept.into_iter().rev().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(tool: &str, grant: &str, args: &str, more: &str) -> String {
        format!(
            r#"{{"type":"decision","seq":1,"ts":"2026-11-20T21:20:00.000001Z","gateway":"a","server":"git","grant":"{grant}","request_id":1,"method":"tools/call","tool":"{tool}","decision":"allow","enforced":true,"rule":"","pointer":null,"message":"","policy":null,"args":{args},"counters":[],"counted":false,"decide_us":1.5{more}}}"#
        )
    }

    fn newest(lines: impl IntoIterator<Item = String>) -> Vec<Box<str>> {
        let mut newest = Newest::new("push");
        let applies = Applies::To(vec![("git".to_owned(), Some("local".to_owned()))]);
        for line in lines {
            newest.line(&Line::parse(line.as_bytes()).unwrap(), &applies);
        }
        newest.arguments()
    }

    #[test]
    fn the_newest_come_first_and_others_are_left_out() {
        let found = newest([
            line("push", "local", r#"{"n":1}"#, ""),
            line("pull", "local", r#"{"n":2}"#, ""),
            line("push", "other", r#"{"n":3}"#, ""),
            line("push", "local", "null", ""),
            line("push", "local", r#"{"n":5}"#, ""),
            line("push", "local", r#"{"n":5}"#, r#","call":4"#),
        ]);
        let found: Vec<&str> = found.iter().map(AsRef::as_ref).collect();
        assert_eq!(found, [r#"{"n":5}"#, r#"{"n":1}"#]);
    }

    #[test]
    fn however_many_there_are_few_are_kept() {
        let found = newest((0..3_000).map(|n| line("push", "local", &format!("[{n}]"), "")));
        assert_eq!((found.len(), &*found[0]), (MOST, "[2999]"));
        let long = "x".repeat(LARGEST - 100);
        let found = newest((0..20).map(|n| line("push", "local", &format!("[{n},\"{long}\"]"), "")));
        assert_eq!(found.len(), 8);
        let longer = format!("[\"{}\"]", "x".repeat(LARGEST));
        let found = newest([line("push", "local", "[1]", ""), line("push", "local", &longer, "")]);
        assert_eq!(found, [Box::from("[1]")]);
    }
}
