//! Deployments: which revision of an API an environment serves. One per API and environment.

use sqlx::any::AnyRow;

use crate::database::{Read, Statement, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// A row of `api_deployments`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentRow {
    /// UUID.
    pub id: String,
    /// Tenant domain.
    pub tenant: String,
    /// The API.
    pub api_id: String,
    /// The revision served.
    pub revision_id: String,
    /// The environment's name.
    pub environment: String,
    /// The virtual host.
    pub vhost: String,
    /// Whether the portal shows its URL.
    pub display_on_devportal: bool,
    /// Deployed, milliseconds since the epoch.
    pub deployed_at_ms: i64,
}

/// The deployments of an API, by environment.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list(
    read: &mut Read,
    tenant: &str,
    api_id: &str,
) -> Result<Vec<DeploymentRow>, StoreError> {
    let rows = read.all(of_api(tenant, api_id)).await?;
    rows.iter().map(map).collect()
}

/// [`list`] inside a write.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list_for_change(
    write: &mut Write,
    tenant: &str,
    api_id: &str,
) -> Result<Vec<DeploymentRow>, StoreError> {
    let rows = write.all(of_api(tenant, api_id)).await?;
    rows.iter().map(map).collect()
}

/// Deploys: replaces what the API has in that environment.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save(write: &mut Write, deployment: &DeploymentRow) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO api_deployments (id, tenant, api_id, revision_id, environment, vhost, \
         display_on_devportal, deployed_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (api_id, environment) DO UPDATE SET revision_id = excluded.revision_id, \
         vhost = excluded.vhost, display_on_devportal = excluded.display_on_devportal, \
         deployed_at_ms = excluded.deployed_at_ms",
    )
    .bind(deployment.id.clone())
    .bind(deployment.tenant.clone())
    .bind(deployment.api_id.clone())
    .bind(deployment.revision_id.clone())
    .bind(deployment.environment.clone())
    .bind(deployment.vhost.clone())
    .bind(i64::from(deployment.display_on_devportal))
    .bind(deployment.deployed_at_ms);
    write.execute(query, "deployment").await.map(drop)
}

/// Takes an API out of an environment.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete(
    write: &mut Write,
    tenant: &str,
    api_id: &str,
    environment: &str,
) -> Result<(), StoreError> {
    let query = sqlx::query(
        "DELETE FROM api_deployments WHERE tenant = $1 AND api_id = $2 AND environment = $3",
    )
    .bind(tenant.to_owned())
    .bind(api_id.to_owned())
    .bind(environment.to_owned());
    write.execute(query, "deployment").await.map(drop)
}

fn of_api(tenant: &str, api_id: &str) -> Statement<'static> {
    sqlx::query(
        "SELECT id, tenant, api_id, revision_id, environment, vhost, display_on_devportal, deployed_at_ms \
         FROM api_deployments WHERE tenant = $1 AND api_id = $2 ORDER BY environment",
    )
    .bind(tenant.to_owned())
    .bind(api_id.to_owned())
}

fn map(row: &AnyRow) -> Result<DeploymentRow, StoreError> {
    Ok(DeploymentRow {
        id: row.text("id")?,
        tenant: row.text("tenant")?,
        api_id: row.text("api_id")?,
        revision_id: row.text("revision_id")?,
        environment: row.text("environment")?,
        vhost: row.text("vhost")?,
        display_on_devportal: row.flag("display_on_devportal")?,
        deployed_at_ms: row.integer("deployed_at_ms")?,
    })
}
