//! Errors as the command line reports them: what, where, and what to do.

use std::fmt;

/// A failed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliError {
    kind: Kind,
    message: String,
    help: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    No,
    Usage,
    Outside,
}

impl CliError {
    /// The answer is no and this is why (exit code 1): an invalid policy, for instance.
    pub fn no(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            kind: Kind::No,
            message: message.into(),
            help: Some(help.into()).filter(|text| !text.is_empty()),
        }
    }

    /// Wrong usage (exit code 2).
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            kind: Kind::Usage,
            message: message.into(),
            help: Some(help.into()).filter(|text| !text.is_empty()),
        }
    }

    /// Something outside failed (exit code 3): a file, a server, the network.
    pub fn outside(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            kind: Kind::Outside,
            message: message.into(),
            help: Some(help.into()).filter(|text| !text.is_empty()),
        }
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::No => 1,
            Kind::Usage => 2,
            Kind::Outside => 3,
        }
    }

    /// What to do about it.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}
