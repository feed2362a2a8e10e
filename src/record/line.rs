//! A line read in place, for those who look at millions of them: what a filter and a terminal
//! need, borrowed from the line where it holds no escapes.

mod call;
mod counters;
mod walk;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{EventKind, Status, Verdict};
use crate::time::Timestamp;

pub use call::CallLine;
pub use counters::{CounterLine, counters};

/// A string that borrows where it can, also within an `Option`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> serde::de::Visitor<'de> for Visit {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Visit)
    }
}

/// Any record, in place. Members that a kind of record does not have are empty.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Line<'a> {
    /// `decision`, `outcome` or `event`.
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// As in [`super::Decision`].
    pub seq: u64,
    /// When it happened.
    pub ts: Timestamp,
    /// The id of the gateway run.
    #[serde(borrow)]
    pub gateway: Text<'a>,
    /// The server's name.
    #[serde(borrow, default)]
    pub server: Option<Text<'a>>,
    /// The grant's label.
    #[serde(borrow, default)]
    pub grant: Option<Text<'a>>,
    /// The session.
    #[serde(borrow, default)]
    pub session: Option<Text<'a>>,
    /// The client.
    #[serde(borrow, default)]
    pub client: Option<Text<'a>>,
    /// The method.
    #[serde(borrow, default)]
    pub method: Option<Text<'a>>,
    /// The tool.
    #[serde(borrow, default)]
    pub tool: Option<Text<'a>>,
    /// The decision.
    #[serde(default)]
    pub decision: Option<Verdict>,
    /// The JSON-RPC id, as JSON.
    #[serde(borrow, default, deserialize_with = "spelt")]
    pub request_id: Option<&'a str>,
    /// `false` when the call passed although it could not be decided or recorded as it should.
    #[serde(default)]
    pub enforced: Option<bool>,
    /// The rule.
    #[serde(borrow, default)]
    pub rule: Option<Text<'a>>,
    /// The exact pointer into the document that decided.
    #[serde(borrow, default)]
    pub pointer: Option<Text<'a>>,
    /// The message.
    #[serde(borrow, default)]
    pub message: Option<Text<'a>>,
    /// The policy's revision.
    #[serde(borrow, default)]
    pub policy: Option<Text<'a>>,
    /// Every limit of the call after the decision, as JSON; see [`counters`].
    #[serde(borrow, default, deserialize_with = "spelt")]
    pub counters: Option<&'a str>,
    /// Whether the call was counted.
    #[serde(default)]
    pub counted: Option<bool>,
    /// Of a decision, how long it took in microseconds, as it is spelt.
    #[serde(borrow, default, deserialize_with = "spelt")]
    pub decide_us: Option<&'a str>,
    /// What the shadow policy would have decided.
    #[serde(borrow, default)]
    pub shadow: Option<ShadowLine<'a>>,
    /// The approval's id.
    #[serde(borrow, default)]
    pub approval: Option<Text<'a>>,
    /// The arguments, as JSON.
    #[serde(borrow, default, deserialize_with = "spelt")]
    pub args: Option<&'a str>,
    /// Of an outcome, its call's `seq`; of a second decision, that of the one that held the call.
    #[serde(default)]
    pub call: Option<u64>,
    /// Of an outcome, how it ended.
    #[serde(default)]
    pub status: Option<Status>,
    /// Of an outcome, the error code.
    #[serde(default)]
    pub code: Option<i64>,
    /// Of an outcome, how long it took, in microseconds.
    #[serde(default)]
    pub upstream_us: Option<u64>,
    /// Of an outcome, whether the reservation was given back.
    #[serde(default)]
    pub released: Option<bool>,
    /// Of an outcome, the answer's size in bytes.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Of an event, what happened.
    #[serde(default, rename = "kind")]
    pub event: Option<EventKind>,
    /// Of an event, who did it.
    #[serde(borrow, default)]
    pub by: Option<Text<'a>>,
    /// Of an event, why.
    #[serde(borrow, default)]
    pub reason: Option<Text<'a>>,
    /// Of an event, more about it, as JSON.
    #[serde(borrow, default, deserialize_with = "spelt")]
    pub data: Option<&'a str>,
}

fn spelt<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de str>, D::Error> {
    Ok(Option::<&'de RawValue>::deserialize(deserializer)?.map(RawValue::get))
}

/// What a shadow policy would have decided, in place.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ShadowLine<'a> {
    /// Its decision.
    pub decision: Verdict,
    /// Its rule.
    #[serde(borrow, default)]
    pub rule: Text<'a>,
}

impl<'a> Line<'a> {
    /// Reads a line.
    ///
    /// Decisions and outcomes as the gateway prints them are read by walking over their members;
    /// what is inside of a value that nobody asked for is passed over by its brackets and quotes.
    ///
    /// # Errors
    /// What `serde_json` says of a line that is no record.
    pub fn parse(line: &'a [u8]) -> Result<Self, serde_json::Error> {
        match walk::walk(line) {
            Some(read) => Ok(read),
            None => serde_json::from_slice(line),
        }
    }

    /// The characters of a member, empty where it is absent.
    pub fn text<'t>(text: &'t Option<Text<'a>>) -> &'t str {
        text.as_ref().map_or("", |text| &text.0)
    }
}

/// Reads bytes both ways and asserts that what serde reads is read, and alike. For fuzzing and
/// property tests.
///
/// # Panics
/// When the ways differ; that is its purpose.
#[doc(hidden)]
pub fn check(bytes: &[u8]) {
    let Ok(slow) = serde_json::from_slice::<Line<'_>>(bytes) else {
        // The quick way may read more: it does not look into values that nobody asked for.
        let _ = Line::parse(bytes);
        return;
    };
    let quick = Line::parse(bytes).map(|line| format!("{line:?}")).map_err(|error| error.to_string());
    assert_eq!(quick, Ok(format!("{slow:?}")), "{}", bytes.escape_ascii());
    assert_eq!(CallLine::parse(bytes), CallLine::of(slow), "{}", bytes.escape_ascii());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether the quick way reads the line, and then as serde does.
    fn same(line: &str) -> bool {
        let Some(quick) = walk::walk(line.as_bytes()) else { return false };
        let slow: Line<'_> = serde_json::from_str(line).expect("serde reads it too");
        assert_eq!(format!("{quick:?}"), format!("{slow:?}"), "{line}");
        assert_eq!(CallLine::parse(line.as_bytes()), CallLine::of(slow), "{line}");
        true
    }

    #[test]
    fn the_quick_way_gives_what_serde_gives() {
        let decision = r#"{"type":"decision","seq":7,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","server":"docker","grant":"l","session":"s","client":"c 1","request_id":"a\"}","method":"tools/call","tool":"pull","decision":"approve","enforced":true,"rule":"/tools/x","pointer":null,"message":"é","policy":"0123456789ab","args":{"a":[1,"]\"}"],"b":{}},"counters":[{"counter":"c","used":-1.5e3}],"counted":true,"decide_us":1.5,"retry_after_ms":60000,"shadow":{"decision":"deny","rule":"x","pointer":null},"call":3}"#;
        let outcome = r#"{"type":"outcome","seq":8,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","call":7,"status":"rpc_error","code":-32603,"upstream_us":12,"bytes":9,"released":false}"#;
        assert!(same(decision) && same(outcome));
        assert!(same(&decision.replace("\"pull\"", "null").replace(r#"{"a":[1,"]\"}"],"b":{}}"#, "null")));
        assert!(same(&outcome.replace("-32603", "5")));
        // What is spelt in another way is left to serde, and so is what is no record.
        for line in [
            decision.replace("docker", "d\\u0041"),
            decision.replace("approve", "maybe"),
            decision.replace("\"seq\":7", "\"seq\":7.0"),
            decision.replace("\"seq\":7", "\"seq\":99999999999999999999"),
            decision.replace("\"seq\":7,", ""),
            decision.replace(",\"method\"", ", \"method\""),
            decision.replace(".000001Z", "Z"),
            outcome.replace("\"call\":7", "\"call\":\"7\""),
            outcome.replace("\"type\":\"outcome\"", "\"type\":\"event\",\"kind\":\"start\",\"data\":{}"),
            format!("{decision} "),
            format!("{decision}{decision}"),
            "{}".to_owned(),
            String::new(),
        ] {
            assert!(!same(&line), "{line}");
        }
        for end in 0..decision.len() {
            assert!(decision.get(..end).is_none_or(|torn| !same(torn)), "torn at {end}");
        }
        let mut broken = decision.as_bytes().to_vec();
        broken[110] = 0xff;
        assert!(Line::parse(&broken).is_err());
    }

    #[test]
    fn a_call_is_read_where_a_record_is() {
        let line = r#"{"type":"decision","seq":7,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","server":"s","grant":"l","tool":"t","decision":"allow","args":{}}"#;
        assert_eq!(CallLine::parse(line.as_bytes()).map(|call| call.tool.into_owned()).as_deref(), Some("t"));
        for left_out in ["\"seq\":7,", "\"gateway\":\"g\",", "\"tool\":\"t\",", "\"decision\":\"allow\","] {
            assert_eq!(CallLine::parse(line.replace(left_out, "").as_bytes()), None, "{left_out}");
        }
    }

    #[test]
    fn borrows_what_has_no_escapes() {
        let text = br#"{"type":"decision","seq":7,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","server":"docker","grant":"a\u0041","request_id":1,"tool":null,"decision":"deny","rule":"(malformed)","args":{"a":[1]},"shadow":{"decision":"allow","rule":"r","pointer":null}}"#;
        let line = Line::parse(text).expect("reads");
        assert!(matches!(line.server, Some(Text(Cow::Borrowed("docker")))));
        assert_eq!(Line::text(&line.grant), "aA");
        assert_eq!(Line::text(&line.tool), "");
        assert_eq!(line.decision, Some(Verdict::Deny));
        assert_eq!(line.args, Some(r#"{"a":[1]}"#));
        let shadow = ShadowLine { decision: Verdict::Allow, rule: Text(Cow::Borrowed("r")) };
        assert_eq!(line.shadow, Some(shadow));
        let event = br#"{"type":"event","seq":1,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","kind":"freeze","by":"ana","reason":"loop","data":{}}"#;
        assert_eq!(Line::parse(event).expect("reads").event, Some(EventKind::Freeze));
        assert!(Line::parse(b"{}").is_err());
    }

    fn member() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            3 => proptest::sample::select(vec![
                "server", "grant", "session", "client", "method", "tool", "decision", "rule", "message", "shadow",
                "args", "call", "status", "code", "upstream_us", "by", "reason", "data", "counters",
            ])
            .prop_map(str::to_owned),
            1 => "[a-z]{1,4}",
        ];
        let value = prop_oneof![
            proptest::sample::select(vec![
                "null",
                "true",
                "0",
                "-0",
                "-5",
                "01",
                "7",
                "1.5",
                "-32603",
                "18446744073709551615",
                "18446744073709551616",
                "9223372036854775808",
                "\"\"",
                "\"ok\"",
                "\"lost\"",
                "\"deny\"",
                "\"allow\"",
                "\"a\\u0041\"",
                "\"\\ud800\"",
                "\"x\\\"}\"",
                "{}",
                "[]",
                "[1,\"]\"]",
                "{\"a\":{\"b\":[]}}",
                "{]",
                "\"\u{1}\"",
                "{\"decision\":\"deny\"}",
                "{\"decision\":\"deny\",\"rule\":\"r\",\"pointer\":null}",
            ])
            .prop_map(str::to_owned),
            "\"[a-zé日 ]{0,6}\"",
        ];
        (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"))
    }

    /// A line as gateways print it, with all or none of what may be left out.
    fn printed() -> impl Strategy<Value = String> {
        let whole = r#"{"type":"decision","seq":7,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","server":"docker","grant":"l","session":"s","client":"c 1","request_id":"a","method":"tools/call","tool":"pull","decision":"deny","enforced":true,"rule":"/tools/x","pointer":"/tools/x/deny_if/0","message":"no","policy":"0123456789ab","args":{"a":[1,"]"],"b":{}},"counters":[{"counter":"c","used":-1.5e3}],"counted":true,"decide_us":1.5,"retry_after_ms":60000,"shadow":{"decision":"deny","rule":"x","pointer":null},"approval":"z","call":3}"#;
        let least = r#"{"type":"decision","seq":7,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","server":"docker","grant":"l","request_id":null,"method":"tools/list","tool":null,"decision":"allow","enforced":true,"rule":"","pointer":null,"message":"","policy":null,"args":null,"counters":[],"counted":false,"decide_us":1.5}"#;
        let ended = r#"{"type":"outcome","seq":8,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","call":7,"status":"ok","upstream_us":12,"bytes":9,"released":false}"#;
        let failed = r#"{"type":"outcome","seq":8,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g","call":7,"status":"rpc_error","code":-32603,"upstream_us":12,"bytes":9,"released":true}"#;
        proptest::sample::select(vec![whole, least, ended, failed]).prop_map(str::to_owned)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
        #[test]
        fn both_ways_agree_on_printed_lines_that_were_changed(
            line in printed(),
            other in member(),
            at in any::<proptest::sample::Index>(),
            change in 0_u8..4,
            byte in any::<u8>(),
        ) {
            // The members without their first quotes, as far as commas tell.
            let mut parts: Vec<&str> = line[2..line.len() - 1].split(",\"").collect();
            let at_part = at.index(parts.len());
            let mut bytes = match change {
                0 => line.clone().into_bytes(),
                1 => {
                    parts.remove(at_part);
                    format!("{{\"{}}}", parts.join(",\"")).into_bytes()
                }
                2 => {
                    parts.insert(at_part, other.trim_start_matches('"'));
                    format!("{{\"{}}}", parts.join(",\"")).into_bytes()
                }
                _ => {
                    parts.swap(at_part, 0);
                    format!("{{\"{}}}", parts.join(",\"")).into_bytes()
                }
            };
            check(&bytes);
            let place = at.index(bytes.len());
            bytes[place] = byte;
            check(&bytes);
        }
    }

    proptest! {
        #[test]
        fn both_ways_agree_on_whatever_stands_in_a_line(
            kind in proptest::sample::select(vec!["decision", "outcome", "event", "other"]),
            members in proptest::collection::vec(member(), 0..8),
            at in any::<proptest::sample::Index>(),
            byte in proptest::option::of(any::<u8>()),
        ) {
            let mut line = format!(
                r#"{{"type":"{kind}","seq":7,"ts":"2026-11-20T21:20:00.000001Z","gateway":"g""#
            );
            for member in members {
                line.push(',');
                line.push_str(&member);
            }
            line.push('}');
            let mut bytes = line.into_bytes();
            check(&bytes);
            if let Some(byte) = byte {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                check(&bytes);
            }
        }
    }
}
