//! Subscriptions: making, changing and removing them.

use domain::api::Api;
use domain::change::Change;
use domain::subscription::Subscription;
use storage::StoreError;
use storage::apim::{apis, subscriptions};
use storage::shared::blobs;

use super::message::DevPortalError;
use super::writer::Writer;
use crate::change_feed::Changed;

impl Writer {
    pub(super) async fn create_subscription(
        &self,
        new: Subscription,
    ) -> Result<Changed<Subscription>, DevPortalError> {
        self.check_plan(&new, &new.policy, true).await?;
        let mut write = self.0.apim.write("apim.subscriptions.create").await?;
        subscriptions::create(&mut write, &new).await?;
        let changes = [changed(&new)];
        let tenant = new.tenant.clone();
        self.commit(write, &tenant, &changes, new).await
    }

    pub(super) async fn update_subscription(
        &self,
        old: &Subscription,
        policy: &str,
    ) -> Result<Changed<Subscription>, DevPortalError> {
        self.check_plan(old, policy, false).await?;
        let mut write = self.0.apim.write("apim.subscriptions.update").await?;
        let new = subscriptions::update_policy(&mut write, &old.tenant, &old.id, policy).await?;
        let changes = [changed(&new)];
        self.commit(write, &old.tenant, &changes, new).await
    }

    pub(super) async fn delete_subscription(
        &self,
        old: &Subscription,
    ) -> Result<Changed<()>, DevPortalError> {
        let mut write = self.0.apim.write("apim.subscriptions.delete").await?;
        subscriptions::delete(&mut write, &old.tenant, &old.id).await?;
        let changes = [changed(old)];
        self.commit(write, &old.tenant, &changes, ()).await
    }

    /// Whether the API is there to be subscribed to, and offers the plan.
    async fn check_plan(
        &self,
        subscription: &Subscription,
        policy: &str,
        new: bool,
    ) -> Result<(), DevPortalError> {
        let (tenant, id) = (&subscription.tenant, &subscription.api_id);
        let gone = || StoreError::NotFound(format!("API {id}"));
        let mut read = self.0.apim.read().await?;
        let row = apis::find(&mut read, tenant, id).await?.ok_or_else(gone)?;
        drop(read);
        if new && !row.state.takes_subscriptions() {
            return Err(DevPortalError::BadField {
                field: "apiId",
                problem: format!(
                    "the API is {} and takes no subscriptions",
                    row.state.as_str()
                ),
            });
        }
        let mut read = self.0.shared.read().await?;
        let blob = blobs::find(&mut read, tenant, &row.document_blob).await?;
        let blob = blob.ok_or_else(gone)?;
        let api: Api =
            serde_json::from_slice(&blob.bytes).map_err(|error| StoreError::Damaged {
                what: "API",
                reason: error.to_string(),
            })?;
        if api.policies.iter().any(|offered| offered == policy) {
            Ok(())
        } else {
            Err(DevPortalError::BadField {
                field: "throttlingPolicy",
                problem: format!("the API does not offer the business plan {policy}"),
            })
        }
    }
}

fn changed(subscription: &Subscription) -> Change {
    Change::SubscriptionChanged {
        subscription_id: subscription.id.clone(),
        api_id: subscription.api_id.clone(),
        application_id: subscription.application_id.clone(),
    }
}
