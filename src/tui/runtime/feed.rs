//! The feeds: what gateways say, read off the interface's thread and handed on in order.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::feed::client::{FeedEvent, Feeds, Handle, WatchOptions, watch};
use crate::record::Record;
use crate::tui::app::{FeedMsg, Msg, Row};

/// Watches feeds and hands on what they say. A slow interface makes the gateways' journals wait,
/// never the gateways.
pub(super) fn start(feeds: Feeds, out: mpsc::Sender<Msg>) -> std::io::Result<Handle> {
    let (mut events, handle) = watch(feeds, WatchOptions::default())?;
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if out.send(Msg::Feed(message(event))).await.is_err() {
                return;
            }
        }
    });
    Ok(handle)
}

fn message(event: FeedEvent) -> FeedMsg {
    match event {
        FeedEvent::Connected { source, hello } => FeedMsg::Connected(source.0, Arc::from(hello)),
        FeedEvent::State { source, state } => FeedMsg::State(source.0, Arc::from(state)),
        FeedEvent::Records { source, lines } => {
            // A line of a kind that this version does not know is passed over.
            let row = |line: Arc<[u8]>| Record::parse(&line).ok().map(|record| Row { line, record });
            FeedMsg::Records(source.0, lines.into_iter().filter_map(row).collect())
        }
        FeedEvent::Gap { source, from, to, .. } => FeedMsg::Gap(source.0, from, to),
        FeedEvent::Reply { source, ok, of, message } => FeedMsg::Reply(source.0, ok, of, message),
        FeedEvent::Lost { source, why, ended } => FeedMsg::Lost(source.0, why, ended),
        FeedEvent::Trouble { source, message } => FeedMsg::Trouble(source.map(|source| source.0), message),
    }
}
