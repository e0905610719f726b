//! The mark of a database into which a backup is being written: no node starts on it, and nobody else writes into it.

use sqlx::AssertSqlSafe;

use crate::contraction::has_table;
use crate::database::{Backend, Database, Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// The table that is there while a restore is under way.
const TABLE: &str = "restore_under_way";

/// How far a restore has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// Which restore it is: each has its own.
    pub(super) id: String,
    /// Everything is written, and only marks are left to be taken away.
    pub(super) is_written: bool,
}

// === impl Mark ===

impl Mark {
    /// That of a database, if it has one.
    pub(super) async fn find(
        read: &mut Read,
        backend: Backend,
    ) -> Result<Option<Self>, StoreError> {
        if !has_table(read, backend, TABLE).await? {
            return Ok(None);
        }
        let row = read.optional(sqlx::query("SELECT id, written FROM restore_under_way"));
        // Without a row nothing was begun yet.
        let Some(row) = row.await? else {
            return Ok(Some(Self {
                id: String::new(),
                is_written: false,
            }));
        };
        Ok(Some(Self {
            id: row.text("id")?,
            is_written: row.flag("written")?,
        }))
    }

    /// Which database that becomes into which it writes: what is the restore's alone in its id.
    pub(super) fn identity(&self) -> &str {
        let own = self.id.rsplit_once('/');
        own.map_or(&self.id, |(_, own)| own)
    }

    /// Puts it in the place of one that is there.
    pub(super) async fn put(&self, write: &mut Write) -> Result<(), StoreError> {
        for statement in [
            "DROP TABLE IF EXISTS restore_under_way",
            "CREATE TABLE restore_under_way (id TEXT NOT NULL PRIMARY KEY, written BIGINT NOT NULL)",
        ] {
            write.execute(sqlx::query(statement), "mark").await?;
        }
        let row = sqlx::query("INSERT INTO restore_under_way (id, written) VALUES ($1, 0)");
        write.execute(row.bind(self.id.clone()), "mark").await?;
        Ok(())
    }

    /// Everything is written.
    ///
    /// # Errors
    /// [`StoreError::Forbidden`] where another restore has taken over.
    pub(super) async fn written(&self, write: &mut Write) -> Result<(), StoreError> {
        let row = sqlx::query("UPDATE restore_under_way SET written = 1 WHERE id = $1");
        self.is_mine(write.execute(row.bind(self.id.clone()), "mark").await?)
    }

    /// Takes it away.
    ///
    /// # Errors
    /// [`StoreError::Forbidden`] where another restore has taken over.
    pub(super) async fn take_away(&self, write: &mut Write) -> Result<(), StoreError> {
        let row = sqlx::query("DELETE FROM restore_under_way WHERE id = $1");
        self.is_mine(write.execute(row.bind(self.id.clone()), "mark").await?)?;
        let table = sqlx::query(AssertSqlSafe(format!("DROP TABLE {TABLE}")));
        write.execute(table, "mark").await.map(drop)
    }

    fn is_mine(&self, rows: u64) -> Result<(), StoreError> {
        match rows {
            0 => Err(StoreError::Forbidden(
                "another restore is under way".to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

/// Whether no restore was cut short in a database, nor is under way.
///
/// # Errors
/// [`StoreError::HalfRestored`], and any other.
pub(crate) async fn is_over(database: &Database) -> Result<(), StoreError> {
    let mut read = database.read().await?;
    match has_table(&mut read, database.backend(), TABLE).await? {
        true => Err(StoreError::HalfRestored {
            database: database.name(),
        }),
        false => Ok(()),
    }
}
