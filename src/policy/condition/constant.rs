//! The value of a condition, made ready to be compared with arguments.

use std::cmp::Ordering;

use super::Truth;
use crate::json::number::Decimal;
use crate::json::{Member, Node, Value};

/// A number of the policy. Most numbers are small whole ones, and comparing those needs no decimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    whole: Option<i64>,
    decimal: Decimal,
}

/// A number spelt plainly, without sign of a fraction or exponent, that surely fits.
fn whole(spelt: &str) -> Option<i64> {
    if spelt.len() > 18 { None } else { spelt.parse().ok() }
}

impl Number {
    pub(super) fn parse(spelt: &str) -> Option<Self> {
        Some(Self { whole: whole(spelt), decimal: Decimal::parse(spelt)? })
    }

    /// How an argument, as it is spelt, compares with this number. `None` when it is too extreme.
    pub(super) fn compare(&self, actual: &str) -> Option<Ordering> {
        if let (Some(ours), Some(theirs)) = (self.whole, whole(actual)) {
            return Some(theirs.cmp(&ours));
        }
        Some(Decimal::parse(actual)?.cmp(&self.decimal))
    }
}

/// A value of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Number(Number),
    /// A number that compares with nothing.
    Extreme,
    String(Box<str>),
    Array(Vec<Constant>),
    /// Members in the order of their names.
    Object(Vec<(Box<str>, Constant)>),
}

impl Constant {
    pub(super) fn new(node: &Node<'_>) -> Self {
        match &node.value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(spelt) => Number::parse(spelt).map_or(Self::Extreme, Self::Number),
            Value::String(text) => Self::String(text.as_str().into()),
            Value::Array(items) => Self::Array(items.iter().map(Self::new).collect()),
            Value::Object(members) => {
                let member = |member: &Member<'_>| (member.key.as_str().into(), Self::new(&member.value));
                let mut members: Vec<(Box<str>, Self)> = members.iter().map(member).collect();
                members.sort_by(|a, b| a.0.cmp(&b.0));
                Self::Object(members)
            }
        }
    }

    /// The JSON type's name, as [`Node::type_name`] has it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) | Self::Extreme => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// Whether an argument has this value's type.
    pub(super) fn same_type(&self, node: &Node<'_>) -> bool {
        self.type_name() == node.type_name()
    }

    /// Whether an argument is this value: deeply, the order of members aside, numbers as the
    /// decimals that they spell. Values of different types are unequal here.
    pub(super) fn equals(&self, node: &Node<'_>) -> Truth {
        match (self, &node.value) {
            (Self::Null, Value::Null) => Truth::True,
            (Self::Bool(ours), Value::Bool(theirs)) => (ours == theirs).into(),
            (Self::Number(ours), Value::Number(spelt)) => match ours.compare(spelt) {
                Some(order) => order.is_eq().into(),
                None => Truth::Indeterminate,
            },
            (Self::Extreme, Value::Number(_)) => Truth::Indeterminate,
            (Self::String(ours), Value::String(theirs)) => {
                if theirs.exact {
                    (**ours == *theirs.value).into()
                } else {
                    Truth::Indeterminate
                }
            }
            (Self::Array(ours), Value::Array(theirs)) => {
                if ours.len() != theirs.len() {
                    return Truth::False;
                }
                Truth::all(ours.iter().zip(theirs).map(|(ours, theirs)| ours.equals(theirs)))
            }
            (Self::Object(ours), Value::Object(theirs)) => equal_members(ours, theirs),
            _ => Truth::False,
        }
    }
}

fn equal_members(ours: &[(Box<str>, Constant)], theirs: &[Member<'_>]) -> Truth {
    // Which of two members of one name counts, parsers do not agree on.
    let mut names: Vec<&str> = theirs.iter().map(|member| member.key.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        return Truth::Indeterminate;
    }
    if ours.len() != theirs.len() {
        return Truth::False;
    }
    Truth::all(theirs.iter().map(|member| {
        if !member.key.exact {
            return Truth::Indeterminate;
        }
        match ours.binary_search_by(|(name, _)| (**name).cmp(member.key.as_str())) {
            Ok(at) => ours.get(at).map_or(Truth::False, |(_, value)| value.equals(&member.value)),
            Err(_) => Truth::False,
        }
    }))
}

/// The values of `in` and `not_in`, by type, so that a long list costs no more than a short one.
#[derive(Debug, Clone)]
pub(super) struct Choices {
    /// In order.
    strings: Vec<Box<str>>,
    numbers: Vec<Constant>,
    /// Whether `false` and `true` are among them.
    bools: [bool; 2],
    arrays: Vec<Constant>,
    objects: Vec<Constant>,
}

impl Choices {
    pub(super) fn new(items: &[Node<'_>]) -> Self {
        let mut choices = Self {
            strings: Vec::new(),
            numbers: Vec::new(),
            bools: [false; 2],
            arrays: Vec::new(),
            objects: Vec::new(),
        };
        for item in items {
            match Constant::new(item) {
                // A null argument is a missing one and never gets here.
                Constant::Null => {}
                Constant::Bool(false) => choices.bools = [true, choices.bools[1]],
                Constant::Bool(true) => choices.bools = [choices.bools[0], true],
                Constant::String(text) => choices.strings.push(text),
                value @ (Constant::Number(_) | Constant::Extreme) => choices.numbers.push(value),
                value @ Constant::Array(_) => choices.arrays.push(value),
                value @ Constant::Object(_) => choices.objects.push(value),
            }
        }
        choices.strings.sort_unstable();
        choices
    }

    /// Whether an argument is among them; `None` when none of them has its type.
    pub(super) fn hold(&self, node: &Node<'_>) -> Option<Truth> {
        let list = match &node.value {
            Value::Null => return None,
            Value::Bool(value) => {
                let [no, yes] = self.bools;
                return (no || yes).then(|| if *value { yes } else { no }.into());
            }
            Value::String(text) => {
                return (!self.strings.is_empty()).then(|| {
                    if text.exact {
                        let found = self.strings.binary_search_by(|item| (**item).cmp(text.as_str()));
                        found.is_ok().into()
                    } else {
                        Truth::Indeterminate
                    }
                });
            }
            Value::Number(_) => &self.numbers,
            Value::Array(_) => &self.arrays,
            Value::Object(_) => &self.objects,
        };
        (!list.is_empty()).then(|| Truth::any(list.iter().map(|item| item.equals(node))))
    }

    /// The types of the values, for saying what is needed.
    pub(super) fn types(&self) -> Vec<&'static str> {
        [
            (!self.strings.is_empty(), "a string"),
            (!self.numbers.is_empty(), "a number"),
            (self.bools != [false; 2], "a boolean"),
            (!self.arrays.is_empty(), "an array"),
            (!self.objects.is_empty(), "an object"),
        ]
        .into_iter()
        .filter_map(|(there, name)| there.then_some(name))
        .collect()
    }
}
