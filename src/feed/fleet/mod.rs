//! The records of a fleet on one feed.
//!
//! Gateways that share a Redis also share their records there, in one stream: each puts in its own
//! ([`publish`]), and one whose feed is watched takes out those of all others ([`log`]). What is put
//! in are the very bytes that lie in the journal, so arguments are as they were recorded.
//!
//! The stream is for watching, not for keeping: it is bounded by count, large records stay out of it,
//! and what of it is lost is announced as a gap. Every record is in the journal of its gateway.

mod log;
mod publish;

pub(super) use self::log::{Follower, Log, What};
pub(super) use self::publish::Publisher;

/// About how many records the stream holds.
const KEPT: usize = 10_000;
/// A record larger than this is not shared but announced as a gap: the stream lies in the memory of
/// a server that has counters to keep. In bytes.
const LARGEST: usize = 32 * 1024;
/// Milliseconds after the last record until the stream goes.
const FORGOTTEN: u64 = 24 * 60 * 60 * 1000;
