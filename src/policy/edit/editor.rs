//! What each edit does to the tree of a text.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::draft::json_text;
use super::style::{Context, Style};
use super::tree::{Container, New, Tree, after_newline};
use super::{Edit, EditError, Place, RuleDraft, no_such};
use crate::json;
use crate::policy::diagnostic::tick;
use crate::policy::duration;
use crate::policy::model::{Action, Default, RuleList};
use crate::policy::state::ToolState;

/// Where new members go: each after those that come before it here.
const ROOT_ORDER: &[&str] =
    &["$schema", "version", "description", "default", "hide", "hide_denied", "all_tools", "tools"];
const TOOL_ORDER: &[&str] = &["action", "reason", "require", "deny_if", "approve_if", "rate_limit", "limits"];

/// The text after the edit. The caller has made sure that `text` is a valid policy.
pub(super) fn run(text: &str, edit: &Edit) -> Result<String, EditError> {
    let parsed = json::parse(text).map_err(|error| no_such(format!("policy in the text: {error}")))?;
    let Tree::Object(root) = Tree::of(&parsed.root, text) else {
        return Err(no_such("policy in the text"));
    };
    let head = text.get(..parsed.root.span.start).unwrap_or("");
    let tail = text.get(parsed.root.span.end..).unwrap_or("");
    let style = Style::of(text, &root);
    let context = Context { indent: after_newline(head).unwrap_or("").to_owned(), inline: style.one_line() };
    let mut editor = Editor { root, style, context, tools: None };
    editor.edit(edit)?;
    let mut out = String::with_capacity(text.len() + 256);
    out.push_str(head);
    Tree::Object(editor.root).print(&mut out);
    out.push_str(tail);
    Ok(out)
}

struct Editor<'t> {
    root: Container<'t>,
    style: Style,
    context: Context,
    /// Index of each entry of `tools`, so that many edits of many tools are one pass each.
    tools: Option<HashMap<String, usize>>,
}

/// A container on the way down, with what surrounds it.
struct Spot<'e, 't> {
    container: &'e mut Container<'t>,
    context: Context,
    style: &'e Style,
}

impl<'e, 't> Spot<'e, 't> {
    /// The container of the item at `index`.
    fn into(self, index: usize) -> Option<Spot<'e, 't>> {
        let context = self.container.context(index, &self.context, self.style);
        match &mut self.container.items.get_mut(index)?.value {
            Tree::Object(container) | Tree::Array(container) => {
                Some(Spot { container, context, style: self.style })
            }
            Tree::Leaf(_) => None,
        }
    }

    fn member(self, key: &str) -> Option<Spot<'e, 't>> {
        let index = self.container.position(key)?;
        self.into(index)
    }

    /// The member's container, made where there is none.
    fn ensure(self, key: &str, order: &[&str], empty: &New) -> Option<Spot<'e, 't>> {
        let index = match self.container.position(key) {
            Some(index) => index,
            None => self.container.insert_member(key, empty, order, self.style, &self.context),
        };
        self.into(index)
    }

    fn insert(self, index: usize, value: &New) {
        self.container.insert(index, None, value, self.style, &self.context);
    }

    /// Sets a member whatever it was.
    fn set(self, key: &str, order: &[&str], value: &New) {
        if let Some(index) = self.container.position(key) {
            let context = self.container.context(index, &self.context, self.style);
            if let Some(item) = self.container.items.get_mut(index) {
                item.value.merge(value, self.style, &context);
            }
        } else {
            self.container.insert_member(key, value, order, self.style, &self.context);
        }
    }
}

fn object() -> New {
    New::Object(Vec::new())
}

fn array() -> New {
    New::Array(Vec::new())
}

impl<'t> Editor<'t> {
    fn root(&mut self) -> Spot<'_, 't> {
        Spot { container: &mut self.root, context: self.context.clone(), style: &self.style }
    }

    fn edit(&mut self, edit: &Edit) -> Result<(), EditError> {
        match edit {
            Edit::SetState { tools, state } => self.set_state(tools, *state),
            Edit::SetDefault(default) => {
                let word = if *default == Default::Allow { "allow" } else { "deny" };
                self.root().set("default", ROOT_ORDER, &New::string(word));
                Ok(())
            }
            Edit::SetHideAll(all) => {
                if *all {
                    self.root().set("hide", ROOT_ORDER, &New::Array(vec![New::string("*")]));
                } else if self.hides_all() {
                    self.drop_root("hide");
                }
                Ok(())
            }
            Edit::AddLimit { place, limit } => {
                let value = limit.new_value()?;
                let spot = self.holder(place)?.and_then(|spot| spot.ensure("limits", TOOL_ORDER, &array()));
                let spot = spot.ok_or_else(|| no_such("list of limits"))?;
                let len = spot.container.items.len();
                spot.insert(len, &value);
                Ok(())
            }
            Edit::SetLimit { place, index, limit } => {
                let value = limit.new_value()?;
                let mut spot = self.limits(place, *index)?;
                replace(&mut spot, *index, &value);
                Ok(())
            }
            Edit::RemoveLimit { place, index } => {
                let spot = self.limits(place, *index)?;
                spot.container.remove(*index);
                self.tidy_limits(place);
                Ok(())
            }
            Edit::RemoveRateLimit { tool } => {
                let entry = self.entry(tool)?;
                let index = entry.container.position("rate_limit");
                let index = index.ok_or_else(|| no_such(format!("`rate_limit` of {}", tick(tool))))?;
                entry.container.remove(index);
                Ok(())
            }
            Edit::AddRule { tool, list, rule } => {
                let value = rule.new_value(*list)?;
                let spot = self.rules_made(tool, *list)?;
                let len = spot.container.items.len();
                spot.insert(len, &value);
                Ok(())
            }
            Edit::SetRule { tool, list, index, rule } => {
                let mut spot = self.rules(tool, *list, *index)?;
                let value = keep_timeout(&spot, *index, rule).new_value(*list)?;
                replace(&mut spot, *index, &value);
                Ok(())
            }
            Edit::RemoveRule { tool, list, index } => {
                let spot = self.rules(tool, *list, *index)?;
                spot.container.remove(*index);
                let mut entry = self.entry(tool)?;
                drop_empty(&mut entry, list.key());
                Ok(())
            }
            Edit::MoveRule { tool, list, from, to } => {
                let spot = self.rules(tool, *list, (*from).max(*to))?;
                spot.container.shift(*from, *to);
                Ok(())
            }
            Edit::Batch(edits) | Edit::Named(_, edits) => edits.iter().try_for_each(|edit| self.edit(edit)),
            other => self.edit_member(other),
        }
    }

    /// An edit of a member that stands beside rules and limits.
    fn edit_member(&mut self, edit: &Edit) -> Result<(), EditError> {
        match edit {
            Edit::RemoveTool { tool } => {
                let index = self.tool_index(tool).ok_or_else(|| not_listed(tool))?;
                if let Some(tools) = self.root().member("tools") {
                    tools.container.remove(index);
                }
                self.tools = None;
                Ok(())
            }
            Edit::ListTool { tool } => {
                self.entry_made(tool)?;
                Ok(())
            }
            Edit::SetDescription(Some(text)) => {
                self.root().set("description", ROOT_ORDER, &New::string(text));
                Ok(())
            }
            Edit::SetDescription(None) => {
                self.drop_root("description");
                Ok(())
            }
            Edit::SetHideDenied(true) => {
                self.root().set("hide_denied", ROOT_ORDER, &New::Leaf("true".to_owned()));
                Ok(())
            }
            Edit::SetHideDenied(false) => {
                self.drop_root("hide_denied");
                Ok(())
            }
            Edit::SetSchema(Some(text)) => {
                self.root().set("$schema", ROOT_ORDER, &New::string(text));
                Ok(())
            }
            Edit::SetSchema(None) => {
                self.drop_root("$schema");
                Ok(())
            }
            Edit::SetAction { tool, action, reason } => self.set_action(tool, *action, reason.as_deref()),
            Edit::SetRateLimit { tool, max, window } => {
                let value = New::Object(vec![
                    ("max".to_owned(), json_text(max, "max")?),
                    ("window".to_owned(), New::Leaf(window.to_string())),
                ]);
                self.entry_made(tool)?.set("rate_limit", TOOL_ORDER, &value);
                Ok(())
            }
            _ => Err(no_such("such member")),
        }
    }

    fn set_action(
        &mut self,
        tool: &str,
        action: Option<Action>,
        reason: Option<&str>,
    ) -> Result<(), EditError> {
        let word = match action {
            None => {
                self.entry(tool)?.container.retain(|item| !item.is("action") && !item.is("reason"));
                return Ok(());
            }
            Some(Action::Allow) => "allow",
            Some(Action::Deny) => "deny",
            Some(Action::Hide) => "hide",
            Some(Action::Approve) => "approve",
        };
        self.entry_made(tool)?.set("action", TOOL_ORDER, &New::string(word));
        match reason {
            Some(reason) => self.entry(tool)?.set("reason", TOOL_ORDER, &New::string(reason)),
            None => self.entry(tool)?.container.retain(|item| !item.is("reason")),
        }
        Ok(())
    }

    fn drop_root(&mut self, key: &str) {
        if let Some(index) = self.root.position(key) {
            self.root.remove(index);
        }
    }

    fn hide_list(&self) -> &[super::tree::Item<'t>] {
        self.root.get("hide").and_then(Tree::array).map_or(&[], |hide| &hide.items)
    }

    fn hides_all(&self) -> bool {
        matches!(self.hide_list(), [only] if only.value.as_str().as_deref() == Some("*"))
    }

    fn default_allows(&self) -> bool {
        self.root.get("default").and_then(Tree::as_str).as_deref() == Some("allow")
    }

    fn tool_index(&mut self, tool: &str) -> Option<usize> {
        let root = &self.root;
        let index = self.tools.get_or_insert_with(|| {
            let items = root.get("tools").and_then(Tree::object).map_or(&[][..], |tools| &tools.items);
            let name = |item: &super::tree::Item<'_>| item.key.as_ref().map(|key| key.name.to_string());
            items.iter().enumerate().filter_map(|(index, item)| Some((name(item)?, index))).collect()
        });
        index.get(tool).copied()
    }

    /// A listed tool's entry.
    fn entry(&mut self, tool: &str) -> Result<Spot<'_, 't>, EditError> {
        let index = self.tool_index(tool).ok_or_else(|| not_listed(tool))?;
        let spot = self.root().member("tools").and_then(|tools| tools.into(index));
        spot.ok_or_else(|| not_listed(tool))
    }

    /// A tool's entry, made where there is none.
    fn entry_made(&mut self, tool: &str) -> Result<Spot<'_, 't>, EditError> {
        if self.tool_index(tool).is_none() {
            let tools = self.root().ensure("tools", ROOT_ORDER, &object());
            let tools = tools.ok_or_else(|| no_such("place for tools"))?;
            let index = tools.container.items.len();
            tools.container.insert(index, Some(tool), &object(), tools.style, &tools.context);
            if let Some(known) = &mut self.tools {
                known.insert(tool.to_owned(), index);
            }
        }
        self.entry(tool)
    }

    fn holder(&mut self, place: &Place) -> Result<Option<Spot<'_, 't>>, EditError> {
        match place {
            Place::AllTools => Ok(self.root().ensure("all_tools", ROOT_ORDER, &object())),
            Place::Tool(tool) => self.entry_made(tool).map(Some),
        }
    }

    fn limits(&mut self, place: &Place, index: usize) -> Result<Spot<'_, 't>, EditError> {
        let (holder, of) = match place {
            Place::AllTools => (self.root().member("all_tools"), "all tools".to_owned()),
            Place::Tool(tool) => (Some(self.entry(tool)?), tick(tool)),
        };
        let spot = holder.and_then(|spot| spot.member("limits"));
        let spot = spot.filter(|spot| index < spot.container.items.len());
        spot.ok_or_else(|| no_such(format!("limit {} of {of}", index + 1)))
    }

    fn tidy_limits(&mut self, place: &Place) {
        match place {
            Place::Tool(tool) => {
                if let Ok(mut entry) = self.entry(tool) {
                    drop_empty(&mut entry, "limits");
                }
            }
            Place::AllTools => {
                if let Some(mut all) = self.root().member("all_tools") {
                    drop_empty(&mut all, "limits");
                }
                let mut root = self.root();
                drop_empty(&mut root, "all_tools");
            }
        }
    }

    fn rules_made(&mut self, tool: &str, list: RuleList) -> Result<Spot<'_, 't>, EditError> {
        let spot = self.entry_made(tool)?.ensure(list.key(), TOOL_ORDER, &array());
        spot.ok_or_else(|| no_such(format!("list `{}` of {}", list.key(), tick(tool))))
    }

    /// The list of rules that has one at `index`.
    fn rules(&mut self, tool: &str, list: RuleList, index: usize) -> Result<Spot<'_, 't>, EditError> {
        let spot = self.entry(tool)?.member(list.key());
        let spot = spot.filter(|spot| index < spot.container.items.len());
        spot.ok_or_else(|| no_such(format!("rule {} in `{}` of {}", index + 1, list.key(), tick(tool))))
    }

    fn set_state(&mut self, tools: &[String], state: ToolState) -> Result<(), EditError> {
        let Some(first) = tools.first() else { return Ok(()) };
        if state == ToolState::Hide {
            return self.hide(tools);
        }
        if self.hides_all() {
            return Err(EditError::AllHidden { tool: first.clone() });
        }
        self.unhide(tools);
        let allows = self.default_allows();
        for tool in tools {
            let listed = self.tool_index(tool).is_some();
            match state {
                ToolState::Allow if listed => self.allow(tool)?,
                ToolState::Allow if !allows => drop(self.entry_made(tool)?),
                ToolState::Deny if listed || allows => self.deny(tool)?,
                ToolState::Approve => self.approve(tool)?,
                // Already so by `default`.
                ToolState::Allow | ToolState::Deny | ToolState::Hide => {}
            }
        }
        Ok(())
    }

    fn hide(&mut self, tools: &[String]) -> Result<(), EditError> {
        if self.hides_all() {
            return Ok(());
        }
        let mut hidden: HashSet<String> =
            self.hide_list().iter().filter_map(|item| item.value.as_str()).collect();
        for tool in tools {
            if hidden.contains(tool) || action(self.entry(tool).ok().as_ref()).as_deref() == Some("hide") {
                continue;
            }
            hidden.insert(tool.clone());
            let hide = self.root().ensure("hide", ROOT_ORDER, &array());
            let hide = hide.ok_or_else(|| no_such("place for hidden tools"))?;
            let len = hide.container.items.len();
            hide.insert(len, &New::string(tool));
        }
        Ok(())
    }

    fn unhide(&mut self, tools: &[String]) {
        let shown: HashSet<&str> = tools.iter().map(String::as_str).collect();
        let mut root = self.root();
        let Some(index) = root.container.position("hide") else { return };
        if let Some(item) = root.container.items.get_mut(index)
            && let Tree::Array(hide) = &mut item.value
        {
            let len = hide.items.len();
            hide.retain(|item| !item.value.as_str().is_some_and(|name| shown.contains(name.as_str())));
            if hide.items.len() < len {
                drop_empty(&mut root, "hide");
            }
        }
    }

    fn allow(&mut self, tool: &str) -> Result<(), EditError> {
        let mut entry = self.entry(tool)?;
        drop_always(&mut entry, "deny_if");
        drop_always(&mut entry, "approve_if");
        drop_action(&mut entry, &["deny", "hide", "approve"]);
        Ok(())
    }

    fn deny(&mut self, tool: &str) -> Result<(), EditError> {
        let mut entry = self.entry_made(tool)?;
        drop_action(&mut entry, &["hide"]);
        if action(Some(&entry)).as_deref() == Some("deny") || has_always(&entry, "deny_if") {
            return Ok(());
        }
        self.put_always(tool, RuleList::DenyIf)
    }

    fn approve(&mut self, tool: &str) -> Result<(), EditError> {
        let mut entry = self.entry_made(tool)?;
        drop_action(&mut entry, &["hide", "deny"]);
        drop_always(&mut entry, "deny_if");
        if action(Some(&entry)).as_deref() == Some("approve") || has_always(&entry, "approve_if") {
            return Ok(());
        }
        self.put_always(tool, RuleList::ApproveIf)
    }

    fn put_always(&mut self, tool: &str, list: RuleList) -> Result<(), EditError> {
        let value = RuleDraft::always(None).new_value(list)?;
        self.rules_made(tool, list)?.insert(0, &value);
        Ok(())
    }
}

fn not_listed(tool: &str) -> EditError {
    no_such(format!("entry for {}", tick(tool)))
}

fn replace(spot: &mut Spot<'_, '_>, index: usize, value: &New) {
    let context = spot.container.context(index, &spot.context, spot.style);
    if let Some(item) = spot.container.items.get_mut(index) {
        item.value.merge(value, spot.style, &context);
    }
}

/// The draft with the timeout as the text spells it, when both are equally long: `300s` stays.
fn keep_timeout<'d>(spot: &Spot<'_, '_>, index: usize, rule: &'d RuleDraft) -> Cow<'d, RuleDraft> {
    let spelt =
        spot.container.items.get(index).and_then(|item| item.value.object()?.get("timeout")?.as_str());
    if let (Some(spelt), Some(wanted)) = (spelt, &rule.timeout)
        && spelt != *wanted
        && duration::parse(&spelt).is_some_and(|seconds| duration::parse(wanted) == Some(seconds))
    {
        return Cow::Owned(RuleDraft { timeout: Some(spelt), ..rule.clone() });
    }
    Cow::Borrowed(rule)
}

/// Takes a member away whose container holds nothing.
fn drop_empty(spot: &mut Spot<'_, '_>, key: &str) {
    if let Some(index) = spot.container.position(key) {
        let item = spot.container.items.get(index).and_then(|item| item.value.container());
        if item.is_some_and(|container| container.items.is_empty()) {
            spot.container.remove(index);
        }
    }
}

/// A rule that holds for every call.
fn is_always(rule: &Tree<'_>) -> bool {
    let conditions = rule.object().and_then(|rule| rule.get("conditions")).and_then(Tree::array);
    conditions.is_some_and(|conditions| conditions.items.is_empty())
}

fn has_always(entry: &Spot<'_, '_>, key: &str) -> bool {
    let rules = entry.container.get(key).and_then(Tree::array);
    rules.is_some_and(|rules| rules.items.iter().any(|item| is_always(&item.value)))
}

fn drop_always(entry: &mut Spot<'_, '_>, key: &str) {
    let Some(index) = entry.container.position(key) else { return };
    if let Some(item) = entry.container.items.get_mut(index)
        && let Tree::Array(rules) = &mut item.value
    {
        let len = rules.items.len();
        rules.retain(|item| !is_always(&item.value));
        if rules.items.len() < len {
            drop_empty(entry, key);
        }
    }
}

fn action(entry: Option<&Spot<'_, '_>>) -> Option<String> {
    entry?.container.get("action")?.as_str()
}

/// Takes `action` with its `reason` away when it is one of `words`.
fn drop_action(entry: &mut Spot<'_, '_>, words: &[&str]) {
    if action(Some(entry)).is_some_and(|word| words.contains(&word.as_str())) {
        entry.container.retain(|item| !item.is("action") && !item.is("reason"));
    }
}
