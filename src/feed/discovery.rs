//! How a monitor finds this user's gateways: each writes `PID.json` into the private run folder
//! (0600, in one step) and removes it when it ends. What a killed one left behind is ignored and
//! removed.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::paths::private_dir;
use crate::time::Timestamp;

/// A discovery file is small.
const MAX_SIZE: u64 = 64 * 1024;

/// One running gateway, as its discovery file has it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The process.
    pub pid: u32,
    /// The gateway's name.
    pub name: String,
    /// Where its feed listens: `127.0.0.1:PORT`.
    pub address: String,
    /// The operator's token.
    pub token: String,
    /// The id of the gateway run.
    pub gateway: String,
    /// When the process started, as the system counts it: tells it from a later process with the
    /// same number. Absent where the system does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// Since when the gateway has been there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token stays out of logs.
        f.debug_struct("Entry")
            .field("pid", &self.pid)
            .field("name", &self.name)
            .field("address", &self.address)
            .field("gateway", &self.gateway)
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// The address of its feed.
    pub fn url(&self) -> String {
        format!("ws://{}/feed", self.address)
    }

    /// Whether its process still runs.
    fn lives(&self) -> bool {
        process_lives(self.pid) && (self.started.is_none() || process_start(self.pid) == self.started)
    }
}

/// A discovery file that lies in the run folder as long as this value lives.
#[derive(Debug)]
pub struct Announced {
    path: PathBuf,
    text: Vec<u8>,
}

impl Announced {
    /// Writes the file of an entry.
    ///
    /// # Errors
    /// When the folder is not private to this user, or the file cannot be written.
    pub fn write(run_dir: &Path, entry: &Entry) -> io::Result<Self> {
        private_dir(run_dir)?;
        let path = run_dir.join(format!("{}.json", entry.pid));
        let draft = run_dir.join(format!(".{}.{}", entry.pid, entry.gateway_tag()));
        let text = serde_json::to_vec(entry).map_err(io::Error::other)?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let written = options
            .open(&draft)
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| fs::rename(&draft, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&draft);
            return Err(error);
        }
        Ok(Self { path, text })
    }
}

impl Entry {
    /// The gateway's id as part of a file's name.
    fn gateway_tag(&self) -> String {
        self.gateway.chars().filter(char::is_ascii_alphanumeric).take(32).collect()
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        remove_if(&self.path, &self.text);
    }
}

/// Removes a file if it still says that: another gateway may have taken its place.
fn remove_if(path: &Path, text: &[u8]) {
    if fs::read(path).is_ok_and(|there| there == text) {
        let _ = fs::remove_file(path);
    }
}

/// This user's running gateways, by process number. Files of processes that are gone are removed;
/// what is no discovery file is left alone. A folder that is not there holds none.
///
/// # Errors
/// When the folder cannot be read, or belongs to another user.
pub fn list(run_dir: &Path) -> io::Result<Vec<Entry>> {
    let meta = match fs::symlink_metadata(run_dir) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    check_owner(&meta, run_dir)?;
    let mut entries = Vec::new();
    for file in fs::read_dir(run_dir)? {
        let path = file?.path();
        let Some(pid) = pid_of(&path) else { continue };
        let Some(text) = read_small(&path) else { continue };
        let Ok(entry) = serde_json::from_slice::<Entry>(&text) else { continue };
        if entry.pid != pid {
            continue;
        }
        if entry.lives() {
            entries.push(entry);
        } else {
            remove_if(&path, &text);
        }
    }
    entries.sort_by_key(|entry| entry.pid);
    Ok(entries)
}

#[cfg(unix)]
fn check_owner(meta: &fs::Metadata, run_dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    if meta.is_dir() && meta.uid() == rustix::process::getuid().as_raw() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("`{}` belongs to another user or is no folder", run_dir.display()),
    ))
}

#[cfg(not(unix))]
fn check_owner(_meta: &fs::Metadata, _run_dir: &Path) -> io::Result<()> {
    Ok(())
}

/// `PID.json`, spelt as a gateway spells it.
fn pid_of(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    let digits = name.strip_suffix(".json")?;
    let pid: u32 = digits.parse().ok()?;
    (pid > 0 && pid.to_string() == digits).then_some(pid)
}

fn read_small(path: &Path) -> Option<Vec<u8>> {
    // Not through a link, and not from a pipe that never ends.
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    fs::File::open(path).ok()?.take(MAX_SIZE + 1).read_to_end(&mut text).ok()?;
    (text.len() as u64 <= MAX_SIZE).then_some(text)
}

#[cfg(unix)]
fn process_lives(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else { return false };
    match rustix::process::test_kill_process(pid) {
        Ok(()) => true,
        // It is there, but another user's.
        Err(error) => error == rustix::io::Errno::PERM,
    }
}

#[cfg(not(unix))]
fn process_lives(_pid: u32) -> bool {
    // Not known without asking; a connection that is refused tells.
    true
}

/// When a process started, in the system's own count. `None` where that is not known.
pub(super) fn process_start(pid: u32) -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces and parentheses; the start is the 20th field after it.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pid: u32) -> Entry {
        Entry {
            pid,
            name: "docker".to_owned(),
            address: "127.0.0.1:1".to_owned(),
            token: "secret".to_owned(),
            gateway: "g-1".to_owned(),
            started: process_start(pid),
            since: None,
        }
    }

    #[test]
    fn announces_privately_and_takes_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        assert!(list(&run).unwrap().is_empty());
        let me = entry(std::process::id());
        let announced = Announced::write(&run, &me).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&run), 0o700);
            assert_eq!(mode(&announced.path), 0o600);
        }
        assert_eq!(list(&run).unwrap(), std::slice::from_ref(&me));
        assert!(!format!("{me:?}").contains("secret"));
        drop(announced);
        assert_eq!(fs::read_dir(&run).unwrap().count(), 0);
    }

    #[test]
    fn another_gateways_file_is_not_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let first = Announced::write(folder.path(), &entry(std::process::id())).unwrap();
        let second = Entry { gateway: "g-2".to_owned(), ..entry(std::process::id()) };
        let _second = Announced::write(folder.path(), &second).unwrap();
        drop(first);
        assert_eq!(list(folder.path()).unwrap(), [second]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_stale_goes_and_what_is_foreign_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = Entry { started: Some(1), ..entry(child.id()) };
        child.wait().unwrap();
        std::mem::forget(Announced::write(folder.path(), &dead).unwrap());
        // The number lives again, as another process.
        let reused = Entry { started: Some(1), ..entry(std::process::id()) };
        std::mem::forget(Announced::write(folder.path(), &reused).unwrap());
        for (name, text) in [("1.json", "rubbish"), ("notes.json", "{}"), ("01.json", "{}"), ("2.json", "")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let other = serde_json::to_string(&entry(7)).unwrap();
        fs::write(folder.path().join("3.json"), other).unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("4.json")).unwrap();
        fs::write(folder.path().join("5.json"), vec![b' '; 100_000]).unwrap();
        assert!(list(folder.path()).unwrap().is_empty());
        let mut left: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["01.json", "1.json", "2.json", "3.json", "4.json", "5.json", "notes.json"]);
    }
}
