//! One database behind one text of SQL: pools, transactions, pragmas. The only file that knows
//! which backend it talks to.
//!
//! SQLite has one writer connection beside its readers; `BEGIN IMMEDIATE`, WAL and
//! `synchronous = FULL` make C1 true there. On PostgreSQL the row lock on `change_head` and `synchronous_commit = on` do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::query::Query;
use sqlx::{Any, AnyPool, Executor as _, Row as _, Transaction};

use domain::change::{Change, KINDS};

use crate::backup::mark;
use crate::contraction;
use crate::crash;
use crate::error::StoreError;
use crate::health::{Health, failed};
use crate::pools::{file_of, make_file, postgres, sqlite, with_mode};
use crate::row::Columns as _;

/// Which engine a database runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
}

/// What tells the four databases apart.
pub(crate) struct Schema {
    pub(crate) name: &'static str,
    /// `(version, name, sql)`, in order.
    pub(crate) migrations: &'static [(i64, &'static str, &'static str)],
}

/// An open database, migrated to this binary's schema.
#[derive(Debug, Clone)]
pub struct Database {
    name: &'static str,
    backend: Backend,
    readers: AnyPool,
    writer: AnyPool,
    health: Arc<Health>,
}

/// One consistent view of a database.
pub struct Read {
    database: &'static str,
    transaction: Transaction<'static, Any>,
}

/// One write transaction; dropped without [`Write::commit`] it leaves no trace.
pub struct Write {
    database: &'static str,
    name: &'static str,
    statements: u32,
    /// Since when each kind of change is read by members.
    pub(crate) kinds: &'static [(&'static str, u16)],
    backend: Backend,
    transaction: Transaction<'static, Any>,
    health: Arc<Health>,
}

/// Milliseconds since the epoch by the server, whenever in a transaction it is asked.
const SERVERS_MOMENT: &str = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT AS ms";

/// The longest that a server is asked for its moment: whoever asks may hold what others wait for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A query with what it asks for.
pub(crate) type Statement<'q> = Query<'q, Any, AnyArguments>;

// === impl Database ===

impl Database {
    /// Opens the database at `url` (`sqlite:` or `postgres:`) and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Location`] for another kind of URL, [`StoreError::Unavailable`] when it
    /// cannot be reached, [`StoreError::Migration`] when its schema does not fit.
    pub(crate) async fn open(url: &str, schema: &Schema) -> Result<Self, StoreError> {
        let database = Self::connect(url, schema, true).await?;
        mark::is_over(&database).await?;
        database.migrate(schema, |_| true).await?;
        // One may have begun in between.
        mark::is_over(&database).await?;
        Ok(database)
    }

    /// Opens it with the schema that it has, which may be none. `makes` says whether a file is made that is not there.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) async fn connect(
        url: &str,
        schema: &Schema,
        makes: bool,
    ) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let backend = Backend::of(url, schema.name)?;
        let unavailable = unavailable(schema.name);
        let (readers, writer) = match backend {
            Backend::Postgres => {
                let pool = postgres(20).connect(url).await.map_err(unavailable)?;
                (pool.clone(), pool)
            }
            Backend::Sqlite => {
                if makes {
                    make_file(url).await.map_err(&unavailable)?;
                }
                let url = with_mode(url, "rw");
                let writer = sqlite(1, &url).await.map_err(&unavailable)?;
                (sqlite(8, &url).await.map_err(unavailable)?, writer)
            }
        };
        let file = match backend {
            Backend::Postgres => None,
            Backend::Sqlite => {
                let found = file_of(&writer).await;
                found.map_err(|error| failed(schema.name, error))?
            }
        };
        Ok(Self {
            name: schema.name,
            backend,
            readers,
            writer,
            health: Arc::new(Health::new(schema.name, file)),
        })
    }

    /// Opens the SQLite file at `path`, for the databases that are the node's own.
    pub(crate) async fn open_file(path: &Path, schema: &Schema) -> Result<Self, StoreError> {
        Self::open(&format!("sqlite:{}", path.display()), schema).await
    }

    /// Brings the schema up to date, as far as these of its migrations do.
    ///
    /// # Errors
    /// [`StoreError::Migration`], [`StoreError::Contracted`].
    pub(crate) async fn migrate(
        &self,
        schema: &Schema,
        wanted: impl Fn(i64) -> bool,
    ) -> Result<(), StoreError> {
        let wanted = schema.migrations.iter().filter(|one| wanted(one.0));
        let migrations = wanted
            .map(|&(version, name, sql)| {
                let sql = sqlx::SqlSafeStr::into_sql_str(sql);
                Migration::new(version, name.into(), MigrationType::Simple, sql, false)
            })
            .collect();
        let failed = |reason| StoreError::Migration {
            database: schema.name,
            reason,
        };
        // Before a build changes what it must not use.
        contraction::allows(self, schema).await?;
        let mut migrator = Migrator::with_migrations(migrations);
        // The next version of this build may have been here, or be beside this one on the same database: what it
        // changed is added, and nothing is taken away before the version after it (M1).
        migrator.set_ignore_missing(true);
        migrator.run(&self.writer).await.map_err(failed)?;
        // A later one may have come in between.
        contraction::allows(self, schema).await
    }

    /// Which of the four it is.
    #[must_use]
    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// Which engine it runs on.
    #[must_use]
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// Begins one consistent view: everything read through it is true at one moment (V1).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn read(&self) -> Result<Read, StoreError> {
        let begin = match self.backend {
            Backend::Sqlite => "BEGIN DEFERRED",
            Backend::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        Ok(Read {
            database: self.name,
            transaction: self
                .readers
                .begin_with(begin)
                .await
                .map_err(unavailable(self.name))?,
        })
    }

    /// Begins a write; `name` is the name of its crash points, such as `apim.apis.create`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; [`StoreError::Lost`] when its file is not there any more.
    pub async fn write(&self, name: &'static str) -> Result<Write, StoreError> {
        self.health.is_in_place()?;
        let begin = match self.backend {
            Backend::Sqlite => "BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        };
        let begun = self.writer.begin_with(begin).await;
        Ok(Write {
            database: self.name,
            name,
            statements: 0,
            kinds: &KINDS,
            backend: self.backend,
            transaction: begun.map_err(|error| self.health.write_failed(error))?,
            health: Arc::clone(&self.health),
        })
    }

    /// Answers whether the database can be used: its file is in place, it answers, and, after a
    /// write that failed for want of room, whether there is room again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Lost`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.health.is_in_place()?;
        if self.health.is_unwritable() {
            self.health.try_room().await?;
            // Changes nothing, and is a write all the same.
            let same = "UPDATE _sqlx_migrations SET execution_time = execution_time";
            let probe = sqlx::query(same).execute(&self.writer).await;
            probe.map_err(unavailable(self.name))?;
            self.health.is_written();
        }
        let ping = sqlx::query("SELECT version FROM _sqlx_migrations LIMIT 1");
        let answer = ping.execute(&self.readers).await;
        answer.map_err(unavailable(self.name))?;
        // A restore into a database that is in use is refused, but for one that came back anew meanwhile.
        mark::is_over(self).await
    }

    /// Now, by the one clock that all who use this database go by, so that what they write can be
    /// put in order: the server's. A file has one user, whose own time `own_ms` is.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], also of a server that says nothing.
    pub async fn moment_ms(&self, own_ms: i64) -> Result<i64, StoreError> {
        match self.backend {
            Backend::Sqlite => Ok(own_ms),
            Backend::Postgres => {
                let row = sqlx::query(SERVERS_MOMENT).fetch_one(&self.readers);
                let row = tokio::time::timeout(PATIENCE, row).await;
                let row = row.unwrap_or_else(|_| Err(silent()));
                row.map_err(unavailable(self.name))?.integer("ms")
            }
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

// === impl Read ===

impl Read {
    /// All rows of a query.
    pub(crate) async fn all(&mut self, query: Statement<'_>) -> Result<Vec<AnyRow>, StoreError> {
        let rows = query.fetch_all(&mut *self.transaction).await;
        rows.map_err(unavailable(self.database))
    }

    /// The first row of a query, if there is one.
    pub(crate) async fn optional(
        &mut self,
        query: Statement<'_>,
    ) -> Result<Option<AnyRow>, StoreError> {
        let row = query.fetch_optional(&mut *self.transaction).await;
        row.map_err(unavailable(self.database))
    }
}

// === impl Write ===

impl Write {
    /// Runs one statement; gives the number of rows it changed. `what` names the thing that
    /// exists already when a unique index refuses the row.
    pub(crate) async fn execute(
        &mut self,
        query: Statement<'_>,
        what: &str,
    ) -> Result<u64, StoreError> {
        self.pass();
        match self.transaction.execute(query).await {
            Ok(done) => Ok(done.rows_affected()),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                Err(StoreError::Duplicate(what.to_owned()))
            }
            Err(error) => Err(self.health.write_failed(error)),
        }
    }

    /// All rows of a query.
    pub(crate) async fn all(&mut self, query: Statement<'_>) -> Result<Vec<AnyRow>, StoreError> {
        self.pass();
        let rows = query.fetch_all(&mut *self.transaction).await;
        rows.map_err(|error| self.health.write_failed(error))
    }

    /// The first row of a query, if there is one.
    pub(crate) async fn optional(
        &mut self,
        query: Statement<'_>,
    ) -> Result<Option<AnyRow>, StoreError> {
        self.pass();
        let row = query.fetch_optional(&mut *self.transaction).await;
        row.map_err(|error| self.health.write_failed(error))
    }

    /// The same as [`Database::moment_ms`], within the write: after what it has waited for.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn moment_ms(&mut self, own_ms: i64) -> Result<i64, StoreError> {
        match self.backend {
            Backend::Sqlite => Ok(own_ms),
            Backend::Postgres => {
                let row = self.optional(sqlx::query(SERVERS_MOMENT)).await?;
                row.map_or(Ok(own_ms), |row| row.integer("ms"))
            }
        }
    }

    /// Commits without an entry in the change log.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then nothing was written.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.pass();
        let done = self.transaction.commit().await;
        done.map_err(|error| self.health.write_failed(error))
    }

    /// Appends `changes` to the change log as the last statements and commits (C1). Gives the
    /// number of the last entry. API-M only.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then nothing was written.
    pub async fn commit_with(
        mut self,
        tenant: &str,
        changes: &[Change],
        new_uuid: impl Fn() -> String,
        now_ms: i64,
    ) -> Result<u64, StoreError> {
        let mut last = 0;
        for change in changes {
            last = self
                .append(tenant, change, None, &new_uuid(), now_ms)
                .await?;
        }
        self.commit().await?;
        Ok(last)
    }

    /// Appends one change that was relayed from Shared, after those that it brings with it in
    /// API-M, and commits (C5). `source` is the id of its outbox row.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when it was relayed before; then nothing was written.
    pub async fn relay(
        mut self,
        (tenant, source): (&str, &str),
        with_it: &[Change],
        change: &Change,
        new_uuid: impl Fn() -> String,
        now_ms: i64,
    ) -> Result<u64, StoreError> {
        for brought in with_it {
            self.append(tenant, brought, None, &new_uuid(), now_ms)
                .await?;
        }
        let n = self
            .append(tenant, change, Some(source), &new_uuid(), now_ms)
            .await?;
        self.commit().await?;
        Ok(n)
    }

    /// Appends one entry; must be followed by nothing but other entries and the commit (C1).
    pub(crate) async fn append(
        &mut self,
        tenant: &str,
        change: &Change,
        source: Option<&str>,
        uuid: &str,
        now_ms: i64,
    ) -> Result<u64, StoreError> {
        if !change.may_be_written(self.kinds) {
            // Another member might have to pass over it.
            let kind = change.kind();
            return Err(StoreError::Forbidden(format!(
                "a change of kind {kind} is not written yet"
            )));
        }
        let payload = serde_json::to_string(change).map_err(StoreError::damaged("change"))?;
        let head = sqlx::query("UPDATE change_head SET n = n + 1 WHERE id = 1 RETURNING n");
        let n: i64 = match self.optional(head).await? {
            Some(row) => row.try_get("n").map_err(unavailable(self.database))?,
            None => {
                return Err(StoreError::Damaged {
                    what: "change head",
                    reason: "its row is missing".to_owned(),
                });
            }
        };
        let insert = sqlx::query(
            "INSERT INTO change_log (n, uuid, kind, tenant, payload, source, at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(n)
        .bind(uuid.to_owned())
        .bind(change.kind())
        .bind(tenant.to_owned())
        .bind(payload)
        .bind(source.map(str::to_owned))
        .bind(now_ms);
        self.execute(insert, "change").await?;
        u64::try_from(n).map_err(|_| StoreError::Damaged {
            what: "change head",
            reason: "it is negative".to_owned(),
        })
    }

    fn pass(&mut self) {
        self.statements += 1;
        crash::point(self.name, self.statements);
    }
}

// === impl Backend ===

impl Backend {
    fn of(url: &str, database: &str) -> Result<Self, StoreError> {
        if url.starts_with("sqlite:") {
            Ok(Self::Sqlite)
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Ok(Self::Postgres)
        } else {
            let scheme = url.split(':').next().unwrap_or_default();
            Err(StoreError::Location(format!(
                "database.{database}.url begins with {scheme}:, use sqlite: or postgres:"
            )))
        }
    }
}

/// Turns a driver's error into ours.
pub(crate) fn unavailable(database: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| failed(database, source)
}

fn silent() -> sqlx::Error {
    let what = "the server says nothing";
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, what))
}
