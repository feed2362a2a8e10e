//! The replay itself: lines go in, in the order of their times, and reports come out.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};

use super::counts::Counts;
use super::groups::{Caught, Groups};
use super::judge::Judge;
use super::masks::{self, Masks};
use super::recorded::{Ended, Entry, Origin, Recorded, is_limit};
use super::report::{Reason, Report};
use super::told::{Told, Why, change};
use crate::json::{self, Node, Parsed};
use crate::policy::compiled::Compiled;
use crate::policy::counter::Caller;
use crate::policy::decide::Verdict as Ruling;
use crate::record::Verdict;
use crate::record::line::Line;
use crate::record::mask::Masker;
use crate::time::Timestamp;

/// So many names of tools and gateways are told apart at once; agents can make up any number.
const NAMES: usize = 64 * 1024;
/// So many calls may wait for a second decision; twice as many are remembered.
const HELD: usize = 4 * 1024;
/// After so many calls, counters whose windows are over are looked for.
const FORGET_EVERY: u32 = 32 * 1024;

/// What candidates are compared with.
#[derive(Debug, Clone)]
pub enum Base {
    /// What was decided when the calls were recorded.
    Recorded,
    /// Another policy, simulated on the same calls.
    Policy(Arc<Compiled>),
}

/// Whose calls candidates are asked about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Applies {
    /// Everybody's.
    #[default]
    All,
    /// Those of these servers, each with one grant or with all of them.
    To(Vec<(String, Option<String>)>),
}

impl Applies {
    /// Whether they are asked about this one's.
    pub fn to(&self, server: &str, grant: &str) -> bool {
        match self {
            Self::All => true,
            Self::To(who) => who
                .iter()
                .any(|(one, label)| one == server && label.as_deref().is_none_or(|label| label == grant)),
        }
    }
}

/// Finds the policy of a revision, where its text is at hand.
pub type Known = Box<dyn FnMut(&str) -> Option<Arc<Compiled>> + Send>;

/// How to replay.
pub struct Options {
    /// Whose calls.
    pub applies: Applies,
    /// The installation's key, for values that were masked under it.
    pub masker: Option<Masker>,
    /// So many examples are kept of each group, the latest.
    pub examples: usize,
    /// The policies that decided the recorded calls.
    pub known: Known,
}

impl Default for Options {
    /// Everybody's calls, without a key and without the policies that decided.
    fn default() -> Self {
        Self { applies: Applies::All, masker: None, examples: 10, known: Box::new(|_| None) }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("applies", &self.applies).finish_non_exhaustive()
    }
}

/// Recorded calls under other policies.
#[derive(Debug)]
pub struct Replay {
    applies: Applies,
    masker: Arc<Option<Masker>>,
    find: Finder,
    /// The base, where it is a policy, and the candidates.
    judges: Vec<Judge>,
    /// How many of the judges are no candidates: none or one.
    first: usize,
    counts: Counts,
    tallies: Vec<Tally>,
    calls: u64,
    elsewhere: u64,
    since_forgetting: u32,
    tools: Names,
    gateways: Names,
    /// Calls that wait for their second decision; older ones in the second.
    held: [HashMap<(u32, u64), Held>; 2],
    /// Policies that decided recorded calls.
    known: HashMap<String, Option<Judge>>,
    /// Whose call was looked at last, and whether the candidates apply to it.
    last: Option<(String, String, bool)>,
    told: Vec<Option<Told>>,
}

/// See [`Options::known`].
struct Finder(Known);

impl std::fmt::Debug for Finder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Finder")
    }
}

/// One candidate's findings.
#[derive(Debug)]
struct Tally {
    replayable: u64,
    not: [u64; REASONS.len()],
    groups: Groups,
}

const REASONS: [Reason; 6] = [
    Reason::Masked,
    Reason::Malformed,
    Reason::NoPolicy,
    Reason::Unavailable,
    Reason::Unenforced,
    Reason::Unreadable,
];

/// A call that waits for its second decision.
#[derive(Debug)]
struct Held {
    server: Box<str>,
    grant: Box<str>,
    gateway: Box<str>,
    tool: Box<str>,
    args: Option<Box<str>>,
    policy: Option<Box<str>>,
    seq: u64,
    ts: Timestamp,
    base: Option<Told>,
    /// By judge; `None` where it cannot be told.
    told: Vec<Option<Told>>,
}

/// Numbers for names.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<Box<str>, u32>,
    next: u32,
    last: Option<(String, u32)>,
}

impl Names {
    /// The name's number, and whether all names got new ones because there were too many.
    fn number(&mut self, name: &str) -> (u32, bool) {
        if let Some((last, number)) = &self.last
            && last == name
        {
            return (*number, false);
        }
        let mut anew = false;
        let number = if let Some(number) = self.numbers.get(name) {
            *number
        } else {
            anew = self.numbers.len() >= NAMES;
            if anew {
                self.numbers.clear();
            }
            let number = self.next;
            self.next = self.next.wrapping_add(1);
            self.numbers.insert(name.into(), number);
            number
        };
        let (last, known) = self.last.get_or_insert_default();
        last.clear();
        last.push_str(name);
        *known = number;
        (number, anew)
    }
}

/// The arguments of the call at hand, read when they are first needed.
enum Arguments<'a> {
    Unread(Option<&'a str>),
    Read(Option<Parsed<'a>>),
}

impl<'a> Arguments<'a> {
    /// Reads them; `false` when they cannot be read.
    fn read(&mut self) -> bool {
        if let Self::Unread(text) = self {
            let parsed = match text.map(json::parse) {
                None => None,
                Some(Ok(parsed)) => Some(parsed),
                Some(Err(_)) => return false,
            };
            *self = Self::Read(parsed);
        }
        true
    }

    fn root(&self) -> Option<&Node<'a>> {
        match self {
            Self::Read(Some(parsed)) => Some(&parsed.root),
            _ => None,
        }
    }
}

/// Whether a person said yes, where one was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Nobody,
    Yes,
    No,
}

impl Replay {
    /// A replay that compares each candidate with the base.
    pub fn new(base: Base, candidates: Vec<Arc<Compiled>>, options: Options) -> Self {
        let mut policies = Vec::with_capacity(candidates.len() + 1);
        if let Base::Policy(policy) = base {
            policies.push(policy);
        }
        let first = policies.len();
        policies.extend(candidates);
        let tallies = policies
            .iter()
            .skip(first)
            .map(|_| Tally { replayable: 0, not: [0; REASONS.len()], groups: Groups::new(options.examples) })
            .collect();
        Self {
            counts: Counts::new(&policies.iter().map(AsRef::as_ref).collect::<Vec<&Compiled>>()),
            judges: policies.into_iter().map(Judge::new).collect(),
            applies: options.applies,
            masker: Arc::new(options.masker),
            find: Finder(options.known),
            first,
            tallies,
            calls: 0,
            elsewhere: 0,
            since_forgetting: 0,
            tools: Names::default(),
            gateways: Names::default(),
            held: [HashMap::new(), HashMap::new()],
            known: HashMap::new(),
            last: None,
            told: Vec::new(),
        }
    }

    /// Takes the next line. Lines of one gateway run come in the order in which they were written,
    /// those of several merged by time.
    pub fn line(&mut self, line: &Line<'_>) {
        match Entry::of(line) {
            Entry::Call(call) => self.call(&call),
            Entry::Ended(ended) => self.ended(&ended),
            Entry::Other => {}
        }
    }

    /// How many calls the candidates were asked about so far.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// How many calls were passed over so far because the candidates do not apply to them.
    pub fn elsewhere(&self) -> u64 {
        self.elsewhere
    }

    /// What was found so far, by candidate. Calls that still wait for a second decision are not in
    /// it.
    pub fn reports(&self) -> Vec<Report> {
        self.tallies
            .iter()
            .map(|tally| Report {
                calls: self.calls,
                replayable: tally.replayable,
                not_replayable: REASONS.into_iter().zip(tally.not).filter(|(_, count)| *count > 0).collect(),
                changed: tally.groups.changed,
                groups: tally.groups.sorted(),
                ungrouped: tally.groups.ungrouped,
            })
            .collect()
    }

    /// There are no more lines: calls that still wait were never answered.
    pub fn finish(mut self) -> Vec<Report> {
        for held in std::mem::take(&mut self.held).into_iter().flatten() {
            self.compare_held(&held.1);
        }
        self.reports()
    }

    /// A recorded decision.
    pub fn call(&mut self, call: &Recorded<'_>) {
        let gateway = self.gateway(call.gateway);
        if let Some(first) = call.held_by
            && let Some(held) = self.take_held(gateway, first)
        {
            self.decided_again(held, call, gateway);
            return;
        }
        self.since_forgetting += 1;
        if self.since_forgetting >= FORGET_EVERY {
            self.since_forgetting = 0;
            self.counts.forget(call.ts);
        }
        self.counts.look(call);
        if !self.applies(call.server, call.grant) {
            self.elsewhere += u64::from(call.held_by.is_none());
            return self.counts_as_recorded();
        }
        self.calls += 1;
        let reason = match call.origin() {
            Origin::Above => {
                // Denied, whatever the document says.
                self.tallies.iter_mut().for_each(|tally| tally.replayable += 1);
                return self.counts.settle(None);
            }
            Origin::Document | Origin::Allowed | Origin::Approved => None,
            Origin::Malformed => Some(Reason::Malformed),
            Origin::Unavailable => Some(Reason::Unavailable),
            Origin::NoPolicy => Some(Reason::NoPolicy),
            Origin::Unenforced => Some(Reason::Unenforced),
        };
        if let Some(reason) = reason {
            self.tallies.iter_mut().for_each(|tally| tally.not_replayable(reason));
            return self.counts_as_recorded();
        }
        let answer = match (call.verdict, call.asked()) {
            (Verdict::Allow, true) => Answer::Yes,
            (Verdict::Deny, true) if call.rejected() => Answer::No,
            _ => Answer::Nobody,
        };
        let Some(told) = self.judge(call, answer, None) else {
            self.tallies.iter_mut().for_each(|tally| tally.not_replayable(Reason::Unreadable));
            return self.counts_as_recorded();
        };
        let base = if self.first == 0 { Some(Told::recorded(call)) } else { told.first().cloned().flatten() };
        // Only what ran has an outcome that may give something back.
        let flight = (call.verdict != Verdict::Deny).then_some((gateway, call.seq));
        self.counts.settle(flight);
        if call.verdict == Verdict::Approve {
            self.hold(gateway, call, base, told);
        } else {
            self.compare(Caught::from(call), base.as_ref(), &told);
            self.told = told;
        }
    }

    fn counts_as_recorded(&mut self) {
        for who in 0..self.judges.len() {
            self.counts.follow(who);
        }
        self.counts.settle(None);
    }

    /// A call's outcome.
    fn ended(&mut self, ended: &Ended<'_>) {
        let gateway = self.gateway(ended.gateway);
        if let Some(held) = self.take_held(gateway, ended.call) {
            // It ended before anybody answered.
            self.compare_held(&held);
        }
        self.counts.ended(gateway, ended.call, ended.released);
    }

    /// What each judge says about a call; `None` when its arguments cannot be read. `before` is what
    /// they said when it was held.
    fn judge(
        &mut self,
        call: &Recorded<'_>,
        answer: Answer,
        before: Option<&[Option<Told>]>,
    ) -> Option<Vec<Option<Told>>> {
        let (number, anew) = self.tools.number(call.tool);
        if anew {
            self.judges.iter_mut().for_each(Judge::forget);
            self.known.values_mut().flatten().for_each(Judge::forget);
        }
        let caller = Caller { server: call.server, grant: call.grant, session: call.session };
        let masker = Arc::clone(&self.masker);
        let masks = call.args.is_some_and(masks::may_hold).then(|| Masks::new(Option::as_ref(&masker)));
        let mut arguments = Arguments::Unread(call.args);
        let origin = call.origin();
        let reads = self.judges.iter_mut().any(|judge| judge.reads(number, call.tool));
        if (reads || origin != Origin::Document) && !arguments.read() {
            return None;
        }
        let mut told = std::mem::take(&mut self.told);
        told.clear();
        let verdicts: Vec<Option<Arc<Ruling>>> = self
            .judges
            .iter_mut()
            .map(|judge| judge.verdict(number, call.tool, arguments.root(), masks.as_ref(), origin))
            .collect();
        let free = self.recorded_policy(call, number, &caller, &mut arguments, masks.as_ref(), &verdicts)?;
        for (who, verdict) in verdicts.into_iter().enumerate() {
            let held = before.map(|before| before.get(who).and_then(Option::as_ref));
            let one = match (held, verdict) {
                // It was decided when the call came: denied, or allowed without asking anybody.
                (Some(Some(earlier)), _) if !earlier.waits() => Some(earlier.clone()),
                (Some(None), _) | (_, None) => {
                    self.counts.follow(who);
                    None
                }
                (_, Some(verdict)) => Some(self.one(who, call, &caller, verdict, answer, free)),
            };
            told.push(one);
        }
        Some(told)
    }

    /// What one judge's verdict comes to with its counters.
    fn one(
        &mut self,
        who: usize,
        call: &Recorded<'_>,
        caller: &Caller<'_>,
        verdict: Arc<Ruling>,
        answer: Answer,
        free: bool,
    ) -> Told {
        let Ruling::Allow { charges, approval, past_max, .. } = verdict.as_ref() else {
            let limit = matches!(verdict.as_ref(), Ruling::Deny(denial) if is_limit(&denial.rule));
            return Told { asked: false, allowed: Some(false), limit, why: Why::Ruled(verdict, None) };
        };
        if free {
            return Told { asked: false, allowed: Some(true), limit: false, why: Why::Ruled(verdict, None) };
        }
        let asked = approval.is_some();
        let runs = !asked || answer == Answer::Yes;
        // Its limits come before the question.
        let full = self.counts.reserve(who, caller, call.ts, charges, *past_max, runs);
        let allowed = match (full, asked, answer) {
            (Some(_), _, _) | (None, true, Answer::No) => Some(false),
            (None, true, Answer::Nobody) => None,
            (None, false, _) | (None, true, Answer::Yes) => Some(true),
        };
        Told {
            asked: asked && full.is_none(),
            allowed,
            limit: full.is_some(),
            why: Why::Ruled(verdict, full),
        }
    }

    /// Looks the call up in the policy that decided it: how much it really counted, and whether it
    /// was a further round, which counts nothing and asks nobody. `None` when the arguments cannot be
    /// read.
    fn recorded_policy<'a>(
        &mut self,
        call: &Recorded<'a>,
        number: u32,
        caller: &Caller<'_>,
        arguments: &mut Arguments<'a>,
        masks: Option<&Masks<'_>>,
        verdicts: &[Option<Arc<Ruling>>],
    ) -> Option<bool> {
        let maybe_round = call.verdict == Verdict::Allow && !call.counted && call.approval.is_none();
        let counts = call.counted && self.counts.saw_any();
        let (Some(revision), true) = (call.policy, maybe_round || counts) else { return Some(false) };
        let own = self.judges.iter_mut().position(|judge| judge.policy.revision() == revision);
        if own.is_none() && !self.known.contains_key(revision) {
            let found = (self.find.0)(revision).map(Judge::new);
            self.known.insert(revision.to_owned(), found);
        }
        let judge = match own.and_then(|own| self.judges.get_mut(own)) {
            Some(judge) => judge,
            None => match self.known.get_mut(revision) {
                Some(Some(judge)) => judge,
                _ => return Some(false),
            },
        };
        let plan = judge.plan(number, call.tool);
        if maybe_round && plan.limited {
            return Some(call.origin() != Origin::Allowed);
        }
        if counts && !plan.amounts {
            self.counts.really_added_one();
            return Some(false);
        }
        if !counts && !plan.asks {
            return Some(false);
        }
        let decided;
        let verdict = if let Some(verdict) = own.and_then(|own| verdicts.get(own)) {
            verdict.as_ref()
        } else {
            if judge.reads(number, call.tool) && !arguments.read() {
                return None;
            }
            decided = judge.verdict(number, call.tool, arguments.root(), masks, call.origin());
            decided.as_ref()
        };
        let Some(Ruling::Allow { charges, approval, .. }) = verdict.map(AsRef::as_ref) else {
            return Some(false);
        };
        if counts {
            self.counts.really_added(caller, charges);
            return Some(false);
        }
        Some(approval.is_some())
    }

    /// A call that was held is decided again.
    fn decided_again(&mut self, mut held: Held, call: &Recorded<'_>, gateway: u32) {
        self.counts.look(call);
        let answer = match (call.origin(), call.verdict) {
            (Origin::Document, Verdict::Deny) if call.rejected() => Answer::No,
            (Origin::Document | Origin::Allowed | Origin::Approved, Verdict::Allow) => Answer::Yes,
            (Origin::Document, Verdict::Deny) if !call.denied_by_asking() => Answer::Yes,
            // Nobody answered in time, or something above the document came between.
            _ => Answer::Nobody,
        };
        let again = matches!(call.origin(), Origin::Document | Origin::Allowed | Origin::Approved);
        let told = if again { self.judge(call, answer, Some(&held.told)) } else { None };
        match told {
            Some(told) => {
                // One that a person has approved stays one that was asked about.
                for (now, before) in told.iter().zip(&mut held.told) {
                    let asked = before.as_ref().is_some_and(|before| before.asked);
                    *before = now.clone().map(|now| Told { asked: now.asked || asked, ..now });
                }
                held.base = if self.first == 0 {
                    Some(Told { asked: true, ..Told::recorded(call) })
                } else {
                    held.told.first().cloned().flatten()
                };
                self.counts.settle((call.verdict == Verdict::Allow).then_some((gateway, call.seq)));
            }
            None => self.counts_as_recorded(),
        }
        self.counts.renumber(gateway, held.seq, call.seq);
        self.compare_held(&held);
    }

    fn compare_held(&mut self, held: &Held) {
        let caught = Caught {
            gateway: &held.gateway,
            seq: held.seq,
            ts: held.ts,
            server: &held.server,
            grant: &held.grant,
            tool: &held.tool,
            args: held.args.as_deref(),
            policy: held.policy.as_deref(),
        };
        self.compare(caught, held.base.as_ref(), &held.told);
    }

    fn compare(&mut self, call: Caught<'_>, base: Option<&Told>, told: &[Option<Told>]) {
        for (tally, told) in self.tallies.iter_mut().zip(told.iter().skip(self.first)) {
            let (Some(base), Some(told)) = (base, told) else {
                tally.not_replayable(Reason::Masked);
                continue;
            };
            tally.replayable += 1;
            if let Some(kind) = change(base, told) {
                tally.groups.add(call, kind, base.made(), told.made());
            }
        }
    }

    fn hold(&mut self, gateway: u32, call: &Recorded<'_>, base: Option<Told>, told: Vec<Option<Told>>) {
        if self.held[0].len() >= HELD {
            let older = std::mem::take(&mut self.held[0]);
            for held in std::mem::replace(&mut self.held[1], older).into_values() {
                self.compare_held(&held);
            }
        }
        let held = Held {
            server: call.server.into(),
            grant: call.grant.into(),
            gateway: call.gateway.into(),
            tool: call.tool.into(),
            args: call.args.map(Into::into),
            policy: call.policy.map(Into::into),
            seq: call.seq,
            ts: call.ts,
            base,
            told,
        };
        self.held[0].insert((gateway, call.seq), held);
    }

    fn take_held(&mut self, gateway: u32, seq: u64) -> Option<Held> {
        let [young, old] = &mut self.held;
        if young.is_empty() && old.is_empty() {
            return None;
        }
        young.remove(&(gateway, seq)).or_else(|| old.remove(&(gateway, seq)))
    }

    fn gateway(&mut self, gateway: &str) -> u32 {
        self.gateways.number(gateway).0
    }

    fn applies(&mut self, server: &str, grant: &str) -> bool {
        match &self.last {
            Some((one, label, applies)) if one == server && label == grant => *applies,
            _ => {
                let applies = self.applies.to(server, grant);
                self.last = Some((server.to_owned(), grant.to_owned(), applies));
                applies
            }
        }
    }
}

impl Tally {
    fn not_replayable(&mut self, reason: Reason) {
        let at = REASONS.iter().position(|one| *one == reason).unwrap_or(0);
        if let Some(count) = self.not.get_mut(at) {
            *count += 1;
        }
    }
}
