//! The terminal interface: editor and live monitor in one.
//!
//! | part | is |
//! |---|---|
//! | [`action`] | the one table of what can be done, with its keys |
//! | [`key`], [`keymap`] | keys as values, and which do what where |
//! | [`theme`] | colours by meaning, at four depths |
//! | [`app`] | the state and `update` (pure) |
//! | [`view`] | drawing the state (pure) |
//! | [`run`] | the terminal, the loop and the effects |
//! | [`feed`], [`Redraw`], [`Canvas`] | its parts, for benchmarks that run them without a terminal |

pub mod action;
pub mod app;
pub mod key;
pub mod keymap;
mod runtime;
pub mod theme;
pub mod view;

pub use runtime::feed;
pub use runtime::redraw::Redraw;
pub use runtime::terminal::Canvas;
pub use runtime::{Loader, Options, Tools, TuiError, run};
