//! When a voter stands for election. openraft's own clock draws its patience once for each start and looks at it by a
//! tick that all voters share in length, so that two of them might split the votes again and again. Here each draws
//! anew for each round, and wakes at the moment itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::ServerState;
use openraft::raft::VoteRequest;
use tokio::time::{Instant, sleep_until};

use super::timing::RegisterTiming;
use super::types::{LogPlace, Raft, Vote};
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
    /// The term in which this node stands for election.
    stands: Option<u64>,
}

/// Stands for election whenever no leader was heard of for long enough; ends with the register.
pub(crate) async fn stand(
    raft: Raft,
    me: VoterId,
    timing: RegisterTiming,
    is_behind: Arc<AtomicBool>,
) {
    let mut states = raft.server_metrics();
    let (mut patience, mut rounds) = (timing.draw(), 0);
    while let Some(look) = look(&raft, me).await {
        if look.leads || !look.is_voter {
            // Whatever changed between the look and here is seen after the lease.
            states.mark_unchanged();
            let _ = tokio::time::timeout(timing.lease, states.changed()).await;
            (patience, rounds) = (timing.draw(), 0);
            continue;
        }
        if is_behind.swap(false, Ordering::Relaxed) {
            // Whoever has the longer log is to be elected, and is, once nobody else stands.
            patience += timing.spread * 2;
        }
        let wait = match (look.was_led, look.is_alone) {
            (true, true) => Duration::ZERO,
            (true, false) => timing.lease + patience,
            // As after a founding: nobody else may stand.
            (false, true) if rounds == 0 => Duration::ZERO,
            (false, _) => patience,
        };
        let due = look.heard.map(|heard| heard + wait);
        if let Some(due) = due.filter(|due| *due > Instant::now()) {
            sleep_until(due).await;
            continue;
        }
        if let Some(term) = look.stands
            && !withdraw(&raft, term).await
        {
            continue;
        }
        if raft.trigger().elect().await.is_err() {
            return;
        }
        // Disks may be slower than the spread: then each round has more time than the last.
        rounds += 1;
        patience = timing.draw() * (rounds.max(2) - 1).min(8);
    }
}

/// Gives up a candidacy: the answers to it count no more. A node that became a leader meanwhile says no, and must not
/// be made to stand: openraft would write what it begins its term with over what it writes as a leader just then.
async fn withdraw(raft: &Raft, term: u64) -> bool {
    let nobody = Vote::new(term.saturating_add(1), VoterId::default());
    let last = LogPlace {
        term: u64::MAX,
        index: u64::MAX,
    };
    let told = raft.vote(VoteRequest::new(nobody, Some(last.into()))).await;
    told.is_ok_and(|told| told.vote_granted)
}

/// None when the register has ended.
async fn look(raft: &Raft, me: VoterId) -> Option<Look> {
    let look = raft.with_raft_state(move |state| {
        let voters: Vec<VoterId> = state.membership_state.effective().voter_ids().collect();
        let vote = state.vote_ref();
        let is_mine = vote.leader_id.voted_for == Some(me) && !vote.is_committed();
        Look {
            heard: state.vote_last_modified(),
            was_led: vote.is_committed(),
            leads: state.server_state == ServerState::Leader,
            is_voter: voters.contains(&me),
            is_alone: voters.len() == 1,
            stands: is_mine.then_some(vote.leader_id.term),
        }
    });
    look.await.ok()
}
