//! Learning from traffic, testing and explaining, from the Policy screen.
//!
//! | part | is |
//! |---|---|
//! | [`cases`] | the tests beside the policy, run after each edit; the list of them |
//! | [`console`] | why a call would be decided as it is, while its arguments are typed |
//! | [`suggest`] | what recorded calls need: accepted, widened or dropped one by one |
//! | [`trace`] | a decision in lines, for the list, the console and the review |
//!
//! What costs more than a frame is an effect with a number; an answer with an older one is ignored.

pub mod cases;
pub mod console;
pub mod suggest;
pub mod trace;

use std::sync::Arc;

use super::{App, Effect};
use crate::replay::suggest::{Asked, Learnt};

/// What is kept between frames.
#[derive(Debug, Clone, Default)]
pub struct Learn {
    /// The tests beside the policy.
    pub cases: cases::CasesState,
    /// The last suggestion that was asked for.
    pub(super) asked: u64,
}

/// What came of an effect.
#[derive(Debug, Clone)]
pub enum LearnMsg {
    /// Tests were run: the number of the run, and what came of them.
    Tested(u64, Arc<cases::Tested>),
    /// Records were learnt from: the number that was asked for, and what came of it.
    Learnt(u64, Result<Arc<Learnt>, String>),
}

/// What the runtime is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum LearnEffect {
    /// Run tests; answer with the number.
    Test {
        /// Names the run.
        number: u64,
        /// The policy's text.
        policy: Arc<str>,
        /// The tests' text.
        cases: Arc<str>,
    },
    /// Learn from this user's journals; answer with the number.
    Learn {
        /// Names the question.
        number: u64,
        /// What is asked.
        asked: Box<Asked>,
    },
}

/// Takes in what happened.
pub(super) fn update(app: &mut App, msg: LearnMsg) {
    match msg {
        LearnMsg::Tested(number, tested) => app.learn.cases.tested(number, tested),
        LearnMsg::Learnt(number, learnt) => suggest::learnt(app, number, &learnt),
    }
}

/// After each message: tests of a changed policy are run, and an open console shows what is now.
pub(super) fn keep(app: &mut App, effects: &mut Vec<Effect>) {
    cases::keep(app, effects);
    console::keep(app);
}
