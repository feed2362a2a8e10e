//! Every part of a policy that would stop a call by itself, not only the first.

use super::compiled::Compiled;
use super::condition::{Range, Truth};
use super::decide::Call;
use super::model::{self, Action};

impl Compiled {
    /// Names, in the order of deciding, the pointer of each word and rule that by itself would hide,
    /// deny or hold the call: the first of them decides, and what comes later never gets to. Limits
    /// and what stands outside of the document are not asked.
    pub fn each_firing(&self, call: &Call<'_>, each: &mut dyn FnMut(&str)) {
        let tool = self.tool(call.tool);
        if let Some(pointer) = self.hidden_by(tool) {
            each(pointer);
        }
        let Some(entry) = tool.and_then(|tool| tool.entry.as_ref()) else {
            if self.default == model::Default::Deny {
                each("/default");
            }
            return;
        };
        let action = |asked| entry.action == Some(asked);
        if action(Action::Deny) {
            each(&format!("{}/action", entry.pointer));
        }
        let arguments = call.arguments.filter(|node| node.as_object().is_some());
        for rule in entry.require.iter().filter(|rule| rule.judge(arguments, Range::All).0 != Truth::True) {
            each(&rule.pointer);
        }
        for rule in entry.deny_if.iter().filter(|rule| rule.judge(arguments, Range::Any).0 != Truth::False) {
            each(&rule.pointer);
        }
        if action(Action::Approve) {
            each(&format!("{}/action", entry.pointer));
        }
        for rule in entry.approve_if.iter().filter(|rule| rule.judge(arguments, Range::Any).0 != Truth::False)
        {
            each(&rule.pointer);
        }
    }
}
