//! A tool's definition, as `tools/list` gives it.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::{self, Node};
use crate::policy::pins::Definition;

/// The member that carries [`Tool::sha256`] beside what the server said.
const DIGEST: &str = "callgate/sha256";

/// One element of `tools`. Members that callgate does not use are kept in `other`, so that a
/// saved list or a pin's digest loses nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// The exact name that calls use.
    pub name: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What the server says it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of the arguments; `null` when the server gives none.
    #[serde(default)]
    pub input_schema: Value,
    /// JSON Schema of the structured result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// The server's claims about the tool's effects; untrusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Value>,
    /// The SHA-256 of the definition as the server spelt it, as pins keep it; `None` where the text
    /// was not at hand. What a [`Value`] holds is not enough for it: numbers lose digits there.
    #[serde(rename = "callgate/sha256", default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub other: serde_json::Map<String, Value>,
}

impl Tool {
    /// Reads a definition from the server's own text, and keeps its digest. A number that no
    /// [`Value`] can hold becomes the string that spells it: such a tool has to be seen, too.
    ///
    /// # Errors
    /// When it is no object with one `name`, or a member that callgate uses has another type.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        let mut tool = match serde_json::from_str::<Self>(text) {
            Ok(tool) => tool,
            Err(error) => lenient(text).ok_or(error).and_then(serde_json::from_value)?,
        };
        // Whatever the server itself says there is not taken for it.
        tool.sha256 = Some(Definition::digest(text.as_bytes()));
        Ok(tool)
    }

    /// The definition as pins cover it, with the digest of the server's own text. Where this is not
    /// that text any more the members are left out, because they would not be those of the digest.
    ///
    /// # Errors
    /// Never for a tool that was read.
    pub fn definition(&self) -> Result<Definition, serde_json::Error> {
        let text = serde_json::to_string(self)?;
        let read = Definition::read(&text).ok_or_else(|| serde_json::Error::custom("it is no definition"))?;
        Ok(match &self.sha256 {
            Some(sha256) if *sha256 != read.sha256 => {
                Definition { name: read.name, sha256: sha256.clone(), fields: BTreeMap::new() }
            }
            _ => read,
        })
    }

    /// Whether it stands for other tools: one of its arguments is their name, another all of their own
    /// arguments. Servers with hundreds of tools group them so (`@azure/mcp` unless it is told
    /// otherwise).
    pub fn stands_for_others(&self) -> bool {
        let is = |names: &[&str], wanted: &str| {
            let properties = self.input_schema.get("properties").and_then(Value::as_object);
            names.iter().any(|name| {
                properties
                    .and_then(|properties| properties.get(*name)?.get("type"))
                    .is_some_and(|found| found == wanted)
            })
        };
        is(&["command", "tool", "tool_name"], "string") && is(&["parameters", "arguments", "args"], "object")
    }

    /// A boolean annotation such as `readOnlyHint`, when the server gives it.
    pub fn hint(&self, name: &str) -> Option<bool> {
        self.annotations.as_ref()?.get(name)?.as_bool()
    }
}

/// The text as a value, of members that stand twice the last; `None` where even that cannot be done.
fn lenient(text: &str) -> Option<Value> {
    let parsed = json::parse(text).ok()?;
    let members = parsed.root.as_object()?;
    if members.iter().filter(|member| member.key.value == "name").count() != 1 {
        return None;
    }
    let mut value = value(&parsed.root);
    value.as_object_mut()?.remove(DIGEST);
    Some(value)
}

fn value(node: &Node<'_>) -> Value {
    match &node.value {
        json::Value::Null => Value::Null,
        json::Value::Bool(is) => Value::Bool(*is),
        json::Value::Number(spelt) => {
            serde_json::from_str(spelt).unwrap_or_else(|_| Value::String((*spelt).to_owned()))
        }
        json::Value::String(text) => Value::String(text.value.to_string()),
        json::Value::Array(items) => items.iter().map(value).collect(),
        json::Value::Object(members) => {
            let members = members.iter().map(|member| (member.key.value.to_string(), value(&member.value)));
            Value::Object(members.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_servers_text() {
        let odd = [
            r#"{"name":"t","inputSchema":{"maximum":1e400}}"#,
            r#"{"name":"t","inputSchema":{"maximum":10000000000000000000001}}"#,
            r#"{"name":"t","inputSchema":{"maximum":1.00000000000000000001}}"#,
            r#"{"name":"t","inputSchema":{"a":1,"a":2}}"#,
            r#"{"name":"t","description":"a","description":"b"}"#,
            r#"{"name":"t","description":"\ud800"}"#,
            r#"{"name":"t","callgate/sha256":"0","inputSchema":{"a":0.5}}"#,
            r#"{"name":"t","callgate/sha256":5,"inputSchema":{"a":0.5}}"#,
        ];
        for text in odd {
            let tool = Tool::read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let exact = Definition::read(text).expect(text);
            assert_eq!(tool.sha256.as_ref(), Some(&exact.sha256), "{text}");
            // Over the feed, too.
            let sent = serde_json::to_string(&tool).expect(text);
            let got: Tool = serde_json::from_str(&sent).expect(text);
            assert_eq!(got, tool, "{text}");
            let now = got.definition().expect(text);
            assert_eq!((now.name.as_str(), &now.sha256), ("t", &exact.sha256), "{text}");
            assert!(now.fields.is_empty() || now.fields == exact.fields, "{text}");
        }
        let plain = r#"{"name":"t","description":"d","inputSchema":{"maximum":10.0}}"#;
        assert_eq!(
            Tool::read(plain).expect("read").definition().expect("one"),
            Definition::read(plain).expect("one")
        );
        for bad in [r#"{"name":"a","name":"b"}"#, r#"{"title":"a"}"#, "[]", "{", r#"{"name":"a","title":1}"#]
        {
            assert!(Tool::read(bad).is_err(), "{bad}");
        }
    }
}
