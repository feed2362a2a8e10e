//! Parts of a policy that are never asked, because another always decides before them.
//!
//! These are no warnings: a denied tool keeps its other rules on purpose. They are for screens that
//! show what each rule does.

use super::implies::Fact;
use super::rules::covers;
use crate::json::pointer;
use crate::policy::document::Document;
use crate::policy::model::{Action, Condition, Op, Rule, RuleList, Tool};

/// A rule or limit that is never asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    /// Its pointer, for instance `/tools/t/approve_if/0`.
    pub pointer: String,
    /// The pointer of what decides before it.
    pub by: String,
    /// Why, in words.
    pub why: String,
}

/// Every rule and limit of a valid document that can be shown never to be asked, in the order of
/// deciding. A document with errors has none.
pub fn shadowed(document: &Document) -> Vec<Shadowed> {
    if !document.is_valid() {
        return Vec::new();
    }
    let policy = document.policy();
    let mut found = Vec::new();
    for tool in &policy.tools {
        let mut at = "/tools".to_owned();
        pointer::push(&mut at, &tool.name);
        let hidden = if policy.hide.all {
            Some("/hide/0".to_owned())
        } else {
            policy
                .hide
                .names
                .iter()
                .position(|(name, _)| *name == tool.name)
                .map(|index| format!("/hide/{index}"))
        };
        Reach { tool, at, found: &mut found }.tool(hidden);
    }
    found
}

struct Reach<'r> {
    tool: &'r Tool,
    at: String,
    found: &'r mut Vec<Shadowed>,
}

impl Reach<'_> {
    fn tool(&mut self, hidden: Option<String>) {
        let own = format!("{}/action", self.at);
        let hidden = hidden.or_else(|| (self.tool.action == Some(Action::Hide)).then(|| own.clone()));
        if let Some(by) = hidden {
            return self.all(&by, "the tool is hidden, which is decided first");
        }
        if self.tool.action == Some(Action::Deny) {
            return self.all(&own, "`action` denies every call before it is asked");
        }
        let deny = RuleList::DenyIf;
        if let Some(index) = self.tool.deny_if.iter().position(|rule| rule.conditions.is_empty()) {
            let by = self.pointer(deny, index);
            let why = "that rule denies every call before it is asked";
            for later in index + 1..self.tool.deny_if.len() {
                self.add(self.pointer(deny, later), &by, why);
            }
            self.approvals(&by, why);
            return self.limits(&by, why);
        }
        let required: Vec<(usize, Fact<'_>)> = facts(&self.tool.require);
        for (index, rule) in self.tool.deny_if.iter().enumerate() {
            if let Some(by) = unmet(&required, rule) {
                let why = "whatever meets that rule of `require` cannot meet this one";
                self.add(self.pointer(deny, index), &self.pointer(RuleList::Require, by), why);
            }
        }
        if self.tool.action == Some(Action::Approve) {
            return self.approvals(&own, "`action` asks for approval of every call already");
        }
        for (index, rule) in self.tool.approve_if.iter().enumerate() {
            let at = self.pointer(RuleList::ApproveIf, index);
            if let Some(by) = unmet(&required, rule) {
                let why = "whatever meets that rule of `require` cannot meet this one";
                self.add(at, &self.pointer(RuleList::Require, by), why);
            } else if let Some(by) = self.tool.deny_if.iter().position(|denies| denied(denies, rule)) {
                let why = "whatever meets this rule is denied by that one first";
                self.add(at, &self.pointer(deny, by), why);
            }
        }
    }

    fn pointer(&self, list: RuleList, index: usize) -> String {
        format!("{}/{}/{index}", self.at, list.key())
    }

    fn add(&mut self, pointer: String, by: &str, why: &str) {
        self.found.push(Shadowed { pointer, by: by.to_owned(), why: why.to_owned() });
    }

    fn all(&mut self, by: &str, why: &str) {
        for (list, rules) in [(RuleList::Require, &self.tool.require), (RuleList::DenyIf, &self.tool.deny_if)]
        {
            for index in 0..rules.len() {
                self.add(self.pointer(list, index), by, why);
            }
        }
        self.limits(by, why);
        self.approvals(by, why);
    }

    fn limits(&mut self, by: &str, why: &str) {
        for index in 0..self.tool.limits.len() {
            self.add(format!("{}/limits/{index}", self.at), by, why);
        }
        if self.tool.rate_limit.is_some() {
            self.add(format!("{}/rate_limit", self.at), by, why);
        }
    }

    fn approvals(&mut self, by: &str, why: &str) {
        for index in 0..self.tool.approve_if.len() {
            self.add(self.pointer(RuleList::ApproveIf, index), by, why);
        }
        let own = format!("{}/action", self.at);
        if self.tool.action == Some(Action::Approve) && by != own {
            self.add(own, by, why);
        }
    }
}

/// Every condition of `require` with its rule: all of them hold of a call that comes further.
fn facts(require: &[Rule]) -> Vec<(usize, Fact<'_>)> {
    require
        .iter()
        .enumerate()
        .flat_map(|(index, rule)| rule.conditions.iter().map(move |condition| (index, condition)))
        .filter_map(|(index, condition)| Some((index, Fact::new(condition)?)))
        .collect()
}

/// The rule of `require` that makes a condition of this rule false for every call that meets it.
fn unmet(required: &[(usize, Fact<'_>)], rule: &Rule) -> Option<usize> {
    rule.conditions.iter().find_map(|condition| {
        let opposite = opposite(condition)?;
        let opposite = Fact::new(&opposite)?;
        let met = required
            .iter()
            .find(|(_, fact)| fact.condition.path == condition.path && fact.true_only_with(&opposite));
        met.map(|(index, _)| *index)
    })
}

/// The condition that is true exactly of the values of which this one is false; a missing argument,
/// of which both are false, aside.
fn opposite(condition: &Condition) -> Option<Condition> {
    let op = match condition.op {
        Op::Eq => Op::Neq,
        Op::Neq => Op::Eq,
        Op::Lt => Op::Gte,
        Op::Lte => Op::Gt,
        Op::Gt => Op::Lte,
        Op::Gte => Op::Lt,
        Op::In => Op::NotIn,
        Op::NotIn => Op::In,
        Op::Exists => {
            let value = if condition.value.trim() == "true" { "false" } else { "true" };
            return Some(Condition { value: value.to_owned(), ..condition.clone() });
        }
        Op::Regex | Op::Contains => return None,
    };
    Some(Condition { op, ..condition.clone() })
}

/// Whether a rule of `deny_if` fires whenever the other does.
fn denied(denies: &Rule, other: &Rule) -> bool {
    let wide: Vec<Fact<'_>> = denies.conditions.iter().filter_map(Fact::new).collect();
    let narrow: Vec<Fact<'_>> = other.conditions.iter().filter_map(Fact::new).collect();
    wide.len() == denies.conditions.len()
        && narrow.len() == other.conditions.len()
        && covers(RuleList::DenyIf, &wide, &narrow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(entry: &str) -> Vec<(String, String)> {
        let text = format!(r#"{{"version":"1","default":"deny","hide":["h"],"tools":{{"t":{entry}}}}}"#);
        let parsed = Document::parse(&text);
        assert_eq!(parsed.diagnostics, [], "{text}");
        let short = |pointer: &str| pointer.trim_start_matches("/tools/t/").to_owned();
        let shadowed = shadowed(&parsed.document.unwrap());
        shadowed.iter().map(|one| (short(&one.pointer), short(&one.by))).collect()
    }

    fn rule(path: &str, op: &str, value: &str) -> String {
        format!(r#"{{"conditions":[{{"path":"args.{path}","op":"{op}","value":{value}}}]}}"#)
    }

    #[test]
    fn what_decides_first_shadows_the_rest() {
        let limit = r#"{"counter":"c","window":"day","max":1}"#;
        let rest = format!(
            r#""require":[{}],"approve_if":[{{"conditions":[]}}],"limits":[{limit}]"#,
            rule("a", "lte", "1")
        );
        let by = |by: &str, of: &[&str]| -> Vec<(String, String)> {
            of.iter().map(|at| ((*at).to_owned(), by.to_owned())).collect()
        };
        let all = ["require/0", "limits/0", "approve_if/0"];
        assert_eq!(found(&format!(r#"{{"action":"deny",{rest}}}"#)), by("action", &all));
        assert_eq!(found(&format!(r#"{{"action":"hide",{rest}}}"#)), by("action", &all));
        assert_eq!(found(&format!(r#"{{"action":"approve",{rest}}}"#)), by("action", &["approve_if/0"]));
        let denied = format!(r#"{{"deny_if":[{{"conditions":[]}},{}],{rest}}}"#, rule("b", "eq", "1"));
        assert_eq!(found(&denied), by("deny_if/0", &["deny_if/1", "approve_if/0", "limits/0"]));
        assert_eq!(found("{}"), []);
        let text = r#"{"version":"1","default":"deny","hide":["*"],"tools":{"a/b":{"rate_limit":{"max":1,"window":60}}}}"#;
        let document = Document::parse(text).document.unwrap();
        let one = shadowed(&document).remove(0);
        assert_eq!((one.pointer.as_str(), one.by.as_str()), ("/tools/a~1b/rate_limit", "/hide/0"));
    }

    #[test]
    fn what_require_refuses_no_later_rule_sees() {
        let pair = |require: &str, list: &str, other: &str| {
            !found(&format!(r#"{{"require":[{require}],"{list}":[{other}]}}"#)).is_empty()
        };
        for (required, other, so) in [
            (rule("a", "lte", "100"), rule("a", "gt", "100"), true),
            (rule("a", "lte", "100"), rule("a", "gt", "1000"), true),
            (rule("a", "lte", "100"), rule("a", "gt", "99"), false),
            (rule("a", "lt", "100"), rule("a", "gte", "100"), true),
            (rule("a", "in", "[1,2]"), rule("a", "gt", "2"), true),
            (rule("a", "in", "[1,2]"), rule("a", "gt", "1"), false),
            (rule("a", "eq", "\"x\""), rule("a", "neq", "\"x\""), true),
            (rule("a", "neq", "\"x\""), rule("a", "eq", "\"x\""), true),
            (rule("a", "exists", "true"), rule("a", "exists", "false"), true),
            (rule("a", "exists", "true"), rule("b", "exists", "false"), false),
            // Of a string `gt` is indeterminate, and that denies.
            (rule("a", "exists", "true"), rule("a", "gt", "1"), false),
            (rule("a", "neq", "\"x\""), rule("a", "gt", "1"), false),
            (rule("a[*]", "lte", "5"), rule("a[*]", "gt", "5"), true),
            (rule("a", "regex", "\"^x$\""), rule("a", "regex", "\"y\""), false),
        ] {
            assert_eq!(pair(&required, "deny_if", &other), so, "{required} {other}");
            assert_eq!(pair(&required, "approve_if", &other), so, "{required} {other}");
        }
        let both = |deny: &str, ask: &str| found(&format!(r#"{{"deny_if":[{deny}],"approve_if":[{ask}]}}"#));
        assert_eq!(both(&rule("a", "gt", "5"), &rule("a", "gt", "50")).len(), 1);
        assert_eq!(both(&rule("a", "gt", "50"), &rule("a", "gt", "5")), []);
    }
}
