//! How a log begins (PROTOCOLS W3): as after a snapshot, at a place of the founder's choice. openraft's own beginning is
//! at term 0 always, and its first leader has term 1: a register that is founded anew, because the disk of its only
//! voter was lost, has to begin above everything that voters and members of the one before it ever sealed at (W4).

use std::collections::BTreeSet;

use super::order::{OrderError, Outcome};
use super::store::{Kept, Tenure};
use super::types::{LogId, LogPlace, Membership, SnapshotMeta, StoredMembership, Vote};
use super::value::Value;
use super::voter_id::VoterId;
use super::words::{SnapshotWord, VoteWord, write};
use crate::actor::BoxError;

/// What a log begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterSeed {
    /// Its leaders have later terms than this.
    pub term: u64,
    /// The value before any entry.
    pub value: Vec<u8>,
}

/// Writes the beginning of a log in which `me` votes alone into a store that has none. The vote comes first: alone it
/// founds nothing, while a log without it would be led in terms below its own beginning.
pub(crate) async fn found(
    tenure: &Tenure,
    me: VoterId,
    value: &dyn Value,
    seed: &RegisterSeed,
) -> Outcome {
    let failed = |error: BoxError| OrderError::Failed(error.to_string());
    let stored = tenure.store().map_err(failed)?.load().await;
    let kept = Kept::of(stored.map_err(failed)?).map_err(failed)?;
    if !kept.is_empty(me) {
        return Err(OrderError::NotEmpty);
    }
    let place = LogPlace {
        term: seed.term,
        index: 0,
    };
    if kept
        .vote
        .is_some_and(|vote| vote.leader_id.term > seed.term)
    {
        let later = "a later founding was begun here".to_owned();
        return Err(OrderError::Failed(later));
    }
    value.check(&seed.value).map_err(failed)?;
    let written = begin(tenure, me, place, seed).await;
    written.map(|()| place).map_err(failed)
}

async fn begin(
    tenure: &Tenure,
    me: VoterId,
    place: LogPlace,
    seed: &RegisterSeed,
) -> Result<(), BoxError> {
    let vote = write(&VoteWord::from(Vote::new(place.term, me)))?;
    tenure.store()?.save_vote(vote).await?;
    let at = LogId::from(place);
    let alone = Membership::new(vec![BTreeSet::from([me])], ());
    let meta = SnapshotMeta {
        last_log_id: Some(at),
        last_membership: StoredMembership::new(Some(at), alone),
        snapshot_id: place.to_string(),
    };
    let snapshot = write(&SnapshotWord::new(&meta, &seed.value))?;
    tenure.store()?.save_snapshot(snapshot).await
}
