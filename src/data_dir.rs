//! The node's data directory: what lies where, one process at a time, secrets for its owner only.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::draft::{Draft, Over};

/// Directories of a data directory.
const DIRECTORIES: [&str; 5] = ["keys", "tls", "cluster", "run", "logs"];
/// The bit of a directory in which nobody may remove what is others'.
const STICKY: u32 = 0o1000;

/// An open, locked data directory.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

// === impl DataDir ===

impl DataDir {
    /// Makes the directory where it is missing, locks it, and closes it to others where it stands
    /// open; a second process is refused, and so is a directory that is something else's.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        ensure_ours(path)?;
        let make = |path: &Path| {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .with_context(|| format!("data directory {} cannot be made", path.display()))
        };
        make(&path.join("run"))?;
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
        // Only now: whoever is refused has changed nothing.
        make_private(path)?;
        for inner in DIRECTORIES {
            make(&path.join(inner))?;
            make_private(&path.join(inner))?;
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

    /// Sees to it that the names of all files in it are on disk, and its own.
    pub(crate) fn sync(&self) -> anyhow::Result<()> {
        let inner = DIRECTORIES.map(|inner| self.join(inner));
        // Above it, too, a name may be new.
        let path = std::path::absolute(&self.path)?;
        let above = path.ancestors().skip(1);
        let all = inner.iter().map(PathBuf::as_path);
        for directory in all.chain([self.path()]).chain(above) {
            let synced = sync_directory(directory);
            synced.with_context(|| format!("{} cannot be written", directory.display()))?;
        }
        Ok(())
    }

    /// A file or directory in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Whether a node may make this its data directory: it is missing, a node's already, or holds
/// nothing but what people put there before the first start. Any other one serves somebody else
/// and must not be closed to them.
pub(crate) fn ensure_ours(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let Ok(found) = fs::metadata(path) else {
        return Ok(());
    };
    // A file: `/run/lock` is a directory.
    if fs::symlink_metadata(path.join("run/lock")).is_ok_and(|lock| lock.is_file()) {
        return Ok(());
    }
    if found.permissions().mode() & STICKY != 0 {
        bail!("{shown} is a directory that many share: use another --data-dir");
    }
    let entries =
        fs::read_dir(path).with_context(|| format!("data directory {shown} cannot be read"))?;
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !may_be_there_before_us(&name) {
            bail!(
                "{shown} is no data directory of a node and not empty, it has {name}: use another \
                 --data-dir"
            );
        }
    }
    Ok(())
}

fn may_be_there_before_us(name: &str) -> bool {
    const FILES: [&str; 4] = ["ca.pem", "headgate.toml", "admin-password", "lost+found"];
    DIRECTORIES.contains(&name)
        || FILES.contains(&name)
        // Restored databases, with what SQLite keeps beside them.
        || [".db", ".db-wal", ".db-shm"].iter().any(|end| name.ends_with(end))
}

/// Shuts a directory of secrets to everybody but its owner: a packager's `install -d` leaves it
/// readable, and with it every database in it.
fn make_private(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let open = || {
        format!("data directory {shown} is open to others and cannot be closed: chmod 700 {shown}")
    };
    let found = fs::metadata(path).with_context(open)?;
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(mode & !0o077)) {
        Ok(()) => {
            tracing::warn!(path = %shown, "a directory of secrets was open to others, it is closed now");
        }
        // A volume that is lent to this process: its owner alone could close it.
        Err(error) if may_stay_open(&error, mode) => {
            tracing::warn!(path = %shown, "a directory of secrets is open to others and belongs to \
                somebody else: what is made in it is this node's alone");
        }
        Err(error) => return Err(error).with_context(open),
    }
    Ok(())
}

/// What lies in it is closed by itself; only who could replace it is to be feared.
fn may_stay_open(error: &std::io::Error, mode: u32) -> bool {
    error.kind() == ErrorKind::PermissionDenied && mode & 0o002 == 0
}

/// The directory that a path's last name stands in.
pub(crate) fn holder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// Sees to it that the names in a directory are on disk, where its filesystem does that and its owner lets this process.
pub(crate) fn sync_directory(path: &Path) -> std::io::Result<()> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    let cannot = [
        ErrorKind::InvalidInput,
        ErrorKind::Unsupported,
        ErrorKind::PermissionDenied,
    ];
    match synced {
        Err(error) if cannot.contains(&error.kind()) => Ok(()),
        synced => synced,
    }
}

/// Writes a file whole or not at all, with this mode, over what is there; it is on disk then.
pub(crate) fn write_file(path: &Path, mode: u32, bytes: &[u8]) -> anyhow::Result<()> {
    let written = || -> anyhow::Result<()> {
        let mut draft = Draft::begin(path, mode)?;
        draft.write_all(bytes)?;
        Ok(draft.put(Over::Anything)?)
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

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_directory_of_others_is_refused_and_stays_as_it_was() {
        let parent = tempfile::tempdir().unwrap();
        let shared = parent.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
        let root = parent.path().join("root");
        fs::create_dir_all(root.join("run/lock")).unwrap();
        fs::create_dir(root.join("bin")).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        for (path, told) in [(&shared, "many share"), (&root, "it has bin")] {
            let before = mode(path);
            let error = DataDir::open(path).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
            assert!(error.contains(&path.display().to_string()), "{error}");
            assert_eq!(mode(path), before);
            assert!(!path.join("keys").exists());
        }
    }

    #[test]
    fn whoever_is_refused_the_lock_has_closed_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let _first = DataDir::open(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(DataDir::open(&path).is_err());
        assert_eq!(mode(&path), 0o750);
    }

    #[test]
    fn a_fresh_volume_is_taken_and_keeps_its_group_bit() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        fs::create_dir_all(path.join("lost+found")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o2775)).unwrap();
        let _data = DataDir::open(&path).unwrap();
        assert_eq!(mode(&path), 0o2700);
    }

    #[test]
    fn a_volume_of_somebody_elses_is_taken_unless_anybody_may_write_in_it() {
        let denied = std::io::Error::from(ErrorKind::PermissionDenied);
        assert!(may_stay_open(&denied, 0o2775));
        assert!(!may_stay_open(&denied, 0o777));
        let broken = std::io::Error::from(ErrorKind::ReadOnlyFilesystem);
        assert!(!may_stay_open(&broken, 0o2775));
    }
}
