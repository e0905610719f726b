//! Writes policies: one transaction and one entry in the change log for each change.

use cluster::{Actor, Address, BoxError, Clock};
use domain::change::Change;
use domain::deny_policy::DenyPolicy;
use domain::policy::Policy;
use storage::apim::{apis, deny_policies, policies};
use storage::{Database, StoreError, Write};

use super::message::{AdminError, AdminMessage};
use super::usage::Users;
use crate::change_feed::{ChangeFeedHandle, Changed};

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
        match message {
            AdminMessage::CreatePolicy(policy, answer) => {
                answer.send(self.create_policy(*policy).await);
            }
            AdminMessage::UpdatePolicy(policy, answer) => {
                answer.send(self.update_policy(*policy).await);
            }
            AdminMessage::DeletePolicy(policy, answer) => {
                answer.send(self.delete_policy(&policy).await);
            }
            AdminMessage::Deny(policy, answer) => {
                answer.send(self.create_deny_policy(*policy).await);
            }
            AdminMessage::SetDenial {
                tenant,
                id,
                active,
                answer,
            } => answer.send(self.set_deny_policy(&tenant, &id, active).await),
            AdminMessage::LiftDenial { tenant, id, answer } => {
                answer.send(self.delete_deny_policy(&tenant, &id).await);
            }
        }
        Ok(())
    }
}

impl Writer {
    async fn create_policy(&self, policy: Policy) -> Result<Changed<Policy>, AdminError> {
        let mut write = self.0.apim.write("apim.policies.create").await?;
        policies::create(&mut write, &policy).await?;
        let change = Change::PolicySaved {
            policy: Box::new(policy.clone()),
        };
        let tenant = policy.tenant.clone();
        self.commit(write, &tenant, change, policy).await
    }

    async fn update_policy(&self, mut policy: Policy) -> Result<Changed<Policy>, AdminError> {
        let mut write = self.0.apim.write("apim.policies.update").await?;
        policy.row_version = policies::update(&mut write, &policy).await?;
        let change = Change::PolicySaved {
            policy: Box::new(policy.clone()),
        };
        let tenant = policy.tenant.clone();
        self.commit(write, &tenant, change, policy).await
    }

    async fn delete_policy(&self, policy: &Policy) -> Result<Changed<()>, AdminError> {
        if policy.is_built_in() {
            let problem = format!("throttling policy {} is built in", policy.name);
            return Err(StoreError::Forbidden(problem).into());
        }
        let mut users = Users::of(policy);
        let used = |api: Option<String>| match api {
            None => Ok(()),
            Some(api) => Err(StoreError::Forbidden(format!(
                "throttling policy {} is used by API {api}",
                policy.name
            ))),
        };
        used(users.look(&self.0.apim, &self.0.shared).await?)?;
        let mut write = self.0.apim.write("apim.policies.delete").await?;
        // While the claim is held no API comes to name the policy; its row is locked for the rest.
        apis::claim(&mut write, &policy.tenant).await?;
        used(users.look_again(&mut write, &self.0.shared).await?)?;
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
    ) -> Result<Changed<DenyPolicy>, AdminError> {
        let mut write = self.0.apim.write("apim.deny_policies.create").await?;
        if !deny_policies::is_known(&mut write, &policy).await? {
            let what = policy.target.kind();
            return Err(AdminError::BadField {
                field: "conditionValue",
                problem: format!("there is no such {what}, so it would deny nothing"),
            });
        }
        deny_policies::create(&mut write, &policy).await?;
        let change = Change::DenyPolicySaved {
            policy: policy.clone(),
        };
        let tenant = policy.tenant.clone();
        self.commit(write, &tenant, change, policy).await
    }

    async fn set_deny_policy(
        &self,
        tenant: &str,
        id: &str,
        active: bool,
    ) -> Result<Changed<DenyPolicy>, AdminError> {
        let mut write = self.0.apim.write("apim.deny_policies.update").await?;
        let policy = deny_policies::set_active(&mut write, tenant, id, active).await?;
        let change = Change::DenyPolicySaved {
            policy: policy.clone(),
        };
        self.commit(write, tenant, change, policy).await
    }

    async fn delete_deny_policy(&self, tenant: &str, id: &str) -> Result<Changed<()>, AdminError> {
        let mut write = self.0.apim.write("apim.deny_policies.delete").await?;
        deny_policies::delete(&mut write, tenant, id).await?;
        let change = Change::DenyPolicyRemoved { id: id.to_owned() };
        self.commit(write, tenant, change, ()).await
    }

    async fn commit<T>(
        &self,
        write: Write,
        tenant: &str,
        change: Change,
        value: T,
    ) -> Result<Changed<T>, AdminError> {
        let now = self.0.clock.now_ms();
        let id = || uuid::Uuid::new_v4().to_string();
        let n: Result<u64, StoreError> = write.commit_with(tenant, &[change], id, now).await;
        Ok(self.0.feed.changed(n?, value).await)
    }
}
