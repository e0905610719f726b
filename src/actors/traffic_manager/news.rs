//! Takes what the owner of a shard says unasked to the gateways it concerns (L9).
//!
//! Losing it is never wrong. A recall that is not heard ends by its time, and a late answer is
//! replaced by the next question's; a reopening is told again for a while, because until it is
//! heard calls are refused that could be let through, and so is a reset's recall, because what
//! its gateway used is forgiven only when that has gone on by another lease.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::{AskError, Clock, spawn_named};
use domain::ledger::{CellKey, Effect, Reopen, Stamp};

use super::handle::GatewayLeases;
use super::message::{News, TellLeases};
use super::translate::Tidings;

/// News in one message at most: far below the largest message.
const MOST: usize = 2_048;
/// A reopening, and a reset's recall, that was not heard is told again after so long.
const AGAIN: Duration = Duration::from_millis(200);
/// And for so long.
const LASTS: Duration = Duration::from_secs(30);

/// Tells every gateway what concerns it, beside the shard's actor.
pub(super) fn tell(gateways: &GatewayLeases, clock: &Clock, shard: u16, effects: Vec<Effect>) {
    let mut lives: BTreeMap<(String, u64), Vec<Tidings>> = BTreeMap::new();
    for tidings in effects.into_iter().filter_map(tidings) {
        let holder = tidings.holder();
        let life = (holder.node.clone(), holder.incarnation);
        lives.entry(life).or_default().push(tidings);
    }
    for of_life in lives.into_values() {
        for part in of_life.chunks(MOST) {
            if let Some(message) = TellLeases::of(shard, part) {
                let (gateways, clock) = (gateways.clone(), clock.clone());
                spawn_named("lease news", keep_telling(gateways, clock, message));
            }
        }
    }
}

/// Tells every gateway that there are units of a key again, whatever it holds: who was told no by an owner whose memory is
/// lost is known to nobody.
pub(super) fn reopen_everywhere(
    gateways: &GatewayLeases,
    clock: &Clock,
    shard: u16,
    cell: &CellKey,
    stamp: Stamp,
) {
    let reopen = |node: String| Effect::Reopen(Reopen::of_any_lease(&node, cell.clone(), stamp));
    let effects = gateways.all().into_iter().map(reopen).collect();
    tell(gateways, clock, shard, effects);
}

async fn keep_telling(gateways: GatewayLeases, clock: Clock, mut message: TellLeases) {
    let until = clock.monotonic().saturating_add(LASTS);
    loop {
        let error = match gateways.tell(message.clone()).await {
            Ok(_) => return,
            Err(error) => error,
        };
        let lasts = |news: &News| matches!(news, News::Reopen { .. } | News::RecallAnew { .. });
        message.news.retain(|one| lasts(&one.news));
        if message.news.is_empty() {
            return;
        }
        if error == AskError::Unsupported || clock.monotonic() >= until {
            tracing::warn!(
                gateway = %message.node, leases = message.news.len(), %error,
                "a gateway was not told of units that are free again, or of resets: it refuses for up to a minute more, and \
                 what it used of keys that were reset counts until it asks by another lease"
            );
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn tidings(effect: Effect) -> Option<Tidings> {
    match effect {
        Effect::Reply(reply) => Some(Tidings::Answer(reply)),
        Effect::Recall(recall) => Some(Tidings::Recall(recall)),
        Effect::Reopen(reopen) => Some(Tidings::Reopen(reopen)),
        Effect::Persist { .. } | Effect::Replicate { .. } | Effect::Shared { .. } => None,
    }
}
