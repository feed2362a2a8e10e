//! What a client's file said before the gateway came: kept in the state folder, so that it can be
//! put back byte for byte.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::paths::{Existing, private_dir, write_whole};
use crate::policy::document::revision;
use crate::time::Timestamp;

/// What was done to one entry. The texts are the person's own and may hold secrets: the folder is
/// private, and they are shown nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The client.
    pub client: String,
    /// The client's file, links followed.
    pub file: PathBuf,
    /// What leads to the entry in it.
    pub at: Vec<String>,
    /// The policy that the gateway enforces.
    pub policy: PathBuf,
    /// The command and arguments as they were spelt.
    pub before: String,
    /// The command and arguments as callgate spelt them.
    pub after: String,
    /// When.
    pub ts: Timestamp,
}

impl Kept {
    /// What is kept of an entry, if anything.
    ///
    /// # Errors
    /// When there is something that cannot be read.
    pub fn load(state: &Path, file: &Path, at: &[String]) -> io::Result<Option<Self>> {
        let bytes = match std::fs::read(place(state, file, at)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(serde_json::from_slice(&bytes)?))
    }

    /// Keeps it, in the place of what was kept of the same entry.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save(&self, state: &Path) -> io::Result<()> {
        private_dir(state)?;
        private_dir(&state.join(FOLDER))?;
        let path = place(state, &self.file, &self.at);
        write_whole(&path, &serde_json::to_vec_pretty(self)?, Existing::Replace)
    }

    /// Forgets it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget(&self, state: &Path) -> io::Result<()> {
        std::fs::remove_file(place(state, &self.file, &self.at))
    }
}

const FOLDER: &str = "wrapped";

/// One file for each entry, named by a digest of what leads to it.
fn place(state: &Path, file: &Path, at: &[String]) -> PathBuf {
    let mut way = file.as_os_str().as_encoded_bytes().to_vec();
    for step in at {
        way.push(0);
        way.extend_from_slice(step.as_bytes());
    }
    state.join(FOLDER).join(format!("{}.json", revision(&way)))
}
