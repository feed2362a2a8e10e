//! Showing a part of the policy from another screen.

use super::inspect::{self, Target};
use super::{App, Effect, Focus};
use crate::tui::app::Screen;
use crate::tui::app::field::Field;

/// Goes to a tool's part in the inspector. A search or a filter that hides the tool is taken away.
pub(in crate::tui::app) fn show_part(
    app: &mut App,
    tool: &str,
    target: Option<Target>,
    effects: &mut Vec<Effect>,
) -> bool {
    if !app.policy.table.select(tool) {
        app.policy.search.field = Field::default();
        app.policy.search.typing = false;
        app.policy.filter = None;
        app.policy_show(false, effects);
        if !app.policy.table.select(tool) {
            return false;
        }
    }
    app.policy.touched = true;
    app.screen = Screen::Policy;
    app.policy.focus = Focus::Inspector;
    app.policy.part = 0;
    app.policy.part_top = 0;
    app.policy_scroll();
    inspect::enter(app);
    if let Some(target) = target {
        inspect::go_to(app, &target);
    }
    true
}
