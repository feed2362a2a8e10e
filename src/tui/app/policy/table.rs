//! The rows of the tools' table: what is shown, in which order, and what is selected.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use unicode_width::UnicodeWidthStr;

use super::search;
use crate::mcp::tool::Tool;
use crate::policy::pins::Definition;
use crate::risk::{Category, Risk};

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Item {
    /// What happens to tools that are not listed.
    Default,
    /// Limits that count every call.
    AllTools,
    /// A tool, by its index in [`Table::tools`].
    Tool(u32),
}

/// A tool of the table.
#[derive(Debug, Clone)]
pub struct ToolRow {
    /// Its exact name.
    pub name: Arc<str>,
    /// The name as it is shown, with visible marks.
    pub shown: String,
    /// Its name or description holds characters that people cannot see.
    pub suspicious: bool,
    /// Its definition; only the name where no server gives more.
    pub tool: Arc<Tool>,
    /// What it can do at worst.
    pub risk: Risk,
    /// A server lists it; `false`: only the policy names it.
    pub listed: bool,
    /// The digest of its definition, once that was asked for.
    digest: OnceLock<Box<str>>,
    key: String,
    words: String,
}

/// What the table is narrowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Tools in a state.
    State(crate::policy::state::ToolState),
    /// Tools with rules or limits.
    Ruled,
    /// Tools that the policy does not list.
    Unlisted,
    /// Tools of a category.
    Category(Category),
    /// Tools that no server lists.
    Unknown,
    /// Names or descriptions with characters that people cannot see.
    Suspicious,
    /// Definitions that are not as a person accepted them.
    Drifted,
    /// Tools whose definition nobody accepted.
    New,
}

/// The rows of the table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    tools: Arc<Vec<ToolRow>>,
    by_name: Arc<HashMap<Arc<str>, u32>>,
    items: Vec<Item>,
    /// The selected row, an index into the items.
    pub selected: usize,
    /// The first row that is drawn.
    pub top: usize,
    longest: u16,
    listed: usize,
    /// The query that the items were ranked by, and how many of them matched by name.
    ranked: (String, usize),
    /// Tools that are marked, by name.
    pub marked: BTreeSet<Arc<str>>,
}

impl Table {
    /// Takes over another list of tools, highest severity first, then by name.
    pub fn set_tools(&mut self, mut tools: Vec<ToolRow>) {
        tools.sort_by(|a, b| {
            b.risk
                .severity
                .cmp(&a.risk.severity)
                .then_with(|| a.key.cmp(&b.key))
                .then_with(|| a.name.cmp(&b.name))
        });
        let index = |row: &ToolRow, at: usize| (Arc::clone(&row.name), u32::try_from(at).unwrap_or(u32::MAX));
        self.by_name = Arc::new(tools.iter().enumerate().map(|(at, row)| index(row, at)).collect());
        let widths = tools.iter().map(|row| row.shown.width());
        self.longest = u16::try_from(widths.max().unwrap_or(0)).unwrap_or(u16::MAX);
        self.listed = tools.iter().filter(|row| row.listed).count();
        self.tools = Arc::new(tools);
        self.marked.retain(|name| self.by_name.contains_key(name));
    }

    /// How many of the tools a server lists.
    pub fn listed(&self) -> usize {
        self.listed
    }

    /// The width of the longest name, in columns.
    pub fn longest(&self) -> u16 {
        self.longest
    }

    /// The tools, in order.
    pub fn tools(&self) -> &[ToolRow] {
        &self.tools
    }

    /// The tools, shared.
    pub fn shared(&self) -> Arc<Vec<ToolRow>> {
        Arc::clone(&self.tools)
    }

    /// The tool of that name.
    pub fn tool(&self, name: &str) -> Option<&ToolRow> {
        self.row(*self.by_name.get(name)?)
    }

    /// The tool at an index.
    pub fn row(&self, index: u32) -> Option<&ToolRow> {
        self.tools.get(usize::try_from(index).ok()?)
    }

    /// The rows that are shown.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The selected row.
    pub fn item(&self) -> Option<Item> {
        self.items.get(self.selected).copied()
    }

    /// The selected tool.
    pub fn selected_tool(&self) -> Option<&ToolRow> {
        match self.item()? {
            Item::Tool(index) => self.row(index),
            Item::Default | Item::AllTools => None,
        }
    }

    /// Shows what matches a query and a test, keeping the selection on its row where that is still
    /// shown; with `best`, the first row is selected instead.
    pub fn show(&mut self, query: &str, keep: Option<&dyn Fn(&ToolRow) -> bool>, best: bool) {
        let was = self.item();
        let fits = |index: u32| keep.is_none_or(|keep| self.row(index).is_some_and(keep));
        let all = 0..u32::try_from(self.tools.len()).unwrap_or(u32::MAX);
        let mut items = Vec::with_capacity(self.tools.len() + 2);
        if query.trim().is_empty() {
            if keep.is_none() {
                items.extend([Item::Default, Item::AllTools]);
            }
            items.extend(all.filter(|index| fits(*index)).map(Item::Tool));
            self.ranked = (String::new(), items.len());
        } else {
            // What a longer query matches, a shorter one matched too.
            let within: Vec<u32> = if !self.ranked.0.is_empty() && query.starts_with(&self.ranked.0) {
                let named = self.items.iter().take(self.ranked.1);
                let mut within: Vec<u32> = named
                    .filter_map(|item| if let Item::Tool(index) = item { Some(*index) } else { None })
                    .collect();
                within.sort_unstable();
                within
            } else {
                all.filter(|index| fits(*index)).collect()
            };
            let keys = within.iter().filter_map(|index| Some((*index, self.row(*index)?.key.as_str())));
            items.extend(search::rank(keys, query).into_iter().map(Item::Tool));
            self.ranked = (query.to_owned(), items.len());
        }
        self.items = items;
        self.select_item(if best { None } else { was }, best);
    }

    /// Adds rows whose description matches, after those whose name does.
    pub fn add_described(&mut self, hits: &[u32], keep: Option<&dyn Fn(&ToolRow) -> bool>) {
        let was = self.item();
        self.items.truncate(self.ranked.1);
        let named: std::collections::HashSet<Item> = self.items.iter().copied().collect();
        let more: Vec<Item> = hits
            .iter()
            .filter(|index| keep.is_none_or(|keep| self.row(**index).is_some_and(keep)))
            .map(|index| Item::Tool(*index))
            .filter(|item| !named.contains(item))
            .collect();
        self.items.extend(more);
        self.select_item(was, false);
    }

    fn select_item(&mut self, item: Option<Item>, best: bool) {
        let found = item.and_then(|item| self.items.iter().position(|other| *other == item));
        self.selected = found.unwrap_or(if best { 0 } else { self.selected });
        self.selected = self.selected.min(self.items.len().saturating_sub(1));
    }

    /// Selects a tool by its name, if it is shown.
    pub fn select(&mut self, name: &str) -> bool {
        let Some(index) = self.by_name.get(name) else { return false };
        match self.items.iter().position(|item| *item == Item::Tool(*index)) {
            Some(at) => {
                self.selected = at;
                true
            }
            None => false,
        }
    }

    /// Selects the first tool: the rows about the document come before it.
    pub fn select_first_tool(&mut self) {
        self.selected = self.items.iter().position(|item| matches!(item, Item::Tool(_))).unwrap_or(0);
    }

    /// Brings the selected row into the middle of what is drawn.
    pub fn center(&mut self, height: usize) {
        self.top = self.selected.saturating_sub(height / 2);
        self.scroll(height);
    }

    /// Brings the selected row into view, `height` rows being drawn.
    pub fn scroll(&mut self, height: usize) {
        let height = height.max(1);
        if self.selected < self.top {
            self.top = self.selected;
        } else if self.selected >= self.top + height {
            self.top = self.selected + 1 - height;
        }
        self.top = self.top.min(self.items.len().saturating_sub(height));
    }
}

impl ToolRow {
    /// A row for a tool.
    pub fn new(tool: Arc<Tool>, risk: Risk, listed: bool) -> Self {
        let words = tool.description.as_deref().map(search::fold_all).unwrap_or_default();
        let title = tool.title.as_deref().unwrap_or_default();
        let suspicious = crate::visible::is_suspicious(&tool.name)
            || crate::visible::is_suspicious(title)
            || tool.description.as_deref().is_some_and(crate::visible::is_suspicious);
        Self {
            name: Arc::from(tool.name.as_str()),
            shown: crate::visible::visible(&tool.name).into_owned(),
            suspicious,
            risk,
            listed,
            digest: OnceLock::new(),
            key: search::fold(&tool.name),
            words,
            tool,
        }
    }

    /// Its definition as pins cover it.
    pub fn definition(&self) -> Option<Definition> {
        self.tool.definition().ok()
    }

    /// The digest of its definition, as pins keep it.
    pub fn digest(&self) -> &str {
        if let Some(sha256) = &self.tool.sha256 {
            return sha256;
        }
        let digest = || self.definition().map(|definition| definition.sha256).unwrap_or_default();
        self.digest.get_or_init(|| digest().into())
    }

    /// The description as substring searches compare it.
    pub fn words(&self) -> &str {
        &self.words
    }
}
