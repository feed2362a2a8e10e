//! What the workers that read this user's journals ask of them first.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use crate::journal::follow::Source;
use crate::journal::{past, read};
use crate::replay::Applies;
use crate::time::Timestamp;

/// Whose calls are meant by a policy file: of those who were under it; else of the servers that are at
/// hand; else of the only one there is.
pub(super) fn under(journals: &Path, policy: &Path, servers: &[String]) -> io::Result<Applies> {
    let found = past::governance(&[Source::Folder(journals.to_owned())])?;
    let under = found.under(policy);
    if !under.is_empty() {
        return Ok(Applies::To(under.into_iter().map(|(server, grant)| (server, Some(grant))).collect()));
    }
    let known = servers.iter().filter(|name| found.servers.contains_key(*name));
    let mut known: Vec<String> = known.cloned().collect();
    if known.is_empty() && found.servers.len() == 1 {
        known.extend(found.servers.into_keys());
    }
    Ok(Applies::To(known.into_iter().map(|server| (server, None)).collect()))
}

/// When a journal was last written.
pub(super) fn latest(journals: &Path) -> Option<Timestamp> {
    let modified = read::files(journals).ok()?.into_iter().map(|file| file.modified).max()?;
    let micros = modified.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_micros();
    i64::try_from(micros).ok().map(Timestamp)
}
