//! Subscriptions: making, changing and removing them.

use domain::api::Api;
use domain::change::{Change, Closed};
use domain::policy::PolicyLevel;
use domain::subscription::Subscription;
use storage::apim::{apis, applications, policies, subscriptions};
use storage::shared::blobs;
use storage::{StoreError, Write};

use super::message::{DevPortalError, Made};
use super::writer::{Desk, Outcome};
use crate::change_feed::Committed;

impl Desk {
    /// Makes subscriptions, each in a transaction of its own. A failure that is not the request's
    /// ends it: those before it stand, and the feed is told of them.
    pub(super) async fn create_subscriptions(&self, new: Vec<Subscription>) -> Outcome<Vec<Made>> {
        let (mut made, mut last) = (Vec::with_capacity(new.len()), None);
        for one in new {
            match self.create_subscription(one).await {
                Ok(Committed { value, n }) => {
                    last = last.max(Some(n));
                    made.push(Ok(value));
                }
                Err(error) if error.is_of_request() => made.push(Err(error)),
                Err(error) => {
                    if let Some(n) = last {
                        self.0.feed.tell(n);
                    }
                    return Err(error);
                }
            }
        }
        Ok(Committed {
            value: made,
            // With nothing made there is nothing to wait for: every follower is past 0.
            n: last.unwrap_or(0),
        })
    }

    async fn create_subscription(&self, new: Subscription) -> Outcome<Subscription> {
        let mut write = self.0.apim.write("apim.subscriptions.create").await?;
        applications::lock(&mut write, &new.tenant, &new.application_id).await?;
        self.lock_plan(&mut write, &new, &new.policy, true).await?;
        subscriptions::create(&mut write, &new).await?;
        let changes = [changed(&new, Closed::by(new.status))];
        let tenant = new.tenant.clone();
        self.commit(write, &tenant, &changes, new).await
    }

    pub(super) async fn update_subscription(
        &self,
        old: &Subscription,
        policy: &str,
        as_read: bool,
    ) -> Outcome<Subscription> {
        let mut write = self.0.apim.write("apim.subscriptions.update").await?;
        self.lock_plan(&mut write, old, policy, false).await?;
        lock_as_read(&mut write, old, as_read).await?;
        let new = subscriptions::update_policy(&mut write, &old.tenant, &old.id, policy).await?;
        let changes = [changed(&new, Closed::by(new.status))];
        self.commit(write, &old.tenant, &changes, new).await
    }

    pub(super) async fn delete_subscription(
        &self,
        old: &Subscription,
        as_read: bool,
    ) -> Outcome<()> {
        let mut write = self.0.apim.write("apim.subscriptions.delete").await?;
        lock_as_read(&mut write, old, as_read).await?;
        subscriptions::delete(&mut write, &old.tenant, &old.id).await?;
        let changes = [changed(old, Some(Closed::Removed))];
        self.commit(write, &old.tenant, &changes, ()).await
    }

    /// Locks API and plan; the API must be there to be subscribed to, and offer the plan. The
    /// document is the one that the locked row points at.
    async fn lock_plan(
        &self,
        write: &mut Write,
        subscription: &Subscription,
        policy: &str,
        new: bool,
    ) -> Result<(), DevPortalError> {
        let (tenant, id) = (&subscription.tenant, &subscription.api_id);
        let row = apis::lock(write, tenant, id).await?;
        if new && !row.state.is_listed() && !row.state.takes_subscriptions() {
            // What the portal does not show is not found there.
            return Err(StoreError::NotFound(format!("API {id}")).into());
        }
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
        drop(read);
        let blob = blob.ok_or_else(|| damaged(format!("blob {} is missing", row.document_blob)))?;
        let api: Api =
            serde_json::from_slice(&blob.bytes).map_err(|error| damaged(error.to_string()))?;
        let refused = || DevPortalError::BadField {
            field: "throttlingPolicy",
            problem: format!("the API does not offer the business plan {policy}"),
        };
        if !api.policies.iter().any(|offered| offered == policy) {
            return Err(refused());
        }
        match policies::lock(write, tenant, PolicyLevel::Subscription, policy).await {
            Ok(_) => Ok(()),
            Err(StoreError::NotFound(_)) => Err(refused()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Locks a subscription; where `as_read` says so it must be what its reader has seen.
async fn lock_as_read(
    write: &mut Write,
    old: &Subscription,
    as_read: bool,
) -> Result<(), StoreError> {
    let stored = subscriptions::lock(write, &old.tenant, &old.id).await?;
    if as_read && stored.seen_version() != old.seen_version() {
        return Err(StoreError::Stale);
    }
    Ok(())
}

const fn damaged(reason: String) -> StoreError {
    StoreError::Damaged {
        what: "API",
        reason,
    }
}

fn changed(subscription: &Subscription, closed: Option<Closed>) -> Change {
    Change::SubscriptionChanged {
        subscription_id: subscription.id.clone(),
        api_id: subscription.api_id.clone(),
        application_id: subscription.application_id.clone(),
        closed,
    }
}
