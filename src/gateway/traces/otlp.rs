//! Spans as the JSON of OTLP, `ExportTraceServiceRequest`. Pure.

use serde_json::{Value, json};

use crate::gateway::span::{Fact, Span};

/// The kind of a span that serves a request.
const SERVER: u8 = 2;
const FAILED: u8 = 2;

/// The body of one request.
pub(super) fn request(resource: &[(String, String)], spans: &[Span]) -> Vec<u8> {
    let about: Vec<Value> =
        resource.iter().map(|(name, value)| json!({"key": name, "value": {"stringValue": value}})).collect();
    let spans: Vec<Value> = spans.iter().map(span).collect();
    let body = json!({"resourceSpans": [{
        "resource": {"attributes": about},
        "scopeSpans": [{
            "scope": {"name": "callgate", "version": env!("CARGO_PKG_VERSION")},
            "spans": spans,
        }],
    }]});
    body.to_string().into_bytes()
}

fn span(span: &Span) -> Value {
    let facts: Vec<Value> =
        span.facts.iter().map(|(name, fact)| json!({"key": name, "value": value(fact)})).collect();
    // The flags: it is recorded, it is known whether the parent is of another process, and it is.
    let flags = if span.parent.is_some() { 0x301 } else { 0x101 };
    let mut out = json!({
        "traceId": format!("{:032x}", span.trace),
        "spanId": format!("{:016x}", span.id),
        "flags": flags,
        "name": span.name,
        "kind": SERVER,
        "startTimeUnixNano": nanos(span.start.0),
        "endTimeUnixNano": nanos(span.end.0),
        "attributes": facts,
        "status": if span.error.is_some() { json!({"code": FAILED}) } else { json!({}) },
    });
    if let (Some(parent), Some(members)) = (&span.parent, out.as_object_mut()) {
        members.insert("parentSpanId".to_owned(), format!("{:016x}", parent.span).into());
        if let Some(state) = &parent.state {
            members.insert("traceState".to_owned(), state.clone().into());
        }
    }
    out
}

/// 64-bit numbers are strings in this JSON.
fn value(fact: &Fact) -> Value {
    match fact {
        Fact::Text(text) => json!({"stringValue": text}),
        Fact::Number(number) => json!({"intValue": number.to_string()}),
        Fact::Flag(flag) => json!({"boolValue": flag}),
    }
}

fn nanos(micros: i64) -> String {
    (u128::try_from(micros).unwrap_or(0) * 1000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::span::Parent;
    use crate::record::Status;
    use crate::time::Timestamp;

    #[test]
    fn a_span_is_as_the_protocol_spells_it() {
        let parent = Parent { trace: 0xab, span: 0xcd, sampled: true, state: Some("v=1".to_owned()) };
        let mut one = Span::begin(Some(parent), (1, 0xef), "echo", Timestamp(1_795_209_600_000_001), 0);
        one.ended(Status::ToolError, None, 3);
        one.close(10);
        let alone = Span::begin(None, (0x12, 0x34), "x", Timestamp(-5), 0);
        let resource = [("service.name".to_owned(), "callgate".to_owned())];
        let body: Value = serde_json::from_slice(&request(&resource, &[one, alone])).unwrap();
        let told = &body["resourceSpans"][0];
        assert_eq!(told["resource"]["attributes"][0]["value"]["stringValue"], "callgate");
        let spans = &told["scopeSpans"][0]["spans"];
        assert_eq!(spans[0]["traceId"], "000000000000000000000000000000ab");
        assert_eq!(spans[0]["spanId"], "00000000000000ef");
        assert_eq!(spans[0]["parentSpanId"], "00000000000000cd");
        assert_eq!(spans[0]["traceState"], "v=1");
        assert_eq!(spans[0]["startTimeUnixNano"], "1795209600000001000");
        assert_eq!(spans[0]["endTimeUnixNano"], "1795209600000011000");
        assert_eq!(spans[0]["status"]["code"], 2);
        let facts = spans[0]["attributes"].as_array().unwrap();
        let upstream = facts.iter().find(|fact| fact["key"] == "callgate.upstream_us").unwrap();
        assert_eq!(upstream["value"]["intValue"], "3");
        assert_eq!(spans[1].get("parentSpanId"), None);
        assert_eq!(
            (&spans[1]["traceId"], &spans[1]["startTimeUnixNano"]),
            (&json!(format!("{:032x}", 0x12)), &json!("0"))
        );
        assert_eq!(spans[1]["status"], json!({}));
    }
}
