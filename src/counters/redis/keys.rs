//! How things are called in Redis, and how amounts are spelt there. Pure.
//!
//! Every key begins with `callgate:{FLEET}:`. The braces make one slot of a cluster of them, so a
//! script may touch them all. What names carry is escaped, so that no name reaches into another's
//! key.

use std::fmt::Write as _;

use crate::policy::counter::{Amount, CounterKey};
use crate::policy::model::Scope;

/// The keys of one fleet.
#[derive(Debug, Clone)]
pub(crate) struct Keys(String);

impl Keys {
    pub(crate) fn new(fleet: &str) -> Self {
        Self(format!("callgate:{{{fleet}}}:"))
    }

    /// A key of which there is one.
    pub(crate) fn one(&self, name: &str) -> String {
        format!("{}{name}", self.0)
    }

    pub(super) fn counter(&self, key: &CounterKey) -> String {
        format!(
            "{}counter:{}:{}:{}:{}:{}",
            self.0,
            key.scope.name(),
            key.window,
            escape(&key.server),
            escape(&key.scope_value),
            escape(&key.counter)
        )
    }

    /// What a server's lists showed.
    pub(super) fn seen(&self, server: &str) -> String {
        format!("{}seen:{}", self.0, escape(server))
    }

    /// Which counter a key is; `None` where it is none.
    pub(super) fn read_counter(&self, key: &str) -> Option<CounterKey> {
        let mut parts = key.strip_prefix(&self.0)?.strip_prefix("counter:")?.split(':');
        let mut next = || parts.next();
        let (scope, window) = (Scope::parse(next()?)?, next()?.parse().ok()?);
        let key = CounterKey {
            scope,
            window,
            server: unescape(next()?)?,
            scope_value: unescape(next()?)?,
            counter: unescape(next()?)?,
        };
        parts.next().is_none().then_some(key)
    }
}

/// Everything but letters, digits, `-`, `_` and `.` as `%` and two digits a byte.
pub(super) fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02x}");
        }
    }
    out
}

fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// A part of a value that may be absent: no name is spelt `-` alone but with a mark before it.
pub(super) fn optional(name: Option<&str>) -> String {
    name.map_or_else(|| "-".to_owned(), |name| format!("={}", escape(name)))
}

/// As scripts reckon with it: 42 digits, three limbs that a double holds exactly. `-` for what is
/// negative, which never fits and is never counted.
pub(super) fn digits(amount: Amount) -> String {
    if amount < Amount::ZERO { "-".to_owned() } else { format!("{:042}", amount.0) }
}

pub(super) fn read_digits(text: &str) -> Option<Amount> {
    text.parse::<i128>().ok().map(Amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_reaches_into_anothers_key() {
        let keys = Keys::new("f");
        let names = ["", "a", "a:b", "a:", ":a", "%3a", "}{", "ä\n", "-", "=", "b:c:d", "*"];
        let mut seen = std::collections::HashSet::new();
        for server in names {
            for value in names {
                for counter in names {
                    let key = CounterKey {
                        server: server.to_owned(),
                        scope: Scope::Session,
                        scope_value: value.to_owned(),
                        counter: counter.to_owned(),
                        window: 60,
                    };
                    let spelt = keys.counter(&key);
                    assert!(spelt.starts_with("callgate:{f}:counter:session:60:"));
                    assert_eq!(keys.read_counter(&spelt).as_ref(), Some(&key));
                    assert!(seen.insert(spelt));
                }
            }
        }
        assert_eq!(keys.read_counter("callgate:{f}:counter:grant:60:a:b:c:d"), None);
        assert_eq!(keys.read_counter("callgate:{g}:counter:grant:60:a:b:c"), None);
        assert_ne!(optional(None), optional(Some("-")));
    }

    #[test]
    fn amounts_come_back() {
        for amount in [0, 1, 9_007_199_254_740_993, i128::MAX] {
            let spelt = digits(Amount(amount));
            assert_eq!((spelt.len(), read_digits(&spelt)), (42, Some(Amount(amount))));
        }
        assert_eq!(digits(Amount(-1)), "-");
    }
}
