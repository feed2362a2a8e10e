//! Recorded calls and policies: which decisions another policy changes, what rules did, what tests say.
//!
//! | part | is |
//! |---|---|
//! | [`cases`] | policy tests: read, run, made from a record |
//! | [`health`] | each rule and limit with its hits, and what is wrong with it |
//! | [`recorded`] | a recorded call, read in place from a journal's line |
//! | [`engine`] | [`Replay`]: lines go in, in the order of their times, and a [`Report`] for each candidate comes out |
//! | [`ladder`] | the edits that would have decided a row otherwise, from the narrowest to the widest |
//! | [`newest`] | what the newest calls of a tool were called with |
//! | [`peak`] | how close calls would have come to a limit |
//! | [`report`] | changed decisions: counted, grouped by tool and rule, with examples |
//! | [`suggest`](mod@suggest) | the least-privilege policy that recorded calls need |
//!
//! Pure: lines, policies and the installation's key come in as values.
//!
//! **What is compared.** The base is what was recorded, or another policy simulated on the same calls
//! ([`Base`]). Each candidate is simulated beside it: any number of them in one pass, each line read
//! once. A decision changed when allow, deny and approve differ; a call that is denied by another rule
//! than before has not changed.
//!
//! **Counters.** What a counter held is recorded with each call that counts. A simulated counter is
//! that, plus the difference between what the candidate would have counted in the window so far and
//! what really was counted. So calls that are in no journal (other gateways, pruned files), calls that
//! two gateways decided at one moment, and windows cut by another machine's clock need no guess: a
//! policy replayed on what it decided itself differs nowhere. A counter that no record shows begins
//! empty. Reservations that were given back are given back here at the same time. How much a call
//! really counted is taken from the policy that decided it, where its text is at hand, else it is taken
//! to be what the candidate counts.
//!
//! **People.** A call that a person approved or rejected gets the same answer wherever the candidate
//! asks too. Where only the candidate asks, nobody was there to answer: the call counts nothing.
//!
//! **What no document decides.** A freeze, a deny override and drift stand above the document: such a
//! call is denied under every policy, and unchanged. An `allow` or `approved` override is in force for
//! the candidate as it was for the policy, so only hiding the tool changes its decision. Messages that
//! were malformed, calls that found no store or no policy, and calls that passed unenforced say nothing
//! about a policy: they are not replayable, and neither are calls for which a candidate's rule needs a
//! value that was masked or cut. What is not replayable is counted by [`Reason`], never as changed.
//! That a tool had drifted, or that a freeze or an override stood by, is known only where it decided.

pub mod cases;
mod counts;
pub mod engine;
mod groups;
pub mod health;
mod judge;
pub mod ladder;
mod masks;
pub mod newest;
pub mod peak;
pub mod recorded;
pub mod report;
pub mod suggest;
mod told;

pub use engine::{Applies, Base, Known, Options, Replay};
pub use recorded::{Entry, Recorded};
pub use report::{Changed, Example, Group, Kind, Reason, Report, Side};

#[cfg(test)]
mod tests;
