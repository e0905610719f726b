//! The types that openraft is run with. None of them leaves this folder: what is sent and what is stored has shapes of
//! our own, in `words`.

use openraft::raft::responder::OneshotResponder;
use openraft::{CommittedLeaderId, RaftTypeConfig, TokioRuntime};

use super::voter_id::VoterId;

/// How openraft is run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Types;

impl RaftTypeConfig for Types {
    type D = Vec<u8>;
    type R = ();
    type NodeId = VoterId;
    type Node = ();
    type Entry = Entry;
    type SnapshotData = Vec<u8>;
    type AsyncRuntime = TokioRuntime;
    type Responder = OneshotResponder<Self>;
}

pub(crate) type Raft = openraft::Raft<Types>;
pub(crate) type Entry = openraft::Entry<Types>;
pub(crate) type LogId = openraft::LogId<VoterId>;
pub(crate) type Vote = openraft::Vote<VoterId>;
pub(crate) type Membership = openraft::Membership<VoterId, ()>;
pub(crate) type StoredMembership = openraft::StoredMembership<VoterId, ()>;
pub(crate) type Snapshot = openraft::Snapshot<Types>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<VoterId, ()>;
pub(crate) type StorageError = openraft::StorageError<VoterId>;
pub(crate) type Metrics = openraft::RaftMetrics<VoterId, ()>;

/// Where an entry stands in the register's log. There is one leader in a term, so that a place whose entry was cut off
/// never comes again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPlace {
    /// The term of the leader that wrote it.
    pub term: u64,
    /// Its number.
    pub index: u64,
}

/// Who decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Voters {
    /// A majority of each set: one of them, or the old one and the new one while they change.
    pub sets: Vec<Vec<String>>,
}

// === impl LogPlace ===

impl From<LogId> for LogPlace {
    fn from(id: LogId) -> Self {
        Self {
            term: id.leader_id.term,
            index: id.index,
        }
    }
}

impl From<LogPlace> for LogId {
    fn from(place: LogPlace) -> Self {
        let leader = CommittedLeaderId::new(place.term, VoterId::default());
        Self::new(leader, place.index)
    }
}

impl std::fmt::Display for LogPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.term, self.index)
    }
}

// === impl Voters ===

impl Voters {
    pub(crate) fn of(membership: &Membership) -> Self {
        let set = |set: &std::collections::BTreeSet<VoterId>| {
            set.iter().map(ToString::to_string).collect()
        };
        let sets = membership.get_joint_config().iter();
        Self {
            sets: sets.map(set).collect(),
        }
    }

    /// Everybody who votes in one of the sets, in the order of their ids.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let mut all: Vec<String> = self.sets.iter().flatten().cloned().collect();
        all.sort();
        all.dedup();
        all
    }

    /// Whether a change from one set to another has begun and not ended.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.sets.len() > 1
    }
}
