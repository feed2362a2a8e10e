//! Arguments out of a schema.
use crate::policy::model::Op;
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType {
    String,
    Number,
    Integer,
    Boolean,
    Array,
    Object,
    Null,
}
impl JsonType {
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
}
pub struct Argument {
    pub path: String,
    pub types: Vec<JsonType>,
    pub required: bool,
    pub choices: Vec<Value>,
    pub description: Option<String>,
}
pub struct ToolShape {
    pub arguments: Vec<Argument>,
}
impl ToolShape {
    pub fn from_schema(_name: &str, schema: &Value) -> Self {
        let mut arguments = Vec::new();
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for (name, it) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let types = match it.get("type").and_then(Value::as_str) {
                Some("string") => vec![JsonType::String],
                Some("number") => vec![JsonType::Number],
                Some("integer") => vec![JsonType::Integer],
                Some("boolean") => vec![JsonType::Boolean],
                Some("array") => vec![JsonType::Array],
                Some("object") => vec![JsonType::Object],
                _ => vec![],
            };
            arguments.push(Argument {
                path: format!("args.{}", name.replace('.', "\\.")),
                types,
                required: required.contains(&name.as_str()),
                choices: it.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
                description: it.get("description").and_then(Value::as_str).map(str::to_owned),
            });
        }
        Self { arguments }
    }
}
pub fn ops_for(types: &[JsonType]) -> Vec<Op> {
    match types {
        [JsonType::Boolean] => vec![Op::Eq, Op::Neq, Op::Exists],
        [JsonType::Number | JsonType::Integer] => {
            vec![Op::Gt, Op::Gte, Op::Lt, Op::Lte, Op::Eq, Op::Neq, Op::In, Op::NotIn, Op::Exists]
        }
        [JsonType::String] => vec![Op::Eq, Op::Neq, Op::In, Op::NotIn, Op::Regex, Op::Contains, Op::Exists],
        [JsonType::Array] => vec![Op::Contains, Op::Exists],
        _ => Op::ALL.to_vec(),
    }
}
