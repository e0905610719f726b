//! Blocking subscriptions, and carrying them over to a new version of their API.

use std::collections::HashSet;

use uuid::Uuid;

use domain::api::Api;
use domain::change::{Change, Closed};
use domain::subscription::{Subscription, SubscriptionStatus};
use storage::apim::apis::ApiRow;
use storage::apim::subscriptions;
use storage::{StoreError, Write};

use super::Stores;
use super::apis::commit;
use super::error::PublisherError;
use super::message::{Author, Committed};

/// The most subscriptions that one entry of the change log tells of.
const AT_ONCE: usize = 1_000;

/// Sets what a subscription allows: blocked, blocked for production keys, or everything. Gives
/// what is to be seen of it then ([`Subscription::seen_version`]).
pub(super) async fn set(
    stores: &Stores,
    author: &Author,
    id: &str,
    status: SubscriptionStatus,
    expected: &[i64],
) -> Result<Committed<i64>, PublisherError> {
    let mut write = stores.apim.write("apim.subscriptions.block").await?;
    let found = subscriptions::lock(&mut write, &author.tenant, id).await;
    let found = found.map_err(|error| match error {
        StoreError::NotFound(_) => PublisherError::NotFound {
            what: "subscription",
            id: id.to_owned(),
        },
        other => other.into(),
    })?;
    if !expected.is_empty() && !expected.contains(&found.seen_version()) {
        return Err(PublisherError::Stale);
    }
    let seen_version = Subscription {
        status,
        ..found.clone()
    }
    .seen_version();
    subscriptions::set_status(&mut write, &author.tenant, id, status).await?;
    let change = Change::SubscriptionChanged {
        subscription_id: found.id,
        api_id: found.api_id,
        application_id: found.application_id,
        closed: Closed::by(status),
    };
    let n = commit(stores, write, &author.tenant, &[change]).await?;
    Ok(Committed {
        value: seen_version,
        n,
    })
}

/// Gives the subscribers of the version before the same subscription to `api`, as far as it
/// offers their plan. There may be tens of thousands, and nobody else writes meanwhile: one entry
/// tells of many.
pub(super) async fn carry_over(
    write: &mut Write,
    from: &ApiRow,
    api: &Api,
    now_ms: i64,
) -> Result<Vec<Change>, PublisherError> {
    let mut carried = Vec::new();
    let had: HashSet<String> = subscriptions::list_for_change(write, &api.tenant, &api.id)
        .await?
        .into_iter()
        .map(|subscription| subscription.application_id)
        .collect();
    for mut subscription in subscriptions::list_for_change(write, &from.tenant, &from.id).await? {
        if had.contains(&subscription.application_id)
            || !api.policies.contains(&subscription.policy)
        {
            continue;
        }
        subscription.id = Uuid::new_v4().to_string();
        subscription.api_id.clone_from(&api.id);
        subscription.created_at_ms = now_ms;
        subscriptions::create(write, &subscription).await?;
        carried.push(subscription.application_id);
    }
    let changes = carried
        .chunks(AT_ONCE)
        .map(|ids| Change::SubscriptionsMade {
            api_id: api.id.clone(),
            application_ids: ids.to_vec(),
        });
    Ok(changes.collect())
}
