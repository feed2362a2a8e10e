//! Ids of requests: forwarded as spelt, matched by value.

use crate::json::number::Decimal;
use crate::json::{self, Node, Value};

/// A request's id, as it is spelt and as it is matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id {
    /// The JSON text, for instance `7`, `16.0` or `"a\u0062"`.
    pub raw: String,
    /// What other spellings are compared by.
    pub key: IdKey,
}

/// An id by value: strings decoded, numbers as the decimals that they spell, so that an answer
/// to `16.0` is found under `16`. A number and a string are never equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum IdKey {
    /// A string, decoded.
    Text(String),
    /// A whole number of up to 64 bits.
    Integer(i64),
    /// Any other number.
    Number(Decimal),
    /// A number whose exponent is too large to be normalised, as it is spelt.
    Spelt(String),
}

impl Id {
    /// From a node that was read out of `text`. `None` for what is no id: anything but a string
    /// or a number, and a string with an unpaired surrogate, which parsers read differently.
    pub fn from_node(node: &Node<'_>, text: &str) -> Option<Self> {
        let key = match &node.value {
            Value::String(id) if id.exact => IdKey::Text(id.value.clone().into_owned()),
            Value::Number(spelt) => IdKey::from_number(spelt),
            _ => return None,
        };
        Some(Self { raw: node.span.of(text).to_owned(), key })
    }

    /// From the bytes of one JSON value. `None` as in [`Id::from_node`].
    pub fn from_json(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        Self::from_node(&json::parse(text).ok()?.root, text)
    }
}

impl IdKey {
    fn from_number(spelt: &str) -> Self {
        // Nearly every id is a short plain integer.
        if spelt.len() <= 18
            && let Ok(integer) = spelt.parse()
        {
            return Self::Integer(integer);
        }
        match Decimal::parse(spelt) {
            None => Self::Spelt(spelt.to_owned()),
            Some(number) if number.is_integer() => {
                match number.scaled_up(0).and_then(|whole| i64::try_from(whole).ok()) {
                    Some(integer) => Self::Integer(integer),
                    None => Self::Number(number),
                }
            }
            Some(number) => Self::Number(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Id {
        Id::from_json(text.as_bytes()).expect(text)
    }

    #[test]
    fn matches_by_value_and_keeps_the_spelling() {
        for (a, b, same) in [
            ("1", "1.0", true),
            ("16", "1.6e1", true),
            ("0", "-0", true),
            ("-0.0", "0", true),
            ("1", "\"1\"", false),
            (r#""ab""#, r#""a\u0062""#, true),
            ("9007199254740993", "9007199254740992", false),
            ("9223372036854775807", "9223372036854775807.0", true),
            ("9223372036854775808", "9223372036854775808.0", true),
            ("1e400", "10e399", true),
            ("0.5", "5e-1", true),
            ("1e99999999999999999999", "1e99999999999999999999", true),
        ] {
            assert_eq!(id(a).key == id(b).key, same, "{a} {b}");
            assert_eq!(id(a).raw, a);
        }
    }

    #[test]
    fn refuses_what_is_no_id() {
        for text in ["null", "true", "[]", "{}", r#""\ud800""#, "1 2", ""] {
            assert_eq!(Id::from_json(text.as_bytes()), None, "{text}");
        }
    }
}
