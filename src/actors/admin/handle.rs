//! The typed client of the administration, the only door to it. Reads run in the caller's task.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Address, AskError};
use domain::deny_policy::DenyPolicy;
use domain::policy::{Policy, PolicyLevel};
use storage::apim::{deny_policies, policies};
use storage::{Database, StoreError};
use tokio::sync::Semaphore;

use super::message::{AdminError, AdminMessage, Answer};
use super::usage::Users;
use crate::change_feed::Changed;

/// The deadline of a change: it may wait for followers.
const DEADLINE: Duration = Duration::from_secs(10);

/// The longest that a removal waits for another one that looks through all documents.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the administration.
#[derive(Debug, Clone)]
pub struct AdminHandle {
    apim: Database,
    shared: Database,
    writers: Vec<Address<AdminMessage>>,
    /// Looking through all documents is one removal's turn after another's: Shared is everybody's.
    pub(super) turns: Arc<Semaphore>,
    pub(super) patience: Duration,
}

// === impl AdminHandle ===

impl AdminHandle {
    pub(super) fn new(
        apim: Database,
        shared: Database,
        writers: Vec<Address<AdminMessage>>,
    ) -> Self {
        Self {
            apim,
            shared,
            writers,
            turns: Arc::new(Semaphore::new(1)),
            patience: PATIENCE,
        }
    }

    /// The policies of a level, by name.
    ///
    /// # Errors
    /// [`AdminError::Store`].
    pub async fn policies(
        &self,
        tenant: &str,
        level: PolicyLevel,
    ) -> Result<Vec<Policy>, AdminError> {
        let mut read = self.apim.read().await?;
        Ok(policies::list(&mut read, tenant, level).await?)
    }

    /// A policy by id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn policy(
        &self,
        tenant: &str,
        level: PolicyLevel,
        id: &str,
    ) -> Result<Policy, AdminError> {
        let mut read = self.apim.read().await?;
        let found = policies::find_by_id(&mut read, tenant, level, id).await?;
        let gone = || StoreError::NotFound(format!("throttling policy {id}"));
        Ok(found.ok_or_else(gone)?)
    }

    /// Makes a policy.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when its level has one of that name.
    pub async fn create_policy(&self, policy: Policy) -> Result<Changed<Policy>, AdminError> {
        let key = policy.name.clone();
        self.tell(&key, |answer| {
            AdminMessage::CreatePolicy(Box::new(policy), answer)
        })
        .await
    }

    /// Changes a policy; its `row_version` must be the stored one, or 0 for any.
    ///
    /// # Errors
    /// [`StoreError::Stale`].
    pub async fn update_policy(&self, policy: Policy) -> Result<Changed<Policy>, AdminError> {
        let key = policy.name.clone();
        self.tell(&key, |answer| {
            AdminMessage::UpdatePolicy(Box::new(policy), answer)
        })
        .await
    }

    /// Removes a policy that nothing uses; its `row_version` must be the stored one, or 0 for any.
    ///
    /// # Errors
    /// [`StoreError::Forbidden`] naming what uses it, [`StoreError::Stale`], [`AdminError::Busy`]
    /// when others are being removed.
    pub async fn delete_policy(&self, policy: Policy) -> Result<Changed<()>, AdminError> {
        if policy.is_built_in() {
            let problem = format!("throttling policy {} is built in", policy.name);
            return Err(StoreError::Forbidden(problem).into());
        }
        let key = policy.name.clone();
        let mut users = Users::of(policy);
        let turn = tokio::time::timeout(self.patience, self.turns.acquire()).await;
        let turn = turn.map_err(|_| AdminError::Busy)?;
        let turn = turn.map_err(|_| AskError::Unavailable)?;
        users.look(&self.apim, &self.shared).await?;
        drop(turn);
        self.tell(&key, |answer| {
            AdminMessage::DeletePolicy(Box::new(users), answer)
        })
        .await
    }

    /// All deny policies.
    ///
    /// # Errors
    /// [`AdminError::Store`].
    pub async fn deny_policies(&self, tenant: &str) -> Result<Vec<DenyPolicy>, AdminError> {
        let mut read = self.apim.read().await?;
        Ok(deny_policies::list(&mut read, tenant).await?)
    }

    /// A deny policy by id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn deny_policy(&self, tenant: &str, id: &str) -> Result<DenyPolicy, AdminError> {
        let mut read = self.apim.read().await?;
        let found = deny_policies::find(&mut read, tenant, id).await?;
        let gone = || StoreError::NotFound(format!("deny policy {id}"));
        Ok(found.ok_or_else(gone)?)
    }

    /// Makes a deny policy.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the same is denied already.
    pub async fn create_deny_policy(
        &self,
        policy: DenyPolicy,
    ) -> Result<Changed<DenyPolicy>, AdminError> {
        let key = policy.id.clone();
        self.tell(&key, |answer| AdminMessage::Deny(Box::new(policy), answer))
            .await
    }

    /// Puts a deny policy in or out of force; what is stored must be as it was read where `as_read`
    /// says so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Stale`].
    pub async fn set_deny_policy(
        &self,
        policy: DenyPolicy,
        active: bool,
        as_read: bool,
    ) -> Result<Changed<DenyPolicy>, AdminError> {
        let key = policy.id.clone();
        self.tell(&key, |answer| AdminMessage::SetDenial {
            policy: Box::new(policy),
            active,
            as_read,
            answer,
        })
        .await
    }

    /// Removes a deny policy; what is stored must be as it was read where `as_read` says so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Stale`].
    pub async fn delete_deny_policy(
        &self,
        policy: DenyPolicy,
        as_read: bool,
    ) -> Result<Changed<()>, AdminError> {
        let key = policy.id.clone();
        self.tell(&key, |answer| AdminMessage::LiftDenial {
            policy: Box::new(policy),
            as_read,
            answer,
        })
        .await
    }

    async fn tell<T: Send + 'static>(
        &self,
        key: &str,
        message: impl FnOnce(Answer<T>) -> AdminMessage,
    ) -> Result<Changed<T>, AdminError> {
        let hash = foldhash::fast::FixedState::default().hash_one(key);
        let of = u64::try_from(self.writers.len().max(1)).unwrap_or(1);
        let chosen = usize::try_from(hash % of).unwrap_or(0);
        let writer = self.writers.get(chosen).ok_or(AskError::Unavailable)?;
        writer.ask(DEADLINE, message).await?
    }
}
