//! The open policy's rules: those that can never hold, that another covers, that name what the server
//! does not have, and of every one what it decided, as far as that is known.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use super::recorded::{Answer, State};
use crate::json::pointer;
use crate::policy::document::Document;
use crate::policy::lint::{lint, shadowed};
use crate::policy::model::{RuleList, Tool};
use crate::policy::schema::ToolShape;
use crate::policy::state::rule_text;
use crate::replay::health::{Part, Proof};
use crate::time::Timestamp;
use crate::tui::app::App;
use crate::tui::app::live::detail::{Line, Tone, line};
use crate::tui::app::policy::inspect::Target;
use crate::tui::app::policy::table::ToolRow;

/// Something about a part of the policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The exact pointer of the part.
    pub pointer: String,
    /// The kind, in a word or two: `never holds`.
    pub word: String,
    /// Whose part it is; empty where it is of no one tool.
    pub tool: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// It follows from the text; else it was only seen.
    pub certain: bool,
    /// Something is wrong, or may be; else it is only told what the rule decides.
    pub ails: bool,
    /// The rule with what it did to recorded calls, where they were looked through.
    pub part: Option<Part>,
}

/// What was found in a text, and in which.
#[derive(Debug, Clone, Default)]
pub struct Found {
    text: Option<Arc<str>>,
    tools: Option<Arc<Vec<ToolRow>>>,
    certain: Arc<[Arc<Finding>]>,
    /// Every rule with what it decided, and the answer that tells.
    told: Option<(Arc<Answer>, Told)>,
}

/// Every rule, what needs a look first.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// As many as are listed.
    pub rules: Arc<[Arc<Finding>]>,
    /// How many more there are.
    pub others: usize,
}

/// Rules that are listed at most.
const LISTED: usize = 2_000;

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        self.certain == other.certain
    }
}

impl Eq for Found {}

/// Looks the open policy through, where it or the tools changed since.
pub(crate) fn look(app: &mut App) {
    let Some(editor) = &app.policy.editor else {
        app.health.found = Found::default();
        return;
    };
    let (text, tools) = (editor.text(), app.policy.table.shared());
    if let Some(answer) = app.health.recorded.answer()
        && app.health.found.told.as_ref().is_none_or(|(known, _)| !Arc::ptr_eq(known, answer))
    {
        let told = tell(&app.health.found.certain, answer);
        app.health.found.told = Some((Arc::clone(answer), told));
    }
    let found = &app.health.found;
    if found.text.as_ref().is_some_and(|known| Arc::ptr_eq(known, text))
        && found.tools.as_ref().is_some_and(|known| Arc::ptr_eq(known, &tools))
    {
        return;
    }
    let certain: Vec<Finding> = match editor.document() {
        Some(document) => certain(document, &tools),
        None => Vec::new(),
    };
    let certain = certain.into_iter().map(Arc::new).collect();
    app.health.found = Found { text: Some(Arc::clone(text)), tools: Some(tools), certain, told: None };
}

/// Joins what follows from the text with what the recorded calls say.
fn tell(certain: &[Arc<Finding>], answer: &Answer) -> Told {
    let parts = &answer.health.parts;
    let places: HashMap<&str, &Part> = parts.iter().map(|part| (part.pointer.as_str(), part)).collect();
    let holder = |pointer: &str| {
        let mut at = pointer;
        loop {
            if let Some(part) = places.get(at) {
                return Some(Part::clone(part));
            }
            at = at.get(..at.rfind('/')?)?;
        }
    };
    let mut ailing: Vec<Finding> =
        certain.iter().map(|one| Finding { part: holder(&one.pointer), ..Finding::clone(one) }).collect();
    let known: HashSet<String> =
        ailing.iter().filter_map(|one| one.part.as_ref()).map(|part| part.pointer.clone()).collect();
    let mut well = Vec::new();
    for part in parts.iter().filter(|part| !known.contains(&part.pointer)) {
        let seen = part.findings.iter().find(|finding| finding.proof == Proof::Recorded);
        let what = match part.tool {
            Some(_) => format!("{} {}", part.kind.name(), part.text),
            None => part.text.clone(),
        };
        let one = Finding {
            pointer: part.pointer.clone(),
            word: seen
                .map_or(if part.hits > 0 { "decides" } else { "quiet" }, |seen| seen.ill.name())
                .to_owned(),
            tool: part.tool.clone().unwrap_or_default(),
            message: seen.map_or_else(|| what.clone(), |seen| format!("{what}: {}", seen.message)),
            help: seen.map_or_else(String::new, |seen| seen.help.clone()),
            certain: false,
            ails: seen.is_some(),
            part: Some(part.clone()),
        };
        if one.ails { ailing.push(one) } else { well.push(one) }
    }
    let all = ailing.len() + well.len();
    let rules: Arc<[Arc<Finding>]> = ailing.into_iter().chain(well).take(LISTED).map(Arc::new).collect();
    Told { others: all - rules.len(), rules }
}

/// What was told of the rules, once recorded calls were looked through.
pub fn told(app: &App) -> Option<&Told> {
    let (answer, told) = app.health.found.told.as_ref()?;
    app.health.recorded.answer().filter(|known| Arc::ptr_eq(known, answer)).map(|_| told)
}

/// What the recorded calls are that the rules are told of, or how far they are looked through.
pub fn span(app: &App) -> Option<String> {
    let answer = match &app.health.recorded.state {
        State::Idle => return None,
        State::Reading(0) => return Some("Recorded calls are looked through.".to_owned()),
        State::Reading(calls) => return Some(format!("Recorded calls are looked through: {calls} so far.")),
        State::Failed(why) => return Some(format!("What the rules decided is not known: {why}")),
        State::Known(answer) => answer,
    };
    let health = &answer.health;
    let minute = |ts: Timestamp| match jiff::Timestamp::from_microsecond(ts.0) {
        Ok(instant) => instant.to_zoned(app.live.tz.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => ts.to_string(),
    };
    let mut text = match (health.since, health.until) {
        (Some(since), Some(until)) => {
            let calls = if health.calls == 1 { "1 recorded call" } else { "recorded calls" };
            let count = if health.calls == 1 { String::new() } else { format!("{} ", health.calls) };
            format!("Hits in {count}{calls}, {} to {}", minute(since), minute(until))
        }
        _ => "No call under this policy is recorded".to_owned(),
    };
    if answer.cut.is_some() {
        text.push_str("; earlier ones are too many");
    }
    if health.unreadable > 0 {
        let _ = write!(text, "; {} not decided again: masked", health.unreadable);
    }
    text.push('.');
    Some(text)
}

/// How long ago a rule decided last, as short as possible: `3 m`.
pub fn last(part: &Part, now: Timestamp) -> String {
    part.last_hit.map_or_else(|| "never".to_owned(), |at| super::gateways::span(at.millis_until(now)))
}

/// What follows from the text, and from the definitions of the tools that it names.
fn certain(document: &Document, tools: &[ToolRow]) -> Vec<Finding> {
    let policy = document.policy();
    let hidden = policy.hide.names.iter().map(|(name, _)| name.as_str());
    let named: HashSet<&str> = policy.tools.iter().map(|tool| tool.name.as_str()).chain(hidden).collect();
    let listed = tools.iter().any(|row| row.listed);
    let shapes: Vec<ToolShape> = tools
        .iter()
        .filter(|row| row.listed && named.contains(&*row.name))
        .map(|row| ToolShape::from_schema(&row.name, &row.tool.input_schema))
        .collect();
    let mut found: Vec<Finding> = lint(document, listed.then_some(shapes.as_slice()))
        .into_iter()
        .map(|one| Finding {
            word: one.code.replace('-', " "),
            tool: tool_of(&one.pointer),
            pointer: one.pointer,
            message: one.message,
            help: one.help.unwrap_or_default(),
            certain: true,
            ails: true,
            part: None,
        })
        .collect();
    let known: HashSet<String> = found.iter().map(|one| one.pointer.clone()).collect();
    let shadowed = shadowed(document).into_iter().filter(|one| !known.contains(&one.pointer));
    found.extend(shadowed.map(|one| Finding {
        word: "shadowed".to_owned(),
        tool: tool_of(&one.pointer),
        message: format!("never asked: {} ({})", one.why, one.by),
        help: "it does nothing as long as the other stands before it".to_owned(),
        pointer: one.pointer,
        certain: true,
        ails: true,
        part: None,
    }));
    found
}

fn tool_of(at: &str) -> String {
    let name = at.strip_prefix("/tools/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    name.replace("~1", "/").replace("~0", "~")
}

/// Everything that was found: what follows from the text first, then what recorded calls say of each
/// rule; until those were looked through, what never decided a call at the gateways that enforce this
/// policy.
pub fn findings(app: &App) -> Vec<Arc<Finding>> {
    if let Some(told) = told(app) {
        return told.rules.to_vec();
    }
    let mut out = app.health.found.certain.to_vec();
    let document = app.policy.editor.as_ref().and_then(|editor| editor.document());
    let Some(document) = document.filter(|_| !app.policy.enforced_by.is_empty()) else { return out };
    let mut hits: HashMap<&str, u64> = HashMap::new();
    for (_, gateway) in app.feeds.gateways().filter(|(_, gateway)| gateway.alive) {
        for rule in gateway.rules.iter().filter(|rule| app.policy.enforced_by.contains(&rule.server)) {
            *hits.entry(&rule.rule).or_default() += rule.hits;
        }
    }
    let known: HashSet<String> = out.iter().map(|one| one.pointer.clone()).collect();
    for tool in &document.policy().tools {
        let called = app.policy.calls(&app.feeds, &tool.name).map_or(0, |(calls, _)| calls);
        for (at, code, text) in parts(tool) {
            let inside = |other: &String| *other == at || other.starts_with(&format!("{at}/"));
            if hits.contains_key(code.as_str()) || known.iter().any(inside) {
                continue;
            }
            out.push(Arc::new(Finding {
                pointer: at,
                word: "never hit".to_owned(),
                tool: tool.name.clone(),
                message: format!(
                    "{text}: decided no call since the gateways began; {called} came to the tool"
                ),
                help:
                    "if such calls never come, the rule costs nothing; if they should, look at its conditions"
                        .to_owned(),
                certain: false,
                ails: true,
                part: None,
            }));
        }
    }
    out
}

/// The rules of a tool: pointer, short code, and what each says. A limit that was never reached is as
/// it should be.
fn parts(tool: &Tool) -> Vec<(String, String, String)> {
    let mut base = "/tools".to_owned();
    pointer::push(&mut base, &tool.name);
    let mut out = Vec::new();
    for (list, rules) in [
        (RuleList::Require, &tool.require),
        (RuleList::DenyIf, &tool.deny_if),
        (RuleList::ApproveIf, &tool.approve_if),
    ] {
        for (index, rule) in rules.iter().enumerate() {
            let at = format!("{base}/{}/{index}", list.key());
            let code = match rule.conditions.first() {
                Some(first) => {
                    format!("{base}/{}/{}-{}", list.key(), pointer::escape(&first.path), first.op.name())
                }
                None => at.clone(),
            };
            out.push((at, code, format!("{} {}", list.key(), rule_text(rule))));
        }
    }
    out
}

/// What the inspector calls the part at a pointer.
pub(crate) fn target(at: &str) -> Option<Target> {
    let mut steps = at.strip_prefix("/tools/")?.split('/').skip(1);
    let list = match steps.next()? {
        "require" => RuleList::Require,
        "deny_if" => RuleList::DenyIf,
        "approve_if" => RuleList::ApproveIf,
        "limits" => return Some(Target::Limit(steps.next()?.parse().ok()?)),
        "rate_limit" => return Some(Target::RateLimit),
        _ => return Some(Target::Entry),
    };
    let index = steps.next()?.parse().ok()?;
    Some(match (steps.next(), steps.next().and_then(|place| place.parse().ok())) {
        (Some("conditions"), Some(place)) => Target::Condition(list, index, place),
        _ => Target::Rule(list, index),
    })
}

/// Everything about a rule, or what was found of it.
pub fn lines(finding: &Finding, now: Timestamp) -> Vec<Line> {
    let tone = match (finding.certain, finding.ails) {
        (true, _) => Tone::Warn,
        (false, true) => Tone::Plain,
        (false, false) => Tone::Good,
    };
    let mut out = vec![line("finding", finding.word.clone(), tone)];
    if !finding.tool.is_empty() {
        out.push(line("tool", finding.tool.clone(), Tone::Heading));
    }
    out.push(line("what", finding.message.clone(), Tone::Plain));
    if !finding.help.is_empty() {
        out.push(line("to do", finding.help.clone(), Tone::Plain));
    }
    if let Some(part) = &finding.part {
        let of = if part.tool.is_some() { "of the tool" } else { "in all" };
        out.push(line("hits", format!("{} of {} recorded calls {of}", part.hits, part.calls), Tone::Plain));
        if let Some(at) = part.last_hit {
            out.push(line(
                "last hit",
                format!("{at}, {} ago", super::gateways::span(at.millis_until(now))),
                Tone::Plain,
            ));
        }
        if part.preempted > 0 {
            let text = format!("{} more held, but another decided first", part.preempted);
            out.push(line("besides", text, Tone::Plain));
        }
        if let Some(peak) = &part.peak {
            out.push(line("peak", format!("{}/{} used at {}", peak.used, peak.max, peak.at), Tone::Plain));
        }
    }
    out.push(line("pointer", finding.pointer.clone(), Tone::Code));
    let rests = match (finding.certain, &finding.part) {
        (true, _) => "the text itself and the tools' definitions",
        (false, Some(_)) => "recorded calls, decided again under the text as it is here",
        (false, None) => "what the connected gateways counted",
    };
    out.push(line("rests on", rests, Tone::Plain));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_lead_to_the_inspectors_parts() {
        for (at, wanted) in [
            ("/tools/t/deny_if/2", Some(Target::Rule(RuleList::DenyIf, 2))),
            ("/tools/t/require/0/conditions/1/path", Some(Target::Condition(RuleList::Require, 0, 1))),
            ("/tools/t/limits/3/increment_from", Some(Target::Limit(3))),
            ("/tools/t/rate_limit", Some(Target::RateLimit)),
            ("/tools/t/reason", Some(Target::Entry)),
            ("/tools/t", None),
            ("/hide/0", None),
        ] {
            assert_eq!(target(at), wanted, "{at}");
        }
        assert_eq!(tool_of("/tools/a~1b/deny_if/0"), "a/b");
        assert_eq!(tool_of("/hide/0"), "");
    }
}
