//! Subscriptions as the contract shows them (`Subscription`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use actors::devportal::{ApiRow, CountedApplication};
use domain::subscription::{Subscription, SubscriptionStatus};

use super::apis::write_row;
use super::application_document::write_info;
use crate::auth::Caller;
use crate::body::Fields;
use crate::document::present;
use crate::error::ApiError;

/// Reads a subscription; its id is new.
pub(super) fn read(
    caller: &Caller,
    mut fields: Fields,
    now_ms: i64,
) -> Result<Subscription, ApiError> {
    let policy = fields.required_text("throttlingPolicy", 60)?;
    Ok(Subscription {
        id: uuid::Uuid::new_v4().to_string(),
        tenant: caller.tenant.clone(),
        api_id: fields.required_text("apiId", 60)?,
        application_id: fields.required_text("applicationId", 60)?,
        requested_policy: policy.clone(),
        policy,
        status: SubscriptionStatus::Unblocked,
        subscriber: caller.user.clone(),
        created_at_ms: now_ms,
    })
}

/// What subscriptions name, by id.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) apis: BTreeMap<String, ApiRow>,
    pub(super) applications: BTreeMap<String, CountedApplication>,
}

/// Writes a subscription.
pub(super) fn write(subscription: &Subscription, named: &Named) -> Value {
    let application = named.applications.get(&subscription.application_id);
    let application = application.map(|known| write_info(&known.application, known.subscriptions));
    present(json!({
        "subscriptionId": subscription.id,
        "applicationId": subscription.application_id,
        "apiId": subscription.api_id,
        "apiInfo": named.apis.get(&subscription.api_id).map(write_row),
        "applicationInfo": application,
        "throttlingPolicy": subscription.policy,
        "requestedThrottlingPolicy": subscription.requested_policy,
        "status": subscription.status.as_str(),
    }))
}
