//! Tells an actor that time passed, or that something has changed, again and again, until its incarnation ends.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Address, spawn_named};
use tokio::sync::{oneshot, watch};

/// Keeps the ticks coming: part of an actor's state, so that they end with it however it ends.
pub(crate) struct Ticker(#[expect(dead_code, reason = "held, never read")] Arc<()>);

/// Keeps the news coming: part of an actor's state, so that they end with it however it ends.
pub(crate) struct Watcher(#[expect(dead_code, reason = "held, never read")] oneshot::Sender<()>);

/// Tells `to` at once, and then whenever what is watched has changed, so that it need not wait for a tick. What its
/// mailbox has no place for is lost.
pub(crate) fn watcher<T: Send + Sync + 'static, M: Send + 'static>(
    name: &'static str,
    mut watched: watch::Receiver<T>,
    to: Address<M>,
    changed: impl Fn() -> M + Send + 'static,
) -> Watcher {
    let (owner, mut over) = oneshot::channel();
    watched.mark_changed();
    spawn_named(name, async move {
        loop {
            tokio::select! {
                news = watched.changed() => {
                    if news.is_err() {
                        return;
                    }
                }
                _ = &mut over => return,
            }
            watched.mark_unchanged();
            let _ = to.tell(changed());
        }
    });
    Watcher(owner)
}

/// Tells `to` every `period`, a tick behind when its mailbox is full.
pub(crate) fn ticker<M: Send + 'static>(
    name: &'static str,
    period: Duration,
    to: Address<M>,
    tick: impl Fn() -> M + Send + 'static,
) -> Ticker {
    let alive = Arc::new(());
    let owner = Arc::downgrade(&alive);
    spawn_named(name, async move {
        let mut every = tokio::time::interval(period);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick of an interval comes at once, before the actor can be told anything.
        every.tick().await;
        loop {
            every.tick().await;
            if owner.strong_count() == 0 {
                return;
            }
            // A slow actor is not told more often than it listens.
            if to.depth() < 16 {
                let _ = to.tell(tick());
            }
        }
    });
    Ticker(alive)
}
