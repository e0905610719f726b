//! Reading columns: integers are BIGINT, truth values 0 or 1, texts TEXT, on both backends.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::error::StoreError;

/// Typed access to a row's columns; a column that is missing or of another type is damage.
pub(crate) trait Columns {
    fn text(&self, column: &str) -> Result<String, StoreError>;
    fn optional_text(&self, column: &str) -> Result<Option<String>, StoreError>;
    fn integer(&self, column: &str) -> Result<i64, StoreError>;
    fn optional_integer(&self, column: &str) -> Result<Option<i64>, StoreError>;
    fn bytes(&self, column: &str) -> Result<Vec<u8>, StoreError>;

    fn flag(&self, column: &str) -> Result<bool, StoreError> {
        Ok(self.integer(column)? != 0)
    }
}

// === impl Columns ===

impl Columns for AnyRow {
    fn text(&self, column: &str) -> Result<String, StoreError> {
        self.try_get(column).map_err(damaged)
    }

    fn optional_text(&self, column: &str) -> Result<Option<String>, StoreError> {
        self.try_get(column).map_err(damaged)
    }

    fn integer(&self, column: &str) -> Result<i64, StoreError> {
        self.try_get(column).map_err(damaged)
    }

    fn optional_integer(&self, column: &str) -> Result<Option<i64>, StoreError> {
        self.try_get(column).map_err(damaged)
    }

    fn bytes(&self, column: &str) -> Result<Vec<u8>, StoreError> {
        self.try_get(column).map_err(damaged)
    }
}

/// A word of a closed list; anything else is damage.
pub(crate) fn word<T>(
    row: &AnyRow,
    column: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StoreError> {
    let word = row.text(column)?;
    parse(&word).ok_or_else(|| StoreError::Damaged {
        what: column,
        reason: format!("{word} is none of its words"),
    })
}

/// Whether a text can stand in a column: PostgreSQL's cannot hold a NUL, so nothing is ever found
/// under one, and looking for it is no failure of the database.
pub(crate) fn is_storable(text: &str) -> bool {
    !text.contains('\0')
}

fn damaged(error: sqlx::Error) -> StoreError {
    StoreError::Damaged {
        what: "row",
        reason: error.to_string(),
    }
}
