//! What a tool's input schema says about its arguments, as paths that conditions can use.
//!
//! Schemas come from servers, which nobody vouches for: references are followed only within the
//! document, and depth, breadth and work are bounded. What cannot be told is said to be open.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Number, Value};

use super::model::Op;
use super::path::{self, Path, Step};

/// How deep paths go.
const DEEPEST: usize = 6;
/// How many arguments are listed.
const MOST: usize = 500;
/// How many schema objects are looked at.
const WORK: usize = 4_000;
/// How many references and combinations may lie within each other.
const NESTED: usize = 24;

/// A JSON type as schemas name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JsonType {
    /// `string`
    String,
    /// `number`
    Number,
    /// `integer`
    Integer,
    /// `boolean`
    Boolean,
    /// `array`
    Array,
    /// `object`
    Object,
    /// `null`
    Null,
}

impl JsonType {
    /// The name in schemas.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Object => "object",
            Self::Null => "null",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let all =
            [Self::String, Self::Number, Self::Integer, Self::Boolean, Self::Array, Self::Object, Self::Null];
        all.into_iter().find(|kind| kind.name() == name)
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.is_f64() => Self::Number,
            Value::Number(_) => Self::Integer,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }
}

/// One argument that a tool takes, or a part of one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Argument {
    /// The path for conditions: `args.items[*].price`, dots within names escaped.
    pub path: String,
    /// Its types; empty when the schema does not say.
    pub types: Vec<JsonType>,
    /// Every call that keeps to the schema has it.
    pub required: bool,
    /// The values it may have; empty when it may have any.
    pub choices: Vec<Value>,
    /// What the server says about it.
    pub description: Option<String>,
    /// `format`
    pub format: Option<String>,
    /// `pattern`
    pub pattern: Option<String>,
    /// `minimum`
    pub min: Option<Number>,
    /// `maximum`
    pub max: Option<Number>,
    /// It may hold parts that the schema does not name.
    pub open: bool,
}

/// The arguments of a tool.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ToolShape {
    /// The tool's name.
    pub name: String,
    /// Its arguments, each before its parts.
    pub arguments: Vec<Argument>,
    /// It takes arguments that the schema does not name.
    pub open: bool,
}

/// What a shape knows about a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Known<'s> {
    /// The server has it.
    Yes(&'s Argument),
    /// The server has no such argument.
    No,
    /// The schema leaves it open.
    Unsure,
}

impl ToolShape {
    /// Reads a tool's `inputSchema`.
    pub fn from_schema(name: &str, schema: &Value) -> Self {
        let mut reader = Reader { root: schema, work: WORK, arguments: Vec::new() };
        let facts = reader.facts(schema, NESTED);
        let open = facts.is_open();
        reader.members("args", &facts, true, DEEPEST);
        let open = open || reader.work == 0 || reader.arguments.len() >= MOST;
        Self { name: name.to_owned(), arguments: reader.arguments, open }
    }

    /// The argument at a path as it is written.
    pub fn argument(&self, path: &str) -> Option<&Argument> {
        self.arguments.iter().find(|argument| argument.path == path)
    }

    /// What is known about a path; number steps name the elements of an array.
    pub fn known(&self, path: &Path) -> Known<'_> {
        let mut at = "args".to_owned();
        let mut above: Option<&Argument> = None;
        for step in path.steps() {
            let mut next = at.clone();
            match step {
                Step::Name(name) => {
                    next.push('.');
                    path::escape(name, &mut next);
                }
                Step::Number { text, .. } => {
                    next.push('.');
                    next.push_str(text);
                    if self.argument(&next).is_none() {
                        next = format!("{at}[*]");
                    }
                }
                Step::Each => next.push_str("[*]"),
            }
            let Some(found) = self.argument(&next) else {
                let open = above.map_or(self.open, |above| above.open || above.types.is_empty());
                return if open { Known::Unsure } else { Known::No };
            };
            above = Some(found);
            at = next;
        }
        above.map_or(Known::Unsure, Known::Yes)
    }
}

/// The operators that fit values of these types, most likely first.
pub fn ops_for(types: &[JsonType]) -> Vec<Op> {
    let has = |wanted: &[JsonType]| types.is_empty() || types.iter().any(|kind| wanted.contains(kind));
    let number = has(&[JsonType::Number, JsonType::Integer]);
    let (string, array) = (has(&[JsonType::String]), has(&[JsonType::Array]));
    let (boolean, object) = (has(&[JsonType::Boolean]), has(&[JsonType::Object]));
    let mut ops = Vec::with_capacity(Op::ALL.len());
    if types.is_empty() {
        return Op::ALL.to_vec();
    }
    if number {
        ops.extend([Op::Gt, Op::Gte, Op::Lt, Op::Lte]);
    }
    if string || number || boolean {
        ops.extend([Op::Eq, Op::Neq]);
    }
    if string || number {
        ops.extend([Op::In, Op::NotIn]);
    }
    if string {
        ops.push(Op::Regex);
    }
    if string || array {
        ops.push(Op::Contains);
    }
    ops.push(Op::Exists);
    if (array || object) && !ops.contains(&Op::Eq) {
        ops.extend([Op::Eq, Op::Neq]);
    }
    ops
}

/// What a schema says about one value, references and combinations taken together.
#[derive(Debug, Clone, Default)]
struct Facts<'s> {
    /// `None`: any.
    types: Option<Vec<JsonType>>,
    choices: Option<Vec<Value>>,
    properties: Vec<(&'s str, &'s Value)>,
    required: BTreeSet<&'s str>,
    items: Vec<&'s Value>,
    /// Whether members beyond `properties` are taken, where the schema says so.
    more: Option<bool>,
    description: Option<&'s str>,
    format: Option<&'s str>,
    pattern: Option<&'s str>,
    min: Option<&'s Number>,
    max: Option<&'s Number>,
}

impl<'s> Facts<'s> {
    fn may_be(&self, kind: JsonType) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(&kind))
    }

    /// Schemas seldom say that nothing else is taken: members that are named count as all.
    fn is_open(&self) -> bool {
        self.more.unwrap_or(self.properties.is_empty() && self.may_be(JsonType::Object))
    }

    /// Both hold.
    fn and(mut self, other: Self) -> Self {
        self.types = match (self.types, other.types) {
            (Some(ours), Some(theirs)) => {
                let both: Vec<JsonType> = ours.iter().copied().filter(|kind| theirs.contains(kind)).collect();
                // `number` and `integer` overlap.
                Some(if both.is_empty() { ours } else { both })
            }
            (ours, theirs) => ours.or(theirs),
        };
        self.choices = self.choices.or(other.choices);
        add(&mut self.properties, other.properties);
        self.required.extend(other.required);
        self.items.extend(other.items);
        self.more = match (self.more, other.more) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (ours, theirs) => ours.or(theirs),
        };
        self.rest(other.description, other.format, other.pattern);
        self.min = self.min.or(other.min);
        self.max = self.max.or(other.max);
        self
    }

    fn rest(&mut self, description: Option<&'s str>, format: Option<&'s str>, pattern: Option<&'s str>) {
        self.description = self.description.or(description);
        self.format = self.format.or(format);
        self.pattern = self.pattern.or(pattern);
    }

    /// One of them holds.
    fn any(all: Vec<Self>) -> Self {
        let null = |facts: &Self| facts.types.as_deref() == Some(&[JsonType::Null]);
        let nullable = all.iter().any(null);
        let mut real = all.into_iter().filter(|facts| !null(facts));
        let Some(mut one) = real.next() else {
            return Self { types: Some(vec![JsonType::Null]), ..Self::default() };
        };
        let mut many = false;
        for other in real {
            many = true;
            one.types = match (one.types, other.types) {
                (Some(mut ours), Some(theirs)) => {
                    ours.extend(theirs);
                    Some(ours)
                }
                _ => None,
            };
            one.choices = match (one.choices, other.choices) {
                (Some(mut ours), Some(theirs)) => {
                    ours.extend(theirs);
                    Some(ours)
                }
                _ => None,
            };
            add(&mut one.properties, other.properties);
            one.required = one.required.intersection(&other.required).copied().collect();
            one.items.extend(other.items);
            one.more = if one.more == other.more { one.more } else { Some(true) };
            one.rest(other.description, None, None);
        }
        if many {
            (one.format, one.pattern, one.min, one.max) = (None, None, None, None);
        }
        if let Some(types) = &mut one.types {
            if nullable {
                types.push(JsonType::Null);
            }
            let mut seen = BTreeSet::new();
            types.retain(|kind| seen.insert(*kind));
        }
        one
    }
}

fn add<'s>(to: &mut Vec<(&'s str, &'s Value)>, from: Vec<(&'s str, &'s Value)>) {
    let known: BTreeSet<&str> = to.iter().map(|(name, _)| *name).collect();
    to.extend(from.into_iter().filter(|(name, _)| !known.contains(name)));
}

struct Reader<'s> {
    root: &'s Value,
    /// Schema objects that may still be looked at.
    work: usize,
    arguments: Vec<Argument>,
}

impl<'s> Reader<'s> {
    fn facts(&mut self, schema: &'s Value, nested: usize) -> Facts<'s> {
        let unknown = || Facts { more: Some(true), ..Facts::default() };
        let Some(object) = schema.as_object() else { return Facts::default() };
        if nested == 0 || self.work == 0 {
            return unknown();
        }
        self.work -= 1;
        let mut facts = Self::own(object);
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            let target = target.map_or_else(unknown, |target| self.facts(target, nested - 1));
            facts = facts.and(target);
        }
        for part in list(object, "allOf") {
            let part = self.facts(part, nested - 1);
            facts = facts.and(part);
        }
        for key in ["anyOf", "oneOf"] {
            let alternatives = list(object, key);
            if !alternatives.is_empty() {
                let all = alternatives.iter().map(|part| self.facts(part, nested - 1)).collect();
                facts = facts.and(Facts::any(all));
            }
        }
        facts
    }

    /// What the schema object says itself.
    fn own(object: &'s Map<String, Value>) -> Facts<'s> {
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let number = |key: &str| object.get(key).and_then(Value::as_number);
        let mut choices = object.get("enum").and_then(Value::as_array).cloned();
        if let Some(value) = object.get("const") {
            choices = Some(vec![value.clone()]);
        }
        let mut types = match object.get("type") {
            Some(Value::String(name)) => JsonType::parse(name).map(|kind| vec![kind]),
            Some(Value::Array(names)) => {
                Some(names.iter().filter_map(Value::as_str).filter_map(JsonType::parse).collect())
            }
            _ => None,
        };
        if types.is_none() {
            if let Some(choices) = &choices {
                let set: BTreeSet<JsonType> = choices.iter().map(JsonType::of).collect();
                types = Some(set.into_iter().collect());
            } else if object.contains_key("properties") {
                types = Some(vec![JsonType::Object]);
            } else if object.contains_key("items") {
                types = Some(vec![JsonType::Array]);
            }
        }
        if let (Some(types), Some(true)) = (&mut types, object.get("nullable").and_then(Value::as_bool)) {
            types.push(JsonType::Null);
        }
        let properties = object.get("properties").and_then(Value::as_object);
        let more = match object.get("additionalProperties") {
            Some(Value::Bool(more)) => Some(*more),
            Some(_) => Some(true),
            None if object.contains_key("patternProperties") => Some(true),
            None => None,
        };
        Facts {
            types,
            choices,
            properties: properties
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.as_str(), value))
                .collect(),
            required: list(object, "required").iter().filter_map(Value::as_str).collect(),
            items: object.get("items").filter(|items| items.is_object()).into_iter().collect(),
            more,
            description: text("description"),
            format: text("format"),
            pattern: text("pattern"),
            min: number("minimum"),
            max: number("maximum"),
        }
    }

    fn members(&mut self, at: &str, facts: &Facts<'s>, required: bool, depth: usize) {
        for (name, schema) in &facts.properties {
            let mut path = format!("{at}.");
            path::escape(name, &mut path);
            let inner = self.facts(schema, NESTED);
            self.argument(&path, &inner, required && facts.required.contains(name), depth);
        }
    }

    fn argument(&mut self, path: &str, facts: &Facts<'s>, required: bool, depth: usize) {
        // A name that no path can spell is no argument for rules.
        if self.arguments.len() >= MOST || Path::parse(path).is_err() {
            return;
        }
        let elements = facts.may_be(JsonType::Array) && !facts.items.is_empty();
        let open = depth == 0
            || (facts.may_be(JsonType::Object) && facts.is_open())
            || (facts.may_be(JsonType::Array) && facts.items.is_empty());
        self.arguments.push(Argument {
            path: path.to_owned(),
            types: facts.types.clone().unwrap_or_default(),
            required,
            choices: facts.choices.clone().unwrap_or_default(),
            description: facts.description.map(str::to_owned),
            format: facts.format.map(str::to_owned),
            pattern: facts.pattern.map(str::to_owned),
            min: facts.min.cloned(),
            max: facts.max.cloned(),
            open,
        });
        if depth == 0 {
            return;
        }
        self.members(path, facts, required, depth - 1);
        if elements {
            let all: Vec<Facts<'s>> = facts.items.iter().map(|items| self.facts(items, NESTED)).collect();
            // An array may be empty, so nothing within it is sure to be there.
            self.argument(&format!("{path}[*]"), &Facts::any(all), false, depth - 1);
        }
    }
}

fn list<'s>(object: &'s Map<String, Value>, key: &str) -> &'s [Value] {
    object.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Shapes by name, for many look-ups.
pub(super) fn by_name(shapes: &[ToolShape]) -> HashMap<&str, &ToolShape> {
    shapes.iter().map(|shape| (shape.name.as_str(), shape)).collect()
}

#[cfg(test)]
#[path = "schema/tests.rs"]
mod tests;
