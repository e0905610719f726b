//! What voters say to each other and what they keep, in shapes of our own (M1): openraft's types may change with its
//! versions, these may not. Each is frozen; another shape is another version with another number.

use std::collections::BTreeSet;

use openraft::EntryPayload;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::types::{
    Entry, LogId, LogPlace, Membership, Snapshot, SnapshotMeta, StoredMembership, Types, Vote,
};
use super::voter_id::VoterId;
use crate::codec::{CodecError, decode, encode};

/// The number of what is sent and what is kept, in their envelopes.
pub(crate) const KIND: u16 = 65_012;
/// The version of all shapes here.
pub(crate) const VERSION: u16 = 1;

/// A place in the log: term and index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlaceWord(pub(crate) u64, pub(crate) u64);

/// Who is voted for, and whether a majority has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VoteWord {
    pub(crate) term: u64,
    pub(crate) voted_for: Option<VoterId>,
    pub(crate) is_committed: bool,
}

/// Who votes, and who else follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MembershipWord {
    pub(crate) sets: Vec<BTreeSet<VoterId>>,
    pub(crate) nodes: BTreeSet<VoterId>,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryWord {
    pub(crate) at: PlaceWord,
    pub(crate) content: ContentWord,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ContentWord {
    /// Nothing: a leader begins.
    Blank,
    /// What was proposed.
    Proposed(Vec<u8>),
    /// Who votes from here on.
    Voters(MembershipWord),
}

/// The value at a place of the log, instead of the entries up to there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotWord {
    pub(crate) at: Option<PlaceWord>,
    pub(crate) voters_at: Option<PlaceWord>,
    pub(crate) voters: MembershipWord,
    pub(crate) id: String,
    pub(crate) value: Vec<u8>,
}

/// What one voter asks another.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Said {
    /// Vote for me.
    Vote(VoteWord, Option<PlaceWord>),
    /// These follow `after`, and all is agreed on up to `committed`.
    Append {
        vote: VoteWord,
        after: Option<PlaceWord>,
        entries: Vec<EntryWord>,
        committed: Option<PlaceWord>,
    },
    /// Go on from here.
    Snapshot(VoteWord, SnapshotWord),
    /// You lead: have this agreed on.
    Propose(Vec<u8>),
    /// You lead: have these vote.
    ChangeVoters(BTreeSet<VoterId>),
}

/// What it is answered.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Told {
    /// The vote, the last entry here, whether it was given.
    Vote(VoteWord, Option<PlaceWord>, bool),
    /// What became of the entries.
    Append(AppendWord),
    /// The vote of who has the snapshot.
    Snapshot(VoteWord),
    /// What became of an order.
    Order(Result<PlaceWord, OrderWord>),
    /// It cannot be answered now.
    Failed(String),
}

/// What became of entries.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AppendWord {
    Success,
    Partly(Option<PlaceWord>),
    Conflict,
    Higher(VoteWord),
}

/// Why an order was not carried out.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OrderWord {
    NotLeader(Option<VoterId>),
    Unanswered,
    UnderWay,
    Unreached(VoterId),
    Failed(String),
}

/// Writes one of them.
///
/// # Errors
/// [`CodecError::TooLarge`].
pub(crate) fn write<T: Serialize>(word: &T) -> Result<Vec<u8>, CodecError> {
    encode(KIND, VERSION, word)
}

/// Reads one of them.
///
/// # Errors
/// Any [`CodecError`].
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    decode(KIND, VERSION, bytes)
}

// === impl PlaceWord ===

impl From<LogId> for PlaceWord {
    fn from(id: LogId) -> Self {
        let place = LogPlace::from(id);
        Self(place.term, place.index)
    }
}

impl From<PlaceWord> for LogId {
    fn from(PlaceWord(term, index): PlaceWord) -> Self {
        LogPlace { term, index }.into()
    }
}

// === impl VoteWord ===

impl From<Vote> for VoteWord {
    fn from(vote: Vote) -> Self {
        Self {
            term: vote.leader_id.term,
            voted_for: vote.leader_id.voted_for,
            is_committed: vote.committed,
        }
    }
}

impl From<VoteWord> for Vote {
    fn from(word: VoteWord) -> Self {
        Self {
            leader_id: openraft::LeaderId {
                term: word.term,
                voted_for: word.voted_for,
            },
            committed: word.is_committed,
        }
    }
}

// === impl MembershipWord ===

impl From<&Membership> for MembershipWord {
    fn from(membership: &Membership) -> Self {
        Self {
            sets: membership.get_joint_config().clone(),
            nodes: membership.nodes().map(|(id, ())| *id).collect(),
        }
    }
}

impl From<MembershipWord> for Membership {
    fn from(word: MembershipWord) -> Self {
        Self::new(word.sets, word.nodes)
    }
}

// === impl EntryWord ===

impl From<&Entry> for EntryWord {
    fn from(entry: &Entry) -> Self {
        Self {
            at: entry.log_id.into(),
            content: match &entry.payload {
                EntryPayload::Blank => ContentWord::Blank,
                EntryPayload::Normal(bytes) => ContentWord::Proposed(bytes.clone()),
                EntryPayload::Membership(voters) => ContentWord::Voters(voters.into()),
            },
        }
    }
}

impl From<EntryWord> for Entry {
    fn from(word: EntryWord) -> Self {
        Self {
            log_id: word.at.into(),
            payload: match word.content {
                ContentWord::Blank => EntryPayload::Blank,
                ContentWord::Proposed(bytes) => EntryPayload::Normal(bytes),
                ContentWord::Voters(voters) => EntryPayload::Membership(voters.into()),
            },
        }
    }
}

// === impl SnapshotWord ===

impl SnapshotWord {
    pub(crate) fn new(meta: &SnapshotMeta, value: &[u8]) -> Self {
        Self {
            at: meta.last_log_id.map(PlaceWord::from),
            voters_at: meta.last_membership.log_id().map(PlaceWord::from),
            voters: meta.last_membership.membership().into(),
            id: meta.snapshot_id.clone(),
            value: value.to_vec(),
        }
    }
}

impl From<SnapshotWord> for Snapshot {
    fn from(word: SnapshotWord) -> Self {
        let voters_at = word.voters_at.map(LogId::from);
        Self {
            meta: SnapshotMeta {
                last_log_id: word.at.map(LogId::from),
                last_membership: StoredMembership::new(voters_at, word.voters.into()),
                snapshot_id: word.id,
            },
            snapshot: Box::new(word.value),
        }
    }
}

// === impl Said ===

impl Said {
    pub(crate) fn vote(ask: &VoteRequest<VoterId>) -> Self {
        Self::Vote(ask.vote.into(), ask.last_log_id.map(PlaceWord::from))
    }

    pub(crate) fn append(ask: &AppendEntriesRequest<Types>) -> Self {
        Self::Append {
            vote: ask.vote.into(),
            after: ask.prev_log_id.map(PlaceWord::from),
            entries: ask.entries.iter().map(EntryWord::from).collect(),
            committed: ask.leader_commit.map(PlaceWord::from),
        }
    }
}

// === impl Told ===

impl From<VoteResponse<VoterId>> for Told {
    fn from(told: VoteResponse<VoterId>) -> Self {
        let last = told.last_log_id.map(PlaceWord::from);
        Self::Vote(told.vote.into(), last, told.vote_granted)
    }
}

impl From<AppendEntriesResponse<VoterId>> for AppendWord {
    fn from(told: AppendEntriesResponse<VoterId>) -> Self {
        match told {
            AppendEntriesResponse::Success => Self::Success,
            AppendEntriesResponse::PartialSuccess(upto) => Self::Partly(upto.map(PlaceWord::from)),
            AppendEntriesResponse::Conflict => Self::Conflict,
            AppendEntriesResponse::HigherVote(vote) => Self::Higher(vote.into()),
        }
    }
}

impl From<AppendWord> for AppendEntriesResponse<VoterId> {
    fn from(word: AppendWord) -> Self {
        match word {
            AppendWord::Success => Self::Success,
            AppendWord::Partly(upto) => Self::PartialSuccess(upto.map(LogId::from)),
            AppendWord::Conflict => Self::Conflict,
            AppendWord::Higher(vote) => Self::HigherVote(vote.into()),
        }
    }
}
