//! What administrators do to one key: its owner does it, and says so once standby and voters know, so that whoever takes
//! over knows it too, and once gateways were called back. What is asked for is never said again by itself: units would be given back twice.

use std::time::Duration;

use cluster::{Asked, Reply};
use domain::ledger::{Counted, Input, Stamp};
use domain::view::Event;
use domain::window::Window;

use super::message::{ChangeKey, CountSeen, KeyChange, KeyChanged};
use super::shards::{Shards, ShardsArguments};
use crate::traffic_manager::message::ThrottleKey;
use crate::traffic_manager::news;
use crate::traffic_manager::shard::shard_of;

/// Whoever asked waits so long for others to know of it: a disk, a round of recalls, and a disk again.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// Changes that others have to know of before they are spoken of.
#[derive(Default)]
pub(super) struct Changes(Vec<Change>);

struct Change {
    key: ThrottleKey,
    is_reset: bool,
    stamp: Stamp,
    until: Duration,
    reply: Reply<KeyChanged>,
}

/// A fixed window that is over is only not removed yet.
fn is_of_now(window: Window, t_ms: i64) -> bool {
    window.id.spec.is_paned() || t_ms < window.end_ms
}

// === impl Shards ===

impl Shards {
    /// Does it, if this node grants the key's units.
    pub(super) async fn change(&mut self, asked: Asked<ChangeKey>) {
        let Asked { request, reply } = asked;
        let ChangeKey { key, change } = request;
        let (shard, cell) = (shard_of(&key), key.cell());
        self.follow(shard).await;
        let slots = &self.arguments.slots;
        let gateways = self.arguments.gateways.all();
        let done = slots.with(shard, |slot| {
            if !slot.seat().grants() {
                return Err(KeyChanged::NotOwner);
            }
            let counted = slot.ledger().counted(&cell);
            let is_reset = matches!(change, KeyChange::Reset);
            let is_lost = match &counted {
                Some(counted) => counted.image.lost,
                None => slot.ledger().would_be_lost(&cell),
            };
            let is_of_now = |counted: &Counted| is_of_now(counted.image.window, slots.site.t_ms());
            match counted {
                _ if is_lost && !is_reset => Err(KeyChanged::Lost),
                // Nobody may have asked for it since a start from disks.
                counted if counted.as_ref().is_none_or(is_of_now) => {
                    let input = match change {
                        KeyChange::Reset => Input::Reset { cell, gateways },
                        KeyChange::Refund { units } => Input::Refund { cell, units },
                    };
                    let cell = key.cell();
                    let said = slot.step(Event::Ledger(input), &slots.site);
                    // Nothing was changed, so nothing of it will ever be known elsewhere.
                    let is_counted = slot.ledger().counted(&cell).is_some();
                    Ok((said, is_counted.then(|| slot.ledger().stamp())))
                }
                _ => Err(KeyChanged::NotCounted),
            }
        });
        match done.unwrap_or(Err(KeyChanged::NotOwner)) {
            Err(refused) => reply.send(refused),
            Ok((said, None)) => {
                reply.send(KeyChanged::NotCounted);
                self.carry_out(shard, said).await;
            }
            Ok((said, Some(stamp))) => {
                let now = self.arguments.clock.monotonic();
                self.changes.0.push(Change {
                    key,
                    is_reset: matches!(change, KeyChange::Reset),
                    stamp,
                    until: now.saturating_add(PATIENCE),
                    reply,
                });
                self.carry_out(shard, said).await;
            }
        }
    }

    /// Speaks of what others know now. Of what they do not know in time nothing is said: it may come to nothing.
    pub(super) fn tell_changes(&mut self) {
        let now = self.arguments.clock.monotonic();
        for change in std::mem::take(&mut self.changes.0) {
            let known = self.arguments.slots.with(shard_of(&change.key), |slot| {
                let ledger = slot.ledger();
                let cell = change.key.cell();
                let is_known = slot.seat().grants() && ledger.is_settled(&cell, change.stamp);
                let count = ledger.counted(&cell);
                // A refund recalls nothing, whoever has yet to answer a reset before it.
                let unheard = || match change.is_reset {
                    true => ledger.unheard(&cell),
                    false => Vec::new(),
                };
                is_known.then(|| count.map(|count| (CountSeen::of(count), unheard())))
            });
            match known.flatten() {
                Some(Some((count, unheard))) => {
                    let Change { key, stamp, .. } = &change;
                    let ShardsArguments {
                        gateways, clock, ..
                    } = &self.arguments;
                    let shard = shard_of(key);
                    news::reopen_everywhere(gateways, clock, shard, &key.cell(), *stamp);
                    change.reply.send(KeyChanged::Changed { count, unheard });
                }
                Some(None) => change.reply.send(KeyChanged::NotCounted),
                None if now < change.until => self.changes.0.push(change),
                None => {}
            }
        }
    }
}
