//! One text for all spellings of a value: members sorted by name, numbers by value, no white
//! space. Equal values give equal bytes, so digests of them can be compared.

use sha2::{Digest, Sha256};

use super::number::Decimal;
use super::{Node, Value};

/// The canonical text of a value.
pub fn canonical(node: &Node<'_>) -> String {
    let mut out = String::new();
    write(node, &mut out);
    out
}

fn write(node: &Node<'_>, out: &mut String) {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(spelt) => match Decimal::parse(spelt) {
            Some(number) => out.push_str(&number.to_string()),
            // Too extreme to normalise; its own spelling still tells it from others.
            None => out.push_str(spelt),
        },
        Value::String(text) => quote(&text.value, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|a, b| a.key.value.cmp(&b.key.value));
            out.push('{');
            for (index, member) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                quote(&member.key.value, out);
                out.push(':');
                write(&member.value, out);
            }
            out.push('}');
        }
    }
}

/// The SHA-256 of some bytes, as 64 lower-case hex digits.
pub fn sha256(bytes: &[u8]) -> String {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |value: u8| *HEX.get(usize::from(value)).unwrap_or(&'0');
    Sha256::digest(bytes).iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// The SHA-256 of a call's arguments, whatever their spelling; absent and null ones are `{}`. `None`
/// where a string holds an unpaired surrogate: what parsers make of it differs, so such arguments are
/// equal to none.
pub fn arguments_sha256(arguments: Option<&Node<'_>>) -> Option<String> {
    match arguments.filter(|node| !node.is_null()) {
        Some(node) if exact(node) => Some(sha256(canonical(node).as_bytes())),
        Some(_) => None,
        None => Some(sha256(b"{}")),
    }
}

fn exact(node: &Node<'_>) -> bool {
    match &node.value {
        Value::String(text) => text.exact,
        Value::Array(items) => items.iter().all(exact),
        Value::Object(members) => members.iter().all(|member| member.key.exact && exact(&member.value)),
        _ => true,
    }
}

/// Appends a string with its quotes, escaping only what JSON demands.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 => {
                const HEX: [char; 16] =
                    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
                out.push_str("\\u00");
                out.push(if u32::from(c) < 0x10 { '0' } else { '1' });
                out.push(*HEX.get(u32::from(c) as usize & 0xf).unwrap_or(&'0'));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn is_the_same_for_all_spellings() {
        let a = parse(r#"{"b":[1.0,1e2],"a":"\u0041\n"}"#).expect("valid").root;
        let b = parse(r#" { "a" : "A\n" , "b" : [ 1 , 100 ] } "#).expect("valid").root;
        assert_eq!(canonical(&a), canonical(&b));
        assert_eq!(canonical(&a), r#"{"a":"A\n","b":[1,100]}"#);
    }

    #[test]
    fn arguments_have_one_digest_however_they_are_spelt() {
        let of = |text: &str| arguments_sha256(Some(&parse(text).expect("valid").root));
        assert_eq!(of(r#"{"b":1.0,"a":2}"#), of(r#"{ "a": 2, "b": 1 }"#));
        assert_ne!(of(r#"{"a":2}"#), of(r#"{"a":"2"}"#));
        assert_eq!(of("null"), of("{}"));
        assert_eq!(arguments_sha256(None), of("{}"));
        assert_eq!(sha256(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
