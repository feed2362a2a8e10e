//! A value over several lines for people: order and the spelling of numbers stay.

use super::canonical::quote;
use super::{Node, Value};

/// The value's lines, indented by two spaces; empty arrays and objects stay on one line.
pub fn pretty(node: &Node<'_>) -> Vec<String> {
    let mut out = String::new();
    write(node, 0, &mut out);
    out.lines().map(str::to_owned).collect()
}

fn write(node: &Node<'_>, depth: usize, out: &mut String) {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(spelt) => out.push_str(spelt),
        Value::String(text) => quote(&text.value, out),
        Value::Array(items) if items.is_empty() => out.push_str("[]"),
        Value::Object(members) if members.is_empty() => out.push_str("{}"),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                next(index, depth + 1, out);
                write(item, depth + 1, out);
            }
            end(depth, ']', out);
        }
        Value::Object(members) => {
            out.push('{');
            for (index, member) in members.iter().enumerate() {
                next(index, depth + 1, out);
                quote(&member.key.value, out);
                out.push_str(": ");
                write(&member.value, depth + 1, out);
            }
            end(depth, '}', out);
        }
    }
}

fn next(index: usize, depth: usize, out: &mut String) {
    out.push_str(if index == 0 { "\n" } else { ",\n" });
    out.extend(std::iter::repeat_n("  ", depth));
}

fn end(depth: usize, bracket: char, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
    out.push(bracket);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_spelling() {
        let text = r#"{"b":1.50,"a":[{"x":"\n"},[]]}"#;
        let lines = pretty(&crate::json::parse(text).expect("valid").root);
        assert_eq!(
            lines,
            [
                "{",
                "  \"b\": 1.50,",
                "  \"a\": [",
                "    {",
                "      \"x\": \"\\n\"",
                "    },",
                "    []",
                "  ]",
                "}"
            ]
        );
    }
}
