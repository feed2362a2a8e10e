//! Records as lines, written by hand: the same bytes as serde gives (a test holds that), at a
//! fraction of the work. Every call is on the way of this.

use super::{CounterState, Decision, Outcome, Shadow, Status, Verdict};
use crate::json::write::{boolean, signed, string, unsigned};
use crate::policy::counter::Amount;
use crate::time::Timestamp;

/// The line being written.
type Out<'o> = &'o mut Vec<u8>;

/// Appends a decision's line.
///
/// # Errors
/// As [`super::Record::to_line`].
pub(super) fn decision(out: Out<'_>, record: &Decision) -> Result<(), serde_json::Error> {
    out.extend_from_slice(b"{\"type\":\"decision\"");
    head(out, record.seq, record.ts, &record.gateway);
    text(out, b",\"server\":", &record.server);
    text(out, b",\"grant\":", &record.grant);
    if let Some(session) = &record.session {
        text(out, b",\"session\":", session);
    }
    if let Some(client) = &record.client {
        text(out, b",\"client\":", client);
    }
    out.extend_from_slice(b",\"request_id\":");
    raw(out, record.request_id.as_deref());
    text(out, b",\"method\":", &record.method);
    optional(out, b",\"tool\":", record.tool.as_deref());
    text(out, b",\"decision\":", verdict(record.decision));
    flag(out, b",\"enforced\":", record.enforced);
    text(out, b",\"rule\":", &record.rule);
    optional(out, b",\"pointer\":", record.pointer.as_deref());
    text(out, b",\"message\":", &record.message);
    optional(out, b",\"policy\":", record.policy.as_deref());
    out.extend_from_slice(b",\"args\":");
    raw(out, record.args.as_deref());
    out.extend_from_slice(b",\"counters\":[");
    for (index, state) in record.counters.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        counter(out, state)?;
    }
    out.push(b']');
    flag(out, b",\"counted\":", record.counted);
    out.extend_from_slice(b",\"decide_us\":");
    serde_json::to_writer(&mut *out, &record.decide_us)?;
    if let Some(wait) = record.retry_after_ms {
        number(out, b",\"retry_after_ms\":", wait);
    }
    if let Some(Shadow { decision, rule, pointer }) = &record.shadow {
        text(out, b",\"shadow\":{\"decision\":", verdict(*decision));
        text(out, b",\"rule\":", rule);
        optional(out, b",\"pointer\":", pointer.as_deref());
        out.push(b'}');
    }
    if let Some(approval) = &record.approval {
        text(out, b",\"approval\":", approval);
    }
    if let Some(call) = record.call {
        number(out, b",\"call\":", call);
    }
    out.push(b'}');
    Ok(())
}

/// Appends an outcome's line.
pub(super) fn outcome(out: Out<'_>, record: &Outcome) {
    out.extend_from_slice(b"{\"type\":\"outcome\"");
    head(out, record.seq, record.ts, &record.gateway);
    number(out, b",\"call\":", record.call);
    text(out, b",\"status\":", status(record.status));
    if let Some(code) = record.code {
        out.extend_from_slice(b",\"code\":");
        signed(out, code);
    }
    number(out, b",\"upstream_us\":", record.upstream_us);
    number(out, b",\"bytes\":", record.bytes);
    flag(out, b",\"released\":", record.released);
    out.push(b'}');
}

fn head(out: Out<'_>, seq: u64, ts: Timestamp, gateway: &str) {
    number(out, b",\"seq\":", seq);
    instant(out, b",\"ts\":", ts);
    text(out, b",\"gateway\":", gateway);
}

fn counter(out: Out<'_>, state: &CounterState) -> Result<(), serde_json::Error> {
    text(out, b"{\"counter\":", &state.counter);
    text(out, b",\"scope\":", &state.scope);
    text(out, b",\"key\":", &state.key);
    number(out, b",\"window\":", state.window);
    amount(out, b",\"used\":", state.used)?;
    amount(out, b",\"max\":", state.max)?;
    instant(out, b",\"resets_at\":", state.resets_at);
    out.push(b'}');
    Ok(())
}

fn amount(out: Out<'_>, name: &[u8], amount: Amount) -> Result<(), serde_json::Error> {
    out.extend_from_slice(name);
    serde_json::to_writer(out, &amount)
}

fn instant(out: Out<'_>, name: &[u8], ts: Timestamp) {
    out.extend_from_slice(name);
    out.push(b'"');
    ts.write(out);
    out.push(b'"');
}

fn text(out: Out<'_>, name: &[u8], value: &str) {
    out.extend_from_slice(name);
    string(out, value);
}

fn optional(out: Out<'_>, name: &[u8], value: Option<&str>) {
    out.extend_from_slice(name);
    match value {
        Some(value) => string(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

fn number(out: Out<'_>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    unsigned(out, value);
}

fn flag(out: Out<'_>, name: &[u8], value: bool) {
    out.extend_from_slice(name);
    boolean(out, value);
}

fn raw(out: Out<'_>, value: Option<&serde_json::value::RawValue>) {
    out.extend_from_slice(value.map_or("null", serde_json::value::RawValue::get).as_bytes());
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
        Verdict::Approve => "approve",
    }
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::ToolError => "tool_error",
        Status::RpcError => "rpc_error",
        Status::Cancelled => "cancelled",
        Status::Lost => "lost",
    }
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;
    use crate::record::Record;

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z/_-]{0,12}", any::<String>(), "[\\x00-\\x7f]{0,80}"]
    }

    fn raws() -> impl Strategy<Value = Box<RawValue>> {
        prop_oneof![Just("null"), Just("16.0"), Just(r#"{"a" : [1,"x\u0041\""]}"#), Just(r#""é\n""#)]
            .prop_map(|text| RawValue::from_string(text.to_owned()).expect("valid"))
    }

    fn verdicts() -> impl Strategy<Value = Verdict> {
        prop_oneof![Just(Verdict::Allow), Just(Verdict::Deny), Just(Verdict::Approve)]
    }

    fn instants() -> impl Strategy<Value = Timestamp> {
        prop_oneof![any::<i64>(), 0..4_000_000_000_000_000_i64].prop_map(Timestamp)
    }

    prop_compose! {
        fn counters()(
            (counter, scope, key) in (texts(), texts(), texts()),
            window in any::<u64>(),
            used in any::<i64>(),
            whole in any::<i32>(),
            huge in any::<i128>(),
            resets_at in instants(),
        ) -> CounterState {
            let used = if window % 3 == 0 { Amount(huge) } else { Amount(i128::from(used)) };
            let max = Amount(i128::from(whole) * 1_000_000);
            CounterState { counter, scope, key, window, used, max, resets_at }
        }
    }

    prop_compose! {
        fn decisions()(
            (seq, ts, gateway, server, grant) in (any::<u64>(), instants(), texts(), texts(), texts()),
            (session, client, request_id, method, tool) in
                (option::of(texts()), option::of(texts()), option::of(raws()), texts(), option::of(texts())),
            (decision, enforced, rule, pointer, message) in
                (verdicts(), any::<bool>(), texts(), option::of(texts()), texts()),
            (policy, args, counters, counted, decide_us) in (
                option::of(texts()), option::of(raws()), proptest::collection::vec(counters(), 0..3),
                any::<bool>(), prop_oneof![any::<f64>(), (0..100_000_u32).prop_map(|n| f64::from(n) / 1000.0)],
            ),
            (retry_after_ms, shadow, approval, call) in (
                option::of(any::<u64>()), option::of((verdicts(), texts(), option::of(texts()))),
                option::of(texts()), option::of(any::<u64>()),
            ),
        ) -> Decision {
            let shadow = shadow.map(|(decision, rule, pointer)| Shadow { decision, rule, pointer });
            Decision {
                seq, ts, gateway, server, grant, session, client, request_id, method, tool, decision,
                enforced, rule, pointer, message, policy, args, counters, counted, decide_us,
                retry_after_ms, shadow, approval, call,
            }
        }
    }

    fn line(record: &Record) -> String {
        String::from_utf8(record.to_line().expect("prints")).expect("utf-8")
    }

    proptest! {
        #[test]
        fn decisions_are_as_serde_writes_them(decision in decisions()) {
            let theirs = serde_json::to_string(&decision).expect("prints");
            prop_assert_eq!(line(&Record::Decision(Box::new(decision))), theirs);
        }

        #[test]
        fn outcomes_are_as_serde_writes_them(
            (seq, ts, gateway, call) in (any::<u64>(), instants(), texts(), any::<u64>()),
            status in prop_oneof![
                Just(Status::Ok), Just(Status::ToolError), Just(Status::RpcError),
                Just(Status::Cancelled), Just(Status::Lost),
            ],
            code in option::of(any::<i64>()),
            (upstream_us, bytes, released) in (any::<u64>(), any::<u64>(), any::<bool>()),
        ) {
            let outcome = Outcome { seq, ts, gateway, call, status, code, upstream_us, bytes, released };
            let theirs = serde_json::to_string(&outcome).expect("prints");
            prop_assert_eq!(line(&Record::Outcome(Box::new(outcome))), theirs);
        }
    }
}
