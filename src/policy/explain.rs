//! Why a call is decided as it is: every step of the order, every rule, every condition with what
//! it found.

use serde::{Serialize, Serializer};

use super::compiled::{Compiled, Entry, Rule, Tool};
pub use super::condition::Truth;
use super::condition::{Condition, Range};
use super::counter::Amount;
use super::decide::{Call, Charge, Circumstances, Denial, Listed, Override, Verdict};
use super::model::{self, Action, RuleList, Scope};
use crate::json::Node;
use crate::json::canonical::quote;
use crate::time::Timestamp;

/// At most so many values of one condition are listed.
const MOST_VALUES: usize = 20;
/// At most so many bytes of one value are shown.
const MOST_BYTES: usize = 200;

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The call is forwarded.
    Allow,
    /// The call is denied.
    Deny,
    /// The call waits for a person.
    Approve,
}

impl Decision {
    /// The name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Approve => "approve",
        }
    }
}

/// The decision about one call with its reasons. Serializes as `explain --format json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The tool.
    pub tool: String,
    /// The decision.
    pub decision: Decision,
    /// `false`: the tool is hidden, and a denied call is answered as one of an unknown tool.
    pub visible: bool,
    /// The short code of what decided; empty when nothing fired.
    pub rule: String,
    /// The exact pointer into the document that decided.
    pub pointer: Option<String>,
    /// The text for the agent, or for the person who is to approve; empty on an allow.
    pub message: String,
    /// The limits that the call counts towards.
    pub limits: Vec<LimitUse>,
    /// The steps in their order.
    pub trace: Vec<Step>,
}

/// A limit that the call counts towards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitUse {
    /// The counter's name.
    pub counter: String,
    /// The window's length in seconds.
    pub window: u64,
    /// How much the counter may hold.
    pub max: Amount,
    /// Whose calls share it.
    #[serde(serialize_with = "scope_name")]
    pub scope: Scope,
    /// How much the call adds; null when that cannot be told, which denies.
    pub increment: Option<Amount>,
    /// What the counter holds now, where that was looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<Amount>,
    /// When it is empty again, where that was looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn scope_name<S: Serializer>(scope: &Scope, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(scope.name())
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It had nothing against the call.
    Pass,
    /// It denies.
    Deny,
    /// It needs a person.
    Approve,
    /// It was not asked: an earlier step decided, or an override skips it.
    Skipped,
}

impl Outcome {
    /// The name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Deny => "deny",
            Self::Approve => "approve",
            Self::Skipped => "skipped",
        }
    }
}

/// One step: a rule, a limit, or a word of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which: `arguments`, `freeze`, `hide`, `override`, `default`, `action`, `require`,
    /// `deny_if`, `drift`, `limits` or `approve_if`.
    pub list: &'static str,
    /// Its pointer in the document, where it has one.
    pub pointer: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether this step made the decision.
    pub decided: bool,
    /// Whether the rule holds; only of rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<Truth>,
    /// Why, in words.
    pub why: String,
    /// The rule's conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ConditionTrace>,
}

/// One condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConditionTrace {
    /// `path`
    pub path: String,
    /// `op`
    pub op: &'static str,
    /// `value`, as its JSON text, cut where it is long.
    pub value: String,
    /// What it came to.
    pub outcome: Truth,
    /// Why, where it is indeterminate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What it found in the call.
    pub found: Vec<FoundValue>,
    /// How many further values it found that are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// One value that a condition found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundValue {
    /// Where, for instance `args.items.0.price`.
    pub path: String,
    /// Its JSON text, cut where it is long; null when it is missing or cannot be told.
    pub value: Option<String>,
    /// Its JSON type, or `missing`.
    #[serde(rename = "type")]
    pub type_name: &'static str,
    /// What the condition came to for it.
    pub outcome: Truth,
    /// Why, where it is indeterminate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a counter holds now and when it is empty again.
pub type Standing = (Amount, Timestamp);

impl Compiled {
    /// Explains the decision about a call, reckoning with empty counters.
    pub fn explain(&self, call: &Call<'_>, circumstances: &Circumstances<'_>) -> Explanation {
        self.explain_counted(call, circumstances, &mut |_| None)
    }

    /// Explains the decision about a call, looking up what each counter holds. `None` is an empty
    /// counter.
    pub fn explain_counted(
        &self,
        call: &Call<'_>,
        circumstances: &Circumstances<'_>,
        standing: &mut dyn FnMut(&Charge) -> Option<Standing>,
    ) -> Explanation {
        let tool = self.tool(call.tool);
        let arguments = call.arguments.filter(|node| node.as_object().is_some());
        let verdict = self.decide(call, circumstances);
        let mut limits = Vec::new();
        let mut full: Option<Denial> = None;
        for limit in self.counted(tool.and_then(|tool| tool.entry.as_ref())) {
            let increment = limit.increment(arguments).ok();
            let charge = Charge { limit: limit.spec.clone(), increment: increment.unwrap_or(Amount::ZERO) };
            let held = standing(&charge);
            let used = held.map_or(Amount::ZERO, |(used, _)| used);
            let room = increment.is_some_and(|increment| used.plus(increment) <= limit.spec.max);
            if !room && full.is_none() {
                full = Some(Denial::limit(&limit.spec));
            }
            limits.push(LimitUse {
                counter: limit.spec.counter.clone(),
                window: limit.spec.window,
                max: limit.spec.max,
                scope: limit.spec.scope,
                increment,
                used: held.map(|(used, _)| used),
                resets_at: held.map(|(_, resets_at)| resets_at),
            });
        }
        let denial = match &verdict {
            Verdict::Deny(denial) => Some(denial.clone()),
            Verdict::Allow { past_max: false, .. } => full.map(|mut denial| {
                denial.visible = self.shown(tool);
                denial
            }),
            Verdict::Allow { .. } => None,
        };
        let mut trace = Trace { steps: Vec::new(), over: false };
        self.trace(tool, call, circumstances, denial.as_ref(), &mut trace);
        let verdict = denial.map_or(verdict, Verdict::Deny);
        let (decision, rule, pointer, message, visible) = match verdict {
            Verdict::Deny(denial) => {
                (Decision::Deny, denial.rule, denial.pointer, denial.message, denial.visible)
            }
            Verdict::Allow { approval: Some(need), .. } => {
                (Decision::Approve, need.rule, Some(need.pointer), need.message, self.shown(tool))
            }
            Verdict::Allow { rule, pointer, .. } => {
                (Decision::Allow, rule, pointer, String::new(), self.shown(tool))
            }
        };
        Explanation {
            tool: call.tool.to_owned(),
            decision,
            visible,
            rule,
            pointer,
            message,
            limits,
            trace: trace.steps,
        }
    }

    /// The steps in the order of deciding. The verdict stands already; the trace says how.
    fn trace(
        &self,
        tool: Option<&Tool>,
        call: &Call<'_>,
        circumstances: &Circumstances<'_>,
        denial: Option<&Denial>,
        trace: &mut Trace,
    ) {
        let arguments = call.arguments.filter(|node| node.as_object().is_some());
        let entry = tool.and_then(|tool| tool.entry.as_ref());
        let code = denial.map(|denial| denial.rule.as_str());
        if code == Some("(malformed)") {
            trace.word("arguments", None, Outcome::Deny, denial.map_or("", |denial| &denial.message));
        }
        if let Some(reason) = circumstances.frozen {
            trace.word("freeze", None, Outcome::Deny, &format!("frozen: {reason}"));
        }
        if let Some(pointer) = self.hidden_by(tool) {
            trace.word("hide", Some(pointer), Outcome::Deny, "the tool is hidden");
        }
        match circumstances.overridden {
            Some(Override::Deny(reason)) => {
                trace.word("override", None, Outcome::Deny, &format!("an override denies it: {reason}"));
            }
            Some(Override::Allow) => {
                let why = "an override allows it whatever the rules say; it still counts";
                trace.word("override", None, Outcome::Pass, why);
                if let (Some(step), false) = (trace.steps.last_mut(), trace.over) {
                    step.decided = true;
                }
                trace.over = true;
            }
            Some(Override::Approved) => {
                trace.word("override", None, Outcome::Pass, "an override stands in for the approval");
            }
            None => {}
        }
        self.trace_default(entry, circumstances, trace);
        if let Some(entry) = entry {
            trace_action(entry, Action::Deny, trace);
            for (list, rules) in [(RuleList::Require, &entry.require), (RuleList::DenyIf, &entry.deny_if)] {
                for rule in rules {
                    trace.rule(list, rule, arguments, false);
                }
            }
        }
        if circumstances.drifted {
            let why = "the tool's definition has changed since it was accepted";
            trace.word("drift", None, Outcome::Deny, why);
        }
        for limit in self.counted(entry) {
            let spec = &limit.spec;
            let allowance = super::compiled::allowance(spec.max, spec.window);
            let found = limit.increment(arguments);
            let denies = denial.filter(|denial| denial.pointer.as_deref() == Some(&*spec.pointer));
            let (outcome, why) = match (&found, denies) {
                (Err(found), _) => (Outcome::Deny, format!("`{}` cannot be counted: {found}", spec.counter)),
                (Ok(_), Some(_)) => (Outcome::Deny, format!("`{}` has no room: {allowance}", spec.counter)),
                (Ok(amount), None) => {
                    (Outcome::Pass, format!("counts {amount} of {allowance} in `{}`", spec.counter))
                }
            };
            trace.word("limits", Some(&spec.pointer), outcome, &why);
        }
        if let Some(entry) = entry {
            let excused = circumstances.overridden == Some(Override::Approved);
            if !excused {
                trace_action(entry, Action::Approve, trace);
            }
            for rule in &entry.approve_if {
                trace.rule(RuleList::ApproveIf, rule, arguments, excused);
            }
        }
    }

    fn trace_default(&self, entry: Option<&Entry>, circumstances: &Circumstances<'_>, trace: &mut Trace) {
        let unseen = circumstances.listed == Listed::No;
        match (entry, self.default) {
            (Some(entry), _) => trace.word(
                "default",
                Some(&entry.pointer),
                Outcome::Pass,
                if unseen {
                    "the policy lists the tool; the server does not"
                } else {
                    "the policy lists the tool"
                },
            ),
            (None, model::Default::Deny) => {
                let why = "the policy does not list the tool, and `default` is `deny`";
                trace.word("default", Some("/default"), Outcome::Deny, why);
            }
            (None, model::Default::Allow) => {
                let why = "the policy does not list the tool, and `default` is `allow`";
                trace.word("default", Some("/default"), Outcome::Pass, why);
            }
        }
    }
}

fn trace_action(entry: &Entry, asked: Action, trace: &mut Trace) {
    if entry.action != Some(asked) {
        return;
    }
    let (outcome, why) = match asked {
        Action::Approve => (Outcome::Approve, "`action` asks for approval of every call"),
        _ => (Outcome::Deny, "`action` denies every call"),
    };
    trace.word("action", Some(&format!("{}/action", entry.pointer)), outcome, why);
}

struct Trace {
    steps: Vec<Step>,
    /// The decision was made; what follows is shown but was not asked.
    over: bool,
}

impl Trace {
    fn push(&mut self, mut step: Step) {
        if self.over {
            step.outcome = Outcome::Skipped;
        } else if matches!(step.outcome, Outcome::Deny | Outcome::Approve) {
            step.decided = true;
            self.over = true;
        }
        self.steps.push(step);
    }

    fn word(&mut self, list: &'static str, pointer: Option<&str>, outcome: Outcome, why: &str) {
        self.push(Step {
            list,
            pointer: pointer.map(str::to_owned),
            outcome,
            decided: false,
            holds: None,
            why: why.to_owned(),
            conditions: Vec::new(),
        });
    }

    fn rule(&mut self, list: RuleList, rule: &Rule, arguments: Option<&Node<'_>>, excused: bool) {
        let range = if list == RuleList::Require { Range::All } else { Range::Any };
        let (holds, _) = rule.judge(arguments, range);
        let (outcome, why) = match (list, holds) {
            (RuleList::Require, Truth::True) => (Outcome::Pass, "the rule holds, as it must"),
            (RuleList::Require, Truth::False) => (Outcome::Deny, "the rule must hold, and does not"),
            (RuleList::Require, Truth::Indeterminate) => {
                (Outcome::Deny, "the rule must hold, and whether it does cannot be told")
            }
            (_, Truth::False) => (Outcome::Pass, "the rule does not hold"),
            (RuleList::DenyIf, Truth::True) if rule.conditions.is_empty() => {
                (Outcome::Deny, "the rule has no conditions and always holds")
            }
            (RuleList::DenyIf, Truth::True) => (Outcome::Deny, "the rule holds"),
            (RuleList::DenyIf, Truth::Indeterminate) => {
                (Outcome::Deny, "whether the rule holds cannot be told, so it denies")
            }
            (RuleList::ApproveIf, _) if excused => {
                (Outcome::Skipped, "the rule asks for approval, and an override stands in for it")
            }
            (RuleList::ApproveIf, Truth::True) if rule.conditions.is_empty() => {
                (Outcome::Approve, "the rule has no conditions and always holds")
            }
            (RuleList::ApproveIf, Truth::True) => (Outcome::Approve, "the rule holds"),
            (RuleList::ApproveIf, Truth::Indeterminate) => {
                (Outcome::Approve, "whether the rule holds cannot be told, so a person decides")
            }
        };
        self.push(Step {
            list: list.key(),
            pointer: Some(rule.pointer.to_string()),
            outcome,
            decided: false,
            holds: Some(holds),
            why: why.to_owned(),
            conditions: rule.conditions.iter().map(|one| condition(one, arguments, range)).collect(),
        });
    }
}

fn condition(condition: &Condition, arguments: Option<&Node<'_>>, range: Range) -> ConditionTrace {
    let judged = condition.judge(arguments, range);
    let (met, count) = condition.met(arguments, MOST_VALUES);
    let found: Vec<FoundValue> = met
        .into_iter()
        .map(|met| FoundValue {
            path: met.place,
            value: met.value.map(|node| text(node)),
            type_name: match (met.value, &met.why) {
                (Some(node), _) => node.type_name(),
                (None, Some(_)) => "unknown",
                (None, None) => "missing",
            },
            outcome: met.truth,
            why: met.why,
        })
        .collect();
    ConditionTrace {
        path: condition.path.to_string(),
        op: condition.op.name(),
        value: cut(condition.value.to_string()),
        outcome: judged.truth,
        why: judged.finding.map(|finding| condition.say(&finding)),
        more: count - found.len(),
        found,
    }
}

/// A value's JSON text, of bounded length whatever its size.
fn text(node: &Node<'_>) -> String {
    let mut out = String::new();
    write(node, &mut out);
    cut(out)
}

fn write(node: &Node<'_>, out: &mut String) {
    use crate::json::Value;
    if out.len() > MOST_BYTES {
        return;
    }
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(spelt) => out.push_str(head(spelt)),
        Value::String(text) => quote(head(text.as_str()), out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate().take_while(|(index, _)| *index <= MOST_BYTES) {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (index, member) in members.iter().enumerate().take_while(|(index, _)| *index <= MOST_BYTES) {
                if index > 0 {
                    out.push(',');
                }
                quote(head(member.key.as_str()), out);
                out.push(':');
                write(&member.value, out);
            }
            out.push('}');
        }
    }
}

/// As much of a text as can be shown, and a little more so that it is seen to be cut.
fn head(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MOST_BYTES + 8)).unwrap_or(text)
}

fn cut(mut text: String) -> String {
    if text.len() > MOST_BYTES {
        text.truncate(text.floor_char_boundary(MOST_BYTES));
        text.push('…');
    }
    text
}
