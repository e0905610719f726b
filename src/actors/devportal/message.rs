//! What the writers of the Developer Portal are told.

use cluster::{AskError, Reply};
use domain::application::{Application, KeyType};
use domain::subscription::Subscription;
use storage::StoreError;
use storage::apim::api_keys::ApiKey;
use storage::apim::application_keys::ApplicationKey;

use crate::change_feed::Changed;
use crate::key_manager::command::{Client, NewClient, Refused};

/// A change of the portal's nouns. Whoever sends it has checked that the caller may.
pub(super) enum PortalMessage {
    CreateApplication(Application, Answer<Application>),
    /// `row_version` must be the stored one, 0 for any.
    UpdateApplication(Application, Answer<Application>),
    DeleteApplication(Application, Answer<()>),
    CreateSubscription(Subscription, Answer<Subscription>),
    /// What is stored must be as it was read where `as_read` says so.
    UpdateSubscription {
        subscription: Subscription,
        policy: String,
        as_read: bool,
        answer: Answer<Subscription>,
    },
    DeleteSubscription {
        subscription: Subscription,
        as_read: bool,
        answer: Answer<()>,
    },
    /// Makes a client and maps it to an application.
    CreateKeys {
        application: Application,
        key_type: KeyType,
        client: NewClient,
        properties: String,
        answer: Reply<Result<(ApplicationKey, Client, String), DevPortalError>>,
    },
    UpdateKeys {
        key: ApplicationKey,
        client: Client,
        answer: Reply<Result<(ApplicationKey, Client), DevPortalError>>,
    },
    DeleteKeys(ApplicationKey, Answer<()>),
    /// Makes an API key; answers the key itself, shown this once.
    CreateApiKey(NewApiKey, Answer<String>),
    RegenerateApiKey(ApiKey, Answer<String>),
    RevokeApiKey(ApiKey, Answer<()>),
    AssociateApiKey {
        key: ApiKey,
        application_id: Option<String>,
        answer: Answer<()>,
    },
}

pub(super) type Answer<T> = Reply<Result<Changed<T>, DevPortalError>>;

/// An API key to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// Tenant domain.
    pub tenant: String,
    /// Unique per API and owner.
    pub name: String,
    /// Production or sandbox.
    pub key_type: KeyType,
    /// The API it opens.
    pub api_id: String,
    /// The application it is associated with.
    pub application_id: Option<String>,
    /// The user who makes it.
    pub owner: String,
    /// Separated by commas; empty for all.
    pub permitted_ips: String,
    /// Separated by commas; empty for all.
    pub permitted_referers: String,
    /// Seconds; -1 for a key without end.
    pub validity_seconds: i64,
}

/// Why a change or question of the portal failed.
#[derive(Debug, thiserror::Error)]
pub enum DevPortalError {
    /// What the store says.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The writer does not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// What the key manager says.
    #[error(transparent)]
    KeyManager(#[from] Refused),
    /// A member of the request is wrong.
    #[error("{field}: {problem}")]
    BadField {
        /// The member.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
}
