//! What key managers said about clients and their applications, each with the number of the change
//! log at which it was true. What a change touches is deleted in the transaction that notes the
//! change as applied, so whatever is here is true at the position beside it (V2). Consumer keys and ids of
//! applications are made once over all tenants: a change finds what it touches by them alone.

use domain::consumer::Said;

use crate::apim::change_log::{signed, unsigned};
use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// Saves what was said of one client, in the place of what was said before.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save(write: &mut Write, said: &Said) -> Result<(), StoreError> {
    let body = serde_json::to_string(&said.consumer).map_err(StoreError::damaged("consumer"))?;
    let query = sqlx::query(
        "INSERT INTO consumers (consumer_key, tenant, application_id, n, body, said_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (consumer_key) DO UPDATE SET \
         tenant = excluded.tenant, application_id = excluded.application_id, n = excluded.n, \
         body = excluded.body, said_at_ms = excluded.said_at_ms",
    )
    .bind(said.consumer.consumer_key.clone())
    .bind(said.consumer.tenant.clone())
    .bind(said.consumer.application_id().to_owned())
    .bind(signed(said.n))
    .bind(body)
    .bind(said.said_at_ms);
    write.execute(query, "consumer").await.map(drop)
}

/// Change `n` touched a client: what was true before it is gone.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_client(
    write: &mut Write,
    consumer_key: &str,
    n: u64,
) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM consumers WHERE consumer_key = $1 AND n < $2")
        .bind(consumer_key.to_owned())
        .bind(signed(n));
    write.execute(query, "consumer").await.map(drop)
}

/// Change `n` touched an application: what was true before it of its clients is gone.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_of_application(
    write: &mut Write,
    application_id: &str,
    n: u64,
) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM consumers WHERE application_id = $1 AND n < $2")
        .bind(application_id.to_owned())
        .bind(signed(n));
    write.execute(query, "consumer").await.map(drop)
}

/// Removes everything, with a snapshot that takes the place of the state (C3).
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_all(write: &mut Write) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM consumers");
    write.execute(query, "consumer").await.map(drop)
}

/// Removes what was last said before `before_ms`, and of the rest the oldest beyond `most`; gives
/// how many.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_old(write: &mut Write, before_ms: i64, most: i64) -> Result<u64, StoreError> {
    let query = sqlx::query("DELETE FROM consumers WHERE said_at_ms < $1");
    let old = write.execute(query.bind(before_ms), "consumer").await?;
    let query = sqlx::query(
        "DELETE FROM consumers WHERE consumer_key NOT IN \
         (SELECT consumer_key FROM consumers ORDER BY said_at_ms DESC, consumer_key LIMIT $1)",
    );
    Ok(old + write.execute(query.bind(most), "consumer").await?)
}

/// What is true at `n` at the latest, the latest said first, at most `most`. One that cannot be
/// read is left out: its client is asked about again.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(read: &mut Read, n: u64, most: i64) -> Result<Vec<Said>, StoreError> {
    let query = sqlx::query(
        "SELECT n, body, said_at_ms FROM consumers WHERE n <= $1 \
         ORDER BY said_at_ms DESC, consumer_key LIMIT $2",
    );
    let rows = read.all(query.bind(signed(n)).bind(most)).await?;
    let mut list = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Ok(consumer) = serde_json::from_str(&row.text("body")?) {
            list.push(Said {
                consumer,
                n: unsigned(row.integer("n")?)?,
                said_at_ms: row.integer("said_at_ms")?,
            });
        }
    }
    Ok(list)
}
