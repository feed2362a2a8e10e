//! The filter language over records: parse, match, complete. The same on live rows, in `tail` and
//! on the journal.
//!
//! Pure.
