//! The schemas in `assets/` say exactly what is really written and said.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeMap;

use callgate::counters::{ApprovalVerdict, CallArgs, Freeze, Override, OverrideEffect};
use callgate::feed::message::{
    ApprovalView, Ask, FeedHealth, GrantInfo, Health, Hello, JournalHealth, PROTOCOL, Role, RuleHits, Say,
    ServerCounter, ServerInfo, State, StoreHealth,
};
use callgate::policy::counter::Amount;
use callgate::record::{CounterState, Decision, Event, EventKind, Outcome, Record, Shadow, Status, Verdict};
use callgate::time::Timestamp;
use jsonschema::Validator;
use serde_json::{Value, json};

fn asset(name: &str) -> Value {
    let path = format!("{}/assets/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The schema of records.
fn records() -> Validator {
    let schema = asset("record.schema.json");
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// A part of the feed's schema, with the records' schema inside.
fn feed(part: &str) -> Validator {
    let mut schema = asset("feed.schema.json");
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    schema["$defs"]["record"] = asset("record.schema.json");
    if !part.is_empty() {
        schema.as_object_mut().unwrap().remove("oneOf");
        schema["$ref"] = format!("#/$defs/{part}").into();
    }
    jsonschema::validator_for(&schema).unwrap()
}

#[track_caller]
fn fits(validator: &Validator, value: &Value) {
    if let Err(error) = validator.validate(value) {
        panic!("{error} at {} in {value}", error.instance_path());
    }
}

fn parsed(record: &Record) -> Value {
    serde_json::from_slice(&record.to_line().unwrap()).unwrap()
}

const NOW: Timestamp = Timestamp(1_795_209_600_000_001);

fn counter() -> CounterState {
    CounterState {
        counter: "c".to_owned(),
        scope: "grant".to_owned(),
        key: "local".to_owned(),
        window: 60,
        used: Amount(19_990_000),
        max: Amount(100_000_000),
        resets_at: NOW,
    }
}

fn raw(text: &str) -> Box<serde_json::value::RawValue> {
    serde_json::value::RawValue::from_string(text.to_owned()).unwrap()
}

fn decision(full: bool) -> Decision {
    let some = |text: &str| full.then(|| text.to_owned());
    Decision {
        seq: 1,
        ts: NOW,
        gateway: "g".to_owned(),
        server: "s".to_owned(),
        grant: "local".to_owned(),
        session: some("session"),
        client: some("client 1"),
        request_id: full.then(|| raw("16.0")),
        method: "tools/call".to_owned(),
        tool: some("t"),
        decision: if full { Verdict::Deny } else { Verdict::Allow },
        enforced: true,
        rule: some("/tools/t/deny_if/args.amount-gt").unwrap_or_default(),
        pointer: some("/tools/t/deny_if/0"),
        message: String::new(),
        policy: some("0123456789ab"),
        args: full.then(|| raw(r#"{"a":{"masked":"hmac-sha256:x","type":"string","length":3}}"#)),
        counters: if full { vec![counter()] } else { Vec::new() },
        counted: full,
        decide_us: 1.25,
        retry_after_ms: full.then_some(5),
        shadow: full.then(|| Shadow { decision: Verdict::Allow, rule: String::new(), pointer: None }),
        approval: some("a"),
        call: full.then_some(1),
    }
}

fn all_records() -> Vec<Record> {
    let mut records = vec![
        Record::Decision(Box::new(decision(true))),
        Record::Decision(Box::new(decision(false))),
        Record::Decision(Box::new(Decision { rule: "(default deny)".to_owned(), ..decision(true) })),
    ];
    for status in [Status::Ok, Status::ToolError, Status::RpcError, Status::Cancelled, Status::Lost] {
        records.push(Record::Outcome(Box::new(Outcome {
            seq: 2,
            ts: NOW,
            gateway: "g".to_owned(),
            call: 1,
            status,
            code: (status == Status::RpcError).then_some(-32603),
            upstream_us: 7,
            bytes: 9,
            released: false,
        })));
    }
    for kind in [
        EventKind::Start,
        EventKind::Stop,
        EventKind::Policy,
        EventKind::PolicyRejected,
        EventKind::Freeze,
        EventKind::Unfreeze,
        EventKind::Override,
        EventKind::Approval,
        EventKind::Drift,
        EventKind::Store,
    ] {
        records.push(Record::Event(Box::new(Event {
            seq: 3,
            ts: NOW,
            gateway: "g".to_owned(),
            kind,
            by: (kind == EventKind::Freeze).then(|| "me".to_owned()),
            reason: (kind == EventKind::Freeze).then(|| "why".to_owned()),
            data: json!({}),
        })));
    }
    records
}

fn freeze(full: bool) -> Freeze {
    let some = || full.then(|| "x".to_owned());
    Freeze {
        id: "f".to_owned(),
        server: some(),
        grant: some(),
        tool: some(),
        until: full.then_some(NOW),
        by: "me".to_owned(),
        at: NOW,
        reason: "why".to_owned(),
    }
}

fn servers() -> Vec<ServerInfo> {
    let grant = |policy: Option<&str>, revision: Option<&str>| GrantInfo {
        label: "local".to_owned(),
        policy: policy.map(str::to_owned),
        revision: revision.map(str::to_owned),
        shadow: None,
    };
    vec![ServerInfo {
        name: "s".to_owned(),
        upstream: "npx s".to_owned(),
        grants: vec![grant(None, None), grant(Some("/p"), Some("0123456789ab"))],
    }]
}

fn approval(full: bool) -> ApprovalView {
    ApprovalView {
        id: "a".to_owned(),
        server: "s".to_owned(),
        grant: "g".to_owned(),
        tool: "t".to_owned(),
        policy: "0123456789ab".to_owned(),
        args: full.then(|| CallArgs::new(r#"{"amount": 1.0}"#).unwrap()),
        args_sha256: full.then(|| "00".to_owned()),
        rule: "/tools/t/approve_if/0".to_owned(),
        pointer: "/tools/t/approve_if/0".to_owned(),
        message: "why".to_owned(),
        client: full.then(|| "c 1".to_owned()),
        asked_at: NOW,
        until: NOW,
        timeout_s: 300,
        holders: 1,
        verdict: full.then(|| ApprovalVerdict {
            approved: true,
            by: "me".to_owned(),
            at: NOW,
            note: "fine".to_owned(),
            until: NOW,
            for_s: Some(900),
        }),
    }
}

fn entry(full: bool) -> Override {
    Override {
        id: "o".to_owned(),
        effect: if full { OverrideEffect::Allow } else { OverrideEffect::Approved },
        server: "s".to_owned(),
        grant: full.then(|| "g".to_owned()),
        tool: "t".to_owned(),
        args_sha256: full.then(|| "00".to_owned()),
        until: full.then_some(NOW),
        uses: full.then_some(1),
        run: full.then(|| "g".to_owned()),
        by: "me".to_owned(),
        at: NOW,
        reason: String::new(),
    }
}

fn states() -> Vec<State> {
    let tool =
        json!({ "name": "t", "inputSchema": {}, "x-more": 1, "annotations": { "readOnlyHint": true } });
    vec![
        State::Tools {
            server: "s".to_owned(),
            tools: vec![serde_json::from_value(tool).unwrap()],
            pins: BTreeMap::from([("t".to_owned(), "00".to_owned())]),
        },
        State::Counters {
            ts: NOW,
            counters: vec![ServerCounter { server: "s".to_owned(), state: counter() }],
        },
        State::Freezes { freezes: vec![freeze(true), freeze(false)] },
        State::Approvals { approvals: vec![approval(true), approval(false)] },
        State::Overrides { overrides: vec![entry(true), entry(false)] },
        State::Rules {
            rules: vec![RuleHits { server: "s".to_owned(), rule: String::new(), hits: 1, last: NOW }],
        },
        State::Servers { servers: servers() },
        health(None),
        health(Some("locked")),
    ]
}

fn health(trouble: Option<&str>) -> State {
    State::Health(Box::new(Health {
        ts: NOW,
        started: NOW,
        journal: JournalHealth { writable: true, waiting: 0, bytes: 9, errors: 1 },
        store: StoreHealth {
            place: "store.sqlite".to_owned(),
            usable: trouble.is_none(),
            trouble: trouble.map(str::to_owned),
        },
        feed: FeedHealth { clients: 1, lag: 2, missed: 3 },
    }))
}

#[test]
fn records_fit() {
    let (alone, on_the_feed) = (records(), feed(""));
    for record in all_records() {
        fits(&alone, &parsed(&record));
        fits(&on_the_feed, &parsed(&record));
    }
}

#[test]
fn what_is_said_fits_and_comes_back() {
    let validator = feed("");
    let hello = Hello {
        protocol: PROTOCOL.to_owned(),
        gateway: "g".to_owned(),
        name: "n".to_owned(),
        host: "h".to_owned(),
        pid: 1,
        version: "0.1.0".to_owned(),
        role: Role::Operator,
        next_seq: 2,
        oldest_seq: 1,
        servers: servers(),
    };
    let mut said = vec![
        Say::Hello(Box::new(hello)),
        Say::Gap { gateway: None, from_seq: 1, to_seq: 2 },
        Say::Gap { gateway: Some("another".to_owned()), from_seq: 1, to_seq: 2 },
        Say::Reply { ok: true, of: "freeze".to_owned(), message: String::new() },
    ];
    said.extend(states().into_iter().map(|state| Say::State(Box::new(state))));
    for say in said {
        let text = serde_json::to_string(&say).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        fits(&validator, &value);
        let back: Say = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
        assert!(serde_json::from_value::<Say>(value).is_ok());
    }
}

#[test]
fn what_is_asked_fits_and_comes_back() {
    let validator = feed("ask");
    for ask in [
        Ask::Subscribe { gateway: "g".to_owned(), since_seq: 0, fleet: false },
        Ask::Subscribe { gateway: "g".to_owned(), since_seq: 7, fleet: true },
        Ask::Freeze { freeze: freeze(true) },
        Ask::Freeze { freeze: freeze(false) },
        Ask::Unfreeze {
            server: Some("s".to_owned()),
            grant: None,
            tool: None,
            by: "me".to_owned(),
            reason: "over".to_owned(),
        },
        Ask::Approve { id: "a".to_owned(), by: String::new(), note: String::new(), for_s: None },
        Ask::Approve { id: "a".to_owned(), by: String::new(), note: "n".to_owned(), for_s: Some(900) },
        Ask::Reject { id: "a".to_owned(), by: "me".to_owned(), note: "no".to_owned() },
        Ask::Override { entry: entry(true) },
        Ask::EndOverride { id: "o".to_owned(), by: "me".to_owned(), reason: String::new() },
        Ask::EndOverride { id: "o".to_owned(), by: "me".to_owned(), reason: "done".to_owned() },
    ] {
        let value = serde_json::to_value(&ask).unwrap();
        fits(&validator, &value);
        assert_eq!(value["type"], ask.name());
        assert_eq!(serde_json::from_value::<Ask>(value).unwrap(), ask);
    }
}

#[test]
fn every_member_matters() {
    let (records, feed) = (records(), feed(""));
    let mut values: Vec<Value> = all_records().iter().map(parsed).collect();
    values
        .extend(states().into_iter().map(|state| serde_json::to_value(Say::State(Box::new(state))).unwrap()));
    for value in &values {
        let mut more = value.clone();
        more["unheard_of"] = json!(1);
        assert!(!records.is_valid(&more) && !feed.is_valid(&more), "{more}");
        for (name, _) in value.as_object().unwrap() {
            let mut wrong = value.clone();
            wrong[name] = json!([[]]);
            // Arguments and unknown approvals may be anything.
            assert!(name == "args" || !feed.is_valid(&wrong), "{name} in {wrong}");
        }
    }
    let line = &values[0];
    for (name, wrong) in [
        ("seq", json!(0)),
        ("ts", json!("yesterday")),
        ("policy", json!("0123")),
        ("rule", json!("rule 3")),
        ("pointer", json!("tools")),
        ("decision", json!("maybe")),
        ("args", json!(null)),
    ] {
        let mut other = line.clone();
        other[name] = wrong;
        assert_eq!(records.is_valid(&other), name == "args", "{name}");
    }
}

#[test]
fn gateway_json_fits_the_contract() {
    let schema = asset("gateway.schema.json");
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let digest = "0123456789abcdef".repeat(4);
    let good = json!({
        "listen": "127.0.0.1:8808",
        "feed": { "listen": "[::1]:8809", "tokens": { "ops": { "role": "operator", "token_sha256": digest, "expires": "2027-01-01T00:00:00Z" } } },
        "journal": "/var/lib/callgate/journal",
        "counters": "redis://counters:6379",
        "servers": {
            "docker": { "command": ["npx", "-y", "docker-mcp"], "env": { "TOKEN": "${DOCKER_TOKEN}" } },
            "pay": { "url": "https://pay.example/mcp", "headers": { "Authorization": "Bearer ${PAY}" } },
        },
        "grants": { "ci": { "server": "docker", "policy": "p.json", "shadow": "next.json", "token_sha256": digest } },
    });
    fits(&validator, &good);
    for (pointer, wrong) in [
        ("/listen", json!("localhost")),
        ("/feed/tokens/ops/role", json!("admin")),
        ("/servers/docker/command", json!([])),
        ("/servers/docker", json!({ "command": ["x"], "url": "http://x" })),
        ("/servers/pay/url", json!("ftp://x")),
        ("/grants/ci/token_sha256", json!("secret")),
        ("/grants/ci/token", json!("secret")),
        ("/grants/ci/policy", json!("")),
    ] {
        let mut bad = good.clone();
        match bad.pointer_mut(pointer) {
            Some(place) => *place = wrong,
            None => bad["grants"]["ci"]["token"] = wrong,
        }
        assert!(!validator.is_valid(&bad), "{pointer}");
    }
}
