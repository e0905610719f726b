//! Deny policies (blocking conditions): who or what is refused before anything is counted (900805).

use serde::{Deserialize, Serialize};

/// What is denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DenyTarget {
    /// An API by context and version, such as `/pizza/1.0.0`.
    Api(String),
    /// An application as `owner:name`.
    Application(String),
    /// One address; `invert` denies all others.
    Address {
        /// The address.
        address: String,
        /// Whether it is turned round.
        invert: bool,
    },
    /// A range of addresses, both ends included; `invert` denies all others.
    AddressRange {
        /// The first address.
        from: String,
        /// The last address.
        to: String,
        /// Whether it is turned round.
        invert: bool,
    },
    /// A user, as tokens name them.
    User(String),
}

/// A deny policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenyPolicy {
    /// UUID.
    pub id: String,
    /// Tenant domain.
    pub tenant: String,
    /// What is denied.
    pub target: DenyTarget,
    /// The application that the target names: it is denied whatever it is called later.
    #[serde(default)]
    pub application_id: Option<String>,
    /// Whether it is in force.
    pub active: bool,
}

// === impl DenyTarget ===

impl DenyTarget {
    /// The `conditionType` of the contract.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Api(_) => "API",
            Self::Application(_) => "APPLICATION",
            Self::Address { .. } => "IP",
            Self::AddressRange { .. } => "IPRANGE",
            Self::User(_) => "USER",
        }
    }
}
