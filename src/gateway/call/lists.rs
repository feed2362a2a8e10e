//! Tool lists on their way to the client.

use std::borrow::Cow;

use super::conversation::Conversation;
use crate::mcp::list::{Cut, ListOptions, cut_tools};
use crate::mcp::reply;

/// The longest that a client may keep a list which depends on the policy, in milliseconds.
const LONGEST_TTL: u64 = 10_000;

/// A list on its way to the client.
pub(in crate::gateway) struct Shown {
    /// What the client gets instead, without a line feed; `None`: the list as it is.
    pub(in crate::gateway) instead: Option<Vec<u8>>,
    /// Whether it is a list that can be read, so that it tells which tools there are.
    pub(in crate::gateway) is_list: bool,
}

/// Looks at a list before it goes on: what the client may see of it, and, where `first` tells which
/// page of a list it is, the names for later decisions. A list that cannot be cut is not shown.
pub(in crate::gateway) fn look(
    conversation: &Conversation,
    list: &[u8],
    id: Option<&str>,
    first: Option<bool>,
) -> Shown {
    let in_force = conversation.decider.in_force();
    let hides = in_force.as_ref().is_some_and(|in_force| in_force.compiled.hides_anything());
    let visible = |tool: &str| in_force.as_ref().is_none_or(|in_force| in_force.compiled.visible(tool));
    let max_message = if hides { conversation.desk.max_message } else { usize::MAX };
    let options =
        ListOptions { private_cache: hides, max_ttl_ms: LONGEST_TTL, max_message, ..ListOptions::default() };
    match cut_tools(list, &|tool| !hides || visible(tool), &options) {
        Ok(cut) => {
            if cut.is_list {
                conversation.decider.see_before(first, &cut);
                conversation.listing().remember(first, &cut.names, cut.next_cursor);
            }
            let is_list = cut.is_list;
            let instead = match cut.bytes {
                Cow::Owned(bytes) => Some(bytes),
                Cow::Borrowed(_) => None,
            };
            Shown { instead, is_list }
        }
        Err(error) if hides => {
            crate::gateway::say(&format!("a tool list is not passed on: {error}"));
            Shown { instead: Some(reply::list_unreadable(id.unwrap_or("null"))), is_list: false }
        }
        Err(_) => Shown { instead: None, is_list: false },
    }
}

/// A list that was relayed, whole; `None` when it cannot be read.
pub(in crate::gateway) fn whole(line: &[u8]) -> Option<Cut<'_>> {
    let options = ListOptions { max_message: usize::MAX, ..ListOptions::default() };
    cut_tools(line, &|_| true, &options).ok()
}
