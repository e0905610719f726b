//! The typed client of the publisher, the only door to it.

use std::hash::BuildHasher as _;
use std::time::Duration;

use cluster::Address;
use domain::api::{Api, ApiScope};
use domain::openapi::{Definition, DefinitionError, DescribedOperation, ValidationReport};
use domain::policy::{Policy, PolicyLevel, UNLIMITED};
use domain::subscription::SubscriptionStatus;
use storage::apim::api_deployments::DeploymentRow;
use storage::apim::api_lifecycle::LifecycleRow;
use storage::apim::api_revisions::RevisionRow;
use storage::apim::apis::{ApiRow, ApiSearch, SortBy};
use storage::apim::subscriptions::Subscriber;
use storage::apim::{api_deployments, api_lifecycle, api_revisions, apis, policies, subscriptions};

use super::error::PublisherError;
use super::message::{
    Answer, Author, DefinitionDocument, Edition, NewApi, Order, RevisionDeployments, Step, Target,
    Wanted,
};
use super::reading::Placed;
use super::{PublisherSettings, Stores, documents, edit};
use crate::change_feed::Saved;

/// The deadline of one change, its wait for followers included.
const DEADLINE: Duration = Duration::from_secs(30);

type Outcome<T> = Result<T, PublisherError>;

/// Reads and changes APIs.
#[derive(Debug, Clone)]
pub struct PublisherHandle {
    pub(super) stores: Stores,
    writers: Vec<Address<Order>>,
}

// === impl PublisherHandle: changes ===

impl PublisherHandle {
    pub(super) const fn new(stores: Stores, writers: Vec<Address<Order>>) -> Self {
        Self { stores, writers }
    }

    /// What the configuration decides.
    #[must_use]
    pub const fn settings(&self) -> PublisherSettings {
        self.stores.settings
    }

    /// Makes an API (`POST /apis`, `POST /apis/import-openapi`).
    ///
    /// # Errors
    /// [`PublisherError::Invalid`], [`PublisherError::Conflict`] when name or context is taken.
    pub async fn create(&self, author: Author, new: NewApi) -> Outcome<Saved<Api>> {
        let key = new.api.name.to_lowercase();
        self.order(&key, |reply| Order::Create(author, Box::new(new), reply))
            .await
    }

    /// Replaces an API (`PUT /apis/{apiId}`).
    ///
    /// # Errors
    /// [`PublisherError::NotFound`], [`PublisherError::Stale`], [`PublisherError::Invalid`],
    /// [`PublisherError::Definition`] when its definition cannot take the operations,
    /// [`PublisherError::Busy`] when too many definitions are being read.
    pub async fn update(&self, edition: Edition, wanted: Wanted) -> Outcome<Saved<Api>> {
        for _ in 0..edit::ATTEMPTS {
            let change = edit::work_out(&self.stores, &edition, wanted.clone()).await?;
            let (change, edition) = (Box::new(change), edition.clone());
            let key = edition.api_id.clone();
            let order = |reply| Order::Update(edition, change, reply);
            let Saved { value, applied } = self.order(&key, order).await?;
            if let Some(value) = value {
                return Ok(Saved { value, applied });
            }
        }
        Err(edit::overtaken())
    }

    /// Replaces an API's definition and with it its operations (`PUT /apis/{apiId}/swagger`); what
    /// it does not say of an operation stays, and `scopes` are added to those that the API has.
    ///
    /// # Errors
    /// As [`PublisherHandle::update`].
    pub async fn save_definition(
        &self,
        edition: Edition,
        definition: Placed,
        described: Vec<DescribedOperation>,
        scopes: Vec<ApiScope>,
    ) -> Outcome<Saved<Api>> {
        let key = edition.api_id.clone();
        let content = Box::new((definition, described, scopes));
        self.order(&key, |reply| Order::SaveDefinition(edition, content, reply))
            .await
    }

    /// Makes another version of an API (`POST /apis/copy-api`).
    ///
    /// # Errors
    /// As [`PublisherHandle::create`], and [`PublisherError::NotFound`].
    pub async fn copy(
        &self,
        edition: Edition,
        version: String,
        default: bool,
    ) -> Outcome<Saved<Api>> {
        let key = edition.api_id.clone();
        self.order(&key, |reply| Order::Copy(edition, version, default, reply))
            .await
    }

    /// Removes an API (`DELETE /apis/{apiId}`).
    ///
    /// # Errors
    /// [`PublisherError::Conflict`] while it has subscriptions.
    pub async fn delete(&self, edition: Edition) -> Outcome<Saved<()>> {
        let key = edition.api_id.clone();
        self.order(&key, |reply| Order::Delete(edition, reply))
            .await
    }

    /// Moves an API along its lifecycle (`POST /apis/change-lifecycle`).
    ///
    /// # Errors
    /// [`PublisherError::Invalid`] when the action leads nowhere from the API's state.
    pub async fn change_lifecycle(&self, edition: Edition, step: Step) -> Outcome<Saved<Api>> {
        let key = edition.api_id.clone();
        self.order(&key, |reply| Order::Move(edition, step, reply))
            .await
    }

    /// Freezes an API (`POST /apis/{apiId}/revisions`).
    ///
    /// # Errors
    /// [`PublisherError::TooManyRevisions`].
    pub async fn create_revision(
        &self,
        edition: Edition,
        description: String,
    ) -> Outcome<RevisionRow> {
        let key = edition.api_id.clone();
        let order = |reply| Order::CreateRevision(edition, description, reply);
        Ok(self.order(&key, order).await?.value)
    }

    /// Removes a revision.
    ///
    /// # Errors
    /// [`PublisherError::Deployed`].
    pub async fn delete_revision(&self, edition: Edition, id: String) -> Outcome<()> {
        let key = edition.api_id.clone();
        let order = |reply| Order::DeleteRevision(edition, id, reply);
        self.order(&key, order).await.map(drop)
    }

    /// Makes the API what its revision froze (`POST /apis/{apiId}/restore-revision`).
    ///
    /// # Errors
    /// [`PublisherError::NotFound`].
    pub async fn restore_revision(&self, edition: Edition, id: String) -> Outcome<Api> {
        let key = edition.api_id.clone();
        let order = |reply| Order::RestoreRevision(edition, id, reply);
        Ok(self.order(&key, order).await?.value)
    }

    /// Deploys a revision; gives its deployments.
    ///
    /// # Errors
    /// [`PublisherError::Invalid`] for an environment or virtual host that does not exist.
    pub async fn deploy(
        &self,
        edition: Edition,
        id: String,
        targets: Vec<Target>,
    ) -> Outcome<Saved<Vec<DeploymentRow>>> {
        let key = edition.api_id.clone();
        self.order(&key, |reply| Order::Deploy(edition, id, targets, reply))
            .await
    }

    /// Takes a revision (any when none) out of environments (all when none); gives what of the
    /// API is still deployed.
    ///
    /// # Errors
    /// [`PublisherError::NotFound`] for an environment that it is not deployed to.
    pub async fn undeploy(
        &self,
        edition: Edition,
        id: Option<String>,
        targets: Option<Vec<Target>>,
    ) -> Outcome<Saved<Vec<DeploymentRow>>> {
        let key = edition.api_id.clone();
        let order = |reply| Order::Undeploy(edition, id, targets, reply);
        self.order(&key, order).await
    }

    /// Sets what a subscription allows, if it is one of those that the person has seen (`expected`,
    /// empty when any will do); gives its new [`seen_version`].
    ///
    /// # Errors
    /// [`PublisherError::NotFound`], [`PublisherError::Stale`].
    ///
    /// [`seen_version`]: domain::subscription::Subscription::seen_version
    pub async fn set_subscription(
        &self,
        author: Author,
        id: String,
        status: SubscriptionStatus,
        expected: Vec<i64>,
    ) -> Outcome<Saved<i64>> {
        let key = id.clone();
        let order = |reply| Order::SetSubscription(author, id, status, expected, reply);
        self.order(&key, order).await
    }

    async fn order<T: Send + 'static>(
        &self,
        key: &str,
        order: impl FnOnce(Answer<T>) -> Order,
    ) -> Outcome<Saved<T>> {
        let hash = foldhash::fast::FixedState::default().hash_one(key);
        let count = u64::try_from(self.writers.len().max(1)).unwrap_or(1);
        let chosen = usize::try_from(hash % count).unwrap_or(0);
        match self.writers.get(chosen) {
            Some(writer) => writer.ask(DEADLINE, order).await?,
            None => Err(PublisherError::Ask(cluster::AskError::Unavailable)),
        }
    }
}

// === impl PublisherHandle: reads ===

impl PublisherHandle {
    /// One page of the APIs that `search` finds, and how many there are in all.
    ///
    /// # Errors
    /// [`PublisherError::Store`].
    pub async fn list(
        &self,
        tenant: &str,
        search: &ApiSearch,
        order: (SortBy, bool),
        page: (usize, usize),
    ) -> Outcome<(Vec<ApiRow>, usize)> {
        let mut read = self.stores.apim.read().await?;
        Ok(apis::list(&mut read, tenant, search, order, page).await?)
    }

    /// The API with this id.
    ///
    /// # Errors
    /// [`PublisherError::NotFound`].
    pub async fn get(&self, tenant: &str, id: &str) -> Outcome<Api> {
        let row = self.row(tenant, id).await?;
        documents::load(&self.stores, &row).await
    }

    /// The row of the API with this id.
    ///
    /// # Errors
    /// [`PublisherError::NotFound`].
    pub async fn row(&self, tenant: &str, id: &str) -> Outcome<ApiRow> {
        let mut read = self.stores.apim.read().await?;
        let row = apis::find(&mut read, tenant, id).await?;
        row.ok_or_else(|| PublisherError::no_api(id))
    }

    /// An API's definition, byte for byte as it came, with its row.
    ///
    /// # Errors
    /// [`PublisherError::NotFound`].
    pub async fn definition(
        &self,
        tenant: &str,
        id: &str,
    ) -> Outcome<(ApiRow, DefinitionDocument)> {
        let row = self.row(tenant, id).await?;
        let blob = &row.definition_blob;
        let definition = documents::load_definition(&self.stores, tenant, blob).await?;
        Ok((row, definition))
    }

    /// An API's steps in its lifecycle, oldest first, with its row.
    ///
    /// # Errors
    /// [`PublisherError::NotFound`].
    pub async fn history(&self, tenant: &str, id: &str) -> Outcome<(ApiRow, Vec<LifecycleRow>)> {
        let mut read = self.stores.apim.read().await?;
        let row = apis::find(&mut read, tenant, id).await?;
        let row = row.ok_or_else(|| PublisherError::no_api(id))?;
        let steps = api_lifecycle::list(&mut read, tenant, id).await?;
        Ok((row, steps))
    }

    /// An API's revisions, oldest first, and where each is deployed.
    ///
    /// # Errors
    /// [`PublisherError::NotFound`].
    pub async fn revisions(&self, tenant: &str, id: &str) -> Outcome<Vec<RevisionDeployments>> {
        let mut read = self.stores.apim.read().await?;
        if apis::find(&mut read, tenant, id).await?.is_none() {
            return Err(PublisherError::no_api(id));
        }
        let revisions = api_revisions::list(&mut read, tenant, id).await?;
        let deployed = api_deployments::list(&mut read, tenant, id).await?;
        let revisions = revisions.into_iter().map(|revision| {
            let of_it = |one: &&DeploymentRow| one.revision_id == revision.id;
            let deployments = deployed.iter().filter(of_it).cloned().collect();
            RevisionDeployments {
                revision,
                deployments,
            }
        });
        Ok(revisions.collect())
    }

    /// One page of the subscriptions of an API (of all when `api_id` is empty) whose application,
    /// owner or plan contains `words`, and their number.
    ///
    /// # Errors
    /// [`PublisherError::NotFound`] when there is no such API.
    pub async fn subscriptions(
        &self,
        tenant: &str,
        api_id: &str,
        words: &str,
        page: (usize, usize),
    ) -> Outcome<(Vec<Subscriber>, usize)> {
        let mut read = self.stores.apim.read().await?;
        if !api_id.is_empty() && apis::find(&mut read, tenant, api_id).await?.is_none() {
            return Err(PublisherError::no_api(api_id));
        }
        Ok(subscriptions::list_by_api(&mut read, tenant, api_id, words, page).await?)
    }

    /// The throttling policies of a level.
    ///
    /// # Errors
    /// [`PublisherError::Store`].
    pub async fn policies(&self, tenant: &str, level: PolicyLevel) -> Outcome<Vec<Policy>> {
        let mut read = self.stores.apim.read().await?;
        Ok(policies::list(&mut read, tenant, level).await?)
    }

    /// Reads a definition; gives it with the place that it takes until it is stored.
    ///
    /// # Errors
    /// [`PublisherError::Definition`] with the first fault and where it is,
    /// [`PublisherError::Busy`] when too many are being read or on their way to be stored.
    pub async fn read_definition(
        &self,
        tenant: &str,
        bytes: Vec<u8>,
    ) -> Outcome<(Definition, Placed)> {
        let (definition, placed) = self.stores.reading.read(bytes).await?;
        match self.unknown_tiers(tenant, &definition).await? {
            faults if faults.is_empty() => Ok((definition, placed)),
            faults => Err(PublisherError::Definition(faults)),
        }
    }

    /// Validates a definition.
    ///
    /// # Errors
    /// [`PublisherError::Store`], [`PublisherError::Internal`].
    pub async fn validate_definition(
        &self,
        tenant: &str,
        bytes: Vec<u8>,
    ) -> Outcome<ValidationReport> {
        let mut report = self.stores.reading.validate(bytes).await?;
        if let Some(definition) = &report.info {
            let faults = self.unknown_tiers(tenant, definition).await?;
            report.valid &= faults.is_empty();
            report.errors.extend(faults);
        }
        Ok(report)
    }

    /// The operations whose throttling policy does not exist.
    async fn unknown_tiers(
        &self,
        tenant: &str,
        definition: &Definition,
    ) -> Outcome<Vec<DefinitionError>> {
        let known = self.policies(tenant, PolicyLevel::Api).await?;
        let is_known =
            |name: &str| name == UNLIMITED || known.iter().any(|policy| policy.name == name);
        Ok(definition.unknown_tiers(is_known))
    }
}
