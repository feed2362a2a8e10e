//! The policy file: loaded at the start, and again whenever it changes.
//!
//! A bad version never replaces a good one, and
//! a file that is gone or cannot be read counts as a bad version.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::watch;
pub use super::watch::Watch;
use crate::paths;
use crate::policy::compiled::Compiled;
use crate::policy::diagnostic::Diagnostic;
use crate::policy::document::Document;

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

impl LoadError {
    /// The revision of the version that is not used, where it could be read.
    pub fn revision(&self) -> Option<&str> {
        match self {
            Self::Invalid { revision, .. } => Some(revision),
            Self::Unreadable { .. } => None,
        }
    }
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
    watch::read(path).map_err(|why| unreadable(path, why))
}

fn unreadable(path: &Path, why: io::Error) -> LoadError {
    LoadError::Unreadable { path: path.to_owned(), why }
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
    let file = path.clone();
    watch::watch(path, revision, move |version| {
        changed(version.map_err(|why| unreadable(&file, why)).and_then(|text| check(&file, &text)));
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver};
    use std::time::Duration;

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
