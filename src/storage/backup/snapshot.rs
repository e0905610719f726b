//! What databases had at one moment.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;

use super::table::{Table, Value};
use crate::database::{Backend, Database, Read, Schema};
use crate::error::StoreError;
use crate::row::Columns as _;

/// Rows read at a time.
const PAGE: usize = 500;

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
    /// API-M and Shared at one moment: while it is chosen nobody writes into Shared, so of what belongs to both either has
    /// all that a crash at that moment would have left.
    ///
    /// # Errors
    /// Any of [`StoreError`]; [`StoreError::Damaged`] for a schema that this build does not know.
    pub async fn of_control_plane(apim: &str, shared: &str) -> Result<[Self; 2], StoreError> {
        let apim = Database::connect(apim, &crate::apim::SCHEMA, false).await?;
        let shared = Database::connect(shared, &crate::shared::SCHEMA, false).await?;
        let mut stopped = shared.write("shared.backup.stop").await?;
        if shared.backend() == Backend::Postgres {
            let mut read = shared.read().await?;
            let tables = Table::all(&mut read, shared.backend()).await?;
            let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
            if !names.is_empty() {
                let lock = format!("LOCK TABLE {} IN SHARE MODE", names.join(", "));
                let lock = sqlx::query(AssertSqlSafe(lock));
                stopped.execute(lock, "lock").await?;
            }
        }
        let both = [
            Self::begin(shared, &crate::shared::SCHEMA).await?,
            Self::begin(apim, &crate::apim::SCHEMA).await?,
        ];
        // Whoever waited to write goes on.
        drop(stopped);
        let [shared, apim] = both;
        Ok([apim, shared])
    }

    async fn begin(database: Database, schema: &Schema) -> Result<Self, StoreError> {
        let mut read = database.read().await?;
        let tables = Table::all(&mut read, database.backend()).await?;
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
        // A cursor by place: where the rows of a table lie changes in no snapshot.
        let place = match self.database.backend() {
            Backend::Sqlite => "rowid",
            Backend::Postgres => "ctid",
        };
        let of_page = match self.database.backend() {
            Backend::Sqlite => format!("rowid > $1 ORDER BY rowid LIMIT {PAGE}"),
            Backend::Postgres => format!("ctid > $1::TEXT::tid ORDER BY ctid LIMIT {PAGE}"),
        };
        let select = format!(
            "SELECT {}, CAST({place} AS TEXT) AS place_of_row FROM {} WHERE {of_page}",
            columns.join(", "),
            table.name
        );
        let mut after = match self.database.backend() {
            Backend::Sqlite => i64::MIN.to_string(),
            Backend::Postgres => "(0,0)".to_owned(),
        };
        loop {
            let query = sqlx::query(AssertSqlSafe(select.clone()));
            let query = match self.database.backend() {
                Backend::Sqlite => query.bind(after.parse::<i64>().unwrap_or(i64::MIN)),
                Backend::Postgres => query.bind(after.clone()),
            };
            let rows = self.read.all(query).await?;
            for row in &rows {
                each(table.values(row)?)?;
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE => after = last.text("place_of_row")?,
                _ => return Ok(()),
            }
        }
    }
}
