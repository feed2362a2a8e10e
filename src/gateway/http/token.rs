//! The token of the grant that `--listen` makes: kept in a file that only its owner can read.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::paths::{self, Paths};
use crate::token::{self, TokenDigest};

/// Where the token lies, and what it is recognised by.
pub(super) struct Local {
    pub(super) path: PathBuf,
    pub(super) digest: TokenDigest,
}

/// The token of the server of that name: the one that clients already have, or a new one.
///
/// # Errors
/// When it can neither be read nor written.
pub(super) fn local(paths: &Paths, server: &str) -> io::Result<Local> {
    let folder = paths.state.join("tokens");
    paths::private_dir(&folder)?;
    let plain: String = server
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' })
        .take(64)
        .collect();
    // Two names may look alike once they are plain.
    let digest = TokenDigest::of(server).hex();
    let path = folder.join(if plain == server {
        format!("{plain}.token")
    } else {
        format!("{plain}-{}.token", digest.get(..12).unwrap_or_default())
    });
    let token = if let Some(token) = kept(&path) {
        token
    } else {
        let mut random = [0_u8; 32];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let token = token::text(&random);
        match write(&path, &token) {
            Ok(()) => token,
            // Another gateway was faster, or what lies there is no token.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => kept(&path).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("`{}` holds no token: remove it, and a new one is made", path.display()),
                )
            })?,
            Err(error) => return Err(error),
        }
    };
    Ok(Local { path, digest: TokenDigest::of(&token) })
}

fn kept(path: &Path) -> Option<String> {
    let token = fs::read_to_string(path).ok()?.trim().to_owned();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Whoever opened it up to others did so by mistake.
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o600));
    }
    token::has_shape(&token).then_some(token)
}

fn write(path: &Path, token: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(format!("{token}\n").as_bytes())?;
    file.sync_all()
}
