//! The terminal interface: a pure core, a view that draws it, and the runtime around them.
