//! Rule health: what each part of a policy did to recorded calls, and what is wrong with it.
//!
//! A [`Checkup`] takes a valid document and the recorded calls in the order of their time, with any
//! decision: each is decided again under this document, with counters on the recorded clock. So a
//! draft can be looked at as well as the policy in force. [`Checkup::health`] then gives a row for
//! each word, rule and limit of the document. Each [`Finding`] says on what it rests: exact reasoning
//! over the conditions, or what was recorded.
//!
//! Freezes, overrides, pins and what people answered to approvals are not part of it: a call that
//! waits for a person counts as one that passes.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::engine::Applies;
use crate::json::{self, Node, Value, pointer};
use crate::policy::compiled::{Compiled, NotValid};
use crate::policy::counter::{Amount, Caller, Reserved, Want};
use crate::policy::decide::{Call, Circumstances, Verdict};
use crate::policy::document::Document;
use crate::policy::lint;
use crate::policy::memory::MemoryCounters;
use crate::policy::model::{Action, Default, Limit, RuleList};
use crate::policy::path::Step;
use crate::policy::schema::ToolShape;
use crate::policy::state::{States, ToolState, limit_text, rule_text};
use crate::record::line::Line;
use crate::record::mask::{Kept, kept};
use crate::time::Timestamp;

/// After so many calls counters whose windows are over are forgotten.
const FORGET: u64 = 4096;

/// One recorded call.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// When it was decided.
    pub ts: Timestamp,
    /// The server, the grant and the session whose counters count.
    pub caller: Caller<'a>,
    /// The tool.
    pub tool: &'a str,
    /// The arguments as they were recorded, masks included; absent where there were none.
    pub args: Option<&'a Node<'a>>,
}

/// The health of a policy. Serializes for `--format json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    /// How many calls were looked at.
    pub calls: u64,
    /// Of those, how many could not be decided again: a rule read a value that was masked or cut.
    pub unreadable: u64,
    /// When the first of them was.
    pub since: Option<Timestamp>,
    /// When the last of them was.
    pub until: Option<Timestamp>,
    /// `default`, each entry of `hide`, and each `action`, rule and limit, in the order of the text.
    pub parts: Vec<Part>,
    /// Tools that a call could reach, and that no recorded call named: in the order of the document,
    /// then of the server's list.
    pub never_called: Vec<String>,
    /// Tools that the document names and the server does not have, where its tools are known.
    pub unknown_tools: Vec<String>,
}

impl Health {
    /// How many parts have a finding.
    pub fn ailing(&self) -> usize {
        self.parts.iter().filter(|part| !part.findings.is_empty()).count()
    }
}

/// What a part of a policy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `default: deny`
    Default,
    /// An entry of `hide`.
    Hide,
    /// `action`
    Action,
    /// A rule of `require`.
    Require,
    /// A rule of `deny_if`.
    DenyIf,
    /// A rule of `approve_if`.
    ApproveIf,
    /// A limit, `rate_limit` included.
    Limit,
}

impl Kind {
    /// The word for it: the key in the document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Hide => "hide",
            Self::Action => "action",
            Self::Require => "require",
            Self::DenyIf => "deny_if",
            Self::ApproveIf => "approve_if",
            Self::Limit => "limit",
        }
    }
}

/// A word, rule or limit of the document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// Its pointer in the document.
    pub pointer: String,
    /// Whose; `None` of `default` and of limits of all tools.
    pub tool: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// What it says, in one line, harmless on a terminal: `amount > 100`, `30/min`.
    pub text: String,
    /// Recorded calls that reached the tool it is of: all that it could have decided.
    pub calls: u64,
    /// Of those, the calls that it decided: denied, hidden or held.
    pub hits: u64,
    /// When it last decided one.
    pub last_hit: Option<Timestamp>,
    /// Calls that it would have decided if nothing had before it.
    pub preempted: u64,
    /// Of a limit: the most that its counter held, and when.
    pub peak: Option<Peak>,
    /// What is wrong with it, the worst first; empty when nothing is.
    pub findings: Vec<Finding>,
}

/// The most that a counter held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Peak {
    /// How much.
    pub used: Amount,
    /// How much it may hold.
    pub max: Amount,
    /// When it came to that first.
    pub at: Timestamp,
}

/// What can be wrong with a part, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ill {
    /// It can never hold; in `require` it denies every call.
    Impossible,
    /// It names an argument that the tool does not have, or one of another type.
    UnknownArgument,
    /// It is of a tool that the server does not have.
    UnknownTool,
    /// It is never asked: another always decides first.
    Shadowed,
    /// It decides nothing that another does not.
    Covered,
    /// It is legal, but surely not meant: a warning of `callgate check` of another kind.
    Doubtful,
    /// Nothing that was recorded was decided by it.
    NeverHit,
}

impl Ill {
    /// The word for it on screens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Impossible => "impossible",
            Self::UnknownArgument => "unknown argument",
            Self::UnknownTool => "unknown tool",
            Self::Shadowed => "shadowed",
            Self::Covered => "covered",
            Self::Doubtful => "doubtful",
            Self::NeverHit => "never hit",
        }
    }
}

/// On what a finding rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// It follows from the document (and the server's tools): it holds of every call there can be.
    Reasoned,
    /// It was so of the recorded calls.
    Recorded,
}

/// What is wrong with a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub ill: Ill,
    /// On what that rests.
    pub proof: Proof,
    /// What is wrong, in words.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// The pointer of the part that decides instead, where there is one.
    pub by: Option<String>,
}

/// What happened to one part.
#[derive(Debug, Clone, Default)]
struct Tally {
    hits: u64,
    last_hit: Option<Timestamp>,
    preempted: u64,
    /// What most often decided before it: the first that did.
    before: Option<String>,
    peak: Option<Peak>,
}

/// Calls of one policy, being looked at.
#[derive(Debug)]
pub struct Checkup {
    document: Document,
    compiled: Compiled,
    counters: MemoryCounters,
    tallies: HashMap<String, Tally>,
    /// Calls of each tool that the policy or the server names.
    called: HashMap<String, u64>,
    shapes: Option<Vec<ToolShape>>,
    calls: u64,
    unreadable: u64,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Checkup {
    /// Begins with a valid document and, where they are known, the server's tools.
    ///
    /// # Errors
    /// As [`Compiled::new`].
    pub fn new(document: &Document, shapes: Option<Vec<ToolShape>>) -> Result<Self, NotValid> {
        let compiled = Compiled::new(document)?;
        let policy = document.policy();
        let named = policy.tools.iter().map(|tool| &tool.name);
        let named = named.chain(policy.hide.names.iter().map(|(name, _)| name));
        let named = named.chain(shapes.iter().flatten().map(|shape| &shape.name));
        let called = named.map(|name| (name.clone(), 0)).collect();
        Ok(Self {
            document: document.clone(),
            compiled,
            counters: MemoryCounters::new(),
            tallies: HashMap::new(),
            called,
            shapes,
            calls: 0,
            unreadable: 0,
            since: None,
            until: None,
        })
    }

    /// Looks at the next line; `false` where it is no call of those who are meant. A held call is decided
    /// twice and looked at once, and a refused message is no call.
    pub fn line(&mut self, line: &Line<'_>, applies: &Applies) -> bool {
        let Some(tool) = &line.tool else { return false };
        if line.call.is_some() || Line::text(&line.rule) == "(malformed)" {
            return false;
        }
        let caller = Caller {
            server: Line::text(&line.server),
            grant: Line::text(&line.grant),
            session: line.session.as_ref().map(|text| text.0.as_ref()),
        };
        if !applies.to(caller.server, caller.grant) {
            return false;
        }
        let parsed = line.args.and_then(|args| json::parse(args).ok());
        let args = parsed.as_ref().map(|parsed| &parsed.root);
        self.call(&Seen { ts: line.ts, caller, tool: &tool.0, args });
        true
    }

    /// Looks at the next call.
    pub fn call(&mut self, seen: &Seen<'_>) {
        self.calls += 1;
        self.since = Some(self.since.map_or(seen.ts, |since| since.min(seen.ts)));
        self.until = self.until.max(Some(seen.ts));
        if let Some(calls) = self.called.get_mut(seen.tool) {
            *calls += 1;
        }
        if self.calls.is_multiple_of(FORGET) {
            self.counters.forget(seen.ts);
        }
        if let Some(args) = seen.args
            && self.compiled.paths(seen.tool).iter().any(|path| hides(path.steps(), args))
        {
            self.unreadable += 1;
            return;
        }
        let call = Call { tool: seen.tool, arguments: seen.args };
        let decided = self.decide(&call, seen);
        let mut first = decided.as_deref();
        let Self { compiled, tallies, .. } = self;
        if let Some(pointer) = first {
            let tally = entry(tallies, pointer);
            tally.hits += 1;
            tally.last_hit = tally.last_hit.max(Some(seen.ts));
        }
        compiled.each_firing(&call, &mut |pointer| {
            if first.is_some_and(|first| first == pointer) {
                return;
            }
            // A limit denies after all rules but those of approval.
            let by = *first.get_or_insert(decided.as_deref().unwrap_or_default());
            let tally = entry(tallies, pointer);
            tally.preempted += 1;
            if tally.before.is_none() && !by.is_empty() {
                tally.before = Some(by.to_owned());
            }
        });
    }

    /// The pointer of what decides the call; `None` when it is allowed.
    fn decide(&mut self, call: &Call<'_>, seen: &Seen<'_>) -> Option<String> {
        let (charges, approval) = match self.compiled.decide(call, &Circumstances::default()) {
            Verdict::Deny(denial) => return denial.pointer,
            Verdict::Allow { charges, approval, .. } => (charges, approval),
        };
        let wants: Vec<Want> = charges.iter().map(|charge| charge.want(&seen.caller, false)).collect();
        let (usages, full) = match self.counters.reserve(seen.ts, &wants) {
            Reserved::Done { usages, .. } => (usages, None),
            Reserved::Full { usages } => {
                let full = usages.iter().position(|usage| !usage.room);
                (usages, full)
            }
        };
        for (usage, charge) in usages.iter().zip(&charges) {
            let tally = entry(&mut self.tallies, &charge.limit.pointer);
            if tally.peak.is_none_or(|peak| peak.used < usage.used) {
                tally.peak = Some(Peak { used: usage.used, max: charge.limit.max, at: seen.ts });
            }
        }
        match full.and_then(|index| charges.get(index)) {
            Some(charge) => Some(charge.limit.pointer.clone()),
            None => approval.map(|need| need.pointer),
        }
    }

    /// What was found so far.
    pub fn health(&self) -> Health {
        let policy = self.document.policy();
        let mut parts = self.parts();
        let mut places: HashMap<String, usize> = HashMap::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            places.insert(part.pointer.clone(), index);
        }
        let mut unknown = Vec::new();
        let mut note = |pointer: &str, finding: Finding| {
            if let Some(part) = holder(pointer, &places).and_then(|index| parts.get_mut(index)) {
                part.findings.push(finding);
            }
        };
        for found in lint::lint(&self.document, self.shapes.as_deref()) {
            let ill = match found.code {
                "never-holds" | "max-zero" => Ill::Impossible,
                "unknown-argument" | "wrong-argument-type" => Ill::UnknownArgument,
                "unknown-tool" => Ill::UnknownTool,
                "covered" => Ill::Covered,
                _ => Ill::Doubtful,
            };
            let help = found.help.unwrap_or_default();
            let finding = Finding { ill, proof: Proof::Reasoned, message: found.message, help, by: None };
            if ill == Ill::UnknownTool {
                unknown.push((found.pointer, finding));
            } else {
                note(&found.pointer, finding);
            }
        }
        for found in lint::shadowed(&self.document) {
            let message = format!("never asked: {} ({})", found.why, found.by);
            let help = "take it away, or what stands before it".to_owned();
            let (ill, proof) = (Ill::Shadowed, Proof::Reasoned);
            note(&found.pointer, Finding { ill, proof, message, help, by: Some(found.by) });
        }
        for (pointer, finding) in unknown {
            let within = format!("{pointer}/");
            for part in parts.iter_mut().filter(|it| it.pointer == pointer || it.pointer.starts_with(&within))
            {
                part.findings.push(finding.clone());
            }
        }
        for part in &mut parts {
            self.recorded(part);
            part.findings.sort_by_key(|finding| finding.ill);
        }
        let states = States::of(policy);
        let reachable = |name: &str| matches!(states.state(name), ToolState::Allow | ToolState::Approve);
        let uncalled = |name: &&str| self.called.get(*name).is_some_and(|calls| *calls == 0);
        let listed = policy.tools.iter().map(|tool| tool.name.as_str());
        let mut known = HashSet::new();
        let never_called = listed
            .chain(self.shapes.iter().flatten().map(|shape| shape.name.as_str()))
            .filter(|name| known.insert(*name))
            .filter(uncalled)
            .filter(|name| reachable(name))
            .map(str::to_owned)
            .collect();
        let has: Option<HashSet<&str>> =
            self.shapes.as_ref().map(|shapes| shapes.iter().map(|shape| shape.name.as_str()).collect());
        let named = policy.tools.iter().map(|tool| &tool.name);
        let named = named.chain(policy.hide.names.iter().map(|(name, _)| name));
        let unknown_tools = match has {
            Some(has) => named.filter(|name| !has.contains(name.as_str())).cloned().collect(),
            None => Vec::new(),
        };
        Health {
            calls: self.calls,
            unreadable: self.unreadable,
            since: self.since,
            until: self.until,
            parts,
            never_called,
            unknown_tools,
        }
    }

    /// What the records say of a part, where reasoning has not said worse.
    fn recorded(&self, part: &mut Part) {
        let told = part.findings.iter().any(|finding| {
            matches!(finding.ill, Ill::Impossible | Ill::UnknownTool | Ill::Shadowed | Ill::Covered)
        });
        // `default: deny` and `hide` are there for what should not happen.
        if told || part.hits > 0 || matches!(part.kind, Kind::Default | Kind::Hide) || self.calls == 0 {
            return;
        }
        let tally = self.tallies.get(&part.pointer);
        let finding = if part.preempted > 0 {
            let by = tally.and_then(|tally| tally.before.clone());
            let before = by.as_deref().map_or_else(String::new, |by| format!(" ({by})"));
            Finding {
                ill: Ill::Shadowed,
                proof: Proof::Recorded,
                message: format!(
                    "it held of {} recorded calls, and another decided each of them first{before}",
                    part.preempted
                ),
                help: "put it before the other, or take it away if it is not needed".to_owned(),
                by,
            }
        } else {
            let (message, help) = match (part.kind, part.peak) {
                _ if part.calls == 0 => (
                    "no recorded call reached it: the tool was not called".to_owned(),
                    "nothing can be said of it until the tool is called",
                ),
                (Kind::Limit, Some(peak)) => (
                    format!("never reached: at most {} of {} were used", peak.used, peak.max),
                    "fine as a safeguard; a smaller `max` would bind sooner",
                ),
                _ => (
                    format!("it decided none of {} recorded calls", part.calls),
                    "fine as a safeguard; `callgate explain` shows whether it holds of the calls it is for",
                ),
            };
            let (ill, proof) = (Ill::NeverHit, Proof::Recorded);
            Finding { ill, proof, message, help: help.to_owned(), by: None }
        };
        part.findings.push(finding);
    }

    /// Every part of the document with what happened to it.
    fn parts(&self) -> Vec<Part> {
        let policy = self.document.policy();
        let mut parts = Vec::new();
        if policy.default == Default::Deny {
            parts.push(self.part(
                "/default".to_owned(),
                None,
                Kind::Default,
                "deny what is not listed".to_owned(),
            ));
        }
        if policy.hide.all {
            parts.push(self.part("/hide/0".to_owned(), None, Kind::Hide, "every tool".to_owned()));
        }
        for (index, (name, _)) in policy.hide.names.iter().enumerate() {
            let text = crate::visible::visible(name).into_owned();
            parts.push(self.part(format!("/hide/{index}"), Some(name), Kind::Hide, text));
        }
        let limits = |parts: &mut Vec<Part>, at: &str, tool: Option<&String>, limits: &[Limit]| {
            for (index, limit) in limits.iter().enumerate() {
                parts.push(self.part(format!("{at}/limits/{index}"), tool, Kind::Limit, limit_text(limit)));
            }
        };
        limits(&mut parts, "/all_tools", None, &policy.all_tools_limits);
        for tool in &policy.tools {
            let mut at = "/tools".to_owned();
            pointer::push(&mut at, &tool.name);
            let name = Some(&tool.name);
            if let Some(action) = tool.action.filter(|action| *action != Action::Allow) {
                let text = format!("{action:?} every call").to_lowercase();
                parts.push(self.part(format!("{at}/action"), name, Kind::Action, text));
            }
            for (list, kind, rules) in [
                (RuleList::Require, Kind::Require, &tool.require),
                (RuleList::DenyIf, Kind::DenyIf, &tool.deny_if),
                (RuleList::ApproveIf, Kind::ApproveIf, &tool.approve_if),
            ] {
                for (index, rule) in rules.iter().enumerate() {
                    let pointer = format!("{at}/{}/{index}", list.key());
                    parts.push(self.part(pointer, name, kind, rule_text(rule)));
                }
            }
            limits(&mut parts, &at, name, &tool.limits);
            if let Some(rate) = &tool.rate_limit {
                let limit = Limit {
                    span: rate.span,
                    counter: String::new(),
                    window: rate.window,
                    max: rate.max.clone(),
                    scope: None,
                    increment_from: None,
                    on_deny: None,
                };
                parts.push(self.part(format!("{at}/rate_limit"), name, Kind::Limit, limit_text(&limit)));
            }
        }
        parts
    }

    fn part(&self, pointer: String, tool: Option<&String>, kind: Kind, text: String) -> Part {
        let tally = self.tallies.get(&pointer).cloned().unwrap_or_default();
        let calls = match tool {
            Some(tool) => self.called.get(tool).copied().unwrap_or(0),
            None => self.calls,
        };
        Part {
            tool: tool.cloned(),
            kind,
            text,
            calls,
            hits: tally.hits,
            last_hit: tally.last_hit,
            preempted: tally.preempted,
            peak: tally.peak,
            findings: Vec::new(),
            pointer,
        }
    }
}

fn entry<'t>(tallies: &'t mut HashMap<String, Tally>, pointer: &str) -> &'t mut Tally {
    // Looked up first: nearly every call finds what is there.
    if !tallies.contains_key(pointer) {
        tallies.insert(pointer.to_owned(), Tally::default());
    }
    tallies.entry(pointer.to_owned()).or_default()
}

/// The part that a pointer lies in.
fn holder(pointer: &str, places: &HashMap<String, usize>) -> Option<usize> {
    let mut at = pointer;
    loop {
        if let Some(index) = places.get(at) {
            return Some(*index);
        }
        at = at.get(..at.rfind('/')?)?;
    }
}

/// Whether a path leads to a value that was not recorded, through one, or to one that holds one.
fn hides(steps: &[Step], node: &Node<'_>) -> bool {
    if kept(node) != Kept::Value {
        return true;
    }
    let Some((step, rest)) = steps.split_first() else {
        return match &node.value {
            Value::Array(items) => items.iter().any(|item| hides(&[], item)),
            Value::Object(members) => members.iter().any(|member| hides(&[], &member.value)),
            _ => false,
        };
    };
    match (step, &node.value) {
        (Step::Name(name), Value::Object(members)) => {
            members.iter().any(|member| member.key.as_str() == name && hides(rest, &member.value))
        }
        (Step::Number { text, .. }, Value::Object(members)) => {
            members.iter().any(|member| member.key.as_str() == text && hides(rest, &member.value))
        }
        (Step::Number { index, .. }, Value::Array(items)) => {
            items.get(*index).is_some_and(|item| hides(rest, item))
        }
        (Step::Each, Value::Array(items)) => items.iter().any(|item| hides(rest, item)),
        _ => false,
    }
}

#[cfg(test)]
#[path = "health/tests.rs"]
mod tests;
