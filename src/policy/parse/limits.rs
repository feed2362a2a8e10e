//! Limits: `limits`, `all_tools.limits` and the shorthand `rate_limit`.

use std::collections::HashMap;

use super::{At, Counters, Place, Reader, a_type};
use crate::json::number::Decimal;
use crate::json::{Node, Span, Value};
use crate::policy::counter::Amount;
use crate::policy::diagnostic::tick;
use crate::policy::duration;
use crate::policy::model::{Limit, RateLimit, Scope, Window};
use crate::policy::suggest::closest;

pub(super) const LIMIT_KEYS: &[&str] = &["counter", "window", "max", "scope", "increment_from", "on_deny"];
pub(super) const RATE_LIMIT_KEYS: &[&str] = &["max", "window"];

impl Reader<'_, '_> {
    /// The limits that parsed, with their index. `tool` is `None` under `all_tools`.
    pub(super) fn limits(&mut self, at: &At<'_>, node: &Node<'_>, tool: Option<&str>) -> Vec<(usize, Limit)> {
        let Some(items) = node.as_array() else {
            self.sink.wrong_type(at, node, "`limits`", "an array of limits");
            return Vec::new();
        };
        let read = |(index, item)| Some((index, self.limit(&at.index(index), item, tool)?));
        items.iter().enumerate().filter_map(read).collect()
    }

    fn limit(&mut self, at: &At<'_>, node: &Node<'_>, tool: Option<&str>) -> Option<Limit> {
        if !self.object(at, node, Place::Limit) {
            return None;
        }
        let counter = self.counter(at, node, tool);
        let increment_from = node.get("increment_from");
        let path = increment_from.map(|node| self.increment_from(&at.key("increment_from"), node, tool));
        let window = self.window_of(at, node, Place::Limit);
        let max = self.max_of(at, node, Place::Limit, increment_from.is_some());
        let scope = match node.get("scope") {
            None => Some(None),
            Some(node) => self
                .word(&at.key("scope"), node, "`scope`", &["grant", "server", "session"])
                .map(Scope::parse),
        };
        let on_deny = match node.get("on_deny") {
            None => Some(None),
            Some(node) => self.sink.string(&at.key("on_deny"), node, "`on_deny`").map(Some),
        };
        let increment_from = match path {
            None => None,
            Some(path) => Some(path?),
        };
        Some(Limit {
            span: node.span,
            counter: counter?,
            window: window?,
            max: max?,
            scope: scope?,
            increment_from,
            on_deny: on_deny?,
        })
    }

    fn counter(&mut self, at: &At<'_>, node: &Node<'_>, tool: Option<&str>) -> Option<String> {
        let Some(node) = node.get("counter") else {
            let help = format!("name what is counted, for instance {}", example(tool));
            self.missing(at, node, Place::Limit, "counter", &help);
            return None;
        };
        let at = at.key("counter");
        let counter = self.sink.string(&at, node, "`counter`")?;
        if counter.trim().is_empty() {
            let help = format!("name what is counted, for instance {}", example(tool));
            self.sink.error("empty-counter", &at, node.span, "the counter's name is empty".to_owned(), help);
            return None;
        }
        Some(counter)
    }

    fn increment_from(&mut self, at: &At<'_>, node: &Node<'_>, tool: Option<&str>) -> Option<String> {
        if tool.is_none() {
            self.sink.error(
                "increment-in-all-tools",
                at,
                node.span,
                "`increment_from` cannot stand under `all_tools`".to_owned(),
                "tools have different arguments: put the limit into each tool's entry; they may share its counter",
            );
            return None;
        }
        let path = self.sink.string(at, node, "`increment_from`")?;
        self.path(at, node.span, &path).then_some(path)
    }

    pub(super) fn rate_limit(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<RateLimit> {
        if !self.object(at, node, Place::RateLimit) {
            return None;
        }
        let window = self.window_of(at, node, Place::RateLimit);
        let max = self.max_of(at, node, Place::RateLimit, false);
        Some(RateLimit { span: node.span, max: max?, window: window? })
    }

    fn window_of(&mut self, at: &At<'_>, node: &Node<'_>, place: Place) -> Option<Window> {
        let Some(node) = node.get("window") else {
            self.missing(at, node, place, "window", "add `\"window\": \"minute\"`, `\"hour\"` or `\"day\"`");
            return None;
        };
        let at = at.key("window");
        let help = "it may be `\"minute\"`, `\"hour\"`, `\"day\"`, or a whole number of seconds";
        match &node.value {
            Value::String(text) => match text.as_str() {
                "minute" => Some(Window::Minute),
                "hour" => Some(Window::Hour),
                "day" => Some(Window::Day),
                other => {
                    let help = if let Some(meant) = closest(other, ["minute", "hour", "day"]) {
                        format!("did you mean `{meant}`?")
                    } else if let Some(seconds) = duration::parse(other).or_else(|| other.parse().ok()) {
                        format!("write the number of seconds: `{seconds}`")
                    } else if matches!(other, "week" | "weekly") {
                        "write the number of seconds: `604800`".to_owned()
                    } else if other == "daily" {
                        "did you mean `day`?".to_owned()
                    } else {
                        help.to_owned()
                    };
                    let message = format!("`window` cannot be {}", tick(other));
                    self.sink.error("bad-window", &at, node.span, message, help);
                    None
                }
            },
            Value::Number(spelt) => {
                let seconds = Decimal::parse(spelt)
                    .filter(Decimal::is_integer)
                    .and_then(|number| number.scaled_up(0))
                    .and_then(|number| u64::try_from(number).ok())
                    .filter(|seconds| (1..=duration::MAX_SECONDS).contains(seconds));
                if seconds.is_none() {
                    let message = format!(
                        "`window` must be a whole number of seconds from 1 to {}",
                        duration::MAX_SECONDS
                    );
                    self.sink.error("bad-window", &at, node.span, message, help);
                }
                seconds.map(Window::Seconds)
            }
            _ => {
                let message = format!("`window` must be a string or a number, not {}", a_type(node));
                self.sink.error("wrong-type", &at, node.span, message, help);
                None
            }
        }
    }

    fn max_of(&mut self, at: &At<'_>, node: &Node<'_>, place: Place, decimals: bool) -> Option<String> {
        let Some(node) = node.get("max") else {
            self.missing(at, node, place, "max", "add how much is allowed in a window: `\"max\": 30`");
            return None;
        };
        let at = at.key("max");
        let Value::Number(spelt) = node.value else {
            let message = format!("`max` must be a number, not {}", a_type(node));
            let help = match node.as_str().and_then(Decimal::parse) {
                Some(_) => "write the number without quotes",
                None => "",
            };
            self.sink.error("wrong-type", &at, node.span, message, help);
            return None;
        };
        let number = Decimal::parse(spelt);
        let (message, help) = match (&number, Amount::parse(spelt)) {
            (Some(number), _) if number.is_negative() => (
                "`max` cannot be negative",
                "`0` allows nothing; to allow any number of calls take the limit away",
            ),
            (Some(number), _) if !decimals && !number.is_integer() => {
                ("`max` counts calls and must be a whole number", "decimals need `increment_from`")
            }
            (Some(_), Some(amount)) if amount.0 <= 1_000_000_000_000_000_000_000 => {
                return Some(spelt.to_owned());
            }
            _ => ("`max` is too large", "the largest is 1000000000000000"),
        };
        self.sink.error("bad-max", &at, node.span, message.to_owned(), help);
        None
    }

    /// Reports a counter and window that one call would count twice.
    pub(super) fn count_once(
        &mut self,
        seen: &mut HashMap<(String, u64), String>,
        shared: Option<&Counters>,
        counter: &str,
        window: Window,
        at: &At<'_>,
        span: Span,
    ) {
        let key = (counter.to_owned(), window.seconds());
        let earlier = seen.get(&key).or_else(|| shared.and_then(|shared| shared.all.get(&key)));
        if let Some(earlier) = earlier {
            let message = format!(
                "one call would count {} {} twice: it is also at {}",
                tick(counter),
                Window::each(window.seconds()),
                tick(earlier)
            );
            let help = "keep the smaller limit, or give this one a counter of its own";
            self.sink.error("repeated-counter", at, span, message, help);
        } else {
            seen.insert(key, at.to_string());
        }
    }
}

fn example(tool: Option<&str>) -> String {
    tick(&tool.map_or_else(|| "all_calls".to_owned(), |tool| format!("{tool}_rate")))
}
