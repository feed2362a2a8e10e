//! The policy's file: read, watched.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::tui::app::Msg;
use crate::tui::app::policy::PolicyMsg;

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
    pub(super) fn start(path: PathBuf, out: mpsc::Sender<Msg>) -> Self {
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
