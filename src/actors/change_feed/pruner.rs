//! Keeps the change log bounded (C3): the newest entries stay, and what the slowest living
//! follower still has to read, up to ten times as many.

use std::sync::PoisonError;
use std::time::Duration;

use cluster::{Actor, Address, BoxError, Clock, SelfReport};
use storage::{Database, StoreError, apim::change_log};

use super::SharedFollowers;
use crate::ticker::{Ticker, ticker};

/// Looked at so often.
const EVERY: Duration = Duration::from_secs(30);
/// A living follower that is slow holds back at most so many times what is kept anyway.
const PATIENCE: u64 = 10;

/// What it is started with.
#[derive(Clone)]
pub(super) struct PrunerArguments {
    pub(super) clock: Clock,
    pub(super) apim: Database,
    pub(super) followers: SharedFollowers,
    pub(super) retention: u64,
}

/// What it is told: time passed.
pub(super) struct Prune;

/// Prunes the log.
pub(super) struct Pruner {
    arguments: PrunerArguments,
    _ticker: Ticker,
}

// === impl Actor ===

impl Actor for Pruner {
    type Message = Prune;
    type Arguments = PrunerArguments;
    const KIND: &'static str = "change_feed.pruner";

    async fn start(arguments: PrunerArguments, me: Address<Prune>) -> Result<Self, BoxError> {
        Ok(Self {
            arguments,
            _ticker: ticker("change log pruning", EVERY, me, || Prune),
        })
    }

    async fn handle(&mut self, _: Prune) -> Result<(), BoxError> {
        match self.arguments.prune().await {
            Ok(0) => {}
            Ok(entries) => tracing::info!(entries, "old entries of the change log removed"),
            Err(error) => tracing::warn!(%error, "change log could not be pruned, trying again"),
        }
        Ok(())
    }

    fn shows(&self) -> SelfReport {
        SelfReport::default()
            .with("changes kept", self.arguments.retention)
            .linked("API-M database")
    }
}

// === impl PrunerArguments ===

impl PrunerArguments {
    pub(super) async fn prune(&self) -> Result<u64, StoreError> {
        let now_ms = super::boot_ms(&self.clock);
        let slowest = {
            let shared = &self.followers;
            let mut followers = shared.lock().unwrap_or_else(PoisonError::into_inner);
            followers.forget_silent(now_ms);
            followers.slowest(now_ms)
        };
        let mut read = self.apim.read().await?;
        let log = change_log::find(&mut read, 0).await?;
        drop(read);
        let keep_from = keep_from(log.head, slowest, self.retention);
        if log.tail >= keep_from {
            return Ok(0);
        }
        let mut write = self.apim.write("apim.change_log.prune").await?;
        let gone = change_log::delete_before(&mut write, keep_from).await?;
        write.commit().await?;
        Ok(gone)
    }
}

/// The first entry to keep. The one that a follower stands at is kept too: its uuid tells that the
/// follower is of this history (C2).
fn keep_from(head: u64, slowest: Option<u64>, retention: u64) -> u64 {
    let wanted = head.saturating_sub(retention);
    let limit = head.saturating_sub(retention.saturating_mul(PATIENCE));
    wanted.min(slowest.unwrap_or(wanted)).max(limit)
}

#[cfg(test)]
mod tests {
    use super::keep_from;

    #[test]
    fn a_slow_follower_holds_entries_back_but_not_for_ever() {
        assert_eq!(keep_from(500, None, 10_000), 0);
        assert_eq!(keep_from(15_000, None, 10_000), 5_000);
        assert_eq!(keep_from(15_000, Some(14_000), 10_000), 5_000);
        assert_eq!(keep_from(15_000, Some(700), 10_000), 700);
        assert_eq!(keep_from(300_000, Some(700), 10_000), 200_000);
    }
}
