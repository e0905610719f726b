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
    /// `row_version` must be the stored one, 0 for any.
    DeleteApplication(Application, Answer<()>),
    /// Makes subscriptions, each on its own; those that are refused say so in their place.
    CreateSubscriptions(Vec<Subscription>, Answer<Vec<Made>>),
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
    Keys(KeysMessage),
    ApiKeys(ApiKeyMessage),
}

/// A change of an application's keys.
pub(super) enum KeysMessage {
    /// Makes a client and maps it to an application; gives its secret, shown this once.
    Create {
        application: Application,
        key_type: KeyType,
        client: NewClient,
        properties: String,
        answer: Answer<(ApplicationKey, Client, String)>,
    },
    /// What is stored must be as it was read where that is given.
    Update {
        key: ApplicationKey,
        client: Client,
        as_read: Option<Box<(ApplicationKey, Client)>>,
        answer: Answer<(ApplicationKey, Client)>,
    },
    /// What is stored must be `key` where `as_read` says so.
    Delete {
        key: ApplicationKey,
        as_read: bool,
        answer: Answer<()>,
    },
}

/// A change of API keys. What is stored must be `key` where `as_read` says so.
pub(super) enum ApiKeyMessage {
    /// Makes an API key; answers the key itself, shown this once.
    Create(NewApiKey, Answer<String>),
    Regenerate {
        key: ApiKey,
        as_read: bool,
        answer: Answer<String>,
    },
    Revoke {
        key: ApiKey,
        as_read: bool,
        answer: Answer<()>,
    },
    Associate {
        key: ApiKey,
        application_id: Option<String>,
        as_read: bool,
        answer: Answer<()>,
    },
}

/// A subscription that was made, or why not.
pub type Made = Result<Subscription, DevPortalError>;

pub(super) type Answer<T> = Reply<Result<Changed<T>, DevPortalError>>;

// === impl PortalMessage ===

impl PortalMessage {
    /// Whether whoever asked has given up before it was begun: they may have decided otherwise
    /// since.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::CreateApplication(_, answer) | Self::UpdateApplication(_, answer) => {
                answer.is_abandoned()
            }
            Self::DeleteApplication(_, answer) | Self::DeleteSubscription { answer, .. } => {
                answer.is_abandoned()
            }
            Self::CreateSubscriptions(_, answer) => answer.is_abandoned(),
            Self::UpdateSubscription { answer, .. } => answer.is_abandoned(),
            Self::Keys(work) => work.is_abandoned(),
            Self::ApiKeys(work) => work.is_abandoned(),
        }
    }
}

// === impl ApiKeyMessage ===

impl ApiKeyMessage {
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Create(_, answer) | Self::Regenerate { answer, .. } => answer.is_abandoned(),
            Self::Revoke { answer, .. } | Self::Associate { answer, .. } => answer.is_abandoned(),
        }
    }
}

// === impl KeysMessage ===

impl KeysMessage {
    /// Whether whoever asked has given up before it was begun.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Create { answer, .. } => answer.is_abandoned(),
            Self::Update { answer, .. } => answer.is_abandoned(),
            Self::Delete { answer, .. } => answer.is_abandoned(),
        }
    }

    /// Whose keys are changed.
    pub(super) fn application_id(&self) -> &str {
        match self {
            Self::Create { application, .. } => &application.id,
            Self::Update { key, .. } | Self::Delete { key, .. } => &key.application_id,
        }
    }
}

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
    /// So many definitions are being asked for that this one must come later.
    #[error("too many definitions are being read at once, try again in a moment")]
    Busy,
    /// A member of the request is wrong.
    #[error("{field}: {problem}")]
    BadField {
        /// The member.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
}

// === impl DevPortalError ===

impl DevPortalError {
    /// Whether the request is at fault, so that it fares the same when it is repeated.
    pub(super) const fn is_of_request(&self) -> bool {
        match self {
            Self::BadField { .. } => true,
            Self::Store(error) => matches!(
                error,
                StoreError::Duplicate(_)
                    | StoreError::Stale
                    | StoreError::NotFound(_)
                    | StoreError::Forbidden(_)
            ),
            Self::KeyManager(refused) => !matches!(refused, Refused::Unavailable),
            Self::Ask(_) | Self::Busy => false,
        }
    }
}
