//! The key of this installation: masks are made under it, so that equal secrets can be told equal
//! here and nowhere else.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use crate::paths::private_dir;

/// Reads `state_dir/masking.key` (64 hexadecimal digits, 0600), making it first if there is none.
/// Several processes may do so at once; all get the same key.
///
/// # Errors
/// What the file system or the system's random source says, or `InvalidData` for a file that holds
/// no key.
pub fn key(state_dir: &Path) -> io::Result<[u8; 32]> {
    let path = state_dir.join("masking.key");
    match fs::read(&path) {
        Ok(text) => return decode(&path, &text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    private_dir(state_dir)?;
    let mut key = [0_u8; 32];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let mut tag = [0_u8; 8];
    getrandom::fill(&mut tag).map_err(io::Error::other)?;
    let draft = state_dir.join(format!(".masking.key.{}", hex(&tag)));
    let written = write_private(&draft, format!("{}\n", hex(&key)).as_bytes());
    // A link appears with its whole content and fails where another process was first.
    let linked = written.and_then(|()| fs::hard_link(&draft, &path));
    let result = match linked {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::read(&path).and_then(|text| decode(&path, &text))
        }
        // A file system without links: the last of several first starts wins.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) =>
        {
            fs::rename(&draft, &path).and_then(|()| fs::read(&path)).and_then(|text| decode(&path, &text))
        }
        Err(error) => Err(error),
    };
    let _ = fs::remove_file(&draft);
    result
}

/// The key, where there is one already.
pub fn existing_key(state_dir: &Path) -> Option<[u8; 32]> {
    let path = state_dir.join("masking.key");
    decode(&path, &fs::read(&path).ok()?).ok()
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn decode(path: &Path, text: &[u8]) -> io::Result<[u8; 32]> {
    let broken = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "`{}` holds no key: remove it and a new one is made (masks made so far will not compare with new ones)",
                path.display()
            ),
        )
    };
    let text = text.trim_ascii();
    if text.len() != 64 {
        return Err(broken());
    }
    let mut key = [0_u8; 32];
    for (byte, pair) in key.iter_mut().zip(text.chunks(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| broken())?;
        if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(broken());
        }
        *byte = u8::from_str_radix(pair, 16).map_err(|_| broken())?;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_once_and_private() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("state");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| key(&state).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(key(&state).unwrap(), keys[0]);
        assert_eq!(existing_key(&state), Some(keys[0]));
        assert_eq!(existing_key(home.path()), None);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "no drafts are left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(state.join("masking.key")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_broken_key_is_named() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("masking.key"), "abc").unwrap();
        let error = key(home.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("masking.key"));
    }
}
