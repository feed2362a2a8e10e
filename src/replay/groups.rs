//! Changed decisions, gathered by tool and rules as they are found.

use std::collections::HashMap;

use super::recorded::Recorded;
use super::report::{Changed, Example, Group, Kind, Side};
use crate::record::Verdict;
use crate::time::Timestamp;

/// So many groups are kept apart; tools that do not exist can be called by any name.
const MOST_GROUPS: usize = 1000;

/// A decision with what made it, borrowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made<'a> {
    pub(super) decision: Verdict,
    pub(super) rule: &'a str,
    pub(super) pointer: Option<&'a str>,
}

/// Who called, borrowed or from a call that was held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caught<'a> {
    pub(super) gateway: &'a str,
    pub(super) seq: u64,
    pub(super) ts: Timestamp,
    pub(super) server: &'a str,
    pub(super) grant: &'a str,
    pub(super) tool: &'a str,
    pub(super) args: Option<&'a str>,
    pub(super) policy: Option<&'a str>,
}

impl<'a> From<&Recorded<'a>> for Caught<'a> {
    fn from(call: &Recorded<'a>) -> Self {
        Self {
            gateway: call.gateway,
            seq: call.seq,
            ts: call.ts,
            server: call.server,
            grant: call.grant,
            tool: call.tool,
            args: call.args,
            policy: call.policy,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    tool: String,
    kind: Kind,
    from: Side,
    to: Side,
}

#[derive(Debug)]
struct Gathered {
    count: u64,
    examples: Vec<Example>,
    /// Where the next example goes once there are enough.
    next: usize,
}

/// Changed decisions of one candidate.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) changed: Changed,
    pub(super) ungrouped: u64,
    examples: usize,
    found: HashMap<Key, Gathered>,
    /// Filled anew for each look, so that looking costs no allocation.
    scratch: Key,
}

impl Groups {
    /// Keeps so many examples of each group: the latest.
    pub(super) fn new(examples: usize) -> Self {
        let scratch =
            Key { tool: String::new(), kind: Kind::DenyToAllow, from: Side::default(), to: Side::default() };
        Self { changed: Changed::default(), ungrouped: 0, examples, found: HashMap::new(), scratch }
    }

    pub(super) fn add(&mut self, call: Caught<'_>, kind: Kind, from: Made<'_>, to: Made<'_>) {
        self.changed.add(kind);
        self.scratch.kind = kind;
        copy(call.tool, &mut self.scratch.tool);
        fill(from, &mut self.scratch.from);
        fill(to, &mut self.scratch.to);
        if !self.found.contains_key(&self.scratch) {
            if self.found.len() >= MOST_GROUPS {
                self.ungrouped += 1;
                return;
            }
            let empty = Gathered { count: 0, examples: Vec::new(), next: 0 };
            self.found.insert(self.scratch.clone(), empty);
        }
        let Some(group) = self.found.get_mut(&self.scratch) else { return };
        group.count += 1;
        if group.examples.len() < self.examples {
            let mut example = Example {
                gateway: String::new(),
                seq: 0,
                ts: Timestamp::default(),
                server: String::new(),
                grant: String::new(),
                tool: String::new(),
                args: String::new(),
                policy: None,
                kind,
                from: Side::default(),
                to: Side::default(),
            };
            refill(&mut example, call, from, to);
            group.examples.push(example);
        } else if let Some(example) = group.examples.get_mut(group.next) {
            refill(example, call, from, to);
            group.next = (group.next + 1) % self.examples.max(1);
        }
    }

    /// The groups, in the order in which they are to be looked at.
    pub(super) fn sorted(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = self
            .found
            .iter()
            .map(|(key, gathered)| {
                let mut examples = gathered.examples.clone();
                examples.rotate_left(gathered.next.min(gathered.examples.len()));
                Group {
                    tool: key.tool.clone(),
                    kind: key.kind,
                    from: key.from.clone(),
                    to: key.to.clone(),
                    count: gathered.count,
                    examples,
                }
            })
            .collect();
        groups.sort_by(|a, b| {
            let rank = |group: &Group| (group.direction(), std::cmp::Reverse(group.count));
            rank(a).cmp(&rank(b)).then_with(|| {
                (&a.tool, a.kind, &a.from.rule, &a.to.rule).cmp(&(&b.tool, b.kind, &b.from.rule, &b.to.rule))
            })
        });
        groups
    }
}

fn copy(text: &str, into: &mut String) {
    into.clear();
    into.push_str(text);
}

fn fill(made: Made<'_>, side: &mut Side) {
    side.decision = made.decision;
    copy(made.rule, &mut side.rule);
    match (made.pointer, &mut side.pointer) {
        (Some(pointer), Some(own)) => copy(pointer, own),
        (pointer, own) => *own = pointer.map(str::to_owned),
    }
}

fn refill(example: &mut Example, call: Caught<'_>, from: Made<'_>, to: Made<'_>) {
    copy(call.gateway, &mut example.gateway);
    example.seq = call.seq;
    example.ts = call.ts;
    copy(call.server, &mut example.server);
    copy(call.grant, &mut example.grant);
    copy(call.tool, &mut example.tool);
    copy(call.args.filter(|args| args.len() <= Example::LONGEST_ARGS).unwrap_or(""), &mut example.args);
    example.policy = call.policy.map(str::to_owned);
    fill(from, &mut example.from);
    fill(to, &mut example.to);
}
