//! The portal's writers: one message is one change, whole or not at all.

use cluster::{Actor, Address, BoxError, Clock};
use domain::change::Change;
use storage::shared::users;
use storage::{Database, StoreError, Write};

use super::clients::Clients;
use super::message::{DevPortalError, PortalMessage};
use crate::change_feed::{ChangeFeedHandle, Changed};
use crate::key_manager::KeyManagerHandle;

/// What a writer works with.
#[derive(Clone)]
pub(super) struct WriterArguments {
    pub(super) apim: Database,
    pub(super) shared: Database,
    pub(super) feed: ChangeFeedHandle,
    pub(super) key_manager: KeyManagerHandle,
    pub(super) clock: Clock,
    pub(super) clients: Clients,
}

/// The actor.
pub(super) struct Writer(pub(super) WriterArguments);

// === impl Writer ===

impl Actor for Writer {
    type Message = PortalMessage;
    type Arguments = WriterArguments;
    const KIND: &'static str = "devportal.writer";

    async fn start(
        arguments: WriterArguments,
        _me: Address<PortalMessage>,
    ) -> Result<Self, BoxError> {
        Ok(Self(arguments))
    }

    async fn handle(&mut self, message: PortalMessage) -> Result<(), BoxError> {
        use PortalMessage as M;
        match message {
            M::CreateApplication(new, answer) => answer.send(self.create_application(new).await),
            M::UpdateApplication(new, answer) => answer.send(self.update_application(new).await),
            M::DeleteApplication(old, answer) => answer.send(self.delete_application(&old).await),
            M::CreateSubscription(new, answer) => answer.send(self.create_subscription(new).await),
            M::UpdateSubscription {
                subscription,
                policy,
                as_read,
                answer,
            } => {
                let changed = self.update_subscription(&subscription, &policy, as_read);
                answer.send(changed.await);
            }
            M::DeleteSubscription {
                subscription,
                as_read,
                answer,
            } => answer.send(self.delete_subscription(&subscription, as_read).await),
            M::CreateKeys {
                application,
                key_type,
                client,
                properties,
                answer,
            } => {
                let made = self.create_keys(&application, key_type, client, properties);
                answer.send(made.await);
            }
            M::UpdateKeys {
                key,
                client,
                answer,
            } => answer.send(self.update_keys(key, client).await),
            M::DeleteKeys(key, answer) => answer.send(self.delete_keys(&key).await),
            M::CreateApiKey(new, answer) => answer.send(self.create_api_key(new).await),
            M::RegenerateApiKey(key, answer) => answer.send(self.regenerate_api_key(&key).await),
            M::RevokeApiKey(key, answer) => answer.send(self.revoke_api_key(&key).await),
            M::AssociateApiKey {
                key,
                application_id,
                answer,
            } => answer.send(self.associate_api_key(&key, application_id).await),
        }
        Ok(())
    }
}

impl Writer {
    /// Commits with entries in the change log and waits for the followers.
    pub(super) async fn commit<T>(
        &self,
        write: Write,
        tenant: &str,
        changes: &[Change],
        value: T,
    ) -> Result<Changed<T>, DevPortalError> {
        let now = self.0.clock.now_ms();
        let n = write.commit_with(tenant, changes, new_id, now).await?;
        Ok(self.0.feed.changed(n, value).await)
    }
}

impl Writer {
    /// Refuses what was made for an owner who is gone. Asked after the commit: a removal that came
    /// before it has not seen what was made, and any later one will (S3).
    pub(super) async fn owner_gone(&self, tenant: &str, owner: &str) -> Option<DevPortalError> {
        let found = async {
            let mut read = self.0.shared.read().await?;
            users::find_by_name(&mut read, tenant, owner).await
        };
        match found.await {
            Ok(None) => Some(StoreError::NotFound(format!("user {owner}")).into()),
            // What cannot be asked does not undo what is committed.
            Ok(Some(_)) | Err(_) => None,
        }
    }
}

/// A fresh id for a row or entry.
pub(super) fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
