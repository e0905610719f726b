//! The typed client of the key manager, the only door to it.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use cluster::{AskError, Door};
use domain::validation::{Credential, Verdict};

use super::message::{BasicChecked, CheckBasic, ValidateMany, Validated};

/// The deadline of one question.
const DEADLINE: Duration = Duration::from_secs(3);

/// Asks the key manager, wherever it lives.
#[derive(Debug, Clone)]
pub struct KeyManagerHandle {
    validate: Door<ValidateMany>,
    basic: Door<CheckBasic>,
}

// === impl KeyManagerHandle ===

impl KeyManagerHandle {
    /// A handle that asks through these doors.
    #[must_use]
    pub const fn new(validate: Door<ValidateMany>, basic: Door<CheckBasic>) -> Self {
        Self { validate, basic }
    }

    /// Validates several credentials as one question (V1).
    ///
    /// # Errors
    /// When no key manager answers in time.
    pub async fn validate_many(
        &self,
        applied: u64,
        credentials: Vec<Credential>,
    ) -> Result<Validated, AskError> {
        let request = ValidateMany {
            applied,
            credentials,
        };
        self.validate.ask(request, DEADLINE).await
    }

    /// Validates one bearer token as it came, for the management APIs: nothing is cached, so
    /// that a revoked token is refused at once.
    ///
    /// # Errors
    /// When no key manager answers in time.
    pub async fn validate(&self, token: &str) -> Result<Verdict, AskError> {
        let credential = bearer(token);
        match self.validate_many(0, vec![credential]).await? {
            Validated::Verdicts(verdicts) => {
                verdicts.into_iter().next().ok_or(AskError::Unsupported)
            }
            Validated::Behind { .. } | Validated::Unavailable => Err(AskError::Unavailable),
        }
    }

    /// Whose HTTP Basic credential this is: tenant and user, none when it is nobody's.
    ///
    /// # Errors
    /// When no key manager answers in time.
    pub async fn basic(&self, credential: &str) -> Result<Option<(String, String)>, AskError> {
        let credential = credential.to_owned();
        match self.basic.ask(CheckBasic { credential }, DEADLINE).await? {
            BasicChecked::User { tenant, name } => Ok(Some((tenant, name))),
            BasicChecked::Refused => Ok(None),
            BasicChecked::Unavailable => Err(AskError::Unavailable),
        }
    }
}

/// What kind of bearer token a text is: three parts with dots are a signed one.
#[must_use]
pub fn bearer(token: &str) -> Credential {
    if token.split('.').count() == 3 {
        Credential::Jwt(token.to_owned())
    } else {
        Credential::Opaque(hash_hex(token))
    }
}

/// The SHA-256 of a secret, lower-case hex: the only form in which one is kept.
#[must_use]
pub fn hash_hex(secret: &str) -> String {
    let hash = digest(&SHA256, secret.as_bytes());
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
