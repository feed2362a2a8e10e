//! Arguments out of a schema: the policy's own reading of it.
pub use crate::policy::schema::{Argument, JsonType, ToolShape, ops_for};
