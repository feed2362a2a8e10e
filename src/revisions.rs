//! Every policy text that was in force or saved, and for each policy file when which came.
//!
//! Texts lie once by their digest under `policies/` in the state folder; `revisions/` holds one list
//! for each policy file, a line an entry, the oldest first. Gateways and the editor both add to it,
//! and neither needs to know of the other. Everything here is private to the user.

use std::fs;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::json::canonical::sha256;
use crate::paths::{self, Paths};
use crate::time::Timestamp;

/// How many of the newest entries of one file are read.
pub const MOST: usize = 500;

/// The end of a list that is read, in bytes.
const TAIL: u64 = 256 * 1024;

/// When a text came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// The SHA-256 of the text, as 64 lower-case hex digits.
    pub sha256: String,
    /// Who brought it.
    pub by: By,
    /// The person's or the gateway's name.
    pub name: String,
    /// What was done, in a few words.
    pub what: String,
}

/// Who brought a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// A person saved it in the editor.
    Editor,
    /// It was there before the first save.
    Found,
    /// A gateway put it in force.
    Gateway,
}

/// Where revisions lie.
#[derive(Debug, Clone)]
pub struct Revisions {
    texts: PathBuf,
    lists: PathBuf,
}

impl Revisions {
    /// Those of the user's state.
    pub fn new(paths: &Paths) -> Self {
        Self { texts: paths.policies(), lists: paths.state.join("revisions") }
    }

    /// Keeps a text; answers with its digest.
    ///
    /// # Errors
    /// What the file system says.
    pub fn keep(&self, text: &str) -> io::Result<String> {
        let digest = sha256(text.as_bytes());
        let path = self.texts.join(format!("{digest}.json"));
        if fs::metadata(&path).is_ok_and(|meta| meta.len() == text.len() as u64) {
            return Ok(digest);
        }
        paths::private_dir(&self.texts)?;
        let draft = self.texts.join(format!(".{digest}.{}", std::process::id()));
        let written = private(&draft, false).and_then(|mut file| file.write_all(text.as_bytes()));
        let done = written.and_then(|()| fs::rename(&draft, &path));
        if done.is_err() {
            let _ = fs::remove_file(&draft);
        }
        done.map(|()| digest)
    }

    /// A kept text.
    ///
    /// # Errors
    /// What the file system says; `InvalidData` when the file is not what its name says.
    pub fn text(&self, digest: &str) -> io::Result<String> {
        if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no digest"));
        }
        let text = fs::read_to_string(self.texts.join(format!("{digest}.json")))?;
        if sha256(text.as_bytes()) != digest {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the kept text was changed"));
        }
        Ok(text)
    }

    /// Keeps a text as what a policy file holds from now on. What a gateway puts in force again adds
    /// nothing.
    ///
    /// # Errors
    /// What the file system says.
    pub fn add(&self, policy: &Path, text: &str, by: By, who: &str, what: &str) -> io::Result<()> {
        let digest = self.keep(text)?;
        let newest = self.list(policy)?.into_iter().next();
        if newest.is_some_and(|newest| newest.sha256 == digest) {
            return Ok(());
        }
        paths::private_dir(&self.lists)?;
        let entry = Entry {
            at: crate::clock::now(),
            sha256: digest,
            by,
            name: who.to_owned(),
            what: what.to_owned(),
        };
        let mut line = serde_json::to_vec(&entry).map_err(io::Error::other)?;
        line.push(b'\n');
        // One write, so that lines of several programs never mix.
        private(&self.place(policy), true)?.write_all(&line)
    }

    /// The entries of a policy file, the newest first, at most [`MOST`]. A line that cannot be read
    /// is left out.
    ///
    /// # Errors
    /// What the file system says; a file without entries has none.
    pub fn list(&self, policy: &Path) -> io::Result<Vec<Entry>> {
        let mut file = match fs::File::open(self.place(policy)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        file.seek(io::SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        let lines = bytes.split(|byte| *byte == b'\n').rev();
        Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).take(MOST).collect())
    }

    /// The list of a policy file: its name does not depend on how the path was written.
    fn place(&self, policy: &Path) -> PathBuf {
        let real = policy.canonicalize().or_else(|_| std::path::absolute(policy));
        let real = real.unwrap_or_else(|_| policy.to_path_buf());
        let digest = sha256(real.as_os_str().as_encoded_bytes());
        self.lists.join(format!("{}.jsonl", digest.get(..16).unwrap_or(&digest)))
    }
}

fn private(path: &Path, append: bool) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.create(true);
    if append {
        options.append(true);
    } else {
        options.write(true).truncate(true);
    }
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, Revisions) {
        let folder = tempfile::tempdir().unwrap();
        let revisions =
            Revisions { texts: folder.path().join("policies"), lists: folder.path().join("revisions") };
        (folder, revisions)
    }

    #[test]
    fn texts_are_kept_once_by_digest_and_a_changed_one_is_refused() {
        let (folder, revisions) = fresh();
        let digest = revisions.keep("{}").unwrap();
        assert_eq!(revisions.keep("{}").unwrap(), digest);
        assert_eq!(revisions.text(&digest).unwrap(), "{}");
        assert!(digest.starts_with(&crate::policy::document::revision(b"{}")));
        let kept = folder.path().join("policies");
        assert_eq!(fs::read_dir(&kept).unwrap().count(), 1);
        fs::write(kept.join(format!("{digest}.json")), "{ }").unwrap();
        assert_eq!(revisions.text(&digest).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(revisions.text("../x").is_err());
    }

    #[test]
    fn each_file_has_its_list_with_the_newest_first() {
        let (folder, revisions) = fresh();
        let policy = folder.path().join("policy.json");
        fs::write(&policy, "1").unwrap();
        assert_eq!(revisions.list(&policy).unwrap(), []);
        revisions.add(&policy, "1", By::Found, "", "found").unwrap();
        revisions.add(&policy, "2", By::Editor, "kim", "deny push").unwrap();
        revisions.add(&policy, "2", By::Gateway, "git", "in force").unwrap();
        let other = folder.path().join("sub/../policy.json");
        fs::create_dir(folder.path().join("sub")).unwrap();
        let list = revisions.list(&other).unwrap();
        let shown: Vec<_> = list.iter().map(|it| (it.by, it.what.as_str())).collect();
        assert_eq!(shown, [(By::Editor, "deny push"), (By::Found, "found")]);
        // A torn line is left out.
        let place = revisions.place(&policy);
        let mut bytes = fs::read(&place).unwrap();
        bytes.extend_from_slice(b"{\"at\":");
        fs::write(&place, bytes).unwrap();
        assert_eq!(revisions.list(&policy).unwrap().len(), 2);
        assert_eq!(revisions.list(&folder.path().join("other.json")).unwrap(), []);
    }
}
