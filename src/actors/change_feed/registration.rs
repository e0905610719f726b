//! What a follower hears (S1): the head as it is after its heartbeat came, once API-M has it among
//! those that changes wait for. Read here; the registrar writes.

use cluster::Asked;
use domain::change_log::{Answer, Position, answer};
use storage::StoreError;
use storage::apim::followers::{self, Follower as Registered};
use storage::apim::{change_log, grants};

use super::actor::{Feed, in_time};
use super::message::{Heard, Heartbeat};
use super::registrar::RegistrarMessage;

impl Feed {
    /// Tells a follower what it may go by. Nothing where this node cannot say: the follower asks
    /// another.
    pub(super) async fn hear(&mut self, asked: Asked<Heartbeat>) {
        let heartbeat = &asked.request;
        let heard = if heartbeat.leaves {
            Ok(None)
        } else {
            in_time(self.beat(heartbeat)).await
        };
        match heard {
            Ok(Some(heard)) => {
                let head = match &heard {
                    Heard::Head(head) => Some(*head),
                    _ => None,
                };
                asked.reply.send(heard);
                if let Some(head) = head {
                    self.look_at(head).await;
                }
            }
            // A write may take its time, and nobody else's heartbeat waits for it.
            Ok(None) => drop(
                self.arguments
                    .registrar
                    .tell(RegistrarMessage::Heard(asked)),
            ),
            Err(error) => {
                let follower = &heartbeat.follower;
                tracing::warn!(%error, %follower, "change feed cannot hear a follower");
            }
        }
    }

    /// None where it has to be registered first.
    async fn beat(&self, heartbeat: &Heartbeat) -> Result<Option<Heard>, StoreError> {
        let Heartbeat { follower, n, .. } = heartbeat;
        let mut read = self.arguments.apim.read().await?;
        let log = change_log::find(&mut read, *n).await?;
        let known = followers::find(&mut read, follower).await?;
        drop(read);
        let life = heartbeat.incarnation;
        let is_over = |known: &Registered| known.incarnation > life && known.fenced_at_ms.is_none();
        if known.as_ref().is_some_and(is_over) {
            // What it has applied is not what the later life has. Of a node that was put back from a
            // backup the later life is silent, and fenced soon.
            let now_ms = self.now_ms();
            self.followers(|all| all.dispute(follower, now_ms));
            return Ok(Some(Heard::Unavailable));
        }
        let at = Position::new(*n, heartbeat.uuid.clone());
        if let Answer::Snapshot { .. } = answer(&log, &at, 1) {
            self.followers(|all| all.resync(follower));
            return Ok(Some(Heard::Elsewhere));
        }
        let now_ms = self.now_ms();
        if !self.followers(|all| all.acknowledged(follower, *n, log.head, now_ms)) {
            // Nobody could wait for it, so it must not be told a head.
            tracing::warn!("a follower has no usable name, or there are too many");
            return Ok(Some(Heard::Unavailable));
        }
        let stands = known.is_some_and(|known| {
            let same = known.kind == heartbeat.kind && known.incarnation == life;
            same && known.fenced_at_ms.is_none()
        });
        Ok(stands.then_some(Heard::Head(log.head)))
    }

    /// Those that are registered now; none where that cannot be read.
    pub(super) async fn registered(&mut self) -> Option<Vec<Registered>> {
        match in_time(self.read_registered()).await {
            Ok((head, registered)) => {
                let now_ms = self.now_ms();
                self.followers(|all| all.see(&registered, now_ms));
                self.look_at(head).await;
                Some(registered)
            }
            Err(error) => {
                tracing::warn!(%error, "change feed cannot read who follows");
                None
            }
        }
    }

    async fn read_registered(&self) -> Result<(u64, Vec<Registered>), StoreError> {
        let mut read = self.arguments.apim.read().await?;
        let head = grants::head(&mut read).await?;
        Ok((head, followers::list(&mut read).await?))
    }
}
