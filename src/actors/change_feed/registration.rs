//! Who is registered as a follower in API-M (S1): a heartbeat registers, silence fences (S3).

use domain::change_log::{Answer, Position, answer};
use domain::serving_lease::{FollowerKind, WhenCutOff};
use storage::StoreError;
use storage::apim::followers::{self, Follower as Registered};
use storage::apim::{change_log, grants};

use super::actor::{Feed, in_time};
use super::message::{Heard, Heartbeat};

/// Followers that were fenced for so long are forgotten, milliseconds.
const FORGOTTEN_MS: i64 = 86_400_000;

impl Feed {
    /// What a follower that was heard of may go by.
    /// None where this node cannot say: the follower asks another.
    pub(super) async fn heard(&mut self, heartbeat: &Heartbeat) -> Option<Heard> {
        let heard = if heartbeat.leaves {
            in_time(self.leave(heartbeat)).await
        } else {
            in_time(self.beat(heartbeat)).await
        };
        let follower = &heartbeat.follower;
        heard
            .inspect_err(|error| {
                tracing::warn!(%error, %follower, "change feed cannot hear a follower");
            })
            .ok()
    }

    async fn beat(&mut self, heartbeat: &Heartbeat) -> Result<Heard, StoreError> {
        let Heartbeat {
            follower, kind, n, ..
        } = heartbeat;
        let mut read = self.arguments.apim.read().await?;
        let log = change_log::find(&mut read, *n).await?;
        let known = followers::find(&mut read, follower).await?;
        drop(read);
        let at = Position::new(*n, heartbeat.uuid.clone());
        if let Answer::Snapshot { .. } = answer(&log, &at, 1) {
            self.followers(|all| all.resync(follower));
            return Ok(Heard::Elsewhere);
        }
        let now_ms = self.now_ms();
        if !self.followers(|all| all.acknowledged(follower, *n, log.head, now_ms)) {
            // Nobody could wait for it, so it must not be told a head.
            tracing::warn!("a follower has no usable name, or there are too many");
            return Ok(Heard::Unavailable);
        }
        let stands = known.is_some_and(|known| known.kind == *kind && known.fenced_at_ms.is_none());
        if stands {
            return Ok(Heard::Head(log.head));
        }
        let mut write = self.arguments.apim.write("apim.followers.save").await?;
        let now_ms = self.arguments.clock.now_ms();
        followers::save(&mut write, follower, *kind, now_ms).await?;
        write.commit().await?;
        tracing::info!(%follower, kind = kind.as_str(), "follower of the change log is registered");
        // Once more: changes that were committed before it was registered do not wait for it.
        let mut read = self.arguments.apim.read().await?;
        Ok(Heard::Head(grants::head(&mut read).await?))
    }

    /// It serves nobody any more, so nobody waits for it. One that may start without a control plane
    /// and serve by what it kept is named until it is heard again.
    async fn leave(&mut self, heartbeat: &Heartbeat) -> Result<Heard, StoreError> {
        let follower = heartbeat.follower.as_str();
        let mut write = self.arguments.apim.write("apim.followers.delete").await?;
        if heartbeat.kind == FollowerKind::Calls(WhenCutOff::Serve) {
            let now_ms = self.arguments.clock.now_ms();
            followers::save(&mut write, follower, heartbeat.kind, now_ms).await?;
            followers::fence(&mut write, follower, now_ms, now_ms).await?;
        } else {
            followers::delete(&mut write, follower).await?;
        }
        write.commit().await?;
        self.followers(|all| all.forget(follower));
        Ok(Heard::Head(self.head))
    }

    /// Those that are registered now; none where that cannot be read.
    pub(super) async fn registered(&mut self) -> Option<Vec<Registered>> {
        match in_time(self.read_registered()).await {
            Ok((head, registered)) => {
                let now_ms = self.now_ms();
                self.followers(|all| all.see(&registered, now_ms));
                if head < self.head {
                    self.look_at(head).await;
                }
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

    /// Fences who was silent for long: a change waits for nobody that is gone, and whoever comes
    /// back registers before it serves.
    pub(super) async fn fence_silent(&mut self) {
        let Some(registered) = self.registered().await else {
            return;
        };
        let now_ms = self.now_ms();
        let silent = self.followers(|all| {
            let silent = all.silent(&registered, now_ms);
            silent.into_iter().cloned().collect::<Vec<_>>()
        });
        let wall_ms = self.arguments.clock.now_ms();
        let too_old = wall_ms.saturating_sub(FORGOTTEN_MS);
        let is_old = |one: &Registered| one.fenced_at_ms.is_some_and(|at_ms| at_ms < too_old);
        if silent.is_empty() && !registered.iter().any(is_old) {
            return;
        }
        if let Err(error) = in_time(self.fence(&silent, wall_ms, too_old)).await {
            tracing::warn!(%error, "silent followers could not be fenced, trying again");
        }
    }

    async fn fence(
        &self,
        silent: &[Registered],
        now_ms: i64,
        too_old: i64,
    ) -> Result<(), StoreError> {
        let mut write = self.arguments.apim.write("apim.followers.fence").await?;
        let mut fenced = Vec::new();
        for one in silent {
            if followers::fence(&mut write, &one.name, one.registered_at_ms, now_ms).await? {
                fenced.push(one.name.as_str());
            }
        }
        followers::delete_fenced(&mut write, too_old).await?;
        write.commit().await?;
        if !fenced.is_empty() {
            let followers = fenced.join(", ");
            tracing::warn!(%followers, "silent for 10 s, no change waits for them any more");
        }
        Ok(())
    }
}
