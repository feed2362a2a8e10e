//! The feed: the WebSocket stream of the journal's records, with counters and state.
//!
//! | part | is |
//! |---|---|
//! | [`message`] | what is said on it, as data (pure) |
//! | [`server`] | the half in a gateway |
//! | [`client`] | the half in a monitor |
//! | [`offset`] | how far another machine's clock is ahead (pure) |
//! | [`merge`] | one order for what several gateways say (pure) |
//! | [`token`] | who may connect besides this user |
//! | [`discovery`] | how a monitor finds this user's gateways |
//! | `fleet` | the records of all gateways that share a Redis |

pub mod client;
pub mod discovery;
mod fleet;
pub mod merge;
pub mod message;
pub mod offset;
pub mod server;
pub mod token;
