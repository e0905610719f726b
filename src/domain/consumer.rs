//! What a key manager said about whom tokens are issued to (S4): a client, and the application behind it with its
//! subscriptions. It says nothing of any token, so a gateway can keep it and judge by it the tokens that it verifies
//! itself while no key manager answers.

use serde::{Deserialize, Serialize};

use crate::application::KeyType;
use crate::validation::{Grant, GrantKind, GrantedApplication, GrantedSubscription};

/// A client and what it may call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// Tenant domain.
    pub tenant: String,
    /// The client's consumer key.
    pub consumer_key: String,
    /// Production or sandbox.
    pub key_type: KeyType,
    /// The application; none for a client that serves none.
    pub application: Option<GrantedApplication>,
    /// The application's subscriptions.
    pub subscriptions: Vec<GrantedSubscription>,
}

/// A client as a key manager described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Who it is and what it may call.
    pub consumer: Consumer,
    /// The number of the change log at which it was true.
    pub n: u64,
    /// When it was said last, milliseconds since the epoch.
    pub said_at_ms: i64,
}

// === impl Consumer ===

impl Consumer {
    /// Of whom a grant speaks; none for an API key, which no client was issued.
    #[must_use]
    pub fn of(grant: &Grant) -> Option<Self> {
        let is_client = grant.kind != GrantKind::ApiKey && !grant.consumer_key.is_empty();
        is_client.then(|| Self {
            tenant: grant.tenant.clone(),
            consumer_key: grant.consumer_key.clone(),
            key_type: grant.key_type,
            application: grant.application.clone(),
            subscriptions: grant.subscriptions.clone(),
        })
    }

    /// Whether a grant says the same.
    #[must_use]
    pub fn is_of(&self, grant: &Grant) -> bool {
        self.consumer_key == grant.consumer_key
            && self.tenant == grant.tenant
            && self.key_type == grant.key_type
            && self.application == grant.application
            && self.subscriptions == grant.subscriptions
    }

    /// The application's id; empty where there is none.
    #[must_use]
    pub fn application_id(&self) -> &str {
        let application = self.application.as_ref();
        application.map_or("", |known| known.id.as_str())
    }
}
