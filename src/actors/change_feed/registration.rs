//! What a follower hears (S1): the head as it is after its heartbeat came, once API-M has it among
//! those that changes wait for. Read here; the registrar writes.

use cluster::Asked;
use domain::change_log::{Heard as Said, Log, Position, Registered, Word};
use storage::StoreError;
use storage::apim::{change_log, followers};

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
        let word = Word {
            name: follower.clone(),
            kind: heartbeat.kind,
            incarnation: heartbeat.incarnation,
            at: Position::new(*n, heartbeat.uuid.clone()),
        };
        let now_ms = self.now_ms();
        let heard = self.followers(|all| all.hears(&word, known.as_ref(), &log, now_ms));
        Ok(match heard {
            Said::Stands => Some(Heard::Head(log.head)),
            Said::Unregistered => None,
            Said::Elsewhere => Some(Heard::Elsewhere),
            Said::Over => Some(Heard::Unavailable),
            Said::Crowded => {
                // Nobody could wait for it, so it must not be told a head.
                tracing::warn!("a follower has no usable name, or there are too many");
                Some(Heard::Unavailable)
            }
        })
    }

    /// Those that are registered now; none where that cannot be read.
    pub(super) async fn registered(&mut self) -> Option<Vec<Registered>> {
        match in_time(self.read_registered()).await {
            Ok((log, registered)) => {
                let now_ms = self.now_ms();
                self.followers(|all| all.see(&registered, now_ms));
                self.compare(&log).await;
                Some(registered)
            }
            Err(error) => {
                tracing::warn!(%error, "change feed cannot read who follows");
                None
            }
        }
    }

    async fn read_registered(&self) -> Result<(Log, Vec<Registered>), StoreError> {
        let highest = self.followers(|all| all.highest());
        let mut read = self.arguments.apim.read().await?;
        let log = change_log::find(&mut read, highest).await?;
        Ok((log, followers::list(&mut read).await?))
    }
}
