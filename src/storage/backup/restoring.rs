//! Writes a backup into an empty database: all of it, or a database that no node starts on.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::mark::Mark;
use super::snapshot::IDLES;
use super::table::{Column, Table, Value};
use crate::database::{Backend, Database, Schema, Write};
use crate::database_identity;
use crate::error::StoreError;
use crate::row::Columns as _;

/// Where a database says which it is.
const IDENTITY: &str = "database_identity";
/// Connections of others that were there before this one, and those of which this role sees neither since when they are
/// there nor what they are. What the server does by itself is nobody's (`usesysid`).
const OTHERS: &str = "SELECT COUNT(*) FILTER (WHERE other.backend_type = 'client backend' \
     AND other.backend_start < (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())) AS others, \
     COUNT(*) FILTER (WHERE other.backend_type IS NULL AND other.usesysid IS NOT NULL) AS unseen \
     FROM pg_stat_activity AS other WHERE other.datname = current_database()";
/// How often others that use a database are waited for, and the pause in between: one that has ended may take a moment.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

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
    mark: Option<Mark>,
    /// Which database it is, where it says so.
    identity: Option<String>,
    write: Option<Write>,
}

/// What is written one after the other: each has a name in each database, by which a test ends it there.
#[derive(Debug, Clone, Copy)]
enum Step {
    Begin,
    Rows,
    Written,
    End,
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
    /// Looks at a database, which is empty or holds what a restore left that was cut short.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`] for any other, [`StoreError::Forbidden`] for one that others use, and the rest.
    pub async fn look(which: Which, url: &str) -> Result<Self, StoreError> {
        let database = Database::connect(url, which.schema(), true).await?;
        let (tables, mark) = seen(&database, which).await?;
        let identity = identity(&database, &tables).await?;
        let restore = Self {
            database,
            which,
            tables,
            mark,
            identity,
            write: None,
        };
        restore.is_nobodys().await?;
        Ok(restore)
    }

    /// Refuses a database that somebody else uses: a node would write into it meanwhile.
    async fn is_nobodys(&self) -> Result<(), StoreError> {
        if self.database.backend() == Backend::Sqlite {
            return Ok(());
        }
        let mut unseen = 0;
        for _ in 0..TRIES {
            let mut read = self.database.read().await?;
            let row = read.optional(sqlx::query(OTHERS)).await?;
            let count = |column| row.as_ref().map_or(Ok(0), |row| row.integer(column));
            let others = count("others")?;
            unseen = count("unseen")?;
            if others == 0 && unseen == 0 {
                return Ok(());
            }
            drop(read);
            tokio::time::sleep(PAUSE).await;
        }
        let what = match unseen {
            0 => "is in use: stop the nodes that use it",
            _ => {
                "has connections of another role, of which this one may not see what they are: end them, or restore as a \
                 role that has pg_read_all_stats"
            }
        };
        Err(StoreError::Forbidden(format!(
            "database {} {what}",
            self.which.name()
        )))
    }

    /// Whether it may be written: nobody put anything there but a restore that was cut short.
    #[must_use]
    pub fn may_be_written(&self) -> bool {
        self.tables.is_empty() || self.mark.is_some()
    }

    /// Whether one restore, whose id begins so, has written everything into both of these, and only marks are left to be
    /// taken away: API-M's at least. Shared's may be gone, for it goes first; then Shared is the database that this one
    /// made of it, and no other.
    #[must_use]
    pub fn are_written(apim: &Self, shared: &Self, id: &str) -> bool {
        let of_apim = apim.mark.as_ref();
        let Some(mark) = of_apim.filter(|mark| mark.is_written && mark.id.starts_with(id)) else {
            return false;
        };
        match &shared.mark {
            Some(of_shared) => of_shared == mark,
            None => shared.identity.as_deref() == Some(mark.identity()),
        }
    }

    /// Makes the schema that the backup had, for the restore `id`. What one left that was cut short is taken away.
    ///
    /// # Errors
    /// [`StoreError::Forbidden`] where another one has begun since it was looked at, and any other.
    pub async fn begin(&mut self, id: &str, migrations: &[i64]) -> Result<(), StoreError> {
        let mut write = self.write(Step::Begin).await?;
        // With the write begun: on a file nobody else writes from here on.
        let (tables, mark) = seen(&self.database, self.which).await?;
        if (&tables, &mark) != (&self.tables, &self.mark) {
            let what = format!("somebody else writes into database {}", self.which.name());
            return Err(StoreError::Forbidden(what));
        }
        let mark = Mark {
            id: id.to_owned(),
            is_written: false,
        };
        mark.put(&mut write).await?;
        for table in &self.tables {
            run(&mut write, format!("DROP TABLE {}", table.name)).await?;
        }
        run(
            &mut write,
            "DROP TABLE IF EXISTS _sqlx_migrations".to_owned(),
        )
        .await?;
        write.commit().await?;
        self.mark = Some(mark);
        let is_wanted = |version: i64| migrations.contains(&version);
        self.database
            .migrate(self.which.schema(), is_wanted)
            .await?;
        (self.tables, _) = seen(&self.database, self.which).await?;
        let mut write = self.write(Step::Rows).await?;
        if self.database.backend() == Backend::Postgres {
            run(&mut write, IDLES.to_owned()).await?;
        }
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
        let written = write.execute(query, "row").await;
        written.map(drop).map_err(|error| match error {
            StoreError::Duplicate(_) => StoreError::Forbidden(format!(
                "a row of table {} of database {} is there already: a node uses it, stop it and restore again",
                target.table,
                self.which.name()
            )),
            error => error,
        })
    }

    /// All rows are written: commits them and brings the schema up to date. No node starts on it yet.
    ///
    /// # Errors
    /// Any of [`StoreError`].
    pub async fn commit(&mut self) -> Result<(), StoreError> {
        if let Some(mut write) = self.write.take() {
            // It is another database from now on: whoever still has the one of before shares nothing with it (W6).
            if self.tables.iter().any(|table| table.name == IDENTITY) {
                run(&mut write, format!("DELETE FROM {IDENTITY}")).await?;
            }
            write.commit().await?;
        }
        self.database.migrate(self.which.schema(), |_| true).await
    }

    /// Everything is written, here and beside it.
    ///
    /// # Errors
    /// [`StoreError::Forbidden`] where another restore has taken over, and any other.
    pub async fn written(&mut self) -> Result<(), StoreError> {
        let mut write = self.write(Step::Written).await?;
        if let Some(mark) = &self.mark {
            mark.written(&mut write).await?;
            // By this the next one knows it, where the mark is gone and that of the other database is not.
            database_identity::ensure(&mut write, mark.identity()).await?;
        }
        write.commit().await
    }

    /// Nodes may start on it.
    ///
    /// # Errors
    /// [`StoreError::Forbidden`] where another restore has taken over, and any other.
    pub async fn end(self) -> Result<(), StoreError> {
        if let Some(mark) = &self.mark {
            let mut write = self.write(Step::End).await?;
            mark.take_away(&mut write).await?;
            write.commit().await?;
        }
        self.database.close().await;
        Ok(())
    }

    async fn write(&self, step: Step) -> Result<Write, StoreError> {
        let write = match (self.which, step) {
            (Which::Apim, Step::Begin) => self.database.write("backup.restore.apim.begin"),
            (Which::Apim, Step::Rows) => self.database.write("backup.restore.apim.rows"),
            (Which::Apim, Step::Written) => self.database.write("backup.restore.apim.written"),
            (Which::Apim, Step::End) => self.database.write("backup.restore.apim.end"),
            (Which::Shared, Step::Begin) => self.database.write("backup.restore.shared.begin"),
            (Which::Shared, Step::Rows) => self.database.write("backup.restore.shared.rows"),
            (Which::Shared, Step::Written) => self.database.write("backup.restore.shared.written"),
            (Which::Shared, Step::End) => self.database.write("backup.restore.shared.end"),
        };
        write.await
    }
}

/// What a database has.
async fn seen(database: &Database, which: Which) -> Result<(Vec<Table>, Option<Mark>), StoreError> {
    let mut read = database.read().await?;
    let tables = Table::all(&mut read, (database.backend(), which.schema())).await?;
    let mark = Mark::find(&mut read, database.backend()).await?;
    Ok((tables, mark))
}

/// Which database it is, if it has a table that says so, and that says it.
async fn identity(database: &Database, tables: &[Table]) -> Result<Option<String>, StoreError> {
    if !tables.iter().any(|table| table.name == IDENTITY) {
        return Ok(None);
    }
    let mut read = database.read().await?;
    let row = read.optional(sqlx::query("SELECT uuid FROM database_identity"));
    row.await?.map(|row| row.text("uuid")).transpose()
}

async fn run(write: &mut Write, sql: String) -> Result<(), StoreError> {
    let statement = sqlx::query(AssertSqlSafe(sql));
    write.execute(statement, "table").await.map(drop)
}
