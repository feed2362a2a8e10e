//! Limits that allow nothing, that another always covers, or that share a counter but disagree.

use std::collections::HashMap;

use super::Lint;
use crate::json::{Span, pointer};
use crate::policy::counter::Amount;
use crate::policy::diagnostic::tick;
use crate::policy::model::{Limit, Scope, Window};

/// A limit wherever it stands.
struct Seen<'p> {
    at: String,
    span: Span,
    /// Whose; `None` under `all_tools`.
    tool: Option<&'p str>,
    counter: String,
    window: u64,
    max: Amount,
    scope: Scope,
    sums: Option<&'p str>,
}

impl Lint<'_> {
    /// Looks at all limits of the document together.
    pub(super) fn limits(&mut self) {
        let seen = collect(self.document.policy());
        for limit in &seen {
            if limit.max == Amount::ZERO {
                let help = match limit.tool {
                    Some(_) => "to deny the tool write `\"deny_if\": [ { \"conditions\": [] } ]`",
                    None => "to deny every tool write `\"default\": \"deny\"` and list none",
                };
                let message = match limit.sums {
                    None => "`max: 0` allows no call".to_owned(),
                    Some(path) => format!("`max: 0` allows no call in which {} is above zero", tick(path)),
                };
                self.warn("max-zero", format!("{}/max", limit.at), limit.span, message, help);
            }
        }
        self.disagreeing(&seen);
        self.covered(&seen);
    }

    fn disagreeing(&mut self, seen: &[Seen<'_>]) {
        let mut first: HashMap<(&str, u64, Scope), &Seen<'_>> = HashMap::new();
        for limit in seen {
            let key = (limit.counter.as_str(), limit.window, limit.scope);
            let Some(earlier) = first.get(&key) else {
                first.insert(key, limit);
                continue;
            };
            let counter = tick(&limit.counter);
            if earlier.sums.is_some() != limit.sums.is_some() {
                let (here, there) =
                    if limit.sums.is_some() { ("amounts", "calls") } else { ("calls", "amounts") };
                self.warn(
                    "mixed-counter",
                    limit.at.clone(),
                    limit.span,
                    format!("the counter {counter} adds up {here} here and {there} at {}", tick(&earlier.at)),
                    "limits that name one counter share it: give one of them another name",
                );
            } else if earlier.max != limit.max {
                self.warn(
                    "differing-max",
                    limit.at.clone(),
                    limit.span,
                    format!(
                        "the counter {counter} may hold {} here and {} at {}",
                        limit.max,
                        earlier.max,
                        tick(&earlier.at)
                    ),
                    "limits that name one counter share it: use one `max`, or another name",
                );
            }
        }
    }

    fn covered(&mut self, seen: &[Seen<'_>]) {
        let mut users: HashMap<(&str, u64, Scope), usize> = HashMap::new();
        for limit in seen {
            *users.entry((limit.counter.as_str(), limit.window, limit.scope)).or_default() += 1;
        }
        let alone =
            |limit: &Seen<'_>| users.get(&(limit.counter.as_str(), limit.window, limit.scope)) == Some(&1);
        let shared: Vec<&Seen<'_>> = seen.iter().filter(|limit| limit.tool.is_none()).collect();
        let mut rest = seen;
        while let Some(first) = rest.first() {
            let len = rest.iter().take_while(|limit| limit.tool == first.tool).count();
            let (own, after) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            for limit in own.iter().filter(|limit| alone(limit)) {
                // What counts every call counts this tool's too.
                let others = own.iter().chain(shared.iter().copied());
                let others = others.filter(|other| !std::ptr::eq(*other, limit));
                if let Some(other) = others.into_iter().find(|other| other.covers(limit)) {
                    self.warn(
                        "covered",
                        limit.at.clone(),
                        limit.span,
                        format!(
                            "{} {} can never be reached: {} allows {} {}",
                            limit.max,
                            Window::each(limit.window),
                            tick(&other.at),
                            other.max,
                            Window::each(other.window)
                        ),
                        "take it away, or make it smaller",
                    );
                }
            }
            rest = after;
        }
    }
}

impl Seen<'_> {
    /// Whether whatever this limit lets through, the other does too. The other's counter must
    /// count nothing else.
    fn covers(&self, other: &Self) -> bool {
        let wide = |scope| match scope {
            Scope::Server => 2,
            Scope::Grant => 1,
            Scope::Session => 0,
        };
        // Other grants' policies may count towards a counter of the whole server.
        if other.scope == Scope::Server {
            return false;
        }
        if self.sums != other.sums || wide(self.scope) < wide(other.scope) || self.max == Amount::ZERO {
            return false;
        }
        // How many of this limit's windows the other's can touch; both are aligned to the epoch.
        let (mine, theirs) = (self.window.max(1), other.window.max(1));
        let touched = if theirs.is_multiple_of(mine) {
            theirs / mine
        } else if mine.is_multiple_of(theirs) {
            1
        } else {
            theirs / mine + 2
        };
        let most = self.max.0.saturating_mul(i128::from(touched));
        // Equal twins: only the later one is named.
        let twins = most == other.max.0 && mine == theirs && self.scope == other.scope;
        most <= other.max.0 && (!twins || self.span.start < other.span.start)
    }
}

fn collect(policy: &crate::policy::model::Policy) -> Vec<Seen<'_>> {
    let mut seen = Vec::new();
    for (index, limit) in policy.all_tools_limits.iter().enumerate() {
        seen.extend(one(format!("/all_tools/limits/{index}"), None, limit));
    }
    for tool in &policy.tools {
        let mut at = "/tools".to_owned();
        pointer::push(&mut at, &tool.name);
        for (index, limit) in tool.limits.iter().enumerate() {
            seen.extend(one(format!("{at}/limits/{index}"), Some(&tool.name), limit));
        }
        if let Some(limit) = &tool.rate_limit
            && let Some(max) = Amount::parse(&limit.max)
        {
            seen.push(Seen {
                at: format!("{at}/rate_limit"),
                span: limit.span,
                tool: Some(&tool.name),
                counter: format!("{}_rate", tool.name),
                window: limit.window.seconds(),
                max,
                scope: Scope::Grant,
                sums: None,
            });
        }
    }
    seen
}

fn one<'p>(at: String, tool: Option<&'p str>, limit: &'p Limit) -> Option<Seen<'p>> {
    Some(Seen {
        at,
        span: limit.span,
        tool,
        counter: limit.counter.clone(),
        window: limit.window.seconds(),
        max: Amount::parse(&limit.max)?,
        scope: limit.scope.unwrap_or(Scope::Grant),
        sums: limit.increment_from.as_deref(),
    })
}
