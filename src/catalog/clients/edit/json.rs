//! Entries in JSON, with comments and trailing commas where a client takes them.

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::place::{Args, Place, line_before, line_end};
use super::{GONE, UNSAFE};

/// Where the entry at `at` stands.
pub(super) fn find(text: &str, at: &[String]) -> Result<Place, String> {
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let inner = text.get(mark..).unwrap_or_default();
    let parsed = parse_to_ast(inner, &CollectOptions::default(), &ParseOptions::default())
        .map_err(|error| format!("is not JSON: {error}"))?;
    let root = parsed.value.ok_or(GONE)?;
    let mut value = &root;
    for step in at {
        value = match value {
            Value::Object(object) => member(object, step)?.ok_or(GONE)?,
            Value::Array(array) => {
                step.parse::<usize>().ok().and_then(|index| array.elements.get(index)).ok_or(GONE)?
            }
            _ => return Err(GONE.to_owned()),
        };
    }
    let mut entry = value.as_object().ok_or(GONE)?;
    let mut command = match member(entry, "command")? {
        Some(command) => Some(command),
        None => member(entry, "cmd")?,
    };
    if let Some(Value::Object(inner)) = command {
        (entry, command) = (inner, member(inner, "path")?);
    }
    let Some(Value::StringLit(command)) = command else { return Err(GONE.to_owned()) };
    let command = command.start()..command.end();
    let args = match member(entry, "args")? {
        Some(Value::Array(array)) => Args::Flow {
            span: mark + array.start()..mark + array.end(),
            elements: array.elements.iter().map(|one| mark + one.start()..mark + one.end()).collect(),
        },
        Some(_) => return Err(UNSAFE.to_owned()),
        None => {
            let before = line_before(inner, command.start);
            let indent: String = before.chars().take_while(|letter| letter.is_whitespace()).collect();
            // In a line of its own, if the command has one.
            let alone = inner.get(..command.start).is_some_and(|before| before.contains('\n'))
                && before.trim_start().starts_with('"')
                && !before.contains('{');
            let between = if alone { format!("{}{indent}", line_end(inner)) } else { " ".to_owned() };
            Args::Absent { at: mark + command.end, before: format!(",{between}\"args\": ") }
        }
    };
    Ok(Place { command: mark + command.start..mark + command.end, args })
}

/// The member of that name. Which of two a client takes is not for us to guess.
fn member<'o, 'a>(object: &'o Object<'a>, name: &str) -> Result<Option<&'o Value<'a>>, String> {
    let mut found = object.properties.iter().filter(|member| member.name.as_str() == name);
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(format!("has two members `{name}` in one object: keep one of them")),
        (first, _) => Ok(first.map(|member| &member.value)),
    }
}
