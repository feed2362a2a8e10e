//! One condition of a rule against a call's arguments: true, false or indeterminate.
//!
//! Indeterminate means that what was found cannot be compared for sure. It is never dropped: the
//! rule's list decides what it does, and each does the safe thing.

mod constant;
mod walk;

use std::cmp::Ordering;
use std::ops::ControlFlow;

use memchr::memmem::Finder;
use regex::Regex;

use self::constant::{Choices, Constant, Number};
use self::walk::{Found, Obstacle, Trail, walk};
use super::counter::Amount;
use super::model::{self, Op};
use super::path::Path;
use super::veil::{Plain, Veil, Veiled};
use crate::json::{self, Node, Value};

/// The truth of a condition or a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Truth {
    /// It does not hold.
    False,
    /// It cannot be told for sure.
    Indeterminate,
    /// It holds.
    True,
}

impl Truth {
    /// The name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::False => "false",
            Self::Indeterminate => "indeterminate",
            Self::True => "true",
        }
    }

    /// False if any is, else indeterminate if any is, else true.
    fn all(items: impl Iterator<Item = Self>) -> Self {
        let mut all = Self::True;
        for item in items {
            match item {
                Self::False => return Self::False,
                Self::Indeterminate => all = Self::Indeterminate,
                Self::True => {}
            }
        }
        all
    }

    /// True if any is, else indeterminate if any is, else false.
    fn any(items: impl Iterator<Item = Self>) -> Self {
        Self::all(items.map(Self::not)).not()
    }

    fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Indeterminate => Self::Indeterminate,
            Self::True => Self::False,
        }
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// How a condition ranges over the elements of `[*]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// Any one suffices (`deny_if`, `approve_if`).
    Any,
    /// All must hold (`require`).
    All,
}

/// A condition ready to be evaluated.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) path: Path,
    pub(super) op: Op,
    /// The value's JSON text, for showing.
    pub(super) value: Box<str>,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Equal {
        value: Constant,
        negated: bool,
    },
    Order {
        value: Number,
        holds: fn(Ordering) -> bool,
    },
    Among {
        choices: Box<Choices>,
        negated: bool,
    },
    Exists(bool),
    Regex(Regex),
    /// A substring of a string, or an element of an array.
    ContainsText {
        finder: Box<Finder<'static>>,
        value: Constant,
    },
    /// An element of an array.
    Contains(Constant),
}

/// What a condition came to.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) truth: Truth,
    /// What was found, when that is why the truth is indeterminate.
    pub(super) finding: Option<Finding>,
}

/// Something found where the condition needs something else.
#[derive(Debug)]
pub(super) struct Finding {
    why: Why,
    trail: Trail,
}

#[derive(Debug, Clone, Copy)]
enum Why {
    Obstacle(Obstacle),
    /// A value of this type.
    Type(&'static str),
    /// An array in which no element has the value's type.
    NoElement,
    /// A string, here or within, that cannot be read exactly, or a number too extreme.
    Inexact(&'static str),
    /// A number below zero, or too large to count.
    Uncountable(&'static str),
    Missing,
    /// A value that was masked or cut when the call was recorded.
    NotKept,
}

/// One value that a condition found, for explaining it.
#[derive(Debug)]
pub(super) struct Met<'n, 't> {
    /// Where, for instance `args.items.0.price`.
    pub(super) place: String,
    /// The value; `None` when it is missing or cannot be told.
    pub(super) value: Option<&'n Node<'t>>,
    pub(super) truth: Truth,
    /// Why it is indeterminate.
    pub(super) why: Option<String>,
}

impl Condition {
    /// Makes a condition of a document ready.
    ///
    /// # Errors
    /// Why it cannot be evaluated; none for one of a valid document.
    pub(super) fn new(condition: &model::Condition) -> Result<Self, String> {
        let path = Path::parse(&condition.path).map_err(|error| format!("{error}: `{}`", condition.path))?;
        let parsed = json::parse(&condition.value).map_err(|error| error.to_string())?;
        let node = &parsed.root;
        let wrong = || format!("`{}` cannot have the value {}", condition.op.name(), condition.value);
        let number = || match node.value {
            Value::Number(spelt) => Number::parse(spelt).ok_or_else(wrong),
            _ => Err(wrong()),
        };
        let order = |holds: fn(Ordering) -> bool| Ok(Test::Order { value: number()?, holds });
        let choices = || node.as_array().map(|items| Box::new(Choices::new(items))).ok_or_else(wrong);
        let test = match condition.op {
            Op::Eq | Op::Neq if node.is_null() => Err(wrong()),
            Op::Eq => Ok(Test::Equal { value: Constant::new(node), negated: false }),
            Op::Neq => Ok(Test::Equal { value: Constant::new(node), negated: true }),
            Op::Lt => order(Ordering::is_lt),
            Op::Lte => order(Ordering::is_le),
            Op::Gt => order(Ordering::is_gt),
            Op::Gte => order(Ordering::is_ge),
            Op::In => Ok(Test::Among { choices: choices()?, negated: false }),
            Op::NotIn => Ok(Test::Among { choices: choices()?, negated: true }),
            Op::Exists => match node.value {
                Value::Bool(value) => Ok(Test::Exists(value)),
                _ => Err(wrong()),
            },
            Op::Regex => {
                let pattern = node.as_str().ok_or_else(wrong)?;
                Regex::new(pattern).map(Test::Regex).map_err(|error| error.to_string())
            }
            Op::Contains => match Constant::new(node) {
                Constant::String(text) => Ok(Test::ContainsText {
                    finder: Box::new(Finder::new(text.as_bytes()).into_owned()),
                    value: Constant::String(text),
                }),
                value @ (Constant::Bool(_) | Constant::Number(_) | Constant::Extreme) => {
                    Ok(Test::Contains(value))
                }
                Constant::Null | Constant::Array(_) | Constant::Object(_) => Err(wrong()),
            },
        }?;
        Ok(Self { path, op: condition.op, value: condition.value.as_str().into(), test })
    }

    /// Evaluates the condition. `None` for the arguments means that there are none.
    pub(super) fn judge(&self, arguments: Option<&Node<'_>>, range: Range) -> Judged {
        self.judge_veiled(arguments, range, &Plain)
    }

    /// As [`Condition::judge`], on arguments of which not everything may have been kept.
    pub(super) fn judge_veiled<V: Veil + ?Sized>(
        &self,
        arguments: Option<&Node<'_>>,
        range: Range,
        veil: &V,
    ) -> Judged {
        let enough = match range {
            Range::Any => Truth::True,
            Range::All => Truth::False,
        };
        let mut truth = enough.not();
        let mut finding = None;
        self.visit(arguments, veil, &mut |found, trail| {
            let (one, why) = self.one(found, veil);
            if one == enough {
                truth = enough;
                return ControlFlow::Break(());
            }
            if let (Truth::Indeterminate, Some(why), None) = (one, why, &finding) {
                truth = Truth::Indeterminate;
                finding = Some(Finding { why, trail: trail.copy() });
            }
            ControlFlow::Continue(())
        });
        if truth == enough {
            finding = None;
        }
        Judged { truth, finding }
    }

    /// What the condition meets, at most `most` of it, whether or not it matters any more.
    pub(super) fn met<'n, 't>(
        &self,
        arguments: Option<&'n Node<'t>>,
        most: usize,
    ) -> (Vec<Met<'n, 't>>, usize) {
        let mut all = Vec::new();
        let mut count = 0;
        self.visit(arguments, &Plain, &mut |found, trail| {
            count += 1;
            if all.len() < most {
                let (truth, why) = self.one(found, &Plain);
                let value = match found {
                    Found::Value(node) => Some(node),
                    Found::Missing | Found::Obstacle(_) | Found::NotKept => None,
                };
                let why = why.map(|why| self.say(&Finding { why, trail: trail.copy() }));
                let place = self.path.place(trail.steps, &trail.indices);
                all.push(Met { place, value, truth, why });
            }
            ControlFlow::Continue(())
        });
        (all, count)
    }

    fn visit<'n, 't, V, F>(&self, arguments: Option<&'n Node<'t>>, veil: &V, visit: &mut F)
    where
        V: Veil + ?Sized,
        F: FnMut(Found<'n, 't>, &Trail) -> ControlFlow<()>,
    {
        let mut trail = Trail::default();
        let _ = match arguments {
            Some(node) => walk(self.path.steps(), node, veil, &mut trail, visit),
            None => visit(Found::Missing, &trail),
        };
    }

    /// The condition for one thing found.
    fn one<V: Veil + ?Sized>(&self, found: Found<'_, '_>, veil: &V) -> (Truth, Option<Why>) {
        let node = match found {
            Found::Value(node) => node,
            Found::Missing => return (matches!(self.test, Test::Exists(false)).into(), None),
            Found::Obstacle(obstacle) => return (Truth::Indeterminate, Some(Why::Obstacle(obstacle))),
            Found::NotKept => return not_kept(veil),
        };
        if let Some(veiled) = veil.veiled(node) {
            return self.veiled(veiled, veil);
        }
        if veil.within(node) && !matches!(self.test, Test::Exists(_)) {
            return not_kept(veil);
        }
        let wrong_type = (Truth::Indeterminate, Some(Why::Type(node.type_name())));
        let turned = |truth: Truth, negated: bool| if negated { truth.not() } else { truth };
        let truth = match (&self.test, &node.value) {
            (Test::Exists(wanted), _) => (*wanted).into(),
            (Test::Equal { value, negated }, _) => {
                if !value.same_type(node) {
                    return wrong_type;
                }
                turned(value.equals(node), *negated)
            }
            (Test::Order { value, holds }, Value::Number(spelt)) => match value.compare(spelt) {
                Some(order) => holds(order).into(),
                None => Truth::Indeterminate,
            },
            (Test::Among { choices, negated }, _) => match choices.hold(node) {
                Some(truth) => turned(truth, *negated),
                None => return wrong_type,
            },
            (Test::Regex(regex), Value::String(text)) if text.exact => regex.is_match(text.as_str()).into(),
            (Test::ContainsText { finder, .. }, Value::String(text)) if text.exact => {
                finder.find(text.as_str().as_bytes()).is_some().into()
            }
            (Test::Regex(_) | Test::ContainsText { .. }, Value::String(_)) => Truth::Indeterminate,
            (Test::ContainsText { value, .. } | Test::Contains(value), Value::Array(items)) => {
                if !items.iter().any(|item| value.same_type(item)) {
                    return (Truth::Indeterminate, Some(Why::NoElement));
                }
                Truth::any(items.iter().map(|item| value.equals(item)))
            }
            (Test::Order { .. } | Test::Regex(_) | Test::ContainsText { .. } | Test::Contains(_), _) => {
                return wrong_type;
            }
        };
        let why = (truth == Truth::Indeterminate).then(|| Why::Inexact(node.type_name()));
        (truth, why)
    }

    /// The condition for a value that was not kept, as far as what was kept of it tells.
    fn veiled<V: Veil + ?Sized>(&self, veiled: Veiled<'_>, veil: &V) -> (Truth, Option<Why>) {
        if let Test::Exists(wanted) = &self.test {
            return ((*wanted).into(), None);
        }
        let Veiled::Masked { type_name, digest } = veiled else { return not_kept(veil) };
        let types = ["boolean", "number", "string", "array", "object"];
        let Some(found) = types.into_iter().find(|name| *name == type_name) else { return not_kept(veil) };
        let fits = match &self.test {
            Test::Equal { value, .. } => value.type_name() == found,
            Test::Among { choices, .. } => choices.types().contains(&article(found)),
            Test::Exists(_) => true,
            Test::Order { .. } => found == "number",
            Test::Regex(_) => found == "string",
            Test::ContainsText { .. } => matches!(found, "string" | "array"),
            Test::Contains(_) => found == "array",
        };
        if !fits {
            return (Truth::Indeterminate, Some(Why::Type(found)));
        }
        let Ok(parsed) = json::parse(&self.value) else { return not_kept(veil) };
        let among = |items: &[Node<'_>]| {
            items.iter().any(|item| item.type_name() == found && veil.same(digest, item))
        };
        let (holds, negated) = match (&self.test, parsed.root.as_array()) {
            (Test::Equal { negated, .. }, _) => (veil.same(digest, &parsed.root), *negated),
            (Test::Among { negated, .. }, Some(items)) => (among(items), *negated),
            _ => return not_kept(veil),
        };
        ((holds != negated).into(), None)
    }

    /// What was found, in words: `args.amount is a string, a number is needed`.
    pub(super) fn say(&self, finding: &Finding) -> String {
        say(&self.path, finding, || self.needed())
    }

    /// The types that this condition can compare.
    fn needed(&self) -> String {
        match &self.test {
            Test::Equal { value, .. } => article(value.type_name()).to_owned(),
            Test::Order { .. } => "a number".to_owned(),
            Test::Among { choices, .. } => {
                let types = choices.types();
                if types.is_empty() { "nothing".to_owned() } else { types.join(" or ") }
            }
            Test::Exists(_) => "a value".to_owned(),
            Test::Regex(_) => "a string".to_owned(),
            Test::ContainsText { .. } => "a string or an array of strings".to_owned(),
            Test::Contains(value) => format!("an array of {}s", value.type_name()),
        }
    }
}

/// A value that only the running call had was needed.
fn not_kept<V: Veil + ?Sized>(veil: &V) -> (Truth, Option<Why>) {
    veil.met();
    (Truth::Indeterminate, Some(Why::NotKept))
}

impl Trail {
    fn copy(&self) -> Self {
        Self { steps: self.steps, indices: self.indices.clone() }
    }
}

/// The amount that a path takes from a call. Where the path ranges over elements, all of them are
/// added up.
///
/// # Errors
/// What was found instead, in words.
pub(super) fn amount<V: Veil + ?Sized>(
    path: &Path,
    arguments: Option<&Node<'_>>,
    veil: &V,
) -> Result<Amount, String> {
    let mut trail = Trail::default();
    let mut total = Amount::ZERO;
    let mut finding = None;
    let mut visit = |found: Found<'_, '_>, trail: &Trail| {
        let why = match found {
            Found::Missing => Why::Missing,
            Found::Obstacle(obstacle) => Why::Obstacle(obstacle),
            Found::NotKept => {
                veil.met();
                Why::NotKept
            }
            Found::Value(node) if veil.veiled(node).is_some() => {
                veil.met();
                Why::NotKept
            }
            Found::Value(node) => match node.value {
                Value::Number(spelt) => match Amount::parse(spelt) {
                    Some(amount) if amount < Amount::ZERO => Why::Uncountable("negative"),
                    Some(amount) => {
                        total = total.plus(amount);
                        return ControlFlow::Continue(());
                    }
                    None => Why::Uncountable("too large to count"),
                },
                _ => Why::Type(node.type_name()),
            },
        };
        finding = Some(Finding { why, trail: trail.copy() });
        ControlFlow::Break(())
    };
    let _ = match arguments {
        Some(node) => walk(path.steps(), node, veil, &mut trail, &mut visit),
        None => visit(Found::Missing, &trail),
    };
    match finding {
        None => Ok(total),
        Some(finding) => Err(say(path, &finding, || "a number".to_owned())),
    }
}

fn say(path: &Path, finding: &Finding, needed: impl Fn() -> String) -> String {
    let place = path.place(finding.trail.steps, &finding.trail.indices);
    match finding.why {
        Why::Type(found) => format!("{place} is {}, {} is needed", article(found), needed()),
        Why::NoElement => format!("{place} is an array without a fitting element, {} is needed", needed()),
        Why::Inexact("number") => format!("{place} is a number too extreme to compare"),
        Why::Inexact("string") => format!("{place} holds a character that cannot be read exactly"),
        Why::Inexact(_) => format!("{place} holds a value that cannot be compared exactly"),
        Why::Uncountable(what) => format!("{place} is {what}"),
        Why::Missing => format!("{} is missing, {} is needed", path.as_str(), needed()),
        Why::NotKept => format!("{place} was not kept"),
        Why::Obstacle(obstacle) => match obstacle {
            Obstacle::NoObject(found) => format!("{place} is {}, an object is needed", article(found)),
            Obstacle::NoContainer(found) => {
                format!("{place} is {}, an array or an object is needed", article(found))
            }
            Obstacle::NoArray(found) => format!("{place} is {}, an array is needed", article(found)),
            Obstacle::Twin => format!("{place} has a twin whose name differs only in case"),
            Obstacle::Repeated => format!("{place} is given more than once"),
            Obstacle::InexactName => {
                format!("{place} stands beside a name that cannot be read exactly")
            }
        },
    }
}

fn article(type_name: &'static str) -> &'static str {
    match type_name {
        "boolean" => "a boolean",
        "number" => "a number",
        "string" => "a string",
        "array" => "an array",
        "object" => "an object",
        other => other,
    }
}

#[cfg(test)]
mod tests;
