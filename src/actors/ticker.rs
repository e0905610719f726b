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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use cluster::{Actor, BoxError, Clock, System, child, start_root};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// Counts what it is told.
    struct Listener {
        told: Arc<AtomicU64>,
        _watcher: Watcher,
    }

    impl Actor for Listener {
        type Message = ();
        type Arguments = (watch::Receiver<u8>, Arc<AtomicU64>);
        const KIND: &'static str = "test.listener";

        async fn start(
            (watched, told): Self::Arguments,
            me: Address<()>,
        ) -> Result<Self, BoxError> {
            let _watcher = watcher("test news", watched, me, || ());
            Ok(Self { told, _watcher })
        }

        async fn handle(&mut self, (): ()) -> Result<(), BoxError> {
            self.told.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    #[tokio::test]
    async fn an_actor_is_told_at_once_and_with_each_change_until_it_ends() {
        let (sender, watched) = watch::channel(0);
        let told = Arc::<AtomicU64>::default();
        let system = System::new(Clock::system(), true);
        let arguments = (watched, Arc::clone(&told));
        let (_, listener) = child::<Listener>(&system, "listener", arguments);
        let root = start_root(&system, vec![listener]).await.unwrap();
        for times in 1..4 {
            let deadline = system.clock.monotonic() + DEADLINE;
            while told.load(Ordering::SeqCst) < times {
                assert!(system.clock.monotonic() < deadline, "not told");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            sender.send_replace(0);
        }
        root.stop(DEADLINE).await;
        // What its supervisor keeps for another start watches nothing by itself.
        let left = tokio::time::timeout(DEADLINE, async {
            while sender.receiver_count() > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        left.await.unwrap();
    }
}
