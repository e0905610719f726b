//! Where a voter keeps its log: whoever runs the register gives it a place for bytes (PROTOCOLS W3).

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::types::{Entry, LogId, Snapshot, Vote};
use super::voter_id::VoterId;
use super::words::{EntryWord, PlaceWord, SnapshotWord, VoteWord, read};
use crate::actor::BoxError;

/// What a store is doing.
pub type Storing<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// Keeps a voter's promises. Each write is on disk as a whole when it has ended well, and not there at all when it has
/// not; writes come one after another.
pub trait RegisterStore: Send + Sync + 'static {
    /// Everything that was kept; nothing before the first write.
    ///
    /// An error refuses the start: what is there but is damaged, of another cluster or node, or of a later version, is
    /// not read in part.
    fn load(&self) -> Storing<'_, Stored>;
    /// Replaces the vote.
    fn save_vote(&self, vote: Vec<u8>) -> Storing<'_, ()>;
    /// Replaces the place up to which all is agreed on.
    fn save_committed(&self, committed: Vec<u8>) -> Storing<'_, ()>;
    /// Adds entries by their numbers, which follow the last one.
    fn append(&self, entries: Vec<(u64, Vec<u8>)>) -> Storing<'_, ()>;
    /// Removes the entries from this number on.
    fn truncate(&self, from: u64) -> Storing<'_, ()>;
    /// Removes the entries up to and with this number, and notes the place of the last of them. There need not be any.
    fn purge(&self, through: u64, purged: Vec<u8>) -> Storing<'_, ()>;
    /// Replaces the snapshot.
    fn save_snapshot(&self, snapshot: Vec<u8>) -> Storing<'_, ()>;
}

/// What a store has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The vote.
    pub vote: Option<Vec<u8>>,
    /// The place up to which all is agreed on.
    pub committed: Option<Vec<u8>>,
    /// The place of the last entry that was removed because a snapshot covers it.
    pub purged: Option<Vec<u8>>,
    /// The entries, in the order of their numbers.
    pub entries: Vec<(u64, Vec<u8>)>,
    /// The snapshot.
    pub snapshot: Option<Vec<u8>>,
}

/// The same, understood.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    pub(crate) entries: BTreeMap<u64, Entry>,
    pub(crate) snapshot: Option<Snapshot>,
}

/// A store that one incarnation has for itself, until everything of it has ended: two that wrote into one store would
/// vote twice.
pub(crate) struct Tenure {
    store: Arc<dyn RegisterStore>,
    is_over: watch::Sender<bool>,
    _place: OwnedSemaphorePermit,
}

/// How long the next incarnation waits for the last one.
pub(crate) const LAST_END: Duration = Duration::from_secs(10);

// === impl Kept ===

impl Kept {
    /// Reads what a store has.
    ///
    /// # Errors
    /// What does not fit together, or cannot be read here.
    pub(crate) fn of(stored: Stored) -> Result<Self, BoxError> {
        let place = |bytes: Option<Vec<u8>>| -> Result<Option<LogId>, BoxError> {
            let word = bytes.map(|bytes| read::<PlaceWord>(&bytes)).transpose();
            Ok(word.map_err(unreadable)?.map(LogId::from))
        };
        let vote = stored.vote.map(|bytes| read::<VoteWord>(&bytes));
        let snapshot = stored.snapshot.map(|bytes| read::<SnapshotWord>(&bytes));
        let mut kept = Self {
            vote: vote.transpose().map_err(unreadable)?.map(Vote::from),
            committed: place(stored.committed)?,
            purged: place(stored.purged)?,
            entries: BTreeMap::new(),
            snapshot: snapshot
                .transpose()
                .map_err(unreadable)?
                .map(Snapshot::from),
        };
        for (number, bytes) in stored.entries {
            let entry = Entry::from(read::<EntryWord>(&bytes).map_err(unreadable)?);
            if entry.log_id.index != number {
                let has = entry.log_id.index;
                return Err(damaged(format!("entry {number} says that it is {has}")));
            }
            kept.entries.insert(number, entry);
        }
        kept.fits()?;
        Ok(kept)
    }

    /// Whether there is nothing that was agreed on or may be. A vote for this node itself is what a founding that was
    /// cut short leaves; one for another is given to whoever has a log that this node is in.
    pub(crate) fn is_empty(&self, me: VoterId) -> bool {
        let agreed = [self.committed, self.purged];
        let is_own = |vote: &Vote| vote.leader_id.voted_for == Some(me) && !vote.committed;
        self.entries.is_empty()
            && self.snapshot.is_none()
            && agreed.iter().all(Option::is_none)
            && self.vote.as_ref().is_none_or(is_own)
    }

    /// One unbroken log that goes on from the snapshot, in terms that do not fall.
    fn fits(&self) -> Result<(), BoxError> {
        let mut last = self.purged;
        for (number, entry) in &self.entries {
            let next = last.map_or(0, |last| last.index + 1);
            if *number != next {
                return Err(damaged(format!("entry {next} is missing before {number}")));
            }
            if last.is_some_and(|last| last.leader_id > entry.log_id.leader_id) {
                return Err(damaged(format!("entry {number} is of an earlier term")));
            }
            last = Some(entry.log_id);
        }
        let snapshot = self.snapshot.as_ref().and_then(|one| one.meta.last_log_id);
        if self.purged > snapshot {
            return Err(damaged(
                "entries were removed that no snapshot covers".to_owned(),
            ));
        }
        if self.committed > last.max(snapshot) {
            return Err(damaged(
                "entries that were agreed on are missing".to_owned(),
            ));
        }
        Ok(())
    }
}

const REMEDY: &str = "give the node back its own data directory as it was, or start it with an empty one: it joins as \
                      a new node then, and an operator takes the old one's vote away (headgate cluster voters)";

fn damaged(what: String) -> BoxError {
    format!("the log of the view register is damaged: {what}; {REMEDY}").into()
}

fn unreadable(error: crate::codec::CodecError) -> BoxError {
    use crate::codec::CodecError;
    match error {
        CodecError::Unsupported { version, .. } => format!(
            "the log of the view register was written by a later version of headgate (shape {version}): start that \
             version again"
        )
        .into(),
        other => damaged(other.to_string()),
    }
}

// === impl Tenure ===

impl Tenure {
    /// Waits until nobody has the store any more; `places` has one.
    ///
    /// # Errors
    /// When somebody has it for too long, as over a disk that hangs.
    pub(crate) async fn begin(
        store: Arc<dyn RegisterStore>,
        places: Arc<Semaphore>,
    ) -> Result<Self, BoxError> {
        let place = tokio::time::timeout(LAST_END, places.acquire_owned()).await;
        Ok(Self {
            store,
            is_over: watch::Sender::new(false),
            _place: place
                .map_err(|_| "the last incarnation of the register has not ended yet")??,
        })
    }

    /// The store, for as long as this incarnation may write.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn store(&self) -> Result<&dyn RegisterStore, BoxError> {
        if self.is_over() {
            return Err("this incarnation of the register has ended".into());
        }
        Ok(self.store.as_ref())
    }

    /// Whether nothing may be written any more.
    pub(crate) fn is_over(&self) -> bool {
        *self.is_over.borrow()
    }

    /// From now on nothing is written.
    pub(crate) fn end(&self) {
        self.is_over.send_replace(true);
    }

    /// Waits until nothing may be written any more.
    pub(crate) async fn over(&self) {
        let _ = self.is_over.subscribe().wait_for(|is_over| *is_over).await;
    }
}
