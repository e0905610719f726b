//! Passwords: Argon2id off the runtime's threads, two at once, and the same work for a name that
//! nobody has (threats 14, 15). Failures are counted, and an attempt that has to wait costs no work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::attempts::{Attempt, Attempts};

/// Memory of one hash in KiB: 19 MiB.
const MEMORY_KIB: u32 = 19 * 1024;
/// Hashes computed at once: 38 MiB in all.
const AT_ONCE: usize = 2;
/// Hashes and checks passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    gate: Arc<Semaphore>,
    /// A hash that no password has: checked when there is no user.
    decoy: Arc<str>,
    attempts: Arc<Mutex<Attempts>>,
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

    /// Whether `password` is the one behind `hash`; without a hash the same work says no. An
    /// attempt that has to wait is told no, too.
    pub(super) async fn check(
        &self,
        attempt: &Attempt,
        password: &str,
        hash: Option<&str>,
        now_ms: i64,
    ) -> bool {
        let Ok(_permit) = self.gate.acquire().await else {
            return false;
        };
        if self.attempts().is_held(attempt, now_ms) {
            return false;
        }
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.decoy).to_owned();
        let password = password.to_owned();
        let right = tokio::task::spawn_blocking(move || {
            PasswordHash::new(&hash)
                .is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
        });
        let right = right.await.unwrap_or(false) && known;
        self.attempts().admit(attempt, right, now_ms)
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[tokio::test]
    async fn only_the_right_password_of_a_user_who_exists_is_let_through() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash("sesame").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let (ann, eve) = (attempt("ann"), attempt("eve"));
        assert!(passwords.check(&ann, "sesame", Some(&hash), 0).await);
        assert!(!passwords.check(&ann, "other", Some(&hash), 0).await);
        let decoy = passwords.check(&eve, "nobody has this password", None, 0);
        assert!(!decoy.await);
    }

    fn attempt(account: &str) -> Attempt {
        Attempt::new(account, [203, 0, 113, 9].into())
    }
}
