//! Who is served: one server to one grant, as the command line says, or what a gateway.json says,
//! which may change at any time.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak, mpsc};

use http::Uri;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::child::Launch;
use super::places::{Behind, Place, Pool, Seat};
use super::service::{Directory, Key, Keys, Service};
use super::upstream::Upstream;
use super::{Errand, Limits, Server, StartError};
use crate::clock;
use crate::gateway::call::decider::{Decider, Who};
use crate::gateway::config::{ConfigError, Difference, GatewayConfig, Upstream as Behinds};
use crate::gateway::desk::Desk;
use crate::gateway::grants::Grant;
use crate::gateway::policies;
use crate::gateway::policies::pins::{self, PinMode};
use crate::gateway::policies::reload;
use crate::gateway::policies::shadow;
use crate::gateway::policies::watch::Watch;
use crate::gateway::{lock, say, shown_command, without_user};
use crate::record::EventKind;
use crate::time::Timestamp;

/// What servers are started and reached with.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) desk: Arc<Desk>,
    pub(super) main: mpsc::Sender<Errand>,
    pub(super) limits: Limits,
    pub(super) pins: PinMode,
}

/// A grant that is served.
struct Served {
    grant: Arc<Grant>,
    seat: Arc<Seat>,
    /// Keep its policy, pins and shadow as their files are.
    _watches: Vec<Watch>,
}

/// What a gateway.json says, as it is in force.
pub(super) struct Configured {
    means: Means,
    config: GatewayConfig,
    places: HashMap<String, Arc<Place>>,
    /// By label.
    grants: HashMap<String, Served>,
}

impl Means {
    /// What is behind the gateway, and how screens show it.
    ///
    /// # Errors
    /// When an address or a header is none.
    pub(super) fn behind(&self, server: &Server) -> Result<(Behind, String), StartError> {
        match server {
            Server::Url { url, headers } => {
                let shown = without_user(url);
                let uri: Uri = url.parse().map_err(|error| {
                    StartError::Usage(format!("`{shown}` is no address of a server: {error}"))
                })?;
                if !matches!(uri.scheme_str(), Some("http" | "https"))
                    || uri.host().is_none()
                    || uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
                {
                    return Err(StartError::Usage(format!(
                        "`{shown}` is no address of a server: it must be http:// or https://, without a user; credentials go into a header"
                    )));
                }
                let mut own = HeaderMap::new();
                for (name, value) in headers {
                    let header = HeaderName::from_bytes(name.as_bytes())
                        .map_err(|_| StartError::Usage(format!("`{name}` is no name of a header")))?;
                    let mut value = HeaderValue::from_str(value).map_err(|_| {
                        StartError::Usage(format!(
                            "the value of the header `{name}` has characters that no header may have"
                        ))
                    })?;
                    value.set_sensitive(true);
                    own.append(header, value);
                }
                let upstream = Upstream::new(uri, own, self.limits.upstream)?;
                Ok((Behind::Url(Box::new(upstream)), shown))
            }
            Server::Command { command, env } => {
                let launch = Launch { command: command.clone(), env: env.clone(), main: self.main.clone() };
                let pool = Pool::new(launch, self.limits.sessions);
                Ok((Behind::Command(Box::new(pool)), shown_command(command).join(" ")))
            }
        }
    }

    /// A grant, whose calls its policy decides, and what keeps that as its files are.
    ///
    /// # Errors
    /// When the policy, its pins or the shadow are `needed` but cannot be used.
    pub(super) fn seat(
        &self,
        who: Who,
        policy: &Path,
        candidate: Option<&Path>,
        needed: bool,
    ) -> Result<(Arc<Seat>, Vec<Watch>), StartError> {
        let loaded = match reload::load(policy) {
            Ok(loaded) => Some(loaded),
            Err(error) if needed => return Err(error.into()),
            Err(error) => {
                say(&format!("{error}; every call of the grant `{}` is denied", who.grant));
                None
            }
        };
        let decider = Decider::new(Arc::clone(&self.desk), who, loaded);
        policies::keep_text(&decider);
        let mut watches = Vec::new();
        watches.extend(pins::begin(&decider, self.pins).map_err(StartError::Pins)?);
        watches.push(policies::watch(&decider, policy)?);
        match candidate.map(|path| shadow::begin(&decider, path)).transpose() {
            Ok(watch) => watches.extend(watch),
            Err(error) if needed => return Err(error.into()),
            Err(error) => say(&error.to_string()),
        }
        Ok((Seat::new(decider), watches))
    }
}

/// As a gateway.json names it.
fn server(upstream: &Behinds) -> Server {
    match upstream {
        Behinds::Command { command, env } => Server::Command { command: command.clone(), env: env.clone() },
        Behinds::Url { url, headers } => Server::Url { url: url.clone(), headers: headers.clone() },
    }
}

impl Configured {
    /// Everything that the configuration names.
    ///
    /// # Errors
    /// When a server cannot be reached so at all, or a policy cannot be put in force.
    pub(super) fn open(means: Means, path: &Path, config: GatewayConfig) -> Result<Self, StartError> {
        let mut all = Self { means, config, places: HashMap::new(), grants: HashMap::new() };
        for (name, upstream) in all.config.servers.clone() {
            let (behind, _) = all.means.behind(&server(&upstream))?;
            all.places.insert(name, Arc::new(Place::new(behind)));
        }
        for grant in all.config.grants.iter().map(Arc::clone).collect::<Vec<_>>() {
            let label = grant.label.clone();
            all.serve(grant, true).map_err(|error| match error {
                // Many grants may name many files: which one it is, and where, is half of the mend.
                StartError::Policy(why) => StartError::Grant { grant: label, config: path.to_owned(), why },
                other => other,
            })?;
        }
        Ok(all)
    }

    fn serve(&mut self, grant: Arc<Grant>, needed: bool) -> Result<(), StartError> {
        let upstream = match self.config.server(&grant.server) {
            Some(Behinds::Command { command, .. }) => shown_command(command).join(" "),
            Some(Behinds::Url { url, .. }) => without_user(url),
            None => String::new(),
        };
        let who = Who {
            server: grant.server.clone(),
            grant: grant.label.clone(),
            session: None,
            upstream,
            policy: Some(std::path::absolute(&grant.policy).unwrap_or_else(|_| grant.policy.clone())),
        };
        let (seat, watches) = self.means.seat(who, &grant.policy, grant.shadow.as_deref(), needed)?;
        policies::record_in_force(&seat.decider);
        self.grants.insert(grant.label.clone(), Served { grant, seat, _watches: watches });
        Ok(())
    }

    /// The names of the servers.
    pub(super) fn servers(&self) -> Vec<String> {
        self.config.servers.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Who is served where.
    pub(super) fn directory(&self) -> Directory {
        let mut directory = Directory::default();
        for (name, _) in &self.config.servers {
            let Some(place) = self.places.get(name) else { continue };
            let keys = self.grants.values().filter(|served| served.grant.server == *name).map(|served| Key {
                digest: served.grant.digest,
                expires: served.grant.expires,
                seat: Arc::clone(&served.seat),
            });
            let keys = Keys::Tokens(keys.collect());
            directory.places.push((format!("/mcp/{name}"), Arc::clone(place), keys));
        }
        directory
    }

    /// Another version is in force from now on. What is gone ends, with all that it had open.
    fn take(&mut self, config: GatewayConfig) {
        let difference = Difference::between(&self.config, &config);
        self.config = config;
        for key in &difference.restart {
            say(&format!("`{key}` of gateway.json changed, which takes a restart of the gateway"));
        }
        if difference.feed_tokens
            && let Some(hub) = self.means.desk.recorder.hub()
        {
            hub.set_tokens(self.config.feed.clone().unwrap_or_default().tokens);
        }
        for grant in &difference.grants_revoked {
            if let Some(served) = self.grants.remove(&grant.label) {
                served.seat.revoke();
            }
        }
        let gone = difference.servers_removed.iter().chain(&difference.servers_changed);
        for name in gone {
            self.places.remove(name);
            self.means.desk.gauges.forget_upstream(name);
            let labels: Vec<String> = self
                .grants
                .values()
                .filter(|served| served.grant.server == *name)
                .map(|served| served.grant.label.clone())
                .collect();
            for label in labels {
                if let Some(served) = self.grants.remove(&label) {
                    served.seat.revoke();
                }
            }
        }
        for (name, upstream) in self.config.servers.clone() {
            if self.places.contains_key(&name) {
                continue;
            }
            match self.means.behind(&server(&upstream)) {
                Ok((behind, _)) => {
                    self.places.insert(name, Arc::new(Place::new(behind)));
                }
                Err(error) => say(&format!("the server `{name}` is not served: {error}")),
            }
        }
        for grant in self.config.grants.iter().map(Arc::clone).collect::<Vec<_>>() {
            let known = self.grants.get(&grant.label);
            if known.is_some_and(|served| {
                served.grant.policy == grant.policy && served.grant.shadow == grant.shadow
            }) {
                if let Some(served) = self.grants.get_mut(&grant.label) {
                    served.grant = grant;
                }
                continue;
            }
            // Another policy or shadow is another decider: what was open under the one before ends.
            if let Some(before) = self.grants.remove(&grant.label) {
                before.seat.revoke();
            }
            if let Err(error) = self.serve(grant, false) {
                say(&error.to_string());
            }
        }
        self.means.desk.served_differently();
    }

    /// Ends what grants have open whose time is over.
    pub(super) fn expire(&self, now: Timestamp) {
        for served in self.grants.values().filter(|served| !served.grant.stands(now)) {
            served.seat.revoke();
        }
    }
}

/// Keeps who is served as gateway.json says.
///
/// # Errors
/// When the file cannot be watched at all.
pub(super) fn watch(
    path: &Path,
    configured: &Arc<Mutex<Configured>>,
    service: &Arc<Service>,
) -> io::Result<Watch> {
    let revision = lock(configured).config.revision.clone();
    let (configured, service) = (Arc::clone(configured), Arc::downgrade(service));
    let desk = Arc::clone(&lock(&configured).means.desk);
    crate::gateway::config::watch(std::path::absolute(path)?, revision, move |version| match version {
        Ok(config) => {
            let Some(service) = Weak::upgrade(&service) else { return };
            let mut all = lock(&configured);
            all.take(config);
            *lock(&service.directory) = Arc::new(all.directory());
            say("gateway.json has changed and is in force");
        }
        Err(error) => {
            say(&format!("{error}; the version before stays in force"));
            let revision = match &error {
                ConfigError::Invalid { revision, .. } => Some(revision.as_str()),
                ConfigError::Unreadable { .. } => None,
            };
            let data = json!({"path": path_of(&error), "revision": revision, "why": error.to_string()});
            desk.recorder.event(EventKind::PolicyRejected, None, None, data);
        }
    })
}

fn path_of(error: &ConfigError) -> &Path {
    match error {
        ConfigError::Invalid { path, .. } | ConfigError::Unreadable { path, .. } => path,
    }
}

/// Forgets sessions that are not used any more, and what grants have open whose time is over.
pub(super) async fn sweep(service: Weak<Service>, configured: Option<Arc<Mutex<Configured>>>) {
    loop {
        let Some(service) = service.upgrade() else { return };
        let idle = service.limits.idle_session;
        let directory = Arc::clone(&lock(&service.directory));
        drop(service);
        for (_, place, _) in &directory.places {
            place.forget_idle(idle);
        }
        drop(directory);
        if let Some(configured) = &configured {
            lock(configured).expire(clock::now());
        }
        tokio::time::sleep(super::SWEEP.min(idle)).await;
    }
}
