//! What can go wrong in a database, in the words that callers decide by.

/// A failure of a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another row holds this name, context or pair already.
    #[error("{0} exists already")]
    Duplicate(String),
    /// The row was changed since it was read (`If-Match`).
    #[error("the row was changed since it was read")]
    Stale,
    /// The row is not there.
    #[error("{0} not found")]
    NotFound(String),
    /// A rule between rows forbids it, such as a sixth revision.
    #[error("{0}")]
    Forbidden(String),
    /// The database cannot be reached, is full, locked or corrupt.
    #[error("database {database} failed: {reason}")]
    Unavailable {
        /// Which of the four.
        database: &'static str,
        /// What the driver says; no `source`, for whoever tells those too would tell it twice and more.
        reason: sqlx::Error,
    },
    /// A write found no room or no right to write.
    #[error("database {database} cannot be written, is its disk full? {reason}")]
    Unwritable {
        /// Which of the four.
        database: &'static str,
        /// What the driver or the machine says.
        reason: String,
    },
    /// The database's file is not the one that was opened: whatever would be written is lost.
    #[error("database {database} is lost: {} was removed or replaced while it was in use", path.display())]
    Lost {
        /// Which of the four.
        database: &'static str,
        /// Where it was.
        path: std::path::PathBuf,
    },
    /// A stored document cannot be read.
    #[error("stored {what} is damaged: {reason}")]
    Damaged {
        /// What was read.
        what: &'static str,
        /// Why it cannot be.
        reason: String,
    },
    /// The schema could not be brought up to date.
    #[error("database {database} could not be migrated: {reason}")]
    Migration {
        /// Which of the four.
        database: &'static str,
        /// What the migrator says.
        reason: sqlx::migrate::MigrateError,
    },
    /// A later version has taken away what this one uses (M1).
    #[error(
        "database {database} was changed by a later version: its migration {version} took away what versions use that \
         do not know migration {needs}. Start the version that did that, or the one before it"
    )]
    Contracted {
        /// Which of the four.
        database: &'static str,
        /// The migration that did.
        version: i64,
        /// The one that has to be known.
        needs: i64,
    },
    /// A restore was cut short here.
    #[error(
        "database {database} holds half of a backup: a restore was cut short. Run headgate restore again, or empty the \
         database"
    )]
    HalfRestored {
        /// Which of the four.
        database: &'static str,
    },
    /// A backup cannot be written into it.
    #[error("database {database} is not empty: a backup is restored into an empty one")]
    NotEmpty {
        /// Which of the four.
        database: &'static str,
    },
    /// The configured location is not one this database may have.
    #[error("{0}")]
    Location(String),
}

// === impl StoreError ===

impl StoreError {
    /// Reads a stored JSON document's error into a [`StoreError::Damaged`].
    pub(crate) fn damaged(what: &'static str) -> impl FnOnce(serde_json::Error) -> Self {
        move |error| Self::Damaged {
            what,
            reason: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn what_a_driver_says_is_told_once() {
        let gone = || sqlx::Error::Io(std::io::Error::other("the server is gone"));
        let (database, source) = ("apim", sqlx::migrate::MigrateError::Execute(gone()));
        let errors = [
            crate::health::failed(database, gone()),
            StoreError::Migration {
                database,
                reason: source,
            },
        ];
        for error in &errors {
            let mut told = String::new();
            let mut next: Option<&dyn Error> = Some(error);
            while let Some(one) = next {
                told.push_str(&format!("{one}: "));
                next = one.source();
            }
            assert_eq!(told.matches("the server is gone").count(), 1, "{told}");
        }
    }
}
