//! Subscriptions as the contract shows them (`Subscription`).

use serde_json::{Value, json};

use domain::application::Application;
use domain::subscription::{Subscription, SubscriptionStatus};

use super::application_document::write_info;
use crate::auth::Caller;
use crate::body::Fields;
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

/// Writes a subscription.
pub(super) fn write(subscription: &Subscription, application: Option<&Application>) -> Value {
    json!({
        "subscriptionId": subscription.id,
        "applicationId": subscription.application_id,
        "apiId": subscription.api_id,
        "apiInfo": null,
        "applicationInfo": application.map(|application| write_info(application, 0)),
        "throttlingPolicy": subscription.policy,
        "requestedThrottlingPolicy": subscription.requested_policy,
        "status": subscription.status.as_str(),
        "redirectionParams": null,
    })
}
