//! The typed client of the Developer Portal, the only door to it. Reads run in the caller's task;
//! what belongs to somebody else is not found.

mod documents;
mod keys;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;
use std::time::Duration;

use cluster::{Address, AskError};
use domain::api::Api;
use domain::application::Application;
use domain::policy::{Policy, PolicyLevel};
use domain::subscription::Subscription;
use storage::apim::api_deployments::{self, DeploymentRow};
use storage::apim::apis::{self, ApiRow, ApiSearch, SortBy};
use storage::apim::applications::{self, Counted, Listing};
use storage::apim::policies;
use storage::apim::subscriptions;
use storage::{Database, StoreError};

use super::definitions::Definitions;
use super::message::{Answer, DevPortalError, Made, PortalMessage};
use crate::change_feed::Changed;
use crate::key_manager::KeyManagerHandle;
use documents::document;

/// The deadline of a change: it may wait for followers, more than once.
const DEADLINE: Duration = Duration::from_secs(15);

type Outcome<T> = Result<T, DevPortalError>;

/// Asks the Developer Portal.
#[derive(Debug, Clone)]
pub struct DevPortalHandle {
    apim: Database,
    shared: Database,
    key_manager: KeyManagerHandle,
    writers: Vec<Address<PortalMessage>>,
    pub(super) definitions: Definitions,
}

// === impl DevPortalHandle ===

impl DevPortalHandle {
    pub(super) fn new(
        apim: Database,
        shared: Database,
        key_manager: KeyManagerHandle,
        writers: Vec<Address<PortalMessage>>,
    ) -> Self {
        Self {
            apim,
            shared,
            key_manager,
            writers,
            definitions: Definitions::default(),
        }
    }

    /// The key manager that serves this portal's keys.
    #[must_use]
    pub const fn key_manager(&self) -> &KeyManagerHandle {
        &self.key_manager
    }

    async fn change<T: Send + 'static>(
        &self,
        key: &str,
        message: impl FnOnce(Answer<T>) -> PortalMessage,
    ) -> Outcome<Changed<T>> {
        let hash = foldhash::fast::FixedState::default().hash_one(key);
        let of = u64::try_from(self.writers.len().max(1)).unwrap_or(1);
        let chosen = usize::try_from(hash % of).unwrap_or(0);
        let writer = self.writers.get(chosen).ok_or(AskError::Unavailable)?;
        writer.ask(DEADLINE, message).await?
    }
}

// APIs.
impl DevPortalHandle {
    /// A page of the APIs that the portal shows.
    ///
    /// # Errors
    /// [`DevPortalError::Store`].
    pub async fn apis(
        &self,
        tenant: &str,
        mut search: ApiSearch,
        page: (usize, usize),
    ) -> Outcome<(Vec<ApiRow>, usize)> {
        search.listed_only = true;
        let mut read = self.apim.read().await?;
        Ok(apis::list(&mut read, tenant, &search, (SortBy::Name, false), page).await?)
    }

    /// An API that the portal shows.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] also for one that is there but not shown.
    pub async fn api(&self, tenant: &str, id: &str) -> Outcome<Api> {
        let row = self.shown(tenant, id).await?;
        let mut api = document(&self.blob(tenant, &row.document_blob).await?)?;
        row.correct(&mut api);
        Ok(api)
    }

    /// Where an API is deployed.
    ///
    /// # Errors
    /// [`DevPortalError::Store`].
    pub async fn deployments(&self, tenant: &str, api_id: &str) -> Outcome<Vec<DeploymentRow>> {
        let mut read = self.apim.read().await?;
        Ok(api_deployments::list(&mut read, tenant, api_id).await?)
    }

    /// APIs by their ids, shown or not; those that are gone are left out.
    ///
    /// # Errors
    /// [`DevPortalError::Store`].
    pub async fn apis_by_id(
        &self,
        tenant: &str,
        ids: BTreeSet<&str>,
    ) -> Outcome<BTreeMap<String, ApiRow>> {
        let mut read = self.apim.read().await?;
        let mut found = BTreeMap::new();
        for id in ids {
            if let Some(row) = apis::find(&mut read, tenant, id).await? {
                found.insert(id.to_owned(), row);
            }
        }
        Ok(found)
    }

    async fn shown(&self, tenant: &str, id: &str) -> Outcome<ApiRow> {
        let mut read = self.apim.read().await?;
        let row = apis::find(&mut read, tenant, id).await?;
        let row = row.filter(|row| row.state.is_listed());
        Ok(row.ok_or_else(|| StoreError::NotFound(format!("API {id}")))?)
    }

    /// The policies of a level, by name.
    ///
    /// # Errors
    /// [`DevPortalError::Store`].
    pub async fn policies(&self, tenant: &str, level: PolicyLevel) -> Outcome<Vec<Policy>> {
        let mut read = self.apim.read().await?;
        Ok(policies::list(&mut read, tenant, level).await?)
    }
}

// Applications.
impl DevPortalHandle {
    /// A page of a user's applications.
    ///
    /// # Errors
    /// [`DevPortalError::Store`].
    pub async fn applications(
        &self,
        tenant: &str,
        owner: &str,
        listing: Listing<'_>,
    ) -> Outcome<(Vec<Counted>, usize)> {
        let mut read = self.apim.read().await?;
        Ok(applications::list(&mut read, tenant, owner, listing).await?)
    }

    /// Applications by their ids, whosesoever; those that are gone are left out.
    ///
    /// # Errors
    /// [`DevPortalError::Store`].
    pub async fn applications_by_id(
        &self,
        tenant: &str,
        ids: BTreeSet<&str>,
    ) -> Outcome<BTreeMap<String, Counted>> {
        let mut read = self.apim.read().await?;
        let mut found = BTreeMap::new();
        for id in ids {
            if let Some(one) = applications::find_counted(&mut read, tenant, id).await? {
                found.insert(id.to_owned(), one);
            }
        }
        Ok(found)
    }

    /// A user's application.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] also for another's.
    pub async fn application(&self, tenant: &str, owner: &str, id: &str) -> Outcome<Application> {
        let mut read = self.apim.read().await?;
        let found = applications::find(&mut read, tenant, id).await?;
        let found = found.filter(|application| application.owner == owner);
        Ok(found.ok_or_else(|| StoreError::NotFound(format!("application {id}")))?)
    }

    /// Makes an application.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`], [`DevPortalError::BadField`].
    pub async fn create_application(&self, new: Application) -> Outcome<Changed<Application>> {
        let key = new.name.clone();
        self.change(&key, |answer| PortalMessage::CreateApplication(new, answer))
            .await
    }

    /// Changes an application; `row_version` must be the stored one, or 0 for any.
    ///
    /// # Errors
    /// [`StoreError::Stale`], [`StoreError::Duplicate`], [`DevPortalError::BadField`].
    pub async fn update_application(&self, new: Application) -> Outcome<Changed<Application>> {
        let key = new.id.clone();
        self.change(&key, |answer| PortalMessage::UpdateApplication(new, answer))
            .await
    }

    /// Removes an application with subscriptions and keys; `row_version` must be the stored one, or
    /// 0 for any.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Stale`].
    pub async fn delete_application(&self, old: Application) -> Outcome<Changed<()>> {
        let key = old.id.clone();
        self.change(&key, |answer| PortalMessage::DeleteApplication(old, answer))
            .await
    }
}

// Subscriptions.
impl DevPortalHandle {
    /// An application's subscriptions.
    ///
    /// # Errors
    /// [`DevPortalError::Store`].
    pub async fn subscriptions(
        &self,
        tenant: &str,
        application_id: &str,
    ) -> Outcome<Vec<Subscription>> {
        let mut read = self.apim.read().await?;
        Ok(subscriptions::list_by_application(&mut read, tenant, application_id).await?)
    }

    /// The subscriptions to an API that a user's applications hold.
    ///
    /// # Errors
    /// [`DevPortalError::Store`].
    pub async fn subscriptions_of_api(
        &self,
        tenant: &str,
        api_id: &str,
        owner: &str,
    ) -> Outcome<Vec<Subscription>> {
        let mut read = self.apim.read().await?;
        Ok(subscriptions::list_by_owner(&mut read, tenant, api_id, owner).await?)
    }

    /// A subscription of one of a user's applications, with that application.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] also for another's.
    pub async fn subscription(
        &self,
        tenant: &str,
        owner: &str,
        id: &str,
    ) -> Outcome<(Subscription, Application)> {
        let gone = || StoreError::NotFound(format!("subscription {id}"));
        let mut read = self.apim.read().await?;
        let found = subscriptions::find(&mut read, tenant, id).await?;
        let found = found.ok_or_else(gone)?;
        let application = applications::find(&mut read, tenant, &found.application_id).await?;
        let application = application.filter(|application| application.owner == owner);
        Ok((found, application.ok_or_else(gone)?))
    }

    /// Subscribes.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`], [`StoreError::NotFound`], [`DevPortalError::BadField`].
    pub async fn create_subscription(&self, new: Subscription) -> Outcome<Changed<Subscription>> {
        let Changed { mut value, applied } = self.create_subscriptions(vec![new]).await?;
        let made = value.pop().ok_or(AskError::Unavailable)?;
        Ok(Changed {
            value: made?,
            applied,
        })
    }

    /// Subscribes several times, waiting for the followers once; what is refused says so in its
    /// place.
    ///
    /// # Errors
    /// A failure that is not the request's; what was made before it stands.
    pub async fn create_subscriptions(
        &self,
        new: Vec<Subscription>,
    ) -> Outcome<Changed<Vec<Made>>> {
        let key = new.first().map(|first| first.application_id.clone());
        self.change(&key.unwrap_or_default(), |answer| {
            PortalMessage::CreateSubscriptions(new, answer)
        })
        .await
    }

    /// Changes a subscription's plan; what is stored must be as it was read where `as_read` says so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Stale`], [`DevPortalError::BadField`].
    pub async fn update_subscription(
        &self,
        subscription: Subscription,
        policy: String,
        as_read: bool,
    ) -> Outcome<Changed<Subscription>> {
        let key = subscription.application_id.clone();
        self.change(&key, |answer| PortalMessage::UpdateSubscription {
            subscription,
            policy,
            as_read,
            answer,
        })
        .await
    }

    /// Unsubscribes; what is stored must be as it was read where `as_read` says so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Stale`].
    pub async fn delete_subscription(
        &self,
        subscription: Subscription,
        as_read: bool,
    ) -> Outcome<Changed<()>> {
        let key = subscription.application_id.clone();
        self.change(&key, |answer| PortalMessage::DeleteSubscription {
            subscription,
            as_read,
            answer,
        })
        .await
    }
}
