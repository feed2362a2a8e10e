//! The Model Context Protocol on the wire: envelopes over borrowed bytes, eras, replies, tools,
//! and cutting elements out of a list.
//!
//! Pure. Nothing that passes is ever re-serialised here: messages are looked at in place, and
//! lists lose elements by their bytes.

#[doc(hidden)]
pub mod check;
pub mod envelope;
pub mod id;
pub mod list;
pub mod reply;
mod scan;
pub mod server;
pub mod tool;
