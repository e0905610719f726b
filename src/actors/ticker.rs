//! Tells an actor that time passed, again and again, until its incarnation ends.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Address, spawn_named};

/// Keeps the ticks coming: part of an actor's state, so that they end with it however it ends.
pub(crate) struct Ticker(#[expect(dead_code, reason = "held, never read")] Arc<()>);

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
