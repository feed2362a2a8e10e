//! The counters of a decision, read in place.

use serde::Deserialize;

use super::Text;
use super::walk::Walk;
use crate::policy::counter::Amount;
use crate::time::Timestamp;

/// A limit's counter as a decision records it, in place.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CounterLine<'a> {
    /// The counter's name.
    #[serde(borrow)]
    pub counter: Text<'a>,
    /// `grant`, `server` or `session`.
    #[serde(borrow)]
    pub scope: Text<'a>,
    /// The scope's value.
    #[serde(borrow)]
    pub key: Text<'a>,
    /// The window's length in seconds.
    pub window: u64,
    /// What it held after the decision.
    pub used: Amount,
    /// The limit.
    pub max: Amount,
    /// When it was to be empty again.
    pub resets_at: Timestamp,
}

/// Reads `counters` of a decision and gives each to `visit`. `false` when they cannot be read;
/// `visit` may have had some of them by then.
pub fn counters<'a>(text: &'a str, mut visit: impl FnMut(CounterLine<'a>)) -> bool {
    if text == "[]" {
        return true;
    }
    if let Some(read) = quick(text) {
        read.into_iter().flatten().for_each(visit);
        return true;
    }
    match serde_json::from_str::<Vec<CounterLine<'a>>>(text) {
        Ok(read) => {
            read.into_iter().for_each(&mut visit);
            true
        }
        Err(_) => false,
    }
}

/// How many counters the quick way reads; hardly a call has more limits.
const QUICK: usize = 4;

/// Reads counters that are spelt as the gateway prints them; `None` for others.
fn quick(text: &str) -> Option<[Option<CounterLine<'_>>; QUICK]> {
    let mut found = [const { None }; QUICK];
    let mut at = Walk::new(text);
    at.expect(b'[')?;
    for slot in &mut found {
        *slot = Some(one(&mut at)?);
        if at.peek()? == b',' {
            at.expect(b',')?;
        } else {
            at.expect(b']')?;
            return at.peek().is_none().then_some(found);
        }
    }
    None
}

fn one<'a>(at: &mut Walk<'a>) -> Option<CounterLine<'a>> {
    let named = |start: u8, name: &str, at: &mut Walk<'a>| {
        at.expect(start)?;
        (at.string()? == name).then_some(())?;
        at.expect(b':')
    };
    named(b'{', "counter", at)?;
    let counter = super::walk::text(at.string()?);
    named(b',', "scope", at)?;
    let scope = super::walk::text(at.string()?);
    named(b',', "key", at)?;
    let key = super::walk::text(at.string()?);
    named(b',', "window", at)?;
    let window = at.number()?;
    named(b',', "used", at)?;
    let used = amount(at.value()?)?;
    named(b',', "max", at)?;
    let max = amount(at.value()?)?;
    named(b',', "resets_at", at)?;
    let resets_at = Timestamp::parse_utc(at.string()?.as_bytes())?;
    at.expect(b'}')?;
    Some(CounterLine { counter, scope, key, window, used, max, resets_at })
}

/// An amount; most are small whole numbers.
fn amount(spelt: &str) -> Option<Amount> {
    if spelt.len() <= 15 && spelt.bytes().all(|digit| digit.is_ascii_digit()) {
        return spelt.parse::<i128>().ok().map(|whole| Amount(whole * 1_000_000));
    }
    Amount::parse(spelt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<CounterLine<'_>>> {
        let mut all = Vec::new();
        counters(text, |one| all.push(one)).then_some(all)
    }

    #[test]
    fn the_quick_way_gives_what_serde_gives() {
        let one = r#"{"counter":"c","scope":"grant","key":"local","window":60,"used":3,"max":30.5,"resets_at":"2026-11-20T21:21:00.000000Z"}"#;
        for (text, is_quick) in [
            (format!("[{one}]"), true),
            (format!("[{one},{one},{one},{one}]"), true),
            (format!("[{}]", one.replace("\"used\":3", "\"used\":-1.5")), true),
            (format!("[{one},{one},{one},{one},{one}]"), false),
            (format!("[{one}, {one}]"), false),
            (format!("[{}]", one.replace("\"c\"", "\"c\\u0041\"")), false),
            (format!("[{}]", one.replace("000000Z", "000000+01:00")), false),
        ] {
            assert_eq!(quick(&text).is_some(), is_quick, "{text}");
            let slow: Vec<CounterLine<'_>> = serde_json::from_str(&text).unwrap();
            assert_eq!(read(&text), Some(slow), "{text}");
        }
        assert_eq!(read("[]"), Some(Vec::new()));
        for broken in ["", "[", "[{}]", "{}", "null"] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }
}
