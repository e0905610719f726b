//! The node's data directory: what lies where, one process at a time, secrets for its owner only.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// An open, locked data directory.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

// === impl DataDir ===

impl DataDir {
    /// Makes the directory where it is missing, closes it to others where it stands open, and
    /// locks it; a second process is refused.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let make = |path: &Path| {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .with_context(|| format!("data directory {} cannot be made", path.display()))?;
            make_private(path)
        };
        make(path)?;
        for inner in ["keys", "tls", "run", "logs"] {
            make(&path.join(inner))?;
        }
        let lock = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("run/lock"))
            .with_context(|| format!("data directory {shown} cannot be written"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "data directory {shown} is in use by another process, stop it or use another \
                 --data-dir"
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).context(format!("data directory {shown} cannot be locked"));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file or directory in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Shuts a directory of secrets to everybody but its owner: a packager's `install -d` leaves it
/// readable, and with it every database in it.
fn make_private(path: &Path) -> anyhow::Result<()> {
    let open = || {
        let path = path.display();
        format!("data directory {path} is open to others and cannot be closed: chmod 700 {path}")
    };
    let mode = fs::metadata(path).with_context(open)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).with_context(open)?;
        tracing::warn!(path = %path.display(), "a directory of secrets was open to others, it is closed now");
    }
    Ok(())
}

/// Writes a file whole or not at all, with this mode.
pub(crate) fn write_file(path: &Path, mode: u32, bytes: &[u8]) -> anyhow::Result<()> {
    let written = || -> std::io::Result<()> {
        let beside = path.with_extension("new");
        let _ = fs::remove_file(&beside);
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(mode)
            .open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    written().with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_stood_open_is_closed_to_others() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        for made in ["", "tls"] {
            let made = path.join(made);
            fs::create_dir_all(&made).unwrap();
            fs::set_permissions(&made, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let data = DataDir::open(&path).unwrap();
        for inner in ["", "tls", "run"] {
            let mode = fs::metadata(data.join(inner)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{inner}");
        }
    }
}
