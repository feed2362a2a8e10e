//! Entries in YAML.
//!
//! No reader at hand tells where a value stands, so the block layout that people and clients write
//! is found by its lines. What is laid out otherwise is refused, and a mistake here cannot damage
//! a file: the new text must read as exactly what was meant.

use std::ops::Range;

use super::place::{Args, Place, line_end};
use super::{GONE, UNSAFE};

/// A line that says something: neither blank nor a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line<'t> {
    /// Where the line starts.
    start: usize,
    /// How far its content is indented; behind a dash that was taken away.
    indent: usize,
    /// Where its content starts.
    at: usize,
    /// The content, without white space at its end.
    text: &'t str,
}

/// Where the entry at `at` stands.
pub(super) fn find(text: &str, at: &[String]) -> Result<Place, String> {
    let mut lines = lines(text)?;
    for step in at {
        let first = *lines.first().ok_or(GONE)?;
        lines = if is_item(first.text) { item(&lines, step)? } else { below(&lines, step)?.1 };
    }
    let (command, more) = match below(&lines, "cmd") {
        Ok(found) => found,
        Err(_) => below(&lines, "command")?,
    };
    if !more.is_empty() {
        return Err(UNSAFE.to_owned());
    }
    let value = scalar(command).ok_or(UNSAFE)?;
    let args = if let Ok((args, more)) = below(&lines, "args") {
        arguments(text, args, &more)?
    } else {
        let indent = " ".repeat(lines.first().map_or(0, |line| line.indent));
        let end = command.at + command.text.len();
        Args::Absent { at: end, before: format!("{}{indent}args: ", line_end(text)) }
    };
    Ok(Place { command: value, args })
}

/// The lines that say something.
fn lines(text: &str) -> Result<Vec<Line<'_>>, String> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_start_matches(' ');
        let indent = line.len() - content.len();
        let said = content.trim_end();
        let mark = said == "---" || said.starts_with("--- ") || said == "...";
        if content.starts_with('\t') || (mark && !found.is_empty()) {
            return Err(UNSAFE.to_owned());
        }
        // A directive is left to the reader, which knows what it means.
        let silent =
            said.is_empty() || said.starts_with('#') || mark || (start == 0 && said.starts_with('%'));
        if !silent {
            found.push(Line { start, indent, at: start + indent, text: said });
        }
        start += line.len();
    }
    Ok(found)
}

fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// The lines of an item of a block list, the dash taken away.
fn item<'t>(lines: &[Line<'t>], index: &str) -> Result<Vec<Line<'t>>, String> {
    let index: usize = index.parse().map_err(|_| GONE)?;
    let indent = lines.first().ok_or(GONE)?.indent;
    let starts: Vec<usize> = (0..lines.len())
        .filter(|at| lines.get(*at).is_some_and(|line| line.indent == indent && is_item(line.text)))
        .collect();
    let from = *starts.get(index).ok_or(GONE)?;
    let to = starts.get(index + 1).copied().unwrap_or(lines.len());
    let mut inner = lines.get(from..to).ok_or(GONE)?.to_vec();
    let first = inner.first_mut().ok_or(GONE)?;
    let behind = first.text.strip_prefix('-').unwrap_or_default();
    let content = behind.trim_start_matches(' ');
    let skipped = first.text.len() - content.len();
    if content.is_empty() {
        inner.remove(0);
    } else {
        *first = Line { start: first.start, indent: indent + skipped, at: first.at + skipped, text: content };
    }
    Ok(inner)
}

/// The line of a member of a block mapping, and the lines of its value below it.
fn below<'t>(lines: &[Line<'t>], key: &str) -> Result<(Line<'t>, Vec<Line<'t>>), String> {
    let indent = lines.first().ok_or(GONE)?.indent;
    let mut found = (0..lines.len()).filter(|at| {
        lines.get(*at).is_some_and(|line| line.indent == indent && value_of(line.text, key).is_some())
    });
    let at = found.next().ok_or(GONE)?;
    if found.next().is_some() {
        return Err(format!("has two members `{key}` in one mapping: keep one of them"));
    }
    let line = *lines.get(at).ok_or(GONE)?;
    let inner: Vec<Line<'t>> = lines
        .iter()
        .skip(at + 1)
        // A list may stand as far to the left as the name that it belongs to.
        .take_while(|line| line.indent > indent || (line.indent == indent && is_item(line.text)))
        .copied()
        .collect();
    let behind = line.text.len() - value_of(line.text, key).unwrap_or_default().len();
    let rest = line.text.get(behind..).unwrap_or_default();
    Ok((Line { at: line.at + behind, text: rest, ..line }, inner))
}

/// What follows the name and its colon on a line, without leading blanks; `None` for another name.
fn value_of<'t>(line: &'t str, key: &str) -> Option<&'t str> {
    let rest = ['"', '\'']
        .into_iter()
        .find_map(|quote| line.strip_prefix(quote)?.strip_prefix(key)?.strip_prefix(quote))
        .or_else(|| line.strip_prefix(key))?;
    let rest = rest.trim_start_matches(' ').strip_prefix(':')?;
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix(' ').map(|rest| rest.trim_start_matches(' '))
}

/// A scalar that begins and ends on its line; a comment behind it is left out.
fn scalar(line: Line<'_>) -> Option<Range<usize>> {
    let text = line.text;
    let length = match text.chars().next()? {
        '|' | '>' | '&' | '*' | '!' | '{' | '[' | '%' | '@' | '`' | '#' => return None,
        quote @ ('"' | '\'') => closing(text, quote)?,
        _ => text.find(" #").map_or(text.len(), |end| text.get(..end).unwrap_or_default().trim_end().len()),
    };
    let rest = text.get(length..)?.trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(line.at..line.at + length)
}

/// The length of a quoted scalar at the beginning of a text.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' && quote == '"' {
            letters.next();
        } else if letter == quote {
            return Some(at + quote.len_utf8());
        }
    }
    None
}

/// The arguments: `line` is what follows `args:`, `more` the lines below it.
fn arguments(text: &str, line: Line<'_>, more: &[Line<'_>]) -> Result<Args, String> {
    if line.text.starts_with('[') {
        return flow(text, line.at).ok_or_else(|| UNSAFE.to_owned());
    }
    if !(line.text.is_empty() || line.text.starts_with('#')) || more.is_empty() {
        return Err(UNSAFE.to_owned());
    }
    let mut elements = Vec::new();
    let mut end = line.at;
    for element in more {
        let content = element.text.strip_prefix("- ").ok_or(UNSAFE)?.trim_start_matches(' ');
        let skipped = element.text.len() - content.len();
        let value = Line { at: element.at + skipped, text: content, ..*element };
        elements.push((element.start, scalar(value).ok_or(UNSAFE)?));
        end = element.at + element.text.len();
    }
    Ok(Args::Block { span: line.at..end, elements })
}

/// A list in brackets that begins at `from`.
fn flow(text: &str, from: usize) -> Option<Args> {
    let mut elements = Vec::new();
    let mut at = from + 1;
    loop {
        let rest = text.get(at..)?;
        let first = rest.chars().next()?;
        match first {
            ']' => return Some(Args::Flow { span: from..at + 1, elements }),
            ',' | ' ' | '\n' | '\r' => at += 1,
            '"' | '\'' => {
                let length = closing(rest, first)?;
                elements.push(at..at + length);
                at += length;
            }
            '[' | '{' | '#' | '&' | '*' | '!' | '\t' => return None,
            _ => {
                let end = rest.find([',', ']', '\n', '#'])?;
                let length = rest.get(..end)?.trim_end().len();
                elements.push(at..at + length);
                at += length;
            }
        }
    }
}
