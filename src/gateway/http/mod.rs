//! The gateway over streamable HTTP.

pub mod sse;
