//! The policy: its document, its meaning, and the decision about one call.
//!
//! | part | is |
//! |---|---|
//! | [`model`] | the words of the format as types |
//! | [`document`] | the text with spans and order kept; parse, check, edit |
//! | [`compiled`] | a valid document ready to decide |
//! | [`decide`] | one call against it, purely |
//! | [`explain`] | the decision with its reasons |
//! | [`counter`] | windows, amounts and the arithmetic of admitting |
//! | [`memory`] | counters of one process |
//!
//! Pure: time comes in as a value, and counting is handed back as a value for the caller's store.

pub mod compiled;
mod condition;
pub mod counter;
pub mod decide;
pub mod diagnostic;
pub mod diff;
pub mod document;
pub mod duration;
pub mod edit;
pub mod explain;
pub mod lint;
pub mod memory;
pub mod model;
mod parse;
pub mod path;
pub mod schema;
pub mod state;
pub mod suggest;
#[doc(hidden)]
pub mod total;
