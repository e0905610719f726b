//! The way to other voters as openraft sees it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::error::{Fatal, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, OptionalSend};

use super::link::RegisterLink;
use super::order::{OrderError, Outcome, outcome};
use super::types::{LogId, Snapshot, Types, Vote};
use super::voter_id::VoterId;
use super::words::{Said, SnapshotWord, Told, read, write};
use crate::ask::AskError;
use crate::codec::CodecError;

type RpcError = RPCError<VoterId, (), RaftError<VoterId>>;

/// The ways to all others.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) link: Arc<dyn RegisterLink>,
    /// How long somebody who cannot be reached is left alone.
    pub(crate) pause: Duration,
    /// Whether somebody whose vote was asked for has a longer log, since that was looked at last.
    pub(crate) is_behind: Arc<AtomicBool>,
    /// Whether this node says nothing as a leader, see [`super::quiet`].
    pub(crate) is_quiet: Arc<AtomicBool>,
}

/// The way to one of them.
pub(crate) struct Peer {
    network: Network,
    id: VoterId,
    /// Whether it was said that its value cannot be sent.
    has_complained: bool,
}

/// Why another voter has not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("it cannot answer: {0}")]
    Failed(String),
    #[error("it answered something else")]
    SomethingElse,
    #[error("no majority answers this leader: others are to elect another")]
    Quiet,
}

// === impl Network ===

impl Network {
    fn speaks(&self) -> Result<(), Unanswered> {
        if self.is_quiet.load(Ordering::Relaxed) {
            return Err(Unanswered::Quiet);
        }
        Ok(())
    }

    /// Says something to one voter, and gives its answer.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn say(
        &self,
        voter: VoterId,
        said: &Said,
        deadline: Duration,
    ) -> Result<Told, Unanswered> {
        let told = self
            .link
            .ask(&voter.to_string(), write(said)?, deadline)
            .await?;
        match read(&told)? {
            Told::Failed(why) => Err(Unanswered::Failed(why)),
            told => Ok(told),
        }
    }

    /// Has the leader carry out an order.
    pub(crate) async fn order(&self, leader: VoterId, said: &Said, deadline: Duration) -> Outcome {
        match self.say(leader, said, deadline).await {
            Ok(Told::Order(word)) => outcome(word),
            Err(Unanswered::Ask(AskError::Timeout | AskError::Dropped)) => {
                Err(OrderError::Unanswered)
            }
            // It was not asked, or carries out nothing: it is no leader any more.
            Err(_) => Err(OrderError::NotLeader { leader: None }),
            Ok(_) => Err(OrderError::Unanswered),
        }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: VoterId, (): &()) -> Peer {
        Peer {
            network: self.clone(),
            id: target,
            has_complained: false,
        }
    }
}

// === impl Peer ===

impl Peer {
    /// What only a leader says.
    async fn say_as_leader(&self, said: &Said, option: &RPCOption) -> Result<Told, Unreachable> {
        self.network.speaks().map_err(unreachable)?;
        self.say(said, option).await
    }

    async fn say(&self, said: &Said, option: &RPCOption) -> Result<Told, Unreachable> {
        let told = self.network.say(self.id, said, option.hard_ttl()).await;
        told.map_err(unreachable)
    }
}

/// Whoever does not answer is left alone for a pause.
fn unreachable(error: Unanswered) -> Unreachable {
    Unreachable::new(&AnyError::new(&error))
}

fn something_else() -> Unreachable {
    unreachable(Unanswered::SomethingElse)
}

impl RaftNetwork<Types> for Peer {
    async fn append_entries(
        &mut self,
        ask: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<VoterId>, RpcError> {
        match self.say_as_leader(&Said::append(&ask), &option).await? {
            Told::Append(word) => Ok(word.into()),
            _ => Err(something_else().into()),
        }
    }

    async fn vote(
        &mut self,
        ask: VoteRequest<VoterId>,
        option: RPCOption,
    ) -> Result<VoteResponse<VoterId>, RpcError> {
        match self.say(&Said::vote(&ask), &option).await? {
            Told::Vote(vote, last, is_given) => {
                let last = last.map(LogId::from);
                if last > ask.last_log_id {
                    self.network.is_behind.store(true, Ordering::Relaxed);
                }
                Ok(VoteResponse::new(Vote::from(vote), last, is_given))
            }
            _ => Err(something_else().into()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<VoterId>, StreamingError<Types, Fatal<VoterId>>> {
        self.network.speaks().map_err(unreachable)?;
        let word = SnapshotWord::new(&snapshot.meta, &snapshot.snapshot);
        let said = Said::Snapshot(vote.into(), word);
        let told = tokio::select! {
            closed = cancel => return Err(closed.into()),
            told = self.network.say(self.id, &said, option.hard_ttl()) => told,
        };
        if let Err(Unanswered::Codec(error)) = &told
            && !std::mem::replace(&mut self.has_complained, true)
        {
            tracing::error!(voter = %self.id, %error, "the view register's value cannot be sent to a voter");
        }
        match told.map_err(unreachable)? {
            Told::Snapshot(vote) => Ok(SnapshotResponse::new(vote.into())),
            _ => Err(something_else().into()),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(self.network.pause))
    }
}
