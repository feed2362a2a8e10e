//! From a source's arguments to a tool list.
