//! APIs: the columns that lists and searches need, pointing at the blobs that hold the rest (C5).
//!
//! The publisher's writers save them; publisher and portal list them. State, default version and
//! row version are true in the row alone, whatever the document says.

use sqlx::any::AnyRow;

use domain::api::Api;
use domain::lifecycle::LifecycleState;

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::{Columns as _, word};

/// A row of `apis`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRow {
    /// UUID.
    pub id: String,
    /// Tenant domain.
    pub tenant: String,
    /// The name as written.
    pub name: String,
    /// The version.
    pub version: String,
    /// Context without version.
    pub context: String,
    /// Context with its version, unique in the tenant.
    pub full_context: String,
    /// User who owns it.
    pub provider: String,
    /// What it does.
    pub description: String,
    /// `HTTP`.
    pub kind: String,
    /// Where it stands in its lifecycle.
    pub state: LifecycleState,
    /// Whether it is the version that is to answer without its version.
    pub is_default_version: bool,
    /// Whether it is the version that does: the wanted one takes over when it can (deployed and
    /// published).
    pub serves_default: bool,
    /// Search words.
    pub tags: Vec<String>,
    /// Business plans that it offers.
    pub policies: Vec<String>,
    /// Blob of the document (the API as JSON).
    pub document_blob: String,
    /// Blob of the definition.
    pub definition_blob: String,
    /// Created, milliseconds since the epoch.
    pub created_at_ms: i64,
    /// Last changed, milliseconds since the epoch.
    pub updated_at_ms: i64,
    /// Counts the changes, from 1.
    pub row_version: i64,
}

// === impl ApiRow ===

impl ApiRow {
    /// What is true in the row alone, whatever a document (or a frozen one) says.
    pub fn correct(&self, api: &mut Api) {
        api.id.clone_from(&self.id);
        api.tenant.clone_from(&self.tenant);
        api.name.clone_from(&self.name);
        api.version.clone_from(&self.version);
        api.context.clone_from(&self.context);
        api.provider.clone_from(&self.provider);
        api.state = self.state;
        api.is_default_version = self.is_default_version;
        api.created_at_ms = self.created_at_ms;
        api.updated_at_ms = self.updated_at_ms;
        api.row_version = self.row_version;
    }
}

/// The column that a list is sorted by (`sortBy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortBy {
    /// `apiName`
    Name,
    /// `version`
    Version,
    /// `createdTime`
    #[default]
    Created,
    /// `status`
    State,
}

/// What a list is narrowed to; members that are none narrow nothing. A text that begins and ends
/// with a double quote must equal the column, one with `*` must match it with anything in its
/// place, any other text must occur in it; case is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApiSearch {
    /// `name:`
    pub name: Option<String>,
    /// `version:`
    pub version: Option<String>,
    /// `context:`
    pub context: Option<String>,
    /// `provider:`
    pub provider: Option<String>,
    /// `description:`
    pub description: Option<String>,
    /// `tag:` and `tags:`
    pub tag: Option<String>,
    /// `status:`
    pub state: Option<String>,
    /// `type:`
    pub kind: Option<String>,
    /// `doc:`, what documents of the API say: none has any yet, so this finds nothing.
    pub document: Option<String>,
    /// Words without a prefix: name, context, description or tag.
    pub free: Option<String>,
    /// Only what the portal shows ([`LifecycleState::is_listed`]).
    pub listed_only: bool,
}

/// `$1` tenant, `$2`–`$10` patterns, `$11` whether only listed ones.
macro_rules! filtered {
    ($head:literal, $tail:literal) => {
        concat!(
            $head,
            " FROM apis WHERE tenant = $1 \
             AND name_key LIKE $2 ESCAPE '!' \
             AND COALESCE(version_key, LOWER(version)) LIKE $3 ESCAPE '!' \
             AND (LOWER(context) LIKE $4 ESCAPE '!' OR LOWER(full_context) LIKE $4 ESCAPE '!') \
             AND COALESCE(provider_key, LOWER(provider)) LIKE $5 ESCAPE '!' \
             AND COALESCE(description_key, LOWER(description)) LIKE $6 ESCAPE '!' \
             AND tags LIKE $7 ESCAPE '!' AND LOWER(state) LIKE $8 ESCAPE '!' \
             AND (name_key LIKE $9 ESCAPE '!' OR LOWER(context) LIKE $9 ESCAPE '!' \
                  OR COALESCE(description_key, LOWER(description)) LIKE $9 ESCAPE '!' \
                  OR tags LIKE $9 ESCAPE '!') \
             AND LOWER(kind) LIKE $10 ESCAPE '!' AND (CAST($11 AS BIGINT) = 0 \
                  OR state IN ('PUBLISHED', 'PROTOTYPED', 'DEPRECATED')) ",
            $tail
        )
    };
}

const COUNT: &str = filtered!("SELECT CAST(COUNT(*) AS BIGINT) AS total", "");
const LIST: &str = filtered!(
    "SELECT id, tenant, name, name_key, version, context, full_context, provider, description, kind, state, \
     is_default_version, tags, document_blob, definition_blob, created_at_ms, updated_at_ms, row_version, \
     policies, serves_default, version_key, provider_key, description_key, revisions_made",
    "ORDER BY \
     CASE WHEN $12 = 'name asc' THEN name_key END ASC, \
     CASE WHEN $12 = 'name desc' THEN name_key END DESC, \
     CASE WHEN $12 = 'version asc' THEN version END ASC, \
     CASE WHEN $12 = 'version desc' THEN version END DESC, \
     CASE WHEN $12 = 'state asc' THEN state END ASC, \
     CASE WHEN $12 = 'state desc' THEN state END DESC, \
     CASE WHEN $12 = 'created asc' THEN created_at_ms END ASC, \
     CASE WHEN $12 = 'created desc' THEN created_at_ms END DESC, \
     name_key ASC, version ASC, id ASC LIMIT $13 OFFSET $14"
);

/// The API with this id.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(read: &mut Read, tenant: &str, id: &str) -> Result<Option<ApiRow>, StoreError> {
    let query = sqlx::query("SELECT id, tenant, name, name_key, version, context, full_context, provider, description, kind, \
         state, is_default_version, tags, document_blob, definition_blob, created_at_ms, updated_at_ms, \
         row_version, policies, serves_default, version_key, provider_key, description_key, revisions_made \
         FROM apis WHERE tenant = $1 AND id = $2")
        .bind(tenant.to_owned())
        .bind(id.to_owned());
    read.optional(query).await?.map(|row| map(&row)).transpose()
}

/// An API's name in lower case, which all its versions share, and the blob of its document: the
/// version of its bindings that counts.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn document(
    read: &mut Read,
    tenant: &str,
    id: &str,
) -> Result<Option<(String, String)>, StoreError> {
    let query =
        sqlx::query("SELECT name_key, document_blob FROM apis WHERE tenant = $1 AND id = $2")
            .bind(tenant.to_owned())
            .bind(id.to_owned());
    let row = read.optional(query).await?;
    row.map(|row| Ok((row.text("name_key")?, row.text("document_blob")?)))
        .transpose()
}

/// One page of the APIs that `search` finds, and how many there are in all.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(
    read: &mut Read,
    tenant: &str,
    search: &ApiSearch,
    (sort, descending): (SortBy, bool),
    (limit, offset): (usize, usize),
) -> Result<(Vec<ApiRow>, usize), StoreError> {
    if search.document.is_some() {
        return Ok((Vec::new(), 0));
    }
    let patterns = search.patterns();
    let mut count = sqlx::query(COUNT).bind(tenant.to_owned());
    let mut page = sqlx::query(LIST).bind(tenant.to_owned());
    for pattern in patterns {
        count = count.bind(pattern.clone());
        page = page.bind(pattern);
    }
    count = count.bind(i64::from(search.listed_only));
    page = page
        .bind(i64::from(search.listed_only))
        .bind(sort.order(descending))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(i64::try_from(offset).unwrap_or(i64::MAX));
    let total = match read.optional(count).await? {
        Some(row) => usize::try_from(row.integer("total")?).unwrap_or(0),
        None => 0,
    };
    let rows = read.all(page).await?;
    let rows = rows.iter().map(map).collect::<Result<_, _>>()?;
    Ok((rows, total))
}

/// All versions of an API by its name, whatever its case, oldest first.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn versions(
    write: &mut Write,
    tenant: &str,
    name: &str,
) -> Result<Vec<ApiRow>, StoreError> {
    let query = sqlx::query(
        "SELECT id, tenant, name, name_key, version, context, full_context, provider, description, kind, \
         state, is_default_version, tags, document_blob, definition_blob, created_at_ms, updated_at_ms, \
         row_version, policies, serves_default, version_key, provider_key, description_key, revisions_made \
         FROM apis WHERE tenant = $1 AND name_key = $2 ORDER BY created_at_ms, id",
    )
    .bind(tenant.to_owned())
    .bind(name.to_lowercase());
    write.all(query).await?.iter().map(map).collect()
}

/// All APIs that answer, or could as the default version, at one of two paths: a context with its
/// version and the same without, whatever their case.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn at_context(
    write: &mut Write,
    tenant: &str,
    full: &str,
    unversioned: &str,
) -> Result<Vec<ApiRow>, StoreError> {
    let query = sqlx::query(
        "SELECT id, tenant, name, name_key, version, context, full_context, provider, description, kind, \
         state, is_default_version, tags, document_blob, definition_blob, created_at_ms, updated_at_ms, \
         row_version, policies, serves_default, version_key, provider_key, description_key, revisions_made \
         FROM apis WHERE tenant = $1 \
         AND (REPLACE(LOWER(context), '/{version}', '') IN ($2, $3) \
              OR LOWER(full_context) IN ($2, $3)) ORDER BY created_at_ms, id",
    )
    .bind(tenant.to_owned())
    .bind(full.to_lowercase())
    .bind(unversioned.to_lowercase());
    write.all(query).await?.iter().map(map).collect()
}

/// Makes this transaction the only one that names, versions or moves APIs of the tenant until it
/// ends. Rules between several APIs (one default version, one context per name) rest on it.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn claim(write: &mut Write, tenant: &str) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO meta (name, value) VALUES ($1, '') \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(format!("apis of {tenant}"));
    write.execute(query, "claim").await.map(drop)
}

/// Reads an API for a change: nobody else changes the row until this transaction ends.
///
/// # Errors
/// [`StoreError::NotFound`], [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn lock(write: &mut Write, tenant: &str, id: &str) -> Result<ApiRow, StoreError> {
    let query = sqlx::query(
        "UPDATE apis SET row_version = row_version WHERE tenant = $1 AND id = $2 \
         RETURNING id, tenant, name, name_key, version, context, full_context, provider, description, kind, \
         state, is_default_version, tags, document_blob, definition_blob, created_at_ms, updated_at_ms, \
         row_version, policies, serves_default, version_key, provider_key, description_key, revisions_made",
    )
    .bind(tenant.to_owned())
    .bind(id.to_owned());
    match write.optional(query).await? {
        Some(row) => map(&row),
        None => Err(StoreError::NotFound(format!("api {id}"))),
    }
}

/// Inserts an API.
///
/// # Errors
/// [`StoreError::Duplicate`] when name and version, or the context, are taken.
pub async fn create(write: &mut Write, api: &ApiRow) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO apis (id, tenant, name, name_key, version, context, full_context, provider, \
         description, kind, state, is_default_version, tags, document_blob, definition_blob, \
          created_at_ms, updated_at_ms, serves_default, row_version, policies, version_key, \
          provider_key, description_key) \
          VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
          1, $19, $20, $21, $22)",
    )
    .bind(api.id.clone())
    .bind(api.tenant.clone())
    .bind(api.name.clone())
    .bind(api.name.to_lowercase())
    .bind(api.version.clone())
    .bind(api.context.clone())
    .bind(api.full_context.clone())
    .bind(api.provider.clone())
    .bind(api.description.clone())
    .bind(api.kind.clone())
    .bind(api.state.as_str())
    .bind(i64::from(api.is_default_version))
    .bind(joined(&api.tags))
    .bind(api.document_blob.clone())
    .bind(api.definition_blob.clone())
    .bind(api.created_at_ms)
    .bind(api.updated_at_ms)
    .bind(i64::from(api.serves_default))
    .bind(api.policies.join(","))
    .bind(api.version.to_lowercase())
    .bind(api.provider.to_lowercase())
    .bind(api.description.to_lowercase());
    let what = format!("api {} {} or its context", api.name, api.version);
    write.execute(query, &what).await.map(drop)
}

/// Saves what an API may change if its row version is still `api.row_version`; gives the new one.
///
/// # Errors
/// [`StoreError::Stale`] when it is another or the row is gone.
pub async fn save(write: &mut Write, api: &ApiRow) -> Result<i64, StoreError> {
    let query = sqlx::query(
        "UPDATE apis SET description = $1, state = $2, is_default_version = $3, tags = $4, \
         document_blob = $5, definition_blob = $6, updated_at_ms = $7, serves_default = $8, \
         policies = $9, row_version = row_version + 1, version_key = $13, provider_key = $14, \
         description_key = $15 \
         WHERE tenant = $10 AND id = $11 AND row_version = $12",
    )
    .bind(api.description.clone())
    .bind(api.state.as_str())
    .bind(i64::from(api.is_default_version))
    .bind(joined(&api.tags))
    .bind(api.document_blob.clone())
    .bind(api.definition_blob.clone())
    .bind(api.updated_at_ms)
    .bind(i64::from(api.serves_default))
    .bind(api.policies.join(","))
    .bind(api.tenant.clone())
    .bind(api.id.clone())
    .bind(api.row_version)
    .bind(api.version.to_lowercase())
    .bind(api.provider.to_lowercase())
    .bind(api.description.to_lowercase());
    match write.execute(query, "api").await? {
        0 => Err(StoreError::Stale),
        _ => Ok(api.row_version + 1),
    }
}

/// Removes an API with its revisions, deployments, API keys and history, and with subscriptions
/// whose application is gone: nobody else could remove them.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete(write: &mut Write, tenant: &str, id: &str) -> Result<(), StoreError> {
    for query in [
        sqlx::query("DELETE FROM api_deployments WHERE tenant = $1 AND api_id = $2"),
        sqlx::query("DELETE FROM api_revisions WHERE tenant = $1 AND api_id = $2"),
        sqlx::query("DELETE FROM api_keys WHERE tenant = $1 AND api_id = $2"),
        sqlx::query("DELETE FROM api_lifecycle WHERE tenant = $1 AND api_id = $2"),
        sqlx::query(
            "DELETE FROM subscriptions WHERE tenant = $1 AND api_id = $2 \
             AND application_id NOT IN (SELECT id FROM applications)",
        ),
        sqlx::query("DELETE FROM apis WHERE tenant = $1 AND id = $2"),
    ] {
        let query = query.bind(tenant.to_owned()).bind(id.to_owned());
        write.execute(query, "api").await?;
    }
    Ok(())
}

// === impl SortBy ===

impl SortBy {
    const fn order(self, descending: bool) -> &'static str {
        match (self, descending) {
            (Self::Name, false) => "name asc",
            (Self::Name, true) => "name desc",
            (Self::Version, false) => "version asc",
            (Self::Version, true) => "version desc",
            (Self::Created, false) => "created asc",
            (Self::Created, true) => "created desc",
            (Self::State, false) => "state asc",
            (Self::State, true) => "state desc",
        }
    }
}

// === impl ApiSearch ===

impl ApiSearch {
    fn patterns(&self) -> [String; 9] {
        let column = |wanted: &Option<String>| pattern(wanted.as_deref(), "");
        [
            column(&self.name),
            column(&self.version),
            column(&self.context),
            column(&self.provider),
            column(&self.description),
            pattern(self.tag.as_deref(), ","),
            column(&self.state),
            pattern(self.free.as_deref(), "%"),
            column(&self.kind),
        ]
    }
}

/// A LIKE pattern in lower case. Between double quotes a text stands for itself; else it must
/// occur, or where it has `*` match as a whole with anything in their place. `border` stands
/// around an exact text: a tag lies between commas, and quoted free words must occur as they stand.
pub(super) fn pattern(wanted: Option<&str>, border: &str) -> String {
    let Some(wanted) = wanted else {
        return "%".to_owned();
    };
    let exact = wanted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let mut escaped = String::with_capacity(wanted.len());
    for letter in exact.unwrap_or(wanted).to_lowercase().chars() {
        match letter {
            '*' if exact.is_none() => escaped.push('%'),
            '%' | '_' | '!' => escaped.extend(['!', letter]),
            letter => escaped.push(letter),
        }
    }
    let is_whole = exact.is_some() || wanted.contains('*');
    match is_whole {
        true if border == "," => format!("%,{escaped},%"),
        true if exact.is_some() => format!("{border}{escaped}{border}"),
        true => escaped,
        false => format!("%{escaped}%"),
    }
}

fn joined(tags: &[String]) -> String {
    let mut joined = String::from(",");
    for tag in tags {
        joined.push_str(&tag.to_lowercase());
        joined.push(',');
    }
    joined
}

fn map(row: &AnyRow) -> Result<ApiRow, StoreError> {
    let parted = |text: String| {
        let parts = text.split(',').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    };
    Ok(ApiRow {
        tags: parted(row.text("tags")?),
        policies: parted(row.text("policies")?),
        id: row.text("id")?,
        tenant: row.text("tenant")?,
        name: row.text("name")?,
        version: row.text("version")?,
        context: row.text("context")?,
        full_context: row.text("full_context")?,
        provider: row.text("provider")?,
        description: row.text("description")?,
        kind: row.text("kind")?,
        state: word(row, "state", LifecycleState::parse)?,
        is_default_version: row.flag("is_default_version")?,
        serves_default: row.flag("serves_default")?,
        document_blob: row.text("document_blob")?,
        definition_blob: row.text("definition_blob")?,
        created_at_ms: row.integer("created_at_ms")?,
        updated_at_ms: row.integer("updated_at_ms")?,
        row_version: row.integer("row_version")?,
    })
}
