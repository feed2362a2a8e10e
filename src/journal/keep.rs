//! Which files are kept: by age, by total size, and always those that a live gateway writes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::read::files;

#[derive(Debug, Clone)]
pub(super) struct Keep {
    pub(super) dir: PathBuf,
    pub(super) age: Duration,
    pub(super) bytes: u64,
}

impl Keep {
    /// Deletes what need not be kept, oldest first. What cannot be deleted stays for the next time.
    pub(super) fn tidy(&self) {
        let Ok(mut found) = files(&self.dir) else { return };
        found.sort_by(|a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name)));
        let mut total: u64 = found.iter().map(|file| file.len).sum();
        let now = SystemTime::now();
        for file in found {
            let old = now.duration_since(file.modified).is_ok_and(|age| age > self.age);
            if !old && total <= self.bytes {
                // Files after this one are younger still, and the total only shrinks.
                break;
            }
            if !is_live(&file.path) && fs::remove_file(&file.path).is_ok() {
                total = total.saturating_sub(file.len);
            }
        }
    }

    /// Makes the names of new files outlive a loss of power.
    #[cfg_attr(not(unix), expect(clippy::unused_self, reason = "folders cannot be synced there"))]
    pub(super) fn sync_dir(&self) -> io::Result<()> {
        #[cfg(unix)]
        {
            File::open(&self.dir)?.sync_all()
        }
        #[cfg(not(unix))]
        Ok(())
    }
}

/// Whether a gateway holds its lock on the file.
fn is_live(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return true };
    match file.try_lock_shared() {
        Ok(()) => false,
        Err(fs::TryLockError::WouldBlock) => true,
        // Without locks a file written within the last day may be in use.
        Err(fs::TryLockError::Error(_)) => file
            .metadata()
            .and_then(|meta| meta.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age < Duration::from_hours(24))),
    }
}
