//! A file that is made beside its place and put there when it is whole: whatever comes between, all of it is there or what
//! was there before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::data_dir::{holder, sync_directory};

/// What a draft may be put over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Its place must be free, also of what came there meanwhile.
    Nothing,
    /// What is there is gone then.
    Anything,
}

/// A file that is being written; dropped before it is in its place, nothing is left of it.
#[derive(Debug)]
pub(crate) struct Draft {
    file: File,
    beside: PathBuf,
    path: PathBuf,
}

// === impl Draft ===

impl Draft {
    /// Begins what is to be at `path`, with this mode as far as the process's mask lets it.
    ///
    /// # Errors
    ///
    /// The path names no file, or nothing can be made in its directory.
    pub(crate) fn begin(path: &Path, mode: u32) -> anyhow::Result<Self> {
        let name = path.file_name();
        // `d/` and `d/.` have a name as well, but mean a directory.
        let name = name.filter(|name| path.as_os_str().as_bytes().ends_with(name.as_bytes()));
        let name = name.with_context(|| format!("{} names no file", path.display()))?;
        let mut part = name.to_owned();
        // Of a name that nobody else has: another one of this name may be under way, or lie there as somebody's own.
        part.push(format!(".{}.part", uuid::Uuid::new_v4().simple()));
        let beside = path.with_file_name(part);
        let file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(mode)
            .open(&beside)
            .with_context(|| format!("{} cannot be made", beside.display()))?;
        Ok(Self {
            file,
            beside,
            path: path.to_owned(),
        })
    }

    /// It is whole: puts it in its place, and returns when both are on disk.
    ///
    /// # Errors
    ///
    /// Of the disk, and `AlreadyExists` where its place is taken and it is to be put over nothing.
    pub(crate) fn put(self, over: Over) -> io::Result<()> {
        self.file.sync_all()?;
        match over {
            Over::Nothing => give_name(&self.beside, &self.path)?,
            Over::Anything => fs::rename(&self.beside, &self.path)?,
        }
        sync_directory(holder(&self.path))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Half of a file is none; one that was put in its place is not here any more.
        let _ = fs::remove_file(&self.beside);
    }
}

/// Gives a whole file its name, not over another one that came meanwhile.
fn give_name(beside: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(beside, path) {
        Ok(()) => return fs::remove_file(beside),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
        // A filesystem may have no hard links, as of FAT and of many servers.
        Err(_) => {}
    }
    match renameat_with(CWD, beside, CWD, path, RenameFlags::NOREPLACE) {
        // Nor may it know this.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if fs::symlink_metadata(path).is_ok() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            fs::rename(beside, path)
        }
        renamed => renamed.map_err(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn written(path: &Path, text: &str) -> Draft {
        let mut draft = Draft::begin(path, 0o600).unwrap();
        draft.write_all(text.as_bytes()).unwrap();
        draft
    }

    #[test]
    fn drafts_of_like_names_at_once_are_each_put_in_their_place_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        fs::write(place("node.new"), "somebody's own").unwrap();
        let all = ["node.gw1", "node.gw2", "node", "node.new.part"];
        let drafts = all.map(|name| (name, written(&place(name), name)));
        for name in all {
            assert!(!place(name).exists(), "before it is whole");
        }
        for (name, draft) in drafts {
            draft.put(Over::Anything).unwrap();
            assert_eq!(fs::read_to_string(place(name)).unwrap(), name);
            let mode = fs::metadata(place(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let own = fs::read_to_string(place("node.new")).unwrap();
        assert_eq!(own, "somebody's own");
        written(&place("node.new"), "over")
            .put(Over::Anything)
            .unwrap();
        assert_eq!(fs::read_to_string(place("node.new")).unwrap(), "over");
        assert_eq!(names(dir.path()).len(), 5);
    }

    #[test]
    fn a_draft_that_is_not_put_in_its_place_leaves_what_was_there_and_nothing_of_itself() {
        let dir = tempfile::tempdir().unwrap();
        let (taken, directory) = (dir.path().join("taken"), dir.path().join("directory"));
        drop(written(&taken, "given up"));
        assert_eq!(names(dir.path()), [""; 0]);
        let late = written(&taken, "second");
        written(&taken, "first").put(Over::Nothing).unwrap();
        let error = late.put(Over::Nothing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&taken).unwrap(), "first");
        fs::create_dir(&directory).unwrap();
        written(&directory, "x").put(Over::Anything).unwrap_err();
        assert_eq!(names(dir.path()), ["directory", "taken"]);
        for no_file in ["", "/", "..", "directory/", "directory/."] {
            let error = Draft::begin(&dir.path().join(no_file), 0o600).unwrap_err();
            assert!(error.to_string().contains("names no file"), "{error}");
        }
    }
}
