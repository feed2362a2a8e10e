//! Argument rules offered by pattern (`assets/templates.json`), each with the attack it stops.

use std::collections::HashSet;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

use super::{Category, name, words};
use crate::policy::edit::{Edit, RuleDraft};
use crate::policy::model::{Op, RuleList};
use crate::policy::schema::{JsonType, ToolShape};

/// What a template's argument must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArgumentKind {
    /// A string.
    Text,
    /// A number.
    Number,
    /// A boolean.
    Flag,
}

/// A rule that is offered for a tool's argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleTemplate {
    /// What it does, in a few words.
    pub title: &'static str,
    /// The attack that it stops.
    pub attack: &'static str,
    /// The list it belongs in.
    pub list: RuleList,
    /// The rule, with the argument's path filled in; its value is a starting point.
    pub rule: RuleDraft,
}

impl RuleTemplate {
    /// The edit that adds it to a tool.
    pub fn edit(&self, tool: &str) -> Edit {
        Edit::AddRule { tool: tool.to_owned(), list: self.list, rule: self.rule.clone() }
    }
}

#[derive(Debug, Deserialize)]
struct Template {
    title: String,
    attack: String,
    kind: ArgumentKind,
    arguments: HashSet<String>,
    #[serde(default)]
    tools: HashSet<String>,
    #[serde(default = "yes")]
    reads: bool,
    list: String,
    op: String,
    value: Value,
    message: String,
}

#[derive(Deserialize)]
struct Asset {
    templates: Vec<Template>,
}

fn yes() -> bool {
    true
}

fn read() -> Result<Vec<Template>, serde_json::Error> {
    let asset: Asset = serde_json::from_str(include_str!("../../assets/templates.json"))?;
    Ok(asset.templates)
}

/// The templates of the asset; none where it does not read, which a test rules out.
fn all() -> &'static [Template] {
    static ALL: OnceLock<Vec<Template>> = OnceLock::new();
    ALL.get_or_init(|| read().unwrap_or_default())
}

/// The templates that fit a tool's arguments, in the order of the arguments. An argument that has
/// only a few values needs none.
pub fn templates(shape: &ToolShape) -> Vec<RuleTemplate> {
    let mut found = Vec::new();
    for argument in shape.arguments.iter().filter(|argument| argument.choices.is_empty()) {
        let has = |kind: JsonType| argument.types.contains(&kind);
        // Where the schema does not say, text is what attacks are made of.
        let kinds = [
            (ArgumentKind::Text, has(JsonType::String) || argument.types.is_empty()),
            (ArgumentKind::Number, has(JsonType::Number) || has(JsonType::Integer)),
            (ArgumentKind::Flag, has(JsonType::Boolean)),
        ];
        for (kind, _) in kinds.into_iter().filter(|(_, fits)| *fits) {
            found.extend(templates_for(&shape.name, &argument.path, kind));
        }
    }
    found
}

/// The templates that fit an argument of a tool, by the argument's path (`args.file_path`,
/// `args.items[*].price`) and what it holds.
pub fn templates_for(tool: &str, path: &str, kind: ArgumentKind) -> Vec<RuleTemplate> {
    let argument = snake(last_step(path));
    let tool_words = words::of_name(tool);
    let reads = name::read(tool).category == Category::Read;
    all()
        .iter()
        .filter(|template| template.kind == kind && (template.reads || !reads))
        .filter(|template| fits(&template.arguments, &argument))
        .filter(|template| {
            template.tools.is_empty() || tool_words.iter().any(|word| template.tools.contains(word))
        })
        .filter_map(|template| {
            let list = [RuleList::Require, RuleList::DenyIf, RuleList::ApproveIf]
                .into_iter()
                .find(|list| list.key() == template.list)?;
            let mut rule = RuleDraft::when(path, Op::parse(&template.op)?, &template.value.to_string());
            rule.message = Some(template.message.clone());
            Some(RuleTemplate { title: &template.title, attack: &template.attack, list, rule })
        })
        .collect()
}

/// Whole, or as an ending: `source_path` is a `path`.
fn fits(names: &HashSet<String>, argument: &str) -> bool {
    let mut rest = argument;
    loop {
        if names.contains(rest) {
            return true;
        }
        match rest.split_once('_') {
            Some((_, ending)) => rest = ending,
            None => return false,
        }
    }
}

/// The name that a path ends in, without `[*]`; a number step is left out.
fn last_step(path: &str) -> &str {
    let mut rest = path;
    loop {
        rest = rest.strip_suffix("[*]").unwrap_or(rest);
        let from = rest
            .char_indices()
            .rev()
            .find(|(at, letter)| *letter == '.' && !rest.get(..*at).unwrap_or_default().ends_with('\\'))
            .map_or(0, |(at, _)| at + 1);
        let step = rest.get(from..).unwrap_or(rest);
        let number = !step.is_empty() && step.chars().all(|letter| letter.is_ascii_digit());
        if !number || from == 0 {
            return step;
        }
        rest = rest.get(..from - 1).unwrap_or_default();
    }
}

fn snake(name: &str) -> String {
    words::of_name(name).join("_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::document::Document;
    use crate::policy::edit::apply;

    fn titles(tool: &str, path: &str, kind: ArgumentKind) -> Vec<&'static str> {
        templates_for(tool, path, kind).iter().map(|template| template.title).collect()
    }

    /// Whether the offered rule's pattern matches.
    fn matches(tool: &str, path: &str, title: &str, value: &str) -> bool {
        let found = templates_for(tool, path, ArgumentKind::Text);
        let template = found.iter().find(|template| template.title == title).expect(title);
        let pattern: String = serde_json::from_str(&template.rule.conditions[0].value).expect("a string");
        regex::Regex::new(&pattern).expect("a pattern").is_match(value)
    }

    #[test]
    fn every_template_makes_a_valid_rule() {
        let templates = read().expect("assets/templates.json");
        assert!(templates.len() >= 6);
        for template in &templates {
            let argument = template.arguments.iter().next().expect("an argument");
            let tool = template
                .tools
                .iter()
                .next()
                .map_or_else(|| "write".to_owned(), |word| format!("write_{word}"));
            let path = format!("args.{argument}");
            let offered = templates_for(&tool, &path, template.kind);
            let offer = offered.iter().find(|offer| offer.title == template.title).expect(&template.title);
            let text = apply(&Document::new_text(), &offer.edit(&tool)).expect(&template.title);
            assert!(Document::parse(&text).diagnostics.is_empty(), "{text}");
            assert!(offer.attack.len() > 20);
        }
    }

    #[test]
    fn they_are_offered_where_they_fit() {
        use ArgumentKind::{Flag, Number, Text};
        assert_eq!(
            titles("run_command", "args.command", Text),
            ["no shell metacharacters", "only these commands"]
        );
        assert_eq!(titles("read_file", "args.filePath", Text), ["only paths below a root"]);
        assert_eq!(titles("read_files", "args.paths[*]", Text), ["only paths below a root"]);
        assert_eq!(
            titles("fetch", "args.options.base-url", Text),
            ["only these hosts", "no internal addresses"]
        );
        assert_eq!(titles("push_files", "args.branch", Text), ["not the protected branches"]);
        assert!(titles("get_branch", "args.branch", Text).is_empty());
        assert_eq!(titles("execute_sql", "args.query", Text), ["no SQL writes"]);
        assert!(titles("search_docs", "args.query", Text).is_empty());
        assert_eq!(titles("create_refund", "args.items[*].amount", Number), ["an amount's cap"]);
        assert!(titles("create_refund", "args.amount", Text).is_empty());
        assert_eq!(titles("push", "args.force", Flag), ["no force"]);
        assert_eq!(titles("send_email", "args.to", Text), ["only our own recipients"]);
        assert!(titles("convert", "args.to", Text).is_empty());
        assert_eq!(last_step(r"args.a\.b.0[*]"), r"a\.b");
    }

    #[test]
    fn a_schema_gets_those_of_its_arguments() {
        let schema = serde_json::json!({"type": "object", "properties": {
            "paths": {"type": "array", "items": {"type": "string"}},
            "force": {"type": "boolean"},
            "branch": {"enum": ["a", "b"]},
            "amount": {"type": ["integer", "null"]},
            "url": {},
        }});
        let offered = templates(&ToolShape::from_schema("push_files", &schema));
        let mut offered: Vec<(&str, &str)> =
            offered.iter().map(|it| (it.rule.conditions[0].path.as_str(), it.title)).collect();
        offered.sort_unstable();
        let expected = [
            ("args.amount", "an amount's cap"),
            ("args.force", "no force"),
            ("args.paths[*]", "only paths below a root"),
            ("args.url", "no internal addresses"),
            ("args.url", "only these hosts"),
        ];
        assert_eq!(offered, expected);
    }

    #[test]
    fn they_stop_their_attacks_and_let_the_ordinary_pass() {
        let path = |value| matches("read_file", "args.path", "only paths below a root", value);
        for inside in [
            "/workspace",
            "/workspace/a/b.txt",
            "/workspace/.git/config",
            "/workspace/..a/x",
            "/workspace/a/",
        ] {
            assert!(path(inside), "{inside}");
        }
        for outside in [
            "/etc/passwd",
            "/workspace/../etc",
            "/workspace/a/../../x",
            "/workspace/..",
            "/workspacex",
            "workspace/a",
            "/workspace\\..\\x",
            "/workspace/a\\..\\x",
            "/workspace/./x",
            "",
            "/workspace/a\n/../x/..",
        ] {
            assert!(!path(outside), "{outside}");
        }
        let host = |value| matches("fetch", "args.url", "only these hosts", value);
        assert!(host("https://api.example.com/v1") && host("https://docs.example.com"));
        for evil in [
            "http://api.example.com/",
            "https://api.example.com.evil.net/",
            "https://api.example.com@evil.net/",
            "https://evil.net/?https://api.example.com/",
            "https://apiXexample.com/",
            "https://api.example.com:443@evil.net",
            " https://api.example.com/",
        ] {
            assert!(!host(evil), "{evil}");
        }
        let internal = |value| matches("fetch", "args.url", "no internal addresses", value);
        for bad in [
            "http://169.254.169.254/latest",
            "http://LOCALHOST:80",
            "http://u@127.0.0.1/",
            "http://[::1]/",
            "file:///etc/passwd",
            "http://2130706433/",
            "http://db.internal:5432",
        ] {
            assert!(internal(bad), "{bad}");
        }
        assert!(!internal("https://example.com/127.0.0.1"));
        let shell = |value| matches("run", "args.command", "no shell metacharacters", value);
        for bad in
            ["ls; rm -rf /", "a && b", "a | b", "echo $(id)", "echo `id`", "a > b", "a\nb", "echo ${IFS}"]
        {
            assert!(shell(bad), "{bad}");
        }
        assert!(!shell("git log --oneline -5"));
        let command = |value| matches("run", "args.command", "only these commands", value);
        assert!(command("git status") && command("ls src") && command("cat src/main.rs"));
        for bad in ["rm -rf /", "git push", "ls; rm x", "ls $(id)", "git status\nrm x"] {
            assert!(!command(bad), "{bad}");
        }
        let sql = |value| matches("execute_sql", "args.sql", "no SQL writes", value);
        for bad in [
            "DROP TABLE t",
            "select 1; delete from t",
            "with x as (delete from t returning *) select * from x",
            "select * into t from u",
        ] {
            assert!(sql(bad), "{bad}");
        }
        assert!(!sql("select name, updated_at from users where id = 3;"));
        let branch = |value| matches("push_files", "args.branch", "not the protected branches", value);
        assert!(branch("main") && branch("refs/heads/Master") && branch("release/1.2"));
        assert!(!branch("feature/main-menu"));
    }
}
