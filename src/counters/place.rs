//! Where a store lies, as people name it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::redis::RedisStore;
use super::sqlite::SqliteStore;
use super::{Store, StoreError};

/// The variable that names the store where no option does.
pub const COUNTERS: &str = "CALLGATE_COUNTERS";
/// The variables that let one into a Redis. They are read here and kept from servers.
pub const USERNAME: &str = "CALLGATE_REDIS_USERNAME";
/// As [`USERNAME`].
pub const PASSWORD: &str = "CALLGATE_REDIS_PASSWORD";

/// The port of a Redis that names none.
const PORT: u16 = 6379;
/// The fleet of a place that names none.
const FLEET: &str = "default";

/// Where a store lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// A file that all gateways of a user share on a machine.
    Sqlite(PathBuf),
    /// What a fleet shares.
    Redis(RedisUrl),
}

/// A Redis or Valkey, without any secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// How it is reached.
    pub(super) by: Way,
    /// The number of its database.
    pub(super) db: i64,
    /// Whose keys: two fleets may share a server.
    pub(super) fleet: String,
}

/// How a Redis is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// Over the network, with TLS or without.
    Net {
        /// A name or an address.
        host: String,
        /// Its port.
        port: u16,
        /// Whether the connection is encrypted.
        tls: bool,
    },
    /// By a socket of this machine.
    Unix(PathBuf),
}

/// Why a place cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {help}")]
pub struct BadPlace {
    /// What is wrong. Never repeats what may be a secret.
    pub what: String,
    /// What to do.
    pub help: String,
}

fn bad(what: impl Into<String>, help: impl Into<String>) -> BadPlace {
    BadPlace { what: what.into(), help: help.into() }
}

impl StorePlace {
    /// From `redis://HOST[:PORT][/DB]`, `rediss://...` (TLS), `unix:/PATH`, each with an optional
    /// `?fleet=NAME`, or a file's path.
    ///
    /// # Errors
    /// When it is none of these, or holds a user or a password: a command line is visible to all.
    pub fn parse(text: &str) -> Result<Self, BadPlace> {
        if text.is_empty() {
            return Err(bad("a store's place is empty", FORMS));
        }
        let scheme = text.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("redis" | "rediss" | "valkey" | "valkeys" | "unix") => url(text).map(Self::Redis),
            _ if text.contains("://") => Err(bad("a store's place has a scheme that is not known", FORMS)),
            _ => Ok(Self::Sqlite(PathBuf::from(text))),
        }
    }

    /// The place that was named, else that of `CALLGATE_COUNTERS`, else this file.
    ///
    /// # Errors
    /// As [`StorePlace::parse`]; also when the variable is no text.
    pub fn choose(named: Option<&str>, file: PathBuf) -> Result<Self, BadPlace> {
        if let Some(named) = named {
            return Self::parse(named);
        }
        match std::env::var(COUNTERS) {
            Ok(text) if !text.is_empty() => Self::parse(&text),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(bad(format!("{COUNTERS} is no text in UTF-8"), FORMS))
            }
            Ok(_) | Err(std::env::VarError::NotPresent) => Ok(Self::Sqlite(file)),
        }
    }

    /// Whether there may be something already; a look must not make a file.
    pub fn may_exist(&self) -> bool {
        match self {
            Self::Sqlite(path) => path.exists(),
            Self::Redis(_) => true,
        }
    }
}

/// Opens a store, and makes it where there is none.
///
/// # Errors
/// When it cannot be reached or used.
pub fn open(place: &StorePlace) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match place {
        StorePlace::Sqlite(path) => Arc::new(SqliteStore::open(path)?),
        StorePlace::Redis(url) => Arc::new(RedisStore::open(url)?),
    })
}

const FORMS: &str = "write redis://HOST[:PORT][/DB], rediss://... for TLS, unix:/PATH, or a file's path";

fn url(text: &str) -> Result<RedisUrl, BadPlace> {
    let url = redis::parse_redis_url(text).ok_or_else(|| bad("a store's address cannot be read", FORMS))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad(
            "a store's address holds a user or a password, and a command line is visible to all",
            format!("take it out and set {USERNAME} and {PASSWORD}"),
        ));
    }
    if url.fragment().is_some() {
        return Err(bad("a store's address has a `#` part", FORMS));
    }
    let mut fleet = FLEET.to_owned();
    let mut db = None;
    let number = |text: &str| {
        let number = text.parse::<i64>().ok().filter(|number| *number >= 0);
        number.ok_or_else(|| bad("a store's database is no number", "write redis://HOST/0"))
    };
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "fleet" => {
                let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                if value.is_empty() || value.len() > 64 || !value.chars().all(fits) {
                    return Err(bad(
                        "a fleet's name has up to 64 letters, digits, `-`, `_` and `.`",
                        "write ?fleet=NAME",
                    ));
                }
                fleet = value.into_owned();
            }
            "db" if url.scheme() == "unix" => db = Some(number(&value)?),
            _ => {
                return Err(bad(
                    "a store's address has a parameter that is not known",
                    format!("only ?fleet=NAME is (and db=N after unix:); secrets belong into {PASSWORD}"),
                ));
            }
        }
    }
    if url.scheme() == "unix" {
        let path = url
            .to_file_path()
            .map_err(|()| bad("a store's socket has no absolute path", "write unix:/PATH"))?;
        return Ok(RedisUrl { by: Way::Unix(path), db: db.unwrap_or(0), fleet });
    }
    let tls = matches!(url.scheme(), "rediss" | "valkeys");
    let host = url.host_str().unwrap_or("").trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() {
        return Err(bad("a store's address names no host", FORMS));
    }
    let db = match url.path().trim_matches('/') {
        "" => 0,
        text => number(text)?,
    };
    Ok(RedisUrl { by: Way::Net { host, port: url.port().unwrap_or(PORT), tls }, db, fleet })
}

/// As it may be written again.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut mark = '?';
        match &self.by {
            Way::Net { host, port, tls } => {
                let scheme = if *tls { "rediss" } else { "redis" };
                if host.contains(':') {
                    write!(f, "{scheme}://[{host}]:{port}/{}", self.db)?;
                } else {
                    write!(f, "{scheme}://{host}:{port}/{}", self.db)?;
                }
            }
            Way::Unix(path) => {
                write!(f, "unix:{}", path.display())?;
                if self.db != 0 {
                    write!(f, "?db={}", self.db)?;
                    mark = '&';
                }
            }
        }
        if self.fleet == FLEET { Ok(()) } else { write!(f, "{mark}fleet={}", self.fleet) }
    }
}

impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Redis(url) => write!(f, "{url}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written_again() {
        for (text, shown) in [
            ("redis://cache.example", "redis://cache.example:6379/0"),
            ("redis://cache.example:7000/3?fleet=prod", "redis://cache.example:7000/3?fleet=prod"),
            ("valkeys://[::1]:1/", "rediss://[::1]:1/0"),
            ("rediss://10.0.0.1", "rediss://10.0.0.1:6379/0"),
            ("unix:/run/redis.sock", "unix:/run/redis.sock"),
            ("unix:///run/redis.sock?db=2&fleet=a-b", "unix:/run/redis.sock?db=2&fleet=a-b"),
            ("state/store.sqlite", "state/store.sqlite"),
        ] {
            let place = StorePlace::parse(text).unwrap();
            assert_eq!(place.to_string(), shown);
            assert_eq!(StorePlace::parse(shown).unwrap(), place);
        }
    }

    #[test]
    fn secrets_and_nonsense_are_refused_without_repeating_them() {
        for text in [
            "redis://:hunter2@h",
            "redis://hunter2@h",
            "redis://u:hunter2@h/1",
            "unix:/run/s?pass=hunter2",
            "redis://h?password=hunter2",
            "redis://h#hunter2",
            "redis://h/hunter2",
            "http://hunter2",
            "redis://h?fleet=a b",
            "redis://h?fleet=",
            "redis://",
            "redis:",
            "redis://h/-1",
            "",
        ] {
            let error = StorePlace::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
    }
}
