//! What a database cannot say by itself: that its file is no longer the one that was opened, and
//! that the last write found no room.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::StoreError;

/// What has to fit on a disk that was full before it counts as having room.
const ROOM: usize = 1 << 20;

/// Kept beside the connections of one database.
#[derive(Debug)]
pub(crate) struct Health {
    database: &'static str,
    file: Option<OpenedFile>,
    /// Why a write failed for want of room or rights, until there is room again.
    unwritable: Mutex<Option<String>>,
}

/// A file as it was when it was opened.
#[derive(Debug)]
struct OpenedFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

// === impl Health ===

impl Health {
    /// Of a database whose file lies at `path`; none for one that is no file of this machine.
    pub(crate) fn new(database: &'static str, path: Option<PathBuf>) -> Self {
        let file = path.and_then(|path| {
            let found = std::fs::metadata(&path).ok()?;
            let (device, inode) = (found.dev(), found.ino());
            Some(OpenedFile {
                path,
                device,
                inode,
            })
        });
        Self {
            database,
            file,
            unwritable: Mutex::default(),
        }
    }

    /// Whether the file at the path is the opened one: what is written to another one is gone
    /// with the process.
    pub(crate) fn is_in_place(&self) -> Result<(), StoreError> {
        let Some(opened) = &self.file else {
            return Ok(());
        };
        let same = std::fs::metadata(&opened.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (opened.device, opened.inode));
        if same {
            return Ok(());
        }
        Err(StoreError::Lost {
            database: self.database,
            path: opened.path.clone(),
        })
    }

    /// What a failed write is; one for want of room or rights is remembered.
    pub(crate) fn write_failed(&self, error: sqlx::Error) -> StoreError {
        let failed = failed(self.database, error);
        if let StoreError::Unwritable { database, reason } = &failed
            && self.unwritable().replace(reason.clone()).is_none()
        {
            tracing::error!(database, reason, "database cannot be written");
        }
        failed
    }

    /// Whether a write failed for want of room or rights since there was room last.
    pub(crate) fn is_unwritable(&self) -> bool {
        self.unwritable().is_some()
    }

    /// Whether there is room again: tried, with as much as writes may need, since a few bytes
    /// always fit somewhere.
    pub(crate) async fn try_room(&self) -> Result<(), StoreError> {
        if let Some(opened) = &self.file {
            let beside = opened.path.with_extension("room");
            let tried = tokio::task::spawn_blocking(move || {
                let tried = std::fs::write(&beside, vec![1; ROOM]);
                // Made or not made, whole or in part: it goes.
                let _ = std::fs::remove_file(&beside);
                tried
            });
            let tried = tried.await.unwrap_or_else(|error| Err(error.into()));
            tried.map_err(|error| StoreError::Unwritable {
                database: self.database,
                reason: error.to_string(),
            })?;
        }
        Ok(())
    }

    /// Notes that there is room.
    pub(crate) fn is_written(&self) {
        if self.unwritable().take().is_some() {
            tracing::info!(database = self.database, "database can be written again");
        }
    }

    fn unwritable(&self) -> MutexGuard<'_, Option<String>> {
        self.unwritable
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A driver's error in our words.
pub(crate) fn failed(database: &'static str, source: sqlx::Error) -> StoreError {
    if is_unwritable(&source) {
        StoreError::Unwritable {
            database,
            reason: source.to_string(),
        }
    } else {
        StoreError::Unavailable {
            database,
            reason: source,
        }
    }
}

/// Full disks, failed writes and files that may not be written: SQLite's FULL (13), READONLY (8)
/// and IOERR (10) with all their extended codes, PostgreSQL's disk_full and
/// read_only_sql_transaction.
fn is_unwritable(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    let Some(code) = error.code() else {
        return false;
    };
    match code.parse::<u32>() {
        Ok(53_100 | 25_006) => true,
        Ok(sqlite) if code.len() < 5 => matches!(sqlite & 0xff, 8 | 10 | 13),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_moved_away_or_replaced_is_missed_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let (path, aside) = (dir.path().join("apim.db"), dir.path().join("aside"));
        std::fs::write(&path, "one").unwrap();
        let health = Health::new("apim", Some(path.clone()));
        assert!(health.is_in_place().is_ok());
        std::fs::rename(&path, &aside).unwrap();
        assert!(matches!(health.is_in_place(), Err(StoreError::Lost { .. })));
        std::fs::write(&path, "other").unwrap();
        assert!(health.is_in_place().is_err(), "another file is not it");
        std::fs::rename(&aside, &path).unwrap();
        assert!(health.is_in_place().is_ok());
    }
}
