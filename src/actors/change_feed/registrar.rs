//! Writes into API-M who follows (S1): registers, takes leave, fences who was silent (S3). An actor
//! of its own, for a write waits for others: what the feed says meanwhile keeps everybody's leases.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use cluster::{Actor, Address, Asked, BoxError, Clock};
use domain::change_log::{Followers, Registered};
use storage::apim::{followers, grants};
use storage::{Database, StoreError};

use super::SharedFollowers;
use super::message::{Heard, Heartbeat};

/// Followers that were fenced for so long are forgotten, milliseconds.
const FORGOTTEN_MS: i64 = 86_400_000;
/// How long one write may take; whoever asks has said more since.
const WRITE: Duration = Duration::from_millis(MOST_MS.unsigned_abs());
const MOST_MS: i64 = 3_000;
/// Who is silent is judged by what was heard so long ago at most, milliseconds.
const FRESH_MS: i64 = 1_000;

/// What it is started with.
#[derive(Clone)]
pub(super) struct RegistrarArguments {
    pub(super) clock: Clock,
    pub(super) apim: Database,
    pub(super) followers: SharedFollowers,
}

/// What it is told.
pub(super) enum RegistrarMessage {
    /// A follower that lives and is not registered as it is, or that leaves.
    Heard(Asked<Heartbeat>),
    /// Whoever was silent for long is to be fenced; said then, on the boot clock.
    Fence { said_ms: i64 },
}

/// The one that writes.
pub(super) struct Registrar {
    pub(super) arguments: RegistrarArguments,
}

// === impl Actor ===

impl Actor for Registrar {
    type Message = RegistrarMessage;
    type Arguments = RegistrarArguments;
    const KIND: &'static str = "change_feed.registrar";

    async fn start(
        arguments: RegistrarArguments,
        _me: Address<RegistrarMessage>,
    ) -> Result<Self, BoxError> {
        Ok(Self { arguments })
    }

    async fn handle(&mut self, message: RegistrarMessage) -> Result<(), BoxError> {
        match message {
            RegistrarMessage::Heard(asked) => self.heard(asked).await,
            // The feed stood still since, or this waited: the next word is better.
            RegistrarMessage::Fence { said_ms } if self.now_ms() - said_ms > FRESH_MS => {}
            RegistrarMessage::Fence { said_ms } => self.fence_silent(said_ms).await,
        }
        Ok(())
    }
}

// === impl Registrar ===

impl Registrar {
    async fn heard(&self, Asked { request, reply }: Asked<Heartbeat>) {
        // Whoever gave up has said more since.
        if reply.is_abandoned() {
            return;
        }
        let writing = async {
            if request.leaves {
                self.leave(&request).await
            } else {
                self.register(&request).await
            }
        };
        match in_time(writing).await {
            Ok(heard) => reply.send(heard),
            Err(error) => {
                let follower = &request.follower;
                tracing::warn!(%error, %follower, "change feed cannot register a follower");
            }
        }
    }

    pub(super) async fn register(&self, heartbeat: &Heartbeat) -> Result<Heard, StoreError> {
        let Heartbeat { follower, kind, .. } = heartbeat;
        let began_ms = self.now_ms();
        let mut write = self.arguments.apim.write("apim.followers.save").await?;
        let now_ms = write.moment_ms(self.arguments.clock.now_ms()).await?;
        let life = heartbeat.incarnation;
        // Not for a node that stood still on the way here either: its follower may have left since.
        let is_late = |registrar: &Self| registrar.now_ms() - began_ms > MOST_MS;
        if !followers::save(&mut write, follower, *kind, life, now_ms).await? || is_late(self) {
            return Ok(Heard::Unavailable);
        }
        write.commit().await?;
        tracing::info!(%follower, kind = kind.as_str(), "follower of the change log is registered");
        // After that: changes that were committed before it was registered do not wait for it.
        let mut read = self.arguments.apim.read().await?;
        Ok(Heard::Head(grants::head(&mut read).await?))
    }

    /// It serves nobody any more, so nobody waits for it, not even where its registration is still on
    /// its way at another node. One that may start without a control plane and serve by what it kept is
    /// named until it is heard again. A life that a later one has followed takes nothing with it.
    pub(super) async fn leave(&self, heartbeat: &Heartbeat) -> Result<Heard, StoreError> {
        let Heartbeat { follower, kind, .. } = heartbeat;
        let mut write = self.arguments.apim.write("apim.followers.leave").await?;
        let now_ms = write.moment_ms(self.arguments.clock.now_ms()).await?;
        let life = heartbeat.incarnation;
        if followers::leave(&mut write, follower, *kind, life, now_ms).await? {
            write.commit().await?;
            self.followers(|all| all.forget(follower));
        }
        // It asks for no lease.
        Ok(Heard::Head(0))
    }

    /// Fences who was silent for long: a change waits for nobody that is gone, and whoever comes
    /// back registers before it serves.
    async fn fence_silent(&self, said_ms: i64) {
        if let Err(error) = in_time(self.try_fence(said_ms)).await {
            tracing::warn!(%error, "silent followers could not be fenced, trying again");
        }
    }

    pub(super) async fn try_fence(&self, said_ms: i64) -> Result<(), StoreError> {
        let mut read = self.arguments.apim.read().await?;
        let registered = followers::list(&mut read).await?;
        drop(read);
        let now_ms = self.now_ms();
        let silent: Vec<Registered> = self.followers(|all| {
            all.see(&registered, now_ms);
            // As it was said: what came since is not heard yet.
            let silent = all.silent(&registered, said_ms);
            silent.into_iter().cloned().collect()
        });
        // By the clock that those who left are noted by: a node whose own is ahead forgets nobody early.
        let own_ms = self.arguments.clock.now_ms();
        let wall_ms = self.arguments.apim.moment_ms(own_ms).await?;
        let too_old = wall_ms.saturating_sub(FORGOTTEN_MS);
        let is_old = |one: &Registered| one.fenced_at_ms.is_some_and(|at_ms| at_ms < too_old);
        if silent.is_empty() && !registered.iter().any(is_old) {
            return Ok(());
        }
        let mut write = self.arguments.apim.write("apim.followers.fence").await?;
        let mut fenced = Vec::new();
        for one in &silent {
            if followers::fence(&mut write, &one.name, one.registered_at_ms, wall_ms).await? {
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

    fn now_ms(&self) -> i64 {
        super::boot_ms(&self.arguments.clock)
    }

    fn followers<T>(&self, use_them: impl FnOnce(&mut Followers) -> T) -> T {
        let shared = Arc::clone(&self.arguments.followers);
        let mut followers = shared.lock().unwrap_or_else(PoisonError::into_inner);
        use_them(&mut followers)
    }
}

async fn in_time<T>(writing: impl Future<Output = Result<T, StoreError>>) -> Result<T, BoxError> {
    Ok(tokio::time::timeout(WRITE, writing).await??)
}
