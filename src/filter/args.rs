//! Terms about arguments: which value of a record's arguments is meant, and what it is held
//! against.

use super::text::Pattern;
use crate::json::number::Decimal;
use crate::json::{self, Node, Value};

/// What an argument is held against.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// Its text.
    Text(Vec<Pattern>),
    /// Its number.
    Number(Compare, Decimal),
    /// That it is there.
    Present,
}

/// How numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Compare {
    /// From the signs at the beginning of a value, with the rest.
    pub(super) fn split(text: &str) -> Option<(Self, &str)> {
        [(">=", Self::AtLeast), ("<=", Self::AtMost), (">", Self::More), ("<", Self::Less)]
            .into_iter()
            .find_map(|(sign, compare)| text.strip_prefix(sign).map(|rest| (compare, rest)))
    }

    fn holds(self, a: &Decimal, b: &Decimal) -> bool {
        match self {
            Self::Less => a < b,
            Self::AtMost => a <= b,
            Self::More => a > b,
            Self::AtLeast => a >= b,
        }
    }
}

/// A path into the arguments and what is wanted there.
#[derive(Debug, Clone)]
pub(super) struct ArgTerm {
    pub(super) steps: Vec<String>,
    pub(super) wanted: Wanted,
}

impl ArgTerm {
    /// Whether the value, or any element of an array on the way, is as wanted.
    pub(super) fn holds(&self, args: &str) -> bool {
        // Most calls do not have the argument at all; one search spares the reading.
        let spelt = |step: &String| memchr::memmem::find(args.as_bytes(), step.as_bytes()).is_some();
        if !self.steps.first().is_some_and(spelt) && !args.contains('\\') {
            return false;
        }
        let Ok(parsed) = json::parse(args) else { return false };
        self.holds_at(&parsed.root, &self.steps)
    }

    fn holds_at(&self, node: &Node<'_>, steps: &[String]) -> bool {
        let Some((step, rest)) = steps.split_first() else { return self.is_wanted(node) };
        match &node.value {
            Value::Object(members) => {
                members.iter().any(|member| member.key.value == *step && self.holds_at(&member.value, rest))
            }
            Value::Array(items) => match step.parse::<usize>() {
                Ok(index) => items.get(index).is_some_and(|item| self.holds_at(item, rest)),
                Err(_) => items.iter().any(|item| self.holds_at(item, steps)),
            },
            _ => false,
        }
    }

    fn is_wanted(&self, node: &Node<'_>) -> bool {
        if let Value::Array(items) = &node.value
            && !matches!(self.wanted, Wanted::Present)
        {
            return items.iter().any(|item| self.is_wanted(item));
        }
        match (&self.wanted, &node.value) {
            (Wanted::Present, value) => !matches!(value, Value::Null),
            (Wanted::Number(compare, bound), Value::Number(spelt)) => {
                Decimal::parse(spelt).is_some_and(|number| compare.holds(&number, bound))
            }
            (Wanted::Number(..), _) => false,
            (Wanted::Text(patterns), value) => {
                let text = match value {
                    Value::String(text) => text.value.clone().into_owned(),
                    Value::Number(spelt) => (*spelt).to_owned(),
                    Value::Bool(value) => value.to_string(),
                    Value::Null => "null".to_owned(),
                    // The text of a whole object, so that a star or an expression can look into it.
                    _ => json::canonical::canonical(node),
                };
                patterns.iter().any(|pattern| pattern.matches(&text))
            }
        }
    }
}
