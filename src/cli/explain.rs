//! `callgate explain`

use std::path::Path;

use super::args::ExplainArgs;
use super::output::{Format, Tint};
use super::{Answer, CliError, Output, Verdict, counters};
use crate::counters::{Override as StoredOverride, Standing};
use crate::json::{self, Node, Span, canonical};
use crate::paths::Paths;
use crate::policy::compiled::{Compiled, allowance};
use crate::policy::counter::Caller;
use crate::policy::decide::{Call, Charge, Circumstances};
use crate::policy::diagnostic::Severity;
use crate::policy::document::Document;
use crate::policy::explain::{ConditionTrace, Decision, Explanation, LimitUse, Outcome, Step, Truth};
use crate::policy::model::Scope;
use crate::time::{Timestamp, show_duration};
use crate::visible::visible;

/// Runs the command.
#[expect(clippy::needless_pass_by_value, reason = "the arguments end here")]
pub(super) fn run(args: ExplainArgs, out: &Output) -> Answer {
    let document = read(&args.file)?;
    let compiled = Compiled::new(&document)
        .map_err(|error| CliError::no(format!("`{}`: {error}", args.file.display()), ""))?;
    let parsed = args.arguments.as_deref().map(arguments).transpose()?;
    let call = Call { tool: &args.tool, arguments: parsed.as_ref() };
    let now = crate::clock::now();
    let explanation = if args.live {
        live(&compiled, &call, &args, now)?
    } else {
        compiled.explain(&call, &Circumstances::default())
    };
    match out.format {
        Format::Json => out.json(&explanation)?,
        Format::Text => {
            out.print(&text(out, &explanation, &document, &args.file, now))?;
        }
    }
    Ok(if args.exit_code && explanation.decision != Decision::Allow { Verdict::No } else { Verdict::Yes })
}

/// Reads a policy that must be valid.
pub(super) fn read(file: &Path) -> Result<Document, CliError> {
    let bytes = std::fs::read(file).map_err(|error| {
        CliError::outside(
            format!("the policy `{}` cannot be read: {error}", file.display()),
            "name the policy's file, then the tool",
        )
    })?;
    let parsed = Document::parse_bytes(&bytes);
    let errors = parsed.diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
    parsed.valid().map_err(|first| {
        let others = match errors {
            0 | 1 => String::new(),
            2 => "; 1 more error follows".to_owned(),
            more => format!("; {} more errors follow", more - 1),
        };
        CliError::no(
            format!(
                "the policy `{}` has errors and decides nothing: {}:{}: {}{others}",
                file.display(),
                first.line,
                first.column,
                first.message
            ),
            first.help.unwrap_or_default(),
        )
    })
}

fn arguments(text: &str) -> Result<Node<'_>, CliError> {
    let parsed = json::parse(text).map_err(|error| {
        CliError::usage(
            format!("the arguments are not JSON: {error}"),
            "write them as one JSON object in single quotes: '{\"amount\": 100}'",
        )
    })?;
    if let Some(twice) = parsed.duplicates.first() {
        let name = twice.second.of(text);
        return Err(CliError::usage(
            format!("the arguments hold `{}` twice", visible(name)),
            "a gateway refuses such a call as malformed: parsers differ on which of them counts",
        ));
    }
    Ok(parsed.root)
}

/// Explains with the counters, freezes and overrides of this moment.
fn live(
    compiled: &Compiled,
    call: &Call<'_>,
    args: &ExplainArgs,
    now: Timestamp,
) -> Result<Explanation, CliError> {
    let paths = Paths::from_env()
        .map_err(|error| CliError::outside(error.to_string(), "set `CALLGATE_HOME` or `HOME`"))?;
    let Some(store) = counters::look(&counters::place(&args.counters, &paths)?)? else {
        // Nothing was ever counted or frozen here.
        return Ok(compiled.explain(call, &Circumstances::default()));
    };
    let failed = counters::outside;
    let mut standing = store.standing(now).map_err(failed)?;
    // What only one gateway run heeds says nothing about the others.
    standing.keep_run(None);
    let server = match &*args.server {
        "" => only_server(&store.counters(now).map_err(failed)?, &standing)?,
        given => given.to_owned(),
    };
    let frozen = standing.frozen(&server, &args.grant, call.tool, now);
    let digest = || canonical::arguments_sha256(call.arguments).unwrap_or_default();
    let overridden = standing.overriding((&server, &args.grant, call.tool), now, &[], &digest);
    let circumstances = Circumstances {
        frozen: frozen.map(|freeze| freeze.reason.as_str()),
        overridden: overridden.map(StoredOverride::effect_on_decision),
        ..Circumstances::default()
    };
    let caller = Caller { server: &server, grant: &args.grant, session: None };
    let mut trouble = None;
    let mut look = |charge: &Charge| {
        if charge.limit.scope == Scope::Session {
            // Which session is meant, nobody said: a new one, whose counters are empty.
            return None;
        }
        match store.peek(now, &[charge.want(&caller, false)]) {
            Ok(usages) => usages.first().map(|usage| (usage.used, usage.resets_at)),
            Err(error) => {
                trouble.get_or_insert(error);
                None
            }
        }
    };
    let explanation = compiled.explain_counted(call, &circumstances, &mut look);
    trouble.map_or(Ok(explanation), |error| Err(failed(error)))
}

/// The one server that the store knows, where `--server` was left out.
fn only_server(counters: &[crate::policy::counter::Usage], standing: &Standing) -> Result<String, CliError> {
    let mut names: Vec<&str> = counters.iter().map(|usage| usage.key.server.as_str()).collect();
    names.extend(standing.overrides.iter().map(|entry| entry.server.as_str()));
    names.extend(standing.freezes.iter().filter_map(|freeze| freeze.server.as_deref()));
    names.sort_unstable();
    names.dedup();
    match names.as_slice() {
        [] => Ok(String::new()),
        [only] => Ok((*only).to_owned()),
        several => Err(CliError::usage(
            "several servers count here; which one is meant?",
            format!("give `--server` with one of: {}", visible(&several.join(", "))),
        )),
    }
}

/// A number with its noun: `1 error`, `2 errors`.
pub(super) fn number(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The explanation for people: the decision, where it stands, and the steps as a tree.
pub(super) fn text(
    out: &Output,
    explanation: &Explanation,
    document: &Document,
    file: &Path,
    now: Timestamp,
) -> String {
    let mut page = Page { out, text: String::new() };
    let tint = match explanation.decision {
        Decision::Allow => Tint::Good,
        Decision::Deny => Tint::Bad,
        Decision::Approve => Tint::Warn,
    };
    let word = out.tint(tint, explanation.decision.name());
    page.line(&format!("{word}  {}", out.tint(Tint::Strong, &visible(&explanation.tool))));
    if !explanation.message.is_empty() {
        page.line(&format!("  {}", visible(&explanation.message)));
    }
    if !explanation.visible && explanation.decision == Decision::Deny {
        page.line(&format!(
            "  {}",
            out.tint(Tint::Warn, "hidden: the agent is told that there is no such tool")
        ));
    }
    if !explanation.rule.is_empty() {
        page.fact("rule", &visible(&explanation.rule));
    }
    if let Some(pointer) = &explanation.pointer {
        page.fact("at", &format!("{}{}", visible(pointer), place(document, file, pointer)));
    }
    page.line("");
    let last = explanation.trace.len().saturating_sub(1);
    for (index, step) in explanation.trace.iter().enumerate() {
        page.step(step, index == last);
    }
    if !explanation.limits.is_empty() {
        page.line("");
        page.line(&out.tint(Tint::Strong, "limits"));
        page.limits(&explanation.limits, now);
    }
    page.text
}

/// Where a pointer stands in the file: `  policy.json:12:9`.
fn place(document: &Document, file: &Path, pointer: &str) -> String {
    let Some(Span { start, .. }) = document.pointer_span(pointer) else { return String::new() };
    let (line, column) = json::line_column(document.text(), start);
    format!("  ({}:{line}:{column})", visible(&file.display().to_string()))
}

struct Page<'o> {
    out: &'o Output,
    text: String,
}

impl Page<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn fact(&mut self, name: &str, value: &str) {
        self.line(&format!("  {} {value}", self.out.tint(Tint::Dim, &format!("{name:<4}"))));
    }

    fn step(&mut self, step: &Step, last: bool) {
        let (branch, trunk) = if last { ("└─", "   ") } else { ("├─", "│  ") };
        let tint = match step.outcome {
            Outcome::Pass => Tint::Good,
            Outcome::Deny => Tint::Bad,
            Outcome::Approve => Tint::Warn,
            Outcome::Skipped => Tint::Dim,
        };
        let mark = if step.decided { self.out.tint(tint, "◀ decided") } else { String::new() };
        let name = step.pointer.as_deref().unwrap_or(step.list);
        self.line(&format!(
            "{} {} {}  {mark}",
            self.out.tint(Tint::Dim, branch),
            self.out.tint(tint, &format!("{:<8}", step.outcome.name())),
            self.out.tint(if step.decided { Tint::Strong } else { Tint::Dim }, &visible(name)),
        ));
        let trunk = self.out.tint(Tint::Dim, trunk);
        self.line(&format!("{trunk}{:9}{}", "", visible(&step.why)));
        let count = step.conditions.len();
        for (index, condition) in step.conditions.iter().enumerate() {
            self.condition(condition, &trunk, index + 1 == count);
        }
    }

    fn condition(&mut self, condition: &ConditionTrace, trunk: &str, last: bool) {
        let (branch, inner) = if last { ("└─", "   ") } else { ("├─", "│  ") };
        let inner = self.out.tint(Tint::Dim, inner);
        self.line(&format!(
            "{trunk}{:9}{} {} {} {}  {}",
            "",
            self.out.tint(Tint::Dim, branch),
            visible(&condition.path),
            self.out.tint(Tint::Strong, condition.op),
            visible(&condition.value),
            self.truth(condition.outcome),
        ));
        let mut said = false;
        for found in &condition.found {
            let value = match &found.value {
                Some(value) => format!("= {}", visible(value)),
                None if found.type_name == "missing" => "is missing".to_owned(),
                None => String::new(),
            };
            let several = condition.found.len() > 1;
            let truth = if several { self.truth(found.outcome) } else { String::new() };
            let place = if value.is_empty() {
                String::new()
            } else {
                format!("{} {value}  {truth}", visible(&found.path))
            };
            if !place.is_empty() {
                self.line(&format!("{trunk}{:9}{inner}  {place}", ""));
            }
            if let Some(why) = &found.why {
                said |= condition.why.as_ref() == Some(why);
                self.line(&format!("{trunk}{:9}{inner}  {}", "", self.out.tint(Tint::Warn, &visible(why))));
            }
        }
        if condition.more > 0 {
            let more = format!("and {} more", condition.more);
            self.line(&format!("{trunk}{:9}{inner}  {}", "", self.out.tint(Tint::Dim, &more)));
        }
        if let (Some(why), false) = (&condition.why, said) {
            self.line(&format!("{trunk}{:9}{inner}  {}", "", self.out.tint(Tint::Warn, &visible(why))));
        }
    }

    fn truth(&self, truth: Truth) -> String {
        let tint = match truth {
            Truth::True => Tint::Strong,
            Truth::False => Tint::Dim,
            Truth::Indeterminate => Tint::Warn,
        };
        self.out.tint(tint, truth.name())
    }

    fn limits(&mut self, limits: &[LimitUse], now: Timestamp) {
        let width = limits.iter().map(|limit| limit.counter.chars().count()).max().unwrap_or(0).min(40);
        for limit in limits {
            let adds = match limit.increment {
                Some(increment) => format!("adds {increment}"),
                None => self.out.tint(Tint::Bad, "cannot be counted"),
            };
            let standing = match (limit.used, limit.resets_at) {
                (Some(used), Some(resets_at)) => {
                    let wait = show_duration(now.millis_until(resets_at).div_ceil(1000));
                    format!("  {used}/{} used, empty in {wait}", limit.max)
                }
                _ => String::new(),
            };
            self.line(&format!(
                "  {:<width$}  {} per {}, {adds}{standing}",
                visible(&limit.counter),
                allowance(limit.max, limit.window),
                limit.scope.name(),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Format;

    const PLAIN: Output = Output { format: Format::Text, color: false, color_errors: false };

    fn shown(policy: &str, tool: &str, arguments: &str) -> String {
        let document = Document::parse(policy).valid().unwrap();
        let compiled = Compiled::new(&document).unwrap();
        let root = super::arguments(arguments).unwrap();
        let call = Call { tool, arguments: Some(&root) };
        let explanation = compiled.explain(&call, &Circumstances::default());
        text(&PLAIN, &explanation, &document, Path::new("policy.json"), Timestamp(0))
    }

    const POLICY: &str = r#"{
  "version": "1",
  "default": "deny",
  "tools": {
    "refund": {
      "require": [{ "conditions": [{ "path": "args.items[*].price", "op": "lte", "value": 100 }] }],
      "deny_if": [{ "conditions": [{ "path": "args.amount", "op": "gt", "value": 100 }], "on_deny": "Too much." }],
      "limits": [{ "counter": "refunds", "window": "day", "max": 500, "increment_from": "args.amount" }],
      "approve_if": [{ "conditions": [] }]
    }
  }
}"#;

    #[test]
    fn a_tree_with_words() {
        assert_eq!(
            shown(POLICY, "refund", r#"{"amount":250,"items":[{"price":5},{"price":7}]}"#),
            "\
deny  refund
  Too much.
  rule /tools/refund/deny_if/args.amount-gt
  at   /tools/refund/deny_if/0  (policy.json:7:19)

├─ pass     /tools/refund
│           the policy lists the tool
├─ pass     /tools/refund/require/0
│           the rule holds, as it must
│           └─ args.items[*].price lte 100  true
│                args.items.0.price = 5  true
│                args.items.1.price = 7  true
├─ deny     /tools/refund/deny_if/0  ◀ decided
│           the rule holds
│           └─ args.amount gt 100  true
│                args.amount = 250
├─ skipped  /tools/refund/limits/0
│           counts 250 of 500 a day in `refunds`
└─ skipped  /tools/refund/approve_if/0
            the rule has no conditions and always holds

limits
  refunds  500 a day per grant, adds 250
"
        );
        let doubtful = shown(POLICY, "refund", r#"{"amount":"1","items":[{"price":5},{"price":[]},{}]}"#);
        let rule: Vec<&str> = doubtful.lines().skip(6).take(9).collect();
        assert_eq!(
            rule.join("\n"),
            "\
│           the policy lists the tool
├─ deny     /tools/refund/require/0  ◀ decided
│           the rule must hold, and does not
│           └─ args.items[*].price lte 100  false
│                args.items.0.price = 5  true
│                args.items.1.price = []  indeterminate
│                args.items.1.price is an array, a number is needed
│                args.items.2.price is missing  false
├─ skipped  /tools/refund/deny_if/0"
        );
    }

    #[test]
    fn nothing_hostile_is_shown_raw() {
        let hostile = shown(
            POLICY,
            "refund",
            r#"{"items":[{"price":"\u001b[2J\u202e"}],"\u001b]0;x\u0007":1,"amount":1}"#,
        );
        assert!(!hostile.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{hostile}");
        let hostile = shown(POLICY, "\u{1b}[31mrefund\u{200b}", "{}");
        assert!(hostile.contains("\\u{1b}[31mrefund\\u{200b}"), "{hostile}");
    }
}
