//! Risk: what class of tool this is, with the evidence, and the rule recommended for it.
//!
//! Pure. The lexicon lies in `assets/`, so that it can be read and improved without code.

mod classify;
mod lexicon;
mod name;
mod recommend;
mod templates;
#[cfg(test)]
mod tests;
mod words;

use serde::{Deserialize, Serialize};

pub use classify::classify;
pub use recommend::{Recommended, recommend};
pub use templates::{ArgumentKind, RuleTemplate, templates, templates_for};

/// What a tool does, from the least to the most severe; where several apply, the most severe wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Retrieves, changes nothing.
    Read,
    /// Creates or changes, reversibly.
    Write,
    /// Runs something.
    Execute,
    /// Deletes or overwrites for good.
    Destructive,
    /// Moves money.
    Financial,
}

/// How bad a wrong call can be; follows from the category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Read.
    Low,
    /// Write.
    Medium,
    /// Execute.
    High,
    /// Destructive and financial.
    Critical,
}

impl Category {
    /// The name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Execute => "execute",
            Self::Destructive => "destructive",
            Self::Financial => "financial",
        }
    }

    /// The severity that follows.
    pub fn severity(self) -> Severity {
        match self {
            Self::Read => Severity::Low,
            Self::Write => Severity::Medium,
            Self::Execute => Severity::High,
            Self::Destructive | Self::Financial => Severity::Critical,
        }
    }
}

impl Severity {
    /// The name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// How strict a starting policy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Destructive tools hidden, financial ones denied.
    Strict,
    /// Destructive tools hidden, financial ones by approval.
    Balanced,
    /// Destructive and financial tools by approval.
    Open,
}

/// A tool's class and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Risk {
    /// The class.
    pub category: Category,
    /// The severity.
    pub severity: Severity,
    /// What decided, for people: for instance ``name has `delete` ``.
    pub evidence: Vec<String>,
}
