//! Which database this is (W6): API-M and Shared carry a UUID each, so that nodes can tell whether
//! they share them.

use crate::database::Write;
use crate::error::StoreError;
use crate::row::Columns as _;

/// The database's UUID; `new` becomes it where there is none yet.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn ensure(write: &mut Write, new: &str) -> Result<String, StoreError> {
    let query = sqlx::query(
        "INSERT INTO database_identity (id, uuid) VALUES (1, $1) \
         ON CONFLICT (id) DO UPDATE SET uuid = database_identity.uuid RETURNING uuid",
    );
    match write.optional(query.bind(new.to_owned())).await? {
        Some(row) => row.text("uuid"),
        None => Err(StoreError::NotFound("database identity".to_owned())),
    }
}
