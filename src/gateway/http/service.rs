//! One request: who asks, from where, for what.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN};
use http::uri::Authority;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::Limits;
use super::headers;
use super::places::{Behind, Place, Seat};
use super::said::{self, Answer};
use super::url::{self, NoBody};
use crate::clock;
use crate::gateway::desk::Desk;
use crate::gateway::lock;
use crate::gateway::ops;
use crate::mcp::envelope;
use crate::time::Timestamp;
use crate::token::{self, TokenDigest};

/// Who is served at which path.
#[derive(Default)]
pub(super) struct Directory {
    /// By path, with the grants of each server.
    pub(super) places: Vec<(String, Arc<Place>, Keys)>,
}

/// Who may use a server.
pub(super) enum Keys {
    /// Everyone who reaches it.
    Open(Arc<Seat>),
    /// Those who know a token.
    Tokens(Vec<Key>),
}

/// What a grant is recognised by.
pub(super) struct Key {
    pub(super) digest: TokenDigest,
    /// From then on it opens nothing.
    pub(super) expires: Option<Timestamp>,
    pub(super) seat: Arc<Seat>,
}

/// From where requests are taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Door {
    /// Only names of this machine itself may be asked for: what stands in the way of a web page that
    /// has its own name lead here.
    pub(super) loopback: bool,
    /// Further names that may be asked for.
    pub(super) hosts: Vec<String>,
    /// Web origins whose pages may ask.
    pub(super) origins: Vec<String>,
}

/// What all connections share.
pub(super) struct Service {
    pub(super) desk: Arc<Desk>,
    pub(super) limits: Limits,
    pub(super) door: Door,
    pub(super) directory: Mutex<Arc<Directory>>,
    pub(super) draining: watch::Sender<bool>,
    streams: Arc<Semaphore>,
}

impl Service {
    pub(super) fn new(desk: Arc<Desk>, limits: Limits, door: Door, directory: Directory) -> Self {
        Self {
            desk,
            streams: Arc::new(Semaphore::new(limits.streams)),
            limits,
            door,
            directory: Mutex::new(Arc::new(directory)),
            draining: watch::Sender::new(false),
        }
    }

    /// Room for one more open stream.
    pub(super) fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().ok()
    }

    /// Answers a request.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, Infallible> {
        Ok(self.route(request).await)
    }

    async fn route(&self, request: Request<Incoming>) -> Answer {
        if let Err(why) = self.door.admits(&request) {
            return said::error(StatusCode::FORBIDDEN, None, &why);
        }
        let directory = Arc::clone(&lock(&self.directory));
        let path = request.uri().path();
        if matches!(*request.method(), Method::GET | Method::HEAD) && ops::is_ours(path) {
            return self.operations(path.to_owned()).await;
        }
        let Some((_, place, keys)) = directory.places.iter().find(|(known, _, _)| known == path) else {
            return said::error(StatusCode::NOT_FOUND, None, "there is no MCP endpoint at this path");
        };
        let Some(seat) = keys.seat(request.headers()) else { return said::unauthorized() };
        match *request.method() {
            Method::POST => self.posted(place, &seat, request).await,
            Method::GET => match &place.behind {
                Behind::Url(upstream) => self.get(place, upstream, &seat, request.headers()).await,
                Behind::Command(_) => self.get_command(place, &seat, request.headers()),
            },
            Method::DELETE => match &place.behind {
                Behind::Url(upstream) => self.delete(place, upstream, &seat, request.headers()).await,
                Behind::Command(_) => Self::delete_command(place, &seat, request.headers()),
            },
            _ => said::not_allowed(),
        }
    }

    /// What operators' programs ask. Beyond this machine they learn only whether all is well.
    async fn operations(&self, path: String) -> Answer {
        let (desk, local) = (Arc::clone(&self.desk), self.door.loopback);
        // The store is asked, which may take a moment.
        let asked = tokio::task::spawn_blocking(move || {
            if local { ops::respond(&desk, &path) } else { ops::respond_briefly(&desk, &path) }
        });
        match asked.await {
            Ok(Some((status, kind, body))) => {
                let mut headers = HeaderMap::new();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                said::with(status, headers, said::full(body))
            }
            _ => said::error(StatusCode::NOT_FOUND, None, "metrics are at the address of `--metrics`"),
        }
    }

    async fn posted(&self, place: &Arc<Place>, seat: &Arc<Seat>, request: Request<Incoming>) -> Answer {
        if let Some(why) = headers::unsupported(request.headers()) {
            return said::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, why);
        }
        let most = self.desk.max_message;
        let posted = match url::posted(request, most, self.limits.body).await {
            Ok(posted) => posted,
            Err((why, _)) => return self.unread(seat, &why),
        };
        match &place.behind {
            Behind::Url(_) => self.post(place, seat, posted).await,
            Behind::Command(pool) => self.post_command(place, pool, seat, posted).await,
        }
    }

    fn unread(&self, seat: &Arc<Seat>, why: &NoBody) -> Answer {
        match why {
            NoBody::TooLarge(head) => {
                let limits = envelope::Limits { max_message: self.desk.max_message };
                let refusal = envelope::Refusal::too_large(head, &limits);
                url::refuse(&seat.stateless(), refusal, StatusCode::PAYLOAD_TOO_LARGE, clock::tick())
            }
            NoBody::Late => said::error(
                StatusCode::REQUEST_TIMEOUT,
                None,
                &format!("the body did not come within {} s", self.limits.body.as_secs()),
            ),
            NoBody::Broken => said::error(StatusCode::BAD_REQUEST, None, "the body broke off"),
        }
    }
}

impl Keys {
    /// Whose token the client has. All tokens are compared, each in constant time.
    fn seat(&self, headers: &HeaderMap) -> Option<Arc<Seat>> {
        let keys = match self {
            Self::Open(seat) => return Some(Arc::clone(seat)),
            Self::Tokens(keys) => keys,
        };
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let given = token::of_header(values.next()?.as_bytes())?;
        if values.next().is_some() || !token::has_shape(given) {
            return None;
        }
        let found = token::find(given, keys, |key| &key.digest)?;
        let stands = found.expires.is_none_or(|end| clock::now() < end);
        stands.then(|| Arc::clone(&found.seat))
    }
}

impl Door {
    /// Whether the request was meant for this gateway, and comes from no foreign web page.
    fn admits<T>(&self, request: &Request<T>) -> Result<(), String> {
        let headers = request.headers();
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (request.uri().authority(), hosts.next()) {
            (Some(authority), _) => authority.clone(),
            (None, Some(host)) => host
                .to_str()
                .ok()
                .and_then(|host| host.parse::<Authority>().ok())
                .ok_or("the header Host cannot be read")?,
            (None, None) => return Err("the header Host is missing".to_owned()),
        };
        if hosts.next().is_some() {
            return Err("the header Host stands more than once".to_owned());
        }
        let named = |list: &[String], name: &str| list.iter().any(|known| known.eq_ignore_ascii_case(name));
        let allowed =
            is_loopback(host.host()) || named(&self.hosts, host.host()) || named(&self.hosts, host.as_str());
        if self.loopback && !allowed {
            return Err(format!(
                "the host `{host}` is not served here; allow a name of this gateway with `--allow-host`"
            ));
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(()) };
        let origin = origin.to_str().unwrap_or("").trim();
        let place = origin.split_once("://").and_then(|(_, place)| place.parse::<Authority>().ok());
        let own = place.as_ref().is_some_and(|place| {
            // A page that came from here, or from this very machine to a gateway that only it reaches.
            (self.loopback && is_loopback(place.host())) || place.as_str().eq_ignore_ascii_case(host.as_str())
        });
        if origins.next().is_none() && (own || named(&self.origins, origin)) {
            return Ok(());
        }
        Err(format!("the origin `{origin}` may not ask here; allow it with `--allow-origin`"))
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_pages_stay_outside() {
        let local = Door {
            loopback: true,
            hosts: vec!["gateway.internal".to_owned()],
            origins: vec!["https://app.example".to_owned()],
        };
        let open = Door::default();
        for (door, host, origin, admitted) in [
            (&local, "127.0.0.1:4711", None, true),
            (&local, "localhost", None, true),
            (&local, "[::1]:80", None, true),
            (&local, "gateway.internal:80", None, true),
            (&local, "evil.example", None, false),
            (&local, "evil.example:4711", Some("http://evil.example:4711"), false),
            (&local, "127.0.0.1:4711", Some("http://evil.example"), false),
            (&local, "127.0.0.1:4711", Some("null"), false),
            (&local, "127.0.0.1:4711", Some("http://localhost:6274"), true),
            (&local, "127.0.0.1:4711", Some("https://app.example"), true),
            (&local, "127.0.0.1:4711", Some("http://127.0.0.1.evil.example"), false),
            (&open, "mcp.example", None, true),
            (&open, "mcp.example", Some("https://mcp.example"), true),
            (&open, "mcp.example", Some("https://evil.example"), false),
            (&open, "mcp.example", Some("http://localhost"), false),
        ] {
            let mut request = Request::builder().uri("/mcp").header("host", host);
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            let told = door.admits(&request.body(()).unwrap());
            assert_eq!(told.is_ok(), admitted, "{host} {origin:?} {told:?}");
        }
        assert!(local.admits(&Request::builder().uri("/mcp").body(()).unwrap()).is_err());
    }
}
