//! The policy file: loaded at the start, and again whenever it changes.
//!
//! The file's folder is watched, and the file's identity is looked at each second besides: bind
//! mounts and swapped symbolic links send no events. A bad version never replaces a good one, and
//! a file that is gone or cannot be read counts as a bad version.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use notify::{RecursiveMode, Watcher};
use sha2::{Digest, Sha256};

use crate::paths;
use crate::policy::compiled::Compiled;
use crate::policy::diagnostic::Diagnostic;
use crate::policy::document::Document;

/// How often the file's identity is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Writers are given this long to finish what they began.
const SETTLE: Duration = Duration::from_millis(15);

/// A file changed so lately may change again without looking different.
const JUST_NOW: Duration = Duration::from_secs(3);

/// The largest policy text that is read, in bytes.
const LARGEST: u64 = 64 * 1024 * 1024;

/// A policy that can be put in force.
#[derive(Debug)]
pub struct Loaded {
    /// The document.
    pub document: Document,
    /// Ready to decide.
    pub compiled: Compiled,
}

/// Why a version of the policy is not put in force.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is gone or cannot be read.
    #[error("cannot read the policy `{}`: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// It is not valid.
    #[error("the policy `{}` is not valid: {}", path.display(), first.as_ref().map_or_else(String::new, |first| describe(first)))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The first error.
        first: Option<Box<Diagnostic>>,
        /// The revision of this version.
        revision: String,
    },
}

fn describe(diagnostic: &Diagnostic) -> String {
    format!("line {}, column {}: {}", diagnostic.line, diagnostic.column, diagnostic.message)
}

/// Reads and checks a policy file.
///
/// # Errors
/// When it cannot be read or is not valid.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    check(path, &read(path)?)
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    use io::Read as _;
    let unreadable = |why| LoadError::Unreadable { path: path.to_owned(), why };
    let file = fs::File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(unreadable(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    let mut text = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > LARGEST {
        return Err(unreadable(io::Error::other("it is larger than 64 MiB")));
    }
    Ok(text)
}

fn check(path: &Path, text: &[u8]) -> Result<Loaded, LoadError> {
    let revision = crate::policy::document::revision(text);
    let document = Document::parse_bytes(text).valid().map_err(|first| LoadError::Invalid {
        path: path.to_owned(),
        first: Some(first),
        revision: revision.clone(),
    })?;
    let compiled = Compiled::new(&document).map_err(|_| LoadError::Invalid {
        path: path.to_owned(),
        first: None,
        revision,
    })?;
    Ok(Loaded { document, compiled })
}

/// Keeps a policy's text by its digest, private to the user, so that what decided a recorded call
/// can be looked at later.
///
/// # Errors
/// What the file system says.
pub fn keep(folder: &Path, text: &str) -> io::Result<PathBuf> {
    use std::fmt::Write as _;
    use std::io::Write as _;
    let mut name = String::with_capacity(70);
    for byte in Sha256::digest(text.as_bytes()) {
        let _ = write!(name, "{byte:02x}");
    }
    let path = folder.join(format!("{name}.json"));
    if fs::metadata(&path).is_ok_and(|meta| meta.len() == text.len() as u64) {
        return Ok(path);
    }
    paths::private_dir(folder)?;
    let draft = folder.join(format!(".{name}.{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&draft).and_then(|mut file| file.write_all(text.as_bytes()));
    let done = written.and_then(|()| fs::rename(&draft, &path));
    if done.is_err() {
        let _ = fs::remove_file(&draft);
    }
    done.map(|()| path)
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

/// Watches a policy file and calls `changed` with each version that differs from the one before
/// (`revision` is that of the version in force), on a thread of its own.
///
/// # Errors
/// When the thread cannot be started. Without a watch on the folder (some file systems have none)
/// the look each second has to do.
pub fn watch(
    path: PathBuf,
    revision: String,
    mut changed: impl FnMut(Result<Loaded, LoadError>) + Send + 'static,
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
    fn look(&mut self, path: &Path) -> Option<Result<Loaded, LoadError>> {
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
        Some(check(path, &text))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use super::*;

    const GOOD: &str = r#"{"version":"1","default":"deny","tools":{"a":{}}}"#;
    const OTHER: &str = r#"{"version":"1","default":"deny","tools":{"b":{}}}"#;
    const BAD: &str = r#"{"version":"1","default":"deny","toolz":{}}"#;

    fn watched(path: &Path) -> (Watch, Receiver<Result<String, String>>) {
        let (sender, versions) = mpsc::channel();
        let revision = load(path).unwrap().document.revision().to_owned();
        let watch = watch(path.to_owned(), revision, move |version| {
            let told =
                version.map(|loaded| loaded.document.text().to_owned()).map_err(|error| error.to_string());
            let _ = sender.send(told);
        });
        (watch.unwrap(), versions)
    }

    fn next(versions: &Receiver<Result<String, String>>) -> Result<String, String> {
        versions.recv_timeout(Duration::from_secs(20)).expect("a version")
    }

    #[test]
    fn each_way_of_replacing_a_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.json");
        fs::write(&path, GOOD).unwrap();
        let (_watch, versions) = watched(&path);
        fs::write(&path, OTHER).unwrap();
        assert_eq!(next(&versions).unwrap(), OTHER);
        let draft = folder.path().join("draft");
        fs::write(&draft, GOOD).unwrap();
        fs::rename(&draft, &path).unwrap();
        assert_eq!(next(&versions).unwrap(), GOOD);
        fs::write(&path, BAD).unwrap();
        assert!(next(&versions).unwrap_err().contains("toolz"));
        fs::remove_file(&path).unwrap();
        assert!(next(&versions).unwrap_err().contains("cannot read"));
        fs::write(&path, OTHER).unwrap();
        assert_eq!(next(&versions).unwrap(), OTHER);
    }

    #[cfg(unix)]
    #[test]
    fn a_swapped_link_is_seen_without_an_event() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        for (name, text) in [("one", GOOD), ("two", OTHER)] {
            fs::create_dir(elsewhere.path().join(name)).unwrap();
            fs::write(elsewhere.path().join(name).join("policy.json"), text).unwrap();
        }
        let link = elsewhere.path().join("now");
        std::os::unix::fs::symlink(elsewhere.path().join("one"), &link).unwrap();
        let path = folder.path().join("policy.json");
        std::os::unix::fs::symlink(link.join("policy.json"), &path).unwrap();
        let (_watch, versions) = watched(&path);
        let draft = elsewhere.path().join("draft");
        std::os::unix::fs::symlink(elsewhere.path().join("two"), &draft).unwrap();
        fs::rename(&draft, &link).unwrap();
        assert_eq!(next(&versions).unwrap(), OTHER);
    }

    #[test]
    fn texts_are_kept_once_by_digest() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("policies");
        let path = keep(&kept, GOOD).unwrap();
        assert_eq!(keep(&kept, GOOD).unwrap(), path);
        assert_eq!(fs::read_to_string(&path).unwrap(), GOOD);
        let revision = crate::policy::document::revision(GOOD.as_bytes());
        assert!(path.file_name().unwrap().to_str().unwrap().starts_with(&revision));
        assert_eq!(fs::read_dir(&kept).unwrap().count(), 1);
    }
}
