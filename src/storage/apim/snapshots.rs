//! The state behind the change log, page by page, as the changes that would lead to it (C3): what
//! gateways and traffic managers need of a log whose older entries are gone.

use domain::api::Api;
use domain::artifact::Artifact;
use domain::change::Change;
use domain::lifecycle::LifecycleState;
use domain::policy::Policy;
use sqlx::any::AnyRow;

use crate::apim::change_log::PRUNED_KEYS;
use crate::apim::deny_policies;
use crate::apim::revocations::subject_of;
use crate::database::Read;
use crate::error::StoreError;
use crate::row::{Columns as _, word};

/// What a snapshot is made of, in the order in which it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Throttling policies: before the artifacts that name them.
    Policies,
    /// Deny policies.
    DenyPolicies,
    /// Revocations of single tokens that are not over.
    Revocations,
    /// Issued-before marks that are not over.
    Marks,
    /// Verification keys.
    Keys,
    /// Deployed revisions.
    Artifacts,
}

/// One thing of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where it stands in its section: ask for what comes after it.
    pub key: Vec<String>,
    /// Tenant domain.
    pub tenant: String,
    /// The change that makes it so.
    pub change: Change,
}

/// Some things of a section, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The things.
    pub items: Vec<Item>,
    /// Whether the section has none after them.
    pub is_last: bool,
}

// === impl Section ===

impl Section {
    /// All, in order.
    pub const ALL: [Self; 6] = [
        Self::Policies,
        Self::DenyPolicies,
        Self::Revocations,
        Self::Marks,
        Self::Keys,
        Self::Artifacts,
    ];
}

/// At most `most` things of a section after `after` (empty for the first). `shared` is a view of
/// the Shared database, where the frozen documents lie: no more of them are read once those that
/// were have `bytes` together.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(
    read: &mut Read,
    shared: &mut Read,
    section: Section,
    after: &[String],
    (most, bytes): (u32, usize),
    now_ms: i64,
) -> Result<Page, StoreError> {
    let limit = i64::from(most);
    let part = |index: usize| after.get(index).cloned().unwrap_or_default();
    let query = match section {
        Section::Policies => sqlx::query(
            "SELECT id, tenant, level, name, document, row_version \
                 FROM policies WHERE id > $1 ORDER BY id LIMIT $2",
        )
        .bind(part(0))
        .bind(limit),
        Section::DenyPolicies => sqlx::query(
            "SELECT id, tenant, kind, target, active, application_id \
                 FROM deny_policies WHERE id > $1 ORDER BY id LIMIT $2",
        )
        .bind(part(0))
        .bind(limit),
        Section::Revocations => sqlx::query(
            "SELECT tenant, issuer, token_id, expires_at_ms \
             FROM revoked_tokens WHERE (tenant, issuer, token_id) > ($1, $2, $3) \
             AND expires_at_ms > $4 ORDER BY tenant, issuer, token_id LIMIT $5",
        )
        .bind(part(0))
        .bind(part(1))
        .bind(part(2))
        .bind(now_ms)
        .bind(limit),
        Section::Marks => sqlx::query(
            "SELECT tenant, subject, subject_id, before_ms, until_ms \
             FROM issued_before_marks WHERE (tenant, subject, subject_id) > ($1, $2, $3) \
             AND until_ms > $4 ORDER BY tenant, subject, subject_id LIMIT $5",
        )
        .bind(part(0))
        .bind(part(1))
        .bind(part(2))
        .bind(now_ms)
        .bind(limit),
        Section::Keys => {
            let items = keys(read, after).await?;
            return Ok(Page {
                items,
                is_last: true,
            });
        }
        Section::Artifacts => {
            return artifacts(read, shared, part(0), (limit, bytes)).await;
        }
    };
    let rows = read.all(query).await?;
    let items: Result<Vec<Item>, StoreError> = rows.iter().map(|row| item(section, row)).collect();
    Ok(Page {
        items: items?,
        is_last: is_last(rows.len(), limit),
    })
}

/// Whether a page of so many rows out of `limit` is the last.
fn is_last(rows: usize, limit: i64) -> bool {
    i64::try_from(rows).is_ok_and(|rows| rows < limit)
}

fn item(section: Section, row: &AnyRow) -> Result<Item, StoreError> {
    let tenant = row.text("tenant")?;
    let (key, change) = match section {
        Section::Policies => {
            let mut policy: Policy = serde_json::from_str(&row.text("document")?)
                .map_err(StoreError::damaged("throttling policy"))?;
            policy.row_version = row.integer("row_version")?;
            let policy = Box::new(policy);
            (vec![row.text("id")?], Change::PolicySaved { policy })
        }
        Section::DenyPolicies => {
            let policy = deny_policies::map(row)?;
            (vec![policy.id.clone()], Change::DenyPolicySaved { policy })
        }
        Section::Marks => {
            let (subject, id) = (row.text("subject")?, row.text("subject_id")?);
            let change = Change::IssuedBefore {
                subject: subject_of(&subject)?,
                id: id.clone(),
                before_ms: row.integer("before_ms")?,
                until_ms: row.integer("until_ms")?,
            };
            (vec![tenant.clone(), subject, id], change)
        }
        Section::Revocations | Section::Keys | Section::Artifacts => {
            let (issuer, token_id) = (row.text("issuer")?, row.text("token_id")?);
            let key = vec![tenant.clone(), issuer.clone(), token_id.clone()];
            let change = Change::TokenRevoked {
                issuer,
                token_id,
                expires_at_ms: row.integer("expires_at_ms")?,
            };
            (key, change)
        }
    };
    Ok(Item {
        key,
        tenant,
        change,
    })
}

/// The newest key set of each tenant: of the log, else what was kept when the log was pruned. All
/// at once: there is one a tenant.
async fn keys(read: &mut Read, after: &[String]) -> Result<Vec<Item>, StoreError> {
    let mut newest = std::collections::BTreeMap::new();
    let pruned = sqlx::query("SELECT name, value FROM meta WHERE name LIKE $1")
        .bind(format!("{PRUNED_KEYS}%"));
    for row in read.all(pruned).await? {
        let name = row.text("name")?;
        let tenant = name
            .strip_prefix(PRUNED_KEYS)
            .unwrap_or_default()
            .to_owned();
        newest.insert(tenant, row.text("value")?);
    }
    let kept = sqlx::query(
        "SELECT tenant, payload FROM change_log \
         WHERE kind = 'verification_keys_changed' ORDER BY n",
    );
    for row in read.all(kept).await? {
        newest.insert(row.text("tenant")?, row.text("payload")?);
    }
    let of = |(tenant, payload): (String, String)| {
        Ok(Item {
            key: vec![tenant.clone()],
            tenant,
            change: serde_json::from_str(&payload).map_err(StoreError::damaged("key set"))?,
        })
    };
    let rest = |(tenant, _): &(String, String)| after.first().is_none_or(|last| tenant > last);
    newest.into_iter().filter(rest).map(of).collect()
}

/// Deployed revisions as they were frozen, with what the API's row decides (state, default
/// version, owner) as it is now.
async fn artifacts(
    read: &mut Read,
    shared: &mut Read,
    after: String,
    (most, bytes): (i64, usize),
) -> Result<Page, StoreError> {
    let query = sqlx::query(
        "SELECT d.id, d.tenant, d.revision_id, d.environment, d.vhost, r.document_blob, a.state, \
         a.name, a.version, a.context, a.provider, \
         a.serves_default FROM api_deployments d JOIN api_revisions r ON r.id = d.revision_id \
         JOIN apis a ON a.id = d.api_id WHERE d.id > $1 ORDER BY d.id LIMIT $2",
    );
    let (mut items, mut read_bytes) = (Vec::new(), 0_usize);
    let rows = read.all(query.bind(after).bind(most)).await?;
    for row in &rows {
        if read_bytes >= bytes && !items.is_empty() {
            return Ok(Page {
                items,
                is_last: false,
            });
        }
        let blob = row.text("document_blob")?;
        let find = sqlx::query("SELECT bytes FROM blobs WHERE id = $1").bind(blob);
        let Some(found) = shared.optional(find).await? else {
            return Err(StoreError::Damaged {
                what: "revision",
                reason: "its document is missing".to_owned(),
            });
        };
        let document = found.bytes("bytes")?;
        read_bytes = read_bytes.saturating_add(document.len());
        let mut api: Api =
            serde_json::from_slice(&document).map_err(StoreError::damaged("revision"))?;
        api.state = word(row, "state", LifecycleState::parse)?;
        api.is_default_version = row.flag("serves_default")?;
        api.name = row.text("name")?;
        api.version = row.text("version")?;
        api.context = row.text("context")?;
        api.provider = row.text("provider")?;
        let artifact = Artifact::of(
            &api,
            &row.text("revision_id")?,
            &row.text("environment")?,
            &row.text("vhost")?,
        );
        items.push(Item {
            key: vec![row.text("id")?],
            tenant: row.text("tenant")?,
            change: Change::ApiDeployed {
                artifact: Box::new(artifact),
            },
        });
    }
    Ok(Page {
        items,
        is_last: is_last(rows.len(), most),
    })
}
