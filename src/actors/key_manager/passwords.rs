//! Passwords: Argon2id off the runtime's threads, two at once, and the same work for a name that
//! nobody has (threats 14, 15). Failures are counted, and an attempt that has to wait costs no work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::attempts::{Attempt, Attempts};
use super::password_hash::{self, Memory};

/// Hashes computed at once: 38 MiB in all.
const AT_ONCE: usize = 2;
/// Hashes and checks passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    gate: Arc<Semaphore>,
    memory: Arc<Memory>,
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
            memory: Arc::default(),
            // In memory of its own: a node that nobody logs in to keeps none.
            decoy: password_hash::hash(&Memory::default(), "nobody has this password")?.into(),
            attempts: Arc::default(),
        })
    }

    /// Hashes a password.
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn hash(&self, password: &str) -> Result<String, HashError> {
        let permit = Arc::clone(&self.gate).acquire_owned().await;
        let permit = permit.map_err(|_| HashError)?;
        let (memory, password) = (Arc::clone(&self.memory), password.to_owned());
        let hash = tokio::task::spawn_blocking(move || {
            // Held by the work, which goes on when nobody waits for it any more.
            let _permit = permit;
            password_hash::hash(&memory, &password)
        });
        hash.await.map_err(|_| HashError)?
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
        let Ok(permit) = Arc::clone(&self.gate).acquire_owned().await else {
            return false;
        };
        if self.attempts().is_held(attempt, now_ms) {
            return false;
        }
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.decoy).to_owned();
        let (memory, password) = (Arc::clone(&self.memory), password.to_owned());
        let right = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            password_hash::verify(&memory, &password, &hash)
        });
        let right = right.await.unwrap_or(false) && known;
        self.attempts().admit(attempt, right, now_ms)
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    #[tokio::test]
    async fn a_flood_of_logins_takes_the_memory_of_two() {
        let passwords = Passwords::new().unwrap();
        let mut flood = tokio::task::JoinSet::new();
        for number in 0..20_u8 {
            let passwords = passwords.clone();
            flood.spawn(async move {
                passwords
                    .check(&attempt(&number.to_string()), "guess", None, 0)
                    .await
            });
        }
        assert!(flood.join_all().await.iter().all(|let_in| !let_in));
        let held = passwords.memory.held();
        assert!((1..=AT_ONCE * 19 * 1024).contains(&held), "{held} KiB");
    }
}
