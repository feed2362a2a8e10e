//! callgate edits, enforces and shows the policy of what AI agents may call on MCP servers.
//!
//! The house has floors, and arrows point down only (`tests/architecture.rs` holds it):
//!
//! | floor | rooms |
//! |---|---|
//! | 0, pure | [`json`], [`time`], [`visible`], [`policy`], [`mcp`], [`risk`], [`record`], [`filter`], [`export`] |
//! | 1 | [`clock`], [`paths`], [`catalog`], [`counters`], [`journal`], [`revisions`], [`replay`] (pure) |
//! | 2 | [`feed`] |
//! | 3 | [`gateway`], [`tui`] (they never know each other) |
//! | 4 | [`cli`] |
//!
//! A call's way through it is one direction: transport, [`mcp`] (peek), [`policy`] (decide, with
//! [`counters`]), [`record`], [`journal`], [`feed`], `tui::app`, `tui::view`.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::format_push_string,
        clippy::too_many_lines
    )
)]

pub mod catalog;
pub mod cli;
pub mod clock;
pub mod counters;
pub mod export;
pub mod feed;
pub mod filter;
pub mod gateway;
pub mod journal;
pub mod json;
pub mod mcp;
pub mod paths;
pub mod policy;
pub mod record;
pub mod replay;
pub mod revisions;
pub mod risk;
pub mod time;
pub mod token;
#[cfg(feature = "tui")]
pub mod tui;
pub mod visible;
