//! What one condition says about another on the same path.
//!
//! A condition is true, false or indeterminate; of a missing argument everything but
//! `exists: false` is false. Each answer here is exact where it is "yes"; "no" may also mean that
//! it cannot be shown.

use regex::Regex;

use crate::json::number::Decimal;
use crate::json::{self, Node, Value};
use crate::policy::condition::{Condition as Judge, Range, Truth};
use crate::policy::model::{Condition, Op};

/// A condition with what is needed to reason about it.
pub(super) struct Fact<'c> {
    pub(super) condition: &'c Condition,
    /// The value's canonical text.
    value: String,
    /// The elements of `in` and `not_in`, the value of `eq` and `neq`, as JSON text.
    values: Vec<String>,
    /// The types of those.
    types: Vec<&'static str>,
    number: Option<Decimal>,
    regex: Option<Regex>,
    /// The same condition on the argument `v`, to try values with.
    judge: Option<Judge>,
}

impl<'c> Fact<'c> {
    pub(super) fn new(condition: &'c Condition) -> Option<Self> {
        let parsed = json::parse(&condition.value).ok()?;
        let node = &parsed.root;
        let nodes: Vec<&Node<'_>> = match condition.op {
            Op::Eq | Op::Neq => vec![node],
            Op::In | Op::NotIn => node.as_array()?.iter().collect(),
            _ => Vec::new(),
        };
        let mut types: Vec<&'static str> = nodes.iter().map(|node| node.type_name()).collect();
        types.sort_unstable();
        types.dedup();
        let number = match (&node.value, condition.op) {
            (Value::Number(spelt), Op::Lt | Op::Lte | Op::Gt | Op::Gte) => Decimal::parse(spelt),
            _ => None,
        };
        let regex = match (node.as_str(), condition.op) {
            (Some(pattern), Op::Regex) => Regex::new(pattern).ok(),
            _ => None,
        };
        let tried = Condition { path: "args.v".to_owned(), ..condition.clone() };
        Some(Self {
            condition,
            value: json::canonical::canonical(node),
            values: nodes.iter().map(|node| node.span.of(&condition.value).to_owned()).collect(),
            types,
            number,
            regex,
            judge: Judge::new(&tried).ok(),
        })
    }

    pub(super) fn op(&self) -> Op {
        self.condition.op
    }

    /// `exists: false`: the one condition that is true of a missing argument.
    pub(super) fn wants_missing(&self) -> bool {
        self.op() == Op::Exists && self.value == "false"
    }

    /// What it says of a value, given as JSON text.
    pub(super) fn truth_of(&self, value: &str) -> Option<Truth> {
        self.of(value)
    }

    fn of(&self, value: &str) -> Option<Truth> {
        let text = format!("{{\"v\":{value}}}");
        let parsed = json::parse(&text).ok()?;
        Some(self.judge.as_ref()?.judge(Some(&parsed.root), Range::Any).truth)
    }

    /// The values of which it can be true, where they are few.
    fn candidates(&self) -> Option<&[String]> {
        matches!(self.op(), Op::Eq | Op::In).then_some(&self.values)
    }

    fn same(&self, other: &Self) -> bool {
        self.op() == other.op() && self.value == other.value
    }

    /// Whether every number that this order allows the other allows too.
    fn order_within(&self, other: &Self) -> bool {
        let (Some(ours), Some(theirs)) = (&self.number, &other.number) else { return false };
        match (self.op(), other.op()) {
            (Op::Gt, Op::Gt | Op::Gte)
            | (Op::Gte, Op::Gte)
            | (Op::Lt, Op::Lt | Op::Lte)
            | (Op::Lte, Op::Lte) => {
                if matches!(self.op(), Op::Gt | Op::Gte) {
                    ours >= theirs
                } else {
                    ours <= theirs
                }
            }
            (Op::Gte, Op::Gt) => ours > theirs,
            (Op::Lte, Op::Lt) => ours < theirs,
            _ => false,
        }
    }

    /// Whether this is true only where the other is: of two `require` conditions the other then
    /// asks for nothing more.
    pub(super) fn true_only_with(&self, other: &Self) -> bool {
        if self.same(other) {
            return true;
        }
        if self.wants_missing() || other.wants_missing() {
            return false;
        }
        if other.op() == Op::Exists || self.order_within(other) {
            return true;
        }
        if let Some(values) = self.candidates() {
            return values.iter().all(|value| other.of(value) == Some(Truth::True));
        }
        match (self.op(), other.op()) {
            (Op::Lt | Op::Lte | Op::Gt | Op::Gte, Op::Neq | Op::NotIn) => {
                other.types == ["number"]
                    && other.values.iter().all(|value| self.of(value) == Some(Truth::False))
            }
            (Op::Neq | Op::NotIn, Op::Neq | Op::NotIn) => {
                other.values.iter().all(|value| self.of(value) == Some(Truth::False))
                    && self.types.iter().all(|kind| other.types.contains(kind))
            }
            _ => false,
        }
    }

    /// Whether this is false wherever the other is false: of two `deny_if` conditions the second
    /// then fires (true or indeterminate) whenever this does.
    pub(super) fn fires_only_with(&self, other: &Self) -> bool {
        if self.same(other) {
            return true;
        }
        if self.wants_missing() || other.wants_missing() {
            return false;
        }
        // `exists: true` is false only of what is missing, and so is everything else then.
        if other.op() == Op::Exists || self.order_within(other) {
            return true;
        }
        match (other.op(), self.op()) {
            // The other is false of a few values: try them.
            (Op::Neq | Op::NotIn, _) => other.values.iter().all(|value| self.of(value) == Some(Truth::False)),
            // False of numbers only, and this is decided for every number.
            (Op::Lt | Op::Lte | Op::Gt | Op::Gte, Op::Eq | Op::In) => {
                self.types.contains(&"number")
                    && self.numbers().all(|value| other.of(value) == Some(Truth::True))
            }
            // False of strings only, and this is decided for every string.
            (Op::Regex, Op::Eq | Op::In) => {
                self.types.contains(&"string") && self.strings().all(|text| other.matches(&text))
            }
            // False only of values of its own types; of all those this must be decided.
            (Op::In, Op::Eq | Op::In) => {
                other.types.iter().all(|kind| self.types.contains(kind))
                    && self.values.iter().all(|value| other.of(value) == Some(Truth::True))
            }
            (Op::Eq, Op::In) => {
                self.types == other.types
                    && self.values.iter().all(|value| other.of(value) == Some(Truth::True))
            }
            _ => false,
        }
    }

    fn numbers(&self) -> impl Iterator<Item = &String> {
        self.values.iter().filter(|value| value.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
    }

    fn strings(&self) -> impl Iterator<Item = String> {
        let text = |value: &String| json::parse(value).ok()?.root.as_str().map(str::to_owned);
        self.values.iter().filter_map(text)
    }

    fn matches(&self, text: &str) -> bool {
        self.regex.as_ref().is_some_and(|regex| regex.is_match(text))
    }

    /// The types of which it can be true; `None`: any.
    fn true_types(&self) -> Option<Vec<&'static str>> {
        Some(match self.op() {
            Op::Eq | Op::Neq | Op::In | Op::NotIn => self.types.clone(),
            Op::Lt | Op::Lte | Op::Gt | Op::Gte => vec!["number"],
            Op::Regex => vec!["string"],
            Op::Contains if self.value.starts_with('"') => vec!["array", "string"],
            Op::Contains => vec!["array"],
            Op::Exists => return None,
        })
    }

    /// The JSON types that a value needs for this to be true; `None` where any will do.
    pub(super) fn needs(&self) -> Option<Vec<&'static str>> {
        if self.wants_missing() { None } else { self.true_types() }
    }
}

/// Whether conditions on one value can never be true together.
pub(super) fn contradict(facts: &[&Fact<'_>]) -> bool {
    let missing = facts.iter().filter(|fact| fact.wants_missing()).count();
    if missing > 0 {
        return missing < facts.len();
    }
    let mut types: Option<Vec<&'static str>> = None;
    for wanted in facts.iter().filter_map(|fact| fact.true_types()) {
        types = Some(match types {
            None => wanted,
            Some(types) => types.into_iter().filter(|kind| wanted.contains(kind)).collect(),
        });
    }
    if types.is_some_and(|types| types.is_empty()) {
        return true;
    }
    if let Some(values) = facts.iter().find_map(|fact| fact.candidates()) {
        let all = |value: &String| facts.iter().all(|fact| fact.of(value) == Some(Truth::True));
        return !values.iter().any(all);
    }
    // Bounds that leave no number, or one number that something else refuses.
    let bound = |low: bool| {
        facts.iter().filter(move |fact| match fact.op() {
            Op::Gt | Op::Gte => low,
            Op::Lt | Op::Lte => !low,
            _ => false,
        })
    };
    for low in bound(true) {
        for high in bound(false) {
            let (Some(least), Some(most)) = (&low.number, &high.number) else { continue };
            if least > most {
                return true;
            }
            if least == most {
                let point = &low.condition.value;
                return !facts.iter().all(|fact| fact.of(point) == Some(Truth::True));
            }
        }
    }
    false
}
