//! The policy file: loaded at the start, and again whenever it changes.
//!
//! A bad version never replaces a good one, and
//! a file that is gone or cannot be read counts as a bad version.

use std::io;
use std::path::{Path, PathBuf};

pub use super::watch::Watch;
// The module alone: a function of that name stands beside it.
use super::watch::{self};
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
    use std::fs;
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
}
