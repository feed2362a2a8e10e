//! The feed: the WebSocket stream of the journal's records, with counters and state.
//!
//! | part | is |
//! |---|---|
//! | [`message`] | what is said on it, as data (pure) |
//! | [`server`] | the half in a gateway |
//! | [`client`] | the half in a monitor |
//! | [`token`] | who may connect besides this user |
//! | [`discovery`] | how a monitor finds this user's gateways |
//! | `fleet` | the records of all gateways that share a Redis |

pub mod client;
pub mod discovery;
mod fleet;
pub mod message;
pub mod server;
pub mod token;
