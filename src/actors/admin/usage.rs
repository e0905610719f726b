//! Which API uses a policy. APIs keep the names of their policies inside of their documents, so all
//! are looked through: a policy is rarely removed.

use domain::api::Api;
use domain::policy::{Policy, PolicyLevel};
use storage::apim::apis::{self, ApiSearch, SortBy};
use storage::shared::blobs;
use storage::{Database, StoreError};

/// APIs looked through at once.
const PAGE: usize = 500;

/// The first API whose document names a policy, as `name:version`.
///
/// # Errors
/// [`StoreError::Unavailable`]; [`StoreError::Damaged`] also when a document is missing, since
/// nobody knows then what it names.
pub(super) async fn api_with(
    apim: &Database,
    shared: &Database,
    policy: &Policy,
) -> Result<Option<String>, StoreError> {
    if policy.level == PolicyLevel::Application {
        return Ok(None);
    }
    let (tenant, all) = (policy.tenant.as_str(), ApiSearch::default());
    let mut offset = 0;
    loop {
        let mut read = apim.read().await?;
        let order = (SortBy::Name, false);
        let (rows, _) = apis::list(&mut read, tenant, &all, order, (PAGE, offset)).await?;
        drop(read);
        if rows.is_empty() {
            return Ok(None);
        }
        offset += rows.len();
        let mut read = shared.read().await?;
        for row in rows {
            let blob = blobs::find(&mut read, tenant, &row.document_blob).await?;
            let blob =
                blob.ok_or_else(|| damaged(format!("blob {} is missing", row.document_blob)))?;
            let api: Api =
                serde_json::from_slice(&blob.bytes).map_err(|error| damaged(error.to_string()))?;
            if names(&api, policy) {
                return Ok(Some(format!("{}:{}", row.name, row.version)));
            }
        }
    }
}

fn names(api: &Api, policy: &Policy) -> bool {
    if policy.level == PolicyLevel::Subscription {
        return api.policies.contains(&policy.name);
    }
    let mut operations = api.operations.iter();
    api.api_throttling_policy.as_ref() == Some(&policy.name)
        || operations.any(|operation| operation.throttling_policy == policy.name)
}

const fn damaged(reason: String) -> StoreError {
    StoreError::Damaged {
        what: "API",
        reason,
    }
}
