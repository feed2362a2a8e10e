use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::json;
use crate::policy::compiled::Compiled;
use crate::policy::counter::{Caller, Reserved, Taken, Usage, Want};
use crate::policy::decide::{Call, Circumstances, Verdict as Ruling, rejected};
use crate::policy::document::Document;
use crate::policy::memory::MemoryCounters;
use crate::record::line::Line;
use crate::record::mask::{Masker, Mode};
use crate::record::{CounterState, Decision, Outcome, Record, Status, Verdict};
use crate::time::Timestamp;

fn compiled(text: &str) -> Arc<Compiled> {
    Arc::new(Compiled::new(&Document::parse(text).valid().unwrap()).unwrap())
}

fn policy(tools: &str) -> Arc<Compiled> {
    compiled(&format!(r#"{{"version":"1","default":"deny","tools":{{{tools}}}}}"#))
}

/// Whether a person is there, and what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Person {
    Away,
    Yes,
    No,
}

#[derive(Debug, Clone)]
struct Asked {
    /// How much later than the call before, in microseconds.
    after: i64,
    tool: &'static str,
    args: String,
    grant: &'static str,
    session: Option<&'static str>,
    person: Person,
    released: bool,
}

/// A gateway with counters in memory, and the journal that it writes.
struct Gateway {
    policy: Arc<Compiled>,
    counters: MemoryCounters,
    journal: Vec<Vec<u8>>,
    seq: u64,
    now: i64,
    /// By call, whether a person was asked, and whether it ran.
    really: Vec<(bool, bool)>,
    masker: Masker,
}

impl Gateway {
    fn new(policy: &Arc<Compiled>) -> Self {
        Self {
            policy: Arc::clone(policy),
            counters: MemoryCounters::new(),
            journal: Vec::new(),
            seq: 0,
            now: 1_795_208_400_000_000,
            really: Vec::new(),
            masker: Masker::new([7; 32], Mode::Masked),
        }
    }

    fn write(&mut self, mut record: Record) -> u64 {
        self.seq += 1;
        record.set_seq(self.seq);
        self.journal.push(record.to_line().unwrap());
        self.seq
    }

    fn call(&mut self, asked: &Asked) {
        self.now += asked.after;
        let now = Timestamp(self.now);
        let parsed = json::parse(&asked.args).unwrap();
        let caller = Caller { server: "s", grant: asked.grant, session: asked.session };
        let verdict = self
            .policy
            .decide(&Call { tool: asked.tool, arguments: Some(&parsed.root) }, &Circumstances::default());
        let mut decision = Decision {
            seq: 0,
            ts: now,
            gateway: "g".to_owned(),
            server: "s".to_owned(),
            grant: asked.grant.to_owned(),
            session: asked.session.map(str::to_owned),
            client: None,
            request_id: Some(RawValue::from_string("1".to_owned()).unwrap()),
            method: "tools/call".to_owned(),
            tool: Some(asked.tool.to_owned()),
            decision: Verdict::Deny,
            enforced: true,
            rule: String::new(),
            pointer: None,
            message: String::new(),
            policy: Some(self.policy.revision().to_owned()),
            args: Some(self.masker.mask(asked.args.as_bytes(), &parsed.root, self.policy.paths(asked.tool))),
            counters: Vec::new(),
            counted: false,
            decide_us: 1.0,
            retry_after_ms: None,
            shadow: None,
            approval: None,
            call: None,
        };
        let mut taken: Vec<Taken> = Vec::new();
        match verdict {
            Ruling::Deny(denial) => {
                decision.rule = denial.rule;
                decision.pointer = denial.pointer;
                self.write(Record::Decision(Box::new(decision)));
            }
            Ruling::Allow { charges, approval, rule, pointer, .. } => {
                let wants: Vec<Want> = charges.iter().map(|charge| charge.want(&caller, false)).collect();
                let held = approval.is_some();
                if let Some(need) = &approval {
                    let usages = self.counters.peek(now, &wants);
                    decision.counters = usages.iter().map(state).collect();
                    if let Some(at) = usages.iter().position(|usage| !usage.room) {
                        decision.rule.clone_from(&charges[at].limit.rule);
                        decision.pointer = Some(charges[at].limit.pointer.clone());
                        self.write(Record::Decision(Box::new(decision)));
                        self.really.push((false, false));
                        return;
                    }
                    decision.decision = Verdict::Approve;
                    decision.approval = Some("a".to_owned());
                    decision.rule.clone_from(&need.rule);
                    decision.pointer = Some(need.pointer.clone());
                    let first = self.write(Record::Decision(Box::new(decision.clone())));
                    decision.call = Some(first);
                    if asked.person != Person::Yes {
                        decision.decision = Verdict::Deny;
                        decision.message = match asked.person {
                            Person::No => rejected(asked.tool, ""),
                            _ => "too late".to_owned(),
                        };
                        self.write(Record::Decision(Box::new(decision)));
                        self.really.push((true, false));
                        return;
                    }
                }
                match self.counters.reserve(now, &wants) {
                    Reserved::Done { usages, taken: got } => {
                        taken = got;
                        decision.decision = Verdict::Allow;
                        decision.rule = rule;
                        decision.pointer = pointer;
                        decision.counted = !wants.is_empty();
                        decision.counters = usages.iter().map(state).collect();
                    }
                    Reserved::Full { usages } => {
                        let at = usages.iter().position(|usage| !usage.room).unwrap();
                        decision.decision = Verdict::Deny;
                        decision.rule.clone_from(&charges[at].limit.rule);
                        decision.pointer = Some(charges[at].limit.pointer.clone());
                        decision.counters = usages.iter().map(state).collect();
                    }
                }
                let allowed = decision.decision == Verdict::Allow;
                let call = self.write(Record::Decision(Box::new(decision)));
                if allowed {
                    if asked.released {
                        self.counters.release(&taken);
                    }
                    self.write(Record::Outcome(Box::new(Outcome {
                        seq: 0,
                        ts: now,
                        gateway: "g".to_owned(),
                        call,
                        status: Status::Ok,
                        code: None,
                        upstream_us: 1,
                        bytes: 1,
                        released: asked.released,
                    })));
                    self.really.push((held, true));
                    return;
                }
            }
        }
        self.really.push((false, false));
    }
}

fn state(usage: &Usage) -> CounterState {
    CounterState {
        counter: usage.key.counter.clone(),
        scope: usage.key.scope.name().to_owned(),
        key: usage.key.scope_value.clone(),
        window: usage.key.window,
        used: usage.used,
        max: usage.max,
        resets_at: usage.resets_at,
    }
}

fn replay(journal: &[Vec<u8>], base: Base, candidate: &Arc<Compiled>, known: &[&Arc<Compiled>]) -> Report {
    let policies: HashMap<String, Arc<Compiled>> =
        known.iter().map(|policy| (policy.revision().to_owned(), Arc::clone(policy))).collect();
    let options = Options {
        masker: Some(Masker::new([7; 32], Mode::Masked)),
        examples: 100_000,
        known: Box::new(move |revision| policies.get(revision).cloned()),
        ..Options::default()
    };
    let mut replay = Replay::new(base, vec![Arc::clone(candidate)], options);
    for line in journal {
        replay.line(&Line::parse(line).unwrap());
    }
    replay.finish().remove(0)
}

/// What a policy says of the same calls, told differently: one counter store of its own, and the
/// answers that people gave where they were asked by both.
fn naive(calls: &[Asked], policy: &Compiled, really: &[(bool, bool)]) -> Vec<(bool, Option<bool>)> {
    let mut counters = MemoryCounters::new();
    let mut now = 1_795_208_400_000_000;
    let mut answers = Vec::new();
    for (asked, (answered, ran)) in calls.iter().zip(really) {
        now += asked.after;
        let parsed = json::parse(&asked.args).unwrap();
        let call = Call { tool: asked.tool, arguments: Some(&parsed.root) };
        let caller = Caller { server: "s", grant: asked.grant, session: asked.session };
        let answer = match policy.decide(&call, &Circumstances::default()) {
            Ruling::Deny(_) => (false, Some(false)),
            Ruling::Allow { charges, approval, .. } => {
                let wants: Vec<Want> = charges.iter().map(|charge| charge.want(&caller, false)).collect();
                let room = counters.peek(Timestamp(now), &wants).iter().all(|usage| usage.room);
                match (approval.is_some(), room) {
                    (_, false) => (false, Some(false)),
                    (true, true) if !*answered || asked.person == Person::Away => (true, None),
                    (true, true) if asked.person == Person::No => (true, Some(false)),
                    (needs, true) => {
                        if let Reserved::Done { taken, .. } = counters.reserve(Timestamp(now), &wants)
                            && asked.released
                            && *ran
                        {
                            counters.release(&taken);
                        }
                        (needs, Some(true))
                    }
                }
            }
        };
        answers.push(answer);
    }
    answers
}

const TOOLS: [&str; 3] = ["a", "b", "c"];

fn rules() -> impl Strategy<Value = String> {
    let limit = (
        prop::sample::select(vec!["x", "y"]),
        prop::sample::select(vec!["1", "3", "60", "\"minute\""]),
        0..6_u32,
        prop::sample::select(vec!["grant", "server", "session"]),
        any::<bool>(),
    )
        .prop_map(|(counter, window, max, scope, amount)| {
            // One counter counts either calls or amounts, or a window of each would be told apart.
            let from = if amount { r#","increment_from":"args.n""# } else { "" };
            let counter = if amount { format!("{counter}n") } else { counter.to_owned() };
            format!(r#"{{"counter":"{counter}","window":{window},"max":{max},"scope":"{scope}"{from}}}"#)
        });
    let condition = prop_oneof![
        (0..6_u32).prop_map(|n| format!(r#"{{"path":"args.n","op":"lt","value":{n}}}"#)),
        (0..6_u32).prop_map(|n| format!(r#"{{"path":"args.n","op":"eq","value":{n}}}"#)),
        prop::sample::select(vec!["u", "v"])
            .prop_map(|s| format!(r#"{{"path":"args.token","op":"eq","value":"{s}"}}"#)),
    ];
    let list = |name: &'static str, odds: f64| {
        prop::option::weighted(odds, condition.clone())
            .prop_map(move |one| one.map(|one| format!(r#""{name}":[{{"conditions":[{one}]}}]"#)))
    };
    (list("require", 0.2), list("deny_if", 0.3), list("approve_if", 0.3), prop::collection::vec(limit, 0..3))
        .prop_map(|(require, deny, approve, mut limits)| {
            limits.sort();
            let mut kept: Vec<String> = Vec::new();
            for limit in limits {
                let head =
                    |text: &str| text.split(",\"max\"").next().unwrap_or("").replace("\"minute\"", "60");
                if kept.iter().all(|other| head(other) != head(&limit)) {
                    kept.push(limit);
                }
            }
            let limits = (!kept.is_empty()).then(|| format!(r#""limits":[{}]"#, kept.join(",")));
            let parts: Vec<String> = [require, deny, approve, limits].into_iter().flatten().collect();
            format!("{{{}}}", parts.join(","))
        })
}

fn policies() -> impl Strategy<Value = Arc<Compiled>> {
    (prop::collection::vec(prop::option::weighted(0.9, rules()), 3), any::<bool>()).prop_map(
        |(tools, open)| {
            let tools: Vec<String> = TOOLS
                .iter()
                .zip(tools)
                .filter_map(|(name, rules)| rules.map(|rules| format!("\"{name}\":{rules}")))
                .collect();
            let default = if open { "allow" } else { "deny" };
            compiled(&format!(r#"{{"version":"1","default":"{default}","tools":{{{}}}}}"#, tools.join(",")))
        },
    )
}

prop_compose! {
    fn asked()(
        after in prop_oneof![3 => 0..300_000_i64, 1 => 0..5_000_000_i64],
        tool in prop::sample::select(TOOLS.to_vec()),
        n in prop_oneof![(0..6_u32).prop_map(|n| n.to_string()), Just("1.5".to_owned())],
        token in prop::option::of(prop::sample::select(vec!["u", "v", "w"])),
        grant in prop::sample::select(vec!["g1", "g2"]),
        session in prop::option::of(prop::sample::select(vec!["s1", "s2"])),
        person in prop::sample::select(vec![Person::Away, Person::Yes, Person::No]),
        released in prop::bool::weighted(0.2),
    ) -> Asked {
        let token = token.map_or_else(String::new, |token| format!(r#","token":"{token}""#));
        Asked { after, tool, args: format!(r#"{{"n":{n}{token}}}"#), grant, session, person, released }
    }
}

proptest! {
    /// A policy never differs from itself, not even where records are missing, and whether or not the
    /// policy that decided is at hand.
    #[test]
    fn a_policy_changes_nothing_of_what_it_decided(
        policy in policies(),
        calls in prop::collection::vec(asked(), 1..80),
        gone in prop::collection::vec(prop::bool::weighted(0.1), 80),
    ) {
        let mut gateway = Gateway::new(&policy);
        for call in &calls {
            gateway.call(call);
        }
        let whole = replay(&gateway.journal, Base::Recorded, &policy, &[]);
        prop_assert_eq!(whole.changed.total(), 0, "{:#?}", whole.groups);
        prop_assert_eq!((whole.calls, whole.replayable), (calls.len() as u64, calls.len() as u64));
        let holes: Vec<Vec<u8>> =
            gateway.journal.iter().zip(&gone).filter(|(_, gone)| !**gone).map(|(line, _)| line.clone()).collect();
        let holes = replay(&holes, Base::Recorded, &policy, &[]);
        prop_assert_eq!(holes.changed.total(), 0, "{:#?}", holes.groups);
        let itself = replay(&gateway.journal, Base::Policy(Arc::clone(&policy)), &policy, &[]);
        prop_assert_eq!(itself.changed.total(), 0);
    }

    /// Another policy decides as it would with a counter store of its own.
    #[test]
    fn another_policy_decides_as_a_naive_simulation(
        recorded in policies(),
        candidate in policies(),
        calls in prop::collection::vec(asked(), 1..60),
    ) {
        let mut gateway = Gateway::new(&recorded);
        for call in &calls {
            gateway.call(call);
        }
        let report = replay(&gateway.journal, Base::Recorded, &candidate, &[&recorded]);
        prop_assert_eq!(report.replayable, calls.len() as u64);
        let before = naive(&calls, &recorded, &gateway.really);
        let after = naive(&calls, &candidate, &gateway.really);
        let mut expected = 0_u64;
        for (before, after) in before.iter().zip(&after) {
            let differs = before.0 != after.0 || matches!((before.1, after.1), (Some(a), Some(b)) if a != b);
            expected += u64::from(differs);
        }
        prop_assert_eq!(report.changed.total(), expected, "{:#?}", report.groups);
        let against = replay(&gateway.journal, Base::Policy(Arc::clone(&recorded)), &candidate, &[]);
        prop_assert_eq!(against.changed, report.changed);
    }
}

fn asked_for(tool: &'static str, args: &str, after: i64) -> Asked {
    let (args, grant) = (args.to_owned(), "g1");
    Asked { after, tool, args, grant, session: None, person: Person::Away, released: false }
}

fn journal(policy: &Arc<Compiled>, calls: &[Asked]) -> Vec<Vec<u8>> {
    let mut gateway = Gateway::new(policy);
    for call in calls {
        gateway.call(call);
    }
    gateway.journal
}

#[test]
fn groups_stand_by_what_is_looked_at_first() {
    let before = policy(
        r#""a":{"limits":[{"counter":"x","window":60,"max":2}]},"b":{"deny_if":[{"conditions":[]}]},"c":{}"#,
    );
    let after = policy(
        r#""a":{"limits":[{"counter":"x","window":60,"max":3}]},"b":{},
           "c":{"approve_if":[{"conditions":[{"path":"args.n","op":"gt","value":1}]}],
                "deny_if":[{"conditions":[{"path":"args.n","op":"gt","value":8}]}]}"#,
    );
    let mut calls = vec![asked_for("a", "{}", 1); 4];
    calls.extend(vec![asked_for("b", r#"{"x":1}"#, 1); 2]);
    calls.extend([r#"{"n":1}"#, r#"{"n":5}"#, r#"{"n":9}"#].map(|args| asked_for("c", args, 1)));
    let report = replay(&journal(&before, &calls), Base::Recorded, &after, &[]);
    assert_eq!(report.changed, Changed { deny_to_allow: 2, allow_to_deny: 1, limit: 1, approval: 1 });
    let groups: Vec<(&str, Kind, u64, &str, &str)> = report
        .groups
        .iter()
        .map(|group| {
            (group.tool.as_str(), group.kind, group.count, group.from.rule.as_str(), group.to.rule.as_str())
        })
        .collect();
    assert_eq!(
        groups,
        [
            ("b", Kind::DenyToAllow, 2, "/tools/b/deny_if/0", ""),
            ("a", Kind::Limit, 1, "/tools/a/limits/x", ""),
            ("c", Kind::Approval, 1, "", "/tools/c/approve_if/args.n-gt"),
            ("c", Kind::AllowToDeny, 1, "", "/tools/c/deny_if/args.n-gt"),
        ]
    );
    let example = &report.groups[0].examples[0];
    assert_eq!((example.seq, example.args.as_str()), (7, r#"{"x":1}"#));
}

#[test]
fn masks_are_told_by_their_key_and_what_cannot_be_told_is_said() {
    let before = policy(r#""a":{}"#);
    let calls: Vec<Asked> = [
        r#"{"token":"u"}"#,
        r#"{"token":"v"}"#,
        r#"{"token":5}"#,
        "{}",
        r#"{"login":{"password":"p"}}"#,
        r#"{"token":{"deep":"x"}}"#,
    ]
    .map(|args| asked_for("a", args, 1))
    .to_vec();
    let journal = journal(&before, &calls);
    let changes = |rules: &str| {
        let report = replay(&journal, Base::Recorded, &policy(&format!(r#""a":{{{rules}}}"#)), &[]);
        (report.changed.total(), report.not_replayable.get(&Reason::Masked).copied().unwrap_or(0))
    };
    let deny = |path: &str, op: &str, value: &str| {
        changes(&format!(
            r#""deny_if":[{{"conditions":[{{"path":"args.{path}","op":"{op}","value":{value}}}]}}]"#
        ))
    };
    // A number and an object where a string is needed deny.
    assert_eq!(deny("token", "eq", "\"u\""), (3, 0));
    assert_eq!(deny("token", "neq", "\"u\""), (3, 0));
    assert_eq!(deny("token", "in", r#"["u",5.0]"#), (3, 0));
    assert_eq!(deny("token", "in", r#"["u","v",5.0,{"deep":"x"}]"#), (4, 0));
    assert_eq!(deny("token", "not_in", r#"["u"]"#), (3, 0));
    assert_eq!(deny("token", "exists", "true"), (4, 0));
    assert_eq!(deny("token", "exists", "false"), (2, 0));
    // Of the masked ones a pattern can only tell those that are no strings.
    assert_eq!(deny("token", "regex", "\"^u\""), (2, 2));
    assert_eq!(deny("token", "contains", "\"u\""), (2, 2));
    assert_eq!(deny("token", "gt", "3"), (3, 1));
    // Into something masked no path leads; that a string is no object can be told.
    assert_eq!(deny("token.deep", "eq", "\"x\""), (3, 1));
    assert_eq!(deny("login.password", "eq", "\"p\""), (1, 0));
    assert_eq!(deny("login", "eq", r#"{"password":"p"}"#), (0, 1));
    let amount = changes(r#""limits":[{"counter":"x","window":60,"max":9,"increment_from":"args.token"}]"#);
    assert_eq!(
        amount,
        (2, 4),
        "what is missing cannot be counted and is denied, what is masked cannot be told"
    );
}

#[test]
fn what_no_document_decides_is_never_changed() {
    let before = policy(r#""a":{}"#);
    let template = String::from_utf8(journal(&before, &[asked_for("a", "{}", 1)])[0].clone()).unwrap();
    let line = |verdict: &str, rule: &str, pointer: &str| {
        template
            .replace(r#""decision":"allow""#, &format!(r#""decision":"{verdict}""#))
            .replace(r#""rule":"""#, &format!(r#""rule":"{rule}""#))
            .replace(r#""pointer":"/tools/a""#, &format!(r#""pointer":{pointer}"#))
            .into_bytes()
    };
    let deny = policy(r#""a":{"deny_if":[{"conditions":[]}]}"#);
    let hide = compiled(r#"{"version":"1","default":"allow","hide":["a"]}"#);
    let open = compiled(r#"{"version":"1","default":"allow"}"#);
    let told = |line: Vec<u8>, candidate: &Arc<Compiled>| {
        let report = replay(&[line], Base::Recorded, candidate, &[]);
        (report.changed.total(), report.not_replayable.into_keys().next())
    };
    for candidate in [&deny, &hide, &open] {
        for rule in ["(frozen)", "(drift)", "(override)"] {
            assert_eq!(told(line("deny", rule, "null"), candidate), (0, None), "{rule}");
        }
        for (rule, reason) in [
            ("(malformed)", Reason::Malformed),
            ("(unavailable)", Reason::Unavailable),
            ("(no policy)", Reason::NoPolicy),
        ] {
            assert_eq!(told(line("deny", rule, "null"), candidate), (0, Some(reason)), "{rule}");
        }
    }
    // An override lets it past the rules, but not past hiding; an approval given ahead only past those.
    assert_eq!(told(line("allow", "(override)", "null"), &deny), (0, None));
    assert_eq!(told(line("allow", "(override)", "null"), &hide), (1, None));
    assert_eq!(told(line("allow", "(override)", r#""/tools/a""#), &open), (0, None));
    let unenforced = template.replace(r#""enforced":true"#, r#""enforced":false"#).into_bytes();
    assert_eq!(told(unenforced, &deny), (0, Some(Reason::Unenforced)));
}

#[test]
fn memory_is_bounded_by_what_is_kept_apart() {
    let closed = policy("");
    let open = compiled(r#"{"version":"1","default":"allow"}"#);
    let template = String::from_utf8(journal(&closed, &[asked_for("a", "{}", 1)])[0].clone()).unwrap();
    let lines: Vec<Vec<u8>> = (0..1500)
        .map(|n| template.replace(r#""tool":"a""#, &format!(r#""tool":"made-up-{n}""#)).into_bytes())
        .collect();
    let report = replay(&lines, Base::Recorded, &open, &[]);
    assert_eq!((report.changed.deny_to_allow, report.groups.len(), report.ungrouped), (1500, 1000, 500));
}
