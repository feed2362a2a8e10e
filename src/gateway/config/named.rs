//! The policies that a gateway.json names: whether a gateway that starts now could put them in force.

use std::path::PathBuf;

use crate::gateway::policies::reload;
use crate::json::{self, Span};
use crate::policy::diagnostic::{Diagnostic, Severity, tick};
use crate::visible::visible;

/// A grant's policy, and where in the text it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The grant's label.
    pub grant: String,
    /// The policy's file, as the gateway looks for it.
    pub path: PathBuf,
    /// JSON Pointer (RFC 6901) to the place.
    pub pointer: String,
    /// The bytes of the place.
    pub span: Span,
}

impl Named {
    /// What is wrong with the file, which keeps a gateway from starting; `text` is the gateway.json's.
    pub fn trouble(&self, text: &str) -> Option<Diagnostic> {
        let error = reload::load(&self.path).err()?;
        let shown = visible(&self.path.display().to_string()).into_owned();
        let (line, column) = json::line_column(text, self.span.start);
        let (code, help) = match &error {
            reload::LoadError::Unreadable { .. } => {
                ("no-policy", "put a policy there, name another, or revoke the grant".to_owned())
            }
            reload::LoadError::Invalid { .. } => {
                ("bad-policy", format!("`callgate check {shown}` names every error with its place"))
            }
        };
        Some(Diagnostic {
            severity: Severity::Error,
            code,
            pointer: self.pointer.clone(),
            span: self.span,
            line,
            column,
            message: format!(
                "the grant {} keeps the gateway from starting: {}",
                tick(&self.grant),
                visible(&error.to_string())
            ),
            help: Some(help),
        })
    }
}
