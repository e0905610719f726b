//! A change of the control plane as an entry of the change log (C2) and what it says.

use serde::{Deserialize, Serialize};

use crate::artifact::Artifact;
use crate::deny_policy::DenyPolicy;
use crate::lifecycle::LifecycleState;
use crate::policy::{Policy, PolicyLevel};
use crate::subscription::SubscriptionStatus;

/// One numbered entry of the change log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number; number order is commit order (C1).
    pub n: u64,
    /// Tells this entry from another one with the same number after a restored backup (C2).
    pub uuid: String,
    /// The kind of change, as [`Change::kind`] names it.
    pub kind: String,
    /// Tenant domain.
    pub tenant: String,
    /// The [`Change`] as JSON text.
    pub payload: String,
    /// When it was committed, milliseconds since the epoch.
    pub at_ms: i64,
}

/// The kinds of change, each with the first version of the protocol between nodes that reads it. It is written by the
/// version after that and not before: then every member there can be reads it, and no gateway has to pass over what
/// ends an access (M1). So it goes for whatever is new in a kind that is known, too: a new value, or a new field that ends
/// something, is a kind of its own here, for who is a version behind stops before the one and does not see the other.
pub const KINDS: [(&str, u16); 18] = [
    ("api_deployed", 1),
    ("api_undeployed", 1),
    ("api_state_changed", 1),
    ("default_version_changed", 1),
    ("application_changed", 1),
    ("application_removed", 1),
    ("subscription_changed", 1),
    ("subscriptions_made", 1),
    ("client_changed", 1),
    ("token_revoked", 1),
    ("issued_before", 1),
    ("api_key_changed", 1),
    ("policy_saved", 1),
    ("policy_removed", 1),
    ("deny_policy_saved", 1),
    ("deny_policy_removed", 1),
    ("user_changed", 1),
    ("verification_keys_changed", 1),
];

/// Kinds that this version of the protocol and those before it read are written: that before the version of this build.
pub const WRITTEN: u16 = 2;

/// Stands in the place of an entry that no message holds; it says nothing.
pub const LEFT_OUT: &str = "left_out";

/// What changed. A gateway that does not know a kind stays where it is, and acknowledges nothing from there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A revision was deployed; replaces what the API had in that environment.
    ApiDeployed {
        /// What to serve from now on.
        artifact: Box<Artifact>,
    },
    /// An API was taken out of an environment.
    ApiUndeployed {
        /// The API.
        api_id: String,
        /// The environment.
        environment: String,
    },
    /// An API moved in its lifecycle.
    ApiStateChanged {
        /// The API.
        api_id: String,
        /// Its new state.
        state: LifecycleState,
    },
    /// Another version became the default one, or none is any more.
    DefaultVersionChanged {
        /// The API that answers (or does not any more) without its version.
        api_id: String,
        /// The context without version, none when it is not the default any more.
        default_context: Option<String>,
    },
    /// An application was changed (plan, name, owner, status).
    ApplicationChanged {
        /// The application.
        application_id: String,
    },
    /// An application and its keys are gone.
    ApplicationRemoved {
        /// The application.
        application_id: String,
    },
    /// A subscription was made, changed, blocked, unblocked or removed.
    SubscriptionChanged {
        /// The subscription.
        subscription_id: String,
        /// Its API.
        api_id: String,
        /// Its application.
        application_id: String,
        /// What it lets through no more from this change on; none where it does, or where an older
        /// version does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        closed: Option<Closed>,
    },
    /// Subscriptions to an API were made for many applications at once.
    SubscriptionsMade {
        /// The API.
        api_id: String,
        /// The applications.
        application_ids: Vec<String>,
    },
    /// A client was made, changed or removed, or its secret was replaced.
    ClientChanged {
        /// The consumer key.
        consumer_key: String,
        /// The application it belongs to, if it belongs to one.
        application_id: Option<String>,
    },
    /// One access token is revoked (S4): by `jti` for signed ones, by hash for opaque ones.
    TokenRevoked {
        /// Issuer of a signed token; empty for an opaque one.
        issuer: String,
        /// `jti`, or the SHA-256 of an opaque token in lower-case hex.
        token_id: String,
        /// When it would have expired anyway, milliseconds since the epoch.
        expires_at_ms: i64,
    },
    /// Everything issued to a subject before a moment is revoked (S4).
    IssuedBefore {
        /// What the mark is on.
        subject: MarkedSubject,
        /// Its id.
        id: String,
        /// Tokens issued before this are refused, milliseconds since the epoch.
        before_ms: i64,
        /// When the last of them will have expired, milliseconds since the epoch.
        until_ms: i64,
    },
    /// An API key was made, changed or revoked.
    ApiKeyChanged {
        /// The SHA-256 of the key in lower-case hex.
        key_hash: String,
        /// Its API.
        api_id: String,
        /// Whether it is revoked by this change.
        revoked: bool,
    },
    /// A throttling policy was made or changed.
    PolicySaved {
        /// The policy.
        policy: Box<Policy>,
    },
    /// A throttling policy is gone.
    PolicyRemoved {
        /// Its level.
        level: PolicyLevel,
        /// Its name.
        name: String,
    },
    /// A deny policy was made or changed.
    DenyPolicySaved {
        /// The policy.
        policy: DenyPolicy,
    },
    /// A deny policy is gone.
    DenyPolicyRemoved {
        /// Its id.
        id: String,
    },
    /// A user was changed (roles, password, lock) or removed; relayed from the Shared DB (C5).
    UserChanged {
        /// The user.
        user: String,
        /// Whether the user is gone.
        removed: bool,
    },
    /// The verification keys of the resident key manager, as a JWK set.
    VerificationKeysChanged {
        /// The key set as JSON text.
        jwks: String,
    },
}

/// How a change closes a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// It is gone.
    Removed,
    /// It lets nothing through.
    Blocked,
    /// It lets nothing through but calls with sandbox keys.
    ProductionBlocked,
}

/// What an issued-before mark is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkedSubject {
    /// A user.
    User,
    /// An application.
    Application,
    /// A consumer key.
    Client,
    /// A chain of refreshed tokens.
    Session,
    /// Every session of a user: what was issued for the user's password.
    Login,
}

// === impl Closed ===

impl Closed {
    /// What a subscription that has this status now is closed by.
    #[must_use]
    pub const fn by(status: SubscriptionStatus) -> Option<Self> {
        match status {
            SubscriptionStatus::Blocked => Some(Self::Blocked),
            SubscriptionStatus::ProdOnlyBlocked => Some(Self::ProductionBlocked),
            SubscriptionStatus::Unblocked
            | SubscriptionStatus::OnHold
            | SubscriptionStatus::Rejected
            | SubscriptionStatus::TierUpdatePending => None,
        }
    }
}

// === impl MarkedSubject ===

impl MarkedSubject {
    /// The word for it, in rows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Application => "application",
            Self::Client => "client",
            Self::Session => "session",
            Self::Login => "login",
        }
    }
}

// === impl Change ===

impl Change {
    /// Whether every member that there can be reads it (M1), by a table such as [`KINDS`].
    #[must_use]
    pub fn may_be_written(&self, kinds: &[(&str, u16)]) -> bool {
        let mut kinds = kinds.iter();
        kinds.any(|(kind, since)| *kind == self.kind() && *since <= WRITTEN)
    }

    /// The kind, as it stands in the entry.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ApiDeployed { .. } => "api_deployed",
            Self::ApiUndeployed { .. } => "api_undeployed",
            Self::ApiStateChanged { .. } => "api_state_changed",
            Self::DefaultVersionChanged { .. } => "default_version_changed",
            Self::ApplicationChanged { .. } => "application_changed",
            Self::ApplicationRemoved { .. } => "application_removed",
            Self::SubscriptionChanged { .. } => "subscription_changed",
            Self::SubscriptionsMade { .. } => "subscriptions_made",
            Self::ClientChanged { .. } => "client_changed",
            Self::TokenRevoked { .. } => "token_revoked",
            Self::IssuedBefore { .. } => "issued_before",
            Self::ApiKeyChanged { .. } => "api_key_changed",
            Self::PolicySaved { .. } => "policy_saved",
            Self::PolicyRemoved { .. } => "policy_removed",
            Self::DenyPolicySaved { .. } => "deny_policy_saved",
            Self::DenyPolicyRemoved { .. } => "deny_policy_removed",
            Self::UserChanged { .. } => "user_changed",
            Self::VerificationKeysChanged { .. } => "verification_keys_changed",
        }
    }
}

// === impl Entry ===

impl Entry {
    /// Whether this version understands what it says, or it says nothing.
    #[must_use]
    pub fn is_understood(&self) -> bool {
        self.kind == LEFT_OUT || self.change().is_some()
    }

    /// Reads what the entry says; none when this version does not know the kind.
    #[must_use]
    pub fn change(&self) -> Option<Change> {
        serde_json::from_str(&self.payload).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_what_was_written_and_an_unknown_kind_is_none() {
        let change = Change::TokenRevoked {
            issuer: "https://localhost:9443/oauth2/token".to_owned(),
            token_id: "1".to_owned(),
            expires_at_ms: 7,
        };
        let mut entry = Entry {
            n: 1,
            uuid: "u".to_owned(),
            kind: change.kind().to_owned(),
            tenant: "carbon.super".to_owned(),
            payload: serde_json::to_string(&change).unwrap(),
            at_ms: 0,
        };
        assert!(entry.payload.contains("\"kind\":\"token_revoked\""));
        assert_eq!(entry.change(), Some(change));
        entry.payload = "{\"kind\":\"moon_phase\"}".to_owned();
        assert_eq!(entry.change(), None);
        assert!(!entry.is_understood());
        // Of a kind that is known, and of something that is not.
        entry.kind = "api_state_changed".to_owned();
        entry.payload =
            r#"{"kind":"api_state_changed","api_id":"a","state":"ORBITING"}"#.to_owned();
        assert!(!entry.is_understood());
        entry.kind = LEFT_OUT.to_owned();
        assert!(entry.is_understood());
    }

    #[test]
    fn every_kind_has_the_version_that_reads_it_first() {
        let unknown = serde_json::from_str::<Change>("{\"kind\":\"moon_phase\"}");
        let told = unknown.unwrap_err().to_string();
        let (_, all) = told.split_once("expected one of ").unwrap();
        let all: Vec<_> = all
            .split('`')
            .filter(|part| KINDS.iter().any(|(kind, _)| kind == part))
            .collect();
        assert_eq!(all, KINDS.map(|(kind, _)| kind), "{told}");
        assert_eq!(told.matches('`').count(), 2 * KINDS.len() + 2, "{told}");
    }

    #[test]
    fn a_kind_is_written_a_version_after_it_is_read_first() {
        let change = Change::VerificationKeysChanged {
            jwks: "{}".to_owned(),
        };
        let since = |since| change.may_be_written(&[("user_changed", 1), (change.kind(), since)]);
        assert!(since(WRITTEN));
        assert!(!since(WRITTEN + 1));
        assert!(!change.may_be_written(&[("user_changed", 1)]));
        assert!(change.may_be_written(&KINDS));
    }

    #[test]
    fn what_closes_a_subscription_is_said_and_an_entry_of_an_older_version_says_nothing_of_it() {
        let change = |closed| Change::SubscriptionChanged {
            subscription_id: "s".to_owned(),
            api_id: "a".to_owned(),
            application_id: "b".to_owned(),
            closed,
        };
        let text = |change: &Change| serde_json::to_string(change).unwrap();
        let old = r#"{"kind":"subscription_changed","subscription_id":"s","api_id":"a","application_id":"b"}"#;
        assert_eq!(text(&change(None)), old);
        assert_eq!(serde_json::from_str::<Change>(old).unwrap(), change(None));
        let closed = Closed::by(SubscriptionStatus::Blocked);
        let new = text(&change(closed));
        assert!(new.ends_with(r#","closed":"blocked"}"#), "{new}");
        assert_eq!(
            serde_json::from_str::<Change>(&new).unwrap(),
            change(closed)
        );
    }
}

#[cfg(test)]
#[path = "change_golden_tests.rs"]
mod golden_tests;
