//! Which tools the table shows, from the source, the gateways and the policy.

use std::collections::HashSet;
use std::sync::Arc;

use super::editor::Editor;
use super::pins::{Mark, PinsFile};
use super::table::{Filter, ToolRow};
use super::{App, Loading};
use crate::mcp::tool::Tool;
use crate::risk;

/// Where the listed tools came from, so that an edit need not look tens of thousands through again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listing {
    /// A server of the source: its address in memory, which holds it as long as it is shown.
    Server(usize),
    /// Gateways: how often their lists changed, and which servers are meant.
    Gateways(u64, Vec<String>),
    /// Nowhere.
    None,
}

/// Where the listed tools come from now.
pub(super) fn listing(app: &App) -> Listing {
    match app.policy.current() {
        Some(server) => Listing::Server(Arc::as_ptr(&server.tools).addr()),
        None if app.policy.loading == Loading::NoSource => {
            Listing::Gateways(app.feeds.listings(), app.policy.enforced_by.clone())
        }
        None => Listing::None,
    }
}

/// The rows of the table; `None` when they would be the same as now.
pub(super) fn rows(app: &App) -> Option<Vec<ToolRow>> {
    let table = &app.policy.table;
    let named = named(app);
    if app.policy.listing.as_ref() == Some(&listing(app)) {
        let own = named.iter().filter(|name| table.tool(name).is_none_or(|row| !row.listed));
        let (mut count, mut all) = (0, true);
        for name in own {
            count += 1;
            all &= table.tool(name).is_some();
        }
        if all && count == table.tools().len() - table.listed() {
            return None;
        }
    }
    let listed = listed(app);
    let known: HashSet<&str> = listed.iter().map(|tool| tool.name.as_str()).collect();
    let unknown: Vec<&str> = named.into_iter().filter(|name| !known.contains(name)).collect();

    // Classing tens of thousands of tools takes its time: what is known already is kept.
    let old = |tool: &Tool, listed: bool| {
        table.tool(&tool.name).filter(|row| row.listed == listed && *row.tool == *tool).cloned()
    };
    let mut seen = HashSet::new();
    let mut rows = Vec::with_capacity(listed.len() + unknown.len());
    for tool in &listed {
        // A server that lists a name twice gets one row: the policy cannot tell them apart.
        if seen.insert(tool.name.as_str()) {
            let row = old(tool, true)
                .unwrap_or_else(|| ToolRow::new(Arc::new(Tool::clone(tool)), risk::classify(tool), true));
            rows.push(row);
        }
    }
    for name in unknown {
        let tool = bare(name);
        let row = old(&tool, false).unwrap_or_else(|| {
            let risk = risk::classify(&tool);
            ToolRow::new(Arc::new(tool), risk, false)
        });
        rows.push(row);
    }
    Some(rows)
}

/// What a server lists: the source's, else those of the gateways that enforce this policy.
fn listed(app: &App) -> Vec<&Tool> {
    if let Some(server) = app.policy.current() {
        return server.tools.iter().collect();
    }
    if app.policy.loading != Loading::NoSource {
        return Vec::new();
    }
    let servers = &app.policy.enforced_by;
    servers.iter().filter_map(|server| app.feeds.tools(server)).flatten().collect()
}

/// The servers of attached gateways whose policy is this file.
pub(super) fn enforcing(app: &App) -> Vec<String> {
    let ours = app.policy.path.to_string_lossy();
    let mut servers: Vec<String> = app
        .feeds
        .gateways()
        .flat_map(|(_, gateway)| &gateway.hello.servers)
        .filter(|server| server.grants.iter().any(|grant| grant.policy.as_deref() == Some(&*ours)))
        .map(|server| server.name.clone())
        .collect();
    servers.sort_unstable();
    servers.dedup();
    servers
}

/// What the policy names.
fn named(app: &App) -> Vec<&str> {
    let Some(document) = app.policy.editor.as_ref().and_then(Editor::document) else { return Vec::new() };
    let policy = document.policy();
    let mut names: Vec<&str> = policy.tools.iter().map(|tool| tool.name.as_str()).collect();
    names.extend(policy.hide.names.iter().map(|(name, _)| name.as_str()));
    names.sort_unstable();
    names.dedup();
    names
}

fn bare(name: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        title: None,
        description: None,
        input_schema: serde_json::Value::Null,
        output_schema: None,
        annotations: None,
        sha256: None,
        other: serde_json::Map::new(),
    }
}

/// Whether an entry has more to it than its state.
pub(super) fn has_rules(entry: &crate::policy::model::Tool) -> bool {
    !crate::policy::state::tool_glance(entry).is_empty()
}

/// A test of rows.
pub(super) type Keep<'a> = Box<dyn Fn(&ToolRow) -> bool + 'a>;

/// The test of a filter.
pub(super) fn keeper<'a>(
    editor: Option<&'a Editor>,
    pins: &'a PinsFile,
    filter: Option<Filter>,
) -> Option<Keep<'a>> {
    let marked = |mark: Mark| -> Keep<'a> { Box::new(move |row| pins.mark(row, true) == Some(mark)) };
    let entry = move |row: &ToolRow| editor.and_then(|editor| editor.tool(&row.name));
    Some(match filter? {
        Filter::State(state) => {
            Box::new(move |row| editor.is_some_and(|editor| editor.state(&row.name) == state))
        }
        Filter::Ruled => Box::new(move |row| entry(row).is_some_and(has_rules)),
        Filter::Unlisted => Box::new(move |row| entry(row).is_none()),
        Filter::Category(category) => Box::new(move |row| row.risk.category == category),
        Filter::Unknown => Box::new(|row| !row.listed),
        Filter::Suspicious => Box::new(|row| row.suspicious),
        Filter::Drifted => marked(Mark::Drifted),
        Filter::New => marked(Mark::New),
    })
}
