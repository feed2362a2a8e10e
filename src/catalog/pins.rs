//! The file of pins beside a policy: `policy.json` has `policy.pins.json`.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::paths::{Existing, write_whole};
use crate::policy::diagnostic::Diagnostic;
use crate::policy::pins::{Definition, Pins, Standing};
use crate::time::Timestamp;
use crate::visible::visible;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Why a file of pins cannot be used.
#[derive(Debug)]
pub enum PinsError {
    /// It cannot be read.
    Unreadable(PathBuf, io::Error),
    /// It has errors; this is the first.
    Invalid(PathBuf, Box<Diagnostic>),
    /// It cannot be written.
    Unwritten(PathBuf, io::Error),
}

impl fmt::Display for PinsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| visible(&path.display().to_string()).into_owned();
        match self {
            Self::Unreadable(path, why) => write!(f, "cannot read the pins `{}`: {why}", shown(path)),
            Self::Invalid(path, first) => write!(f, "the pins `{}` are not valid: {first}", shown(path)),
            Self::Unwritten(path, why) => write!(f, "cannot write the pins `{}`: {why}", shown(path)),
        }
    }
}

impl std::error::Error for PinsError {}

impl PinsError {
    /// What to do about it, where that is known.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Invalid(_, first) => first.help.as_deref(),
            Self::Unreadable(..) | Self::Unwritten(..) => None,
        }
    }

    /// Whether the file is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Unreadable(_, why) if why.kind() == io::ErrorKind::NotFound)
    }
}

/// Where the pins of a policy lie: the policy's path with `.pins.json` in the place of `.json`.
pub fn place(policy: &Path) -> PathBuf {
    beside(policy, "pins")
}

/// A file beside a policy: the policy's path with `.WORD.json` in the place of `.json`.
pub fn beside(policy: &Path, word: &str) -> PathBuf {
    let mut name = match policy.extension() {
        Some(ending) if ending.eq_ignore_ascii_case("json") => {
            policy.file_stem().map(OsString::from).unwrap_or_default()
        }
        _ => policy.file_name().map(OsString::from).unwrap_or_default(),
    };
    name.push(format!(".{word}.json"));
    policy.with_file_name(name)
}

/// Reads a file of pins.
///
/// # Errors
/// When it cannot be read, or has an error: pins of which a part is missing say nothing.
pub fn load(path: &Path) -> Result<Pins, PinsError> {
    check(path, &read(path)?)
}

/// The bytes of a file of pins.
///
/// # Errors
/// When it cannot be read, or is larger than 64 MiB.
pub fn read(path: &Path) -> Result<Vec<u8>, PinsError> {
    let unreadable = |why| PinsError::Unreadable(path.to_owned(), why);
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(unreadable(io::Error::other("it is larger than 64 MiB")));
    }
    Ok(bytes)
}

/// The pins that the bytes of a file hold.
///
/// # Errors
/// When they have an error.
pub fn check(path: &Path, bytes: &[u8]) -> Result<Pins, PinsError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let why = format!("it is not UTF-8 from byte {} on", error.valid_up_to());
        PinsError::Unreadable(path.to_owned(), io::Error::other(why))
    })?;
    let read = Pins::parse(text);
    let first = read.diagnostics.into_iter().next();
    match (read.pins, first) {
        (Some(pins), None) => Ok(pins),
        (_, Some(first)) => Err(PinsError::Invalid(path.to_owned(), Box::new(first))),
        (None, None) => Err(PinsError::Unreadable(path.to_owned(), io::Error::other("it holds no pins"))),
    }
}

/// What accepting did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Tools that had no pin.
    pub new: Vec<String>,
    /// Tools whose definition differed from their pin.
    pub changed: Vec<String>,
    /// How many were accepted as they are already.
    pub same: usize,
}

/// What accepting these definitions would do.
pub fn preview(pins: &Pins, definitions: &[Definition]) -> Accepted {
    let mut accepted = Accepted::default();
    for definition in definitions {
        match pins.standing(&definition.name, &definition.sha256) {
            Standing::New => accepted.new.push(definition.name.clone()),
            Standing::Drifted => accepted.changed.push(definition.name.clone()),
            Standing::Same => accepted.same += 1,
        }
    }
    accepted
}

/// Accepts definitions: reads the file, where there is one, and writes it whole. The pins of other
/// tools stay as they are.
///
/// # Errors
/// When the file cannot be read or written, or has an error: it is left as it is then.
pub fn accept(
    path: &Path,
    definitions: Vec<Definition>,
    by: &str,
    at: Timestamp,
) -> Result<Accepted, PinsError> {
    let (mut pins, existing) = match load(path) {
        Ok(pins) => (pins, Existing::Replace),
        Err(error) if error.is_missing() => (Pins::default(), Existing::Keep),
        Err(error) => return Err(error),
    };
    let accepted = preview(&pins, &definitions);
    for definition in definitions {
        pins.accept(definition, by, at);
    }
    if existing == Existing::Keep || !accepted.new.is_empty() || !accepted.changed.is_empty() {
        write_whole(path, pins.to_text().as_bytes(), existing)
            .map_err(|why| PinsError::Unwritten(path.to_owned(), why))?;
    }
    Ok(accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(name: &str, description: &str) -> Definition {
        let text = serde_json::json!({"name": name, "description": description}).to_string();
        Definition::read(&text).unwrap()
    }

    #[test]
    fn pins_lie_beside_their_policy() {
        for (policy, pins) in [
            ("policy.json", "policy.pins.json"),
            ("/a/b.c.json", "/a/b.c.pins.json"),
            ("x/policy", "x/policy.pins.json"),
            ("x.JSON", "x.pins.json"),
            ("x.jsonc", "x.jsonc.pins.json"),
        ] {
            assert_eq!(place(Path::new(policy)), Path::new(pins));
        }
    }

    #[test]
    fn accepting_keeps_what_others_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.pins.json");
        assert!(load(&path).unwrap_err().is_missing());
        let both = vec![definition("a", "one"), definition("b", "one")];
        let accepted = accept(&path, both.clone(), "ada", Timestamp(1)).unwrap();
        assert_eq!(accepted.new, ["a", "b"]);
        let accepted =
            accept(&path, vec![definition("a", "two"), definition("b", "one")], "eve", Timestamp(2));
        assert_eq!(accepted.unwrap(), Accepted { new: vec![], changed: vec!["a".to_owned()], same: 1 });
        let pins = load(&path).unwrap();
        let who: Vec<_> = pins.iter().map(|(name, pin)| (name, pin.by.as_str(), pin.at)).collect();
        assert_eq!(who, [("a", "eve", Timestamp(2)), ("b", "ada", Timestamp(1))]);
        // A broken file is nobody's to replace.
        std::fs::write(&path, "{\"version\":\"1\",\"tools\":{},\"tools\":{}}").unwrap();
        let error = accept(&path, both, "ada", Timestamp(3)).unwrap_err();
        assert!(error.to_string().contains("not valid: line 1, column"), "{error}");
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("\"tools\":{}}"));
    }
}
