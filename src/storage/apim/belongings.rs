//! What a user owns in API-M, across the nouns: it goes when the user goes.

use crate::database::Write;
use crate::error::StoreError;
use crate::row::Columns as _;

use super::applications;
use super::oauth_clients;
use super::tokens;

/// What was removed with a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Belongings {
    /// Ids of the user's applications.
    pub applications: Vec<String>,
    /// Consumer keys of the user's clients, and of those that served the applications.
    pub clients: Vec<String>,
    /// Hash and API of the user's API keys.
    pub api_keys: Vec<(String, String)>,
    /// Hash and API of others' API keys that were associated with the applications.
    pub freed_keys: Vec<(String, String)>,
}

/// Removes what a user had before a moment: API keys, applications with all that rests on them,
/// clients with their tokens, and the user's own tokens at others' clients.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete(
    write: &mut Write,
    tenant: &str,
    owner: &str,
    before_ms: i64,
) -> Result<Belongings, StoreError> {
    let mut removed = Belongings::default();
    let owned = sqlx::query(
        "SELECT id FROM applications WHERE tenant = $1 AND owner = $2 AND created_at_ms < $3 \
         ORDER BY id",
    )
    .bind(tenant.to_owned())
    .bind(owner.to_owned())
    .bind(before_ms);
    for row in write.all(owned).await? {
        let id = row.text("id")?;
        match applications::delete(write, tenant, (&id, 0)).await {
            Ok(rested) => {
                removed.clients.extend(rested.consumer_keys);
                removed.freed_keys.extend(rested.api_keys);
                removed.applications.push(id);
            }
            // Its owner's own last order was faster.
            Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    // After the applications, as everybody locks them who locks both.
    let keys = sqlx::query(
        "DELETE FROM api_keys WHERE tenant = $1 AND owner = $2 AND issued_at_ms < $3 \
         RETURNING key_hash, api_id",
    )
    .bind(tenant.to_owned())
    .bind(owner.to_owned())
    .bind(before_ms);
    for row in write.all(keys).await? {
        let key = (row.text("key_hash")?, row.text("api_id")?);
        removed.api_keys.push(key);
    }
    // The user's own that were associated with the applications are no others'.
    let own = &removed.api_keys;
    removed.freed_keys.retain(|key| !own.contains(key));
    let owned = sqlx::query(
        "SELECT consumer_key FROM oauth_clients WHERE tenant = $1 AND owner = $2 \
         AND created_at_ms < $3 ORDER BY consumer_key",
    )
    .bind(tenant.to_owned())
    .bind(owner.to_owned())
    .bind(before_ms);
    for row in write.all(owned).await? {
        let key = row.text("consumer_key")?;
        if !removed.clients.contains(&key) {
            removed.clients.push(key);
        }
    }
    for key in &removed.clients {
        oauth_clients::delete(write, key).await?;
    }
    tokens::delete_of_user(write, tenant, owner, before_ms).await?;
    Ok(removed)
}
