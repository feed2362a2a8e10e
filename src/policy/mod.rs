//! The policy: its document, its meaning, and the decision about one call.
//!
//! | part | is |
//! |---|---|
//! | [`model`] | the words of the format as types |
//! | [`document`], [`diagnostic`] | the text with spans and order kept, and every error in it |
//! | [`lint`](mod@lint) | what is legal but surely not meant, and what is not portable |
//! | [`schema`] | a server's tools, to hold a policy against and to build rules from |
//! | [`complete`] | what could stand at a place of a text that is being written |
//! | [`edit`], [`state`], [`diff`](mod@diff) | edits as data, what they amount to, and what they changed |
//! | [`compiled`] | a valid document ready to decide |
//! | [`decide`] | one call against it, purely |
//! | [`explain`] | the decision with its reasons |
//! | [`counter`] | windows, amounts and the arithmetic of admitting |
//! | [`memory`] | counters of one process |
//! | [`pins`] | what was accepted of each tool's definition, and what differs from it |
//! | [`shadow`] | what a candidate would have decided |
//! | [`veil`] | arguments of which not everything was kept |
//!
//! Pure: time comes in as a value, and counting is handed back as a value for the caller's store.

pub mod compiled;
pub mod complete;
mod condition;
pub mod counter;
pub mod decide;
pub mod diagnostic;
pub mod diff;
pub mod document;
pub mod duration;
pub mod edit;
pub mod explain;
mod firing;
pub mod lint;
pub mod memory;
pub mod model;
mod parse;
pub mod path;
pub mod pins;
pub mod schema;
pub mod shadow;
pub mod state;
pub(crate) mod strict;
pub mod suggest;
#[doc(hidden)]
pub mod total;
pub mod veil;
