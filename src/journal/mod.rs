//! The journal: the durable record of decisions and outcomes on disk.
//!
//! Append-only JSONL in `journal/GATEWAY.N.jsonl` under the state folder, one run of files per
//! gateway run, 0600, rotated by size, kept by age and total size. A line is one record, the same
//! bytes as on the feed. A torn last line after a crash is tolerated by readers and cut off by a
//! writer that goes on with the file.

mod backfill;
pub mod find;
pub mod follow;
mod keep;
mod key;
mod line;
mod name;
pub mod past;
mod place;
pub mod read;
mod sync;
mod writer;

pub use backfill::{Backfill, backfill};
pub use key::{existing_key, key};
pub use line::{peek_seq, peek_ts};
pub use name::FileName;
pub use place::{Place, back, forth};
pub use writer::{Appended, Options, Writer};
