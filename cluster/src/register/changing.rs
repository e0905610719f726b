//! Changes of voters (PROTOCOLS W3): whoever is to vote first follows the log, then majorities of the old voters and of
//! the new ones decide together, then the new ones alone. Whoever ceases to vote hears so before it is left alone:
//! else it would stand for election for ever. A leader that finds a change half done ends it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::{ChangeMembers, ServerState};

use super::actor::Running;
use super::answering::placed;
use super::order::{OrderError, Outcome};
use super::timing::RegisterTiming;
use super::types::{LogId, LogPlace, Membership};
use super::voter_id::VoterId;

/// Who is to vote, where a change to that is not at its end.
pub(crate) fn unfinished(membership: &Membership) -> Option<BTreeSet<VoterId>> {
    let sets = membership.get_joint_config();
    let wanted = sets.last()?;
    let is_over = sets.len() == 1 && membership.nodes().count() == wanted.len();
    (!is_over).then(|| wanted.clone())
}

// === impl RegisterTiming ===

impl RegisterTiming {
    /// How long a change of voters may take.
    pub(crate) fn changing(&self) -> Duration {
        self.following + self.agreeing * 4
    }
}

// === impl Running ===

impl Running {
    /// Changes the voters, where this node leads.
    pub(crate) async fn change_here(&self, wanted: &BTreeSet<VoterId>) -> Outcome {
        let Ok(_one) = self.changes.try_acquire() else {
            return Err(OrderError::UnderWay);
        };
        let before = self.membership().await?;
        self.change_from(&before, wanted).await
    }

    /// Ends a change that was begun, by this leader or the one before; nothing where there is none.
    pub(crate) async fn finish(&self) -> Result<(), OrderError> {
        let Ok(_one) = self.changes.try_acquire() else {
            return Ok(());
        };
        // As it is now: whoever asked for this may have seen what has ended since.
        let before = self.membership().await?;
        match unfinished(&before) {
            Some(wanted) => self.change_from(&before, &wanted).await.map(drop),
            None => Ok(()),
        }
    }

    /// Whoever might found the register anew in this node's place hears that others decide, before any of them does.
    async fn is_shared_from_here(&self) -> Result<(), OrderError> {
        let sharing = tokio::time::timeout(self.timing.agreeing, self.sealing.shared());
        match sharing.await {
            Ok(shared) => shared.map_err(|error| OrderError::Failed(error.to_string())),
            Err(_) => Err(OrderError::Unanswered),
        }
    }

    async fn change_from(&self, before: &Membership, wanted: &BTreeSet<VoterId>) -> Outcome {
        let nodes: BTreeSet<VoterId> = before.nodes().map(|(id, ())| *id).collect();
        // Whoever follows because of a change that was cut short may never have been reached.
        let voters: BTreeSet<VoterId> = before.voter_ids().collect();
        let new: BTreeSet<VoterId> = wanted.difference(&voters).copied().collect();
        let is_alone = voters.iter().all(|voter| *voter == self.me);
        if is_alone && *wanted != voters {
            self.is_shared_from_here().await?;
        }
        if !new.is_empty() {
            let added: BTreeMap<VoterId, ()> = new.iter().map(|id| (*id, ())).collect();
            let at = self.commit(ChangeMembers::AddNodes(added)).await?;
            if let Some(behind) = self.behind(&new, at, self.timing.following).await {
                self.leads()?;
                let _ = self.commit(ChangeMembers::RemoveNodes(new)).await;
                return Err(OrderError::Unreached(behind.to_string()));
            }
        }
        let at = self
            .commit(ChangeMembers::ReplaceAllVoters(wanted.clone()))
            .await?;
        let left: BTreeSet<VoterId> = nodes.difference(wanted).copied().collect();
        // Where this node has left, it is the last that it does: openraft leads until then.
        if !left.is_empty() {
            let _ = self.behind(&left, at, self.timing.lease).await;
            let _ = self.commit(ChangeMembers::RemoveNodes(left)).await;
        }
        Ok(at)
    }

    /// As the last entry of the log says that has to do with it.
    async fn membership(&self) -> Result<Membership, OrderError> {
        let asked = self.raft.with_raft_state(|state| {
            let effective = state.membership_state.effective();
            // A leader that has left may go on for a moment; changes are no longer its own.
            let leads = state.server_state == ServerState::Leader;
            (effective.membership().clone(), leads)
        });
        let (membership, leads) = asked.await.map_err(|_| OrderError::Unanswered)?;
        if !leads {
            return Err(self.not_leader());
        }
        Ok(membership)
    }

    fn leads(&self) -> Result<(), OrderError> {
        let metrics = self.raft.metrics();
        let known = metrics.borrow();
        if known.state == ServerState::Leader {
            return Ok(());
        }
        drop(known);
        Err(self.not_leader())
    }

    fn not_leader(&self) -> OrderError {
        let metrics = self.raft.metrics();
        let leader = metrics.borrow().current_leader;
        OrderError::NotLeader {
            leader: leader.map(|leader| leader.to_string()),
        }
    }

    async fn commit(&self, changes: ChangeMembers<VoterId, ()>) -> Outcome {
        let writing = self.raft.change_membership(changes, true);
        match tokio::time::timeout(self.timing.agreeing, writing).await {
            Ok(written) => placed(written),
            Err(_) => Err(OrderError::Unanswered),
        }
    }

    /// Waits until all of these have the log up to there; gives one that has not.
    async fn behind(
        &self,
        nodes: &BTreeSet<VoterId>,
        at: LogPlace,
        patience: Duration,
    ) -> Option<VoterId> {
        let at = LogId::from(at);
        let lacking = |has: Option<&BTreeMap<VoterId, Option<LogId>>>| {
            let lacks = |id: &&VoterId| {
                let has = has.and_then(|has| has.get(id)).copied().flatten();
                **id != self.me && has < Some(at)
            };
            nodes.iter().find(lacks).copied()
        };
        let waiting = self.raft.wait(Some(patience));
        let follow = waiting.metrics(
            |metrics| {
                let leads = metrics.state == ServerState::Leader;
                !leads || lacking(metrics.replication.as_ref()).is_none()
            },
            "all of them follow",
        );
        let _ = follow.await;
        let metrics = self.raft.metrics();
        let known = metrics.borrow();
        lacking(known.replication.as_ref())
    }
}
