//! Writes policies: one transaction and one entry in the change log for each change.

use cluster::{Actor, Address, BoxError, Clock};
use domain::change::Change;
use domain::deny_policy::DenyPolicy;
use domain::policy::Policy;
use storage::apim::{apis, deny_policies, policies};
use storage::{Database, StoreError, Write};

use super::message::{AdminError, AdminMessage};
use super::usage::Users;
use crate::change_feed::{ChangeFeedHandle, Committed};

/// What a writer works with.
#[derive(Clone)]
pub(super) struct WriterArguments {
    pub(super) apim: Database,
    pub(super) shared: Database,
    pub(super) feed: ChangeFeedHandle,
    pub(super) clock: Clock,
}

/// The actor.
pub(super) struct Writer(WriterArguments);

// === impl Writer ===

impl Actor for Writer {
    type Message = AdminMessage;
    type Arguments = WriterArguments;
    const KIND: &'static str = "admin.writer";

    async fn start(
        arguments: WriterArguments,
        _me: Address<AdminMessage>,
    ) -> Result<Self, BoxError> {
        Ok(Self(arguments))
    }

    async fn handle(&mut self, message: AdminMessage) -> Result<(), BoxError> {
        if message.is_abandoned() {
            return Ok(());
        }
        let feed = &self.0.feed;
        match message {
            AdminMessage::CreatePolicy(policy, answer) => {
                feed.settle_made(self.create_policy(*policy).await, answer);
            }
            AdminMessage::UpdatePolicy(policy, answer) => {
                feed.settle(self.update_policy(*policy).await, answer);
            }
            AdminMessage::DeletePolicy(users, answer) => {
                feed.settle(self.delete_policy(*users).await, answer);
            }
            AdminMessage::Deny(policy, answer) => {
                feed.settle(self.create_deny_policy(*policy).await, answer);
            }
            AdminMessage::SetDenial {
                policy,
                active,
                as_read,
                answer,
            } => {
                let set = self.set_deny_policy(&policy, active, as_read).await;
                feed.settle(set, answer);
            }
            AdminMessage::LiftDenial {
                policy,
                as_read,
                answer,
            } => feed.settle_made(self.delete_deny_policy(&policy, as_read).await, answer),
        }
        Ok(())
    }
}

impl Writer {
    async fn create_policy(&self, policy: Policy) -> Result<Committed<Policy>, AdminError> {
        let mut write = self.0.apim.write("apim.policies.create").await?;
        policies::create(&mut write, &policy).await?;
        let change = Change::PolicySaved {
            policy: Box::new(policy.clone()),
        };
        let tenant = policy.tenant.clone();
        self.commit(write, &tenant, change, policy).await
    }

    async fn update_policy(&self, mut policy: Policy) -> Result<Committed<Policy>, AdminError> {
        let mut write = self.0.apim.write("apim.policies.update").await?;
        policy.row_version = policies::update(&mut write, &policy).await?;
        let change = Change::PolicySaved {
            policy: Box::new(policy.clone()),
        };
        let tenant = policy.tenant.clone();
        self.commit(write, &tenant, change, policy).await
    }

    async fn delete_policy(&self, mut users: Users) -> Result<Committed<()>, AdminError> {
        let mut write = self.0.apim.write("apim.policies.delete").await?;
        // While the claim is held no API comes to name the policy; its row is locked for the rest.
        apis::claim(&mut write, &users.policy().tenant).await?;
        users.look_again(&mut write, &self.0.shared).await?;
        let policy = users.policy();
        policies::delete(&mut write, policy).await?;
        let change = Change::PolicyRemoved {
            level: policy.level,
            name: policy.name.clone(),
        };
        self.commit(write, &policy.tenant, change, ()).await
    }

    async fn create_deny_policy(
        &self,
        policy: DenyPolicy,
    ) -> Result<Committed<DenyPolicy>, AdminError> {
        let mut write = self.0.apim.write("apim.deny_policies.create").await?;
        let kind = policy.target.kind();
        let Some(policy) = deny_policies::resolve(&mut write, policy).await? else {
            return Err(AdminError::BadField {
                field: "conditionValue",
                problem: format!("there is no such {kind}, so it would deny nothing"),
            });
        };
        deny_policies::create(&mut write, &policy).await?;
        let change = Change::DenyPolicySaved {
            policy: policy.clone(),
        };
        let tenant = policy.tenant.clone();
        self.commit(write, &tenant, change, policy).await
    }

    async fn set_deny_policy(
        &self,
        read: &DenyPolicy,
        active: bool,
        as_read: bool,
    ) -> Result<Committed<DenyPolicy>, AdminError> {
        let mut write = self.0.apim.write("apim.deny_policies.update").await?;
        lock_as_read(&mut write, read, as_read).await?;
        let tenant = &read.tenant;
        let policy = deny_policies::set_active(&mut write, tenant, &read.id, active).await?;
        let change = Change::DenyPolicySaved {
            policy: policy.clone(),
        };
        self.commit(write, tenant, change, policy).await
    }

    async fn delete_deny_policy(
        &self,
        read: &DenyPolicy,
        as_read: bool,
    ) -> Result<Committed<()>, AdminError> {
        let mut write = self.0.apim.write("apim.deny_policies.delete").await?;
        lock_as_read(&mut write, read, as_read).await?;
        deny_policies::delete(&mut write, &read.tenant, &read.id).await?;
        let change = Change::DenyPolicyRemoved {
            id: read.id.clone(),
        };
        self.commit(write, &read.tenant, change, ()).await
    }

    async fn commit<T>(
        &self,
        write: Write,
        tenant: &str,
        change: Change,
        value: T,
    ) -> Result<Committed<T>, AdminError> {
        let now = self.0.clock.now_ms();
        let id = || uuid::Uuid::new_v4().to_string();
        let n = write.commit_with(tenant, &[change], id, now).await?;
        Ok(Committed { value, n })
    }
}

/// Locks a deny policy; where `as_read` says so it must be what its reader has seen.
async fn lock_as_read(
    write: &mut Write,
    read: &DenyPolicy,
    as_read: bool,
) -> Result<(), StoreError> {
    let stored = deny_policies::lock(write, &read.tenant, &read.id).await?;
    if as_read && stored != *read {
        return Err(StoreError::Stale);
    }
    Ok(())
}
