//! What this user's gateways say of themselves at one moment.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::CliError;
use crate::counters::Freeze;
use crate::feed::client::{FeedAddr, FeedEvent, Feeds, WatchOptions, watch};
use crate::feed::discovery::{self, Entry};
use crate::feed::message::{Hello, ServerInfo, State};

/// Gateways that do not answer within this are shown as such.
const DEADLINE: Duration = Duration::from_secs(2);
/// The state follows the hello at once; this long without a word means that all was said.
const QUIET: Duration = Duration::from_millis(150);

/// One gateway.
#[derive(Debug)]
pub(super) struct Seen {
    /// Its discovery file.
    pub(super) entry: Entry,
    /// Its first words, where it answered.
    pub(super) hello: Option<Hello>,
    /// Why not, where it did not.
    pub(super) trouble: Option<String>,
    /// What it said of its state.
    pub(super) states: Vec<State>,
}

impl Seen {
    /// Its servers, as said last.
    pub(super) fn servers(&self) -> &[ServerInfo] {
        let said = self.states.iter().rev().find_map(|state| match state {
            State::Servers { servers } => Some(servers.as_slice()),
            _ => None,
        });
        said.or_else(|| self.hello.as_ref().map(|hello| hello.servers.as_slice())).unwrap_or_default()
    }

    /// How many approvals wait there.
    pub(super) fn approvals(&self) -> usize {
        let said = self.states.iter().rev().find_map(|state| match state {
            State::Approvals { approvals } => Some(approvals.len()),
            _ => None,
        });
        said.unwrap_or(0)
    }

    /// The freezes that hold there, where it said so.
    pub(super) fn freezes(&self) -> Option<&[Freeze]> {
        self.states.iter().rev().find_map(|state| match state {
            State::Freezes { freezes } => Some(freezes.as_slice()),
            _ => None,
        })
    }

    /// Whether it knows a tool of that name.
    pub(super) fn has_tool(&self, name: &str) -> bool {
        self.states.iter().any(
            |state| matches!(state, State::Tools { tools, .. } if tools.iter().any(|tool| tool.name == name)),
        )
    }
}

/// Asks every gateway of this user, and waits a little for what each is to say.
pub(super) fn survey(run_dir: &Path, said: &dyn Fn(&Seen) -> bool) -> Result<Vec<Seen>, CliError> {
    let outside = |error: std::io::Error| {
        CliError::outside(
            format!("the gateways' folder `{}` cannot be used: {error}", run_dir.display()),
            "check who owns it",
        )
    };
    let mut seen: Vec<Seen> = discovery::list(run_dir)
        .map_err(outside)?
        .into_iter()
        .map(|entry| Seen { entry, hello: None, trouble: None, states: Vec::new() })
        .collect();
    if seen.is_empty() {
        return Ok(seen);
    }
    let feeds =
        seen.iter().map(|one| FeedAddr { url: one.entry.url(), token: one.entry.token.clone() }).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(outside)?;
    let (mut events, _handle) =
        watch(Feeds::These(feeds), WatchOptions { history: 0, fleet: false }).map_err(outside)?;
    runtime.block_on(async {
        let end = Instant::now() + DEADLINE;
        loop {
            let done = |one: &Seen| one.trouble.is_some() || (one.hello.is_some() && said(one));
            let all = seen.iter().all(done);
            let until = if all { end.min(Instant::now() + QUIET) } else { end };
            match tokio::time::timeout_at(until, events.recv()).await {
                Ok(Some(event)) => hear(&mut seen, event),
                Ok(None) | Err(_) => break,
            }
        }
    });
    for one in &mut seen {
        if one.hello.is_none() && one.trouble.is_none() {
            one.trouble = Some("no answer".to_owned());
        }
    }
    Ok(seen)
}

fn hear(seen: &mut [Seen], event: FeedEvent) {
    let source = match &event {
        FeedEvent::Connected { source, .. }
        | FeedEvent::State { source, .. }
        | FeedEvent::Lost { source, .. } => *source,
        _ => return,
    };
    let at = usize::try_from(source.0).unwrap_or(usize::MAX).wrapping_sub(1);
    let Some(one) = seen.get_mut(at) else { return };
    match event {
        FeedEvent::Connected { hello, .. } => {
            one.hello = Some(*hello);
            one.trouble = None;
            one.states.clear();
        }
        FeedEvent::State { state, .. } => one.states.push(*state),
        FeedEvent::Lost { why, .. } => one.trouble = Some(why),
        _ => {}
    }
}
