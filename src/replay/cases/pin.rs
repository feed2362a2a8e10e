//! A test from a recorded call, and a test put into a file's text.

use std::fmt;
use std::fmt::Write as _;

use super::read;
use crate::json::canonical::quote;
use crate::json::{self, Node, Value};
use crate::policy::edit::member;
use crate::record::mask::{Kept, kept};
use crate::record::{Decision, Verdict};
use crate::visible::visible;

/// The text of a new file of tests.
const NEW: &str = "{\n  \"tests\": []\n}\n";

/// A test made of a recorded call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The name that was proposed.
    pub name: String,
    /// The test as JSON text.
    pub test: String,
}

/// Why no test can be made of a record, or put into a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotPinned {
    /// The record names no tool: it is of a refused message.
    NoTool,
    /// The arguments were not recorded.
    NoArguments,
    /// A value was masked; its place in the arguments.
    Masked(String),
    /// A value was too large to be recorded; its place in the arguments.
    Cut(String),
    /// A freeze, an override, a pin or a failure decided, not the document; its rule.
    Circumstance(String),
    /// The tests' text has an error: what, and its line.
    NotValid(String, usize),
}

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTool => f.write_str("the record names no tool: a refused message is no test of a policy"),
            Self::NoArguments => f.write_str("the arguments of this call were not recorded"),
            Self::Masked(at) => {
                write!(f, "`{}` was masked when it was recorded: its value is not known", visible(at))
            }
            Self::Cut(at) => write!(f, "`{}` was too large to be recorded", visible(at)),
            Self::Circumstance(rule) => {
                write!(f, "`{}` decided, which is no part of the policy", visible(rule))
            }
            Self::NotValid(what, line) => write!(f, "the tests have an error on line {line}: {what}"),
        }
    }
}

impl std::error::Error for NotPinned {}

/// Makes a test that wants the recorded decision: of one call, with counters that start empty.
///
/// A limit that had no room cannot be had again by one call; of such a record, `calls` of the test
/// repeat the call until the limit's `max` is used up, where the limit counts calls.
///
/// # Errors
/// When the record does not hold what a test needs: values that were masked or cut are never
/// guessed.
pub fn pin(record: &Decision) -> Result<Pinned, NotPinned> {
    let tool = record.tool.as_deref().ok_or(NotPinned::NoTool)?;
    let outside = ["(frozen)", "(override)", "(drift)", "(malformed)", "(unavailable)", "(no policy)"];
    if outside.contains(&record.rule.as_str()) {
        return Err(NotPinned::Circumstance(record.rule.clone()));
    }
    let args = match &record.args {
        Some(kept) => kept.get(),
        None => "{}",
    };
    let parsed = json::parse(args).map_err(|_| NotPinned::NoArguments)?;
    if let Some(lost) = lost(&parsed.root, &mut "args".to_owned()) {
        return Err(lost);
    }
    let name = name(tool, record);
    let mut test = String::from("{");
    let member = |test: &mut String, key: &str, value: &str, raw: bool| {
        if test.len() > 1 {
            test.push(',');
        }
        quote(key, test);
        test.push(':');
        if raw {
            test.push_str(value);
        } else {
            quote(value, test);
        }
    };
    member(&mut test, "name", &name, false);
    member(&mut test, "tool", tool, false);
    if record.grant != "local" {
        member(&mut test, "grant", &record.grant, false);
    }
    let mut expect = String::from("{");
    member(&mut expect, "decision", word(record.decision), false);
    if !record.rule.is_empty() {
        member(&mut expect, "rule", &record.rule, false);
    }
    expect.push('}');
    let full = record.counters.iter().find(|counter| {
        record.decision == Verdict::Deny && record.rule.ends_with(&format!("/limits/{}", counter.counter))
    });
    let before = full.map(|counter| counter.max.0 / 1_000_000);
    if let Some(max) = before.filter(|max| *max > 0 && *max < i128::from(super::MOST_CALLS)) {
        let calls = format!(
            r#"[{{"arguments":{args},"times":{max},"expect":"allow"}},{{"arguments":{args},"expect":{expect}}}]"#
        );
        member(&mut test, "calls", &calls, true);
    } else {
        member(&mut test, "arguments", args, true);
        member(&mut test, "expect", &expect, true);
    }
    test.push('}');
    Ok(Pinned { name, test })
}

/// Puts a test last into the text of a file of tests, the rest of which stays byte for byte; `None`
/// is a file that is not there yet. A name that the file has already gets a number.
///
/// # Errors
/// When the text has an error.
pub fn add(text: Option<&str>, pinned: &Pinned) -> Result<String, NotPinned> {
    let text = text.unwrap_or(NEW);
    let parsed = read(text);
    let Some(cases) = parsed.cases else {
        let first = parsed.diagnostics.into_iter().next();
        return Err(first.map_or_else(
            || NotPinned::NotValid("it cannot be read".to_owned(), 1),
            |found| NotPinned::NotValid(found.message, found.line),
        ));
    };
    let taken = |name: &str| cases.tests.iter().any(|test| test.name == name);
    let mut name = pinned.name.clone();
    let mut number = 2_u32;
    while taken(&name) {
        name = format!("{} ({number})", pinned.name);
        number += 1;
    }
    let broken = |error: &dyn fmt::Display| NotPinned::NotValid(error.to_string(), 1);
    let mut quoted = String::new();
    quote(&name, &mut quoted);
    let named = member::put(&pinned.test, &["name"], &quoted).map_err(|error| broken(&error))?;
    let with = member::push(text, &["tests"], &named).map_err(|error| broken(&error))?;
    match read(&with).diagnostics.into_iter().next() {
        None => Ok(with),
        Some(found) => Err(NotPinned::NotValid(found.message, found.line)),
    }
}

/// The first value that was not recorded.
fn lost(node: &Node<'_>, at: &mut String) -> Option<NotPinned> {
    match kept(node) {
        Kept::Masked { .. } => return Some(NotPinned::Masked(at.clone())),
        Kept::Cut => return Some(NotPinned::Cut(at.clone())),
        Kept::Value => {}
    }
    let len = at.len();
    match &node.value {
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            at.truncate(len);
            let _ = write!(at, ".{index}");
            lost(item, at)
        }),
        Value::Object(members) => members.iter().find_map(|member| {
            at.truncate(len);
            at.push('.');
            at.push_str(member.key.as_str());
            lost(&member.value, at)
        }),
        _ => None,
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
        Verdict::Approve => "approve",
    }
}

/// What the test says, in a few words.
fn name(tool: &str, record: &Decision) -> String {
    let what = match record.decision {
        Verdict::Allow => "is allowed",
        Verdict::Deny => "is denied",
        Verdict::Approve => "needs approval",
    };
    let by = record.rule.rsplit('/').next().filter(|last| !last.is_empty() && *last != record.rule);
    match by {
        Some(by) => format!("{tool} {what} by {by}"),
        None => format!("{tool} {what}"),
    }
}
