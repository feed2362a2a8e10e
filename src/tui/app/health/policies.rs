//! Which policies are in force where, and which of them differ that should not.

use std::collections::{BTreeMap, BTreeSet};

use crate::feed::message::GrantInfo;
use crate::tui::app::App;
use crate::tui::app::feeds::{Gateway, Source};
use crate::visible::visible;

/// The revisions in force, by what should have one: a file, and a grant on a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InForce {
    files: BTreeMap<(String, String), BTreeMap<String, BTreeSet<Source>>>,
    grants: BTreeMap<(String, String), BTreeMap<String, BTreeSet<Source>>>,
    /// The editor's file and its revision on disk.
    edited: Option<(String, String)>,
}

impl InForce {
    /// Of the connected gateways.
    pub fn of(app: &App) -> Self {
        let disk = app.policy.editor.as_ref().and_then(|editor| editor.disk());
        let edited = disk.map(|disk| {
            (app.policy.path.display().to_string(), crate::policy::document::revision(disk.as_bytes()))
        });
        let mut all = Self { edited, ..Self::default() };
        for (source, gateway) in app.feeds.gateways().filter(|(_, gateway)| gateway.alive) {
            for server in &gateway.hello.servers {
                for grant in &server.grants {
                    let Some(revision) = &grant.revision else { continue };
                    let mut note = |key: (String, String), file: bool| {
                        let map = if file { &mut all.files } else { &mut all.grants };
                        map.entry(key).or_default().entry(revision.clone()).or_default().insert(source);
                    };
                    note((server.name.clone(), grant.label.clone()), false);
                    if let Some(path) = &grant.policy {
                        note((gateway.hello.host.clone(), path.clone()), true);
                    }
                }
            }
        }
        all
    }

    /// What differs about a grant's policy on one gateway's server, in sentences.
    pub fn differs(&self, app: &App, gateway: &Gateway, server: &str, grant: &GrantInfo) -> Vec<String> {
        let Some(revision) = &grant.revision else {
            return vec!["no policy is in force: every call is denied".to_owned()];
        };
        let mut out = Vec::new();
        let others = |known: Option<&BTreeMap<String, BTreeSet<Source>>>| -> Vec<String> {
            let others = known.into_iter().flatten().filter(|(other, _)| *other != revision);
            others
                .map(|(other, sources)| {
                    let sources: Vec<Source> = sources.iter().copied().collect();
                    format!("{other} at {}", app.feeds.names(&sources))
                })
                .collect()
        };
        if let Some(path) = &grant.policy {
            let key = (gateway.hello.host.clone(), path.clone());
            let found = others(self.files.get(&key));
            if !found.is_empty() {
                out.push(format!("another revision of this file is in force: {}", found.join(", ")));
            }
            if let Some((edited, newest)) = &self.edited
                && edited == path
                && newest != revision
            {
                out.push(format!("the file is at {newest} now, which this gateway has not taken"));
            }
            if let Some(why) = gateway.seen.refused.get(path) {
                out.push(format!("a newer version was refused: {}", visible(why)));
            }
        }
        if out.is_empty() {
            let found = others(self.grants.get(&(server.to_owned(), grant.label.clone())));
            if !found.is_empty() {
                let who = format!("grant {} on {}", visible(&grant.label), visible(server));
                out.push(format!("{who} has another policy elsewhere: {}", found.join(", ")));
            }
        }
        out
    }
}
