//! What every worker of the key manager works with: databases, clock, keys, settings.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use cluster::Clock;
use domain::api::SUPER_TENANT;
use storage::{Database, StoreError};

use super::command::Refused;
use super::keys::Keys;
use super::passwords::Passwords;
use super::used_keys::UsedKeys;
use crate::change_feed::ChangeFeedHandle;

/// The longest life that a client may choose for its tokens, seconds: thirty days.
pub const LONGEST_CHOSEN_SECONDS: i64 = 30 * 24 * 3_600;

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
    pub(super) used_keys: Arc<UsedKeys>,
    /// Whether a change of Shared could not be relayed into API-M.
    pub(super) relay_owed: Arc<AtomicBool>,
    /// Whose keys they are, once they were shared.
    pub(super) node: Arc<OnceLock<String>>,
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
            used_keys: Arc::default(),
            relay_owed: Arc::default(),
            node: Arc::default(),
        }
    }

    /// Now, as what is issued bears it and marks compare it: by a clock that the key managers have
    /// in common. How long something lives is measured by a node's own.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub(super) async fn moment(&self) -> Result<i64, StoreError> {
        self.apim.moment_ms(self.clock.now_ms()).await
    }

    /// When everything issued until now will have expired, milliseconds since the epoch: as long
    /// as a mark has to be kept (S4).
    pub(super) fn everything_expired_by(&self, now_ms: i64) -> i64 {
        self.settings.everything_expired_by(now_ms)
    }
}

// === impl Settings ===

impl Settings {
    /// The life of an access token, seconds: what was chosen, if anything, within bounds.
    pub(super) fn access_life(&self, chosen: Option<i64>) -> i64 {
        within(chosen, self.access_token_seconds)
    }

    /// The life of an identity token, seconds: what was chosen, within bounds, or that of the
    /// access token beside it.
    pub(super) fn identity_life(&self, chosen: Option<i64>, access: i64) -> i64 {
        chosen.map_or(access, |_| within(chosen, self.access_token_seconds))
    }

    /// The life of a refresh token, seconds: what was chosen, if anything, within bounds.
    pub(super) fn refresh_life(&self, chosen: Option<i64>) -> i64 {
        within(chosen, self.refresh_token_seconds)
    }

    /// When everything issued until now will have expired, milliseconds since the epoch.
    pub(super) fn everything_expired_by(&self, now_ms: i64) -> i64 {
        after(now_ms, self.longest_seconds())
    }

    /// The longest life that a signed token can have, seconds.
    pub(super) fn longest_signed_seconds(&self) -> i64 {
        self.access_token_seconds.max(LONGEST_CHOSEN_SECONDS)
    }

    /// The longest life that a token of either kind can have, seconds.
    pub(super) fn longest_seconds(&self) -> i64 {
        self.longest_signed_seconds()
            .max(self.refresh_token_seconds)
    }
}

/// A moment so many seconds later, both in milliseconds since the epoch; never overflows.
pub(super) const fn after(ms: i64, seconds: i64) -> i64 {
    ms.saturating_add(seconds.saturating_mul(1_000))
}

/// A configured life may be any; one that a client or a request chooses is bounded.
fn within(chosen: Option<i64>, configured: i64) -> i64 {
    let chosen = chosen.filter(|seconds| *seconds > 0);
    chosen.map_or(configured, |seconds| {
        seconds.min(configured.max(LONGEST_CHOSEN_SECONDS))
    })
}

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

/// Whether [`new_secret`] may have made this; of most texts it is certain that it did not.
pub(super) fn is_like_a_secret(text: &str) -> bool {
    let bytes = URL_SAFE_NO_PAD.decode(text);
    bytes.is_ok_and(|bytes| bytes.len() == 32)
}

/// A user name without the tenant it may carry: only the tenant's own suffix is cut off, a name
/// may hold an `@` of its own.
#[must_use]
pub fn bare_name(name: &str) -> &str {
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
