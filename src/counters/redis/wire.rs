//! A connection of one's own, for what is not the store: the fleet's feed.

use redis::Connection;

use super::keys::Keys;
use super::pool;
use crate::counters::RedisUrl;

/// Connects; every answer then takes at most [`super::TIMEOUT`].
///
/// # Errors
/// Why not.
pub fn connect(url: &RedisUrl) -> Result<Connection, String> {
    pool::connect(&pool::client(url)?).map_err(|error| pool::explain(&error))
}

/// The stream of the fleet's records.
pub fn feed_key(url: &RedisUrl) -> String {
    Keys::new(&url.fleet).one("feed")
}
