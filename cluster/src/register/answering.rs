//! What one voter answers another, and the orders of this node.

use std::collections::BTreeSet;
use std::sync::Arc;

use openraft::error::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::raft::{AppendEntriesRequest, ClientWriteResponse, VoteRequest};

use super::actor::Running;
use super::order::{ENTRY_LIMIT, OrderError, Outcome, word};
use super::types::{Entry, LogId, Snapshot, Types, Vote};
use super::voter_id::VoterId;
use super::words::{AppendWord, Said, Told, read, write};
use crate::task::spawn_named;

/// What openraft makes of a write.
pub(crate) type Written =
    Result<ClientWriteResponse<Types>, RaftError<VoterId, ClientWriteError<VoterId, ()>>>;

/// Answers what another voter said; nothing where not even that can be said.
pub(crate) async fn answer(running: &Running, said: &[u8]) -> Vec<u8> {
    let told = match read::<Said>(said) {
        Ok(said) => running.told(said).await,
        Err(error) => Told::Failed(error.to_string()),
    };
    write(&told).unwrap_or_default()
}

// === impl Running ===

impl Running {
    async fn told(&self, said: Said) -> Told {
        let raft = &self.raft;
        let failed = |error: &dyn std::error::Error| Told::Failed(error.to_string());
        // Whoever asked may have gone long before openraft, which takes in all that is said, gets to it.
        let _place = match (&said, self.places.try_acquire()) {
            (Said::Propose(_) | Said::ChangeVoters(_), _) => None,
            (_, Ok(place)) => Some(place),
            (_, Err(_)) => return Told::Failed("it has too much to answer".to_owned()),
        };
        match said {
            Said::Vote(vote, last) => {
                let ask = VoteRequest::new(vote.into(), last.map(LogId::from));
                let told = raft.vote(ask).await;
                told.map_or_else(|error| failed(&error), Told::from)
            }
            Said::Append {
                vote,
                after,
                entries,
                committed,
            } => {
                let ask = AppendEntriesRequest {
                    vote: vote.into(),
                    prev_log_id: after.map(LogId::from),
                    entries: entries.into_iter().map(Entry::from).collect(),
                    leader_commit: committed.map(LogId::from),
                };
                let told = raft.append_entries(ask).await.map(AppendWord::from);
                told.map_or_else(|error| failed(&error), Told::Append)
            }
            Said::Snapshot(vote, snapshot) => {
                let snapshot = Snapshot::from(snapshot);
                let told = raft.install_full_snapshot(Vote::from(vote), snapshot).await;
                told.map_or_else(
                    |error| failed(&error),
                    |told| Told::Snapshot(told.vote.into()),
                )
            }
            Said::Propose(entry) => Told::Order(word(self.propose_here(entry).await)),
            Said::ChangeVoters(voters) => Told::Order(word(self.change_here(&voters).await)),
        }
    }

    /// Has an entry agreed on, here or by who leads.
    pub(crate) async fn propose(&self, entry: Vec<u8>) -> Outcome {
        let here = self.propose_here(entry.clone()).await;
        let Some(leader) = self.elsewhere(&here) else {
            return here;
        };
        let deadline = self.timing.agreeing + self.timing.lease;
        let said = Said::Propose(entry);
        self.network.order(leader, &said, deadline).await
    }

    /// Changes the voters, here or by who leads.
    pub(crate) async fn change_voters(&self, voters: BTreeSet<VoterId>) -> Outcome {
        let here = self.change_here(&voters).await;
        let Some(leader) = self.elsewhere(&here) else {
            return here;
        };
        let said = Said::ChangeVoters(voters);
        self.network
            .order(leader, &said, self.timing.changing())
            .await
    }

    async fn propose_here(&self, entry: Vec<u8>) -> Outcome {
        // Also of another node: what was taken once would have to get into one message with others, to each follower.
        if entry.len() > ENTRY_LIMIT {
            return Err(OrderError::TooLarge { size: entry.len() });
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Err(OrderError::Unanswered);
        };
        let writing = self.raft.client_write_ff(entry).await;
        let Ok(written) = writing else {
            return Err(OrderError::Unanswered);
        };
        // Until openraft has written it: it answers in the order in which it is asked.
        let raft = self.raft.clone();
        spawn_named("register place", async move {
            let _ = raft.with_raft_state(|_| ()).await;
            drop(place);
        });
        match tokio::time::timeout(self.timing.agreeing, written).await {
            Ok(Ok(written)) => placed(written.map_err(RaftError::APIError)),
            Ok(Err(_)) | Err(_) => Err(OrderError::Unanswered),
        }
    }

    /// Who leads, where that is another node.
    fn elsewhere(&self, here: &Outcome) -> Option<VoterId> {
        let Err(OrderError::NotLeader { leader }) = here else {
            return None;
        };
        let leader = VoterId::of(leader.as_deref()?)?;
        (leader != self.me).then_some(leader)
    }
}

/// What became of a write.
pub(crate) fn placed(written: Written) -> Outcome {
    match written {
        Ok(done) => Ok(done.log_id.into()),
        Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => {
            let leader = to.leader_id.map(|leader| leader.to_string());
            Err(OrderError::NotLeader { leader })
        }
        Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error))) => {
            Err(match error {
                ChangeMembershipError::InProgress(_) => OrderError::UnderWay,
                other => OrderError::Failed(other.to_string()),
            })
        }
        // It may have been written before that.
        Err(RaftError::Fatal(_)) => Err(OrderError::Unanswered),
    }
}
