//! The filter language over records: parse, match, complete. The same on live rows, in `tail` and
//! on the journal.
//!
//! Pure.

/// STUB
#[derive(Debug, Clone)]
pub struct Filter(String);
/// STUB
#[derive(Debug, Clone, thiserror::Error)]
#[error("stub")]
pub struct FilterError;
/// STUB
pub struct View<'a> {
    /// STUB
    pub tool: &'a str,
}
impl Filter {
    /// STUB
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Ok(Self(text.trim().trim_start_matches("tool:").to_owned()))
    }
    /// STUB
    pub fn matches(&self, view: &View<'_>) -> bool {
        view.tool == self.0
    }
}
