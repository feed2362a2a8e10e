//! Entries in TOML.

use std::ops::Range;

use toml_edit::Item;

use super::place::{Args, Place, end_of_line, line_before, line_end};
use super::{GONE, UNSAFE};

/// Where the entry at `at` stands.
pub(super) fn find(text: &str, at: &[String]) -> Result<Place, String> {
    let document =
        toml_edit::Document::parse(text).map_err(|error| format!("is not TOML: {}", error.message()))?;
    let mut entry: &Item = document.as_item();
    for step in at {
        entry = entry.get(step).ok_or(GONE)?;
    }
    let command = entry.get("command").and_then(Item::as_value).filter(|value| value.is_str());
    let command = command.and_then(toml_edit::Value::span).ok_or(UNSAFE)?;
    let args = match entry.get("args") {
        Some(args) => {
            let list = args.as_array().ok_or(UNSAFE)?;
            let elements: Option<Vec<Range<usize>>> = list.iter().map(toml_edit::Value::span).collect();
            Args::Flow { span: list.span().ok_or(UNSAFE)?, elements: elements.ok_or(UNSAFE)? }
        }
        None if entry.is_inline_table() => Args::Absent { at: command.end, before: ", args = ".to_owned() },
        None => {
            // A line like the command's, whatever stands before its name: an indent, a dotted key.
            let (before, after) = line_before(text, command.start).rsplit_once("command").ok_or(UNSAFE)?;
            let before = format!("{}{before}args{after}", line_end(text));
            Args::Absent { at: end_of_line(text, command.end), before }
        }
    };
    Ok(Place { command, args })
}
