//! Names of journal files: `GATEWAY.N.jsonl`.

use std::fmt;
use std::path::Path;

/// The parts of a journal file's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName {
    /// The id of the gateway run.
    pub gateway: String,
    /// Counts the files of that run from 1.
    pub number: u64,
}

impl FileName {
    /// Reads the last part of a path; `None` for what is no journal file.
    pub fn of(path: &Path) -> Option<Self> {
        let rest = path.file_name()?.to_str()?.strip_suffix(".jsonl")?;
        let (gateway, number) = rest.rsplit_once('.')?;
        if !is_gateway_id(gateway) || number.starts_with('0') || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Self { gateway: gateway.to_owned(), number: number.parse().ok()? })
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.jsonl", self.gateway, self.number)
    }
}

/// Whether a text can be a gateway's id: it becomes part of a file's name.
pub(super) fn is_gateway_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && !text.starts_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        let name = FileName { gateway: "a.b-1".to_owned(), number: 12 };
        assert_eq!(name.to_string(), "a.b-1.12.jsonl");
        assert_eq!(FileName::of(Path::new("/x/a.b-1.12.jsonl")), Some(name));
        for other in
            ["a.jsonl", "a.x.jsonl", "a.01.jsonl", "a.1.json", ".1.jsonl", "a b.1.jsonl", "a.+1.jsonl"]
        {
            assert_eq!(FileName::of(Path::new(other)), None, "{other}");
        }
    }
}
