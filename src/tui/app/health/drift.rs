//! Tools that are not as a person accepted them: which, what differs, and accepting them anew.

use super::HealthKey;
use crate::feed::message::DriftedTool;
use crate::policy::diff::{DiffKind, diff};
use crate::policy::pins::{Definition, FIELDS, Kept, Pin, differing};
use crate::tui::action::When;
use crate::tui::app::App;
use crate::tui::app::live::detail::{Line, Tone, line};
use crate::tui::app::policy::PinsFile;

/// A drifted tool, with who reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifted {
    /// The server's name.
    pub server: String,
    /// What the gateways say of it.
    pub tool: DriftedTool,
    /// The names of the gateways that say so.
    pub by: String,
    /// The policies beside which the pins lie.
    pub policies: Vec<String>,
}

/// The tools that have drifted at any connected gateway, each once.
pub fn drifted(app: &App) -> Vec<Drifted> {
    let mut all: std::collections::BTreeMap<(String, String, String), (Drifted, Vec<u32>)> =
        std::collections::BTreeMap::new();
    for (source, gateway) in app.feeds.gateways().filter(|(_, gateway)| gateway.alive) {
        for (server, tools) in &gateway.seen.drift {
            let info = gateway.hello.servers.iter().find(|info| info.name == *server);
            let policies =
                info.into_iter().flat_map(|info| &info.grants).filter_map(|grant| grant.policy.clone());
            let policies: Vec<String> = policies.collect();
            for tool in tools {
                let key = (server.clone(), tool.tool.clone(), tool.seen.clone());
                let new = || Drifted {
                    server: server.clone(),
                    tool: tool.clone(),
                    by: String::new(),
                    policies: Vec::new(),
                };
                let (entry, sources) = all.entry(key).or_insert_with(|| (new(), Vec::new()));
                sources.push(source);
                entry.policies.extend(policies.iter().cloned());
                entry.policies.sort();
                entry.policies.dedup();
            }
        }
    }
    all.into_values().map(|(entry, sources)| Drifted { by: app.feeds.names(&sources), ..entry }).collect()
}

/// The pin of a drifted tool, where it lies beside the policy that is open here.
fn pin<'a>(app: &'a App, drifted: &Drifted) -> Option<&'a Pin> {
    let pin = app.policy.pins.pins()?.get(&drifted.tool.tool)?;
    (is_here(app, drifted) && pin.sha256 == drifted.tool.pinned).then_some(pin)
}

fn is_here(app: &App, drifted: &Drifted) -> bool {
    let path = app.policy.path.display().to_string();
    drifted.policies.contains(&path)
}

/// The definition that was seen, as a gateway lists it.
fn seen(app: &App, drifted: &Drifted) -> Option<Definition> {
    let tools = app.feeds.tools(&drifted.server)?;
    let tool = tools.iter().find(|tool| tool.name == drifted.tool.tool)?;
    tool.definition().ok().filter(|definition| definition.sha256 == drifted.tool.seen)
}

impl App {
    /// The definition that accepting on this screen would accept, or why there is none.
    pub(crate) fn drift_to_accept(&self) -> Result<Definition, When> {
        let not = |why: &str| Err(When::Not(why.to_owned()));
        let Some(HealthKey::Drift(server, tool)) = &self.health.selected else {
            return not("select a drifted tool first");
        };
        let all = drifted(self);
        let Some(one) = all.iter().find(|one| one.server == *server && one.tool.tool == *tool) else {
            return not("it is as it was accepted");
        };
        if let PinsFile::Bad(why) = &self.policy.pins {
            return Err(When::Not(why.clone()));
        }
        if !is_here(self, one) {
            let place = one.policies.first().map_or("its policy", String::as_str);
            return Err(When::Not(format!("its pins lie beside {place}: open that policy")));
        }
        match seen(self, one) {
            Some(definition) => Ok(definition),
            None => not("no gateway has listed it since it drifted"),
        }
    }
}

/// A member as lines of text.
fn text(kept: Option<&Kept>) -> String {
    match kept {
        None => "(absent)\n".to_owned(),
        Some(Kept::Digest(digest)) => format!("(too large to be kept: SHA-256 {digest})\n"),
        Some(Kept::Whole(text)) => {
            let mut lines = crate::tui::app::live::detail::pretty(text).join("\n");
            lines.push('\n');
            lines
        }
    }
}

/// Everything about a drifted tool, with what differs member by member.
pub fn lines(app: &App, drifted: &Drifted) -> Vec<Line> {
    let DriftedTool { tool, pinned, seen: digest, at } = &drifted.tool;
    let mut out = vec![
        line("tool", format!("{tool} of {}", drifted.server), Tone::Heading),
        line("seen", format!("{at} by {}", drifted.by), Tone::Plain),
    ];
    let pin = pin(app, drifted);
    if let Some(pin) = pin {
        out.push(line("accepted", format!("{} by {}", pin.at, pin.by), Tone::Plain));
    }
    match (pin, seen(app, drifted)) {
        (Some(pin), Some(now)) => {
            let fields = differing(pin, &now);
            if fields.is_empty() {
                out.push(line("differs", "in members that the pins' file does not keep", Tone::Warn));
            }
            for field in FIELDS.into_iter().filter(|field| fields.contains(field)) {
                out.push(line("differs", field, Tone::Warn));
                let (before, after) = (text(pin.fields.get(field)), text(now.fields.get(field)));
                for part in diff(&before, &after, 2) {
                    let (mark, tone) = match part.kind {
                        DiffKind::Added => ("+ ", Tone::Good),
                        DiffKind::Removed => ("- ", Tone::Bad),
                        DiffKind::Same => ("  ", Tone::Code),
                        DiffKind::Skip => ("  ", Tone::Plain),
                    };
                    out.push(line("", format!("{mark}{}", part.text), tone));
                }
            }
        }
        (None, _) => {
            let places = drifted.policies.join(", ");
            out.push(line(
                "pins",
                format!("lie beside {places}: open it here to see what differs"),
                Tone::Plain,
            ));
        }
        (Some(_), None) => {
            out.push(line(
                "differs",
                "no gateway has listed it since: what differs is not known",
                Tone::Plain,
            ));
        }
    }
    out.push(line("pinned", pinned.clone(), Tone::Plain));
    out.push(line("now", digest.clone(), Tone::Plain));
    out
}
