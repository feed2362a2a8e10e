//! A call's way: what each message of a client, and each of its server, means and is to be done with.
//!
//! | part | is |
//! |---|---|
//! | [`session`], [`listing`] | the state machine of one session, without I/O |
//! | `conversation` | one client's session with one server, over any transport |
//! | `judge`, `answer` | what is to be done with a message of the client, of the server |
//! | `decider` | policy, freezes and counters together, for one grant on one server |
//! | `standing` | the copy of freezes and overrides, and how old it is |
//! | `asking` | step 12: a person's approval, and rounds that need none |
//! | [`holds`], `held` | a call that waits for a person: as data, and looked after |
//! | `lists` | tool lists that are relayed, without what is hidden |

pub(super) mod answer;
pub(super) mod asking;
pub(super) mod conversation;
pub(super) mod decider;
pub(super) mod held;
pub mod holds;
pub(super) mod judge;
pub mod listing;
pub(super) mod lists;
pub mod session;
pub(super) mod standing;
