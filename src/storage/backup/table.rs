//! Tables, as the database itself describes them.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::database::{Backend, Read, Schema, Statement};
use crate::error::StoreError;
use crate::row::Columns as _;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// BIGINT
    Integer,
    /// TEXT
    Text,
    /// BYTEA
    Bytes,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
}

/// A table without its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns, in their order.
    pub columns: Vec<Column>,
}

/// What stands in one column of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// Of a BIGINT.
    Integer(i64),
    /// Of a TEXT.
    Text(String),
    /// Of a BYTEA.
    Bytes(Vec<u8>),
}

// === impl Kind ===

impl Kind {
    /// Its name in both backends.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Integer => "BIGINT",
            Self::Text => "TEXT",
            Self::Bytes => "BYTEA",
        }
    }

    /// Of a name that either backend gives it.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let all = [Self::Integer, Self::Text, Self::Bytes];
        let mut all = all.into_iter();
        all.find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    fn value(self, row: &AnyRow, column: &str) -> Result<Value, StoreError> {
        let value = match self {
            Self::Integer => row.optional_integer(column)?.map(Value::Integer),
            Self::Text => row.optional_text(column)?.map(Value::Text),
            Self::Bytes => {
                let bytes: Result<Option<Vec<u8>>, _> = row.try_get(column);
                let bytes = bytes.map_err(|error| StoreError::Damaged {
                    what: "row",
                    reason: error.to_string(),
                })?;
                bytes.map(Value::Bytes)
            }
        };
        Ok(value.unwrap_or(Value::Null))
    }

    /// Binds a value, or nothing, as what this column holds; none where the value is of another kind.
    pub(super) fn bind<'q>(self, query: Statement<'q>, value: Value) -> Option<Statement<'q>> {
        Some(match (self, value) {
            (Self::Integer, Value::Integer(value)) => query.bind(value),
            (Self::Text, Value::Text(value)) => query.bind(value),
            (Self::Bytes, Value::Bytes(value)) => query.bind(value),
            (Self::Integer, Value::Null) => query.bind(None::<i64>),
            (Self::Text, Value::Null) => query.bind(None::<String>),
            (Self::Bytes, Value::Null) => query.bind(None::<Vec<u8>>),
            _ => return None,
        })
    }
}

// === impl Table ===

impl Table {
    /// Those tables of a schema that a database has, by name. What somebody else made beside them is not ours to keep,
    /// nor to take away.
    pub(super) async fn all(
        read: &mut Read,
        (backend, schema): (Backend, &Schema),
    ) -> Result<Vec<Self>, StoreError> {
        let ours = made_by(schema);
        let names = match backend {
            Backend::Sqlite => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
            }
            Backend::Postgres => {
                "SELECT table_name::TEXT AS name FROM information_schema.tables \
                 WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY 1"
            }
        };
        let mut tables = Vec::new();
        for row in read.all(sqlx::query(names)).await? {
            let name = row.text("name")?;
            if ours.contains(name.as_str()) {
                let columns = columns(read, backend, &name).await?;
                tables.push(Self { name, columns });
            }
        }
        Ok(tables)
    }

    /// What one row of it holds.
    pub(super) fn values(&self, row: &AnyRow) -> Result<Vec<Value>, StoreError> {
        let columns = self.columns.iter();
        let values = columns.map(|column| column.kind.value(row, &column.name));
        values.collect()
    }
}

/// The names of the tables that the migrations of a schema make.
fn made_by(schema: &Schema) -> BTreeSet<&'static str> {
    let made = schema.migrations.iter().flat_map(|(_, _, sql)| {
        let made = sql.split("CREATE TABLE ").skip(1);
        made.filter_map(|rest| rest.split([' ', '(']).next())
    });
    made.collect()
}

async fn columns(
    read: &mut Read,
    backend: Backend,
    table: &str,
) -> Result<Vec<Column>, StoreError> {
    let columns = match backend {
        Backend::Sqlite => "SELECT name, type AS kind FROM pragma_table_info($1) ORDER BY cid",
        Backend::Postgres => {
            "SELECT column_name::TEXT AS name, data_type::TEXT AS kind FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
        }
    };
    let rows = read
        .all(sqlx::query(columns).bind(table.to_owned()))
        .await?;
    let column = |row: &AnyRow| {
        let (name, kind) = (row.text("name")?, row.text("kind")?);
        let kind = Kind::of(&kind).ok_or_else(|| StoreError::Damaged {
            what: "schema",
            reason: format!(
                "column {name} of table {table} is a {kind}, which none of this version is"
            ),
        })?;
        Ok(Column { name, kind })
    };
    rows.iter().map(column).collect()
}
