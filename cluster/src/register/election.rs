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
    /// The term of the leader that this was, if it was one.
    led_in: Option<u64>,
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
    let mut patience = Patience::new(timing);
    while let Some(look) = look(&raft, me).await {
        if look.leads || !look.is_voter {
            // Whatever changed between the look and here is seen after the lease.
            states.mark_unchanged();
            let _ = tokio::time::timeout(timing.lease, states.changed()).await;
            patience = Patience::new(timing);
            continue;
        }
        if let Some(term) = look.led_in {
            patience.is_led_in(term);
        }
        if is_behind.swap(false, Ordering::Relaxed) {
            // Whoever has the longer log is to be elected, and is, once nobody else stands.
            patience.wait += timing.spread * 2;
        }
        let wait = match (look.led_in.is_some(), look.is_alone) {
            (true, true) => Duration::ZERO,
            (true, false) => timing.lease + patience.wait,
            // As after a founding: nobody else may stand.
            (false, true) if patience.rounds == 0 => Duration::ZERO,
            (false, _) => patience.wait,
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
        patience.has_stood();
    }
}

/// How long this node lets others go first.
#[derive(Debug)]
struct Patience {
    timing: RegisterTiming,
    wait: Duration,
    /// How often it has stood since somebody led.
    rounds: u32,
    /// The term in which it was led last.
    led_in: Option<u64>,
}

// === impl Patience ===

impl Patience {
    fn new(timing: RegisterTiming) -> Self {
        Self {
            timing,
            wait: timing.draw(),
            rounds: 0,
            led_in: None,
        }
    }

    /// Disks may be slower than the spread: then each round has more time than the last.
    fn has_stood(&mut self) {
        self.rounds += 1;
        self.wait = self.timing.draw() * (self.rounds.max(2) - 1).min(8);
    }

    /// There is a leader of this term: the rounds before were not about its successor.
    fn is_led_in(&mut self, term: u64) {
        if self.led_in != Some(term) {
            *self = Self {
                led_in: Some(term),
                ..Self::new(self.timing)
            };
        }
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
            led_in: vote.is_committed().then_some(vote.leader_id.term),
            leads: state.server_state == ServerState::Leader,
            is_voter: voters.contains(&me),
            is_alone: voters.len() == 1,
            stands: is_mine.then_some(vote.leader_id.term),
        }
    });
    look.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_stood_in_vain_for_long_waits_no_longer_for_the_next_leader_than_anybody() {
        let timing = RegisterTiming::default();
        let mut patience = Patience::new(timing);
        patience.is_led_in(3);
        for _ in 0..9 {
            patience.has_stood();
        }
        assert!(patience.wait > timing.spread * 3, "{patience:?}");
        patience.is_led_in(12);
        assert!(patience.wait <= timing.spread, "{patience:?}");
        assert_eq!(patience.rounds, 0);
        patience.wait += timing.spread * 2;
        patience.is_led_in(12);
        assert!(patience.wait > timing.spread * 2, "the same leader still");
    }
}
