//! Rules that can never hold, that another covers, or that stop less than they seem to.

use regex_syntax::hir::Look;

use super::Lint;
use super::implies::{Fact, contradict};
use crate::policy::diagnostic::tick;
use crate::policy::model::{Condition, Op, Rule, RuleList, Tool};
use crate::policy::path::Path;
use crate::policy::state::condition_text;

/// Lists longer than this are not compared pair by pair.
const COMPARED: usize = 200;

/// A rule whose conditions can be reasoned about.
struct Known<'p> {
    index: usize,
    rule: &'p Rule,
    facts: Vec<Fact<'p>>,
}

impl Lint<'_> {
    pub(super) fn rules(&mut self, at: &str, tool: &Tool) {
        for (list, rules) in [
            (RuleList::Require, &tool.require),
            (RuleList::DenyIf, &tool.deny_if),
            (RuleList::ApproveIf, &tool.approve_if),
        ] {
            let at = format!("{at}/{}", list.key());
            let mut known = Vec::new();
            for (index, rule) in rules.iter().enumerate() {
                let at = format!("{at}/{index}");
                let facts: Vec<Fact<'_>> = rule.conditions.iter().filter_map(Fact::new).collect();
                if facts.len() != rule.conditions.len() {
                    continue;
                }
                let never = self.never_holds(&at, list, rule, &facts);
                match list {
                    RuleList::Require => self.require(&at, rule),
                    RuleList::DenyIf => self.only_negative(&at, tool, rule),
                    RuleList::ApproveIf => {}
                }
                if !never {
                    known.push(Known { index, rule, facts });
                }
            }
            self.covered_rules(&at, list, &known);
        }
    }

    fn never_holds(&mut self, at: &str, list: RuleList, rule: &Rule, facts: &[Fact<'_>]) -> bool {
        let consequence = match list {
            RuleList::Require => "so every call is denied",
            RuleList::DenyIf | RuleList::ApproveIf => "so it never does what it says",
        };
        for (index, fact) in facts.iter().enumerate() {
            // Each condition ranges over the elements of `[*]` by itself, so two on one path can
            // be met by two elements; in `require` all elements must meet both.
            let joint = list == RuleList::Require || !fact.condition.path.contains("[*]");
            let with: Vec<&Fact<'_>> = facts
                .iter()
                .take(index + 1)
                .enumerate()
                .filter(|(other, it)| *other == index || (joint && it.condition.path == fact.condition.path))
                .map(|(_, it)| it)
                .collect();
            let absent = facts.iter().take(index + 1).find(|it| {
                let ends = [fact, *it];
                ends.iter().any(|end| end.wants_missing()) && is_part(fact, it)
            });
            let why = if let Some(other) = absent {
                format!("`{}` and `{}` cannot both be so", text(other.condition), text(fact.condition))
            } else if contradict(&with) {
                match with.as_slice() {
                    [one] => format!("`{}` is so for no value", text(one.condition)),
                    many => {
                        let all: Vec<String> =
                            many.iter().map(|it| format!("`{}`", text(it.condition))).collect();
                        format!("{} cannot all be so", all.join(", "))
                    }
                }
            } else {
                continue;
            };
            let message = format!("this rule can never hold, {consequence}: {why}");
            let help = match list {
                RuleList::Require => {
                    "alternatives stand in one condition (`in`, or `regex` with `|`), not in several"
                }
                _ => "conditions of one rule must all hold; for \"either\" write two rules",
            };
            self.warn("never-holds", at.to_owned(), rule.span, message, help);
            return true;
        }
        false
    }

    fn require(&mut self, at: &str, rule: &Rule) {
        if rule.conditions.is_empty() {
            self.warn(
                "empty-require",
                at.to_owned(),
                rule.span,
                "a `require` rule without conditions always holds: it requires nothing".to_owned(),
                "add a condition, or take the rule away",
            );
        }
        for (index, condition) in rule.conditions.iter().enumerate().filter(|(_, it)| it.op == Op::Regex) {
            let pattern = crate::json::parse(&condition.value).ok();
            let pattern = pattern.as_ref().and_then(|parsed| parsed.root.as_str());
            if let Some(pattern) = pattern
                && !is_anchored(pattern)
            {
                self.warn_at(
                    "unanchored-regex",
                    format!("{at}/conditions/{index}/value"),
                    format!("the pattern {} may match anywhere within the value", tick(pattern)),
                    "a pattern is searched for; write `^(...)$` around it to allow nothing else",
                );
            }
        }
    }

    fn only_negative(&mut self, at: &str, tool: &Tool, rule: &Rule) {
        let negative = |condition: &Condition| matches!(condition.op, Op::Neq | Op::NotIn);
        let open = |condition: &&Condition| negative(condition) && !is_required(tool, &condition.path);
        if rule.conditions.is_empty() || !rule.conditions.iter().all(negative) {
            return;
        }
        let Some(condition) = rule.conditions.iter().find(open) else { return };
        let better = if condition.op == Op::Neq { "eq" } else { "in" };
        self.warn(
            "negative-deny",
            at.to_owned(),
            rule.span,
            format!(
                "a call without {} passes: a missing argument makes the condition false",
                tick(&condition.path)
            ),
            format!(
                "write it as `require` with `\"op\": \"{better}\"`, which a missing argument does not meet"
            ),
        );
    }

    fn covered_rules(&mut self, at: &str, list: RuleList, known: &[Known<'_>]) {
        let known = known.get(..COMPARED.min(known.len())).unwrap_or_default();
        for (place, rule) in known.iter().enumerate() {
            // A `require` rule without conditions has its own warning.
            if list == RuleList::Require && rule.facts.is_empty() {
                continue;
            }
            let cover = known.iter().enumerate().find(|(other_place, other)| {
                if *other_place == place || !covers(list, &other.facts, &rule.facts) {
                    return false;
                }
                // The later one of a pair that covers each other is named; and a rule that says
                // something of its own before a wider one says the rest is fine.
                let own_word = rule.rule.message.is_some() && rule.rule.message != other.rule.message;
                *other_place < place || (!own_word && !covers(list, &rule.facts, &other.facts))
            });
            if let Some((_, cover)) = cover {
                let message = if cover.facts.is_empty() {
                    format!("this rule decides nothing: rule {} of the list always holds", cover.index + 1)
                } else {
                    format!("this rule decides nothing that rule {} of the list does not", cover.index + 1)
                };
                self.warn(
                    "covered",
                    format!("{at}/{}", rule.index),
                    rule.rule.span,
                    message,
                    "take it away, or correct it",
                );
            }
        }
    }
}

/// Whether one rule's effect includes the other's.
pub(super) fn covers(list: RuleList, wide: &[Fact<'_>], narrow: &[Fact<'_>]) -> bool {
    let same_path = |a: &Fact<'_>, b: &Fact<'_>| a.condition.path == b.condition.path;
    match list {
        // `wide` is the stricter demand: whoever meets it meets the other.
        RuleList::Require => {
            !wide.is_empty()
                && narrow
                    .iter()
                    .all(|asked| wide.iter().any(|met| same_path(asked, met) && met.true_only_with(asked)))
        }
        RuleList::DenyIf | RuleList::ApproveIf => wide.iter().all(|needed| {
            narrow.iter().any(|given| same_path(needed, given) && given.fires_only_with(needed))
        }),
    }
}

/// Whether `require` has a rule that a call without the argument does not meet.
pub(super) fn is_required(tool: &Tool, path: &str) -> bool {
    let asks = |condition: &Condition| {
        condition.path == path && !(condition.op == Op::Exists && condition.value.trim() == "false")
    };
    tool.require.iter().any(|rule| rule.conditions.iter().any(asks))
}

/// Whether one condition wants missing what the other looks into.
fn is_part(a: &Fact<'_>, b: &Fact<'_>) -> bool {
    let within = |outer: &Fact<'_>, inner: &Fact<'_>| {
        if !outer.wants_missing() || inner.wants_missing() {
            return false;
        }
        let (Ok(outer), Ok(inner)) = (Path::parse(&outer.condition.path), Path::parse(&inner.condition.path))
        else {
            return false;
        };
        inner.steps().len() > outer.steps().len() && inner.steps().starts_with(outer.steps())
    };
    within(a, b) || within(b, a)
}

/// Whether a pattern is held at the beginning or the end of the value.
fn is_anchored(pattern: &str) -> bool {
    let Ok(hir) = regex_syntax::parse(pattern) else { return true };
    let properties = hir.properties();
    properties.look_set_prefix().contains(Look::Start) || properties.look_set_suffix().contains(Look::End)
}

fn text(condition: &Condition) -> String {
    condition_text(&condition.path, condition.op, &condition.value)
}
