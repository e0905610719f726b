//! Writes a backup into an empty database: all of it, or a database that no node starts on.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;

use super::table::{Column, Table, Value};
use crate::database::{Database, Read, Schema, Write};
use crate::error::StoreError;

/// The table that is there while a restore is under way; its one row names the backup.
const MARK: &str = "restore_under_way";

/// One of the databases that are restored together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// API-M.
    Apim,
    /// Shared.
    Shared,
}

/// A database into which a backup is being written.
pub struct Restore {
    database: Database,
    which: Which,
    tables: Vec<Table>,
    write: Option<Write>,
}

/// A table of the backup, as this database has it.
pub struct Target {
    columns: Vec<Column>,
    insert: String,
    table: String,
}

// === impl Which ===

impl Which {
    /// Both, in the order in which they are written.
    pub const ALL: [Self; 2] = [Self::Apim, Self::Shared];

    const fn schema(self) -> &'static Schema {
        match self {
            Self::Apim => &crate::apim::SCHEMA,
            Self::Shared => &crate::shared::SCHEMA,
        }
    }

    /// `apim` or `shared`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.schema().name
    }

    /// Whether this build knows all these migrations.
    #[must_use]
    pub fn knows(self, migrations: &[i64]) -> bool {
        let known: BTreeSet<i64> = self.schema().migrations.iter().map(|one| one.0).collect();
        migrations.iter().all(|version| known.contains(version))
    }
}

// === impl Restore ===

impl Restore {
    /// Looks at a database without changing it: gives it and whether a restore was cut short there.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`] where it has tables that no restore made, and any other.
    pub async fn look(which: Which, url: &str) -> Result<(Self, bool), StoreError> {
        let database = Database::connect(url, which.schema(), true).await?;
        let mut read = database.read().await?;
        let tables = Table::all(&mut read, database.backend()).await?;
        drop(read);
        let is_half = tables.iter().any(|table| table.name == MARK);
        let restore = Self {
            database,
            which,
            tables,
            write: None,
        };
        Ok((restore, is_half))
    }

    /// Whether it has any table.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Makes the schema that the backup had. What a restore left that was cut short is taken away.
    ///
    /// # Errors
    /// Any of [`StoreError`].
    pub async fn begin(&mut self, migrations: &[i64]) -> Result<(), StoreError> {
        let mut write = self.database.write("backup.restore.begin").await?;
        for table in &self.tables {
            run(&mut write, format!("DROP TABLE {}", table.name)).await?;
        }
        run(
            &mut write,
            "DROP TABLE IF EXISTS _sqlx_migrations".to_owned(),
        )
        .await?;
        run(
            &mut write,
            format!("CREATE TABLE {MARK} (id BIGINT NOT NULL PRIMARY KEY)"),
        )
        .await?;
        write.commit().await?;
        let is_wanted = |version: i64| migrations.contains(&version);
        self.database
            .migrate(self.which.schema(), is_wanted)
            .await?;
        let mut read = self.database.read().await?;
        self.tables = Table::all(&mut read, self.database.backend()).await?;
        self.tables.retain(|table| table.name != MARK);
        drop(read);
        let mut write = self.database.write("backup.restore.rows").await?;
        // What migrations put there is in the backup as it is now.
        for table in &self.tables {
            run(&mut write, format!("DELETE FROM {}", table.name)).await?;
        }
        self.write = Some(write);
        Ok(())
    }

    /// A table that is in the backup.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where this database has no such table or column.
    pub fn target(&self, name: &str, columns: &[Column]) -> Result<Target, StoreError> {
        let not_there = |what: String| StoreError::Damaged {
            what: "backup",
            reason: format!(
                "it has {what}, which database {} has not",
                self.which.name()
            ),
        };
        let table = self.tables.iter().find(|table| table.name == name);
        let table = table.ok_or_else(|| not_there(format!("a table {name}")))?;
        for column in columns {
            if !table.columns.contains(column) {
                let (of, kind) = (&column.name, column.kind.name());
                return Err(not_there(format!("a column {of} {kind} of table {name}")));
            }
        }
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let places: Vec<String> = (1..=columns.len())
            .map(|place| format!("${place}"))
            .collect();
        let (table, names, places) = (name.to_owned(), names.join(", "), places.join(", "));
        Ok(Target {
            columns: columns.to_vec(),
            insert: format!("INSERT INTO {table} ({names}) VALUES ({places})"),
            table,
        })
    }

    /// Writes one row.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for values that its columns do not hold, and any other.
    pub async fn row(&mut self, target: &Target, values: Vec<Value>) -> Result<(), StoreError> {
        let damaged = |reason: String| StoreError::Damaged {
            what: "backup",
            reason,
        };
        if values.len() != target.columns.len() {
            let (has, table) = (values.len(), &target.table);
            return Err(damaged(format!("a row of table {table} has {has} values")));
        }
        let mut query = sqlx::query(AssertSqlSafe(target.insert.clone()));
        for (column, value) in target.columns.iter().zip(values) {
            let bound = column.kind.bind(query, value);
            let (of, table) = (&column.name, &target.table);
            query = bound.ok_or_else(|| {
                damaged(format!(
                    "a value of column {of} of table {table} is of another kind"
                ))
            })?;
        }
        let write = self.write.as_mut();
        let write = write.ok_or_else(|| damaged("a row comes before its database".to_owned()))?;
        write.execute(query, "row").await.map(drop)
    }

    /// All rows are written: commits them and brings the schema up to date. No node starts on it yet.
    ///
    /// # Errors
    /// Any of [`StoreError`].
    pub async fn commit(&mut self) -> Result<(), StoreError> {
        if let Some(write) = self.write.take() {
            write.commit().await?;
        }
        self.database.migrate(self.which.schema(), |_| true).await
    }

    /// Nodes may start on it.
    ///
    /// # Errors
    /// Any of [`StoreError`].
    pub async fn end(self) -> Result<(), StoreError> {
        let mut write = self.database.write("backup.restore.end").await?;
        run(&mut write, format!("DROP TABLE {MARK}")).await?;
        write.commit().await?;
        self.database.close().await;
        Ok(())
    }
}

async fn run(write: &mut Write, sql: String) -> Result<(), StoreError> {
    let statement = sqlx::query(AssertSqlSafe(sql));
    write.execute(statement, "table").await.map(drop)
}

/// Whether no restore was cut short in a database that a node starts on.
///
/// # Errors
/// [`StoreError::HalfRestored`], and any other.
pub(crate) async fn is_over(database: &Database) -> Result<(), StoreError> {
    let mut read: Read = database.read().await?;
    let is_marked = crate::contraction::has_table(&mut read, database.backend(), MARK).await?;
    match is_marked {
        true => Err(StoreError::HalfRestored {
            database: database.name(),
        }),
        false => Ok(()),
    }
}
