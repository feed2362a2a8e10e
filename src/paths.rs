//! Where things lie on disk: configuration, state and runtime folders by the XDG rules.
//!
//! `CALLGATE_HOME` replaces all three by its `config/`, `state/` and `run/`.

use std::io;
use std::path::{Path, PathBuf};

/// The three roots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Configuration: settings, keys, policies of configured servers.
    pub config: PathBuf,
    /// State: journals, counters, kept policy texts, the installation's key.
    pub state: PathBuf,
    /// Runtime: discovery files.
    pub run: PathBuf,
    /// The folder of the journals, where it is not the state's own.
    pub journals: Option<PathBuf>,
}

impl Paths {
    /// From the process environment.
    ///
    /// # Errors
    /// When neither `CALLGATE_HOME` nor `HOME` says where to look.
    pub fn from_env() -> io::Result<Self> {
        Self::resolve(&|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
    }

    /// From a look-up of environment variables; relative XDG paths are ignored as the rules say.
    ///
    /// # Errors
    /// When neither `CALLGATE_HOME` nor `HOME` is set.
    pub fn resolve(var: &dyn Fn(&str) -> Option<PathBuf>) -> io::Result<Self> {
        if let Some(root) = var("CALLGATE_HOME") {
            return Ok(Self {
                config: root.join("config"),
                state: root.join("state"),
                run: root.join("run"),
                journals: None,
            });
        }
        let home = var("HOME").or_else(|| var("USERPROFILE"));
        let under = |name: &str, default: &str| -> io::Result<PathBuf> {
            if let Some(base) = var(name).filter(|path| path.is_absolute()) {
                return Ok(base.join("callgate"));
            }
            let home = home.as_ref().ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::NotFound,
                    "neither CALLGATE_HOME nor HOME is set: set one of them",
                )
            })?;
            Ok(home.join(default).join("callgate"))
        };
        let config = under("XDG_CONFIG_HOME", ".config")?;
        let state = under("XDG_STATE_HOME", ".local/state")?;
        let run = match var("XDG_RUNTIME_DIR").filter(|path| path.is_absolute()) {
            Some(base) => base.join("callgate"),
            None => std::env::temp_dir().join(format!("callgate-{}", user_tag())),
        };
        Ok(Self { config, state, run, journals: None })
    }

    /// The folder of the journals.
    pub fn journal(&self) -> PathBuf {
        self.journals.clone().unwrap_or_else(|| self.state.join("journal"))
    }

    /// The embedded store of counters, freezes and overrides.
    pub fn store(&self) -> PathBuf {
        self.state.join("store.sqlite")
    }

    /// The policy of a configured server: `policies/SERVER.json` in the configuration folder. What a
    /// file system or a shell reads specially in its name becomes `_`.
    pub fn policy_of(&self, server: &str) -> PathBuf {
        let name: String = server
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '_' })
            .collect();
        let name = name.trim_start_matches('.');
        let name = if name.is_empty() { "server" } else { name };
        self.config.join("policies").join(format!("{name}.json"))
    }

    /// Every policy text that a gateway loaded, by digest.
    pub fn policies(&self) -> PathBuf {
        self.state.join("policies")
    }
}

#[cfg(unix)]
fn user_tag() -> String {
    rustix::process::getuid().as_raw().to_string()
}

#[cfg(not(unix))]
fn user_tag() -> String {
    std::env::var("USERNAME").unwrap_or_else(|_| "user".to_owned())
}

/// The user by the system's own list, because the environment can say anything.
pub fn user() -> String {
    #[cfg(unix)]
    {
        let uid = rustix::process::getuid().as_raw().to_string();
        let list = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let name = list.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == uid).then(|| name.to_owned())
        });
        // Directory services are not in that list.
        name.or_else(|| std::env::var("USER").ok().filter(|name| !name.is_empty()))
            .unwrap_or_else(|| format!("uid {uid}"))
    }
    #[cfg(not(unix))]
    {
        std::env::var("USERNAME").unwrap_or_else(|_| "unknown".to_owned())
    }
}

/// How much of a scratch file lies in memory, in bytes.
const SCRATCH: usize = 4 * 1024 * 1024;

/// A file without a name, private to the user and gone with the program, for what may become more than
/// fits in memory. It lies in a folder, or among temporary files where that cannot be written to.
pub fn scratch(folder: Option<&Path>) -> tempfile::SpooledTempFile {
    match folder.filter(|folder| tempfile::tempfile_in(folder).is_ok()) {
        Some(folder) => tempfile::spooled_tempfile_in(SCRATCH, folder),
        None => tempfile::spooled_tempfile(SCRATCH),
    }
}

/// Creates a folder and its parents, private to the user (0700), and refuses one that belongs to
/// somebody else: a shared temporary folder may hold a trap.
///
/// # Errors
/// What the file system says, or `PermissionDenied` for another user's folder.
pub fn private_dir(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let meta = std::fs::symlink_metadata(path)?;
        if meta.uid() != rustix::process::getuid().as_raw() || !meta.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("`{}` belongs to another user or is no folder", path.display()),
            ));
        }
        if meta.permissions().mode() & 0o077 != 0 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
        }
        Ok(())
    }
    #[cfg(not(unix))]
    {
        std::fs::create_dir_all(path)
    }
}

/// Whether a file that is already there may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and writing fails with `AlreadyExists`.
    Keep,
    /// It is replaced; its permissions stay.
    Replace,
}

/// Writes a whole file or nothing: into a new file beside it, onto the disk, then into its place.
/// A symbolic link is followed, so that the link stays and its target is replaced.
///
/// # Errors
/// What the file system says; `AlreadyExists` with [`Existing::Keep`].
pub fn write_whole(path: &Path, bytes: &[u8], existing: Existing) -> io::Result<()> {
    use std::io::Write as _;
    let target = match std::fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let permissions = std::fs::metadata(&target).ok().map(|meta| meta.permissions());
    if permissions.is_some() && existing == Existing::Keep {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists));
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = target
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.new", std::process::id()));
    let beside = folder.join(beside);
    let written = (|| {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&beside)?;
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        match existing {
            // A link fails where somebody else has made the file meanwhile; a rename does not.
            Existing::Keep => {
                std::fs::hard_link(&beside, &target).and_then(|()| std::fs::remove_file(&beside))
            }
            Existing::Replace => std::fs::rename(&beside, &target),
        }
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written?;
    // The name, too, must survive a loss of power; not every system can promise that for folders.
    if let Ok(folder) = std::fs::File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json");
        write_whole(&path, b"one", Existing::Keep).expect("new");
        let error = write_whole(&path, b"two", Existing::Keep).expect_err("there already");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("permissions");
        let link = folder.path().join("link.json");
        std::os::unix::fs::symlink("a.json", &link).expect("a link");
        write_whole(&link, b"three", Existing::Replace).expect("replaced");
        assert_eq!(std::fs::read(&path).expect("read"), b"three");
        assert!(std::fs::symlink_metadata(&link).expect("the link").is_symlink());
        assert_eq!(std::fs::metadata(&path).expect("meta").permissions().mode() & 0o777, 0o640);
        assert!(write_whole(&folder.path().join("no/such.json"), b"", Existing::Replace).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing is left behind");
    }

    fn resolve(vars: &[(&str, &str)]) -> io::Result<Paths> {
        Paths::resolve(&|name| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
        })
    }

    #[test]
    fn servers_names_become_harmless_file_names() {
        let paths = resolve(&[("CALLGATE_HOME", "/c")]).expect("own");
        for (server, file) in [
            ("github", "github"),
            ("../../etc/x", "_.._etc_x"),
            ("a b", "a_b"),
            ("..", "server"),
            ("日本", "__"),
        ] {
            let wanted = Path::new("/c/config/policies").join(format!("{file}.json"));
            assert_eq!(paths.policy_of(server), wanted);
        }
    }

    #[test]
    fn follows_xdg_and_callgate_home() {
        let paths = resolve(&[("HOME", "/h")]).expect("home");
        assert_eq!(paths.config, Path::new("/h/.config/callgate"));
        assert_eq!(paths.state, Path::new("/h/.local/state/callgate"));
        let paths =
            resolve(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s"), ("XDG_RUNTIME_DIR", "/r")]).expect("xdg");
        assert_eq!(paths.journal(), Path::new("/s/callgate/journal"));
        assert_eq!(paths.run, Path::new("/r/callgate"));
        let paths = resolve(&[("CALLGATE_HOME", "/c"), ("XDG_STATE_HOME", "/s")]).expect("own");
        assert_eq!(paths.run, Path::new("/c/run"));
        assert!(resolve(&[]).is_err());
    }
}
