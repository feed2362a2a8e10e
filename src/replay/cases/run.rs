//! Policy tests against a policy.

use serde::Serialize;

use super::{Case, CaseCall, Cases, Expect};
use crate::json;
use crate::policy::compiled::Compiled;
use crate::policy::counter::{Amount, Caller, Reserved, Usage, Want};
use crate::policy::decide::{Call, Charge, Circumstances, Denial, Verdict};
use crate::policy::explain::{Decision, Explanation};
use crate::policy::memory::MemoryCounters;
use crate::time::Timestamp;

/// What came of all tests.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// How many passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// Each, in the order of the text.
    pub tests: Vec<TestResult>,
}

impl Report {
    /// The mark for a screen: `tests 12/12`, or `2 of 12 tests fail`.
    pub fn mark(&self) -> String {
        let all = self.tests.len();
        match self.failed {
            0 => format!("tests {all}/{all}"),
            1 => format!("1 of {all} tests fails"),
            failed => format!("{failed} of {all} tests fail"),
        }
    }
}

/// What came of one test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestResult {
    /// Its name.
    pub name: String,
    /// The line of its beginning in the tests' text, from 1.
    pub line: usize,
    /// The first call that was not decided as expected; `None`: it passed.
    pub failure: Option<Failure>,
}

/// A call that was not decided as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The call's pointer in the tests' text.
    pub pointer: String,
    /// The line of its beginning, from 1.
    pub line: usize,
    /// Which of its repetitions, from 1.
    pub time: u64,
    /// How often it was to be made.
    pub times: u64,
    /// When it was made.
    pub at: Timestamp,
    /// What differs, at least one thing.
    pub differences: Vec<Difference>,
    /// How the policy came to its decision.
    pub explanation: Explanation,
}

/// One thing that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `decision`, `rule`, `pointer`, `message_contains` or `visible`.
    pub what: &'static str,
    /// What the test wants.
    pub want: String,
    /// What the policy gives.
    pub got: String,
}

/// Runs every test against a policy, each with counters of its own that start empty.
pub fn run(policy: &Compiled, cases: &Cases) -> Report {
    run_telling(policy, cases, &mut |_| {})
}

/// As [`run`], calling back before each test with how many were run.
pub fn run_telling(policy: &Compiled, cases: &Cases, tell: &mut dyn FnMut(usize)) -> Report {
    let mut report = Report::default();
    for case in &cases.tests {
        tell(report.tests.len());
        let failure = test(policy, case);
        if failure.is_some() {
            report.failed += 1;
        } else {
            report.passed += 1;
        }
        report.tests.push(TestResult { name: case.name.clone(), line: case.line, failure });
    }
    report
}

/// Runs one test; how it fails, where it does.
pub(super) fn test(policy: &Compiled, case: &Case) -> Option<Failure> {
    let mut counters = MemoryCounters::new();
    case.calls.iter().find_map(|call| {
        let parsed = call.arguments.as_deref().and_then(|text| json::parse(text).ok());
        let asked = Call { tool: &call.tool, arguments: parsed.as_ref().map(|parsed| &parsed.root) };
        (1..=call.times).find_map(|time| {
            let (got, before) = decide(policy, &asked, call, &mut counters);
            let differences = got.differences(&call.expect);
            if differences.is_empty() {
                return None;
            }
            let mut standing = |charge: &Charge| {
                let key = charge.want(&caller(call), false).key;
                let usage = before.iter().find(|usage| usage.key == key)?;
                Some((usage.used, usage.resets_at))
            };
            let explanation = policy.explain_counted(&asked, &Circumstances::default(), &mut standing);
            Some(Failure {
                pointer: call.pointer.clone(),
                line: call.line,
                time,
                times: call.times,
                at: call.at,
                differences,
                explanation,
            })
        })
    })
}

fn caller(call: &CaseCall) -> Caller<'_> {
    Caller { server: &call.server, grant: &call.grant, session: call.session.as_deref() }
}

/// A decision, with counters.
struct Got {
    decision: Decision,
    rule: String,
    pointer: Option<String>,
    message: String,
    visible: bool,
}

/// Decides a call, and counts it when it passes; also the counters before it. A call that waits for
/// a person counts as one that passes.
fn decide(
    policy: &Compiled,
    asked: &Call<'_>,
    call: &CaseCall,
    counters: &mut MemoryCounters,
) -> (Got, Vec<Usage>) {
    let (charges, approval, rule, pointer) = match policy.decide(asked, &Circumstances::default()) {
        Verdict::Deny(denial) => return (Got::denied(denial), standing(policy, asked, call, counters)),
        Verdict::Allow { charges, approval, rule, pointer, .. } => (charges, approval, rule, pointer),
    };
    let wants: Vec<Want> = charges.iter().map(|charge| charge.want(&caller(call), false)).collect();
    let before = counters.peek(call.at, &wants);
    let visible = policy.visible(asked.tool);
    if let Reserved::Full { usages } = counters.reserve(call.at, &wants) {
        let full = usages.iter().position(|usage| !usage.room).and_then(|index| charges.get(index));
        if let Some(charge) = full {
            return (Got::denied(Denial { visible, ..Denial::limit(&charge.limit) }), before);
        }
    }
    let got = match approval {
        Some(need) => Got {
            decision: Decision::Approve,
            rule: need.rule,
            pointer: Some(need.pointer),
            message: need.message,
            visible,
        },
        None => Got { decision: Decision::Allow, rule, pointer, message: String::new(), visible },
    };
    (got, before)
}

/// What the limits of a tool hold, of a call that came to none of them.
fn standing(policy: &Compiled, asked: &Call<'_>, call: &CaseCall, counters: &MemoryCounters) -> Vec<Usage> {
    let want = |limit: &crate::policy::decide::LimitSpec| Want {
        key: caller(call).key(limit.scope, &limit.counter, limit.window),
        increment: Amount::ZERO,
        max: limit.max,
        past_max: false,
    };
    let wants: Vec<Want> = policy.limits(asked.tool).map(want).collect();
    counters.peek(call.at, &wants)
}

impl Got {
    fn denied(denial: Denial) -> Self {
        let Denial { rule, pointer, message, visible } = denial;
        Self { decision: Decision::Deny, rule, pointer, message, visible }
    }

    fn differences(&self, expect: &Expect) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut note = |what, want: &str, got: &str| {
            found.push(Difference { what, want: want.to_owned(), got: got.to_owned() });
        };
        if self.decision != expect.decision {
            note("decision", expect.decision.name(), self.decision.name());
        }
        if let Some(want) = expect.rule.as_deref().filter(|want| *want != self.rule) {
            note("rule", want, &self.rule);
        }
        let pointer = self.pointer.as_deref().unwrap_or_default();
        if let Some(want) = expect.pointer.as_deref().filter(|want| *want != pointer) {
            note("pointer", want, pointer);
        }
        if let Some(want) = expect.message_contains.as_deref().filter(|want| !self.message.contains(*want)) {
            note("message_contains", want, &self.message);
        }
        if let Some(want) = expect.visible.filter(|want| *want != self.visible) {
            note("visible", &want.to_string(), &self.visible.to_string());
        }
        found
    }
}
