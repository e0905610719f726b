//! A subscription: an application's right to call an API under a business plan.

use serde::{Deserialize, Serialize};

/// What a subscription allows (`status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SubscriptionStatus {
    /// Everything.
    #[default]
    Unblocked,
    /// Nothing; 900907 at the gateway.
    Blocked,
    /// Only sandbox keys.
    ProdOnlyBlocked,
    /// Waits for a workflow: none yet. There are no workflows here, so that none gets into this.
    OnHold,
    /// Refused by a workflow.
    Rejected,
    /// A change of plan waits for a workflow; the old plan holds.
    TierUpdatePending,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// UUID.
    pub id: String,
    /// Tenant domain.
    pub tenant: String,
    /// The API.
    pub api_id: String,
    /// The application.
    pub application_id: String,
    /// The business plan in force.
    pub policy: String,
    /// The business plan asked for.
    pub requested_policy: String,
    /// What it allows.
    pub status: SubscriptionStatus,
    /// The user who subscribed.
    pub subscriber: String,
    /// Created, milliseconds since the epoch.
    pub created_at_ms: i64,
}

// === impl Subscription ===

impl Subscription {
    /// What a reader has seen of it, as a number for `ETag`: the same exactly as long as plans and
    /// status are.
    #[must_use]
    pub fn seen_version(&self) -> i64 {
        let parts = [
            self.policy.as_str(),
            self.requested_policy.as_str(),
            self.status.as_str(),
        ];
        // FNV-1a: the same in every process and version.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in parts.join("\n").bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        i64::try_from(hash >> 1).unwrap_or(1).max(1)
    }
}

// === impl SubscriptionStatus ===

impl SubscriptionStatus {
    /// All statuses.
    pub const ALL: [Self; 6] = [
        Self::Unblocked,
        Self::Blocked,
        Self::ProdOnlyBlocked,
        Self::OnHold,
        Self::Rejected,
        Self::TierUpdatePending,
    ];

    /// The word in JSON and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unblocked => "UNBLOCKED",
            Self::Blocked => "BLOCKED",
            Self::ProdOnlyBlocked => "PROD_ONLY_BLOCKED",
            Self::OnHold => "ON_HOLD",
            Self::Rejected => "REJECTED",
            Self::TierUpdatePending => "TIER_UPDATE_PENDING",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}
