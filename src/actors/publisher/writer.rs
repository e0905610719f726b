//! The writer: takes orders one after another and answers when what they made is applied.

use cluster::{Actor, Address, BoxError, spawn_named};

use super::error::PublisherError;
use super::message::{Answer, Committed, Order};
use super::{Stores, apis, edit, lifecycle, revisions, subscriptions};
use crate::change_feed::Saved;

/// One of the pool.
pub(crate) struct Writer {
    stores: Stores,
}

// === impl Writer ===

impl Actor for Writer {
    type Message = Order;
    type Arguments = Stores;
    const KIND: &'static str = "publisher.writer";

    async fn start(stores: Stores, _me: Address<Order>) -> Result<Self, BoxError> {
        Ok(Self { stores })
    }

    async fn handle(&mut self, order: Order) -> Result<(), BoxError> {
        if order.is_abandoned() {
            return Ok(());
        }
        let stores = &self.stores;
        match order {
            Order::Create(author, new, reply) => {
                self.answer(apis::create(stores, &author, *new).await, reply);
            }
            Order::Update(edition, change, reply) => {
                self.answer(edit::update(stores, &edition, *change).await, reply);
            }
            Order::SaveDefinition(edition, content, reply) => {
                let work = edit::save_definition(stores, &edition, &content);
                self.answer(work.await, reply);
            }
            Order::Copy(edition, version, default, reply) => {
                self.answer(apis::copy(stores, &edition, version, default).await, reply);
            }
            Order::Delete(edition, reply) => {
                self.answer(apis::delete(stores, &edition).await, reply);
            }
            Order::Move(edition, step, reply) => {
                self.answer(lifecycle::take(stores, &edition, &step).await, reply);
            }
            Order::CreateRevision(edition, description, reply) => {
                self.answer(
                    revisions::create(stores, &edition, description).await,
                    reply,
                );
            }
            Order::DeleteRevision(edition, id, reply) => {
                self.answer(revisions::delete(stores, &edition, &id).await, reply);
            }
            Order::RestoreRevision(edition, id, reply) => {
                self.answer(revisions::restore(stores, &edition, &id).await, reply);
            }
            Order::Deploy(edition, id, targets, reply) => {
                self.answer(
                    revisions::deploy(stores, &edition, &id, &targets).await,
                    reply,
                );
            }
            Order::Undeploy(edition, id, targets, reply) => {
                let work = revisions::undeploy(stores, &edition, id.as_deref(), targets);
                self.answer(work.await, reply);
            }
            Order::SetSubscription(author, id, status, expected, reply) => {
                let work = subscriptions::set(stores, &author, &id, status, &expected);
                self.answer(work.await, reply);
            }
        }
        Ok(())
    }
}

impl Writer {
    /// Answers at once, or when the followers have applied the change: that wait is not the
    /// writer's, and it goes on when the caller has hung up, so that the feed learns of the entry.
    fn answer<T: Send + 'static>(
        &self,
        outcome: Result<Committed<T>, PublisherError>,
        reply: Answer<T>,
    ) {
        match outcome {
            Ok(Committed { value, n: None }) => reply.send(Ok(Saved {
                value,
                applied: None,
            })),
            Ok(Committed { value, n: Some(n) }) => {
                let feed = self.stores.feed.clone();
                spawn_named("publisher.applied", async move {
                    let applied = Some(feed.committed(n).await);
                    reply.send(Ok(Saved { value, applied }));
                });
            }
            Err(error) => reply.send(Err(error)),
        }
    }
}
