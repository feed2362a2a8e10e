//! Putting the gateway in front of a server in a client's own file, and taking it out again.
//!
//! The file is somebody else's: comments, order, spacing and line ends stay as they are, and only
//! the command and the list of arguments of the one entry are touched, where they stand. Every
//! new text is read again and compared with what was meant before it is given back, so that a
//! layout that is not understood is refused and never damaged. Free of I/O.

mod json;
mod place;
#[cfg(test)]
mod tests;
mod toml;
#[doc(hidden)]
pub mod total;
mod yaml;

use std::path::Path;

use serde_json::Value;

use self::place::Place;
use super::{guard, read};

/// How a file is spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// JSON, comments and trailing commas included.
    Json,
    /// TOML.
    Toml,
    /// YAML.
    Yaml,
}

impl Format {
    fn of(file: &Path) -> Self {
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("toml") => Self::Toml,
            Some("yaml" | "yml") => Self::Yaml,
            _ => Self::Json,
        }
    }

    /// A string as this format spells it.
    fn quoted(self, word: &str) -> String {
        match self {
            Self::Toml => toml_edit::Value::from(word).to_string(),
            // A double-quoted scalar of YAML takes the escapes of JSON.
            Self::Json | Self::Yaml => Value::from(word).to_string(),
        }
    }

    fn list(self, words: &[String]) -> String {
        let words: Vec<String> = words.iter().map(|word| self.quoted(word)).collect();
        format!("[{}]", words.join(", "))
    }
}

/// A file with the gateway in front of one of its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// The whole new text.
    pub text: String,
    /// What stood there before, from the command to the arguments.
    pub before: String,
    /// What stands there now.
    pub after: String,
}

/// A file with the gateway taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwrapped {
    /// The whole new text.
    pub text: String,
    /// Whether the entry is the very bytes that it was before the gateway came. If not, the
    /// gateway's own words were taken out, and what else was changed since has stayed.
    pub exact: bool,
}

/// Puts the gateway in front of the server whose entry is at `at`: `program` becomes its command,
/// and `words` go before its old command line. Nothing else of the file is changed.
///
/// # Errors
/// Why this file cannot be edited safely, as the rest of a sentence that begins with its name.
pub fn wrap(
    file: &Path,
    text: &str,
    at: &[String],
    program: &str,
    words: &[String],
) -> Result<Wrapped, String> {
    let format = Format::of(file);
    let root = read::value(file, text)?;
    let (command, args) = read::command_line(&root, at).ok_or(GONE)?;
    if command.starts_with('-') {
        return Err(OPTION.to_owned());
    }
    let own: Vec<String> = words.iter().chain([&command]).cloned().collect();
    let meant: Vec<Value> = own.iter().map(|word| Value::from(word.as_str())).chain(args).collect();
    let place = find(format, text, at)?;
    let hull = place.hull();
    let edits = vec![(place.command.clone(), format.quoted(program)), place.prepend(format, text, &own)];
    let new = place::apply(text, edits);
    let now = checked(file, &new, at, &root, program, meant)?;
    // Outside of the entry's own place not a byte may differ, or it could not be put back.
    let same = text.get(..hull.start) == new.get(..now.start) && text.get(hull.end..) == new.get(now.end..);
    let parts = text.get(hull).zip(new.get(now)).filter(|_| same);
    let (before, after) = parts.ok_or(UNSAFE)?;
    let (before, after) = (before.to_owned(), after.to_owned());
    Ok(Wrapped { text: new, before, after })
}

/// Takes the gateway out of the entry at `at`. `kept` is what [`wrap`] said of it, before and after.
///
/// # Errors
/// As [`wrap`]; also when no gateway is there.
pub fn unwrap(
    file: &Path,
    text: &str,
    at: &[String],
    kept: Option<(&str, &str)>,
) -> Result<Unwrapped, String> {
    let format = Format::of(file);
    let root = read::value(file, text)?;
    let (command, args) = read::command_line(&root, at).ok_or(GONE)?;
    let place = find(format, text, at)?;
    let hull = place.hull();
    if let Some((before, after)) = kept
        && text.get(hull.clone()) == Some(after)
    {
        let new = place::apply(text, vec![(hull, before.to_owned())]);
        read::value(file, &new)?;
        return Ok(Unwrapped { text: new, exact: true });
    }
    let words: Vec<String> = std::iter::once(command).chain(args.iter().map(read::plain)).collect();
    let first = guard::command_at(&words).ok_or("has no callgate in front of that server")?;
    let program = words.get(first).ok_or(UNSAFE)?;
    let edits = vec![
        (place.command.clone(), format.quoted(program)),
        // The command itself is the first of the words, but none of the arguments.
        place.remove_first(first).ok_or(UNSAFE)?,
    ];
    let new = place::apply(text, edits);
    checked(file, &new, at, &root, program, args.get(first..).unwrap_or_default().to_vec())?;
    Ok(Unwrapped { text: new, exact: false })
}

/// The members of the entry as they would be with the gateway, for a person to paste.
pub fn to_paste(file: &Path, text: &str, at: &[String], program: &str, words: &[String]) -> Option<String> {
    let format = Format::of(file);
    let root = read::value(file, text).ok()?;
    let key = read::command_key(&root, at)?;
    let (command, args) = read::command_line(&root, at)?;
    let words: Vec<String> =
        words.iter().cloned().chain([command]).chain(args.iter().map(read::plain)).collect();
    let (program, list) = (format.quoted(program), format.list(&words));
    Some(match format {
        Format::Json => format!("\"{key}\": {program},\n\"args\": {list}"),
        Format::Toml => format!("{key} = {program}\nargs = {list}"),
        Format::Yaml => format!("{key}: {program}\nargs: {list}"),
    })
}

const GONE: &str = "no longer has that server";
const OPTION: &str = "starts a program whose name begins with `-`, which nothing could tell from an option";
const UNSAFE: &str = "is laid out in a way that cannot be edited without a risk to the rest of it";

fn find(format: Format, text: &str, at: &[String]) -> Result<Place, String> {
    match format {
        Format::Json => json::find(text, at),
        Format::Toml => toml::find(text, at),
        Format::Yaml => yaml::find(text, at),
    }
}

/// Where the entry stands in the new text, if that says exactly what was meant.
fn checked(
    file: &Path,
    new: &str,
    at: &[String],
    old: &Value,
    program: &str,
    args: Vec<Value>,
) -> Result<std::ops::Range<usize>, String> {
    let meant = read::with_command_line(old.clone(), at, program, args).ok_or(UNSAFE)?;
    if read::value(file, new).ok() != Some(meant) {
        return Err(UNSAFE.to_owned());
    }
    Ok(find(Format::of(file), new, at)?.hull())
}
