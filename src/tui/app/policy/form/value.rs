//! A condition's value between what people type and the document's JSON.

use crate::json;
use crate::policy::model::Op;
use crate::policy::schema::JsonType;

/// What kind of value an operator takes from an argument of these types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// Text, taken as it is typed.
    Text,
    /// A regular expression.
    Pattern,
    /// Several values.
    List,
    /// Whatever it looks like.
    Any,
}

/// What kind of value is needed.
pub(super) fn kind(op: Op, types: &[JsonType]) -> Kind {
    let all = |wanted: &[JsonType]| !types.is_empty() && types.iter().all(|it| wanted.contains(it));
    match op {
        Op::Exists => Kind::Boolean,
        Op::Lt | Op::Lte | Op::Gt | Op::Gte => Kind::Number,
        Op::In | Op::NotIn => Kind::List,
        Op::Regex => Kind::Pattern,
        Op::Eq | Op::Neq | Op::Contains if all(&[JsonType::String]) => Kind::Text,
        Op::Eq | Op::Neq if all(&[JsonType::Boolean]) => Kind::Boolean,
        Op::Eq | Op::Neq if all(&[JsonType::Number, JsonType::Integer]) => Kind::Number,
        Op::Eq | Op::Neq | Op::Contains => Kind::Any,
    }
}

/// The JSON of what was typed.
pub(super) fn to_json(op: Op, types: &[JsonType], text: &str) -> Result<String, String> {
    match kind(op, types) {
        Kind::Boolean => match text.trim() {
            "true" => Ok("true".to_owned()),
            "false" => Ok("false".to_owned()),
            _ => Err("true or false".to_owned()),
        },
        Kind::Number => number(text).ok_or_else(|| "write a number, for instance 100 or 99.50".to_owned()),
        Kind::Text => {
            if text.is_empty() {
                return Err("write the text".to_owned());
            }
            Ok(string(text))
        }
        Kind::Pattern => pattern(text),
        Kind::List => list(types, text),
        Kind::Any => any(text),
    }
}

/// What is typed for a JSON value; the other way round.
pub(super) fn to_text(op: Op, types: &[JsonType], json: &str) -> String {
    let value: serde_json::Value = match serde_json::from_str(json) {
        Ok(value) => value,
        Err(_) => return json.to_owned(),
    };
    let text = match (&value, kind(op, types)) {
        (serde_json::Value::String(text), _) => text.clone(),
        (serde_json::Value::Array(items), Kind::List) => {
            let plain = |item: &serde_json::Value| match item {
                serde_json::Value::String(text) => Some(text.clone()),
                serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
                other => Some(other.to_string()),
            };
            items
                .iter()
                .map(plain)
                .collect::<Option<Vec<_>>>()
                .map_or_else(|| json.to_owned(), |it| it.join(", "))
        }
        _ => json.trim().to_owned(),
    };
    // Only where it reads back as the same value; else the JSON itself is shown.
    let same = to_json(op, types, &text)
        .ok()
        .and_then(|back| serde_json::from_str::<serde_json::Value>(&back).ok())
        .is_some_and(|back| back == value);
    if same { text } else { json.trim().to_owned() }
}

fn number(text: &str) -> Option<String> {
    let text = text.trim();
    let starts = text.bytes().next().is_some_and(|byte| byte == b'-' || byte.is_ascii_digit());
    (starts && json::parse(text).is_ok()).then(|| text.to_owned())
}

fn string(text: &str) -> String {
    // Quoted text is JSON already: that is how a text with quotes or escapes is written.
    if text.len() >= 2 && text.starts_with('"') && text.ends_with('"') && json::parse(text).is_ok() {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

fn pattern(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("write a regular expression, for instance ^main$".to_owned());
    }
    match regex::Regex::new(text) {
        Ok(_) => Ok(serde_json::Value::from(text).to_string()),
        Err(regex::Error::CompiledTooBig(_)) => Err("the expression is too big".to_owned()),
        Err(error) => {
            let text = error.to_string();
            Err(text.lines().last().unwrap_or("it does not compile").trim_start_matches("error: ").to_owned())
        }
    }
}

fn list(types: &[JsonType], text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.starts_with('[') {
        return match serde_json::from_str::<Vec<serde_json::Value>>(text) {
            Ok(items) if items.is_empty() => Err("an empty list holds for nothing".to_owned()),
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(format!("not a JSON array: {error}")),
        };
    }
    let only = |wanted: &[JsonType]| !types.is_empty() && types.iter().all(|it| wanted.contains(it));
    let mut items = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        items.push(if only(&[JsonType::Number, JsonType::Integer]) {
            number(part).ok_or_else(|| format!("`{part}` is no number"))?
        } else if only(&[JsonType::String]) {
            string(part)
        } else {
            any(part)?
        });
    }
    if items.is_empty() {
        return Err("write values with commas between: main, dev".to_owned());
    }
    Ok(format!("[{}]", items.join(", ")))
}

fn any(text: &str) -> Result<String, String> {
    let trimmed = text.trim();
    match trimmed {
        "" => Err("write a value".to_owned()),
        "null" => Err("null is asked for with `exists`".to_owned()),
        "true" | "false" => Ok(trimmed.to_owned()),
        _ if trimmed.starts_with(['{', '[']) => match json::parse(trimmed) {
            Ok(_) => Ok(trimmed.to_owned()),
            Err(error) => Err(format!("not JSON: {}", error.kind)),
        },
        _ => Ok(number(trimmed).unwrap_or_else(|| string(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_values_become_json_of_the_arguments_type() {
        let text = [JsonType::String];
        let number = [JsonType::Integer];
        for (op, types, typed, json) in [
            (Op::Eq, &text[..], "main", r#""main""#),
            (Op::Eq, &text[..], "5", r#""5""#),
            (Op::Eq, &text[..], r#""a\nb""#, r#""a\nb""#),
            (Op::Eq, &[][..], "5", "5"),
            (Op::Eq, &[][..], "main", r#""main""#),
            (Op::Eq, &[JsonType::Boolean][..], "true", "true"),
            (Op::Gt, &number[..], "99.50", "99.50"),
            (Op::In, &text[..], "main, dev", r#"["main", "dev"]"#),
            (Op::In, &number[..], "1,2", "[1, 2]"),
            (Op::NotIn, &[][..], r#"["a, b", 1]"#, r#"["a, b", 1]"#),
            (Op::Regex, &text[..], r"^a\d+$", r#""^a\\d+$""#),
            (Op::Exists, &text[..], "false", "false"),
        ] {
            assert_eq!(to_json(op, types, typed).as_deref(), Ok(json), "{op:?} {typed}");
            let shown = to_text(op, types, json);
            assert_eq!(to_json(op, types, &shown).as_deref(), Ok(json), "{op:?} {typed} shown as {shown}");
        }
        for (op, types, typed) in [
            (Op::Gt, &number[..], "many"),
            (Op::Gt, &number[..], "01"),
            (Op::Regex, &text[..], "a("),
            (Op::In, &number[..], "1,x"),
            (Op::In, &text[..], " , "),
            (Op::Eq, &[][..], "null"),
        ] {
            assert!(to_json(op, types, typed).is_err(), "{op:?} {typed}");
        }
        assert_eq!(
            to_text(Op::Eq, &[], r#""5""#),
            r#""5""#,
            "text that looks like a number keeps its quotes"
        );
    }
}
