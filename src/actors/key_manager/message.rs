//! What may be asked of a key manager, from wherever.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use cluster::{Before, Earlier, Request};
use domain::api::SUPER_TENANT;
use domain::validation::{Credential, Secret, Verdict};

/// Validates credentials; misses within a tick travel as one batch (DESIGN §5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidateMany {
    /// The change-log number that the asker has applied (V1).
    pub applied: u64,
    /// What to validate.
    pub credentials: Vec<Credential>,
}

/// Version 1 of [`ValidateMany`]: it names no tenant, for one alone was served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidateManyBefore {
    /// The change-log number that the asker has applied (V1).
    pub applied: u64,
    /// What to validate.
    pub credentials: Vec<Secret>,
}

/// The answer to [`ValidateMany`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Validated {
    /// One verdict per credential, in order.
    Verdicts(Vec<Verdict>),
    /// The key manager sees an older state than the asker has applied; ask again (V1).
    Behind {
        /// What it sees.
        at: u64,
    },
    /// The key manager cannot read its database now; nothing is known of the credentials.
    Unavailable,
}

impl Request for ValidateMany {
    type Reply = Validated;
    const KIND: u16 = 0x0101;
    const VERSION: u16 = 2;
    const IDEMPOTENT: bool = true;
    const SINCE: u16 = 3;
    const BEFORE: Option<Before<Self>> = Some(Before::new::<ValidateManyBefore, Validated>(1));
}

// === impl ValidateManyBefore ===

impl Earlier<ValidateMany> for ValidateManyBefore {
    fn of(now: &ValidateMany) -> Self {
        // Whoever asks compares the tenant of each grant itself.
        let secrets = now.credentials.iter().map(|one| one.secret.clone());
        Self {
            applied: now.applied,
            credentials: secrets.collect(),
        }
    }

    fn into_now(self) -> ValidateMany {
        let credential = |secret| Credential {
            tenant: SUPER_TENANT.to_owned(),
            secret,
        };
        ValidateMany {
            applied: self.applied,
            credentials: self.credentials.into_iter().map(credential).collect(),
        }
    }
}

/// Checks a user's HTTP Basic credential (RFC 7617).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckBasic {
    /// The part after the scheme, base64 of `user:password`.
    pub credential: String,
    /// Where it was given, by the connection or a trusted proxy.
    pub address: IpAddr,
}

/// The answer to [`CheckBasic`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BasicChecked {
    /// The password is this active user's.
    User {
        /// Tenant domain.
        tenant: String,
        /// User name without tenant.
        name: String,
    },
    /// It is not, or there is no such user; the two are not told apart.
    Refused,
    /// The key manager cannot tell now.
    Unavailable,
}

impl std::fmt::Debug for CheckBasic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CheckBasic")
    }
}

impl Request for CheckBasic {
    type Reply = BasicChecked;
    const KIND: u16 = 0x0102;
    const VERSION: u16 = 1;
}
