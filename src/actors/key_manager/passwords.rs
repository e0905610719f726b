//! Passwords: Argon2id off the runtime's threads, two at once, and the same work for a name that
//! nobody has (threats 14, 15). Failures are counted per account.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

/// Memory of one hash in KiB: 19 MiB.
const MEMORY_KIB: u32 = 19 * 1024;
/// Hashes computed at once: 38 MiB in all.
const AT_ONCE: usize = 2;
/// Failures within [`SPAN_MS`] after which an account is locked for as long.
const FAILURES: u32 = 10;
const SPAN_MS: i64 = 5 * 60 * 1_000;
/// Accounts whose failures are remembered.
const REMEMBERED: usize = 10_000;

/// Hashes and checks passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    gate: Arc<Semaphore>,
    /// A hash that no password has: checked when there is no user.
    decoy: Arc<str>,
    attempts: Arc<Mutex<Attempts>>,
}

/// Failed attempts per account: pure, time is a parameter.
#[derive(Debug, Default)]
struct Attempts {
    failures: HashMap<String, (u32, i64)>,
}

/// A password could not be hashed.
#[derive(Debug, thiserror::Error)]
#[error("password could not be hashed")]
pub struct HashError;

// === impl Passwords ===

impl Passwords {
    /// Ready to work; computes the decoy once.
    ///
    /// # Errors
    /// [`HashError`] when the machine has not even the memory for one hash.
    pub fn new() -> Result<Self, HashError> {
        Ok(Self {
            gate: Arc::new(Semaphore::new(AT_ONCE)),
            decoy: hash_now("nobody has this password")?.into(),
            attempts: Arc::default(),
        })
    }

    /// Hashes a password.
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn hash(&self, password: &str) -> Result<String, HashError> {
        let _permit = self.gate.acquire().await.map_err(|_| HashError)?;
        let password = password.to_owned();
        tokio::task::spawn_blocking(move || hash_now(&password))
            .await
            .map_err(|_| HashError)?
    }

    /// Whether `password` is the one behind `hash`; without a hash the same work says no. A
    /// locked account says no, too.
    pub async fn check(
        &self,
        account: &str,
        password: &str,
        hash: Option<&str>,
        now_ms: i64,
    ) -> bool {
        let Ok(_permit) = self.gate.acquire().await else {
            return false;
        };
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.decoy).to_owned();
        let password = password.to_owned();
        let right = tokio::task::spawn_blocking(move || {
            PasswordHash::new(&hash)
                .is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
        });
        let right = right.await.unwrap_or(false) && known;
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.admit(account, right, now_ms)
    }
}

// === impl Attempts ===

impl Attempts {
    /// Notes an attempt; gives whether it is let through: right, and the account not locked.
    fn admit(&mut self, account: &str, right: bool, now_ms: i64) -> bool {
        let (count, since) = self.failures.get(account).copied().unwrap_or((0, now_ms));
        let (count, since) = if now_ms - since >= SPAN_MS {
            (0, now_ms)
        } else {
            (count, since)
        };
        if count >= FAILURES {
            return false;
        }
        if right {
            self.failures.remove(account);
            return true;
        }
        if self.failures.len() >= REMEMBERED {
            self.failures
                .retain(|_, (_, since)| now_ms - *since < SPAN_MS);
        }
        if self.failures.len() < REMEMBERED || self.failures.contains_key(account) {
            self.failures.insert(account.to_owned(), (count + 1, since));
        }
        false
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, 2, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash_now(password: &str) -> Result<String, HashError> {
    let hash = argon2().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|_| HashError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_locked_after_too_many_failures_and_opens_again_later() {
        let mut attempts = Attempts::default();
        for _ in 0..FAILURES {
            assert!(!attempts.admit("ann", false, 0));
        }
        assert!(
            !attempts.admit("ann", true, 1),
            "locked even for the right password"
        );
        assert!(attempts.admit("bob", true, 1), "others are not");
        assert!(attempts.admit("ann", true, SPAN_MS));
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_user_who_exists_is_let_through() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash("sesame").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(passwords.check("ann", "sesame", Some(&hash), 0).await);
        assert!(!passwords.check("ann", "other", Some(&hash), 0).await);
        assert!(
            !passwords
                .check("eve", "nobody has this password", None, 0)
                .await
        );
    }
}
