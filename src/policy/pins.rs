//! Pins: what a person accepted of each tool's definition, and what differs from it.
//!
//! A pin is the SHA-256 of the canonical JSON of exactly `name`, `title`, `description`,
//! `inputSchema`, `outputSchema` and `annotations`; members that are absent, or null, are absent from
//! it. The pins of `policy.json` lie in `policy.pins.json` beside it, with who accepted each when, and
//! with the accepted definition, so that a difference can be shown member by member.

mod file;

use std::collections::BTreeMap;

pub use file::Read;

use crate::json::canonical::{canonical, quote, sha256};
use crate::json::{self, Node, Value};
use crate::time::Timestamp;

/// The members of a definition that a pin covers.
pub const FIELDS: [&str; 6] = ["name", "title", "description", "inputSchema", "outputSchema", "annotations"];

/// The largest member that is kept as accepted, in bytes of canonical JSON; of a larger one only the
/// digest is kept.
pub const LARGEST_KEPT: usize = 16 * 1024;

/// The parts of a definition, by member.
pub type Fields = BTreeMap<&'static str, Kept>;

/// A tool's definition, as far as a pin covers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The tool's name.
    pub name: String,
    /// The SHA-256, as 64 lower-case hex digits.
    pub sha256: String,
    /// Its members.
    pub fields: Fields,
}

/// What is kept of one member of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// Its canonical JSON.
    Whole(String),
    /// The SHA-256 of its canonical JSON: it is too large, or readers differ on what it says.
    Digest(String),
}

impl Kept {
    fn digest(&self) -> String {
        match self {
            Self::Whole(text) => sha256(text.as_bytes()),
            Self::Digest(digest) => digest.clone(),
        }
    }
}

/// A definition that a person accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The SHA-256 of the definition.
    pub sha256: String,
    /// Who accepted it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What was accepted, by member; empty where the file does not say.
    pub fields: Fields,
}

/// The pins of one policy, by tool name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins {
    tools: BTreeMap<String, Pin>,
}

/// How a tool stands to its pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Its definition is the accepted one.
    Same,
    /// Its definition differs from the accepted one.
    Drifted,
    /// Nobody accepted a definition of it.
    New,
}

impl Definition {
    /// Reads a definition from its JSON text, as a server spelt it. `None` when it is no object with a
    /// `name` that is a string.
    pub fn read(text: &str) -> Option<Self> {
        let parsed = json::parse(text).ok()?;
        let members = parsed.root.as_object()?;
        let name = members.iter().find(|member| member.key.value == "name")?.value.as_str()?.to_owned();
        let mut canonical = String::from("{");
        let mut fields = Fields::new();
        let mut sorted = FIELDS;
        sorted.sort_unstable();
        for field in sorted {
            // Where a member stands twice readers differ on which counts, so both do.
            let values = members.iter().filter(|member| member.key.value == field && !member.value.is_null());
            let spelt: Vec<String> = values.clone().map(|member| spelling(&member.value, text)).collect();
            for value in &spelt {
                if canonical.len() > 1 {
                    canonical.push(',');
                }
                quote(field, &mut canonical);
                canonical.push(':');
                canonical.push_str(value);
            }
            let clear = parsed.duplicates.is_empty() && values.clone().all(|member| exact(&member.value));
            match spelt.as_slice() {
                [] => {}
                [one] if clear && one.len() <= LARGEST_KEPT => {
                    fields.insert(field, Kept::Whole(one.clone()));
                }
                several => {
                    fields.insert(field, Kept::Digest(sha256(several.join(",").as_bytes())));
                }
            }
        }
        canonical.push('}');
        Some(Self { name, sha256: sha256(canonical.as_bytes()), fields })
    }

    /// The digest of a definition as it stood in a list. One that cannot be read has that of its
    /// bytes: it is no accepted one.
    pub fn digest(bytes: &[u8]) -> String {
        let read = std::str::from_utf8(bytes).ok().and_then(Self::read);
        read.map_or_else(|| sha256(bytes), |definition| definition.sha256)
    }
}

/// Canonical, unless a string in it has no characters of its own: then as it is spelt.
fn spelling(node: &Node<'_>, text: &str) -> String {
    if exact(node) { canonical(node) } else { node.span.of(text).to_owned() }
}

fn exact(node: &Node<'_>) -> bool {
    match &node.value {
        Value::String(text) => text.exact,
        Value::Array(items) => items.iter().all(exact),
        Value::Object(members) => members.iter().all(|member| member.key.exact && exact(&member.value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

impl Pins {
    /// Reads the text of a file of pins.
    pub fn parse(text: &str) -> Read {
        file::read(text)
    }

    /// The text of a file that holds these pins: one text for equal pins.
    pub fn to_text(&self) -> String {
        file::write(self)
    }

    /// The pin of a tool.
    pub fn get(&self, tool: &str) -> Option<&Pin> {
        self.tools.get(tool)
    }

    /// Every pin with its tool's name, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Pin)> {
        self.tools.iter().map(|(name, pin)| (name.as_str(), pin))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tools.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// How a tool that was listed with a definition of this digest stands.
    pub fn standing(&self, tool: &str, sha256: &str) -> Standing {
        match self.tools.get(tool) {
            None => Standing::New,
            Some(pin) if pin.sha256 == sha256 => Standing::Same,
            Some(_) => Standing::Drifted,
        }
    }

    /// Accepts a definition. `false`: it was accepted already, and stays as it was.
    pub fn accept(&mut self, definition: Definition, by: &str, at: Timestamp) -> bool {
        let Definition { name, sha256, fields } = definition;
        if self.tools.get(&name).is_some_and(|pin| pin.sha256 == sha256) {
            return false;
        }
        self.tools.insert(name, Pin { sha256, by: by.to_owned(), at, fields });
        true
    }

    /// Takes the pin of a tool away; it is given back where there was one.
    pub fn remove(&mut self, tool: &str) -> Option<Pin> {
        self.tools.remove(tool)
    }
}

/// The members in which a definition differs from the accepted one, in the order of [`FIELDS`]. Empty
/// where it does not differ, and where one of the two does not say its members.
pub fn differing(pin: &Pin, now: &Definition) -> Vec<&'static str> {
    if pin.fields.is_empty() || now.fields.is_empty() {
        return Vec::new();
    }
    let digest = |fields: &Fields, name: &str| fields.get(name).map(Kept::digest);
    FIELDS.into_iter().filter(|name| digest(&pin.fields, name) != digest(&now.fields, name)).collect()
}

#[cfg(test)]
mod tests;
