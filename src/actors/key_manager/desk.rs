//! What every worker of the key manager works with: databases, clock, keys, settings.

use std::sync::Arc;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use cluster::Clock;
use domain::api::SUPER_TENANT;
use storage::{Database, StoreError};

use super::command::Refused;
use super::keys::Keys;
use super::passwords::Passwords;
use crate::change_feed::ChangeFeedHandle;

/// How the resident key manager issues tokens.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `iss` of its tokens.
    pub issuer: String,
    /// Life of access tokens, seconds.
    pub access_token_seconds: i64,
    /// Life of refresh tokens, seconds.
    pub refresh_token_seconds: i64,
}

/// The tools of a worker, cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk {
    pub(super) apim: Database,
    pub(super) shared: Database,
    pub(super) feed: ChangeFeedHandle,
    pub(super) clock: Clock,
    pub(super) settings: Arc<Settings>,
    pub(super) keys: Arc<Keys>,
    pub(super) passwords: Passwords,
}

// === impl Desk ===

impl Desk {
    /// Puts the tools together.
    #[must_use]
    pub fn new(
        (apim, shared): (Database, Database),
        feed: ChangeFeedHandle,
        clock: Clock,
        settings: Settings,
        keys: Keys,
        passwords: Passwords,
    ) -> Self {
        Self {
            apim,
            shared,
            feed,
            clock,
            settings: Arc::new(settings),
            keys: Arc::new(keys),
            passwords,
        }
    }

    /// The longest that anything issued now can live, milliseconds since the epoch.
    pub(super) fn everything_expired_by(&self, now_ms: i64) -> i64 {
        let longest = self
            .settings
            .access_token_seconds
            .max(self.settings.refresh_token_seconds)
            .max(LONGEST_SECONDS);
        now_ms + longest * 1_000
    }
}

/// The longest life that a client may choose for its tokens, seconds: ten years.
pub(super) const LONGEST_SECONDS: i64 = 10 * 365 * 24 * 3_600;

/// A fresh id for an entry or row.
pub(super) fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// 256 random bits as 43 characters.
pub(super) fn new_secret() -> Result<String, Refused> {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes).map_err(|_| Refused::Unavailable)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A user name without the tenant it may carry.
pub(super) fn bare_name(name: &str) -> &str {
    name.strip_suffix(SUPER_TENANT)
        .and_then(|name| name.strip_suffix('@'))
        .unwrap_or(name)
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Duplicate(what) => Self::Duplicate(what),
            StoreError::NotFound(what) => Self::NotFound(what),
            error => {
                tracing::error!(%error, "key manager cannot use its databases");
                Self::Unavailable
            }
        }
    }
}
