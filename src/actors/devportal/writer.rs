//! The portal's writers: one message is one change, whole or not at all.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, Weak};

use cluster::{Actor, Address, BoxError, Clock, spawn_named};
use domain::change::Change;
use storage::shared::users;
use storage::{Database, StoreError, Write};
use tokio::sync::Mutex;

use super::clients::Clients;
use super::message::{DevPortalError, PortalMessage};
use crate::change_feed::{ChangeFeedHandle, Committed};
use crate::key_manager::KeyManagerHandle;

/// What comes of a change.
pub(super) type Outcome<T> = Result<Committed<T>, DevPortalError>;

/// What a writer works with.
#[derive(Clone)]
pub(super) struct WriterArguments {
    pub(super) apim: Database,
    pub(super) shared: Database,
    pub(super) feed: ChangeFeedHandle,
    pub(super) key_manager: KeyManagerHandle,
    pub(super) clock: Clock,
    pub(super) clients: Clients,
    pub(super) lanes: Lanes,
}

/// The actor.
pub(super) struct Writer(Desk);

/// Changes of keys wait for the key manager, which waits for followers: that is not the writer's
/// time. Those of one application still come one after another, in its lane. The lanes lie beside
/// the writers: what goes on in one goes on when its writer is started again.
#[derive(Clone, Default)]
pub(super) struct Lanes(Arc<std::sync::Mutex<BTreeMap<String, Weak<Mutex<()>>>>>);

/// What a change is made with.
#[derive(Clone)]
pub(super) struct Desk(pub(super) WriterArguments);

// === impl Lanes ===

impl Lanes {
    /// The lane of an application; those that nobody is in are forgotten.
    fn of(&self, application_id: &str) -> Arc<Mutex<()>> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, lane| lane.strong_count() > 0);
        if let Some(lane) = lanes.get(application_id).and_then(Weak::upgrade) {
            return lane;
        }
        let lane = Arc::new(Mutex::new(()));
        lanes.insert(application_id.to_owned(), Arc::downgrade(&lane));
        lane
    }
}

// === impl Writer ===

impl Actor for Writer {
    type Message = PortalMessage;
    type Arguments = WriterArguments;
    const KIND: &'static str = "devportal.writer";

    async fn start(
        arguments: WriterArguments,
        _me: Address<PortalMessage>,
    ) -> Result<Self, BoxError> {
        Ok(Self(Desk(arguments)))
    }

    async fn handle(&mut self, message: PortalMessage) -> Result<(), BoxError> {
        use PortalMessage as M;
        if message.is_abandoned() {
            return Ok(());
        }
        let Self(desk) = self;
        let feed = &desk.0.feed;
        match message {
            M::CreateApplication(new, answer) => {
                feed.settle_made(desk.create_application(new).await, answer);
            }
            M::UpdateApplication(new, answer) => {
                feed.settle(desk.update_application(new).await, answer);
            }
            M::DeleteApplication(old, answer) => {
                feed.settle(desk.delete_application(&old).await, answer);
            }
            M::CreateSubscriptions(new, answer) => {
                feed.settle_made(desk.create_subscriptions(new).await, answer);
            }
            M::UpdateSubscription {
                subscription,
                policy,
                as_read,
                answer,
            } => {
                let changed = desk.update_subscription(&subscription, &policy, as_read);
                feed.settle(changed.await, answer);
            }
            M::DeleteSubscription {
                subscription,
                as_read,
                answer,
            } => feed.settle(
                desk.delete_subscription(&subscription, as_read).await,
                answer,
            ),
            M::Keys(work) => {
                let (desk, lane) = (desk.clone(), desk.0.lanes.of(work.application_id()));
                spawn_named("devportal.keys", async move {
                    let turn = lane.lock().await;
                    if !work.is_abandoned() {
                        desk.change_keys(work).await;
                    }
                    drop(turn);
                });
            }
            M::ApiKeys(work) => desk.change_api_keys(work).await,
        }
        Ok(())
    }
}

impl Desk {
    /// Commits with entries in the change log.
    pub(super) async fn commit<T>(
        &self,
        write: Write,
        tenant: &str,
        changes: &[Change],
        value: T,
    ) -> Outcome<T> {
        let now = self.0.clock.now_ms();
        let n = write.commit_with(tenant, changes, new_id, now).await?;
        Ok(Committed { value, n })
    }

    /// Now, by the clock of those who write into this database: what is made bears it, and is
    /// compared with when its owner began and with the marks of what has ended.
    pub(super) async fn moment(&self, write: &mut Write) -> Result<i64, StoreError> {
        write.moment_ms(self.0.clock.now_ms()).await
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_the_same_for_a_writer_that_was_started_again() {
        let lanes = Lanes::default();
        let arguments = lanes.clone();
        let lane = lanes.of("shop");
        assert!(Arc::ptr_eq(&arguments.of("shop"), &lane));
        assert!(!Arc::ptr_eq(&arguments.of("other"), &lane));
    }
}
