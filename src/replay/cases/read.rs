//! From a text to policy tests, naming every error on the way.
//!
//! Nothing is passed over: a misspelt `expect` would make a test that cannot fail.

use std::collections::HashMap;

use super::{Case, CaseCall, Cases, Expect, MOST_CALLS, Parsed, START};
use crate::json::{self, Member, Node, Value};
use crate::policy::diagnostic::{At, Lines, Sink, a_type, tick};
use crate::policy::document::{Meant, syntax_error};
use crate::policy::explain::Decision;
use crate::policy::strict::Place;
use crate::policy::suggest::closest;
use crate::time::{Timestamp, parse_duration};

/// The keys of the whole file, in the order in which they are written.
pub const FILE_KEYS: &[&str] = &["$schema", "description", "tests"];
const CALL_KEYS: &[&str] = &["tool", "arguments", "server", "grant", "session", "at", "times", "expect"];

const FILE: Place = Place("a file of policy tests", FILE_KEYS);
const TEST: Place = Place(
    "a test",
    &["name", "tool", "arguments", "server", "grant", "session", "at", "times", "expect", "calls"],
);
const CALL: Place = Place("a call", CALL_KEYS);
const EXPECT: Place = Place("`expect`", &["decision", "rule", "pointer", "message_contains", "visible"]);

const MEANT: Meant = Meant {
    name: "policy tests",
    begin: "start with `{ \"tests\": [] }`",
    remarks: "JSON has no comments; use `description`, or the test's `name`",
};

/// The form of `expect`.
const EXPECT_FORM: &str =
    "write `\"expect\": \"deny\"` or `\"expect\": { \"decision\": \"deny\", \"rule\": ... }`";

/// Words of other programs, and what they are here.
fn other_words(place: Place, key: &str) -> Option<&'static str> {
    Some(match (place.0, key) {
        ("a file of policy tests", "cases" | "scenarios") => "the tests stand under `tests`",
        (_, "args" | "params" | "input") => "the call's arguments are `arguments`",
        (
            "a test" | "a call",
            "decision" | "rule" | "pointer" | "message" | "message_contains" | "visible",
        ) => "what is expected stands in `expect`",
        ("a test" | "a call", "want" | "expected" | "outcome" | "result") => "what is expected is `expect`",
        ("a test" | "a call", "time" | "ts" | "now" | "clock" | "after") => {
            "when the call is made is `at`: `\"90s\"` after the test's start, or an instant"
        }
        ("a test" | "a call", "client") => "no rule reads the client; a `grant` or `session` can be given",
        ("a test", "steps" | "sequence") => "the calls of a sequence stand in `calls`",
        ("a test" | "a call", "repeat" | "count") => "how often a call is made in a row is `times`",
        ("`expect`", "message") => "messages are compared by a part of them: `message_contains`",
        ("`expect`", "hidden") => "a hidden tool is `\"visible\": false`",
        _ => return None,
    })
}

/// Reads a text.
pub fn read(text: &str) -> Parsed {
    let mut sink = Sink::new(text);
    let parsed = match json::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            syntax_error(text, error.offset, error.kind, &MEANT, &mut sink);
            return Parsed { cases: None, diagnostics: sink.sorted() };
        }
    };
    sink.whole(&parsed);
    let mut reader = Reader { text, lines: Lines::new(text), sink };
    let cases = reader.file(&parsed.root);
    let diagnostics = reader.sink.sorted();
    Parsed { cases: cases.filter(|_| diagnostics.is_empty()), diagnostics }
}

struct Reader<'t> {
    text: &'t str,
    lines: Lines<'t>,
    sink: Sink<'t>,
}

/// What a call takes from its test where it does not say itself.
struct Given<'g> {
    tool: Option<&'g str>,
    server: &'g str,
    grant: &'g str,
    session: Option<&'g str>,
    start: Timestamp,
    /// The call before it.
    last: Timestamp,
}

impl Reader<'_> {
    fn file(&mut self, root: &Node<'_>) -> Option<Cases> {
        let at = At::ROOT;
        self.object(&at, root, FILE)?;
        for key in ["$schema", "description"] {
            if let Some(node) = root.get(key) {
                self.sink.string(&at.key(key), node, &format!("`{key}`"));
            }
        }
        let tests = self.sink.needed(&at, root, FILE, "tests", "write the tests: `\"tests\": []`")?;
        let at = at.key("tests");
        let Some(items) = tests.as_array() else {
            self.sink.wrong_type(&at, tests, "`tests`", "an array");
            return None;
        };
        let mut names: HashMap<String, usize> = HashMap::new();
        let mut cases = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let at = at.index(index);
            let Some(case) = self.test(&at, item) else { continue };
            if let Some(first) = names.get(&case.name) {
                let message =
                    format!("two tests are called {}; the first is on line {first}", tick(&case.name));
                let span = item.member("name").map_or(item.span, |member| member.value.span);
                self.sink.error("duplicate-name", &at.key("name"), span, message, "give each its own name");
            } else {
                names.insert(case.name.clone(), case.line);
            }
            cases.push(case);
        }
        Some(Cases { tests: cases })
    }

    fn test(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<Case> {
        self.object(at, node, TEST)?;
        let line = self.lines.place(node.span.start).0;
        let name = self.sink.needed(at, node, TEST, "name", "say in a few words what must be so");
        let name = name.and_then(|name| self.sink.filled(&at.key("name"), name, "`name`"));
        let text = |reader: &mut Self, key: &'static str| {
            node.get(key).and_then(|found| reader.sink.filled(&at.key(key), found, &format!("`{key}`")))
        };
        let tool = text(self, "tool");
        let server = text(self, "server").unwrap_or_else(|| "server".to_owned());
        let grant = text(self, "grant").unwrap_or_else(|| "local".to_owned());
        let session = text(self, "session");
        let start = match node.get("at") {
            Some(found) => self.instant(&at.key("at"), found, START)?,
            None => START,
        };
        let mut given = Given {
            tool: tool.as_deref(),
            server: &server,
            grant: &grant,
            session: session.as_deref(),
            start,
            last: start,
        };
        let mut calls = Vec::new();
        if let Some(sequence) = node.get("calls") {
            for key in ["arguments", "expect", "times"] {
                if let Some(member) = node.member(key) {
                    let message = format!("a test with `calls` has `{key}` in each of them");
                    self.sink.error(
                        "misplaced-key",
                        &at.key(key),
                        member.key_span,
                        message,
                        "move it into the calls",
                    );
                }
            }
            let at = at.key("calls");
            match sequence.as_array() {
                None => self.sink.wrong_type(&at, sequence, "`calls`", "an array"),
                Some([]) => {
                    let message = "a test needs at least one call".to_owned();
                    self.sink.error("bad-value", &at, sequence.span, message, "");
                }
                Some(items) => {
                    for (index, item) in items.iter().enumerate() {
                        let at = at.index(index);
                        self.object(&at, item, CALL);
                        if let Some(call) = self.call(&at, item, CALL, &given) {
                            given.last = call.at;
                            calls.push(call);
                        }
                    }
                }
            }
        } else {
            given.last = start;
            calls.extend(self.call(at, node, TEST, &given));
        }
        if calls.iter().fold(0_u64, |sum, call| sum.saturating_add(call.times)) > MOST_CALLS {
            let message = format!("a test makes at most {MOST_CALLS} calls");
            self.sink.error(
                "bad-value",
                at,
                node.span,
                message,
                "lower `max` in a copy of the policy to try a limit",
            );
        }
        Some(Case { name: name?, span: node.span, line, calls })
    }

    fn call(&mut self, at: &At<'_>, node: &Node<'_>, place: Place, given: &Given<'_>) -> Option<CaseCall> {
        node.as_object()?;
        let mut text = |key: &'static str| {
            node.get(key).map(|found| self.sink.filled(&at.key(key), found, &format!("`{key}`")))
        };
        let tool = text("tool").unwrap_or_else(|| given.tool.map(str::to_owned));
        let server = text("server").flatten().unwrap_or_else(|| given.server.to_owned());
        let grant = text("grant").flatten().unwrap_or_else(|| given.grant.to_owned());
        let session = text("session").flatten().or_else(|| given.session.map(str::to_owned));
        if tool.is_none() && node.get("tool").is_none() {
            self.sink.missing(at, node, format!("{} needs `tool`", place.0), "name the tool that is called");
        }
        let arguments = node.get("arguments").and_then(|found| self.arguments(&at.key("arguments"), found));
        let when = match node.get("at").filter(|_| place.0 == CALL.0) {
            Some(found) => self.instant(&at.key("at"), found, given.start)?,
            None => given.last,
        };
        if when < given.last {
            let message = format!("`at` is before {}, when the call before it is made", given.last);
            let span = node.get("at").map_or(node.span, |found| found.span);
            self.sink.error(
                "bad-value",
                &at.key("at"),
                span,
                message,
                "write the calls in the order of their time",
            );
        }
        let times = node.get("times").map_or(Some(1), |found| self.times(&at.key("times"), found));
        let expect = self.sink.needed(at, node, place, "expect", EXPECT_FORM);
        let expect = expect.and_then(|found| self.expect(&at.key("expect"), found));
        Some(CaseCall {
            tool: tool?,
            arguments,
            server,
            grant,
            session,
            at: when,
            times: times?,
            expect: expect?,
            pointer: at.to_string(),
            line: self.lines.place(node.span.start).0,
        })
    }

    fn arguments(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<String> {
        if !matches!(node.value, Value::Object(_) | Value::Null) {
            self.sink.wrong_type(at, node, "`arguments`", "an object");
            return None;
        }
        Some(node.span.of(self.text).to_owned())
    }

    /// An instant, or a length of time after `from`.
    fn instant(&mut self, at: &At<'_>, node: &Node<'_>, from: Timestamp) -> Option<Timestamp> {
        let text = self.sink.filled(at, node, "`at`")?;
        let after = || {
            let micros = i64::try_from(parse_duration(&text)?).ok()?.checked_mul(1_000_000)?;
            Some(from.plus_micros(micros))
        };
        let found = Timestamp::parse(&text).or_else(after);
        if found.is_none() {
            let message = format!("{} is no time", tick(&text));
            let help = "write how long after the test's start (`\"90s\"`) or an instant (`\"2026-11-20T21:00:00Z\"`)";
            self.sink.error("bad-value", at, node.span, message, help);
        }
        found
    }

    fn times(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<u64> {
        let number = match &node.value {
            Value::Number(spelt) => spelt.parse::<u64>().ok(),
            _ => None,
        };
        let found = number.filter(|times| (1..=MOST_CALLS).contains(times));
        if found.is_none() {
            let message = format!("`times` must be a whole number from 1 to {MOST_CALLS}");
            self.sink.error("bad-value", at, node.span, message, "");
        }
        found
    }

    fn expect(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<Expect> {
        if node.as_str().is_some() {
            return self.decision(at, node).map(Expect::only);
        }
        if node.as_object().is_none() {
            let message = format!("`expect` must be a decision or an object, not {}", a_type(node));
            self.sink.error("wrong-type", at, node.span, message, EXPECT_FORM);
            return None;
        }
        self.object(at, node, EXPECT)?;
        let decision = self.sink.needed(at, node, EXPECT, "decision", "write `allow`, `deny` or `approve`");
        let decision = decision.and_then(|found| self.decision(&at.key("decision"), found));
        let mut text = |key: &'static str| {
            node.get(key).and_then(|found| self.sink.string(&at.key(key), found, &format!("`{key}`")))
        };
        let (rule, pointer, message_contains) = (text("rule"), text("pointer"), text("message_contains"));
        if pointer.as_deref().is_some_and(|pointer| !pointer.starts_with('/')) {
            let span = node.get("pointer").map_or(node.span, |found| found.span);
            let message = "a pointer begins with `/`".to_owned();
            self.sink.error(
                "bad-value",
                &at.key("pointer"),
                span,
                message,
                "for instance `/tools/refund/deny_if/0`",
            );
        }
        let visible = node.get("visible").and_then(|found| {
            if let Value::Bool(value) = found.value {
                Some(value)
            } else {
                self.sink.wrong_type(&at.key("visible"), found, "`visible`", "a boolean");
                None
            }
        });
        Some(Expect { decision: decision?, rule, pointer, message_contains, visible })
    }

    fn decision(&mut self, at: &At<'_>, node: &Node<'_>) -> Option<Decision> {
        let text = self.sink.string(at, node, "the decision")?;
        let all = [Decision::Allow, Decision::Deny, Decision::Approve];
        let found = all.into_iter().find(|decision| decision.name() == text);
        if found.is_none() {
            let message = format!("{} is no decision", tick(&text));
            let help = match closest(&text, all.map(Decision::name)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None if text == "hide" || text == "hidden" => {
                    "a hidden tool's call is denied: `{ \"decision\": \"deny\", \"visible\": false }`"
                        .to_owned()
                }
                None => "it is `allow`, `deny` or `approve`".to_owned(),
            };
            self.sink.error("bad-value", at, node.span, message, help);
        }
        found
    }

    /// The members of an object, after its unknown keys have been named.
    fn object<'n, 'a>(&mut self, at: &At<'_>, node: &'n Node<'a>, place: Place) -> Option<&'n [Member<'a>]> {
        self.sink.object(at, node, place, |key| other_words(place, key))
    }
}
