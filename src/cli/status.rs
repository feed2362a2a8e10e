//! `callgate status`: gateways, their servers and policies, what is frozen, what runs out, and
//! which configured servers nobody guards.

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::args::StatusArgs;
use super::output::{Format, Tint};
use super::survey::{Seen, survey};
use super::{Answer, CliError, Output, Verdict};
use crate::catalog::clients;
use crate::clock;
use crate::counters::{Approval, Freeze, Override, OverrideEffect, Standing, StorePlace};
use crate::feed::message::{ServerCounter, ServerInfo};
use crate::paths::Paths;
use crate::policy::counter::Usage;
use crate::policy::model::Window;
use crate::record::CounterState;
use crate::time::{Timestamp, show_duration};
use crate::visible::visible;

/// A counter that holds at least so many hundredths of its limit is near it.
const NEAR: i128 = 80;

/// Everything at one moment, as `--format json` prints it.
#[derive(Debug, Serialize)]
struct Status {
    gateways: Vec<Gateway>,
    freezes: Vec<Freeze>,
    approvals: Vec<Waiting>,
    overrides: Vec<Override>,
    counters: Vec<ServerCounter>,
    unguarded: Vec<Unguarded>,
    /// Clients' configurations that could not be read, and why: their servers may be unguarded, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unread: Vec<String>,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the feed")]
struct Gateway {
    name: String,
    pid: u32,
    gateway: String,
    feed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_s: Option<u64>,
    /// Why it did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    approvals: usize,
    servers: Vec<ServerInfo>,
}

#[derive(Debug, Serialize)]
struct Unguarded {
    client: String,
    server: String,
    file: String,
    /// Whether `wrap` can put a gateway in front.
    #[serde(skip)]
    stdio: bool,
}

/// Runs the command.
#[expect(clippy::needless_pass_by_value, reason = "as all commands get them")]
pub(super) fn run(args: StatusArgs, out: &Output) -> Answer {
    let paths = Paths::from_env()
        .map_err(|error| CliError::outside(error.to_string(), "set HOME or CALLGATE_HOME"))?;
    let now = clock::now();
    // The rest is worth seeing even when the store cannot be read.
    let (kept, trouble) = match stored(&super::counters::place(&args.counters, &paths)?, now) {
        Ok(kept) => (kept, None),
        Err(error) => (Kept::default(), Some(error)),
    };
    // What was lifted a moment ago is given the time to be lifted there, too.
    let known = |freeze: &Freeze| kept.0.freezes.iter().any(|other| other.id == freeze.id);
    let seen = survey(&paths.run, &|one| one.freezes().is_none_or(|all| all.iter().all(known)))?;
    let said: Vec<Freeze> = seen.iter().filter_map(Seen::freezes).flatten().cloned().collect();
    let gateways: Vec<Gateway> = seen.into_iter().map(|seen| gateway(seen, now)).collect();
    let mut freezes = kept.0.freezes;
    let own = freezes.len();
    for freeze in said {
        if freezes.iter().all(|other| other.id != freeze.id) {
            freezes.push(freeze);
        }
    }
    let elsewhere = freezes.len() > own;
    let (unguarded, unread) = unguarded();
    let status = Status {
        approvals: kept.0.approvals.iter().filter(|entry| entry.waits(now)).map(Waiting::of).collect(),
        freezes,
        // One that lasts until a gateway restarts is over with that gateway.
        overrides: kept
            .0
            .overrides
            .into_iter()
            .filter(|entry| {
                entry.run.as_ref().is_none_or(|run| gateways.iter().any(|one| one.gateway == *run))
            })
            .collect(),
        gateways,
        counters: kept.1.into_iter().filter(near).map(counter).collect(),
        unguarded,
        unread,
    };
    for why in &status.unread {
        out.note(&format!("warning: {why}; which of its servers are unguarded is not known"));
    }
    match out.format {
        Format::Json => out.json(&status)?,
        Format::Text => out.print(&text(&status, now, out))?,
    }
    if elsewhere && trouble.is_none() {
        out.note(
            "warning: some gateways count in another store than this one, and are frozen there: name it with \
             `--counters` (or CALLGATE_COUNTERS) to see all of it",
        );
    }
    trouble.map_or(Ok(Verdict::Yes), Err)
}

/// A call that waits for a person; its arguments are shown by `callgate approvals`.
#[derive(Debug, Serialize)]
struct Waiting {
    id: String,
    server: String,
    grant: String,
    tool: String,
    rule: String,
    message: String,
    asked_at: Timestamp,
    until: Timestamp,
    holders: u32,
}

impl Waiting {
    fn of(entry: &Approval) -> Self {
        Self {
            id: entry.id.clone(),
            server: entry.server.clone(),
            grant: entry.grant.clone(),
            tool: entry.tool.clone(),
            rule: entry.rule.clone(),
            message: entry.message.clone(),
            asked_at: entry.asked_at,
            until: entry.until,
            holders: entry.holders,
        }
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let end = show_duration(now.millis_until(self.until).div_ceil(1000));
        vec![
            cell(&self.id),
            cell(&scope(Some(&self.server), Some(&self.grant), Some(&self.tool))),
            Cell { text: format!("ends in {end}"), tint: Some(Tint::Warn) },
            dim(&format!("asked {}", ago(self.asked_at, now))),
            cell(&self.message),
        ]
    }
}

type Kept = (Standing, Vec<Usage>);

fn stored(place: &StorePlace, now: Timestamp) -> Result<Kept, CliError> {
    let Some(store) = super::counters::look(place)? else { return Ok(Kept::default()) };
    let look = || Ok((store.standing(now)?, store.counters(now)?));
    look().map_err(super::counters::outside)
}

fn gateway(seen: Seen, now: Timestamp) -> Gateway {
    Gateway {
        servers: seen.servers().to_vec(),
        approvals: seen.approvals(),
        feed: seen.entry.url(),
        version: seen.hello.map(|hello| hello.version),
        uptime_s: seen.entry.since.map(|since| since.millis_until(now) / 1000),
        trouble: seen.trouble,
        name: seen.entry.name,
        pid: seen.entry.pid,
        gateway: seen.entry.gateway,
    }
}

fn near(usage: &Usage) -> bool {
    usage.used.0.saturating_mul(100) >= usage.max.0.saturating_mul(NEAR)
}

fn counter(usage: Usage) -> ServerCounter {
    ServerCounter {
        server: usage.key.server,
        state: CounterState {
            counter: usage.key.counter,
            scope: usage.key.scope.name().to_owned(),
            key: usage.key.scope_value,
            window: usage.key.window,
            used: usage.used,
            max: usage.max,
            resets_at: usage.resets_at,
        },
    }
}

/// The servers that nobody guards, and which configurations could not be read.
fn unguarded() -> (Vec<Unguarded>, Vec<String>) {
    let Some(env) = clients::Env::from_process() else { return Default::default() };
    let (all, problems) = clients::all(&env);
    let unguarded = all
        .into_iter()
        .filter(|configured| !configured.guarded && !configured.disabled)
        .map(|configured| Unguarded {
            client: configured.client.to_owned(),
            server: configured.server,
            stdio: matches!(configured.launch, clients::Launch::Stdio(_)),
            file: configured.file.display().to_string(),
        })
        .collect();
    (unguarded, problems.iter().map(|why| visible(&why.to_string()).into_owned()).collect())
}

fn text(status: &Status, now: Timestamp, out: &Output) -> String {
    let mut text = String::new();
    let mut part = |title: &str, rows: Vec<Vec<Cell>>| {
        if !rows.is_empty() {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&out.tint(Tint::Strong, title));
            text.push('\n');
            text.push_str(&table(&rows, out));
        }
    };
    part("Gateways", gateways(&status.gateways));
    part("Frozen", status.freezes.iter().map(|freeze| frozen(freeze, now)).collect());
    part("Waiting for approval", status.approvals.iter().map(|entry| entry.row(now)).collect());
    part("Overrides", status.overrides.iter().map(|entry| overriding(entry, now)).collect());
    part("Counters near their limit", status.counters.iter().map(|entry| counting(entry, now)).collect());
    part(
        "Configured servers that no gateway guards",
        status
            .unguarded
            .iter()
            .map(|one| vec![cell(&one.client), cell(&one.server), dim(&one.file)])
            .collect(),
    );
    if let Some(one) = status.unguarded.iter().find(|one| one.stdio) {
        let words = super::source::shell_words(&[one.client.clone(), one.server.clone()]);
        let command = out.tint(Tint::Strong, &format!("callgate wrap {words}"));
        text.push_str("  ");
        text.push_str(&command);
        text.push_str(" puts one in front\n");
    }
    if status.gateways.is_empty() {
        let rest = std::mem::take(&mut text);
        text = format!("No gateway of yours is running.\n{}{rest}", if rest.is_empty() { "" } else { "\n" });
    }
    text
}

fn gateways(all: &[Gateway]) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for gateway in all {
        let up = gateway.uptime_s.map_or(String::new(), |seconds| format!("up {}", show_duration(seconds)));
        let who = || vec![cell(&gateway.name), dim(&format!("pid {}", gateway.pid)), dim(&up)];
        if let Some(trouble) = &gateway.trouble {
            let mut row = who();
            row.push(Cell { text: visible(trouble).into_owned(), tint: Some(Tint::Bad) });
            rows.push(row);
            continue;
        }
        let before = rows.len();
        for server in &gateway.servers {
            for grant in &server.grants {
                let mut row = who();
                row.push(cell(&format!("server {}", server.name)));
                row.push(cell(&format!("grant {}", grant.label)));
                row.push(match (&grant.policy, &grant.revision) {
                    (Some(policy), Some(revision)) => cell(&format!("{policy} {revision}")),
                    (Some(policy), None) => cell(policy),
                    _ => Cell { text: "no policy".to_owned(), tint: Some(Tint::Warn) },
                });
                if gateway.approvals > 0 {
                    let text = format!("{} waiting for approval", gateway.approvals);
                    row.push(Cell { text, tint: Some(Tint::Warn) });
                }
                rows.push(row);
            }
        }
        if rows.len() == before {
            rows.push(who());
        }
    }
    rows
}

/// How a scope is called: `everything`, or what it is narrowed to.
pub(super) fn scope(server: Option<&str>, grant: Option<&str>, tool: Option<&str>) -> String {
    let parts: Vec<String> = [("server", server), ("grant", grant), ("tool", tool)]
        .into_iter()
        .filter_map(|(what, name)| Some(format!("{what} `{}`", visible(name?))))
        .collect();
    if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
}

fn left(until: Option<Timestamp>, now: Timestamp) -> String {
    until.map_or("until lifted".to_owned(), |until| {
        format!("for another {}", show_duration(now.millis_until(until).div_ceil(1000)))
    })
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", show_duration(at.millis_until(now) / 1000))
}

fn frozen(freeze: &Freeze, now: Timestamp) -> Vec<Cell> {
    let what = scope(freeze.server.as_deref(), freeze.grant.as_deref(), freeze.tool.as_deref());
    vec![
        Cell { text: what, tint: Some(Tint::Bad) },
        cell(&left(freeze.until, now)),
        dim(&format!("by {}, {}", freeze.by, ago(freeze.at, now))),
        cell(&freeze.reason),
    ]
}

fn overriding(entry: &Override, now: Timestamp) -> Vec<Cell> {
    let effect = match entry.effect {
        OverrideEffect::Allow => "allow",
        OverrideEffect::Deny => "deny",
        OverrideEffect::Approved => "approved",
    };
    let end = match (entry.until, entry.uses) {
        (None, Some(uses)) => format!("{uses} left"),
        (until, _) => left(until, now),
    };
    vec![
        cell(effect),
        cell(&scope(Some(&entry.server), entry.grant.as_deref(), Some(&entry.tool))),
        cell(&end),
        dim(&format!("by {}, {}", entry.by, ago(entry.at, now))),
        cell(&entry.reason),
    ]
}

fn counting(entry: &ServerCounter, now: Timestamp) -> Vec<Cell> {
    let state = &entry.state;
    let full = state.used >= state.max;
    vec![
        cell(&entry.server),
        cell(&state.counter),
        dim(&format!("{} {}", state.scope, state.key)),
        Cell {
            text: format!("{}/{} a {}", state.used, state.max, Window::label(state.window)),
            tint: Some(if full { Tint::Bad } else { Tint::Warn }),
        },
        dim(&format!("resets in {}", show_duration(now.millis_until(state.resets_at).div_ceil(1000)))),
    ]
}

/// A piece of a table.
struct Cell {
    text: String,
    tint: Option<Tint>,
}

fn cell(text: &str) -> Cell {
    Cell { text: visible(text).into_owned(), tint: None }
}

fn dim(text: &str) -> Cell {
    Cell { tint: Some(Tint::Dim), ..cell(text) }
}

/// Aligned columns, two spaces apart, indented by two.
fn table(rows: &[Vec<Cell>], out: &Output) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            // A row's last cell needs no room for others.
            .filter(|row| row.len() > column.saturating_add(1))
            .filter_map(|row| row.get(column))
            .map(|cell| cell.text.width())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from("  ");
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            line.push_str(&cell.tint.map_or_else(|| cell.text.clone(), |tint| out.tint(tint, &cell.text)));
            if at.saturating_add(1) < row.len() && *width > 0 {
                let pad = width.saturating_sub(cell.text.width()).saturating_add(2);
                line.extend(std::iter::repeat_n(' ', pad));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
