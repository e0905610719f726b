//! Applications of the Developer Portal.

use sqlx::any::AnyRow;

use domain::application::{Application, ApplicationStatus, TokenType};

use crate::apim::apis;
use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// An application with how many subscriptions it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The application.
    pub application: Application,
    /// Its subscriptions.
    pub subscriptions: i64,
}

/// What a list of applications is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortBy {
    /// `name`
    #[default]
    Name,
    /// `throttlingPolicy`
    Policy,
    /// `status`
    Status,
}

/// What is asked for of a list of applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Listing<'a> {
    /// Part of the name, ignoring case.
    pub part: &'a str,
    /// What it is sorted by; then by name.
    pub sort: SortBy,
    /// Whether the last come first.
    pub descending: bool,
    /// Most rows.
    pub limit: usize,
    /// Rows passed over.
    pub offset: usize,
}

/// What rested on an application that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Consumer keys of the clients that served it.
    pub consumer_keys: Vec<String>,
    /// Hash and API of the API keys that were associated with it.
    pub api_keys: Vec<(String, String)>,
}

/// The application with this id.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(
    read: &mut Read,
    tenant: &str,
    id: &str,
) -> Result<Option<Application>, StoreError> {
    let query = sqlx::query("SELECT id, tenant, name, name_key, owner, throttling_policy, token_type, description, status, \
         attributes, created_at_ms, updated_at_ms, row_version, owner_key \
         FROM applications WHERE tenant = $1 AND id = $2")
        .bind(tenant.to_owned())
        .bind(id.to_owned());
    read.optional(query).await?.map(|row| map(&row)).transpose()
}

/// The application with this id, read for a change: nobody else changes it, or makes or removes
/// what rests on it, until this transaction ends.
///
/// # Errors
/// [`StoreError::NotFound`], [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn lock(write: &mut Write, tenant: &str, id: &str) -> Result<Application, StoreError> {
    let query = sqlx::query(
        "UPDATE applications SET row_version = row_version WHERE tenant = $1 AND id = $2 \
         RETURNING id, tenant, name, name_key, owner, throttling_policy, token_type, description, status, \
         attributes, created_at_ms, updated_at_ms, row_version, owner_key",
    )
    .bind(tenant.to_owned())
    .bind(id.to_owned());
    match write.optional(query).await? {
        Some(row) => map(&row),
        None => Err(StoreError::NotFound(format!("application {id}"))),
    }
}

/// [`lock`] of the row version that a reader has seen, 0 for any.
async fn lock_as_read(
    write: &mut Write,
    tenant: &str,
    (id, row_version): (&str, i64),
) -> Result<Application, StoreError> {
    let stored = lock(write, tenant, id).await?;
    if row_version != 0 && row_version != stored.row_version {
        return Err(StoreError::Stale);
    }
    Ok(stored)
}

/// The application with this id, with how many subscriptions it has.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find_counted(
    read: &mut Read,
    tenant: &str,
    id: &str,
) -> Result<Option<Counted>, StoreError> {
    let query = sqlx::query(
        "SELECT a.id, a.tenant, a.name, a.name_key, a.owner, a.throttling_policy, a.token_type, \
         a.description, a.status, a.attributes, a.created_at_ms, a.updated_at_ms, a.row_version, \
         a.owner_key, \
         (SELECT CAST(COUNT(*) AS BIGINT) FROM subscriptions s \
         WHERE s.application_id = a.id) AS subscriptions FROM applications a \
         WHERE a.tenant = $1 AND a.id = $2",
    )
    .bind(tenant.to_owned())
    .bind(id.to_owned());
    let row = read.optional(query).await?;
    row.map(|row| counted(&row)).transpose()
}

/// A page of an owner's applications whose name contains `listing.part`, and how many there are
/// in all.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(
    read: &mut Read,
    tenant: &str,
    owner: &str,
    listing: Listing<'_>,
) -> Result<(Vec<Counted>, usize), StoreError> {
    let pattern = format!("%{}%", escaped(&listing.part.to_lowercase()));
    let count = sqlx::query(
        "SELECT CAST(COUNT(*) AS BIGINT) AS total FROM applications \
         WHERE tenant = $1 AND owner = $2 AND name_key LIKE $3 ESCAPE '!'",
    )
    .bind(tenant.to_owned())
    .bind(owner.to_owned())
    .bind(pattern.clone());
    let total = match read.optional(count).await? {
        Some(row) => usize::try_from(row.integer("total")?).unwrap_or(0),
        None => 0,
    };
    let page = sqlx::query(listing.statement())
        .bind(tenant.to_owned())
        .bind(owner.to_owned())
        .bind(pattern)
        .bind(i64::try_from(listing.limit).unwrap_or(i64::MAX))
        .bind(i64::try_from(listing.offset).unwrap_or(i64::MAX));
    let rows = read.all(page).await?;
    let rows = rows.iter().map(counted);
    Ok((rows.collect::<Result<_, StoreError>>()?, total))
}

/// Stores a new application.
///
/// # Errors
/// [`StoreError::Duplicate`] when its owner has one of that name.
pub async fn create(write: &mut Write, application: &Application) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO applications (id, tenant, name, name_key, owner, throttling_policy, \
         token_type, description, status, attributes, created_at_ms, updated_at_ms, row_version, \
         owner_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13)",
    )
    .bind(application.id.clone())
    .bind(application.tenant.clone())
    .bind(application.name.clone())
    .bind(application.name.to_lowercase())
    .bind(application.owner.clone())
    .bind(application.throttling_policy.clone())
    .bind(application.token_type.as_str())
    .bind(application.description.clone())
    .bind(application.status.as_str())
    .bind(application.attributes.clone())
    .bind(application.created_at_ms)
    .bind(application.updated_at_ms)
    .bind(application.owner.to_lowercase());
    let what = format!("application {}", application.name);
    write.execute(query, &what).await.map(drop)
}

/// Replaces what an owner may choose. Gives the application as it is then, and the name that it had
/// before where that is another one.
///
/// # Errors
/// [`StoreError::NotFound`] when the row is gone, [`StoreError::Stale`] when `row_version` is not
/// 0 and not the stored one, [`StoreError::Duplicate`] when the owner has another one of that
/// name.
pub async fn update(
    write: &mut Write,
    application: &Application,
) -> Result<(Application, Option<String>), StoreError> {
    let (tenant, id) = (&application.tenant, &application.id);
    let stored = lock_as_read(write, tenant, (id, application.row_version)).await?;
    let query = sqlx::query(
        "UPDATE applications SET name = $1, name_key = $2, throttling_policy = $3, \
         token_type = $4, description = $5, attributes = $6, updated_at_ms = $7, \
         row_version = row_version + 1 WHERE tenant = $8 AND id = $9",
    )
    .bind(application.name.clone())
    .bind(application.name.to_lowercase())
    .bind(application.throttling_policy.clone())
    .bind(application.token_type.as_str())
    .bind(application.description.clone())
    .bind(application.attributes.clone())
    .bind(application.updated_at_ms)
    .bind(application.tenant.clone())
    .bind(application.id.clone());
    let what = format!("application {}", application.name);
    write.execute(query, &what).await?;
    // The clients that serve it issue its kind of tokens.
    let clients = sqlx::query(
        "UPDATE oauth_clients SET token_type = $1 WHERE tenant = $2 AND consumer_key IN \
         (SELECT consumer_key FROM application_keys WHERE application_id = $3)",
    )
    .bind(application.token_type.as_str())
    .bind(application.tenant.clone())
    .bind(application.id.clone());
    write.execute(clients, "client").await?;
    let changed = lock(write, tenant, id).await?;
    let before = (stored.name != changed.name).then_some(stored.name);
    Ok((changed, before))
}

/// Removes an application with its subscriptions and key mappings; API keys lose their
/// association. Gives what rested on it. Under the tenant's claim: a new version of an API takes
/// subscribers over without locking their applications.
///
/// # Errors
/// [`StoreError::NotFound`], [`StoreError::Stale`] when `row_version` is not 0 and not the stored
/// one.
pub async fn delete(
    write: &mut Write,
    tenant: &str,
    (id, row_version): (&str, i64),
) -> Result<Removed, StoreError> {
    apis::claim(write, tenant).await?;
    lock_as_read(write, tenant, (id, row_version)).await?;
    let keys = sqlx::query(
        "DELETE FROM application_keys WHERE tenant = $1 AND application_id = $2 \
         RETURNING consumer_key",
    );
    let rows = write
        .all(keys.bind(tenant.to_owned()).bind(id.to_owned()))
        .await?;
    let keys = rows.iter().map(|row| row.text("consumer_key"));
    let consumer_keys = keys.collect::<Result<_, _>>()?;
    let keys = sqlx::query(
        "UPDATE api_keys SET application_id = NULL WHERE tenant = $1 AND application_id = $2 \
         RETURNING key_hash, api_id",
    );
    let rows = write
        .all(keys.bind(tenant.to_owned()).bind(id.to_owned()))
        .await?;
    let keys = rows
        .iter()
        .map(|row| Ok((row.text("key_hash")?, row.text("api_id")?)));
    let api_keys = keys.collect::<Result<_, StoreError>>()?;
    for query in [
        "DELETE FROM subscriptions WHERE tenant = $1 AND application_id = $2",
        "DELETE FROM applications WHERE tenant = $1 AND id = $2",
    ] {
        let query = sqlx::query(query)
            .bind(tenant.to_owned())
            .bind(id.to_owned());
        write.execute(query, "application").await?;
    }
    Ok(Removed {
        consumer_keys,
        api_keys,
    })
}

// === impl Listing ===

impl Listing<'_> {
    const fn statement(&self) -> &'static str {
        macro_rules! ordered {
            ($order:literal) => {
                concat!(
                    "SELECT a.id, a.tenant, a.name, a.name_key, a.owner, a.throttling_policy, a.token_type, \
                     a.description, a.status, a.attributes, a.created_at_ms, a.updated_at_ms, \
                     a.row_version, a.owner_key, \
                     (SELECT CAST(COUNT(*) AS BIGINT) FROM subscriptions s \
                     WHERE s.application_id = a.id) AS subscriptions FROM applications a \
                     WHERE a.tenant = $1 AND a.owner = $2 AND a.name_key LIKE $3 ESCAPE '!' \
                     ORDER BY ",
                    $order,
                    " LIMIT $4 OFFSET $5"
                )
            };
        }
        match (self.sort, self.descending) {
            (SortBy::Name, false) => ordered!("a.name_key"),
            (SortBy::Name, true) => ordered!("a.name_key DESC"),
            (SortBy::Policy, false) => ordered!("a.throttling_policy, a.name_key"),
            (SortBy::Policy, true) => ordered!("a.throttling_policy DESC, a.name_key"),
            (SortBy::Status, false) => ordered!("a.status, a.name_key"),
            (SortBy::Status, true) => ordered!("a.status DESC, a.name_key"),
        }
    }
}

fn counted(row: &AnyRow) -> Result<Counted, StoreError> {
    Ok(Counted {
        application: map(row)?,
        subscriptions: row.integer("subscriptions")?,
    })
}

/// A text in which `LIKE … ESCAPE '!'` finds itself alone.
fn escaped(text: &str) -> String {
    text.replace('!', "!!")
        .replace('%', "!%")
        .replace('_', "!_")
}

fn map(row: &AnyRow) -> Result<Application, StoreError> {
    let (status, kind) = (row.text("status")?, row.text("token_type")?);
    let unknown = |what: &'static str, word: &str| StoreError::Damaged {
        what,
        reason: format!("{word:?} is not known"),
    };
    Ok(Application {
        id: row.text("id")?,
        tenant: row.text("tenant")?,
        name: row.text("name")?,
        owner: row.text("owner")?,
        throttling_policy: row.text("throttling_policy")?,
        token_type: TokenType::parse(&kind).ok_or_else(|| unknown("token type", &kind))?,
        description: row.text("description")?,
        status: ApplicationStatus::parse(&status).ok_or_else(|| unknown("status", &status))?,
        attributes: row.text("attributes")?,
        created_at_ms: row.integer("created_at_ms")?,
        updated_at_ms: row.integer("updated_at_ms")?,
        row_version: row.integer("row_version")?,
    })
}
