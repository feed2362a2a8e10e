//! `callgate tools`

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::io::IsTerminal as _;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::args::ToolsArgs;
use super::explain::number;
use super::output::{Format, Tint};
use super::{Answer, CliError, Output, Verdict, source};
use crate::catalog::{ServerTools, saved_text};
use crate::mcp::tool::Tool;
use crate::paths::{Existing, write_whole};
use crate::policy::document::Document;
use crate::policy::edit::LimitDraft;
use crate::policy::state::{States, ToolState};
use crate::risk::{Category, Profile, Recommended, Risk, classify, recommend};
use crate::visible::visible;

/// The widest a name's column gets.
const NAME_COLUMN: usize = 48;
/// The narrowest that evidence is still worth its column.
const LEAST_EVIDENCE: usize = 12;

/// A tool with all that is said about it.
struct Row<'a> {
    tool: &'a Tool,
    risk: Risk,
    state: Option<(ToolState, String)>,
    recommended: Recommended,
}

/// Runs the command.
pub(super) fn run(args: &ToolsArgs, out: &Output) -> Answer {
    let document = args.policy.as_deref().map(policy).transpose()?;
    let states = document.as_ref().map(|document| States::of(document.policy()));
    let loaded = source::load(&args.source, args.timeout, out)?;
    if let Some(path) = &args.save {
        let [server] = loaded.servers.as_slice() else {
            return Err(CliError::usage(
                format!("`--save` takes one list, and these are {}", loaded.servers.len()),
                "name one server with `--server NAME`",
            ));
        };
        write_whole(path, saved_text(&server.raw).as_bytes(), Existing::Replace).map_err(|error| {
            CliError::outside(format!("`{}` cannot be written: {error}", path.display()), "")
        })?;
        out.note(&format!("saved {} to `{}`", number(server.tools.len(), "tool"), path.display()));
    }
    let several = loaded.servers.len() > 1;
    let mut all = Vec::new();
    for (index, server) in loaded.servers.iter().enumerate() {
        let rows = rows(server, states.as_ref(), args.profile);
        match out.format {
            Format::Json => {
                let name = several.then_some(server.name.as_str());
                all.extend(rows.iter().map(|row| value(row, name, args.full)));
            }
            Format::Text => {
                let blank = if index == 0 { "" } else { "\n" };
                out.print(&format!("{blank}{}", table(server, &rows, out, width())))?;
            }
        }
    }
    if out.format == Format::Json {
        out.json(&json!({ "tools": all }))?;
    }
    match &args.pin {
        Some(policy) => super::pin::run(policy, &loaded.servers, args.yes, out),
        None => Ok(Verdict::Yes),
    }
}

/// Reads a policy that must be valid.
fn policy(path: &std::path::Path) -> Result<Document, CliError> {
    let shown = path.display();
    let bytes = std::fs::read(path)
        .map_err(|error| CliError::outside(format!("`{shown}` cannot be read: {error}"), ""))?;
    Document::parse_bytes(&bytes).valid().map_err(|found| {
        CliError::no(
            format!(
                "`{shown}` is not valid: line {}, column {}: {}",
                found.line, found.column, found.message
            ),
            format!("`callgate check {shown}` shows everything that is wrong with it"),
        )
    })
}

/// The tools, the most severe first, then by name.
fn rows<'a>(server: &'a ServerTools, states: Option<&States<'_>>, profile: Profile) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = server
        .tools
        .iter()
        .map(|tool| {
            let risk = classify(tool);
            let recommended = recommend(&tool.name, risk.category, profile);
            let state = states.map(|states| (states.state(&tool.name), states.glance(&tool.name)));
            Row { tool, risk, state, recommended }
        })
        .collect();
    rows.sort_by(|a, b| {
        let key = |row: &Row<'a>| (Reverse(row.risk.severity), Reverse(row.risk.category));
        key(a).cmp(&key(b)).then_with(|| a.tool.name.cmp(&b.tool.name))
    });
    rows
}

fn value(row: &Row<'_>, server: Option<&str>, full: bool) -> Value {
    let mut value = json!({
        "name": row.tool.name,
        "category": row.risk.category,
        "severity": row.risk.severity,
        "evidence": row.risk.evidence,
        "state": row.state.as_ref().map(|(state, _)| state.name()),
        "rules": row.state.as_ref().map(|(_, rules)| rules),
        "recommended": recommended_value(&row.recommended),
    });
    if let Some(object) = value.as_object_mut() {
        if let Some(server) = server {
            object.insert("server".to_owned(), json!(server));
        }
        if full {
            object.insert("description".to_owned(), json!(row.tool.description));
            object.insert("inputSchema".to_owned(), row.tool.input_schema.clone());
        }
    }
    value
}

fn recommended_value(recommended: &Recommended) -> Value {
    match recommended {
        Recommended::Limit(limit) => json!({"action": "limit", "limit": limit_value(limit)}),
        Recommended::Deny { message } => json!({"action": "deny", "message": message}),
        other => json!({"action": other.name()}),
    }
}

fn limit_value(limit: &LimitDraft) -> Value {
    json!({
        "counter": limit.counter,
        "window": limit.window.seconds(),
        "max": serde_json::from_str::<Value>(&limit.max).unwrap_or_default(),
        "scope": limit.scope.map(crate::policy::model::Scope::name),
    })
}

fn table(server: &ServerTools, rows: &[Row<'_>], out: &Output, width: Option<usize>) -> String {
    let mut text = format!(
        "{}  {}  {}\n",
        out.tint(Tint::Strong, &visible(&server.name)),
        number(rows.len(), "tool"),
        out.tint(Tint::Dim, &cut(&visible(&server.label), width.map(|width| width.saturating_sub(20)))),
    );
    let names: Vec<String> =
        rows.iter().map(|row| cut(&visible(&row.tool.name), Some(NAME_COLUMN))).collect();
    let with_state = rows.iter().any(|row| row.state.is_some());
    let state_cells: Vec<String> = rows
        .iter()
        .map(|row| match &row.state {
            Some((state, rules)) if !rules.is_empty() && *state == ToolState::Allow => {
                format!("{}, {}", state.name(), cut(rules, Some(28)))
            }
            Some((state, _)) => state.name().to_owned(),
            None => String::new(),
        })
        .collect();
    let advice: Vec<String> = rows.iter().map(|row| row.recommended.summary()).collect();
    let widest = |cells: &[String], title: &str| {
        cells.iter().map(|cell| cell.width()).max().unwrap_or(0).max(title.width())
    };
    let name_width = widest(&names, "TOOL");
    let state_width = widest(&state_cells, "STATE");
    let advice_width = widest(&advice, "RECOMMENDED");
    let mut used = 2 + name_width + 2 + "destructive".len() + 2 + advice_width + 2;
    if with_state {
        used += state_width + 2;
    }
    let evidence_width = width.map(|width| width.saturating_sub(used));
    let evidence_fits = evidence_width.is_none_or(|width| width >= LEAST_EVIDENCE);
    let line = |cells: [&str; 5], tint: &dyn Fn(&str) -> String| {
        let [name, risk, state, advice, why] = cells;
        let mut line = format!("  {}  {}", pad(name, name_width), tint(&pad(risk, "destructive".len())));
        if with_state {
            let _ = write!(line, "  {}", pad(state, state_width));
        }
        let _ = write!(line, "  {}", pad(advice, advice_width));
        if evidence_fits {
            let _ = write!(line, "  {}", out.tint(Tint::Dim, &cut(why, evidence_width)));
        }
        format!("{}\n", line.trim_end())
    };
    if !rows.is_empty() {
        let title = line(["TOOL", "RISK", "STATE", "RECOMMENDED", "WHY"], &str::to_owned);
        text.push_str(&title);
    }
    for (((row, name), state), advice) in rows.iter().zip(&names).zip(&state_cells).zip(&advice) {
        let why = visible(&row.risk.evidence.join("; ")).into_owned();
        let tint = |text: &str| match row.risk.category {
            Category::Destructive | Category::Financial => out.tint(Tint::Bad, text),
            Category::Execute => out.tint(Tint::Warn, text),
            Category::Write => text.to_owned(),
            Category::Read => out.tint(Tint::Dim, text),
        };
        text.push_str(&line([name, row.risk.category.name(), state, advice, &why], &tint));
    }
    text.push_str(&counts(rows));
    text
}

/// `2 financial, 7 destructive, 3 execute, 4 write, 8 read`
fn counts(rows: &[Row<'_>]) -> String {
    let all =
        [Category::Financial, Category::Destructive, Category::Execute, Category::Write, Category::Read];
    let parts: Vec<String> = all
        .into_iter()
        .filter_map(|category| {
            let count = rows.iter().filter(|row| row.risk.category == category).count();
            (count > 0).then(|| format!("{count} {}", category.name()))
        })
        .collect();
    if parts.is_empty() { String::new() } else { format!("{}\n", parts.join(", ")) }
}

/// The terminal's width; `None` where the output is no terminal and nothing is cut.
fn width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    #[cfg(unix)]
    let columns = rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    #[cfg(not(unix))]
    let columns: Option<usize> = None;
    columns.filter(|columns| *columns > 0)
}

fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.width());
    format!("{text}{}", " ".repeat(missing))
}

/// The text within so many columns, with `…` where something was cut off.
fn cut(text: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|width| text.width() > *width) else { return text.to_owned() };
    let mut short = String::new();
    let mut columns = 0;
    for letter in text.chars() {
        let wide = unicode_width::UnicodeWidthChar::width(letter).unwrap_or(0);
        if columns + wide + 1 > width {
            break;
        }
        columns += wide;
        short.push(letter);
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_columns() {
        assert_eq!(cut("abcdef", Some(4)), "abc…");
        assert_eq!(cut("abcd", Some(4)), "abcd");
        assert_eq!(cut("日本語", Some(4)), "日…");
        assert_eq!(cut("abc", None), "abc");
    }
}
