//! Whose counters a call in the console counts towards, and what gateways say they hold.

use crate::policy::counter::{Amount, Caller, window_start};
use crate::policy::explain::LimitUse;
use crate::policy::model::Scope;
use crate::time::{Timestamp, show_duration};
use crate::tui::app::App;
use crate::tui::app::counters::{Counters, GaugeKey};
use crate::tui::app::live::row::Row;
use crate::visible::visible;

/// How many of the latest rows are looked through for somebody who calls.
const LOOKED_THROUGH: usize = 20_000;

/// Somebody who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    server: String,
    grant: String,
    session: Option<String>,
    /// Nobody has called yet: a session would begin with this call.
    begins: bool,
}

impl Who {
    /// Who made a call.
    pub(super) fn of(app: &App, row: &Row) -> Self {
        let text = |name| app.live.live.ring.names.text(name).to_owned();
        Self {
            server: text(row.server),
            grant: text(row.grant),
            session: Some(text(row.session)).filter(|session| !session.is_empty()),
            begins: false,
        }
    }

    /// Among those who are under this policy: who called a tool last, else anything; else the first.
    pub(super) fn likely(app: &App, tool: &str) -> Option<Self> {
        let path = app.policy.path.to_string_lossy();
        let servers = app.feeds.gateways().flat_map(|(_, gateway)| &gateway.hello.servers);
        let grants = servers.flat_map(|server| server.grants.iter().map(move |grant| (server, grant)));
        let ours: Vec<_> = grants
            .filter(|(_, grant)| grant.policy.as_deref() == Some(&*path))
            .map(|(server, grant)| (&server.name, &grant.label))
            .collect();
        let ring = &app.live.live.ring;
        let named =
            |(server, grant): &(&String, &String)| Some((ring.names.find(server)?, ring.names.find(grant)?));
        let known: Vec<_> = ours.iter().filter_map(named).collect();
        let called = ring.names.find(tool);
        let rows = (ring.first()..ring.next()).rev().take(LOOKED_THROUGH).filter_map(|id| ring.get(id));
        let mut any = None;
        for row in rows.filter(|row| row.verdict().is_some() && known.contains(&(row.server, row.grant))) {
            if Some(row.tool) == called {
                return Some(Self::of(app, row));
            }
            any = any.or(Some(row));
        }
        any.map(|row| Self::of(app, row)).or_else(|| {
            let (server, grant) = ours.first()?;
            let (server, grant) = ((*server).clone(), (*grant).clone());
            Some(Self { server, grant, session: None, begins: true })
        })
    }

    /// In words.
    pub fn words(&self) -> String {
        format!("{}, grant {}", visible(&self.server), visible(&self.grant))
    }

    /// What a counter of theirs holds, where a gateway has told.
    pub(super) fn used(
        &self,
        counters: &Counters,
        (counter, window, scope): (&str, u64, Scope),
        now: Timestamp,
    ) -> Option<Amount> {
        if scope == Scope::Session && self.begins {
            return None;
        }
        let caller = Caller { server: &self.server, grant: &self.grant, session: self.session.as_deref() };
        let (scope, key) = caller.counts_for(scope);
        let key = GaugeKey {
            server: self.server.clone(),
            counter: counter.to_owned(),
            scope: scope.name().to_owned(),
            key: key.to_owned(),
            window,
        };
        counters.get(&key, now).map(|(used, _)| used)
    }
}

/// When a counter is empty again.
pub(super) fn resets_at(window: u64, now: Timestamp) -> Timestamp {
    let length = i64::try_from(window.max(1)).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    window_start(now, window).plus_micros(length)
}

/// What a limit's counter holds, in words: `pull_rate: 12 of 30 used, empty again in 20s`.
pub fn words(limit: &LimitUse, now: Timestamp) -> String {
    let name = visible(&limit.counter);
    let used = limit.used.unwrap_or(Amount::ZERO);
    let resets = match limit.resets_at {
        Some(at) if used > Amount::ZERO => {
            let left = u64::try_from(at.0.saturating_sub(now.0) / 1_000_000).unwrap_or(0);
            format!(", empty again in {}", show_duration(left))
        }
        _ => String::new(),
    };
    format!("{name}: {used} of {} used{resets}", limit.max)
}
