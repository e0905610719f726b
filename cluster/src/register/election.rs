//! When a voter stands for election. openraft's own clock draws its patience once for each start and looks at it by a
//! tick that all voters share in length, so that two of them might split the votes again and again. Here each draws
//! anew for each round, and wakes at the moment itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::ServerState;
use tokio::time::{Instant, sleep_until};

use super::timing::RegisterTiming;
use super::types::Raft;
use super::voter_id::VoterId;

/// What is looked at.
struct Look {
    /// When the last word of a leader came, or a vote was given.
    heard: Option<Instant>,
    /// Whether that was a leader's.
    was_led: bool,
    leads: bool,
    is_voter: bool,
    is_alone: bool,
}

/// Stands for election whenever no leader was heard of for long enough; ends with the register.
pub(crate) async fn stand(
    raft: Raft,
    me: VoterId,
    timing: RegisterTiming,
    is_behind: Arc<AtomicBool>,
) {
    let mut states = raft.server_metrics();
    let mut patience = timing.draw();
    while let Some(look) = look(&raft, me).await {
        if look.leads || !look.is_voter {
            states.mark_unchanged();
            // Whatever changed between the look and here is seen after the longest patience.
            let change = states.changed();
            let _ = tokio::time::timeout(timing.lease, change).await;
            patience = timing.draw();
            continue;
        }
        if is_behind.swap(false, Ordering::Relaxed) {
            // Whoever has the longer log is to be elected, and is, once nobody else stands.
            patience += timing.spread * 2;
        }
        let wait = match (look.is_alone, look.was_led) {
            (true, _) => Duration::ZERO,
            (false, true) => timing.lease + patience,
            (false, false) => patience,
        };
        let due = look.heard.map(|heard| heard + wait);
        if let Some(due) = due.filter(|due| *due > Instant::now()) {
            sleep_until(due).await;
            continue;
        }
        if raft.trigger().elect().await.is_err() {
            return;
        }
        patience = timing.draw();
        if look.is_alone {
            // Its own vote is on disk in a moment.
            let _ = tokio::time::timeout(timing.heartbeat, states.changed()).await;
        }
    }
}

/// None when the register has ended.
async fn look(raft: &Raft, me: VoterId) -> Option<Look> {
    let look = raft.with_raft_state(move |state| {
        let voters: Vec<VoterId> = state.membership_state.effective().voter_ids().collect();
        Look {
            heard: state.vote_last_modified(),
            was_led: state.vote_ref().is_committed(),
            leads: state.server_state == ServerState::Leader,
            is_voter: voters.contains(&me),
            is_alone: voters.len() == 1,
        }
    });
    look.await.ok()
}
