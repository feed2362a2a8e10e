//! Files that are watched: each version of one that differs from the version before.
//!
//! The file's folder is watched, and the file's identity is looked at each second besides: bind
//! mounts and swapped symbolic links send no events.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use notify::{RecursiveMode, Watcher};

/// How often the file's identity is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Writers are given this long to finish what they began.
const SETTLE: Duration = Duration::from_millis(15);

/// A file changed so lately may change again without looking different.
const JUST_NOW: Duration = Duration::from_secs(3);

/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Reads a whole file of at most 64 MiB.
///
/// # Errors
/// What the system says, or that it is no regular file or too large.
pub(in crate::gateway) fn read(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let file = open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if !kind.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 64 MiB"));
    }
    Ok(text)
}

/// Opens without waiting: a pipe in the file's place would else hold the reader until somebody
/// writes, and no later version would ever be seen.
fn open(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NONBLOCK.bits();
        options.custom_flags(i32::try_from(flags).unwrap_or_default());
    }
    options.open(path)
}

/// What tells a file that changed from one that did not.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    place: (u64, u64),
    length: u64,
    modified: Option<SystemTime>,
    changed: (i64, i64),
}

fn identity(path: &Path) -> Option<Identity> {
    let meta = fs::metadata(path).ok()?;
    #[cfg(unix)]
    let (place, changed) = {
        use std::os::unix::fs::MetadataExt;
        ((meta.dev(), meta.ino()), (meta.ctime(), meta.ctime_nsec()))
    };
    #[cfg(not(unix))]
    let (place, changed) = ((0, 0), (0, 0));
    Some(Identity { place, length: meta.len(), modified: meta.modified().ok(), changed })
}

/// Stops watching when dropped.
#[derive(Debug)]
pub struct Watch {
    stop: mpsc::Sender<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.stop.send(());
    }
}

/// Watches a file and calls `changed` with each version that differs from the one before
/// (`revision` is that of the version in force), on a thread of its own. A file that is gone or
/// cannot be read counts as a version.
///
/// # Errors
/// When the thread cannot be started. Without a watch on the folder (some file systems have none)
/// the look each second has to do.
pub(in crate::gateway) fn watch(
    path: PathBuf,
    revision: String,
    mut changed: impl FnMut(io::Result<Vec<u8>>) + Send + 'static,
) -> io::Result<Watch> {
    let (stop, events) = mpsc::channel();
    let tell = stop.clone();
    std::thread::Builder::new().name("reload".to_owned()).spawn(move || {
        let (sender, stirred) = mpsc::channel();
        let names = names(&path);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| concerns(&event, &names)) {
                let _ = sender.send(());
            }
        })
        .ok();
        if let Some(watcher) = &mut watcher {
            for folder in folders(&path) {
                let _ = watcher.watch(&folder, RecursiveMode::NonRecursive);
            }
        }
        let mut seen = Seen { identity: None, what: What::Revision(revision) };
        loop {
            if let Some(version) = seen.look(&path) {
                changed(version);
            }
            match stirred.recv_timeout(LOOK) {
                Ok(()) => {
                    std::thread::sleep(SETTLE);
                    while stirred.try_recv().is_ok() {}
                    seen.identity = None;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
            }
            if !matches!(events.try_recv(), Err(mpsc::TryRecvError::Empty)) {
                return;
            }
        }
    })?;
    Ok(Watch { stop: tell })
}

/// The folder of the path, and that of the file it leads to.
fn folders(path: &Path) -> Vec<PathBuf> {
    let of = |path: &Path| match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut folders = vec![of(path)];
    if let Ok(target) = fs::canonicalize(path) {
        let target = of(&target);
        let same = folders.iter().any(|folder| fs::canonicalize(folder).ok().as_ref() == Some(&target));
        if !same {
            folders.push(target);
        }
    }
    folders
}

/// The last parts of the path and of what it leads to.
fn names(path: &Path) -> Vec<std::ffi::OsString> {
    let target = fs::canonicalize(path).ok();
    [Some(path), target.as_deref()]
        .into_iter()
        .flatten()
        .filter_map(Path::file_name)
        .map(Into::into)
        .collect()
}

/// Whether an event may mean another version. Reading the file makes events too, and the folder
/// may be a busy one.
fn concerns(event: &notify::Event, names: &[std::ffi::OsString]) -> bool {
    use notify::event::{AccessKind, AccessMode, EventKind};
    let reading =
        matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
    let ours = |path: &PathBuf| path.file_name().is_some_and(|name| names.iter().any(|other| other == name));
    !reading && (event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(ours))
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    /// The text of this revision.
    Revision(String),
    /// It could not be read, and why.
    Unreadable(String),
}

/// The version that was seen last.
#[derive(Debug)]
struct Seen {
    /// `None`: look again, whatever it looks like.
    identity: Option<Identity>,
    what: What,
}

impl Seen {
    /// The present version, if it is another than the last one.
    fn look(&mut self, path: &Path) -> Option<io::Result<Vec<u8>>> {
        let now = identity(path);
        if now.is_some() && now == self.identity {
            return None;
        }
        let text = match read(path) {
            Ok(text) => text,
            Err(error) => {
                self.identity = None;
                let what = What::Unreadable(error.to_string());
                if self.what == what {
                    return None;
                }
                self.what = what;
                return Some(Err(error));
            }
        };
        // What was written within the clock's grain of this reading could change unseen.
        let settled = now.as_ref().and_then(|now| now.modified).and_then(|at| at.elapsed().ok());
        self.identity = now.filter(|_| settled.is_some_and(|age| age > JUST_NOW));
        let what = What::Revision(crate::policy::document::revision(&text));
        if self.what == what {
            return None;
        }
        self.what = what;
        Some(Ok(text))
    }
}
