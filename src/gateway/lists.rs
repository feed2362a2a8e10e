//! Tool lists on their way to the client.

use super::decider::InForce;
use super::link::Link;
use crate::mcp::list::{ListOptions, cut_tools};
use crate::mcp::reply;

/// The longest that a client may keep a list which depends on the policy, in milliseconds.
const LONGEST_TTL: u64 = 10_000;

/// A list as the client may see it, without its line feed. One that cannot be cut is not shown.
pub(super) fn cut(line: &[u8], policy: &InForce, id: Option<&str>, max_message: usize) -> Vec<u8> {
    let options =
        ListOptions { private_cache: true, max_ttl_ms: LONGEST_TTL, max_message, ..ListOptions::default() };
    match cut_tools(line, &|tool| policy.compiled.visible(tool), &options) {
        Ok(cut) => cut.bytes.into_owned(),
        Err(error) => {
            super::say(&format!("a tool list is not passed on: {error}"));
            reply::list_unreadable(id.unwrap_or("null"))
        }
    }
}

/// What a list that was relayed tells: the names for later decisions, the definitions for screens.
/// `first` is as in [`super::session::Relay::List`].
pub(super) fn remember(link: &Link, first: bool, list: Vec<u8>) {
    let options = ListOptions { max_message: usize::MAX, ..ListOptions::default() };
    let Ok(cut) = cut_tools(&list, &|_| true, &options) else { return };
    if cut.is_list {
        link.session().remember(Some(first), &cut.names, cut.next_cursor);
        link.show_list(first, list);
    }
}

/// The definitions in a list.
pub(super) fn definitions(line: &[u8]) -> Vec<crate::mcp::tool::Tool> {
    let options = ListOptions { max_message: usize::MAX, ..ListOptions::default() };
    cut_tools(line, &|_| true, &options).map(|cut| cut.tools()).unwrap_or_default()
}
