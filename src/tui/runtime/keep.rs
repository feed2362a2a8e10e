//! Unsaved edits, kept where a crash cannot reach them, and offered at the next start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::tui::app::policy::Leftover;

/// What is kept, one file for each policy and process.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    path: String,
    at: crate::time::Timestamp,
    text: String,
}

/// Where unsaved edits are kept.
#[derive(Debug, Clone)]
pub(super) struct Keep {
    folder: PathBuf,
    later: Arc<Later>,
}

/// A large text is written beside the keys, the latest one only.
#[derive(Debug, Default)]
struct Later {
    slot: Mutex<Slot>,
    idle: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    next: Option<(PathBuf, Arc<str>)>,
    running: bool,
}

impl Later {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A text up to this size is written at once: nothing can come between a key and its safety.
const AT_ONCE: usize = 128 * 1024;

impl Keep {
    /// In a folder of the state.
    pub(super) fn new(state: &Path) -> Self {
        Self { folder: state.join("unsaved"), later: Arc::default() }
    }

    /// Of which policy: the name does not depend on how its path was written.
    fn stem(path: &Path) -> String {
        let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
        digest.iter().take(8).fold(String::new(), |mut text, byte| {
            use std::fmt::Write as _;
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn own(&self, path: &Path) -> PathBuf {
        self.folder.join(format!("{}.{}.json", Self::stem(path), std::process::id()))
    }

    /// Keeps a text, a large one in a moment.
    pub(super) fn keep(&self, path: PathBuf, text: Arc<str>) -> io::Result<()> {
        if text.len() <= AT_ONCE {
            // An older one must not come after it.
            self.settle();
            return self.put(&path, &text);
        }
        let mut slot = self.later.lock();
        slot.next = Some((path, text));
        if std::mem::replace(&mut slot.running, true) {
            return Ok(());
        }
        drop(slot);
        let this = self.clone();
        let started = std::thread::Builder::new().name("keep".to_owned()).spawn(move || this.write_later());
        if let Err(error) = started {
            self.later.lock().running = false;
            return Err(error);
        }
        Ok(())
    }

    fn write_later(&self) {
        loop {
            let mut slot = self.later.lock();
            let Some((path, text)) = slot.next.take() else {
                slot.running = false;
                self.later.idle.notify_all();
                return;
            };
            drop(slot);
            // What cannot be written now is tried again with the next change.
            let _ = self.put(&path, &text);
        }
    }

    /// Waits until what was to be kept is.
    pub(super) fn settle(&self) {
        let slot = self.later.lock();
        drop(self.later.idle.wait_while(slot, |slot| slot.running).unwrap_or_else(PoisonError::into_inner));
    }

    /// Keeps a text.
    fn put(&self, path: &Path, text: &str) -> io::Result<()> {
        crate::paths::private_dir(&self.folder)?;
        let kept = Kept {
            path: path.to_string_lossy().into_owned(),
            at: crate::clock::now(),
            text: text.to_owned(),
        };
        let bytes = serde_json::to_vec(&kept).map_err(io::Error::other)?;
        let own = self.own(path);
        let temporary = own.with_extension("tmp");
        super::files::write_private(&temporary, &bytes)?;
        std::fs::rename(&temporary, &own)
    }

    /// Forgets what this process kept.
    pub(super) fn forget(&self, path: &Path) {
        self.later.lock().next = None;
        self.settle();
        let _ = std::fs::remove_file(self.own(path));
    }

    /// Forgets what another process left behind.
    pub(super) fn drop_leftover(&self, name: &str) {
        let plain =
            !name.contains(['/', '\\']) && Path::new(name).extension().is_some_and(|ext| ext == "json");
        if plain {
            let _ = std::fs::remove_file(self.folder.join(name));
        }
    }

    /// What a process that is gone left of a policy, the newest.
    pub(super) fn leftover(&self, path: &Path) -> Option<Leftover> {
        let stem = Self::stem(path);
        let entries = std::fs::read_dir(&self.folder).ok()?;
        let mut found: Vec<(crate::time::Timestamp, Leftover)> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let pid: i32 =
                    name.strip_prefix(&stem)?.strip_prefix('.')?.strip_suffix(".json")?.parse().ok()?;
                if is_alive(pid) {
                    return None;
                }
                let kept: Kept = serde_json::from_slice(&std::fs::read(entry.path()).ok()?).ok()?;
                let when = local(kept.at);
                Some((kept.at, Leftover { name, when, text: Arc::from(kept.text) }))
            })
            .collect();
        found.sort_by_key(|(at, _)| *at);
        found.pop().map(|(_, left)| left)
    }
}

fn local(at: crate::time::Timestamp) -> String {
    match jiff::Timestamp::from_microsecond(at.0) {
        Ok(instant) => instant.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => at.to_string(),
    }
}

#[cfg(unix)]
fn is_alive(pid: i32) -> bool {
    let own = i32::try_from(std::process::id()).is_ok_and(|own| own == pid);
    !own && rustix::process::Pid::from_raw(pid)
        .is_some_and(|pid| !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

#[cfg(not(unix))]
fn is_alive(_pid: i32) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_kept_is_offered_and_what_was_forgotten_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let keep = Keep::new(folder.path());
        let policy = Path::new("/somewhere/policy.json");
        assert!(keep.leftover(policy).is_none());
        keep.put(policy, "{}").unwrap();
        // This very process counts as gone: the same number after a restart is another process.
        let left = keep.leftover(policy).unwrap();
        assert_eq!(&*left.text, "{}");
        assert!(keep.leftover(Path::new("/other/policy.json")).is_none());
        keep.drop_leftover("../x.json");
        keep.drop_leftover(&left.name);
        assert!(keep.leftover(policy).is_none());
        keep.put(policy, "{}").unwrap();
        keep.forget(policy);
        assert!(keep.leftover(policy).is_none());
    }
}
