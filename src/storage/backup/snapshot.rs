//! What databases had at one moment.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::mark::Mark;
use super::table::{Kind, Table, Value};
use crate::database::{Backend, Database, Read, Schema, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// Rows read at a time.
const PAGE: usize = 200;
/// The same of a table with what may be large.
const LARGE: usize = 4;
/// A write that writes nothing: it only keeps others from it.
const STOP: &str = "shared.backup.stop";
/// What whoever writes into both databases passes in Shared: users, roles and tenants the outbox, documents the blobs.
const PASSED: &str = "LOCK TABLE blobs, outbox IN SHARE MODE";
/// How long writers are waited for, who wait for this then: longer than any of ours takes.
const PATIENCE: &str = "SET LOCAL lock_timeout = '200ms'";
/// One database waits while the other is read, longer than a server may let a transaction wait.
pub(super) const IDLES: &str = "SET LOCAL idle_in_transaction_session_timeout = 0";
/// How often that is tried, and the pause in between.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// One database as it was at one moment, whatever is written meanwhile.
pub struct Snapshot {
    database: Database,
    read: Read,
    /// The versions of its migrations, in their order.
    pub migrations: Vec<i64>,
    /// Its tables, by name.
    pub tables: Vec<Table>,
}

// === impl Snapshot ===

impl Snapshot {
    /// API-M and Shared at one moment: while it is chosen nobody writes what belongs to both, so either has of that all
    /// that a crash at that moment would have left.
    ///
    /// # Errors
    /// Any of [`StoreError`]; [`StoreError::Damaged`] for a schema that this build does not know,
    /// [`StoreError::HalfRestored`] where a restore was cut short or is under way.
    pub async fn of_control_plane(apim: &str, shared: &str) -> Result<[Self; 2], StoreError> {
        let apim = Database::connect(apim, &crate::apim::SCHEMA, false).await?;
        let shared = Database::connect(shared, &crate::shared::SCHEMA, false).await?;
        let stopped = stopped(&shared).await?;
        let apim = Self::begin(apim, &crate::apim::SCHEMA).await?;
        let shared = Self::begin(shared, &crate::shared::SCHEMA).await?;
        // Whoever waited to write goes on.
        drop(stopped);
        Ok([apim, shared])
    }

    async fn begin(database: Database, schema: &Schema) -> Result<Self, StoreError> {
        let mut read = database.read().await?;
        if database.backend() == Backend::Postgres {
            read.all(sqlx::query(IDLES)).await?;
        }
        // Within the same read: what one sees of the rows another may have begun to take away by then.
        if Mark::find(&mut read, database.backend()).await?.is_some() {
            return Err(StoreError::HalfRestored {
                database: schema.name,
            });
        }
        let tables = Table::all(&mut read, (database.backend(), schema)).await?;
        let versions = sqlx::query("SELECT version FROM _sqlx_migrations ORDER BY version");
        let rows = read.all(versions).await?;
        let migrations = rows.iter().map(|row| row.integer("version"));
        let migrations: Vec<i64> = migrations.collect::<Result<_, _>>()?;
        let known: BTreeSet<i64> = schema.migrations.iter().map(|one| one.0).collect();
        if let Some(later) = migrations.iter().find(|version| !known.contains(version)) {
            return Err(StoreError::Damaged {
                what: "schema",
                reason: format!(
                    "database {} has migration {later}, which this version does not know: back it up with the version \
                     that made it",
                    schema.name
                ),
            });
        }
        Ok(Self {
            database,
            read,
            migrations,
            tables,
        })
    }

    /// Gives all rows of a table, page by page.
    ///
    /// # Errors
    /// Any of [`StoreError`], and what `each` says.
    pub async fn rows<E: From<StoreError>>(
        &mut self,
        table: &Table,
        mut each: impl FnMut(Vec<Value>) -> Result<(), E>,
    ) -> Result<(), E> {
        let columns: Vec<&str> = table
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        let (columns, name) = (columns.join(", "), &table.name);
        let is_large = table
            .columns
            .iter()
            .any(|column| column.kind == Kind::Bytes);
        let page = if is_large { LARGE } else { PAGE };
        let next = match self.database.backend() {
            // In the order in which they lie, from the last one on.
            Backend::Sqlite => format!(
                "SELECT {columns}, rowid AS place_of_row FROM {name} WHERE rowid > $1 ORDER BY rowid LIMIT {page}"
            ),
            // One of its own: a statement is prepared once, for the columns of its first use.
            Backend::Postgres => {
                let cursor = format!(
                    "DECLARE rows_of_{name} NO SCROLL CURSOR FOR SELECT {columns} FROM {name}"
                );
                self.read.all(sqlx::query(AssertSqlSafe(cursor))).await?;
                format!("FETCH {page} FROM rows_of_{name}")
            }
        };
        let mut after = i64::MIN;
        loop {
            let query = sqlx::query(AssertSqlSafe(next.clone()));
            let rows = match self.database.backend() {
                Backend::Sqlite => self.read.all(query.bind(after)).await?,
                Backend::Postgres => self.read.all(query).await?,
            };
            for row in &rows {
                each(table.values(row)?)?;
            }
            match (rows.last(), self.database.backend()) {
                (Some(last), Backend::Sqlite) => after = last.integer("place_of_row")?,
                (Some(_), Backend::Postgres) => {}
                (None, Backend::Sqlite) => return Ok(()),
                (None, Backend::Postgres) => {
                    let close = AssertSqlSafe(format!("CLOSE rows_of_{name}"));
                    self.read.all(sqlx::query(close)).await?;
                    return Ok(());
                }
            }
        }
    }
}

/// Nobody writes what belongs to both databases until this is dropped. Nobody who writes waits for long, nor is any of
/// them ended: where one takes its time this gives way and tries again.
async fn stopped(shared: &Database) -> Result<Write, StoreError> {
    let mut tries = 0;
    loop {
        let mut write = shared.write(STOP).await?;
        if shared.backend() == Backend::Sqlite {
            return Ok(write);
        }
        write.execute(sqlx::query(IDLES), "timeout").await?;
        write.execute(sqlx::query(PATIENCE), "timeout").await?;
        match write.execute(sqlx::query(PASSED), "lock").await {
            Ok(_) => return Ok(write),
            Err(error) if tries == TRIES => return Err(error),
            Err(_) => tries += 1,
        }
        drop(write);
        tokio::time::sleep(PAUSE).await;
    }
}
