//! The policy's file: read, watched.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::tui::app::Msg;
use crate::tui::app::policy::{PinsFile, PolicyMsg, Saved};

/// How long to wait after a change for more: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(40);

/// Reads the file as it is now.
pub(super) fn read(path: &Path) -> PolicyMsg {
    match std::fs::read(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => PolicyMsg::Disk(Some(Arc::from(text))),
            Err(error) => PolicyMsg::Unreadable(format!(
                "`{}` is not UTF-8 from byte {} on: it cannot be a policy",
                path.display(),
                error.utf8_error().valid_up_to()
            )),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => PolicyMsg::Disk(None),
        Err(error) => PolicyMsg::Unreadable(format!("`{}` cannot be read: {error}", path.display())),
    }
}

/// Reads a file of pins as it is now.
pub(super) fn read_pins(path: &Path) -> PolicyMsg {
    PolicyMsg::Pins(match crate::catalog::pins::load(path) {
        Ok(pins) => PinsFile::Read(Arc::new(pins)),
        Err(error) if error.is_missing() => PinsFile::Missing,
        Err(error) => PinsFile::Bad(error.to_string()),
    })
}

/// Writes the file if it holds what is expected: a temporary file beside it, flushed to the disk,
/// takes its place at once. A symbolic link stays one, and the permissions stay as they are.
pub(super) fn save(path: &Path, text: &Arc<str>, expected: Option<&str>) -> Saved {
    let now = match std::fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Saved::Failed(format!("`{}` cannot be read: {error}", path.display())),
    };
    if now.as_deref() != expected.map(str::as_bytes) && now.as_deref() != Some(text.as_bytes()) {
        return match now.map(String::from_utf8).transpose() {
            Ok(theirs) => Saved::Changed(theirs.map(Arc::from)),
            Err(_) => Saved::Failed(format!("`{}` holds something that is no text", path.display())),
        };
    }
    match replace(path, text.as_bytes()) {
        Ok(()) => Saved::Done(Arc::clone(text)),
        Err(error) => Saved::Failed(format!("`{}` cannot be written: {error}", path.display())),
    }
}

/// Writes a shadow, whole or not at all, or takes it away; answers whether there is one now.
pub(super) fn shadow(path: &Path, text: Option<&str>) -> Result<bool, String> {
    let done = match text {
        Some(text) => replace(path, text.as_bytes()),
        None => match std::fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        },
    };
    let failed = |error: io::Error| format!("`{}`: {error}", path.display());
    done.map(|()| text.is_some()).map_err(failed)
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let real = match path.canonicalize() {
        Ok(real) => real,
        // A link to nowhere: what it names is made.
        Err(_) => std::fs::read_link(path).map_or_else(
            |_| path.to_path_buf(),
            |target| path.parent().map_or_else(|| target.clone(), |folder| folder.join(&target)),
        ),
    };
    let folder = real.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let result = (|| {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
        if let Ok(meta) = std::fs::metadata(&real) {
            file.set_permissions(meta.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &real)
    })();
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
        return result;
    }
    // The new name is on the disk only when the folder is.
    #[cfg(unix)]
    if let Ok(folder) = std::fs::File::open(folder) {
        let _ = folder.sync_all();
    }
    result
}

/// Writes a file that only the user can read.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)?.write_all(bytes)
}

/// Watches a file through its folder, and where a symbolic link leads; says what it holds at first
/// and after each change. Ends when dropped.
#[derive(Debug)]
pub(super) struct Watch {
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// Starts it.
    pub(super) fn start(path: PathBuf, read: fn(&Path) -> PolicyMsg, out: mpsc::Sender<Msg>) -> Self {
        let task = tokio::spawn(async move {
            let (ping, mut pings) = mpsc::channel::<()>(1);
            let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                if !event.is_ok_and(|event| event.kind.is_access()) {
                    let _ = ping.try_send(());
                }
            });
            let watcher = watcher.and_then(|mut watcher| {
                for folder in folders(&path) {
                    watcher.watch(&folder, RecursiveMode::NonRecursive)?;
                }
                Ok(watcher)
            });
            loop {
                let from = path.clone();
                let Ok(msg) = tokio::task::spawn_blocking(move || read(&from)).await else { return };
                if out.send(Msg::Policy(msg)).await.is_err() {
                    return;
                }
                // Where nothing can be watched (too many watches, a strange file system), look.
                if watcher.is_ok() {
                    if pings.recv().await.is_none() {
                        return;
                    }
                    tokio::time::sleep(SETTLE).await;
                    while pings.try_recv().is_ok() {}
                } else {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        });
        Self { task }
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let parent = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
    };
    let mut folders = vec![parent(path)];
    if let Ok(real) = path.canonicalize() {
        folders.push(parent(&real));
    }
    folders.sort();
    folders.dedup();
    folders.retain(|folder| folder.is_dir());
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saving_goes_through_links_keeps_permissions_and_never_over_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real.json");
        std::fs::write(&real, "old").unwrap();
        let text: Arc<str> = Arc::from("new");
        assert_eq!(save(&real, &text, Some("other")), Saved::Changed(Some(Arc::from("old"))));
        assert_eq!(save(&real, &text, None), Saved::Changed(Some(Arc::from("old"))));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
            let link = folder.path().join("link.json");
            std::os::unix::fs::symlink("real.json", &link).unwrap();
            assert_eq!(save(&link, &text, Some("old")), Saved::Done(Arc::clone(&text)));
            assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
            assert_eq!(std::fs::read_to_string(&real).unwrap(), "new");
        }
        let fresh = folder.path().join("sub/fresh.json");
        assert_eq!(save(&fresh, &text, None), Saved::Done(Arc::clone(&text)));
        assert_eq!(read_text(&fresh).as_deref(), Some("new"));
        let left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().flatten().map(|it| it.file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "{left:?}");
    }

    fn read_text(path: &Path) -> Option<String> {
        match read(path) {
            PolicyMsg::Disk(text) => text.map(|text| text.to_string()),
            _ => None,
        }
    }
}
