//! What can be done about learning, testing and explaining.

use super::{Action, Context, Entry};
use crate::tui::app::App;

const PROPOSALS: &[Context] = &[Context::Suggest];

pub(super) const TABLE: &[Entry] = &[
    Entry::new(
        Action::Explain,
        "explain",
        "why",
        "Type a call's arguments and see how it is decided, step by step",
    )
    .keys(&["W"])
    .on(&[Context::Tool, Context::Live])
    .when(App::can_explain)
    .footer(42),
    Entry::new(Action::Tests, "policy.tests", "tests", "Show the tests beside the policy and why they fail")
        .keys(&["T"])
        .on(&[Context::Policy, Context::Inspector, Context::Raw])
        .when(App::can_see_tests),
    Entry::new(Action::Suggest, "policy.suggest", "suggest", "Propose the rules that recorded calls need")
        .keys(&["S"])
        .on(&[Context::Policy, Context::Inspector])
        .footer(43),
    Entry::new(Action::SuggestAccept, "suggest.accept", "accept", "Put the proposal into the draft")
        .keys(&["a", "enter"])
        .on(PROPOSALS)
        .when(App::can_change_proposal)
        .footer(10),
    Entry::new(Action::SuggestWiden, "suggest.widen", "widen", "Allow more than the proposal does")
        .keys(&["w"])
        .on(PROPOSALS)
        .when(App::can_change_proposal)
        .footer(11),
    Entry::new(Action::SuggestDrop, "suggest.drop", "drop", "Leave the proposal out, or take it back in")
        .keys(&["d"])
        .on(PROPOSALS)
        .when(App::can_change_proposal)
        .footer(12),
    Entry::new(
        Action::SuggestAll,
        "suggest.all",
        "accept all",
        "Put every proposal that is open into the draft",
    )
    .keys(&["A"])
    .on(PROPOSALS)
    .when(App::can_change_proposal)
    .footer(13),
];
